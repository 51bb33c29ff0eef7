//! What people see at a terminal: on stderr, so that it never mixes with the protocol on stdout.

use std::io::{IsTerminal, Write as _};

use unicode_width::UnicodeWidthStr as _;

use crate::engine::ladder::{Hold, Rung, Step};
use crate::redact;

/// Lines are not longer, however wide the terminal is: nobody reads them easily.
const WIDEST: usize = 110;
/// Nor are they broken to fewer columns.
const NARROWEST: usize = 30;

/// A terminal at which somebody sits.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    has_colours: bool,
}

/// A colour that most terminals have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// For what is well.
    Green,
    /// For what is to be known.
    Yellow,
    /// For what is broken.
    Red,
    /// For what matters less.
    Grey,
}

impl Terminal {
    /// The terminal of stderr; `None` when nobody sits there.
    #[must_use]
    pub fn of_people() -> Option<Self> {
        Self::of(&std::io::stderr())
    }

    /// The terminal of stdout; `None` when a program reads it, or a file takes it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "it is only looked at")]
    pub fn of_stdout() -> Option<Self> {
        Self::of(&std::io::stdout())
    }

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<Self> {
        stream.is_terminal().then(|| {
            let width = terminal_size::terminal_size_of(stream).map_or(80, |(width, _)| usize::from(width.0));
            // An empty NO_COLOR counts as none (no-color.org).
            let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            Self { width, has_colours: !is_plain && !is_dumb }
        })
    }

    /// How many columns it has.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// A text in a colour, where there are colours.
    #[must_use]
    pub fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Grey => 90,
        };
        let text = safe(text);
        if self.has_colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }

    /// Writes a line, or several.
    pub fn line(self, text: &str) {
        put(&safe(text));
    }

    /// Writes a heading, with a line before it.
    pub fn heading(self, text: &str) {
        put(&format!("\n{}", self.paint(text, Colour::Green)));
    }

    /// Whether somebody can answer there.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Writes a text, broken between words.
    pub fn paragraph(self, text: &str) {
        put(&wrapped(&safe(text), self.width.clamp(NARROWEST, WIDEST)).join("\n"));
    }

    /// Writes a question; the answer comes on its line.
    pub fn question(self, text: &str) {
        let _ = write!(std::io::stderr(), "{} ", self.paint(text, Colour::Yellow));
        let _ = std::io::stderr().flush();
    }

    /// A rung of the ladder: a mark, its name, and how it holds.
    pub fn rung(self, rung: &Rung) {
        let (mark, colour, text) = match &rung.hold {
            Hold::Fine(text) => ("✓", Colour::Green, text.clone()),
            Hold::Note(text) => ("!", Colour::Yellow, text.clone()),
            Hold::Broken(error) => {
                let anchor = rung.step.name().replace(' ', "-");
                ("✗", Colour::Red, format!("{error}\nMore about it: docs/credentials.md#{anchor}"))
            }
            Hold::Untried => ("·", Colour::Grey, "not tried".to_owned()),
        };
        let column = Step::ALL.iter().map(|step| step.name().len()).max().unwrap_or(0) + 4;
        let lines = wrapped(&safe(&text), self.width.min(WIDEST).saturating_sub(column).max(NARROWEST));
        let head = format!("{} {:<width$}", self.paint(mark, colour), rung.step.name(), width = column - 2);
        let rest = format!("\n{:column$}", "");
        put(&format!("{head}{}", lines.join(&rest)));
    }
}

/// Nobody is told of a terminal that has gone: the run goes on without it.
fn put(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A text without secrets, and without anything that a terminal obeys: some of it is somebody else's.
#[must_use]
pub fn safe(text: &str) -> String {
    redact::lines(text)
}

/// Breaks a text into lines of so many columns, between words.
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
