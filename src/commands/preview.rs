//! `preview`: the first rows of a stream as a table, with a chart of cost and clicks per day.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::cli::PreviewArguments;
use crate::commands::read::select;
use crate::commands::{FINISH_TIMEOUT, Session, input, within};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::RetryProfile;
use crate::model::calendar::days_before;
use crate::output::Output;
use crate::output::sink::Sink;
use crate::output::sink::capture::{Capture, Captured};
use crate::products::{self, Source};
use crate::protocol::airbyte::{ConfiguredStream, SyncMode};
use crate::read::{self, ReadUntil};
use crate::support::redact;
use crate::support::stop::StopSender;
use crate::support::table::{Format, Table};
use crate::support::terminal::{Color, Terminal};

const DAYS: u32 = 14;
/// The cost column of each kind of report.
const SPEND: [&str; 3] = ["advertiser_cost", "cost", "spend"];
const BAR: usize = 30;

impl Session {
    pub(crate) async fn preview(&self, config: Config, what: &PreviewArguments) -> Result<ExitCode> {
        let mut config = within(config, &what.days())?;
        let client = self.client(&config, RetryProfile::Check)?;
        if what.since.is_none() {
            // The first token response carries Criteo's clock, and the read reuses the token.
            client.authenticate().await?;
            let today = || read::clock_of(&client, &config).today(config.reports.timezone);
            let end = config.read.end_date.unwrap_or_else(today);
            let first = days_before(end, DAYS - 1);
            config.read.start_date = Some(config.read.start_date.map_or(first, |day| day.max(first)));
        }
        // Previews skip the totals check.
        config.read.verify_totals = false;
        let streams = products::streams(&config.reports);
        let wanted = ConfiguredStream::new(input::meant(&what.stream, &streams), Ok(SyncMode::FullRefresh), None);
        let (selected, refused) = select(&config, &[wanted]);
        if let Some((_, error)) = refused.into_iter().next() {
            return Err(error);
        }
        let is_report = selected.iter().any(|selected| matches!(selected.stream.source, Source::Report(_)));
        let seen = Arc::new(Seen { rows: Mutex::default(), most: what.rows, is_enough: Notify::new(), is_report });
        let (stop, _stopped) = StopSender::new();
        let taker = Arc::clone(&seen);
        let sink = Sink::Capture(Capture::new(move |captured| taker.take(captured)));
        let output = Output::captured(sink, stop.clone())
            .map_err(|error| Error::system(format!("Cannot start a thread: {error}.")))?;
        let states = BTreeMap::new();
        tokio::select! {
            _ = read::read(&client, &output, &config, &selected, &states, ReadUntil::All) => {
                // Wait for rows still in the output queue.
                let _ = output.finish(&stop, FINISH_TIMEOUT);
            }
            () = seen.is_enough.notified() => {}
        }
        let rows = seen.rows();
        if let (Some(error), true) = (&rows.error, rows.records.is_empty()) {
            return Err(error.clone());
        }
        let columns = selected.iter().filter_map(|selected| selected.stream.schema["properties"].as_object()).flatten();
        let columns: Vec<&String> = columns.map(|(column, _)| column).collect();
        let mut table = Table::new(columns.iter().map(|column| column.as_str()));
        for record in &rows.records {
            let value = |column: &&String| record.get(*column).cloned().unwrap_or(Value::Null);
            table.push(columns.iter().map(value).collect());
        }
        let terminal = Terminal::stdout();
        self.print(&table.render(what.format, terminal.map(Terminal::width))?);
        if what.format == Format::Table {
            if rows.records.is_empty() {
                self.print("No rows.");
            }
            if let Some(chart) = chart(&rows.days, terminal) {
                self.print(&format!("\n{chart}"));
            }
        }
        if let Some(error) = &rows.error {
            return Err(error.clone());
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Default)]
struct Rows {
    records: Vec<Map<String, Value>>,
    /// Cost and clicks by day, over all rows.
    days: BTreeMap<String, (f64, f64)>,
    error: Option<Error>,
}

struct Seen {
    rows: Mutex<Rows>,
    most: usize,
    /// Signals that enough rows have arrived. Never set for reports, whose chart needs all rows.
    is_enough: Notify,
    is_report: bool,
}

impl Seen {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, captured: Captured) {
        let mut rows = self.rows();
        match captured {
            Captured::Row(record) => {
                let number = |column: &str| record.get(column).and_then(Value::as_f64);
                if let (Some(day), Some(spend)) =
                    (record.get("day").and_then(Value::as_str), SPEND.iter().find_map(|column| number(column)))
                {
                    let sums = rows.days.entry(redact::line(day)).or_default();
                    *sums = (sums.0 + spend, sums.1 + number("clicks").unwrap_or(0.0));
                }
                if rows.records.len() < self.most {
                    rows.records.push(record);
                }
                if rows.records.len() >= self.most && !self.is_report {
                    self.is_enough.notify_one();
                }
            }
            Captured::Failed(error) => rows.error = Some(error),
        }
    }
}

fn chart(days: &BTreeMap<String, (f64, f64)>, terminal: Option<Terminal>) -> Option<String> {
    let most = days.values().map(|(spend, _)| *spend).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let mut lines = vec![format!("{:10}  {:<BAR$}  {:>14}  {:>10}", "day", "", "cost", "clicks")];
    for (day, (spend, clicks)) in days {
        let bar = format!("{:<BAR$}", bar(spend / most));
        let bar = terminal.map_or_else(|| bar.clone(), |terminal| terminal.paint(&bar, Color::Green));
        lines.push(format!("{day:10}  {bar}  {spend:>14.2}  {clicks:>10.0}"));
    }
    Some(lines.join("\n"))
}

/// A bar for a share between 0 and 1, in eighths of a column.
fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a picture"
    )]
    let eighths = (share.clamp(0.0, 1.0) * BAR as f64 * 8.0).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or_default();
    "█".repeat(eighths / 8) + rest
}

#[cfg(test)]
mod tests {
    use crate::commands::preview::*;

    #[test]
    fn bar_length_matches_the_value() {
        assert_eq!((bar(0.0).as_str(), bar(1.0).chars().count(), bar(0.5).chars().count()), ("", BAR, BAR / 2));
        assert_eq!(bar(1.0 / 240.0), "▏");
        assert_eq!(bar(f64::NAN), "");
    }
}
