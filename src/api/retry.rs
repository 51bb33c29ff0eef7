//! What is retried, how often and after how long.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::{Cause, Error, Result};

/// How persistently a run retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// An unattended sync: half a minute and more.
    Sync,
    /// A user waits for the result: a few seconds.
    Check,
}

impl Patience {
    fn most_attempts(self) -> u32 {
        match self {
            Self::Sync => 6,
            Self::Check => 3,
        }
    }
}

/// Maximum attempts for slow or stalled responses, which cost minutes each: fewer if the caller can split the request.
const MOST_SLOW_ATTEMPTS: u32 = 3;
const MOST_SLOW_ATTEMPTS_OF_DIVISIBLE: u32 = 2;
/// Maximum attempts for a part of a request that failed.
const MOST_ATTEMPTS_OF_SUSPECT: u32 = 3;
/// Maximum single wait; longer waits fail with a transient error.
const LONGEST_WAIT: Duration = Duration::from_mins(30);

/// What all retries of a run may cost together, what one costs, and what a first attempt that succeeds gives back. As
/// in cloud SDKs' retry quotas: an outage must not cause a storm of calls from many streams.
const QUOTA: u32 = 500;
const COST: u32 = 5; // guard: retry-quota
const REWARD: u32 = 1;

/// The retry budget left, shared by all requests of a run.
#[derive(Debug)]
pub(super) struct Quota {
    left: AtomicU32,
    patience: Patience,
    backoff_percent: u32,
}

impl Quota {
    /// `backoff_percent` shortens waits, for tests.
    pub(super) fn new(patience: Patience, backoff_percent: u32) -> Self {
        Self { left: AtomicU32::new(QUOTA), patience, backoff_percent }
    }

    /// The wait after attempt number `attempt`: it doubles every time, with full jitter.
    pub(super) fn backoff(&self, first: Duration, attempt: u32) -> Duration {
        let longest = first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_WAIT);
        longest.mul_f64(fastrand::f64() * f64::from(self.backoff_percent) / 100.0)
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
pub(super) enum Failure {
    /// Permanent: reported immediately.
    Final(Error),
    Unauthorized(Error),
    Passing {
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
pub(super) enum Wait {
    /// Doubles every time, starting with this, with full jitter.
    Backoff(Duration),
    /// At least as long as the server requested; for this call only.
    Server(Duration),
    /// As long as the server requested, for all calls: the budget is used up.
    Everybody(Duration),
}

impl Failure {
    /// A failure that may pass within seconds.
    pub(super) fn passing(error: Error) -> Self {
        Self::Passing { error, wait: Wait::Backoff(Duration::from_secs(1)), is_slow: false }
    }
}

#[derive(Debug, Default)]
pub(super) struct Attempts {
    count: u32,
    slow: u32,
    is_divisible: bool,
    is_suspect: bool,
    last_message: String,
}

impl Attempts {
    /// A fresh request; `is_divisible` and `is_suspect` as in [`Call`](super::Call).
    pub(super) fn new(is_divisible: bool, is_suspect: bool) -> Self {
        Self { is_divisible, is_suspect, ..Self::default() }
    }

    /// Records a failed attempt and returns the wait before the next one.
    ///
    /// # Errors
    /// The failure itself, if it is permanent, or if the attempts or the quota are used up.
    pub(super) fn after(&mut self, failure: Failure, quota: &Quota) -> Result<Duration> {
        let (error, wait, is_slow) = match failure {
            Failure::Final(error) | Failure::Unauthorized(error) => return Err(error),
            Failure::Passing { error, wait, is_slow } => (error, wait, is_slow),
        };
        self.count += 1;
        self.slow += u32::from(is_slow);
        let most_slow = if self.is_divisible { MOST_SLOW_ATTEMPTS_OF_DIVISIBLE } else { MOST_SLOW_ATTEMPTS };
        let most =
            quota.patience.most_attempts().min(if self.is_suspect { MOST_ATTEMPTS_OF_SUSPECT } else { u32::MAX });
        if self.count >= most || self.slow >= most_slow {
            let cause = if self.slow >= most_slow { Cause::TooSlow } else { Cause::GaveUp };
            return Err(Error {
                message: format!("{} Gave up after {} attempts.", error.message, self.count),
                cause: error.cause.or(Some(cause)),
                ..error
            });
        }
        // Rate limit pauses cannot cause a storm, so they cost nothing.
        if !matches!(wait, Wait::Everybody(_)) && !quota.take() {
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
            Wait::Server(wait) | Wait::Everybody(wait) if wait > LONGEST_WAIT => {
                Err(error.because(Cause::RetriesUsedUp))
            }
            Wait::Server(wait) | Wait::Everybody(wait) => Ok(wait + Duration::from_millis(fastrand::u64(0..1000))),
            Wait::Backoff(first) => Ok(quota.backoff(first, self.count)),
        }
    }

    pub(super) fn succeeded(&self, quota: &Quota) {
        quota.give(if self.count == 0 { REWARD } else { COST });
    }

    /// The error message of the last failed attempt.
    pub(super) fn last_message(&self) -> &str {
        &self.last_message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_failure_is_tried_six_times_and_a_slow_one_three_times() {
        for (is_slow, most) in [(false, 6), (true, 3)] {
            let (mut attempts, quota) = (Attempts::default(), Quota::new(Patience::Sync, 100));
            let mut tried = 1;
            let fail = || Failure::Passing {
                error: Error::transient("down."),
                wait: Wait::Backoff(Duration::from_secs(1)),
                is_slow,
            };
            while let Ok(wait) = attempts.after(fail(), &quota) {
                assert!(wait <= Duration::from_secs(1 << (tried - 1)));
                tried += 1;
            }
            assert_eq!(tried, most);
        }
    }

    #[test]
    fn an_outage_is_no_storm_and_now_and_then_a_failure_is_always_forgiven() {
        let fail = || Failure::passing(Error::transient("down."));
        let quota = Quota::new(Patience::Sync, 100);
        let outage = (0..1000).filter(|_| Attempts::default().after(fail(), &quota).is_ok()).count();
        assert_eq!(outage, 100);
        let quota = Quota::new(Patience::Sync, 100);
        for request in 0..10_000 {
            let mut attempts = Attempts::default();
            if request % 4 == 0 {
                assert!(attempts.after(fail(), &quota).is_ok(), "{request}");
            }
            attempts.succeeded(&quota);
        }
    }

    #[test]
    fn the_server_is_obeyed_up_to_half_an_hour() {
        let ask = |seconds| {
            let wait = Wait::Server(Duration::from_secs(seconds));
            let failure = Failure::Passing { error: Error::transient("busy"), wait, is_slow: false };
            Attempts::default().after(failure, &Quota::new(Patience::Sync, 100))
        };
        assert!((7..=8).contains(&ask(7).unwrap().as_secs()));
        assert!(ask(1801).is_err());
    }
}
