//! What a destination that merges by key holds, against the truth.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, Days, Months, NaiveDate};
use serde_json::{Map, Value};

/// The rows of one stream by their primary key.
pub type Table = BTreeMap<String, Map<String, Value>>;
/// Rows in a form that can be compared, by the key without a row's number; several only where a report numbers them.
pub type Rows = BTreeMap<String, Vec<Row>>;
/// The columns of a row that hold something.
pub type Row = BTreeMap<String, String>;

/// Columns that only number rows, or name where they came from.
const NUMBERING: &[&str] = &["row_number", "line_number"];

/// The truth of a stream on the day of one sync.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub rows: Rows,
    /// The day that the sync took for today.
    pub today: NaiveDate,
    /// Whether every row of it must be in the destination; not so after a sync that was killed.
    pub is_wanted: bool,
}

/// A key with what was wanted and what there is.
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

    /// One of the rows that are concerned.
    pub fn row(&self) -> &Row {
        match self {
            Self::Missing(_, rows) | Self::Extra(_, rows) | Self::Wrong(_, rows, _) => &rows[0],
        }
    }

    /// The columns that differ; none where whole rows do.
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

    /// The first day of the period that is concerned.
    pub fn first_day(&self) -> Option<NaiveDate> {
        let columns = ["day", "transaction_date", "week", "month", "year"];
        columns.iter().find_map(|column| self.row().get(*column)?.get(..10)?.parse().ok())
    }
}

/// Puts records into a table as a destination does.
pub fn merge<'a>(table: &mut Table, records: impl IntoIterator<Item = &'a Map<String, Value>>, stream: &Value) {
    for record in records {
        let key = key_columns(stream).map(|column| record.get(column).unwrap_or(&Value::Null).to_string());
        table.insert(key.collect::<Vec<_>>().join(" "), record.clone());
    }
}

fn key_columns(stream: &Value) -> impl Iterator<Item = &str> {
    stream["source_defined_primary_key"].as_array().unwrap().iter().map(|path| path[0].as_str().unwrap())
}

/// Records as rows that can be compared.
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

/// A value that can be compared; nothing for all the ways to say nothing.
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

/// The last day of the period that a row is of.
pub fn last_day(row: &Row) -> Option<NaiveDate> {
    let day = |column: &str| row.get(column)?.get(..10)?.parse::<NaiveDate>().ok();
    let end = |start: NaiveDate, months: u32| (start.with_day(1)? + Months::new(months)).pred_opt();
    day("day")
        .or_else(|| day("transaction_date"))
        .or_else(|| day("week").map(|start| start + Days::new(6)))
        .or_else(|| day("month").and_then(|start| end(start, 1)))
        .or_else(|| day("year").and_then(|start| end(start, 12)))
}

/// What differs. `truths` are of each sync in order; a row must be as it was at the last sync that has read its day, or at
/// a later one. `lookback` is how many days each sync reads again.
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

/// The last sync that must have read a day: the one before it has left its cursor on its yesterday.
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
