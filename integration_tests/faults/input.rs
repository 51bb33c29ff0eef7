//! Configurations, catalogs and states of any shape.

use std::path::Path;
use std::process::Command;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, bench, check_told, read, told};
use crate::harness::{Bench, Transcript};

/// Reads with a state of which every byte is given; it must not be taken for "start again from nothing".
fn refused(bench: &Bench, state: &[u8]) -> Transcript {
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
    std::fs::write(bench.directory.join("state.json"), state).unwrap();
    let arguments = ["read", "--config", "config.json", "--catalog", "catalog.json", "--state", "state.json"];
    let transcript = bench.run(&arguments);
    assert_eq!((transcript.code, transcript.records(REPORT).len()), (Some(1), 0), "{}", String::from_utf8_lossy(state));
    assert_eq!(transcript.errors()[0]["failure_type"], "config_error");
    transcript
}

fn of_stream(state: &Value) -> Vec<u8> {
    json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": REPORT}, "stream_state": state}}])
        .to_string()
        .into_bytes()
}

/// What `check` says of a path as its configuration.
fn configured(bench: &Bench, path: &str, words: &[&str]) -> String {
    check_told(&bench.run(&["check", "--config", path]), words)
}

pub const CASES: &[Case] = &[
    Case {
        id: 96,
        fault: "a state of this release; one of an older tap",
        expected: "the first goes on; the second is refused, never a silent full read",
        run: || {
            let bench = bench(Options::default(), 60);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let second = bench.read(&catalog, Some(&first.final_state()));
            assert!(second.code == Some(0) && second.records(REPORT).len() < first.records(REPORT).len());
            told(
                &refused(&bench, &of_stream(&json!({"Day": "2026-10-30"}))),
                &["cannot be understood", "reset the stream"],
            )
        },
    },
    Case {
        id: 97,
        fault: "a state of a newer version",
        expected: "refused, and told which version this release knows",
        run: || {
            let bench = bench(Options::default(), 3);
            told(&refused(&bench, &of_stream(&json!({"version": 99, "groups": []}))), &["version 99", "up to 1"])
        },
    },
    Case {
        id: 98,
        fault: "a state that is cut, no JSON, a number, a wrong type within; and the empty ones",
        expected: "config_error; an empty one is a first sync",
        run: || {
            let bench = bench(Options::default(), 3);
            for corrupt in ["[{\"type\":\"STREAM\",\"str", "banana", "7", "\"x\"", "[7]"] {
                refused(&bench, corrupt.as_bytes());
            }
            for inside in
                [json!({"version": 1, "fingerprint": "x|y", "groups": "many"}), json!([]), json!("2026-10-30")]
            {
                refused(&bench, &of_stream(&inside));
            }
            let catalog = bench.catalog(&[REPORT], "incremental");
            for empty in [json!(null), json!([]), json!({})] {
                assert_eq!(bench.read(&catalog, Some(&empty)).code, Some(0));
            }
            "exit 1 without a row; the empty ones: exit 0".to_owned()
        },
    },
    Case {
        id: 99,
        fault: "a state of the year 9999",
        expected: "a warning, no row, the state does not move",
        run: || {
            let bench = bench(Options::default(), 10);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let mut state = bench.read(&catalog, None).final_state();
            state[0]["stream"]["stream_state"]["groups"][0]["cursor"] = json!("9999-12-31");
            let transcript = bench.read(&catalog, Some(&state));
            assert_eq!(transcript.final_state()[0]["stream"], state[0]["stream"]);
            assert!(!transcript.logs("WARN").is_empty());
            format!("exit {}; {} rows; warned", transcript.code.unwrap(), transcript.records(REPORT).len())
        },
    },
    Case {
        id: 100,
        fault: "the currency is another than that of the state",
        expected: "config_error that asks for a reset: no mixed rows",
        run: || {
            let mut bench = bench(Options::default(), 10);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let state = bench.read(&catalog, None).final_state();
            bench.config["currency"] = json!("USD");
            let transcript = bench.read(&catalog, Some(&state));
            assert!(transcript.records(REPORT).is_empty());
            format!(
                "exit {}; {}",
                transcript.code.unwrap(),
                told(&transcript, &["Currency, time zone or dimensions", "Reset the stream"])
            )
        },
    },
    Case {
        id: 104,
        fault: "a catalog with an unknown stream; a catalog that is none",
        expected: "the others are read; config_error",
        run: || {
            let bench = bench(Options::default(), 3);
            let transcript = read(&bench, &["campaigns", "campains"]);
            assert_eq!(transcript.statuses("campaigns").last(), Some(&"COMPLETE"));
            let words = told(&transcript, &["campains"]);
            std::fs::write(bench.directory.join("catalog.json"), "[]").unwrap();
            let none = bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"]);
            format!("exit {}; {words}; {}", transcript.code.unwrap(), super::told(&none, &["no list of streams"]))
        },
    },
    Case {
        id: 105,
        fault: "a configuration that is missing, a folder, of 65 MiB, UTF-16",
        expected: "one clear message each",
        run: || {
            let bench = bench(Options::default(), 3);
            let write = |bytes: &[u8]| std::fs::write(bench.directory.join("config.json"), bytes).unwrap();
            let missing = configured(&bench, "missing.json", &["missing.json cannot be read"]);
            let folder = configured(&bench, ".", &["cannot be read"]);
            write(&vec![b' '; 65 * 1024 * 1024]);
            let huge = configured(&bench, "config.json", &["larger than 64 MiB"]);
            write(b"\xff\xfe{\x00}\x00");
            let encoding = configured(&bench, "config.json", &["is not UTF-8 text"]);
            [missing, folder, huge, encoding].join("; ").replace("check FAILED; ", "")
        },
    },
    Case {
        id: 107,
        fault: "the configuration comes through a pipe that is filled late",
        expected: "waited for",
        run: || {
            let bench = bench(Options::default(), 3);
            let path = bench.directory.join("pipe");
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            let text = bench.config.to_string();
            let writer = std::thread::spawn(move || {
                std::sync::mpsc::channel::<()>().1.recv_timeout(std::time::Duration::from_millis(700)).ok();
                std::fs::write(path, text).unwrap();
            });
            let transcript = bench.run(&["check", "--config", "pipe"]);
            writer.join().unwrap();
            let status = &transcript.of_type("CONNECTION_STATUS")[0]["connectionStatus"]["status"];
            format!("check {}", status.as_str().unwrap())
        },
    },
    Case {
        id: 108,
        fault: "ids as numbers, as a comma text, with blanks, twice; a switch as text; keys that nobody knows",
        expected: "taken where nothing is lost by it; else the path of each mistake, at once",
        run: || {
            let mut bench = bench(Options::default(), 3);
            for ids in [json!([1001, "1002"]), json!("1001, 1002,1001"), json!([" 1001", 1002])] {
                bench.config["advertiser_ids"] = ids;
                bench.config["verify_totals"] = json!("False");
                bench.config["nobody_knows"] = json!({"a": 1});
                let transcript = read(&bench, &[REPORT]);
                assert_eq!(transcript.code, Some(0));
                assert!(transcript.records(REPORT).iter().all(|record| record["advertiser_id"] != "1003"));
            }
            bench.config["advertiser_ids"] = json!(["12a"]);
            bench.config["custom_reports"] = json!([{"name": "Bad Name", "dimensions": [], "metrics": "Clicks"}]);
            check_told(
                &bench.check(),
                &[
                    "advertiser_ids[0]",
                    "custom_reports[0].name",
                    "custom_reports[0].dimensions",
                    "custom_reports[0].metrics",
                ],
            )
        },
    },
    Case {
        id: 109,
        fault: "the secret is a number, a list, an object",
        expected: "an error without its value",
        run: || {
            let mut bench = bench(Options::default(), 3);
            for secret in [json!(314_159_265), json!(["hidden-value"]), json!({"hidden-value": 1})] {
                bench.config["client_secret"] = secret;
                let transcript = bench.check();
                check_told(&transcript, &["client_secret must be a text"]);
                assert!(!transcript.stdout.contains("314159265") && !transcript.stdout.contains("hidden-value"));
            }
            "check FAILED; told: client_secret must be a text".to_owned()
        },
    },
    Case {
        id: 111,
        fault: "a report named `../../x`, one with a NUL, two of one name, one of 200 letters",
        expected: "refused with the rule; no path is made of a setting",
        run: || {
            let mut bench = bench(Options::default(), 3);
            for name in ["../../x", "a\0b", &"x".repeat(200)] {
                bench.config["custom_reports"] = json!([{"name": name, "dimensions": ["Day"], "metrics": ["Clicks"]}]);
                check_told(&bench.check(), &["custom_reports[0].name"]);
            }
            let report = json!({"name": "same", "dimensions": ["Day"], "metrics": ["Clicks"]});
            bench.config["custom_reports"] = json!([report, report]);
            let told = check_told(&bench.check(), &["custom_reports[1].name"]);
            assert!(!Path::new("/x").exists());
            told
        },
    },
];
