//! Searches by `POST`, categories and advice.

use serde_json::{Value, json};

use crate::problem::Problem;
use crate::retail_media::ids::{Kind, Side, retailer_id};
use crate::retail_media::paging::{Counters, Limits};
use crate::retail_media::routes::{Asked, item, list};
use crate::statistics::{known_members, optional_list};

impl Asked<'_> {
    /// The attributes of a body `{"data":{"type":…,"attributes":{…}}}` with only these members.
    pub(crate) fn attributes(&self, members: &[&'static str]) -> Result<Value, Problem> {
        let invalid = |detail: &str| Problem::validation("invalid", "The body is not valid", detail);
        let body: Value = serde_json::from_slice(&self.request.body).map_err(|_| invalid("not JSON"))?;
        known_members(&body, &["data"])?;
        known_members(&body["data"], &["type", "attributes"])?;
        if !(body["data"]["type"].is_null() || body["data"]["type"].is_string()) {
            return Err(invalid("type"));
        }
        let attributes = body["data"]["attributes"].clone();
        known_members(&attributes, members)?;
        Ok(attributes)
    }

    /// The same, for a body that may be missing.
    fn optional_attributes(&self, members: &[&'static str]) -> Result<Value, Problem> {
        let body = self.request.body.trim_ascii();
        if body.is_empty() || body == b"null" { Ok(json!({})) } else { self.attributes(members) }
    }

    pub(crate) fn post(&self, path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        let of_500 = Limits::new(50, 500);
        Ok(match path {
            ["accounts", "fees", "search"] => {
                let attributes = self.attributes(&["accountIds"])?;
                if world.options.retail_media.without_private_market {
                    let title = "This feature is of private markets, with limited access";
                    return Err(Problem::forbidden("private-market", title));
                }
                let asked = optional_list(&attributes, "accountIds")?;
                let is_asked = |account: &u32| asked.is_empty() || asked.contains(&Kind::Account.id(*account));
                let accounts = world.retail_accounts().into_iter().filter(is_asked);
                let accounts: Vec<u32> = accounts.filter(|account| world.side(*account) != Side::Supply).collect();
                self.offsets(&accounts, of_500, Counters::Metadata, |account| world.fees(account))?
            }
            ["accounts", "sellers", "search"] => {
                let attributes = self.attributes(&["accountIds", "includeDetails"])?;
                let asked = crate::statistics::list(&attributes, "accountIds")?;
                if asked.len() > 25 {
                    return Err(Problem::validation("exceeded-ids-cap", "At most 25 ids are allowed", "accountIds"));
                }
                let has_details = attributes["includeDetails"] == true;
                let accounts = world.retail_accounts().into_iter();
                let accounts = accounts.filter(|account| asked.contains(&Kind::Account.id(*account)));
                list(accounts.map(|account| world.sellers(account, has_details)).collect())
            }
            ["accounts", id, "audiences", "search"] => {
                let account = self.account(id)?;
                let attributes = self.attributes(&["audienceIds", "audienceSegmentIds", "retailerIds"])?;
                let audiences = filtered(
                    world.audiences_of(account),
                    &attributes,
                    &[("audienceIds", "id"), ("retailerIds", "retailerId")],
                )?;
                let segments = optional_list(&attributes, "audienceSegmentIds")?;
                let uses = |audience: &Value| {
                    let algebra = audience["attributes"]["algebra"].to_string();
                    segments.is_empty() || segments.iter().any(|segment| algebra.contains(segment.as_str()))
                };
                let audiences: Vec<Value> = audiences.into_iter().filter(uses).collect();
                self.offsets(&audiences, Limits { least: 0, ..of_500 }, Counters::TotalItems, |audience| audience)?
            }
            ["accounts", id, "audience-segments", "search"] => {
                let account = self.account(id)?;
                let attributes = self.attributes(&["audienceSegmentIds", "audienceSegmentTypes", "retailerIds"])?;
                let filters =
                    [("audienceSegmentIds", "id"), ("audienceSegmentTypes", "type"), ("retailerIds", "retailerId")];
                let segments = filtered(world.segments_of(account), &attributes, &filters)?;
                self.offsets(&segments, Limits { least: 0, ..of_500 }, Counters::TotalItems, |segment| segment)?
            }
            ["accounts", id, "creatives", "search"] => {
                let creatives = world.creatives_of(self.account(id)?);
                let asked = self.values("creative-ids");
                let is_asked =
                    |creative: &u32| asked.is_empty() || asked.contains(&Kind::Creative.id(*creative).as_str());
                list(creatives.into_iter().filter(is_asked).map(|creative| world.retail_creative(creative)).collect())
            }
            ["accounts", id, "retailers", "search"] => {
                let account = self.account(id)?;
                let asked = optional_list(&self.attributes(&["retailerIdFilter"])?, "retailerIdFilter")?;
                let mut retailers = world.retailers_of(account);
                retailers.retain(|retailer| asked.is_empty() || asked.contains(&retailer_id(*retailer).to_string()));
                self.offsets(&retailers, Limits::new(5, 10), Counters::Metadata, |retailer| {
                    world.retailer(retailer, self.version)
                })?
            }
            ["brands", "search"] => self.brands()?,
            ["retailers", id, "categories", "search"] => {
                let categories = world.categories(self.retailer(id)?);
                let attributes = self.optional_attributes(&["categoryIds", "textSubstring"])?;
                let part = attributes["textSubstring"].as_str().unwrap_or_default();
                let mut categories = filtered(categories, &attributes, &[("categoryIds", "id")])?;
                categories.retain(|category| contains(category, "text", part));
                self.offsets(&categories, of_500, Counters::Metadata, |category| category)?
            }
            ["retailers", id, "recommend-keywords"] => {
                self.products(id)?;
                item(json!({"type": "KeywordRecommendation", "attributes": {"recommendedKeywords": ["one", "two"]}}))
            }
            ["retailers", id, "recommend-categories"] => {
                self.products(id)?;
                list(world.categories(self.retailer(id)?).into_iter().take(2).collect())
            }
            ["retailers", id, "cpc-min-bids"] => {
                self.manage()?;
                self.retailer(id)?;
                let skus = crate::statistics::list(&self.attributes(&["skuIds"])?, "skuIds")?;
                let bids: Vec<Value> = skus.iter().map(|sku| json!({"skuId": sku, "minBid": 0.25})).collect();
                item(json!({"type": "CpcMinBids", "attributes": {"overallMinBid": 0.25, "skuMinBids": bids}}))
            }
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    /// Refuses operations that need `RetailMedia_Campaign_Manage`.
    pub(crate) fn manage(&self) -> Result<(), Problem> {
        if self.world.options.retail_media.with_manage {
            return Ok(());
        }
        Err(Problem::forbidden("permission-denied", "The app lacks the permission for this resource"))
    }

    fn products(&self, retailer: &str) -> Result<Vec<String>, Problem> {
        self.retailer(retailer)?;
        let products = crate::statistics::list(&self.attributes(&["productIds"])?, "productIds")?;
        if (1..=1_000).contains(&products.len()) {
            return Ok(products);
        }
        Err(Problem::validation("invalid", "From 1 to 1000 products are allowed", "productIds"))
    }

    fn brands(&self) -> Result<Value, Problem> {
        let world = self.world;
        let attributes = self.attributes(&["retailerIds", "brandType", "name"])?;
        let ids = attributes["retailerIds"].as_array().filter(|ids| !ids.is_empty());
        let ids = ids.ok_or_else(|| Problem::validation("required-field", "A list is missing", "retailerIds"))?;
        let mut brands = Vec::new();
        for id in ids {
            let id = id.as_u64().ok_or_else(|| Problem::validation("invalid", "A number is wanted", "retailerIds"))?;
            brands.extend(
                world
                    .retailer_number(&id.to_string())
                    .map(|retailer| world.brands_of_retailer(retailer))
                    .unwrap_or_default(),
            );
        }
        brands.sort_unstable();
        brands.dedup();
        let kind = match &attributes["brandType"] {
            Value::Null => "all",
            Value::String(kind) if ["uc", "retailer", "all"].contains(&kind.as_str()) => kind,
            _ => return Err(Problem::validation("invalid", "Unknown kind of brands", "brandType")),
        };
        let part = attributes["name"].as_str().unwrap_or_default();
        let brands: Vec<Value> = brands.into_iter().map(|brand| world.retailer_brand(brand)).collect();
        let is_asked = |brand: &Value| {
            (kind == "all" || brand["attributes"]["brandType"] == kind) && contains(brand, "name", part)
        };
        let brands: Vec<Value> = brands.into_iter().filter(is_asked).collect();
        self.offsets(&brands, Limits::new(25, 100), Counters::Metadata, |brand| brand)
    }

    /// `GET categories`, whose `pageIndex` is a start position.
    pub(crate) fn all_categories(&self) -> Result<Value, Problem> {
        let number = |name: &str, usual: usize, bounds: std::ops::RangeInclusive<usize>| {
            let Some(text) = self.request.query.get(name) else { return Ok(usual) };
            let number = text.parse().ok().filter(|number| bounds.contains(number));
            number.ok_or_else(|| Problem::validation("invalid", format!("{name} is out of range"), text))
        };
        let (start, size) = (number("pageIndex", 0, 0..=500)?, number("pageSize", 100, 1..=100)?);
        let retailers = match self.request.query.get("retailerId") {
            Some(id) => vec![self.retailer(id)?],
            None => (0..self.world.options.retail_media.retailers).collect(),
        };
        let part = self.request.query.get("textSubstring").map_or("", String::as_str);
        let categories = retailers.into_iter().flat_map(|retailer| self.world.categories(retailer));
        Ok(list(categories.filter(|category| contains(category, "text", part)).skip(start).take(size).collect()))
    }

    /// A category, without an envelope.
    pub(crate) fn category(&self, id: &str) -> Result<Value, Problem> {
        let retailers = 0..self.world.options.retail_media.retailers;
        let mut categories = retailers.flat_map(|retailer| self.world.categories(retailer));
        let found = categories.find(|category| category["id"] == id);
        Ok(found.ok_or_else(|| Problem::not_found(format!("category {id}")))?["attributes"].clone())
    }
}

fn contains(object: &Value, attribute: &str, part: &str) -> bool {
    object["attributes"][attribute].as_str().is_some_and(|text| text.contains(part))
}

/// The objects whose id or attribute is in each of the lists; an empty list means all.
fn filtered(objects: Vec<Value>, attributes: &Value, filters: &[(&'static str, &str)]) -> Result<Vec<Value>, Problem> {
    let mut objects = objects;
    for (filter, member) in filters {
        let asked = optional_list(attributes, filter)?;
        let value =
            |object: &Value| if *member == "id" { object["id"].clone() } else { object["attributes"][member].clone() };
        objects.retain(|object| asked.is_empty() || asked.iter().any(|id| value(object) == **id));
    }
    Ok(objects)
}
