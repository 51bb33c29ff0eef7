//! `read`: syncs the selected streams.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use crate::commands::Session;
use crate::commands::refresh_token::Keeper;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Auth, Client, RetryProfile};
use crate::products::{Stream, marketing};
use crate::protocol::airbyte::ConfiguredStream;
use crate::protocol::singer;
use crate::read::{self, Expected, ReadUntil, SelectedStream};
use crate::state::saved::States;
use crate::support::table::Table;
use crate::support::terminal::{Terminal, WIDEST, wrapped};
use crate::support::{suggest, watchdog};
use crate::telemetry::{current_stream, stream_span};

/// What to do after a read at a terminal, which shows no records.
pub(crate) const NEXT_STEP: &str = "At a terminal, records are counted and not printed, and no state is kept. Next: `source-criteo export` \
     for files, `> records.jsonl` or --json for Airbyte messages, `source-criteo preview` for rows.";

impl Session {
    pub(crate) async fn read(
        &self,
        config: &Config,
        catalog: &[ConfiguredStream],
        states: &States,
        extent: ReadUntil,
    ) -> Result<ExitCode> {
        let (selected, refused) = select(config, catalog);
        let refusals = refused.len();
        for (name, error) in refused {
            self.output.reject_stream(name, error);
        }
        let incomplete = if selected.is_empty() {
            0
        } else {
            let client = self.client(config, RetryProfile::Sync)?;
            tokio::select! {
                biased;
                incomplete = read::read(&client, &self.output, config, &selected, states, extent) => incomplete,
                error = watchdog::stalled(config.test.stall_after) => return Err(error),
            }
        };
        Ok(if incomplete + refusals == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(crate) async fn dry_run(
        &self,
        config: &Config,
        catalog: &[ConfiguredStream],
        states: &States,
    ) -> Result<ExitCode> {
        let (selected, refused) = select(config, catalog);
        for (_, error) in &refused {
            tracing::error!("{error}");
        }
        let client = self.client(config, RetryProfile::Sync)?;
        let forecast = read::dry_run(&client, &self.output, config, &selected, states).await?;
        if self.is_airbyte {
            for Expected { stream, text, rows } in &forecast.streams {
                let _span = stream_span(stream).entered();
                match text {
                    Ok(text) => tracing::info!("{text}"),
                    Err(error) => tracing::error!("{error}"),
                }
                if let Some(rows) = rows {
                    self.output.estimate(stream, *rows);
                }
            }
            tracing::info!("{}", forecast.total);
        } else {
            let mut table = Table::new(["stream", "a sync would request"]);
            for Expected { stream, text, .. } in &forecast.streams {
                let text = text.as_ref().map_or_else(ToString::to_string, Clone::clone);
                table.push([stream.clone(), text].map(Value::from).to_vec());
            }
            let terminal = Terminal::stdout();
            let width = terminal.map(Terminal::width);
            let total = wrapped(&forecast.total, width.unwrap_or(WIDEST).min(WIDEST)).join("\n");
            self.print(&format!("{}\n\n{total}", table.aligned(width)));
        }
        Ok(if forecast.can_be_read() && refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(crate) fn client(&self, config: &Config, profile: RetryProfile) -> Result<Arc<Client>> {
        let keeper = Keeper::new(config, &self.origin.borrow(), self.output.clone(), self.is_airbyte);
        let output = self.output.clone();
        let on_wait = Box::new(move |wait| output.rate_limited(wait));
        let output = self.output.clone();
        let on_response = Box::new(move |stats| output.response(current_stream(), stats));
        Client::new(config, profile, Auth::new(config, Box::new(keeper)), on_wait, on_response)
    }
}

/// The streams selected by a catalog, and the names and errors of those that cannot be read.
pub(crate) fn select(config: &Config, catalog: &[ConfiguredStream]) -> (Vec<SelectedStream>, Vec<(String, Error)>) {
    let streams = marketing::streams(&config.reports);
    let (mut selected, mut refused) = (Vec::new(), Vec::new());
    for configured in catalog {
        match find(configured, &streams) {
            Ok(stream) => selected.push(stream),
            Err(error) => refused.push((configured.name.clone(), error)),
        }
    }
    (selected, refused)
}

fn find(configured: &ConfiguredStream, streams: &[Stream]) -> Result<SelectedStream> {
    let Some(stream) = streams.iter().find(|stream| stream.name == configured.name) else {
        let hint = suggest::did_you_mean(&configured.name, streams.iter().map(|stream| stream.name.as_str()));
        if !configured.is_from_catalog {
            return Err(Error::config(format!(
                "Unknown stream {}.{hint} Run `source-criteo streams` for the list.",
                configured.name
            )));
        }
        return Err(Error::config(format!(
            "Unknown stream {}.{hint} If it is in a catalog, refresh the connection's schema. If it was a custom \
             report, it may have been renamed or removed.",
            configured.name
        )));
    };
    match &configured.sync_mode {
        Ok(sync_mode) => {
            let mut stream = stream.clone();
            singer::catalog::retype(&mut stream, &configured.properties);
            let columns = configured.columns.clone();
            Ok(SelectedStream { stream, sync_mode: *sync_mode, columns, sync_id: configured.sync_id })
        }
        Err(other) => Err(Error::config(format!(
            "The catalog selects the stream {} with the unknown sync mode {other}. Use full_refresh or incremental \
             (Singer: FULL_TABLE or INCREMENTAL).",
            configured.name
        ))),
    }
}
