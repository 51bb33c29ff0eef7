//! The program's rate limiter, and the only place that sleeps.
//!
//! Criteo allows an app with client credentials 250 calls per minute, 40 of them to reports. An "authorization code"
//! app has one pool of 10 per minute and account (developers.criteo.com, Rate limits). The budget is a rolling minute
//! that allows bursts. The server's headers correct it: `x-ratelimit-limit` in both directions, `x-ratelimit-remaining`
//! when other programs use the same app.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::support::clock::idle;
use crate::support::watchdog;

/// The rate limit that a call counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallClass {
    /// Reports: 40 per minute.
    Report,
    /// Everything else: 250 per minute.
    Other,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateLimit {
    /// `x-ratelimit-limit`: calls per minute.
    pub limit: Option<usize>,
    /// `x-ratelimit-remaining`: how many of them are left.
    pub remaining: Option<usize>,
    /// Time until `x-ratelimit-reset`, by the server's own clock.
    pub until_reset: Option<Duration>,
}

/// A call counts for one minute, plus a second of margin: the server is assumed to count from a call's arrival.
const WINDOW: Duration = Duration::from_secs(61);
/// Waits at least this long are reported.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Callback for a long wait, with its duration.
pub type OnWait = Box<dyn Fn(Duration) + Send + Sync>;

/// The budgets of both classes, or their shared pool.
pub(crate) struct RateLimiter {
    buckets: Vec<Bucket>,
    on_wait: OnWait,
    /// End of the last reported wait, since many calls wait for the same instant.
    announced: Mutex<Option<Instant>>,
}

struct Bucket {
    budget: Mutex<Budget>,
    slots: Semaphore,
}

#[derive(Debug)]
struct Budget {
    limit: usize,
    is_reported: bool,
    /// When the calls of the last minute were admitted.
    calls: VecDeque<Instant>,
    /// Calls made by other programs, and when they stop counting.
    foreign: Option<(usize, Instant)>,
    /// No calls before this instant: the server requested a pause.
    not_before: Option<Instant>,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, is_reported: false, calls: VecDeque::new(), foreign: None, not_before: None }
    }

    fn forget(&mut self, now: Instant) {
        while self.calls.front().is_some_and(|call| now.duration_since(*call) >= WINDOW) {
            self.calls.pop_front();
        }
        self.foreign = self.foreign.filter(|(_, until)| *until > now);
    }

    /// How long until a call may be possible; `None` if one is possible now.
    fn time_until_free(&mut self, now: Instant) -> Option<Duration> {
        self.forget(now);
        let spent = self.calls.len() + self.foreign.map_or(0, |(count, _)| count);
        let free_at = (spent >= self.limit).then(|| {
            let own = self.calls.front().map(|call| *call + WINDOW);
            own.into_iter().chain(self.foreign.map(|(_, until)| until)).min().unwrap_or(now)
        });
        let instant = self.not_before.into_iter().chain(free_at).max().filter(|instant| *instant > now);
        instant.map(|instant| instant - now)
    }

    /// Records a call if the budget allows one.
    fn take(&mut self, now: Instant) -> bool {
        let is_free = self.time_until_free(now).is_none();
        if is_free {
            self.calls.push_back(now);
        }
        is_free
    }

    fn update_from(&mut self, seen: &RateLimit, now: Instant) {
        let Some(limit) = seen.limit.filter(|limit| *limit > 0) else { return };
        (self.limit, self.is_reported) = (limit, true);
        self.forget(now);
        if let Some(remaining) = seen.remaining {
            // Our calls still on their way are treated as counted by the server, which underestimates other programs'
            // calls.
            let foreign = limit.saturating_sub(remaining).saturating_sub(self.calls.len());
            let until = now + seen.until_reset.unwrap_or(WINDOW).min(WINDOW);
            self.foreign = (foreign > 0).then_some((foreign, until));
        }
    }
}

impl RateLimiter {
    /// The documented budgets: two fixed ones, or one pool for "authorization code" apps, with at most `calls_at_once`
    /// concurrent calls in each. `on_wait` gets long waits.
    pub(crate) fn new(is_pooled: bool, calls_at_once: usize, on_wait: OnWait) -> Self {
        let limits: &[usize] = if is_pooled { &[10] } else { &[40, 250] };
        let bucket =
            |limit: &usize| Bucket { budget: Mutex::new(Budget::new(*limit)), slots: Semaphore::new(calls_at_once) };
        Self { buckets: limits.iter().map(bucket).collect(), on_wait, announced: Mutex::default() }
    }

    /// Acquires a slot for a concurrent call, released when the permit is dropped.
    pub(crate) async fn slot(&self, class: CallClass) -> Option<SemaphorePermit<'_>> {
        // Never fails: the semaphore is not closed.
        self.bucket(class).slots.acquire().await.ok()
    }

    /// Waits until a call of this class may be possible.
    pub(crate) async fn wait(&self, class: CallClass) {
        loop {
            let wait = self.budget(class).time_until_free(Instant::now());
            match wait {
                Some(wait) => self.sleep_long(wait).await,
                None => return,
            }
        }
    }

    /// Records a call; `false` if another call was faster.
    pub(crate) fn take(&self, class: CallClass) -> bool {
        self.budget(class).take(Instant::now())
    }

    pub(crate) fn update_from(&self, class: CallClass, seen: &RateLimit) {
        self.budget(class).update_from(seen, Instant::now());
    }

    /// Sizes a pool by its number of accounts, until the server states a limit.
    pub(crate) fn learn_accounts(&self, accounts: usize) {
        if let [pool] = &self.buckets[..] {
            let mut budget = lock(pool);
            if !budget.is_reported {
                budget.limit = 10 * accounts.max(1);
            }
        }
    }

    /// Waits as the server requested, and blocks all calls of this class in the meantime.
    pub(crate) async fn pause(&self, class: CallClass, wait: Duration) {
        let until = Instant::now() + wait;
        {
            let mut budget = self.budget(class);
            budget.not_before = budget.not_before.max(Some(until));
        }
        self.sleep_long(wait).await;
    }

    async fn sleep_long(&self, wait: Duration) {
        let until = Instant::now() + wait;
        {
            let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            let is_news = announced.is_none_or(|announced| until > announced + Duration::from_secs(2));
            if wait >= LONG_WAIT && is_news {
                *announced = Some(until);
                (self.on_wait)(wait);
            }
        }
        sleep(wait).await;
    }

    fn bucket(&self, class: CallClass) -> &Bucket {
        let last = self.buckets.len() - 1;
        &self.buckets[if class == CallClass::Report { 0 } else { last }]
    }

    fn budget(&self, class: CallClass) -> MutexGuard<'_, Budget> {
        lock(self.bucket(class))
    }
}

fn lock(bucket: &Bucket) -> MutexGuard<'_, Budget> {
    bucket.budget.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on behalf of a single call.
pub(crate) async fn sleep(wait: Duration) {
    let _limit = watchdog::limit();
    idle(wait).await;
}

#[cfg(test)]
mod tests {
    use crate::http::rate_limit::*;

    fn limiter() -> RateLimiter {
        RateLimiter::new(false, 8, Box::new(|_| ()))
    }

    fn seen(limit: usize, remaining: Option<usize>, reset: u64) -> RateLimit {
        RateLimit { limit: Some(limit), remaining, until_reset: Some(Duration::from_secs(reset)) }
    }

    async fn admit(limiter: &RateLimiter, calls: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            limiter.wait(CallClass::Report).await;
            assert!(limiter.take(CallClass::Report));
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn forty_reports_are_sent_immediately_and_the_next_after_a_minute() {
        let limiter = limiter();
        assert_eq!(admit(&limiter, 40).await, Duration::ZERO);
        assert_eq!(admit(&limiter, 1).await, WINDOW);
        let start = Instant::now();
        limiter.wait(CallClass::Other).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_server() {
        let limiter = limiter();
        limiter.update_from(CallClass::Report, &seen(1000, None, 0));
        assert_eq!(admit(&limiter, 1000).await, Duration::ZERO);
        limiter.update_from(CallClass::Report, &seen(10, None, 0));
        assert_eq!(admit(&limiter, 1).await, WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn other_programs_requests_reserve_room_until_the_reset() {
        let limiter = limiter();
        assert_eq!(admit(&limiter, 1).await, Duration::ZERO);
        limiter.update_from(CallClass::Report, &seen(40, Some(9), 20));
        assert_eq!(admit(&limiter, 9).await, Duration::ZERO);
        assert_eq!(admit(&limiter, 1).await, Duration::from_secs(20));
        assert_eq!(admit(&limiter, 29).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn authorization_code_apps_have_one_pool_that_grows_with_their_accounts() {
        let limiter = RateLimiter::new(true, 8, Box::new(|_| ()));
        assert_eq!(admit(&limiter, 10).await, Duration::ZERO);
        limiter.learn_accounts(3);
        assert_eq!(admit(&limiter, 20).await, Duration::ZERO);
        let start = Instant::now();
        limiter.wait(CallClass::Other).await;
        assert_eq!(start.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_delays_all_requests_of_its_class_and_is_announced() {
        let waits = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&waits);
        let limiter = RateLimiter::new(false, 8, Box::new(move |wait| heard.lock().unwrap().push(wait)));
        let start = Instant::now();
        limiter.pause(CallClass::Report, Duration::from_secs(3)).await;
        assert!(waits.lock().unwrap().is_empty());
        tokio::join!(limiter.pause(CallClass::Report, Duration::from_secs(7)), admit(&limiter, 1));
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7)], "reported once for all waiting calls");
    }
}
