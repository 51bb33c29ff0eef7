//! Machine faults: kills at every system call that writes a user's file, and clock jumps.
//!
//! `scripts/test` installs the tools; `--nocapture` shows if one is missing.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use crate::harness::{Bench, Transcript, wait_until};
use crate::streams::truth_of;
use crate::truth::by_key;

const REPORT: &str = "campaign_statistics_daily";
/// Suffix of a temporary file before its rename.
const NEW: &str = ".source-criteo-new";
const SIGKILL: i32 = 9;

/// Whether a tool is installed; prints a notice if not.
pub fn has(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_there {
        println!("skipped: {tool} is missing");
    }
    is_there
}

/// How a file is written: by renaming a temporary file, or in place if mounted alone.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Beside,
    InPlace,
}

impl Way {
    const ALL: [Self; 2] = [Self::Beside, Self::InPlace];

    /// Runs the program, with `tracer` in front, on a file in the folder `inside`, as in a container.
    fn run(self, bench: &Bench, file: &str, tracer: &[String], arguments: &[&str]) -> ExitStatus {
        let mount = match self {
            Self::Beside => "true".to_owned(),
            Self::InPlace => format!("mount --bind {file} inside/{file}"),
        };
        let inner = format!("{mount} || exit 9; exec \"$@\" >out.json 2>err.txt");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &inner, "sh"]).args(tracer);
        command.arg(bench.program().get_program()).args(arguments).current_dir(&bench.directory);
        command.status().unwrap()
    }

    /// Creates the file, and returns its path outside the container.
    fn prepare(self, bench: &Bench, file: &str, content: &Value) -> std::path::PathBuf {
        std::fs::create_dir(bench.directory.join("inside")).unwrap();
        match self {
            Self::Beside => bench.file(&format!("inside/{file}"), content),
            Self::InPlace => {
                std::fs::write(bench.directory.join("inside").join(file), "").unwrap();
                bench.file(file, content)
            }
        }
    }
}

/// A tracer command for system calls on a file and its temporary replacement.
pub fn tracer(bench: &Bench, file: &str, options: &[&str]) -> Vec<String> {
    let mut words =
        vec!["strace".to_owned(), "-f".to_owned(), "-qq".to_owned(), "-o".to_owned(), "trace.txt".to_owned()];
    for name in [format!("inside/{file}"), format!("inside/{file}{NEW}")] {
        // The path as opened, and as `strace` shows it afterwards.
        let path = bench.directory.join(&name).to_str().unwrap().to_owned();
        words.extend(["-P".to_owned(), name, "-P".to_owned(), path]);
    }
    words.extend(options.iter().map(|&option| option.to_owned()));
    words
}

/// Number of calls by name, from the thread with the most calls.
fn counts(trace: &Path) -> BTreeMap<String, usize> {
    let mut by_thread: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            *by_thread.entry((thread.to_owned(), call.to_owned())).or_default() += 1;
        }
    }
    let mut counts = BTreeMap::new();
    for ((_, call), count) in by_thread {
        let most: &mut usize = counts.entry(call).or_default();
        *most = count.max(*most);
    }
    counts
}

/// Every system call of a full run that changes the file: the points to kill it at.
fn kill_points(trace: &Path) -> Vec<(String, usize)> {
    // Other calls do not change the file.
    let changing = ["openat", "flock", "write", "fsync", "rename", "ftruncate", "unlink"];
    let wanted = counts(trace).into_iter().filter(|(call, _)| changing.contains(&call.as_str()));
    wanted.flat_map(|(call, count)| (1..=count).map(move |nth| (call.clone(), nth))).collect()
}

/// Runs `each` for all items, three at the same time.
fn in_parallel<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let each = &each;
        for part in 0..3 {
            scope.spawn(move || all.iter().skip(part).step_by(3).for_each(each));
        }
    });
}

/// A read of some seconds, so that states are saved several times.
fn slow() -> Bench {
    let options = Options { row_cap: 40, latency: Duration::from_millis(250), ..Options::default() };
    let mut bench = Bench::new(options, 200);
    bench.config["verify_totals"] = json!(false);
    bench.file("config.json", &bench.config);
    bench
}

/// Records printed before the kill.
fn printed(bench: &Bench) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(bench.directory.join("out.json")).unwrap();
    let messages = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let messages = messages.map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages.filter_map(|message| message["record"]["data"].as_object().cloned()).collect()
}

/// After a kill at any system call that saves states, the next run completes the data.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_kill_at_any_system_call_leaves_a_usable_state() {
    if !has("strace") {
        return;
    }
    let read = ["read", "--config", "config.json", "--streams", REPORT, "--state-file", "inside/state.json"];
    for way in Way::ALL {
        let bench = slow();
        way.prepare(&bench, "state.json", &json!([]));
        assert!(way.run(&bench, "state.json", &tracer(&bench, "state.json", &[]), &read).success());
        let kill_points = kill_points(&bench.directory.join("trace.txt"));
        for call in if way == Way::Beside { ["rename", "write", "fsync"] } else { ["ftruncate", "write", "fsync"] } {
            assert!(kill_points.iter().any(|(of, nth)| of == call && *nth >= 2), "{call} is not among {kill_points:?}");
        }
        in_parallel(&kill_points, |(call, nth)| {
            let bench = slow();
            let file = way.prepare(&bench, "state.json", &json!([]));
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let killed = way.run(&bench, "state.json", &tracer(&bench, "state.json", &["-e", &inject]), &read);
            // The number of saves depends on timing; the last one may precede this call.
            assert!(killed.signal() == Some(SIGKILL) || killed.success(), "{call} {nth}: {killed}");
            let before = printed(&bench);
            bench.sandbox.change(|options| options.latency = Duration::ZERO);
            let next = way.run(&bench, "state.json", &[], &read);
            let said = || std::fs::read_to_string(bench.directory.join("out.json")).unwrap();
            assert!(next.success(), "{call} {nth}: {}", said());
            let stream = bench.discover()[REPORT].clone();
            let rows = before.iter().cloned().chain(printed(&bench)).collect::<Vec<_>>();
            assert_eq!(
                by_key(rows.iter(), &stream),
                by_key(&truth_of(&bench, REPORT, &stream), &stream),
                "{call} {nth}"
            );
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{call} {nth}: {text}");
            assert_eq!(
                std::fs::read_dir(bench.directory.join("inside")).unwrap().count(),
                1,
                "a leftover: {call} {nth}"
            );
        });
        println!("killed at {} system calls; every next run was complete", kill_points.len());
    }
}

/// The configuration is valid, with the old or the new refresh token.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn a_kill_at_any_system_call_leaves_a_valid_configuration() {
    if !has("strace") {
        return;
    }
    let check = ["check", "--config", "inside/config.json", "--exit-code"];
    let token = "first-refresh-token";
    let start = |way: Way| {
        let bench = Bench::new(Options { refresh_token: Some(token.into()), ..Options::default() }, 3);
        let file = way.prepare(&bench, "config.json", &bench.config);
        (bench, file)
    };
    for way in Way::ALL {
        let (bench, _) = start(way);
        assert!(way.run(&bench, "config.json", &tracer(&bench, "config.json", &[]), &check).success());
        let kill_points = kill_points(&bench.directory.join("trace.txt"));
        assert!(kill_points.iter().any(|(call, _)| call == "write"), "{kill_points:?}");
        in_parallel(&kill_points, |(call, nth)| {
            let (bench, file) = start(way);
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let killed = way.run(&bench, "config.json", &tracer(&bench, "config.json", &["-e", &inject]), &check);
            assert!(killed.signal() == Some(SIGKILL) || killed.success(), "{call} {nth}: {killed}");
            // Only a token issued by Criteo but not yet saved is lost.
            let next = way.run(&bench, "config.json", &[], &check);
            let said = std::fs::read_to_string(bench.directory.join("out.json")).unwrap();
            assert!(next.success() || said.contains("It was probably used up"), "{call} {nth}: {said}");
            let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap_or_default();
            assert!(kept["refresh_token"].is_string() || !next.success(), "{call} {nth}");
        });
        println!("killed at {} system calls; the configuration was always valid", kill_points.len());
    }
}

/// Debian's path of the library that fakes a process's time.
pub const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The clock jumps by years during a read: tokens and waits use a monotonic clock, days Criteo's.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn clock_jumps_change_nothing() {
    if !Path::new(FAKETIME).exists() {
        println!("skipped: {FAKETIME} is missing");
        return;
    }
    let read = |jumps: &[&str]| {
        let options = Options {
            row_cap: 40,
            latency: Duration::from_millis(200),
            token_life: Duration::from_secs(2),
            ..Options::default()
        };
        let bench = Bench::new(options, 200);
        let mut config = bench.config.clone();
        config.as_object_mut().unwrap().remove("now");
        bench.file("config.json", &config);
        let add = |fault: Value| bench.sandbox.add_fault(fault).unwrap();
        let date = "Sun, 01 Nov 2026 12:00:00 GMT";
        // Two seconds later.
        let reset = json!({"Date": date, "x-ratelimit-reset": "1793534402"});
        add(json!({"match": {"path": "/statistics/report", "nth": 9}, "times": 1,
            "do": {"status": 429, "body": "{}", "headers": reset}}));
        add(json!({"match": {"path": "/"}, "times": null, "do": {"headers": {"Date": date}}}));
        let clock = bench.directory.join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let mut program = bench.program();
        program.args(["read", "--config", "config.json", "--streams", REPORT, "--state-file", "state.json"]);
        program.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
        program.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        let child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let reader = std::thread::spawn(move || child.wait_with_output().unwrap());
        for (index, jump) in jumps.iter().enumerate() {
            wait_until(|| bench.report_requests().len() > 20 * (index + 1) || reader.is_finished());
            std::fs::write(&clock, jump).unwrap();
        }
        let transcript = Transcript::of(reader.join().unwrap());
        assert_eq!(transcript.code, Some(0), "{}", transcript.stdout);
        assert!(bench.token_requests() > 1 && bench.sandbox.requests().iter().all(|request| request.status != 401));
        let stream = bench.discover()[REPORT].clone();
        let truth = by_key(&truth_of(&bench, REPORT, &stream), &stream);
        assert_eq!(by_key(transcript.records(REPORT), &stream), truth);
        transcript
    };
    let jumped = read(&["+3y", "-6y"]);
    let times = jumped.of_type("RECORD").into_iter().map(|message| message["record"]["emitted_at"].as_i64().unwrap());
    let times: Vec<_> = times.collect();
    let span = times.iter().max().unwrap() - times.iter().min().unwrap();
    assert!(span > 365 * 86_400_000, "the clock has not jumped");
    let state = |transcript: &Transcript| transcript.final_state()[0]["stream"]["stream_state"]["groups"].clone();
    assert_eq!(state(&jumped), state(&read(&[])));
    println!("the clock jumped by {} days; every row and the state are the same", span / 86_400_000);
}
