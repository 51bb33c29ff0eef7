//! The windows of a track: planned, under way or done.

use chrono::Days;

use crate::model::calendar::{Grain, Window, window_at};
use crate::read::track::RowSubset;

/// A window, or a part of its rows, that is planned or requested.
#[derive(Debug, Clone)]
pub(super) struct PlannedWindow {
    pub(super) window: Window,
    pub(super) part: Option<RowSubset>,
    pub(super) reads: u8,
    pub(super) refusals: u8,
    pub(super) is_suspect: bool,
    pub(super) is_read: bool,
    pub(super) progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    UnderWay(u64),
    /// Too large: waits for ad sets or for the track to be divided.
    Parked,
    /// Refused, or of unknown size: waits for all earlier days.
    WaitsForEarlier,
    Done,
}

impl PlannedWindow {
    pub(super) fn waiting(window: Window, part: Option<RowSubset>, reads: u8) -> Self {
        Self { window, part, reads, refusals: 0, is_suspect: false, is_read: false, progress: Progress::Waiting }
    }
}

pub(super) fn tiles(window: Window, days: u32, grain: Grain) -> Vec<Window> {
    let mut tiles = Vec::new();
    let mut next = window.start;
    while next <= window.end {
        let tile = window_at(next, window.end, days, grain);
        tiles.push(tile);
        next = tile.end + Days::new(1);
    }
    tiles
}

/// One slot, or one per part.
pub(super) fn slots(window: Window, parts: &[RowSubset], reads: u8) -> Vec<PlannedWindow> {
    match parts {
        [] => vec![PlannedWindow::waiting(window, None, reads)],
        parts => parts.iter().map(|part| PlannedWindow::waiting(window, Some(part.clone()), reads)).collect(),
    }
}
