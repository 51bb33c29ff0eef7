//! The proof that a report is complete: its clicks, displays and cost, summed by day and advertiser, against a request
//! for just those sums.
//!
//! The coarse request has few rows, so it covers many windows at once, and streams that count in the same zone, currency
//! and period share it. Both requests are made in the same run, since Criteo changes numbers for weeks; days that are not
//! older than two days still count and are not compared.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::NaiveDate;
use tokio::sync::Mutex;

use super::slice::{Window, period_end, window_at};
use super::sums::{Sum, Sums, number, sum};
use super::track::Advertisers;
use crate::api::{Client, wire};
use crate::config::AdvertiserId;
use crate::error::Result;
use crate::streams::endpoint::TOTAL_METRICS;
use crate::streams::metrics::Grain;
use crate::streams::report::Report;

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
        Report::preset(&["AdvertiserId", "Day"], &TOTAL_METRICS, &config)
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
        assert!(!is_settled(day("2026-06-29"), Grain::Week(chrono::Weekday::Mon), today));
    }
}
