//! Plans the requests of a report as far as they are known beforehand, for a sync or a dry run.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;

use crate::error::Result;
use crate::model::calendar::{Range, Resume, Window, days_before};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::products::report::Report;
use crate::protocol::airbyte::SyncMode;
use crate::read::density::Density;
use crate::read::track::{Limits, Purpose, Track};
use crate::read::{ReadContext, SelectedStream};
use crate::state::cursor::Cursors;
use crate::state::saved::Saved;

/// Quotes, colon and comma of a member.
const PUNCTUATION: usize = 6;

impl ReadContext<'_> {
    pub(crate) fn plan(
        &self,
        selected: &SelectedStream,
        report: &Report,
        state: &Saved,
        advertisers: &[AdvertiserId],
    ) -> Result<ReportPlan> {
        let config = self.config;
        let metrics = report.selected_metrics(&|column| selected.wants(column));
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let saved = if is_incremental { state.value()? } else { Value::Null };
        let (cursors, warning) = Cursors::parse(&saved, report.fingerprint(&metrics))?;
        drop(saved);
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        let absent = cursors.absent(advertisers);
        let names = || absent.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        // guard: absent-marketplaces
        if report.endpoint.is_marketplace && !absent.is_empty() {
            self.warn_once(&format!(
                "Previously synced advertisers are no longer among the marketplace advertisers and are skipped: {}. \
                 Their state is kept.",
                names()
            ));
        } else if config.read.scope_ids.is_empty() && !absent.is_empty() {
            self.warn_once(&format!(
                "Previously synced advertisers no longer grant consent and are skipped: {}. Their state is kept.",
                names()
            ));
        }
        let widest = report.lookback_days(&metrics);
        let lookback = config.read.lookback_days.unwrap_or(widest);
        let of_all = report.lookback_days(&report.selected_metrics(&|_| true));
        if is_incremental && config.read.lookback_days.is_none() && widest < of_all {
            tracing::info!(
                "The selected columns are final after {widest} days, and those of all columns after {of_all}: a sync \
                 reads the last {widest} days again."
            );
        }
        if is_incremental && lookback < widest {
            tracing::warn!(
                "lookback_days is {lookback}, but Criteo credits sales to the clicks and views of these \
                 metrics for {widest} days. Sales credited after {lookback} days are missed."
            );
        }
        let today = self.clock.today(report.timezone);
        let mut range = Range::new(
            config.read.start_date,
            config.read.end_date,
            today,
            report.history_days,
            report.default_history_days(),
        );
        range.again_from = config.read.again_from;
        let range = range.in_periods(report.grain);
        let mut cursors = cursors;
        if let Some(what) = nothing_to_read(range, &cursors) {
            tracing::warn!("{what}, so there is nothing to read.");
            return Ok(ReportPlan { metrics, range, is_incremental, cursors, tracks: Vec::new() });
        }
        take_back_the_future(&mut cursors, range); // guard: future-state
        tell_lost_holes(&mut cursors, range.whole(range.oldest, report.grain));
        let planner = Planner { report, metrics: &metrics, advertisers };
        let (mut tracks, mut starts) = (Vec::new(), BTreeMap::new());
        for (cursor, advertisers) in cursors.groups(advertisers) {
            let resume = range.resume(cursor, lookback.max(1), report.grain);
            planner.tell_gaps(cursor, &advertisers, resume, range.again_from.is_some());
            if range.is_clamped && cursor.is_none() {
                self.warn_once(&planner.clamped(resume.start));
            }
            if cursor.is_some() {
                starts.extend(advertisers.iter().map(|id| (id.clone(), resume.start)));
            }
            let window = Window { start: resume.start, end: range.end };
            if let Some(cursor) = cursor.filter(|_| window.start > window.end) {
                tracing::warn!(
                    "Advertisers {} are not read: the cursor is {cursor}, so reading would start on {}, after \
                     the last day, {}. To read earlier days again, use `--since`, or in a tap a state of its own.",
                    format_ids(&advertisers),
                    window.start,
                    window.end
                );
            }
            // A new advertiser beside others with a state needs a read from the start.
            let is_late = cursor.is_none() && range.again_from.is_some() && !cursors.is_empty();
            if is_late {
                tracing::warn!(
                    "Advertisers {} have no saved state, so days before {} are skipped in this run. No state \
                     is saved for them; a sync without `--since` reads them from the start.",
                    format_ids(&advertisers),
                    resume.start
                );
            }
            let is_adjoining = resume.left_out.is_none() && !is_late;
            let purpose = if is_adjoining { Purpose::Cursor } else { Purpose::AfterGap };
            tracks.extend(planner.tracks(&advertisers, window, cursors.rows_per_day(), purpose));
        }
        for (window, advertisers) in cursors.holes_before(&starts) {
            let window = range.hole(window, report.grain);
            tracks.extend(planner.tracks(&advertisers, window, cursors.rows_per_day(), Purpose::Hole));
        }
        Ok(ReportPlan { metrics, range, is_incremental, cursors, tracks })
    }
}

/// Why no day can be read, as the start of a sentence.
fn nothing_to_read(range: Range, cursors: &Cursors) -> Option<String> {
    if range.start > range.today {
        Some(format!("The first day, {}, is in the future", range.start))
    } else if range.end < range.oldest {
        Some(format!(
            "The last day, {}, is before {}, the oldest day that Criteo is assumed to keep",
            range.end, range.oldest
        ))
    } else if range.start > range.end && cursors.is_empty() {
        Some(format!("The last day, {}, is before the first, {}", range.end, range.start))
    } else {
        None
    }
}

struct Planner<'a> {
    report: &'a Report,
    metrics: &'a [String],
    advertisers: &'a [AdvertiserId],
}

impl Planner<'_> {
    fn tracks(
        &self,
        advertisers: &[AdvertiserId],
        window: Window,
        rows_per_day: Option<f64>,
        purpose: Purpose,
    ) -> Vec<Track> {
        if window.start > window.end {
            return Vec::new();
        }
        let report = self.report;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let share = advertisers.len() as f64 / self.advertisers.len() as f64;
        let density = Density::new(rows_per_day.map(|rows| rows * share), self.bytes_per_row());
        let limits =
            Limits { row_cap: report.row_cap, most_days: report.most_days, environments: report.environments() };
        let track = |ids: &[AdvertiserId]| {
            let mut track = Track::new(ids.into(), window, report.grain, limits, density.clone());
            track.purpose = purpose;
            track
        };
        advertisers.chunks(report.most_advertisers.max(1)).map(track).collect()
    }

    /// Estimates a row of a response from the names of its columns. Dimensions have an id and often a name.
    fn bytes_per_row(&self) -> u32 {
        let bytes_of = |name: &String, value: usize| name.len() + PUNCTUATION + value;
        let dimensions = self.report.dimensions.iter().map(|name| 2 * bytes_of(name, 16));
        let metrics = self.metrics.iter().map(|name| bytes_of(name, 6));
        u32::try_from(dimensions.chain(metrics).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Warns about days between the cursor and the first day to read.
    fn tell_gaps(&self, cursor: Option<NaiveDate>, advertisers: &[AdvertiserId], resume: Resume, is_by_hand: bool) {
        let (Some(cursor), ids) = (cursor, format_ids(advertisers)) else { return };
        if let Some(lost) = resume.lost {
            tracing::warn!(
                "{lost} of advertisers {ids} are missing: the last sync ended with {cursor}, and these reports \
                 are assumed to go back {}.",
                self.report.history()
            );
        }
        if let Some(left_out) = resume.left_out {
            tracing::warn!(
                "{left_out} of advertisers {ids} are skipped because {} is after the cursor, {cursor}. The \
                 cursor does not move until these days are read: {} {} or earlier.",
                if is_by_hand { "--since" } else { "start_date" },
                if is_by_hand { "omit --since, or use" } else { "set start_date to" },
                left_out.start
            );
        }
    }

    fn clamped(&self, start: NaiveDate) -> String {
        let history = self.report.history();
        format!("These reports are assumed to go back {history}, so the first day is {start}.")
    }
}

/// No day is complete before it is over: a later cursor comes from a wrong clock.
fn take_back_the_future(cursors: &mut Cursors, range: Range) {
    let yesterday = days_before(range.today, 1);
    let moved = cursors.not_after(yesterday);
    if !moved.is_empty() {
        tracing::warn!(
            "The saved cursor is in the future for advertisers {}: an earlier sync ran with a wrong clock. \
             They are read as if the cursor were {yesterday}; reset the stream if the clock was wrong for longer than \
             the lookback.",
            format_ids(&moved)
        );
    }
}

/// Removes holes before the first day that Criteo keeps, with a warning.
pub(crate) fn tell_lost_holes(cursors: &mut Cursors, first: NaiveDate) {
    let lost = cursors.forget_before(first);
    if !lost.is_empty() {
        let lost: Vec<_> =
            lost.iter().take(20).map(|(advertiser, window)| format!("{window} of {advertiser}")).collect();
        tracing::warn!(
            "Days that earlier syncs could not read are no longer kept by Criteo and stay missing: {}.",
            lost.join(", ")
        );
    }
}

pub(crate) struct ReportPlan {
    pub metrics: Vec<String>,
    pub range: Range,
    pub is_incremental: bool,
    pub cursors: Cursors,
    pub tracks: Vec<Track>,
}

pub(crate) struct Forecast {
    pub text: String,
    pub requests: usize,
    pub rows: Option<u64>,
}

impl ReportPlan {
    pub(crate) fn forecast(&self) -> Forecast {
        let rows = self.expected_rows();
        let windows: Vec<_> = self.tracks.iter().flat_map(Track::forecast).collect();
        let requests = windows.len();
        let calls = if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") };
        let text = match (windows.first(), windows.last(), rows) {
            (Some(first), Some(last), Some(rows)) => {
                format!("{} to {} in {calls}, about {rows} rows.", first.start, last.end)
            }
            (Some(first), Some(last), None) => format!(
                "{} to {} in about {calls}: fewer if days have few rows, more if they have very many. Row \
                 counts are not known yet.",
                first.start, last.end
            ),
            _ => "Nothing to read.".to_owned(),
        };
        Forecast { text, requests, rows }
    }

    /// Known if the last sync has saved the rows per day.
    pub(crate) fn expected_rows(&self) -> Option<u64> {
        let rows = self.tracks.iter().map(|track| Some(track.rows_per_day()? * f64::from(track.days_left())));
        let rows: Option<f64> = rows.sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        rows.filter(|_| !self.tracks.is_empty()).map(|rows| rows.ceil() as u64)
    }
}
