//! The API's report endpoints and how they differ.

use crate::model::calendar::Grain;

/// The metrics of the totals check: additive, and final after two days.
pub const TOTAL_METRICS: [&str; 3] = ["Displays", "Clicks", "AdvertiserCost"];
/// Their names in the other reports, in the same order.
const PLACEMENT_TOTALS: [&str; 3] = ["Displays", "Clicks", "Cost"];
pub(crate) const AD_LEVEL_TOTALS: [&str; 3] = ["Impressions", "Clicks", "Spend"];
/// A report endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/statistics/report`: up to 100,000 rows, two years.
    Statistics,
    /// `/placements/report`: no time dimension, up to 20,000 rows, three months, without today.
    Placements,
    /// `/transactions/report`: one row per event, two years.
    Transactions,
    /// `/marketing-solutions/statistics-adlevel/report`: no time dimension, up to five advertisers per request.
    AdLevel,
    /// `/marketing-solutions/marketplace-performance-outcomes/stats/…`: one advertiser per request, up to a year, or up
    /// to 31 days if hourly.
    Marketplace(&'static str),
}

/// An interval of marketplace statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The value of `intervalSize`, in Criteo's spelling.
    pub name: &'static str,
    /// The period column.
    pub column: &'static str,
    /// The period that a window must not split.
    pub grain: Grain,
    /// The most days per request.
    pub most_days: u32,
}

impl Interval {
    /// Every interval of the API.
    pub const ALL: [Self; 4] = [
        Self { name: "Hour", column: "hour", grain: Grain::Day, most_days: 31 },
        Self { name: "Day", column: "day", grain: Grain::Day, most_days: 365 },
        Self { name: "Month", column: "month", grain: Grain::Month, most_days: 365 },
        Self { name: "Year", column: "year", grain: Grain::Year, most_days: 365 },
    ];

    /// The interval with this name; `Day` if the name is unknown.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|interval| interval.name == name).unwrap_or(Self::ALL[1])
    }
}

impl Endpoint {
    /// The names of displays, clicks and cost in this endpoint's reports.
    #[must_use]
    pub fn total_metrics(self) -> [&'static str; TOTAL_METRICS.len()] {
        match self {
            Self::Placements => PLACEMENT_TOTALS,
            Self::AdLevel => AD_LEVEL_TOTALS,
            Self::Statistics | Self::Transactions | Self::Marketplace(_) => TOTAL_METRICS,
        }
    }
}
