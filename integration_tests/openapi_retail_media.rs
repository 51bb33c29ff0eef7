//! Compares the sandbox's Retail Media with Criteo's `OpenAPI` documents: every response matches its schema, without
//! undeclared fields. `CRITEO_OPENAPI_DIR` names the folder; without it, the test is skipped with a notice.

use std::collections::BTreeSet;

use criteo_sandbox::{Options, Product, RetailMediaOptions, Sandbox};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::{http, token};
use crate::openapi::{Dates, validator};

const VERSIONS: &[&str] = &["2026-01", "2026-07", "2027-01"];
/// Ends of the paths of `POST` operations that read.
const READS: &[&str] = &["/search", "/recommend-keywords", "/recommend-categories", "/cpc-min-bids", "-catalog-export"];
/// Reports that 2026-07 replaced; the sandbox has no data for them.
const LEGACY: &[&str] = &["/reports/campaigns", "/reports/line-items", "/reports/accounts"];

pub fn is_read(method: &str, path: &str) -> bool {
    let is_post = READS.iter().any(|end| path.ends_with(end))
        || path.ends_with("/catalogs")
        || path.ends_with("/catalogs/sellers")
        || path.ends_with("/partner-report")
        || path.contains("/reports/");
    method == "get" || (method == "post" && is_post)
}

/// Ids of the sandbox's objects.
struct Known {
    brand: String,
    seller: String,
    supply: String,
    sellers: Vec<Value>,
    world: criteo_sandbox::World,
}

impl Known {
    fn new(sandbox: &Sandbox) -> Self {
        let world = sandbox.world();
        let accounts = world.stream("rm_accounts", "2027-01").unwrap();
        let of = |subtype: Value| {
            let found = accounts.iter().find(|account| account["attributes"]["subtype"] == subtype).unwrap();
            found["id"].as_str().unwrap().to_owned()
        };
        let (brand, seller, supply) = (of(json!("brand")), of(json!("seller")), of(Value::Null));
        let sellers = world.stream("rm_account_sellers", "2027-01").unwrap().into_iter();
        let sellers = sellers.map(|row| row["attributes"].clone()).filter(|row| row["accountId"] == *seller);
        let sellers = sellers
            .map(|row| json!({"retailerId": row["retailerId"].to_string(), "sellerId": row["sellerId"]}))
            .collect();
        Self { brand, seller, supply, sellers, world }
    }

    fn ids(&self, stream: &str) -> Vec<String> {
        let rows = self.world.stream(stream, "2026-07").unwrap();
        rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
    }

    /// Ids of the first brand account's objects.
    fn own(&self, stream: &str) -> Vec<String> {
        let rows = self.world.stream(stream, "2026-07").unwrap();
        let own = rows.iter().filter(|row| row["attributes"]["accountId"] == *self.brand);
        own.filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
    }

    /// Values of a placeholder in a path.
    fn values(&self, path: &str, placeholder: &str) -> Vec<String> {
        let retailer = || {
            let rows = self.world.stream("rm_categories", "2026-07").unwrap();
            vec![rows[0]["attributes"]["retailerId"].as_str().unwrap().to_owned()]
        };
        match placeholder {
            "accountId" | "account-id" if path.contains("private-market") => vec![self.supply.clone()],
            "accountId" | "account-id" if path.ends_with("/sellers") || path.contains("seller-catalog") => {
                vec![self.seller.clone()]
            }
            "accountId" | "account-id" => vec![self.brand.clone()],
            "audience-segment-id" => self.own("rm_contact_list_statistics"),
            "balanceId" | "balance-id" => self.own("rm_balances"),
            "campaignId" | "campaign-id" => self.own("rm_campaigns"),
            "creative-id" => self.own("rm_creatives"),
            "categoryId" => self.ids("rm_categories").into_iter().take(9).collect(),
            "retailerId" | "retailer-id" => retailer(),
            "template-id" => {
                let rows = self.world.stream("rm_creative_templates", "2026-07").unwrap();
                vec![rows[0]["id"].as_str().unwrap().to_owned()]
            }
            _ if path.contains("/preferred-line-items/") => self.own("rm_preferred_line_items"),
            _ if path.ends_with("/{line-item-id}") || path.contains("/products") || path.contains("overrides") => {
                self.own("rm_line_items")
            }
            _ => self.own("rm_auction_line_items"),
        }
    }

    fn urls(&self, path: &str) -> Vec<String> {
        let mut urls = vec![path.to_owned()];
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let placeholder = part.trim_end_matches('}');
            let values = self.values(path, placeholder);
            assert!(!values.is_empty(), "{path} has no {placeholder}");
            let mark = format!("{{{placeholder}}}");
            urls = urls.iter().flat_map(|url| values.iter().map(|value| url.replace(&mark, value))).collect();
        }
        urls
    }

    fn body(&self, path: &str) -> Value {
        let attributes = if let Some((_, kind)) = path.split_once("/reports/") {
            self.report(kind)
        } else if path.ends_with("/partner-report") {
            json!({"startDate": "2026-10-20", "endDate": "2026-10-25", "accountIds": [self.supply]})
        } else if path.ends_with("/sellers") || path.ends_with("/seller-catalog-export") {
            json!({"sellers": self.sellers})
        } else if path.ends_with("/brands/search") {
            json!({"retailerIds": [3101]})
        } else if path.ends_with("/sellers/search") {
            json!({"accountIds": [self.brand, self.seller, self.supply], "includeDetails": true})
        } else if path.contains("/recommend-") {
            json!({"productIds": ["1"]})
        } else if path.ends_with("/cpc-min-bids") {
            json!({"skuIds": ["1", "2"]})
        } else {
            json!({})
        };
        json!({"data": {"type": "Request", "attributes": attributes}})
    }

    fn report(&self, kind: &str) -> Value {
        let scope = json!({"accountIds": [self.brand]});
        let mut asked = match kind {
            "performance" => {
                json!({"filters": scope, "dimensions": ["date", "keyword"], "metrics": ["clicks", "spend"]})
            }
            "missed-opportunities" => {
                json!({"filters": scope, "dimensions": ["date"], "metrics": ["missedClicks", "capoutHour"]})
            }
            "attributed-transactions" => {
                json!({"filters": scope, "dimensions": ["purchasedDate"], "metrics": ["attributedSales"]})
            }
            "revenue" => json!({"id": self.supply, "dimensions": ["date", "soldBy"], "metrics": ["revenue"]}),
            "fillrate" => json!({"supplyAccountIds": [self.supply], "dimensions": ["date"], "metrics": ["fillRate"]}),
            "unfilled-placements" => {
                json!({"supplyAccountIds": [self.supply], "dimensions": ["date"], "metrics": ["totalUnfilledPlacements"]})
            }
            "sync/real-time-performance" => {
                json!({"accountIds": [self.brand], "dimensions": ["date"], "metrics": ["spend"]})
            }
            _ => json!({"accountId": self.brand}),
        };
        asked["startDate"] = json!("2026-10-26");
        asked["endDate"] = json!("2026-10-31");
        asked
    }
}

/// Status and declaration of an operation's successful response.
fn success(operation: &Value) -> (u16, &Value) {
    let responses = operation["responses"].as_object().unwrap();
    let (code, declared) = responses.iter().find(|(code, _)| code.starts_with('2')).unwrap();
    (code.parse().unwrap(), declared)
}

#[test]
fn retail_media_responses_match_criteos_openapi_documents() {
    let Ok(folder) = std::env::var("CRITEO_OPENAPI_DIR") else {
        println!("skipped: CRITEO_OPENAPI_DIR is not set");
        return;
    };
    let (mut operations, mut responses) = (0, 0);
    let mut schemas = BTreeSet::new();
    for hostile in [false, true] {
        let retail_media = RetailMediaOptions { hostile, with_manage: true, ..RetailMediaOptions::default() };
        let options = Options { product: Product::RetailMedia, retail_media, ..Options::default() };
        let sandbox = Sandbox::start(options).unwrap();
        let token = token(&sandbox.url());
        let known = Known::new(&sandbox);
        for version in VERSIONS {
            let path = format!("{folder}/openapi-retail-media-{version}.json");
            let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            // A validator per operation: each holds the whole document.
            let checks = |operation: &Value| {
                let (code, declared) = success(operation);
                let schema = &declared["content"]["application/json"]["schema"];
                let is_json = !schema.is_null() && schema["format"] != "binary";
                let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
                (
                    code,
                    is_json.then(|| validator(schema, &document, Dates::Instants)),
                    (!asked.is_null()).then(|| validator(asked, &document, Dates::Days)),
                )
            };
            let ask = |method: &str, path: &str, url: &str, checks: &(u16, Option<Validator>, Option<Validator>)| {
                let body = (method == "post").then(|| known.body(path));
                if let (Some(body), Some(schema)) = (&body, &checks.2)
                    && let Err(error) = schema.validate(body)
                {
                    panic!("the body of {url}: {error}");
                }
                let url = format!("{}{url}", sandbox.url());
                let (status, answer) = http(&method.to_uppercase(), &url, Some(&token), body.as_ref());
                assert_eq!(status, checks.0, "{method} {url}: {answer}");
                if let Some(schema) = &checks.1
                    && let Err(error) = schema.validate(&answer)
                {
                    panic!("{method} {url} at {}: {error}\n{answer}", error.instance_path());
                }
                answer
            };
            for (path, methods) in document["paths"].as_object().unwrap() {
                for (method, operation) in methods.as_object().unwrap() {
                    let is_legacy = *version < "2026-07" && LEGACY.iter().any(|end| path.ends_with(end));
                    let is_poll = path.ends_with("/status") || path.ends_with("/output");
                    if !is_read(method, path) || is_poll || is_legacy || !path.starts_with(&format!("/{version}/")) {
                        continue;
                    }
                    operations += 1;
                    let of_operation = checks(operation);
                    for url in known.urls(path) {
                        let answer = ask(method, path, &url, &of_operation);
                        responses += 1;
                        schemas.insert(format!("{version} {path}"));
                        let places = match path {
                            _ if method == "get" || path.contains("/sync/") => continue,
                            path if path.contains("/reports/") => "reports/{reportId}",
                            path if path.ends_with("/partner-report") => "billing/partner-report/{requestId}",
                            path if path.contains("catalog") => "catalogs/{catalogId}",
                            _ => continue,
                        };
                        let status = format!("/{version}/retail-media/{places}/status");
                        let id = answer["data"]["id"].as_str().unwrap();
                        let placeholder = places.split('/').next_back().unwrap();
                        let of_status = checks(&document["paths"][&status]["get"]);
                        let answer = ask("get", &status, &status.replace(placeholder, id), &of_status);
                        assert_eq!(answer["data"]["attributes"]["status"], "success", "{path}");
                        responses += 1;
                    }
                }
            }
        }
    }
    println!("{operations} operations, {} with a schema, {responses} responses validated", schemas.len());
    assert!(schemas.len() > 170 && responses > 900, "{} schemas, {responses} responses", schemas.len());
}
