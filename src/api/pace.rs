//! The call budget of the whole program, and its only sleeper.
//!
//! Criteo allows an app with client credentials 250 calls a minute, and 40 of them to reports
//! (developers.criteo.com, Rate limits). The budget is a rolling window of 60 seconds in which bursts are allowed;
//! the limit follows `x-ratelimit-limit` up and down.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Which budget a call is paid from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallClass {
    /// Reports: 40 a minute.
    Report,
    /// Everything else: 250 a minute.
    Other,
}

/// What an answer says about the budget.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateLimit {
    /// `x-ratelimit-limit`: calls a minute.
    pub limit: Option<usize>,
}

const WINDOW: Duration = Duration::from_mins(1);

/// Both budgets.
#[derive(Debug)]
pub(super) struct Pace {
    reports: Mutex<Budget>,
    others: Mutex<Budget>,
}

#[derive(Debug)]
struct Budget {
    limit: usize,
    /// When the calls of the last minute were admitted.
    calls: VecDeque<Instant>,
    /// No call before this instant: the server has asked for a pause.
    not_before: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { reports: Mutex::new(Budget::new(40)), others: Mutex::new(Budget::new(250)) }
    }
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, calls: VecDeque::new(), not_before: None }
    }

    /// Takes a place in the window, or says how long to wait before asking again.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        while self.calls.front().is_some_and(|call| now.duration_since(*call) >= WINDOW) {
            self.calls.pop_front();
        }
        let free_at = match self.calls.len().checked_sub(self.limit) {
            Some(surplus) => self.calls.get(surplus).map(|call| *call + WINDOW),
            None => None,
        };
        if let Some(instant) = self.not_before.into_iter().chain(free_at).max().filter(|instant| *instant > now) {
            Some(instant - now)
        } else {
            self.calls.push_back(now);
            None
        }
    }
}

impl Pace {
    /// Waits until a call of this class may be sent.
    pub(super) async fn admit(&self, class: CallClass) {
        while let Some(wait) = self.with(class, |budget| budget.take(Instant::now())) {
            sleep(wait).await;
        }
    }

    /// Follows the server's own figures.
    pub(super) fn learn(&self, class: CallClass, seen: &RateLimit) {
        if let Some(limit) = seen.limit.filter(|limit| *limit > 0) {
            self.with(class, |budget| budget.limit = limit);
        }
    }

    /// Waits, and holds all calls of this class back meanwhile.
    pub(super) async fn pause(&self, class: CallClass, wait: Duration) {
        let until = Instant::now() + wait;
        self.with(class, |budget| budget.not_before = budget.not_before.max(Some(until)));
        sleep(wait).await;
    }

    fn with<T>(&self, class: CallClass, work: impl FnOnce(&mut Budget) -> T) -> T {
        let budget = match class {
            CallClass::Report => &self.reports,
            CallClass::Other => &self.others,
        };
        work(&mut budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits; for callers that have no budget, such as the token endpoint.
#[expect(clippy::disallowed_methods, reason = "this module is the one place that may sleep")]
pub(super) async fn sleep(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn forty_reports_go_at_once_and_the_next_after_a_minute() {
        let pace = Pace::default();
        let start = Instant::now();
        for _ in 0..40 {
            pace.admit(CallClass::Report).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.admit(CallClass::Report).await;
        assert_eq!(start.elapsed(), WINDOW);
        pace.admit(CallClass::Other).await;
        assert_eq!(start.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_server() {
        let pace = Pace::default();
        let start = Instant::now();
        pace.learn(CallClass::Report, &RateLimit { limit: Some(1000) });
        for _ in 0..1000 {
            pace.admit(CallClass::Report).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.learn(CallClass::Report, &RateLimit { limit: Some(10) });
        pace.admit(CallClass::Report).await;
        assert_eq!(start.elapsed(), WINDOW);
    }
}
