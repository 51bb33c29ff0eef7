//! The totals check compares clicks, displays and cost by day and advertiser with a separate request for their sums.
//!
//! Totals have few rows, so one request covers many windows and all streams with the same time zone, currency and
//! period. It is made in the same run as the rows, since Criteo changes numbers for weeks. Days up to two days old
//! still change and are not compared.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::NaiveDate;
use tokio::sync::Mutex;

use crate::error::{Cause, Error, Result};
use crate::http::{Call, Client, Memory};
use crate::model::calendar::{Grain, Window, period_end, window_at};
use crate::model::ids::{AdvertiserId, numeric_id};
use crate::products::endpoint::TOTAL_METRICS;
use crate::products::report::Report;
use crate::read::requests;
use crate::read::sums::{Sum, Sums, Values, sum};
use crate::read::track::Advertisers;
use crate::support::watchdog;

/// The names of `TOTAL_METRICS` in messages.
const TOTAL_NAMES: [&str; TOTAL_METRICS.len()] = ["displays", "clicks", "cost"];

/// A number with at most two decimals.
fn shown(value: f64) -> String {
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Totals of some advertisers and days, stored compactly.
#[derive(Debug)]
pub struct Totals {
    window: Window,
    /// The advertisers' numbers, sorted.
    advertisers: Box<[u64]>,
    /// Sorted by advertiser and day.
    totals: Box<[Total]>,
    rounding: Values,
}

#[derive(Debug, Clone, Copy)]
struct Total {
    day: NaiveDate,
    /// An index.
    advertiser: u32,
    values: Values,
}

impl Totals {
    fn new(window: Window, advertisers: &[AdvertiserId], sums: Sums) -> Arc<Self> {
        let mut numbers: Vec<_> = advertisers.iter().map(|id| numeric_id(&id.0)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let total = |((advertiser, day), sum): ((u64, NaiveDate), Sum)| {
            let advertiser = u32::try_from(numbers.binary_search(&advertiser).ok()?).ok()?;
            Some(Total { day, advertiser, values: sum.values })
        };
        let mut totals: Vec<_> = sums.by_key.into_iter().filter_map(total).collect();
        totals.sort_unstable_by_key(|total| (total.advertiser, total.day));
        Arc::new(Self { window, advertisers: numbers.into(), totals: totals.into(), rounding: sums.rounding })
    }

    fn cover(&self, window: Window, advertisers: &[AdvertiserId]) -> bool {
        let is_there = |id: &AdvertiserId| self.advertisers.binary_search(&numeric_id(&id.0)).is_ok();
        self.window.start <= window.start && window.end <= self.window.end && advertisers.iter().all(is_there)
    }

    fn of(&self, advertiser: u64, day: NaiveDate) -> Option<&Values> {
        let advertiser = u32::try_from(self.advertisers.binary_search(&advertiser).ok()?).ok()?;
        let at = self.totals.binary_search_by_key(&(advertiser, day), |total| (total.advertiser, total.day)).ok()?;
        self.totals.get(at).map(|total| &total.values)
    }

    /// The share of these totals that truncated rows with these sums have, by the largest metric of `compared`; `None` if
    /// the totals are zero.
    #[must_use]
    pub fn share_of(
        &self,
        sums: &Sums,
        window: Window,
        advertisers: &[AdvertiserId],
        compared: [bool; TOTAL_METRICS.len()],
    ) -> Option<f64> {
        let numbers: BTreeSet<_> = advertisers.iter().map(|id| numeric_id(&id.0)).collect();
        let is_asked = |total: &&Total| {
            let advertiser = self.advertisers.get(total.advertiser as usize);
            (window.start..=window.end).contains(&total.day) && advertiser.is_some_and(|it| numbers.contains(it))
        };
        let sum_of = |index: usize| {
            let whole: f64 = self.totals.iter().filter(is_asked).map(|total| total.values[index]).sum();
            let received: f64 = sums.by_key.values().map(|sum| sum.values[index]).sum();
            (whole, received)
        };
        let (whole, received) = (0..TOTAL_METRICS.len())
            .filter(|index| compared[*index])
            .map(sum_of)
            .max_by(|one, other| one.0.total_cmp(&other.0))?;
        (whole > 0.0 && received > 0.0).then(|| (received / whole).min(1.0))
    }

    /// The periods in `window` whose sums differ, by advertiser. Tolerates a millionth and the rounding of the rows.
    /// `compared` says which metrics the rows have.
    #[must_use]
    pub fn differing(
        &self,
        sums: &Sums,
        window: Window,
        advertisers: &[AdvertiserId],
        compared: [bool; TOTAL_METRICS.len()],
    ) -> Differences {
        let by_number: HashMap<u64, &AdvertiserId> = advertisers.iter().map(|id| (numeric_id(&id.0), id)).collect();
        let mut found = Differences::default();
        let mut compare = |advertiser: u64, day: NaiveDate, total: &Values, sum: &Sum| {
            let Some(id) = by_number.get(&advertiser).filter(|_| (window.start..=window.end).contains(&day)) else {
                return;
            };
            let is_other = |index: &usize| {
                let rounding = f64::from(sum.rows) * sums.rounding[*index] + self.rounding[*index];
                (total[*index] - sum.values[*index]).abs() > 1e-6 * total[*index].abs() + rounding
            };
            let differing: Vec<_> =
                (0..TOTAL_METRICS.len()).filter(|index| compared[*index]).filter(is_other).collect();
            // guard: differing-totals
            if !differing.is_empty() {
                found.is_short |= differing.iter().all(|index| sum.values[*index] < total[*index]);
                found.periods.insert((day, (*id).clone()));
                let words = differing.iter().map(|index| {
                    let name = TOTAL_NAMES[*index];
                    format!("{name} {}, Criteo's total {}", shown(sum.values[*index]), shown(total[*index]))
                });
                found.words.insert((day, (*id).clone()), words.collect::<Vec<_>>().join("; "));
            }
        };
        let nothing = Sum::default();
        for total in &self.totals {
            let Some(&advertiser) = self.advertisers.get(total.advertiser as usize) else { continue };
            let sum = sums.by_key.get(&(advertiser, total.day)).unwrap_or(&nothing);
            compare(advertiser, total.day, &total.values, sum);
        }
        for ((advertiser, day), sum) in &sums.by_key {
            if self.of(*advertiser, *day).is_none() {
                compare(*advertiser, *day, &nothing.values, sum);
            }
        }
        found
    }
}

/// Periods whose sums differ from the totals.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Differences {
    /// The first day of each period, with the advertiser.
    pub periods: BTreeSet<(NaiveDate, AdvertiserId)>,
    /// The sums and totals that differ.
    pub words: BTreeMap<(NaiveDate, AdvertiserId), String>,
    /// Whether a period adds up to less than its totals, so that rows are probably missing.
    pub is_short: bool,
}

impl Differences {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.periods.is_empty()
    }

    /// The first days of its first and last period.
    #[must_use]
    pub fn span(&self) -> Option<(NaiveDate, NaiveDate)> {
        Some((self.periods.first()?.0, self.periods.last()?.0))
    }
}

/// The requested totals by time zone, currency and period.
#[derive(Default)]
pub struct TotalsCache {
    pages: std::sync::Mutex<HashMap<String, Arc<Mutex<Page>>>>,
    kept: std::sync::Mutex<Kept>,
}

/// The latest totals, most recently used first.
#[derive(Default)]
struct Kept(VecDeque<(String, Arc<Totals>)>);

impl Kept {
    fn find(&mut self, name: &str, window: Window, advertisers: &[AdvertiserId]) -> Option<Arc<Totals>> {
        let at = self.0.iter().position(|(of, totals)| of == name && totals.cover(window, advertisers))?;
        let found = self.0.remove(at)?;
        let totals = Arc::clone(&found.1);
        self.0.push_front(found);
        Some(totals)
    }

    fn add(&mut self, name: &str, totals: Arc<Totals>) {
        self.0.push_front((name.to_owned(), totals));
        let mut kept = 0;
        self.0.retain(|(_, totals)| {
            // An entry's own memory equals that of some sums.
            let size = totals.totals.len() + totals.advertisers.len() + 8;
            kept += size;
            kept <= MAX_SUMS || size == kept
        });
    }
}

struct Page {
    most_days: u32,
    /// Consecutive failures.
    failures: u32,
    /// Windows without totals.
    failed: Vec<(Window, Advertisers)>,
}

/// Sums kept in total: 16 MB, enough for eight streams with different time zones.
const MAX_SUMS: usize = 500_000;
const MAX_FAILED: usize = 1000;
/// A year per request is a try; if refused, the limit is the report's own window.
const MAX_DAYS: u32 = 366;
/// Consecutive failures until totals are no longer requested and rows stay unproven.
const MAX_FAILURES: u32 = 3;
/// Requests per window.
const MAX_PIECES: u32 = 16;

impl TotalsCache {
    /// Reuses earlier totals unless `is_fresh`.
    ///
    /// # Errors
    /// Criteo's error, or even a single period has too many rows.
    pub async fn totals(
        &self,
        client: &Client,
        report: &Report,
        window: Window,
        advertisers: &Advertisers,
        until: NaiveDate,
        is_fresh: bool,
    ) -> Result<Arc<Totals>> {
        let coarse = report.totals();
        let Report { endpoint, currency, timezone, grain, filters, .. } = &coarse;
        let name = format!("{endpoint:?} {currency} {timezone} {grain:?} {filters:?}");
        let page = Arc::clone(lock(&self.pages).entry(name.clone()).or_default());
        // Held during the request, so that the same days are requested once.
        let task = watchdog::task(format!("A window from {}", window.start));
        task.waits_for("totals that another window requests");
        let mut page = page.lock().await;
        drop(task);
        if !is_fresh && let Some(totals) = lock(&self.kept).find(&name, window, advertisers) {
            return Ok(totals);
        }
        if page.has_failed(window, advertisers) || page.failures >= MAX_FAILURES {
            return Err(not_to_be_had());
        }
        let totals = page.ask(client, &coarse, window, advertisers, until, is_fresh).await;
        match &totals {
            Ok(totals) => {
                page.failures = 0;
                lock(&self.kept).add(&name, Arc::clone(totals));
            }
            Err(error) if error.cause == Some(Cause::RetriesUsedUp) => page.failures = MAX_FAILURES,
            Err(error) => {
                // The report's own requests find advertisers that are refused.
                let is_refusal = error.is_refusal() || error.cause == Some(Cause::RequestTooLong);
                page.failures += u32::from(!is_refusal || advertisers.len() == 1);
                page.note_failure(window, advertisers);
            }
        }
        totals
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Default for Page {
    fn default() -> Self {
        Self { most_days: MAX_DAYS, failures: 0, failed: Vec::new() }
    }
}

impl Page {
    fn has_failed(&self, window: Window, advertisers: &Advertisers) -> bool {
        self.failed.iter().any(|(of, to)| *of == window && to == advertisers)
    }

    fn note_failure(&mut self, window: Window, advertisers: &Advertisers) {
        if self.failed.len() < MAX_FAILED && !self.has_failed(window, advertisers) {
            self.failed.push((window, Arc::clone(advertisers)));
        }
    }

    /// Requests as many days as fit into one response; if refused, the window alone.
    async fn ask(
        &mut self,
        client: &Client,
        coarse: &Report,
        window: Window,
        advertisers: &Advertisers,
        until: NaiveDate,
        is_fresh: bool,
    ) -> Result<Arc<Totals>> {
        let days = coarse.row_cap * 6 / 10 / u64::try_from(advertisers.len()).unwrap_or(1).max(1);
        let days = u32::try_from(days).unwrap_or(u32::MAX).min(self.most_days);
        let mut asked = if is_fresh || coarse.needs_day_per_request() {
            window
        } else {
            window_at(window.start, until, days, coarse.grain)
        };
        asked.end = asked.end.max(window.end);
        if self.has_failed(asked, advertisers) {
            asked = window;
        }
        while asked != window {
            let shorter = match ask_once(client, coarse, asked, advertisers).await {
                Ok(Some(sums)) => return Ok(Totals::new(asked, advertisers, sums)),
                // The window itself must be included.
                Ok(None) => asked.halves(coarse.grain).map(|(left, _)| left).filter(|left| left.end >= window.end),
                Err(error) if matches!(error.cause, Some(Cause::WeekStart(_))) => return Err(error),
                Err(_) => {
                    self.most_days = self.most_days.min(window.days());
                    self.note_failure(asked, advertisers);
                    None
                }
            };
            asked = shorter.unwrap_or(window);
        }
        let sums = self.ask_in_pieces(client, coarse, window, advertisers).await?;
        Ok(Totals::new(window, advertisers, sums))
    }

    /// Splits a window by days, then by advertisers.
    async fn ask_in_pieces(
        &mut self,
        client: &Client,
        coarse: &Report,
        window: Window,
        advertisers: &Advertisers,
    ) -> Result<Sums> {
        let mut sums = Sums::default();
        let mut todo = vec![(window, Arc::clone(advertisers))];
        let mut requests = 0;
        while let Some((window, advertisers)) = todo.pop() {
            requests += 1;
            // Overlapping windows share pieces.
            let outcome = if self.has_failed(window, &advertisers) {
                Err(not_to_be_had().because(Cause::TooSlow))
            } else {
                ask_once(client, coarse, window, &advertisers).await
            };
            let is_long = match &outcome {
                Ok(Some(part)) => {
                    sums.add(part);
                    continue;
                }
                Ok(None) => true,
                Err(error) => {
                    self.note_failure(window, &advertisers);
                    matches!(
                        error.cause,
                        Some(Cause::InvalidTimespan | Cause::TooSlow | Cause::Rejected | Cause::ResponseTooLarge)
                    )
                }
            };
            let is_divisible = is_long && requests < MAX_PIECES;
            match window.halves(coarse.grain).filter(|_| is_divisible) {
                Some((left, right)) => todo.extend([(right, Arc::clone(&advertisers)), (left, advertisers)]),
                None if is_divisible && advertisers.len() > 1 => {
                    let (left, right) = advertisers.split_at(advertisers.len() / 2);
                    todo.extend([(window, right.into()), (window, left.into())]);
                }
                None => {
                    outcome?;
                    return Err(Error::config(
                        "Criteo's totals for a single day have more rows than one response can \
                     hold.",
                    ));
                }
            }
        }
        Ok(sums)
    }
}

fn not_to_be_had() -> Error {
    Error::transient("Requests for Criteo's totals failed repeatedly.")
}

/// `None` if the response was truncated.
async fn ask_once(client: &Client, coarse: &Report, window: Window, advertisers: &Advertisers) -> Result<Option<Sums>> {
    let call = requests::report(coarse, &coarse.metrics, advertisers, window, None);
    // Rows wait for the totals, so these must not wait for the rows' memory.
    let call = Call { memory: Memory::Shared, ..call };
    let (_, (rows, sums)) = client.fetch(&call, |body| sum(body, coarse, window, advertisers)).await?;
    Ok((rows < coarse.row_cap).then_some(sums))
}

/// Days up to this age still change.
pub const SETTLED_AFTER: u32 = 2;

/// Whether all of a period is older than two days.
#[must_use]
pub fn is_settled(period: NaiveDate, grain: Grain, today: NaiveDate) -> bool {
    (today - period_end(period, grain)).num_days() > i64::from(SETTLED_AFTER)
}

#[cfg(test)]
mod tests {
    use crate::read::totals::*;

    fn window() -> Window {
        Window { start: "2026-01-01".parse().unwrap(), end: "2026-01-31".parse().unwrap() }
    }

    fn report() -> Report {
        let config = serde_json::json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
        let config = crate::config::Config::parse(&config.to_string()).unwrap();
        Report::preset(&["AdvertiserId", "Day"], &TOTAL_METRICS, &config.reports)
    }

    fn differing(total: &str, rows: &str) -> Vec<String> {
        let sums = sum(total, &report(), window(), &[]).unwrap().1;
        let advertisers = [AdvertiserId("7".into())];
        let totals = Totals::new(window(), &advertisers, sums);
        let sums = sum(rows, &report(), window(), &[]).unwrap().1;
        let days = totals.differing(&sums, window(), &advertisers, [true; 3]);
        days.periods.into_iter().map(|(day, _)| day.to_string()).collect()
    }

    #[test]
    fn sums_are_compared_by_day_and_advertiser_in_any_format() {
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
    fn accumulated_rounding_is_not_a_difference() {
        let total = r#"[{"AdvertiserId":"7","Day":"2026-01-02","AdvertiserCost":"100.00"}]"#;
        let row = |cost: &str| format!(r#"{{"AdvertiserId":"7","Day":"2026-01-02","AdvertiserCost":"{cost}"}}"#);
        let rows = |last: &str| format!("[{},{},{}]", row("33.33"), row("33.33"), row(last));
        assert!(differing(total, &rows("33.33")).is_empty());
        assert_eq!(differing(total, &rows("33.30")), ["2026-01-02"]);
    }

    #[test]
    fn days_and_periods_settle_two_days_after_they_end() {
        let day = |text: &str| text.parse().unwrap();
        let today = day("2026-07-05");
        assert!(is_settled(day("2026-07-02"), Grain::Day, today));
        assert!(!is_settled(day("2026-07-03"), Grain::Day, today));
        assert!(is_settled(day("2026-06-01"), Grain::Month, today));
        assert!(!is_settled(day("2026-06-29"), Grain::Week(chrono::Weekday::Mon), today));
    }
}
