//! Properties and invariants for tests and fuzzing.

#[cfg(any(test, feature = "fuzzing"))]
pub mod invariants;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod properties;
