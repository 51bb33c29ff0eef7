//! From a row of the API to the bytes of a record: rename, select, coerce.
//!
//! A [`Plan`] is made once a stream. It finds the column of a key by folding its spelling (`AdsetId`, `adSetId` and
//! `ad_set_id` are one), learns the answer the first time a key is seen, and after that recognises keys by
//! comparing bytes in the order in which they came last time. Nested objects are flattened by joining names:
//! `schedule.startDate.value` is the column `schedule_start_date`. `attributes` and `value` are transparent, and a
//! child that repeats its parent's name is not prefixed again (`budget.budgetAmount` is `budget_amount`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::coerce::{Outcome, coerce};
use super::rows::Shape;
use crate::streams::metrics::{self, fold};
use crate::streams::schema::ColumnType;
use crate::streams::{Source, Stream};

/// The column that tells twin rows apart.
const ROW_NUMBER: &str = "row_number";
/// The part of a document that objects of the API hide their fields in.
const ATTRIBUTES: &str = "attributes";

/// How the rows of one stream become records.
#[derive(Debug)]
pub struct Plan {
    columns: Vec<Column>,
    /// Keys of the API whose column has a name of its own, folded.
    aliases: HashMap<String, usize>,
    places: Vec<Place>,
    /// Where the answers of the stream hold their rows.
    pub shape: Shape,
    /// Rows seen so far under each key, for streams that have twins.
    twins: Option<Twins>,
    /// The keys written so far, as hashes, for objects: lists and pages may repeat them.
    written: Option<HashSet<u64>>,
    /// Rows whose key had come before; `None` where pages overlap, so that it says nothing.
    pub repeated: Option<u64>,
    /// Rows of some advertisers that were changed before an instant are not written.
    floor: Option<Floor>,
    /// Whether keys may be empty: those of reports are, where a dimension has no value. At least one has a value in each row.
    has_empty_keys: bool,
    /// Whether rows name every column that was asked for: those of reports do.
    names_all_columns: bool,
    has_key: bool,
    /// Columns whose constant belongs to the current slice.
    slice_constants: Vec<usize>,
    /// Where the values of key and floor columns of the current row stand in the output.
    values: Vec<(usize, Range<usize>)>,
    row: u64,
    misfits: Vec<usize>,
    /// Fields that the schema does not have, with the number of rows they were in.
    pub unknown_fields: BTreeMap<String, u64>,
    /// Columns with values that did not fit, with the number of rows.
    pub misfit_columns: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Column {
    name: String,
    folded: String,
    /// `"name":`
    label: Vec<u8>,
    column_type: ColumnType,
    is_key: bool,
    is_selected: bool,
    /// Written when a row does not bring the column along.
    constant: Option<Vec<u8>>,
    /// The last row that had it, so that a repeated key cannot write a column twice.
    row: u64,
}

/// An object in a row: the row itself, its attributes, or a nested object.
#[derive(Debug)]
struct Place {
    prefix: String,
    learned: Vec<(Box<str>, Destination)>,
    /// Where the next key is expected.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
enum Destination {
    Column(usize),
    Place(usize),
    Ignored,
    Unknown,
}

#[derive(Debug)]
struct Floor {
    updated_at: usize,
    advertiser_id: usize,
    instants: BTreeMap<String, DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct Twins {
    column: usize,
    seen: HashMap<Vec<u8>, u64>,
}

impl Column {
    /// A value for rows that do not bring the column along, in the column's type.
    fn set_constant(&mut self, value: &str) {
        let mut constant = Vec::new();
        coerce(&Value::from(value).to_string(), self.column_type, &mut constant);
        self.constant = Some(constant);
    }
}

impl Plan {
    /// The plan of a stream, with the columns that the catalog selects. Keys and cursor cannot be deselected.
    #[must_use]
    pub fn new(stream: &Stream, is_selected: &dyn Fn(&str) -> bool) -> Self {
        let properties = stream.schema["properties"].as_object();
        let mut columns: Vec<Column> = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| {
                let is_key = stream.primary_key.contains(name);
                Column {
                    name: name.clone(),
                    folded: fold(name),
                    label: format!("\"{name}\":").into_bytes(),
                    column_type: ColumnType::of_property(property),
                    is_key,
                    is_selected: is_key || stream.cursor() == Some(name) || is_selected(name),
                    constant: None,
                    row: 0,
                }
            })
            .collect();
        let mut aliases = HashMap::new();
        let mut twins = None;
        if let Source::Report(report) = &stream.source {
            for (index, column) in columns.iter_mut().enumerate() {
                match column.name.as_str() {
                    "currency" => column.set_constant(&report.currency.to_string()),
                    "timezone" => column.set_constant(report.timezone.name()),
                    ROW_NUMBER => twins = Some(Twins { column: index, ..Twins::default() }),
                    _ => {}
                }
                for dimension in metrics::DIMENSIONS.iter().filter(|d| d.alias == Some(&column.name)) {
                    aliases.insert(fold(dimension.name), index);
                }
            }
        }
        let is_paged = matches!(&stream.source, Source::Entity(entity) if entity.request.limit().is_some());
        let is_of_objects = matches!(stream.source, Source::Entity(_));
        let root = Place { prefix: String::new(), learned: Vec::new(), next: 0 };
        Self {
            columns,
            aliases,
            places: vec![root],
            shape: match &stream.source {
                Source::Entity(_) | Source::LogLevel => Shape::Plain,
                Source::Report(report) => report.shape(),
            },
            twins,
            written: is_of_objects.then(HashSet::new),
            repeated: (!is_paged).then_some(0),
            floor: None,
            has_empty_keys: !matches!(stream.source, Source::Entity(_)),
            names_all_columns: matches!(stream.source, Source::Report(_)),
            has_key: false,
            slice_constants: Vec::new(),
            values: Vec::new(),
            row: 0,
            misfits: Vec::new(),
            unknown_fields: BTreeMap::new(),
            misfit_columns: BTreeMap::new(),
        }
    }

    /// Does not write rows of these advertisers whose `updated_at` lies before the instant of each.
    pub fn skip_until(&mut self, instants: BTreeMap<String, DateTime<Utc>>) {
        let column = |name: &str| self.columns.iter().position(|column| column.name == name);
        if let (Some(updated_at), Some(advertiser_id)) = (column("updated_at"), column("advertiser_id")) {
            // The platform may have deselected it, but without it nobody knows whose a row is.
            self.columns[advertiser_id].is_selected = true;
            self.floor = Some(Floor { updated_at, advertiser_id, instants });
        }
    }

    /// Begins a slice whose rows do not carry these columns. Twins of the last slice are forgotten: keys of different slices
    /// never meet, since each holds its day.
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

    /// The columns of the last row whose value did not fit and was written as `null`.
    pub fn misfits(&self) -> impl Iterator<Item = &str> {
        self.misfits.iter().map(|&column| self.columns[column].name.as_str())
    }

    /// The columns that were asked for and that no row has named.
    #[must_use]
    pub fn never_named(&self) -> Vec<&str> {
        let twins = self.twins.as_ref().map(|twins| twins.column);
        let columns = self.columns.iter().enumerate().filter(|(index, column)| {
            column.is_selected && column.row == 0 && column.constant.is_none() && twins != Some(*index)
        });
        if self.names_all_columns { columns.map(|(_, column)| column.name.as_str()).collect() } else { Vec::new() }
    }

    /// Appends one row as a JSON object on one line; `false` when the row is not to be written, and what was appended is to
    /// be taken back.
    ///
    /// # Errors
    /// When the row is not an object, or a key column has no usable value.
    pub fn write_row<'de, D: Deserializer<'de>>(&mut self, row: D, out: &mut Vec<u8>) -> Result<bool, D::Error> {
        self.row += 1;
        self.misfits.clear();
        self.values.clear();
        self.has_key = false;
        out.push(b'{');
        RowAt { plan: self, out, place: 0 }.deserialize(row)?;
        if self.has_empty_keys && !self.has_key {
            return Err(no_key("(any)"));
        }
        self.write_absent(out)?;
        out.push(b'}');
        Ok(self.is_due(out) && self.is_new(out))
    }

    /// Whether the row has been changed since the floor; one that does not say when has.
    fn is_due(&self, out: &[u8]) -> bool {
        let Some(floor) = &self.floor else { return true };
        let value = |wanted: usize| {
            let range = self.values.iter().find(|(column, _)| *column == wanted).map(|(_, range)| range.clone());
            range.and_then(|range| out.get(range))
        };
        let updated_at = value(floor.updated_at).and_then(|text| serde_json::from_slice::<DateTime<Utc>>(text).ok());
        let advertiser = value(floor.advertiser_id).and_then(|text| serde_json::from_slice::<String>(text).ok());
        let known = advertiser.and_then(|id| floor.instants.get(&id));
        known.zip(updated_at).is_none_or(|(known, updated_at)| updated_at >= *known)
    }

    /// Whether the key of the row has not been written yet.
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

    fn write_absent<E: serde::de::Error>(&mut self, out: &mut Vec<u8>) -> Result<(), E> {
        for index in 0..self.columns.len() {
            let column = &mut self.columns[index];
            if column.row == self.row || !column.is_selected || self.twins.as_ref().is_some_and(|t| t.column == index) {
                continue;
            }
            let value: &[u8] = match &column.constant {
                Some(constant) => constant,
                None if !column.is_key => continue,
                None if column.column_type == ColumnType::Text && self.has_empty_keys => b"\"\"",
                None => return Err(no_key(&column.name)),
            };
            separate(out);
            out.extend_from_slice(&column.label);
            let start = out.len();
            out.extend_from_slice(value);
            self.note_value(index, start..out.len());
        }
        if let Some(twins) = &mut self.twins {
            self.values.sort_by_key(|(column, _)| *column);
            let mut key = Vec::new();
            for (_, range) in &self.values {
                key.extend_from_slice(&out[range.clone()]);
                key.push(b',');
            }
            let number = twins.seen.entry(key).or_insert(0);
            *number += 1;
            separate(out);
            out.extend_from_slice(&self.columns[twins.column].label);
            coerce(&number.to_string(), self.columns[twins.column].column_type, out);
        }
        Ok(())
    }

    fn note_value(&mut self, column: usize, range: Range<usize>) {
        let is_key = (self.twins.is_some() || self.written.is_some()) && self.columns[column].is_key;
        let is_floor = |floor: &Floor| floor.updated_at == column || floor.advertiser_id == column;
        if is_key || self.floor.as_ref().is_some_and(is_floor) {
            self.values.push((column, range));
        }
    }

    fn destination(&mut self, place: usize, key: &str) -> Destination {
        let Place { learned, next, .. } = &mut self.places[place];
        if let Some((expected, destination)) = learned.get(*next)
            && **expected == *key
        {
            *next += 1;
            return *destination;
        }
        if let Some(at) = learned.iter().position(|(known, _)| **known == *key) {
            *next = at + 1;
            return learned[at].1;
        }
        let destination = self.find(place, key);
        let Place { learned, next, .. } = &mut self.places[place];
        learned.push((key.into(), destination));
        *next = learned.len();
        destination
    }

    fn find(&mut self, place: usize, key: &str) -> Destination {
        let prefix = &self.places[place].prefix;
        let is_root = place == 0;
        if is_root && key == ATTRIBUTES {
            return self.new_place(String::new());
        }
        // Objects of the API carry the name of their class, which changes with every version.
        if is_root && key == "type" {
            return Destination::Ignored;
        }
        let folded = fold(key);
        let path = match prefix.as_str() {
            "" => folded,
            prefix if key == "value" || folded.starts_with(prefix) => {
                if key == "value" {
                    prefix.to_owned()
                } else {
                    folded
                }
            }
            prefix => format!("{prefix}{folded}"),
        };
        let alias = if prefix.is_empty() { self.aliases.get(&path).copied() } else { None };
        if let Some(column) = alias.or_else(|| self.columns.iter().position(|column| column.folded == path)) {
            return Destination::Column(column);
        }
        if self.columns.iter().any(|column| column.folded.starts_with(&path)) {
            return self.new_place(path);
        }
        Destination::Unknown
    }

    fn new_place(&mut self, prefix: String) -> Destination {
        self.places.push(Place { prefix, learned: Vec::new(), next: 0 });
        Destination::Place(self.places.len() - 1)
    }

    fn write_column<E: serde::de::Error>(&mut self, index: usize, raw: &str, out: &mut Vec<u8>) -> Result<(), E> {
        let column = &mut self.columns[index];
        if column.row == self.row || !column.is_selected {
            return Ok(());
        }
        // `{"value": …}` around a scalar.
        if raw.starts_with('{') && column.column_type != ColumnType::Object {
            let wrapped: BTreeMap<&str, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
            if let Some(value) = wrapped.get("value") {
                return self.write_column(index, value.get(), out);
            }
        }
        column.row = self.row;
        let before = out.len();
        separate(out);
        out.extend_from_slice(&column.label);
        let value = out.len();
        let outcome = coerce(raw, column.column_type, out);
        self.has_key |= column.is_key && outcome == Outcome::Written;
        if let Some(constant) = column.constant.as_ref().filter(|_| outcome != Outcome::Written) {
            out.truncate(value);
            out.extend_from_slice(constant);
        } else if column.is_key && outcome != Outcome::Written {
            if column.column_type == ColumnType::Text && self.has_empty_keys {
                out.truncate(value);
                out.extend_from_slice(b"\"\"");
            } else {
                out.truncate(before);
                return Err(no_key(&column.name));
            }
        } else if outcome == Outcome::Misfit {
            *self.misfit_columns.entry(column.name.clone()).or_insert(0) += 1;
            self.misfits.push(index);
        }
        self.note_value(index, value..out.len());
        Ok(())
    }
}

fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn no_key<E: serde::de::Error>(column: &str) -> E {
    E::custom(format!("a row without a usable value for its key {column}"))
}

/// The fields of one object of a row.
struct RowAt<'a> {
    plan: &'a mut Plan,
    out: &'a mut Vec<u8>,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for RowAt<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowAt<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { plan, out, place } = self;
        plan.places[place].next = 0;
        while let Some((destination, key)) = map.next_key_seed(Key { plan, place })? {
            let value: &'de RawValue = map.next_value()?;
            match destination {
                Destination::Column(column) => plan.write_column(column, value.get(), out)?,
                Destination::Place(nested) if value.get().starts_with('{') => {
                    let mut nested_row = serde_json::Deserializer::from_str(value.get());
                    RowAt { plan, out, place: nested }.deserialize(&mut nested_row).map_err(A::Error::custom)?;
                }
                // An object that is null has no fields to write.
                Destination::Place(_) if value.get() == "null" => {}
                Destination::Ignored => {}
                Destination::Place(_) | Destination::Unknown => {
                    let name = format!("{}{}", plan.places[place].prefix, key.unwrap_or_default());
                    *plan.unknown_fields.entry(name).or_insert(0) += 1;
                }
            }
        }
        Ok(())
    }
}

/// A key on its way to its destination; the text itself is needed only when it has none.
struct Key<'a> {
    plan: &'a mut Plan,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (Destination, Option<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = (Destination, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let destination = self.plan.destination(self.place, key);
        let name = matches!(destination, Destination::Unknown | Destination::Place(_)).then(|| key.to_owned());
        Ok((destination, name))
    }
}

#[cfg(test)]
mod tests;
