//! Commands run manually, at terminals of several widths and through a pipe.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::samples::repository;
use crate::streams::{assert_report, preset};

const REPORT: &str = "campaign_statistics_daily";

/// A small account with small amounts.
fn bench() -> Bench {
    let options = Options { advertisers: 1, campaigns: 1, ad_sets: 1, ads: 1, audiences: 3, ..Options::default() };
    let bench = Bench::new(options, 30);
    bench.file("config.json", &bench.config);
    bench
}

/// Output of a command through a pipe.
fn piped(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = bench.program().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Output of a command at terminals of several widths and through a pipe. Stdout is the terminal as well.
fn seen(bench: &Bench, arguments: &[&str]) -> String {
    let quoted: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let mut text = format!("$ source-criteo {}\n", arguments.join(" "));
    for (columns, colors) in [(60, "1"), (120, "")] {
        let shown = bench.on_terminal(columns, &quoted.join(" "), &[("NO_COLOR", colors)]);
        text += &format!("── at {columns} columns ──\n{}", shown.replace('\u{1b}', "␛"));
    }
    let (code, stdout, stderr) = piped(bench, arguments);
    text + &format!("── through a pipe: exit {} ──\n{stdout}{stderr}", code.unwrap())
}

#[test]
fn streams_and_metrics_are_explained_without_credentials() {
    let bench = bench();
    let words = [
        "SalesPc30d",
        "cost_per_order",
        "adset",
        "advertisers",
        "salespc30",
        "no such word",
        "Reach",
        "omnichannel_roas_all_pv24h",
        "InvalidClicks",
    ];
    for (index, word) in words.iter().enumerate() {
        insta::assert_snapshot!(format!("explain_{index}"), seen(&bench, &["explain", word]));
    }
    insta::assert_snapshot!("streams", seen(&bench, &["streams"]));
    for (format, first) in
        [("json", "{\"stream\":\"application\""), ("csv", "stream,permission"), ("markdown", "| stream |")]
    {
        let (code, stdout, _) = piped(&bench, &["streams", "--format", format]);
        assert!(code == Some(0) && stdout.starts_with(first), "{stdout}");
    }
    assert!(bench.sandbox.requests().is_empty());
}

#[test]
fn the_page_on_reports_shows_what_explain_prints() {
    let (bench, page) = (bench(), repository("docs/reports.md"));
    for word in ["RevenueGeneratedAllPc30dPv24h", "reach"] {
        let (code, stdout, _) = piped(&bench, &["explain", word]);
        assert!(code == Some(0) && page.contains(stdout.trim()), "docs/reports.md lacks:\n{stdout}");
    }
}

#[test]
fn help_names_every_command() {
    let (code, help, _) = piped(&bench(), &["--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help", help);
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let bench = bench();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, _) = piped(&bench, &["completions", shell]);
        assert!(code == Some(0) && script.contains("COMPLETE") && script.contains("source-criteo"), "{shell}");
    }
    let (code, page, _) = piped(&bench, &["man"]);
    assert!(code == Some(0) && page.contains(".TH source-criteo 1") && page.contains("explain"), "{page}");
    let check =
        std::process::Command::new("bash").args(["-n", "-c", &piped(&bench, &["completions", "bash"]).1]).status();
    assert!(check.unwrap().success());
}

/// Measured without optimization.
#[test]
fn the_first_log_line_appears_immediately() {
    let bench = bench();
    for arguments in
        [&["streams"][..], &["explain", "clicks"], &["spec"], &["discover", "--config", "config.json"], &["man"]]
    {
        // Other tests use the CPU as well, so one fast run is enough.
        let is_quick = (0..50).any(|_| {
            let started = Instant::now();
            assert!(bench.program().args(arguments).output().unwrap().status.success());
            started.elapsed() < Duration::from_millis(100).mul_f64(crate::harness::slowness())
        });
        assert!(is_quick, "{arguments:?}");
    }
}

#[test]
fn a_preview_shows_the_first_rows_and_days() {
    let bench = bench();
    let config = ["--config", "config.json"];
    insta::assert_snapshot!(
        "preview_report",
        seen(&bench, &[&["preview", REPORT, "--rows", "3"][..], &config].concat())
    );
    let objects = ["preview", "audiences", "--rows", "2", "--format", "markdown"];
    insta::assert_snapshot!("preview_objects", seen(&bench, &[&objects[..], &config].concat()));
    insta::assert_snapshot!(
        "preview_unknown",
        seen(&bench, &[&["preview", "campain_statistics"][..], &config].concat())
    );
    let days = ["preview", REPORT, "--since", "2026-10-20", "--until", "2026-10-21", "--format", "json"];
    let (code, stdout, _) = piped(&bench, &[&days[..], &config].concat());
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(code == Some(0) && !rows.is_empty(), "{stdout}");
    for row in &rows {
        assert!(["2026-10-20", "2026-10-21"].contains(&row["day"].as_str().unwrap()), "{row}");
    }
    // A preview also respects the configured first day.
    let mut late = bench.config.clone();
    late["start_date"] = json!("2026-10-28");
    bench.file("late.json", &late);
    let all = ["preview", REPORT, "--rows", "1000", "--format", "json", "--config", "late.json"];
    let first = |stdout: &str| {
        let days =
            stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["day"].as_str().unwrap().to_owned());
        days.min()
    };
    assert_eq!(first(&piped(&bench, &all).1).as_deref(), Some("2026-10-28"));
    let (code, stdout, _) = piped(&bench, &[&["preview", REPORT, "--format", "csv"][..], &config].concat());
    assert!(code == Some(0) && stdout.starts_with("advertiser_id,") && stdout.lines().count() == 11, "{stdout}");
}

#[test]
fn a_rejected_preview_says_why() {
    let options = Options { without_permission: vec![criteo_sandbox::Permission::Audiences], ..Options::default() };
    let bench = Bench::new(options, 3);
    bench.file("config.json", &bench.config);
    let (code, stdout, stderr) = piped(&bench, &["preview", "audiences", "--config", "config.json"]);
    assert!(code == Some(1) && stdout.is_empty(), "{stdout}");
    assert!(stderr.contains("ERROR Missing permission \"Audiences: Read\""), "{stderr}");
}

#[test]
fn a_read_without_a_catalog_resumes_from_its_state_file() {
    let mut bench = bench();
    bench.config["lookback_days"] = json!(1);
    bench.file("config.json", &bench.config);
    let streams = format!("campaigns,{REPORT}");
    let read = ["read", "--config", "config.json", "--streams", &streams, "--state-file", "state.json"];
    let first = bench.run(&read);
    assert_eq!(first.code, Some(0), "{:?}", first.errors());
    assert_report(&bench, &first, REPORT, &preset(REPORT));
    assert_eq!(first.records("campaigns").len(), 1);
    let kept = || {
        serde_json::from_str::<Value>(&std::fs::read_to_string(bench.directory.join("state.json")).unwrap()).unwrap()
    };
    let of_report = |state: &Value| {
        let entries = state.as_array().unwrap().iter();
        entries.clone().find(|entry| entry["stream"]["stream_descriptor"]["name"] == REPORT).unwrap()["stream"].clone()
    };
    assert_eq!(of_report(&kept()), of_report(&first.final_state()));
    let second = bench.run(&read);
    let (rows, all) = (second.records(REPORT).len(), first.records(REPORT).len());
    assert!(second.code == Some(0) && rows > 0 && rows < 4 && all > 20, "{rows} of {all}");
    // Another stream does not change the first one's state.
    let other = bench.run(&[
        "read",
        "--config",
        "config.json",
        "--streams",
        "ad_set_statistics_daily",
        "--state-file",
        "state.json",
    ]);
    assert_eq!(other.code, Some(0));
    assert_eq!(kept().as_array().unwrap().len(), 3);
    assert_eq!(of_report(&kept()), of_report(&second.final_state()));
    let days = bench.run(&[
        "read",
        "--config",
        "config.json",
        "--streams",
        REPORT,
        "--since",
        "2026-10-20",
        "--until",
        "2026-10-21",
    ]);
    assert!(
        days.records(REPORT).iter().all(|row| ["2026-10-20", "2026-10-21"].contains(&row["day"].as_str().unwrap()))
    );
    assert!(!days.records(REPORT).is_empty());
}

#[test]
fn days_given_on_the_command_line_override_the_state() {
    let mut bench = bench();
    bench.config["lookback_days"] = json!(1);
    bench.config["start_date"] = json!("2026-10-10");
    bench.file("config.json", &bench.config);
    let days_of = |arguments: &[&str]| {
        let run = bench.run(&[&["read", "--config", "config.json", "--streams", REPORT][..], arguments].concat());
        assert_eq!(run.code, Some(0), "{:?}", run.errors());
        let days: BTreeSet<_> = run.records(REPORT).iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect();
        let warned = run.logs("WARN").into_iter().filter(|text| !text.contains("lookback_days is 1"));
        (days, warned.collect::<Vec<_>>().join("\n"))
    };
    let (all, _) = days_of(&[]);
    let between = |first: &str, last: &str| {
        let days: BTreeSet<_> = all.iter().filter(|day| (first..=last).contains(&day.as_str())).cloned().collect();
        assert!(!days.is_empty());
        days
    };
    let read = |days: &[&str]| days_of(&[&["--state-file", "state.json"][..], days].concat());
    let kept = || std::fs::read_to_string(bench.directory.join("state.json")).unwrap();

    // A state that starts late is reported; earlier days are read on request.
    let (days, warned) = read(&["--since", "2026-10-20", "--until", "2026-10-24"]);
    assert_eq!(days, between("2026-10-20", "2026-10-24"));
    assert!(warned.contains("The state will start at 2026-10-20"), "{warned}");
    let after_the_first = kept();
    assert_eq!(
        read(&["--since", "2026-10-12", "--until", "2026-10-15"]),
        (between("2026-10-12", "2026-10-15"), String::new())
    );
    assert_eq!(kept(), after_the_first, "days before the cursor change nothing");

    // Days that have not come yet are not read.
    let (days, warned) = days_of(&["--since", "2026-10-28", "--until", "2027-01-31"]);
    assert_eq!(days, between("2026-10-28", "2026-11-01"));
    assert!(warned.contains("The last day, 2027-01-31, is in the future. Today is 2026-11-01"), "{warned}");
    for command in ["export out", "preview campaign_statistics_daily --rows 1"] {
        let words = format!("{command} --until 2027-01-31 --config config.json");
        let (code, _, stderr) = piped(&bench, &words.split(' ').collect::<Vec<_>>());
        assert!(code == Some(0) && stderr.contains("2027-01-31, is in the future"), "{command}: {stderr}");
    }
    // A run without days to read is reported.
    let (days, warned) = read(&["--until", "2026-10-15"]);
    assert!(days.is_empty() && warned.contains("are not read: the cursor is"), "{warned}");
    // A gap remains a gap.
    let (days, warned) = read(&["--since", "2026-10-28"]);
    assert_eq!(days, between("2026-10-28", "2026-11-01"));
    assert!(warned.contains("are skipped because --since is after the cursor"), "{warned}");
    assert!(kept().contains("\"cursor\":\"2026-10-24\""), "{}", kept());
    assert_eq!(read(&[]), (between("2026-10-24", "2026-11-01"), String::new()));
}

#[test]
fn command_line_errors_come_with_suggestions() {
    let bench = bench();
    let run = |arguments: &[&str]| bench.run(&[&["read", "--config", "config.json"][..], arguments].concat());
    let typo = run(&["--streams", "campains"]);
    let reported = typo.errors()[0]["message"].as_str().unwrap().to_owned();
    let one_of_two = run(&["--streams", &format!("campains,{REPORT}")]);
    assert!(one_of_two.logs("INFO").iter().any(|text| text.starts_with("2 streams, 1 incomplete: ")));
    assert!(reported.contains("Did you mean campaigns"), "{reported}");
    let mut slips = Bench::new(Options::default(), 3);
    slips.config["start_dat"] = json!("2026-10-30");
    slips.config["batch_config"] = json!({});
    slips.config["custom_reports"] = json!([{"name": "mine", "dimensions": ["Campain"], "metrics": ["Cliks"]}]);
    slips.file("config.json", &slips.config);
    let warned = slips.run(&["discover", "--config", "config.json"]).logs("WARN").join("\n");
    for hint in ["start_dat: unknown setting", "mean start_date?", "mean Campaign", "mean Clicks"] {
        assert!(warned.contains(hint), "{hint} is not in: {warned}");
    }
    assert_eq!(warned.lines().count(), 3, "{warned}");
    let days = run(&["--streams", REPORT, "--since", "2026-10-21", "--until", "2026-10-20"]);
    assert!(days.errors()[0]["message"].as_str().unwrap().contains("is before the first"));
    let folder = run(&["--streams", REPORT, "--state-file", "no/such/folder/state.json"]);
    assert!(folder.code == Some(1) && folder.records(REPORT).is_empty(), "reported before anything is read");
    let reported = folder.errors().last().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(reported.contains("The state file no/such/folder/state.json cannot be written"), "{reported}");
    let (code, _, stderr) =
        piped(&bench, &["read", "--config", "config.json", "--streams", REPORT, "--since", "\u{1b}[2J\u{9b}A\u{202e}"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("expected a day such as 2026-10-01"), "{stderr}");
    assert!(stderr.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'), "{stderr:?}");
    for arguments in [
        &["read", "--config", "config.json"][..],
        &["read", "--config", "config.json", "--streams", "a", "--catalog", "b"],
    ] {
        assert_eq!(piped(&bench, arguments).0, Some(2));
    }
}

/// A run's summary without durations.
fn summary(transcript: &Transcript) -> Vec<String> {
    let logs = transcript.logs("INFO").into_iter().map(str::to_owned);
    logs.filter(|line| line.contains(" records")).collect()
}

#[test]
fn every_read_prints_a_summary() {
    let mut bench = Bench::new(Options { activity: 8, row_cap: 12, campaigns: 1, ..Options::default() }, 40);
    for (nth, action) in
        [(3, json!({"status": 503})), (5, json!({"status": 429, "headers": {"x-ratelimit-reset": "0"}}))]
    {
        let fault = json!({"match": {"path": "/statistics/", "nth": nth}, "times": 1, "do": action});
        bench.sandbox.add_fault(fault).unwrap();
    }
    bench.config["advertiser_ids"] = json!(["1001", "1002"]);
    let transcript = bench.read(&bench.catalog(&["campaigns", REPORT], "incremental"), None);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    let lines = summary(&transcript);
    let records = transcript.records(REPORT);
    let of_report =
        lines.iter().find(|line| line.starts_with(&format!("{REPORT}: {} records in ", records.len()))).unwrap();
    // Days without rows between the first and the last day.
    let days: BTreeSet<NaiveDate> = records.iter().map(|row| row["day"].as_str().unwrap().parse().unwrap()).collect();
    let (first, last) = (*days.first().unwrap(), *days.last().unwrap());
    let gap = first.iter_days().take_while(|day| *day < last).find(|day| !days.contains(day)).unwrap();
    assert!(of_report.contains(&format!("no rows on {gap}")), "{of_report}");
    for advertiser in ["1001", "1002"] {
        let rows = records.iter().filter(|row| row["advertiser_id"] == advertiser).count();
        assert!(rows > 0 && of_report.contains(&format!("({advertiser}) {rows}")), "{of_report}");
    }
    let splits = transcript.logs("INFO").iter().filter(|line| line.contains("hit the row or memory limit")).count();
    let split = match splits {
        1 => "1 response hit a limit and was split".to_owned(),
        several => format!("{several} responses hit a limit and were split"),
    };
    assert!(splits > 0 && of_report.contains(&split), "{of_report}");
    let calls = bench.sandbox.requests().iter().filter(|request| !request.line.contains("oauth2")).count();
    let of_run = lines.last().unwrap();
    let all = records.len() + transcript.records("campaigns").len();
    let wanted = format!("2 streams: {all} records, {calls} requests (1 refused by the rate limit, 1 failed)");
    assert!(of_run.starts_with(&wanted), "{wanted}: {of_run}");
    // A tap prints the same summary on stderr.
    let (_, _, said) = piped(&bench, &["--config", "config.json"]);
    assert!(said.contains("INFO ") && said.lines().last().unwrap().contains(" streams: "), "{said}");
}

#[test]
fn a_key_shared_with_other_programs_is_reported() {
    let bench = bench();
    let refusal = json!({"status": 429, "headers": {"x-ratelimit-reset": "0", "Retry-After": "1"}});
    bench.sandbox.add_fault(json!({"match": {"path": "/statistics/"}, "times": 3, "do": refusal})).unwrap();
    let transcript = bench.read(&bench.catalog(&[REPORT], "incremental"), None);
    let last = transcript.logs("INFO").last().copied().unwrap().to_owned();
    assert!(last.contains("another program probably uses the same app"), "{last}");
}

#[test]
fn a_terminal_shows_the_progress_of_a_read() {
    let bench = Bench::new(Options { row_cap: 60, latency: Duration::from_millis(100), ..Options::default() }, 60);
    bench.file("config.json", &bench.config);
    let arguments = ["read", "--config", "config.json", "--streams", REPORT];
    let seen = bench.at_terminal(90, &arguments, &[("NO_COLOR", "1")]);
    let drawn: Vec<_> = seen.split("\u{1b}[2K").collect();
    assert!(drawn.len() > 5, "{seen:?}");
    let of_windows = drawn.iter().filter(|line| line.contains(" windows, ")).count();
    assert!(of_windows > 2, "{seen:?}");
    let end = drawn.last().unwrap();
    assert!(end.contains("1 stream: ") && end.ends_with("exit 0\n"), "{end}");
    let stdout = std::fs::read_to_string(bench.directory.join("stdout")).unwrap();
    assert!(
        stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "stdout has only protocol messages"
    );
}

#[test]
fn stream_names_ignore_case_and_duplicates() {
    let bench = bench();
    let names = " campaigns, AdSets ,campaigns,AD_SETS,,Campaign_Statistics_Daily";
    let run = bench.run(&["read", "--config", "config.json", "--streams", names]);
    assert_eq!(run.code, Some(0), "{:?}", run.errors());
    assert_eq!((run.records("campaigns").len(), run.records("ad_sets").len()), (1, 1));
    assert_report(&bench, &run, REPORT, &preset(REPORT));
    assert_eq!(run.statuses("ad_sets"), ["STARTED", "RUNNING", "COMPLETE"]);
    let mut catalog = bench.catalog(&["campaigns", REPORT, "campaigns"], "full_refresh");
    catalog["streams"][0]["stream"]["json_schema"] = json!({"properties": {"id": {}}});
    bench.file("catalog.json", &catalog);
    let run = bench.run(&["read", "--config", "config.json", "--catalog", "catalog.json"]);
    assert_eq!((run.code, run.records("campaigns").len()), (Some(0), 1), "{:?}", run.errors());
    assert!(run.records("campaigns")[0].contains_key("name"), "the columns of both entries");
    assert!(run.logs("WARN").iter().any(|line| line.contains("more than one entry for campaigns")));
    let nothing = bench.run(&["read", "--config", "config.json", "--streams", " , "]);
    assert_eq!(nothing.errors()[0]["message"], "--streams is empty. `source-criteo streams` lists the streams.");
    let (code, stdout, _) = piped(&bench, &["preview", "CAMPAIGNS", "--format", "json", "--config", "config.json"]);
    assert!(code == Some(0) && stdout.lines().count() == 1, "{stdout}");
    for word in ["REACH", "reach", "Campaign_Statistics_Daily", "CAMPAIGNID"] {
        assert_eq!(piped(&bench, &["explain", word]).0, Some(0), "{word}");
    }
}

#[test]
fn a_state_path_that_is_not_a_file_is_rejected_at_the_start() {
    let bench = bench();
    std::fs::create_dir(bench.directory.join("folder")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(bench.directory.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(bench.directory.join("socket")).unwrap();
    let read = |flag: &str, path: &str| {
        let run = bench.run(&["read", "--config", "config.json", "--streams", "campaigns", flag, path]);
        assert!(run.code == Some(1) && run.records("campaigns").is_empty(), "{flag} {path}");
        run.errors()[0]["message"].as_str().unwrap().to_owned()
    };
    for flag in ["--state", "--state-file"] {
        for (path, kind) in [("folder", "a folder"), ("fifo", "a named pipe (FIFO)"), ("socket", "a socket")] {
            let reported = read(flag, path);
            assert!(reported.starts_with(&format!("The state file {path} is {kind}")), "{reported}");
        }
    }
    assert!(read("--state-file", "/dev/null").contains("is a device"));
    let reported = read("--state", "gone.json");
    assert!(
        reported.starts_with("The state file gone.json does not exist.") && reported.contains("--state-file"),
        "{reported}"
    );
    assert!(bench.sandbox.requests().is_empty());
    // Process substitution is accepted.
    let line = format!(
        "{} read --config config.json --streams campaigns --state <(echo '[]')",
        crate::harness::tested_program().to_str().unwrap()
    );
    for (line, wanted) in [(line.clone(), 1), (line.replace("<(echo '[]')", "/dev/null"), 1)] {
        let output =
            std::process::Command::new("bash").args(["-c", &line]).current_dir(&bench.directory).output().unwrap();
        let transcript = Transcript::of(output);
        assert_eq!((transcript.code, transcript.records("campaigns").len()), (Some(0), wanted), "{line}");
    }
}

#[test]
fn a_preview_into_a_pipe_prints_only_rows() {
    let bench = Bench::new(Options { latency: Duration::from_millis(100), ..Options::default() }, 30);
    bench.file("config.json", &bench.config);
    for (stream, rows) in [("campaigns", 2), (REPORT, 2)] {
        let rows = rows.to_string();
        let arguments = ["preview", stream, "--config", "config.json", "--rows", &rows, "--format", "json"];
        let seen = bench.at_terminal(90, &arguments, &[("NO_COLOR", "1")]);
        assert_eq!(seen.trim(), "exit 0", "{stream}");
        let stdout = std::fs::read_to_string(bench.directory.join("stdout")).unwrap();
        assert_eq!(stdout.lines().count(), 2, "{stdout}");
    }
}
