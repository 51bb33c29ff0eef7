//! Estimates rows and bytes per day of a report to choose the days per window.

use crate::model::calendar::Window;

/// First window without an estimate: the usual lookback plus today in one request.
const FIRST_DAYS: u32 = 31;
/// First window after a request for more advertisers hit the row limit.
const CAUTIOUS_DAYS: u32 = 7;
/// Longest window, however sparse the data.
const MAX_DAYS: u32 = 366;
/// Longest window relative to the one before, as later days may be denser.
const MAX_GROWTH: u32 = 4;
/// Fraction of the row cap that a window targets if days have the estimated number of rows.
const FILL: f64 = 0.9;
/// The same, however much days differ.
const MIN_FILL: f64 = 0.6;
/// Response size that a window targets, in bytes: two of them, with their margin, fit into the memory for responses.
const TARGET_RESPONSE_BYTES: f64 = 25.0 * 1024.0 * 1024.0;

/// Estimated rows and bytes per day, and the longest window so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Density {
    rows_per_day: Option<f64>,
    bytes_per_day: f64,
    longest_days: u32,
    /// How many times as many rows as estimated recent windows had; at least 1.
    surprise: f64,
}

impl Density {
    /// Starts with the estimate of the last sync, if there is one, and the bytes that a row probably has.
    #[must_use]
    pub fn new(rows_per_day: Option<f64>, bytes_per_row: u32) -> Self {
        let longest_days = if rows_per_day.is_some() { MAX_DAYS } else { FIRST_DAYS };
        Self {
            rows_per_day,
            bytes_per_day: rows_per_day.unwrap_or(0.0) * f64::from(bytes_per_row),
            longest_days,
            surprise: FILL / MIN_FILL,
        }
    }

    /// Starts without an estimate, for advertisers that may have many rows.
    #[must_use]
    pub fn cautious() -> Self {
        Self { longest_days: CAUTIOUS_DAYS, ..Self::new(None, 0) }
    }

    /// Whether windows can be planned before responses arrive.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.rows_per_day.is_some()
    }

    /// Rows per day, if known.
    #[must_use]
    pub fn rows_per_day(&self) -> Option<f64> {
        self.rows_per_day
    }

    /// Estimated response size for a window, plus 25 % margin.
    #[must_use]
    pub fn expected_bytes(&self, window: Window) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, saturating")]
        let bytes = (1.25 * self.bytes_per_day * f64::from(window.days())) as usize;
        bytes
    }

    /// Days to request, to stay well below `row_cap` and near 25 MiB.
    #[must_use]
    pub fn window_days(&self, row_cap: u64) -> u32 {
        #[expect(clippy::cast_precision_loss, reason = "a cap has six digits")]
        let by_rows = (FILL / self.surprise).max(MIN_FILL) * row_cap as f64 / self.rows_per_day.unwrap_or(0.0);
        let days = by_rows.min(TARGET_RESPONSE_BYTES / self.bytes_per_day).min(f64::from(self.longest_days));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 366")]
        let days = days as u32;
        days.max(1)
    }

    /// Updates the estimate, which falls slowly, since a busy month may follow a quiet one.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn learn(&mut self, window: Window, rows: u64, bytes: usize) {
        let days = f64::from(window.days());
        let mix = |old: f64, new: f64| new.max(f64::midpoint(old, new));
        let rows = rows as f64 / days;
        if let Some(estimate) = self.rows_per_day.filter(|estimate| *estimate > 0.0) {
            self.surprise = mix(self.surprise, (rows / estimate).max(1.0));
        }
        self.rows_per_day = Some(mix(self.rows_per_day.unwrap_or(rows), rows));
        self.bytes_per_day = mix(self.bytes_per_day, bytes as f64 / days);
        self.longest_days = self.longest_days.max(window.days().saturating_mul(MAX_GROWTH)).min(MAX_DAYS);
    }

    /// Limits later windows to half of one that was too long.
    pub fn learn_too_long(&mut self, window: Window) {
        self.longest_days = (window.days() / 2).clamp(1, self.longest_days);
    }
}

#[cfg(test)]
mod tests {
    use crate::read::density::*;

    fn window(days: u64) -> Window {
        let start = chrono::NaiveDate::default();
        Window { start, end: start + chrono::Days::new(days - 1) }
    }

    #[test]
    fn windows_grow_with_the_measured_density_and_stay_below_the_cap() {
        let mut density = Density::new(None, 300);
        assert_eq!(density.window_days(100_000), 31);
        density.learn(window(31), 3_100, 1_000_000);
        assert_eq!(density.window_days(100_000), 124);
        density.learn(window(124), 12_400, 4_000_000);
        assert_eq!(density.window_days(100_000), 366);
        density.learn(window(100), 1_000_000, 4_000_000);
        assert_eq!(density.window_days(100_000), 6, "60 % of the cap, since there were more rows than estimated");
        density.learn(window(1), 10_000, 8 * 1024 * 1024);
        assert_eq!(density.window_days(100_000), 3, "25 MiB");
        density.learn(window(1), 1_000_000, 1);
        assert_eq!(density.window_days(100_000), 1);
    }

    #[test]
    fn windows_fill_the_cap_if_days_are_alike() {
        let mut density = Density::new(Some(1_000.0), 1);
        let mut days = Vec::new();
        for _ in 0..6 {
            days.push(density.window_days(100_000));
            density.learn(window(50), 50_000, 50_000);
        }
        assert_eq!(days, [60, 72, 80, 84, 87, 88]);
    }

    #[test]
    fn a_saved_density_reserves_memory_and_limits_bytes() {
        let density = Density::new(Some(10_000.0), 800);
        assert_eq!(density.window_days(100_000), 3, "25 MiB");
        assert_eq!(density.expected_bytes(window(3)), 30_000_000);
    }

    #[test]
    fn a_rejected_window_length_is_not_planned_again() {
        let mut density = Density::new(Some(10.0), 300);
        density.learn_too_long(window(200));
        assert_eq!(density.window_days(100_000), 100);
    }
}
