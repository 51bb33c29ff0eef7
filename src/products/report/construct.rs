//! Makes a report of dimensions, metrics and options.

use std::sync::Arc;

use chrono_tz::Tz;

use crate::model::calendar::Grain;
use crate::model::ids::Currency;
use crate::products::endpoint::{Filter, HISTORY_DAYS, ReportEndpoint, STATISTICS};
use crate::products::marketing::metrics;
use crate::products::report::{CustomReport, Filters, Report, ReportOptions};

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
}
