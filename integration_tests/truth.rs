//! The expected records, derived from the sandbox's truth by slow, simple code independent of the program.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use crate::harness::Bench;

/// Records by their primary key.
pub type ByKey = BTreeMap<String, Map<String, Value>>;

/// Records by key; repeated keys must have equal values.
pub fn by_key<'a>(records: impl IntoIterator<Item = &'a Map<String, Value>>, stream: &Value) -> ByKey {
    let key = stream["source_defined_primary_key"].as_array().unwrap();
    let mut by_key = ByKey::new();
    for record in records {
        let value =
            |column: &str| record.get(column).unwrap_or_else(|| panic!("no {column} in {record:?}")).to_string();
        let values: Vec<_> = key.iter().map(|path| value(path[0].as_str().unwrap())).collect();
        let known = by_key.insert(values.join(" "), record.clone());
        assert!(known.is_none_or(|known| known == *record), "two records have one key: {record:?}");
    }
    by_key
}

/// Expected records of an object stream.
pub fn entity(bench: &Bench, name: &str, stream: &Value) -> Vec<Map<String, Value>> {
    records_of(&bench.sandbox.world().stream(name, "2026-07").unwrap(), stream)
}

/// Objects as records.
pub fn records_of(objects: &[Value], stream: &Value) -> Vec<Map<String, Value>> {
    let properties = stream["json_schema"]["properties"].as_object().unwrap();
    let mut records = Vec::new();
    for object in objects {
        let mut record = Map::new();
        let is_resource = object["attributes"].is_object();
        flatten(if is_resource { &object["attributes"] } else { object }, "", properties, &mut record);
        if let Some(id) = object.get("id").filter(|_| is_resource) {
            record.insert("id".to_owned(), id.clone());
        }
        records.push(record);
    }
    records
}

/// Joins nested names; a child that repeats its parent's name gets no prefix.
fn flatten(value: &Value, name: &str, properties: &Map<String, Value>, record: &mut Map<String, Value>) {
    let is_column = properties.contains_key(name);
    match value {
        Value::Object(members) if !is_column || members.keys().eq(["value"]) => {
            for (member, value) in members {
                flatten(value, &join(name, member), properties, record);
            }
        }
        value if is_column => {
            record.insert(name.to_owned(), normal(value, &properties[name]));
        }
        // A null object has no columns.
        Value::Null => {}
        other => panic!("no column for {name}: {other}"),
    }
}

/// The column name of a nested member.
pub fn join(name: &str, member: &str) -> String {
    let member = snake_case(member).replace("adset", "ad_set");
    match (name, member.as_str()) {
        (_, "value") => name.to_owned(),
        ("", member) => member.to_owned(),
        (name, member) if member.starts_with(name) => member.to_owned(),
        (name, member) => format!("{name}_{member}"),
    }
}

/// Expected records of a report from its start to today.
pub fn report(bench: &Bench, query: &Value, stream: &Value) -> Vec<Map<String, Value>> {
    let mut query = query.clone();
    for (name, default) in [
        ("advertiserIds", json!(bench.sandbox.world().consenting_ids().join(","))),
        ("startDate", bench.config["start_date"].clone()),
        ("endDate", json!(bench.today())),
        ("currency", bench.config["currency"].clone()),
        ("timezone", json!("UTC")),
        ("format", json!("json")),
    ] {
        if query[name].is_null() {
            query[name] = default;
        }
    }
    rows(bench, "statistics", &query, stream, &json!({}))
}

/// A report's rows as records, including columns that rows lack.
fn rows(bench: &Bench, report: &str, query: &Value, stream: &Value, more: &Value) -> Vec<Map<String, Value>> {
    let rows = bench.sandbox.world().report_truth(report, query).unwrap();
    let properties = stream["json_schema"]["properties"].as_object().unwrap();
    let mut seen = BTreeMap::new();
    let mut records = Vec::new();
    // Converts each name once, not per row.
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let mut record = Map::new();
        for (member, value) in &row {
            if !columns.contains_key(member) {
                let column = if report == "log_level" { log_column(member) } else { column(member) };
                columns.insert(member.clone(), column);
            }
            let column = &columns[member];
            if let Some(property) = properties.get(column) {
                record.insert(column.clone(), normal(value, property));
            }
        }
        for (column, value) in more.as_object().unwrap() {
            record.insert(column.clone(), value.clone());
        }
        if properties.contains_key("timezone") {
            record.insert("timezone".to_owned(), json!(query["timezone"].as_str().unwrap_or("UTC")));
        }
        if properties.contains_key("row_number") {
            let key = stream["source_defined_primary_key"].as_array().unwrap();
            let key = key.iter().map(|path| path[0].as_str().unwrap()).filter(|key| *key != "row_number");
            let key: Vec<_> = key.map(|key| record[key].to_string()).collect();
            let number = seen.entry(key).or_insert(0);
            *number += 1;
            record.insert("row_number".to_owned(), json!(*number));
        }
        if report == "log_level" {
            let others: Map<_, _> = row
                .iter()
                .filter(|(name, _)| *name == "DAY" || !properties.contains_key(&log_column(name)))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            record.insert("other_columns".to_owned(), Value::Object(others));
            record.insert("line_number".to_owned(), json!(records.len() + 1));
        }
        records.push(record);
    }
    records
}

/// Expected records of a smaller report from the start to today.
pub fn small(bench: &Bench, name: &str, stream: &Value) -> Vec<Map<String, Value>> {
    let start: NaiveDate = bench.config["start_date"].as_str().unwrap().parse().unwrap();
    let today = bench.today();
    let days: Vec<NaiveDate> = start.iter_days().take_while(|day| *day <= today).collect();
    let advertisers = bench.sandbox.world().consenting_ids();
    let period = |query: Value, start: NaiveDate, end: NaiveDate| {
        let mut query = query;
        query["startDate"] = json!(start);
        query["endDate"] = json!(end);
        query
    };
    let each_day = |report: &str, query: &dyn Fn(&Value) -> Value, attributes: Value| {
        let of_day = |day: &NaiveDate| {
            let query = query(&period(attributes.clone(), *day, *day));
            rows(bench, report, &query, stream, &json!({"day": day}))
        };
        days.iter().flat_map(of_day).collect::<Vec<_>>()
    };
    let all = advertisers.join(",");
    let wrapped = |attributes: &Value| json!({"data": [{"attributes": attributes}]});
    let placements = |last: &[&str]| {
        let mut dimensions =
            vec!["AdvertiserId", "AdvertiserName", "CampaignId", "CampaignName", "AdsetId", "AdsetName", "Environment"];
        dimensions.extend(last);
        json!({"advertiserIds": all, "currency": bench.config["currency"], "dimensions": dimensions,
            "metrics": ["Clicks", "Displays", "Cost", "SalesPc30d", "RevenuePc30d", "SalesPv1d", "RevenuePv1d"],
            "disclosed": bench.config["placements_disclosed"], "environment": bench.config["placements_environment"]})
    };
    match name {
        "placements_daily" => each_day("placements", &wrapped, placements(&["Placement"])),
        "placement_categories_daily" => each_day("placements", &wrapped, placements(&["CategoryId", "CategoryName"])),
        "transactions" => {
            let query = json!({"advertiserIds": all, "currency": bench.config["currency"],
                "eventType": bench.config["transactions_event_type"]});
            rows(bench, "transactions", &wrapped(&period(query, start, today)), stream, &json!({}))
        }
        "ad_level_statistics" => {
            let query = json!({"advertiserIds": advertisers, "dimensions": ["AdvertiserId", "AdvertiserName", "AdsetId",
                "AdsetName", "MediaChannel", "Platform", "AdGroupName", "ProductId", "AdId"], "metrics": ["Impressions",
                "Clicks", "Spend", "AdGroupContextHint", "AdGroupDescription", "ProductName", "AdTitle", "AdCopy"]});
            each_day("ad_level", &|attributes| json!({"data": {"attributes": attributes}}), query)
        }
        "log_level_events" => {
            let files =
                advertisers.iter().flat_map(|id| days.iter().filter(|day| **day < today).map(move |day| (id, day)));
            let of_file = |(id, day): (&String, &NaiveDate)| {
                let name = format!("{id}_{day}.csv.gz");
                rows(
                    bench,
                    "log_level",
                    &json!({"name": name}),
                    stream,
                    &json!({"advertiser_id": id, "file_name": name, "day": day}),
                )
            };
            files.flat_map(of_file).collect()
        }
        marketplace => {
            let what = match marketplace {
                "mpo_campaign_statistics" => "campaigns",
                "mpo_seller_statistics" => "sellers",
                "mpo_seller_campaign_statistics" => "seller-campaigns",
                other => panic!("{other} is not a report"),
            };
            let interval = bench.config["mpo_interval"].as_str().unwrap_or("Day");
            let of_advertiser = |id: &String| {
                let query = json!({"advertiserId": id, "intervalSize": interval, "clickAttributionPolicy": "Both"});
                rows(bench, what, &period(query, start, today), stream, &json!({"advertiser_id": id}))
            };
            advertisers.iter().flat_map(of_advertiser).collect()
        }
    }
}

/// Files have upper-case names. Their day is the requested one.
fn log_column(member: &str) -> String {
    member.to_lowercase().replace("adset", "ad_set")
}

fn column(member: &str) -> String {
    let alias = match member {
        "AdsetId" => "ad_set_id",
        "Adset" => "ad_set_name",
        "Advertiser" => "advertiser_name",
        "Campaign" => "campaign_name",
        "Category" => "category_name",
        "Coupon" => "coupon_name",
        "MarketingObjective" => "marketing_objective_name",
        "Channel" => "channel_name",
        "Ad" => "ad_name",
        other => return snake_case(other).replace("adset", "ad_set"),
    };
    alias.to_owned()
}

/// Enough for the names in these tests; the golden file has all.
fn snake_case(name: &str) -> String {
    let mut column = String::new();
    let mut before = 'A';
    for letter in name.chars() {
        if letter.is_uppercase() && !before.is_uppercase() {
            column.push('_');
        }
        column.extend(letter.to_lowercase());
        before = letter;
    }
    column
}

/// A value in its column's type.
fn normal(value: &Value, property: &Value) -> Value {
    let is_nullable = property["type"].is_array();
    let kind = property["type"].as_str().or(property["type"][1].as_str()).unwrap();
    match (value, kind, property["format"].as_str()) {
        (Value::Null, "string", _) if !is_nullable => json!(""),
        (Value::Null, ..) => Value::Null,
        (Value::String(text), "boolean", _) => json!(matches!(text.as_str(), "True" | "Yes")),
        (Value::String(text), _, Some("date-time")) if property["airbyte_type"] == "timestamp_without_timezone" => {
            json!(
                NaiveDateTime::parse_from_str(text, "%m/%d/%Y %H:%M:%S")
                    .unwrap()
                    .format("%Y-%m-%dT%H:%M:%S")
                    .to_string()
            )
        }
        (Value::String(text), "number", _) if text.is_empty() => Value::Null,
        (Value::String(text), "number" | "integer", _) => serde_json::from_str(text).unwrap(),
        (Value::Number(number), "string", _) => json!(number.to_string()),
        (Value::Array(items), "array", _) if property["items"]["type"][1] == "string" => {
            let text = |item: &Value| item.as_number().map_or(item.clone(), |number| json!(number.to_string()));
            items.iter().map(text).collect()
        }
        (Value::String(text), _, Some("date")) if text.is_empty() => Value::Null,
        (Value::String(text), _, Some("date-time")) => {
            let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
            let instant = instant.unwrap_or_else(|_| text.parse::<NaiveDateTime>().unwrap().and_utc());
            json!(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        (other, ..) => other.clone(),
    }
}
