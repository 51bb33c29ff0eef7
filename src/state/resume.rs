//! Resumes interrupted full refreshes of objects.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

const VERSION: u64 = 1;
/// Objects created since an interrupted read come only with the next one, so it must be recent.
const MAX_LEN: TimeDelta = TimeDelta::days(1);

/// An interrupted full refresh. It resumes only soon, within the same sync and with the same advertisers.
pub(crate) struct Resume {
    sync_id: Option<i64>,
    /// A hash of the advertisers and countries.
    scope: String,
    /// When the read began.
    since: DateTime<Utc>,
    after: Option<String>,
}

impl Resume {
    pub(crate) fn new(sync_id: Option<i64>, scope: &[String], now: DateTime<Utc>, state: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        let scope = format!("{:016x}", hasher.finish());
        let since = state["since"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let is_same = sync_id.is_some()
            && state["sync_id"].as_i64() == sync_id
            && state["version"] == VERSION
            && state["scope"] == scope
            && since.is_some_and(|since| now - since < MAX_LEN);
        let after = state["after"].as_str().filter(|_| is_same).map(str::to_owned);
        let since = since.filter(|_| after.is_some()).unwrap_or(now);
        Self { sync_id, scope, since, after }
    }

    pub(crate) fn is_done(&self, key: &str) -> bool {
        self.after.as_ref().is_some_and(|after| key <= after.as_str())
    }

    pub(crate) fn state_after(&self, key: &str) -> Option<Value> {
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.sync_id.map(|sync_id| {
            json!({"version": VERSION, "sync_id": sync_id, "scope": self.scope, "since": since, "after": key})
        })
    }
}
