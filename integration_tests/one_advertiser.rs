//! Criteo's response for one advertiser does not apply to others, and a temporary error is not a refusal.

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::json;

use crate::harness::{Bench, Transcript};
use crate::holes::{OF_DATA, OF_TOTALS, REPORT, assert_merged, fault, incremental, message, problem, rises, state_of};
use crate::streams::{assert_report, preset};
use crate::truth::{self, by_key};

#[test]
fn the_first_day_of_one_advertiser_does_not_apply_to_others() {
    for report in [REPORT, "placements_daily"] {
        let bench = Bench::new(Options { advertisers: 5, ..Options::default() }, 40);
        let first = bench.today() - Days::new(25);
        for day in 26..=41 {
            let matches = json!({"path": "/report", "advertiser": "1001", "covers": bench.today() - Days::new(day)});
            fault(&bench, matches, json!({"status": 400, "body": problem("odd")}));
        }
        let transcript = bench.read(&bench.catalog(&[report], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{report}: {:?}", transcript.errors());
        bench.sandbox.clear_faults();
        let whole = bench.read(&bench.catalog(&[report], "incremental"), None);
        let stream = &bench.discover()[report];
        let wanted: Vec<_> = whole
            .records(report)
            .into_iter()
            .filter(|record| record["advertiser_id"] != "1001" || record["day"].as_str() >= Some(&first.to_string()))
            .collect();
        let (there, wanted) = (by_key(transcript.records(report), stream), by_key(wanted, stream));
        assert_eq!(there.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{report}");
        let words = format!("1001 before {first}");
        assert!(transcript.logs("WARN").iter().any(|log| log.contains(&words)), "{:?}", transcript.logs("WARN"));
    }
}

/// A first day shared by two advertisers does not apply to a third whose responses are still pending.
#[test]
fn a_first_day_of_two_advertisers_does_not_apply_to_others() {
    let bench = Bench::new(Options { advertisers: 4, ads: 1, ..Options::default() }, 50);
    for advertiser in ["1001", "1003"] {
        for back in 20..=50 {
            let matches =
                json!({"path": "/statistics/", "advertiser": advertiser, "covers": bench.today() - Days::new(back)});
            fault(&bench, matches, json!({"status": 403, "body": problem("odd")}));
        }
    }
    let slow = json!({"path": "/statistics/", "text": OF_DATA});
    fault(&bench, slow, json!({"delivery": {"delay_ms": 150}}));
    let transcript = incremental(&bench, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let first = (bench.today() - Days::new(50)).to_string();
    for advertiser in ["1002", "1004"] {
        let rows = transcript.records(REPORT).into_iter().filter(|row| row["advertiser_id"] == advertiser);
        assert_eq!(rows.map(|row| row["day"].as_str().unwrap()).min(), Some(&*first), "{advertiser}");
    }
    let reported = transcript.logs("WARN").join("\n");
    assert!(reported.contains("report on 1001 before") && reported.contains("report on 1003 before"), "{reported}");
}

/// One advertiser's first day is only a hint for the next.
#[test]
fn a_first_day_skips_no_available_day_of_another_advertiser() {
    let mut bench = Bench::new(Options { advertisers: 2, ads: 1, ..Options::default() }, 31);
    bench.config["verify_totals"] = json!(false);
    for (advertiser, refused) in [("1001", 10..=31), ("1002", 10..=14)] {
        for back in refused {
            let covered = bench.today() - Days::new(back);
            let matches = json!({"path": "/statistics/", "advertiser": advertiser, "covers": covered, "text": OF_DATA});
            fault(&bench, matches, json!({"status": 403, "body": problem("odd")}));
        }
    }
    let transcript = incremental(&bench, None);
    let rows = transcript.records(REPORT).into_iter().filter(|row| row["advertiser_id"] == "1002");
    let first = (bench.today() - Days::new(31)).to_string();
    assert_eq!(rows.map(|row| row["day"].as_str().unwrap()).min(), Some(&*first));
    let holes = state_of(&transcript)["holes"].clone();
    let from = bench.today() - Days::new(14);
    assert_eq!((&holes[0]["from"], &holes[0]["scope"]), (&json!(from), &json!(["1002"])), "{holes}");
}

/// The code for days that are too old says nothing of other advertisers, whether they are in the same request or their
/// responses are still on their way.
#[test]
fn days_refused_for_one_advertiser_are_read_for_the_others() {
    for (delay, has_state) in [(0, false), (0, true), (800, false), (800, true)] {
        let mut bench = Bench::new(Options { advertisers: 3, ads: 1, ..Options::default() }, 40);
        let mut state = None;
        if has_state {
            // 1001 and 1003 resume, 1002 is new.
            bench.sandbox.change(|options| options.without_consent = vec!["1002".to_owned()]);
            bench.config["end_date"] = json!(bench.today() - Days::new(30));
            state = Some(incremental(&bench, None).final_state());
            bench.config.as_object_mut().unwrap().remove("end_date");
            bench.sandbox.change(|options| options.without_consent.clear());
        }
        for back in 11..=40 {
            let covered = bench.today() - Days::new(back);
            let matches = json!({"path": "/statistics/", "advertiser": "1002", "covers": covered});
            fault(&bench, matches, json!({"status": 400, "body": problem("invalid-timespan")}));
        }
        let slow = json!({"path": "/statistics/", "text": OF_DATA, "advertiser": "1001"});
        fault(&bench, slow, json!({"delivery": {"delay_ms": delay}}));
        let transcript = incremental(&bench, state.as_ref());
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let rows = transcript.records(REPORT);
        let days = |advertiser: &str, from: u64, to: u64| {
            let of = rows.iter().filter(|row| row["advertiser_id"] == advertiser);
            let days: std::collections::BTreeSet<_> = of.map(|row| row["day"].to_string()).collect();
            (to..=from).filter(|back| days.contains(&json!(bench.today() - Days::new(*back)).to_string())).count()
        };
        for advertiser in ["1001", "1003"] {
            assert_eq!(days(advertiser, 29, 1), 29, "{advertiser} {delay} {has_state}");
        }
        assert_eq!((days("1002", 40, 11), days("1002", 10, 1)), (0, 10), "{delay} {has_state}");
        let first = bench.today() - Days::new(10);
        let shown = transcript.logs("WARN").join("\n");
        assert!(shown.contains(&format!("days of 1002 before {first}")), "{shown}");
    }
}

/// An advertiser that has left in mid-sync is found with one call, whatever Criteo's code for the refusal.
#[test]
fn an_advertiser_that_leaves_in_mid_sync_costs_few_calls() {
    let mut bench = Bench::new(Options { advertisers: 2, ..Options::default() }, 400);
    bench.config["report_row_cap"] = json!(200);
    let matches = json!({"path": "/statistics/", "advertiser": "1002", "covers": bench.today() - Days::new(100)});
    fault(&bench, matches, json!({"status": 403, "body": problem("odd")}));
    let left = json!({"match": {"path": "/advertisers/me", "nth": 2}, "times": null,
        "do": {"body": json!({"data": [{"id": "1001", "type": "Advertiser", "attributes": {}}]}).to_string()}});
    bench.sandbox.add_fault(left).unwrap();
    let asked = bench.report_requests().len();
    let transcript = incremental(&bench, None);
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("refuses to report on 1002")));
    let calls = bench.report_requests().len() - asked;
    assert!(calls < 60, "{calls} calls");
}

/// The first day of new advertisers beside a state is found once, not requested day by day in every sync.
#[test]
fn the_first_days_of_new_advertisers_cost_few_requests() {
    let bench = Bench::new(Options { advertisers: 6, ads: 1, ..Options::default() }, 300);
    bench.sandbox.change(|options| options.without_consent = (1003..=1006).map(|id| id.to_string()).collect());
    let before = incremental(&bench, None);
    bench.sandbox.change(|options| options.without_consent.clear());
    for (number, advertiser) in (1003..=1006).enumerate() {
        for back in 150 + u64::try_from(number).unwrap()..=300 {
            let covered = bench.today() - Days::new(back);
            let matches = json!({"path": "/statistics/", "advertiser": advertiser.to_string(), "covers": covered});
            fault(&bench, matches, json!({"status": 403, "body": problem("odd")}));
        }
    }
    let calls = || bench.report_requests().len();
    let asked = calls();
    let first = incremental(&bench, Some(&before.final_state()));
    assert_eq!(first.code, Some(0), "{:?}", first.errors());
    assert!(calls() - asked < 250, "{} calls", calls() - asked);
    let asked = calls();
    let second = incremental(&bench, Some(&first.final_state()));
    assert_eq!((second.code, calls() - asked < 10), (Some(0), true), "{} calls", calls() - asked);
}

/// Refused days between available ones do not precede the first day, whatever the windows.
#[test]
fn refused_days_after_available_ones_are_a_hole() {
    for (advertisers, back) in [(1, 20), (1, 27), (3, 20), (3, 16), (3, 31), (1, 62)] {
        let mut bench = Bench::new(Options { advertisers, ..Options::default() }, back);
        bench.config["verify_totals"] = json!(false);
        let refused: Vec<_> = (10..=14).map(|back| bench.today() - Days::new(back)).collect();
        for day in &refused {
            let matches = json!({"path": "/statistics/", "covers": day, "advertiser": "1001", "text": OF_DATA});
            fault(&bench, matches, json!({"status": 403, "body": problem("odd")}));
        }
        let first = incremental(&bench, None);
        assert_eq!(first.code, Some(1), "{advertisers} {back}: {:?}", first.logs("WARN"));
        let state = state_of(&first);
        let (from, to) = (refused.last().unwrap(), refused.first().unwrap());
        assert_eq!(
            (&state["holes"][0]["from"], &state["holes"][0]["to"]),
            (&json!(from), &json!(to)),
            "{back}: {state}"
        );
        bench.sandbox.clear_faults();
        bench.config["lookback_days"] = json!(1);
        let second = incremental(&bench, Some(&first.final_state()));
        assert_eq!(second.code, Some(0));
        assert_merged(&bench, &[&first, &second], REPORT);
    }
}

/// A refusal that does not mention days sets no first day if few days are refused, or days that were available before.
#[test]
fn possibly_accidental_refused_days_are_a_hole() {
    for (advertisers, is_first_sync) in [(1, true), (3, true), (1, false), (3, false)] {
        let mut bench = Bench::new(Options { advertisers, ..Options::default() }, 38);
        let mut runs = Vec::new();
        if !is_first_sync {
            bench.config["lookback_days"] = json!(2);
            runs.push(incremental(&bench, None));
            rises(&mut bench, 1);
        }
        let day = bench.today() - Days::new(if is_first_sync { 38 } else { 3 });
        let matches = json!({"path": "/statistics/", "covers": day});
        fault(&bench, matches, json!({"status": 400, "body": problem("odd")}));
        let refused = incremental(&bench, runs.last().map(Transcript::final_state).as_ref());
        assert_eq!(refused.code, Some(1), "{advertisers} {is_first_sync}");
        assert!(message(&refused).contains(&day.to_string()), "{}", message(&refused));
        let state = state_of(&refused);
        let yesterday = (bench.today() - Days::new(1)).to_string();
        assert_eq!(state["groups"][0]["cursor"], *yesterday, "{state}");
        assert_eq!((&state["holes"][0]["from"], &state["holes"][0]["to"]), (&json!(day), &json!(day)), "{state}");
        let reported = refused.logs("WARN").join("\n");
        let words = format!("set start_date to {}", day + Days::new(1));
        assert!(reported.contains(&words) && reported.contains("refuses days of 1001"), "{reported}");
        bench.sandbox.clear_faults();
        let healed = incremental(&bench, Some(&refused.final_state()));
        assert_eq!(healed.code, Some(0), "{:?}", healed.errors());
        runs.extend([refused, healed]);
        assert_merged(&bench, &runs.iter().collect::<Vec<_>>(), REPORT);
    }
}

#[test]
fn a_hole_refused_again_delays_nothing() {
    for advertisers in [1, 3] {
        let mut bench = Bench::new(Options { advertisers, ..Options::default() }, 60);
        bench.config["verify_totals"] = json!(false);
        let matches = json!({"path": "/statistics/", "advertiser": "1001", "covers": "2026-09-15", "text": OF_DATA});
        fault(&bench, matches, json!({"status": 400, "body": problem("odd")}));
        let first = incremental(&bench, None);
        assert_eq!(first.code, Some(1), "{advertisers}");
        rises(&mut bench, 40);
        let second = incremental(&bench, Some(&first.final_state()));
        assert_eq!(second.code, Some(1), "{advertisers}: the hole is still open");
        assert!(message(&second).contains("2026-09-15 of 1001"), "{}", message(&second));
        let state = state_of(&second);
        let yesterday = (bench.today() - Days::new(1)).to_string();
        assert!(state["groups"].as_array().unwrap().iter().all(|group| group["cursor"] == *yesterday), "{state}");
        assert_eq!(state["holes"][0]["from"], "2026-09-15", "{state}");
        assert_eq!(state["holes"][0]["tries"], 2, "{state}");
        bench.sandbox.clear_faults();
        let third = incremental(&bench, Some(&second.final_state()));
        assert_eq!(third.code, Some(0), "{advertisers}");
        assert_merged(&bench, &[&first, &second, &third], REPORT);
    }
}

#[test]
fn a_known_error_code_overrides_the_message() {
    for code in ["permission-denied", "insufficient-advertisers-permissions"] {
        let bench = Bench::new(Options::default(), 10);
        let title = "The app may see no campaign of this advertiser";
        let body = json!({"errors": [{"type": "access-control", "code": code, "title": title}]}).to_string();
        fault(&bench, json!({"path": "/statistics/", "advertiser": "1001"}), json!({"status": 403, "body": body}));
        let transcript = incremental(&bench, None);
        let reported = format!("{:?} {:?}", transcript.logs("WARN"), transcript.errors());
        assert!(reported.contains("1001"), "{code}: {reported}");
        let state = state_of(&transcript);
        let has_moved =
            state["groups"].as_array().unwrap().iter().any(|group| group["scope"].to_string().contains("1001"));
        assert!(!has_moved, "{code}: {state}");
    }
}

#[test]
fn a_temporary_error_is_not_a_refusal() {
    let body =
        json!({"errors": [{"type": "unknown", "code": "internal-error", "title": "Try again later"}]}).to_string();
    let bench = Bench::new(Options { advertisers: 3, ..Options::default() }, 10);
    fault(&bench, json!({"path": "/statistics/", "advertiser": "1003"}), json!({"body": body}));
    for mode in ["full_refresh", "incremental"] {
        let transcript = bench.read(&bench.catalog(&[REPORT], mode), None);
        assert_eq!(transcript.code, Some(1), "{mode}");
        assert!(message(&transcript).contains("1003"), "{mode}: {}", message(&transcript));
        let mut query = preset(REPORT);
        query["advertiserIds"] = json!("1001,1002");
        assert_report(&bench, &transcript, REPORT, &query);
    }
}

#[test]
fn generic_error_words_do_not_blame_a_custom_report() {
    let mut bench = Bench::new(Options { advertisers: 3, ..Options::default() }, 10);
    bench.config["custom_reports"] = json!([{"name": "r", "dimensions": ["CampaignId", "Day"], "metrics": ["Clicks"]}]);
    let body =
        json!({"errors": [{"type": "validation", "code": "odd", "title": "This advertiser has no data for this day"}]});
    let action = json!({"status": 400, "body": body.to_string()});
    fault(&bench, json!({"path": "/statistics/", "advertiser": "1003"}), action);
    let transcript = bench.read(&bench.catalog(&["custom_r"], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let read: std::collections::BTreeSet<_> = transcript
        .records("custom_r")
        .iter()
        .map(|record| record["advertiser_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(read.into_iter().collect::<Vec<_>>(), ["1001", "1002"]);
}

#[test]
fn equal_rows_are_merged_without_totals() {
    let bench = Bench::new(Options::default(), 20);
    bench.sandbox.change(|options| {
        options.unknowns.set("repeated_keys", "identical").unwrap();
        options.unknowns.set("totals_request", "500").unwrap();
    });
    let transcript = incremental(&bench, None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    bench.sandbox.change(|options| options.unknowns.set("repeated_keys", "none").unwrap());
    let stream = &bench.discover()[REPORT];
    let truth = by_key(&truth::report(&bench, &preset(REPORT), stream), stream);
    assert_eq!(by_key(transcript.records(REPORT), stream), truth);
}

#[test]
fn an_unreadable_advertiser_does_not_delay_others() {
    for mode in ["full_refresh", "incremental"] {
        let bench = Bench::new(Options { advertisers: 3, ..Options::default() }, 60);
        fault(&bench, json!({"path": "/statistics/", "advertiser": "1003"}), json!({"status": 503, "body": "{}"}));
        let transcript = bench.read(&bench.catalog(&[REPORT], mode), None);
        assert_eq!(transcript.code, Some(1), "{mode}");
        assert!(bench.report_requests().len() < 120, "{mode}: {} requests", bench.report_requests().len());
        let mut query = preset(REPORT);
        query["advertiserIds"] = json!("1001,1002");
        assert_report(&bench, &transcript, REPORT, &query);
    }
}

#[test]
fn first_days_are_searched_one_at_a_time() {
    let report = "mpo_campaign_statistics";
    let bench = Bench::new(Options { advertisers: 3, ..Options::default() }, 60);
    let first = bench.today() - Days::new(25);
    for day in 26..=61 {
        let matches = json!({"path": "/stats/", "covers": bench.today() - Days::new(day)});
        fault(&bench, matches, json!({"status": 400, "body": problem("invalid-timespan")}));
    }
    let transcript = bench.read(&bench.catalog(&[report], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let calls = bench.sandbox.requests().iter().filter(|request| request.line.contains("/stats/")).count();
    assert!(calls < 40, "{calls} calls");
    let days: Vec<_> =
        transcript.records(report).iter().map(|record| record["day"].as_str().unwrap().to_owned()).collect();
    assert_eq!(days.iter().min(), Some(&first.to_string()));
}

#[test]
fn totals_that_fail_once_do_not_affect_other_windows() {
    let bench = Bench::new(Options { advertisers: 1, ..Options::default() }, 60);
    // Totals of one day time out, and so do totals of longer windows that include it.
    let matches = json!({"path": "/statistics/", "covers": "2026-09-15", "text": OF_TOTALS});
    fault(&bench, matches, json!({"status": 504, "body": ""}));
    let transcript = incremental(&bench, None);
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    let state = state_of(&transcript);
    let holes = state["holes"].as_array().unwrap();
    assert!(holes.iter().all(|hole| hole["why"] == "uncompared"), "{state}");
    let span = |hole: &serde_json::Value| {
        let day = |key: &str| hole[key].as_str().unwrap().parse::<chrono::NaiveDate>().unwrap();
        (day("to") - day("from")).num_days() + 1
    };
    let days: i64 = holes.iter().map(span).sum();
    assert!((1..=31).contains(&days), "{days} of 60 days: {state}");
}

#[test]
fn an_ad_set_list_applies_only_to_its_own_days() {
    let report = "ad_set_statistics_hourly";
    for is_verified in [true, false] {
        let options = Options {
            advertisers: 1,
            campaigns: 5,
            ad_sets: 6,
            ads: 1,
            activity: 50,
            row_cap: 40,
            ..Options::default()
        };
        let mut bench = Bench::new(options, 28);
        bench.config["verify_totals"] = json!(is_verified);
        // Only lists for a single day respond in time.
        let lists = json!({"path": "/statistics/", "text": "[\"AdvertiserId\",\"AdsetId\"]", "longer_than": 1});
        fault(&bench, lists, json!({"status": 504, "body": ""}));
        let transcript = bench.read(&bench.catalog(&[report], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{is_verified}: {:?}", transcript.errors());
        assert_report(&bench, &transcript, report, &preset(report));
    }
}

#[test]
fn an_ad_set_list_too_long_for_one_request_is_split() {
    let report = "ad_set_statistics_hourly";
    let options =
        Options { advertisers: 1, campaigns: 5, ad_sets: 6, ads: 1, activity: 50, row_cap: 40, ..Options::default() };
    let bench = Bench::new(options, 10);
    let parts = json!({"path": "/statistics/", "text": "\"adSetIds\":[\""});
    bench.sandbox.add_fault(json!({"match": parts, "times": 2, "do": {"status": 413, "body": "{}"}})).unwrap();
    let transcript = bench.read(&bench.catalog(&[report], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_report(&bench, &transcript, report, &preset(report));
}
