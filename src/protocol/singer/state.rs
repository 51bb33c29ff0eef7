//! Singer's state: one document for all streams, which preserves other taps' entries.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::protocol::airbyte;
use crate::state;
use crate::state::saved::{Saved, States};

/// Bookmark key with the scope of the last activated version.
const SCOPE: &str = "activated_for";

/// A state as received: our streams' bookmarks, and everything else unchanged.
#[derive(Debug, Default, Clone)]
pub struct State(Map<String, Value>);

impl State {
    /// Parses a state; an empty text, `{}`, `[]` and `null` mean a first sync. Meltano's wrapper is supported.
    ///
    /// # Errors
    /// `config_error` for anything else: an invalid state must not start a sync from scratch.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let corrupt = || {
            Error::config(
                "The state is invalid: it must be a Singer state, {\"bookmarks\":{…}}. Restore the last working state, \
                 or remove it to read everything from the start.",
            )
        };
        let document = match airbyte::parse(text, "The state")? {
            Value::Null => return Ok(Self::default()),
            Value::Array(entries) if entries.is_empty() => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(corrupt()),
        };
        let document = match document.get("singer_state").or_else(|| document.get("value")) {
            Some(Value::Object(inside)) => inside.clone(),
            Some(Value::Null) if !document.contains_key("bookmarks") => Map::new(),
            Some(Value::Null) | None => document,
            Some(_) => return Err(corrupt()),
        };
        match document.get("bookmarks") {
            Some(Value::Null | Value::Object(_)) => Ok(Self(document)),
            None if document.keys().all(|key| key == "currently_syncing") => Ok(Self(document)),
            _ => Err(corrupt()),
        }
    }

    /// The states of streams, including bookmarks in other layouts: those are rejected if they belong to one of our
    /// streams, since they must not start a sync from scratch.
    #[must_use]
    pub fn streams(&self) -> States {
        let bookmarks = self.0.get("bookmarks").and_then(Value::as_object).into_iter().flatten();
        let saved = |bookmark: &Value| match bookmark.get(airbyte::NO_CURSOR) {
            Some(_) => Saved::default(),
            None => Saved::from(bookmark),
        };
        bookmarks.map(|(name, bookmark)| (name.clone(), saved(bookmark))).collect()
    }

    /// Records the scope of a full read. Returns whether it covers at least the previous scope.
    pub fn widen(&mut self, stream: &str, scope: &[String]) -> bool {
        let Some(bookmark) = self.bookmark(stream) else { return true };
        let known = bookmark.get(SCOPE).and_then(Value::as_array).into_iter().flatten();
        let is_wide = known.filter_map(Value::as_str).all(|known| scope.iter().any(|of| of == known));
        if is_wide {
            bookmark.insert(SCOPE.to_owned(), json!(scope));
        }
        is_wide
    }

    fn bookmark(&mut self, stream: &str) -> Option<&mut Map<String, Value>> {
        let bookmarks = self.0.entry("bookmarks").or_insert_with(|| json!({}));
        if bookmarks.is_null() {
            *bookmarks = json!({});
        }
        let bookmark = bookmarks.as_object_mut()?.entry(stream).or_insert_with(|| json!({}));
        if !bookmark.is_object() {
            *bookmark = json!({});
        }
        bookmark.as_object_mut()
    }

    /// Sets a stream's state; `cursor` is its cursor column.
    pub fn set(&mut self, stream: &str, state: &Value, cursor: Option<&str>) {
        let mut bookmark = state.as_object().cloned().unwrap_or_default();
        if let (Some(cursor), Some(value)) = (cursor, state::replication_value(state)) {
            bookmark.insert("replication_key".to_owned(), json!(cursor));
            bookmark.insert("replication_key_value".to_owned(), json!(value));
        }
        let Some(known) = self.bookmark(stream) else { return };
        let scope = known.remove(SCOPE);
        // A completed full refresh has a bookmark, too: if it were absent, Meltano would keep an older one when it merges states.
        *known = bookmark;
        if let Some(scope) = scope {
            known.insert(SCOPE.to_owned(), scope);
        }
    }

    /// `STATE` with the full document; never an empty one, which targets drop.
    #[must_use]
    pub fn message(&self) -> Value {
        let mut value = self.0.clone();
        value.entry("bookmarks").or_insert_with(|| json!({}));
        json!({"type": "STATE", "value": value})
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::singer::state::*;

    #[test]
    fn foreign_states_are_kept_and_invalid_ones_rejected() {
        let text = r#"{"singer_state":{"bookmarks":{"other":{"replication_key_value":"x"},"ours":{"version":1,"groups":[]}},"more":1}}"#;
        let mut state = State::parse(text).unwrap();
        assert_eq!(state.streams().keys().collect::<Vec<_>>(), ["other", "ours"]);
        state.set(
            "ours",
            &json!({"version": 1, "groups": [{"cursor": "2026-07-02"}, {"cursor": "2026-07-01"}]}),
            Some("day"),
        );
        let value = &state.message()["value"];
        assert_eq!((&value["more"], &value["bookmarks"]["other"]["replication_key_value"]), (&json!(1), &json!("x")));
        assert_eq!(value["bookmarks"]["ours"]["replication_key_value"], "2026-07-01");
        assert_eq!(State::parse("{}").unwrap().message(), json!({"type": "STATE", "value": {"bookmarks": {}}}));
        for first in ["", " \n", "[]", "null"] {
            assert_eq!(State::parse(first).unwrap().message()["value"], json!({"bookmarks": {}}), "{first}");
        }
        for corrupt in [
            "[1]",
            "7",
            "{\"bookmarks\":[]}",
            "{",
            "{\"campaigns\":\"2026-10-30\"}",
            "{\"singer_state\":\"x\"}",
            "{\"value\":[1]}",
            "{\"Bookmarks\":{}}",
        ] {
            assert!(State::parse(corrupt).is_err(), "{corrupt}");
        }
    }
}
