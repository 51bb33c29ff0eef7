//! One answer to a request for a report, judged before anything of it is written.

use serde::de::Deserializer;
use serde_json::Value;

use super::project::Plan;
use super::rows::{self, RowSink};
use super::slice::Window;
use super::sums::{Summing, Sums};
use crate::config::AdvertiserId;
use crate::error::Result;
use crate::protocol::output::Constants;
use crate::streams::Stream;
use crate::streams::report::Report;

/// What one request for a report asked for: what may come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub report: &'a Report,
    pub metrics: &'a [String],
    pub window: Window,
    pub advertisers: &'a [AdvertiserId],
    /// Whether the sums of the rows will be compared with Criteo's totals. Then these tell whether two equal rows are one.
    pub is_compared: bool,
}

/// One answer, judged before anything of it is written.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// How many rows it holds, before repeated ones are added up.
    pub rows: u64,
    /// Whether it announces more rows than it holds, or says itself that it was cut.
    pub is_short: bool,
    /// Criteo's warnings.
    pub warnings: Vec<Value>,
    pub sums: Sums,
    /// Rows that have no part in the sums, since a value that is to be summed cannot be read.
    pub unsummed: u64,
    /// Set where rows share a key: what is to be written in place of the answer.
    pub merged: Option<Merged>,
    /// What people should know, a sentence each; to be told once a stream.
    pub notes: Vec<String>,
}

/// An answer whose repeated rows were made one.
#[derive(Debug)]
pub(super) struct Merged {
    pub body: String,
    /// Rows that were added to another one.
    pub rows: u64,
    /// Rows that were left out, since they are equal to another one in every column.
    pub dropped: u64,
}

/// Judges an answer: whole, of a known shape, and only what was asked for.
///
/// # Errors
/// As [`rows::check`]; `Cause::OutsideRequest` for rows that were not asked for, `Cause::WeekStart` for weeks that begin on
/// another day than planned, `Cause::RepeatedKey` for rows that share a key and cannot be added up.
pub(super) fn judge(body: &str, expected: &Expected<'_>) -> Result<Judged> {
    let mut summing = Summing::new(expected.report, expected.window);
    let envelope = rows::check_into(body, expected.report.shape(), &mut summing)?;
    Ok(Judged {
        rows: envelope.rows.unwrap_or(0),
        is_short: envelope.is_short(),
        sums: summing.sums(),
        warnings: envelope.warnings,
        ..Judged::default()
    })
}

/// Takes an answer the whole way that a read takes it, and writes nothing.
///
/// # Errors
/// As [`judge`], and whatever keeps a row from becoming a record.
pub(super) fn rehearse(body: &str, expected: &Expected<'_>, stream: &Stream) -> Result<()> {
    let judged = judge(body, expected)?;
    let mut sink = Rehearsal { plan: Plan::new(stream, &|_| true), line: Vec::new() };
    sink.plan.start_slice(&expected.constants());
    let body = judged.merged.as_ref().map_or(body, |merged| &merged.body);
    rows::check_into(body, expected.report.shape(), &mut sink).map(|_| ())
}

impl Expected<'_> {
    /// The columns that rows need not carry, since the request says them.
    pub(super) fn constants(&self) -> Constants {
        let mut constants = Vec::new();
        if self.report.is_without_time() {
            constants.push(("day", self.window.start.to_string()));
        }
        if let [advertiser] = self.advertisers {
            constants.push(("advertiser_id", advertiser.0.clone()));
        }
        constants
    }
}

struct Rehearsal {
    plan: Plan,
    line: Vec<u8>,
}

impl RowSink for Rehearsal {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.line.clear();
        self.plan.write_row(row, &mut self.line).map(|_| ())
    }
}
