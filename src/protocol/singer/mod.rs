//! Singer, as Meltano and the Singer SDK use it: the documents read and the messages written.
//!
//! Streams, columns and states are the same as in Airbyte mode; only the messages around them differ. Parsing is
//! tolerant: entries of other or older taps in a state are preserved.

pub mod about;
pub mod catalog;
pub mod log;
pub mod settings;
pub mod state;

use serde_json::{Map, Value, json};

use crate::products::Stream;
use crate::products::schema::ColumnType;
pub use crate::protocol::singer::log::Log;
pub use crate::protocol::singer::settings::Settings;
pub use crate::protocol::singer::state::State;
use crate::support::clock;

/// A property in Singer's schema dialect. Its `date-time` has a time zone (RFC 3339), and targets reject others, so a
/// local time is a plain string. `airbyte_type` is Airbyte only.
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

/// A stream's schema in Singer's dialect.
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

/// The start of a record message, up to its data.
#[must_use]
pub fn record_prefix(stream: &str) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","stream":"{stream}","record":"#).into_bytes()
}

/// The end of a record message after its data; the time is the same for all records of a slice.
#[must_use]
pub fn record_suffix(version: Option<i64>) -> Vec<u8> {
    let version = version.map(|version| format!(",\"version\":{version}")).unwrap_or_default();
    format!(",\"time_extracted\":\"{}\"{version}}}\n", clock::now_text()).into_bytes()
}

/// `ACTIVATE_VERSION`: the target may remove records of other versions.
#[must_use]
pub fn activate_version(stream: &str, version: i64) -> Value {
    json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version})
}
