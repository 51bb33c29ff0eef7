//! Days given on the command line, with a saved state.

use std::collections::BTreeSet;

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::holes::{OF_DATA, REPORT, fault, message, problem};
use crate::truth::by_key;

/// Reads with a state file.
fn read(bench: &Bench, stream: &str, days: &[&str]) -> Transcript {
    bench.file("config.json", &bench.config);
    let read = ["read", "--config", "config.json", "--streams", stream, "--state-file", "state.json"];
    bench.run(&[&read[..], days].concat())
}

fn kept(bench: &Bench) -> Value {
    let text = std::fs::read_to_string(bench.directory.join("state.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[0]["stream"]["stream_state"].clone()
}

/// An advertiser's days with rows.
fn days_of(transcript: &Transcript, advertiser: &str) -> BTreeSet<String> {
    let rows = transcript.records(REPORT).into_iter().filter(|row| row["advertiser_id"] == advertiser);
    rows.map(|row| row["day"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_partially_selected_week_or_month_is_read_whole() {
    for period in ["Week", "Month"] {
        let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 120);
        bench.config["custom_reports"] =
            json!([{"name": "mine", "dimensions": ["CampaignId", period], "metrics": ["Clicks", "AdvertiserCost"]}]);
        let whole = read(&bench, "custom_mine", &[]);
        assert_eq!(whole.code, Some(0), "{:?}", whole.errors());
        let part = read(&bench, "custom_mine", &["--since", "2026-08-05", "--until", "2026-09-16"]);
        assert_eq!(part.code, Some(0), "{:?}", part.errors());
        let stream = &bench.discover()["custom_mine"];
        let (whole, part) = (by_key(whole.records("custom_mine"), stream), by_key(part.records("custom_mine"), stream));
        assert!(!part.is_empty() && part.len() < whole.len(), "{period}");
        for (key, row) in part {
            assert_eq!(whole.get(&key), Some(&row), "{period}: {key:?}");
        }
    }
}

#[test]
fn impossible_days_are_reported_once() {
    let mut bench = Bench::new(Options { advertisers: 1, ads: 1, ..Options::default() }, 20);
    assert_eq!(read(&bench, REPORT, &[]).code, Some(0));
    bench.config.as_object_mut().unwrap().remove("start_date");
    let before = kept(&bench);
    for (days, words) in [
        (["--since", "2027-01-01"], "The first day, 2027-01-01, is in the future"),
        (["--until", "2020-01-01"], "The last day, 2020-01-01, is before"),
    ] {
        let nothing = read(&bench, REPORT, &days);
        let reported = nothing.logs("WARN");
        assert_eq!((nothing.code, reported.len(), nothing.records(REPORT).len()), (Some(0), 1, 0), "{reported:?}");
        assert!(reported[0].contains(words), "{reported:?}");
        assert_eq!(kept(&bench), before);
    }
}

#[test]
fn an_advertiser_without_a_state_is_read_from_the_start_by_the_next_sync() {
    let mut bench = Bench::new(Options { advertisers: 2, ..Options::default() }, 30);
    bench.sandbox.change(|options| options.without_consent = vec!["1002".to_owned()]);
    assert_eq!(read(&bench, REPORT, &[]).code, Some(0));
    bench.sandbox.change(|options| options.without_consent.clear());
    let late = read(&bench, REPORT, &["--since", "2026-10-25"]);
    assert_eq!(late.code, Some(0), "{:?}", late.errors());
    let reported = late.logs("WARN").join("\n");
    assert!(reported.contains("Advertisers 1002 have no saved state"), "{reported}");
    assert_eq!(kept(&bench)["groups"].as_array().unwrap().len(), 1, "{}", kept(&bench));
    assert!(days_of(&late, "1002").first().unwrap().as_str() >= "2026-10-25");
    bench.config["lookback_days"] = json!(1);
    let next = read(&bench, REPORT, &[]);
    let first = (bench.today() - Days::new(30)).to_string();
    assert_eq!(days_of(&next, "1002").first(), Some(&first));
    assert!(days_of(&next, "1001").len() < 4);
}

#[test]
fn unreadable_days_before_the_cursor_are_requested_again() {
    let bench = Bench::new(Options { advertisers: 2, ..Options::default() }, 90);
    assert_eq!(read(&bench, REPORT, &[]).code, Some(0));
    for day in ["2026-08-19", "2026-08-20"] {
        let matches = json!({"path": "/statistics/", "covers": day, "text": OF_DATA});
        fault(&bench, matches, json!({"status": 400, "body": problem("odd")}));
    }
    let cursor = kept(&bench)["groups"].clone();
    let again = read(&bench, REPORT, &["--since", "2026-08-10", "--until", "2026-08-20"]);
    assert_eq!(again.code, Some(1));
    assert!(message(&again).contains("The next sync requests these days again"), "{}", message(&again));
    assert_eq!(kept(&bench)["groups"], cursor);
    let holes = &kept(&bench)["holes"];
    assert_eq!((&holes[0]["from"], &holes[0]["to"]), (&json!("2026-08-19"), &json!("2026-08-20")), "{holes}");
    bench.sandbox.clear_faults();
    let next = read(&bench, REPORT, &[]);
    assert_eq!(next.code, Some(0), "{:?}", next.errors());
    assert!(days_of(&next, "1001").contains("2026-08-19") && kept(&bench)["holes"].is_null());
}
