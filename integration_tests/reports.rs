//! Every report: complete under a low cap, read again when numbers change, resumable from every state.

use std::collections::BTreeMap;

use criteo_sandbox::{Options, Wrapping};
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript};
use crate::streams::{assert_resumable, truth_of};
use crate::truth::by_key;

/// The streams whose state has a cursor by advertiser.
fn reports(bench: &Bench) -> Vec<String> {
    let discovered = bench.discover().into_values();
    let is_report =
        |stream: &Value| stream["source_defined_cursor"] == true && stream["default_cursor_field"][0] != "updated_at";
    discovered.filter(is_report).map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

/// A small account with a cap that splits days.
fn bench(row_cap: usize, days: u64) -> Bench {
    let options = Options { row_cap, placement_cap: row_cap, wrapping: Wrapping::Rows, ..Options::default() };
    let mut bench = Bench::new(options, days);
    bench.config["api_version"] = json!("2027-01");
    bench
}

fn assert_truth(bench: &Bench, transcript: &Transcript, name: &str) {
    let stream = &bench.discover()[name];
    let truth = truth_of(bench, name, stream);
    assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{name}");
    assert_eq!(transcript.records(name).len(), truth.len(), "{name}: duplicate row");
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn every_report_is_complete_under_a_low_cap_and_resumes_from_every_state() {
    let mut figures = Vec::new();
    for name in reports(&bench(100, 6)) {
        let bench = bench(if name == "ad_set_statistics_hourly" { 90 } else { 30 }, 6);
        let catalog = bench.catalog(&[&name], "incremental");
        let whole = bench.read(&catalog, None);
        assert_eq!(whole.code, Some(0), "{name}: {:?}", whole.errors());
        assert_truth(&bench, &whole, &name);
        let calls = bench.sandbox.requests().iter().filter(|request| request.line.contains("report")).count();
        let states = assert_resumable(&bench, &catalog, &whole, &[&name]);
        figures.push(format!("{name}: {} rows, {calls} requests, {states} states", whole.records(&name).len()));
    }
    println!("{}", figures.join("\n"));
    assert!(figures.len() >= 14, "{figures:?}");
}

#[test]
fn every_report_rereads_restated_days() {
    let names = reports(&bench(100_000, 8));
    let mut bench = bench(100_000, 20);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.sandbox.change(|options| options.today = "2026-10-22".parse().unwrap());
    bench.config["now"] = json!("2026-10-22T12:00:00Z");
    let catalog = bench.catalog(&names, "incremental");
    let first = bench.read(&catalog, None);
    bench.sandbox.change(|options| options.today = "2026-11-01".parse().unwrap());
    bench.config["now"] = json!("2026-11-01T12:00:00Z");
    let second = bench.read(&catalog, Some(&first.final_state()));
    let discovered = bench.discover();
    for name in names {
        let stream = &discovered[name];
        let table = |records: Vec<&Map<String, Value>>| by_key(records, stream);
        let mut union: BTreeMap<_, _> = table(first.records(name));
        union.extend(table(second.records(name)));
        assert_eq!(union, by_key(&truth_of(&bench, name, stream), stream), "{name}");
    }
}

#[test]
fn placements_and_transactions_can_be_filtered() {
    let mut bench = bench(100_000, 5);
    for (key, value) in [
        ("placements_disclosed", json!(false)),
        ("placements_environment", json!("Ios")),
        ("transactions_event_type", json!("Click")),
    ] {
        bench.config[key] = value;
    }
    let names = ["placements_daily", "placement_categories_daily", "transactions"];
    let transcript = bench.read(&bench.catalog(&names, "incremental"), None);
    for name in names {
        assert_truth(&bench, &transcript, name);
        assert!(!transcript.records(name).is_empty(), "{name}");
    }
    assert!(transcript.records("placements_daily").iter().all(|record| record["environment"] == "Ios"));
}

#[test]
fn an_ad_set_with_too_many_placements_is_split_by_environment() {
    // Each ad set has up to twelve rows per day: three environments, four placements.
    let options = Options {
        row_cap: 7,
        placement_cap: 7,
        advertisers: 1,
        campaigns: 1,
        ad_sets: 1,
        ads: 9,
        activity: 100,
        ..Options::default()
    };
    let bench = Bench::new(options, 4);
    let transcript = bench.read(&bench.catalog(&["placements_daily"], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_truth(&bench, &transcript, "placements_daily");
    let by_environment =
        bench.sandbox.requests().iter().any(|r| r.body["data"][0]["attributes"]["environment"].is_string());
    assert!(by_environment);
}

#[test]
fn days_read_in_parts_are_checked_against_the_days_totals() {
    for (name, fault) in [
        ("placements_daily", json!({"path": "/placements/", "text": "\"adsetIds\":\"30"})),
        ("ad_level_statistics", json!({"path": "/statistics-adlevel/", "text": "\"adsetIds\":[\"300001\"]"})),
    ] {
        let options = Options { advertisers: 1, ads: 9, row_cap: 25, placement_cap: 25, ..Options::default() };
        let mut bench = Bench::new(options, 8);
        bench.config["api_version"] = json!("2027-01");
        let catalog = bench.catalog(&[name], "incremental");
        let good = bench.read(&catalog, None);
        assert_eq!((good.code, good.logs("WARN").len()), (Some(0), 0), "{:?} {:?}", good.logs("WARN"), good.errors());
        assert_truth(&bench, &good, name);
        // A missing row.
        let pointer = if name == "placements_daily" { "/data/0" } else { "/Rows/0" };
        let fault = json!({"match": fault, "times": 1, "do": {"mutate": {pointer: null}}});
        bench.sandbox.add_fault(fault).unwrap();
        let lossy = bench.read(&catalog, None);
        assert_eq!(lossy.code, Some(1));
        assert_eq!(lossy.records(name).len() + 1, good.records(name).len(), "{name}");
        assert!(lossy.errors()[0]["message"].as_str().unwrap().contains("do not match Criteo's own totals"), "{name}");
        bench.config["verify_totals"] = json!(false);
        let unproved = bench.read(&catalog, Some(&lossy.final_state()));
        assert_truth_of_days_since(&bench, &lossy, &unproved, name);
    }
}

/// The next sync reads an unproven day again.
fn assert_truth_of_days_since(bench: &Bench, first: &Transcript, second: &Transcript, name: &str) {
    let stream = &bench.discover()[name];
    let mut union = by_key(first.records(name), stream);
    union.extend(by_key(second.records(name), stream));
    assert_eq!(union, by_key(&truth_of(bench, name, stream), stream), "{name}");
}

#[test]
fn marketplaces_are_read_at_every_interval() {
    for (interval, days) in [("Hour", 40), ("Day", 400), ("Month", 400), ("Year", 400)] {
        let mut bench = Bench::new(Options { advertisers: 2, campaigns: 1, ..Options::default() }, days);
        bench.config["mpo_interval"] = json!(interval);
        // Whole periods, so that the truth has the same boundaries as the stream.
        bench.config["start_date"] = json!(if interval == "Year" {
            "2025-01-01"
        } else if interval == "Month" {
            "2025-10-01"
        } else {
            bench.config["start_date"].as_str().unwrap()
        });
        let name = "mpo_seller_statistics";
        let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{interval}: {:?}", transcript.errors());
        let column = interval.to_lowercase();
        assert!(transcript.records(name).iter().all(|record| record[&column].is_string()), "{interval}");
        let requests = bench.sandbox.requests();
        let spans = requests.iter().filter(|request| request.line.contains("/stats/sellers"));
        assert!(spans.clone().all(|request| request.status == 200), "{interval}");
        assert!(spans.count() >= if interval == "Month" || interval == "Year" { 2 } else { 4 }, "{interval}");
        if interval == "Day" {
            // Criteo refuses the span of the truth for more than a year.
            let days: std::collections::BTreeSet<_> =
                transcript.records(name).iter().map(|r| r["day"].to_string()).collect();
            assert_eq!(days.len(), 401);
        }
    }
}

/// The list of marketplaces decides which advertisers these reports have, whether the user lists advertisers or not.
#[test]
fn a_marketplace_that_disappears_is_reported_and_keeps_its_state() {
    for advertiser_ids in [json!(null), json!(["1001", "1002"])] {
        let mut bench = Bench::new(Options { advertisers: 2, campaigns: 1, ..Options::default() }, 20);
        bench.config["advertiser_ids"] = advertiser_ids;
        let name = "mpo_campaign_statistics";
        let catalog = bench.catalog(&[name], "incremental");
        let first = bench.read(&catalog, None);
        assert_eq!(first.code, Some(0), "{:?}", first.errors());
        let body = json!([{"id": 1001, "advertiserName": "A"}]).to_string();
        let fewer = json!({"match": {"path": "outcomes/advertisers"}, "times": null, "do": {"body": body}});
        bench.sandbox.add_fault(fewer).unwrap();
        let second = bench.read(&catalog, Some(&first.final_state()));
        assert_eq!(second.code, Some(0), "{:?}", second.errors());
        let words = "no longer among the marketplace advertisers and are skipped: 1002";
        assert!(second.logs("WARN").iter().any(|log| log.contains(words)), "{:?}", second.logs("WARN"));
        assert!(!second.logs("WARN").iter().any(|log| log.contains("no longer grant consent")));
        let groups = second.final_state()[0]["stream"]["stream_state"]["groups"].to_string();
        assert!(groups.contains("1002"), "{groups}");
    }
}

#[test]
fn a_retired_metric_is_dropped_from_built_in_reports_and_named_in_custom_ones() {
    let mut bench = Bench::new(Options { retired_metrics: vec!["SalesPc7d".into()], ..Options::default() }, 10);
    bench.config["custom_reports"] =
        json!([{"name": "mine", "dimensions": ["CampaignId"], "metrics": ["Clicks", "SalesPc7d"]}]);
    let transcript = bench.read(&bench.catalog(&["campaign_statistics_daily", "custom_mine"], "incremental"), None);
    assert_eq!(transcript.code, Some(1));
    let [error] = &transcript.errors()[..] else { panic!("{:?}", transcript.errors()) };
    assert_eq!(error["stream_descriptor"]["name"], "custom_mine");
    assert_eq!(error["failure_type"], "config_error");
    insta::assert_snapshot!(error["message"].as_str().unwrap().split(" (Criteo's trace").next().unwrap());
    let records = transcript.records("campaign_statistics_daily");
    assert!(!records.is_empty() && records.iter().all(|record| record.get("sales_pc7d").is_none()));
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("SalesPc7d")), "{:?}", transcript.logs("WARN"));
}

#[test]
fn late_log_files_and_refused_advertisers_lose_no_rows() {
    let mut bench = Bench::new(Options::default(), 6);
    let empty = json!({"data": [{"attributes": {"advertiserId": "1001", "files": []}}], "errors": [], "warnings": []});
    let fault = json!({"match": {"path": "/log-level/advertisers/1001/", "window": "2026-10-31"}, "times": 1,
        "do": {"body": empty.to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
    let refusal = json!({"errors": [{"type": "authorization", "code": "insufficient-advertisers-permissions"}]});
    let fault = json!({"match": {"path": "/log-level/advertisers/1002/", "window": "2026-10-28"}, "times": 1,
        "do": {"status": 403, "body": refusal.to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
    let fault = json!({"match": {"path": "/files/1003_2026-10-27"}, "times": 1, "do": {"gzip": true, "body": "a,b\n1,2,3\n",
        "headers": {"Content-Encoding": "identity"}}});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(&["log_level_events"], "incremental");
    let first = bench.read(&catalog, None);
    assert_eq!(first.code, Some(1), "an unreadable file fails the stream");
    let groups = first.final_state()[0]["stream"]["stream_state"]["groups"].clone();
    assert_eq!(
        groups,
        json!([{"cursor": "2026-10-27", "scope": ["1002"]}, {"cursor": "2026-10-29", "scope": ["1001", "1003"]}])
    );
    let second = bench.read(&catalog, Some(&first.final_state()));
    assert_eq!(second.code, Some(0), "{:?}", second.errors());
    let stream = bench.discover()["log_level_events"].clone();
    let both = first.records("log_level_events").into_iter().chain(second.records("log_level_events"));
    assert_eq!(by_key(both, &stream), by_key(&truth_of(&bench, "log_level_events", &stream), &stream));
    bench.config["lookback_days"] = json!(2);
    let third = bench.read(&catalog, Some(&second.final_state()));
    let days: std::collections::BTreeSet<_> =
        third.records("log_level_events").iter().map(|r| r["day"].to_string()).collect();
    assert_eq!(days.len(), 4, "two days that may still get files, and two more on request");
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn log_files_survive_expired_links_and_broken_connections() {
    for (times, action) in [
        (1, json!({"status": 403, "body": "<Error><Code>AuthenticationFailed</Code></Error>"})),
        (2, json!({"delivery": {"cut_after": 900, "framing": "content-length"}})),
        (2, json!({"delivery": {"cut_after": 900, "framing": "connection-close"}})),
        (2, json!({"delivery": {"reset_after": 700}})),
        (2, json!({"status": 503})),
    ] {
        let bench = Bench::new(Options { ads: 40, ..Options::default() }, 4);
        let fault = json!({"match": {"path": "/files/", "nth": 2}, "do": action, "times": times});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = bench.read(&bench.catalog(&["log_level_events"], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert_truth(&bench, &transcript, "log_level_events");
        let files = bench.sandbox.requests();
        let files: Vec<_> = files.iter().filter(|request| request.line.contains("/files/")).collect();
        assert!(
            files.iter().all(|request| request.headers.get("authorization").is_none()),
            "no token is sent to a storage host"
        );
        // Files do not change, so a second sync reads only days that may still get new ones.
        let again = bench.read(&bench.catalog(&["log_level_events"], "incremental"), Some(&transcript.final_state()));
        let days: std::collections::BTreeSet<_> =
            again.records("log_level_events").iter().map(|record| record["day"].to_string()).collect();
        assert_eq!((again.code, days.len()), (Some(0), 2));
    }
}

/// Requests for a quarter of an account with three advertisers: one per day if rows lack their day, one per file,
/// otherwise a few. `cargo test -- --nocapture quarter` prints them.
#[test]
fn every_report_is_complete_over_a_quarter() {
    let mut bench = bench(100_000, 89);
    bench.config["start_date"] = json!("2026-08-04");
    for name in reports(&bench) {
        let catalog = bench.catalog(&[&name], "incremental");
        let before = bench.sandbox.requests().len();
        let started = std::time::Instant::now();
        let transcript = bench.read(&catalog, None);
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(transcript.code, Some(0), "{name}: {:?}", transcript.errors());
        let calls = bench.sandbox.requests().len() - before;
        println!("{name}: {} rows, {calls} requests, {seconds:.1} s", transcript.records(&name).len());
        let is_by_day = name.starts_with("placement") || name == "ad_level_statistics";
        let most = if name == "log_level_events" {
            182
        } else if is_by_day {
            92
        } else {
            9
        };
        assert!(calls <= most && !transcript.records(&name).is_empty(), "{name}: {calls} requests");
    }
}
