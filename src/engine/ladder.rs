//! Criteo's maze of access as a ladder: each rung stands on those below it, and problems that do not hang together are found
//! in one go.
//!
//! ```text
//! configuration → network → key → app → consent ┬→ advertisers
//!                                               ├→ permissions      one small request for each group of streams
//!                                               ├→ custom reports   one day of each
//!                                               └→ first sync       how many requests, how many minutes
//! ```

use chrono::{Datelike as _, Months, NaiveDate};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use super::slice::{Window, days_before};
use super::{Portfolio, Run, Selected, portfolio, rows};
use crate::api::{
    CONSENT_MISSING, CREDENTIALS_REFUSED, Call, CallClass, Client, FORBIDDEN, NOT_FOUND, PERMISSION_MISSING, wire,
};
use crate::clock::Clock;
use crate::config::{AdvertiserId, ApiVersion, Config};
use crate::error::{Error, Kind, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::Output;
use crate::streams::catalog;
use crate::streams::report::Report;
use crate::streams::{Permission, Source, Stream, Variable};

/// At most so many custom reports are tried: at 40 reports a minute, more would take longer than anybody waits.
const MOST_PROBES: usize = 20;
/// Requests of one rung that are under way at once.
const AT_ONCE: usize = 8;
/// How many months before its end a version of the API is called old (developers.criteo.com, Versioning policy).
const LAST_MONTHS: u32 = 3;

/// What is said of a configuration without mistakes.
const VALID: &str = "It is valid.";

/// How a rung held.
#[derive(Debug, Clone)]
pub enum Hold {
    /// As it must.
    Fine(String),
    /// It holds, but there is something to know.
    Note(String),
    /// It does not, and a sync would miss something.
    Broken(Error),
    /// Nobody knows, since a rung below it is broken.
    Untried,
}

/// A step that a configuration must take before it can read.
#[derive(Debug, Clone)]
pub struct Rung {
    /// Its name, which is also its heading in `docs/credentials.md`.
    pub name: &'static str,
    /// How it held.
    pub hold: Hold,
}

/// The names of all rungs, from the bottom up.
pub const RUNGS: [&str; 9] =
    ["configuration", "network", "key", "app", "consent", "advertisers", "permissions", "custom reports", "first sync"];

/// How far a configuration came.
#[derive(Debug, Default)]
pub struct Climb {
    /// All rungs, from the bottom up.
    pub rungs: Vec<Rung>,
    /// The permissions that the app is known to lack.
    pub lacking: Vec<Permission>,
}

/// The rungs that were climbed, each told to somebody at once.
pub struct Ladder<'a> {
    climb: Climb,
    tell: &'a mut dyn FnMut(&Rung),
}

impl<'a> Ladder<'a> {
    /// Stands on the ground.
    pub fn new(tell: &'a mut dyn FnMut(&Rung)) -> Self {
        Self { climb: Climb::default(), tell }
    }

    fn step(&mut self, hold: Hold) {
        if let Some(name) = RUNGS.get(self.climb.rungs.len()) {
            let rung = Rung { name, hold };
            (self.tell)(&rung);
            self.climb.rungs.push(rung);
        }
    }

    fn fine(&mut self, text: impl Into<String>) {
        self.step(Hold::Fine(text.into()));
    }

    /// A rung that nothing above it can do without.
    fn give_up(mut self, error: Error) -> Climb {
        self.step(Hold::Broken(error));
        while self.climb.rungs.len() < RUNGS.len() {
            self.step(Hold::Untried);
        }
        self.climb
    }

    /// The ladder of a configuration that is none.
    #[must_use]
    pub fn without_config(self, error: Error) -> Climb {
        self.give_up(error)
    }

    /// The ladder of a configuration that is valid on a machine that cannot connect, such as one whose proxy has no address.
    #[must_use]
    pub fn without_client(mut self, error: Error) -> Climb {
        self.fine(VALID);
        self.give_up(error)
    }

    /// Climbs as far as it goes.
    pub async fn climb(mut self, client: &Client, output: &Output, config: &Config) -> Climb {
        let host = config.api_base_url.host_str().unwrap_or_default();
        self.fine(VALID);
        match client.authenticate().await {
            Ok(()) => self.fine(format!("{host} answers.")),
            Err(error) if error.code.as_deref() == Some(CREDENTIALS_REFUSED) => {
                self.fine(format!("{host} answers."));
                return self.give_up(error);
            }
            Err(error) => return self.give_up(error),
        }
        self.fine("Criteo has given a token for it.");
        match app(client).await {
            Ok(app) => self.step(with_age(&app, &config.api_version, config.clock.today(chrono_tz::Tz::UTC))),
            Err(error) => return self.give_up(error),
        }
        let portfolio = match portfolio(client, config).await {
            Ok(portfolio) => portfolio,
            Err(error) => return self.give_up(error),
        };
        let count = portfolio.consenting.len();
        let ids = super::names(&portfolio.consenting);
        let have = if count == 1 { "advertiser has" } else { "advertisers have" };
        self.fine(format!("{count} {have} given the app consent: {ids}."));
        self.step(advertisers(&portfolio, config));
        let Some(advertiser) = portfolio.advertisers.first() else {
            let error =
                Error::config("None of the advertisers of advertiser_ids can be read, so nothing was tried with them.");
            return self.give_up(error);
        };
        let streams = catalog::streams(config);
        let (groups, reports) = futures_util::future::join(
            permissions(client, config, &streams, &portfolio),
            custom_reports(client, config, &streams, advertiser),
        )
        .await;
        self.climb.lacking.clone_from(&groups.lacking);
        let rows = groups.rows;
        self.step(groups.hold(&streams, !config.custom_reports.is_empty()));
        if groups.lacking.contains(&Permission::Analytics) {
            self.step(if config.custom_reports.is_empty() { reports } else { Hold::Untried });
            self.step(Hold::Untried);
            return self.climb;
        }
        self.step(reports);
        self.fine(first_sync(client, output, config, &portfolio, streams, rows));
        self.climb
    }
}

/// The app that the key belongs to.
async fn app(client: &Client) -> Result<String> {
    let error = match me(client, "marketing-solutions").await {
        Ok(app) if is_retail_media(&app) => return Err(retail_media(&app)),
        Ok(app) => {
            let name = app["name"].as_str().unwrap_or("without a name");
            return Ok(format!("\"{name}\" is activated."));
        }
        Err(error) => error,
    };
    let is_closed = matches!(error.code.as_deref(), Some(PERMISSION_MISSING | FORBIDDEN | NOT_FOUND));
    match is_closed.then_some(me(client, "retail-media")) {
        // Only an app of that service is let in there.
        Some(me) => Err(me.await.map_or(error, |app| retail_media(&app))),
        None => Err(error),
    }
}

fn is_retail_media(app: &Value) -> bool {
    app["criteoService"].as_str().is_some_and(|service| service.to_lowercase().contains("retail"))
}

fn retail_media(app: &Value) -> Error {
    Error::config(format!(
        "The app \"{}\" is of the service Retail Media, which has none of the data that this connector reads. The service \
         cannot be changed once an app is activated: create another app on partners.criteo.com, with the service \
         \"C-Growth and marketing solutions\", and use a key of that one.",
        app["name"].as_str().unwrap_or("without a name")
    ))
}

/// What a service says about the app (`GET /{version}/{service}/me`).
async fn me(client: &Client, service: &str) -> Result<Value> {
    let call = Call {
        method: reqwest::Method::GET,
        path: vec![service.to_owned(), "me".to_owned()],
        query: Vec::new(),
        body: None,
        class: CallClass::Other,
        expected_bytes: 0,
    };
    let (_, app) = client
        .fetch(&call, |body| {
            let answer: Value = serde_json::from_str(body).map_err(|_| rows::unknown_shape("the app"))?;
            Ok(answer["data"]["attributes"].clone())
        })
        .await?;
    Ok(app)
}

/// Versions are served for a year.
fn with_age(app: &str, version: &ApiVersion, today: NaiveDate) -> Hold {
    let Ok(start) = format!("{version}-01").parse::<NaiveDate>() else {
        return Hold::Note(format!("{app} api_version {version} may change at any time."));
    };
    let end = start + Months::new(12);
    let text = format!("{app} Criteo serves version {version} of the API until {}.", end.format("%B %Y"));
    if end - Months::new(LAST_MONTHS) > today.with_day(1).unwrap_or(today) {
        Hold::Fine(text)
    } else {
        Hold::Note(format!("{text} Update the connector before, or choose a newer api_version."))
    }
}

fn advertisers(portfolio: &Portfolio, config: &Config) -> Hold {
    let (read, all) = (portfolio.advertisers.len(), portfolio.consenting.len());
    let read = format!("{read} of {all} {} will be read.", if all == 1 { "advertiser" } else { "advertisers" });
    match portfolio.missing_error() {
        Some(error) if config.skip_inaccessible_advertisers => Hold::Note(format!("{read} {error}")),
        Some(error) => Hold::Broken(error),
        None => Hold::Fine(read),
    }
}

/// What was found out about the permissions.
struct Groups {
    /// Those that the app lacks.
    lacking: Vec<Permission>,
    /// Those that nobody knows about, and why.
    unknown: Vec<(Permission, Error)>,
    has: Vec<Permission>,
    /// The rows of yesterday by campaign, where reports can be read.
    rows: Option<u64>,
}

/// The streams that stand for the groups.
const GROUPS: [(Permission, &str); 5] = [
    (Permission::Campaigns, "campaigns"),
    (Permission::Creatives, "ads"),
    (Permission::Analytics, "campaign_statistics_daily"),
    (Permission::Audiences, "audiences"),
    (Permission::Recommendations, "product_sets"),
];

async fn permissions(client: &Client, config: &Config, streams: &[Stream], portfolio: &Portfolio) -> Groups {
    let probes = GROUPS.map(async |(permission, name)| {
        let Some(stream) = streams.iter().find(|stream| stream.name == name) else { return (permission, Ok(0)) };
        let first = &portfolio.advertisers[..1];
        let call = match &stream.source {
            // All of them, since its rows are counted.
            Source::Report(report) => wire::report(
                report,
                &report.metrics[..1],
                &portfolio.advertisers,
                yesterday(report, config.clock),
                None,
            ),
            // A place that does not exist is refused after the permission.
            Source::Entity(entity) => wire::objects(
                *entity,
                &|variable| Some(if variable == Variable::AdvertiserId { &first[0].0 } else { "0" }),
                first,
                0,
            ),
            Source::LogLevel => return (permission, Ok(0)),
        };
        (permission, client.fetch(&call, rows::check).await.map(|(_, envelope)| envelope.rows.unwrap_or(0)))
    });
    let mut groups = Groups { lacking: Vec::new(), unknown: Vec::new(), has: Vec::new(), rows: None };
    for (permission, result) in join_all(probes).await {
        match result {
            Ok(rows) => {
                groups.has.push(permission);
                groups.rows = groups.rows.or((permission == Permission::Analytics).then_some(rows));
            }
            Err(error) => match error.code.as_deref() {
                Some(PERMISSION_MISSING) => groups.lacking.push(permission),
                _ if error.kind != Kind::Config || error.code.as_deref() == Some(FORBIDDEN) => {
                    groups.unknown.push((permission, error));
                }
                _ => groups.has.push(permission),
            },
        }
    }
    groups
}

impl Groups {
    /// Streams can be left out, so a permission that is missing breaks the rung only where nothing is left or the
    /// configuration itself needs it.
    fn hold(&self, streams: &[Stream], has_custom_reports: bool) -> Hold {
        let labels = |permissions: &[Permission]| permissions.iter().map(|p| p.label()).collect::<Vec<_>>().join(", ");
        let mut text =
            format!("The app has {}.", if self.has.is_empty() { "none".to_owned() } else { labels(&self.has) });
        let lacks = self.lacking.iter().map(|permission| {
            let mut names = streams.iter().filter(|s| s.permission == *permission).map(|s| s.name.as_str());
            let first = names.next().unwrap_or("no stream");
            format!("\"{}\" ({first} and {} more streams)", permission.label(), names.count())
        });
        if !self.lacking.is_empty() {
            text += &format!(
                " It lacks {}: leave these out. Permissions are frozen once an app is activated: for more, create an app on \
                 partners.criteo.com that has them.",
                lacks.collect::<Vec<_>>().join(", ")
            );
        }
        for (permission, error) in &self.unknown {
            text += &format!(" \"{}\" could not be tried: {error}", permission.label());
        }
        let is_needed = has_custom_reports && self.lacking.contains(&Permission::Analytics);
        match (self.has.is_empty() || is_needed, self.lacking.is_empty(), self.unknown.is_empty()) {
            (false, true, true) => Hold::Fine(text),
            (true, false, _) => Hold::Broken(Error::config(text)),
            _ => Hold::Note(text),
        }
    }
}

/// The last whole day of a report.
fn yesterday(report: &Report, clock: Clock) -> Window {
    let day = days_before(clock.today(report.timezone), 1);
    Window { start: day, end: day }
}

/// Asks for a day of each report of the user's own: Criteo does not say which dimensions and metrics go together.
async fn custom_reports(client: &Client, config: &Config, streams: &[Stream], advertiser: &AdvertiserId) -> Hold {
    let reports: Vec<(usize, &Report)> = streams
        .iter()
        .filter_map(|stream| match &stream.source {
            Source::Report(report) if report.is_custom => Some(report),
            _ => None,
        })
        .enumerate()
        .collect();
    if reports.is_empty() {
        return Hold::Fine("There are none.".to_owned());
    }
    let probes = reports.iter().take(MOST_PROBES).map(async |(index, report)| {
        let call = wire::report(
            report,
            &report.metrics,
            std::slice::from_ref(advertiser),
            yesterday(report, config.clock),
            None,
        );
        (*index, client.fetch(&call, rows::check).await.err())
    });
    let mut refused: Vec<_> = stream::iter(probes)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |(index, error)| {
            Some((index, error.filter(|error| error.code.as_deref() != Some(CONSENT_MISSING))?))
        })
        .collect()
        .await;
    refused.sort_by_key(|(index, _)| *index);
    let tried = match (reports.len(), reports.len().min(MOST_PROBES)) {
        (1, _) => "The one there is was tried with one day.".to_owned(),
        (all, tried) if all == tried => format!("All {all} were tried with one day."),
        (all, tried) => format!("{tried} of {all} were tried with one day; more would take too long."),
    };
    if refused.is_empty() {
        return Hold::Fine(tried);
    }
    let is_config = refused.iter().any(|(_, error)| error.kind == Kind::Config);
    let named: Vec<_> = refused
        .iter()
        .map(|(index, error)| format!("custom_reports[{index}] ({}): {error}", config.custom_reports[*index].name))
        .collect();
    let advice =
        "Some dimensions and metrics do not go together, and Criteo does not say which: leave out what it names.";
    if is_config {
        Hold::Broken(Error::config(format!("{} {advice} {tried}", named.join(" "))))
    } else {
        Hold::Note(format!("{} {tried}", named.join(" ")))
    }
}

/// What the first sync of the streams that an app with the least permissions can read will take.
fn first_sync(
    client: &Client,
    output: &Output,
    config: &Config,
    portfolio: &Portfolio,
    streams: Vec<Stream>,
    rows: Option<u64>,
) -> String {
    let reports = streams.into_iter().filter(|stream| matches!(stream.source, Source::Report(_)));
    let selected: Vec<_> = reports
        .filter(Stream::is_selected_by_default)
        .map(|stream| Selected { stream, sync_mode: SyncMode::Incremental, columns: None, sync_id: None })
        .collect();
    let run = Run::new(client, output, config, Some(portfolio), &selected);
    let plans = selected.iter().filter_map(|selected| match &selected.stream.source {
        Source::Report(report) => Some(
            run.plan(selected, report, &Value::Null, run.advertisers).ok()?.forecast(&selected.stream.name).requests,
        ),
        Source::Entity(_) | Source::LogLevel => None,
    });
    let requests: usize = plans.sum();
    let a_minute = super::reports_a_minute(config, portfolio);
    let rows = rows.map_or_else(String::new, |rows| {
        format!("Yesterday has {rows} {} by campaign. ", if rows == 1 { "row" } else { "rows" })
    });
    format!(
        "{rows}The first sync of all {} reports takes about {requests} requests, {} at the {a_minute} that Criteo allows a \
         minute; later ones take a few.",
        selected.len(),
        match requests.saturating_sub(1) / a_minute {
            0 => "less than a minute".to_owned(),
            1 => "a minute or more".to_owned(),
            minutes => format!("{minutes} minutes or more"),
        }
    )
}
