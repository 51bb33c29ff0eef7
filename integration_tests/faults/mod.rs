//! What the connector must survive: each case is a row of `docs/fault-matrix.md`, which this suite writes.
//!
//! A case states fault and expected result, runs it, checks it from outside (output, the sandbox's requests, exit), and
//! describes the outcome in constant words. `rules.rs` has the rules for every run.
//!
//! ```text
//! cargo test --test integration -- --ignored faults                     all cases
//! cargo test --test integration -- --ignored faults::auth               one part; --exact faults::auth::case_2 one case
//! UPDATE_DOCS=1 cargo test --test integration -- --ignored write_the_fault_matrix
//! FAULTS="Retail Media" UPDATE_DOCS=1 …                                  only parts with these words in their title
//! ```

mod auth;
mod bounds;
mod files;
mod input;
mod limits;
mod locks;
mod network;
mod payload;
mod process;
mod rm_jobs;
mod rm_lists;
mod rm_objects;
mod scale;
mod secrets;
mod semantics;
mod time;
mod tls;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::streams::truth_of;
use crate::truth::by_key;

const TABLE: &str = "docs/fault-matrix.md";
/// Number of parallel cases; most of them wait.
const PARALLEL_CASES: usize = 8;
/// The report that most cases read.
const REPORT: &str = "campaign_statistics_daily";

/// A row of the table.
struct Case {
    id: u32,
    fault: &'static str,
    expected: &'static str,
    /// Runs the case, panics if the result is unexpected, and describes the outcome.
    run: fn() -> String,
}

/// A part of the table.
struct Part {
    title: &'static str,
    cases: &'static [Case],
    /// Names of the cases' tests.
    tests: &'static [&'static str],
}

/// A test per case, with its number after `case_`.
macro_rules! tests {
    ($($name:ident)*) => {
        pub const TESTS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            #[ignore = "slow: scripts/test runs it"]
            fn $name() {
                super::holds(stringify!($name));
            }
        )*
    };
}
use tests;

const PARTS: &[Part] = &[
    Part { title: "Tokens and consent", cases: auth::CASES, tests: auth::TESTS },
    Part { title: "Rate limits and outages", cases: limits::CASES, tests: limits::TESTS },
    Part { title: "Network", cases: network::CASES, tests: network::TESTS },
    Part { title: "Proxies and certificates", cases: tls::CASES, tests: tls::TESTS },
    Part { title: "Responses", cases: payload::CASES, tests: payload::TESTS },
    Part { title: "Row caps, pages, days", cases: semantics::CASES, tests: semantics::TESTS },
    Part { title: "State, catalog, configuration", cases: input::CASES, tests: input::TESTS },
    Part { title: "Process", cases: process::CASES, tests: process::TESTS },
    Part { title: "Secrets and other hosts", cases: secrets::CASES, tests: secrets::TESTS },
    Part { title: "Scale", cases: scale::CASES, tests: scale::TESTS },
    Part { title: "Waits and stalls", cases: locks::CASES, tests: locks::TESTS },
    Part { title: "Days, cursors, changing advertisers", cases: time::CASES, tests: time::TESTS },
    Part { title: "The user's files and stdout", cases: files::CASES, tests: files::TESTS },
    Part { title: "Oversized input", cases: bounds::CASES, tests: bounds::TESTS },
    Part { title: "Lists of Retail Media", cases: rm_lists::CASES, tests: rm_lists::TESTS },
    Part { title: "Objects and accounts of Retail Media", cases: rm_objects::CASES, tests: rm_objects::TESTS },
    Part { title: "Catalogs and bills of Retail Media", cases: rm_jobs::CASES, tests: rm_jobs::TESTS },
];

/// Untestable cases, and why.
const NOT_TESTED: &[(&str, &str)] = &[
    (
        "Criteo itself: its real data, quotas, formats, consent pages",
        "no test calls it; the sandbox follows its documentation",
    ),
    ("DNS that returns SERVFAIL or hangs, an unroutable address", "needs its own DNS server or network"),
    ("a black-holed IPv6 address beside a working IPv4 address", "not possible on loopback"),
    ("a failed memory allocation", "Rust aborts the process; the memory limits are tested instead (51, 140, 141)"),
    (
        "ten million rows, a sync of several hours",
        "takes too long for every change; 141 covers a part, and memory does not depend on the number of rows",
    ),
    ("macOS, Windows, other CPU architectures", "the tests run on one machine"),
];

/// A bench that only requests rows, without totals.
fn bench(options: Options, days: u64) -> Bench {
    let mut bench = Bench::new(options, days);
    bench.config["verify_totals"] = json!(false);
    bench
}

/// A fault for requests whose path contains `path`, for `times` requests (`null`: always).
fn fault(bench: &Bench, path: &str, times: impl Into<Value>, action: Value) {
    let mut fault = json!({"match": {"path": path}, "times": times.into()});
    fault["do"] = action;
    bench.sandbox.add_fault(fault).unwrap();
}

/// One fault each for the first requests whose path contains `path`.
fn faults_in_sequence(bench: &Bench, path: &str, actions: impl IntoIterator<Item = Value>) {
    for (index, action) in actions.into_iter().enumerate() {
        let mut fault = json!({"match": {"path": path, "nth": index + 1}, "times": 1});
        fault["do"] = action;
        bench.sandbox.add_fault(fault).unwrap();
    }
}

/// The time of a server without a simulated clock.
#[expect(clippy::disallowed_methods, reason = "the program's own clock is tested")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Reads streams incrementally without a state.
fn read(bench: &Bench, streams: &[&str]) -> Transcript {
    bench.read(&bench.catalog(streams, "incremental"), None)
}

/// A stream's result compared with the truth, such as `exit 0, COMPLETE, every row once`.
fn story(bench: &Bench, transcript: &Transcript, stream: &str) -> String {
    let discovered = &bench.discover()[stream];
    let records = transcript.records(stream);
    let mut found = by_key(records.iter().copied(), discovered);
    let truth = if bench.config["product"] == "retail_media" {
        let mut truth = by_key(&crate::retail_media::truth_of(bench, stream, discovered), discovered);
        // Objects may lack members, which are null in every destination.
        for record in truth.values_mut().chain(found.values_mut()) {
            record.retain(|_, value| !value.is_null());
        }
        truth
    } else {
        by_key(&truth_of(bench, stream, discovered), discovered)
    };
    let is_true = found.iter().all(|(key, record)| truth.get(key) == Some(record));
    assert!(is_true, "{stream}: records that do not match the truth");
    let rows = match (found.len(), records.len()) {
        (0, _) if truth.is_empty() => "nothing to read",
        (0, _) => "no row",
        (keys, rows) if keys == truth.len() && rows == keys => "every row once",
        (keys, _) if keys == truth.len() => "every row, some again",
        _ => "a part of the rows",
    };
    let status = transcript.statuses(stream).last().copied().unwrap_or("no status");
    let errors = transcript.errors();
    let error = errors.iter().find(|error| error["stream_descriptor"]["name"] == stream);
    let kind = error.map(|error| format!(" ({})", error["failure_type"].as_str().unwrap())).unwrap_or_default();
    format!(
        "exit {}, {status}{kind}, {rows}",
        transcript.code.map_or("by a signal".to_owned(), |code| code.to_string())
    )
}

/// Reads one stream in full, and says what came of it.
fn outcome_of(bench: &Bench, stream: &str) -> (Transcript, String) {
    let transcript = bench.read(&bench.catalog(&[stream], "full_refresh"), None);
    let story = story(bench, &transcript, stream);
    (transcript, story)
}

/// The warnings, which must contain these words.
fn warned(transcript: &Transcript, words: &[&str]) -> String {
    let warnings = transcript.logs("WARN").join(" ");
    for word in words {
        assert!(warnings.contains(word), "{word} is not in: {warnings}");
    }
    format!("warned: {}", words.join(", "))
}

/// The first error, which must contain these words.
fn reported(transcript: &Transcript, words: &[&str]) -> String {
    let errors = transcript.errors();
    let message = errors.first().expect("no error was reported")["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    format!("reported: {}", words.join(", "))
}

/// The message of a failed `check`, which must contain these words.
fn check_reported(transcript: &Transcript, words: &[&str]) -> String {
    let status = &transcript.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
    let message = status["message"].as_str().unwrap();
    assert_eq!((transcript.code, status["status"].as_str()), (Some(0), Some("FAILED")), "{message}");
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    format!("check FAILED; reported: {}", words.join(", "))
}

/// Number of requests whose line contains `part`.
fn calls(bench: &Bench, part: &str) -> usize {
    bench.sandbox.requests().iter().filter(|request| request.line.contains(part)).count()
}

/// Asserts a complete read.
fn assert_complete(bench: &Bench, transcript: &Transcript) -> String {
    let story = story(bench, transcript, REPORT);
    assert_eq!(story, "exit 0, COMPLETE, every row once", "{:?}", transcript.errors());
    story
}

/// Runs the case of a test and compares its row with the table.
fn holds(test: &str) {
    let id: u32 = test.rsplit('_').next().and_then(|number| number.parse().ok()).expect("the number of a case");
    let case = cases().find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"));
    println!("{}: {}", case.fault, case.expected);
    let row = row(case, &(case.run)());
    let table = std::fs::read_to_string(table_path()).unwrap();
    assert!(table.contains(&row), "{TABLE} is stale: it lacks {row}");
}

fn cases() -> impl Iterator<Item = &'static Case> {
    PARTS.iter().flat_map(|part| part.cases)
}

#[test]
fn the_fault_matrix_lists_every_case() {
    for part in PARTS {
        let named: Vec<_> = part.cases.iter().map(|case| format!("case_{}", case.id)).collect();
        assert_eq!(part.tests, named, "{}", part.title);
    }
    assert!(cases().map(|case| case.id).is_sorted_by(|one, next| one < next), "cases are in order");
    let known = std::fs::read_to_string(table_path()).unwrap();
    let happened = |case: &Case| {
        known_outcome(&known, case)
            .unwrap_or_else(|| panic!("{TABLE} lacks case {}, or has other text for it", case.id))
    };
    assert_eq!(known, table(happened), "{TABLE} is stale");
}

/// The outcome of a case in a table. It lies between the expected result and the end of a row, and only the case's test checks
/// it.
fn known_outcome(table: &str, case: &Case) -> Option<String> {
    let start = row(case, "");
    let start = start.trim_end_matches(" |  | pass |\n");
    let rest = table.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(" | "))?;
    Some(rest.strip_suffix(" | pass |")?.to_owned())
}

#[test]
#[ignore = "rewrites the table, with UPDATE_DOCS=1"]
fn write_the_fault_matrix() {
    assert!(std::env::var_os("UPDATE_DOCS").is_some(), "set UPDATE_DOCS=1 to overwrite the table");
    let known = std::fs::read_to_string(table_path()).unwrap_or_default();
    let words = std::env::var("FAULTS").unwrap_or_default();
    let wanted: Vec<_> = PARTS.iter().filter(|part| part.title.contains(&words)).flat_map(|part| part.cases).collect();
    let next = AtomicUsize::new(0);
    let happened = Mutex::new(HashMap::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL_CASES {
            scope.spawn(|| {
                while let Some(case) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = (case.run)();
                    happened.lock().unwrap().insert(case.id, text);
                }
            });
        }
    });
    let happened = happened.into_inner().unwrap();
    let of = |case: &Case| happened.get(&case.id).cloned().or_else(|| known_outcome(&known, case)).unwrap_or_default();
    std::fs::write(table_path(), table(of)).unwrap();
}

fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)
}

/// A case's row in the table.
fn row(case: &Case, happened: &str) -> String {
    let cells = [case.fault, case.expected, happened];
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;"));
    format!("| {} | {} | pass |\n", case.id, cells.join(" | "))
}

fn table(happened: impl Fn(&Case) -> String) -> String {
    let mut text = "# Fault matrix\n\n\
        What the connector must survive, and the outcome. Each row is a test (`case_` and its number) that fails if the\n\
        outcome differs. To rewrite the table:\n\n\
        ```console\n$ UPDATE_DOCS=1 cargo test --test integration -- --ignored write_the_fault_matrix\n```\n\n\
        Runs that are not killed must also pass the rules in `integration_tests/rules.rs`: only complete protocol\n\
        messages, no secret in any encoding, each stream closed once, matching exit code and errors, counts in states,\n\
        no request to another host, at most 7 attempts per request, no silence longer than a minute, at most 128 MiB.\n\
        `scripts/guards` removes a guard from the program for each part of this table and shows that its rows then fail.\n"
        .to_owned();
    for part in PARTS {
        let title = part.title;
        text += &format!("\n## {title}\n\n| | fault | expected | outcome | |\n| --- | --- | --- | --- | --- |\n");
        for case in part.cases {
            text += &row(case, &happened(case));
        }
    }
    text += "\n## Not tested\n\n| what | why not |\n| --- | --- |\n";
    for (what, why) in NOT_TESTED {
        text += &format!("| {what} | {why} |\n");
    }
    text
}
