//! `export`: syncs streams into files in a folder, and the next run continues from there.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::ExportArguments;
use crate::commands::check::verdict;
use crate::commands::{Session, input, warn_of_skipped_days, within};
use crate::config::Config;
use crate::error::Result;
use crate::output::table::folder::{Folder, Manifest};
use crate::products::{self, Source, Stream};
use crate::protocol::airbyte::{ConfiguredStream, SyncMode};
use crate::read::ReadUntil;

impl Session {
    pub(crate) async fn export(&self, config: Config, what: &ExportArguments, default: &str) -> Result<ExitCode> {
        let configured_start = config.read.start_date;
        let config = within(config, &what.days)?;
        let streams = products::streams(&config.reports);
        let mut catalog = if what.streams.is_empty() {
            let readable = self.readable(&config, streams.clone()).await?;
            readable.iter().map(|stream| ConfiguredStream::new(&stream.name, Ok(SyncMode::Incremental), None)).collect()
        } else {
            if what.reset {
                // Nothing is deleted that cannot be read again.
                verdict(&self.run_checks(Ok(&config)).await?)?;
            }
            input::named(&what.streams, &streams)?
        };
        // Objects are replaced as a whole, so that deleted ones disappear.
        let is_object =
            |name: &str| streams.iter().any(|stream| stream.name == name && matches!(stream.source, Source::Entity(_)));
        for configured in &mut catalog {
            if is_object(&configured.name) {
                configured.sync_mode = Ok(SyncMode::FullRefresh);
            }
        }
        let manifest = Manifest::new(
            what.format,
            config.reports.currency.to_string(),
            config.reports.timezone.name().to_owned(),
            config.is_loopback(),
        );
        let mut folder = Folder::open(what.folder.as_deref().unwrap_or(Path::new(default)), &manifest)?;
        let is_known = |name: &str| streams.iter().any(|stream| stream.name == name);
        for configured in catalog.iter().filter(|configured| what.reset && is_known(&configured.name)) {
            folder.reset(&configured.name)?;
        }
        let unmerged = folder.merge_leftovers()?;
        let states = folder.states().clone();
        let reports = catalog.iter().filter(|configured| configured.sync_mode == Ok(SyncMode::Incremental));
        let reports = reports.map(|configured| configured.name.clone());
        warn_of_skipped_days(&what.days, configured_start, reports, &states);
        self.output.export_to(folder);
        catalog.retain(|configured| unmerged.iter().all(|(name, _)| *name != configured.name));
        let are_merged = unmerged.is_empty();
        for (name, error) in unmerged {
            self.output.reject_stream(name, error);
        }
        let code = self.read(&config, &catalog, &states, ReadUntil::All).await?;
        Ok(if are_merged { code } else { ExitCode::FAILURE })
    }

    /// The streams that the app may read, without log files, which are large.
    async fn readable(&self, config: &Config, streams: Vec<Stream>) -> Result<Vec<Stream>> {
        let report = self.run_checks(Ok(config)).await?;
        verdict(&report)?;
        let is_readable = |stream: &Stream| {
            !matches!(stream.source, Source::LogLevel) && !report.lacking.contains(&stream.permission)
        };
        Ok(streams.into_iter().filter(is_readable).collect())
    }
}
