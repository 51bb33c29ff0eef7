//! Secrets, and hosts that must not be called. That no secret is printed is a rule of every run (`lint.rs`); here it is tempted.

use std::net::TcpListener;
use std::process::Stdio;

use criteo_sandbox::Options;
use serde_json::json;

use super::tls::redirected_to;
use super::{Case, REPORT, bench, check_told, fault, in_a_row, read, told};
use crate::harness::wait_until;

pub const CASES: &[Case] = &[
    Case {
        id: 127,
        fault: "301, 302, 303, 307 and 308 from token endpoint and API to another port",
        expected: "not followed: nobody calls there; the target is named",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            let target = format!("http://{}/elsewhere", elsewhere.local_addr().unwrap());
            for status in [301, 302, 303, 307, 308] {
                for path in ["/oauth2/token", "/advertisers/me"] {
                    let bench = bench(Options::default(), 3);
                    fault(&bench, path, json!(null), json!({"redirect": target, "status": status}));
                    check_told(&bench.check(), &["redirect", "elsewhere"]);
                }
            }
            assert!(elsewhere.accept().is_err(), "somebody called there");
            "check FAILED; told where to; nobody called there".to_owned()
        },
    },
    Case {
        id: 128,
        fault: "a redirect from https to plain http",
        expected: "not followed: nobody calls there",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            redirected_to(&format!("http://{}/plain", elsewhere.local_addr().unwrap()));
            assert!(elsewhere.accept().is_err(), "somebody called there");
            "check FAILED; told where to; nobody called there".to_owned()
        },
    },
    Case {
        id: 129,
        fault: "api_base_url with http to another machine, a bare address, file:, ftp:, or a user in it",
        expected: "refused before anything is sent",
        run: || {
            let mut bench = bench(Options::default(), 3);
            for url in [
                "http://10.0.0.5",
                "https://169.254.169.254",
                "https://10.0.0.5",
                "file:///etc/passwd",
                "https://user:pw@api.criteo.com",
                "ftp://127.0.0.1",
                "http://127.0.0.1.example.com",
            ] {
                bench.config["api_base_url"] = json!(url);
                check_told(&bench.check(), &["api_base_url"]);
            }
            "check FAILED; told: api_base_url".to_owned()
        },
    },
    Case {
        id: 130,
        fault: "`--client-secret` on the command line; what other users see of a run",
        expected: "no flag takes a secret; the command line holds none",
        run: || {
            let bench = bench(Options { row_cap: 400, ..Options::default() }, 700);
            let output = bench.program().args(["check", "--client-secret", "hush-hush"]).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&["ad_statistics_daily"], "incremental"));
            let mut child = bench
                .program()
                .args(["read", "--config", "config.json", "--catalog", "catalog.json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until(|| !bench.report_requests().is_empty());
            let line = std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(line.contains("config.json") && !line.contains("sandbox+secret"));
            "exit 2; none".to_owned()
        },
    },
    Case {
        id: 131,
        fault: "--debug and LOG_LEVEL=trace, with errors, echoes and broken answers",
        expected: "no secret at any level",
        run: || {
            let bench = bench(Options::default(), 5);
            let echo = "Authorization: Bearer sandbox-token-1-1 secret=sandbox+secret/with=signs sandbox%2Bsecret%2Fwith%3Dsigns";
            let refusal = json!({"errors": [{"code": "x", "detail": echo}]}).to_string();
            let actions = [
                json!({"status": 500, "body": echo}),
                json!({"body": format!("<html>{echo}")}),
                json!({"status": 403, "body": refusal}),
            ];
            in_a_row(&bench, "/statistics/report", actions);
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
            let mut program = bench.program();
            program.args(["--debug", "read", "--config", "config.json", "--catalog", "catalog.json"]);
            program.env("LOG_LEVEL", "trace").env("RUST_LOG", "trace");
            let transcript = bench.run_program(program);
            assert!(!transcript.logs("DEBUG").is_empty(), "nothing was tempted");
            format!("exit {}; no secret among the lines of debugging", transcript.code.unwrap())
        },
    },
    Case {
        id: 132,
        fault: "the server sends token and secret back in its error",
        expected: "masked where its words are told",
        run: || {
            let bench = bench(Options::default(), 3);
            let detail = "you sent sandbox+secret/with=signs and sandbox-token-1-1";
            let body = json!({"errors": [{"code": "echo", "title": "Echo", "detail": detail}]}).to_string();
            fault(&bench, "/campaigns/search", json!(null), json!({"status": 400, "body": body}));
            let transcript = read(&bench, &["campaigns"]);
            told(&transcript, &["you sent *** and ***"])
        },
    },
    Case {
        id: 133,
        fault: "a server's words in which a secret lies across the end of what is told, percent-encoded small, and as base64",
        expected: "masked before they are shortened",
        run: || {
            let bench = bench(Options::default(), 3);
            let filler = "x".repeat(285);
            let detail = format!(
                "{filler}sandbox+secret/with=signs sandbox%2bsecret%2fwith%3dsigns c2FuZGJveCtzZWNyZXQvd2l0aD1zaWducw=="
            );
            let body = json!({"errors": [{"code": "echo", "detail": detail}]}).to_string();
            fault(&bench, "/campaigns/search", json!(null), json!({"status": 400, "body": body}));
            let page = format!("<html>{}sandbox+secret/with=signs", "y".repeat(60));
            fault(&bench, "/ad-sets/search", json!(null), json!({"body": page}));
            let transcript = read(&bench, &["campaigns", "ad_sets"]);
            assert!(
                !transcript.stdout.contains("sandbox+se") && !transcript.stdout.contains("%2b"),
                "{}",
                transcript.stdout
            );
            assert!(transcript.stdout.contains("yyy***"));
            "nothing of it was told".to_owned()
        },
    },
    Case {
        id: 134,
        fault: "the configuration itself in place of its path",
        expected: "an error that does not repeat it",
        run: || {
            let bench = bench(Options::default(), 3);
            let transcript = bench.run(&["check", "--config", "{\"client_secret\":\"hush-hush-hush\"}"]);
            assert!(!transcript.stdout.contains("hush"), "{}", transcript.stdout);
            check_told(&transcript, &["a text, not a path"])
        },
    },
    Case {
        id: 137,
        fault: "a refusal whose body holds rows and ids beside the error",
        expected: "the error tells endpoint, status, code and trace id, and nothing else of the body",
        run: || {
            let bench = bench(Options::default(), 3);
            let body = json!({"errors": [{"code": "odd-request", "title": "Odd", "traceId": "trace-4711"}],
                "Rows": [{"AdvertiserId": "987654321", "Campaign": "A private name"}]});
            fault(&bench, "/statistics/report", json!(null), json!({"status": 400, "body": body.to_string()}));
            let transcript = read(&bench, &[REPORT]);
            assert!(!transcript.stdout.contains("987654321") && !transcript.stdout.contains("A private name"));
            let error = transcript.errors()[0].to_string();
            assert!(error.contains("statistics/report"), "{error}");
            told(&transcript, &["400", "odd-request", "trace-4711"])
        },
    },
];
