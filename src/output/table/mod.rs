//! Streams as tables: typed columns in files and on pipes.

pub(crate) mod arrow_file;
mod change;
pub(crate) mod columns;
mod finish;
pub mod folder;
mod guide;
mod manifest;
mod merge;
mod record;
pub(crate) mod render;
mod rows;
pub(crate) mod staged;
mod store;
mod sums;
mod xlsx;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::products::schema::ColumnType;
use crate::products::{Source, Stream};
use crate::rows::project::Projection;

/// Digits and fraction digits of a decimal column: what warehouses accept.
const DECIMAL: (u8, i8) = (38, 9);

/// The key of a field's description in its metadata.
const DESCRIPTION: &str = "description";
/// The key that marks a field with JSON.
const JSON: &str = "json";

/// Who reads the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// People and their tools: instants have a zone, ratios are doubles, JSON is a string.
    Files,
    /// Loaders of Singer targets (`adbc_ingest`): instants are UTC without a zone, all numbers are decimals, and JSON is
    /// marked as such.
    Singer,
}

/// A table in columns.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    layout: Layout,
    /// The cell of each column.
    cells: Vec<usize>,
    pub schema: SchemaRef,
}

/// How a table lies in files, and which of its rows a new read replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    name: String,
    keys: Vec<String>,
    merge: Merge,
    partition: Partition,
    /// The column that partitions and days are of.
    period: Option<String>,
    /// The zone of days.
    zone: Option<String>,
    /// Whether its objects are a list of their own, whatever advertisers are read.
    #[serde(default)]
    is_whole: bool,
}

/// Which old rows a new read replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Merge {
    /// All, if the read was complete; otherwise those with the same key.
    All,
    /// Those of the days and advertisers that were read.
    Days,
    /// Those with the same key.
    Keys,
}

/// How the rows of a table are distributed over files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Partition {
    /// One file.
    None,
    /// One file per month.
    Months,
    /// One file per day.
    Days,
}

impl Table {
    /// The table of a stream, with the columns that `plan` selects.
    pub(crate) fn new(stream: &Stream, plan: &Projection, dialect: Dialect) -> Self {
        let (mut cells, mut fields) = (Vec::new(), Vec::new());
        for (cell, name, column_type) in plan.selected_columns() {
            let description = stream.schema["properties"][name]["description"].as_str().unwrap_or_default();
            let data_type = data_type(column_type, dialect == Dialect::Files && stream.is_ratio(name), dialect);
            let mut metadata = HashMap::from([(DESCRIPTION.to_owned(), description.to_owned())]);
            if matches!(column_type, ColumnType::Object | ColumnType::List | ColumnType::Texts) {
                match dialect {
                    Dialect::Files => metadata.insert(JSON.to_owned(), "true".to_owned()),
                    Dialect::Singer => {
                        metadata.insert("ARROW:extension:name".to_owned(), "arrow.json".to_owned());
                        metadata.insert("ARROW:extension:metadata".to_owned(), String::new())
                    }
                };
            }
            fields.push(Field::new(name, data_type, true).with_metadata(metadata));
            cells.push(cell);
        }
        let schema = Schema::new(fields);
        Self { layout: Layout::new(stream), cells, schema: Arc::new(schema) }
    }
}

impl Layout {
    fn new(stream: &Stream) -> Self {
        let (merge, partition, zone) = match &stream.source {
            // Which of the two days of its rows Criteo selects by is not documented.
            Source::Report(report) if report.endpoint.event_column.is_some() => {
                (Merge::Keys, Partition::Months, Some(report.timezone))
            }
            Source::Report(report) => (Merge::Days, Partition::Months, Some(report.timezone)),
            Source::LogLevel => (Merge::Keys, Partition::Days, None),
            Source::Entity(_) => (Merge::All, Partition::None, None),
        };
        let period = stream.cursor().filter(|_| partition != Partition::None).map(str::to_owned);
        let zone = zone.map(|zone| zone.name().to_owned());
        let is_whole = matches!(&stream.source, Source::Entity(entity)
            if !entity.each.has_parents() && !entity.request.is_search());
        let (name, keys) = (stream.name.clone(), stream.primary_key.clone());
        Self { name, keys, merge, partition, period, zone, is_whole }
    }

    fn zone(&self) -> Option<Tz> {
        self.zone.as_ref().and_then(|name| name.parse().ok())
    }
}

const ADVERTISER_ID: &str = "advertiser_id";
/// The column with the advertisers, or with the accounts in Retail Media: the one whose objects were requested, which
/// may bill or contain other accounts.
const SCOPE_COLUMNS: [&str; 3] = [ADVERTISER_ID, "parent_account_id", "account_id"];

fn scope_of(batch: &RecordBatch) -> Option<&ArrayRef> {
    SCOPE_COLUMNS.iter().find_map(|column| batch.column_by_name(column))
}

fn data_type(column_type: ColumnType, is_ratio: bool, dialect: Dialect) -> DataType {
    match column_type {
        ColumnType::Text | ColumnType::Object | ColumnType::List | ColumnType::Texts => DataType::Utf8,
        ColumnType::Number if is_ratio => DataType::Float64,
        ColumnType::Number => DataType::Decimal128(DECIMAL.0, DECIMAL.1),
        ColumnType::Integer => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::DateTime if dialect == Dialect::Files => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        ColumnType::DateTime | ColumnType::LocalDateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// An error with the file that it is about.
fn in_file(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let (error, path) = (other(error), path.display().to_string());
    let text = error.to_string();
    if text.starts_with(&path) { error } else { io::Error::new(error.kind(), format!("{path}: {text}")) }
}

/// An error of a file format as an error of the system.
pub(super) fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let error = error.into();
    match error.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(error) => io::Error::other(error),
    }
}
