//! From the bytes of a response to the cells of a record.

pub(crate) mod coerce;
pub(crate) mod decimal;
pub mod envelope;
pub(crate) mod fields;
pub mod notices;
pub mod project;
pub(crate) mod unfold;
