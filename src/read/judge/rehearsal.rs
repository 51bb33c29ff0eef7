//! Makes records of a response and discards them.

use serde::de::Deserializer;

use crate::error::Result;
use crate::products::Stream;
use crate::read::judge::{Expected, constants, judge};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::project::{JsonObject, Projection};

/// Processes a response as a sync does, but discards the records.
///
/// # Errors
/// Same as [`judge`], and any error that keeps a row from becoming a record.
pub(crate) fn rehearse(body: &str, expected: &Expected<'_>, stream: &Stream) -> Result<()> {
    let judged = judge(body, expected)?;
    let mut sink = Rehearsal { plan: Projection::new(stream, &|_| true), line: Vec::new() };
    sink.plan.start_slice(&constants(expected.report, expected.window, expected.advertisers));
    let body = judged.merged.as_ref().map_or(body, |merged| &merged.body);
    envelope::check_into(body, Shape::Report, &mut sink).map(|_| ())
}

pub(super) struct Rehearsal {
    pub(super) plan: Projection,
    pub(super) line: Vec<u8>,
}

impl RowSink for Rehearsal {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.line.clear();
        self.plan.write_row(row, &mut JsonObject(&mut self.line)).map(|_| ())
    }
}
