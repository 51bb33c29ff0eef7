//! Checks the invariants for external input (`invariants.rs`) with generated documents.
//!
//! `PROPTEST_CASES=100000 cargo test --lib properties` runs more cases; failures are kept in `proptest-regressions/`.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::read::log_files;
use crate::testing::invariants;

/// Names and values with a meaning somewhere, so that generated documents reach deep code paths.
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

/// A CSV file that quotes where needed.
fn csv(table: &[Vec<String>], separator: char, end: &str) -> String {
    let quoted = |value: &String| {
        let is_plain = !value.contains([separator, '"', '\n', '\r']) && !value.is_empty();
        if is_plain { value.clone() } else { format!("\"{}\"", value.replace('"', "\"\"")) }
    };
    table.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(&separator.to_string()) + end).collect()
}

/// Inputs that fuzzers start from, and inputs that once failed.
#[test]
fn the_fuzz_corpus_passes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        for input in std::fs::read_dir(entry.path()).unwrap().flatten() {
            let bytes = std::fs::read(input.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            match entry.file_name().to_str().unwrap() {
                "answer" => (0..bytes.len()).for_each(|cut| invariants::answer(&text, cut)),
                "catalog" => invariants::catalog(&text),
                "config" => invariants::config(&text, "hunter2hunter2"),
                "headers" => invariants::headers(&text),
                "log_file" => (0..bytes.len()).for_each(|cut| invariants::log_file(&bytes, cut)),
                "state" => invariants::state(&text),
                "text" => (0..bytes.len()).for_each(|most| invariants::text(&text, most)),
                other => panic!("{other} is not a target"),
            }
            inputs += 1;
        }
    }
    assert!(inputs >= 12, "{inputs}");
}

proptest! {
    #[test]
    fn configurations(path in proptest::collection::vec(0usize..20, 0..4), part in document()) {
        invariants::config(&changed(configuration(), &path, part).to_string(), "hunter2hunter2");
    }

    #[test]
    fn document_strings(text in "\\PC{0,80}", cut in 0usize..80) {
        invariants::config(&text, "hunter2hunter2");
        invariants::catalog(&text);
        invariants::state(&text);
        invariants::answer(&text, cut);
    }

    #[test]
    fn scanned_strings(document in document(), text in "[ \\[\\]{}\",:\\\\u0-9a-fé]{0,40}", most in 0usize..60) {
        invariants::text(&document.to_string(), most);
        invariants::text(&text, most);
        // As strings and as keys.
        invariants::text(&json!([text, {text.as_str(): document}]).to_string(), most);
    }

    #[test]
    fn catalogs_and_states(document in document()) {
        invariants::catalog(&document.to_string());
        invariants::state(&document.to_string());
    }

    #[test]
    fn states_of_reports(path in proptest::collection::vec(0usize..9, 0..4), part in document()) {
        let state = json!({"version": 1, "fingerprint": "a|b", "rows_per_day": 7,
            "groups": [{"cursor": "2026-10-30", "advertisers": ["1", "2"]}]});
        invariants::state_of_report(&changed(state, &path, part));
    }

    #[test]
    fn responses(path in proptest::collection::vec(0usize..9, 0..6), part in document(), cut in 0usize..400) {
        let answer = json!({"Rows": [
            {"AdvertiserId": "1001", "CampaignId": "7", "Campaign": "One", "Day": "2026-10-30", "Clicks": "5", "AdvertiserCost": "1.25"},
            {"AdvertiserId": "1001", "CampaignId": "8", "Campaign": "Two", "Day": "2026-10-30", "Clicks": 5, "AdvertiserCost": null},
        ], "Total": {"Clicks": "10"}, "errors": [], "warnings": []});
        invariants::answer(&changed(answer, &path, part).to_string(), cut);
    }

    #[test]
    fn responses_with_repeated_rows(
        rows in proptest::collection::vec(
            (0usize..3, 0usize..3, proptest::sample::select(vec![json!(5), json!("1.5"), json!("1e2"), json!(null), json!("N/A")])),
            0..8,
        ),
        path in proptest::collection::vec(0usize..9, 0..4), part in document(),
    ) {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(campaign, day, value)| {
                let campaign = [json!("7"), json!(7), json!("")][campaign].clone();
                let day = ["2026-10-30", "10/30/2026", "2026-10-31"][day];
                json!({"AdvertiserId": "1001", "CampaignId": campaign, "Day": day, "Clicks": value, "AdvertiserCost": value})
            })
            .collect();
        invariants::answer(&json!(rows).to_string(), 0);
        invariants::answer(&changed(json!({"data": rows}), &path, part).to_string(), 0);
    }

    #[test]
    fn log_files(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        invariants::log_file(&bytes, cut);
    }

    #[test]
    fn every_log_file_value_is_read(
        values in proptest::collection::vec(proptest::collection::vec("[a-z,;\"\r\n é]{0,9}", 3), 1..6),
        cut in 0usize..200,
        separator in proptest::sample::select(&[',', ';'][..]),
        end in proptest::sample::select(&["\n", "\r\n"][..]),
    ) {
        let head = ["one", "two", "three"].map(str::to_owned).to_vec();
        let table: Vec<_> = std::iter::once(head.clone()).chain(values.clone()).collect();
        let text = csv(&table, separator, end);
        let (left, right) = text.as_bytes().split_at(cut.min(text.len()));
        let rows = log_files::rows_of(&[left, right]).unwrap();
        prop_assert_eq!(rows.len(), values.len());
        for (row, values) in rows.iter().zip(values) {
            for (name, value) in head.iter().zip(values) {
                prop_assert_eq!(&row["other_columns"][name], &json!(value));
            }
        }
    }

    #[test]
    fn headers(
        names in proptest::collection::vec(proptest::sample::select(
            &["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "date"][..]), 0..6),
        value in prop_oneof!["\\PC{0,40}", any::<i128>().prop_map(|number| number.to_string()),
            (any::<u32>(), 0u32..100).prop_map(|(day, hour)| format!("Fri, {day} Jul 2026 {hour}:00:07 GMT"))],
    ) {
        invariants::headers(&names.iter().map(|name| format!("{name}: {value}")).collect::<Vec<_>>().join("\n"));
    }
}
