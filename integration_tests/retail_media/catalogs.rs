//! Catalogs of products: jobs whose file has an object per line.

use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::retail_media::{assert_whole, bench, options, truth_of};
use crate::truth::by_key;

const NAME: &str = "rm_catalog_products";

fn read(bench: &Bench) -> Transcript {
    bench.read(&bench.catalog(&[NAME], "full_refresh"), None)
}

fn assert_read(bench: &Bench, case: &str) -> Transcript {
    let transcript = read(bench);
    assert_eq!(transcript.code, Some(0), "{case}: {:?}", transcript.errors());
    assert_whole(bench, &transcript, &[NAME]);
    transcript
}

fn lines_with(bench: &Bench, part: &str) -> Vec<String> {
    let lines = bench.sandbox.requests().into_iter().map(|request| request.line);
    lines.filter(|line| line.contains(part)).collect()
}

#[test]
fn catalogs_are_complete_whatever_criteo_leaves_open() {
    for switches in [
        vec![("rm_catalog_fields", "more"), ("rm_output_gzip", "always"), ("rm_checksum", "compressed")],
        vec![
            ("rm_catalog_fields", "fewer"),
            ("rm_output_gzip", "never"),
            ("rm_checksum", "absent"),
            ("rm_empty_catalog", "empty"),
        ],
    ] {
        let mut options = options();
        options.retail_media.pending_polls = 7;
        options.retail_media.empty_accounts = 1;
        for (name, value) in &switches {
            options.unknowns.set(name, value).unwrap();
        }
        let bench = bench(options);
        let transcript = assert_read(&bench, &format!("{switches:?}"));
        let warnings = transcript.logs("WARN").join(" ");
        let is_told = switches.contains(&("rm_checksum", "compressed"));
        assert_eq!(warnings.contains("size and checksum of a catalog's file differ"), is_told, "{warnings}");
        // One catalog per account, by seller for accounts of sellers.
        let created = lines_with(&bench, "/catalogs").into_iter().filter(|line| line.starts_with("POST"));
        let (by_seller, by_brand): (Vec<_>, Vec<_>) = created.partition(|line| line.ends_with("/catalogs/sellers"));
        assert_eq!((by_seller.len(), by_brand.len()), (2, 3));
        assert!(lines_with(&bench, "/status").len() >= 5 * 7);
        assert_eq!(lines_with(&bench, "/output").len(), 5);
        assert_eq!(bench.sandbox.peak().reports_a_minute, 0, "jobs take no place of a report");
    }
}

#[test]
fn an_account_without_products_has_no_rows() {
    let mut options = options();
    options.retail_media.empty_accounts = 3;
    assert_read(&bench(options), "empty accounts");
}

fn created(bench: &Bench) -> usize {
    lines_with(bench, "/catalogs").into_iter().filter(|line| line.starts_with("POST")).count()
}

/// One account with a catalog of this size.
fn with_products(products: u32) -> Bench {
    let mut options = options();
    options.retail_media.accounts = 1;
    options.retail_media.supply_accounts = 0;
    options.retail_media.retailers = 1;
    options.retail_media.catalog_products = products;
    bench(options)
}

#[test]
fn jobs_that_expire_are_created_again() {
    let mut options = options();
    options.retail_media.expiring_jobs = 2;
    let bench = bench(options);
    assert_read(&bench, "expired jobs");
    assert_eq!(created(&bench), 6);
}

/// Jobs mostly wait, so they are all created before the first file is there.
#[test]
fn catalogs_of_many_accounts_are_made_at_the_same_time() {
    let mut options = options();
    options.retail_media.accounts = 20;
    options.retail_media.catalog_products = 1;
    options.retail_media.pending_polls = 6;
    let bench = bench(options);
    assert_read(&bench, "many accounts");
    let lines: Vec<_> = bench.sandbox.requests().into_iter().map(|request| request.line).collect();
    let first_file = lines.iter().position(|line| line.contains("/output")).unwrap();
    let before = lines[..first_file].iter().filter(|line| line.starts_with("POST") && line.contains("/catalogs"));
    assert_eq!((before.count(), created(&bench)), (21, 21));
}

#[test]
fn an_output_that_is_gone_needs_a_new_job() {
    for (status, body) in [(404, "{}"), (410, "{}"), (204, "")] {
        let bench = bench(options());
        bench
            .sandbox
            .add_fault(json!({"match": {"path": "/output"}, "times": 1, "do": {"status": status, "body": body}}))
            .unwrap();
        assert_read(&bench, &status.to_string());
        assert_eq!((lines_with(&bench, "/output").len(), created(&bench)), (5, 5), "{status}");
    }
}

/// The job was created, so a refusal of its status or file says nothing about the account.
#[test]
fn a_refusal_of_a_status_or_file_is_no_refusal_of_the_account() {
    let body = json!({"errors": [{"code": "some-refusal", "type": "access-control", "title": "no", "detail": "no"}]});
    for status in [400, 403] {
        let reply = json!({"status": status, "body": body.to_string()});
        let bench = bench(options());
        bench.sandbox.add_fault(json!({"match": {"path": "/output"}, "times": 1, "do": reply})).unwrap();
        assert_read(&bench, &status.to_string());
        bench.sandbox.add_fault(json!({"match": {"path": "/status"}, "times": 1, "do": reply})).unwrap();
        let transcript = read(&bench);
        assert_eq!(transcript.code, Some(1), "{status}: {:?}", transcript.logs("WARN"));
        assert!(!transcript.records(NAME).is_empty(), "{status}: the other accounts are read");
    }
}

#[test]
fn a_job_that_fails_concerns_its_account_only() {
    let mut options = options();
    options.retail_media.failing_jobs = 1;
    let bench = bench(options);
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(1));
    let error = transcript.errors()[0]["message"].to_string();
    assert!(error.contains("status \\\"failure\\\"") && error.contains("The job has failed"), "{error}");
    assert!(!transcript.records(NAME).is_empty(), "the other accounts are read");
}

#[test]
fn an_unknown_status_is_named() {
    let bench = bench(options());
    let mutate = json!({"/data/attributes/status": "Quarantined"});
    bench.sandbox.add_fault(json!({"match": {"path": "/status"}, "times": null, "do": {"mutate": mutate}})).unwrap();
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(1));
    assert!(transcript.errors()[0]["message"].to_string().contains("quarantined"), "{:?}", transcript.errors());
}

/// A file that is cut is requested again, and no row is written twice.
#[test]
fn a_file_that_is_cut_is_read_to_the_end_without_repeated_rows() {
    // The third file is longer than what is written together. If the connection's end is the file's, only the number of
    // rows tells.
    for (products, cut_after, framing) in
        [(6, 900, "content-length"), (6, 900, "connection-close"), (4_000, 1_300_000, "connection-close")]
    {
        let bench = with_products(products);
        let delivery = json!({"delivery": {"cut_after": cut_after, "framing": framing}});
        bench.sandbox.add_fault(json!({"match": {"path": "/output"}, "times": 1, "do": delivery})).unwrap();
        let transcript = assert_read(&bench, framing);
        assert_eq!(transcript.records(NAME).len(), products as usize, "{framing}");
        assert_eq!(lines_with(&bench, "/output").len(), 2, "{framing}");
    }
}

#[test]
fn a_broken_server_and_an_expired_token_are_retried() {
    for (status, path, times) in
        [(503, "/output", 2), (503, "/status", 2), (429, "/output", 1), (401, "/output", 1), (500, "/catalogs", 2)]
    {
        let bench = bench(options());
        let wait = json!({"x-ratelimit-reset": "0", "Retry-After": "1"});
        let headers = if status == 429 { wait } else { json!({}) };
        bench
            .sandbox
            .add_fault(json!({"match": {"path": path}, "times": times,
                "do": {"status": status, "headers": headers, "body": "{}"}}))
            .unwrap();
        assert_read(&bench, &format!("{status} at {path}"));
    }
}

#[test]
fn an_interrupted_read_resumes_with_the_next_accounts() {
    let mut options = options();
    options.retail_media.accounts = 60;
    options.retail_media.catalog_products = 1;
    let bench = bench(options);
    let mut catalog = bench.catalog(&[NAME], "full_refresh");
    catalog["streams"][0]["sync_id"] = json!(1);
    let whole = bench.read(&catalog, None);
    assert_whole(&bench, &whole, &[NAME]);
    let end = (1..=whole.messages.len()).find(|end| whole.messages[end - 1]["type"] == "STATE").unwrap();
    let resumed = bench.read(&catalog, Some(&whole.state_after(end)));
    let before = whole.messages[..end].iter().filter(|message| message["type"] == "RECORD");
    let before = before.map(|message| message["record"]["data"].as_object().unwrap());
    let stream: &Value = &bench.discover()[NAME];
    let union = by_key(before.chain(resumed.records(NAME)), stream);
    assert_eq!(union, by_key(&truth_of(&bench, NAME, stream), stream));
    assert!(resumed.records(NAME).len() < whole.records(NAME).len());
}

/// The file of 60,000 products has 25 MiB.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn memory_does_not_depend_on_the_size_of_a_catalog() {
    let peak = |products: u32| {
        let bench = with_products(products);
        let transcript = read(&bench);
        assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
        assert_eq!(transcript.records(NAME).len(), products as usize);
        transcript.peak_kib
    };
    let (small, large) = (peak(5_000), peak(60_000));
    println!("{small} KiB and {large} KiB");
    assert!(large < small + 8 * 1024, "{small} KiB and {large} KiB");
}
