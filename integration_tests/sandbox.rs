//! The sandbox: faults, limits, clock and control port.

use std::time::{Duration, Instant};

use criteo_sandbox::{Options, Permission, Sandbox};
use serde_json::{Value, json};

use crate::harness::{Bench, http, token, wait_until};
use crate::streams::{assert_report, assert_resumable, preset};

const REPORT: &str = "campaign_statistics_daily";

/// Result of a read that meets a fault once.
enum Outcome {
    /// Complete after this many requests.
    Complete(usize),
    /// The stream fails with this type at the first request.
    Failed(&'static str),
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn every_fault_is_recovered_or_reported() {
    use Outcome::{Complete, Failed};
    let cut = |framing: &str| json!({"delivery": {"framing": framing, "cut_after": 700}});
    for (name, action, outcome) in [
        ("unavailable", json!({"status": 503, "body": "down"}), Complete(2)),
        (
            "too many calls",
            json!({"status": 429, "headers": {"Retry-After": "1", "x-ratelimit-reset": "0"}}),
            Complete(2),
        ),
        (
            "maintenance page",
            json!({"body": "<html>back soon</html>", "headers": {"Content-Type": "text/html"}}),
            Complete(2),
        ),
        ("delay", json!({"delivery": {"delay_ms": 300}}), Complete(1)),
        ("drip", json!({"gzip": true, "delivery": {"drip": 4000}}), Complete(1)),
        ("reset before the response", json!({"delivery": {"reset": true}}), Complete(2)),
        ("reset in the middle", json!({"delivery": {"reset_after": 500}}), Complete(2)),
        ("cut with a length", cut("content-length"), Complete(2)),
        ("cut in chunks", cut("chunked"), Complete(2)),
        ("cut by the end of the connection", cut("connection-close"), Complete(2)),
        ("chunks", json!({"delivery": {"framing": "chunked"}}), Complete(1)),
        ("the end of the connection", json!({"delivery": {"framing": "connection-close"}}), Complete(1)),
        ("stall", json!({"delivery": {"stall_after": 300}}), Complete(2)),
        ("redirect", json!({"redirect": "http://127.0.0.1:9/elsewhere"}), Failed("config_error")),
        (
            "errors in a 200",
            json!({"mutate": {"/errors": [{"type": "validation", "code": "x"}]}}),
            // Requested again in halves of the advertisers.
            Complete(3),
        ),
        ("unknown shape", json!({"body": "{\"Lines\":[]}"}), Failed("system_error")),
        ("a row without its day", json!({"mutate": {"/Rows/3/Day": null}}), Failed("system_error")),
    ] {
        let mut bench = Bench::new(Options::default(), 10);
        bench.config["verify_totals"] = json!(false);
        let fault =
            json!({"match": {"path": "/statistics/report", "method": "POST", "nth": 1}, "do": action, "times": 1});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = bench.read(&bench.catalog(&[REPORT, "campaigns"], "incremental"), None);
        assert_eq!(transcript.statuses("campaigns").last(), Some(&"COMPLETE"), "{name}");
        match outcome {
            Complete(calls) => {
                assert_eq!(transcript.code, Some(0), "{name}: {:?}", transcript.errors());
                assert_eq!(bench.report_requests().len(), calls, "{name}");
                assert_report(&bench, &transcript, REPORT, &preset(REPORT));
            }
            Failed(kind) => {
                assert_eq!(transcript.errors()[0]["failure_type"], kind, "{name}");
                assert_eq!(bench.report_requests().len(), 1, "{name}");
            }
        }
    }
}

#[test]
fn a_sync_ended_by_a_fault_resumes_from_any_state() {
    let mut bench = Bench::new(Options { row_cap: 100, ..Options::default() }, 100);
    bench.config["verify_totals"] = json!(false);
    let fault = json!({"match": {"path": "/statistics/", "nth": 5}, "do": {"body": "{\"Lines\":[]}"}, "times": 1});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(&[REPORT], "incremental");
    let broken = bench.read(&catalog, None);
    assert_eq!(broken.errors()[0]["failure_type"], "system_error");
    assert!(assert_resumable(&bench, &catalog, &broken, &[REPORT]) >= 1);
}

#[test]
fn a_non_numeric_value_becomes_null_and_the_record_reports_it() {
    let mut bench = Bench::new(Options::default(), 10);
    bench.config["verify_totals"] = json!(false);
    bench
        .sandbox
        .add_fault(json!({"match": {"path": "/statistics/"}, "do": {"mutate": {"/Rows/3/Clicks": "N/A"}}}))
        .unwrap();
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    let changed: Vec<_> =
        transcript.of_type("RECORD").into_iter().filter(|m| m["record"]["meta"].is_object()).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["record"]["data"]["clicks"], Value::Null);
    assert_eq!(changed[0]["record"]["meta"]["changes"][0]["field"], "clicks");
    assert_eq!(transcript.logs("WARN").len(), 1);
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_decompression_bomb_is_not_unpacked() {
    let bench = Bench::new(Options::default(), 0);
    bench
        .sandbox
        .add_fault(json!({"match": {"path": "/statistics/"}, "do": {"gzip": 300_000_000}, "times": null}))
        .unwrap();
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    assert_eq!(transcript.code, Some(1));
    assert!(transcript.errors()[0]["message"].as_str().unwrap().contains("64 MiB"));
}

#[test]
fn faults_apply_to_their_match_and_count() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let token = token(&sandbox.url());
    let report = |advertisers: &str, day: &str| {
        let body = json!({"advertiserIds": advertisers, "startDate": day, "endDate": day, "dimensions": ["Day"],
            "metrics": ["Clicks"], "currency": "EUR", "format": "json"});
        http("POST", &format!("{}/2026-07/statistics/report", sandbox.url()), Some(&token), Some(&body)).0
    };
    let fault = |matching: Value, times: Value| {
        sandbox.add_fault(json!({"match": matching, "do": {"status": 500}, "times": times})).unwrap();
    };
    fault(json!({"advertiser": "1002"}), json!(1));
    fault(json!({"window": "2026-10-05"}), json!(null));
    fault(json!({"nth": 6}), json!(2));
    let statuses = [
        report("1001", "2026-10-01"),
        report("1001,1002", "2026-10-01"),
        report("1002", "2026-10-01"),
        report("1001", "2026-10-05"),
        report("1001", "2026-10-05"),
        report("1001", "2026-10-01"),
        report("1001", "2026-10-01"),
        report("1001", "2026-10-01"),
    ];
    assert_eq!(statuses, [200, 500, 200, 500, 500, 500, 500, 200]);
    assert!(sandbox.add_fault(json!({"do": {"stauts": 500}})).is_err(), "mistakes are rejected");
}

#[test]
fn documented_rate_limits_can_be_enabled() {
    // A minute lasts two seconds.
    let documented = Options::default().with_documented_limits();
    assert_eq!((documented.rate_limit, documented.report_limit, documented.pooled_limit), (250, 40, None));
    let of_users =
        Options { refresh_token: Some("x".into()), without_consent: vec!["1001".into()], ..Options::default() };
    assert_eq!(of_users.with_documented_limits().pooled_limit, Some(20));
    let options = Options { report_limit: 4, time_scale: 30.0, ..documented };
    let sandbox = Sandbox::start(options).unwrap();
    let token = token(&sandbox.url());
    let ask = |path: &str, body: &Value| {
        http("POST", &format!("{}/2026-07/{path}", sandbox.url()), Some(&token), Some(body)).0
    };
    let report = json!({"advertiserIds": "1001", "startDate": "2026-10-01", "endDate": "2026-10-01", "dimensions": ["Day"],
        "metrics": [], "currency": "EUR", "format": "json"});
    let started = Instant::now();
    let statuses: Vec<_> = (0..6).map(|_| ask("statistics/report", &report)).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    assert_eq!(ask("marketing-solutions/campaigns/search", &json!({})), 200, "the other budget is unchanged");
    wait_until(|| ask("statistics/report", &report) == 200);
    assert!(started.elapsed() > Duration::from_millis(1900), "{:?}", started.elapsed());
    let peak = sandbox.peak();
    assert!(peak.reports_a_minute >= 6 && peak.others_a_minute == 1, "{peak:?}");
}

#[test]
fn a_pooled_limit_counts_every_request() {
    let sandbox = Sandbox::start(Options { pooled_limit: Some(3), ..Options::default() }).unwrap();
    let token = token(&sandbox.url());
    let ask = |path: &str| http("POST", &format!("{}/2026-07/{path}", sandbox.url()), Some(&token), Some(&json!({}))).0;
    let searches = (ask("marketing-solutions/campaigns/search"), ask("marketing-solutions/ad-sets/search"));
    assert_eq!(searches, (200, 200));
    assert_eq!((ask("statistics/report"), ask("statistics/report")), (400, 429), "an empty query counts as well");
}

#[test]
fn the_control_port_works() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let mut token_now = token(&sandbox.url());
    let control = |method: &str, path: &str, body: Option<&Value>| {
        let (status, response) = http(method, &format!("{}{path}", sandbox.control_url()), None, body);
        assert_eq!(status, 200, "{path}: {response}");
        response
    };
    let page = |token: &str, offset: usize| -> (u16, Vec<String>) {
        let url = format!("{}/2026-07/marketing-solutions/audiences/search?limit=100&offset={offset}", sandbox.url());
        let body = json!({"data": {"type": "AudienceSearch", "attributes": {"advertiserIds": ["1001", "1002"]}}});
        let (status, response) = http("POST", &url, Some(token), Some(&body));
        let ids = response["data"].as_array().into_iter().flatten();
        (status, ids.map(|object| object["id"].as_str().unwrap().to_owned()).collect())
    };
    let (_, first) = page(&token_now, 0);
    // Objects removed and added between two pages shift the second one.
    control("POST", "/options", Some(&json!({"deleted_ids": ["600001", "600002"]})));
    let (_, second) = page(&token_now, 100);
    assert_eq!((first.len(), second.first().unwrap().as_str()), (100, "600103"));
    control("POST", "/options", Some(&json!({"deleted_ids": [], "inserted": 3, "page_limit": 50})));
    let (_, second) = page(&token_now, 100);
    assert_eq!((second.len(), second.first().unwrap().as_str()), (50, "600098"));
    // Tokens, consent and permissions are revoked during a sync.
    control("POST", "/revoke", Some(&json!({})));
    assert_eq!(page(&token_now, 0).0, 401);
    token_now = token(&sandbox.url());
    control("POST", "/options", Some(&json!({"without_consent": ["1001"]})));
    assert!(page(&token_now, 0).1.iter().all(|id| id.as_str() > "600080"));
    control("POST", "/options", Some(&json!({"without_permission": ["audiences"]})));
    assert_eq!(page(&token_now, 0).0, 403);
    // The log hashes secrets; the truth ignores the cap.
    let log = control("GET", "/log", None);
    assert!(
        log.as_array().unwrap().len() >= 7
            && !log.to_string().contains("sandbox+secret")
            && !log.to_string().contains(&token_now)
    );
    assert!(control("GET", "/peak", None)["concurrency"].as_u64().unwrap() >= 1);
    control("POST", "/options", Some(&json!({"row_cap": 1, "page_limit": 1})));
    let wrapped = |attributes: Value| json!({"data": [{"type": "Report", "attributes": attributes}]});
    let days = json!({"advertiserIds": "1002", "startDate": "2026-10-01", "endDate": "2026-10-09", "currency": "EUR"});
    let mut placements = days.clone();
    placements["dimensions"] = json!(["AdsetId", "Placement"]);
    placements["metrics"] = json!(["Clicks"]);
    let ad_level = json!({"data": {"attributes": {"advertiserIds": ["1002"], "startDate": "2026-10-01", "endDate": "2026-10-09",
        "dimensions": ["AdsetId"], "metrics": ["Clicks"]}}});
    for (report, query) in
        [("placements", wrapped(placements)), ("transactions", wrapped(days)), ("ad_level", ad_level)]
    {
        let rows = control("POST", "/truth", Some(&json!({"report": report, "query": query})));
        assert!(rows.as_array().unwrap().len() > 1, "{report}: {rows}");
    }
    let query = json!({"advertiserIds": "1002", "startDate": "2026-10-01", "endDate": "2026-10-09", "dimensions": ["Day"],
        "metrics": ["Clicks"], "currency": "EUR", "format": "json"});
    let rows = control("POST", "/truth", Some(&json!({"report": "statistics", "query": query})));
    assert!(rows.as_array().unwrap().len() > 5);
    let any =
        control("POST", "/truth", Some(&json!({"path": "/2026-07/marketing-solutions/ad-sets/300006/category-bids"})));
    assert!(any["data"].is_array(), "{any}");
    control("POST", "/faults", Some(&json!([{"do": {"status": 500}, "times": null}])));
    assert_eq!(page(&token_now, 0).0, 500);
    control("DELETE", "/faults", None);
    assert_eq!(page(&token_now, 0).0, 403);
}

/// Starts a read whose third report is slow, and changes the world meanwhile.
fn read_while(bench: &Bench, streams: &[&str], path: &str, change: impl FnOnce()) -> crate::harness::Transcript {
    let fault = json!({"match": {"path": path, "nth": 2}, "do": {"delivery": {"delay_ms": 1500}}, "times": 1});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(streams, "incremental");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| bench.read(&catalog, None));
        let asked =
            |bench: &Bench| bench.sandbox.requests().iter().filter(|request| request.line.contains(path)).count();
        wait_until(|| asked(bench) >= 2);
        change();
        read.join().unwrap()
    })
}

#[test]
fn a_permission_lost_mid_sync_is_named() {
    let bench = Bench::new(Options::default(), 100);
    let transcript = read_while(&bench, &[REPORT], "/statistics/", || {
        bench.sandbox.change(|options| options.without_permission = vec![Permission::Analytics]);
    });
    assert!(transcript.errors()[0]["message"].as_str().unwrap().contains("Analytics: Read"));
}

#[test]
fn tokens_that_expire_mid_sync_are_renewed() {
    let bench = Bench::new(Options::default(), 100);
    let transcript = read_while(&bench, &[REPORT], "/statistics/", || bench.sandbox.revoke_tokens());
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    assert_eq!(bench.token_requests(), 2);
}

#[test]
fn objects_added_between_pages_do_not_hide_others() {
    let bench = Bench::new(Options::default(), 1);
    let before: Vec<_> = bench.sandbox.world().objects("audiences", "2026-07").unwrap();
    let transcript =
        read_while(&bench, &["audiences"], "/audiences/", || bench.sandbox.change(|options| options.inserted = 7));
    let records = transcript.records("audiences");
    // The shift repeats some objects, which their key resolves; none is missing.
    assert!(before.iter().all(|object| records.iter().any(|record| record["id"] == object["id"])));
}

#[test]
fn restated_days_are_read_again() {
    let mut bench = Bench::new(Options::default(), 80);
    bench.sandbox.change(|options| options.today = "2026-10-20".parse().unwrap());
    bench.config["now"] = json!("2026-10-20T12:00:00Z");
    let catalog = bench.catalog(&[REPORT], "incremental");
    let first = bench.read(&catalog, None);
    bench.sandbox.change(|options| options.today = "2026-11-01".parse().unwrap());
    bench.config["now"] = json!("2026-11-01T12:00:00Z");
    let second = bench.read(&catalog, Some(&first.final_state()));
    let stream = &bench.discover()[REPORT];
    let key = |record: &&serde_json::Map<String, Value>| format!("{}{}", record["campaign_id"], record["day"]);
    let mut table: std::collections::BTreeMap<_, _> = first.records(REPORT).into_iter().map(|r| (key(&r), r)).collect();
    let before = table.clone();
    table.extend(second.records(REPORT).into_iter().map(|record| (key(&record), record)));
    let truth = crate::truth::report(&bench, &preset(REPORT), stream);
    let truth: std::collections::BTreeMap<_, _> = truth.iter().map(|record| (key(&record), record)).collect();
    assert_eq!(table, truth);
    assert!(before.iter().any(|(key, record)| truth[key] != *record), "nothing was restated");
}

#[test]
fn empty_accounts_are_read() {
    let bench = Bench::new(Options { empty_advertisers: 2, ..Options::default() }, 10);
    let transcript = bench.read(&bench.catalog(&["advertisers", "campaigns", REPORT], "incremental"), None);
    assert_eq!((transcript.code, transcript.records("advertisers").len()), (Some(0), 5));
    let bench = Bench::new(Options { advertisers: 0, empty_advertisers: 1, ..Options::default() }, 10);
    let transcript = bench.read(&bench.catalog(&["campaigns", "audiences", REPORT], "incremental"), None);
    assert_eq!((transcript.code, transcript.of_type("RECORD").len()), (Some(0), 0));
}

#[test]
fn short_pages_are_read_to_the_end() {
    let bench = Bench::new(Options { page_limit: 37, ..Options::default() }, 1);
    let transcript = bench.read(&bench.catalog(&["audiences"], "full_refresh"), None);
    assert_eq!(transcript.records("audiences").len(), 240);
}

#[test]
fn log_file_links_are_signed_and_expire() {
    let sandbox = Sandbox::start(Options { link_life: Duration::from_secs(3), ..Options::default() }).unwrap();
    let token = token(&sandbox.url());
    let query = json!({"startDate": "2026-10-20T00:00:00Z", "endDate": "2026-10-21T00:00:00Z"});
    let url = format!("{}/2026-07/log-level/advertisers/1001/report", sandbox.url());
    let (status, response) = http("POST", &url, Some(&token), Some(&query));
    assert_eq!(status, 200, "{response}");
    let files = response["data"][0]["attributes"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    let link = files[0]["url"].as_str().unwrap();
    assert_eq!(http("GET", link, None, None).0, 200);
    assert_eq!(http("GET", link, Some(&token), None).0, 400, "a storage service refuses a second authorization");
    assert_eq!(http("GET", &link.replace("sig=", "sig=x"), None, None).0, 403);
    wait_until(|| http("GET", link, None, None).0 == 403);
}
