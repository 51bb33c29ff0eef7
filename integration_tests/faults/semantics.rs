//! Row caps, pages of lists, days and time zones.

use std::collections::BTreeSet;

use criteo_sandbox::{Options, Sandbox};
use serde_json::{Map, Value, json};

use super::{Case, REPORT, assert_complete, bench, calls, check_reported, fault, read, reported, story};
use crate::streams::assert_resumable;

/// Number of rows in a report of some days, without a cap.
fn rows_of(days: u64) -> usize {
    let bench = bench(Options::default(), days);
    read(&bench, &[REPORT]).records(REPORT).len()
}

/// Reads with a cap; returns result and number of requests.
fn capped(row_cap: usize, days: u64) -> (String, usize) {
    let bench = bench(Options { row_cap, ..Options::default() }, days);
    let transcript = read(&bench, &[REPORT]);
    (story(&bench, &transcript, REPORT), bench.report_requests().len())
}

/// A list of audiences with changed pages.
fn listed(options: Options, change: impl FnOnce(&Sandbox)) -> String {
    let bench = bench(options, 1);
    change(&bench.sandbox);
    let transcript = read(&bench, &["audiences"]);
    story(&bench, &transcript, "audiences")
}

pub const CASES: &[Case] = &[
    Case {
        id: 61,
        fault: "a report with exactly as many rows as the cap, one fewer, one more",
        expected: "split at and above the cap, not below; every row once",
        run: || {
            let rows = rows_of(10);
            let (at, at_calls) = capped(rows, 10);
            let (below, below_calls) = capped(rows + 1, 10);
            let (above, above_calls) = capped(rows - 1, 10);
            assert!(below_calls == 1 && at_calls > 1 && above_calls > 1, "{below_calls} {at_calls} {above_calls}");
            assert!(at == below && below == above, "{at}; {below}; {above}");
            format!("{at}, each time")
        },
    },
    Case {
        id: 64,
        fault: "a single day above the cap",
        expected: "split by advertiser and ad set if the report has them; otherwise the stream fails with a remedy",
        run: || {
            let by_ad_set = bench(Options { row_cap: 10, ..Options::default() }, 3);
            let transcript = read(&by_ad_set, &["ad_statistics_daily"]);
            let first = story(&by_ad_set, &transcript, "ad_statistics_daily");
            let too_much = bench(Options { row_cap: 2, ..Options::default() }, 3);
            let transcript = read(&too_much, &["ad_statistics_daily"]);
            let words = reported(&transcript, &["cannot be split further", "a custom report with fewer dimensions"]);
            format!("{first}; else {}; {words}", story(&too_much, &transcript, "ad_statistics_daily"))
        },
    },
    Case {
        id: 66,
        fault: "a sync in dozens of requests, ended after each of its states",
        expected: "resumes from each state without a gap",
        run: || {
            let mut bench = bench(Options { row_cap: 25, ..Options::default() }, 60);
            bench.config["lookback_days"] = json!(3);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let whole = bench.read(&catalog, None);
            let states = assert_resumable(&bench, &catalog, &whole, &[REPORT]);
            assert!(states > 4, "{states} states");
            "every row, from every state".to_owned()
        },
    },
    Case {
        id: 67,
        fault: "a short page in the middle of a list; a server that returns 7 objects instead of 50",
        expected: "read to the end, by the rows returned",
        run: || {
            let short = listed(Options { audiences: 30, ..Options::default() }, |sandbox| {
                let fault = json!({"match": {"path": "/audiences/search", "nth": 1}, "times": 1, "do": {"mutate": {"/data/3": null}}});
                sandbox.add_fault(fault).unwrap();
            });
            let of_many = listed(Options { audiences: 60, ..Options::default() }, |sandbox| {
                let fault = json!({"match": {"path": "/audiences/search", "nth": 1}, "times": 1, "do": {"mutate": {"/data/3": null}}});
                sandbox.add_fault(fault).unwrap();
            });
            let every = ["exit 0, COMPLETE, every row once", "exit 0, COMPLETE, every row, some again"];
            assert!(every.contains(&short.as_str()) && every.contains(&of_many.as_str()), "{short}; {of_many}");
            let clamped = listed(Options { page_limit: 7, ..Options::default() }, |_| {});
            assert_eq!(clamped, "exit 0, COMPLETE, every row once");
            format!("{short}; clamped: {clamped}")
        },
    },
    Case {
        id: 70,
        fault: "totalItems missing, 0, -1, a string, and growing",
        expected: "no endless loop and no lost object",
        run: || {
            for total in [json!(null), json!(0), json!(-1), json!("many"), json!(1000)] {
                let story = listed(Options { page_limit: 10, ..Options::default() }, |sandbox| {
                    let fault = json!({"match": {"path": "/audiences/search"}, "times": 100,
                        "do": {"mutate": {"/meta/totalItems": total}}});
                    sandbox.add_fault(fault).unwrap();
                });
                assert_eq!(story, "exit 0, COMPLETE, every row once", "{total}");
            }
            "exit 0, COMPLETE, every row once, with each".to_owned()
        },
    },
    Case {
        id: 71,
        fault: "the same page forever",
        expected: "the stream fails soon",
        run: || {
            let bench = bench(Options::default(), 1);
            let page: Vec<_> = (0..50)
                .map(|id| json!({"id": id.to_string(), "type": "Audience", "attributes": {"name": "x"}}))
                .collect();
            let body = json!({"data": page, "meta": {"totalItems": 9000}});
            fault(&bench, "/audiences/search", json!(null), json!({"body": body.to_string()}));
            let transcript = read(&bench, &["audiences"]);
            let calls = calls(&bench, "/audiences/search");
            assert!(calls <= 6, "{calls} calls");
            let status = transcript.statuses("audiences").last().copied().unwrap();
            format!("exit {}, {status}", transcript.code.unwrap())
        },
    },
    Case {
        id: 72,
        fault: "a list without pages that announces more objects than it holds",
        expected: "the stream fails, nothing is silently dropped",
        run: || {
            let bench = bench(Options::default(), 1);
            fault(&bench, "/campaigns/search", json!(null), json!({"mutate": {"/meta": {"totalItems": 999}}}));
            let transcript = read(&bench, &["campaigns"]);
            format!(
                "{}; {}",
                story(&bench, &transcript, "campaigns"),
                reported(&transcript, &["999 objects", "no pages"])
            )
        },
    },
    Case {
        id: 73,
        fault: "two rows with one key: a category with a name and one without",
        expected: "both are kept, distinguished by row_number",
        run: || {
            let bench = bench(Options::default(), 10);
            let transcript = read(&bench, &["category_statistics_daily"]);
            let twins = transcript.records("category_statistics_daily").iter().filter(|r| r["row_number"] == 2).count();
            assert!(twins > 0);
            format!("{}; with repeated keys", story(&bench, &transcript, "category_statistics_daily"))
        },
    },
    Case {
        id: 74,
        fault: "a custom report with names only, and two campaigns with one name",
        expected: "their ids are added to the key, so both are kept",
        run: || {
            let mut bench = bench(Options::default(), 3);
            bench.config["custom_reports"] =
                json!([{"name": "names", "dimensions": ["Campaign"], "metrics": ["Clicks"]}]);
            let rename = json!({"/Rows/0/Campaign": "One", "/Rows/1/Campaign": "One", "/Rows/2/Campaign": "One"});
            fault(&bench, "/statistics/report", json!(null), json!({"mutate": rename}));
            let transcript = read(&bench, &["custom_names"]);
            let stream = &bench.discover()["custom_names"]["source_defined_primary_key"];
            assert!(stream.as_array().unwrap().contains(&json!(["campaign_id"])));
            let one: Vec<_> =
                transcript.records("custom_names").into_iter().filter(|r| r["campaign_name"] == "One").collect();
            format!("exit {}; {} rows of one name", transcript.code.unwrap(), one.len())
        },
    },
    Case {
        id: 75,
        fault: "a requested metric missing in every row; one missing in the first row",
        expected: "null, and a warning that names the metric missing in every row",
        run: || {
            let lacking = |rows: &[usize]| {
                let bench = bench(Options { advertisers: 1, campaigns: 1, ..Options::default() }, 1);
                let mutate = rows.iter().map(|row| (format!("/Rows/{row}/Clicks"), Value::Null)).collect::<Map<_, _>>();
                fault(&bench, "/statistics/report", json!(null), json!({"mutate": mutate}));
                let transcript = read(&bench, &[REPORT]);
                let nulls = transcript
                    .records(REPORT)
                    .iter()
                    .filter(|record| record.get("clicks").is_none_or(Value::is_null))
                    .count();
                let reported = transcript.logs("WARN").iter().any(|line| line.contains("clicks"));
                (transcript.records(REPORT).len(), nulls, reported, transcript.code)
            };
            assert_eq!(lacking(&[0, 1]), (2, 2, true, Some(0)));
            assert_eq!(lacking(&[0]), (2, 1, false, Some(0)));
            "exit 0; null; reported if missing in every row".to_owned()
        },
    },
    Case {
        id: 76,
        fault: "columns that change their type: 5.0, 5.5 and true for an integer, a number and a list for a name",
        expected: "equal values are converted to the column's type; others become null, and the record reports it",
        run: || {
            let mut seen = Vec::new();
            for (member, column, value) in [
                ("Clicks", "clicks", json!(5.0)),
                ("Clicks", "clicks", json!(5.5)),
                ("Clicks", "clicks", json!(true)),
                ("Campaign", "campaign_name", json!(42)),
                ("Campaign", "campaign_name", json!(["a"])),
            ] {
                let bench = bench(Options::default(), 1);
                let mutate = json!({format!("/Rows/0/{member}"): value});
                fault(&bench, "/statistics/report", json!(null), json!({"mutate": mutate}));
                let transcript = read(&bench, &[REPORT]);
                let record = transcript.of_type("RECORD")[0]["record"].clone();
                let reason = record["meta"]["changes"][0]["reason"].as_str();
                assert_eq!(reason.is_some(), record["data"][column].is_null(), "{record}");
                seen.push(format!(
                    "{value} → {}{}",
                    record["data"][column],
                    reason.map(|r| format!(", {r}")).unwrap_or_default()
                ));
                assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            }
            seen.join("; ")
        },
    },
    Case {
        id: 77,
        fault: "days as 2026/10/30, with midnight appended, and as 30 October",
        expected: "the first two are read as days; an invalid key fails its stream",
        run: || {
            let bench = || {
                let mut bench = bench(Options::default(), 3);
                // The same fault also changes the totals; it must affect only rows of this day.
                for (name, value) in [("start_date", "2026-10-30"), ("end_date", "2026-10-30")] {
                    bench.config[name] = json!(value);
                }
                bench
            };
            for day in ["2026/10/30", "10/30/2026 00:00:00", "2026-10-30T00:00:00", "2026-10-30 00:00:00"] {
                let bench = bench();
                fault(&bench, "/statistics/report", json!(null), json!({"mutate": {"/Rows/0/Day": day}}));
                let transcript = read(&bench, &[REPORT]);
                assert_eq!(transcript.code, Some(0), "{day}: {:?}", transcript.errors());
                assert_eq!(transcript.records(REPORT)[0]["day"], "2026-10-30", "{day}");
            }
            let bench = bench();
            fault(&bench, "/statistics/report", json!(null), json!({"mutate": {"/Rows/0/Day": "30 October"}}));
            let transcript = read(&bench, &[REPORT]);
            let status = transcript.statuses(REPORT).last().copied().unwrap();
            format!("2026-10-30 from each; else exit {}, {status}", transcript.code.unwrap())
        },
    },
    Case {
        id: 79,
        fault: "an empty account",
        expected: "COMPLETE with a state and no rows",
        run: || {
            let bench = bench(Options { advertisers: 0, empty_advertisers: 2, ..Options::default() }, 20);
            let transcript = read(&bench, &[REPORT, "campaigns"]);
            assert!(!transcript.states(REPORT).is_empty() && !transcript.states("campaigns").is_empty());
            story(&bench, &transcript, REPORT)
        },
    },
    Case {
        id: 82,
        fault: "the currency as `usd `, as EURO, and a different one for a custom report",
        expected: "read as USD; rejected with the rule; every row names its currency",
        run: || {
            let mut bench = bench(Options::default(), 1);
            bench.config["currency"] = json!("usd ");
            bench.config["custom_reports"] =
                json!([{"name": "yen", "dimensions": ["Campaign"], "metrics": ["AdvertiserCost"], "currency": "jpy"}]);
            let transcript = read(&bench, &[REPORT, "custom_yen"]);
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            let currencies = |stream: &str| {
                let records = transcript.records(stream);
                assert!(!records.is_empty());
                records.iter().map(|record| record["currency"].as_str().unwrap()).collect::<BTreeSet<_>>()
            };
            let (usd, yen) = (currencies(REPORT), currencies("custom_yen"));
            bench.config["currency"] = json!("EURO");
            format!("{usd:?}, {yen:?}; {}", check_reported(&bench.check(), &["currency"]))
        },
    },
    Case {
        id: 84,
        fault: "half a year in windows, split by a low cap",
        expected: "the windows cover the range: every day of every advertiser once",
        run: || {
            let bench = bench(Options { row_cap: 90, ..Options::default() }, 180);
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            assert!(bench.report_requests().len() > 10);
            story
        },
    },
    Case {
        id: 85,
        fault: "Criteo restates 30 days after the first sync",
        expected: "the second sync reads them again and filters no row by the cursor",
        run: || {
            let bench = bench(Options::default(), 60);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            let later = bench.today() + chrono::Days::new(10);
            bench.sandbox.change(|options| options.today = later);
            let mut bench = bench;
            bench.config["now"] = json!(format!("{later}T12:00:00Z"));
            let second = bench.read(&catalog, Some(&first.final_state()));
            let days: Vec<_> =
                second.records(REPORT).iter().map(|record| record["day"].as_str().unwrap().to_owned()).collect();
            let least = days.iter().min().unwrap();
            assert_eq!(*least, (bench.today() - chrono::Days::new(40)).to_string());
            // Records of the second sync replace those of the first by key.
            let discovered = &bench.discover()[REPORT];
            let mut last = crate::truth::by_key(first.records(REPORT), discovered);
            last.extend(crate::truth::by_key(second.records(REPORT), discovered));
            let truth = crate::truth::by_key(&crate::streams::truth_of(&bench, REPORT, discovered), discovered);
            let recent = |records: &crate::truth::ByKey| {
                records
                    .values()
                    .filter(|record| record["day"].as_str().unwrap() >= least.as_str())
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(recent(&last), recent(&truth));
            "the last 30 days match the restated data".to_owned()
        },
    },
    Case {
        id: 90,
        fault: "report days in the time zones +14 and -11 at noon UTC",
        expected: "today and the first day follow the zone; the state stops at its yesterday",
        run: || {
            let mut reported = Vec::new();
            for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                let mut bench = bench(Options::default(), 5);
                bench.config["timezone"] = json!(zone);
                bench.config["now"] = json!(format!("{}T10:30:00Z", bench.today()));
                let transcript = read(&bench, &[REPORT]);
                assert_eq!(transcript.code, Some(0));
                let end = bench
                    .report_requests()
                    .iter()
                    .map(|body| body["endDate"].as_str().unwrap().to_owned())
                    .max()
                    .unwrap();
                let cursor = &transcript.final_state()[0]["stream"]["stream_state"]["groups"][0]["cursor"];
                reported.push(format!("{zone}: up to {end}, state {}", cursor.as_str().unwrap()));
            }
            reported.join("; ")
        },
    },
];

super::tests! { case_61 case_64 case_66 case_67 case_70 case_71 case_72 case_73 case_74 case_75 case_76 case_77 case_79 case_82 case_84 case_85 case_90 }
