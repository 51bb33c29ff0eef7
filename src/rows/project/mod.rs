//! Turns a row of the API into typed cells: rename, select, coerce.
//!
//! A [`Projection`] is made once per stream. [`crate::rows::fields`] maps members of rows to columns.

mod cells;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::de::Deserializer;
use serde_json::Value;

use crate::products::schema::ColumnType;
use crate::products::{Job, Request, Source, Stream};
use crate::rows::coerce::{Outcome, Reading, coerce};
use crate::rows::envelope::Shape;
use crate::rows::fields::{self, Fields, Layout, unwrapped};
use crate::support::text::excerpt;

pub use crate::rows::project::cells::{Cells, JsonObject, RowCells};

/// Numbers rows with the same key.
pub(crate) const ROW_NUMBER: &str = "row_number";
const MAX_UNKNOWN: usize = 100;
pub(crate) const CURRENCY: &str = "currency";

/// How the rows of one stream become records.
#[derive(Debug)]
pub struct Projection {
    columns: Vec<Column>,
    layout: Layout,
    /// The shape of responses.
    pub shape: Shape,
    /// Counts rows per key, where keys need a row number.
    twins: Option<RowNumbers>,
    /// Hashes of written keys, for objects: lists and pages may repeat them.
    written: Option<HashSet<u64>>,
    /// Rows with a repeated key; `None` if pages overlap, where repeats are normal.
    pub repeated: Option<u64>,
    changed_since: Option<ChangedSince>,
    /// Whether keys may be empty: dimensions of reports may have no value, but not all of them.
    has_empty_keys: bool,
    /// Whether rows name every requested column.
    names_all_columns: bool,
    has_key: bool,
    /// Columns with a constant of the current slice.
    slice_constants: Vec<usize>,
    /// Output ranges of the row's key and of the columns of `changed_since`.
    values: Vec<(usize, Range<usize>)>,
    row: u64,
    misfits: Vec<usize>,
    /// Rows per field unknown to the schema.
    pub unknown_fields: BTreeMap<String, u64>,
    /// Occurrences of further unknown fields.
    pub more_unknown: u64,
    /// Rows per column with values of the wrong type.
    pub misfit_columns: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// `"name":`
    label: Vec<u8>,
    reading: Reading,
    is_key: bool,
    /// Whether to uppercase values: Criteo's spelling of a currency may change, and it is part of the key.
    is_upper: bool,
    is_selected: bool,
    /// Written if a row lacks the column.
    constant: Option<Vec<u8>>,
    /// The last row that had it; a duplicate member is not written twice.
    row: u64,
}

#[derive(Debug)]
struct ChangedSince {
    updated_at: usize,
    advertiser_id: usize,
    instants: BTreeMap<String, DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct RowNumbers {
    column: usize,
    seen: HashMap<Vec<u8>, u64>,
}

impl Column {
    fn set_constant(&mut self, value: &str) {
        let mut constant = Vec::new();
        coerce(&Value::from(value).to_string(), self.reading, &mut constant);
        self.constant = Some(constant);
    }
}

impl Projection {
    /// Plans the selected columns. Key and cursor columns cannot be deselected.
    #[must_use]
    pub fn new(stream: &Stream, is_selected: &dyn Fn(&str) -> bool) -> Self {
        let properties = stream.schema["properties"].as_object();
        let report = match &stream.source {
            Source::Report(report) => Some(report),
            Source::Entity(_) | Source::LogLevel => None,
        };
        let mut columns: Vec<Column> = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| {
                let is_key = stream.primary_key.contains(name);
                Column {
                    name: name.clone(),
                    label: format!("\"{name}\":").into_bytes(),
                    reading: Reading::of(name, ColumnType::of_property(property), report),
                    is_key,
                    is_upper: report.is_some() && name == CURRENCY,
                    is_selected: is_key || stream.cursor() == Some(name) || is_selected(name),
                    constant: None,
                    row: 0,
                }
            })
            .collect();
        let mut twins = None;
        if let Some(report) = report {
            for (index, column) in columns.iter_mut().enumerate() {
                match column.name.as_str() {
                    CURRENCY => column.set_constant(&report.currency.to_string()),
                    "timezone" => column.set_constant(report.timezone.name()),
                    ROW_NUMBER => twins = Some(RowNumbers { column: index, ..RowNumbers::default() }),
                    _ => {}
                }
            }
        }
        let entity = if let Source::Entity(entity) = &stream.source { Some(entity) } else { None };
        if entity.is_some_and(|entity| entity.is_numbered) {
            let index = columns.iter().position(|column| column.name == ROW_NUMBER);
            twins = index.map(|column| RowNumbers { column, ..RowNumbers::default() });
        }
        let is_paged = matches!(&stream.source, Source::Entity(entity) if entity.request.limit().is_some());
        let is_of_objects = matches!(stream.source, Source::Entity(_));
        let is_catalog = entity.is_some_and(|entity| entity.request == Request::Job(Job::Catalog));
        Self {
            layout: Layout::new(columns.iter().map(|column| column.name.as_str()), report),
            columns,
            shape: if report.is_some() { Shape::Report } else { Shape::Plain },
            // A catalog may have millions of products.
            written: (is_of_objects && !is_catalog && twins.is_none()).then(HashSet::new), // guard: repeated-objects
            repeated: (!is_paged && !is_catalog).then_some(0),
            changed_since: None,
            twins,
            has_empty_keys: entity.is_none_or(|entity| entity.has_empty_keys),
            names_all_columns: matches!(stream.source, Source::Report(_)),
            has_key: false,
            slice_constants: Vec::new(),
            values: Vec::new(),
            row: 0,
            misfits: Vec::new(),
            unknown_fields: BTreeMap::new(),
            more_unknown: 0,
            misfit_columns: BTreeMap::new(),
        }
    }

    /// Skips rows whose `updated_at` is before their advertiser's instant.
    pub fn only_changed_since(&mut self, instants: BTreeMap<String, DateTime<Utc>>) {
        let column = |name: &str| self.columns.iter().position(|column| column.name == name);
        if let (Some(updated_at), Some(advertiser_id)) = (column("updated_at"), column("advertiser_id")) {
            // Needed even if deselected.
            self.columns[advertiser_id].is_selected = true;
            self.changed_since = Some(ChangedSince { updated_at, advertiser_id, instants });
        }
    }

    /// Starts a slice and sets the columns that its rows lack. Row numbers restart: keys of different slices differ by
    /// their day, except for transactions that Criteo selects by the event, which a note reports.
    pub fn start_slice(&mut self, constants: &[(&'static str, String)]) {
        if let Some(twins) = &mut self.twins {
            twins.seen.clear();
        }
        for index in self.slice_constants.drain(..) {
            self.columns[index].constant = None;
        }
        for (name, value) in constants {
            if let Some(index) = self.columns.iter().position(|column| column.name == *name) {
                self.columns[index].set_constant(value);
                self.slice_constants.push(index);
            }
        }
    }

    /// The last row's columns with a value of the wrong type, written as `null`.
    pub fn misfits(&self) -> impl Iterator<Item = &str> {
        self.misfits.iter().map(|&column| self.columns[column].name.as_str())
    }

    /// The requested columns that no row has named.
    #[must_use]
    pub fn never_named(&self) -> Vec<&str> {
        let twins = self.twins.as_ref().map(|twins| twins.column);
        let columns = self.columns.iter().enumerate().filter(|(index, column)| {
            column.is_selected && column.row == 0 && column.constant.is_none() && twins != Some(*index)
        });
        if self.names_all_columns { columns.map(|(_, column)| column.name.as_str()).collect() } else { Vec::new() }
    }

    /// Writes one row; on `false` the caller must remove it again.
    ///
    /// # Errors
    /// If the row is not an object, or a key column has no usable value.
    pub fn write_row<'de, D: Deserializer<'de>, C: Cells>(&mut self, row: D, cells: &mut C) -> Result<bool, D::Error> {
        self.row += 1;
        self.misfits.clear();
        self.values.clear();
        self.has_key = false;
        cells.begin_row();
        fields::read(row, &mut Writing { plan: self, cells })?;
        if self.has_empty_keys && !self.has_key {
            return Err(no_key("(any)", "null"));
        }
        self.write_absent(cells)?;
        cells.end_row();
        let out = cells.buffer();
        Ok(self.is_changed(out) && self.is_new(out))
    }

    /// The selected columns, in the order of the schema, with their indices in [`RowCells`].
    pub fn selected_columns(&self) -> impl Iterator<Item = (usize, &str, ColumnType)> {
        let columns = self.columns.iter().enumerate().filter(|(_, column)| column.is_selected);
        columns.map(|(index, column)| (index, column.name.as_str(), column.reading.column_type))
    }

    /// Whether the row has changed since the last sync, or does not say when.
    fn is_changed(&self, out: &[u8]) -> bool {
        let Some(changed_since) = &self.changed_since else { return true };
        let value = |wanted: usize| {
            let range = self.values.iter().find(|(column, _)| *column == wanted).map(|(_, range)| range.clone());
            range.and_then(|range| out.get(range))
        };
        let updated_at =
            value(changed_since.updated_at).and_then(|text| serde_json::from_slice::<DateTime<Utc>>(text).ok());
        let advertiser =
            value(changed_since.advertiser_id).and_then(|text| serde_json::from_slice::<String>(text).ok());
        let known = advertiser.and_then(|id| changed_since.instants.get(&id));
        known.zip(updated_at).is_none_or(|(known, updated_at)| updated_at >= *known)
    }

    fn is_new(&mut self, out: &[u8]) -> bool {
        let Some(written) = &mut self.written else { return true };
        let mut hasher = DefaultHasher::new();
        for (column, range) in self.values.iter().filter(|(column, _)| self.columns[*column].is_key) {
            (column, &out[range.clone()]).hash(&mut hasher);
        }
        let is_new = written.insert(hasher.finish());
        if let Some(repeated) = self.repeated.as_mut().filter(|_| !is_new) {
            *repeated += 1;
        }
        is_new
    }

    fn write_absent<E: serde::de::Error, C: Cells>(&mut self, cells: &mut C) -> Result<(), E> {
        for index in 0..self.columns.len() {
            let column = &mut self.columns[index];
            if column.row == self.row || !column.is_selected || self.twins.as_ref().is_some_and(|t| t.column == index) {
                continue;
            }
            let value: &[u8] = match &column.constant {
                Some(constant) => constant,
                None if !column.is_key => continue,
                None if column.reading.column_type == ColumnType::Text && self.has_empty_keys => b"\"\"",
                None => return Err(no_key(&column.name, "null")),
            };
            let out = cells.begin_cell(&column.label);
            let start = out.len();
            out.extend_from_slice(value);
            let range = start..out.len();
            cells.end_cell(index, range.clone());
            self.note_value(index, range);
        }
        if let Some(twins) = &mut self.twins {
            self.values.sort_by_key(|(column, _)| *column);
            let mut key = Vec::new();
            for (_, range) in &self.values {
                key.extend_from_slice(&plain(&cells.buffer()[range.clone()]));
                key.push(b',');
            }
            let number = twins.seen.entry(key).or_insert(0);
            *number += 1;
            let column = &self.columns[twins.column];
            let out = cells.begin_cell(&column.label);
            let start = out.len();
            coerce(&number.to_string(), column.reading, out);
            let range = start..out.len();
            cells.end_cell(twins.column, range);
        }
        Ok(())
    }

    fn note_value(&mut self, column: usize, range: Range<usize>) {
        let is_key = (self.twins.is_some() || self.written.is_some()) && self.columns[column].is_key;
        let is_changed_since =
            |changed_since: &ChangedSince| changed_since.updated_at == column || changed_since.advertiser_id == column;
        if is_key || self.changed_since.as_ref().is_some_and(is_changed_since) {
            self.values.push((column, range));
        }
    }

    fn write_column<E: serde::de::Error, C: Cells>(&mut self, index: usize, raw: &str, cells: &mut C) -> Result<(), E> {
        let column = &mut self.columns[index];
        if column.row == self.row || !column.is_selected {
            return Ok(());
        }
        let raw = unwrapped(raw, column.reading.column_type);
        column.row = self.row;
        let out = cells.begin_cell(&column.label);
        let value = out.len();
        let outcome = coerce(raw, column.reading, out);
        if column.is_upper && outcome == Outcome::Written {
            out[value..].make_ascii_uppercase();
        }
        self.has_key |= column.is_key && outcome == Outcome::Written;
        if let Some(constant) = column.constant.as_ref().filter(|_| outcome != Outcome::Written) {
            out.truncate(value);
            out.extend_from_slice(constant);
        } else if column.is_key && outcome != Outcome::Written {
            if column.reading.column_type == ColumnType::Text && self.has_empty_keys {
                out.truncate(value);
                out.extend_from_slice(b"\"\"");
            } else {
                return Err(no_key(&column.name, raw));
            }
        } else if outcome == Outcome::Misfit {
            *self.misfit_columns.entry(column.name.clone()).or_insert(0) += 1;
            self.misfits.push(index);
        }
        let range = value..out.len();
        cells.end_cell(index, range.clone());
        self.note_value(index, range);
        Ok(())
    }
}

fn no_key<E: serde::de::Error>(column: &str, value: &str) -> E {
    E::custom(format!("a row without a usable value for its key {column}: {}", excerpt(value)))
}

/// Normalizes the escapes of a JSON string, so that equal strings are equal bytes.
fn plain(value: &[u8]) -> Cow<'_, [u8]> {
    let text = if memchr::memchr(b'\\', value).is_some() { serde_json::from_slice::<String>(value).ok() } else { None };
    text.map_or(Cow::Borrowed(value), |text| Value::from(text).to_string().into_bytes().into())
}

struct Writing<'a, C> {
    plan: &'a mut Projection,
    cells: &'a mut C,
}

impl<C: Cells> Fields for Writing<'_, C> {
    const WANTS_UNKNOWN: bool = true;

    fn layout(&mut self) -> &mut Layout {
        &mut self.plan.layout
    }

    fn value<E: serde::de::Error>(&mut self, column: usize, raw: &str) -> Result<(), E> {
        self.plan.write_column(column, raw, self.cells)
    }

    fn unknown(&mut self, name: String, _: &str) {
        let Projection { unknown_fields, more_unknown, .. } = &mut *self.plan;
        if unknown_fields.len() < MAX_UNKNOWN || unknown_fields.contains_key(&name) {
            *unknown_fields.entry(name).or_insert(0) += 1;
        } else {
            *more_unknown += 1;
        }
    }
}
