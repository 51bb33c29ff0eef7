//! `preview`: the first rows of a stream as a table, with a chart of cost and clicks per day.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::cli::PreviewArguments;
use crate::commands::read::select;
use crate::commands::{FINISH_TIMEOUT, Session, input, within};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Client, RetryProfile};
use crate::model::calendar::days_before;
use crate::output::Output;
use crate::output::sink::Sink;
use crate::output::sink::capture::{Capture, Captured};
use crate::products::marketing::metrics::fold;
use crate::products::{self, Source};
use crate::protocol::airbyte::{ConfiguredStream, SyncMode};
use crate::read::{self, ReadUntil, SelectedStream};
use crate::support::stop::StopSender;
use crate::support::table::{Format, Table};
use crate::support::terminal::{Color, Terminal, wrapped};
use crate::support::text::{counted, grouped};
use crate::support::{redact, suggest};

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
            let today = read::clock_of(&client, &config).today(config.reports.timezone);
            let end = config.read.end_date.map_or(today, |end| end.min(today));
            let first = days_before(end, DAYS - 1);
            config.read.start_date = Some(config.read.start_date.map_or(first, |day| day.max(first)));
        }
        // Previews skip the totals check.
        config.read.verify_totals = false;
        let (selected, rows) = self.first_rows(&client, &config, &what.stream, what.rows).await?;
        let is_report = is_report(&selected);
        let columns = selected.iter().filter_map(|selected| selected.stream.schema["properties"].as_object()).flatten();
        let columns: Vec<&str> = columns.map(|(column, _)| column.as_str()).collect();
        let columns = chosen(&what.columns, columns, what.format)?;
        let mut table = Table::new(columns.iter().copied());
        for record in &rows.records {
            let value = |column: &&str| record.get(*column).cloned().unwrap_or(Value::Null);
            table.push(columns.iter().map(value).collect());
        }
        let terminal = Terminal::stdout();
        let width = terminal.map(Terminal::width);
        if what.format == Format::Table && what.columns.is_empty() {
            self.print(&elided(&table, width));
        } else {
            self.print(&table.render(what.format, width)?);
        }
        if what.format == Format::Table {
            self.print(&format!("\n{}", rows.counted(is_report)));
            let currency = config.reports.currency.to_string();
            if let Some(chart) = chart(&rows.days, &currency, terminal) {
                self.print(&format!("\n{chart}"));
            }
        }
        if let Some(error) = &rows.error {
            return Err(error.clone());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The first rows of a stream, and the sums of all rows of a report by day.
    pub(crate) async fn first_rows(
        &self,
        client: &Arc<Client>,
        config: &Config,
        stream: &str,
        most: usize,
    ) -> Result<(Vec<SelectedStream>, Rows)> {
        let streams = products::streams(&config.reports);
        let wanted = ConfiguredStream::new(input::meant(stream, &streams), Ok(SyncMode::FullRefresh), None);
        let (selected, refused) = select(config, &[wanted]);
        if let Some((_, error)) = refused.into_iter().next() {
            return Err(error);
        }
        let seen =
            Arc::new(Seen { rows: Mutex::default(), most, is_enough: Notify::new(), is_report: is_report(&selected) });
        let (stop, _stopped) = StopSender::new();
        let taker = Arc::clone(&seen);
        let sink = Sink::Capture(Capture::new(move |captured| taker.take(captured)));
        let output = Output::captured(sink, stop.clone())
            .map_err(|error| Error::system(format!("Cannot start a thread: {error}.")))?;
        let states = BTreeMap::new();
        tokio::select! {
            _ = read::read(client, &output, config, &selected, &states, ReadUntil::All) => {
                // Wait for rows still in the output queue.
                let _ = output.finish(&stop, FINISH_TIMEOUT);
            }
            () = seen.is_enough.notified() => {}
        }
        let rows = std::mem::take(&mut *seen.rows());
        if let (Some(error), true) = (&rows.error, rows.records.is_empty()) {
            return Err(error.clone());
        }
        Ok((selected, rows))
    }
}

fn is_report(selected: &[SelectedStream]) -> bool {
    selected.iter().any(|selected| matches!(selected.stream.source, Source::Report(_)))
}

/// The columns to show: those that the user names, or all; at a terminal what people look for first.
fn chosen<'a>(wanted: &[String], columns: Vec<&'a str>, format: Format) -> Result<Vec<&'a str>> {
    if wanted.is_empty() {
        let mut columns = columns;
        if format == Format::Table {
            columns.sort_by_key(|column| rank(column));
        }
        return Ok(columns);
    }
    let find = |name: &String| {
        let name = name.trim();
        columns.iter().copied().find(|column| fold(column) == fold(name)).ok_or_else(|| {
            Error::config(format!(
                "The stream has no column {name}.{} `source-criteo explain` with the name of the stream lists its columns.",
                suggest::did_you_mean(name, columns.iter().copied())
            ))
        })
    };
    wanted.iter().filter(|name| !name.trim().is_empty()).map(find).collect()
}

/// The place of a column at a terminal: time, the base metrics, names, everything else, ids.
fn rank(column: &str) -> usize {
    const FIRST: [&str; 9] = ["day", "hour", "week", "month", "year", "displays", "clicks", "advertiser_cost", "cost"];
    let after = FIRST.len();
    FIRST.iter().position(|first| *first == column).unwrap_or(match column {
        "name" | "status" => after,
        "advertiser_name" => after + 2,
        name if name.ends_with("_name") => after + 1,
        "id" => after + 3,
        "currency" | "timezone" => after + 5,
        id if id.ends_with("_id") => after + 6,
        _ => after + 4,
    })
}

/// The table without the columns in the middle that do not fit.
fn elided(table: &Table, width: Option<usize>) -> String {
    let Some(width) = width else { return table.aligned(None) };
    let (first, last) = table.fitting(width);
    let (shown, left_out) = table.elided(first, last);
    let text = shown.aligned(Some(width));
    if left_out.is_empty() {
        return text;
    }
    let columns = match &left_out[..] {
        [column] => format!("1 column in the middle is left out: {column}."),
        columns => format!("{} columns in the middle are left out: {}.", columns.len(), columns.join(", ")),
    };
    let note = format!("{columns} Choose with --columns, or see all with --format csv.");
    format!("{text}\n\n{}", wrapped(&note, width.clamp(30, 110)).join("\n"))
}

/// What was read of a stream.
#[derive(Default)]
pub(crate) struct Rows {
    /// The first rows.
    pub records: Vec<Map<String, Value>>,
    /// All rows that were read.
    read: u64,
    /// Cost and clicks by day, over all rows.
    pub days: BTreeMap<String, (f64, f64)>,
    /// Whether no more rows are shown.
    is_full: bool,
    pub error: Option<Error>,
}

impl Rows {
    /// How many rows are shown, of how many. Objects are not read to the end.
    fn counted(&self, is_complete: bool) -> String {
        let shown = self.records.len() as u64;
        match (shown, self.read) {
            (0, _) => "No rows.".to_owned(),
            (shown, read) if shown < read && is_complete && self.error.is_none() => {
                format!("{} of {}.", grouped(shown), counted(read, "row"))
            }
            (shown, read) if shown == read && (is_complete || !self.is_full) => format!("{}.", counted(shown, "row")),
            (shown, _) => format!("The first {}.", counted(shown, "row")),
        }
    }
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
                rows.read += 1;
                if rows.records.len() < self.most {
                    rows.records.push(record);
                }
                rows.is_full = rows.records.len() >= self.most;
                if rows.is_full && !self.is_report {
                    self.is_enough.notify_one();
                }
            }
            Captured::Failed(error) => rows.error = Some(error),
        }
    }
}

/// Cost and clicks per day, with a bar for the cost.
pub(crate) fn chart(days: &BTreeMap<String, (f64, f64)>, currency: &str, terminal: Option<Terminal>) -> Option<String> {
    let most = days.values().map(|(spend, _)| *spend).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let mut costs: Vec<String> = days.values().map(|(spend, _)| money(*spend)).collect();
    let mut clicks: Vec<String> = days.values().map(|(_, clicks)| whole(*clicks)).collect();
    costs.push(money(days.values().map(|(spend, _)| spend).sum()));
    clicks.push(whole(days.values().map(|(_, clicks)| clicks).sum()));
    let title = format!("cost in {currency}");
    let cost_width = costs.iter().map(String::len).fold(title.len(), usize::max);
    let click_width = clicks.iter().map(String::len).fold("clicks".len(), usize::max);
    let line = |day: &str, bar: &str, cost: &str, clicks: &str| {
        format!("{day:14}  {bar}  {cost:>cost_width$}  {clicks:>click_width$}")
    };
    let mut lines = vec![line("day", &" ".repeat(BAR), &title, "clicks")];
    for ((day, (spend, _)), (cost, clicks)) in days.iter().zip(costs.iter().zip(&clicks)) {
        let bar = format!("{:<BAR$}", bar(spend / most));
        let bar = terminal.map_or_else(|| bar.clone(), |terminal| terminal.paint(&bar, Color::Green));
        let weekday =
            day.parse::<NaiveDate>().map_or_else(|_| day.clone(), |date| date.format("%Y-%m-%d %a").to_string());
        lines.push(line(&weekday, &bar, cost, clicks));
    }
    if let (Some(cost), Some(clicks)) = (costs.last(), clicks.last()) {
        lines.push(line("total", &" ".repeat(BAR), cost, clicks));
    }
    Some(lines.join("\n"))
}

pub(crate) fn whole(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded for display; negative is 0")]
    grouped(number.round() as u64)
}

/// An amount with two decimals and separators.
pub(crate) fn money(amount: f64) -> String {
    let text = format!("{:.2}", amount.abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let sign = if amount < 0.0 { "-" } else { "" };
    format!("{sign}{}.{cents}", whole.parse().map_or_else(|_| whole.to_owned(), grouped))
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

    #[test]
    fn the_chart_is_aligned_and_names_the_currency() {
        let days = [("2026-10-01", (0.5, 3.0)), ("2026-10-02", (1_204_098.5, 12_345.0))];
        let chart = chart(&days.map(|(day, sums)| (day.to_owned(), sums)).into(), "EUR", None).unwrap();
        let ends: std::collections::BTreeSet<_> = chart.lines().map(|line| line.chars().count()).collect();
        assert!(ends.len() == 1 && chart.contains("cost in EUR") && chart.contains("1,204,098.50"), "{chart}");
        assert!(chart.contains("2026-10-01 Thu") && chart.lines().last().unwrap().starts_with("total"), "{chart}");
        assert_eq!((money(-1234.5).as_str(), money(0.0).as_str()), ("-1,234.50", "0.00"));
    }

    #[test]
    fn what_people_look_for_comes_first() {
        let columns = vec!["advertiser_id", "advertiser_name", "campaign_name", "currency", "sales", "day", "clicks"];
        assert_eq!(
            chosen(&[], columns.clone(), Format::Table).unwrap(),
            ["day", "clicks", "campaign_name", "advertiser_name", "sales", "currency", "advertiser_id"]
        );
        assert_eq!(chosen(&[], columns.clone(), Format::Csv).unwrap(), columns);
        assert_eq!(chosen(&["Clicks".to_owned()], columns.clone(), Format::Csv).unwrap(), ["clicks"]);
        assert!(
            chosen(&["click".to_owned()], columns, Format::Csv).unwrap_err().message.contains("Did you mean clicks")
        );
    }
}
