//! Log messages of a tap.

use criteo_sandbox::{Options, Permission};
use serde_json::{Value, json};

use super::{catalog_with, everything, tap, tap_streams, tap_with};
use crate::harness::Bench;

#[test]
fn a_failure_is_the_last_line_on_stderr_and_other_streams_are_read() {
    let bench = Bench::new(Options { without_permission: vec![Permission::Audiences], ..Options::default() }, 3);
    bench.file("all.json", &everything(&bench));
    let run = tap(&bench, &["--catalog", "all.json"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("ERROR audiences: Missing permission \"Audiences: Read\""), "{}", run.stderr);
    assert!(run.stderr.trim_end().lines().last().unwrap().starts_with("ERROR "), "{}", run.stderr);
    assert!(!run.records("campaigns").is_empty());
    assert!(run.last_state()["bookmarks"]["campaign_statistics_daily"].is_object());
    for (state, word) in [("[1]", "state"), ("{\"bookmarks\":7}", "state")] {
        std::fs::write(bench.directory.join("state.json"), state).unwrap();
        let refused = tap(&bench, &["--state", "state.json"]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(word) && refused.messages.is_empty(), "{}", refused.stderr);
    }
}

#[test]
fn about_and_version_need_no_configuration() {
    let bench = Bench::new(Options::default(), 1);
    let ask = |arguments: &[&str]| {
        let output = bench.program().args(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let about: Value = serde_json::from_str(&ask(&["--about", "--format=json"])).unwrap();
    assert_eq!(about["name"], "tap-criteo");
    assert!(about["capabilities"].as_array().unwrap().contains(&json!("structured-logging")));
    let properties = about["settings"]["properties"].as_object().unwrap();
    assert_eq!(properties["client_secret"]["secret"], true);
    for name in ["custom_reports", "batch_config", "emit_activate_version_messages"] {
        assert!(properties.contains_key(name), "{name}");
    }
    let text = about.to_string();
    assert!(!text.contains("airbyte_") && !properties.contains_key("report_row_cap"), "{text}");
    let markdown = ask(&["--about", "--format", "markdown"]);
    assert!(markdown.contains("| `client_secret` | yes |"), "{markdown}");
    assert!(ask(&["--about"]).contains("client_secret (required): "));
    assert!(ask(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(ask(&["--help"]).contains("--discover"));
}

#[test]
fn the_test_flag_tries_every_stream_and_writes_nothing() {
    let bench = Bench::new(Options::default(), 400);
    bench.file("all.json", &everything(&bench));
    let run = tap(&bench, &["--catalog", "all.json", "--test"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let requests = bench.sandbox.requests();
    let of_one =
        requests.iter().filter(|r| r.body["dimensions"] == json!(["AdvertiserId", "CampaignId", "Day"])).count();
    assert!((1..=8).contains(&of_one), "{of_one} requests for a stream that has rows immediately");

    let refused = Bench::new(Options { without_permission: vec![Permission::Analytics], ..Options::default() }, 4);
    let schemas = tap(&refused, &["--test=schema"]);
    assert_eq!(schemas.code, Some(0));
    assert!(schemas.messages.iter().all(|message| message["type"] == "SCHEMA") && schemas.messages.len() > 25);
    assert!(refused.sandbox.requests().is_empty(), "schemas need no request");
    let run = tap(&refused, &["--test"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("campaign_statistics_daily: Missing permission"), "{}", run.stderr);
}

/// The logging file that Meltano writes for taps with `structured-logging`.
fn logging(level: &str) -> Value {
    json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "structured", "stream": "ext://sys.stderr"}},
        "root": {"level": level, "handlers": ["default"]},
    })
}

#[test]
fn logs_have_the_format_meltano_parses() {
    let bench = Bench::new(Options { without_permission: vec![Permission::Audiences], ..Options::default() }, 3);
    bench.file("all.json", &everything(&bench));
    for (level, has_info) in [("DEBUG", true), ("INFO", true), ("WARNING", false)] {
        bench.file("logging.json", &logging(level));
        let run = tap_with(&bench, &["--catalog", "all.json"], &[("SINGER_SDK_LOG_CONFIG", "logging.json")]);
        assert_eq!(run.code, Some(1));
        let lines: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            for key in ["level", "pid", "logger_name", "ts", "thread_name", "app_name", "message"] {
                assert!(!line[key].is_null(), "{key} is missing: {line}");
            }
            assert!(line["event"].is_null() && line["extra"].is_null(), "{line}");
        }
        assert_eq!(lines.iter().any(|line| line["level"] == "info"), has_info);
        let metrics: Vec<_> = lines.iter().filter(|line| line["message"] == "METRIC").collect();
        assert_eq!(metrics.is_empty(), level != "DEBUG", "the summary at INFO has the counts");
        let last = lines.last().unwrap();
        assert!(last["level"] == "error" && last["message"].as_str().unwrap().contains("audience"), "{last}");
        assert!(lines.iter().any(|line| line["stream_name"] == "audiences" && line["level"] == "error"));
    }
}

#[test]
fn the_environment_sets_the_level_of_the_log() {
    let bench = Bench::new(Options::default(), 1);
    bench.file("campaigns.json", &catalog_with(&bench, |stream, _| stream == "campaigns"));
    let logged = |environment: &[(&str, &str)]| {
        let run = tap_with(&bench, &["--catalog", "campaigns.json"], environment);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr
    };
    assert!(!logged(&[]).contains("METRIC"));
    assert!(logged(&[("LOGLEVEL", "debug")]).contains("METRIC"));
    assert_eq!(logged(&[("TAP_CRITEO_LOGLEVEL", "ERROR"), ("LOGLEVEL", "DEBUG")]), "");
    // The level is no setting.
    let mut from_environment = bench.program();
    from_environment.args(["--config", "config.json", "--config", "ENV", "--discover"]);
    let output = from_environment.env("TAP_CRITEO_LOGLEVEL", "ERROR").output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

/// The steps of the check run first, so that a broken one is reported once and not by every stream.
#[test]
fn the_test_flag_stops_at_the_first_failed_step() {
    let mut bench = Bench::new(Options::default(), 2);
    let whole = tap(&bench, &["--test"]);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    assert!(whole.stderr.contains("INFO consent: 3 advertisers have granted"), "{}", whole.stderr);
    let before = bench.sandbox.requests().len();
    bench.config["client_secret"] = json!("wrong-secret");
    let refused = tap(&bench, &["--test"]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(refused.stderr.matches("ERROR").count(), 1, "{}", refused.stderr);
    assert!(!refused.stderr.contains("incomplete"), "{}", refused.stderr);
    assert_eq!(bench.sandbox.requests().len(), before + 1, "only the token was requested");
}

#[test]
fn sync_metrics_are_logged_in_the_sdk_format() {
    let bench = Bench::new(Options::default(), 3);
    let run = tap_streams(&bench, &["campaigns"], &["--debug"]);
    let points: Vec<Value> = run
        .stderr
        .lines()
        .filter_map(|line| Some(line.split_once("METRIC: ")?.1))
        .map(|point| serde_json::from_str(point).unwrap())
        .collect();
    let of = |metric: &str| points.iter().find(|point| point["metric"] == metric).unwrap().clone();
    let count = of("record_count");
    assert_eq!(count["type"], "counter");
    assert_eq!(count["tags"], json!({"stream": "campaigns"}));
    assert_eq!(count["value"], run.records("campaigns").len());
    let duration = of("sync_duration");
    assert_eq!(duration["tags"], json!({"status": "succeeded", "stream": "campaigns"}));
    let answer =
        points.iter().find(|point| point["tags"]["endpoint"] == "marketing-solutions/campaigns/search").unwrap();
    assert!(answer["type"] == "timer" && answer["value"].as_f64().unwrap() > 0.0, "{answer}");
    assert_eq!(answer["tags"]["http_status_code"], 200);
}

/// `meltano config test` merges both outputs and shows the last line.
#[test]
fn the_last_line_of_a_failed_run_says_why() {
    let mut bench = Bench::new(Options::default(), 3);
    bench.config["client_secret"] = json!("wrong-secret");
    bench.file("config.json", &bench.config);
    let program = env!("CARGO_BIN_EXE_source-criteo");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("{program} --config config.json 2>&1")]).current_dir(&bench.directory);
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("ERROR ") && last.contains("client_secret"), "{last}");
}

#[test]
fn an_unknown_stream_is_the_last_line() {
    let bench = Bench::new(Options::default(), 2);
    let mut catalog = catalog_with(&bench, |stream, _| stream == "campaigns");
    catalog["streams"].as_array_mut().unwrap().push(json!({"tap_stream_id": "custom_gone", "stream": "custom_gone"}));
    bench.file("catalog.json", &catalog);
    let run = tap(&bench, &["--catalog", "catalog.json"]);
    assert_eq!(run.code, Some(1));
    assert!(!run.records("campaigns").is_empty());
    let last = run.stderr.lines().last().unwrap();
    assert!(last.starts_with("ERROR 1 stream is incomplete. custom_gone: "), "{last}");
}
