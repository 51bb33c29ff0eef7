//! Commands for people: text on stdout, logs on stderr. Rows of a read are only counted.

use crate::error::Result;
use crate::output::writer::Lines;
use crate::protocol::singer::log::Log;
use crate::support::terminal::{Color, Terminal, safe, wrapped};

/// What to do with a token that cannot be kept.
pub(super) const CANNOT_STORE_TOKEN: &str = "Criteo rotated the refresh token, and the new one cannot be saved. The old one may stop working: use a \
     configuration in a writable file, or an app of type \"Client credentials\".";

/// The console of a command.
#[derive(Debug)]
pub struct Console {
    pub(crate) log: Log,
    /// A row, before it is dropped.
    pub(super) buffer: Vec<u8>,
}

impl Console {
    /// A console that logs to `log`.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, buffer: Vec::new() }
    }
}

/// Says how the check ended; its steps are on stderr.
pub(super) fn report_check(out: &mut Lines, outcome: &Result<String>) {
    let (mark, color, text) = match outcome {
        Ok(_) => (
            "✓",
            Color::Green,
            "Ready. Next: `source-criteo preview campaign_statistics_daily` or `source-criteo export criteo`."
                .to_owned(),
        ),
        Err(error) if Terminal::stderr().is_none() => ("✗", Color::Red, error.to_string()),
        Err(_) => ("✗", Color::Red, "The check failed. Fix what is marked above, then run it again.".to_owned()),
    };
    out.text(&match Terminal::stdout() {
        Some(terminal) => {
            let lines = wrapped(&safe(&text), terminal.width().saturating_sub(2));
            terminal.linked(&format!("\n{} {}", terminal.paint(mark, color), lines.join("\n  ")))
        }
        None => format!("{mark} {text}"),
    });
}
