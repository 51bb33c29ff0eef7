//! Finds duplicate JSON members. Parsers silently keep the last one.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

const MAX_FOUND: usize = 50;

/// The paths of duplicate members, each once, in document order; empty if the text is not JSON.
pub(crate) fn members(text: &str) -> Vec<String> {
    let found = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    match reader.deserialize_any(Place { path: String::new(), found: &found }) {
        Ok(()) => found.into_inner(),
        Err(_) => Vec::new(),
    }
}

struct Place<'a> {
    path: String,
    found: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            let mut found = self.found.borrow_mut();
            if !seen.insert(name) && found.len() < MAX_FOUND && !found.contains(&path) {
                found.push(path.clone());
            }
            drop(found);
            members.next_value_seed(Place { path, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        while items.next_element_seed(Place { path: format!("{}[{index}]", self.path), found: self.found })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::duplicates::*;

    #[test]
    fn duplicate_members_are_found_at_every_depth() {
        let text = r#"{"a": 1, "b": [{"c": null}, {"c": 1.5, "d": {"e": -1, "e": true}, "c": "x", "c": 2}], "a": 1}"#;
        assert_eq!(members(text), ["b[1].d.e", "b[1].c", "a"]);
        assert!(members(r#"{"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}"#).is_empty());
        for other in ["", "7", "{\"a\": 1, \"a\":", "[]"] {
            assert!(members(other).is_empty(), "{other}");
        }
    }
}
