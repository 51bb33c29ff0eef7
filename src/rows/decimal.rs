//! Exact decimal numbers, stored as digits.

use std::fmt;

/// Numbers with more digits or larger exponents are rejected: no report has them.
const MAX_DIGITS: usize = 400;
/// Most digits of an integer parsed from another notation, as warehouse decimals hold at most 38.
const MAX_WHOLE_DIGITS: usize = 38;

/// A decimal number: `-12.50` is negative, with digits `1250` and scale 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Decimal {
    /// Reads `[-]digits[.digits][e[+-]digits]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let shift = usize::try_from(exponent.unsigned_abs()).ok().filter(|shift| *shift <= MAX_DIGITS)?;
        let mut scale = fraction.len();
        if exponent < 0 {
            scale += shift;
        } else {
            digits.resize(digits.len() + shift.saturating_sub(scale), 0);
            scale = scale.saturating_sub(shift);
        }
        let number = Self { is_negative, digits, scale }.with_scale(scale);
        (number.digits.len() <= MAX_DIGITS).then_some(number)
    }

    /// Pads to at least `scale` fraction digits and one whole digit.
    fn with_scale(mut self, scale: usize) -> Self {
        self.digits.resize(self.digits.len() + scale.saturating_sub(self.scale), 0);
        self.scale = self.scale.max(scale);
        let missing = (self.scale + 1).saturating_sub(self.digits.len());
        self.digits.splice(0..0, std::iter::repeat_n(0, missing));
        self
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let scale = self.scale.max(other.scale);
        let (mut left, mut right) = (self.with_scale(scale), other.with_scale(scale));
        let length = left.digits.len().max(right.digits.len()) + 1;
        for number in [&mut left, &mut right] {
            let missing = length - number.digits.len();
            number.digits.splice(0..0, std::iter::repeat_n(0, missing));
        }
        // With different signs, the sign of the larger magnitude wins.
        if left.is_negative != right.is_negative && left.digits < right.digits {
            std::mem::swap(&mut left, &mut right);
        }
        let is_sum = left.is_negative == right.is_negative;
        let mut carry = 0;
        for (digit, other) in left.digits.iter_mut().zip(right.digits).rev() {
            let value = if is_sum { *digit + other + carry } else { 10 + *digit - other - carry };
            carry = if is_sum { value / 10 } else { 1 - value / 10 };
            *digit = value % 10;
        }
        left
    }

    /// The number as an integer string; `None` if it has a fraction or too many digits.
    pub(crate) fn whole(&self) -> Option<String> {
        let (whole, fraction) = self.digits.split_at(self.digits.len() - self.scale);
        let zeros = whole.iter().take_while(|digit| **digit == 0).count().min(whole.len().saturating_sub(1));
        let is_whole = fraction.iter().all(|digit| *digit == 0) && whole.len() - zeros <= MAX_WHOLE_DIGITS;
        let sign = if self.is_negative && whole.iter().any(|digit| *digit != 0) { "-" } else { "" };
        is_whole.then(|| sign.to_owned() + &text(&whole[zeros..]))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = self.digits.split_at(self.digits.len() - self.scale);
        let zeros = whole.iter().take_while(|digit| **digit == 0).count().min(whole.len().saturating_sub(1));
        let sign = if self.is_negative && !self.is_zero() { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{}", text(&whole[zeros..]), text(fraction))
    }
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use crate::rows::decimal::*;
    use proptest::prelude::*;

    fn sum(left: &str, right: &str) -> String {
        Decimal::parse(left).unwrap().plus(Decimal::parse(right).unwrap()).to_string()
    }

    #[test]
    fn numbers_are_added_with_every_digit() {
        for (left, right, wanted) in [
            ("1", "2", "3"),
            ("99.99", "0.011", "100.001"),
            ("0.1", "0.2", "0.3"),
            ("-5", "3.25", "-1.75"),
            ("3.25", "-5", "-1.75"),
            ("1e2", "0.5", "100.5"),
            ("25E-3", "0", "0.025"),
            ("-1.50", "1.5", "0.00"),
            ("12345678901234567890.123456789", "0.000000001", "12345678901234567890.123456790"),
        ] {
            assert_eq!(sum(left, right), wanted, "{left} + {right}");
        }
        for text in ["", "-", ".5", "5.", "1e", "1e999", "NaN", "1 2", "0x1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn integers_are_recognized_in_every_format() {
        let whole = |text: &str| Decimal::parse(text).and_then(|number| number.whole());
        for (text, wanted) in [("1E+2", "100"), ("1.0e0", "1"), ("-100.00", "-100"), ("-0.0", "0"), ("1500e-2", "15")] {
            assert_eq!(whole(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["1.5", "1E39", "15e-1"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decimal_sums_match_integer_sums(left in -1_000_000i64..1_000_000, right in -1_000_000i64..1_000_000) {
            let cents = |number: i64| format!("{}{}.{:02}", if number < 0 { "-" } else { "" }, number.abs() / 100, number.abs() % 100);
            prop_assert_eq!(sum(&cents(left), &cents(right)), cents(left + right));
            prop_assert_eq!(sum(&left.to_string(), &right.to_string()), (left + right).to_string());
        }
    }
}
