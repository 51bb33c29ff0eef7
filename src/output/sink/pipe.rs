//! Rows of one stream on stdout, without messages: for programs that read a table from a pipe.

use std::io;

use arrow_ipc::writer::StreamWriter;
use clap::ValueEnum;

use crate::output::sink::RecordTarget;
use crate::output::stream::StreamOutput;
use crate::output::table::columns::Columns;
use crate::output::table::render::{write_csv, write_csv_header};
use crate::output::table::{Dialect, Table, other};
use crate::output::writer::Lines;
use crate::protocol::singer::log::Log;

/// The format of rows on a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PipeFormat {
    /// An Arrow IPC stream.
    Arrow,
    /// CSV with a header (RFC 4180).
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// The sink of a pipe.
pub struct Pipe {
    log: Log,
    format: PipeFormat,
    table: Option<Open>,
}

struct Open {
    columns: Columns,
    writer: Writer,
}

enum Writer {
    Arrow(Box<StreamWriter<Vec<u8>>>),
    /// The header, until it was written.
    Csv(Vec<u8>),
}

impl Pipe {
    /// A pipe that logs to `log`.
    #[must_use]
    pub fn new(log: Log, format: PipeFormat) -> Self {
        Self { log, format, table: None }
    }

    /// Where logs go.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Prepares the columns; the header follows with the first rows, or at the end.
    pub(super) fn prepare_stream(&mut self, stream: &StreamOutput) {
        let table = Table::new(&stream.setup.stream, &stream.setup.plan, Dialect::Files);
        let writer = match self.format {
            PipeFormat::Arrow => {
                StreamWriter::try_new(Vec::new(), &table.schema).ok().map(|writer| Writer::Arrow(Box::new(writer)))
            }
            PipeFormat::Csv => {
                let mut header = Vec::new();
                write_csv_header(&mut header, &table.schema).ok().map(|()| Writer::Csv(header))
            }
            PipeFormat::Jsonl => None,
        };
        self.table = writer.map(|writer| Open { columns: Columns::new(&table), writer });
    }

    pub(super) fn record_target<'a>(&'a mut self, out: &'a mut Lines) -> RecordTarget<'a> {
        if self.table.is_some() { RecordTarget::Pipe(self, out) } else { RecordTarget::Lines(out) }
    }

    pub(super) fn columns(&mut self) -> Option<&mut Columns> {
        self.table.as_mut().map(|table| &mut table.columns)
    }

    /// Appends the row in the columns' cells.
    pub(super) fn end_row(&mut self, out: &mut Lines) -> io::Result<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        table.columns.append();
        if table.columns.is_full() { table.write(out) } else { Ok(()) }
    }

    /// Passes on the rows before a state.
    pub(super) fn pass_on(&mut self, out: &mut Lines) {
        if let Some(table) = &mut self.table
            && let Err(error) = table.write(out)
        {
            out.broken.get_or_insert(error);
        }
    }

    /// Warnings about values that are not stored as Criteo sent them.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.table.as_ref().map(|table| table.columns.warnings()).unwrap_or_default()
    }

    pub(super) fn finish(&mut self, out: &mut Lines) {
        self.pass_on(out);
        if let Some(Open { writer: Writer::Arrow(mut writer), .. }) = self.table.take()
            && writer.finish().is_ok()
        {
            out.buffer.append(writer.get_mut());
        }
    }
}

impl Open {
    fn write(&mut self, out: &mut Lines) -> io::Result<()> {
        let batch = if self.columns.is_empty() { None } else { Some(self.columns.take().map_err(other)?) };
        match &mut self.writer {
            Writer::Arrow(writer) => {
                if let Some(batch) = batch {
                    writer.write(&batch).map_err(other)?;
                }
                out.buffer.append(writer.get_mut());
            }
            Writer::Csv(header) => {
                out.buffer.append(header);
                if let Some(batch) = batch {
                    write_csv(&mut out.buffer, &batch)?;
                }
            }
        }
        Ok(())
    }
}
