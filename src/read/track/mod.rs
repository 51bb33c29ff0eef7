//! Reads one group of advertisers across the calendar: what to request next, how to split truncated responses, and up
//! to which day everything is complete.
//!
//! Pure: no calls, no clock. Windows are planned by day, but written in any order. The cursor moves over days whose
//! slices, and all before them, are done. An unreadable window is a hole: later days continue, and the cursor passes it
//! once one of them is read.
//!
//! ```text
//!  start                                   next                    end
//!  ├── done ──┼── done ──┼─ under way ─┼─ done ┤ not planned yet ───┤
//!             ▲          │             └ written, but the cursor waits
//!             └ complete until here
//!                        └ cut at the cap? by days ─> by advertisers (two tracks) ─> by ad sets (parts)
//! ```

mod outcome;
mod planned;
mod slice;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use crate::model::calendar::{Grain, Window, days_before, window_at};
use crate::model::ids::AdvertiserId;
use crate::read::density::Density;
use crate::read::track::planned::{PlannedWindow, Progress, slots, tiles};
pub use crate::read::track::slice::{Limits, RowSubset, Slice, SplitOutcome};

/// Slices planned after the first one that is not done.
const LOOK_AHEAD: usize = 16;
/// Below this, two windows with the same row count may be a coincidence.
pub const MIN_CAP: u64 = 50;
/// From this value of [`Slice::reads`], rows are accepted as they are.
pub const LAST_READ: u8 = 100;

/// Advertisers that are requested together.
pub type Advertisers = Arc<[AdvertiserId]>;

/// Consecutive failures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Failures {
    /// How many there were.
    pub in_a_row: u32,
    most: u32,
}

impl Failures {
    /// Counts a failure; `true` beyond `most`, as set by the first one.
    pub fn add(&mut self, most: u32) -> bool {
        if self.most == 0 {
            self.most = most;
        }
        self.in_a_row += 1;
        self.in_a_row > self.most
    }
}

/// Why a track is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To advance the cursor.
    Cursor,
    /// Days before it are skipped, so the cursor stays before them.
    AfterGap,
    /// To fill a hole of an earlier sync.
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
    slots: VecDeque<PlannedWindow>,
    /// The parts of single periods, and the days for which they are complete.
    parts: Vec<RowSubset>,
    parts_of: Window,
    /// Rows and bytes of parts, by first day.
    parted: BTreeMap<NaiveDate, (u64, usize)>,
    awaits_ad_sets: bool,
    is_dividing: bool,
    density: Density,
    rows: u64,
    /// The last differing window and its row count.
    differing: Option<(Window, u64)>,
    holes: Vec<Window>,
    /// The last read day before which everything is read or a hole.
    last_read: Option<NaiveDate>,
    /// Why it is read.
    pub purpose: Purpose,
    /// Failures since its last success.
    pub failures: Failures,
}

impl Track {
    /// `range` starts at the border of a period.
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

    /// The days to read.
    #[must_use]
    pub fn range(&self) -> Window {
        Window { start: self.start, end: self.end }
    }

    /// Rows per day, from this run or else from the last one.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        let open: u32 = self.slots.iter().filter(|slot| slot.progress != Progress::Done).map(|s| s.window.days()).sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        match u32::try_from((self.next - self.start).num_days()).unwrap_or(0).saturating_sub(open) {
            0 => self.density.rows_per_day(),
            days => Some(self.rows as f64 / f64::from(days)),
        }
    }

    /// Days that are not planned yet.
    #[must_use]
    pub fn days_left(&self) -> u32 {
        if self.next > self.end { 0 } else { Window { start: self.next, end: self.end }.days() }
    }

    /// The windows to request if nothing more is learned.
    #[must_use]
    pub fn forecast(&self) -> Vec<Window> {
        tiles(Window { start: self.next, end: self.end }, self.window_days(), self.grain)
    }

    /// Whether a slice of this track with this id is under way.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.slots.iter().any(|slot| slot.progress == Progress::UnderWay(id))
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty() && self.next > self.end
    }

    /// Whether all slices of a window are done.
    #[must_use]
    pub fn is_window_done(&self, window: Window) -> bool {
        !self.slots.iter().any(|slot| slot.window == window && slot.progress != Progress::Done)
    }

    /// The leading days that are read or holes. They end with a read day, unless the track fills a hole, which is
    /// before the cursor anyway.
    #[must_use]
    pub fn covered(&self) -> Option<Window> {
        let before_open = days_before(self.slots.front().map_or(self.next, |slot| slot.window.start), 1);
        let end = match self.purpose {
            Purpose::Hole => Some(before_open),
            Purpose::Cursor | Purpose::AfterGap => self.last_read.map(|day| day.min(before_open)),
        };
        end.filter(|day| *day >= self.start).map(|end| Window { start: self.start, end })
    }

    /// The windows that could not be read, covered or not.
    #[must_use]
    pub fn holes(&self) -> &[Window] {
        &self.holes
    }

    /// Whether a response with earlier days was accepted.
    #[must_use]
    pub fn has_read_before(&self, day: NaiveDate) -> bool {
        self.last_read.is_some() || self.slots.iter().any(|slot| slot.is_read && slot.window.start < day)
    }

    /// Whether another slice is under way.
    #[must_use]
    pub fn is_busy_besides(&self, id: u64) -> bool {
        self.slots.iter().any(|slot| matches!(slot.progress, Progress::UnderWay(other) if other != id))
    }

    /// Lowers the most days per request.
    pub fn limit_days(&mut self, days: u32) {
        self.limits.most_days = self.limits.most_days.min(days.max(1));
    }

    /// Starts the next slice, with this id.
    pub fn start(&mut self, id: u64) -> Option<Slice> {
        if self.is_dividing {
            return None;
        }
        let is_waiting = |slot: &PlannedWindow| slot.progress == Progress::Waiting;
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

    /// Splits a slot with too many days: more than Criteo allows, or than probably fit, as learned since it was planned.
    fn shorten(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let is_planned = slot.reads == 0 && slot.refusals == 0 && self.density.is_known();
        let most_days = if is_planned { self.window_days() } else { self.limits.most_days };
        if slot.part.is_some() || slot.window.days() <= most_days {
            return;
        }
        let slot = slot.clone();
        let rest = self.slots.split_off(index + 1);
        self.slots.pop_back();
        let pieces = tiles(slot.window, most_days, self.grain).into_iter();
        self.slots.extend(pieces.map(|window| PlannedWindow { window, ..slot.clone() }));
        self.slots.extend(rest);
    }

    fn window_days(&self) -> u32 {
        self.density.window_days(self.limits.row_cap).min(self.limits.most_days)
    }

    /// Plans the next window and returns the index of its first slot. One at a time while the density is unknown.
    fn plan(&mut self) -> Option<usize> {
        let is_far_enough = self.slots.len() >= LOOK_AHEAD || (!self.density.is_known() && !self.slots.is_empty());
        if self.next > self.end || is_far_enough {
            return None;
        }
        if !self.parts_of.contains(self.next) {
            // The list may lack ad sets that start later.
            self.parts.clear();
        }
        let days = if self.parts.is_empty() { self.window_days() } else { 1 };
        let window = window_at(self.next, self.end, days, self.grain);
        self.next = window.end + Days::new(1);
        let index = self.slots.len();
        self.slots.extend(slots(window, &self.parts, 0));
        Some(index)
    }

    fn park(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::Parked;
        }
    }

    fn slot(&mut self, id: u64) -> Option<&mut PlannedWindow> {
        self.slots.iter_mut().find(|slot| slot.progress == Progress::UnderWay(id))
    }

    fn replace(&mut self, id: u64, by: impl IntoIterator<Item = PlannedWindow>) {
        if let Some(index) = self.slots.iter().position(|slot| slot.progress == Progress::UnderWay(id)) {
            let rest = self.slots.split_off(index + 1);
            self.slots.pop_back();
            self.slots.extend(by);
            self.slots.extend(rest);
        }
    }
}
