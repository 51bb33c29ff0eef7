//! Signals, pipes, rights, and internal errors.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, read};
use crate::harness::{Bench, Transcript, assert_in_time, peak_kib, wait_until};
use crate::truth::{self, by_key};

/// A slow read.
fn slow() -> Bench {
    let bench = bench(Options { row_cap: 400, ..Options::default() }, 700);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&["ad_statistics_daily"], "incremental"));
    bench
}

const READ: [&str; 5] = ["read", "--config", "config.json", "--catalog", "catalog.json"];

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// A read with default or ignored signals, independent of how the tests were started (`nohup`, `&` in a script).
fn with_signals(bench: &Bench, option: &str) -> Command {
    let mut command = Command::new("env");
    command.arg(format!("{option}=HUP,INT,TERM,PIPE,QUIT")).arg(bench.program().get_program()).args(READ);
    command.current_dir(&bench.directory);
    command
}

/// Reads up to the first state, sends a signal, and returns all output.
fn stopped_after_a_state(child: &mut Child, process: impl FnOnce() -> u32, name: &str) -> String {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"STATE\"") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
    }
    signal(process(), name);
    let started = Instant::now();
    stdout.read_to_string(&mut text).unwrap();
    assert_in_time(started, Duration::from_secs(5));
    assert!(text.ends_with('\n'), "half a line");
    text
}

/// Asserts that the output up to the last state plus a resumed read are complete.
fn assert_resumes(bench: &Bench, text: &str) {
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = messages.iter().rposition(|message| message["type"] == "STATE").unwrap();
    let state = json!([messages[last]["state"]]);
    let name = "ad_statistics_daily";
    let catalog: Value =
        serde_json::from_str(&std::fs::read_to_string(bench.directory.join("catalog.json")).unwrap()).unwrap();
    let rest = bench.read(&catalog, Some(&state));
    let stream = bench.discover()[name].clone();
    let truth = by_key(&truth::report(bench, &crate::streams::preset(name), &stream), &stream);
    let kept = messages[..last].iter().filter(|message| message["type"] == "RECORD");
    let kept = kept.map(|message| message["record"]["data"].as_object().unwrap());
    assert_eq!(by_key(kept.chain(rest.records(name)), &stream), truth);
    assert!(text.contains("\"INCOMPLETE\""));
}

pub const CASES: &[Case] = &[
    Case {
        id: 115,
        fault: "SIGTERM, SIGINT and SIGHUP during a sync; SIGTERM to the first process of a container",
        expected: "complete lines, INCOMPLETE, ended by the signal (143 as process 1), and the next sync reads the \
                rest",
        run: || {
            let mut ends = Vec::new();
            for name in ["-TERM", "-INT", "-HUP"] {
                let bench = slow();
                let mut program = with_signals(&bench, "--default-signal");
                let mut child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                let id = child.id();
                let text = stopped_after_a_state(&mut child, || id, name);
                ends.push(format!("signal {}", child.wait().unwrap().signal().unwrap()));
                assert_resumes(&bench, &text);
            }
            let bench = slow();
            let mut command = Command::new("unshare");
            command
                .args(["--user", "--map-root-user", "--pid", "--fork"])
                .arg(bench.program().get_program())
                .args(READ);
            command.current_dir(&bench.directory).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let id = child.id();
            let inner = || {
                let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
                children.split_whitespace().next().unwrap().parse().unwrap()
            };
            let text = stopped_after_a_state(&mut child, inner, "-TERM");
            ends.push(format!("as process 1: exit {}", child.wait().unwrap().code().unwrap()));
            assert_resumes(&bench, &text);
            format!("{}; nothing missing", ends.join(", "))
        },
    },
    Case {
        id: 116,
        fault: "SIGINT twice while the output is blocked",
        expected: "the second one ends the program immediately",
        run: || {
            let bench = slow();
            let mut child = bench.program().args(READ).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            wait_until(|| bench.report_requests().len() >= 10);
            signal(child.id(), "-INT");
            let started = Instant::now();
            // Until the first signal is handled, a second one has no additional effect.
            let mut status = None;
            wait_until(|| {
                signal(child.id(), "-INT");
                status = child.try_wait().unwrap();
                status.is_some()
            });
            assert_in_time(started, Duration::from_millis(1500));
            format!("signal {}", status.unwrap().signal().unwrap())
        },
    },
    Case {
        id: 117,
        fault: "SIGKILL at 200 random moments",
        expected: "the records up to the last complete state plus those read from it are complete",
        run: || {
            crate::engine::survive_kills(200);
            "nothing is missing".to_owned()
        },
    },
    Case {
        id: 118,
        fault: "the reader closes the pipe; the reader's disk is full",
        expected: "ended silently by SIGPIPE; exit 1 with one sentence",
        run: || {
            let bench = slow();
            let mut child = bench.program().args(READ).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.stderr.is_empty());
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let child = bench.program().args(READ).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
            let written = child.wait_with_output().unwrap();
            let words = String::from_utf8(written.stderr).unwrap();
            assert!(
                words.starts_with("Cannot write the output: No space left") && words.lines().count() == 1,
                "{words}"
            );
            format!("signal {}; exit {} with an error", output.status.signal().unwrap(), written.status.code().unwrap())
        },
    },
    Case {
        id: 119,
        fault: "a reader that pauses for 20 s, with tokens that expire after two",
        expected: "every row once, in bounded memory, no request refused",
        run: || {
            let options = Options { row_cap: 400, token_life: Duration::from_secs(2), ..Options::default() };
            let bench = bench(options, 200);
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &bench.catalog(&[REPORT], "incremental"));
            let mut program = bench.program();
            let child = program.args(READ).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::sync::mpsc::channel::<()>().1.recv_timeout(Duration::from_secs(20)).ok();
            let peak = peak_kib(child.id());
            let transcript = Transcript::of(child.wait_with_output().unwrap());
            let refused = bench.sandbox.requests().iter().filter(|request| request.status == 401).count();
            assert!((1..64 * 1024).contains(&peak) && refused == 0, "{peak} KiB, {refused} refused");
            assert_complete(&bench, &transcript)
        },
    },
    Case {
        id: 121,
        fault: "a read-only root, a user without a name or rights, no HOME, an empty environment",
        expected: "everything is read",
        run: || {
            let bench = bench(Options::default(), 3);
            let before = assert_complete(&bench, &read(&bench, &[REPORT]));
            let mut command = Command::new("unshare");
            // A namespace can remount its mounts read-only; then the program runs as nobody.
            let inner = "mount -o remount,ro,bind / || exit 9; \
                         cd \"$HERE\" && { touch probe 2>/dev/null && exit 8; exec unshare --user env -i \"$@\"; }";
            command
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", inner, "sh"])
                .env("HERE", &bench.directory);
            command.arg(bench.program().get_program()).args(READ).current_dir(&bench.directory);
            let transcript = bench.run_program(command);
            assert_eq!(assert_complete(&bench, &transcript), before);
            before
        },
    },
    Case {
        id: 122,
        fault: "files opened for writing during a full sync, as seen by strace",
        expected: "none",
        run: || {
            let bench = bench(Options::default(), 3);
            assert_complete(&bench, &read(&bench, &[REPORT]));
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-e", "trace=openat,open,creat", "-o", "trace"]);
            let output =
                command.arg(bench.program().get_program()).args(READ).current_dir(&bench.directory).output().unwrap();
            assert!(output.status.success());
            let trace = std::fs::read_to_string(bench.directory.join("trace")).unwrap();
            assert!(trace.contains("config.json"));
            // Opening stdout for writing only detects a closed reader.
            let written: Vec<_> = trace
                .lines()
                .filter(|line| !line.contains("\"/proc/self/fd/1\""))
                .filter(|line| line.contains("O_WRONLY") || line.contains("O_RDWR") || line.contains("creat("))
                .collect();
            assert!(written.is_empty(), "{written:?}");
            "none".to_owned()
        },
    },
    Case {
        id: 123,
        fault: "a panic in the engine, and one in the output thread",
        expected: "a system_error with the location, every stream closed, exit 1",
        run: || {
            for place in ["engine", "output"] {
                let bench = bench(Options::default(), 3);
                bench.file("config.json", &bench.config);
                bench.file("catalog.json", &bench.catalog(&[REPORT, "campaigns"], "incremental"));
                let mut program = bench.program();
                program.args(READ).env("SOURCE_CRITEO_PANIC", place);
                let transcript = bench.run_program(program);
                let errors = transcript.errors();
                let fault = errors.iter().find(|error| error["failure_type"] == "system_error").unwrap();
                assert!(fault["message"].as_str().unwrap().contains("(at src/"), "{fault}");
                for name in [REPORT, "campaigns"] {
                    assert_eq!(transcript.statuses(name).last(), Some(&"INCOMPLETE"), "{place}");
                }
                assert_eq!(transcript.code, Some(1));
            }
            "exit 1, system_error, INCOMPLETE".to_owned()
        },
    },
    Case {
        id: 124,
        fault: "core dumps allowed without limit; the process's limits, read from outside",
        expected: "core dumps are off",
        run: || {
            let bench = slow();
            let mut command = Command::new("sh");
            command
                .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
                .arg(bench.program().get_program())
                .args(READ);
            command.current_dir(&bench.directory).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            wait_until(|| !bench.report_requests().is_empty());
            let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
            child.kill().unwrap();
            child.wait().unwrap();
            let core = core.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(core, "Max core file size 0 0 bytes");
            core
        },
    },
];

super::tests! { case_115 case_116 case_117 case_118 case_119 case_121 case_122 case_123 case_124 }
