//! The wire formats, and the one owner of stdout.

pub mod airbyte;
pub mod output;
pub mod reader;
pub mod singer;
pub mod state_file;
mod writer;

/// The messages around records and states. What is read, and how, is the same in both.
#[derive(Debug)]
pub enum Protocol {
    /// Airbyte messages, including logs.
    Airbyte,
    /// Singer messages on stdout, with one state for all streams; logs on stderr.
    Singer(Box<singer::Tap>),
}
