//! Tokens, credentials and consent.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use crate::harness::{Bench, assert_in_time};

use super::{
    Case, REPORT, assert_complete, bench, calls, check_reported, fault, faults_in_sequence, read, reported, story,
};

pub const CASES: &[Case] = &[
    Case {
        id: 1,
        fault: "tokens expire after two seconds, during the sync",
        expected: "renewed before they expire: no request is refused, every row once",
        run: || {
            let options = Options {
                token_life: Duration::from_secs(2),
                latency: Duration::from_millis(400),
                row_cap: 20,
                ..Options::default()
            };
            let bench = bench(options, 130);
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            let tokens = calls(&bench, "/oauth2/token");
            assert!(tokens >= 3, "{tokens} of {} requests", bench.sandbox.requests().len());
            assert!(bench.sandbox.requests().iter().all(|request| request.status == 200));
            format!("{story}; no request was refused")
        },
    },
    Case {
        id: 2,
        fault: "a token is refused before it expires",
        expected: "one new token, one retry, every row once",
        run: || {
            let bench = bench(Options::default(), 10);
            let body = json!({"errors": [{"code": "authorization-token-expired"}]}).to_string();
            fault(&bench, "/statistics/report", 1, json!({"status": 401, "body": body}));
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            assert_eq!((calls(&bench, "/oauth2/token"), calls(&bench, "/statistics/report")), (2, 2));
            format!("{story}; 2 tokens, 2 requests")
        },
    },
    Case {
        id: 3,
        fault: "every token is refused, from the start and from the 30th request on",
        expected: "one new token, then a config_error that says so; no endless retries",
        run: || {
            let bench = bench(Options { token_calls: Some(0), ..Options::default() }, 10);
            let transcript = read(&bench, &["campaigns"]);
            assert_eq!(calls(&bench, "/oauth2/token"), 2);
            let words = reported(&transcript, &["issued a token and then refused it"]);
            let first = format!("{}; {words}", story(&bench, &transcript, "campaigns"));
            let bench = super::bench(Options::default(), 20);
            let catalog =
                bench.catalog(&bench.discover().keys().map(String::as_str).collect::<Vec<_>>(), "incremental");
            let storm =
                json!({"match": {"path": "/2026-07/", "nth": 30}, "times": null, "do": {"status": 401, "body": "{}"}});
            bench.sandbox.add_fault(storm).unwrap();
            // The rules also limit attempts per request.
            assert_eq!(bench.read(&catalog, None).code, Some(1));
            let refused = bench.sandbox.requests().iter().filter(|request| request.status == 401).count();
            assert!(
                refused <= 3 * catalog["streams"].as_array().unwrap().len(),
                "{refused} requests with a refused token"
            );
            first
        },
    },
    Case {
        id: 4,
        fault: "six concurrent requests have their token refused",
        expected: "one new token for all of them, every row once",
        run: || {
            let bench = bench(Options { latency: Duration::from_millis(500), ..Options::default() }, 10);
            fault(&bench, "/statistics/report", 6, json!({"status": 401, "body": "{}"}));
            let streams = ["campaign", "ad_set", "ad", "device", "category", "objective"];
            let streams = streams.map(|name| format!("{name}_statistics_daily"));
            let streams: Vec<_> = streams.iter().map(String::as_str).collect();
            let story = assert_complete(&bench, &read(&bench, &streams));
            format!("{story}; {} tokens", calls(&bench, "/oauth2/token"))
        },
    },
    Case {
        id: 5,
        fault: "a wrong secret",
        expected: "check fails immediately without a retry and names the likely causes",
        run: || {
            let mut bench = bench(Options::default(), 1);
            bench.config["client_secret"] = json!("wrong-secret");
            let reported =
                check_reported(&bench.check(), &["not from the same key", "the key was deleted", "create a new key"]);
            assert_eq!(calls(&bench, "/oauth2/token"), 1);
            format!("{reported}; 1 request")
        },
    },
    Case {
        id: 6,
        fault: "the secret is `a+b/c=&d%\"é` and a backslash",
        expected: "sent byte for byte, never printed",
        run: || {
            let client_secret = "a+b/c=&d%\"é\\ end".to_owned();
            let bench = bench(Options { client_secret, ..Options::default() }, 3);
            assert_complete(&bench, &read(&bench, &[REPORT]))
        },
    },
    Case {
        id: 7,
        fault: "whitespace and a line break around the secret",
        expected: "removed with a warning that names the field",
        run: || {
            let mut bench = bench(Options::default(), 3);
            bench.config["client_secret"] = json!("  sandbox+secret/with=signs\n");
            let transcript = read(&bench, &[REPORT]);
            assert!(transcript.logs("WARN").iter().any(|log| log.starts_with("client_secret: removed white space")));
            format!("{}; warned", assert_complete(&bench, &transcript))
        },
    },
    Case {
        id: 8,
        fault: "the token endpoint hangs forever when the first token expires, while every stream is being read",
        expected: "three attempts for all streams together; rows read so far are checkpointed",
        run: || {
            let options = Options {
                token_life: Duration::from_secs(3),
                latency: Duration::from_millis(300),
                ..Options::default()
            };
            let bench = bench(options, 100);
            let hang = json!({"match": {"path": "/oauth2/token", "nth": 2}, "times": null, "do": {"delivery": {"delay_ms": 200_000}}});
            bench.sandbox.add_fault(hang).unwrap();
            let catalog =
                bench.catalog(&bench.discover().keys().map(String::as_str).collect::<Vec<_>>(), "incremental");
            let transcript = bench.read(&catalog, None);
            assert_eq!(calls(&bench, "/oauth2/token"), 4);
            assert!(!transcript.of_type("STATE").is_empty());
            format!(
                "exit {}; {}",
                transcript.code.unwrap(),
                reported(&transcript, &["did not start responding within 30 s"])
            )
        },
    },
    Case {
        id: 9,
        fault: "the token endpoint returns 429, 503 and 502, then a token",
        expected: "retried, every row once",
        run: || {
            let bench = bench(Options::default(), 3);
            let refusal = |status| json!({"status": status, "body": "", "headers": {"Retry-After": "1"}});
            faults_in_sequence(&bench, "/oauth2/token", [429, 503, 502].map(refusal));
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            format!("{story}; {} token requests", calls(&bench, "/oauth2/token"))
        },
    },
    Case {
        id: 10,
        fault: "the token endpoint returns HTML, a token without a lifetime, with a negative lifetime, with the \
                lifetime as a string",
        expected: "HTML is retried; the tokens are accepted",
        run: || {
            let page = json!({"body": "<html>Sign in</html>", "headers": {"Content-Type": "text/html"}});
            let grants = [json!({"/expires_in": null}), json!({"/expires_in": -5}), json!({"/expires_in": "900"})];
            for action in [page].into_iter().chain(grants.map(|mutate| json!({"mutate": mutate}))) {
                let bench = bench(Options::default(), 3);
                fault(&bench, "/oauth2/token", 1, action);
                assert_complete(&bench, &read(&bench, &[REPORT]));
            }
            let bench = bench(Options::default(), 3);
            fault(
                &bench,
                "/oauth2/token",
                json!(null),
                json!({"body": "<html>", "headers": {"Content-Type": "text/html"}}),
            );
            let reported = check_reported(&bench.check(), &["sent text/html instead of a token", "captive portal"]);
            let refusing = super::bench(Options::default(), 3);
            let page = json!({"status": 400, "body": "<html>Blocked", "headers": {"Content-Type": "text/html"}});
            fault(&refusing, "/oauth2/token", json!(null), page);
            check_reported(&refusing.check(), &["text/html instead of JSON", "<html>Blocked"]);
            format!("every row once with each; HTML forever: {reported}")
        },
    },
    Case {
        id: 11,
        fault: "the token endpoint hangs",
        expected: "aborted after 30 s and retried, every row once",
        run: || {
            let bench = bench(Options::default(), 3);
            fault(&bench, "/oauth2/token", 1, json!({"delivery": {"delay_ms": 100_000}}));
            let started = std::time::Instant::now();
            let story = assert_complete(&bench, &read(&bench, &[REPORT]));
            assert!(started.elapsed().as_secs() >= 30, "{:?}", started.elapsed());
            assert_in_time(started, Duration::from_secs(45));
            format!("{story}; 2 token requests, {} s apart", 30)
        },
    },
    Case {
        id: 12,
        fault: "an advertiser withdraws consent between two syncs",
        expected: "the others are read, its cursor stays in the state, a warning names the advertiser",
        run: || {
            let bench = bench(Options::default(), 20);
            let catalog = bench.catalog(&[REPORT], "incremental");
            let first = bench.read(&catalog, None);
            bench.sandbox.change(|options| options.without_consent = vec!["1002".to_owned()]);
            let second = bench.read(&catalog, Some(&first.final_state()));
            assert!(second.records(REPORT).iter().all(|record| record["advertiser_id"] != "1002"));
            assert!(!second.records(REPORT).is_empty());
            let groups = second.final_state()[0]["stream"]["stream_state"]["groups"].to_string();
            assert!(groups.contains("\"1002\""), "{groups}");
            assert!(
                second.logs("WARN").iter().any(|log| log.contains("1002 (up to 2026-10-31)")),
                "{:?}",
                second.logs("WARN")
            );
            format!("exit {}; the others were read, the cursor was kept", second.code.unwrap())
        },
    },
    Case {
        id: 13,
        fault: "one of three listed advertisers is refused; then with skip_inaccessible_advertisers",
        expected: "the others are read and checkpointed, a config_error names it; then a warning and exit 0",
        run: || {
            let mut bench = bench(Options { without_consent: vec!["1002".to_owned()], ..Options::default() }, 10);
            bench.config["advertiser_ids"] = json!(["1001", "1002", "1003"]);
            let transcript = read(&bench, &[REPORT]);
            assert!(transcript.records(REPORT).iter().any(|record| record["advertiser_id"] == "1003"));
            assert!(!transcript.states(REPORT).is_empty());
            let reported = reported(&transcript, &["1002", "consent link"]);
            bench.config["skip_inaccessible_advertisers"] = json!(true);
            let skipped = read(&bench, &[REPORT]);
            assert!(skipped.code == Some(0) && skipped.logs("WARN").iter().any(|log| log.contains("1002")));
            format!("exit {}, the others were read; {reported}; then exit 0 and a warning", transcript.code.unwrap())
        },
    },
    Case {
        id: 14,
        fault: "no advertiser has granted consent",
        expected: "check fails and describes the steps",
        run: || {
            let ids = ["1001", "1002", "1003"].map(str::to_owned).to_vec();
            let bench = bench(Options { without_consent: ids, ..Options::default() }, 1);
            check_reported(&bench.check(), &["credentials work", "Generate new URL", "business manager"])
        },
    },
    Case {
        id: 15,
        fault: "the app lacks one permission",
        expected: "streams that need it fail and name it, the others are read",
        run: || {
            let bench = bench(Options { without_permission: vec![Permission::Creatives], ..Options::default() }, 3);
            let transcript = read(&bench, &["creatives", REPORT]);
            let report = story(&bench, &transcript, REPORT);
            assert_eq!(report, "exit 1, COMPLETE, every row once");
            format!("{report}; {}", reported(&transcript, &["Creatives: Read", "frozen once an app is activated"]))
        },
    },
    Case {
        id: 16,
        fault: "403 with an unknown code",
        expected: "never skipped: config_error with Criteo's message, code and trace id",
        run: || {
            let bench = bench(Options::default(), 3);
            let body =
                json!({"errors": [{"code": "brand-new", "title": "No", "detail": "because", "traceId": "abc-123"}]});
            fault(&bench, "/campaigns/search", json!(null), json!({"status": 403, "body": body.to_string()}));
            let transcript = read(&bench, &["campaigns"]);
            let words = reported(&transcript, &["brand-new", "because", "abc-123"]);
            format!("{}; {words}", story(&bench, &transcript, "campaigns"))
        },
    },
    Case {
        id: 17,
        fault: "200 with errors and no data",
        expected: "an error, not zero rows",
        run: || {
            let bench = bench(Options::default(), 3);
            let body = json!({"errors": [{"code": "boom", "title": "Broken", "traceId": "abc"}], "data": null});
            fault(&bench, "/campaigns/search", json!(null), json!({"body": body.to_string()}));
            let transcript = read(&bench, &["campaigns"]);
            format!(
                "{}; {}",
                story(&bench, &transcript, "campaigns"),
                reported(&transcript, &["errors instead of data", "boom"])
            )
        },
    },
    Case {
        id: 18,
        fault: "200 with data and the same warning in every response",
        expected: "every row, the warning reported once",
        run: || {
            let bench = bench(Options { row_cap: 60, ..Options::default() }, 40);
            let warnings = json!([{"code": "soon-gone", "title": "Deprecated", "detail": "update"}]);
            fault(&bench, "/statistics/report", json!(null), json!({"mutate": {"/warnings": warnings}}));
            let transcript = read(&bench, &[REPORT]);
            let count = transcript.logs("WARN").iter().filter(|log| log.contains("soon-gone")).count();
            format!("{}; reported {count} time", assert_complete(&bench, &transcript))
        },
    },
];

super::tests! { case_1 case_2 case_3 case_4 case_5 case_6 case_7 case_8 case_9 case_10 case_11 case_12 case_13 case_14 case_15 case_16 case_17 case_18 }

const FIRST: &str = "first-refresh-token";

/// A bench of an app whose refresh token rotates.
fn rotating() -> Bench {
    bench(Options { refresh_token: Some(FIRST.into()), ..Options::default() }, 3)
}

/// A manually written configuration with the settings of `bench`.
fn hand_written(bench: &Bench) -> String {
    let rest: Vec<_> = bench.config.as_object().unwrap().iter().filter(|(name, _)| *name != "refresh_token").collect();
    let rest: Vec<_> = rest.into_iter().map(|(name, value)| format!("\t\"{name}\" : {value}")).collect();
    let rest = rest.join(",\r\n");
    format!("\u{feff}{{ \"note\": {{\"refresh_token\": \"mine\"}},\n  \"refresh_token\":\"{FIRST}\",\r\n{rest}  }}\n\n")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// As a command and as a tap: the file has the new token, is private and otherwise unchanged; a link is kept.
#[test]
fn a_rotated_refresh_token_is_saved_in_the_configuration() {
    for arguments in [&["read", "--streams", "campaigns", "--config"][..], &["check", "--config"], &["--config"]] {
        let bench = rotating();
        let (file, text) = (bench.directory.join("real.json"), hand_written(&bench));
        std::fs::write(&file, &text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("real.json", bench.directory.join("link.json")).unwrap();
        let catalog = json!({"streams": [{"tap_stream_id": "campaigns", "schema": {}, "metadata": [
            {"breadcrumb": [], "metadata": {"selected": true}}]}]});
        bench.file("catalog.json", &catalog);
        // The second run uses the token saved by the first.
        for run in 1..=2 {
            let mut program = bench.program();
            program.args(arguments).arg("link.json");
            if arguments.len() == 1 {
                program.args(["--catalog", "catalog.json"]);
            }
            let output = program.output().unwrap();
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && !said.contains("FAILED"), "{arguments:?}: {said}");
            assert!(!said.contains("cannot be saved"), "{said}");
            let kept = std::fs::read_to_string(&file).unwrap();
            assert_eq!(kept, text.replace(FIRST, &format!("rotated-refresh-token-{run}")), "{arguments:?}");
            assert_eq!(said.contains("\"CONTROL\""), arguments.len() > 1, "a platform receives it as well: {said}");
        }
        assert_eq!(mode(&file), 0o600);
        assert!(std::fs::symlink_metadata(bench.directory.join("link.json")).unwrap().is_symlink());
        let mut left: Vec<_> =
            std::fs::read_dir(&bench.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["catalog.json", "link.json", "real.json"]);
    }
}

/// Concurrent runs with one configuration do not use up each other's token.
#[test]
fn concurrent_runs_share_one_refresh_token() {
    let bench = rotating();
    bench.sandbox.change(|options| options.latency = Duration::from_millis(200));
    bench.file("config.json", &bench.config);
    let start = || {
        let mut program = bench.program();
        program.args(["check", "--config", "config.json", "--exit-code"]);
        program.stdout(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<_> = (0..4).map(|_| start()).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(bench.token_requests(), 4);
    let kept: Value = serde_json::from_slice(&std::fs::read(bench.directory.join("config.json")).unwrap()).unwrap();
    assert_eq!(kept["refresh_token"], "rotated-refresh-token-4");
}

/// If a new token cannot be saved, a warning precedes the use of the old one; platforms save it themselves.
#[test]
fn an_unsaveable_refresh_token_is_reported_before_its_use() {
    let reported = "Criteo may rotate the refresh token when it is used, and the new one cannot be saved";
    for (arguments, reason) in [
        (&["--config", "config.json"][..], "config.json is not writable"),
        (&["--config", "config.json", "--config", "ENV"], "comes from several sources"),
        (&["--config", "/dev/stdin"], "is not a regular file"),
        (&["--config", "-"], "comes from standard input"),
    ] {
        let bench = rotating();
        let file = bench.file("config.json", &bench.config);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        let mut program = bench.program();
        program.args(arguments).args(["--catalog", "campaigns.json"]).stdin(Stdio::piped());
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let campaigns = json!({"streams": [{"tap_stream_id": "campaigns", "schema": {}, "metadata": [
            {"breadcrumb": [], "metadata": {"selected": true}}]}]});
        bench.file("campaigns.json", &campaigns);
        let mut child = program.spawn().unwrap();
        // A run that does not read its input closes it.
        child.stdin.take().unwrap().write_all(bench.config.to_string().as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(reported) && said.contains(reason), "{arguments:?}: {said}");
        let (before, after) = (said.find(reported).unwrap(), said.find("rotated the refresh token").unwrap());
        assert!(before < after, "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bench.config.to_string());
    }
    let bench = rotating();
    let file = bench.file("config.json", &bench.config);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    let transcript = bench.run(&["read", "--config", "config.json", "--streams", "campaigns"]);
    assert_eq!(transcript.of_type("CONTROL").len(), 1);
    assert!(!transcript.stdout.contains("cannot be saved"), "{}", transcript.stdout);
}

#[test]
fn the_invalid_refresh_token_message_starts_with_the_likely_cause() {
    let mut bench = rotating();
    bench.config["refresh_token"] = json!("used-up-long-ago");
    check_reported(&bench.check(), &["It was probably used up", "another program received the new one"]);
}

/// Criteo's clock determines today; both times are reported once.
#[test]
fn criteos_clock_overrides_a_wrong_local_clock() {
    for (now, date, last, is_reported) in [
        ("2026-11-01T23:58:00Z", "Mon, 02 Nov 2026 00:03:00 GMT", "2026-11-02", true),
        ("2026-11-02T00:03:00Z", "Sun, 01 Nov 2026 23:58:00 GMT", "2026-11-01", true),
        ("2021-01-01T00:00:00Z", "Sun, 01 Nov 2026 12:00:00 GMT", "2026-11-01", true),
        ("2026-11-01T23:59:00Z", "Mon, 02 Nov 2026 00:00:30 GMT", "2026-11-01", false),
        ("2026-11-01T12:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT", "2026-11-01", false),
        ("2026-11-01T12:00:00Z", "Fri, 31 Dec 9999 00:00:00 GMT", "2026-11-01", false),
        ("2026-11-01T12:00:00Z", "yesterday", "2026-11-01", false),
    ] {
        let mut bench = bench(Options::default(), 3);
        bench.config["now"] = json!(now);
        if now < "2026" {
            bench.config["start_date"] = json!("2026-10-30");
        }
        fault(&bench, "/oauth2/token", json!(null), json!({"headers": {"Date": date}}));
        for transcript in [bench.check(), read(&bench, &[REPORT])] {
            let warnings = transcript.logs("WARN");
            let count = warnings.iter().filter(|log| log.contains("This machine's clock says")).count();
            assert_eq!(count, usize::from(is_reported), "{now} {date}: {warnings:?}");
        }
        let days: Vec<_> = bench.report_requests().iter().map(|body| body["endDate"].to_string()).collect();
        assert!(days.iter().any(|day| day.contains(last)), "{now} {date}: {days:?}");
        assert!(days.iter().all(|day| day.trim_matches('"') <= format!("{last}T23:59:59.999Z").as_str()), "{days:?}");
    }
}

/// A preview's last day follows Criteo's clock, like every command.
#[test]
fn a_preview_ends_with_criteos_today() {
    for (date, first, last) in [
        ("Sun, 01 Nov 2026 12:00:00 GMT", "2026-10-19", "2026-11-01"),
        ("Thu, 05 Nov 2026 12:00:00 GMT", "2026-10-23", "2026-11-05"),
    ] {
        let mut bench = bench(Options::default(), 30);
        bench.config["now"] = json!("2026-11-03T12:00:00Z");
        fault(&bench, "/oauth2/token", json!(null), json!({"headers": {"Date": date}}));
        bench.file("config.json", &bench.config);
        let output = bench.program().args(["preview", REPORT, "--config", "config.json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let requests = bench.report_requests();
        let day = |body: &Value, member: &str| body[member].as_str().unwrap()[..10].to_owned();
        let starts = requests.iter().map(|body| day(body, "startDate"));
        let ends = requests.iter().map(|body| day(body, "endDate"));
        assert_eq!((starts.min().unwrap(), ends.max().unwrap()), (first.into(), last.into()));
        assert_eq!(bench.token_requests(), 1, "no additional request");
    }
}

/// A single file mounted writable into a read-only folder is written in place, under its own lock.
#[test]
fn a_rotated_refresh_token_is_written_in_place_in_a_read_only_folder() {
    let bench = rotating();
    std::fs::create_dir(bench.directory.join("mounted")).unwrap();
    bench.file("mounted/config.json", &bench.config);
    let file = bench.directory.join("mounted/config.json");
    let script = "mount --bind mounted/config.json mounted/config.json && mount --bind mounted mounted2 && \
                  mount -o remount,ro,bind mounted2 && mount --bind mounted/config.json mounted2/config.json && \
                  { touch mounted2/probe 2>/dev/null && exit 8; \"$@\"; }";
    std::fs::create_dir(bench.directory.join("mounted2")).unwrap();
    for run in 1..=2 {
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(bench.program().get_program());
        command.args(["check", "--config", "mounted2/config.json", "--exit-code"]).current_dir(&bench.directory);
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !said.contains("cannot be saved"), "{:?} {said}", output.status);
        let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(kept["refresh_token"], format!("rotated-refresh-token-{run}"));
    }
    let left: Vec<_> = std::fs::read_dir(bench.directory.join("mounted")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file is left: {left:?}");
}
