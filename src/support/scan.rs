//! Scans JSON without building a tree, which takes up to thirty times the memory of its text.
//!
//! External input may be of any size. Callers skip what they do not need, and get the rest shortened or bounded.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Receives an object's members in order; returns an error message to reject one.
type OnMember<'a, 'de> = &'a mut dyn FnMut(&str, &'de str) -> Result<(), String>;
type OnItem<'a, 'de> = &'a mut dyn FnMut(&'de str) -> Result<(), String>;

/// Visits the members of an object; text of another type has none.
///
/// # Errors
/// If the text is not JSON, or the callback rejects a value.
pub(crate) fn members<'de>(text: &'de str, on_member: OnMember<'_, 'de>) -> serde_json::Result<()> {
    if !text.trim_start().starts_with('{') {
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Members(on_member))?;
    reader.end()
}

/// Visits the items of a list; text of another type has none.
///
/// # Errors
/// If the text is not JSON, or the callback rejects a value.
pub(crate) fn items<'de>(text: &'de str, on_item: OnItem<'_, 'de>) -> serde_json::Result<()> {
    if !text.trim_start().starts_with('[') {
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_seq(Items(on_item))?;
    reader.end()
}

/// Visits the items of the lists in the wanted members of an object. Unlike [`members`], it finds those before the
/// point where the text was truncated.
///
/// # Errors
/// If the text is not JSON, or the callback rejects a value.
pub(crate) fn items_of<'de>(
    text: &'de str,
    is_wanted: &dyn Fn(&str) -> bool,
    on_item: OnItem<'_, 'de>,
) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_any(ListsOf { is_wanted, on_item })?;
    reader.end()
}

/// The raw text of an object's member. Of several with the same name the last counts, as in a tree.
pub(crate) fn member(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let mut found = None;
    let walk = members(text, &mut |name, value| {
        if is_wanted(name) {
            found = Some(value);
        }
        Ok(())
    });
    walk.ok().and(found)
}

/// A string or number as a string of at most `most` bytes; `None` for other types.
pub(crate) fn text(raw: &str, most: usize) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' if raw.len() <= most => serde_json::from_str(raw).ok(),
        b'"' => (0..12).find_map(|fewer| {
            // A string cut within an escape is invalid. The longest escape, a surrogate pair, has 12 characters.
            let start = raw.get(..raw.floor_char_boundary(most).checked_sub(fewer)?)?;
            serde_json::from_str(&format!("{start}\"")).ok()
        }),
        b'-' | b'0'..=b'9' => Some(raw[..raw.floor_char_boundary(most)].to_owned()),
        _ => None,
    }
}

pub(crate) fn short(name: &str, most: usize) -> Cow<'_, str> {
    if name.len() <= most { name.into() } else { format!("{}…", &name[..name.floor_char_boundary(most)]).into() }
}

/// Builds a tree of at most `most` values.
///
/// # Errors
/// If the text is not JSON, or has more values.
pub(crate) fn tree(text: &str, most: usize) -> serde_json::Result<Value> {
    let mut left = most;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Tree { left: &mut left, most }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Whether JSON text has a string or key of more than `most` bytes.
///
/// Only a long string can go half that length without a quotation mark. So it is enough to check blocks of that size,
/// and to scan the text only if one has none.
pub(crate) fn has_string_beyond(text: &str, most: usize) -> bool {
    let bytes = text.as_bytes();
    let size = (most / 2).max(1);
    let is_quiet = |block: usize| {
        let (before, rest) = bytes.split_at(block * size);
        let slashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        let mut is_escaped = slashes % 2 == 1;
        !rest.iter().take(size).any(|byte| {
            let is_mark = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_mark
        })
    };
    (0..bytes.len() / size).any(is_quiet) && longest_string(text) > most
}

/// The length of the longest string in JSON text, in bytes with escapes.
fn longest_string(text: &str) -> usize {
    let (mut longest, mut start, mut is_escaped) = (0, None, false);
    for (at, byte) in text.bytes().enumerate() {
        match (start, byte) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(first), b'"') => {
                longest = longest.max(at - first);
                start = None;
            }
            (None, b'"') => start = Some(at + 1),
            _ => {}
        }
    }
    longest.max(start.map_or(0, |first| text.len() - first))
}

/// Invariant for any text: scanning finds what a tree has, within the limit.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_out(text: &str, most: usize) {
    assert_eq!(has_string_beyond(text, most), longest_string(text) > most, "{text}");
    let Ok(whole) = serde_json::from_str::<Value>(text) else {
        assert!(tree(text, usize::MAX).is_err(), "{text}");
        return;
    };
    assert_eq!(tree(text, usize::MAX).ok().as_ref(), Some(&whole), "{text}");
    assert!(tree(text, most).is_err() || count(&whole) <= most, "{text}");
    let parse = |raw: &str| serde_json::from_str::<Value>(raw).map_err(|error| error.to_string());
    let (mut of_object, mut of_list) = (Map::new(), Vec::new());
    let walks = [
        members(text, &mut |name, raw| {
            of_object.insert(name.to_owned(), parse(raw)?);
            Ok(())
        }),
        items(text, &mut |raw| {
            of_list.push(parse(raw)?);
            Ok(())
        }),
    ];
    assert!(walks.iter().all(Result::is_ok), "{text}");
    for name in of_object.keys() {
        assert_eq!(member(text, |other| other == name).and_then(|raw| parse(raw).ok()), of_object.get(name).cloned());
    }
    match &whole {
        Value::Object(_) => assert_eq!(Value::Object(of_object), whole),
        Value::Array(_) => assert_eq!(Value::Array(of_list), whole),
        _ => assert!(of_object.is_empty() && of_list.is_empty(), "{text}"),
    }
    if let Some(start) = self::text(text.trim(), most) {
        assert!(start.len() <= most && whole.as_str().is_none_or(|whole| whole.starts_with(&start)), "{text}: {start}");
    }
}

#[cfg(any(test, feature = "fuzzing"))]
fn count(tree: &Value) -> usize {
    1 + match tree {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

struct Members<'a, 'de>(OnMember<'a, 'de>);

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(&name, value.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

struct Items<'a, 'de>(OnItem<'a, 'de>);

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            (self.0)(item.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Visits the lists of the wanted members.
struct ListsOf<'a, 'de> {
    is_wanted: &'a dyn Fn(&str) -> bool,
    on_item: OnItem<'a, 'de>,
}

impl<'de> Visitor<'de> for ListsOf<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if (self.is_wanted)(&name) {
                map.next_value_seed(List(&mut *self.on_item))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Visits a list, and ignores values of other types.
struct List<'a, 'de>(OnItem<'a, 'de>);

impl<'de> DeserializeSeed<'de> for List<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Items(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
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

/// A member's name, copied only if it has escapes.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(name.into())
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name.to_owned().into())
    }
}

/// Builds a value; `left` counts down the values allowed.
struct Tree<'a> {
    left: &'a mut usize,
    most: usize,
}

impl Tree<'_> {
    fn inner(&mut self) -> Tree<'_> {
        Tree { left: self.left, most: self.most }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let most = self.most;
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom(format!("more than {most} values")))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            object.insert(name, map.next_value_seed(self.inner())?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use crate::support::scan::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn scanned_members_match_a_parsed_tree() {
        let text = r#" {"a": {"b": [1, "x\n"]}, "A": 2, "a": "caf\u00e9", "n": -1.50} "#;
        assert_eq!(member(text, |name| name == "a"), Some(r#""caf\u00e9""#));
        assert_eq!(
            member(text, |name| name == "n").and_then(|raw| crate::support::scan::text(raw, 9)).as_deref(),
            Some("-1.50")
        );
        assert_eq!(member("{\"a\":1", |_| true), None);
        assert_eq!(member("[1]", |_| true), None);
        let mut found = Vec::new();
        items(" [ 1, \"a\", {} ]", &mut |item| {
            found.push(item);
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["1", "\"a\"", "{}"]);
        assert!(items("[1,2]", &mut |_| Err("no".to_owned())).unwrap_err().to_string().contains("no"));
    }

    #[test]
    fn strings_are_cut_between_escapes() {
        let raw = Value::from("aé\u{1f6d2}\n\"").to_string().replace('\u{1f6d2}', r"\ud83d\uded2");
        for most in 1..raw.len() + 3 {
            let text = text(&raw, most).unwrap();
            assert!("aé\u{1f6d2}\n\"".starts_with(&text) && text.len() <= most, "{most}: {text}");
        }
        assert_eq!(text("null", 9), None);
        assert_eq!(text("[\"a\"]", 9), None);
    }

    #[test]
    fn parsed_values_are_bounded() {
        let text = r#"{"a":[1,2.5,"x",null,true],"b":{"c":-3}}"#;
        assert_eq!(tree(text, 9).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert!(tree(text, 8).unwrap_err().to_string().contains("more than 8 values"));
        assert!(tree("{} x", 9).is_err());
    }

    #[test]
    fn long_strings_are_found_at_any_position() {
        let long = |length: usize| json!({"a": ["b", "x".repeat(length)]}).to_string();
        assert!(!has_string_beyond(&long(100), 100));
        assert!(has_string_beyond(&long(101), 100));
        assert!(has_string_beyond(&format!("{{\"{}\":0}}", "n".repeat(101)), 100));
        assert!(!has_string_beyond(&format!("[{}]", " ".repeat(1000)), 100));
    }

    proptest! {
        #[test]
        fn no_string_above_twice_the_bound_is_missed(parts in prop::collection::vec("[a-z\\\\\" ]{0,40}", 1..9)) {
            let text = Value::from(parts.clone()).to_string();
            let longest = parts.iter().map(|part| Value::from(part.as_str()).to_string().len() - 2).max().unwrap();
            for most in [2, 8, 20, 50] {
                prop_assert_eq!(has_string_beyond(&text, most), longest > most);
            }
        }
    }
}
