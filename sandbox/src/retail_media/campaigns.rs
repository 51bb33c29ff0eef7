//! Campaigns and line items.

use serde_json::{Value, json};

use crate::retail_media::accounts::resource;
use crate::retail_media::ids::{Kind, category_id, retailer_id};
use crate::world::World;

/// Kinds of line items in the list of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buying {
    Auction,
    Preferred,
}

impl Buying {
    pub(crate) fn word(self) -> &'static str {
        if self == Self::Auction { "auction" } else { "preferred" }
    }
}

impl World {
    pub(crate) fn buying(campaign: u32) -> Buying {
        if Self::is_preferred(campaign) { Buying::Preferred } else { Buying::Auction }
    }

    /// The campaigns that lists contain.
    pub(crate) fn visible_campaigns(&self, account: u32) -> Vec<u32> {
        let is_visible = |campaign: &u32| !self.is_gone(&Kind::Campaign.id(*campaign));
        self.campaigns_of(account).filter(is_visible).collect()
    }

    /// The line items that lists contain; archived ones only if the switch says so.
    pub(crate) fn visible_line_items(&self, campaign: u32) -> Vec<u32> {
        if self.is_gone(&Kind::Campaign.id(campaign)) {
            return Vec::new();
        }
        let has_archived = self.options.unknowns.get("rm_archived") == "listed";
        let is_visible = |line_item: &u32| {
            !self.is_gone(&Kind::LineItem.id(*line_item))
                && (has_archived || self.line_item_status(*line_item) != "archived")
        };
        self.line_items_of(campaign).filter(is_visible).collect()
    }

    pub(crate) fn campaign_name_of(&self, campaign: u32) -> String {
        let plain = if Self::is_preferred(campaign) { "Preferred campaign" } else { "Auction campaign" };
        self.name(campaign, plain)
    }

    pub(crate) fn line_item_name(&self, line_item: u32) -> String {
        self.name(line_item, "Line item")
    }

    pub(crate) fn line_item_status(&self, line_item: u32) -> &'static str {
        let words = [
            "active",
            "active",
            "active",
            "scheduled",
            "draft",
            "paused",
            "budgetHit",
            "ended",
            "archived",
            "noFunds",
            "unknown",
        ];
        self.one_of(line_item, 200, &words)
    }

    /// Attribution windows of a campaign in days: clicks and views.
    pub(crate) fn campaign_windows(&self, campaign: u32) -> (u32, u32) {
        let click = [7, 14, 30][usize::try_from(self.below(campaign, 201, 3)).unwrap_or(0)];
        let view = [0, 1, 7][usize::try_from(self.below(campaign, 202, 3)).unwrap_or(0)];
        (click, view)
    }

    pub(crate) fn campaign_of_account(&self, number: u32) -> Value {
        let account = self.account_of_campaign(number);
        let budget = self.perhaps(number, 203, self.amount(number, 204, 20_000));
        let scopes = ["sameSku", "sameSkuCategory", "sameSkuCategoryBrand"];
        let (click, view) = self.campaign_windows(number);
        let brands = self.options.retail_media.brands;
        let promoted = (account * brands..(account + 1) * brands).map(|brand| Kind::Brand.id(brand));
        resource(
            "RetailMediaCampaign",
            &Kind::Campaign.id(number),
            self.fitted_campaign(number, json!({
                "accountId": Kind::Account.id(account),
                "name": self.campaign_name_of(number),
                "type": Self::buying(number).word(),
                "status": self.one_of(number, 205, &["active", "active", "inactive", "scheduled", "ended"]),
                "budget": budget,
                "budgetSpent": self.perhaps(number, 206, self.amount(number, 207, 5_000)),
                "budgetRemaining": self.perhaps(number, 208, self.amount(number, 209, 5_000)),
                "dailyPacing": self.perhaps(number, 210, self.amount(number, 211, 500)),
                "monthlyPacing": self.perhaps(number, 212, self.amount(number, 213, 9_000)),
                "isAutoDailyPacing": number.is_multiple_of(2),
                "clickAttributionWindow": format!("{click}D"),
                "viewAttributionWindow": if view == 0 { "none".to_owned() } else { format!("{view}D") },
                "clickAttributionScope": self.perhaps(number, 214, self.one_of(number, 215, &scopes)),
                "viewAttributionScope": self.perhaps(number, 216, self.one_of(number, 217, &scopes)),
                "promotedBrandIds": promoted.collect::<Vec<_>>(),
                "drawableBalanceIds": self.balances_of_campaign(number),
                "retailerId": self.perhaps(number, 218, self.retailers_of(account).first().map(|retailer| retailer_id(*retailer))),
                "startDate": self.perhaps(number, 219, self.moment(number, 220)),
                "endDate": self.perhaps(number, 222, self.moment(number, 223)),
                "companyName": self.perhaps(account, 1, self.name(account + 1, "Company")),
                "onBehalfCompanyName": self.perhaps(account, 2, self.name(account + 2, "Agency")),
                "createdAt": self.moment(number, 225),
                "updatedAt": self.moment(number, 227),
            })),
        )
    }

    /// The fields that line items of all kinds share.
    pub(crate) fn common_line_item(&self, number: u32) -> Value {
        let id = Kind::LineItem.id(number);
        let campaign = self.campaign_of(number);
        resource(
            "RetailMediaLineItem",
            &id,
            self.fitted_line_item(
                number,
                json!({
                    "id": id,
                    "name": self.line_item_name(number),
                    "campaignId": Kind::Campaign.id(campaign),
                    "targetRetailerId": retailer_id(self.retailer_of(number)).to_string(),
                    "type": Self::buying(campaign).word(),
                    "status": self.line_item_status(number),
                    "budget": self.perhaps(number, 230, self.amount(number, 231, 3_000)),
                    "budgetSpent": self.amount(number, 232, 1_000),
                    "budgetRemaining": self.perhaps(number, 233, self.amount(number, 234, 2_000)),
                    "startDate": self.day(number, 235),
                    "endDate": self.perhaps(number, 236, self.day(number, 237)),
                    "createdAt": self.moment(number, 238),
                    "updatedAt": self.moment(number, 240),
                }),
            ),
        )
    }

    pub(crate) fn auction_line_item(&self, number: u32) -> Value {
        let leg = |day: &str| json!({"dayOfWeek": day, "startTime": "08:00", "endTime": "22:30"});
        let strategies = ["conquesting", "genericAndBranded", "genericBrandedAndConquesting"];
        let schedule = json!({"legs": self.perhaps(number, 250, json!([leg("weekdays"), leg("saturday")]))});
        resource(
            "AuctionLineItem",
            &Kind::LineItem.id(number),
            self.fitted_line_item(number, json!({
                "name": self.line_item_name(number),
                "campaignId": Kind::Campaign.id(self.campaign_of(number)),
                "targetRetailerId": retailer_id(self.retailer_of(number)).to_string(),
                "status": self.perhaps(number, 251, self.line_item_status(number)),
                "bidStrategy": self.perhaps(number, 252, self.bid_strategy(number)),
                "optimizationStrategy": self.perhaps(number, 253, self.one_of(number, 254, &["conversion", "clicks", "revenue"])),
                "keywordStrategy": self.perhaps(number, 255, self.one_of(number, 256, &strategies)),
                "flightSchedule": self.perhaps(number, 257, schedule),
                "budget": self.perhaps(number, 230, self.amount(number, 231, 3_000)),
                "budgetSpent": self.perhaps(number, 258, self.amount(number, 232, 1_000)),
                "budgetRemaining": self.perhaps(number, 233, self.amount(number, 234, 2_000)),
                "dailyPacing": self.perhaps(number, 259, self.amount(number, 260, 100)),
                "monthlyPacing": self.perhaps(number, 261, self.amount(number, 262, 3_000)),
                "isAutoDailyPacing": self.perhaps(number, 263, number.is_multiple_of(2)),
                "maxBid": self.perhaps(number, 264, self.amount(number, 265, 10)),
                "targetBid": self.perhaps(number, 266, self.amount(number, 267, 5)),
                "startDate": self.moment(number, 268),
                "endDate": self.perhaps(number, 236, self.moment(number, 270)),
                "createdAt": self.moment(number, 238),
                "updatedAt": self.moment(number, 240),
            })),
        )
    }

    pub(crate) fn bid_strategy(&self, line_item: u32) -> &'static str {
        self.one_of(line_item, 269, &["manual", "automated"])
    }

    pub(crate) fn preferred_line_item(&self, number: u32) -> Value {
        let id = Kind::LineItem.id(number);
        let account = self.account_of_campaign(self.campaign_of(number));
        let retailer = self.retailer_of(number);
        let page = json!({
            "pageType": self.one_of(number, 280, &["search", "home", "category", "productDetail", "searchBar"]),
            "categories": self.perhaps(number, 281, json!([
                {"categoryId": category_id(retailer, 5).to_string(), "includeChildren": true},
                {"categoryId": category_id(retailer, 7).to_string(), "includeChildren": false},
            ])),
            "searchKeywords": self.perhaps(number, 282, json!([self.name(number, "search")])),
        });
        resource(
            "PreferredLineItem",
            &id,
            self.fitted_line_item(number, json!({
                "id": id,
                "name": self.line_item_name(number),
                "campaignId": Kind::Campaign.id(self.campaign_of(number)),
                "targetRetailerId": retailer_id(retailer).to_string(),
                "status": self.line_item_status(number),
                "budget": self.amount(number, 231, 3_000),
                "budgetSpent": self.perhaps(number, 258, self.amount(number, 232, 1_000)),
                "budgetRemaining": self.perhaps(number, 233, self.amount(number, 234, 2_000)),
                "capping": self.perhaps(number, 283, json!({"count": 3, "type": self.one_of(number, 284, &["day", "session"])})),
                "creativeId": self.creative_of(account, number).map(|creative| Kind::Creative.id(creative)),
                "pacing": self.perhaps(number, 285, self.one_of(number, 286, &["standard", "accelerated"])),
                "page": self.perhaps(number, 287, page),
                "startDate": self.day(number, 235),
                "endDate": self.perhaps(number, 236, self.day(number, 237)),
                "createdAt": self.moment(number, 238),
                "updatedAt": self.moment(number, 240),
            })),
        )
    }
}
