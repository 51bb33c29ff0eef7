//! The program as a Singer tap has the same streams, records and states.

mod batches;
mod catalog;
mod messages;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use criteo_sandbox::{Options, Permission};
use serde_json::{Map, Value, json};

use crate::harness::Bench;
use crate::rules;
use crate::streams::truth_of;
use crate::truth::by_key;

/// Output of a tap.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub messages: Vec<Value>,
}

impl Run {
    pub fn records(&self, stream: &str) -> Vec<&Map<String, Value>> {
        let records = self.messages.iter().filter(|message| message["type"] == "RECORD" && message["stream"] == stream);
        records.map(|message| message["record"].as_object().unwrap()).collect()
    }

    pub fn last_state(&self) -> &Value {
        let last = self.messages.last().unwrap();
        assert_eq!(last["type"], "STATE", "targets lose a state that is not the last message");
        &last["value"]
    }
}

/// Runs the tap with `--config` and arguments, and checks what every target requires.
fn tap(bench: &Bench, arguments: &[&str]) -> Run {
    tap_with(bench, arguments, &[])
}

/// Like [`tap`], with environment variables.
fn tap_with(bench: &Bench, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    program.args(["--config", "config.json"]).args(arguments).envs(environment.iter().copied());
    let output = program.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let secret = bench.config["client_secret"].as_str().unwrap();
    assert!(!stdout.contains(secret) && !stderr.contains(secret));
    assert!(!bench.contacted_another_host());
    let is_sync = !arguments.contains(&"--discover");
    let lines = stdout.lines().filter(|_| is_sync);
    let messages: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut schemas: HashMap<String, jsonschema::Validator> = HashMap::new();
    for message in &messages {
        let stream = message["stream"].as_str().unwrap_or_default();
        match message["type"].as_str().unwrap() {
            "SCHEMA" => {
                assert!(message["key_properties"].as_array().is_some_and(|keys| !keys.is_empty()), "{message}");
                let validator = rules::strict(&message["schema"]);
                assert!(schemas.insert(stream.to_owned(), validator).is_none(), "{stream} has two schemas");
            }
            "RECORD" => {
                if let Err(error) = schemas[stream].validate(&message["record"]) {
                    panic!("{stream}: {error}: {message}");
                }
                let time = message["time_extracted"].as_str().unwrap();
                assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
            }
            "STATE" => assert!(message["value"]["bookmarks"].is_object(), "{message}"),
            "ACTIVATE_VERSION" if bench.config["emit_activate_version_messages"] == true => {}
            "BATCH" if bench.config["batch_config"].is_object() => {}
            other => panic!("{other} kills every target"),
        }
    }
    Run { code: output.status.code(), stdout, stderr, messages }
}

/// The catalog of `--discover` with everything selected, as Meltano does by default.
fn everything(bench: &Bench) -> Value {
    catalog_with(bench, |_, _| true)
}

/// The catalog of `--discover`; `is_wanted` decides for each stream (without a column) and column.
pub fn catalog_with(bench: &Bench, is_wanted: impl Fn(&str, Option<&str>) -> bool) -> Value {
    let mut catalog: Value = serde_json::from_str(&tap(bench, &["--discover"]).stdout).unwrap();
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let name = stream["tap_stream_id"].as_str().unwrap().to_owned();
        for item in stream["metadata"].as_array_mut().unwrap() {
            let column = item["breadcrumb"][1].as_str().map(str::to_owned);
            item["metadata"]["selected"] = json!(is_wanted(&name, column.as_deref()));
        }
    }
    catalog
}

/// Runs the tap with entire streams.
pub fn tap_streams(bench: &Bench, names: &[&str], arguments: &[&str]) -> Run {
    bench.file("catalog.json", &catalog_with(bench, |name, _| names.contains(&name)));
    tap(bench, &[&["--catalog", "catalog.json"], arguments].concat())
}

/// Singer's `date-time` has a zone (RFC 3339), and `airbyte_type` is specific to Airbyte.
fn in_singers_words(schema: &Value) -> Value {
    let mut schema = schema.clone();
    for property in schema["properties"].as_object_mut().unwrap().values_mut() {
        let kind = property.as_object_mut().unwrap().shift_remove("airbyte_type");
        if kind == Some(json!("timestamp_without_timezone")) {
            property.as_object_mut().unwrap().shift_remove("format");
        }
    }
    schema
}

#[test]
fn both_protocols_have_the_same_records_and_states() {
    let bench = Bench::new(Options::default(), 20);
    let discovered = bench.discover();
    let names: Vec<_> = discovered.keys().map(String::as_str).collect();
    let airbyte = bench.read(&bench.catalog(&names, "incremental"), None);
    bench.file("all.json", &everything(&bench));
    let singer = tap(&bench, &["--catalog", "all.json"]);
    assert_eq!(singer.code, Some(0), "{}", singer.stderr);
    for name in names {
        let stream = &discovered[name];
        let records = by_key(singer.records(name), stream);
        assert_eq!(records, by_key(airbyte.records(name), stream), "{name}");
        assert_eq!(records, by_key(&truth_of(&bench, name, stream), stream), "{name}");
        assert_eq!(singer.records(name).len(), records.len(), "{name}");
        let schema = singer.messages.iter().find(|m| m["type"] == "SCHEMA" && m["stream"] == name).unwrap();
        assert_eq!(schema["schema"], in_singers_words(&stream["json_schema"]), "{name}");
        let state = &airbyte.states(name).last().unwrap().1["stream"]["stream_state"];
        let bookmark = &singer.last_state()["bookmarks"][name];
        if state["version"].is_null() {
            assert_eq!(*bookmark, json!({"version": 1, "after": null}), "{name} has nothing to resume");
        } else {
            assert_eq!(bookmark["replication_key"], stream["default_cursor_field"][0]);
            for (key, value) in state.as_object().unwrap() {
                assert_eq!(bookmark[key], *value, "{name}");
            }
        }
    }
}

#[test]
fn a_second_run_resumes_and_keeps_foreign_bookmarks() {
    let mut bench = Bench::new(Options::default(), 60);
    bench.config["lookback_days"] = json!(5);
    let first = tap(&bench, &[]);
    let mut state = first.last_state().clone();
    state["bookmarks"]["somebody_elses"] = json!({"replication_key_value": "2026-01-01"});
    state["note"] = json!("kept");
    bench.file("state.json", &state);
    let second = tap(&bench, &["--state", "state.json"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let last = second.last_state();
    assert_eq!(
        (&last["note"], &last["bookmarks"]["somebody_elses"]),
        (&state["note"], &state["bookmarks"]["somebody_elses"])
    );
    let days: BTreeMap<_, usize> =
        second.records("campaign_statistics_daily").iter().fold(BTreeMap::new(), |mut days, record| {
            *days.entry(record["day"].to_string()).or_default() += 1;
            days
        });
    assert_eq!(days.len(), 6, "the lookback and today: {days:?}");
}

#[test]
fn settings_come_from_files_and_the_environment() {
    let bench = Bench::new(Options::default(), 3);
    bench.file("config.json", &bench.config);
    bench.file("more.json", &json!({"advertiser_ids": [1002], "unknown_setting": true}));
    let mut program = bench.program();
    program.args(["--config", "config.json", "--config", "more.json", "--config", "ENV"]);
    program.env("TAP_CRITEO_CURRENCY", "USD").env("TAP_CRITEO_VERIFY_TOTALS", "false");
    program.env("TAP_CRITEO_EMIT_ACTIVATE_VERSION_MESSAGES", "True").env("TAP_CRITEO_BATCH_CONFIG", "");
    program.env("SOMETHING_ELSE", std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    let output = program.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("ACTIVATE_VERSION"), "a Python boolean");
    let rows = stdout.lines().filter(|line| line.contains(r#""stream":"campaign_statistics_daily","record""#));
    let rows: Vec<Value> = rows.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["record"]["currency"] == "USD" && row["record"]["advertiser_id"] == "1002"));
    assert!(bench.auxiliary_requests().is_empty(), "no totals were requested");
}

#[test]
fn a_tap_without_a_catalog_needs_the_fewest_permissions() {
    let without_permission = vec![Permission::Audiences, Permission::Recommendations];
    let bench = Bench::new(Options { without_permission, ..Options::default() }, 3);
    let run = tap(&bench, &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for name in ["advertisers", "ad_sets", "ads", "campaign_statistics_daily", "transactions"] {
        assert!(!run.records(name).is_empty(), "{name}");
    }
    assert!(!run.messages.iter().any(|message| message["stream"] == "audiences"));
}

#[test]
fn an_interrupted_sync_of_objects_resumes() {
    let mut bench = Bench::new(Options { campaigns: 10, ad_sets: 10, ..Options::default() }, 1);
    let name = "ad_set_display_multipliers";
    let whole = tap_streams(&bench, &[name], &[]);
    let states: Vec<_> = whole.messages.iter().enumerate().filter(|(_, message)| message["type"] == "STATE").collect();
    assert!(states.len() > 3, "{} states", states.len());
    let calls = || bench.sandbox.requests().iter().filter(|r| r.line.contains("/display-multipliers")).count();
    let stream = bench.discover()[name].clone();
    let (at, middle) = states[states.len() / 2];
    bench.file("state.json", &middle["value"]);
    let before = calls();
    let resumed = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
    assert!(calls() - before < 300, "{} calls", calls() - before);
    let kept = whole.messages[..at].iter().filter_map(|message| message["record"].as_object());
    let records = by_key(kept.chain(resumed.records(name)), &stream);
    assert_eq!(records, by_key(whole.records(name), &stream));
    let end = &resumed.last_state()["bookmarks"][name];
    assert_eq!(*end, json!({"version": 1, "after": null}), "a complete read starts from scratch next time");
    // Not for other advertisers, and not a day later.
    let mut later = bench.config.clone();
    later["now"] = json!(format!("{}T12:00:00Z", bench.today() + chrono::Days::new(1)));
    let mut fewer = bench.config.clone();
    fewer["advertiser_ids"] = json!(["1001", "1002"]);
    for config in [later, fewer] {
        bench.config = config;
        let anew = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
        assert!(!anew.stderr.contains("were read before the interruption"), "{}", anew.stderr);
    }
}

#[test]
fn settings_of_older_taps_are_accepted_with_a_notice() {
    let mut bench = Bench::new(Options::default(), 3);
    bench.config["advertiser_ids"] = json!("1001,1002");
    bench.config["reports"] = json!([
        {"name": "By-Device", "dimensions": ["AdvertiserId", "Device", "Day"], "metrics": ["Clicks"], "currency": "USD"},
    ]);
    let run = tap_streams(&bench, &["custom_by_device"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let records = run.records("custom_by_device");
    assert!(!records.is_empty());
    assert!(records.iter().all(|record| record["currency"] == "USD" && record["advertiser_id"] != "1003"));
    assert!(run.stderr.contains("WARNING reports: read as custom_reports"), "{}", run.stderr);
}

/// In the Singer SDK's layout: it must not count as a first sync.
#[test]
fn another_taps_bookmark_for_our_stream_is_rejected() {
    let bench = Bench::new(Options::default(), 3);
    let bookmark = json!({"replication_key": "day", "replication_key_value": "2026-10-29"});
    bench.file("state.json", &json!({"bookmarks": {"campaign_statistics_daily": bookmark, "theirs": bookmark}}));
    let run = tap(&bench, &["--state", "state.json"]);
    assert_eq!(run.code, Some(1));
    assert!(run.records("campaign_statistics_daily").is_empty() && !run.records("campaigns").is_empty());
    assert!(run.stderr.contains("ERROR campaign_statistics_daily: The saved state"), "{}", run.stderr);
    assert_eq!(run.last_state()["bookmarks"]["theirs"], bookmark);
    assert_eq!(run.last_state()["bookmarks"]["campaign_statistics_daily"], bookmark);
}
