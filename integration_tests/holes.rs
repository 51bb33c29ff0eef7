//! What Criteo refuses, cannot return or no longer keeps: the rest is read; missing data is named and requested again.

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::streams::{assert_report, preset};
use crate::truth::{self, by_key};

pub const REPORT: &str = "campaign_statistics_daily";
/// Distinguishes data requests from totals requests.
pub const OF_DATA: &str = "\"CampaignId\"";
pub const OF_TOTALS: &str = "[\"AdvertiserId\",\"Day\"]";

#[expect(clippy::needless_pass_by_value, reason = "callers build both inline")]
pub fn fault(bench: &Bench, matches: Value, action: Value) {
    bench.sandbox.add_fault(json!({"match": matches, "times": null, "do": action})).unwrap();
}

pub fn incremental(bench: &Bench, state: Option<&Value>) -> Transcript {
    bench.read(&bench.catalog(&[REPORT], "incremental"), state)
}

pub fn state_of(transcript: &Transcript) -> Value {
    transcript.final_state()[0]["stream"]["stream_state"].clone()
}

pub fn message(transcript: &Transcript) -> String {
    let [error] = &transcript.errors()[..] else { panic!("{:?}", transcript.errors()) };
    error["message"].as_str().unwrap().to_owned()
}

pub fn rises(bench: &mut Bench, days: u64) {
    let later = bench.today() + Days::new(days);
    bench.sandbox.change(|options| options.today = later);
    bench.config["now"] = json!(format!("{later}T12:00:00Z"));
}

/// Asserts that a destination that merges by key holds the truth after these syncs.
pub fn assert_merged(bench: &Bench, syncs: &[&Transcript], name: &str) {
    let stream = &bench.discover()[name];
    let mut merged = truth::ByKey::new();
    for sync in syncs {
        merged.extend(by_key(sync.records(name), stream));
    }
    let truth = by_key(&truth::report(bench, &preset(name), stream), stream);
    assert_eq!(merged.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{name}");
}

pub fn problem(code: &str) -> String {
    json!({"errors": [{"type": "validation", "code": code, "title": "No"}]}).to_string()
}

#[test]
fn the_next_sync_closes_a_hole() {
    for (name, action) in [
        ("500", json!({"status": 500, "body": "{}"})),
        ("504", json!({"status": 504, "body": "{}"})),
        ("400", json!({"status": 400, "body": problem("odd")})),
        ("error in a 200", json!({"body": problem("not-found")})),
        ("404", json!({"status": 404, "body": problem("gone")})),
    ] {
        let mut bench = Bench::new(Options { advertisers: 1, ..Options::default() }, 60);
        // Windows must be short enough that some rows precede the day.
        bench.config["verify_totals"] = json!(false);
        fault(&bench, json!({"path": "/statistics/", "covers": "2026-10-20", "text": OF_DATA}), action);
        let first = incremental(&bench, None);
        assert_eq!(first.code, Some(1), "{name}");
        assert_eq!(first.statuses(REPORT).last(), Some(&"INCOMPLETE"), "{name}");
        assert!(message(&first).contains("2026-10-20 of 1001"), "{name}: {}", message(&first));
        let is_summed_up = |log: &&str| log.contains("to be read again: 2026-10-20 of 1001 (not read)");
        assert!(first.logs("INFO").iter().any(is_summed_up), "{name}: {:?}", first.logs("INFO"));
        let days: std::collections::BTreeSet<_> =
            first.records(REPORT).iter().map(|record| record["day"].as_str().unwrap().to_owned()).collect();
        assert!(!days.contains("2026-10-20") && days.contains("2026-10-19") && days.contains("2026-10-21"), "{name}");
        let state = state_of(&first);
        assert_eq!(state["groups"], json!([{"cursor": "2026-10-31", "scope": ["1001"]}]), "{name}");
        let hole = json!({"from": "2026-10-20", "to": "2026-10-20", "scope": ["1001"], "why": "unread", "tries": 1});
        assert_eq!(state["holes"], json!([hole]), "{name}");
        // Forty days later the day is before the lookback: only the hole requests it.
        bench.sandbox.clear_faults();
        rises(&mut bench, 40);
        let second = incremental(&bench, Some(&first.final_state()));
        assert_eq!(second.code, Some(0), "{name}: {:?}", second.errors());
        assert!(state_of(&second).get("holes").is_none(), "{name}: {}", state_of(&second));
        assert_merged(&bench, &[&first, &second], REPORT);
    }
}

#[test]
fn a_refused_advertiser_is_named_and_the_others_are_read() {
    for (status, code) in
        [(400, "odd"), (403, "no-rights"), (403, "permission-denied"), (404, "x"), (410, "x"), (200, "not-found")]
    {
        for is_listed in [false, true] {
            let mut bench = Bench::new(Options { advertisers: 5, ..Options::default() }, 20);
            if is_listed {
                bench.config["advertiser_ids"] = json!(["1001", "1002", "1003", "1004", "1005"]);
            }
            let action = json!({"status": status, "body": problem(code)});
            fault(&bench, json!({"path": "/statistics/", "advertiser": "1003"}), action);
            let transcript = incremental(&bench, None);
            let context = format!("{status} {code}: {:?}", transcript.errors());
            assert_eq!(transcript.code, Some(i32::from(is_listed)), "{context}");
            let mut query = preset(REPORT);
            query["advertiserIds"] = json!("1001,1002,1004,1005");
            assert_report(&bench, &transcript, REPORT, &query);
            assert_eq!(
                state_of(&transcript)["groups"][0]["scope"],
                json!(["1001", "1002", "1004", "1005"]),
                "{context}"
            );
            let warned = transcript.logs("WARN").iter().any(|log| log.contains("refuses to report on 1003"));
            assert!(warned, "{:?}", transcript.logs("WARN"));
            for text in transcript.logs("WARN").iter().map(|&log| log.to_owned()) {
                assert!(!text.contains("permission \"") && !text.contains("newer api_version"), "{text}");
            }
            if is_listed {
                assert!(message(&transcript).contains("1003"), "{}", message(&transcript));
            }
            // The advertiser is read from its start once it is no longer refused.
            bench.sandbox.clear_faults();
            let second = incremental(&bench, Some(&transcript.final_state()));
            assert_eq!(second.code, Some(0));
            assert_merged(&bench, &[&transcript, &second], REPORT);
        }
    }
}

#[test]
fn a_request_refused_for_all_advertisers_fails_fast_with_criteos_message() {
    let bench = Bench::new(Options { advertisers: 40, ..Options::default() }, 20);
    fault(&bench, json!({"path": "/statistics/"}), json!({"status": 400, "body": problem("odd")}));
    let transcript = incremental(&bench, None);
    assert_eq!(transcript.code, Some(1));
    assert!(message(&transcript).contains("No [odd]"), "{}", message(&transcript));
    assert!(bench.report_requests().len() < 60, "{}", bench.report_requests().len());
    assert!(transcript.states(REPORT).iter().all(|(_, state)| state["stream"]["stream_state"]["groups"] == json!([])));
}

#[test]
fn a_no_campaign_error_fails_when_the_totals_have_data() {
    let bench = Bench::new(Options { advertisers: 2, ..Options::default() }, 30);
    let action = json!({"status": 403, "body": problem("no-campaign-found")});
    fault(&bench, json!({"path": "/statistics/", "advertiser": "1002", "text": OF_DATA}), action);
    let transcript = incremental(&bench, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let reported = transcript.logs("WARN").join("\n");
    assert!(
        reported.contains("refuses to report on 1002") && reported.contains("its own totals have numbers"),
        "{reported}"
    );
    assert_eq!(
        state_of(&transcript)["groups"][0]["scope"],
        json!(["1001"]),
        "the other one is read once it is available"
    );
}

#[test]
fn a_no_campaign_error_is_an_empty_report() {
    for text in [json!({"errors": [{"code": "no-campaign-found"}]}), json!({"message": "No campaign found"})] {
        let bench = Bench::new(Options { empty_advertisers: 2, ..Options::default() }, 20);
        for empty in ["1004", "1005"] {
            let action = json!({"status": 403, "body": text.to_string()});
            fault(&bench, json!({"path": "/statistics/", "advertiser": empty}), action);
        }
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert_report(&bench, &transcript, REPORT, &preset(REPORT));
        let ids = json!(["1001", "1002", "1003", "1004", "1005"]);
        assert_eq!(state_of(&transcript)["groups"], json!([{"cursor": "2026-10-31", "scope": ids}]));
    }
}

#[test]
fn failed_totals_make_days_unproven_but_keep_their_rows() {
    for (name, matches, action, is_unproven) in [
        ("400", json!({}), json!({"status": 400, "body": problem("odd")}), true),
        ("403", json!({}), json!({"status": 403, "body": problem("odd")}), true),
        ("500", json!({}), json!({"status": 500, "body": "{}"}), true),
        ("odd", json!({}), json!({"body": "{\"Lines\":[]}"}), true),
        ("long", json!({"longer_than": 40}), json!({"status": 400, "body": problem("odd")}), false),
        ("late", json!({"longer_than": 40}), json!({"status": 504, "body": "{}"}), false),
        ("span", json!({"longer_than": 10}), json!({"status": 400, "body": problem("invalid-timespan")}), false),
    ] {
        let bench = Bench::new(Options::default(), 100);
        let mut matches = matches;
        matches["path"] = json!("/statistics/");
        matches["text"] = json!(OF_TOTALS);
        fault(&bench, matches, action);
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(0), "{name}: {:?}", transcript.errors());
        assert_report(&bench, &transcript, REPORT, &preset(REPORT));
        let warned =
            transcript.logs("WARN").iter().any(|log| log.contains("totals") && log.contains("are not available"));
        assert_eq!(warned, is_unproven, "{name}: {:?}", transcript.logs("WARN"));
        // Days within the last two days are never compared.
        let hole = json!([{"from": bench.today() - Days::new(100), "to": "2026-10-29", "scope": ["1001", "1002", "1003"],
            "why": "uncompared", "tries": 1}]);
        assert_eq!(state_of(&transcript).get("holes"), is_unproven.then_some(&hole), "{name}");
        let is_listed = |log: &&str| log.contains("(unproven: not compared with Criteo's totals)");
        assert_eq!(transcript.logs("INFO").iter().any(is_listed), is_unproven, "{name}: {:?}", transcript.logs("INFO"));
        assert_eq!(state_of(&transcript)["groups"][0]["cursor"], "2026-10-31");
    }
}

#[test]
fn a_date_range_limit_is_detected_from_any_error() {
    for (name, status, code) in [("timespan", 400, "invalid-timespan"), ("other code", 400, "odd"), ("late", 504, "x")]
    {
        for longest in [4, 31, 100] {
            if name == "other code" && longest == 4 {
                // With such short windows, this looks like a refused advertiser.
                continue;
            }
            let bench = Bench::new(Options { ads: 1, ..Options::default() }, 300);
            let action = json!({"status": status, "body": problem(code)});
            fault(&bench, json!({"path": "/statistics/", "longer_than": longest}), action);
            let transcript = incremental(&bench, None);
            assert_eq!(transcript.code, Some(0), "{name} {longest}: {:?}", transcript.errors());
            assert_report(&bench, &transcript, REPORT, &preset(REPORT));
            let calls = bench.report_requests().len();
            let least = 2 * 300_usize.div_ceil(longest);
            assert!(calls < 3 * least + 60, "{name} {longest}: {calls} calls");
        }
    }
}

#[test]
fn a_shorter_history_than_documented_moves_the_start() {
    for code in ["invalid-timespan", "odd"] {
        let bench = Bench::new(Options { ads: 1, ..Options::default() }, 730);
        let floor = bench.today() - Days::new(727);
        for day in 727..=730 {
            let day = bench.today() - Days::new(day);
            fault(
                &bench,
                json!({"path": "/statistics/", "covers": day - Days::new(1)}),
                json!({"status": 400, "body": problem(code)}),
            );
        }
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(0), "{code}: {:?}", transcript.errors());
        let mut query = preset(REPORT);
        query["startDate"] = json!(floor);
        assert_report(&bench, &transcript, REPORT, &query);
        // An error that does not mention days concerns each advertiser separately.
        let words = if code == "odd" { "refuses to report on" } else { "assumed to go back" };
        let warned = transcript.logs("WARN").iter().any(|log| log.contains(words) && log.contains(&floor.to_string()));
        assert!(warned, "{:?}", transcript.logs("WARN"));
    }
}

#[test]
fn the_cursor_never_passes_an_unread_day() {
    let mut bench = Bench::new(Options::default(), 60);
    let first = incremental(&bench, None);
    rises(&mut bench, 50);
    // A start after the cursor skips days: the cursor stays, and they are named.
    let start = bench.today() - Days::new(10);
    bench.config["start_date"] = json!(start);
    let second = incremental(&bench, Some(&first.final_state()));
    assert_eq!(second.code, Some(0));
    assert_eq!(state_of(&second)["groups"][0]["cursor"], "2026-10-31");
    let left_out = format!("2026-11-01 to {}", start - Days::new(1));
    assert!(second.logs("WARN").iter().any(|log| log.contains(&left_out)), "{:?}", second.logs("WARN"));
    bench.config["start_date"] = json!("2026-09-02");
    let third = incremental(&bench, Some(&second.final_state()));
    assert_eq!(state_of(&third)["groups"][0]["cursor"], (bench.today() - Days::new(1)).to_string());
    assert_merged(&bench, &[&first, &second, &third], REPORT);
}

#[test]
fn a_pause_longer_than_the_default_history_leaves_no_gap() {
    let name = "ad_set_statistics_hourly";
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 60);
    bench.config.as_object_mut().unwrap().remove("start_date");
    let catalog = bench.catalog(&[name], "incremental");
    let first = bench.read(&catalog, None);
    rises(&mut bench, 50);
    let second = bench.read(&catalog, Some(&first.final_state()));
    assert_eq!(second.code, Some(0), "{:?}", second.errors());
    let first_day = second.records(name).iter().map(|record| record["day"].to_string()).min().unwrap();
    assert_eq!(first_day, "\"2026-10-02\"", "the lookback of the cursor, not thirty days before today");
}

#[test]
fn a_day_truncated_below_the_cap_is_split_by_ad_set() {
    // An undocumented cap of 60 rows; a day has more.
    let options =
        Options { row_cap: 60, advertisers: 2, campaigns: 5, ad_sets: 4, ads: 5, activity: 100, ..Options::default() };
    let mut bench = Bench::new(options, 6);
    bench.config["report_row_cap"] = json!(100_000);
    bench.config["end_date"] = json!("2026-10-29");
    let name = "ad_statistics_daily";
    let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?} {:?}", transcript.errors(), transcript.logs("WARN"));
    let mut query = preset(name);
    query["endDate"] = json!("2026-10-29");
    assert_report(&bench, &transcript, name, &query);
}

/// Their rows are written; state and summary report the day as unproven.
#[test]
fn rows_that_cannot_be_summed_make_their_day_unproven() {
    let bench = Bench::new(Options { advertisers: 1, ..Options::default() }, 20);
    for of in [OF_DATA, OF_TOTALS] {
        let day = json!({"path": "/statistics/", "text": of});
        fault(&bench, day, json!({"mutate": {"/Rows/0/Clicks": "a few"}}));
    }
    let transcript = incremental(&bench, None);
    let reported = transcript.logs("WARN").iter().any(|log| log.contains("that are not numbers"));
    assert!(reported, "{:?}", transcript.logs("WARN"));
    let holes = state_of(&transcript)["holes"].clone();
    let uncompared = holes.as_array().unwrap().iter().filter(|hole| hole["why"] == "uncompared");
    let days: Vec<_> = uncompared.map(|hole| hole["from"].as_str().unwrap().to_owned()).collect();
    assert!(!days.is_empty() && days.len() <= bench.report_requests().len(), "{holes}");
    assert!(transcript.records(REPORT).iter().any(|record| days.contains(&record["day"].as_str().unwrap().to_owned())));
    let is_listed = |log: &&str| log.contains("(unproven: not compared with Criteo's totals)");
    let logs = transcript.logs("INFO");
    assert!(logs.iter().any(is_listed), "{logs:?}");
    let proof = logs.iter().find_map(|log| log.split_once(" settled days agree with Criteo's totals")).unwrap().0;
    let (before, all) = proof.rsplit_once(" of ").unwrap();
    let agreeing: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
    let all: usize = all.parse().unwrap();
    // The last days are no holes, since the next sync reads them again anyway.
    let unproven = days.len()..=bench.report_requests().len();
    assert!(unproven.contains(&(all - agreeing)), "{agreeing} of {all} agree, unproven: {holes}");
}

/// Splitting stops at the failing day, and later days are read. If everything fails, several failures in a row end the
/// stream.
#[test]
fn one_failing_day_is_a_hole_and_an_outage_fails_fast() {
    for days in [1, 7, 8, 15, 16, 63] {
        let mut bench = Bench::new(Options { advertisers: 1, ..Options::default() }, days);
        bench.config["verify_totals"] = json!(false);
        bench.config["calls_at_once"] = json!(1);
        let day = bench.today() - Days::new(days);
        fault(&bench, json!({"path": "/statistics/", "covers": day}), json!({"status": 500, "body": "{}"}));
        let transcript = incremental(&bench, None);
        assert!(
            message(&transcript).contains(&format!("Not read: {day} of 1001.")),
            "{days}: {}",
            message(&transcript)
        );
        assert_eq!(state_of(&transcript)["groups"][0]["cursor"], "2026-10-31", "{days}");
        bench.sandbox.clear_faults();
        fault(&bench, json!({"path": "/statistics/"}), json!({"status": 500, "body": "{}"}));
        let before = bench.report_requests().len();
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(1));
        assert!(transcript.records(REPORT).is_empty());
        let windows: std::collections::BTreeSet<_> = bench.report_requests()[before..]
            .iter()
            .map(|body| format!("{} {}", body["startDate"], body["endDate"]))
            .collect();
        let halvings = (days + 1).next_power_of_two().trailing_zeros();
        let most = 1 + 4.max(usize::try_from(halvings).unwrap() + 1);
        assert!(windows.len() <= most, "{days}: {windows:?}");
    }
}

/// An unusual refusal for up to 31 days is not assumed to concern their number, but an available first day shows it.
#[test]
fn a_date_range_limit_is_detected_from_unusual_wording() {
    for longest in [31, 30, 4, 1] {
        let bench = Bench::new(Options { ads: 1, ..Options::default() }, 61);
        let action = json!({"status": 400, "body": problem("odd")});
        fault(&bench, json!({"path": "/statistics/", "longer_than": longest}), action);
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(0), "{longest}: {:?}", transcript.errors());
        assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    }
}

/// The first day is searched with three advertisers; if all are refused, the stream fails.
#[test]
fn the_first_day_is_found_despite_two_refused_advertisers() {
    for (refused, is_found) in [(2, true), (3, false)] {
        let bench = Bench::new(Options { advertisers: 5, ads: 1, ..Options::default() }, 730);
        let first = bench.today() - Days::new(729);
        for day in [first, first - Days::new(1)] {
            let action = json!({"status": 400, "body": problem("odd")});
            fault(&bench, json!({"path": "/statistics/", "covers": day}), action);
        }
        for advertiser in 1001..1001 + refused {
            let matches = json!({"path": "/statistics/", "advertiser": advertiser.to_string()});
            fault(&bench, matches, json!({"status": 400, "body": problem("odd")}));
        }
        let transcript = incremental(&bench, None);
        assert_eq!(transcript.code, Some(i32::from(!is_found)), "{refused}: {:?}", transcript.errors());
        if is_found {
            let words = format!("before {}, so reading starts", first + Days::new(1));
            assert!(transcript.logs("WARN").iter().any(|log| log.contains(&words)), "{:?}", transcript.logs("WARN"));
            assert_eq!(state_of(&transcript)["groups"][0]["scope"], json!(["1003", "1004", "1005"]));
        }
    }
}
