//! Finds the first day that Criteo serves. Its docs give retention periods, but no time zone or calendar.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::error::{Kind, Result};
use crate::model::calendar::days_after;
use crate::model::ids::{AdvertiserId, format_ids};

/// Days after the documented first day that may be refused too: months differ by up to three days in length.
const SLACK: u32 = 3;

/// Whether a refused day may be past Criteo's retention, which by its docs starts at `oldest`.
pub(crate) fn is_near(day: NaiveDate, oldest: NaiveDate) -> bool {
    day <= days_after(oldest, SLACK)
}

/// Finds the index of the first served period by binary search; `None` if neither the first nor the last is served.
///
/// `hint` is the result for another advertiser, which is often the same; it is verified. `is_first_refused` if the first period
/// is known to be refused because of its days.
///
/// # Errors
/// When a request fails: a guess could skip days.
pub(crate) async fn first_served(
    count: usize,
    hint: Option<usize>,
    is_first_refused: bool,
    is_served: impl AsyncFn(usize) -> Result<bool>,
) -> Result<Option<usize>> {
    let Some(mut served) = count.checked_sub(1) else { return Ok(None) };
    if let Some(hint) = hint.filter(|hint| is_first_refused && (1..=served).contains(hint))
        && !is_served(hint - 1).await?
        && is_served(hint).await?
    {
        return Ok(Some(hint));
    }
    let is_last_served = is_served(served).await?;
    // The last period may be refused for another reason, so check the first one too.
    if (is_last_served || served > 0) && is_served(0).await? {
        return Ok(Some(0));
    }
    if !is_last_served {
        return Ok(None);
    }
    let mut refused = 0;
    if let Some(hint) = hint.filter(|hint| (1..served).contains(hint)) {
        if !is_served(hint).await? {
            refused = hint;
        } else if is_served(hint - 1).await? {
            served = hint - 1;
        } else {
            return Ok(Some(hint));
        }
    }
    while refused + 1 < served {
        let middle = usize::midpoint(refused, served);
        if is_served(middle).await? { served = middle } else { refused = middle }
    }
    Ok(Some(served))
}

/// Whether a response shows that its period is served.
///
/// # Errors
/// When the failure is transient or no refusal, so it shows neither.
pub(crate) fn is_served<T>(response: Result<T>) -> Result<bool> {
    match response {
        Ok(_) => Ok(true),
        Err(error) if error.is_refusal() && error.kind != Kind::Transient => Ok(false),
        Err(error) => Err(error),
    }
}

/// First days that Criteo reported as such, with the advertisers that they hold for.
#[derive(Debug, Default)]
pub(crate) struct FirstDays(BTreeMap<NaiveDate, BTreeSet<AdvertiserId>>);

impl FirstDays {
    pub(crate) fn add(&mut self, day: NaiveDate, advertisers: &[AdvertiserId]) {
        self.0.entry(day).or_default().extend(advertisers.iter().cloned());
    }

    /// The first day, if it is the same for all these advertisers.
    pub(crate) fn of_all<'a>(&self, mut advertisers: impl Iterator<Item = &'a AdvertiserId>) -> Option<NaiveDate> {
        let (day, known) = self.0.first_key_value().filter(|_| self.0.len() == 1)?;
        advertisers.all(|id| known.contains(id)).then_some(*day)
    }

    /// A warning for each first day.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(day, advertisers)| {
            let advertisers: Vec<_> = advertisers.iter().cloned().collect();
            format!("Criteo refuses days of {} before {day}, so reading starts on that day.", format_ids(&advertisers))
        })
    }
}

/// The warning about days before the first one.
pub(super) fn first_day_warning(history: impl std::fmt::Display, first: NaiveDate) -> String {
    format!(
        "These reports are assumed to go back {history}, but Criteo refuses days before {first}, so reading \
         starts on that day."
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt as _;

    use crate::read::first_day::*;

    /// Returns the result for thirty periods, some refused, and the number of requests.
    fn found(hint: Option<usize>, refused: std::ops::Range<usize>) -> (Option<usize>, u32) {
        let calls = Cell::new(0);
        let is_served = async |index: usize| {
            calls.set(calls.get() + 1);
            Ok(!refused.contains(&index))
        };
        (first_served(30, hint, false, is_served).now_or_never().unwrap().unwrap(), calls.get())
    }

    #[test]
    fn a_hint_saves_requests_without_changing_the_result() {
        assert_eq!(found(None, 0..17), (Some(17), 7));
        assert_eq!(found(Some(17), 0..17), (Some(17), 4));
        for hint in [None, Some(0), Some(1), Some(9), Some(16), Some(18), Some(29), Some(40)] {
            assert_eq!(found(hint, 0..17).0, Some(17), "{hint:?}");
            assert_eq!(found(hint, 5..9).0, Some(0), "{hint:?}: the first one is served");
            assert_eq!(found(hint, 0..30).0, None, "{hint:?}");
        }
    }
}
