//! Configurations, catalogs and states of any format.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use super::{Case, REPORT, bench, check_reported, read, reported};
use crate::harness::{Bench, Transcript};
use crate::singer::tap_streams;

/// Reads with the given state bytes, which must not count as a first sync.
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

/// The error of `check` for a path as its configuration.
fn configured(bench: &Bench, path: &str, words: &[&str]) -> String {
    check_reported(&bench.run(&["check", "--config", path]), words)
}

pub const CASES: &[Case] = &[
    Case {
        id: 95,
        fault: "a mistyped id in advertiser_ids",
        expected: "check names it, and the advertisers that can be read",
        run: || {
            let mut bench = bench(Options::default(), 3);
            bench.config["advertiser_ids"] = json!(["1001", "1010"]);
            check_reported(&bench.check(), &["1010", "1001, 1002, 1003"])
        },
    },
    Case {
        id: 96,
        fault: "a state of this release; one of an older tap",
        expected: "the first resumes; the second is rejected, never a silent full refresh",
        run: || {
            let bench = bench(Options::default(), 60);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let second = bench.read(&catalog, Some(&first.final_state()));
            assert!(second.code == Some(0) && second.records(REPORT).len() < first.records(REPORT).len());
            reported(&refused(&bench, &of_stream(&json!({"Day": "2026-10-30"}))), &["is invalid", "reset the stream"])
        },
    },
    Case {
        id: 97,
        fault: "a state of a newer version",
        expected: "rejected with the newest version this release supports",
        run: || {
            let bench = bench(Options::default(), 3);
            reported(&refused(&bench, &of_stream(&json!({"version": 99, "groups": []}))), &["version 99", "up to 2"])
        },
    },
    Case {
        id: 98,
        fault: "a truncated state, one that is not JSON, a number, one with a wrong type inside; empty states",
        expected: "config_error; an empty state is a first sync",
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
            "exit 1 without rows; empty states: exit 0".to_owned()
        },
    },
    Case {
        id: 99,
        fault: "a state in the year 9999",
        expected: "a warning; read again from the latest possible day, which the state then holds",
        run: || {
            let bench = bench(Options::default(), 10);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None).final_state();
            let mut state = first.clone();
            state[0]["stream"]["stream_state"]["groups"][0]["cursor"] = json!("9999-12-31");
            let transcript = bench.read(&catalog, Some(&state));
            assert_eq!(
                transcript.final_state()[0]["stream"]["stream_state"]["groups"],
                first[0]["stream"]["stream_state"]["groups"]
            );
            assert!(!transcript.records(REPORT).is_empty());
            assert!(transcript.logs("WARN").iter().any(|log| log.contains("is in the future")));
            format!("exit {}; {} rows; warned", transcript.code.unwrap(), transcript.records(REPORT).len())
        },
    },
    Case {
        id: 100,
        fault: "a different currency than in the state",
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
                reported(&transcript, &["Currency, time zone or dimensions", "Reset the stream"])
            )
        },
    },
    Case {
        id: 104,
        fault: "a catalog with an unknown stream; a file that is not a catalog",
        expected: "the others are read; config_error",
        run: || {
            let bench = bench(Options::default(), 3);
            let transcript = read(&bench, &["campaigns", "campains"]);
            assert_eq!(transcript.statuses("campaigns").last(), Some(&"COMPLETE"));
            let words = reported(&transcript, &["campains"]);
            std::fs::write(bench.directory.join("catalog.json"), "[]").unwrap();
            let none = bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"]);
            format!("exit {}; {words}; {}", transcript.code.unwrap(), super::reported(&none, &["no list of streams"]))
        },
    },
    Case {
        id: 105,
        fault: "a missing configuration, a folder, a file of 65 MiB, UTF-16",
        expected: "one clear message each",
        run: || {
            let bench = bench(Options::default(), 3);
            let write = |bytes: &[u8]| std::fs::write(bench.directory.join("config.json"), bytes).unwrap();
            let missing = configured(&bench, "missing.json", &["missing.json cannot be read"]);
            let folder = configured(&bench, ".", &["is a folder"]);
            write(&vec![b' '; 65 * 1024 * 1024]);
            let huge = configured(&bench, "config.json", &["larger than 2 MiB"]);
            write(b"\xff\xfe{\x00}\x00");
            let encoding = configured(&bench, "config.json", &["is not UTF-8 text"]);
            [missing, folder, huge, encoding].join("; ").replace("check FAILED; ", "")
        },
    },
    Case {
        id: 106,
        fault: "a catalog with some of the columns and without a key",
        expected: "only those columns and the keys",
        run: || {
            let bench = bench(Options::default(), 3);
            let mut catalog = bench.catalog(&[REPORT], "incremental");
            let schema = &mut catalog["streams"][0]["stream"]["json_schema"]["properties"];
            schema.as_object_mut().unwrap().retain(|column, _| ["clicks", "day"].contains(&column.as_str()));
            bench.file("catalog.json", &catalog);
            let transcript = bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"]);
            let keys = bench.discover()[REPORT]["source_defined_primary_key"].clone();
            let wanted = keys.as_array().unwrap().iter().map(|key| key[0].as_str().unwrap());
            let wanted: BTreeSet<_> = wanted.chain(["clicks", "day"]).collect();
            let records = transcript.records(REPORT);
            assert!(!records.is_empty());
            for record in records {
                assert_eq!(record.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted);
            }
            format!("exit {}; {}", transcript.code.unwrap(), wanted.into_iter().collect::<Vec<_>>().join(", "))
        },
    },
    Case {
        id: 107,
        fault: "the configuration arrives late through a pipe",
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
        fault: "ids as numbers, as a comma-separated string, with blanks, repeated; a boolean as a string; unknown \
                keys",
        expected: "accepted if lossless; otherwise all errors with their paths in one message",
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
            bench.config["custom_reports"] =
                json!([{"name": "Bad Name", "dimensions": [], "metrics": {"Clicks": true}}]);
            check_reported(
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
                check_reported(&transcript, &["client_secret must be a string"]);
                assert!(!transcript.stdout.contains("314159265") && !transcript.stdout.contains("hidden-value"));
            }
            "check FAILED; reported: client_secret must be a string".to_owned()
        },
    },
    Case {
        id: 111,
        fault: "a report named `../../x`, one with NUL, two with one name, one with 200 letters",
        expected: "rejected with the rule; no path is built from a setting",
        run: || {
            let mut bench = bench(Options::default(), 3);
            for name in ["../../x", "a\0b", &"x".repeat(200)] {
                bench.config["custom_reports"] = json!([{"name": name, "dimensions": ["Day"], "metrics": ["Clicks"]}]);
                check_reported(&bench.check(), &["custom_reports[0].name"]);
            }
            let report = json!({"name": "same", "dimensions": ["Day"], "metrics": ["Clicks"]});
            bench.config["custom_reports"] = json!([report, report]);
            let reported = check_reported(&bench.check(), &["custom_reports[1].name"]);
            assert!(!Path::new("/x").exists());
            reported
        },
    },
    Case {
        id: 113,
        fault: "every sample configuration, and one of the form's examples",
        expected: "each is valid",
        run: || {
            let bench = bench(Options::default(), 3);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs");
            let mut samples = 0;
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with("config.") || name.starts_with("config_") {
                    let transcript = bench.run(&["discover", "--config", path.to_str().unwrap()]);
                    assert_eq!(transcript.code, Some(0), "{name}: {}", transcript.stdout);
                    samples += 1;
                }
            }
            let spec = bench.run(&["spec"]).of_type("SPEC")[0]["spec"]["connectionSpecification"].clone();
            let properties = spec["properties"].as_object().unwrap();
            let examples = properties.iter().filter(|(_, property)| property["examples"].is_array());
            let examples: Map<_, _> =
                examples.map(|(name, property)| (name.clone(), property["examples"][0].clone())).collect();
            assert!(examples.len() > 3, "{examples:?}");
            let products = [
                ("marketing_solutions", ["account_ids"].as_slice()),
                ("retail_media", ["advertiser_ids", "currency", "countries"].as_slice()),
            ];
            for (product, of_the_other) in products {
                let mut config = examples.clone();
                config.retain(|name, _| !of_the_other.contains(&name.as_str()));
                for name in ["client_id", "client_secret"] {
                    config.insert(name.to_owned(), bench.config[name].clone());
                }
                config.insert("product".to_owned(), json!(product));
                bench.file("examples.json", &Value::Object(config));
                let transcript = bench.run(&["discover", "--config", "examples.json"]);
                assert_eq!(transcript.code, Some(0), "{product}: {}", transcript.stdout);
            }
            format!("{samples} samples; the examples of both products: exit 0")
        },
    },
    Case {
        id: 114,
        fault: "as a Singer tap: half of the streams deselected, a state with progress_markers, a state echoed by a \
                target",
        expected: "the selected ones are read from their bookmarks",
        run: || {
            let bench = bench(Options::default(), 60);
            let first = tap_streams(&bench, &[REPORT, "campaigns"], &[]);
            assert!(first.records("ad_sets").is_empty() && !first.records("campaigns").is_empty());
            let mut value = first.last_state().clone();
            value["bookmarks"][REPORT]["progress_markers"] = json!({"Note": "not resumable"});
            value["bookmarks"]["gone_for_years"] = json!({"replication_key_value": "2020-01-01"});
            bench.file("state.json", &value);
            let second = tap_streams(&bench, &[REPORT], &["--state", "state.json"]);
            let (rows, all) = (second.records(REPORT).len(), first.records(REPORT).len());
            assert!(second.code == Some(0) && rows > 0 && rows < all, "{}", second.stderr);
            // A target's last line, as a message and as its value.
            bench.file("state.json", &json!({"type": "STATE", "value": value}));
            let third = tap_streams(&bench, &[REPORT], &["--state", "state.json"]);
            assert_eq!(third.records(REPORT), second.records(REPORT));
            "exit 0; the second run reads only the lookback".to_owned()
        },
    },
];

super::tests! { case_95 case_96 case_97 case_98 case_99 case_100 case_104 case_105 case_106 case_107 case_108 case_109 case_111 case_113 case_114 }
