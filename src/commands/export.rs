//! `export`: syncs streams into files in a folder, and the next run continues from there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use chrono::NaiveDate;

use crate::check::{CheckReport, Step, StepOutcome, StepResult};
use crate::cli::{Days, ExportArguments};
use crate::commands::check::{report, verdict};
use crate::commands::read::select;
use crate::commands::{Session, input, warn_of_skipped_days, within};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::calendar::{Window, days_after, days_before};
use crate::output::table::folder::{Folder, Manifest, format_of};
use crate::products::{self, Permission, Source, Stream};
use crate::protocol::airbyte::{ConfiguredStream, SyncMode};
use crate::read::ReadUntil;

/// The streams of a run.
struct Selection {
    catalog: Vec<ConfiguredStream>,
    /// Permissions that the app lacks, if all streams are exported that it may read.
    lacking: Option<Vec<Permission>>,
    /// Whether all advertisers can be read.
    is_complete: bool,
}

impl Session {
    pub(crate) async fn export(&self, config: Config, what: &ExportArguments, default: &str) -> Result<ExitCode> {
        let configured_start = config.read.start_date;
        let mut config = within(config, &what.days)?;
        let today = config.test.clock.today(config.reports.timezone);
        if let Some(first) = what.days.since.filter(|first| *first > today) {
            return Err(Error::config(format!("The first day, {first}, is in the future: today is {today}.")));
        }
        let streams = products::streams(&config.reports);
        let root = what.folder.as_deref().unwrap_or(Path::new(default));
        let options = [&what.days.options()[..], &[("folder", root.display().to_string())]].concat();
        self.report_to(what.report.as_deref(), &config, "source-criteo export", &options)?;
        let earlier = format_of(root);
        let Selection { mut catalog, lacking, is_complete } = if what.streams.is_empty() {
            self.readable(&mut config, &streams, what.reset, earlier.is_none()).await?
        } else {
            let catalog = input::named(&what.streams, &streams)?;
            refuse_unknown(&config, &catalog)?;
            if what.reset {
                // Nothing is deleted that cannot be read again.
                verdict(&self.run_checks(Ok(&config)).await?)?;
            }
            Selection { catalog, lacking: None, is_complete: true }
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
            what.format.or(earlier).unwrap_or_default(),
            config.reports.currency.to_string(),
            config.reports.timezone.name().to_owned(),
            config.is_loopback(),
        );
        let mut folder = Folder::open(root, &manifest)?;
        for configured in catalog.iter().filter(|_| what.reset) {
            folder.reset(&configured.name)?;
        }
        let unmerged = folder.merge_leftovers()?;
        catalog.retain(|configured| unmerged.iter().all(|(name, _)| *name != configured.name));
        // Also of other streams, which have views, too.
        for stream in &streams {
            folder.reread_missing(stream)?;
        }
        if config.read.scope_ids.is_empty() {
            folder.reads_all(config.product().scope().many);
        }
        let states = folder.states().clone();
        let reports = catalog.iter().filter(|configured| configured.sync_mode == Ok(SyncMode::Incremental));
        let reports: Vec<_> = reports.map(|configured| configured.name.clone()).collect();
        warn_of_skipped_days(&what.days, configured_start, reports.iter().cloned(), &states);
        let kept = streams.iter().filter(|stream| reports.contains(&stream.name) && states.contains_key(&stream.name));
        tell_earlier_days(&what.days, kept, &folder);
        let is_current = lacking.is_none_or(|lacking| warn_of_stale_tables(&folder, &streams, &lacking));
        self.output.export_to(folder);
        let are_merged = unmerged.is_empty();
        for (name, error) in unmerged {
            self.output.reject_stream(name, error);
        }
        let code = self.read(&config, &catalog, &states, ReadUntil::All).await?;
        Ok(if are_merged && is_complete && is_current { code } else { ExitCode::FAILURE })
    }

    /// The streams that the app may read, without what is large or needs very many requests. Advertisers without consent are
    /// skipped.
    async fn readable(
        &self,
        config: &mut Config,
        streams: &[Stream],
        is_reset: bool,
        is_first: bool,
    ) -> Result<Selection> {
        let checked = self.check_for_export(config, is_first).await?;
        let has_failed = |step: Step| {
            checked.results.iter().any(|result| result.step == step && matches!(result.outcome, StepOutcome::Failed(_)))
        };
        let is_about_others =
            Step::ALL.iter().any(|step| has_failed(*step) && !matches!(step, Step::Advertisers | Step::CustomReports));
        // Without any advertiser, the later steps are skipped.
        let is_cut = checked.results.iter().any(|result| matches!(result.outcome, StepOutcome::Skipped));
        if is_reset || is_about_others || is_cut {
            verdict(&checked)?;
        }
        let is_complete = !has_failed(Step::Advertisers);
        if !is_complete {
            config.read.skip_inaccessible = true;
        }
        let is_readable = |stream: &&Stream| stream.is_usual() && !checked.lacking.contains(&stream.permission);
        let catalog = streams.iter().filter(is_readable);
        let catalog = catalog.map(|stream| ConfiguredStream::new(&stream.name, Ok(SyncMode::Incremental), None));
        Ok(Selection { catalog: catalog.collect(), lacking: Some(checked.lacking.clone()), is_complete })
    }

    /// Checks the configuration. A later export shows the steps only if one fails, or if the API version expires.
    async fn check_for_export(&self, config: &Config, is_first: bool) -> Result<CheckReport> {
        let mut hidden = Vec::new();
        let mut is_shown = is_first;
        let mut on_result = |result: &StepResult| {
            is_shown |= matches!(result.outcome, StepOutcome::Failed(_));
            let is_notable = result.step == Step::App && matches!(result.outcome, StepOutcome::Warning(_));
            if is_shown {
                hidden.drain(..).for_each(|result| report(&result));
                report(result);
            } else if is_notable {
                report(result);
            } else {
                hidden.push(result.clone());
            }
        };
        self.check_quietly(Ok(config), &mut on_result).await
    }
}

/// Refuses names of unknown streams together, before anything is read.
fn refuse_unknown(config: &Config, catalog: &[ConfiguredStream]) -> Result<()> {
    let (_, refused) = select(config, catalog);
    let mut messages = refused.iter().map(|(_, error)| error.message.as_str());
    match messages.next() {
        None => Ok(()),
        Some(first) => Err(Error::config(messages.fold(first.to_owned(), |all, next| format!("{all}\n{next}")))),
    }
}

/// Reports `--since` before a table's first day: which days the run adds, and which stay missing before that day.
fn tell_earlier_days<'a>(days: &Days, reports: impl Iterator<Item = &'a Stream>, folder: &Folder) {
    let Some(since) = days.since else { return };
    let mut names_by_first: BTreeMap<NaiveDate, Vec<&str>> = BTreeMap::new();
    for stream in reports {
        let first = stream.cursor().and_then(|cursor| folder.first_day(&stream.name, cursor));
        if let Some(first) = first.filter(|first| since < *first) {
            names_by_first.entry(first).or_default().push(&stream.name);
        }
    }
    for (first, names) in names_by_first {
        let names = names.join(", ");
        let missing = days.until.map(|until| Window { start: days_after(until, 1), end: days_before(first, 1) });
        if let Some(missing) = missing.filter(|missing| missing.start <= missing.end) {
            tracing::warn!(
                "This run does not read {missing}, and the folder has no rows of these days in {names}: its first day \
                 is {first}. No later run reads them by itself. Run the export again with `--since {} --until {}`.",
                missing.start,
                missing.end
            );
        } else {
            tracing::info!("The history of {names} starts earlier from now on, on {since} instead of {first}.");
        }
    }
}

/// Names tables in the folder that an export of all streams no longer updates. Returns whether the app may read them
/// all.
fn warn_of_stale_tables(folder: &Folder, streams: &[Stream], lacking: &[Permission]) -> bool {
    let tables = folder.table_names();
    let mut is_current = true;
    for permission in lacking {
        let is_of_it = |stream: &&Stream| stream.permission == *permission && tables.contains(&stream.name);
        let names: Vec<_> = streams.iter().filter(is_of_it).map(|stream| stream.name.as_str()).collect();
        if !names.is_empty() {
            is_current = false;
            tracing::warn!(
                "The app no longer has the permission \"{}\", so these tables are no longer updated: {}. Use an app \
                 that has it, or name the other streams with --streams.",
                permission.label(),
                names.join(", ")
            );
        }
    }
    let is_unknown = |name: &&String| streams.iter().all(|stream| stream.name != **name);
    let unknown: Vec<_> = tables.iter().filter(is_unknown).map(String::as_str).collect();
    if !unknown.is_empty() {
        tracing::warn!(
            "The configuration has no reports for these tables, so they are no longer updated: {}. If a report was \
             renamed, its rows are in a new table.",
            unknown.join(", ")
        );
    }
    is_current
}
