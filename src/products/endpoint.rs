//! Criteo's endpoints for reports, as data: nothing else knows a report by its name.

use crate::model::calendar::Grain;

/// The metrics whose sums prove that a report is complete: additive, and settled after two days.
pub const TOTAL_METRICS: [&str; 3] = ["Displays", "Clicks", "AdvertiserCost"];

/// How far back Criteo keeps statistics, in days (two years, `OpenAPI` document).
pub const HISTORY_DAYS: u32 = 730;
/// The most rows Criteo returns per request (developers.criteo.com, Analytics).
pub const ROW_CAP: u64 = 100_000;
/// How long Criteo may credit a sale to a click: its widest attribution window, in days.
pub const WIDEST_ATTRIBUTION_DAYS: u32 = 30;
/// How many days are read again if no metric is credited to clicks or views.
pub const SETTLING_DAYS: u32 = 3;

/// Everything that distinguishes an endpoint for reports.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about an endpoint")]
pub struct ReportEndpoint {
    /// The path below the version.
    pub path: &'static str,
    /// How the query is sent.
    pub body: BodyForm,
    /// How the advertisers are sent.
    pub scope: ScopeForm,
    /// The most advertisers of one request.
    pub max_advertisers: usize,
    /// Whether only the advertisers of `mpo_advertisers` have this report.
    pub is_marketplace: bool,
    /// The filters that the query may have.
    pub filters: &'static [Filter],
    /// Whether dimensions and metrics are requested.
    pub selects_columns: bool,
    /// Whether a request can do without metrics.
    pub allows_no_metrics: bool,
    /// Whether metrics may be text, which needs dimensions of its own.
    pub has_text_metrics: bool,
    /// Whether a currency is requested; else money is in the advertiser's.
    pub has_currency: bool,
    /// Whether rows name their period; if not, each day needs its own request.
    pub has_time: bool,
    /// The column of the period, unless the interval of the configuration names another.
    pub cursor: &'static str,
    /// A second column with an instant of the row.
    pub event_column: Option<&'static str>,
    /// The number of rows at which Criteo cuts a response; `None` if it documents none.
    pub row_cap: Option<u64>,
    /// How far back Criteo keeps it, in days.
    pub history_days: u32,
    /// Whether Criteo documents that.
    pub is_history_documented: bool,
    /// Whether all of it takes too many requests, so that only some weeks are read by default.
    pub is_costly: bool,
    /// The most days of one request.
    pub max_days: u32,
    /// How many days before the cursor Criteo may still change.
    pub lookback: Lookback,
    /// The names of displays, clicks and cost.
    pub totals: [&'static str; TOTAL_METRICS.len()],
    /// Fixed columns that are quotients, such as the cost of an order.
    pub ratios: &'static [&'static str],
    /// Whether Criteo's totals can be requested for the same windows.
    pub has_totals: bool,
    /// Which metrics can be added up over rows.
    pub additive: Additive,
    /// What to do if a single day of one advertiser is too large.
    pub advice: &'static str,
}

/// How a query is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// As the body.
    Flat,
    /// As `data[0].attributes` of this type.
    InList(&'static str),
    /// As `data.attributes` of this type.
    InObject(&'static str),
    /// As parameters of a `GET`.
    Parameters,
}

/// How advertisers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeForm {
    /// One string with commas.
    Text,
    /// A list.
    List,
}

/// A filter, with its name in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Ad sets, as a list.
    AdSets(&'static str),
    /// Ad sets, as one string with commas.
    AdSetsText(&'static str),
    /// Names of ad sets.
    AdSetNames(&'static str),
    /// Status of ad sets.
    AdSetStatus(&'static str),
    /// Disclosed or undisclosed placements.
    Disclosed(&'static str),
    /// One environment of placements.
    Environment(&'static str),
    /// Transactions of clicks or of displays.
    EventType(&'static str),
}

/// How many days before the cursor are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookback {
    /// As many as the selected metrics need.
    OfMetrics,
    /// This many.
    Days(u32),
}

/// Which metrics can be added up over rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Additive {
    /// Those that the table of metrics says.
    ByMetric,
    /// All that the connector requests.
    All,
    /// Displays, clicks and cost.
    Totals,
}

/// Up to 100,000 rows, two years.
pub static STATISTICS: ReportEndpoint = DEFAULT;

const DEFAULT: ReportEndpoint = ReportEndpoint {
    path: "statistics/report",
    body: BodyForm::Flat,
    scope: ScopeForm::Text,
    max_advertisers: usize::MAX,
    is_marketplace: false,
    filters: &[Filter::AdSets("adSetIds"), Filter::AdSetNames("adSetNames"), Filter::AdSetStatus("adSetStatus")],
    selects_columns: true,
    allows_no_metrics: true,
    has_text_metrics: false,
    has_currency: true,
    has_time: true,
    cursor: "day",
    event_column: None,
    row_cap: Some(ROW_CAP),
    history_days: HISTORY_DAYS,
    is_history_documented: true,
    is_costly: false,
    max_days: u32::MAX,
    lookback: Lookback::OfMetrics,
    totals: TOTAL_METRICS,
    ratios: &[],
    has_totals: true,
    additive: Additive::ByMetric,
    advice: "Deselect the stream, or use a custom report with fewer dimensions.",
};

/// Up to 20,000 rows, three months, nothing of today.
pub static PLACEMENTS: ReportEndpoint = ReportEndpoint {
    path: "placements/report",
    body: BodyForm::InList("Report"),
    filters: &[Filter::AdSetsText("adsetIds"), Filter::Disclosed("disclosed"), Filter::Environment("environment")],
    allows_no_metrics: false,
    has_time: false,
    row_cap: Some(20_000),
    history_days: 90,
    max_days: 1,
    lookback: Lookback::Days(WIDEST_ATTRIBUTION_DAYS),
    totals: ["Displays", "Clicks", "Cost"],
    has_totals: false,
    additive: Additive::All,
    advice: "Deselect the stream.",
    ..DEFAULT
};

/// One row per event, two years.
pub static TRANSACTIONS: ReportEndpoint = ReportEndpoint {
    path: "transactions/report",
    body: BodyForm::InList("Report"),
    filters: &[Filter::EventType("eventType")],
    selects_columns: false,
    allows_no_metrics: false,
    cursor: "transaction_date",
    event_column: Some("event_date"),
    // In case Criteo selects by the click or view: an order may follow 30 days later, and be reported some days after.
    lookback: Lookback::Days(WIDEST_ATTRIBUTION_DAYS + SETTLING_DAYS),
    has_totals: false,
    additive: Additive::Totals,
    advice: "Read only clicks or only displays (transactions_event_type).",
    ..DEFAULT
};

/// Up to five advertisers per request.
pub static AD_LEVEL: ReportEndpoint = ReportEndpoint {
    path: "marketing-solutions/statistics-adlevel/report",
    body: BodyForm::InObject("AdLevelReportQuery"),
    scope: ScopeForm::List,
    max_advertisers: 5,
    filters: &[Filter::AdSets("adsetIds")],
    allows_no_metrics: false,
    has_text_metrics: true,
    has_currency: false,
    has_time: false,
    is_history_documented: false,
    is_costly: true,
    max_days: 1,
    lookback: Lookback::Days(WIDEST_ATTRIBUTION_DAYS),
    totals: ["Impressions", "Clicks", "Spend"],
    has_totals: false,
    additive: Additive::Totals,
    advice: "Deselect the stream.",
    ..DEFAULT
};

/// One advertiser per request; up to a year, or up to 31 days by the hour.
const MARKETPLACE: ReportEndpoint = ReportEndpoint {
    body: BodyForm::Parameters,
    max_advertisers: 1,
    is_marketplace: true,
    filters: &[],
    selects_columns: false,
    allows_no_metrics: false,
    has_currency: false,
    row_cap: None,
    is_history_documented: false,
    lookback: Lookback::Days(WIDEST_ATTRIBUTION_DAYS),
    ratios: &["cr", "cpo", "cos", "roas", "cr_same_seller", "cpo_same_seller", "cos_same_seller", "roas_same_seller"],
    has_totals: false,
    additive: Additive::Totals,
    advice: "Deselect the stream.",
    ..DEFAULT
};

/// Marketplace statistics by campaign.
pub static MPO_CAMPAIGNS: ReportEndpoint =
    ReportEndpoint { path: "marketing-solutions/marketplace-performance-outcomes/stats/campaigns", ..MARKETPLACE };
/// Marketplace statistics by seller.
pub static MPO_SELLERS: ReportEndpoint =
    ReportEndpoint { path: "marketing-solutions/marketplace-performance-outcomes/stats/sellers", ..MARKETPLACE };
/// Marketplace statistics by seller and campaign.
pub static MPO_SELLER_CAMPAIGNS: ReportEndpoint = ReportEndpoint {
    path: "marketing-solutions/marketplace-performance-outcomes/stats/seller-campaigns",
    ..MARKETPLACE
};

impl ReportEndpoint {
    /// Method and path.
    #[must_use]
    pub fn operation(&self) -> String {
        let method = if self.body == BodyForm::Parameters { "GET" } else { "POST" };
        format!("{method} {}", self.path)
    }
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
