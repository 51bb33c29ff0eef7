//! Lists are read to the end, whatever the API says about pages.

use criteo_sandbox::Options;
use serde_json::json;

use crate::holes::fault;
use crate::retail_media::{assert_whole, bench, options};

/// The lists with numbered pages and with offsets.
const LISTS: &[&str] = &[
    "rm_accounts",
    "rm_account_brands",
    "rm_audiences",
    "rm_balance_history",
    "rm_campaigns",
    "rm_categories",
    "rm_line_items",
    "rm_retailer_brands",
    "rm_retailers",
];

fn many() -> Options {
    let mut options = options();
    options.retail_media.campaigns = 40;
    options.retail_media.line_items = 4;
    options.retail_media.categories = 130;
    options
}

#[test]
fn lists_are_complete_whatever_page_size_and_counts_the_api_has() {
    for (page_limit, switches) in [
        (usize::MAX, vec![("rm_page_size", "cut_at_100"), ("rm_count", "null")]),
        (usize::MAX, vec![("rm_page_size", "refused_above_100"), ("rm_page_links", "none")]),
        (7, vec![("rm_count", "page"), ("rm_page_size_shown", "items")]),
    ] {
        let mut options = many();
        options.retail_media.page_limit = page_limit;
        for (name, value) in &switches {
            options.unknowns.set(name, value).unwrap();
        }
        let bench = bench(options);
        let transcript = bench.read(&bench.catalog(LISTS, "full_refresh"), None);
        assert_eq!(transcript.code, Some(0), "{switches:?}: {:?}", transcript.errors());
        assert_whole(&bench, &transcript, LISTS);
    }
}

/// The second page announces another total, as if a campaign had been deleted meanwhile.
#[test]
fn numbered_pages_whose_total_changes_are_read_again() {
    let mut options = many();
    options.retail_media.page_limit = 20;
    let bench = bench(options);
    let page = json!({"data": [], "metadata": {"totalItemsAcrossAllPages": 3}, "errors": [], "warnings": []});
    bench
        .sandbox
        .add_fault(json!({"match": {"path": "/campaigns", "text": "/campaigns 1 "}, "times": 1,
            "do": {"body": page.to_string()}}))
        .unwrap();
    let transcript = bench.read(&bench.catalog(&["rm_campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_whole(&bench, &transcript, &["rm_campaigns"]);
    let requests = bench.sandbox.requests();
    let first_pages = requests.iter().filter(|r| r.line.contains("/campaigns?") && r.line.contains("pageIndex=0"));
    assert!(first_pages.count() > bench.sandbox.world().retail_media_stream("rm_accounts", "2026-07").unwrap().len());
}

/// The first page has shown that the account may be read, so its list is not complete.
#[test]
fn a_later_page_that_is_refused_fails_its_list() {
    for status in [400, 403, 404] {
        let mut options = many();
        options.retail_media.page_limit = 20;
        let bench = bench(options);
        let body =
            json!({"errors": [{"code": "some-refusal", "type": "access-control", "title": "no", "detail": "no"}]});
        let matches = json!({"path": "/campaigns", "text": "/campaigns 1 "});
        fault(&bench, matches, json!({"status": status, "body": body.to_string()}));
        let transcript = bench.read(&bench.catalog(&["rm_campaigns"], "full_refresh"), None);
        assert_eq!(transcript.code, Some(1), "{status}: {:?}", transcript.logs("WARN"));
        assert!(!transcript.records("rm_campaigns").is_empty(), "{status}");
    }
}

#[test]
fn a_server_that_repeats_a_page_ends_the_stream_with_an_error() {
    let bench = bench(many());
    let objects: Vec<_> = (0..500).map(|id| json!({"id": id.to_string(), "attributes": {}})).collect();
    let page = json!({"data": objects, "metadata": {"totalItemsAcrossAllPages": 900}});
    bench
        .sandbox
        .add_fault(json!({"match": {"path": "/line-items"}, "times": null, "do": {"body": page.to_string()}}))
        .unwrap();
    let transcript = bench.read(&bench.catalog(&["rm_line_items"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(1));
    let message = transcript.errors()[0]["message"].to_string();
    assert!(message.contains("no new objects"), "{message}");
}

#[test]
fn requests_stay_on_the_configured_host_and_ask_for_the_largest_pages() {
    let bench = bench(options());
    let names = ["rm_retailers", "rm_keywords_in_review", "rm_balances", "rm_promoted_products", "rm_account_sellers"];
    let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
    assert_whole(&bench, &transcript, &names);
    let requests = bench.sandbox.requests();
    for (path, parameter) in [
        ("/retailers/search", "limit=10"),
        ("/in-review-report", "limit=50"),
        ("/balances", "limit=500"),
        ("/products", "fields=status,bidOverride"),
    ] {
        let mut of_path = requests.iter().filter(|request| request.line.contains(path)).peekable();
        assert!(of_path.peek().is_some(), "{path}");
        assert!(of_path.all(|request| request.line.contains(parameter)), "{path} without {parameter}");
    }
    let searches: Vec<_> = requests.iter().filter(|request| request.line.contains("/sellers/search")).collect();
    assert_eq!(searches.len(), 1, "one request for all accounts");
    assert_eq!(searches[0].body["data"]["attributes"]["includeDetails"], true);
}

#[test]
fn sellers_are_requested_for_25_accounts_at_a_time() {
    let mut options = options();
    options.retail_media.empty_accounts = 60;
    let bench = bench(options);
    let transcript = bench.read(&bench.catalog(&["rm_account_sellers"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_whole(&bench, &transcript, &["rm_account_sellers"]);
    let requests = bench.sandbox.requests();
    let lists = requests.iter().filter(|request| request.line.contains("/sellers/search"));
    let lists: Vec<_> = lists.map(|r| r.body["data"]["attributes"]["accountIds"].as_array().unwrap().len()).collect();
    assert_eq!(lists.iter().sum::<usize>(), 64);
    assert!(lists.iter().all(|count| *count <= 25) && lists.len() == 3, "{lists:?}");
}
