//! Requests and columns agree with Criteo's `OpenAPI` documents. `CRITEO_OPENAPI_DIR` names their folder; without it, the tests
//! are skipped with a notice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use source_criteo::config::Config;
use source_criteo::products::{self, Entity, Job, ListOfRows, Placeholder, QueryParam, Request, RowsOf, Source};

use crate::openapi::{Dates, flatten, item, resolve, shape, validator};
use crate::openapi_retail_media::is_read;
use crate::retail_media::{bench, options};

const VERSIONS: [&str; 2] = ["2026-07", "2027-01"];

/// Operations that no stream uses, and why.
const NOT_COVERED: &[(&str, &str)] = &[
    ("GET retail-media/accounts/{}/balances/{}", "the list has the same object"),
    ("GET retail-media/accounts/{}/creatives", "the search has more fields of the same objects"),
    ("GET retail-media/accounts/{}/creatives/{}", "the search has the same object"),
    ("GET retail-media/auction-line-items/{}", "the list has the same object"),
    ("GET retail-media/balances/{}", "the list has the same object"),
    ("GET retail-media/campaigns/{}", "the list has the same object"),
    ("GET retail-media/categories", "ends at position 500; the search by retailer has all"),
    ("GET retail-media/categories/{}", "the search has the same object"),
    ("GET retail-media/line-items/{}", "the list has the same object"),
    ("GET retail-media/preferred-line-items/{}", "the list has the same object"),
    ("GET retail-media/retailers/{}/templates/{}", "the list has the same object"),
    ("POST retail-media/accounts/{}/brand-catalog-export", "a Manage permission; the catalog has the same products"),
    ("POST retail-media/accounts/{}/seller-catalog-export", "a Manage permission; the catalog has the same products"),
    ("POST retail-media/retailers/{}/cpc-min-bids", "needs a list of products, and a Manage permission"),
    ("POST retail-media/retailers/{}/recommend-categories", "needs a list of products"),
    ("POST retail-media/retailers/{}/recommend-keywords", "needs a list of products"),
    ("POST retail-media/reports/attributed-transactions", "not read yet: reports are jobs"),
    ("POST retail-media/reports/fillrate", "not read yet: reports are jobs"),
    ("POST retail-media/reports/missed-opportunities", "not read yet: reports are jobs"),
    ("POST retail-media/reports/performance", "not read yet: reports are jobs"),
    ("POST retail-media/reports/revenue", "not read yet: reports are jobs"),
    ("POST retail-media/reports/sync/attributed-transactions", "not read yet: a synchronous report"),
    ("POST retail-media/reports/sync/campaigns", "not read yet: a synchronous report"),
    ("POST retail-media/reports/sync/line-items", "not read yet: a synchronous report"),
    ("POST retail-media/reports/sync/real-time-performance", "not read yet: a synchronous report"),
    ("POST retail-media/reports/unfilled-placements", "not read yet: reports are jobs"),
    ("GET retail-media/reports/{}/output", "not read yet: reports are jobs"),
    ("GET retail-media/reports/{}/status", "not read yet: reports are jobs"),
];

fn folder() -> Option<String> {
    let folder = std::env::var("CRITEO_OPENAPI_DIR").ok();
    if folder.is_none() {
        println!("skipped: CRITEO_OPENAPI_DIR is not set");
    }
    folder
}

fn document(folder: &str, version: &str) -> Value {
    let path = format!("{folder}/openapi-retail-media-{version}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The operation of a path, whatever its placeholders are called.
fn operation<'a>(document: &'a Value, version: &str, method: &str, path: &str) -> Option<&'a Value> {
    let paths = document["paths"].as_object().unwrap().iter();
    let mut same = paths.filter(|(known, operations)| {
        shape(known.trim_start_matches(&format!("/{version}"))) == shape(path) && operations[method].is_object()
    });
    same.next().map(|(_, operations)| &operations[method])
}

/// The documented fields of an entity's rows, by column.
fn fields(entity: &Entity, schema: &Value, columns: &Map<String, Value>, document: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let item = item(&resolve(schema, document), document);
    let attributes = resolve(&item["properties"]["attributes"], document);
    let inside = if attributes["properties"].is_object() { &attributes } else { &item };
    let properties = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
    match entity.rows {
        RowsOf::Objects => {
            flatten(inside, "", columns, document, &mut fields);
            if !std::ptr::eq(inside, &raw const item) {
                fields.insert("id".to_owned(), item["properties"]["id"].clone());
            }
        }
        RowsOf::Renamed(names) => {
            for (old, new) in names {
                fields.insert(crate::truth::join("", new), item["properties"][old].clone());
            }
        }
        RowsOf::Lists(lists) => {
            for ListOfRows { member, text, constants, repeated, renamed, .. } in lists {
                let list = resolve(&properties(inside)[*member], document);
                let entry = resolve(&list["items"], document);
                fields.extend(constants.iter().map(|(name, _)| ((*name).to_owned(), json!({"type": "string"}))));
                for name in *repeated {
                    fields.insert(crate::truth::join("", name), properties(inside)[*name].clone());
                }
                if let Some(name) = text {
                    fields.insert((*name).to_owned(), entry);
                    continue;
                }
                for (member, schema) in properties(&entry) {
                    let other = renamed.iter().find(|(old, _)| *old == member).map(|(_, new)| *new);
                    let name = crate::truth::join("", other.unwrap_or(&member));
                    flatten(&resolve(&schema, document), &name, columns, document, &mut fields);
                }
            }
        }
        RowsOf::Open(_) => unreachable!("the rows of files have no schema"),
        RowsOf::Map { member, key, order: (order, place) } => {
            let map = resolve(&properties(inside)[member], document);
            let entry = resolve(&map["additionalProperties"], document);
            assert_eq!(properties(inside)[order]["type"], "array", "{member}");
            fields.insert(key.to_owned(), json!({"type": "string"}));
            fields.insert(place.to_owned(), json!({"type": "integer"}));
            flatten(&entry, "", columns, document, &mut fields);
        }
    }
    fields
}

/// What a job calls besides its creation.
fn operations_of(job: Job) -> &'static [&'static str] {
    match job {
        Job::Catalog => &[
            "POST retail-media/accounts/{}/catalogs/sellers",
            "GET retail-media/catalogs/{}/status",
            "GET retail-media/catalogs/{}/output",
        ],
        Job::Billing => {
            &["GET retail-media/billing/partner-report/{}/status", "GET retail-media/billing/partner-report/{}/output"]
        }
    }
}

#[test]
fn streams_match_criteos_documents() {
    let Some(folder) = folder() else { return };
    let mut all_differences = Vec::new();
    for version in VERSIONS {
        let document = document(&folder, version);
        let config =
            json!({"client_id": "id", "client_secret": "secret", "product": "retail_media", "api_version": version});
        let (mut lines, mut differences, mut covered) = (Vec::new(), Vec::new(), BTreeSet::new());
        for stream in products::streams(&Config::parse(&config.to_string()).unwrap().reports) {
            let Source::Entity(entity) = &stream.source else { continue };
            let method = if entity.request.is_post() { "post" } else { "get" };
            let Some(operation) = operation(&document, version, method, entity.path) else {
                differences.push(format!("{}: no operation {method} {}", stream.name, entity.path));
                continue;
            };
            covered.insert(format!("{} {}", method.to_uppercase(), shape(entity.path)));
            let scope = &operation["security"];
            if stream.permission != products::Permission::None {
                assert!(scope.to_string().contains(stream.permission.label()), "{}: {scope}", stream.name);
            }
            let declared = operation["parameters"].as_array().into_iter().flatten();
            let declared: BTreeMap<_, _> = declared.map(|p| (p["name"].as_str().unwrap(), &p["schema"])).collect();
            let paging = match (entity.request, entity.request.limit()) {
                (_, None) => [None, None],
                (Request::NumberedPages { .. }, _) => [Some("pageIndex"), Some("pageSize")],
                _ => [Some("limit"), Some("offset")],
            };
            let fixed = entity.query.iter().map(|parameter| match parameter {
                QueryParam::Fixed(name, _) | QueryParam::Of(name, _) => *name,
            });
            for name in fixed.chain(paging.into_iter().flatten()).filter(|name| !declared.contains_key(name)) {
                differences.push(format!("{}: no parameter {name}", stream.name));
            }
            let most = paging.iter().flatten().filter_map(|name| declared.get(name)?["maximum"].as_u64()).min();
            if entity.request.limit().zip(most).is_some_and(|(limit, most)| u64::from(limit) > most) {
                differences.push(format!("{}: pages have at most {most:?} objects", stream.name));
            }
            if let Request::Job(job) = entity.request {
                // The rows of files have no schema.
                covered.extend(operations_of(job).iter().map(|&operation| operation.to_owned()));
                continue;
            }
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let columns = stream.schema["properties"].as_object().unwrap();
            let fields = fields(entity, schema, columns, &document);
            for (field, schema) in &fields {
                let Some(column) = columns.get(field) else {
                    if field != "id" {
                        differences.push(format!("{}.{field} is new", stream.name));
                    }
                    continue;
                };
                let kind = schema["type"].as_str().unwrap_or("object");
                let ours = column["type"].as_str().or(column["type"][1].as_str()).unwrap();
                // Some ids have no type of their own there.
                let is_untyped_id = field == "id" && kind == "object" && ours == "string";
                if ours != kind && !is_untyped_id && !(kind == "integer" && matches!(ours, "string" | "number")) {
                    differences.push(format!("{}.{field} is {kind} there and {ours} here", stream.name));
                }
                let values = schema["enum"].as_array().or(schema["items"]["enum"].as_array());
                let values = values.map(|values| values.iter().map(|v| v.as_str().unwrap_or("null")));
                let values = values.map(|values| format!(" {}", values.collect::<Vec<_>>().join("|")));
                let format = schema["format"].as_str().map(|format| format!(" ({format})")).unwrap_or_default();
                lines.push(format!("{}.{field}: {kind}{format}{}", stream.name, values.unwrap_or_default()));
            }
            let injected: Vec<_> = entity.columns.iter().copied().map(Placeholder::name).collect();
            let is_ours = |name: &&String| {
                fields.contains_key(*name) || injected.contains(&name.as_str()) || *name == "row_number"
            };
            for column in columns.keys().filter(|name| !is_ours(name)) {
                differences.push(format!("{}.{column} no longer exists", stream.name));
            }
        }
        let mut operations = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                if is_read(method, path) && path.starts_with(&format!("/{version}/")) {
                    let place = shape(path.trim_start_matches(&format!("/{version}")));
                    operations.insert(format!("{} {place}", method.to_uppercase()));
                }
            }
        }
        println!("{version}: {} of {} read operations covered", covered.len(), operations.len());
        for operation in operations.difference(&covered) {
            let reason = NOT_COVERED.iter().find(|(known, _)| known == operation).map(|(_, reason)| *reason);
            println!("  not covered: {operation}: {}", reason.unwrap_or("NO REASON GIVEN"));
            if reason.is_none() {
                differences.push(format!("{operation} is not covered, without a reason"));
            }
        }
        all_differences.extend(differences.into_iter().map(|difference| format!("{version}: {difference}")));
        insta::assert_snapshot!(format!("contract_retail_media_{version}"), lines.join("\n"));
    }
    assert_eq!(all_differences, [""; 0]);
}

#[test]
fn request_bodies_match_criteos_documents() {
    let Some(folder) = folder() else { return };
    let mut bodies = 0;
    for version in VERSIONS {
        let document = document(&folder, version);
        let mut bench = bench(options());
        bench.config["api_version"] = json!(version);
        let names: Vec<_> = bench.discover().into_keys().collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        bench.read(&bench.catalog(&names, "full_refresh"), None);
        let requests = bench.sandbox.requests();
        let posts = requests.iter().filter(|request| request.line.starts_with(&format!("POST /{version}/")));
        for request in posts {
            let path = request.line[5..].split([' ', '?']).next().unwrap();
            let is_id = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
            let parts = path.split('/').skip(2).map(|part| if is_id(part) { "{}" } else { part });
            let operation = operation(&document, version, "post", &parts.collect::<Vec<_>>().join("/"));
            let operation = operation.unwrap_or_else(|| panic!("{version} has no {path}"));
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                let is_empty = request.body.as_object().is_none_or(serde_json::Map::is_empty);
                assert!(is_empty && !request.body.is_array(), "{path} has no body: {}", request.body);
                continue;
            }
            if let Err(error) = validator(schema, &document, Dates::Days).validate(&request.body) {
                panic!("{}: {error}: {}", request.line, request.body);
            }
            bodies += 1;
        }
    }
    assert!(bodies > 20, "{bodies} bodies");
}
