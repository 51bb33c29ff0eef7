//! Memory is bounded by one answer of Criteo, not by the length of a sync.

use std::io::Read;
use std::process::Stdio;

use criteo_sandbox::Options;
use serde_json::json;

use crate::harness::Bench;

/// What one sync may take at its peak.
const MOST_KIB: u64 = 96 * 1024;

/// Reports of 12 metrics and 6 dimensions, `days` days of just under 100,000 rows each.
fn peak_kib(days: u64) -> u64 {
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
        "metrics": ["Displays", "Clicks", "AdvertiserCost", "Visits", "SalesPc30d", "SalesPc7d", "SalesPc1d",
            "RevenueGeneratedPc30d", "RevenueGeneratedPc7d", "RevenueGeneratedPc1d", "SalesAllPc30d", "Reach"],
    }]);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&["custom_wide"], "incremental"));
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut lines, mut tail) = (0, 0, Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stdout.read(&mut buffer).unwrap();
        tail = if length > 0 { buffer[..length].to_vec() } else { tail };
        lines += buffer[..length].split(|byte| *byte == b'\n').count() - 1;
        // The high-water mark; the last reading is taken while the last lines are in the pipe.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = mark.unwrap_or(0).max(peak);
        if length == 0 {
            break;
        }
    }
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&tail));
    println!("{lines} lines, peak {peak} KiB");
    assert!(lines > usize::try_from(days).unwrap() * 99_000);
    peak
}

/// `MEMORY_DAYS=10` reads ten such reports in a row.
#[test]
fn a_report_just_below_the_cap_is_read_in_bounded_memory() {
    let days = std::env::var("MEMORY_DAYS").map_or(1, |days| days.parse().unwrap());
    let peak = peak_kib(days);
    assert!(peak > 10_000 && peak < MOST_KIB, "{peak} KiB");
}
