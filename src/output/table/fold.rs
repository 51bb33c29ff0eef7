//! Merges staged files into the files of a table. Doing it twice gives the same files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use chrono::{Datelike as _, NaiveDate};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::model::ids::numeric_id;
use crate::output::table::columns::{day_of_micros, day_of_number};
use crate::output::table::staged::{CoverageNote, StagedFile};
use crate::output::table::{ADVERTISER_ID, Layout, Merge, Partition, other};
use crate::support::{files, watchdog};

/// Rows that are read and written at a time.
const BATCH_ROWS: usize = 8192;
/// Rows that readers of a file skip or load together.
const ROW_GROUP_ROWS: usize = 250_000;
const ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// The key of the stream's name in a file's metadata: files without it are not ours.
const STREAM: &str = "source-criteo.stream";

/// A table in its Parquet files.
pub(crate) struct Store {
    /// The folder with `<table>.parquet` and `<table>/<partition>.parquet`.
    pub folder: PathBuf,
    /// Where files are written before they take their place, on the same file system.
    pub scratch: PathBuf,
}

/// Where a row was staged: file, batch and row.
type Position = (usize, usize, usize);

/// A response in a staged file.
struct StagedSlice {
    file: usize,
    batches: std::ops::Range<usize>,
    days: Option<(NaiveDate, NaiveDate)>,
    /// The read that it belongs to.
    read: Option<u64>,
    advertisers: BTreeSet<u64>,
}

/// Days and advertisers whose earlier rows are replaced.
struct Replaced {
    since: NaiveDate,
    until: NaiveDate,
    advertisers: BTreeSet<u64>,
    /// Rows of slices before this one are replaced.
    before: usize,
}

impl Replaced {
    fn new(note: &CoverageNote, before: usize) -> Self {
        let advertisers = note.advertisers.iter().map(|id| numeric_id(id)).collect();
        Self { since: note.since, until: note.until, advertisers, before }
    }

    fn overlaps(&self, slice: &StagedSlice) -> bool {
        slice.days.is_some_and(|(first, last)| self.since <= last && first <= self.until)
            && !self.advertisers.is_disjoint(&slice.advertisers)
    }
}

/// The replaced days by advertiser.
type ReplacedDays = HashMap<u64, Vec<(NaiveDate, NaiveDate)>>;

fn by_advertiser<'a>(replaced: impl Iterator<Item = &'a Replaced>) -> ReplacedDays {
    let mut days = ReplacedDays::new();
    for replaced in replaced {
        for advertiser in &replaced.advertisers {
            days.entry(*advertiser).or_default().push((replaced.since, replaced.until));
        }
    }
    days
}

/// The staged rows of a table, and what they replace.
struct Change<'a> {
    layout: &'a Layout,
    files: Vec<StagedFile>,
    slices: Vec<StagedSlice>,
    replaced: Vec<Replaced>,
    is_whole: bool,
}

impl<'a> Change<'a> {
    fn new(layout: &'a Layout, files: Vec<StagedFile>) -> Self {
        let (mut slices, mut replaced) = (Vec::new(), Vec::new());
        let mut first_of_read: HashMap<u64, usize> = HashMap::new();
        let mut complete = BTreeSet::new();
        for (file, staged) in files.iter().enumerate() {
            for note in &staged.notes.slices {
                let coverage = note.coverage.as_ref().filter(|_| layout.merge == Merge::Days);
                if let Some(coverage) = coverage {
                    let first = *first_of_read.entry(coverage.read).or_insert(slices.len());
                    if coverage.is_complete {
                        complete.insert(coverage.read);
                        replaced.push(Replaced::new(coverage, first));
                    }
                }
                let (first, count) = note.batches;
                slices.push(StagedSlice {
                    file,
                    batches: first..first + count,
                    days: note.days,
                    read: coverage.map(|coverage| coverage.read),
                    advertisers: coverage.into_iter().flat_map(|of| &of.advertisers).map(|id| numeric_id(id)).collect(),
                });
            }
        }
        let is_whole = files.last().is_some_and(|file| file.notes.is_whole);
        let mut change = Self { layout, files, slices, replaced, is_whole };
        // Parts of a read that did not end replace nothing: its days are read again.
        for slice in &mut change.slices {
            if slice.read.is_some_and(|read| !complete.contains(&read)) {
                slice.batches = 0..0;
            }
        }
        change
    }

    /// The partitions that staged rows are in or that lose rows.
    fn partitions(&self, store: &Store) -> BTreeSet<Option<NaiveDate>> {
        let partition = self.layout.partition;
        if partition == Partition::None {
            return BTreeSet::from([None]);
        }
        let filled = self.slices.iter().filter(|slice| !slice.batches.is_empty()).filter_map(|slice| slice.days);
        let mut found: BTreeSet<_> = filled.flat_map(|(first, last)| partition.starts(first, last)).map(Some).collect();
        let emptied = self.replaced.iter().flat_map(|replaced| partition.starts(replaced.since, replaced.until));
        found.extend(emptied.filter(|start| store.path(self.layout, Some(*start)).exists()).map(Some));
        found
    }
}

impl Partition {
    /// The first day of the partition with this day.
    fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Months => day.with_day(1).unwrap_or(day),
            Self::None | Self::Days => day,
        }
    }

    /// The first days of all partitions between two days.
    fn starts(self, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let next = move |start: &NaiveDate| {
            let later = match self {
                Self::Months => start.checked_add_months(chrono::Months::new(1)),
                Self::None | Self::Days => start.succ_opt(),
            };
            later.filter(|later| *later <= last)
        };
        std::iter::successors(Some(self.start(first)), next)
    }

    fn name(self, start: NaiveDate) -> String {
        match self {
            Self::Months => start.format("%Y-%m").to_string(),
            Self::None | Self::Days => start.to_string(),
        }
    }
}

impl Store {
    fn path(&self, layout: &Layout, start: Option<NaiveDate>) -> PathBuf {
        match start {
            None => self.folder.join(format!("{}.parquet", layout.name)),
            Some(start) => self.folder.join(&layout.name).join(format!("{}.parquet", layout.partition.name(start))),
        }
    }

    /// Merges staged files; returns the files that have changed, whether or not they still exist.
    ///
    /// # Errors
    /// If a file cannot be read or written. The old files are as they were, and the staged ones still there.
    pub(crate) fn merge(&self, layout: &Layout, staged: Vec<StagedFile>) -> io::Result<Vec<PathBuf>> {
        let mut change = Change::new(layout, staged);
        let mut changed = Vec::new();
        for start in change.partitions(self) {
            let path = self.path(layout, start);
            self.merge_partition(&mut change, start, &path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            changed.push(path);
        }
        Ok(changed)
    }

    fn merge_partition(&self, change: &mut Change<'_>, start: Option<NaiveDate>, path: &Path) -> io::Result<()> {
        let layout = change.layout;
        let is_replaced = layout.merge == Merge::All && change.is_whole;
        let old = if is_replaced { None } else { open_parquet(path, &layout.name)? };
        let Some(new) = change.files.first().map(|file| file.reader.schema()) else { return Ok(()) };
        let schema = match &old {
            Some(old) => merged_schema(&new, &old.schema)?,
            None => new,
        };
        let replaced = by_advertiser(change.replaced.iter());
        let latest = if layout.merge == Merge::Days { None } else { Some(latest_of(change, start)?) };
        let written = self.write_file(path, |file| {
            let mut out =
                ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties(&layout.name))).map_err(other)?;
            let mut rows = 0;
            let mut write = |batch: &RecordBatch, keep: &BooleanArray| {
                watchdog::moved();
                let kept = if keep.true_count() == batch.num_rows() {
                    batch.clone()
                } else {
                    filter_record_batch(batch, keep).map_err(other)?
                };
                rows += kept.num_rows();
                out.write(&with_schema(&kept, &schema)?).map_err(other)
            };
            for batch in old.into_iter().flat_map(|old| old.batches) {
                let batch = batch.map_err(other)?;
                let keep = match &latest {
                    Some(latest) => {
                        let keys = keys_of(&batch, layout);
                        keys.iter().map(|key| Some(!latest.contains_key(key))).collect()
                    }
                    None => outside(&batch, layout, &replaced),
                };
                write(&batch, &keep)?;
            }
            for (index, slice) in change.slices.iter().enumerate() {
                let later =
                    by_advertiser(change.replaced.iter().filter(|later| later.before > index && later.overlaps(slice)));
                let is_inside = match (start, slice.days) {
                    (Some(start), Some((first, last))) => {
                        let partition = layout.partition;
                        if partition.start(first) > start || partition.start(last) < start {
                            continue;
                        }
                        partition.start(first) == partition.start(last)
                    }
                    _ => start.is_none(),
                };
                for number in slice.batches.clone() {
                    let batch = read_batch(&mut change.files[slice.file], number)?;
                    let keep: BooleanArray = match &latest {
                        Some(latest) => {
                            let keys = keys_of(&batch, layout);
                            let is_latest = |(row, key)| latest.get(key) == Some(&(slice.file, number, row));
                            keys.iter().enumerate().map(|row| Some(is_latest(row))).collect()
                        }
                        None => outside(&batch, layout, &later),
                    };
                    let keep = match start.filter(|_| !is_inside) {
                        None => keep,
                        Some(start) => within(&batch, layout, start, &keep),
                    };
                    write(&batch, &keep)?;
                }
            }
            let is_kept = rows > 0 || layout.partition == Partition::None;
            out.into_inner().map_err(other).map(|_| is_kept)
        });
        written
    }

    /// Writes a file that appears under its name when it is complete, or removes it, if `write` returns `false`.
    ///
    /// # Errors
    /// If it cannot be written; the old file is as it was.
    pub(crate) fn write_file(&self, path: &Path, write: impl FnOnce(File) -> io::Result<bool>) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.scratch.join("new");
        let file = File::create(&new)?;
        let written = write(file.try_clone()?).and_then(|is_kept| file.sync_all().map(|()| is_kept));
        let placed = written.and_then(|is_kept| match is_kept {
            true => fs::rename(&new, path),
            false => fs::remove_file(path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        });
        // It is gone if it was renamed; otherwise, this frees space on a full disk.
        let _ = fs::remove_file(&new);
        files::sync_folder_of(path);
        placed
    }
}

/// The last position of each key among the staged rows of a partition.
fn latest_of(change: &mut Change<'_>, start: Option<NaiveDate>) -> io::Result<HashMap<(u64, u64), Position>> {
    let mut latest = HashMap::new();
    for slice in &change.slices {
        for number in slice.batches.clone() {
            let batch = read_batch(&mut change.files[slice.file], number)?;
            let all = BooleanArray::from(vec![true; batch.num_rows()]);
            let here = start.map_or_else(|| all.clone(), |start| within(&batch, change.layout, start, &all));
            for (row, key) in keys_of(&batch, change.layout).into_iter().enumerate() {
                if here.value(row) {
                    latest.insert(key, (slice.file, number, row));
                }
            }
        }
    }
    Ok(latest)
}

fn read_batch(file: &mut StagedFile, number: usize) -> io::Result<RecordBatch> {
    file.reader.set_index(number).map_err(other)?;
    file.reader.next().ok_or_else(|| io::Error::other("a staged file lacks a batch"))?.map_err(other)
}

/// A Parquet file that is read batch by batch.
struct OldFile {
    schema: SchemaRef,
    batches: ParquetRecordBatchReader,
}

fn open_parquet(path: &Path, table: &str) -> io::Result<Option<OldFile>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(other)?;
    let stream = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let stream = stream.clone().find(|pair| pair.key == STREAM).and_then(|pair| pair.value.clone());
    if stream.as_deref() != Some(table) {
        let text = "this is not a file of this export. Move it away, or export to another folder";
        return Err(io::Error::other(text));
    }
    let schema = Arc::clone(reader.schema());
    Ok(Some(OldFile { schema, batches: reader.with_batch_size(BATCH_ROWS).build().map_err(other)? }))
}

/// Reads a Parquet file of a table.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_parquet(path: &Path) -> io::Result<(SchemaRef, ParquetRecordBatchReader)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(other)?;
    let schema = Arc::clone(reader.schema());
    Ok((schema, reader.with_batch_size(BATCH_ROWS).build().map_err(other)?))
}

fn properties(table: &str) -> WriterProperties {
    let stream = KeyValue { key: STREAM.to_owned(), value: Some(table.to_owned()) };
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(format!("source-criteo {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![stream]))
        .build()
}

/// The new columns, then those that only the old file has.
fn merged_schema(new: &SchemaRef, old: &SchemaRef) -> io::Result<SchemaRef> {
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
fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let column = |field: &Arc<Field>| {
        let column = batch.column_by_name(field.name()).cloned();
        column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect()).map_err(other)
}

/// Which rows are not replaced.
fn outside(batch: &RecordBatch, layout: &Layout, replaced: &ReplacedDays) -> BooleanArray {
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
fn within(batch: &RecordBatch, layout: &Layout, start: NaiveDate, keep: &BooleanArray) -> BooleanArray {
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
fn keys_of(batch: &RecordBatch, layout: &Layout) -> Vec<(u64, u64)> {
    let columns: Vec<&ArrayRef> = layout.keys.iter().filter_map(|name| batch.column_by_name(name)).collect();
    let key = |row| {
        let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
        1_u8.hash(&mut hashers[1]);
        for hasher in &mut hashers {
            columns.iter().for_each(|column| hash_value(column, row, hasher));
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

/// The files of a table by partition, in order.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn files_of(store: &Store, table: &str) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let single = store.folder.join(format!("{table}.parquet"));
    if single.exists() {
        found.insert(String::new(), single);
    }
    for entry in fs::read_dir(store.folder.join(table)).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "parquet")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}
