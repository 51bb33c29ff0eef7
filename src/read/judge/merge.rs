//! Sums rows of one response that share a key, or fails if the result could be wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::{Deserialize as _, Deserializer, Error as _};
use serde_json::value::RawValue;

use crate::error::{Cause, Error, Result};
use crate::products::endpoint::Additive;
use crate::products::marketing::metrics::{self, column_name};
use crate::products::report::Report;
use crate::products::schema::ColumnType;
use crate::read::judge::hash::Hashes;
use crate::read::judge::judging::{Judging, Part, Role};
use crate::read::judge::{Expected, Merged, text_of};
use crate::rows::coerce::{Outcome, coerce, day_of};
use crate::rows::decimal::Decimal;
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::fields::{self, Fields, Layout, unwrapped};
use crate::support::text::excerpt;

/// Bounds of the memory for merging: bytes of the response, number of duplicate keys, and bytes of their rows.
const MAX_MERGED_LEN: usize = 24 * 1024 * 1024;
const MAX_REPEATED: usize = 10_000;
const MAX_GROUPED: usize = 16 * 1024 * 1024;
/// Table rows grow when written with column names: up to this size, or that of the response.
const MAX_TABLE_LEN: usize = 4 * 1024 * 1024;
/// Memory per value in addition to its text, in bytes.
const SIZE_OF_VALUE: usize = 96;

/// Merges rows that share a key. `repeated` has hashes of possible duplicates; `None` means that only hashes collided.
///
/// # Errors
/// `Cause::RepeatedKey` if rows share a key and cannot be summed.
pub(super) fn merge(body: &str, expected: &Expected<'_>, repeated: &Hashes) -> Result<Option<Merged>> {
    if body.len() > MAX_MERGED_LEN || repeated.len() > MAX_REPEATED {
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
        longest: body.len().max(MAX_TABLE_LEN),
        body: "[".to_owned(),
        grouped: 0,
        rows: 0,
        dropped: 0,
    };
    envelope::check_into(body, Shape::Report, &mut merging)?;
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
    Error::config("Criteo sent rows with the same key in a response that is too large to merge them.")
        .because(Cause::ResponseTooLarge)
}

/// The columns that can be summed, and the first metric that cannot.
fn additive(expected: &Expected<'_>, parts: &[Part]) -> (BTreeSet<usize>, Option<String>) {
    let Report { endpoint, .. } = expected.report;
    let mut columns = BTreeSet::new();
    let mut obstacle = None;
    for name in expected.metrics {
        let column = column_name(name);
        let Some(index) = parts.iter().position(|part| part.name == column) else { continue };
        let is_additive = match endpoint.additive {
            Additive::ByMetric => metrics::metric(name).is_some_and(|metric| metric.additive),
            Additive::All => true,
            Additive::Totals => endpoint.totals.contains(&name.as_str()),
        };
        if is_additive {
            columns.insert(index);
        } else if parts[index].reading.column_type != ColumnType::Text {
            obstacle.get_or_insert_with(|| format!("{name} cannot be summed"));
        }
    }
    (columns, obstacle)
}

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

struct Group {
    key: Vec<String>,
    rows: u64,
    first: BTreeMap<usize, String>,
    unknown: BTreeMap<String, String>,
    /// The sums, or why there are none.
    sums: std::result::Result<BTreeMap<usize, Decimal>, String>,
    obstacle: Option<String>,
}

impl Group {
    fn write(&self, parts: &[Part], out: &mut String) {
        out.push('{');
        let nothing = BTreeMap::new();
        // A single row is written unchanged.
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
    metrics: BTreeSet<usize>,
    /// Why no rows can be merged.
    obstacle: Option<String>,
    groups: HashMap<Vec<String>, Group>,
    /// Approximate size of `groups` in bytes.
    grouped: usize,
    body: String,
    /// Maximum length of `body` in bytes.
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
        self.body.len() > self.longest || self.grouped > MAX_GROUPED
    }

    /// Adds the current row to the group of its key.
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

    /// The values of the current row that can be summed.
    fn figures(&self) -> std::result::Result<BTreeMap<usize, Decimal>, String> {
        let mut figures = BTreeMap::new();
        for index in &self.metrics {
            let text = self.canonical(*index, &self.row.values);
            if text.is_empty() {
                continue;
            }
            match Decimal::parse(&text) {
                Some(figure) => drop(figures.insert(*index, figure)),
                None => {
                    return Err(format!("{} is {} in one of them", self.judging.parts[*index].name, excerpt(&text)));
                }
            }
        }
        Ok(figures)
    }

    /// A value in canonical form for comparison; null, empty and missing are the same.
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
            let value = if value.is_empty() { "(none)".to_owned() } else { excerpt(value.trim_matches('"')) };
            format!("{} {value}", part.name)
        });
        let message = format!(
            "Criteo sent {} rows with the same key ({}) that cannot be merged: {}. No rows were written, since a \
             destination that merges by key would keep only one of them.",
            group.rows,
            named.collect::<Vec<_>>().join(", "),
            group.obstacle.as_deref().unwrap_or_default(),
        );
        if report.is_custom {
            Error::config(message).with_hint(
                "Add a dimension that distinguishes them, or set the report's row_number to true to number such rows.",
            )
        } else {
            Error::system(message).with_hint("Use a custom report with another dimension, or with row_number, instead.")
        }
        .because(Cause::RepeatedKey)
    }
}

fn separate(body: &mut String) {
    if body.len() > 1 {
        body.push(',');
    }
}
