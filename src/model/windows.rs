//! Several windows of days, such as those that a run has read.

use std::fmt;

use crate::model::calendar::{Window, days_after};

/// Windows that text names; more are counted.
const MAX_NAMED: usize = 4;

/// Windows in order, merged where they touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Adds a window.
    pub fn add(&mut self, window: Window) {
        let (mut start, mut end) = (window.start, window.end);
        // Usually it extends the last one.
        let first = self.0.partition_point(|known| days_after(known.end, 1) < start);
        let touching = self.0.get(first..).into_iter().flatten().take_while(|known| known.start <= days_after(end, 1));
        let count = touching.count();
        for known in self.0.drain(first..first + count) {
            (start, end) = (start.min(known.start), end.max(known.end));
        }
        self.0.insert(first, Window { start, end });
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts of a window that are in these.
    pub fn within(&self, window: Window) -> impl Iterator<Item = Window> {
        let parts = self
            .0
            .iter()
            .map(move |known| Window { start: known.start.max(window.start), end: known.end.min(window.end) });
        parts.filter(|part| part.start <= part.end)
    }
}

impl fmt::Display for Windows {
    /// Writes them in order; of many, the first and the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((last, others)) = self.0.split_last() else { return f.write_str("no days") };
        let named = if self.0.len() > MAX_NAMED { MAX_NAMED - 1 } else { others.len() };
        for (index, window) in others.iter().take(named).enumerate() {
            write!(f, "{}{window}", if index > 0 { ", " } else { "" })?;
        }
        match others.len() - named {
            0 if others.is_empty() => write!(f, "{last}"),
            0 => write!(f, " and {last}"),
            1 => write!(f, ", 1 other period and {last}"),
            more => write!(f, ", {more} other periods and {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::NaiveDate;
    use proptest::prelude::*;

    use crate::model::windows::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, day).unwrap()
    }

    fn windows(all: &[(u32, u32)]) -> Windows {
        let mut windows = Windows::default();
        for (start, end) in all {
            windows.add(Window { start: day(*start), end: day(*end) });
        }
        windows
    }

    #[test]
    fn windows_that_touch_are_one() {
        let text = |all: &[(u32, u32)]| windows(all).to_string();
        assert_eq!(text(&[]), "no days");
        assert_eq!(text(&[(4, 6), (1, 3)]), "2026-10-01 to 2026-10-06");
        assert_eq!(text(&[(1, 3), (20, 20)]), "2026-10-01 to 2026-10-03 and 2026-10-20");
        assert_eq!(
            text(&[(9, 9), (1, 1), (3, 3), (5, 5), (7, 7)]),
            "2026-10-01, 2026-10-03, 2026-10-05, 1 other period and 2026-10-09"
        );
    }

    proptest! {
        #[test]
        fn windows_have_the_days_that_were_added(all in prop::collection::vec((1u32..31, 0u32..9), 0..12), span in (1u32..31, 0u32..31)) {
            let all: Vec<_> = all.into_iter().map(|(start, length)| (start, (start + length).min(31))).collect();
            let days: BTreeSet<u32> = all.iter().flat_map(|(start, end)| *start..=*end).collect();
            let windows = windows(&all);
            let known: Vec<_> = (1..=31).filter(|number| windows.within(Window { start: day(*number), end: day(*number) }).count() == 1).collect();
            prop_assert_eq!(known, days.iter().copied().collect::<Vec<_>>());
            let (start, end) = (span.0, (span.0 + span.1).min(31));
            let inside: u32 = windows.within(Window { start: day(start), end: day(end) }).map(Window::days).sum();
            prop_assert_eq!(inside as usize, days.range(start..=end).count());
            prop_assert!(windows.0.windows(2).all(|pair| days_after(pair[0].end, 1) < pair[1].start));
        }
    }
}
