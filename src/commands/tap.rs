//! Without a verb: a Singer tap.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::{Session, read_file};
use crate::cli::Tap;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::protocol::airbyte::{Configured, SyncMode};
use crate::protocol::singer::{self, State};
use crate::streams::catalog;

/// What settings in the environment begin with, as the Singer SDK wants it.
const ENVIRONMENT: &str = "TAP_CRITEO_";

impl Session {
    pub(super) async fn tap(&self, tap: &Tap) -> Result<ExitCode> {
        if tap.config.is_empty() {
            return Err(Error::config(
                "There is no command and no configuration. Call it as an Airbyte source (source-criteo read --config …; see \
                 --help), or as a Singer tap with --config FILE, and --discover for its catalog.",
            ));
        }
        let config = self.tap_config(tap).await?;
        if tap.discover {
            self.output.document(singer::catalog(&catalog::streams(&config)));
            return Ok(ExitCode::SUCCESS);
        }
        let configured = match &tap.catalog {
            Some(path) => singer::parse_catalog(&read_file(path, "catalog").await?)?,
            None => everything(&config),
        };
        let state = match &tap.state {
            Some(path) => State::parse(&read_file(path, "state").await?)?,
            None => State::default(),
        };
        let states = state.streams();
        self.output.carry(state);
        self.read(&config, &configured, &states).await
    }

    /// The settings of all files, of which later ones win.
    async fn tap_config(&self, tap: &Tap) -> Result<Config> {
        let mut settings = Map::new();
        for path in &tap.config {
            if path == Path::new("ENV") {
                settings.extend(environment());
                continue;
            }
            let text = read_file(path, "configuration").await?;
            // Before anything of it can be told.
            self.redactor.add_secrets_of(&text);
            match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
                Ok(Value::Object(object)) => settings.extend(object),
                _ => return self.parse_config(&text),
            }
        }
        self.parse_config(&Value::Object(settings).to_string())
    }
}

/// Settings of the environment; what is JSON is taken as such, unless it is a number: ids are texts.
fn environment() -> Map<String, Value> {
    let variables =
        std::env::vars().filter_map(|(name, value)| Some((name.strip_prefix(ENVIRONMENT)?.to_lowercase(), value)));
    variables
        .map(|(name, value)| {
            let parsed = serde_json::from_str(&value).ok().filter(|value: &Value| !value.is_number());
            (name, parsed.unwrap_or(Value::String(value)))
        })
        .collect()
}

fn everything(config: &Config) -> Vec<Configured> {
    let streams = catalog::streams(config).into_iter();
    streams
        .map(|stream| Configured {
            name: stream.name,
            sync_mode: Ok(SyncMode::Incremental),
            columns: None,
            sync_id: None,
        })
        .collect()
}
