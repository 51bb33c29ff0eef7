//! An Arrow file with the rows of columns.

use std::fs::File;
use std::io::{self, BufWriter};

use arrow_ipc::writer::FileWriter;

use crate::output::table::columns::Columns;
use crate::output::table::other;

/// An Arrow file that is being written.
pub(crate) struct ArrowFile {
    writer: FileWriter<BufWriter<File>>,
}

impl ArrowFile {
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn create(file: File, columns: &Columns) -> io::Result<Self> {
        let writer = FileWriter::try_new(BufWriter::new(file), columns.schema()).map_err(other)?;
        Ok(Self { writer })
    }

    /// Writes the collected rows, if there are any.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&mut self, columns: &mut Columns) -> io::Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let batch = columns.take().map_err(other)?;
        self.writer.write(&batch).map_err(other)
    }

    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(other)?;
        self.writer.flush().map_err(other)
    }
}
