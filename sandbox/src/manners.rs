//! Formats a report's rows with the names, order and envelope that the switches select.
//!
//! Input rows have documented names, ISO days, and numbers as marked strings. Their content is final; only the format
//! changes.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::options::{Casing, Numbers, Shape, Wrapping};
use crate::statistics::decimal;
use crate::world::World;

/// Marks a number to be written without quotes, since no double keeps all digits.
pub(crate) const NUMBER: char = '\u{e000}';
/// Marks an id whose first digit is to be escaped.
const ESCAPED: char = '\u{e001}';

pub(crate) type Row = Map<String, Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Statistics,
    Placements,
    Transactions,
    AdLevel,
    Marketplace,
}

/// A report's rows, and what their format depends on.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub report: Report,
    pub rows: Vec<Row>,
    pub timezone: Tz,
    /// Number of requested advertisers.
    pub advertisers: usize,
    pub currency: Option<&'a str>,
    /// Columns that add up over rows.
    pub additive: Vec<&'a str>,
    pub cap: usize,
}

impl World {
    fn switch(&self, report: Report, about: &str) -> &'static str {
        self.options.unknowns.get(&format!("{}_{about}", report.name()))
    }

    fn is_set(&self, report: Report, about: &str) -> bool {
        self.options.unknowns.chosen(&format!("{}_{about}", report.name())).is_some()
    }

    /// The response of a report.
    pub(crate) fn tell(&self, table: Table<'_>) -> Value {
        let Table { report, rows, timezone, advertisers, currency, additive, cap } = table;
        let unknowns = &self.options.unknowns;
        let is_summed = matches!(report, Report::Statistics | Report::Placements | Report::AdLevel);
        let mut rows = if is_summed { repeated(rows, unknowns.get("repeated_keys"), &additive) } else { rows };
        self.order(&mut rows);
        let total = rows.len();
        rows.truncate(cap);
        let is_without_advertiser = match unknowns.get("advertiser_column") {
            "never" => true,
            "absent_for_one" => advertisers == 1,
            _ => false,
        };
        for row in &mut rows {
            if is_without_advertiser {
                row.retain(|name, _| !name.eq_ignore_ascii_case("AdvertiserId"));
            }
            if report == Report::Statistics {
                self.spell_missing(row);
            }
            self.spell_times(report, row, timezone);
            self.spell_currency(row);
            self.spell_numbers(report, row);
            *row = self.spell_names(report, std::mem::take(row));
        }
        let warnings = self.warnings(report, total > cap);
        let mut envelope = self.envelope(report, rows, total, currency);
        if let Value::Object(members) = &mut envelope {
            if unknowns.get("cap_sign") == "total_items" {
                members.insert("meta".to_owned(), json!({"totalItems": self.count(total)}));
            }
            if !warnings.is_empty() {
                members.insert("warnings".to_owned(), Value::Array(warnings));
            }
        }
        self.spell_envelope(envelope)
    }

    /// A count in a response.
    pub(crate) fn count(&self, count: usize) -> Value {
        match self.options.unknowns.get("announced_counts") {
            "text" => json!(count.to_string()),
            "decimal" => json!(format!("{NUMBER}{count}.0")),
            _ => json!(count),
        }
    }

    fn order(&self, rows: &mut Vec<Row>) {
        match self.options.unknowns.get("row_order") {
            "reverse" => rows.reverse(),
            "shuffled" => {
                let mut numbered: Vec<_> =
                    (0u64..).map(|index| self.random(&[index, 99])).zip(rows.drain(..)).collect();
                numbered.sort_by_key(|(random, _)| *random);
                rows.extend(numbered.into_iter().map(|(_, row)| row));
            }
            _ => {}
        }
    }

    fn spell_missing(&self, row: &mut Row) {
        let form = self.options.unknowns.get("missing_id");
        match form {
            "empty" | "minus_one" => {
                let text = if form == "empty" { "" } else { "-1" };
                row.values_mut().filter(|value| value.is_null()).for_each(|value| *value = json!(text));
            }
            "absent" => row.retain(|_, value| !value.is_null()),
            _ => {}
        }
    }

    fn spell_times(&self, report: Report, row: &mut Row, timezone: Tz) {
        let unknowns = &self.options.unknowns;
        for (name, value) in row.iter_mut() {
            let style = match (report, name.as_str()) {
                (Report::Statistics, "Day") => unknowns.get("day_spelling"),
                (Report::Statistics, "Hour") => unknowns.get("hour_spelling"),
                (Report::Statistics, "Week") => unknowns.get("week_spelling"),
                (Report::Statistics, "Month") => unknowns.get("month_spelling"),
                (Report::Statistics, "Year") => unknowns.get("year_spelling"),
                (Report::Marketplace, "day" | "hour" | "month" | "year") => unknowns.get("marketplace_times"),
                (Report::Transactions, "transactionDate" | "eventDate") => unknowns.get("transaction_dates"),
                (Report::Transactions, "attributedTransaction" | "crossDeviceTransaction") => {
                    *value = flag(value, unknowns.get("transaction_flags"));
                    continue;
                }
                _ => continue,
            };
            if let Some(local) = value.as_str().and_then(local_time) {
                *value = json!(spell_time(local, style, timezone));
            }
        }
    }

    fn spell_currency(&self, row: &mut Row) {
        let style = self.options.unknowns.get("currency_spelling");
        for (_, value) in row.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("currency")) {
            let text = value.as_str().unwrap_or_default();
            match style {
                "lower" => *value = json!(text.to_ascii_lowercase()),
                "other" => *value = json!(if text == "USD" { "EUR" } else { "USD" }),
                _ => {}
            }
        }
    }

    fn spell_numbers(&self, report: Report, row: &mut Row) {
        let style = match self.options.numbers {
            Numbers::Bare if report.is_flat() && !self.is_set(report, "numbers") => "bare",
            _ => self.switch(report, "numbers"),
        };
        let ids = self.options.unknowns.get("ids");
        for (name, value) in row.iter_mut() {
            let is_id = name.ends_with("Id") && !matches!(name.as_str(), "transactionId" | "ProductId");
            if let Some(number) = number_text(value) {
                *value = spell_number(&number, style);
            } else if is_id && let Some(id) = value.as_str().filter(|id| id.bytes().all(|b| b.is_ascii_digit())) {
                match ids {
                    "bare" if !id.is_empty() => *value = json!(format!("{NUMBER}{id}")),
                    "escaped" if !id.is_empty() => *value = json!(format!("{ESCAPED}{id}")),
                    _ => {}
                }
            }
        }
    }

    fn spell_names(&self, report: Report, row: Row) -> Row {
        let case = match self.options.casing {
            Casing::Camel if report == Report::Statistics && !self.is_set(report, "names") => "camel",
            _ => self.switch(report, "names"),
        };
        let columns = self.options.unknowns.get("marketplace_columns");
        let is_both = report == Report::Marketplace && row.contains_key("roasSameSeller") && row.contains_key("roas");
        let mut members: Vec<(String, Value)> = row
            .into_iter()
            .map(|(name, value)| {
                let is_of_any =
                    is_both && ["saleUnits", "revenue", "cr", "cpo", "cos", "roas"].contains(&name.as_str());
                let name =
                    if is_of_any && columns == "any_and_same_seller" { format!("{name}AnySeller") } else { name };
                (spell_name(&name, case), value)
            })
            .collect();
        match self.options.unknowns.get("member_order") {
            "reverse" => members.reverse(),
            "sorted" => members.sort_by(|(one, _), (other, _)| one.cmp(other)),
            _ => {}
        }
        members.into_iter().collect()
    }

    fn warnings(&self, report: Report, is_cut: bool) -> Vec<Value> {
        let mut warnings = Vec::new();
        if is_cut && (report == Report::AdLevel || self.options.unknowns.get("cap_sign") == "warning") {
            warnings.push(json!({"type": "quota", "code": "row-limit-exceeded", "title": "The report is incomplete"}));
        }
        if report == Report::Marketplace && self.options.unknowns.get("marketplace_around") == "filled" {
            warnings.push(json!({"type": "deprecation", "code": "deprecated-field", "title": "A column will go"}));
        }
        warnings
    }

    fn envelope(&self, report: Report, rows: Vec<Row>, total: usize, currency: Option<&str>) -> Value {
        let shape = match (report, self.options.shape, self.options.wrapping) {
            (Report::Statistics, Shape::Array, _) if !self.is_set(report, "shape") => "array",
            (Report::Placements | Report::Transactions, _, Wrapping::Rows) if !self.is_set(report, "shape") => {
                "data_attributes_rows"
            }
            _ => self.switch(report, "shape"),
        };
        let is_paged = report == Report::Marketplace && total > rows.len();
        let count = self.count(rows.len());
        let is_null = rows.is_empty() && self.options.unknowns.get("empty_report") == "null";
        let list = |values: Vec<Value>| if is_null { Value::Null } else { Value::Array(values) };
        let objects = |rows: Vec<Row>| rows.into_iter().map(Value::Object).collect::<Vec<_>>();
        let mut answer = match shape {
            "array" => list(objects(rows)),
            "data_attributes" => {
                let each = rows.into_iter().map(|row| json!({"type": "Report", "attributes": row})).collect();
                json!({"data": list(each), "errors": [], "warnings": []})
            }
            "data_attributes_rows" => {
                let attributes = json!({"rows": list(objects(rows))});
                json!({"data": [{"type": "Report", "attributes": attributes}], "errors": [], "warnings": []})
            }
            "columns_data" | "columns_data_rows" => {
                let columns = columns_of(&rows);
                let values = rows.into_iter().map(|mut row| {
                    columns.iter().map(|column| row.remove(column).unwrap_or_default()).collect::<Value>()
                });
                let mut table = json!({"columns": columns, "data": list(values.collect())});
                if shape == "columns_data_rows" {
                    table["rows"] = count;
                    table["links"] = match self.options.unknowns.get("marketplace_links") {
                        _ if report != Report::Marketplace => json!({}),
                        "self" => json!({"self": "/stats"}),
                        "next" if is_paged => json!({"self": "/stats", "next": "/stats?page=2"}),
                        _ => json!({}),
                    };
                }
                table
            }
            _ if report == Report::Statistics => json!({"Rows": list(objects(rows)), "Total": {"Currency": currency}}),
            _ => json!({"Rows": list(objects(rows))}),
        };
        if report == Report::Marketplace
            && self.options.unknowns.get("marketplace_around") != "nothing"
            && answer.is_object()
        {
            answer["errors"] = json!([]);
            answer["warnings"] = json!([]);
            answer["meta"] = json!({"totalItems": self.count(total)});
        }
        answer
    }

    fn spell_envelope(&self, answer: Value) -> Value {
        let case = self.options.unknowns.get("envelope_names");
        let Value::Object(members) = answer else { return answer };
        if case == "as_documented" {
            return Value::Object(members);
        }
        let spelled = |name: &str| match case {
            "pascal" => spell_name(name, "pascal"),
            "upper" => name.to_ascii_uppercase(),
            _ => name.to_ascii_lowercase(),
        };
        let outer = members.into_iter().map(|(name, mut value)| {
            for entry in value.as_array_mut().into_iter().flatten().filter(|_| name == "data") {
                let Value::Object(resource) = entry else { continue };
                for (name, mut value) in std::mem::take(resource) {
                    if let Some(rows) = value.get_mut("rows").map(Value::take) {
                        value = Value::Object(Map::from_iter([(spelled("rows"), rows)]));
                    }
                    resource.insert(spelled(&name), value);
                }
            }
            (spelled(&name), value)
        });
        Value::Object(outer.collect())
    }
}

impl Report {
    fn name(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::Placements => "placements",
            Self::Transactions => "transactions",
            Self::AdLevel => "ad_level",
            Self::Marketplace => "marketplace",
        }
    }

    /// Whether the option `numbers` applies.
    fn is_flat(self) -> bool {
        matches!(self, Self::Statistics | Self::Placements | Self::AdLevel)
    }
}

/// All row names, in order of first occurrence.
fn columns_of(rows: &[Row]) -> Vec<String> {
    let mut columns: Vec<String> = rows.first().into_iter().flat_map(Row::keys).cloned().collect();
    for name in rows.iter().flat_map(Row::keys) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

/// Every third row twice: unchanged, or with additive numbers split.
fn repeated(rows: Vec<Row>, how: &str, additive: &[&str]) -> Vec<Row> {
    if how == "none" {
        return rows;
    }
    let mut all = Vec::with_capacity(rows.len() * 2);
    for (index, mut row) in rows.into_iter().enumerate() {
        if index % 3 == 0 {
            let mut twin = row.clone();
            for name in additive.iter().filter(|_| how == "split") {
                let millionths = row.get(*name).and_then(number_text).as_deref().and_then(millionths);
                if let Some(value) = millionths {
                    // Integers are split into integers.
                    let unit = if value % 1_000_000 == 0 { 1_000_000 } else { 1 };
                    let part = value / unit / 3 * unit;
                    row.insert((*name).to_owned(), marked(&decimal(value - part)));
                    twin.insert((*name).to_owned(), marked(&decimal(part)));
                }
            }
            all.push(twin);
        }
        all.push(row);
    }
    all
}

fn marked(number: &str) -> Value {
    json!(format!("{NUMBER}{number}"))
}

/// A decimal number in millionths.
fn millionths(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<6}").parse().ok()
}

fn number_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => text.strip_prefix(NUMBER).map(str::to_owned),
        _ => None,
    }
}

fn spell_number(number: &str, style: &str) -> Value {
    match style {
        "bare" => marked(number),
        "exponent" => json!(exponent(number)),
        "bare_exponent" => marked(&exponent(number)),
        "decimal" if number.contains('.') => json!(format!("{number}0")),
        "decimal" => json!(format!("{number}.0")),
        _ => json!(number),
    }
}

/// `1234.5` as `1.2345E+3`.
fn exponent(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let Some(first) = significant.get(..1) else { return "0E+0".to_owned() };
    let (digits, zeros) = (whole.len(), all.len() - significant.len() + 1);
    let power = if digits < zeros { format!("-{}", zeros - digits) } else { format!("+{}", digits - zeros) };
    let rest = significant[1..].trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{power}")
}

fn flag(value: &Value, style: &str) -> Value {
    let is_yes = value.as_str().is_some_and(|text| ["True", "Yes"].contains(&text));
    match style {
        "lower" => json!(value.as_str().unwrap_or_default().to_ascii_lowercase()),
        "json_booleans" => json!(is_yes),
        "digits" => json!(if is_yes { "1" } else { "0" }),
        _ => value.clone(),
    }
}

/// A day or time in an input format.
fn local_time(text: &str) -> Option<NaiveDateTime> {
    let day = |text: &str| text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN));
    let time = |format: &str| NaiveDateTime::parse_from_str(text, format).ok();
    day(text).or_else(|| time("%Y-%m-%dT%H:%M:%S")).or_else(|| time("%m/%d/%Y %H:%M:%S"))
}

fn spell_time(local: NaiveDateTime, style: &str, timezone: Tz) -> String {
    let is_day = local.time() == NaiveTime::MIN;
    match style {
        "iso_datetime" => local.format("%Y-%m-%dT%H:%M:%S").to_string(),
        "iso_utc_instant" => {
            // A time that the zone skips becomes the next valid one.
            let instant = timezone.from_local_datetime(&local).earliest();
            let instant = instant.or_else(|| timezone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
            instant.map_or_else(String::new, |instant| {
                instant.with_timezone(&Utc).format("%Y-%m-%dT%H:%M:%SZ").to_string()
            })
        }
        "us" => local.format("%m/%d/%Y").to_string(),
        "us_datetime" => local.format("%m/%d/%Y %H:%M:%S").to_string(),
        "slash" if is_day => local.format("%Y/%-m/%-d").to_string(),
        "slash" => local.format("%Y/%-m/%-d %H:%M:%S").to_string(),
        "iso_week" => format!("{}-W{:02}", local.iso_week().year(), local.iso_week().week()),
        "year_month" => local.format("%Y-%m").to_string(),
        "year" => local.format("%Y").to_string(),
        _ if is_day => local.format("%Y-%m-%d").to_string(),
        _ => local.format("%Y-%m-%dT%H:%M:%S").to_string(),
    }
}

fn spell_name(name: &str, case: &str) -> String {
    let with_first = |change: fn(&char) -> char| {
        let mut letters = name.chars();
        letters.next().map(|first| change(&first)).into_iter().chain(letters).collect()
    };
    match case {
        "pascal" => with_first(char::to_ascii_uppercase),
        "camel" => with_first(char::to_ascii_lowercase),
        "lower" => name.to_ascii_lowercase(),
        "upper" => name.to_ascii_uppercase(),
        "snake" => {
            let mut snake = String::new();
            for letter in name.chars() {
                if letter.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_lowercase());
            }
            snake
        }
        _ => name.to_owned(),
    }
}

/// The JSON of a response: unquotes marked numbers and escapes marked ids.
pub(crate) fn written(answer: &Value) -> String {
    let body = bare_numbers(&answer.to_string());
    if !body.contains(ESCAPED) {
        return body;
    }
    let mut pieces = body.split(ESCAPED);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let mut letters = piece.chars();
        if let Some(first) = letters.next() {
            text += &format!("\\u{:04x}{}", u32::from(first), letters.as_str());
        }
    }
    text
}

/// Unquotes marked numbers.
pub(crate) fn bare_numbers(body: &str) -> String {
    let mark = format!("\"{NUMBER}");
    let mut pieces = body.split(&mark);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (number, rest) = piece.split_once('"').unwrap_or((piece, ""));
        text.push_str(number);
        text.push_str(rest);
    }
    text
}

/// `{"value":null}` in the form that the switch selects.
pub(crate) fn spell_wrappers(value: &mut Value) {
    match value {
        Value::Object(members) if members.len() == 1 && members.get("value").is_some_and(Value::is_null) => {
            members.clear();
        }
        Value::Object(members) => members.values_mut().for_each(spell_wrappers),
        Value::Array(values) => values.iter_mut().for_each(spell_wrappers),
        _ => {}
    }
}

/// Money of one row, in millionths, with the precision that the switch selects.
pub(crate) fn rounded(millionths: i128, currency: &str, precision: &str) -> i128 {
    let has_minor_unit = !["JPY", "KRW", "VND", "CLP"].contains(&currency);
    let unit = match precision {
        "hundredths" => 10_000,
        "minor_units" if has_minor_unit => 10_000,
        "minor_units" | "whole_units" => 1_000_000,
        _ => return millionths,
    };
    (millionths + unit / 2).div_euclid(unit) * unit
}
