//! Marketplace performance outcomes: bare lists, with numeric ids for advertisers and campaigns and strings otherwise.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::manners::{Report, Row, Table};
use crate::problem::Problem;
use crate::world::{World, advertiser_id};

/// Sellers per advertiser.
const SELLERS: u32 = 3;
/// Maximum days of statistics, by day and by hour.
const MAX_DAYS: i64 = 366;
const MAX_DAYS_BY_HOUR: i64 = 31;

type Query = BTreeMap<String, String>;

fn seller_id(number: u32) -> String {
    (50_001 + number).to_string()
}

fn number_of(id: &str, first: u32, count: u32) -> Option<u32> {
    let number = id.parse::<u32>().ok()?.checked_sub(first)?;
    (number < count).then_some(number)
}

/// Whether a row passes a filter of the query.
fn passes(query: &Query, name: &str, value: &str) -> bool {
    query.get(name).is_none_or(|wanted| wanted == value)
}

impl World {
    pub(crate) fn consenting_numbers(&self) -> Vec<u32> {
        let ids = self.consenting_ids();
        (0..self.options.advertisers).filter(|number| ids.contains(&advertiser_id(*number))).collect()
    }

    /// Everything below `marketplace-performance-outcomes` except statistics; `None` for unknown paths.
    pub(crate) fn marketplace(&self, path: &[&str], query: &Query) -> Option<Value> {
        let advertisers = self.consenting_numbers();
        let find = |id: &str| number_of(id, 1001, self.options.advertisers).filter(|n| advertisers.contains(n));
        let all = advertisers.as_slice();
        Some(match path {
            ["advertisers"] => all.iter().map(|n| self.mpo_advertiser(*n)).collect(),
            ["advertisers", "preview-limit"] => all.iter().map(|n| preview_limit(*n)).collect(),
            ["advertisers", id] => self.mpo_advertiser(find(id)?),
            ["advertisers", id, "adsets"] => self.mpo_ad_sets(find(id)?),
            ["advertisers", id, "campaigns"] => self.mpo_campaigns(find(id)?),
            ["advertisers", id, "budgets"] => self.mpo_budgets(&[find(id)?], query),
            ["advertisers", id, "seller-campaigns"] => self.mpo_seller_campaigns(&[find(id)?], query),
            ["budgets"] => self.mpo_budgets(all, query),
            ["budgets", id] => one(self.mpo_budgets(all, &with_finished(query)), id)?,
            ["sellers"] => self.mpo_sellers(all, query),
            ["sellers", id] => one(self.mpo_sellers(all, query), id)?,
            ["sellers", id, "budgets"] => self.mpo_budgets(all, &with(query, "sellerId", id)),
            ["sellers", id, "seller-campaigns"] => self.mpo_seller_campaigns(all, &with(query, "sellerId", id)),
            ["seller-campaigns"] => self.mpo_seller_campaigns(all, query),
            ["seller-campaigns", id] => one(self.mpo_seller_campaigns(all, query), id)?,
            ["seller-campaigns", id, "budgets"] => {
                let (seller, campaign) = id.split_once('.')?;
                self.mpo_budgets(all, &with(&with(query, "sellerId", seller), "campaignId", campaign))
            }
            _ => return None,
        })
    }

    fn mpo_advertiser(&self, number: u32) -> Value {
        let zone = if number.is_multiple_of(2) { json!("Europe/Paris") } else { Value::Null };
        json!({"id": 1001 + number, "advertiserName": self.advertiser_name(number), "currencyName": "EUR", "timeZoneId": zone})
    }

    fn mpo_campaigns(&self, advertiser: u32) -> Value {
        let numbers = advertiser * self.options.campaigns..(advertiser + 1) * self.options.campaigns;
        // The documents have a number and the SDK a string: null is valid for both.
        numbers
            .map(|n| json!({"id": 200_001 + n, "campaignName": self.campaign_name(n), "adSetDeliveryStatus": "Running", "status": null}))
            .collect()
    }

    fn mpo_ad_sets(&self, advertiser: u32) -> Value {
        let count = self.options.campaigns * self.options.ad_sets;
        (advertiser * count..(advertiser + 1) * count)
            .map(|n| {
                let status = ["Running", "Archived", "NotRunning"][n as usize % 3];
                json!({"adsetId": 300_001 + n, "adsetName": self.ad_set_name(n), "advertiserId": 1001 + advertiser, "isCoa": n % 2 == 0,
                    "partnerId": 9001 + advertiser, "status": status})
            })
            .collect()
    }

    fn mpo_sellers(&self, advertisers: &[u32], query: &Query) -> Value {
        let sellers = advertisers.iter().flat_map(|a| a * SELLERS..(a + 1) * SELLERS);
        sellers
            .filter(|n| passes(query, "advertiserId", &advertiser_id(n / SELLERS)))
            .map(|n| json!({"id": seller_id(n), "sellerName": self.seller_name(n)}))
            .collect()
    }

    fn mpo_seller_campaigns(&self, advertisers: &[u32], query: &Query) -> Value {
        let mut rows = Vec::new();
        for (advertiser, seller, campaign) in self.seller_campaigns(advertisers) {
            let is_wanted = passes(query, "advertiserId", &advertiser_id(advertiser))
                && passes(query, "sellerId", &seller_id(seller))
                && passes(query, "campaignId", &(200_001 + campaign).to_string());
            if !is_wanted {
                continue;
            }
            let is_suspended = seller % 2 == 1;
            rows.push(json!({
                "id": format!("{}.{}", seller_id(seller), 200_001 + campaign),
                "sellerId": seller_id(seller),
                "campaignId": 200_001 + campaign,
                "bid": if is_suspended { Value::Null } else { json!(0.25) },
                "suspendedSince": if is_suspended { json!("2026-05-06T07:08:09Z") } else { Value::Null },
                "suspensionReasons": if is_suspended { json!(["NoMoreBudget"]) } else { json!([]) },
                "productSet": if is_suspended { Value::Null } else {
                    json!({"productSetNumberOfProducts": 12, "productSetStatus": "Valid", "rules": [{"field": "Brand"}]})
                },
            }));
        }
        Value::Array(rows)
    }

    /// Every combination of seller and campaign of an advertiser.
    fn seller_campaigns(&self, advertisers: &[u32]) -> Vec<(u32, u32, u32)> {
        let campaigns = self.options.campaigns;
        let of_advertiser = |a: u32| (a * SELLERS..(a + 1) * SELLERS).map(move |s| (a, s));
        let of_seller = |(a, s): (u32, u32)| (a * campaigns..(a + 1) * campaigns).map(move |c| (a, s, c));
        advertisers.iter().flat_map(|a| of_advertiser(*a)).flat_map(of_seller).collect()
    }

    /// Finished budgets are only included on request.
    fn mpo_budgets(&self, advertisers: &[u32], query: &Query) -> Value {
        let mut rows = Vec::new();
        for (advertiser, seller, campaign) in self.seller_campaigns(advertisers) {
            for (index, status) in ["Archived", "Current"].iter().enumerate() {
                let is_finished = index == 0;
                let is_with_spend = query.get("withSpend").is_some_and(|with| with == "true");
                let spend = match ((seller + campaign) % 3, self.options.unknowns.get("with_spend")) {
                    (_, "adds_spend") if !is_with_spend => Value::Null,
                    (0, _) => json!(123.45),
                    (1, _) => json!(0),
                    _ => Value::Null,
                };
                // All of it was spent on the first day of the year.
                let is_cut = self.options.unknowns.get("budget_spend") == "cut"
                    && query.get("endAfterDate").is_some_and(|day| day.as_str() < "2026-01-01");
                let spend = if is_cut && !spend.is_null() { json!(0) } else { spend };
                let has_spend = spend.as_f64().is_some_and(|spend| spend > 0.0);
                let is_left_out = is_with_spend && !has_spend && self.options.unknowns.get("with_spend") == "filters";
                let is_wanted = !is_left_out
                    && passes(query, "advertiserId", &advertiser_id(advertiser))
                    && passes(query, "sellerId", &seller_id(seller))
                    && passes(query, "campaignId", &(200_001 + campaign).to_string())
                    && passes(query, "status", status)
                    && (!is_finished || query.get("endAfterDate").is_some_and(|day| day.as_str() < "2026-03-31"));
                if is_wanted {
                    rows.push(json!({
                        "id": ((seller * 100 + campaign) * 2 + u32::from(!is_finished) + 60_001).to_string(),
                        "sellerId": seller_id(seller),
                        "campaignIds": [200_001 + campaign],
                        "budgetType": if is_finished { "Capped" } else { "Uncapped" },
                        "status": status,
                        "isSuspended": false,
                        "amount": if is_finished { json!(500.25) } else { Value::Null },
                        "spend": spend,
                        "startDate": "2026-01-01",
                        "endDate": if is_finished { "2026-03-31" } else { "" },
                    }));
                }
            }
        }
        Value::Array(rows)
    }

    /// The rows of `stats/…` as objects, and the zone of their times; the query's values are strings.
    pub(crate) fn marketplace_rows(&self, what: &str, query: &Value) -> Result<(Vec<Row>, Tz), Problem> {
        let members = query.as_object().into_iter().flatten();
        let query = members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        self.marketplace_table(what, &query)
    }

    /// The response of `stats/campaigns`, `stats/sellers` and `stats/seller-campaigns`.
    pub(crate) fn marketplace_statistics(&self, what: &str, query: &Query) -> Result<Value, Problem> {
        let (rows, timezone) = self.marketplace_table(what, query)?;
        let is_linked = self.options.unknowns.get("marketplace_links") == "next"
            && self.options.unknowns.get("marketplace_shape") == "columns_data_rows"
            && query.get("startDate") != query.get("endDate");
        let cap = if is_linked { rows.len() / 2 } else { usize::MAX };
        Ok(self.tell(Table {
            report: Report::Marketplace,
            rows,
            timezone,
            advertisers: usize::from(query.contains_key("advertiserId")),
            currency: None,
            additive: Vec::new(),
            cap,
        }))
    }

    fn marketplace_table(&self, what: &str, query: &Query) -> Result<(Vec<Row>, Tz), Problem> {
        let day = |name: &str| -> Result<Option<NaiveDate>, Problem> {
            let Some(text) = query.get(name) else { return Ok(None) };
            let day = text.get(..10).unwrap_or(text).parse();
            day.map(Some).map_err(|_| Problem::validation("invalid-date-format", "The date format is not valid", text))
        };
        let end = day("endDate")?.unwrap_or(self.options.today);
        let start = day("startDate")?.unwrap_or(end);
        let interval = query.get("intervalSize").map_or("Day", String::as_str);
        if !["Hour", "Day", "Month", "Year"].contains(&interval) {
            return Err(Problem::validation("invalid", "The interval is not one of those allowed", interval));
        }
        let most = if interval == "Hour" { MAX_DAYS_BY_HOUR } else { MAX_DAYS };
        if end < start || (end - start).num_days() >= most {
            return Err(Problem::validation(
                "invalid-timespan",
                "The timespan is not valid",
                format!("at most {most} days"),
            ));
        }
        let policy = query.get("clickAttributionPolicy").map_or("AnySeller", String::as_str);
        let ids: &[&str] = match what {
            "campaigns" => &["campaignId"],
            "sellers" => &["sellerId", "sellerName"],
            "seller-campaigns" => &["campaignId", "sellerId", "sellerName"],
            _ => return Err(Problem::not_found(what)),
        };
        let suffixes: &[&str] = match policy {
            "AnySeller" => &[""],
            "SameSeller" => &["SameSeller"],
            "Both" => &["", "SameSeller"],
            _ => return Err(Problem::validation("invalid", "The policy is not one of those allowed", policy)),
        };
        let time = interval.to_ascii_lowercase();
        let counts = ids.iter().copied().chain([time.as_str(), "impressions", "clicks", "cost"]).map(str::to_owned);
        let sales = ["saleUnits", "revenue", "cr", "cpo", "cos", "roas"];
        let sales = suffixes.iter().flat_map(|suffix| sales.map(|name| format!("{name}{suffix}")));
        let columns: Vec<String> = counts.chain(sales).collect();
        let mut rows: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
        let mut current = start;
        while current <= end.min(self.options.today) {
            let period = match interval {
                "Hour" => format!("{current}T12:00:00"),
                "Month" => format!("{}-{:02}-01", current.year(), current.month()),
                "Year" => format!("{}-01-01", current.year()),
                _ => current.to_string(),
            };
            for (advertiser, seller, campaign) in self.seller_campaigns(&self.consenting_numbers()) {
                let campaign_id = (200_001 + campaign).to_string();
                let is_wanted = passes(query, "advertiserId", &advertiser_id(advertiser))
                    && passes(query, "sellerId", &seller_id(seller))
                    && passes(query, "campaignId", &campaign_id);
                if !is_wanted {
                    continue;
                }
                let names = [campaign_id, seller_id(seller), self.seller_name(seller)];
                let key: Vec<String> = match what {
                    "campaigns" => vec![names[0].clone()],
                    "sellers" => names[1..].to_vec(),
                    _ => names.to_vec(),
                };
                let random = |salt, count: u64| {
                    let day = u64::from(current.to_epoch_days().unsigned_abs());
                    let random = self.random(&[u64::from(seller), u64::from(campaign), day, salt]) % count;
                    i64::try_from(random).unwrap_or(0)
                };
                let sums = rows.entry(key.into_iter().chain([period.clone()]).collect()).or_default();
                let (clicks, cost, same_seller) = if self.options.hostile {
                    (random(1, 50), random(2, 9_000), random(3, 3))
                } else {
                    let clicks = 60 + random(1, 180);
                    (clicks, clicks * (28 + random(2, 25)), clicks * (12 + random(3, 16)) / 1_000)
                };
                sums.clicks += clicks;
                sums.cost += cost;
                sums.same_seller += same_seller;
                // A sale of the same seller also counts for any seller.
                sums.any_seller += same_seller + random(4, 3);
            }
            current = current + Days::new(1);
        }
        let most_rows = query.get("count").and_then(|count| count.parse().ok()).unwrap_or(usize::MAX);
        let zone = query.get("timeZoneId").and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
        let named = |values: Vec<Value>| columns.iter().cloned().zip(values).collect();
        Ok((rows.into_iter().take(most_rows).map(|(key, sums)| named(sums.row(key, policy))).collect(), zone))
    }
}

/// Integer sums; money in hundredths.
#[derive(Debug, Default)]
struct Sums {
    clicks: i64,
    cost: i64,
    any_seller: i64,
    same_seller: i64,
}

impl Sums {
    fn row(&self, key: Vec<String>, policy: &str) -> Vec<Value> {
        let money = |hundredths: i64| {
            json!(format!("{}.{:02}", hundredths / 100, hundredths % 100).parse::<f64>().unwrap_or(0.0))
        };
        let mut row: Vec<Value> = key.into_iter().map(Value::from).collect();
        row.extend([json!(self.clicks * 40), json!(self.clicks), money(self.cost)]);
        for (name, sales) in [("AnySeller", self.any_seller), ("SameSeller", self.same_seller)] {
            if policy != name && policy != "Both" {
                continue;
            }
            let revenue = sales * 3_050;
            // A division by zero is null.
            let quotient = |of: i64, by: i64| {
                let quotient = i32::try_from(of).ok().zip(i32::try_from(by).ok()).filter(|(_, by)| *by != 0);
                quotient.map_or(Value::Null, |(of, by)| json!(f64::from(of) / f64::from(by)))
            };
            row.extend([json!(sales), money(revenue), quotient(sales, self.clicks)]);
            row.extend([quotient(self.cost, sales * 100), quotient(self.cost, revenue), quotient(revenue, self.cost)]);
        }
        row
    }
}

fn preview_limit(number: u32) -> Value {
    json!({"advertiserId": 1001 + number, "quotaLimit": 100, "quotaUsed": if number == 0 { Value::Null } else { json!(3) },
        "quotaStartDate": "2026-10-01T00:00:00Z", "quotaEndDate": "2026-11-01T00:00:00Z"})
}

fn with(query: &Query, name: &str, value: &str) -> Query {
    let mut query = query.clone();
    query.insert(name.to_owned(), value.to_owned());
    query
}

fn with_finished(query: &Query) -> Query {
    with(query, "endAfterDate", "2026-03-30")
}

/// The row with this id.
fn one(rows: Value, id: &str) -> Option<Value> {
    let Value::Array(rows) = rows else { return None };
    rows.into_iter().find(|row| row["id"] == id)
}
