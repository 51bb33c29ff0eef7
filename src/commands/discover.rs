//! `discover`: prints the streams of a configuration. Needs no network.

use std::process::ExitCode;

use super::Session;
use crate::config::Config;
use crate::protocol::airbyte;
use crate::streams::catalog;

impl Session {
    pub(super) fn discover(&self, config: &Config) -> ExitCode {
        self.output.message(airbyte::catalog(&catalog::streams(config)));
        ExitCode::SUCCESS
    }
}
