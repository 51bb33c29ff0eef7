//! Invalid input produces one clear message with a remedy, the right failure type, and no lost data.

use std::fmt::Write as _;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};

/// A run's exit code and errors, with type and stream.
fn reported(bench: &Bench, transcript: &Transcript) -> String {
    let mut text = format!("exit code {}\n", transcript.code.unwrap());
    for status in transcript.of_type("CONNECTION_STATUS") {
        let status = &status["connectionStatus"];
        writeln!(text, "{}: {}", status["status"].as_str().unwrap(), status["message"].as_str().unwrap()).unwrap();
    }
    for error in transcript.errors() {
        let stream = error["stream_descriptor"]["name"].as_str().unwrap_or("-");
        let kind = error["failure_type"].as_str().unwrap();
        writeln!(text, "{kind} {stream}: {}", error["message"].as_str().unwrap()).unwrap();
    }
    text.replace(&bench.sandbox.url(), "http://127.0.0.1:PORT")
}

fn bench(change: impl FnOnce(&mut Options)) -> Bench {
    let mut options = Options::default();
    change(&mut options);
    Bench::new(options, 5)
}

/// The messages of `check` and `read` for a configuration.
fn reported_by_check_and_read(bench: &Bench) -> String {
    let check = reported(bench, &bench.check());
    bench.file("catalog.json", &json!({"streams": [{"stream": {"name": "campaigns"}, "sync_mode": "full_refresh"}]}));
    let read = bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"]);
    format!("check: {check}read: {}", reported(bench, &read))
}

#[test]
fn files_that_are_not_a_configuration_are_rejected() {
    let bench = bench(|_| {});
    let mut text = reported(&bench, &bench.run(&["check", "--config", "missing.json"]));
    for content in ["{\"client_id\": \"x\",", "[]", "\"sandbox+secret/with=signs\"", ""] {
        std::fs::write(bench.directory.join("config.json"), content).unwrap();
        text += &reported(&bench, &bench.run(&["check", "--config", "config.json"]));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn all_configuration_errors_are_reported_together() {
    let mut bench = bench(|_| {});
    bench.config = json!({
        "client_id": 7,
        "client_secret": {"sandbox+secret/with=signs": 1},
        "advertiser_ids": ["12a"],
        "start_date": "2026-13-01",
        "end_date": "yesterday",
        "timezone": "Mars/Olympus",
        "lookback_days": 0,
        "api_version": "latest",
        "api_base_url": "http://10.0.0.5",
        "now": "2026-01-01T00:00:00Z",
        "custom_reports": [
            {"name": "Ünique", "dimensions": [], "metrics": ["Clicks"]},
            {"name": "a", "dimensions": ["Week", "Month"], "metrics": ["Clicks", "Clicks"]},
            {"name": "a", "dimensions": ["Day"], "metrics": ["Clicks"], "timezone": "PST"},
            {"dimensions": ["Day"]},
        ],
    });
    insta::assert_snapshot!(reported_by_check_and_read(&bench));
}

#[test]
fn a_secret_of_the_wrong_type_is_not_printed() {
    let mut bench = bench(|_| {});
    bench.config["client_secret"] = json!(["sandbox+secret/with=signs"]);
    let transcript = bench.check();
    assert!(!transcript.stdout.contains("sandbox+secret"));
    insta::assert_snapshot!(reported(&bench, &transcript));
}

#[test]
fn a_wrong_secret_is_reported() {
    let mut bench = bench(|_| {});
    bench.config["client_secret"] = json!("sandbox secret with signs");
    insta::assert_snapshot!(reported_by_check_and_read(&bench));
}

#[test]
fn missing_consent_is_reported() {
    let bench = bench(|options| options.without_consent = vec!["1001".into(), "1002".into(), "1003".into()]);
    insta::assert_snapshot!(reported_by_check_and_read(&bench));
}

#[test]
fn advertisers_without_consent_are_named_and_the_others_are_read() {
    let mut bench = bench(|options| options.without_consent = vec!["1002".into()]);
    bench.config["advertiser_ids"] = json!("1001, 1002, 4711");
    let catalog = bench.catalog(&["advertisers", "campaigns", "campaign_statistics_daily"], "incremental");
    let read = bench.read(&catalog, None);
    let advertisers: Vec<_> = read.records("campaigns").iter().map(|record| record["advertiser_id"].clone()).collect();
    assert_eq!(advertisers, ["1001", "1001"]);
    assert!(!read.records("campaign_statistics_daily").is_empty());
    assert_eq!(read.statuses("advertisers").last(), Some(&"COMPLETE"));
    // A full refresh that lacks advertisers was not completed, so no state says so.
    assert_eq!(read.statuses("campaigns").last(), Some(&"INCOMPLETE"));
    assert!(read.states("campaigns").is_empty() && !read.states("advertisers").is_empty());
    insta::assert_snapshot!(format!("check: {}read: {}", reported(&bench, &bench.check()), reported(&bench, &read)));
}

#[test]
fn a_retired_api_version_is_reported() {
    let mut bench = bench(|_| {});
    bench.config["api_version"] = json!("2025-10");
    insta::assert_snapshot!(reported_by_check_and_read(&bench));
}

#[test]
fn rejections_quote_criteos_message() {
    let mut bench = bench(|_| {});
    bench.config["custom_reports"] = json!([{"name": "wrong", "dimensions": ["Day"], "metrics": ["Klicks"]}]);
    let transcript = bench.read(&bench.catalog(&["custom_wrong", "campaigns"], "incremental"), None);
    assert_eq!(transcript.logs("WARN").len(), 1, "{:?}", transcript.logs("WARN"));
    insta::assert_snapshot!(reported(&bench, &transcript));
}

#[test]
fn unknown_streams_and_sync_modes_fail_alone() {
    let bench = bench(|_| {});
    let mut catalog = bench.catalog(&["campaigns", "campains", "ad_sets"], "full_refresh");
    catalog["streams"][2]["sync_mode"] = json!("INVALID");
    let transcript = bench.read(&catalog, None);
    assert_eq!(transcript.statuses("campaigns").last(), Some(&"COMPLETE"));
    insta::assert_snapshot!(reported(&bench, &transcript));
}

#[test]
fn invalid_catalogs_are_rejected() {
    let bench = bench(|_| {});
    bench.file("config.json", &bench.config);
    let mut text = String::new();
    for catalog in [json!([]), json!({"streams": [{"sync_mode": "full_refresh"}]})] {
        bench.file("catalog.json", &catalog);
        let arguments = ["read", "--config=config.json", "--catalog=catalog.json"];
        text += &reported(&bench, &bench.run(&arguments));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn an_invalid_state_never_counts_as_a_first_sync() {
    let mut bench = bench(|_| {});
    let catalog = bench.catalog(&["campaign_statistics_daily", "campaigns"], "incremental");
    let good = bench.read(&catalog, None).final_state();
    let of_stream = |state: Value| {
        json!([{"type": "STREAM", "stream": {
            "stream_descriptor": {"name": "campaign_statistics_daily"}, "stream_state": state}}])
    };
    let mut text = String::new();
    for state in [
        json!({"campaign_statistics_daily": "2026-10-30"}),
        json!("2026-10-30"),
        of_stream(json!({"Day": "2026-10-30"})),
        of_stream(json!({"version": 99, "groups": []})),
        of_stream(json!({"version": 1, "fingerprint": "x|y", "groups": "many"})),
    ] {
        bench.file("state.json", &state);
        let arguments = ["read", "--config", "config.json", "--catalog", "catalog.json", "--state", "state.json"];
        let transcript = bench.run(&arguments);
        assert!(transcript.records("campaign_statistics_daily").is_empty());
        text += &reported(&bench, &transcript);
    }
    bench.config["currency"] = json!("USD");
    text += &reported(&bench, &bench.read(&catalog, Some(&good)));
    insta::assert_snapshot!(text);
}

#[test]
fn an_unreachable_network_is_reported() {
    let mut bench = bench(|_| {});
    // Nothing listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bench.config["api_base_url"] = json!(format!("http://127.0.0.1:{port}"));
    let transcript = bench.check();
    assert_eq!(transcript.code, Some(0));
    insta::assert_snapshot!(reported(&bench, &transcript));
}

#[test]
fn duplicate_settings_are_named() {
    let bench = bench(|_| {});
    let mut text = bench.config.to_string();
    text.truncate(text.len() - 1);
    text += r#", "currency": "USD", "custom_reports": [{"name": "a", "metrics": ["Clicks"], "dimensions": ["Day"],
        "dimensions": ["Week"]}], "client_secret": "hunter2hunter2"}"#;
    let path = bench.directory.join("config.json");
    std::fs::write(&path, text).unwrap();
    let mut reported = reported(&bench, &bench.run(&["check", "--config", "config.json"]));
    let tap = bench.program().args(["--config", "config.json"]).output().unwrap();
    assert_eq!(tap.status.code(), Some(1));
    reported += &String::from_utf8(tap.stderr).unwrap();
    for member in ["currency is dup", "custom_reports[0].dimensions is dup", "client_secret is dup"] {
        assert_eq!(reported.matches(member).count(), 2, "{member}: {reported}");
    }
    assert!(!reported.contains("hunter2"), "{reported}");
}

#[test]
fn a_custom_report_is_the_same_in_every_spelling() {
    let rows = |report: Value| {
        let mut bench = bench(|_| {});
        bench.config["custom_reports"] = json!([report]);
        let catalog = bench.catalog(&["custom_mine"], "incremental");
        let run = bench.read(&catalog, None);
        assert_eq!(run.code, Some(0), "{:?}", run.errors());
        let mut rows: Vec<_> = run.records("custom_mine").iter().map(|row| json!(row).to_string()).collect();
        rows.sort();
        let asked = bench.report_requests()[0].clone();
        let warned = run.logs("WARN").join(" ");
        (rows, catalog["streams"][0].clone(), asked["dimensions"].clone(), asked["metrics"].clone(), warned)
    };
    let filter = json!(["11", "12"]);
    let plain = rows(json!({"name": "mine", "dimensions": ["Month", "Campaign", "Device"], "timezone": "Europe/Paris",
        "metrics": ["Clicks", "AdvertiserCost", "SalesPc30d"], "ad_set_ids": filter}));
    let other = rows(
        json!({"reportName": "mine", "dimensions": ["month", "campaign_id", "campaign", "DEVICE"], "timeZone": "Europe/Paris",
        "metrics": "clicks, ADVERTISERCOST, sales_pc30d", "adSetIds": "11,12,11"}),
    );
    assert_eq!(plain.1, other.1);
    assert_eq!((&plain.0, &plain.3, &plain.4), (&other.0, &other.3, &other.4));
    for (one, another) in [(&plain, &other), (&other, &plain)] {
        let (one, another) = (one.2.as_array().unwrap(), another.2.as_array().unwrap());
        assert!(one.iter().all(|word| another.contains(word)), "{one:?} {another:?}");
    }
}

#[test]
fn errors_in_custom_reports_come_with_suggestions() {
    let mut bench = bench(|_| {});
    bench.config["custom_reports"] = json!([
        {"name": "a", "dimensions": ["Day", "day"], "metrics": ["Clicks", "AdvertiserCost", "clicks"]},
    ]);
    let told_of = reported(&bench, &bench.check());
    for words in ["custom_reports[0].dimensions[1] repeats Day", "custom_reports[0].metrics[2] repeats Clicks"] {
        assert!(told_of.contains(words), "{told_of}");
    }
    bench.config["custom_reports"] = json!([
        {"name": "a", "dimensions": ["Day"], "metrics": ["cac_pc30d"], "ad_set_idds": ["1"], "advertiserIds": "1"},
    ]);
    bench.file("config.json", &bench.config);
    let warned = bench.run(&["discover", "--config", "config.json"]).logs("WARN").join("\n");
    for words in [
        "custom_reports[0].ad_set_idds: unknown member, ignored. Did you mean ad_set_ids",
        "custom_reports[0].advertiserIds: unknown member",
        "Criteo removed CacPc30d from its list of metrics on 2026-07-27",
    ] {
        assert!(warned.contains(words), "{words}: {warned}");
    }
    assert_eq!(warned.lines().count(), 3, "{warned}");
}
