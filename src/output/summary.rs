//! Progress and summary of a run.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::http::CallStats;
use crate::output::stream::{Progress, StreamOutput};
use crate::support::terminal::{Terminal, safe};
use crate::support::text::counted;

/// Minimum time between two updates of the progress line.
const REDRAW: Duration = Duration::from_millis(200);
/// Without a terminal, progress is logged this often.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
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
    last_redraw: Option<Instant>,
    pub last_log: Instant,
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
            last_redraw: None,
            last_log: now,
        }
    }

    pub(crate) fn count(&mut self, stats: &CallStats) {
        self.calls += 1;
        match stats.status {
            Some(200) => {}
            Some(429) => self.refused += 1,
            _ => self.failed += 1,
        }
        self.calls_left = stats.calls_left.or(self.calls_left);
    }

    pub(crate) fn clear_progress(&mut self) {
        if self.terminal.is_some() && self.last_redraw.take().is_some() {
            // Errors are ignored: the terminal may be gone.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }

    /// Prints a line at the terminal, if there is one.
    pub(crate) fn print(&self, text: &str) {
        if let Some(terminal) = self.terminal {
            terminal.line(text);
        }
    }

    /// Redraws the progress at the terminal, if it is due. Without a terminal, returns the text to log.
    pub(crate) fn progress(&mut self, streams: &[StreamOutput]) -> Option<String> {
        let is_due = match self.terminal {
            Some(_) => self.last_redraw.is_none_or(|drawn| drawn.elapsed() >= REDRAW),
            None => self.last_log.elapsed() >= LOG_INTERVAL,
        };
        if !is_due || !streams.iter().any(StreamOutput::is_under_way) {
            return None;
        }
        let text = self.progress_text(streams);
        let Some(terminal) = self.terminal else {
            self.last_log = Instant::now();
            return Some(text);
        };
        self.last_redraw = Some(Instant::now());
        let text: String = safe(&text).chars().take(terminal.width().saturating_sub(1)).collect();
        // Errors are ignored: the terminal may be gone.
        let _ = write!(std::io::stderr(), "\r\u{1b}[K{text}");
        None
    }

    fn progress_text(&self, streams: &[StreamOutput]) -> String {
        let closed = streams.iter().filter(|stream| stream.progress == Progress::Closed).count();
        let records: u64 = streams.iter().map(|stream| stream.records).sum();
        let mut text =
            format!("{closed} of {}, {}", counted(streams.len() as u64, "stream"), counted(records, "record"));
        let done: u64 = streams.iter().map(|stream| stream.windows.0).sum();
        let open = streams.iter().filter(|stream| stream.progress != Progress::Closed);
        let ahead: u64 = open.map(|stream| stream.windows.1 as u64).sum();
        if done + ahead > 0 {
            text += &format!(", {done} of {}", counted(done + ahead, "window"));
        }
        if let Some(left) = self.calls_left {
            text += &format!(", {left} requests left this minute");
        }
        if done > 0 && ahead > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let rest = self.started.elapsed().mul_f64(ahead as f64 / done as f64);
            text += &format!(", about {}", rounded(rest));
        }
        text
    }

    /// The summary of the run, and a hint if there is something to improve.
    pub(crate) fn lines(&self, streams: &[StreamOutput], failures: &[String]) -> Vec<String> {
        let records: u64 = streams.iter().map(|stream| stream.records).sum();
        // Streams rejected before they started are only among the failures.
        let is_started =
            |failure: &&String| streams.iter().any(|stream| failure.starts_with(&format!("{}: ", stream.setup.name)));
        let rejected = failures.iter().filter(|failure| !is_started(failure)).count();
        let mut text = counted((streams.len() + rejected) as u64, "stream");
        if !failures.is_empty() {
            text += &format!(", {} incomplete", failures.len());
        }
        text += &format!(": {}, {}", counted(records, "record"), counted(self.calls, "request"));
        let problems = [(self.refused, "refused by the rate limit"), (self.failed, "failed")];
        let problems = problems.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let problems: Vec<_> = problems.collect();
        if !problems.is_empty() {
            text += &format!(" ({})", problems.join(", "));
        }
        text += &format!(", {}", rounded(self.started.elapsed()));
        if self.warnings > 0 {
            text += &format!(", {}", counted(self.warnings, "warning"));
        }
        std::iter::once(text + ".").chain(self.hint(streams)).collect()
    }

    fn hint(&self, streams: &[StreamOutput]) -> Option<String> {
        let tallies = streams.iter().filter_map(|stream| Some((stream, stream.tally.as_ref()?)));
        let mut split = tallies.filter(|(_, tally)| tally.splits > tally.windows).map(|(stream, _)| &stream.setup.name);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let refused = self.refused as f64 / self.calls.max(1) as f64;
        if refused >= MANY_REFUSED && self.refused > 2 {
            let text = "The rate limit refused many requests: another program probably uses the same app. A separate \
                        app would give this one all of the budget.";
            return Some(text.to_owned());
        }
        split.next_back().map(|name| {
            format!("Most responses for {name} hit the row limit. Fewer dimensions or columns would make it faster.")
        })
    }
}

/// A rounded duration.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
