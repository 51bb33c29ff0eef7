//! Turns the bytes of a response into rows, without a document tree.
//!
//! Criteo does not document the JSON of its reports. These envelopes have been reported; every report accepts all of
//! them, with member names in any case:
//!
//! | shape | seen for |
//! | --- | --- |
//! | `{"data":[…],"errors":[],"warnings":[],"meta":{…}}` | objects (`OpenAPI` documents) |
//! | `{"data":{…}}` | single objects (`OpenAPI` documents) |
//! | `{"Rows":[…],"Total":{…}}`, also `rows` | statistics (reported for API 2026-07) |
//! | `[…]` | statistics (reported for API 2026-01), marketplace objects (`OpenAPI` documents) |
//! | `{"data":[{"attributes":{"rows":[…]}}]}`, `{"data":[{"attributes":{…}},…]}` | placements, transactions (reported) |
//! | `{"columns":[…],"data":[[…],…],"rows":2}` | marketplace statistics (`OpenAPI` documents) |
//!
//! Errors, warnings and announced row counts are honored in every shape. Any other shape is an error, never an empty
//! report.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Cause, Error, Result};
use crate::products::marketing::metrics::fold;
use crate::rows::decimal::Decimal;
use crate::rows::notices::{Notices, criteo_errors};
use crate::support::scan;
use crate::support::text::excerpt;

/// Receives the rows of a response one by one.
pub trait RowSink {
    /// Consumes one row.
    ///
    /// # Errors
    /// If the whole response is unusable.
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error>;
}

/// In bytes; a row's record is in memory together with the response.
pub(crate) const MAX_ROW_LEN: usize = 4 * 1024 * 1024;
const MAX_COLUMNS: usize = 1000;
const MAX_LISTS: usize = 100;
/// Members of an unknown shape that are reported, and characters of each.
const MAX_MEMBERS: usize = 20;
const MAX_MEMBER_LEN: usize = 100;
/// Of column names and numbers.
const MAX_NAME_LEN: usize = 256;

/// The possible shapes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A list of objects, bare or in `data`.
    #[default]
    Plain,
    /// Rows of a report, in any of the reported places.
    Report,
}

/// Checks the syntax of every row and nothing else.
pub struct CheckOnly;

impl RowSink for CheckOnly {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        row.deserialize_ignored_any(IgnoredAny).map(|_| ())
    }
}

/// What a response says besides its rows.
#[derive(Debug, Default)]
pub struct Envelope {
    /// The number of rows; `None` if no place for rows was found.
    pub rows: Option<u64>,
    /// `errors[]`: a 200 can carry them.
    pub errors: Notices,
    /// `warnings[]`.
    pub warnings: Notices,
    /// The announced rows: `meta.totalItems`, `metadata.totalItems`, or `rows` beside a table.
    pub total_items: Option<u64>,
    /// Whether it announces another page: a link, a token, a flag.
    pub has_more: bool,
    /// The first members, to describe an unknown shape.
    pub members: Vec<String>,
}

/// Members that announce another page, as [`fold`] spells them.
const NEXT: &[&str] = &[
    "next",
    "nextpage",
    "nextlink",
    "nextpagetoken",
    "nexttoken",
    "nextcursor",
    "continuationtoken",
    "hasmore",
    "hasnext",
    "hasnextpage",
];
/// Links that do not announce another page.
const OTHER_LINKS: &[&str] =
    &["self", "first", "last", "prev", "previous", "current", "related", "describedby", "about", "help"];

impl Envelope {
    /// Whether it announces more rows than it holds, or says that it was truncated.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.warnings.is_row_limit
            || self.has_more
            || self.total_items.is_some_and(|total| total > self.rows.unwrap_or(0))
    }

    /// Checks that a response without pages announces no more than `held` of `what`.
    ///
    /// # Errors
    /// `Cause::MoreAnnounced`.
    pub fn must_be_whole(&self, held: u64, what: &str) -> Result<()> {
        let announced = match self.total_items.filter(|total| *total > held) {
            Some(total) => format!("{total} {what} but sent {held}"),
            None if self.has_more => format!("another page after {held} {what}"),
            None => return Ok(()),
        };
        Err(Error::system(format!(
            "Criteo announced {announced}, although it documents no pages here. No rows were silently dropped. Update \
             the connector."
        ))
        .because(Cause::MoreAnnounced))
    }

    fn announce(&mut self, rows: Option<u64>) {
        self.total_items = self.total_items.max(rows);
    }

    fn note_member(&mut self, name: &str) {
        if self.members.len() < MAX_MEMBERS {
            self.members.push(excerpt(&scan::short(name, MAX_MEMBER_LEN)));
        }
    }
}

fn folded(name: &str) -> String {
    fold(&scan::short(name, MAX_NAME_LEN))
}

/// Whether a member announces another page.
fn is_next(name: &str, raw: &str) -> bool {
    NEXT.contains(&folded(name).as_str()) && !is_nothing(raw)
}

/// Links may be an object or a list.
fn links_lead_on(links: &str) -> bool {
    let mut leads_on = object_leads_on(links, true);
    // Cannot fail: the string is part of a valid document.
    let _ = scan::items(links, &mut |link| {
        let relation = scan::member(link, |name| name.eq_ignore_ascii_case("rel"));
        leads_on |= match relation.and_then(|raw| scan::text(raw, MAX_NAME_LEN)) {
            Some(relation) => relation.eq_ignore_ascii_case("next") && !is_nothing(link),
            None => object_leads_on(link, false),
        };
        Ok(())
    });
    leads_on
}

/// Among links, unknown members count, too.
fn object_leads_on(object: &str, is_of_links: bool) -> bool {
    let mut leads_on = false;
    // Cannot fail: the string is part of a valid document.
    let _ = scan::members(object, &mut |name, raw| {
        let is_known = || OTHER_LINKS.contains(&folded(name).as_str());
        leads_on |= is_next(name, raw) || is_of_links && !is_known() && !is_nothing(raw);
        Ok(())
    });
    leads_on
}

/// Whether a value or link is empty.
fn is_nothing(raw: &str) -> bool {
    const WORDS: &[&str] = &["", "null", "false", "no", "0"];
    let is_empty = |open, close| {
        raw.strip_prefix(open).and_then(|raw| raw.strip_suffix(close)).is_some_and(|inside| inside.trim().is_empty())
    };
    let word = raw.trim_matches('"');
    WORDS.iter().any(|nothing| word.eq_ignore_ascii_case(nothing))
        || is_empty('{', '}')
        || is_empty('[', ']')
        || scan::member(raw, |name| name.eq_ignore_ascii_case("href")).is_some_and(is_nothing)
}

/// A row count may be a string or have decimals.
fn count(text: &str) -> Option<u64> {
    Decimal::parse(text.trim())?.whole()?.parse().ok()
}

fn announced(raw: &str) -> Option<u64> {
    count(&scan::text(raw, MAX_NAME_LEN)?)
}

/// Passes every row of a response to `sink`.
///
/// # Errors
/// If the body is not one complete JSON document or the sink refuses a row.
pub fn each(body: &str, shape: Shape, sink: &mut impl RowSink) -> serde_json::Result<Envelope> {
    let mut envelope = Envelope::default();
    let mut table = Table { document: body, columns: None, lists: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    ResponseBody { envelope: &mut envelope, table: &mut table, shape, sink }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    table.each(sink)?;
    Ok(envelope)
}

/// Rows as lists of values, before or after the column names.
struct Table<'de> {
    document: &'de str,
    columns: Option<&'de str>,
    /// Lists of rows, with their brackets.
    lists: Vec<&'de str>,
}

impl Table<'_> {
    fn each(&self, sink: &mut impl RowSink) -> serde_json::Result<()> {
        if self.lists.is_empty() {
            return Ok(());
        }
        let columns = self.columns.ok_or_else(|| error("lists of values without column names"))?;
        let labels = labels(columns)?;
        let mut row = String::new();
        for list in &self.lists {
            scan::items(list, &mut |values| {
                row_of(values, &labels, &mut row)?;
                sink.row(&mut serde_json::Deserializer::from_str(&row)).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    }

    /// Registers the list with these first and last items.
    fn add(&mut self, first: &str, last: &str) -> Option<()> {
        let start = first.as_ptr().addr().checked_sub(self.document.as_ptr().addr())?;
        let end = last.as_ptr().addr().checked_sub(self.document.as_ptr().addr())? + last.len();
        let open = self.document.get(..start)?.trim_end().len().checked_sub(1)?;
        let rest = self.document.get(end..)?;
        let close = end + rest.len() - rest.trim_start().len();
        self.lists.push(self.document.get(open..=close)?);
        (self.lists.len() <= MAX_LISTS).then_some(())
    }
}

fn error(what: &str) -> serde_json::Error {
    serde::de::Error::custom(what)
}

/// Each column as the start of an object's member.
fn labels(columns: &str) -> serde_json::Result<Vec<String>> {
    let mut labels = Vec::new();
    scan::items(columns, &mut |column| {
        let name = match scan::member(column, |name| name.eq_ignore_ascii_case("name")) {
            Some(name) => scan::text(name, MAX_NAME_LEN),
            None => scan::text(column, MAX_NAME_LEN).filter(|_| column.starts_with('"')),
        };
        let name = name.ok_or("a column without a name")?;
        labels.push(format!("{}:", Value::from(name)));
        if labels.len() > MAX_COLUMNS { Err(format!("more than {MAX_COLUMNS} columns")) } else { Ok(()) }
    })?;
    Ok(labels)
}

fn row_of(values: &str, labels: &[String], row: &mut String) -> std::result::Result<(), String> {
    const UNEVEN: &str = "a row has more or fewer values than there are columns";
    if !values.starts_with('[') {
        return Err("a row that is not a list of values".to_owned());
    }
    row.clear();
    row.push('{');
    let mut left = labels.iter();
    let written = scan::items(values, &mut |value| {
        let label = left.next().ok_or(UNEVEN)?;
        row.push_str(if row.len() == 1 { "" } else { "," });
        row.push_str(label);
        row.push_str(value);
        if row.len() > MAX_ROW_LEN { Err(too_long()) } else { Ok(()) }
    });
    written.map_err(|error| error.to_string())?;
    row.push('}');
    if left.next().is_some() { Err(UNEVEN.to_owned()) } else { Ok(()) }
}

pub(crate) fn too_long() -> String {
    format!("a row is larger than {} MiB", MAX_ROW_LEN / 1024 / 1024)
}

/// Checks that a response is complete and holds rows, and returns what surrounds them.
///
/// # Errors
/// `transient_error` if it is truncated or not JSON, Criteo's errors if a 200 carries some, `system_error` for an
/// unknown shape.
pub fn check(body: &str) -> Result<Envelope> {
    check_into(body, Shape::Plain, &mut CheckOnly)
}

/// Like [`check`], and passes every row to `sink`.
///
/// # Errors
/// Like [`check`].
pub fn check_into(body: &str, shape: Shape, sink: &mut impl RowSink) -> Result<Envelope> {
    let envelope = each(body, shape, sink).map_err(|error| match error.classify() {
        Category::Data => unknown_shape("unexpected types").with_detail(excerpt(&error.to_string())),
        category => Error::transient("Criteo sent a truncated response, or one that is not JSON.")
            .with_detail(format!("line {}, column {}: {category:?}", error.line(), error.column())),
    })?;
    // guard: errors-in-response
    if envelope.errors.count > 0 {
        return Err(criteo_errors(&envelope.errors));
    }
    // guard: unknown-shape
    if envelope.rows.is_none() {
        return Err(unknown_shape(&format!("its members are {}", envelope.members.join(", "))));
    }
    Ok(envelope)
}

/// The error for a response without a known place for rows.
#[must_use]
pub fn unknown_shape(what: &str) -> Error {
    Error::system(format!(
        "Criteo sent a response in an unknown format ({what}). No rows were dropped. Update the connector."
    ))
}

/// The document: a bare list of rows or an envelope around them.
struct ResponseBody<'a, 'de, S> {
    envelope: &'a mut Envelope,
    table: &'a mut Table<'de>,
    shape: Shape,
    sink: &'a mut S,
}

impl<'de, S: RowSink> ResponseBody<'_, 'de, S> {
    fn rows(&mut self) -> Rows<'_, 'de, S> {
        Rows { envelope: self.envelope, table: self.table, shape: self.shape, sink: self.sink }
    }

    fn around(&mut self, name: &str, raw: &'de str) {
        match name {
            "errors" | "error" => self.envelope.errors.add(raw),
            "warnings" => self.envelope.warnings.add(raw),
            "columns" => self.table.columns = Some(raw),
            "links" => self.envelope.has_more |= links_lead_on(raw),
            "meta" | "metadata" | "paging" | "pagination" | "page" | "pageinfo" => {
                let links = scan::member(raw, |name| folded(name) == "links");
                self.envelope.has_more |= object_leads_on(raw, false) || links.is_some_and(links_lead_on);
                let total = scan::member(raw, |name| folded(name) == "totalitems");
                self.envelope.announce(total.and_then(announced));
            }
            _ => self.envelope.has_more |= is_next(name, raw),
        }
    }
}

impl<'de, S: RowSink> DeserializeSeed<'de> for ResponseBody<'_, 'de, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink> Visitor<'de> for ResponseBody<'_, 'de, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows or an object that holds them")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, seq: A) -> std::result::Result<(), A::Error> {
        self.rows().visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(member) = map.next_key_seed(scan::Name)? {
            let name = folded(&member);
            match name.as_str() {
                "data" if self.shape == Shape::Report => {
                    let data: &'de RawValue = map.next_value()?;
                    self.rows().data(data.get()).map_err(serde::de::Error::custom)?;
                }
                "data" | "rows" => map.next_value_seed(self.rows())?,
                "errors" | "error" | "warnings" | "meta" | "metadata" | "columns" | "links" | "paging"
                | "pagination" | "page" | "pageinfo" => {
                    let raw: &'de RawValue = map.next_value()?;
                    self.around(&name, raw.get());
                }
                name if NEXT.contains(&name) => {
                    let raw: &'de RawValue = map.next_value()?;
                    self.around(name, raw.get());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.envelope.note_member(&member);
        }
        Ok(())
    }
}

/// The rows: a list, or a single object. `null` is no place for rows.
struct Rows<'a, 'de, S> {
    envelope: &'a mut Envelope,
    table: &'a mut Table<'de>,
    shape: Shape,
    sink: &'a mut S,
}

impl<'de, S: RowSink> Rows<'_, 'de, S> {
    fn announced<E: serde::de::Error>(self, rows: &str) -> std::result::Result<(), E> {
        match count(rows).filter(|_| self.shape == Shape::Report) {
            Some(rows) => {
                self.envelope.announce(Some(rows));
                Ok(())
            }
            None => Err(E::custom("no list of rows")),
        }
    }

    fn add(&mut self, rows: u64) {
        self.envelope.rows = Some(self.envelope.rows.unwrap_or(0) + rows);
    }

    fn data(mut self, raw: &'de str) -> serde_json::Result<()> {
        if raw.starts_with('{') {
            return self.element(raw);
        }
        self.deserialize(&mut serde_json::Deserializer::from_str(raw))
    }

    /// Reads an element that holds rows in its attributes, or is a row itself.
    fn element(&mut self, raw: &'de str) -> serde_json::Result<()> {
        let Some(inside) = rows_within(raw) else {
            self.sink.row(&mut serde_json::Deserializer::from_str(raw))?;
            self.add(1);
            return Ok(());
        };
        let rows = Rows { envelope: self.envelope, table: self.table, shape: Shape::Plain, sink: self.sink };
        rows.deserialize(&mut serde_json::Deserializer::from_str(inside))
    }
}

fn member_of<'de>(raw: &'de str, wanted: &str) -> Option<&'de str> {
    scan::member(raw, |name| name.eq_ignore_ascii_case(wanted))
}

fn rows_within(raw: &str) -> Option<&str> {
    let attributes = member_of(raw, "attributes")?;
    let rows = member_of(attributes, "rows")?;
    rows.starts_with('[').then_some(rows)
}

impl<'de, S: RowSink> DeserializeSeed<'de> for Rows<'_, 'de, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink> Visitor<'de> for Rows<'_, 'de, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    /// Beside a table, `rows` is the row count.
    fn visit_u64<E: serde::de::Error>(self, rows: u64) -> std::result::Result<(), E> {
        self.announced(&rows.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, rows: f64) -> std::result::Result<(), E> {
        self.announced(&rows.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, rows: &str) -> std::result::Result<(), E> {
        self.announced(rows)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> std::result::Result<(), A::Error> {
        self.sink.row(serde::de::value::MapAccessDeserializer::new(map))?;
        self.add(1);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> std::result::Result<(), A::Error> {
        let mut count = 0;
        if self.shape == Shape::Report {
            self.add(0);
            // The first element shows the shape of all.
            let Some(first) = seq.next_element::<&'de RawValue>()? else { return Ok(()) };
            if first.get().starts_with('[') {
                let mut last = first;
                count += 1;
                while let Some(values) = seq.next_element()? {
                    last = values;
                    count += 1;
                }
                self.add(count);
                let noted = self.table.add(first.get(), last.get());
                return noted.ok_or_else(|| serde::de::Error::custom("lists of values in too many places"));
            }
            let is_wrapped = member_of(first.get(), "attributes").is_some();
            self.element(first.get()).map_err(serde::de::Error::custom)?;
            while is_wrapped && let Some(element) = seq.next_element::<&'de RawValue>()? {
                self.element(element.get()).map_err(serde::de::Error::custom)?;
            }
        }
        while seq.next_element_seed(Row(self.sink))?.is_some() {
            count += 1;
        }
        self.add(count);
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
    use crate::rows::envelope::*;

    use crate::error::Kind;
    use serde::de::Deserialize as _;

    fn whole(body: &str) -> Envelope {
        each(body, Shape::Plain, &mut CheckOnly).unwrap()
    }

    #[test]
    fn every_reported_envelope_is_parsed() {
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
    fn an_unknown_format_is_not_an_empty_report() {
        for body in ["{}", r#"{"data":null,"errors":[{"code":"x"}]}"#, r#"{"items":[{}]}"#] {
            assert_eq!(whole(body).rows, None, "{body}");
        }
        assert_eq!(whole("[]").rows, Some(0));
    }

    #[test]
    fn non_json_responses_are_distinguished() {
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
    fn a_truncated_or_trailing_document_is_an_error() {
        let document = r#"{"Rows":[{"a":"1"},{"a":"2"}],"Total":{}}"#;
        for length in 0..document.len() {
            assert!(each(&document[..length], Shape::Plain, &mut CheckOnly).is_err(), "{length}");
        }
        assert!(each(&format!("{document}x"), Shape::Plain, &mut CheckOnly).is_err());
        assert!(each("<html>", Shape::Plain, &mut CheckOnly).is_err());
        assert!(each("null", Shape::Plain, &mut CheckOnly).is_err());
    }

    /// Keeps the JSON of every row.
    struct Texts(Vec<String>);

    impl RowSink for Texts {
        fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
            self.0.push(Value::deserialize(row)?.to_string());
            Ok(())
        }
    }

    #[test]
    fn every_report_is_parsed_in_every_envelope() {
        for body in [
            r#"[{"a":1},{"a":2}]"#,
            r#"{"Rows":[{"a":1},{"a":2}],"Total":{}}"#,
            r#"{"ROWS":[{"a":1},{"a":2}]}"#,
            r#"{"data":[{"a":1},{"a":2}]}"#,
            r#"{"Data":[{"type":"Report","Attributes":{"Rows":[{"a":1},{"a":2}]}}],"errors":[]}"#,
            r#"{"data":[{"attributes":{"rows":[{"a":1}]}},{"attributes":{"rows":[{"a":2}]}}]}"#,
            r#"{"data":{"attributes":{"rows":[{"a":1},{"a":2}]}}}"#,
            r#"[{"attributes":{"rows":[{"a":1},{"a":2}]}}]"#,
            r#"{"columns":["a"],"data":[[1],[2]],"rows":2,"links":{}}"#,
            r#"{"rows":"2","Data":[[1],[2]],"Columns":[{"name":"a"}]}"#,
            r#"{"columns":["a"],"rows":[[1],[2]]}"#,
        ] {
            let mut rows = Texts(Vec::new());
            let envelope = each(body, Shape::Report, &mut rows).unwrap();
            assert_eq!(rows.0, [r#"{"a":1}"#, r#"{"a":2}"#], "{body}");
            assert_eq!((envelope.rows, envelope.is_short()), (Some(2), false), "{body}");
        }
        let mut rows = Texts(Vec::new());
        let each_a_row = r#"{"data":[{"attributes":{"a":1}},{"attributes":{"a":2}}]}"#;
        assert_eq!(each(each_a_row, Shape::Report, &mut rows).unwrap().rows, Some(2));
        for empty in [
            "[]",
            r#"{"Rows":[]}"#,
            r#"{"data":[]}"#,
            r#"{"data":[{"attributes":{"rows":[]}}]}"#,
            r#"{"columns":["a"],"data":[]}"#,
            r#"{"columns":["a"],"data":[],"rows":0}"#,
        ] {
            assert_eq!(check_into(empty, Shape::Report, &mut CheckOnly).unwrap().rows, Some(0), "{empty}");
        }
    }

    #[test]
    fn reports_without_a_rows_member_are_rejected_with_their_member_names() {
        for body in [
            r#"{"Rows":null}"#,
            r#"{"rows":7}"#,
            r#"{"columns":["a"],"rows":0}"#,
            r#"{"columns":["a","b"],"data":[[1]]}"#,
            r#"{"data":[[1]]}"#,
            r#"{"data":7}"#,
            "{}",
            "null",
        ] {
            let error = check_into(body, Shape::Report, &mut CheckOnly).unwrap_err();
            assert_eq!(error.kind, Kind::System, "{body}");
        }
        let error = check_into(r#"{"items":[{}],"next":1}"#, Shape::Report, &mut CheckOnly).unwrap_err();
        assert!(error.message.contains("items, next"), "{}", error.message);
    }

    #[test]
    fn errors_and_warnings_around_the_rows_are_read_in_every_format() {
        for rows in [
            r#""Rows":[{}]"#,
            r#""data":[{}]"#,
            r#""columns":["a"],"data":[[1]]"#,
            r#""data":[{"attributes":{"rows":[{}]}}]"#,
        ] {
            let envelope = |more: &str| check_into(&format!("{{{rows},{more}}}"), Shape::Report, &mut CheckOnly);
            for short in [
                r#""warnings":[{"code":"row-limit-exceeded"}]"#,
                r#""Warnings":[{"Code":"ROW_LIMIT_EXCEEDED"}]"#,
                r#""meta":{"totalItems":2}"#,
                r#""Metadata":{"TotalItems":"2"}"#,
                r#""meta":{"totalItems":2.0}"#,
                r#""links":{"next":"https://api.example/2"}"#,
                r#""links":{"self":"/1","page2":"/2"}"#,
                r#""Links":[{"rel":"Next","href":"/2"}]"#,
                r#""meta":{"links":{"next":"/2"}}"#,
                r#""metadata":{"continuationToken":"x"}"#,
                r#""nextPageToken":"x""#,
                r#""paging":{"has_more":true}"#,
                r#""page_info":{"has_next_page":"True"}"#,
                r#""Meta":{"total_items":2}"#,
                r#""_links":{"next":{"href":"/2"}}"#,
            ] {
                assert!(envelope(short).unwrap().is_short(), "{rows} {short}");
            }
            for whole in [
                r#""warnings":[{"code":"other"}]"#,
                r#""meta":{"totalItems":"1"}"#,
                r#""errors":[]"#,
                r#""errors":null"#,
                r#""links":{}"#,
                r#""links":null"#,
                r#""links":{"self":"/1","last":"/1","next":null}"#,
                r#""links":[{"rel":"self","href":"/1"}]"#,
                r#""nextPageToken":"","meta":{"hasMore":false}"#,
                r#""links":{"self":"/1","related":"/x","describedby":{"href":"/y"}}"#,
                r#""links":{"next":{"href":null}}"#,
                r#""links":[{"rel":"next","href":""}]"#,
                r#""links":[{"href":"/1"}]"#,
                r#""hasMore":"False","meta":{"has_next":0,"links":{"next":"No"}}"#,
            ] {
                assert!(!envelope(whole).unwrap().is_short(), "{rows} {whole}");
            }
            for refused in [r#""errors":[{"code":"x"}]"#, r#""Errors":{"title":"no"}"#, r#""error":"no""#] {
                assert_eq!(envelope(refused).unwrap_err().kind, Kind::Transient, "{rows} {refused}");
            }
        }
        assert!(
            check_into(r#"{"columns":["a"],"data":[[1]],"rows":"2"}"#, Shape::Report, &mut CheckOnly)
                .unwrap()
                .is_short()
        );
    }
}
