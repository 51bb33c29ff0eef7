//! What a report will be asked for, as far as that is known before anything is asked: for a read, and for a dry run.

use serde_json::Value;

use super::cursor::Cursors;
use super::density::Density;
use super::slice::{Range, Window};
use super::track::{Limits, Track};
use super::{Run, Selected};
use crate::config::AdvertiserId;
use crate::error::Result;
use crate::protocol::airbyte::SyncMode;
use crate::streams::report::Report;

impl Run<'_> {
    /// What a report will be asked for, as far as that is known before anything is asked.
    pub(super) fn plan(
        &self,
        selected: &Selected,
        report: &Report,
        state: &Value,
        advertisers: &[AdvertiserId],
    ) -> Result<ReportPlan> {
        let name = &selected.stream.name;
        let config = self.config;
        let metrics = report.selected_metrics(&|column| selected.wants(column));
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let saved = if is_incremental { state } else { &Value::Null };
        let (cursors, warning) = Cursors::parse(saved, report.fingerprint(&metrics))?;
        if let Some(warning) = warning {
            tracing::warn!("{name}: {warning}");
        }
        let absent = cursors.absent(advertisers);
        if config.advertiser_ids.is_empty() && !absent.is_empty() {
            let names = absent.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
            self.warn_once(format!(
                "Advertisers that were read before have no consent any more, so they are left out: {names}. Their state is kept."
            ));
        }
        let widest = report.lookback_days(&metrics);
        let lookback = config.lookback_days.unwrap_or(widest);
        if is_incremental && lookback < widest {
            tracing::warn!(
                "{name}: lookback_days is {lookback}, and Criteo goes on crediting sales for {widest} days to the clicks \
                 and views of these metrics. Sales that come later than {lookback} days are left out."
            );
        }
        let today = self.clock.today(report.timezone);
        let range =
            Range::new(config.start_date, config.end_date, today, report.history_days, report.default_history_days());
        if range.start > range.end {
            tracing::warn!("{name}: nothing to read between {} and {}.", range.start, range.end);
        }
        let mut tracks = Vec::new();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let share = |some: &[AdvertiserId]| some.len() as f64 / advertisers.len() as f64;
        for (cursor, advertisers) in cursors.groups(advertisers) {
            if cursor.is_some_and(|cursor| cursor > today) {
                tracing::warn!("{name}: the saved state lies in the future; nothing is read until that day has come.");
                continue;
            }
            let start = range.resume(cursor, lookback, report.grain);
            if range.is_clamped && cursor.is_none() {
                let history = report.history();
                self.warn_once(format!(
                    "Criteo keeps {history} of this kind of report, so the first day is {start} instead of start_date."
                ));
            }
            if start <= range.end {
                let density = Density::new(cursors.rows_per_day().map(|rows| rows * share(&advertisers)));
                let window = Window { start, end: range.end };
                let limits = Limits {
                    row_cap: report.row_cap,
                    most_days: report.most_days,
                    environments: report.environments(),
                };
                let chunks = advertisers.chunks(report.most_advertisers.max(1));
                let track =
                    |ids: &[AdvertiserId]| Track::new(ids.into(), window, report.grain, limits, density.clone());
                tracks.extend(chunks.map(track));
            }
        }
        Ok(ReportPlan { metrics, range, is_incremental, cursors, tracks })
    }
}

/// What a report will be asked for.
pub(super) struct ReportPlan {
    pub metrics: Vec<String>,
    pub range: Range,
    pub is_incremental: bool,
    pub cursors: Cursors,
    pub tracks: Vec<Track>,
}

/// What a dry run says of a stream.
pub(super) struct Forecast {
    pub text: String,
    pub requests: usize,
    /// Rows to be expected, where known.
    pub rows: Option<u64>,
}

impl ReportPlan {
    /// What would be asked for.
    pub(super) fn forecast(&self, name: &str) -> Forecast {
        let rows = self.expected_rows();
        let windows: Vec<_> = self.tracks.iter().flat_map(Track::forecast).collect();
        let requests = windows.len();
        let calls = if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") };
        let text = match (windows.first(), windows.last(), rows) {
            (Some(first), Some(last), Some(rows)) => {
                format!("{name}: {} to {} in {calls}, about {rows} rows.", first.start, last.end)
            }
            (Some(first), Some(last), None) => format!(
                "{name}: {} to {} in about {calls}: fewer if days have few rows, more if they have very many. Nothing is known \
                 yet.",
                first.start, last.end
            ),
            _ => format!("{name}: nothing to read."),
        };
        Forecast { text, requests, rows }
    }

    /// How many rows are to be expected, where the last sync has noted how many a day has.
    pub(super) fn expected_rows(&self) -> Option<u64> {
        let rows = self.tracks.iter().map(|track| Some(track.rows_per_day()? * f64::from(track.days_left())));
        let rows: Option<f64> = rows.sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        rows.filter(|_| !self.tracks.is_empty()).map(|rows| rows.ceil() as u64)
    }
}
