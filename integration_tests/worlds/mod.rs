//! Random accounts and API behaviors: a destination that merges by key must match the truth, or the sync must have
//! reported what is missing.
//!
//! ```text
//! WORLDS=2000 cargo test --test integration -- --ignored --nocapture random_accounts
//! WORLDS=1 WORLDS_SEED=4711 cargo test --test integration -- --ignored --nocapture random_accounts
//! ```
//!
//! `WORLDS_THREADS` sets the number of parallel worlds.

mod judge;
mod plan;
mod run;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use crate::harness::Bench;
use crate::streams::preset;
use crate::truth;
use judge::{Table, Truth, differences, merge, rows};
use plan::Plan;
use run::{Outcome, outcome};

/// Minimum percentage of complete worlds, from a hundred worlds on.
const MIN_COMPLETE: u64 = 90;
/// Maximum repetitions of a failing world to find a smaller one.
const MAX_SHRINKING: usize = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Runs the worlds of the seeds from `first` on.
fn worlds(first: u64, count: u64) {
    println!("{count} worlds, WORLDS_SEED={first}");
    let (next, whole, failures) = (AtomicU64::new(first), AtomicU64::new(0), Mutex::new(Vec::new()));
    let incomplete: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let incomplete_count = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..number("WORLDS_THREADS").unwrap_or(3) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let plan = Plan::draw(seed);
                    match outcome(&plan) {
                        Outcome::Complete => {
                            whole.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::Incomplete { streams, text } => {
                            incomplete_count.fetch_add(1, Ordering::Relaxed);
                            let mut incomplete = incomplete.lock().unwrap();
                            for (name, value) in &plan.switches {
                                *incomplete.entry(format!("{name}={value}")).or_default() += 1;
                            }
                            if std::env::var_os("WORLDS_LOUD").is_some() {
                                println!("incomplete {seed} {streams:?}\n  {}\n  {text}", plan.reported());
                            }
                        }
                        Outcome::Failed { kind, text } => {
                            let text = shrunk(plan, kind, text);
                            println!("FAILED {seed}: {kind}\n  {text}");
                            failures.lock().unwrap().push(format!("WORLDS_SEED={seed}: {kind}\n  {text}"));
                        }
                    }
                }
            });
        }
    });
    let (whole, incomplete_count, failures) =
        (whole.into_inner(), incomplete_count.into_inner(), failures.into_inner().unwrap());
    println!(
        "{whole} complete, {incomplete_count} incomplete, {} failed; switches of the incomplete ones:",
        failures.len()
    );
    let mut incomplete: Vec<_> = incomplete.into_inner().unwrap().into_iter().collect();
    incomplete.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (switch, count) in incomplete {
        println!("  {count} {switch}");
    }
    assert!(failures.is_empty(), "{} of {count} worlds failed:\n{}", failures.len(), failures.join("\n\n"));
    // Three standard deviations are attributed to chance.
    let chance = 3 * (count * MIN_COMPLETE * (100 - MIN_COMPLETE)).isqrt() / 100;
    let least = count * MIN_COMPLETE / 100 - chance.min(count / 10);
    assert!(count < 100 || whole >= least, "only {whole} of {count} worlds are complete, expected {least}");
}

/// Describes the smallest world that fails in the same way.
fn shrunk(mut plan: Plan, kind: &str, mut text: String) -> String {
    let mut left = if std::env::var_os("WORLDS_WHOLE").is_some() { 0 } else { MAX_SHRINKING };
    'smaller: loop {
        for smaller in plan.smaller() {
            if left == 0 {
                break 'smaller;
            }
            left -= 1;
            if let Outcome::Failed { kind: again, text: words } = outcome(&smaller)
                && again == kind
            {
                (plan, text) = (smaller, words);
                continue 'smaller;
            }
        }
        break;
    }
    format!("{}\n  {text}", plan.reported())
}

fn seed_of_the_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000 * 1_000
}

#[test]
fn a_few_random_accounts_sync_completely_or_report_errors() {
    worlds(number("WORLDS_SEED").unwrap_or_else(seed_of_the_clock), number("WORLDS").unwrap_or(20));
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn random_accounts_sync_completely_or_report_errors() {
    worlds(number("WORLDS_SEED").unwrap_or_else(seed_of_the_clock), number("WORLDS").unwrap_or(200));
}

#[test]
fn the_judge_detects_lost_duplicate_changed_and_stale_rows() {
    let mut bench = Bench::new(Options::default(), 12);
    let catalog = bench.catalog(&["campaign_statistics_daily", "category_statistics_daily"], "incremental");
    let discovered = bench.discover();
    let read = |bench: &Bench, name: &str| {
        let mut table = Table::new();
        merge(&mut table, bench.read(&catalog, None).records(name), &discovered[name]);
        table
    };
    let truth = |bench: &Bench, name: &str| Truth {
        rows: rows(&truth::report(bench, &preset(name), &discovered[name]), &discovered[name]),
        today: bench.today(),
        is_wanted: true,
    };
    for name in ["campaign_statistics_daily", "category_statistics_daily"] {
        let differing = |table: &Table, truths: &[Truth], lookback| {
            let found = differences(&rows(table.values(), &discovered[name]), truths, lookback);
            found
                .iter()
                .map(|difference| difference.to_string().split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let (held, first) = (read(&bench, name), truth(&bench, name));
        assert_eq!(differing(&held, std::slice::from_ref(&first), 3), [""; 0]);
        let key = held.keys().nth(7).unwrap().clone();
        let mut table = held.clone();
        let row = table.remove(&key).unwrap();
        assert_eq!(differing(&table, std::slice::from_ref(&first), 3).len(), 1, "{name}: lost");
        for (column, value, what) in [("campaign_id", json!("299999"), "extra"), ("day", json!("2026-10-01"), "extra")]
        {
            let mut twin = row.clone();
            twin[column] = value;
            let mut table = held.clone();
            merge(&mut table, [&twin], &discovered[name]);
            assert_eq!(differing(&table, std::slice::from_ref(&first), 3), [what], "{name}: doubled");
        }
        for column in ["clicks", "advertiser_cost", "currency"] {
            let mut table = held.clone();
            table.get_mut(&key).unwrap()[column] = json!(7.5);
            assert!(!differing(&table, std::slice::from_ref(&first), 3).is_empty(), "{name}: changed");
        }
        // Five days later all numbers have grown: days within the lookback must be current, others may be old.
        let before = bench.today();
        let today = before + Days::new(5);
        bench.sandbox.change(|options| options.today = today);
        bench.config["now"] = json!(format!("{today}T12:00:00Z"));
        let second = truth(&bench, name);
        let mut fresh = held.clone();
        fresh.extend(read(&bench, name));
        assert_eq!(differing(&fresh, &[first.clone(), second.clone()], 3), [""; 0]);
        let mut half = fresh.clone();
        let is_old =
            |key: &str, row: &Map<String, Value>| held.contains_key(key) && row["day"].as_str().unwrap() < "2026-10-29";
        half.iter_mut().filter(|(key, row)| is_old(key, row)).for_each(|(key, row)| *row = held[key].clone());
        assert_eq!(differing(&half, &[first.clone(), second.clone()], 3), [""; 0]);
        assert!(!differing(&half, &[first.clone(), second.clone()], 6).is_empty(), "{name}: stale");
        bench.sandbox.change(|options| options.today = before);
        bench.config["now"] = json!(format!("{before}T12:00:00Z"));
    }
}
