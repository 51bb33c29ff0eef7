//! What the slices of a report came to, for the words at its end.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::slice::{Window, days_after, days_before, period_end};
use super::sums::Sums;
use super::track::Slice;
use crate::streams::metrics::Grain;

/// What was read of a report.
#[derive(Debug, Default)]
pub struct Account {
    /// Slices that were written.
    pub windows: u64,
    /// Answers that were too much at once, and were asked for in pieces.
    pub splits: u64,
    /// Rows by the number of the advertiser, as far as the answers were taken apart by advertiser.
    pub rows_of: BTreeMap<u64, u64>,
    /// Whether all of them were.
    pub is_apart: bool,
    /// Windows that are not settled, in words.
    pub holes: Vec<String>,
    /// The first days of periods with rows, and how long these are.
    days: BTreeSet<NaiveDate>,
    grain: Option<Grain>,
}

impl Account {
    /// Nothing yet.
    #[must_use]
    pub fn new(grain: Grain) -> Self {
        Self { is_apart: true, grain: Some(grain), ..Self::default() }
    }

    /// Books a slice; sums are there where it was compared with totals.
    pub fn add(&mut self, slice: &Slice, rows: u64, sums: Option<&Sums>) {
        self.windows += 1;
        for (advertiser, day, rows) in sums.into_iter().flat_map(Sums::rows) {
            *self.rows_of.entry(advertiser).or_default() += u64::from(rows);
            self.days.insert(day);
        }
        match (&slice.advertisers[..], sums) {
            (_, Some(_)) => {}
            ([advertiser], None) => *self.rows_of.entry(super::sums::number(&advertiser.0)).or_default() += rows,
            _ => self.is_apart = false,
        }
    }

    /// The days without a row between days with rows, as far as the days are known.
    #[must_use]
    pub fn gaps(&self) -> Vec<Window> {
        let days = self.days.iter().zip(self.days.iter().skip(1));
        let gap = |(day, next): (&NaiveDate, &NaiveDate)| {
            let end = self.grain.map_or(*day, |grain| period_end(*day, grain));
            Window { start: days_after(end, 1), end: days_before(*next, 1) }
        };
        days.map(gap).filter(|gap| gap.start <= gap.end).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;

    use super::*;

    #[test]
    fn gaps_lie_between_periods_with_rows() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        let gaps = |days: &[u32], grain: Grain| -> Vec<_> {
            let days = days.iter().map(|number| day(*number)).collect();
            let gaps = Account { days, ..Account::new(grain) }.gaps();
            gaps.iter().map(|gap| (gap.start, gap.end)).collect()
        };
        assert_eq!(gaps(&[1, 2, 4, 9], Grain::Day), [(day(3), day(3)), (day(5), day(8))]);
        assert_eq!(gaps(&[5, 12, 26], Grain::Week(Weekday::Mon)), [(day(19), day(25))]);
        assert_eq!(gaps(&[], Grain::Day), []);
    }
}
