//! `--about`: the tap's name, capabilities and settings, from the connector's specification.

use serde_json::{Map, Value, json};

use crate::config::SPEC;
use crate::protocol::singer::settings;

/// The tap's capabilities, in the Meltano Hub's terms.
pub const CAPABILITIES: &[&str] =
    &["about", "activate-version", "batch", "catalog", "discover", "state", "structured-logging", "test"];

/// Keys that only Airbyte's forms use.
const AIRBYTE_ONLY: &[&str] = &["airbyte_secret", "airbyte_hidden", "order", "group", "pattern_descriptor"];

/// The settings as a JSON schema: the connector's visible ones and the tap's own.
#[must_use]
pub fn settings() -> Value {
    let specification = &SPEC["connectionSpecification"];
    let own = specification["properties"].as_object().into_iter().flatten();
    let own = own.filter(|(_, property)| property["airbyte_hidden"] != true);
    let all = own.chain(settings::SCHEMA.as_object().into_iter().flatten());
    let properties: Map<String, Value> = all.map(|(name, property)| (name.clone(), singer(property))).collect();
    json!({"type": "object", "required": specification["required"], "properties": properties})
}

/// A setting without Airbyte's keys and with Meltano's.
fn singer(property: &Value) -> Value {
    let Some(object) = property.as_object() else { return property.clone() };
    let mut setting = object.clone();
    setting.retain(|key, _| !AIRBYTE_ONLY.contains(&key.as_str()));
    if let Some(items) = setting.get_mut("items") {
        *items = singer(items);
    }
    if let Some(properties) = property["properties"].as_object() {
        let properties = properties.iter().map(|(name, property)| (name.clone(), singer(property))).collect();
        setting.insert("properties".into(), Value::Object(properties));
    }
    if property["airbyte_secret"] == true {
        setting.insert("secret".into(), json!(true));
        setting.insert("writeOnly".into(), json!(true));
    }
    Value::Object(setting)
}

/// The document as JSON.
#[must_use]
pub fn json() -> Value {
    json!({
        "name": "tap-criteo",
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "version": env!("CARGO_PKG_VERSION"),
        "sdk_version": "n/a",
        "supported_python_versions": [],
        "capabilities": CAPABILITIES,
        "settings": settings(),
    })
}

/// The document as plain text.
#[must_use]
pub fn text() -> String {
    let mut text = format!(
        "Name: tap-criteo\nDescription: {}\nVersion: {}\nCapabilities: {}\nSettings:\n",
        env!("CARGO_PKG_DESCRIPTION"),
        env!("CARGO_PKG_VERSION"),
        CAPABILITIES.join(", ")
    );
    for (name, setting, is_required) in rows(&settings()) {
        text += &format!("  {name}{}: {}\n", if is_required { " (required)" } else { "" }, description(&setting));
    }
    text
}

/// The document as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = format!("# `tap-criteo`\n\n{}.\n\n## Capabilities\n\n", env!("CARGO_PKG_DESCRIPTION"));
    for capability in CAPABILITIES {
        text += &format!("- `{capability}`\n");
    }
    text += "\n## Settings\n\n| setting | required | default | description |\n| --- | --- | --- | --- |\n";
    for (name, setting, is_required) in rows(&settings()) {
        let default = match &setting["default"] {
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let required = if is_required { "yes" } else { "" };
        text += &format!("| `{name}` | {required} | {default} | {} |\n", description(&setting).replace('|', "\\|"));
    }
    text
}

/// The settings in order: name, schema, and whether it is required.
fn rows(settings: &Value) -> Vec<(String, Value, bool)> {
    let required = settings["required"].as_array().cloned().unwrap_or_default();
    let properties = settings["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, setting)| (name.clone(), setting.clone(), required.iter().any(|required| required == name)))
        .collect()
}

fn description(setting: &Value) -> &str {
    setting["description"].as_str().unwrap_or_default()
}
