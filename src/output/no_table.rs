//! Stands in for tables in builds without the feature `files`: none of its types has a value.

/// Rows in columns.
pub(crate) mod columns {
    use crate::output::stream::StreamSetup;
    use crate::output::table::Dialect;
    use crate::rows::project::RowCells;

    pub(crate) enum Columns {}

    impl Columns {
        pub(crate) fn of(_: &StreamSetup, _: Dialect) -> Option<Self> {
            None
        }

        pub(crate) fn cells(&mut self) -> &mut RowCells {
            match *self {}
        }

        pub(crate) fn append(&mut self) {
            match *self {}
        }

        pub(crate) fn is_full(&self) -> bool {
            match *self {}
        }

        pub(crate) fn warnings(&self) -> Vec<String> {
            match *self {}
        }
    }
}

/// Files of columns.
pub(crate) mod arrow_file {
    use std::fs::File;
    use std::io;

    use crate::output::table::columns::Columns;

    pub(crate) enum ArrowFile {}

    impl ArrowFile {
        pub(crate) fn create(_: File, columns: &Columns) -> io::Result<Self> {
            match *columns {}
        }

        pub(crate) fn write(&mut self, _: &mut Columns) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn finish(&mut self) -> io::Result<()> {
            match *self {}
        }
    }
}

/// Rows on their way into a table.
pub(crate) mod staged {
    use std::io;

    use serde_json::Value;

    use crate::model::windows::Windows;
    use crate::output::Coverage;
    use crate::output::table::columns::Columns;

    pub(crate) enum Staged {}

    impl Staged {
        pub(crate) fn columns(&mut self) -> &mut Columns {
            match *self {}
        }

        pub(crate) fn warnings(&self) -> Vec<String> {
            match *self {}
        }

        pub(crate) fn days_read(&self) -> &Windows {
            match *self {}
        }

        pub(crate) fn finish_snapshot(&mut self, _: &[String]) {
            match *self {}
        }

        pub(crate) fn end_row(&mut self) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn end_slice(&mut self, _: Option<&Coverage>) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn is_due(&self) -> bool {
            match *self {}
        }

        pub(crate) fn finish_file(&mut self, _: Option<&Value>) -> io::Result<()> {
            match *self {}
        }
    }
}

/// A folder of tables.
pub mod folder {
    use std::collections::BTreeMap;
    use std::io;

    use chrono::NaiveDate;

    use crate::error::Error;
    use crate::output::report_page::watch::Numbers;
    use crate::output::stream::StreamSetup;
    use crate::output::table::staged::Staged;

    /// A folder of tables, of which this build has none.
    pub enum Folder {}

    impl Folder {
        pub(crate) fn staged(&self, _: &StreamSetup) -> Staged {
            match *self {}
        }

        pub(crate) fn merge(&mut self, _: &str) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn finish(&mut self) -> Vec<io::Error> {
            match *self {}
        }

        pub(crate) fn warnings(&self) -> Vec<String> {
            match *self {}
        }

        pub(crate) fn restored(&self) -> &[String] {
            match *self {}
        }

        pub(crate) fn count_rows(&self, _: &str) -> io::Result<u64> {
            match *self {}
        }

        pub(crate) fn daily_sums(&self, _: &str, _: NaiveDate) -> io::Result<BTreeMap<NaiveDate, Numbers>> {
            match *self {}
        }

        pub(crate) fn next_steps(&self) -> Vec<String> {
            match *self {}
        }
    }

    pub(crate) fn unfinished(error: &io::Error) -> Error {
        Error::system(error.to_string())
    }

    pub(crate) fn unmerged(error: &io::Error) -> Error {
        Error::system(error.to_string())
    }
}

/// Who reads the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Loaders of Singer targets.
    Singer,
}
