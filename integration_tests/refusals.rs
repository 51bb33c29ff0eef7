//! Refusals and failures in lists of objects concern only the advertiser or parent that causes them.

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;
use crate::objects::{assert_truth, calls, read};
use crate::truth::by_key;

/// All observed or documented ways to refuse a request.
pub fn refusals() -> [Value; 5] {
    let errors = |kind: &str, code: &str| json!({"errors": [{"type": kind, "code": code, "title": "Not this one"}]});
    [
        json!({"status": 400, "body": "Not this one"}),
        json!({"status": 403, "body": errors("access-control", "something-new").to_string()}),
        json!({"status": 404, "body": errors("validation", "not-found").to_string()}),
        json!({"status": 410, "body": json!({"message": "Not this one"}).to_string()}),
        json!({"status": 200, "body": errors("validation", "not-found").to_string()}),
    ]
}

#[test]
fn a_refused_advertiser_is_skipped_in_lists() {
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
fn a_refused_advertiser_does_not_empty_a_search() {
    for is_listed in [true, false] {
        let mut bench = Bench::new(Options::default(), 1);
        if is_listed {
            bench.config["advertiser_ids"] = json!("1001,1002,1003");
        }
        let catalog = bench.catalog(&["campaigns", "ad_sets", "ad_set_category_bids", "audiences"], "full_refresh");
        bench.withdraw_consent_after_the_portfolio("1002");
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
fn a_list_that_hangs_for_one_advertiser_is_read_for_the_others() {
    for action in [json!({"status": 500}), json!({"body": "<html>"})] {
        let bench = Bench::new(Options { advertisers: 5, ..Options::default() }, 1);
        let names = ["campaigns".to_owned(), "audiences".to_owned()];
        let whole = read(&bench, &names);
        let fault = json!({"match": {"path": "/search", "text": "\"1004\""}, "times": null, "do": action});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = read(&bench, &names);
        for name in &names {
            assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{name}");
            let stream = &bench.discover()[name];
            let mut expected = by_key(whole.records(name), stream);
            expected.retain(|_, record| record["advertiser_id"] != "1004");
            assert!(expected.len() < whole.records(name).len());
            assert_eq!(by_key(transcript.records(name), stream), expected, "{name}");
            let errors = transcript.errors();
            let error = errors.iter().find(|error| error["stream_descriptor"]["name"] == *name).unwrap();
            assert!(
                error["message"]
                    .as_str()
                    .unwrap()
                    .contains("Objects of 1004 could not be read; those of the others were"),
                "{error}"
            );
        }
        // An outage does not lead to ever smaller requests.
        let bench = Bench::new(Options { advertisers: 200, campaigns: 1, ..Options::default() }, 1);
        bench.sandbox.add_fault(json!({"match": {"path": "/search"}, "times": null, "do": action})).unwrap();
        let transcript = read(&bench, &names[..1]);
        assert_eq!(transcript.statuses("campaigns").last(), Some(&"INCOMPLETE"));
        assert!(calls(&bench, "/search") < 60, "{} calls", calls(&bench, "/search"));
    }
}

#[test]
fn an_unexplained_refusal_of_a_parent_is_not_a_missing_permission() {
    let bench = Bench::new(Options::default(), 1);
    let body = json!({"errors": [{"type": "access-control", "code": "something-new", "title": "Not this one"}]});
    for path in ["/ad-sets/search", "/audience-segments/search"] {
        let fault = json!({"match": {"path": path}, "times": null, "do": {"status": 403, "body": body.to_string()}});
        bench.sandbox.add_fault(fault).unwrap();
    }
    let names = ["ad_set_category_bids", "product_sets", "contact_list_statistics"];
    let transcript = read(&bench, &names.map(str::to_owned));
    assert_eq!(transcript.errors().len(), names.len(), "{:?}", transcript.errors());
    for error in transcript.errors() {
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Not this one") && !message.contains("permission"), "{message}");
    }
}

#[test]
fn a_refused_advertiser_of_any_kind_leaves_the_others() {
    let names = ["campaigns", "ad_sets", "ad_set_category_bids", "audiences", "ads", "coupons", "mpo_campaigns"];
    for refusal in refusals() {
        for is_listed in [false, true] {
            let mut bench = Bench::new(Options::default(), 1);
            if is_listed {
                bench.config["advertiser_ids"] = json!("1001,1002,1003");
            }
            let whole = bench.read(&bench.catalog(&names, "full_refresh"), None);
            for matches in
                [json!({"path": "/search", "text": "\"1002\""}), json!({"path": "/advertisers/1002/", "method": "GET"})]
            {
                bench.sandbox.add_fault(json!({"match": matches, "times": null, "do": refusal})).unwrap();
            }
            let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
            assert_eq!(transcript.code, Some(i32::from(is_listed)), "{refusal}: {:?}", transcript.errors());
            for name in names {
                let stream = &bench.discover()[name];
                let mut expected = by_key(whole.records(name), stream);
                expected.retain(|_, record| record["advertiser_id"] != "1002");
                assert!(!expected.is_empty() && expected.len() < whole.records(name).len(), "{name}");
                assert_eq!(by_key(transcript.records(name), stream), expected, "{name}: {refusal}");
                let reported =
                    transcript.logs("WARN").into_iter().find(|log| log.starts_with(name) && log.contains("1002"));
                let reported = reported.unwrap_or_else(|| panic!("{name}: {:?}", transcript.logs("WARN")));
                assert!(reported.contains("Not this one") && !reported.contains("permission"), "{reported}");
                let last = transcript.statuses(name).pop();
                assert_eq!(last, Some(if is_listed { "INCOMPLETE" } else { "COMPLETE" }), "{name}");
            }
        }
    }
}

#[test]
fn a_stream_refused_for_all_advertisers_fails_in_few_requests() {
    for refusal in refusals() {
        let bench = Bench::new(Options { advertisers: 40, ..Options::default() }, 1);
        for path in ["/campaigns/search", "/ads"] {
            bench.sandbox.add_fault(json!({"match": {"path": path}, "times": null, "do": refusal})).unwrap();
        }
        let transcript = bench.read(&bench.catalog(&["campaigns", "ads"], "full_refresh"), None);
        assert_eq!(transcript.code, Some(1));
        for error in transcript.errors() {
            assert!(error["message"].as_str().unwrap().contains("Not this one"), "{error}");
        }
        assert_eq!(transcript.errors().len(), 2);
        let calls = calls(&bench, "/campaigns/search") + calls(&bench, "/ads");
        assert!(calls < 40, "{calls} calls");
    }
}

#[test]
fn a_failed_parent_is_named_and_the_others_are_read() {
    let errors = json!({"errors": [{"type": "validation", "code": "not-found", "title": "Not this one"}]}).to_string();
    for action in [json!({"status": 200, "body": errors}), json!({"status": 400}), json!({"status": 501})] {
        let bench = Bench::new(Options::default(), 1);
        let whole = read(&bench, &["ad_set_category_bids".to_owned()]);
        let fault = json!({"match": {"path": "/300002/category-bids"}, "times": null, "do": action});
        bench.sandbox.add_fault(fault).unwrap();
        let transcript = read(&bench, &["ad_set_category_bids".to_owned()]);
        assert_eq!(transcript.statuses("ad_set_category_bids").last(), Some(&"INCOMPLETE"));
        let message = transcript.errors()[0]["message"].as_str().unwrap();
        assert!(message.contains("300002") && !message.contains("permission"), "{message}");
        let others = whole.records("ad_set_category_bids").into_iter().filter(|record| record["ad_set_id"] != "300002");
        assert_eq!(transcript.records("ad_set_category_bids").len(), others.count());
    }
}
