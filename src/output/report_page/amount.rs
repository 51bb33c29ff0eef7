//! Sums of decimal numbers: exact to nine decimals, as tables of an export are.

use std::ops::{Add, Sub};

use crate::support::text::grouped;

const SCALE: usize = 9;
const ONE: i128 = 1_000_000_000;

/// A number in billionths. It saturates instead of overflowing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(pub i128);

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Amount {
    /// A JSON number, or a JSON string with one.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches('"');
        Self::parse_plain(text).or_else(|| Self::of_f64(text.parse().ok()?))
    }

    /// A number without an exponent.
    fn parse_plain(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 28 || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let kept = &fraction[..fraction.len().min(SCALE)];
        let mut value = whole.parse::<i128>().ok()? * ONE;
        if !kept.is_empty() {
            let padding = u32::try_from(SCALE - kept.len()).unwrap_or(0);
            value += kept.parse::<i128>().ok()? * 10_i128.pow(padding);
        }
        if fraction.as_bytes().get(SCALE).is_some_and(|digit| *digit >= b'5') {
            value += 1;
        }
        Some(Self(if is_negative { -value } else { value }))
    }

    #[cfg(feature = "files")]
    pub(crate) fn of_whole(value: i64) -> Self {
        Self(i128::from(value) * ONE)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "numbers with an exponent are not exact"
    )]
    pub(crate) fn of_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self((value * ONE as f64).round() as i128))
    }

    #[expect(clippy::cast_precision_loss, reason = "for ratios and pictures")]
    pub(crate) fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// With groups of thousands and this many decimals, at most nine.
    pub(crate) fn text(self, decimals: usize) -> String {
        let unit = 10_i128.pow(u32::try_from(SCALE - decimals.min(SCALE)).unwrap_or(0));
        let rounded = (self.0.unsigned_abs() + unit.unsigned_abs() / 2) / unit.unsigned_abs();
        let one = 10_u128.pow(u32::try_from(decimals).unwrap_or(0));
        let sign = if self.0 < 0 && rounded > 0 { "−" } else { "" };
        let whole = u64::try_from(rounded / one).map_or_else(|_| (rounded / one).to_string(), grouped);
        if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{:0decimals$}", rounded % one) }
    }

    /// As [`Self::text`], with a sign in any case.
    pub(crate) fn change(self, decimals: usize) -> String {
        let text = self.text(decimals);
        if self.0 > 0 { format!("+{text}") } else { text }
    }
}

/// A number rounded to three digits, such as `12.3 k`.
pub(crate) fn short(value: f64) -> String {
    let (divisor, unit) = match value.abs() {
        size if size >= 999.5e9 => (1e12, " tn"),
        size if size >= 999.5e6 => (1e9, " bn"),
        size if size >= 999.5e3 => (1e6, " m"),
        size if size >= 9995.0 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let scaled = value / divisor;
    let decimals = match scaled.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use crate::output::report_page::amount::*;

    #[test]
    fn sums_keep_every_digit() {
        let sum = |texts: &[&str]| {
            texts.iter().fold(Amount::default(), |sum, text| sum + Amount::parse(text.as_bytes()).unwrap())
        };
        assert_eq!(sum(&["204098802311007.97", "0.01", "\"1.005\""]).text(2), "204,098,802,311,008.99");
        assert_eq!(sum(&["-1.5", "0.25"]).text(2), "−1.25");
        assert_eq!(sum(&["1e3", "2"]).text(0), "1,002");
        assert_eq!(sum(&["0.0000000005"]).text(9), "0.000000001");
        assert_eq!(sum(&["-0.001"]).text(2), "0.00");
        for text in ["", "x", "null", "--1", "1.2.3"] {
            assert_eq!(Amount::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!((Amount(5 * ONE).change(1).as_str(), Amount(-ONE).change(0).as_str()), ("+5.0", "−1"));
    }

    #[test]
    fn short_numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1234.0, "1234"),
            (12_345.0, "12.3 k"),
            (999_900.0, "1.00 m"),
            (2.04e14, "204 tn"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
