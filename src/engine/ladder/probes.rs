//! Small requests that tell whether larger ones will be answered.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::{Hold, too_slow};
use crate::api::{Client, wire};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::answer::{Expected, rehearse};
use crate::engine::slice::{Window, days_before};
use crate::engine::{Portfolio, rows};
use crate::error::{Cause, Error, Kind};
use crate::streams::report::Report;
use crate::streams::{Permission, Source, Stream, Variable};

/// At most so many custom reports are tried: at 40 reports a minute, more would take longer than anybody waits.
const MOST_PROBES: usize = 20;
/// An advertiser that Criteo refuses says nothing about a report, so others are tried, but no more than these.
const MOST_ADVERTISERS: usize = 3;
/// Requests of one rung that are under way at once.
const AT_ONCE: usize = 8;

/// What was found out about the permissions.
pub(super) struct Groups {
    /// Those that the app lacks.
    pub lacking: Vec<Permission>,
    /// Those that nobody knows about, and why.
    unknown: Vec<(Permission, Error)>,
    has: Vec<Permission>,
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
    let probes = GROUPS.map(async |(permission, name)| {
        let Some(stream) = streams.iter().find(|stream| stream.name == name) else { return (permission, Ok(0)) };
        let first = &portfolio.advertisers[..1];
        let call = match &stream.source {
            // All of them, since its rows are counted.
            Source::Report(report) => {
                let day = yesterday(report, config.clock);
                wire::report(report, &report.metrics[..1], &portfolio.advertisers, day, None)
            }
            Source::Entity(entity) => wire::objects(
                *entity,
                &|variable| Some(if variable == Variable::AdvertiserId { &first[0].0 } else { NO_ID }),
                first,
                entity.request.limit().map(|limit| (limit, 0)),
            ),
            Source::LogLevel => return (permission, Ok(0)),
        };
        let answer = timeout_at(deadline, client.fetch(&call, rows::check)).await.unwrap_or_else(|_| Err(too_slow()));
        let answer = answer.map(|(_, envelope)| envelope.rows.unwrap_or(0)).or_else(|error| {
            // A place that does not exist is refused behind the permission.
            let is_behind = matches!(error.cause, Some(Cause::NotFound | Cause::Rejected));
            if is_behind && call.path.iter().any(|part| part == NO_ID) { Ok(0) } else { Err(error) }
        });
        (permission, answer)
    });
    let mut groups = Groups { lacking: Vec::new(), unknown: Vec::new(), has: Vec::new(), rows: None };
    for (permission, result) in join_all(probes).await {
        match result {
            Ok(rows) => {
                groups.has.push(permission);
                groups.rows = groups.rows.or((permission == Permission::Analytics).then_some(rows));
            }
            Err(error) if error.cause == Some(Cause::PermissionMissing) => groups.lacking.push(permission),
            Err(error) => groups.unknown.push((permission, error)),
        }
    }
    groups
}

impl Groups {
    /// Streams can be left out, so a permission that is missing breaks the rung only where nothing is left or the
    /// configuration itself needs it.
    pub(super) fn hold(&self, streams: &[Stream], has_custom_reports: bool) -> Hold {
        let labels = |permissions: &[Permission]| permissions.iter().map(|p| p.label()).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "The app has {}.",
            if self.has.is_empty() { "no permission that is known".to_owned() } else { labels(&self.has) }
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
        // The same trouble everywhere is told once.
        let mut troubles: Vec<(&str, Vec<&str>)> = Vec::new();
        for (permission, error) in &self.unknown {
            match troubles.iter_mut().find(|(words, _)| *words == error.message) {
                Some((_, labels)) => labels.push(permission.label()),
                None => troubles.push((&error.message, vec![permission.label()])),
            }
        }
        for (words, labels) in troubles {
            text += &format!(" Not known: {}. {words}", labels.join(", "));
        }
        let is_needed = has_custom_reports && self.lacking.contains(&Permission::Analytics);
        // An advertiser that is refused is left out of a sync; anything else that is not temporary would end it.
        let is_lasting = |error: &Error| error.kind != Kind::Transient && error.cause != Some(Cause::ConsentMissing);
        let lasting = self.unknown.iter().map(|(_, error)| error).find(|error| is_lasting(error));
        if self.has.is_empty() || is_needed || lasting.is_some() {
            let first = lasting.or_else(|| self.unknown.first().map(|(_, error)| error));
            let kind = first.filter(|_| self.lacking.is_empty()).map_or(Kind::Config, |error| error.kind);
            return Hold::Broken(Error { kind, ..Error::config(text) });
        }
        if self.lacking.is_empty() && self.unknown.is_empty() { Hold::Fine(text) } else { Hold::Note(text) }
    }
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
            let (window, advertisers) = (yesterday(report, config.clock), std::slice::from_ref(advertiser));
            let call = wire::report(report, &report.metrics, advertisers, window, None);
            let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared: true };
            // A check must not succeed where a sync fails.
            let rehearsal = client.fetch(&call, |body| rehearse(body, &expected, stream));
            let answer = timeout_at(deadline, rehearsal).await;
            match answer.unwrap_or_else(|_| Err(too_slow())) {
                Ok(_) => return None,
                Err(error) if error.cause == Some(Cause::ConsentMissing) => refused = Some((*index, error)),
                Err(error) => return Some((*index, error)),
            }
        }
        refused
    });
    let mut refused: Vec<_> =
        stream::iter(probes).buffer_unordered(AT_ONCE).filter_map(async |refused| refused).collect().await;
    refused.sort_by_key(|(index, _)| *index);
    let tried = match (reports.len(), reports.len().min(MOST_PROBES)) {
        (1, _) => "The one there is was tried with one day.".to_owned(),
        (all, tried) if all == tried => format!("All {all} were tried with one day."),
        (all, tried) => format!("{tried} of {all} were tried with one day; more would take too long."),
    };
    if refused.is_empty() {
        return Hold::Fine(tried);
    }
    let is_lasting = refused.iter().any(|(_, error)| error.kind != Kind::Transient);
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
