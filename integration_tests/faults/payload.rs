//! Contents of responses.

use criteo_sandbox::{Casing, Numbers, Options, Shape, Wrapping};
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, calls, fault, read, reported, story};

/// Reads with one changed response; the run may be incomplete.
fn with_answer(action: Value) -> (super::Bench, crate::harness::Transcript) {
    let bench = bench(Options::default(), 10);
    fault(&bench, "/statistics/report", json!(null), action);
    let transcript = read(&bench, &[REPORT]);
    (bench, transcript)
}

/// Replaces one value of one row with a non-number.
fn nulled(value: &Value) {
    let (_, transcript) = with_answer(json!({"mutate": {"/Rows/3/Clicks": value}}));
    assert_eq!(transcript.code, Some(0), "{value}");
    let changed: Vec<_> =
        transcript.of_type("RECORD").into_iter().filter(|m| m["record"]["meta"].is_object()).collect();
    assert_eq!(changed.len(), 1, "{value}");
    assert!(changed[0]["record"]["data"]["clicks"].is_null());
    assert_eq!(changed[0]["record"]["meta"]["changes"][0]["change"], "NULLED");
}

pub const CASES: &[Case] = &[
    Case {
        id: 46,
        fault: "a maintenance page with status 200; then forever",
        expected: "retried, every row once; forever: transient_error with content type, size and start of the response",
        run: || {
            let page = json!({"body": "<html><h1>Back soon</h1>", "headers": {"Content-Type": "text/html"}});
            let bench = bench(Options::default(), 3);
            fault(&bench, "/statistics/report", 1, page.clone());
            let once = assert_complete(&bench, &read(&bench, &[REPORT]));
            let (bench, transcript) = with_answer(page);
            let words = reported(&transcript, &["text/html", "24 bytes", "<html><h1>Back soon"]);
            format!("{once}; forever: {}; {words}", story(&bench, &transcript, REPORT))
        },
    },
    Case {
        id: 47,
        fault: "JSON as text/plain; CSV as application/json",
        expected: "the first is read; the second is an error that shows its start",
        run: || {
            let (bench, transcript) = with_answer(json!({"headers": {"Content-Type": "text/plain"}}));
            let plain = assert_complete(&bench, &transcript);
            let (bench, transcript) = with_answer(json!({"body": "Day;Clicks\n2026-10-30;7\n"}));
            format!("{plain}; CSV: {}; {}", story(&bench, &transcript, REPORT), reported(&transcript, &["Day;Clicks"]))
        },
    },
    Case {
        id: 49,
        fault: "`{\"Rows\":[]}` and `[]`; an empty body, `null`, `{}`, 204",
        expected: "the first two are empty reports; the others are errors, never empty reports",
        run: || {
            for body in ["{\"Rows\":[]}", "[]"] {
                let (_, transcript) = with_answer(json!({"body": body}));
                assert_eq!((transcript.code, transcript.records(REPORT).len()), (Some(0), 0), "{body}");
                assert_eq!(transcript.statuses(REPORT).last(), Some(&"COMPLETE"));
            }
            for action in [
                json!({"body": ""}),
                json!({"body": "null"}),
                json!({"body": "{}"}),
                json!({"status": 204, "body": ""}),
            ] {
                let (_, transcript) = with_answer(action.clone());
                assert_eq!(transcript.statuses(REPORT).last(), Some(&"INCOMPLETE"), "{action}");
            }
            "COMPLETE without rows; the others INCOMPLETE".to_owned()
        },
    },
    Case {
        id: 50,
        fault: "every reported envelope, spelling and number format; a byte order mark; an unknown envelope",
        expected: "the same records from all; the unknown one fails and lists its members, not their values",
        run: || {
            for (shape, casing, numbers, wrapping) in [
                (Shape::Rows, Casing::Pascal, Numbers::Quoted, Wrapping::Rows),
                (Shape::Array, Casing::Camel, Numbers::Bare, Wrapping::Each),
            ] {
                let bench = bench(Options { shape, casing, numbers, wrapping, ..Options::default() }, 10);
                assert_complete(&bench, &read(&bench, &[REPORT]));
            }
            for body in ["\u{feff}{\"rows\":[]}", "{\"data\":[]}"] {
                let (_, transcript) = with_answer(json!({"body": body}));
                assert_eq!(transcript.code, Some(0), "{body}: {:?}", transcript.errors());
            }
            let (bench, transcript) = with_answer(json!({"body": "{\"Lines\":[{\"secretive\":1}]}"}));
            let words = reported(&transcript, &["a response in an unknown format", "Lines"]);
            assert!(!transcript.stdout.contains("secretive"));
            format!("every row once; unknown: {}; {words}", story(&bench, &transcript, REPORT))
        },
    },
    Case {
        id: 51,
        fault: "a gzip bomb of 1 GB; gzip within gzip; unrequested Brotli",
        expected: "stopped in bounded memory; the encodings are rejected by name",
        run: || {
            let bomb = bench(Options::default(), 0);
            fault(&bomb, "/statistics/report", json!(null), json!({"gzip": 1_000_000_000}));
            let transcript = read(&bomb, &[REPORT]);
            assert_eq!(transcript.code, Some(1));
            let words = reported(&transcript, &["64 MiB"]);
            for encoding in ["gzip, gzip", "br"] {
                let (_, transcript) = with_answer(json!({"headers": {"Content-Encoding": encoding}}));
                reported(&transcript, &[&format!("encoding {encoding}"), "not requested"]);
            }
            format!("exit 1, below 128 MiB; {words}; the encodings were named")
        },
    },
    Case {
        id: 53,
        fault: "corrupt gzip, once",
        expected: "retried, every row once",
        run: || {
            let bench = bench(Options::default(), 10);
            fault(&bench, "/statistics/report", 1, json!({"body": "no gzip", "headers": {"Content-Encoding": "gzip"}}));
            format!(
                "{}; {} requests",
                assert_complete(&bench, &read(&bench, &[REPORT])),
                calls(&bench, "/statistics/report")
            )
        },
    },
    Case {
        id: 54,
        fault: "`NaN`, `Infinity`, `1e400`, `∞`, `N/A`, `0x10`, `1.234,56` and an object instead of a number",
        expected: "null, and the record reports it; never a wrong number",
        run: || {
            for value in ["NaN", "Infinity", "1e400", "∞", "N/A", "0x10", "1.234,56"] {
                nulled(&json!(value));
            }
            nulled(&json!({"a": 1}));
            "exit 0; NULLED, every time".to_owned()
        },
    },
    Case {
        id: 55,
        fault: "money with eighteen digits, ids with twenty digits and with leading zeros",
        expected: "every digit is kept",
        run: || {
            let money = "123456789012.345678";
            let (_, transcript) = with_answer(json!({"mutate": {
                "/Rows/0/AdvertiserCost": money, "/Rows/0/CampaignId": "00012345678901234567"}}));
            let line = transcript.stdout.lines().find(|line| line.contains("00012345678901234567")).unwrap();
            assert!(line.contains(&format!("\"advertiser_cost\":{money}")), "{line}");
            "the output has the digits of the response".to_owned()
        },
    },
    Case {
        id: 56,
        fault: "numbers as strings and strings as numbers within one response",
        expected: "each is written in the type of its column",
        run: || {
            let (bench, transcript) =
                with_answer(json!({"mutate": {"/Rows/0/Clicks": 7, "/Rows/1/Clicks": "7", "/Rows/0/CampaignId": 42}}));
            let records = transcript.records(REPORT);
            assert!(records[0]["clicks"] == 7 && records[1]["clicks"] == 7 && records[0]["campaign_id"] == "42");
            assert!(bench.sandbox.requests().len() > 2);
            format!("exit {}; 7 and 7, and \"42\"", transcript.code.unwrap())
        },
    },
    Case {
        id: 58,
        fault: "U+0000, half a surrogate pair, line breaks, U+2028, Arabic and emoji in names",
        expected: "one line per record; characters that destinations reject become U+FFFD, the rest is kept",
        run: || {
            let name = "a\u{2028}b\r\n\"c\" 🛒 سلة";
            let body = json!({"Rows": [{"AdvertiserId": "1001", "AdvertiserName": "x", "CampaignId": "200001", "Campaign": name, "Day": "2026-10-30"}]});
            let body = body.to_string().replace("\"x\"", r#""nul\u0000 half\ud800.""#);
            let (_, transcript) = with_answer(json!({"body": body}));
            let record = transcript.records(REPORT)[0];
            assert_eq!(record["campaign_name"], name);
            assert_eq!(record["advertiser_name"], "nul\u{fffd} half\u{fffd}.");
            let objects = bench(Options::default(), 1);
            let body = r#"{"data":[{"id":"1","type":"Campaign","attributes":{"name":"half\ud800","advertiserId":"1001","new":1e400}}]}"#;
            fault(&objects, "/campaigns/search", json!(null), json!({"body": body}));
            let campaigns = read(&objects, &["campaigns"]);
            assert_eq!(campaigns.code, Some(0), "{:?}", campaigns.errors());
            assert_eq!(campaigns.records("campaigns")[0]["name"], "half\u{fffd}");
            format!("exit {}; as expected", transcript.code.unwrap())
        },
    },
    Case {
        id: 60,
        fault: "an unknown field in every row",
        expected: "left out, counted and reported once",
        run: || {
            let (_, transcript) = with_answer(json!({"mutate": {"/Rows/0/BrandNew": 1, "/Rows/1/BrandNew": 2}}));
            let warnings: Vec<_> = transcript.logs("WARN").into_iter().filter(|log| log.contains("BrandNew")).collect();
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("2 rows"), "{warnings:?}");
            format!("exit {}; reported once", transcript.code.unwrap())
        },
    },
];

super::tests! { case_46 case_47 case_49 case_50 case_51 case_53 case_54 case_55 case_56 case_58 case_60 }
