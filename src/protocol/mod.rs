//! The wire formats that the outside world speaks, and the one owner of stdout.

pub mod airbyte;
pub mod output;
