use serde_json::{Value, json};

use crate::model::calendar::{Window, days_after};
use crate::state;
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
