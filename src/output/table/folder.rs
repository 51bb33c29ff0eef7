//! A folder with exported tables: data files for people, and `.source-criteo` with states and rows on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::state_file::{OF_EXPORT, STATE_OF_EXPORT, StateFile};
use crate::output::stream::StreamSetup;
use crate::output::table::finish::{WORKBOOK, count_rows};
pub use crate::output::table::manifest::{FileFormat, Manifest, format_of};
use crate::output::table::manifest::{MANIFEST, cannot_be_written, check_manifest, refuse_foreign, refuse_links};
use crate::output::table::record::{RECORD, Record};
use crate::output::table::staged::{self, SliceNote, Staged};
use crate::output::table::store::{ParquetFile, Store, is_damaged_parquet, open_old};
use crate::output::table::{Dialect, Layout, Table, in_file, other};
use crate::products::Stream;
use crate::protocol::airbyte;
use crate::state::reading::Reading;
use crate::state::saved::{Saved, States};
use crate::support::files::{self, Kept};
use crate::support::text::list_of;

/// Tables with their files.
pub(super) type Tables = Vec<(String, Vec<PathBuf>)>;

/// A folder that this run exports to. Other runs cannot open it.
pub struct Folder {
    pub(super) root: PathBuf,
    pub(super) format: FileFormat,
    pub(super) store: Store,
    staged: PathBuf,
    states: StateFile,
    record: Record,
    /// Files of an earlier run that were gone, and that this run has written from its Parquet files.
    pub(super) restored: Vec<String>,
    /// Whether an earlier run has left tables, but no workbook.
    pub(super) lacks_workbook: bool,
    /// The tables that could not be merged, which was reported.
    pub(super) unmerged: BTreeSet<String>,
    /// What advertisers are called, if this run reads all that grant consent.
    reads_all: Option<&'static str>,
    /// Tables with rows of advertisers that this run does not read, by these.
    absent: BTreeMap<BTreeSet<String>, Vec<String>>,
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
        refuse_links(root)?; // guard: links
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
        let record = Record::open(hidden.join(RECORD), &store).map_err(broken)?;
        let lacks_workbook =
            format == FileFormat::Xlsx && !root.join(WORKBOOK).exists() && !store.tables().map_err(broken)?.is_empty();
        Ok(Self {
            root: root.to_owned(),
            format,
            store,
            staged,
            states,
            record,
            restored: Vec::new(),
            lacks_workbook,
            unmerged: BTreeSet::new(),
            reads_all: None,
            absent: BTreeMap::new(),
            _lock: lock,
        })
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

    /// Notes that this run reads all advertisers that grant consent, and what they are called.
    pub fn reads_all(&mut self, scopes: &'static str) {
        self.reads_all = Some(scopes);
    }

    /// Files of an earlier run that were gone, and that this run has written from its Parquet files.
    pub(crate) fn restored(&self) -> &[String] {
        &self.restored
    }

    /// Warnings about what this run has left in the folder.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let Some(scopes) = self.reads_all else { return Vec::new() };
        let texts = self.absent.iter().map(|(ids, tables)| {
            let tables = tables.join(",");
            format!(
                "Previously exported {scopes} no longer grant consent: {}. Their rows stay as they were. To remove them, \
                 export again with `--streams {tables} --reset`.",
                list_of(ids.iter().cloned())
            )
        });
        texts.collect()
    }

    /// Removes state and files of a table, so that it is read from the start.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        self.forget(name).map_err(|error| cannot_be_written(&self.root, &error))
    }

    /// Has this run read the days of files again that are no longer there, although the state claims them.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn reread_missing(&mut self, stream: &Stream) -> Result<()> {
        let layout = Layout::new(stream);
        let reread = self.record.note_missing(&self.store, &layout.name).and_then(|()| self.mark_missing(&layout));
        reread.map_err(|error| cannot_be_written(&self.root, &error))
    }

    /// Marks the days of missing files as unread in the saved state.
    fn mark_missing(&mut self, layout: &Layout) -> io::Result<()> {
        let name = &layout.name;
        let names = self.record.missing(name).map(str::to_owned);
        if names.len() == 0 {
            return Ok(());
        }
        let names = list_of(names);
        let state = self.states.states().get(name).map(Saved::value).transpose().map_err(other)?;
        match Reading::of(&state.unwrap_or_default()) {
            Ok(Reading::Days(mut cursors)) => {
                for days in self.record.missing_days(layout) {
                    cursors.lose(days);
                }
                self.states.keep(name, &cursors.to_value()).map_err(other)?;
                self.states.save().map_err(other)?;
            }
            // Without a state, everything is read anyway.
            Ok(_) => {}
            // The stream fails, with this error.
            Err(_) => return Ok(()),
        }
        tracing::warn!(
            "Files of the table {name} are no longer in the folder: {names}. An export of this stream reads their days \
             again, as far as Criteo keeps them."
        );
        self.record.forget_missing(name)
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
        self.record.forget_table(name)
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
        let merged = self.merge_staged(name);
        if merged.is_err() {
            self.unmerged.insert(name.to_owned());
        }
        merged
    }

    fn merge_staged(&mut self, name: &str) -> io::Result<()> {
        let folder = self.staged.join(name);
        let files = staged::files_of(&folder)?;
        let state: Option<Value> = files.iter().rev().find_map(|file| file.notes.state.clone());
        let layout = files.first().map(|file| file.notes.layout.clone());
        let first = files.iter().flat_map(|file| &file.notes.slices).filter_map(SliceNote::first_day).min();
        // Later, the merge may have written new files in their place.
        self.record.note_missing(&self.store, name)?;
        let record = &mut self.record;
        let merged = self.store.merge(files, &mut |partition| record.forget(name, partition))?;
        if !merged.absent.is_empty() && self.reads_all.is_some() {
            self.absent.entry(merged.absent).or_default().push(name.to_owned());
        }
        for path in merged.changed {
            self.render(&path)?;
        }
        if let Some(state) = state {
            self.states.keep(name, &state).map_err(other)?;
            self.states.save().map_err(other)?;
        }
        if layout.is_some() {
            self.record.keep(&self.store, name, first)?;
        }
        staged::remove_all(&folder).map_err(|error| in_file(&folder, error))?;
        // Staged files that are merged once more would bring back the state without these holes.
        layout.map_or(Ok(()), |layout| self.mark_missing(&layout))
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
}

/// The error of rows that were read and cannot be merged into files.
pub(crate) fn unmerged(error: &io::Error) -> Error {
    Error::system(format!("The rows that were read cannot be written to files: {error}."))
}

/// The error of files that cannot be read or written after all rows were merged.
pub(crate) fn unfinished(error: &io::Error) -> Error {
    Error::system(format!("The export is incomplete: {error}."))
}
