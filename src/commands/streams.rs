//! `streams`: lists the streams as a table.

use std::process::ExitCode;

use serde_json::Value;

use super::Session;
use crate::config::Config;
use crate::error::Result;
use crate::streams::{ASSUMED, catalog};
use crate::table::{Format, Table};
use crate::terminal::Terminal;

impl Session {
    pub(super) fn streams(&self, config: &Config, format: Format) -> Result<ExitCode> {
        let mut table = Table::new(["stream", "permission", "history", "cursor", "key"]);
        for stream in catalog::streams(config) {
            let cursor = stream.cursor().unwrap_or_default().to_owned();
            let permission = stream.permission.label().to_owned();
            // The full word would leave no room for the keys in a terminal of 120 columns.
            let (key, history) = (stream.primary_key.join(", "), stream.history().replace(ASSUMED, "?"));
            table.push([stream.name, permission, history, cursor, key].map(Value::from).to_vec());
        }
        Ok(self.print(&table.render(format, Terminal::of_stdout().map(Terminal::width))?))
    }
}
