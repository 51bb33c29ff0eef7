//! What each stream is about, and the group in which lists show it.

use crate::products::about::Group;

/// The groups in order, with their streams.
pub(in crate::products) const GROUPS: &[Group] = &[
    (
        "Accounts",
        &[
            ("rm_current_application", "The app that the credentials belong to"),
            ("rm_accounts", "Accounts that granted the app consent"),
            ("rm_private_market_child_accounts", "Accounts below a retailer's private market account"),
            ("rm_account_fees", "Fee rates of accounts"),
            ("rm_account_sellers", "Sellers of seller accounts, per retailer"),
            ("rm_account_brands", "Brands of an account"),
        ],
    ),
    (
        "Retailers",
        &[
            ("rm_retailers", "Retailers that an account can advertise with"),
            ("rm_retailer_brands", "Brands that a retailer sells"),
            ("rm_categories", "Product categories of a retailer"),
            ("rm_retailer_pages", "Types of pages of a retailer that can show ads"),
            ("rm_creative_templates", "Templates for creatives on a retailer's pages"),
            ("rm_catalog_products", "Products that an account may promote, with price and stock"),
        ],
    ),
    (
        "Balances",
        &[
            ("rm_balances", "Balances with deposit, spend and remainder"),
            ("rm_balance_history", "Changes of balances"),
            ("rm_balance_campaigns", "Campaigns that spend a balance"),
            ("rm_partner_billing", "What a retailer bills per month and line item, with spend and credits"),
        ],
    ),
    (
        "Campaigns and line items",
        &[
            ("rm_campaigns", "Campaigns with budget and attribution"),
            ("rm_campaign_budget_overrides", "Budgets of a campaign for single days or months"),
            ("rm_line_items", "Line items of every kind, with common fields"),
            ("rm_auction_line_items", "Auction line items with bids and budgets"),
            ("rm_preferred_line_items", "Preferred line items with pages and creatives"),
            ("rm_line_item_budget_overrides", "Budgets of a line item for single days or months"),
            ("rm_promoted_products", "Products that a line item promotes, with bids"),
        ],
    ),
    (
        "Keywords and targeting",
        &[
            ("rm_keywords", "Keywords of an auction line item, with bids and match types"),
            ("rm_recommended_keywords", "Keywords that Criteo recommends for a line item"),
            ("rm_keywords_in_review", "Line items with keywords in review"),
            ("rm_bid_multipliers", "Bid multipliers of an auction line item"),
            ("rm_add_to_basket_targets", "Products whose buyers a preferred line item targets"),
            ("rm_audience_targets", "Audiences that a preferred line item targets"),
            ("rm_store_targets", "Stores that a preferred line item targets"),
        ],
    ),
    ("Creatives of accounts", &[("rm_creatives", "Creatives with template, format and status")]),
    (
        "Audiences of accounts",
        &[
            ("rm_audiences", "Audiences and the segments that they combine"),
            ("rm_audience_segments", "Segments such as contact lists and events"),
            ("rm_contact_list_statistics", "Size and match rate of contact lists"),
        ],
    ),
];
