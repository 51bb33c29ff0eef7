//! Validates the rows of a response one by one, and adds them up by advertiser and period.

mod values;

use std::collections::{BTreeSet, HashSet};

use chrono::{NaiveDate, Weekday};
use serde::de::Deserializer;

use crate::error::{Cause, Error, Result};
use crate::model::calendar::{Grain, period_start};
use crate::model::ids::numeric_id;
use crate::products::marketing::metrics::column_name;
use crate::read::judge::hash::hash;
use crate::read::judge::{Expected, Judged};
use crate::read::sums::{Precision, Sum, Sums};
use crate::rows::coerce::Reading;
use crate::rows::envelope;
use crate::rows::fields::{self, Layout};
use crate::rows::project::{CURRENCY, ROW_NUMBER};
use crate::support::text::excerpt;

const MAX_NAMED: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
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
pub(super) struct Part {
    pub(super) name: String,
    pub(super) reading: Reading,
    pub(super) role: Role,
    pub(super) is_key: bool,
    /// Last row with this column: of two spellings in a row, the first counts.
    row: u64,
    /// Last raw value and its hash: the next row often has the same.
    last: String,
    last_hash: u64,
}

pub(super) struct Judging<'a> {
    pub(super) expected: &'a Expected<'a>,
    layout: Layout,
    pub(super) parts: Vec<Part>,
    advertisers: HashSet<&'a str>,
    /// Whether the report numbers rows that share a key.
    pub(super) is_numbered: bool,
    /// First day of the period in which the window starts.
    first_day: NaiveDate,
    pub(super) row: u64,
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
    pub(super) fn new(expected: &'a Expected<'a>) -> Self {
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
    pub(super) fn read<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<u64, D::Error> {
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

    pub(super) fn into_judged(mut self) -> Judged {
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

    pub(super) fn verdict(&self) -> Result<()> {
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
