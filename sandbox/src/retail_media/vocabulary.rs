//! Dimensions and metrics of reports, from the enums of the `OpenAPI` documents of 2026-07 and 2027-01.

/// One line per report and list.
const REPORTS: &str = include_str!("reports.txt");

/// A report of Retail Media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Performance,
    MissedOpportunities,
    Transactions,
    Revenue,
    FillRate,
    Unfilled,
    SyncCampaigns,
    SyncLineItems,
    SyncTransactions,
    RealTime,
}

impl Report {
    /// The report of a path after `reports/`.
    pub(crate) fn of_path(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["performance"] => Self::Performance,
            ["missed-opportunities"] => Self::MissedOpportunities,
            ["attributed-transactions"] => Self::Transactions,
            ["revenue"] => Self::Revenue,
            ["fillrate"] => Self::FillRate,
            ["unfilled-placements"] => Self::Unfilled,
            ["sync", "campaigns"] => Self::SyncCampaigns,
            ["sync", "line-items"] => Self::SyncLineItems,
            ["sync", "attributed-transactions"] => Self::SyncTransactions,
            ["sync", "real-time-performance"] => Self::RealTime,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::MissedOpportunities => "missed_opportunities",
            Self::Transactions => "attributed_transactions",
            Self::Revenue => "revenue",
            Self::FillRate => "fill_rate",
            Self::Unfilled => "unfilled_placements",
            Self::SyncCampaigns => "sync_campaigns",
            Self::SyncLineItems => "sync_line_items",
            Self::SyncTransactions => "sync_attributed_transactions",
            Self::RealTime => "sync_real_time_performance",
        }
    }

    /// The report of a name in `POST /truth`.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [
            Self::Performance,
            Self::MissedOpportunities,
            Self::Transactions,
            Self::Revenue,
            Self::FillRate,
            Self::Unfilled,
            Self::SyncCampaigns,
            Self::SyncLineItems,
            Self::SyncTransactions,
            Self::RealTime,
        ]
        .into_iter()
        .find(|report| report.name() == name)
    }

    fn list(self, what: &str) -> Vec<&'static str> {
        let prefix = format!("{} {what} ", self.name());
        let line = REPORTS.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        line.unwrap_or_default().split(' ').filter(|name| !name.is_empty()).collect()
    }

    pub(crate) fn dimensions(self) -> Vec<&'static str> {
        self.list("dimensions")
    }

    pub(crate) fn metrics(self) -> Vec<&'static str> {
        self.list("metrics")
    }

    /// Whether supply accounts request it.
    pub(crate) fn is_of_supply(self) -> bool {
        matches!(self, Self::Revenue | Self::FillRate | Self::Unfilled)
    }

    /// Whether it counts placements instead of line items.
    pub(crate) fn is_of_placements(self) -> bool {
        matches!(self, Self::FillRate | Self::Unfilled)
    }

    pub(crate) fn is_of_transactions(self) -> bool {
        matches!(self, Self::Transactions | Self::SyncTransactions)
    }

    pub(crate) fn is_synchronous(self) -> bool {
        matches!(self, Self::SyncCampaigns | Self::SyncLineItems | Self::SyncTransactions | Self::RealTime)
    }

    /// The format of an output without `format`.
    pub(crate) fn usual_format(self) -> &'static str {
        if self.is_of_supply() { "json" } else { "json-compact" }
    }
}

/// How a metric is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Count,
    Money,
    /// Numerator, denominator and factor.
    Ratio(&'static str, &'static str, i128),
    /// People, counted once.
    People,
    /// Number of distinct campaigns, line items or products.
    Distinct(&'static str),
    /// An hour without budget, or none.
    Hour,
    Flag,
}

/// How a metric is computed, by its name.
pub(crate) fn measure(metric: &str) -> Measure {
    match metric {
        "spend"
        | "totalSpend"
        | "attributedSales"
        | "assistedSales"
        | "newToBrandAttributedSales"
        | "sales"
        | "revenue"
        | "openAuctionRevenue"
        | "preferredDealsRevenue"
        | "workingMedia"
        | "netRevenue"
        | "placementImpressionsRevenue"
        | "productClicksRevenue"
        | "missedSpend"
        | "missedSales" => Measure::Money,
        "ctr" => Measure::Ratio("clicks", "impressions", 1),
        "cpc" | "videoCPC" => Measure::Ratio("spend", "clicks", 1),
        "cpo" => Measure::Ratio("spend", "attributedOrders", 1),
        "cpm" => Measure::Ratio("spend", "impressions", 1_000),
        "roas" => Measure::Ratio("attributedSales", "spend", 1),
        "videoCPCV" => Measure::Ratio("spend", "videosPlayedTo100", 1),
        "videoPlayingRate" => Measure::Ratio("videoViews", "videosStarted", 1),
        "videoCompletionRate" => Measure::Ratio("videosPlayedTo100", "videosStarted", 1),
        "videoAvgInteractionRate" => Measure::Ratio("videoPaused", "videosStarted", 1),
        "videoViewability" => Measure::Ratio("videoViews", "videoImpressions", 1),
        "videoStartingRate" => Measure::Ratio("videosStarted", "videoImpressions", 1),
        "newToBrandAttributedSalesRate" => Measure::Ratio("newToBrandAttributedSales", "attributedSales", 1),
        "newToBrandAttributedUnitsRate" => Measure::Ratio("newToBrandAttributedUnits", "attributedUnits", 1),
        "frequency" => Measure::Ratio("impressions", "uniqueVisitors", 1),
        "winRate" => Measure::Ratio("sampledBidsWon", "sampledBidsParticipated", 1),
        "cr" => Measure::Ratio("transactions", "clicks", 1),
        "skuPrice" => Measure::Ratio("sales", "units", 1),
        "fillRate" => Measure::Ratio("placementImpressions", "availablePlacements", 1),
        "placementImpressionsCTR" => Measure::Ratio("placementClicks", "placementImpressions", 1),
        "productImpressionsCTR" => Measure::Ratio("productClicks", "productImpressions", 1),
        "coverageRate" => Measure::Ratio("coveredPlacements", "deliverablePlacements", 1),
        "missedTraffic" => Measure::Ratio("missedClicks", "clicks", 1),
        "uniqueVisitors" => Measure::People,
        "numberOfCampaigns" => Measure::Distinct("campaignId"),
        "numberOfLineItems" => Measure::Distinct("lineItemId"),
        "numberOfSkus" => Measure::Distinct("productId"),
        "capoutHour" => Measure::Hour,
        "daypartingScheduled" => Measure::Flag,
        _ => Measure::Count,
    }
}

/// The dimension that an older or synchronous name means; names of transactions differ.
pub(crate) fn canonical(report: Report, name: &str) -> &str {
    match name {
        "campaignTypeName" => "campaignType",
        "pageTypeName" => "pageType",
        "creativeTypeName" => "creativeType",
        "advDate" => "advertisedDate",
        "advHour" => "advertisedHour",
        "advEngagement" => "advertisedEngagement",
        "advToPurchasedProductRelationship" => "advertisedToPurchasedProductRelationship",
        "advProductGtin" | "advertisedProductGtin" => "productGtin",
        "advProductMpn" | "advertisedProductMpn" => "productMpn",
        "advProductId" | "advertisedProductId" => "productId",
        "advProductName" | "advertisedProductName" => "productName",
        "advProductCategory" | "advertisedProductCategory" => "productCategory",
        "purchasedDate" => "date",
        "purchasedHour" => "hour",
        "saleChannel" => "salesChannel",
        _ if report == Report::Revenue && name == "retailerCategoryId" => "servedCategoryId",
        _ => name,
    }
}
