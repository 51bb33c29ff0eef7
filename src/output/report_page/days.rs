//! What became of each day of a report, by advertiser.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::model::calendar::{Grain, Window, days_before, period_end, period_start};
use crate::model::ids::{AdvertiserId, numeric_id};
use crate::output::Coverage;
use crate::output::facts::{Check, Fact, Planned};

/// What became of a period, the worst last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    /// Not requested in this run.
    #[default]
    NotRequested,
    Agrees,
    Settling,
    NotComparable,
    Differs,
    Missing,
}

/// How many there are.
pub(crate) const STATUSES: usize = Status::Missing as usize + 1;

impl Status {
    const ALL: [Self; STATUSES] =
        [Self::NotRequested, Self::Agrees, Self::Settling, Self::NotComparable, Self::Differs, Self::Missing];
}

/// Periods that are noted one by one as differing or as not summed; windows with more are shown as a whole.
const MAX_NOTED: usize = 200_000;
/// Differences in words, for the titles of cells.
const MAX_WORDS: usize = 2_000;
/// Groups that keep their own cells.
pub(crate) const MAX_GROUPS: usize = 12;

/// The days of one report.
#[derive(Debug, Default)]
pub(crate) struct StreamDays {
    plan: Option<Box<Planned>>,
    /// What was written, in this order.
    written: Vec<Written>,
    first_days: Vec<(NaiveDate, Arc<[AdvertiserId]>)>,
    /// How the sums of a period differ, by the advertiser's number.
    words: HashMap<(u64, NaiveDate), String>,
    noted: usize,
    /// Whether windows are shown as a whole.
    is_coarse: bool,
}

/// A window that was written.
#[derive(Debug)]
struct Written {
    days: Window,
    advertisers: Arc<[AdvertiserId]>,
    /// The status of its settled periods.
    status: Status,
    /// Periods with another status, by the advertiser's number.
    others: Vec<(u64, NaiveDate, Status)>,
}

/// Advertisers whose days look the same.
#[derive(Debug)]
pub(crate) struct Group {
    pub advertisers: Vec<AdvertiserId>,
    /// One per period.
    pub cells: Vec<Status>,
    pub counts: [usize; STATUSES],
}

/// All days of a report.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    pub grain: Option<Grain>,
    /// The first day of each period.
    pub periods: Vec<NaiveDate>,
    /// Which statuses each period has, for any advertiser.
    present: Vec<[bool; STATUSES]>,
    /// Whether a period is settled and was to be read.
    is_due: Vec<bool>,
    /// At most [`MAX_GROUPS`], the worst first.
    pub groups: Vec<Group>,
    /// The advertisers of all other groups, and the worst status of each of their periods.
    pub others: (usize, Vec<Status>),
    /// How the sums of a period differ, by the advertiser's number.
    pub words: HashMap<(u64, NaiveDate), String>,
    /// Whether too many periods differ to note them one by one.
    pub is_coarse: bool,
}

impl StreamDays {
    pub(crate) fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Planned(plan) => *self = Self { plan: Some(plan), ..Self::default() },
            Fact::FirstDay { day, advertisers } => self.first_days.push((day, advertisers)),
        }
    }

    /// Adds what was written. Parts of a period count when the last one is there.
    pub(crate) fn covered(&mut self, coverage: &Coverage) {
        if !coverage.is_complete {
            return;
        }
        let (mut status, mut others) = (Status::NotComparable, Vec::new());
        if let Check::Compared { differing, unsummed } = &coverage.check {
            status = Status::Agrees;
            let count = differing.len() + unsummed.len();
            if self.noted + count > MAX_NOTED {
                status = if differing.is_empty() { Status::NotComparable } else { Status::Differs };
                self.is_coarse = true;
            } else {
                self.noted += count;
                others.extend(unsummed.iter().map(|(id, day)| (*id, *day, Status::NotComparable)));
                others.extend(differing.keys().map(|(id, day)| (*id, *day, Status::Differs)));
            }
            let room = MAX_WORDS.saturating_sub(self.words.len());
            self.words.extend(differing.iter().take(room).map(|(key, words)| (*key, words.clone())));
        }
        let advertisers = Arc::clone(&coverage.advertisers);
        self.written.push(Written { days: coverage.days, advertisers, status, others });
    }

    /// The days that were written.
    pub(crate) fn written(&self) -> impl Iterator<Item = Window> {
        self.written.iter().map(|written| written.days)
    }

    /// Days that an earlier sync had read and this one read again, and of how many advertisers.
    pub(crate) fn read_again(&self) -> Option<(Window, usize)> {
        let plan = self.plan.as_ref()?;
        let last = plan.cursors.iter().map(|(day, _)| *day).max()?;
        let mut cursors = HashMap::new();
        for (day, advertisers) in &plan.cursors {
            cursors.extend(advertisers.iter().map(|id| (id, *day)));
        }
        let (mut all, mut again): (Option<Window>, BTreeSet<&AdvertiserId>) = (None, BTreeSet::new());
        for Written { days, advertisers, .. } in self.written.iter().filter(|written| written.days.start <= last) {
            for id in advertisers.iter() {
                let Some(cursor) = cursors.get(id).filter(|cursor| days.start <= **cursor) else { continue };
                let end = days.end.min(*cursor);
                let known = all.get_or_insert(Window { start: days.start, end });
                (known.start, known.end) = (known.start.min(days.start), known.end.max(end));
                again.insert(id);
            }
        }
        all.map(|window| (window, again.len()))
    }

    /// Paints the days of all advertisers.
    pub(crate) fn calendar(&self) -> Calendar {
        let Some(plan) = &self.plan else { return Calendar::default() };
        let windows = plan.tracks.iter().map(|(window, _)| *window);
        let windows = windows.chain(plan.accepted.iter().map(|(window, _)| *window)).chain(self.written());
        let all =
            windows.reduce(|all, window| Window { start: all.start.min(window.start), end: all.end.max(window.end) });
        let Some(all) = all else { return Calendar::default() };
        let all = Window { start: period_start(all.start, plan.grain), ..all };
        let mut canvas = Canvas::new(all.singles(plan.grain).map(|period| period.start).collect());
        for (window, advertisers) in &plan.accepted {
            canvas.fill(*window, advertisers, Status::NotComparable);
        }
        for (window, advertisers) in &plan.tracks {
            canvas.fill(*window, advertisers, Status::Missing);
        }
        for (day, advertisers) in &self.first_days {
            let window = Window { start: NaiveDate::MIN, end: days_before(*day, 1) };
            canvas.fill(window, advertisers, Status::NotRequested);
        }
        for written in &self.written {
            canvas.write(written, plan);
        }
        let mut is_due = vec![false; canvas.periods.len()];
        for (window, _) in &plan.tracks {
            is_due[canvas.range(*window)].fill(true);
        }
        let settled = canvas.settled(plan);
        is_due[settled..].fill(false);
        let words = self.words.clone();
        Calendar { grain: Some(plan.grain), words, is_due, is_coarse: self.is_coarse, ..canvas.into_calendar() }
    }
}

/// A cell per advertiser and period; what is painted later covers what is there.
struct Canvas<'a> {
    periods: Vec<NaiveDate>,
    /// The row of each advertiser.
    rows: HashMap<&'a AdvertiserId, usize>,
    advertisers: Vec<&'a AdvertiserId>,
    /// Row by row.
    cells: Vec<Status>,
}

impl<'a> Canvas<'a> {
    fn new(periods: Vec<NaiveDate>) -> Self {
        Self { periods, rows: HashMap::new(), advertisers: Vec::new(), cells: Vec::new() }
    }

    fn row(&mut self, id: &'a AdvertiserId) -> &mut [Status] {
        let width = self.periods.len();
        let row = *self.rows.entry(id).or_insert_with(|| {
            self.advertisers.push(id);
            self.cells.resize(self.advertisers.len() * width, Status::NotRequested);
            self.advertisers.len() - 1
        });
        &mut self.cells[row * width..(row + 1) * width]
    }

    fn fill(&mut self, window: Window, advertisers: &'a [AdvertiserId], status: Status) {
        let range = self.range(window);
        for id in advertisers {
            self.row(id)[range.clone()].fill(status);
        }
    }

    fn write(&mut self, written: &'a Written, plan: &Planned) {
        let range = self.range(written.days);
        let settled = self.settled(plan).clamp(range.start, range.end);
        for id in written.advertisers.iter() {
            let row = self.row(id);
            row[range.start..settled].fill(written.status);
            row[settled..range.end].fill(Status::Settling);
        }
        if written.others.is_empty() {
            return;
        }
        let ids: HashMap<_, _> = written.advertisers.iter().map(|id| (numeric_id(&id.0), id)).collect();
        for (number, period, status) in &written.others {
            let index = self.periods.partition_point(|start| start < period);
            if let Some(id) = ids.get(number)
                && (range.start..settled).contains(&index)
            {
                self.row(id)[index] = *status;
            }
        }
    }

    /// How many periods are settled.
    fn settled(&self, plan: &Planned) -> usize {
        self.periods.partition_point(|period| period_end(*period, plan.grain) <= plan.settled_until)
    }

    /// The periods that begin in these days.
    fn range(&self, window: Window) -> Range<usize> {
        let start = self.periods.partition_point(|period| *period < window.start);
        let end = self.periods.partition_point(|period| *period <= window.end);
        start..end.max(start)
    }

    fn into_calendar(self) -> Calendar {
        let width = self.periods.len();
        let mut present = vec![[false; STATUSES]; width];
        let mut rows: HashMap<&[Status], Vec<&AdvertiserId>> = HashMap::new();
        for (id, cells) in self.advertisers.iter().zip(self.cells.chunks(width.max(1))) {
            rows.entry(cells).or_default().push(id);
        }
        let mut groups = Vec::with_capacity(rows.len());
        for (cells, mut advertisers) in rows {
            let mut counts = [0; STATUSES];
            for (status, present) in cells.iter().zip(&mut present) {
                counts[*status as usize] += 1;
                present[*status as usize] = true;
            }
            advertisers.sort_by_key(|id| key(id));
            groups.push((cells, advertisers, counts));
        }
        groups.sort_by_cached_key(|(_, advertisers, counts)| {
            let worst: Vec<_> = counts.iter().rev().copied().collect();
            (Reverse(worst), advertisers.first().map(|id| key(id)))
        });
        let mut others = (0, vec![Status::NotRequested; width]);
        for (cells, advertisers, _) in groups.drain(groups.len().min(MAX_GROUPS)..) {
            others.0 += advertisers.len();
            worsen(&mut others.1, cells);
        }
        let groups = groups.into_iter().map(|(cells, advertisers, counts)| Group {
            advertisers: advertisers.into_iter().cloned().collect(),
            cells: cells.to_vec(),
            counts,
        });
        let groups = groups.collect();
        Calendar { present, groups, others, periods: self.periods, ..Calendar::default() }
    }
}

fn key(id: &AdvertiserId) -> (u64, &AdvertiserId) {
    (numeric_id(&id.0), id)
}

/// Keeps the worse status of each period.
fn worsen(worst: &mut [Status], cells: &[Status]) {
    worst.iter_mut().zip(cells).for_each(|(worst, status)| *worst = (*status).max(*worst));
}

impl Calendar {
    /// The settled periods of a report that was compared, and whether all their sums agree. A period that was not read or
    /// not compared for an advertiser does not agree.
    pub(crate) fn compared(&self) -> impl Iterator<Item = (Window, bool)> {
        let grain = self.grain.unwrap_or(Grain::Day);
        let has =
            |present: &[bool; STATUSES], statuses: &[Status]| statuses.iter().any(|status| present[*status as usize]);
        let is_compared = self.present.iter().any(|present| has(present, &[Status::Agrees, Status::Differs]));
        let periods = self.periods.iter().zip(&self.present).zip(&self.is_due);
        periods.filter_map(move |((start, present), is_due)| {
            let fails = has(present, &[Status::Differs, Status::NotComparable, Status::Missing]);
            let is_counted = is_compared && *is_due && (fails || has(present, &[Status::Agrees]));
            let window = Window { start: *start, end: period_end(*start, grain) };
            is_counted.then_some((window, !fails))
        })
    }

    /// The periods in which an advertiser has this status.
    pub(crate) fn with(&self, status: Status) -> impl Iterator<Item = NaiveDate> {
        let periods = self.periods.iter().zip(&self.present);
        periods.filter(move |(_, present)| present[status as usize]).map(|(start, _)| *start)
    }

    /// The worst status of the first periods.
    pub(crate) fn worst_of_first(&self, count: usize) -> Status {
        let all = self
            .present
            .iter()
            .take(count)
            .flat_map(|present| Status::ALL.iter().filter(|status| present[**status as usize]));
        all.max().copied().unwrap_or_default()
    }

    /// How many advertisers are not among the first groups, and the worst status of each of their periods.
    pub(crate) fn others(&self, groups: &[Group]) -> (usize, Vec<Status>) {
        let (mut count, mut cells) = self.others.clone();
        for group in groups {
            count += group.advertisers.len();
            worsen(&mut cells, &group.cells);
        }
        (count, cells)
    }
}

#[cfg(test)]
mod tests {
    use crate::output::report_page::days::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, day).unwrap()
    }

    fn ids(numbers: Range<u64>) -> Arc<[AdvertiserId]> {
        numbers.map(|number| AdvertiserId(number.to_string())).collect()
    }

    fn days(advertisers: u64) -> StreamDays {
        let plan = Planned {
            grain: Grain::Day,
            settled_until: day(3),
            tracks: vec![(Window { start: day(1), end: day(5) }, ids(0..advertisers))],
            cursors: Vec::new(),
            accepted: Vec::new(),
        };
        let mut days = StreamDays::default();
        days.add(Fact::Planned(Box::new(plan)));
        days
    }

    fn written(days: Window, advertisers: Range<u64>, differing: &[(u64, NaiveDate)]) -> Coverage {
        let differing = differing.iter().map(|key| (*key, "displays 1, Criteo's total 2".to_owned())).collect();
        let check = Check::Compared { differing, unsummed: BTreeSet::new() };
        Coverage { days, advertisers: ids(advertisers), read: 0, is_complete: true, check }
    }

    #[test]
    fn later_strokes_cover_earlier_ones() {
        let mut days = days(3);
        days.add(Fact::FirstDay { day: day(2), advertisers: ids(2..3) });
        days.covered(&written(Window { start: day(2), end: day(4) }, 0..2, &[(1, day(3)), (1, day(4))]));
        let calendar = days.calendar();
        let cells = |id: u64| {
            let group = calendar.groups.iter().find(|group| group.advertisers == ids(id..id + 1)[..]).unwrap();
            group.cells.iter().map(|status| status.symbol()).collect::<String>()
        };
        assert_eq!([cells(0), cells(1), cells(2)], ["maasm", "madsm", "nmmmm"]);
        // Each day is missing for an advertiser, or differs.
        assert_eq!(calendar.compared().map(|(_, agrees)| agrees).collect::<Vec<_>>(), [false, false, false]);
        assert_eq!(calendar.worst_of_first(1), Status::Missing);
        days.covered(&written(Window { start: day(1), end: day(5) }, 0..3, &[(1, day(3))]));
        let agreeing: Vec<_> = days.calendar().compared().map(|(_, agrees)| agrees).collect();
        assert_eq!(agreeing, [true, true, false]);
    }

    #[test]
    fn a_report_of_many_advertisers_keeps_few_groups() {
        let mut days = days(2_000);
        for id in 0..2_000 {
            for date in (0..5).filter(|bit| id >> bit & 1 == 1).map(|bit| day(bit + 1)) {
                days.covered(&written(Window { start: date, end: date }, id..id + 1, &[(id, date)]));
            }
        }
        let calendar = days.calendar();
        assert_eq!(calendar.groups.len(), MAX_GROUPS);
        let shown: usize = calendar.groups.iter().map(|group| group.advertisers.len()).sum();
        assert_eq!(shown + calendar.others(&[]).0, 2_000);
        assert!(days.words.len() <= MAX_WORDS);
    }

    #[test]
    fn too_many_differences_are_shown_as_whole_windows() {
        let mut days = days(1);
        days.noted = MAX_NOTED;
        days.covered(&written(Window { start: day(1), end: day(3) }, 0..1, &[(0, day(3))]));
        let calendar = days.calendar();
        assert!(calendar.is_coarse);
        assert_eq!(calendar.groups[0].counts[Status::Differs as usize], 3);
    }
}
