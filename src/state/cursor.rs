//! Reads and writes the state of a report: the cursor of each advertiser, and the holes before it.
//!
//! ```json
//! {"version":2,"fingerprint":"EUR|UTC|AdvertiserId,CampaignId,Day|5f1c…",
//!  "groups":[{"cursor":"2026-07-30","scope":["12","34"]}],
//!  "holes":[{"from":"2026-07-03","to":"2026-07-03","scope":["12"],"why":"unread","tries":1}],
//!  "density":{"rows_per_day":120}}
//! ```
//!
//! Advertisers with the same cursor share a group, which keeps the state of ten thousand advertisers small. An
//! advertiser that is absent today keeps its cursor. A hole is a window before the cursor that could not be read or
//! failed the totals check; the next sync requests it again. The rows per day of all advertisers only help the next
//! sync plan its windows. An invalid state is an error, never a silent full resync. Version 1 (`advertisers` instead of
//! `scope`, no holes) is accepted too.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::calendar::{Window, days_after};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::products::report::Fingerprint;
use crate::state::{self, corrupt};

const VERSION: u64 = 2;
/// After this many syncs, rows that still fail the totals check are accepted.
const MAX_TRIES: u32 = 3;
/// Most values in the holes of a state, unless each advertiser has one hole; and values per hole besides advertisers.
const MAX_VALUES_OF_HOLES: usize = 100_000;
const VALUES_OF_HOLE: usize = 6;

/// Why a window before the cursor is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It could not be read.
    Unread,
    /// It failed the totals check.
    Differs,
    /// It failed the totals check in several syncs and is not requested again.
    Unproven,
    /// It was read without a totals check and is not requested again.
    Uncompared,
}

impl Why {
    fn is_asked_again(self) -> bool {
        matches!(self, Self::Unread | Self::Differs)
    }

    /// `Unproven` continues the count of tries of `Differs`.
    fn kind(self) -> Self {
        if self == Self::Unproven { Self::Differs } else { self }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unread => "not read",
            Self::Differs => "does not match Criteo's totals",
            Self::Unproven => "unproven: did not match Criteo's totals in several syncs",
            Self::Uncompared => "unproven: not compared with Criteo's totals",
        })
    }
}

/// A window before the cursor that is missing or unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The affected days.
    pub window: Window,
    /// The reason.
    pub why: Why,
    /// Number of syncs that tried.
    pub tries: u32,
}

/// The last complete day of each advertiser of a stream, and the holes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursors {
    fingerprint: Fingerprint,
    by_advertiser: BTreeMap<AdvertiserId, NaiveDate>,
    holes: BTreeMap<AdvertiserId, Vec<Hole>>,
    /// The holes at the start of this run, for counting tries.
    saved_holes: BTreeMap<AdvertiserId, Vec<Hole>>,
    retired_metrics: Vec<String>,
    rows_per_day: Option<u64>,
}

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

    /// Rows per day of all advertisers together, as of the last sync.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        self.rows_per_day.map(|rows| rows as f64)
    }

    /// Sets the rows per day.
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

    /// The last complete day of an advertiser.
    #[must_use]
    pub fn cursor(&self, advertiser: &AdvertiserId) -> Option<NaiveDate> {
        self.by_advertiser.get(advertiser).copied()
    }

    /// Whether a day is accepted although it fails the totals check.
    #[must_use]
    pub fn is_unproven(&self, advertiser: &AdvertiserId, day: NaiveDate) -> bool {
        let mut holes = self.holes.get(advertiser).into_iter().flatten();
        holes.any(|hole| hole.why == Why::Unproven && (hole.window.start..=hole.window.end).contains(&day))
    }

    /// Whether cursors and holes are equal; other fields do not count.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.by_advertiser == other.by_advertiser && self.holes == other.holes
    }

    /// Whether no advertiser has a cursor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_advertiser.is_empty()
    }

    /// Groups today's advertisers by cursor; those without one come last.
    #[must_use]
    pub fn groups(&self, advertisers: &[AdvertiserId]) -> Vec<(Option<NaiveDate>, Vec<AdvertiserId>)> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for advertiser in advertisers {
            let cursor = self.by_advertiser.get(advertiser).copied();
            groups.entry((cursor.is_none(), cursor)).or_default().push(advertiser.clone());
        }
        groups.into_iter().map(|((_, cursor), advertisers)| (cursor, advertisers)).collect()
    }

    /// Describes advertisers of the state that are not among today's, with their cursors.
    #[must_use]
    pub fn absent(&self, advertisers: &[AdvertiserId]) -> Vec<String> {
        let known: HashSet<_> = advertisers.iter().collect();
        let absent = self.by_advertiser.iter().filter(|(advertiser, _)| !known.contains(advertiser));
        absent.map(|(advertiser, day)| format!("{advertiser} (up to {day})")).collect()
    }

    /// Metrics that Criteo had removed when the state was saved.
    #[must_use]
    pub fn retired_metrics(&self) -> &[String] {
        &self.retired_metrics
    }

    /// Sets the metrics that Criteo has removed.
    pub fn set_retired_metrics(&mut self, metrics: &[String]) {
        self.retired_metrics = metrics.to_vec();
    }

    /// Moves cursors after `day` back to it, and drops later holes: a wrong clock wrote them. Returns the advertisers.
    pub fn not_after(&mut self, day: NaiveDate) -> Vec<AdvertiserId> {
        let mut moved = Vec::new();
        for (advertiser, cursor) in self.by_advertiser.iter_mut().filter(|(_, cursor)| **cursor > day) {
            *cursor = day;
            moved.push(advertiser.clone());
        }
        for holes in self.holes.values_mut() {
            holes.retain(|hole| hole.window.start <= day);
        }
        self.holes.retain(|_, holes| !holes.is_empty());
        moved
    }

    /// Drops holes before `day`, the first that Criteo serves, and returns those never read.
    pub fn forget_before(&mut self, day: NaiveDate) -> Vec<(AdvertiserId, Window)> {
        let mut lost = Vec::new();
        for (advertiser, holes) in &mut self.holes {
            let old = holes.iter().filter(|hole| hole.window.end < day && hole.why == Why::Unread);
            lost.extend(old.map(|hole| (advertiser.clone(), hole.window)));
            holes.retain(|hole| hole.window.end >= day);
        }
        self.holes.retain(|_, holes| !holes.is_empty());
        lost
    }

    /// Windows to request again, each with its advertisers, before the start of the regular read.
    #[must_use]
    pub fn holes_before(&self, starts: &BTreeMap<AdvertiserId, NaiveDate>) -> Vec<(Window, Vec<AdvertiserId>)> {
        let mut due: BTreeMap<Window, Vec<AdvertiserId>> = BTreeMap::new();
        for (advertiser, start) in starts {
            for hole in self.holes.get(advertiser).into_iter().flatten().filter(|hole| hole.why.is_asked_again()) {
                let rest = Window { start: *start, end: NaiveDate::MAX };
                for window in hole.window.without(rest) {
                    due.entry(window).or_default().push(advertiser.clone());
                }
            }
        }
        due.into_iter().collect()
    }

    /// Records that these days were read, except for the holes. Days that fail the totals check for the third time are
    /// accepted.
    pub fn settle(&mut self, advertisers: &[AdvertiserId], covered: Window, holes: &[(Window, Why)]) {
        for advertiser in advertisers {
            let known = self.holes.remove(advertiser).unwrap_or_default();
            let mut left: Vec<Hole> = known
                .into_iter()
                .flat_map(|hole| hole.window.without(covered).map(move |window| Hole { window, ..hole }))
                .collect();
            for (window, why) in holes {
                // Holes that are not requested again all count one try, so that adjacent ones merge.
                let tries = if why.is_asked_again() { 1 + self.tries_before(advertiser, *window, *why) } else { 1 };
                let why = if *why == Why::Differs && tries >= MAX_TRIES { Why::Unproven } else { *why };
                left.push(Hole { window: *window, why, tries });
            }
            if !left.is_empty() {
                left.sort_unstable();
                self.holes.insert(advertiser.clone(), left);
            }
        }
    }

    fn tries_before(&self, advertiser: &AdvertiserId, window: Window, why: Why) -> u32 {
        let is_same = |hole: &&Hole| hole.why.kind() == why.kind() && hole.window.without(window).ne([hole.window]);
        let saved = self.saved_holes.get(advertiser).into_iter().flatten();
        saved.filter(is_same).map(|hole| hole.tries).max().unwrap_or(0)
    }

    /// Holes, each with the advertisers that share it.
    #[must_use]
    pub fn holes(&self, of: &[AdvertiserId]) -> Vec<(Hole, Vec<AdvertiserId>)> {
        let mut holes: BTreeMap<Hole, Vec<AdvertiserId>> = BTreeMap::new();
        for advertiser in of {
            for hole in joined(self.holes.get(advertiser).map_or(&[], Vec::as_slice)) {
                holes.entry(hole).or_default().push(advertiser.clone());
            }
        }
        holes.into_iter().collect()
    }

    /// All holes, each with its advertisers. If too many, each advertiser gets one hole that spans all its days to
    /// request again: this re-reads more than needed, but loses only which days are unproven.
    fn holes_to_save(&self) -> Vec<(Hole, Vec<AdvertiserId>)> {
        let advertisers: Vec<_> = self.holes.keys().cloned().collect();
        let holes = self.holes(&advertisers);
        if holes.iter().map(|(_, scope)| VALUES_OF_HOLE + scope.len()).sum::<usize>() <= MAX_VALUES_OF_HOLES {
            return holes;
        }
        let mut spans: BTreeMap<Hole, Vec<AdvertiserId>> = BTreeMap::new();
        for (advertiser, holes) in &self.holes {
            let span = holes.iter().filter(|hole| hole.why.is_asked_again()).copied().reduce(|one, other| Hole {
                window: Window {
                    start: one.window.start.min(other.window.start),
                    end: one.window.end.max(other.window.end),
                },
                why: one.why.min(other.why),
                tries: one.tries.min(other.tries),
            });
            if let Some(span) = span {
                spans.entry(span).or_default().push(advertiser.clone());
            }
        }
        spans.into_iter().collect()
    }

    /// Describes the holes of these advertisers.
    #[must_use]
    pub fn hole_texts(&self, of: &[AdvertiserId]) -> Vec<String> {
        let holes = self.holes(of).into_iter();
        holes.map(|(hole, ids)| format!("{} of {} ({})", hole.window, format_ids(&ids), hole.why)).collect()
    }

    /// Moves cursors forward to `day`, up to which everything is written. Returns whether one moved.
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

    /// The state to save.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut groups: BTreeMap<NaiveDate, Vec<String>> = BTreeMap::new();
        for (advertiser, cursor) in &self.by_advertiser {
            groups.entry(*cursor).or_default().push(advertiser.0.clone());
        }
        let groups: Vec<_> = groups.into_iter().map(|(cursor, scope)| Group { cursor, scope }).collect();
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

/// Merges adjacent holes with the same reason and number of tries.
fn joined(holes: &[Hole]) -> Vec<Hole> {
    let mut joined: Vec<Hole> = Vec::new();
    let mut sorted = holes.to_vec();
    sorted.sort_unstable_by_key(|hole| (hole.why, hole.tries, hole.window));
    for hole in sorted {
        match joined.last_mut() {
            Some(last)
                if (last.why, last.tries) == (hole.why, hole.tries)
                    && hole.window.start <= days_after(last.window.end, 1) =>
            {
                last.window.end = last.window.end.max(hole.window.end);
            }
            _ => joined.push(hole),
        }
    }
    joined
}

/// The metrics that Criteo had removed when a state was saved.
#[must_use]
pub fn retired_metrics(state: &Value) -> Vec<String> {
    serde_json::from_value(state["retired_metrics"].clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::state::cursor::*;

    fn fingerprint(keys: &str, values: &str) -> Fingerprint {
        Fingerprint { keys: keys.into(), values: values.into() }
    }

    fn ids(ids: &[&str]) -> Vec<AdvertiserId> {
        ids.iter().map(|&id| AdvertiserId(id.into())).collect()
    }

    #[test]
    fn a_state_round_trip_keeps_absent_advertisers() {
        let (mut cursors, _) = Cursors::parse(&json!(null), fingerprint("EUR|UTC|Day", "1")).unwrap();
        assert!(cursors.advance(&ids(&["1", "2", "3"]), "2026-07-30".parse().unwrap()));
        assert!(cursors.advance(&ids(&["2"]), "2026-07-31".parse().unwrap()));
        assert!(!cursors.advance(&ids(&["2"]), "2026-07-01".parse().unwrap()));
        cursors.set_rows_per_day(6.2);
        let state = cursors.to_value();
        assert_eq!(
            state.to_string(),
            r#"{"version":2,"fingerprint":"EUR|UTC|Day|1","groups":[{"cursor":"2026-07-30","scope":["1","3"]},{"cursor":"2026-07-31","scope":["2"]}],"density":{"rows_per_day":7}}"#
        );
        let (read, warning) = Cursors::parse(&state, fingerprint("EUR|UTC|Day", "1")).unwrap();
        assert_eq!((read.to_value(), warning), (state, None));
        let groups = read.groups(&ids(&["2", "9"]));
        assert_eq!(groups, [(Some("2026-07-31".parse().unwrap()), ids(&["2"])), (None, ids(&["9"]))]);
    }

    #[test]
    fn an_empty_state_is_a_first_sync() {
        for state in [json!(null), json!({}), state::complete()] {
            let (cursors, warning) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
            assert!(cursors.by_advertiser.is_empty() && warning.is_none());
        }
    }

    #[test]
    fn an_invalid_state_is_never_treated_as_empty() {
        for state in [
            json!([]),
            json!("2026-01-01"),
            json!({"Day": "2026-01-01"}),
            json!({"version": 1}),
            json!({"version": 3, "fingerprint": "a|b", "groups": []}),
            json!({"version": 2, "fingerprint": "a|b", "groups": [], "holes": [{"from": "2026-01-01"}]}),
            json!({"version": 1, "fingerprint": "a|b", "groups": [{"cursor": "yesterday", "advertisers": []}]}),
            json!({"version": 1, "fingerprint": "other|b", "groups": []}),
        ] {
            let error = Cursors::parse(&state, fingerprint("a", "b")).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Config, "{state}");
        }
    }

    #[test]
    fn changed_metrics_produce_a_warning() {
        let state = json!({"version": 1, "fingerprint": "a|b", "groups": []});
        assert!(Cursors::parse(&state, fingerprint("a", "c")).unwrap().1.is_some());
    }

    #[test]
    fn version_1_is_read_and_overlapping_groups_take_the_earlier_day() {
        let state = json!({"version": 1, "fingerprint": "a|b", "rows_per_day": 7, "groups": [
            {"cursor": "2026-07-30", "advertisers": ["1", "2"]}, {"cursor": "2026-07-10", "advertisers": ["2"]}]});
        let (cursors, _) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
        assert_eq!(
            cursors.to_value(),
            json!({"version": 2, "fingerprint": "a|b", "density": {"rows_per_day": 7}, "groups": [
                {"cursor": "2026-07-10", "scope": ["2"]}, {"cursor": "2026-07-30", "scope": ["1"]}]})
        );
    }

    fn window(from: u32, to: u32) -> Window {
        let day = |day| NaiveDate::from_ymd_opt(2026, 7, day).unwrap();
        Window { start: day(from), end: day(to) }
    }

    #[test]
    fn holes_are_requested_again_and_closed_once_read() {
        let (mut cursors, _) = Cursors::parse(&json!(null), fingerprint("a", "b")).unwrap();
        cursors.advance(&ids(&["1", "2"]), window(30, 30).end);
        cursors.settle(&ids(&["1", "2"]), window(1, 30), &[(window(3, 5), Why::Unread), (window(6, 6), Why::Unread)]);
        let saved = cursors.to_value();
        assert_eq!(
            saved["holes"],
            json!([{"from": "2026-07-03", "to": "2026-07-06", "scope": ["1", "2"], "why": "unread", "tries": 1}])
        );
        let (mut cursors, _) = Cursors::parse(&saved, fingerprint("a", "b")).unwrap();
        let starts = |day| ids(&["1", "2"]).into_iter().map(|id| (id, window(day, day).end)).collect();
        assert_eq!(cursors.holes_before(&starts(20)), [(window(3, 6), ids(&["1", "2"]))]);
        assert_eq!(cursors.holes_before(&starts(5)), [(window(3, 4), ids(&["1", "2"]))]);
        cursors.settle(&ids(&["1"]), window(3, 4), &[]);
        cursors.settle(&ids(&["2"]), window(3, 6), &[(window(6, 6), Why::Unread)]);
        assert_eq!(
            cursors.to_value()["holes"],
            json!([{"from": "2026-07-05", "to": "2026-07-06", "scope": ["1"], "why": "unread", "tries": 1},
                {"from": "2026-07-06", "to": "2026-07-06", "scope": ["2"], "why": "unread", "tries": 2}])
        );
        assert_eq!(cursors.forget_before(window(7, 7).end).len(), 2);
        assert!(cursors.to_value().get("holes").is_none());
    }

    #[test]
    fn sums_that_differ_in_three_syncs_are_accepted() {
        let mut state = json!(null);
        for (tries, why) in [(1, "differs"), (2, "differs"), (3, "unproven"), (4, "unproven")] {
            let (mut cursors, _) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
            cursors.advance(&ids(&["1"]), window(30, 30).end);
            // Several responses in one run count as one try.
            for end in [10, 30] {
                cursors.settle(&ids(&["1"]), window(1, end), &[(window(3, 3), Why::Differs)]);
            }
            state = cursors.to_value();
            assert_eq!((&state["holes"][0]["tries"], &state["holes"][0]["why"]), (&json!(tries), &json!(why)));
        }
        let (cursors, _) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
        assert!(cursors.holes_before(&[(AdvertiserId("1".into()), window(20, 20).end)].into()).is_empty());
    }

    #[test]
    fn a_state_with_any_number_of_holes_can_be_read() {
        for (advertisers, days) in [(20_000_u32, 1..=28), (10_000, 1..=28), (20, 1..=3)] {
            let (mut cursors, _) = Cursors::parse(&Value::Null, fingerprint("a", "b")).unwrap();
            let ids: Vec<_> = (0..advertisers).map(|number| AdvertiserId(number.to_string())).collect();
            for (number, id) in (0..).zip(&ids) {
                let own = std::slice::from_ref(id);
                cursors.advance(own, days_after(window(30, 30).end, number));
                let every_other = days.clone().filter(|day| (day + number) % 2 == 0);
                let holes: Vec<_> = every_other.map(|day| (window(day, day), Why::Unread)).collect();
                cursors.settle(own, window(1, 30), &holes);
            }
            let state = crate::state::saved::Saved::from(&cursors.to_value()).value().unwrap();
            let (saved, _) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
            assert_eq!(saved.by_advertiser, cursors.by_advertiser);
            for (id, holes) in &cursors.holes {
                let is_there =
                    |hole: &Hole| saved.holes[id].iter().any(|of| of.window.without(hole.window).ne([of.window]));
                assert!(holes.iter().all(is_there), "{id:?}: {holes:?} in {:?}", saved.holes[id]);
            }
            assert_eq!(saved.holes == cursors.holes, advertisers == 20);
        }
    }

    #[test]
    fn a_cursor_from_a_wrong_clock_is_reset() {
        let state = json!({"version": 2, "fingerprint": "a|b", "groups": [
            {"cursor": "2027-07-30", "scope": ["1"]}, {"cursor": "2026-07-10", "scope": ["2"]}]});
        let (mut cursors, _) = Cursors::parse(&state, fingerprint("a", "b")).unwrap();
        assert_eq!(cursors.not_after(window(20, 20).end), ids(&["1"]));
        assert_eq!(cursors.to_value()["groups"][1], json!({"cursor": "2026-07-20", "scope": ["1"]}));
    }
}
