//! The call budget of the whole program, and its only sleeper.
//!
//! Criteo allows an app with client credentials 250 calls a minute, and 40 of them to reports; an app of the type
//! "authorization code" has 10 a minute for each account, in one pool (developers.criteo.com, Rate limits). The budget
//! is a rolling minute in which bursts are allowed. The server's own figures correct it: `x-ratelimit-limit` up and
//! down, `x-ratelimit-remaining` where other programs spend from the same budget.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::watchdog;

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
    /// `x-ratelimit-remaining`: how many of them are left.
    pub remaining: Option<usize>,
    /// The time to `x-ratelimit-reset`, by the server's own clock.
    pub until_reset: Option<Duration>,
}

/// A place in the budget is free again a minute after it was taken, and a second later for good measure: the server is taken to
/// count from a call's arrival.
const WINDOW: Duration = Duration::from_secs(61);
/// Waits from this length on are announced.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Told of a wait for the budget: how long it will take.
pub type OnWait = Box<dyn Fn(Duration) + Send + Sync>;

/// The budgets of both classes, which may be one.
pub(super) struct Pace {
    lanes: Vec<Lane>,
    on_wait: OnWait,
    /// Until when the last wait that was announced takes: many calls wait for the same instant.
    announced: Mutex<Option<Instant>>,
}

struct Lane {
    budget: Mutex<Budget>,
    places: Semaphore,
}

#[derive(Debug)]
struct Budget {
    limit: usize,
    is_told: bool,
    /// When the calls of the last minute were admitted.
    calls: VecDeque<Instant>,
    /// How many calls others have made, and when those are forgotten.
    foreign: Option<(usize, Instant)>,
    /// No call before this instant: the server has asked for a pause.
    not_before: Option<Instant>,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, is_told: false, calls: VecDeque::new(), foreign: None, not_before: None }
    }

    fn forget(&mut self, now: Instant) {
        while self.calls.front().is_some_and(|call| now.duration_since(*call) >= WINDOW) {
            self.calls.pop_front();
        }
        self.foreign = self.foreign.filter(|(_, until)| *until > now);
    }

    /// How long to wait before a place may be free; `None` when there is one.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.forget(now);
        let spent = self.calls.len() + self.foreign.map_or(0, |(count, _)| count);
        let free_at = (spent >= self.limit).then(|| {
            let own = self.calls.front().map(|call| *call + WINDOW);
            own.into_iter().chain(self.foreign.map(|(_, until)| until)).min().unwrap_or(now)
        });
        let instant = self.not_before.into_iter().chain(free_at).max().filter(|instant| *instant > now);
        instant.map(|instant| instant - now)
    }

    /// Takes a place, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let is_free = self.wait(now).is_none();
        if is_free {
            self.calls.push_back(now);
        }
        is_free
    }

    fn learn(&mut self, seen: &RateLimit, now: Instant) {
        let Some(limit) = seen.limit.filter(|limit| *limit > 0) else { return };
        (self.limit, self.is_told) = (limit, true);
        self.forget(now);
        if let Some(remaining) = seen.remaining {
            // Calls that the server does not know of yet are counted as known: that errs towards our own count.
            let foreign = limit.saturating_sub(remaining).saturating_sub(self.calls.len());
            let until = now + seen.until_reset.unwrap_or(WINDOW).min(WINDOW);
            self.foreign = (foreign > 0).then_some((foreign, until));
        }
    }
}

impl Pace {
    /// The documented budgets: two of fixed size, or one pool for apps of users, with so many calls of each class under way
    /// at once. Waits that take long are told to `on_wait`.
    pub(super) fn new(is_pooled: bool, calls_at_once: usize, on_wait: OnWait) -> Self {
        let limits: &[usize] = if is_pooled { &[10] } else { &[40, 250] };
        let lane =
            |limit: &usize| Lane { budget: Mutex::new(Budget::new(*limit)), places: Semaphore::new(calls_at_once) };
        Self { lanes: limits.iter().map(lane).collect(), on_wait, announced: Mutex::default() }
    }

    /// Takes a place among the calls under way; it is free again when the permit is dropped.
    pub(super) async fn place(&self, class: CallClass) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.lane(class).places.acquire().await.ok()
    }

    /// Waits until a call of this class may perhaps be sent.
    pub(super) async fn wait(&self, class: CallClass) {
        loop {
            let wait = self.budget(class).wait(Instant::now());
            match wait {
                Some(wait) => self.sleep_long(wait).await,
                None => return,
            }
        }
    }

    /// Pays for a call; `false` when another was quicker.
    pub(super) fn take(&self, class: CallClass) -> bool {
        self.budget(class).take(Instant::now())
    }

    /// Follows the server's own figures.
    pub(super) fn learn(&self, class: CallClass, seen: &RateLimit) {
        self.budget(class).learn(seen, Instant::now());
    }

    /// Follows the number of accounts that a pool is for, until the server names its limit itself.
    pub(super) fn learn_accounts(&self, accounts: usize) {
        if let [pool] = &self.lanes[..] {
            let mut budget = lock(pool);
            if !budget.is_told {
                budget.limit = 10 * accounts.max(1);
            }
        }
    }

    /// Waits as the server has asked, and holds all calls of this class back meanwhile.
    pub(super) async fn pause(&self, class: CallClass, wait: Duration) {
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

    fn lane(&self, class: CallClass) -> &Lane {
        let last = self.lanes.len() - 1;
        &self.lanes[if class == CallClass::Report { 0 } else { last }]
    }

    fn budget(&self, class: CallClass) -> MutexGuard<'_, Budget> {
        lock(self.lane(class))
    }
}

fn lock(lane: &Lane) -> MutexGuard<'_, Budget> {
    lane.budget.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits; for callers that wait on behalf of one call alone.
pub(super) async fn sleep(wait: Duration) {
    let _limit = watchdog::limit();
    idle(wait).await;
}

/// Lets time pass in which nobody waits for a limit.
#[expect(clippy::disallowed_methods, reason = "this module is the one place that may sleep")]
pub(crate) async fn idle(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(false, 8, Box::new(|_| ()))
    }

    fn seen(limit: usize, remaining: Option<usize>, reset: u64) -> RateLimit {
        RateLimit { limit: Some(limit), remaining, until_reset: Some(Duration::from_secs(reset)) }
    }

    async fn admit(pace: &Pace, calls: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            pace.wait(CallClass::Report).await;
            assert!(pace.take(CallClass::Report));
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn forty_reports_go_at_once_and_the_next_after_a_minute() {
        let pace = pace();
        assert_eq!(admit(&pace, 40).await, Duration::ZERO);
        assert_eq!(admit(&pace, 1).await, WINDOW);
        let start = Instant::now();
        pace.wait(CallClass::Other).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_server() {
        let pace = pace();
        pace.learn(CallClass::Report, &seen(1000, None, 0));
        assert_eq!(admit(&pace, 1000).await, Duration::ZERO);
        pace.learn(CallClass::Report, &seen(10, None, 0));
        assert_eq!(admit(&pace, 1).await, WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_other_programs_are_left_room_for_until_the_reset() {
        let pace = pace();
        assert_eq!(admit(&pace, 1).await, Duration::ZERO);
        pace.learn(CallClass::Report, &seen(40, Some(9), 20));
        assert_eq!(admit(&pace, 9).await, Duration::ZERO);
        assert_eq!(admit(&pace, 1).await, Duration::from_secs(20));
        assert_eq!(admit(&pace, 29).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn apps_of_users_have_one_pool_that_grows_with_their_accounts() {
        let pace = Pace::new(true, 8, Box::new(|_| ()));
        assert_eq!(admit(&pace, 10).await, Duration::ZERO);
        pace.learn_accounts(3);
        assert_eq!(admit(&pace, 20).await, Duration::ZERO);
        let start = Instant::now();
        pace.wait(CallClass::Other).await;
        assert_eq!(start.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_all_calls_of_its_class_back_and_is_announced() {
        let waits = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&waits);
        let pace = Pace::new(false, 8, Box::new(move |wait| heard.lock().unwrap().push(wait)));
        let start = Instant::now();
        pace.pause(CallClass::Report, Duration::from_secs(3)).await;
        assert!(waits.lock().unwrap().is_empty());
        tokio::join!(pace.pause(CallClass::Report, Duration::from_secs(7)), admit(&pace, 1));
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7)], "once for all that wait");
    }
}
