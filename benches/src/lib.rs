//! Several ways to convert a response in memory to record lines: the connector's, a minimal equivalent, and parsing
//! alone.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use serde::de::{Deserialize as _, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use source_criteo::config::Config;
use source_criteo::model::calendar::Window;
use source_criteo::products::{Source, Stream, marketing};
use source_criteo::read::sums;
use source_criteo::rows::envelope;
use source_criteo::rows::envelope::{RowSink, Shape};
use source_criteo::rows::project::{JsonObject, Projection};

/// The buffer is flushed at this size, as in the connector.
const BUFFER: usize = 64 * 1024;
const PREFIX: &[u8] = br#"{"type":"RECORD","record":{"stream":"custom_bench","emitted_at":1795000000000,"data":"#;
const SUFFIX: &[u8] = b"}}\n";

/// A conversion of `{"Rows":[…]}` that returns the number of rows.
pub struct Pass {
    /// Description.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&Stream, &str) -> Result<u64>,
}

/// All conversions, the connector's first.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "check, sum and project (the connector)",
        run: |stream, body| Ok(check(stream, body)? & project(stream, body)?),
    },
    Pass { name: "check and sum (the connector)", run: check },
    Pass { name: "project (the connector)", run: project },
    Pass { name: "bare projected pass over raw values", run: bare_projection },
    Pass { name: "raw values, passed through", run: |_, body| each_raw(body) },
    Pass { name: "sonic-rs lazy values, counted", run: |_, body| lazy(body) },
    Pass { name: "sonic-rs document tree", run: |_, body| sonic_tree(body) },
    Pass { name: "serde_json document tree", run: |_, body| tree(body) },
];

/// A configuration's stream.
pub fn stream(config: &str, name: &str) -> Result<Stream> {
    let config = Config::parse(config)?;
    marketing::streams(&config.reports)
        .into_iter()
        .find(|stream| stream.name == name)
        .context("there is no such stream")
}

fn check(stream: &Stream, body: &str) -> Result<u64> {
    let Source::Report(report) = &stream.source else { bail!("{} is not a report", stream.name) };
    let whole_time = Window { start: NaiveDate::MIN, end: NaiveDate::MAX };
    Ok(sums::sum(body, report, whole_time, &[])?.0)
}

struct Lines {
    plan: Projection,
    buffer: Vec<u8>,
}

impl RowSink for Lines {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        self.buffer.extend_from_slice(PREFIX);
        self.plan.write_row(row, &mut JsonObject(&mut self.buffer))?;
        end_line(&mut self.buffer);
        Ok(())
    }
}

fn end_line(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(SUFFIX);
    if buffer.len() >= BUFFER {
        std::hint::black_box(&*buffer);
        buffer.clear();
    }
}

fn project(stream: &Stream, body: &str) -> Result<u64> {
    let mut lines = Lines { plan: Projection::new(stream, &|_| true), buffer: Vec::with_capacity(2 * BUFFER) };
    Ok(envelope::each(body, Shape::Report, &mut lines)?.rows.unwrap_or(0))
}

/// Renames keys and unquotes numbers, without selection, other types, keys or checks.
struct Bare {
    numbers: HashSet<String>,
    /// The keys of a row in order, with label and whether they are numbers.
    learned: Vec<(Box<str>, Vec<u8>, bool)>,
    buffer: Vec<u8>,
}

impl RowSink for Bare {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        self.buffer.extend_from_slice(PREFIX);
        row.deserialize_map(&mut *self)?;
        end_line(&mut self.buffer);
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Bare {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut at = 0;
        let mut separator = b'{';
        while let Some(key) = map.next_key::<&str>()? {
            let value: &RawValue = map.next_value()?;
            if self.learned.get(at).is_none_or(|(known, ..)| **known != *key) {
                let name = key.to_ascii_lowercase();
                let is_number = self.numbers.contains(&name);
                self.learned.insert(at, (key.into(), format!("\"{name}\":").into_bytes(), is_number));
            }
            let (_, label, is_number) = &self.learned[at];
            self.buffer.push(separator);
            self.buffer.extend_from_slice(label);
            let text = value.get();
            self.buffer.extend_from_slice(if *is_number { text.trim_matches('"') } else { text }.as_bytes());
            at += 1;
            separator = b',';
        }
        self.buffer.push(b'}');
        Ok(())
    }
}

fn bare_projection(stream: &Stream, body: &str) -> Result<u64> {
    let properties = stream.schema["properties"].as_object().into_iter().flatten();
    let numbers = properties.filter(|(_, property)| property["type"][0] == "number");
    let numbers = numbers.map(|(name, _)| name.replace('_', "")).collect();
    let mut bare = Bare { numbers, learned: Vec::new(), buffer: Vec::with_capacity(2 * BUFFER) };
    Ok(envelope::each(body, Shape::Plain, &mut bare)?.rows.unwrap_or(0))
}

struct PassThrough(Vec<u8>);

impl RowSink for PassThrough {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let row = <&RawValue>::deserialize(row)?;
        self.0.extend_from_slice(PREFIX);
        self.0.extend_from_slice(row.get().as_bytes());
        end_line(&mut self.0);
        Ok(())
    }
}

fn each_raw(body: &str) -> Result<u64> {
    let mut through = PassThrough(Vec::with_capacity(2 * BUFFER));
    Ok(envelope::each(body, Shape::Plain, &mut through)?.rows.unwrap_or(0))
}

fn lazy(body: &str) -> Result<u64> {
    let rows = sonic_rs::get(body, &["Rows"])?;
    let mut count = 0;
    for row in sonic_rs::to_array_iter(rows.as_raw_str()) {
        std::hint::black_box(row?.as_raw_str());
        count += 1;
    }
    Ok(count)
}

fn sonic_tree(body: &str) -> Result<u64> {
    use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _};
    let document: sonic_rs::Value = sonic_rs::from_str(body)?;
    Ok(document.get("Rows").and_then(|rows| rows.as_array().map(|rows| rows.len() as u64)).unwrap_or(0))
}

fn tree(body: &str) -> Result<u64> {
    let document: Value = serde_json::from_str(body)?;
    Ok(document["Rows"].as_array().map_or(0, |rows| rows.len() as u64))
}

/// Whether a body is valid JSON.
pub fn is_whole(body: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(body).is_ok()
}
