//! A folder with exported tables: data files for people, and `.source-criteo` with states and rows on their way.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;
use chrono::NaiveDate;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::state_file::{OF_EXPORT, STATE_OF_EXPORT, StateFile};
use crate::output::stream::StreamSetup;
use crate::output::table::render::{write_csv, write_csv_header, write_json_lines};
use crate::output::table::staged::{self, Staged};
use crate::output::table::store::{ParquetFile, Store, is_damaged_parquet, open_old};
use crate::output::table::{Dialect, Table, in_file, other, xlsx};
use crate::protocol::airbyte;
use crate::state::saved::States;
use crate::support::files::{self, Kept};
use crate::support::text::grouped;
use crate::support::watchdog;

/// The part of the folder that is not for people.
const MANIFEST: &str = "export.json";
const VERSION: u32 = 1;
pub(super) const WORKBOOK: &str = "criteo.xlsx";

/// The format of exported files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Parquet, compressed with zstd: for databases, Python, Spark and warehouses.
    #[default]
    Parquet,
    /// CSV with a header (RFC 4180).
    Csv,
    /// One Excel workbook with a sheet per stream.
    Xlsx,
    /// Arrow IPC files.
    Arrow,
    /// One JSON object per line.
    Jsonl,
}

impl FileFormat {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Arrow => "arrow",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Tables with their files.
pub(super) type Tables = Vec<(String, Vec<PathBuf>)>;

/// What all runs of a folder have in common: rows of others would not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    format: FileFormat,
    currency: String,
    timezone: String,
    /// Whether the rows are of a simulated account.
    #[serde(default)]
    is_simulated: bool,
}

impl Manifest {
    /// The manifest of a run.
    #[must_use]
    pub fn new(format: FileFormat, currency: String, timezone: String, is_simulated: bool) -> Self {
        Self { version: VERSION, format, currency, timezone, is_simulated }
    }
}

/// A folder that this run exports to. Other runs cannot open it.
pub struct Folder {
    pub(super) root: PathBuf,
    pub(super) format: FileFormat,
    pub(super) store: Store,
    staged: PathBuf,
    states: StateFile,
    /// Held as long as this value lives.
    _lock: Kept,
}

impl Folder {
    /// Opens a folder, or creates it.
    ///
    /// # Errors
    /// If it is in use, is not writable, holds other files, or was written with other settings.
    pub fn open(root: &Path, manifest: &Manifest) -> Result<Self> {
        let hidden = root.join(OF_EXPORT);
        let broken = |error: io::Error| cannot_be_written(root, &error);
        refuse_foreign(root, &hidden)?; // guard: foreign-files
        files::create_folder(&hidden).map_err(broken)?;
        let lock = Kept::open_or_make(&hidden.join("lock")).map_err(|error| match error {
            TryLockError::WouldBlock => Error::transient(format!(
                "Another run is exporting to {}. Wait for it to end, or export to another folder.",
                root.display()
            )),
            TryLockError::Error(error) => cannot_be_written(root, &error),
        })?;
        check_manifest(root, &hidden.join(MANIFEST), manifest)?;
        let staged = hidden.join("staged");
        files::create_folder(&staged).map_err(broken)?;
        let states = StateFile::open(hidden.join(STATE_OF_EXPORT), |bytes| {
            let states = airbyte::parse_state(&String::from_utf8_lossy(&bytes));
            states.map_err(|error| error.in_context(&format!("{} is damaged", hidden.join(STATE_OF_EXPORT).display())))
        })?;
        let format = manifest.format;
        let tables = if format == FileFormat::Parquet { root.to_owned() } else { hidden.join("tables") };
        let is_rendered = !matches!(format, FileFormat::Parquet | FileFormat::Xlsx);
        let rendered = is_rendered.then(|| (root.to_owned(), format.extension()));
        let store = Store { folder: tables, scratch: hidden.clone(), rendered };
        // guard: foreign-tables
        if let Some(path) = store.foreign().map_err(broken)? {
            return Err(Error::config(format!(
                "{} is not a file of this export, and its rows would be counted with those of the table. Move it out \
                 of {}.",
                path.display(),
                root.display()
            )));
        }
        Ok(Self { root: root.to_owned(), format, store, staged, states, _lock: lock })
    }

    /// Merges what an interrupted run has left; returns the tables that cannot be merged, and why.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn merge_leftovers(&mut self) -> Result<Vec<(String, Error)>> {
        let names = staged::tables_in(&self.staged).map_err(|error| cannot_be_written(&self.root, &error))?;
        if !names.is_empty() {
            tracing::info!("Merging the rows of an interrupted run: {}.", names.join(", "));
        }
        let merged = names.into_iter().map(|name| (self.merge(&name), name));
        let failed = merged.filter_map(|(merged, name)| Some((name, unmerged(&merged.err()?))));
        Ok(failed.collect())
    }

    /// The states of the last run.
    #[must_use]
    pub fn states(&self) -> &States {
        self.states.states()
    }

    /// Removes state and files of a table, so that it is read from the start.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        self.forget(name).map_err(|error| cannot_be_written(&self.root, &error))
    }

    fn forget(&mut self, name: &str) -> io::Result<()> {
        let files = self.store.files(name)?;
        // Copies were refused when the folder was opened.
        for path in files.iter().filter(|path| !is_damaged_parquet(path)) {
            open_old(path, name)?;
        }
        staged::remove_all(&self.staged.join(name))?;
        // The state first: without files, it would skip their days.
        self.states.forget(name).map_err(other)?;
        for path in files {
            // The Parquet file last: it leads to the other one.
            if let Some(rendered) = self.store.rendered(&path).filter(|rendered| rendered.exists()) {
                fs::remove_file(rendered)?;
            }
            fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Where the rows of a stream are collected.
    pub(crate) fn staged(&self, setup: &StreamSetup) -> Staged {
        Staged::new(self.staged.join(&setup.name), Table::new(&setup.stream, &setup.plan, Dialect::Files))
    }

    /// The names of the tables with files.
    #[must_use]
    pub fn table_names(&self) -> Vec<String> {
        self.tables().unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    }

    /// The first day in a table's column of days or instants, if it has rows.
    #[must_use]
    pub fn first_day(&self, name: &str, column: &str) -> Option<NaiveDate> {
        let files = self.store.files(name).ok()?;
        files.iter().find_map(|file| ParquetFile::open(file).ok()?.first_day(column))
    }

    /// The number of rows of a table.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn count_rows(&self, name: &str) -> io::Result<u64> {
        count_rows(&self.store.files(name)?)
    }

    /// Merges the staged rows of a table into its files, then keeps the state after them. It can be done again.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) fn merge(&mut self, name: &str) -> io::Result<()> {
        let folder = self.staged.join(name);
        let files = staged::files_of(&folder)?;
        let state: Option<Value> = files.iter().rev().find_map(|file| file.notes.state.clone());
        for path in self.store.merge(files)? {
            self.render(&path)?;
        }
        if let Some(state) = state {
            self.states.keep(name, &state).map_err(other)?;
            self.states.save().map_err(other)?;
        }
        staged::remove_all(&folder).map_err(|error| in_file(&folder, error))
    }

    /// Writes what covers all tables: missing files, the workbook, and the views for `DuckDB`.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let tables = self.tables()?;
        match self.format {
            FileFormat::Xlsx => {
                let path = self.root.join(WORKBOOK);
                let new = self.store.scratch.join("new.xlsx");
                let (tables, too_large) = sheets(tables)?;
                let placed = xlsx::write(&new, &self.store.scratch, &tables)
                    .and_then(|()| File::open(&new)?.sync_all())
                    .and_then(|()| fs::rename(&new, &path));
                placed.map_err(|error| {
                    // Frees space on a full disk.
                    let _ = fs::remove_file(&new);
                    in_file(&path, error)
                })?;
                files::sync_folder_of(&path);
                too_large.map_or(Ok(()), Err)
            }
            FileFormat::Parquet => self.write_views(&tables),
            FileFormat::Csv | FileFormat::Arrow | FileFormat::Jsonl => {
                for path in tables.iter().flat_map(|(_, files)| files) {
                    if self.store.rendered(path).is_some_and(|rendered| !rendered.exists()) {
                        self.render(path)?;
                    }
                }
                if self.format == FileFormat::Csv { self.write_views(&tables) } else { Ok(()) }
            }
        }
    }

    /// The tables and their Parquet files.
    pub(super) fn tables(&self) -> io::Result<Tables> {
        let mut tables = Tables::new();
        for name in self.store.tables()? {
            let files = self.store.files(&name)?;
            if !files.is_empty() {
                tables.push((name, files));
            }
        }
        Ok(tables)
    }

    /// Writes a Parquet file in the other format, or removes that file if the Parquet file is gone.
    fn render(&self, path: &Path) -> io::Result<()> {
        let Some(target) = self.store.rendered(path) else { return Ok(()) };
        if !path.exists() {
            return self.store.write_file(&target, |_| Ok(false)).map_err(|error| in_file(&target, error));
        }
        let parquet = ParquetFile::open(path)?;
        let schema = parquet.schema();
        let batches = parquet.batches()?;
        let written = self.store.write_file(&target, |file| {
            let mut file = BufWriter::new(file);
            match self.format {
                FileFormat::Csv => {
                    write_csv_header(&mut file, &schema)?;
                    for batch in batches {
                        write_csv(&mut file, &next(batch)?)?;
                    }
                }
                FileFormat::Arrow => {
                    let mut writer = FileWriter::try_new(&mut file, &schema).map_err(other)?;
                    for batch in batches {
                        writer.write(&next(batch)?).map_err(other)?;
                    }
                    writer.finish().map_err(other)?;
                }
                FileFormat::Jsonl | FileFormat::Parquet | FileFormat::Xlsx => {
                    for batch in batches {
                        write_json_lines(&mut file, &next(batch)?)?;
                    }
                }
            }
            file.flush()?;
            Ok(true)
        });
        written.map_err(|error| in_file(&target, error))
    }
}

/// A batch that was read, which is progress.
fn next(batch: std::result::Result<RecordBatch, ArrowError>) -> io::Result<RecordBatch> {
    watchdog::moved();
    batch.map_err(other)
}

fn count_rows(files: &[PathBuf]) -> io::Result<u64> {
    files.iter().map(|file| ParquetFile::open(file).map(|file| file.count_rows())).sum()
}

/// The tables that fit a sheet, and the error that names the others.
fn sheets(tables: Tables) -> io::Result<(Tables, Option<io::Error>)> {
    let (mut fitting, mut too_large) = (Tables::new(), Vec::new());
    for (name, files) in tables {
        let rows = count_rows(&files)?;
        if rows > xlsx::MAX_ROWS {
            too_large.push(format!("{name} ({})", grouped(rows)));
        } else {
            fitting.push((name, files));
        }
    }
    let error = (!too_large.is_empty()).then(|| {
        io::Error::other(format!(
            "the workbook lacks {}: a sheet of Excel holds {} rows. Export them to another folder with --format csv \
             or parquet, or only later days to another folder with --since",
            too_large.join(", "),
            grouped(xlsx::MAX_ROWS)
        ))
    });
    Ok((fitting, error))
}

fn refuse_foreign(root: &Path, hidden: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::config(format!("{} is not a folder. Name a folder to export to.", root.display())));
        }
        Err(error) => return Err(cannot_be_written(root, &error)),
    };
    if hidden.join(MANIFEST).exists() {
        return Ok(());
    }
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.into_iter().find(|name| !name.starts_with('.')) {
        Some(name) => Err(Error::config(format!(
            "{} has files that are not from an export, such as {name}. Name an empty folder, or one that does not \
             exist yet.",
            root.display()
        ))),
        None => Ok(()),
    }
}

/// The format of the folder's files; `None` before the first export.
#[must_use]
pub fn format_of(root: &Path) -> Option<FileFormat> {
    let text = fs::read_to_string(root.join(OF_EXPORT).join(MANIFEST)).ok()?;
    let found: Value = serde_json::from_str(&text).ok()?;
    serde_json::from_value(found["format"].clone()).ok()
}

fn check_manifest(root: &Path, path: &Path, manifest: &Manifest) -> Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = serde_json::to_string(manifest).unwrap_or_default() + "\n";
            return files::write(path, &text).map_err(|error| cannot_be_written(root, &error));
        }
        Err(error) => return Err(cannot_be_written(root, &error)),
    };
    let found: Value = serde_json::from_str(&text).unwrap_or_default();
    if found["version"].as_u64().is_some_and(|version| version > u64::from(VERSION)) {
        return Err(Error::config(format!(
            "{} was written by a newer version of source-criteo. Update this one, or export to another folder.",
            root.display()
        )));
    }
    let Ok(found) = serde_json::from_value::<Manifest>(found) else {
        return Err(Error::config(format!(
            "{} is damaged. Export to another folder, or delete {} to start again.",
            path.display(),
            root.display()
        )));
    };
    for (what, then, now) in [
        ("the format", found.format.extension(), manifest.format.extension()),
        ("the currency", &*found.currency, &*manifest.currency),
        ("the time zone", &*found.timezone, &*manifest.timezone),
    ] {
        if then != now {
            return Err(Error::config(format!(
                "{} was exported with {what} {then}, and this run has {now}: their rows would not fit together. Export \
                 to another folder, or use {then}.",
                root.display()
            )));
        }
    }
    if found.is_simulated != manifest.is_simulated {
        let [of, now] = [found.is_simulated, manifest.is_simulated].map(account);
        return Err(Error::config(format!(
            "{} has rows of {of}, and this run reads {now}. Export to another folder.",
            root.display()
        )));
    }
    Ok(())
}

fn account(is_simulated: bool) -> &'static str {
    if is_simulated { "a simulated account" } else { "a Criteo account" }
}

/// The error of rows that were read and cannot be merged into files.
pub(crate) fn unmerged(error: &io::Error) -> Error {
    Error::system(format!("The rows that were read cannot be written to files: {error}."))
}

fn cannot_be_written(root: &Path, error: &io::Error) -> Error {
    Error::config(format!("Cannot export to {}: {error}. Fix this, or export to another folder.", root.display()))
}
