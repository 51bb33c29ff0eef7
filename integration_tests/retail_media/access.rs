//! Keys, consent and permissions.

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::retail_media::{assert_whole, bench, options, truth_of};
use crate::truth::by_key;

fn check(bench: &Bench) -> (bool, String) {
    bench.file("config.json", &bench.config);
    let transcript = bench.run(&["check", "--config", "config.json"]);
    let status = &transcript.messages.iter().find(|m| m["type"] == "CONNECTION_STATUS").unwrap()["connectionStatus"];
    (status["status"] == "SUCCEEDED", status["message"].to_string() + &transcript.logs("INFO").join(" "))
}

fn only_error(transcript: &Transcript) -> String {
    let [error] = &transcript.errors()[..] else { panic!("expected one error: {:?}", transcript.errors()) };
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn check_names_app_accounts_and_limited_streams() {
    let (is_well, said) = check(&bench(options()));
    assert!(is_well, "{said}");
    for part in ["4 accounts have granted", "1 supply", "demand brand", "demand seller", "rm_account_fees", "few apps"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_key_of_the_other_product_is_named() {
    for switch in ["403", "404", "empty_data"] {
        let mut of_marketing = Options::default();
        of_marketing.unknowns.set("rm_other_service", switch).unwrap();
        let (is_well, said) = check(&bench(of_marketing));
        assert!(!is_well && said.contains("This key belongs to a Marketing Solutions app"), "{switch}: {said}");
    }
    let marketing = Bench::new(options(), 3);
    let (is_well, said) = check(&marketing);
    assert!(!is_well && said.contains("This key belongs to a Retail Media app"), "{said}");
}

#[test]
fn a_missing_permission_fails_its_streams_only_and_is_named() {
    for (permission, scope, stream, other) in [
        (Permission::RetailMediaBalances, "RetailMedia_Balance_Read", "rm_balances", "rm_campaigns"),
        (Permission::RetailMediaAudiences, "RetailMedia_Audience_Read", "rm_audiences", "rm_campaigns"),
        (Permission::RetailMediaCampaigns, "RetailMedia_Campaign_Read", "rm_line_items", "rm_balances"),
    ] {
        let bench = bench(Options { without_permission: vec![permission], ..options() });
        let transcript = bench.read(&bench.catalog(&[stream, other], "full_refresh"), None);
        assert_eq!(transcript.code, Some(1));
        assert!(only_error(&transcript).contains(scope), "{:?}", transcript.errors());
        assert_whole(&bench, &transcript, &[other]);
        let (is_well, said) = check(&bench);
        assert!(is_well && said.contains(scope), "{said}");
    }
}

#[test]
fn accounts_without_consent_are_named_and_the_others_are_read() {
    let bench_of_all = bench(options());
    let accounts = bench_of_all.sandbox.world().retail_media_stream("rm_accounts", "2026-07").unwrap();
    let ids: Vec<_> = accounts.iter().map(|account| account["id"].as_str().unwrap().to_owned()).collect();
    let mut bench = bench(Options { without_consent: vec![ids[0].clone()], ..options() });
    bench.config["account_ids"] = json!([ids[0], ids[1]]);
    let transcript = bench.read(&bench.catalog(&["rm_campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(1));
    let said = only_error(&transcript);
    assert!(said.contains("account_ids lists accounts") && said.contains(&ids[0]), "{said}");
    assert!(!transcript.records("rm_campaigns").is_empty());
    assert!(transcript.records("rm_campaigns").iter().all(|record| record["account_id"] == ids[1].as_str()));
    bench.config["skip_inaccessible_accounts"] = json!(true);
    let transcript = bench.read(&bench.catalog(&["rm_campaigns"], "full_refresh"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
}

/// An account withdraws consent after the list of accounts was read.
#[test]
fn an_account_that_withdraws_consent_does_not_stop_the_others() {
    for (status, code) in [(403, "insufficient-accounts-permissions"), (403, "unknown"), (404, "not-found")] {
        let bench = bench(options());
        let discovered = bench.discover();
        let names = ["rm_campaigns", "rm_auction_line_items"];
        let all = truth_of(&bench, "rm_campaigns", &discovered["rm_campaigns"]);
        let gone = all[0]["account_id"].as_str().unwrap().to_owned();
        let body = json!({"errors": [{"type": "access-control", "code": code}]});
        bench
            .sandbox
            .add_fault(json!({"match": {"path": format!("/accounts/{gone}/")}, "times": null,
                "do": {"status": status, "body": body.to_string()}}))
            .unwrap();
        let transcript = bench.read(&bench.catalog(&names, "full_refresh"), None);
        assert_eq!(transcript.code, Some(0), "{code}: {:?}", transcript.errors());
        for name in names {
            let stream = &discovered[name];
            let others = truth_of(&bench, name, stream).into_iter().filter(|record| record["account_id"] != *gone);
            let others: Vec<_> = others.collect();
            assert_eq!(by_key(transcript.records(name), stream), by_key(&others, stream), "{name}: {code}");
        }
        assert!(transcript.logs("WARN").iter().any(|line| line.contains(&gone)), "{:?}", transcript.logs("WARN"));
    }
}

#[test]
fn settings_of_the_other_product_and_older_versions_are_reported() {
    let problems = |change: Value, is_retail_media: bool| {
        let mut bench = if is_retail_media { bench(options()) } else { Bench::new(Options::default(), 3) };
        bench.config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        check(&bench)
    };
    for (change, words) in [
        (json!({"currency": "EUR"}), "currency is a setting of Marketing Solutions"),
        (json!({"advertiser_ids": ["1"]}), "Use account_ids"),
        (json!({"mpo_interval": "Month"}), "mpo_interval is a setting of Marketing Solutions"),
        (json!({"api_version": "2026-01"}), "Retail Media is read from 2026-07 on"),
        (json!({"api_version": "preview"}), "Retail Media is read from 2026-07 on"),
        (json!({"product": "retail"}), "product must be one of"),
    ] {
        let (is_well, said) = problems(change, true);
        assert!(!is_well && said.contains(words), "{words}: {said}");
    }
    // Forms fill in defaults.
    let (is_well, said) = problems(json!({"mpo_interval": "Day", "log_level_product_ids": false}), true);
    assert!(is_well, "{said}");
    // Meltano's plugins inherit settings, which can only be emptied.
    let (is_well, said) = problems(json!({"currency": "", "custom_reports": [], "advertiser_ids": null}), true);
    assert!(is_well, "{said}");
    let (is_well, said) = problems(json!({"account_ids": ["1"]}), false);
    assert!(!is_well && said.contains("Use advertiser_ids"), "{said}");
    let (is_well, said) = problems(json!({"currency": null}), false);
    assert!(!is_well && said.contains("currency is missing"), "{said}");
}
