//! Heartbeats of a waiting run.

use std::time::{Duration, Instant};

use crate::output::writer::Writer;
use crate::protocol::airbyte;
use crate::support::clock;

/// After this silence, a run logs that it is still running.
pub(crate) const MAX_SILENCE_TIME: Duration = Duration::from_secs(50);
/// Platforms end runs that send neither records nor states for long: a state is repeated after this time.
pub(crate) const MAX_STATELESS_TIME: Duration = Duration::from_mins(5);

impl Writer {
    pub(crate) fn still_alive(&mut self, now: Instant) {
        let open: Vec<_> =
            self.books.iter().filter(|book| book.is_under_way()).map(|book| &*book.stream.name).collect();
        if open.is_empty() {
            return;
        }
        let log = airbyte::log(tracing::Level::INFO, &format!("Still reading {}.", open.join(", ")));
        self.line(&log);
        if now.duration_since(self.beat) >= MAX_STATELESS_TIME {
            self.repeat_states();
        }
        self.flush();
    }

    pub(crate) fn waiting(&mut self, wait: Duration) {
        let reset = clock::now_millis() + i64::try_from(wait.as_millis()).unwrap_or(0);
        for index in 0..self.books.len() {
            let book = &self.books[index];
            if book.is_under_way() {
                let status = airbyte::rate_limited(&book.stream.name, reset);
                self.line(&status);
            }
        }
        let seconds = wait.as_secs();
        let text = format!("Rate limit reached; resuming in {seconds} s.");
        self.line(&airbyte::log(tracing::Level::INFO, &text));
        self.repeat_states();
        self.flush();
    }

    /// Repeats every open stream's last state, a heartbeat that platforms recognize.
    pub(crate) fn repeat_states(&mut self) {
        for index in 0..self.books.len() {
            let book = &mut self.books[index];
            let state = book.last_state.as_ref().or(book.first_state.as_ref());
            if let Some(state) = state.cloned().filter(|_| book.is_under_way() && !book.has_failed) {
                let message = self.protocol.state(book, &state);
                book.records_since_state = 0;
                self.line(&message);
                self.beat = Instant::now();
            }
        }
    }
}
