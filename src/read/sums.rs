//! Sums the rows of a response by advertiser and period.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::error::Result;
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::endpoint::TOTAL_METRICS;
use crate::products::report::Report;
use crate::read::judge::{Expected, judge};

/// One value for each of `TOTAL_METRICS`.
pub(crate) type Values = [f64; TOTAL_METRICS.len()];

/// The index of the cost in `TOTAL_METRICS`.
const MONEY: usize = 2;
/// Larger numbers are null in tables (a decimal with 29 digits before the point, a 64-bit integer), so they prove nothing.
const MOST_MONEY: f64 = 1e29;
const MOST_COUNT: f64 = 9.2e18;
/// Currencies without a minor unit (ISO 4217): their amounts are whole.
const WHOLE_CURRENCIES: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const HALF_A_UNIT: f64 = 0.5;

/// Sums by advertiser and period.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    pub(crate) by_key: HashMap<(u64, NaiveDate), Sum>,
    /// Half of each metric's last digit: the most that rounding changes a row.
    pub(crate) rounding: Values,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) values: Values,
    pub(crate) rows: u32,
}

impl Sum {
    pub(crate) fn add(&mut self, other: &Self) {
        self.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
        self.rows += other.rows;
    }
}

/// Whether a value can be summed and stored.
pub(crate) fn is_plausible(metric: usize, value: f64) -> bool {
    value.abs() < if metric == MONEY { MOST_MONEY } else { MOST_COUNT }
}

impl Sums {
    /// Row counts with the advertiser's number and the day.
    pub fn rows(&self) -> impl Iterator<Item = (u64, NaiveDate, u32)> {
        self.by_key.iter().map(|((advertiser, day), sum)| (*advertiser, *day, sum.rows))
    }

    /// Adds the sums of other rows.
    pub fn add(&mut self, other: &Self) {
        for (key, sum) in &other.by_key {
            self.by_key.entry(*key).or_default().add(sum);
        }
        self.rounding.iter_mut().zip(other.rounding).for_each(|(known, other)| *known = finer(*known, other));
    }
}

/// The most precise number shows how Criteo rounds; trailing zeros may be missing. Zero means unknown.
fn finer(one: f64, other: f64) -> f64 {
    if one == 0.0 || (other > 0.0 && other < one) { other } else { one }
}

#[derive(Debug, Default)]
pub(crate) struct Precision {
    rounding: Values,
    has_whole_money: bool,
}

impl Precision {
    /// Learns from a number and its text.
    pub(crate) fn learn(&mut self, metric: usize, text: &str, value: f64) {
        if text.contains(['e', 'E']) {
            return;
        }
        match text.split_once('.') {
            Some((_, decimals)) => {
                let rounding = 0.5 * 10f64.powi(-i32::try_from(decimals.len()).unwrap_or(i32::MAX));
                self.rounding[metric] = finer(self.rounding[metric], rounding);
            }
            None => self.has_whole_money |= metric == MONEY && value != 0.0,
        }
    }

    /// If all costs are whole, they are rounded to whole units.
    pub(crate) fn rounding(self, currency: &str) -> Values {
        let mut rounding = self.rounding;
        let is_whole = rounding[MONEY] == 0.0 && self.has_whole_money;
        if is_whole || WHOLE_CURRENCIES.contains(&currency) {
            rounding[MONEY] = HALF_A_UNIT;
        }
        rounding
    }
}

/// Judges and sums a response; also returns its row count. No advertisers accept all.
///
/// # Errors
/// Like [`judge`].
pub fn sum(body: &str, report: &Report, window: Window, advertisers: &[AdvertiserId]) -> Result<(u64, Sums)> {
    let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared: true };
    let judged = judge(body, &expected)?;
    // A response that announces more than it holds counts as truncated.
    Ok((if judged.is_short { u64::MAX } else { judged.rows }, judged.sums))
}

#[cfg(test)]
mod tests {
    use crate::read::sums::*;

    fn rounding(currency: &str, amounts: &[&str]) -> f64 {
        let mut precision = Precision::default();
        for amount in amounts {
            precision.learn(MONEY, amount, amount.parse().unwrap());
        }
        precision.rounding(currency)[MONEY]
    }

    #[test]
    fn money_in_whole_units_is_compared_in_whole_units() {
        let is = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        is(rounding("EUR", &["12", "7", "0"]), 0.5);
        is(rounding("EUR", &["12", "7.25"]), 0.005);
        is(rounding("EUR", &["12.00", "7.00"]), 0.005);
        is(rounding("JPY", &["12.00"]), 0.5);
        is(rounding("EUR", &["0", "0"]), 0.0);
        is(rounding("EUR", &["1e3"]), 0.0);
    }
}
