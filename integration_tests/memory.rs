//! Memory is bounded by one response, not by the length of a sync.

use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

use criteo_sandbox::Options;
use serde_json::json;

use crate::harness::{Bench, peak_kib};

/// Maximum memory of one sync.
const MAX_KIB: u64 = 96 * 1024;

/// Reads a stream without buffering; returns the number of lines and the peak memory in KiB.
fn measure(bench: &Bench, stream: &str) -> (usize, u64) {
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&[stream], "incremental"));
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = program.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut peak, mut lines, mut tail) = (0, 0, Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stdout.read(&mut buffer).unwrap();
        tail = if length > 0 { buffer[..length].to_vec() } else { tail };
        lines += buffer[..length].split(|byte| *byte == b'\n').count() - 1;
        // The last reading happens while the last lines are in the pipe.
        peak = peak.max(peak_kib(child.id()));
        if length == 0 {
            break;
        }
    }
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&tail));
    let calls = bench.report_requests().len() + bench.auxiliary_requests().len();
    println!("{lines} lines, {calls} report requests, {:.1} s, peak {peak} KiB", started.elapsed().as_secs_f64());
    (lines, peak)
}

/// One advertiser with just under 100,000 rows per day.
fn dense(days: u64, metrics: &[&str]) -> Bench {
    let options = Options {
        advertisers: 1,
        campaigns: 10,
        ad_sets: 10,
        ads: 999,
        audiences: 0,
        activity: 100,
        ..Options::default()
    };
    let mut bench = Bench::new(options, days - 1);
    bench.config["custom_reports"] = json!([{
        "name": "wide",
        "dimensions": ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Week", "Day"],
        "metrics": metrics,
    }]);
    bench
}

const METRICS: &[&str] = &[
    "Displays",
    "Clicks",
    "AdvertiserCost",
    "Visits",
    "SalesPc30d",
    "SalesPc7d",
    "SalesPc1d",
    "RevenueGeneratedPc30d",
    "RevenueGeneratedPc7d",
    "RevenueGeneratedPc1d",
    "SalesAllPc30d",
    "Reach",
];

/// `MEMORY_DAYS=10` reads ten such reports in a row.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_report_just_below_the_cap_is_read_in_bounded_memory() {
    let days = std::env::var("MEMORY_DAYS").map_or(1, |days| days.parse().unwrap());
    let (lines, peak) = measure(&dense(days, METRICS), "custom_wide");
    assert!(lines > usize::try_from(days).unwrap() * 99_000);
    assert!(peak > 10_000 && peak < MAX_KIB, "{peak} KiB");
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_report_above_the_memory_limit_is_read_in_parts() {
    let metrics: Vec<_> = METRICS
        .iter()
        .copied()
        .chain([
            "SalesClientAttribution",
            "SalesPv24h",
            "SalesPc30dPv24h",
            "RevenueGeneratedClientAttribution",
            "RevenueGeneratedPv24h",
            "RevenueGeneratedPc30dPv24h",
            "SalesAllClientAttribution",
            "RevenueGeneratedAllClientAttribution",
            "RevenueGeneratedAllPc30d",
            "SalesAllPc7d",
            "SalesAllPc1d",
            "RevenueGeneratedAllPc7d",
            "RevenueGeneratedAllPc1d",
        ])
        .collect();
    let bench = dense(2, &metrics);
    let (lines, peak) = measure(&bench, "custom_wide");
    assert!(lines > 2 * 99_000);
    assert!(bench.report_requests().iter().any(|request| request["adSetIds"].is_array()), "it was split");
    assert!(peak < MAX_KIB, "{peak} KiB");
}

/// A table with repeated keys is written as objects in order to merge it.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn rows_with_the_same_key_are_summed_in_bounded_memory() {
    let additive: Vec<_> = METRICS.iter().copied().filter(|name| *name != "Reach").collect();
    let bench = dense(3, &additive);
    bench.sandbox.change(|options| {
        options.ads = 290;
        options.unknowns.set("statistics_shape", "columns_data").unwrap();
        options.unknowns.set("repeated_keys", "split").unwrap();
    });
    let (lines, peak) = measure(&bench, "custom_wide");
    assert!(lines > 3 * 28_000, "{lines}");
    assert!(peak < MAX_KIB, "{peak} KiB");
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn two_years_of_two_advertisers_are_fast_in_bounded_memory() {
    let options = Options {
        advertisers: 2,
        campaigns: 50,
        ad_sets: 1,
        ads: 1,
        audiences: 0,
        activity: 100,
        ..Options::default()
    };
    let bench = Bench::new(options, 729);
    let (lines, peak) = measure(&bench, "campaign_statistics_daily");
    assert!(lines > 72_000);
    assert!(peak < MAX_KIB, "{peak} KiB");
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn log_files_of_any_size_are_read_in_constant_memory() {
    let small = measure(&dense(2, METRICS), "log_level_events");
    let large = measure(&dense(4, METRICS), "log_level_events");
    assert!(small.0 > 250_000 && large.0 > 2 * small.0);
    assert!(large.1 < small.1 + 4096 && large.1 < MAX_KIB / 2, "{} KiB and {} KiB", small.1, large.1);
}
