//! Checks every step of Criteo's setup. A failed step stops those that depend on it; independent problems are reported
//! together.
//!
//! ```text
//! configuration → network → key → app → consent ┬→ advertisers
//!                                               ├→ permissions      one small request per group of streams
//!                                               ├→ custom reports   one day of each
//!                                               └→ first sync       estimated requests and minutes
//! ```

mod app;
mod probes;

use std::time::Duration;

use chrono::{Datelike as _, Months, NaiveDate};
use tokio::time::Instant;

use crate::check::app::{app, app_outcome, is_of_other, wrong_product};
use crate::check::probes::{custom_reports, permissions};
use crate::config::Config;
use crate::error::{Cause, Error, Result};
use crate::http::Client;
use crate::model::ids::ApiVersion;
use crate::model::product::Product;
use crate::model::product::Scope;
use crate::output::Output;
use crate::products::report::DEFAULT_API_VERSION;
use crate::products::{self, Permission, Source, Stream};
use crate::protocol::airbyte::SyncMode;
use crate::read::{Portfolio, ReadContext, SelectedStream, portfolio};
use crate::support::text::counted;

/// Timeout per step, as the user is waiting.
const MAX_STEP_TIME: Duration = Duration::from_secs(15);
/// Timeout for permissions and custom reports together. Syncs wait longer for reports.
const MAX_PROBES_TIME: Duration = Duration::from_secs(25);
/// Months before the end of an API version in which to warn (developers.criteo.com, Versioning policy).
const LAST_MONTHS: u32 = 3;

const VALID: &str = "Valid.";
const NEWER: &str = "Remove api_version from the configuration, choose a newer one, or update the connector.";

/// The result of a step.
#[derive(Debug, Clone)]
pub enum StepOutcome {
    /// The step passed.
    Passed(String),
    /// The step passed with a warning.
    Warning(String),
    /// The step failed: a sync would miss data.
    Failed(Error),
    /// Not checked, because an earlier step failed.
    Skipped,
}

/// A step that must pass before a sync can read data, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The configuration is valid.
    Configuration,
    /// Criteo can be reached.
    Network,
    /// Criteo accepts the key.
    Key,
    /// The key's app may call the API.
    App,
    /// At least one advertiser granted the app consent.
    Consent,
    /// All configured advertisers granted consent.
    Advertisers,
    /// The app has the permissions of the streams.
    Permissions,
    /// Criteo accepts the custom reports.
    CustomReports,
    /// Estimates the duration of the first sync.
    FirstSync,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 9] = [
        Self::Configuration,
        Self::Network,
        Self::Key,
        Self::App,
        Self::Consent,
        Self::Advertisers,
        Self::Permissions,
        Self::CustomReports,
        Self::FirstSync,
    ];

    /// The name of the step, also its heading in `docs/credentials.md`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Network => "network",
            Self::Key => "key",
            Self::App => "app",
            Self::Consent => "consent",
            Self::Advertisers => "advertisers",
            Self::Permissions => "permissions",
            Self::CustomReports => "custom reports",
            Self::FirstSync => "first sync",
        }
    }
}

/// A step with its result.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// The step.
    pub step: Step,
    /// The result.
    pub outcome: StepOutcome,
    /// A sentence before the text of a passed step at the terminal and in the log, not in the final message; may be empty.
    pub detail: String,
}

/// The results of all steps.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Steps with results, in order.
    pub results: Vec<StepResult>,
    /// Permissions that the app is known to lack.
    pub lacking: Vec<Permission>,
}

/// Runs the steps, and reports each result immediately.
pub struct Check<'a> {
    report: CheckReport,
    on_result: &'a mut dyn FnMut(&StepResult),
}

impl<'a> Check<'a> {
    /// Starts an empty report; the callback receives each result.
    pub fn new(on_result: &'a mut dyn FnMut(&StepResult)) -> Self {
        Self { report: CheckReport::default(), on_result }
    }

    fn step(&mut self, step: Step, outcome: StepOutcome) {
        self.step_with(step, outcome, String::new());
    }

    fn step_with(&mut self, step: Step, outcome: StepOutcome, detail: String) {
        let result = StepResult { step, outcome, detail };
        (self.on_result)(&result);
        self.report.results.push(result);
    }

    fn pass(&mut self, step: Step, text: impl Into<String>) {
        self.step(step, StepOutcome::Passed(text.into()));
    }

    /// Fails a step that all later steps depend on.
    fn fail(mut self, step: Step, error: Error) -> CheckReport {
        self.step(step, StepOutcome::Failed(error));
        self.skip_rest()
    }

    fn skip_rest(mut self) -> CheckReport {
        for step in Step::ALL.into_iter().skip(self.report.results.len()) {
            self.step(step, StepOutcome::Skipped);
        }
        self.report
    }

    /// The report for an invalid configuration.
    #[must_use]
    pub fn without_config(self, error: Error) -> CheckReport {
        self.fail(Step::Configuration, error)
    }

    /// The report for a machine that cannot connect, for example because of an invalid proxy.
    #[must_use]
    pub fn without_client(mut self, error: Error) -> CheckReport {
        self.pass(Step::Configuration, VALID);
        self.fail(Step::Network, error)
    }

    /// Runs all steps as far as possible.
    pub async fn run_checks(mut self, client: &Client, output: &Output, config: &Config) -> CheckReport {
        let responses = format!("{} responds.", config.api_base_url.host_str().unwrap_or_default());
        self.step_with(Step::Configuration, StepOutcome::Passed(units(config)), format!("{VALID} "));
        match with_time_limit(client.authenticate()).await {
            Ok(()) => self.pass(Step::Network, responses),
            Err(error) if error.cause == Some(Cause::CredentialsRefused) => {
                self.pass(Step::Network, responses);
                return self.fail(Step::Key, error);
            }
            Err(error) => return self.fail(Step::Network, error),
        }
        let known = "Criteo issued an access token.";
        match client.clock_warning() {
            Some(warning) => self.step(Step::Key, StepOutcome::Warning(format!("{known} {warning}"))),
            None => self.pass(Step::Key, known),
        }
        let product = config.product();
        let requests = futures_util::future::join(
            with_time_limit(app(client, product)),
            with_time_limit(portfolio(client, config)),
        );
        let (app, portfolio) = requests.await;
        let today = crate::read::clock_of(client, config).today(chrono_tz::Tz::UTC);
        let portfolio = match (app, portfolio) {
            (Ok(app), _) if is_of_other(&app, product) => return self.fail(Step::App, wrong_product(&app, product)),
            // Only the list of advertisers or accounts is known to work for every app.
            (app, Ok(portfolio)) => {
                self.step(Step::App, app_outcome(app, &config.reports.api_version, today));
                portfolio
            }
            (app, Err(error)) if error.cause == Some(Cause::ConsentMissing) => {
                self.step(Step::App, app_outcome(app, &config.reports.api_version, today));
                return self.fail(Step::Consent, error);
            }
            (_, Err(error)) if error.cause == Some(Cause::NotFound) => {
                let error = without_version(client, config, today, error).await;
                return self.fail(Step::App, error);
            }
            (Ok(app), Err(error)) => {
                self.step(Step::App, app_outcome(Ok(app), &config.reports.api_version, today));
                return self.fail(Step::Consent, error);
            }
            (Err(_), Err(error)) => return self.fail(Step::App, error),
        };
        let count = portfolio.consenting.len();
        let names = portfolio.named(&portfolio.consenting);
        let Scope { one, many, .. } = product.scope();
        let have = if count == 1 { format!("{one} has") } else { format!("{many} have") };
        let kinds = portfolio.count_of_kinds();
        let kinds = if kinds.is_empty() { kinds } else { format!(" ({kinds})") };
        self.pass(Step::Consent, format!("{count} {have} granted the app consent: {names}{kinds}."));
        if portfolio.advertisers.is_empty()
            && let Some(error) = portfolio.missing_error()
        {
            return self.fail(Step::Advertisers, error);
        }
        self.step(Step::Advertisers, advertisers(&portfolio, config));
        let streams = products::streams(&config.reports);
        let deadline = Instant::now() + MAX_PROBES_TIME;
        let (groups, reports) = futures_util::future::join(
            permissions(client, config, &streams, &portfolio, deadline),
            custom_reports(client, config, &streams, &portfolio, deadline),
        )
        .await;
        self.report.lacking.clone_from(&groups.lacking);
        let rows = groups.rows;
        self.step(Step::Permissions, groups.outcome(&streams, !config.reports.custom_reports.is_empty()));
        if groups.lacking.contains(&Permission::Analytics) {
            let is_without = config.reports.custom_reports.is_empty();
            self.step(Step::CustomReports, if is_without { reports } else { StepOutcome::Skipped });
            return self.skip_rest();
        }
        self.step(Step::CustomReports, reports);
        let lacking = self.report.lacking.clone();
        let streams = streams.into_iter().filter(|stream| !lacking.contains(&stream.permission)).collect();
        let detail =
            rows.map_or_else(String::new, |rows| format!("Yesterday's campaign report has {}. ", counted(rows, "row")));
        let text = first_sync(client, output, config, &portfolio, streams);
        self.step_with(Step::FirstSync, StepOutcome::Passed(text), detail);
        self.report
    }
}

/// Currency and time zone of the reports. Days match Criteo's pages only in the zone of its account.
fn units(config: &Config) -> String {
    if config.product() == Product::RetailMedia {
        return "The product is Retail Media.".to_owned();
    }
    let zone = config.reports.timezone;
    let hint = " Set timezone to the zone of the Criteo account, so that days match Criteo's pages.";
    let hint = if zone == chrono_tz::Tz::UTC { hint } else { "" };
    format!("Reports are in {}, with days in {zone}.{hint}", config.reports.currency)
}

async fn with_time_limit<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(MAX_STEP_TIME, request).await.unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> Error {
    Error::transient(
        "Criteo did not respond in time. It may be slow or down, or a proxy may be delaying it. Try again in a few \
         minutes.",
    )
}

/// The documented end of an API version: each is supported for a year.
fn end_of(version: &ApiVersion) -> Option<NaiveDate> {
    format!("{version}-01").parse::<NaiveDate>().ok().map(|start| start + Months::new(12))
}

/// Adds the age of the API version to the result for an app.
fn with_age(app: &str, version: &ApiVersion, today: NaiveDate) -> StepOutcome {
    let Some(end) = end_of(version) else {
        return StepOutcome::Warning(format!("{app} api_version {version} may change at any time."));
    };
    let month = end.format("%B %Y");
    if end.with_day(1).unwrap_or(end) < today.with_day(1).unwrap_or(today) {
        return StepOutcome::Warning(format!(
            "{app} Criteo's schedule supports API version {version} only until {month}. It still responds, probably \
             with a newer version, whose columns may differ. {NEWER}"
        ));
    }
    let text = format!("{app} Criteo's schedule supports API version {version} until about {month}.");
    if end - Months::new(LAST_MONTHS) > today.with_day(1).unwrap_or(today) {
        StepOutcome::Passed(text)
    } else {
        StepOutcome::Warning(format!("{text} Update the connector before then, or choose a newer api_version."))
    }
}

/// The error for a missing list of advertisers. Tries whether another API version has it.
async fn without_version(client: &Client, config: &Config, today: NaiveDate, error: Error) -> Error {
    let call = crate::read::list_of_scope(config.product());
    for version in newest_versions(today) {
        if !config.product().has_version(&version) {
            continue;
        }
        if version != config.reports.api_version.0 && succeeds_in_time(client.is_served_by(&version, &call)).await {
            let words = error.words.as_deref().map(|words| format!(" Criteo says: {words}")).unwrap_or_default();
            let message = format!(
                "Criteo no longer serves API version {}, but it serves version {version}. {NEWER}{words}",
                config.reports.api_version
            );
            return Error { message, ..error };
        }
    }
    error
}

async fn succeeds_in_time(request: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(MAX_STEP_TIME, request).await.unwrap_or(false)
}

/// The supported versions, newest first, and the default. Criteo publishes one in January and one in July.
fn newest_versions(today: NaiveDate) -> Vec<String> {
    let (year, half) = (today.year(), if today.month() < 7 { "01" } else { "07" });
    let before = if half == "07" { format!("{year}-01") } else { format!("{}-07", year - 1) };
    let mut versions = vec![format!("{year}-{half}"), before, DEFAULT_API_VERSION.to_owned()];
    versions.dedup();
    versions
}

fn advertisers(portfolio: &Portfolio, config: &Config) -> StepOutcome {
    let (read, all) = (portfolio.advertisers.len(), portfolio.consenting.len());
    let Scope { one, many, .. } = config.product().scope();
    let read = format!("{read} of {all} {} will be read.", if all == 1 { one } else { many });
    match portfolio.missing_error() {
        Some(error) if config.read.skip_inaccessible => StepOutcome::Warning(format!("{read} {error}")),
        Some(error) => StepOutcome::Failed(error),
        None => StepOutcome::Passed(read),
    }
}

/// Estimates the first sync of the reports that are selected by default.
fn first_sync(
    client: &Client,
    output: &Output,
    config: &Config,
    portfolio: &Portfolio,
    streams: Vec<Stream>,
) -> String {
    let reports = streams.into_iter().filter(|stream| matches!(stream.source, Source::Report(_)));
    let selected: Vec<_> = reports
        .filter(Stream::is_selected_by_default)
        .map(|stream| SelectedStream { stream, sync_mode: SyncMode::Incremental, columns: None, sync_id: None })
        .collect();
    let run = ReadContext::new(client, output, config, portfolio, &selected);
    let plans = selected.iter().filter_map(|selected| match &selected.stream.source {
        Source::Report(report) => Some(
            run.plan(selected, report, &crate::state::saved::Saved::default(), run.advertisers)
                .ok()?
                .forecast()
                .requests,
        ),
        Source::Entity(_) | Source::LogLevel => None,
    });
    if selected.is_empty() {
        return "There are no reports to estimate; objects take a few requests per account.".to_owned();
    }
    let requests: usize = plans.sum();
    let per_minute = crate::read::reports_per_minute(config, portfolio);
    format!(
        "The first sync of all {} reports takes {}; later syncs need only a few requests.",
        selected.len(),
        crate::read::estimated_time(requests, per_minute)
    )
}
