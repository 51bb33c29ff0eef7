//! Partner billing: what a retailer bills to the accounts that advertise with it, one job per account and month.
//!
//! A bill has no days, and covers at most 31 of them, so each month is a job. The newest months are requested first: where
//! Criteo refuses a month, earlier ones are not requested.

use chrono::{Datelike as _, Months, NaiveDate};
use futures_util::stream::{self, StreamExt as _};

use crate::error::{Cause, Result};
use crate::model::calendar::{Grain, Window, days_before, period_end};
use crate::output::StreamId;
use crate::products::{Entity, Job, Placeholder};
use crate::read::jobs::{Finished, Unread};
use crate::read::list::may_concern_one_request;
use crate::read::list::parents::ParentKey;
use crate::read::list::walk::scope_of;
use crate::read::pages::List;
use crate::read::{InFlight, ReadContext, requests};
use crate::rows::envelope::{self, CheckOnly, Shape};
use crate::rows::unfold;

/// Like reports of Retail Media: three years, in days.
const HISTORY_DAYS: u32 = 1095;
const CONCURRENT_MONTHS: usize = 4;
/// Months that fail in a row before the others are given up.
const MAX_FAILURES: u32 = 3;

impl ReadContext<'_> {
    /// Reads the bills of one account, month by month.
    pub(in crate::read) async fn read_billing(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        parent: &ParentKey,
    ) -> Result<List> {
        // Only some months are read, so rows of others must stay in their table.
        let mut list = List { is_uncertain: true, ..List::default() };
        let (Some(id), Some(account)) = (id, scope_of(parent)) else { return Ok(list) };
        let range = &self.config.read;
        let today = self.clock.today(chrono_tz::Tz::UTC);
        let (yesterday, oldest) = (days_before(today, 1), days_before(today, HISTORY_DAYS));
        let first = range.start_date.map_or_else(|| first_whole_month(oldest), |day| day.max(oldest));
        // A bill replaces an earlier one of its month, so it must not end before it.
        let until = range.end_date.map_or(yesterday, |end| period_end(end, Grain::Month).min(yesterday));
        let months = months(first, until);
        let mut bills = stream::iter(months)
            .map(async |month| (month, self.read_month(id, entity, account, month).await))
            .buffered(CONCURRENT_MONTHS);
        let (mut has_read, mut failures) = (false, 0);
        while let Some((month, result)) = bills.next().await {
            let Err(error) = result else {
                (has_read, failures) = (true, 0);
                continue;
            };
            if has_read && error.cause == Some(Cause::InvalidTimespan) {
                tracing::warn!(
                    "Criteo refuses bills of account {account} for {month}, so earlier ones are skipped. {error}"
                );
                break;
            }
            failures += 1;
            let is_of_account = matches!(error.cause, Some(Cause::ConsentMissing | Cause::PermissionMissing));
            if is_of_account || !may_concern_one_request(&error) || (!has_read && failures >= MAX_FAILURES) {
                return Err(error);
            }
            list.failure.get_or_insert(error.in_context(&format!("The bill of account {account} for {month}")));
            if failures >= MAX_FAILURES {
                break;
            }
        }
        Ok(list)
    }

    async fn read_month(&self, id: StreamId, entity: Entity, account: &str, month: Window) -> Result<()> {
        let create = requests::billing(entity, account, month);
        self.read_job(Job::Billing, &create, async |job| self.read_bill(id, entity, account, month, &job).await).await
    }

    async fn read_bill(
        &self,
        id: StreamId,
        entity: Entity,
        account: &str,
        month: Window,
        job: &Finished,
    ) -> Result<(), Unread> {
        let call = requests::job(Job::Billing, &job.id, "output");
        let check = |body: &str| envelope::check_into(body, Shape::Plain, &mut CheckOnly);
        let (body, _) = self.client.fetch(&call, check).await.map_err(|error| match error.cause {
            Some(Cause::NotFound) => Unread::Expired(error),
            // What became of a job says nothing about the account.
            _ => Unread::Failed(error.after_success()),
        })?;
        let body = self.part(entity, body, |_, row| unfold::rows(row, entity.rows)).await.map_err(Unread::Failed)?;
        let constants = vec![
            (Placeholder::ParentAccountId.name(), account.to_owned()),
            ("month", month.start.to_string()),
            ("start_date", month.start.to_string()),
            ("end_date", month.end.to_string()),
        ];
        let mut in_flight = InFlight::default();
        in_flight.push(self.output.write_rows(id, body, constants, None, None));
        in_flight.wait_all().await.map_err(Unread::Failed)
    }
}

/// The first day of the first month that does not begin before a day.
fn first_whole_month(day: NaiveDate) -> NaiveDate {
    let next = day.with_day(1).filter(|first| *first < day).and_then(|first| first.checked_add_months(Months::new(1)));
    next.unwrap_or(day)
}

/// The months from that of `first` to that of `last`, newest first; the newest one may end early.
fn months(first: NaiveDate, last: NaiveDate) -> Vec<Window> {
    let mut months = Vec::new();
    let mut end = last;
    while let Some(start) = end.with_day(1).filter(|_| end >= first) {
        months.push(Window { start, end });
        end = days_before(start, 1);
    }
    months
}

#[cfg(test)]
mod tests {
    use crate::read::jobs::billing::*;

    #[test]
    fn months_are_whole_but_for_the_newest() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let windows = |first, last| -> Vec<String> {
            let windows = months(day(first), day(last)).into_iter();
            windows.map(|window| format!("{} {}", window.start, window.end)).collect()
        };
        assert_eq!(
            windows("2026-01-20", "2026-03-05"),
            ["2026-03-01 2026-03-05", "2026-02-01 2026-02-28", "2026-01-01 2026-01-31"]
        );
        assert_eq!(windows("2026-03-05", "2026-03-05"), ["2026-03-01 2026-03-05"]);
        assert_eq!(windows("2026-03-06", "2026-03-05"), [""; 0]);
        assert_eq!(first_whole_month(day("2025-12-01")), day("2025-12-01"));
        assert_eq!(first_whole_month(day("2025-12-02")), day("2026-01-01"));
    }
}
