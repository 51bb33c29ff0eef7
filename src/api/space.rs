//! The memory that all bodies in flight share, and the order in which a request takes what it needs.
//!
//! # Order of acquisition
//!
//! Whoever holds one of these may wait for those below it, and never for one above it:
//!
//! 1. a list that other streams are read for (`entity::Parents`), the advertisers that still consent (`Run::consenting`);
//! 2. the totals of a zone, currency and period (`totals::Page`);
//! 3. a place among the calls under way (`Pace::place`);
//! 4. the call budget (`Pace::wait`): waited for with a place, never with memory;
//! 5. memory: [`Memory::Answers`] for rows and objects, [`Memory::Apart`] for what steers a read;
//! 6. the token (`Auth`), and with it the turn of using a refresh token;
//! 7. memory for the answer of the token endpoint, which is never waited for: there is one renewal at a time.
//!
//! Below all of them are the network and the reader of stdout. Every wait for the network has a time limit, and the thread that
//! writes needs nothing of the above, so each share comes back. A body is handed to that thread or dropped before its
//! owner takes anything again. States carry no body, so they need no memory of this budget.
//!
//! Futures that hold any of these are polled until they end: nothing awaits between two answers of a `FuturesUnordered` whose
//! other futures may hold a lock.
//!
//! # Waits for memory end
//!
//! A download reserves what it expects to need before it is sent, while it holds nothing, and reservations are served in
//! the order in which they were asked for, so that small ones do not pass a large one for ever. A download that grows beyond
//! its reservation takes what is free. Only one of them at a time may wait for more, and it goes before all reservations;
//! the others give up and are sent again with a larger reservation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The memory for all bodies in flight. A report at the cap with twenty columns has some 60 MiB.
pub const SPACE_MIB: usize = 64;

/// The memory for answers that others wait for: totals, and the list of advertisers. Totals have at most 60,000 rows of a
/// hundred bytes; larger ones are asked for in pieces.
const APART_MIB: usize = 16;

/// The memory for the answer of the token endpoint.
pub(super) const TOKEN_MIB: usize = 1;

/// Which part of the memory an answer is received into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// That of rows and objects, which are kept until they are written.
    Answers,
    /// A part set apart for totals and the list of advertisers, which others wait for while rows may fill the rest.
    Apart,
}

/// The budgets of a client.
#[derive(Debug)]
pub(super) struct Spaces {
    answers: Arc<Space>,
    apart: Arc<Space>,
    token: Arc<Space>,
}

impl Spaces {
    pub(super) fn new() -> Self {
        Self { answers: Space::new(SPACE_MIB), apart: Space::new(APART_MIB), token: Space::new(TOKEN_MIB) }
    }

    /// The budget of a part of the memory.
    pub(super) fn of(&self, memory: Memory) -> &Arc<Space> {
        match memory {
            Memory::Answers => &self.answers,
            Memory::Apart => &self.apart,
        }
    }

    /// The budget of the token endpoint.
    pub(super) fn of_token(&self) -> &Arc<Space> {
        &self.token
    }
}

/// A budget.
#[derive(Debug)]
pub(super) struct Space {
    mib: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Whether some share may wait for more while it holds some.
    has_grower: bool,
    /// Whether that share waits at this moment.
    is_grower_waiting: bool,
    /// Those who wait for a reservation, in their order.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

/// A place in the queue; it is given back when it is dropped.
struct Ticket<'a> {
    space: &'a Space,
    number: u64,
}

/// A part of the budget; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    space: Arc<Space>,
    mib: usize,
    is_grower: bool,
}

/// There is no room to grow, and somebody else is waiting for some already.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Space {
    fn new(mib: usize) -> Arc<Self> {
        let state =
            State { free: mib, has_grower: false, is_grower_waiting: false, queue: VecDeque::new(), next_ticket: 0 };
        Arc::new(Self { mib, state: Mutex::new(state), changed: Notify::new() })
    }

    /// All of it, in MiB.
    pub(super) fn mib(&self) -> usize {
        self.mib
    }

    /// Waits for so many MiB, at least one and at most all, behind everybody who has asked before.
    pub(super) async fn reserve(self: &Arc<Self>, mib: usize) -> Share {
        let mib = mib.clamp(1, self.mib);
        let ticket = Ticket::draw(self);
        self.until(|state| {
            let is_next = state.queue.front() == Some(&ticket.number) && !state.is_grower_waiting;
            is_next && state.take(mib)
        })
        .await;
        Share { space: Arc::clone(self), mib, is_grower: false }
    }

    /// Tries whenever something has changed, until it works.
    async fn until(&self, mut attempt: impl FnMut(&mut State) -> bool) {
        loop {
            // Before the attempt, so that no change behind it is missed.
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
    fn draw(space: &'a Space) -> Self {
        let mut state = space.state();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(number);
        Self { space, number }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.space.state().queue.retain(|number| *number != self.number);
        self.space.changed.notify_waiters();
    }
}

impl Share {
    /// How many MiB it has.
    pub(super) fn mib(&self) -> usize {
        self.mib
    }

    /// How many it can have at the most.
    pub(super) fn most_mib(&self) -> usize {
        self.space.mib
    }

    /// The download is complete and will not grow any more: another may wait now.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_grower) {
            let mut state = self.space.state();
            (state.has_grower, state.is_grower_waiting) = (false, false);
        }
    }

    /// Grows by one MiB, if need be by waiting.
    pub(super) async fn grow(&mut self) -> Result<(), NoRoom> {
        {
            let mut state = self.space.state();
            if state.take(1) {
                self.mib += 1;
                return Ok(());
            }
            if state.has_grower && !self.is_grower {
                return Err(NoRoom);
            }
            (state.has_grower, state.is_grower_waiting, self.is_grower) = (true, true, true);
        }
        self.space
            .until(|state| {
                let has_grown = state.take(1);
                state.is_grower_waiting = !has_grown;
                has_grown
            })
            .await;
        self.mib += 1;
        // Reservations have stood back meanwhile.
        self.space.changed.notify_waiters();
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle();
        self.space.state().free += self.mib;
        self.space.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn one_may_wait_for_more_and_the_next_gives_up() {
        let space = Space::new(SPACE_MIB);
        let mut first = space.reserve(SPACE_MIB / 2).await;
        let mut second = space.reserve(SPACE_MIB / 2).await;
        let growing = tokio::spawn(async move {
            first.grow().await.unwrap();
            first.mib()
        });
        tokio::task::yield_now().await;
        assert!(second.grow().await.is_err());
        assert!(!growing.is_finished());
        drop(second);
        assert_eq!(growing.await.unwrap(), SPACE_MIB / 2 + 1);
        assert_eq!(space.reserve(SPACE_MIB).await.mib(), SPACE_MIB);
    }

    #[tokio::test]
    async fn reservations_are_served_in_their_order_and_one_that_is_given_up_holds_nobody_up() {
        let space = Space::new(4);
        let held = space.reserve(2).await;
        let mut large = Box::pin(space.reserve(4));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(space.reserve(1));
        assert!(small.as_mut().now_or_never().is_none(), "two are free, but the large one came first");
        drop(large);
        assert!(small.as_mut().now_or_never().is_some());
        drop((small, held));
        assert!(space.reserve(4).now_or_never().is_some(), "everything has come back");
    }

    #[tokio::test]
    async fn a_download_that_grows_goes_before_reservations() {
        let space = Space::new(4);
        let mut growing = space.reserve(2).await;
        let (first, second) = (space.reserve(1).await, space.reserve(1).await);
        let mut waiting = Box::pin(space.reserve(1));
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
    async fn a_download_that_ends_while_it_waits_for_more_holds_nobody_up() {
        let space = Space::new(2);
        let mut growing = space.reserve(1).await;
        let held = space.reserve(1).await;
        assert!(growing.grow().now_or_never().is_none());
        drop(growing);
        assert!(space.reserve(1).now_or_never().is_some());
        drop(held);
    }
}
