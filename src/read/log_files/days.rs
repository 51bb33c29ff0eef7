//! The days of one advertiser: which are read, which are holes, and the first one that Criteo serves.

use chrono::NaiveDate;

use crate::error::{Cause, Error, Result};
use crate::model::calendar::{Grain, Window, days_after, days_before};
use crate::model::ids::AdvertiserId;
use crate::read::ReadContext;
use crate::read::first_day::{first_served, is_near, is_served};
use crate::read::list::may_concern_one_request;
use crate::read::log_files::Reader;
use crate::read::log_files::download::Unread;
use crate::state::cursor::Why;

/// Consecutive unlisted days before an advertiser is given up.
const MAX_FAILURES: u32 = 4;
/// Searches for the first served day.
const MAX_FIRST_DAYS: usize = 3;

impl Reader<'_> {
    /// Reads days of an advertiser in order. `moves_cursor` is false if unread days lie between the cursor and the
    /// first day.
    pub(super) async fn read_days(
        &mut self,
        advertiser: &AdvertiserId,
        days: Window,
        moves_cursor: bool,
    ) -> Result<()> {
        let mut failures_in_a_row = 0;
        let mut own_first_day = None;
        let last = days.end.min(self.range.complete_until);
        for day in days.start.iter_days().take_while(|day| *day <= last) {
            if own_first_day.is_some_and(|first_day| day < first_day) {
                continue;
            }
            let mut outcome = self.run.read_day(self.id, advertiser, day, &self.columns).await;
            if let Err(Unread::List(error)) = &outcome
                && self.may_lie_before_first_day(advertiser, day, error)
            {
                let is_of_days = error.cause == Some(Cause::InvalidTimespan);
                let hint = self.progress.latest_first_day;
                self.progress.first_days_searched += usize::from(hint.is_none());
                let window = Window { start: day, end: self.range.complete_until };
                match self.run.first_served(advertiser, window, hint, is_of_days).await {
                    Ok(Some(first_day)) if first_day > day => {
                        if is_of_days {
                            self.begin_at(advertiser, first_day);
                        } else {
                            tracing::warn!(
                                "Criteo refuses the log files of {advertiser} before {first_day}, so reading starts on \
                                 that day. {error}"
                            );
                        }
                        (own_first_day, self.progress.latest_first_day) = (Some(first_day), Some(first_day));
                        continue;
                    }
                    Ok(Some(_)) => outcome = self.run.read_day(self.id, advertiser, day, &self.columns).await,
                    Ok(None) => {}
                    // The next search would fail the same way.
                    Err(_) => self.progress.first_days_searched = MAX_FIRST_DAYS,
                }
            }
            let hole = match outcome {
                Ok(()) => None,
                Err(Unread::Files(error)) => Some((error, true)),
                Err(Unread::List(error)) => {
                    failures_in_a_row += 1;
                    let has_read = self.progress.served_from.contains_key(advertiser);
                    if failures_in_a_row > MAX_FAILURES || !is_about_days(&error, has_read) {
                        return self.progress.refuse(advertiser, error, self.run.advertisers.len());
                    }
                    Some((error, false))
                }
            };
            if hole.as_ref().is_none_or(|(_, is_listed)| *is_listed) {
                failures_in_a_row = 0;
                self.progress.accepts(advertiser, day);
            }
            self.note(advertiser, day, hole.map(|(error, _)| error), moves_cursor);
        }
        Ok(())
    }

    /// Whether Criteo may no longer keep the files of this day.
    fn may_lie_before_first_day(&self, advertiser: &AdvertiserId, day: NaiveDate, error: &Error) -> bool {
        let served = match error.cause {
            Some(Cause::InvalidTimespan) => self.progress.served_from.get(advertiser),
            // Unusual words for a day that others are served are not about the day.
            _ => self.progress.served_from.values().min(),
        };
        let is_earliest = served.is_none_or(|served| day < *served);
        let is_near_first_day = is_near(day, self.range.oldest);
        is_earliest
            && self.progress.first_days_searched < MAX_FIRST_DAYS
            && match error.cause {
                // Days after a cursor were served recently.
                Some(Cause::InvalidTimespan) => is_near_first_day || self.cursors.cursor(advertiser).is_none(),
                Some(Cause::Rejected | Cause::NotFound | Cause::Forbidden | Cause::ErrorsInResponse) => {
                    is_near_first_day
                }
                _ => false,
            }
    }

    /// Notes the first day of an advertiser and warns about unread earlier days.
    fn begin_at(&mut self, advertiser: &AdvertiserId, first_day: NaiveDate) {
        let of = std::slice::from_ref(advertiser);
        self.progress.first_days.add(first_day, of);
        let Some(cursor) = self.cursors.cursor(advertiser) else { return };
        let lost = Window { start: days_after(cursor, 1).max(self.range.oldest), end: days_before(first_day, 1) };
        if lost.start <= lost.end {
            self.progress.no_longer_kept.entry((lost, cursor)).or_default().push(advertiser.clone());
        }
    }

    fn note(&mut self, advertiser: &AdvertiserId, day: NaiveDate, hole: Option<Error>, moves_cursor: bool) {
        let window = Window { start: day, end: day };
        let before = self.cursors.clone();
        let of = std::slice::from_ref(advertiser);
        if moves_cursor && day <= self.settled {
            self.cursors.advance(of, day);
        }
        // Days after the cursor are not holes: the next sync reads them anyway.
        if self.cursors.cursor(advertiser).is_some_and(|cursor| day <= cursor) {
            let holes: &[_] = if hole.is_some() { &[(window, Why::Unread)] } else { &[] };
            self.cursors.settle(of, window, holes);
        }
        if let Some(error) = hole {
            self.progress
                .unread
                .get_or_insert((Vec::new(), error))
                .0
                .push((Window { start: day, end: day }, advertiser.to_string()));
        }
        if self.is_incremental && !self.cursors.says_the_same(&before) {
            self.run.output.state(self.id, self.cursors.to_value());
        }
    }
}

impl ReadContext<'_> {
    /// The first day of a window whose files are listed; `None` if even the last is not.
    async fn first_served(
        &self,
        advertiser: &AdvertiserId,
        window: Window,
        hint: Option<NaiveDate>,
        is_first_refused: bool,
    ) -> Result<Option<NaiveDate>> {
        let days: Vec<_> = window.singles(Grain::Day).map(|day| day.start).collect();
        let hint = hint.and_then(|hint| days.iter().position(|day| *day == hint));
        let is_served = async |index: usize| is_served(self.log_files(advertiser, days[index]).await);
        Ok(first_served(days.len(), hint, is_first_refused, is_served).await?.map(|index| days[index]))
    }
}

/// Whether an error concerns the days and not the advertiser. `has_read`: the advertiser has been served.
fn is_about_days(error: &Error, has_read: bool) -> bool {
    match error.cause {
        Some(Cause::ConsentMissing | Cause::PermissionMissing) => false,
        Some(Cause::InvalidTimespan) => true,
        _ => may_concern_one_request(error) && (has_read || !error.is_refusal()),
    }
}
