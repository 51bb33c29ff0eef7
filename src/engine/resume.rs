//! Resumes interrupted full refreshes of objects.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::entity::{Place, VERSION};

/// Objects created since an interrupted read come only with the next one, so it must be recent.
const LONGEST: TimeDelta = TimeDelta::days(1);

/// An interrupted full refresh. It resumes only soon, within the same sync and with the same advertisers.
pub(super) struct Resume {
    sync_id: Option<i64>,
    /// A hash of the advertisers and countries.
    scope: String,
    /// When the read began.
    since: DateTime<Utc>,
    after: Option<String>,
}

impl Resume {
    pub(super) fn new(sync_id: Option<i64>, scope: &[String], now: DateTime<Utc>, state: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        let scope = format!("{:016x}", hasher.finish());
        let since = state["since"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let is_same = sync_id.is_some()
            && state["sync_id"].as_i64() == sync_id
            && state["version"] == VERSION
            && state["scope"] == scope
            && since.is_some_and(|since| now - since < LONGEST);
        let after = state["after"].as_str().filter(|_| is_same).map(str::to_owned);
        let since = since.filter(|_| after.is_some()).unwrap_or(now);
        Self { sync_id, scope, since, after }
    }

    pub(super) fn is_done(&self, place: &Place) -> bool {
        self.after.as_ref().is_some_and(|after| key(place) <= *after)
    }

    pub(super) fn state_after(&self, place: &Place) -> Option<Value> {
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.sync_id.map(|sync_id| {
            json!({"version": VERSION, "sync_id": sync_id, "scope": self.scope, "since": since, "after": key(place)})
        })
    }
}

/// Whether a state is that of a full refresh; incremental syncs ignore it.
pub(super) fn is_of_full_refresh(state: &serde_json::Map<String, Value>) -> bool {
    state.contains_key("after")
}

/// Unique within the stream; sorts as places do.
fn key(place: &Place) -> String {
    place.values().map(String::as_str).collect::<Vec<_>>().join(" ")
}
