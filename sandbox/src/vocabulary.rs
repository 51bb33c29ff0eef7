//! The names of `/statistics/report`, from the enums of the `OpenAPI` document of 2026-07.

/// The 227 metrics, one per line.
const METRICS: &str = include_str!("metrics.txt");

/// A dimension of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Advertiser,
    Campaign,
    AdSet,
    Ad,
    Category,
    Coupon,
    Objective,
    Channel,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Os,
    Device,
    Goal,
    AdChannel,
    SocialPlatform,
}

/// A dimension by its id or name, which are the same dimension.
pub(crate) fn dimension(name: &str) -> Option<Dimension> {
    Some(match name {
        "AdvertiserId" | "Advertiser" => Dimension::Advertiser,
        "CampaignId" | "Campaign" => Dimension::Campaign,
        "AdsetId" | "Adset" => Dimension::AdSet,
        "AdId" | "Ad" => Dimension::Ad,
        "CategoryId" | "Category" => Dimension::Category,
        "CouponId" | "Coupon" => Dimension::Coupon,
        "MarketingObjectiveId" | "MarketingObjective" => Dimension::Objective,
        "ChannelId" | "Channel" => Dimension::Channel,
        "Hour" => Dimension::Hour,
        "Day" => Dimension::Day,
        "Week" => Dimension::Week,
        "Month" => Dimension::Month,
        "Year" => Dimension::Year,
        "Os" => Dimension::Os,
        "Device" => Dimension::Device,
        "Goal" => Dimension::Goal,
        "AdChannel" => Dimension::AdChannel,
        "SocialPlatform" => Dimension::SocialPlatform,
        _ => return None,
    })
}

impl Dimension {
    pub(crate) fn is_period(self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month | Self::Year)
    }

    /// The members of a row: both halves of a pair, whichever was requested.
    pub(crate) fn members(self) -> &'static [&'static str] {
        match self {
            Self::Advertiser => &["AdvertiserId", "Advertiser"],
            Self::Campaign => &["CampaignId", "Campaign"],
            Self::AdSet => &["AdsetId", "Adset"],
            Self::Ad => &["AdId", "Ad"],
            Self::Category => &["CategoryId", "Category"],
            Self::Coupon => &["CouponId", "Coupon"],
            Self::Objective => &["MarketingObjectiveId", "MarketingObjective"],
            Self::Channel => &["ChannelId", "Channel"],
            Self::Hour => &["Hour"],
            Self::Day => &["Day"],
            Self::Week => &["Week"],
            Self::Month => &["Month"],
            Self::Year => &["Year"],
            Self::Os => &["Os"],
            Self::Device => &["Device"],
            Self::Goal => &["Goal"],
            Self::AdChannel => &["AdChannel"],
            Self::SocialPlatform => &["SocialPlatform"],
        }
    }
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Integers up to this.
    Count(u64),
    /// Money, in millionths of the currency's unit.
    Money,
    /// A quotient of two sums, not additive.
    Ratio,
    /// A string.
    Word,
}

/// A known metric's type.
pub(crate) fn measure(metric: &str) -> Option<Measure> {
    METRICS.lines().any(|known| known == metric).then(|| {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| metric.starts_with(prefix));
        let is_ratio = metric == "Cos"
            || starts(&[
                "Roas",
                "ReturnOn",
                "OmnichannelRoas",
                "PostInstallRoas",
                "ECos",
                "CostOf",
                "CostPer",
                "AverageCart",
            ])
            || starts(&[
                "PostInstallCost",
                "ConversionRate",
                "PostInstallConversionRate",
                "ClickThroughRate",
                "BounceRate",
            ])
            || starts(&["InstallRate", "VideoStartRate", "VideoCompletionRate", "VideoAverageViewRate", "VideoCp"])
            || starts(&["OverallCompetitionWin", "Reach", "Frequency", "Cpc", "ECpc", "ECpm"]);
        let is_money =
            starts(&["AdvertiserCost", "Revenue", "OmnichannelRevenue", "OrderValue", "PostInstallOrderValue"])
                || starts(&[
                    "AdvertiserValue",
                    "AdvertiserAllValue",
                    "RetailerMargin",
                    "PlatformFee",
                    "AllInMedia",
                    "NetMedia",
                ]);
        if metric == "ResultType" {
            Measure::Word
        } else if is_ratio {
            Measure::Ratio
        } else if is_money {
            Measure::Money
        } else if starts(&["Sales", "OmnichannelSales", "PostInstallSales", "AppInstalls"]) {
            Measure::Count(9)
        } else if starts(&["Clicks", "InvalidClicks", "Audience", "ExposedUsers", "PotentialUsers"]) {
            Measure::Count(120)
        } else {
            Measure::Count(5_000)
        }
    })
}
