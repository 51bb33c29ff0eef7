//! The user's intent, validated.
//!
//! A configuration passes three gates, and each rule lives in exactly one of them:
//!
//! 1. [`normalize`] accepts what people and platforms really write (numbers for ids, a comma string, stray
//!    spaces, `null` for "not set") and turns it into the canonical document, where nothing is lost by it.
//! 2. `spec.json`, the schema that Airbyte shows as a form, judges the canonical document.
//! 3. [`values`] parses it into types that cannot hold an invalid value.
//!
//! Every problem of every gate is collected and told at once, each with its JSON path. After that nobody checks
//! the configuration again. The values of secrets never appear in a message, since no message prints a value
//! that the schema marks as secret.

mod duplicates;
mod normalize;
mod problems;
pub mod secrets;
mod values;

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use reqwest::Url;
use secrecy::SecretString;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::api::quote;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::scan;
use crate::streams::endpoint::Interval;
use crate::suggest;
pub(crate) use normalize::{is_unset, switch};
pub use problems::Problems;
pub use values::{AdvertiserId, ApiVersion, Currency};

/// Where the Criteo API lives unless the hidden setting `api_base_url` says otherwise.
pub const DEFAULT_API_BASE_URL: &str = "https://api.criteo.com";
/// The newest stable version of the API (developers.criteo.com, release notes of 2026-07).
pub const DEFAULT_API_VERSION: &str = "2026-07";

/// No configuration has more values: twenty thousand advertisers and a hundred reports have fewer.
const MOST_VALUES: usize = 200_000;
/// So many settings that nobody knows are told.
const MOST_TOLD: usize = 50;

/// The connector's specification as Airbyte wants it: a `ConnectorSpecification` object.
pub static SPEC: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("spec.json")).unwrap_or_default());

/// A valid configuration.
#[derive(Debug)]
pub struct Config {
    /// How to get a token.
    pub credentials: Credentials,
    /// The advertisers to read; empty means all of the portfolio.
    pub advertiser_ids: Vec<AdvertiserId>,
    /// The first day of reports; `None` means as far back as each is taken to reach.
    pub start_date: Option<NaiveDate>,
    /// From which day on reports are read again where a saved state is further on: what `--since` says.
    pub again_from: Option<NaiveDate>,
    /// The last day of reports; `None` means today in the report's zone.
    pub end_date: Option<NaiveDate>,
    /// The currency of all money in reports.
    pub currency: Currency,
    /// The zone whose days reports count in.
    pub timezone: Tz,
    /// How many days before the cursor are read again; `None` means as many as the metrics of a report need.
    pub lookback_days: Option<u32>,
    /// Whether reports are compared with Criteo's own totals.
    pub verify_totals: bool,
    /// Whether listed advertisers without consent are left out with a warning.
    pub skip_inaccessible_advertisers: bool,
    /// Two-letter codes of the countries whose in-market brands and interests to read; empty means those of the segments.
    pub countries: Vec<String>,
    /// Disclosed or undisclosed placements only; `None` leaves it to Criteo, which means the disclosed ones.
    pub placements_disclosed: Option<bool>,
    /// Placements of one environment only.
    pub placements_environment: Option<String>,
    /// Transactions of one type of event only.
    pub transactions_event_type: Option<String>,
    /// The period of marketplace statistics.
    pub mpo_interval: Interval,
    /// Whether log files name products.
    pub log_level_product_ids: bool,
    /// The user's own reports.
    pub custom_reports: Vec<CustomReport>,
    /// The version segment of the API's paths.
    pub api_version: ApiVersion,
    /// The root of the API; the token endpoint lies under it.
    pub api_base_url: Url,
    /// How many rows mean that a report was cut; lower only in tests.
    pub report_row_cap: u64,
    /// How many calls of a class are under way at once; another number only in tests.
    pub calls_at_once: usize,
    /// How long the waits between attempts are, in percent of the usual; fewer only in tests.
    pub backoff_percent: u32,
    /// How long nothing may move before a run ends itself; shorter only in tests.
    pub stall_after: Duration,
    /// What counts as today.
    pub clock: Clock,
    /// What the user should know although the configuration is valid.
    pub warnings: Vec<String>,
    /// The canonical document, for the CONTROL message that carries a rotated refresh token. Holds secrets.
    pub document: ConfigDocument,
}

/// How to get a token.
#[derive(Debug)]
pub struct Credentials {
    /// Public part of the app's key.
    pub client_id: String,
    /// Secret part of the app's key.
    pub client_secret: SecretString,
    /// Present for apps of the type "authorization code".
    pub refresh_token: Option<SecretString>,
    /// When the key was made, as far as that is known.
    pub key_created_at: Option<DateTime<Utc>>,
}

/// A statistics report of the user's own.
#[derive(Debug, Clone)]
pub struct CustomReport {
    /// The part of the stream's name behind `custom_`.
    pub name: String,
    /// Dimensions in Criteo's spelling, whatever the user's.
    pub dimensions: Vec<String>,
    /// Metrics in Criteo's spelling.
    pub metrics: Vec<String>,
    /// Overrides the currency of the configuration.
    pub currency: Option<Currency>,
    /// Overrides the zone of the configuration.
    pub timezone: Option<Tz>,
    /// Criteo's `adSetIds` filter.
    pub ad_set_ids: Vec<String>,
    /// Criteo's `adSetNames` filter.
    pub ad_set_names: Vec<String>,
    /// Criteo's `adSetStatus` filter.
    pub ad_set_status: Vec<String>,
    /// Whether rows of one key are told apart by their number.
    pub row_number: bool,
}

/// The canonical configuration document; it holds secrets, so it cannot be printed by accident.
#[derive(Clone)]
pub struct ConfigDocument(Value);

impl ConfigDocument {
    /// The whole document with a new refresh token, for Airbyte to store in place of the old one.
    #[must_use]
    pub fn with_refresh_token(&self, token: &str) -> Value {
        let mut document = self.0.clone();
        if let Some(object) = document.as_object_mut() {
            object.insert("refresh_token".into(), Value::from(token));
        }
        document
    }
}

impl std::fmt::Debug for ConfigDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigDocument(…)")
    }
}

impl Config {
    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// One [`Kind::Config`](crate::error::Kind::Config) error that lists every problem with its JSON path.
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_object(parse_object(text)?)
    }

    /// Parses a configuration that is already JSON.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn from_object(object: Map<String, Value>) -> Result<Self> {
        let mut warnings = Vec::new();
        let mut problems = Problems::default();
        let document = Value::Object(normalize::normalize(object, &mut warnings, &mut problems));
        let schema = &SPEC["connectionSpecification"];
        warnings.extend(mistyped(&document, schema));
        warnings.extend(unknown_in_reports(&document, schema));
        problems.extend(Problems::of_schema(&document, schema));
        let config = values::parse(&document, warnings, &mut problems);
        match (config, problems.is_empty()) {
            (Some(mut config), true) => {
                config.warnings.extend(secrets::flaws(&config.credentials));
                Ok(config)
            }
            _ => Err(problems.into_error()),
        }
    }

    /// Whether the API is simulated on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        values::is_loopback(&self.api_base_url)
    }
}

/// Settings that nobody knows are passed over, since other programs have theirs in the same file; but not those that look like
/// a slip of the pen.
fn mistyped(document: &Value, schema: &Value) -> Vec<String> {
    let Some(known) = schema["properties"].as_object() else { return Vec::new() };
    let keys = document.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !known.contains_key(*key));
    keys.filter_map(|key| {
        let meant = suggest::nearly(key, known.keys().map(String::as_str))?;
        Some(format!("{}: there is no such setting, so it is passed over. Did you mean {meant}?", quote(key)))
    })
    .take(MOST_TOLD)
    .collect()
}

/// Nobody else has members in a custom report, so each that is not known is told.
fn unknown_in_reports(document: &Value, schema: &Value) -> Vec<String> {
    let Some(known) = normalize::report_schema(schema)["properties"].as_object() else { return Vec::new() };
    let reports = document["custom_reports"].as_array().into_iter().flatten().enumerate();
    let members = reports.flat_map(|(index, report)| {
        let members = report.as_object().into_iter().flatten().map(|(key, _)| key);
        members.filter(|key| !known.contains_key(*key)).map(move |key| (index, key))
    });
    members
        .map(|(index, key)| {
            let hint = suggest::did_you_mean(key, known.keys().map(String::as_str));
            format!("custom_reports[{index}].{}: a report has no such member, so it is passed over.{hint}", quote(key))
        })
        .take(MOST_TOLD)
        .collect()
}

/// Parses the text of a configuration file as far as its members, whatever they hold.
///
/// # Errors
/// [`Kind::Config`](crate::error::Kind::Config) with the place of the mistake, or with the members that are there twice.
pub fn parse_object(text: &str) -> Result<Map<String, Value>> {
    let text = text.trim_start_matches('\u{feff}');
    let value = scan::tree(text, MOST_VALUES).map_err(|error| match error.classify() {
        Category::Data => Error::config(format!(
            "The configuration has more than {MOST_VALUES} values, so it is something else. Check the path."
        )),
        _ => Error::config(format!(
            "The configuration is not valid JSON: the mistake is at line {}, column {}. Correct the file there; a working \
             example is sample_configs/config.json.",
            error.line(),
            error.column()
        )),
    })?;
    let mut problems = Problems::default();
    for path in duplicates::members(text) {
        problems.push(&path, "is there more than once, and only one of them can count. Keep the right one.");
    }
    match value {
        Value::Object(_) if !problems.is_empty() => Err(problems.into_error()),
        Value::Object(object) => Ok(object),
        _ => Err(Error::config(
            "The configuration must be a JSON object such as {\"client_id\": …, \"client_secret\": …, \"currency\": …}.",
        )),
    }
}
