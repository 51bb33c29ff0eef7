//! What Criteo knows about the account of a key: its advertisers with their names, its time zone, its spend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::commands::read::select;
use crate::commands::setup::places;
use crate::commands::{FINISH_TIMEOUT, Session};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Client, RetryProfile};
use crate::model::calendar::days_before;
use crate::model::product::Product;
use crate::output::Output;
use crate::output::sink::Sink;
use crate::output::sink::capture::{Capture, Captured};
use crate::protocol::airbyte::{ConfiguredStream, SyncMode};
use crate::read::{self, ReadUntil};
use crate::support::stop::StopSender;
use crate::support::table::Table;
use crate::support::text::excerpt;

/// Timeout for each question to Criteo, as the user is waiting.
const MAX_TIME: Duration = Duration::from_secs(15);

/// An advertiser or account that granted consent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advertiser {
    pub id: String,
    pub name: String,
}

/// What Criteo knows about the account of a key.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub advertisers: Vec<Advertiser>,
    /// Of all advertisers, if they agree. Criteo names it only for marketplaces.
    pub zone: Option<Tz>,
    /// As [`Self::zone`].
    pub currency: Option<String>,
}

/// Yesterday's spend by advertiser.
pub(crate) struct Spend {
    pub day: NaiveDate,
    /// `None` if there was none.
    pub table: Option<Table>,
}

impl Session {
    /// Asks Criteo about the account. `None` if the key does not work yet: the check says why.
    pub(crate) async fn account(&self, config: &Config) -> Option<Account> {
        let client = self.client(config, RetryProfile::Check).ok()?;
        let (stream, name) = match config.product() {
            Product::MarketingSolutions => ("advertisers", "advertiser_name"),
            Product::RetailMedia => ("rm_accounts", "name"),
        };
        let advertisers = in_time(rows_of(&client, config, stream)).await.ok()?;
        let advertisers = advertisers.iter().filter_map(|row| {
            let id = row.get("id")?.as_str()?.to_owned();
            let name = row.get(name).and_then(Value::as_str).map_or_else(|| id.clone(), excerpt);
            Some(Advertiser { id, name })
        });
        // Refused for accounts that are not a marketplace.
        let details = match config.product() {
            Product::MarketingSolutions => in_time(rows_of(&client, config, "mpo_advertisers")).await,
            Product::RetailMedia => Ok(Vec::new()),
        };
        let details = details.unwrap_or_default();
        let only = |column: &str| {
            let values: BTreeSet<_> = details.iter().filter_map(|row| row.get(column)?.as_str()).collect();
            values.first().filter(|_| values.len() == 1).copied()
        };
        Some(Account {
            advertisers: advertisers.collect(),
            zone: only("time_zone_id").and_then(places::zone_named),
            currency: only("currency_name").map(str::to_owned),
        })
    }

    /// Reads yesterday's spend by advertiser, without the totals check.
    pub(crate) async fn yesterdays_spend(&self, mut config: Config) -> Result<Spend> {
        let client = self.client(&config, RetryProfile::Check)?;
        // The first token response carries Criteo's clock.
        client.authenticate().await?;
        let day = days_before(read::clock_of(&client, &config).today(config.reports.timezone), 1);
        config.read.start_date = Some(day);
        config.read.end_date = Some(day);
        config.read.verify_totals = false;
        let rows = in_time(rows_of(&client, &config, "campaign_statistics_daily")).await?;
        Ok(Spend { day, table: by_advertiser(&rows, &config.reports.currency.to_string()) })
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(Error::transient("Criteo did not respond in time."));
    tokio::time::timeout(MAX_TIME, request).await.unwrap_or_else(late)
}

/// All rows of a stream, which must be few.
async fn rows_of(client: &Client, config: &Config, stream: &str) -> Result<Vec<Map<String, Value>>> {
    let wanted = ConfiguredStream::new(stream, Ok(SyncMode::FullRefresh), None);
    let (selected, refused) = select(config, &[wanted]);
    if let Some((_, error)) = refused.into_iter().next() {
        return Err(error);
    }
    let seen = Arc::new(Mutex::new((Vec::new(), None)));
    let taker = Arc::clone(&seen);
    let sink = Sink::Capture(Capture::new(move |captured| {
        let mut seen = taker.lock().unwrap_or_else(PoisonError::into_inner);
        match captured {
            Captured::Row(row) => seen.0.push(row),
            Captured::Failed(error) => seen.1 = Some(error),
        }
    }));
    let (stop, _stopped) = StopSender::new();
    let output = Output::captured(sink, stop.clone())
        .map_err(|error| Error::system(format!("Cannot start a thread: {error}.")))?;
    read::read(client, &output, config, &selected, &BTreeMap::new(), ReadUntil::All).await;
    // Wait for rows still in the output queue.
    let _ = output.finish(&stop, FINISH_TIMEOUT);
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    match seen.1.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut seen.0)),
    }
}

/// Sums a day's rows by advertiser, the largest cost first.
fn by_advertiser(rows: &[Map<String, Value>], currency: &str) -> Option<Table> {
    let mut sums: BTreeMap<&str, (&str, [f64; 3])> = BTreeMap::new();
    for row in rows {
        let text = |column: &str| row.get(column).and_then(Value::as_str);
        let id = text("advertiser_id").unwrap_or_default();
        let (_, sum) = sums.entry(id).or_insert((text("advertiser_name").unwrap_or(id), [0.0; 3]));
        for (sum, column) in sum.iter_mut().zip(["advertiser_cost", "clicks", "displays"]) {
            *sum += row.get(column).and_then(Value::as_f64).unwrap_or(0.0);
        }
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_by(|(_, [one, ..]), (_, [other, ..])| other.total_cmp(one));
    let cost = format!("cost ({currency})");
    let mut table = Table::new(["advertiser", &cost, "clicks", "displays"]);
    let texts = |column: usize, decimals: usize| {
        let texts: Vec<_> = sums.iter().map(|(_, sum)| format!("{:.decimals$}", sum[column])).collect();
        let width = texts.iter().map(String::len).max().unwrap_or_default();
        texts.into_iter().map(move |text| json!(format!("{text:>width$}")))
    };
    let numbers = texts(0, 2).zip(texts(1, 0)).zip(texts(2, 0));
    for ((name, _), ((cost, clicks), displays)) in sums.iter().zip(numbers) {
        table.push(vec![json!(excerpt(name)), cost, clicks, displays]);
    }
    (!sums.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use crate::commands::setup::account::*;
    use crate::support::table::Format;

    #[test]
    fn spend_is_summed_by_advertiser_with_the_largest_first() {
        let row = |id: &str, cost: f64, clicks: u64| {
            let row = json!({"advertiser_id": id, "advertiser_name": format!("Shop {id}"), "advertiser_cost": cost,
                "clicks": clicks, "displays": 10});
            row.as_object().unwrap().clone()
        };
        let rows = [row("1", 1.5, 2), row("2", 1000.25, 30), row("1", 2.0, 1)];
        let table = by_advertiser(&rows, "EUR").unwrap().render(Format::Csv, None).unwrap();
        let lines: Vec<_> = table.lines().map(|line| line.replace(' ', "")).collect();
        assert_eq!(lines, ["advertiser,cost(EUR),clicks,displays", "Shop2,1000.25,30,10", "Shop1,3.50,3,20"]);
        assert!(by_advertiser(&[], "EUR").is_none());
    }
}
