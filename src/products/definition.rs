//! A line in a table of streams, and what the tables of both products say together. Names are unique among all tables.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::ids::ApiVersion;
use crate::model::product::Product;
use crate::products::endpoint::ReportEndpoint;
use crate::products::fan_out::{FanOut, NOTHING, ParentStream};
use crate::products::report::ReportOptions;
use crate::products::{
    Entity, Permission, Placeholder, QueryParam, Request, Rest, RowsOf, Source, Stream, marketing, retail_media,
};

/// A stream.
pub(crate) struct StreamDef {
    pub name: &'static str,
    pub schema: &'static str,
    pub permission: Permission,
    pub kind: Kind,
}

/// What a stream reads.
pub(crate) enum Kind {
    Entity { entity: Entity, primary_key: &'static [&'static str] },
    Report { dimensions: &'static [&'static str], metrics: &'static [&'static str] },
    FixedReport(FixedReport),
    LogLevel,
}

/// A report with fixed columns.
pub(crate) struct FixedReport {
    pub endpoint: &'static ReportEndpoint,
    pub dimensions: &'static [&'static str],
    pub metrics: &'static [&'static str],
    pub primary_key: &'static [&'static str],
    pub since: Option<&'static str>,
}

/// An object stream with the key `id`, before changes.
pub(crate) const fn entity(
    name: &'static str,
    schema: &'static str,
    permission: Permission,
    path: &'static str,
    request: Request,
) -> StreamDef {
    let entity = Entity {
        path,
        query: &[],
        request,
        each: &NOTHING,
        columns: &[],
        since: None,
        rest: None,
        has_updates: false,
        until: None,
        rows: RowsOf::Objects,
        is_bare: false,
        has_empty_keys: false,
        is_numbered: false,
        is_limited: false,
    };
    StreamDef { name, schema, permission, kind: Kind::Entity { entity, primary_key: &["id"] } }
}

impl StreamDef {
    /// Whether this API version has the stream. Undated versions count as newest, but lack some streams.
    pub(crate) fn is_in(&self, version: &ApiVersion, not_in_preview: &[&str]) -> bool {
        if !version.0.starts_with("20") && not_in_preview.contains(&self.name) {
            return false;
        }
        let until = if let Kind::Entity { entity, .. } = &self.kind { entity.until } else { None };
        self.first_version().is_none_or(|since| version.0.as_str() >= since)
            && until.is_none_or(|until| version.0.as_str() < until)
    }

    /// The first API version with the stream; `None` if every supported version has it.
    pub(crate) fn first_version(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Entity { entity, .. } => entity.since,
            Kind::FixedReport(fixed_report) => fixed_report.since,
            Kind::Report { .. } | Kind::LogLevel => None,
        }
    }

    const fn with(mut self, change: Change) -> Self {
        if let Kind::Entity { entity, primary_key } = &mut self.kind {
            match change {
                Change::FanOut(each, columns) => (entity.each, entity.columns) = (each, columns),
                Change::Query(query) => entity.query = query,
                Change::Key(key) => *primary_key = key,
                Change::Since(version) => entity.since = Some(version),
                Change::Rest(rest) => entity.rest = Some(rest),
                Change::Updates => entity.has_updates = true,
                Change::Until(version) => entity.until = Some(version),
                Change::Rows(rows) => entity.rows = rows,
                Change::Bare => entity.is_bare = true,
                Change::EmptyKeys => entity.has_empty_keys = true,
                Change::Numbered => entity.is_numbered = true,
                Change::Limited => entity.is_limited = true,
            }
        }
        self
    }

    /// Sends one request per item, and adds columns that the rows lack.
    pub(crate) const fn each(self, each: &'static FanOut, columns: &'static [Placeholder]) -> Self {
        self.with(Change::FanOut(each, columns))
    }

    pub(crate) const fn query(self, query: &'static [QueryParam]) -> Self {
        self.with(Change::Query(query))
    }

    pub(crate) const fn key(self, key: &'static [&'static str]) -> Self {
        self.with(Change::Key(key))
    }

    pub(crate) const fn since(self, version: &'static str) -> Self {
        self.with(Change::Since(version))
    }

    /// Adds a second request, for objects that the first one omits.
    pub(crate) const fn rest(self, rest: Rest) -> Self {
        self.with(Change::Rest(rest))
    }

    /// Its objects have `updatedAt`, so it can be read incrementally.
    pub(crate) const fn updates(self) -> Self {
        self.with(Change::Updates)
    }

    /// Gone in this API version and later ones.
    pub(crate) const fn until(self, version: &'static str) -> Self {
        self.with(Change::Until(version))
    }

    pub(crate) const fn rows(self, rows: RowsOf) -> Self {
        self.with(Change::Rows(rows))
    }

    /// The response may be the object itself, without an envelope.
    pub(crate) const fn bare(self) -> Self {
        self.with(Change::Bare)
    }

    /// Key columns of strings may have no value.
    pub(crate) const fn empty_keys(self) -> Self {
        self.with(Change::EmptyKeys)
    }

    /// Its objects have no id, so rows with one key are numbered.
    pub(crate) const fn numbered(self) -> Self {
        self.with(Change::Numbered)
    }

    /// Criteo gives access to chosen apps only.
    pub(crate) const fn limited(self) -> Self {
        self.with(Change::Limited)
    }
}

#[derive(Clone, Copy)]
enum Change {
    FanOut(&'static FanOut, &'static [Placeholder]),
    Query(&'static [QueryParam]),
    Key(&'static [&'static str]),
    Since(&'static str),
    Rest(Rest),
    Updates,
    Until(&'static str),
    Rows(RowsOf),
    Bare,
    EmptyKeys,
    Numbered,
    Limited,
}

/// The lines of all tables.
fn all() -> impl Iterator<Item = &'static StreamDef> {
    marketing::STREAMS.iter().chain(retail_media::STREAMS)
}

#[cfg(test)]
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    all().map(|def| def.name)
}

fn named(name: &str) -> Option<&'static StreamDef> {
    all().find(|def| def.name == name)
}

/// All streams of this configuration, in reading order.
#[must_use]
pub fn streams(options: &ReportOptions) -> Vec<Stream> {
    match options.product {
        Product::MarketingSolutions => marketing::streams(options),
        Product::RetailMedia => retail_media::streams(options),
    }
}

/// The endpoint of an object stream; `None` for reports and unknown names.
#[must_use]
pub fn entity_of(name: &str) -> Option<Entity> {
    named(name).and_then(|def| match &def.kind {
        Kind::Entity { entity, .. } => Some(*entity),
        Kind::Report { .. } | Kind::FixedReport(_) | Kind::LogLevel => None,
    })
}

/// The permission that a built-in stream needs.
#[must_use]
pub fn permission_of(name: &str) -> Option<Permission> {
    named(name).map(|def| def.permission)
}

/// The first API version of a built-in stream; `None` if every supported version has it, and for unknown names.
#[must_use]
pub fn since_of(name: &str) -> Option<&'static str> {
    named(name).and_then(StreamDef::first_version)
}

fn entities() -> impl Iterator<Item = &'static Entity> {
    all().filter_map(|def| match &def.kind {
        Kind::Entity { entity, .. } => Some(entity),
        Kind::Report { .. } | Kind::FixedReport(_) | Kind::LogLevel => None,
    })
}

/// Streams whose objects are needed to read other streams; some occur more than once.
pub(crate) fn parent_streams() -> impl Iterator<Item = &'static ParentStream> {
    entities().flat_map(|entity| entity.each.streams)
}

/// The members of parent objects that are needed to read other streams.
pub(crate) fn parent_members() -> BTreeSet<&'static str> {
    let members = entities().flat_map(|entity| {
        let of_values = entity.each.values.iter().map(|(_, member)| *member);
        of_values.chain(entity.each.filter.map(|(member, _)| member))
    });
    members.collect()
}

/// Whether other streams need the objects of this one.
#[must_use]
pub fn is_parent(name: &str) -> bool {
    parent_streams().any(|parent| parent.name == name)
}

impl StreamDef {
    /// The stream, with the schema from its file.
    pub(crate) fn schema(&self) -> Value {
        serde_json::from_str(self.schema).unwrap_or(Value::Null)
    }

    pub(crate) fn stream(&self, schema: Value, primary_key: Vec<String>, source: Source) -> Stream {
        Stream { name: self.name.to_owned(), schema, primary_key, permission: self.permission, source }
    }
}

#[cfg(test)]
mod tests {
    use crate::products::definition::*;
    use crate::products::schema::ColumnType;

    /// Criteo sends some ids as numbers, of up to 19 digits. Ids of strings fit every type of join.
    #[test]
    fn ids_are_strings_and_so_are_ids_in_lists() {
        let is_id = |column: &str| matches!(column.rsplit('_').next(), Some("id" | "ids"));
        let mut ids = 0;
        for def in all() {
            let schema = def.schema();
            let columns = schema["properties"].as_object().unwrap().iter();
            for (column, property) in columns.filter(|(column, _)| is_id(column)) {
                let expected = if column.ends_with('s') { ColumnType::Texts } else { ColumnType::Text };
                assert_eq!(ColumnType::of_property(property), expected, "{}.{column}", def.name);
                ids += 1;
            }
        }
        assert!(ids > 100, "{ids}");
    }
}
