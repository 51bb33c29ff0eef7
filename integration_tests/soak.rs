//! Daily syncs with a fault at every twentieth request, and one long read whose memory and open files must not grow.
//!
//! ```text
//! SOAK_SECONDS=3600 cargo test --release --test integration -- --ignored --nocapture soak
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;
use crate::streams::truth_of;
use crate::truth::{ByKey, by_key};

const REPORTS: &[&str] = &["campaign_statistics_daily", "ad_set_statistics_daily", "ad_set_statistics_hourly"];
const OBJECTS: &[&str] = &["advertisers", "campaigns", "ad_sets", "ads", "audiences"];
/// Syncs of one account before the next account.
const MORNINGS: u64 = 30;

/// Faults, each at one of a hundred requests.
fn faults() -> Vec<Value> {
    let actions = [
        json!({"status": 503, "body": ""}),
        json!({"status": 429, "headers": {"Retry-After": "1", "x-ratelimit-reset": "0"}, "body": "{}"}),
        json!({"body": "<html>back soon</html>"}),
        json!({"delivery": {"reset": true}}),
        json!({"delivery": {"framing": "chunked", "cut_after": 300}}),
    ];
    actions.into_iter().map(|action| json!({"match": {"percent": 1}, "times": null, "do": action})).collect()
}

/// Totals over all syncs.
#[derive(Default)]
struct Sum {
    mornings: u64,
    runs: u64,
    calls: usize,
    faults: usize,
    most_files: usize,
    peaks_kib: Vec<u64>,
}

/// Thirty daily syncs of an account: the warehouse must match it after each.
fn account(seed: u64, until: Instant, sum: &mut Sum) {
    let row_cap = 200 + usize::try_from(seed % 7).unwrap() * 300;
    let mut bench = Bench::new(Options { seed, row_cap, audiences: 30, ..Options::default() }, 40);
    for fault in faults() {
        bench.sandbox.add_fault(fault).unwrap();
    }
    let streams = [REPORTS, OBJECTS].concat();
    let catalog = bench.catalog(&streams, "incremental");
    let discovered = bench.discover();
    let mut warehouse: BTreeMap<&str, ByKey> = BTreeMap::new();
    let mut state = None;
    for _ in 0..MORNINGS {
        let mut peak = 0;
        // A platform retries a failed sync from its last state.
        for attempt in 0.. {
            assert!(attempt < 10, "ten syncs of one day failed");
            let run = bench.read(&catalog, state.as_ref());
            sum.runs += 1;
            sum.most_files = sum.most_files.max(run.most_files);
            peak = peak.max(run.peak_kib);
            for name in &streams {
                let table = warehouse.entry(name).or_default();
                let is_whole = run.statuses(name).last() == Some(&"COMPLETE");
                // Objects are replaced as a whole; rows of reports replace those with their key.
                if is_whole && OBJECTS.contains(name) {
                    table.clear();
                }
                table.extend(by_key(run.records(name), &discovered[*name]));
            }
            state = Some(run.final_state());
            if run.code == Some(0) {
                break;
            }
        }
        for name in &streams {
            let truth = by_key(&truth_of(&bench, name, &discovered[*name]), &discovered[*name]);
            assert!(warehouse[name] == truth, "{name} of seed {seed} on {}: does not match the truth", bench.today());
        }
        sum.mornings += 1;
        sum.peaks_kib.push(peak);
        if Instant::now() > until {
            break;
        }
        let tomorrow = bench.today() + Days::new(1);
        bench.sandbox.change(|options| options.today = tomorrow);
        bench.config["now"] = json!(format!("{tomorrow}T12:00:00Z"));
    }
    let requests = bench.sandbox.requests();
    sum.calls += requests.len();
    sum.faults += requests.iter().filter(|request| request.is_disturbed).count();
}

/// A process's current memory in KiB and open files.
fn held(process: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
    (memory.unwrap_or(0), files)
}

/// Samples of one process that reads two years in hundreds of small responses, from the first record on.
fn long_read() -> Vec<(u64, usize)> {
    let options = Options { row_cap: 60, latency: Duration::from_millis(4), ..Options::default() };
    let bench = Bench::new(options, 729);
    for fault in faults() {
        bench.sandbox.add_fault(fault).unwrap();
    }
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&REPORTS[..2], "incremental"));
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut samples = Vec::new();
    for (index, line) in BufReader::new(child.stdout.take().unwrap()).lines().enumerate() {
        line.unwrap();
        if index % 100 == 0 {
            samples.push(held(child.id()));
        }
    }
    assert!(child.wait().unwrap().success());
    samples
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(30, |seconds| seconds.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut sum = Sum::default();
    for seed in 1.. {
        account(seed, until, &mut sum);
        if Instant::now() > until {
            break;
        }
    }
    assert!(sum.faults * 40 > sum.calls, "{} of {} requests were disturbed", sum.faults, sum.calls);
    let samples = long_read();
    // Memory still rises in the first quarter.
    let samples = &samples[samples.len() / 4..];
    let (first, second) = samples.split_at(samples.len() / 2);
    let mean = |samples: &[(u64, usize)]| samples.iter().map(|(memory, _)| *memory).sum::<u64>() / samples.len() as u64;
    let files = |samples: &[(u64, usize)]| samples.iter().map(|(_, files)| *files).max().unwrap();
    println!(
        "{} mornings, {} syncs, {} calls, {} of them disturbed; at most {} KiB and {} open files; after every morning the \
         warehouse held the truth. One read of two years: on average {} KiB in the first half and {} KiB in the second, at \
         most {} and {} open files",
        sum.mornings,
        sum.runs,
        sum.calls,
        sum.faults,
        sum.peaks_kib.iter().max().unwrap(),
        sum.most_files,
        mean(first),
        mean(second),
        files(first),
        files(second)
    );
    assert!(samples.len() > 20, "{}", samples.len());
    assert!(mean(second) < mean(first) + 4096, "memory grows");
    assert!(files(second) <= files(first) + 4, "the number of open files grows");
}
