//! Log files: days that are no longer available or unreadable, and distinct file names.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::objects::calls;
use crate::refusals::refusals;
use crate::truth::{self, by_key};

const LOG: &str = "log_level_events";

/// Attempts per request in a sync.
const ATTEMPTS: u32 = 6;

/// A bench with sandbox switches, whose configuration starts `days` ago.
fn bench(switches: &[(&str, &str)], days: u64) -> Bench {
    let mut options = Options::default();
    for (name, value) in switches {
        options.unknowns.set(name, value).unwrap();
    }
    Bench::new(options, days)
}

fn sync(bench: &Bench, state: Option<&Value>) -> Transcript {
    bench.read(&bench.catalog(&[LOG], "incremental"), state)
}

fn state_of(transcript: &Transcript) -> Value {
    transcript.final_state()[0]["stream"]["stream_state"].clone()
}

fn days_of(transcript: &Transcript, advertiser: &str) -> BTreeSet<String> {
    let records = transcript.records(LOG).into_iter().filter(|record| record["advertiser_id"] == advertiser);
    records.map(|record| record["day"].as_str().unwrap().to_owned()).collect()
}

fn later(bench: &mut Bench, days: u64) {
    let later = bench.today() + Days::new(days);
    bench.sandbox.change(|options| options.today = later);
    bench.config["now"] = json!(format!("{later}T12:00:00Z"));
}

fn warns(transcript: &Transcript, words: &[&str]) -> bool {
    transcript.logs("WARN").iter().any(|log| words.iter().all(|word| log.contains(word)))
}

/// Asserts that a destination that merges by key holds every row from `start` on.
fn assert_merged(bench: &mut Bench, syncs: &[&Transcript], start: NaiveDate) {
    let stream = bench.discover()[LOG].clone();
    let mut merged = truth::ByKey::new();
    for sync in syncs {
        merged.extend(by_key(sync.records(LOG), &stream));
    }
    bench.config["start_date"] = json!(start);
    assert_eq!(merged, by_key(&truth::small(bench, LOG, &stream), &stream));
}

fn problem(code: &str) -> Value {
    json!({"status": 400, "body": json!({"errors": [{"type": "validation", "code": code, "title": "No"}]}).to_string()})
}

#[test]
fn the_first_available_day_of_log_files_is_found() {
    for (floor, kept, words) in [
        ("one_day_later", 29, "invalid_timespan"),
        ("three_days_later", 27, "invalid_timespan"),
        ("three_days_later", 27, "invalid"),
        ("three_days_later", 27, "not_found"),
    ] {
        let mut bench = bench(&[("log_files_floor", floor), ("below_floor", words)], 30);
        let first_day = bench.today() - Days::new(kept);
        let transcript = sync(&bench, None);
        assert_eq!(transcript.code, Some(0), "{floor} {words}: {:?}", transcript.errors());
        let reported = if words == "invalid_timespan" {
            ["assumed to go back 30 days", &format!("refuses days before {first_day}")]
        } else {
            ["refuses the log files of", &format!("before {first_day}")]
        };
        assert!(warns(&transcript, &reported), "{floor} {words}: {:?}", transcript.logs("WARN"));
        assert_eq!(state_of(&transcript)["groups"][0]["cursor"], "2026-10-29");
        assert!(state_of(&transcript).get("holes").is_none());
        assert_merged(&mut bench, &[&transcript], first_day);
    }
}

/// An outage during the search does not make days unavailable. A later first day of one advertiser does not apply to
/// others.
#[test]
fn the_first_day_of_one_advertiser_does_not_apply_to_others() {
    let bench = bench(&[], 29);
    let first = bench.today() - Days::new(14);
    for back in 15..=32 {
        let day = bench.today() - Days::new(back);
        let fault = json!({"match": {"path": "/log-level/advertisers/1001/", "window": day}, "times": null,
            "do": {"status": 403, "body": json!({"errors": [{"code": "odd", "title": "No"}]}).to_string()}});
        bench.sandbox.add_fault(fault).unwrap();
    }
    let transcript = sync(&bench, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let days = |advertiser| days_of(&transcript, advertiser).len();
    assert!(days("1002") > days("1001") + 10, "{} and {}", days("1002"), days("1001"));
    let words = format!("refuses the log files of 1001 before {first}");
    assert!(transcript.logs("WARN").iter().any(|text| text.contains(&words)), "{:?}", transcript.logs("WARN"));
}

#[test]
fn an_outage_while_searching_the_first_day_skips_no_day() {
    let mut bench = bench(&[("log_files_floor", "three_days_later")], 30);
    let last = bench.today() - Days::new(1);
    // All attempts of the search at the last day fail; that day is read later.
    let fault = json!({"match": {"path": "/log-level/", "window": last}, "times": ATTEMPTS, "do": {"status": 500, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = sync(&bench, None);
    assert_eq!(transcript.code, Some(1));
    let state = state_of(&transcript);
    let holes = json!([{"from": bench.today() - Days::new(30), "to": bench.today() - Days::new(28),
        "scope": ["1001", "1002", "1003"], "why": "unread", "tries": 1}]);
    assert_eq!((&state["groups"][0]["cursor"], &state["holes"]), (&json!("2026-10-29"), &holes));
    // The next sync finds the first day and names the days before it.
    bench.sandbox.clear_faults();
    let second = sync(&bench, Some(&transcript.final_state()));
    assert_eq!(second.code, Some(0), "{:?}", second.errors());
    assert!(warns(&second, &["stay missing", "of 1001"]), "{:?}", second.logs("WARN"));
    assert!(state_of(&second).get("holes").is_none());
    let first_day = bench.today() - Days::new(27);
    assert_merged(&mut bench, &[&transcript, &second], first_day);
}

#[test]
fn days_that_expire_between_syncs_are_reported() {
    let mut bench = bench(&[("log_files_floor", "three_days_later")], 20);
    let first = sync(&bench, None);
    assert_eq!(state_of(&first)["groups"][0]["cursor"], "2026-10-29");
    later(&mut bench, 40);
    let (oldest, first_day) = (bench.today() - Days::new(30), bench.today() - Days::new(27));
    let second = sync(&bench, Some(&first.final_state()));
    assert_eq!(second.code, Some(0), "{:?}", second.errors());
    let warnings = second.logs("WARN");
    let by_documents = format!("The log files for 2026-10-30 to {}", oldest - Days::new(1));
    let by_answers = format!("The log files for {oldest} to {}", first_day - Days::new(1));
    assert!(warns(&second, &[&by_documents, "are missing", "1001, 1002, 1003"]), "{warnings:?}");
    assert!(warns(&second, &[&by_answers, "are missing", "1001, 1002, 1003"]), "{warnings:?}");
    assert_eq!(days_of(&second, "1001").first().unwrap(), &first_day.to_string());
}

/// Lookback days before the available history have been read before.
#[test]
fn a_lookback_beyond_the_history_loses_nothing() {
    let mut bench = bench(&[], 30);
    bench.config["lookback_days"] = json!(30);
    let first = sync(&bench, None);
    later(&mut bench, 1);
    let second = sync(&bench, Some(&first.final_state()));
    assert_eq!(second.code, Some(0), "{:?}", second.errors());
    assert!(!warns(&second, &["missing"]), "{:?}", second.logs("WARN"));
    assert_eq!(days_of(&second, "1001").len(), 30);
}

#[test]
fn an_unreadable_day_of_log_files_is_requested_until_it_expires() {
    for (name, path, action) in [
        ("a file that is gone", "/files/1002_2026-10-25", json!({"status": 404})),
        ("a list that fails", "/log-level/advertisers/1002/", json!({"status": 500, "body": "{}"})),
        ("a list that is refused", "/log-level/advertisers/1002/", problem("odd")),
        ("a list for no such day", "/log-level/advertisers/1002/", problem("invalid-timespan")),
    ] {
        let mut bench = bench(&[], 10);
        let start = bench.today() - Days::new(10);
        let mut matches = json!({"path": path});
        if path.starts_with("/log-level") {
            matches["window"] = json!("2026-10-25");
        }
        bench.sandbox.add_fault(json!({"match": matches, "times": null, "do": action})).unwrap();
        let first = sync(&bench, None);
        assert_eq!((first.code, first.statuses(LOG).last()), (Some(1), Some(&"INCOMPLETE")), "{name}");
        let message = first.errors()[0]["message"].as_str().unwrap();
        assert!(message.contains("Not read: 2026-10-25 of 1002."), "{name}: {message}");
        let summed_up = |log: &&str| log.contains("to be read again: 2026-10-25 of 1002 (not read)");
        assert!(first.logs("INFO").iter().any(summed_up), "{name}: {:?}", first.logs("INFO"));
        let hole = |tries: u32| json!([{"from": "2026-10-25", "to": "2026-10-25", "scope": ["1002"], "why": "unread", "tries": tries}]);
        let all = json!([{"cursor": "2026-10-29", "scope": ["1001", "1002", "1003"]}]);
        assert_eq!((&state_of(&first)["groups"], &state_of(&first)["holes"]), (&all, &hole(1)), "{name}");
        assert_eq!((days_of(&first, "1002").len(), days_of(&first, "1001").len()), (9, 10), "{name}");
        // Still missing: the sync requests it again and is incomplete again.
        later(&mut bench, 10);
        let second = sync(&bench, Some(&first.final_state()));
        assert_eq!(second.code, Some(1), "{name}");
        assert_eq!(state_of(&second)["holes"], hole(2), "{name}");
        assert_eq!(state_of(&second)["groups"][0]["cursor"], "2026-11-08", "{name}");
        // Available again: the hole closes. Beyond Criteo's history: the day is reported as lost.
        let mut lost = self::bench(&[], 10);
        later(&mut lost, 40);
        let third = sync(&lost, Some(&second.final_state()));
        assert!(warns(&third, &["stay missing", "2026-10-25 of 1002"]), "{name}: {:?}", third.logs("WARN"));
        assert!(state_of(&third).get("holes").is_none(), "{name}");
        bench.sandbox.clear_faults();
        let closed = sync(&bench, Some(&second.final_state()));
        assert_eq!(closed.code, Some(0), "{name}: {:?}", closed.errors());
        assert!(state_of(&closed).get("holes").is_none(), "{name}");
        assert_merged(&mut bench, &[&first, &second, &closed], start);
    }
}

#[test]
fn an_advertiser_without_a_campaign_has_no_log_files() {
    let bench = bench(&[], 5);
    let body = json!({"errors": [{"code": "no-campaign-found"}]}).to_string();
    let fault =
        json!({"match": {"path": "/log-level/advertisers/1002/"}, "times": null, "do": {"status": 403, "body": body}});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = sync(&bench, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_eq!((days_of(&transcript, "1002").len(), days_of(&transcript, "1003").len()), (0, 5));
    assert_eq!(state_of(&transcript)["groups"][0]["scope"], json!(["1001", "1002", "1003"]));
}

/// For any order of the list, and if a third file joins two at any position.
#[test]
fn log_files_with_the_same_name_keep_distinct_keys() {
    let bench = bench(&[], 6);
    let first = sync(&bench, None);
    let list = |blobs: &[&str], host: &str| {
        let file = |blob: &&str| {
            let url = format!("{host}/files/{blob}.csv.gz?until=2030-01-01T00:00:00Z&sig=a%2Bb%2F%3D");
            json!({"fileName": "1001_2026-10-31.csv.gz", "url": url})
        };
        json!({"data": [{"attributes": {"files": blobs.iter().map(file).collect::<Vec<_>>()}}]}).to_string()
    };
    let stream = bench.discover()[LOG].clone();
    let mut tables = Vec::new();
    let (a, b, c, d) = ("1001_2026-10-31", "1001_2026-10-29", "1001_2026-10-30", "1001_2026-10-28");
    for blobs in [&[a][..], &[a, b, c], &[c, b, a], &[d, c, a, b]] {
        let fault = json!({"match": {"path": "/log-level/advertisers/1001/", "window": "2026-10-31"}, "times": 1,
            "do": {"body": list(blobs, &bench.sandbox.url())}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = sync(&bench, Some(&first.final_state()));
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let is_reported = transcript.logs("WARN").iter().any(|text| text.contains("on 2026-10-31 have the same name"));
        assert_eq!(is_reported, blobs.len() > 1);
        let of_day = transcript.records(LOG).into_iter();
        tables.push(by_key(of_day.filter(|r| r["advertiser_id"] == "1001" && r["day"] == "2026-10-31"), &stream));
    }
    assert_eq!(tables[1], tables[2], "another order");
    for (fewer, more) in [(0, 1), (1, 3)] {
        assert!(tables[fewer].iter().all(|(key, row)| tables[more].get(key) == Some(row)), "a file more");
        assert!(tables[fewer].len() < tables[more].len());
    }
}

/// The first download breaks off after some rows were written, and the second one is another file. Storages need not send an
/// `ETag`; without any mark of a version the rows are written again, too.
#[test]
fn a_log_file_replaced_between_two_attempts_is_not_mixed() {
    const ROWS: u32 = 60_000;
    for headers in [
        [json!({"ETag": "\"a\""}), json!({"ETag": "\"b\""})],
        [
            json!({"Last-Modified": "Sat, 31 Oct 2026 01:00:00 GMT"}),
            json!({"Last-Modified": "Sat, 31 Oct 2026 02:00:00 GMT"}),
        ],
        [json!({}), json!({})],
    ] {
        let bench = bench(&[], 3);
        // Rows that hardly compress, so that some arrive before the connection breaks.
        let row = |ad_set: &str, index: u32| format!("{:x},{ad_set}\n", index.wrapping_mul(2_654_435_761));
        let file = |ad_set: &str| {
            "EVENT_TYPE,AD_SET_ID\n".to_owned() + &(0..ROWS).map(|index| row(ad_set, index)).collect::<String>()
        };
        let at = json!({"path": "/files/1001_2026-10-30"});
        let [first, second] = &headers;
        let cut = json!({"match": at, "times": 1, "do": {"status": 200, "headers": first, "body": file("300001"),
            "gzip": true, "delivery": {"cut_after": 120_000}}});
        let second_attempt = json!({"path": "/files/1001_2026-10-30", "nth": 2});
        let whole = json!({"match": second_attempt, "times": null, "do": {"status": 200, "headers": second, "body": file("300002"),
            "gzip": true}});
        bench.sandbox.add_fault(cut).unwrap();
        bench.sandbox.add_fault(whole).unwrap();
        let transcript = sync(&bench, None);
        assert_eq!(transcript.code, Some(0), "{headers:?}: {:?}", transcript.errors());
        let records = transcript.records(LOG).into_iter();
        let of_file: Vec<_> =
            records.filter(|r| r["advertiser_id"] == "1001" && r["day"] == "2026-10-30").cloned().collect();
        assert!(of_file.len() > ROWS as usize, "{headers:?}: nothing was written of the first file: {}", of_file.len());
        // What a destination that merges by key holds: the later row wins.
        let table: std::collections::BTreeMap<_, _> =
            of_file.iter().map(|row| (row["line_number"].to_string(), row)).collect();
        assert_eq!(table.len(), ROWS as usize, "{headers:?}");
        assert!(table.values().all(|row| row["ad_set_id"] == "300002"), "{headers:?}: rows of two files");
    }
}

#[test]
fn a_log_file_compressed_twice_is_reported() {
    let bench = bench(&[("log_compression", "twice")], 3);
    let transcript = sync(&bench, None);
    assert_eq!((transcript.code, transcript.statuses(LOG).last()), (Some(1), Some(&"INCOMPLETE")));
    let message = transcript.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("compressed twice") && message.contains("Log file 1001_2026-10-29.csv.gz"), "{message}");
    assert!(transcript.records(LOG).is_empty());
    assert_eq!(state_of(&transcript)["holes"][0]["to"], "2026-10-29", "{}", state_of(&transcript));
}

fn log_state(cursor: &str) -> Value {
    json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": LOG}, "stream_state":
        {"version": 1, "fingerprint": "log level|false", "groups": [{"cursor": cursor, "advertisers": ["1001", "1002", "1003"]}]}}}])
}

fn cursor_of(state: &Value, advertiser: &str) -> Option<String> {
    let groups = state[0]["stream"]["stream_state"]["groups"].as_array().unwrap();
    let group = groups.iter().find(|group| group.to_string().contains(&format!("\"{advertiser}\"")));
    group.map(|group| group["cursor"].as_str().unwrap().to_owned())
}

#[test]
fn log_files_added_to_a_recent_day_are_read() {
    let bench = Bench::new(Options::default(), 6);
    let catalog = bench.catalog(&[LOG], "incremental");
    let first = bench.read(&catalog, None);
    assert_truth_of_log(&bench, &first);
    let state = first.final_state();
    assert_eq!(cursor_of(&state, "1001").unwrap(), "2026-10-29", "two days may still get files");
    let attributes = |names: [&str; 2]| {
        let files = names.map(|name| json!({"fileName": "same.csv.gz", "url": format!("{}/files/{name}?until=2030-01-01T00:00:00Z&sig=a%2Bb%2F%3D", bench.sandbox.url())}));
        json!({"data": [{"attributes": {"files": files}}]}).to_string()
    };
    // The day now has two files with one name, in varying order.
    let mut tables = Vec::new();
    for names in
        [["1001_2026-10-31.csv.gz", "1001_2026-10-30.csv.gz"], ["1001_2026-10-30.csv.gz", "1001_2026-10-31.csv.gz"]]
    {
        let fault = json!({"match": {"path": "/log-level/advertisers/1001/", "window": "2026-10-31"}, "times": 1,
            "do": {"body": attributes(names)}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = bench.read(&catalog, Some(&state));
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let stream = &bench.discover()[LOG];
        let of_day =
            transcript.records(LOG).into_iter().filter(|r| r["advertiser_id"] == "1001" && r["day"] == "2026-10-31");
        tables.push(by_key(of_day, stream));
    }
    let files: BTreeSet<_> = tables[0].values().map(|record| record["file_name"].to_string()).collect();
    assert_eq!(files.len(), 2);
    assert_eq!(tables[0], tables[1]);
}

fn assert_truth_of_log(bench: &Bench, transcript: &Transcript) {
    let stream = &bench.discover()[LOG];
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_eq!(by_key(transcript.records(LOG), stream), by_key(&truth::small(bench, LOG, stream), stream));
}

#[test]
fn a_deleted_log_file_affects_only_its_day() {
    for (action, words) in [
        (json!({"status": 404}), "the file was deleted"),
        (json!({"status": 410}), "the file was deleted"),
        (json!({"status": 403}), "the file was deleted"),
    ] {
        let bench = Bench::new(Options::default(), 10);
        let fault = json!({"match": {"path": "/files/1002_2026-10-25"}, "times": null, "do": action});
        bench.sandbox.add_fault(fault).unwrap();
        let catalog = bench.catalog(&[LOG], "incremental");
        let transcript = bench.read(&catalog, None);
        assert_eq!(transcript.statuses(LOG).last(), Some(&"INCOMPLETE"));
        let message = transcript.errors()[0]["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("1002_2026-10-25.csv.gz of 2026-10-25"), "{message}");
        assert_eq!(calls(&bench, "/files/1002_2026-10-25"), 2, "new links were requested once");
        assert_eq!((days_of(&transcript, "1001").len(), days_of(&transcript, "1002").len()), (10, 9));
        assert!(message.contains("Not read: 2026-10-25 of 1002"), "{message}");
        let state = transcript.final_state();
        assert_eq!(cursor_of(&state, "1002").unwrap(), "2026-10-29");
        assert_eq!(cursor_of(&state, "1001").unwrap(), "2026-10-29");
    }
}

#[test]
fn an_advertiser_with_refused_log_files_does_not_delay_others() {
    for refusal in refusals() {
        let bench = Bench::new(Options::default(), 5);
        let fault = json!({"match": {"path": "/log-level/advertisers/1002/"}, "times": null, "do": refusal});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = bench.read(&bench.catalog(&[LOG], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert!(transcript.logs("WARN").iter().any(|log| log.contains("1002") && log.contains("Not this one")));
        assert_eq!((days_of(&transcript, "1003").len(), days_of(&transcript, "1002").len()), (5, 0));
        assert_eq!(cursor_of(&transcript.final_state(), "1002"), None);
    }
}

#[test]
fn the_log_file_cursor_never_passes_an_unread_day() {
    let mut bench = Bench::new(Options::default(), 10);
    let catalog = bench.catalog(&[LOG], "incremental");
    for future in ["2621-01-01", "+262142-12-31"] {
        let transcript = bench.read(&catalog, Some(&log_state(future)));
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert!(transcript.logs("WARN").iter().any(|log| log.contains("in the future")), "{future}");
        assert_eq!(days_of(&transcript, "1001").len(), 2);
        assert_eq!(cursor_of(&transcript.final_state(), "1001").unwrap(), "2026-10-29");
    }
    // A start after the cursor does not move it.
    bench.config["start_date"] = json!("2026-10-27");
    let transcript = bench.read(&catalog, Some(&log_state("2026-10-20")));
    assert_eq!(days_of(&transcript, "1001").len(), 5);
    assert_eq!(cursor_of(&transcript.final_state(), "1001").unwrap(), "2026-10-20");
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("2026-10-21")), "{:?}", transcript.logs("WARN"));
}
