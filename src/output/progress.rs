//! A bar per stream at the terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::StreamId;
use crate::output::stream::{Progress, StreamOutput};
use crate::support::terminal::{Terminal, safe};
use crate::support::text::counted;

/// How often waits count down while nothing else happens.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Minimum time between two updates.
const UPDATE: Duration = Duration::from_millis(100);
const DRAWS_PER_SECOND: u8 = 10;
/// More streams under way have no bar of their own.
const MOST: usize = 10;

pub(crate) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    streams: BTreeMap<StreamId, ProgressBar>,
    has_colors: bool,
    updated: Option<Instant>,
    /// When Criteo accepts requests again.
    resumes: Option<Instant>,
}

impl Bars {
    pub(crate) fn new(terminal: Terminal) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        let total = all.add(ProgressBar::no_length());
        total.set_style(style("{wide_msg}"));
        Self { all, total, streams: BTreeMap::new(), has_colors: terminal.has_colors(), updated: None, resumes: None }
    }

    /// Runs something that writes to the terminal, with the bars out of the way.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }

    pub(crate) fn wait(&mut self, wait: Duration) {
        self.resumes = Instant::now().checked_add(wait);
        self.updated = None;
    }

    /// Criteo responded, so nothing waits any longer.
    pub(crate) fn resume(&mut self) {
        self.resumes = None;
    }

    /// Removes the bars.
    pub(crate) fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.streams) {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
        // Errors are ignored: the terminal may be gone.
        let _ = self.all.clear();
    }

    /// Whether an update is due.
    pub(crate) fn is_due(&self) -> bool {
        self.updated.is_none_or(|updated| updated.elapsed() >= UPDATE)
    }

    pub(crate) fn update(&mut self, streams: &[StreamOutput], total: &str) {
        self.updated = Some(Instant::now());
        let wait = self.resumes.map(|resumes| resumes.saturating_duration_since(Instant::now()));
        for (id, stream) in streams.iter().enumerate() {
            if !stream.is_under_way() {
                if let Some(bar) = self.streams.remove(&id) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                continue;
            }
            if !self.streams.contains_key(&id) && self.streams.len() < MOST {
                let bar = self.all.insert_before(&self.total, ProgressBar::no_length());
                bar.set_prefix(safe(&stream.setup.name));
                self.streams.insert(id, bar);
            }
            if let Some(bar) = self.streams.get(&id) {
                self.draw(bar, stream, wait);
            }
        }
        self.total.set_message(total.to_owned());
    }

    fn draw(&self, bar: &ProgressBar, stream: &StreamOutput, wait: Option<Duration>) {
        let (done, ahead) = stream.windows;
        let known = done + ahead as u64;
        let template = match (known > 0, self.has_colors) {
            (true, true) => "  {prefix:31} {bar:16.green/black.bright} {wide_msg}",
            (true, false) => "  {prefix:31} {bar:16} {wide_msg}",
            // How many pages there are is unknown.
            (false, _) => "  {prefix:31} {wide_msg}",
        };
        bar.set_style(style(template));
        if known > 0 {
            bar.set_length(known);
            bar.set_position(done);
        }
        let rows = counted(stream.records, "row");
        bar.set_message(match wait.filter(|wait| !wait.is_zero()) {
            Some(wait) => format!("{rows}, waits {} s for the rate limit", wait.as_secs().max(1)),
            None if known > 0 => format!("{rows}, {done} of {}", counted(known, "window")),
            None => rows,
        });
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// How far all streams are, in words.
pub(crate) fn overall(streams: &[StreamOutput]) -> (String, u64, u64) {
    let closed = streams.iter().filter(|stream| stream.progress == Progress::Closed).count();
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    let mut text = format!("{closed} of {}, {}", counted(streams.len() as u64, "stream"), counted(records, "record"));
    let done: u64 = streams.iter().map(|stream| stream.windows.0).sum();
    let open = streams.iter().filter(|stream| stream.progress != Progress::Closed);
    let ahead: u64 = open.map(|stream| stream.windows.1 as u64).sum();
    if done + ahead > 0 {
        text += &format!(", {done} of {}", counted(done + ahead, "window"));
    }
    (text, done, ahead)
}
