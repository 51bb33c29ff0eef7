//! The rules that hold for every run, judged by the schema of Airbyte's own models and by what the platform checks.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::BASE64;
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
        let escaped = json!(secret).to_string();
        let spellings = [
            secret.to_owned(),
            secret.bytes().map(escape).collect(),
            escaped.trim_matches('"').to_owned(),
            BASE64.encode(secret.as_bytes()).trim_end_matches('=').to_owned(),
            secret.chars().take(12).collect(),
        ];
        for (place, text) in [("stdout", stdout), ("stderr", stderr)] {
            let lines = text.lines().filter(|line| !line.contains(r#""type":"CONTROL""#));
            for line in lines {
                assert!(!spellings.iter().any(|spelling| line.contains(spelling)), "{key} in {place}: {line}");
            }
        }
    }
    assert!(!stdout.contains("sandbox-token-") && !stderr.contains("sandbox-token-"), "a token was printed");
    assert!(!bench.was_trapped(), "somebody but the API was called");
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

/// Mutations of a good transcript, each of which breaks one rule: a rule that cannot fail is none.
#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use criteo_sandbox::Options;

    use super::*;

    type Mutation = (&'static str, fn(&mut Vec<Value>));

    fn position(messages: &[Value], what: fn(&Value) -> bool) -> usize {
        messages.iter().position(what).unwrap()
    }

    const MUTATIONS: &[Mutation] = &[
        ("a message of an unknown type", |m| m[0]["type"] = json!("NOTE")),
        ("a record without a time", |m| {
            let at = position(m, |m| m["type"] == "RECORD");
            m[at]["record"].as_object_mut().unwrap().remove("emitted_at");
        }),
        ("an empty record", |m| {
            let at = position(m, |m| m["type"] == "RECORD");
            m[at]["record"]["data"] = json!({});
        }),
        ("a field that the schema does not have", |m| {
            let at = position(m, |m| m["type"] == "RECORD");
            m[at]["record"]["data"]["surprise"] = json!(1);
        }),
        ("a number that is a text", |m| {
            let at = position(m, |m| m["record"]["data"]["clicks"].is_number());
            m[at]["record"]["data"]["clicks"] = json!("1");
        }),
        ("a lost record", |m| {
            let at = position(m, |m| m["type"] == "RECORD");
            m.remove(at);
        }),
        ("a doubled record", |m| {
            let at = position(m, |m| m["type"] == "RECORD");
            m.insert(at, m[at].clone());
        }),
        ("no state", |m| m.retain(|m| m["type"] != "STATE")),
        ("a count that is no float", |m| {
            let at = position(m, |m| m["type"] == "STATE");
            m[at]["state"]["sourceStats"]["recordCount"] = json!(1);
        }),
        ("no last status", |m| m.retain(|m| m["trace"]["stream_status"]["status"] != "COMPLETE")),
        ("two last statuses", |m| {
            let at = position(m, |m| m["trace"]["stream_status"]["status"] == "COMPLETE");
            m.insert(at, m[at].clone());
        }),
        ("records before the start", |m| {
            let at = position(m, |m| m["trace"]["stream_status"]["status"] == "RUNNING");
            m.remove(at);
        }),
        ("an error and exit code 0", |m| {
            let error = crate::lint::tests::error();
            m.push(error);
        }),
        ("a status of a stream that nobody asked for", |m| {
            let mut status = m[position(m, |m| m["trace"]["stream_status"].is_object())].clone();
            status["trace"]["stream_status"]["stream_descriptor"]["name"] = json!("unknown");
            m.push(status);
        }),
        ("a secret", |m| m[0]["record"] = json!({"stream": "sandbox+secret/with=signs", "data": {}, "emitted_at": 1})),
        ("an encoded secret", |m| m[0]["namespace"] = json!("c2FuZGJveCtzZWNyZXQvd2l0aD1zaWducw")),
        ("the beginning of a secret", |m| m[0]["namespace"] = json!("sandbox+secr")),
    ];

    fn error() -> Value {
        json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": {"message": "x"}}})
    }

    fn is_clean(bench: &Bench, catalog: &Value, messages: &[Value]) -> bool {
        let stdout = messages.iter().fold(String::new(), |text, message| text + &message.to_string() + "\n");
        let transcript = Transcript { stdout, stderr: String::new(), messages: messages.to_vec(), code: Some(0) };
        catch_unwind(AssertUnwindSafe(|| {
            every_run(bench, &transcript);
            read(&transcript, catalog);
        }))
        .is_ok()
    }

    #[test]
    fn every_rule_can_be_broken() {
        let bench = Bench::new(Options::default(), 3);
        let catalog = bench.catalog(&["campaign_statistics_daily", "campaigns"], "incremental");
        let good = bench.read(&catalog, None).messages;
        assert!(is_clean(&bench, &catalog, &good));
        for (name, mutate) in MUTATIONS {
            let mut messages = good.clone();
            mutate(&mut messages);
            assert!(!is_clean(&bench, &catalog, &messages), "nobody noticed: {name}");
        }
        println!("{} mutations, each noticed", MUTATIONS.len());
    }

    #[test]
    fn a_call_to_a_foreign_host_is_noticed() {
        let mut bench = Bench::new(Options::default(), 3);
        bench.config["api_base_url"] = json!("https://api.criteo.example");
        bench.config.as_object_mut().unwrap().retain(|key, _| key != "now" && key != "report_row_cap");
        bench.file("config.json", &bench.config);
        let mut child = bench.program().args(["check", "--config", "config.json"]).spawn().unwrap();
        while !bench.was_trapped() {
            assert!(child.try_wait().unwrap().is_none(), "the program ended without a call");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
