//! What belongs to one line item or campaign: keywords, products, bids, budgets and targets.

use serde_json::{Map, Value, json};

use crate::retail_media::accounts::{nameless, resource};
use crate::retail_media::ids::{Kind, category_id, retailer_id};
use crate::world::World;

/// Keywords per line item.
const KEYWORDS: u32 = 4;

impl World {
    /// The keywords of a line item, unique and in the order of their rank.
    pub(crate) fn keywords_of(&self, line_item: u32) -> Vec<String> {
        let count = u32::try_from(self.below(line_item, 300, u64::from(KEYWORDS) + 1)).unwrap_or(0);
        (0..count).map(|number| self.keyword(line_item, number)).collect()
    }

    /// The n-th keyword of a line item; no two are equal.
    pub(crate) fn keyword(&self, line_item: u32, number: u32) -> String {
        if !self.is_hostile() {
            return format!("keyword {}", line_item % 5 * KEYWORDS + number + 1);
        }
        let strange = ["it's \"new\"", "a/b?c=1&d", "été \\ 夏", "zero\u{200b}width", ""];
        let index = (line_item + number) as usize % strange.len();
        // An empty keyword stays empty, once in a line item.
        if strange[index].is_empty() { String::new() } else { format!("{} {number}", strange[index]) }
    }

    fn keyword_entry(&self, line_item: u32, number: u32) -> Value {
        let salt = line_item * KEYWORDS + number;
        let word = self.keyword(line_item, number);
        json!({
            "bid": self.perhaps(salt, 301, self.amount(salt, 302, 4)),
            "createdAt": self.moment(salt, 303),
            "updatedAt": self.moment(salt, 305),
            "matchType": self.one_of(salt, 307, &["PositiveExactMatch", "NegativeExactMatch", "NegativeBroadMatch"]),
            "reviewState": self.one_of(salt, 308, &["InReview", "Approved", "AutoApproved", "Rejected", "Recommended"]),
            "inputKeywords": {
                "positiveExact": self.perhaps(salt, 309, json!([word])),
                "negativeExact": self.perhaps(salt, 310, json!([])),
                "negativeBroad": Value::Null,
            },
        })
    }

    /// A map from keywords to their settings, in no particular order, and their rank.
    pub(crate) fn keywords(&self, line_item: u32) -> Value {
        let words = self.keywords_of(line_item);
        let entries: Map<String, Value> =
            (0u32..).zip(&words).map(|(number, word)| (word.clone(), self.keyword_entry(line_item, number))).collect();
        let keywords =
            if entries.is_empty() { self.perhaps(line_item, 311, json!({})) } else { Value::Object(entries) };
        resource(
            "Keywords",
            &Kind::LineItem.id(line_item),
            json!({"keywords": keywords, "rank": self.perhaps(line_item, 312, words)}),
        )
    }

    pub(crate) fn recommended_keywords(&self, line_item: u32) -> Value {
        let count = u32::try_from(self.below(line_item, 313, 4)).unwrap_or(0);
        let words: Vec<String> = (0..count).map(|number| self.keyword(line_item + 1, number)).collect();
        let entries: Map<String, Value> = (0u32..)
            .zip(&words)
            .map(|(number, word)| (word.clone(), self.keyword_entry(line_item + 1, number)))
            .collect();
        nameless(
            "RecommendedKeywords",
            json!({"keywords": self.perhaps(line_item, 314, entries), "recommendedKeywords": words}),
        )
    }

    /// Whether keywords of a line item wait for a review.
    pub(crate) fn is_in_review(line_item: u32) -> bool {
        line_item.is_multiple_of(2)
    }

    pub(crate) fn keywords_in_review(&self, line_item: u32) -> Value {
        let campaign = self.campaign_of(line_item);
        let account = self.account_of_campaign(campaign);
        let retailer = self.retailer_of(line_item);
        let id = Kind::LineItem.id(line_item);
        json!({
            "id": self.perhaps(line_item, 315, id.clone()),
            "type": "KeywordInReviewReport",
            "attributes": {
                "accountId": Kind::Account.id(account), "accountName": self.account_name(account),
                "campaignId": Kind::Campaign.id(campaign), "campaignName": self.campaign_name_of(campaign),
                "lineItemId": id, "lineItemName": self.line_item_name(line_item),
                "retailerId": retailer_id(retailer).to_string(), "retailerName": self.retailer_name(retailer),
                "countKeywords": 1 + self.below(line_item, 316, 5),
            },
        })
    }

    /// The n-th product of a retailer's catalog, as the retailer names it.
    pub(crate) fn product_id(&self, retailer: u32, number: u32) -> String {
        match number % 4 {
            1 if self.is_hostile() => format!("Ä {number}/\"{}\"", retailer_id(retailer)),
            2 if self.is_hostile() => format!("00{number}"),
            _ => format!("P{}-{:05}", retailer_id(retailer), number + 1),
        }
    }

    /// The products that a line item promotes, by number in its retailer's catalog.
    pub(crate) fn promoted_numbers(&self, line_item: u32) -> Vec<u32> {
        let first = u32::try_from(self.below(line_item, 320, 4)).unwrap_or(0);
        (first..first + self.options.retail_media.products).collect()
    }

    /// Promoted products; `bidOverride` only if requested.
    pub(crate) fn promoted_products(&self, line_item: u32, fields: &[&str]) -> Vec<Value> {
        let retailer = self.retailer_of(line_item);
        let product = |number: u32| {
            let id = self.product_id(retailer, number);
            let salt = line_item * 100 + number;
            let mut attributes = Map::new();
            attributes.insert("id".to_owned(), self.perhaps(salt, 321, id.clone()));
            if fields.contains(&"status") {
                attributes.insert(
                    "status".to_owned(),
                    json!(self.one_of(salt, 322, &["active", "active", "paused", "unknown"])),
                );
            }
            if fields.contains(&"bidOverride") {
                attributes.insert("bidOverride".to_owned(), self.perhaps(salt, 323, self.amount(salt, 324, 3)));
            }
            resource("PromotedProduct", &id, Value::Object(attributes))
        };
        self.promoted_numbers(line_item).into_iter().map(product).collect()
    }

    pub(crate) fn bid_multipliers(&self, line_item: u32) -> Value {
        let pages = [
            "category",
            "categoryMenu",
            "checkout",
            "confirmation",
            "deals",
            "favorites",
            "home",
            "merchandising",
            "productDetail",
            "search",
            "searchBar",
        ];
        let mut attributes = Map::new();
        attributes.insert("id".to_owned(), json!(Kind::LineItem.id(line_item)));
        for (salt, page) in (330..).zip(pages) {
            attributes.insert(page.to_owned(), self.perhaps(line_item, salt, self.amount(line_item, salt + 20, 3)));
        }
        nameless("BidMultipliers", Value::Object(attributes))
    }

    /// Budget overrides of a campaign or, with other names, of a line item: two lists in one object.
    pub(crate) fn budget_overrides(&self, number: u32, of_line_item: bool) -> Value {
        let status =
            |salt| self.perhaps(number, salt, self.one_of(number, salt + 1, &["Expired", "Active", "Upcoming"]));
        let count = |salt| u32::try_from(self.below(number, salt, 3)).unwrap_or(0);
        let most = self.amount(number, 360, 300);
        let daily = |index: u32| {
            let most = if of_line_item { self.perhaps(number + index, 361, most) } else { json!(most) };
            json!({"duration": format!("{}D", 1 + index), "maxDailySpend": most, "status": status(362),
                "startDate": format!("2026-0{}-01T00:00:00Z", index + 3)})
        };
        let monthly = |index: u32| {
            // Only the first one may lack its start: it is a part of the key.
            let start = format!("2026-0{}-01T00:00:00Z", index + 5);
            let start = if index == 0 { self.perhaps(number, 363, start) } else { json!(start) };
            json!({"duration": "1M", "maxMonthlySpend": most * 10.0, "status": status(364), "startMonth": start})
        };
        let (daily_name, monthly_name) = match of_line_item {
            true => ("dailyLineItemBudgetOverrides", "monthlyLineItemBudgetOverrides"),
            false => ("dailyBudgetOverrides", "monthlyBudgetOverrides"),
        };
        let mut attributes = Map::new();
        attributes.insert(daily_name.to_owned(), (0..count(366)).map(daily).collect());
        attributes.insert(monthly_name.to_owned(), (0..count(367)).map(monthly).collect());
        nameless("BudgetOverrides", Value::Object(attributes))
    }

    fn scope(&self, line_item: u32, salt: u64) -> &'static str {
        self.one_of(line_item, salt, &["include", "exclude"])
    }

    pub(crate) fn basket_targets(&self, line_item: u32) -> Value {
        let retailer = self.retailer_of(line_item);
        let count = u32::try_from(self.below(line_item, 370, 3)).unwrap_or(0);
        nameless(
            "AddToBasketTarget",
            json!({
                "scope": self.scope(line_item, 371),
                "categoryIds": (0..count).map(|n| category_id(retailer, n).to_string()).collect::<Vec<_>>(),
                "productIds": (0..count).map(|n| self.product_id(retailer, n)).collect::<Vec<_>>(),
            }),
        )
    }

    pub(crate) fn audience_targets(&self, line_item: u32) -> Value {
        let account = self.account_of_campaign(self.campaign_of(line_item));
        let audiences = self.several(account, self.options.retail_media.audiences).take(line_item as usize % 3);
        let ids: Vec<_> = audiences.map(|audience| Kind::Audience.id(audience)).collect();
        nameless("AudienceTarget", json!({"scope": self.scope(line_item, 372), "audienceIds": ids}))
    }

    pub(crate) fn store_targets(&self, line_item: u32) -> Value {
        let stores: Vec<_> = (0..line_item % 4).map(|store| format!("{:04}", store + 1)).collect();
        nameless("StoreTarget", json!({"scope": self.scope(line_item, 373), "storeIds": stores}))
    }
}
