//! The wire formats, and the one owner of stdout.

pub mod airbyte;
pub mod singer;

/// The messages around records and states. What is read, and how, is the same in both.
#[derive(Debug)]
pub enum Protocol {
    /// Airbyte messages, including logs.
    Airbyte,
    /// Singer messages on stdout, with one state for all streams; logs on stderr.
    Singer(Box<singer::SingerContext>),
}
