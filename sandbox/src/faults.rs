//! Faults for selected requests.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write;

use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::Value;

use crate::wire::{Delivery, Reply, Request};

/// A fault: `{"match":{…},"do":{…},"times":1}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(rename = "match", default)]
    matches: Match,
    #[serde(rename = "do", default)]
    action: Action,
    /// Number of affected requests; `null` for all.
    #[serde(default = "once")]
    times: Option<u64>,
    #[serde(skip)]
    seen: u64,
    #[serde(skip)]
    done: u64,
}

#[expect(clippy::unnecessary_wraps, reason = "default of an optional member")]
fn once() -> Option<u64> {
    Some(1)
}

/// Selects requests; omitted members match all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Match {
    /// A part of the path.
    path: Option<String>,
    method: Option<String>,
    /// From the n-th otherwise matching request on, counted from 1.
    nth: Option<u64>,
    /// An advertiser id in path, query or body.
    advertiser: Option<String>,
    /// The first or last day of the window, in query or body.
    window: Option<String>,
    /// A day within the window.
    covers: Option<NaiveDate>,
    /// Windows with more days than this.
    longer_than: Option<i64>,
    /// Any other part of path, query or body.
    text: Option<String>,
    /// A percentage of otherwise matching requests, always the same ones.
    percent: Option<u64>,
}

/// The effect; omitted members change nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Action {
    status: Option<u16>,
    headers: BTreeMap<String, String>,
    /// Replaces the body.
    body: Option<String>,
    /// A redirect to this URL (status 307 unless set).
    redirect: Option<String>,
    /// `true` compresses the body regardless of the request; a number makes a bomb of that many spaces.
    gzip: Option<Value>,
    /// Changes to the JSON body by pointer: `{"/Rows/0/Clicks":"N/A"}`; `null` removes.
    mutate: BTreeMap<String, Value>,
    /// How the response is delivered.
    delivery: Delivery,
}

/// First and last day of a request.
fn window_of(request: &Request, text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let day = |name: &str| {
        let in_body = || {
            let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
            rest.get(..10)?.parse().ok()
        };
        request.query.get(name).and_then(|day| day.get(..10)?.parse().ok()).or_else(in_body)
    };
    Some((day("startDate")?, day("endDate")?))
}

impl Fault {
    /// Whether the fault applies to this request; counts it.
    pub(crate) fn applies_to(&mut self, request: &Request) -> bool {
        let query: String = request.query.values().map(String::as_str).collect::<Vec<_>>().join(" ");
        let text = format!("{} {query} {}", request.path, String::from_utf8_lossy(&request.body));
        let Match { path, method, nth, advertiser, window, covers, longer_than, text: part, percent } = &self.matches;
        let asked = window_of(request, &text);
        let is_match = path.as_ref().is_none_or(|part| request.path.contains(part.as_str()))
            && method.as_ref().is_none_or(|method| *method == request.method)
            && advertiser.as_ref().is_none_or(|id| text.contains(id.as_str()))
            && window.as_ref().is_none_or(|day| text.contains(day.as_str()))
            && covers.is_none_or(|day| asked.is_some_and(|(start, end)| (start..=end).contains(&day)))
            && longer_than.is_none_or(|days| asked.is_some_and(|(start, end)| (end - start).num_days() >= days))
            && part.as_ref().is_none_or(|part| text.contains(part.as_str()));
        if !is_match || self.times.is_some_and(|times| self.done >= times) {
            return false;
        }
        self.seen += 1;
        let mut hasher = DefaultHasher::new();
        (self.seen, format!("{:?}", self.action)).hash(&mut hasher);
        let is_due =
            nth.is_none_or(|nth| self.seen >= nth) && percent.is_none_or(|percent| hasher.finish() % 100 < percent);
        self.done += u64::from(is_due);
        is_due
    }

    pub(crate) fn apply(&self, reply: &mut Reply) {
        let action = &self.action;
        if let Some(target) = &action.redirect {
            reply.status = 307;
            reply.headers.push(("Location".to_owned(), target.clone()));
        }
        reply.status = action.status.unwrap_or(reply.status);
        if let Some(body) = &action.body {
            reply.body = body.clone().into_bytes();
        }
        if !action.mutate.is_empty()
            && let Ok(mut document) = serde_json::from_slice::<Value>(&reply.body)
        {
            for (pointer, value) in &action.mutate {
                mutate(&mut document, pointer, value);
            }
            reply.body = document.to_string().into_bytes();
        }
        match &action.gzip {
            Some(Value::Number(spaces)) => {
                reply.body = gzip_spaces(spaces.as_u64().unwrap_or(0));
                reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            }
            Some(Value::Bool(true)) => {
                reply.body = gzip(&reply.body);
                reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            }
            _ => {}
        }
        for (name, value) in &action.headers {
            reply.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            reply.headers.push((name.clone(), value.clone()));
        }
        reply.delivery = action.delivery.clone();
    }
}

/// Sets the value at a pointer, or removes it if `null`.
fn mutate(document: &mut Value, pointer: &str, value: &Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(object)) if value.is_null() => {
            object.remove(name);
        }
        Some(Value::Object(object)) => {
            object.insert(name.to_owned(), value.clone());
        }
        Some(Value::Array(items)) => match name.parse::<usize>().ok().filter(|index| *index < items.len()) {
            Some(index) if value.is_null() => {
                items.remove(index);
            }
            Some(index) => items[index] = value.clone(),
            None => items.push(value.clone()),
        },
        _ => {}
    }
}

/// Compresses at the fastest level.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn gzip_spaces(count: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b' '; 64 * 1024];
    for _ in 0..count.div_ceil(64 * 1024) {
        let _ = encoder.write_all(&block);
    }
    encoder.finish().unwrap_or_default()
}
