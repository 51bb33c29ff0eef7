//! Accepts what people and platforms really write, where nothing is lost by it.

use chrono::NaiveDate;
use serde_json::{Map, Value};

/// Settings that hold a list, which may also be written as one comma string.
const LISTS: &[&str] = &["advertiser_ids", "countries"];
/// Settings that hold a day, which some platforms write with a time behind it.
const DAYS: &[&str] = &["start_date", "end_date"];
/// Settings whose value is a whole number, which may also be written as text.
const INTEGERS: &[&str] = &["lookback_days", "report_row_cap", "calls_at_once", "backoff_percent"];

/// Settings that are a yes or no, which environment variables can only write as text.
const SWITCHES: &[&str] =
    &["verify_totals", "skip_inaccessible_advertisers", "placements_disclosed", "log_level_product_ids"];

/// Turns a configuration as written into the canonical document that the schema judges.
pub(super) fn normalize(object: Map<String, Value>, warnings: &mut Vec<String>) -> Map<String, Value> {
    let mut canonical = Map::new();
    for (key, value) in of_older_taps(object, warnings) {
        let value = trimmed(&key, value, warnings);
        let value = match key.as_str() {
            key if LISTS.contains(&key) => id_list(value),
            key if DAYS.contains(&key) => day(value),
            key if INTEGERS.contains(&key) => integer(value),
            key if SWITCHES.contains(&key) => switch(value),
            "currency" => upper_case(value),
            "custom_reports" => custom_reports(value, warnings),
            _ => value,
        };
        if !is_unset(&value) {
            canonical.insert(key, value);
        }
    }
    canonical
}

/// `reports` of older Singer taps → `custom_reports`, with names that can be those of streams.
fn of_older_taps(mut object: Map<String, Value>, warnings: &mut Vec<String>) -> Map<String, Value> {
    let is_set = |key: &str| object.get(key).is_some_and(|value| !is_unset(value));
    if !is_set("reports") {
        return object;
    }
    if is_set("custom_reports") {
        warnings.push("reports: left out, since there are custom_reports, too.".to_owned());
        return object;
    }
    let Some(Value::Array(mut reports)) = object.remove("reports") else { return object };
    for report in &mut reports {
        if let Some(name) = report["name"].as_str() {
            let is_kept = |letter: char| letter.is_ascii_alphanumeric();
            let name = name.to_lowercase().replace(|letter| !is_kept(letter), "_");
            let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase());
            report["name"] = Value::from(if is_name { name } else { format!("r_{name}") });
        }
    }
    warnings.push(
        "reports: taken for custom_reports, which is what this tap calls them. Their streams are custom_<name>, have \
         columns in snake_case and go on from a state."
            .to_owned(),
    );
    object.insert("custom_reports".to_owned(), Value::Array(reports));
    object
}

/// `null`, an empty text and an empty list all mean "not set": forms send them for fields left blank.
pub(crate) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn trimmed(key: &str, value: Value, warnings: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.trim().len() != text.len() => {
            warnings.push(format!("{key}: removed white space around the value."));
            Value::from(text.trim())
        }
        other => other,
    }
}

/// `"1, 2"`, `1`, `[1, "2"]` → `["1", "2"]`, without repetitions.
fn id_list(value: Value) -> Value {
    let items = match value {
        Value::String(text) => {
            let ids: Vec<_> = text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(Value::from).collect();
            if ids.is_empty() {
                // Commas without ids are a mistake, and must not come to mean "all".
                return Value::String(text);
            }
            ids
        }
        Value::Number(_) => vec![value],
        Value::Array(items) => items,
        other => return other,
    };
    let mut ids: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let id = match item {
            Value::Number(number) => Value::from(number.to_string()),
            Value::String(text) => Value::from(text.trim()),
            other => other,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Value::Array(ids)
}

/// `2026-01-01T00:00:00Z` → `2026-01-01`; the time of a day says nothing, anything else behind it does.
fn day(value: Value) -> Value {
    let parts = value.as_str().and_then(|text| text.split_once(['T', ' ']));
    let is_time = |text: &str| !text.is_empty() && text.bytes().all(|byte| b"0123456789:.+-Z".contains(&byte));
    match parts {
        Some((day, time)) if day.parse::<NaiveDate>().is_ok() && is_time(time) => Value::from(day),
        _ => value,
    }
}

/// `"30"` and `30.0` → `30`
fn integer(value: Value) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.strip_suffix(".0").unwrap_or(&text).parse::<i64>().map_or(value, Value::from)
}

/// `"true"` → `true`
pub(crate) fn switch(value: Value) -> Value {
    match value.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Value::from(true),
        Some("false") => Value::from(false),
        _ => value,
    }
}

fn upper_case(value: Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from(text.to_ascii_uppercase()),
        None => value,
    }
}

fn custom_reports(value: Value, warnings: &mut Vec<String>) -> Value {
    let Value::Array(reports) = value else { return value };
    let reports = reports.into_iter().map(|report| match report {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter_map(|(key, value)| {
                    let value = trimmed(&format!("custom_reports[].{key}"), value, warnings);
                    let value = match key.as_str() {
                        "ad_set_ids" => id_list(value),
                        "currency" => upper_case(value),
                        _ => value,
                    };
                    // An empty list of dimensions or metrics stays, so that the schema can say what is missing.
                    let keep = matches!(key.as_str(), "dimensions" | "metrics") || !is_unset(&value);
                    keep.then_some((key, value))
                })
                .collect(),
        ),
        other => other,
    });
    Value::Array(reports.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn canonical(value: &Value) -> Value {
        Value::Object(normalize(value.as_object().cloned().unwrap_or_default(), &mut Vec::new()))
    }

    #[test]
    fn ids_come_in_many_spellings() {
        for spelling in [json!("12, 034,12"), json!([12, "034"]), json!(["12", " 034 ", 12])] {
            assert_eq!(canonical(&json!({"advertiser_ids": spelling})), json!({"advertiser_ids": ["12", "034"]}));
        }
        assert_eq!(canonical(&json!({"advertiser_ids": 12})), json!({"advertiser_ids": ["12"]}));
    }

    #[test]
    fn blank_fields_of_a_form_are_not_set() {
        assert_eq!(canonical(&json!({"start_date": "", "end_date": null, "advertiser_ids": []})), json!({}));
    }

    #[test]
    fn lossless_spellings_become_canonical() {
        assert_eq!(
            canonical(
                &json!({"start_date": "2026-01-01T00:00:00Z", "currency": " eur", "lookback_days": "7", "verify_totals": "False"})
            ),
            json!({"start_date": "2026-01-01", "currency": "EUR", "lookback_days": 7, "verify_totals": false})
        );
    }

    #[test]
    fn reports_of_older_taps_are_custom_reports() {
        let older =
            json!({"reports": [{"name": "By Day", "dimensions": ["Day"], "metrics": ["Clicks"], "currency": "eur"}]});
        let mut warnings = Vec::new();
        let canonical = normalize(older.as_object().cloned().unwrap_or_default(), &mut warnings);
        let report = json!({"name": "by_day", "dimensions": ["Day"], "metrics": ["Clicks"], "currency": "EUR"});
        assert_eq!(Value::Object(canonical), json!({"custom_reports": [report]}));
        assert!(warnings[0].starts_with("reports: "), "{warnings:?}");
        let named = canonical_of("2024 by-day", json!(null));
        assert_eq!(named["custom_reports"][0]["name"], "r_2024_by_day");
        assert_eq!(canonical_of("x", json!([{"name": "own"}]))["custom_reports"][0]["name"], "own");
    }

    fn canonical_of(name: &str, own: Value) -> Value {
        let mut object = json!({"reports": [{"name": name}]});
        object["custom_reports"] = own;
        canonical(&object)
    }

    #[test]
    fn mistakes_stay_what_they_are() {
        for mistake in [
            json!({"start_date": "Today"}),
            json!({"start_date": "2026-01-01 to 2026-02-01"}),
            json!({"advertiser_ids": ","}),
            json!({"lookback_days": 7.5}),
        ] {
            assert_eq!(canonical(&mistake), mistake);
        }
        assert_eq!(canonical(&json!({"lookback_days": 7.0})), json!({"lookback_days": 7}));
    }

    #[test]
    fn a_trimmed_secret_is_told_without_its_value() {
        let mut warnings = Vec::new();
        let object = json!({"client_secret": "hunter2\n"}).as_object().cloned().unwrap_or_default();
        assert_eq!(Value::Object(normalize(object, &mut warnings)), json!({"client_secret": "hunter2"}));
        assert_eq!(warnings, ["client_secret: removed white space around the value."]);
    }
}
