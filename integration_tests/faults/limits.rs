//! Rate limits, outages, retries.

use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::assert_in_time;

use super::{
    Case, REPORT, assert_complete, bench, calls, check_reported, fault, faults_in_sequence, now, read, reported, story,
};

/// A report whose response with this status is not retried.
fn fails_once(status: u16) -> (String, usize) {
    let bench = bench(Options::default(), 3);
    fault(&bench, "/statistics/report", json!(null), json!({"status": status, "body": "{}"}));
    let transcript = read(&bench, &[REPORT]);
    (story(&bench, &transcript, REPORT), calls(&bench, "/statistics/report"))
}

pub const CASES: &[Case] = &[
    Case {
        id: 20,
        fault: "429 whose x-ratelimit-reset is a Unix time 4 s ahead",
        expected: "waits 4 s, not years and not zero; every row once",
        run: || {
            let bench = bench(Options::default(), 3);
            let reset = now().timestamp() + 5;
            fault(
                &bench,
                "/statistics/report",
                1,
                json!({"status": 429, "body": "{}",
                "headers": {"x-ratelimit-reset": reset.to_string()}}),
            );
            let started = Instant::now();
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            assert!(started.elapsed().as_secs() >= 3, "{:?}", started.elapsed());
            assert_in_time(started, Duration::from_secs(12));
            format!("{story}; waited as long as requested")
        },
    },
    Case {
        id: 21,
        fault: "503 with Retry-After in seconds, as a date, 0, -1, abc, and one year",
        expected: "seconds and dates are respected, invalid values get a backoff, above 30 min the stream fails",
        run: || {
            let date = (now() + chrono::TimeDelta::seconds(3)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            for value in ["1", date.as_str(), "0", "-1", "abc"] {
                let bench = bench(Options::default(), 3);
                fault(
                    &bench,
                    "/statistics/report",
                    1,
                    json!({"status": 503, "body": "", "headers": {"Retry-After": value}}),
                );
                assert_complete(&bench, &read(&bench, &[REPORT]));
            }
            let bench = bench(Options::default(), 3);
            fault(
                &bench,
                "/statistics/report",
                1,
                json!({"status": 503, "body": "", "headers": {"Retry-After": "31536000"}}),
            );
            let transcript = read(&bench, &[REPORT]);
            format!("every row once with each; a year: {}", story(&bench, &transcript, REPORT))
        },
    },
    Case {
        id: 24,
        fault: "a limit of 40 reports per minute, and a sync that needs more",
        expected: "the connector paces itself: no request is refused, at most 115 % of the minimum time",
        run: || {
            let mut bench = bench(Options { row_cap: 100, ..Options::default() }, 300);
            bench.sandbox.change(|options| options.report_limit = 40);
            bench.config["advertiser_ids"] = json!(["1001"]);
            let started = Instant::now();
            let transcript = read(&bench, &["ad_statistics_daily"]);
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            let requests = bench.sandbox.requests();
            let refused = requests.iter().filter(|request| request.status == 429).count();
            let reports = calls(&bench, "/statistics/report");
            assert!(reports > 41, "{reports} reports");
            let least = 60.0 * f64::from(u32::try_from((reports - 1) / 40).unwrap());
            assert_in_time(started, Duration::from_secs_f64(1.15 * least + 5.0));
            format!("exit 0; {refused} refused; within the time")
        },
    },
    Case {
        id: 26,
        fault: "the rate limit is used up for 9 s",
        expected: "RUNNING with the reason RATE_LIMITED and the time, the state again, a log message",
        run: || {
            let bench = bench(Options { row_cap: 60, ..Options::default() }, 40);
            let reset = now().timestamp() + 10;
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/statistics/report", "nth": 3}, "times": 1, "do": {"status": 429,
                    "body": "{}", "headers": {"x-ratelimit-reset": reset.to_string(), "x-ratelimit-remaining": "0"}}}))
                .unwrap();
            let transcript = read(&bench, &[REPORT]);
            let reasons: Vec<&Value> =
                transcript.messages.iter().map(|m| &m["trace"]["stream_status"]["reasons"][0]).collect();
            let limited: Vec<_> = reasons.iter().filter(|reason| reason["type"] == "RATE_LIMITED").collect();
            assert!(
                limited
                    .iter()
                    .all(|reason| reason["rate_limited"]["quota_reset"].as_i64().unwrap() > 1_000_000_000_000)
            );
            assert!(transcript.logs("INFO").iter().any(|log| log.contains("Rate limit reached")));
            format!("{}; RATE_LIMITED reported: {}", assert_complete(&bench, &transcript), !limited.is_empty())
        },
    },
    Case {
        id: 27,
        fault: "500, 502, 503 and 504 up to five times in a row; then forever",
        expected: "retried, every row once; forever: transient_error, earlier rows are checkpointed",
        run: || {
            let absorbed = bench(Options::default(), 3);
            let down = |status| json!({"status": status, "body": "<html>down</html>"});
            faults_in_sequence(&absorbed, "/statistics/report", [500, 502, 503, 504, 500].map(down));
            let first = assert_complete(&absorbed, &read(&absorbed, &[REPORT]));
            let bench = bench(Options { row_cap: 60, ..Options::default() }, 40);
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/statistics/report", "nth": 9}, "times": null,
                    "do": {"status": 500, "body": "down"}}))
                .unwrap();
            let transcript = read(&bench, &[REPORT]);
            let second = story(&bench, &transcript, REPORT);
            assert!(second.starts_with("exit 1, INCOMPLETE (transient_error)"), "{second}");
            assert!(!transcript.states(REPORT).is_empty());
            let calls = calls(&absorbed, "/statistics/report");
            format!("{first} with request {calls}; forever: {second}, with states")
        },
    },
    Case {
        id: 28,
        fault: "an outage after the list of advertisers, with every stream selected",
        expected: "no retry storm: all streams share a quota of 100 retries",
        run: || {
            let bench = bench(Options::default(), 20);
            let catalog =
                bench.catalog(&bench.discover().keys().map(String::as_str).collect::<Vec<_>>(), "incremental");
            let outage =
                json!({"match": {"path": "/2026-07/", "nth": 2}, "times": null, "do": {"status": 503, "body": "down"}});
            bench.sandbox.add_fault(outage).unwrap();
            let transcript = bench.read(&catalog, None);
            let streams = catalog["streams"].as_array().unwrap().len();
            let requests = bench.sandbox.requests();
            let refused: Vec<_> = requests.iter().filter(|request| request.status == 503).collect();
            let distinct: std::collections::BTreeSet<_> =
                refused.iter().map(|request| (&request.line, request.body.to_string())).collect();
            let retries = refused.len() - distinct.len();
            assert!(retries <= 100, "{retries} retries");
            assert!(distinct.len() <= 2 * streams, "{} requests hit the outage", distinct.len());
            let errors = transcript.errors();
            assert!(
                errors.iter().any(|error| error["message"].as_str().unwrap().contains("so this one was not retried"))
            );
            format!("exit {}; at most 100 retries for {streams} streams", transcript.code.unwrap())
        },
    },
    Case {
        id: 29,
        fault: "an outage of three seconds during a sync of all streams and 40 advertisers",
        expected: "absorbed: waiting requests keep their slots, so that few fail",
        run: || {
            let options = Options { advertisers: 40, campaigns: 1, ad_sets: 2, ads: 1, ..Options::default() };
            let mut bench = bench(options, 5);
            bench.config["backoff_percent"] = json!(100);
            let catalog =
                bench.catalog(&bench.discover().keys().map(String::as_str).collect::<Vec<_>>(), "incremental");
            let transcript = std::thread::scope(|scope| {
                let reading = scope.spawn(|| bench.read(&catalog, None));
                crate::harness::wait_until(|| bench.sandbox.requests().len() >= 40);
                fault(&bench, "/2026-07/", json!(null), json!({"status": 503, "body": "down"}));
                let (_open, nothing) = std::sync::mpsc::channel::<()>();
                nothing.recv_timeout(Duration::from_secs(3)).ok();
                crate::harness::http("DELETE", &format!("{}/faults", bench.sandbox.control_url()), None, None);
                reading.join().unwrap()
            });
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            let refused = bench.sandbox.requests().iter().filter(|request| request.status == 503).count();
            assert!((1..100).contains(&refused), "{refused} requests hit the outage");
            story(&bench, &transcript, "ad_sets")
        },
    },
    Case {
        id: 30,
        fault: "searches and reports (POST) fail and are retried",
        expected: "with the same body, every row once",
        run: || {
            let bench = bench(Options::default(), 3);
            fault(&bench, "/statistics/report", 2, json!({"status": 500, "body": ""}));
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            let requests = bench.sandbox.requests();
            let bodies: Vec<_> =
                requests.iter().filter(|r| r.line.contains("/statistics/report")).map(|r| &r.body).collect();
            assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
            format!("{story}; 3 requests with one body")
        },
    },
    Case {
        id: 31,
        fault: "408 and 425 once; 405, 409, 422, 501 and 505 always",
        expected: "the first two are retried, the others only in smaller requests",
        run: || {
            for status in [408, 425] {
                let bench = bench(Options::default(), 3);
                fault(&bench, "/statistics/report", 1, json!({"status": status, "body": ""}));
                assert_complete(&bench, &read(&bench, &[REPORT]));
            }
            for status in [405, 409, 422, 501, 505] {
                let (story, calls) = fails_once(status);
                assert!(story.starts_with("exit 1, INCOMPLETE") && calls <= 12, "{status}: {story}, {calls} requests");
            }
            "every row once; the others: exit 1 after at most 12 requests".to_owned()
        },
    },
    Case {
        id: 32,
        fault: "404 and 410 everywhere: the API version is gone",
        expected: "config_error that says so, no retry",
        run: || {
            for status in [404, 410] {
                let bench = bench(Options::default(), 3);
                fault(&bench, "/2026-07/", json!(null), json!({"status": status, "body": "{}"}));
                check_reported(&bench.check(), &["no longer serves API version 2026-07", "update the connector"]);
                assert_eq!(calls(&bench, "/2026-07/marketing-solutions/me"), 1);
            }
            let bench = bench(Options::default(), 3);
            fault(&bench, "/campaigns/search", json!(null), json!({"status": 410, "body": "{}"}));
            let transcript = read(&bench, &["campaigns"]);
            format!("{}; {}", story(&bench, &transcript, "campaigns"), reported(&transcript, &["newer api_version"]))
        },
    },
    Case {
        id: 33,
        fault: "413 for a search that names many advertisers",
        expected: "split in halves, every row once",
        run: || {
            let bench = bench(Options { advertisers: 8, campaigns: 1, ..Options::default() }, 3);
            fault(&bench, "/campaigns/search", 1, json!({"status": 413, "body": ""}));
            let transcript = read(&bench, &["campaigns"]);
            format!("{}; {} requests", story(&bench, &transcript, "campaigns"), calls(&bench, "/campaigns/search"))
        },
    },
    Case {
        id: 34,
        fault: "a response that starts after 20 s, as reports may",
        expected: "waited for: one request, every row once, a heartbeat meanwhile",
        run: || {
            let bench = bench(Options::default(), 3);
            fault(&bench, "/statistics/report", 1, json!({"delivery": {"delay_ms": 20_000}}));
            let transcript = read(&bench, &[REPORT]);
            format!("{}; {} request", assert_complete(&bench, &transcript), calls(&bench, "/statistics/report"))
        },
    },
];

super::tests! { case_20 case_21 case_24 case_26 case_27 case_28 case_29 case_30 case_31 case_32 case_33 case_34 }
