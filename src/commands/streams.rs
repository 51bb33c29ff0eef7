//! `streams`: lists the streams as a table.

use std::process::ExitCode;

use serde_json::Value;

use crate::commands::Session;
use crate::error::Result;
use crate::products::report::ReportOptions;
use crate::products::{self, ASSUMED};
use crate::support::table::{Format, Table};
use crate::support::terminal::Terminal;

impl Session {
    pub(crate) fn streams(&self, options: &ReportOptions, format: Format) -> Result<ExitCode> {
        let mut table = Table::new(["stream", "permission", "history", "cursor", "key"]);
        for stream in products::streams(options) {
            let cursor = stream.cursor().unwrap_or_default().to_owned();
            let permission = stream.permission.label().to_owned();
            // The full word would take the space of the keys in a terminal of 120 columns.
            let (key, history) = (stream.primary_key.join(", "), stream.history().replace(ASSUMED, "?"));
            table.push([stream.name, permission, history, cursor, key].map(Value::from).to_vec());
        }
        Ok(self.print(&table.render(format, Terminal::stdout().map(Terminal::width))?))
    }
}
