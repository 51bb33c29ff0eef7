use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::products;
use crate::products::marketing::metrics::{self, fold};
use crate::rows::envelope::{self, RowSink};
use crate::rows::project::*;

fn stream(name: &str) -> Stream {
    let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "custom_reports": [
        {"name": "mixed", "dimensions": ["Category", "Hour", "Os"], "metrics": ["Clicks", "AdvertiserCost", "ResultType"]},
    ]});
    let config = Config::parse(&config.to_string()).unwrap();
    products::streams(&config.reports).into_iter().find(|stream| stream.name == name).unwrap()
}

struct Lines<'a>(&'a mut Projection, Vec<u8>);

impl RowSink for Lines<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        self.0.write_row(row, &mut JsonObject(&mut self.1))?;
        self.1.push(b'\n');
        Ok(())
    }
}

fn project(plan: &mut Projection, body: &str) -> serde_json::Result<Vec<Value>> {
    let mut lines = Lines(plan, Vec::new());
    let shape = lines.0.shape;
    envelope::each(body, shape, &mut lines)?;
    let text = String::from_utf8(lines.1).unwrap();
    Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn keys_match_in_any_spelling_and_are_written_once() {
    let mut plan = Projection::new(&stream("ad_set_statistics_daily"), &|_| true);
    let body = r#"{"Rows":[
        {"AdvertiserId":"1","CampaignId":2,"AdsetId":"003","Adset":"a\nb","Day":"2026/7/1","Clicks":"5","currency":"USD"},
        {"day":"2026-07-02T00:00:00Z","adsetid":null,"ad_set_id":"9","Clicks":5.5,"New":1,"Clicks":7}
    ]}"#;
    let rows = project(&mut plan, body).unwrap();
    assert_eq!(
        rows[0],
        json!({"advertiser_id": "1", "campaign_id": "2", "ad_set_id": "003", "ad_set_name": "a\nb", "day": "2026-07-01",
            "clicks": 5, "currency": "USD", "timezone": "UTC"})
    );
    // A missing key is an empty string, and of two spellings the first counts.
    assert_eq!(
        rows[1],
        json!({"day": "2026-07-02", "ad_set_id": "", "clicks": null, "advertiser_id": "", "campaign_id": "",
            "currency": "EUR", "timezone": "UTC"})
    );
    assert_eq!(plan.misfits().collect::<Vec<_>>(), ["clicks"]);
    assert_eq!(plan.unknown_fields, BTreeMap::from([("New".to_owned(), 1)]));
}

#[test]
fn nested_objects_are_flattened_and_wrappers_removed() {
    let mut plan = Projection::new(&stream("ad_sets"), &|_| true);
    let body = r#"{"data":[{"id":"7","type":"ReadAdSetV26Q1","attributes":{"id":"8","name":null,
        "schedule":{"startDate":{"value":"2026-01-01T00:00:00+01:00"},"endDate":{"value":null},"deliveryStatus":"live"},
        "budget":{"budgetAmount":{"value":12345678901234.56},"budgetStrategy":"capped"},
        "targeting":{"geoLocation":{"countries":{"value":{"operand":"in","values":["FR" , "DE"]}},"zipCodes":null}},
        "bidding":null,"surprise":{"deep":[1]}}}]}"#;
    let rows = project(&mut plan, body).unwrap();
    assert_eq!(
        rows,
        [json!({"id": "7", "name": null, "schedule_start_date": "2025-12-31T23:00:00Z", "schedule_end_date": null,
            "schedule_delivery_status": "live", "budget_amount": 12_345_678_901_234.56, "budget_strategy": "capped",
            "targeting_geo_location_countries_operand": "in", "targeting_geo_location_countries_values": ["FR", "DE"]})]
    );
    assert_eq!(plan.unknown_fields, BTreeMap::from([("surprise".to_owned(), 1)]));
}

#[test]
fn a_row_without_a_day_is_rejected() {
    let mut plan = Projection::new(&stream("campaign_statistics_daily"), &|_| true);
    for row in [r#"[{"AdvertiserId":"1"}]"#, r#"[{"Day":"soon"}]"#, r#"[{"Day":null}]"#, "[7]"] {
        assert!(project(&mut plan, row).is_err(), "{row}");
    }
}

#[test]
fn identical_keys_are_numbered_in_any_member_order() {
    let mut plan = Projection::new(&stream("custom_mixed"), &|_| true);
    let body = r#"[
        {"CategoryId":"73","Category":"Shoes","Hour":"2026-07-01T05:00:00","Day":"2026-07-01","Os":"iOS","Clicks":1},
        {"Clicks":2,"Os":"iOS","Day":"2026-07-01","Hour":"2026-07-01T05:00:00","Category":"Unknown","CategoryId":73},
        {"CategoryId":"73","Category":"Shoes","Hour":"2026-07-01T06:00:00","Day":"2026-07-01","Os":"iOS","Clicks":1}
    ]"#;
    let numbers = |rows: Vec<Value>| rows.iter().map(|row| row["row_number"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(project(&mut plan, body).unwrap()), [1, 2, 1]);
    plan.start_slice(&[]);
    assert_eq!(numbers(project(&mut plan, body).unwrap()), [1, 2, 1]);
}

/// What the fast path must do, done slowly on document trees.
fn reference(row: &Map<String, Value>, stream: &Stream) -> Map<String, Value> {
    let mut record = Map::new();
    for (name, property) in stream.schema["properties"].as_object().unwrap() {
        let aliases = metrics::DIMENSIONS.iter().filter(|d| d.alias == Some(name)).map(|d| fold(d.name));
        let spellings: Vec<_> = aliases.chain([fold(name)]).collect();
        let value = row.iter().find(|(key, _)| spellings.contains(&fold(key))).map(|(_, value)| value);
        let is_key = stream.primary_key.contains(name);
        let value = match (value, name.as_str()) {
            (_, "timezone") => json!("UTC"),
            (None | Some(Value::Null), "currency") => json!("EUR"),
            (None | Some(Value::Null), _) if is_key => json!(""),
            (None, _) => continue,
            (Some(value), _) => match (ColumnType::of_property(property), value) {
                (_, Value::Null) => Value::Null,
                (ColumnType::Text, Value::String(_)) => value.clone(),
                (ColumnType::Text, other) => json!(other.to_string()),
                (ColumnType::Date, Value::String(text)) => json!(text[..10]),
                (ColumnType::Number, Value::String(text)) => {
                    serde_json::from_str(text.trim()).ok().filter(Value::is_number).unwrap_or(Value::Null)
                }
                (ColumnType::Number, other) if other.is_number() => other.clone(),
                (ColumnType::Integer, Value::String(text)) => json!(text.trim().parse::<i64>().ok()),
                (ColumnType::Integer, other) => json!(other.as_i64()),
                _ => Value::Null,
            },
        };
        record.insert(name.clone(), value);
    }
    record
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (any::<i32>(), 1u32..9999)
            .prop_map(|(whole, fraction)| json!(format!("{whole}.{fraction}").parse::<f64>().unwrap())),
        any::<i32>().prop_map(|number| json!(format!(" {number}"))),
        (0i32..99999, 1u32..9999).prop_map(|(whole, fraction)| json!(format!("{whole}.{fraction}1"))),
        "\\PC{0,12}"
            .prop_filter("strings of digits are tested separately", |text| !text.contains(|c: char| c.is_ascii_digit()))
            .prop_map(Value::from),
        prop::collection::vec(any::<i8>(), 0..3).prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn the_fast_path_matches_the_slow_path(
        rows in prop::collection::vec((prop::collection::vec(values(), 7), any::<u8>(), any::<bool>()), 1..8),
    ) {
        let stream = stream("ad_statistics_daily");
        let names = ["AdvertiserId", "campaignId", "Campaign", "AdsetId", "Adset", "Clicks", "AdvertiserCost"];
        let rows: Vec<Map<String, Value>> = rows
            .into_iter()
            .map(|(values, order, has_currency)| {
                let mut members: Vec<_> = names.iter().map(|&name| name.to_owned()).zip(values).collect();
                members.push(("Day".to_owned(), json!("2026-07-01T00:00:00")));
                if has_currency {
                    members.push(("Currency".to_owned(), json!("USD")));
                }
                let middle = usize::from(order) % members.len();
                members.rotate_left(middle);
                members.into_iter().collect()
            })
            .collect();
        let mut plan = Projection::new(&stream, &|_| true);
        let body = serde_json::to_string(&json!({"Rows": rows})).unwrap();
        let fast = project(&mut plan, &body).unwrap();
        for (row, record) in rows.iter().zip(&fast) {
            prop_assert_eq!(&Value::Object(reference(row, &stream)), record);
        }
    }
}
