//! Streams of reports: read window by window, with a state behind every one.

use chrono::NaiveDate;
use reqwest::Method;
use serde_json::Value;

use super::cursor::{self, Cursors};
use super::slice::{Range, Window, windows};
use super::{InFlight, Run, Selected, rows, warn};
use crate::api::{ANSWER_TOO_LARGE, Body, Call, CallClass, SPACE_MIB, wire};
use crate::config::AdvertiserId;
use crate::error::{Error, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::StreamId;
use crate::streams::report::{HISTORY_DAYS, Report};

/// The length of a window when nothing is known about the number of rows: the usual lookback and today in one call.
const WINDOW_DAYS: u32 = 31;

/// What a window gave.
enum Answer {
    Whole(Body),
    /// At the cap, or too large for memory: rows are missing.
    Cut,
}

impl Run<'_> {
    pub(super) async fn read_report(
        &self,
        id: StreamId,
        selected: &Selected,
        report: &Report,
        state: &Value,
    ) -> Result<()> {
        let name = &selected.stream.name;
        let metrics = report.selected_metrics(&|column| selected.wants(column));
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let saved = if is_incremental { state } else { &Value::Null };
        let (mut cursors, warning) = Cursors::parse(saved, report.fingerprint(&metrics))?;
        if let Some(warning) = warning {
            tracing::warn!("{name}: {warning}");
        }
        let today = self.config.clock.today(report.timezone);
        let range = self.range(name, report, today);
        let mut in_flight = InFlight::default();
        for (cursor, advertisers) in cursors.groups(self.advertisers) {
            if cursor.is_some_and(|cursor| cursor > today) {
                tracing::warn!("{name}: the saved state lies in the future; nothing is read until that day has come.");
                continue;
            }
            let start = range.resume(cursor, self.config.lookback_days, report.grain);
            let mut queue = windows(start, range.end, WINDOW_DAYS, report.grain);
            queue.reverse();
            while let Some(window) = queue.pop() {
                match self.window(report, &metrics, &advertisers, window).await? {
                    Answer::Whole(body) => {
                        cursors.advance(&advertisers, window.end.min(range.complete_until));
                        in_flight.check()?;
                        let state = is_incremental.then(|| cursors.to_value());
                        in_flight.push(self.output.slice(id, body, state));
                    }
                    Answer::Cut => {
                        let Some((left, right)) = window.halves(report.grain) else {
                            in_flight.settle().await?;
                            return Err(self.too_much(window));
                        };
                        queue.extend([right, left]);
                    }
                }
            }
        }
        in_flight.settle().await?;
        self.output.state(id, if is_incremental { cursors.to_value() } else { cursor::no_cursor() });
        Ok(())
    }

    fn range(&self, name: &str, report: &Report, today: NaiveDate) -> Range {
        let config = self.config;
        let range = Range::new(config.start_date, config.end_date, today, HISTORY_DAYS, report.default_history_days());
        if range.is_clamped {
            tracing::warn!("{name}: Criteo keeps two years of statistics, so the first day is {}.", range.start);
        }
        if range.start > range.end {
            tracing::warn!("{name}: nothing to read between {} and {}.", range.start, range.end);
        }
        range
    }

    async fn window(
        &self,
        report: &Report,
        metrics: &[String],
        advertisers: &[AdvertiserId],
        window: Window,
    ) -> Result<Answer> {
        let call = Call {
            method: Method::POST,
            path: "statistics/report".into(),
            query: Vec::new(),
            body: Some(wire::statistics(report, metrics, advertisers, window.start, window.end)),
            class: CallClass::Report,
        };
        let (body, envelope) = match self.client.fetch(&call, rows::check).await {
            Ok(answer) => answer,
            Err(error) if error.code.as_deref() == Some(ANSWER_TOO_LARGE) => return Ok(Answer::Cut),
            Err(error) => return Err(error),
        };
        warn(&envelope.warnings);
        let is_cut = envelope.rows.unwrap_or(0) >= self.config.report_row_cap;
        Ok(if is_cut { Answer::Cut } else { Answer::Whole(body) })
    }

    fn too_much(&self, window: Window) -> Error {
        Error::config(format!(
            "Criteo sends at most {} rows of a report at once and leaves the rest out without a sign. For {} this report \
             reaches that number, or more than {SPACE_MIB} MiB. Nothing of that time was written, and what was read before \
             is complete. Read fewer advertisers at once (advertiser_ids), or use a custom report with fewer dimensions or \
             with ad set filters.",
            self.config.report_row_cap,
            if window.start == window.end {
                window.start.to_string()
            } else {
                format!("{} to {}", window.start, window.end)
            },
        ))
    }
}
