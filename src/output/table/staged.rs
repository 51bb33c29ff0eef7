//! Rows on their way into a table: files that are complete once they have their name, each with the state after its rows.
//!
//! A staged file makes rows and state durable together: both exist or neither does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::calendar::Window;
use crate::model::windows::Windows;
use crate::output::Coverage;
use crate::output::table::columns::Columns;
use crate::output::table::{Layout, Merge, Table, in_file, other};
use crate::support::{files, watchdog};

/// A file is finished after this many rows.
const FILE_ROWS: u64 = 1_000_000;
/// A file is finished after this long, so that a killed run loses little.
const FILE_TIME: Duration = Duration::from_secs(30);
/// The key of [`Notes`] in a file's metadata.
const NOTES: &str = "source-criteo";
const EXTENSION: &str = "arrow";
const UNFINISHED: &str = "part";
/// Marks a folder whose files were merged.
const DONE: &str = "merged";

/// What a staged file holds besides its batches.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Notes {
    pub layout: Layout,
    pub slices: Vec<SliceNote>,
    /// The state after these rows.
    pub state: Option<Value>,
    /// Advertisers and countries of a read of all objects, if this is its end.
    pub scope: Option<Vec<String>>,
}

/// A response that was written completely.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SliceNote {
    /// Its batches: the first one, and how many.
    pub batches: (usize, usize),
    pub rows: u64,
    /// The first and last day of its rows.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// The first days of the partitions that its rows are in.
    pub partitions: BTreeSet<NaiveDate>,
    /// What it covers, if rows of these days and advertisers are replaced.
    pub coverage: Option<CoverageNote>,
}

impl SliceNote {
    /// The first day that it covers or has rows of.
    pub(super) fn first_day(&self) -> Option<NaiveDate> {
        let covered = self.coverage.as_ref().map(|coverage| coverage.since);
        covered.into_iter().chain(self.days.map(|(first, _)| first)).min()
    }
}

/// Days and advertisers that were read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CoverageNote {
    pub since: NaiveDate,
    pub until: NaiveDate,
    pub advertisers: Vec<String>,
    /// Slices with the same number are parts of one read.
    pub read: u64,
    /// Whether this was the last part.
    pub is_complete: bool,
}

/// Writes the staged files of one table.
pub(crate) struct Staged {
    folder: PathBuf,
    table: Table,
    columns: Columns,
    open: Option<Open>,
    /// The number of the next file; names sort by it.
    next: u64,
    /// Whether the next run continues from the state: objects are read whole.
    keeps_states: bool,
    /// First batch, rows and days of the slice under way.
    first_batch: usize,
    rows: u64,
    days: Option<(NaiveDate, NaiveDate)>,
    partitions: BTreeSet<NaiveDate>,
    /// The index of the period, and its zone.
    period: Option<usize>,
    zone: Option<Tz>,
    /// What was read, if everything of the stream was written.
    scope: Option<Vec<String>>,
    /// The days that were read in this run.
    days_read: Windows,
    is_broken: bool,
}

struct Open {
    writer: FileWriter<BufWriter<File>>,
    path: PathBuf,
    batches: usize,
    rows: u64,
    notes: Notes,
    since: Instant,
}

impl Staged {
    /// The staged files of a table, in this folder; the first is created with the first rows.
    pub(super) fn new(folder: PathBuf, table: Table) -> Self {
        let period = table.layout.period.as_ref().and_then(|period| table.schema.index_of(period).ok());
        Self {
            folder,
            columns: Columns::new(&table),
            period,
            zone: table.layout.zone(),
            open: None,
            next: 0,
            keeps_states: table.layout.merge != Merge::All,
            table,
            first_batch: 0,
            rows: 0,
            days: None,
            partitions: BTreeSet::new(),
            scope: None,
            days_read: Windows::default(),
            is_broken: false,
        }
    }

    /// The columns that collect the rows.
    pub(crate) fn columns(&mut self) -> &mut Columns {
        &mut self.columns
    }

    /// Warnings about values that are not stored as Criteo sent them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.columns.warnings()
    }

    /// The days that were read in this run.
    pub(crate) fn days_read(&self) -> &Windows {
        &self.days_read
    }

    /// Notes that everything of the stream was written, for this scope.
    pub(crate) fn finish_snapshot(&mut self, scope: &[String]) {
        self.scope = Some(scope.to_vec());
    }

    /// Appends the row in the columns' cells.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn end_row(&mut self) -> io::Result<()> {
        if let Some(day) = self.period.and_then(|period| self.columns.day(period, self.zone)) {
            self.partitions.insert(self.table.layout.partition.start(day));
            self.days = Some(joined(self.days, (day, day)));
        }
        self.columns.append();
        self.rows += 1;
        if self.columns.is_full() { self.write_batch() } else { Ok(()) }
    }

    /// Ends a slice whose rows were all written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn end_slice(&mut self, coverage: Option<&Coverage>) -> io::Result<()> {
        self.write_batch()?;
        let coverage = coverage.map(|coverage| CoverageNote {
            since: coverage.days.start,
            until: coverage.days.end,
            advertisers: coverage.advertisers.iter().map(|id| id.0.clone()).collect(),
            read: coverage.read,
            is_complete: coverage.is_complete,
        });
        let read = coverage.as_ref().map(|coverage| (coverage.since, coverage.until)).or(self.days);
        if let Some((start, end)) = read {
            self.days_read.add(Window { start, end });
        }
        let (first, days, rows) = (self.first_batch, self.days.take(), std::mem::take(&mut self.rows));
        let partitions = std::mem::take(&mut self.partitions);
        let open = self.open()?;
        let batches = (first, open.batches - first);
        if batches.1 > 0 || coverage.is_some() {
            open.notes.slices.push(SliceNote { batches, rows, days, partitions, coverage });
        }
        self.first_batch = open.batches;
        Ok(())
    }

    /// Whether the open file should be finished.
    pub(crate) fn is_due(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.rows >= FILE_ROWS || open.since.elapsed() >= FILE_TIME)
    }

    /// Finishes the open file, with the state after its rows: from now on, both are durable.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finish_file(&mut self, state: Option<&Value>) -> io::Result<()> {
        if self.open.is_none() && !self.is_broken && state.is_none() && self.scope.is_none() {
            return Ok(());
        }
        let (state, scope) = (state.cloned().filter(|_| self.keeps_states), self.scope.clone());
        let open = self.open()?;
        open.notes.state = state;
        open.notes.scope = scope;
        let Some(Open { mut writer, path, notes, .. }) = self.open.take() else { return Ok(()) };
        let finished = (|| {
            writer.write_metadata(NOTES, serde_json::to_string(&notes)?);
            writer.finish().map_err(other)?;
            let file = writer.into_inner().map_err(other)?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&path, path.with_extension(EXTENSION))?;
            files::sync_folder_of(&path);
            Ok(())
        })();
        self.first_batch = 0;
        finished.map_err(|error| self.give_up(&path, error))
    }

    /// Notes that rows were lost.
    fn give_up(&mut self, path: &Path, error: io::Error) -> io::Error {
        self.is_broken = true;
        self.open = None;
        // Frees space on a full disk; the next run removes it otherwise.
        let _ = fs::remove_file(path);
        in_file(path, error)
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        watchdog::moved();
        let batch = self.columns.take().map_err(other)?;
        let open = self.open()?;
        open.batches += 1;
        open.rows += batch.num_rows() as u64;
        let written = open.writer.write(&batch).map_err(other);
        let path = open.path.clone();
        written.map_err(|error| self.give_up(&path, error))
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.is_broken {
            return Err(in_file(&self.folder, io::Error::other("rows were lost")));
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.create()?,
        };
        Ok(self.open.insert(open))
    }

    fn create(&mut self) -> io::Result<Open> {
        let path = self.folder.join(format!("{:08}.{UNFINISHED}", self.next));
        self.next += 1;
        let created = files::create_folder(&self.folder)
            .and_then(|()| files::private().create_new(true).open(&path))
            .and_then(|file| FileWriter::try_new(BufWriter::new(file), &self.table.schema).map_err(other));
        let writer = created.map_err(|error| self.give_up(&path, error))?;
        let notes = Notes { layout: self.table.layout.clone(), slices: Vec::new(), state: None, scope: None };
        Ok(Open { writer, path, batches: 0, rows: 0, notes, since: Instant::now() })
    }
}

/// The days of both.
fn joined(one: Option<(NaiveDate, NaiveDate)>, (first, last): (NaiveDate, NaiveDate)) -> (NaiveDate, NaiveDate) {
    one.map_or((first, last), |one| (one.0.min(first), one.1.max(last)))
}

/// A finished staged file. It is opened for its rows, since there may be thousands.
pub(super) struct StagedFile {
    path: PathBuf,
    pub schema: SchemaRef,
    pub notes: Notes,
}

pub(super) type Reader = FileReader<io::BufReader<File>>;

impl StagedFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let reader = open_reader(&path)?;
        let notes = reader.custom_metadata().get(NOTES).map_or("", String::as_str);
        let notes = serde_json::from_str(notes).map_err(|error| in_file(&path, error))?;
        Ok(Self { schema: reader.schema(), path, notes })
    }

    /// Opens the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(&self) -> io::Result<Reader> {
        open_reader(&self.path)
    }
}

fn open_reader(path: &Path) -> io::Result<Reader> {
    let file = File::open(path).map_err(|error| in_file(path, error))?;
    FileReader::try_new(io::BufReader::new(file), None).map_err(|error| in_file(path, error))
}

/// The finished files of a table, in order; removes unfinished ones.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<StagedFile>> {
    let mut paths = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(in_file(folder, error)),
    };
    for entry in entries {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(EXTENSION) => paths.push(path),
            Some(UNFINISHED) => fs::remove_file(&path).map_err(|error| in_file(&path, error))?,
            _ => {}
        }
    }
    paths.sort();
    let mut files: Vec<StagedFile> = Vec::with_capacity(paths.len());
    for path in paths {
        let file = StagedFile::new(path)?;
        if file.notes.state.is_some() {
            // Only the last state counts, and each may be megabytes.
            for earlier in &mut files {
                earlier.notes.state = None;
            }
        }
        files.push(file);
    }
    Ok(files)
}

/// Removes the staged files of a table in one step: a part of them would lead to an older state.
///
/// # Errors
/// If they cannot be removed.
pub(super) fn remove_all(folder: &Path) -> io::Result<()> {
    let done = folder.with_extension(DONE);
    match fs::rename(folder, &done) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            files::sync_folder_of(folder);
            fs::remove_dir_all(&done)
        }
    }
}

/// The names of the tables with staged files in this folder; removes what a killed run was about to remove.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn tables_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == DONE) {
            fs::remove_dir_all(&path)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
