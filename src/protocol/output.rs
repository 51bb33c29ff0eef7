//! The one owner of stdout: it counts records, keeps the order of statuses and states, and knows when nobody reads
//! any more.
//!
//! A thread of its own writes, so that a reader that stalls does not stall a download. Everybody else holds an
//! [`Output`], which never blocks: what is on its way is bounded by the memory budget of the bodies. A state goes out
//! directly behind the last record of its slice, and only if that slice was written whole; after a slice that failed,
//! no state of its stream goes out any more.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use serde::de::Deserializer;
use serde_json::Value;
use tokio::sync::oneshot;

use super::airbyte::{self, Status};
use super::{Protocol, singer};
use crate::api::Body;
use crate::clock;
use crate::engine::project::Plan;
use crate::engine::rows::{self, RowSink};
use crate::error::{Error, Result};
use crate::redact::Redactor;
use crate::stop::{Stop, StopSender};
use crate::streams::Stream;

/// Lines are collected up to this size; larger writes gain nothing through a pipe of 64 KiB.
const BUFFER: usize = 64 * 1024;

/// How often a wait for the reader looks whether the run is to end.
const POLL: Duration = Duration::from_millis(50);

/// A run that says nothing for so long says that it lives.
const LONGEST_SILENCE: Duration = Duration::from_secs(50);
/// Platforms take a run for dead that sends neither records nor states for long: a state is repeated after this time.
const LONGEST_STATELESS: Duration = Duration::from_mins(5);

/// Values of columns that the rows of a slice do not carry, by the name of the column.
pub type Constants = Vec<(&'static str, String)>;

/// Names a stream of this run.
pub type StreamId = usize;

enum Message {
    Line(Value),
    Document(String),
    Announce {
        name: String,
        cursor: Option<String>,
        schema: Value,
        plan: Box<Plan>,
    },
    Carry(singer::State),
    Open {
        stream: StreamId,
    },
    Remember {
        stream: StreamId,
        state: Value,
    },
    Slice {
        stream: StreamId,
        body: Body,
        constants: Constants,
        state: Option<Value>,
        reply: oneshot::Sender<Result<()>>,
    },
    State {
        stream: StreamId,
        state: Value,
    },
    Close {
        stream: StreamId,
        error: Option<Error>,
    },
    Waiting {
        wait: Duration,
    },
    Finish {
        reply: Sender<()>,
    },
}

/// A handle to the thread that writes.
#[derive(Clone)]
pub struct Output {
    sender: Sender<Message>,
}

impl Output {
    /// Starts the thread. When the reader goes away, `stop` is told.
    ///
    /// # Errors
    /// When the system gives no thread.
    #[expect(clippy::disallowed_methods, reason = "this type is the one owner of stdout")]
    pub fn start(protocol: Protocol, redactor: Redactor, stop: StopSender) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let writer = move || Writer::new(protocol, Box::new(io::stdout()), redactor, stop).run(&receiver);
        std::thread::Builder::new().name("output".into()).spawn(writer)?;
        Ok(Self { sender })
    }

    /// Writes a message that belongs to no stream.
    pub fn message(&self, message: Value) {
        self.send(Message::Line(message));
    }

    /// Writes a text that is no message.
    pub fn document(&self, text: String) {
        self.send(Message::Document(text));
    }

    /// Announces a stream of this run, so that it gets its last status whatever happens. Streams are numbered from 0 in
    /// the order of these calls.
    pub fn announce(&self, stream: &Stream, plan: Plan, is_selected: &dyn Fn(&str) -> bool) {
        self.send(Message::Announce {
            name: stream.name.clone(),
            cursor: stream.cursor().map(str::to_owned),
            schema: singer::schema(stream, is_selected),
            plan: Box::new(plan),
        });
    }

    /// Carries along what a Singer state says of others.
    pub fn carry(&self, state: singer::State) {
        self.send(Message::Carry(state));
    }

    /// Begins a stream, unless it has begun.
    pub fn open(&self, stream: StreamId) {
        self.send(Message::Open { stream });
    }

    /// The state that a stream stands at before anything of it is written: a sign of life until there is another.
    pub fn remember(&self, stream: StreamId, state: Value) {
        self.send(Message::Remember { stream, state });
    }

    /// Writes the rows of a checked body as records, and then the state that they lead to. The answer comes when the
    /// last byte is on its way.
    #[must_use]
    pub fn slice(
        &self,
        stream: StreamId,
        body: Body,
        constants: Constants,
        state: Option<Value>,
    ) -> oneshot::Receiver<Result<()>> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Slice { stream, body, constants, state, reply });
        answer
    }

    /// Writes a state, unless it says what the last one said.
    pub fn state(&self, stream: StreamId, state: Value) {
        self.send(Message::State { stream, state });
    }

    /// Says how many rows are to be expected of a stream.
    pub fn estimate(&self, stream: &str, rows: u64) {
        self.message(airbyte::estimate(stream, rows));
    }

    /// Says of all open streams that they wait for the call budget.
    pub fn waiting(&self, wait: Duration) {
        self.send(Message::Waiting { wait });
    }

    /// Ends a stream: complete, or incomplete because of `error`.
    pub fn close(&self, stream: StreamId, error: Option<Error>) {
        self.send(Message::Close { stream, error });
    }

    /// Writes what is left and marks streams that were not ended as incomplete. Waits for the reader as long as it
    /// takes, but no longer than `patience` once `stop` says that the run is to end.
    pub fn finish(&self, stop: &StopSender, patience: Duration) {
        let (reply, done) = channel();
        self.send(Message::Finish { reply });
        let mut waited = Duration::ZERO;
        while waited < patience && done.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
            if stop.is_stopping() {
                waited += POLL;
            }
        }
    }

    fn send(&self, message: Message) {
        // The thread lives as long as the process; without it there is nobody to tell.
        let _ = self.sender.send(message);
    }
}

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

struct Writer {
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
    fn new(protocol: Protocol, out: Box<dyn Write + Send>, redactor: Redactor, stop: StopSender) -> Self {
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

    fn run(mut self, receiver: &Receiver<Message>) {
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
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Config;
    use crate::streams::catalog;
    use serde_json::json;

    /// A place to write to that the test can look into.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_run_that_waits_says_that_it_lives_and_repeats_its_states() {
        let paper = Paper::default();
        let (stop, _stopped) = StopSender::new();
        let mut writer = Writer::new(Protocol::Airbyte, Box::new(paper.clone()), Redactor::default(), stop);
        let types = || {
            let text = String::from_utf8(std::mem::take(&mut *paper.0.lock().unwrap())).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
        let streams = catalog::streams(&Config::from_value(config).unwrap());
        for stream in &streams[..2] {
            writer.announce(stream.name.clone(), None, Value::Null, Plan::new(stream, &|_| true));
        }
        writer.still_alive(Instant::now());
        assert!(types().is_empty(), "nothing has begun");
        writer.open(0);
        writer.state(0, json!({"version": 1}));
        assert_eq!(types(), ["TRACE", "STATE"]);
        writer.still_alive(Instant::now() + LONGEST_SILENCE);
        assert_eq!(types(), ["LOG"]);
        writer.still_alive(Instant::now() + LONGEST_STATELESS);
        assert_eq!(types(), ["LOG", "STATE"]);
        writer.waiting(Duration::from_secs(20));
        assert_eq!(types(), ["TRACE", "LOG", "STATE"]);
        writer.close(0, None);
        types();
        writer.still_alive(Instant::now() + LONGEST_STATELESS);
        assert!(types().is_empty(), "everything is closed");
    }
}
