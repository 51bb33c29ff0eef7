//! State in and out: how far each advertiser of a report has been read.
//!
//! ```json
//! {"version":1,"fingerprint":"EUR|UTC|AdvertiserId,CampaignId,Day|5f1c…",
//!  "groups":[{"cursor":"2026-07-30","advertisers":["12","34"]}],"rows_per_day":120}
//! ```
//!
//! Advertisers with the same cursor share a group, so that the state of ten thousand of them stays small. An
//! advertiser that is absent today keeps its cursor. The rows a day of all advertisers, where known, let the next sync plan
//! its windows; nothing else depends on them. A state that cannot be understood is an error, never a
//! silent full read.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::resume::is_of_full_refresh;
use crate::config::AdvertiserId;
use crate::error::{Error, Result};
use crate::streams::report::Fingerprint;

/// The version of the state that this connector writes.
const VERSION: u64 = 1;
/// What a stream without a cursor ends with, in the words of Airbyte's CDK; means nothing on input.
const NO_CURSOR: &str = "__ab_no_cursor_state_message";

/// The last complete day of every advertiser of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursors {
    fingerprint: Fingerprint,
    by_advertiser: BTreeMap<AdvertiserId, NaiveDate>,
    rows_per_day: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Group {
    cursor: NaiveDate,
    advertisers: Vec<String>,
}

impl Cursors {
    /// Reads the state of a stream; `null` and `{}` mean a first sync. The second value is a warning.
    ///
    /// # Errors
    /// `config_error` for a state of a newer version, a corrupt one, and one of rows with other keys.
    pub fn parse(state: &Value, fingerprint: Fingerprint) -> Result<(Self, Option<String>)> {
        let mut cursors = Self { fingerprint, by_advertiser: BTreeMap::new(), rows_per_day: None };
        let Some(object) = state.as_object() else {
            return if state.is_null() { Ok((cursors, None)) } else { Err(corrupt("it is not an object")) };
        };
        if object.is_empty() || is_no_cursor(object) || is_of_full_refresh(object) {
            return Ok((cursors, None));
        }
        match object.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => {
                return Err(Error::config(format!(
                    "The saved state has version {newer}, and this release of the connector knows versions up to \
                     {VERSION}. Use the newer release that wrote it, or reset the stream to read it from the start."
                )));
            }
            _ => return Err(corrupt("it has no version")),
        }
        let warning = cursors.compare(object.get("fingerprint").and_then(Value::as_str))?;
        let groups = object.get("groups").cloned().unwrap_or_default();
        let groups: Vec<Group> = serde_json::from_value(groups).map_err(|_| corrupt("its groups are malformed"))?;
        for group in groups {
            cursors.by_advertiser.extend(group.advertisers.into_iter().map(|id| (AdvertiserId(id), group.cursor)));
        }
        cursors.rows_per_day = object.get("rows_per_day").and_then(Value::as_u64);
        Ok((cursors, warning))
    }

    /// Rows a day of all advertisers together, as the last sync saw them.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        self.rows_per_day.map(|rows| rows as f64)
    }

    /// Notes how many rows a day has.
    pub fn set_rows_per_day(&mut self, rows: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        let rows = rows.ceil() as u64;
        self.rows_per_day = Some(rows);
    }

    fn compare(&self, saved: Option<&str>) -> Result<Option<String>> {
        let (keys, values) =
            saved.and_then(|text| text.rsplit_once('|')).ok_or_else(|| corrupt("it has no fingerprint"))?;
        if keys != self.fingerprint.keys {
            return Err(Error::config(format!(
                "Currency, time zone or dimensions of this stream have changed since the last sync (then {keys}, now \
                 {now}). Rows read before would stay beside the new ones under other keys. Reset the stream, so that it \
                 is read anew, or undo the change.",
                now = self.fingerprint.keys
            )));
        }
        let changed = values != self.fingerprint.values;
        Ok(changed.then(|| {
            "Metrics or filters have changed since the last sync. The days of the lookback are read again with the new \
             ones; reset the stream to get them for all days."
                .to_owned()
        }))
    }

    /// Today's advertisers grouped by cursor; those without one come last.
    #[must_use]
    pub fn groups(&self, advertisers: &[AdvertiserId]) -> Vec<(Option<NaiveDate>, Vec<AdvertiserId>)> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for advertiser in advertisers {
            let cursor = self.by_advertiser.get(advertiser).copied();
            groups.entry((cursor.is_none(), cursor)).or_default().push(advertiser.clone());
        }
        groups.into_iter().map(|((_, cursor), advertisers)| (cursor, advertisers)).collect()
    }

    /// Advertisers of the state that are not among today's, with the last day that was read of each.
    #[must_use]
    pub fn absent(&self, advertisers: &[AdvertiserId]) -> Vec<String> {
        let known: HashSet<_> = advertisers.iter().collect();
        let absent = self.by_advertiser.iter().filter(|(advertiser, _)| !known.contains(advertiser));
        absent.map(|(advertiser, day)| format!("{advertiser} (up to {day})")).collect()
    }

    /// Notes that everything up to `day` has been written for these advertisers. Never moves a cursor back; tells
    /// whether one has moved.
    pub fn advance(&mut self, advertisers: &[AdvertiserId], day: NaiveDate) -> bool {
        let mut has_moved = false;
        for advertiser in advertisers {
            let known = self.by_advertiser.get(advertiser);
            if known.is_none_or(|cursor| *cursor < day) {
                self.by_advertiser.insert(advertiser.clone(), day);
                has_moved = true;
            }
        }
        has_moved
    }

    /// The state to store.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut groups: BTreeMap<NaiveDate, Vec<String>> = BTreeMap::new();
        for (advertiser, cursor) in &self.by_advertiser {
            groups.entry(*cursor).or_default().push(advertiser.0.clone());
        }
        let groups: Vec<_> = groups.into_iter().map(|(cursor, advertisers)| Group { cursor, advertisers }).collect();
        let mut state = json!({
            "version": VERSION,
            "fingerprint": format!("{}|{}", self.fingerprint.keys, self.fingerprint.values),
            "groups": groups,
        });
        if let Some(rows) = self.rows_per_day {
            state["rows_per_day"] = rows.into();
        }
        state
    }
}

/// Whether a state says that a stream has none.
#[must_use]
pub fn is_no_cursor(state: &serde_json::Map<String, Value>) -> bool {
    state.contains_key(NO_CURSOR)
}

/// The state of a stream that is read whole every time.
#[must_use]
pub fn no_cursor() -> Value {
    json!({ NO_CURSOR: true })
}

/// The error for a state that nobody understands.
pub(super) fn corrupt(what: &str) -> Error {
    Error::config(format!(
        "The saved state of this stream cannot be understood: {what}. It was not written by this connector or was \
         changed since. Restore the last state that worked, or reset the stream to read it from the start."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(keys: &str, values: &str) -> Fingerprint {
        Fingerprint { keys: keys.into(), values: values.into() }
    }

    fn ids(ids: &[&str]) -> Vec<AdvertiserId> {
        ids.iter().map(|&id| AdvertiserId(id.into())).collect()
    }

    #[test]
    fn a_state_survives_the_round_trip_and_keeps_absent_advertisers() {
        let (mut cursors, _) = Cursors::parse(&json!(null), fingerprint("EUR|UTC|Day", "1")).unwrap();
        assert!(cursors.advance(&ids(&["1", "2", "3"]), "2026-07-30".parse().unwrap()));
        assert!(cursors.advance(&ids(&["2"]), "2026-07-31".parse().unwrap()));
        assert!(!cursors.advance(&ids(&["2"]), "2026-07-01".parse().unwrap()));
        cursors.set_rows_per_day(6.2);
        let state = cursors.to_value();
        assert_eq!(
            state.to_string(),
            r#"{"version":1,"fingerprint":"EUR|UTC|Day|1","groups":[{"cursor":"2026-07-30","advertisers":["1","3"]},{"cursor":"2026-07-31","advertisers":["2"]}],"rows_per_day":7}"#
        );
        let (read, warning) = Cursors::parse(&state, fingerprint("EUR|UTC|Day", "1")).unwrap();
        assert_eq!((read.to_value(), warning), (state, None));
        let groups = read.groups(&ids(&["2", "9"]));
        assert_eq!(groups, [(Some("2026-07-31".parse().unwrap()), ids(&["2"])), (None, ids(&["9"]))]);
    }

    #[test]
    fn nothing_saved_is_a_first_sync() {
        for state in [json!(null), json!({}), no_cursor()] {
            let (cursors, warning) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
            assert!(cursors.by_advertiser.is_empty() && warning.is_none());
        }
    }

    #[test]
    fn a_state_that_is_not_understood_is_never_taken_for_nothing() {
        for state in [
            json!([]),
            json!("2026-01-01"),
            json!({"Day": "2026-01-01"}),
            json!({"version": 1}),
            json!({"version": 2, "fingerprint": "a|b", "groups": []}),
            json!({"version": 1, "fingerprint": "a|b", "groups": [{"cursor": "yesterday", "advertisers": []}]}),
            json!({"version": 1, "fingerprint": "other|b", "groups": []}),
        ] {
            let error = Cursors::parse(&state, fingerprint("a", "b")).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Config, "{state}");
        }
    }

    #[test]
    fn other_metrics_warn() {
        let state = json!({"version": 1, "fingerprint": "a|b", "groups": []});
        assert!(Cursors::parse(&state, fingerprint("a", "c")).unwrap().1.is_some());
    }
}
