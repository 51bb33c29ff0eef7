//! One JSON value from the API to the text of a column of a known type.
//!
//! Text is copied, never parsed and printed again: money keeps its digits, ids keep their zeros. What does not fit
//! its column becomes `null` and is reported; a wrong number is never written.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

use crate::streams::schema::ColumnType;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Written as it was or in its canonical form.
    Written,
    /// There was no value; `null` was written.
    Null,
    /// There was a value that does not fit the column; `null` was written.
    Misfit,
}

/// Appends the JSON text `raw`, coerced to the column's type, to `out`.
pub(super) fn coerce(raw: &str, column_type: ColumnType, out: &mut Vec<u8>) -> Outcome {
    let start = out.len();
    let outcome = match (raw.as_bytes().first(), column_type) {
        (Some(b'n'), _) => None,
        (Some(b'{'), ColumnType::Object) | (Some(b'['), ColumnType::List) => {
            let mut compacted = Vec::with_capacity(raw.len());
            compact(raw, &mut compacted);
            Some(text(&String::from_utf8_lossy(&compacted), out))
        }
        (_, ColumnType::Object | ColumnType::List) => Some(false),
        (Some(b'"'), ColumnType::Text) => Some(text(raw, out)),
        (Some(b'{' | b'['), ColumnType::Text) => Some(quote_json(raw, out)),
        (_, ColumnType::Text) => Some(quote(raw, out)),
        (Some(b'"'), _) => match unescaped(raw).trim_ascii() {
            "" => None,
            text => Some(scalar(text, column_type, out)),
        },
        _ => Some(scalar(raw, column_type, out)),
    };
    if outcome == Some(true) {
        return Outcome::Written;
    }
    out.truncate(start);
    out.extend_from_slice(b"null");
    if outcome.is_none() { Outcome::Null } else { Outcome::Misfit }
}

/// The inside of a JSON string; values that are not texts have no reason to be escaped, apart from slashes.
fn unescaped(raw: &str) -> std::borrow::Cow<'_, str> {
    let inside = raw.get(1..raw.len() - 1).unwrap_or_default();
    if inside.contains('\\') { serde_json::from_str::<String>(raw).unwrap_or_default().into() } else { inside.into() }
}

fn scalar(text: &str, column_type: ColumnType, out: &mut Vec<u8>) -> bool {
    match column_type {
        ColumnType::Number => number(text, out),
        ColumnType::Integer => integer(text, out),
        ColumnType::Boolean => boolean(text, out),
        ColumnType::Date if iso_day(text).is_some() => quote(text, out),
        ColumnType::Date => date(text).is_some_and(|day| quote(&day.to_string(), out)),
        ColumnType::DateTime => date_time(text, out),
        ColumnType::LocalDateTime => local_date_time(text, out),
        ColumnType::Text | ColumnType::Object | ColumnType::List => false,
    }
}

fn copy(text: &str, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(text.as_bytes());
    true
}

/// A text as Criteo has escaped it. Destinations refuse U+0000 and halves of surrogate pairs, which JSON allows: each
/// becomes U+FFFD, which is what it looks like anyway.
fn text(raw: &str, out: &mut Vec<u8>) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
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

/// For text without quotes and backslashes.
fn quote(text: &str, out: &mut Vec<u8>) -> bool {
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

/// Copies valid JSON without the white space between its tokens: a line break inside a record would end its line.
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

/// A number by JSON's grammar that a double can hold; its digits are kept.
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
    // JSON knows no leading zeros.
    let zeros = whole.len() - whole.trim_start_matches('0').len();
    copy(sign, out) && copy(&digits[zeros.min(whole.len() - 1)..], out)
}

/// `[-]digits[.digits]` without needless zeros in front, which is what nearly every number is.
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

/// Whether this is `[.digits][e[+-]digits]`, given that it starts where the whole part ends.
fn is_rest_of_number(rest: &str) -> bool {
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let fraction_fits = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(are_digits);
    fraction_fits && exponent.is_none_or(|exponent| are_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn integer(text: &str, out: &mut Vec<u8>) -> bool {
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    are_digits(whole.strip_prefix('-').unwrap_or(whole)) && number(whole, out)
}

fn boolean(text: &str, out: &mut Vec<u8>) -> bool {
    match text {
        "true" | "True" | "Yes" => copy("true", out),
        "false" | "False" | "No" => copy("false", out),
        _ => false,
    }
}

/// `2026-07-01` and nothing else, which is what nearly every row has.
pub(super) fn iso_day(text: &str) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    NaiveDate::from_ymd_opt(i32::try_from(number(&[y1, y2, y3, y4])?).ok()?, number(&[m1, m2])?, number(&[d1, d2])?)
}

/// `2026-07-01`, `2026-07-01T00:00:00Z` and `2026/7/1`, all of which Criteo has been seen to write.
fn date(text: &str) -> Option<NaiveDate> {
    let day = text.split(['T', ' ']).next().unwrap_or(text);
    NaiveDate::parse_from_str(day, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(day, "%Y/%m/%d")).ok()
}

/// An instant with an offset, or without one (then it is in UTC already).
fn date_time(text: &str, out: &mut Vec<u8>) -> bool {
    let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc()).or_else(|_| {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
            .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN)))
            .map(|local| local.and_utc())
    });
    instant.is_ok_and(|instant: DateTime<Utc>| quote(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true), out))
}

/// The time of a clock whose zone is known from elsewhere, also in the order of the United States.
fn local_date_time(text: &str, out: &mut Vec<u8>) -> bool {
    let local = ["%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%m/%d/%Y").ok().map(|day| day.and_time(NaiveTime::MIN)));
    local.is_some_and(|local| quote(&local.format("%Y-%m-%dT%H:%M:%S%.f").to_string(), out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coerced(raw: &str, column_type: ColumnType) -> (String, Outcome) {
        let mut out = Vec::new();
        let outcome = coerce(raw, column_type, &mut out);
        (String::from_utf8(out).unwrap(), outcome)
    }

    #[test]
    fn what_fits_is_written_with_every_digit() {
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
            ("\"True\"", ColumnType::Boolean, "true"),
            ("\"No\"", ColumnType::Boolean, "false"),
            ("\"2026-07-01T00:00:00Z\"", ColumnType::Date, "\"2026-07-01\""),
            ("\"2026/7/1\"", ColumnType::Date, "\"2026-07-01\""),
            ("\"2026-07-01T02:00:00+02:00\"", ColumnType::DateTime, "\"2026-07-01T00:00:00Z\""),
            ("\"2026-07-01T05:00:00.5\"", ColumnType::DateTime, "\"2026-07-01T05:00:00.500Z\""),
            ("\"07/31/2026\"", ColumnType::LocalDateTime, "\"2026-07-31T00:00:00\""),
            ("\"07/31/2026 23:59:01\"", ColumnType::LocalDateTime, "\"2026-07-31T23:59:01\""),
            ("[1,\n {\"a b\": \"c\\\\\" } ]", ColumnType::List, "[1,{\"a b\":\"c\\\\\"}]"),
        ] {
            assert_eq!(coerced(raw, column_type), (written.to_owned(), Outcome::Written), "{raw}");
        }
    }

    #[test]
    fn what_does_not_fit_becomes_null_and_never_a_wrong_number() {
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
        assert_eq!(coerced("1e3", ColumnType::Integer), ("null".into(), Outcome::Misfit));
        assert_eq!(coerced("\"03/04/2026\"", ColumnType::Date), ("null".into(), Outcome::Misfit));
        assert_eq!(coerced("\"soon\"", ColumnType::DateTime), ("null".into(), Outcome::Misfit));
        for (raw, column_type) in [("[]", ColumnType::Object), ("{}", ColumnType::List), ("7", ColumnType::Object)] {
            assert_eq!(coerced(raw, column_type), ("null".into(), Outcome::Misfit), "{raw}");
        }
    }

    #[test]
    fn what_destinations_refuse_is_replaced() {
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
    fn nothing_is_null() {
        for column_type in [ColumnType::Number, ColumnType::Integer, ColumnType::Date, ColumnType::Object] {
            assert_eq!(coerced("null", column_type), ("null".into(), Outcome::Null));
        }
        assert_eq!(coerced("\"\"", ColumnType::Number), ("null".into(), Outcome::Null));
    }

    proptest! {
        #[test]
        fn numbers_in_any_spelling_are_valid_json_of_the_same_value(text in "-?[0-9]{1,20}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?") {
            let (written, outcome) = coerced(&format!("\"{text}\""), ColumnType::Number);
            prop_assert_eq!(outcome, Outcome::Written);
            let value: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(value.as_f64(), text.parse().ok());
        }

        #[test]
        fn whatever_comes_is_written_as_json(text in "\\PC*") {
            let raw = serde_json::to_string(&text).unwrap();
            for column_type in [ColumnType::Text, ColumnType::Number, ColumnType::Integer, ColumnType::Date, ColumnType::DateTime] {
                let (written, _) = coerced(&raw, column_type);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{}", written);
            }
        }
    }
}
