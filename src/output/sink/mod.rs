//! The forms of the output, one file each. A sink decides how an event looks and where it goes; what is read, in which order,
//! and when a state is due, is the same for all.

pub mod airbyte;
pub mod batch;
pub mod capture;
pub mod console;
pub mod singer;

use std::io;

use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use tracing::Level;

use crate::error::{Error, Result};
use crate::http::CallStats;
use crate::output::sink::batch::BatchFiles;
use crate::output::sink::capture::Capture;
use crate::output::sink::console::Console;
use crate::output::sink::singer::SingerSink;
use crate::output::stream::{Progress, StreamOutput};
use crate::output::writer::{BUFFER, Lines};
use crate::protocol::airbyte::{Status, record_suffix};
use crate::rows::envelope::RowSink;
use crate::support::stop::{Stop, StopSender};
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
}

impl Sink {
    /// Whether logs go to stdout, so that a user at a terminal elsewhere does not see them.
    pub(crate) fn has_logs_on_stdout(&self) -> bool {
        matches!(self, Self::Airbyte)
    }

    /// Logs a line. Secrets are masked.
    pub(crate) fn log(&self, out: &mut Lines, level: Level, stream: Option<&str>, text: &str) {
        match self {
            Self::Airbyte => airbyte::log(out, level, stream, text),
            Self::Singer(sink) => sink.log.line(level, stream, text),
            Self::Console(console) => console.log.line(level, stream, text),
            Self::Capture(_) => {}
        }
    }

    /// Reports an error of a stream or the run. Secrets are masked.
    pub(crate) fn report_error(&mut self, out: &mut Lines, stream: Option<&str>, error: &Error) {
        match self {
            Self::Airbyte => airbyte::report_error(out, stream, error),
            Self::Singer(sink) => sink.log.line(Level::ERROR, stream, &error.message),
            Self::Console(console) => console.log.line(Level::ERROR, stream, &error.message),
            Self::Capture(capture) => capture.report_error(error),
        }
    }

    /// Reports the outcome of `check`.
    pub(crate) fn report_check(&self, out: &mut Lines, outcome: &Result<String>) {
        if let Self::Airbyte = self {
            airbyte::report_check(out, outcome);
        }
    }

    /// Passes on a configuration with a rotated refresh token. It contains secrets on purpose.
    pub(crate) fn report_config(&self, out: &mut Lines, config: &Value) {
        match self {
            Self::Airbyte => airbyte::report_config(out, config),
            Self::Singer(sink) => sink.log.line(Level::WARN, None, singer::CANNOT_STORE_TOKEN),
            Self::Console(console) => console.log.line(Level::WARN, None, singer::CANNOT_STORE_TOKEN),
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
    pub(crate) fn prepare_stream(&self, stream: &mut StreamOutput) {
        if let Self::Singer(sink) = self {
            sink.prepare_stream(stream);
        }
    }

    /// Reports the start of a stream, before its first record.
    pub(crate) fn start_stream(&self, out: &mut Lines, stream: &mut StreamOutput) {
        match self {
            Self::Airbyte => airbyte::status(out, &stream.setup.name, Status::Started),
            Self::Singer(_) => out.message(&std::mem::take(&mut stream.setup.schema)),
            Self::Console(_) | Self::Capture(_) => {}
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
            Self::Console(_) | Self::Capture(_) => {}
        }
    }

    /// Where the records of a slice go.
    pub(crate) fn record_target<'a>(
        &'a mut self,
        out: &'a mut Lines,
        stream: &StreamOutput,
        files: Option<&'a mut BatchFiles>,
    ) -> RecordTarget<'a> {
        match (self, files) {
            (Self::Singer(_), Some(files)) => RecordTarget::Files(files),
            (Self::Singer(_), None) => singer::record_target(out, stream),
            (Self::Airbyte | Self::Console(_), _) => airbyte::record_target(out, &stream.setup.name),
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

    /// Writes what a sink wants after the last stream.
    pub(crate) fn finish(&self, out: &mut Lines) {
        if let Self::Singer(sink) = self {
            sink.finish(out);
        }
    }

    /// Reports the failed streams, after everything else.
    pub(crate) fn sum_up_failures(&self, failures: &[String]) {
        if let Self::Singer(sink) = self {
            sink.sum_up_failures(failures);
        }
    }
}

/// Where the records of a slice go, and what surrounds them.
pub(crate) enum RecordTarget<'a> {
    /// Airbyte messages; they report values that did not fit.
    Airbyte { out: &'a mut Lines, prefix: Vec<u8> },
    /// Singer messages.
    Singer { out: &'a mut Lines, prefix: Vec<u8>, suffix: Vec<u8> },
    /// Singer batch files.
    Files(&'a mut BatchFiles),
    /// The caller.
    Capture(&'a mut Capture),
}

impl RecordTarget<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Airbyte { out, .. } | Self::Singer { out, .. } => &mut out.buffer,
            Self::Files(files) => &mut files.buffer,
            Self::Capture(capture) => &mut capture.buffer,
        }
    }

    /// Writes what precedes a row, and what precedes a stream's first one. Returns where the row goes.
    fn begin(&mut self, first_of: Option<&String>) -> &mut Vec<u8> {
        match self {
            Self::Airbyte { out, prefix } => {
                if let Some(stream) = first_of {
                    airbyte::status(out, stream, Status::Running);
                }
                out.buffer.extend_from_slice(prefix);
            }
            Self::Singer { out, prefix, .. } => out.buffer.extend_from_slice(prefix),
            Self::Files(_) | Self::Capture(_) => {}
        }
        self.buffer()
    }

    /// Writes what follows a row.
    fn end<'a>(&mut self, misfits: impl Iterator<Item = &'a str>) {
        match self {
            Self::Airbyte { out, .. } => record_suffix(misfits, &mut out.buffer),
            Self::Singer { out, suffix, .. } => out.buffer.extend_from_slice(suffix),
            Self::Files(files) => files.buffer.push(b'\n'),
            Self::Capture(capture) => capture.end_record(),
        }
    }

    /// Passes on what is buffered, if it is enough.
    fn flush_if_due(&mut self) -> io::Result<()> {
        match self {
            Self::Files(files) => files.end_record(),
            Self::Airbyte { out, .. } | Self::Singer { out, .. } if out.buffer.len() >= BUFFER => {
                out.flush();
                if out.broken.is_some() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

/// Writes rows as records.
pub(crate) struct Records<'a> {
    pub(crate) stream: &'a mut StreamOutput,
    pub(crate) target: RecordTarget<'a>,
    pub(crate) stop: &'a StopSender,
}

impl RowSink for Records<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let is_first = self.stream.progress == Progress::Open;
        let start = self.target.buffer().len();
        let buffer = self.target.begin(is_first.then_some(&self.stream.setup.name));
        let is_new = self.stream.setup.plan.write_row(row, buffer);
        if !is_new.as_ref().is_ok_and(|is_new| *is_new) {
            buffer.truncate(start);
            return is_new.map(|_| ());
        }
        self.target.end(self.stream.setup.plan.misfits());
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
