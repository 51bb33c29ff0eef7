//! Plan, fetch, emit, checkpoint: turns calls into streams.
//!
//! The engine decides what to request and when a state may be saved. Calls go through [`Client`]; checked bodies go to
//! [`Output`], which writes their rows and then the state. Streams, groups of advertisers and windows are read
//! concurrently within the call budget; the memory budget keeps fetching and writing in step.

mod ad_sets;
mod counts;
pub mod density;
mod first_day;
mod forecast;
mod in_flight;
mod jobs;
pub(crate) mod judge;
mod list;
pub(crate) mod log_files;
mod numbered;
mod pages;
mod plan;
mod portfolio;
mod report;
pub mod requests;
pub mod sums;
pub mod totals;
pub mod track;
mod unread;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::Weekday;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{OnceCell, Semaphore};
use tracing::Instrument as _;

use crate::config::Config;
use crate::error::{Cause, Result};
use crate::http::{Client, MISSING_PATH};
use crate::model::ids::AdvertiserId;
use crate::output::{Output, StreamId};
use crate::products::{self, Permission, Source, Stream};
use crate::protocol::airbyte::SyncMode;
use crate::read::counts::Counts;
pub use crate::read::forecast::{DryRun, Expected, dry_run};
pub(crate) use crate::read::forecast::{estimated_time, reports_per_minute};
use crate::read::in_flight::InFlight;
use crate::read::list::parents::Parents;
pub(crate) use crate::read::portfolio::list_of_scope;
pub use crate::read::portfolio::{Portfolio, portfolio};
use crate::read::totals::TotalsCache;
use crate::rows::notices::{Notice, Notices};
use crate::rows::project::Projection;
use crate::state::saved::{Saved, States};
use crate::support::clock::Clock;
use crate::support::panic;
use crate::support::text::excerpt;
use crate::telemetry::stream_span;

const MAX_WARNINGS: usize = 50;
const CONCURRENT_STREAMS: usize = 8;

/// A selected stream and how to read it.
#[derive(Debug, Clone)]
pub struct SelectedStream {
    /// The stream's declaration.
    pub stream: Stream,
    /// How to read it; a stream without a cursor is read in full either way.
    pub sync_mode: SyncMode,
    /// The selected columns; `None` selects all.
    pub columns: Option<HashSet<String>>,
    /// The platform's sync id; an interrupted full refresh resumes only within the same sync.
    pub sync_id: Option<i64>,
}

impl SelectedStream {
    /// Whether a column is selected.
    #[must_use]
    pub fn wants(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(column))
    }
}

/// Criteo's clock, if this machine's differs: it decides which day is today.
#[must_use]
pub fn clock_of(client: &Client, config: &Config) -> Clock {
    config.test.clock.corrected(client.server_clock().unwrap_or_default())
}

pub(crate) struct ReadContext<'a> {
    client: &'a Client,
    output: &'a Output,
    config: &'a Config,
    pub(crate) advertisers: &'a [AdvertiserId],
    /// The kinds of accounts, of those that have one.
    kinds: Option<&'a BTreeMap<AdvertiserId, String>>,
    /// Whether the configuration lists inaccessible advertisers.
    has_missing: bool,
    /// Stopped, so that all streams use the same today.
    clock: Clock,
    /// The advertisers that have withdrawn consent during the run.
    lost: RefCell<BTreeSet<AdvertiserId>>,
    consenting: OnceCell<BTreeSet<AdvertiserId>>,
    totals_cache: TotalsCache,
    parents: Parents,
    /// What the counts of lists have shown to count.
    counts: RefCell<Counts>,
    /// Places for files of jobs, which take long to receive.
    files: Semaphore,
    ids: BTreeMap<&'a str, StreamId>,
    warnings: RefCell<HashSet<(String, String)>>,
    warning_kinds: RefCell<HashSet<String>>,
    /// The first day of Criteo's weeks, if a response has shown that it is not Monday.
    week_start: Cell<Option<Weekday>>,
    /// The number of the next read, unique in this run.
    reads: Cell<u64>,
}

/// How much of a stream to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadUntil {
    /// All records.
    All,
    /// Up to the first record.
    FirstRecord,
}

/// Reads the selected streams concurrently and returns how many are incomplete.
pub async fn read(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[SelectedStream],
    states: &States,
    extent: ReadUntil,
) -> usize {
    for selected in selected {
        let mut plan = Projection::new(&selected.stream, &|column| selected.wants(column));
        // An invalid state is reported when the stream is read.
        if let Some(state) = states.get(&selected.stream.name)
            && let Ok((cursors, _)) = crate::read::list::updated_cursors(selected, state, config.test.clock.now())
        {
            plan.only_changed_since(cursors);
        }
        let is_whole = selected.stream.is_read_whole(selected.sync_mode == SyncMode::Incremental);
        output.announce(&selected.stream, plan, is_whole, &|column| selected.wants(column));
    }
    let portfolio = portfolio(client, config).await;
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    let portfolio = match portfolio {
        Ok(portfolio) => portfolio,
        Err(error) => {
            output.close_all(error);
            return selected.len();
        }
    };
    output.name_advertisers(portfolio.names.clone());
    let mut run = ReadContext::new(client, output, config, &portfolio, selected);
    let missing = portfolio.missing_error();
    if let Some(error) = missing.as_ref().filter(|_| config.read.skip_inaccessible) {
        tracing::warn!("{error}");
    }
    let missing = missing.filter(|_| !config.read.skip_inaccessible);
    let nothing = Saved::default();
    // A stream with an invalid state fails immediately, so its children must not write it.
    for selected in selected {
        let state = states.get(&selected.stream.name).unwrap_or(&nothing);
        if crate::read::list::updated_cursors(selected, state, config.test.clock.now()).is_err() {
            run.ids.remove(selected.stream.name.as_str());
        }
    }
    let (run, missing, nothing) = (&run, &missing, &nothing);
    let read = selected.iter().enumerate().map(async |(id, selected)| {
        let stream = &selected.stream;
        output.open(id);
        let state = states.get(&stream.name).unwrap_or(nothing);
        let all = run.read(id, selected, state).instrument(stream_span(&stream.name));
        let result = match extent {
            // Streams with children are read to the end.
            ReadUntil::FirstRecord if !products::is_parent(&stream.name) => tokio::select! {
                result = all => result,
                () = output.first_record(id) => Ok(()),
            },
            _ => all.await,
        };
        // Every stream that lacks listed advertisers reports it.
        let result = result.and_then(|()| missing.clone().filter(|_| stream.is_by_advertiser()).map_or(Ok(()), Err));
        let is_incomplete = result.is_err();
        output.close(id, result.err());
        usize::from(is_incomplete)
    });
    let incomplete: Vec<usize> = stream::iter(read).buffer_unordered(CONCURRENT_STREAMS).collect().await;
    incomplete.into_iter().sum()
}

impl<'a> ReadContext<'a> {
    /// A number for what is read next, unique in this run.
    pub(crate) fn next_read(&self) -> u64 {
        let next = self.reads.get();
        self.reads.set(next + 1);
        next
    }

    pub(crate) fn new(
        client: &'a Client,
        output: &'a Output,
        config: &'a Config,
        portfolio: &'a Portfolio,
        selected: &'a [SelectedStream],
    ) -> Self {
        Self {
            client,
            output,
            config,
            advertisers: &portfolio.advertisers,
            kinds: Some(&portfolio.kinds),
            has_missing: !portfolio.missing.is_empty(),
            clock: clock_of(client, config).stopped(),
            lost: RefCell::default(),
            consenting: OnceCell::new(),
            totals_cache: TotalsCache::default(),
            parents: Parents::default(),
            counts: RefCell::default(),
            files: Semaphore::new(jobs::CONCURRENT_FILES),
            ids: selected.iter().enumerate().map(|(id, selected)| (selected.stream.name.as_str(), id)).collect(),
            warnings: RefCell::default(),
            warning_kinds: RefCell::default(),
            week_start: Cell::new(None),
            reads: Cell::new(0),
        }
    }

    async fn read(&self, id: StreamId, selected: &SelectedStream, state: &Saved) -> Result<()> {
        if self.advertisers.is_empty() && selected.stream.is_by_advertiser() {
            return Ok(());
        }
        panic::point("engine");
        let permission = selected.stream.permission;
        let result = match &selected.stream.source {
            Source::Entity(entity) => self.read_entity(id, selected, *entity, state).await,
            Source::Report(report) => self.read_report(id, selected, report, state).await,
            Source::LogLevel => self.read_log_level(id, selected, state).await,
        };
        result.map_err(|error| match error.cause {
            Some(Cause::PermissionMissing | Cause::Forbidden) if selected.stream.is_limited() => {
                error.in_context("Criteo gives few apps access to this; deselect the stream if yours has none")
            }
            // Other refusals carry no reason, and some streams need no permission.
            Some(Cause::PermissionMissing) if permission != Permission::None => {
                error.in_context(&format!("Missing permission \"{}\"", permission.label()))
            }
            Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
            _ => error,
        })
    }

    /// Logs a warning about the run, the first time.
    fn warn_once(&self, warning: &str) {
        self.warn_once_for("", warning);
    }

    /// Logs a warning about a stream, the first time.
    fn warn_once_for(&self, stream: &str, warning: &str) {
        if self.warnings.borrow_mut().insert((stream.to_owned(), warning.to_owned())) {
            tracing::warn!("{warning}");
        }
    }

    /// Logs each of Criteo's warnings once, up to a limit, except the row limit, which is handled elsewhere.
    fn pass_on(&self, warnings: &Notices) {
        for warning in warnings.first.iter().filter(|warning| !warning.is_row_limit()) {
            let mut kinds = self.warning_kinds.borrow_mut();
            if kinds.len() < MAX_WARNINGS && kinds.insert(warning.code.clone()) {
                let Notice { code, title, detail, .. } = warning;
                tracing::warn!("Criteo warns: {}", excerpt(&format!("{title} {detail} [{code}]")));
            }
        }
    }
}
