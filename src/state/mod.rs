//! The saved states: how they are read, and how they are written. Nothing else knows their form.
//!
//! | a stream | its state |
//! | --- | --- |
//! | report, log files | [`cursor`]: `{"version":2,"fingerprint":…,"groups":[{"cursor","scope"}],"holes":[…]}` |
//! | incremental objects | [`updated`]: `{"version":2,"groups":[{"updated_at","scope"}]}` |
//! | full refresh that was interrupted | [`resume`]: `{"version":1,"sync_id","scope","since","after"}` |
//! | full refresh that was completed | `{"version":1,"after":null}` |
//!
//! Airbyte and Singer put their own words around these.

pub mod cursor;
pub mod reading;
pub(crate) mod resume;
pub mod saved;
pub(crate) mod updated;

use serde_json::{Map, Value, json};

use crate::error::Error;

/// The member that only states of full refreshes have.
const AFTER: &str = "after";

/// The state of a completed full refresh: there is nothing to resume.
#[must_use]
pub fn complete() -> Value {
    json!({"version": 1, AFTER: null})
}

/// Whether a state is that of a completed full refresh.
#[must_use]
pub fn is_complete(state: &Value) -> bool {
    state.get(AFTER).is_some_and(Value::is_null)
}

/// Whether an incremental sync finds nothing in a state: it is empty, or that of a full refresh.
fn has_no_cursor(state: &Map<String, Value>) -> bool {
    state.is_empty() || state.contains_key(AFTER)
}

/// The earliest cursor of all advertisers, for people: a day, or an instant for objects.
#[must_use]
pub fn replication_value(state: &Value) -> Option<&str> {
    let groups = state["groups"].as_array()?;
    groups.iter().filter_map(|group| group["cursor"].as_str().or(group["updated_at"].as_str())).min()
}

fn too_new(version: u64, known: u64) -> Error {
    Error::config(format!(
        "The saved state has version {version}, but this release supports versions up to {known}. Use the newer release \
         that wrote it, or reset the stream to resync it from the start."
    ))
}

pub(crate) fn corrupt(what: &str) -> Error {
    Error::config(format!(
        "The saved state of this stream is invalid: {what}. It was not written by this connector, or was changed \
         since. Restore the last working state, or reset the stream to resync it from the start."
    ))
}
