//! A report as a stream: dimensions and metrics in, columns, key and schema out.
//!
//! Statistics have their columns from the table of metrics; the smaller reports have fixed ones, in their schema files.

use std::sync::Arc;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::endpoint::{AD_LEVEL_TOTALS, Endpoint, TOTAL_METRICS};
use super::metrics::{self, Grain};
use super::schema::ColumnType;
use crate::config::{Config, Currency, CustomReport};

/// How far back Criteo keeps statistics, in days (two years, `OpenAPI` document).
pub const HISTORY_DAYS: u32 = 730;
/// The most rows Criteo answers at once (developers.criteo.com, Analytics, which has the number alone).
pub const ROW_CAP: u64 = 100_000;
/// How far back reports by the hour, and those that take a request for every day, go unless the user asks for more, in
/// days.
pub const HOURLY_HISTORY_DAYS: u32 = 30;
/// How long Criteo may credit a sale to a click: its widest attribution window.
const WIDEST_ATTRIBUTION_DAYS: u32 = 30;
/// How many days are read again when no metric is credited to anything: numbers of the last two days still count.
const SETTLING_DAYS: u32 = 3;
/// Dimensions over which clicks, displays and cost add up to the totals. For others, such as the product category, nothing
/// says that they do.
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

/// One report: what to ask for, and in which money and time.
#[derive(Debug, Clone)]
pub struct Report {
    /// Dimensions to request, in Criteo's spelling: those asked for, the ids of names, and the day.
    pub dimensions: Vec<String>,
    /// Metrics to request, in Criteo's spelling.
    pub metrics: Vec<String>,
    /// The currency of the money.
    pub currency: Currency,
    /// The zone whose days count.
    pub timezone: Tz,
    /// The period that windows may not cut, and whose start is the cursor.
    pub grain: Grain,
    /// Whether rows by the hour are among them.
    pub is_hourly: bool,
    /// Criteo's filters.
    pub filters: Filters,
    /// Whether it is the user's own.
    pub is_custom: bool,
    /// Where it is asked for.
    pub endpoint: Endpoint,
    /// The number of rows at which Criteo cuts an answer.
    pub row_cap: u64,
    /// How far back Criteo keeps it, in days.
    pub history_days: u32,
    /// The most days of one request.
    pub most_days: u32,
    /// The most advertisers of one request.
    pub most_advertisers: usize,
    /// Whether rows that share a key are numbered because the user wants that.
    pub numbers_rows: bool,
    /// The columns of a report whose columns do not follow from its dimensions and metrics.
    pub fixed_columns: Arc<[RowColumn]>,
    cursor: &'static str,
}

/// A column of a report, as its rows are read.
#[derive(Debug, Clone)]
pub struct RowColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub column_type: ColumnType,
    /// Whether it is part of the key.
    pub is_key: bool,
}

/// Restricts a report to some ad sets; empty lists restrict nothing.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// `adSetIds`
    pub ad_set_ids: Vec<String>,
    /// `adSetNames`
    pub ad_set_names: Vec<String>,
    /// `adSetStatus`: `Active`, `NotRunning`, `Dead`
    pub ad_set_status: Vec<String>,
    /// `disclosed` of placements; `false` means the undisclosed ones.
    pub disclosed: Option<bool>,
    /// `environment` of placements: `Web`, `Android`, `Ios`
    pub environment: Option<String>,
    /// `eventType` of transactions: `Click`, `Display`
    pub event_type: Option<String>,
}

/// The environments that placements can be asked for in parts by.
pub const ENVIRONMENTS: [&str; 3] = ["Web", "Android", "Ios"];

/// A column of a report.
struct Column {
    name: String,
    column_type: ColumnType,
    description: String,
    is_key: bool,
}

impl Report {
    /// A ready-made report.
    #[must_use]
    pub fn preset(dimensions: &[&str], metrics: &[&str], config: &Config) -> Self {
        let dimensions = dimensions.iter().map(|&name| name.to_owned()).collect();
        let metrics = metrics.iter().map(|&name| name.to_owned()).collect();
        Self::new(dimensions, metrics, config.currency.clone(), config.timezone, Filters::default(), config)
    }

    /// A report of the user's own.
    #[must_use]
    pub fn custom(custom: &CustomReport, config: &Config) -> Self {
        let report = Self::new(
            custom.dimensions.clone(),
            custom.metrics.clone(),
            custom.currency.clone().unwrap_or_else(|| config.currency.clone()),
            custom.timezone.unwrap_or(config.timezone),
            Filters {
                ad_set_ids: custom.ad_set_ids.clone(),
                ad_set_names: custom.ad_set_names.clone(),
                ad_set_status: custom.ad_set_status.clone(),
                ..Filters::default()
            },
            config,
        );
        Self { is_custom: true, numbers_rows: custom.row_number, ..report }
    }

    fn new(
        mut dimensions: Vec<String>,
        metrics: Vec<String>,
        currency: Currency,
        timezone: Tz,
        filters: Filters,
        config: &Config,
    ) -> Self {
        // A name alone does not tell two campaigns of the same name apart: its id comes along.
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
        // Without a period every window would be one row; with the hour alone there is no day to resume from.
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
            // A local hour comes twice when clocks are set back; an hour in UTC never does.
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
            endpoint: Endpoint::Statistics,
            row_cap: config.report_row_cap,
            history_days: HISTORY_DAYS,
            most_days: u32::MAX,
            most_advertisers: usize::MAX,
            numbers_rows: false,
            fixed_columns: Arc::default(),
        }
    }

    /// One of the smaller reports, with fixed columns.
    #[must_use]
    pub fn small(endpoint: Endpoint, dimensions: &[&str], metrics: &[&str], config: &Config) -> Self {
        let base = Self {
            dimensions: dimensions.iter().map(|&name| name.to_owned()).collect(),
            endpoint,
            cursor: "day",
            grain: Grain::Day,
            ..Self::preset(&["AdvertiserId"], metrics, config)
        };
        match endpoint {
            Endpoint::Statistics => base,
            Endpoint::Placements => Self {
                row_cap: config.report_row_cap.min(20_000),
                history_days: 90,
                most_days: 1,
                filters: Filters {
                    // Left out it is `true` by Criteo's documents; said, the table does not hang on that.
                    disclosed: Some(config.placements_disclosed.unwrap_or(true)),
                    environment: config.placements_environment.clone(),
                    ..Filters::default()
                },
                ..base
            },
            Endpoint::Transactions => Self {
                cursor: "transaction_date",
                filters: Filters { event_type: config.transactions_event_type.clone(), ..Filters::default() },
                ..base
            },
            Endpoint::AdLevel => Self { most_days: 1, most_advertisers: 5, ..base },
            Endpoint::Marketplace(_) => {
                let interval = config.mpo_interval;
                Self {
                    dimensions: vec![interval.name.to_owned()],
                    cursor: interval.column,
                    grain: interval.grain,
                    is_hourly: interval.name == "Hour",
                    timezone: if interval.name == "Hour" { Tz::UTC } else { config.timezone },
                    // No cap is known: the answer is asked for without a number of rows.
                    row_cap: u64::MAX,
                    most_days: interval.most_days,
                    most_advertisers: 1,
                    ..base
                }
            }
        }
    }

    /// Whether its rows do not say which day they are of: each day is asked for alone.
    #[must_use]
    pub fn is_without_time(&self) -> bool {
        matches!(self.endpoint, Endpoint::Placements | Endpoint::AdLevel)
    }

    /// Parts that a single ad set of a single day can be asked for in.
    #[must_use]
    pub fn environments(&self) -> &'static [&'static str] {
        let is_by_environment = self.dimensions.iter().any(|name| name == "Environment");
        if is_by_environment && self.filters.environment.is_none() { &ENVIRONMENTS } else { &[] }
    }

    /// The report of the sums that prove this one: by advertiser and period alone.
    #[must_use]
    pub fn totals(&self) -> Self {
        let mut dimensions = vec!["AdvertiserId".to_owned()];
        if !self.is_without_time() {
            dimensions.push(self.grain.dimension().to_owned());
        }
        let metrics = self.endpoint.total_metrics().map(str::to_owned).to_vec();
        Self { dimensions, metrics, numbers_rows: false, fixed_columns: Arc::default(), ..self.clone() }
    }

    /// The report that lists the ad sets of this one, and their environments where it can be asked for by these.
    #[must_use]
    pub fn ad_sets(&self) -> Self {
        let mut dimensions = vec!["AdvertiserId".to_owned(), "AdsetId".to_owned()];
        if !self.environments().is_empty() {
            dimensions.push("Environment".to_owned());
        }
        // Texts need dimensions of their own.
        let is_number =
            |metric: &&String| self.endpoint != Endpoint::AdLevel || AD_LEVEL_TOTALS.contains(&metric.as_str());
        let metrics = self.metrics.iter().filter(is_number).cloned().collect();
        Self { dimensions, metrics, numbers_rows: false, fixed_columns: Arc::default(), ..self.clone() }
    }

    /// Whether its sums must be the totals: it is not filtered, and its dimensions are known to be additive.
    #[must_use]
    pub fn is_provable(&self) -> bool {
        let Filters { ad_set_ids, ad_set_names, ad_set_status, .. } = &self.filters;
        let is_filtered = [ad_set_ids, ad_set_names, ad_set_status].iter().any(|filter| !filter.is_empty());
        self.endpoint == Endpoint::Statistics
            && !is_filtered
            && self.dimensions.iter().all(|name| PROVABLE.contains(&name.as_str()))
    }

    /// Whether its sums must be the totals of each day. Without a dimension of time that takes a request a day, so it is worth it
    /// only for days that are read in parts.
    #[must_use]
    pub fn is_provable_in_parts(&self) -> bool {
        self.is_without_time() && !self.dimensions.iter().any(|name| name == "CategoryId")
    }

    /// Which of displays, clicks and cost are among the metrics.
    #[must_use]
    pub fn compared_totals(&self, metrics: &[String]) -> [bool; TOTAL_METRICS.len()] {
        self.endpoint.total_metrics().map(|name| metrics.iter().any(|metric| metric == name))
    }

    /// Whether requests for some ad sets together give the rows of one for all: only if each row belongs to one ad set.
    #[must_use]
    pub fn can_filter_ad_sets(&self) -> bool {
        // Without their id in the key, rows of an ad with several of them would share one in different answers.
        self.dimensions.iter().any(|name| name == "AdsetId")
    }

    /// How many days Criteo may still change: the widest attribution window of the metrics, at most 30 days (33 for transactions).
    #[must_use]
    pub fn lookback_days(&self, metrics: &[String]) -> u32 {
        match self.endpoint {
            Endpoint::Statistics => {}
            // Should Criteo select by the click or view: an order so much later is told some days after that.
            Endpoint::Transactions => return WIDEST_ATTRIBUTION_DAYS + SETTLING_DAYS,
            _ => return WIDEST_ATTRIBUTION_DAYS,
        }
        let days = metrics.iter().map(|name| match metrics::metric(name) {
            Some(metric) => metric.attribution_days().unwrap_or(SETTLING_DAYS),
            None => WIDEST_ATTRIBUTION_DAYS,
        });
        days.max().unwrap_or(SETTLING_DAYS).clamp(SETTLING_DAYS, WIDEST_ATTRIBUTION_DAYS)
    }

    /// How far back Criteo is taken to keep it, in words.
    #[must_use]
    pub fn history(&self) -> String {
        match self.history_days {
            730 => "two years".to_owned(),
            days => format!("{days} days"),
        }
    }

    /// Whether no document of Criteo's says how far back it goes: statistics by day, transactions and placements have one.
    #[must_use]
    pub fn is_history_assumed(&self) -> bool {
        self.is_hourly || matches!(self.endpoint, Endpoint::AdLevel | Endpoint::Marketplace(_))
    }

    /// The column that the state counts in.
    #[must_use]
    pub fn cursor_column(&self) -> &'static str {
        self.cursor
    }

    /// Whether rows that share a key are numbered: Criteo names a category in one row and calls it "Unknown" in another, and
    /// the user may want it.
    #[must_use]
    pub fn has_twins(&self) -> bool {
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

    /// Whether its requests name a currency.
    #[must_use]
    pub fn asks_for_currency(&self) -> bool {
        !matches!(self.endpoint, Endpoint::AdLevel | Endpoint::Marketplace(_))
    }

    /// How many days back the report is read where the user names no start.
    #[must_use]
    pub fn default_history_days(&self) -> u32 {
        let is_costly = self.is_hourly || self.endpoint == Endpoint::AdLevel;
        if is_costly { HOURLY_HISTORY_DAYS } else { self.history_days }
    }

    /// Every requested dimension in its id form, the period, and the currency; `row_number` where there are twins.
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
        // Only statistics can be asked for without a metric.
        let is_needed = wanted.is_empty() && self.endpoint != Endpoint::Statistics;
        if is_needed { self.metrics.iter().take(1).cloned().collect() } else { wanted }
    }

    /// What a state is bound to. Rows with another currency, zone or dimensions have other keys; other metrics or
    /// filters only change values.
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
            // Where none is asked for, money is in the advertiser's currency.
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
            // Criteo answers both halves of a pair, whichever is asked for.
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
        push("timezone".into(), ColumnType::Text, "Time zone that the periods of the row count in.".into(), false);
        if self.has_twins() {
            let about = "Tells rows apart that Criteo sends under one key, such as a category named in one row and \
                         unknown in another; 1 for the first."
                .to_owned();
            push("row_number".into(), ColumnType::Integer, about, true);
        }
        columns
    }
}

/// What a state is bound to, in two halves with different consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Currency, zone and dimensions: when they change, old rows would stay beside new ones under other keys.
    pub keys: String,
    /// A hash of metrics and filters: when they change, rows read before keep their old columns.
    pub values: String,
}

/// The FNV-1a hash: small, and the same on every machine and in every release.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
