//! Windows before the cursor that are missing or unproven.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::model::calendar::{Window, days_after};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::state::cursor::Cursors;

/// After this many syncs, rows that still fail the totals check are accepted.
const MAX_TRIES: u32 = 3;
/// Most values in the holes of a state, unless each advertiser has one hole; and values per hole besides advertisers.
const MAX_VALUES_OF_HOLES: usize = 100_000;
const VALUES_OF_HOLE: usize = 6;

/// Why a window before the cursor is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It could not be read.
    Unread,
    /// It failed the totals check.
    Differs,
    /// It failed the totals check in several syncs and is not requested again.
    Unproven,
    /// It was read without a totals check and is not requested again.
    Uncompared,
}

impl Why {
    /// Whether the next sync requests the days again.
    #[must_use]
    pub fn is_asked_again(self) -> bool {
        matches!(self, Self::Unread | Self::Differs)
    }

    /// `Unproven` continues the count of tries of `Differs`.
    fn kind(self) -> Self {
        if self == Self::Unproven { Self::Differs } else { self }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unread => "not read",
            Self::Differs => "does not match Criteo's totals",
            Self::Unproven => "unproven: did not match Criteo's totals in several syncs",
            Self::Uncompared => "unproven: not compared with Criteo's totals",
        })
    }
}

/// A window before the cursor that is missing or unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The affected days.
    pub window: Window,
    /// The reason.
    pub why: Why,
    /// Number of syncs that tried.
    pub tries: u32,
}

impl Cursors {
    /// Whether a day is accepted although it fails the totals check.
    #[must_use]
    pub fn is_unproven(&self, advertiser: &AdvertiserId, day: NaiveDate) -> bool {
        let mut holes = self.holes.get(advertiser).into_iter().flatten();
        holes.any(|hole| hole.why == Why::Unproven && (hole.window.start..=hole.window.end).contains(&day))
    }

    /// Notes that rows of these days are lost, so that the next sync requests them again.
    pub fn lose(&mut self, days: Window) {
        for (advertiser, cursor) in &self.by_advertiser {
            // Later days are read anyway.
            let lost = Window { end: days.end.min(*cursor), ..days };
            if lost.start <= lost.end {
                let known = self.holes.remove(advertiser).unwrap_or_default().into_iter();
                let others =
                    known.flat_map(|hole| hole.window.without(lost).map(move |window| Hole { window, ..hole }));
                let mut left: Vec<_> = others.collect();
                left.push(Hole { window: lost, why: Why::Unread, tries: 0 });
                left.sort_unstable();
                self.holes.insert(advertiser.clone(), left);
            }
        }
    }

    /// Drops holes before `day`, the first that Criteo serves, and returns those never read.
    pub fn forget_before(&mut self, day: NaiveDate) -> Vec<(AdvertiserId, Window)> {
        let mut lost = Vec::new();
        for (advertiser, holes) in &mut self.holes {
            let old = holes.iter().filter(|hole| hole.window.end < day && hole.why == Why::Unread);
            lost.extend(old.map(|hole| (advertiser.clone(), hole.window)));
            holes.retain(|hole| hole.window.end >= day);
        }
        self.holes.retain(|_, holes| !holes.is_empty());
        lost
    }

    /// Windows to request again, each with its advertisers, before the start of the regular read.
    #[must_use]
    pub fn holes_before(&self, starts: &BTreeMap<AdvertiserId, NaiveDate>) -> Vec<(Window, Vec<AdvertiserId>)> {
        let mut due: BTreeMap<Window, Vec<AdvertiserId>> = BTreeMap::new();
        for (advertiser, start) in starts {
            for hole in self.holes.get(advertiser).into_iter().flatten().filter(|hole| hole.why.is_asked_again()) {
                let rest = Window { start: *start, end: NaiveDate::MAX };
                for window in hole.window.without(rest) {
                    due.entry(window).or_default().push(advertiser.clone());
                }
            }
        }
        due.into_iter().collect()
    }

    /// Records that these days were read, except for the holes. Days that fail the totals check for the third time are
    /// accepted.
    pub fn settle(&mut self, advertisers: &[AdvertiserId], covered: Window, holes: &[(Window, Why)]) {
        for advertiser in advertisers {
            let known = self.holes.remove(advertiser).unwrap_or_default();
            let mut left: Vec<Hole> = known
                .into_iter()
                .flat_map(|hole| hole.window.without(covered).map(move |window| Hole { window, ..hole }))
                .collect();
            for (window, why) in holes {
                // Holes that are not requested again all count one try, so that adjacent ones merge.
                let tries = if why.is_asked_again() { 1 + self.tries_before(advertiser, *window, *why) } else { 1 };
                let why = if *why == Why::Differs && tries >= MAX_TRIES { Why::Unproven } else { *why };
                left.push(Hole { window: *window, why, tries });
            }
            if !left.is_empty() {
                left.sort_unstable();
                self.holes.insert(advertiser.clone(), left);
            }
        }
    }

    fn tries_before(&self, advertiser: &AdvertiserId, window: Window, why: Why) -> u32 {
        let is_same = |hole: &&Hole| hole.why.kind() == why.kind() && hole.window.without(window).ne([hole.window]);
        let saved = self.saved_holes.get(advertiser).into_iter().flatten();
        saved.filter(is_same).map(|hole| hole.tries).max().unwrap_or(0)
    }

    /// Holes, each with the advertisers that share it.
    #[must_use]
    pub fn holes(&self, of: &[AdvertiserId]) -> Vec<(Hole, Vec<AdvertiserId>)> {
        let mut holes: BTreeMap<Hole, Vec<AdvertiserId>> = BTreeMap::new();
        for advertiser in of {
            for hole in joined(self.holes.get(advertiser).map_or(&[], Vec::as_slice)) {
                holes.entry(hole).or_default().push(advertiser.clone());
            }
        }
        holes.into_iter().collect()
    }

    /// All holes, each with its advertisers.
    #[must_use]
    pub fn all_holes(&self) -> Vec<(Hole, Vec<AdvertiserId>)> {
        let advertisers: Vec<_> = self.holes.keys().cloned().collect();
        self.holes(&advertisers)
    }

    /// The holes to save. If too many, each advertiser gets one hole that spans all its days to
    /// request again: this re-reads more than needed, but loses only which days are unproven.
    pub(super) fn holes_to_save(&self) -> Vec<(Hole, Vec<AdvertiserId>)> {
        let holes = self.all_holes();
        if holes.iter().map(|(_, scope)| VALUES_OF_HOLE + scope.len()).sum::<usize>() <= MAX_VALUES_OF_HOLES {
            return holes;
        }
        let mut spans: BTreeMap<Hole, Vec<AdvertiserId>> = BTreeMap::new();
        for (advertiser, holes) in &self.holes {
            let span = holes.iter().filter(|hole| hole.why.is_asked_again()).copied().reduce(|one, other| Hole {
                window: Window {
                    start: one.window.start.min(other.window.start),
                    end: one.window.end.max(other.window.end),
                },
                why: one.why.min(other.why),
                tries: one.tries.min(other.tries),
            });
            if let Some(span) = span {
                spans.entry(span).or_default().push(advertiser.clone());
            }
        }
        spans.into_iter().collect()
    }

    /// Describes the holes of these advertisers: those that the next sync requests again, and the others.
    #[must_use]
    pub fn hole_texts(&self, of: &[AdvertiserId]) -> (Vec<String>, Vec<String>) {
        let (again, accepted): (Vec<_>, Vec<_>) =
            self.holes(of).into_iter().partition(|(hole, _)| hole.why.is_asked_again());
        let texts = |holes: Vec<(Hole, Vec<AdvertiserId>)>| {
            let text = |(hole, ids): (Hole, Vec<_>)| format!("{} of {} ({})", hole.window, format_ids(&ids), hole.why);
            holes.into_iter().map(text).collect()
        };
        (texts(again), texts(accepted))
    }
}

/// Merges adjacent holes with the same reason and number of tries.
fn joined(holes: &[Hole]) -> Vec<Hole> {
    let mut joined: Vec<Hole> = Vec::new();
    let mut sorted = holes.to_vec();
    sorted.sort_unstable_by_key(|hole| (hole.why, hole.tries, hole.window));
    for hole in sorted {
        match joined.last_mut() {
            Some(last)
                if (last.why, last.tries) == (hole.why, hole.tries)
                    && hole.window.start <= days_after(last.window.end, 1) =>
            {
                last.window.end = last.window.end.max(hole.window.end);
            }
            _ => joined.push(hole),
        }
    }
    joined
}
