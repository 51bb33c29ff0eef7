//! Reports as streams: turns dimensions and metrics into columns, key and schema.
//!
//! Columns of statistics come from the table of metrics; smaller reports have fixed columns in their schema files.

use std::sync::Arc;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::model::calendar::Grain;
use crate::model::ids::{ApiVersion, Currency};
use crate::products::endpoint::{
    Filter, HISTORY_DAYS, Interval, Lookback, ROW_CAP, ReportEndpoint, SETTLING_DAYS, STATISTICS, TOTAL_METRICS,
    WIDEST_ATTRIBUTION_DAYS,
};
use crate::products::marketing::metrics;
use crate::products::schema::ColumnType;

/// The newest stable API version (developers.criteo.com, release notes of 2026-07).
pub const DEFAULT_API_VERSION: &str = "2026-07";
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

/// A column, as the rows are read.
#[derive(Debug, Clone)]
pub struct RowColumn {
    /// The name.
    pub name: String,
    /// The type of its values.
    pub column_type: ColumnType,
    /// Whether it is part of the primary key.
    pub is_key: bool,
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

struct Column {
    name: String,
    column_type: ColumnType,
    description: String,
    is_key: bool,
}

impl Report {
    /// A built-in report.
    #[must_use]
    pub fn preset(dimensions: &[&str], metrics: &[&str], options: &ReportOptions) -> Self {
        let dimensions = dimensions.iter().map(|&name| name.to_owned()).collect();
        let metrics = metrics.iter().map(|&name| name.to_owned()).collect();
        Self::new(dimensions, metrics, options.currency.clone(), options.timezone, Filters::default(), options)
    }

    /// A user-defined report.
    #[must_use]
    pub fn custom(custom: &CustomReport, options: &ReportOptions) -> Self {
        let report = Self::new(
            custom.dimensions.clone(),
            custom.metrics.clone(),
            custom.currency.clone().unwrap_or_else(|| options.currency.clone()),
            custom.timezone.unwrap_or(options.timezone),
            Filters {
                ad_set_ids: custom.ad_set_ids.clone(),
                ad_set_names: custom.ad_set_names.clone(),
                ad_set_status: custom.ad_set_status.clone(),
                ..Filters::default()
            },
            options,
        );
        Self { is_custom: true, numbers_rows: custom.row_number, ..report }
    }

    fn new(
        mut dimensions: Vec<String>,
        metrics: Vec<String>,
        currency: Currency,
        timezone: Tz,
        filters: Filters,
        options: &ReportOptions,
    ) -> Self {
        // Two campaigns may share a name, so the id is requested, too.
        for index in 0..dimensions.len() {
            let id = metrics::dimension(&dimensions[index]).filter(|d| d.is_name()).and_then(|d| d.pair);
            if let Some(id) = id
                && !dimensions.iter().any(|name| name == id)
            {
                dimensions.push(id.to_owned());
            }
        }
        if !dimensions.iter().any(|name| name == "AdvertiserId") {
            dimensions.insert(0, "AdvertiserId".to_owned());
        }
        // Without a period every window would be one row; with only the hour there is no day to resume from.
        let is_hourly = dimensions.iter().any(|name| name == "Hour");
        let grain =
            dimensions.iter().filter_map(|name| Grain::of_dimension(name)).min_by_key(|grain| grain.longest_days());
        if grain.is_none() {
            dimensions.push("Day".to_owned());
        }
        let grain = grain.unwrap_or(Grain::Day);
        Self {
            dimensions,
            metrics,
            currency,
            // A local hour occurs twice when clocks go back; a UTC hour never does.
            timezone: if is_hourly { Tz::UTC } else { timezone },
            cursor: match grain {
                Grain::Day => "day",
                Grain::Week(_) => "week",
                Grain::Month => "month",
                Grain::Year => "year",
            },
            grain,
            is_hourly,
            filters,
            is_custom: false,
            endpoint: &STATISTICS,
            row_cap: options.report_row_cap,
            history_days: HISTORY_DAYS,
            most_days: u32::MAX,
            most_advertisers: usize::MAX,
            numbers_rows: false,
            fixed_columns: Arc::default(),
        }
    }

    /// A report of another endpoint, with fixed columns.
    #[must_use]
    pub fn fixed(
        endpoint: &'static ReportEndpoint,
        dimensions: &[&str],
        metrics: &[&str],
        options: &ReportOptions,
    ) -> Self {
        let interval = endpoint.is_marketplace.then_some(options.mpo_interval);
        let is_hourly = interval.is_some_and(|interval| interval.name == "Hour");
        let mut filters = Filters::default();
        for filter in endpoint.filters {
            match filter {
                // Criteo's default is `true`; sending it makes the table independent of that default.
                Filter::Disclosed(_) => filters.disclosed = Some(options.placements_disclosed.unwrap_or(true)),
                Filter::Environment(_) => filters.environment.clone_from(&options.placements_environment),
                Filter::EventType(_) => filters.event_type.clone_from(&options.transactions_event_type),
                Filter::AdSets(_) | Filter::AdSetsText(_) | Filter::AdSetNames(_) | Filter::AdSetStatus(_) => {}
            }
        }
        Self {
            dimensions: match interval {
                Some(interval) => vec![interval.name.to_owned()],
                None => dimensions.iter().map(|&name| name.to_owned()).collect(),
            },
            endpoint,
            cursor: interval.map_or(endpoint.cursor, |interval| interval.column),
            grain: interval.map_or(Grain::Day, |interval| interval.grain),
            is_hourly,
            timezone: if is_hourly { Tz::UTC } else { options.timezone },
            row_cap: endpoint.row_cap.map_or(u64::MAX, |cap| options.report_row_cap.min(cap)),
            history_days: endpoint.history_days,
            most_days: interval.map_or(endpoint.max_days, |interval| interval.most_days),
            most_advertisers: endpoint.max_advertisers,
            filters,
            ..Self::preset(&["AdvertiserId"], metrics, options)
        }
    }

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

    /// Whether rows that share a key are numbered: if the user wants it, or with categories, which Criteo names in one
    /// row and calls "Unknown" in another.
    #[must_use]
    pub fn needs_row_number(&self) -> bool {
        self.numbers_rows || self.dimensions.iter().any(|name| name == "CategoryId")
    }

    /// The columns of its rows.
    #[must_use]
    pub fn row_columns(&self) -> Vec<RowColumn> {
        if !self.fixed_columns.is_empty() {
            return self.fixed_columns.to_vec();
        }
        let columns = self.columns().into_iter();
        columns.map(|Column { name, column_type, is_key, .. }| RowColumn { name, column_type, is_key }).collect()
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

    /// The requested dimensions as ids, the period and the currency, plus `row_number` if rows are numbered.
    #[must_use]
    pub fn primary_key(&self) -> Vec<String> {
        self.columns().into_iter().filter(|column| column.is_key).map(|column| column.name).collect()
    }

    /// The JSON schema of a row.
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: Map<_, _> = self
            .columns()
            .into_iter()
            .map(|column| {
                let property = column.column_type.property(column.is_key, &column.description);
                (column.name, property)
            })
            .collect();
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": properties})
    }

    /// The metrics whose columns are among `selected`.
    #[must_use]
    pub fn selected_metrics(&self, selected: &dyn Fn(&str) -> bool) -> Vec<String> {
        let wanted: Vec<_> =
            self.metrics.iter().filter(|name| selected(&metrics::column_name(name))).cloned().collect();
        let is_needed = wanted.is_empty() && !self.endpoint.allows_no_metrics;
        if is_needed { self.metrics.iter().take(1).cloned().collect() } else { wanted }
    }

    /// What a state depends on. Another currency, time zone or dimension changes the keys of rows; other metrics or
    /// filters change only values.
    #[must_use]
    pub fn fingerprint(&self, selected_metrics: &[String]) -> Fingerprint {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.join(",")
        };
        let values = [
            sorted(selected_metrics),
            sorted(&self.filters.ad_set_ids),
            sorted(&self.filters.ad_set_names),
            sorted(&self.filters.ad_set_status),
            format!(
                "{:?} {:?} {:?}",
                self.filters.disclosed.filter(|is| !is),
                self.filters.environment,
                self.filters.event_type
            ),
        ];
        let currency = if self.asks_for_currency() { self.currency.to_string() } else { String::new() };
        let numbered = if self.numbers_rows { "|row_number" } else { "" };
        Fingerprint {
            // Without a requested currency, money is in the advertiser's currency.
            keys: format!("{currency}|{}|{}{numbered}", self.timezone, sorted(&self.dimensions)),
            values: format!("{:016x}", fnv1a(values.join("|").as_bytes())),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        let mut push = |name: String, column_type, description: String, is_key| match columns
            .iter_mut()
            .find(|column| column.name == name)
        {
            Some(column) => column.is_key |= is_key,
            None => columns.push(Column { name, column_type, description, is_key }),
        };
        for requested in &self.dimensions {
            let Some(dimension) = metrics::dimension(requested) else {
                let about = format!("Criteo's dimension {requested}, which is newer than this connector.");
                push(metrics::column_name(requested), ColumnType::Text, about, true);
                continue;
            };
            // Criteo returns both the id and the name, whichever is requested.
            for half in [Some(dimension), dimension.pair.and_then(metrics::dimension)].into_iter().flatten() {
                let about = format!("{} (Criteo's dimension {}).", half.about, half.name);
                push(metrics::column_name(half.name), half.column_type, about, !half.is_name());
            }
        }
        for requested in &self.metrics {
            let (column_type, about) = match metrics::metric(requested) {
                Some(metric) => (metric.column_type(), metric.description()),
                None => {
                    (ColumnType::Number, format!("Criteo's metric {requested}, which is newer than this connector."))
                }
            };
            push(metrics::column_name(requested), column_type, about, false);
        }
        push("currency".into(), ColumnType::Text, "Currency of all money in the row (ISO 4217).".into(), true);
        push("timezone".into(), ColumnType::Text, "Time zone of the row's periods.".into(), false);
        if self.needs_row_number() {
            let about = "Distinguishes rows that Criteo sends with the same key, such as a category named in one row \
                         and unknown in another; 1 for the first."
                .to_owned();
            push("row_number".into(), ColumnType::Integer, about, true);
        }
        columns
    }
}

/// What a state depends on, in two parts with different consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Currency, time zone and dimensions: after a change, old rows would remain next to new ones with different keys.
    pub keys: String,
    /// A hash of metrics and filters: after a change, rows already synced keep their old columns.
    pub values: String,
}

/// The FNV-1a hash: small, and stable across machines and releases.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
