//! `spec`: prints the specification of the settings. Needs no configuration and no network.

use std::process::ExitCode;

use crate::commands::Session;
use crate::config::SPEC;
use crate::protocol::airbyte;

impl Session {
    pub(crate) fn spec(&self) -> ExitCode {
        self.output.document(airbyte::spec(&SPEC).to_string());
        ExitCode::SUCCESS
    }
}
