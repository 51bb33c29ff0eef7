//! What the engine and the commands report to the output. No variant knows how a sink prints it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Level;

use crate::error::{Error, Result};
use crate::http::{Body, CallStats};
use crate::output::facts::Fact;
use crate::output::report_page::ReportPage;
use crate::output::state_file::StateFile;
use crate::output::stream::StreamSetup;
use crate::output::table::folder::Folder;
use crate::output::tally::ReportTally;
use crate::output::{AdvertiserNames, Constants, Coverage, StreamId};
use crate::protocol::singer::{Settings, State};

pub(crate) enum Event {
    /// A log line, about a stream or the run.
    Log {
        level: Level,
        stream: Option<String>,
        text: String,
    },
    /// An error that ends the run.
    Failed(Error),
    /// Text that goes to stdout as it is.
    Document(String),
    /// The outcome of `check`.
    Checked(Result<String>),
    /// The configuration with a rotated refresh token.
    ConfigChanged(Value),
    /// The number of rows expected of a stream.
    Estimate {
        stream: String,
        rows: u64,
    },
    /// A stream of this run.
    Announced(Box<StreamSetup>),
    /// A stream that cannot be read at all.
    Rejected {
        stream: String,
        error: Error,
    },
    /// What a Singer tap was given.
    SingerInput {
        state: State,
        settings: Settings,
        is_test: bool,
    },
    /// States also go to this file.
    StateFile(Box<StateFile>),
    /// Rows go to files in this folder.
    Export(Box<Folder>),
    /// A page about the run goes to a file.
    Report(Box<ReportPage>),
    /// What a report reads, for the page.
    Fact {
        stream: StreamId,
        fact: Fact,
    },
    Started {
        stream: StreamId,
    },
    /// The state before the first record, for heartbeats.
    InitialState {
        stream: StreamId,
        state: Value,
    },
    /// The rows of a validated response, and the state after them.
    Rows {
        stream: StreamId,
        body: Body,
        constants: Constants,
        coverage: Option<Coverage>,
        state: Option<Value>,
        reply: oneshot::Sender<Result<()>>,
    },
    /// A response had no rows for these days and advertisers.
    Covered {
        stream: StreamId,
        coverage: Coverage,
    },
    State {
        stream: StreamId,
        state: Value,
    },
    /// All objects of a stream were written, for this scope.
    Snapshot {
        stream: StreamId,
        scope: Vec<String>,
    },
    /// Asks to be notified of the first record.
    FirstRecord {
        stream: StreamId,
        reply: oneshot::Sender<()>,
    },
    /// Names of advertisers.
    Names(AdvertiserNames),
    /// Text for people at the end.
    NextStep(String),
    /// An HTTP call was made, for a stream or for the run.
    Response {
        stream: Option<String>,
        stats: CallStats,
    },
    /// Finished and remaining windows of a report.
    Progress {
        stream: StreamId,
        done: u64,
        ahead: usize,
    },
    Tally {
        stream: StreamId,
        tally: Box<ReportTally>,
    },
    /// All streams wait for the rate limit.
    RateLimited(Duration),
    Ended {
        stream: StreamId,
        error: Option<Error>,
    },
    /// No stream can be read.
    AllEnded(Error),
    /// The run is over.
    Finish {
        reply: Sender<()>,
    },
}
