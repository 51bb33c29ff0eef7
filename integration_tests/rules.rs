//! The rules for every run: the schema of Airbyte's models, and the platform's checks.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use criteo_sandbox::Logged;
use data_encoding::BASE64;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript, slowness};

static MESSAGE: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("protocol/airbyte_message.schema.json")).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Maximum memory of any run.
const MAX_KIB: u64 = 128 * 1024;
/// Maximum open files, pipes and connections of any run.
const MAX_FILES: usize = 64;
/// Platforms and users expect output within a minute.
const MAX_SILENCE: Duration = Duration::from_mins(1);
/// Maximum failures of one request, including one for a refused token.
const MAX_FAILURES: usize = 7;

/// Checks that no request is retried more than allowed.
pub fn attempts(requests: &[Logged]) {
    let mut failures: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| !matches!(request.status, 200 | 201)) {
        let count = failures.entry((&request.line, request.body.to_string())).or_default();
        *count += 1;
        assert!(*count <= MAX_FAILURES, "{} failed {count} times: {}", request.line, request.body);
    }
}

/// Only complete protocol messages on stdout, no secret, an exit code that matches the errors.
pub fn every_run(bench: &Bench, transcript: &Transcript) {
    let Transcript { stdout, stderr, messages, code, .. } = transcript;
    assert!(stdout.is_empty() || stdout.ends_with('\n'), "the last line is cut: {stdout:?}");
    for message in messages {
        if let Err(error) = MESSAGE.validate(message) {
            panic!("not a message of the protocol: {error}: {message}");
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
    for token in ["sandbox-token-", "rotated-refresh-token-"] {
        let lines = stdout.lines().chain(stderr.lines()).filter(|line| !line.contains(r#""type":"CONTROL""#));
        assert!(lines.filter(|line| line.contains(token)).count() == 0, "a token was printed");
    }
    assert!(!bench.contacted_another_host(), "another host than the API was called");
    assert_eq!(stderr, "", "stderr is for crashes");
    assert!(transcript.peak_kib <= MAX_KIB, "{} KiB of memory", transcript.peak_kib);
    assert!(transcript.most_files <= MAX_FILES, "{} files are open", transcript.most_files);
    let silence = transcript.longest_silence;
    assert!(silence <= MAX_SILENCE.mul_f64(slowness()), "silent for {silence:?}");
    assert_eq!(*code == Some(0), transcript.errors().is_empty(), "exit code {code:?}: {stdout}");
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Checks the order of statuses, the counts in states, and that records match the catalog.
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
            other => panic!("{other} is not a message of a read"),
        }
    }
    for stream in schemas.keys() {
        let statuses = transcript.statuses(stream);
        let has_records = !transcript.records(stream).is_empty();
        let failed = transcript.errors().iter().any(|error| error["stream_descriptor"]["name"] == **stream);
        let end = if failed { "INCOMPLETE" } else { "COMPLETE" };
        match (&statuses[..], has_records) {
            (["STARTED", "RUNNING", last], true) | (["STARTED", last], false) => assert_eq!(*last, end, "{stream}"),
            // Refused before it started.
            ([last], false) => assert_eq!((*last, end), ("INCOMPLETE", "INCOMPLETE"), "{stream}"),
            _ => panic!("{stream}: {statuses:?}"),
        }
        if !failed {
            assert!(!transcript.states(stream).is_empty(), "{stream} has no state");
            assert_eq!(unsaved.get(stream).copied().unwrap_or(0), 0, "{stream}: records after the last state");
        }
    }
    assert_eq!(transcript.code != Some(0), !transcript.errors().is_empty());
}

/// The schema without undeclared properties.
pub fn strict(schema: &Value) -> Validator {
    let mut schema = schema.clone();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            // JSON Schema has no times without a zone; Airbyte does.
            if property["airbyte_type"] == "timestamp_without_timezone" {
                property["format"] = json!("any");
                property["pattern"] = json!("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?$");
            }
        }
        schema["additionalProperties"] = json!(false);
    }
    jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Changes to a good transcript, each of which breaks one rule.
#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::harness::{http, wait_until};
    use criteo_sandbox::Options;

    use super::*;

    /// Name, part of the rule's message, and change.
    type Mutation = (&'static str, &'static str, fn(&mut Transcript));

    /// The first message for which `what` holds.
    fn first(transcript: &mut Transcript, what: fn(&Value) -> bool) -> &mut Value {
        transcript.messages.iter_mut().find(|message| what(message)).unwrap()
    }

    fn position(transcript: &Transcript, what: fn(&Value) -> bool) -> usize {
        transcript.messages.iter().position(what).unwrap()
    }

    fn is_record(message: &Value) -> bool {
        message["type"] == "RECORD"
    }

    fn is_state(message: &Value) -> bool {
        message["type"] == "STATE"
    }

    fn is_status(message: &Value, status: &str) -> bool {
        message["trace"]["stream_status"]["status"] == status
    }

    fn log(text: &str) -> Value {
        json!({"type": "LOG", "log": {"level": "INFO", "message": text}})
    }

    fn error(stream: &str) -> Value {
        json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1,
            "error": {"message": "x", "stream_descriptor": {"name": stream}}}})
    }

    const MUTATIONS: &[Mutation] = &[
        ("a message of an unknown type", "protocol", |t| t.messages[0]["type"] = json!("NOTE")),
        ("a record without a time", "protocol", |t| {
            first(t, is_record)["record"].as_object_mut().unwrap().remove("emitted_at");
        }),
        ("an empty record", "empty", |t| first(t, is_record)["record"]["data"] = json!({})),
        ("a field missing in the schema", "surprise", |t| {
            first(t, is_record)["record"]["data"]["surprise"] = json!(1);
        }),
        ("a number as a string", "clicks", |t| {
            first(t, |m| m["record"]["data"]["clicks"].is_number())["record"]["data"]["clicks"] = json!("1");
        }),
        ("a lost record", "left == right", |t| {
            t.messages.remove(position(t, is_record));
        }),
        ("a duplicate record", "left == right", |t| {
            let at = position(t, is_record);
            t.messages.insert(at, t.messages[at].clone());
        }),
        ("no state", "has no state", |t| t.messages.retain(|m| !is_state(m))),
        ("a count that is not a float", "left == right", |t| {
            first(t, is_state)["state"]["sourceStats"]["recordCount"] = json!(1);
        }),
        ("no last status", "STARTED", |t| t.messages.retain(|m| !is_status(m, "COMPLETE"))),
        ("two last statuses", "COMPLETE", |t| {
            let at = position(t, |m| is_status(m, "COMPLETE"));
            t.messages.insert(at, t.messages[at].clone());
        }),
        ("records before the start", "RUNNING", |t| {
            t.messages.remove(position(t, |m| is_status(m, "RUNNING")));
        }),
        ("an error and exit code 0", "exit code", |t| t.messages.push(error("campaigns"))),
        ("no error and exit code 1", "exit code", |t| t.code = Some(1)),
        ("an error of a complete stream", "INCOMPLETE", |t| {
            t.messages.push(error("campaigns"));
            t.code = Some(1);
        }),
        ("an incomplete stream without an error", "INCOMPLETE", |t| {
            first(t, |m| is_status(m, "COMPLETE"))["trace"]["stream_status"]["status"] = json!("INCOMPLETE");
        }),
        ("a status of an unrequested stream", "not in the catalog", |t| {
            let mut status = t.messages[position(t, |m| is_status(m, "STARTED"))].clone();
            status["trace"]["stream_status"]["stream_descriptor"]["name"] = json!("unknown");
            t.messages.push(status);
        }),
        ("output on stderr", "stderr is for crashes", |t| t.stderr = "note\n".into()),
        ("a secret on stderr", "client_secret in stderr", |t| t.stderr = "a\"b+c/d=e\\f g\n".into()),
        ("a secret", "client_secret in stdout", |t| {
            t.messages.push(json!({"type": "LOG", "log": {"level": "INFO", "message": "a\"b+c/d=e\\f g"}}));
        }),
        ("a percent-encoded secret", "client_secret in stdout", |t| t.messages.push(log("a%22b%2Bc%2Fd%3De%5Cf%20g"))),
        ("a base64-encoded secret", "client_secret in stdout", |t| t.messages.push(log("YSJiK2MvZD1lXGYgZw"))),
        ("a token", "a token was printed", |t| t.messages.push(log("sandbox-token-1-1"))),
        ("a rotated refresh token", "a token was printed", |t| t.messages.push(log("rotated-refresh-token-1"))),
    ];

    /// The message of a violated rule, if any.
    fn objection(bench: &Bench, catalog: &Value, transcript: &Transcript) -> Option<String> {
        let checked = catch_unwind(AssertUnwindSafe(|| {
            every_run(bench, transcript);
            read(transcript, catalog);
        }));
        let words = checked.err()?;
        let text = words.downcast_ref::<String>().cloned();
        Some(text.or_else(|| words.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default())
    }

    #[test]
    fn every_rule_detects_a_violation() {
        // A secret that JSON, percent-encoding and base64 all change.
        let client_secret = "a\"b+c/d=e\\f g".to_owned();
        let bench = Bench::new(Options { client_secret, ..Options::default() }, 3);
        let catalog = bench.catalog(&["campaign_statistics_daily", "campaigns"], "incremental");
        let good = bench.read(&catalog, None);
        assert_eq!(objection(&bench, &catalog, &good), None);
        let mut wrong = Vec::new();
        for (name, words, mutate) in MUTATIONS {
            let mut broken = good.clone();
            mutate(&mut broken);
            broken.stdout =
                broken.messages.iter().fold(String::new(), |text, message| text + &message.to_string() + "\n");
            let objection = objection(&bench, &catalog, &broken).unwrap_or_else(|| "not detected".to_owned());
            if !objection.contains(words) {
                wrong.push(format!("{name}: {}", objection.chars().take(200).collect::<String>()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let mut cut = good.clone();
        cut.stdout.pop();
        assert!(objection(&bench, &catalog, &cut).is_some_and(|words| words.contains("the last line is cut")));
        for (greedy, words) in [
            (Transcript { peak_kib: MAX_KIB + 1, ..good.clone() }, "KiB of memory"),
            (Transcript { most_files: MAX_FILES + 1, ..good.clone() }, "files are open"),
            (Transcript { longest_silence: MAX_SILENCE * 10_000, ..good.clone() }, "silent for"),
        ] {
            assert!(objection(&bench, &catalog, &greedy).is_some_and(|objection| objection.contains(words)), "{words}");
        }
        println!("{} mutations, each detected by its rule", MUTATIONS.len() + 4);
    }

    #[test]
    fn endless_retries_are_detected() {
        let bench = Bench::new(Options::default(), 1);
        for action in [json!({"status": 503, "body": ""}), json!({"delivery": {"reset": true}})] {
            bench.sandbox.add_fault(json!({"times": null, "do": action})).unwrap();
            let before = bench.sandbox.requests().len();
            let url = format!("{}/2026-07/advertisers/me", bench.sandbox.url());
            for _ in 0..=MAX_FAILURES {
                catch_unwind(AssertUnwindSafe(|| http("GET", &url, None, None))).ok();
            }
            let failed = catch_unwind(AssertUnwindSafe(|| attempts(&bench.sandbox.requests()[before..])));
            assert!(failed.is_err(), "not detected");
        }
    }

    #[test]
    fn a_request_to_another_host_is_detected() {
        let mut bench = Bench::new(Options::default(), 3);
        bench.forget_sandbox();
        bench.config["api_base_url"] = json!("https://api.criteo.example");
        bench.file("config.json", &bench.config);
        let mut child = bench.program().args(["check", "--config", "config.json"]).spawn().unwrap();
        wait_until(|| {
            let is_trapped = bench.contacted_another_host();
            assert!(is_trapped || child.try_wait().unwrap().is_none(), "the program exited without a request");
            is_trapped
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
