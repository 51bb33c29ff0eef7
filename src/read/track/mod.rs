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

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use crate::model::calendar::{Grain, Window, days_before, period_end, window_at};
use crate::model::ids::AdvertiserId;
use crate::read::density::Density;

/// Slices planned after the first one that is not done.
const LOOK_AHEAD: usize = 16;
/// Below this, two windows with the same row count may be a coincidence.
pub const MIN_CAP: u64 = 50;
/// From this value of [`Slice::reads`], rows are accepted as they are.
pub const LAST_READ: u8 = 100;

/// Advertisers that are requested together.
pub type Advertisers = Arc<[AdvertiserId]>;

/// The part of the rows to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSubset {
    /// Ad sets.
    pub ad_sets: Arc<[String]>,
    /// The environment of placements; `None` means all.
    pub environment: Option<&'static str>,
}

impl RowSubset {
    fn of(ad_sets: &[String]) -> Self {
        Self { ad_sets: ad_sets.into(), environment: None }
    }
}

/// The limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The number of rows at which a response is truncated.
    pub row_cap: u64,
    /// The most days.
    pub most_days: u32,
    /// The environments by which a single ad set can be split.
    pub environments: &'static [&'static str],
}

/// What one request covers.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Unique within the stream.
    pub id: u64,
    /// The days.
    pub window: Window,
    /// The advertisers.
    pub advertisers: Advertisers,
    /// The part of the rows; `None` for all.
    pub part: Option<RowSubset>,
    /// How often these days were read because their sums differed.
    pub reads: u8,
    /// How often Criteo has refused this request.
    pub refusals: u8,
    /// Whether a larger slice around this one failed.
    pub is_suspect: bool,
    /// Whether its rows add up to less than the totals.
    pub is_short: bool,
    /// The estimated size of the response.
    pub expected_bytes: usize,
}

impl Slice {
    /// Whether these days have been read before.
    #[must_use]
    pub fn is_reread(&self) -> bool {
        self.reads > 0
    }
}

/// The result of splitting a slice.
#[derive(Debug)]
pub enum SplitOutcome {
    /// By days, advertisers or known ad sets.
    Smaller,
    /// One period of one advertiser: only ad sets can split it.
    NeedsAdSets,
    /// It cannot be split.
    Unsplittable,
}

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

#[derive(Debug, Clone)]
struct PlannedWindow {
    window: Window,
    part: Option<RowSubset>,
    reads: u8,
    refusals: u8,
    is_suspect: bool,
    is_read: bool,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    UnderWay(u64),
    /// Too large: waits for ad sets or for the track to be divided.
    Parked,
    /// Refused: waits for all earlier days.
    WaitsForEarlier,
    Done,
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

    /// Splits a slot with too many days.
    fn shorten(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        if slot.part.is_some() || slot.window.days() <= self.limits.most_days {
            return;
        }
        let slot = slot.clone();
        let rest = self.slots.split_off(index + 1);
        self.slots.pop_back();
        let pieces = tiles(slot.window, self.limits.most_days, self.grain).into_iter();
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

    /// The response is complete and on its way to the output.
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
                // The windows are small again: stop splitting by ad sets.
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
        if self.slots.front().is_some_and(|slot| slot.progress == Progress::WaitsForEarlier) {
            for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::WaitsForEarlier) {
                slot.progress = Progress::Waiting;
            }
        }
    }

    /// Makes a slice a hole; everything else continues.
    pub fn give_up(&mut self, id: u64) {
        let Some(slot) = self.slot(id) else { return };
        slot.progress = Progress::Done;
        let window = slot.window;
        // Several parts of one window may fail.
        if !self.holes.contains(&window) {
            self.holes.push(window); // guard: holes
        }
        self.forget_done();
    }

    /// Marks the slots in `window` as parts of a failed slice.
    pub fn suspect(&mut self, window: Window) {
        let parts =
            self.slots.iter_mut().filter(|slot| window.start <= slot.window.start && slot.window.end <= window.end);
        parts.for_each(|slot| slot.is_suspect = true);
    }

    /// Skips all days before `day`, the border of a period.
    pub fn begin_at(&mut self, day: NaiveDate) {
        let keeps = |slot: &PlannedWindow| slot.window.end >= day || slot.progress == Progress::Done;
        self.slots.retain(keeps);
        for slot in self.slots.iter_mut().filter(|slot| slot.window.start < day && slot.window.end >= day) {
            if slot.progress != Progress::Done {
                // Request it again and ignore the response to the old slice.
                (slot.window.start, slot.progress) = (day, Progress::Waiting);
            }
        }
        self.next = self.next.max(day);
        self.start = self.start.max(day);
        self.forget_done();
    }

    /// Requests a slice again that Criteo has refused.
    pub fn request_again(&mut self, id: u64) {
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

    /// Makes a slice wait until all days before it are done.
    pub fn wait_for_days_before(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::WaitsForEarlier;
        }
    }

    /// Makes a slice wait until [`resume_waiting`](Self::resume_waiting).
    pub fn wait(&mut self, id: u64) {
        self.park(id);
    }

    /// Requests waiting slices.
    pub fn resume_waiting(&mut self) {
        self.resume_parked();
    }

    /// Requests a slice a last time and accepts its rows as they are.
    pub fn read_last_time(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            (slot.progress, slot.reads) = (Progress::Waiting, LAST_READ);
        }
    }

    /// Without a list of ad sets, requests the waiting periods one by one.
    pub fn stop_waiting_for_ad_sets(&mut self) {
        self.awaits_ad_sets = false;
        self.resume_parked();
    }

    fn resume_parked(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::Parked) {
            slot.progress = Progress::Waiting;
        }
    }

    /// Stops at the first day of this slice; earlier days continue.
    pub fn stop_before(&mut self, id: u64) {
        let Some(day) = self.slot(id).map(|slot| slot.window.start) else { return };
        self.slots.retain(|slot| slot.window.start < day || slot.progress == Progress::Done);
        self.end = days_before(day, 1);
        self.next = day;
        (self.awaits_ad_sets, self.is_dividing) = (false, false);
        self.resume_parked();
        self.forget_done();
    }

    /// The sums of a slice of `rows` rows differ in the periods from `first` to `last`: reads these again in pieces of
    /// as many days as agree before them, or else in halves and then eighths, and the other days, too. `false` if a
    /// single period has been read twice. Two windows in a row with the same row count reveal an undocumented row cap,
    /// which later windows respect.
    pub fn reread(&mut self, id: u64, rows: u64, first: NaiveDate, last: NaiveDate) -> bool {
        let grain = self.grain;
        let Some(slot) = self.slot(id) else { return true };
        let (window, reads) = (slot.window, slot.reads);
        if let Some((before, same)) = self.differing.replace((window, rows))
            && same == rows
            && rows >= MIN_CAP
            && before.start != window.start
        {
            self.limits.row_cap = self.limits.row_cap.min(rows);
        }
        let agreeing_days = u32::try_from((first - window.start).num_days()).unwrap_or(0);
        let last = period_end(last, grain).min(window.end);
        if first > window.start || last < window.end {
            let mut pieces = Vec::new();
            if first > window.start {
                pieces.push(PlannedWindow::waiting(Window { end: days_before(first, 1), ..window }, None, 0));
            }
            // A truncated response fits as many days as agree.
            let differing = tiles(Window { start: first, end: last }, agreeing_days.max(1), grain);
            pieces.extend(
                differing.into_iter().map(|window| PlannedWindow::waiting(window, None, reads.saturating_add(1))),
            );
            if last < window.end {
                pieces.push(PlannedWindow::waiting(Window { start: last + Days::new(1), ..window }, None, 0));
            }
            self.replace(id, pieces);
            return true;
        }
        // All of it differs: split into halves, then eighths.
        let parts = if reads > 0 { 8 } else { 2 };
        let days = (window.days() / parts).max(1);
        let pieces = tiles(window, days, grain);
        if pieces.len() > 1 {
            self.replace(
                id,
                pieces.into_iter().map(|window| PlannedWindow::waiting(window, None, reads.saturating_add(1))),
            );
            return true;
        }
        if let Some(slot) = self.slot(id) {
            (slot.progress, slot.reads) = (Progress::Waiting, reads.saturating_add(1));
        }
        reads == 0
    }

    /// Splits a slice whose response was truncated.
    pub fn split(&mut self, id: u64) -> SplitOutcome {
        let grain = self.grain;
        let Some(slot) = self.slot(id) else { return SplitOutcome::Smaller };
        let (window, reads, part) = (slot.window, slot.reads, slot.part.clone());
        if let Some(part) = part {
            let (left, right) = part.ad_sets.split_at(part.ad_sets.len() / 2);
            let pieces: Vec<RowSubset> = match (left, part.environment) {
                ([], Some(_)) => return SplitOutcome::Unsplittable,
                ([], None) if self.limits.environments.is_empty() => return SplitOutcome::Unsplittable,
                ([], None) => {
                    let environments = self.limits.environments.iter();
                    environments.map(|name| RowSubset { environment: Some(name), ..part.clone() }).collect()
                }
                _ => vec![RowSubset::of(left), RowSubset::of(right)],
            };
            // An earlier slice may have made the same split.
            if let Some(index) = self.parts.iter().position(|known| *known == part) {
                self.parts.splice(index..=index, pieces.clone());
            }
            self.replace(id, pieces.into_iter().map(|piece| PlannedWindow::waiting(window, Some(piece), reads)));
            return SplitOutcome::Smaller;
        }
        if let Some((left, right)) = window.halves(grain) {
            self.density.learn_too_long(window);
            self.replace(id, [left, right].map(|window| PlannedWindow::waiting(window, None, reads)));
            return SplitOutcome::Smaller;
        }
        if self.advertisers.len() > 1 {
            self.split_by_advertisers(id);
            return SplitOutcome::Smaller;
        }
        // The list lacks ad sets that ran on other days only.
        if !self.parts.is_empty() && self.parts_of.contains(window.start) {
            let parts = slots(window, &self.parts, reads);
            self.replace(id, parts);
            return SplitOutcome::Smaller;
        }
        if std::mem::replace(&mut self.awaits_ad_sets, true) {
            self.park(id);
            return SplitOutcome::Smaller;
        }
        SplitOutcome::NeedsAdSets
    }

    /// Splits `window`, which starts with this slice, by all ad sets with rows in it. `false` if there is nothing to
    /// split. With unknown environments, requests by environment would miss rows.
    pub fn split_by_ad_sets(
        &mut self,
        id: u64,
        window: Window,
        ad_sets: &[String],
        has_unknown_environments: bool,
    ) -> bool {
        self.awaits_ad_sets = false;
        if has_unknown_environments {
            self.limits.environments = &[];
        }
        if self.slot(id).is_none() || ad_sets.len() <= usize::from(self.limits.environments.is_empty()) {
            return false;
        }
        let (left, right) = ad_sets.split_at(ad_sets.len() / 2);
        self.parts = match left {
            [] => vec![RowSubset::of(right)],
            left => vec![RowSubset::of(left), RowSubset::of(right)],
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

    /// Divides the advertisers once no slice is under way; until then none starts.
    pub fn split_by_advertisers(&mut self, id: u64) {
        self.park(id);
        self.is_dividing = true;
    }

    /// The halves of a track to divide, once no slice is under way.
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

    /// The same days for fewer advertisers. Done slices stay done; others are requested again, and late responses are
    /// ignored.
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

impl PlannedWindow {
    fn waiting(window: Window, part: Option<RowSubset>, reads: u8) -> Self {
        Self { window, part, reads, refusals: 0, is_suspect: false, is_read: false, progress: Progress::Waiting }
    }
}

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

/// One slot, or one per part.
fn slots(window: Window, parts: &[RowSubset], reads: u8) -> Vec<PlannedWindow> {
    match parts {
        [] => vec![PlannedWindow::waiting(window, None, reads)],
        parts => parts.iter().map(|part| PlannedWindow::waiting(window, Some(part.clone()), reads)).collect(),
    }
}
