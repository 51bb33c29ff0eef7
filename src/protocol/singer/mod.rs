//! Singer, as Meltano and the Singer SDK speak it: the documents that are read and the messages that are written.
//!
//! The streams, their columns and their states are those of Airbyte's mode; only the words around them differ. Reading is
//! tolerant: what other taps and older ones have left in a state is carried along.

pub mod about;
pub mod batch;
pub mod catalog;
pub mod log;
pub mod settings;
pub mod state;

use serde_json::{Map, Value, json};

pub use log::Log;
pub use settings::Settings;
pub use state::State;

use crate::clock;
use crate::streams::Stream;
use crate::streams::schema::ColumnType;

/// What the thread that writes knows beyond the words of the protocol.
#[derive(Debug)]
pub struct Tap {
    /// The state of all streams.
    pub state: State,
    /// How people are told.
    pub log: Log,
    /// What the user has set.
    pub settings: Settings,
}

/// A property in the words of Singer. Its `date-time` is an instant with a zone (RFC 3339), and targets refuse others, so the
/// time of a clock is a text; `airbyte_type` is a word of Airbyte's alone.
#[must_use]
pub fn property(of: &Value) -> Value {
    let mut property = of.clone();
    let is_local = ColumnType::of_property(of) == ColumnType::LocalDateTime;
    if let Some(members) = property.as_object_mut() {
        members.shift_remove("airbyte_type");
        if is_local {
            members.shift_remove("format");
        }
    }
    property
}

/// The schema of a stream with its properties in the words of Singer.
#[must_use]
pub fn json_schema(stream: &Stream) -> Value {
    let mut schema = stream.schema.clone();
    for of in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        *of = property(of);
    }
    schema
}

/// `SCHEMA`
#[must_use]
pub fn schema(stream: &Stream, is_selected: &dyn Fn(&str) -> bool) -> Value {
    let mut schema = json_schema(stream);
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
pub fn record_suffix(version: Option<i64>) -> Vec<u8> {
    let version = version.map(|version| format!(",\"version\":{version}")).unwrap_or_default();
    format!(",\"time_extracted\":\"{}\"{version}}}\n", clock::now_text()).into_bytes()
}

/// `ACTIVATE_VERSION`: the records of this version are all that there are.
#[must_use]
pub fn activate_version(stream: &str, version: i64) -> Value {
    json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version})
}
