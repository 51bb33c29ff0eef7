//! The truth of every object stream: all objects, with ids of parents that their responses lack.

use serde_json::{Value, json};

use crate::retail_media::balances::BalanceModel;
use crate::retail_media::ids::{Kind, Side, retailer_id};
use crate::world::World;

impl World {
    /// The objects of a stream of Retail Media in an API version, for all accounts with consent. Rows of objects
    /// without an envelope are the members of `attributes`; `None` for an unknown name.
    #[must_use]
    pub fn retail_media_stream(&self, name: &str, version: &str) -> Option<Vec<Value>> {
        if let Some(rows) = self.stream_of_accounts(name, version) {
            return Some(rows);
        }
        if let Some(rows) = self.stream_of_line_items(name, version) {
            return Some(rows);
        }
        self.stream_of_retailers(name)
    }

    /// Objects of every account, each with its account's id.
    fn stream_of_accounts(&self, name: &str, version: &str) -> Option<Vec<Value>> {
        let each = |objects: &dyn Fn(u32) -> Vec<Value>| -> Vec<Value> {
            let accounts = self.retail_accounts().into_iter();
            let rows = accounts.flat_map(|account| {
                let parent = json!({"accountId": Kind::Account.id(account)});
                objects(account).into_iter().map(move |object| with(object, &parent)).collect::<Vec<_>>()
            });
            rows.collect()
        };
        let numbers =
            |numbers: Vec<u32>, object: &dyn Fn(u32) -> Value| numbers.into_iter().map(object).collect::<Vec<_>>();
        Some(match name {
            "rm_current_application" => {
                let mut application = crate::routes::application();
                application["criteoService"] = json!("RetailMedia");
                vec![json!({"attributes": application})]
            }
            "rm_accounts" => numbers(self.retail_accounts(), &|account| self.retail_account(account)),
            "rm_private_market_child_accounts" => {
                if self.options.retail_media.without_private_market {
                    return Some(Vec::new());
                }
                let supplies = self.retail_accounts().into_iter().filter(|account| self.side(*account) == Side::Supply);
                let rows = supplies.flat_map(|supply| {
                    let parent = json!({"parentAccountId": Kind::Account.id(supply)});
                    self.child_accounts(supply).into_iter().map(move |child| with(child, &parent)).collect::<Vec<_>>()
                });
                rows.collect()
            }
            "rm_account_fees" if self.options.retail_media.without_private_market => Vec::new(),
            "rm_account_fees" => {
                let accounts = self.retail_accounts().into_iter().filter(|account| self.side(*account) != Side::Supply);
                accounts.map(|account| self.fees(account)).collect()
            }
            "rm_account_sellers" => each(&|account| {
                let sellers = self.sellers(account, true);
                sellers["attributes"]["sellers"].as_array().into_iter().flatten().map(row).collect()
            }),
            "rm_audience_segments" => each(&|account| self.segments_of(account)),
            "rm_contact_list_statistics" => each(&|account| {
                let segments = self.segments_of(account).into_iter();
                let numbers = segments.filter_map(|segment| Kind::Segment.number(segment["id"].as_str()?));
                numbers.filter(|number| Self::is_contact_list(*number)).map(|number| self.contacts(number)).collect()
            }),
            "rm_audiences" => each(&|account| self.audiences_of(account)),
            "rm_campaigns" => {
                each(&|account| numbers(self.visible_campaigns(account), &|n| self.campaign_of_account(n)))
            }
            "rm_creatives" => each(&|account| numbers(self.creatives_of(account), &|n| self.retail_creative(n))),
            "rm_balances" => {
                let model = if version >= "2026-07" { BalanceModel::Current } else { BalanceModel::Old };
                each(&|account| numbers(self.balances_of(account), &|n| self.balance(n, model)))
            }
            "rm_account_brands" => each(&|account| {
                let brands = self.several(account, self.options.retail_media.brands);
                let brands = brands.filter(|brand| !self.is_gone(&Kind::Brand.id(*brand)));
                brands.map(|brand| self.account_brand(brand)).collect()
            }),
            "rm_retailers" => each(&|account| numbers(self.retailers_of(account), &|n| self.retailer(n, version))),
            "rm_balance_campaigns" => each(&|account| {
                let rows = self.balances_of(account).into_iter().flat_map(|balance| {
                    self.campaigns_of_balance(balance).into_iter().map(move |campaign| {
                        row(&json!({"balanceId": Kind::Balance.id(balance), "campaignId": Kind::Campaign.id(campaign)}))
                    })
                });
                rows.collect()
            }),
            "rm_balance_history" => each(&|account| {
                let rows = self.balances_of(account).into_iter().flat_map(|balance| {
                    let parent = json!({"balanceId": Kind::Balance.id(balance)});
                    self.balance_history(balance, version).into_iter().map(move |change| with(change, &parent))
                });
                rows.collect()
            }),
            _ => return None,
        })
    }

    /// Objects of every campaign or line item, each with its parents' ids.
    fn stream_of_line_items(&self, name: &str, version: &str) -> Option<Vec<Value>> {
        let accounts = self.retail_accounts().into_iter();
        let campaigns: Vec<u32> = accounts.flat_map(|account| self.visible_campaigns(account)).collect();
        let line_items = |preferred: Option<bool>| -> Vec<u32> {
            let campaigns =
                campaigns.iter().filter(|campaign| preferred.is_none_or(|is| is == Self::is_preferred(**campaign)));
            campaigns.flat_map(|campaign| self.visible_line_items(*campaign)).collect()
        };
        let parents = |line_item: u32| {
            let account = self.account_of_campaign(self.campaign_of(line_item));
            json!({"lineItemId": Kind::LineItem.id(line_item), "accountId": Kind::Account.id(account)})
        };
        let each = |preferred: Option<bool>, objects: &dyn Fn(u32) -> Vec<Value>| -> Vec<Value> {
            let rows = line_items(preferred).into_iter().flat_map(|line_item| {
                let parents = parents(line_item);
                objects(line_item).into_iter().map(move |object| with(object, &parents)).collect::<Vec<_>>()
            });
            rows.collect()
        };
        let own = |preferred: Option<bool>, object: &dyn Fn(u32) -> Value| -> Vec<Value> {
            line_items(preferred)
                .into_iter()
                .map(|line_item| {
                    let account = json!({"accountId": parents(line_item)["accountId"]});
                    with(object(line_item), &account)
                })
                .collect()
        };
        Some(match name {
            "rm_line_items" => own(None, &|n| self.common_line_item(n)),
            "rm_auction_line_items" => own(Some(false), &|n| self.auction_line_item(n)),
            "rm_preferred_line_items" => own(Some(true), &|n| self.preferred_line_item(n)),
            "rm_keywords_in_review" => {
                let line_items = line_items(Some(false)).into_iter().filter(|line_item| Self::is_in_review(*line_item));
                line_items.map(|line_item| self.keywords_in_review(line_item)).collect()
            }
            "rm_campaign_budget_overrides" => {
                let rows = campaigns.iter().flat_map(|campaign| {
                    let account = self.account_of_campaign(*campaign);
                    let parent =
                        json!({"campaignId": Kind::Campaign.id(*campaign), "accountId": Kind::Account.id(account)});
                    let overrides = overrides(&self.budget_overrides(*campaign, false)).into_iter();
                    overrides.map(move |object| with(object, &parent)).collect::<Vec<_>>()
                });
                rows.collect()
            }
            "rm_line_item_budget_overrides" => each(None, &|n| overrides(&self.budget_overrides(n, true))),
            "rm_keywords" if version >= "2027-01" => Vec::new(),
            "rm_keywords" => each(Some(false), &|n| {
                let keywords = self.keywords(n);
                let rank = keywords["attributes"]["rank"].as_array().cloned().unwrap_or_default();
                let entries = keywords["attributes"]["keywords"].as_object().cloned().unwrap_or_default();
                let entries = entries.into_iter().map(|(keyword, mut entry)| {
                    entry["rank"] =
                        rank.iter().position(|known| *known == keyword).map_or(Value::Null, |at| json!(at + 1));
                    entry["keyword"] = json!(keyword);
                    row(&entry)
                });
                entries.collect()
            }),
            "rm_recommended_keywords" => each(Some(false), &|n| {
                let keywords = self.recommended_keywords(n);
                let words = keywords["attributes"]["recommendedKeywords"].as_array().into_iter().flatten();
                words.map(|keyword| row(&json!({"keyword": keyword}))).collect()
            }),
            "rm_bid_multipliers" => each(Some(false), &|n| vec![self.bid_multipliers(n)]),
            "rm_promoted_products" => each(None, &|n| self.promoted_products(n, &["status", "bidOverride"])),
            "rm_add_to_basket_targets" => each(Some(true), &|n| vec![self.basket_targets(n)]),
            "rm_audience_targets" => each(Some(true), &|n| vec![self.audience_targets(n)]),
            "rm_store_targets" => each(Some(true), &|n| vec![self.store_targets(n)]),
            _ => return None,
        })
    }

    /// Objects of every retailer of any account, once.
    fn stream_of_retailers(&self, name: &str) -> Option<Vec<Value>> {
        let mut retailers: Vec<u32> =
            self.retail_accounts().into_iter().flat_map(|account| self.retailers_of(account)).collect();
        retailers.sort_unstable();
        retailers.dedup();
        let each = |objects: &dyn Fn(u32) -> Vec<Value>| -> Vec<Value> {
            let rows = retailers.iter().flat_map(|retailer| {
                let parent = json!({"retailerId": retailer_id(*retailer).to_string()});
                objects(*retailer).into_iter().map(move |object| with(object, &parent)).collect::<Vec<_>>()
            });
            rows.collect()
        };
        Some(match name {
            "rm_retailer_brands" => {
                each(&|n| self.brands_of_retailer(n).into_iter().map(|brand| self.retailer_brand(brand)).collect())
            }
            "rm_creative_templates" => each(&|n| self.templates(n)),
            "rm_categories" => each(&|n| self.categories(n)),
            "rm_retailer_pages" => {
                each(&|n| self.page_types(n).into_iter().map(|page| row(&json!({"page": page}))).collect())
            }
            _ => return None,
        })
    }
}

fn row(attributes: &Value) -> Value {
    json!({"attributes": attributes})
}

fn with(mut object: Value, parents: &Value) -> Value {
    for (name, value) in parents.as_object().into_iter().flatten() {
        object["attributes"][name] = value.clone();
    }
    object
}

/// One row per override: its period, start and amount.
fn overrides(object: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for (name, entries) in object["attributes"].as_object().into_iter().flatten() {
        let (period, start, amount) = match name.starts_with("daily") {
            true => ("daily", "startDate", "maxDailySpend"),
            false => ("monthly", "startMonth", "maxMonthlySpend"),
        };
        let entries = entries.as_array().into_iter().flatten();
        rows.extend(entries.map(|entry| {
            row(
                &json!({"period": period, "start": entry[start], "amount": entry[amount], "duration": entry["duration"],
                "status": entry["status"]}),
            )
        }));
    }
    rows
}
