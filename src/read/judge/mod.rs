//! Validates a report response before any row is written: complete, in a known format, and only requested rows.
//!
//! If two rows seem to share a key, a second pass ([`merge`]) verifies it and sums them if possible.

mod merge;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use chrono::{Datelike as _, NaiveDate, Weekday};
use serde::de::{Deserializer, IgnoredAny};

use crate::error::{Cause, Error, Result};
use crate::model::calendar::{Grain, Window, period_start};
use crate::model::ids::{AdvertiserId, numeric_id};
use crate::output::Constants;
use crate::products::Stream;
use crate::products::marketing::metrics::column_name;
use crate::products::report::Report;
use crate::products::schema::ColumnType;
use crate::read::sums::{Precision, Sum, Sums};
use crate::rows::coerce::{Outcome, Reading, coerce, day_of, instant_of, unescaped};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::fields::{self, Fields, Layout, unwrapped};
use crate::rows::notices::Notices;
use crate::rows::project::{CURRENCY, Projection, ROW_NUMBER};
use crate::support::text::excerpt;

const MAX_NAMED: usize = 20;

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

struct Rehearsal {
    plan: Projection,
    line: Vec<u8>,
}

impl RowSink for Rehearsal {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.line.clear();
        self.plan.write_row(row, &mut JsonObject(&mut self.line)).map(|_| ())
    }
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

/// Hashes of keys, which need no further hashing.
type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(0, bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A fast hash of a value. Collisions are harmless: rows with equal hashes are compared in full.
fn hash(column: usize, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (column as u64 + 1).wrapping_mul(FACTOR) ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let word = match <[u8; 8]>::try_from(chunk) {
            Ok(word) => u64::from_le_bytes(word),
            Err(_) => chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        };
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
        hash ^= hash >> 32;
    }
    hash.wrapping_mul(FACTOR) ^ (hash >> 29)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Advertiser,
    Period,
    /// The other date of a transaction: Criteo does not document which of the two a window selects.
    Event,
    Hour,
    Currency,
    /// A metric of the totals check, by index.
    Total(usize),
    Key,
    Other,
}

#[derive(Debug)]
struct Part {
    name: String,
    reading: Reading,
    role: Role,
    is_key: bool,
    /// Last row with this column: of two spellings in a row, the first counts.
    row: u64,
    /// Last raw value and its hash: the next row often has the same.
    last: String,
    last_hash: u64,
}

struct Judging<'a> {
    expected: &'a Expected<'a>,
    layout: Layout,
    parts: Vec<Part>,
    advertisers: HashSet<&'a str>,
    /// Whether the report numbers rows that share a key.
    is_numbered: bool,
    /// First day of the period in which the window starts.
    first_day: NaiveDate,
    row: u64,
    /// Hash of the current row's key; the next fields are the current row's too.
    key: u64,
    advertiser: Option<u64>,
    day: Option<NaiveDate>,
    sum: Sum,
    is_unsummed: bool,
    /// The advertiser and period that the cached raw values parse to.
    last_advertiser: Option<u64>,
    last_day: Option<NaiveDate>,
    sums: Sums,
    /// Sum of the latest rows with the same advertiser and period.
    last_sum: Option<((u64, NaiveDate), Sum)>,
    precision: Precision,
    unsummed: u64,
    unsummed_periods: BTreeSet<(u64, NaiveDate)>,
    /// Bit set of weekdays of the periods, without the window's first day.
    weekdays: u8,
    outside: Option<String>,
    /// Describes a row with a period outside the window.
    outside_window: Option<String>,
    /// Rows with an event date, and whether any is outside the window.
    events: u64,
    outside_by_event: bool,
    unreadable: Option<Error>,
    notes: BTreeSet<String>,
    scratch: Vec<u8>,
}

impl<'a> Judging<'a> {
    fn new(expected: &'a Expected<'a>) -> Self {
        let report = expected.report;
        let totals = report.endpoint.totals.map(column_name);
        let columns = report.row_columns();
        let parts: Vec<Part> = columns
            .into_iter()
            .map(|column| {
                let role = match column.name.as_str() {
                    "advertiser_id" => Role::Advertiser,
                    CURRENCY => Role::Currency,
                    // Assigned by the connector.
                    ROW_NUMBER => Role::Other,
                    name if name == report.cursor_column() => Role::Period,
                    name if Some(name) == report.endpoint.event_column => Role::Event,
                    "hour" if report.is_hourly => Role::Hour,
                    name => match totals.iter().position(|total| total == name) {
                        Some(index) => Role::Total(index),
                        None if column.is_key => Role::Key,
                        None => Role::Other,
                    },
                };
                Part {
                    reading: Reading::of(&column.name, column.column_type, Some(report)),
                    is_key: column.is_key,
                    name: column.name,
                    role,
                    row: 0,
                    last: String::new(),
                    last_hash: 0,
                }
            })
            .collect();
        Self {
            expected,
            is_numbered: parts.iter().any(|part| part.name == ROW_NUMBER),
            layout: Layout::new(parts.iter().map(|part| part.name.as_str()), Some(report)),
            parts,
            advertisers: expected.advertisers.iter().map(|advertiser| advertiser.0.as_str()).collect(),
            first_day: period_start(expected.window.start, report.grain),
            row: 0,
            key: 0,
            advertiser: None,
            day: None,
            sum: Sum::default(),
            is_unsummed: false,
            last_advertiser: None,
            last_day: None,
            sums: Sums::default(),
            last_sum: None,
            precision: Precision::default(),
            unsummed: 0,
            unsummed_periods: BTreeSet::new(),
            weekdays: 0,
            outside: None,
            outside_window: None,
            events: 0,
            outside_by_event: false,
            unreadable: None,
            notes: BTreeSet::new(),
            scratch: Vec::new(),
        }
    }

    /// Reads a row and returns the hash of its key.
    fn read<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<u64, D::Error> {
        self.row += 1;
        self.key = 0;
        self.advertiser = None;
        self.day = None;
        self.is_unsummed = false;
        self.sum = Sum { rows: 1, ..Sum::default() };
        fields::read(row, self)?;
        self.finish_row();
        Ok(self.key)
    }

    fn finish_row(&mut self) {
        let report = self.expected.report;
        let advertiser = self.advertiser.or_else(|| match self.expected.advertisers {
            [] => None,
            [one] => Some(numeric_id(&one.0)),
            _ => {
                self.outside.get_or_insert_with(|| "a row without an advertiser".to_owned());
                None
            }
        });
        let day = self.day.or_else(|| report.needs_day_per_request().then_some(self.expected.window.start));
        if day.is_none() && self.unreadable.is_none() {
            self.unreadable = Some(unreadable(report.cursor_column(), "null"));
        }
        self.key = self.key.wrapping_add(hash(usize::MAX - 1, &advertiser.unwrap_or(0).to_le_bytes()));
        let Some(key) = advertiser.zip(day) else {
            self.unsummed += 1;
            return;
        };
        if self.is_unsummed {
            self.unsummed += 1;
            self.unsummed_periods.insert(key);
        }
        match &mut self.last_sum {
            Some((last, sum)) if *last == key => sum.add(&self.sum),
            _ => {
                self.keep_last();
                self.last_sum = Some((key, self.sum));
            }
        }
    }

    fn keep_last(&mut self) {
        if let Some((key, last)) = self.last_sum.take() {
            self.sums.by_key.entry(key).or_default().add(&last);
        }
    }

    fn into_judged(mut self) -> Judged {
        self.keep_last();
        if self.outside_window.is_some() && self.is_by_event() {
            self.notes.insert(
                "Criteo selects these rows by event date, not by order date. Orders whose click or view is before the \
                 first day are missing, and orders after the last day are included. Events of one order on several \
                 days may share a key; a destination that merges by key keeps only one of them."
                    .to_owned(),
            );
        }
        let rounding = self.precision.rounding(&self.expected.report.currency.to_string());
        Judged {
            sums: Sums { rounding, ..self.sums },
            unsummed: self.unsummed,
            unsummed_periods: self.unsummed_periods,
            notes: self.notes,
            ..Judged::default()
        }
    }

    fn verdict(&self) -> Result<()> {
        let report = self.expected.report;
        if let Some(part) = self.parts.iter().find(|part| self.must_be_named(part) && part.row == 0) {
            let members: Vec<_> = self.layout.members().into_iter().take(MAX_NAMED).map(excerpt).collect();
            return Err(envelope::unknown_shape(&format!(
                "none of its {} rows has the column {}; their members are {}",
                self.row,
                part.name,
                members.join(", ")
            )));
        }
        if let Grain::Week(first) = report.grain
            && let Some(found) = only_weekday(self.weekdays)
            // guard: week-start
            && found != first
        {
            return Err(Error::system(format!("Criteo's weeks start on {found}, but the request assumed {first}."))
                .because(Cause::WeekStart(found)));
        }
        if let Some(what) =
            self.outside.as_ref().or_else(|| self.outside_window.as_ref().filter(|_| !self.is_by_event()))
        {
            return Err(Error::transient(format!(
                "Criteo sent {what}, but the request was for {}. No rows were written.",
                self.expected.request()
            ))
            .because(Cause::OutsideRequest));
        }
        self.unreadable.clone().map_or(Ok(()), Err)
    }

    /// Whether Criteo selected transactions by event date: every row has one within the window.
    fn is_by_event(&self) -> bool {
        self.events > 0 && self.events == self.row && !self.outside_by_event
    }

    /// Whether some row must have the column: a key column that the request does not determine.
    fn must_be_named(&self, part: &Part) -> bool {
        match part.role {
            Role::Advertiser => self.expected.advertisers.len() != 1,
            Role::Period => !self.expected.report.needs_day_per_request(),
            Role::Hour | Role::Key => true,
            Role::Currency | Role::Total(_) | Role::Event | Role::Other => false,
        }
    }

    fn advertiser(&mut self, index: usize, raw: &str) {
        if self.parts[index].last == raw {
            self.advertiser = self.last_advertiser;
            return;
        }
        let text = text_of(raw);
        self.advertiser = (!text.is_empty()).then(|| numeric_id(&text));
        // guard: advertiser-of-rows
        if !text.is_empty() && !self.advertisers.is_empty() && !self.advertisers.contains(&*text) {
            self.outside.get_or_insert_with(|| format!("a row of advertiser {}", excerpt(&text)));
        }
        self.last_advertiser = self.advertiser;
        raw.clone_into(&mut self.parts[index].last);
    }

    fn period(&mut self, index: usize, raw: &str) {
        let part = &self.parts[index];
        if part.last == raw {
            self.key = self.key.wrapping_add(part.last_hash);
            self.day = if part.role == Role::Period { self.last_day } else { self.day };
            return;
        }
        let text = text_of(raw);
        let text = text.trim();
        let Some(day) = day_of(text, part.reading) else {
            if !text.is_empty() || part.role == Role::Hour {
                self.unreadable.get_or_insert_with(|| unreadable(&part.name, raw));
            }
            return;
        };
        // guard: window-of-rows
        if day < self.first_day || day > self.expected.window.end {
            self.outside_window.get_or_insert_with(|| format!("a row whose {} is {}", part.name, excerpt(text)));
        }
        let found = if part.reading.column_type == ColumnType::Date {
            hash(index, &day.num_days_from_ce().to_le_bytes())
        } else {
            let instant = instant_of(text).map_or(0, |instant| instant.timestamp());
            hash(index, &instant.to_le_bytes())
        };
        if part.role == Role::Period {
            if day != self.expected.window.start {
                self.weekdays |= 1 << day.weekday().num_days_from_monday();
            }
            self.day = Some(day);
            self.last_day = self.day;
        }
        self.key = self.key.wrapping_add(found);
        let part = &mut self.parts[index];
        part.last_hash = found;
        raw.clone_into(&mut part.last);
    }

    /// An invalid event date counts as outside the window.
    fn event(&mut self, index: usize, raw: &str) {
        self.events += 1;
        let part = &self.parts[index];
        if part.last == raw {
            return;
        }
        let day = day_of(text_of(raw).trim(), part.reading);
        self.outside_by_event |= day.is_none_or(|day| day < self.first_day || day > self.expected.window.end);
        raw.clone_into(&mut self.parts[index].last);
    }

    fn currency(&mut self, index: usize, raw: &str) {
        if self.parts[index].last == raw {
            self.key = self.key.wrapping_add(self.parts[index].last_hash);
            return;
        }
        let text = text_of(raw);
        let upper = text.to_uppercase();
        let asked = self.expected.report.currency.to_string();
        if upper != text && self.notes.len() < MAX_NAMED {
            self.notes.insert(format!(
                "Criteo spells the currency {}; records have {}.",
                excerpt(&text),
                excerpt(&upper)
            ));
        }
        // A row without a currency has the requested one.
        let is_asked = upper.is_empty() || upper == asked;
        // guard: currency-of-rows
        if !is_asked && self.expected.report.asks_for_currency() {
            self.outside.get_or_insert_with(|| format!("a row in {} (requested: {asked})", excerpt(&upper)));
        }
        let found = if is_asked || !self.parts[index].is_key { 0 } else { hash(index, upper.as_bytes()) };
        self.key = self.key.wrapping_add(found);
        let part = &mut self.parts[index];
        part.last_hash = found;
        raw.clone_into(&mut part.last);
    }

    fn total(&mut self, index: usize, metric: usize, raw: &str) {
        let reading = self.parts[index].reading;
        self.scratch.clear();
        match coerce(raw, reading, &mut self.scratch) {
            Outcome::Null => {}
            Outcome::Misfit => self.is_unsummed = true,
            Outcome::Written => {
                let text = str::from_utf8(&self.scratch).unwrap_or_default();
                match text.parse::<f64>() {
                    Ok(value) => {
                        self.sum.values[metric] = value;
                        self.precision.learn(metric, text, value);
                    }
                    Err(_) => self.is_unsummed = true,
                }
            }
        }
    }

    /// Null, empty and missing count as the same value.
    fn key_part(&mut self, index: usize, raw: &str) {
        let part = &self.parts[index];
        if part.reading.column_type == ColumnType::Text {
            let text = text_of(raw);
            if !text.is_empty() {
                self.key = self.key.wrapping_add(hash(index, text.as_bytes()));
            }
            return;
        }
        self.scratch.clear();
        match coerce(raw, part.reading, &mut self.scratch) {
            Outcome::Written => self.key = self.key.wrapping_add(hash(index, &self.scratch)),
            Outcome::Null | Outcome::Misfit => {
                self.unreadable.get_or_insert_with(|| unreadable(&part.name, raw));
            }
        }
    }
}

impl Fields for Judging<'_> {
    const WANTS_UNKNOWN: bool = false;

    fn layout(&mut self) -> &mut Layout {
        &mut self.layout
    }

    fn value<E>(&mut self, column: usize, raw: &str) -> std::result::Result<(), E> {
        let part = &mut self.parts[column];
        if part.row == self.row {
            return Ok(());
        }
        part.row = self.row;
        let role = part.role;
        if role == Role::Other {
            return Ok(());
        }
        let raw = unwrapped(raw, part.reading.column_type);
        match role {
            Role::Advertiser => self.advertiser(column, raw),
            Role::Period | Role::Hour => self.period(column, raw),
            Role::Event => self.event(column, raw),
            Role::Currency => self.currency(column, raw),
            Role::Total(metric) => self.total(column, metric, raw),
            Role::Key => self.key_part(column, raw),
            Role::Other => {}
        }
        Ok(())
    }

    fn unknown(&mut self, _: String, _: &str) {}
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

/// The weekday, if all periods have the same.
fn only_weekday(weekdays: u8) -> Option<Weekday> {
    let day = u8::try_from(weekdays.trailing_zeros()).ok()?;
    if weekdays.is_power_of_two() { Weekday::try_from(day).ok() } else { None }
}

fn unreadable(column: &str, raw: &str) -> Error {
    Error::system(format!(
        "Criteo sent a row with an unreadable {column}: {}. The column is part of the key, so no rows were written. \
         Update the connector.",
        excerpt(raw)
    ))
}

/// Invariants for any response to a report request: one that passes validation can be written, and all of its rows were
/// counted.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_out(body: &str, stream: &Stream) {
    let crate::products::Source::Report(report) = &stream.source else { return };
    let Some((start, end)) = NaiveDate::from_ymd_opt(2000, 1, 1).zip(NaiveDate::from_ymd_opt(2099, 12, 31)) else {
        return;
    };
    let one = [AdvertiserId("1001".to_owned())];
    for (advertisers, is_compared) in [(&one[..], true), (&one[..], false), (&[], false)] {
        let window = Window { start, end };
        let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared };
        let Ok(judged) = judge(body, &expected) else { continue };
        let summed: u64 = judged.sums.rows().map(|(_, _, rows)| u64::from(rows)).sum();
        assert!(summed + judged.unsummed >= judged.rows, "{body}");
        assert!(judged.unsummed > 0 || summed == judged.rows, "{body}");
        let rehearsal = rehearse(body, &expected, stream);
        assert!(rehearsal.is_ok(), "{body}: {rehearsal:?}");
        if let Some(merged) = &judged.merged {
            let left = envelope::check_into(&merged.body, Shape::Report, &mut envelope::CheckOnly)
                .ok()
                .and_then(|envelope| envelope.rows);
            assert_eq!(left, Some(judged.rows - merged.rows - merged.dropped), "{body}");
        }
    }
}
