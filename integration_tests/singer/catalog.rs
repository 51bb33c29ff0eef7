//! Catalogs as Meltano passes them.

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{catalog_with, tap, tap_streams};
use crate::harness::Bench;

#[test]
fn a_discovered_catalog_is_accepted_with_a_selection() {
    let bench = Bench::new(Options::default(), 5);
    // Meltano passes the state on discovery as well.
    bench.file("state.json", &json!({"bookmarks": {}}));
    let discovery = tap(&bench, &["--state", "state.json", "--discover"]);
    assert_eq!((discovery.code, discovery.stderr.as_str()), (Some(0), ""));
    assert!(discovery.stdout.lines().all(|line| line.len() < 4096), "Meltano hangs on long lines");
    let catalog: Value = serde_json::from_str(&discovery.stdout).unwrap();
    let airbyte = bench.discover();
    assert_eq!(catalog["streams"].as_array().unwrap().len(), airbyte.len());
    for stream in catalog["streams"].as_array().unwrap() {
        let properties = stream["schema"]["properties"].as_object().unwrap().len();
        assert_eq!(stream["metadata"].as_array().unwrap().len(), properties + 1, "{stream}: metadata is missing");
    }
    let selection = catalog_with(&bench, |stream, column| match column {
        None => ["campaigns", "campaign_statistics_daily"].contains(&stream),
        Some(column) => ["clicks", "name"].contains(&column),
    });
    bench.file("catalog.json", &selection);
    for flag in ["--catalog", "--properties"] {
        let run = tap(&bench, &[flag, "catalog.json"]);
        let schemas: Vec<_> =
            run.messages.iter().filter(|m| m["type"] == "SCHEMA").map(|m| m["stream"].clone()).collect();
        assert_eq!(schemas.len(), 2, "{schemas:?}");
        for record in run.records("campaign_statistics_daily") {
            let columns: Vec<_> = record.keys().map(String::as_str).collect();
            assert_eq!(columns, ["advertiser_id", "campaign_id", "day", "clicks", "currency"]);
        }
        assert!(run.records("campaigns").iter().all(|record| record.keys().eq(["id", "name"])));
    }
}

#[test]
fn values_are_cast_to_the_catalogs_types() {
    let bench = Bench::new(Options::default(), 5);
    let name = "campaign_statistics_daily";
    let plain = tap_streams(&bench, &[name], &[]);
    let mut catalog = catalog_with(&bench, |stream, _| stream == name);
    let streams = catalog["streams"].as_array_mut().unwrap();
    let properties = &mut streams.iter_mut().find(|stream| stream["stream"] == name).unwrap()["schema"]["properties"];
    // Meltano's `schema:` rules; targets with decimals need numbers as exact strings.
    properties["advertiser_cost"] =
        json!({"type": ["null", "string"], "format": "x-singer.decimal", "precision": 38, "scale": 9});
    properties["clicks"] = json!({"type": "string"});
    properties["displays"] = json!({"anyOf": [{"type": "integer"}, {"type": "null"}]});
    properties["campaign_id"] = json!({"type": "integer"});
    properties["sales_pc30d"] = json!({"type": ["object", "null"]});
    properties["no_such_column"] = json!({"type": "string"});
    properties["day"] = json!({"type": "string", "format": "date-time"});
    properties["visits"] = json!({"type": ["number"]});
    properties["sales_pc7d"] = json!({"anyOf": [{"type": "integer"}]});
    properties["timezone"] = json!({"type": ["integer", "null"]});
    bench.file("catalog.json", &catalog);
    // `tap` validates each record against the written schema.
    let cast = tap(&bench, &["--catalog", "catalog.json"]);
    assert_eq!(cast.code, Some(0), "{}", cast.stderr);
    let schema = cast.messages.iter().find(|message| message["type"] == "SCHEMA").unwrap();
    assert_eq!(schema["schema"]["properties"]["clicks"], json!({"type": ["null", "string"]}));
    assert!(schema["schema"]["properties"]["no_such_column"].is_null());
    assert_eq!(schema["schema"]["properties"]["visits"], json!({"type": ["number", "null"]}));
    assert_eq!(schema["schema"]["properties"]["sales_pc7d"], json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}));
    let (plain, cast_records) = (plain.records(name), cast.records(name));
    assert_eq!(plain.len(), cast_records.len());
    for (plain, cast) in plain.iter().zip(cast_records) {
        let exact: f64 = cast["advertiser_cost"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(exact), plain["advertiser_cost"].as_f64());
        assert_eq!(cast["clicks"], plain["clicks"].to_string());
        assert_eq!(cast["displays"], plain["displays"]);
        assert_eq!(cast["campaign_id"].to_string(), plain["campaign_id"].as_str().unwrap());
        assert!(cast["sales_pc30d"].is_null(), "a number is not an object");
        assert_eq!(cast["day"], format!("{}T00:00:00Z", plain["day"].as_str().unwrap()));
        assert!(cast["timezone"].is_null(), "UTC is not a number");
    }
    assert!(cast.stderr.contains("values that do not fit their columns: sales_pc30d"), "{}", cast.stderr);
}

#[test]
fn an_outdated_catalog_is_reported() {
    let bench = Bench::new(Options::default(), 2);
    let mut catalog = catalog_with(&bench, |stream, _| ["campaigns", "advertisers"].contains(&stream));
    let streams = catalog["streams"].as_array_mut().unwrap();
    let campaigns = streams.iter_mut().find(|stream| stream["stream"] == "campaigns").unwrap();
    campaigns["schema"]["properties"].as_object_mut().unwrap().remove("goal");
    bench.file("catalog.json", &catalog);
    let run = tap(&bench, &["--catalog", "catalog.json"]);
    assert_eq!(run.code, Some(0));
    assert!(
        run.stderr.contains("WARNING The catalog lacks columns that this release has: campaigns (goal)."),
        "{}",
        run.stderr
    );
    assert!(run.records("campaigns").iter().all(|record| !record.contains_key("goal")));
}

#[test]
fn a_full_table_sync_ignores_the_state() {
    let mut bench = Bench::new(Options::default(), 20);
    bench.config["lookback_days"] = json!(1);
    let name = "campaign_statistics_daily";
    let first = tap_streams(&bench, &[name], &[]);
    let mut catalog = catalog_with(&bench, |stream, _| stream == name);
    for stream in catalog["streams"].as_array_mut().unwrap() {
        // The effect of Meltano's `replication-method: FULL_TABLE`.
        stream["replication_method"] = json!("FULL_TABLE");
        stream["metadata"][0]["metadata"]["replication-method"] = json!("FULL_TABLE");
    }
    bench.file("catalog.json", &catalog);
    bench.file("state.json", first.last_state());
    let full = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
    assert_eq!(full.code, Some(0), "{}", full.stderr);
    assert_eq!(full.records(name).len(), first.records(name).len());
    // Incremental again: the state of a full refresh does not prevent it.
    bench.file("catalog.json", &catalog_with(&bench, |stream, _| stream == name));
    for state in [full.last_state().clone(), json!({"bookmarks": {name: {"version": 1, "after": null}}})] {
        bench.file("state.json", &state);
        let again = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
        assert_eq!(again.code, Some(0), "{}", again.stderr);
    }
}

/// Values not in rows: ids of the requested parent, and row numbers.
#[test]
fn values_added_by_the_tap_are_cast() {
    let bench = Bench::new(Options::default(), 3);
    let mut catalog =
        catalog_with(&bench, |stream, _| ["ad_set_category_bids", "category_statistics_daily"].contains(&stream));
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let name = stream["tap_stream_id"].as_str().unwrap().to_owned();
        let properties = &mut stream["schema"]["properties"];
        match name.as_str() {
            "ad_set_category_bids" => properties["ad_set_id"] = json!({"type": "integer"}),
            "category_statistics_daily" => properties["row_number"] = json!({"type": "string"}),
            _ => {}
        }
    }
    bench.file("catalog.json", &catalog);
    let run = tap(&bench, &["--catalog", "catalog.json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.records("ad_set_category_bids").iter().all(|record| record["ad_set_id"].is_i64()));
    assert!(run.records("category_statistics_daily").iter().any(|record| record["row_number"] == "2"));
}

#[test]
fn streams_can_be_selected_without_credentials() {
    let bench = Bench::new(Options::default(), 1);
    bench.file(
        "empty.json",
        &json!({"custom_reports": [{"name": "mine", "dimensions": ["Day"], "metrics": ["Clicks"]}]}),
    );
    let output = bench.program().args(["--config", "empty.json", "--discover"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let catalog: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(catalog["streams"].as_array().unwrap().iter().any(|stream| stream["stream"] == "custom_mine"));
}

/// Strict readers such as singer-check-tap require a zone for `date-time`. Meltano keeps catalogs of older releases,
/// which used it for times without one.
#[test]
fn times_without_a_zone_are_always_strings() {
    let bench = Bench::new(Options::default(), 5);
    let discovered: Value = serde_json::from_str(&tap(&bench, &["--discover"]).stdout).unwrap();
    assert!(!discovered.to_string().contains("airbyte_type"), "no target knows this property");
    let plain = tap_streams(&bench, &["transactions"], &[]);
    assert!(!plain.records("transactions").is_empty());
    for property in [
        json!({"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone",
            "description": "When the order was placed, by the clocks of the time zone of the row."}),
        json!({"type": "string"}),
    ] {
        let mut catalog = catalog_with(&bench, |stream, _| stream == "transactions");
        for stream in catalog["streams"].as_array_mut().unwrap() {
            if stream["stream"] == "transactions" {
                stream["schema"]["properties"]["transaction_date"] = property.clone();
            }
        }
        bench.file("catalog.json", &catalog);
        let run = tap(&bench, &["--catalog", "catalog.json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let schema = run.messages.iter().find(|message| message["type"] == "SCHEMA").unwrap();
        let column = &schema["schema"]["properties"]["transaction_date"];
        assert!(column["format"].is_null() && column["airbyte_type"].is_null(), "{column}");
        assert_eq!(run.records("transactions"), plain.records("transactions"));
    }
}

#[test]
fn a_stream_listed_twice_is_read_once() {
    let bench = Bench::new(Options::default(), 3);
    let mut catalog = catalog_with(&bench, |stream, _| stream == "campaigns");
    let streams = catalog["streams"].as_array_mut().unwrap();
    let entry = streams.iter().find(|stream| stream["stream"] == "campaigns").unwrap().clone();
    let mut narrow = entry.clone();
    for item in narrow["metadata"].as_array_mut().unwrap() {
        item["metadata"]["selected"] = json!(item["breadcrumb"][1].is_null());
    }
    let mut off = entry.clone();
    off["metadata"][0]["metadata"]["selected"] = json!(false);
    let mut wide = entry.clone();
    for item in wide["metadata"].as_array_mut().unwrap() {
        item["metadata"]["selected"] = json!(item["breadcrumb"][1] != "goal");
    }
    for (entries, column, reported) in [
        (vec![wide, narrow], "name", "The catalog has more than one entry for campaigns."),
        (vec![off, entry.clone()], "goal", "The catalog selects campaigns in one entry and not in another."),
    ] {
        bench.file("catalog.json", &json!({"streams": entries}));
        let run = tap(&bench, &["--catalog", "catalog.json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(run.records("campaigns").len(), 6);
        assert!(run.records("campaigns").iter().all(|record| record.contains_key(column)), "{}", run.stdout);
        assert!(run.stderr.contains(reported), "{reported}: {}", run.stderr);
    }
}

#[test]
fn an_empty_state_is_a_first_sync_and_a_missing_file_an_error() {
    let bench = Bench::new(Options::default(), 3);
    let name = "campaign_statistics_daily";
    let whole = tap_streams(&bench, &[name], &[]).records(name).len();
    for text in ["[]", "{}", "null", "", " \n"] {
        std::fs::write(bench.directory.join("state.json"), text).unwrap();
        let run = tap_streams(&bench, &[name], &["--state", "state.json"]);
        assert_eq!((run.code, run.records(name).len()), (Some(0), whole), "{text:?}: {}", run.stderr);
    }
    let run = tap_streams(&bench, &[name], &["--state", "gone.json"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("The state file gone.json does not exist."), "{}", run.stderr);
}

#[test]
fn numbers_can_be_exact_strings() {
    let mut bench = Bench::new(Options::default(), 5);
    let names = ["campaign_statistics_daily", "ads"];
    let plain = tap_streams(&bench, &names, &[]);
    bench.config["use_singer_decimal"] = json!(true);
    // `tap` validates each record against the written schema.
    let exact = tap_streams(&bench, &names, &[]);
    assert_eq!(exact.code, Some(0), "{}", exact.stderr);
    let schemas: Vec<_> = exact.messages.iter().filter(|message| message["type"] == "SCHEMA").collect();
    let reports = schemas.iter().find(|message| message["stream"] == names[0]).unwrap();
    let cost = &reports["schema"]["properties"]["advertiser_cost"];
    assert_eq!((&cost["type"], &cost["format"]), (&json!(["null", "string"]), &json!("x-singer.decimal")));
    assert_eq!((&cost["precision"], &cost["scale"]), (&json!(38), &json!(9)));
    assert_eq!(reports["schema"]["properties"]["clicks"]["type"], json!(["null", "integer"]));
    let (plain, exact) = (plain.records(names[0]), exact.records(names[0]));
    assert!(!plain.is_empty() && plain.len() == exact.len());
    for (plain, exact) in plain.iter().zip(&exact) {
        assert_eq!(exact["clicks"], plain["clicks"]);
        // A JSON parser of doubles loses digits that the string keeps.
        assert_eq!(exact["advertiser_cost"].as_str().unwrap().parse().ok(), plain["advertiser_cost"].as_f64());
    }
    let has_more_digits = |row: &&serde_json::Map<String, Value>| {
        let text = row["advertiser_cost"].as_str().unwrap();
        text.len() > text.parse::<f64>().unwrap().to_string().len()
    };
    assert!(exact.iter().any(has_more_digits));
}
