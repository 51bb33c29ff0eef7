//! Criteo's endpoints for reports, with what is peculiar to each.

use super::metrics::Grain;

/// The metrics whose sums prove that a report is complete: additive, and settled after two days.
pub const TOTAL_METRICS: [&str; 3] = ["Displays", "Clicks", "AdvertiserCost"];
/// Their names in the other reports, in the same order.
const PLACEMENT_TOTALS: [&str; 3] = ["Displays", "Clicks", "Cost"];
pub(super) const AD_LEVEL_TOTALS: [&str; 3] = ["Impressions", "Clicks", "Spend"];
/// An endpoint for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/statistics/report`: up to 100,000 rows, two years.
    Statistics,
    /// `/placements/report`: no dimension of time, up to 20,000 rows, three months, nothing of today.
    Placements,
    /// `/transactions/report`: a row an event, two years.
    Transactions,
    /// `/marketing-solutions/statistics-adlevel/report`: no dimension of time, up to five advertisers at once.
    AdLevel,
    /// `/marketing-solutions/marketplace-performance-outcomes/stats/…`: one advertiser at once, up to a year, or up to 31
    /// days by the hour.
    Marketplace(&'static str),
}

/// The interval of marketplace statistics, in Criteo's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The value of `intervalSize`.
    pub name: &'static str,
    /// The column of the period.
    pub column: &'static str,
    /// The period that windows may not cut.
    pub grain: Grain,
    /// The most days of one request.
    pub most_days: u32,
}

impl Interval {
    /// The intervals that Criteo knows.
    pub const ALL: [Self; 4] = [
        Self { name: "Hour", column: "hour", grain: Grain::Day, most_days: 31 },
        Self { name: "Day", column: "day", grain: Grain::Day, most_days: 365 },
        Self { name: "Month", column: "month", grain: Grain::Month, most_days: 365 },
        Self { name: "Year", column: "year", grain: Grain::Year, most_days: 365 },
    ];

    /// An interval by its name; days where the name is unknown.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|interval| interval.name == name).unwrap_or(Self::ALL[1])
    }
}

impl Endpoint {
    /// The names of displays, clicks and cost in its reports.
    #[must_use]
    pub fn total_metrics(self) -> [&'static str; TOTAL_METRICS.len()] {
        match self {
            Self::Placements => PLACEMENT_TOTALS,
            Self::AdLevel => AD_LEVEL_TOTALS,
            Self::Statistics | Self::Transactions | Self::Marketplace(_) => TOTAL_METRICS,
        }
    }
}
