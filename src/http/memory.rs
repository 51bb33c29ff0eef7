//! The memory budget that all bodies in flight share, and the lock order.
//!
//! # Order of acquisition
//!
//! A task that holds one of these may wait for those below it, never for one above it:
//!
//! 1. a list that other streams depend on (`list::Parents`), the advertisers that still consent (`ReadContext::consenting`);
//! 2. the totals of a time zone, currency and period (`totals::Page`);
//! 3. a place for the file of a job (`ReadContext::files`);
//! 4. a slot for a concurrent call (`RateLimiter::slot`);
//! 5. the call budget (`RateLimiter::wait`): waited for with a slot, never with memory;
//! 6. memory: [`Memory::Rows`] for rows and objects, [`Memory::Shared`] for totals and advertisers;
//! 7. the token (`Auth`), and with it the exclusive use of a refresh token;
//! 8. memory for the token endpoint's response, which is always free: there is one renewal at a time.
//!
//! Below all of them are the network and the reader of stdout. Every network wait has a time limit, and the writer
//! thread needs none of the above, so each reservation is released eventually. A body is passed to that thread or
//! dropped before its owner acquires anything again. States carry no body and need no memory from this budget.
//!
//! Futures that hold any of these are polled to completion: nothing awaits between two results of a `FuturesUnordered`
//! whose other futures may hold a lock.
//!
//! # Waits for memory end
//!
//! A download reserves what it expects to need before it is sent, while it holds nothing. Reservations are served in
//! order, so that small ones cannot starve a large one. A download that outgrows its reservation takes what is free.
//! Only one at a time may wait for more, ahead of all reservations; the others give up and are sent again with a larger
//! reservation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Memory for all bodies in flight. A report at the row limit with twenty columns takes about 60 MiB.
pub const MEMORY_MIB: usize = 64;

/// Memory for responses that others wait for: totals, and the list of advertisers. Totals have at most 60,000 rows of a
/// hundred bytes; larger ones are requested in pieces.
const SHARED_MIB: usize = 16;

/// Memory for the token endpoint's response.
pub(crate) const TOKEN_MIB: usize = 1;

/// The memory budget for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// For rows and objects, which are kept until they are written.
    Rows,
    /// For totals and the list of advertisers, which others wait for while rows may fill the main budget.
    Shared,
}

#[derive(Debug)]
pub(crate) struct MemoryBudgets {
    rows: Arc<MemoryBudget>,
    shared: Arc<MemoryBudget>,
    token: Arc<MemoryBudget>,
}

impl MemoryBudgets {
    pub(crate) fn new() -> Self {
        Self {
            rows: MemoryBudget::new(MEMORY_MIB),
            shared: MemoryBudget::new(SHARED_MIB),
            token: MemoryBudget::new(TOKEN_MIB),
        }
    }

    pub(crate) fn of(&self, memory: Memory) -> &Arc<MemoryBudget> {
        match memory {
            Memory::Rows => &self.rows,
            Memory::Shared => &self.shared,
        }
    }

    pub(crate) fn of_token(&self) -> &Arc<MemoryBudget> {
        &self.token
    }
}

/// A memory budget in MiB.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    mib: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Whether a share may wait for more while it holds some.
    has_grower: bool,
    /// Whether that share is waiting now.
    is_grower_waiting: bool,
    /// Tickets that wait for a reservation, in order.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

/// A place in the queue, released on drop.
struct Ticket<'a> {
    budget: &'a MemoryBudget,
    number: u64,
}

/// A reserved part of a budget, released on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<MemoryBudget>,
    mib: usize,
    is_grower: bool,
}

/// There is no room to grow, and another share is already waiting for some.
#[derive(Debug)]
pub(crate) struct Exhausted;

impl MemoryBudget {
    fn new(mib: usize) -> Arc<Self> {
        let state =
            State { free: mib, has_grower: false, is_grower_waiting: false, queue: VecDeque::new(), next_ticket: 0 };
        Arc::new(Self { mib, state: Mutex::new(state), changed: Notify::new() })
    }

    pub(crate) fn mib(&self) -> usize {
        self.mib
    }

    /// Reserves `mib`, at least one and at most the total, after all earlier requests.
    pub(crate) async fn reserve(self: &Arc<Self>, mib: usize) -> Reservation {
        let mib = mib.clamp(1, self.mib);
        let ticket = Ticket::draw(self);
        self.until(|state| {
            let is_next = state.queue.front() == Some(&ticket.number) && !state.is_grower_waiting;
            is_next && state.take(mib)
        })
        .await;
        Reservation { budget: Arc::clone(self), mib, is_grower: false }
    }

    /// Retries `attempt` after every change until it succeeds.
    async fn until(&self, mut attempt: impl FnMut(&mut State) -> bool) {
        loop {
            // Registered before the attempt, so that no later change is missed.
            let changed = self.changed.notified();
            if attempt(&mut self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, mib: usize) -> bool {
        let fits = self.free >= mib;
        if fits {
            self.free -= mib;
        }
        fits
    }
}

impl<'a> Ticket<'a> {
    fn draw(budget: &'a MemoryBudget) -> Self {
        let mut state = budget.state();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(number);
        Self { budget, number }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.budget.state().queue.retain(|number| *number != self.number);
        self.budget.changed.notify_waiters();
    }
}

impl Reservation {
    pub(crate) fn mib(&self) -> usize {
        self.mib
    }

    /// The largest possible size in MiB.
    pub(crate) fn most_mib(&self) -> usize {
        self.budget.mib
    }

    /// Marks the download as complete: it no longer grows, so another may wait.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.is_grower) {
            let mut state = self.budget.state();
            (state.has_grower, state.is_grower_waiting) = (false, false);
        }
    }

    /// Grows by one MiB, waiting if necessary.
    pub(crate) async fn grow(&mut self) -> Result<(), Exhausted> {
        {
            let mut state = self.budget.state();
            if state.take(1) {
                self.mib += 1;
                return Ok(());
            }
            if state.has_grower && !self.is_grower {
                return Err(Exhausted);
            }
            (state.has_grower, state.is_grower_waiting, self.is_grower) = (true, true, true);
        }
        self.budget
            .until(|state| {
                let has_grown = state.take(1);
                state.is_grower_waiting = !has_grown;
                has_grown
            })
            .await;
        self.mib += 1;
        // Wakes the reservations that were held back.
        self.budget.changed.notify_waiters();
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle();
        self.budget.state().free += self.mib;
        self.budget.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use crate::http::memory::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn one_download_waits_for_memory_and_the_next_gives_up() {
        let budget = MemoryBudget::new(MEMORY_MIB);
        let mut first = budget.reserve(MEMORY_MIB / 2).await;
        let mut second = budget.reserve(MEMORY_MIB / 2).await;
        let growing = tokio::spawn(async move {
            first.grow().await.unwrap();
            first.mib()
        });
        tokio::task::yield_now().await;
        assert!(second.grow().await.is_err());
        assert!(!growing.is_finished());
        drop(second);
        assert_eq!(growing.await.unwrap(), MEMORY_MIB / 2 + 1);
        assert_eq!(budget.reserve(MEMORY_MIB).await.mib(), MEMORY_MIB);
    }

    #[tokio::test]
    async fn reservations_are_served_in_order_and_a_canceled_one_blocks_nothing() {
        let budget = MemoryBudget::new(4);
        let held = budget.reserve(2).await;
        let mut large = Box::pin(budget.reserve(4));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(budget.reserve(1));
        assert!(small.as_mut().now_or_never().is_none(), "two are free, but the large one is first in line");
        drop(large);
        assert!(small.as_mut().now_or_never().is_some());
        drop((small, held));
        assert!(budget.reserve(4).now_or_never().is_some(), "everything was released");
    }

    #[tokio::test]
    async fn a_download_that_grows_goes_before_reservations() {
        let budget = MemoryBudget::new(4);
        let mut growing = budget.reserve(2).await;
        let (first, second) = (budget.reserve(1).await, budget.reserve(1).await);
        let mut waiting = Box::pin(budget.reserve(1));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut grown = Box::pin(growing.grow());
        assert!(grown.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(grown.as_mut().now_or_never().is_some_and(|grown| grown.is_ok()));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(second);
        assert!(waiting.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_download_that_ends_while_waiting_blocks_nothing() {
        let budget = MemoryBudget::new(2);
        let mut growing = budget.reserve(1).await;
        let held = budget.reserve(1).await;
        assert!(growing.grow().now_or_never().is_none());
        drop(growing);
        assert!(budget.reserve(1).now_or_never().is_some());
        drop(held);
    }
}
