//! The sums of an answer's rows by advertiser and period, made while the answer is checked.

use std::collections::HashMap;
use std::fmt;

use chrono::NaiveDate;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::coerce::iso_day;
use super::rows::{self, RowSink};
use super::slice::Window;
use crate::error::Result;
use crate::streams::endpoint::TOTAL_METRICS;
use crate::streams::metrics::fold;
use crate::streams::report::Report;

/// The parts of `TOTAL_METRICS`.
pub(super) type Values = [f64; TOTAL_METRICS.len()];

/// Sums by advertiser and period.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    pub(super) by_key: HashMap<(u64, NaiveDate), Sum>,
    /// Half of the last digit of the numbers of each metric: what rounding may hide in each row.
    pub(super) rounding: Values,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sum {
    pub(super) values: Values,
    pub(super) rows: u32,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
        self.rows += other.rows;
    }
}

impl Sums {
    /// How many rows there were, by the number of the advertiser and the day.
    pub fn rows(&self) -> impl Iterator<Item = (u64, NaiveDate, u32)> {
        self.by_key.iter().map(|((advertiser, day), sum)| (*advertiser, *day, sum.rows))
    }

    /// Adds the sums of other rows.
    pub fn add(&mut self, other: &Self) {
        for (key, sum) in &other.by_key {
            self.by_key.entry(*key).or_default().add(sum);
        }
        self.rounding.iter_mut().zip(other.rounding).for_each(|(known, other)| *known = known.max(other));
    }
}

/// Checks an answer and sums it up; says how many rows it has.
///
/// # Errors
/// As [`rows::check`].
pub fn sum(body: &str, report: &Report, window: Window) -> Result<(u64, Sums)> {
    let mut summing = Summing::new(report, window);
    let envelope = rows::check_into(body, report.shape(), &mut summing)?;
    // An answer that announces more than it holds is as good as one at the cap.
    let rows = if envelope.is_short() { u64::MAX } else { envelope.rows.unwrap_or(0) };
    Ok((rows, summing.sums()))
}

/// Sums rows up by advertiser and period; the period is a column of this grain.
pub struct Summing {
    sums: Sums,
    /// The sum that the last row belongs to: mostly the next one does, too.
    last: Option<((u64, NaiveDate), Sum)>,
    period: &'static str,
    /// The day of rows that do not say theirs.
    day: Option<NaiveDate>,
    metrics: [&'static str; TOTAL_METRICS.len()],
    learned: Vec<(Box<str>, Field)>,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Advertiser,
    Period,
    Value(usize),
    /// Another object with fields of the row.
    Attributes,
    Other,
}

impl Summing {
    /// Nothing has been summed yet.
    #[must_use]
    pub fn new(report: &Report, window: Window) -> Self {
        Self {
            sums: Sums::default(),
            last: None,
            period: report.grain.dimension(),
            day: report.is_without_time().then_some(window.start),
            metrics: report.endpoint.total_metrics(),
            learned: Vec::new(),
        }
    }

    /// What has been summed.
    #[must_use]
    pub fn sums(mut self) -> Sums {
        self.keep_last();
        self.sums
    }

    fn keep_last(&mut self) {
        if let Some((key, last)) = self.last.take() {
            self.sums.by_key.entry(key).or_default().add(&last);
        }
    }

    fn field(&mut self, key: &str, at: usize) -> Field {
        let is_key = |(known, _): &&(Box<str>, Field)| **known == *key;
        if let Some((_, field)) = self.learned.get(at).filter(is_key).or_else(|| self.learned.iter().find(is_key)) {
            return *field;
        }
        let folded = fold(key);
        let field = match self.metrics.iter().position(|metric| fold(metric) == folded) {
            Some(index) => Field::Value(index),
            None if folded == "advertiserid" => Field::Advertiser,
            None if folded == fold(self.period) => Field::Period,
            None if folded == "attributes" => Field::Attributes,
            None => Field::Other,
        };
        self.learned.push((key.into(), field));
        field
    }
}

impl RowSink for Summing {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let parsed = Row { summing: self, at: 0 }.deserialize(row)?;
        // A row that is not understood here is judged where it becomes a record.
        if let (Some(advertiser), Some(day)) = (parsed.advertiser, self.day.or(parsed.day)) {
            let key = (advertiser, day);
            let row = Sum { values: parsed.values, rows: 1 };
            match &mut self.last {
                Some((last, sum)) if *last == key => sum.add(&row),
                _ => {
                    self.keep_last();
                    self.last = Some((key, row));
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parsed {
    advertiser: Option<u64>,
    day: Option<NaiveDate>,
    values: Values,
}

struct Row<'a> {
    summing: &'a mut Summing,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Parsed, A::Error> {
        let mut row = Parsed::default();
        while let Some(field) = map.next_key_seed(Key { summing: self.summing, at: self.at })? {
            self.at += 1;
            let value: &'de RawValue = map.next_value()?;
            let text = value.get().trim_matches('"');
            match field {
                Field::Other => {}
                Field::Attributes => {
                    let mut nested = serde_json::Deserializer::from_str(value.get());
                    row = Row { summing: self.summing, at: 0 }.deserialize(&mut nested).map_err(A::Error::custom)?;
                }
                Field::Advertiser => row.advertiser = Some(number(text)),
                Field::Period => row.day = text.get(..10).and_then(iso_day),
                Field::Value(index) => {
                    row.values[index] = text.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(0.0);
                    let decimals = text.split_once('.').filter(|_| !text.contains(['e', 'E']));
                    if let Some((_, decimals)) = decimals {
                        let rounding = 0.5 * 10f64.powi(-i32::try_from(decimals.len()).unwrap_or(i32::MAX));
                        // The most precise number tells how Criteo rounds; trailing zeros may be left out.
                        let known = &mut self.summing.sums.rounding[index];
                        *known = if *known == 0.0 { rounding } else { known.min(rounding) };
                    }
                }
            }
        }
        Ok(row)
    }
}

struct Key<'a> {
    summing: &'a mut Summing,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Field, E> {
        Ok(self.summing.field(key, self.at))
    }
}

/// An id as a number; ids of Criteo are digits, and others get a number of their own.
pub(super) fn number(id: &str) -> u64 {
    id.parse().unwrap_or_else(|_| id.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into())))
}
