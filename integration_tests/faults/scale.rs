//! Accounts of every size.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, bench, read, story};
use crate::harness::{Bench, peak_kib, slowness};

/// Statistics of a read too large to keep.
#[derive(Default)]
pub(super) struct Count {
    pub records: usize,
    /// Records with a repeated key.
    doubled: usize,
    bytes: usize,
    /// Bytes of each stream's last state.
    last_states: usize,
    pub peak_kib: u64,
    pub failed: Option<String>,
}

/// Reads without keeping records.
pub(super) fn count(bench: &Bench, streams: &[&str]) -> Count {
    bench.file("config.json", &bench.config);
    let catalog = bench.catalog(streams, "incremental");
    bench.file("catalog.json", &catalog);
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut count = Count::default();
    let mut keys = HashSet::new();
    let mut states = std::collections::BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        count.bytes += line.len();
        let message: Value = serde_json::from_str(&line).unwrap();
        match message["type"].as_str().unwrap() {
            "RECORD" => {
                let record = &message["record"];
                let mut hasher = DefaultHasher::new();
                for part in [&record["stream"], &record["data"]["day"], &record["data"]["advertiser_id"]] {
                    part.as_str().hash(&mut hasher);
                }
                for part in ["campaign_id", "ad_set_id", "ad_id", "hour", "category_id", "device", "os", "channel_id"] {
                    record["data"][part].to_string().hash(&mut hasher);
                }
                count.records += 1;
                count.doubled += usize::from(!keys.insert(hasher.finish()));
                // Often enough: memory grows with responses, not records.
                if count.records.is_multiple_of(10_000) {
                    count.peak_kib = count.peak_kib.max(peak_kib(child.id()));
                }
            }
            "STATE" => {
                let name = message["state"]["stream"]["stream_descriptor"]["name"].to_string();
                states.insert(name, line.len());
            }
            "TRACE" if message["trace"]["type"] == "ERROR" => count.failed = Some(line),
            _ => {}
        }
    }
    assert_eq!(count.failed.is_none(), child.wait().unwrap().success());
    count.last_states = states.values().sum();
    count
}

pub const CASES: &[Case] = &[
    Case {
        id: 140,
        fault: "10,000 advertisers, every daily report, two days",
        expected: "all of them in few requests; total state below 2 MB; the same memory as for three",
        run: || {
            let options =
                Options { advertisers: 10_000, campaigns: 1, ad_sets: 1, ads: 1, audiences: 0, ..Options::default() };
            let bench = bench(options, 1);
            let discovered = bench.discover();
            let reports = discovered.keys().filter(|name| name.ends_with("_daily")).map(String::as_str);
            let reports: Vec<_> = reports.take(12).collect();
            let count = count(&bench, &reports);
            let calls = bench.report_requests().len() + bench.auxiliary_requests().len();
            println!(
                "{} reports, {} records, {calls} requests, states of {} bytes, {} KiB",
                reports.len(),
                count.records,
                count.last_states,
                count.peak_kib
            );
            assert!(count.failed.is_none() && count.records > 100_000, "{:?}", count.failed);
            assert!(calls < 100 && count.last_states < 2_000_000 && count.peak_kib < 128 * 1024);
            format!("{} reports; below 100 requests, 2 MB of states, 128 MiB", reports.len())
        },
    },
    Case {
        id: 141,
        fault: "two years of 500 advertisers, by day and ad, compared with Criteo's totals",
        expected: "every row once, in bounded memory",
        run: || {
            let options = Options {
                advertisers: 500,
                campaigns: 1,
                ad_sets: 1,
                ads: 1,
                audiences: 0,
                activity: 100,
                ..Options::default()
            };
            let mut bench = bench(options, 729);
            bench.config["verify_totals"] = json!(true);
            let count = count(&bench, &["ad_statistics_daily"]);
            assert!(count.failed.is_none(), "{:?}", count.failed);
            assert!(count.peak_kib < 128 * 1024, "{} KiB", count.peak_kib);
            assert_eq!((count.records, count.doubled), (500 * 730, 0));
            format!("{} rows, {} duplicates; below 128 MiB", count.records, count.doubled)
        },
    },
    Case {
        id: 142,
        fault: "a campaign with 5,000 ad sets, an ad set with 5,000 ads, an advertiser with 5,000 audiences",
        expected: "every object once",
        run: || {
            let mut reported = Vec::new();
            for (stream, campaigns, ad_sets, ads, audiences) in
                [("ad_sets", 1, 5000, 1, 0), ("ads", 1, 1, 5000, 0), ("audiences", 1, 1, 1, 5000)]
            {
                let options = Options { advertisers: 1, campaigns, ad_sets, ads, audiences, ..Options::default() };
                let bench = bench(options, 1);
                reported.push(format!("{stream}: {}", story(&bench, &read(&bench, &[stream]), stream)));
            }
            reported.join("; ")
        },
    },
    Case {
        id: 143,
        fault: "50 custom reports, and responses that take 1.5 s",
        expected: "spec and discover do not wait, check finishes within 30 s: it tries twenty and says so",
        run: || {
            let latency = Duration::from_millis(1500);
            let mut bench = bench(Options { latency, ..Options::default() }.with_documented_limits(), 14);
            let timed = |bench: &Bench, arguments: &[&str]| {
                let started = Instant::now();
                let transcript = bench.run(arguments);
                assert_eq!(transcript.code, Some(0));
                (started.elapsed(), transcript)
            };
            bench.file("config.json", &bench.config);
            let (plain, _) = timed(&bench, &["check", "--config", "config.json"]);
            let dimensions = ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Category", "Device", "Os", "Day"];
            let report = |n: u32| json!({"name": format!("r{n}"), "dimensions": dimensions, "metrics": ["Clicks"]});
            bench.config["custom_reports"] = (0..50).map(report).collect();
            bench.file("config.json", &bench.config);
            let (spec, _) = timed(&bench, &["spec"]);
            let (discover, _) = timed(&bench, &["discover", "--config", "config.json"]);
            let (check, checked) = timed(&bench, &["check", "--config", "config.json"]);
            println!("spec {spec:?}, discover {discover:?}, check {plain:?}, with 50 reports {check:?}");
            for (took, most) in [(spec, 0.5), (discover, 2.0), (plain, 15.0), (check, 30.0)] {
                assert!(took.as_secs_f64() < most * slowness(), "{took:?} of {most} s");
            }
            let logs = checked.logs("INFO").join(" ");
            assert!(logs.contains("20 of 50 were tested"), "{logs}");
            let status = &checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"]["status"];
            format!("{}; within 30 s", status.as_str().unwrap())
        },
    },
];

super::tests! { case_140 case_141 case_142 case_143 }
