//! Why a run ends early, and how its tasks learn of it.

use std::sync::Arc;

use tokio::sync::watch;

/// A reason to end a run early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A signal, by its number.
    Signal(i32),
    /// The reader of stdout is gone.
    ReaderGone,
    /// The run makes no progress.
    Stalled,
    /// The writer thread panicked.
    Panicked,
    /// Files cannot be read or written, which was reported after the last stream.
    Reported,
    /// Stdout cannot be written for another reason.
    OutputFailed(String),
}

/// Requests the run to stop; the first reason counts.
#[derive(Debug, Clone)]
pub struct StopSender(Arc<watch::Sender<Option<Stop>>>);

impl StopSender {
    /// A sender and its receiver.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Option<Stop>>) {
        let (sender, receiver) = watch::channel(None);
        (Self(Arc::new(sender)), receiver)
    }

    /// Requests a stop.
    pub fn send(&self, stop: Stop) {
        self.0.send_if_modified(|reason| {
            let is_first = reason.is_none();
            if is_first {
                *reason = Some(stop);
            }
            is_first
        });
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The first reason, if any.
    #[must_use]
    pub fn reason(&self) -> Option<Stop> {
        self.0.borrow().clone()
    }
}
