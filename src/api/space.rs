//! The memory that all bodies in flight share.
//!
//! A download reserves what it expects to need before it is sent, while it holds nothing. One that grows beyond that
//! takes what is free, and only one of them at a time may wait for more; the others give up and are sent again with a
//! larger reservation. So whoever holds memory never waits for another who waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The memory for all bodies in flight. A report at the cap with twenty columns has some 60 MiB, and the whole process
/// is to stay below 96 MiB.
pub const SPACE_MIB: usize = 68;

/// The budget.
#[derive(Debug)]
pub(super) struct Space {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Whether somebody waits for more while holding some.
    has_waiter: bool,
}

/// A part of the budget; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    space: Arc<Space>,
    mib: usize,
    is_waiter: bool,
}

/// There is no room to grow, and somebody else is waiting for some already.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Space {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: SPACE_MIB, has_waiter: false }), changed: Notify::new() })
    }

    /// Waits for so many MiB, at least one and at most all.
    pub(super) async fn reserve(self: &Arc<Self>, mib: usize) -> Share {
        let mib = mib.clamp(1, SPACE_MIB);
        self.take(mib).await;
        Share { space: Arc::clone(self), mib, is_waiter: false }
    }

    async fn take(&self, mib: usize) {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.free >= mib {
                    state.free -= mib;
                    return;
                }
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// How many MiB it has.
    pub(super) fn mib(&self) -> usize {
        self.mib
    }

    /// The download is complete and will not grow any more: another may wait now.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_waiter) {
            self.space.state().has_waiter = false;
        }
    }

    /// Grows by one MiB, if need be by waiting.
    pub(super) async fn grow(&mut self) -> Result<(), NoRoom> {
        {
            let mut state = self.space.state();
            if state.free == 0 && !self.is_waiter {
                if state.has_waiter {
                    return Err(NoRoom);
                }
                (state.has_waiter, self.is_waiter) = (true, true);
            }
        }
        self.space.take(1).await;
        self.mib += 1;
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

    #[tokio::test]
    async fn one_may_wait_for_more_and_the_next_gives_up() {
        let space = Space::new();
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
}
