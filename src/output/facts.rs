//! What a report reads, day by day, for the page about the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

use crate::model::calendar::{Grain, Window};
use crate::model::ids::AdvertiserId;

/// What the totals check found for a response.
#[derive(Debug, Clone, Default)]
pub enum Check {
    /// Its rows were not compared: too young, not additive, or without totals.
    #[default]
    NotCompared,
    /// Its settled periods were compared.
    Compared {
        /// How the sums of a period differ, by the advertiser's number and the first day.
        differing: BTreeMap<(u64, NaiveDate), String>,
        /// Periods with rows that could not be summed.
        unsummed: BTreeSet<(u64, NaiveDate)>,
    },
}

/// What a report reads.
#[derive(Debug)]
pub enum Fact {
    /// The days to read. Replaces an earlier plan of the same stream.
    Planned(Box<Planned>),
    /// Criteo serves these advertisers from this day on.
    FirstDay {
        /// The first day.
        day: NaiveDate,
        /// The advertisers.
        advertisers: Arc<[AdvertiserId]>,
    },
}

/// The days that a report reads, as known before it starts.
#[derive(Debug)]
pub struct Planned {
    /// The period of a row.
    pub grain: Grain,
    /// The last day that the totals check covers.
    pub settled_until: NaiveDate,
    /// The days to read.
    pub tracks: Vec<(Window, Arc<[AdvertiserId]>)>,
    /// The last day that earlier syncs have read.
    pub cursors: Vec<(NaiveDate, Vec<AdvertiserId>)>,
    /// Days that earlier syncs accepted without proof.
    pub accepted: Vec<(Window, Vec<AdvertiserId>)>,
}
