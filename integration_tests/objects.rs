//! Streams of objects: pages, parents, permissions, and syncs that are interrupted.

use std::collections::BTreeSet;
use std::time::Instant;

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::truth::{self, by_key};

/// The streams of objects that a bench discovers.
fn objects(bench: &Bench) -> Vec<String> {
    let discovered = bench.discover();
    let is_object = |stream: &&Value| {
        !stream["json_schema"]["properties"]["timezone"].is_object() && stream["name"] != "log_level_events"
    };
    discovered.values().filter(is_object).map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

fn read(bench: &Bench, names: &[String]) -> Transcript {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.read(&bench.catalog(&names, "full_refresh"), None)
}

fn assert_truth(bench: &Bench, transcript: &Transcript, name: &str) {
    let stream = &bench.discover()[name];
    let truth = truth::entity(bench, name, stream);
    assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{name}");
    assert_eq!(transcript.records(name).len(), truth.len(), "{name}: a row came twice");
}

fn calls(bench: &Bench, part: &str) -> usize {
    bench.sandbox.requests().iter().filter(|request| request.line.contains(part)).count()
}

#[test]
fn parents_are_asked_for_once_whether_they_are_selected_or_not() {
    for is_selected in [true, false] {
        let bench = Bench::new(Options::default(), 1);
        let mut names = objects(&bench);
        let parents = ["ad_sets", "creatives", "audience_segments", "product_sets", "mpo_advertisers"];
        names.retain(|name| is_selected || !parents.contains(&name.as_str()));
        let transcript = read(&bench, &names);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        for name in &names {
            assert_truth(&bench, &transcript, name);
        }
        assert_eq!(calls(&bench, "/ad-sets/search"), 1);
        assert_eq!(calls(&bench, "/audience-segments/search"), 2, "24 segments and the end");
        assert_eq!(calls(&bench, "/product-sets/dataset/"), 6, "two datasets of each advertiser");
    }
}

#[test]
fn a_version_without_a_stream_does_not_list_it() {
    let mut bench = Bench::new(Options::default(), 1);
    bench.config["api_version"] = json!("2026-01");
    assert!(!bench.discover().contains_key("product_boosts"));
    let transcript = read(&bench, &["product_sets".to_owned(), "product_filters".to_owned()]);
    assert_truth(&bench, &transcript, "product_filters");
    for version in ["2026-07", "2027-01", "preview"] {
        bench.config["api_version"] = json!(version);
        assert!(bench.discover().contains_key("product_boosts"), "{version}");
        assert_eq!(bench.discover().contains_key("ads"), version != "preview");
        assert_eq!(bench.discover().contains_key("ad_level_statistics"), version == "2027-01");
    }
}

#[test]
fn every_permission_that_is_missing_fails_its_streams_alone_and_is_named() {
    for (permission, label, failing) in [
        (Permission::Campaigns, "Campaigns: Read", &["campaigns", "ad_sets", "mpo_sellers"][..]),
        (Permission::Creatives, "Creatives: Read", &["ads", "creatives", "coupons"]),
        (Permission::Audiences, "Audiences: Read", &["audiences", "contact_list_statistics", "in_market_brands"]),
        (Permission::Recommendations, "Recommendations: Read", &["product_sets", "product_filters", "product_boosts"]),
    ] {
        let bench = Bench::new(Options { without_permission: vec![permission], ..Options::default() }, 1);
        let names = objects(&bench);
        let transcript = read(&bench, &names);
        assert_eq!(transcript.code, Some(1));
        for name in &names {
            let error = transcript.errors().into_iter().find(|error| error["stream_descriptor"]["name"] == *name);
            match error {
                Some(error) => {
                    let message = error["message"].as_str().unwrap();
                    assert!(message.contains(label) && message.contains("frozen once"), "{name}: {message}");
                    assert_eq!(error["failure_type"], "config_error");
                }
                None => assert_truth(&bench, &transcript, name),
            }
        }
        for name in failing {
            assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{name}");
        }
    }
}

#[test]
fn pages_are_walked_to_the_end_whatever_the_server_does() {
    for page_limit in [1, 2, 7, 60] {
        let bench = Bench::new(Options { page_limit, audiences: 20, ..Options::default() }, 1);
        for total in [json!(null), json!(0), json!(5)] {
            // Totals that are absent or wrong.
            let fault = json!({"match": {"path": "/audiences/search"}, "times": 200,
                "do": {"mutate": {"/meta/totalItems": total}}});
            bench.sandbox.add_fault(fault).unwrap();
        }
        let transcript = read(&bench, &["audiences".to_owned(), "ads".to_owned(), "creatives".to_owned()]);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        for name in ["audiences", "ads", "creatives"] {
            assert_truth(&bench, &transcript, name);
        }
    }
}

#[test]
fn objects_that_vanish_between_pages_do_not_hide_others() {
    let bench = Bench::new(Options { page_limit: 10, ..Options::default() }, 1);
    let fault = json!({"match": {"path": "/audiences/", "nth": 4}, "do": {"delivery": {"delay_ms": 800}}, "times": 1});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(&["audiences"], "full_refresh");
    let transcript = std::thread::scope(|scope| {
        let reading = scope.spawn(|| bench.read(&catalog, None));
        crate::harness::wait_until(|| calls(&bench, "/audiences/search") >= 4);
        // Objects of pages that have been read: everything behind them moves up.
        bench.sandbox.change(|options| options.deleted_ids = (600_001..600_016).map(|id| id.to_string()).collect());
        reading.join().unwrap()
    });
    let ids: BTreeSet<_> = transcript.records("audiences").iter().map(|record| record["id"].to_string()).collect();
    let there = bench.sandbox.world().objects("audiences", "2026-07").unwrap();
    assert!(there.iter().all(|object| ids.contains(&object["id"].to_string())), "{} of {}", ids.len(), there.len());
    assert_eq!(ids.len(), transcript.records("audiences").len(), "none comes twice");
}

#[test]
fn the_same_page_for_ever_ends_the_stream() {
    let bench = Bench::new(Options::default(), 1);
    let page = json!({"data": [{"id": "1", "attributes": {"name": "x"}}, {"id": "2", "attributes": {"name": "y"}}]});
    let fault = json!({"match": {"path": "/audiences/"}, "do": {"body": page.to_string()}, "times": null});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = read(&bench, &["audiences".to_owned()]);
    assert_eq!(transcript.errors()[0]["failure_type"], "system_error");
    assert!(calls(&bench, "/audiences/") <= 4);
}

#[test]
fn a_parent_that_has_vanished_is_passed_over_with_a_count() {
    let bench = Bench::new(Options::default(), 1);
    for id in ["300003", "300007"] {
        let fault = json!({"match": {"path": format!("{id}/category-bids")}, "times": null,
            "do": {"status": 404, "body": "{\"errors\":[]}"}});
        bench.sandbox.add_fault(fault).unwrap();
    }
    let transcript = read(&bench, &["ad_set_category_bids".to_owned()]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("2 of 12 parents")), "{:?}", transcript.logs("WARN"));
    // Where no parent has it, the endpoint is gone.
    let fault = json!({"match": {"path": "/category-bids"}, "times": null, "do": {"status": 404, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let gone = read(&bench, &["ad_set_category_bids".to_owned()]);
    assert!(gone.errors()[0]["message"].as_str().unwrap().contains("newer api_version"), "{:?}", gone.errors());
}

#[test]
fn an_interrupted_full_refresh_goes_on_within_its_sync() {
    let options = Options { campaigns: 10, ad_sets: 10, ..Options::default() };
    let bench = Bench::new(options, 1);
    let name = "ad_set_display_multipliers";
    let mut catalog = bench.catalog(&[name], "full_refresh");
    catalog["streams"][0]["sync_id"] = json!(7);
    let whole = bench.read(&catalog, None);
    assert_truth(&bench, &whole, name);
    let states = whole.states(name);
    assert!(states.len() > 3, "{} states", states.len());
    let stream = bench.discover()[name].clone();
    let truth = by_key(&truth::entity(&bench, name, &stream), &stream);
    for (at, state) in &states[..states.len() - 1] {
        assert_eq!(state["stream"]["stream_state"]["sync_id"], 7);
        let before = calls(&bench, "/display-multipliers");
        let resumed = bench.read(&catalog, Some(&whole.state_after(at + 1)));
        let again = calls(&bench, "/display-multipliers") - before;
        assert!(again < 300, "{again} calls");
        let kept = whole.messages[..*at].iter().filter(|message| message["record"]["stream"] == name);
        let kept = kept.map(|message| message["record"]["data"].as_object().unwrap());
        assert_eq!(by_key(kept.chain(resumed.records(name)), &stream), truth);
    }
    // Another sync begins anew.
    catalog["streams"][0]["sync_id"] = json!(8);
    let anew = bench.read(&catalog, Some(&whole.state_after(states[0].0 + 1)));
    assert_truth(&bench, &anew, name);
}

#[test]
fn audiences_that_have_not_changed_are_not_written_again() {
    let bench = Bench::new(Options::default(), 1);
    let catalog = bench.catalog(&["audiences", "audience_segments"], "incremental");
    let first = bench.read(&catalog, None);
    assert_truth(&bench, &first, "audiences");
    let state = first.final_state();
    assert_eq!(state[1]["stream"]["stream_state"]["updated_at"], "2026-02-03T02:05:06Z", "{state}");
    let mut later = state.clone();
    later[1]["stream"]["stream_state"]["updated_at"] = json!("2026-02-03T02:05:07Z");
    for (state, is_due) in [(&state, true), (&later, false)] {
        let again = bench.read(&catalog, Some(state));
        for record in again.records("audiences") {
            // Without an instant nobody knows.
            assert!(record["updated_at"].is_null() || is_due, "{record:?}");
        }
        assert!(!again.records("audiences").is_empty());
        assert_eq!(again.final_state()[1]["stream"], state[1]["stream"]);
    }
    let broken = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "audiences"},
        "stream_state": {"updated_at": "yesterday"}}}]);
    let refused = bench.read(&catalog, Some(&broken));
    assert_eq!(refused.errors()[0]["failure_type"], "config_error");
    assert!(refused.records("audiences").is_empty());
}

#[test]
fn countries_can_be_chosen() {
    let mut bench = Bench::new(Options::default(), 1);
    bench.config["countries"] = json!("DE, US, IT");
    let transcript = read(&bench, &["in_market_brands".to_owned()]);
    let records = transcript.records("in_market_brands");
    let countries: BTreeSet<_> = records.iter().map(|record| record["country"].as_str().unwrap()).collect();
    assert_eq!(countries.into_iter().collect::<Vec<_>>(), ["DE", "US"], "Italy has none");
    assert_eq!(records.len(), 3 * 2 * 4);
    assert_eq!(calls(&bench, "/audience-segments/search"), 0);
}

#[test]
fn an_advertiser_that_is_refused_is_left_out_of_lists_too() {
    let bench = Bench::new(Options::default(), 1);
    let body = json!({"errors": [{"type": "authorization", "code": "insufficient-advertisers-permissions"}]});
    let fault = json!({"match": {"path": "/advertisers/1002/ads"}, "times": null,
        "do": {"status": 403, "body": body.to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = read(&bench, &["ads".to_owned()]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_eq!(transcript.records("ads").len(), 24);
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("1002")));
}

#[test]
fn an_advertiser_that_is_refused_does_not_empty_a_search() {
    for is_listed in [true, false] {
        let mut bench = Bench::new(Options::default(), 1);
        if is_listed {
            bench.config["advertiser_ids"] = json!("1001,1002,1003");
        }
        let catalog = bench.catalog(&["campaigns", "ad_sets", "ad_set_category_bids", "audiences"], "full_refresh");
        bench.lose_consent_behind_the_portfolio("1002");
        let transcript = bench.read(&catalog, None);
        assert_eq!(transcript.code, Some(i32::from(is_listed)), "{:?}", transcript.errors());
        for name in ["campaigns", "ad_sets", "ad_set_category_bids", "audiences"] {
            assert_truth(&bench, &transcript, name);
            assert!(!transcript.records(name).is_empty());
        }
        assert!(transcript.logs("WARN").iter().any(|log| log.contains("refuses to list objects of 1002")));
    }
}

#[test]
fn an_advertiser_that_comes_later_brings_its_old_audiences_along() {
    let bench = Bench::new(Options { without_consent: vec!["1003".into()], ..Options::default() }, 1);
    let catalog = bench.catalog(&["audiences"], "incremental");
    let first = bench.read(&catalog, None);
    assert_truth(&bench, &first, "audiences");
    let mut state = first.final_state();
    state[0]["stream"]["stream_state"]["updated_at"] = json!("2026-09-01T00:00:00Z");
    bench.sandbox.change(|options| options.without_consent.clear());
    let second = bench.read(&catalog, Some(&state));
    let of = |id: &str| second.records("audiences").iter().filter(|record| record["advertiser_id"] == id).count();
    assert_eq!(of("1003"), 80);
    assert!(of("1001") < 80, "only those that do not say when they were changed");
}

#[test]
fn a_parent_whose_state_is_none_is_not_written_by_its_children() {
    let bench = Bench::new(Options::default(), 1);
    let mut catalog = bench.catalog(&["audience_segments", "contact_list_statistics"], "incremental");
    catalog["streams"][1]["sync_mode"] = json!("full_refresh");
    let broken = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "audience_segments"},
        "stream_state": {"updated_at": "yesterday"}}}]);
    let transcript = bench.read(&catalog, Some(&broken));
    assert_eq!(transcript.statuses("audience_segments"), ["STARTED", "INCOMPLETE"]);
    assert_truth(&bench, &transcript, "contact_list_statistics");
}

/// `cargo test -- --nocapture large_account` shows the figures.
#[test]
fn a_large_account_takes_hardly_more_calls_than_it_must() {
    let options = Options { advertisers: 200, campaigns: 5, ad_sets: 5, ads: 4, audiences: 2, ..Options::default() };
    let bench = Bench::new(options, 1);
    let names = ["advertisers", "campaigns", "ad_sets", "ads", "ad_set_category_bids"].map(str::to_owned);
    let started = Instant::now();
    let transcript = read(&bench, &names);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    for (name, count) in [("advertisers", 200), ("campaigns", 1000), ("ad_sets", 5000), ("ads", 20_000)] {
        assert_eq!(transcript.records(name).len(), count);
    }
    let calls = bench.sandbox.requests().len();
    // The token, the portfolio, three lists at once, a full page of ads for each advertiser, and the bids of each ad set.
    let least = 1 + 1 + 3 + 200 + 5000;
    println!("{calls} calls, at least {least}; {seconds:.1} s");
    assert!(calls <= least + 200, "one call an advertiser tells that its ads are at their end");
}
