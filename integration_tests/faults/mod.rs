//! What the connector must survive: every case a row of `docs/fault-matrix.md`, which this suite writes.
//!
//! A case says what is done and what must come of it, does it, judges from outside (what was printed, what the sandbox was
//! asked, how the process ended), and tells what happened in words that are the same every time. The rules that hold for
//! every run are in `lint.rs`.
//!
//! ```text
//! cargo test --test integration -- --ignored fault_matrix               all cases, and the table
//! CASES=auth cargo test --test integration -- --ignored fault_matrix    those of a part, or ids: CASES=2,34
//! UPDATE_DOCS=1 cargo test --test integration -- --ignored fault_matrix writes the table anew
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
mod scale;
mod secrets;
mod semantics;
mod time;
mod tls;

use std::panic::{AssertUnwindSafe, catch_unwind};
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
/// Cases that are tried at once; most of them wait.
const AT_ONCE: usize = 8;
/// The report that most cases read.
const REPORT: &str = "campaign_statistics_daily";

/// A row of the table.
struct Case {
    /// Its number.
    id: u32,
    /// What goes wrong.
    fault: &'static str,
    /// What must come of it.
    expected: &'static str,
    /// Does it, panics where it is not as expected, and tells what happened.
    run: fn() -> String,
}

const PARTS: &[(&str, &str, &[Case])] = &[
    ("auth", "Tokens and consent", auth::CASES),
    ("limits", "Rate limits and outages", limits::CASES),
    ("network", "Network", network::CASES),
    ("tls", "Proxies and certificates", tls::CASES),
    ("payload", "Answers", payload::CASES),
    ("semantics", "Caps, pages, days", semantics::CASES),
    ("input", "State, catalog, configuration", input::CASES),
    ("process", "Process", process::CASES),
    ("secrets", "Secrets and foreign hosts", secrets::CASES),
    ("scale", "Sizes", scale::CASES),
    ("locks", "Waiting", locks::CASES),
    ("time", "Days, cursors, comings and goings", time::CASES),
    ("files", "Files of the user's, and stdout", files::CASES),
    ("bounds", "What is not a row", bounds::CASES),
];

/// What no test here can do, and why.
const NOT_TRIED: &[(&str, &str)] = &[
    (
        "Criteo itself: its real numbers, quotas, spellings, consent pages",
        "no test calls it; the sandbox follows its documents",
    ),
    (
        "a name service that answers SERVFAIL or hangs, an address that nobody routes",
        "needs a name service or a network of its own",
    ),
    ("an IPv6 address that is a black hole beside an IPv4 address that works", "loopback has no black holes"),
    (
        "memory that the system refuses",
        "Rust ends the process then; the bounds of memory are tried instead (51, 140, 141)",
    ),
    (
        "ten million rows, hours of one sync",
        "minutes and gigabytes at every change; 141 is a part of it, and memory does not depend on the length",
    ),
    ("macOS, Windows, other processors", "the tests run where they run"),
];

/// A bench of some days whose requests are only those for rows.
fn bench(options: Options, days: u64) -> Bench {
    let mut bench = Bench::new(options, days);
    bench.config["verify_totals"] = json!(false);
    bench
}

/// A fault that befalls requests whose path holds `path`, as often as `times` says (`null`: always).
fn fault(bench: &Bench, path: &str, times: impl Into<Value>, action: Value) {
    let mut fault = json!({"match": {"path": path}, "times": times.into()});
    fault["do"] = action;
    bench.sandbox.add_fault(fault).unwrap();
}

/// Faults that befall the first requests whose path holds `path`, one each.
fn in_a_row(bench: &Bench, path: &str, actions: impl IntoIterator<Item = Value>) {
    for (index, action) in actions.into_iter().enumerate() {
        let mut fault = json!({"match": {"path": path, "nth": index + 1}, "times": 1});
        fault["do"] = action;
        bench.sandbox.add_fault(fault).unwrap();
    }
}

/// The instant that a server without a simulated clock goes by.
#[expect(clippy::disallowed_methods, reason = "the program's own clock is what is tested")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Reads streams incrementally, from nothing.
fn read(bench: &Bench, streams: &[&str]) -> Transcript {
    bench.read(&bench.catalog(streams, "incremental"), None)
}

/// How a run ended for one stream, judged by the truth: `exit 0, COMPLETE, every row once`.
fn story(bench: &Bench, transcript: &Transcript, stream: &str) -> String {
    let discovered = &bench.discover()[stream];
    let truth = by_key(&truth_of(bench, stream, discovered), discovered);
    let records = transcript.records(stream);
    let found = by_key(records.iter().copied(), discovered);
    let is_true = found.iter().all(|(key, record)| truth.get(key) == Some(record));
    assert!(is_true, "{stream}: records that are not true");
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

/// The error of a stream in its words; fails where one of these words is missing.
fn told(transcript: &Transcript, words: &[&str]) -> String {
    let errors = transcript.errors();
    let message = errors.first().expect("no error was told")["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    format!("told: {}", words.join(", "))
}

/// The answer of `check`, which must have failed and must hold these words.
fn check_told(transcript: &Transcript, words: &[&str]) -> String {
    let status = &transcript.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
    let message = status["message"].as_str().unwrap();
    assert_eq!((transcript.code, status["status"].as_str()), (Some(0), Some("FAILED")), "{message}");
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    format!("check FAILED; told: {}", words.join(", "))
}

/// The requests whose line holds a text.
fn calls(bench: &Bench, part: &str) -> usize {
    bench.sandbox.requests().iter().filter(|request| request.line.contains(part)).count()
}

/// The usual end of a fault that passes.
fn whole(bench: &Bench, transcript: &Transcript) -> String {
    let story = story(bench, transcript, REPORT);
    assert_eq!(story, "exit 0, COMPLETE, every row once", "{:?}", transcript.errors());
    story
}

/// Whether a case is asked for by `CASES`.
fn is_wanted(part: &str, case: &Case) -> bool {
    let wanted = std::env::var("CASES").unwrap_or_default();
    wanted.is_empty() || wanted.split(',').any(|name| name == part || name == case.id.to_string())
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn the_fault_matrix_holds() {
    let cases: Vec<_> =
        PARTS.iter().flat_map(|(part, _, cases)| cases.iter().filter(|case| is_wanted(part, case))).collect();
    assert!(!cases.is_empty(), "CASES names no case");
    let results: Vec<Mutex<Option<Result<String, String>>>> = cases.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((case, result)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(index).zip(results.get(index))
                } {
                    let happened = catch_unwind(AssertUnwindSafe(case.run)).map_err(|words| {
                        let text = words.downcast_ref::<String>().cloned();
                        text.or_else(|| words.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
                    });
                    *result.lock().unwrap() = Some(happened);
                }
            });
        }
    });
    let results: Vec<_> = results.into_iter().map(|result| result.into_inner().unwrap().unwrap()).collect();
    let known = std::fs::read_to_string(table_path()).unwrap_or_default();
    let is_update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut failed = Vec::new();
    for (case, result) in cases.iter().zip(&results) {
        match result {
            Err(words) => failed.push(format!("case {}: {words}", case.id)),
            Ok(_) if !is_update && !known.contains(&row(case, result)) => {
                failed.push(format!("case {}: {TABLE} is stale, it has no {}", case.id, row(case, result)));
            }
            Ok(_) => {}
        }
    }
    println!("{} cases, {} failed", cases.len(), failed.len());
    if std::env::var_os("CASES").is_none() {
        let ids: Vec<_> = cases.iter().map(|case| case.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "cases are in order: {ids:?}");
        let text = table(&cases, &results);
        if is_update {
            std::fs::write(table_path(), text).unwrap();
        } else if failed.is_empty() {
            assert_eq!(known, text, "{TABLE} is stale");
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)
}

/// The line of a case in the table.
fn row(case: &Case, result: &Result<String, String>) -> String {
    let (happened, verdict) = match result {
        Ok(happened) => (happened.as_str(), "pass"),
        Err(_) => ("something else", "FAIL"),
    };
    let cells = [case.fault, case.expected, happened].map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} | {} | {verdict} |\n", case.id, cells.join(" | "))
}

fn table(cases: &[&Case], results: &[Result<String, String>]) -> String {
    let mut text = "# Fault matrix\n\n\
        What the connector is made to survive, and what came of it. Generated by the suite that tries it; a row that fails, and a\n\
        table that is not what the suite says, fail the tests:\n\n\
        ```console\n$ UPDATE_DOCS=1 cargo test --test integration -- --ignored fault_matrix\n```\n\n\
        Runs that end by themselves are also held against the rules of every run (`integration_tests/lint.rs`): only whole messages of\n\
        the protocol, no secret in any spelling, each stream closed once, exit code and errors that agree, counts in states, no\n\
        foreign host, at most 7 attempts a request, no silence above a minute, at most 128 MiB. `scripts/guards` takes a guard\n\
        out of the program for each part of this table and shows that its rows fail then.\n"
        .to_owned();
    let mut rows = cases.iter().zip(results);
    for (_, title, of_part) in PARTS {
        text += &format!(
            "\n## {title}\n\n| | what was done | what was expected | what happened | |\n| --- | --- | --- | --- | --- |\n"
        );
        for (case, result) in rows.by_ref().take(of_part.len()) {
            text += &row(case, result);
        }
    }
    text += "\n## Not tried\n\n| what | why not |\n| --- | --- |\n";
    for (what, why) in NOT_TRIED {
        text += &format!("| {what} | {why} |\n");
    }
    text
}
