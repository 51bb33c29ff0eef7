//! Records match the truth.

use criteo_sandbox::{Casing, Numbers, Options, Permission, Shape, Wrapping};
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript};
use crate::truth::{self, by_key};

const METRICS: &[&str] = &[
    "Displays",
    "Clicks",
    "AdvertiserCost",
    "Visits",
    "SalesClientAttribution",
    "SalesPc30d",
    "SalesPc7d",
    "SalesPc1d",
    "SalesPv24h",
    "SalesPc30dPv24h",
    "RevenueGeneratedClientAttribution",
    "RevenueGeneratedPc30d",
    "RevenueGeneratedPc7d",
    "RevenueGeneratedPc1d",
    "RevenueGeneratedPv24h",
    "RevenueGeneratedPc30dPv24h",
    "SalesAllClientAttribution",
    "SalesAllPc30d",
    "RevenueGeneratedAllClientAttribution",
    "RevenueGeneratedAllPc30d",
];

/// The query whose response is the truth of built-in statistics.
pub fn preset(name: &str) -> Value {
    let dimensions = match name {
        "campaign_statistics_daily" => json!(["AdvertiserId", "CampaignId", "Day"]),
        "ad_set_statistics_daily" => json!(["AdvertiserId", "CampaignId", "AdsetId", "Day"]),
        "ad_set_statistics_hourly" => json!(["AdvertiserId", "CampaignId", "AdsetId", "Hour", "Day"]),
        "ad_statistics_daily" => json!(["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"]),
        "device_statistics_daily" => json!(["AdvertiserId", "CampaignId", "AdsetId", "Device", "Os", "Day"]),
        "category_statistics_daily" => json!(["AdvertiserId", "CampaignId", "AdsetId", "CategoryId", "Day"]),
        "coupon_statistics_daily" => json!(["AdvertiserId", "CampaignId", "AdsetId", "CouponId", "Day"]),
        "objective_statistics_daily" => {
            json!(["AdvertiserId", "CampaignId", "MarketingObjectiveId", "ChannelId", "Day"])
        }
        other => panic!("{other} is not a built-in report"),
    };
    json!({"dimensions": dimensions, "metrics": METRICS})
}

/// The expected records of any stream.
pub fn truth_of(bench: &Bench, name: &str, stream: &Value) -> Vec<Map<String, Value>> {
    let properties = &stream["json_schema"]["properties"];
    if name.contains("_statistics_") || name.starts_with("custom_") {
        truth::report(bench, &preset(name), stream)
    } else if properties["timezone"].is_object() || name == "log_level_events" {
        truth::small(bench, name, stream)
    } else {
        truth::entity(bench, name, stream)
    }
}

/// Asserts that a report's records match the truth without duplicates.
pub fn assert_report(bench: &Bench, transcript: &Transcript, name: &str, query: &Value) {
    let stream = &bench.discover()[name];
    let truth = truth::report(bench, query, stream);
    let records = transcript.records(name);
    assert!(!truth.is_empty());
    assert_eq!(records.len(), truth.len(), "{name}");
    assert_eq!(by_key(records, stream), by_key(&truth, stream), "{name}");
}

/// Asserts that a read resumes from each of its states without a gap. Returns the number of states.
pub fn assert_resumable(bench: &Bench, catalog: &Value, whole: &Transcript, reports: &[&str]) -> usize {
    let discovered = bench.discover();
    let truths: Vec<_> =
        reports.iter().map(|name| by_key(&truth_of(bench, name, &discovered[*name]), &discovered[*name])).collect();
    let ends = (1..=whole.messages.len()).filter(|end| whole.messages[end - 1]["type"] == "STATE");
    let mut states = 0;
    for end in ends {
        let resumed = bench.read(catalog, Some(&whole.state_after(end)));
        for (name, truth) in reports.iter().zip(&truths) {
            let before = whole.messages[..end].iter().filter(|m| m["record"]["stream"] == *name);
            let before = before.map(|message| message["record"]["data"].as_object().unwrap());
            let union = by_key(before.chain(resumed.records(name)), &discovered[*name]);
            assert_eq!(&union, truth, "{name}, ended after message {end}");
        }
        states += 1;
    }
    states
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn every_stream_is_complete_in_every_reported_response_format() {
    for (shape, numbers, casing, wrapping) in [
        (Shape::Rows, Numbers::Quoted, Casing::Pascal, Wrapping::Rows),
        (Shape::Array, Numbers::Bare, Casing::Camel, Wrapping::Each),
    ] {
        let mut bench = Bench::new(Options { shape, numbers, casing, wrapping, ..Options::default() }, 25);
        bench.config["api_version"] = json!("2027-01");
        let discovered = bench.discover();
        let names: Vec<_> = discovered.keys().map(String::as_str).collect();
        let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert_eq!(transcript.logs("WARN"), [""; 0]);
        for name in names {
            let truth = truth_of(&bench, name, &discovered[name]);
            assert!(!truth.is_empty(), "{name}");
            assert_eq!(transcript.records(name).len(), truth.len(), "{name}");
            assert_eq!(
                by_key(transcript.records(name), &discovered[name]),
                by_key(&truth, &discovered[name]),
                "{name}"
            );
        }
    }
}

#[test]
fn custom_reports_include_the_ids_and_periods_of_their_keys() {
    let mut bench = Bench::new(Options::default(), 70);
    bench.config["custom_reports"] = json!([
        {"name": "names", "dimensions": ["Campaign"], "metrics": ["Clicks", "ClickThroughRate"], "currency": "usd"},
        {"name": "months", "dimensions": ["Month", "Device"], "metrics": ["AdvertiserCost"]},
        {"name": "weeks", "dimensions": ["Week", "Os"], "metrics": ["AdvertiserCost"], "timezone": "America/New_York"},
        {"name": "hours", "dimensions": ["Hour"], "metrics": ["Displays"], "timezone": "Europe/Paris"},
        {"name": "two_ad_sets", "dimensions": ["AdsetId", "Day"], "metrics": ["Clicks"], "ad_set_ids": "300001, 300003"},
        {"name": "named", "dimensions": ["AdsetId"], "metrics": ["Clicks"], "ad_set_names": ["Ad set 2", "Ad set 5"]},
        {"name": "active", "dimensions": ["AdsetId"], "metrics": ["Clicks"], "ad_set_status": ["Active", "Dead"]},
        {"name": "coupons", "dimensions": ["Coupon", "Day"], "metrics": ["ResultType", "Clicks"]},
    ]);
    let names = ["names", "months", "weeks", "hours", "two_ad_sets", "named", "active", "coupons"]
        .map(|name| format!("custom_{name}"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let transcript = bench.read(&bench.catalog(&names, "incremental"), None);
    assert_eq!(transcript.code, Some(0));
    let day = |text: &str| json!(text);
    for (name, query) in [
        (
            "names",
            json!({"dimensions": ["AdvertiserId", "CampaignId", "Day"], "metrics": ["Clicks", "ClickThroughRate"],
            "currency": "USD"}),
        ),
        // Whole months: the request starts with the month of start_date.
        (
            "months",
            json!({"dimensions": ["AdvertiserId", "Month", "Device"], "metrics": ["AdvertiserCost"],
            "startDate": day("2026-08-01")}),
        ),
        (
            "weeks",
            json!({"dimensions": ["AdvertiserId", "Week", "Os"], "metrics": ["AdvertiserCost"],
            "startDate": day("2026-08-17"), "timezone": "America/New_York"}),
        ),
        ("hours", json!({"dimensions": ["AdvertiserId", "Hour", "Day"], "metrics": ["Displays"]})),
        (
            "two_ad_sets",
            json!({"dimensions": ["AdvertiserId", "AdsetId", "Day"], "metrics": ["Clicks"],
            "adSetIds": ["300001", "300003"]}),
        ),
        (
            "named",
            json!({"dimensions": ["AdvertiserId", "AdsetId", "Day"], "metrics": ["Clicks"],
            "adSetNames": ["Ad set 2", "Ad set 5"]}),
        ),
        (
            "active",
            json!({"dimensions": ["AdvertiserId", "AdsetId", "Day"], "metrics": ["Clicks"],
            "adSetStatus": ["Active", "Dead"]}),
        ),
        ("coupons", json!({"dimensions": ["AdvertiserId", "CouponId", "Day"], "metrics": ["ResultType", "Clicks"]})),
    ] {
        assert_report(&bench, &transcript, &format!("custom_{name}"), &query);
    }
}

#[test]
fn long_periods_starting_before_criteos_history_are_skipped() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 1);
    bench.config["start_date"] = Value::Null;
    bench.config["custom_reports"] = json!([
        {"name": "weeks", "dimensions": ["Week"], "metrics": ["Clicks"]},
        {"name": "months", "dimensions": ["Month"], "metrics": ["Clicks"]},
        {"name": "years", "dimensions": ["Year"], "metrics": ["Clicks"]},
    ]);
    let transcript =
        bench.read(&bench.catalog(&["custom_weeks", "custom_months", "custom_years"], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    // Two years before 2026-11-01 is Friday, 2024-11-01.
    for (name, dimension, start) in [
        ("custom_weeks", "Week", "2024-11-04"),
        ("custom_months", "Month", "2024-11-01"),
        ("custom_years", "Year", "2025-01-01"),
    ] {
        let query = json!({"dimensions": ["AdvertiserId", dimension], "metrics": ["Clicks"], "startDate": start});
        assert_report(&bench, &transcript, name, &query);
    }
}

#[test]
fn rows_with_the_same_key_are_numbered() {
    let mut bench = Bench::new(Options::default(), 5);
    bench.config["custom_reports"] = json!([{"name": "categories", "dimensions": ["Category"], "metrics": ["Clicks"]}]);
    let transcript = bench.read(&bench.catalog(&["custom_categories"], "incremental"), None);
    let discovered = &bench.discover()["custom_categories"];
    assert_eq!(
        discovered["source_defined_primary_key"],
        json!([["advertiser_id"], ["category_id"], ["day"], ["currency"], ["row_number"]])
    );
    let records = transcript.records("custom_categories");
    let twins = records.iter().filter(|record| record["row_number"] == 2).count();
    assert!(twins > 0 && records.iter().all(|record| record["row_number"] == 2 || record["row_number"] == 1));
    assert_eq!(by_key(records.iter().copied(), discovered).len(), records.len());
}

#[test]
fn only_selected_columns_are_requested_and_written() {
    let bench = Bench::new(Options::default(), 5);
    let mut catalog = bench.catalog(&["campaign_statistics_daily", "ad_sets"], "incremental");
    catalog["streams"][0]["stream"]["json_schema"]["properties"] = json!({"clicks": {"type": ["null", "integer"]}});
    catalog["streams"][1]["stream"]["json_schema"]["properties"] =
        json!({"budget_amount": {"type": ["null", "number"]}});
    // Keys are always included.
    let transcript = {
        bench.file("config.json", &bench.config);
        bench.file("catalog.json", &catalog);
        bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"])
    };
    for record in transcript.records("campaign_statistics_daily") {
        let columns: Vec<_> = record.keys().map(String::as_str).collect();
        assert_eq!(columns, ["advertiser_id", "campaign_id", "day", "clicks", "currency"]);
    }
    let ad_sets = transcript.records("ad_sets");
    assert!(ad_sets.iter().any(|record| record.keys().eq(["id", "budget_amount"])));
    // If Criteo sends no budget, its column is absent.
    assert!(ad_sets.iter().all(|record| record.keys().all(|column| column == "id" || column == "budget_amount")));
    assert!(bench.report_requests().iter().all(|request| request["metrics"] == json!(["Clicks"])));
}

#[test]
fn money_and_ids_keep_every_digit() {
    for numbers in [Numbers::Bare, Numbers::Quoted] {
        let bench = Bench::new(Options { numbers, ..Options::default() }, 3);
        let transcript = bench.read(&bench.catalog(&["ad_sets", "ad_statistics_daily"], "full_refresh"), None);
        assert!(transcript.stdout.contains(r#""budget_amount":123456789012.34"#));
        assert!(transcript.stdout.contains(r#""ad_id":"900000000000000001""#));
        let query = json!({"advertiserIds": "1001", "startDate": "2026-10-29", "endDate": "2026-11-01", "currency": "EUR",
            "dimensions": ["AdId", "Day"], "metrics": ["AdvertiserCost"], "format": "json"});
        let rows = bench.sandbox.world().report_truth("statistics", &query).unwrap();
        let amounts = rows.iter().map(|row| row["AdvertiserCost"].as_str().unwrap());
        let long: Vec<_> = amounts.filter(|text| text.len() > 18).collect();
        assert!(long.len() >= 2, "{long:?}");
        for amount in long {
            assert!(transcript.stdout.contains(&format!("\"advertiser_cost\":{amount},")), "{amount}");
        }
    }
}

#[test]
fn a_missing_permission_fails_only_its_stream_and_is_named() {
    let options = Options { without_permission: vec![Permission::Audiences], ..Options::default() };
    let bench = Bench::new(options, 3);
    let transcript = bench.read(&bench.catalog(&["audiences", "campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(1));
    let [error] = &transcript.errors()[..] else { panic!("expected one error") };
    assert_eq!(
        (&error["failure_type"], &error["stream_descriptor"]["name"]),
        (&json!("config_error"), &json!("audiences"))
    );
    assert!(error["message"].as_str().unwrap().contains("Audiences: Read"), "{error}");
    assert_eq!(transcript.statuses("campaigns"), ["STARTED", "RUNNING", "COMPLETE"]);
}
