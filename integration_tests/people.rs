//! What people see at a terminal, and what programs get instead through a pipe.

use std::process::{Command, Stdio};
use std::time::Duration;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;

const REPORT: &str = "campaign_statistics_daily";
const WIDTHS: [u16; 2] = [80, 120];
/// A terminal without cursor control: nothing is redrawn.
const STILL: [(&str, &str); 2] = [("NO_COLOR", "1"), ("TERM", "dumb")];

/// A small account whose configuration has the default name.
fn bench() -> Bench {
    let options = Options { advertisers: 2, campaigns: 1, ad_sets: 1, ads: 1, audiences: 3, ..Options::default() };
    let bench = Bench::new(options, 30);
    bench.file("criteo.json", &bench.config);
    bench
}

/// A screen without durations.
fn steady(bench: &Bench, screen: &str) -> String {
    let screen = screen.replace(&bench.sandbox.url(), "http://127.0.0.1:PORT").replace('\u{1b}', "␛");
    let mut lines = Vec::new();
    for line in screen.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_time = |at: usize| {
            words.get(at + 1).is_some_and(|unit| unit.trim_end_matches([',', '.', ';']) == "s")
                && words[at].parse::<f64>().is_ok()
        };
        let words = words.iter().enumerate().map(|(at, word)| if is_time(at) { "N" } else { word });
        lines.push(words.collect::<Vec<_>>().join(" "));
    }
    lines.join("\n")
}

/// A command at terminals of both widths; stdout is the terminal, too.
pub fn screens(bench: &Bench, arguments: &str) -> String {
    let mut text = String::new();
    for columns in WIDTHS {
        let screen = bench.on_terminal(columns, arguments, &STILL);
        for line in screen.lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= usize::from(columns), "{columns}: {line}");
        }
        text += &format!("── $ source-criteo {arguments} at {columns} columns ──\n{}\n", steady(bench, &screen));
    }
    text
}

fn piped(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String) {
    let output = bench.program().args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn is_protocol(stdout: &str) -> bool {
    !stdout.is_empty() && stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok())
}

#[test]
fn every_screen_fits_the_terminal() {
    let bench = bench();
    for (name, arguments) in [
        ("help", "--help"),
        ("help_read", "help read"),
        ("help_page", "help credentials key"),
        ("help_unknown", "help credential"),
        ("streams", "streams"),
        ("explain_list", "explain"),
        ("explain_spend", "explain spend"),
        ("explain_words", "explain cost per order"),
        ("explain_stream", "explain campaigns"),
        ("check", "check"),
        ("demo", "demo"),
        ("preview", "preview campaign_statistics_daily --rows 5"),
        ("preview_columns", "preview campaign_statistics_daily --rows 2 --columns day,clicks,campaign_name"),
        ("preview_objects", "preview audiences --rows 2"),
        ("read", "read --streams campaigns,campaign_statistics_daily"),
        ("dry_run", "read --streams campaigns,campaign_statistics_daily --dry-run"),
        ("typo", "read --streams campaing"),
        ("no_file", "check -c missing.json"),
        ("day", "read --streams campaigns --since 01/10/2026"),
        ("no_such_day", "read --streams campaigns --since 2026-11-31"),
        ("format", "export --format excel"),
    ] {
        insta::assert_snapshot!(format!("screen_{name}"), screens(&bench, arguments));
    }
}

#[test]
fn a_check_is_text_at_a_terminal_and_a_message_in_a_pipe() {
    let mut bench = bench();
    let at_terminal = |bench: &Bench, arguments: &str| bench.on_terminal(100, arguments, &STILL);
    let seen = at_terminal(&bench, "check");
    assert!(seen.contains("✓ first sync") && seen.contains("Ready.") && seen.ends_with("exit 0\n"), "{seen}");
    assert!(!seen.contains('{'), "{seen}");
    bench.config["client_secret"] = json!("not-the-secret");
    bench.file("criteo.json", &bench.config);
    let seen = at_terminal(&bench, "check");
    assert!(seen.contains("✗ key") && seen.ends_with("exit 1\n") && !seen.contains('{'), "{seen}");
    assert!(seen.contains("`source-criteo help credentials key`"), "{seen}");
    let seen = at_terminal(&bench, "check --json");
    assert!(seen.contains("{\"type\":\"CONNECTION_STATUS\"") && seen.ends_with("exit 0\n"), "{seen}");
    let (code, stdout) = piped(&bench, &["check"]);
    assert!(code == Some(0) && is_protocol(&stdout) && stdout.contains("\"FAILED\""), "{stdout}");
    assert_eq!(piped(&bench, &["check", "--json"]).1, stdout);
    assert_eq!(piped(&bench, &["check", "--exit-code"]).0, Some(1));
    // Colors appear unless the user refuses them.
    assert!(bench.on_terminal(100, "check", &[]).contains("\u{1b}[31m✗"));
}

#[test]
fn a_read_shows_a_table_at_a_terminal_and_keeps_no_state() {
    let bench = bench();
    let read = format!("read --streams {REPORT} --state-file state.json");
    let refused = bench.on_terminal(100, &read, &STILL);
    assert!(refused.contains("a state file would skip them") && refused.ends_with("exit 1\n"), "{refused}");
    let seen = bench.on_terminal(100, &format!("read --streams {REPORT}"), &STILL);
    assert!(seen.contains(&format!("✓ {REPORT}")) && seen.contains("agree with Criteo's totals"), "{seen}");
    assert!(!seen.contains("{\"type\"") && seen.contains("records are counted and not printed"), "{seen}");
    assert!(!bench.directory.join("state.json").exists(), "the records went nowhere");
    let seen = bench.on_terminal(100, &format!("{read} --json"), &STILL);
    assert!(seen.lines().filter(|line| line.starts_with("{\"type\":\"RECORD\"")).count() > 20, "{seen}");
    assert!(bench.directory.join("state.json").exists());
    let (code, stdout) = piped(&bench, &["read", "--streams", REPORT]);
    assert!(code == Some(0) && is_protocol(&stdout) && stdout.contains("agree with Criteo's totals"));
    // Into a file, people see the same table at the terminal.
    let seen = bench.at_terminal(100, &["read", "--streams", REPORT], &STILL);
    assert!(seen.contains(&format!("✓ {REPORT}")) && seen.contains("1 stream: "), "{seen}");
    assert!(is_protocol(&std::fs::read_to_string(bench.directory.join("stdout")).unwrap()));
}

#[test]
fn mistakes_are_text_at_a_terminal_and_messages_in_a_pipe() {
    let bench = bench();
    for arguments in ["read --streams campaing", "read --streams campaigns -c missing.json", "discover -c missing.json"]
    {
        let seen = bench.on_terminal(100, arguments, &STILL);
        assert!(seen.contains("error: ") && !seen.contains('{') && seen.ends_with("exit 1\n"), "{seen}");
        let (code, stdout) = piped(&bench, &arguments.split(' ').collect::<Vec<_>>());
        assert!(code == Some(1) && is_protocol(&stdout) && stdout.contains("\"TRACE\""), "{stdout}");
    }
}

#[test]
fn an_error_of_the_whole_run_is_said_once() {
    let mut bench = bench();
    bench.config["client_secret"] = json!("not-the-secret");
    bench.file("criteo.json", &bench.config);
    let streams = format!("campaigns,ads,{REPORT}");
    let seen = bench.on_terminal(300, &format!("read --streams {streams} --report page.html"), &STILL);
    assert_eq!(seen.matches("client_secret").count(), 1, "{seen}");
    assert!(seen.contains(&format!("3 streams failed because of this: campaigns, ads, {REPORT}.")), "{seen}");
    let page = std::fs::read_to_string(bench.directory.join("page.html")).unwrap();
    assert!(page.contains("3 streams failed because of this") && !page.contains("not-the-secret"), "{page}");
    // Platforms expect an error per stream.
    let (_, stdout) = piped(&bench, &["read", "--streams", &streams]);
    assert_eq!(stdout.matches("\"stream_descriptor\":{\"name\":\"ads\"}").count(), 3, "{stdout}");
    assert_eq!(stdout.matches("\"ERROR\"").count(), 3, "{stdout}");
}

#[test]
fn a_bar_per_stream_is_drawn_where_nothing_else_writes() {
    let options = Options { row_cap: 60, latency: Duration::from_millis(50), ..Options::default() };
    let bench = Bench::new(options, 40);
    bench.file("criteo.json", &bench.config);
    let refusal = json!({"status": 429, "headers": {"x-ratelimit-reset": "0", "Retry-After": "1"}});
    let wait_twice = || {
        for nth in [4, 12] {
            let fault = json!({"match": {"path": "/statistics/", "nth": nth}, "times": 1, "do": refusal});
            bench.sandbox.add_fault(fault).unwrap();
        }
    };
    wait_twice();
    let read = format!("read --streams {REPORT}");
    let has_bars = |seen: &str| seen.contains("━") && seen.contains("\u{1b}[");
    let seen = bench.on_terminal(100, &read, &[("NO_COLOR", "1")]);
    assert!(has_bars(&seen) && seen.contains(" windows"), "{seen}");
    wait_twice();
    let narrow = bench.on_terminal(80, &read, &[("NO_COLOR", "1")]);
    for seen in [&seen, &narrow] {
        assert!(!seen.contains("0/0") && !seen.contains("░") && !seen.contains(" 0 rows"), "{seen}");
    }
    // What does not fit is left out.
    let totals = narrow.split(" of 1 stream, ").skip(1).filter_map(|rest| rest.split('\u{1b}').next());
    let mut totals = totals.filter(|line| line.contains(" windows"));
    assert!(totals.all(|line| !line.contains("requests left")), "{narrow}");
    // The last screen has no bars.
    let end = seen.rsplit('\u{1b}').next().unwrap();
    assert!(end.contains("1 stream: ") && !end.contains('━'), "{end}");
    for command in [format!("{read} | cat"), format!("{read} --json 2>errors")] {
        let seen = bench.on_terminal(100, &command, &[("NO_COLOR", "1")]);
        assert!(!has_bars(&seen), "{command}: {seen}");
    }
    let seen = bench.on_terminal(100, &format!("{read} | head -n 3"), &[("NO_COLOR", "1")]);
    let messages = seen.lines().filter(|line| line.starts_with('{'));
    assert!(messages.clone().count() >= 3 && messages.into_iter().all(|line| line.ends_with('}')), "{seen}");
}

#[test]
fn the_configuration_is_found_by_flag_variable_and_name() {
    let bench = bench();
    let zone = |arguments: &[&str], variable: Option<&str>| {
        let mut program = bench.program();
        if let Some(path) = variable {
            program.env("CRITEO_CONFIG", path);
        }
        let output = program.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (file, name) in [("other.json", "by_flag"), ("third.json", "by_variable")] {
        let mut config = bench.config.clone();
        config["custom_reports"] = json!([{"name": name, "dimensions": ["Day"], "metrics": ["Clicks"]}]);
        bench.file(file, &config);
    }
    for command in ["discover", "streams"] {
        assert!(zone(&[command, "-c", "other.json"], Some("third.json")).contains("custom_by_flag"));
        assert!(zone(&[command], Some("third.json")).contains("custom_by_variable"));
        let by_name = zone(&[command], None);
        assert!(by_name.contains("campaigns") && !by_name.contains("custom_"));
    }
    // Commands that work without a configuration ignore one that they were not given.
    std::fs::write(bench.directory.join("criteo.json"), "{").unwrap();
    assert!(zone(&["streams"], None).contains("campaigns"));
    std::fs::remove_file(bench.directory.join("criteo.json")).unwrap();
    let (code, stdout) = piped(&bench, &["check"]);
    assert!(code == Some(0) && stdout.contains("There is no configuration criteo.json"), "{stdout}");
}

#[test]
fn shells_complete_streams_and_metrics() {
    let bench = bench();
    let completed = |words: &[&str]| {
        let mut program = bench.program();
        let index = (words.len() - 1).to_string();
        program.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n").arg("--").args(words);
        String::from_utf8(program.output().unwrap().stdout).unwrap()
    };
    assert!(completed(&["source-criteo", "preview", "camp"]).contains(REPORT));
    let several = completed(&["source-criteo", "read", "--streams", "campaigns,ad_s"]);
    assert!(several.contains("campaigns,ad_sets"), "{several}");
    assert!(completed(&["source-criteo", "explain", "salespc"]).contains("SalesPc30d"));
    assert!(completed(&["source-criteo", "help", "cred"]).contains("credentials"));
    assert!(completed(&["source-criteo", "pre"]).contains("preview"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script) = piped(&bench, &["completions", shell]);
        assert!(
            code == Some(0) && script.contains("COMPLETE") && script.contains("source-criteo"),
            "{shell}: {script}"
        );
    }
    let bash = piped(&bench, &["completions", "bash"]).1;
    let mut check = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), bash.as_bytes()).unwrap();
    assert!(check.wait().unwrap().success());
}

#[test]
fn every_command_has_a_manual_page() {
    let bench = bench();
    let (code, page) = piped(&bench, &["man", "demo", "read"]);
    assert!(
        code == Some(0) && page.contains(".TH") && page.contains("EXAMPLES") && page.contains("EXIT STATUS"),
        "{page}"
    );
    assert_eq!(piped(&bench, &["man", "--all", "man1"]).0, Some(0));
    let names: Vec<_> = std::fs::read_dir(bench.directory.join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let setup = std::fs::read_to_string(bench.directory.join("man1/source-criteo-setup.1")).unwrap();
    assert!(names.contains(&"source-criteo.1".to_owned()) && names.len() > 15, "{names:?}");
    assert!(setup.contains("key\\-file"), "{setup}");
}

#[test]
fn pages_of_the_documentation_are_in_the_program() {
    let bench = bench();
    for page in
        ["credentials", "streams", "reports", "metrics", "export", "state", "errors", "scaling", "airbyte", "meltano"]
    {
        let (code, text) = piped(&bench, &["help", page]);
        assert!(code == Some(0) && text.len() > 1000, "{page}");
        assert!(!text.contains("<!--") && !text.contains("```") && !text.contains("](http"), "{page}: {text}");
    }
    // As links and files name them.
    let (_, export) = piped(&bench, &["help", "export"]);
    let (_, section) = piped(&bench, &["help", "state", "interrupted"]);
    assert!(section.len() > 100, "{section}");
    for (name, text) in
        [("export.md", &export), ("docs/export.md", &export), ("state.md#interrupted-and-incomplete-syncs", &section)]
    {
        assert_eq!(piped(&bench, &["help", name]), (Some(0), text.clone()), "{name}");
    }
    assert_eq!(piped(&bench, &["help", "state.md#no-such-section"]).0, Some(1));
    for step in [
        "configuration",
        "network",
        "key",
        "app",
        "consent",
        "advertisers",
        "permissions",
        "custom reports",
        "first sync",
    ] {
        assert_eq!(piped(&bench, &["help", "credentials", step]).0, Some(0), "{step}");
    }
    // Links at terminals that are known to support them.
    let seen = bench.on_terminal(80, "help credentials", &[("FORCE_HYPERLINK", "1")]);
    assert!(seen.contains("\u{1b}]8;;https://consent.criteo.com\u{1b}\\"), "{seen}");
}
