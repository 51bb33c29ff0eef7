//! From the bytes of an answer to its rows, without a document tree.
//!
//! Criteo documents the JSON of its objects but not of its reports; these envelopes have been reported, and all of
//! them are understood:
//!
//! | shape | seen for |
//! | --- | --- |
//! | `{"data":[…],"errors":[],"warnings":[],"meta":{…}}` | objects (`OpenAPI` documents) |
//! | `{"data":{…}}` | single objects (`OpenAPI` documents) |
//! | `{"Rows":[…],"Total":{…}}`, also `rows` | statistics (reported for API 2026-07) |
//! | `[…]` | statistics (reported for API 2026-01), marketplace objects (`OpenAPI` documents) |
//! | `{"data":[{"attributes":{"rows":[…]}}]}`, `{"data":[{"attributes":{…}},…]}` | placements, transactions (reported) |
//! | `{"columns":[…],"data":[[…],…]}` | marketplace statistics (`OpenAPI` documents) |
//!
//! Anything else is an error, never an empty report.

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;

use crate::api::criteo_errors;
use crate::error::{Error, Result};

/// Takes the rows of an answer one by one.
pub trait RowSink {
    /// Consumes one row.
    ///
    /// # Errors
    /// Whatever makes the whole answer unusable.
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error>;
}

/// The code of Criteo's warning that an answer was cut.
pub const ROW_LIMIT: &str = "row-limit-exceeded";

/// Where an answer may hold its rows besides the places that all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Nowhere.
    #[default]
    Plain,
    /// In `attributes.rows` of the elements of `data`.
    Wrapped,
    /// As lists of values in the order of `columns`.
    Columns,
}

/// Checks the syntax of every row and nothing else.
pub struct CheckOnly;

impl RowSink for CheckOnly {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        row.deserialize_ignored_any(IgnoredAny).map(|_| ())
    }
}

/// What an answer says besides its rows.
#[derive(Debug, Default)]
pub struct Envelope {
    /// How many rows it holds; `None` when no known place for rows was found.
    pub rows: Option<u64>,
    /// `errors[]`: a 200 can carry them.
    pub errors: Vec<Value>,
    /// `warnings[]`.
    pub warnings: Vec<Value>,
    /// `meta.totalItems` or `metadata.totalItems`.
    pub total_items: Option<u64>,
    /// The names of the members, to name an unknown shape by.
    pub members: Vec<String>,
}

impl Envelope {
    /// Whether it announces more rows than it holds, or says itself that it was cut.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let is_cut = self.warnings.iter().any(|warning| warning["code"] == ROW_LIMIT);
        is_cut || self.total_items.is_some_and(|total| total > self.rows.unwrap_or(0))
    }
}

/// Walks through an answer to its last bracket and hands every row to `sink`.
///
/// # Errors
/// When the text is not one whole JSON document, or the sink refuses a row.
pub fn each(body: &str, shape: Shape, sink: &mut impl RowSink) -> serde_json::Result<Envelope> {
    match shape {
        Shape::Plain => each_plain(body, sink),
        Shape::Wrapped => {
            let mut unwrapping = Unwrapping { sink, rows: 0 };
            let mut envelope = each_plain(body, &mut unwrapping)?;
            envelope.rows = envelope.rows.map(|_| unwrapping.rows);
            Ok(envelope)
        }
        Shape::Columns => match serde_json::from_str(body) {
            Ok(Table { columns: Some(columns), data: Some(data) }) => each_of_table(&columns, &data, sink),
            _ => each_plain(body, sink),
        },
    }
}

fn each_plain(body: &str, sink: &mut impl RowSink) -> serde_json::Result<Envelope> {
    let mut envelope = Envelope::default();
    let mut deserializer = serde_json::Deserializer::from_str(body);
    Answer { envelope: &mut envelope, sink }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(envelope)
}

/// Looks for rows within the elements of a list.
struct Unwrapping<'a, S> {
    sink: &'a mut S,
    rows: u64,
}

impl<S: RowSink> RowSink for Unwrapping<'_, S> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        use serde::de::Error as _;
        let element = <&RawValue>::deserialize(row)?;
        // What is no such element is a row itself.
        let inside =
            serde_json::from_str::<Element<'_>>(element.get()).ok().and_then(|element| element.attributes.rows);
        let rows = inside.map_or(element.get(), RawValue::get);
        let mut deserializer = serde_json::Deserializer::from_str(rows);
        let mut count = None;
        Rows { count: &mut count, sink: self.sink }.deserialize(&mut deserializer).map_err(D::Error::custom)?;
        self.rows += count.unwrap_or(0);
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    attributes: Attributes<'a>,
}

#[derive(serde::Deserialize)]
struct Attributes<'a> {
    #[serde(borrow, alias = "Rows")]
    rows: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Table<'a> {
    columns: Option<Vec<String>>,
    #[serde(borrow)]
    data: Option<Vec<&'a RawValue>>,
}

/// Makes an object of each list of values.
fn each_of_table(columns: &[String], data: &[&RawValue], sink: &mut impl RowSink) -> serde_json::Result<Envelope> {
    let labels: Vec<String> = columns.iter().map(|column| format!("{}:", Value::from(column.as_str()))).collect();
    let mut row = String::new();
    for values in data {
        let values: Vec<&RawValue> = serde_json::from_str(values.get())?;
        if values.len() != labels.len() {
            return Err(serde::de::Error::custom("a row has another number of values than there are columns"));
        }
        row.clear();
        for (label, value) in labels.iter().zip(values) {
            row.push(if row.is_empty() { '{' } else { ',' });
            row.push_str(label);
            row.push_str(value.get());
        }
        row.push('}');
        sink.row(&mut serde_json::Deserializer::from_str(&row))?;
    }
    Ok(Envelope { rows: Some(data.len() as u64), ..Envelope::default() })
}

/// Checks that an answer is whole and holds rows, before any of them is used. Returns what stands around them.
///
/// # Errors
/// `transient_error` for an answer that is cut or no JSON at all, Criteo's own errors where a 200 carries some, and
/// `system_error` for a shape that this connector does not know.
pub fn check(body: &str) -> Result<Envelope> {
    check_into(body, Shape::Plain, &mut CheckOnly)
}

/// As [`check`], with every row given to `sink` on the way.
///
/// # Errors
/// As [`check`].
pub fn check_into(body: &str, shape: Shape, sink: &mut impl RowSink) -> Result<Envelope> {
    let envelope = each(body, shape, sink).map_err(|error| match error.classify() {
        Category::Data => unknown_shape("its members are of other types"),
        category => Error::transient("Criteo sent an answer that is cut, or no JSON at all.").with_detail(format!(
            "line {}, column {}: {category:?}",
            error.line(),
            error.column()
        )),
    })?;
    if !envelope.errors.is_empty() {
        return Err(criteo_errors(&envelope.errors));
    }
    if envelope.rows.is_none() {
        return Err(unknown_shape(&format!("its members are {}", envelope.members.join(", "))));
    }
    Ok(envelope)
}

/// The error for an answer that holds its rows in no known place.
#[must_use]
pub fn unknown_shape(what: &str) -> Error {
    Error::system(format!(
        "Criteo sent an answer of a shape that this version of the connector does not know ({what}). Nothing was dropped; \
         update the connector."
    ))
}

/// The document: a bare list of rows or an envelope around them.
struct Answer<'a, S> {
    envelope: &'a mut Envelope,
    sink: &'a mut S,
}

impl<'de, S: RowSink> DeserializeSeed<'de> for Answer<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink> Visitor<'de> for Answer<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows or an object that holds them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        Rows { count: &mut self.envelope.rows, sink: self.sink }.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(member) = map.next_key::<String>()? {
            match member.as_str() {
                "data" | "Rows" | "rows" => {
                    map.next_value_seed(Rows { count: &mut self.envelope.rows, sink: self.sink })?;
                }
                "errors" => self.envelope.errors = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "warnings" => self.envelope.warnings = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "meta" | "metadata" => {
                    self.envelope.total_items = map.next_value::<Value>()?["totalItems"].as_u64();
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.envelope.members.push(member);
        }
        Ok(())
    }
}

/// The rows: a list, or the one object of an answer about a single one. `null` holds no place for rows.
struct Rows<'a, S> {
    count: &'a mut Option<u64>,
    sink: &'a mut S,
}

impl<'de, S: RowSink> DeserializeSeed<'de> for Rows<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink> Visitor<'de> for Rows<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<(), A::Error> {
        self.sink.row(serde::de::value::MapAccessDeserializer::new(map))?;
        *self.count = Some(self.count.unwrap_or(0) + 1);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let mut count = self.count.unwrap_or(0);
        while seq.next_element_seed(Row(self.sink))?.is_some() {
            count += 1;
        }
        *self.count = Some(count);
        Ok(())
    }
}

struct Row<'a, S>(&'a mut S);

impl<'de, S: RowSink> DeserializeSeed<'de> for Row<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        self.0.row(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::error::Kind;

    fn whole(body: &str) -> Envelope {
        each(body, Shape::Plain, &mut CheckOnly).unwrap()
    }

    #[test]
    fn every_reported_envelope_is_understood() {
        for body in [
            r#"{"data":[{"id":"1"},{"id":"2"}],"errors":[],"warnings":null,"meta":{"totalItems":7}}"#,
            r#"{"Rows":[{"Day":"2026-01-01"},{}],"Total":{"Clicks":"3"}}"#,
            r#"{"rows":[{},{}]}"#,
            " [ {}, {\"a\":[1]} ] ",
        ] {
            assert_eq!(whole(body).rows, Some(2), "{body}");
        }
        assert_eq!(whole(r#"{"data":{"id":"1"}}"#).rows, Some(1));
        assert_eq!(whole(r#"{"data":[],"metadata":{"totalItems":7}}"#).total_items, Some(7));
    }

    #[test]
    fn an_unknown_shape_has_no_rows_rather_than_zero() {
        for body in ["{}", r#"{"data":null,"errors":[{"code":"x"}]}"#, r#"{"items":[{}]}"#] {
            assert_eq!(whole(body).rows, None, "{body}");
        }
        assert_eq!(whole("[]").rows, Some(0));
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let kind = |body: &str| check(body).unwrap_err().kind;
        for cut in ["", "{\"Rows\":[{}", "<html>maintenance</html>"] {
            assert_eq!(kind(cut), Kind::Transient, "{cut}");
        }
        for unknown in ["null", "{}", r#"{"data":"x"}"#, r#"{"errors":{}}"#, r#"{"items":[]}"#] {
            assert_eq!(kind(unknown), Kind::System, "{unknown}");
        }
        let refused = r#"{"data":null,"errors":[{"type":"validation","code":"invalid","title":"no"}]}"#;
        assert_eq!(kind(refused), Kind::Config);
    }

    #[test]
    fn a_document_that_is_cut_or_goes_on_is_an_error() {
        let document = r#"{"Rows":[{"a":"1"},{"a":"2"}],"Total":{}}"#;
        for length in 0..document.len() {
            assert!(each(&document[..length], Shape::Plain, &mut CheckOnly).is_err(), "{length}");
        }
        assert!(each(&format!("{document}x"), Shape::Plain, &mut CheckOnly).is_err());
        assert!(each("<html>", Shape::Plain, &mut CheckOnly).is_err());
        assert!(each("null", Shape::Plain, &mut CheckOnly).is_err());
    }

    /// Keeps the text of every row.
    struct Texts(Vec<String>);

    impl RowSink for Texts {
        fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
            self.0.push(Value::deserialize(row)?.to_string());
            Ok(())
        }
    }

    #[test]
    fn rows_are_found_within_elements_and_tables() {
        for (shape, body) in [
            (Shape::Wrapped, r#"{"data":[{"type":"Report","attributes":{"rows":[{"a":1},{"a":2}]}}],"errors":[]}"#),
            (Shape::Wrapped, r#"{"data":[{"attributes":{"rows":[{"a":1}]}},{"attributes":{"rows":[{"a":2}]}}]}"#),
            (Shape::Wrapped, r#"{"data":[{"attributes":{"Rows":[{"a":1},{"a":2}]}}]}"#),
            (Shape::Wrapped, r#"[{"a":1},{"a":2}]"#),
            (Shape::Columns, r#"{"columns":["a"],"data":[[1],[2]],"rows":2,"links":{}}"#),
            (Shape::Columns, r#"{"data":[[1],[2]],"columns":["a"]}"#),
        ] {
            let mut rows = Texts(Vec::new());
            let envelope = each(body, shape, &mut rows).unwrap();
            assert_eq!(
                (envelope.rows, rows.0),
                (Some(2), vec![r#"{"a":1}"#.to_owned(), r#"{"a":2}"#.to_owned()]),
                "{body}"
            );
        }
        let mut rows = Texts(Vec::new());
        let each_a_row = r#"{"data":[{"attributes":{"a":1}},{"attributes":{"a":2}}]}"#;
        assert_eq!(each(each_a_row, Shape::Wrapped, &mut rows).unwrap().rows, Some(2));
        let empty = r#"{"data":[{"attributes":{"rows":[]}}]}"#;
        assert_eq!(check_into(empty, Shape::Wrapped, &mut CheckOnly).unwrap().rows, Some(0));
        assert_eq!(check_into(r#"{"columns":["a"],"data":[]}"#, Shape::Columns, &mut CheckOnly).unwrap().rows, Some(0));
        let uneven = r#"{"columns":["a","b"],"data":[[1]]}"#;
        assert!(check_into(uneven, Shape::Columns, &mut CheckOnly).is_err());
    }
}
