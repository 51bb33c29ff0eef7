//! The one owner of stdout: it counts records, keeps statuses and states in order, and detects that the reader is gone.
//!
//! A separate thread writes, so that a stalled reader does not stall a download. All other code holds an [`Output`],
//! which never blocks; the memory budget of the bodies limits what is queued. A state is written directly after the
//! last record of its slice, and only if the slice was written completely; after a failed slice, no more states of its
//! stream are written.

pub mod reader;
pub mod state_file;
pub mod tally;
pub(crate) mod writer;

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::http::{Body, CallStats};
use crate::output::state_file::StateFile;
use crate::output::tally::ReportTally;
use crate::output::writer::Writer;
use crate::output::writer::stream::StreamSetup;
use crate::products::Stream;
use crate::protocol::{Protocol, airbyte, singer};
use crate::rows::project::Projection;
use crate::support::stop::StopSender;
use crate::support::terminal::Terminal;

/// How often a wait for the reader checks for a stop.
const POLL: Duration = Duration::from_millis(50);

/// Values of columns that a slice's rows do not contain, by column name.
pub type Constants = Vec<(&'static str, String)>;

/// Index of a stream in this run.
pub type StreamId = usize;

/// A message to the writer thread.
pub(crate) enum Message {
    Line(Value),
    Document(String),
    Announce(Box<StreamSetup>),
    Begin {
        state: singer::State,
        settings: singer::Settings,
        is_test: bool,
    },
    KeepStates(Box<StateFile>),
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
    Whole {
        stream: StreamId,
        scope: Vec<String>,
    },
    FirstRecord {
        stream: StreamId,
        reply: oneshot::Sender<()>,
    },
    Refused {
        stream: String,
        error: Error,
    },
    Response(CallStats),
    /// Finished windows of a report, and the known number of remaining ones.
    Progress {
        stream: StreamId,
        done: u64,
        ahead: usize,
    },
    ReportTally {
        stream: StreamId,
        tally: Box<ReportTally>,
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

/// A handle to the writer thread.
#[derive(Clone)]
pub struct Output {
    sender: Sender<Message>,
}

impl Output {
    /// Starts the thread. It reports to `stop` if the reader goes away.
    ///
    /// # Errors
    /// If the thread cannot be started.
    #[expect(clippy::disallowed_methods, reason = "this type is the one owner of stdout")]
    pub fn start(protocol: Protocol, stop: StopSender) -> io::Result<Self> {
        // A progress line would mix with the messages on the same terminal.
        let terminal = Terminal::stderr().filter(|_| Terminal::stdout().is_none());
        Self::spawn(Box::new(io::stdout()), protocol, stop, terminal)
    }

    /// As [`Self::start`], for another destination than stdout and without terminal output.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn to(out: Box<dyn io::Write + Send>, protocol: Protocol, stop: StopSender) -> io::Result<Self> {
        Self::spawn(out, protocol, stop, None)
    }

    fn spawn(
        out: Box<dyn io::Write + Send>,
        protocol: Protocol,
        stop: StopSender,
        terminal: Option<Terminal>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let writer = move || Writer::new(protocol, out, stop, terminal).run(&receiver);
        std::thread::Builder::new().name("output".into()).spawn(writer)?;
        Ok(Self { sender })
    }

    /// Writes a message that belongs to no stream.
    pub fn message(&self, message: Value) {
        self.send(Message::Line(message));
    }

    /// Writes text that is not a message.
    pub fn document(&self, text: String) {
        self.send(Message::Document(text));
    }

    /// Registers a stream of this run, so that it gets a final status in any case. Streams are numbered from 0 in the
    /// order of these calls.
    pub fn announce(&self, stream: &Stream, plan: Projection, is_whole: bool, is_selected: &dyn Fn(&str) -> bool) {
        self.send(Message::Announce(Box::new(StreamSetup {
            name: stream.name.clone(),
            cursor: stream.cursor().map(str::to_owned),
            schema: singer::schema(stream, is_selected),
            plan,
            is_whole,
        })));
    }

    /// Passes a Singer tap's state and settings, before any stream is announced. A test run discards its output.
    pub fn begin(&self, state: singer::State, settings: singer::Settings, is_test: bool) {
        self.send(Message::Begin { state, settings, is_test });
    }

    /// Also stores this run's states in a file, next to states of other streams in it.
    pub fn persist_states(&self, file: StateFile) {
        self.send(Message::KeepStates(Box::new(file)));
    }

    /// Starts a stream, unless it was started.
    pub fn open(&self, stream: StreamId) {
        self.send(Message::Open { stream });
    }

    /// Sets a stream's initial state, repeated as a heartbeat until there is a new one.
    pub fn remember(&self, stream: StreamId, state: Value) {
        self.send(Message::Remember { stream, state });
    }

    /// Writes a checked body's rows as records, then the state that they lead to. The reply comes after the last byte
    /// was passed on.
    #[must_use]
    pub fn slice(
        &self,
        stream: StreamId,
        body: Body,
        constants: Constants,
        state: Option<Value>,
    ) -> oneshot::Receiver<Result<()>> {
        let (reply, response) = oneshot::channel();
        self.send(Message::Slice { stream, body, constants, state, reply });
        response
    }

    /// Writes a state, unless it equals the last one.
    pub fn state(&self, stream: StreamId, state: Value) {
        self.send(Message::State { stream, state });
    }

    /// Reports that a stream was written completely; `scope` is what it covers, such as the advertisers.
    pub fn whole(&self, stream: StreamId, scope: Vec<String>) {
        self.send(Message::Whole { stream, scope });
    }

    /// Reports that a stream of the catalog cannot be read.
    pub fn reject_stream(&self, stream: String, error: Error) {
        self.send(Message::Refused { stream, error });
    }

    /// Resolves when a stream's first record was written.
    pub async fn first_record(&self, stream: StreamId) {
        let (reply, response) = oneshot::channel();
        self.send(Message::FirstRecord { stream, reply });
        if response.await.is_err() {
            // The stream ended without a record.
            std::future::pending::<()>().await;
        }
    }

    /// Counts an HTTP call, for the summary and for Singer metrics.
    pub fn response(&self, answered: CallStats) {
        self.send(Message::Response(answered));
    }

    /// Reports a report's finished windows, and the known number of remaining ones.
    pub fn progress(&self, stream: StreamId, done: u64, ahead: usize) {
        self.send(Message::Progress { stream, done, ahead });
    }

    /// Reports a report's totals.
    pub fn tally(&self, stream: StreamId, tally: ReportTally) {
        self.send(Message::ReportTally { stream, tally: Box::new(tally) });
    }

    /// Reports the expected number of rows of a stream.
    pub fn estimate(&self, stream: &str, rows: u64) {
        self.message(airbyte::estimate(stream, rows));
    }

    /// Reports that all open streams wait for the call budget.
    pub fn waiting(&self, wait: Duration) {
        self.send(Message::Waiting { wait });
    }

    /// Ends a stream: complete, or incomplete because of `error`.
    pub fn close(&self, stream: StreamId, error: Option<Error>) {
        self.send(Message::Close { stream, error });
    }

    /// Writes what is left and marks unfinished streams as incomplete. Waits for the reader as long as it takes, but at
    /// most `patience` once `stop` requests the end. Returns whether everything was written.
    #[must_use]
    pub fn finish(&self, stop: &StopSender, patience: Duration) -> bool {
        let (reply, done) = channel();
        self.send(Message::Finish { reply });
        let mut waited = Duration::ZERO;
        while waited < patience {
            match done.recv_timeout(POLL) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if stop.is_stopping() => waited += POLL,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        false
    }

    fn send(&self, message: Message) {
        // Never fails: the thread lives as long as the process.
        let _ = self.sender.send(message);
    }
}
