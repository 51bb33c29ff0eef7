//! Why a run ends before it is done, and how everybody learns of it.

use std::sync::Arc;

use tokio::sync::watch;

/// What ends a run early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A signal, by its number.
    Signal(i32),
    /// Whoever read stdout has gone.
    ReaderGone,
    /// Nothing moves any more.
    Stalled,
    /// The thread that writes has met a fault of its own.
    Panicked,
    /// Stdout cannot be written, for another reason.
    OutputFailed(String),
}

/// Tells that the run must stop; the first reason counts.
#[derive(Debug, Clone)]
pub struct StopSender(Arc<watch::Sender<Option<Stop>>>);

impl StopSender {
    /// A sender, and a receiver that waits for it.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Option<Stop>>) {
        let (sender, receiver) = watch::channel(None);
        (Self(Arc::new(sender)), receiver)
    }

    /// Stops the run.
    pub fn send(&self, stop: Stop) {
        self.0.send_if_modified(|reason| {
            let is_first = reason.is_none();
            if is_first {
                *reason = Some(stop);
            }
            is_first
        });
    }

    /// Whether the run is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The first reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<Stop> {
        self.0.borrow().clone()
    }
}
