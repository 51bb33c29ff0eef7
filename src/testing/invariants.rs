//! Invariants for external input: it is accepted or refused with a message, never with a panic, and output derived from
//! it is always valid. Checked with generated documents (`properties.rs`) and by a fuzzer (`scripts/fuzz`).
#![expect(clippy::missing_panics_doc, reason = "each panics if its invariant is violated")]

use std::sync::LazyLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::http;
use crate::products::report::{Fingerprint, ReportOptions};
use crate::products::{self, Stream};
use crate::protocol::{airbyte, singer};
use crate::read::{judge, log_files};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::project::{JsonObject, Projection};
use crate::state::cursor::Cursors;
use crate::support::scan;

/// A configuration file; `secret` is a secret that it may contain.
pub fn config(text: &str, secret: &str) {
    if let Err(error) = Config::parse(text) {
        assert!(!error.message.is_empty() && !error.message.contains(secret), "{}", error.message);
    }
}

/// A catalog file of either protocol.
pub fn catalog(text: &str) {
    let _ = (airbyte::parse_catalog(text), singer::catalog::parse_catalog(text));
}

/// A state file of either protocol.
pub fn state(text: &str) {
    if let Ok(states) = airbyte::parse_state(text) {
        states.values().filter_map(|state| state.value().ok()).for_each(|state| state_of_report(&state));
    }
    if let Ok(mut state) = singer::State::parse(text) {
        state.set("campaigns", &json!({"cursor": text}), Some("day"));
        assert!(state.message()["value"]["bookmarks"].is_object());
    }
}

/// A report's state: once parsed, it survives being written and parsed again.
pub fn state_of_report(state: &Value) {
    let parse =
        |state: &Value| Cursors::parse(state, Fingerprint { keys: "a".to_owned(), values: "b".to_owned() }).ok();
    if let Some((cursors, _)) = parse(state) {
        let written = cursors.to_value();
        let again = parse(&written).map(|(cursors, _)| cursors.to_value());
        assert_eq!(again.as_ref(), Some(&written), "{state}");
    }
}

/// Text scanned without building a tree.
pub fn text(text: &str, most: usize) {
    scan::try_out(text, most);
}

/// An API response, and the same one truncated after `cut` bytes.
pub fn answer(text: &str, cut: usize) {
    if let Some(stream) = &*REPORT {
        judge::try_out(text, stream);
    }
    for shape in [Shape::Plain, Shape::Report] {
        assert!(REPORT.is_some(), "the report no longer exists");
        if let Some(stream) = &*REPORT {
            let _ = envelope::check_into(text, shape, &mut Written(Projection::new(stream, &|_| true)));
        }
        let is_object = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
        if let Some(part) = text.get(..cut).filter(|part| is_object && part.trim_end().len() < text.trim_end().len()) {
            // A complete object followed by more is invalid, too, so every cut is noticed.
            assert!(envelope::check(part).is_err() || envelope::check(text).is_err(), "{part}");
        }
    }
}

static REPORT: LazyLock<Option<Stream>> = LazyLock::new(|| {
    let streams = products::streams(&ReportOptions::default());
    streams.into_iter().find(|stream| stream.name == "campaign_statistics_daily")
});

/// Writes every row and expects one line of JSON for each.
struct Written(Projection);

impl RowSink for Written {
    fn row<'de, D: serde::Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let mut line = Vec::new();
        if self.0.write_row(row, &mut JsonObject(&mut line))? {
            let record: Option<Map<String, Value>> = serde_json::from_slice(&line).ok();
            let is_record = record.is_some_and(|record| record.contains_key("day"));
            assert!(is_record && !line.contains(&b'\n'), "{}", String::from_utf8_lossy(&line));
        }
        Ok(())
    }
}

/// A log file: the same rows, or an error, however it is split into chunks.
pub fn log_file(bytes: &[u8], cut: usize) {
    let (left, right) = bytes.split_at(cut.min(bytes.len()));
    let (whole, pieces) = (log_files::rows_of(&[bytes]), log_files::rows_of(&[left, right]));
    assert_eq!(whole.ok(), pieces.ok());
}

/// Response headers, one per line.
pub fn headers(text: &str) {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.trim())) {
            headers.append(name, value);
        }
    }
    http::parse_headers(&headers);
}
