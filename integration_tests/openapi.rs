//! Compares the sandbox with Criteo's `OpenAPI` documents: every response matches its schema, without undeclared
//! fields. `CRITEO_OPENAPI_DIR` names the folder; without it, the test is skipped with a notice.

use std::collections::{BTreeMap, BTreeSet};

use criteo_sandbox::{Options, Sandbox};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use source_criteo::config::Config;
use source_criteo::products::{self, QueryParam, Source};

use crate::harness::{Bench, http, token};
use Dates::{Days, Instants};

const VERSIONS: &[&str] = &["2026-01", "2026-07", "2027-01"];
/// Read-only `POST` operations.
const READS: &[&str] = &["/search", "/report", "/compute-sizes", "/estimate-size"];

#[test]
fn sandbox_responses_match_criteos_openapi_documents() {
    let Ok(folder) = std::env::var("CRITEO_OPENAPI_DIR") else {
        println!("skipped: CRITEO_OPENAPI_DIR is not set");
        return;
    };
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let token = token(&sandbox.url());
    let (mut operations, mut objects) = (0, 0);
    let mut schemas = BTreeSet::new();
    let mut without_schema = BTreeSet::new();
    for version in VERSIONS {
        let path = format!("{folder}/openapi-marketing-solutions-{version}.json");
        let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let is_read = method == "get" || (method == "post" && READS.iter().any(|end| path.ends_with(end)));
                // Excludes the token endpoint and an upload that resembles a read.
                if !is_read || !path.starts_with(&format!("/{version}/")) {
                    continue;
                }
                for url in urls(path, operation, &sandbox) {
                    let body = body(path);
                    let body = (method == "post").then_some(&body);
                    let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
                    if let Some(body) = body
                        && let Err(error) = validator(asked, &document, Days).validate(body)
                    {
                        panic!("the body of {url}: {error}");
                    }
                    let (status, answer) = http(&method.to_uppercase(), &url, Some(&token), body);
                    assert_eq!(status, 200, "{method} {url}: {answer}");
                    let content = &operation["responses"]["200"]["content"];
                    let schema = &content["application/json"]["schema"];
                    if schema.is_null() || schema["format"] == "binary" || content["text/html"].is_object() {
                        without_schema.insert(path.split_once('/').map(|_| path[9..].to_owned()).unwrap());
                    } else {
                        let reference = schema["$ref"].as_str().unwrap_or(path);
                        schemas.insert((*version, reference.to_owned()));
                        if let Err(error) = validator(schema, &document, Instants).validate(&answer) {
                            panic!("{method} {url} at {}: {error}\n{answer}", error.instance_path());
                        }
                    }
                    objects += answer["data"].as_array().or(answer.as_array()).map_or(1, Vec::len);
                }
                operations += 1;
            }
        }
    }
    println!(
        "{operations} read operations in {} versions, {} schemas, {objects} objects validated; {} operations declare no \
         JSON: {}",
        VERSIONS.len(),
        schemas.len(),
        without_schema.len(),
        without_schema.into_iter().collect::<Vec<_>>().join(" ")
    );
    connector_requests(&folder);
    assert!(operations > 130 && schemas.len() > 80, "{operations} operations, {} schemas", schemas.len());
}

/// The connector's requests match the documents as well.
fn connector_requests(folder: &str) {
    let document = std::fs::read_to_string(format!("{folder}/openapi-marketing-solutions-2026-07.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let bench = Bench::new(Options::default(), 10);
    let names: Vec<_> = bench.discover().into_keys().collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.read(&bench.catalog(&names, "incremental"), None);
    let mut bodies = 0;
    for request in bench.sandbox.requests().iter().filter(|request| request.line.starts_with("POST /2026-07/")) {
        let path = request.line[5..].split('?').next().unwrap();
        let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        if let Err(error) = validator(schema, &document, Days).validate(&request.body) {
            panic!("{}: {error}: {}", request.line, request.body);
        }
        bodies += 1;
    }
    println!("{bodies} bodies of the connector's requests validated");
    assert!(bodies >= 6);
}

/// Operations that no stream uses, and why.
const NOT_COVERED: &[(&str, &str)] = &[
    ("GET marketing-solutions/ad-sets/{}", "the search has the same object"),
    ("GET marketing-solutions/campaigns/{}", "the search has the same object"),
    ("GET marketing-solutions/ads/{}", "the list has the same object"),
    ("GET marketing-solutions/creatives/{}", "the list has the same object"),
    ("GET marketing-solutions/advertisers/{}/coupons/{}", "the list has the same object"),
    ("GET marketing-solutions/product-sets/{}", "the list has the same object"),
    ("GET marketing-solutions/ads/{}/product-filter", "product_filters has the same pair, by product set"),
    ("GET marketing-solutions/ads/{}/product-boost", "product_boosts has the same pair, by dataset"),
    ("GET marketing-solutions/ads/{}/product-boost/{}", "product_boosts has the same pair, by dataset"),
    ("GET marketing-solutions/advertisers/{}/coupons/{}/preview", "a page of HTML"),
    ("GET marketing-solutions/marketplace-performance-outcomes/advertisers/{}/ad-preview", "a page of HTML"),
    ("POST marketing-solutions/audiences/compute-sizes", "needs the permission to manage audiences"),
    ("POST marketing-solutions/audiences/estimate-size", "needs the permission to manage audiences"),
    ("POST marketing-solutions/audience-segments/compute-sizes", "needs the permission to manage audiences"),
    ("POST marketing-solutions/audience-segments/estimate-size", "needs the permission to manage audiences"),
    ("GET marketing-solutions/marketplace-performance-outcomes/advertisers/{}", "the list has the same object"),
    ("GET marketing-solutions/marketplace-performance-outcomes/budgets", "requested by advertiser"),
    ("GET marketing-solutions/marketplace-performance-outcomes/budgets/{}", "the list has the same object"),
    ("GET marketing-solutions/marketplace-performance-outcomes/sellers/{}", "the list has the same object"),
    ("GET marketing-solutions/marketplace-performance-outcomes/sellers/{}/budgets", "requested by advertiser"),
    ("GET marketing-solutions/marketplace-performance-outcomes/sellers/{}/seller-campaigns", "requested by advertiser"),
    ("GET marketing-solutions/marketplace-performance-outcomes/seller-campaigns", "requested by advertiser"),
    ("GET marketing-solutions/marketplace-performance-outcomes/seller-campaigns/{}", "the list has the same object"),
    ("GET marketing-solutions/marketplace-performance-outcomes/seller-campaigns/{}/budgets", "requested by advertiser"),
];

/// A path without version and with uniform placeholders.
pub fn shape(path: &str) -> String {
    let segments = path.trim_start_matches('/').split('/');
    segments.map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect::<Vec<_>>().join("/")
}

/// The contract with an API version: each stream's operation exists, each field has a column of a matching type, and
/// each column has a field. A snapshot holds the documented fields and enums, to show changes in newer documents:
/// `CRITEO_OPENAPI_DIR=… cargo test --test integration streams_match`.
#[test]
fn streams_match_criteos_openapi_documents() {
    let Ok(folder) = std::env::var("CRITEO_OPENAPI_DIR") else {
        println!("skipped: CRITEO_OPENAPI_DIR is not set");
        return;
    };
    let mut all_differences = Vec::new();
    // Versions in the folder that have the newest streams.
    for version in versions(&folder).into_iter().filter(|version| version.as_str() >= "2026-07") {
        let path = format!("{folder}/openapi-marketing-solutions-{version}.json");
        let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "api_version": version});
        let streams = products::streams(&Config::parse(&config.to_string()).unwrap().reports);
        let mut lines = Vec::new();
        let mut differences = Vec::new();
        let mut covered = BTreeSet::new();
        for stream in &streams {
            let Source::Entity(entity) = &stream.source else {
                covered.insert(report_operation(&stream.source));
                continue;
            };
            let method = if entity.request.is_post() { "post" } else { "get" };
            let found = document["paths"].as_object().unwrap().iter().find(|(path, operations)| {
                shape(path.trim_start_matches(&format!("/{version}"))) == shape(entity.path)
                    && operations[method].is_object()
            });
            let Some((_, operations)) = found else {
                differences.push(format!("{}: no operation {method} {}", stream.name, entity.path));
                continue;
            };
            covered.insert(format!("{} {}", method.to_uppercase(), shape(entity.path)));
            let declared: Vec<_> =
                operations[method]["parameters"].as_array().into_iter().flatten().map(|p| p["name"].as_str()).collect();
            let paging = entity.request.limit().map_or(&[][..], |_| &["limit", "offset"]);
            let asked = entity.query.iter().map(|parameter| match parameter {
                QueryParam::Fixed(name, _) | QueryParam::Of(name, _) => *name,
            });
            for name in asked.chain(paging.iter().copied()).filter(|name| !declared.contains(&Some(name))) {
                differences.push(format!("{}: no parameter {name}", stream.name));
            }
            let schema = &operations[method]["responses"]["200"]["content"]["application/json"]["schema"];
            let mut fields = BTreeMap::new();
            let item = item(&resolve(schema, &document), &document);
            let attributes = resolve(&item["properties"]["attributes"], &document);
            let columns = stream.schema["properties"].as_object().unwrap();
            if attributes["properties"].is_object() {
                flatten(&attributes, "", columns, &document, &mut fields);
                fields.insert("id".to_owned(), item["properties"]["id"].clone());
            } else {
                flatten(&item, "", columns, &document, &mut fields);
            }
            for (field, schema) in &fields {
                let Some(column) = columns.get(field) else {
                    // Application has no id, and every resource has a type that names a class.
                    if field != "id" {
                        differences.push(format!("{}.{field} is new", stream.name));
                    }
                    continue;
                };
                let kind = schema["type"].as_str().unwrap_or("object");
                let ours = column["type"].as_str().or(column["type"][1].as_str()).unwrap();
                let fits = ours == kind || (kind == "integer" && matches!(ours, "string" | "number"));
                if !fits {
                    differences.push(format!("{}.{field} is {kind} there and {ours} here", stream.name));
                }
                let values = schema["enum"].as_array().or(schema["items"]["enum"].as_array());
                let values =
                    values.map(|values| values.iter().map(|v| v.as_str().map_or(v.to_string(), str::to_owned)));
                let values =
                    values.map(|values| format!(" {}", values.collect::<Vec<_>>().join("|"))).unwrap_or_default();
                let format = schema["format"].as_str().map(|format| format!(" ({format})")).unwrap_or_default();
                lines.push(format!("{}.{field}: {kind}{format}{values}", stream.name));
            }
            let injected: Vec<_> = entity.columns.iter().map(|variable| variable.name()).collect();
            for column in
                columns.keys().filter(|name| !fields.contains_key(*name) && !injected.contains(&name.as_str()))
            {
                differences.push(format!("{}.{column} no longer exists", stream.name));
            }
        }
        let mut operations = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let is_read = method == "get" || (method == "post" && READS.iter().any(|end| path.ends_with(end)));
                if is_read && path.starts_with(&format!("/{version}/")) {
                    let place = shape(path.trim_start_matches(&format!("/{version}")));
                    operations.insert(format!("{} {place}", method.to_uppercase()));
                }
            }
        }
        let omitted: Vec<_> = operations.difference(&covered).collect();
        println!("{version}: {} of {} read operations covered", covered.len(), operations.len());
        for operation in &omitted {
            let reason = NOT_COVERED.iter().find(|(known, _)| known == operation).map(|(_, reason)| *reason);
            println!("  not covered: {operation}: {}", reason.unwrap_or("NO REASON GIVEN"));
            if reason.is_none() {
                differences.push(format!("{operation} is not covered, without a reason"));
            }
        }
        println!("{version}: {} streams, {} fields of objects", streams.len(), lines.len());
        all_differences.extend(differences.into_iter().map(|difference| format!("{version}: {difference}")));
        insta::assert_snapshot!(format!("contract_{version}"), lines.join("\n"));
    }
    assert_eq!(all_differences, [""; 0]);
}

/// The operation of a report stream.
fn report_operation(source: &Source) -> String {
    let Source::Report(report) = source else { return "POST log-level/advertisers/{}/report".to_owned() };
    report.endpoint.operation()
}

/// The versions with documents.
fn versions(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let version = |name: String| {
        let version = name.strip_prefix("openapi-marketing-solutions-")?.strip_suffix(".json")?.to_owned();
        version.starts_with("20").then_some(version)
    };
    let mut versions: Vec<_> = files.filter_map(version).collect();
    versions.sort();
    versions
}

pub fn resolve(schema: &Value, document: &Value) -> Value {
    let mut schema = schema.clone();
    while let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap().clone();
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        if let Some([single]) = schema[key].as_array().map(Vec::as_slice) {
            return resolve(single, document);
        }
    }
    schema
}

/// One object of a response.
pub fn item(answer: &Value, document: &Value) -> Value {
    let data = if answer["properties"]["data"].is_object() { &answer["properties"]["data"] } else { answer };
    let data = resolve(data, document);
    if data["items"].is_object() { resolve(&data["items"], document) } else { data }
}

/// The fields of a schema's row, by column name.
pub fn flatten(
    schema: &Value,
    name: &str,
    columns: &Map<String, Value>,
    document: &Value,
    fields: &mut BTreeMap<String, Value>,
) {
    let is_wrapper = schema["properties"].as_object().is_some_and(|properties| properties.keys().eq(["value"]));
    if (columns.contains_key(name) && !is_wrapper) || !schema["properties"].is_object() {
        fields.insert(name.to_owned(), schema.clone());
        return;
    }
    for (member, schema) in schema["properties"].as_object().unwrap() {
        flatten(&resolve(schema, document), &crate::truth::join(name, member), columns, document, fields);
    }
}

/// URLs that cover an operation; several if its objects differ in type.
fn urls(path: &str, operation: &Value, sandbox: &Sandbox) -> Vec<String> {
    let world = sandbox.world();
    let ids = |name: &str| -> Vec<String> {
        let objects = world.objects(name, "2027-01").unwrap();
        objects.iter().take(9).map(|object| object["id"].as_str().unwrap().to_owned()).collect()
    };
    let some = |id: &str| vec![id.to_owned()];
    let mut urls = vec![format!("{}{path}", sandbox.url())];
    for (parameter, ids) in [
        ("{ad-set-id}", ids("ad_sets")),
        ("{ad-id}", some(&ids("ads")[0])),
        ("{advertiser-id}", ids("advertisers")),
        ("{advertiserId}", ids("advertisers")),
        ("{audience-segment-id}", some(&ids("audience_segments")[2])),
        ("{campaign-id}", ids("campaigns")),
        ("{dataset-id}", some("005001")),
        ("{product-set-id}", some(&ids("product_sets")[0])),
        ("{budgetId}", some(world_budget(sandbox).as_str())),
        ("{sellerCampaignId}", some("50001.200001")),
        ("{sellerId}", some("50001")),
        (
            "{id}",
            ids(if path.contains("coupons") {
                "coupons"
            } else if path.contains("creatives") {
                "creatives"
            } else {
                "ads"
            }),
        ),
    ] {
        if path.contains(parameter) {
            urls = urls.iter().flat_map(|url| ids.iter().map(|id| url.replace(parameter, id))).collect();
        }
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
    let query: Vec<_> = parameters
        .filter_map(|parameter| {
            let value = match parameter["name"].as_str().unwrap() {
                "advertiser-id" => "1001",
                "country" => "FR",
                "ad-set-id" => "300001",
                "endAfterDate" => "2000-01-01",
                _ => return None,
            };
            Some(format!("{}={value}", parameter["name"].as_str().unwrap()))
        })
        .collect();
    urls.iter().map(|url| if query.is_empty() { url.clone() } else { format!("{url}?{}", query.join("&")) }).collect()
}

fn world_budget(sandbox: &Sandbox) -> String {
    let url = format!("{}/2027-01/marketing-solutions/marketplace-performance-outcomes/budgets", sandbox.url());
    http("GET", &url, Some(&token(&sandbox.url())), None).1[0]["id"].as_str().unwrap().to_owned()
}

fn body(path: &str) -> Value {
    let days = |mut attributes: Value| {
        attributes["startDate"] = json!("2026-10-20");
        attributes["endDate"] = json!("2026-10-25");
        attributes
    };
    if path.ends_with("/statistics/report") {
        days(
            json!({"advertiserIds": "1001,1002", "dimensions": ["Day"], "metrics": ["Clicks"], "currency": "EUR", "format": "json"}),
        )
    } else if path.ends_with("/placements/report") {
        json!({"data": [{"type": "Report", "attributes": days(json!({"advertiserIds": "1001", "currency": "EUR",
            "dimensions": ["AdsetId", "Placement"], "metrics": ["Clicks", "CosPc30d"]}))}]})
    } else if path.ends_with("/transactions/report") {
        json!({"data": [{"type": "Report", "attributes": days(json!({"advertiserIds": "1001", "currency": "EUR"}))}]})
    } else if path.ends_with("/statistics-adlevel/report") {
        json!({"data": {"type": "AdLevelReportQuery", "attributes": days(json!({"advertiserIds": ["1001"],
            "dimensions": ["AdvertiserId"], "metrics": ["Spend"]}))}})
    } else if path.contains("/log-level/") {
        days(json!({}))
    } else if path.ends_with("/campaigns/search") || path.ends_with("/ad-sets/search") {
        json!({"filters": {"advertiserIds": ["1001", "1002", "1003"]}})
    } else if path.ends_with("/compute-sizes") {
        json!({"data": [{"type": "Size", "id": "700001", "attributes": {}}]})
    } else if path.ends_with("/audiences/estimate-size") {
        json!({"data": {"type": "Size", "attributes": {"advertiserId": "1001", "algebra": {"audienceSegmentId": "700001"}}}})
    } else if path.ends_with("/estimate-size") {
        json!({"data": {"type": "Size", "attributes": {"advertiserId": "1001", "inMarket": {"country": "FR"}}}})
    } else {
        json!({"data": {"type": "Search", "attributes": {"advertiserIds": ["1001", "1002", "1003"]}}})
    }
}

/// Meaning of the documents' `date-time`: queries also accept days (OWOX, in live tests); responses must have a time.
#[derive(Clone, Copy)]
pub enum Dates {
    Days,
    Instants,
}

/// A validator for one schema of a document, without undeclared members.
pub fn validator(schema: &Value, document: &Value, dates: Dates) -> Validator {
    let formats = matches!(dates, Instants);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let definitions: Map<_, _> = schemas.iter().map(|(name, schema)| (name.clone(), strict(schema))).collect();
    let mut root = strict(schema);
    if root["$ref"].is_string() {
        root = json!({"allOf": [root]});
    }
    root["components"] = json!({"schemas": definitions});
    jsonschema::options().with_draft(jsonschema::Draft::Draft7).should_validate_formats(formats).build(&root).unwrap()
}

/// Converts `OpenAPI`'s `nullable` to JSON Schema, and forbids undeclared members.
fn strict(schema: &Value) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    let mut strict_schema = Map::new();
    for (key, value) in object {
        let value = match key.as_str() {
            "nullable" | "example" | "description" => continue,
            "properties" => {
                Value::Object(value.as_object().unwrap().iter().map(|(k, v)| (k.clone(), strict(v))).collect())
            }
            "items" | "additionalProperties" => strict(value),
            "allOf" | "anyOf" | "oneOf" => Value::Array(value.as_array().unwrap().iter().map(strict).collect()),
            _ => value.clone(),
        };
        strict_schema.insert(key.clone(), value);
    }
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        strict_schema.insert("additionalProperties".to_owned(), json!(false));
    }
    if object.get("nullable") == Some(&json!(true)) {
        return json!({"anyOf": [Value::Object(strict_schema), {"type": "null"}]});
    }
    Value::Object(strict_schema)
}
