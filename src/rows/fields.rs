//! Maps members of a row to columns. All row readers use it, so that checks, sums and output agree.
//!
//! A [`Layout`] folds the spelling of a key (`AdsetId`, `adSetId` and `ad_set_id` are the same) when it first appears,
//! and then recognizes keys by comparing bytes in the order of the previous row. Nested objects are flattened:
//! `schedule.startDate.value` is the column `schedule_start_date`. `attributes` and `value` are transparent, and a
//! child that repeats its parent's name is not prefixed again (`budget.budgetAmount` is `budget_amount`).

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::products::marketing::metrics::{self, fold};
use crate::products::report::Report;
use crate::products::schema::ColumnType;
use crate::rows::envelope::{MAX_ROW_LEN, too_long};
use crate::support::scan;

/// The member in which API objects nest their fields.
const ATTRIBUTES: &str = "attributes";
/// The member that wraps a nullable value.
const VALUE: &str = "value";
/// Suffix of marketplace statistics columns that count the same seller only.
const SAME_SELLER: &str = "_same_seller";

#[derive(Debug)]
pub(crate) struct Layout {
    columns: Vec<String>,
    /// Folded API keys whose column has a different name.
    aliases: HashMap<String, usize>,
    places: Vec<Place>,
}

/// An object in a row: the row itself, its attributes, or a nested object.
#[derive(Debug, Default)]
struct Place {
    prefix: String,
    learned: Vec<(Box<str>, Destination)>,
    /// Index in `learned` by key, for keys that come out of order.
    places: HashMap<Box<str>, usize>,
    /// Index in `learned` of the key expected next.
    next: usize,
}

/// Most cached keys per object, more than any Criteo object has.
const MAX_LEARNED: usize = 1000;
/// Reported names of members without a column are cut to this length.
const MAX_UNKNOWN_LEN: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Destination {
    Column(usize),
    Place(usize),
    Ignored,
    Unknown,
}

impl Layout {
    /// The layout of rows with these columns. Report columns also have aliases.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>, report: Option<&Report>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let mut aliases = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            let Some(report) = report else { break };
            for dimension in metrics::DIMENSIONS.iter().filter(|dimension| dimension.alias == Some(name)) {
                aliases.insert(fold(dimension.name), index);
            }
            if report.endpoint.is_marketplace {
                // If there is a `_same_seller` column, the plain one counts any seller.
                let spellings = match name.strip_suffix(SAME_SELLER) {
                    None if names.contains(&&*format!("{name}{SAME_SELLER}")) => vec![format!("{name}_any_seller")],
                    _ => Vec::new(),
                };
                // Criteo's docs also spell `sale_units` as `sales_units`.
                let is_sale = |spelling: &String| spelling.starts_with("sale_units");
                let own = [(*name).to_owned()];
                let sales = own.iter().chain(&spellings).filter(|spelling| is_sale(spelling));
                let sales: Vec<_> = sales.map(|spelling| spelling.replacen("sale_", "sales_", 1)).collect();
                aliases.extend(spellings.iter().chain(&sales).map(|spelling| (fold(spelling), index)));
            }
        }
        Self { columns: names.into_iter().map(fold).collect(), aliases, places: vec![Place::default()] }
    }

    pub(crate) fn members(&self) -> Vec<&str> {
        let top = self.places.iter().filter(|place| place.prefix.is_empty());
        top.flat_map(|place| &place.learned)
            .filter(|(_, destination)| !matches!(destination, Destination::Place(_)))
            .map(|(key, _)| &**key)
            .collect()
    }

    fn destination(&mut self, place: usize, key: &str) -> Destination {
        let Place { learned, next, .. } = &mut self.places[place];
        if let Some((expected, destination)) = learned.get(*next)
            && **expected == *key
        {
            *next += 1;
            return *destination;
        }
        let Place { learned, places, next, .. } = &mut self.places[place];
        if let Some(&at) = places.get(key) {
            *next = at + 1;
            return learned[at].1;
        }
        let destination = self.find(place, key);
        let Place { learned, places, next, .. } = &mut self.places[place];
        if learned.len() < MAX_LEARNED {
            places.insert(key.into(), learned.len());
            learned.push((key.into(), destination));
            *next = learned.len();
        }
        destination
    }

    fn find(&mut self, place: usize, key: &str) -> Destination {
        let prefix = &self.places[place].prefix;
        let is_root = place == 0;
        let folded = fold(key);
        if is_root && folded == ATTRIBUTES {
            return self.new_place(String::new());
        }
        // `type` is the name of the API class, which changes with every version.
        if is_root && key.eq_ignore_ascii_case("type") {
            return Destination::Ignored;
        }
        let path = match prefix.as_str() {
            "" => folded,
            prefix if folded == VALUE => prefix.to_owned(),
            prefix if folded.starts_with(prefix) => folded,
            prefix => format!("{prefix}{folded}"),
        };
        let alias = if prefix.is_empty() { self.aliases.get(&path).copied() } else { None };
        if let Some(column) = alias.or_else(|| self.columns.iter().position(|column| *column == path)) {
            return Destination::Column(column);
        }
        if self.columns.iter().any(|column| column.starts_with(&path)) {
            return self.new_place(path);
        }
        Destination::Unknown
    }

    /// Several spellings of a nested object share one place.
    fn new_place(&mut self, prefix: String) -> Destination {
        if let Some(known) = self.places.iter().skip(1).position(|place| place.prefix == prefix) {
            return Destination::Place(known + 1);
        }
        self.places.push(Place { prefix, ..Place::default() });
        Destination::Place(self.places.len() - 1)
    }
}

pub(crate) trait Fields {
    /// Whether `unknown` is called for members without a column.
    const WANTS_UNKNOWN: bool;

    fn layout(&mut self) -> &mut Layout;

    /// Receives a column's value as JSON, still wrapped (see [`unwrapped`]).
    fn value<E: serde::de::Error>(&mut self, column: usize, raw: &str) -> Result<(), E>;

    fn unknown(&mut self, name: String, raw: &str);
}

/// # Errors
/// When the row is not an object or a value is rejected.
pub(crate) fn read<'de, F: Fields, D: Deserializer<'de>>(row: D, fields: &mut F) -> Result<(), D::Error> {
    RowAt { fields, place: 0 }.deserialize(row)
}

/// Removes `{"value": …}` wrappers; an empty wrapper is `null`.
pub(crate) fn unwrapped(raw: &str, column_type: ColumnType) -> &str {
    let mut raw = raw;
    while raw.starts_with('{') && column_type != ColumnType::Object {
        let (mut inside, mut is_empty) = (None, true);
        let walk = scan::members(raw, &mut |name, value| {
            is_empty = false;
            if name.eq_ignore_ascii_case(VALUE) {
                inside = Some(value);
            }
            Ok(())
        });
        match (walk, inside) {
            (Ok(()), _) if is_empty => return "null",
            (Ok(()), Some(value)) => raw = value,
            _ => break,
        }
    }
    raw
}

struct RowAt<'a, F> {
    fields: &'a mut F,
    place: usize,
}

impl<'de, F: Fields> DeserializeSeed<'de> for RowAt<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fields> Visitor<'de> for RowAt<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { fields, place } = self;
        fields.layout().places[place].next = 0;
        let mut length = 0;
        while let Some((destination, key)) = map.next_key_seed(Key { fields, place })? {
            let value: &'de RawValue = map.next_value()?;
            length += value.get().len();
            if length > MAX_ROW_LEN {
                return Err(A::Error::custom(too_long()));
            }
            match destination {
                Destination::Column(column) => fields.value(column, value.get())?,
                Destination::Place(nested) if value.get().starts_with('{') => {
                    let mut nested_row = serde_json::Deserializer::from_str(value.get());
                    RowAt { fields, place: nested }.deserialize(&mut nested_row).map_err(A::Error::custom)?;
                }
                // A null object has no fields.
                Destination::Place(_) if value.get() == "null" => {}
                Destination::Ignored => {}
                Destination::Place(_) | Destination::Unknown => {
                    if F::WANTS_UNKNOWN {
                        let prefix = &fields.layout().places[place].prefix;
                        let name = format!("{prefix}{}", key.unwrap_or_default());
                        fields.unknown(name, value.get());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Looks up the destination of a key; keeps the key if it may be unknown.
struct Key<'a, F> {
    fields: &'a mut F,
    place: usize,
}

impl<'de, F: Fields> DeserializeSeed<'de> for Key<'_, F> {
    type Value = (Destination, Option<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fields> Visitor<'_> for Key<'_, F> {
    type Value = (Destination, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let destination = self.fields.layout().destination(self.place, key);
        let is_wanted = F::WANTS_UNKNOWN && matches!(destination, Destination::Unknown | Destination::Place(_));
        Ok((destination, is_wanted.then(|| scan::short(key, MAX_UNKNOWN_LEN).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use crate::rows::fields::*;

    #[test]
    fn wrappers_are_removed_and_empty_ones_are_null() {
        for (raw, wanted) in [
            ("7", "7"),
            (r#"{"value":7}"#, "7"),
            (r#"{ "Value" : {"value":"a"} }"#, "\"a\""),
            (r#"{"value":null}"#, "null"),
            ("{}", "null"),
            ("{ }", "null"),
            (r#"{"v\u0061lue":1}"#, "1"),
            (r#"{"other":1}"#, r#"{"other":1}"#),
        ] {
            assert_eq!(unwrapped(raw, ColumnType::Text), wanted, "{raw}");
        }
        assert_eq!(unwrapped("{}", ColumnType::Object), "{}");
    }
}
