//! The only code that reads the current time.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

/// A clock whose date can be pinned, so that tests and demos are repeatable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    pinned: Option<DateTime<Utc>>,
    /// Added to this machine's time.
    correction: TimeDelta,
}

impl Clock {
    /// A clock stopped at `instant` (the hidden setting `now`).
    #[must_use]
    pub fn pinned(instant: DateTime<Utc>) -> Self {
        Self { pinned: Some(instant), ..Self::default() }
    }

    /// The same clock, moved by `difference`.
    #[must_use]
    pub fn corrected(self, difference: TimeDelta) -> Self {
        Self { correction: self.correction + difference, ..self }
    }

    /// The same clock, stopped now, so that the date does not change during a run.
    #[must_use]
    pub fn stopped(self) -> Self {
        Self { pinned: Some(self.now()), ..Self::default() }
    }

    /// The current instant, pinned or real.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        self.pinned.unwrap_or_else(real_now) + self.correction
    }

    /// The current date in `zone`.
    #[must_use]
    pub fn today(self, zone: Tz) -> NaiveDate {
        self.now().with_timezone(&zone).date_naive()
    }
}

/// Epoch milliseconds for `emitted_at`; never pinned, since a later read must carry a later time.
#[must_use]
pub fn now_millis() -> i64 {
    real_now().timestamp_millis()
}

/// The real time as a string, for `time_extracted`; never pinned, for the same reason.
#[must_use]
pub fn now_text() -> String {
    real_now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Epoch seconds, to interpret `x-ratelimit-reset` if the server sends no `Date`.
#[must_use]
pub fn now_epoch_seconds() -> i64 {
    real_now().timestamp()
}

#[expect(clippy::disallowed_methods, reason = "this module is the one place that may read the time")]
fn real_now() -> DateTime<Utc> {
    Utc::now()
}

/// Sleeps without registering a known limit with the watchdog.
#[expect(clippy::disallowed_methods, reason = "this module is the one place that may sleep")]
pub(crate) async fn idle(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use crate::support::clock::*;

    #[test]
    fn a_clock_correction_moves_the_day_once() {
        let clock = Clock::pinned("2026-11-01T23:58:00Z".parse().unwrap()).corrected(TimeDelta::minutes(5));
        assert_eq!(clock.today(Tz::UTC).to_string(), "2026-11-02");
        assert_eq!(clock.stopped().now(), clock.now());
    }
}
