//! The thread behind [`Output`](super::output::Output): it alone writes to stdout, and keeps the books of the streams.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use serde::de::Deserializer;
use serde_json::Value;

use super::airbyte::{self, Status};
use super::output::{Constants, Message, StreamId};
use super::{Protocol, singer};
use crate::api::Body;
use crate::clock;
use crate::engine::project::Plan;
use crate::engine::rows::{self, RowSink};
use crate::error::{Error, Result};
use crate::redact::Redactor;
use crate::stop::{Stop, StopSender};

/// Lines are collected up to this size; larger writes gain nothing through a pipe of 64 KiB.
const BUFFER: usize = 64 * 1024;

/// A run that says nothing for so long says that it lives.
const LONGEST_SILENCE: Duration = Duration::from_secs(50);
/// Platforms take a run for dead that sends neither records nor states for long: a state is repeated after this time.
const LONGEST_STATELESS: Duration = Duration::from_mins(5);

/// One stream of this run.
struct Book {
    name: String,
    /// The column that the state counts in.
    cursor: Option<String>,
    /// Singer's `SCHEMA`.
    schema: Value,
    plan: Plan,
    records: u64,
    records_since_state: u64,
    first_state: Option<Value>,
    last_state: Option<Value>,
    has_failed: bool,
    progress: Progress,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Announced,
    Open,
    /// With records.
    Running,
    Closed,
}

impl Book {
    fn is_under_way(&self) -> bool {
        matches!(self.progress, Progress::Open | Progress::Running)
    }
}

/// Everything that the thread knows.
pub(super) struct Writer {
    protocol: Protocol,
    lines: Lines,
    /// Whether the last message was a state.
    ends_with_state: bool,
    /// The streams that have failed, with the words for it.
    failures: Vec<String>,
    /// When a record or a state was written last.
    beat: Instant,
    books: Vec<Book>,
    redactor: Redactor,
    stop: StopSender,
}

/// Whole lines on their way to stdout.
struct Lines {
    buffer: Vec<u8>,
    out: Box<dyn Write + Send>,
    broken: Option<io::Error>,
}

impl Lines {
    fn flush(&mut self) {
        if self.broken.is_none() && !self.buffer.is_empty() {
            self.broken = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).err();
        }
        self.buffer.clear();
    }
}

impl Writer {
    pub(super) fn new(protocol: Protocol, out: Box<dyn Write + Send>, redactor: Redactor, stop: StopSender) -> Self {
        let lines = Lines { buffer: Vec::with_capacity(2 * BUFFER), out, broken: None };
        Self {
            protocol,
            lines,
            ends_with_state: false,
            failures: Vec::new(),
            beat: Instant::now(),
            books: Vec::new(),
            redactor,
            stop,
        }
    }

    /// Handles messages until the end.
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = match receiver.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    match receiver.recv_timeout(LONGEST_SILENCE) {
                        Ok(message) => message,
                        Err(RecvTimeoutError::Timeout) => {
                            self.still_alive(Instant::now());
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            if let Message::Finish { reply } = message {
                self.finish();
                // Whoever asked may have lost patience.
                let _ = reply.send(());
                break;
            }
            self.handle(message);
            // Words alone are no sign of life.
            if self.beat.elapsed() >= LONGEST_STATELESS {
                self.repeat_states();
                self.beat = Instant::now();
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Line(message) => self.line(&message),
            Message::Document(text) => {
                self.lines.buffer.extend_from_slice(text.as_bytes());
                self.lines.buffer.push(b'\n');
            }
            Message::Announce { name, cursor, schema, plan } => self.announce(name, cursor, schema, *plan),
            Message::Carry(state) => self.protocol = Protocol::Singer(state),
            Message::Open { stream } => self.open(stream),
            Message::Remember { stream, state } => {
                if let Some(book) = self.books.get_mut(stream) {
                    book.first_state = Some(state);
                }
            }
            Message::Slice { stream, body, constants, state, reply } => {
                let result = self.slice(stream, &body, &constants, state);
                drop(body);
                // The engine may have given the stream up meanwhile.
                let _ = reply.send(result);
            }
            Message::State { stream, state } => self.state(stream, state),
            Message::Close { stream, error } => self.close(stream, error.as_ref()),
            Message::Waiting { wait } => self.waiting(wait),
            Message::Finish { .. } => {}
        }
    }

    fn open(&mut self, stream: StreamId) {
        if let Some(book) = self.books.get_mut(stream).filter(|book| book.progress == Progress::Announced) {
            book.progress = Progress::Open;
            let message = match self.protocol {
                Protocol::Airbyte => airbyte::stream_status(&book.name, Status::Started),
                Protocol::Singer(_) => std::mem::take(&mut book.schema),
            };
            self.line(&message);
        }
    }

    /// Nothing has happened for a while: somebody should know that the run lives.
    fn still_alive(&mut self, now: Instant) {
        let open: Vec<_> = self.books.iter().filter(|book| book.is_under_way()).map(|book| &*book.name).collect();
        if open.is_empty() {
            return;
        }
        let log = airbyte::log(tracing::Level::INFO, &format!("Still reading {}.", open.join(", ")));
        self.line(&log);
        if now.duration_since(self.beat) >= LONGEST_STATELESS {
            self.repeat_states();
        }
        self.flush();
    }

    fn waiting(&mut self, wait: Duration) {
        let reset = clock::now_millis() + i64::try_from(wait.as_millis()).unwrap_or(0);
        for index in 0..self.books.len() {
            let book = &self.books[index];
            if book.is_under_way() {
                let status = airbyte::rate_limited(&book.name, reset);
                self.line(&status);
            }
        }
        let seconds = wait.as_secs();
        let text = format!("Criteo's limit of calls a minute is used up; going on in {seconds} s.");
        self.line(&airbyte::log(tracing::Level::INFO, &text));
        self.repeat_states();
        self.flush();
    }

    /// Repeats the last state of every open stream: a sign of life that platforms understand.
    fn repeat_states(&mut self) {
        for index in 0..self.books.len() {
            let book = &mut self.books[index];
            let state = book.last_state.as_ref().or(book.first_state.as_ref());
            if let Some(state) = state.cloned().filter(|_| book.is_under_way() && !book.has_failed) {
                let message = self.protocol.state(book, &state);
                book.records_since_state = 0;
                self.line(&message);
                self.beat = Instant::now();
            }
        }
    }

    fn announce(&mut self, name: String, cursor: Option<String>, schema: Value, plan: Plan) {
        self.books.push(Book {
            name,
            cursor,
            schema,
            plan,
            records: 0,
            records_since_state: 0,
            first_state: None,
            last_state: None,
            has_failed: false,
            progress: Progress::Announced,
        });
    }

    fn slice(&mut self, stream: StreamId, body: &Body, constants: &Constants, state: Option<Value>) -> Result<()> {
        if self.stop.is_stopping() {
            return Err(interrupted());
        }
        let is_open = |book: &&mut Book| !book.has_failed && book.progress != Progress::Closed;
        let Some(book) = self.books.get_mut(stream).filter(is_open) else {
            return Err(Error::system("The stream has failed or ended before."));
        };
        book.plan.start_slice(constants);
        let (prefix, suffix) = match self.protocol {
            Protocol::Airbyte => (airbyte::record_prefix(&book.name, clock::now_millis()), None),
            Protocol::Singer(_) => (singer::record_prefix(&book.name), Some(singer::record_suffix())),
        };
        self.ends_with_state = false;
        let shape = book.plan.shape;
        let mut records = Records { book, lines: &mut self.lines, prefix, suffix, stop: &self.stop };
        let written = rows::each(body.text()?, shape, &mut records);
        if let Err(error) = written {
            book.has_failed = true;
            if self.stop.is_stopping() {
                return Err(interrupted());
            }
            return Err(Error::system(
                "A row of an answer from Criteo cannot be made a record. Nothing of it was dropped: the stream stops here, \
                 and the next sync tries again.",
            )
            .with_detail(error.to_string()));
        }
        self.beat = Instant::now();
        self.check_reader();
        if let Some(state) = state {
            self.state(stream, state);
        }
        Ok(())
    }

    fn state(&mut self, stream: StreamId, state: Value) {
        let Some(book) = self.books.get_mut(stream).filter(|book| !book.has_failed) else { return };
        if book.records_since_state == 0 && book.last_state.as_ref() == Some(&state) {
            return;
        }
        let message = self.protocol.state(book, &state);
        book.records_since_state = 0;
        book.last_state = Some(state);
        self.line(&message);
        self.flush();
    }

    fn close(&mut self, stream: StreamId, error: Option<&Error>) {
        let Some(book) = self.books.get_mut(stream).filter(|book| book.progress != Progress::Closed) else { return };
        book.progress = Progress::Closed;
        let name = book.name.clone();
        let mut logs = vec![(tracing::Level::INFO, format!("{name}: {} records.", book.records))];
        for (counts, what, then) in [
            (
                &book.plan.unknown_fields,
                "fields that this version of the connector does not know",
                "Update it to get them",
            ),
            (
                &book.plan.misfit_columns,
                "values that do not fit their columns",
                "They are null, and the records say so",
            ),
        ] {
            if !counts.is_empty() {
                let list: Vec<_> = counts.iter().map(|(field, rows)| format!("{field} ({rows} rows)")).collect();
                logs.push((tracing::Level::WARN, format!("{name}: Criteo sent {what}: {}. {then}.", list.join(", "))));
            }
        }
        if let Some(error) = error {
            self.failures.push(format!("{name}: {}", error.message));
            self.line(&airbyte::error(error, Some(&name)));
        }
        // The platform wants the last state directly before the last status.
        let status = if error.is_some() { Status::Incomplete } else { Status::Complete };
        self.line(&airbyte::stream_status(&name, status));
        for (level, text) in logs {
            self.line(&airbyte::log(level, &text));
        }
        self.flush();
    }

    fn finish(&mut self) {
        for stream in 0..self.books.len() {
            self.close(stream, Some(&interrupted()));
        }
        // Targets keep the last state only if nothing comes behind it.
        if let Protocol::Singer(state) = &self.protocol
            && !self.books.is_empty()
            && !self.ends_with_state
        {
            let message = state.message();
            self.line(&message);
        }
        // Meltano shows the last line of a tap that fails.
        if let (Protocol::Singer(_), Some(first)) = (&self.protocol, self.failures.first()) {
            let text = format!("{} of {} streams are incomplete. {first}", self.failures.len(), self.books.len());
            self.say(&airbyte::log(tracing::Level::ERROR, &text));
        }
        self.flush();
    }

    /// Writes a message. Secrets are masked in messages that carry words; a CONTROL message must carry one, and states
    /// and catalogs are data.
    fn line(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap_or_default();
        if let Protocol::Singer(_) = self.protocol
            && matches!(kind, "LOG" | "TRACE" | "CONTROL")
        {
            return self.say(message);
        }
        let mut text = message.to_string();
        if matches!(kind, "LOG" | "TRACE" | "CONNECTION_STATUS") {
            text = self.redactor.clean(&text);
        }
        self.ends_with_state = kind == "STATE";
        self.lines.buffer.extend_from_slice(text.as_bytes());
        self.lines.buffer.push(b'\n');
    }

    /// Says on stderr what a message of Airbyte's says, as far as people need it.
    fn say(&self, message: &Value) {
        let text = match message["type"].as_str() {
            Some("LOG") => {
                format!(
                    "{} {}",
                    message["log"]["level"].as_str().unwrap_or("INFO"),
                    message["log"]["message"].as_str().unwrap_or_default()
                )
            }
            Some("CONTROL") => {
                "WARN Criteo has replaced the refresh token. Singer has no place for it: the old one may not work \
                                any more, so use an app of the type \"Client credentials\"."
                    .to_owned()
            }
            _ => {
                let error = &message["trace"]["error"];
                let Some(words) = error["message"].as_str() else { return };
                let stream = error["stream_descriptor"]["name"].as_str().map(|name| format!("{name}: "));
                format!("ERROR {}{words}", stream.unwrap_or_default())
            }
        };
        // Nobody can be told that stderr is gone.
        let _ = writeln!(io::stderr().lock(), "{}", self.redactor.clean(&text));
    }

    fn flush(&mut self) {
        self.lines.flush();
        self.check_reader();
    }

    fn check_reader(&self) {
        if let Some(error) = &self.lines.broken {
            self.stop.send(match error.kind() {
                io::ErrorKind::BrokenPipe => Stop::ReaderGone,
                _ => Stop::OutputFailed(error.to_string()),
            });
        }
    }
}

impl Protocol {
    /// The message for the state that a stream has come to.
    fn state(&mut self, book: &Book, state: &Value) -> Value {
        match self {
            Self::Airbyte => airbyte::state(&book.name, state, book.records_since_state),
            Self::Singer(all) => {
                all.set(&book.name, state, book.cursor.as_deref());
                all.message()
            }
        }
    }
}

fn interrupted() -> Error {
    Error::transient(
        "The sync was interrupted before the stream was complete. The next one goes on from the last state.",
    )
}

/// Writes rows as records.
struct Records<'a> {
    book: &'a mut Book,
    lines: &'a mut Lines,
    prefix: Vec<u8>,
    /// `None` means Airbyte's, which tells of values that did not fit.
    suffix: Option<Vec<u8>>,
    stop: &'a StopSender,
}

impl RowSink for Records<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        use serde::de::Error as _;
        let buffer = &mut self.lines.buffer;
        let start = buffer.len();
        if self.book.progress == Progress::Open && self.suffix.is_none() {
            let status = airbyte::stream_status(&self.book.name, Status::Running);
            buffer.extend_from_slice(format!("{status}\n").as_bytes());
        }
        buffer.extend_from_slice(&self.prefix);
        let is_new = self.book.plan.write_row(row, buffer);
        if !is_new.as_ref().is_ok_and(|is_new| *is_new) {
            buffer.truncate(start);
            return is_new.map(|_| ());
        }
        self.book.progress = Progress::Running;
        match &self.suffix {
            None => airbyte::record_suffix(self.book.plan.misfits(), buffer),
            Some(suffix) => buffer.extend_from_slice(suffix),
        }
        self.book.records += 1;
        self.book.records_since_state += 1;
        if buffer.len() >= BUFFER {
            self.lines.flush();
            if self.lines.broken.is_some() || self.stop.is_stopping() {
                return Err(D::Error::custom("interrupted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
