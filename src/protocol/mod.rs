//! The wire formats that the outside world speaks, and the one owner of stdout.

pub mod airbyte;
pub mod output;
pub mod reader;
pub mod singer;
pub mod state_file;
mod writer;

/// The words around records and states. What is read, and how, is the same in both.
#[derive(Debug)]
pub enum Protocol {
    /// Messages of Airbyte, logs among them.
    Airbyte,
    /// Messages of Singer on stdout, with one state of all streams; words for people on stderr.
    Singer(Box<singer::Tap>),
}
