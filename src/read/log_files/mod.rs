//! The stream of log files: gzip CSV behind signed links, read day by day in chunks.
//!
//! Files can be of any size, so rows are passed on in small slices. When a connection breaks or a link expires, the
//! file is requested again and written rows are skipped if the storage reports the same version. Criteo may add files
//! to recent days, so these are listed and read again by every sync, with the same keys, and count as read only some
//! days later. An unreadable day becomes a hole.

mod days;
mod download;
mod listing;
mod parser;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;

use crate::error::Result;
use crate::model::calendar::{Grain, Range, Resume, Window, days_before};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::output::StreamId;
use crate::output::tally::ReportTally;
use crate::products::report::Fingerprint;
use crate::protocol::airbyte::SyncMode;
use crate::read::first_day::first_day_warning;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use crate::read::log_files::parser::rows_of;
use crate::read::log_files::progress::Progress;
use crate::read::plan::tell_lost_holes;
use crate::read::unread::unread_error;
use crate::read::{ReadContext, SelectedStream};
use crate::state;
use crate::state::cursor::Cursors;
use crate::state::saved::Saved;

/// How many days Criteo keeps log files, ending yesterday.
const HISTORY_DAYS: u32 = 30;
/// Younger days may still get files, so they do not count as read.
const SETTLING_DAYS: u32 = 3;

struct Reader<'a> {
    run: &'a ReadContext<'a>,
    id: StreamId,
    name: &'a str,
    columns: Vec<&'a str>,
    range: Range,
    settled: NaiveDate,
    is_incremental: bool,
    cursors: Cursors,
    progress: Progress,
}

impl ReadContext<'_> {
    pub(crate) async fn read_log_level(&self, id: StreamId, selected: &SelectedStream, state: &Saved) -> Result<()> {
        let name = &selected.stream.name;
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let fingerprint =
            Fingerprint { keys: "log level".to_owned(), values: self.config.read.log_level_product_ids.to_string() };
        let today = self.clock.today(chrono_tz::Tz::UTC);
        let settled = days_before(today, SETTLING_DAYS);
        let saved = if is_incremental { state.value()? } else { Value::Null };
        let (mut cursors, warning) = Cursors::parse(&saved, fingerprint)?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        let future = cursors.groups(self.advertisers).into_iter().filter_map(|(cursor, _)| cursor).max();
        if let Some(future) = future.filter(|future| *future > settled) {
            let why = if future < today { "which cannot be complete yet" } else { "which is in the future" };
            tracing::warn!(
                "The saved cursor is {future}, {why}: the clock of an earlier sync was wrong. Files after \
                 {settled} are read again."
            );
        }
        cursors.not_after(settled);
        let config = self.config;
        let mut range = Range::new(config.read.start_date, config.read.end_date, today, HISTORY_DAYS, HISTORY_DAYS);
        range.again_from = config.read.again_from;
        if range.is_clamped {
            self.warn_once(&format!("Criteo keeps log files for 30 days, so the first day is {}.", range.start));
        }
        tell_lost_holes(&mut cursors, range.oldest);
        let columns = selected.stream.schema["properties"].as_object();
        let columns: Vec<&str> = columns.into_iter().flatten().map(|(column, _)| column.as_str()).collect();
        let progress = Progress::default();
        let mut reader = Reader { run: self, id, name, columns, range, settled, is_incremental, cursors, progress };
        let result = reader.read().await;
        let mut tally = ReportTally::default();
        tally.windows = reader.progress.accepted;
        (tally.holes, tally.accepted) = reader.cursors.hole_texts(self.advertisers);
        self.output.tally(id, tally);
        result
    }
}

impl Reader<'_> {
    async fn read(&mut self) -> Result<()> {
        let run = self.run;
        let mut starts = BTreeMap::new();
        for (cursor, advertisers) in self.cursors.groups(run.advertisers) {
            // Settled days do not change, so the default lookback is zero.
            let resume = self.range.resume(cursor, run.config.read.lookback_days.unwrap_or(0), Grain::Day);
            tell_gaps(cursor, &advertisers, resume);
            let days = Window { start: resume.start, end: self.range.end };
            for advertiser in &advertisers {
                if cursor.is_some() {
                    starts.insert(advertiser.clone(), resume.start);
                }
                self.read_days(advertiser, days, resume.left_out.is_none()).await?;
            }
        }
        for (window, advertisers) in self.cursors.holes_before(&starts) {
            let days = self.range.hole(window, Grain::Day);
            for advertiser in &advertisers {
                self.read_days(advertiser, days, false).await?;
            }
        }
        for ((lost, cursor), advertisers) in &self.progress.no_longer_kept {
            tell_lost(*lost, *cursor, advertisers);
        }
        if let Some(first) = self.progress.first_days.of_all(run.advertisers.iter()) {
            run.warn_once_for(self.name, &first_day_warning("30 days", first));
            tell_lost_holes(&mut self.cursors, first);
        } else {
            self.progress.first_days.warnings().for_each(|warning| run.warn_once_for(self.name, &warning));
        }
        let state = if self.is_incremental { self.cursors.to_value() } else { state::complete() };
        run.output.state(self.id, state);
        let unread = self.progress.unread.take();
        let unread = unread.map(|(days, error)| unread_error(days, error, self.is_incremental));
        let errors = [self.progress.failure.take(), unread, run.refused_error(&self.progress.lost)];
        let mut errors = errors.into_iter().flatten();
        let first = errors.next();
        errors.for_each(|error| tracing::warn!("{error}"));
        first.map_or(Ok(()), Err)
    }
}

/// Warns about days between the cursor and the first day to read.
fn tell_gaps(cursor: Option<NaiveDate>, advertisers: &[AdvertiserId], resume: Resume) {
    let Some(cursor) = cursor else { return };
    if let Some(lost) = resume.lost {
        tell_lost(lost, cursor, advertisers);
    }
    if let Some(left_out) = resume.left_out {
        tracing::warn!(
            "Days from {} on are skipped because this sync starts on {}. The cursor does not move, so a \
             sync without a later start reads them.",
            left_out.start,
            resume.start
        );
    }
}

/// Warns about unread days that Criteo no longer keeps.
fn tell_lost(lost: Window, cursor: NaiveDate, advertisers: &[AdvertiserId]) {
    tracing::warn!(
        "The log files for {lost} of advertisers {} are missing: Criteo no longer keeps them, and the last \
         sync ended with {cursor}.",
        format_ids(advertisers)
    );
}
