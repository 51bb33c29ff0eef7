//! No row is lost wherever a sync stops and resumes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::streams::{assert_report, assert_resumable, preset};

const REPORTS: &[&str] = &["campaign_statistics_daily", "ad_set_statistics_daily", "ad_statistics_daily"];

#[test]
fn a_second_sync_rereads_only_the_lookback() {
    let bench = Bench::new(Options::default(), 200);
    let catalog = bench.catalog(&["campaign_statistics_daily"], "incremental");
    let first = bench.read(&catalog, None);
    assert_report(&bench, &first, "campaign_statistics_daily", &preset("campaign_statistics_daily"));
    let requests = bench.report_requests();
    assert_eq!(requests.len(), 3, "31 days, 124 days, and the rest");
    let totals = bench.auxiliary_requests().len();
    assert_eq!(totals, 1);
    let second = bench.read(&catalog, Some(&first.final_state()));
    let again = &bench.report_requests()[requests.len()..];
    assert_eq!((again.len(), bench.auxiliary_requests().len()), (1, totals + 1));
    // The cursor is yesterday; it and the 29 days before it are read again, and today.
    assert_eq!((&again[0]["startDate"], &again[0]["endDate"]), (&json!("2026-10-02"), &json!("2026-11-01")));
    assert_eq!(second.final_state()[0]["stream"], first.final_state()[0]["stream"]);
    assert!(!second.records("campaign_statistics_daily").is_empty());
}

#[test]
fn fewer_columns_that_shorten_the_lookback_are_reported() {
    let bench = Bench::new(Options::default(), 40);
    let mut catalog = bench.catalog(&REPORTS[..1], "incremental");
    let says =
        |transcript: &Transcript| transcript.logs("INFO").iter().any(|text| text.contains("reads the last 3 days"));
    assert!(!says(&bench.read(&catalog, None)));
    let columns = catalog["streams"][0]["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
    columns.retain(|name, _| !name.starts_with("sales") && !name.starts_with("revenue"));
    let fewer = bench.read(&catalog, None);
    assert!(says(&fewer), "{:?}", fewer.logs("INFO"));
    let before = bench.report_requests().len();
    let again = bench.read(&catalog, Some(&fewer.final_state()));
    assert!(says(&again));
    assert_eq!(bench.report_requests()[before]["startDate"], "2026-10-29");
}

#[test]
fn a_sync_resumes_from_any_state_without_a_gap() {
    // A low cap splits windows into many parts, so that there are many states.
    let mut bench = Bench::new(Options { row_cap: 60, ..Options::default() }, 40);
    bench.config["lookback_days"] = json!(3);
    let catalog = bench.catalog(REPORTS, "incremental");
    let whole = bench.read(&catalog, None);
    assert_eq!(whole.code, Some(0), "{:?}", whole.errors());
    // Their number depends on the order of responses.
    let states = assert_resumable(&bench, &catalog, &whole, REPORTS);
    assert!(states >= 10, "{states} states");
}

#[test]
fn a_state_ahead_of_its_records_is_detected() {
    let bench = Bench::new(Options::default(), 40);
    let catalog = bench.catalog(&REPORTS[..1], "incremental");
    let mut whole = bench.read(&catalog, None);
    assert_eq!(assert_resumable(&bench, &catalog, &whole, &REPORTS[..1]), 2);
    let early = whole.messages.iter().position(|message| message["type"] == "RECORD").unwrap();
    whole.messages.remove(early);
    let resumed = AssertUnwindSafe(|| assert_resumable(&bench, &catalog, &whole, &REPORTS[..1]));
    assert!(catch_unwind(resumed).is_err(), "a lost record was not detected");
}

#[test]
fn a_response_at_the_cap_is_split_without_duplicates() {
    let bench = Bench::new(Options { row_cap: 100, ..Options::default() }, 60);
    let transcript = bench.read(&bench.catalog(REPORTS, "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    for name in REPORTS {
        assert_report(&bench, &transcript, name, &preset(name));
    }
}

#[test]
fn a_day_above_the_cap_fails_its_stream_with_a_remedy() {
    // Two ad sets of an advertiser fit under the cap on any day; the three ads of one ad set do not.
    let bench = Bench::new(Options { row_cap: 3, campaigns: 1, activity: 100, ..Options::default() }, 4);
    let transcript = bench.read(&bench.catalog(REPORTS, "incremental"), None);
    assert_eq!(transcript.code, Some(1));
    let [error] = &transcript.errors()[..] else { panic!("{:?}", transcript.errors()) };
    assert_eq!(error["stream_descriptor"]["name"], "ad_statistics_daily");
    assert_eq!(error["failure_type"], "config_error");
    // The first advertiser and day to fail vary.
    let words = error["message"].as_str().unwrap().split(' ').map(|word| match word.trim_end_matches(',') {
        "1001" | "1002" | "1003" => "(id)",
        day if day.starts_with("2026-") => "(day),",
        _ => word,
    });
    insta::assert_snapshot!(words.collect::<Vec<_>>().join(" "));
    for name in &REPORTS[..2] {
        assert_report(&bench, &transcript, name, &preset(name));
    }
}

#[test]
fn a_cursor_in_the_future_is_reset_to_the_latest_possible_day() {
    let bench = Bench::new(Options::default(), 50);
    let catalog = bench.catalog(&["ad_set_statistics_daily"], "incremental");
    let first = bench.read(&catalog, None);
    let state = first.final_state();
    for future in ["2026-11-01", "2099-12-31", "+262142-12-31"] {
        let mut wrong = state.clone();
        wrong[0]["stream"]["stream_state"]["groups"][0]["cursor"] = json!(future);
        let second = bench.read(&catalog, Some(&wrong));
        assert_eq!(second.code, Some(0), "{:?}", second.errors());
        assert_eq!(second.final_state()[0]["stream"], state[0]["stream"]);
        let [warning] = second.logs("WARN")[..] else { panic!("{:?}", second.logs("WARN")) };
        assert!(warning.contains("is in the future") && warning.contains("1001, 1002, 1003"), "{warning}");
        let days = second.records("ad_set_statistics_daily").into_iter().map(|record| record["day"].to_string());
        assert_eq!(days.min().unwrap(), "\"2026-10-02\"", "the lookback is read again");
    }
}

#[test]
fn a_new_advertiser_starts_at_start_date_and_a_removed_one_keeps_its_cursor() {
    let mut bench = Bench::new(Options::default(), 90);
    bench.config["advertiser_ids"] = json!("1001");
    let catalog = bench.catalog(&["ad_set_statistics_daily"], "incremental");
    let first = bench.read(&catalog, None);
    bench.config["advertiser_ids"] = json!([1002]);
    let second = bench.read(&catalog, Some(&first.final_state()));
    let groups = &second.final_state()[0]["stream"]["stream_state"]["groups"];
    assert_eq!(*groups, json!([{"cursor": "2026-10-31", "scope": ["1001", "1002"]}]));
    let days: Vec<_> =
        second.records("ad_set_statistics_daily").iter().map(|record| record["day"].to_string()).collect();
    assert_eq!(days.iter().min().unwrap(), "\"2026-08-03\"");
}

#[test]
fn a_start_before_criteos_history_is_clamped_with_one_warning() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 10);
    bench.config["start_date"] = json!("2016-01-01");
    let transcript = bench.read(&bench.catalog(&["campaign_statistics_daily"], "incremental"), None);
    assert_eq!(transcript.code, Some(0));
    let [warning] = transcript.logs("WARN")[..] else { panic!("{:?}", transcript.logs("WARN")) };
    assert!(warning.contains("2024-11-01"), "{warning}");
    bench.config["start_date"] = json!("2024-11-01");
    assert_report(&bench, &transcript, "campaign_statistics_daily", &preset("campaign_statistics_daily"));
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_token_is_renewed_before_it_expires() {
    let (token_life, latency) = (Duration::from_secs(2), Duration::from_millis(500));
    let bench = Bench::new(Options { token_life, latency, row_cap: 50, ..Options::default() }, 130);
    let transcript = bench.read(&bench.catalog(&["campaign_statistics_daily"], "incremental"), None);
    assert_report(&bench, &transcript, "campaign_statistics_daily", &preset("campaign_statistics_daily"));
    assert!(bench.token_requests() >= 3, "{} tokens", bench.token_requests());
    assert!(bench.sandbox.requests().iter().all(|request| request.status == 200));
}

#[test]
fn a_refused_token_is_renewed_once() {
    let bench = Bench::new(Options { token_calls: Some(5), page_limit: 10, ..Options::default() }, 1);
    let transcript = bench.read(&bench.catalog(&["audiences"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_eq!(
        transcript.records("audiences").len(),
        bench.sandbox.world().objects("audiences", "2026-07").unwrap().len()
    );
    let requests = bench.sandbox.requests();
    let refused = requests.iter().filter(|request| request.status == 401).count();
    assert!(refused >= 4, "{refused} requests were refused");
    assert_eq!(bench.token_requests(), refused + 1, "one renewal per refusal");
}

#[test]
fn a_token_that_is_always_refused_fails_the_sync_fast() {
    let bench = Bench::new(Options { token_calls: Some(0), ..Options::default() }, 10);
    let transcript = bench.read(&bench.catalog(&["campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(1));
    assert_eq!(transcript.errors()[0]["failure_type"], "config_error");
    assert_eq!(bench.token_requests(), 2);
}

#[test]
fn a_rotated_refresh_token_is_sent_with_the_full_configuration() {
    let options = Options { refresh_token: Some("first-refresh-token".into()), ..Options::default() };
    let bench = Bench::new(options, 10);
    let transcript = bench.read(&bench.catalog(&["campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let [control] = &transcript.of_type("CONTROL")[..] else { panic!("expected one CONTROL") };
    let mut config: Value = control["control"]["connectorConfig"]["config"].clone();
    assert_eq!(config["refresh_token"], "rotated-refresh-token-1");
    config["refresh_token"] = json!("first-refresh-token");
    assert_eq!(config, bench.config);
}
