//! Retail Media: every stream is compared with the sandbox's truth, under every open question of the API.

mod access;
mod billing;
mod catalogs;
mod contract;
mod demo;
mod paging;

use std::collections::BTreeMap;

use criteo_sandbox::{Options, Product};
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript};
use crate::truth::{self, ByKey, by_key};

/// Streams that nothing reads without their name: a request per line item, a job per account, or access for chosen apps.
pub const LEFT_OUT: &[&str] = &[
    "rm_account_fees",
    "rm_add_to_basket_targets",
    "rm_audience_targets",
    "rm_bid_multipliers",
    "rm_catalog_products",
    "rm_keywords",
    "rm_line_item_budget_overrides",
    "rm_partner_billing",
    "rm_private_market_child_accounts",
    "rm_promoted_products",
    "rm_recommended_keywords",
    "rm_store_targets",
];

/// Options of a sandbox whose app belongs to Retail Media.
pub fn options() -> Options {
    Options { product: Product::RetailMedia, ..Options::default() }
}

/// A bench whose configuration reads Retail Media.
pub fn bench(options: Options) -> Bench {
    let mut bench = Bench::new(options, 10);
    let config = bench.config.as_object_mut().unwrap();
    config.remove("currency");
    config.insert("product".to_owned(), json!("retail_media"));
    bench
}

/// The expected records of a stream.
pub fn truth_of(bench: &Bench, name: &str, stream: &Value) -> Vec<Map<String, Value>> {
    let version = bench.config["api_version"].as_str().unwrap_or("2026-07");
    let objects = match name {
        "rm_partner_billing" => Some(billing::truth(bench)),
        _ => bench.sandbox.world().retail_media_stream(name, version),
    };
    let mut objects = objects.unwrap_or_else(|| panic!("the sandbox does not know {name}"));
    if name == "rm_catalog_products" {
        // The status of a catalog names its currency, which is the account's.
        let accounts = bench.sandbox.world().retail_media_stream("rm_accounts", version).unwrap();
        for product in &mut objects {
            let product = &mut product["attributes"];
            let account = accounts.iter().find(|account| account["id"] == product["accountId"]).unwrap();
            product["currency"] = account["attributes"]["currency"].clone();
        }
    }
    let mut records = truth::records_of(&objects, stream);
    let properties = &stream["json_schema"]["properties"];
    let mut numbers: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for record in &mut records {
        let key = stream["source_defined_primary_key"].as_array().unwrap().iter().map(|path| path[0].as_str().unwrap());
        if properties["row_number"].is_object() {
            let key = key.clone().filter(|column| *column != "row_number").map(|column| record[column].to_string());
            let number = numbers.entry(key.collect()).or_insert(0);
            *number += 1;
            record.insert("row_number".to_owned(), json!(*number));
        }
        for column in key {
            // A key part without a value is empty.
            if record.get(column).is_none_or(Value::is_null) {
                record.insert(column.to_owned(), json!(""));
            }
        }
    }
    records
}

/// Asserts that a read of all these streams delivers the truth.
pub fn assert_whole(bench: &Bench, transcript: &Transcript, names: &[&str]) {
    let discovered = bench.discover();
    for name in names {
        let stream = &discovered[*name];
        let truth = by_key(&truth_of(bench, name, stream), stream);
        let records = transcript.records(name);
        assert_eq!(records.len(), truth.len(), "{name}: the number of records");
        // An absent column is null in every destination.
        let without_nulls = |mut records: ByKey| {
            for record in records.values_mut() {
                record.retain(|_, value| !value.is_null());
            }
            records
        };
        assert_eq!(without_nulls(by_key(records, stream)), without_nulls(truth), "{name}");
    }
}

#[test]
fn every_stream_matches_the_truth_in_every_version() {
    for version in ["2026-07", "2027-01"] {
        let mut bench = bench(options());
        bench.config["api_version"] = json!(version);
        let discovered = bench.discover();
        let names: Vec<_> = discovered.keys().map(String::as_str).collect();
        let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
        assert_eq!(transcript.code, Some(0), "{version}: {:?}", transcript.errors());
        assert_eq!(transcript.logs("WARN"), [""; 0], "{version}");
        assert_whole(&bench, &transcript, &names);
        assert!(names.iter().all(|name| name.starts_with("rm_") && !transcript.records(name).is_empty()), "{version}");
        assert_eq!(names.contains(&"rm_keywords"), version == "2026-07");
        assert!(names.len() >= 33, "{names:?}");
    }
}

#[test]
fn strange_strings_and_nulls_arrive_unchanged() {
    let mut options = options();
    options.retail_media.hostile = true;
    let bench = bench(options);
    let discovered = bench.discover();
    let names: Vec<_> = discovered.keys().map(String::as_str).collect();
    let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_whole(&bench, &transcript, &names);
}

#[test]
fn an_interrupted_read_resumes_without_a_gap() {
    let mut options = options();
    options.retail_media.campaigns = 20;
    options.retail_media.line_items = 2;
    let bench = bench(options);
    let mut catalog = bench.catalog(&["rm_promoted_products"], "full_refresh");
    catalog["streams"][0]["sync_id"] = json!(1);
    let whole = bench.read(&catalog, None);
    assert_whole(&bench, &whole, &["rm_promoted_products"]);
    let stream = &bench.discover()["rm_promoted_products"];
    let truth = by_key(&truth_of(&bench, "rm_promoted_products", stream), stream);
    let ends = (1..=whole.messages.len()).filter(|end| whole.messages[end - 1]["type"] == "STATE");
    let mut states = 0;
    for end in ends {
        let resumed = bench.read(&catalog, Some(&whole.state_after(end)));
        let before = whole.messages[..end].iter().filter(|message| message["type"] == "RECORD");
        let before = before.map(|message| message["record"]["data"].as_object().unwrap());
        let union = by_key(before.chain(resumed.records("rm_promoted_products")), stream);
        assert_eq!(union, truth, "ended after message {end}");
        states += 1;
    }
    assert!(states >= 2, "{states} states");
}

#[test]
fn retailers_of_several_accounts_are_asked_once() {
    let bench = bench(options());
    let names = ["rm_retailers", "rm_retailer_pages", "rm_retailer_brands"];
    let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
    assert_whole(&bench, &transcript, &names);
    let requests = bench.sandbox.requests();
    let of_pages: Vec<_> = requests.iter().filter(|r| r.line.contains("/pages")).map(|r| r.line.clone()).collect();
    let mut distinct = of_pages.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(of_pages.len(), distinct.len());
    assert!(transcript.records("rm_retailers").len() > distinct.len(), "no retailer repeats");
}

#[test]
fn what_needs_a_request_per_line_item_is_not_selected_by_default() {
    let bench = bench(options());
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    let output = program.args(["--config", "config.json", "--discover"]).output().unwrap();
    let catalog: Value = serde_json::from_slice(&output.stdout).unwrap();
    let selected: BTreeMap<String, bool> = catalog["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| {
            let metadata = stream["metadata"].as_array().unwrap();
            let top = metadata.iter().find(|entry| entry["breadcrumb"] == json!([])).unwrap();
            let name = stream["tap_stream_id"].as_str().unwrap().to_owned();
            (name, top["metadata"]["selected-by-default"] == true)
        })
        .collect();
    let left_out: Vec<_> = selected.iter().filter(|(_, is_selected)| !**is_selected).map(|(name, _)| &**name).collect();
    assert_eq!(left_out, LEFT_OUT);
}

/// A retailer's key: 417 accounts that advertise with it, and 5,004 line items.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_private_market_of_hundreds_of_accounts_takes_one_request_per_list() {
    let mut options = options();
    options.retail_media.accounts = 417;
    options.retail_media.campaigns = 4;
    options.retail_media.line_items = 3;
    let bench = bench(options);
    let names = ["rm_accounts", "rm_campaigns", "rm_line_items", "rm_auction_line_items", "rm_promoted_products"];
    let started = std::time::Instant::now();
    let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_whole(&bench, &transcript, &names);
    let world = bench.sandbox.world();
    let count = |name: &str| world.retail_media_stream(name, "2026-07").unwrap().len();
    // One request per list of an account, of a campaign and of a line item.
    let least = 1 + 2 * count("rm_accounts") + count("rm_campaigns") + count("rm_line_items");
    let requests = bench.sandbox.requests().len();
    println!(
        "{requests} requests, at least {least}; {} rows in {:.1?}, {} KiB",
        names.iter().map(|name| transcript.records(name).len()).sum::<usize>(),
        started.elapsed(),
        transcript.peak_kib
    );
    // The first lists of a path show what their counts are.
    assert!(requests <= least + 40, "{requests} requests");
}
