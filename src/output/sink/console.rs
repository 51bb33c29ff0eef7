//! Commands for people: documents on stdout, logs on stderr.

use crate::protocol::singer::log::Log;

/// No message passes a new refresh token on to the user.
pub(super) const CANNOT_STORE_TOKEN: &str = "Criteo rotated the refresh token, and the new one cannot be saved. The old one may stop working: pass the \
     configuration as a single writable file, or use an app of the type \"Client credentials\".";

/// The console of a command.
#[derive(Debug)]
pub struct Console {
    pub(crate) log: Log,
}

impl Console {
    /// A console that logs to `log`.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log }
    }
}
