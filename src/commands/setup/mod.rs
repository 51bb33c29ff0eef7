//! `setup`: creates a working configuration, with a walkthrough of Criteo's developer portal.

mod account;
mod guide;
mod key_file;
mod places;
mod prompts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::check::CheckReport;
use crate::cli::SetupArguments;
use crate::commands::check::verdict;
use crate::commands::setup::guide::Guide;
use crate::commands::{Session, log_warnings, parse_config, read_file};
use crate::config::{self, report_options};
use crate::error::{Error, Result};
use crate::model::product::Product;
use crate::products::{self, Permission, Stream};
use crate::protocol::airbyte;
use crate::support::files;
use crate::support::table::Format;
use crate::support::terminal::Terminal;

/// The file that other commands look for.
const DEFAULT_FILE: &str = "criteo.json";

impl Session {
    pub(crate) async fn setup(&self, arguments: SetupArguments) -> Result<ExitCode> {
        let terminal = Terminal::stderr().filter(Terminal::is_interactive);
        // Check the command line before sending the user through the portal.
        check_flags(&arguments, terminal.is_some())?;
        let guide = terminal.map(|terminal| Guide::new(self, terminal, &arguments));
        let mut has_chosen_advertisers = !arguments.advertisers.is_empty();
        let (file, config) = match &guide {
            Some(guide) => {
                let made = guide.ask().await?;
                has_chosen_advertisers |= made.has_chosen_advertisers;
                (made.file, made.config)
            }
            None => unattended(&arguments).await?,
        };
        parse_config(&Value::Object(config.clone()).to_string())?;
        write_config(&file, config)?;
        say(terminal, &format!("Wrote {}; only you can read it.", file.display()));
        let report = self.check_until_it_passes(&file, terminal).await?;
        if let Err(error) = verdict(&report) {
            if terminal.is_none() {
                tracing::error!("{error}");
            }
            say(terminal, &format!("Fix that, then retry: source-criteo check --config {}", file.display()));
            return Ok(ExitCode::FAILURE);
        }
        if let (Some(guide), false) = (&guide, has_chosen_advertisers) {
            // The key did not work yet when the questions were asked.
            let chosen = guide.advertisers(self.account(&self.config(&file).await?).await.as_ref()).await?;
            if let Some(ids) = chosen {
                let mut config = config::parse_object(&read_file(&file, "configuration").await?)?;
                config.insert(product_of(&arguments).scope().setting.to_owned(), json!(ids));
                write_config(&file, config)?;
            }
        }
        if let Some(path) = &arguments.catalog {
            let streams: Vec<_> = products::streams(&self.config(&file).await?.reports)
                .into_iter()
                .filter(|stream| stream.is_selected_by_default() && !report.lacking.contains(&stream.permission))
                .collect();
            write_catalog(path, &streams)?;
        }
        if let (Some(terminal), false) = (terminal, report.lacking.contains(&Permission::Analytics))
            && product_of(&arguments) == Product::MarketingSolutions
        {
            self.show_yesterdays_spend(&file, terminal).await?;
        }
        say(terminal, &format!("Ready. Next: {}", next_command(&file, &arguments)));
        Ok(ExitCode::SUCCESS)
    }

    /// Checks the configuration; at a terminal, again until it passes or the user gives up.
    async fn check_until_it_passes(&self, file: &Path, terminal: Option<Terminal>) -> Result<CheckReport> {
        loop {
            // Read the file again, since the user may have fixed it there.
            let report = self.run_checks(self.config(file).await.as_ref().map_err(Error::clone)).await?;
            if terminal.is_none() || verdict(&report).is_ok() {
                return Ok(report);
            }
            if !prompts::confirm("Fix it there or in the file. Check again?", true).await? {
                return Ok(report);
            }
        }
    }

    async fn show_yesterdays_spend(&self, file: &Path, terminal: Terminal) -> Result<()> {
        let config = self.config(file).await?;
        let zone = config.reports.timezone;
        match self.yesterdays_spend(config).await {
            Ok(spend) => {
                let Some(table) = spend.table else {
                    terminal.paragraph(&format!("No displays and no spend on {} ({zone}).", spend.day));
                    return Ok(());
                };
                terminal.heading(&format!("Yesterday, {} ({zone})", spend.day));
                terminal.line(&table.render(Format::Table, Some(terminal.width()))?);
                terminal.line("");
            }
            Err(error) => terminal.paragraph(&format!("Yesterday's spend cannot be shown: {error}")),
        }
        Ok(())
    }
}

/// Rejects contradicting flags and existing files. At a terminal, `setup` asks for another configuration file instead.
fn check_flags(arguments: &SetupArguments, is_asked: bool) -> Result<()> {
    let mut settings = Map::new();
    add(&mut settings, arguments, arguments.currency.as_deref());
    log_warnings(&report_options(settings)?.1);
    let files = [&arguments.key_file, &Some(arguments.config.clone()), &arguments.catalog];
    let files: Vec<_> = files.into_iter().flatten().collect();
    if let Some(twice) = files.iter().enumerate().find(|(index, path)| files[..*index].contains(path)) {
        return Err(Error::config(format!("{} is given twice. Choose different files.", twice.1.display())));
    }
    let taken = [Some(&arguments.config).filter(|_| !is_asked), arguments.catalog.as_ref()];
    match taken.into_iter().flatten().find(|path| path.exists() && !arguments.force) {
        Some(path) => Err(Error::config(format!(
            "{} already exists. Choose another file with --config or --catalog, or overwrite it with --force.",
            path.display()
        ))),
        None => Ok(()),
    }
}

fn write_config(path: &Path, config: Map<String, Value>) -> Result<()> {
    let text = format!("{:#}\n", Value::Object(config));
    files::write(path, &text).map_err(|error| cannot_write(path, &error))
}

fn write_catalog(path: &Path, streams: &[Stream]) -> Result<()> {
    let catalog = format!("{:#}\n", airbyte::configured_catalog(streams));
    files::write(path, &catalog).map_err(|error| cannot_write(path, &error))
}

/// The command that gets data.
fn next_command(config: &Path, arguments: &SetupArguments) -> String {
    let is_default = config == Path::new(DEFAULT_FILE);
    let named = format!(" --config {}", config.display());
    match &arguments.catalog {
        Some(catalog) => format!("source-criteo read{named} --catalog {}", catalog.display()),
        None if cfg!(feature = "files") => {
            format!("source-criteo export{}", if is_default { "" } else { named.as_str() })
        }
        None => {
            let stream = match product_of(arguments) {
                Product::MarketingSolutions => "campaign_statistics_daily",
                Product::RetailMedia => "rm_campaigns",
            };
            format!("source-criteo preview {stream}{named}")
        }
    }
}

fn say(terminal: Option<Terminal>, text: &str) {
    if let Some(terminal) = terminal {
        terminal.paragraph(text);
    } else {
        tracing::info!("{text}");
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("{} cannot be written: {error}. Choose another path.", path.display()))
}

/// Takes everything from the command line; missing flags are reported together.
async fn unattended(arguments: &SetupArguments) -> Result<(PathBuf, Map<String, Value>)> {
    let has_currency = arguments.currency.is_some() || product_of(arguments) == Product::RetailMedia;
    let missing: Vec<_> = [("--key-file", arguments.key_file.is_some()), ("--currency", has_currency)]
        .into_iter()
        .filter_map(|(flag, is_there)| (!is_there).then_some(flag))
        .collect();
    let (Some(key_file), true) = (&arguments.key_file, has_currency) else {
        return Err(Error::config(format!(
            "Without a terminal, setup needs {}. partners.criteo.com downloads the key file when you press \"Create \
             new key\"; `source-criteo help credentials` has the steps.",
            missing.join(" and ")
        )));
    };
    let mut config = key_file::read(key_file).await?;
    if let Some(mode) = key_file::mode_if_shared(key_file) {
        tracing::warn!("{} Run `chmod 600` on it.", key_file::shared(key_file, mode));
    }
    add(&mut config, arguments, arguments.currency.as_deref());
    Ok((arguments.config.clone(), config))
}

/// The product that the command line names.
fn product_of(arguments: &SetupArguments) -> Product {
    Product::of_setting(&arguments.product).unwrap_or_default()
}

fn add(config: &mut Map<String, Value>, arguments: &SetupArguments, currency: Option<&str>) {
    let product = product_of(arguments);
    if product == Product::RetailMedia {
        config.insert("product".to_owned(), json!(product.setting()));
    }
    if let Some(currency) = currency {
        config.insert("currency".to_owned(), json!(currency.trim().to_uppercase()));
    }
    if !arguments.advertisers.is_empty() {
        config.insert(product.scope().setting.to_owned(), json!(arguments.advertisers));
    }
    for (name, value) in [
        ("timezone", &arguments.timezone),
        ("start_date", &arguments.start_date),
        ("api_base_url", &arguments.api_base_url),
    ] {
        if let Some(value) = value {
            config.insert(name.to_owned(), json!(value));
        }
    }
}
