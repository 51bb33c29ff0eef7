//! Called as Singer taps are called: the same streams, records and states in other words.

use std::collections::{BTreeMap, HashMap};

use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use crate::harness::Bench;
use crate::lint;
use crate::streams::truth_of;
use crate::truth::by_key;

/// What a tap printed.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    messages: Vec<Value>,
}

impl Run {
    fn records(&self, stream: &str) -> Vec<&Map<String, Value>> {
        let records = self.messages.iter().filter(|message| message["type"] == "RECORD" && message["stream"] == stream);
        records.map(|message| message["record"].as_object().unwrap()).collect()
    }

    fn last_state(&self) -> &Value {
        let last = self.messages.last().unwrap();
        assert_eq!(last["type"], "STATE", "targets lose a state that is not the last message");
        &last["value"]
    }
}

/// Runs the tap with `--config` and these arguments, and checks what every target wants.
fn tap(bench: &Bench, arguments: &[&str]) -> Run {
    bench.file("config.json", &bench.config);
    let output = bench.program().args(["--config", "config.json"]).args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let secret = bench.config["client_secret"].as_str().unwrap();
    assert!(!stdout.contains(secret) && !stderr.contains(secret));
    assert!(!bench.was_trapped());
    let is_sync = !arguments.contains(&"--discover");
    let lines = stdout.lines().filter(|_| is_sync);
    let messages: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut schemas: HashMap<String, jsonschema::Validator> = HashMap::new();
    for message in &messages {
        let stream = message["stream"].as_str().unwrap_or_default();
        match message["type"].as_str().unwrap() {
            "SCHEMA" => {
                assert!(message["key_properties"].as_array().is_some_and(|keys| !keys.is_empty()), "{message}");
                let validator = lint::strict(&message["schema"]);
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
            other => panic!("{other} kills every target"),
        }
    }
    Run { code: output.status.code(), stdout, stderr, messages }
}

#[test]
fn both_protocols_have_the_same_records_and_states() {
    let bench = Bench::new(Options::default(), 20);
    let discovered = bench.discover();
    let names: Vec<_> = discovered.keys().map(String::as_str).collect();
    let airbyte = bench.read(&bench.catalog(&names, "incremental"), None);
    let singer = tap(&bench, &[]);
    assert_eq!(singer.code, Some(0), "{}", singer.stderr);
    for name in names {
        let stream = &discovered[name];
        let records = by_key(singer.records(name), stream);
        assert_eq!(records, by_key(airbyte.records(name), stream), "{name}");
        assert_eq!(records, by_key(&truth_of(&bench, name, stream), stream), "{name}");
        assert_eq!(singer.records(name).len(), records.len(), "{name}");
        let schema = singer.messages.iter().find(|m| m["type"] == "SCHEMA" && m["stream"] == name).unwrap();
        assert_eq!(schema["schema"], stream["json_schema"], "{name}");
        let state = &airbyte.states(name).last().unwrap().1["stream"]["stream_state"];
        let bookmark = &singer.last_state()["bookmarks"][name];
        if state["version"].is_null() {
            assert!(bookmark.is_null(), "{name} has nothing to go on from");
        } else {
            assert_eq!(bookmark["replication_key"], stream["default_cursor_field"][0]);
            for (key, value) in state.as_object().unwrap() {
                assert_eq!(bookmark[key], *value, "{name}");
            }
        }
    }
}

#[test]
fn discovery_is_a_catalog_that_can_be_read_back_with_a_selection() {
    let bench = Bench::new(Options::default(), 5);
    // Meltano hands the state over on discovery, too.
    bench.file("state.json", &json!({"bookmarks": {}}));
    let discovery = tap(&bench, &["--state", "state.json", "--discover"]);
    assert_eq!((discovery.code, discovery.stderr.as_str()), (Some(0), ""));
    assert!(discovery.stdout.lines().all(|line| line.len() < 4096), "Meltano hangs on long lines");
    let mut catalog: Value = serde_json::from_str(&discovery.stdout).unwrap();
    let airbyte = bench.discover();
    assert_eq!(catalog["streams"].as_array().unwrap().len(), airbyte.len());
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let name = stream["tap_stream_id"].as_str().unwrap().to_owned();
        let properties = stream["schema"]["properties"].as_object().unwrap().len();
        assert_eq!(stream["metadata"].as_array().unwrap().len(), properties + 1, "{name}: a property without metadata");
        let is_wanted = ["campaigns", "campaign_statistics_daily"].contains(&name.as_str());
        for item in stream["metadata"].as_array_mut().unwrap() {
            let is_root = item["breadcrumb"].as_array().unwrap().is_empty();
            let is_column = item["breadcrumb"][1] == "clicks" || item["breadcrumb"][1] == "name";
            item["metadata"]["selected"] = json!(if is_root { is_wanted } else { is_column });
        }
    }
    bench.file("catalog.json", &catalog);
    for flag in ["--catalog", "--properties"] {
        let run = tap(&bench, &[flag, "catalog.json"]);
        let schemas: Vec<_> =
            run.messages.iter().filter(|m| m["type"] == "SCHEMA").map(|m| m["stream"].clone()).collect();
        assert_eq!(schemas.len(), 2, "{schemas:?}");
        for record in run.records("campaign_statistics_daily") {
            let columns: Vec<_> = record.keys().map(String::as_str).collect();
            assert_eq!(columns, ["advertiser_id", "campaign_id", "day", "clicks", "currency"]);
        }
        assert!(run.records("campaigns").iter().all(|record| record.keys().eq(["id", "name"])));
    }
}

#[test]
fn a_second_run_goes_on_and_carries_the_bookmarks_of_others_along() {
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
fn what_fails_is_said_last_on_stderr_and_the_others_are_read() {
    let bench = Bench::new(
        Options { without_permission: vec![criteo_sandbox::Permission::Audiences], ..Options::default() },
        3,
    );
    let run = tap(&bench, &[]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("ERROR audiences: This stream needs the permission \"Audiences: Read\""),
        "{}",
        run.stderr
    );
    assert!(run.stderr.trim_end().lines().last().unwrap().starts_with("ERROR "), "{}", run.stderr);
    assert!(!run.records("campaigns").is_empty());
    assert!(run.last_state()["bookmarks"]["campaign_statistics_daily"].is_object());
    for (state, word) in [("[]", "state"), ("{\"bookmarks\":7}", "state")] {
        std::fs::write(bench.directory.join("state.json"), state).unwrap();
        let refused = tap(&bench, &["--state", "state.json"]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(word) && refused.messages.is_empty(), "{}", refused.stderr);
    }
}

#[test]
fn settings_come_from_several_files_and_from_the_environment() {
    let bench = Bench::new(Options::default(), 3);
    bench.file("config.json", &bench.config);
    bench.file("more.json", &json!({"advertiser_ids": [1002], "unknown_setting": true}));
    let mut program = bench.program();
    program.args(["--config", "config.json", "--config", "more.json", "--config", "ENV"]);
    program.env("TAP_CRITEO_CURRENCY", "USD").env("TAP_CRITEO_VERIFY_TOTALS", "false");
    let output = program.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let rows = stdout.lines().filter(|line| line.contains(r#""stream":"campaign_statistics_daily","record""#));
    let rows: Vec<Value> = rows.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["record"]["currency"] == "USD" && row["record"]["advertiser_id"] == "1002"));
    assert!(bench.auxiliary_requests().is_empty(), "totals were not asked for");
}
