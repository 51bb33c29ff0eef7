//! What one request covers, and what limits it.

use std::sync::Arc;

use crate::model::calendar::Window;
use crate::read::track::Advertisers;

/// The part of the rows to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSubset {
    /// Ad sets.
    pub ad_sets: Arc<[String]>,
    /// The environment of placements; `None` means all.
    pub environment: Option<&'static str>,
}

impl RowSubset {
    pub(super) fn of(ad_sets: &[String]) -> Self {
        Self { ad_sets: ad_sets.into(), environment: None }
    }
}

/// The limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The number of rows at which a response is truncated.
    pub row_cap: u64,
    /// The most days.
    pub most_days: u32,
    /// The environments by which a single ad set can be split.
    pub environments: &'static [&'static str],
}

/// What one request covers.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Unique within the stream.
    pub id: u64,
    /// The days.
    pub window: Window,
    /// The advertisers.
    pub advertisers: Advertisers,
    /// The part of the rows; `None` for all.
    pub part: Option<RowSubset>,
    /// How often these days were read because their sums differed.
    pub reads: u8,
    /// How often Criteo has refused this request.
    pub refusals: u8,
    /// Whether a larger slice around this one failed.
    pub is_suspect: bool,
    /// Whether its rows add up to less than the totals.
    pub is_short: bool,
    /// The estimated size of the response.
    pub expected_bytes: usize,
}

impl Slice {
    /// Whether these days have been read before.
    #[must_use]
    pub fn is_reread(&self) -> bool {
        self.reads > 0
    }
}

/// The result of splitting a slice.
#[derive(Debug, Clone, Copy)]
pub enum SplitOutcome {
    /// By days, advertisers or known ad sets.
    Smaller,
    /// One period of one advertiser: only ad sets can split it.
    NeedsAdSets,
    /// It cannot be split.
    Unsplittable,
}
