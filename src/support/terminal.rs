//! Terminal output, on stderr so that it never mixes with the protocol on stdout.

use std::io::{IsTerminal, Write as _};

use unicode_width::UnicodeWidthStr as _;

use crate::support::redact;

/// Maximum line width, for readability.
pub(crate) const WIDEST: usize = 110;
pub(crate) const NARROWEST: usize = 30;

/// An interactive terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    has_colors: bool,
}

/// A color that most terminals have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Success.
    Green,
    /// Notes and warnings.
    Yellow,
    /// Errors.
    Red,
    /// Less important text.
    Gray,
}

impl Terminal {
    /// The terminal on stderr; `None` if it is redirected.
    #[must_use]
    pub fn stderr() -> Option<Self> {
        Self::of(&std::io::stderr())
    }

    /// The terminal on stdout; `None` if it is a file or a pipe.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "nothing is written to it")]
    pub fn stdout() -> Option<Self> {
        Self::of(&std::io::stdout())
    }

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<Self> {
        stream.is_terminal().then(|| {
            let width = terminal_size::terminal_size_of(stream).map_or(80, |(width, _)| usize::from(width.0));
            // An empty NO_COLOR counts as unset (no-color.org).
            let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            Self { width, has_colors: !is_plain && !is_dumb }
        })
    }

    /// Width in columns.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// Adds color, if the terminal supports it.
    #[must_use]
    pub fn paint(self, text: &str, color: Color) -> String {
        let code = match color {
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Red => 31,
            Color::Gray => 90,
        };
        let text = safe(text);
        if self.has_colors { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }

    /// Writes one or several lines.
    pub fn line(self, text: &str) {
        put(&safe(text));
    }

    /// Writes a heading after an empty line.
    pub fn heading(self, text: &str) {
        put(&format!("\n{}", self.paint(text, Color::Green)));
    }

    /// Whether the user can type input.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Writes text, wrapped between words.
    pub fn paragraph(self, text: &str) {
        put(&wrapped(&safe(text), self.width.clamp(NARROWEST, WIDEST)).join("\n"));
    }
}

/// Errors are ignored: the run continues without its terminal.
pub(crate) fn put(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Removes secrets and terminal control characters from text, some of which comes from third parties.
#[must_use]
pub fn safe(text: &str) -> String {
    redact::lines(text)
}

/// Wraps text between words to `width` columns.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
