//! Parses and validates the configuration, in three stages:
//!
//! 1. [`normalize`] accepts what users and platforms write (numbers as ids, comma-separated strings, stray spaces,
//!    `null` for "not set") and makes a canonical document, where that loses nothing.
//! 2. `spec.json`, the schema that Airbyte shows as a form, validates the canonical document.
//! 3. [`values`] parses it into types that cannot hold an invalid value.
//!
//! The problems of all stages are reported together, each with its JSON path. Later code does not validate again.
//! No message prints a value that the schema marks as secret.

mod duplicates;
mod normalize;
mod problems;
pub mod secrets;
mod values;

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::error::Category;
use serde_json::{Map, Value};

pub(crate) use crate::config::normalize::{is_unset, switch};
pub use crate::config::problems::Problems;
use crate::config::values::Parsed;
use crate::error::{Error, Result};
use crate::model::ids::AdvertiserId;
use crate::model::product::Product;
use crate::products::report::ReportOptions;
use crate::support::clock::Clock;
use crate::support::text::excerpt;
use crate::support::{redact, scan, suggest};

/// The root of the API unless the hidden setting `api_base_url` overrides it.
pub const DEFAULT_API_BASE_URL: &str = "https://api.criteo.com";

/// Far above the values of 20,000 advertisers and 100 reports.
const MAX_VALUES: usize = 200_000;
const MAX_REPORTED: usize = 50;

/// The connector's specification, an Airbyte `ConnectorSpecification` object.
pub static SPEC: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("spec.json")).unwrap_or_default());

/// A valid configuration.
#[derive(Debug)]
pub struct Config {
    /// Credentials of the app.
    pub credentials: Credentials,
    /// Root of the API; the token endpoint is below it.
    pub api_base_url: Url,
    /// What to read.
    pub read: ReadOptions,
    /// What the reports are.
    pub reports: ReportOptions,
    /// What tests change.
    pub test: TestHooks,
    /// Problems that do not make the configuration invalid.
    pub warnings: Vec<String>,
    /// The canonical document, for the CONTROL message with a rotated refresh token. Contains secrets.
    pub document: ConfigDocument,
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The advertisers or accounts to read; empty means the whole portfolio.
    pub scope_ids: Vec<AdvertiserId>,
    /// First day of reports; `None` means as far back as each report goes.
    pub start_date: Option<NaiveDate>,
    /// `--since`: reread reports from this day, even if the saved cursor is later.
    pub again_from: Option<NaiveDate>,
    /// Last day of reports; `None` means today in the report's time zone.
    pub end_date: Option<NaiveDate>,
    /// Days before the cursor to reread; `None` means as many as the metrics of each report need.
    pub lookback_days: Option<u32>,
    /// Whether to run the totals check.
    pub verify_totals: bool,
    /// Whether listed advertisers or accounts without consent are skipped with a warning.
    pub skip_inaccessible: bool,
    /// Two-letter country codes for in-market brands and interests; empty means the countries of the segments.
    pub countries: Vec<String>,
    /// Whether log files include product ids.
    pub log_level_product_ids: bool,
}

/// Settings that only tests may change, against a loopback API.
#[derive(Debug, Clone, Copy)]
pub struct TestHooks {
    /// Concurrent requests per rate limit class; changed only in tests.
    pub calls_at_once: usize,
    /// Retry delays in percent of the normal ones; lower only in tests.
    pub backoff_percent: u32,
    /// How long a run may make no progress before it stops; shorter only in tests.
    pub stall_after: Duration,
    /// The source of the current time.
    pub clock: Clock,
}

/// Credentials of an app.
#[derive(Debug)]
pub struct Credentials {
    /// Public part of the key.
    pub client_id: String,
    /// Secret part of the key.
    pub client_secret: SecretString,
    /// Set for apps of the type "Authorization code".
    pub refresh_token: Option<SecretString>,
    /// When the key was created, if known.
    pub key_created_at: Option<DateTime<Utc>>,
}

/// The canonical configuration; contains secrets, so its `Debug` output is redacted.
#[derive(Clone)]
pub struct ConfigDocument(Value);

impl ConfigDocument {
    /// The document with a new refresh token, for Airbyte to store.
    #[must_use]
    pub fn with_refresh_token(&self, token: &str) -> Value {
        let mut document = self.0.clone();
        if let Some(object) = document.as_object_mut() {
            object.insert("refresh_token".into(), Value::from(token));
        }
        document
    }
}

impl ConfigDocument {
    /// Names and values of the settings. Secrets have a mask instead of their value, and so have members that the
    /// specification does not know.
    #[must_use]
    pub fn without_secrets(&self) -> Vec<(String, String)> {
        let properties = &SPEC["connectionSpecification"]["properties"];
        let shown = |(name, value): (&String, &Value)| {
            let is_public = properties[name].is_object() && properties[name]["airbyte_secret"] != true;
            let text = match value {
                _ if !is_public => "***".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (redact::line(name), redact::line(&text))
        };
        self.0.as_object().into_iter().flatten().map(shown).collect()
    }
}

impl std::fmt::Debug for ConfigDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigDocument(…)")
    }
}

impl Config {
    /// Parses a configuration file.
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
        let (parsed, document) = parse_settings(object, &SPEC["connectionSpecification"])?;
        let Parsed { credentials, api_base_url, read, reports, test, mut warnings } = parsed;
        let (Some(credentials), Some(api_base_url)) = (credentials, api_base_url) else {
            // The schema requires them, so there is a problem that says which one is missing.
            return Err(Problems::default().into_error());
        };
        warnings.extend(secrets::flaws(&credentials));
        Ok(Self { credentials, api_base_url, read, reports, test, warnings, document: ConfigDocument(document) })
    }

    /// The API product to read.
    #[must_use]
    pub fn product(&self) -> Product {
        self.reports.product
    }

    /// Whether the API is simulated on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        values::is_loopback(&self.api_base_url)
    }
}

/// Validates the settings that are there and ignores required ones that are missing: what the streams are does not depend on a key.
/// Returns what the reports are, and warnings.
///
/// # Errors
/// As [`Config::parse`], for the settings that are there.
pub fn report_options(object: Map<String, Value>) -> Result<(ReportOptions, Vec<String>)> {
    let mut schema = SPEC["connectionSpecification"].clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("required");
    }
    parse_settings(object, &schema).map(|(parsed, _)| (parsed.reports, parsed.warnings))
}

/// Passes a document through the three gates.
fn parse_settings(object: Map<String, Value>, schema: &Value) -> Result<(Parsed, Value)> {
    let mut warnings = Vec::new();
    let mut problems = Problems::default();
    let document = Value::Object(normalize::normalize(object, &mut warnings, &mut problems));
    let mistyped = mistyped(&document, schema);
    warnings.extend(mistyped.iter().map(|(key, meant)| format!("{key}: unknown setting, ignored. {meant}")));
    warnings.extend(unknown_in_reports(&document, schema));
    problems.extend(Problems::of_schema(&document, schema));
    if schema["required"].is_array() {
        values::require_currency(&document, &mut problems);
    }
    let parsed = values::parse(&document, warnings, &mut problems);
    if !problems.is_empty() {
        // A mistyped name is often why another setting is missing.
        for (key, meant) in &mistyped {
            problems.push(key, format!("is an unknown setting. {meant}"));
        }
    }
    if problems.is_empty() { Ok((parsed, document)) } else { Err(problems.into_error()) }
}

/// Unknown settings that look like typos, and what was meant. Others may belong to programs that share the file.
fn mistyped(document: &Value, schema: &Value) -> Vec<(String, String)> {
    let Some(known) = schema["properties"].as_object() else { return Vec::new() };
    let keys = document.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !known.contains_key(*key));
    keys.filter_map(|key| {
        let meant = suggest::closest(key, known.keys().map(String::as_str))?;
        Some((excerpt(key), format!("Did you mean {meant}?")))
    })
    .take(MAX_REPORTED)
    .collect()
}

/// Warns of all unknown members of custom reports: no other program adds any.
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
            format!("custom_reports[{index}].{}: unknown member, ignored.{hint}", excerpt(key))
        })
        .take(MAX_REPORTED)
        .collect()
}

/// Parses the top level of a configuration file and does not validate its members.
///
/// # Errors
/// [`Kind::Config`](crate::error::Kind::Config) with the position of a syntax error, or with the duplicate members.
pub fn parse_object(text: &str) -> Result<Map<String, Value>> {
    let text = text.trim_start_matches('\u{feff}');
    let value = scan::tree(text, MAX_VALUES).map_err(|error| match error.classify() {
        Category::Data => Error::config(format!(
            "The configuration has more than {MAX_VALUES} values, so it is probably another file. Check the path."
        )),
        _ => Error::config(format!(
            "The configuration is not valid JSON: syntax error at line {}, column {}. Fix the file there; \
             sample_configs/config.json is a working example.",
            error.line(),
            error.column()
        )),
    })?;
    let mut problems = Problems::default();
    for path in duplicates::members(text) {
        problems.push(&path, "is duplicated. Keep the right one.");
    }
    match value {
        Value::Object(_) if !problems.is_empty() => Err(problems.into_error()),
        Value::Object(object) => Ok(object),
        _ => Err(Error::config(
            "The configuration must be a JSON object such as {\"client_id\": …, \"client_secret\": …, \"currency\": …}.",
        )),
    }
}
