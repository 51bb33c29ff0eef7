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
/// Columns of a stream's name and of its bar, on a wide terminal.
const NAME: usize = 31;
const BAR: usize = 16;
/// The width of a terminal that does not say how wide it is.
const NARROW: usize = 80;
/// More streams under way have no bar of their own.
const MOST: usize = 10;

pub(crate) struct Bars {
    all: MultiProgress,
    /// The line below the bars, once there is something to say.
    total: Option<ProgressBar>,
    streams: BTreeMap<StreamId, ProgressBar>,
    has_colors: bool,
    updated: Option<Instant>,
    /// When Criteo accepts requests again.
    resumes: Option<Instant>,
}

impl Bars {
    pub(crate) fn new(terminal: Terminal) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        Self {
            all,
            total: None,
            streams: BTreeMap::new(),
            has_colors: terminal.has_colors(),
            updated: None,
            resumes: None,
        }
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
        if let Some(total) = self.total.take() {
            total.finish_and_clear();
        }
        // Errors are ignored: the terminal may be gone.
        let _ = self.all.clear();
    }

    /// Whether an update is due.
    pub(crate) fn is_due(&self) -> bool {
        self.updated.is_none_or(|updated| updated.elapsed() >= UPDATE)
    }

    pub(crate) fn update(&mut self, streams: &[StreamOutput], total: &[Part]) {
        self.updated = Some(Instant::now());
        let width = Terminal::stderr().map_or(NARROW, Terminal::width);
        let wait = self.resumes.map(|resumes| resumes.saturating_duration_since(Instant::now()));
        let wait = wait.filter(|wait| !wait.is_zero());
        for (id, stream) in streams.iter().enumerate() {
            if !stream.is_under_way() {
                if let Some(bar) = self.streams.remove(&id) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                continue;
            }
            let is_new = !self.streams.contains_key(&id);
            if is_new && self.streams.len() >= MOST {
                continue;
            }
            let line = Line::new(stream, wait, width, self.has_colors);
            // Complete before it is added, which draws it.
            let bar = self.streams.remove(&id).unwrap_or_else(ProgressBar::hidden);
            line.put_on(&bar);
            let bar = match (is_new, &self.total) {
                (false, _) => bar,
                (true, Some(total)) => self.all.insert_before(total, bar),
                (true, None) => self.all.add(bar),
            };
            self.streams.insert(id, bar);
        }
        if let Some(bar) = &self.total {
            bar.set_message(fitting(total, width));
        } else if !self.streams.is_empty() {
            let bar = ProgressBar::hidden().with_style(style("{wide_msg}")).with_message(fitting(total, width));
            self.total = Some(self.all.add(bar));
        }
    }
}

/// The line of a stream.
struct Line {
    template: String,
    name: String,
    message: String,
    /// Done and known windows.
    windows: Option<(u64, u64)>,
}

impl Line {
    fn new(stream: &StreamOutput, wait: Option<Duration>, width: usize, has_colors: bool) -> Self {
        let (done, ahead) = stream.windows;
        let known = done + ahead as u64;
        let (column, bar) = if width < 100 { (width * 3 / 8, 8) } else { (NAME, BAR) };
        let color = if has_colors { ".green/black.bright" } else { "" };
        // How many pages there are is unknown.
        let (template, room) = if known > 0 {
            (format!("  {{prefix:{column}}} {{bar:{bar}{color}}} {{wide_msg}}"), width.saturating_sub(column + bar + 4))
        } else {
            (format!("  {{prefix:{column}}} {{wide_msg}}"), width.saturating_sub(column + 3))
        };
        let rows = (stream.records > 0).then(|| Part(0, counted(stream.records, "row")));
        let then = match wait {
            Some(wait) => Some(Part(1, format!("waits {} s for the rate limit", wait.as_secs().max(1)))),
            None => (known > 0).then(|| Part(1, format!("{done} of {}", counted(known, "window")))),
        };
        let mut parts: Vec<_> = rows.into_iter().chain(then).collect();
        if parts.is_empty() {
            parts.push(Part(0, "no rows yet".to_owned()));
        }
        Self {
            template,
            name: shortened(&safe(&stream.setup.name), column),
            message: fitting(&parts, room),
            windows: (known > 0).then_some((done, known)),
        }
    }

    fn put_on(self, bar: &ProgressBar) {
        bar.set_style(style(&self.template));
        if let Some((done, known)) = self.windows {
            bar.set_length(known);
            bar.set_position(done);
        }
        bar.set_prefix(self.name);
        bar.set_message(self.message);
    }
}

/// The name, with a mark where it is cut.
fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// A part of a line about the progress, and its rank: those of higher ranks are left out first.
#[derive(Debug, Clone)]
pub(crate) struct Part(pub u8, pub String);

/// The parts that fit a line, in their order.
pub(crate) fn fitting(parts: &[Part], width: usize) -> String {
    let mut parts: Vec<&Part> = parts.iter().collect();
    loop {
        let text = parts.iter().map(|part| part.1.as_str()).collect::<Vec<_>>().join(", ");
        let least = parts.iter().enumerate().max_by_key(|(_, part)| part.0).map(|(index, _)| index);
        match least {
            Some(index) if parts.len() > 1 && text.chars().count() > width => drop(parts.remove(index)),
            _ => return text,
        }
    }
}

/// How far all streams are: parts of a line, and the windows that are done and ahead.
pub(crate) fn overall(streams: &[StreamOutput]) -> (Vec<Part>, u64, u64) {
    let closed = streams.iter().filter(|stream| stream.progress == Progress::Closed).count();
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    let mut parts = vec![Part(0, format!("{closed} of {}", counted(streams.len() as u64, "stream")))];
    if records > 0 {
        parts.push(Part(2, counted(records, "record")));
    }
    let done: u64 = streams.iter().map(|stream| stream.windows.0).sum();
    let open = streams.iter().filter(|stream| stream.progress != Progress::Closed);
    let ahead: u64 = open.map(|stream| stream.windows.1 as u64).sum();
    if done + ahead > 0 {
        parts.push(Part(3, format!("{done} of {}", counted(done + ahead, "window"))));
    }
    (parts, done, ahead)
}

#[cfg(test)]
mod tests {
    use crate::output::progress::*;

    #[test]
    fn lines_fit_the_terminal() {
        let parts = [
            Part(0, "5 of 41 streams".to_owned()),
            Part(2, "1,210,075 records".to_owned()),
            Part(3, "24 of 1,100 windows".to_owned()),
            Part(4, "99,973 requests left this minute".to_owned()),
            Part(1, "about 12 min to go".to_owned()),
        ];
        let at = |width: usize| fitting(&parts, width);
        assert_eq!(at(200).matches(", ").count(), 4);
        assert_eq!(at(80), "5 of 41 streams, 1,210,075 records, 24 of 1,100 windows, about 12 min to go");
        assert_eq!(at(60), "5 of 41 streams, 1,210,075 records, about 12 min to go");
        assert_eq!(at(40), "5 of 41 streams, about 12 min to go");
        assert_eq!(at(5), "5 of 41 streams");
        assert_eq!(shortened("rm_line_item_budget_overrides", 12), "rm_line_ite…");
    }
}
