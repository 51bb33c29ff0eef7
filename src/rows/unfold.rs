//! Makes rows of objects that hold lists or maps of them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::products::{ListOfRows, RowsOf};
use crate::support::scan;

/// The column with the members that have none.
const OTHER_COLUMNS: &str = "other_columns";
/// Of keywords and other strings that become keys.
const MAX_KEY_LEN: usize = 4096;

/// The rows of an object as JSON, separated by commas; `None` if it has none.
///
/// # Errors
/// If the object lacks a list that it must have, or a list or map is something else.
pub(crate) fn rows(object: &str, how: RowsOf) -> Result<Option<Cow<'_, str>>, String> {
    let inside = scan::member(object, |name| name.eq_ignore_ascii_case("attributes"));
    let inside = inside.filter(|raw| raw.starts_with('{')).unwrap_or(object);
    let mut rows = Vec::new();
    match how {
        RowsOf::Objects => return Ok(Some(Cow::Borrowed(object))),
        RowsOf::Renamed(names) => rows.push(renamed(object, names, "")?),
        RowsOf::Lists(lists) => {
            let mut has_any = false;
            for list in lists {
                has_any |= add_list(inside, list, &mut rows)?;
            }
            if !has_any && lists.iter().any(|list| list.is_required) {
                return Err(format!("an object without {}", lists.first().map_or("lists", |list| list.member)));
            }
        }
        RowsOf::Open(columns) => rows.push(open(inside, columns)?),
        RowsOf::Map { member, key, order: (order, place) } => {
            let Some(map) = member_of(inside, member).filter(|raw| *raw != "null") else { return Ok(None) };
            if !map.starts_with('{') {
                return Err(format!("{member} is not a map"));
            }
            let places = places(inside, order);
            walk(map, &mut |name, entry| {
                let mut row = format!("\"{key}\":{}", Value::from(name));
                if let Some(at) = places.get(name) {
                    row += &format!(",\"{place}\":{at}");
                }
                rows.push(renamed(if entry == "null" { "{}" } else { entry }, &[], &row)?);
                Ok(())
            })?;
        }
    }
    Ok((!rows.is_empty()).then(|| Cow::Owned(rows.join(","))))
}

/// The column of a member: spaces, underscores and case do not matter.
fn folded(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | ' ' | '-')).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The object with members named like columns, and the others in a column of their own.
fn open(object: &str, columns: &[&str]) -> Result<String, String> {
    if !object.starts_with('{') {
        return Err("a row that is no object".to_owned());
    }
    let (mut row, mut others) = ("{".to_owned(), "{".to_owned());
    walk(object, &mut |name, raw| {
        let column = columns.iter().find(|column| folded(column) == folded(name));
        let (text, name) = column.map_or((&mut others, name), |column| (&mut row, *column));
        *text += if text.len() > 1 { "," } else { "" };
        *text += &format!("{}:{raw}", Value::from(name));
        Ok(())
    })?;
    row += if row.len() > 1 { "," } else { "" };
    Ok(format!("{row}\"{OTHER_COLUMNS}\":{others}}}}}"))
}

fn member_of<'a>(object: &'a str, member: &str) -> Option<&'a str> {
    scan::member(object, |name| name.eq_ignore_ascii_case(member))
}

fn walk(object: &str, each: &mut dyn FnMut(&str, &str) -> Result<(), String>) -> Result<(), String> {
    scan::members(object, &mut |name, raw| each(name, raw)).map_err(|error| error.to_string())
}

/// Adds the rows of a list. Returns whether the object has it.
fn add_list(object: &str, list: &ListOfRows, rows: &mut Vec<String>) -> Result<bool, String> {
    let Some(entries) = member_of(object, list.member) else { return Ok(false) };
    if entries == "null" {
        return Ok(true);
    }
    if !entries.starts_with('[') {
        return Err(format!("{} is not a list", list.member));
    }
    let mut start: Vec<_> =
        list.constants.iter().map(|(name, value)| format!("\"{name}\":{}", Value::from(*value))).collect();
    let repeated = list.repeated.iter().filter_map(|name| Some((name, member_of(object, name)?)));
    start.extend(repeated.map(|(name, value)| format!("\"{name}\":{value}")));
    let start = start.join(",");
    let walk = scan::items(entries, &mut |entry| {
        let row = match list.text {
            Some(name) => {
                let comma = if start.is_empty() { "" } else { "," };
                format!("{{{start}{comma}\"{name}\":{entry}}}")
            }
            None => renamed(entry, list.renamed, &start)?,
        };
        rows.push(row);
        Ok(())
    });
    walk.map(|()| true).map_err(|error| error.to_string())
}

/// The object with other names for some members, after the members in `start`.
fn renamed(object: &str, names: &[(&str, &str)], start: &str) -> Result<String, String> {
    if !object.starts_with('{') {
        return Err("an entry that is no object".to_owned());
    }
    let mut text = format!("{{{start}");
    walk(object, &mut |name, raw| {
        let other = names.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map(|(_, new)| *new);
        text += if text.len() > 1 { "," } else { "" };
        text += &format!("{}:{raw}", Value::from(other.unwrap_or(name)));
        Ok(())
    })?;
    Ok(text + "}")
}

/// The places of the strings in a list, from 1.
fn places(object: &str, member: &str) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    // A list that is something else has no places.
    let _ = scan::items(member_of(object, member).unwrap_or("[]"), &mut |entry| {
        let next = places.len() + 1;
        if let Some(text) = scan::text(entry, MAX_KEY_LEN) {
            places.entry(text).or_insert(next);
        }
        Ok(())
    });
    places
}

#[cfg(test)]
mod tests {
    use crate::rows::unfold::*;
    use serde_json::json;

    fn unfolded(object: &Value, how: RowsOf) -> Result<Value, String> {
        let text = object.to_string();
        let rows = rows(&text, how)?.map(|rows| format!("[{rows}]"));
        Ok(serde_json::from_str(rows.as_deref().unwrap_or("[]")).unwrap())
    }

    const DAYS: ListOfRows = ListOfRows {
        member: "days",
        is_required: true,
        text: None,
        constants: &[("period", "daily")],
        repeated: &["accountId"],
        renamed: &[("startDate", "start")],
    };

    #[test]
    fn lists_become_rows_with_what_their_object_says() {
        const PAGES: ListOfRows =
            ListOfRows { text: Some("page"), constants: &[], repeated: &[], renamed: &[], ..DAYS };
        let object =
            json!({"attributes": {"accountId": "7", "days": [{"startDate": "x", "n": 1}, {"startDate": null}]}});
        assert_eq!(
            unfolded(&object, RowsOf::Lists(&[DAYS])).unwrap(),
            json!([{"period": "daily", "accountId": "7", "start": "x", "n": 1},
                {"period": "daily", "accountId": "7", "start": null}])
        );
        assert_eq!(unfolded(&json!({"days": null}), RowsOf::Lists(&[DAYS])).unwrap(), json!([]));
        for wrong in [json!({"other": []}), json!({"days": {}}), json!({"days": [1]})] {
            assert!(unfolded(&wrong, RowsOf::Lists(&[DAYS])).is_err(), "{wrong}");
        }
        let pages = unfolded(&json!({"days": ["home", "se\"arch"]}), RowsOf::Lists(&[PAGES])).unwrap();
        assert_eq!(pages, json!([{"page": "home"}, {"page": "se\"arch"}]));
    }

    #[test]
    fn maps_become_rows_with_their_keys_and_places() {
        let how = RowsOf::Map { member: "keywords", key: "keyword", order: ("rank", "rank") };
        let object =
            json!({"attributes": {"keywords": {"b \"c\"": {"bid": 1.50}, "a": null}, "rank": ["a", "b \"c\""]}});
        assert_eq!(
            unfolded(&object, how).unwrap(),
            json!([{"keyword": "b \"c\"", "rank": 2, "bid": 1.50}, {"keyword": "a", "rank": 1}])
        );
        assert_eq!(unfolded(&json!({"attributes": {"keywords": null}}), how).unwrap(), json!([]));
        assert!(unfolded(&json!({"keywords": []}), how).is_err());
    }

    #[test]
    fn members_without_a_column_stay_together() {
        let how = RowsOf::Open(&["account_id", "working_media_spend"]);
        let of = |object| unfolded(&object, how).unwrap();
        assert_eq!(
            of(json!({"AccountId": "7", "Working Media Spend": 1.50, "Fee": {"a": 2}, "Note": null})),
            json!([{"account_id": "7", "working_media_spend": 1.50, "other_columns": {"Fee": {"a": 2}, "Note": null}}])
        );
        assert_eq!(of(json!({"attributes": {"accountId": 7}})), json!([{"account_id": 7, "other_columns": {}}]));
        assert_eq!(of(json!({"Fee": 1})), json!([{"other_columns": {"Fee": 1}}]));
    }

    #[test]
    fn members_get_other_names() {
        let rows = unfolded(&json!({"id": "1", "attributes": {}}), RowsOf::Renamed(&[("id", "campaignId")])).unwrap();
        assert_eq!(rows, json!([{"campaignId": "1", "attributes": {}}]));
    }
}
