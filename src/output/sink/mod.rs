//! The forms of the output, one file each. A sink decides how an event looks and where it goes; what is read, in which order,
//! and when a state is due, is the same for all.

pub mod airbyte;
pub mod batch;
pub mod capture;
pub mod console;
pub mod export;
#[cfg_attr(not(feature = "files"), path = "no_pipe.rs")]
pub mod pipe;
pub mod singer;

use std::io;

use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use tracing::Level;

use crate::error::{Error, Result};
use crate::http::CallStats;
use crate::model::windows::Windows;
use crate::output::Coverage;
use crate::output::report_page::watch;
use crate::output::sink::batch::BatchFiles;
use crate::output::sink::capture::Capture;
use crate::output::sink::console::Console;
use crate::output::sink::export::Export;
use crate::output::sink::pipe::Pipe;
use crate::output::sink::singer::SingerSink;
use crate::output::stream::{Progress, StreamOutput};
use crate::output::table::columns::Columns;
use crate::output::table::folder::Folder;
use crate::output::table::staged::Staged;
use crate::output::writer::{BUFFER, Lines};
use crate::protocol::airbyte::{Status, record_suffix};
use crate::rows::envelope::RowSink;
use crate::rows::project::JsonObject;
use crate::support::stop::{Stop, StopSender};
use crate::support::text::list_of;
use crate::support::watchdog;

/// The form of the output.
pub enum Sink {
    /// Airbyte messages on stdout.
    Airbyte,
    /// Singer messages on stdout, or batch files; logs on stderr.
    Singer(Box<SingerSink>),
    /// Documents on stdout, logs on stderr: commands for people.
    Console(Console),
    /// Rows and errors for a caller in this process.
    Capture(Capture),
    /// Rows of one stream on stdout, without messages; logs on stderr.
    Pipe(Box<Pipe>),
    /// Files in a folder; logs on stderr.
    Export(Box<Export>),
}

impl Sink {
    /// Whether logs go to stdout, so that a user at a terminal elsewhere does not see them.
    pub(crate) fn has_logs_on_stdout(&self) -> bool {
        matches!(self, Self::Airbyte)
    }

    /// Whether the command is for people, who get text instead of logs at a terminal.
    pub(crate) fn is_for_people(&self) -> bool {
        match self {
            Self::Console(_) | Self::Pipe(_) | Self::Export(_) => true,
            Self::Airbyte | Self::Singer(_) | Self::Capture(_) => false,
        }
    }

    /// Whether a program reads the errors, which expects one per stream.
    pub(crate) fn has_errors_by_stream(&self) -> bool {
        !self.is_for_people()
    }

    /// Whether each record lists its values that do not fit their columns.
    pub(crate) fn lists_misfits(&self) -> bool {
        matches!(self, Self::Airbyte)
    }

    /// Whether text for people goes to stdout.
    pub(crate) fn has_text_on_stdout(&self) -> bool {
        matches!(self, Self::Console(_))
    }

    /// Whether people asked for every line of the log.
    pub(crate) fn is_debugging(&self) -> bool {
        match self {
            Self::Console(console) => console.log.level() >= Level::DEBUG,
            Self::Pipe(pipe) => pipe.log().level() >= Level::DEBUG,
            Self::Export(export) => export.log.level() >= Level::DEBUG,
            Self::Airbyte | Self::Singer(_) | Self::Capture(_) => false,
        }
    }

    /// Logs a line. Secrets are masked.
    pub(crate) fn log(&self, out: &mut Lines, level: Level, stream: Option<&str>, text: &str) {
        match self {
            Self::Airbyte => airbyte::log(out, level, stream, text),
            Self::Singer(sink) => sink.log.line(level, stream, text),
            Self::Console(console) => console.log.line(level, stream, text),
            Self::Capture(_) => {}
            Self::Pipe(pipe) => pipe.log().line(level, stream, text),
            Self::Export(export) => export.log.line(level, stream, text),
        }
    }

    /// Reports an error of a stream or the run. Secrets are masked.
    pub(crate) fn report_error(&mut self, out: &mut Lines, stream: Option<&str>, error: &Error) {
        match self {
            Self::Airbyte => airbyte::report_error(out, stream, error),
            Self::Singer(sink) => sink.log.line(Level::ERROR, stream, &error.message),
            Self::Console(console) => console.log.line(Level::ERROR, stream, &error.message),
            Self::Capture(capture) => capture.report_error(error),
            Self::Pipe(pipe) => pipe.log().line(Level::ERROR, stream, &error.message),
            Self::Export(export) => export.log.line(Level::ERROR, stream, &error.message),
        }
    }

    /// Reports the outcome of `check`.
    pub(crate) fn report_check(&self, out: &mut Lines, outcome: &Result<String>) {
        match self {
            Self::Airbyte => airbyte::report_check(out, outcome),
            Self::Console(_) => console::report_check(out, outcome),
            _ => {}
        }
    }

    /// Passes on a configuration with a rotated refresh token. It contains secrets on purpose.
    pub(crate) fn report_config(&self, out: &mut Lines, config: &Value) {
        match self {
            Self::Airbyte => airbyte::report_config(out, config),
            Self::Singer(sink) => sink.log.line(Level::WARN, None, singer::CANNOT_STORE_TOKEN),
            Self::Console(console) => console.log.line(Level::WARN, None, console::CANNOT_STORE_TOKEN),
            Self::Pipe(pipe) => pipe.log().line(Level::WARN, None, console::CANNOT_STORE_TOKEN),
            Self::Export(export) => export.log.line(Level::WARN, None, console::CANNOT_STORE_TOKEN),
            Self::Capture(_) => {}
        }
    }

    /// Reports the expected number of rows of a stream.
    pub(crate) fn estimate(&self, out: &mut Lines, stream: &str, rows: u64) {
        if let Self::Airbyte = self {
            airbyte::estimate(out, stream, rows);
        }
    }

    /// Prepares a stream before it starts.
    pub(crate) fn prepare_stream(&mut self, stream: &mut StreamOutput) {
        match self {
            Self::Singer(sink) => sink.prepare_stream(stream),
            Self::Pipe(pipe) => pipe.prepare_stream(stream),
            Self::Export(export) => stream.files = Some(StreamFiles::Table(Box::new(export.staged(&stream.setup)))),
            Self::Airbyte | Self::Console(_) | Self::Capture(_) => {}
        }
    }

    /// Exports to a folder from now on.
    pub(crate) fn export_to(&mut self, folder: Box<Folder>) {
        *self = match std::mem::replace(self, Self::Airbyte) {
            Self::Console(console) => Self::Export(Box::new(Export::new(console.log, *folder))),
            other => other,
        };
    }

    /// Warnings about values of a stream that are not stored as Criteo sent them.
    pub(crate) fn column_warnings(&self, stream: &StreamOutput) -> Vec<String> {
        match self {
            Self::Pipe(pipe) => pipe.warnings(),
            _ => stream.files.as_ref().map(StreamFiles::warnings).unwrap_or_default(),
        }
    }

    /// Merges the rows of a closed stream into its files.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) fn merge(&mut self, stream: &StreamOutput) -> Result<()> {
        if let Self::Export(export) = self { export.merge(stream) } else { Ok(()) }
    }

    /// The one message for all streams that an interrupted run leaves incomplete, if a user reads it. Platforms and
    /// targets get one per stream.
    pub(crate) fn interruption(&self, unfinished: &[String], streams: usize) -> Option<String> {
        let Self::Export(_) = self else { return None };
        Some(format!(
            "The run was interrupted before {} of {} complete: {}. Nothing that was exported is lost. Run the same \
             command again: it continues from there.",
            unfinished.len(),
            if streams == 1 { "1 stream was".to_owned() } else { format!("{streams} streams were") },
            list_of(unfinished.iter().cloned())
        ))
    }

    /// Reports the start of a stream, before its first record.
    pub(crate) fn start_stream(&self, out: &mut Lines, stream: &mut StreamOutput) {
        match self {
            Self::Airbyte => airbyte::status(out, &stream.setup.name, Status::Started),
            Self::Singer(_) => out.message(&std::mem::take(&mut stream.setup.schema)),
            Self::Console(_) | Self::Capture(_) | Self::Pipe(_) | Self::Export(_) => {}
        }
    }

    /// Reports that a stream waits for the rate limit until `reset` (epoch milliseconds).
    pub(crate) fn report_rate_limit(&self, out: &mut Lines, stream: &str, reset: i64) {
        if let Self::Airbyte = self {
            airbyte::report_rate_limit(out, stream, reset);
        }
    }

    /// Writes a state of a stream.
    pub(crate) fn state(&mut self, out: &mut Lines, stream: &StreamOutput, state: &Value) {
        match self {
            Self::Airbyte => airbyte::state(out, stream, state),
            Self::Singer(sink) => sink.state(out, stream, state),
            Self::Pipe(pipe) => pipe.pass_on(out),
            Self::Export(_) | Self::Console(_) | Self::Capture(_) => {}
        }
    }

    /// Where the records of a slice go.
    pub(crate) fn record_target<'a>(
        &'a mut self,
        out: &'a mut Lines,
        stream: &StreamOutput,
        files: Option<&'a mut StreamFiles>,
    ) -> RecordTarget<'a> {
        match (self, files) {
            (_, Some(StreamFiles::Table(staged))) => RecordTarget::Table(staged),
            (Self::Pipe(pipe), _) => pipe.record_target(out),
            (_, Some(StreamFiles::Batches(files))) => RecordTarget::Files(files),
            (Self::Singer(_), None) => singer::record_target(out, stream),
            (Self::Airbyte | Self::Export(_), _) => airbyte::record_target(out, &stream.setup.name),
            (Self::Console(console), _) => RecordTarget::Nowhere(&mut console.buffer),
            (Self::Capture(capture), _) => RecordTarget::Capture(capture),
        }
    }

    /// Reports that a stream was written completely, for this scope. Returns a warning.
    pub(crate) fn finish_snapshot(
        &mut self,
        out: &mut Lines,
        stream: &StreamOutput,
        scope: &[String],
    ) -> Option<String> {
        if let Self::Singer(sink) = self { sink.finish_snapshot(out, stream, scope) } else { None }
    }

    /// Records the duration of an HTTP call.
    pub(crate) fn count_response(&self, stats: &CallStats) {
        if let Self::Singer(sink) = self {
            sink.count_response(stats);
        }
    }

    /// Reports the end of a stream, directly after its last state.
    pub(crate) fn end_stream(&self, out: &mut Lines, name: &str, is_complete: bool) {
        if let Self::Airbyte = self {
            airbyte::status(out, name, if is_complete { Status::Complete } else { Status::Incomplete });
        }
    }

    /// Reports the number of records and the duration of a stream that ends.
    pub(crate) fn report_metrics(&self, stream: &StreamOutput, is_complete: bool) {
        if let Self::Singer(sink) = self {
            sink.report_metrics(stream, is_complete);
        }
    }

    /// Warnings about the whole run.
    pub(crate) fn warnings(&self) -> Vec<String> {
        if let Self::Export(export) = self { export.warnings() } else { Vec::new() }
    }

    /// Writes what a sink wants after the last stream. Returns what could not be read or written.
    pub(crate) fn finish(&mut self, out: &mut Lines, is_stopping: bool) -> Vec<Error> {
        match self {
            Self::Singer(sink) => sink.finish(out),
            Self::Pipe(pipe) => pipe.finish(out),
            Self::Export(_) if is_stopping => {}
            Self::Export(export) => return export.finish(out),
            Self::Airbyte | Self::Console(_) | Self::Capture(_) => {}
        }
        Vec::new()
    }

    /// Reports the failed streams, after everything else.
    pub(crate) fn sum_up_failures(&self, failures: &[String], is_stopping: bool) {
        match self {
            Self::Singer(sink) => sink.sum_up_failures(failures),
            // An interruption was reported.
            Self::Export(export) if !is_stopping => export.sum_up_failures(failures),
            _ => {}
        }
    }
}

/// Where the records of a slice go, and what surrounds them.
pub(crate) enum RecordTarget<'a> {
    /// Airbyte messages; they report values that did not fit.
    Airbyte { out: &'a mut Lines, prefix: Vec<u8> },
    /// Singer messages.
    Singer { out: &'a mut Lines, prefix: Vec<u8>, suffix: Vec<u8> },
    /// Lines of JSON without an envelope.
    Lines(&'a mut Lines),
    /// Singer batch files.
    Files(&'a mut BatchFiles),
    /// Staged files of an export.
    Table(&'a mut Staged),
    /// Columns on a pipe.
    Pipe(&'a mut Pipe, &'a mut Lines),
    /// The caller.
    Capture(&'a mut Capture),
    /// Rows are only counted.
    Nowhere(&'a mut Vec<u8>),
}

impl RecordTarget<'_> {
    /// The columns that collect the rows, unless rows are JSON.
    fn columns(&mut self) -> Option<&mut Columns> {
        match self {
            Self::Files(files) => files.columns(),
            Self::Table(staged) => Some(staged.columns()),
            Self::Pipe(pipe, _) => pipe.columns(),
            _ => None,
        }
    }

    /// The buffer of rows that are JSON.
    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Airbyte { out, .. } | Self::Singer { out, .. } | Self::Lines(out) => Some(&mut out.buffer),
            Self::Files(files) => Some(&mut files.buffer),
            Self::Capture(capture) => Some(&mut capture.buffer),
            Self::Nowhere(buffer) => Some(buffer),
            Self::Table(_) | Self::Pipe(..) => None,
        }
    }

    /// Writes what precedes a row, and what precedes a stream's first one.
    fn begin(&mut self, first_of: Option<&String>) {
        match self {
            Self::Airbyte { out, prefix } => {
                if let Some(stream) = first_of {
                    airbyte::status(out, stream, Status::Running);
                }
                out.buffer.extend_from_slice(prefix);
            }
            Self::Singer { out, prefix, .. } => out.buffer.extend_from_slice(prefix),
            _ => {}
        }
    }

    /// Writes what follows a row.
    fn end<'a>(&mut self, misfits: impl Iterator<Item = &'a str>) {
        match self {
            Self::Airbyte { out, .. } => record_suffix(misfits, &mut out.buffer),
            Self::Singer { out, suffix, .. } => out.buffer.extend_from_slice(suffix),
            Self::Files(files) => files.buffer.push(b'\n'),
            Self::Capture(capture) => capture.end_record(),
            Self::Nowhere(buffer) => buffer.clear(),
            Self::Lines(out) => out.buffer.push(b'\n'),
            Self::Table(_) | Self::Pipe(..) => {}
        }
    }

    /// Passes on what is buffered, if it is enough.
    fn flush_if_due(&mut self) -> io::Result<()> {
        let out = match self {
            Self::Files(files) => return files.end_record(),
            Self::Table(staged) => return staged.end_row(),
            Self::Pipe(pipe, out) => {
                pipe.end_row(out)?;
                out
            }
            Self::Airbyte { out, .. } | Self::Singer { out, .. } | Self::Lines(out) => out,
            Self::Capture(_) | Self::Nowhere(_) => return Ok(()),
        };
        if out.buffer.len() >= BUFFER {
            out.flush();
            if out.broken.is_some() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(())
    }
}

/// The files of one stream.
pub(crate) enum StreamFiles {
    /// Singer batches.
    Batches(Box<BatchFiles>),
    /// Staged rows of an export.
    Table(Box<Staged>),
}

impl StreamFiles {
    /// Ends a slice whose rows were all written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn end_slice(&mut self, coverage: Option<&Coverage>) -> io::Result<()> {
        match self {
            // Targets merge batches by key.
            Self::Batches(_) => Ok(()),
            Self::Table(staged) => staged.end_slice(coverage),
        }
    }

    /// Notes that everything of the stream was written, for this scope.
    pub(crate) fn finish_snapshot(&mut self, scope: &[String]) {
        match self {
            Self::Batches(_) => {}
            Self::Table(staged) => staged.finish_snapshot(scope),
        }
    }

    /// Whether a state need not wait for records.
    pub(crate) fn are_empty(&self) -> bool {
        match self {
            Self::Batches(files) => files.are_empty(),
            // States are kept in files, so they wait for more rows.
            Self::Table(_) => false,
        }
    }

    /// Whether there are enough records to hand over, or they waited long enough.
    pub(crate) fn are_due(&self) -> bool {
        match self {
            Self::Batches(files) => files.are_due(),
            Self::Table(staged) => staged.is_due(),
        }
    }

    /// Finishes the files, with the state after their records; returns the message that hands them over, if there is
    /// one.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn hand_over(&mut self, state: Option<&Value>) -> io::Result<Option<Value>> {
        match self {
            Self::Batches(files) => files.hand_over(),
            Self::Table(staged) => staged.finish_file(state).map(|()| None),
        }
    }

    /// Removes the files of the last message, which could not be written.
    pub(crate) fn withdraw(&mut self) {
        match self {
            Self::Batches(files) => files.withdraw(),
            Self::Table(_) => {}
        }
    }

    /// The days that were read in this run, if they are known.
    fn days_read(&self) -> Option<&Windows> {
        match self {
            Self::Batches(_) => None,
            Self::Table(staged) => Some(staged.days_read()).filter(|days| !days.is_empty()),
        }
    }

    /// Warnings about values that are not stored as Criteo sent them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Self::Batches(files) => files.warnings(),
            Self::Table(staged) => staged.warnings(),
        }
    }
}

/// Writes rows as records.
pub(crate) struct Records<'a> {
    pub(crate) stream: &'a mut StreamOutput,
    pub(crate) target: RecordTarget<'a>,
    pub(crate) stop: &'a StopSender,
}

impl Records<'_> {
    /// Writes a row, unless it is not new.
    fn write<'de, D: Deserializer<'de>>(&mut self, row: D, is_first: bool) -> std::result::Result<bool, D::Error> {
        let plan = &mut self.stream.setup.plan;
        if let Some(columns) = self.target.columns() {
            return watch::write_row(plan, row, columns.cells(), self.stream.watch.as_deref_mut());
        }
        let start = self.target.buffer().map_or(0, |buffer| buffer.len());
        self.target.begin(is_first.then_some(&self.stream.setup.name));
        let Some(buffer) = self.target.buffer() else { return Ok(false) };
        let is_new = watch::write_row(plan, row, &mut JsonObject(buffer), self.stream.watch.as_deref_mut());
        match is_new {
            Ok(true) => self.target.end(plan.misfits()),
            _ => buffer.truncate(start),
        }
        is_new
    }
}

impl RowSink for Records<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let is_first = self.stream.progress == Progress::Open;
        if !self.write(row, is_first)? {
            return Ok(());
        }
        self.stream.progress = Progress::Running;
        self.stream.records += 1;
        self.stream.records_since_state += 1;
        watchdog::moved();
        if let Some(reply) = self.stream.on_first_record.take() {
            // Fails if the caller no longer waits.
            let _ = reply.send(());
        }
        if let Err(error) = self.target.flush_if_due() {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Err(D::Error::custom("nothing reads the output any longer"));
            }
            self.stop.send(Stop::OutputFailed(error.to_string()));
        }
        if self.stop.is_stopping() { Err(D::Error::custom("interrupted")) } else { Ok(()) }
    }
}
