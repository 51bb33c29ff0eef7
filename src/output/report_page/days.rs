//! What became of each day of a report, by advertiser.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// The days of one report.
#[derive(Debug, Default)]
pub(crate) struct StreamDays {
    plan: Option<Box<Planned>>,
    /// What was written, in this order.
    written: Vec<(Window, Arc<[AdvertiserId]>, Check)>,
    first_days: Vec<(NaiveDate, Arc<[AdvertiserId]>)>,
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
    /// The worst first.
    pub groups: Vec<Group>,
    /// How the sums of a period differ, by the advertiser's number.
    pub words: HashMap<(u64, NaiveDate), String>,
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
        if coverage.is_complete {
            self.written.push((coverage.days, Arc::clone(&coverage.advertisers), coverage.check.clone()));
        }
    }

    /// The days that were written.
    pub(crate) fn written(&self) -> impl Iterator<Item = Window> {
        self.written.iter().map(|(window, ..)| *window)
    }

    /// Days that an earlier sync had read and this one read again, and of how many advertisers.
    pub(crate) fn read_again(&self) -> Option<(Window, usize)> {
        let plan = self.plan.as_ref()?;
        let mut cursors = HashMap::new();
        for (day, advertisers) in &plan.cursors {
            cursors.extend(advertisers.iter().map(|id| (id, *day)));
        }
        let (mut all, mut again): (Option<Window>, BTreeSet<&AdvertiserId>) = (None, BTreeSet::new());
        for (window, advertisers, _) in &self.written {
            for id in advertisers.iter() {
                let Some(cursor) = cursors.get(id).filter(|cursor| window.start <= **cursor) else { continue };
                let end = window.end.min(*cursor);
                let known = all.get_or_insert(Window { start: window.start, end });
                (known.start, known.end) = (known.start.min(window.start), known.end.max(end));
                again.insert(id);
            }
        }
        all.map(|window| (window, again.len()))
    }

    /// Paints the days of all advertisers.
    pub(crate) fn calendar(&self) -> Calendar {
        let Some(plan) = &self.plan else { return Calendar::default() };
        let windows =
            plan.tracks.iter().map(|(window, _)| window).chain(plan.accepted.iter().map(|(window, _)| window));
        let windows: Vec<_> = windows.chain(self.written.iter().map(|(window, ..)| window)).collect();
        let (Some(start), Some(end)) =
            (windows.iter().map(|window| window.start).min(), windows.iter().map(|window| window.end).max())
        else {
            return Calendar::default();
        };
        let start = period_start(start, plan.grain);
        let periods: Vec<_> = Window { start, end }.singles(plan.grain).map(|period| period.start).collect();
        let painter = Painter { plan, periods: &periods };
        let mut strokes: BTreeMap<(u64, &AdvertiserId), Vec<Stroke<'_>>> = BTreeMap::new();
        for (window, advertisers) in &plan.accepted {
            for id in advertisers {
                strokes.entry(key(id)).or_default().push(Stroke::Accepted(*window));
            }
        }
        for (window, advertisers) in &plan.tracks {
            for id in advertisers.iter() {
                strokes.entry(key(id)).or_default().push(Stroke::Missing(*window));
            }
        }
        for (day, advertisers) in &self.first_days {
            for id in advertisers.iter() {
                strokes.entry(key(id)).or_default().push(Stroke::NotServedBefore(*day));
            }
        }
        let mut words = HashMap::new();
        for (window, advertisers, check) in &self.written {
            for id in advertisers.iter() {
                strokes.entry(key(id)).or_default().push(Stroke::Written(*window, check));
            }
            if let Check::Compared { differing, .. } = check {
                words.extend(differing.clone());
            }
        }
        let mut groups: HashMap<Vec<Status>, Vec<AdvertiserId>> = HashMap::new();
        for ((_, id), strokes) in strokes {
            groups.entry(painter.cells(id, &strokes)).or_default().push(id.clone());
        }
        let groups = groups.into_iter().map(|(cells, advertisers)| {
            let mut counts = [0; STATUSES];
            cells.iter().for_each(|status| counts[*status as usize] += 1);
            Group { advertisers, cells, counts }
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by(|one, other| {
            let worst = |group: &Group| group.counts.into_iter().rev().collect::<Vec<_>>();
            worst(other).cmp(&worst(one)).then_with(|| one.advertisers.cmp(&other.advertisers))
        });
        Calendar { grain: Some(plan.grain), periods, groups, words }
    }
}

fn key(id: &AdvertiserId) -> (u64, &AdvertiserId) {
    (numeric_id(&id.0), id)
}

/// What is known of some days of an advertiser; a later one covers an earlier one.
#[derive(Debug, Clone, Copy)]
enum Stroke<'a> {
    Accepted(Window),
    Missing(Window),
    NotServedBefore(NaiveDate),
    Written(Window, &'a Check),
}

struct Painter<'a> {
    plan: &'a Planned,
    periods: &'a [NaiveDate],
}

impl Painter<'_> {
    fn cells(&self, id: &AdvertiserId, strokes: &[Stroke<'_>]) -> Vec<Status> {
        let mut cells = vec![Status::NotRequested; self.periods.len()];
        for stroke in strokes {
            match stroke {
                Stroke::Accepted(window) => cells[self.range(*window)].fill(Status::NotComparable),
                Stroke::Missing(window) => cells[self.range(*window)].fill(Status::Missing),
                Stroke::NotServedBefore(day) => {
                    let window = Window { start: NaiveDate::MIN, end: days_before(*day, 1) };
                    cells[self.range(window)].fill(Status::NotRequested);
                }
                Stroke::Written(window, check) => self.write(id, *window, check, &mut cells),
            }
        }
        cells
    }

    fn write(&self, id: &AdvertiserId, window: Window, check: &Check, cells: &mut [Status]) {
        let number = numeric_id(&id.0);
        for index in self.range(window) {
            let period = self.periods[index];
            let is_settled = period_end(period, self.plan.grain) <= self.plan.settled_until;
            cells[index] = match check {
                _ if !is_settled => Status::Settling,
                Check::NotCompared => Status::NotComparable,
                Check::Compared { differing, .. } if differing.contains_key(&(number, period)) => Status::Differs,
                Check::Compared { unsummed, .. } if unsummed.contains(&(number, period)) => Status::NotComparable,
                Check::Compared { .. } => Status::Agrees,
            };
        }
    }

    /// The periods that begin in these days.
    fn range(&self, window: Window) -> std::ops::Range<usize> {
        let start = self.periods.partition_point(|period| *period < window.start);
        let end = self.periods.partition_point(|period| *period <= window.end);
        start..end.max(start)
    }
}

impl Calendar {
    /// The settled periods that were compared, and whether all their sums agree.
    pub(crate) fn compared(&self) -> impl Iterator<Item = (Window, bool)> {
        let grain = self.grain.unwrap_or(Grain::Day);
        self.periods.iter().enumerate().filter_map(move |(index, start)| {
            let has = |status: Status| self.groups.iter().any(|group| group.cells[index] == status);
            let differs = has(Status::Differs);
            let window = Window { start: *start, end: period_end(*start, grain) };
            (differs || has(Status::Agrees)).then_some((window, !differs))
        })
    }

    /// The periods in which an advertiser has this status.
    pub(crate) fn with(&self, status: Status) -> impl Iterator<Item = NaiveDate> {
        let periods = self.periods.iter().enumerate();
        periods.filter_map(move |(index, start)| {
            self.groups.iter().any(|group| group.cells[index] == status).then_some(*start)
        })
    }

    /// The worst status of each period among these groups.
    pub(crate) fn worst(groups: &[Group]) -> Vec<Status> {
        let mut cells = Vec::new();
        for group in groups {
            cells.resize(group.cells.len(), Status::NotRequested);
            cells.iter_mut().zip(&group.cells).for_each(|(worst, status)| *worst = (*status).max(*worst));
        }
        cells
    }
}
