//! Converts a JSON value from the API to the JSON of a typed column.
//!
//! Digits are copied, never reformatted: money keeps its digits and ids keep leading zeros. A value that does not fit
//! its column becomes `null` and is reported; a wrong number is never written.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone as _, Utc, Weekday};
use chrono_tz::Tz;

use crate::model::calendar::Grain;
use crate::products::report::Report;
use crate::products::schema::ColumnType;
use crate::rows::decimal::Decimal;
use crate::support::scan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub column_type: ColumnType,
    /// Instants with a zone are converted to this zone; those without are already in it.
    pub zone: Option<Tz>,
    /// The column holds the first day of this period, which may come as `2026`, `2026-11` or `2026-W46`.
    pub period: Option<Grain>,
}

impl Reading {
    /// How to read a column of a stream; reports use the report's time zone.
    pub(crate) fn of(name: &str, column_type: ColumnType, report: Option<&Report>) -> Self {
        let period = match name {
            "week" => Some(Grain::Week(Weekday::Mon)),
            "month" => Some(Grain::Month),
            "year" => Some(Grain::Year),
            _ => None,
        };
        Self { column_type, zone: report.map(|report| report.timezone), period: period.filter(|_| report.is_some()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Written,
    /// No value; `null` was written.
    Null,
    /// The value does not fit the column; `null` was written.
    Misfit,
}

/// Converts the JSON in `raw` to the column's type and appends it to `out`.
pub(crate) fn coerce(raw: &str, reading: Reading, out: &mut Vec<u8>) -> Outcome {
    let start = out.len();
    let column_type = reading.column_type;
    let outcome = match (raw.as_bytes().first(), column_type) {
        (Some(b'n'), _) => None,
        (Some(b'{'), ColumnType::Object) | (Some(b'['), ColumnType::List) => {
            let mut compacted = Vec::with_capacity(raw.len());
            compact(raw, &mut compacted);
            Some(text(&String::from_utf8_lossy(&compacted), out))
        }
        (Some(b'['), ColumnType::Texts) => Some(texts(raw, out)),
        (_, ColumnType::Object | ColumnType::List | ColumnType::Texts) => Some(false),
        (Some(b'"'), ColumnType::Text) => Some(text(raw, out)),
        (Some(b'{' | b'['), ColumnType::Text) => Some(quote_json(raw, out)),
        (_, ColumnType::Text) => Some(excerpt(raw, out)),
        (Some(b'"'), _) => match unescaped(raw).trim_ascii() {
            "" => None,
            text => Some(scalar(text, reading, out)),
        },
        _ => Some(scalar(raw, reading, out)),
    };
    if outcome == Some(true) {
        return Outcome::Written;
    }
    out.truncate(start);
    out.extend_from_slice(b"null");
    if outcome.is_none() { Outcome::Null } else { Outcome::Misfit }
}

/// The content of a JSON string, which rarely needs unescaping.
pub(crate) fn unescaped(raw: &str) -> std::borrow::Cow<'_, str> {
    let inside = raw.get(1..raw.len() - 1).unwrap_or_default();
    if memchr::memchr(b'\\', inside.as_bytes()).is_some() {
        serde_json::from_str::<String>(raw).unwrap_or_default().into()
    } else {
        inside.into()
    }
}

fn scalar(text: &str, reading: Reading, out: &mut Vec<u8>) -> bool {
    match reading.column_type {
        ColumnType::Number => number(text, out),
        ColumnType::Integer => integer(text, out),
        ColumnType::Boolean => boolean(text, out),
        ColumnType::Date if iso_day(text).is_some() => excerpt(text, out),
        ColumnType::Date => day_of(text, reading).is_some_and(|day| excerpt(&day.to_string(), out)),
        ColumnType::DateTime => {
            instant_of(text).is_some_and(|instant| excerpt(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true), out))
        }
        ColumnType::LocalDateTime => moment(text)
            .and_then(|moment| moment.local_in(reading.zone))
            .is_some_and(|local| excerpt(&local.format("%Y-%m-%dT%H:%M:%S%.f").to_string(), out)),
        ColumnType::Text | ColumnType::Object | ColumnType::List | ColumnType::Texts => false,
    }
}

/// Copies a list, with its numbers as strings.
fn texts(raw: &str, out: &mut Vec<u8>) -> bool {
    out.push(b'[');
    let mut is_first = true;
    let walk = scan::items(raw, &mut |item| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        if matches!(item.as_bytes().first(), Some(b'-' | b'0'..=b'9')) {
            excerpt(item, out);
        } else {
            let mut compacted = Vec::with_capacity(item.len());
            compact(item, &mut compacted);
            text(&String::from_utf8_lossy(&compacted), out);
        }
        Ok(())
    });
    out.push(b']');
    walk.is_ok()
}

fn copy(text: &str, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(text.as_bytes());
    true
}

/// Copies a string with Criteo's escapes. JSON allows U+0000 and lone surrogates but destinations reject them, so each
/// becomes U+FFFD.
fn text(raw: &str, out: &mut Vec<u8>) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let is_code = |at: usize| rest.get(at..at + 2) == Some("\\u");
        let code = |at: usize| u32::from_str_radix(rest.get(at + 2..at + 6)?, 16).ok();
        let is_pair = || is_code(at + 6) && code(at + 6).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low));
        let (length, is_bad) = match is_code(at).then(|| code(at)).flatten() {
            None => (2, false),
            Some(0xD800..=0xDBFF) if is_pair() => (12, false),
            Some(0 | 0xD800..=0xDFFF) => (6, true),
            Some(_) => (6, false),
        };
        let end = (at + length).min(rest.len());
        let kept = if is_bad { &rest[..at] } else { &rest[..end] };
        out.extend_from_slice(kept.as_bytes());
        if is_bad {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
        rest = &rest[end..];
    }
    copy(rest, out)
}

/// Writes a string that needs no escaping.
fn excerpt(text: &str, out: &mut Vec<u8>) -> bool {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    true
}

fn quote_json(raw: &str, out: &mut Vec<u8>) -> bool {
    let mut text = Vec::with_capacity(raw.len());
    compact(raw, &mut text);
    serde_json::to_writer(out, &String::from_utf8_lossy(&text)).is_ok()
}

/// Copies valid JSON without whitespace between tokens: a line break would split the record's line.
fn compact(raw: &str, out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut is_escaped = false;
    for &byte in raw.as_bytes() {
        if in_string || !byte.is_ascii_whitespace() {
            out.push(byte);
        }
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
}

/// Copies a JSON number that fits a double, keeping its digits.
fn number(text: &str, out: &mut Vec<u8>) -> bool {
    if is_plain_number(text.as_bytes()) {
        return copy(text, out);
    }
    let is_finite = || !text.contains(['e', 'E']) || text.parse::<f64>().is_ok_and(f64::is_finite);
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
    if !are_digits(whole) || !is_rest_of_number(&digits[whole.len()..]) || !is_finite() {
        return false;
    }
    // JSON forbids leading zeros.
    let zeros = whole.len() - whole.trim_start_matches('0').len();
    copy(sign, out) && copy(&digits[zeros.min(whole.len() - 1)..], out)
}

/// Fast path: `[-]digits[.digits]` without leading zeros, as nearly all numbers are.
fn is_plain_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let starts_well = whole == 1 || (whole > 1 && text[0] != b'0');
    let is_fraction = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    starts_well && (whole == text.len() || (text[whole] == b'.' && is_fraction(&text[whole + 1..])))
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is `[.digits][e[+-]digits]`, what may follow the whole part.
fn is_rest_of_number(rest: &str) -> bool {
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let fraction_fits = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(are_digits);
    fraction_fits && exponent.is_none_or(|exponent| are_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn integer(text: &str, out: &mut Vec<u8>) -> bool {
    if are_digits(text.strip_prefix('-').unwrap_or(text)) {
        return number(text, out);
    }
    Decimal::parse(text).and_then(|number| number.whole()).is_some_and(|whole| copy(&whole, out))
}

fn boolean(text: &str, out: &mut Vec<u8>) -> bool {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is_one_of(["true", "yes", "1"]) => copy("true", out),
        _ if is_one_of(["false", "no", "0"]) => copy("false", out),
        _ => false,
    }
}

/// Fast path: parses exactly `2026-07-01`, as nearly all rows have it.
pub(crate) fn iso_day(text: &str) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    NaiveDate::from_ymd_opt(i32::try_from(number(&[y1, y2, y3, y4])?).ok()?, number(&[m1, m2])?, number(&[d1, d2])?)
}

pub(crate) fn day_of(text: &str, reading: Reading) -> Option<NaiveDate> {
    match reading.column_type {
        ColumnType::DateTime => {
            let instant = instant_of(text)?;
            Some(reading.zone.map_or_else(|| instant.date_naive(), |zone| instant.with_timezone(&zone).date_naive()))
        }
        _ => iso_day(text)
            .or_else(|| period_of(text, reading.period?))
            .or_else(|| Some(moment(text)?.local_in(reading.zone)?.date())),
    }
}

/// The instant of a value; without a zone it is UTC.
pub(crate) fn instant_of(text: &str) -> Option<DateTime<Utc>> {
    moment(text)?.instant()
}

/// The first day of a numbered year, month or ISO week.
fn period_of(text: &str, period: Grain) -> Option<NaiveDate> {
    let year = |text: &str| (text.len() == 4 && are_digits(text)).then(|| text.parse().ok()).flatten();
    match period {
        Grain::Day => None,
        Grain::Week(first) => {
            let (number, week) = text.split_once(['W', 'w'])?;
            NaiveDate::from_isoywd_opt(year(number.trim_end_matches('-'))?, small(week)?, first)
        }
        Grain::Month => {
            let (left, right) = text.split_once(['-', '/'])?;
            let (number, month) = if left.len() == 4 { (left, right) } else { (right, left) };
            NaiveDate::from_ymd_opt(year(number)?, small(month)?, 1)
        }
        Grain::Year => NaiveDate::from_ymd_opt(year(text)?, 1, 1),
    }
}

/// A local time, with its offset from UTC in seconds if given.
#[derive(Debug, Clone, Copy)]
struct Moment {
    local: NaiveDateTime,
    offset: Option<i64>,
}

impl Moment {
    fn instant(self) -> Option<DateTime<Utc>> {
        let ahead = TimeDelta::seconds(self.offset.unwrap_or(0));
        self.local.checked_sub_signed(ahead).map(|local| local.and_utc())
    }

    fn local_in(self, zone: Option<Tz>) -> Option<NaiveDateTime> {
        match (self.offset, zone) {
            (Some(_), Some(zone)) => Some(zone.from_utc_datetime(&self.instant()?.naive_utc()).naive_local()),
            _ => Some(self.local),
        }
    }
}

/// Parses a date with an optional time: `2026-07-01`, `2026/7/1` or `7/1/2026` (US order, as the year comes last), then
/// `05`, `05:00`, `05:00:00.000` or `05:00:00 AM`, then nothing, `Z`, `UTC` or `+02:00`.
fn moment(text: &str) -> Option<Moment> {
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], text[at + 1..].trim()),
        None => (text, ""),
    };
    let day = iso_day(day).or_else(|| calendar_day(day))?;
    if time.is_empty() {
        return Some(Moment { local: day.and_time(NaiveTime::MIN), offset: None });
    }
    let utc = ["Z", "z", "UTC", "GMT"].iter().find_map(|name| time.strip_suffix(name));
    let (clock, offset) = match (utc, time.rfind(['+', '-'])) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (None, Some(at)) => (time[..at].trim_end(), Some(offset(&time[at..])?)),
        (None, None) => (time, None),
    };
    Some(Moment { local: day.and_time(clock_time(clock)?), offset })
}

fn small(text: &str) -> Option<u32> {
    if text.len() <= 2 && are_digits(text) { text.parse().ok() } else { None }
}

fn calendar_day(text: &str) -> Option<NaiveDate> {
    let separator = if text.contains('/') { '/' } else { '-' };
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let is_year = |part: &str| part.len() == 4 && are_digits(part);
    let (year, month, day) = match (is_year(first), is_year(third) && separator == '/') {
        (true, _) => (first, second, third),
        (false, true) => (third, first, second),
        (false, false) => return None,
    };
    if parts.next().is_some() { None } else { NaiveDate::from_ymd_opt(year.parse().ok()?, small(month)?, small(day)?) }
}

/// Parses `+02:00`, `+0200` or `+02` to seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text.get(1..)), |rest| (-1, Some(rest)));
    let rest = rest?;
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2)).unwrap_or((rest, ""));
    let minutes = if minutes.is_empty() { 0 } else { small(minutes)? };
    let hours = small(hours)?;
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn clock_time(text: &str) -> Option<NaiveTime> {
    let half = text.get(text.len().saturating_sub(2)..).map(str::to_ascii_uppercase);
    let half = half.filter(|half| half == "AM" || half == "PM");
    let clock = if half.is_some() { text[..text.len() - 2].trim_end() } else { text };
    let mut parts = clock.splitn(3, ':');
    let hour = small(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), small)?;
    let (second, fraction) = match parts.next() {
        Some(part) => part.split_once('.').unwrap_or((part, "0")),
        None => ("0", "0"),
    };
    let nanos = if are_digits(fraction) { format!("{fraction:0<9}").get(..9)?.parse().ok()? } else { return None };
    let hour = match (half.as_deref(), hour) {
        (None, hour) => hour,
        (Some("PM"), 1..=12) => hour % 12 + 12,
        (Some(_), 1..=12) => hour % 12,
        _ => return None,
    };
    // Leap seconds are written as 60.
    match small(second)? {
        60 => NaiveTime::from_hms_nano_opt(hour, minute, 59, 1_000_000_000 + nanos),
        second => NaiveTime::from_hms_nano_opt(hour, minute, second, nanos),
    }
}

#[cfg(test)]
mod tests {
    use crate::rows::coerce::*;
    use proptest::prelude::*;

    fn coerced(raw: &str, column_type: ColumnType) -> (String, Outcome) {
        read_as(raw, Reading { column_type, zone: None, period: None })
    }

    fn read_as(raw: &str, reading: Reading) -> (String, Outcome) {
        let mut out = Vec::new();
        let outcome = coerce(raw, reading, &mut out);
        (String::from_utf8(out).unwrap(), outcome)
    }

    #[test]
    fn fitting_values_keep_every_digit() {
        for (raw, column_type, written) in [
            ("\"a\\\"b\\n\"", ColumnType::Text, "\"a\\\"b\\n\""),
            ("00123", ColumnType::Text, "\"00123\""),
            ("12345678901234567890", ColumnType::Text, "\"12345678901234567890\""),
            ("{ \"a\" : \"b c\" }", ColumnType::Text, "\"{\\\"a\\\":\\\"b c\\\"}\""),
            ("12345678901234.123456789", ColumnType::Number, "12345678901234.123456789"),
            ("\"0.10\"", ColumnType::Number, "0.10"),
            ("\"-007.5e-3\"", ColumnType::Number, "-7.5e-3"),
            ("\" 2534 \"", ColumnType::Integer, "2534"),
            ("2534.000", ColumnType::Integer, "2534"),
            ("\"000\"", ColumnType::Integer, "0"),
            ("\"1E+2\"", ColumnType::Integer, "100"),
            ("1E3", ColumnType::Integer, "1000"),
            ("\"1.0e0\"", ColumnType::Integer, "1"),
            ("100.0", ColumnType::Integer, "100"),
            ("\"True\"", ColumnType::Boolean, "true"),
            ("\"No\"", ColumnType::Boolean, "false"),
            ("\"2026-07-01T00:00:00Z\"", ColumnType::Date, "\"2026-07-01\""),
            ("\"2026/7/1\"", ColumnType::Date, "\"2026-07-01\""),
            ("\"2026-07-01T02:00:00+02:00\"", ColumnType::DateTime, "\"2026-07-01T00:00:00Z\""),
            ("\"2026-07-01T05:00:00.5\"", ColumnType::DateTime, "\"2026-07-01T05:00:00.500Z\""),
            ("\"07/31/2026\"", ColumnType::Date, "\"2026-07-31\""),
            ("\"7/31/2026 00:00:00\"", ColumnType::Date, "\"2026-07-31\""),
            ("\"07/31/2026 05:00:00\"", ColumnType::DateTime, "\"2026-07-31T05:00:00Z\""),
            ("\"7/31/2026 5:00:00 PM\"", ColumnType::DateTime, "\"2026-07-31T17:00:00Z\""),
            ("\"7/31/2026 12:00:00 AM\"", ColumnType::DateTime, "\"2026-07-31T00:00:00Z\""),
            ("\"7/31/2026 12:30 PM\"", ColumnType::DateTime, "\"2026-07-31T12:30:00Z\""),
            ("\"2026-07-31 05\"", ColumnType::DateTime, "\"2026-07-31T05:00:00Z\""),
            ("\"2026\\/07\\/31 05:00:00\"", ColumnType::DateTime, "\"2026-07-31T05:00:00Z\""),
            ("\"07/31/2026\"", ColumnType::LocalDateTime, "\"2026-07-31T00:00:00\""),
            ("\"07/31/2026 23:59:01\"", ColumnType::LocalDateTime, "\"2026-07-31T23:59:01\""),
            ("[1,\n {\"a b\": \"c\\\\\" } ]", ColumnType::List, "[1,{\"a b\":\"c\\\\\"}]"),
            (
                "[619284442499084288,\n \"7\", null, -1, [1], \"a \\u0000\" ]",
                ColumnType::Texts,
                "[\"619284442499084288\",\"7\",null,\"-1\",[1],\"a \u{FFFD}\"]",
            ),
            ("[]", ColumnType::Texts, "[]"),
        ] {
            assert_eq!(coerced(raw, column_type), (written.to_owned(), Outcome::Written), "{raw}");
        }
    }

    #[test]
    fn unfitting_values_become_null_and_never_a_wrong_number() {
        for raw in [
            "\"1.234,56\"",
            "\"N/A\"",
            "\"∞\"",
            "\"1e400\"",
            "true",
            "\"0x10\"",
            "\".5\"",
            "\"5.\"",
            "\"1 2\"",
            "\"-\"",
        ] {
            assert_eq!(coerced(raw, ColumnType::Number), ("null".into(), Outcome::Misfit), "{raw}");
        }
        assert_eq!(coerced("1.5", ColumnType::Integer), ("null".into(), Outcome::Misfit));
        assert_eq!(coerced("15e-1", ColumnType::Integer), ("null".into(), Outcome::Misfit));
        for day in
            ["13/04/2026", "03/04/26", "2026-13-01", "2026", "2026-11", "2026-W46", "2026-07-01T25:00", "1/2/3/2026"]
        {
            assert_eq!(coerced(&format!("\"{day}\""), ColumnType::Date), ("null".into(), Outcome::Misfit), "{day}");
        }
        assert_eq!(coerced("\"soon\"", ColumnType::DateTime), ("null".into(), Outcome::Misfit));
        for (raw, column_type) in [("[]", ColumnType::Object), ("{}", ColumnType::List), ("7", ColumnType::Texts)] {
            assert_eq!(coerced(raw, column_type), ("null".into(), Outcome::Misfit), "{raw}");
        }
    }

    #[test]
    fn instants_with_a_zone_are_converted_to_the_reports_zone() {
        let paris = |column_type| Reading { column_type, zone: Some(Tz::Europe__Paris), period: None };
        for (raw, column_type, written) in [
            ("2026-07-01T23:30:00Z", ColumnType::Date, "2026-07-02"),
            ("2026-07-02T00:30:00+09:00", ColumnType::Date, "2026-07-01"),
            ("2026-07-01T23:30:00", ColumnType::Date, "2026-07-01"),
            ("07/01/2026 23:30:00 UTC", ColumnType::LocalDateTime, "2026-07-02T01:30:00"),
            ("07/01/2026 23:30:00", ColumnType::LocalDateTime, "2026-07-01T23:30:00"),
            ("2026-07-01T23:30:00-0200", ColumnType::DateTime, "2026-07-02T01:30:00Z"),
        ] {
            let wanted = (format!("\"{written}\""), Outcome::Written);
            assert_eq!(read_as(&format!("\"{raw}\""), paris(column_type)), wanted, "{raw}");
        }
    }

    #[test]
    fn numbered_periods_are_read() {
        for (raw, period, written) in [
            ("2026", Grain::Year, "2026-01-01"),
            ("2026-11", Grain::Month, "2026-11-01"),
            ("11/2026", Grain::Month, "2026-11-01"),
            ("2026-W46", Grain::Week(Weekday::Mon), "2026-11-09"),
            ("2026-W1", Grain::Week(Weekday::Mon), "2025-12-29"),
            ("11/09/2026", Grain::Week(Weekday::Mon), "2026-11-09"),
            ("11/01/2026 00:00:00", Grain::Month, "2026-11-01"),
        ] {
            let reading = Reading { column_type: ColumnType::Date, zone: Some(Tz::UTC), period: Some(period) };
            assert_eq!(read_as(&format!("\"{raw}\""), reading), (format!("\"{written}\""), Outcome::Written), "{raw}");
        }
        let year = Reading { column_type: ColumnType::Date, zone: Some(Tz::UTC), period: Some(Grain::Year) };
        assert_eq!(read_as("2026", year), ("\"2026-01-01\"".to_owned(), Outcome::Written));
    }

    #[test]
    fn characters_rejected_by_destinations_are_replaced() {
        for (raw, written) in [
            (r#""a\u0000b""#, "\"a\u{FFFD}b\""),
            (r#""a\ud800b""#, "\"a\u{FFFD}b\""),
            (r#""\udc00\ud83d\ude00""#, "\"\u{FFFD}\\ud83d\\ude00\""),
            (r#""\ud83d\ud83d\ude00""#, "\"\u{FFFD}\\ud83d\\ude00\""),
            (r#""\\u0000 \u00e9""#, r#""\\u0000 \u00e9""#),
        ] {
            assert_eq!(coerced(raw, ColumnType::Text), (written.to_owned(), Outcome::Written), "{raw}");
        }
    }

    #[test]
    fn empty_values_are_null() {
        for column_type in [ColumnType::Number, ColumnType::Integer, ColumnType::Date, ColumnType::Object] {
            assert_eq!(coerced("null", column_type), ("null".into(), Outcome::Null));
        }
        assert_eq!(coerced("\"\"", ColumnType::Number), ("null".into(), Outcome::Null));
    }

    proptest! {
        #[test]
        fn numbers_in_any_format_become_json_of_the_same_value(text in "-?[0-9]{1,20}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?") {
            let (written, outcome) = coerced(&format!("\"{text}\""), ColumnType::Number);
            prop_assert_eq!(outcome, Outcome::Written);
            let value: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(value.as_f64(), text.parse().ok());
        }

        #[test]
        fn every_input_is_written_as_valid_json(text in "\\PC*") {
            let raw = serde_json::to_string(&text).unwrap();
            for column_type in [ColumnType::Text, ColumnType::Number, ColumnType::Integer, ColumnType::Date, ColumnType::DateTime] {
                let (written, _) = coerced(&raw, column_type);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{}", written);
            }
        }
    }
}
