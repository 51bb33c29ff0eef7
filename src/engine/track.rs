//! One group of advertisers on its way through the calendar: what to ask for next, what to do with an answer that was
//! cut, and up to which day everything is complete.
//!
//! Pure: it knows neither calls nor the clock. Windows are planned in the order of days and may be answered in any other:
//! an answer is written when it is there, and the cursor moves over days whose slices, and all before them, are done. A
//! window that cannot be read is a hole: the days behind it go on, and the cursor passes it once something behind it is read.
//!
//! ```text
//!  start                                   next                    end
//!  ├── done ──┼── done ──┼─ under way ─┼─ done ┤ not planned yet ───┤
//!             ▲          │             └ written, but the cursor waits
//!             └ complete until here
//!                        └ cut at the cap? by days ─> by advertisers (two tracks) ─> by ad sets (parts)
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use super::density::Density;
use super::slice::{Window, days_before, period_end, window_at};
use crate::config::AdvertiserId;
use crate::streams::metrics::Grain;

/// Slices that are planned ahead of the first one that is not done.
const LOOK_AHEAD: usize = 16;
/// A number of rows that is no chance when it comes twice.
pub const LEAST_CAP: u64 = 50;
/// The value of [`Slice::reads`] from which on rows are taken as they are.
pub const LAST_READ: u8 = 100;

/// Advertisers that are asked for together.
pub type Advertisers = Arc<[AdvertiserId]>;

/// What a request of a part of the rows is restricted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Ad sets.
    pub ad_sets: Arc<[String]>,
    /// The environment of placements; `None` means all.
    pub environment: Option<&'static str>,
}

impl Part {
    fn of(ad_sets: &[String]) -> Self {
        Self { ad_sets: ad_sets.into(), environment: None }
    }
}

/// The bounds of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The number of rows at which an answer is cut.
    pub row_cap: u64,
    /// The most days.
    pub most_days: u32,
    /// Parts that a single ad set can be asked for in.
    pub environments: &'static [&'static str],
}

/// What one request asks for.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Tells it from every other slice of the stream.
    pub id: u64,
    /// The days.
    pub window: Window,
    /// The advertisers.
    pub advertisers: Advertisers,
    /// The part of the rows; `None` means all.
    pub part: Option<Part>,
    /// How often these days have been read before, because their numbers differed from the totals.
    pub reads: u8,
    /// How often Criteo has refused this request.
    pub refusals: u8,
    /// Whether a larger slice that held this one has failed.
    pub is_suspect: bool,
    /// Set when its rows add up to less than the totals say.
    pub is_short: bool,
    /// How large the answer will probably be.
    pub expected_bytes: usize,
}

impl Slice {
    /// Whether these days have been read before.
    #[must_use]
    pub fn is_reread(&self) -> bool {
        self.reads > 0
    }
}

/// What became of a slice that was too much.
#[derive(Debug)]
pub enum Cut {
    /// It will be asked for in smaller pieces, by days, advertisers or known ad sets.
    Smaller,
    /// It is one period of one advertiser: only its ad sets can make it smaller.
    NeedsAdSets,
    /// It cannot be made smaller.
    Unsplittable,
}

/// Failures without a success between them.
#[derive(Debug, Default, Clone, Copy)]
pub struct Failures {
    /// How many there were.
    pub in_a_row: u32,
    most: u32,
}

impl Failures {
    /// Counts one more; `true` when there are more than `most`, as the first of them has set it.
    pub fn add(&mut self, most: u32) -> bool {
        if self.most == 0 {
            self.most = most;
        }
        self.in_a_row += 1;
        self.in_a_row > self.most
    }
}

/// What a track reads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The cursor follows it.
    Cursor,
    /// Days before it are left out, so the cursor stays before these.
    BehindGap,
    /// Days that an earlier sync could not read.
    Hole,
}

/// One group of advertisers with the same cursor.
#[derive(Debug, Clone)]
pub struct Track {
    advertisers: Advertisers,
    grain: Grain,
    limits: Limits,
    start: NaiveDate,
    next: NaiveDate,
    end: NaiveDate,
    slots: VecDeque<Slot>,
    /// The parts that single periods are asked for in, and the days for which they are all parts.
    parts: Vec<Part>,
    parts_of: Window,
    /// Rows and bytes of the parts of a window, by its first day.
    parted: BTreeMap<NaiveDate, (u64, usize)>,
    awaits_ad_sets: bool,
    is_dividing: bool,
    density: Density,
    rows: u64,
    /// The last window whose sums were others than the totals, and how many rows it had.
    differing: Option<(Window, u64)>,
    /// Windows that could not be read.
    holes: Vec<Window>,
    /// The last day that has been read with everything before it read or a hole.
    last_read: Option<NaiveDate>,
    /// What it reads for.
    pub purpose: Purpose,
    /// What went wrong since its last answer.
    pub failures: Failures,
}

#[derive(Debug, Clone)]
struct Slot {
    window: Window,
    part: Option<Part>,
    reads: u8,
    refusals: u8,
    is_suspect: bool,
    /// Whether what it asks for has been read, once it is done.
    is_read: bool,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    UnderWay(u64),
    /// Too much at once: waits for the ad sets to be known, or for the track to be divided.
    Parked,
    /// Refused: waits for everything before it to be done.
    Behind,
    Done,
}

impl Track {
    /// A track over the days of `range`, which begins at the border of a period.
    #[must_use]
    pub fn new(advertisers: Advertisers, range: Window, grain: Grain, limits: Limits, density: Density) -> Self {
        Self {
            advertisers,
            grain,
            limits,
            start: range.start,
            next: range.start,
            end: range.end,
            slots: VecDeque::new(),
            parts: Vec::new(),
            parts_of: range,
            parted: BTreeMap::new(),
            awaits_ad_sets: false,
            is_dividing: false,
            density,
            rows: 0,
            differing: None,
            holes: Vec::new(),
            last_read: None,
            purpose: Purpose::Cursor,
            failures: Failures::default(),
        }
    }

    /// Its advertisers.
    #[must_use]
    pub fn advertisers(&self) -> &Advertisers {
        &self.advertisers
    }

    /// Rows a day: those seen in this run, or else those that the last one saw.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        let open: u32 = self.slots.iter().filter(|slot| slot.progress != Progress::Done).map(|s| s.window.days()).sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        match u32::try_from((self.next - self.start).num_days()).unwrap_or(0).saturating_sub(open) {
            0 => self.density.rows_per_day(),
            days => Some(self.rows as f64 / f64::from(days)),
        }
    }

    /// How many days are not planned yet.
    #[must_use]
    pub fn days_left(&self) -> u32 {
        if self.next > self.end { 0 } else { Window { start: self.next, end: self.end }.days() }
    }

    /// The windows that would be asked for if nothing more were learned.
    #[must_use]
    pub fn forecast(&self) -> Vec<Window> {
        tiles(Window { start: self.next, end: self.end }, self.window_days(), self.grain)
    }

    /// Whether the slice is one of this track's, under way.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.slots.iter().any(|slot| slot.progress == Progress::UnderWay(id))
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty() && self.next > self.end
    }

    /// Whether everything of a window is done.
    #[must_use]
    pub fn is_window_done(&self, window: Window) -> bool {
        !self.slots.iter().any(|slot| slot.window == window && slot.progress != Progress::Done)
    }

    /// The days from the first one on that are read or known holes; `None` when there are none yet. They end with a day that
    /// was read, unless the track reads a hole: its last day lies before the cursor in any case.
    #[must_use]
    pub fn covered(&self) -> Option<Window> {
        let before_open = days_before(self.slots.front().map_or(self.next, |slot| slot.window.start), 1);
        let end = match self.purpose {
            Purpose::Hole => Some(before_open),
            Purpose::Cursor | Purpose::BehindGap => self.last_read.map(|day| day.min(before_open)),
        };
        end.filter(|day| *day >= self.start).map(|end| Window { start: self.start, end })
    }

    /// The windows that could not be read, whatever is covered.
    #[must_use]
    pub fn holes(&self) -> &[Window] {
        &self.holes
    }

    /// Whether any answer for these advertisers was accepted whose days begin before this one.
    #[must_use]
    pub fn has_read_before(&self, day: NaiveDate) -> bool {
        self.last_read.is_some() || self.slots.iter().any(|slot| slot.is_read && slot.window.start < day)
    }

    /// Whether something besides this slice is under way.
    #[must_use]
    pub fn is_busy_besides(&self, id: u64) -> bool {
        self.slots.iter().any(|slot| matches!(slot.progress, Progress::UnderWay(other) if other != id))
    }

    /// The most days that are asked for at once from now on.
    pub fn limit_days(&mut self, days: u32) {
        self.limits.most_days = self.limits.most_days.min(days.max(1));
    }

    /// The next slice to ask for, which is then under way with this id.
    pub fn start(&mut self, id: u64) -> Option<Slice> {
        if self.is_dividing {
            return None;
        }
        let is_waiting = |slot: &Slot| slot.progress == Progress::Waiting;
        let index = match self.slots.iter().position(is_waiting) {
            Some(index) => index,
            None => self.plan()?,
        };
        self.shorten(index);
        let slot = self.slots.get_mut(index)?;
        slot.progress = Progress::UnderWay(id);
        Some(Slice {
            id,
            window: slot.window,
            advertisers: Arc::clone(&self.advertisers),
            part: slot.part.clone(),
            reads: slot.reads,
            refusals: slot.refusals,
            is_suspect: slot.is_suspect,
            is_short: false,
            expected_bytes: self.density.expected_bytes(slot.window),
        })
    }

    /// Cuts a slot that was planned for more days than are asked for at once by now.
    fn shorten(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        if slot.part.is_some() || slot.window.days() <= self.limits.most_days {
            return;
        }
        let slot = slot.clone();
        let behind = self.slots.split_off(index + 1);
        self.slots.pop_back();
        let pieces = tiles(slot.window, self.limits.most_days, self.grain).into_iter();
        self.slots.extend(pieces.map(|window| Slot { window, ..slot.clone() }));
        self.slots.extend(behind);
    }

    fn window_days(&self) -> u32 {
        self.density.window_days(self.limits.row_cap).min(self.limits.most_days)
    }

    /// Plans the next window and returns the place of its first slot. Without knowledge of the density there is one
    /// window at a time.
    fn plan(&mut self) -> Option<usize> {
        let is_far_enough = self.slots.len() >= LOOK_AHEAD || (!self.density.is_known() && !self.slots.is_empty());
        if self.next > self.end || is_far_enough {
            return None;
        }
        if !self.parts_of.contains(self.next) {
            // Ad sets that begin later may not be among them.
            self.parts.clear();
        }
        let days = if self.parts.is_empty() { self.window_days() } else { 1 };
        let window = window_at(self.next, self.end, days, self.grain);
        self.next = window.end + Days::new(1);
        let index = self.slots.len();
        self.slots.extend(slots(window, &self.parts, 0));
        Some(index)
    }

    /// The answer to a slice is whole and on its way to be written.
    pub fn done(&mut self, id: u64, rows: u64, bytes: usize) {
        let Some(slot) = self.slot(id) else { return };
        (slot.progress, slot.is_read) = (Progress::Done, true);
        let (window, is_part) = (slot.window, slot.part.is_some());
        self.rows += rows;
        self.failures = Failures::default();
        if is_part {
            let sum = self.parted.entry(window.start).or_default();
            *sum = (sum.0 + rows, sum.1 + bytes);
            if self.is_window_done(window)
                && let Some((rows, bytes)) = self.parted.remove(&window.start)
                && rows < self.limits.row_cap / 10 * 6
            {
                // The busy days are over.
                self.parts.clear();
                self.density.learn(window, rows, bytes);
            }
        } else {
            self.density.learn(window, rows, bytes);
        }
        self.forget_done();
    }

    fn forget_done(&mut self) {
        while let Some(slot) = self.slots.front().filter(|slot| slot.progress == Progress::Done) {
            if slot.is_read {
                self.last_read = self.last_read.max(Some(slot.window.end));
            }
            self.slots.pop_front();
        }
        if self.slots.front().is_some_and(|slot| slot.progress == Progress::Behind) {
            for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::Behind) {
                slot.progress = Progress::Waiting;
            }
        }
    }

    /// A slice cannot be read: it becomes a hole, and everything else goes on.
    pub fn give_up(&mut self, id: u64) {
        let Some(slot) = self.slot(id) else { return };
        slot.progress = Progress::Done;
        let window = slot.window;
        // The parts of one window may fail one by one.
        if !self.holes.contains(&window) {
            self.holes.push(window); // guard: holes
        }
        self.forget_done();
    }

    /// What is asked for from now on in place of this slice has failed once, as a part of it.
    pub fn suspect(&mut self, window: Window) {
        let parts =
            self.slots.iter_mut().filter(|slot| window.start <= slot.window.start && slot.window.end <= window.end);
        parts.for_each(|slot| slot.is_suspect = true);
    }

    /// Criteo serves nothing before `day`, the border of a period: what lies before it is not asked for.
    pub fn begin_at(&mut self, day: NaiveDate) {
        let keeps = |slot: &Slot| slot.window.end >= day || slot.progress == Progress::Done;
        self.slots.retain(keeps);
        for slot in self.slots.iter_mut().filter(|slot| slot.window.start < day && slot.window.end >= day) {
            if slot.progress != Progress::Done {
                // What is under way is asked for again; its answer belongs to nobody any more.
                (slot.window.start, slot.progress) = (day, Progress::Waiting);
            }
        }
        self.next = self.next.max(day);
        self.start = self.start.max(day);
        self.forget_done();
    }

    /// Asks for a slice once more that Criteo has refused.
    pub fn ask_again(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::Waiting;
            slot.refusals = slot.refusals.saturating_add(1);
        }
    }

    /// Whether all days before a slice are done.
    #[must_use]
    pub fn is_first(&self, id: u64) -> bool {
        self.slots.front().is_some_and(|slot| slot.progress == Progress::UnderWay(id))
    }

    /// Lets a slice wait until all days before it are done.
    pub fn wait_for_days_before(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::Behind;
        }
    }

    /// Lets a slice wait until [`go_on`](Self::go_on).
    pub fn wait(&mut self, id: u64) {
        self.park(id);
    }

    /// Asks for what was to wait.
    pub fn go_on(&mut self) {
        self.resume_parked();
    }

    /// Asks for a slice a last time, whose rows are then taken as they are.
    pub fn read_at_last(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            (slot.progress, slot.reads) = (Progress::Waiting, LAST_READ);
        }
    }

    /// The ad sets cannot be had: the periods that wait for them are asked for again, each by itself.
    pub fn cannot_part(&mut self) {
        self.awaits_ad_sets = false;
        self.resume_parked();
    }

    fn resume_parked(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::Parked) {
            slot.progress = Progress::Waiting;
        }
    }

    /// Nothing from the first day of this slice on is asked for any more, and what lies before it goes on.
    pub fn stop_before(&mut self, id: u64) {
        let Some(day) = self.slot(id).map(|slot| slot.window.start) else { return };
        self.slots.retain(|slot| slot.window.start < day || slot.progress == Progress::Done);
        self.end = days_before(day, 1);
        self.next = day;
        (self.awaits_ad_sets, self.is_dividing) = (false, false);
        self.resume_parked();
        self.forget_done();
    }

    /// The sums of a slice of so many rows are others than the totals in the periods from `first` to `last`: these are read
    /// once more, in pieces of as many days as agree, or in halves and then eighths where none does; so is what lies around.
    /// `false` when a single period has been read twice. Two windows in a row with one number of rows give away a cap that
    /// nobody has documented, and later windows are planned for it.
    pub fn reread(&mut self, id: u64, rows: u64, first: NaiveDate, last: NaiveDate) -> bool {
        let grain = self.grain;
        let Some(slot) = self.slot(id) else { return true };
        let (window, reads) = (slot.window, slot.reads);
        if let Some((before, same)) = self.differing.replace((window, rows))
            && same == rows
            && rows >= LEAST_CAP
            && before.start != window.start
        {
            self.limits.row_cap = self.limits.row_cap.min(rows);
        }
        let agreeing_days = u32::try_from((first - window.start).num_days()).unwrap_or(0);
        let last = period_end(last, grain).min(window.end);
        if first > window.start || last < window.end {
            let mut pieces = Vec::new();
            if first > window.start {
                pieces.push(Slot::waiting(Window { end: days_before(first, 1), ..window }, None, 0));
            }
            // If an answer was cut, as many days fit into one as agree.
            let differing = tiles(Window { start: first, end: last }, agreeing_days.max(1), grain);
            pieces.extend(differing.into_iter().map(|window| Slot::waiting(window, None, reads.saturating_add(1))));
            if last < window.end {
                pieces.push(Slot::waiting(Window { start: last + Days::new(1), ..window }, None, 0));
            }
            self.replace(id, pieces);
            return true;
        }
        // All of it: in halves at first, and then in eighths.
        let parts = if reads > 0 { 8 } else { 2 };
        let days = (window.days() / parts).max(1);
        let pieces = tiles(window, days, grain);
        if pieces.len() > 1 {
            self.replace(id, pieces.into_iter().map(|window| Slot::waiting(window, None, reads.saturating_add(1))));
            return true;
        }
        if let Some(slot) = self.slot(id) {
            (slot.progress, slot.reads) = (Progress::Waiting, reads.saturating_add(1));
        }
        reads == 0
    }

    /// The answer to a slice was cut: asks for less.
    pub fn cut(&mut self, id: u64) -> Cut {
        let grain = self.grain;
        let Some(slot) = self.slot(id) else { return Cut::Smaller };
        let (window, reads, part) = (slot.window, slot.reads, slot.part.clone());
        if let Some(part) = part {
            let (left, right) = part.ad_sets.split_at(part.ad_sets.len() / 2);
            let pieces: Vec<Part> = match (left, part.environment) {
                ([], Some(_)) => return Cut::Unsplittable,
                ([], None) if self.limits.environments.is_empty() => return Cut::Unsplittable,
                ([], None) => {
                    let environments = self.limits.environments.iter();
                    environments.map(|name| Part { environment: Some(name), ..part.clone() }).collect()
                }
                _ => vec![Part::of(left), Part::of(right)],
            };
            // A slice that was planned before may have found out the same.
            if let Some(index) = self.parts.iter().position(|known| *known == part) {
                self.parts.splice(index..=index, pieces.clone());
            }
            self.replace(id, pieces.into_iter().map(|piece| Slot::waiting(window, Some(piece), reads)));
            return Cut::Smaller;
        }
        if let Some((left, right)) = window.halves(grain) {
            self.density.learn_too_long(window);
            self.replace(id, [left, right].map(|window| Slot::waiting(window, None, reads)));
            return Cut::Smaller;
        }
        if self.advertisers.len() > 1 {
            self.divide(id);
            return Cut::Smaller;
        }
        // Ad sets that have run on other days only are not in the list.
        if !self.parts.is_empty() && self.parts_of.contains(window.start) {
            let parts = slots(window, &self.parts, reads);
            self.replace(id, parts);
            return Cut::Smaller;
        }
        if std::mem::replace(&mut self.awaits_ad_sets, true) {
            self.park(id);
            return Cut::Smaller;
        }
        Cut::NeedsAdSets
    }

    /// Asks for the days of `window`, which begins with this slice, in parts: these are all ad sets with rows in these days.
    /// `false` when there is nothing to part. Rows of environments that nobody knows of could not be asked for by them.
    pub fn part(&mut self, id: u64, window: Window, ad_sets: &[String], has_unknown_environments: bool) -> bool {
        self.awaits_ad_sets = false;
        if has_unknown_environments {
            self.limits.environments = &[];
        }
        if self.slot(id).is_none() || ad_sets.len() <= usize::from(self.limits.environments.is_empty()) {
            return false;
        }
        let (left, right) = ad_sets.split_at(ad_sets.len() / 2);
        self.parts = match left {
            [] => vec![Part::of(right)],
            left => vec![Part::of(left), Part::of(right)],
        };
        self.parts_of = window;
        self.park(id);
        let waiting: Vec<_> = self.slots.drain(..).collect();
        for mut slot in waiting {
            if slot.progress != Progress::Parked {
                self.slots.push_back(slot);
            } else if window.contains(slot.window.start) {
                self.slots.extend(slots(slot.window, &self.parts, slot.reads));
            } else {
                slot.progress = Progress::Waiting;
                self.slots.push_back(slot);
            }
        }
        true
    }

    /// Divides the advertisers as soon as nothing of the track is under way; until then nothing new is asked for.
    pub fn divide(&mut self, id: u64) {
        self.park(id);
        self.is_dividing = true;
    }

    /// The two halves of a track that is to be divided, when nothing of it is under way.
    #[must_use]
    pub fn divided(&self) -> Option<[Self; 2]> {
        let is_busy = self.slots.iter().any(|slot| matches!(slot.progress, Progress::UnderWay(_)));
        let (left, right) = self.advertisers.split_at(self.advertisers.len() / 2);
        (self.is_dividing && !is_busy && !left.is_empty()).then(|| {
            [left, right].map(|half| Self {
                density: Density::cautious(),
                rows: self.rows / 2,
                ..self.restricted_to(half.into())
            })
        })
    }

    /// The same days for some of the advertisers. What is done stays done; what is under way is asked for again, and the
    /// answers to the old slices belong to nobody any more.
    #[must_use]
    pub fn restricted_to(&self, advertisers: Advertisers) -> Self {
        let mut track = Self { advertisers, is_dividing: false, awaits_ad_sets: false, ..self.clone() };
        for slot in track.slots.iter_mut().filter(|slot| slot.progress != Progress::Done) {
            slot.progress = Progress::Waiting;
        }
        track
    }

    fn park(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::Parked;
        }
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.progress == Progress::UnderWay(id))
    }

    fn replace(&mut self, id: u64, by: impl IntoIterator<Item = Slot>) {
        if let Some(index) = self.slots.iter().position(|slot| slot.progress == Progress::UnderWay(id)) {
            let behind = self.slots.split_off(index + 1);
            self.slots.pop_back();
            self.slots.extend(by);
            self.slots.extend(behind);
        }
    }
}

impl Slot {
    fn waiting(window: Window, part: Option<Part>, reads: u8) -> Self {
        Self { window, part, reads, refusals: 0, is_suspect: false, is_read: false, progress: Progress::Waiting }
    }
}

/// A window in pieces of so many days, cut at the borders of periods.
fn tiles(window: Window, days: u32, grain: Grain) -> Vec<Window> {
    let mut tiles = Vec::new();
    let mut next = window.start;
    while next <= window.end {
        let tile = window_at(next, window.end, days, grain);
        tiles.push(tile);
        next = tile.end + Days::new(1);
    }
    tiles
}

/// The slots of a window: one, or one for each part.
fn slots(window: Window, parts: &[Part], reads: u8) -> Vec<Slot> {
    match parts {
        [] => vec![Slot::waiting(window, None, reads)],
        parts => parts.iter().map(|part| Slot::waiting(window, Some(part.clone()), reads)).collect(),
    }
}

#[cfg(test)]
mod tests;
