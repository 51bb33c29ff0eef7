//! What the user decides about reports.

use chrono_tz::Tz;

use crate::model::ids::{ApiVersion, Currency};
use crate::model::product::Product;
use crate::products::endpoint::{Interval, ROW_CAP};

/// The newest stable API version (developers.criteo.com, release notes of 2026-07).
pub const DEFAULT_API_VERSION: &str = "2026-07";

/// A statistics report defined by the user.
#[derive(Debug, Clone)]
pub struct CustomReport {
    /// The stream name without its prefix `custom_`.
    pub name: String,
    /// Dimensions, in Criteo's spelling.
    pub dimensions: Vec<String>,
    /// Metrics, in Criteo's spelling.
    pub metrics: Vec<String>,
    /// Overrides the configured currency.
    pub currency: Option<Currency>,
    /// Overrides the configured time zone.
    pub timezone: Option<Tz>,
    /// The API's `adSetIds` filter.
    pub ad_set_ids: Vec<String>,
    /// The API's `adSetNames` filter.
    pub ad_set_names: Vec<String>,
    /// The API's `adSetStatus` filter.
    pub ad_set_status: Vec<String>,
    /// Whether rows with equal keys get a row number.
    pub row_number: bool,
}

/// What the reports of a configuration are.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// The API product, which decides what streams there are.
    pub product: Product,
    /// Currency of all money in reports.
    pub currency: Currency,
    /// Time zone of the days in reports.
    pub timezone: Tz,
    /// Version segment of API paths.
    pub api_version: ApiVersion,
    /// Reports defined by the user.
    pub custom_reports: Vec<CustomReport>,
    /// Only disclosed or only undisclosed placements; `None` means Criteo's default, disclosed.
    pub placements_disclosed: Option<bool>,
    /// Only placements of this environment.
    pub placements_environment: Option<String>,
    /// Only transactions credited to this event type.
    pub transactions_event_type: Option<String>,
    /// Period of a row of marketplace statistics.
    pub mpo_interval: Interval,
    /// Row count at which Criteo truncates a report; lower only in tests.
    pub report_row_cap: u64,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self {
            product: Product::default(),
            currency: Currency("EUR".to_owned()),
            timezone: Tz::UTC,
            api_version: ApiVersion(DEFAULT_API_VERSION.to_owned()),
            custom_reports: Vec::new(),
            placements_disclosed: None,
            placements_environment: None,
            transactions_event_type: None,
            mpo_interval: Interval::named("Day"),
            report_row_cap: ROW_CAP,
        }
    }
}
