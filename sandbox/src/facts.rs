//! The truth of statistics: small facts that add up over any choice of dimensions.
//!
//! Every ad has a few facts per active day. A fact has an hour (UTC) and one value of every dimension; its metrics are
//! integers (money in millionths), so that sums are exact.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::plausible::Formula;
use crate::statistics::{decimal, rate};
use crate::vocabulary::Measure;
use crate::world::{AdPath, World};

/// Facts per ad and day.
pub(crate) const FACTS_A_DAY: u64 = 3;

/// A fact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fact {
    pub path: AdPath,
    pub instant: DateTime<Utc>,
    pub key: u64,
}

impl World {
    /// Facts of these advertisers' ads from `start` to `end` (days in UTC, inclusive).
    pub(crate) fn facts(&self, advertisers: &[u32], start: NaiveDate, end: NaiveDate) -> Vec<Fact> {
        let mut facts = Vec::new();
        let end = end.min(self.options.today);
        let ads = self.ads_of_advertiser();
        for advertiser in advertisers.iter().filter(|advertiser| **advertiser < self.options.advertisers) {
            let shown = if *advertiser == 0 { ads } else { self.options.quiet_ads.unwrap_or(ads).min(ads) };
            for number in advertiser * ads..advertiser * ads + shown {
                let mut day = start;
                while day <= end {
                    self.facts_of_ad(number, day, &mut facts);
                    day = day + Days::new(1);
                }
            }
        }
        facts
    }

    fn facts_of_ad(&self, number: u32, day: NaiveDate, facts: &mut Vec<Fact>) {
        let ordinal = u64::from(day.to_epoch_days().unsigned_abs());
        let key = self.random(&[u64::from(number), ordinal]);
        if key % 100 >= u64::from(self.options.activity) {
            return;
        }
        for index in 0..FACTS_A_DAY {
            let key = self.random(&[key, index]);
            let hour = if self.options.hostile { key % 24 } else { Self::plausible_hour(key) };
            let hour = TimeDelta::hours(i64::try_from(hour).unwrap_or(0));
            let instant = day.and_time(NaiveTime::MIN).and_utc() + hour;
            facts.push(Fact { path: self.ad_path(number), instant, key });
        }
    }

    /// One of `count` values of a dimension that only depends on the fact.
    pub(crate) fn choice(&self, fact: &Fact, dimension: u64, count: u64) -> u64 {
        if self.options.hostile {
            self.random(&[fact.key, dimension]) % count
        } else {
            self.plausible_choice(fact, dimension, count)
        }
    }

    /// Adds a fact to the sums of these metrics, with money in this currency.
    pub(crate) fn add(&self, fact: &Fact, metrics: &[Metric], currency: &str, sums: &mut [Sum]) {
        if self.options.hostile {
            for (sum, metric) in sums.iter_mut().zip(metrics) {
                let value = self.value(fact, metric.key, metric.measure);
                let is_money = metric.measure == Measure::Money;
                sum.value += if is_money { value * rate(currency) / 100 } else { value };
                sum.by += 100_000_000;
            }
            return;
        }
        let amounts = self.amounts(fact, currency);
        for (sum, metric) in sums.iter_mut().zip(metrics) {
            let [value, by] = amounts.value(metric.formula);
            let is_count = matches!(metric.measure, Measure::Count(_));
            sum.value += if is_count { value / 1_000_000 } else { value };
            sum.by += by;
        }
    }

    /// The value of an order, in millionths.
    pub(crate) fn order_amount(&self, fact: &Fact, currency: &str) -> i128 {
        if self.options.hostile {
            self.value(fact, metric_key("amount"), Measure::Money) * rate(currency) / 100
        } else {
            self.order_value(fact, currency)
        }
    }

    /// The cost of a click or a display, in millionths.
    pub(crate) fn cost_of_event(&self, fact: &Fact, is_click: bool, currency: &str) -> i128 {
        if self.options.hostile {
            self.value(fact, metric_key("AdvertiserCost"), Measure::Money) * rate(currency) / 100
        } else {
            self.amounts(fact, currency).cost_of_event(is_click)
        }
    }

    /// A metric's value in a hostile world, in whole units or millionths.
    fn value(&self, fact: &Fact, metric: u64, measure: Measure) -> i128 {
        let random = self.random(&[fact.key, metric]);
        // Money in hundredths of a cent, up to 80.00; one ad has amounts with eighteen digits.
        let most_steps = if fact.path == self.ad_path(5) { 1_000_000_000_000_000_000 } else { 800_000 };
        let value = match measure {
            Measure::Count(most) => i128::from(random % (most + 1)),
            Measure::Money => i128::from(random % most_steps) * 100,
            Measure::Ratio => i128::from(random % 800_000) * 100,
            Measure::Word => 0,
        };
        // Criteo credits sales to a day for weeks: a third of every number is added over time.
        let age = (self.options.today - fact.instant.date_naive()).num_days().max(0);
        let whole = i64::from(self.options.restatement_days);
        let grown =
            if whole == 0 { value } else { value * i128::from(2 * whole + age.min(whole)) / i128::from(3 * whole) };
        // Whole hundredths of a cent keep sums exact in other currencies.
        if measure == Measure::Money { grown - grown % 100 } else { grown }
    }
}

/// A metric of a report.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    pub measure: Measure,
    key: u64,
    formula: Formula,
}

impl Metric {
    /// The metric with this name among those of statistics.
    pub(crate) fn new(name: &str, measure: Measure) -> Self {
        Self { measure, key: metric_key(name), formula: Formula::of(name) }
    }
}

/// The sum of a metric; of a ratio, both halves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    /// Money in millionths.
    pub value: i128,
    by: i128,
}

impl Sum {
    /// The quotient of both halves as a decimal number.
    pub(crate) fn ratio(self) -> String {
        decimal(if self.by == 0 { 0 } else { self.value * 1_000_000 / self.by })
    }
}

/// A number for a metric's name.
pub(crate) fn metric_key(name: &str) -> u64 {
    name.bytes().fold(1, |key: u64, byte| key.wrapping_mul(131).wrapping_add(u64::from(byte)))
}
