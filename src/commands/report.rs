//! `--report`: a page about the run.

use std::path::Path;

use crate::commands::Session;
use crate::config::Config;
use crate::error::Result;
use crate::output::report_page::{About, ReportPage};
use crate::support::redact;

impl Session {
    /// Writes a page about this run to a file when it ends. `options` are the command's own.
    pub(crate) fn report_to(
        &self,
        path: Option<&Path>,
        config: &Config,
        command: &str,
        options: &[(&str, String)],
    ) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let options = options.iter().filter(|(_, value)| !value.is_empty());
        let options = options.map(|(name, value)| ((*name).to_owned(), redact::line(value)));
        let page = ReportPage::open(
            path,
            About {
                command: command.to_owned(),
                started: config.test.clock.now(),
                currency: config.reports.currency.to_string(),
                timezone: config.reports.timezone.name().to_owned(),
                settings: config.document.without_secrets().into_iter().chain(options).collect(),
            },
        )?;
        self.output.report_to(page);
        Ok(())
    }
}
