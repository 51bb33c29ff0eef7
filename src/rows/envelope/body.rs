//! Walks through a document: rows in any of the reported places, and what is around them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rows::envelope::announcements::{
    NEXT, announced, count, folded, is_next, is_total, links_lead_on, object_leads_on,
};
use crate::rows::envelope::table::Table;
use crate::rows::envelope::{Envelope, RowSink, Shape};
use crate::support::scan;

/// The document: a bare list of rows or an envelope around them.
pub(super) struct ResponseBody<'a, 'de, S> {
    pub(super) envelope: &'a mut Envelope,
    pub(super) table: &'a mut Table<'de>,
    pub(super) shape: Shape,
    pub(super) sink: &'a mut S,
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
                let total = scan::member(raw, is_total);
                self.envelope.announce(total.and_then(announced));
                let count = scan::member(raw, |name| folded(name) == "count").and_then(announced);
                self.envelope.count = count.or(self.envelope.count);
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
                "data" if S::IS_RAW => {
                    let data: &'de RawValue = map.next_value()?;
                    self.rows().raw(data.get()).map_err(serde::de::Error::custom)?;
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

    fn raw(mut self, raw: &'de str) -> serde_json::Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        if !raw.starts_with('{') {
            return self.deserialize(&mut deserializer);
        }
        self.sink.row(&mut deserializer)?;
        self.add(1);
        Ok(())
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
