//! Envelopes, errors, headers, lists, states and files of any size. No run may take more than 128 MiB (`rules.rs`), and
//! time must be linear.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::scale::count;
use super::{Case, REPORT, assert_complete, bench, check_reported, fault, read, reported};
use crate::harness::{Bench, Transcript, assert_in_time};

const MIB: usize = 1024 * 1024;
/// Maximum length of a log line.
const MAX_LINE: usize = 32 * 1024;
/// Longer runs suggest more than linear time.
const MAX_DURATION: Duration = Duration::from_mins(1);

/// Reads the report with every response changed by `answer`.
fn read_answer(answer: Value) -> (Bench, Transcript) {
    // Compression in the sandbox would take longer than the read.
    let bench = bench(Options { gzip: false, ..Options::default() }, 3);
    fault(&bench, "/statistics/report", json!(null), answer);
    let transcript = in_time(|| read(&bench, &[REPORT]));
    (bench, transcript)
}

/// Runs with limits for time and line length.
fn in_time(run: impl FnOnce() -> Transcript) -> Transcript {
    let started = Instant::now();
    let transcript = run();
    println!("{} KiB, {:.1} s", transcript.peak_kib, started.elapsed().as_secs_f64());
    assert_in_time(started, MAX_DURATION);
    let lines = transcript.stdout.lines().filter(|line| !line.contains("\"RECORD\"") && !line.contains("\"STATE\""));
    for line in lines.chain(transcript.stderr.lines()) {
        assert!(line.len() < MAX_LINE, "a line of {} bytes: {}", line.len(), &line[..200]);
    }
    transcript
}

/// A response with one row and an additional member.
fn beside(member: &str) -> Value {
    let row = r#"{"AdvertiserId":"1001","CampaignId":"200001","Day":"2026-10-30","Clicks":"7"}"#;
    json!({"body": format!(r#"{{"Rows":[{row}],{member}}}"#)})
}

/// A list with `count` items.
fn list(item: &str, count: usize) -> String {
    let mut text = String::with_capacity((item.len() + 1) * count + 2);
    text.push('[');
    for index in 0..count {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(item);
    }
    text + "]"
}

/// Log files that all have this content.
fn log_files(bytes: &Value) -> Transcript {
    let mut bench = bench(Options { advertisers: 1, ..Options::default() }, 1);
    bench.config["log_level_product_ids"] = json!(false);
    fault(&bench, "/files/", json!(null), bytes.clone());
    in_time(|| read(&bench, &["log_level_events"]))
}

/// A run with this file content, and its error.
fn with_file(name: &str, text: &str, words: &[&str]) -> String {
    let bench = bench(Options::default(), 3);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
    std::fs::write(bench.directory.join(name), text).unwrap();
    let mut arguments = vec!["read", "--config", "config.json", "--catalog", "catalog.json"];
    if name == "state.json" {
        arguments.extend(["--state", "state.json"]);
    }
    let transcript = in_time(|| bench.run(&arguments));
    assert_eq!(transcript.code, Some(1), "{name}");
    assert_eq!(transcript.errors()[0]["failure_type"], "config_error", "{name}");
    format!("{name} {}", reported(&transcript, words))
}

/// The report's saved state as a file.
fn saved(state: &str) -> String {
    format!(r#"[{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{REPORT}"}},"stream_state":{state}}}}}]"#)
}

pub const CASES: &[Case] = &[
    Case {
        id: 210,
        fault: "sixteen custom reports in sixteen time zones, compared with Criteo's totals, with 500 advertisers",
        expected: "every row once, below 128 MiB",
        run: || {
            let options = Options { advertisers: 500, prepared_rows: Some(1), audiences: 0, ..Options::default() };
            let mut bench = bench(options, 119);
            bench.config["verify_totals"] = json!(true);
            let zones = ["UTC", "Europe/Paris", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Asia/Seoul"];
            let zones = zones.into_iter().chain(["Europe/Rome", "Europe/London", "Europe/Madrid", "Asia/Kolkata"]);
            let zones = zones.chain(["America/Chicago", "America/Denver", "Asia/Dubai", "Asia/Singapore"]);
            let zones = zones.chain(["Australia/Sydney", "America/Sao_Paulo"]).enumerate();
            let report = |(number, zone)| {
                json!({"name": format!("r{number}"), "dimensions": ["AdvertiserId", "CampaignId", "Day"],
                    "metrics": ["Clicks", "Displays", "AdvertiserCost"], "timezone": zone})
            };
            bench.config["custom_reports"] = zones.map(report).collect();
            let names: Vec<_> = (0..16).map(|number| format!("custom_r{number}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let started = Instant::now();
            let count = count(&bench, &names);
            println!("{} KiB, {} records, {:?}", count.peak_kib, count.records, started.elapsed());
            println!("{} calls", bench.sandbox.requests().len());
            assert!(count.failed.is_none(), "{:?}", count.failed);
            assert!(count.peak_kib < 128 * 1024, "{} KiB", count.peak_kib);
            // Today differs by time zone.
            assert!(count.records >= 16 * 500 * 119, "{}", count.records);
            "16 reports; below 128 MiB".to_owned()
        },
    },
    Case {
        id: 211,
        fault: "log files of 900 MB without a line break; with a million columns; with a row of 30 million values",
        expected: "each is rejected as invalid, below 128 MiB",
        run: || {
            let mut stories = Vec::new();
            for (bytes, words) in [
                (json!({"gzip": 900_000_000}), &["header", "1 MiB"][..]),
                (json!({"body": "a,".repeat(400_000) + "b\n1,2\n", "gzip": true}), &["columns"]),
                (json!({"body": "a,b\n".to_owned() + &",".repeat(30_000_000), "gzip": true}), &["values", "2 columns"]),
                (json!({"body": "a,b\n".to_owned() + &"x".repeat(30_000_000), "gzip": true}), &["a row of more than"]),
            ] {
                let transcript = log_files(&bytes);
                assert_eq!((transcript.code, transcript.records("log_level_events").len()), (Some(1), 0));
                stories.push(reported(&transcript, words));
            }
            stories.join("; ")
        },
    },
    Case {
        id: 212,
        fault: "60 MiB of meta, of an unknown member, of columns, of member names; a name of 3 MiB",
        expected: "the rows beside them are read, below 128 MiB",
        run: || {
            let names = (0..3_000_000).fold(String::new(), |mut names, number| {
                write!(names, r#"{}"m{number}":0"#, if number == 0 { "" } else { "," }).unwrap();
                names
            });
            for member in [
                format!(r#""meta":{}"#, list(r#"{"a":[0]}"#, 6 * MIB)),
                format!(r#""meta":{{"deep":{},"totalItems":1}}"#, list("0", 30 * MIB)),
                format!(r#""else":{}"#, list("[]", 20 * MIB)),
                format!(r#""columns":{}"#, list(r#""a""#, 15 * MIB)),
                format!(r#""{}":0"#, "n".repeat(3 * MIB)),
                format!(r#""meta":{{{names}}}"#),
                names,
            ] {
                let (_, transcript) = read_answer(beside(&member));
                let name = &member[..20];
                assert_eq!(transcript.code, Some(0), "{name}: {:?}", transcript.errors());
                assert_eq!(transcript.records(REPORT).len(), 1, "{name}");
            }
            "exit 0, the row".to_owned()
        },
    },
    Case {
        id: 213,
        fault: "1.4 million errors with status 200, 400 and 500; a million warnings beside rows",
        expected: "the first few are reported, the others counted; warnings do not block rows; below 128 MiB",
        run: || {
            let errors = list(r#"{"code":"x","title":"t","type":"validation"}"#, 1_400_000);
            let mut stories = Vec::new();
            for status in [200, 400, 500] {
                let one = bench(Options { gzip: false, advertisers: 1, ..Options::default() }, 0);
                let body = format!(r#"{{"errors":{errors}}}"#);
                fault(&one, "/statistics/report", json!(null), json!({"status": status, "body": body}));
                let transcript = in_time(|| read(&one, &[REPORT]));
                assert_eq!(transcript.code, Some(1));
                stories.push(format!("{status} {}", reported(&transcript, &["t [x]"])));
            }
            let long = format!(
                r#"{{"errors":[{{"code":"{0}","title":"{0}","detail":"{0}","type":"validation"}}]}}"#,
                "w".repeat(3 * MIB)
            );
            let (_, transcript) = read_answer(json!({"body": long}));
            reported(&transcript, &["www"]);
            let warnings = (0..1_000_000).fold(String::new(), |mut warnings, number| {
                write!(warnings, r#"{}{{"code":"w{number}"}}"#, if number == 0 { "" } else { "," }).unwrap();
                warnings
            });
            let (_, transcript) = read_answer(beside(&format!(r#""warnings":[{warnings}]"#)));
            assert_eq!((transcript.code, transcript.records(REPORT).len()), (Some(0), 1));
            let reported = transcript.logs("WARN").iter().filter(|log| log.contains("Criteo warns")).count();
            assert!((1..100).contains(&reported), "{reported}");
            format!("{}; warnings: the row", stories.join("; "))
        },
    },
    Case {
        id: 214,
        fault: "states of 54 MB, of a million advertisers, of a million groups; one of 10,000 advertisers with a \
                group each",
        expected: "the first three are rejected by size; the last is read; below 128 MiB",
        run: || {
            let groups = |count: usize| {
                let groups = (0..count).fold(String::new(), |mut groups, number| {
                    let day = bench_day(number);
                    let comma = if number == 0 { "" } else { "," };
                    write!(groups, r#"{comma}{{"cursor":"{day}","scope":["{}"]}}"#, 1001 + number).unwrap();
                    groups
                });
                saved(&format!(r#"{{"version":2,"fingerprint":"a|b","groups":[{groups}]}}"#))
            };
            let scope = (0..1_000_000).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(",");
            let many = format!(
                r#"{{"version":2,"fingerprint":"a|b","groups":[{{"cursor":"2026-10-01","scope":[{scope}]}}]}}"#
            );
            let stories = [
                with_file("state.json", &groups(1_200_000), &["larger than 16 MiB"]),
                with_file("state.json", &saved(&many), &["more than 300000 values"]),
                with_file(
                    "state.json",
                    &saved(&format!(r#"{{"version":2,"groups":{}}}"#, list("0", 4 * MIB))),
                    &["is invalid"],
                ),
            ];
            let bench = bench(Options::default(), 60);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None).final_state();
            let fingerprint = &first[0]["stream"]["stream_state"]["fingerprint"];
            let text = groups(10_000).replace("\"a|b\"", &fingerprint.to_string());
            let state: Value = serde_json::from_str(&text).unwrap();
            let transcript = in_time(|| bench.read(&catalog, Some(&state)));
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            format!("{}; 10,000 groups: exit 0", stories.join("; "))
        },
    },
    Case {
        id: 215,
        fault: "99,000 rows with a new field name in each; one name of 20 MiB",
        expected: "every row once, in linear time; reported names are shortened",
        run: || {
            let rows = (0..99_000).fold(String::new(), |mut rows, number| {
                let comma = if number == 0 { "" } else { "," };
                let id = 200_001 + number;
                write!(
                    rows,
                    r#"{comma}{{"AdvertiserId":"1001","CampaignId":"{id}","Day":"2026-10-30","new_field_{number}":1}}"#
                )
                .unwrap();
                rows
            });
            let (_, transcript) = read_answer(json!({"body": format!("[{rows}]")}));
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            let records = transcript.records(REPORT).len();
            let warnings = transcript.logs("WARN").join("\n");
            assert!(
                warnings.contains("new_field_0") && warnings.contains("more"),
                "{}",
                &warnings[..warnings.len().min(500)]
            );
            let name = "n".repeat(20 * MIB);
            let row = format!(r#"[{{"AdvertiserId":"1001","CampaignId":"1","Day":"2026-10-30","{name}":1}}]"#);
            let (_, long) = read_answer(json!({"body": row}));
            reported(&long, &["larger than"]);
            format!("{records} records; the long name {}", reported(&long, &["larger than"]))
        },
    },
    Case {
        id: 216,
        fault: "rows of 30 MiB, tables of four million rows, 20 million empty objects, a value of 30 MiB",
        expected: "rejected, below 128 MiB",
        run: || {
            let mut stories = Vec::new();
            let day = r#""AdvertiserId":"1001","CampaignId":"1","Day":"2026-10-30""#;
            for body in [
                format!("[{{{day},\"AdvertiserName\":\"{}\"}}]", "n".repeat(30 * MIB)),
                format!("[{{{day},\"AdvertiserName\":\"{}\"}}]", "\\n".repeat(30 * MIB)),
                format!("[{{{day},\"AdvertiserName\":{}}}]", list("{\"value\":0}", 4 * MIB)),
                format!("[{{{day},\"AdvertiserName\":{{{}}}}}]", "\"a\":0,".repeat(8 * MIB) + "\"b\":1"),
                format!(r#"{{"columns":["a"],"data":{}}}"#, list("[1]", 4 * MIB)),
                format!(r#"{{"columns":["a"],"data":[{}]}}"#, list("1", 30 * MIB)),
                list("{}", 20 * MIB),
                format!(r#"{{"data":[{{"attributes":{{{}}}}}]}}"#, "\"a\":0,".repeat(8 * MIB) + "\"b\":1"),
            ] {
                let (_, transcript) = read_answer(json!({"body": body}));
                assert_eq!((transcript.code, transcript.records(REPORT).len()), (Some(1), 0), "{}", &body[..80]);
                stories.push(transcript.errors()[0]["failure_type"].as_str().unwrap().to_owned());
            }
            let objects = bench(Options::default(), 1);
            for body in
                [list("{}", 20 * MIB), list(r#"{"id":"1"}"#, 5 * MIB), format!("[{{\"id\":{}}}]", list("0", 20 * MIB))]
            {
                objects.sandbox.clear_faults();
                fault(&objects, "/campaigns/search", json!(null), json!({"body": body}));
                let transcript = in_time(|| read(&objects, &["campaigns"]));
                assert_eq!(transcript.code, Some(1));
                stories.push(transcript.errors()[0]["failure_type"].as_str().unwrap().to_owned());
            }
            stories.join(", ")
        },
    },
    Case {
        id: 217,
        fault: "a portfolio with 10 MiB of unrequested data, and with 60; one of half a million advertisers; a list \
                of a million log files",
        expected: "the first is read; the others are rejected, below 128 MiB",
        run: || {
            let bench = bench(Options::default(), 3);
            let portfolio = |megabytes: usize| {
                let more = list("[]", megabytes * MIB / 3);
                let body = format!(
                    r#"{{"data":[{{"id":"1001","attributes":{{"a":{more}}}}},{{"id":1002}},{{"id":"1003"}}]}}"#
                );
                fault(&bench, "/advertisers/me", json!(null), json!({"body": body}));
                let transcript = in_time(|| read(&bench, &[REPORT]));
                bench.sandbox.clear_faults();
                transcript
            };
            let rich = assert_complete(&bench, &portfolio(10));
            let vast = reported(&portfolio(60), &["larger than 16 MiB"]);
            let ids = (0..500_000).map(|number| format!(r#"{{"id":"{number}"}}"#)).collect::<Vec<_>>().join(",");
            fault(&bench, "/advertisers/me", json!(null), json!({"body": format!(r#"{{"data":[{ids}]}}"#)}));
            let many = in_time(|| read(&bench, &[REPORT]));
            assert_eq!(many.code, Some(1));
            let many = reported(&many, &["advertisers", "20,000"]);
            bench.sandbox.clear_faults();
            let files = list(r#"{"fileName":"f","url":"https://example.invalid/f"}"#, 1_000_000);
            let body = format!(r#"{{"data":[{{"attributes":{{"files":{files}}}}}]}}"#);
            fault(&bench, "/log-level/", json!(null), json!({"body": body}));
            let files = in_time(|| read(&bench, &["log_level_events"]));
            assert_eq!(files.code, Some(1));
            format!("{rich}; {vast}; {many}; files {}", reported(&files, &["10000 files"]))
        },
    },
    Case {
        id: 218,
        fault: "a response of 60 MiB from the token endpoint, as a success and as a refusal; files of 40 MB as \
                configuration, catalog and key; 100,000 unknown settings, 100,000 invalid ids",
        expected: "each is rejected by its size or with its first errors, below 128 MiB, in seconds",
        run: || {
            let mut stories = Vec::new();
            let tree = list("[0]", 15 * MIB);
            for (status, body, word) in [
                (200, format!(r#"{{"access_token":"t0k3n-of-the-test","expires_in":{tree}}}"#), "instead of a token"),
                (401, format!(r#"{{"error":"invalid_client","more":{tree}}}"#), "invalid_client"),
            ] {
                let bench = bench(Options::default(), 3);
                fault(&bench, "/oauth2/token", json!(null), json!({"status": status, "body": body}));
                let transcript = in_time(|| read(&bench, &[REPORT]));
                assert_eq!(transcript.code, Some(1));
                stories.push(format!("token {status}: {}", reported(&transcript, &[word])));
            }
            let large = list("[0]", 10_000_000);
            stories.push(with_file("config.json", &large, &["larger than 2 MiB"]));
            stories.push(with_file("catalog.json", &large, &["larger than 8 MiB"]));
            let bench = bench(Options::default(), 3);
            std::fs::write(bench.directory.join("key.txt"), &large).unwrap();
            let mut setup = bench.program();
            let setup = setup
                .args(["setup", "--key-file", "key.txt", "--config", "made.json", "--currency", "EUR"])
                .output()
                .unwrap();
            let said = [setup.stdout, setup.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!setup.status.success() && said.contains("larger than 1 MiB"), "{said}");
            let mut config = bench.config.clone();
            for number in 0..100_000 {
                config[format!("start_dat{number}")] = json!(1);
            }
            bench.file("config.json", &config);
            let unknown = in_time(|| bench.run(&["check", "--config", "config.json"]));
            assert!(unknown.logs("WARN").len() < 100, "{}", unknown.logs("WARN").len());
            let mut config = bench.config.clone();
            config["advertiser_ids"] = (0..100_000).map(|number| format!("x{number}")).collect();
            bench.file("config.json", &config);
            let wrong = in_time(|| bench.run(&["check", "--config", "config.json"]));
            stories.push(check_reported(&wrong, &["100000 problems", "digits only", "more"]));
            stories.join("; ")
        },
    },
    Case {
        id: 219,
        fault: "saved states with a cursor in the years 262142 and 9000, and tomorrow, for log files and a report; \
                yesterday, for log files",
        expected: "each is reported as a wrong clock, and possibly missing days are read again",
        run: || {
            let bench = bench(Options::default(), 5);
            let mut stories = Vec::new();
            for stream in ["log_level_events", REPORT] {
                let catalog = bench.catalog(&[stream], "incremental");
                let first = bench.read(&catalog, None).final_state();
                // Yesterday is valid for a report, but too late for log files that may still arrive.
                let days = ["+262142-12-31", "9000-01-01", "2026-11-02", "2026-10-31"];
                for day in &days[..if stream == REPORT { 3 } else { 4 }] {
                    let mut state = first.clone();
                    state[0]["stream"]["stream_state"]["groups"] = json!([{"cursor": day, "scope": ["1001"]}]);
                    let transcript = in_time(|| bench.read(&catalog, Some(&state)));
                    assert_eq!(transcript.code, Some(0), "{stream} {day}: {:?}", transcript.errors());
                    let logs = transcript.logs("WARN").join(" ");
                    assert!(logs.contains("saved cursor") && logs.contains("clock"), "{stream} {day}: {logs}");
                    assert!(!transcript.records(stream).is_empty());
                }
                stories.push(format!("{stream}: exit 0, warned"));
            }
            stories.join("; ")
        },
    },
];

super::tests! { case_210 case_211 case_212 case_213 case_214 case_215 case_216 case_217 case_218 case_219 }

/// One of ten thousand days before the sandbox's today.
fn bench_day(number: usize) -> chrono::NaiveDate {
    let last = chrono::NaiveDate::from_ymd_opt(2026, 10, 30).unwrap();
    last - chrono::Days::new(number as u64 % 700)
}
