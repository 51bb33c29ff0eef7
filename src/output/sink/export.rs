//! Tables in a folder: rows go to staged files, which are merged into the tables when a stream ends.

use crate::error::Result;
use crate::output::stream::StreamSetup;
use crate::output::table::folder::{Folder, unmerged};
use crate::output::table::staged::Staged;
use crate::output::table::{Dialect, Table};
use crate::output::writer::Lines;
use crate::protocol::singer::log::Log;

/// The sink of an export.
pub struct Export {
    pub(crate) log: Log,
    pub(crate) folder: Folder,
}

impl Export {
    pub(super) fn staged(&self, setup: &StreamSetup) -> Staged {
        self.folder.staged(Table::new(&setup.stream, &setup.plan, Dialect::Files))
    }

    /// Writes what covers all tables, and says what to do with them.
    pub(super) fn finish(&mut self, out: &mut Lines, shows_next_steps: bool) -> Result<()> {
        self.folder.finish().map_err(|error| unmerged(&error))?;
        for line in self.folder.next_steps().into_iter().filter(|_| shows_next_steps) {
            out.text(&line);
        }
        Ok(())
    }
}
