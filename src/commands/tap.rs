//! Without a command: a Singer tap.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::cli::{AboutFormat, TapArguments, TestKind};
use crate::commands::check::verdict;
use crate::commands::read::select;
use crate::commands::refresh_token::Origin;
use crate::commands::{Session, input, log_warnings, parse_config, read_file};
use crate::config::{self, Config, secrets};
use crate::error::{Error, Result};
use crate::output::sink::batch;
use crate::products::{Stream, marketing};
use crate::protocol::airbyte::ConfiguredStream;
use crate::protocol::singer::{self, Settings, State, about};
use crate::read::ReadUntil;

/// As in the Singer SDK.
const ENVIRONMENT: &str = "TAP_CRITEO_";

const WITHOUT_STATE: &str = "Check the path, or omit --state to read everything from the start.";

impl Session {
    pub(crate) async fn tap(&self, tap: &TapArguments) -> Result<ExitCode> {
        if tap.about {
            self.output.document(match tap.format {
                AboutFormat::Text => about::text(),
                AboutFormat::Json => format!("{:#}", about::json()),
                AboutFormat::Markdown => about::markdown(),
            });
            return Ok(ExitCode::SUCCESS);
        }
        if tap.config.is_empty() {
            return Err(Error::config(
                "No command and no configuration given. Run it as an Airbyte source (source-criteo read --config …; \
                 see --help), or as a Singer tap with --config FILE (add --discover for the catalog).",
            ));
        }
        let all = self.tap_settings(&tap.config).await?;
        let mut settings = Settings::parse(&all)?;
        if tap.discover {
            // Streams do not depend on the key, which may not exist yet when users choose streams.
            let (options, warnings) = config::report_options(all)?;
            log_warnings(&warnings);
            let mut streams = marketing::streams(&options);
            if settings.uses_decimals {
                streams.iter_mut().for_each(singer::catalog::use_decimals);
            }
            self.output.document(singer::catalog::catalog(&streams));
            return Ok(ExitCode::SUCCESS);
        }
        let config = parse_config(&Value::Object(all.clone()).to_string())?;
        let streams = marketing::streams(&config.reports);
        let is_test = tap.test.is_some();
        if is_test {
            settings.batches = None;
        }
        let configured = match &tap.catalog {
            Some(path) => input::once(singer::catalog::parse_catalog(&read_file(path, "catalog").await?)?),
            None => singer::catalog::defaults(&streams),
        };
        warn_of_old_catalog(&streams, &configured);
        // Interrupted full reads may resume, unless ACTIVATE_VERSION is sent: then each sync must read every object.
        let sync_id = (!settings.activates_versions).then_some(0);
        let mut configured: Vec<_> =
            configured.into_iter().map(|configured| ConfiguredStream { sync_id, ..configured }).collect();
        if settings.uses_decimals {
            for stream in &mut configured {
                if let Some(own) = streams.iter().find(|own| own.name == stream.name) {
                    singer::catalog::use_decimals_in(&mut stream.properties, own);
                }
            }
        }
        if tap.test == Some(TestKind::Schema) {
            return self.print_schemas(&config, &configured);
        }
        if is_test {
            // A step that fails says more than every stream that fails because of it.
            verdict(&self.run_checks(Ok(&config)).await?)?;
        }
        let state = match &tap.state {
            Some(path) => State::parse(&input::state_text(path, WITHOUT_STATE).await?)?,
            None => State::default(),
        };
        let states = state.streams();
        if let Some(batches) = &settings.batches {
            batch::prepare(batches).map_err(|error| {
                Error::config(format!("batch_config.storage.root is not writable: {error}. Choose another folder."))
            })?;
        }
        self.report_to(tap.report.as_deref(), &config, "source-criteo as a Singer tap", &[])?;
        self.output.configure_singer(state, settings, is_test);
        let extent = if is_test { ReadUntil::FirstRecord } else { ReadUntil::All };
        self.read(&config, &configured, &states, extent).await
    }

    fn print_schemas(&self, config: &Config, configured: &[ConfiguredStream]) -> Result<ExitCode> {
        let (selected, refused) = select(config, configured);
        for selected in selected {
            self.output.document(singer::schema(&selected.stream, &|column| selected.wants(column)).to_string());
        }
        refused.into_iter().next().map_or(Ok(ExitCode::SUCCESS), |(_, error)| Err(error))
    }

    /// Merges the settings of all files; later ones win.
    async fn tap_settings(&self, files: &[std::path::PathBuf]) -> Result<Map<String, Value>> {
        let mut settings = Map::new();
        *self.origin.borrow_mut() = match files {
            [file] if file == Path::new("ENV") => Origin::Elsewhere("the environment"),
            [file] => Origin::of(file),
            _ => Origin::Elsewhere("several sources"),
        };
        for path in files {
            if path == Path::new("ENV") {
                settings.extend(environment());
                continue;
            }
            let text = read_file(path, "configuration").await?;
            // Before any error message can quote the text.
            secrets::mask_secrets_of(&text);
            settings.extend(config::parse_object(&text)?);
        }
        Ok(settings)
    }
}

/// Values that are JSON are parsed, except numbers, since ids are strings.
fn environment() -> Map<String, Value> {
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts
        .filter_map(|(name, value)| Some((name.strip_prefix(ENVIRONMENT)?.to_lowercase(), value)))
        // The level of the log, which is no setting.
        .filter(|(name, _)| name != "loglevel")
        .map(|(name, value)| {
            let parsed = serde_json::from_str(&value).ok().filter(|value: &Value| !value.is_number());
            (name, parsed.unwrap_or(Value::String(value)))
        })
        .collect()
}

/// Meltano keeps a catalog across upgrades and silently drops new columns.
fn warn_of_old_catalog(streams: &[Stream], configured: &[ConfiguredStream]) {
    let lacking = configured.iter().filter_map(|configured| {
        let stream = streams.iter().find(|stream| stream.name == configured.name)?;
        let columns = singer::catalog::lacking(stream, &configured.properties);
        (!columns.is_empty()).then(|| format!("{} ({})", stream.name, columns.join(", ")))
    });
    let lacking: Vec<_> = lacking.collect();
    if !lacking.is_empty() {
        tracing::warn!(
            "The catalog lacks columns that this release has: {}. Run discovery again to get them (meltano run \
             --refresh-catalog).",
            lacking.join("; ")
        );
    }
}
