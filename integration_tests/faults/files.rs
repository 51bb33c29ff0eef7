//! The user's files: states, configuration, batches, and stdout.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use super::{Case, REPORT, assert_complete, bench, check_reported, reported};
use crate::harness::{Bench, Transcript, wait_until};
use crate::singer::catalog_with;

/// A read that saves its states in `state.json`.
const READ: [&str; 7] = ["read", "--config", "config.json", "--streams", REPORT, "--state-file", "state.json"];

/// A bench with a configuration and a few days.
fn ready() -> Bench {
    let bench = bench(Options::default(), 3);
    bench.file("config.json", &bench.config);
    bench
}

/// The states in a file.
fn states(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The streams in a state file.
fn streams_in(path: &Path) -> BTreeSet<String> {
    let states = states(path);
    let names = states.as_array().unwrap().iter().map(|state| &state["stream"]["stream_descriptor"]["name"]);
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Asserts that a file has a run's last states.
fn assert_kept(path: &Path, transcript: &Transcript) {
    assert_eq!(states(path)[0]["stream"], transcript.final_state()[0]["stream"]);
}

/// A command in its own namespace, after these preparations.
fn in_namespace(bench: &Bench, preparations: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let inner = format!("{preparations} || exit 9; exec \"$@\"");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &inner, "sh"]);
    command.arg(bench.program().get_program()).args(arguments).current_dir(&bench.directory);
    command
}

/// All commands that print, as `sh` words.
fn printing() -> Vec<String> {
    let with_config = ["check", "check --exit-code", "discover", "streams", "explain reach", "preview campaigns"];
    let with_config = with_config.iter().map(|command| format!("{command} --config config.json"));
    let read = READ.join(" ");
    let others = [
        &read,
        "--version",
        "--help",
        "read --help",
        "spec",
        "streams",
        "man",
        "completions bash",
        "--about",
        "--config config.json --discover",
        "--config config.json",
        "--config config.json --test=schema",
        "demo spec",
        "demo read",
    ];
    with_config.chain(others.iter().map(|command| (*command).to_owned())).collect()
}

/// Runs a `sh` line, in which `$0` is the program.
fn shell(bench: &Bench, line: &str) -> std::process::Output {
    let mut command = Command::new("bash");
    command.args(["-c", line]).arg(bench.program().get_program()).current_dir(&bench.directory).stdin(Stdio::null());
    command.output().unwrap()
}

/// Configuration and states before a run.
fn files_of(bench: &Bench) -> [String; 2] {
    ["config.json", "state.json"].map(|name| std::fs::read_to_string(bench.directory.join(name)).unwrap())
}

/// A bench of an app with a rotating refresh token and the previous day's states.
fn with_states() -> Bench {
    let bench = bench(Options { refresh_token: Some("first-refresh-token".into()), ..Options::default() }, 3);
    bench.file("config.json", &bench.config);
    bench.file("state.json", &json!([]));
    bench
}

pub const CASES: &[Case] = &[
    Case {
        id: 200,
        fault: "the state file is a link, to an existing file and to a missing one",
        expected: "the target is written, the link is kept",
        run: || {
            let bench = ready();
            let folder = bench.directory.join("kept");
            std::fs::create_dir(&folder).unwrap();
            std::os::unix::fs::symlink("link.json", bench.directory.join("state.json")).unwrap();
            std::os::unix::fs::symlink("kept/real.json", bench.directory.join("link.json")).unwrap();
            for _ in 0..2 {
                let transcript = bench.run(&READ);
                assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
                assert_kept(&folder.join("real.json"), &transcript);
            }
            for link in ["state.json", "link.json"] {
                assert!(std::fs::symlink_metadata(bench.directory.join(link)).unwrap().is_symlink());
            }
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
            "exit 0, twice; the target has the states, no temporary file is left".to_owned()
        },
    },
    Case {
        id: 201,
        fault: "the state file is mounted alone into a container; its folder is also read-only",
        expected: "written in place, and locked for other containers",
        run: || {
            for is_read_only in [false, true] {
                let bench = ready();
                std::fs::create_dir(bench.directory.join("inside")).unwrap();
                std::fs::write(bench.directory.join("inside/state.json"), "").unwrap();
                let outside = bench.file("outside.json", &json!([]));
                let lock =
                    if is_read_only { "mount --bind inside inside && mount -o remount,ro,bind inside &&" } else { "" };
                let mount = format!("{lock} mount --bind outside.json inside/state.json");
                let mut arguments = READ;
                arguments[6] = "inside/state.json";
                let first = bench.run_program(in_namespace(&bench, &mount, &arguments));
                assert_complete(&bench, &first);
                assert_kept(&outside, &first);
                let second = bench.run_program(in_namespace(&bench, &mount, &arguments));
                assert_eq!(second.code, Some(0), "{:?}", second.errors());
                assert_kept(&outside, &second);
                assert_eq!(std::fs::read_dir(bench.directory.join("inside")).unwrap().count(), 1);
                // While another process holds the lock.
                let held = std::fs::File::open(&outside).unwrap();
                held.lock().unwrap();
                let third = bench.run_program(in_namespace(&bench, &mount, &arguments));
                reported(&third, &["Another run is using the state file"]);
            }
            "exit 0, twice; the file outside has the states; a concurrent third container: exit 1".to_owned()
        },
    },
    Case {
        id: 202,
        fault: "a second run with the same state file during the first one; then one after a killed run",
        expected: "rejected before any request, no stream of the first one is lost; the last one resumes",
        run: || {
            let bench = bench(Options { row_cap: 40, latency: Duration::from_millis(100), ..Options::default() }, 200);
            bench.file("config.json", &bench.config);
            let start = |stdout| bench.program().args(READ).stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
            let first = start(Stdio::piped());
            let path = bench.directory.join("state.json");
            // The file exists and is locked.
            wait_until(|| !bench.report_requests().is_empty());
            let reader = std::thread::spawn(move || first.wait_with_output().unwrap());
            std::os::unix::fs::symlink("state.json", bench.directory.join("other.json")).unwrap();
            let mut other = READ;
            other[4] = "campaigns";
            for name in ["state.json", "other.json"] {
                other[6] = name;
                let calls = bench.token_requests();
                let second = bench.run(&other);
                assert_eq!((second.code, bench.token_requests()), (Some(1), calls));
                assert_eq!(second.errors()[0]["failure_type"], "transient_error");
                reported(&second, &["Another run is using the state file", "has not read anything"]);
            }
            let first = Transcript::of(reader.join().unwrap());
            assert_complete(&bench, &first);
            assert_kept(&path, &first);
            assert_eq!(bench.run(&other).code, Some(0));
            assert_eq!(streams_in(&path), BTreeSet::from([REPORT.to_owned(), "campaigns".to_owned()]));
            std::fs::remove_file(&path).unwrap();
            let mut killed = start(Stdio::null());
            wait_until(|| std::fs::read_to_string(&path).is_ok_and(|text| text.contains(REPORT)));
            killed.kill().unwrap();
            killed.wait().unwrap();
            let last = bench.run(&READ);
            assert_eq!(last.code, Some(0), "{:?}", last.errors());
            assert_kept(&path, &last);
            "exit 1 with an error; both streams are in the file at the end; after the kill: exit 0".to_owned()
        },
    },
    Case {
        id: 203,
        fault: "another program replaces the state file during a run",
        expected: "its file is not overwritten, the run stops",
        run: || {
            let bench = bench(Options { row_cap: 40, latency: Duration::from_millis(100), ..Options::default() }, 200);
            bench.file("config.json", &bench.config);
            let child = bench.program().args(READ).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            wait_until(|| !bench.report_requests().is_empty());
            let restored = bench.file("restored.json", &json!([]));
            std::fs::rename(restored, bench.directory.join("state.json")).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("another program replaced or removed it"), "{said}");
            assert_eq!(states(&bench.directory.join("state.json")), json!([]));
            format!("exit {} with an error; the other program's states are there", output.status.code().unwrap())
        },
    },
    Case {
        id: 204,
        fault: "stdout is closed when the program starts: every command that prints",
        expected: "no request, no file is written, exit 1",
        run: || {
            let bench = with_states();
            let before = files_of(&bench);
            for command in printing() {
                for closed in [">&-", "<&- >&-"] {
                    let output = shell(&bench, &format!("\"$0\" {command} {closed}"));
                    let said = String::from_utf8(output.stderr).unwrap();
                    assert_eq!(output.status.code(), Some(1), "{command}: {said}");
                    assert!(said.starts_with("Cannot write the output: standard output is closed"), "{said}");
                }
            }
            assert!(bench.sandbox.requests().is_empty());
            assert_eq!(files_of(&bench), before);
            // Discarded on purpose.
            assert_eq!(shell(&bench, "\"$0\" discover --config config.json >/dev/null").status.code(), Some(0));
            "exit 1 with an error, each time".to_owned()
        },
    },
    Case {
        id: 205,
        fault: "stdout is a pipe whose reader has exited before the program starts; a full disk: every command that \
                prints",
        expected: "ended by SIGPIPE, no request and no write; exit 1",
        run: || {
            let bench = with_states();
            let before = files_of(&bench);
            for command in printing() {
                // No other process may hold the read end, even briefly.
                let line = "rm -f pipe && mkfifo pipe && exec 3<>pipe 4>pipe 3<&- && exec \"$0\"";
                let output = shell(&bench, &format!("{line} {command} >&4 4>&-"));
                let said = String::from_utf8(output.stderr).unwrap();
                assert_eq!((output.status.signal(), &*said), (Some(13), ""), "{command}");
            }
            assert!(bench.sandbox.requests().is_empty());
            assert_eq!(files_of(&bench), before);
            for command in printing() {
                let output = shell(&bench, &format!("\"$0\" {command} >/dev/full"));
                assert_eq!(output.status.code(), Some(1), "{command}");
            }
            assert_eq!(states(&bench.directory.join("state.json")), json!([]), "no state advanced");
            "signal 13 without output; exit 1, and no state advances".to_owned()
        },
    },
    Case {
        id: 206,
        fault: "a tap's batches on a disk that fills up; the target has exited",
        expected: "files that no message names are removed immediately",
        run: || {
            let mut bench = bench(Options { row_cap: 100, ..Options::default() }, 60);
            std::fs::create_dir(bench.directory.join("files")).unwrap();
            bench.config["batch_config"] = json!({
                "encoding": {"format": "jsonl", "compression": "gzip"},
                "storage": {"root": format!("file://{}", bench.directory.join("files").display())},
                "batch_size": 120,
            });
            bench.file("config.json", &bench.config);
            bench.file("catalog.json", &catalog_with(&bench, |stream, _| stream == "ad_statistics_daily"));
            let tap = ["--config", "config.json", "--catalog", "catalog.json"];
            let left = |text: &str| text.lines().map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
            for kib in [0, 16, 24, 40, 64] {
                // Lists the folder before it is unmounted.
                let size = if kib == 0 { String::new() } else { format!("-o size={kib}k ") };
                let inner = format!(
                    "mount -t tmpfs {size}none files || exit 9; \"$@\" >out.json 2>err.txt; code=$?; ls files >left.txt; exit $code"
                );
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &inner, "sh"]);
                command.arg(bench.program().get_program()).args(tap).current_dir(&bench.directory);
                assert_eq!(command.status().unwrap().code(), Some(i32::from(kib > 0)), "{kib} KiB");
                let text = std::fs::read_to_string(bench.directory.join("out.json")).unwrap();
                let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                let named = messages
                    .filter(|message| message["type"] == "BATCH")
                    .flat_map(|message| message["manifest"].as_array().unwrap().clone());
                let named: BTreeSet<_> =
                    named.map(|url| url.as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()).collect();
                let found = left(&std::fs::read_to_string(bench.directory.join("left.txt")).unwrap());
                assert_eq!(found, named, "{kib} KiB");
            }
            // A target that exits after a tap's first line.
            let mut child = bench.program().args(tap).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            drop(child.stdout.take());
            assert_eq!(child.wait().unwrap().signal(), Some(13));
            assert_eq!(std::fs::read_dir(bench.directory.join("files")).unwrap().count(), 0);
            "exactly the files that messages name".to_owned()
        },
    },
    Case {
        id: 207,
        fault: "configuration and catalog are a folder, a socket, a named pipe without a writer",
        expected: "one clear message each, never a hang",
        run: || {
            let bench = ready();
            std::fs::create_dir(bench.directory.join("folder")).unwrap();
            assert!(Command::new("mkfifo").arg(bench.directory.join("fifo")).status().unwrap().success());
            let _socket = std::os::unix::net::UnixListener::bind(bench.directory.join("socket")).unwrap();
            let kinds =
                [("folder", "is a folder"), ("socket", "is a socket"), ("fifo", "is a named pipe (FIFO) whose writer")];
            let mut last = String::new();
            for (path, kind) in kinds {
                last = check_reported(
                    &bench.run(&["check", "--config", path]),
                    &[&format!("The configuration file {path} {kind}")],
                );
                let catalog = bench.run(&["read", "--config", "config.json", "--catalog", path]);
                reported(&catalog, &[&format!("The catalog file {path} {kind}")]);
                let tap = bench.program().args(["--config", "config.json", "--catalog", path]).output().unwrap();
                assert_eq!(tap.status.code(), Some(1));
                assert!(String::from_utf8(tap.stderr).unwrap().contains(&format!("The catalog file {path} {kind}")));
            }
            assert!(bench.sandbox.requests().is_empty());
            last
        },
    },
    Case {
        id: 208,
        fault: "SIGHUP during a read started with `nohup`",
        expected: "it reads to the end",
        run: || {
            let bench = bench(Options { latency: Duration::from_millis(100), row_cap: 100, ..Options::default() }, 100);
            bench.file("config.json", &bench.config);
            let mut command = Command::new("env");
            command.arg("--ignore-signal=HUP").arg(bench.program().get_program()).args(READ);
            command.current_dir(&bench.directory).stdout(Stdio::piped()).stderr(Stdio::null());
            let child = command.spawn().unwrap();
            wait_until(|| bench.report_requests().len() > 3);
            assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
            assert_complete(&bench, &Transcript::of(child.wait_with_output().unwrap()))
        },
    },
];

super::tests! { case_200 case_201 case_202 case_203 case_204 case_205 case_206 case_207 case_208 }
