//! The one owner of stdout: it counts records, keeps statuses and states in order, and detects that the reader is gone.
//!
//! A separate thread writes, so that a stalled reader does not stall a download. All other code holds an [`Output`],
//! which never blocks; the memory budget of the bodies limits what is queued. A state is written directly after the
//! last record of its slice, and only if the slice was written completely; after a failed slice, no more states of its
//! stream are written.

mod event;
pub mod facts;
mod people;
mod progress;
pub mod reader;
pub mod report_page;
pub mod sink;
pub mod state_file;
mod stream;
mod summary;
#[cfg_attr(not(feature = "files"), path = "no_table.rs")]
pub mod table;
pub mod tally;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Level;

use crate::error::{Error, Result};
use crate::http::{Body, CallStats};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::output::event::Event;
use crate::output::facts::{Check, Fact};
use crate::output::report_page::ReportPage;
use crate::output::sink::Sink;
use crate::output::state_file::StateFile;
use crate::output::stream::StreamSetup;
use crate::output::table::folder::Folder;
use crate::output::tally::ReportTally;
use crate::output::writer::Writer;
use crate::products::Stream;
use crate::protocol::singer;
use crate::rows::project::Projection;
use crate::support::stop::StopSender;
use crate::support::terminal::Terminal;

/// How often a wait for the reader checks for a stop.
const POLL: Duration = Duration::from_millis(50);

/// Values of columns that a slice's rows do not contain, by column name.
pub type Constants = Vec<(&'static str, String)>;

/// Days and advertisers of a report that a response covers.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// The days, in whole periods.
    pub days: Window,
    /// The advertisers.
    pub advertisers: Arc<[AdvertiserId]>,
    /// Responses with the same number cover the same days and advertisers in parts.
    pub read: u64,
    /// Whether this is the only or last part, so that all rows are there.
    pub is_complete: bool,
    /// What the totals check found.
    pub check: Check,
}

/// Names of advertisers by number, where known.
pub type AdvertiserNames = BTreeMap<u64, Box<str>>;

/// Index of a stream in this run.
pub type StreamId = usize;

/// A handle to the writer thread.
#[derive(Clone)]
pub struct Output {
    sender: Sender<Event>,
}

impl Output {
    /// Starts the thread. It reports to `stop` if the reader goes away.
    ///
    /// # Errors
    /// If the thread cannot be started.
    #[expect(clippy::disallowed_methods, reason = "this type is the one owner of stdout")]
    pub fn start(sink: Sink, stop: StopSender) -> io::Result<Self> {
        // Text for people would mix with protocol messages on the same terminal.
        let terminal = Terminal::stderr().filter(|_| sink.is_for_people() || Terminal::stdout().is_none());
        Self::spawn(Box::new(io::stdout()), sink, stop, terminal)
    }

    /// As [`Self::start`], for a sink that writes nothing to stdout.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn captured(sink: Sink, stop: StopSender) -> io::Result<Self> {
        Self::spawn(Box::new(io::sink()), sink, stop, None)
    }

    fn spawn(
        out: Box<dyn io::Write + Send>,
        sink: Sink,
        stop: StopSender,
        terminal: Option<Terminal>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let writer = move || Writer::new(sink, out, stop, terminal).run(&receiver);
        std::thread::Builder::new().name("output".into()).spawn(writer)?;
        Ok(Self { sender })
    }

    /// Logs a line about a stream or the run.
    pub fn log(&self, level: Level, stream: Option<String>, text: String) {
        self.send(Event::Log { level, stream, text });
    }

    /// Reports an error that ends the run.
    pub fn failed(&self, error: Error) {
        self.send(Event::Failed(error));
    }

    /// Reports the outcome of `check`.
    pub fn checked(&self, outcome: Result<String>) {
        self.send(Event::Checked(outcome));
    }

    /// Passes on the configuration with a rotated refresh token.
    pub fn config_changed(&self, config: Value) {
        self.send(Event::ConfigChanged(config));
    }

    /// Writes text that is not a message.
    pub fn document(&self, text: String) {
        self.send(Event::Document(text));
    }

    /// Registers a stream of this run, so that it gets a final status in any case. Streams are numbered from 0 in the
    /// order of these calls.
    pub fn announce(&self, stream: &Stream, plan: Projection, is_whole: bool, is_selected: &dyn Fn(&str) -> bool) {
        self.send(Event::Announced(Box::new(StreamSetup {
            name: stream.name.clone(),
            cursor: stream.cursor().map(str::to_owned),
            schema: singer::schema(stream, is_selected),
            plan,
            is_whole,
            stream: stream.clone(),
        })));
    }

    /// Passes a Singer tap's state and settings, before any stream is announced. A test run discards its output.
    pub fn configure_singer(&self, state: singer::State, settings: singer::Settings, is_test: bool) {
        self.send(Event::SingerInput { state, settings, is_test });
    }

    /// Also stores this run's states in a file, next to states of other streams in it.
    pub fn persist_states(&self, file: StateFile) {
        self.send(Event::StateFile(Box::new(file)));
    }

    /// Writes a page about this run to a file when it ends.
    pub fn report_to(&self, page: ReportPage) {
        self.send(Event::Report(Box::new(page)));
    }

    /// Reports what a report reads, for the page about the run.
    pub fn fact(&self, stream: StreamId, fact: Fact) {
        self.send(Event::Fact { stream, fact });
    }

    /// Exports to this folder instead of writing messages, before any stream is announced.
    pub fn export_to(&self, folder: Folder) {
        self.send(Event::Export(Box::new(folder)));
    }

    /// Starts a stream, unless it was started.
    pub fn open(&self, stream: StreamId) {
        self.send(Event::Started { stream });
    }

    /// Sets a stream's initial state, repeated as a heartbeat until there is a new one.
    pub fn set_initial_state(&self, stream: StreamId, state: Value) {
        self.send(Event::InitialState { stream, state });
    }

    /// Writes a checked body's rows as records, then the state that they lead to. `coverage` is what a report's rows replace. The reply comes after the last byte
    /// was passed on.
    #[must_use]
    pub fn write_rows(
        &self,
        stream: StreamId,
        body: Body,
        constants: Constants,
        coverage: Option<Coverage>,
        state: Option<Value>,
    ) -> oneshot::Receiver<Result<()>> {
        let (reply, response) = oneshot::channel();
        self.send(Event::Rows { stream, body, constants, coverage, state, reply });
        response
    }

    /// Reports that a response without rows covers these days and advertisers.
    pub fn covers(&self, stream: StreamId, coverage: Coverage) {
        self.send(Event::Covered { stream, coverage });
    }

    /// Writes a state, unless it equals the last one.
    pub fn state(&self, stream: StreamId, state: Value) {
        self.send(Event::State { stream, state });
    }

    /// Reports that a stream was written completely; `scope` is what it covers, such as the advertisers.
    pub fn finish_snapshot(&self, stream: StreamId, scope: Vec<String>) {
        self.send(Event::Snapshot { stream, scope });
    }

    /// Reports that a stream of the catalog cannot be read.
    pub fn reject_stream(&self, stream: String, error: Error) {
        self.send(Event::Rejected { stream, error });
    }

    /// Resolves when a stream's first record was written.
    pub async fn first_record(&self, stream: StreamId) {
        let (reply, response) = oneshot::channel();
        self.send(Event::FirstRecord { stream, reply });
        if response.await.is_err() {
            // The stream ended without a record.
            std::future::pending::<()>().await;
        }
    }

    /// Names advertisers in summaries.
    pub fn name_advertisers(&self, names: AdvertiserNames) {
        self.send(Event::Names(names));
    }

    /// Prints text for people after everything else of a read.
    pub fn next_step(&self, text: String) {
        self.send(Event::NextStep(text));
    }

    /// Counts an HTTP call of a stream, or of the run, for the summary and for Singer metrics.
    pub fn response(&self, stream: Option<String>, stats: CallStats) {
        self.send(Event::Response { stream, stats });
    }

    /// Reports a report's finished windows, and the known number of remaining ones.
    pub fn progress(&self, stream: StreamId, done: u64, ahead: usize) {
        self.send(Event::Progress { stream, done, ahead });
    }

    /// Reports a report's totals.
    pub fn tally(&self, stream: StreamId, tally: ReportTally) {
        self.send(Event::Tally { stream, tally: Box::new(tally) });
    }

    /// Reports the expected number of rows of a stream.
    pub fn estimate(&self, stream: &str, rows: u64) {
        self.send(Event::Estimate { stream: stream.to_owned(), rows });
    }

    /// Reports that all open streams wait for the call budget.
    pub fn rate_limited(&self, wait: Duration) {
        self.send(Event::RateLimited(wait));
    }

    /// Ends a stream: complete, or incomplete because of `error`.
    pub fn close(&self, stream: StreamId, error: Option<Error>) {
        self.send(Event::Ended { stream, error });
    }

    /// Ends all streams as incomplete because of `error`, which prevents reading any of them.
    pub fn close_all(&self, error: Error) {
        self.send(Event::AllEnded(error));
    }

    /// Writes what is left and marks unfinished streams as incomplete. Waits for the reader as long as it takes, but at
    /// most `timeout` once `stop` requests the end. Returns whether everything was written.
    #[must_use]
    pub fn finish(&self, stop: &StopSender, timeout: Duration) -> bool {
        let (reply, done) = channel();
        self.send(Event::Finish { reply });
        let mut waited = Duration::ZERO;
        while waited < timeout {
            match done.recv_timeout(POLL) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if stop.is_stopping() => waited += POLL,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        false
    }

    fn send(&self, event: Event) {
        // Never fails: the thread lives as long as the process.
        let _ = self.sender.send(event);
    }
}
