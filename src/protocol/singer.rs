//! Singer, as Meltano and the Singer SDK speak it: the documents that are read and the messages that are written.
//!
//! The streams, their columns and their states are those of Airbyte's mode; only the words around them differ. Reading is
//! tolerant: what other taps and older ones have left in a state is carried along.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::airbyte::{Configured, SyncMode};
use crate::clock;
use crate::error::{Error, Result};
use crate::streams::Stream;

/// The catalog of `--discover`, indented: Meltano waits for ever for the end of a line of more than 64 KiB.
#[must_use]
pub fn catalog(streams: &[Stream]) -> String {
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| {
            let cursor = stream.cursor();
            let method = if cursor.is_some() { "INCREMENTAL" } else { "FULL_TABLE" };
            let mut root = json!({
                "inclusion": "available",
                "selected-by-default": true,
                "table-key-properties": stream.primary_key,
                "replication-method": method,
            });
            let mut entry = json!({
                "tap_stream_id": stream.name,
                "stream": stream.name,
                "key_properties": stream.primary_key,
                "replication_method": method,
                "schema": stream.schema,
            });
            if let Some(cursor) = cursor {
                root["valid-replication-keys"] = json!([cursor]);
                root["replication-key"] = json!(cursor);
                entry["replication_key"] = json!(cursor);
            }
            let mut metadata = vec![json!({"breadcrumb": [], "metadata": root})];
            for name in stream.schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
                let is_automatic = stream.primary_key.contains(name) || cursor == Some(name);
                let inclusion = if is_automatic { "automatic" } else { "available" };
                metadata.push(json!({
                    "breadcrumb": ["properties", name],
                    "metadata": {"inclusion": inclusion, "selected-by-default": true},
                }));
            }
            entry["metadata"] = json!(metadata);
            entry
        })
        .collect();
    serde_json::to_string_pretty(&json!({"streams": streams})).unwrap_or_default()
}

/// Reads a catalog with its selection.
///
/// # Errors
/// `config_error` when the text is not a catalog.
pub fn parse_catalog(text: &str) -> Result<Vec<Configured>> {
    let document = super::airbyte::parse(text, "The catalog")?;
    let Some(streams) = document["streams"].as_array() else {
        return Err(Error::config(
            "The catalog has no list of streams. It must be a Singer catalog, such as --discover prints.",
        ));
    };
    let mut configured = Vec::new();
    for (index, entry) in streams.iter().enumerate() {
        let Some(name) = entry["tap_stream_id"].as_str().or(entry["stream"].as_str()) else {
            return Err(Error::config(format!("The catalog is not valid: streams[{index}].tap_stream_id is missing.")));
        };
        let metadata = Metadata::of(entry);
        if !metadata.is_selected(&[], entry["selected"].as_bool()) {
            continue;
        }
        let root = metadata.at(&[]);
        let method = [&root["forced-replication-method"], &root["replication-method"], &entry["replication_method"]];
        let sync_mode = match method.into_iter().find_map(Value::as_str) {
            Some("INCREMENTAL") | None => Ok(SyncMode::Incremental),
            Some("FULL_TABLE") => Ok(SyncMode::FullRefresh),
            Some(other) => Err(other.to_owned()),
        };
        let properties = entry["schema"]["properties"].as_object();
        let columns = properties.filter(|properties| !properties.is_empty()).map(|properties| {
            let names = properties.keys().filter(|name| metadata.is_selected(&["properties", name], None));
            names.cloned().collect::<HashSet<_>>()
        });
        configured.push(Configured { name: name.to_owned(), sync_mode, columns, sync_id: None });
    }
    Ok(configured)
}

/// The metadata of one stream by breadcrumb.
struct Metadata(BTreeMap<Vec<String>, Value>);

impl Metadata {
    fn of(entry: &Value) -> Self {
        let list = entry["metadata"].as_array().into_iter().flatten();
        Self(
            list.map(|item| {
                let breadcrumb = item["breadcrumb"].as_array().into_iter().flatten();
                let breadcrumb = breadcrumb.filter_map(|part| part.as_str().map(str::to_owned)).collect();
                (breadcrumb, item["metadata"].clone())
            })
            .collect(),
        )
    }

    fn at(&self, breadcrumb: &[&str]) -> Value {
        let key: Vec<String> = breadcrumb.iter().map(|&part| part.to_owned()).collect();
        self.0.get(&key).cloned().unwrap_or_default()
    }

    /// As the Singer SDK resolves it: unsupported is off, automatic is on whatever is selected, then the selection, then
    /// the default, and on where nothing is said.
    fn is_selected(&self, breadcrumb: &[&str], legacy: Option<bool>) -> bool {
        let of = self.at(breadcrumb);
        match of["inclusion"].as_str() {
            Some("unsupported") => false,
            Some("automatic") => true,
            _ => of["selected"].as_bool().or(legacy).or(of["selected-by-default"].as_bool()).unwrap_or(true),
        }
    }
}

/// A state as it came, with the bookmarks of our streams and everything else, which is carried along.
#[derive(Debug, Default, Clone)]
pub struct State(Map<String, Value>);

impl State {
    /// Reads a state; nothing, `{}` and `null` mean a first sync. Meltano's own wrapping is understood.
    ///
    /// # Errors
    /// `config_error` when the text is no state: it is never taken for "start again from nothing".
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let corrupt = || {
            Error::config(
                "The state cannot be understood: it must be a Singer state, {\"bookmarks\":{…}}. Restore the last state that \
                 worked, or remove it to read everything from the start.",
            )
        };
        let document = match super::airbyte::parse(text, "The state")? {
            Value::Null => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(corrupt()),
        };
        let document = match document.get("singer_state").or_else(|| document.get("value")) {
            Some(Value::Object(inside)) => inside.clone(),
            _ => document,
        };
        match document.get("bookmarks") {
            None | Some(Value::Null | Value::Object(_)) => Ok(Self(document)),
            Some(_) => Err(corrupt()),
        }
    }

    /// The states of streams; bookmarks of other taps and older ones are left alone.
    #[must_use]
    pub fn streams(&self) -> BTreeMap<String, Value> {
        let bookmarks = self.0.get("bookmarks").and_then(Value::as_object).into_iter().flatten();
        let ours = bookmarks.filter(|(_, bookmark)| bookmark.get("version").is_some());
        ours.map(|(name, bookmark)| (name.clone(), bookmark.clone())).collect()
    }

    /// Notes where a stream has come to; `cursor` is the column that its state counts in.
    pub fn set(&mut self, stream: &str, state: &Value, cursor: Option<&str>) {
        let is_whole = state.as_object().is_some_and(crate::engine::cursor::is_no_cursor);
        let mut bookmark = state.clone();
        if let (Some(cursor), Some(object)) = (cursor, bookmark.as_object_mut()) {
            // For people: the least cursor of all advertisers.
            let groups = object.get("groups").and_then(Value::as_array).into_iter().flatten();
            let least = groups.filter_map(|group| group["cursor"].as_str()).min().map(str::to_owned);
            let value = least.or_else(|| object.get("updated_at").and_then(Value::as_str).map(str::to_owned));
            if let Some(value) = value {
                object.insert("replication_key".to_owned(), json!(cursor));
                object.insert("replication_key_value".to_owned(), json!(value));
            }
        }
        let bookmarks = self.0.entry("bookmarks").or_insert_with(|| json!({}));
        if bookmarks.is_null() {
            *bookmarks = json!({});
        }
        if let Some(bookmarks) = bookmarks.as_object_mut() {
            // A stream that is read whole every time has nothing to go on from.
            if is_whole {
                bookmarks.remove(stream);
            } else {
                bookmarks.insert(stream.to_owned(), bookmark);
            }
        }
    }

    /// `STATE` with everything in it; never an empty one, which targets swallow.
    #[must_use]
    pub fn message(&self) -> Value {
        let mut value = self.0.clone();
        value.entry("bookmarks").or_insert_with(|| json!({}));
        json!({"type": "STATE", "value": value})
    }
}

/// `SCHEMA`
#[must_use]
pub fn schema(stream: &Stream, is_selected: &dyn Fn(&str) -> bool) -> Value {
    let mut schema = stream.schema.clone();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties
            .retain(|name, _| stream.primary_key.contains(name) || stream.cursor() == Some(name) || is_selected(name));
    }
    let mut message =
        json!({"type": "SCHEMA", "stream": stream.name, "schema": schema, "key_properties": stream.primary_key});
    if let Some(cursor) = stream.cursor() {
        message["bookmark_properties"] = json!([cursor]);
    }
    message
}

/// What stands before the data of every record.
#[must_use]
pub fn record_prefix(stream: &str) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","stream":"{stream}","record":"#).into_bytes()
}

/// What stands behind the data of a record; the time is the same for all records of a slice.
#[must_use]
pub fn record_suffix() -> Vec<u8> {
    format!(",\"time_extracted\":\"{}\"}}\n", clock::now_text()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_is_resolved_as_the_sdk_does() {
        let catalog = json!({"streams": [
            {"tap_stream_id": "on", "schema": {"properties": {"id": {}, "a": {}, "b": {}, "c": {}, "d": {}}},
                "metadata": [
                    {"breadcrumb": [], "metadata": {"selected": true, "replication-method": "FULL_TABLE"}},
                    {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "automatic", "selected": false}},
                    {"breadcrumb": ["properties", "a"], "metadata": {"inclusion": "available", "selected": false}},
                    {"breadcrumb": ["properties", "b"], "metadata": {"inclusion": "available", "selected-by-default": false}},
                    {"breadcrumb": ["properties", "c"], "metadata": {"inclusion": "unsupported", "selected": true}},
                ]},
            {"tap_stream_id": "off", "metadata": [{"breadcrumb": [], "metadata": {"selected": false}}]},
            {"tap_stream_id": "legacy", "selected": false},
            {"stream": "silent", "replication_method": "INCREMENTAL"},
            {"tap_stream_id": "forced", "replication_method": "INCREMENTAL",
                "metadata": [{"breadcrumb": [], "metadata": {"forced-replication-method": "FULL_TABLE"}}]},
        ]});
        let configured = parse_catalog(&catalog.to_string()).unwrap();
        let names: Vec<_> = configured.iter().map(|configured| configured.name.as_str()).collect();
        assert_eq!(names, ["on", "silent", "forced"]);
        let mut columns: Vec<_> = configured[0].columns.clone().unwrap().into_iter().collect();
        columns.sort();
        assert_eq!(columns, ["d", "id"]);
        assert_eq!(configured[0].sync_mode, Ok(SyncMode::FullRefresh));
        assert_eq!(
            (&configured[1].sync_mode, &configured[2].sync_mode),
            (&Ok(SyncMode::Incremental), &Ok(SyncMode::FullRefresh))
        );
    }

    #[test]
    fn states_are_carried_along_and_never_misunderstood() {
        let text = r#"{"singer_state":{"bookmarks":{"other":{"replication_key_value":"x"},"ours":{"version":1,"groups":[]}},"more":1}}"#;
        let mut state = State::parse(text).unwrap();
        assert_eq!(state.streams().keys().collect::<Vec<_>>(), ["ours"]);
        state.set(
            "ours",
            &json!({"version": 1, "groups": [{"cursor": "2026-07-02"}, {"cursor": "2026-07-01"}]}),
            Some("day"),
        );
        let value = &state.message()["value"];
        assert_eq!((&value["more"], &value["bookmarks"]["other"]["replication_key_value"]), (&json!(1), &json!("x")));
        assert_eq!(value["bookmarks"]["ours"]["replication_key_value"], "2026-07-01");
        assert_eq!(State::parse("{}").unwrap().message(), json!({"type": "STATE", "value": {"bookmarks": {}}}));
        for corrupt in ["[]", "7", "{\"bookmarks\":[]}", "{"] {
            assert!(State::parse(corrupt).is_err(), "{corrupt}");
        }
    }
}
