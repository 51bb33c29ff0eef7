//! The thread that serves [`Output`](crate::output::Output): only it writes to stdout, and it keeps the state of each
//! stream.

pub(crate) mod heartbeat;
pub(crate) mod records;
pub(crate) mod stream;
pub(crate) mod summary;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Instant;

use serde_json::Value;
use tracing::Level;

use crate::error::{Error, Result};
use crate::http::{Body, CallStats};
use crate::output::state_file::StateFile;
use crate::output::writer::heartbeat::{MAX_SILENCE_TIME, MAX_STATELESS_TIME};
use crate::output::writer::records::{Lines, Place, Records};
use crate::output::writer::stream::{Progress, StreamOutput, StreamSetup};
use crate::output::writer::summary::Summary;
use crate::output::{Constants, Message, StreamId};
use crate::protocol::airbyte;
use crate::protocol::airbyte::Status;
use crate::protocol::{Protocol, singer};
use crate::rows::envelope;
use crate::support::clock;
use crate::support::panic;
use crate::support::redact;
use crate::support::stop::{Stop, StopSender};
use crate::support::terminal::Terminal;
use crate::support::text::excerpt;
use singer::batch::BatchFiles;
use singer::log::Metric;

/// Lines are buffered up to this size; larger writes gain nothing through a 64 KiB pipe.
const BUFFER: usize = 64 * 1024;

pub(crate) struct Writer {
    protocol: Protocol,
    lines: Lines,
    ends_with_state: bool,
    /// The failed streams with their error messages.
    failures: Vec<String>,
    /// When the last record or state was written.
    beat: Instant,
    books: Vec<StreamOutput>,
    /// Where states go in addition to stdout.
    state_file: Option<StateFile>,
    summary: Summary,
    stop: StopSender,
}

impl Writer {
    pub(crate) fn new(
        protocol: Protocol,
        out: Box<dyn Write + Send>,
        stop: StopSender,
        terminal: Option<Terminal>,
    ) -> Self {
        let lines = Lines { buffer: Vec::with_capacity(2 * BUFFER), out, broken: None };
        Self {
            protocol,
            lines,
            ends_with_state: false,
            failures: Vec::new(),
            beat: Instant::now(),
            books: Vec::new(),
            state_file: None,
            summary: Summary::new(terminal),
            stop,
        }
    }

    pub(crate) fn run(mut self, receiver: &Receiver<Message>) {
        // After a panic, the thread continues, since the streams must still be closed.
        while let Some(is_over) = catch_unwind(AssertUnwindSafe(|| self.step(receiver))).unwrap_or_else(|_| {
            self.mend();
            Some(false)
        }) {
            if is_over {
                break;
            }
        }
    }

    /// Handles one message, or a timeout. `None` if there are no senders left, otherwise whether it was the last
    /// message.
    fn step(&mut self, receiver: &Receiver<Message>) -> Option<bool> {
        let message = match receiver.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {
                self.flush();
                match receiver.recv_timeout(MAX_SILENCE_TIME) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Timeout) => {
                        self.still_alive(Instant::now());
                        return Some(false);
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
        };
        if let Message::Finish { reply } = message {
            self.finish();
            // Fails if the caller stopped waiting.
            let _ = reply.send(());
            return Some(true);
        }
        self.handle(message);
        self.show_progress();
        // Platforms do not count logs as a heartbeat.
        if self.beat.elapsed() >= MAX_STATELESS_TIME {
            self.repeat_states();
            self.beat = Instant::now();
        }
        Some(false)
    }

    /// Recovers from a panic: drops an incomplete line, and states whose records may be lost with it.
    fn mend(&mut self) {
        let whole = self.lines.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.lines.buffer.truncate(whole);
        for book in &mut self.books {
            book.pending_state = None;
        }
        self.line(&airbyte::error(&panic::error(), None));
        self.stop.send(Stop::Panicked);
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Line(message) => self.line(&message),
            Message::Document(text) => {
                self.lines.buffer.extend_from_slice(text.as_bytes());
                self.lines.buffer.push(b'\n');
            }
            Message::Announce(stream) => self.announce(*stream),
            Message::Begin { state, settings, is_test } => self.begin(state, settings, is_test),
            Message::KeepStates(file) => self.state_file = Some(*file),
            Message::Open { stream } => self.open(stream),
            Message::Remember { stream, state } => {
                if let Some(book) = self.books.get_mut(stream) {
                    book.first_state = Some(state);
                }
            }
            Message::Slice { stream, body, constants, state, reply } => {
                let result = self.slice(stream, &body, &constants, state);
                drop(body);
                // Fails if the engine gave up on the stream.
                let _ = reply.send(result);
            }
            Message::State { stream, state } => self.state(stream, state),
            Message::Whole { stream, scope } => self.whole(stream, &scope),
            Message::Refused { stream, error } => {
                self.fail(&stream, &error);
                self.line(&airbyte::stream_status(&stream, Status::Incomplete));
            }
            Message::FirstRecord { stream, reply } => {
                match self.books.get_mut(stream) {
                    Some(book) if book.records == 0 => book.on_first_record = Some(reply),
                    // Fails if the caller no longer waits.
                    _ => drop(reply.send(())),
                }
            }
            Message::Response(answered) => {
                self.summary.answered(&answered);
                if let Protocol::Singer(tap) = &self.protocol {
                    let CallStats { endpoint, status, duration, .. } = &answered;
                    tap.log.metric(None, &Metric::HttpRequestDuration(endpoint, *status, *duration));
                }
            }
            Message::Progress { stream, done, ahead } => {
                if let Some(book) = self.books.get_mut(stream) {
                    book.windows = (done, ahead);
                }
            }
            Message::ReportTally { stream, tally } => {
                if let Some(book) = self.books.get_mut(stream) {
                    book.tally = Some(*tally);
                }
            }
            Message::Close { stream, error } => self.close(stream, error.as_ref()),
            Message::Waiting { wait } => self.waiting(wait),
            Message::Finish { .. } => {}
        }
    }

    fn open(&mut self, stream: StreamId) {
        if let Some(book) = self.books.get_mut(stream).filter(|book| book.progress == Progress::Announced) {
            book.progress = Progress::Open;
            book.opened = Some(Instant::now());
            let message = match self.protocol {
                Protocol::Airbyte => airbyte::stream_status(&book.stream.name, Status::Started),
                Protocol::Singer(_) => std::mem::take(&mut book.stream.schema),
            };
            self.line(&message);
        }
    }

    /// Sets a tap's state and settings, before its streams.
    fn begin(&mut self, state: singer::State, settings: singer::Settings, is_test: bool) {
        if let Protocol::Singer(tap) = &mut self.protocol {
            tap.state = state;
            tap.settings = settings;
        }
        if is_test {
            self.lines.out = Box::new(io::sink());
        }
    }

    fn announce(&mut self, stream: StreamSetup) {
        let mut book = StreamOutput::new(stream);
        if let Protocol::Singer(tap) = &self.protocol {
            match &tap.settings.batches {
                Some(batches) => book.files = Some(BatchFiles::new(batches.clone(), &book.stream.name)),
                None if tap.settings.activates_versions && book.stream.is_whole => {
                    book.version = Some(clock::now_millis());
                }
                None => {}
            }
        }
        self.books.push(book);
    }

    fn slice(&mut self, stream: StreamId, body: &Body, constants: &Constants, state: Option<Value>) -> Result<()> {
        if self.stop.is_stopping() {
            return Err(interrupted());
        }
        let is_open = |book: &&mut StreamOutput| !book.has_failed && book.progress != Progress::Closed;
        let Some(book) = self.books.get_mut(stream).filter(is_open) else {
            return Err(Error::system("The stream already failed or ended."));
        };
        panic::point("output");
        book.stream.plan.start_slice(constants);
        self.ends_with_state = false;
        let shape = book.stream.plan.shape;
        let mut files = book.files.take();
        let lines = &mut self.lines;
        let place = match (&self.protocol, &mut files) {
            (Protocol::Airbyte, _) => {
                Place::Airbyte { lines, prefix: airbyte::record_prefix(&book.stream.name, clock::now_millis()) }
            }
            (Protocol::Singer(_), Some(files)) => Place::Files(files),
            (Protocol::Singer(_), None) => {
                let prefix = singer::record_prefix(&book.stream.name);
                Place::Singer { lines, prefix, suffix: singer::record_suffix(book.version) }
            }
        };
        let written = envelope::each(body.text()?, shape, &mut Records { book, place, stop: &self.stop });
        let are_due = files.as_ref().is_some_and(BatchFiles::are_due);
        book.files = files;
        if let Err(error) = written {
            book.has_failed = true;
            if self.stop.is_stopping() {
                return Err(interrupted());
            }
            return Err(Error::system(format!(
                "A row in a response from Criteo cannot be converted to a record ({}). No rows were skipped: the \
                 stream stops here, and the next sync tries again.",
                excerpt(&error.to_string())
            )));
        }
        self.beat = Instant::now();
        self.check_reader();
        if let Some(state) = state {
            self.state(stream, state);
        } else if are_due {
            self.hand_over(stream);
        }
        Ok(())
    }

    /// Writes a state after its records; if they wait in a batch file, the state waits, too.
    fn state(&mut self, stream: StreamId, state: Value) {
        let Some(book) = self.books.get_mut(stream).filter(|book| !book.has_failed) else { return };
        match &book.files {
            None => self.write_state(stream, state),
            Some(files) => {
                let are_due = files.are_due() || files.are_empty();
                book.pending_state = Some(state);
                if are_due {
                    self.hand_over(stream);
                }
            }
        }
    }

    fn write_state(&mut self, stream: StreamId, state: Value) {
        let Some(book) = self.books.get_mut(stream) else { return };
        if book.records_since_state == 0 && book.last_state.as_ref() == Some(&state) {
            return;
        }
        let message = self.protocol.state(book, &state);
        book.records_since_state = 0;
        self.line(&message);
        self.flush();
        self.keep_state(stream, &state);
        if let Some(book) = self.books.get_mut(stream) {
            book.last_state = Some(state);
        }
    }

    /// Stores a state in the state file, but only if it reached stdout.
    fn keep_state(&mut self, stream: StreamId, state: &Value) {
        if let (Some(file), Some(book), None) = (&mut self.state_file, self.books.get(stream), &self.lines.broken)
            && let Err(error) = file.keep(&book.stream.name, state)
        {
            self.stop.send(Stop::OutputFailed(error.message));
        }
    }

    /// Hands over a stream's batch files, then the state that waited for them.
    fn hand_over(&mut self, stream: StreamId) {
        let Some(book) = self.books.get_mut(stream) else { return };
        match book.hand_over() {
            Ok(message) => {
                let state = book.pending_state.take();
                if let Some(message) = message {
                    self.line(&message);
                    self.flush();
                    if let (Some(_), Some(book)) = (&self.lines.broken, self.books.get_mut(stream)) {
                        book.withdraw();
                    }
                }
                if let Some(state) = state {
                    self.write_state(stream, state);
                }
                self.flush();
            }
            Err(error) => {
                // Its records are lost, so the state must not be written.
                book.pending_state = None;
                book.has_failed = true;
                self.stop.send(Stop::OutputFailed(error.to_string()));
            }
        }
    }

    /// Activates the version of a completely written stream, unless it covers less than the last time: then missing
    /// records may still exist.
    fn whole(&mut self, stream: StreamId, scope: &[String]) {
        let Protocol::Singer(tap) = &mut self.protocol else { return };
        let Some(book) = self.books.get(stream).filter(|book| !book.has_failed) else { return };
        let Some(version) = book.version else { return };
        let name = &book.stream.name;
        let message = singer::activate_version(name, version);
        if tap.state.widen(name, scope) {
            self.line(&message);
        } else {
            let text = format!(
                "{name}: not sending ACTIVATE_VERSION: this sync covered fewer advertisers or countries than \
                         the last one."
            );
            self.line(&airbyte::log(Level::WARN, &text));
        }
    }

    fn close(&mut self, stream: StreamId, error: Option<&Error>) {
        if self.books.get(stream).is_none_or(|book| book.progress == Progress::Closed) {
            return;
        }
        self.hand_over(stream);
        let Some(book) = self.books.get_mut(stream) else { return };
        book.progress = Progress::Closed;
        // Only open streams repeat their states.
        (book.first_state, book.last_state) = (None, None);
        let name = book.stream.name.clone();
        if let Protocol::Singer(tap) = &self.protocol {
            let took = book.opened.map(|opened| opened.elapsed()).unwrap_or_default();
            tap.log.metric(Some(&name), &Metric::RecordCount(book.records));
            tap.log.metric(Some(&name), &Metric::SyncDuration(took, error.is_none()));
        }
        let logs = book.closing_logs();
        if let Some(error) = error {
            self.fail(&name, error);
        }
        // The platform expects the last state directly before the final status.
        let status = if error.is_some() { Status::Incomplete } else { Status::Complete };
        self.line(&airbyte::stream_status(&name, status));
        for (level, text) in logs {
            if level == Level::INFO {
                self.tell(&text);
            }
            self.line(&airbyte::log(level, &text));
        }
        self.flush();
    }

    fn fail(&mut self, name: &str, error: &Error) {
        self.failures.push(format!("{name}: {}", error.message));
        self.line(&airbyte::error(error, Some(name)));
    }

    fn finish(&mut self) {
        for stream in 0..self.books.len() {
            self.close(stream, Some(&interrupted()));
        }
        self.sum_up();
        // Targets keep the last state only if it is the last message.
        if let Protocol::Singer(tap) = &self.protocol
            && !self.books.is_empty()
            && !self.ends_with_state
        {
            let message = tap.state.message();
            self.line(&message);
        }
        self.flush();
        if let (Some(file), None) = (&mut self.state_file, &self.lines.broken)
            && let Err(error) = file.save()
        {
            self.stop.send(Stop::OutputFailed(error.message));
        }
        // Meltano shows only the last line that a failed tap printed.
        if let (Protocol::Singer(_), Some(first)) = (&self.protocol, self.failures.first()) {
            let count = match self.failures.len() {
                1 => "1 stream is".to_owned(),
                count => format!("{count} streams are"),
            };
            let text = format!("{count} incomplete. {first}");
            self.say(&airbyte::log(tracing::Level::ERROR, &text));
        }
    }

    /// Writes a message. Secrets are masked in messages with text. A CONTROL message must contain one, and states and
    /// catalogs are data.
    fn line(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap_or_default();
        if let Protocol::Singer(_) = self.protocol
            && matches!(kind, "LOG" | "TRACE" | "CONTROL")
        {
            self.make_room();
            self.pass_on(message);
            return self.say(message);
        }
        let mut text = message.to_string();
        if matches!(kind, "LOG" | "TRACE" | "CONNECTION_STATUS") {
            let mut message = message.clone();
            redact::clean_message(&mut message);
            text = message.to_string();
            self.pass_on(&message);
        }
        self.ends_with_state = kind == "STATE";
        self.lines.buffer.extend_from_slice(text.as_bytes());
        self.lines.buffer.push(b'\n');
    }

    /// Logs an Airbyte message to stderr, in a Singer tap.
    fn say(&self, message: &Value) {
        let Protocol::Singer(tap) = &self.protocol else { return };
        let say = |level, stream, text: &str| tap.log.line(level, stream, text);
        match message["type"].as_str() {
            Some("LOG") => {
                let level = message["log"]["level"].as_str().and_then(|level| level.parse().ok());
                say(level.unwrap_or(Level::INFO), None, message["log"]["message"].as_str().unwrap_or_default());
            }
            Some("CONTROL") => say(
                Level::WARN,
                None,
                "Criteo rotated the refresh token, and Singer cannot store the new one. The old one may stop working: \
                 use an app of type \"Client credentials\".",
            ),
            _ => {
                let error = &message["trace"]["error"];
                if let Some(words) = error["message"].as_str() {
                    say(Level::ERROR, error["stream_descriptor"]["name"].as_str(), words);
                }
            }
        }
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
    fn state(&mut self, book: &StreamOutput, state: &Value) -> Value {
        match self {
            Self::Airbyte => airbyte::state(&book.stream.name, state, book.records_since_state),
            Self::Singer(tap) => {
                tap.state.set(&book.stream.name, state, book.stream.cursor.as_deref());
                tap.state.message()
            }
        }
    }
}

fn interrupted() -> Error {
    Error::transient(
        "The sync was interrupted before the stream was complete. The next sync resumes from the last state.",
    )
}
