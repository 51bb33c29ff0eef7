//! Tasks never deadlock, and a stalled run ends itself.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, fault, read, reported, story};
use crate::harness::{Bench, Transcript, assert_in_time};

/// Reports with large responses, and lists beside them.
const LARGE: &[&str] = &["ad_statistics_daily", "ad_set_statistics_daily", "campaign_statistics_daily"];
const LISTS: &[&str] = &["advertisers", "campaigns", "ad_sets", "ads", "audiences", "audience_segments", "creatives"];

/// An account with this many rows per day, one-second tokens and a slower token endpoint.
fn short_tokens(rows: u32, days: u64) -> Bench {
    let options = Options {
        prepared_rows: Some(rows),
        ads: 40,
        token_life: Duration::from_secs(2),
        latency: Duration::from_millis(40),
        gzip: false,
        ..Options::default()
    };
    let bench = bench(options, days);
    fault(&bench, "/oauth2/token", json!(null), json!({"delivery": {"delay_ms": 700}}));
    bench
}

/// Result of a run that had to finish by itself: whether every incomplete stream says why.
fn complete_or_reported(transcript: &Transcript, streams: &[&str]) -> String {
    let errors = transcript.errors();
    for stream in streams {
        let is_whole = transcript.statuses(stream).last() == Some(&"COMPLETE");
        let is_reported = errors.iter().any(|error| error["stream_descriptor"]["name"] == *stream);
        assert!(is_whole != is_reported, "{stream}: neither complete nor with an error");
    }
    let stalled = errors.iter().any(|error| error["message"].as_str().unwrap().contains("Nothing was sent"));
    assert!(!stalled, "ended by the watchdog: {errors:?}");
    "finished by itself, complete or with an error, below 128 MiB".to_owned()
}

/// A report with several windows whose second request hangs until the run ends itself.
fn stalled(seconds: u64) -> Bench {
    let mut bench = bench(Options { row_cap: 60, ..Options::default() }, 40);
    bench.config["stall_seconds"] = json!(seconds);
    bench.config["calls_at_once"] = json!(1);
    bench
        .sandbox
        .add_fault(json!({"match": {"path": "/statistics/report", "nth": 5}, "times": 1,
            "do": {"delivery": {"delay_ms": 60_000}}}))
        .unwrap();
    bench
}

pub const CASES: &[Case] = &[
    Case {
        id: 170,
        fault: "tokens of two seconds from a slow token endpoint, while wide windows fill the response memory",
        expected: "tokens need no response memory: the run finishes by itself, complete or with an error",
        run: || {
            let bench = short_tokens(3000, 8);
            let streams = [LARGE, LISTS].concat();
            let catalog = bench.catalog(&streams, "incremental");
            complete_or_reported(&bench.read(&catalog, None), &streams)
        },
    },
    Case {
        id: 171,
        fault: "one response that outgrows its reservation while lists wait for a token",
        expected: "the token is renewed, the lists continue, and the response gets the memory they release",
        run: || {
            // One day of two advertisers takes nearly all of the memory.
            let mut bench = short_tokens(66_000, 1);
            bench.sandbox.change(|options| options.row_cap = 1_000_000);
            bench.config["report_row_cap"] = json!(1_000_000);
            bench.config["advertiser_ids"] = json!(["1001", "1002"]);
            fault(&bench, "/statistics/report", json!(null), json!({"delivery": {"drip": 24 * 1024 * 1024}}));
            let streams = [&LARGE[..1], LISTS].concat();
            let catalog = bench.catalog(&streams, "incremental");
            complete_or_reported(&bench.read(&catalog, None), &streams)
        },
    },
    Case {
        id: 172,
        fault: "no progress for longer than the stall timeout",
        expected: "the run stops and names what each task waits for; its states are valid, and the next run reads \
                the rest",
        run: || {
            let mut bench = stalled(3);
            let started = Instant::now();
            let transcript = read(&bench, &[REPORT]);
            assert!(started.elapsed().as_secs() >= 3, "{:?}", started.elapsed());
            assert_in_time(started, Duration::from_secs(20));
            let words = reported(
                &transcript,
                &["Nothing was sent, received or written for 3 s", "statistics/report waits for the response"],
            );
            assert_eq!(transcript.errors()[0]["failure_type"], "transient_error");
            let first = story(&bench, &transcript, REPORT);
            bench.sandbox.clear_faults();
            bench.config.as_object_mut().unwrap().remove("stall_seconds");
            let rest = bench.read(&bench.catalog(&[REPORT], "incremental"), Some(&transcript.final_state()));
            assert!(!transcript.states(REPORT).is_empty());
            assert_eq!(rest.code, Some(0), "{:?}", rest.errors());
            format!("{first}; {words}; the next run resumes from the state")
        },
    },
    Case {
        id: 173,
        fault: "the same in a Singer tap",
        expected: "exit code 1, the reason on stderr, STATE as the last message",
        run: || {
            let bench = stalled(3);
            bench.file("config.json", &bench.config);
            let mut program = bench.program();
            program.args(["--config", "config.json", "--catalog", "singer.json"]);
            bench.file("singer.json", &singer_catalog(&bench));
            let output = program.output().unwrap();
            let (stdout, stderr) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert!(stderr.contains("Nothing was sent, received or written for 3 s"), "{stderr}");
            let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
            assert!(last["value"]["bookmarks"][REPORT].is_object(), "{last}");
            format!("exit {}; {} is the last message", output.status.code().unwrap(), last["type"].as_str().unwrap())
        },
    },
    Case {
        id: 174,
        fault: "a pause requested by Criteo, longer than the stall timeout",
        expected: "a known limit is not a stall: every row once",
        run: || {
            let mut bench = bench(Options::default(), 3);
            bench.config["stall_seconds"] = json!(2);
            fault(&bench, "/statistics/report", 1, json!({"status": 503, "body": "", "headers": {"Retry-After": "6"}}));
            assert_complete(&bench, &read(&bench, &[REPORT]))
        },
    },
    Case {
        id: 175,
        fault: "a reader that pauses for longer than the stall timeout",
        expected: "a slow destination does not end a sync",
        run: || {
            let mut bench = bench(Options { row_cap: 400, ..Options::default() }, 700);
            bench.config["stall_seconds"] = json!(2);
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&["ad_statistics_daily"], "incremental"));
            let mut program = bench.program();
            program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
            let mut child = program.spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            let mut text = String::new();
            while !text.contains("\"RECORD\"") {
                assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
            }
            let mut pause = || child.try_wait().unwrap().is_none();
            let asleep = Instant::now();
            while asleep.elapsed() < Duration::from_secs(8) {
                assert!(pause(), "it has exited");
                std::thread::park_timeout(Duration::from_millis(100));
            }
            stdout.read_to_string(&mut text).unwrap();
            let code = child.wait().unwrap().code();
            assert!(!text.contains("Nothing was sent"));
            format!("exit {}, {}", code.unwrap(), if text.contains("\"COMPLETE\"") { "COMPLETE" } else { "INCOMPLETE" })
        },
    },
];

super::tests! { case_170 case_171 case_172 case_173 case_174 case_175 }

/// The output of `--discover` with one report selected.
fn singer_catalog(bench: &Bench) -> Value {
    let output = bench.program().args(["--config", "config.json", "--discover"]).output().unwrap();
    let mut catalog: Value = serde_json::from_slice(&output.stdout).unwrap();
    let streams = catalog["streams"].as_array_mut().unwrap();
    streams.retain(|stream| stream["tap_stream_id"] == REPORT);
    for entry in streams[0]["metadata"].as_array_mut().unwrap() {
        if entry["breadcrumb"].as_array().is_some_and(Vec::is_empty) {
            entry["metadata"]["selected"] = json!(true);
            entry["metadata"]["replication-method"] = json!("INCREMENTAL");
        }
    }
    catalog
}
