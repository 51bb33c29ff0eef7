//! `check`: does the configuration work? The answer is a message, so the exit code is 0 either way.

use std::process::ExitCode;

use super::Session;
use crate::config::Config;
use crate::engine;
use crate::error::{Kind, Result};
use crate::protocol::airbyte;

impl Session {
    pub(super) async fn check(&self, config: Result<Config>) -> Result<ExitCode> {
        let outcome = match config {
            Ok(config) => self.try_out(&config).await,
            Err(error) => Err(error),
        };
        match outcome {
            // Not the user's fault and not Criteo's: the protocol wants a trace and no status.
            Err(error) if error.kind == Kind::System => return Err(error),
            outcome => self.output.message(airbyte::connection_status(&outcome)),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn try_out(&self, config: &Config) -> Result<String> {
        let client = self.client(config)?;
        client.authenticate().await?;
        let portfolio = engine::portfolio(&client, config).await?;
        match portfolio.missing_error() {
            Some(error) => Err(error),
            None => Ok(format!(
                "The credentials work. {} of {} advertisers with consent will be read.",
                portfolio.advertisers.len(),
                portfolio.consenting.len()
            )),
        }
    }
}
