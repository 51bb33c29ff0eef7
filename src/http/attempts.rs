//! The attempts at one call: each waits for its place, takes one call from the budget and gets the current token.

use std::time::{Duration, Instant};

use crate::error::{Cause, Result};
use crate::http::memory::Reservation;
use crate::http::rate_limit::RateLimit;
use crate::http::retry::{Failure, RetryState, Wait};
use crate::http::token::Discarded;
use crate::http::{Call, CallStats, Client, request};
use crate::support::watchdog;

/// How many refused tokens one call accepts. It renews the token itself at most once.
const MAX_REFUSALS: u32 = 3;

/// What one attempt brought.
pub(super) struct Attempt<T> {
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    pub rate_limit: RateLimit,
    pub result: Result<T, Failure>,
}

impl<T> Attempt<T> {
    /// An attempt without a response.
    pub(super) fn failed(failure: Failure) -> Self {
        Self { status: None, rate_limit: RateLimit::default(), result: Err(failure) }
    }
}

impl Client {
    /// Makes attempts until one succeeds, within the retry limits.
    pub(super) async fn attempts<T>(
        &self,
        call: &Call,
        attempt: impl AsyncFn(reqwest::Request, Reservation) -> Attempt<T>,
    ) -> Result<T> {
        let mut attempts = RetryState::new(call.is_divisible, call.is_suspect);
        let (mut refusals, mut renewals) = (0, 0);
        let mut expected_bytes = call.expected_bytes;
        let mut paused = Duration::ZERO;
        let task = watchdog::task(call.display_path());
        loop {
            task.waits_for("a free connection slot");
            let slot = self.limiter.slot(call.class).await;
            task.waits_for("memory for its response");
            let (space, limited) = self.admit(call, expected_bytes).await;
            // Requested last, since a token may expire during the waits above. Fetching it needs no memory that others
            // hold.
            task.waits_for("the token");
            let token = self.auth.token(&self.transport, &self.budget).await?;
            tracing::debug!("{} {} {}", call.method, call.display_path(), call.body.as_deref().unwrap_or_default());
            task.waits_for("the response");
            let sent = Instant::now();
            let Attempt { status, rate_limit, result } =
                attempt(request(self.root.clone(), call, &token)?, space).await;
            (self.on_response)(CallStats {
                endpoint: call.display_path(),
                status,
                duration: sent.elapsed(),
                waited: limited + std::mem::take(&mut paused),
                calls_left: rate_limit.remaining,
            });
            self.limiter.update_from(call.class, &rate_limit);
            let failure = match result {
                Ok(result) => {
                    token.served();
                    attempts.succeeded(&self.budget);
                    return Ok(result);
                }
                Err(Failure::Unauthorized(error)) => {
                    // Criteo may revoke a token early. One new token, one more try, at no cost in attempts. If another
                    // call already discarded this token, it does not count as a renewal.
                    refusals += 1;
                    task.waits_for("the token");
                    let discarded = self.auth.discard(&token).await;
                    renewals += u32::from(discarded == Discarded::ByThis);
                    // guard: renew-refused-token
                    if discarded == Discarded::Useless || renewals > 1 || refusals > MAX_REFUSALS {
                        return Err(error);
                    }
                    continue;
                }
                Err(Failure::Permanent(error)) if error.cause == Some(Cause::Exhausted) => {
                    expected_bytes = self.transport.larger(call.memory, expected_bytes);
                    continue;
                }
                Err(failure) => failure,
            };
            let is_for_everybody = matches!(failure, Failure::Retryable { wait: Wait::RateLimited(_), .. });
            let wait = attempts.after(failure, &self.budget)?;
            tracing::info!(
                "Retrying {} in {:.1} s: {}",
                call.display_path(),
                wait.as_secs_f64(),
                attempts.last_message()
            );
            paused = wait;
            // During an outage, waiting calls keep their slots, so that no other calls start and fail as well.
            if is_for_everybody {
                drop(slot);
                self.limiter.pause(call.class, wait).await;
            } else {
                crate::http::rate_limit::sleep(wait).await;
            }
        }
    }
}
