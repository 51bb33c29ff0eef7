//! One answer to a request for a report, judged before anything of it is written: whole, of a known shape, and nothing but what
//! was asked for.
//!
//! Rows are walked through once. Only where two of them seem to share a key, a second walk ([`merge`]) makes sure, and adds them
//! up if that can be done.

mod merge;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use chrono::{Datelike as _, NaiveDate, Weekday};
use serde::de::{Deserializer, IgnoredAny};

use super::coerce::{Outcome, Reading, coerce, day_of, instant_of, unescaped};
use super::fields::{self, Fields, Layout, unwrapped};
use super::project::{CURRENCY, Plan, ROW_NUMBER};
use super::rows::{self, RowSink, Shape};
use super::slice::{Window, period_start};
use super::sums::{Precision, Sum, Sums, number};
use crate::api::{AllTold, quote};
use crate::config::AdvertiserId;
use crate::error::{Cause, Error, Result};
use crate::protocol::output::Constants;
use crate::streams::Stream;
use crate::streams::endpoint::Endpoint;
use crate::streams::metrics::{Grain, column_name};
use crate::streams::report::Report;
use crate::streams::schema::ColumnType;

/// At most so many names are told.
const MOST_NAMED: usize = 20;

/// What one request for a report asked for: what may come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub report: &'a Report,
    pub metrics: &'a [String],
    pub window: Window,
    /// An empty list stands for any.
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
    /// What it announces, in words.
    pub more: Option<Error>,
    /// Criteo's warnings.
    pub warnings: AllTold,
    pub sums: Sums,
    /// Rows that have no part, or not their whole part, in the sums.
    pub unsummed: u64,
    /// Their periods, by the number of the advertiser.
    pub unsummed_periods: BTreeSet<(u64, NaiveDate)>,
    /// Set where rows share a key: what is to be written in place of the answer.
    pub merged: Option<Merged>,
    /// What people should know, a sentence each; to be told once a stream.
    pub notes: BTreeSet<String>,
}

/// An answer whose repeated rows were made one.
#[derive(Debug)]
pub(super) struct Merged {
    pub body: String,
    /// Rows that were added to another one.
    pub rows: u64,
    /// Rows that were left out, since they are equal to another one in everything.
    pub dropped: u64,
}

/// Judges an answer.
///
/// # Errors
/// As [`rows::check_into`]; `Cause::OutsideRequest` for rows that were not asked for, `Cause::WeekStart` for weeks that begin on
/// another day than planned, `Cause::RepeatedKey` for rows that share a key and cannot be added up, and a system error for a
/// key that no row has or that cannot be read.
pub(super) fn judge(body: &str, expected: &Expected<'_>) -> Result<Judged> {
    let mut counting =
        Counting { judging: Judging::new(expected), seen: Hashes::default(), repeated: Hashes::default() };
    let envelope = rows::check_into(body, Shape::Report, &mut counting)?;
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

/// Takes an answer the whole way that a read takes it, and writes nothing.
///
/// # Errors
/// As [`judge`], and whatever keeps a row from becoming a record.
pub(super) fn rehearse(body: &str, expected: &Expected<'_>, stream: &Stream) -> Result<()> {
    let judged = judge(body, expected)?;
    let mut sink = Rehearsal { plan: Plan::new(stream, &|_| true), line: Vec::new() };
    sink.plan.start_slice(&constants(expected.report, expected.window, expected.advertisers));
    let body = judged.merged.as_ref().map_or(body, |merged| &merged.body);
    rows::check_into(body, Shape::Report, &mut sink).map(|_| ())
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

/// The columns that rows need not carry, since the request says them.
pub(super) fn constants(report: &Report, window: Window, advertisers: &[AdvertiserId]) -> Constants {
    let mut constants = Vec::new();
    if report.is_without_time() {
        constants.push(("day", window.start.to_string()));
    }
    // Requests for a single advertiser are answered without it.
    if let [advertiser] = advertisers {
        constants.push(("advertiser_id", advertiser.0.clone()));
    }
    constants
}

/// The text of a value: what a column of texts would hold.
pub(super) fn text_of(raw: &str) -> Cow<'_, str> {
    match raw.as_bytes().first() {
        Some(b'n') => "".into(),
        Some(b'"') if raw.contains('\\') => {
            // Halves of surrogate pairs are replaced as in a record.
            let mut text = Vec::new();
            coerce(raw, Reading { column_type: ColumnType::Text, zone: None, period: None }, &mut text);
            serde_json::from_slice::<String>(&text).unwrap_or_default().into()
        }
        Some(b'"') => unescaped(raw),
        _ => raw.into(),
    }
}

/// Hashes of keys: they are mixed well enough to be used as they are.
type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
struct AsItIs(u64);

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

/// A quick hash of a value of a column. Only rows whose hashes meet are compared in earnest, so it need not be more.
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

/// What a column of a row is to the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Advertiser,
    /// The column that the state counts in.
    Period,
    /// The other date of a transaction: no document says which of the two a window is of.
    Event,
    /// The hour, beside the day.
    Hour,
    Currency,
    /// A part of the sums.
    Total(usize),
    /// Another part of the key.
    Key,
    Other,
}

/// A column of the rows that are judged.
#[derive(Debug)]
struct Part {
    name: String,
    reading: Reading,
    role: Role,
    is_key: bool,
    /// The last row that had it: of two spellings of a name, the first counts.
    row: u64,
    /// The last value as it came, with what it is: mostly the next row has the same.
    last: String,
    last_hash: u64,
}

/// Reads the rows of an answer, one after the other.
struct Judging<'a> {
    expected: &'a Expected<'a>,
    layout: Layout,
    parts: Vec<Part>,
    advertisers: HashSet<&'a str>,
    /// Whether rows that share a key are numbered.
    is_numbered: bool,
    /// The first day of the period that the window begins in.
    first_day: NaiveDate,
    row: u64,
    /// Of the current row: the hash of its key, and what it says.
    key: u64,
    advertiser: Option<u64>,
    day: Option<NaiveDate>,
    sum: Sum,
    is_unsummed: bool,
    /// What the last advertiser and period came to.
    last_advertiser: Option<u64>,
    last_day: Option<NaiveDate>,
    sums: Sums,
    /// The sum that the last row belongs to.
    last_sum: Option<((u64, NaiveDate), Sum)>,
    precision: Precision,
    unsummed: u64,
    unsummed_periods: BTreeSet<(u64, NaiveDate)>,
    /// The weekdays of labels other than the first day of the window, a bit each.
    weekdays: u8,
    outside: Option<String>,
    /// A row whose period lies outside of the window.
    outside_window: Option<String>,
    /// How many rows name the date of their event, and whether one of these lies outside of the window.
    events: u64,
    outside_by_event: bool,
    unreadable: Option<Error>,
    notes: BTreeSet<String>,
    scratch: Vec<u8>,
}

impl<'a> Judging<'a> {
    fn new(expected: &'a Expected<'a>) -> Self {
        let report = expected.report;
        let totals = report.endpoint.total_metrics().map(column_name);
        let columns = report.row_columns();
        let parts: Vec<Part> = columns
            .into_iter()
            .map(|column| {
                let role = match column.name.as_str() {
                    "advertiser_id" => Role::Advertiser,
                    CURRENCY => Role::Currency,
                    // A number that the connector gives.
                    ROW_NUMBER => Role::Other,
                    name if name == report.cursor_column() => Role::Period,
                    "event_date" if report.endpoint == Endpoint::Transactions => Role::Event,
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

    /// Reads a row; returns the hash of its key.
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
            [one] => Some(number(&one.0)),
            _ => {
                self.outside.get_or_insert_with(|| "a row without an advertiser".to_owned());
                None
            }
        });
        let day = self.day.or_else(|| report.is_without_time().then_some(self.expected.window.start));
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
                "Criteo selects these rows by the date of the event and not by that of the order. Orders are then missing whose \
                 click or view lies before the first day, and orders behind the last day come along. Events of one order on \
                 several days may share a key, of which a destination that merges by key keeps one."
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

    /// What is wrong with the rows as a whole.
    fn verdict(&self) -> Result<()> {
        let report = self.expected.report;
        if let Some(part) = self.parts.iter().find(|part| self.must_be_named(part) && part.row == 0) {
            let members: Vec<_> = self.layout.members().into_iter().take(MOST_NAMED).map(quote).collect();
            return Err(rows::unknown_shape(&format!(
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
            return Err(Error::system(format!(
                "Criteo's weeks begin on another day ({found}) than the request was made for ({first})."
            ))
            .because(Cause::WeekStart(found)));
        }
        if let Some(what) =
            self.outside.as_ref().or_else(|| self.outside_window.as_ref().filter(|_| !self.is_by_event()))
        {
            return Err(Error::transient(format!(
                "Criteo sent {what}, which was not asked for: the request was for {}. Nothing of the answer was written.",
                self.expected.request()
            ))
            .because(Cause::OutsideRequest));
        }
        self.unreadable.clone().map_or(Ok(()), Err)
    }

    /// Whether the window is of the events, and not of the orders, of transactions: every row has one in it.
    fn is_by_event(&self) -> bool {
        self.events > 0 && self.events == self.row && !self.outside_by_event
    }

    /// Whether at least one row must have the column: what tells rows apart and the request does not say.
    fn must_be_named(&self, part: &Part) -> bool {
        match part.role {
            Role::Advertiser => self.expected.advertisers.len() != 1,
            Role::Period => !self.expected.report.is_without_time(),
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
        self.advertiser = (!text.is_empty()).then(|| number(&text));
        // guard: advertiser-of-rows
        if !text.is_empty() && !self.advertisers.is_empty() && !self.advertisers.contains(&*text) {
            self.outside.get_or_insert_with(|| format!("a row of advertiser {}", quote(&text)));
        }
        self.last_advertiser = self.advertiser;
        raw.clone_into(&mut self.parts[index].last);
    }

    /// A day or an instant that must lie in the window.
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
            self.outside_window.get_or_insert_with(|| format!("a row whose {} is {}", part.name, quote(text)));
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

    /// The other date of a transaction; one that is none is outside of every window.
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
        if upper != text && self.notes.len() < MOST_NAMED {
            self.notes.insert(format!(
                "Criteo writes the currency as {}; records have {}.",
                quote(&text),
                quote(&upper)
            ));
        }
        // A row that does not say its currency is in the one that was asked for.
        let is_asked = upper.is_empty() || upper == asked;
        // guard: currency-of-rows
        if !is_asked && self.expected.report.asks_for_currency() {
            self.outside.get_or_insert_with(|| format!("a row in {} where {asked} was asked for", quote(&upper)));
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

    /// Another part of the key; what is null, empty or missing is one value.
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

/// Reads rows, and notices keys that may come again.
struct Counting<'a> {
    judging: Judging<'a>,
    seen: Hashes,
    repeated: Hashes,
}

impl RowSink for Counting<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        // An answer beyond the cap is asked for in pieces, whatever it holds.
        if self.judging.row > self.judging.expected.report.row_cap {
            return row.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        let key = self.judging.read(row)?;
        // Rows that are numbered may share a key.
        if !self.judging.is_numbered && !self.seen.insert(key) {
            self.repeated.insert(key);
        }
        Ok(())
    }
}

/// The weekday of all labels, if it is one.
fn only_weekday(weekdays: u8) -> Option<Weekday> {
    let day = u8::try_from(weekdays.trailing_zeros()).ok()?;
    if weekdays.is_power_of_two() { Weekday::try_from(day).ok() } else { None }
}

fn unreadable(column: &str, raw: &str) -> Error {
    Error::system(format!(
        "Criteo sent a row whose {column} cannot be read: {}. It is part of the key, so nothing of the answer was written. \
         Update the connector.",
        quote(raw)
    ))
}

/// What must hold for any answer to a request for a report: what is judged to be good can be written, and every row of it has
/// been counted.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_out(body: &str, stream: &Stream) {
    let crate::streams::Source::Report(report) = &stream.source else { return };
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
            let left = rows::check_into(&merged.body, Shape::Report, &mut rows::CheckOnly)
                .ok()
                .and_then(|envelope| envelope.rows);
            assert_eq!(left, Some(judged.rows - merged.rows - merged.dropped), "{body}");
        }
    }
}

#[cfg(test)]
mod tests;
