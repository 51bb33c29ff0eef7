//! What was read so far, and which advertisers are skipped.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::error::{Cause, Error, Result};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::read::first_day::FirstDays;
use crate::read::list::{MAX_REFUSED, may_concern_one_request};

#[derive(Default)]
pub(super) struct Progress {
    /// Number of listed days.
    pub(super) accepted: u64,
    /// The first listed day of each advertiser.
    pub(super) served_from: BTreeMap<AdvertiserId, NaiveDate>,
    /// First days later than expected.
    pub(super) first_days: FirstDays,
    /// The last first day found, a hint for other advertisers.
    pub(super) latest_first_day: Option<NaiveDate>,
    pub(super) first_days_searched: usize,
    /// Days after a cursor that are older than the first day, with the cursor.
    pub(super) no_longer_kept: BTreeMap<(Window, NaiveDate), Vec<AdvertiserId>>,
    pub(super) lost: BTreeMap<AdvertiserId, Error>,
    /// Unread days with their advertisers, and the first error.
    pub(super) unread: Option<(Vec<(Window, String)>, Error)>,
    pub(super) failure: Option<Error>,
}

impl Progress {
    pub(super) fn accepts(&mut self, advertiser: &AdvertiserId, day: NaiveDate) {
        self.accepted += 1;
        let served = self.served_from.entry(advertiser.clone()).or_insert(day);
        *served = day.min(*served);
    }

    /// Skips an advertiser, or fails if the error concerns more than this one.
    pub(super) fn refuse(&mut self, advertiser: &AdvertiserId, error: Error, total: usize) -> Result<()> {
        // Refused days say nothing about the advertiser.
        if error.is_refusal() && error.cause != Some(Cause::InvalidTimespan) {
            tracing::warn!("Criteo refuses the log files of {advertiser}; reading the others. {error}");
            self.lost.insert(advertiser.clone(), error.clone());
        } else if may_concern_one_request(&error) {
            tracing::warn!("The log files of {advertiser} are not available; reading the others. {error}");
            self.failure.get_or_insert(error.clone().in_context(&format!("Log files of {advertiser}")));
        } else {
            return Err(error);
        }
        // If the first few are all refused, skip the rest.
        if self.accepted == 0 && self.lost.len() >= MAX_REFUSED.min(total) { Err(error) } else { Ok(()) }
    }
}
