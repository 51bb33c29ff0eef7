//! The report engine: few requests, no lost or duplicate row, for any account and any failure.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript, slowness};
use crate::streams::{assert_report, preset};
use crate::truth::{self, by_key};

const REPORT: &str = "ad_statistics_daily";

fn refused(bench: &Bench) -> usize {
    bench.sandbox.requests().iter().filter(|request| request.status == 429).count()
}

#[test]
fn two_years_of_a_small_account_take_few_requests() {
    let bench = Bench::new(Options { advertisers: 2, campaigns: 5, ad_sets: 2, ads: 5, ..Options::default() }, 729);
    let transcript = bench.read(&bench.catalog(&["ad_set_statistics_daily"], "incremental"), None);
    assert_report(&bench, &transcript, "ad_set_statistics_daily", &preset("ad_set_statistics_daily"));
    let calls = bench.report_requests().len() + bench.auxiliary_requests().len();
    println!("{} rows in {calls} requests", transcript.records("ad_set_statistics_daily").len());
    assert!(calls <= 10, "{calls} calls");
}

/// Four small advertisers, and one above the cap on every day.
fn noisy(days: u64) -> Bench {
    let options = Options {
        advertisers: 5,
        ad_sets: 6,
        ads: 5,
        quiet_ads: Some(1),
        activity: 100,
        row_cap: 40,
        ..Options::default()
    };
    Bench::new(options, days)
}

#[test]
fn an_advertiser_above_the_row_cap_is_split_by_ad_set_without_delaying_others() {
    let bench = noisy(120);
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    let of_quiet = |body: &&Value| !body["advertiserIds"].as_str().unwrap().contains("1001");
    let requests = bench.report_requests();
    let quiet = requests.iter().filter(of_quiet).count();
    println!("{} requests, {quiet} of them only for small advertisers", requests.len());
    // Two ad set parts per day for the large advertiser would be 242.
    assert!(requests.len() < 400 && quiet < 90, "{} {quiet}", requests.len());
}

/// Two years. `cargo test -- --ignored` runs it.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn two_years_with_one_large_advertiser_are_complete() {
    let bench = noisy(729);
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    println!(
        "{} rows, {} calls for rows, {} for totals and lists, {} refused",
        transcript.records(REPORT).len(),
        bench.report_requests().len(),
        bench.auxiliary_requests().len(),
        refused(&bench)
    );
}

/// Random caps and random server and network faults; `SEEDS=100` runs more.
#[test]
fn every_row_is_written_once_despite_faulty_responses() {
    let seeds = std::env::var("SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let random = |part: u64, most: u64| {
            let mixed = (seed * 31 + part + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40 & most
        };
        let row_cap = 30 + usize::try_from(random(1, 127)).unwrap();
        let bench = Bench::new(Options { seed, row_cap, ..Options::default() }, 20 + random(2, 63));
        for fault in 0..4 {
            let action = match random(10 + fault, 7) {
                0 => json!({"status": 503}),
                1 => json!({"delivery": {"reset": true}}),
                2 => json!({"delivery": {"framing": "chunked", "cut_after": 300}}),
                3 => json!({"delivery": {"framing": "connection-close", "cut_after": 500}}),
                4 => json!({"body": "<html>back soon</html>"}),
                _ => json!({"delivery": {"delay_ms": 300}}),
            };
            let nth = 1 + random(20 + fault, 15);
            let fault = json!({"match": {"path": "/statistics/", "nth": nth}, "do": action, "times": 1});
            bench.sandbox.add_fault(fault).unwrap();
        }
        let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "seed {seed}: {:?}", transcript.errors());
        assert_report(&bench, &transcript, REPORT, &preset(REPORT));
        assert_eq!(
            by_key(transcript.records(REPORT), &bench.discover()[REPORT]).len(),
            transcript.records(REPORT).len()
        );
    }
}

#[test]
fn an_undocumented_row_cap_is_detected_by_the_totals() {
    let mut bench = Bench::new(Options { row_cap: 60, ..Options::default() }, 50);
    bench.config["report_row_cap"] = json!(100_000);
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(transcript.logs("WARN").is_empty(), "{:?}", transcript.logs("WARN"));
    // The last two days are not settled and not compared.
    let stream = bench.discover()[REPORT].clone();
    let mut settled = preset(REPORT);
    settled["endDate"] = json!("2026-10-29");
    let truth = truth::report(&bench, &settled, &stream);
    let records = transcript.records(REPORT).into_iter().filter(|record| record["day"].as_str() <= Some("2026-10-29"));
    assert_eq!(by_key(records, &stream), by_key(&truth, &stream));
    // Without the totals check, the loss goes unnoticed.
    bench.config["verify_totals"] = json!(false);
    let unproved = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert_eq!(unproved.code, Some(0));
    assert!(unproved.records(REPORT).len() < transcript.records(REPORT).len());
}

#[test]
fn a_day_that_differs_from_its_totals_is_requested_by_three_syncs() {
    let mut bench = Bench::new(Options::default(), 60);
    // The totals always include displays that the report lacks.
    let fault = json!({"match": {"path": "/statistics/", "text": "[\"AdvertiserId\",\"Day\"]", "window": "2026-09-02"},
        "times": null, "do": {"mutate": {"/Rows/0/Displays": "7777777"}}});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(&["campaign_statistics_daily"], "incremental");
    let mut state = None;
    for (tries, why, is_asked) in
        [(1, "differs", true), (2, "differs", true), (3, "unproven", true), (3, "unproven", false)]
    {
        let calls = bench.report_requests().len();
        let transcript = bench.read(&catalog, state.as_ref());
        let calls = bench.report_requests().len() - calls;
        assert!(calls < 100, "expected fewer retries than {calls}");
        if state.is_none() {
            let name = "campaign_statistics_daily";
            assert_report(&bench, &transcript, name, &preset(name));
        }
        assert_eq!(transcript.code, Some(i32::from(why == "differs")), "{tries}: {:?}", transcript.errors());
        let reported: Vec<_> = match why {
            "differs" => {
                transcript.errors().iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
            }
            _ => transcript.logs("WARN").iter().map(|&log| log.to_owned()).collect(),
        };
        let is_reported = reported
            .iter()
            .any(|text| text.contains("do not match Criteo's own totals") && text.contains("2026-09-02 of 1001"));
        assert_eq!(is_reported, is_asked, "{tries}: {reported:?}");
        let saved = transcript.final_state();
        let of_stream = &saved[0]["stream"]["stream_state"];
        let hole = json!({"from": "2026-09-02", "to": "2026-09-02", "scope": ["1001"], "why": why, "tries": tries});
        assert_eq!(of_stream["holes"], json!([hole]));
        let first = of_stream["groups"][0]["cursor"].as_str().unwrap();
        assert_eq!(first, (bench.today() - chrono::Days::new(1)).to_string());
        state = Some(saved);
        let later = bench.today() + chrono::Days::new(1);
        bench.sandbox.change(|options| options.today = later);
        bench.config["now"] = json!(format!("{later}T12:00:00Z"));
    }
}

#[test]
fn an_advertiser_that_loses_consent_mid_sync_is_skipped() {
    for is_listed in [true, false] {
        for skips in [true, false] {
            let mut bench = Bench::new(Options { row_cap: 100, ..Options::default() }, 60);
            if is_listed {
                bench.config["advertiser_ids"] = json!(["1001", "1002", "1003"]);
            }
            bench.config["skip_inaccessible_advertisers"] = json!(skips);
            let catalog = bench.catalog(&["ad_set_statistics_daily", "campaign_statistics_daily"], "incremental");
            let fault = json!({"match": {"path": "/statistics/", "nth": 3}, "times": 1,
                "do": {"status": 403, "body": json!({"errors": [{"type": "authorization",
                    "code": "insufficient-advertisers-permissions", "title": "You do not have the rights"}]}).to_string()}});
            bench.sandbox.add_fault(fault).unwrap();
            bench.sandbox.change(|options| options.refused_in_reports = vec!["1002".into()]);
            let transcript = bench.read(&catalog, None);
            let is_incomplete = is_listed && !skips;
            assert_eq!(transcript.code, Some(i32::from(is_incomplete)), "{:?}", transcript.errors());
            for name in ["ad_set_statistics_daily", "campaign_statistics_daily"] {
                let query = preset(name);
                let of =
                    |id: &str| transcript.records(name).iter().filter(|record| record["advertiser_id"] == id).count();
                let mut readable = query.clone();
                readable["advertiserIds"] = json!("1001,1003");
                let discovered = bench.discover();
                let truth = truth::report(&bench, &readable, &discovered[name]);
                assert_eq!(by_key(transcript.records(name), &discovered[name]), by_key(&truth, &discovered[name]));
                assert_eq!(of("1002"), 0);
                let state = transcript.states(name).last().unwrap().1["stream"]["stream_state"].clone();
                assert_eq!(state["groups"][0]["scope"], json!(["1001", "1003"]), "{state}");
            }
            if is_incomplete {
                for error in transcript.errors() {
                    assert_eq!(error["failure_type"], "config_error");
                    assert!(error["message"].as_str().unwrap().contains("consent: 1002."), "{error}");
                }
            } else {
                assert!(transcript.logs("WARN").iter().any(|log| log.contains("refuses to report on 1002")));
            }
        }
    }
}

#[test]
fn lost_consent_costs_one_request_when_the_portfolio_shows_it() {
    let bench = Bench::new(Options::default(), 10);
    let catalog = bench.catalog(&["campaign_statistics_daily"], "incremental");
    // The initial portfolio still lists all advertisers.
    let portfolio = json!({"data": (1001..1004).map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()});
    let fault = json!({"match": {"path": "/advertisers/me"}, "times": 1, "do": {"body": portfolio.to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
    bench.sandbox.change(|options| options.without_consent = vec!["1003".into()]);
    let transcript = bench.read(&catalog, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_report(&bench, &transcript, "campaign_statistics_daily", &preset("campaign_statistics_daily"));
    let refused = bench.sandbox.requests().iter().filter(|request| request.status == 403).count();
    assert_eq!(refused, 1);
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_rate_limit_wait_is_reported_to_the_platform() {
    let bench = Bench::new(Options { row_cap: 60, ..Options::default() }, 40);
    let reset = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 20;
    let fault = json!({"match": {"path": "/statistics/", "nth": 8}, "times": 1, "do": {"status": 429,
        "headers": {"x-ratelimit-reset": reset.to_string()}, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let started = Instant::now();
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert!(started.elapsed() > Duration::from_secs(5));
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    let is_limited = |message: &&Value| message["trace"]["stream_status"]["reasons"][0]["type"] == "RATE_LIMITED";
    let limited = transcript.messages.iter().find(is_limited).expect("a RATE_LIMITED status");
    let reset = limited["trace"]["stream_status"]["reasons"][0]["rate_limited"]["quota_reset"].as_i64().unwrap();
    let at = limited["trace"]["emitted_at"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact")]
    let wait = reset as f64 - at;
    assert!((4000.0..22_000.0).contains(&wait), "{wait}");
}

#[test]
fn the_rate_limiter_leaves_room_for_other_programs() {
    // A server whose minute takes four seconds, and another program that has used most of its limit. Pages are
    // requested one by one, so that the server's remaining limit is exact.
    let options = Options { rate_limit: 40, time_scale: 15.0, audiences: 20, page_limit: 3, ..Options::default() };
    let bench = Bench::new(options, 1);
    let token = crate::harness::token(&bench.sandbox.url());
    let catalog = bench.catalog(&["audiences"], "full_refresh");
    for _ in 0..25 {
        crate::harness::http("GET", &format!("{}/2026-07/advertisers/me", bench.sandbox.url()), Some(&token), None);
    }
    let transcript = bench.read(&catalog, None);
    assert_eq!(transcript.records("audiences").len(), 60);
    assert!(bench.sandbox.requests().len() > 25 + 25, "more requests than remained");
    assert_eq!(refused(&bench), 0);
}

/// The documented limits in real time: two minutes.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn slow_reports_use_the_full_rate_limit() {
    let options = Options { row_cap: 40, latency: Duration::from_millis(1500), report_limit: 40, ..Options::default() };
    let bench = Bench::new(options, 130);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
    let started = Instant::now();
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
    let transcript = Transcript::of(program.output().unwrap());
    let elapsed = started.elapsed().as_secs_f64();
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    let calls = bench.report_requests().len() + bench.auxiliary_requests().len();
    let least = 60 * ((calls - 1) / 40);
    println!("{calls} requests, {} refused, {elapsed:.1} s, at least {least} s", refused(&bench));
    assert!(calls >= 120);
    assert!(refused(&bench) * 100 <= calls, "{} refused", refused(&bench));
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let most = 1.15 * least as f64;
    assert!(elapsed <= most * slowness(), "{elapsed} s of {most} s");
}

/// Repeatedly kills a sync and resumes from the last state, like a platform that keeps earlier output.
pub fn survive_kills(kills: u32) {
    let options = Options { row_cap: 80, latency: Duration::from_millis(3), ..Options::default() };
    let bench = Bench::new(options, 120);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
    let stream = bench.discover()[REPORT].clone();
    let truth = by_key(&truth::report(&bench, &preset(REPORT), &stream), &stream);
    let mut random = 1u64;
    let mut done = 0;
    while done < kills {
        let mut kept: Vec<Map<String, Value>> = Vec::new();
        let mut state: Option<Value> = None;
        loop {
            let mut arguments = vec!["read", "--config", "config.json", "--catalog", "catalog.json"];
            if let Some(state) = &state {
                bench.file("state.json", state);
                arguments.extend(["--state", "state.json"]);
            }
            let child = bench.program().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
            let id = child.id().to_string();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let delay = Duration::from_millis(20 + (random >> 33) % 350);
            let is_last = done >= kills;
            let killer = (!is_last).then(|| {
                std::thread::spawn(move || {
                    // A process killed at a random time offers no event to wait for.
                    std::sync::mpsc::channel::<()>().1.recv_timeout(delay).ok();
                    Command::new("kill").args(["-KILL", &id]).stderr(Stdio::null()).status().unwrap()
                })
            });
            let output = child.wait_with_output().unwrap();
            killer.map(|killer| killer.join().unwrap());
            let is_whole = output.status.success();
            done += u32::from(!is_whole);
            let text = String::from_utf8(output.stdout).unwrap();
            let whole_lines = text.rfind('\n').map_or("", |end| &text[..end]);
            let messages: Vec<Value> = whole_lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let end = messages.iter().rposition(|message| message["type"] == "STATE").map_or(0, |last| last + 1);
            let records = messages[..end].iter().filter(|message| message["type"] == "RECORD");
            kept.extend(records.map(|message| message["record"]["data"].as_object().unwrap().clone()));
            if let Some(last) = messages[..end].last() {
                state = Some(json!([last["state"]]));
            }
            if is_whole {
                break;
            }
        }
        assert_eq!(by_key(&kept, &stream), truth);
    }
    println!("{done} kills, nothing missing");
}

#[test]
fn a_killed_sync_resumes_without_a_gap() {
    survive_kills(5);
}

#[test]
fn a_dry_run_prints_the_requests_without_sending_them() {
    let mut bench = Bench::new(Options::default(), 90);
    bench.file("config.json", &bench.config);
    let catalog = bench.catalog(&["campaigns", "campaign_statistics_daily"], "incremental");
    bench.file("catalog.json", &catalog);
    let dry = |arguments: &[&str]| {
        let before = bench.sandbox.requests().len();
        let plan = bench
            .run(&[&["read", "--config", "config.json", "--catalog", "catalog.json", "--dry-run"], arguments].concat());
        assert_eq!(plan.code, Some(0));
        let lines: Vec<_> = bench.sandbox.requests()[before..].iter().map(|request| request.line.clone()).collect();
        assert_eq!(lines, ["POST /oauth2/token", "GET /2026-07/advertisers/me"]);
        plan
    };
    let first = dry(&[]);
    let whole = bench.read(&catalog, None);
    bench.file("state.json", &whole.final_state());
    let second = dry(&["--state", "state.json"]);
    insta::assert_snapshot!([first.logs("INFO"), second.logs("INFO")].concat().join("\n"));
    let estimates: Vec<_> = second.of_type("TRACE").into_iter().map(|m| &m["trace"]["estimate"]).collect();
    assert_eq!(estimates[0]["name"], "campaign_statistics_daily");
    // The next sync reports the same and is complete.
    let again = bench.read(&catalog, Some(&whole.final_state()));
    let estimate = again.of_type("TRACE").into_iter().find(|m| m["trace"]["type"] == "ESTIMATE").unwrap();
    assert_eq!(estimate["trace"]["estimate"]["row_estimate"], estimates[0]["row_estimate"]);
    let rows = again.records("campaign_statistics_daily").len() as u64;
    assert!(estimates[0]["row_estimate"].as_u64().unwrap().abs_diff(rows) * 5 < rows, "{estimates:?} {rows}");
    bench.config["lookback_days"] = json!(7);
    let short = bench.read(&catalog, Some(&whole.final_state()));
    assert!(short.logs("WARN").iter().any(|warning| warning.contains("lookback_days is 7")));
}
