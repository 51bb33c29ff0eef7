//! The documents and messages of the protocols.

pub mod airbyte;
pub mod singer;
