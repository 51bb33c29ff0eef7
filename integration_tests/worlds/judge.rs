//! Compares a destination that merges by key with the truth.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, Days, Months, NaiveDate};
use serde_json::{Map, Value};

/// A stream's rows by primary key.
pub type Table = BTreeMap<String, Map<String, Value>>;
/// Comparable rows by key without row numbers; several per key only if a report numbers them.
pub type Rows = BTreeMap<String, Vec<Row>>;
/// A row's columns with values.
pub type Row = BTreeMap<String, String>;

/// Columns that number rows.
const NUMBERING: &[&str] = &["row_number", "line_number"];

/// A stream's truth on the day of a sync.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub rows: Rows,
    /// The current day of the sync.
    pub today: NaiveDate,
    /// Whether the destination must have every row; false after a killed sync.
    pub is_wanted: bool,
}

/// A key with expected and actual rows.
#[derive(Debug, Clone)]
pub enum Difference {
    Missing(String, Vec<Row>),
    Extra(String, Vec<Row>),
    Wrong(String, Vec<Row>, Vec<Row>),
}

impl Difference {
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(..))
    }

    pub fn key(&self) -> &str {
        match self {
            Self::Missing(key, _) | Self::Extra(key, _) | Self::Wrong(key, ..) => key,
        }
    }

    /// One of the affected rows.
    pub fn row(&self) -> &Row {
        match self {
            Self::Missing(_, rows) | Self::Extra(_, rows) | Self::Wrong(_, rows, _) => &rows[0],
        }
    }

    /// The differing columns; empty if whole rows differ.
    pub fn columns(&self) -> BTreeSet<&String> {
        match self {
            Self::Wrong(_, wanted, there) if wanted.len() == there.len() => {
                let differing = wanted.iter().zip(there).flat_map(|(wanted, there)| {
                    let names = wanted.keys().chain(there.keys());
                    names.filter(|name| wanted.get(*name) != there.get(*name))
                });
                differing.collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// First day of the affected period.
    pub fn first_day(&self) -> Option<NaiveDate> {
        let columns = ["day", "transaction_date", "week", "month", "year"];
        columns.iter().find_map(|column| self.row().get(*column)?.get(..10)?.parse().ok())
    }
}

/// Merges records into a table like a destination.
pub fn merge<'a>(table: &mut Table, records: impl IntoIterator<Item = &'a Map<String, Value>>, stream: &Value) {
    for record in records {
        let key = key_columns(stream).map(|column| record.get(column).unwrap_or(&Value::Null).to_string());
        table.insert(key.collect::<Vec<_>>().join(" "), record.clone());
    }
}

fn key_columns(stream: &Value) -> impl Iterator<Item = &str> {
    stream["source_defined_primary_key"].as_array().unwrap().iter().map(|path| path[0].as_str().unwrap())
}

/// Converts records to comparable rows.
pub fn rows<'a>(records: impl IntoIterator<Item = &'a Map<String, Value>>, stream: &Value) -> Rows {
    let mut rows = Rows::new();
    for record in records {
        let row: Row = record.iter().filter_map(|(name, value)| Some((name.clone(), text(name, value)?))).collect();
        let key = key_columns(stream).filter(|column| !NUMBERING.contains(column));
        let key: Vec<_> = key.map(|column| row.get(column).cloned().unwrap_or_default()).collect();
        rows.entry(key.join("|")).or_default().push(row);
    }
    for same in rows.values_mut() {
        same.sort();
    }
    rows
}

/// A comparable value; `None` for every form of null.
fn text(name: &str, value: &Value) -> Option<String> {
    let is_word = name.ends_with("_id") || name.ends_with("_name");
    match value {
        _ if NUMBERING.contains(&name) => None,
        Value::Null => None,
        Value::String(text) if text.is_empty() || is_word && text == "-1" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_f64().unwrap().to_string()),
        other => Some(other.to_string()),
    }
}

/// Last day of a row's period.
pub fn last_day(row: &Row) -> Option<NaiveDate> {
    let day = |column: &str| row.get(column)?.get(..10)?.parse::<NaiveDate>().ok();
    let end = |start: NaiveDate, months: u32| (start.with_day(1)? + Months::new(months)).pred_opt();
    day("day")
        .or_else(|| day("transaction_date"))
        .or_else(|| day("week").map(|start| start + Days::new(6)))
        .or_else(|| day("month").and_then(|start| end(start, 1)))
        .or_else(|| day("year").and_then(|start| end(start, 12)))
}

/// The differences. `truths` are those of each sync in order; a row must match the last sync that read its day, or a
/// later one. Each sync reads `lookback` days again.
pub fn differences(held: &Rows, truths: &[Truth], lookback: u64) -> Vec<Difference> {
    let keys: BTreeSet<&String> = held.keys().chain(truths.iter().flat_map(|truth| truth.rows.keys())).collect();
    let mut differences = Vec::new();
    for key in keys {
        let known: Vec<(usize, &Vec<Row>)> =
            truths.iter().enumerate().filter_map(|(at, truth)| Some((at, truth.rows.get(key)?))).collect();
        let is_wanted = known.iter().any(|(at, _)| truths[*at].is_wanted);
        let Some(there) = held.get(key) else {
            if let Some((_, wanted)) = known.last().filter(|_| is_wanted) {
                differences.push(Difference::Missing(key.clone(), (*wanted).clone()));
            }
            continue;
        };
        let Some((_, latest)) = known.last() else {
            differences.push(Difference::Extra(key.clone(), there.clone()));
            continue;
        };
        let read_last =
            latest.first().and_then(last_day).map_or(truths.len() - 1, |day| last_read(day, truths, lookback));
        let same = |wanted: &[Row]| wanted == &there[..];
        let mut fresh = known.iter().filter(|(at, _)| *at >= read_last).peekable();
        let is_right = if fresh.peek().is_some() {
            fresh.any(|(_, wanted)| same(wanted))
        } else {
            known.iter().any(|(_, wanted)| same(wanted))
        };
        if !is_right {
            differences.push(Difference::Wrong(key.clone(), (*latest).clone(), there.clone()));
        }
    }
    differences
}

/// The last sync that must have read a day, given that the previous cursor was its yesterday.
fn last_read(day: NaiveDate, truths: &[Truth], lookback: u64) -> usize {
    let begins_by = |at: &usize| day >= truths[at - 1].today - Days::new(lookback.max(1));
    (1..truths.len()).rev().find(begins_by).unwrap_or(0)
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(key, wanted) => write!(f, "missing {key} ({} rows)", wanted.len()),
            Self::Extra(key, there) => write!(f, "extra {key}: {:?}", there[0]),
            Self::Wrong(key, wanted, there) if wanted.len() == 1 && there.len() == 1 => {
                let wrong: Vec<_> = self
                    .columns()
                    .into_iter()
                    .map(|name| format!("{name} {:?} should be {:?}", there[0].get(name), wanted[0].get(name)))
                    .collect();
                write!(f, "wrong {key}: {}", wrong.join(", "))
            }
            Self::Wrong(key, wanted, there) => {
                write!(f, "wrong {key}: {} rows {there:?} should be {} {wanted:?}", there.len(), wanted.len())
            }
        }
    }
}
