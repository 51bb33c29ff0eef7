//! What is retried, how often and after how long.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::{Cause, Error, Result};

/// How persistently a run retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryProfile {
    /// An unattended sync: half a minute and more.
    Sync,
    /// A user waits for the result: a few seconds.
    Check,
}

impl RetryProfile {
    fn most_attempts(self) -> u32 {
        match self {
            Self::Sync => 6,
            Self::Check => 3,
        }
    }
}

/// Maximum attempts for slow or stalled responses, which cost minutes each: fewer if the caller can split the request.
const MAX_SLOW_ATTEMPTS: u32 = 3;
const MAX_SLOW_ATTEMPTS_OF_DIVISIBLE: u32 = 2;
/// Maximum attempts for a part of a request that failed.
const MAX_ATTEMPTS_OF_SUSPECT: u32 = 3;
/// Maximum single wait; longer waits fail with a transient error.
const MAX_WAIT_TIME: Duration = Duration::from_mins(30);

/// What all retries of a run may cost together, what one costs, and what a first attempt that succeeds gives back. As
/// in cloud SDKs' retry quotas: an outage must not cause a storm of calls from many streams.
const QUOTA: u32 = 500;
const COST: u32 = 5; // guard: retry-quota
const REWARD: u32 = 1;

/// The retry budget left, shared by all requests of a run.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    left: AtomicU32,
    profile: RetryProfile,
    backoff_percent: u32,
}

impl RetryBudget {
    /// `backoff_percent` shortens waits, for tests.
    pub(crate) fn new(profile: RetryProfile, backoff_percent: u32) -> Self {
        Self { left: AtomicU32::new(QUOTA), profile, backoff_percent }
    }

    /// The wait after attempt number `attempt`: it doubles every time, with full jitter.
    pub(crate) fn backoff(&self, first: Duration, attempt: u32) -> Duration {
        let longest = first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))).min(MAX_WAIT_TIME);
        longest.mul_f64(fastrand::f64() * f64::from(self.backoff_percent) / 100.0)
    }

    /// A fixed wait, shortened for tests.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        wait.mul_f64(f64::from(self.backoff_percent) / 100.0)
    }

    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(COST)).is_ok()
    }

    fn give(&self, amount: u32) {
        let more = |left: u32| Some((left + amount).min(QUOTA));
        // Never fails: the closure always returns a value.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// Permanent: reported immediately.
    Permanent(Error),
    Unauthorized(Error),
    Retryable {
        /// The error to report if it persists.
        error: Error,
        /// The wait that the server requested, or the first step of the backoff.
        wait: Wait,
        /// The response was too slow or stalled.
        is_slow: bool,
    },
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// Doubles every time, starting with this, with full jitter.
    Backoff(Duration),
    /// At least as long as the server requested; for this call only.
    Server(Duration),
    /// As long as the server requested, for all calls: the budget is used up.
    RateLimited(Duration),
}

impl Failure {
    /// A failure that may pass within seconds.
    pub(crate) fn retryable(error: Error) -> Self {
        Self::Retryable { error, wait: Wait::Backoff(Duration::from_secs(1)), is_slow: false }
    }
}

#[derive(Debug, Default)]
pub(crate) struct RetryState {
    count: u32,
    slow: u32,
    is_divisible: bool,
    is_suspect: bool,
    last_message: String,
}

impl RetryState {
    /// A fresh request; `is_divisible` and `is_suspect` as in [`Call`](crate::http::Call).
    pub(crate) fn new(is_divisible: bool, is_suspect: bool) -> Self {
        Self { is_divisible, is_suspect, ..Self::default() }
    }

    /// Records a failed attempt and returns the wait before the next one.
    ///
    /// # Errors
    /// The failure itself, if it is permanent, or if the attempts or the quota are used up.
    pub(crate) fn after(&mut self, failure: Failure, budget: &RetryBudget) -> Result<Duration> {
        let (error, wait, is_slow) = match failure {
            Failure::Permanent(error) | Failure::Unauthorized(error) => return Err(error),
            Failure::Retryable { error, wait, is_slow } => (error, wait, is_slow),
        };
        self.count += 1;
        self.slow += u32::from(is_slow);
        let most_slow = if self.is_divisible { MAX_SLOW_ATTEMPTS_OF_DIVISIBLE } else { MAX_SLOW_ATTEMPTS };
        let most = budget.profile.most_attempts().min(if self.is_suspect { MAX_ATTEMPTS_OF_SUSPECT } else { u32::MAX });
        if self.count >= most || self.slow >= most_slow {
            let cause = if self.slow >= most_slow { Cause::TooSlow } else { Cause::GaveUp };
            return Err(Error {
                message: format!("{} Gave up after {} attempts.", error.message, self.count),
                cause: error.cause.or(Some(cause)),
                ..error
            });
        }
        // Rate limit pauses cannot cause a storm, so they cost nothing.
        if !matches!(wait, Wait::RateLimited(_)) && !budget.take() {
            return Err(Error {
                message: format!(
                    "{} Too many requests failed in this run, so this one was not retried. The next sync resumes from \
                     the last state.",
                    error.message
                ),
                cause: Some(Cause::RetriesUsedUp),
                ..error
            });
        }
        self.last_message.clone_from(&error.message);
        match wait {
            Wait::Server(wait) | Wait::RateLimited(wait) if wait > MAX_WAIT_TIME => {
                Err(error.because(Cause::RetriesUsedUp))
            }
            Wait::Server(wait) | Wait::RateLimited(wait) => Ok(wait + Duration::from_millis(fastrand::u64(0..1000))),
            Wait::Backoff(first) => Ok(budget.backoff(first, self.count)),
        }
    }

    pub(crate) fn succeeded(&self, budget: &RetryBudget) {
        budget.give(if self.count == 0 { REWARD } else { COST });
    }

    /// The error message of the last failed attempt.
    pub(crate) fn last_message(&self) -> &str {
        &self.last_message
    }
}

#[cfg(test)]
mod tests {
    use crate::http::retry::*;

    #[test]
    fn temporary_failures_get_six_attempts_and_slow_ones_three() {
        for (is_slow, most) in [(false, 6), (true, 3)] {
            let (mut attempts, budget) = (RetryState::default(), RetryBudget::new(RetryProfile::Sync, 100));
            let mut tried = 1;
            let fail = || Failure::Retryable {
                error: Error::transient("down."),
                wait: Wait::Backoff(Duration::from_secs(1)),
                is_slow,
            };
            while let Ok(wait) = attempts.after(fail(), &budget) {
                assert!(wait <= Duration::from_secs(1 << (tried - 1)));
                tried += 1;
            }
            assert_eq!(tried, most);
        }
    }

    #[test]
    fn an_outage_exhausts_the_retry_quota_and_occasional_failures_do_not() {
        let fail = || Failure::retryable(Error::transient("down."));
        let budget = RetryBudget::new(RetryProfile::Sync, 100);
        let outage = (0..1000).filter(|_| RetryState::default().after(fail(), &budget).is_ok()).count();
        assert_eq!(outage, 100);
        let budget = RetryBudget::new(RetryProfile::Sync, 100);
        for request in 0..10_000 {
            let mut attempts = RetryState::default();
            if request % 4 == 0 {
                assert!(attempts.after(fail(), &budget).is_ok(), "{request}");
            }
            attempts.succeeded(&budget);
        }
    }

    #[test]
    fn retry_after_is_respected_up_to_half_an_hour() {
        let ask = |seconds| {
            let wait = Wait::Server(Duration::from_secs(seconds));
            let failure = Failure::Retryable { error: Error::transient("busy"), wait, is_slow: false };
            RetryState::default().after(failure, &RetryBudget::new(RetryProfile::Sync, 100))
        };
        assert!((7..=8).contains(&ask(7).unwrap().as_secs()));
        assert!(ask(1801).is_err());
    }
}
