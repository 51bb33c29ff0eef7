//! Ends a run that no longer moves.
//!
//! Every wait of a run has an end: the network has time limits, and whoever holds something never waits for somebody who waits
//! for it. Where that turns out to be wrong, a run must not hang in silence. If nothing was sent, received or written for
//! some minutes, and nobody waits for a limit that is known, the run ends with an error that says what each task waits for.
//!
//! Known limits are the pauses that Criteo asks for, the call budget, the back-off between attempts, and the reader of stdout: a
//! slow destination must not end a sync. They are of the process, like everything here, since the thread that writes and
//! the requests wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api;
use crate::error::{Cause, Error};

/// How long nothing may move. Longer than any single time limit: Criteo may take five minutes to begin an answer.
pub const PATIENCE: Duration = Duration::from_mins(10);
/// How often it is looked in that time.
const LOOKS: u32 = 20;
/// How many tasks an error names.
const MOST_TOLD: usize = 10;

static WATCH: Watch = Watch::new();

/// What is known of the tasks of a run.
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

    /// Resolves when nothing has moved for so long. Looks are counted, not hours: a machine that was asleep has not stalled.
    async fn stalled(&self, patience: Duration) -> Error {
        let (mut still, mut seen) = (0, self.moves.load(Ordering::Relaxed));
        while still < LOOKS {
            api::idle(patience / LOOKS).await;
            let moves = self.moves.load(Ordering::Relaxed);
            // guard: known-limits
            let is_still = moves == seen && self.limits.load(Ordering::Relaxed) == 0;
            still = if is_still { still + 1 } else { 0 };
            seen = moves;
        }
        Error::transient(format!(
            "Nothing was sent, received or written for {} s, so the sync has ended itself. What was written is right, and the \
             next sync goes on from the last state. {}",
            patience.as_secs(),
            self.waits()
        ))
        .because(Cause::Stalled)
    }

    /// What the tasks wait for, in sentences.
    fn waits(&self) -> String {
        let mut counts: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
        for wait in self.tasks().waiting.values() {
            *counts.entry(wait.clone()).or_default() += 1;
        }
        if counts.is_empty() {
            return "No request was under way.".to_owned();
        }
        let shown = counts.iter().take(MOST_TOLD).map(|((name, what), count)| match count {
            1 => format!("{name} waits for {what}"),
            count => format!("{name} waits for {what} ({count} times)"),
        });
        let more = counts.len().saturating_sub(MOST_TOLD);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("Under way: {}{more}.", shown.collect::<Vec<_>>().join("; "))
    }
}

/// A wait for a limit that is known; it ends when this is dropped.
pub(crate) struct Limit(&'static Watch);

impl Drop for Limit {
    fn drop(&mut self) {
        self.0.limits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Something that is under way; it ends when this is dropped.
pub(crate) struct Task {
    watch: &'static Watch,
    number: u64,
}

impl Task {
    /// Says what it waits for from now on.
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

/// Something was sent, received or written.
pub(crate) fn moved() {
    WATCH.moves.fetch_add(1, Ordering::Relaxed);
}

/// Begins a wait for a limit that is known.
pub(crate) fn limit() -> Limit {
    WATCH.limit()
}

/// Begins something that may wait; `name` is told to people.
pub(crate) fn task(name: String) -> Task {
    WATCH.task(name)
}

/// Resolves, with the error to end the run with, when nothing has moved for so long.
pub(crate) async fn stalled(patience: Duration) -> Error {
    WATCH.stalled(patience).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    const SHORT: Duration = Duration::from_secs(20);

    fn watch() -> &'static Watch {
        Box::leak(Box::new(Watch::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_does_not_move_is_told_with_what_everybody_waits_for() {
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
    async fn whatever_moves_and_every_known_limit_begins_the_time_anew() {
        let watch = watch();
        let limit = watch.limit();
        assert!(timeout(10 * SHORT, watch.stalled(SHORT)).await.is_err());
        drop(limit);
        let moving = async {
            for _ in 0..10 {
                api::idle(SHORT / 2).await;
                watch.moves.fetch_add(1, Ordering::Relaxed);
            }
            Instant::now()
        };
        let (last, _) = tokio::join!(moving, watch.stalled(SHORT));
        assert!(last.elapsed() >= SHORT, "{:?}", last.elapsed());
    }
}
