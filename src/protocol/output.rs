//! The one owner of stdout: it counts records, keeps the order of statuses and states, and knows when nobody reads
//! any more.
//!
//! A thread of its own writes, so that a reader that stalls does not stall a download. Everybody else holds an
//! [`Output`], which never blocks: what is on its way is bounded by the memory budget of the bodies. A state goes out
//! directly behind the last record of its slice, and only if that slice was written whole; after a slice that failed,
//! no state of its stream goes out any more.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::state_file::StateFile;
use super::writer::Writer;
use super::writer::book::Announcement;
use super::{Protocol, airbyte, singer};
use crate::api::{Answered, Body};
use crate::engine::account::Account;
use crate::engine::project::Plan;
use crate::error::{Error, Result};
use crate::stop::StopSender;
use crate::streams::Stream;
use crate::terminal::Terminal;

/// How often a wait for the reader looks whether the run is to end.
const POLL: Duration = Duration::from_millis(50);

/// Values of columns that the rows of a slice do not carry, by the name of the column.
pub type Constants = Vec<(&'static str, String)>;

/// Names a stream of this run.
pub type StreamId = usize;

/// What is sent to the thread.
pub(super) enum Message {
    Line(Value),
    Document(String),
    Announce(Box<Announcement>),
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
    Answer(Answered),
    /// How many windows of a report are done, and how many are to come as far as that is known.
    Progress {
        stream: StreamId,
        done: u64,
        ahead: usize,
    },
    Account {
        stream: StreamId,
        account: Box<Account>,
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
    pub fn start(protocol: Protocol, stop: StopSender) -> io::Result<Self> {
        // A line that is drawn again and again would mix with the messages.
        let terminal = Terminal::of_people().filter(|_| Terminal::of_stdout().is_none());
        Self::spawn(Box::new(io::stdout()), protocol, stop, terminal)
    }

    /// The same for another place than stdout, of which nobody at a terminal is told.
    ///
    /// # Errors
    /// When the system gives no thread.
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

    /// Writes a text that is no message.
    pub fn document(&self, text: String) {
        self.send(Message::Document(text));
    }

    /// Announces a stream of this run, so that it gets its last status whatever happens. Streams are numbered from 0 in
    /// the order of these calls.
    pub fn announce(&self, stream: &Stream, plan: Plan, is_whole: bool, is_selected: &dyn Fn(&str) -> bool) {
        self.send(Message::Announce(Box::new(Announcement {
            name: stream.name.clone(),
            cursor: stream.cursor().map(str::to_owned),
            schema: singer::schema(stream, is_selected),
            plan,
            is_whole,
        })));
    }

    /// What a Singer tap was given, before any stream is announced: a state to carry along, and its settings. In a test
    /// nothing is written.
    pub fn begin(&self, state: singer::State, settings: singer::Settings, is_test: bool) {
        self.send(Message::Begin { state, settings, is_test });
    }

    /// Keeps the states of this run in a file, too, beside those of other streams that are in it.
    pub fn keep_states(&self, file: StateFile) {
        self.send(Message::KeepStates(Box::new(file)));
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

    /// Says that everything that there is of a stream has been written; `scope` is what it was read for, such as the
    /// advertisers.
    pub fn whole(&self, stream: StreamId, scope: Vec<String>) {
        self.send(Message::Whole { stream, scope });
    }

    /// Says that a stream of the catalog cannot be read.
    pub fn refuse(&self, stream: String, error: Error) {
        self.send(Message::Refused { stream, error });
    }

    /// Resolves when the first record of a stream has been written.
    pub async fn first_record(&self, stream: StreamId) {
        let (reply, answer) = oneshot::channel();
        self.send(Message::FirstRecord { stream, reply });
        if answer.await.is_err() {
            // The stream has ended without one.
            std::future::pending::<()>().await;
        }
    }

    /// Tells of an answer of Criteo's, for the words at the end and the figures that tools around Singer collect.
    pub fn answer(&self, answered: Answered) {
        self.send(Message::Answer(answered));
    }

    /// Tells how many windows of a report are done, and how many are to come as far as that is known.
    pub fn progress(&self, stream: StreamId, done: u64, ahead: usize) {
        self.send(Message::Progress { stream, done, ahead });
    }

    /// Tells what a report came to.
    pub fn account(&self, stream: StreamId, account: Account) {
        self.send(Message::Account { stream, account: Box::new(account) });
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
    /// takes, but no longer than `patience` once `stop` says that the run is to end. Whether everything was written.
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
        // The thread lives as long as the process; without it there is nobody to tell.
        let _ = self.sender.send(message);
    }
}
