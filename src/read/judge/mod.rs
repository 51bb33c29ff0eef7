//! Validates a report response before any row is written: complete, in a known format, and only requested rows.
//!
//! If two rows seem to share a key, a second pass ([`merge`]) verifies it and sums them if possible.

mod hash;
#[cfg(any(test, feature = "fuzzing"))]
mod invariants;
mod judging;
mod merge;
mod rehearsal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::de::{Deserializer, IgnoredAny};

use crate::error::{Error, Result};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::output::Constants;
use crate::products::report::Report;
use crate::products::schema::ColumnType;
use crate::read::judge::hash::Hashes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use crate::read::judge::invariants::try_out;
use crate::read::judge::judging::Judging;
pub(crate) use crate::read::judge::rehearsal::rehearse;
use crate::read::sums::Sums;
use crate::rows::coerce::{Reading, coerce, unescaped};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::notices::Notices;

/// What the response to a report request may contain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub report: &'a Report,
    pub metrics: &'a [String],
    pub window: Window,
    /// An empty list means all.
    pub advertisers: &'a [AdvertiserId],
    /// Whether the totals check follows. If so, it detects duplicates; otherwise equal rows are deduplicated.
    pub is_compared: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Rows received, before merging.
    pub rows: u64,
    /// Whether more rows are announced than received, or the response is marked as truncated.
    pub is_short: bool,
    /// The error for announced rows that are missing.
    pub more: Option<Error>,
    pub warnings: Notices,
    pub sums: Sums,
    /// Rows missing from the sums, in whole or in part.
    pub unsummed: u64,
    /// Advertiser number and period of those rows.
    pub unsummed_periods: BTreeSet<(u64, NaiveDate)>,
    /// Set if rows share a key: the body to write instead.
    pub merged: Option<Merged>,
    /// Notes for the user, one sentence each, reported once per stream.
    pub notes: BTreeSet<String>,
}

/// A response with its duplicate keys merged.
#[derive(Debug)]
pub(crate) struct Merged {
    pub body: String,
    /// Rows added to another row.
    pub rows: u64,
    /// Rows dropped because they equal another row in all values.
    pub dropped: u64,
}

impl Expected<'_> {
    fn request(&self) -> String {
        let Window { start, end } = self.window;
        let days = if start == end { start.to_string() } else { format!("{start} to {end}") };
        match self.advertisers {
            [] => days,
            [one] => format!("{days} of advertiser {}", one.0),
            several => format!("{days} of {} advertisers", several.len()),
        }
    }
}

/// # Errors
/// Same as [`envelope::check_into`]; `Cause::OutsideRequest` for rows not requested, `Cause::WeekStart` for weeks that
/// start on an unplanned day, `Cause::RepeatedKey` for rows with the same key that cannot be summed, and a system error
/// for a missing or unreadable key column.
pub(crate) fn judge(body: &str, expected: &Expected<'_>) -> Result<Judged> {
    let mut counting =
        Counting { judging: Judging::new(expected), seen: Hashes::default(), repeated: Hashes::default() };
    let envelope = envelope::check_into(body, Shape::Report, &mut counting)?;
    let Counting { judging, repeated, .. } = counting;
    let rows = envelope.rows.unwrap_or(0);
    if rows > 0 {
        judging.verdict()?;
    }
    let merged = if repeated.is_empty() { None } else { merge::merge(body, expected, &repeated)? };
    let is_short = envelope.is_short();
    let more = envelope.must_be_whole(rows, "rows of this report").err();
    Ok(Judged { rows, is_short, more, warnings: envelope.warnings, merged, ..judging.into_judged() })
}

/// Validates rows and collects hashes of possible duplicate keys.
struct Counting<'a> {
    judging: Judging<'a>,
    seen: Hashes,
    repeated: Hashes,
}

impl RowSink for Counting<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        // A response above the cap is split anyway.
        if self.judging.row > self.judging.expected.report.row_cap {
            return row.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        let key = self.judging.read(row)?;
        // Numbered rows may share the rest of the key.
        if !self.judging.is_numbered && !self.seen.insert(key) {
            self.repeated.insert(key);
        }
        Ok(())
    }
}

/// Columns that the request determines, so rows may lack them.
pub(crate) fn constants(report: &Report, window: Window, advertisers: &[AdvertiserId]) -> Constants {
    let mut constants = Vec::new();
    if report.needs_day_per_request() {
        constants.push(("day", window.start.to_string()));
    }
    // Responses for a single advertiser omit it.
    if let [advertiser] = advertisers {
        constants.push(("advertiser_id", advertiser.0.clone()));
    }
    constants
}

/// The value as a string column would hold it.
pub(crate) fn text_of(raw: &str) -> Cow<'_, str> {
    match raw.as_bytes().first() {
        Some(b'n') => "".into(),
        Some(b'"') if raw.contains('\\') => {
            // Replaces lone surrogates, as in records.
            let mut text = Vec::new();
            coerce(raw, Reading { column_type: ColumnType::Text, zone: None, period: None }, &mut text);
            serde_json::from_slice::<String>(&text).unwrap_or_default().into()
        }
        Some(b'"') => unescaped(raw),
        _ => raw.into(),
    }
}
