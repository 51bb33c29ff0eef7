//! `discover`: prints the streams of a configuration. Needs no network.

use std::process::ExitCode;

use crate::commands::Session;
use crate::config::Config;
use crate::products;
use crate::protocol::airbyte;

impl Session {
    pub(crate) fn discover(&self, config: &Config) -> ExitCode {
        self.output.document(airbyte::catalog(&products::streams(&config.reports)).to_string());
        ExitCode::SUCCESS
    }
}
