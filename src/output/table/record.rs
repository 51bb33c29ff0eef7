//! Which files the tables of a folder have, so that deleted ones are noticed: the state claims their days.
//!
//! A file is recorded once the state after its rows is saved, and no longer before an export removes it. So a recorded
//! file that is not there was deleted by someone else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::model::calendar::{Grain, Window, days_after, days_before, period_end};
use crate::output::table::store::Store;
use crate::output::table::{Layout, Merge, Partition, in_file};
use crate::support::files;

/// The name of the record in the part of the folder that is not for people.
pub(super) const RECORD: &str = "files.json";
/// How far the day that Criteo selects a row by may be from the day of its file, for rows with two days: the longest time
/// between an event and its transaction.
const MARGIN_OF_EVENTS: u32 = 33;
/// The same for log files, which may have rows of the days beside theirs.
const MARGIN_OF_LOG_FILES: u32 = 1;

/// The partitions of each table.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    tables: BTreeMap<String, Partitions>,
}

/// The partitions of a table, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Partitions {
    files: BTreeSet<String>,
    /// The first day that was read, unless an earlier version wrote files, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<NaiveDate>,
    /// Those that were deleted, and whose days are not holes in the state yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    missing: BTreeSet<String>,
}

impl Record {
    /// Reads the record. A folder without one was written by an earlier version: what is there is recorded.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(super) fn open(path: PathBuf, store: &Store) -> io::Result<Self> {
        match fs::read(&path) {
            Ok(text) => {
                let tables = serde_json::from_slice(&text).map_err(|error| in_file(&path, error))?;
                Ok(Self { path, tables })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut tables = BTreeMap::new();
                for table in store.tables()? {
                    let partitions = Partitions { files: store.partitions(&table)?, ..Partitions::default() };
                    if !partitions.files.is_empty() {
                        tables.insert(table, partitions);
                    }
                }
                let record = Self { path, tables };
                record.save()?;
                Ok(record)
            }
            Err(error) => Err(in_file(&path, error)),
        }
    }

    /// Notes which recorded files of a table are gone.
    ///
    /// # Errors
    /// If the folder cannot be read, or the record cannot be written.
    pub(super) fn note_missing(&mut self, store: &Store, table: &str) -> io::Result<()> {
        let Some(partitions) = self.tables.get_mut(table) else { return Ok(()) };
        // guard: missing-files
        let gone: Vec<_> = partitions.files.difference(&store.partitions(table)?).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        for name in gone {
            partitions.files.remove(&name);
            partitions.missing.insert(name);
        }
        self.save()
    }

    /// The names of a table's files that are gone.
    pub(super) fn missing(&self, table: &str) -> impl ExactSizeIterator<Item = &str> {
<<<<<<< HEAD
        let missing: Option<Vec<_>> =
            self.tables.get(table).map(|partitions| partitions.missing.iter().map(String::as_str).collect());
        missing.unwrap_or_default().into_iter()
=======
        let missing = self.tables.get(table).map(|partitions| partitions.missing.iter().map(String::as_str));
        missing.map(Iterator::collect::<Vec<_>>).unwrap_or_default().into_iter()
>>>>>>> 1a10faf585b85db2a7f557f02d9434dcc9305bbc
    }

    /// The days of a table's files that are gone, to be read again.
    pub(super) fn missing_days(&self, layout: &Layout) -> Vec<Window> {
        let margin = match (layout.merge, layout.partition) {
            (Merge::Keys, Partition::Months) => MARGIN_OF_EVENTS,
            (Merge::Keys, _) => MARGIN_OF_LOG_FILES,
            _ => 0,
        };
        let since = self.tables.get(&layout.name).and_then(|partitions| partitions.since).unwrap_or(NaiveDate::MIN);
        let mut days: Vec<Window> = Vec::new();
        for window in self.missing(&layout.name).filter_map(|name| layout.partition.days(name)) {
            let start = days_before(window.start, margin).max(since);
            let window = Window { start, end: days_after(window.end, margin) };
            match days.last_mut() {
                Some(last) if window.start <= days_after(last.end, 1) => last.end = last.end.max(window.end),
                _ => days.push(window),
            }
        }
        days
    }

    /// Notes that the days of missing files are holes in the state, or that there is no state.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn forget_missing(&mut self, table: &str) -> io::Result<()> {
        match self.tables.get_mut(table) {
            Some(partitions) if !partitions.missing.is_empty() => {
                partitions.missing.clear();
                self.save()
            }
            _ => Ok(()),
        }
    }

    /// Forgets a file that is about to be removed.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn forget(&mut self, table: &str, partition: &str) -> io::Result<()> {
        let is_known = self.tables.get_mut(table).is_some_and(|partitions| partitions.files.remove(partition));
        if is_known { self.save() } else { Ok(()) }
    }

    /// Forgets a table.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn forget_table(&mut self, table: &str) -> io::Result<()> {
        if self.tables.remove(table).is_some() { self.save() } else { Ok(()) }
    }

    /// Records the files that a table has, and the first day of those that a merge has read.
    ///
    /// # Errors
    /// If the folder cannot be read, or the record cannot be written.
    pub(super) fn keep(&mut self, store: &Store, table: &str, first: Option<NaiveDate>) -> io::Result<()> {
        let files = store.partitions(table)?;
        let since = match self.tables.get(table) {
            Some(known) => known.since.map(|since| first.map_or(since, |first| first.min(since))),
            None => first,
        };
        let known = self.tables.entry(table.to_owned()).or_default();
        if known.files == files && known.since == since {
            return Ok(());
        }
        (known.files, known.since) = (files, since);
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let text = serde_json::to_string(&self.tables)? + "\n";
        files::write(&self.path, &text).map_err(|error| in_file(&self.path, error))
    }
}

impl Partition {
    /// The days of the file with this name.
    fn days(self, name: &str) -> Option<Window> {
        match self {
            Self::None => None,
            Self::Days => name.parse().ok().map(|day: NaiveDate| Window { start: day, end: day }),
            Self::Months => {
                let start: NaiveDate = format!("{name}-01").parse().ok()?;
                Some(Window { start, end: period_end(start, Grain::Month) })
            }
        }
    }
}
