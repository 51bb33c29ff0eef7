//! `read`: syncs the selected streams.

use std::process::ExitCode;
use std::sync::Arc;

use super::Session;
use super::refresh_token::Keeper;
use crate::api::{Auth, Client, Patience};
use crate::config::Config;
use crate::engine::saved::States;
use crate::engine::{self, Extent, Selected};
use crate::error::{Error, Result};
use crate::protocol::airbyte::Configured;
use crate::protocol::singer;
use crate::streams::{Stream, catalog};
use crate::{suggest, watchdog};

impl Session {
    pub(super) async fn read(
        &self,
        config: &Config,
        catalog: &[Configured],
        states: &States,
        extent: Extent,
    ) -> Result<ExitCode> {
        let (selected, refused) = select(config, catalog);
        let refusals = refused.len();
        for (name, error) in refused {
            self.output.refuse(name, error);
        }
        let incomplete = if selected.is_empty() {
            0
        } else {
            let client = self.client(config, Patience::Sync)?;
            tokio::select! {
                biased;
                incomplete = engine::read(&client, &self.output, config, &selected, states, extent) => incomplete,
                error = watchdog::stalled(config.stall_after) => return Err(error),
            }
        };
        Ok(if incomplete + refusals == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(super) async fn dry_run(&self, config: &Config, catalog: &[Configured], states: &States) -> Result<ExitCode> {
        let (selected, refused) = select(config, catalog);
        for (_, error) in &refused {
            tracing::error!("{error}");
        }
        let client = self.client(config, Patience::Sync)?;
        let can_be_read = engine::dry_run(&client, &self.output, config, &selected, states).await?;
        Ok(if can_be_read && refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(super) fn client(&self, config: &Config, patience: Patience) -> Result<Arc<Client>> {
        let keeper = Keeper::new(config, &self.origin.borrow(), self.output.clone(), self.is_airbyte);
        let output = self.output.clone();
        let on_wait = Box::new(move |wait| output.waiting(wait));
        let output = self.output.clone();
        let on_answer = Box::new(move |answered| output.answer(answered));
        Client::new(config, patience, Auth::new(config, Box::new(keeper)), on_wait, on_answer)
    }
}

/// The streams selected by a catalog, and the names and errors of those that cannot be read.
pub(super) fn select(config: &Config, catalog: &[Configured]) -> (Vec<Selected>, Vec<(String, Error)>) {
    let streams = catalog::streams(config);
    let (mut selected, mut refused) = (Vec::new(), Vec::new());
    for configured in catalog {
        match find(configured, &streams) {
            Ok(stream) => selected.push(stream),
            Err(error) => refused.push((configured.name.clone(), error)),
        }
    }
    (selected, refused)
}

fn find(configured: &Configured, streams: &[Stream]) -> Result<Selected> {
    let Some(stream) = streams.iter().find(|stream| stream.name == configured.name) else {
        let hint = suggest::did_you_mean(&configured.name, streams.iter().map(|stream| stream.name.as_str()));
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
            Ok(Selected { stream, sync_mode: *sync_mode, columns, sync_id: configured.sync_id })
        }
        Err(other) => Err(Error::config(format!(
            "The catalog selects the stream {} with the unknown sync mode {other}. Use full_refresh or incremental \
             (Singer: FULL_TABLE or INCREMENTAL).",
            configured.name
        ))),
    }
}
