//! The objects of Marketing Solutions, with the fields and enums of the `OpenAPI` documents. In a hostile world, nullable
//! fields are sometimes null, and strings contain unusual characters.

use chrono::{Days, NaiveDate};
use serde_json::{Map, Value, json};

use crate::world::{World, ad_id, ad_set_id, advertiser_id, campaign_id};

/// Datasets per advertiser.
const DATASETS: u32 = 2;
/// Product sets per dataset.
const PRODUCT_SETS: u32 = 3;
/// Audience segments per advertiser: one of each kind, and one more.
const SEGMENTS: u32 = 8;
/// Creatives per advertiser.
const CREATIVES: u32 = 60;
/// Coupons per advertiser.
const COUPONS: u32 = 3;

/// A JSON:API resource, including null fields.
#[expect(clippy::needless_pass_by_value, reason = "callers build the attributes inline")]
fn resource(kind: &str, id: &str, attributes: Value) -> Value {
    json!({"id": id, "type": kind, "attributes": attributes})
}

pub(crate) fn dataset_id(number: u32) -> String {
    // Leading zeros belong to the id.
    format!("00{}", 5001 + number)
}

fn product_set_id(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-{number:012}", number + 1)
}

fn segment_id(number: u32) -> String {
    (700_001 + number).to_string()
}

fn creative_id(number: u32) -> String {
    (800_001 + number).to_string()
}

fn coupon_id(number: u32) -> String {
    (400_001 + number).to_string()
}

fn audience_id(number: u32) -> String {
    (600_001 + number).to_string()
}

impl World {
    /// A stream's objects in an API version, for all advertisers with consent; `None` for an unknown name.
    #[must_use]
    pub fn objects(&self, name: &str, version: &str) -> Option<Vec<Value>> {
        let all = |count: u32, object: &dyn Fn(u32) -> Value| -> Vec<Value> {
            (0..self.options.advertisers * count).map(object).collect()
        };
        let options = &self.options;
        let objects = match name {
            "advertisers" => (0..options.advertisers + options.empty_advertisers)
                .map(|n| resource("advertiser", &advertiser_id(n), json!({"advertiserName": self.advertiser_name(n)})))
                .collect(),
            "campaigns" => all(options.campaigns, &|n| self.campaign(n)),
            "ad_sets" => all(options.campaigns * options.ad_sets, &|n| self.ad_set(n, version)),
            "ads" => all(self.ads_of_advertiser(), &|n| self.ad(n)),
            "creatives" => all(CREATIVES, &|n| self.creative(n)),
            "coupons" => all(COUPONS, &|n| self.coupon(n)),
            "audiences" => all(options.audiences, &|n| self.audience(n)),
            "audience_segments" => all(SEGMENTS, &|n| self.segment(n)),
            "product_sets" => all(DATASETS * PRODUCT_SETS, &|n| self.product_set(n)),
            _ => return None,
        };
        let objects =
            if matches!(name, "audiences" | "audience_segments") { self.with_inserted(objects) } else { objects };
        let consenting = self.consenting_ids();
        let is_visible = |object: &Value| match self.owner(name, object) {
            Some(advertiser) => consenting.contains(&advertiser),
            None => true,
        };
        Some(objects.into_iter().filter(is_visible).filter(|object| !self.is_deleted(object)).collect())
    }

    /// The ads, creatives or coupons of one advertiser.
    pub(crate) fn objects_of_advertiser(&self, kind: &str, advertiser: u32) -> Vec<Value> {
        let (count, object): (u32, &dyn Fn(u32) -> Value) = match kind {
            "ads" => (self.ads_of_advertiser(), &|n| self.ad(n)),
            "creatives" => (CREATIVES, &|n| self.creative(n)),
            _ => (COUPONS, &|n| self.coupon(n)),
        };
        let count = if advertiser < self.options.advertisers { count } else { 0 };
        let objects = (advertiser * count..(advertiser + 1) * count).map(object);
        objects.filter(|object| !self.is_deleted(object)).collect()
    }

    /// Whether an ad set with this number exists.
    pub(crate) fn has_ad_set(&self, number: u32) -> bool {
        let of_advertiser = self.options.campaigns * self.options.ad_sets;
        let advertiser = advertiser_id(number / of_advertiser);
        number < self.options.advertisers * of_advertiser
            && self.consenting_ids().contains(&advertiser)
            && !self.options.deleted_ids.contains(&ad_set_id(number))
    }

    fn is_deleted(&self, object: &Value) -> bool {
        self.options.deleted_ids.iter().any(|id| object["id"] == **id)
    }

    /// New objects before the others, which shift pages.
    fn with_inserted(&self, objects: Vec<Value>) -> Vec<Value> {
        let Some(model) = objects.first().cloned() else { return objects };
        let inserted = (0..self.options.inserted).map(|number| {
            let mut object = model.clone();
            object["id"] = json!((9_000_001 + number).to_string());
            object
        });
        inserted.chain(objects).collect()
    }

    /// The advertiser of an object.
    pub(crate) fn owner(&self, name: &str, object: &Value) -> Option<String> {
        let number = |first: u32, each: u32| {
            let id: u32 = object["id"].as_str()?.parse().ok()?;
            Some(advertiser_id(id.checked_sub(first)? / each))
        };
        match name {
            "advertisers" => object["id"].as_str().map(str::to_owned),
            "ads" => {
                let id: u64 = object["id"].as_str()?.parse().ok()?;
                let number = u32::try_from(id - 900_000_000_000_000_001).ok()?;
                Some(advertiser_id(number / self.ads_of_advertiser()))
            }
            "creatives" => number(800_001, CREATIVES),
            "product_sets" => {
                let dataset: u32 = object["attributes"]["datasetId"].as_str()?.parse().ok()?;
                Some(advertiser_id((dataset - 5001) / DATASETS))
            }
            _ => object["attributes"]["advertiserId"].as_str().map(str::to_owned),
        }
    }

    fn campaign(&self, number: u32) -> Value {
        let configuration = json!({"adSetOptimizationObjective": self.maybe(number, 1, "conversions")});
        resource(
            "Campaign",
            &campaign_id(number),
            json!({
                "id": campaign_id(number),
                "name": self.campaign_name(number),
                "advertiserId": advertiser_id(number / self.options.campaigns),
                "goal": self.maybe(number, 2, self.goal(number)),
                "spendLimit": self.maybe(number, 3, json!({
                    "spendLimitType": self.maybe(number, 4, "capped"),
                    "spendLimitRenewal": self.maybe(number, 5, "monthly"),
                    "spendLimitAmount": {"value": self.maybe(number, 6, self.spend_limit(number))},
                })),
                "budgetAutomation": self.maybe(number, 7, json!({
                    "enabled": self.maybe(number, 8, true),
                    "automatedBudgetConfiguration": self.maybe(number, 9, configuration),
                })),
            }),
        )
    }

    fn ad_set(&self, number: u32, version: &str) -> Value {
        let campaign = number / self.options.ad_sets;
        let advertiser = campaign / self.options.campaigns;
        let place = |values: &[&str]| json!({"value": {"operand": "in", "values": values}});
        let mut budget = json!({
            "budgetStrategy": self.maybe(number, 10, "capped"),
            "budgetRenewal": self.maybe(number, 11, "daily"),
            "budgetDeliverySmoothing": self.maybe(number, 12, "standard"),
            "budgetDeliveryWeek": self.maybe(number, 13, "mondayToSunday"),
            "budgetAmount": self.budget(number),
        });
        if version >= "2026-07" {
            budget["pacingBehavior"] = self.maybe(number, 14, "targetFullBudget");
        }
        resource(
            "ReadAdSetV26Q1",
            &ad_set_id(number),
            json!({
                "name": self.ad_set_name(number),
                "advertiserId": advertiser_id(advertiser),
                "campaignId": campaign_id(campaign),
                "datasetId": dataset_id(advertiser * DATASETS + number % DATASETS),
                "objective": self.maybe(number, 15, "conversions"),
                "destinationEnvironment": self.maybe(number, 16, "web"),
                "mediaType": self.maybe(number, 17, if self.options.hostile { "video" } else { "display" }),
                "videoChannel": if self.options.hostile { self.maybe(number, 18, "olv") } else { Value::Null },
                "schedule": self.maybe(number, 19, json!({
                    "startDate": {"value": "2025-01-15T00:00:00+01:00"},
                    "endDate": {"value": self.maybe(number, 20, "2027-01-01T00:00:00Z")},
                    "activationStatus": self.maybe(number, 21, "on"),
                    "deliveryStatus": self.maybe(number, 22, "live"),
                })),
                "bidding": self.maybe(number, 23, json!({"bidAmount": self.bid(campaign), "costController": "maxCPC"})),
                "budget": self.maybe(number, 24, budget),
                "targeting": self.maybe(number, 25, json!({
                    "deliveryLimitations": self.maybe(number, 26, json!({
                        "devices": ["desktop", "mobile"], "environments": ["web"], "operatingSystems": [],
                    })),
                    "geoLocation": self.maybe(number, 27, json!({
                        "countries": place(&["FR", "DE"]), "subdivisions": {"value": null}, "zipCodes": place(&["75001"]),
                    })),
                    "frequencyCapping": {"value": self.maybe(number, 28,
                        json!({"frequency": "daily", "maximumImpressions": 12}))},
                })),
                "attributionConfiguration": self.maybe(number, 29,
                    json!({"attributionMethod": "criteoAttribution", "lookbackWindow": "30D"})),
            }),
        )
    }

    fn ad(&self, number: u32) -> Value {
        let path = self.ad_path(number);
        resource(
            "Ad",
            &ad_id(number),
            json!({
                "id": ad_id(number),
                "name": self.ad_name(number),
                "description": self.maybe(number, 30, self.text(number)),
                "adSetId": ad_set_id(self.ad_set_number(path)),
                "creativeId": creative_id(path.advertiser * CREATIVES + path.ad % CREATIVES),
                "inventoryType": self.maybe(number, 31, "Display"),
                "startDate": self.maybe(number, 32, "2025-02-01"),
                "endDate": self.maybe(number, 33, "2027-02-01"),
            }),
        )
    }

    fn creative(&self, number: u32) -> Value {
        let image = |shape: &str| json!({"shape": shape, "url": "https://cdn.example/i.png?a=1&b=%20"});
        let mut attributes = json!({
            "name": self.object_name("Creative", number, number % CREATIVES),
            "author": "author@example.com",
            "status": "Ready",
            "advertiserId": advertiser_id(number / CREATIVES),
            "datasetId": self.maybe(number, 34, dataset_id(number / CREATIVES * DATASETS)),
            "description": self.maybe(number, 35, self.text(number)),
            "format": null,
            "imageAttributes": null,
            "htmlTagAttributes": null,
            "dynamicAttributes": null,
            "adaptiveAttributes": null,
        });
        let (format, member, value) = match number % 4 {
            0 => (
                "Image",
                "imageAttributes",
                json!({"landingPageUrl": "https://shop.example/", "urls": ["https://cdn.example/1.png"]}),
            ),
            1 => (
                "HtmlTag",
                "htmlTagAttributes",
                json!({"tags": [{"htmlTag": "<div>\n</div>", "size": {"width": 300, "height": 250}}]}),
            ),
            2 => (
                "Dynamic",
                "dynamicAttributes",
                json!({
                    "logos": [image("Square")], "creativeBackgroundColor": "FFFFFF", "bodyTextColor": null, "pricesColor": "000000",
                    "primaryFont": "Arial", "callsToAction": ["Buy"], "productImageDisplay": "ShowFullImage",
                }),
            ),
            _ => (
                "Adaptive",
                "adaptiveAttributes",
                json!({
                    "callsToAction": ["Shop"], "descriptionFont": "Arial", "descriptionText": self.text(number), "headlineFont": "Arial",
                    "headlineText": "Headline", "imageDisplay": "ZoomOnImage", "landingPageUrl": "https://shop.example/",
                    "layouts": ["Editorial"], "logos": [image("Square")], "videos": [{"duration": 12.5, "shape": "Vertical", "url": "https://cdn.example/v.mp4"}],
                    "imageSets": [{"headlineText": null, "images": [image("Horizontal")]}],
                    "colors": {"backgroundColor": "FFFFFF", "ctaBackgroundColor": "000000", "ctaTextColor": "FFFFFF",
                        "logoAreaAndTitleColor": "333333", "text1Color": "111111", "text2Color": "222222"},
                }),
            ),
        };
        attributes["format"] = json!(format);
        attributes[member] = value;
        resource("Creative", &creative_id(number), attributes)
    }

    fn coupon(&self, number: u32) -> Value {
        let advertiser = number / COUPONS;
        resource(
            "Coupon",
            &coupon_id(number),
            json!({
                "id": coupon_id(number),
                "name": self.object_name("Coupon", number, number % COUPONS),
                "description": self.maybe(number, 36, self.text(number)),
                "author": self.maybe(number, 37, "author@example.com"),
                "advertiserId": advertiser_id(advertiser),
                "adSetId": ad_set_id(advertiser * self.options.campaigns * self.options.ad_sets),
                "format": "FullFrame",
                "images": [{"width": 300, "height": 250, "slideUrls": ["https://cdn.example/c.png"]}],
                "landingPageUrl": self.maybe(number, 38, "https://shop.example/"),
                "rotationsNumber": 3, "showDuration": 5, "showEvery": self.maybe(number, 39, 10),
                "startDate": "2026-01-01", "endDate": self.maybe(number, 40, "2026-12-31"),
                "status": "Running",
            }),
        )
    }

    fn audience(&self, number: u32) -> Value {
        let segment = |offset: u32| json!({"audienceSegmentId": segment_id((number + offset) % SEGMENTS)});
        resource(
            "Audience",
            &audience_id(number),
            json!({
                "name": self.object_name("Audience", number, number % self.options.audiences.max(1)),
                "description": self.maybe(number, 41, self.text(number)),
                "advertiserId": advertiser_id(number / self.options.audiences.max(1)),
                "adSetIds": self.maybe(number, 42, json!([ad_set_id(number % 3)])),
                "algebra": self.maybe(number, 43, json!({"and": [segment(0), {"not": {"or": [segment(1), segment(2)]}}]})),
                "createdAt": "2026-01-02T03:04:05.678Z",
                "updatedAt": self.maybe(number, 44, "2026-02-03T04:05:06+02:00"),
            }),
        )
    }

    fn segment(&self, number: u32) -> Value {
        let kinds = [
            (
                "InMarket",
                "inMarket",
                json!({"country": "FR", "brandIds": ["1", "2"], "interestIds": [], "gender": "Female",
                "buyingPower": ["High"], "priceRange": ["Low", "Medium"]}),
            ),
            (
                "Prospecting",
                "prospecting",
                json!({"daysSinceLastVisitMin": 1, "daysSinceLastVisitMax": null, "usersType": "Prospects"}),
            ),
            ("ContactList", "contactList", json!({"isReadOnly": false})),
            (
                "Location",
                "location",
                json!({"pointsOfInterest": [{"name": if self.options.hostile { "Tour Eiffel" } else { "City centre" }, "latitude": 48.8584, "longitude": 2.2945}],
                "radiusInKm": 5, "registryType": "PointOfInterest"}),
            ),
            (
                "Behavioral",
                "behavioral",
                json!({"category": "LifeEvents", "country": "DE", "startDate": null, "endDate": null}),
            ),
            (
                "Retargeting",
                "retargeting",
                json!({"daysSinceLastVisitMin": null, "daysSinceLastVisitMax": 30, "visitorsType": "Buyers"}),
            ),
            (
                "Lookalike",
                "lookalike",
                json!({"seedSegmentId": segment_id(0), "targetSize": if self.options.hostile { 5_000_000_000_i64 } else { 500_000 }}),
            ),
            (
                "InMarket",
                "inMarket",
                json!({"country": "US", "brandIds": null, "interestIds": ["7"], "gender": null,
                "buyingPower": null, "priceRange": null}),
            ),
        ];
        let mut attributes: Map<String, Value> =
            kinds.iter().map(|(_, member, _)| ((*member).to_owned(), Value::Null)).collect();
        let (kind, member, value) = &kinds[number as usize % kinds.len()];
        attributes.insert((*member).to_owned(), value.clone());
        for (name, value) in [
            ("type", json!(kind)),
            ("name", json!(self.object_name("Segment", number, number % SEGMENTS))),
            ("description", self.maybe(number, 45, self.text(number))),
            ("advertiserId", json!(advertiser_id(number / SEGMENTS))),
            ("createdAt", json!("2026-01-02T03:04:05Z")),
            ("updatedAt", self.maybe(number, 46, "2026-03-04T05:06:07.89Z")),
        ] {
            attributes.insert(name.to_owned(), value);
        }
        resource("AudienceSegment", &segment_id(number), Value::Object(attributes))
    }

    fn product_set(&self, number: u32) -> Value {
        let dataset = number / PRODUCT_SETS;
        resource(
            "ProductSet",
            &product_set_id(number),
            json!({
                "id": product_set_id(number),
                "name": self.object_name("Product set", number, number % PRODUCT_SETS),
                "datasetId": dataset_id(dataset),
                "clientType": "CGrowth",
                // US order, as in the documents' example.
                "creationDate": "02/25/2022 14:51:26",
                "isFallbackAllowed": true,
                "keepVariantProducts": false,
                "minimumNumberOfProducts": 1,
                "numberOfProducts": self.maybe(number, 47, self.product_count(number)),
                "status": "Valid",
                "rules": [{"field": "Brand", "operator": "IsIn", "values": self.rule_values()}, {"field": null, "operator": null, "values": null}],
            }),
        )
    }

    /// An ad set's bids by category.
    pub(crate) fn category_bids(&self, ad_set: u32) -> Vec<Value> {
        let category = |n: u32| {
            resource(
                "CategoryBid",
                &format!("{}", 70 + n),
                json!({
                    "categoryName": self.maybe(ad_set, u64::from(50 + n), self.category_text(n)),
                    "bidAmount": if self.options.hostile { 0.1 * f64::from(n + 1) } else { self.bid(ad_set / self.options.ad_sets) },
                }),
            )
        };
        (0..ad_set % 4).map(category).collect()
    }

    /// The display multipliers of an ad set.
    pub(crate) fn display_multipliers(&self, ad_set: u32) -> Vec<Value> {
        let category = |n: u32| {
            resource(
                "DisplayMultiplier",
                &format!("{}", 70 + n),
                json!({
                    "categoryName": self.category_text(n), "displayMultiplier": self.maybe(ad_set, u64::from(60 + n), 1.25),
                }),
            )
        };
        (0..ad_set % 3).map(category).collect()
    }

    // new-stream: a function per stream
    /// Brands or interests for an advertiser's targeting in a country.
    pub(crate) fn in_market(&self, brands: bool, advertiser: u32, country: &str) -> Vec<Value> {
        let count = if ["FR", "DE", "US"].contains(&country) { 4 } else { 0 };
        (0..count)
            .map(|n| {
                let id = (n + 1).to_string();
                if brands {
                    let attributes =
                        json!({"name": self.maybe(n, 48, self.brand_name(n)), "size": self.brand_size(advertiser + n)});
                    resource("InMarketBrand", &id, attributes)
                } else {
                    resource(
                        "InMarketInterest",
                        &id,
                        json!({"parentId": if n == 0 { Value::Null } else { json!("1") }}),
                    )
                }
            })
            .collect()
    }

    /// Number of people in a contact list known to Criteo; only for segments of that kind.
    pub(crate) fn contact_list(segment: &Value) -> Option<Value> {
        let id = segment["id"].as_str().filter(|_| segment["attributes"]["type"] == "ContactList")?;
        let attributes = json!({"numberOfIdentifiers": 1000, "numberOfMatches": 423, "matchRate": 0.423});
        Some(resource("ContactListStatistics", id, attributes))
    }

    /// Filters of ads, each with a product set.
    pub(crate) fn product_filters(&self) -> Vec<Value> {
        self.pairs(3)
            .into_iter()
            .map(|(ad, set)| json!({"type": "ProductFilter", "attributes": {"adId": ad_id(ad), "productSetId": product_set_id(set)}}))
            .collect()
    }

    /// Boosts of ads, each with a product set.
    pub(crate) fn product_boosts(&self) -> Vec<Value> {
        let modified = |n: u32| (NaiveDate::default() + Days::new(20_000 + u64::from(n))).to_string();
        self.pairs(2)
            .into_iter()
            .map(|(ad, set)| {
                json!({"type": "ProductBoost", "attributes": {"adId": ad_id(ad), "productSetId": product_set_id(set),
                    "boostingFactor": 1.5, "modificationDate": modified(ad)}})
            })
            .collect()
    }

    /// Every `every`-th ad with a product set of its advertiser.
    fn pairs(&self, every: u32) -> Vec<(u32, u32)> {
        let ads = 0..self.options.advertisers * self.ads_of_advertiser();
        let consenting = self.consenting_ids();
        ads.filter(|ad| ad % every == 0)
            .filter(|ad| consenting.contains(&advertiser_id(self.ad_path(*ad).advertiser)))
            .map(|ad| (ad, self.ad_path(ad).advertiser * DATASETS * PRODUCT_SETS + ad % PRODUCT_SETS))
            .collect()
    }
}
