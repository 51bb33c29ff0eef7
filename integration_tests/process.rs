//! Closed pipes and signals.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript, assert_in_time, wait_until};

const SIGTERM: i32 = 15;
const SIGPIPE: i32 = 13;

/// A slow read: one hundred windows with many rows.
fn slow_bench() -> Bench {
    let bench = Bench::new(Options { row_cap: 400, ..Options::default() }, 700);
    bench.file("config.json", &bench.config);
    bench.file("catalog.json", &bench.catalog(&["ad_statistics_daily"], "incremental"));
    bench
}

fn read(bench: &Bench) -> Command {
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// The same as a Singer tap.
fn tap(bench: &Bench) -> Command {
    let catalog = json!({"streams": [{"tap_stream_id": "ad_statistics_daily"}]});
    bench.file("singer.json", &catalog);
    let mut program = bench.program();
    program.args(["--config", "config.json", "--catalog", "singer.json"]);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn terminate(process: u32) {
    assert!(Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap().success());
}

/// Within two seconds for the last lines, scaled by the load.
fn assert_ends_by_sigterm(child: &mut Child) {
    let started = Instant::now();
    let mut status = None;
    wait_until(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().signal(), Some(SIGTERM));
    assert_in_time(started, Duration::from_secs(5));
}

#[test]
fn a_closed_pipe_ends_the_program_silently() {
    let bench = slow_bench();
    let mut child = read(&bench).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGPIPE), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let calls = bench.report_requests().len();
    assert!(calls < 50, "requests stopped after {calls}");
}

#[test]
fn a_signal_ends_the_program_with_complete_lines() {
    let bench = slow_bench();
    let mut child = read(&bench).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"STATE\"") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
    }
    terminate(child.id());
    stdout.read_to_string(&mut text).unwrap();
    let mut output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGTERM), "{:?}", output.status);
    output.stdout = text.into_bytes();
    let transcript = Transcript::of(output);
    assert!(transcript.stdout.ends_with('\n'));
    assert_eq!(transcript.statuses("ad_statistics_daily").last(), Some(&"INCOMPLETE"));
    assert_eq!(transcript.errors()[0]["failure_type"], "transient_error");
}

#[test]
fn a_signal_is_handled_while_waiting_for_the_configuration() {
    let bench = Bench::new(Options::default(), 1);
    let mut program = bench.program();
    program.args(["check", "--config", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    // The mask of caught signals; earlier signals would simply end the program.
    let is_caught = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap() >> (SIGTERM - 1) & 1 == 1
    };
    wait_until(is_caught);
    terminate(child.id());
    assert_ends_by_sigterm(&mut child);
}

#[test]
fn a_signal_is_handled_while_the_output_is_blocked() {
    for call in [read, tap] {
        let bench = slow_bench();
        let mut child = call(&bench).spawn().unwrap();
        // The pipe is full long before the memory budget's last request.
        wait_until(|| bench.report_requests().len() >= 10);
        terminate(child.id());
        assert_ends_by_sigterm(&mut child);
    }
}

#[test]
fn a_terminated_tap_writes_its_state_last() {
    let bench = slow_bench();
    let mut child = tap(&bench).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"STATE\"") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
    }
    terminate(child.id());
    stdout.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGTERM), "{:?}", output.status);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(text.ends_with('\n') && last["value"]["bookmarks"]["ad_statistics_daily"].is_object(), "{last}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().last().unwrap().starts_with("ERROR 1 stream is incomplete."), "{said}");
}
