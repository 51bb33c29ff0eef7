//! What the headers of a response say: limits, waits, and the server's time.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::http::rate_limit::RateLimit;
use crate::support::clock;

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

pub(super) fn rate_limit(headers: &HeaderMap) -> RateLimit {
    RateLimit {
        limit: number(headers, "x-ratelimit-limit"),
        remaining: number(headers, "x-ratelimit-remaining"),
        until_reset: until_reset(headers),
    }
}

/// Any header values must be handled without panicking.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse_headers(headers: &HeaderMap) {
    let limiter = crate::http::rate_limit::RateLimiter::new(false, 8, Box::new(|_| {}));
    limiter.update_from(crate::http::rate_limit::CallClass::Report, &rate_limit(headers));
    assert!(retry_after(headers).is_none_or(|wait| !wait.is_zero()));
}

/// Time until `x-ratelimit-reset` (epoch seconds).
fn until_reset(headers: &HeaderMap) -> Option<Duration> {
    let reset = number::<i64>(headers, "x-ratelimit-reset")?.saturating_sub(server_now(headers));
    u64::try_from(reset).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// `Retry-After`: seconds, or an instant by the server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number::<i64>(headers, RETRY_AFTER.as_str()).or_else(|| {
        let instant = headers.get(RETRY_AFTER)?.to_str().ok()?;
        Some(DateTime::parse_from_rfc2822(instant).ok()?.timestamp().saturating_sub(server_now(headers)))
    });
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Plausible years of a `Date`. A clock that was never set says 1970, before the API existed.
const YEARS: std::ops::Range<i32> = 2020..2100;

/// The instant of a `Date` header, if it is plausible.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?.to_utc();
    YEARS.contains(&date.year()).then_some(date)
}

/// Epoch seconds by the server's `Date`, since our clock may be wrong.
fn server_now(headers: &HeaderMap) -> i64 {
    date(headers).map_or_else(clock::now_epoch_seconds, |date| date.timestamp())
}
