//! Parses the canonical document into types that cannot hold an invalid value.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;

use crate::config::{Credentials, DEFAULT_API_BASE_URL, Problems, ReadOptions, SPEC, TestHooks};
use crate::model::calendar::Grain;
use crate::model::ids::{AdvertiserId, ApiVersion, Currency};
use crate::model::product::{FIRST_RETAIL_MEDIA_VERSION, Product};
use crate::products::endpoint::Interval;
use crate::products::marketing::metrics::{self, fold};
use crate::products::report::{CustomReport, DEFAULT_API_VERSION, ReportOptions};
use crate::support::clock::Clock;
use crate::support::{suggest, watchdog};

/// Limits for reports, and for the dimensions or metrics of each, which become columns.
const MAX_REPORTS: usize = 100;
const MAX_WORDS: usize = 300;
/// At 1.5 s per response, eight concurrent requests use up the reports of a minute in 8 s.
const CALLS_AT_ONCE: usize = 8;

/// What a document says, as far as it says it.
pub(crate) struct Parsed {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) api_base_url: Option<Url>,
    pub(crate) read: ReadOptions,
    pub(crate) reports: ReportOptions,
    pub(crate) test: TestHooks,
    pub(crate) warnings: Vec<String>,
}

/// Parses every setting that the schema let pass.
pub(crate) fn parse(document: &Value, mut warnings: Vec<String>, problems: &mut Problems) -> Parsed {
    let product = text(document, "product").and_then(Product::of_setting).unwrap_or_default();
    of_product(document, product, problems);
    let api_base_url = base_url(document, problems);
    for_tests_only(document, api_base_url.as_ref(), problems);
    let start_date = date(document, "start_date", problems);
    let end_date = date(document, "end_date", problems);
    if let (Some(start), Some(end)) = (start_date, end_date)
        && end < start
    {
        problems.push("end_date", format!("is before start_date ({start}). Choose a later day or leave it out."));
    }
    let key_created_at = instant(document, "key_created_at", problems);
    let credentials =
        text(document, "client_id").zip(text(document, "client_secret")).map(|(id, secret)| Credentials {
            client_id: id.to_owned(),
            client_secret: SecretString::from(secret),
            refresh_token: text(document, "refresh_token").map(SecretString::from),
            key_created_at,
        });
    let none = ReportOptions::default();
    Parsed {
        credentials,
        api_base_url,
        read: ReadOptions {
            scope_ids: texts(&document[product.scope().setting]).map(AdvertiserId).collect(),
            start_date,
            again_from: None,
            end_date,
            lookback_days: document["lookback_days"].as_u64().and_then(|days| u32::try_from(days).ok()),
            verify_totals: document["verify_totals"].as_bool().unwrap_or(true),
            skip_inaccessible: document[product.scope().skip_setting].as_bool().unwrap_or(false),
            countries: texts(&document["countries"]).collect(),
            log_level_product_ids: document["log_level_product_ids"].as_bool().unwrap_or(false),
        },
        reports: ReportOptions {
            product,
            currency: text(document, "currency").map_or(none.currency, |code| Currency(code.to_owned())),
            timezone: timezone(document, "timezone", problems).unwrap_or(none.timezone),
            api_version: text(document, "api_version")
                .map_or(none.api_version, |version| ApiVersion(version.to_owned())),
            custom_reports: custom_reports(document, &mut warnings, problems),
            placements_disclosed: document["placements_disclosed"].as_bool(),
            placements_environment: text(document, "placements_environment").map(str::to_owned),
            transactions_event_type: text(document, "transactions_event_type").map(str::to_owned),
            mpo_interval: text(document, "mpo_interval").map_or(none.mpo_interval, Interval::named),
            report_row_cap: document["report_row_cap"].as_u64().unwrap_or(none.report_row_cap),
        },
        test: TestHooks {
            calls_at_once: document["calls_at_once"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(CALLS_AT_ONCE),
            backoff_percent: document["backoff_percent"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(100),
            stall_after: document["stall_seconds"].as_u64().map_or(watchdog::STALL_TIME, Duration::from_secs),
            clock: clock(document, problems),
        },
        warnings,
    }
}

/// Settings that one product does not have.
const OF_MARKETING_SOLUTIONS: &[&str] = &[
    "advertiser_ids",
    "currency",
    "countries",
    "custom_reports",
    "placements_disclosed",
    "placements_environment",
    "transactions_event_type",
    "mpo_interval",
    "log_level_product_ids",
    "skip_inaccessible_advertisers",
];
const OF_RETAIL_MEDIA: &[&str] = &["account_ids", "skip_inaccessible_accounts"];

/// Settings of the other product are a mistake, except defaults, which forms fill in.
fn of_product(document: &Value, product: Product, problems: &mut Problems) {
    let others = match product {
        Product::MarketingSolutions => OF_RETAIL_MEDIA,
        Product::RetailMedia => OF_MARKETING_SOLUTIONS,
    };
    let properties = &SPEC["connectionSpecification"]["properties"];
    let is_default = |key: &str| properties[key].get("default") == Some(&document[key]);
    for key in others.iter().filter(|key| !document[**key].is_null() && !is_default(key)) {
        let advice = match (product, *key) {
            (Product::RetailMedia, "currency") => {
                " Money in Retail Media is in each account's currency; the accounts stream has it."
            }
            (Product::RetailMedia, "advertiser_ids") => " Use account_ids.",
            (Product::MarketingSolutions, "account_ids") => " Use advertiser_ids.",
            _ => "",
        };
        problems.push(
            key,
            format!("is a setting of {}, but product is {}.{advice} Remove it.", product.other(), product.setting()),
        );
    }
    let version = text(document, "api_version").unwrap_or(DEFAULT_API_VERSION);
    if !product.has_version(version) {
        problems.push(
            "api_version",
            format!(
                "is {version}, but {product} is read from {FIRST_RETAIL_MEDIA_VERSION} on: earlier versions list balances \
                 and retailers in other ways, and undated ones have no list of accounts. Choose {FIRST_RETAIL_MEDIA_VERSION} or a newer one, or remove the setting."
            ),
        );
    }
}

/// The schema cannot require the currency, since only one product needs it.
pub(crate) fn require_currency(document: &Value, problems: &mut Problems) {
    if document["currency"].is_null() && document["product"] != Product::RetailMedia.setting() {
        let about = &SPEC["connectionSpecification"]["properties"]["currency"]["description"];
        problems.push("currency", format!("is missing. {}", about.as_str().unwrap_or_default()));
    }
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object[key].as_str()
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

fn date(object: &Value, key: &str, problems: &mut Problems) -> Option<NaiveDate> {
    let text = text(object, key)?;
    let date = text.parse().ok();
    if date.is_none() {
        problems.push(key, "must be a day of the calendar, such as 2026-10-31.");
    }
    date
}

fn timezone(object: &Value, path: &str, problems: &mut Problems) -> Option<Tz> {
    let text = text(object, "timezone")?;
    let zone = text.parse().ok();
    if zone.is_none() {
        problems.push(
            path,
            "is not an IANA time zone. Use UTC or a name such as Europe/Paris; abbreviations (PST) and offsets (UTC+1) \
             are ambiguous when clocks change.",
        );
    }
    zone
}

/// Plain http is for loopback only, since every request carries credentials.
fn base_url(document: &Value, problems: &mut Problems) -> Option<Url> {
    let text = text(document, "api_base_url").unwrap_or(DEFAULT_API_BASE_URL);
    let url = Url::parse(text).ok().filter(|url| {
        let is_address = url.host_str().is_some_and(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok());
        let safe =
            is_loopback(url) && ["http", "https"].contains(&url.scheme()) || url.scheme() == "https" && !is_address;
        safe && url.username().is_empty() && url.password().is_none() && url.query().is_none()
    });
    if url.is_none() {
        problems.push(
            "api_base_url",
            "must be an https URL with a host name and without user name or query; plain http and IP addresses are \
             accepted for loopback only.",
        );
    }
    url
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// These settings would corrupt a real account's data.
fn for_tests_only(document: &Value, api_base_url: Option<&Url>, problems: &mut Problems) {
    for key in ["now", "report_row_cap", "calls_at_once", "backoff_percent", "stall_seconds"] {
        if !document[key].is_null() && !api_base_url.is_some_and(is_loopback) {
            problems.push(key, "is for tests and accepted only with a loopback api_base_url.");
        }
    }
}

fn clock(document: &Value, problems: &mut Problems) -> Clock {
    instant(document, "now", problems).map_or_else(Clock::default, Clock::pinned)
}

fn instant(document: &Value, key: &str, problems: &mut Problems) -> Option<DateTime<Utc>> {
    let instant = text(document, key)?.parse();
    instant.inspect_err(|_| problems.push(key, "must be a timestamp such as 2026-07-01T12:00:00Z.")).ok()
}

fn custom_reports(document: &Value, warnings: &mut Vec<String>, problems: &mut Problems) -> Vec<CustomReport> {
    let mut reports: Vec<CustomReport> = Vec::new();
    let listed = document["custom_reports"].as_array().map_or(&[][..], Vec::as_slice);
    if listed.len() > MAX_REPORTS {
        problems.push("custom_reports", format!("lists {} reports; the limit is {MAX_REPORTS}.", listed.len()));
    }
    for (index, value) in listed.iter().take(MAX_REPORTS).enumerate() {
        let path = format!("custom_reports[{index}]");
        let report = CustomReport {
            name: text(value, "name").unwrap_or_default().to_owned(),
            dimensions: texts(&value["dimensions"]).collect(),
            metrics: texts(&value["metrics"]).collect(),
            currency: text(value, "currency").map(|code| Currency(code.to_owned())),
            timezone: timezone(value, &format!("{path}.timezone"), problems),
            ad_set_ids: texts(&value["ad_set_ids"]).collect(),
            ad_set_names: texts(&value["ad_set_names"]).collect(),
            ad_set_status: texts(&value["ad_set_status"]).collect(),
            row_number: value["row_number"].as_bool().unwrap_or(false),
        };
        if !report.name.is_empty() && reports.iter().any(|other| other.name == report.name) {
            problems.push(&format!("{path}.name"), "is already used by another custom report. Choose another name.");
        }
        vocabulary(&report, &path, warnings, problems);
        reports.push(report);
    }
    reports
}

/// Duplicates and conflicting periods are errors; unknown words may be newer than this connector.
fn vocabulary(report: &CustomReport, path: &str, warnings: &mut Vec<String>, problems: &mut Problems) {
    for (key, words, known) in [
        ("dimensions", &report.dimensions, metrics::is_dimension as fn(&str) -> bool),
        ("metrics", &report.metrics, metrics::is_metric),
    ] {
        if words.len() > MAX_WORDS {
            problems.push(&format!("{path}.{key}"), format!("lists {} {key}; the limit is {MAX_WORDS}.", words.len()));
        }
        let mut seen = HashSet::new();
        for (index, word) in words.iter().take(MAX_WORDS).enumerate() {
            if !seen.insert(fold(word)) {
                problems.push(&format!("{path}.{key}[{index}]"), format!("repeats {word}. Name it once."));
            } else if let Some(day) = metrics::until(word).filter(|_| key == "metrics") {
                warnings.push(format!(
                    "{path}.{key}[{index}]: Criteo removed {word} from its list of metrics on {day}. It is sent as \
                     written, and Criteo will probably reject the report."
                ));
            } else if !known(word) {
                let all: Vec<&str> = match key {
                    "metrics" => metrics::metrics().iter().map(|metric| metric.name).collect(),
                    _ => metrics::DIMENSIONS.iter().map(|dimension| dimension.name).collect(),
                };
                let hint = suggest::did_you_mean(word, all);
                warnings.push(format!(
                    "{path}.{key}[{index}]: {word} is not one of the {key} this version of the connector knows.{hint} \
                     It is sent to Criteo as written, and its column is a {}.",
                    if key == "metrics" { "number" } else { "string" }
                ));
            }
        }
    }
    let long: Vec<_> =
        report.dimensions.iter().filter_map(|word| Grain::of_dimension(word)).filter(|g| g.is_long()).collect();
    if long.len() > 1 {
        problems.push(
            &format!("{path}.dimensions"),
            "contains more than one of Week, Month and Year. Their boundaries do not align, so rows would be split. \
             Keep one.",
        );
    }
}
