//! Plan, fetch, emit, checkpoint: turns calls into streams.
//!
//! The engine decides what to request and when a state may be saved. Calls go through [`Client`]; checked bodies go to
//! [`Output`], which writes their rows and then the state. Streams, groups of advertisers and windows are read
//! concurrently within the call budget; the memory budget keeps fetching and writing in step.

mod ad_sets;
pub mod density;
mod first_day;
pub(crate) mod judge;
mod list;
pub(crate) mod log_files;
mod pages;
mod plan;
mod report;
pub mod requests;
pub mod sums;
pub mod totals;
pub mod track;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chrono::{Days, Weekday};
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, oneshot};
use tracing::Instrument as _;

use crate::config::Config;
use crate::error::{Cause, Error, Result};
use crate::http::{Call, Client, MISSING_PATH};
use crate::model::calendar::Window;
use crate::model::ids::{AdvertiserId, format_ids};
use crate::output::{Output, StreamId};
use crate::products::fan_out::ParentSource;
use crate::products::{Permission, Source, Stream, marketing};
use crate::protocol::airbyte::SyncMode;
use crate::read::list::parents::Parents;
use crate::read::totals::TotalsCache;
use crate::rows::envelope::{RowSink, Shape};
use crate::rows::notices::{Notice, Notices};
use crate::rows::project::Projection;
use crate::state::saved::{Saved, States};
use crate::support::clock::Clock;
use crate::support::text::{counted, excerpt, list_of};
use crate::support::{panic, scan, watchdog};
use crate::telemetry::stream_span;

/// Who may grant consent (developers.criteo.com, Authorization requests).
const CONSENTERS: &str = "an administrator, business manager or technical manager";
/// Per sync ([`too_many`] repeats it): each has a cursor in the state of each stream.
const MAX_ADVERTISERS: usize = 20_000;
/// The API may list more than are read.
const MAX_CONSENTING: usize = 200_000;
/// Including quotation marks.
const MAX_ID_LEN: usize = 66;
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

/// The advertisers to read.
#[derive(Debug)]
pub struct Portfolio {
    /// With consent and, if any are listed, listed.
    pub advertisers: Vec<AdvertiserId>,
    /// Listed in the configuration but without consent.
    pub missing: Vec<AdvertiserId>,
    /// All with consent, listed or not.
    pub consenting: Vec<AdvertiserId>,
}

impl Portfolio {
    /// The error that names listed advertisers without consent.
    #[must_use]
    pub fn missing_error(&self) -> Option<Error> {
        (!self.missing.is_empty()).then(|| {
            let error = without_consent(&self.missing);
            Error { message: format!("{} The app can read {}.", error.message, format_ids(&self.consenting)), ..error }
        })
    }
}

fn without_consent(advertisers: &[AdvertiserId]) -> Error {
    Error::config(format!(
        "advertiser_ids lists advertisers that have not granted this app consent: {}. Ask someone who may grant it for \
         each ({CONSENTERS}) to open the app's consent link from partners.criteo.com and tick the advertiser, or \
         remove it from the list. Set skip_inaccessible_advertisers to sync the others without an error.",
        format_ids(advertisers),
    ))
}

/// Criteo's clock, if this machine's differs: it decides which day is today.
#[must_use]
pub fn clock_of(client: &Client, config: &Config) -> Clock {
    config.test.clock.corrected(client.server_clock().unwrap_or_default())
}

fn first_day_warning(history: impl std::fmt::Display, first: chrono::NaiveDate) -> String {
    format!(
        "These reports are assumed to go back {history}, but Criteo refuses days before {first}, so reading \
         starts on that day."
    )
}

/// The error for unread windows, based on the first one's error.
fn unread_error(windows: Vec<(Window, String)>, error: Error, is_incremental: bool) -> Error {
    let joined = joined(windows).into_iter();
    let shown = list_of(joined.map(|(window, advertisers)| format!("{window} of {advertisers}")));
    let again = if is_incremental { " The next sync requests these days again." } else { "" };
    Error { message: format!("Not read: {shown}. All other days were read.{again} {}", error.message), ..error }
}

/// Merges adjoining windows of the same advertisers, sorted by day.
fn joined(mut windows: Vec<(Window, String)>) -> Vec<(Window, String)> {
    windows.sort_by(|(one, of_one), (other, of_other)| (of_one, one.start).cmp(&(of_other, other.start)));
    windows.dedup_by(|(next, of_next), (window, of_window)| {
        let is_next = of_next == of_window && next.start <= window.end + Days::new(1);
        window.end = if is_next { window.end.max(next.end) } else { window.end };
        is_next
    });
    windows.sort_by_key(|(window, _)| window.start);
    windows
}

/// Lists the advertisers with consent and chooses those to read. Every request names them: Criteo refuses reports
/// without advertisers, although its documentation says that none means all.
///
/// # Errors
/// If the call fails or no advertiser has granted consent.
pub async fn portfolio(client: &Client, config: &Config) -> Result<Portfolio> {
    let consenting = consenting(client).await?;
    if consenting.is_empty() {
        return Err(Error::config(
            "The credentials work, but no advertiser has granted this app consent. On partners.criteo.com, open the \
             app, press \"Generate new URL\", and ask an administrator, business manager or technical manager of the \
             Criteo account to open that link, tick the advertisers and approve. If that has been done, an older \
             consent may be in the way: ask them to revoke it on consent.criteo.com first.",
        )
        .because(Cause::ConsentMissing));
    }
    client.learn_accounts(consenting.len());
    if config.read.advertiser_ids.is_empty() && consenting.len() > MAX_ADVERTISERS {
        return Err(too_many(&consenting.len().to_string()));
    }
    if config.read.advertiser_ids.is_empty() {
        return Ok(Portfolio { advertisers: consenting.clone(), missing: Vec::new(), consenting });
    }
    let known: HashSet<_> = consenting.iter().collect();
    let listed = distinct(config.read.advertiser_ids.iter().cloned());
    let (advertisers, missing) = listed.into_iter().partition(|id| known.contains(id));
    Ok(Portfolio { advertisers, missing, consenting })
}

fn distinct(advertisers: impl Iterator<Item = AdvertiserId>) -> Vec<AdvertiserId> {
    let mut known = HashSet::new();
    advertisers.filter(|id| known.insert(id.clone())).collect()
}

pub(crate) fn list_of_advertisers() -> Call {
    Call::shared(&["advertisers", "me"])
}

#[derive(Default)]
struct Ids {
    ids: Vec<AdvertiserId>,
    /// Why the response is not a usable list of advertisers.
    flaw: Option<Error>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl RowSink for Ids {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let raw = Listed::deserialize(row)?.id.map_or("null", RawValue::get);
        if self.flaw.is_some() {
            return Ok(());
        }
        match scan::text(raw, MAX_ID_LEN).filter(|_| raw.len() <= MAX_ID_LEN) {
            Some(id) if self.ids.len() < MAX_CONSENTING => self.ids.push(AdvertiserId(id)),
            Some(_) => self.flaw = Some(too_many(&format!("more than {MAX_CONSENTING}"))),
            None => self.flaw = Some(crate::rows::envelope::unknown_shape("an advertiser without an id")),
        }
        Ok(())
    }
}

fn too_many(advertisers: &str) -> Error {
    Error::config(format!(
        "The app can read {advertisers} advertisers, but one sync reads at most 20,000. List the ones to read in \
         advertiser_ids, and use several connections for more."
    ))
}

async fn consenting(client: &Client) -> Result<Vec<AdvertiserId>> {
    let check = |body: &str| {
        let mut ids = Ids::default();
        let envelope = crate::rows::envelope::check_into(body, Shape::Plain, &mut ids)?;
        envelope.must_be_whole(envelope.rows.unwrap_or(0), "objects at advertisers/me")?;
        ids.flaw.map_or_else(|| Ok(distinct(ids.ids.into_iter())), Err)
    };
    let response = client.fetch(&list_of_advertisers(), check).await.map_err(|error| match error.cause {
        // Every app that authenticates has this path.
        Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
        _ => error,
    });
    Ok(response?.1)
}

pub(crate) struct ReadContext<'a> {
    client: &'a Client,
    output: &'a Output,
    config: &'a Config,
    pub(crate) advertisers: &'a [AdvertiserId],
    /// Whether the configuration lists inaccessible advertisers.
    has_missing: bool,
    /// Stopped, so that all streams use the same today.
    clock: Clock,
    /// The advertisers that have withdrawn consent during the run.
    lost: RefCell<BTreeSet<AdvertiserId>>,
    consenting: OnceCell<BTreeSet<AdvertiserId>>,
    totals_cache: TotalsCache,
    parents: Parents,
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
    let mut run = ReadContext::new(client, output, config, portfolio.as_ref().ok(), selected);
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    let missing = portfolio.as_ref().ok().and_then(Portfolio::missing_error);
    if let Some(error) = missing.as_ref().filter(|_| config.read.skip_inaccessible_advertisers) {
        tracing::warn!("{error}");
    }
    let missing = missing.filter(|_| !config.read.skip_inaccessible_advertisers);
    let nothing = Saved::default();
    // A stream with an invalid state fails immediately, so its children must not write it.
    for selected in selected {
        let state = states.get(&selected.stream.name).unwrap_or(&nothing);
        if crate::read::list::updated_cursors(selected, state, config.test.clock.now()).is_err() {
            run.ids.remove(selected.stream.name.as_str());
        }
    }
    let (run, portfolio, missing, nothing) = (&run, &portfolio, &missing, &nothing);
    let read = selected.iter().enumerate().map(async |(id, selected)| {
        let stream = &selected.stream;
        output.open(id);
        let result = match portfolio {
            Ok(_) => {
                let state = states.get(&stream.name).unwrap_or(nothing);
                let all = run.read(id, selected, state).instrument(stream_span(&stream.name));
                let result = match extent {
                    // Streams with children are read to the end.
                    ReadUntil::FirstRecord if !marketing::is_parent(&stream.name) => tokio::select! {
                        result = all => result,
                        () = output.first_record(id) => Ok(()),
                    },
                    _ => all.await,
                };
                // Every stream that lacks listed advertisers reports it.
                result.and_then(|()| missing.clone().filter(|_| stream.is_by_advertiser()).map_or(Ok(()), Err))
            }
            Err(error) => Err(error.clone()),
        };
        let is_incomplete = result.is_err();
        output.close(id, result.err());
        usize::from(is_incomplete)
    });
    let incomplete: Vec<usize> = stream::iter(read).buffer_unordered(CONCURRENT_STREAMS).collect().await;
    incomplete.into_iter().sum()
}

/// Logs what a read would request. Requests only the advertisers.
///
/// # Errors
/// If the advertisers cannot be listed.
pub async fn dry_run(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[SelectedStream],
    states: &States,
) -> Result<bool> {
    let portfolio = portfolio(client, config).await?;
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    if let Some(error) = portfolio.missing_error() {
        tracing::warn!("{error}");
    }
    let run = ReadContext::new(client, output, config, Some(&portfolio), selected);
    let (mut reports, mut can_be_read) = (0, true);
    let nothing = Saved::default();
    for selected in selected {
        let stream = &selected.stream;
        let _span = stream_span(&stream.name).entered();
        let state = states.get(&stream.name).unwrap_or(&nothing);
        match &stream.source {
            Source::Entity(entity) => tracing::info!(
                "{}",
                match entity.each.source {
                    ParentSource::Nothing | ParentSource::Advertisers =>
                        "1 request or more; the number of pages is unknown before reading.",
                    _ => "One request or more per parent object.",
                }
            ),
            Source::LogLevel => tracing::info!("One request or more per day and advertiser."),
            Source::Report(report) => match run.plan(selected, report, state, run.advertisers) {
                Ok(plan) => {
                    let forecast = plan.forecast();
                    tracing::info!("{}", forecast.text);
                    reports += forecast.requests;
                    if let Some(rows) = forecast.rows {
                        output.estimate(&stream.name, rows);
                    }
                }
                Err(error) => {
                    can_be_read = false;
                    tracing::error!("{error}");
                }
            },
        }
    }
    let per_minute = reports_per_minute(config, &portfolio);
    tracing::info!("Total: {}, not counting a few for the totals check.", estimated_time(reports, per_minute));
    Ok(can_be_read)
}

/// How many report requests, and how long they take at Criteo's limit.
pub(crate) fn estimated_time(requests: usize, per_minute: usize) -> String {
    let requests = requests as u64;
    let minutes = counted(requests.div_ceil(per_minute.max(1) as u64), "minute");
    format!(
        "about {}, about {minutes} at Criteo's limit of {per_minute} per minute",
        counted(requests, "report request")
    )
}

/// From developers.criteo.com, Rate limits.
pub(crate) fn reports_per_minute(config: &Config, portfolio: &Portfolio) -> usize {
    if config.credentials.refresh_token.is_some() { 10 * portfolio.consenting.len() } else { 40 }
}

impl<'a> ReadContext<'a> {
    pub(crate) fn new(
        client: &'a Client,
        output: &'a Output,
        config: &'a Config,
        portfolio: Option<&'a Portfolio>,
        selected: &'a [SelectedStream],
    ) -> Self {
        Self {
            client,
            output,
            config,
            advertisers: portfolio.map_or(&[], |portfolio| &portfolio.advertisers),
            has_missing: portfolio.is_some_and(|portfolio| !portfolio.missing.is_empty()),
            clock: clock_of(client, config).stopped(),
            lost: RefCell::default(),
            consenting: OnceCell::new(),
            totals_cache: TotalsCache::default(),
            parents: Parents::default(),
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
            // Other refusals carry no reason, and some streams need no permission.
            Some(Cause::PermissionMissing) if permission != Permission::None => {
                error.in_context(&format!("Missing permission \"{}\"", permission.label()))
            }
            Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
            _ => error,
        })
    }

    /// Requested once, after Criteo has refused an advertiser.
    async fn still_consenting(&self) -> Result<BTreeSet<AdvertiserId>> {
        let ask = async || Ok(consenting(self.client).await?.into_iter().collect());
        self.consenting.get_or_try_init(ask).await.cloned()
    }

    /// Whether an inaccessible advertiser is an error.
    fn is_listed(&self) -> bool {
        !self.config.read.advertiser_ids.is_empty() && !self.config.read.skip_inaccessible_advertisers
    }

    /// The error for advertisers refused during the run: listed ones, or if none is left. Others were skipped with a
    /// warning.
    fn lost_error(&self, lost: &BTreeSet<AdvertiserId>) -> Option<Error> {
        let is_listed = self.is_listed();
        let lost: Vec<_> = lost.iter().cloned().collect();
        match lost.is_empty() {
            false if is_listed => Some(without_consent(&lost)),
            false if lost.len() == self.advertisers.len() => Some(Error::config(format!(
                "Criteo refuses all advertisers of the portfolio: {}. Ask someone who may grant consent for each \
                 ({CONSENTERS}) to open the app's consent link from partners.criteo.com again.",
                format_ids(&lost)
            ))),
            _ => None,
        }
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

/// Slices on their way to stdout.
#[derive(Default)]
struct InFlight(VecDeque<oneshot::Receiver<Result<()>>>);

impl InFlight {
    fn push(&mut self, slice: oneshot::Receiver<Result<()>>) {
        self.0.push_back(slice);
    }

    /// Fails if a slice could not be written.
    fn check(&mut self) -> Result<()> {
        while let Some(slice) = self.0.front_mut() {
            match slice.try_recv() {
                Ok(result) => result?,
                Err(oneshot::error::TryRecvError::Empty) => break,
                Err(oneshot::error::TryRecvError::Closed) => return Err(output_gone()),
            }
            self.0.pop_front();
        }
        Ok(())
    }

    async fn wait_all(self) -> Result<()> {
        let task = watchdog::task("A stream".to_owned());
        task.waits_for("its rows to be written");
        for slice in self.0 {
            slice.await.map_err(|_| output_gone())??;
        }
        Ok(())
    }
}

fn output_gone() -> Error {
    Error::system("The output thread has stopped.")
}
