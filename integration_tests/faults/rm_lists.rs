//! Lists of Retail Media: pages, counts, and objects that become rows.

use std::net::TcpListener;

use serde_json::json;

use super::{Bench, Case, calls, fault, outcome_of, reported, warned};
use crate::harness::Transcript;
use crate::retail_media::{bench, options};

const CAMPAIGNS: &str = "rm_campaigns";

/// Three accounts with 50 campaigns each, in pages of 20.
fn paged() -> Bench {
    let mut options = options();
    options.retail_media.campaigns = 50;
    options.retail_media.line_items = 1;
    options.retail_media.page_limit = 20;
    bench(options)
}

/// A bench with these switches.
fn with(switches: &[(&str, &str)]) -> Bench {
    let mut options = options();
    options.retail_media.campaigns = 50;
    options.retail_media.line_items = 1;
    for (name, value) in switches {
        options.unknowns.set(name, value).unwrap();
    }
    bench(options)
}

fn read(bench: &Bench, streams: &[&str]) -> Transcript {
    bench.read(&bench.catalog(streams, "full_refresh"), None)
}

pub const CASES: &[Case] = &[
    Case {
        id: 301,
        fault: "a list with numbered pages whose second page is empty once, while the total announces more",
        expected: "the list is read again, every row once",
        run: || {
            let bench = paged();
            let empty = json!({"data": [], "metadata": {"totalItemsAcrossAllPages": 50}});
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/campaigns", "text": "/campaigns 1 "}, "times": 1,
                    "do": {"body": empty.to_string()}}))
                .unwrap();
            outcome_of(&bench, CAMPAIGNS).1
        },
    },
    Case {
        id: 302,
        fault: "numbered pages whose total always announces 7 more objects than there are",
        expected: "read twice, then accepted with a warning that names both numbers; nothing counts as deleted",
        run: || {
            let bench = bench(options());
            fault(&bench, "/campaigns", json!(null), json!({"mutate": {"/metadata/totalItemsAcrossAllPages": 11}}));
            let (transcript, story) = outcome_of(&bench, CAMPAIGNS);
            format!("{story}; {}", warned(&transcript, &["announced 11 objects", "but sent 4"]))
        },
    },
    Case {
        id: 303,
        fault: "numbered pages whose total changes between two pages, in every walk",
        expected: "three walks, then a warning; the rows that came are written",
        run: || {
            let bench = paged();
            let page = json!({"mutate": {"/metadata/totalItemsAcrossAllPages": 49}});
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/campaigns", "text": "/campaigns 1 "}, "times": null, "do": page}))
                .unwrap();
            let (transcript, story) = outcome_of(&bench, CAMPAIGNS);
            let first = bench
                .sandbox
                .requests()
                .iter()
                .filter(|r| r.line.contains("pageIndex=0&") || r.line.contains("pageIndex=0 "))
                .count();
            assert!(first >= 9, "{first} first pages");
            format!("{story}; {}", warned(&transcript, &["changed during each of 3 reads"]))
        },
    },
    Case {
        id: 304,
        fault: "totals of numbered pages that are null, negative, a string, a fraction, an object",
        expected: "every row once with each: counts end no list",
        run: || {
            for total in [json!(null), json!(-1), json!("4"), json!(0.5), json!({"value": 4}), json!(0)] {
                let bench = paged();
                let change = json!({"/metadata/totalItemsAcrossAllPages": total, "/metadata/totalPages": total});
                fault(&bench, "/campaigns", json!(null), json!({"mutate": change}));
                let (_, story) = outcome_of(&bench, CAMPAIGNS);
                assert_eq!(story, "exit 0, COMPLETE, every row once", "{total}");
            }
            "exit 0, COMPLETE, every row once".to_owned()
        },
    },
    Case {
        id: 305,
        fault: "a page size above 100 is refused",
        expected: "25 per page from then on, every row once",
        run: || {
            let bench = with(&[("rm_page_size", "refused_above_100")]);
            let (_, story) = outcome_of(&bench, CAMPAIGNS);
            assert!(calls(&bench, "pageSize=25") > 0);
            story
        },
    },
    Case {
        id: 306,
        fault: "numbered pages that are cut to 100 objects, and links to pages that are absent",
        expected: "the second page is requested with the size of the first, every row once",
        run: || {
            let mut options = options();
            options.retail_media.campaigns = 230;
            options.retail_media.line_items = 0;
            options.unknowns.set("rm_page_size", "cut_at_100").unwrap();
            options.unknowns.set("rm_page_links", "none").unwrap();
            let bench = bench(options);
            let (_, story) = outcome_of(&bench, CAMPAIGNS);
            assert!(calls(&bench, "pageSize=100") > 0);
            story
        },
    },
    Case {
        id: 307,
        fault: "a server that repeats its first page for every number",
        expected: "stopped with an error, never endless",
        run: || {
            let objects: Vec<_> = (0..500).map(|id| json!({"id": id.to_string(), "attributes": {}})).collect();
            let bench = bench(options());
            let page = json!({"data": objects, "metadata": {"totalItemsAcrossAllPages": 9000}});
            fault(&bench, "/campaigns", json!(null), json!({"body": page.to_string()}));
            let transcript = read(&bench, &[CAMPAIGNS]);
            let requests = calls(&bench, "/campaigns");
            assert!(requests < 20, "{requests} requests");
            format!("exit {}; {}", transcript.code.unwrap(), reported(&transcript, &["no new objects"]))
        },
    },
    Case {
        id: 308,
        fault: "`nextPage`, `previousPage` and `links.next` with the address of another server",
        expected: "never requested, every row once",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            let link = format!("http://{}/page?token=1", elsewhere.local_addr().unwrap());
            let bench = paged();
            let change = json!({"/metadata/nextPage": link, "/metadata/previousPage": link, "/links": {"next": link}});
            fault(&bench, "/campaigns", json!(null), json!({"mutate": change}));
            let (_, story) = outcome_of(&bench, CAMPAIGNS);
            assert!(elsewhere.accept().is_err(), "the other server was called");
            story
        },
    },
    Case {
        id: 309,
        fault: "counts of lists with offsets that are null, 0, those of the page, or strings",
        expected: "every row once with each",
        run: || {
            for count in [json!(null), json!(0), json!(1), json!("9"), json!([])] {
                let mut options = options();
                options.retail_media.balances = 9;
                options.retail_media.page_limit = 4;
                let bench = bench(options);
                fault(&bench, "/balances", json!(null), json!({"mutate": {"/metadata/count": count}}));
                let (_, story) = outcome_of(&bench, "rm_balances");
                assert_eq!(story, "exit 0, COMPLETE, every row once", "{count}");
            }
            "exit 0, COMPLETE, every row once".to_owned()
        },
    },
    Case {
        id: 310,
        fault: "a list of retailers in pages of 3, although 10 were requested",
        expected: "every row once, 10 requested each time",
        run: || {
            let mut options = options();
            options.retail_media.page_limit = 3;
            let bench = bench(options);
            let (_, story) = outcome_of(&bench, "rm_retailers");
            let all = calls(&bench, "/retailers/search");
            assert_eq!(calls(&bench, "limit=10"), all);
            story
        },
    },
    Case {
        id: 311,
        fault: "promoted products: counts that are wrong, and a response that ignores the limit",
        expected: "every row once",
        run: || {
            let mut options = options();
            options.retail_media.products = 520;
            options.retail_media.campaigns = 1;
            options.retail_media.line_items = 1;
            options.unknowns.set("rm_products_page", "whole").unwrap();
            let bench = bench(options);
            let counts = json!({"/meta/count": 1, "/meta/responseCount": 0});
            fault(&bench, "/products", json!(null), json!({"mutate": counts}));
            outcome_of(&bench, "rm_promoted_products").1
        },
    },
    Case {
        id: 312,
        fault: "keywords that are an empty map; a list",
        expected: "the first has no rows; the list is an error, never an empty stream",
        run: || {
            let mut stories = Vec::new();
            for keywords in [json!({}), json!([])] {
                let change = json!({"mutate": {"/data/attributes/keywords": keywords}});
                let bench = bench(options());
                fault(&bench, "/keywords", json!(null), change);
                let transcript = read(&bench, &["rm_keywords"]);
                let status = *transcript.statuses("rm_keywords").last().unwrap();
                stories.push(format!("{keywords}: {status}, {} rows", transcript.records("rm_keywords").len()));
            }
            stories.join("; ")
        },
    },
    Case {
        id: 313,
        fault: "budget overrides without either list; pages of a retailer without `pageTypes`; sellers that are null",
        expected: "an error for the first two, which always have them; the third has no rows",
        run: || {
            let mut stories = Vec::new();
            for (stream, path, body) in [
                ("rm_campaign_budget_overrides", "/campaign-budget-overrides", json!({"data": {"attributes": {}}})),
                ("rm_retailer_pages", "/pages", json!({"types": []})),
                ("rm_account_sellers", "/sellers/search", json!({"data": [{"attributes": {"sellers": null}}]})),
            ] {
                let bench = bench(options());
                fault(&bench, path, json!(null), json!({"body": body.to_string()}));
                let transcript = read(&bench, &[stream]);
                assert!(transcript.records(stream).is_empty(), "{stream}");
                stories.push(format!("{stream}: {}", transcript.statuses(stream).last().unwrap()));
            }
            stories.join("; ")
        },
    },
];

super::tests! {
    case_301 case_302 case_303 case_304 case_305 case_306 case_307 case_308 case_309 case_310 case_311 case_312 case_313
}
