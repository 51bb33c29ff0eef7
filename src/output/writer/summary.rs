//! Progress and summary of a run.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::Level;

use crate::http::CallStats;
use crate::output::writer::Writer;
use crate::output::writer::stream::{Progress, counted};
use crate::protocol::{Protocol, airbyte};
use crate::support::terminal::{Terminal, safe};

/// Minimum time between two updates of the progress line.
const REDRAW: Duration = Duration::from_millis(200);
/// Without a terminal, progress is logged this often.
const TOLD_EVERY: Duration = Duration::from_mins(1);
/// From this share of rate-limited calls on, another program probably uses the same app.
const MANY_REFUSED: f64 = 0.05;

pub(crate) struct Summary {
    started: Instant,
    calls: u64,
    /// Calls refused by the rate limit.
    refused: u64,
    failed: u64,
    pub warnings: u64,
    calls_left: Option<usize>,
    /// The terminal on stderr, if stdout goes elsewhere.
    terminal: Option<Terminal>,
    drawn: Option<Instant>,
    pub told: Instant,
}

impl Summary {
    pub(crate) fn new(terminal: Option<Terminal>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            calls: 0,
            refused: 0,
            failed: 0,
            warnings: 0,
            calls_left: None,
            terminal,
            drawn: None,
            told: now,
        }
    }

    pub(crate) fn answered(&mut self, answered: &CallStats) {
        self.calls += 1;
        match answered.status {
            Some(200) => {}
            Some(429) => self.refused += 1,
            _ => self.failed += 1,
        }
        self.calls_left = answered.calls_left.or(self.calls_left);
    }

    fn clear(&mut self) {
        if self.terminal.is_some() && self.drawn.take().is_some() {
            // Errors are ignored: the terminal may be gone.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Writer {
    /// Prints a line at the terminal of a user who does not see stdout.
    pub(crate) fn tell(&mut self, text: &str) {
        self.summary.clear();
        // A tap's logs are already on stderr.
        if let (Some(terminal), Protocol::Airbyte) = (self.summary.terminal, &self.protocol) {
            terminal.line(text);
        }
    }

    pub(crate) fn make_room(&mut self) {
        self.summary.clear();
    }

    pub(crate) fn show_progress(&mut self) {
        let is_due = match self.summary.terminal {
            Some(_) => self.summary.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW),
            None => self.summary.told.elapsed() >= TOLD_EVERY,
        };
        if !is_due || !self.books.iter().any(crate::output::writer::StreamOutput::is_under_way) {
            return;
        }
        let text = self.progress();
        if let Some(terminal) = self.summary.terminal {
            self.summary.drawn = Some(Instant::now());
            let text: String = safe(&text).chars().take(terminal.width().saturating_sub(1)).collect();
            // Errors are ignored: the terminal may be gone.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{text}");
        } else {
            self.summary.told = Instant::now();
            self.line(&airbyte::log(Level::INFO, &format!("So far: {text}.")));
        }
    }

    fn progress(&self) -> String {
        let closed = self.books.iter().filter(|book| book.progress == Progress::Closed).count();
        let records: u64 = self.books.iter().map(|book| book.records).sum();
        let mut text =
            format!("{closed} of {}, {}", counted(self.books.len() as u64, "stream"), counted(records, "record"));
        let done: u64 = self.books.iter().map(|book| book.windows.0).sum();
        let open = self.books.iter().filter(|book| book.progress != Progress::Closed);
        let ahead: u64 = open.map(|book| book.windows.1 as u64).sum();
        if done + ahead > 0 {
            text += &format!(", {done} of {}", counted(done + ahead, "window"));
        }
        if let Some(left) = self.summary.calls_left {
            text += &format!(", {left} calls left this minute");
        }
        if done > 0 && ahead > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let rest = self.summary.started.elapsed().mul_f64(ahead as f64 / done as f64);
            text += &format!(", about {}", span(rest));
        }
        text
    }

    /// Logs the summary, with a hint if there is something to improve.
    pub(crate) fn sum_up(&mut self) {
        if self.books.is_empty() {
            return;
        }
        let summary = &self.summary;
        let records: u64 = self.books.iter().map(|book| book.records).sum();
        // Streams rejected before they started are not in `books`.
        let is_begun =
            |failure: &&String| self.books.iter().any(|book| failure.starts_with(&format!("{}: ", book.stream.name)));
        let refused = self.failures.iter().filter(|failure| !is_begun(failure)).count();
        let mut text = counted((self.books.len() + refused) as u64, "stream");
        if !self.failures.is_empty() {
            text += &format!(", {} incomplete", self.failures.len());
        }
        text += &format!(": {}, {}", counted(records, "record"), counted(summary.calls, "call"));
        let troubles = [(summary.refused, "refused by the rate limit"), (summary.failed, "failed")];
        let troubles = troubles.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let troubles: Vec<_> = troubles.collect();
        if !troubles.is_empty() {
            text += &format!(" ({})", troubles.join(", "));
        }
        text += &format!(", {}", span(summary.started.elapsed()));
        if summary.warnings > 0 {
            text += &format!(", {}", counted(summary.warnings, "warning"));
        }
        let mut texts = vec![text + "."];
        texts.extend(self.hint());
        for text in texts {
            self.tell(&text);
            self.line(&airbyte::log(Level::INFO, &text));
        }
    }

    fn hint(&self) -> Option<String> {
        let splits = self.books.iter().filter_map(|book| Some((book, book.tally.as_ref()?)));
        let mut split = splits.filter(|(_, tally)| tally.splits > tally.windows).map(|(book, _)| &book.stream.name);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let refused = self.summary.refused as f64 / self.summary.calls.max(1) as f64;
        if refused >= MANY_REFUSED && self.summary.refused > 2 {
            let text = "The rate limit refused many calls: another program probably uses the same app. A separate app \
                        would give this one all of the budget.";
            return Some(text.to_owned());
        }
        split.next_back().map(|name| {
            format!("Most responses for {name} hit the row limit. Fewer dimensions or columns would make it faster.")
        })
    }

    /// Prints warnings and errors that go to stdout at the terminal, too.
    pub(crate) fn pass_on(&mut self, message: &Value) {
        let (level, words) = (&message["log"]["level"], message["log"]["message"].as_str());
        if level == "WARN" {
            self.summary.warnings += 1;
        }
        if !matches!(self.protocol, Protocol::Airbyte) || self.summary.terminal.is_none() {
            return;
        }
        let error = &message["trace"]["error"];
        match (level.as_str(), words, error["message"].as_str()) {
            (Some(level @ ("WARN" | "ERROR")), Some(words), _) => self.tell(&format!("{level} {words}")),
            (_, _, Some(words)) => {
                let stream = error["stream_descriptor"]["name"].as_str().map(|name| format!("{name}: "));
                self.tell(&format!("ERROR {}{words}", stream.unwrap_or_default()));
            }
            _ => {}
        }
    }
}

/// A rounded duration.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
