//! Plan, fetch, emit, checkpoint: what makes streams out of calls.
//!
//! The engine decides what is asked and when a state is legal. It knows neither HTTP nor the bytes on stdout: calls go
//! through [`Client`], whole checked bodies go to [`Output`], which writes their rows and then the state they lead to.
//! Streams, groups of advertisers and windows are read at once, as far as the call budget allows; the memory budget of the
//! bodies keeps fetching and writing together.

pub mod account;
mod ad_sets;
pub(crate) mod answer;
mod coerce;
pub mod cursor;
mod decimal;
pub mod density;
mod entity;
mod fields;
mod floor;
pub mod ladder;
pub(crate) mod log_level;
mod pages;
mod plan;
pub mod project;
mod report;
mod resume;
pub mod rows;
pub mod saved;
pub mod slice;
pub mod sums;
pub mod totals;
pub mod track;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chrono::{Days, Weekday};
use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, oneshot};

use crate::api::{AllTold, Call, CallClass, Client, MISSING_PATH, Memory, Told, quote};
use crate::clock::Clock;
use crate::config::{AdvertiserId, Config};
use crate::error::{Cause, Error, Result};
use crate::panic;
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::{Output, StreamId};
use crate::scan;
use crate::streams::{Permission, Source, Stream, catalog};
use crate::watchdog;
use entity::Parents;
use project::Plan;
use rows::{RowSink, Shape};
use saved::{Saved, States};
use slice::Window;
use totals::Ledger;

/// Who may give consent (developers.criteo.com, Authorization requests).
const CONSENTERS: &str = "an administrator, business manager or technical manager";
/// The most advertisers that one sync reads ([`too_many`] names the number): each has a cursor in the state of each stream.
const MOST_ADVERTISERS: usize = 20_000;
/// The most advertisers that a list may name. All of them are needed to tell who has given consent.
const MOST_CONSENTING: usize = 200_000;
/// The longest id of an advertiser, with its quotation marks.
const LONGEST_ID: usize = 66;
/// The most kinds of Criteo's warnings that are told in a run.
const MOST_WARNINGS: usize = 50;
/// Streams that are read at once.
const STREAMS_AT_ONCE: usize = 8;

/// A stream that the catalog selects.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The stream.
    pub stream: Stream,
    /// How to read it; a stream without a cursor is read whole in either mode.
    pub sync_mode: SyncMode,
    /// The columns wanted; `None` wants all.
    pub columns: Option<HashSet<String>>,
    /// The platform's number of this sync; a full refresh goes on only within the one it was interrupted in.
    pub sync_id: Option<i64>,
}

impl Selected {
    /// Whether a column is wanted.
    #[must_use]
    pub fn wants(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(column))
    }
}

/// The advertisers to read.
#[derive(Debug)]
pub struct Portfolio {
    /// Those that may be read.
    pub advertisers: Vec<AdvertiserId>,
    /// Those that the configuration lists and that have not given their consent.
    pub missing: Vec<AdvertiserId>,
    /// Those that have given their consent, whether they are to be read or not.
    pub consenting: Vec<AdvertiserId>,
}

impl Portfolio {
    /// The error that names the advertisers which are listed and cannot be read.
    #[must_use]
    pub fn missing_error(&self) -> Option<Error> {
        (!self.missing.is_empty()).then(|| {
            let error = without_consent(&self.missing);
            Error { message: format!("{} The app can read {}.", error.message, names(&self.consenting)), ..error }
        })
    }
}

fn without_consent(advertisers: &[AdvertiserId]) -> Error {
    Error::config(format!(
        "advertiser_ids lists advertisers that have not given this app their consent: {}. Have somebody who may give \
         consent for each ({CONSENTERS}) open the app's consent link from partners.criteo.com and tick the advertiser, or take \
         it off the list. With skip_inaccessible_advertisers the others count as complete.",
        names(advertisers),
    ))
}

/// The calendar that counts: Criteo's, where this machine's differs from it.
#[must_use]
pub fn clock_of(client: &Client, config: &Config) -> Clock {
    config.clock.corrected(client.server_clock().unwrap_or_default())
}

/// What is said where Criteo keeps less than a report is taken to reach back.
fn floor_warning(name: &str, history: impl std::fmt::Display, first: chrono::NaiveDate) -> String {
    format!(
        "{name}: reports of this kind are taken to reach back {history}, but Criteo refuses days before {first}, so that is \
         the first day."
    )
}

/// The error of a stream that lacks some windows of advertisers, from what the first of them met.
fn unread_error(windows: Vec<(Window, String)>, error: Error, is_incremental: bool) -> Error {
    let joined = joined(windows).into_iter();
    let shown = report::list(joined.map(|(window, advertisers)| format!("{window} of {advertisers}")));
    let again = if is_incremental { " The next sync asks for these days again." } else { "" };
    Error { message: format!("Not read: {shown}. All other days are read.{again} {}", error.message), ..error }
}

/// Windows of the same advertisers that adjoin or overlap are one; in the order of their days.
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

/// Ids in a sentence, at most twenty of them.
fn names(advertisers: &[AdvertiserId]) -> String {
    let names: Vec<_> = advertisers.iter().take(20).map(ToString::to_string).collect();
    format!("{}{}", names.join(", "), if advertisers.len() > 20 { " and others" } else { "" })
}

/// Asks which advertisers have given their consent, and chooses those to read. They are then sent with every request:
/// Criteo refuses a report without advertisers, although its documents say that none means all.
///
/// # Errors
/// What the call says, or that nobody has given consent.
pub async fn portfolio(client: &Client, config: &Config) -> Result<Portfolio> {
    let consenting = consenting(client).await?;
    if consenting.is_empty() {
        return Err(Error::config(
            "The credentials work, but no advertiser has given this app its consent. On partners.criteo.com open the app, \
             press \"Generate new URL\", and have an administrator, business manager or technical manager of the Criteo account \
             open that link, tick the advertisers and approve. If that has been done, an older consent may stand in the way: \
             have them revoke it on consent.criteo.com first.",
        )
        .because(Cause::ConsentMissing));
    }
    client.learn_accounts(consenting.len());
    if config.advertiser_ids.is_empty() && consenting.len() > MOST_ADVERTISERS {
        return Err(too_many(&consenting.len().to_string()));
    }
    if config.advertiser_ids.is_empty() {
        return Ok(Portfolio { advertisers: consenting.clone(), missing: Vec::new(), consenting });
    }
    let known: HashSet<_> = consenting.iter().collect();
    let listed = distinct(config.advertiser_ids.iter().cloned());
    let (advertisers, missing) = listed.into_iter().partition(|id| known.contains(id));
    Ok(Portfolio { advertisers, missing, consenting })
}

/// Each of them once, in their order.
fn distinct(advertisers: impl Iterator<Item = AdvertiserId>) -> Vec<AdvertiserId> {
    let mut known = HashSet::new();
    advertisers.filter(|id| known.insert(id.clone())).collect()
}

/// The call for the advertisers that have given the app consent.
fn list_of_advertisers() -> Call {
    Call {
        method: Method::GET,
        path: vec!["advertisers".into(), "me".into()],
        query: Vec::new(),
        body: None,
        class: CallClass::Other,
        expected_bytes: 0,
        memory: Memory::Apart,
        is_divisible: false,
        is_suspect: false,
    }
}

/// The advertisers that an answer lists.
#[derive(Default)]
struct Ids {
    ids: Vec<AdvertiserId>,
    /// Why it is no list of advertisers, or none that can be read.
    flaw: Option<Error>,
}

/// What is read of an advertiser in the list.
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
        match scan::text(raw, LONGEST_ID).filter(|_| raw.len() <= LONGEST_ID) {
            Some(id) if self.ids.len() < MOST_CONSENTING => self.ids.push(AdvertiserId(id)),
            Some(_) => self.flaw = Some(too_many(&format!("more than {MOST_CONSENTING}"))),
            None => self.flaw = Some(rows::unknown_shape("an advertiser has no id")),
        }
        Ok(())
    }
}

fn too_many(advertisers: &str) -> Error {
    Error::config(format!(
        "The app can read {advertisers} advertisers, and one sync reads at most 20,000 of them. List those to read in \
         advertiser_ids, and make several connections where there are more."
    ))
}

async fn consenting(client: &Client) -> Result<Vec<AdvertiserId>> {
    let check = |body: &str| {
        let mut ids = Ids::default();
        let envelope = rows::check_into(body, Shape::Plain, &mut ids)?;
        envelope.must_be_whole(envelope.rows.unwrap_or(0), "objects at advertisers/me")?;
        ids.flaw.map_or_else(|| Ok(distinct(ids.ids.into_iter())), Err)
    };
    let answer = client.fetch(&list_of_advertisers(), check).await.map_err(|error| match error.cause {
        // Everybody who is let in has this path.
        Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
        _ => error,
    });
    Ok(answer?.1)
}

/// Everything that the streams of a run share.
struct Run<'a> {
    client: &'a Client,
    output: &'a Output,
    config: &'a Config,
    advertisers: &'a [AdvertiserId],
    /// Whether the configuration lists advertisers that cannot be read.
    has_missing: bool,
    /// Stands still, so that all streams have one today.
    clock: Clock,
    /// The advertisers that have withdrawn their consent since the run began.
    lost: RefCell<BTreeSet<AdvertiserId>>,
    consenting: OnceCell<BTreeSet<AdvertiserId>>,
    ledger: Ledger,
    parents: Parents,
    /// The selected streams by name.
    ids: BTreeMap<&'a str, StreamId>,
    warnings: RefCell<HashSet<String>>,
    /// The codes of Criteo's warnings that have been told.
    warning_kinds: RefCell<HashSet<String>>,
    /// The weekday that Criteo's weeks begin on, once an answer has shown another than Monday.
    week_start: Cell<Option<Weekday>>,
}

/// How much of a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// Until its first record.
    FirstRecord,
}

/// Reads the selected streams, several at once; a stream that fails does not stop the others. Returns how many are
/// incomplete.
pub async fn read(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[Selected],
    states: &States,
    extent: Extent,
) -> usize {
    for selected in selected {
        let mut plan = Plan::new(&selected.stream, &|column| selected.wants(column));
        // A state that is none is told when the stream is read.
        if let Some(state) = states.get(&selected.stream.name)
            && let Ok((floor, _)) = entity::floor(selected, state, config.clock.now())
        {
            plan.skip_until(floor);
        }
        let is_whole = selected.stream.is_read_whole(selected.sync_mode == SyncMode::Incremental);
        output.announce(&selected.stream, plan, is_whole, &|column| selected.wants(column));
    }
    let portfolio = portfolio(client, config).await;
    let mut run = Run::new(client, output, config, portfolio.as_ref().ok(), selected);
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    let missing = portfolio.as_ref().ok().and_then(Portfolio::missing_error);
    if let Some(error) = missing.as_ref().filter(|_| config.skip_inaccessible_advertisers) {
        tracing::warn!("{error}");
    }
    let missing = missing.filter(|_| !config.skip_inaccessible_advertisers);
    let nothing = Saved::default();
    // A stream whose state is none fails at once, and must not be written by its children.
    for selected in selected {
        let state = states.get(&selected.stream.name).unwrap_or(&nothing);
        if entity::floor(selected, state, config.clock.now()).is_err() {
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
                let all = run.read(id, selected, state);
                let result = match extent {
                    // What others hang on is read to its end for their sake.
                    Extent::FirstRecord if !catalog::is_parent(&stream.name) => tokio::select! {
                        result = all => result,
                        () = output.first_record(id) => Ok(()),
                    },
                    _ => all.await,
                };
                // Whatever could be read has been written; what is missing is said by every stream that lacks it.
                result.and_then(|()| missing.clone().filter(|_| stream.is_by_advertiser()).map_or(Ok(()), Err))
            }
            Err(error) => Err(error.clone()),
        };
        let is_incomplete = result.is_err();
        output.close(id, result.err());
        usize::from(is_incomplete)
    });
    let incomplete: Vec<usize> = stream::iter(read).buffer_unordered(STREAMS_AT_ONCE).collect().await;
    incomplete.into_iter().sum()
}

/// Logs what a read would ask for, and asks for nothing but the portfolio.
///
/// # Errors
/// What the portfolio says; streams that would fail before their first call are logged.
pub async fn dry_run(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[Selected],
    states: &States,
) -> Result<bool> {
    let portfolio = portfolio(client, config).await?;
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    if let Some(error) = portfolio.missing_error() {
        tracing::warn!("{error}");
    }
    let run = Run::new(client, output, config, Some(&portfolio), selected);
    let (mut reports, mut can_be_read) = (0, true);
    let nothing = Saved::default();
    for selected in selected {
        let stream = &selected.stream;
        let state = states.get(&stream.name).unwrap_or(&nothing);
        match &stream.source {
            Source::Entity(_) | Source::LogLevel => {
                tracing::info!("{}: at least 1 request; pages are known when they are read.", stream.name);
            }
            Source::Report(report) => match run.plan(selected, report, state, run.advertisers) {
                Ok(plan) => {
                    let forecast = plan.forecast(&stream.name);
                    tracing::info!("{}", forecast.text);
                    reports += forecast.requests;
                    if let Some(rows) = forecast.rows {
                        output.estimate(&stream.name, rows);
                    }
                }
                Err(error) => {
                    can_be_read = false;
                    tracing::error!("{}: {error}", stream.name);
                }
            },
        }
    }
    let a_minute = reports_a_minute(config, &portfolio);
    tracing::info!(
        "Requests for reports in all, besides a few that compare totals: about {reports}, which at Criteo's {a_minute} a \
         minute takes {} min or more.",
        reports.saturating_sub(1) / a_minute
    );
    Ok(can_be_read)
}

/// How many reports Criteo allows a minute (developers.criteo.com, Rate limits).
fn reports_a_minute(config: &Config, portfolio: &Portfolio) -> usize {
    if config.credentials.refresh_token.is_some() { 10 * portfolio.consenting.len() } else { 40 }
}

impl<'a> Run<'a> {
    fn new(
        client: &'a Client,
        output: &'a Output,
        config: &'a Config,
        portfolio: Option<&'a Portfolio>,
        selected: &'a [Selected],
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
            ledger: Ledger::default(),
            parents: Parents::default(),
            ids: selected.iter().enumerate().map(|(id, selected)| (selected.stream.name.as_str(), id)).collect(),
            warnings: RefCell::default(),
            warning_kinds: RefCell::default(),
            week_start: Cell::new(None),
        }
    }

    async fn read(&self, id: StreamId, selected: &Selected, state: &Saved) -> Result<()> {
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
            // Criteo's words do not say why it refuses anything else, and some streams need no permission.
            Some(Cause::PermissionMissing) if permission != Permission::None => {
                error.in_context(&format!("This stream needs the permission \"{}\"", permission.label()))
            }
            Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
            _ => error,
        })
    }

    /// The advertisers whose consent is still there; asked once, when Criteo has refused one.
    async fn still_consenting(&self) -> Result<BTreeSet<AdvertiserId>> {
        let ask = async || Ok(consenting(self.client).await?.into_iter().collect());
        self.consenting.get_or_try_init(ask).await.cloned()
    }

    /// Whether an advertiser that cannot be read is missed: the user lists those to read, and does not say to skip any.
    fn is_listed(&self) -> bool {
        !self.config.advertiser_ids.is_empty() && !self.config.skip_inaccessible_advertisers
    }

    /// The error for advertisers that Criteo has refused in the course of the run: those that the user has listed are
    /// missed, others are left out with the warning that has been given, unless nobody is left.
    fn lost_error(&self, lost: &BTreeSet<AdvertiserId>) -> Option<Error> {
        let is_listed = self.is_listed();
        let lost: Vec<_> = lost.iter().cloned().collect();
        match lost.is_empty() {
            false if is_listed => Some(without_consent(&lost)),
            false if lost.len() == self.advertisers.len() => Some(Error::config(format!(
                "Criteo refuses all advertisers of the portfolio: {}. Have somebody who may give consent for each \
                 ({CONSENTERS}) open the app's consent link from partners.criteo.com again.",
                names(&lost)
            ))),
            _ => None,
        }
    }

    /// Logs a warning that several streams or answers would give, the first time.
    fn warn_once(&self, warning: String) {
        if !self.warnings.borrow().contains(&warning) {
            tracing::warn!("{warning}");
            self.warnings.borrow_mut().insert(warning);
        }
    }

    /// Logs the warnings of an answer in Criteo's words, each kind of them once, and no more than some kinds. That it was cut is
    /// taken care of.
    fn pass_on(&self, warnings: &AllTold) {
        for warning in warnings.first.iter().filter(|warning| !warning.is_row_limit()) {
            let mut kinds = self.warning_kinds.borrow_mut();
            if kinds.len() < MOST_WARNINGS && kinds.insert(warning.code.clone()) {
                let Told { code, title, detail, .. } = warning;
                tracing::warn!("Criteo warns: {}", quote(&format!("{title} {detail} [{code}]")));
            }
        }
    }
}

/// Slices that are on their way to stdout; their outcome is known when they have been written.
#[derive(Default)]
struct InFlight(VecDeque<oneshot::Receiver<Result<()>>>);

impl InFlight {
    fn push(&mut self, slice: oneshot::Receiver<Result<()>>) {
        self.0.push_back(slice);
    }

    /// Fails as soon as it is known that a slice could not be written.
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

    /// Waits until everything has been written.
    async fn settle(self) -> Result<()> {
        let task = watchdog::task("A stream".to_owned());
        task.waits_for("its rows to be written");
        for slice in self.0 {
            slice.await.map_err(|_| output_gone())??;
        }
        Ok(())
    }
}

fn output_gone() -> Error {
    Error::system("The thread that writes the output has ended.")
}
