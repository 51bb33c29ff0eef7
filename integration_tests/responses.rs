//! Rows must match the request, have unique keys, and be read in every format; otherwise the stream fails with an
//! error.

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};

/// Distinguishes a custom report's data requests from its totals requests.
const OF_DATA: &str = "\"Os\"";

/// Two advertisers, some days, and a custom report `mine`.
fn bench(dimensions: &[&str], metrics: &[&str], days: u64) -> Bench {
    let mut bench = Bench::new(Options { advertisers: 2, ..Options::default() }, days);
    bench.config["verify_totals"] = json!(false);
    bench.config["custom_reports"] = json!([{"name": "mine", "dimensions": dimensions, "metrics": metrics}]);
    bench
}

fn answer(bench: &Bench, text: &str, times: impl Into<Value>, body: &Value) {
    let fault = json!({"match": {"path": "/statistics/report", "text": text}, "times": times.into(), "do": {"body": body.to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
}

fn read(bench: &Bench, stream: &str) -> Transcript {
    bench.read(&bench.catalog(&[stream], "incremental"), None)
}

fn message(transcript: &Transcript) -> String {
    let [error] = &transcript.errors()[..] else { panic!("{:?}", transcript.errors()) };
    error["message"].as_str().unwrap().to_owned()
}

/// Asserts that the stream is incomplete, without records, and that its error has these words.
fn assert_reported(transcript: &Transcript, stream: &str, words: &[&str]) {
    assert_eq!(transcript.code, Some(1));
    assert_eq!(transcript.statuses(stream).last(), Some(&"INCOMPLETE"));
    assert!(transcript.records(stream).is_empty());
    for word in words {
        assert!(message(transcript).contains(word), "{word}: {}", message(transcript));
    }
}

fn row(advertiser: &str, day: &str, rest: &Value) -> Value {
    let mut row = json!({"AdvertiserId": advertiser, "Day": day, "Os": "iOS", "Clicks": "3", "AdvertiserCost": "1.10"});
    for (name, value) in rest.as_object().into_iter().flatten() {
        row[name] = value.clone();
    }
    row
}

#[test]
fn unrequested_rows_fail_the_stream() {
    for (what, advertiser, day) in [
        ("an earlier day", "1001", "2025-10-30"),
        ("a later day", "1001", "2026-12-01"),
        ("a time on the next day in the report's zone", "1001", "2026-11-01T23:30:00-05:00"),
        ("another advertiser", "4711", "2026-10-31"),
    ] {
        for verify_totals in [false, true] {
            let mut bench = bench(&["Day", "Os"], &["Clicks", "AdvertiserCost"], 3);
            bench.config["verify_totals"] = json!(verify_totals);
            let body = json!({"Rows": [row("1001", "2026-10-31", &json!({})), row(advertiser, day, &json!({"Os": "Android"}))]});
            answer(&bench, OF_DATA, Value::Null, &body);
            let transcript = read(&bench, "custom_mine");
            let reported = if advertiser == "1001" { day } else { advertiser };
            assert_reported(&transcript, "custom_mine", &[reported, "2026-10-29 to 2026-11-01"]);
            let asked = bench.report_requests().iter().filter(|body| body.to_string().contains(OF_DATA)).count();
            assert!(asked > 1, "{what}: unrequested rows are retried");
        }
    }
    // A single occurrence is retried.
    let bench = bench(&["Day", "Os"], &["Clicks"], 3);
    answer(&bench, OF_DATA, 1, &json!({"Rows": [row("1001", "2025-10-30", &json!({}))]}));
    let transcript = read(&bench, "custom_mine");
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(transcript.records("custom_mine").iter().all(|record| record["day"].as_str().unwrap() >= "2026-10-29"));
}

#[test]
fn weeks_starting_on_sunday_are_detected() {
    let mut bench = bench(&["Week"], &["Clicks"], 20);
    bench.config["start_date"] = json!("2026-10-11");
    let weeks = ["2026-10-11", "2026-10-18", "2026-10-25"];
    let rows = weeks.map(|week| json!({"AdvertiserId": "1001", "Week": week, "Clicks": "7"}));
    answer(&bench, "\"Week\"", Value::Null, &json!({"Rows": rows}));
    let transcript = read(&bench, "custom_mine");
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let found: Vec<_> = transcript.records("custom_mine").iter().map(|record| record["week"].clone()).collect();
    assert_eq!(found, weeks);
    // Weeks starting on Monday would have been requested from the day before.
    let asked: Vec<_> = bench.auxiliary_requests().into_iter().map(|body| body["startDate"].clone()).collect();
    assert_eq!(asked.last(), Some(&json!("2026-10-11")), "{asked:?}");
}

#[test]
fn rows_with_the_same_key_are_summed_or_fail_the_stream() {
    let two = |left: &Value, right: &Value| {
        let day = "2026-10-31";
        json!({"Rows": [row("1001", day, left), row("1002", day, &json!({})), row("1001", day, right)]})
    };
    let bench = bench(&["Day", "Os"], &["Clicks", "AdvertiserCost"], 3);
    answer(
        &bench,
        OF_DATA,
        Value::Null,
        &two(&json!({"Os": ""}), &json!({"Os": null, "Clicks": 4, "AdvertiserCost": "0.205"})),
    );
    let transcript = read(&bench, "custom_mine");
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let records = transcript.records("custom_mine");
    let sum = records.iter().find(|record| record["advertiser_id"] == "1001").unwrap();
    assert_eq!(
        (records.len(), &sum["clicks"], &sum["advertiser_cost"], &sum["os"]),
        (2, &json!(7), &json!(1.305), &json!(""))
    );
    let warnings: Vec<_> = transcript.logs("WARN").into_iter().filter(|log| log.contains("were added to it")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("custom_mine: 1 rows"), "{warnings:?}");

    let bench = self::bench(&["Day", "Os"], &["Clicks", "ClickThroughRate"], 3);
    let (left, right) = (json!({"ClickThroughRate": "0.1"}), json!({"ClickThroughRate": "0.2"}));
    answer(&bench, OF_DATA, Value::Null, &two(&left, &right));
    let transcript = read(&bench, "custom_mine");
    let words =
        ["2 rows", "advertiser_id 1001", "day 2026-10-31", "os iOS", "ClickThroughRate", "row_number", "dimension"];
    assert_reported(&transcript, "custom_mine", &words);

    // Identical rows are merged.
    let bench = self::bench(&["Day", "Os"], &["Clicks", "ClickThroughRate"], 3);
    answer(&bench, OF_DATA, Value::Null, &two(&left, &left));
    let transcript = read(&bench, "custom_mine");
    assert_eq!((transcript.code, transcript.records("custom_mine").len()), (Some(0), 2), "{:?}", transcript.errors());
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("1 rows were equal to another row")));
}

#[test]
fn missing_rows_are_detected_in_every_day_format() {
    for day in ["2026/10/28", "10/28/2026 00:00:00", "2026-10-28T00:00:00"] {
        let mut bench = bench(&["Day", "Os"], &["Clicks"], 5);
        bench.config["verify_totals"] = json!(true);
        bench.config["start_date"] = json!("2026-10-28");
        bench.config["end_date"] = json!("2026-10-28");
        answer(
            &bench,
            "[\"AdvertiserId\",\"Day\"]",
            Value::Null,
            &json!({"Rows": [row("1001", day, &json!({"Clicks": "10"}))]}),
        );
        answer(&bench, OF_DATA, Value::Null, &json!({"rows": [row("1001", day, &json!({"Clicks": "9"}))]}));
        let transcript = read(&bench, "custom_mine");
        assert_eq!(transcript.code, Some(1), "{day}");
        assert!(message(&transcript).contains("2026-10-28"), "{day}: {}", message(&transcript));
    }
}

#[test]
fn reports_are_read_in_every_envelope_and_format() {
    let list = json!([row("1001", "10/31/2026", &json!({})), row("1002", "2026/10/31", &json!({"Clicks": "1E+2"}))]);
    let [one, two] = [&list[0], &list[1]];
    let members: Vec<_> = one.as_object().unwrap().keys().collect();
    let values = |row: &Value| members.iter().map(|name| row[name.as_str()].clone()).collect::<Vec<_>>();
    for body in [
        list.clone(),
        json!({"ROWS": list}),
        json!({"Data": [{"Attributes": one}, {"Attributes": two}], "errors": []}),
        json!({"data": [{"type": "Report", "attributes": {"rows": list}}], "meta": {"totalItems": "2"}}),
        json!({"Columns": members, "Data": [values(one), values(two)], "rows": 2.0}),
    ] {
        let bench = bench(&["Day", "Os"], &["Clicks", "AdvertiserCost"], 3);
        answer(&bench, OF_DATA, Value::Null, &body);
        let transcript = read(&bench, "custom_mine");
        assert_eq!(transcript.code, Some(0), "{body}: {:?}", transcript.errors());
        let clicks: Vec<_> = transcript
            .records("custom_mine")
            .iter()
            .map(|record| (record["day"].clone(), record["clicks"].clone()))
            .collect();
        assert_eq!(clicks, [(json!("2026-10-31"), json!(3)), (json!("2026-10-31"), json!(100))], "{body}");
    }
    for (body, word) in [
        (json!({"Columns": members, "Data": [], "Errors": [{"code": "odd", "title": "No way"}]}), "No way"),
        (json!({"Rows": null}), "Rows"),
        (json!({"items": [], "next": 1}), "items, next"),
        (json!({"Rows": [{"AdvertiserId": "1001", "Day": "2026-10-31", "System": "iOS", "Clicks": "1"}]}), "System"),
        (json!({"Rows": [row("1001", "31 October", &json!({}))]}), "31 October"),
    ] {
        let bench = bench(&["Day", "Os"], &["Clicks", "AdvertiserCost"], 3);
        answer(&bench, OF_DATA, Value::Null, &body);
        assert_reported(&read(&bench, "custom_mine"), "custom_mine", &[word]);
    }
}

#[test]
fn us_formatted_hours_are_read_by_check_and_sync() {
    let hour = |hour: &str| json!({"Rows": [{"AdvertiserId": "1001", "Hour": hour, "Day": "10/31/2026", "Os": "iOS", "Clicks": "1"}]});
    let bench = bench(&["Hour", "Os"], &["Clicks"], 3);
    answer(&bench, OF_DATA, Value::Null, &hour("10/31/2026 05:00:00"));
    let transcript = read(&bench, "custom_mine");
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_eq!(transcript.records("custom_mine")[0]["hour"], "2026-10-31T05:00:00Z");
    assert_eq!(bench.check().of_type("CONNECTION_STATUS")[0]["connectionStatus"]["status"], "SUCCEEDED");

    bench.sandbox.clear_faults();
    answer(&bench, OF_DATA, Value::Null, &hour("five o'clock"));
    assert_reported(&read(&bench, "custom_mine"), "custom_mine", &["hour", "five o'clock"]);
    let status = bench.check().of_type("CONNECTION_STATUS")[0]["connectionStatus"].clone();
    assert_eq!(status["status"], "FAILED", "{status}");
    assert!(status["message"].as_str().unwrap().contains("five o'clock"), "{status}");
}

#[test]
fn currencies_are_logged_once_and_a_different_one_is_rejected() {
    let bench = bench(&["Day", "Os"], &["Clicks", "AdvertiserCost"], 3);
    let rows = [row("1001", "2026-10-31", &json!({"Currency": "eur"})), row("1002", "2026-10-31", &json!({}))];
    answer(&bench, OF_DATA, Value::Null, &json!({"Rows": rows}));
    let transcript = read(&bench, "custom_mine");
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let found: Vec<_> = transcript.records("custom_mine").iter().map(|record| record["currency"].clone()).collect();
    assert_eq!(found, ["EUR", "EUR"]);
    let warnings = transcript.logs("WARN");
    assert_eq!(warnings.iter().filter(|log| log.contains("spells the currency eur")).count(), 1, "{warnings:?}");
    bench.sandbox.clear_faults();
    let rows = [row("1001", "2026-10-31", &json!({})), row("1002", "2026-10-31", &json!({"Currency": "usd"}))];
    answer(&bench, OF_DATA, Value::Null, &json!({"Rows": rows}));
    assert_reported(&read(&bench, "custom_mine"), "custom_mine", &["USD (requested: EUR)"]);
}

#[test]
fn marketplace_statistics_accept_both_column_spellings_and_check_the_envelope() {
    let columns =
        |any: &str| json!(["sellerId", "sellerName", "day", "clicks", format!("revenue{any}"), "revenueSameSeller"]);
    let values = json!([["s1", "Shop", "2026-10-31", 3, 4.5, 2.5]]);
    let marketplace = |body: &Value| {
        let mut bench = bench(&["Day"], &["Clicks"], 2);
        bench.config["start_date"] = json!("2026-10-31");
        bench.config["advertiser_ids"] = json!(["1001"]);
        let fault = json!({"match": {"path": "/stats/sellers"}, "times": null, "do": {"body": body.to_string()}});
        bench.sandbox.add_fault(fault).unwrap();
        read(&bench, "mpo_seller_statistics")
    };
    for any in ["", "AnySeller"] {
        let transcript = marketplace(&json!({"columns": columns(any), "data": values, "rows": "1"}));
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let record = transcript.records("mpo_seller_statistics")[0].clone();
        assert_eq!((&record["revenue"], &record["revenue_same_seller"]), (&json!(4.5), &json!(2.5)), "{record:?}");
    }
    for around in [
        json!({"errors": [{"code": "odd", "title": "No way"}]}),
        json!({"rows": 2}),
        json!({"warnings": [{"code": "ROW_LIMIT_EXCEEDED"}]}),
        json!({"meta": {"totalItems": "2"}}),
        json!({"links": {"next": "/stats?page=2"}}),
        json!({"nextPageToken": "abc"}),
    ] {
        let mut body = json!({"columns": columns(""), "data": if around["errors"].is_array() { json!([]) } else { values.clone() }});
        for (name, value) in around.as_object().unwrap() {
            body[name] = value.clone();
        }
        let transcript = marketplace(&body);
        assert_eq!(transcript.statuses("mpo_seller_statistics").last(), Some(&"INCOMPLETE"), "{around}");
    }
}
