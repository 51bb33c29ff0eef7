//! source-criteo.
pub mod clock;
pub mod config;
pub mod error;
pub mod streams;
