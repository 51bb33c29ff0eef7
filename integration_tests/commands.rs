//! The commands and their command line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::samples::repository;

#[test]
fn spec_needs_no_configuration_and_follows_airbytes_form_rules() {
    let bench = Bench::new(Options::default(), 1);
    let transcript = bench.run(&["spec"]);
    let [message] = &transcript.messages[..] else { panic!("expected one message") };
    let specification = &message["spec"]["connectionSpecification"];
    let groups: Vec<_> = specification["groups"].as_array().unwrap().iter().map(|group| &group["id"]).collect();
    assert_properties(&specification["properties"], Some(&groups));
    assert_properties(&specification["properties"]["custom_reports"]["items"]["properties"], None);
    jsonschema::draft7::meta::validate(specification).unwrap();
    let file: Value = serde_json::from_str(&repository("integration_tests/spec.json")).unwrap();
    assert!(message["spec"] == file, "integration_tests/spec.json is stale: scripts/harness --update writes it");
}

/// Checks Airbyte's rules for a specification, and that every field has a description.
fn assert_properties(properties: &Value, groups: Option<&[&Value]>) {
    let mut orders = Vec::new();
    for (name, property) in properties.as_object().unwrap() {
        assert!(property["title"].is_string(), "{name}");
        assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        assert!(property["type"].is_string(), "{name}");
        let is_secret = ["client_secret", "refresh_token"].contains(&name.as_str());
        assert_eq!(property["airbyte_secret"] == true, is_secret, "{name}");
        assert_eq!(property["pattern"].is_string(), property["pattern_descriptor"].is_string(), "{name}");
        assert!(groups.is_none_or(|groups| groups.contains(&&property["group"])), "{name}");
        orders.push(property["order"].as_u64().unwrap());
    }
    orders.sort_unstable();
    assert!(orders.windows(2).all(|pair| pair[0] < pair[1]), "{orders:?}");
}

#[test]
fn check_succeeds_and_says_what_a_sync_reads() {
    let mut bench = Bench::new(Options::default(), 1);
    bench.config["advertiser_ids"] = json!([1003]);
    let transcript = bench.check();
    assert_eq!(transcript.code, Some(0));
    let [message] = &transcript.of_type("CONNECTION_STATUS")[..] else { panic!("expected one status") };
    let status = &message["connectionStatus"];
    assert_eq!(status["status"], "SUCCEEDED");
    let text = status["message"].as_str().unwrap();
    assert!(text.starts_with("The credentials work.") && text.contains("1 of 3 advertisers will be read."), "{text}");
}

#[test]
fn discover_lists_every_stream_with_key_and_cursor() {
    let mut bench = Bench::new(Options::default(), 1);
    bench.config["custom_reports"] = json!([{"name": "devices", "dimensions": ["Device"], "metrics": ["Clicks"]}]);
    let mut text = String::new();
    for (name, stream) in bench.discover() {
        assert!(stream["json_schema"]["properties"].as_object().unwrap().len() > 1);
        jsonschema::draft7::meta::validate(&stream["json_schema"]).unwrap();
        let key = &stream["source_defined_primary_key"];
        writeln!(text, "{name} key {key} cursor {}", stream["default_cursor_field"]).unwrap();
    }
    insta::assert_snapshot!(text);
    assert!(bench.sandbox.requests().is_empty(), "discover needs no network");
}

#[test]
fn flags_accept_both_value_forms_and_stdin_accepts_the_configuration() {
    let bench = Bench::new(Options::default(), 1);
    bench.file("catalog.json", &bench.catalog(&["campaigns"], "full_refresh"));
    for arguments in [
        &["read", "--config", "-", "--catalog", "catalog.json"][..],
        &["--debug", "read", "--catalog=catalog.json", "--config=-"],
        &["read", "--config=-", "--catalog", "catalog.json", "--debug"],
    ] {
        let mut program = bench.program();
        program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdin.take().unwrap().write_all(bench.config.to_string().as_bytes()).unwrap();
        let transcript = Transcript::of(child.wait_with_output().unwrap());
        assert_eq!((transcript.code, transcript.records("campaigns").len()), (Some(0), 6), "{arguments:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout_and_errors_to_stderr() {
    let bench = Bench::new(Options::default(), 1);
    for (arguments, code, word) in [
        (&["--help"][..], 0, "discover"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["read", "--help"], 0, "--catalog"),
        (&["reed"], 2, "read"),
        (&["read", "--config", "x"], 2, "--catalog"),
        (&["check", "--client-secret", "x"], 2, "--client-secret"),
    ] {
        let output = bench.program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let text = if code == 0 { &output.stdout } else { &output.stderr };
        assert!(String::from_utf8_lossy(text).contains(word), "{arguments:?}");
        assert!(code == 0 || output.stdout.is_empty());
    }
}

#[test]
fn the_demo_runs_every_command_without_configuration() {
    let bench = Bench::new(Options::default(), 1);
    assert_eq!(bench.run(&["demo", "spec"]).of_type("SPEC").len(), 1);
    let checked = bench.run(&["demo", "check"]);
    assert_eq!(checked.of_type("CONNECTION_STATUS")[0]["connectionStatus"]["status"], "SUCCEEDED");
    let discovered = bench.run(&["demo", "discover"]);
    let streams = discovered.of_type("CATALOG")[0]["catalog"]["streams"].as_array().unwrap().clone();
    let read = bench.run(&["demo", "read"]);
    assert_eq!(read.code, Some(0));
    for stream in &streams {
        let name = stream["name"].as_str().unwrap();
        assert_eq!(read.statuses(name), ["STARTED", "RUNNING", "COMPLETE"], "{name}");
    }
    bench.file("state.json", &read.final_state());
    let again = bench.run(&["demo", "read", "--state", "state.json"]);
    let cursors = |transcript: &crate::harness::Transcript| {
        // Without the density, an average over the days that a run reads.
        let states = transcript.final_state();
        let states = states.as_array().unwrap().iter().map(|state| &state["stream"]);
        states
            .map(|of| {
                (
                    of["stream_descriptor"].clone(),
                    of["stream_state"]["groups"].clone(),
                    of["stream_state"]["holes"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(cursors(&again), cursors(&read), "nothing changed since");
}
