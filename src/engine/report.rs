//! Streams of reports: slices planned, fetched at once as far as the budget allows, proved, and written with the state
//! that they lead to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;

use super::account::Account;
use super::ad_sets::{AdSets, ad_sets};
use super::answer::{Expected, judge};
use super::cursor::{self, Cursors};
use super::plan::ReportPlan;
use super::slice::{Range, Window};
use super::sums::Sums;
use super::totals::{Totals, is_settled};
use super::track::{Cut, Slice, Track};
use super::{InFlight, Run, Selected, names};
use crate::api::{Body, SPACE_MIB, wire};
use crate::config::AdvertiserId;
use crate::error::{Cause, Error, Kind, Result};
use crate::protocol::output::StreamId;
use crate::streams::endpoint::Endpoint;
use crate::streams::report::Report;

/// After so many days whose sums stay others, a stream's days are no longer read again.
const MOST_DOUBTS: usize = 3;

/// What a request for a slice gave.
enum Answer {
    /// Every row, with their sums and the totals that these must be, as far as there are any.
    Whole { body: Body, rows: u64, sums: Option<Sums>, totals: Option<Arc<Totals>>, doubts: BTreeSet<NaiveDate> },
    /// At the cap, too large for memory, or too long a span: rows are missing.
    Cut,
    /// The sums of these rows are others than Criteo's totals on these days.
    Differs { rows: u64, days: BTreeSet<NaiveDate> },
}

/// What a future of a stream has found out.
enum Event {
    Answered(Slice, Result<Answer>),
    AdSets(Slice, Result<AdSets>),
    Consent(Slice, Result<BTreeSet<AdvertiserId>>),
}

/// One stream that is being read.
struct Reading<'a> {
    run: &'a Run<'a>,
    id: StreamId,
    name: &'a str,
    report: &'a Report,
    metrics: Vec<String>,
    range: Range,
    is_incremental: bool,
    cursors: Cursors,
    tracks: Vec<Track>,
    turn: usize,
    slices: u64,
    /// The sums of the parts of a window so far.
    parts: HashMap<(AdvertiserId, NaiveDate), Sums>,
    /// How many days stay in doubt.
    doubts: usize,
    lost: BTreeSet<AdvertiserId>,
    in_flight: InFlight,
    has_written: bool,
    failure: Option<Error>,
    account: Account,
}

impl Run<'_> {
    pub(super) async fn read_report(
        &self,
        id: StreamId,
        selected: &Selected,
        report: &Report,
        state: &Value,
    ) -> Result<()> {
        let name = &selected.stream.name;
        let advertisers = self.report_advertisers(report).await?;
        let mut report = report.clone();
        loop {
            let plan = self.plan(selected, &report, state, &advertisers)?;
            if let Some(rows) = plan.expected_rows() {
                self.output.estimate(name, rows);
            }
            let reading = Reading::new(self, id, name, &report, plan);
            let (result, has_written) = reading.read().await;
            match result {
                Err(error) if report.is_custom || has_written => {
                    // Several reports of the user's own may be alike.
                    let is_ours = report.is_custom && error.cause == Some(Cause::Rejected);
                    let context = format!("The report {name} is not what Criteo accepts");
                    return Err(if is_ours { error.in_context(&context) } else { error });
                }
                Err(error) => match report.metrics.iter().position(|metric| is_about(&error, metric)) {
                    Some(index) => {
                        let metric = report.metrics.remove(index);
                        tracing::warn!(
                            "{name}: Criteo no longer has the metric {metric}; the report is read without it."
                        );
                    }
                    None => return Err(error),
                },
                Ok(()) => return Ok(()),
            }
        }
    }
}

impl<'a> Reading<'a> {
    fn new(run: &'a Run<'a>, id: StreamId, name: &'a str, report: &'a Report, plan: ReportPlan) -> Self {
        let ReportPlan { metrics, range, is_incremental, cursors, tracks } = plan;
        if is_incremental {
            run.output.remember(id, cursors.to_value());
        }
        Self {
            run,
            id,
            name,
            report,
            metrics,
            range,
            is_incremental,
            cursors,
            tracks,
            turn: 0,
            slices: 0,
            parts: HashMap::new(),
            doubts: 0,
            lost: BTreeSet::new(),
            in_flight: InFlight::default(),
            has_written: false,
            failure: None,
            account: Account::new(),
        }
    }

    /// Reads everything; tells also whether anything has been written.
    async fn read(mut self) -> (Result<()>, bool) {
        let result = self.read_all().await;
        self.run.output.account(self.id, self.account);
        (result, self.has_written)
    }

    async fn read_all(&mut self) -> Result<()> {
        let mut calls: FuturesUnordered<LocalBoxFuture<'a, Event>> = FuturesUnordered::new();
        loop {
            while calls.len() < self.run.config.calls_at_once
                && let Some(slice) = self.next_slice()
            {
                calls.push(self.ask(slice));
            }
            let Some(event) = calls.next().await else { break };
            if let Some(next) = self.take(event)? {
                calls.push(next);
            }
            let ahead: usize = self.tracks.iter().map(|track| track.forecast().len()).sum();
            self.run.output.progress(self.id, self.account.windows, calls.len() + ahead);
            self.divide();
        }
        std::mem::take(&mut self.in_flight).settle().await?;
        if let Some(failure) = self.failure.take().or_else(|| self.run.lost_error(&self.lost)) {
            return Err(failure);
        }
        let state = if self.is_incremental { self.cursors.to_value() } else { cursor::no_cursor() };
        self.run.output.state(self.id, state);
        Ok(())
    }

    /// The next slice to ask for; tracks take turns.
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

    /// Handles what a future has found out; may ask for something else instead.
    fn take(&mut self, event: Event) -> Result<Option<LocalBoxFuture<'a, Event>>> {
        let (Event::Answered(slice, _) | Event::AdSets(slice, _) | Event::Consent(slice, _)) = &event;
        // The answers to slices that were given up belong to nobody.
        let Some(index) = self.tracks.iter().position(|track| track.has(slice.id)) else { return Ok(None) };
        match event {
            Event::Answered(slice, Ok(Answer::Whole { body, rows, sums, totals, doubts })) => {
                self.account.add(&slice, rows, sums.as_ref());
                self.write(index, &slice, (body, rows), totals.zip(sums), &doubts)?;
            }
            Event::Answered(slice, Ok(Answer::Differs { rows, days })) => {
                if let (Some(first), Some(last)) = (days.first(), days.last()) {
                    let is_again = self.tracks[index].reread(slice.id, rows, *first, *last);
                    debug_assert!(is_again, "the last reading of a period is taken with its doubts");
                }
            }
            Event::Answered(slice, Ok(Answer::Cut)) => return Ok(self.split(index, slice)),
            Event::Answered(slice, Err(error)) => match error.cause {
                Some(Cause::ConsentMissing) => {
                    let run = self.run;
                    return Ok(Some(
                        async move {
                            let consenting = run.still_consenting().await;
                            Event::Consent(slice, consenting)
                        }
                        .boxed_local(),
                    ));
                }
                Some(Cause::RequestTooLong) if slice.advertisers.len() > 1 => self.tracks[index].divide(slice.id),
                Some(Cause::InvalidTimespan) if slice.window.start < slice.window.end => {
                    return Ok(self.split(index, slice));
                }
                _ => self.fail(index, &slice, error)?,
            },
            Event::AdSets(slice, Ok(ad_sets)) => {
                let ids: Vec<_> = if ad_sets.has_others { Vec::new() } else { ad_sets.ids.into_iter().collect() };
                if !self.tracks[index].part(slice.id, &ids, ad_sets.has_unknown_environments) {
                    self.fail(index, &slice, self.too_much(&slice))?;
                }
            }
            Event::AdSets(slice, Err(error)) | Event::Consent(slice, Err(error)) => self.fail(index, &slice, error)?,
            Event::Consent(slice, Ok(consenting)) => self.find_lost(index, &slice, &consenting),
        }
        Ok(None)
    }

    /// Lets two tracks take over from each that is to be divided and has nothing under way.
    fn divide(&mut self) {
        let mut index = 0;
        while index < self.tracks.len() {
            match self.tracks[index].divided() {
                Some(halves) => drop(self.tracks.splice(index..=index, halves)),
                None => index += 1,
            }
        }
    }

    /// A track ends before this slice, and the others go on, unless nothing but the user can help all of them.
    fn fail(&mut self, index: usize, slice: &Slice, error: Error) -> Result<()> {
        if error.kind != Kind::Transient && error.cause != Some(Cause::TooMuch) {
            return Err(error);
        }
        self.tracks[index].stop_before(slice.id);
        self.failure.get_or_insert(error);
        Ok(())
    }

    fn write(
        &mut self,
        index: usize,
        slice: &Slice,
        (body, rows): (Body, u64),
        proof: Option<(Arc<Totals>, Sums)>,
        doubts: &BTreeSet<NaiveDate>,
    ) -> Result<()> {
        let bytes = body.text().map_or(0, str::len);
        self.tracks[index].done(slice.id, rows, bytes);
        self.doubt(index, doubts);
        if let Some((totals, sums)) = proof.filter(|_| slice.part.is_some()) {
            self.prove_parts(index, slice, &totals, &sums);
        }
        let track = &self.tracks[index];
        let until = track.complete_until().map(|day| day.min(self.range.complete_until));
        let has_moved = until.is_some_and(|day| self.cursors.advance(track.advertisers(), day));
        let densities: Option<f64> = self.tracks.iter().map(Track::rows_per_day).sum();
        if let Some(rows) = densities {
            self.cursors.set_rows_per_day(rows);
        }
        self.in_flight.check()?;
        let state = (self.is_incremental && has_moved).then(|| self.cursors.to_value());
        self.has_written = true;
        let mut constants = Vec::new();
        if self.report.is_without_time() {
            constants.push(("day", slice.window.start.to_string()));
        }
        // Requests for a single advertiser are answered without it.
        if let [advertiser] = &slice.advertisers[..] {
            constants.push(("advertiser_id", advertiser.0.clone()));
        }
        self.in_flight.push(self.run.output.slice(self.id, body, constants, state));
        Ok(())
    }

    fn doubt(&mut self, index: usize, doubts: &BTreeSet<NaiveDate>) {
        let Some(first) = doubts.first() else { return };
        self.tracks[index].doubt(*first);
        self.doubts += doubts.len();
        let days: Vec<_> = doubts.iter().take(5).map(ToString::to_string).collect();
        tracing::warn!(
            "{}: clicks, displays or cost of {}{} add up to other sums than Criteo's own totals. What Criteo sent was \
             written{} If that goes on for days, set verify_totals to false.",
            self.name,
            days.join(", "),
            if doubts.len() > days.len() { " and other days" } else { "" },
            if self.is_incremental {
                "; the state does not move over these days, so that the next sync reads them again."
            } else {
                "."
            },
        );
    }

    /// Sums up the parts of a window, and compares them when the last one is there.
    fn prove_parts(&mut self, index: usize, slice: &Slice, totals: &Totals, sums: &Sums) {
        let Some(advertiser) = slice.advertisers.first() else { return };
        let key = (advertiser.clone(), slice.window.start);
        self.parts.entry(key.clone()).or_default().add(sums);
        if self.tracks[index].is_window_done(slice.window)
            && let Some(sums) = self.parts.remove(&key)
        {
            self.doubt(index, &self.differing(totals, &sums, slice));
        }
    }

    /// Makes a slice smaller whose answer was cut.
    fn split(&mut self, index: usize, slice: Slice) -> Option<LocalBoxFuture<'a, Event>> {
        tracing::info!("{}: the answer for {} is too much at once.", self.name, days(slice.window));
        self.account.splits += 1;
        match self.tracks[index].cut(slice.id) {
            Cut::Smaller => None,
            Cut::NeedsAdSets if self.report.can_filter_ad_sets() => {
                let list = self.report.ad_sets();
                let window = Window { start: slice.window.start, end: self.range.end };
                let call = wire::report(&list, &list.metrics, &slice.advertisers, window, None);
                let client = self.run.client;
                Some(
                    async move {
                        let answer = client.fetch(&call, |body| ad_sets(body, &list)).await;
                        Event::AdSets(slice, answer.map(|(_, ad_sets)| ad_sets))
                    }
                    .boxed_local(),
                )
            }
            Cut::NeedsAdSets | Cut::Unsplittable => {
                let error = self.too_much(&slice);
                self.tracks[index].stop_before(slice.id);
                self.failure.get_or_insert(error);
                None
            }
        }
    }

    /// Criteo has refused a request because of an advertiser that it does not name: those that the portfolio has lost are
    /// left out, or else the halves tell.
    fn find_lost(&mut self, index: usize, slice: &Slice, consenting: &BTreeSet<AdvertiserId>) {
        let known = self.run.lost.borrow().clone();
        let is_left = |id: &&AdvertiserId| consenting.contains(id) && !known.contains(id);
        let left: Vec<_> = slice.advertisers.iter().filter(is_left).cloned().collect();
        if left.len() == slice.advertisers.len() && left.len() > 1 {
            return self.tracks[index].divide(slice.id);
        }
        let left = if left.len() == slice.advertisers.len() { Vec::new() } else { left };
        let lost: Vec<_> = slice.advertisers.iter().filter(|id| !left.contains(id)).cloned().collect();
        tracing::warn!("{}: Criteo refuses to report on {}; the others are read on.", self.name, names(&lost));
        self.run.lost.borrow_mut().extend(lost.iter().cloned());
        self.lost.extend(lost);
        if left.is_empty() {
            self.tracks.remove(index);
        } else {
            self.tracks[index] = self.tracks[index].restricted_to(left.into());
        }
    }

    /// Asks for a slice, and proves its answer.
    fn ask(&self, slice: Slice) -> LocalBoxFuture<'a, Event> {
        let (run, report, range) = (self.run, self.report, self.range);
        let today = range.today;
        let call = wire::report(report, &self.metrics, &slice.advertisers, slice.window, slice.part.as_ref());
        let call = crate::api::Call { expected_bytes: slice.expected_bytes, ..call };
        let is_provable = report.is_provable() || (report.is_provable_in_parts() && slice.part.is_some());
        let is_summed =
            run.config.verify_totals && is_provable && report.compared_totals(&self.metrics).contains(&true);
        let is_proved = is_summed && is_settled(slice.window.start, report.grain, today);
        let is_given_up = self.doubts >= MOST_DOUBTS;
        let compared = report.compared_totals(&self.metrics);
        let (name, metrics) = (self.name, self.metrics.clone());
        async move {
            let answer = async {
                let totals = if is_proved {
                    run.ledger
                        .totals(run.client, report, slice.window, &slice.advertisers, range.end, slice.is_reread)
                        .await?
                } else {
                    None
                };
                let expected = Expected {
                    report,
                    metrics: &metrics,
                    window: slice.window,
                    advertisers: &slice.advertisers,
                    is_compared: is_summed,
                };
                let (body, judged) = match run.client.fetch(&call, |body| judge(body, &expected)).await {
                    Ok(answer) => answer,
                    Err(error) if error.cause == Some(Cause::AnswerTooLarge) => return Ok(Answer::Cut),
                    Err(error) => return Err(error),
                };
                run.pass_on(&judged.warnings);
                let rows = judged.rows;
                if rows >= report.row_cap || judged.is_short {
                    return Ok(Answer::Cut);
                }
                for note in judged.notes {
                    tracing::warn!("{name}: {note}");
                }
                let body = match judged.merged {
                    Some(merged) => body.replaced(merged.body),
                    None => body,
                };
                let sums = is_summed.then_some(judged.sums);
                let doubts = match (&totals, &sums) {
                    (Some(totals), Some(sums)) if slice.part.is_none() => {
                        differing(totals, sums, &slice, report, today, compared)
                    }
                    _ => BTreeSet::new(),
                };
                let can_be_read_again = !slice.is_reread || slice.window.halves(report.grain).is_some();
                if !doubts.is_empty() && can_be_read_again && !is_given_up {
                    return Ok(Answer::Differs { rows, days: doubts });
                }
                Ok(Answer::Whole { body, rows, sums, totals, doubts })
            }
            .await;
            Event::Answered(slice, answer)
        }
        .boxed_local()
    }

    fn differing(&self, totals: &Totals, sums: &Sums, slice: &Slice) -> BTreeSet<NaiveDate> {
        differing(totals, sums, slice, self.report, self.range.today, self.report.compared_totals(&self.metrics))
    }

    fn too_much(&self, slice: &Slice) -> Error {
        Error::config(format!(
            "Criteo sends at most {} rows of a report at once and leaves the rest out without a sign. {} of advertiser {} has \
             that many on {}, or more than {SPACE_MIB} MiB, and cannot be read in smaller pieces. What lies before that day is \
             complete, and other advertisers are read on. {}",
            self.report.row_cap,
            if slice.part.is_some() { "A single ad set" } else { "The report" },
            names(&slice.advertisers),
            days(slice.window),
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

fn differing(
    totals: &Totals,
    sums: &Sums,
    slice: &Slice,
    report: &Report,
    today: NaiveDate,
    compared: [bool; 3],
) -> BTreeSet<NaiveDate> {
    let mut days = totals.differing(sums, slice.window, &slice.advertisers, compared);
    days.retain(|day| is_settled(*day, report.grain, today));
    days
}

/// Whether Criteo's words name this metric.
fn is_about(error: &Error, metric: &str) -> bool {
    let words = error.message.split(|letter: char| !letter.is_ascii_alphanumeric());
    error.cause == Some(Cause::Rejected) && words.into_iter().any(|word| word == metric)
}

fn days(window: Window) -> String {
    if window.start == window.end { window.start.to_string() } else { format!("{} to {}", window.start, window.end) }
}
