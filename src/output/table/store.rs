//! The Parquet files of tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

use crate::output::table::columns::{BATCH_BYTES, BATCH_ROWS, day_of_micros, day_of_number};
use crate::output::table::{Layout, in_file};
use crate::support::{files, watchdog};

/// Rows that readers of a file skip or load together.
const ROW_GROUP_ROWS: usize = 250_000;
const ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// The key of the stream's name in a file's metadata: files without it are not ours.
const STREAM: &str = "source-criteo.stream";
/// The key of the advertisers and countries whose objects a file holds.
const SCOPE: &str = "source-criteo.scope";

/// Tables in their Parquet files.
pub(super) struct Store {
    /// The folder with `<table>.parquet` and `<table>/<partition>.parquet`.
    pub folder: PathBuf,
    /// Where files are written before they take their place, on the same file system.
    pub scratch: PathBuf,
    /// The folder and extension of files in another format, if people get those.
    pub rendered: Option<(PathBuf, &'static str)>,
}

/// A Parquet file that is read batch by batch.
pub(super) struct OldFile {
    pub schema: SchemaRef,
    pub batches: Batches,
    /// The advertisers and countries whose objects it holds.
    pub scope: BTreeSet<String>,
}

impl Store {
    /// The file of a partition, which begins on this day.
    pub(super) fn path(&self, layout: &Layout, start: Option<NaiveDate>) -> PathBuf {
        match start {
            None => self.folder.join(format!("{}.parquet", layout.name)),
            Some(start) => self.folder.join(&layout.name).join(format!("{}.parquet", layout.partition.name(start))),
        }
    }

    /// The file for people of a Parquet file, if it is another one.
    pub(super) fn rendered(&self, path: &Path) -> Option<PathBuf> {
        let (root, extension) = self.rendered.as_ref()?;
        Some(root.join(path.strip_prefix(&self.folder).ok()?).with_extension(extension))
    }

    /// The names of the tables.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn tables(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for path in entries(&self.folder)? {
            let is_table = path.is_dir() || path.extension().is_some_and(|extension| extension == "parquet");
            let name = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_table);
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    /// The files of a table, in the order of their partitions.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn files(&self, table: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = BTreeMap::new();
        let single = self.folder.join(format!("{table}.parquet"));
        if single.exists() {
            found.insert(String::new(), single);
        }
        for path in entries(&self.folder.join(table))? {
            if path.extension().is_some_and(|extension| extension == "parquet")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                found.insert(name.to_owned(), path);
            }
        }
        Ok(found.into_values().collect())
    }

    /// The names of a table's partitions that have a file.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn partitions(&self, table: &str) -> io::Result<BTreeSet<String>> {
        let files = self.files(table)?;
        let names = files.iter().filter_map(|path| path.file_stem()?.to_str()).filter(|name| is_partition(name));
        Ok(names.map(str::to_owned).collect())
    }

    /// A Parquet file among the tables that no export wrote, such as the copy that a file manager or a synced drive makes.
    /// Files that cannot be read stop only their own table.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn foreign(&self) -> io::Result<Option<PathBuf>> {
        for table in self.tables()? {
            for path in self.files(&table)? {
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                let is_ours = (name == table || is_partition(name))
                    && ParquetFile::open(&path).ok().is_none_or(|file| file.is_of(&table));
                if !is_ours {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// Writes a file that appears under its name when it is complete, or removes it, if `write` returns `false`.
    ///
    /// # Errors
    /// If it cannot be written; the old file is as it was.
    pub(super) fn write_file(&self, path: &Path, write: impl FnOnce(File) -> io::Result<bool>) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let new = self.scratch.join("new");
        let file = create_new(&new)?;
        let written = write(file.try_clone()?).and_then(|is_kept| file.sync_all().map(|()| is_kept));
        let placed = match written {
            Ok(true) => fs::rename(&new, path),
            Ok(false) if path.exists() => fs::remove_file(path),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        // It is gone if it was renamed; otherwise, this frees space on a full disk.
        let _ = fs::remove_file(&new);
        files::sync_folder_of(path);
        placed
    }
}

/// Creates a file, instead of what a killed run left there. What a link leads to is never written.
///
/// # Errors
/// If it cannot be created.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_file(path, error)),
        _ => {}
    }
    File::create_new(path).map_err(|error| in_file(path, error))
}

/// A Parquet file, of which only the metadata was read.
pub(super) struct ParquetFile {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

/// The rows of a Parquet file.
pub(super) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Iterator for Batches {
    type Item = io::Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        watchdog::moved();
        Some(self.reader.next()?.map_err(|error| damaged(&self.path, &error)))
    }
}

impl ParquetFile {
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(|error| in_file(path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| if is_damaged_parquet(path) { damaged(path, &error) } else { in_file(path, error) })?;
        let rows = batch_rows(builder.metadata().row_groups());
        Ok(Self { path: path.to_owned(), builder: builder.with_batch_size(rows) })
    }

    /// The value of a key that exports write.
    fn value(&self, key: &str) -> Option<String> {
        let pairs = self.builder.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone())
    }

    /// Whether an export wrote the file, for this table.
    fn is_of(&self, table: &str) -> bool {
        self.value(STREAM).as_deref() == Some(table)
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(self.builder.schema())
    }

    pub(super) fn count_rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The first day in a column of days or instants, if it has values.
    pub(super) fn first_day(&self, column: &str) -> Option<NaiveDate> {
        let groups = self.builder.metadata().row_groups().iter();
        let chunks = groups.flat_map(RowGroupMetaData::columns).filter(|chunk| chunk.column_path().string() == column);
        let first = |statistics: &Statistics| match statistics {
            Statistics::Int32(days) => day_of_number(*days.min_opt()?),
            Statistics::Int64(micros) => day_of_micros(*micros.min_opt()?, None),
            _ => None,
        };
        chunks.filter_map(|chunk| first(chunk.statistics()?)).min()
    }

    /// # Errors
    /// If the first rows cannot be read.
    pub(super) fn batches(self) -> io::Result<Batches> {
        let reader = self.builder.build().map_err(|error| damaged(&self.path, &error))?;
        Ok(Batches { path: self.path, reader })
    }
}

/// The rows of a batch whose strings have about [`BATCH_BYTES`], by the size of the strings in each group of rows.
fn batch_rows(groups: &[RowGroupMetaData]) -> usize {
    let rows_of = |group: &RowGroupMetaData| {
        let bytes: i64 = group.columns().iter().filter_map(ColumnChunkMetaData::unencoded_byte_array_data_bytes).sum();
        let rows = u64::try_from(group.num_rows()).ok()?;
        let bytes = u64::try_from(bytes.max(group.total_byte_size())).ok()?;
        usize::try_from((BATCH_BYTES as u64).saturating_mul(rows).checked_div(bytes)?).ok()
    };
    groups.iter().filter_map(rows_of).min().unwrap_or(BATCH_ROWS).clamp(1, BATCH_ROWS)
}

/// The error of a Parquet file that cannot be read, and what to do.
fn damaged(path: &Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{} is damaged ({error}). Delete it and run the export again: what it held is read again, as far as Criteo \
             keeps it",
            path.display()
        ),
    )
}

/// The files and folders in a folder, but for hidden ones, which programs such as the Finder leave there; none if it does
/// not exist.
///
/// # Errors
/// If it cannot be read: that must not look like deleted files.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(|error| in_file(folder, error))?,
    };
    let mut paths = Vec::new();
    for entry in found {
        let entry = entry.map_err(|error| in_file(folder, error))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Whether a file is named like a month or a day.
fn is_partition(name: &str) -> bool {
    let day = if name.len() == 7 { format!("{name}-01") } else { name.to_owned() };
    day.len() == 10 && day.parse::<NaiveDate>().is_ok()
}

/// Whether an unreadable file begins like a Parquet file, or is empty or zero, as after a power failure.
pub(super) fn is_damaged_parquet(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|_| start == *b"PAR1" || start == [0; 4])
}

/// Reads a file of a table; `None` if there is none.
///
/// # Errors
/// If it cannot be read, or is not ours.
pub(super) fn open_old(path: &Path, table: &str) -> io::Result<Option<OldFile>> {
    if !path.exists() {
        return Ok(None);
    }
    let file = ParquetFile::open(path)?;
    if !file.is_of(table) {
        return Err(in_file(path, io::Error::other("this is not a file of this export; move it away")));
    }
    let scope = file.value(SCOPE).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(Some(OldFile { schema: file.schema(), batches: file.batches()?, scope }))
}

pub(super) fn properties(table: &str, scope: &BTreeSet<String>) -> WriterProperties {
    let scope = serde_json::to_string(scope).ok();
    let pairs = [(STREAM, Some(table.to_owned())), (SCOPE, scope)];
    let pairs = pairs.map(|(key, value)| KeyValue { key: key.to_owned(), value });
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(format!("source-criteo {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(pairs.to_vec()))
        .build()
}
