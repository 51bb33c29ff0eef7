//! What the slices of a report came to, for the words at its end.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use super::slice::Window;
use super::sums::Sums;
use super::track::Slice;

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
    /// Days with rows.
    days: BTreeSet<NaiveDate>,
}

impl Account {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { is_apart: true, ..Self::default() }
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
        days.filter(|(day, next)| **day + Days::new(1) < **next)
            .map(|(day, next)| Window { start: *day + Days::new(1), end: *next - Days::new(1) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_between_days_with_rows() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        let account = Account { days: [1, 2, 4, 9].map(day).into(), ..Account::new() };
        let gaps: Vec<_> = account.gaps().iter().map(|gap| (gap.start, gap.end)).collect();
        assert_eq!(gaps, [(day(3), day(3)), (day(5), day(8))]);
        assert!(Account::new().gaps().is_empty());
    }
}
