//! Reports as streams: turns dimensions and metrics into columns, key and schema.
//!
//! Columns of statistics come from the table of metrics; smaller reports have fixed columns in their schema files.

mod columns;
mod construct;
mod fingerprint;
mod options;

use std::sync::Arc;

use chrono_tz::Tz;

use crate::model::calendar::Grain;
use crate::model::ids::Currency;
use crate::products::endpoint::{Lookback, ReportEndpoint, SETTLING_DAYS, TOTAL_METRICS, WIDEST_ATTRIBUTION_DAYS};
use crate::products::marketing::metrics;
pub use crate::products::report::columns::RowColumn;
pub use crate::products::report::fingerprint::Fingerprint;
pub use crate::products::report::options::{CustomReport, DEFAULT_API_VERSION, ReportOptions};

/// Default history, in days, of hourly reports and of those that need one request per day.
pub const HOURLY_HISTORY_DAYS: u32 = 30;
/// Dimensions over which clicks, displays and cost add up to the totals; undocumented for others, such as the category.
const PROVABLE: &[&str] = &[
    "AdvertiserId",
    "Advertiser",
    "CampaignId",
    "Campaign",
    "AdsetId",
    "Adset",
    "AdId",
    "Ad",
    "Hour",
    "Day",
    "Week",
    "Month",
    "Year",
    "Os",
    "Device",
    "MarketingObjectiveId",
    "MarketingObjective",
    "ChannelId",
    "Channel",
];

/// A report: its dimensions, metrics, currency and time zone.
#[derive(Debug, Clone)]
pub struct Report {
    /// Dimensions to request, in Criteo's spelling, including ids of names and the day.
    pub dimensions: Vec<String>,
    /// Metrics to request, in Criteo's spelling.
    pub metrics: Vec<String>,
    /// Currency of the money.
    pub currency: Currency,
    /// Time zone of the days.
    pub timezone: Tz,
    /// The period that a window must not split; its start is the cursor.
    pub grain: Grain,
    /// Whether rows are hourly.
    pub is_hourly: bool,
    /// The API's filters.
    pub filters: Filters,
    /// Whether the user defined it.
    pub is_custom: bool,
    /// The endpoint to request.
    pub endpoint: &'static ReportEndpoint,
    /// The row count at which Criteo truncates a response.
    pub row_cap: u64,
    /// Days of history that Criteo keeps.
    pub history_days: u32,
    /// The most days per request.
    pub most_days: u32,
    /// The most advertisers per request.
    pub most_advertisers: usize,
    /// Whether the user wants row numbers for rows that share a key.
    pub numbers_rows: bool,
    /// The columns, where they do not follow from dimensions and metrics.
    pub fixed_columns: Arc<[RowColumn]>,
    cursor: &'static str,
}

/// Filters of a report; empty lists do not restrict it.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// `adSetIds`.
    pub ad_set_ids: Vec<String>,
    /// `adSetNames`.
    pub ad_set_names: Vec<String>,
    /// `adSetStatus`: `Active`, `NotRunning` or `Dead`.
    pub ad_set_status: Vec<String>,
    /// `disclosed` of placements; `false` means undisclosed ones.
    pub disclosed: Option<bool>,
    /// `environment` of placements: `Web`, `Android` or `Ios`.
    pub environment: Option<String>,
    /// `eventType` of transactions: `Click` or `Display`.
    pub event_type: Option<String>,
}

/// The environments by which placements can be requested in parts.
pub const ENVIRONMENTS: [&str; 3] = ["Web", "Android", "Ios"];

impl Report {
    /// Whether rows do not name their day, so that each day needs its own request.
    #[must_use]
    pub fn needs_day_per_request(&self) -> bool {
        !self.endpoint.has_time
    }

    /// The parts into which a single day of a single ad set can be split.
    #[must_use]
    pub fn environments(&self) -> &'static [&'static str] {
        let is_by_environment = self.dimensions.iter().any(|name| name == "Environment");
        if is_by_environment && self.filters.environment.is_none() { &ENVIRONMENTS } else { &[] }
    }

    /// The report of the totals check: the totals per advertiser and period.
    #[must_use]
    pub fn totals(&self) -> Self {
        let mut dimensions = vec!["AdvertiserId".to_owned()];
        if !self.needs_day_per_request() {
            dimensions.push(self.grain.dimension().to_owned());
        }
        let metrics = self.endpoint.totals.map(str::to_owned).to_vec();
        Self { dimensions, metrics, numbers_rows: false, fixed_columns: Arc::default(), ..self.clone() }
    }

    /// The report that lists the ad sets of this one, and their environments where it can be split by these.
    #[must_use]
    pub fn ad_sets(&self) -> Self {
        let mut dimensions = vec!["AdvertiserId".to_owned(), "AdsetId".to_owned()];
        if !self.environments().is_empty() {
            dimensions.push("Environment".to_owned());
        }
        // Text metrics cannot be requested without their own dimensions.
        let is_number =
            |metric: &&String| !self.endpoint.has_text_metrics || self.endpoint.totals.contains(&metric.as_str());
        let metrics = self.metrics.iter().filter(is_number).cloned().collect();
        Self { dimensions, metrics, numbers_rows: false, fixed_columns: Arc::default(), ..self.clone() }
    }

    /// Whether the totals check applies: the report has no filters, and its dimensions are known to be additive.
    #[must_use]
    pub fn is_provable(&self) -> bool {
        let Filters { ad_set_ids, ad_set_names, ad_set_status, .. } = &self.filters;
        let is_filtered = [ad_set_ids, ad_set_names, ad_set_status].iter().any(|filter| !filter.is_empty());
        self.endpoint.has_totals && !is_filtered && self.dimensions.iter().all(|name| PROVABLE.contains(&name.as_str()))
    }

    /// Whether the totals check applies to days that are split. Without a time dimension it needs one request per day,
    /// which is worth it only for these.
    #[must_use]
    pub fn is_provable_in_parts(&self) -> bool {
        self.needs_day_per_request() && !self.dimensions.iter().any(|name| name == "CategoryId")
    }

    /// Which of displays, clicks and cost are among the metrics.
    #[must_use]
    pub fn compared_totals(&self, metrics: &[String]) -> [bool; TOTAL_METRICS.len()] {
        self.endpoint.totals.map(|name| metrics.iter().any(|metric| metric == name))
    }

    /// Whether the report can be split by ad sets, which requires that each row belongs to one ad set.
    #[must_use]
    pub fn can_filter_ad_sets(&self) -> bool {
        // Without the ad set in the key, rows of an ad in several ad sets would share a key across responses.
        self.dimensions.iter().any(|name| name == "AdsetId")
    }

    /// Days that Criteo may still change: the widest attribution window of the metrics, at most 30 days (33 for
    /// transactions).
    #[must_use]
    pub fn lookback_days(&self, metrics: &[String]) -> u32 {
        if let Lookback::Days(days) = self.endpoint.lookback {
            return days;
        }
        let days = metrics.iter().map(|name| match metrics::metric(name) {
            Some(metric) => metric.attribution_days().unwrap_or(SETTLING_DAYS),
            None => WIDEST_ATTRIBUTION_DAYS,
        });
        days.max().unwrap_or(SETTLING_DAYS).clamp(SETTLING_DAYS, WIDEST_ATTRIBUTION_DAYS)
    }

    /// The history that Criteo keeps, in words.
    #[must_use]
    pub fn history(&self) -> String {
        match self.history_days {
            730 => "two years".to_owned(),
            days => format!("{days} days"),
        }
    }

    /// Whether the history is undocumented: Criteo documents that of daily statistics, transactions and placements
    /// only.
    #[must_use]
    pub fn is_history_assumed(&self) -> bool {
        self.is_hourly || !self.endpoint.is_history_documented
    }

    /// The cursor column.
    #[must_use]
    pub fn cursor_column(&self) -> &'static str {
        self.cursor
    }

    /// Whether requests include a currency.
    #[must_use]
    pub fn asks_for_currency(&self) -> bool {
        self.endpoint.has_currency
    }

    /// Days of history to read without a start date.
    #[must_use]
    pub fn default_history_days(&self) -> u32 {
        let is_costly = self.is_hourly || self.endpoint.is_costly;
        if is_costly { HOURLY_HISTORY_DAYS } else { self.history_days }
    }
}
