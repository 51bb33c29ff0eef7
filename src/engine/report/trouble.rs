//! What becomes of a slice that Criteo refuses, cannot answer or answers with too many rows.
//!
//! Whatever can be asked for in smaller pieces is. What is left is named: an advertiser that Criteo refuses is left out, and a
//! window that cannot be read becomes a hole that the next sync asks for again. Neither holds the others back.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use futures_util::future::{FutureExt as _, LocalBoxFuture};

use super::proof::list;
use super::retired::{Retired, is_about};
use super::{Event, Reading};
use crate::api::SPACE_MIB;
use crate::config::AdvertiserId;
use crate::engine::floor::is_near;
use crate::engine::slice::{Window, days_before};
use crate::engine::track::{Cut, Failures, Purpose, Slice, Track};
use crate::engine::{floor_warning, names, unread_error};
use crate::error::{Cause, Error, Kind, Result};
use crate::streams::endpoint::Endpoint;

/// A refusal of so many days or fewer is not taken for one of their number. Based on what is seen in use: connectors of others
/// ask for a month at once, and nobody has published a limit. Criteo recommends four days, so a lower limit may exist; one that
/// Criteo tells by `invalid-timespan` is found whatever it is.
const SURE_DAYS: u32 = 31;
/// After so many searches that find no first day none is looked for any more when Criteo refuses a single advertiser without saying why. A guess, between two
/// costs: a search is two requests for an advertiser that is refused altogether, and without one an account whose first
/// advertisers are refused would not find a first day that is told in odd words.
const MOST_FLOORS: usize = 3;
/// So many periods at the beginning of a first sync that are refused without a word of days are taken for days that Criteo no longer
/// keeps. A guess, between two costs: fewer may be an accident, which the next sync undoes, and more would be asked for at every
/// sync for nothing.
const LEAST_REFUSED: usize = 5;
/// After so many single advertisers that are refused, and none that is not, the request itself is what is refused.
const MOST_REFUSED: usize = 3;
/// After so many failures without a success between them, or as many as it takes to find a single day that cannot be read, there is
/// no use in asking for pieces. A guess: each of them has used up its attempts, which takes minutes, so a longer row is an outage.
const MOST_FAILURES: u32 = 4;
/// The same for answers that do not come in time, which smaller pieces may well do.
const MOST_SLOW: u32 = 8;
/// Dimensions whose names stand in words about any report.
const OF_EVERY_REPORT: [&str; 7] = ["AdvertiserId", "Advertiser", "Hour", "Day", "Week", "Month", "Year"];

/// What has gone wrong with a stream.
#[derive(Default)]
pub(super) struct Trouble {
    has_accepted: bool,
    /// The first day of the windows that Criteo has answered.
    served_from: Option<NaiveDate>,
    failures: Failures,
    /// Advertisers that Criteo refuses, and how.
    refused: Vec<(AdvertiserId, Error)>,
    /// Advertisers without consent.
    lost: BTreeSet<AdvertiserId>,
    /// Windows that could not be read, with their advertisers, and why the first of them could not.
    unread: Option<(Vec<(Window, String)>, Error)>,
    /// The first day that Criteo serves, where that is later than it should be.
    floor: Option<NaiveDate>,
    has_looked_for_floor: bool,
    /// Whether that search is under way.
    is_looking_for_floor: bool,
    /// Advertisers whose own first day is looked for.
    searched: BTreeSet<AdvertiserId>,
    /// The first day that was found last for a single advertiser, whose refusal says nothing of days: a hint for the next one.
    pub(super) latest_floor: Option<NaiveDate>,
    /// Single advertisers that Criteo serves, with the day from which on their first day was looked for: what else it refuses of
    /// them is about days.
    served: HashMap<AdvertiserId, NaiveDate>,
    /// For how many single advertisers no first day was found.
    floors_missed: usize,
    /// Why slices were made smaller, for those that cannot be.
    pub(super) reasons: HashMap<u64, Error>,
    /// Why no more was asked for.
    stopped: Option<Error>,
}

impl Trouble {
    /// Criteo has answered a slice.
    pub(super) fn accepted(&mut self, slice: &Slice) {
        self.has_accepted = true;
        self.failures = Failures::default();
        let start = slice.window.start;
        self.served_from = Some(self.served_from.map_or(start, |day| day.min(start)));
    }

    /// Whether Criteo serves the advertiser of a slice.
    fn is_served(&self, slice: &Slice) -> bool {
        let from = slice.advertisers.first().and_then(|id| self.served.get(id));
        from.is_some_and(|from| *from <= slice.window.start)
    }

    /// Whether Criteo has answered nothing that begins as early as this slice.
    fn is_earliest(&self, slice: &Slice) -> bool {
        self.served_from.is_none_or(|day| slice.window.start < day)
    }
}

/// How often a slice and its halves fail until the one day of one advertiser is found that cannot be read.
fn failures_of_one(slice: &Slice) -> u32 {
    let halvings = |count: u32| count.max(1).next_power_of_two().trailing_zeros();
    1 + halvings(slice.window.days()) + halvings(u32::try_from(slice.advertisers.len()).unwrap_or(u32::MAX / 2))
}

impl<'a> Reading<'a> {
    /// Decides what becomes of a slice that met an error.
    pub(super) fn handle(
        &mut self,
        index: usize,
        slice: Slice,
        error: Error,
        retired: &Retired,
    ) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        let is_of_several = slice.advertisers.len() > 1;
        match error.cause {
            Some(Cause::ConsentMissing) => {
                let run = self.run;
                let ask = async move {
                    let consenting = run.still_consenting().await;
                    Event::Consent(slice, error, consenting)
                };
                return Ok(Some(ask.boxed_local()));
            }
            Some(Cause::NoCampaign | Cause::RequestTooLong) if is_of_several => self.tracks[index].divide(slice.id),
            Some(Cause::RequestTooLong) if slice.part.is_some() => {
                self.trouble.reasons.insert(slice.id, error);
                return Ok(self.split(index, slice));
            }
            Some(Cause::NoCampaign) => self.take_as_empty(index, &slice),
            Some(Cause::InvalidTimespan) => return Ok(self.shorten(index, slice, error)),
            Some(Cause::TooSlow) if self.trouble.failures.in_a_row < MOST_SLOW => {
                tracing::info!("{}: {} does not come in time; asking for less.", self.name, slice.window);
                self.trouble.failures.in_a_row += 1;
                self.limit_days(slice.window.days() / 2);
                self.trouble.reasons.insert(slice.id, error);
                return Ok(self.split(index, slice));
            }
            Some(
                Cause::Rejected
                | Cause::Forbidden
                | Cause::NotFound
                | Cause::PermissionMissing
                | Cause::ErrorsInAnswer
                | Cause::RequestTooLong,
            ) => {
                let is_about_metric = !self.has_rows && retired.suspect(self.report, &error).is_some();
                if is_about_metric || self.is_about_request(&error) {
                    return Err(error);
                }
                return self.isolate(index, slice, error); // guard: refused-advertisers
            }
            Some(Cause::RetriesUsedUp) => self.stop(index, &slice, error),
            Some(Cause::WeekStart(_) | Cause::OutsideRequest | Cause::RepeatedKey) => return Err(error),
            _ if error.kind == Kind::Transient => self.ask_for_less(index, &slice, error),
            _ => return Err(error),
        }
        Ok(None)
    }

    /// Makes a slice smaller whose answer was cut or did not come in time.
    pub(super) fn split(&mut self, index: usize, slice: Slice) -> Option<LocalBoxFuture<'a, Event>> {
        self.account.splits += 1;
        match self.tracks[index].cut(slice.id) {
            Cut::Smaller => None,
            Cut::NeedsAdSets if self.report.can_filter_ad_sets() => Some(self.ask_ad_sets(slice)),
            Cut::NeedsAdSets | Cut::Unsplittable => {
                self.cannot_split(index, &slice, None);
                None
            }
        }
    }

    /// A slice cannot be asked for in smaller pieces.
    pub(super) fn cannot_split(&mut self, index: usize, slice: &Slice, error: Option<Error>) {
        self.tracks[index].cannot_part();
        let error = self.trouble.reasons.remove(&slice.id).or(error);
        if slice.is_short {
            // Its rows are worth more than nothing.
            self.tracks[index].read_at_last(slice.id);
        } else {
            let error = error.unwrap_or_else(|| self.too_much(slice));
            self.give_up(index, slice, error);
        }
    }

    /// Leaves a slice as a hole.
    fn give_up(&mut self, index: usize, slice: &Slice, error: Error) {
        let unread = &mut self.trouble.unread.get_or_insert((Vec::new(), error)).0;
        unread.push((slice.window, names(&slice.advertisers)));
        self.tracks[index].give_up(slice.id);
        self.tell_state(index);
    }

    fn tell_state(&mut self, index: usize) {
        if let Some(state) = self.move_on(index) {
            self.run.output.state(self.id, state);
        }
    }

    /// Criteo has nothing to report on for one advertiser.
    fn take_as_empty(&mut self, index: usize, slice: &Slice) {
        self.trouble.accepted(slice);
        self.tracks[index].done(slice.id, 0, 0);
        self.tell_state(index);
    }

    /// Nothing from this slice on is asked for any more.
    fn stop(&mut self, index: usize, slice: &Slice, error: Error) {
        self.tracks[index].stop_before(slice.id);
        self.trouble.stopped.get_or_insert(error);
    }

    /// Criteo does not serve this span of days: too long, or too far back.
    fn shorten(&mut self, index: usize, slice: Slice, error: Error) -> Option<LocalBoxFuture<'a, Event>> {
        if self.trouble.is_looking_for_floor {
            // Its days may lie before the first.
            self.tracks[index].wait(slice.id);
            return None;
        }
        if self.trouble.is_earliest(&slice) && !self.trouble.has_looked_for_floor {
            self.trouble.has_looked_for_floor = true;
            self.trouble.is_looking_for_floor = true;
            return Some(self.ask_floor(slice, error));
        }
        if self.can_be_halved(&slice) {
            // Days as early as these are served, so it is the length.
            self.limit_days(slice.window.days() / 2);
            self.tracks[index].cut(slice.id);
        } else {
            self.give_up(index, &slice, error);
        }
        None
    }

    /// Whether a slice can be asked for in fewer days.
    fn can_be_halved(&self, slice: &Slice) -> bool {
        slice.part.is_none() && slice.window.halves(self.report.grain).is_some()
    }

    /// The search for a first day that began with this slice has ended: what waited for it goes on.
    pub(super) fn end_search(&mut self, slice: &Slice) {
        let is_of_one = slice.advertisers.first().is_some_and(|id| self.trouble.searched.remove(id));
        self.trouble.is_looking_for_floor &= is_of_one;
        let waiting = |track: &&mut Track| !is_of_one || track.advertisers()[..] == slice.advertisers[..];
        self.tracks.iter_mut().filter(waiting).for_each(Track::go_on);
    }

    fn limit_days(&mut self, days: u32) {
        self.tracks.iter_mut().for_each(|track| track.limit_days(days));
    }

    /// Whether Criteo's words name a part of a custom report that somebody has chosen. Periods and advertisers are in every
    /// request, so their names say nothing.
    fn is_about_request(&self, error: &Error) -> bool {
        let is_choice = |word: &&String| !OF_EVERY_REPORT.contains(&word.as_str());
        let mut words = self.report.dimensions.iter().filter(is_choice).chain(&self.report.metrics);
        self.report.is_custom && error.cause == Some(Cause::Rejected) && words.any(|word| is_about(error, word))
    }

    /// Begins at the first day that Criteo serves. Where no such day was found, something else is refused.
    pub(super) fn begin_at_floor(
        &mut self,
        index: usize,
        slice: &Slice,
        error: Error,
        floor: Result<Option<NaiveDate>>,
    ) -> Result<()> {
        let is_of_days = error.cause == Some(Cause::InvalidTimespan);
        if let (Ok(Some(_)), Some(id), false) = (&floor, slice.advertisers.first(), is_of_days) {
            let from = self.trouble.served.entry(id.clone()).or_insert(slice.window.start);
            *from = slice.window.start.min(*from);
        }
        let floor = match floor {
            Ok(Some(floor)) if floor > slice.window.start => floor,
            Ok(None) if !is_of_days => {
                self.trouble.floors_missed += 1;
                return self.refuse(slice, error);
            }
            // Its first days are served, or nothing is: it is the length, or a day behind the first.
            Ok(_) if self.can_be_halved(slice) => {
                if is_of_days {
                    self.limit_days(slice.window.days() / 2);
                }
                self.tracks[index].cut(slice.id);
                return Ok(());
            }
            Ok(_) => {
                self.give_up(index, slice, error);
                return Ok(());
            }
            // Without an answer nothing is known of the days.
            Err(error) => {
                self.give_up(index, slice, error);
                return Ok(());
            }
        };
        if !is_of_days && !self.is_like_a_floor(slice, floor) {
            tracing::warn!(
                "{}: Criteo refuses days of {} before {floor}, and serves that day. If it no longer keeps them, set start_date \
                 to {floor}; until then every sync asks for them again.",
                self.name,
                names(&slice.advertisers)
            );
            if self.can_be_halved(slice) {
                self.tracks[index].cut(slice.id);
            } else {
                self.give_up(index, slice, error);
            }
            return Ok(());
        }
        if self.is_floor_of_all(slice, &error, floor) {
            self.trouble.floor = Some(floor);
            self.tracks.iter_mut().for_each(|track| track.begin_at(floor));
            return Ok(());
        }
        self.trouble.latest_floor = Some(floor);
        tracing::warn!(
            "{}: Criteo refuses to report on {} for days before {floor}, so that is its first day. {error}",
            self.name,
            names(&slice.advertisers)
        );
        self.tracks[index].begin_at(floor);
        Ok(())
    }

    /// Whether days that are refused for no reason that names them may be older than what Criteo keeps: near the first day that it
    /// is taken to keep, or many at the beginning of a first sync. Other days are missed.
    fn is_like_a_floor(&self, slice: &Slice, floor: NaiveDate) -> bool {
        let refused = Window { start: slice.window.start, end: days_before(floor, 1) };
        let is_new = slice.advertisers.first().is_none_or(|id| self.cursors.cursor(id).is_none());
        is_near(days_before(floor, 1), self.range.oldest)
            || is_new && refused.singles(self.report.grain).count() >= LEAST_REFUSED
    }

    /// Whether days before a first day are refused whoever asks: where Criteo says that it is about days, or there is nobody else, and
    /// none was served before it.
    fn is_floor_of_all(&self, slice: &Slice, error: &Error, floor: NaiveDate) -> bool {
        let is_contradicted = self.trouble.served_from.is_some_and(|day| day < floor);
        let is_of_days = error.cause == Some(Cause::InvalidTimespan);
        let is_only_one = self.tracks.iter().all(|track| track.advertisers()[..] == slice.advertisers[..]);
        !is_contradicted && (is_of_days || is_only_one)
    }

    /// Criteo refuses a request and does not say which advertiser or which days are the reason: smaller requests tell.
    fn isolate(&mut self, index: usize, slice: Slice, error: Error) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        let can_be_halved = self.can_be_halved(&slice);
        let track = &mut self.tracks[index];
        if can_be_halved && slice.window.days() > SURE_DAYS {
            track.cut(slice.id);
        } else if slice.advertisers.len() > 1 {
            track.divide(slice.id);
        } else if track.has_read_before(slice.window.start)
            || track.purpose == Purpose::Hole
            || self.trouble.is_served(&slice)
        {
            // The advertiser is not refused, so it is the days. One that has a hole has been read in an earlier sync.
            if can_be_halved {
                track.cut(slice.id);
            } else {
                self.give_up(index, &slice, error);
            }
        } else if slice.refusals == 0 && track.is_busy_besides(slice.id) {
            track.ask_again(slice.id);
        } else if error.kind == Kind::Transient {
            // What may pass is no refusal; pieces would use up the quota of attempts that all streams share.
            self.give_up(index, &slice, error);
        } else if slice.advertisers.first().is_some_and(|id| self.trouble.searched.contains(id)) {
            track.wait(slice.id);
        } else if !track.is_first(slice.id) {
            // If days before it are served, it is neither the advertiser nor its first day.
            track.wait_for_days_before(slice.id);
        } else if self.trouble.floors_missed < MOST_FLOORS {
            // The first days may lie before what Criteo keeps.
            self.trouble.searched.extend(slice.advertisers.first().cloned());
            return Ok(Some(self.ask_floor(slice, error)));
        } else {
            self.refuse(&slice, error)?;
        }
        Ok(None)
    }

    /// Leaves out the advertiser of a slice. Where nobody is served, the stream fails.
    fn refuse(&mut self, slice: &Slice, error: Error) -> Result<()> {
        let Some(advertiser) = slice.advertisers.first() else { return Err(error) };
        tracing::warn!("{}: Criteo refuses to report on {advertiser}; the others are read on. {error}", self.name);
        self.trouble.refused.push((advertiser.clone(), error.clone()));
        self.tracks.retain(|track| track.advertisers()[..] != slice.advertisers[..]);
        let is_hopeless = self.trouble.refused.len() >= MOST_REFUSED || self.tracks.is_empty();
        if is_hopeless && !self.trouble.has_accepted { Err(error) } else { Ok(()) }
    }

    /// Every attempt at a slice has failed: a part of it may be readable.
    fn ask_for_less(&mut self, index: usize, slice: &Slice, error: Error) {
        let most = MOST_FAILURES.max(failures_of_one(slice));
        let can_be_halved = self.can_be_halved(slice);
        let track = &mut self.tracks[index];
        let is_outage = self.trouble.failures.add(most);
        // Others may be answered all the time.
        if track.failures.add(most) || is_outage {
            self.stop(index, slice, error);
        } else if slice.part.is_none() && slice.is_suspect && slice.advertisers.len() > 1 {
            // Fewer days were no better, so it may be one of the advertisers.
            track.suspect(slice.window);
            track.divide(slice.id);
        } else if can_be_halved {
            track.cut(slice.id);
            track.suspect(slice.window);
        } else if slice.part.is_none() && slice.advertisers.len() > 1 {
            track.suspect(slice.window);
            track.divide(slice.id);
        } else {
            self.give_up(index, slice, error);
        }
    }

    /// Criteo has refused a request because of an advertiser that it does not name: those that the portfolio has lost are
    /// left out, or else the halves tell.
    pub(super) fn find_lost(
        &mut self,
        index: usize,
        slice: &Slice,
        error: &Error,
        consenting: &Result<BTreeSet<AdvertiserId>>,
    ) {
        let known = self.run.lost.borrow().clone();
        // Where the portfolio cannot be had, nobody is known to be lost.
        let consents = |id: &AdvertiserId| consenting.as_ref().map_or(true, |consenting| consenting.contains(id));
        let is_left = |id: &&AdvertiserId| consents(id) && !known.contains(id);
        let left: Vec<_> = slice.advertisers.iter().filter(is_left).cloned().collect();
        if left.len() == slice.advertisers.len() && left.len() > 1 {
            return self.tracks[index].divide(slice.id);
        }
        let left = if left.len() == slice.advertisers.len() { Vec::new() } else { left };
        let lost: Vec<_> = slice.advertisers.iter().filter(|id| !left.contains(id)).cloned().collect();
        tracing::warn!("{}: Criteo refuses to report on {}; the others are read on. {error}", self.name, names(&lost));
        self.run.lost.borrow_mut().extend(lost.iter().cloned());
        self.trouble.lost.extend(lost);
        if left.is_empty() {
            self.tracks.remove(index);
        } else {
            self.tracks[index] = self.tracks[index].restricted_to(left.into());
        }
    }

    /// Why the stream is incomplete, if it is. What does not make it so is a warning.
    pub(super) fn failure(&mut self) -> Option<Error> {
        let name = self.name;
        if let Some(first) = self.trouble.floor {
            let history = self.report.history();
            self.run.warn_once(floor_warning(name, history, first));
        }
        let proof = self.conclude_proof();
        let trouble = std::mem::take(&mut self.trouble);
        let unread = trouble.unread.map(|(windows, error)| unread_error(windows, error, self.is_incremental));
        let refused = (!trouble.refused.is_empty() && self.run.is_listed()).then(|| {
            let shown = list(trouble.refused.iter().map(|(id, error)| format!("{id} ({error})")));
            Error::config(format!("Criteo refuses to report on advertisers that advertiser_ids lists: {shown}."))
        });
        let lost = self.run.lost_error(&trouble.lost);
        let mut errors = [trouble.stopped, unread, lost, refused, proof].into_iter().flatten();
        let first = errors.next();
        errors.for_each(|error| tracing::warn!("{name}: {error}"));
        first
    }

    fn too_much(&self, slice: &Slice) -> Error {
        let what = if slice.part.is_some() { "A single ad set" } else { "The report" };
        let size = match self.report.row_cap {
            u64::MAX => format!("more than {SPACE_MIB} MiB"),
            cap => format!(
                "{cap} rows, at which Criteo is taken to cut a report without a sign, or more than {SPACE_MIB} MiB"
            ),
        };
        Error::config(format!(
            "{what} of advertiser {} on {} has {size}, and cannot be read in smaller pieces. {}",
            names(&slice.advertisers),
            slice.window,
            match self.report.endpoint {
                Endpoint::Statistics if !self.report.can_filter_ad_sets() => {
                    "Add the dimension AdsetId, by which such a report can be read in parts, or use fewer dimensions."
                }
                Endpoint::Statistics => "Leave the stream out, or use a custom report with fewer dimensions.",
                Endpoint::Transactions => "Read clicks or displays alone (transactions_event_type).",
                _ => "Leave the stream out.",
            }
        ))
        .because(Cause::TooMuch)
    }
}
