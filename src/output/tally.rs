//! Collects figures per report for the summary at the end of a stream.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::model::calendar::{Grain, Window, days_after, days_before, period_end};
use crate::model::ids::{AdvertiserId, numeric_id};
use crate::model::windows::Windows;
use crate::support::text::{counted, grouped};

/// Figures of one report.
#[derive(Debug, Default)]
pub struct ReportTally {
    /// Number of slices written.
    pub windows: u64,
    /// Responses that hit the row or memory limit and were split.
    pub splits: u64,
    /// Rows by advertiser number, where known.
    pub rows_by_advertiser: BTreeMap<u64, u64>,
    /// Whether `rows_by_advertiser` has all rows.
    pub is_complete_by_advertiser: bool,
    /// Descriptions of the windows that the next sync reads again.
    pub holes: Vec<String>,
    /// The days that were read.
    pub read: Windows,
    /// Descriptions of unproven windows that are not read again.
    pub accepted: Vec<String>,
    /// First day of each period that has rows.
    days: BTreeSet<NaiveDate>,
    /// First day of each settled period that was compared with Criteo's totals, and whether all its sums were equal.
    compared: BTreeMap<NaiveDate, bool>,
    grain: Option<Grain>,
}

impl ReportTally {
    /// An empty tally for this grain.
    #[must_use]
    pub fn new(grain: Grain) -> Self {
        Self { is_complete_by_advertiser: true, grain: Some(grain), ..Self::default() }
    }

    /// Adds the days of a slice.
    pub fn cover(&mut self, days: Window) {
        self.read.add(days);
    }

    /// Adds a slice; `compared` has its rows by advertiser and day if the totals check covers it.
    pub fn add(
        &mut self,
        advertisers: &[AdvertiserId],
        rows: u64,
        compared: Option<impl Iterator<Item = (u64, NaiveDate, u32)>>,
    ) {
        self.windows += 1;
        match (compared, advertisers) {
            (Some(compared), _) => {
                for (advertiser, day, rows) in compared {
                    *self.rows_by_advertiser.entry(advertiser).or_default() += u64::from(rows);
                    self.days.insert(day);
                }
            }
            (None, [advertiser]) => {
                *self.rows_by_advertiser.entry(numeric_id(&advertiser.0)).or_default() += rows;
            }
            (None, _) => self.is_complete_by_advertiser = false,
        }
    }

    /// Adds a period that was compared with Criteo's totals.
    pub fn compare(&mut self, period: NaiveDate, agrees: bool) {
        *self.compared.entry(period).or_insert(true) &= agrees;
    }

    /// Adds a settled period that was not read, or not compared, for every advertiser. A report that was never compared proves nothing
    /// anyway.
    pub fn miss(&mut self, period: NaiveDate) {
        if !self.compared.is_empty() {
            self.compared.insert(period, false);
        }
    }

    /// Whether a settled period differs from Criteo's totals.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.compared.values().any(|agrees| !agrees)
    }

    /// How many settled periods agree with Criteo's totals, in words; `None` if none was compared.
    #[must_use]
    pub fn proof(&self) -> Option<String> {
        let agreeing = self.compared.values().filter(|agrees| **agrees).count();
        let period = self.grain.unwrap_or(Grain::Day).dimension().to_lowercase();
        let all = counted(self.compared.len() as u64, &format!("settled {period}"));
        let verb = if self.compared.len() == 1 { "agrees" } else { "agree" };
        (!self.compared.is_empty())
            .then(|| format!("{} of {all} {verb} with Criteo's totals", grouped(agreeing as u64)))
    }

    /// Windows without rows that were read between periods with rows, where known.
    #[must_use]
    pub fn gaps(&self) -> Vec<Window> {
        let days = self.days.iter().zip(self.days.iter().skip(1));
        let gap = |(day, next): (&NaiveDate, &NaiveDate)| {
            let end = self.grain.map_or(*day, |grain| period_end(*day, grain));
            Window { start: days_after(end, 1), end: days_before(*next, 1) }
        };
        days.map(gap).filter(|gap| gap.start <= gap.end).flat_map(|gap| self.read.within(gap)).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;

    use crate::output::tally::*;

    #[test]
    fn a_period_agrees_if_all_its_sums_do() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        let mut tally = ReportTally::new(Grain::Day);
        tally.miss(day(1));
        assert_eq!(tally.proof(), None);
        for (number, agrees) in [(1, true), (2, true), (2, false), (3, false), (3, true), (4, true)] {
            tally.compare(day(number), agrees);
        }
        assert_eq!(tally.proof().as_deref(), Some("2 of 4 settled days agree with Criteo's totals"));
        tally.miss(day(4));
        tally.miss(day(5));
        assert_eq!(tally.proof().as_deref(), Some("1 of 5 settled days agree with Criteo's totals"));
    }

    #[test]
    fn gaps_are_between_periods_with_rows() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        let gaps_of = |days: &[u32], grain: Grain, read: &[(u32, u32)]| -> Vec<_> {
            let days = days.iter().map(|number| day(*number)).collect();
            let mut tally = ReportTally { days, ..ReportTally::new(grain) };
            for (start, end) in read {
                tally.cover(Window { start: day(*start), end: day(*end) });
            }
            let gaps = tally.gaps();
            gaps.iter().map(|gap| (gap.start, gap.end)).collect()
        };
        let gaps = |days: &[u32], grain: Grain| gaps_of(days, grain, &[(1, 31)]);
        // Days that were not read may have rows of earlier runs.
        assert_eq!(gaps_of(&[1, 2, 9], Grain::Day, &[(1, 3), (8, 9)]), [(day(3), day(3)), (day(8), day(8))]);
        assert_eq!(gaps(&[1, 2, 4, 9], Grain::Day), [(day(3), day(3)), (day(5), day(8))]);
        assert_eq!(gaps(&[5, 12, 26], Grain::Week(Weekday::Mon)), [(day(19), day(25))]);
        assert_eq!(gaps(&[], Grain::Day), []);
    }
}
