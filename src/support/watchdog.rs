//! Ends a run that makes no progress.
//!
//! Every wait should end: the network has time limits, and there is a lock order. If there is a bug in that, a run must
//! not hang silently. If nothing was sent, received or written for some minutes, and no task waits for a known limit,
//! the run ends with an error that lists what each task waits for.
//!
//! Known limits are pauses that Criteo requests, the call budget, retry backoff, and the reader of stdout: a slow
//! destination must not end a sync. The state is global to the process, since the writer thread and the requests wait
//! for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Cause, Error};
use crate::support::clock;

/// How long a run may make no progress. Longer than any single time limit: Criteo may take five minutes to start
/// responding.
pub const STALL_TIME: Duration = Duration::from_mins(10);
const CHECKS: u32 = 20;
const MAX_NAMED: usize = 10;

static WATCH: Watch = Watch::new();

struct Watch {
    moves: AtomicU64,
    limits: AtomicUsize,
    tasks: Mutex<Tasks>,
}

struct Tasks {
    next: u64,
    waiting: BTreeMap<u64, (String, &'static str)>,
}

impl Watch {
    const fn new() -> Self {
        let tasks = Tasks { next: 0, waiting: BTreeMap::new() };
        Self { moves: AtomicU64::new(0), limits: AtomicUsize::new(0), tasks: Mutex::new(tasks) }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&'static self) -> Limit {
        self.limits.fetch_add(1, Ordering::Relaxed);
        Limit(self)
    }

    fn task(&'static self, name: String) -> Task {
        let mut tasks = self.tasks();
        let number = tasks.next;
        tasks.next += 1;
        tasks.waiting.insert(number, (name, "its turn"));
        Task { watch: self, number }
    }

    /// Resolves after `stall_time` without progress. It counts checks, not time: a machine that was suspended has not
    /// stalled.
    async fn stalled(&self, stall_time: Duration) -> Error {
        let (mut idle_checks, mut seen) = (0, self.moves.load(Ordering::Relaxed));
        while idle_checks < CHECKS {
            clock::idle(stall_time / CHECKS).await;
            let moves = self.moves.load(Ordering::Relaxed);
            // guard: known-limits
            let is_idle = moves == seen && self.limits.load(Ordering::Relaxed) == 0;
            idle_checks = if is_idle { idle_checks + 1 } else { 0 };
            seen = moves;
        }
        Error::transient(format!(
            "Nothing was sent, received or written for {} s, so the sync stopped. Everything written so far is valid; \
             the next sync resumes from the last state. {}",
            stall_time.as_secs(),
            self.waits()
        ))
        .because(Cause::Stalled)
    }

    fn waits(&self) -> String {
        let mut counts: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
        for wait in self.tasks().waiting.values() {
            *counts.entry(wait.clone()).or_default() += 1;
        }
        if counts.is_empty() {
            return "No request was running.".to_owned();
        }
        let shown = counts.iter().take(MAX_NAMED).map(|((name, what), count)| match count {
            1 => format!("{name} waits for {what}"),
            count => format!("{name} waits for {what} ({count} times)"),
        });
        let more = counts.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("Running: {}{more}.", shown.collect::<Vec<_>>().join("; "))
    }
}

/// A wait for a known limit, until dropped.
pub(crate) struct Limit(&'static Watch);

impl Drop for Limit {
    fn drop(&mut self) {
        self.0.limits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A running task, until dropped.
pub(crate) struct Task {
    watch: &'static Watch,
    number: u64,
}

impl Task {
    pub(crate) fn waits_for(&self, what: &'static str) {
        if let Some((_, waits_for)) = self.watch.tasks().waiting.get_mut(&self.number) {
            *waits_for = what;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.watch.tasks().waiting.remove(&self.number);
    }
}

/// Records that something was sent, received or written.
pub(crate) fn moved() {
    WATCH.moves.fetch_add(1, Ordering::Relaxed);
}

/// Starts a wait for a known limit.
pub(crate) fn limit() -> Limit {
    WATCH.limit()
}

/// Starts a task that may wait; `name` appears in errors.
pub(crate) fn task(name: String) -> Task {
    WATCH.task(name)
}

/// Resolves, with the error to end the run with, after `stall_time` without progress.
pub(crate) async fn stalled(stall_time: Duration) -> Error {
    WATCH.stalled(stall_time).await
}

#[cfg(test)]
mod tests {
    use crate::support::watchdog::*;
    use tokio::time::{Instant, timeout};

    const SHORT: Duration = Duration::from_secs(20);

    fn watch() -> &'static Watch {
        Box::leak(Box::new(Watch::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_run_is_reported_with_what_each_task_waits_for() {
        let watch = watch();
        let tasks = [watch.task("statistics/report".into()), watch.task("statistics/report".into())];
        for task in &tasks {
            task.waits_for("the token");
        }
        let other = watch.task("ads/search".into());
        drop(watch.task("campaigns/search".into()));
        let started = Instant::now();
        let error = watch.stalled(SHORT).await;
        assert_eq!(started.elapsed(), SHORT);
        assert_eq!(error.cause, Some(Cause::Stalled));
        let words = "ads/search waits for its turn; statistics/report waits for the token (2 times).";
        assert!(error.message.ends_with(words), "{error}");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_and_known_limits_restart_the_stall_timer() {
        let watch = watch();
        let limit = watch.limit();
        assert!(timeout(10 * SHORT, watch.stalled(SHORT)).await.is_err());
        drop(limit);
        let moving = async {
            for _ in 0..10 {
                clock::idle(SHORT / 2).await;
                watch.moves.fetch_add(1, Ordering::Relaxed);
            }
            Instant::now()
        };
        let (last, _) = tokio::join!(moving, watch.stalled(SHORT));
        assert!(last.elapsed() >= SHORT, "{:?}", last.elapsed());
    }
}
