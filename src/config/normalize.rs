//! Accepts what users and platforms write, where the meaning is certain.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use crate::config::{Problems, SPEC};
use crate::products::marketing::metrics::{self, fold};

/// Some platforms append a time.
const DAYS: &[&str] = &["start_date", "end_date"];
/// API names of report members that are named differently here.
const OTHER_NAMES: &[(&str, &str)] = &[("reportname", "name"), ("adsetstatuses", "ad_set_status")];

/// Makes the canonical document that the schema validates.
pub(crate) fn normalize(
    object: Map<String, Value>,
    warnings: &mut Vec<String>,
    problems: &mut Problems,
) -> Map<String, Value> {
    let schema = &SPEC["connectionSpecification"];
    let object = named(object, schema, "", problems);
    let mut canonical = Map::new();
    for (key, value) in of_older_taps(object, warnings) {
        let value = match key.as_str() {
            "custom_reports" => custom_reports(value, warnings, problems),
            _ => setting(&key, value, &schema["properties"][&key], &key, warnings),
        };
        if !is_unset(&value) {
            canonical.insert(key, value);
        }
    }
    canonical
}

pub(crate) fn report_schema(schema: &Value) -> &Value {
    &schema["properties"]["custom_reports"]["items"]
}

/// Renames members to the schema's spelling: `timeZone` becomes `timezone`. Secrets must already be spelled right,
/// since other code finds them by name to mask and replace them.
fn named(object: Map<String, Value>, schema: &Value, path: &str, problems: &mut Problems) -> Map<String, Value> {
    let Some(known) = schema["properties"].as_object() else { return object };
    let mut result: Map<String, Value> = Map::new();
    for (key, value) in object {
        let folded = fold(&key);
        let other = OTHER_NAMES.iter().find(|(other, name)| *other == folded && known.contains_key(*name));
        let same = || known.keys().find(|name| fold(name) == folded).map(String::as_str);
        let name = match other.map(|(_, name)| *name).or_else(same) {
            Some(name) if name != key && known[name]["airbyte_secret"] == true => {
                problems.push(&format!("{path}{key}"), format!("must be spelled {name}."));
                &key
            }
            Some(name) => name,
            None => &key,
        };
        match result.get(name) {
            Some(before) if !is_unset(before) && !is_unset(&value) => {
                problems.push(&format!("{path}{name}"), "is given in two spellings. Keep the right one.");
            }
            Some(_) if is_unset(&value) => {}
            _ => {
                result.insert(name.to_owned(), value);
            }
        }
    }
    result
}

fn setting(key: &str, value: Value, schema: &Value, path: &str, warnings: &mut Vec<String>) -> Value {
    let value = trimmed(path, value, warnings);
    match (key, schema["type"].as_str()) {
        (key, _) if DAYS.contains(&key) => day(value),
        ("currency", _) => upper_case(value),
        ("countries", _) => each(list(value), upper_case),
        // Ids that differ only in leading zeros are the same advertiser or account.
        ("advertiser_ids" | "account_ids", _) => without_doubles(list(value), |id| id.trim_start_matches('0')),
        (_, Some("array")) => list(value),
        (_, Some("integer")) => integer(value),
        (_, Some("boolean")) => switch(value),
        (_, Some("string")) => one_of(value, &schema["enum"]),
        _ => value,
    }
}

/// `reports` of older Singer taps become `custom_reports`, with names that are valid in stream names.
fn of_older_taps(mut object: Map<String, Value>, warnings: &mut Vec<String>) -> Map<String, Value> {
    let is_set = |key: &str| object.get(key).is_some_and(|value| !is_unset(value));
    if !is_set("reports") {
        return object;
    }
    if is_set("custom_reports") {
        warnings.push("reports: ignored, since custom_reports is set.".to_owned());
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
        "reports: read as custom_reports, the name this tap uses. The streams are named custom_<name>, have snake_case \
         columns and are incremental."
            .to_owned(),
    );
    object.insert("custom_reports".to_owned(), Value::Array(reports));
    object
}

/// Forms send an empty string or list, or `null`, for blank fields.
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

/// `"1, 2"`, `1`, `[1, "2"]` → `["1", "2"]`, without duplicates.
fn list(value: Value) -> Value {
    without_doubles(items(value), |item| item)
}

fn items(value: Value) -> Value {
    let items = match value {
        Value::String(text) => {
            let items: Vec<_> = text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(Value::from).collect();
            if items.is_empty() {
                // Commas without ids are a mistake, and must not be read as "all".
                return Value::String(text);
            }
            items
        }
        Value::Number(_) => vec![value],
        Value::Array(items) => items,
        other => return other,
    };
    let texts = items.into_iter().map(|item| match item {
        Value::Number(number) => Value::from(number.to_string()),
        Value::String(text) => Value::from(text.trim()),
        other => other,
    });
    Value::Array(texts.collect())
}

/// Removes duplicates. Of items with the same meaning, keeps the shortest, in the first position.
fn without_doubles(value: Value, meaning: impl Fn(&str) -> &str) -> Value {
    let Value::Array(items) = value else { return value };
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in items {
        let text = item.as_str().map_or_else(|| item.to_string(), |text| meaning(text).to_owned());
        match places.entry(text) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(item);
            }
            Entry::Occupied(place) => {
                let known = kept.get_mut(*place.get());
                let length = |value: &Value| value.as_str().map_or(0, str::len);
                if let Some(known) = known.filter(|known| length(&item) < length(known)) {
                    *known = item;
                }
            }
        }
    }
    Value::Array(kept)
}

fn each(value: Value, change: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) => without_doubles(Value::Array(items.into_iter().map(change).collect()), |item| item),
        other => other,
    }
}

fn one_of(value: Value, words: &Value) -> Value {
    let meant = value.as_str().map(fold).and_then(|folded| {
        let mut words = words.as_array().into_iter().flatten();
        words.find(|word| word.as_str().is_some_and(|word| fold(word) == folded))
    });
    meant.cloned().unwrap_or(value)
}

/// `2026-01-01T00:00:00Z` → `2026-01-01`. Other suffixes stay, for the schema to reject.
fn day(value: Value) -> Value {
    let parts = value.as_str().and_then(|text| text.split_once(['T', ' ']));
    let is_time = |text: &str| !text.is_empty() && text.bytes().all(|byte| b"0123456789:.+-Z".contains(&byte));
    match parts {
        Some((day, time)) if day.parse::<NaiveDate>().is_ok() && is_time(time) => Value::from(day),
        _ => value,
    }
}

/// `"30"` and `30.0` → `30`.
fn integer(value: Value) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.strip_suffix(".0").unwrap_or(&text).parse::<i64>().map_or(value, Value::from)
}

/// `"true"` → `true`.
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

fn custom_reports(value: Value, warnings: &mut Vec<String>, problems: &mut Problems) -> Value {
    let Value::Array(reports) = value else { return value };
    let schema = report_schema(&SPEC["connectionSpecification"]);
    let reports = reports.into_iter().enumerate().map(|(index, report)| match report {
        Value::Object(object) => {
            let path = format!("custom_reports[{index}].");
            let members = named(object, schema, &path, problems).into_iter().filter_map(|(key, value)| {
                let value = match key.as_str() {
                    // Names may contain commas.
                    "ad_set_names" if value.is_string() => Value::Array(vec![value]),
                    // Duplicates stay, so that they are reported.
                    "dimensions" => words(items(value), dimension),
                    "metrics" => words(items(value), metric),
                    "ad_set_status" => words(list(value), status),
                    _ => setting(&key, value, &schema["properties"][&key], &format!("{path}{key}"), warnings),
                };
                // Empty lists stay, so that the schema can report them.
                let keep = matches!(key.as_str(), "dimensions" | "metrics") || !is_unset(&value);
                keep.then_some((key, value))
            });
            Value::Object(members.collect())
        }
        other => other,
    });
    Value::Array(reports.collect())
}

fn words(value: Value, known: impl Fn(&str) -> Option<String>) -> Value {
    let Value::Array(items) = value else { return value };
    let spelled = items.into_iter().map(|item| item.as_str().and_then(&known).map_or(item.clone(), Value::from));
    Value::Array(spelled.collect())
}

fn dimension(word: &str) -> Option<String> {
    metrics::dimension_of_word(word).map(|dimension| dimension.name.to_owned())
}

fn metric(word: &str) -> Option<String> {
    metrics::metric_of_word(word).map(|metric| metric.name.to_owned()).or_else(|| metrics::retired(word))
}

fn status(word: &str) -> Option<String> {
    ["Active", "NotRunning", "Dead"].into_iter().find(|known| fold(known) == fold(word)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::config::normalize::*;
    use serde_json::json;

    fn canonical(value: &Value) -> Value {
        let mut problems = Problems::default();
        let canonical = normalize(value.as_object().cloned().unwrap_or_default(), &mut Vec::new(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        Value::Object(canonical)
    }

    #[test]
    fn ids_are_accepted_in_many_formats() {
        for spelling in [json!("12, 034,12"), json!([12, "034"]), json!(["012", " 034 ", 12])] {
            assert_eq!(canonical(&json!({"advertiser_ids": spelling})), json!({"advertiser_ids": ["12", "034"]}));
        }
        assert_eq!(canonical(&json!({"advertiser_ids": 12})), json!({"advertiser_ids": ["12"]}));
    }

    #[test]
    fn blank_form_fields_are_unset() {
        assert_eq!(canonical(&json!({"start_date": "", "end_date": null, "advertiser_ids": []})), json!({}));
    }

    #[test]
    fn lossless_spellings_are_normalized() {
        assert_eq!(
            canonical(
                &json!({"start_date": "2026-01-01T00:00:00Z", "currency": " eur", "lookback_days": "7", "verify_totals": "False"})
            ),
            json!({"start_date": "2026-01-01", "currency": "EUR", "lookback_days": 7, "verify_totals": false})
        );
    }

    #[test]
    fn reports_of_older_taps_become_custom_reports() {
        let older =
            json!({"reports": [{"name": "By Day", "dimensions": ["Day"], "metrics": ["Clicks"], "currency": "eur"}]});
        let mut warnings = Vec::new();
        let canonical =
            normalize(older.as_object().cloned().unwrap_or_default(), &mut warnings, &mut Problems::default());
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
    fn members_and_names_are_accepted_in_criteos_spellings() {
        let object = json!({
            "advertiserIds": "7, 8 ,7", "timeZone": "UTC", "countries": "fr,DE, FR", "placements_environment": "ios",
            "customReports": [{
                "reportName": "mine", "adSetIds": [7, "7"], "adSetNames": ["a, b", "a, b "], "adSetStatus": "notrunning",
                "rowNumber": "true", "dimensions": ["day", "ad_set_id", "ADVERTISER", " campaign_name"],
                "metrics": ["sales_pc30d", "CLICKS", "cac_pc30d", "newlyInvented"],
            }],
        });
        let report = json!({
            "name": "mine", "ad_set_ids": ["7"], "ad_set_names": ["a, b"], "ad_set_status": ["NotRunning"],
            "row_number": true, "dimensions": ["Day", "AdsetId", "Advertiser", "Campaign"],
            "metrics": ["SalesPc30d", "Clicks", "CacPc30d", "newlyInvented"],
        });
        let wanted = json!({
            "advertiser_ids": ["7", "8"], "timezone": "UTC", "countries": ["FR", "DE"], "placements_environment": "Ios",
            "custom_reports": [report],
        });
        assert_eq!(canonical(&object), wanted);
    }

    #[test]
    fn duplicate_spellings_and_misspelled_secrets_are_reported() {
        let object = json!({
            "timeZone": "UTC", "timezone": "Europe/Paris", "clientSecret": "hunter2hunter2", "startDate": "", "start_date": "x",
            "custom_reports": [{"adSetIds": [1], "ad_set_ids": [2]}],
        });
        let mut problems = Problems::default();
        let canonical = normalize(object.as_object().cloned().unwrap_or_default(), &mut Vec::new(), &mut problems);
        assert_eq!(canonical["start_date"], "x", "a blank field of a form is not there");
        let reported = problems.into_error().message;
        for words in
            ["3 problems", "timezone is given in two", "[0].ad_set_ids is given", "must be spelled client_secret"]
        {
            assert!(reported.contains(words), "{words}: {reported}");
        }
        assert!(!reported.contains("hunter2"), "{reported}");
    }

    #[test]
    fn invalid_values_are_not_changed() {
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
    fn a_trimmed_secret_is_reported_without_its_value() {
        let mut warnings = Vec::new();
        let object = json!({"client_secret": "hunter2\n"}).as_object().cloned().unwrap_or_default();
        let canonical = normalize(object, &mut warnings, &mut Problems::default());
        assert_eq!(Value::Object(canonical), json!({"client_secret": "hunter2"}));
        assert_eq!(warnings, ["client_secret: removed white space around the value."]);
    }
}
