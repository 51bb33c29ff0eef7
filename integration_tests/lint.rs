//! The rules that hold for every run, judged by the schema of Airbyte's own models and by what the platform checks.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};

static MESSAGE: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("protocol/airbyte_message.schema.json")).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Only protocol messages on stdout, whole lines, no secret anywhere, an exit code that agrees with the errors.
pub fn every_run(bench: &Bench, transcript: &Transcript) {
    let Transcript { stdout, stderr, messages, code } = transcript;
    assert!(stdout.is_empty() || stdout.ends_with('\n'), "the last line is cut: {stdout:?}");
    for message in messages {
        if let Err(error) = MESSAGE.validate(message) {
            panic!("{error}: {message}");
        }
    }
    for key in ["client_secret", "refresh_token"] {
        let Some(secret) = bench.config[key].as_str() else { continue };
        let encoded: String = secret.bytes().map(escape).collect();
        for (place, text) in [("stdout", stdout), ("stderr", stderr)] {
            let lines = text.lines().filter(|line| !line.contains(r#""type":"CONTROL""#));
            for line in lines {
                assert!(!line.contains(secret) && !line.contains(&encoded), "{key} in {place}: {line}");
            }
        }
    }
    assert!(!stdout.contains("sandbox-token-") && !stderr.contains("sandbox-token-"), "a token was printed");
    assert_eq!(stderr, "", "stderr is for crashes");
    assert_eq!(*code == Some(0), transcript.errors().is_empty(), "exit code {code:?}: {stdout}");
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The order of statuses, the counts in states, and records that are exactly what the catalog announced.
pub fn read(transcript: &Transcript, catalog: &Value) {
    let mut unsaved: BTreeMap<&str, u64> = BTreeMap::new();
    let mut status: BTreeMap<&str, &str> = BTreeMap::new();
    let schemas: BTreeMap<&str, Validator> = catalog["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["stream"]["name"].as_str().unwrap(), strict(&entry["stream"]["json_schema"])))
        .collect();
    for message in &transcript.messages {
        match message["type"].as_str().unwrap() {
            "RECORD" => {
                let stream = message["record"]["stream"].as_str().unwrap();
                let data = &message["record"]["data"];
                assert!(!data.as_object().unwrap().is_empty(), "the platform drops empty records");
                if let Err(error) = schemas[stream].validate(data) {
                    panic!("{stream}: {error} at {}: {data}", error.instance_path());
                }
                assert_eq!(status.get(stream), Some(&"RUNNING"), "{stream}");
                *unsaved.entry(stream).or_default() += 1;
            }
            "STATE" => {
                let name = &message["state"]["stream"]["stream_descriptor"]["name"];
                let count = unsaved.insert(name.as_str().unwrap(), 0).unwrap_or(0);
                let said = &message["state"]["sourceStats"]["recordCount"];
                assert_eq!(said.to_string(), format!("{count}.0"));
            }
            "TRACE" => {
                if let Some(name) = message["trace"]["stream_status"]["stream_descriptor"]["name"].as_str() {
                    assert!(schemas.contains_key(name), "{name} is not in the catalog");
                    status.insert(name, message["trace"]["stream_status"]["status"].as_str().unwrap());
                }
            }
            "LOG" | "CONTROL" => {}
            other => panic!("{other} is no message of a read"),
        }
    }
    for stream in schemas.keys() {
        let statuses = transcript.statuses(stream);
        let has_records = !transcript.records(stream).is_empty();
        let failed = transcript.errors().iter().any(|error| error["stream_descriptor"]["name"] == **stream);
        let end = if failed { "INCOMPLETE" } else { "COMPLETE" };
        match (&statuses[..], has_records) {
            (["STARTED", "RUNNING", last], true) | (["STARTED", last], false) => assert_eq!(*last, end, "{stream}"),
            // Refused before it began.
            ([last], false) => assert_eq!((*last, end), ("INCOMPLETE", "INCOMPLETE"), "{stream}"),
            _ => panic!("{stream}: {statuses:?}"),
        }
        if !failed {
            assert!(!transcript.states(stream).is_empty(), "{stream} has no state");
            assert_eq!(unsaved.get(stream).copied().unwrap_or(0), 0, "{stream}: records behind the last state");
        }
    }
    assert_eq!(transcript.code != Some(0), !transcript.errors().is_empty());
}

/// The schema without room for anything it does not announce.
fn strict(schema: &Value) -> Validator {
    let mut schema = schema.clone();
    if schema["properties"].is_object() {
        schema["additionalProperties"] = json!(false);
    }
    jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap()
}
