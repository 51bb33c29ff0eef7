//! Smaller requests for a slice that was cut or differs from the totals: by days, advertisers or ad sets.

use chrono::{Days, NaiveDate};

use crate::model::calendar::{Window, days_before, period_end, window_at};
use crate::read::density::Density;
use crate::read::track::planned::{PlannedWindow, Progress, slots, tiles};
use crate::read::track::{Advertisers, MIN_CAP, RowSubset, SplitOutcome, Track};

/// Fewer periods than this are halved instead: that takes no more requests.
const MIN_SAMPLED: u32 = 6;

impl Track {
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

    /// Splits a slice whose response was truncated, into windows that will probably fit.
    ///
    /// `expected` are the rows and bytes that the window has by Criteo's totals. Without them, the first period of a long
    /// window is read alone, to learn how many rows a period has.
    pub fn split_cut(&mut self, id: u64, expected: Option<(u64, usize)>) -> SplitOutcome {
        let grain = self.grain;
        let Some(slot) = self.slot(id) else { return SplitOutcome::Smaller };
        let (window, reads, is_whole) = (slot.window, slot.reads, slot.part.is_none());
        if !is_whole || window.halves(grain).is_none() {
            return self.split(id);
        }
        if let Some((rows, bytes)) = expected {
            self.density.learn(window, rows, bytes);
            let pieces = tiles(window, self.window_days(), grain);
            if pieces.len() > 1 {
                self.density.learn_too_long(window);
                self.replace(id, pieces.into_iter().map(|piece| PlannedWindow::waiting(piece, None, reads)));
                return SplitOutcome::Smaller;
            }
        } else if !self.density.is_known() {
            let first = window_at(window.start, window.end, 1, grain);
            let rest = Window { start: first.end + Days::new(1), ..window };
            if rest.days() >= MIN_SAMPLED * first.days() {
                self.density.learn_too_long(window);
                let [first, mut rest] = [first, rest].map(|window| PlannedWindow::waiting(window, None, reads));
                rest.progress = Progress::WaitsForEarlier;
                self.replace(id, [first, rest]);
                return SplitOutcome::Smaller;
            }
        }
        self.split(id)
    }

    /// Splits a slice into halves.
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
}
