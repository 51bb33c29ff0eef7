//! The first day that Criteo serves. Its documents say how long it keeps what, but not by which zone or calendar.

use super::entity::is_refusal;
use crate::error::Result;

/// The index of the first of so many periods that is served, found by asking for half of those that are left each time.
/// `None` where not even the last one is, or where one of them cannot be asked for: a guess would leave days out.
pub(super) async fn first_served(count: usize, is_served: impl AsyncFn(usize) -> Option<bool>) -> Option<usize> {
    let mut served = count.checked_sub(1)?;
    if is_served(0).await? {
        return Some(0);
    }
    if !is_served(served).await? {
        return None;
    }
    let mut refused = 0;
    while refused + 1 < served {
        let middle = usize::midpoint(refused, served);
        if is_served(middle).await? { served = middle } else { refused = middle }
    }
    Some(served)
}

/// What an answer says of its period: served, refused, or nothing where the request has failed.
pub(super) fn is_served(answer: &Result<()>) -> Option<bool> {
    match answer {
        Ok(()) => Some(true),
        Err(error) => is_refusal(error).then_some(false),
    }
}
