//! Tables in a folder: rows go to staged files, which are merged into the tables when a stream ends.

use std::collections::BTreeMap;
use std::io;

use chrono::NaiveDate;
use tracing::Level;

use crate::error::{Error, Result};
use crate::model::windows::Windows;
use crate::output::report_page::watch::Numbers;
use crate::output::sink::StreamFiles;
use crate::output::stream::{StreamOutput, StreamSetup};
use crate::output::table::folder::{Folder, unfinished, unmerged};
use crate::output::table::staged::Staged;
use crate::output::tally::ReportTally;
use crate::output::writer::Lines;
use crate::protocol::singer::log::Log;
use crate::support::text::{counted, list_of};

/// The sink of an export.
pub struct Export {
    pub(super) log: Log,
    folder: Folder,
    /// The tables that this run has merged.
    merged: Vec<Merged>,
}

/// What a run did to a table.
struct Merged {
    name: String,
    days: Option<Windows>,
    /// How many days agree with Criteo's totals, in words.
    proof: Option<String>,
}

impl Export {
    pub(super) fn new(log: Log, folder: Folder) -> Self {
        Self { log, folder, merged: Vec::new() }
    }

    pub(super) fn staged(&self, setup: &StreamSetup) -> Staged {
        self.folder.staged(setup)
    }

    /// Merges the rows of a closed stream.
    pub(super) fn merge(&mut self, stream: &StreamOutput) -> Result<()> {
        let name = &stream.setup.name;
        self.folder.merge(name).map_err(|error| unmerged(&error))?;
        let days = stream.files.as_ref().and_then(StreamFiles::days_read);
        self.merged.push(Merged {
            name: name.clone(),
            days: days.cloned(),
            proof: stream.tally.as_ref().and_then(ReportTally::proof),
        });
        Ok(())
    }

    /// Sums of a table per day, from `first` on.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn daily_sums(&self, table: &str, first: NaiveDate) -> io::Result<BTreeMap<NaiveDate, Numbers>> {
        self.folder.daily_sums(table, first)
    }

    /// Says below the next steps that the files are not complete.
    pub(super) fn sum_up_failures(&self, failures: &[String]) {
        let name = |failure: &String| failure.split_once(": ").map(|(name, _)| name.to_owned());
        let names: Vec<_> = failures.iter().filter_map(name).collect();
        if !names.is_empty() {
            let names = list_of(names.into_iter());
            let text = format!("Incomplete: {names}. The errors above say why; the files keep what earlier runs read.");
            self.log.line(Level::ERROR, None, &text);
        }
    }

    /// Warnings about what the run has left in the folder.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.folder.warnings()
    }

    /// Writes the files that cover all tables, logs the rows of each table, and prints the next steps. Returns what could
    /// not be read or written.
    pub(super) fn finish(&mut self, out: &mut Lines) -> Vec<Error> {
        let problems = self.folder.finish();
        for table in &self.merged {
            // A file that cannot be read is among the problems.
            let Ok(rows) = self.folder.count_rows(&table.name) else { continue };
            let read = table.days.as_ref().map(|days| format!("; read {days}")).unwrap_or_default();
            let proof = table.proof.as_ref().map(|proof| format!("; {proof}")).unwrap_or_default();
            let text = format!("{} in the table{read}{proof}.", counted(rows, "row"));
            self.log.line(Level::INFO, Some(&table.name), &text);
        }
        let restored = self.folder.restored();
        if !restored.is_empty() {
            let names = list_of(restored.iter().cloned());
            out.text(&format!(
                "These files were missing and are written again from the rows of earlier runs: {names}."
            ));
        }
        for line in self.folder.next_steps() {
            out.text(&line);
        }
        problems.iter().map(unfinished).collect()
    }
}
