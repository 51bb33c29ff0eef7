//! The objects: portfolio, campaigns, ad sets, audiences.

use serde_json::{Value, json};

use crate::problem::Problem;
use crate::world::{World, ad_set_id, ad_set_name, advertiser_id, advertiser_name, campaign_id, campaign_name};

/// The most audiences on one page.
const MOST_ON_PAGE: usize = 100;

impl World {
    /// `GET /{version}/advertisers/me`: the advertisers that have given their consent.
    #[must_use]
    pub fn portfolio(&self) -> Vec<Value> {
        let ids = self.consenting_ids();
        let all = 0..self.options.advertisers;
        all.filter(|advertiser| ids.contains(&advertiser_id(*advertiser)))
            .map(|advertiser| {
                json!({"id": advertiser_id(advertiser), "type": "advertiser",
                    "attributes": {"advertiserName": advertiser_name(advertiser)}})
            })
            .collect()
    }

    /// All campaigns of advertisers with consent.
    #[must_use]
    pub fn campaigns(&self) -> Vec<Value> {
        let numbers = 0..self.options.advertisers * self.options.campaigns;
        let campaigns = numbers.map(|number| {
            let is_capped = number % 2 == 0;
            json!({"id": campaign_id(number), "type": "Campaign", "attributes": {
                "id": campaign_id(number),
                "name": campaign_name(number),
                "advertiserId": advertiser_id(number / self.options.campaigns),
                "goal": if is_capped { json!("acquisition") } else { Value::Null },
                "spendLimit": {
                    "spendLimitType": if is_capped { "capped" } else { "uncapped" },
                    "spendLimitRenewal": if is_capped { json!("monthly") } else { Value::Null },
                    "spendLimitAmount": {"value": if is_capped { json!(1234.5) } else { Value::Null }},
                },
                "budgetAutomation": {
                    "enabled": is_capped,
                    "automatedBudgetConfiguration":
                        if is_capped { json!({"adSetOptimizationObjective": "conversions"}) } else { Value::Null },
                },
            }})
        });
        self.visible(campaigns)
    }

    /// All ad sets of advertisers with consent.
    #[must_use]
    pub fn ad_sets(&self) -> Vec<Value> {
        let numbers = 0..self.options.advertisers * self.options.campaigns * self.options.ad_sets;
        let ad_sets = numbers.map(|number| {
            let campaign = number / self.options.ad_sets;
            let is_open = number % 2 == 0;
            json!({"id": ad_set_id(number), "type": "ReadAdSetV26Q1", "attributes": {
                "name": ad_set_name(number),
                "advertiserId": advertiser_id(campaign / self.options.campaigns),
                "campaignId": campaign_id(campaign),
                "datasetId": (5001 + campaign / self.options.campaigns).to_string(),
                "objective": "conversions",
                "destinationEnvironment": "web",
                "mediaType": "display",
                "videoChannel": null,
                "schedule": {
                    "startDate": {"value": "2025-01-15T00:00:00+01:00"},
                    "endDate": {"value": if is_open { Value::Null } else { json!("2027-01-01T00:00:00Z") }},
                    "activationStatus": "on",
                    "deliveryStatus": "live",
                },
                "bidding": {"bidAmount": 0.35, "costController": "maxCPC"},
                "budget": {
                    "budgetStrategy": "capped", "budgetRenewal": "daily", "budgetDeliverySmoothing": "standard",
                    "budgetDeliveryWeek": "undefined", "budgetAmount": {"value": 123_456_789_012.34},
                    "pacingBehavior": "undefined",
                },
                "targeting": {
                    "deliveryLimitations": {
                        "devices": ["desktop", "mobile"], "environments": ["web"], "operatingSystems": [],
                    },
                    "geoLocation": if is_open { Value::Null } else { json!({
                        "countries": {"value": {"operand": "in", "values": ["FR", "DE"]}},
                        "subdivisions": {"value": null},
                        "zipCodes": {"value": null},
                    })},
                    "frequencyCapping": {"value": {"frequency": "daily", "maximumImpressions": 12}},
                },
                "attributionConfiguration": {"attributionMethod": "criteoAttribution", "lookbackWindow": "30D"},
            }})
        });
        self.visible(ad_sets)
    }

    /// All audiences of advertisers with consent.
    #[must_use]
    pub fn audiences(&self) -> Vec<Value> {
        let numbers = 0..self.options.advertisers * self.options.audiences;
        let audiences = numbers.map(|number| {
            json!({"id": (600_001 + number).to_string(), "type": "Audience", "attributes": {
                "name": format!("Audience {}", number + 1),
                "description": if number % 2 == 0 { Value::Null } else { json!("line one\nline two") },
                "advertiserId": advertiser_id(number / self.options.audiences),
                "adSetIds": [ad_set_id(number % 3)],
                "algebra": {"and": [{"audienceSegmentId": "71"}, {"not": {"audienceSegmentId": "72"}}]},
                "createdAt": "2026-01-02T03:04:05.678Z",
                "updatedAt": "2026-02-03T04:05:06+02:00",
            }})
        });
        self.visible(audiences)
    }

    fn visible(&self, objects: impl Iterator<Item = Value>) -> Vec<Value> {
        let ids = self.consenting_ids();
        objects.filter(|object| is_of(object, &ids)).collect()
    }
}

fn is_of(object: &Value, advertisers: &[String]) -> bool {
    object["attributes"]["advertiserId"].as_str().is_some_and(|id| advertisers.iter().any(|known| known == id))
}

/// The objects that pass `filters`, a map of lists; an empty list restricts nothing.
fn filtered(objects: Vec<Value>, filters: &Value, id_filter: &str) -> Vec<Value> {
    let texts = |name: &str| -> Vec<String> {
        filters[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (advertisers, ids) = (texts("advertiserIds"), texts(id_filter));
    let passes = |object: &Value| {
        (advertisers.is_empty() || is_of(object, &advertisers))
            && (ids.is_empty() || object["id"].as_str().is_some_and(|id| ids.iter().any(|known| known == id)))
    };
    objects.into_iter().filter(passes).collect()
}

/// `{"filters":{…}}` → everything at once.
pub(crate) fn search(objects: Vec<Value>, body: &Value, id_filter: &str) -> Value {
    json!({"data": filtered(objects, &body["filters"], id_filter), "errors": [], "warnings": []})
}

/// `{"data":{"type":…,"attributes":{…}}}` → a page.
pub(crate) fn paged_search(
    objects: Vec<Value>,
    body: &Value,
    id_filter: &str,
    limit: Option<usize>,
    offset: Option<usize>,
) -> Result<Value, Problem> {
    if !body["data"]["attributes"].is_object() {
        return Err(Problem::validation("required-field", "The body lacks data.attributes", ""));
    }
    let limit = limit.unwrap_or(50);
    if limit > MOST_ON_PAGE {
        return Err(Problem::validation("invalid", "limit must not exceed 100", limit.to_string()));
    }
    let objects = filtered(objects, &body["data"]["attributes"], id_filter);
    let total = objects.len();
    let page: Vec<_> = objects.into_iter().skip(offset.unwrap_or(0)).take(limit).collect();
    Ok(json!({"data": page, "meta": {"totalItems": total, "limit": limit, "offset": offset.unwrap_or(0)},
        "errors": [], "warnings": []}))
}
