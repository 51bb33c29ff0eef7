//! The table of streams. A stream is an entry here and a file in `schemas/`.

use crate::products::definition::{FixedReport, Kind, StreamDef, entity};
use crate::products::endpoint::{
    AD_LEVEL, MPO_CAMPAIGNS, MPO_SELLER_CAMPAIGNS, MPO_SELLERS, PLACEMENTS, ReportEndpoint, TRANSACTIONS,
};
use crate::products::fan_out::{
    AD_SET, ADVERTISER, CONTACT_LIST, COUNTRY, DATASET, MARKETPLACE_ADVERTISER, PRODUCT_SET,
};
use crate::products::{Permission, Placeholder, QueryParam, Request, Rest};

/// The metrics of built-in reports: only sums, so that rows can be added up.
const PRESET_METRICS: &[&str] = &[
    "Displays",
    "Clicks",
    "AdvertiserCost",
    "Visits",
    "SalesClientAttribution",
    "SalesPc30d",
    "SalesPc7d",
    "SalesPc1d",
    "SalesPv24h",
    "SalesPc30dPv24h",
    "RevenueGeneratedClientAttribution",
    "RevenueGeneratedPc30d",
    "RevenueGeneratedPc7d",
    "RevenueGeneratedPc1d",
    "RevenueGeneratedPv24h",
    "RevenueGeneratedPc30dPv24h",
    "SalesAllClientAttribution",
    "SalesAllPc30d",
    "RevenueGeneratedAllClientAttribution",
    "RevenueGeneratedAllPc30d",
];

const fn report(name: &'static str, schema: &'static str, dimensions: &'static [&'static str]) -> StreamDef {
    let kind = Kind::Report { dimensions, metrics: PRESET_METRICS };
    StreamDef { name, schema, permission: Permission::Analytics, kind }
}

macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../../../schemas/", $name, ".json"))
    };
}

/// `entity!(name, permission, path, request)`: an object stream; the schema file has its name.
macro_rules! entity {
    ($name:literal, $permission:ident, $path:literal, $request:expr) => {
        entity($name, schema!($name), Permission::$permission, $path, $request)
    };
}

/// `report!(name, dimensions…)`: built-in statistics; the schema file has their name.
macro_rules! report {
    ($name:literal, $($dimension:literal),+) => {
        report($name, schema!($name), &[$($dimension),+])
    };
}

/// `fixed_report!(name, permission, report)`: a report with fixed columns; the schema file has its name.
macro_rules! fixed_report {
    ($name:literal, $permission:ident, $small:expr) => {
        StreamDef {
            name: $name,
            schema: schema!($name),
            permission: Permission::$permission,
            kind: Kind::FixedReport($small),
        }
    };
}

/// The additive metrics of placements; ratios can be derived from them.
const PLACEMENT_METRICS: &[&str] =
    &["Clicks", "Displays", "Cost", "SalesPc30d", "RevenuePc30d", "SalesPv1d", "RevenuePv1d"];

const fn marketplace(endpoint: &'static ReportEndpoint, primary_key: &'static [&'static str]) -> FixedReport {
    FixedReport { endpoint, dimensions: &[], metrics: &[], primary_key, since: None }
}

/// The largest page that Criteo allows for audiences.
const PAGE: u32 = 100;
/// The page size elsewhere: Criteo's default, since no maximum is documented.
const DEFAULT_PAGE: u32 = 50;

use Placeholder::{AdSetId, AdvertiserId};
use Request::{Get, PagedGet, PagedSearch, Search};

/// The built-in streams, in reading order.
pub(crate) static STREAMS: &[StreamDef] = &[
    entity!("application", None, "marketing-solutions/me", Get).key(&["application_id"]),
    entity!("advertisers", None, "advertisers/me", Get),
    entity!("campaigns", Campaigns, "marketing-solutions/campaigns/search", Search),
    entity!("ad_sets", Campaigns, "marketing-solutions/ad-sets/search", Search),
    entity!("ad_set_category_bids", Campaigns, "marketing-solutions/ad-sets/{ad_set_id}/category-bids", Get)
        .each(&AD_SET, &[AdSetId, AdvertiserId])
        .key(&["ad_set_id", "id"]),
    entity!(
        "ad_set_display_multipliers",
        Campaigns,
        "marketing-solutions/ad-sets/{ad_set_id}/display-multipliers",
        Get
    )
    .each(&AD_SET, &[AdSetId, AdvertiserId])
    .key(&["ad_set_id", "id"]),
    entity!("ads", Creatives, "marketing-solutions/advertisers/{advertiser_id}/ads", PagedGet { limit: DEFAULT_PAGE })
        .each(&ADVERTISER, &[AdvertiserId]),
    entity!(
        "creatives",
        Creatives,
        "marketing-solutions/advertisers/{advertiser_id}/creatives",
        PagedGet { limit: DEFAULT_PAGE }
    )
    .each(&ADVERTISER, &[AdvertiserId]),
    entity!(
        "coupons",
        Creatives,
        "marketing-solutions/advertisers/{advertiser_id}/coupons",
        PagedGet { limit: DEFAULT_PAGE }
    )
    .each(&ADVERTISER, &[AdvertiserId]),
    entity!(
        "coupon_supported_sizes",
        Creatives,
        "marketing-solutions/advertisers/{advertiser_id}/coupons-supported-sizes",
        Get
    )
    .each(&AD_SET, &[AdSetId, AdvertiserId])
    .query(&[QueryParam::Of("ad-set-id", AdSetId)])
    .key(&["advertiser_id", "ad_set_id"]),
    entity!(
        "audiences",
        Audiences,
        "marketing-solutions/audiences/search",
        PagedSearch { resource: "AudienceSearch", limit: PAGE }
    )
    .updates(),
    entity!(
        "audience_segments",
        Audiences,
        "marketing-solutions/audience-segments/search",
        PagedSearch { resource: "AudienceSegmentSearch", limit: PAGE }
    )
    .updates(),
    entity!("in_market_brands", Audiences, "marketing-solutions/audience-segments/in-market-brands", Get)
        .each(&COUNTRY, &[AdvertiserId, Placeholder::Country])
        .query(&[QueryParam::Of("advertiser-id", AdvertiserId), QueryParam::Of("country", Placeholder::Country)])
        .key(&["advertiser_id", "country", "id"]),
    entity!("in_market_interests", Audiences, "marketing-solutions/audience-segments/in-market-interests", Get)
        .each(&COUNTRY, &[AdvertiserId, Placeholder::Country])
        .query(&[QueryParam::Of("advertiser-id", AdvertiserId), QueryParam::Of("country", Placeholder::Country)])
        .key(&["advertiser_id", "country", "id"]),
    entity!(
        "contact_list_statistics",
        Audiences,
        "marketing-solutions/audience-segments/{segment_id}/contact-list/statistics",
        Get
    )
    .each(&CONTACT_LIST, &[]),
    entity!("product_sets", Recommendations, "marketing-solutions/product-sets/dataset/{dataset_id}", Get)
        .each(&DATASET, &[]),
    entity!(
        "product_filters",
        Recommendations,
        "marketing-solutions/product-sets/{product_set_id}/product-filters",
        Get
    )
    .each(&PRODUCT_SET, &[])
    .key(&["product_set_id", "ad_id"]),
    entity!("product_boosts", Recommendations, "marketing-solutions/dataset/{dataset_id}/product-boost", Get)
        .each(&DATASET, &[Placeholder::DatasetId])
        .key(&["product_set_id", "ad_id"])
        .since("2026-07"),
    entity!("mpo_advertisers", Campaigns, "marketing-solutions/marketplace-performance-outcomes/advertisers", Get),
    entity!(
        "mpo_preview_limits",
        Campaigns,
        "marketing-solutions/marketplace-performance-outcomes/advertisers/preview-limit",
        Get
    )
    .key(&["advertiser_id"]),
    entity!(
        "mpo_campaigns",
        Campaigns,
        "marketing-solutions/marketplace-performance-outcomes/advertisers/{advertiser_id}/campaigns",
        Get
    )
    .each(&MARKETPLACE_ADVERTISER, &[AdvertiserId]),
    entity!(
        "mpo_ad_sets",
        Campaigns,
        "marketing-solutions/marketplace-performance-outcomes/advertisers/{advertiser_id}/adsets",
        Get
    )
    .each(&MARKETPLACE_ADVERTISER, &[])
    .key(&["ad_set_id"]),
    entity!("mpo_sellers", Campaigns, "marketing-solutions/marketplace-performance-outcomes/sellers", Get)
        .each(&MARKETPLACE_ADVERTISER, &[AdvertiserId])
        .query(&[QueryParam::Of("advertiserId", AdvertiserId)])
        .key(&["advertiser_id", "id"]),
    entity!(
        "mpo_seller_campaigns",
        Campaigns,
        "marketing-solutions/marketplace-performance-outcomes/advertisers/{advertiser_id}/seller-campaigns",
        Get
    )
    .each(&MARKETPLACE_ADVERTISER, &[AdvertiserId]),
    // Criteo returns finished budgets only with `endAfterDate`, and then excludes spend after that date from `spend`.
    // So a second request fetches them, with unknown spend. `withSpend` and the like are filters and would lose rows.
    entity!(
        "mpo_budgets",
        Campaigns,
        "marketing-solutions/marketplace-performance-outcomes/advertisers/{advertiser_id}/budgets",
        Get
    )
    .each(&MARKETPLACE_ADVERTISER, &[AdvertiserId])
    .rest(Rest { query: &[QueryParam::Fixed("endAfterDate", "2000-01-01")], unknown: &["spend"] }),
    // new-stream: a line per stream
    report!("campaign_statistics_daily", "AdvertiserId", "CampaignId", "Day"),
    report!("ad_set_statistics_daily", "AdvertiserId", "CampaignId", "AdsetId", "Day"),
    report!("ad_set_statistics_hourly", "AdvertiserId", "CampaignId", "AdsetId", "Hour", "Day"),
    report!("ad_statistics_daily", "AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"),
    report!("device_statistics_daily", "AdvertiserId", "CampaignId", "AdsetId", "Device", "Os", "Day"),
    report!("category_statistics_daily", "AdvertiserId", "CampaignId", "AdsetId", "CategoryId", "Day"),
    report!("coupon_statistics_daily", "AdvertiserId", "CampaignId", "AdsetId", "CouponId", "Day"),
    report!("objective_statistics_daily", "AdvertiserId", "CampaignId", "MarketingObjectiveId", "ChannelId", "Day"),
    fixed_report!(
        "placements_daily",
        Analytics,
        FixedReport {
            endpoint: &PLACEMENTS,
            dimensions: &[
                "AdvertiserId",
                "AdvertiserName",
                "CampaignId",
                "CampaignName",
                "AdsetId",
                "AdsetName",
                "Environment",
                "Placement",
            ],
            metrics: PLACEMENT_METRICS,
            primary_key: &["advertiser_id", "campaign_id", "ad_set_id", "environment", "placement", "day", "currency"],
            since: None,
        }
    ),
    fixed_report!(
        "placement_categories_daily",
        Analytics,
        FixedReport {
            endpoint: &PLACEMENTS,
            dimensions: &[
                "AdvertiserId",
                "AdvertiserName",
                "CampaignId",
                "CampaignName",
                "AdsetId",
                "AdsetName",
                "Environment",
                "CategoryId",
                "CategoryName",
            ],
            metrics: PLACEMENT_METRICS,
            primary_key: &[
                "advertiser_id",
                "campaign_id",
                "ad_set_id",
                "environment",
                "category_id",
                "day",
                "currency",
                "row_number"
            ],
            since: None,
        }
    ),
    fixed_report!(
        "transactions",
        Analytics,
        FixedReport {
            endpoint: &TRANSACTIONS,
            dimensions: &[],
            metrics: &[],
            primary_key: &["advertiser_id", "transaction_id", "event_type", "transaction_date", "row_number"],
            since: None,
        }
    ),
    fixed_report!(
        "ad_level_statistics",
        Analytics,
        FixedReport {
            endpoint: &AD_LEVEL,
            dimensions: &[
                "AdvertiserId",
                "AdvertiserName",
                "AdsetId",
                "AdsetName",
                "MediaChannel",
                "Platform",
                "AdGroupName",
                "ProductId",
                "AdId",
            ],
            metrics: &[
                "Impressions",
                "Clicks",
                "Spend",
                "AdGroupContextHint",
                "AdGroupDescription",
                "ProductName",
                "AdTitle",
                "AdCopy",
            ],
            primary_key: &[
                "advertiser_id",
                "ad_set_id",
                "media_channel",
                "platform",
                "ad_group_name",
                "product_id",
                "ad_id",
                "day",
            ],
            since: Some("2027-01"),
        }
    ),
    fixed_report!("mpo_campaign_statistics", Campaigns, marketplace(&MPO_CAMPAIGNS, &["advertiser_id", "campaign_id"])),
    fixed_report!("mpo_seller_statistics", Campaigns, marketplace(&MPO_SELLERS, &["advertiser_id", "seller_id"])),
    fixed_report!(
        "mpo_seller_campaign_statistics",
        Campaigns,
        marketplace(&MPO_SELLER_CAMPAIGNS, &["advertiser_id", "seller_id", "campaign_id"])
    ),
    StreamDef {
        name: "log_level_events",
        schema: schema!("log_level_events"),
        permission: Permission::Analytics,
        kind: Kind::LogLevel,
    },
];

/// According to the `OpenAPI` documents of `preview` and `experimental`.
pub(crate) const NOT_IN_PREVIEW: &[&str] = &[
    "ads",
    "creatives",
    "coupons",
    "coupon_supported_sizes",
    "product_sets",
    "product_filters",
    "mpo_advertisers",
    "mpo_preview_limits",
    "mpo_campaigns",
    "mpo_ad_sets",
    "mpo_sellers",
    "mpo_seller_campaigns",
    "mpo_budgets",
    "mpo_campaign_statistics",
    "mpo_seller_statistics",
    "mpo_seller_campaign_statistics",
    "ad_level_statistics",
];
