//! The JSON of a state, and what it must match.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::report::Fingerprint;
use crate::state::cursor::{Cursors, Hole, Why};
use crate::state::{self, corrupt};

const VERSION: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Group {
    cursor: NaiveDate,
    #[serde(alias = "advertisers")]
    scope: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedHole {
    from: NaiveDate,
    to: NaiveDate,
    scope: Vec<String>,
    why: Why,
    tries: u32,
}

impl Cursors {
    /// Parses the state of a stream; `null` and `{}` mean a first sync. The second value is a warning.
    ///
    /// # Errors
    /// `config_error` if the state has a newer version, is corrupt, or belongs to rows with other keys.
    pub fn parse(state: &Value, fingerprint: Fingerprint) -> Result<(Self, Option<String>)> {
        let mut cursors = Self {
            fingerprint,
            by_advertiser: BTreeMap::new(),
            holes: BTreeMap::new(),
            saved_holes: BTreeMap::new(),
            retired_metrics: retired_metrics(state),
            rows_per_day: None,
        };
        let Some(object) = state.as_object() else {
            return if state.is_null() { Ok((cursors, None)) } else { Err(corrupt("it is not an object")) };
        };
        if state::has_no_cursor(object) {
            return Ok((cursors, None));
        }
        match object.get("version").and_then(Value::as_u64) {
            Some(1..=VERSION) => {}
            Some(newer) if newer > VERSION => return Err(state::too_new(newer, VERSION)),
            _ => return Err(corrupt("it has no version")), // guard: unknown-state
        }
        let warning = cursors.compare(object.get("fingerprint").and_then(Value::as_str))?;
        let groups = object.get("groups").cloned().unwrap_or_default();
        let groups: Vec<Group> = serde_json::from_value(groups).map_err(|_| corrupt("its groups are malformed"))?;
        for group in groups {
            for id in group.scope.into_iter().map(AdvertiserId) {
                // An advertiser in two groups is certainly complete up to the earlier day.
                cursors.by_advertiser.entry(id).and_modify(|day| *day = group.cursor.min(*day)).or_insert(group.cursor);
            }
        }
        cursors.parse_holes(object)?;
        let rows = object.get("density").and_then(|density| density.get("rows_per_day"));
        cursors.rows_per_day = rows.or_else(|| object.get("rows_per_day")).and_then(Value::as_u64);
        Ok((cursors, warning))
    }

    fn parse_holes(&mut self, object: &Map<String, Value>) -> Result<()> {
        let Some(holes) = object.get("holes") else { return Ok(()) };
        let holes: Vec<SavedHole> =
            serde_json::from_value(holes.clone()).map_err(|_| corrupt("its holes are malformed"))?;
        for SavedHole { from, to, scope, why, tries } in holes {
            let hole = Hole { window: Window { start: from, end: to.max(from) }, why, tries };
            for id in scope {
                self.holes.entry(AdvertiserId(id)).or_default().push(hole);
            }
        }
        self.saved_holes.clone_from(&self.holes);
        Ok(())
    }

    fn compare(&self, saved: Option<&str>) -> Result<Option<String>> {
        let (keys, values) =
            saved.and_then(|text| text.rsplit_once('|')).ok_or_else(|| corrupt("it has no fingerprint"))?;
        if keys != self.fingerprint.keys {
            return Err(Error::config(format!(
                "Currency, time zone or dimensions of this stream changed since the last sync (then {keys}, now \
                 {now}). Rows already synced would remain next to new rows with different keys. Reset the stream, or \
                 revert the change.",
                now = self.fingerprint.keys
            )));
        }
        let changed = values != self.fingerprint.values;
        Ok(changed.then(|| {
            "Metrics or filters changed since the last sync. Only the lookback days are read again with the new ones; \
             reset the stream to resync all days."
                .to_owned()
        }))
    }

    /// The state to save.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let groups = self.by_day().into_iter();
        let groups: Vec<_> =
            groups.map(|(cursor, scope)| Group { cursor, scope: scope.into_iter().map(|id| id.0).collect() }).collect();
        let mut state = json!({
            "version": VERSION,
            "fingerprint": format!("{}|{}", self.fingerprint.keys, self.fingerprint.values),
            "groups": groups,
        });
        if !self.holes.is_empty() {
            let holes = self.holes_to_save().into_iter().map(|(Hole { window, why, tries }, scope)| SavedHole {
                from: window.start,
                to: window.end,
                scope: scope.into_iter().map(|id| id.0).collect(),
                why,
                tries,
            });
            state["holes"] = json!(holes.collect::<Vec<_>>());
        }
        if !self.retired_metrics.is_empty() {
            state["retired_metrics"] = json!(self.retired_metrics);
        }
        if let Some(rows) = self.rows_per_day {
            state["density"] = json!({"rows_per_day": rows});
        }
        state
    }
}

/// The metrics that Criteo had removed when a state was saved.
#[must_use]
pub fn retired_metrics(state: &Value) -> Vec<String> {
    serde_json::from_value(state["retired_metrics"].clone()).unwrap_or_default()
}
