//! Days, time zones, cursors, and changing advertisers.

use chrono::{Days, NaiveDate};
use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, check_reported, read, story};
use crate::harness::{Bench, Transcript};
use crate::streams::truth_of;
use crate::truth::by_key;

/// The distinct days of a stream's records, in order.
fn days(transcript: &Transcript, stream: &str) -> Vec<String> {
    let mut days: Vec<_> =
        transcript.records(stream).iter().map(|record| record["day"].as_str().unwrap().to_owned()).collect();
    days.sort();
    days.dedup();
    days
}

/// Moves the sandbox and the configuration to another day.
fn travel(bench: &mut Bench, today: NaiveDate) {
    bench.sandbox.change(|options| options.today = today);
    bench.config["now"] = json!(format!("{today}T12:00:00Z"));
}

/// Asserts the truth after a second sync: later records replace earlier ones by key.
fn assert_deduplicated_is_true(bench: &Bench, first: &Transcript, second: &Transcript) {
    let discovered = &bench.discover()[REPORT];
    let mut kept = by_key(first.records(REPORT), discovered);
    kept.extend(by_key(second.records(REPORT), discovered));
    assert_eq!(
        kept.keys().collect::<Vec<_>>(),
        by_key(&truth_of(bench, REPORT, discovered), discovered).keys().collect::<Vec<_>>()
    );
}

/// A first sync's state with another cursor.
fn with_cursor(state: &Value, cursor: &str) -> Value {
    let mut state = state.clone();
    for group in state[0]["stream"]["stream_state"]["groups"].as_array_mut().unwrap() {
        group["cursor"] = json!(cursor);
    }
    state
}

pub const CASES: &[Case] = &[
    Case {
        id: 186,
        fault: "a state whose cursor is the last day of the first sync, with a lookback of one day",
        expected: "the cursor's day is read again, no day is skipped",
        run: || {
            let mut bench = bench(Options::default(), 20);
            bench.config["lookback_days"] = json!(1);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let later = bench.today() + Days::new(5);
            travel(&mut bench, later);
            let second = bench.read(&catalog, Some(&first.final_state()));
            assert_deduplicated_is_true(&bench, &first, &second);
            let days = days(&second, REPORT);
            format!("{} to {}", days[0], days.last().unwrap())
        },
    },
    Case {
        id: 188,
        fault: "an hourly report over the days when Paris changes its clock",
        expected: "requested in UTC, where every hour occurs once",
        run: || {
            let mut bench =
                bench(Options { today: NaiveDate::from_ymd_opt(2026, 10, 27).unwrap(), ..Options::default() }, 4);
            bench.config["timezone"] = json!("Europe/Paris");
            let stream = "ad_set_statistics_hourly";
            let transcript = read(&bench, &[stream]);
            assert!(transcript.records(stream).iter().all(|record| record["timezone"] == "UTC"));
            story(&bench, &transcript, stream)
        },
    },
    Case {
        id: 189,
        fault: "daily reports over the days when Paris, New York and Lord Howe change their clocks",
        expected: "one calendar day each, none twice, none missing",
        run: || {
            for (zone, today) in [
                ("Europe/Paris", "2026-03-31"),
                ("America/New_York", "2026-03-10"),
                ("Australia/Lord_Howe", "2026-04-07"),
            ] {
                let today: NaiveDate = today.parse().unwrap();
                let mut bench = bench(Options { today, ..Options::default() }, 5);
                bench.config["timezone"] = json!(zone);
                let transcript = read(&bench, &[REPORT]);
                assert_eq!((transcript.code, days(&transcript, REPORT).len()), (Some(0), 6), "{zone}");
                let discovered = &bench.discover()[REPORT];
                assert_eq!(by_key(transcript.records(REPORT), discovered).len(), transcript.records(REPORT).len());
            }
            "6 days of 6, three times".to_owned()
        },
    },
    Case {
        id: 192,
        fault: "start_date ten years ago, on 29 February, tomorrow, in month 13, with a time, empty",
        expected: "clamped with a warning, clamped, empty sync, rejected, accepted, default",
        run: || {
            let mut bench = bench(Options::default(), 3);
            bench.config["advertiser_ids"] = json!(["1001"]);
            let mut outcomes = Vec::new();
            for start in ["2016-11-01", "2024-02-29", "2026-11-02", "2026-10-30T00:00:00Z", ""] {
                bench.config["start_date"] = json!(start);
                let transcript = read(&bench, &[REPORT]);
                assert_eq!(transcript.code, Some(0), "{start}: {:?}", transcript.errors());
                let first = days(&transcript, REPORT).first().cloned().unwrap_or_else(|| "no day".to_owned());
                let warned = if transcript.logs("WARN").is_empty() { "" } else { ", warned" };
                outcomes.push(format!("{first}{warned}"));
            }
            bench.config["start_date"] = json!("2026-13-01");
            check_reported(&bench.check(), &["start_date"]);
            format!("{}; 2026-13-01: check FAILED", outcomes.join("; "))
        },
    },
    Case {
        id: 193,
        fault: "end_date before start_date; both on one day; a lookback longer than the range",
        expected: "rejected; one day; the range",
        run: || {
            let mut bench = bench(Options::default(), 10);
            bench.config["end_date"] = json!("2026-10-01");
            let refused = check_reported(&bench.check(), &["end_date"]);
            bench.config["start_date"] = json!("2026-10-20");
            bench.config["end_date"] = json!("2026-10-20");
            let one = days(&read(&bench, &[REPORT]), REPORT);
            bench.config["start_date"] = json!("2026-10-18");
            bench.config["lookback_days"] = json!(90);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let again = days(&bench.read(&catalog, Some(&first.final_state())), REPORT);
            format!("{refused}; {}; {} to {}", one.join(" "), again[0], again.last().unwrap())
        },
    },
    Case {
        id: 194,
        fault: "a sync at noon, and one on the next day",
        expected: "the half day is read again: the state never passes yesterday",
        run: || {
            let mut bench = bench(Options::default(), 10);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let noon = bench.today();
            let cursor = first.final_state()[0]["stream"]["stream_state"]["groups"][0]["cursor"].clone();
            travel(&mut bench, noon + Days::new(1));
            let second = bench.read(&catalog, Some(&first.final_state()));
            assert!(days(&second, REPORT).contains(&noon.to_string()));
            assert_deduplicated_is_true(&bench, &first, &second);
            format!("state {}, today {noon} was read again", cursor.as_str().unwrap())
        },
    },
    Case {
        id: 195,
        fault: "an advertiser that grants consent after the first sync",
        expected: "read from the start, the others resume",
        run: || {
            let mut bench = bench(Options { without_consent: vec!["1003".to_owned()], ..Options::default() }, 60);
            bench.config["lookback_days"] = json!(3);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            bench.sandbox.change(|options| options.without_consent.clear());
            let second = bench.read(&catalog, Some(&first.final_state()));
            let first_day = |id: &str| {
                let records = second.records(REPORT);
                records
                    .iter()
                    .filter(|r| r["advertiser_id"] == id)
                    .map(|r| r["day"].as_str().unwrap().to_owned())
                    .min()
                    .unwrap()
            };
            assert_deduplicated_is_true(&bench, &first, &second);
            format!("1001 from {}, 1003 from {}", first_day("1001"), first_day("1003"))
        },
    },
    Case {
        id: 196,
        fault: "a cursor that was manually set back",
        expected: "read again from there",
        run: || {
            let mut bench = bench(Options::default(), 60);
            bench.config["lookback_days"] = json!(1);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let state = bench.read(&catalog, None).final_state();
            let transcript = bench.read(&catalog, Some(&with_cursor(&state, "2026-10-01")));
            let days = days(&transcript, REPORT);
            format!("{} to {}", days[0], days.last().unwrap())
        },
    },
    Case {
        id: 197,
        fault: "two concurrent reads with the same key and configuration",
        expected: "each is complete; they share only Criteo's limits",
        run: || {
            let bench = bench(Options { row_cap: 60, ..Options::default() }, 40);
            let catalog = bench.catalog(&[REPORT], "incremental");
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &catalog);
            let arguments = ["read", "--config", "config.json", "--catalog", "catalog.json"];
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(|| bench.run(&arguments));
                let two = bench.run(&arguments);
                (one.join().unwrap(), two)
            });
            assert_complete(&bench, &one);
            assert_complete(&bench, &two)
        },
    },
];

super::tests! { case_186 case_188 case_189 case_192 case_193 case_194 case_195 case_196 case_197 }
