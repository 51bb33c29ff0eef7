//! The state of an incremental stream of objects: up to which instant each advertiser was read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Result;
use crate::state::{corrupt, has_no_cursor, too_new};

/// State version of incremental streams of objects.
const VERSION: u64 = 2;
pub(crate) const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(5);

/// The cursor of each advertiser: objects last changed before it are not written again.
pub(crate) type UpdatedCursors = BTreeMap<String, DateTime<Utc>>;

/// Advertisers with the same cursor, as saved.
#[derive(Serialize, Deserialize)]
struct Group {
    updated_at: DateTime<Utc>,
    scope: Vec<String>,
}

/// Parses the state of an incremental stream of objects: the cursors, and discarded cursors in the future. Only a wrong
/// clock can have written those, so their advertisers start over.
///
/// # Errors
/// `config_error` if the state is invalid or has a newer version.
pub(crate) fn parse(state: &Value, now: DateTime<Utc>) -> Result<(UpdatedCursors, Vec<DateTime<Utc>>)> {
    let groups: Vec<Group> = match state.clone() {
        Value::Null => Vec::new(),
        Value::Object(object) if has_no_cursor(&object) => Vec::new(),
        mut state => {
            let groups = match state["version"].as_u64() {
                Some(1) => json!([{"updated_at": state["updated_at"], "scope": state["advertisers"]}]),
                Some(VERSION) => state["groups"].take(),
                Some(newer) => return Err(too_new(newer, VERSION)),
                None => return Err(corrupt("it has no version")),
            };
            serde_json::from_value(groups).map_err(|_| corrupt("its cursors are malformed"))?
        }
    };
    let (mut cursors, mut future) = (UpdatedCursors::new(), Vec::new());
    let mut unknown = BTreeSet::new();
    for Group { updated_at, scope } in groups {
        if updated_at > now.checked_add_signed(CLOCK_SLACK).unwrap_or(now) {
            future.push(updated_at);
            unknown.extend(scope);
            continue;
        }
        for advertiser in scope {
            let instant = cursors.entry(advertiser).or_insert(updated_at);
            *instant = updated_at.min(*instant);
        }
    }
    cursors.retain(|advertiser, _| !unknown.contains(advertiser));
    Ok((cursors, future))
}

pub(crate) fn to_value(cursors: &UpdatedCursors) -> Value {
    let mut groups: BTreeMap<DateTime<Utc>, Vec<&str>> = BTreeMap::new();
    for (advertiser, instant) in cursors {
        groups.entry(*instant).or_default().push(advertiser);
    }
    let text = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let groups: Vec<_> =
        groups.into_iter().map(|(instant, scope)| json!({"updated_at": text(instant), "scope": scope})).collect();
    json!({"version": VERSION, "groups": groups})
}
