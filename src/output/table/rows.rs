//! Which rows of a batch are kept, and in which columns.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;

use crate::model::ids::numeric_id;
use crate::output::table::columns::{day_of_micros, day_of_number};
use crate::output::table::{ADVERTISER_ID, Layout, other, scope_of};

/// The column of objects by country.
const COUNTRY: &str = "country";

/// Days by advertiser, in order and without overlaps.
pub(super) type ReplacedDays = HashMap<u64, Vec<(NaiveDate, NaiveDate)>>;

/// The new columns, then those that only the old file has.
pub(super) fn merged_schema(new: &SchemaRef, old: &SchemaRef) -> io::Result<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = new.fields().iter().cloned().collect();
    for field in old.fields() {
        match new.field_with_name(field.name()) {
            Ok(same) if same.data_type() == field.data_type() => {}
            Ok(changed) => {
                return Err(io::Error::other(format!(
                    "the column {} is {}, and that of new rows is {}. Export to another folder",
                    field.name(),
                    field.data_type(),
                    changed.data_type()
                )));
            }
            Err(_) => fields.push(Arc::clone(field)),
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The batch with these columns; absent ones are null.
pub(super) fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let column = |field: &Arc<Field>| {
        let column = batch.column_by_name(field.name()).cloned();
        column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect()).map_err(other)
}

/// The bytes of a batch's strings.
pub(super) fn bytes_of_text(batch: &RecordBatch) -> usize {
    let strings = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
    let bytes = strings.map(|strings| {
        let offsets = strings.value_offsets();
        offsets.last().zip(offsets.first()).map_or(0, |(last, first)| last - first)
    });
    bytes.filter_map(|bytes| usize::try_from(bytes).ok()).sum()
}

/// Which rows are not replaced.
pub(super) fn outside(batch: &RecordBatch, layout: &Layout, replaced: &ReplacedDays) -> BooleanArray {
    if replaced.is_empty() {
        return BooleanArray::from(vec![true; batch.num_rows()]);
    }
    let advertisers = batch.column_by_name(ADVERTISER_ID).and_then(|column| column.as_string_opt::<i32>());
    let days = Days::of(batch, layout);
    let is_kept = |row| {
        let (Some(advertisers), Some(day)) = (advertisers, days.get(row)) else { return true };
        let days = replaced.get(&numeric_id(advertisers.value(row)));
        !days.into_iter().flatten().any(|(since, until)| *since <= day && day <= *until) // guard: replaced-days
    };
    (0..batch.num_rows()).map(|row| Some(is_kept(row))).collect()
}

/// Which of the kept rows belong to a partition.
pub(super) fn within(batch: &RecordBatch, layout: &Layout, start: NaiveDate, keep: &BooleanArray) -> BooleanArray {
    let days = Days::of(batch, layout);
    let is_here = |row| days.get(row).is_some_and(|day| layout.partition.start(day) == start);
    (0..batch.num_rows()).map(|row| Some(keep.value(row) && is_here(row))).collect()
}

/// The days of a batch's rows.
struct Days<'a> {
    column: Option<&'a ArrayRef>,
    zone: Option<chrono_tz::Tz>,
}

impl<'a> Days<'a> {
    fn of(batch: &'a RecordBatch, layout: &Layout) -> Self {
        let column = layout.period.as_ref().and_then(|name| batch.column_by_name(name));
        Self { column, zone: layout.zone() }
    }

    fn get(&self, row: usize) -> Option<NaiveDate> {
        let column = self.column.filter(|column| column.is_valid(row))?;
        match column.data_type() {
            DataType::Date32 => day_of_number(column.as_primitive::<Date32Type>().value(row)),
            DataType::Timestamp(_, zone) => {
                let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
                day_of_micros(micros, self.zone.filter(|_| zone.is_some()))
            }
            _ => None,
        }
    }
}

/// A hash of each row's key, long enough that two keys never share it.
pub(super) fn keys_of(batch: &RecordBatch, layout: &Layout) -> Vec<(u64, u64)> {
    let columns: Vec<&ArrayRef> = layout.keys.iter().filter_map(|name| batch.column_by_name(name)).collect();
    let key = |row| {
        let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
        1_u8.hash(&mut hashers[1]);
        for hasher in &mut hashers {
            for column in &columns {
                hash_value(column, row, hasher);
            }
        }
        (hashers[0].finish(), hashers[1].finish())
    };
    (0..batch.num_rows()).map(key).collect()
}

fn hash_value(column: &ArrayRef, row: usize, hasher: &mut DefaultHasher) {
    column.is_null(row).hash(hasher);
    if column.is_null(row) {
        return;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).hash(hasher),
        DataType::Date32 => column.as_primitive::<Date32Type>().value(row).hash(hasher),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).hash(hasher),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value(row).hash(hasher),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_bits().hash(hasher),
        DataType::Boolean => column.as_boolean().value(row).hash(hasher),
        _ => column.as_primitive::<TimestampMicrosecondType>().value(row).hash(hasher),
    }
}

/// Advertisers and countries whose objects were read; without countries, those of all.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    advertisers: BTreeSet<u64>,
    countries: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(names: &'a BTreeSet<String>) -> Self {
        let is_id = |name: &&String| name.bytes().all(|byte| byte.is_ascii_digit());
        let (ids, countries): (Vec<_>, Vec<_>) = names.iter().partition(is_id);
        Self {
            advertisers: ids.into_iter().map(|id| numeric_id(id)).collect(),
            countries: countries.into_iter().map(String::as_str).collect(),
        }
    }

    /// The advertisers of rows that it does not cover.
    pub(super) fn absent(&self, batch: &RecordBatch) -> BTreeSet<String> {
        let ids = scope_of(batch).and_then(|column| column.as_string_opt::<i32>());
        let absent = ids.into_iter().flatten().flatten().filter(|id| !self.advertisers.contains(&numeric_id(id)));
        absent.map(str::to_owned).collect()
    }

    /// Which rows it does not cover. Rows without an advertiser or a country belong to all.
    pub(super) fn others(&self, batch: &RecordBatch) -> BooleanArray {
        let texts = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let (ids, countries) = (
            scope_of(batch).and_then(|column| column.as_string_opt::<i32>()),
            texts(COUNTRY).filter(|_| !self.countries.is_empty()),
        );
        let is_of_other = |row| {
            let id = ids.filter(|ids| ids.is_valid(row)).map(|ids| numeric_id(ids.value(row)));
            let country = countries.filter(|countries| countries.is_valid(row)).map(|countries| countries.value(row));
            id.is_some_and(|id| !self.advertisers.contains(&id))
                || country.is_some_and(|country| !self.countries.contains(country))
        };
        (0..batch.num_rows()).map(|row| Some(is_of_other(row))).collect()
    }
}
