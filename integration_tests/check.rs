//! Each failing step of `check` has its own message, and later steps are skipped.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use criteo_sandbox::{AppState, Options, Permission};
use serde_json::{Value, json};

use crate::documents::generated;
use crate::harness::{Bench, assert_in_time};
use crate::samples::repository;

/// A failing step.
struct Scenario {
    name: &'static str,
    /// The step that must fail; `None` for a warning.
    broken: Option<&'static str>,
    world: fn(&mut Options),
    config: fn(&mut Bench),
}

fn custom_report(bench: &mut Bench) {
    bench.config["custom_reports"] =
        json!([{"name": "reach", "dimensions": ["Category", "Day"], "metrics": ["Clicks", "Reach"]}]);
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_configuration_with_errors",
        broken: Some("configuration"),
        world: |_| {},
        config: |bench| bench.config["currency"] = json!("Euro"),
    },
    Scenario {
        name: "connection_refused",
        broken: Some("network"),
        world: |_| {},
        config: |bench| bench.config["api_base_url"] = json!("http://127.0.0.1:1"),
    },
    Scenario {
        name: "a_wrong_secret",
        broken: Some("key"),
        world: |_| {},
        config: |bench| bench.config["client_secret"] = json!("not-the-secret"),
    },
    Scenario {
        name: "a_deleted_key",
        broken: Some("key"),
        world: |options| options.app = AppState::KeyDeleted,
        config: |_| {},
    },
    Scenario {
        name: "a_key_younger_than_15_minutes",
        broken: Some("key"),
        world: |_| {},
        config: |bench| {
            bench.config["client_secret"] = json!("not-the-secret");
            bench.config["key_created_at"] = json!(format!("{}T11:56:00Z", bench.today()));
        },
    },
    Scenario {
        name: "an_app_of_the_other_type",
        broken: Some("key"),
        world: |options| options.refresh_token = Some("first-refresh-token".into()),
        config: |bench| {
            bench.config.as_object_mut().unwrap().remove("refresh_token");
        },
    },
    Scenario {
        name: "an_app_that_is_not_activated",
        broken: Some("app"),
        world: |options| options.app = AppState::NotActivated,
        config: |_| {},
    },
    Scenario {
        name: "a_retail_media_app",
        broken: Some("app"),
        world: |options| options.app = AppState::RetailMedia,
        config: |_| {},
    },
    Scenario {
        name: "a_retired_version",
        broken: Some("app"),
        world: |_| {},
        config: |bench| bench.config["api_version"] = json!("2025-10"),
    },
    Scenario {
        name: "a_version_that_expires_soon",
        broken: None,
        world: |_| {},
        config: |bench| bench.config["api_version"] = json!("2026-01"),
    },
    Scenario {
        name: "no_consent",
        broken: Some("consent"),
        world: |options| options.without_consent = ["1001", "1002", "1003"].map(str::to_owned).to_vec(),
        config: |_| {},
    },
    Scenario {
        name: "partial_consent",
        broken: Some("advertisers"),
        world: |options| options.without_consent = vec!["1002".into()],
        config: |bench| bench.config["advertiser_ids"] = json!(["1001", "1002"]),
    },
    Scenario {
        name: "partial_consent_is_enough",
        broken: None,
        world: |options| options.without_consent = vec!["1002".into()],
        config: |bench| {
            bench.config["advertiser_ids"] = json!(["1001", "1002"]);
            bench.config["skip_inaccessible_advertisers"] = json!(true);
        },
    },
    Scenario {
        name: "a_permission_is_missing",
        broken: None,
        world: |options| options.without_permission = vec![Permission::Creatives],
        config: |_| {},
    },
    Scenario {
        name: "a_missing_permission_that_the_configuration_needs",
        broken: Some("permissions"),
        world: |options| options.without_permission = vec![Permission::Analytics, Permission::Audiences],
        config: custom_report,
    },
    Scenario {
        name: "a_pair_that_is_not_supported",
        broken: Some("custom reports"),
        world: |options| options.refused_pairs = vec![("Category".into(), "Reach".into())],
        config: custom_report,
    },
    Scenario {
        name: "no_listed_advertiser_has_consented",
        broken: Some("advertisers"),
        world: |options| options.without_consent = vec!["1002".into()],
        config: |bench| bench.config["advertiser_ids"] = json!(["1002"]),
    },
    Scenario {
        name: "control_characters_in_messages",
        broken: None,
        world: |_| {},
        config: |bench| {
            let app =
                json!({"data": {"attributes": {"name": "Evil\u{1b}[2J\u{1b}]0;x\u{7}\nsandbox+secret/with=signs"}}});
            let fault = json!({"match": {"path": "/me"}, "times": null, "do": {"body": app.to_string()}});
            let portfolio = json!({"match": {"path": "/advertisers/me"}, "times": null,
                "do": {"body": json!({"data": [{"id": "1001"}]}).to_string()}});
            bench.sandbox.add_fault(fault).unwrap();
            bench.sandbox.add_fault(portfolio).unwrap();
        },
    },
    Scenario {
        name: "errors_instead_of_the_app",
        broken: None,
        world: |_| {},
        config: |bench| {
            let fault = json!({"match": {"path": "/marketing-solutions/me"}, "times": null, "do": {"body": json!({
                "errors": [{"type": "authorization", "code": "app-not-ready", "title": "Not ready", "traceId": "t7"}]}).to_string()}});
            bench.sandbox.add_fault(fault).unwrap();
        },
    },
    Scenario {
        name: "nothing_is_readable",
        broken: Some("permissions"),
        world: |_| {},
        config: |bench| {
            let refusal = json!({"errors": [{"code": "ip-not-allowed", "title": "Not from here", "traceId": "t1"}]});
            for part in ["search", "report", "ads", "dataset"] {
                let fault =
                    json!({"match": {"path": part}, "times": null, "do": {"status": 403, "body": refusal.to_string()}});
                bench.sandbox.add_fault(fault).unwrap();
            }
        },
    },
    Scenario {
        name: "reports_are_refused_for_another_reason",
        broken: None,
        world: |_| {},
        config: |bench| {
            let refusal = json!({"errors": [{"code": "invalid", "title": "Invalid currency", "traceId": "t9"}]});
            let fault =
                json!({"match": {"path": "report"}, "times": null, "do": {"status": 400, "body": refusal.to_string()}});
            bench.sandbox.add_fault(fault).unwrap();
        },
    },
    Scenario { name: "everything_works", broken: None, world: |_| {}, config: |_| {} },
];

#[test]
fn each_failed_step_has_its_own_message() {
    for scenario in SCENARIOS {
        let mut options = Options::default();
        (scenario.world)(&mut options);
        let mut bench = Bench::new(options, 14);
        (scenario.config)(&mut bench);
        let checked = bench.check();
        let status = &checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
        let message = status["message"].as_str().unwrap();
        assert_eq!(status["status"] == "FAILED", scenario.broken.is_some(), "{}: {message}", scenario.name);
        let seen = bench.at_terminal(100, &["check", "--config", "config.json", "--exit-code"], &[("NO_COLOR", "1")]);
        let exit = if scenario.broken.is_some() { "exit 1" } else { "exit 0" };
        assert!(seen.ends_with(&format!("{exit}\n")), "{seen}");
        for (mark, is_wanted) in [("✗", scenario.broken.is_some()), ("\u{1b}", false)] {
            assert_eq!(seen.contains(mark), is_wanted, "{}: {seen}", scenario.name);
        }
        assert!(!seen.contains("sandbox+secret"), "{seen}");
        if let Some(step) = scenario.broken {
            let reported: Vec<_> = seen.lines().skip_while(|line| !line.starts_with('✗')).collect();
            assert!(reported[0].starts_with(&format!("✗ {step} ")), "{}: {seen}", scenario.name);
            let length = reported[1..].iter().take_while(|line| line.starts_with(' ')).count();
            assert!(length <= 5, "{}: a problem takes at most five lines: {seen}", scenario.name);
            for word in ["Error", "Some(", "None", "::"] {
                assert!(!message.contains(word), "{}: {message}", scenario.name);
            }
            // Terminal and protocol show the same text.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&seen).contains(&words(message)), "{}: {message}: {seen}", scenario.name);
        }
        insta::with_settings!({snapshot_path => "snapshots/check", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(scenario.name, seen.replace(&bench.sandbox.url(), "http://127.0.0.1:PORT"));
        });
    }
}

/// A refused advertiser does not validate a report, so the next advertiser is tried.
#[test]
fn a_refused_advertiser_does_not_hide_an_invalid_report() {
    let options = Options {
        refused_in_reports: vec!["1001".into()],
        refused_pairs: vec![("Category".into(), "Reach".into())],
        ..Options::default()
    };
    let mut bench = Bench::new(options, 14);
    custom_report(&mut bench);
    let checked = bench.check();
    let status = &checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    assert!(status["message"].as_str().unwrap().contains("Reach is not available by Category"), "{status}");
    assert!(checked.logs("WARN").iter().any(|line| line.contains("has not granted the app consent")));
}

/// Whether `check` succeeded, and its full message.
fn checked(bench: &Bench) -> (bool, String) {
    let transcript = bench.check();
    let [status] = &transcript.of_type("CONNECTION_STATUS")[..] else { panic!("{}", transcript.stdout) };
    let status = &status["connectionStatus"];
    let said = format!("{} {}", status["message"].as_str().unwrap(), transcript.logs("WARN").join(" "));
    (status["status"] == "SUCCEEDED", said)
}

#[expect(clippy::needless_pass_by_value, reason = "callers build the fault inline")]
fn always(bench: &Bench, matched: Value, action: Value) {
    bench.sandbox.add_fault(json!({"match": matched, "times": null, "do": action})).unwrap();
}

/// An error in Criteo's format.
fn refusal(status: u16, code: &str, title: &str) -> Value {
    json!({"status": status, "body": json!({"errors": [{"code": code, "title": title}]}).to_string()})
}

/// The response of `me` decides nothing unless it names another service, since no known program calls it.
#[test]
fn check_continues_without_a_response_about_the_app() {
    let refused = [400, 401, 403, 404, 500].map(|status| refusal(status, "odd", "Odd"));
    let odd = [json!({"body": "{}"}), json!({"body": r#"{"data":null}"#}), json!({"body": r#"{"data":[]}"#})];
    for action in refused.into_iter().chain(odd) {
        let bench = Bench::new(Options::default(), 3);
        always(&bench, json!({"path": "/marketing-solutions/me"}), action.clone());
        let app = json!({"data": {"attributes": {"criteoService": "MarketingSolutions", "name": "Mine"}}});
        always(&bench, json!({"path": "/retail-media/me"}), json!({"body": app.to_string()}));
        let (is_well, said) = checked(&bench);
        assert!(is_well && !said.contains("Retail Media"), "{action}: {said}");
    }
    let bench = Bench::new(Options::default(), 3);
    always(&bench, json!({"path": "/marketing-solutions/me"}), refusal(403, "permission-denied", "Not here"));
    let transcript = bench.read(&bench.catalog(&["application"], "full_refresh"), None);
    let message = transcript.errors()[0]["message"].to_string();
    assert!(message.contains("Not here") && !message.contains("no permission"), "{message}");
}

/// A problem in one group of streams is only a warning.
#[test]
fn one_odd_response_does_not_fail_check() {
    for (path, label) in [("/audiences/search", "Audiences: Read"), ("/ads", "Creatives: Read")] {
        for status in [400, 403, 404, 410, 500] {
            let bench = Bench::new(Options::default(), 3);
            always(&bench, json!({"path": path}), refusal(status, "odd", "Odd words"));
            let (is_well, said) = checked(&bench);
            let is_reported = said.contains(label) && said.contains("Odd words");
            assert!(is_well && is_reported && !said.contains("lacks"), "{path} {status}: {said}");
        }
    }
}

#[test]
fn a_refused_report_is_a_missing_permission_only_if_criteo_says_so() {
    let path = "/statistics/report";
    // One of three advertisers is refused, alone and in a list.
    let bench = Bench::new(Options::default(), 3);
    always(&bench, json!({"path": path, "advertiser": "1003"}), refusal(403, "odd", "Advertiser is odd"));
    let (is_well, said) = checked(&bench);
    assert!(is_well && said.contains("Advertiser is odd") && !said.contains("Could not be tested:"), "{said}");
    // No advertiser has a campaign.
    for status in [403, 404] {
        let mut bench = Bench::new(Options::default(), 3);
        custom_report(&mut bench);
        always(&bench, json!({"path": path}), refusal(status, "no-campaign-found", "No campaign found"));
        let (is_well, said) = checked(&bench);
        assert!(is_well && said.contains("No campaign found") && !said.contains("lacks"), "{status}: {said}");
    }
    // All are refused: Criteo's text decides.
    for (words, is_lacking) in [("The scope of the app is too small", true), ("We are closed", false)] {
        let mut bench = Bench::new(Options::default(), 3);
        custom_report(&mut bench);
        always(&bench, json!({"path": path}), refusal(403, "odd", words));
        let (is_well, said) = checked(&bench);
        assert!(!is_well && said.contains("It lacks \"Analytics: Read\"") == is_lacking, "{said}");
    }
}

/// `check` converts the response to records, so it does not pass if a sync would fail.
#[test]
fn a_report_with_unreadable_rows_fails_check() {
    let mut bench = Bench::new(Options { activity: 100, ..Options::default() }, 3);
    bench.config["custom_reports"] = json!([{"name": "hours", "dimensions": ["Day", "Hour"], "metrics": ["Clicks"]}]);
    assert!(checked(&bench).0);
    always(
        &bench,
        json!({"path": "/statistics/report", "text": "Hour"}),
        json!({"mutate": {"/Rows/0/Hour": "at noon"}}),
    );
    let (is_well, said) = checked(&bench);
    assert!(!is_well && said.contains("custom_reports[0] (hours)"), "{said}");
}

#[test]
fn criteos_error_message_is_quoted_in_every_format() {
    let plain = "The requested dimensions combination is not supported.";
    let words = json!({"message": plain}).to_string();
    let envelope = json!({"Errors": [{"Code": "Odd-Code", "Title": plain}]}).to_string();
    for body in [plain, &words, &envelope] {
        let mut bench = Bench::new(Options::default(), 3);
        custom_report(&mut bench);
        always(&bench, json!({"path": "/statistics/report", "text": "Reach"}), json!({"status": 400, "body": body}));
        let (is_well, said) = checked(&bench);
        assert!(!is_well && said.contains(plain), "{body}: {said}");
    }
    let mut bench = Bench::new(Options { without_permission: vec![Permission::Creatives], ..Options::default() }, 3);
    bench.config["start_date"] = json!(bench.today());
    always(&bench, json!({"path": "/ads"}), refusal(403, "PERMISSION-Denied", "No"));
    assert!(checked(&bench).1.contains("lacks \"Creatives: Read\""));
}

/// Another version may respond for a retired one, or none.
#[test]
fn an_expired_api_version_is_reported() {
    let mut bench = Bench::new(Options::default(), 3);
    bench.config["api_version"] = json!("2025-07");
    let (is_well, said) = checked(&bench);
    assert!(!is_well && said.contains("no longer serves API version 2025-07, but it serves version 2026-07"), "{said}");
    let list = json!({"data": [{"id": "1001"}]}).to_string();
    always(&bench, json!({"path": "/2025-07/advertisers/me"}), json!({"status": 200, "body": list}));
    let (_, said) = checked(&bench);
    assert!(said.contains("supports API version 2025-07 only until July 2026. It still responds"), "{said}");
}

const FLAWS: &[(&str, &str)] = &[
    ("\"sandbox+secret/with=signs\"", "client_secret is wrapped in extra quotes"),
    ("sandbox+secret\u{200b}/with=signs", "client_secret contains a line break or an invisible character"),
    ("************", "client_secret is masked"),
    ("<client_secret>", "client_secret is a placeholder"),
    ("API Secret: sandbox+secret/with=signs", "client_secret starts with its own label"),
    ("sandbox%2Bsecret%2Fwith%3Dsigns", "client_secret contains percent escapes"),
    ("sandbox&#43;secret/with=signs", "client_secret contains HTML escapes"),
];

#[test]
fn a_malformed_secret_is_reported_before_the_request_and_with_the_rejection() {
    for (secret, words) in FLAWS {
        let mut bench = Bench::new(Options::default(), 3);
        bench.config["client_secret"] = json!(secret);
        let checked = bench.check();
        let status = &checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
        let said = status["message"].as_str().unwrap();
        assert!(status["status"] == "FAILED" && said.contains(words), "{words}: {said}");
        let first = checked
            .messages
            .iter()
            .position(|message| message["log"]["message"].as_str().is_some_and(|t| t.contains(words)));
        assert_eq!(first, Some(0), "{words}: {}", checked.stdout);
        assert!(!checked.stdout.contains("sandbox"), "{}", checked.stdout);
    }
}

/// `check` finishes even if requests hang.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn check_finishes_in_time_when_requests_hang() {
    for (path, most) in [("oauth2", 20), ("statistics/report", 40)] {
        let bench = Bench::new(Options::default(), 14);
        let fault = json!({"match": {"path": path}, "times": null, "do": {"delivery": {"delay_ms": 90_000}}});
        bench.sandbox.add_fault(fault).unwrap();
        let started = Instant::now();
        let checked = bench.check();
        assert_in_time(started, Duration::from_secs(most));
        let reported = format!("{:?}{:?}", checked.of_type("CONNECTION_STATUS"), checked.logs("WARN"));
        assert!(reported.contains("did not respond in time"), "{path}: {reported}");
    }
}

#[test]
fn independent_problems_are_reported_together() {
    let mut bench = Bench::new(
        Options {
            without_consent: vec!["1002".into()],
            refused_pairs: vec![("Category".into(), "Reach".into())],
            ..Options::default()
        },
        14,
    );
    custom_report(&mut bench);
    bench.config["advertiser_ids"] = json!(["1001", "1002"]);
    let checked = bench.check();
    let message = checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"]["message"].as_str().unwrap().to_owned();
    for part in ["There are 2 problems.", "advertiser_ids lists", "custom_reports[0] (reach)", "Criteo's trace id"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

/// `UPDATE_DOCS=1 cargo test credentials` rewrites the table of permissions.
#[test]
fn the_credentials_page_matches_the_program() {
    let page = repository("docs/credentials.md");
    for step in source_criteo::check::Step::ALL.map(source_criteo::check::Step::name) {
        assert!(page.contains(&format!("\n### {step}\n")), "{step} has no heading");
    }
    assert!(page.contains(include_str!("../src/commands/setup/consent.txt")), "the consent message differs");
    let config = source_criteo::config::Config::parse(&Bench::new(Options::default(), 14).config.to_string()).unwrap();
    let mut table = "| permission | streams |\n| --- | --- |\n".to_owned();
    for product in source_criteo::model::product::Product::ALL {
        let options = source_criteo::products::report::ReportOptions { product, ..config.reports.clone() };
        let streams = source_criteo::products::streams(&options);
        for permission in source_criteo::products::Permission::of(product) {
            let names = streams.iter().filter(|s| s.permission == *permission).map(|s| format!("`{}`", s.name));
            writeln!(table, "| {} | {} |", permission.label(), names.collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    generated("docs/credentials.md", "permissions", &table);
}
