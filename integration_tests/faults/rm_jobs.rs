//! Jobs of Retail Media: catalogs and bills.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Bench, Case, calls, fault, outcome_of, reported, warned};
use crate::harness::Transcript;
use crate::retail_media::{bench, options};

const CATALOG: &str = "rm_catalog_products";
const BILL: &str = "rm_partner_billing";

/// One account of a brand, whose catalog has `products` products.
fn of_one(products: u32) -> Bench {
    let mut options = options();
    options.retail_media.accounts = 1;
    options.retail_media.supply_accounts = 0;
    options.retail_media.retailers = 1;
    options.retail_media.catalog_products = products;
    bench(options)
}

/// Reads the catalog of one account with one fault.
fn spoiled(path: &str, times: impl Into<Value>, action: Value) -> (Bench, Transcript, String) {
    let bench = of_one(6);
    fault(&bench, path, times, action);
    let (transcript, story) = outcome_of(&bench, CATALOG);
    (bench, transcript, story)
}

fn created(bench: &Bench) -> usize {
    let requests = bench.sandbox.requests().into_iter();
    requests.filter(|request| request.line.starts_with("POST") && request.line.contains("/catalogs")).count()
}

pub const CASES: &[Case] = &[
    Case {
        id: 341,
        fault: "a catalog whose job fails, of one account",
        expected: "transient_error with Criteo's message; the other accounts are read",
        run: || {
            let mut options = options();
            options.retail_media.failing_jobs = 1;
            let (transcript, story) = outcome_of(&bench(options), CATALOG);
            format!("{story}; {}", reported(&transcript, &["status \"failure\"", "The job has failed"]))
        },
    },
    Case {
        id: 342,
        fault: "a status in an unknown word",
        expected: "the job has ended: transient_error that names the word",
        run: || {
            let action = json!({"mutate": {"/data/attributes/status": "Quarantined"}});
            let (_, transcript, story) = spoiled("/status", json!(null), action);
            format!("{story}; {}", reported(&transcript, &["quarantined"]))
        },
    },
    Case {
        id: 343,
        fault: "statuses that are null, missing, `unknown`, in another case, and then success",
        expected: "waited for, every row once",
        run: || {
            for status in [json!(null), json!("unknown"), json!("PENDING"), json!("")] {
                let action = json!({"mutate": {"/data/attributes/status": status}});
                let (_, _, story) = spoiled("/status", 2, action);
                assert_eq!(story, "exit 0, COMPLETE, every row once", "{status}");
            }
            "exit 0, COMPLETE, every row once".to_owned()
        },
    },
    Case {
        id: 344,
        fault: "a job that is pending forever",
        expected: "given up after an hour of requests: transient_error",
        run: || {
            let mut bench = of_one(6);
            bench.config["backoff_percent"] = json!(0);
            fault(&bench, "/status", json!(null), json!({"mutate": {"/data/attributes/status": "pending"}}));
            let (transcript, story) = outcome_of(&bench, CATALOG);
            format!("{story}, {} requests; {}", calls(&bench, "/status"), reported(&transcript, &["within an hour"]))
        },
    },
    Case {
        id: 345,
        fault: "the status of another job",
        expected: "system_error, no row of either",
        run: || {
            let (_, transcript, story) = spoiled("/status", 1, json!({"mutate": {"/data/id": "7"}}));
            format!("{story}; {}", reported(&transcript, &["the status of job 7"]))
        },
    },
    Case {
        id: 346,
        fault: "a job without an id; a job in a list; an error beside it",
        expected: "never polled: an error",
        run: || {
            for body in [
                "{\"data\":{\"attributes\":{\"status\":\"pending\"}}}",
                "{\"data\":[]}",
                "{\"errors\":[{\"code\":\"x\"}]}",
            ] {
                let (bench, transcript, _) = spoiled("/catalogs", json!(null), json!({"body": body}));
                assert_eq!((transcript.code, calls(&bench, "/status")), (Some(1), 0), "{body}");
            }
            "exit 1, no request for a status".to_owned()
        },
    },
    Case {
        id: 347,
        fault: "jobs that expire before their file is requested, twice and always",
        expected: "new jobs, every row once; always: three jobs, then transient_error",
        run: || {
            let mut options = options();
            options.retail_media.expiring_jobs = 2;
            let twice = outcome_of(&bench(options), CATALOG).1;
            let (bench, _, always) =
                spoiled("/status", json!(null), json!({"mutate": {"/data/attributes/status": "expired"}}));
            assert_eq!(created(&bench), 3);
            format!("{twice}; always: {always}")
        },
    },
    Case {
        id: 348,
        fault: "a file that is gone (404, 410, 204), once; 204 always",
        expected: "a new job, every row once; always: three jobs, then transient_error",
        run: || {
            for (status, body) in [(404, "{}"), (410, "{}"), (204, "")] {
                let (bench, _, story) = spoiled("/output", 1, json!({"status": status, "body": body}));
                assert_eq!((story.as_str(), created(&bench)), ("exit 0, COMPLETE, every row once", 2), "{status}");
            }
            let (bench, _, always) = spoiled("/output", json!(null), json!({"status": 204, "body": ""}));
            assert_eq!(created(&bench), 3);
            format!("exit 0, COMPLETE, every row once; always: {always}")
        },
    },
    Case {
        id: 349,
        fault: "204 for a catalog whose status announces no products, and an empty file",
        expected: "no rows, no error",
        run: || {
            for switch in ["204", "empty"] {
                let mut options = options();
                options.retail_media.accounts = 0;
                options.retail_media.empty_accounts = 1;
                options.retail_media.supply_accounts = 0;
                options.unknowns.set("rm_empty_catalog", switch).unwrap();
                assert_eq!(outcome_of(&bench(options), CATALOG).1, "exit 0, COMPLETE, nothing to read", "{switch}");
            }
            "exit 0, COMPLETE, nothing to read".to_owned()
        },
    },
    Case {
        id: 350,
        fault: "a file that is cut: below its length, in its chunks, at the end of a line, in its gzip",
        expected: "requested again; no row twice",
        run: || {
            for (framing, cut_after) in
                [("content-length", 900), ("chunked", 900), ("connection-close", 900), ("connection-close", 2)]
            {
                let delivery = json!({"delivery": {"cut_after": cut_after, "framing": framing}});
                let (bench, _, story) = spoiled("/output", 1, delivery);
                assert_eq!(story, "exit 0, COMPLETE, every row once", "{framing} {cut_after}");
                assert_eq!(calls(&bench, "/output"), 2, "{framing} {cut_after}");
            }
            let cut = json!({"gzip": true, "delivery": {"cut_after": 60, "framing": "connection-close"}});
            spoiled("/output", 1, cut).2
        },
    },
    Case {
        id: 351,
        fault: "a large file that is cut three times, each time later",
        expected: "rows that were written are skipped, every row once",
        run: || {
            let bench = of_one(9_000);
            for (nth, cut_after) in [1_500_000, 2_500_000, 3_300_000].into_iter().enumerate() {
                let delivery = json!({"cut_after": cut_after, "framing": "connection-close"});
                bench
                    .sandbox
                    .add_fault(json!({"match": {"path": "/output", "nth": nth + 1}, "times": 1,
                        "do": {"delivery": delivery}}))
                    .unwrap();
            }
            format!("{}, {} requests", outcome_of(&bench, CATALOG).1, calls(&bench, "/output"))
        },
    },
    Case {
        id: 352,
        fault: "a status that announces more products than the file has, always",
        expected: "six requests, then transient_error with both numbers; the rows are written once",
        run: || {
            let action = json!({"mutate": {"/data/attributes/rowCount": 99}});
            let (bench, transcript, story) = spoiled("/status", json!(null), action);
            assert_eq!(calls(&bench, "/output"), 6);
            format!("{story}; {}", reported(&transcript, &["has 6 products", "announced 99"]))
        },
    },
    Case {
        id: 353,
        fault: "size and checksum that differ, with the right number of products",
        expected: "every row once, and a warning: they may be those of the compressed file",
        run: || {
            let action = json!({"mutate": {"/data/attributes/md5Checksum": "00", "/data/attributes/fileSizeBytes": 1}});
            let (_, transcript, story) = spoiled("/status", json!(null), action);
            format!("{story}; {}", warned(&transcript, &["size and checksum of a catalog's file differ"]))
        },
    },
    Case {
        id: 354,
        fault: "a checksum that differs, and no number of products",
        expected: "requested again; accepted with a warning if the second file is the same",
        run: || {
            let action = json!({"mutate": {"/data/attributes/md5Checksum": "00", "/data/attributes/rowCount": null}});
            let (bench, transcript, story) = spoiled("/status", json!(null), action);
            assert_eq!(calls(&bench, "/output"), 2);
            format!("{story}; {}", warned(&transcript, &["A second file was the same"]))
        },
    },
    Case {
        id: 355,
        fault: "a line that is not JSON, a web page instead of the file, two objects in a line, once; a web page always",
        expected: "requested again, every row once; always: transient_error that names the line",
        run: || {
            for body in ["{\"id\":1}\nnull\n", "<html>\n", "[1,2]\n", "{\"id\":1}{\"id\":2}\n"] {
                let (_, _, story) = spoiled("/output", 1, json!({"body": body}));
                assert!(story.starts_with("exit 0, COMPLETE, every row"), "{body}: {story}");
            }
            let (_, transcript, always) = spoiled("/output", json!(null), json!({"body": "<html>\n"}));
            format!("every row once; always: {always}; {}", reported(&transcript, &["Line 1 of a catalog"]))
        },
    },
    Case {
        id: 356,
        fault: "a product without an id; with null as its id",
        expected: "an error that names the key, no row without one",
        run: || {
            let mut stories = Vec::new();
            for product in ["{\"retailerId\":\"1\"}\n", "{\"retailerId\":\"1\",\"id\":null}\n"] {
                let bench = of_one(6);
                fault(&bench, "/status", json!(null), json!({"mutate": {"/data/attributes/rowCount": 1}}));
                fault(&bench, "/output", json!(null), json!({"body": product}));
                let transcript = bench.read(&bench.catalog(&[CATALOG], "full_refresh"), None);
                assert!(transcript.records(CATALOG).is_empty());
                stories.push(format!("exit {}, {}", transcript.code.unwrap(), reported(&transcript, &["key id"])));
            }
            stories.join("; ")
        },
    },
    Case {
        id: 357,
        fault: "a line of 5 MiB",
        expected: "system_error, in bounded memory",
        run: || {
            let body = format!("{{\"id\":\"{}\"}}\n", "x".repeat(5 * 1024 * 1024));
            let (_, transcript, story) = spoiled("/output", json!(null), json!({"body": body}));
            format!("{story}; {}", reported(&transcript, &["larger than 4 MiB"]))
        },
    },
    Case {
        id: 358,
        fault: "a gzip bomb as a file",
        expected: "an error in bounded memory",
        run: || {
            let (_, transcript, story) = spoiled("/output", json!(null), json!({"gzip": 300_000_000}));
            format!("{story}; {}", reported(&transcript, &["catalog"]))
        },
    },
    Case {
        id: 359,
        fault: "401 and 429 once, 500 and 503 twice, for the creation, the status and the file",
        expected: "retried, every row once",
        run: || {
            for path in ["/catalogs", "/status", "/output"] {
                for status in [401, 429, 500, 503] {
                    let times = if status < 500 { 1 } else { 2 };
                    let wait = json!({"x-ratelimit-reset": "0", "Retry-After": "1"});
                    let headers = if status == 429 { wait } else { json!({}) };
                    let action = json!({"status": status, "headers": headers, "body": "{}"});
                    let (_, _, story) = spoiled(path, times, action);
                    assert_eq!(story, "exit 0, COMPLETE, every row once", "{status} for {path}");
                }
            }
            "exit 0, COMPLETE, every row once".to_owned()
        },
    },
    Case {
        id: 360,
        fault: "503 with a Retry-After of one day for the file",
        expected: "not waited for: transient_error",
        run: || {
            let action = json!({"status": 503, "headers": {"Retry-After": "86400"}, "body": "{}"});
            spoiled("/output", json!(null), action).2
        },
    },
    Case {
        id: 361,
        fault: "the file redirects to another server",
        expected: "rejected, the other server is never called",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            let target = format!("http://{}/file", elsewhere.local_addr().unwrap());
            let (_, transcript, story) = spoiled("/output", json!(null), json!({"redirect": target}));
            assert!(elsewhere.accept().is_err(), "the other server was called");
            format!("{story}; {}", reported(&transcript, &["redirects the request"]))
        },
    },
    Case {
        id: 362,
        fault: "the file changes after some of its rows were written",
        expected: "all rows are written again, so that the last ones are those of one file",
        run: || {
            let bench = of_one(9_000);
            let delivery = json!({"cut_after": 2_500_000, "framing": "connection-close"});
            fault(&bench, "/output", 1, json!({"delivery": delivery}));
            let product = |number: usize| format!("{{\"id\":\"other-{number}\",\"retailerId\":\"1\"}}\n");
            let file: String = (0..9_000).map(product).collect();
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/output", "nth": 2}, "times": null, "do": {"body": file}}))
                .unwrap();
            let transcript = bench.read(&bench.catalog(&[CATALOG], "full_refresh"), None);
            let records = transcript.records(CATALOG).into_iter();
            let other = records.filter(|record| record["id"].as_str().unwrap().starts_with("other-")).count();
            format!("exit {}, {other} rows of the new file", transcript.code.unwrap())
        },
    },
    Case {
        id: 363,
        fault: "thirty accounts whose jobs are pending for seven requests each, with a limit of one report per minute",
        expected: "all jobs run at the same time, and none takes the place of a report",
        run: || {
            let mut options = options();
            options.retail_media.accounts = 30;
            options.retail_media.catalog_products = 1;
            options.retail_media.pending_polls = 7;
            options.rate_limit = 100_000;
            options.report_limit = 1;
            let bench = bench(options);
            let story = outcome_of(&bench, CATALOG).1;
            let lines: Vec<_> = bench.sandbox.requests().into_iter().map(|request| request.line).collect();
            let first = lines.iter().position(|line| line.contains("/output")).unwrap();
            let before =
                lines[..first].iter().filter(|line| line.starts_with("POST") && line.contains("/catalogs")).count();
            format!("{story}; {before} jobs before the first file, {} reports", bench.sandbox.peak().reports_a_minute)
        },
    },
    Case {
        id: 364,
        fault: "an account of sellers whose list of sellers is empty, and one whose list fails",
        expected: "the first has no catalog; the second is an error of that account",
        run: || {
            let mut stories = Vec::new();
            for action in [json!({"body": "{\"data\":[]}"}), json!({"status": 500, "body": "{}"})] {
                let bench = bench(options());
                fault(&bench, "/sellers/search", json!(null), action);
                let transcript = bench.read(&bench.catalog(&[CATALOG], "full_refresh"), None);
                assert!(!transcript.records(CATALOG).is_empty());
                stories.push(format!("exit {}", transcript.code.unwrap()));
            }
            stories.join("; ")
        },
    },
    Case {
        id: 365,
        fault: "a brand's account for which catalogs are refused (400)",
        expected: "a warning that names it, the others are read",
        run: || {
            let bench = bench(options());
            let accounts = bench.sandbox.world().retail_media_stream("rm_accounts", "2026-07").unwrap();
            let id = accounts[0]["id"].as_str().unwrap();
            let path = format!("/accounts/{id}/catalogs");
            fault(&bench, &path, json!(null), json!({"status": 400, "body": "{\"errors\":[{\"code\":\"invalid\"}]}"}));
            let (transcript, story) = outcome_of(&bench, CATALOG);
            warned(&transcript, &[id]);
            format!("{story}; warned")
        },
    },
    Case {
        id: 366,
        fault: "a bill whose job fails with `failed` and `errorMessage`",
        expected: "transient_error that names account and month; the other months are read",
        run: || {
            let mut options = options();
            options.retail_media.failing_jobs = 1;
            let mut bench = bench(options);
            bench.config["start_date"] = json!("2026-08-01");
            let (transcript, story) = outcome_of(&bench, BILL);
            format!(
                "{story}; {}",
                reported(&transcript, &["2026-10-01 to 2026-10-31", "\"failed\"", "The job has failed"])
            )
        },
    },
    Case {
        id: 367,
        fault: "bills as a web page; as an object of an unknown shape; as an empty list",
        expected: "transient_error; system_error; no rows",
        run: || {
            let mut stories = Vec::new();
            for body in ["<html>", "{\"lines\":[]}", "[]"] {
                let bench = bench(options());
                fault(&bench, "/output", json!(null), json!({"body": body}));
                let transcript = bench.read(&bench.catalog(&[BILL], "full_refresh"), None);
                let kind =
                    transcript.errors().first().map_or("no error", |error| error["failure_type"].as_str().unwrap());
                stories.push(format!(
                    "exit {}, {kind}, {} rows",
                    transcript.code.unwrap(),
                    transcript.records(BILL).len()
                ));
            }
            stories.join("; ")
        },
    },
    Case {
        id: 368,
        fault: "bills with columns that nothing documents, and numbers in quotes",
        expected: "known columns are typed, the others are kept in other_columns",
        run: || {
            let bench = bench(options());
            let row =
                json!([{"Account-Id": 7, "LineItemId": "1", "WorkingMediaSpend": "12.50", "Brand New": {"a": [1]}}]);
            fault(&bench, "/output", json!(null), json!({"body": row.to_string()}));
            let transcript = bench.read(&bench.catalog(&[BILL], "full_refresh"), None);
            let record = transcript.records(BILL)[0];
            assert_eq!((&record["account_id"], &record["campaign_id"]), (&json!("7"), &json!("")));
            assert_eq!(record["other_columns"], json!({"Brand New": {"a": [1]}}));
            format!(
                "exit {}; {}, other_columns {}",
                transcript.code.unwrap(),
                record["working_media_spend"],
                record["other_columns"]
            )
        },
    },
];

super::tests! {
    case_341 case_342 case_343 case_344 case_345 case_346 case_347 case_348 case_349 case_350 case_351 case_352 case_353
    case_354 case_355 case_356 case_357 case_358 case_359 case_360 case_361 case_362 case_363 case_364 case_365 case_366
    case_367 case_368
}
