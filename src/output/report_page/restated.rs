//! What an export has restated: the sums of its tables per day before and after new rows were merged.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::model::calendar::Window;
use crate::output::report_page::watch::Numbers;
use crate::output::sink::Sink;

/// Days of the table on the page, those with the largest changes.
const MAX_DAYS: usize = 100;

type ByDay = BTreeMap<NaiveDate, Numbers>;

/// The sums of a table before and after a merge.
#[derive(Debug, Default)]
pub(crate) struct Restated {
    days: Vec<Window>,
    before: Option<ByDay>,
    after: Option<ByDay>,
}

/// A day whose sums have changed.
pub(crate) struct ChangedDay {
    pub day: NaiveDate,
    pub before: Numbers,
    pub after: Numbers,
}

/// What has changed.
pub(crate) struct Changes {
    /// In the order of days.
    pub days: Vec<ChangedDay>,
    /// How many more days have changed.
    pub omitted: usize,
    /// Days that were read again.
    pub read_again: usize,
    pub before: Numbers,
    pub after: Numbers,
}

impl Restated {
    pub(crate) fn before(&mut self, table: &str, days: &[Window], sink: &Sink) {
        self.days = days.to_vec();
        self.before = self.sums(table, sink);
    }

    pub(crate) fn after(&mut self, table: &str, sink: &Sink) {
        if self.before.is_some() {
            self.after = self.sums(table, sink);
        }
    }

    /// The sums of the days that were read; `None` if this is no export, or its files cannot be read.
    fn sums(&self, table: &str, sink: &Sink) -> Option<ByDay> {
        let Sink::Export(export) = sink else { return None };
        let first = self.days.iter().map(|window| window.start).min()?;
        let mut sums = export.daily_sums(table, first).ok()?;
        sums.retain(|day, _| self.days.iter().any(|window| window.contains(*day)));
        Some(sums)
    }

    /// What has changed on days that the table had before; `None` if it had none.
    pub(crate) fn changes(&self) -> Option<Changes> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        if before.is_empty() {
            return None;
        }
        let mut changes = Changes {
            days: Vec::new(),
            omitted: 0,
            read_again: before.len(),
            before: Numbers::default(),
            after: Numbers::default(),
        };
        for (day, before) in before {
            let after = after.get(day).copied().unwrap_or_default();
            changes.before.add(*before);
            changes.after.add(after);
            if after != *before {
                changes.days.push(ChangedDay { day: *day, before: *before, after });
            }
        }
        changes.days.sort_by_key(|day| std::cmp::Reverse(change(day)));
        changes.omitted = changes.days.len().saturating_sub(MAX_DAYS);
        changes.days.truncate(MAX_DAYS);
        changes.days.sort_by_key(|day| day.day);
        Some(changes)
    }
}

fn change(day: &ChangedDay) -> (i128, i128) {
    let size = |of: fn(&Numbers) -> i128| of(&day.after).saturating_sub(of(&day.before)).saturating_abs();
    (size(|numbers| numbers.cost.0), size(|numbers| numbers.revenue.0))
}
