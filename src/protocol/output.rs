//! The one owner of stdout: it counts records, keeps the order of statuses and states, and knows when nobody reads
//! any more.
//!
//! A thread of its own writes, so that a reader that stalls does not stall a download. Everybody else holds an
//! [`Output`], which never blocks: what is on its way is bounded by the memory budget of the bodies. A state goes out
//! directly behind the last record of its slice, and only if that slice was written whole; after a slice that failed,
//! no state of its stream goes out any more.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use serde::de::Deserializer;
use serde_json::Value;
use tokio::sync::oneshot;

use super::airbyte::{self, Status};
use crate::api::Body;
use crate::clock;
use crate::engine::project::Plan;
use crate::engine::rows::{self, RowSink};
use crate::error::{Error, Result};
use crate::redact::Redactor;
use crate::stop::{Stop, StopSender};

/// Lines are collected up to this size; larger writes gain nothing through a pipe of 64 KiB.
const BUFFER: usize = 64 * 1024;

/// How often a wait for the reader looks whether the run is to end.
const POLL: Duration = Duration::from_millis(50);

/// Names a stream of this run.
pub type StreamId = usize;

enum Message {
    Line(Value),
    Announce { name: String, plan: Box<Plan> },
    Open { stream: StreamId },
    Slice { stream: StreamId, body: Body, state: Option<Value>, reply: oneshot::Sender<Result<()>> },
    State { stream: StreamId, state: Value },
    Close { stream: StreamId, error: Option<Error> },
    Finish { reply: Sender<()> },
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
    pub fn start(redactor: Redactor, stop: StopSender) -> io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("output".into()).spawn(move || Writer::new(redactor, stop).run(&receiver))?;
        Ok(Self { sender })
    }

    /// Writes a message that belongs to no stream.
    pub fn message(&self, message: Value) {
        self.send(Message::Line(message));
    }

    /// Announces a stream of this run, so that it gets its last status whatever happens. Streams are numbered from 0 in
    /// the order of these calls.
    pub fn announce(&self, name: &str, plan: Plan) {
        self.send(Message::Announce { name: name.to_owned(), plan: Box::new(plan) });
    }

    /// Begins a stream.
    pub fn open(&self, stream: StreamId) {
        self.send(Message::Open { stream });
    }

    /// Writes the rows of a checked body as records, and then the state that they lead to. The answer comes when the
    /// last byte is on its way.
    #[must_use]
    pub fn slice(&self, stream: StreamId, body: Body, state: Option<Value>) -> oneshot::Receiver<Result<()>> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Slice { stream, body, state, reply });
        answer
    }

    /// Writes a state, unless it says what the last one said.
    pub fn state(&self, stream: StreamId, state: Value) {
        self.send(Message::State { stream, state });
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
    plan: Plan,
    records: u64,
    records_since_state: u64,
    last_state: Option<Value>,
    is_running: bool,
    has_failed: bool,
    is_closed: bool,
}

struct Writer {
    lines: Lines,
    books: Vec<Book>,
    redactor: Redactor,
    stop: StopSender,
}

/// Whole lines on their way to stdout.
struct Lines {
    buffer: Vec<u8>,
    stdout: io::Stdout,
    broken: Option<io::Error>,
}

impl Lines {
    fn flush(&mut self) {
        if self.broken.is_none() && !self.buffer.is_empty() {
            let mut stdout = self.stdout.lock();
            self.broken = stdout.write_all(&self.buffer).and_then(|()| stdout.flush()).err();
        }
        self.buffer.clear();
    }
}

impl Writer {
    #[expect(clippy::disallowed_methods, reason = "this type is the one owner of stdout")]
    fn new(redactor: Redactor, stop: StopSender) -> Self {
        let lines = Lines { buffer: Vec::with_capacity(2 * BUFFER), stdout: io::stdout(), broken: None };
        Self { lines, books: Vec::new(), redactor, stop }
    }

    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = match receiver.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    match receiver.recv() {
                        Ok(message) => message,
                        Err(_) => break,
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
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Line(message) => self.line(&message),
            Message::Announce { name, plan } => self.announce(name, *plan),
            Message::Open { stream } => self.open(stream),
            Message::Slice { stream, body, state, reply } => {
                let result = self.slice(stream, &body, state);
                drop(body);
                // The engine may have given the stream up meanwhile.
                let _ = reply.send(result);
            }
            Message::State { stream, state } => self.state(stream, state),
            Message::Close { stream, error } => self.close(stream, error.as_ref()),
            Message::Finish { .. } => {}
        }
    }

    fn open(&mut self, stream: StreamId) {
        if let Some(book) = self.books.get(stream) {
            self.line(&airbyte::stream_status(&book.name, Status::Started));
        }
    }

    fn announce(&mut self, name: String, plan: Plan) {
        self.books.push(Book {
            name,
            plan,
            records: 0,
            records_since_state: 0,
            last_state: None,
            is_running: false,
            has_failed: false,
            is_closed: false,
        });
    }

    fn slice(&mut self, stream: StreamId, body: &Body, state: Option<Value>) -> Result<()> {
        if self.stop.is_stopping() {
            return Err(interrupted());
        }
        let Some(book) = self.books.get_mut(stream).filter(|book| !book.has_failed) else {
            return Err(Error::system("An earlier slice of the stream failed."));
        };
        book.plan.start_slice();
        let prefix = airbyte::record_prefix(&book.name, clock::now_millis());
        let mut records = Records { book, lines: &mut self.lines, prefix, stop: &self.stop };
        let written = rows::each(body.text()?, &mut records);
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
        let message = airbyte::state(&book.name, &state, book.records_since_state);
        book.records_since_state = 0;
        book.last_state = Some(state);
        self.line(&message);
        self.flush();
    }

    fn close(&mut self, stream: StreamId, error: Option<&Error>) {
        let Some(book) = self.books.get_mut(stream).filter(|book| !book.is_closed) else { return };
        book.is_closed = true;
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
        self.flush();
    }

    /// Writes a message. Secrets are masked in messages that carry words; a CONTROL message must carry one, and states
    /// and catalogs are data.
    fn line(&mut self, message: &Value) {
        let mut text = message.to_string();
        if matches!(message["type"].as_str(), Some("LOG" | "TRACE" | "CONNECTION_STATUS")) {
            text = self.redactor.clean(&text);
        }
        self.lines.buffer.extend_from_slice(text.as_bytes());
        self.lines.buffer.push(b'\n');
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
    stop: &'a StopSender,
}

impl RowSink for Records<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        use serde::de::Error as _;
        if !self.book.is_running {
            self.book.is_running = true;
            let status = airbyte::stream_status(&self.book.name, Status::Running);
            self.lines.buffer.extend_from_slice(format!("{status}\n").as_bytes());
        }
        let buffer = &mut self.lines.buffer;
        let start = buffer.len();
        buffer.extend_from_slice(&self.prefix);
        if let Err(error) = self.book.plan.write_row(row, buffer) {
            buffer.truncate(start);
            return Err(error);
        }
        airbyte::record_suffix(self.book.plan.misfits(), buffer);
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
