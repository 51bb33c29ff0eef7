//! The table of streams, by Criteo's `OpenAPI` documents of 2026-07 and 2027-01. A stream is an entry here and a file in
//! `schemas/`.

use crate::products::definition::{StreamDef, entity};
use crate::products::retail_media::parents::{
    ACCOUNT, AUCTION_LINE_ITEM, BALANCE, BILLING, CAMPAIGN, CATALOG, CONTACT_LIST, LINE_ITEM, PREFERRED_LINE_ITEM,
    RETAILER, SUPPLY_ACCOUNT,
};
use crate::products::{ListOfRows, Permission, Placeholder, QueryParam, Request, RowsOf};

/// Objects per numbered page. No maximum is documented, and a server that sends fewer is followed.
const PAGE: u32 = 500;
/// The largest page of most lists with offsets.
const LARGEST: u32 = 500;
/// The largest page of brands.
const BRANDS: u32 = 100;
/// The largest page of keywords in review.
const REVIEWS: u32 = 50;
/// The largest page of retailers.
const RETAILERS: u32 = 10;
/// The most accounts whose sellers one request may list.
const SELLERS_OF: usize = 25;

const PAGES: Request = Request::NumberedPages { size: PAGE };
const OFFSETS: Request = Request::PagedGet { limit: LARGEST };

const fn search(resource: &'static str, limit: u32) -> Request {
    Request::Post { resource, limit: Some(limit), numbers: &[] }
}

const fn overrides(
    member: &'static str,
    period: &'static [(&'static str, &'static str)],
    renamed: &'static [(&'static str, &'static str)],
) -> ListOfRows {
    ListOfRows { member, is_required: true, text: None, constants: period, repeated: &[], renamed }
}

const DAILY: &[(&str, &str)] = &[("period", "daily")];
const MONTHLY: &[(&str, &str)] = &[("period", "monthly")];
const OF_DAYS: &[(&str, &str)] = &[("startDate", "start"), ("maxDailySpend", "amount")];
const OF_MONTHS: &[(&str, &str)] = &[("startMonth", "start"), ("maxMonthlySpend", "amount")];

const fn texts(member: &'static str, is_required: bool, text: &'static str) -> ListOfRows {
    ListOfRows { member, is_required, text: Some(text), constants: &[], repeated: &[], renamed: &[] }
}

/// The columns of a bill that Criteo's guide names.
const BILLED: &[&str] = &[
    "account_id",
    "account_name",
    "account_category",
    "account_service",
    "account_currency_code",
    "is_unbillable",
    "budget_model",
    "origin",
    "origin_id",
    "retailer_name",
    "balance_id",
    "balance_name",
    "balance_start_date",
    "purchase_order",
    "private_market_payment_option",
    "campaign_id",
    "campaign_name",
    "campaign_type",
    "buy_type",
    "line_item_id",
    "line_item_name",
    "working_media_spend",
    "credit_spend",
    "value_add_spend",
];

/// `entity!(name, permission, path, request)`: an object stream; the schema file has its name.
macro_rules! entity {
    ($name:literal, $permission:ident, $path:literal, $request:expr) => {
        entity(
            $name,
            include_str!(concat!("../../../schemas/", $name, ".json")),
            Permission::$permission,
            concat!("retail-media/", $path),
            $request,
        )
    };
}

use crate::products::Job::{Billing, Catalog};
use Placeholder::{AccountId, BalanceId, CampaignId, LineItemId, ParentAccountId, RetailerId};
use Request::{AccountSearch, BarePost, Get, Job, PagedGet, Post};

/// The streams, in reading order.
pub(crate) static STREAMS: &[StreamDef] = &[
    entity!("rm_current_application", None, "me", Get).key(&["application_id"]),
    entity!("rm_accounts", RetailMediaAccounts, "accounts", PAGES),
    entity!(
        "rm_private_market_child_accounts",
        RetailMediaAccounts,
        "account-management/accounts/{parent_account_id}/private-market-child-accounts",
        OFFSETS
    )
    .each(&SUPPLY_ACCOUNT, &[ParentAccountId])
    .key(&["parent_account_id", "id"])
    .limited(),
    entity!(
        "rm_account_fees",
        RetailMediaAccounts,
        "accounts/fees/search",
        AccountSearch { resource: "AccountFeesSearchRequest", limit: Some(LARGEST), most: usize::MAX, flags: &[] }
    )
    .key(&["account_id"])
    .limited(),
    entity!(
        "rm_account_sellers",
        RetailMediaAccounts,
        "accounts/sellers/search",
        AccountSearch { resource: "SellerSearch", limit: None, most: SELLERS_OF, flags: &["includeDetails"] }
    )
    .rows(RowsOf::Lists(&[ListOfRows {
        member: "sellers",
        is_required: false,
        text: None,
        constants: &[],
        repeated: &["accountId"],
        renamed: &[],
    }]))
    .key(&["account_id", "retailer_id", "seller_id"]),
    entity!("rm_account_brands", RetailMediaCampaigns, "accounts/{account_id}/brands", PAGES)
        .each(&ACCOUNT, &[AccountId])
        .key(&["account_id", "id"]),
    entity!(
        "rm_retailers",
        RetailMediaCampaigns,
        "accounts/{account_id}/retailers/search",
        search("RetailerSearchRequestV2", RETAILERS)
    )
    .each(&ACCOUNT, &[AccountId])
    .key(&["account_id", "id"]),
    entity!(
        "rm_retailer_brands",
        RetailMediaAccounts,
        "brands/search",
        Post { resource: "BrandIdSearchRequest", limit: Some(BRANDS), numbers: &[("retailerIds", RetailerId)] }
    )
    .each(&RETAILER, &[RetailerId])
    .key(&["retailer_id", "id"]),
    entity!("rm_creative_templates", RetailMediaCampaigns, "retailers/{retailer_id}/templates", Get)
        .each(&RETAILER, &[RetailerId])
        .key(&["retailer_id", "id"]),
    entity!(
        "rm_categories",
        RetailMediaCampaigns,
        "retailers/{retailer_id}/categories/search",
        search("CategoriesSearchRequestV1", LARGEST)
    )
    .each(&RETAILER, &[RetailerId])
    .key(&["retailer_id", "id"]),
    entity!("rm_retailer_pages", RetailMediaCampaigns, "retailers/{retailer_id}/pages", Get)
        .each(&RETAILER, &[RetailerId])
        .bare()
        .rows(RowsOf::Lists(&[texts("pageTypes", true, "page")]))
        .key(&["retailer_id", "page"]),
    entity!("rm_balances", RetailMediaBalances, "accounts/{account_id}/balances", OFFSETS).each(&ACCOUNT, &[AccountId]),
    entity!("rm_balance_campaigns", RetailMediaBalances, "balances/{balance_id}/campaigns", PAGES)
        .each(&BALANCE, &[BalanceId, AccountId])
        .rows(RowsOf::Renamed(&[("id", "campaignId")]))
        .key(&["balance_id", "campaign_id"]),
    entity!("rm_balance_history", RetailMediaBalances, "balances/{balance_id}/history", OFFSETS)
        .each(&BALANCE, &[BalanceId, AccountId])
        .numbered()
        .key(&["balance_id", "date_of_modification", "change_type", "row_number"]),
    entity!("rm_campaigns", RetailMediaCampaigns, "accounts/{account_id}/campaigns", PAGES)
        .each(&ACCOUNT, &[AccountId]),
    entity!(
        "rm_campaign_budget_overrides",
        RetailMediaCampaigns,
        "campaigns/{campaign_id}/campaign-budget-overrides",
        Get
    )
    .each(&CAMPAIGN, &[CampaignId, AccountId])
    .rows(RowsOf::Lists(&[
        overrides("dailyBudgetOverrides", DAILY, OF_DAYS),
        overrides("monthlyBudgetOverrides", MONTHLY, OF_MONTHS),
    ]))
    .empty_keys()
    .key(&["campaign_id", "period", "start"]),
    entity!("rm_line_items", RetailMediaCampaigns, "accounts/{account_id}/line-items", PAGES)
        .each(&ACCOUNT, &[AccountId]),
    entity!("rm_auction_line_items", RetailMediaCampaigns, "campaigns/{campaign_id}/auction-line-items", OFFSETS)
        .each(&CAMPAIGN, &[CampaignId, AccountId]),
    entity!("rm_preferred_line_items", RetailMediaCampaigns, "campaigns/{campaign_id}/preferred-line-items", PAGES)
        .each(&CAMPAIGN, &[CampaignId, AccountId]),
    entity!("rm_promoted_products", RetailMediaCampaigns, "line-items/{line_item_id}/products", OFFSETS)
        .each(&LINE_ITEM, &[LineItemId, AccountId])
        // Without it, the bids are left out.
        .query(&[QueryParam::Fixed("fields", "status,bidOverride")])
        .key(&["line_item_id", "id"]),
    entity!(
        "rm_line_item_budget_overrides",
        RetailMediaCampaigns,
        "line-items/{line_item_id}/line-item-budget-overrides",
        Get
    )
    .each(&LINE_ITEM, &[LineItemId, AccountId])
    .rows(RowsOf::Lists(&[
        overrides("dailyLineItemBudgetOverrides", DAILY, OF_DAYS),
        overrides("monthlyLineItemBudgetOverrides", MONTHLY, OF_MONTHS),
    ]))
    .empty_keys()
    .key(&["line_item_id", "period", "start"]),
    entity!("rm_keywords", RetailMediaCampaigns, "line-items/{line_item_id}/keywords", Get)
        .each(&AUCTION_LINE_ITEM, &[LineItemId, AccountId])
        .rows(RowsOf::Map { member: "keywords", key: "keyword", order: ("rank", "rank") })
        .key(&["line_item_id", "keyword"])
        .until("2027-01"),
    entity!("rm_recommended_keywords", RetailMediaCampaigns, "line-items/{line_item_id}/keywords/recommended", Get)
        .each(&AUCTION_LINE_ITEM, &[LineItemId, AccountId])
        .rows(RowsOf::Lists(&[texts("recommendedKeywords", false, "keyword")]))
        .key(&["line_item_id", "keyword"]),
    entity!(
        "rm_keywords_in_review",
        RetailMediaCampaigns,
        "accounts/{account_id}/keywords/in-review-report",
        PagedGet { limit: REVIEWS }
    )
    .each(&ACCOUNT, &[AccountId])
    .key(&["account_id", "line_item_id"]),
    entity!("rm_bid_multipliers", RetailMediaCampaigns, "line-items/{line_item_id}/bid-multipliers", Get)
        .each(&AUCTION_LINE_ITEM, &[LineItemId, AccountId])
        .key(&["line_item_id"]),
    entity!(
        "rm_add_to_basket_targets",
        RetailMediaCampaigns,
        "preferred-line-items/{line_item_id}/targeting/add-to-basket",
        Get
    )
    .each(&PREFERRED_LINE_ITEM, &[LineItemId, AccountId])
    .key(&["line_item_id"]),
    entity!(
        "rm_audience_targets",
        RetailMediaCampaigns,
        "preferred-line-items/{line_item_id}/targeting/audiences",
        Get
    )
    .each(&PREFERRED_LINE_ITEM, &[LineItemId, AccountId])
    .key(&["line_item_id"]),
    entity!("rm_store_targets", RetailMediaCampaigns, "preferred-line-items/{line_item_id}/targeting/stores", Get)
        .each(&PREFERRED_LINE_ITEM, &[LineItemId, AccountId])
        .key(&["line_item_id"]),
    entity!("rm_creatives", RetailMediaCampaigns, "accounts/{account_id}/creatives/search", BarePost)
        .each(&ACCOUNT, &[AccountId]),
    entity!(
        "rm_audiences",
        RetailMediaAudiences,
        "accounts/{account_id}/audiences/search",
        search("RmAudienceSearchEntityV1", LARGEST)
    )
    .each(&ACCOUNT, &[AccountId]),
    entity!(
        "rm_audience_segments",
        RetailMediaAudiences,
        "accounts/{account_id}/audience-segments/search",
        search("RmAudienceSegmentSearchEntityV1", LARGEST)
    )
    .each(&ACCOUNT, &[AccountId]),
    entity!(
        "rm_contact_list_statistics",
        RetailMediaAudiences,
        "accounts/{account_id}/audience-segments/{segment_id}/contact-list",
        Get
    )
    .each(&CONTACT_LIST, &[AccountId]),
    entity!("rm_catalog_products", RetailMediaCampaigns, "accounts/{account_id}/catalogs", Job(Catalog))
        .each(&CATALOG, &[AccountId])
        .key(&["account_id", "retailer_id", "id", "seller_id"]),
    entity!("rm_partner_billing", RetailMediaBilling, "billing/partner-report", Job(Billing))
        .each(&BILLING, &[ParentAccountId])
        .rows(RowsOf::Open(BILLED))
        .empty_keys()
        .numbered()
        .key(&["parent_account_id", "month", "account_id", "balance_id", "campaign_id", "line_item_id", "row_number"]),
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::products::retail_media::table::*;

    /// What a bill has no member for.
    const OWN: &[&str] = &["parent_account_id", "month", "start_date", "end_date", "row_number", "other_columns"];

    #[test]
    fn every_column_of_a_bill_is_in_its_schema() {
        let billing = STREAMS.iter().find(|stream| stream.name == "rm_partner_billing").unwrap();
        let schema: Value = serde_json::from_str(billing.schema).unwrap();
        let columns = schema["properties"].as_object().unwrap().keys().map(String::as_str);
        let columns: Vec<_> = columns.filter(|column| !OWN.contains(column)).collect();
        let mut billed = BILLED.to_vec();
        billed.sort_unstable();
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        assert_eq!(billed, sorted);
    }
}
