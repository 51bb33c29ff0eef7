//! Every read operation of Marketing Solutions, by method and path.

use serde_json::{Value, json};

use crate::manners::{Report, spell_wrappers, written};
use crate::options::{Options, Permission};
use crate::problem::Problem;
use crate::statistics::{known_members, optional_list};
use crate::wire::{Reply, Request};
use crate::world::World;

/// API versions that are available on the documents' date, and retired ones.
const VERSIONS: &[&str] = &["2026-01", "2026-07", "2027-01"];
const GONE: &[&str] = &["2025-07", "2025-10"];
/// Maximum objects per page of a search.
const MAX_ON_PAGE: usize = 100;

/// A request's rate limit and required permission.
pub(crate) struct Route {
    pub is_report: bool,
    pub permission: Option<Permission>,
}

/// Checks a path before everything else.
pub(crate) fn route(path: &[&str], options: &Options) -> Result<Route, Problem> {
    let [version, rest @ ..] = path else { return Err(Problem::not_found("no version")) };
    if GONE.contains(version) {
        return Err(Problem::gone());
    }
    if !VERSIONS.contains(version) {
        return Err(Problem::not_found(format!("version {version}")));
    }
    if let ["retail-media", ..] = rest {
        return Ok(crate::retail_media::route(rest, options));
    }
    let is_report = matches!(rest, [.., "report"] | [_, "marketplace-performance-outcomes", "stats", _]);
    let permission = match rest {
        ["advertisers" | "marketing-solutions", "me"] => None,
        [.., "report"] => Some(Permission::Analytics),
        [_, "audiences" | "audience-segments", ..] => Some(Permission::Audiences),
        [_, "ads", _, "product-filter" | "product-boost", ..] | [_, "dataset" | "product-sets", ..] => {
            Some(Permission::Recommendations)
        }
        [_, "ads" | "creatives" | "advertisers", ..] => Some(Permission::Creatives),
        _ => Some(Permission::Campaigns),
    };
    Ok(Route { is_report, permission })
}

/// Responds to a request that passed the checks of version, rate limit, token and permission.
pub(crate) fn answer(world: &World, path: &[&str], request: &Request, base: &str) -> Result<Reply, Problem> {
    let [version, rest @ ..] = path else { return Err(Problem::not_found("no version")) };
    let asked = Asked { world, version, request, base };
    let mut value = match request.method.as_str() {
        "GET" => asked.get(rest)?,
        "POST" => asked.post(rest)?,
        _ => return Err(Problem::not_found("method")),
    };
    if world.options.unknowns.get("null_wrapper") == "empty_object" {
        spell_wrappers(&mut value);
    }
    Ok(match value {
        // A coupon's preview is an HTML page.
        Value::String(page) if path.contains(&"coupons") => {
            let headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
            Reply { headers, body: page.into_bytes(), ..Reply::json(200, &Value::Null) }
        }
        value => {
            let has_mark = path.last() == Some(&"report") && world.options.unknowns.get("byte_order_mark") == "utf8";
            let mark = if has_mark { "\u{feff}" } else { "" };
            Reply { body: format!("{mark}{}", written(&value)).into_bytes(), ..Reply::json(200, &Value::Null) }
        }
    })
}

struct Asked<'a> {
    world: &'a World,
    version: &'a str,
    request: &'a Request,
    base: &'a str,
}

impl Asked<'_> {
    fn objects(&self, name: &str) -> Vec<Value> {
        self.world.objects(name, self.version).unwrap_or_default()
    }

    fn get(&self, path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        let missing = || Problem::not_found(path.join("/"));
        Ok(match path {
            ["advertisers", "me"] => self.list(self.objects("advertisers")),
            ["marketing-solutions", rest @ ..] => match rest {
                ["me"] => self.application()?,
                ["campaigns", id] => self.one("campaigns", id)?,
                ["ad-sets", id] => self.one("ad_sets", id)?,
                ["ad-sets", id, "category-bids"] => data(world.category_bids(self.ad_set(id)?)),
                ["ad-sets", id, "display-multipliers"] => data(world.display_multipliers(self.ad_set(id)?)),
                // new-stream: a route per stream
                ["ads", id] => self.one("ads", id)?,
                ["ads", id, "product-filter"] => {
                    let mut filters = with(world.product_filters(), "adId", id);
                    item(filters.pop().ok_or_else(missing)?)
                }
                ["ads", id, "product-boost"] if self.has_boosts() => data(with(world.product_boosts(), "adId", id)),
                ["ads", id, "product-boost", set] if self.has_boosts() => {
                    let mut boosts = with(with(world.product_boosts(), "adId", id), "productSetId", set);
                    item(boosts.pop().ok_or_else(missing)?)
                }
                ["dataset", id, "product-boost"] if self.has_boosts() => {
                    let sets = with(self.objects("product_sets"), "datasetId", id);
                    let is_of = |boost: &Value| sets.iter().any(|set| set["id"] == boost["attributes"]["productSetId"]);
                    data(world.product_boosts().into_iter().filter(is_of).collect())
                }
                ["advertisers", id, kind @ ("ads" | "creatives" | "coupons")] => self.page_of_advertiser(kind, id)?,
                ["advertisers", id, "coupons-supported-sizes"] => {
                    let ad_set = self.request.query.get("ad-set-id");
                    self.advertiser(id)?;
                    item(supported_sizes(ad_set.map_or("", String::as_str)))
                }
                ["advertisers", advertiser, "coupons", id] => {
                    self.advertiser(advertiser)?;
                    self.one("coupons", id)?
                }
                ["advertisers", advertiser, "coupons", id, "preview"] => {
                    self.advertiser(advertiser)?;
                    self.one("coupons", id)?;
                    json!("<html><body>coupon</body></html>")
                }
                ["creatives", id] => self.creative(id)?,
                ["audience-segments", kind @ ("in-market-brands" | "in-market-interests")] => {
                    let advertiser = self.advertiser(&self.query("advertiser-id")?)?;
                    data(world.in_market(*kind == "in-market-brands", advertiser, &self.query("country")?))
                }
                ["audience-segments", id, "contact-list", "statistics"] => {
                    let segment = self.find("audience_segments", id)?;
                    item(World::contact_list(&segment).ok_or_else(missing)?)
                }
                ["product-sets", "dataset", id] => data(with(self.objects("product_sets"), "datasetId", id)),
                ["product-sets", id] => self.one("product_sets", id)?,
                ["product-sets", id, "product-filters"] => data(with(world.product_filters(), "productSetId", id)),
                ["marketplace-performance-outcomes", "stats", what] => {
                    world.marketplace_statistics(what, &self.request.query)?
                }
                ["marketplace-performance-outcomes", "advertisers", _, "ad-preview"] => json!("<html></html>"),
                ["marketplace-performance-outcomes", rest @ ..] => {
                    world.marketplace(rest, &self.request.query).ok_or_else(missing)?
                }
                _ => return Err(missing()),
            },
            _ => return Err(missing()),
        })
    }

    fn post(&self, path: &[&str]) -> Result<Value, Problem> {
        let body: Value = serde_json::from_slice(&self.request.body)
            .map_err(|_| Problem::validation("invalid", "The body is not valid JSON", ""))?;
        let world = self.world;
        Ok(match path {
            ["statistics", "report"] => world.report(&body)?,
            ["placements", "report"] => world.small_report(Report::Placements, &body)?,
            ["transactions", "report"] => world.small_report(Report::Transactions, &body)?,
            ["log-level", "advertisers", id, "report"] => {
                let until = chrono::Utc::now() + world.options.link_life;
                let until = until.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
                world.log_files(id, &body, self.base, &until)?
            }
            ["marketing-solutions", "campaigns", "search"] => {
                let filters = filters(&body, &["advertiserIds", "campaignIds"])?;
                self.list(filtered(world, "campaigns", self.objects("campaigns"), filters, "campaignIds"))
            }
            ["marketing-solutions", "ad-sets", "search"] => {
                let filters = filters(&body, &["advertiserIds", "adSetIds", "campaignIds"])?;
                let ad_sets = filtered(world, "ad_sets", self.objects("ad_sets"), filters, "adSetIds");
                self.list(in_any(ad_sets, "campaignId", &filters["campaignIds"]))
            }
            ["marketing-solutions", "audiences", "search"] => self.search("audiences", &body, "audienceIds")?,
            ["marketing-solutions", "audience-segments", "search"] => {
                self.search("audience_segments", &body, "audienceSegmentIds")?
            }
            ["marketing-solutions", "audiences" | "audience-segments", "compute-sizes"] => {
                let ids = body["data"].as_array().into_iter().flatten();
                data(ids.map(|of| json!({"id": of["id"], "type": "Size", "attributes": {"size": 12_345}})).collect())
            }
            ["marketing-solutions", "audiences" | "audience-segments", "estimate-size"] => {
                item(json!({"type": "Size", "attributes": {"size": 5_000_000_000_i64}}))
            }
            ["marketing-solutions", "statistics-adlevel", "report"] if self.version >= "2027-01" => {
                world.small_report(Report::AdLevel, &body)?
            }
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    fn has_boosts(&self) -> bool {
        self.version >= "2026-07"
    }

    fn query(&self, name: &'static str) -> Result<String, Problem> {
        let value = self.request.query.get(name).cloned();
        value.ok_or_else(|| Problem::validation("required-field", "A parameter is missing", name))
    }

    fn find(&self, name: &str, id: &str) -> Result<Value, Problem> {
        let object = self.objects(name).into_iter().find(|object| object["id"] == id);
        object.ok_or_else(|| Problem::not_found(format!("{name} {id}")))
    }

    fn one(&self, name: &str, id: &str) -> Result<Value, Problem> {
        self.find(name, id).map(item)
    }

    /// A single creative also has its id among its attributes.
    fn creative(&self, id: &str) -> Result<Value, Problem> {
        let mut creative = self.find("creatives", id)?;
        creative["attributes"]["id"] = json!(id);
        Ok(item(creative))
    }

    fn ad_set(&self, id: &str) -> Result<u32, Problem> {
        let number = id.parse::<u32>().ok().and_then(|id| id.checked_sub(300_001));
        number.filter(|number| self.world.has_ad_set(*number)).ok_or_else(|| Problem::not_found(id))
    }

    fn advertiser(&self, id: &str) -> Result<u32, Problem> {
        if !self.world.consenting_ids().iter().any(|known| known == id) {
            let title = "You do not have the rights to access this advertiser";
            return Err(Problem::forbidden("insufficient-advertisers-permissions", title));
        }
        id.parse::<u32>().map(|id| id - 1001).map_err(|_| Problem::not_found(id))
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, Problem> {
        let Some(text) = self.request.query.get(name) else { return Ok(default) };
        text.parse().map_err(|_| Problem::validation("invalid", "A number is wanted", name))
    }

    fn application(&self) -> Result<Value, Problem> {
        match self.world.options.unknowns.get("application") {
            "400" => Err(Problem::validation("invalid", "The request is not valid", "")),
            "401" => Err(Problem::unauthorized("authorization-unknown")),
            "403" => Err(Problem::forbidden("permission-denied", "The resource is not available")),
            "404" => Err(Problem::not_found("me")),
            "500" => Err(Problem::internal()),
            "empty_object" => Ok(json!({})),
            "null_data" => Ok(json!({"data": null})),
            _ => Ok(item(json!({"type": "Application", "attributes": application()}))),
        }
    }

    /// A list without pages.
    fn list(&self, mut objects: Vec<Value>) -> Value {
        if self.world.options.unknowns.get("repeated_objects") == "first_again" {
            objects.extend(objects.first().cloned());
        }
        data(objects)
    }

    /// Pages without a total; a limit above the sandbox's is silently lowered.
    fn page_of_advertiser(&self, kind: &str, advertiser: &str) -> Result<Value, Problem> {
        let number = self.advertiser(advertiser)?;
        let asked = self.number("limit", 50)?;
        let most = match self.world.options.unknowns.get("page_limit") {
            "50_or_400" if asked > 50 => {
                return Err(Problem::validation("invalid", "limit must not exceed 50", asked.to_string()));
            }
            "50_silently" => 50,
            _ => usize::MAX,
        };
        let limit = asked.min(most).min(self.world.options.page_limit);
        let objects = self.world.objects_of_advertiser(kind, number).into_iter();
        Ok(data(objects.skip(self.number("offset", 0)?).take(limit).collect()))
    }

    fn search(&self, name: &str, body: &Value, id_filter: &str) -> Result<Value, Problem> {
        known_members(body, &["data"])?;
        known_members(&body["data"], &["type", "attributes"])?;
        let members = ["advertiserIds", "audienceIds", "audienceSegmentIds", "adSetIds", "audienceSegmentTypes"];
        lists(&body["data"]["attributes"], &members)?;
        let (limit, offset) = (self.number("limit", 50)?, self.number("offset", 0)?);
        if limit > MAX_ON_PAGE {
            return Err(Problem::validation("invalid", "limit must not exceed 100", limit.to_string()));
        }
        let attributes = &body["data"]["attributes"];
        let objects = filtered(self.world, name, self.objects(name), attributes, id_filter);
        let objects = in_any(objects, "type", &attributes["audienceSegmentTypes"]);
        let total = objects.len();
        let limit = limit.min(self.world.options.page_limit);
        let page: Vec<_> = objects.into_iter().skip(offset).take(limit).collect();
        Ok(
            json!({"data": page, "meta": {"totalItems": self.world.count(total), "limit": limit, "offset": offset}, "errors": [], "warnings": []}),
        )
    }
}

/// The app of the key in use.
pub(crate) fn application() -> Value {
    json!({"applicationId": 4711, "criteoService": "MarketingSolutions", "name": "Sandbox app", "description": null,
        "organizationId": 42})
}

/// Coupon sizes that an ad set supports.
pub(crate) fn supported_sizes(ad_set: &str) -> Value {
    json!({"type": "SupportedSizes", "id": ad_set, "attributes": {"fullFrame": ["300x250", "728x90"], "logoZone": null}})
}

#[expect(clippy::needless_pass_by_value, reason = "callers build the list inline")]
fn data(objects: Vec<Value>) -> Value {
    json!({"data": objects, "errors": [], "warnings": []})
}

#[expect(clippy::needless_pass_by_value, reason = "callers build the object inline")]
fn item(object: Value) -> Value {
    json!({"data": object, "errors": [], "warnings": []})
}

/// Filters of a search: `{"filters":{…}}`, all optional.
fn filters<'a>(body: &'a Value, members: &[&'static str]) -> Result<&'a Value, Problem> {
    known_members(body, &["filters", "meta"])?;
    if !body["filters"].is_null() {
        lists(&body["filters"], members)?;
    }
    Ok(&body["filters"])
}

/// Whether an object has only these lists of strings.
fn lists(object: &Value, members: &[&'static str]) -> Result<(), Problem> {
    known_members(object, members)?;
    members.iter().try_for_each(|member| optional_list(object, member).map(|_| ()))
}

/// The objects with this attribute.
fn with(objects: Vec<Value>, attribute: &str, value: &str) -> Vec<Value> {
    objects.into_iter().filter(|object| object["attributes"][attribute] == value).collect()
}

/// The objects whose attribute is in the list; an empty list means all.
fn in_any(objects: Vec<Value>, attribute: &str, values: &Value) -> Vec<Value> {
    let Some(values) = values.as_array().filter(|values| !values.is_empty()) else { return objects };
    objects.into_iter().filter(|object| values.contains(&object["attributes"][attribute])).collect()
}

/// The objects that pass `filters`, a map of lists; an empty list means all, and inaccessible objects are silently
/// omitted.
fn filtered(world: &World, name: &str, objects: Vec<Value>, filters: &Value, id_filter: &str) -> Vec<Value> {
    let texts = |name: &str| -> Vec<String> {
        filters[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (advertisers, ids) = (texts("advertiserIds"), texts(id_filter));
    let passes = |object: &Value| {
        (advertisers.is_empty() || world.owner(name, object).is_some_and(|owner| advertisers.contains(&owner)))
            && (ids.is_empty() || object["id"].as_str().is_some_and(|id| ids.iter().any(|known| known == id)))
    };
    objects.into_iter().filter(passes).collect()
}
