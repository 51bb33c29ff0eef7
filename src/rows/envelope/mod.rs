//! Turns the bytes of a response into rows, without a document tree.
//!
//! Criteo does not document the JSON of its reports. These envelopes have been reported; every report accepts all of
//! them, with member names in any case:
//!
//! | shape | seen for |
//! | --- | --- |
//! | `{"data":[…],"errors":[],"warnings":[],"meta":{…}}` | objects (`OpenAPI` documents) |
//! | `{"data":{…}}` | single objects (`OpenAPI` documents) |
//! | `{"Rows":[…],"Total":{…}}`, also `rows` | statistics (reported for API 2026-07) |
//! | `{…}` | pages of retailers (`OpenAPI` documents) |
//! | `[…]` | statistics (reported for API 2026-01), marketplace objects (`OpenAPI` documents) |
//! | `{"data":[{"attributes":{"rows":[…]}}]}`, `{"data":[{"attributes":{…}},…]}` | placements, transactions (reported) |
//! | `{"columns":[…],"data":[[…],…],"rows":2}` | marketplace statistics (`OpenAPI` documents) |
//!
//! Errors, warnings and announced row counts are honored in every shape. Any other shape is an error, never an empty
//! report.

mod announcements;
mod body;
mod table;
#[cfg(test)]
mod tests;

use serde::de::{DeserializeSeed as _, Deserializer, IgnoredAny};
use serde_json::error::Category;

use crate::error::{Cause, Error, Result};
use crate::rows::envelope::body::ResponseBody;
use crate::rows::envelope::table::Table;
use crate::rows::notices::{Notices, criteo_errors};
use crate::support::scan;
use crate::support::text::excerpt;

/// Receives the rows of a response one by one.
pub trait RowSink {
    /// Whether rows are read as raw JSON, which a single object in `data` allows only if it is read as raw JSON, too.
    const IS_RAW: bool = false;

    /// Consumes one row.
    ///
    /// # Errors
    /// If the whole response is unusable.
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error>;
}

/// In bytes; a row's record is in memory together with the response.
pub(crate) const MAX_ROW_LEN: usize = 4 * 1024 * 1024;
/// Members of an unknown shape that are reported, and characters of each.
const MAX_MEMBERS: usize = 20;
const MAX_MEMBER_LEN: usize = 100;
/// Of column names and numbers.
const MAX_NAME_LEN: usize = 256;

/// The possible shapes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A list of objects, bare or in `data`.
    #[default]
    Plain,
    /// Rows of a report, in any of the reported places.
    Report,
    /// Like `Plain`; or a single object without an envelope, which is the row.
    Bare,
}

/// Checks the syntax of every row and nothing else.
pub struct CheckOnly;

impl RowSink for CheckOnly {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        row.deserialize_ignored_any(IgnoredAny).map(|_| ())
    }
}

/// What a response says besides its rows.
#[derive(Debug, Default)]
pub struct Envelope {
    /// The number of rows; `None` if no place for rows was found.
    pub rows: Option<u64>,
    /// `errors[]`: a 200 can carry them.
    pub errors: Notices,
    /// `warnings[]`.
    pub warnings: Notices,
    /// The announced rows: `meta.totalItems`, `metadata.totalItems`, or `rows` beside a table.
    pub total_items: Option<u64>,
    /// `meta.count` or `metadata.count`, of the page or of the list: which one is not documented.
    pub count: Option<u64>,
    /// Whether it announces another page: a link, a token, a flag.
    pub has_more: bool,
    /// The first members, to describe an unknown shape.
    pub members: Vec<String>,
}

impl Envelope {
    /// Whether it announces more rows than it holds, or says that it was truncated.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.warnings.is_row_limit
            || self.has_more
            || self.total_items.is_some_and(|total| total > self.rows.unwrap_or(0))
    }

    /// Checks that a response without pages announces no more than `held` of `what`.
    ///
    /// # Errors
    /// `Cause::MoreAnnounced`.
    pub fn must_be_whole(&self, held: u64, what: &str) -> Result<()> {
        let announced = match self.total_items.filter(|total| *total > held) {
            Some(total) => format!("{total} {what} but sent {held}"),
            None if self.has_more => format!("another page after {held} {what}"),
            None => return Ok(()),
        };
        Err(Error::system(format!(
            "Criteo announced {announced}, although it documents no pages here. No rows were silently dropped. Update \
             the connector."
        ))
        .because(Cause::MoreAnnounced))
    }

    fn announce(&mut self, rows: Option<u64>) {
        self.total_items = self.total_items.max(rows);
    }

    fn note_member(&mut self, name: &str) {
        if self.members.len() < MAX_MEMBERS {
            self.members.push(excerpt(&scan::short(name, MAX_MEMBER_LEN)));
        }
    }
}

/// Passes every row of a response to `sink`.
///
/// # Errors
/// If the body is not one complete JSON document or the sink refuses a row.
pub fn each(body: &str, shape: Shape, sink: &mut impl RowSink) -> serde_json::Result<Envelope> {
    let mut envelope = Envelope::default();
    if shape == Shape::Bare && is_bare(body) {
        let mut deserializer = serde_json::Deserializer::from_str(body);
        sink.row(&mut deserializer)?;
        deserializer.end()?;
        envelope.rows = Some(1);
        return Ok(envelope);
    }
    let mut table = Table { document: body, columns: None, lists: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    ResponseBody { envelope: &mut envelope, table: &mut table, shape, sink }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    table.each(sink)?;
    Ok(envelope)
}

/// Whether a document is an object without an envelope. Anything else is judged as an envelope.
fn is_bare(body: &str) -> bool {
    const ENVELOPE: &[&str] = &["data", "rows", "errors", "error", "warnings"];
    let (mut members, mut is_envelope) = (0, false);
    let walk = scan::members(body, &mut |name, _| {
        members += 1;
        is_envelope |= ENVELOPE.contains(&announcements::folded(name).as_str());
        Ok(())
    });
    walk.is_ok() && members > 0 && !is_envelope
}

pub(crate) fn too_long() -> String {
    format!("a row is larger than {} MiB", MAX_ROW_LEN / 1024 / 1024)
}

/// Checks that a response is complete and holds rows, and returns what surrounds them.
///
/// # Errors
/// `transient_error` if it is truncated or not JSON, Criteo's errors if a 200 carries some, `system_error` for an
/// unknown shape.
pub fn check(body: &str) -> Result<Envelope> {
    check_into(body, Shape::Plain, &mut CheckOnly)
}

/// Like [`check`], and passes every row to `sink`.
///
/// # Errors
/// Like [`check`].
pub fn check_into(body: &str, shape: Shape, sink: &mut impl RowSink) -> Result<Envelope> {
    let envelope = each(body, shape, sink).map_err(|error| match error.classify() {
        Category::Data => unknown_shape("unexpected types").with_detail(excerpt(&error.to_string())),
        category => Error::transient("Criteo sent a truncated response, or one that is not JSON.")
            .with_detail(format!("line {}, column {}: {category:?}", error.line(), error.column())),
    })?;
    // guard: errors-in-response
    if envelope.errors.count > 0 {
        return Err(criteo_errors(&envelope.errors));
    }
    // guard: unknown-shape
    if envelope.rows.is_none() {
        return Err(unknown_shape(&format!("its members are {}", envelope.members.join(", "))));
    }
    Ok(envelope)
}

/// The error for a response without a known place for rows.
#[must_use]
pub fn unknown_shape(what: &str) -> Error {
    Error::system(format!(
        "Criteo sent a response in an unknown format ({what}). No rows were dropped. Update the connector."
    ))
}
