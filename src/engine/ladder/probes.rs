//! Small requests that tell whether larger ones will be answered.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::{Hold, too_slow};
use crate::api::{Call, Client, wire};
use crate::clock::Clock;
use crate::config::{AdvertiserId, Config};
use crate::engine::answer::{Expected, rehearse};
use crate::engine::slice::{Window, days_before};
use crate::engine::{Portfolio, clock_of, rows};
use crate::error::{Cause, Error, Kind, Result};
use crate::streams::report::Report;
use crate::streams::{Permission, Source, Stream, Variable};

/// At most so many custom reports are tried: at 40 reports a minute, more would take longer than anybody waits.
const MOST_PROBES: usize = 20;
/// An advertiser that Criteo refuses says nothing about a report, so others are tried, but no more than these.
const MOST_ADVERTISERS: usize = 3;
/// Requests of one rung that are under way at once.
const AT_ONCE: usize = 8;

/// What was found out about the permissions.
#[derive(Default)]
pub(super) struct Groups {
    /// Those that the app lacks.
    pub lacking: Vec<Permission>,
    /// Those that nobody knows about, and why.
    unknown: Vec<(Permission, Error)>,
    has: Vec<Permission>,
    /// What was refused of those that it has.
    remarks: Vec<(Permission, Error)>,
    /// The rows of yesterday by campaign, where reports can be read.
    pub rows: Option<u64>,
}

/// An id that nothing has.
const NO_ID: &str = "0";

/// The streams that stand for the groups.
const GROUPS: [(Permission, &str); 5] = [
    (Permission::Campaigns, "campaigns"),
    (Permission::Creatives, "ads"),
    (Permission::Analytics, "campaign_statistics_daily"),
    (Permission::Audiences, "audiences"),
    (Permission::Recommendations, "product_sets"),
];

pub(super) async fn permissions(
    client: &Client,
    config: &Config,
    streams: &[Stream],
    portfolio: &Portfolio,
    deadline: Instant,
) -> Groups {
    let clock = clock_of(client, config);
    let probes = GROUPS.map(async |(permission, name)| {
        let Some(stream) = streams.iter().find(|stream| stream.name == name) else {
            return (permission, Ok(Answered::default()));
        };
        let first = &portfolio.advertisers[..1];
        let call = match &stream.source {
            Source::Report(report) => {
                return (permission, report_probe(client, report, portfolio, yesterday(report, clock), deadline).await);
            }
            Source::Entity(entity) => wire::objects(
                *entity,
                &|variable| Some(if variable == Variable::AdvertiserId { &first[0].0 } else { NO_ID }),
                first,
                entity.request.limit().map(|limit| (limit, 0)),
            ),
            Source::LogLevel => return (permission, Ok(Answered::default())),
        };
        let answer = asked(client, &call, deadline).await.or_else(|error| {
            // A place that does not exist is refused behind the permission.
            let is_behind = matches!(error.cause, Some(Cause::NotFound | Cause::Rejected));
            if is_behind && call.path.iter().any(|part| part == NO_ID) { Ok(Answered::default()) } else { Err(error) }
        });
        (permission, answer)
    });
    let mut groups = Groups::default();
    for (permission, result) in join_all(probes).await {
        match result {
            Ok(Answered { rows, remark }) => {
                groups.has.push(permission);
                groups.rows = groups.rows.or(rows.filter(|_| permission == Permission::Analytics));
                groups.remarks.extend(remark.map(|error| (permission, error)));
            }
            Err(error) if error.cause == Some(Cause::PermissionMissing) => groups.lacking.push(permission),
            Err(error) => groups.unknown.push((permission, error)),
        }
    }
    groups
}

/// What came of a small request that was answered.
#[derive(Default)]
struct Answered {
    /// How many rows there are, where that is known.
    rows: Option<u64>,
    /// What was refused all the same.
    remark: Option<Error>,
}

async fn asked(client: &Client, call: &Call, deadline: Instant) -> Result<Answered> {
    let answer = timeout_at(deadline, client.fetch(call, rows::check)).await.unwrap_or_else(|_| Err(too_slow()));
    answer.map(|(_, envelope)| Answered { rows: Some(envelope.rows.unwrap_or(0)), remark: None })
}

/// Asks for one day of all advertisers, so that the rows can be counted. A refusal may be about one of them only, so then some
/// are asked for alone.
async fn report_probe(
    client: &Client,
    report: &Report,
    portfolio: &Portfolio,
    day: Window,
    deadline: Instant,
) -> Result<Answered> {
    let call = |advertisers: &[AdvertiserId]| wire::report(report, &report.metrics[..1], advertisers, day, None);
    let refusal = match asked(client, &call(&portfolio.advertisers), deadline).await {
        Err(error) if error.kind != Kind::Transient && error.cause != Some(Cause::PermissionMissing) => error,
        answer => return answer,
    };
    let mut refusals = vec![refusal];
    for advertiser in portfolio.advertisers.iter().take(MOST_ADVERTISERS) {
        match asked(client, &call(std::slice::from_ref(advertiser)), deadline).await {
            // How many rows there are in all is still not known.
            Ok(_) => return Ok(Answered { rows: None, remark: Some(refusals.swap_remove(0)) }),
            Err(error) => refusals.push(error),
        }
    }
    let is_permission = refusals.iter().all(|error| {
        let words = error.words.as_deref().unwrap_or_default().to_lowercase();
        error.cause == Some(Cause::Forbidden) && ["permission", "scope"].iter().any(|word| words.contains(word))
    });
    let first = refusals.swap_remove(0);
    Err(if is_permission { first.because(Cause::PermissionMissing) } else { first })
}

impl Groups {
    /// Streams can be left out, so a permission that is missing breaks the rung only where nothing is left or the
    /// configuration itself needs it.
    pub(super) fn hold(&self, streams: &[Stream], has_custom_reports: bool) -> Hold {
        let labels = |permissions: &[Permission]| permissions.iter().map(|p| p.label()).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "The app has {}.",
            if self.has.is_empty() { "no permission that is known to work".to_owned() } else { labels(&self.has) }
        );
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
        for (labels, words) in told_once(&self.remarks) {
            text += &format!(" {labels}: not everything is answered. {words}");
        }
        for (labels, words) in told_once(&self.unknown) {
            text += &format!(" Not known: {labels}. {words}");
        }
        // What the configuration itself asks for must work. Streams are chosen in a catalog, which is not here.
        let is_needed = has_custom_reports
            && (self.lacking.contains(&Permission::Analytics)
                || self.unknown.iter().any(|(permission, error)| {
                    *permission == Permission::Analytics && error.kind != Kind::Transient && !is_about_data(error)
                }));
        if self.has.is_empty() || is_needed {
            let kind = self.unknown.first().filter(|_| self.lacking.is_empty()).map_or(Kind::Config, |(_, e)| e.kind);
            return Hold::Broken(Error { kind, ..Error::config(text) });
        }
        let is_fine = self.lacking.is_empty() && self.unknown.is_empty() && self.remarks.is_empty();
        if is_fine { Hold::Fine(text) } else { Hold::Note(text) }
    }
}

/// Whether a refusal is about what there is to read, and not about whether it may be read.
fn is_about_data(error: &Error) -> bool {
    matches!(error.cause, Some(Cause::ConsentMissing | Cause::NoCampaign))
}

/// The same trouble with several permissions is told once: their labels, and the words.
fn told_once(errors: &[(Permission, Error)]) -> Vec<(String, &str)> {
    let mut troubles: Vec<(String, &str)> = Vec::new();
    for (permission, error) in errors {
        match troubles.iter_mut().find(|(_, words)| *words == error.message) {
            Some((labels, _)) => *labels += &format!(", {}", permission.label()),
            None => troubles.push((permission.label().to_owned(), &error.message)),
        }
    }
    troubles
}

/// The last whole day of a report.
fn yesterday(report: &Report, clock: Clock) -> Window {
    let day = days_before(clock.today(report.timezone), 1);
    Window { start: day, end: day }
}

/// Asks for a day of each report of the user's own: Criteo does not say which dimensions and metrics go together.
pub(super) async fn custom_reports(
    client: &Client,
    config: &Config,
    streams: &[Stream],
    portfolio: &Portfolio,
    deadline: Instant,
) -> Hold {
    let clock = clock_of(client, config);
    let reports: Vec<(usize, (&Stream, &Report))> = streams
        .iter()
        .filter_map(|stream| match &stream.source {
            Source::Report(report) if report.is_custom => Some((stream, report)),
            _ => None,
        })
        .enumerate()
        .collect();
    if reports.is_empty() {
        return Hold::Fine("There are none.".to_owned());
    }
    let probes = reports.iter().take(MOST_PROBES).map(async |(index, (stream, report))| {
        let mut refused = None;
        for advertiser in portfolio.advertisers.iter().take(MOST_ADVERTISERS) {
            let (window, advertisers) = (yesterday(report, clock), std::slice::from_ref(advertiser));
            let call = wire::report(report, &report.metrics, advertisers, window, None);
            let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared: true };
            // A check must not succeed where a sync fails.
            let rehearsal = client.fetch(&call, |body| rehearse(body, &expected, stream));
            let answer = timeout_at(deadline, rehearsal).await;
            match answer.unwrap_or_else(|_| Err(too_slow())) {
                Ok(_) => return None,
                Err(error) if is_about_data(&error) || error.cause == Some(Cause::Forbidden) => {
                    refused = Some((*index, error));
                }
                Err(error) => return Some((*index, error)),
            }
        }
        refused
    });
    let outcomes: Vec<Option<_>> = stream::iter(probes).buffer_unordered(AT_ONCE).collect().await;
    let mut refused: Vec<_> = outcomes.into_iter().flatten().collect();
    refused.sort_by_key(|(index, _)| *index);
    let tried = match (reports.len(), reports.len().min(MOST_PROBES)) {
        (1, _) => "The one there is was tried with one day.".to_owned(),
        (all, tried) if all == tried => format!("All {all} were tried with one day."),
        (all, tried) => format!("{tried} of {all} were tried with one day; more would take too long."),
    };
    if refused.is_empty() {
        return Hold::Fine(tried);
    }
    // Others may have campaigns; where all are refused, a sync would bring nothing.
    let is_every_advertiser = portfolio.advertisers.len() <= MOST_ADVERTISERS;
    let is_lasting = refused.iter().any(|(_, error)| match error.cause {
        Some(Cause::NoCampaign) => false,
        Some(Cause::ConsentMissing) => is_every_advertiser,
        _ => error.kind != Kind::Transient,
    });
    let named: Vec<_> = refused
        .iter()
        .map(|(index, error)| format!("custom_reports[{index}] ({}): {error}", config.custom_reports[*index].name))
        .collect();
    let is_pair = refused.iter().any(|(_, error)| error.cause == Some(Cause::Rejected));
    let advice = if is_pair {
        " Some dimensions and metrics do not go together, and Criteo does not say which: leave out what it names."
    } else {
        ""
    };
    if is_lasting {
        Hold::Broken(Error::config(format!("{}{advice} {tried}", named.join(" "))))
    } else {
        Hold::Note(format!("{} {tried}", named.join(" ")))
    }
}
