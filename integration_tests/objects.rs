//! Object streams: pages, parents, permissions, interrupted syncs.

use std::collections::BTreeSet;
use std::time::Instant;

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::truth::{self, by_key};

/// The object streams that a bench discovers.
fn objects(bench: &Bench) -> Vec<String> {
    let discovered = bench.discover();
    let is_object = |stream: &&Value| {
        !stream["json_schema"]["properties"]["timezone"].is_object() && stream["name"] != "log_level_events"
    };
    discovered.values().filter(is_object).map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

pub fn read(bench: &Bench, names: &[String]) -> Transcript {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.read(&bench.catalog(&names, "full_refresh"), None)
}

pub fn assert_truth(bench: &Bench, transcript: &Transcript, name: &str) {
    let stream = &bench.discover()[name];
    let truth = truth::entity(bench, name, stream);
    assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{name}");
    assert_eq!(transcript.records(name).len(), truth.len(), "{name}: duplicate row");
}

pub fn calls(bench: &Bench, part: &str) -> usize {
    bench.sandbox.requests().iter().filter(|request| request.line.contains(part)).count()
}

#[test]
fn parents_are_requested_once_selected_or_not() {
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
        assert_eq!(calls(&bench, "/audience-segments/search"), 2, "24 segments and the last page");
        assert_eq!(calls(&bench, "/product-sets/dataset/"), 6, "two datasets per advertiser");
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
fn a_missing_permission_fails_only_its_streams() {
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
fn all_pages_are_read_whatever_the_server_does() {
    for page_limit in [1, 2, 7, 60] {
        let bench = Bench::new(Options { page_limit, audiences: 20, ..Options::default() }, 1);
        for total in [json!(null), json!(0), json!(5)] {
            // Missing or wrong totals.
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
fn objects_deleted_between_pages_do_not_hide_others() {
    let bench = Bench::new(Options { page_limit: 10, ..Options::default() }, 1);
    let fault = json!({"match": {"path": "/audiences/", "nth": 4}, "do": {"delivery": {"delay_ms": 800}}, "times": 1});
    bench.sandbox.add_fault(fault).unwrap();
    let catalog = bench.catalog(&["audiences"], "full_refresh");
    let transcript = std::thread::scope(|scope| {
        let reading = scope.spawn(|| bench.read(&catalog, None));
        crate::harness::wait_until(|| calls(&bench, "/audiences/search") >= 4);
        // Objects on pages already read: all later objects move up.
        bench.sandbox.change(|options| options.deleted_ids = (600_001..600_016).map(|id| id.to_string()).collect());
        reading.join().unwrap()
    });
    let ids: BTreeSet<_> = transcript.records("audiences").iter().map(|record| record["id"].to_string()).collect();
    let there = bench.sandbox.world().objects("audiences", "2026-07").unwrap();
    assert!(there.iter().all(|object| ids.contains(&object["id"].to_string())), "{} of {}", ids.len(), there.len());
    assert_eq!(ids.len(), transcript.records("audiences").len(), "no duplicates");
}

#[test]
fn a_repeating_page_fails_the_stream() {
    let bench = Bench::new(Options::default(), 1);
    let page = json!({"data": [{"id": "1", "attributes": {"name": "x"}}, {"id": "2", "attributes": {"name": "y"}}]});
    let fault = json!({"match": {"path": "/audiences/"}, "do": {"body": page.to_string()}, "times": null});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = read(&bench, &["audiences".to_owned()]);
    assert_eq!(transcript.errors()[0]["failure_type"], "system_error");
    assert!(calls(&bench, "/audiences/") <= 4);
}

#[test]
fn deleted_parents_are_skipped_and_counted() {
    let bench = Bench::new(Options::default(), 1);
    for id in ["300003", "300007"] {
        let fault = json!({"match": {"path": format!("{id}/category-bids")}, "times": null,
            "do": {"status": 404, "body": "{\"errors\":[]}"}});
        bench.sandbox.add_fault(fault).unwrap();
    }
    let transcript = read(&bench, &["ad_set_category_bids".to_owned()]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(transcript.logs("WARN").iter().any(|log| log.contains("2 of 12 parents")), "{:?}", transcript.logs("WARN"));
    // If no parent has it, the endpoint is gone.
    let fault = json!({"match": {"path": "/category-bids"}, "times": null, "do": {"status": 404, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let gone = read(&bench, &["ad_set_category_bids".to_owned()]);
    assert!(gone.errors()[0]["message"].as_str().unwrap().contains("newer api_version"), "{:?}", gone.errors());
}

#[test]
fn an_interrupted_full_refresh_resumes_within_its_sync() {
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
    // Another sync starts from scratch.
    catalog["streams"][0]["sync_id"] = json!(8);
    let anew = bench.read(&catalog, Some(&whole.state_after(states[0].0 + 1)));
    assert_truth(&bench, &anew, name);
}

#[test]
fn unchanged_audiences_are_not_written_again() {
    let bench = Bench::new(Options::default(), 1);
    let catalog = bench.catalog(&["audiences", "audience_segments"], "incremental");
    let first = bench.read(&catalog, None);
    assert_truth(&bench, &first, "audiences");
    let state = first.final_state();
    assert_eq!(
        state[1]["stream"]["stream_state"],
        json!({"version": 2, "groups": [{"updated_at": "2026-02-03T02:05:06Z", "scope": ["1001", "1002", "1003"]}]})
    );
    let mut later = state.clone();
    later[1]["stream"]["stream_state"]["groups"][0]["updated_at"] = json!("2026-02-03T02:05:07Z");
    for (state, is_due) in [(&state, true), (&later, false)] {
        let again = bench.read(&catalog, Some(state));
        for record in again.records("audiences") {
            // Without a time, a change cannot be excluded.
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
fn a_new_advertiser_includes_its_old_audiences() {
    let bench = Bench::new(Options { without_consent: vec!["1003".into()], ..Options::default() }, 1);
    let catalog = bench.catalog(&["audiences"], "incremental");
    let first = bench.read(&catalog, None);
    assert_truth(&bench, &first, "audiences");
    let mut state = first.final_state();
    // In the format of an earlier version.
    state[0]["stream"]["stream_state"] =
        json!({"version": 1, "updated_at": "2026-09-01T00:00:00Z", "advertisers": ["1001", "1002"]});
    bench.sandbox.change(|options| options.without_consent.clear());
    let second = bench.read(&catalog, Some(&state));
    let of = |id: &str| second.records("audiences").iter().filter(|record| record["advertiser_id"] == id).count();
    assert_eq!(of("1003"), 80);
    assert!(of("1001") < 80, "only audiences without a modification time");
}

#[test]
fn a_parent_with_an_invalid_state_is_not_written_by_its_children() {
    let bench = Bench::new(Options::default(), 1);
    let mut catalog = bench.catalog(&["audience_segments", "contact_list_statistics"], "incremental");
    catalog["streams"][1]["sync_mode"] = json!("full_refresh");
    let broken = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "audience_segments"},
        "stream_state": {"updated_at": "yesterday"}}}]);
    let transcript = bench.read(&catalog, Some(&broken));
    assert_eq!(transcript.statuses("audience_segments"), ["STARTED", "INCOMPLETE"]);
    assert_truth(&bench, &transcript, "contact_list_statistics");
}

/// `cargo test -- --nocapture large_account` prints the numbers.
#[test]
fn a_large_account_takes_close_to_the_minimum_of_requests() {
    let options = Options { advertisers: 200, campaigns: 5, ad_sets: 5, ads: 2, audiences: 2, ..Options::default() };
    let bench = Bench::new(options, 1);
    let names = ["advertisers", "campaigns", "ad_sets", "ads", "ad_set_category_bids"].map(str::to_owned);
    let started = Instant::now();
    let transcript = read(&bench, &names);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    for (name, count) in [("advertisers", 200), ("campaigns", 1000), ("ad_sets", 5000), ("ads", 10_000)] {
        assert_eq!(transcript.records(name).len(), count);
    }
    let calls = bench.sandbox.requests().len();
    // The token, the portfolio, three lists for all advertisers, a full page of ads per advertiser, and the bids of
    // each ad set.
    let least = 1 + 1 + 3 + 200 + 5000;
    println!("{calls} requests, at least {least}; {seconds:.1} s");
    assert!(calls <= least + 200, "one request per advertiser for the end of its ads");
}

#[test]
fn budgets_without_spend_are_read() {
    let bench = Bench::new(Options::default(), 1);
    let transcript = read(&bench, &["mpo_budgets".to_owned()]);
    assert_truth(&bench, &transcript, "mpo_budgets");
    assert!(transcript.records("mpo_budgets").iter().any(|record| record["spend"] == 0.0), "some have no spend");
    assert_eq!(calls(&bench, "withSpend"), 0);
}

#[test]
fn budget_spend_is_right_or_null_and_no_budget_is_lost() {
    for (value, are_null) in [("cut", true), ("whole", false)] {
        let mut options = Options::default();
        options.unknowns.set("budget_spend", value).unwrap();
        let bench = Bench::new(options, 1);
        let transcript = read(&bench, &["mpo_budgets".to_owned()]);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert_truth(&bench, &transcript, "mpo_budgets");
        let records = transcript.records("mpo_budgets");
        let with_spend = |status: &str| {
            let of_status = records.iter().filter(|record| record["status"] == status);
            of_status.filter(|record| record["spend"].as_f64().is_some_and(|spend| spend > 0.0)).count()
        };
        assert!(with_spend("Current") > 0, "{value}");
        assert_eq!(with_spend("Archived") == 0, are_null, "{value}");
        assert!(records.iter().all(|record| record["status"] != "Archived" || record["spend"] != 0.0), "{value}");
        assert_eq!((calls(&bench, "/budgets"), calls(&bench, "endAfterDate")), (6, 3), "two per advertiser");
    }
}

#[test]
fn a_response_that_announces_more_is_read_in_parts_or_fails() {
    let more = [
        json!({"/meta": {"totalItems": 1000}}),
        json!({"/links": {"next": "/page/2"}}),
        json!({"/nextPageToken": "abc"}),
        json!({"/metadata": {"continuationToken": "abc"}}),
    ];
    for mutate in more {
        // Only in requests for several advertisers.
        let bench = Bench::new(Options::default(), 1);
        let fault =
            json!({"match": {"path": "/campaigns/search", "text": "\",\""}, "times": null, "do": {"mutate": mutate}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = read(&bench, &["campaigns".to_owned()]);
        assert_eq!(transcript.code, Some(0), "{mutate}: {:?}", transcript.errors());
        assert_truth(&bench, &transcript, "campaigns");
        for (path, name) in [
            ("/campaigns/search", "campaigns"),
            ("/product-sets/dataset/", "product_sets"),
            ("/log-level/", "log_level_events"),
        ] {
            let bench = Bench::new(Options::default(), 3);
            let catalog = bench.catalog(&[name, "advertisers"], "full_refresh");
            let fault = json!({"match": {"path": path}, "times": null, "do": {"mutate": mutate}});
            bench.sandbox.add_fault(fault).unwrap();
            let transcript = bench.read(&catalog, None);
            assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{name} {mutate}");
            assert_eq!(transcript.statuses("advertisers").last(), Some(&"COMPLETE"));
            let errors = transcript.errors();
            let error = errors.iter().find(|error| error["stream_descriptor"]["name"] == name).unwrap();
            assert!(error["message"].as_str().unwrap().contains("Criteo announced"), "{error}");
        }
        // The list of advertisers itself.
        let bench = Bench::new(Options::default(), 1);
        let catalog = bench.catalog(&["campaigns"], "full_refresh");
        let fault = json!({"match": {"path": "/advertisers/me"}, "times": null, "do": {"mutate": mutate}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = bench.read(&catalog, None);
        assert_eq!(transcript.code, Some(1), "{mutate}");
        assert!(transcript.errors()[0]["message"].as_str().unwrap().contains("advertisers/me"), "{mutate}");
    }
}

#[test]
fn only_disclosed_placements_are_read_whatever_the_api_default() {
    for value in ["disclosed", "both"] {
        let mut options = Options::default();
        options.unknowns.set("placements_default", value).unwrap();
        let bench = Bench::new(options, 4);
        for name in ["placements_daily", "placement_categories_daily"] {
            let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
            assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
            let stream = &bench.discover()[name];
            let truth = truth::small(&bench, name, stream);
            assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{name} {value}");
        }
    }
}

#[test]
fn transactions_are_complete_for_either_window_date() {
    for value in ["transaction", "event"] {
        let mut options = Options::default();
        options.unknowns.set("transactions_window", value).unwrap();
        let bench = Bench::new(options, 60);
        let name = "transactions";
        let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let stream = &bench.discover()[name];
        let truth = truth::small(&bench, name, stream);
        assert!(!truth.is_empty());
        assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{value}");
        let reported = transcript.logs("WARN").iter().any(|log| log.contains("by event date"));
        assert_eq!(reported, value == "event");
        // Rows that match neither date are rejected.
        let mut options = Options::default();
        options.unknowns.set("transactions_window", value).unwrap();
        options.unknowns.set("rows_outside", "day_after").unwrap();
        let mut bench = Bench::new(options, 60);
        bench.config["end_date"] = json!("2026-10-20");
        let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
        assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{value}");
    }
}

#[test]
fn marketplace_statistics_with_a_next_link_are_requested_in_parts() {
    for value in ["self", "next"] {
        let mut options = Options::default();
        options.unknowns.set("marketplace_links", value).unwrap();
        let bench = Bench::new(options, 10);
        let name = "mpo_seller_statistics";
        let transcript = bench.read(&bench.catalog(&[name], "incremental"), None);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        let stream = &bench.discover()[name];
        let truth = truth::small(&bench, name, stream);
        assert_eq!(by_key(transcript.records(name), stream), by_key(&truth, stream), "{value}");
        assert_eq!(calls(&bench, "/stats/sellers") > 3, value == "next");
    }
}

#[test]
fn a_refused_page_size_is_reduced() {
    let bench = Bench::new(Options::default(), 1);
    let fault = json!({"match": {"path": "/audiences/search", "text": "100"}, "times": 1, "do": {"status": 400}});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = read(&bench, &["audiences".to_owned(), "ads".to_owned()]);
    assert_eq!((transcript.code, transcript.logs("WARN").len()), (Some(0), 0), "{:?}", transcript.logs("WARN"));
    assert_truth(&bench, &transcript, "audiences");
    assert_eq!((calls(&bench, "ads?limit=50"), calls(&bench, "ads?limit=100")), (6, 0), "Criteo's default");
}

#[test]
fn duplicate_and_unrequested_objects_are_counted() {
    let bench = Bench::new(Options::default(), 1);
    let whole = read(&bench, &["campaigns".to_owned()]);
    let campaign = |id: &str, advertiser: &str| json!({"id": id, "type": "Campaign", "attributes": {"name": "x", "advertiserId": advertiser}});
    for pointer in ["/data/x", "/data/y"] {
        // A non-numeric name inserts into the list.
        let first = bench.sandbox.world().objects("campaigns", "2026-07").unwrap()[0].clone();
        let added = if pointer == "/data/x" { first } else { campaign("9", "4711") };
        let fault = json!({"match": {"path": "/campaigns/search"}, "times": 1, "do": {"mutate": {pointer: added}}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = read(&bench, &["campaigns".to_owned()]);
        assert_eq!(transcript.records("campaigns").len(), whole.records("campaigns").len(), "{pointer}");
        assert_eq!(transcript.code, Some(0));
        let warnings = transcript.logs("WARN").join(" ");
        let expected = if pointer == "/data/x" { "1 object more than once" } else { "not requested" };
        assert!(warnings.contains(expected), "{warnings}");
    }
}

#[test]
fn an_advertiser_listed_twice_is_read_once() {
    let bench = Bench::new(Options::default(), 1);
    let ids = ["1001", "1001", "1002"].map(|id| json!({"id": id}));
    let fault = json!({"match": {"path": "/advertisers/me"}, "do": {"body": json!({"data": ids}).to_string()}});
    bench.sandbox.add_fault(fault).unwrap();
    let transcript = read(&bench, &["ads".to_owned()]);
    let of = |id: &str| calls(&bench, &format!("/advertisers/{id}/ads"));
    assert_eq!((transcript.code, of("1001")), (Some(0), of("1002")));
    assert_eq!(transcript.records("ads").len(), 24);
}

#[test]
fn an_id_never_changes_the_request_path() {
    for (id, path) in [
        ("..", None),
        (".", None),
        ("\t..\n", None),
        ("%2e%2e", Some("/%252e%252e/category-bids")),
        ("a/b?c#d", Some("/a%2Fb%3Fc%23d/category-bids")),
    ] {
        let bench = Bench::new(Options::default(), 1);
        let fault = json!({"match": {"path": "/ad-sets/search"}, "do": {"mutate": {"/data/0/id": id}}});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = read(&bench, &["ad_set_category_bids".to_owned()]);
        if let Some(path) = path {
            assert_eq!(calls(&bench, path), 1, "{id}");
        } else {
            assert!(transcript.errors()[0]["message"].as_str().unwrap().contains("cannot be part of a path"));
            assert_eq!(calls(&bench, "/category-bids"), 11, "the others are read");
        }
    }
}

#[test]
fn changes_during_an_advertisers_absence_are_read() {
    let mut bench = Bench::new(Options::default(), 1);
    let catalog = bench.catalog(&["audiences"], "incremental");
    let state = bench.read(&catalog, None).final_state();
    let floor = |state: &Value| state[0]["stream"]["stream_state"].clone();
    // One advertiser is absent while the others advance.
    let mut moved = state.clone();
    moved[0]["stream"]["stream_state"] = json!({"version": 2, "groups": [
        {"updated_at": "2026-01-01T00:00:00Z", "scope": ["1003"]}, {"updated_at": "2026-09-01T00:00:00Z", "scope": ["1001", "1002", "1003"]}]});
    bench.config["advertiser_ids"] = json!("1001,1002");
    let without = bench.read(&catalog, Some(&moved)).final_state();
    assert_eq!(floor(&without)["groups"][0], json!({"updated_at": "2026-01-01T00:00:00Z", "scope": ["1003"]}));
    bench.config["advertiser_ids"] = json!("1001,1002,1003");
    let back = bench.read(&catalog, Some(&without));
    let dated = |id: &str| {
        let records = back.records("audiences").into_iter();
        records.filter(|record| record["advertiser_id"] == id && record["updated_at"].is_string()).count()
    };
    assert!(dated("1003") > 0 && dated("1001") == 0, "{} and {}", dated("1003"), dated("1001"));
    // A future time, and a future version.
    let mut future = state.clone();
    future[0]["stream"]["stream_state"]["groups"][0]["updated_at"] = json!("2621-01-01T00:00:00Z");
    let healed = bench.read(&catalog, Some(&future));
    assert!(healed.logs("WARN").iter().any(|log| log.contains("is in the future")), "{:?}", healed.logs("WARN"));
    assert_truth(&bench, &healed, "audiences");
    assert_eq!(floor(&healed.final_state()), floor(&state));
    future[0]["stream"]["stream_state"]["version"] = json!(3);
    assert!(bench.read(&catalog, Some(&future)).errors()[0]["message"].as_str().unwrap().contains("version 3"));
}
