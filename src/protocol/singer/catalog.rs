//! Singer's catalog: written by `--discover`, read back with a selection and with types that the user changed.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::products::Stream;
use crate::products::schema::ColumnType;
use crate::protocol::airbyte::{self, ConfiguredStream, SyncMode};

/// The catalog for `--discover`, indented: Meltano hangs on lines of more than 64 KiB.
#[must_use]
pub fn catalog(streams: &[Stream]) -> String {
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| {
            let cursor = stream.cursor();
            let method = if cursor.is_some() { "INCREMENTAL" } else { "FULL_TABLE" };
            let mut root = json!({
                "inclusion": "available",
                "selected-by-default": stream.is_selected_by_default(),
                "table-key-properties": stream.primary_key,
                "replication-method": method,
            });
            let mut entry = json!({
                "tap_stream_id": stream.name,
                "stream": stream.name,
                "key_properties": stream.primary_key,
                "replication_method": method,
                "schema": crate::protocol::singer::json_schema(stream),
            });
            if let Some(cursor) = cursor {
                root["valid-replication-keys"] = json!([cursor]);
                root["replication-key"] = json!(cursor);
                entry["replication_key"] = json!(cursor);
            } else {
                root["forced-replication-method"] = json!(method);
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

/// Parses a catalog with its selection.
///
/// # Errors
/// `config_error` if the text is not a catalog.
pub fn parse_catalog(text: &str) -> Result<Vec<ConfiguredStream>> {
    let mut configured = Vec::new();
    let mut left_out = Vec::new();
    let is_catalog = airbyte::each_stream(text, &mut |index, entry| {
        let Some(name) = entry["tap_stream_id"].as_str().or(entry["stream"].as_str()) else {
            return Err(Error::config(format!("The catalog is invalid: streams[{index}].tap_stream_id is missing.")));
        };
        let metadata = Metadata::of(entry);
        if !metadata.is_selected(&[], entry["selected"].as_bool()) {
            left_out.push(name.to_owned());
            return Ok(());
        }
        let root = metadata.at(&[]);
        let method = [&root["forced-replication-method"], &root["replication-method"], &entry["replication_method"]];
        let sync_mode = match method.into_iter().find_map(Value::as_str) {
            Some("INCREMENTAL") | None => Ok(SyncMode::Incremental),
            Some("FULL_TABLE") => Ok(SyncMode::FullRefresh),
            Some(other) => Err(other.to_owned()),
        };
        let properties = entry["schema"]["properties"].as_object().filter(|properties| !properties.is_empty());
        let columns = properties.map(|properties| {
            let names = properties.keys().filter(|name| metadata.is_selected(&["properties", name], None));
            names.cloned().collect::<HashSet<_>>()
        });
        let properties = properties.cloned().unwrap_or_default();
        configured.push(ConfiguredStream {
            properties,
            is_from_catalog: true,
            ..ConfiguredStream::new(name, sync_mode, columns)
        });
        Ok(())
    })?;
    if !is_catalog {
        return Err(Error::config(
            "The catalog has no list of streams. It must be a Singer catalog, as printed by --discover.",
        ));
    }
    for name in left_out.into_iter().filter(|name| configured.iter().any(|of: &ConfiguredStream| of.name == *name)) {
        tracing::warn!("The catalog selects {name} in one entry and not in another. The stream is read.");
    }
    Ok(configured)
}

/// The streams read without a catalog.
#[must_use]
pub fn defaults(streams: &[Stream]) -> Vec<ConfiguredStream> {
    let selected = streams.iter().filter(|stream| stream.is_selected_by_default());
    selected.map(|stream| ConfiguredStream::new(&stream.name, Ok(SyncMode::Incremental), None)).collect()
}

/// Applies the catalog's column types to a stream: Meltano users may change them, and values are cast to them. Columns
/// outside of the key stay nullable in any case, since Criteo may omit any of them.
pub fn retype(stream: &mut Stream, properties: &Map<String, Value>) {
    let Some(own) = stream.schema["properties"].as_object_mut() else { return };
    for (name, property) in own.iter_mut() {
        let Some(wanted) = properties.get(name).filter(|wanted| wanted.is_object()) else { continue };
        let is_same = crate::protocol::singer::property(wanted) == crate::protocol::singer::property(property);
        // A local time is a plain string in Singer's dialect; keep its type.
        let is_text = ColumnType::of_property(wanted) == ColumnType::Text;
        if is_same || is_text && ColumnType::of_property(property) == ColumnType::LocalDateTime {
            continue;
        }
        *property = wanted.clone();
        if !stream.primary_key.contains(name) {
            make_nullable(property);
        }
    }
}

/// The schema of a number as a string, in the words of the Singer SDK.
fn decimal() -> Value {
    json!({"type": ["null", "string"], "format": "x-singer.decimal", "precision": 38, "scale": 9})
}

/// Makes numbers with a fraction exact strings, in the schema that discovery prints.
pub fn use_decimals(stream: &mut Stream) {
    for (_, property) in stream.schema["properties"].as_object_mut().into_iter().flatten() {
        if ColumnType::of_property(property) == ColumnType::Number {
            let description = property["description"].take();
            *property = decimal();
            property["description"] = description;
        }
    }
}

/// The same in a catalog's types of a stream, which may be those of an earlier discovery.
pub fn use_decimals_in(properties: &mut Map<String, Value>, stream: &Stream) {
    for (name, own) in stream.schema["properties"].as_object().into_iter().flatten() {
        let wanted = properties.get(name).filter(|wanted| wanted.is_object()).unwrap_or(own);
        if ColumnType::of_property(wanted) == ColumnType::Number {
            properties.insert(name.clone(), decimal());
        }
    }
}

fn make_nullable(property: &mut Value) {
    if let Some(branches) = property.get_mut("anyOf").and_then(Value::as_array_mut) {
        if !branches.iter().any(|branch| branch["type"] == "null") {
            branches.push(json!({"type": "null"}));
        }
        return;
    }
    match property.get_mut("type") {
        Some(Value::String(name)) if name != "null" => property["type"] = json!(["null", name]),
        Some(Value::Array(names)) if !names.iter().any(|name| name == "null") => names.push(json!("null")),
        _ => {}
    }
}

/// Columns missing from a catalog of an older release: Meltano keeps catalogs across upgrades.
#[must_use]
pub fn lacking<'a>(stream: &'a Stream, properties: &Map<String, Value>) -> Vec<&'a str> {
    let own = stream.schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    own.filter(|name| !properties.is_empty() && !properties.contains_key(*name)).collect()
}

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

    /// As in the Singer SDK: unsupported is off, automatic is on; otherwise the selection decides, then the default,
    /// and a column without either is on.
    fn is_selected(&self, breadcrumb: &[&str], legacy: Option<bool>) -> bool {
        let of = self.at(breadcrumb);
        match of["inclusion"].as_str() {
            Some("unsupported") => false,
            Some("automatic") => true,
            _ => of["selected"].as_bool().or(legacy).or(of["selected-by-default"].as_bool()).unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::singer::catalog::*;

    #[test]
    fn selection_matches_the_sdk() {
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
}
