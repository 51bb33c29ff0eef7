//! Commands for people: documents on stdout, logs on stderr. Rows go nowhere.

use crate::protocol::singer::log::Log;

/// The console of a command.
#[derive(Debug)]
pub struct Console {
    pub(crate) log: Log,
    /// The row that is read.
    pub(super) row: Vec<u8>,
}

impl Console {
    /// A console that logs to `log`.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, row: Vec::new() }
    }
}
