//! Counts and summary of a run, and its progress.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::http::CallStats;
use crate::output::progress::{Bars, Part, fitting, overall};
use crate::output::stream::StreamOutput;
use crate::support::terminal::{Color, Terminal};
use crate::support::text::counted;

/// Without a terminal, progress is logged this often.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// From this share of rate-limited calls on, another program probably uses the same app.
const MANY_REFUSED: f64 = 0.05;

/// Requests of a stream, or of a run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Calls {
    pub count: u64,
    /// Refused by the rate limit.
    pub refused: u64,
    pub failed: u64,
    pub waited: Duration,
}

impl Calls {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.refused += other.refused;
        self.failed += other.failed;
        self.waited += other.waited;
    }
}

impl From<&CallStats> for Calls {
    fn from(stats: &CallStats) -> Self {
        let (refused, failed) = match stats.status {
            Some(200) => (0, 0),
            Some(429) => (1, 0),
            _ => (0, 1),
        };
        Self { count: 1, refused, failed, waited: stats.waited }
    }
}

/// The figures of a run: what the summary and the page about the run say.
pub(crate) struct Summary {
    started: Instant,
    /// The duration, once the run is over.
    took: Option<Duration>,
    /// By stream; requests for all streams have none.
    calls: HashMap<Option<String>, Calls>,
    pub warnings: u64,
    calls_left: Option<usize>,
    /// The terminal on stderr, if a user reads there.
    pub terminal: Option<Terminal>,
    bars: Option<Bars>,
    pub last_log: Instant,
}

impl Summary {
    pub(crate) fn new(terminal: Option<Terminal>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            took: None,
            calls: HashMap::new(),
            warnings: 0,
            calls_left: None,
            terminal,
            bars: None,
            last_log: now,
        }
    }

    pub(crate) fn count(&mut self, stream: Option<String>, stats: &CallStats) {
        if let Some(bars) = &mut self.bars {
            bars.resume();
        }
        self.calls.entry(stream).or_default().add(stats.into());
        self.calls_left = stats.calls_left.or(self.calls_left);
    }

    /// The requests of a stream, or those for all streams.
    pub(crate) fn calls_of(&self, stream: Option<&str>) -> Calls {
        self.calls.get(&stream.map(str::to_owned)).copied().unwrap_or_default()
    }

    /// All requests.
    pub(crate) fn all_calls(&self) -> Calls {
        let mut all = Calls::default();
        self.calls.values().for_each(|calls| all.add(*calls));
        all
    }

    /// How long the run took, or takes so far.
    pub(crate) fn duration(&self) -> Duration {
        self.took.unwrap_or_else(|| self.started.elapsed())
    }

    /// Draws bars from now on, unless a reader of stdout writes to the same terminal.
    pub(crate) fn start_bars(&mut self) {
        if self.bars.is_none() && !Terminal::is_shared_with_a_reader() {
            self.bars = self.terminal.map(Bars::new);
        }
    }

    /// Removes the bars.
    pub(crate) fn end_bars(&mut self) {
        if let Some(mut bars) = self.bars.take() {
            bars.clear();
        }
    }

    /// Whether bars are drawn.
    pub(crate) fn has_bars(&self) -> bool {
        self.bars.is_some()
    }

    /// Shows that all streams wait.
    pub(crate) fn wait(&mut self, wait: Duration) {
        if let Some(bars) = &mut self.bars {
            bars.wait(wait);
        }
    }

    /// Runs something that writes to the terminal, with the bars out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Prints a line at the terminal, if there is one.
    pub(crate) fn print(&self, text: &str) {
        if let Some(terminal) = self.terminal {
            self.aside(|| terminal.line(text));
        }
    }

    /// Prints a message at the terminal, if there is one.
    pub(crate) fn message(&self, word: &str, color: Color, text: &str) {
        if let Some(terminal) = self.terminal {
            self.aside(|| terminal.message(word, color, text));
        }
    }

    /// Redraws the bars, if that is due. Without any, returns the text to log.
    pub(crate) fn progress(&mut self, streams: &[StreamOutput]) -> Option<String> {
        if self.bars.as_ref().is_some_and(Bars::is_due) {
            let parts = self.progress_parts(streams);
            if let Some(bars) = &mut self.bars {
                bars.update(streams, &parts);
            }
            return None;
        }
        let is_due = self.bars.is_none() && self.last_log.elapsed() >= LOG_INTERVAL;
        if !is_due || !streams.iter().any(StreamOutput::is_under_way) {
            return None;
        }
        self.last_log = Instant::now();
        Some(fitting(&self.progress_parts(streams), usize::MAX))
    }

    fn progress_parts(&self, streams: &[StreamOutput]) -> Vec<Part> {
        let (mut parts, done, ahead) = overall(streams);
        if let Some(left) = self.calls_left {
            let left = counted(left as u64, "request");
            parts.push(Part(4, format!("{left} left this minute")));
        }
        if done > 0 && ahead > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let rest = self.started.elapsed().mul_f64(ahead as f64 / done as f64);
            parts.push(Part(1, format!("about {} to go", rounded(rest))));
        }
        parts
    }

    /// The summary of the run, and a hint if there is something to improve.
    pub(crate) fn lines(&mut self, streams: &[StreamOutput], failures: &[String]) -> Vec<String> {
        self.took = Some(self.started.elapsed());
        let calls = self.all_calls();
        let records: u64 = streams.iter().map(|stream| stream.records).sum();
        // Streams rejected before they started are only among the failures.
        let is_started =
            |failure: &&String| streams.iter().any(|stream| failure.starts_with(&format!("{}: ", stream.setup.name)));
        let rejected = failures.iter().filter(|failure| !is_started(failure)).count();
        let mut text = counted((streams.len() + rejected) as u64, "stream");
        if !failures.is_empty() {
            text += &format!(", {} incomplete", failures.len());
        }
        text += &format!(": {}, {}", counted(records, "record"), counted(calls.count, "request"));
        let problems = [(calls.refused, "refused by the rate limit"), (calls.failed, "failed")];
        let problems = problems.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let problems: Vec<_> = problems.collect();
        if !problems.is_empty() {
            text += &format!(" ({})", problems.join(", "));
        }
        text += &format!(", {}", duration(self.duration()));
        if self.warnings > 0 {
            text += &format!(", {}", counted(self.warnings, "warning"));
        }
        std::iter::once(text + ".").chain(self.hint(streams)).collect()
    }

    fn hint(&self, streams: &[StreamOutput]) -> Option<String> {
        let tallies = streams.iter().filter_map(|stream| Some((stream, stream.tally.as_ref()?)));
        let calls = self.all_calls();
        let mut split = tallies.filter(|(_, tally)| tally.splits > tally.windows).map(|(stream, _)| &stream.setup.name);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let refused = calls.refused as f64 / calls.count.max(1) as f64;
        if refused >= MANY_REFUSED && calls.refused > 2 {
            let text = "The rate limit refused many requests: another program probably uses the same app. A separate \
                        app would give this one all of the budget.";
            return Some(text.to_owned());
        }
        split.next_back().map(|name| {
            format!("Most responses for {name} hit the row limit. Fewer dimensions or columns would make it faster.")
        })
    }
}

/// A duration.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
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
