//! Reads and writes the state of a report: the cursor of each advertiser, and the holes before it.
//!
//! ```json
//! {"version":2,"fingerprint":"EUR|UTC|AdvertiserId,CampaignId,Day|5f1c…",
//!  "groups":[{"cursor":"2026-07-30","scope":["12","34"]}],
//!  "holes":[{"from":"2026-07-03","to":"2026-07-03","scope":["12"],"why":"unread","tries":1}],
//!  "density":{"rows_per_day":120}}
//! ```
//!
//! Advertisers with the same cursor share a group, which keeps the state of ten thousand advertisers small. An
//! advertiser that is absent today keeps its cursor. A hole is a window before the cursor that could not be read or
//! failed the totals check; the next sync requests it again. The rows per day of all advertisers only help the next
//! sync plan its windows. An invalid state is an error, never a silent full resync. Version 1 (`advertisers` instead of
//! `scope`, no holes) is accepted too.

mod document;
mod holes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;

use crate::model::ids::AdvertiserId;
use crate::products::report::Fingerprint;
pub use crate::state::cursor::document::retired_metrics;
pub use crate::state::cursor::holes::{Hole, Why};

/// The last complete day of each advertiser of a stream, and the holes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursors {
    fingerprint: Fingerprint,
    by_advertiser: BTreeMap<AdvertiserId, NaiveDate>,
    holes: BTreeMap<AdvertiserId, Vec<Hole>>,
    /// The holes at the start of this run, for counting tries.
    saved_holes: BTreeMap<AdvertiserId, Vec<Hole>>,
    retired_metrics: Vec<String>,
    rows_per_day: Option<u64>,
}

impl Cursors {
    /// Rows per day of all advertisers together, as of the last sync.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        self.rows_per_day.map(|rows| rows as f64)
    }

    /// Sets the rows per day.
    pub fn set_rows_per_day(&mut self, rows: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        let rows = rows.ceil() as u64;
        self.rows_per_day = Some(rows);
    }

    /// The last complete day of an advertiser.
    #[must_use]
    pub fn cursor(&self, advertiser: &AdvertiserId) -> Option<NaiveDate> {
        self.by_advertiser.get(advertiser).copied()
    }

    /// All advertisers of the state by their last complete day.
    #[must_use]
    pub fn by_day(&self) -> BTreeMap<NaiveDate, Vec<AdvertiserId>> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (advertiser, cursor) in &self.by_advertiser {
            groups.entry(*cursor).or_default().push(advertiser.clone());
        }
        groups
    }

    /// What the rows are: currency, time zone and dimensions, and a hash of metrics and filters.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether cursors and holes are equal; other fields do not count.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.by_advertiser == other.by_advertiser && self.holes == other.holes
    }

    /// Whether no advertiser has a cursor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_advertiser.is_empty()
    }

    /// Groups today's advertisers by cursor; those without one come last.
    #[must_use]
    pub fn groups(&self, advertisers: &[AdvertiserId]) -> Vec<(Option<NaiveDate>, Vec<AdvertiserId>)> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for advertiser in advertisers {
            let cursor = self.by_advertiser.get(advertiser).copied();
            groups.entry((cursor.is_none(), cursor)).or_default().push(advertiser.clone());
        }
        groups.into_iter().map(|((_, cursor), advertisers)| (cursor, advertisers)).collect()
    }

    /// Describes advertisers of the state that are not among today's, with their cursors.
    #[must_use]
    pub fn absent(&self, advertisers: &[AdvertiserId]) -> Vec<String> {
        let known: HashSet<_> = advertisers.iter().collect();
        let absent = self.by_advertiser.iter().filter(|(advertiser, _)| !known.contains(advertiser));
        absent.map(|(advertiser, day)| format!("{advertiser} (up to {day})")).collect()
    }

    /// Metrics that Criteo had removed when the state was saved.
    #[must_use]
    pub fn retired_metrics(&self) -> &[String] {
        &self.retired_metrics
    }

    /// Sets the metrics that Criteo has removed.
    pub fn set_retired_metrics(&mut self, metrics: &[String]) {
        self.retired_metrics = metrics.to_vec();
    }

    /// Moves cursors after `day` back to it, and drops later holes: a wrong clock wrote them. Returns the advertisers.
    pub fn not_after(&mut self, day: NaiveDate) -> Vec<AdvertiserId> {
        let mut moved = Vec::new();
        for (advertiser, cursor) in self.by_advertiser.iter_mut().filter(|(_, cursor)| **cursor > day) {
            *cursor = day;
            moved.push(advertiser.clone());
        }
        for holes in self.holes.values_mut() {
            holes.retain(|hole| hole.window.start <= day);
        }
        self.holes.retain(|_, holes| !holes.is_empty());
        moved
    }

    /// Moves cursors forward to `day`, up to which everything is written. Returns whether one moved.
    pub fn advance(&mut self, advertisers: &[AdvertiserId], day: NaiveDate) -> bool {
        let mut has_moved = false;
        for advertiser in advertisers {
            let known = self.by_advertiser.get(advertiser);
            if known.is_none_or(|cursor| *cursor < day) {
                self.by_advertiser.insert(advertiser.clone(), day);
                has_moved = true;
            }
        }
        has_moved
    }
}
