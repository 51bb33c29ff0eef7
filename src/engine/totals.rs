//! The proof that a report is complete: its clicks, displays and cost, summed by day and advertiser, against a request
//! for just those sums.
//!
//! The coarse request has few rows, so it covers many windows at once, and streams that count in the same zone, currency
//! and period share it. Both requests are made in the same run, since Criteo changes numbers for weeks; days that are not
//! older than two days still count and are not compared.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::coerce::iso_day;
use super::rows::{self, RowSink};
use super::slice::{Window, period_end, window_at};
use super::track::Advertisers;
use crate::api::{Client, wire};
use crate::config::AdvertiserId;
use crate::error::Result;
use crate::streams::endpoint::TOTAL_METRICS;
use crate::streams::metrics::{Grain, fold};
use crate::streams::report::Report;

/// The parts of `TOTAL_METRICS`.
type Values = [f64; TOTAL_METRICS.len()];

/// Sums by advertiser and period.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    by_key: HashMap<(u64, NaiveDate), Sum>,
    /// Half of the last digit of the numbers of each metric: what rounding may hide in each row.
    rounding: Values,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    values: Values,
    rows: u32,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
        self.rows += other.rows;
    }
}

impl Sums {
    /// How many rows there were, by the number of the advertiser and the day.
    pub fn rows(&self) -> impl Iterator<Item = (u64, NaiveDate, u32)> {
        self.by_key.iter().map(|((advertiser, day), sum)| (*advertiser, *day, sum.rows))
    }

    /// Adds the sums of other rows.
    pub fn add(&mut self, other: &Self) {
        for (key, sum) in &other.by_key {
            self.by_key.entry(*key).or_default().add(sum);
        }
        self.rounding.iter_mut().zip(other.rounding).for_each(|(known, other)| *known = known.max(other));
    }
}

/// The totals of some advertisers over some days.
#[derive(Debug)]
pub struct Totals {
    window: Window,
    advertisers: HashSet<AdvertiserId>,
    sums: Sums,
}

impl Totals {
    fn cover(&self, window: Window, advertisers: &[AdvertiserId]) -> bool {
        self.window.start <= window.start
            && window.end <= self.window.end
            && advertisers.iter().all(|advertiser| self.advertisers.contains(advertiser))
    }

    /// The first days of the periods within `window` whose sums are others. A part of a millionth counts as equal, and so
    /// does what the rounding of each row may add up to. `compared` says which metrics the rows have.
    #[must_use]
    pub fn differing(
        &self,
        sums: &Sums,
        window: Window,
        advertisers: &[AdvertiserId],
        compared: [bool; TOTAL_METRICS.len()],
    ) -> BTreeSet<NaiveDate> {
        let advertisers: HashSet<u64> = advertisers.iter().map(|advertiser| number(&advertiser.0)).collect();
        let keys: HashSet<_> = self.sums.by_key.keys().chain(sums.by_key.keys()).collect();
        let nothing = Sum::default();
        keys.into_iter()
            .filter(|(advertiser, day)| (window.start..=window.end).contains(day) && advertisers.contains(advertiser))
            .filter(|key| {
                let total = self.sums.by_key.get(key).unwrap_or(&nothing);
                let sum = sums.by_key.get(key).unwrap_or(&nothing);
                (0..TOTAL_METRICS.len()).filter(|index| compared[*index]).any(|index| {
                    let rounding = f64::from(sum.rows) * sums.rounding[index] + self.sums.rounding[index];
                    let difference = (total.values[index] - sum.values[index]).abs();
                    difference > 1e-6 * total.values[index].abs() + rounding
                })
            })
            .map(|(_, day)| *day)
            .collect()
    }
}

/// The totals that have been asked for, by zone, currency and period.
#[derive(Default)]
pub struct Ledger {
    pages: std::sync::Mutex<HashMap<String, Arc<Page>>>,
}

/// The latest totals of one zone, currency and period.
type Page = Mutex<VecDeque<Arc<Totals>>>;

/// How many sums are kept of one zone, currency and period; more would be memory for windows that are done.
const MOST_SUMS: usize = 120_000;

impl Ledger {
    /// The totals for a window, from an earlier request where `is_fresh` does not ask for new ones. `None` when even the
    /// totals of a single period are too many rows.
    ///
    /// # Errors
    /// What Criteo says.
    pub async fn totals(
        &self,
        client: &Client,
        report: &Report,
        window: Window,
        advertisers: &Advertisers,
        until: NaiveDate,
        is_fresh: bool,
    ) -> Result<Option<Arc<Totals>>> {
        let coarse = report.totals();
        let page = {
            let mut pages = self.pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let Report { endpoint, currency, timezone, grain, filters, .. } = &coarse;
            Arc::clone(pages.entry(format!("{endpoint:?} {currency} {timezone} {grain:?} {filters:?}")).or_default())
        };
        // Held while asking, so that windows of the same days cause one request.
        let mut page = page.lock().await;
        let known = page.iter().find(|totals| totals.cover(window, advertisers)).filter(|_| !is_fresh);
        if let Some(totals) = known {
            return Ok(Some(Arc::clone(totals)));
        }
        let row_cap = report.row_cap;
        let days = row_cap * 6 / 10 / u64::try_from(advertisers.len()).unwrap_or(1).max(1);
        let days = u32::try_from(days).unwrap_or(u32::MAX).min(366);
        let asked = if is_fresh || report.is_without_time() {
            window
        } else {
            window_at(window.start, until, days, report.grain)
        };
        let mut asked = Window { end: asked.end.max(window.end), ..asked };
        let sums = loop {
            let call = wire::report(&coarse, &coarse.metrics, advertisers, asked, None);
            let (_, (rows, sums)) = client.fetch(&call, |body| sum(body, &coarse, asked)).await?;
            if rows < row_cap {
                break sums;
            }
            match asked.halves(report.grain) {
                // At least the window itself is wanted.
                Some((left, _)) if left.end >= window.end => asked = left,
                _ if asked != window => asked = window,
                _ => return Ok(None),
            }
        };
        let totals = Arc::new(Totals { window: asked, advertisers: advertisers.iter().cloned().collect(), sums });
        page.push_front(Arc::clone(&totals));
        let mut kept = 0;
        page.retain(|totals| {
            kept += totals.sums.by_key.len();
            kept <= MOST_SUMS || totals.sums.by_key.len() == kept
        });
        Ok(Some(totals))
    }
}

/// Checks an answer and sums it up; says how many rows it has.
///
/// # Errors
/// As [`rows::check`].
pub fn sum(body: &str, report: &Report, window: Window) -> Result<(u64, Sums)> {
    let mut summing = Summing::new(report, window);
    let envelope = rows::check_into(body, report.shape(), &mut summing)?;
    // An answer that announces more than it holds is as good as one at the cap.
    let rows = if envelope.is_short() { u64::MAX } else { envelope.rows.unwrap_or(0) };
    Ok((rows, summing.sums()))
}

/// Sums rows up by advertiser and period; the period is a column of this grain.
pub struct Summing {
    sums: Sums,
    /// The sum that the last row belongs to: mostly the next one does, too.
    last: Option<((u64, NaiveDate), Sum)>,
    period: &'static str,
    /// The day of rows that do not say theirs.
    day: Option<NaiveDate>,
    metrics: [&'static str; TOTAL_METRICS.len()],
    learned: Vec<(Box<str>, Field)>,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Advertiser,
    Period,
    Value(usize),
    /// Another object with fields of the row.
    Attributes,
    Other,
}

impl Summing {
    /// Nothing has been summed yet.
    #[must_use]
    pub fn new(report: &Report, window: Window) -> Self {
        Self {
            sums: Sums::default(),
            last: None,
            period: report.grain.dimension(),
            day: report.is_without_time().then_some(window.start),
            metrics: report.endpoint.total_metrics(),
            learned: Vec::new(),
        }
    }

    /// What has been summed.
    #[must_use]
    pub fn sums(mut self) -> Sums {
        self.keep_last();
        self.sums
    }

    fn keep_last(&mut self) {
        if let Some((key, last)) = self.last.take() {
            self.sums.by_key.entry(key).or_default().add(&last);
        }
    }

    fn field(&mut self, key: &str, at: usize) -> Field {
        let is_key = |(known, _): &&(Box<str>, Field)| **known == *key;
        if let Some((_, field)) = self.learned.get(at).filter(is_key).or_else(|| self.learned.iter().find(is_key)) {
            return *field;
        }
        let folded = fold(key);
        let field = match self.metrics.iter().position(|metric| fold(metric) == folded) {
            Some(index) => Field::Value(index),
            None if folded == "advertiserid" => Field::Advertiser,
            None if folded == fold(self.period) => Field::Period,
            None if folded == "attributes" => Field::Attributes,
            None => Field::Other,
        };
        self.learned.push((key.into(), field));
        field
    }
}

impl RowSink for Summing {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let parsed = Row { summing: self, at: 0 }.deserialize(row)?;
        // A row that is not understood here is judged where it becomes a record.
        if let (Some(advertiser), Some(day)) = (parsed.advertiser, self.day.or(parsed.day)) {
            let key = (advertiser, day);
            let row = Sum { values: parsed.values, rows: 1 };
            match &mut self.last {
                Some((last, sum)) if *last == key => sum.add(&row),
                _ => {
                    self.keep_last();
                    self.last = Some((key, row));
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parsed {
    advertiser: Option<u64>,
    day: Option<NaiveDate>,
    values: Values,
}

struct Row<'a> {
    summing: &'a mut Summing,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Parsed, A::Error> {
        let mut row = Parsed::default();
        while let Some(field) = map.next_key_seed(Key { summing: self.summing, at: self.at })? {
            self.at += 1;
            let value: &'de RawValue = map.next_value()?;
            let text = value.get().trim_matches('"');
            match field {
                Field::Other => {}
                Field::Attributes => {
                    let mut nested = serde_json::Deserializer::from_str(value.get());
                    row = Row { summing: self.summing, at: 0 }.deserialize(&mut nested).map_err(A::Error::custom)?;
                }
                Field::Advertiser => row.advertiser = Some(number(text)),
                Field::Period => row.day = text.get(..10).and_then(iso_day),
                Field::Value(index) => {
                    row.values[index] = text.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(0.0);
                    let decimals = text.split_once('.').filter(|_| !text.contains(['e', 'E']));
                    if let Some((_, decimals)) = decimals {
                        let rounding = 0.5 * 10f64.powi(-i32::try_from(decimals.len()).unwrap_or(i32::MAX));
                        // The most precise number tells how Criteo rounds; trailing zeros may be left out.
                        let known = &mut self.summing.sums.rounding[index];
                        *known = if *known == 0.0 { rounding } else { known.min(rounding) };
                    }
                }
            }
        }
        Ok(row)
    }
}

struct Key<'a> {
    summing: &'a mut Summing,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Field, E> {
        Ok(self.summing.field(key, self.at))
    }
}

/// An id as a number; ids of Criteo are digits, and others get a number of their own.
pub(super) fn number(id: &str) -> u64 {
    id.parse().unwrap_or_else(|_| id.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into())))
}

/// The last period that is compared: all of it is older than two days.
#[must_use]
pub fn is_settled(period: NaiveDate, grain: Grain, today: NaiveDate) -> bool {
    (today - period_end(period, grain)).num_days() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window { start: "2026-01-01".parse().unwrap(), end: "2026-01-31".parse().unwrap() }
    }

    fn report() -> Report {
        let config = serde_json::json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
        let config = crate::config::Config::parse(&config.to_string()).unwrap();
        Report::preset(&["AdvertiserId", "CampaignId", "Day"], &TOTAL_METRICS, &config)
    }

    fn differing(total: &str, rows: &str) -> Vec<String> {
        let sums = sum(total, &report(), window()).unwrap().1;
        let totals = Totals { window: window(), advertisers: HashSet::new(), sums };
        let sums = sum(rows, &report(), window()).unwrap().1;
        let days = totals.differing(&sums, window(), &[AdvertiserId("7".into())], [true; 3]);
        days.into_iter().map(|day| day.to_string()).collect()
    }

    #[test]
    fn sums_are_compared_by_day_and_advertiser_in_any_spelling() {
        let total = r#"{"Rows":[{"AdvertiserId":"7","Day":"2026-01-02","Displays":"30","Clicks":"3","AdvertiserCost":"1.5"},
            {"AdvertiserId":"7","Day":"2026-01-03","Displays":"1","Clicks":"0","AdvertiserCost":"0"},
            {"AdvertiserId":"8","Day":"2026-01-03","Displays":"9","Clicks":"9","AdvertiserCost":"9"}]}"#;
        let rows = r#"[{"displays":10,"advertiserId":7,"day":"2026-01-02T00:00:00","clicks":1,"advertiserCost":0.5},
            {"displays":20,"advertiserId":7,"day":"2026-01-02","clicks":2,"advertiserCost":1.0},
            {"displays":1,"advertiserId":7,"day":"2026-01-03","clicks":0,"advertiserCost":null}]"#;
        assert!(differing(total, rows).is_empty());
        assert_eq!(differing(total, &rows.replace("20,", "19,")), ["2026-01-02"]);
        assert_eq!(differing(total, "[]"), ["2026-01-02", "2026-01-03"]);
        assert_eq!(differing("[]", rows), ["2026-01-02", "2026-01-03"]);
    }

    #[test]
    fn what_rounding_adds_up_to_is_no_difference() {
        let total = r#"[{"AdvertiserId":"7","Day":"2026-01-02","AdvertiserCost":"100.00"}]"#;
        let row = |cost: &str| format!(r#"{{"AdvertiserId":"7","Day":"2026-01-02","AdvertiserCost":"{cost}"}}"#);
        let rows = |last: &str| format!("[{},{},{}]", row("33.33"), row("33.33"), row(last));
        assert!(differing(total, &rows("33.33")).is_empty());
        assert_eq!(differing(total, &rows("33.30")), ["2026-01-02"]);
    }

    #[test]
    fn days_settle_after_two_days_and_periods_after_their_last() {
        let day = |text: &str| text.parse().unwrap();
        let today = day("2026-07-05");
        assert!(is_settled(day("2026-07-02"), Grain::Day, today));
        assert!(!is_settled(day("2026-07-03"), Grain::Day, today));
        assert!(is_settled(day("2026-06-01"), Grain::Month, today));
        assert!(!is_settled(day("2026-06-29"), Grain::Week, today));
    }
}
