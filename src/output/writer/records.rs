//! Writes rows as records.

use std::io::{self, Write};

use serde::de::{Deserializer, Error as _};

use crate::output::writer::BUFFER;
use crate::output::writer::stream::{Progress, StreamOutput};
use crate::protocol::airbyte;
use crate::protocol::airbyte::Status;
use crate::protocol::singer::batch::BatchFiles;
use crate::rows::envelope::RowSink;
use crate::support::stop::{Stop, StopSender};
use crate::support::watchdog;

pub(crate) struct Lines {
    pub buffer: Vec<u8>,
    pub out: Box<dyn Write + Send>,
    pub broken: Option<io::Error>,
}

impl Lines {
    pub(crate) fn flush(&mut self) {
        if self.broken.is_none() && !self.buffer.is_empty() {
            // A slow destination must not end a sync.
            let _limit = watchdog::limit();
            self.broken = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).err();
        }
        self.buffer.clear();
    }
}

/// The destination and format of a slice's records.
pub(crate) enum Place<'a> {
    /// Airbyte messages, which list values that did not fit.
    Airbyte {
        lines: &'a mut Lines,
        prefix: Vec<u8>,
    },
    Singer {
        lines: &'a mut Lines,
        prefix: Vec<u8>,
        suffix: Vec<u8>,
    },
    Files(&'a mut BatchFiles),
}

impl Place<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Airbyte { lines, .. } | Self::Singer { lines, .. } => &mut lines.buffer,
            Self::Files(files) => &mut files.buffer,
        }
    }

    /// Writes what precedes a row, or a stream's first row. Returns the buffer for the row.
    fn begin(&mut self, first_of: Option<&String>) -> &mut Vec<u8> {
        match self {
            Self::Airbyte { lines, prefix } => {
                if let Some(stream) = first_of {
                    let status = airbyte::stream_status(stream, Status::Running);
                    lines.buffer.extend_from_slice(format!("{status}\n").as_bytes());
                }
                lines.buffer.extend_from_slice(prefix);
            }
            Self::Singer { lines, prefix, .. } => lines.buffer.extend_from_slice(prefix),
            Self::Files(_) => {}
        }
        self.buffer()
    }

    fn end<'a>(&mut self, misfits: impl Iterator<Item = &'a str>) {
        match self {
            Self::Airbyte { lines, .. } => airbyte::record_suffix(misfits, &mut lines.buffer),
            Self::Singer { lines, suffix, .. } => lines.buffer.extend_from_slice(suffix),
            Self::Files(files) => files.buffer.push(b'\n'),
        }
    }
}

pub(crate) struct Records<'a> {
    pub book: &'a mut StreamOutput,
    pub place: Place<'a>,
    pub stop: &'a StopSender,
}

impl RowSink for Records<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let is_first = self.book.progress == Progress::Open;
        let start = self.place.buffer().len();
        let buffer = self.place.begin(is_first.then_some(&self.book.stream.name));
        let is_new = self.book.stream.plan.write_row(row, buffer);
        if !is_new.as_ref().is_ok_and(|is_new| *is_new) {
            buffer.truncate(start);
            return is_new.map(|_| ());
        }
        self.place.end(self.book.stream.plan.misfits());
        self.book.progress = Progress::Running;
        self.book.records += 1;
        self.book.records_since_state += 1;
        watchdog::moved();
        if let Some(reply) = self.book.on_first_record.take() {
            // Fails if the caller no longer waits.
            let _ = reply.send(());
        }
        match &mut self.place {
            Place::Files(files) => {
                if let Err(error) = files.end_record() {
                    self.stop.send(Stop::OutputFailed(error.to_string()));
                }
            }
            Place::Airbyte { lines, .. } | Place::Singer { lines, .. } if lines.buffer.len() >= BUFFER => {
                lines.flush();
                if lines.broken.is_some() {
                    return Err(D::Error::custom("the output has no reader"));
                }
            }
            _ => return Ok(()),
        }
        if self.stop.is_stopping() { Err(D::Error::custom("interrupted")) } else { Ok(()) }
    }
}
