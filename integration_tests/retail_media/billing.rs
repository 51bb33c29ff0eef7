//! Partner billing: a job per retailer's account and month.

use chrono::{Datelike as _, Days, NaiveDate};
use criteo_sandbox::Permission;
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript};
use crate::holes::fault;
use crate::retail_media::{assert_whole, bench, options, truth_of};
use crate::truth::by_key;

const NAME: &str = "rm_partner_billing";
/// Columns that Criteo's guide does not name.
const UNNAMED: &[&str] = &["BillableClicks", "BillableImpressions", "SspFee"];

/// The rows of all bills, as objects.
pub fn truth(bench: &Bench) -> Vec<Value> {
    let world = bench.sandbox.world();
    let accounts = world.retail_media_stream("rm_accounts", "2026-07").unwrap();
    let supply: Vec<_> = accounts.iter().filter(|account| account["attributes"]["type"] == "supply").collect();
    let mut rows = Vec::new();
    for (start, end) in months(bench) {
        for account in &supply {
            let asked = json!({"startDate": start, "endDate": end, "accountIds": [account["id"]]});
            for row in world.retail_media_report("partner_billing", &asked).unwrap() {
                let (mut named, mut others) = (Map::new(), Map::new());
                for (name, value) in row {
                    if UNNAMED.contains(&name.as_str()) {
                        others.insert(name, serde_json::from_str(value.as_str().unwrap()).unwrap());
                    } else {
                        named.insert(name, value);
                    }
                }
                named.insert("parentAccountId".to_owned(), account["id"].clone());
                named.insert("month".to_owned(), json!(start));
                named.insert("startDate".to_owned(), json!(start));
                named.insert("endDate".to_owned(), json!(end));
                named.insert("otherColumns".to_owned(), json!(others));
                rows.push(json!({"attributes": named}));
            }
        }
    }
    rows
}

/// The months to read, oldest first.
fn months(bench: &Bench) -> Vec<(NaiveDate, NaiveDate)> {
    let first: NaiveDate = bench.config["start_date"].as_str().unwrap().parse().unwrap();
    let yesterday = bench.today() - Days::new(1);
    let mut months = Vec::new();
    for day in first.iter_days().take_while(|day| *day <= yesterday) {
        let start = day.with_day(1).unwrap();
        match months.last_mut() {
            Some((known, end)) if *known == start => *end = day,
            _ => months.push((start, day)),
        }
    }
    months
}

fn read(bench: &Bench) -> Transcript {
    bench.read(&bench.catalog(&[NAME], "full_refresh"), None)
}

fn bills(bench: &Bench) -> Vec<Value> {
    let requests = bench.sandbox.requests().into_iter();
    let created =
        requests.filter(|request| request.line.starts_with("POST") && request.line.ends_with("/partner-report"));
    created.map(|request| request.body["data"]["attributes"].clone()).collect()
}

#[test]
fn bills_match_the_truth_month_by_month_in_every_spelling() {
    for style in ["pascal", "camel", "spaced"] {
        let mut options = options();
        options.retail_media.supply_accounts = 2;
        options.retail_media.pending_polls = 2;
        options.unknowns.set("rm_billing_columns", style).unwrap();
        options.unknowns.set("rm_row_order", "reverse").unwrap();
        let mut bench = bench(options);
        // Bills have no days, so the first month is whole.
        bench.config["start_date"] = json!("2026-08-20");
        let transcript = read(&bench);
        assert_eq!(transcript.code, Some(0), "{style}: {:?}", transcript.errors());
        if style == "pascal" {
            assert_whole(&bench, &transcript, &[NAME]);
        } else {
            let stream = &bench.discover()[NAME];
            let without = |records: Vec<Map<String, Value>>| {
                let records = records.into_iter().map(|mut record| {
                    let others = record.remove("other_columns").unwrap();
                    assert_eq!(others.as_object().unwrap().len(), 3, "{others}");
                    record.retain(|_, value| !value.is_null());
                    record
                });
                by_key(&records.collect::<Vec<_>>(), stream)
            };
            let records = transcript.records(NAME).into_iter().cloned().collect();
            assert_eq!(without(records), without(truth_of(&bench, NAME, stream)), "{style}");
        }
        let mut asked: Vec<_> = bills(&bench)
            .iter()
            .map(|bill| format!("{} {}", bill["startDate"].as_str().unwrap(), bill["endDate"].as_str().unwrap()))
            .collect();
        asked.sort();
        asked.dedup();
        assert_eq!(asked, ["2026-08-01 2026-08-31", "2026-09-01 2026-09-30", "2026-10-01 2026-10-31"]);
        assert_eq!(bills(&bench).len(), 6, "one job per retailer's account and month");
        assert_eq!(bench.sandbox.peak().reports_a_minute, 0, "jobs take no place of a report");
    }
}

#[test]
fn an_app_without_a_retailers_account_has_no_bills() {
    let mut options = options();
    options.retail_media.supply_accounts = 0;
    let bench = bench(options);
    let transcript = read(&bench);
    assert_eq!((transcript.code, transcript.records(NAME).len()), (Some(0), 0), "{:?}", transcript.errors());
    assert!(bills(&bench).is_empty());
}

#[test]
fn a_bill_that_fails_concerns_its_month_only() {
    let mut options = options();
    options.retail_media.failing_jobs = 1;
    let mut bench = bench(options);
    bench.config["start_date"] = json!("2026-09-01");
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(1));
    let error = transcript.errors()[0]["message"].to_string();
    for words in ["The bill of account", "status \\\"failed\\\"", "The job has failed"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let read: Vec<_> = transcript.records(NAME).into_iter().map(|record| record["month"].to_string()).collect();
    assert!(!read.is_empty() && read.iter().all(|month| *month == read[0]), "{read:?}");
}

#[test]
fn expired_bills_are_requested_again() {
    let mut options = options();
    options.retail_media.expiring_jobs = 2;
    let bench = bench(options);
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_whole(&bench, &transcript, &[NAME]);
    assert_eq!(bills(&bench).len(), 3);
}

#[test]
fn a_refused_month_fails_and_the_others_are_read() {
    let mut options = options();
    options.retail_media.accounts = 1;
    for (status, code) in [(400, "validation-error"), (403, "some-refusal")] {
        for refused in ["2026-10-01", "2026-08-01"] {
            let mut bench = bench(options.clone());
            bench.config["start_date"] = json!("2026-06-01");
            let all = read(&bench).records(NAME).len();
            let matches = json!({"path": "billing", "text": refused});
            let body = json!({"errors": [{"code": code, "type": "validation", "title": "no", "detail": "no"}]});
            fault(&bench, matches, json!({"status": status, "body": body.to_string()}));
            let transcript = read(&bench);
            let others = transcript.records(NAME);
            assert_eq!(transcript.code, Some(1), "{status} for {refused}");
            assert!(others.len() > all / 2 && others.len() < all, "{status} for {refused}: {} of {all}", others.len());
            assert!(others.iter().all(|row| row["month"] != refused));
        }
    }
}

#[test]
fn a_month_is_read_to_its_end() {
    let mut bench = bench(options());
    bench.config["start_date"] = json!("2026-09-01");
    bench.config["end_date"] = json!("2026-09-15");
    let rows = read(&bench);
    let rows = rows.records(NAME);
    assert!(!rows.is_empty() && rows.iter().all(|row| row["end_date"] == "2026-09-30"), "{rows:?}");
}

#[test]
fn months_that_criteo_no_longer_keeps_are_skipped_with_a_warning() {
    let mut options = options();
    options.retail_media.accounts = 1;
    options.retail_media.line_items = 1;
    options.retail_media.campaigns = 1;
    let mut bench = bench(options);
    bench.config.as_object_mut().unwrap().remove("start_date");
    let default = read(&bench);
    assert_eq!((default.code, default.logs("WARN").join(" ").contains("refuses bills")), (Some(0), false));
    bench.config["start_date"] = json!("2023-01-01");
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let warning = transcript.logs("WARN").join(" ");
    assert!(warning.contains("refuses bills") && warning.contains("2023-11-01 to 2023-11-30"), "{warning}");
    assert_eq!(default.records(NAME).len(), transcript.records(NAME).len());
    let mut months: Vec<_> = transcript.records(NAME).into_iter().map(|record| record["month"].to_string()).collect();
    months.sort();
    months.dedup();
    assert_eq!(months.len(), 35, "December 2023 to October 2026");
}

#[test]
fn the_permission_for_billing_is_named() {
    let bench =
        bench(criteo_sandbox::Options { without_permission: vec![Permission::RetailMediaBilling], ..options() });
    let transcript = read(&bench);
    assert_eq!(transcript.code, Some(1));
    let error = transcript.errors()[0]["message"].to_string();
    assert!(error.contains("RetailMedia_Billing_Read"), "{error}");
}
