//! Partial lists: missing data is named and does not count as read; everything else is written.

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};

fn fault(bench: &Bench, matches: &Value, action: &Value) {
    bench.sandbox.add_fault(json!({"match": matches, "times": null, "do": action})).unwrap();
}

fn read(bench: &Bench, name: &str) -> Transcript {
    bench.read(&bench.catalog(&[name], "full_refresh"), None)
}

/// The error message of an incomplete stream.
fn incomplete(transcript: &Transcript, name: &str) -> String {
    assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{name}");
    let errors = transcript.errors();
    let error = errors.iter().find(|error| error["stream_descriptor"]["name"] == name).unwrap();
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn budgets_are_incomplete_if_their_second_request_is_refused() {
    for status in [400, 403, 404] {
        let bench = Bench::new(Options::default(), 1);
        let whole = read(&bench, "mpo_budgets").records("mpo_budgets").len();
        fault(
            &bench,
            &json!({"path": "/budgets", "text": "2000-01-01", "advertiser": "1002"}),
            &json!({"status": status, "body": "{}"}),
        );
        let transcript = read(&bench, "mpo_budgets");
        let said = incomplete(&transcript, "mpo_budgets");
        assert!(said.contains("1002") && said.contains("could not be read"), "{status}: {said}");
        let records = transcript.records("mpo_budgets");
        assert!(records.len() < whole && records.iter().any(|record| record["advertiser_id"] == "1002"), "{status}");
    }
}

#[test]
fn no_state_skips_children_of_an_unlisted_parent() {
    let name = "ad_set_display_multipliers";
    let options = || Options { advertisers: 5, campaigns: 4, ad_sets: 5, ..Options::default() };
    for fails in [false, true] {
        let bench = Bench::new(options(), 1);
        if fails {
            fault(&bench, &json!({"path": "/ad-sets/search", "text": "\"1004\""}), &json!({"status": 500, "body": ""}));
        }
        let mut catalog = bench.catalog(&[name], "full_refresh");
        catalog["streams"][0]["sync_id"] = json!(7);
        let transcript = bench.read(&catalog, None);
        let is_passed = transcript.states(name).iter().any(|(_, state)| state.to_string().contains("\"after\""));
        assert_eq!(is_passed, !fails, "{fails}");
        assert!(transcript.records(name).len() > 50, "{fails}");
        if fails {
            assert!(incomplete(&transcript, name).contains("1004"));
        }
    }
}

#[test]
fn every_advertiser_whose_list_fails_is_named() {
    for (advertisers, failing) in [(6, &["1002", "1005"][..]), (300, &["1001"])] {
        let bench = Bench::new(Options { advertisers, campaigns: 1, ..Options::default() }, 1);
        for id in failing {
            let text = format!("\"{id}\"");
            fault(&bench, &json!({"path": "/campaigns/search", "text": text}), &json!({"status": 500, "body": ""}));
        }
        let transcript = read(&bench, "campaigns");
        let said = incomplete(&transcript, "campaigns");
        assert!(failing.iter().all(|id| said.contains(id)) && said.contains("those of the others were"), "{said}");
        let read = usize::try_from(advertisers).unwrap() - failing.len();
        assert_eq!(transcript.records("campaigns").len(), read);
    }
}

#[test]
fn a_single_day_report_that_announces_more_rows_fails() {
    let name = "mpo_campaign_statistics";
    let bench = Bench::new(Options::default(), 2);
    fault(&bench, &json!({"path": "/stats/campaigns"}), &json!({"mutate": {"/links": {"next": "/page/2"}}}));
    let said = incomplete(&bench.read(&bench.catalog(&[name], "incremental"), None), name);
    assert!(said.contains("another page after") && said.contains("rows of this report"), "{said}");
}

#[test]
fn a_day_without_log_files_may_be_a_single_element() {
    let bench = Bench::new(Options::default(), 3);
    let body = json!({"data": [{"type": "x", "attributes": {"files": []}}], "meta": {"totalItems": 1}});
    fault(&bench, &json!({"path": "/log-level/"}), &json!({"body": body.to_string()}));
    let transcript = bench.read(&bench.catalog(&["log_level_events"], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
}
