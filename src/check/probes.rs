//! Sends small requests to find out whether larger ones would succeed.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use crate::check::{StepOutcome, too_slow};
use crate::config::Config;
use crate::error::{Cause, Error, Kind, Result};
use crate::http::{Call, Client};
use crate::model::calendar::{Window, days_before};
use crate::model::ids::AdvertiserId;
use crate::model::product::Product;
use crate::products::report::Report;
use crate::products::{Permission, Request, Source, Stream};
use crate::read::judge::{Expected, rehearse};
use crate::read::{Portfolio, clock_of, requests};
use crate::rows::envelope;
use crate::support::clock::Clock;

/// Most custom reports to test: at 40 reports per minute, more would take too long.
const MAX_PROBES: usize = 20;
/// Most advertisers to try per report: Criteo may refuse one for unrelated reasons.
const MAX_ADVERTISERS: usize = 3;
/// Requests of one step that are in flight at the same time.
const AT_ONCE: usize = 8;

#[derive(Default)]
pub(crate) struct Groups {
    pub lacking: Vec<Permission>,
    /// Permissions that could not be tested, and why.
    unknown: Vec<(Permission, Error)>,
    has: Vec<Permission>,
    /// Refusals despite a permission.
    remarks: Vec<(Permission, Error)>,
    /// Rows in yesterday's campaign report, if reports can be read.
    pub rows: Option<u64>,
}

const NO_ID: &str = "0";

/// The streams that test each permission.
fn groups_of(product: Product) -> &'static [(Permission, &'static str)] {
    match product {
        Product::MarketingSolutions => &[
            (Permission::Campaigns, "campaigns"),
            (Permission::Creatives, "ads"),
            (Permission::Analytics, "campaign_statistics_daily"),
            (Permission::Audiences, "audiences"),
            (Permission::Recommendations, "product_sets"),
        ],
        // The list of accounts needs the permission for accounts.
        Product::RetailMedia => &[
            (Permission::RetailMediaAccounts, "rm_accounts"),
            (Permission::RetailMediaCampaigns, "rm_campaigns"),
            (Permission::RetailMediaBalances, "rm_balances"),
            (Permission::RetailMediaAudiences, "rm_audiences"),
        ],
    }
}

pub(crate) async fn permissions(
    client: &Client,
    config: &Config,
    streams: &[Stream],
    portfolio: &Portfolio,
    deadline: Instant,
) -> Groups {
    let clock = clock_of(client, config);
    let probes = groups_of(config.product()).iter().map(async |&(permission, name)| {
        let Some(stream) = streams.iter().find(|stream| stream.name == name) else {
            return (permission, Ok(ProbeResult::default()));
        };
        let first = &portfolio.advertisers[..1];
        let call = match &stream.source {
            Source::Report(report) => {
                return (permission, report_probe(client, report, portfolio, yesterday(report, clock), deadline).await);
            }
            Source::Entity(entity) => requests::objects(
                *entity,
                &|variable| Some(if variable.is_scope() { &first[0].0 } else { NO_ID }),
                first,
                // One object is enough, and small pages are allowed everywhere.
                entity.request.limit().map(|limit| (if is_numbered(entity.request) { 1 } else { limit }, 0)),
            ),
            Source::LogLevel => return (permission, Ok(ProbeResult::default())),
        };
        let response = send_probe(client, &call, deadline).await.or_else(|error| {
            // Criteo checks the permission first, so a missing object shows that the app has it.
            let has_permission = matches!(error.cause, Some(Cause::NotFound | Cause::Rejected));
            if has_permission && call.path.iter().any(|part| part == NO_ID) {
                Ok(ProbeResult::default())
            } else {
                Err(error)
            }
        });
        (permission, response)
    });
    let mut groups = Groups::default();
    for (permission, result) in join_all(probes).await {
        match result {
            Ok(ProbeResult { rows, refusal }) => {
                groups.has.push(permission);
                groups.rows = groups.rows.or(rows.filter(|_| permission == Permission::Analytics));
                groups.remarks.extend(refusal.map(|error| (permission, error)));
            }
            Err(error) if error.cause == Some(Cause::PermissionMissing) => groups.lacking.push(permission),
            Err(error) => groups.unknown.push((permission, error)),
        }
    }
    groups
}

fn is_numbered(request: Request) -> bool {
    matches!(request, Request::NumberedPages { .. })
}

#[derive(Default)]
struct ProbeResult {
    rows: Option<u64>,
    /// The refusal of a request for all advertisers, if one alone succeeded.
    refusal: Option<Error>,
}

async fn send_probe(client: &Client, call: &Call, deadline: Instant) -> Result<ProbeResult> {
    let response = timeout_at(deadline, client.fetch(call, envelope::check)).await.unwrap_or_else(|_| Err(too_slow()));
    response.map(|(_, envelope)| ProbeResult { rows: Some(envelope.rows.unwrap_or(0)), refusal: None })
}

/// Requests one day of all advertisers to count the rows, and single advertisers if refused.
async fn report_probe(
    client: &Client,
    report: &Report,
    portfolio: &Portfolio,
    day: Window,
    deadline: Instant,
) -> Result<ProbeResult> {
    let call = |advertisers: &[AdvertiserId]| requests::report(report, &report.metrics[..1], advertisers, day, None);
    let refusal = match send_probe(client, &call(&portfolio.advertisers), deadline).await {
        Err(error) if error.kind != Kind::Transient && error.cause != Some(Cause::PermissionMissing) => error,
        response => return response,
    };
    let mut refusals = vec![refusal];
    for advertiser in portfolio.advertisers.iter().take(MAX_ADVERTISERS) {
        match send_probe(client, &call(std::slice::from_ref(advertiser)), deadline).await {
            // The total number of rows remains unknown.
            Ok(_) => return Ok(ProbeResult { rows: None, refusal: Some(refusals.swap_remove(0)) }),
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
    /// A missing permission fails the step only if no stream is left or custom reports need it.
    pub(crate) fn outcome(&self, streams: &[Stream], has_custom_reports: bool) -> StepOutcome {
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
                " It lacks {}: deselect these streams. Permissions are frozen once an app is activated; for more, \
                 create a new app on partners.criteo.com.",
                lacks.collect::<Vec<_>>().join(", ")
            );
        }
        let limited: Vec<_> = streams.iter().filter(|stream| stream.is_limited()).map(|s| s.name.as_str()).collect();
        if !limited.is_empty() {
            text += &format!(" Criteo gives access to {} to few apps; it was not tested.", limited.join(" and "));
        }
        for (labels, words) in grouped_by_message(&self.remarks) {
            text += &format!(" {labels}: some requests fail. {words}");
        }
        for (labels, words) in grouped_by_message(&self.unknown) {
            text += &format!(" Could not be tested: {labels}. {words}");
        }
        // Custom reports are configured, so they must work. Other streams are selected in a catalog, not known here.
        let is_needed = has_custom_reports
            && (self.lacking.contains(&Permission::Analytics)
                || self.unknown.iter().any(|(permission, error)| {
                    *permission == Permission::Analytics && error.kind != Kind::Transient && !is_about_data(error)
                }));
        if self.has.is_empty() || is_needed {
            let kind = self.unknown.first().filter(|_| self.lacking.is_empty()).map_or(Kind::Config, |(_, e)| e.kind);
            return StepOutcome::Failed(Error { kind, ..Error::config(text) });
        }
        let is_fine = self.lacking.is_empty() && self.unknown.is_empty() && self.remarks.is_empty();
        if is_fine { StepOutcome::Passed(text) } else { StepOutcome::Warning(text) }
    }
}

/// Whether a refusal concerns missing data, not missing permission.
fn is_about_data(error: &Error) -> bool {
    matches!(error.cause, Some(Cause::ConsentMissing | Cause::NoCampaign))
}

/// Groups equal messages: the labels of the permissions, and the message.
fn grouped_by_message(errors: &[(Permission, Error)]) -> Vec<(String, &str)> {
    let mut groups: Vec<(String, &str)> = Vec::new();
    for (permission, error) in errors {
        match groups.iter_mut().find(|(_, words)| *words == error.message) {
            Some((labels, _)) => *labels += &format!(", {}", permission.label()),
            None => groups.push((permission.label().to_owned(), &error.message)),
        }
    }
    groups
}

/// The last complete day of a report.
fn yesterday(report: &Report, clock: Clock) -> Window {
    let day = days_before(clock.today(report.timezone), 1);
    Window { start: day, end: day }
}

/// Requests one day of each custom report, since Criteo does not document compatible dimensions and metrics.
pub(crate) async fn custom_reports(
    client: &Client,
    config: &Config,
    streams: &[Stream],
    portfolio: &Portfolio,
    deadline: Instant,
) -> StepOutcome {
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
        return StepOutcome::Passed("None configured.".to_owned());
    }
    let probes = reports.iter().take(MAX_PROBES).map(async |(index, (stream, report))| {
        let mut refused = None;
        for advertiser in portfolio.advertisers.iter().take(MAX_ADVERTISERS) {
            let (window, advertisers) = (yesterday(report, clock), std::slice::from_ref(advertiser));
            let call = requests::report(report, &report.metrics, advertisers, window, None);
            let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared: true };
            // The check must not pass if a sync would fail.
            let rehearsal = client.fetch(&call, |body| rehearse(body, &expected, stream));
            let response = timeout_at(deadline, rehearsal).await;
            match response.unwrap_or_else(|_| Err(too_slow())) {
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
    let tried = match (reports.len(), reports.len().min(MAX_PROBES)) {
        (1, _) => "Tested with one day.".to_owned(),
        (all, tried) if all == tried => format!("All {all} were tested with one day."),
        (all, tried) => format!("{tried} of {all} were tested with one day; more would take too long."),
    };
    if refused.is_empty() {
        return StepOutcome::Passed(tried);
    }
    // Untested advertisers may work. If all are refused, a sync would return no rows.
    let is_every_advertiser = portfolio.advertisers.len() <= MAX_ADVERTISERS;
    let is_lasting = refused.iter().any(|(_, error)| match error.cause {
        Some(Cause::NoCampaign) => false,
        Some(Cause::ConsentMissing) => is_every_advertiser,
        _ => error.kind != Kind::Transient,
    });
    let named: Vec<_> = refused
        .iter()
        .map(|(index, error)| {
            format!("custom_reports[{index}] ({}): {error}", config.reports.custom_reports[*index].name)
        })
        .collect();
    let is_pair = refused.iter().any(|(_, error)| error.cause == Some(Cause::Rejected));
    let advice = if is_pair {
        " Some dimensions and metrics are incompatible, and Criteo does not document which. Remove those that it names."
    } else {
        ""
    };
    if is_lasting {
        StepOutcome::Failed(Error::config(format!("{}{advice} {tried}", named.join(" "))))
    } else {
        StepOutcome::Warning(format!("{} {tried}", named.join(" ")))
    }
}
