//! What each stream is about, and the group in which lists show it.

use crate::products::about::Group;

/// The groups in order, with their streams.
pub(in crate::products) const GROUPS: &[Group] = &[
    (
        "Account",
        &[
            ("application", "The app that the credentials belong to"),
            ("advertisers", "Advertisers that granted the app consent"),
        ],
    ),
    (
        "Campaigns",
        &[
            ("campaigns", "Campaigns with goal and spend limit"),
            ("ad_sets", "Ad sets with schedule, bidding, budget and targeting"),
            ("ad_set_category_bids", "Bids per product category of an ad set"),
            ("ad_set_display_multipliers", "Bid multipliers per environment of an ad set"),
        ],
    ),
    (
        "Creatives",
        &[
            ("ads", "Ads made through the API or in Commerce Growth"),
            ("creatives", "Creatives with format and status"),
            ("coupons", "Coupons with dates and images"),
            ("coupon_supported_sizes", "Image sizes that coupons of an ad set may have"),
        ],
    ),
    (
        "Audiences",
        &[
            ("audiences", "Audiences and the segments that they combine"),
            ("audience_segments", "Segments such as contact lists, visitors, similar users"),
            ("in_market_brands", "Brands for in-market segments, per country"),
            ("in_market_interests", "Interests for in-market segments, per country"),
            ("contact_list_statistics", "Size and match rate of contact lists"),
        ],
    ),
    (
        "Product sets",
        &[
            ("product_sets", "Sets of products with their rules"),
            ("product_filters", "Product sets that filter the products of an ad"),
            ("product_boosts", "Product sets whose products an ad shows more often"),
        ],
    ),
    (
        "Statistics",
        &[
            ("campaign_statistics_daily", "Clicks, displays, cost and sales per campaign and day"),
            ("ad_set_statistics_daily", "The same per ad set and day"),
            ("ad_set_statistics_hourly", "The same per ad set and hour"),
            ("ad_statistics_daily", "The same per ad and day"),
            ("device_statistics_daily", "The same per device, operating system and day"),
            ("category_statistics_daily", "The same per product category and day"),
            ("coupon_statistics_daily", "The same per coupon and day"),
            ("objective_statistics_daily", "The same per marketing objective, channel and day"),
            ("placements_daily", "Where ads were shown: sites and apps per day"),
            ("placement_categories_daily", "Where ads were shown: content categories per day"),
            ("transactions", "Sales that Criteo credits to ads, one row per event"),
            ("ad_level_statistics", "Statistics per ad, media channel and product"),
        ],
    ),
    (
        "Marketplaces",
        &[
            ("mpo_advertisers", "Marketplaces that the app can read"),
            ("mpo_preview_limits", "Ad previews left per marketplace"),
            ("mpo_campaigns", "Campaigns of marketplaces"),
            ("mpo_ad_sets", "Ad sets of marketplaces"),
            ("mpo_sellers", "Sellers of marketplaces"),
            ("mpo_seller_campaigns", "Campaigns of sellers with their bids"),
            ("mpo_budgets", "Budgets of sellers with spend so far"),
            ("mpo_campaign_statistics", "Clicks, displays, cost and sales per campaign"),
            ("mpo_seller_statistics", "The same per seller"),
            ("mpo_seller_campaign_statistics", "The same per campaign of a seller"),
        ],
    ),
    ("Log files", &[("log_level_events", "Every display, click and sale from Criteo's log files")]),
];
