//! Streams of reports: plans slices, fetches them concurrently, checks totals, and writes rows with the resulting
//! state.
//!
//! `recovery` handles slices that cannot be read as requested; `proof` compares the others with totals.

mod facts;
mod proof;
mod recovery;
mod retired;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;

use crate::error::{Cause, Error, Result};
use crate::http::{Body, Call};
use crate::model::calendar::{Grain, Range, Window, days_before, period_end, period_start};
use crate::model::ids::AdvertiserId;
use crate::output::facts::Check;
use crate::output::tally::ReportTally;
use crate::output::{Coverage, StreamId};
use crate::products::report::Report;
use crate::read::ad_sets::{AdSets, ad_sets};
use crate::read::first_day::{first_served, is_served};
use crate::read::judge::{Expected, constants, judge};
use crate::read::plan::ReportPlan;
use crate::read::report::proof::TotalsCheck;
use crate::read::report::recovery::Recovery;
use crate::read::sums::Sums;
use crate::read::totals::{Differences, SETTLED_AFTER, Totals, is_settled};
use crate::read::track::{Purpose, Slice, Track};
use crate::read::{InFlight, ReadContext, SelectedStream, requests};
use crate::rows::envelope;
use crate::state;
use crate::state::cursor::{Cursors, Why};
use crate::state::saved::Saved;

pub(crate) enum Response {
    Complete(Box<CompleteResponse>),
    /// Rows are missing: row cap, memory, or span. `more` is set if more rows were announced, `expected` if the window's
    /// rows and bytes can be estimated.
    Cut {
        more: Option<Error>,
        expected: Option<(u64, usize)>,
    },
    /// Sums differ from Criteo's totals: read again.
    Differs {
        rows: u64,
        differences: Differences,
    },
    /// Sums are below the totals even when read again: rows are probably missing.
    Short,
}

pub(crate) struct CompleteResponse {
    body: Body,
    rows: u64,
    /// Rows added to others with the same key, and rows skipped as duplicates.
    repeated: (u64, u64),
    sums: Option<Sums>,
    totals: Option<Arc<Totals>>,
    /// Periods whose sums still differ.
    differing: Differences,
    /// Why a required totals check was not possible.
    unproven: Option<Error>,
    /// Periods with rows that could not be summed, and the advertiser's number.
    unsummed: BTreeSet<(u64, NaiveDate)>,
}

enum Event {
    Responded(Slice, Result<Response>),
    AdSets(Slice, Window, Result<AdSets>),
    /// The first served day, searched after this error.
    FirstDay(Slice, Error, Result<FirstServed>),
    /// Who still grants consent, requested after this error.
    Consent(Slice, Error, Result<BTreeSet<AdvertiserId>>),
}

impl Event {
    fn slice(&self) -> &Slice {
        let (Self::Responded(slice, _)
        | Self::AdSets(slice, ..)
        | Self::FirstDay(slice, ..)
        | Self::Consent(slice, ..)) = self;
        slice
    }
}

/// The first period that Criteo serves for the advertisers of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FirstServed {
    On(NaiveDate),
    /// Some are served earlier than others.
    Differs,
    /// Not even the last period is served.
    None,
}

/// How many advertisers of a refused request are checked one by one: the first day of one may hide those of others. A guess:
/// no recorded response shows first days that differ by advertiser, and each check is a request.
const MAX_SAMPLES: usize = 5;

struct ReportReader<'a> {
    run: &'a ReadContext<'a>,
    id: StreamId,
    name: &'a str,
    report: &'a Report,
    metrics: Vec<String>,
    range: Range,
    is_incremental: bool,
    cursors: Cursors,
    tracks: Vec<Track>,
    /// All advertisers of the report, whatever becomes of their tracks.
    scope: Vec<AdvertiserId>,
    turn: usize,
    slices: u64,
    parts: HashMap<(AdvertiserId, NaiveDate), Sums>,
    /// The number of the read that the parts of a window belong to.
    reads_of_parts: HashMap<(Option<AdvertiserId>, NaiveDate), u64>,
    totals_check: TotalsCheck,
    recovery: Recovery,
    in_flight: InFlight,
    has_rows: bool,
    /// Rows added to others with the same key, and rows skipped as duplicates.
    repeated: (u64, u64),
    tally: ReportTally,
}

struct Outcome {
    result: Result<()>,
    has_rows: bool,
}

impl ReadContext<'_> {
    pub(crate) async fn read_report(
        &self,
        id: StreamId,
        selected: &SelectedStream,
        report: &Report,
        state: &Saved,
    ) -> Result<()> {
        let name = &selected.stream.name;
        let advertisers = self.report_advertisers(report).await?;
        let mut report = report.clone();
        let mut retired = self.retired_metrics(name, &mut report, &state.value()?);
        loop {
            if let (Grain::Week(_), Some(first)) = (report.grain, self.week_start.get()) {
                report.grain = Grain::Week(first);
            }
            let mut plan = self.plan(selected, &report, state, &advertisers)?;
            plan.cursors.set_retired_metrics(&retired.names);
            if let Some(rows) = plan.expected_rows() {
                self.output.estimate(name, rows);
            }
            let reading = ReportReader::new(self, id, name, &report, plan);
            let Outcome { result, has_rows } = reading.read(&retired).await;
            let Err(error) = result else { return Ok(()) };
            match error.cause {
                Some(Cause::WeekStart(first)) if !has_rows && self.week_start.replace(Some(first)) != Some(first) => {
                    tracing::info!("Criteo's weeks begin on {first}.");
                }
                Some(Cause::Rejected) if report.is_custom => {
                    // The user may have several similar reports.
                    return Err(error.in_context(&format!("Criteo does not accept the report {name}")));
                }
                Some(Cause::Rejected) if !has_rows => {
                    let Some(metric) = retired.suspect(&report, &error) else { return Err(error) };
                    if self.is_retired(&report, &metric, &advertisers).await {
                        tracing::warn!("Criteo has removed the metric {metric}; reading the report without it.");
                        report.metrics.retain(|name| *name != metric);
                        retired.names.push(metric);
                    } else {
                        retired.acquitted.push(metric);
                    }
                }
                _ => return Err(error),
            }
        }
    }
}

impl<'a> ReportReader<'a> {
    fn new(run: &'a ReadContext<'a>, id: StreamId, name: &'a str, report: &'a Report, plan: ReportPlan) -> Self {
        let ReportPlan { metrics, range, is_incremental, cursors, tracks } = plan;
        if is_incremental {
            run.output.set_initial_state(id, cursors.to_value());
        }
        let reader = Self {
            run,
            id,
            name,
            report,
            metrics,
            range,
            is_incremental,
            cursors,
            scope: tracks
                .iter()
                .flat_map(|track| track.advertisers().iter().cloned())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            tracks,
            turn: 0,
            slices: 0,
            parts: HashMap::new(),
            reads_of_parts: HashMap::new(),
            totals_check: TotalsCheck::default(),
            recovery: Recovery::default(),
            in_flight: InFlight::default(),
            has_rows: false,
            repeated: (0, 0),
            tally: ReportTally::new(report.grain),
        };
        reader.report_plan();
        reader
    }

    async fn read(mut self, retired: &retired::Retired) -> Outcome {
        let result = self.read_all(retired).await;
        (self.tally.holes, self.tally.accepted) = self.hole_texts();
        self.tally_unproven();
        self.warn_about_repeated_rows();
        self.run.output.tally(self.id, self.tally);
        Outcome { result, has_rows: self.has_rows }
    }

    async fn read_all(&mut self, retired: &retired::Retired) -> Result<()> {
        let mut calls: FuturesUnordered<LocalBoxFuture<'a, Event>> = FuturesUnordered::new();
        let mut ended = Ok(());
        loop {
            while calls.len() < self.run.config.test.calls_at_once
                && let Some(slice) = self.next_slice()
            {
                calls.push(self.ask(slice));
            }
            let Some(event) = calls.next().await else { break };
            match self.handle_event(event, retired) {
                Ok(next) => calls.extend(next),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
            let ahead: usize = self.tracks.iter().map(|track| track.forecast().len()).sum();
            self.run.output.progress(self.id, self.tally.windows, calls.len() + ahead);
            self.divide();
        }
        if ended.is_err() {
            // Report earlier errors, too.
            if let Some(other) = self.conclude() {
                tracing::warn!("{other}");
            }
            return ended;
        }
        std::mem::take(&mut self.in_flight).wait_all().await?;
        // What was read counts even if something else is missing.
        let state = if self.is_incremental { self.cursors.to_value() } else { state::complete() };
        let failure = self.conclude();
        if failure.is_none() || self.is_incremental {
            self.run.output.state(self.id, state);
        }
        failure.map_or(Ok(()), Err)
    }

    fn warn_about_repeated_rows(&self) {
        let (added, dropped) = self.repeated;
        if added > 0 {
            tracing::warn!("{added} rows had the same key as another row in their response and were added to it.");
        }
        if dropped > 0 {
            tracing::warn!("{dropped} rows were equal to another row in their response and were skipped.");
        }
    }

    /// Tracks take turns.
    fn next_slice(&mut self) -> Option<Slice> {
        for _ in 0..self.tracks.len() {
            self.turn = (self.turn + 1) % self.tracks.len();
            if let Some(slice) = self.tracks[self.turn].start(self.slices) {
                self.slices += 1;
                return Some(slice);
            }
        }
        None
    }

    fn handle_event(&mut self, event: Event, retired: &retired::Retired) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        if let Event::FirstDay(slice, ..) = &event {
            self.end_search(slice);
        }
        // Ignore responses to slices that were given up.
        let id = event.slice().id;
        let Some(index) = self.tracks.iter().position(|track| track.has(id)) else { return Ok(None) };
        match event {
            Event::Responded(slice, Ok(response)) => {
                self.recovery.accepted(&slice);
                match response {
                    Response::Complete(complete) => self.write(index, &slice, *complete)?,
                    Response::Differs { rows, differences } => {
                        if let Some((first, last)) = differences.span() {
                            let is_again = self.tracks[index].reread(slice.id, rows, first, last);
                            debug_assert!(is_again, "the last read of a period is accepted although it differs");
                        }
                    }
                    Response::Cut { more, expected } => {
                        tracing::info!(
                            "The response for {} hit the row or memory limit; splitting the request.",
                            slice.window
                        );
                        self.recovery.reasons.extend(more.map(|more| (slice.id, more)));
                        return Ok(self.split_cut(index, slice, expected));
                    }
                    Response::Short => {
                        tracing::info!("Rows for {} are missing; splitting the request.", slice.window);
                        return Ok(self.split(index, Slice { is_short: true, ..slice }));
                    }
                }
            }
            Event::Responded(slice, Err(error)) => return self.handle_error(index, slice, error, retired),
            Event::AdSets(slice, window, Ok(ad_sets)) => {
                let ids: Vec<_> = if ad_sets.has_others { Vec::new() } else { ad_sets.ids.into_iter().collect() };
                if !self.tracks[index].split_by_ad_sets(slice.id, window, &ids, ad_sets.has_unknown_environments) {
                    self.cannot_split(index, &slice, None);
                }
            }
            Event::AdSets(slice, _, Err(error)) => self.cannot_split(index, &slice, Some(error)),
            Event::FirstDay(slice, error, first_day) => self.begin_at_first_day(index, &slice, error, first_day)?,
            Event::Consent(slice, error, consenting) => {
                let is_there =
                    |id: &AdvertiserId| consenting.as_ref().map_or(true, |consenting| consenting.contains(id));
                if error.cause != Some(Cause::ConsentMissing) && slice.advertisers.iter().all(is_there) {
                    return self.isolate(index, slice, error);
                }
                self.drop_without_consent(index, &slice, &error, &consenting);
            }
        }
        Ok(None)
    }

    /// Replaces each idle track that is to be divided with two.
    fn divide(&mut self) {
        let mut index = 0;
        while index < self.tracks.len() {
            match self.tracks[index].divided() {
                Some(halves) => drop(self.tracks.splice(index..=index, halves)),
                None => index += 1,
            }
        }
    }

    fn write(&mut self, index: usize, slice: &Slice, complete: CompleteResponse) -> Result<()> {
        let CompleteResponse { body, rows, repeated, sums, totals, differing, unproven, unsummed } = complete;
        self.repeated = (self.repeated.0 + repeated.0, self.repeated.1 + repeated.1);
        self.tally.cover(slice.window);
        self.tally.add(&slice.advertisers, rows, sums.as_ref().map(Sums::rows));
        let bytes = body.text().map_or(0, str::len);
        self.tracks[index].done(slice.id, rows, bytes);
        self.totals_check.add_differing(&differing);
        if let Some(error) = unproven {
            self.totals_check.lacks_totals(slice, self.settled_until(), error);
        }
        self.totals_check.lacks_sums(slice, &unsummed, self.report.grain);
        // With those of earlier parts.
        let uncompared = self.totals_check.uncompared_in(slice, self.report.grain);
        let mut check = Check::NotCompared;
        if totals.is_some() && sums.is_some() && slice.part.is_none() {
            self.tally_comparison(slice, &differing, &uncompared);
            check = facts::check(&differing, &uncompared);
        }
        if let Some(sums) = sums.filter(|_| slice.part.is_some())
            && let Some(differing) = self.compare_parts(index, slice, totals.as_deref(), &sums)
        {
            check = facts::check(&differing, &uncompared);
        }
        self.in_flight.check()?;
        let state = self.move_on(index);
        self.has_rows |= rows > 0;
        let constants = constants(self.report, slice.window, &slice.advertisers);
        let coverage = Coverage { check, ..self.coverage(index, slice) };
        self.in_flight.push(self.run.output.write_rows(self.id, body, constants, Some(coverage), state));
        Ok(())
    }

    /// What the rows of a slice replace. Parts of a window replace nothing before the last one is there.
    pub(super) fn coverage(&mut self, index: usize, slice: &Slice) -> Coverage {
        let grain = self.report.grain;
        let days = Window { start: period_start(slice.window.start, grain), ..slice.window };
        let advertisers = Arc::clone(&slice.advertisers);
        let mut coverage = Coverage { days, advertisers, read: 0, is_complete: true, check: Check::NotCompared };
        if slice.part.is_some() {
            let track = &self.tracks[index];
            // guard: parts-of-days
            coverage.is_complete = track.is_window_done(slice.window) && !track.holes().contains(&slice.window);
            let key = (slice.advertisers.first().cloned(), slice.window.start);
            let next = self.run.next_read();
            coverage.read = *self.reads_of_parts.entry(key).or_insert(next);
        } else {
            coverage.read = self.run.next_read();
        }
        coverage
    }

    /// The last day that the totals check covers.
    fn settled_until(&self) -> NaiveDate {
        days_before(self.range.today, SETTLED_AFTER + 1)
    }

    /// Updates cursors and holes; returns the state if it has changed.
    fn move_on(&mut self, index: usize) -> Option<Value> {
        let track = &self.tracks[index];
        let densities: Option<f64> = self.tracks.iter().map(Track::rows_per_day).sum();
        if let Some(rows) = densities {
            self.cursors.set_rows_per_day(rows);
        }
        let before = self.cursors.clone();
        let covered =
            track.covered().map(|covered| Window { end: covered.end.min(self.range.complete_until), ..covered });
        if let Some(covered) = covered.filter(|covered| covered.start <= covered.end) {
            if track.purpose == Purpose::Cursor {
                self.cursors.advance(track.advertisers(), covered.end);
            }
            for advertiser in track.advertisers().iter() {
                // Days after the cursor are not holes: the next sync reads them anyway.
                let Some(cursor) = self.cursors.cursor(advertiser) else { continue };
                let known = Window { end: covered.end.min(cursor), ..covered };
                let is_known = |window: &Window| window.start <= known.end && window.end >= known.start;
                let unread = track.holes().iter().copied().map(|window| (window, Why::Unread));
                let differing =
                    self.totals_check.differing_of(advertiser, self.report.grain).map(|window| (window, Why::Differs));
                let uncompared = self.totals_check.uncompared_of(advertiser).map(|window| (window, Why::Uncompared));
                let holes: Vec<_> =
                    unread.chain(differing).chain(uncompared).filter(|(window, _)| is_known(window)).collect();
                self.cursors.settle(std::slice::from_ref(advertiser), known, &holes);
            }
        }
        if self.range.again_from.is_some() {
            // The next sync starts at the cursor, not at `again_from`.
            let last = covered.map_or(NaiveDate::MIN, |covered| covered.end);
            for advertiser in track.advertisers().iter() {
                let Some(cursor) = self.cursors.cursor(advertiser) else { continue };
                for window in track.holes().iter().filter(|window| last < window.start && window.end <= cursor) {
                    self.cursors.settle(std::slice::from_ref(advertiser), *window, &[(*window, Why::Unread)]);
                }
            }
        }
        (self.is_incremental && !self.cursors.says_the_same(&before)).then(|| self.cursors.to_value())
    }

    fn ask(&self, slice: Slice) -> LocalBoxFuture<'a, Event> {
        let (run, report, range) = (self.run, self.report, self.range);
        let call = requests::report(report, &self.metrics, &slice.advertisers, slice.window, slice.part.as_ref());
        let call = Call { expected_bytes: slice.expected_bytes, is_suspect: slice.is_suspect, ..call };
        let comparison = self.comparison(&slice);
        let (name, metrics) = (self.name, self.metrics.clone());
        async move {
            let response = async {
                let totals = if comparison.wants_totals {
                    let (window, advertisers) = (slice.window, &slice.advertisers);
                    run.totals_cache
                        .totals(run.client, report, window, advertisers, range.end, slice.is_reread())
                        .await
                        .map(Some)
                } else {
                    Ok(None)
                };
                let (totals, unproven) = match totals {
                    Ok(totals) => (totals, None),
                    Err(error) if matches!(error.cause, Some(Cause::WeekStart(_) | Cause::ConsentMissing)) => {
                        return Err(error);
                    }
                    Err(error) => (None, Some(error)),
                };
                let expected = Expected {
                    report,
                    metrics: &metrics,
                    window: slice.window,
                    advertisers: &slice.advertisers,
                    is_compared: comparison.is_summed && totals.is_some(),
                };
                let (body, judged) = match run.client.fetch(&call, |body| judge(body, &expected)).await {
                    Ok(response) => response,
                    Err(error) if error.cause == Some(Cause::ResponseTooLarge) => {
                        return Ok(Response::Cut { more: None, expected: None });
                    }
                    Err(error) if error.cause == Some(Cause::NoCampaign) && slice.advertisers.len() == 1 => {
                        let nothing = Sums::default();
                        let differs = |totals| !comparison.differing(totals, &nothing, &slice).is_empty();
                        return Err(if totals.as_deref().is_some_and(differs) { contradicted(&error) } else { error });
                    }
                    Err(error) => return Err(error),
                };
                run.pass_on(&judged.warnings);
                let rows = judged.rows;
                // guard: report-cap
                if rows >= report.row_cap || judged.is_short {
                    let size = (rows, body.text().map_or(0, str::len));
                    let expected = comparison.expected(totals.as_deref(), &judged.sums, &slice, size);
                    return Ok(Response::Cut { more: judged.more, expected });
                }
                judged.notes.iter().for_each(|note| run.warn_once_for(name, note));
                if comparison.is_summed && judged.unsummed > 0 {
                    run.warn_once_for(
                        name,
                        &format!(
                            "{} rows for {} have clicks, displays or cost that are not numbers or have too many digits, so they are \
                         unproven.",
                            judged.unsummed, slice.window
                        ),
                    );
                }
                let (body, repeated) = match judged.merged {
                    Some(merged) => (body.replaced(merged.body), (merged.rows, merged.dropped)),
                    None => (body, (0, 0)),
                };
                let sums = comparison.is_summed.then_some(judged.sums);
                let differing = match (&totals, &sums) {
                    (Some(totals), Some(sums)) if slice.part.is_none() => comparison.differing(totals, sums, &slice),
                    _ => Differences::default(),
                };
                if let Some(response) = comparison.read_again(&slice, rows, &differing) {
                    return Ok(response);
                }
                let unsummed = if comparison.is_summed { judged.unsummed_periods } else { BTreeSet::new() };
                Ok(Response::Complete(Box::new(CompleteResponse {
                    body,
                    rows,
                    repeated,
                    sums,
                    totals,
                    differing,
                    unproven,
                    unsummed,
                })))
            }
            .await;
            Event::Responded(slice, response)
        }
        .boxed_local()
    }

    /// Requests the ad sets of all days from the slice on, or else of the slice.
    fn ask_ad_sets(&self, slice: Slice) -> LocalBoxFuture<'a, Event> {
        let list = self.report.ad_sets();
        let until_end = Window { start: slice.window.start, end: self.range.end };
        let client = self.run.client;
        async move {
            let ask = async |window: Window| {
                let call = requests::report(&list, &list.metrics, &slice.advertisers, window, None);
                client.fetch(&call, |body| ad_sets(body, &list)).await.map(|(_, found)| found)
            };
            let (mut window, mut response) = (until_end, ask(until_end).await);
            if response.as_ref().map_or(true, |found| found.has_others) && until_end != slice.window {
                (window, response) = (slice.window, ask(slice.window).await);
            }
            Event::AdSets(slice, window, response)
        }
        .boxed_local()
    }

    /// Bisects for the first served period; `None` if even the last is refused.
    fn request_first_day(&self, slice: Slice, error: Error) -> LocalBoxFuture<'a, Event> {
        let (report, metrics, client) = (self.report, self.metrics.clone(), self.run.client);
        let periods = Window { start: slice.window.start, end: self.range.complete_until.max(slice.window.end) };
        // An incomplete period may be served where a whole one is too long.
        let is_whole = |period: &Window| period_end(period.start, report.grain) == period.end;
        let periods: Vec<_> = periods.singles(report.grain).filter(is_whole).collect();
        let hint = self.recovery.latest_first_day.and_then(|day| periods.iter().position(|period| period.start == day));
        async move {
            let is_served = async |advertisers: &[AdvertiserId], index: usize| {
                let call = requests::report(report, &metrics, advertisers, periods[index], None);
                let check = |body: &str| envelope::check_into(body, envelope::Shape::Report, &mut envelope::CheckOnly);
                is_served(client.fetch(&call, check).await)
            };
            let is_of_days = error.cause == Some(Cause::InvalidTimespan);
            let first = async {
                let all = &slice.advertisers[..];
                let Some(index) =
                    first_served(periods.len(), hint, is_of_days, async |index| is_served(all, index).await).await?
                else {
                    return Ok(FirstServed::None);
                };
                let samples = all.chunks(1).take(MAX_SAMPLES).filter(|_| is_of_days && all.len() > 1 && index > 0);
                for sample in samples {
                    if is_served(sample, index - 1).await? {
                        return Ok(FirstServed::Differs);
                    }
                }
                Ok(FirstServed::On(periods[index].start))
            };
            let first = first.await;
            Event::FirstDay(slice, error, first)
        }
        .boxed_local()
    }

    fn hole_texts(&self) -> (Vec<String>, Vec<String>) {
        let advertisers: BTreeSet<_> = self.tracks.iter().flat_map(|track| track.advertisers().iter()).collect();
        let advertisers: Vec<_> = advertisers.into_iter().cloned().collect();
        self.cursors.hole_texts(&advertisers)
    }
}

/// The error if Criteo reports no campaign but has totals.
fn contradicted(error: &Error) -> Error {
    let words = "Criteo reports no campaign, but its own totals have numbers for these days";
    Error::config(format!("{words}. {error}")).because(Cause::Forbidden)
}

fn is_settled_since(slice: &Slice, grain: Grain, today: NaiveDate) -> bool {
    is_settled(slice.window.start, grain, today)
}
