//! `demo`: runs a command against the built-in sandbox, without a configuration.

use std::path::Path;
use std::process::ExitCode;

use chrono::{Days, NaiveTime};
use criteo_sandbox::{Options, Sandbox};
use serde_json::json;

use crate::cli::DemoCommand;
use crate::commands::{Session, input, parse_config, read_file};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::products::marketing;
use crate::protocol::airbyte::{self, ConfiguredStream, SyncMode};
use crate::read::ReadUntil;
use crate::state::saved::States;

const DAYS: u64 = 14;

impl Session {
    pub(crate) async fn demo(&self, command: DemoCommand) -> Result<ExitCode> {
        let options = Options::default();
        let now = options.today.and_time(NaiveTime::MIN).and_utc() + chrono::TimeDelta::hours(12);
        let mut config = json!({
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "currency": "EUR",
            "start_date": options.today - Days::new(DAYS),
            "now": now,
            "custom_reports": [{
                "name": "devices",
                "dimensions": ["Campaign", "Device", "Day"],
                "metrics": ["Displays", "Clicks", "AdvertiserCost"],
            }],
        });
        let sandbox = Sandbox::start(options)
            .map_err(|error| Error::system(format!("The sandbox cannot start on this machine: {error}.")))?;
        config["api_base_url"] = json!(sandbox.url());
        let config = parse_config(&config.to_string());
        match command {
            DemoCommand::Spec => Ok(self.spec()),
            DemoCommand::Check => self.check(config, false).await,
            DemoCommand::Preview { what } => self.preview(config?, &what).await,
            #[cfg(feature = "files")]
            DemoCommand::Export { what } => self.export(config?, &what, "criteo-demo").await,
            DemoCommand::Report { file } => self.demo_report(&config?, &file).await,
            DemoCommand::Discover => Ok(self.discover(&config?)),
            DemoCommand::Read { catalog, state } => {
                let config = config?;
                let catalog = match catalog {
                    Some(path) => input::once(airbyte::parse_catalog(&read_file(&path, "catalog").await?)?),
                    None => every_stream(&config),
                };
                let states =
                    input::states(state.as_deref(), "Check the path, or omit --state for a first sync.").await?;
                self.read(&config, &catalog, &states, ReadUntil::All).await
            }
        }
    }

    /// Reads every stream, and writes only the report.
    async fn demo_report(&self, config: &Config, file: &Path) -> Result<ExitCode> {
        self.report_to(Some(file), config, "source-criteo demo report", &[])?;
        self.read(config, &every_stream(config), &States::new(), ReadUntil::All).await
    }
}

fn every_stream(config: &Config) -> Vec<ConfiguredStream> {
    let streams = marketing::streams(&config.reports).into_iter();
    streams.map(|stream| ConfiguredStream::new(&stream.name, Ok(SyncMode::Incremental), None)).collect()
}
