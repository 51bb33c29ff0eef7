//! Converts between JSON schemas and column types.
//!
//! Schemas use the flat subset that Airbyte's destinations understand: one type per field besides `null`, no `$ref`, no
//! `allOf`, no `additionalProperties: false`.

use serde_json::{Map, Value, json};

/// The type of a column, as rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A string. Numbers are kept digit by digit, so ids keep leading zeros.
    Text,
    /// A number, with every digit that the API sent.
    Number,
    /// A number that is always whole.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A calendar day, `YYYY-MM-DD`.
    Date,
    /// An instant in UTC, `YYYY-MM-DDThh:mm:ssZ`.
    DateTime,
    /// A local time in the zone of the row, `YYYY-MM-DDThh:mm:ss`.
    LocalDateTime,
    /// An object, passed through unchanged.
    Object,
    /// A list, passed through unchanged.
    List,
    /// A list of strings. Numbers in it become strings of their digits, so ids have one type.
    Texts,
}

impl ColumnType {
    /// The type of a schema property; of an `anyOf`, the first branch that is not null.
    #[must_use]
    pub fn of_property(property: &Value) -> Self {
        if let Some(branches) = property["anyOf"].as_array() {
            let branch = branches.iter().find(|branch| branch["type"] != "null");
            return branch.map_or(Self::Text, Self::of_property);
        }
        let types = match &property["type"] {
            Value::Array(types) => types.as_slice(),
            single => std::slice::from_ref(single),
        };
        let name = types.iter().filter_map(Value::as_str).find(|name| *name != "null");
        match (name, property["format"].as_str()) {
            (Some("string"), Some("date")) => Self::Date,
            (Some("string"), Some("date-time")) if property["airbyte_type"] == "timestamp_without_timezone" => {
                Self::LocalDateTime
            }
            (Some("string"), Some("date-time")) => Self::DateTime,
            (Some("number"), _) => Self::Number,
            (Some("integer"), _) => Self::Integer,
            (Some("boolean"), _) => Self::Boolean,
            (Some("object"), _) => Self::Object,
            (Some("array"), _) if Self::of_property(&property["items"]) == Self::Text => Self::Texts,
            (Some("array"), _) => Self::List,
            _ => Self::Text,
        }
    }

    /// The schema property of a column. Only keys are never null.
    #[must_use]
    pub fn property(self, is_key: bool, description: &str) -> Value {
        let name = match self {
            Self::Text | Self::Date | Self::DateTime | Self::LocalDateTime => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::List | Self::Texts => "array",
        };
        let mut property = Map::new();
        property.insert("type".into(), if is_key { json!(name) } else { json!(["null", name]) });
        match self {
            Self::Date => {
                property.insert("format".into(), json!("date"));
            }
            Self::DateTime => {
                property.insert("format".into(), json!("date-time"));
                property.insert("airbyte_type".into(), json!("timestamp_with_timezone"));
            }
            Self::LocalDateTime => {
                property.insert("format".into(), json!("date-time"));
                property.insert("airbyte_type".into(), json!("timestamp_without_timezone"));
            }
            _ => {}
        }
        property.insert("description".into(), json!(description));
        Value::Object(property)
    }
}
