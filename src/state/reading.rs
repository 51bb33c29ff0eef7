//! What a saved state says, without a configuration: for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::error::Result;
use crate::products::report::Fingerprint;
use crate::state::cursor::Cursors;
use crate::state::{AFTER, corrupt, updated};

/// What the state of a stream says.
#[derive(Debug)]
pub enum Reading {
    /// Nothing: the next sync reads from the start.
    Nothing,
    /// A completed full refresh.
    Whole,
    /// A full refresh that was interrupted after this parent.
    Interrupted(String),
    /// Days, of a report or of log files.
    Days(Cursors),
    /// The last changes of objects, by time.
    Instants(BTreeMap<DateTime<Utc>, Vec<String>>),
}

impl Reading {
    /// Reads the state of a stream.
    ///
    /// # Errors
    /// `config_error` if this connector did not write it, or a newer version of it did.
    pub fn of(state: &Value) -> Result<Self> {
        let is_empty = state.as_object().is_some_and(serde_json::Map::is_empty);
        if state.is_null() || is_empty {
            return Ok(Self::Nothing);
        }
        match state.get(AFTER) {
            Some(Value::Null) => return Ok(Self::Whole),
            Some(Value::String(after)) => return Ok(Self::Interrupted(after.clone())),
            Some(_) => return Err(corrupt("the last object is malformed")),
            None => {}
        }
        let has_instants = !state["updated_at"].is_null() || !state["groups"][0]["updated_at"].is_null();
        if has_instants || (state["fingerprint"].is_null() && state["groups"].is_array()) {
            // Without a clock: no instant is too late.
            let (cursors, _) = updated::parse(state, DateTime::<Utc>::MAX_UTC)?;
            let mut instants: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for (advertiser, instant) in cursors {
                instants.entry(instant).or_default().push(advertiser);
            }
            return Ok(Self::Instants(instants));
        }
        let (keys, values) = state["fingerprint"].as_str().and_then(|text| text.rsplit_once('|')).unwrap_or_default();
        let fingerprint = Fingerprint { keys: keys.to_owned(), values: values.to_owned() };
        Cursors::parse(state, fingerprint).map(|(cursors, _)| Self::Days(cursors))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::state::reading::*;

    #[test]
    fn every_kind_of_state_is_recognized() {
        let of = |state: Value| Reading::of(&state).unwrap();
        assert!(matches!(of(json!(null)), Reading::Nothing) && matches!(of(json!({})), Reading::Nothing));
        assert!(matches!(of(json!({"version": 1, "after": null})), Reading::Whole));
        assert!(matches!(of(json!({"version": 1, "after": "7"})), Reading::Interrupted(after) if after == "7"));
        let group = json!({"updated_at": "2026-03-04T05:06:07Z", "scope": ["1"]});
        for state in [
            json!({"version": 2, "groups": [group]}),
            json!({"version": 1, "updated_at": "9999-03-04T05:06:07Z", "advertisers": ["1"]}),
        ] {
            assert!(matches!(of(state), Reading::Instants(instants) if instants.len() == 1));
        }
        assert!(matches!(of(json!({"version": 2, "groups": []})), Reading::Instants(instants) if instants.is_empty()));
        let days = json!({"version": 2, "fingerprint": "EUR|UTC|Day|01", "groups": [{"cursor": "2026-10-31", "scope": ["1"]}]});
        let Reading::Days(cursors) = of(days) else { panic!("not days") };
        assert_eq!(cursors.by_day().len(), 1);
    }

    #[test]
    fn other_states_are_rejected() {
        for state in [
            json!(7),
            json!([]),
            json!({"replication_key_value": "2026-01-01"}),
            json!({"version": 3, "fingerprint": "a|b", "groups": []}),
            json!({"version": 3, "groups": []}),
            json!({"version": 2, "groups": [{"cursor": "2026-10-31", "scope": ["1"]}]}),
            json!({"version": 2, "fingerprint": "a|b", "groups": [{"cursor": "2026-10-32", "scope": ["1"]}]}),
            json!({"version": 1, "after": 7}),
        ] {
            assert!(Reading::of(&state).is_err(), "{state}");
        }
    }
}
