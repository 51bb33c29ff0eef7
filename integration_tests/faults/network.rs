//! Connections that break, stall, or never open.

use std::process::Command;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, calls, check_reported, fault, read};
use crate::streams::assert_resumable;

/// Reads with one broken response; returns the number of requests.
fn survives(action: Value) -> usize {
    survives_with(Options::default(), action)
}

fn survives_with(options: Options, action: Value) -> usize {
    let bench = bench(options, 10);
    fault(&bench, "/statistics/report", 1, action);
    assert_complete(&bench, &read(&bench, &[REPORT]));
    calls(&bench, "/statistics/report")
}

/// A command in a network with only a disabled loopback.
fn without_network(bench: &super::Bench) -> Command {
    let program = bench.program();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(program.get_program()).current_dir(&bench.directory);
    command
}

pub const CASES: &[Case] = &[
    Case {
        id: 35,
        fault: "the connection is reset before the response, in the middle, and just before the last byte",
        expected: "retried, every row once",
        run: || {
            for delivery in [json!({"reset": true}), json!({"reset_after": 500}), json!({"reset_after": 3000})] {
                assert_eq!(survives(json!({"delivery": delivery})), 2, "{delivery}");
            }
            "exit 0, every row once; 2 requests each".to_owned()
        },
    },
    Case {
        id: 36,
        fault: "a response shorter than its length, with truncated chunks, with truncated gzip",
        expected: "retried, every row once, no state for it",
        run: || {
            for framing in ["content-length", "chunked"] {
                assert_eq!(survives(json!({"delivery": {"framing": framing, "cut_after": 700}})), 2, "{framing}");
            }
            assert_eq!(survives(json!({"gzip": true, "delivery": {"cut_after": 700}})), 2, "gzip");
            "exit 0, every row once; 2 requests each".to_owned()
        },
    },
    Case {
        id: 37,
        fault: "a response without a length that ends in the middle of a row",
        expected: "detected by unclosed brackets and retried, every row once",
        run: || {
            let calls = survives(json!({"delivery": {"framing": "connection-close", "cut_after": 700}}));
            format!("exit 0, every row once; {calls} requests")
        },
    },
    Case {
        id: 38,
        fault: "a response that stalls, one of ten bytes per second, one of a kilobyte per second for 40 s",
        expected: "the first two are aborted after half a minute and retried, the third is read to the end; every \
                row once",
        run: || {
            std::thread::scope(|scope| {
                let stalls = scope.spawn(|| survives(json!({"delivery": {"stall_after": 300}})));
                let drips = scope.spawn(|| survives(json!({"delivery": {"drip": 10}})));
                let is_slow = scope.spawn(|| {
                    survives_with(Options { gzip: false, ..Options::default() }, json!({"delivery": {"drip": 1100}}))
                });
                let calls = (stalls.join().unwrap(), drips.join().unwrap(), is_slow.join().unwrap());
                assert_eq!(calls, (2, 2, 1));
            });
            "exit 0, every row once; 2, 2 and 1 requests".to_owned()
        },
    },
    Case {
        id: 39,
        fault: "a sync that fails on broken responses, resumed from each of its states",
        expected: "no row is missing, from any state",
        run: || {
            let bench = bench(Options { row_cap: 60, ..Options::default() }, 60);
            bench
                .sandbox
                .add_fault(json!({"match": {"path": "/statistics/report", "nth": 7}, "times": 1,
                    "do": {"body": "{\"Lines\":[]}"}}))
                .unwrap();
            let catalog = bench.catalog(&[REPORT], "incremental");
            let broken = bench.read(&catalog, None);
            assert_eq!(broken.code, Some(1));
            assert!(assert_resumable(&bench, &catalog, &broken, &[REPORT]) >= 1);
            "exit 1; every row from every state".to_owned()
        },
    },
    Case {
        id: 40,
        fault: "a host name that does not resolve; a port that nothing listens on",
        expected: "check fails and distinguishes the two",
        run: || {
            let mut closed = bench(Options::default(), 1);
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            closed.config["api_base_url"] = json!(format!("http://127.0.0.1:{port}"));
            let refused = check_reported(&closed.check(), &["the connection was refused"]);
            let mut away = bench(Options::default(), 1);
            away.forget_sandbox();
            away.file("config.json", &away.config);
            let mut command = without_network(&away);
            command.args(["check", "--config", "config.json"]);
            let unknown = check_reported(&away.run_program(command), &["its name cannot be resolved"]);
            format!("{refused}; {unknown}")
        },
    },
];

super::tests! { case_35 case_36 case_37 case_38 case_39 case_40 }
