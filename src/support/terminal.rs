//! Terminal output, on stderr so that it never mixes with the protocol on stdout.

use std::io::{IsTerminal, Write as _};

use anstream::{AutoStream, ColorChoice};
use supports_hyperlinks::Stream;
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::support::redact;

/// Maximum line width, for readability.
pub(crate) const WIDEST: usize = 110;
pub(crate) const NARROWEST: usize = 30;

/// An interactive terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    has_colors: bool,
    has_links: bool,
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
        Self::of(&std::io::stderr(), AutoStream::choice(&std::io::stderr()), Stream::Stderr)
    }

    /// The terminal on stdout; `None` if it is a file or a pipe.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "nothing is written to it")]
    pub fn stdout() -> Option<Self> {
        Self::of(&std::io::stdout(), AutoStream::choice(&std::io::stdout()), Stream::Stdout)
    }

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd), colors: ColorChoice, kind: Stream) -> Option<Self> {
        stream.is_terminal().then(|| Self {
            width: terminal_size::terminal_size_of(stream).map_or(80, |(width, _)| usize::from(width.0)),
            has_colors: colors != ColorChoice::Never,
            has_links: supports_hyperlinks::on(kind),
        })
    }

    /// Whether a program on the other end of stdout writes to the same terminal, so that nothing may be redrawn there.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "nothing is written to it")]
    pub fn is_shared_with_a_reader() -> bool {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::FileTypeExt as _;
        let file = std::io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
        file.and_then(|file| file.metadata()).is_ok_and(|found| found.file_type().is_fifo())
    }

    /// Whether it shows colors.
    #[must_use]
    pub fn has_colors(self) -> bool {
        self.has_colors
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

    /// The text with its URLs as hyperlinks (OSC 8), if the terminal supports them.
    #[must_use]
    pub fn linked(self, text: &str) -> String {
        if !self.has_links {
            return text.to_owned();
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("https://") {
            let (before, from) = rest.split_at(start);
            let end = from.find(|letter: char| letter.is_whitespace() || "\u{1b}<>\"".contains(letter));
            let url = from.get(..end.unwrap_or(from.len())).unwrap_or(from).trim_end_matches(['.', ',', ';', ':', ')']);
            out += &format!("{before}\u{1b}]8;;{url}\u{1b}\\{url}\u{1b}]8;;\u{1b}\\");
            rest = from.get(url.len()..).unwrap_or_default();
        }
        out + rest
    }

    /// Writes one or several lines.
    pub fn line(self, text: &str) {
        put(&self.linked(&safe(text)));
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
        put(&self.linked(&wrapped(&safe(text), self.text_width()).join("\n")));
    }

    /// Writes a mark, a name and a text that is wrapped beside them.
    pub fn entry(self, mark: &str, color: Color, name: &str, column: usize, text: &str) {
        put(&self.entry_text(mark, color, name, column, text));
    }

    /// The lines of [`Self::entry`].
    #[must_use]
    pub fn entry_text(self, mark: &str, color: Color, name: &str, column: usize, text: &str) -> String {
        let indent = " ".repeat(column + 4);
        let lines = wrapped(&safe(text), self.text_width().saturating_sub(indent.len()).max(NARROWEST));
        let head = format!("{} {:<column$}  ", self.paint(mark, color), safe(name));
        self.linked(&(head + &lines.join(&format!("\n{indent}"))))
    }

    /// Writes a message with a word before it that says what it is.
    pub fn message(self, word: &str, color: Color, text: &str) {
        let lines = wrapped(&safe(&format!("{word}: {text}")), self.text_width());
        let text = lines.join("\n");
        let rest = text.strip_prefix(word).unwrap_or(&text);
        put(&self.linked(&format!("{}{rest}", self.paint(word, color))));
    }

    fn text_width(self) -> usize {
        self.width.clamp(NARROWEST, WIDEST)
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

/// The text of clap about invalid arguments, without secrets and control characters, and with color if stderr shows it.
#[must_use]
pub fn mistake(text: &str) -> String {
    let text = safe(text);
    let Some(terminal) = Terminal::stderr().filter(|terminal| terminal.has_colors) else { return text };
    let marks = [("error:", Color::Red), ("tip:", Color::Yellow), ("Usage:", Color::Green)];
    marks.iter().fold(text, |text, (mark, color)| text.replacen(mark, &terminal.paint(mark, *color), 1))
}

/// Wraps text between words to `width` columns.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
        .break_words(false);
    text.lines().flat_map(|line| textwrap::wrap(line, &options)).map(std::borrow::Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::support::terminal::*;

    #[test]
    fn urls_become_links_without_the_mark_after_them() {
        let terminal = Terminal { width: 80, has_colors: false, has_links: true };
        let shown = terminal.linked("see https://a.example/b?c=1#d. Or https://e.example)");
        let link = |url: &str| format!("\u{1b}]8;;{url}\u{1b}\\{url}\u{1b}]8;;\u{1b}\\");
        assert_eq!(shown, format!("see {}. Or {})", link("https://a.example/b?c=1#d"), link("https://e.example")));
        assert_eq!(Terminal { has_links: false, ..terminal }.linked("https://a.example"), "https://a.example");
    }
}
