//! Rows of one answer that share a key: added up where that is sure to be right, and else a reason to stop.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::{Deserialize as _, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::{Expected, Hashes, Judging, Merged, Part, Role, text_of};
use crate::api::quote;
use crate::engine::coerce::{Outcome, coerce, day_of};
use crate::engine::decimal::Decimal;
use crate::engine::fields::{self, Fields, Layout, unwrapped};
use crate::engine::rows::{self, RowSink, Shape};
use crate::error::{Cause, Error, Result};
use crate::streams::endpoint::Endpoint;
use crate::streams::metrics::{self, column_name};
use crate::streams::report::Report;
use crate::streams::schema::ColumnType;

/// The most bytes of an answer that is made anew; the most keys that may come again in it, and the most bytes of their rows: all of
/// these are in memory beside it, the rows for as long as one answer is made anew.
const LONGEST_MERGED: usize = 24 * 1024 * 1024;
const MOST_REPEATED: usize = 10_000;
const MOST_GROUPED: usize = 16 * 1024 * 1024;
/// A table takes less than its rows with their names, which may be as long as the answer was, or this.
const LONGEST_TABLE: usize = 4 * 1024 * 1024;
/// What a value takes besides its text.
const SIZE_OF_VALUE: usize = 96;

/// Makes one row of those that share a key; `repeated` are the hashes of keys that may come more than once. `None` where it was
/// only hashes that met.
///
/// # Errors
/// `Cause::RepeatedKey` where rows share a key and cannot be added up.
pub(super) fn merge(body: &str, expected: &Expected<'_>, repeated: &Hashes) -> Result<Option<Merged>> {
    if body.len() > LONGEST_MERGED || repeated.len() > MOST_REPEATED {
        return Err(too_large());
    }
    let judging = Judging::new(expected);
    let (metrics, obstacle) = additive(expected, &judging.parts);
    let layout = Layout::new(judging.parts.iter().map(|part| part.name.as_str()), Some(expected.report));
    let mut merging = Merging {
        row: Cells { layout, values: BTreeMap::new(), unknown: BTreeMap::new() },
        judging,
        repeated,
        metrics,
        obstacle,
        groups: HashMap::new(),
        longest: body.len().max(LONGEST_TABLE),
        body: "[".to_owned(),
        grouped: 0,
        rows: 0,
        dropped: 0,
    };
    rows::check_into(body, Shape::Report, &mut merging)?;
    if merging.is_too_large() {
        return Err(too_large());
    }
    // guard: repeated-keys
    if let Some(group) = merging.groups.values().find(|group| group.obstacle.is_some()) {
        return Err(merging.error(group));
    }
    let Merging { mut body, rows, dropped, groups, judging, .. } = merging;
    if rows + dropped == 0 {
        return Ok(None);
    }
    for group in groups.into_values() {
        separate(&mut body);
        group.write(&judging.parts, &mut body);
    }
    body.push(']');
    Ok(Some(Merged { body, rows, dropped }))
}

fn too_large() -> Error {
    Error::config("Criteo sent an answer with rows that share keys, and it is too large to make them one row.")
        .because(Cause::AnswerTooLarge)
}

/// The columns whose values may be added up, and the first metric whose may not.
fn additive(expected: &Expected<'_>, parts: &[Part]) -> (BTreeSet<usize>, Option<String>) {
    let Report { endpoint, .. } = expected.report;
    let mut columns = BTreeSet::new();
    let mut obstacle = None;
    for name in expected.metrics {
        let column = column_name(name);
        let Some(index) = parts.iter().position(|part| part.name == column) else { continue };
        let is_additive = match endpoint {
            Endpoint::Statistics => metrics::metric(name).is_some_and(|metric| metric.additive),
            // All that the connector asks of placements are.
            Endpoint::Placements => true,
            _ => endpoint.total_metrics().contains(&name.as_str()),
        };
        if is_additive {
            columns.insert(index);
        } else if parts[index].reading.column_type != ColumnType::Text {
            obstacle.get_or_insert_with(|| format!("{name} cannot be added up"));
        }
    }
    (columns, obstacle)
}

/// The values of one row.
struct Cells {
    layout: Layout,
    values: BTreeMap<usize, String>,
    unknown: BTreeMap<String, String>,
}

impl Fields for Cells {
    const WANTS_UNKNOWN: bool = true;

    fn layout(&mut self) -> &mut Layout {
        &mut self.layout
    }

    fn value<E>(&mut self, column: usize, raw: &str) -> std::result::Result<(), E> {
        self.values.entry(column).or_insert_with(|| raw.to_owned());
        Ok(())
    }

    fn unknown(&mut self, name: String, raw: &str) {
        self.unknown.insert(name, raw.to_owned());
    }
}

/// Rows that share a key.
struct Group {
    key: Vec<String>,
    rows: u64,
    /// The values of the first row.
    first: BTreeMap<usize, String>,
    unknown: BTreeMap<String, String>,
    /// The sums of what may be added up; or why that cannot be.
    sums: std::result::Result<BTreeMap<usize, Decimal>, String>,
    /// Why they cannot be one row.
    obstacle: Option<String>,
}

impl Group {
    /// Writes the row that they have become.
    fn write(&self, parts: &[Part], out: &mut String) {
        out.push('{');
        let nothing = BTreeMap::new();
        // A row that stayed alone is as it came.
        let sums = self.sums.as_ref().ok().filter(|_| self.rows > 1).unwrap_or(&nothing);
        let columns: BTreeSet<_> = self.first.keys().chain(sums.keys()).collect();
        for (at, index) in columns.into_iter().enumerate() {
            out.push_str(if at == 0 { "\"" } else { ",\"" });
            out.push_str(&parts[*index].name);
            out.push_str("\":");
            match (sums.get(index), self.first.get(index)) {
                (Some(sum), _) => out.push_str(&sum.to_string()), // guard: added-up-rows
                (None, value) => out.push_str(value.map_or("null", String::as_str)),
            }
        }
        out.push('}');
    }
}

/// Adds numbers to the sums of their columns.
fn add(sums: &mut BTreeMap<usize, Decimal>, figures: BTreeMap<usize, Decimal>) {
    for (index, figure) in figures {
        let sum = sums.remove(&index).map_or_else(|| figure.clone(), |sum| sum.plus(figure.clone()));
        sums.insert(index, sum);
    }
}

struct Merging<'a> {
    judging: Judging<'a>,
    repeated: &'a Hashes,
    row: Cells,
    /// The columns that may be added up.
    metrics: BTreeSet<usize>,
    /// Why nothing may be added up.
    obstacle: Option<String>,
    groups: HashMap<Vec<String>, Group>,
    /// About how many bytes these take.
    grouped: usize,
    body: String,
    /// The most bytes of that.
    longest: usize,
    rows: u64,
    dropped: u64,
}

impl RowSink for Merging<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let raw = <&RawValue>::deserialize(row)?.get();
        if self.is_too_large() {
            return Ok(());
        }
        let key = self.judging.read(&mut serde_json::Deserializer::from_str(raw)).map_err(D::Error::custom)?;
        if !self.repeated.contains(&key) {
            separate(&mut self.body);
            self.body.push_str(raw);
            return Ok(());
        }
        self.row.values.clear();
        self.row.unknown.clear();
        fields::read(&mut serde_json::Deserializer::from_str(raw), &mut self.row).map_err(D::Error::custom)?;
        self.take();
        Ok(())
    }
}

impl Merging<'_> {
    fn is_too_large(&self) -> bool {
        self.body.len() > self.longest || self.grouped > MOST_GROUPED
    }

    /// Adds the current row to those of its key.
    fn take(&mut self) {
        let keys = (0..self.judging.parts.len()).filter(|index| self.judging.parts[*index].is_key);
        let key: Vec<String> = keys.map(|index| self.canonical(index, &self.row.values)).collect();
        let Some(mut group) = self.groups.remove(&key) else {
            let (first, unknown) = (self.row.values.clone(), self.row.unknown.clone());
            let texts = key.iter().chain(first.values()).chain(unknown.values()).chain(unknown.keys());
            let bytes: usize = texts.map(|text| text.len() + SIZE_OF_VALUE).sum();
            self.grouped += bytes + self.metrics.len() * SIZE_OF_VALUE;
            let group = Group { key: key.clone(), rows: 1, first, unknown, sums: self.figures(), obstacle: None };
            self.groups.insert(key, group);
            return;
        };
        group.rows += 1;
        let is_same = |index: &usize| self.canonical(*index, &self.row.values) == self.canonical(*index, &group.first);
        let different = (0..self.judging.parts.len()).find(|index| !self.metrics.contains(index) && !is_same(index));
        let is_equal = different.is_none() && self.metrics.iter().all(is_same) && group.unknown == self.row.unknown;
        if is_equal && !self.judging.expected.is_compared {
            self.dropped += 1;
            self.groups.insert(key, group);
            return;
        }
        let obstacle = match (&self.obstacle, different) {
            (Some(obstacle), _) => Some(obstacle.clone()),
            (None, Some(index)) => Some(format!("they differ in {}", self.judging.parts[index].name)),
            (None, None) => match (&mut group.sums, self.figures()) {
                (Ok(sums), Ok(figures)) => {
                    add(sums, figures);
                    self.rows += 1;
                    None
                }
                (Err(obstacle), _) => Some(obstacle.clone()),
                (_, Err(obstacle)) => Some(obstacle),
            },
        };
        group.obstacle = group.obstacle.take().or(obstacle);
        self.groups.insert(key, group);
    }

    /// The numbers of the current row that may be added up.
    fn figures(&self) -> std::result::Result<BTreeMap<usize, Decimal>, String> {
        let mut figures = BTreeMap::new();
        for index in &self.metrics {
            let text = self.canonical(*index, &self.row.values);
            if text.is_empty() {
                continue;
            }
            match Decimal::parse(&text) {
                Some(figure) => drop(figures.insert(*index, figure)),
                None => return Err(format!("{} of one is {}", self.judging.parts[*index].name, quote(&text))),
            }
        }
        Ok(figures)
    }

    /// A value as it is told apart from others: without its spelling, and what is null, empty or missing as one.
    fn canonical(&self, index: usize, values: &BTreeMap<usize, String>) -> String {
        let expected = self.judging.expected;
        let part = &self.judging.parts[index];
        let raw = values.get(&index).map_or("null", |raw| unwrapped(raw, part.reading.column_type));
        let text = text_of(raw);
        match part.role {
            Role::Advertiser if text.is_empty() => {
                if let [advertiser] = expected.advertisers {
                    advertiser.0.clone()
                } else {
                    String::new()
                }
            }
            Role::Currency if text.is_empty() => expected.report.currency.to_string(),
            Role::Currency => text.to_uppercase(),
            Role::Period if text.is_empty() => expected.window.start.to_string(),
            Role::Period if part.reading.column_type == ColumnType::Date => {
                day_of(text.trim(), part.reading).map_or_else(|| text.to_string(), |day| day.to_string())
            }
            _ if part.reading.column_type == ColumnType::Text => text.into_owned(),
            _ => {
                let mut written = Vec::new();
                match coerce(raw, part.reading, &mut written) {
                    Outcome::Null => String::new(),
                    Outcome::Written => String::from_utf8_lossy(&written).into_owned(),
                    Outcome::Misfit => raw.to_owned(),
                }
            }
        }
    }

    fn error(&self, group: &Group) -> Error {
        let Expected { report, .. } = self.judging.expected;
        let keys = self.judging.parts.iter().filter(|part| part.is_key);
        let named = keys.zip(&group.key).map(|(part, value)| {
            let value = if value.is_empty() { "(none)".to_owned() } else { quote(value.trim_matches('"')) };
            format!("{} {value}", part.name)
        });
        let message = format!(
            "Criteo sent {} rows under one key ({}), and they cannot be made one row: {}. Nothing of the answer was written, since \
             a destination that merges by key would keep only one of them.",
            group.rows,
            named.collect::<Vec<_>>().join(", "),
            group.obstacle.as_deref().unwrap_or_default(),
        );
        if report.is_custom {
            Error::config(message).with_hint(
                "Add the dimension that tells them apart to the report, or set its row_number to true, which numbers such rows.",
            )
        } else {
            Error::system(message).with_hint("A custom report with another dimension, or with row_number, can be read instead.")
        }
        .because(Cause::RepeatedKey)
    }
}

fn separate(body: &mut String) {
    if body.len() > 1 {
        body.push(',');
    }
}
