//! Secrets and other hosts. The rules forbid secrets in any output (`rules.rs`); these cases provoke them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use criteo_sandbox::Options;
use data_encoding::{BASE64, BASE64URL, HEXUPPER};
use serde_json::json;

use super::tls::{bench_of_today, read_through_a_proxy, redirected_to};
use super::{Case, REPORT, bench, check_reported, fault, faults_in_sequence, read, reported};
use crate::harness::{Bench, Transcript, wait_until};

/// The secret of the sandbox's app.
const SECRET: &str = "sandbox+secret/with=signs";
/// Its first token.
const TOKEN: &str = "sandbox-token-1-1";
/// The stream of log files, and the path of their list.
const LOGS: (&str, &str) = ("log_level_events", "/log-level/");
/// Clears a screen, forges log lines, and reverses text direction.
const HOSTILE: &str = "evil \u{1b}[2J\u{9b}2J\r\nINFO forged\nERROR forged \u{202e}live\u{2028}INFO forged\u{7} end";
/// The same, short enough for an id.
const HOSTILE_ID: &str = "evil\u{1b}[2J\u{9b}2J\nINFO forged\u{202e}\u{2028}\u{7}";
/// Set in the separate network that some cases need.
const OWN_NETWORK: &str = "TESTS_HAVE_OWN_NETWORK";

fn percent(text: &str) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escaped).collect()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('+', "&#x2B;")
        .replace('/', "&#47;")
        .replace('=', "&equals;")
        .replace('-', "&#45;")
}

fn in_json(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('/', "\\/")
        .replace('+', "\\u002B")
        .replace('-', "\\u002d")
        .replace('=', "\\u003D")
}

/// Encodings of a secret by servers, proxies and programs.
fn spellings(secret: &str) -> Vec<String> {
    let basic = format!("sandbox-client:{secret}");
    vec![
        secret.to_owned(),
        secret.to_uppercase(),
        percent(secret),
        percent(&percent(secret)),
        html(secret),
        percent(&html(secret)),
        in_json(secret),
        in_json(&in_json(secret)),
        in_json(&percent(secret)),
        BASE64.encode(secret.as_bytes()),
        BASE64URL.encode(secret.as_bytes()),
        BASE64.encode(basic.as_bytes()),
        HEXUPPER.encode(secret.as_bytes()),
    ]
}

/// Fails if the output contains more than six consecutive characters of an encoded secret.
fn assert_not_leaked(text: &str, spelling: &str) {
    let letters: Vec<char> = spelling.chars().collect();
    for part in letters.windows(7).map(|part| part.iter().collect::<String>()) {
        // The sandbox's name, and the base64 of the client id.
        let is_harmless = "sandbox-client:".contains(&part) || BASE64.encode(b"sandbox-client:").contains(&part);
        assert!(is_harmless || !text.contains(&part), "{part} of {spelling} in: {text}");
    }
}

/// Columns of wrapped text on a terminal.
const TEXT_WIDTH: usize = 100;

/// Fails on terminal or log control characters, except the program's own colors and progress bars.
fn assert_no_control_sequences(text: &str) {
    let colors = ["\u{1b}[0m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[90m"];
    // Bars clear their lines and move between them.
    let bars = ["\u{1b}[K", "\u{1b}[2K", "\u{1b}[1A", "\u{1b}[2A", "\u{1b}[3A", "\u{1b}[1B", "\u{1b}[2B", "\u{1b}[3B"];
    let own = colors.into_iter().chain(bars);
    let text = own.fold(text.to_owned(), |text, own| text.replace(own, ""));
    let is_obeyed = |letter: &char| {
        letter.is_control() && *letter != '\n' || ['\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}'].contains(letter)
    };
    assert_eq!(text.chars().find(is_obeyed), None, "{text:?}");
    // A line that the program wrapped may begin with these words: the line before it has no room for the first one,
    // which two spaces precede.
    let mut room = TEXT_WIDTH;
    let forged = text.lines().find(|line| {
        let is_forged = ["INFO", "ERROR"]
            .iter()
            .any(|word| line.trim_start().starts_with(&format!("{word} forged")) && room > "  ".len() + word.len());
        room = TEXT_WIDTH.saturating_sub(line.chars().count());
        is_forged
    });
    assert_eq!(forged, None, "{text}");
}

/// A list of log files with one file at this link.
fn link_to(bench: &Bench, link: &str) {
    let list = json!({"data": [{"attributes": {"files": [{"fileName": "a.csv.gz", "url": link}]}}]});
    fault(bench, LOGS.1, json!(null), json!({"body": list.to_string()}));
}

/// Whether each list was requested once: a link that must not be followed is not retried.
fn is_requested_once(bench: &Bench) -> bool {
    let lists: Vec<_> = bench.sandbox.requests().into_iter().filter(|request| request.line.contains(LOGS.1)).collect();
    let distinct: std::collections::BTreeSet<_> =
        lists.iter().map(|request| format!("{} {}", request.line, request.body)).collect();
    !lists.is_empty() && lists.len() == distinct.len()
}

/// Asserts that a link of a log file was not followed.
fn refused(transcript: &Transcript, bench: &Bench, link: &str, word: &str) {
    reported(transcript, &["It was not followed", word]);
    assert!(!transcript.stdout.contains("tell-nobody"), "{}", transcript.stdout);
    assert!(transcript.records(LOGS.0).is_empty() && is_requested_once(bench), "{link}");
}

/// Runs a case in a network with only loopback, so that no request can leave this machine, and returns its outcome.
fn in_own_network(id: u32, run: fn() -> String) -> String {
    const MARK: &str = "happened in its own network: ";
    if std::env::var_os(OWN_NETWORK).is_some() {
        let happened = run();
        println!("{MARK}{happened}");
        return happened;
    }
    let hosts = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hosts-{}-{id}", std::process::id()));
    std::fs::write(&hosts, "127.0.0.1 localhost\n169.254.169.254 private.criteo.example\n").unwrap();
    let inner = "ip link set lo up && mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", inner]).arg(&hosts);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", &format!("faults::secrets::case_{id}"), "--nocapture"]);
    let output = command.env(OWN_NETWORK, "1").output().unwrap();
    std::fs::remove_file(&hosts).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let happened = text.lines().find_map(|line| Some(line.split_once(MARK)?.1.to_owned()));
    happened.unwrap_or_else(|| panic!("no outcome: {text}"))
}

pub const CASES: &[Case] = &[
    Case {
        id: 127,
        fault: "301, 302, 303, 307 and 308 from token endpoint and API to another port",
        expected: "not followed: no request to the target, which is named",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            let target = format!("http://{}/elsewhere", elsewhere.local_addr().unwrap());
            for status in [301, 302, 303, 307, 308] {
                for path in ["/oauth2/token", "/advertisers/me"] {
                    let bench = bench(Options::default(), 3);
                    fault(&bench, path, json!(null), json!({"redirect": target, "status": status}));
                    check_reported(&bench.check(), &["redirect", "elsewhere"]);
                }
            }
            assert!(elsewhere.accept().is_err(), "a request was sent there");
            "check FAILED; target reported; no request sent there".to_owned()
        },
    },
    Case {
        id: 128,
        fault: "a redirect from https to plain http",
        expected: "not followed: no request to the target",
        run: || {
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            redirected_to(&format!("http://{}/plain", elsewhere.local_addr().unwrap()));
            assert!(elsewhere.accept().is_err(), "a request was sent there");
            "check FAILED; target reported; no request sent there".to_owned()
        },
    },
    Case {
        id: 129,
        fault: "api_base_url with http to another machine, an IP address, file:, ftp:, or a user name",
        expected: "rejected before any request",
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
                check_reported(&bench.check(), &["api_base_url"]);
            }
            "check FAILED; reported: api_base_url".to_owned()
        },
    },
    Case {
        id: 130,
        fault: "`--client-secret` on the command line; what other users see of a run",
        expected: "no flag accepts a secret; the command line contains none",
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
        fault: "--debug and LOG_LEVEL=trace, with errors, echoes and broken responses",
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
            faults_in_sequence(&bench, "/statistics/report", actions);
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
            let mut program = bench.program();
            program.args(["--debug", "read", "--config", "config.json", "--catalog", "catalog.json"]);
            program.env("LOG_LEVEL", "trace").env("RUST_LOG", "trace");
            let transcript = bench.run_program(program);
            assert!(!transcript.logs("DEBUG").is_empty(), "nothing was provoked");
            format!("exit {}; no secret in the debug log", transcript.code.unwrap())
        },
    },
    Case {
        id: 132,
        fault: "the server echoes token and secret in its error",
        expected: "masked in the quoted message",
        run: || {
            let bench = bench(Options::default(), 3);
            let detail = "you sent sandbox+secret/with=signs and sandbox-token-1-1";
            let body = json!({"errors": [{"code": "echo", "title": "Echo", "detail": detail}]}).to_string();
            fault(&bench, "/campaigns/search", json!(null), json!({"status": 400, "body": body}));
            let transcript = read(&bench, &["campaigns"]);
            reported(&transcript, &["you sent *** and ***"])
        },
    },
    Case {
        id: 133,
        fault: "a server message with a secret across its cut, percent-encoded in lower case, and as base64",
        expected: "masked before shortening",
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
            "nothing leaked".to_owned()
        },
    },
    Case {
        id: 134,
        fault: "the configuration itself instead of its path",
        expected: "an error that does not repeat it",
        run: || {
            let bench = bench(Options::default(), 3);
            let transcript = bench.run(&["check", "--config", "{\"client_secret\":\"hush-hush-hush\"}"]);
            assert!(!transcript.stdout.contains("hush"), "{}", transcript.stdout);
            check_reported(&transcript, &["content instead of a path"])
        },
    },
    Case {
        id: 135,
        fault: "secret and token echoed in every encoding, around the cut: in errors, warnings, pages, the token \
                endpoint's message and a redirect; with --debug, and by a tap",
        expected: "no part of them is printed, in any encoding",
        run: || {
            for (secret, has_token) in [(SECRET, false), (TOKEN, true)] {
                for (index, spelling) in spellings(secret).iter().enumerate() {
                    let bench = echoing(spelling, index);
                    let names = ["campaigns", "ad_sets", "audiences", REPORT];
                    bench.file("config.json", &bench.config);
                    bench.file("catalog.json", &bench.catalog(&names, "incremental"));
                    let debug = ["--debug", "read", "--config", "config.json", "--catalog", "catalog.json"];
                    let transcript = bench.run(&debug);
                    assert!(!transcript.errors().is_empty(), "nothing was provoked");
                    assert_not_leaked(&transcript.stdout, spelling);
                    // Tokens are numbered: this is the first one of its sandbox as well.
                    let bench = echoing(spelling, index);
                    bench.file("config.json", &bench.config);
                    let tap = bench.program().args(["--config", "config.json", "--debug"]).output().unwrap();
                    assert_not_leaked(&String::from_utf8_lossy(&tap.stderr), spelling);
                    if !has_token {
                        let words = format!("{}{spelling}", "x".repeat(280 + index));
                        let refusal = json!({"error": "invalid_client", "error_description": words}).to_string();
                        fault(&bench, "/oauth2/token", json!(null), json!({"status": 401, "body": refusal}));
                        assert_not_leaked(&check_failed(&bench), spelling);
                    }
                }
            }
            "nothing leaked".to_owned()
        },
    },
    Case {
        id: 136,
        fault: "control characters, line breaks and bidi overrides in Criteo's errors, warnings, file names, app \
                names and campaign names; a tap, a terminal, check, preview as CSV and Markdown",
        expected: "no terminal control sequence, and no line injected by Criteo",
        run: || {
            let bench = bench(Options::default(), 3);
            let refusal =
                json!({"errors": [{"code": HOSTILE, "title": HOSTILE, "detail": HOSTILE, "traceId": HOSTILE}]});
            fault(&bench, "/ad-sets/search", json!(null), json!({"status": 400, "body": refusal.to_string()}));
            let campaign = json!({"id": "7", "attributes": {"name": HOSTILE, "advertiserId": "1001"}});
            let list =
                json!({"data": [campaign], "warnings": [{"code": HOSTILE, "title": HOSTILE, "detail": HOSTILE}]});
            fault(&bench, "/campaigns/search", json!(null), json!({"body": list.to_string()}));
            let files = json!({"data": [{"attributes": {"files": [{"fileName": HOSTILE, "url": "file:///a"}]}}]});
            fault(&bench, LOGS.1, json!(null), json!({"body": files.to_string()}));
            let app = json!({"data": {"attributes": {"name": HOSTILE, "criteoService": "C-Growth"}}});
            fault(&bench, "/me", json!(null), json!({"body": app.to_string()}));
            let attributes = json!({"advertiserName": HOSTILE});
            let list = ["1001", HOSTILE_ID].map(|id| json!({"id": id, "type": "advertiser", "attributes": attributes}));
            let advertisers = json!({ "data": list });
            fault(&bench, "/advertisers/me", json!(null), json!({"body": advertisers.to_string()}));
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&["campaigns", "ad_sets", LOGS.0], "incremental"));
            let tap = bench.program().args(["--config", "config.json", "--debug"]).output().unwrap();
            let stderr = String::from_utf8(tap.stderr).unwrap();
            assert!(stderr.contains("evil"), "nothing was provoked: {stderr}");
            assert_no_control_sequences(&stderr);
            let mut tempted = 0;
            for arguments in [
                "read --config config.json --catalog catalog.json >stdout",
                "check --config config.json >stdout",
                "preview ad_sets --config config.json",
                "preview campaigns --config config.json",
                "preview campaigns --config config.json --format csv",
                "preview campaigns --config config.json --format markdown",
                "preview campaigns --config config.json --format json",
            ] {
                let shown = bench.on_terminal(100, arguments, &[]);
                tempted += usize::from(shown.contains("evil"));
                assert_no_control_sequences(&shown);
            }
            assert!(tempted >= 5, "only {tempted} were provoked");
            "no control sequence; no injected line".to_owned()
        },
    },
    Case {
        id: 137,
        fault: "a refusal whose body has rows and ids beside the error",
        expected: "the error shows endpoint, status, code and trace id, and nothing else of the body",
        run: || {
            let bench = bench(Options::default(), 3);
            let body = json!({"errors": [{"code": "odd-request", "title": "Odd", "traceId": "trace-4711"}],
                "Rows": [{"AdvertiserId": "987654321", "Campaign": "A private name"}]});
            fault(&bench, "/statistics/report", json!(null), json!({"status": 400, "body": body.to_string()}));
            let transcript = read(&bench, &[REPORT]);
            assert!(!transcript.stdout.contains("987654321") && !transcript.stdout.contains("A private name"));
            let error = transcript.errors()[0].to_string();
            assert!(error.contains("statistics/report"), "{error}");
            reported(&transcript, &["400", "odd-request", "trace-4711"])
        },
    },
    Case {
        id: 138,
        fault: "links to log files with the schemes file:, ftp: and data:, with a user name, and invalid ones; a \
                redirect of a download",
        expected: "rejected immediately by type, also in a simulation; no request to the redirect's target",
        run: || {
            for (link, word) in [
                ("file:///etc/passwd?tell-nobody", "file:"),
                ("ftp://127.0.0.1/tell-nobody", "ftp:"),
                ("data:text/plain,tell-nobody", "data:"),
                ("http://user:tell-nobody@127.0.0.1/a", "contains a user name"),
                ("tell-nobody", "an invalid download link"),
            ] {
                let bench = bench(Options::default(), 3);
                link_to(&bench, link);
                refused(&read(&bench, &[LOGS.0]), &bench, link, word);
            }
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            elsewhere.set_nonblocking(true).unwrap();
            let target = format!("http://{}/elsewhere?tell-nobody", elsewhere.local_addr().unwrap());
            let bench = bench(Options::default(), 3);
            fault(&bench, "/files/", json!(null), json!({"redirect": target}));
            let transcript = read(&bench, &[LOGS.0]);
            reported(&transcript, &["redirects the download", "/elsewhere"]);
            assert!(!transcript.stdout.contains("tell-nobody") && is_requested_once(&bench), "{}", transcript.stdout);
            assert!(elsewhere.accept().is_err(), "a request was sent there");
            "reported: not followed; each list requested once; no request sent".to_owned()
        },
    },
    Case {
        id: 139,
        fault: "links to log files at private and link-local addresses and at names that resolve to them; links of a \
                simulation to any other host (in its own network)",
        expected: "rejected immediately by type; nothing is sent",
        run: || in_own_network(139, private_links),
    },
];

super::tests! { case_127 case_128 case_129 case_130 case_131 case_132 case_133 case_134 case_135 case_136 case_137 case_138 case_139 }

/// The message of `check`, which must have failed.
fn check_failed(bench: &Bench) -> String {
    let transcript = bench.check();
    let status = transcript.of_type("CONNECTION_STATUS")[0]["connectionStatus"].clone();
    assert_eq!(status["status"], "FAILED", "{status}");
    transcript.stdout
}

/// A bench whose responses echo a secret in errors, warnings, pages and redirects, at varying positions.
fn echoing(spelling: &str, index: usize) -> Bench {
    let bench = bench(Options::default(), 3);
    let words = format!("{}{spelling} {spelling}", "x".repeat(270 + 2 * index));
    let refusal = json!({"errors": [{"code": spelling, "title": words, "traceId": spelling}]}).to_string();
    let warning = json!({"data": [], "warnings": [{"code": spelling, "title": spelling, "detail": words}]});
    let page = format!("<html>{}{spelling}", "y".repeat(60 + index));
    fault(&bench, "/campaigns/search", json!(null), json!({"status": 400, "body": refusal}));
    fault(&bench, "/audiences/search", json!(null), json!({"body": warning.to_string()}));
    fault(&bench, "/ad-sets/search", json!(null), json!({"status": 404, "body": page}));
    let place = format!("http://127.0.0.1/{}?key={}", percent(spelling), percent(spelling));
    fault(&bench, "/statistics/report", json!(null), json!({"redirect": place}));
    bench
}

fn private_links() -> String {
    for link in [
        "http://10.0.0.5/tell-nobody",
        "https://169.254.169.254/tell-nobody",
        "https://files.criteo.example/tell-nobody",
    ] {
        let bench = bench(Options::default(), 2);
        link_to(&bench, link);
        refused(&read(&bench, &[LOGS.0]), &bench, link, "a simulation on this machine");
    }
    for (link, word) in [
        ("https://10.0.0.5/tell-nobody", "10.0.0.5"),
        ("https://169.254.169.254/tell-nobody", "169.254.169.254"),
        ("https://[fe80::1]/tell-nobody", "fe80::1"),
        ("https://[::ffff:192.168.1.1]/tell-nobody", "private network"),
        ("https://127.0.0.1/tell-nobody", "127.0.0.1"),
        ("https://localhost/tell-nobody", "localhost"),
        ("https://private.criteo.example/tell-nobody", "resolves to an address in a private network"),
        ("http://private.criteo.example/tell-nobody", "http:"),
    ] {
        let mut bench = bench_of_today();
        link_to(&bench, link);
        let transcript = read_through_a_proxy(&mut bench, LOGS.0, "private.criteo.example");
        refused(&transcript, &bench, link, word);
    }
    "reported: not followed; each list requested once".to_owned()
}
