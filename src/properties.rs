//! Whatever comes from outside is taken or refused in words; it never panics, and what is written is always valid.
//!
//! `PROPTEST_CASES=100000 cargo test --lib properties` tries for longer; what was ever found stays in
//! `proptest-regressions/`.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::engine::cursor::Cursors;
use crate::engine::project::Plan;
use crate::engine::rows::{self, RowSink, Shape};
use crate::protocol::{airbyte, singer};
use crate::streams::catalog;
use crate::streams::report::Fingerprint;

/// Names and values that mean something somewhere, so that arbitrary documents reach deep.
const WORDS: &[&str] = &[
    "streams",
    "stream",
    "name",
    "json_schema",
    "properties",
    "sync_mode",
    "incremental",
    "type",
    "STREAM",
    "STATE",
    "state",
    "stream_state",
    "stream_descriptor",
    "version",
    "fingerprint",
    "groups",
    "cursor",
    "advertisers",
    "2026-10-30",
    "a|b",
    "bookmarks",
    "value",
    "singer_state",
    "metadata",
    "breadcrumb",
    "selected",
    "tap_stream_id",
    "schema",
    "anyOf",
    "null",
    "Rows",
    "rows",
    "data",
    "attributes",
    "errors",
    "warnings",
    "code",
    "Total",
    "AdvertiserId",
    "CampaignId",
    "Day",
    "Clicks",
    "campaign_statistics_daily",
    "updated_at",
    "after",
    "since",
    "sync_id",
    "1001",
    "NaN",
    "\u{0}",
    "",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A document with a part of it replaced.
fn changed(whole: Value, path: &[usize], part: Value) -> Value {
    match (path.split_first(), whole) {
        (Some((step, rest)), Value::Array(mut items)) if !items.is_empty() => {
            let index = step % items.len();
            items[index] = changed(items[index].take(), rest, part);
            Value::Array(items)
        }
        (Some((step, rest)), Value::Object(mut members)) if !members.is_empty() => {
            let key = members.keys().nth(step % members.len()).cloned().unwrap();
            let inside = members.get_mut(&key).unwrap().take();
            members.insert(key, changed(inside, rest, part));
            Value::Object(members)
        }
        _ => part,
    }
}

fn configuration() -> Value {
    json!({
        "client_id": "id", "client_secret": "hunter2hunter2", "currency": "EUR", "advertiser_ids": ["1001", "1002"],
        "start_date": "2026-01-01", "end_date": "2026-10-01", "timezone": "Europe/Paris", "lookback_days": 30,
        "verify_totals": true, "countries": ["FR"], "custom_reports": [{"name": "mine", "dimensions": ["Day", "Campaign"],
            "metrics": ["Clicks", "SalesPc30d"], "currency": "USD", "ad_set_ids": ["7"]}],
    })
}

fn report_plan() -> Plan {
    let config =
        Config::parse(&json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"}).to_string()).unwrap();
    let streams = catalog::streams(&config);
    Plan::new(streams.iter().find(|stream| stream.name == "campaign_statistics_daily").unwrap(), &|_| true)
}

/// Writes every row, and wants a line of JSON of each.
struct Written(Plan);

impl RowSink for Written {
    fn row<'de, D: serde::Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let mut line = Vec::new();
        if self.0.write_row(row, &mut line)? {
            let record: Map<String, Value> = serde_json::from_slice(&line).unwrap();
            assert!(!line.contains(&b'\n') && record.contains_key("day"));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn configurations(path in proptest::collection::vec(0usize..20, 0..4), part in document()) {
        let document = changed(configuration(), &path, part);
        if let Err(error) = Config::parse(&document.to_string()) {
            prop_assert!(!error.message.is_empty() && !error.message.contains("hunter2hunter2"));
        }
    }

    #[test]
    fn texts_for_documents(text in "\\PC{0,80}") {
        let _ = (Config::parse(&text), airbyte::parse_catalog(&text), airbyte::parse_state(&text));
        let _ = (singer::catalog::parse_catalog(&text), singer::State::parse(&text));
    }

    #[test]
    fn catalogs_and_states(document in document()) {
        let text = document.to_string();
        let _ = (airbyte::parse_catalog(&text), airbyte::parse_state(&text));
        let _ = singer::catalog::parse_catalog(&text);
        if let Ok(mut state) = singer::State::parse(&text) {
            state.set("campaigns", &document, Some("day"));
            prop_assert!(state.message()["value"]["bookmarks"].is_object());
        }
    }

    #[test]
    fn states_of_reports(path in proptest::collection::vec(0usize..9, 0..4), part in document()) {
        let state = json!({"version": 1, "fingerprint": "a|b", "rows_per_day": 7,
            "groups": [{"cursor": "2026-10-30", "advertisers": ["1", "2"]}]});
        let fingerprint = || Fingerprint { keys: "a".into(), values: "b".into() };
        if let Ok((cursors, _)) = Cursors::parse(&changed(state, &path, part), fingerprint()) {
            // What was understood is written so that it is understood again.
            prop_assert!(Cursors::parse(&cursors.to_value(), fingerprint()).is_ok());
        }
    }

    #[test]
    fn answers(path in proptest::collection::vec(0usize..9, 0..6), part in document(), cut in 0usize..400) {
        let answer = json!({"Rows": [
            {"AdvertiserId": "1001", "CampaignId": "7", "Campaign": "One", "Day": "2026-10-30", "Clicks": "5", "AdvertiserCost": "1.25"},
            {"AdvertiserId": "1001", "CampaignId": "8", "Campaign": "Two", "Day": "2026-10-30", "Clicks": 5, "AdvertiserCost": null},
        ], "Total": {"Clicks": "10"}, "errors": [], "warnings": []});
        let text = changed(answer, &path, part).to_string();
        for shape in [Shape::Plain, Shape::Wrapped, Shape::Columns] {
            let _ = rows::each(&text, shape, &mut Written(report_plan()));
            let _ = rows::check_into(&text, shape, &mut Written(report_plan()));
            if let Some(cut) = text.get(..cut).filter(|cut| cut.len() < text.len()) {
                prop_assert!(rows::check(cut).is_err(), "{cut}");
            }
        }
    }
}
