//! What became of the run, in a sentence and in numbers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::model::calendar::Grain;
use crate::output::report_page::ReportPage;
use crate::output::report_page::days::{Calendar, Status};
use crate::output::stream::StreamOutput;
use crate::output::summary::{Summary, duration};
use crate::support::stop::Stop;
use crate::support::text::{counted, grouped};

/// Errors next to the verdict.
const MAX_ERRORS: usize = 3;

/// Whether the run did what it was to do.
pub(super) struct Verdict {
    /// `good`, `fair` or `bad`.
    pub kind: &'static str,
    pub title: String,
    pub text: String,
    pub errors: Vec<String>,
}

/// A number with what it counts.
pub(super) struct Tile {
    /// `good`, `fair`, `bad` or empty.
    pub kind: &'static str,
    pub label: &'static str,
    pub value: String,
    pub more: String,
}

/// Days of all reports together: a day agrees if it does in every report that was compared.
#[derive(Default)]
pub(super) struct DayCounts {
    compared: BTreeMap<NaiveDate, bool>,
    reports: usize,
    missing: usize,
    settling: usize,
}

impl DayCounts {
    pub(super) fn new<'a>(calendars: impl Iterator<Item = &'a Calendar>) -> Self {
        let mut counts = Self::default();
        let (mut missing, mut settling) = (BTreeSet::new(), BTreeSet::new());
        for calendar in calendars {
            let mut is_compared = false;
            for (window, agrees) in calendar.compared() {
                is_compared = true;
                for day in window.singles(Grain::Day) {
                    *counts.compared.entry(day.start).or_insert(true) &= agrees;
                }
            }
            counts.reports += usize::from(is_compared);
            missing.extend(calendar.with(Status::Missing));
            settling.extend(calendar.with(Status::Settling));
        }
        (counts.missing, counts.settling) = (missing.len(), settling.len());
        counts
    }

    fn agreeing(&self) -> usize {
        self.compared.values().filter(|agrees| **agrees).count()
    }

    fn differing(&self) -> usize {
        self.compared.len() - self.agreeing()
    }

    /// In a sentence.
    fn text(&self) -> String {
        if self.compared.is_empty() {
            return "No day was compared with Criteo's totals.".to_owned();
        }
        let all = counted(self.compared.len() as u64, "settled day");
        let verb = if self.compared.len() == 1 { "agrees" } else { "agree" };
        let agreeing = grouped(self.agreeing() as u64);
        format!("{agreeing} of {all} {verb} with Criteo's totals in {}.", counted(self.reports as u64, "report"))
    }
}

pub(super) fn verdict(
    page: &ReportPage,
    streams: &[StreamOutput],
    failures: &[String],
    stop: Option<&Stop>,
    days: &DayCounts,
) -> Verdict {
    let errors = page.notes.list.iter().filter(|note| note.is_error);
    let errors: Vec<_> = errors
        .map(|note| if note.stream.is_empty() { note.text.clone() } else { format!("{}: {}", note.stream, note.text) })
        .collect();
    let all = counted(streams.len() as u64, "stream");
    let (kind, title) = match stop {
        Some(Stop::Signal(signal)) => ("bad", format!("Interrupted by signal {signal}: this sync did not finish")),
        Some(Stop::ReaderGone) => ("bad", "Interrupted: the reader of the output went away".to_owned()),
        Some(Stop::Stalled) => ("bad", "Stopped: the sync made no progress".to_owned()),
        Some(Stop::Panicked) => ("bad", "Stopped by an internal error".to_owned()),
        Some(Stop::Reported) => ("bad", "Incomplete: some files could not be read or written".to_owned()),
        Some(Stop::OutputFailed(error)) => ("bad", format!("Incomplete: the output could not be written ({error})")),
        None if !failures.is_empty() => {
            ("bad", format!("Incomplete: {} of {all} not read in full", grouped(failures.len() as u64)))
        }
        None if !errors.is_empty() => ("bad", "Incomplete: the sync failed".to_owned()),
        None if days.differing() > 0 => ("fair", "Complete, but not all days agree with Criteo's totals".to_owned()),
        None => ("good", format!("Complete: {all} read in full")),
    };
    let mut text = days.text();
    for (count, what) in [(days.missing, "missing"), (days.settling, "still settling")] {
        if count > 0 {
            let verb = if count == 1 { "is" } else { "are" };
            text += &format!(" {} {verb} {what}.", counted(count as u64, "day"));
        }
    }
    Verdict { kind, title, text, errors: errors.into_iter().take(MAX_ERRORS).collect() }
}

pub(super) fn tiles(summary: &Summary, streams: &[StreamOutput], days: &DayCounts) -> Vec<Tile> {
    let rows: u64 = streams.iter().map(|stream| stream.records).sum();
    let compared = grouped(days.compared.len() as u64);
    let calls = summary.all_calls();
    let refused = calls.refused + calls.failed;
    let tile = |kind, label, value, more| Tile { kind, label, value, more };
    let agreeing = match days.compared.len() {
        0 => "none".to_owned(),
        _ => format!("{} of {compared}", grouped(days.agreeing() as u64)),
    };
    let if_any = |count: usize, kind: &'static str| if count > 0 { kind } else { "" };
    vec![
        tile("", "Rows", grouped(rows), format!("in {}", counted(streams.len() as u64, "stream"))),
        tile(if_any(days.differing(), "fair"), "Settled days that agree", agreeing, "with Criteo's totals".to_owned()),
        tile(
            if_any(days.missing, "bad"),
            "Days missing",
            grouped(days.missing as u64),
            format!("{} settling", grouped(days.settling as u64)),
        ),
        tile("", "Duration", duration(summary.duration()), format!("{} waiting", duration(calls.waited))),
        tile("", "Requests", grouped(calls.count), format!("{} repeated", grouped(refused))),
    ]
}
