//! Airbyte protocol 0.2: the messages written and the documents read.
//!
//! Parsing is tolerant: unknown keys are ignored, optional values may be `null`, keys may be repeated (PyAirbyte writes
//! `global_` twice), and a state may be a list of messages or a single one.

use std::collections::HashSet;

use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::products::Stream;
use crate::state;
use crate::state::saved::{Saved, States};
use crate::support::text::excerpt;
use crate::support::{clock, scan};

/// The state of a stream without a cursor, as in Airbyte's CDK; ignored on input.
pub(crate) const NO_CURSOR: &str = "__ab_no_cursor_state_message";
/// Maximum number of values in a document.
const MAX_VALUES: usize = 400_000;
/// Maximum number of values per stream of a catalog, and of streams.
const MAX_VALUES_OF_ENTRY: usize = 50_000;
const MAX_STREAMS: usize = 2000;
/// Maximum length of a stream name, in bytes.
const MAX_NAME_LEN: usize = 300;

/// A stream's status (`AirbyteStreamStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Before any other message of the stream.
    Started,
    /// With the first record.
    Running,
    /// Everything was read.
    Complete,
    /// Something is missing; the stream's error has the details.
    Incomplete,
}

/// How to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Everything, regardless of the state.
    FullRefresh,
    /// From the state on.
    Incremental,
}

/// A stream of the configured catalog, as the user's platform wrote it.
#[derive(Debug, Clone)]
pub struct ConfiguredStream {
    /// Its name; may not exist.
    pub name: String,
    /// How to read it, or the unknown mode.
    pub sync_mode: Result<SyncMode, String>,
    /// The selected columns; `None` selects all.
    pub columns: Option<HashSet<String>>,
    /// The platform's id of this sync; an interrupted full refresh resumes only within the same one.
    pub sync_id: Option<i64>,
    /// Column schemas that override ours; only in Singer catalogs.
    pub properties: Map<String, Value>,
    /// Whether a catalog lists it; otherwise the user has named it.
    pub is_from_catalog: bool,
}

impl ConfiguredStream {
    /// A stream named by the user, without sync id and schema overrides.
    #[must_use]
    pub fn new(name: &str, sync_mode: Result<SyncMode, String>, columns: Option<HashSet<String>>) -> Self {
        Self {
            name: name.to_owned(),
            sync_mode,
            columns,
            sync_id: None,
            properties: Map::new(),
            is_from_catalog: false,
        }
    }
}

/// `SPEC`
#[must_use]
pub fn spec(spec: &Value) -> Value {
    json!({"type": "SPEC", "spec": spec})
}

/// `CONNECTION_STATUS`
#[must_use]
pub fn connection_status(outcome: &Result<String>) -> Value {
    let (status, message) = match outcome {
        Ok(message) => ("SUCCEEDED", message.clone()),
        Err(error) => ("FAILED", error.to_string()),
    };
    json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": status, "message": message}})
}

/// `CATALOG`
#[must_use]
pub fn catalog(streams: &[Stream]) -> Value {
    json!({"type": "CATALOG", "catalog": {"streams": streams.iter().map(catalog_entry).collect::<Vec<_>>()}})
}

fn catalog_entry(stream: &Stream) -> Value {
    let key: Vec<_> = stream.primary_key.iter().map(|column| vec![column]).collect();
    let mut entry = json!({
        "name": stream.name,
        "json_schema": stream.schema,
        "supported_sync_modes": ["full_refresh"],
        "source_defined_primary_key": key,
        "is_resumable": stream.is_resumable(),
    });
    if let Some(cursor) = stream.cursor() {
        entry["supported_sync_modes"] = json!(["full_refresh", "incremental"]);
        entry["source_defined_cursor"] = json!(true);
        entry["default_cursor_field"] = json!([cursor]);
    }
    entry
}

/// A `ConfiguredAirbyteCatalog` of these streams: incremental if possible, with their keys.
#[must_use]
pub fn configured_catalog(streams: &[Stream]) -> Value {
    let streams = streams.iter().map(|stream| {
        let entry = catalog_entry(stream);
        let cursor = stream.cursor();
        json!({
            "sync_mode": if cursor.is_some() { "incremental" } else { "full_refresh" },
            "destination_sync_mode": if cursor.is_some() { "append_dedup" } else { "overwrite" },
            "cursor_field": cursor.map(|cursor| vec![cursor]),
            "primary_key": entry["source_defined_primary_key"],
            "stream": entry,
        })
    });
    json!({"streams": streams.collect::<Vec<_>>()})
}

/// `LOG`
#[must_use]
pub fn log(level: tracing::Level, message: &str) -> Value {
    let level = if level == tracing::Level::WARN { "WARN" } else { level.as_str() };
    json!({"type": "LOG", "log": {"level": level, "message": message}})
}

/// `TRACE` of type `STREAM_STATUS`
#[must_use]
pub fn stream_status(stream: &str, status: Status) -> Value {
    let status = match status {
        Status::Started => "STARTED",
        Status::Running => "RUNNING",
        Status::Complete => "COMPLETE",
        Status::Incomplete => "INCOMPLETE",
    };
    json!({"type": "TRACE", "trace": {
        "type": "STREAM_STATUS",
        "emitted_at": clock::now_millis(),
        "stream_status": {"stream_descriptor": {"name": stream}, "status": status},
    }})
}

/// `TRACE` of type `STREAM_STATUS`: running, and waiting for the rate limit until `quota_reset` (epoch milliseconds).
#[must_use]
pub fn rate_limited(stream: &str, quota_reset: i64) -> Value {
    let mut message = stream_status(stream, Status::Running);
    let reason = json!({"type": "RATE_LIMITED", "rate_limited": {"quota_reset": quota_reset}});
    message["trace"]["stream_status"]["reasons"] = json!([reason]);
    message
}

/// `TRACE` of type `ESTIMATE`
#[must_use]
pub fn estimate(stream: &str, rows: u64) -> Value {
    json!({"type": "TRACE", "trace": {
        "type": "ESTIMATE",
        "emitted_at": clock::now_millis(),
        "estimate": {"name": stream, "type": "STREAM", "row_estimate": rows},
    }})
}

/// `TRACE` of type `ERROR`
#[must_use]
pub fn error(error: &Error, stream: Option<&str>) -> Value {
    let mut body = json!({"message": error.message, "failure_type": error.kind.failure_type()});
    if let Some(detail) = &error.detail {
        body["internal_message"] = json!(detail);
    }
    if let Some(stream) = stream {
        body["stream_descriptor"] = json!({"name": stream});
    }
    json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": clock::now_millis(), "error": body}})
}

/// `STATE` of type `STREAM`; `records` is the number of records of the stream since its previous state.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the protocol counts in floats")]
pub fn state(stream: &str, state: &Value, records: u64) -> Value {
    let state = if state::is_complete(state) { json!({ NO_CURSOR: true }) } else { state.clone() };
    json!({"type": "STATE", "state": {
        "type": "STREAM",
        "stream": {"stream_descriptor": {"name": stream}, "stream_state": state},
        "sourceStats": {"recordCount": records as f64},
    }})
}

/// `CONTROL` with a full configuration that replaces the stored one.
#[must_use]
pub fn control(config: &Value) -> Value {
    json!({"type": "CONTROL", "control": {
        "type": "CONNECTOR_CONFIG",
        "emitted_at": clock::now_millis(),
        "connectorConfig": {"config": config},
    }})
}

/// The start of a record message, up to its data.
#[must_use]
pub fn record_prefix(stream: &str, emitted_at: i64) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","record":{{"stream":"{stream}","emitted_at":{emitted_at},"data":"#).into_bytes()
}

/// The end of a record message after its data, including the columns set to null.
pub fn record_suffix<'a>(misfits: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    let mut any = false;
    for column in misfits {
        out.extend_from_slice(if any { b"," } else { b",\"meta\":{\"changes\":[" });
        let change = json!({"field": column, "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"});
        out.extend_from_slice(change.to_string().as_bytes());
        any = true;
    }
    out.extend_from_slice(if any { b"]}}}\n" } else { b"}}\n" });
}

/// Parses a configured catalog.
///
/// # Errors
/// `config_error` if the text is not a catalog.
pub fn parse_catalog(text: &str) -> Result<Vec<ConfiguredStream>> {
    let mut configured = Vec::new();
    let is_catalog = each_stream(text, &mut |index, entry| {
        let stream = &entry["stream"];
        let Some(name) = stream["name"].as_str() else {
            return Err(Error::config(format!("The catalog is invalid: streams[{index}].stream.name is missing.")));
        };
        let sync_mode = match entry["sync_mode"].as_str() {
            Some("full_refresh") => Ok(SyncMode::FullRefresh),
            Some("incremental") => Ok(SyncMode::Incremental),
            Some(other) => Err(other.to_owned()),
            None => Err("(none)".to_owned()),
        };
        let columns = stream["json_schema"]["properties"].as_object();
        let columns = columns.filter(|columns| !columns.is_empty()).map(|columns| columns.keys().cloned().collect());
        configured.push(ConfiguredStream {
            sync_id: entry["sync_id"].as_i64(),
            is_from_catalog: true,
            ..ConfiguredStream::new(name, sync_mode, columns)
        });
        Ok(())
    })?;
    if is_catalog {
        return Ok(configured);
    }
    Err(Error::config(
        "The catalog has no list of streams. It must be a configured catalog, \
         {\"streams\":[{\"stream\":{\"name\":…},\"sync_mode\":…}]}; sample_configs/ has an example.",
    ))
}

/// Visits the entries of a catalog, with only one in memory as a tree. `false` if there is no list of them.
///
/// # Errors
/// `config_error` if the text is not JSON, an entry is too large, or `on_entry` rejects it.
pub(crate) fn each_stream(text: &str, on_entry: &mut dyn FnMut(usize, &Value) -> Result<()>) -> Result<bool> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error, "The catalog"))?;
    let streams = scan::member(text, |name| name == "streams").filter(|raw| raw.starts_with('['));
    let Some(streams) = streams else { return Ok(false) };
    let (mut index, mut refused) = (0, None);
    let walk = scan::items(streams, &mut |entry| {
        let taken = match scan::tree(entry, MAX_VALUES_OF_ENTRY) {
            _ if index >= MAX_STREAMS => {
                Err(Error::config(format!("The catalog has more than {MAX_STREAMS} entries.")))
            }
            Ok(entry) => on_entry(index, &entry),
            Err(error) => Err(Error::config(format!(
                "The catalog is invalid: streams[{index}] has {}.",
                excerpt(&error.to_string())
            ))),
        };
        index += 1;
        taken.map_err(|error| {
            refused = Some(error);
            String::new()
        })
    });
    match refused {
        Some(error) => Err(error),
        None => walk.map(|()| true).map_err(|error| not_json(&error, "The catalog")),
    }
}

/// Parses a state: a list of state messages, a single one, or nothing. Of several for one stream, the last counts.
///
/// # Errors
/// `config_error` for anything else: an invalid state must not start a sync from scratch.
pub fn parse_state(text: &str) -> Result<States> {
    if text.trim().is_empty() {
        return Ok(States::new());
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut states = States::new();
    let mut is_understood = true;
    let mut take = |entry: &str| {
        is_understood &= add_state(entry, &mut states).is_some();
        Ok(())
    };
    let walk = match text {
        "null" => Ok(()),
        list if list.starts_with('[') => scan::items(list, &mut take),
        single => serde_json::from_str::<IgnoredAny>(single).and_then(|_| {
            let mut is_empty = true;
            scan::members(single, &mut |_, _| {
                is_empty = false;
                Ok(())
            })?;
            if is_empty && single.starts_with('{') { Ok(()) } else { take(single).map_err(serde::de::Error::custom) }
        }),
    };
    walk.map_err(|error| not_json(&error, "The state"))?;
    if is_understood {
        return Ok(states);
    }
    Err(Error::config(
        "The state is invalid: it must be a list of Airbyte state messages of type STREAM, as written by this \
         connector. Restore the last working state, or reset the streams to read them from the start.",
    ))
}

/// Adds the state in a message, or in a message's content.
fn add_state(entry: &str, states: &mut States) -> Option<()> {
    let member = |text, wanted: &str| scan::member(text, |name| name == wanted);
    let word = |text| member(text, "type").and_then(|raw| scan::text(raw, MAX_NAME_LEN));
    let state = if word(entry).as_deref() == Some("STATE") { member(entry, "state")? } else { entry };
    let stream = member(state, "stream")?;
    let name = member(member(stream, "stream_descriptor")?, "name").filter(|raw| raw.starts_with('"'))?;
    let name = scan::text(name, MAX_NAME_LEN)?;
    if !matches!(word(state).as_deref(), Some("STREAM") | None) {
        return None;
    }
    let state = member(stream, "stream_state").filter(|state| member(state, NO_CURSOR).is_none());
    states.insert(name, state.map_or_else(Saved::default, Saved::of));
    Some(())
}

/// Parses a document from the user; `what` names it in errors.
pub(crate) fn parse(text: &str, what: &str) -> Result<Value> {
    scan::tree(text.trim_start_matches('\u{feff}'), MAX_VALUES).map_err(|error| not_json(&error, what))
}

fn not_json(error: &serde_json::Error, what: &str) -> Error {
    let (line, column) = (error.line(), error.column());
    Error::config(match error.classify() {
        Category::Data => format!("{what} cannot be read: {}.", excerpt(&error.to_string())),
        _ => format!("{what} is not valid JSON: syntax error at line {line}, column {column}."),
    })
}

#[cfg(test)]
mod tests {
    use crate::protocol::airbyte::*;

    #[test]
    fn states_of_every_known_writer_are_read() {
        let pyairbyte = r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":null},"stream_state":{"x":1}},
            "global_":null,"data":null,"sourceStats":{"recordCount":250.0,"rejectedRecordCount":null},"global_":null}
            , {"type":"STREAM","stream":{"stream_descriptor":{"name":"b"},"stream_state":null}}]"#;
        let states = parse_state(pyairbyte).unwrap();
        assert_eq!((states["a"].text(), states["b"].text()), (r#"{"x":1}"#, "null"));
        let message = state("a", &json!({"x": 1}), 3);
        assert_eq!(parse_state(&message.to_string()).unwrap()["a"].value().unwrap(), json!({"x": 1}));
        for nothing in ["", " \n", "[]", "{}", "null"] {
            assert!(parse_state(nothing).unwrap().is_empty(), "{nothing}");
        }
    }

    #[test]
    fn any_other_state_is_rejected() {
        for corrupt in ["[{\"type\":", "\"x\"", "7", "[1]", "{\"a\":\"2026-01-01\"}", r#"{"type":"LEGACY","data":{}}"#]
        {
            assert_eq!(parse_state(corrupt).unwrap_err().kind, crate::error::Kind::Config, "{corrupt}");
        }
    }

    #[test]
    fn a_record_lists_values_that_do_not_fit() {
        let mut line = record_prefix("s", 5);
        line.extend_from_slice(b"{}");
        record_suffix(["a", "b"].into_iter(), &mut line);
        let message: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(message["record"]["meta"]["changes"][1]["field"], "b");
    }
}
