//! Handles slices that Criteo refuses, fails to serve, or serves with too many rows.
//!
//! Slices are split where possible. Otherwise a refused advertiser is skipped, and an unreadable window becomes a hole
//! that the next sync requests again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures_util::future::{FutureExt as _, LocalBoxFuture};

use crate::error::{Cause, Error, Kind, Result};
use crate::http::MEMORY_MIB;
use crate::model::calendar::{Window, days_before};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::output::facts::Fact;
use crate::read::first_day::{FirstDays, first_day_warning, is_near};
use crate::read::report::retired::{Retired, is_about};
use crate::read::report::{Event, FirstServed, ReportReader};
use crate::read::track::{Failures, Purpose, Slice, SplitOutcome, Track};
use crate::read::unread::unread_error;
use crate::support::text::list_of;

/// Refusals of this many days or fewer are not blamed on their number. Other connectors request a month, and Criteo
/// recommends four days; no limit is documented. A lower limit reported as `invalid-timespan` is found anyway.
const SURE_DAYS: u32 = 31;
/// After this many failed searches for a first day, unexplained refusals of single advertisers cause no more. The
/// number is a guess: a search costs two requests per advertiser, but without any, an account whose first advertisers
/// are refused would miss a first day reported in unusual words.
const MAX_FIRST_DAYS: usize = 3;
/// This many refused periods at the start of a first sync are assumed to be older than Criteo's history. The number is
/// a guess: fewer may be an accident; more would be requested in vain by every sync.
const MIN_REFUSED: usize = 5;
/// After this many refused advertisers without a success, the request itself is refused.
const MAX_REFUSED: usize = 3;
/// After this many consecutive failures, or as many as isolate one unreadable day, stop splitting. The number is a
/// guess: each takes minutes of retries, so a longer series is an outage.
const MAX_FAILURES: u32 = 4;
/// The same for timeouts, which smaller requests may avoid.
const MAX_SLOW: u32 = 8;
/// Dimensions whose names occur in errors about any report.
const OF_EVERY_REPORT: [&str; 7] = ["AdvertiserId", "Advertiser", "Hour", "Day", "Week", "Month", "Year"];

#[derive(Default)]
pub(crate) struct Recovery {
    /// Whether Criteo has served any slice.
    has_accepted: bool,
    /// Whether consent was checked after a refusal that does not mention it.
    has_asked_consent: bool,
    /// The earliest day served, by advertiser.
    served_from: HashMap<AdvertiserId, NaiveDate>,
    failures: Failures,
    refused: Vec<(AdvertiserId, Error)>,
    lost: BTreeSet<AdvertiserId>,
    /// Unread windows and the first error.
    unread: Option<(Vec<(Window, String)>, Error)>,
    /// First days later than expected.
    first_days: FirstDays,
    /// The first advertiser and the number of advertisers for which a first day was searched.
    searched_first_day: HashSet<(Option<AdvertiserId>, usize)>,
    is_searching_first_day: bool,
    /// Advertisers whose first day is being searched.
    searched: BTreeSet<AdvertiserId>,
    /// A hint: the last first day found for an advertiser whose refusal did not mention days.
    pub(crate) latest_first_day: Option<NaiveDate>,
    /// Served advertisers, with the day from which their first day was searched: further refusals concern days.
    served: HashMap<AdvertiserId, NaiveDate>,
    first_days_missed: usize,
    /// Why slices were split.
    pub(crate) reasons: HashMap<u64, Error>,
    /// Why the stream stopped early.
    stopped: Option<Error>,
}

impl Recovery {
    pub(crate) fn accepted(&mut self, slice: &Slice) {
        self.has_accepted = true;
        self.failures = Failures::default();
        let start = slice.window.start;
        for id in slice.advertisers.iter() {
            let day = self.served_from.entry(id.clone()).or_insert(start);
            *day = start.min(*day);
        }
    }

    fn is_served(&self, slice: &Slice) -> bool {
        let from = slice.advertisers.first().and_then(|id| self.served.get(id));
        from.is_some_and(|from| *from <= slice.window.start)
    }

    fn is_earliest(&self, slice: &Slice) -> bool {
        let is_later = |id: &AdvertiserId| self.served_from.get(id).is_none_or(|day| slice.window.start < *day);
        slice.advertisers.iter().all(is_later)
    }
}

/// Failures until one unreadable day of one advertiser is isolated.
fn failures_of_one(slice: &Slice) -> u32 {
    let halvings = |count: u32| count.max(1).next_power_of_two().trailing_zeros();
    1 + halvings(slice.window.days()) + halvings(u32::try_from(slice.advertisers.len()).unwrap_or(u32::MAX / 2))
}

impl<'a> ReportReader<'a> {
    pub(crate) fn handle_error(
        &mut self,
        index: usize,
        slice: Slice,
        error: Error,
        retired: &Retired,
    ) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        let is_of_several = slice.advertisers.len() > 1;
        match error.cause {
            Some(Cause::ConsentMissing) => {
                return Ok(Some(self.ask_consent(slice, error)));
            }
            Some(Cause::NoCampaign | Cause::RequestTooLong) if is_of_several => {
                self.tracks[index].split_by_advertisers(slice.id);
            }
            Some(Cause::RequestTooLong) if slice.part.is_some() => {
                self.recovery.reasons.insert(slice.id, error);
                return Ok(self.split(index, slice));
            }
            Some(Cause::NoCampaign) => self.mark_empty(index, &slice),
            Some(Cause::InvalidTimespan) => return Ok(self.shorten(index, slice, error)),
            Some(Cause::TooSlow) if self.recovery.failures.in_a_row < MAX_SLOW => {
                tracing::info!("The response for {} timed out; splitting the request.", slice.window);
                self.recovery.failures.in_a_row += 1;
                self.limit_days(slice.window.days() / 2);
                self.recovery.reasons.insert(slice.id, error);
                return Ok(self.split(index, slice));
            }
            Some(
                Cause::Rejected
                | Cause::Forbidden
                | Cause::NotFound
                | Cause::PermissionMissing
                | Cause::ErrorsInResponse
                | Cause::RequestTooLong,
            ) => {
                let is_about_metric = !self.has_rows && retired.suspect(self.report, &error).is_some();
                if is_about_metric || self.is_about_request(&error) {
                    return Err(error);
                }
                // guard: consent-before-splitting
                if self.recovery.has_accepted && error.kind != Kind::Transient && !self.recovery.has_asked_consent {
                    // One call may explain what halving would take hundreds to find.
                    self.recovery.has_asked_consent = true;
                    return Ok(Some(self.ask_consent(slice, error)));
                }
                return self.isolate(index, slice, error); // guard: refused-advertisers
            }
            Some(Cause::RetriesUsedUp) => self.stop(index, &slice, error),
            Some(Cause::WeekStart(_) | Cause::OutsideRequest | Cause::RepeatedKey) => return Err(error),
            _ if error.kind == Kind::Transient => self.retry_smaller(index, &slice, error),
            _ => return Err(error),
        }
        Ok(None)
    }

    pub(crate) fn split(&mut self, index: usize, slice: Slice) -> Option<LocalBoxFuture<'a, Event>> {
        let outcome = self.tracks[index].split(slice.id);
        self.after_split(index, slice, outcome)
    }

    /// Splits a slice whose window has `expected` rows and bytes, if known.
    pub(crate) fn split_cut(
        &mut self,
        index: usize,
        slice: Slice,
        expected: Option<(u64, usize)>,
    ) -> Option<LocalBoxFuture<'a, Event>> {
        let outcome = self.tracks[index].split_cut(slice.id, expected);
        self.after_split(index, slice, outcome)
    }

    fn after_split(&mut self, index: usize, slice: Slice, outcome: SplitOutcome) -> Option<LocalBoxFuture<'a, Event>> {
        self.tally.splits += 1;
        match outcome {
            SplitOutcome::Smaller => None,
            SplitOutcome::NeedsAdSets if self.report.can_filter_ad_sets() => Some(self.ask_ad_sets(slice)),
            SplitOutcome::NeedsAdSets | SplitOutcome::Unsplittable => {
                self.cannot_split(index, &slice, None);
                None
            }
        }
    }

    pub(crate) fn cannot_split(&mut self, index: usize, slice: &Slice, error: Option<Error>) {
        self.tracks[index].stop_waiting_for_ad_sets();
        let error = self.recovery.reasons.remove(&slice.id).or(error);
        if slice.is_short {
            // Incomplete rows are better than none.
            self.tracks[index].read_last_time(slice.id);
        } else {
            let error = error.unwrap_or_else(|| self.too_large_error(slice));
            self.give_up(index, slice, error);
        }
    }

    fn give_up(&mut self, index: usize, slice: &Slice, error: Error) {
        let unread = &mut self.recovery.unread.get_or_insert((Vec::new(), error)).0;
        unread.push((slice.window, format_ids(&slice.advertisers)));
        self.tracks[index].give_up(slice.id);
        self.send_state(index);
    }

    fn send_state(&mut self, index: usize) {
        if let Some(state) = self.move_on(index) {
            self.run.output.state(self.id, state);
        }
    }

    /// Criteo has no campaign for the advertiser.
    fn mark_empty(&mut self, index: usize, slice: &Slice) {
        self.recovery.accepted(slice);
        self.tracks[index].done(slice.id, 0, 0);
        let coverage = self.coverage(index, slice);
        self.run.output.covers(self.id, coverage); // guard: empty-parts
        self.send_state(index);
    }

    /// Skips this slice and all later days.
    fn stop(&mut self, index: usize, slice: &Slice, error: Error) {
        self.tracks[index].stop_before(slice.id);
        self.recovery.stopped.get_or_insert(error);
    }

    /// Criteo refuses this span of days: too long, or too far back.
    fn shorten(&mut self, index: usize, slice: Slice, error: Error) -> Option<LocalBoxFuture<'a, Event>> {
        if self.recovery.is_searching_first_day {
            // Its days may be before the first served day.
            self.tracks[index].wait(slice.id);
            return None;
        }
        let key = (slice.advertisers.first().cloned(), slice.advertisers.len());
        if self.recovery.is_earliest(&slice) && self.recovery.searched_first_day.insert(key) {
            self.recovery.is_searching_first_day = true;
            return Some(self.request_first_day(slice, error));
        }
        if self.can_be_halved(&slice) {
            // Days this early are served, so the span is too long.
            self.limit_days(slice.window.days() / 2);
            self.tracks[index].split(slice.id);
        } else {
            self.give_up(index, &slice, error);
        }
        None
    }

    fn can_be_halved(&self, slice: &Slice) -> bool {
        slice.part.is_none() && slice.window.halves(self.report.grain).is_some()
    }

    /// Resumes the slices that waited for this search.
    pub(crate) fn end_search(&mut self, slice: &Slice) {
        let is_of_one = slice.advertisers.first().is_some_and(|id| self.recovery.searched.remove(id));
        self.recovery.is_searching_first_day &= is_of_one;
        let waiting = |track: &&mut Track| !is_of_one || track.advertisers()[..] == slice.advertisers[..];
        self.tracks.iter_mut().filter(waiting).for_each(Track::resume_waiting);
    }

    fn limit_days(&mut self, days: u32) {
        self.tracks.iter_mut().for_each(|track| track.limit_days(days));
    }

    /// Whether the error names a dimension or metric of the user's choice. Periods and advertisers are in every
    /// request.
    fn is_about_request(&self, error: &Error) -> bool {
        let is_choice = |word: &&String| !OF_EVERY_REPORT.contains(&word.as_str());
        let mut words = self.report.dimensions.iter().filter(is_choice).chain(&self.report.metrics);
        self.report.is_custom && error.cause == Some(Cause::Rejected) && words.any(|word| is_about(error, word))
    }

    /// Starts at the first served day. If there is none, the refusal has another reason.
    pub(crate) fn begin_at_first_day(
        &mut self,
        index: usize,
        slice: &Slice,
        error: Error,
        first_day: Result<FirstServed>,
    ) -> Result<()> {
        let is_of_days = error.cause == Some(Cause::InvalidTimespan);
        if let (Ok(FirstServed::On(_)), Some(id), false) = (&first_day, slice.advertisers.first(), is_of_days) {
            let from = self.recovery.served.entry(id.clone()).or_insert(slice.window.start);
            *from = slice.window.start.min(*from);
        }
        let first_day = match first_day {
            Ok(FirstServed::On(first_day)) if first_day > slice.window.start => first_day,
            Ok(FirstServed::Differs) => {
                self.tracks[index].split_by_advertisers(slice.id);
                return Ok(());
            }
            Ok(FirstServed::None) if !is_of_days => {
                self.recovery.first_days_missed += 1;
                return self.skip_advertiser(slice, error);
            }
            // The span is too long, or a later day is refused.
            Ok(_) if self.can_be_halved(slice) => {
                if is_of_days {
                    self.limit_days(slice.window.days() / 2);
                }
                self.tracks[index].split(slice.id);
                return Ok(());
            }
            Ok(_) => {
                self.give_up(index, slice, error);
                return Ok(());
            }
            // A failed search says nothing about the days.
            Err(error) => {
                self.give_up(index, slice, error);
                return Ok(());
            }
        };
        if !is_of_days && !self.is_like_a_first_day(slice, first_day) {
            tracing::warn!(
                "Criteo refuses days of {} before {first_day} but serves that day. If it no longer keeps them, set \
                 start_date to {first_day}; until then every sync requests them again.",
                format_ids(&slice.advertisers)
            );
            if self.can_be_halved(slice) {
                self.tracks[index].split(slice.id);
            } else {
                self.give_up(index, slice, error);
            }
            return Ok(());
        }
        self.recovery.latest_first_day = Some(first_day);
        if is_of_days || self.is_only_scope(slice) {
            self.recovery.first_days.add(first_day, &slice.advertisers);
        } else {
            tracing::warn!(
                "Criteo refuses to report on {} before {first_day}, so reading starts on that day. {error}",
                format_ids(&slice.advertisers)
            );
        }
        // Other advertisers may have more history: each finds its own first day.
        // guard: own-first-days
        let is_same = |track: &&mut Track| track.advertisers()[..] == slice.advertisers[..];
        self.tracks.iter_mut().filter(is_same).for_each(|track| track.begin_at(first_day));
        self.tracks[index].begin_at(first_day);
        let advertisers = Arc::clone(&slice.advertisers);
        self.run.output.fact(self.id, Fact::FirstDay { day: first_day, advertisers });
        Ok(())
    }

    /// Whether days refused without a reason may be older than Criteo's history: near its assumed start, or many at the
    /// start of a first sync.
    fn is_like_a_first_day(&self, slice: &Slice, first_day: NaiveDate) -> bool {
        let refused = Window { start: slice.window.start, end: days_before(first_day, 1) };
        let is_new = slice.advertisers.first().is_none_or(|id| self.cursors.cursor(id).is_none());
        is_near(days_before(first_day, 1), self.range.oldest)
            || is_new && refused.singles(self.report.grain).count() >= MIN_REFUSED
    }

    /// Whether no other advertisers are read.
    fn is_only_scope(&self, slice: &Slice) -> bool {
        self.tracks.iter().all(|track| track.advertisers()[..] == slice.advertisers[..])
    }

    fn ask_consent(&self, slice: Slice, error: Error) -> LocalBoxFuture<'a, Event> {
        let run = self.run;
        async move {
            let consenting = run.still_consenting().await;
            Event::Consent(slice, error, consenting)
        }
        .boxed_local()
    }

    /// Splits a refused request to find the advertiser or the days.
    pub(crate) fn isolate(
        &mut self,
        index: usize,
        slice: Slice,
        error: Error,
    ) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        let can_be_halved = self.can_be_halved(&slice);
        let track = &mut self.tracks[index];
        if can_be_halved && slice.window.days() > SURE_DAYS {
            track.split(slice.id);
        } else if slice.advertisers.len() > 1 {
            track.split_by_advertisers(slice.id);
        } else if track.has_read_before(slice.window.start)
            || track.purpose == Purpose::Hole
            || self.recovery.is_served(&slice)
        {
            // The advertiser is served, so it is the days. A hole proves that, too.
            if can_be_halved {
                track.split(slice.id);
            } else {
                self.give_up(index, &slice, error);
            }
        } else if slice.refusals == 0 && track.is_busy_besides(slice.id) {
            track.request_again(slice.id);
        } else if error.kind == Kind::Transient {
            // Transient errors are no refusals; splitting would use up the shared retries.
            self.give_up(index, &slice, error);
        } else if slice.advertisers.first().is_some_and(|id| self.recovery.searched.contains(id)) {
            track.wait(slice.id);
        } else if !track.is_first(slice.id) {
            // If earlier days are served, it is neither the advertiser nor its first day.
            track.wait_for_days_before(slice.id);
        } else if self.recovery.first_days_missed < MAX_FIRST_DAYS {
            // The first days may be older than Criteo's history.
            self.recovery.searched.extend(slice.advertisers.first().cloned());
            return Ok(Some(self.request_first_day(slice, error)));
        } else {
            self.skip_advertiser(&slice, error)?;
        }
        Ok(None)
    }

    /// Skips the advertiser of a slice. If none is served, the stream fails.
    fn skip_advertiser(&mut self, slice: &Slice, error: Error) -> Result<()> {
        let Some(advertiser) = slice.advertisers.first() else { return Err(error) };
        tracing::warn!("Criteo refuses to report on {advertiser}; reading the others. {error}");
        self.recovery.refused.push((advertiser.clone(), error.clone()));
        self.tracks.retain(|track| track.advertisers()[..] != slice.advertisers[..]);
        let is_hopeless = self.recovery.refused.len() >= MAX_REFUSED || self.tracks.is_empty();
        if is_hopeless && !self.recovery.has_accepted { Err(error) } else { Ok(()) }
    }

    /// All retries failed: a part may be readable.
    fn retry_smaller(&mut self, index: usize, slice: &Slice, error: Error) {
        let most = MAX_FAILURES.max(failures_of_one(slice));
        let can_be_halved = self.can_be_halved(slice);
        let track = &mut self.tracks[index];
        let is_outage = self.recovery.failures.add(most);
        // Other tracks may succeed meanwhile.
        if track.failures.add(most) || is_outage {
            self.stop(index, slice, error);
        } else if slice.part.is_none() && slice.is_suspect && slice.advertisers.len() > 1 {
            // Fewer days did not help, so it may be one of the advertisers.
            track.suspect(slice.window);
            track.split_by_advertisers(slice.id);
        } else if can_be_halved {
            track.split(slice.id);
            track.suspect(slice.window);
        } else if slice.part.is_none() && slice.advertisers.len() > 1 {
            track.suspect(slice.window);
            track.split_by_advertisers(slice.id);
        } else {
            self.give_up(index, slice, error);
        }
    }

    /// Criteo refuses an unnamed advertiser: skips those without consent, or else splits the request.
    pub(crate) fn drop_without_consent(
        &mut self,
        index: usize,
        slice: &Slice,
        error: &Error,
        consenting: &Result<BTreeSet<AdvertiserId>>,
    ) {
        let known = self.run.lost.borrow().clone();
        // Without the list, none is known to be lost.
        let consents = |id: &AdvertiserId| consenting.as_ref().map_or(true, |consenting| consenting.contains(id));
        let is_left = |id: &&AdvertiserId| consents(id) && !known.contains(id);
        let left: Vec<_> = slice.advertisers.iter().filter(is_left).cloned().collect();
        if left.len() == slice.advertisers.len() && left.len() > 1 {
            return self.tracks[index].split_by_advertisers(slice.id);
        }
        let left = if left.len() == slice.advertisers.len() { Vec::new() } else { left };
        let lost: Vec<_> = slice.advertisers.iter().filter(|id| !left.contains(id)).cloned().collect();
        tracing::warn!("Criteo refuses to report on {}; reading the others. {error}", format_ids(&lost));
        self.run.lost.borrow_mut().extend(lost.iter().cloned());
        self.recovery.lost.extend(lost);
        if left.is_empty() {
            self.tracks.remove(index);
        } else {
            self.tracks[index] = self.tracks[index].restricted_to(left.into());
        }
    }

    /// The first error of the stream; others are logged as warnings.
    pub(crate) fn conclude(&mut self) -> Option<Error> {
        let first_days = std::mem::take(&mut self.recovery.first_days);
        match first_days.of_all(self.scope.iter()) {
            Some(first) => self.run.warn_once_for(self.name, &first_day_warning(self.report.history(), first)),
            None => first_days.warnings().for_each(|warning| self.run.warn_once_for(self.name, &warning)),
        }
        let differing = self.conclude_totals_check();
        let recovery = std::mem::take(&mut self.recovery);
        let unread = recovery.unread.map(|(windows, error)| unread_error(windows, error, self.is_incremental));
        let refused = (!recovery.refused.is_empty() && self.run.is_listed()).then(|| {
            let shown = list_of(recovery.refused.iter().map(|(id, error)| format!("{id} ({error})")));
            Error::config(format!("Criteo refuses to report on advertisers listed in advertiser_ids: {shown}."))
        });
        let lost = self.run.lost_error(&recovery.lost);
        let mut errors = [recovery.stopped, unread, lost, refused, differing].into_iter().flatten();
        let first = errors.next();
        errors.for_each(|error| tracing::warn!("{error}"));
        first
    }

    fn too_large_error(&self, slice: &Slice) -> Error {
        let what = if slice.part.is_some() { "A single ad set" } else { "The report" };
        let size = match self.report.row_cap {
            u64::MAX => format!("more than {MEMORY_MIB} MiB"),
            cap => format!(
                "{cap} rows, at which Criteo is assumed to silently truncate a report, or more than {MEMORY_MIB} MiB"
            ),
        };
        Error::config(format!(
            "{what} of advertiser {} on {} has {size}, and cannot be split further. {}",
            format_ids(&slice.advertisers),
            slice.window,
            if self.report.is_custom && !self.report.can_filter_ad_sets() {
                "Add the dimension AdsetId, so that the report can be split, or use fewer dimensions."
            } else {
                self.report.endpoint.advice
            }
        ))
        .because(Cause::TooMuch)
    }
}
