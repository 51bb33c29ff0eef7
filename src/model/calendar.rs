//! The calendar: which days to read, split into windows.
//!
//! Pure: today is an argument. Days are days of the report's time zone; arithmetic is on the calendar, never on
//! seconds, so a day may have 23 or 25 hours.
//!
//! ```text
//!  history kept by Criteo                                     state: cursor = last complete day
//!  │                                                          │
//!  ▼        start_date                     cursor − lookback  ▼ yesterday  today
//!  ├───────────┼──────────────────────────────────┼───────────┼────────┼─────┤
//!              ├─ first sync: read everything ────┼───────────┼────────┼─────┤
//!                                                 ├─ next sync: read again ──┤
//!                                                   and continue; the cursor stops at yesterday,
//!                                                   since today is partial
//! ```

use std::fmt;

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

/// The period that a request must not split; its start is the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// One day; also for hourly reports, which are requested in whole days.
    Day,
    /// Seven days from this weekday: Monday, unless Criteo's responses show another.
    Week(Weekday),
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Grain {
    /// The grain of a period dimension; `None` for hours.
    #[must_use]
    pub fn of_dimension(name: &str) -> Option<Self> {
        match name {
            "Day" => Some(Self::Day),
            "Week" => Some(Self::Week(Weekday::Mon)),
            "Month" => Some(Self::Month),
            "Year" => Some(Self::Year),
            _ => None,
        }
    }

    /// The period dimension of the grain.
    #[must_use]
    pub fn dimension(self) -> &'static str {
        match self {
            Self::Day => "Day",
            Self::Week(_) => "Week",
            Self::Month => "Month",
            Self::Year => "Year",
        }
    }

    /// The most days in a period.
    #[must_use]
    pub fn longest_days(self) -> u32 {
        match self {
            Self::Day => 1,
            Self::Week(_) => 7,
            Self::Month => 31,
            Self::Year => 366,
        }
    }

    /// Whether a period is longer than a day, so that a request could split it.
    #[must_use]
    pub fn is_long(self) -> bool {
        self != Self::Day
    }
}

/// Whole days, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First day.
    pub start: NaiveDate,
    /// Last day.
    pub end: NaiveDate,
}

impl fmt::Display for Window {
    /// Writes one day, or the first and the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end { write!(f, "{}", self.start) } else { write!(f, "{} to {}", self.start, self.end) }
    }
}

impl Window {
    /// Whether it includes a day.
    #[must_use]
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.start..=self.end).contains(&day)
    }

    /// Splits at the border of a period; `None` for a single period.
    ///
    /// # Examples
    /// Ten days become five and five; one month of a monthly report stays whole.
    #[must_use]
    pub fn halves(self, grain: Grain) -> Option<(Self, Self)> {
        let middle = self.start + Days::new(u64::from(self.days() / 2));
        // The last border up to the middle, or else the first one after it.
        let border = match period_start(middle, grain) {
            border if border > self.start => border,
            _ => next_period(self.start, grain),
        };
        (border <= self.end)
            .then(|| (Self { start: self.start, end: border - Days::new(1) }, Self { start: border, end: self.end }))
    }

    /// Its days without those of another.
    pub fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let before = Self { start: self.start, end: self.end.min(days_before(other.start, 1)) };
        let after = Self { start: self.start.max(days_after(other.end, 1)), end: self.end };
        let is_apart = other.end < self.start || self.end < other.start;
        let pieces =
            if is_apart { [self, Self { start: self.end, end: days_before(self.start, 1) }] } else { [before, after] };
        pieces.into_iter().filter(|piece| piece.start <= piece.end)
    }

    /// Its single periods; it starts at the border of one.
    pub fn singles(self, grain: Grain) -> impl Iterator<Item = Self> {
        let period = move |start: NaiveDate| Self { start, end: period_end(start, grain).min(self.end) };
        let first = (self.start <= self.end).then(|| period(self.start));
        std::iter::successors(first, move |last| (last.end < self.end).then(|| period(days_after(last.end, 1))))
    }

    /// How many days it holds, at least one.
    #[must_use]
    pub fn days(self) -> u32 {
        u32::try_from((self.end - self.start).num_days()).unwrap_or(0) + 1
    }
}

/// The days that a run may request of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first day of a first sync.
    pub start: NaiveDate,
    /// The configured first day, if any.
    start_date: Option<NaiveDate>,
    /// The day from which to read again, even if the cursor is later.
    pub again_from: Option<NaiveDate>,
    /// The oldest day of Criteo's history.
    pub oldest: NaiveDate,
    /// The last day: today, or the configured end.
    pub end: NaiveDate,
    /// The end, but never today.
    pub complete_until: NaiveDate,
    /// Today, fixed for the run.
    pub today: NaiveDate,
    /// Whether the configured start is before Criteo's history.
    pub is_clamped: bool,
}

impl Range {
    /// From the configured start (or the default history) to the configured end (or today).
    #[must_use]
    pub fn new(
        start_date: Option<NaiveDate>,
        end_date: Option<NaiveDate>,
        today: NaiveDate,
        history_days: u32,
        default_history_days: u32,
    ) -> Self {
        let oldest = days_before(today, history_days);
        let start = start_date.unwrap_or_else(|| days_before(today, default_history_days));
        let end = end_date.map_or(today, |end| end.min(today));
        Self {
            start: start.max(oldest),
            start_date,
            again_from: None,
            oldest,
            end,
            complete_until: complete_until(end, today),
            today,
            is_clamped: start < oldest,
        }
    }

    /// Extends the range to the end of its last period, but not beyond today: partial numbers would replace the whole
    /// period's.
    #[must_use]
    pub fn in_periods(self, grain: Grain) -> Self {
        let end = period_end(self.end, grain).min(self.today);
        Self { end, complete_until: complete_until(end, self.today), ..self }
    }

    /// The first day to request so that `day` is read.
    ///
    /// From the middle of a period, Criteo returns partial numbers under the period's key, so a period that starts
    /// before its history is skipped.
    #[must_use]
    pub fn whole(self, day: NaiveDate, grain: Grain) -> NaiveDate {
        match period_start(day, grain) {
            whole if whole >= self.oldest => whole,
            _ => next_period(day, grain),
        }
    }

    /// The whole periods to request for a hole; empty if `start` is after `end`.
    #[must_use]
    pub fn hole(self, hole: Window, grain: Grain) -> Window {
        let first = self.start_date.map_or(self.oldest, |day| day.max(self.oldest));
        Window { start: self.whole(hole.start.max(first), grain), end: period_end(hole.end, grain).min(self.end) }
    }

    /// Where to resume after `cursor`. The lookback is read again, since Criteo still changes it. A `start` after the
    /// end means nothing to read.
    ///
    /// The default history applies to first syncs alone, so a pause leaves no gap.
    #[must_use]
    pub fn resume(self, cursor: Option<NaiveDate>, lookback_days: u32, grain: Grain) -> Resume {
        let whole = |day| self.whole(day, grain);
        let Some(cursor) = cursor else {
            return Resume { start: whole(self.start), lost: None, left_out: None };
        };
        let wanted = days_before(days_after(cursor, 1), lookback_days); // guard: lookback
        let wanted = self.again_from.map_or(wanted, |day| day.min(wanted));
        let kept = whole(wanted.max(self.oldest)); // guard: pause-without-gap
        let start = self.start_date.map_or(kept, |day| kept.max(whole(day.max(self.oldest))));
        let gap = |start: NaiveDate, next: NaiveDate| {
            let gap = Window { start, end: days_before(next, 1) };
            Some(gap).filter(|gap| gap.start <= gap.end)
        };
        let next = days_after(cursor, 1);
        Resume { start, lost: gap(next, kept.min(start)), left_out: gap(next.max(kept), start) } // guard: days-left-out
    }
}

fn complete_until(end: NaiveDate, today: NaiveDate) -> NaiveDate {
    end.min(days_before(today, 1)) // guard: state-until-yesterday
}

/// Where a read resumes and what it misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The first day to read.
    pub start: NaiveDate,
    /// Unread days that Criteo no longer keeps.
    pub lost: Option<Window>,
    /// Unread days before the configured start. The cursor stays before them.
    pub left_out: Option<Window>,
}

/// The window from `start`, a border of periods, of at most `days` days: it ends at the border of a period, is at least
/// one period long and never beyond `end`.
#[must_use]
pub fn window_at(start: NaiveDate, end: NaiveDate, days: u32, grain: Grain) -> Window {
    let border = match period_start(start + Days::new(u64::from(days.max(1))), grain) {
        border if border > start => border,
        _ => next_period(start, grain),
    };
    Window { start, end: (border - Days::new(1)).min(end) }
}

/// The last day of the period of `day`.
#[must_use]
pub fn period_end(day: NaiveDate, grain: Grain) -> NaiveDate {
    next_period(day, grain) - Days::new(1)
}

/// The day `days` before another; saturates.
#[must_use]
pub fn days_before(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_sub_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MIN)
}

/// The day `days` after another; saturates.
#[must_use]
pub fn days_after(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX)
}

/// A week starts on the weekday of its grain.
pub(crate) fn period_start(day: NaiveDate, grain: Grain) -> NaiveDate {
    match grain {
        Grain::Day => day,
        Grain::Week(first) => days_before(day, day.weekday().days_since(first)),
        Grain::Month => day.with_day(1).unwrap_or(day),
        Grain::Year => day.with_ordinal(1).unwrap_or(day),
    }
}

fn next_period(day: NaiveDate, grain: Grain) -> NaiveDate {
    let start = period_start(day, grain);
    match grain {
        Grain::Day => start + Days::new(1),
        Grain::Week(_) => start + Days::new(7),
        Grain::Month => start + Months::new(1),
        Grain::Year => start + Months::new(12),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::calendar::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn grains() -> impl Strategy<Value = Grain> {
        prop::sample::select(vec![
            Grain::Day,
            Grain::Week(chrono::Weekday::Mon),
            Grain::Week(chrono::Weekday::Sat),
            Grain::Month,
            Grain::Year,
        ])
    }

    fn days() -> impl Strategy<Value = NaiveDate> {
        (0u64..4000).prop_map(|offset| day("2020-01-01") + Days::new(offset))
    }

    proptest! {
        #[test]
        fn a_hole_is_requested_in_whole_periods(
            today in days(),
            back in 0u64..1000,
            length in 0u64..60,
            start_back in proptest::option::of(0u64..1000),
            grain in grains(),
        ) {
            let range = Range::new(start_back.map(|days| today - Days::new(days)), None, today, 730, 30);
            let hole = Window { start: today - Days::new(back), end: today - Days::new(back.saturating_sub(length)) };
            let asked = range.hole(hole, grain);
            if asked.start <= asked.end {
                prop_assert!(asked.start >= range.oldest);
                prop_assert_eq!(asked.start, period_start(asked.start, grain));
                prop_assert!(asked.end == range.end || asked.end == period_end(asked.end, grain));
                prop_assert!(asked.end >= hole.end.min(range.end));
            }
        }

        #[test]
        fn halving_stops_at_single_periods_and_loses_no_day(start in days(), length in 0u64..900, grain in grains()) {
            let whole = Window { start, end: start + Days::new(length) };
            let mut stack = vec![whole];
            let mut pieces = Vec::new();
            while let Some(window) = stack.pop() {
                match window.halves(grain) {
                    Some((left, right)) => stack.extend([right, left]),
                    None => pieces.push(window),
                }
            }
            prop_assert_eq!(pieces.iter().map(|piece| piece.days()).sum::<u32>(), whole.days());
            for piece in &pieces {
                prop_assert!(next_period(piece.start, grain) > piece.end);
            }
            for pair in pieces.windows(2) {
                prop_assert_eq!(pair[1].start, pair[0].end + Days::new(1));
            }
        }

        #[test]
        fn a_resumed_sync_covers_the_lookback_without_a_gap(
            start in prop::option::of(days()), today in days(), cursor in prop::option::of(days()), lookback in 1u32..60, grain in grains(),
            is_again in any::<bool>(),
        ) {
            let mut range = Range::new(start, None, today, 730, 30);
            range.again_from = start.filter(|_| is_again);
            let Resume { start: first, lost, left_out } = range.resume(cursor, lookback, grain);
            prop_assert!(first >= range.oldest);
            prop_assert!(period_start(first, grain) == first);
            prop_assert!(range.complete_until < today);
            if let Some(again) = range.again_from {
                let asked = again.max(range.oldest);
                prop_assert!(first <= asked || period_start(asked, grain) < range.oldest);
            }
            let Some(cursor) = cursor else { return Ok(()) };
            // Days after the cursor are read or reported; only the user and Criteo's history exclude any.
            let wanted = days_before(cursor, lookback - 1);
            let floor = start.unwrap_or(range.oldest).max(range.oldest);
            prop_assert!(first <= wanted.max(floor) || period_start(wanted.max(floor), grain) < range.oldest);
            let reported: u32 = [lost, left_out].into_iter().flatten().map(Window::days).sum();
            let gap = u32::try_from((first - cursor).num_days() - 1).unwrap_or(0);
            prop_assert_eq!(reported, gap);
            prop_assert!(left_out.is_none() || start.is_some());
        }

        #[test]
        fn subtracting_a_window_keeps_the_other_days(
            start in days(), length in 0u64..40, offset in -50i64..50, others in 0u64..40,
        ) {
            let window = Window { start, end: start + Days::new(length) };
            let start = start + chrono::TimeDelta::days(offset);
            let other = Window { start, end: start + Days::new(others) };
            let all = |window: Window| window.start.iter_days().take_while(move |day| *day <= window.end);
            let left: Vec<_> = window.without(other).flat_map(all).collect();
            let wanted: Vec<_> = all(window).filter(|day| !(other.start..=other.end).contains(day)).collect();
            prop_assert_eq!(left, wanted);
        }
    }

    #[test]
    fn a_daily_sync_rereads_the_lookback() {
        let range = Range::new(Some(day("2026-01-01")), None, day("2026-07-31"), 730, 730);
        assert_eq!(range.resume(Some(day("2026-07-30")), 30, Grain::Day).start, day("2026-07-01"));
        assert_eq!(range.resume(Some(day("2026-07-30")), 30, Grain::Month).start, day("2026-07-01"));
        assert_eq!(range.resume(Some(day("2026-07-30")), 31, Grain::Month).start, day("2026-06-01"));
        assert_eq!(range.resume(None, 30, Grain::Day).start, day("2026-01-01"));
    }

    #[test]
    fn a_start_before_the_history_is_clamped() {
        let range = Range::new(Some(day("2016-02-29")), None, day("2026-07-31"), 730, 730);
        assert!(range.is_clamped);
        assert_eq!(range.start, day("2024-07-31"));
        assert_eq!(range.resume(None, 30, Grain::Day).start, day("2024-07-31"));
        // July 2024 has only one day left, so the first whole month is August.
        assert_eq!(range.resume(None, 30, Grain::Month).start, day("2024-08-01"));
        assert_eq!(range.resume(None, 30, Grain::Year).start, day("2025-01-01"));
    }
}
