//! Objects of Retail Media: ids, types, accounts and permissions.

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use super::{Bench, Case, check_reported, fault, outcome_of, reported, story, warned};
use crate::harness::Transcript;
use crate::retail_media::{bench, options};

const CAMPAIGNS: &str = "rm_campaigns";

fn read(bench: &Bench, streams: &[&str]) -> Transcript {
    bench.read(&bench.catalog(streams, "full_refresh"), None)
}

/// Changed values of the first record that has some.
fn changes(transcript: &Transcript) -> Vec<String> {
    let mut records = transcript.of_type("RECORD").into_iter();
    let changed = records.find_map(|message| message["record"]["meta"]["changes"].as_array());
    let fields = changed.into_iter().flatten().map(|change| change["field"].as_str().unwrap().to_owned());
    fields.collect()
}

/// The id of the n-th account.
fn account(bench: &Bench, number: usize) -> String {
    let accounts = bench.sandbox.world().retail_media_stream("rm_accounts", "2026-07").unwrap();
    accounts[number]["id"].as_str().unwrap().to_owned()
}

pub const CASES: &[Case] = &[
    Case {
        id: 314,
        fault: "ids of 18 digits as numbers",
        expected: "the same records as with strings: no digit is lost",
        run: || {
            let bench = bench(options());
            let id: Value = serde_json::from_str(&account(&bench, 0)).unwrap();
            fault(&bench, "/campaigns", json!(null), json!({"mutate": {"/data/0/attributes/accountId": id}}));
            let first = read(&bench, &[CAMPAIGNS]);
            let ids = first
                .records(CAMPAIGNS)
                .iter()
                .filter(|record| record["account_id"] == account(&bench, 0).as_str())
                .count();
            assert!(ids >= 4, "{ids}");
            "exit 0; strings with every digit".to_owned()
        },
    },
    Case {
        id: 315,
        fault: "an object without an id",
        expected: "an error that names the key; never a row without one",
        run: || {
            let bench = bench(options());
            fault(&bench, "/balances", json!(null), json!({"mutate": {"/data/0/id": null}}));
            let transcript = read(&bench, &["rm_balances"]);
            format!("exit {}; {}", transcript.code.unwrap(), reported(&transcript, &["without"]))
        },
    },
    Case {
        id: 316,
        fault: "wrong types: a budget of \"n/a\", a date of \"soon\", a list as a name, a map as a list",
        expected: "null, and named in the record's changes; ids and the other columns are written",
        run: || {
            let bench = bench(options());
            let change = json!({"/data/0/attributes/budget": "n/a", "/data/0/attributes/startDate": "soon",
                "/data/0/attributes/promotedBrandIds": {"a": 1}, "/data/0/attributes/isAutoDailyPacing": "maybe"});
            fault(&bench, "/campaigns", json!(null), json!({"mutate": change}));
            let transcript = read(&bench, &[CAMPAIGNS]);
            let mut changed = changes(&transcript);
            changed.sort();
            format!("exit {}; null: {}", transcript.code.unwrap(), changed.join(", "))
        },
    },
    Case {
        id: 317,
        fault: "a retailer whose id is `..`, and one with a slash",
        expected: "no request leaves its folder: the first is an error, the second is escaped",
        run: || {
            let bench = bench(options());
            fault(
                &bench,
                "/retailers/search",
                json!(null),
                json!({"mutate": {"/data/0/id": "..", "/data/1/id": "a/../b"}}),
            );
            let transcript = read(&bench, &["rm_retailer_pages"]);
            let lines: Vec<_> = bench.sandbox.requests().into_iter().map(|request| request.line).collect();
            assert!(!lines.iter().any(|line| line.contains("/../") || line.contains("media/pages")), "{lines:?}");
            format!("exit {}; {}", transcript.code.unwrap(), reported(&transcript, &["cannot be part of a path"]))
        },
    },
    Case {
        id: 318,
        fault: "an object that two accounts list",
        expected: "one parent: its children are requested once",
        run: || {
            let bench = bench(options());
            let (_, story) = outcome_of(&bench, "rm_retailer_brands");
            let mut bodies: Vec<_> = bench
                .sandbox
                .requests()
                .into_iter()
                .filter(|request| request.line.contains("/brands/search") && request.line.contains("offset=0"))
                .map(|request| request.body.to_string())
                .collect();
            let all = bodies.len();
            bodies.sort();
            bodies.dedup();
            assert_eq!(bodies.len(), all);
            story
        },
    },
    Case {
        id: 319,
        fault: "an account withdraws consent after the list of accounts: 403 with the documented code, 403 with another, 404",
        expected: "the others are read, a warning names it, exit 0",
        run: || {
            for (status, code) in [(403, "insufficient-accounts-permissions"), (403, "new-code"), (404, "not-found")] {
                let bench = bench(options());
                let gone = account(&bench, 0);
                let body = json!({"errors": [{"type": "access-control", "code": code}]}).to_string();
                let path = format!("/accounts/{gone}/");
                fault(&bench, &path, json!(null), json!({"status": status, "body": body}));
                let (transcript, story) = outcome_of(&bench, CAMPAIGNS);
                assert_eq!(story, "exit 0, COMPLETE, a part of the rows", "{code}");
                warned(&transcript, &[&gone]);
            }
            "exit 0, COMPLETE, a part of the rows; warned".to_owned()
        },
    },
    Case {
        id: 320,
        fault: "an account in `account_ids` that withdraws consent after the list of accounts",
        expected: "config_error that names it and the setting; the others are read",
        run: || {
            let mut bench = bench(options());
            let (gone, other) = (account(&bench, 0), account(&bench, 1));
            bench.config["account_ids"] = json!([gone, other]);
            let body = json!({"errors": [{"code": "insufficient-accounts-permissions"}]}).to_string();
            fault(&bench, &format!("/accounts/{gone}/"), json!(null), json!({"status": 403, "body": body}));
            let (transcript, story) = outcome_of(&bench, CAMPAIGNS);
            reported(&transcript, &[&gone, "account_ids"]);
            format!("{story}; reported: the account, account_ids")
        },
    },
    Case {
        id: 321,
        fault: "200 with nothing for an account, as Criteo responds to bulk requests without consent",
        expected: "no error: an account without objects looks the same",
        run: || {
            let bench = bench(options());
            let path = format!("/accounts/{}/campaigns", account(&bench, 0));
            fault(&bench, &path, json!(null), json!({"body": "{\"data\":[],\"errors\":[],\"warnings\":[]}"}));
            outcome_of(&bench, CAMPAIGNS).1
        },
    },
    Case {
        id: 322,
        fault: "no account has granted consent",
        expected: "check fails and describes the steps; a read is a config_error",
        run: || {
            let bench = bench(options());
            fault(&bench, "/retail-media/accounts", json!(null), json!({"body": "{\"data\":[],\"metadata\":{}}"}));
            let check =
                check_reported(&bench.check(), &["no account has granted this app consent", "Generate new URL"]);
            format!("{check}; exit {}", read(&bench, &[CAMPAIGNS]).code.unwrap())
        },
    },
    Case {
        id: 323,
        fault: "an app of Marketing Solutions: 403, 404 or an empty list from Retail Media",
        expected: "check names the product of the key, whatever the response",
        run: || {
            for response in ["403", "404", "empty_data"] {
                let mut options = Options::default();
                options.unknowns.set("rm_other_service", response).unwrap();
                check_reported(&bench(options).check(), &["belongs to a Marketing Solutions app"]);
            }
            "check FAILED; reported: belongs to a Marketing Solutions app".to_owned()
        },
    },
    Case {
        id: 324,
        fault: "an app without access to private markets",
        expected: "check passes with a note; the streams fail by name, the others are read",
        run: || {
            let mut options = options();
            options.retail_media.without_private_market = true;
            let bench = bench(options);
            let check = bench.check();
            let status = &check.of_type("CONNECTION_STATUS")[0]["connectionStatus"]["status"];
            let transcript = read(&bench, &["rm_account_fees", CAMPAIGNS]);
            let fees = *transcript.statuses("rm_account_fees").last().unwrap();
            let status = status.as_str().unwrap();
            format!("check {status}; fees {fees}; {}", story(&bench, &transcript, CAMPAIGNS))
        },
    },
    Case {
        id: 325,
        fault: "the permission for balances is missing",
        expected: "their streams fail and name it, the others are read",
        run: || {
            let bench = bench(Options { without_permission: vec![Permission::RetailMediaBalances], ..options() });
            let transcript = read(&bench, &["rm_balances", "rm_balance_history", CAMPAIGNS]);
            let words = reported(&transcript, &["RetailMedia_Balance_Read"]);
            format!("{}; {words}", story(&bench, &transcript, CAMPAIGNS))
        },
    },
    Case {
        id: 326,
        fault: "one campaign was deleted during the sync: its line items return 404",
        expected: "the line items of the others, a warning with the number",
        run: || {
            let bench = bench(options());
            let campaigns = bench.sandbox.world().retail_media_stream(CAMPAIGNS, "2026-07").unwrap();
            let path = format!("/campaigns/{}/", campaigns[0]["id"].as_str().unwrap());
            fault(&bench, &path, json!(null), json!({"status": 404, "body": "{}"}));
            let (transcript, story) = outcome_of(&bench, "rm_auction_line_items");
            format!("{story}; {}", warned(&transcript, &["1 of 12 parents returned 404"]))
        },
    },
    Case {
        id: 327,
        fault: "a page of campaigns that is truncated, not JSON, or has errors beside its data, once",
        expected: "retried, every row once",
        run: || {
            for action in [
                json!({"delivery": {"cut_after": 200}}),
                json!({"body": "<html>"}),
                json!({"body": "{\"data\":[],\"errors\":[{\"code\":\"internal\"}]}"}),
            ] {
                let bench = bench(options());
                fault(&bench, "/campaigns", 1, action.clone());
                assert_eq!(outcome_of(&bench, CAMPAIGNS).1, "exit 0, COMPLETE, every row once", "{action}");
            }
            "exit 0, COMPLETE, every row once".to_owned()
        },
    },
];

super::tests! {
    case_314 case_315 case_316 case_317 case_318 case_319 case_320 case_321 case_322 case_323 case_324 case_325 case_326 case_327
}
