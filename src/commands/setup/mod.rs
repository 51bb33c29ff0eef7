//! `setup`: creates a working configuration, with a walkthrough of Criteo's developer portal.

mod key_file;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::cli::SetupArguments;
use crate::commands::check::verdict;
use crate::commands::{Session, log_warnings, parse_config, read_bytes};
use crate::config::{SPEC, report_options, secrets};
use crate::error::{Error, Result};
use crate::model::product::Product;
use crate::products::{self, Permission, Stream};
use crate::protocol::airbyte;
use crate::support::clock::Clock;
use crate::support::terminal::Terminal;
use crate::support::{files, redact};

/// The steps in the portal. The code of a step asks its questions after the text.
const STEPS: &[(&str, &str)] = &[
    (
        "Create an app",
        "Log in to https://partners.criteo.com with a partner account; the app will belong to its organization. Press \
         \"Create a new app\" (or the + next to \"My Apps\"). Any name works; a descriptive one helps the person who \
         grants consent.",
    ),
    ("Choose how it logs in", "Choose \"Client credentials\"."),
    (
        "Choose the service",
        "Choose \"C-Growth and marketing solutions\" (also called \"Marketing Solutions\" or \"C-Growth\"), and save.",
    ),
    (
        "Grant permissions",
        "Under \"Authorization\", grant only Read for: PERMISSIONS. Save. The next step freezes them.",
    ),
    ("Activate it", "Press \"Activate app\" and confirm."),
    (
        "Create a key",
        "Press \"Create new key\". Your browser downloads a text file with the client ID (or API key) and the secret. \
         Criteo shows the secret only once, so keep the file safe. An app can have at most five keys.",
    ),
    (
        "Ask for consent",
        "Press \"Generate new URL\" and copy the link. It works once and expires after 30 days. An administrator, \
         business manager or technical manager of the Criteo account must open it. If an older consent blocks it, \
         revoke that on consent.criteo.com first.",
    ),
];

/// What an app for Retail Media replaces in the steps.
const SERVICE: &str = "\"C-Growth and marketing solutions\" (also called \"Marketing Solutions\" or \"C-Growth\")";

/// The age of an older key explains no failure.
const YOUNG: Duration = Duration::from_mins(15);

/// Sent to the person who grants consent. A test compares it with `docs/credentials.md`.
const CONSENT: &str = include_str!("consent.txt");

impl Session {
    pub(crate) async fn setup(&self, arguments: SetupArguments) -> Result<ExitCode> {
        let terminal = Terminal::stderr().filter(Terminal::is_interactive);
        // Check the command line before sending the user through the portal.
        check_flags(&arguments, terminal.is_some())?;
        let (file, config) = match terminal {
            Some(terminal) => Guide { terminal }.ask(&arguments).await?,
            None => unattended(&arguments).await?,
        };
        let text = format!("{:#}\n", Value::Object(config));
        parse_config(&text)?;
        files::write(&file, &text).map_err(|error| cannot_write(&file, &error))?;
        say(terminal, &format!("Wrote {}; only you can read it.", file.display()));
        // Read the file again, since the user may have fixed it there.
        let mut report = self.run_checks(self.config(&file).await.as_ref().map_err(Error::clone)).await?;
        while let (Some(terminal), Err(_)) = (terminal, verdict(&report)) {
            let response = ask(terminal, "Fix it there or in the file, then press Enter to retry (q to quit):").await?;
            if response.starts_with('q') {
                break;
            }
            report = self.run_checks(self.config(&file).await.as_ref().map_err(Error::clone)).await?;
        }
        if let Err(error) = verdict(&report) {
            if terminal.is_none() {
                tracing::error!("{error}");
            }
            say(terminal, &format!("Fix that, then retry: source-criteo check --config {}", file.display()));
            return Ok(ExitCode::FAILURE);
        }
        let streams: Vec<_> = products::streams(&self.config(&file).await?.reports)
            .into_iter()
            .filter(|stream| stream.is_selected_by_default() && !report.lacking.contains(&stream.permission))
            .collect();
        let written = match (&arguments.catalog, terminal) {
            (Some(path), _) => {
                Some(path.clone()).map(|path| write_catalog(&path, &streams).map(|()| path)).transpose()?
            }
            (None, Some(terminal)) => offer_catalog(terminal, &streams).await?,
            (None, None) => None,
        };
        let next = match written {
            Some(path) => format!("read --config {} --catalog {}", file.display(), path.display()),
            None => format!("discover --config {}", file.display()),
        };
        say(terminal, &format!("Ready. Next: source-criteo {next}"));
        Ok(ExitCode::SUCCESS)
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

async fn offer_catalog(terminal: Terminal, streams: &[Stream]) -> Result<Option<PathBuf>> {
    loop {
        let question = "Write a catalog of the streams this app can read? File name, or Enter to skip:";
        let path = path_of(&ask(terminal, question).await?);
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let written =
            if path.exists() { Err(Error::config("That file already exists.")) } else { write_catalog(&path, streams) };
        match written {
            Ok(()) => return Ok(Some(path)),
            Err(error) => terminal.paragraph(&error.to_string()),
        }
    }
}

fn write_catalog(path: &Path, streams: &[Stream]) -> Result<()> {
    let catalog = format!("{:#}\n", airbyte::configured_catalog(streams));
    files::write(path, &catalog).map_err(|error| cannot_write(path, &error))
}

/// A path as users type it: quoted, or starting with `~/`.
fn path_of(response: &str) -> PathBuf {
    let response = response.trim_matches(['"', '\'']);
    match (response.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(response),
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
    let has_currency = arguments.currency.is_some() || is_retail_media(arguments);
    let missing: Vec<_> = [("--key-file", arguments.key_file.is_some()), ("--currency", has_currency)]
        .into_iter()
        .filter_map(|(flag, is_there)| (!is_there).then_some(flag))
        .collect();
    let (Some(key_file), true) = (&arguments.key_file, has_currency) else {
        return Err(Error::config(format!(
            "Without a terminal, setup needs {}. partners.criteo.com downloads the key file when you press \"Create \
             new key\"; docs/credentials.md has the steps.",
            missing.join(" and ")
        )));
    };
    let mut config = read_key(key_file).await?;
    add(&mut config, arguments, arguments.currency.as_deref());
    Ok((arguments.config.clone(), config))
}

fn is_retail_media(arguments: &SetupArguments) -> bool {
    arguments.product == Product::RetailMedia.setting()
}

fn add(config: &mut Map<String, Value>, arguments: &SetupArguments, currency: Option<&str>) {
    if is_retail_media(arguments) {
        config.insert("product".to_owned(), json!(arguments.product));
    }
    if let Some(currency) = currency {
        config.insert("currency".to_owned(), json!(currency.trim().to_uppercase()));
    }
    for (setting, ids) in [("advertiser_ids", &arguments.advertiser_ids), ("account_ids", &arguments.account_ids)] {
        if !ids.is_empty() {
            config.insert(setting.to_owned(), json!(ids));
        }
    }
    for (name, value) in [("start_date", &arguments.start_date), ("api_base_url", &arguments.api_base_url)] {
        if let Some(value) = value {
            config.insert(name.to_owned(), json!(value));
        }
    }
}

/// Reads the key file. A file younger than [`YOUNG`] also dates the key: both are created together.
async fn read_key(path: &Path) -> Result<Map<String, Value>> {
    let bytes = read_bytes(path, "key").await?;
    let key = key_file::decode(&bytes).as_deref().and_then(key_file::parse).ok_or_else(|| {
        Error::config(format!(
            "{} contains neither client_id and client_secret nor an API Key and an API Secret. Use the text file that \
             partners.criteo.com downloads when you press \"Create new key\".",
            path.display()
        ))
    })?;
    redact::add(&key.client_secret);
    for (name, value) in [("client_id", &key.client_id), ("client_secret", &key.client_secret)] {
        if let Some(flaw) = secrets::flaw(value).filter(|flaw| flaw.is_fatal()) {
            return Err(Error::config(format!(
                "The key in {} cannot be used: its {name} {flaw}. Use the original file from partners.criteo.com.",
                path.display()
            )));
        }
    }
    let mut config = Map::new();
    config.insert("client_id".to_owned(), json!(key.client_id));
    config.insert("client_secret".to_owned(), json!(key.client_secret));
    let age =
        std::fs::metadata(path).and_then(|data| data.modified()).ok().and_then(|modified| modified.elapsed().ok());
    if let Some(age) = age.filter(|age| *age < YOUNG) {
        let created = Clock::default().now() - age;
        config.insert("key_created_at".to_owned(), json!(created.to_rfc3339_opts(SecondsFormat::Secs, true)));
    }
    Ok(config)
}

struct Guide {
    terminal: Terminal,
}

impl Guide {
    async fn ask(&self, arguments: &SetupArguments) -> Result<(PathBuf, Map<String, Value>)> {
        let terminal = self.terminal;
        terminal.paragraph(
            "This walks you through Criteo's developer portal to a working configuration. Nothing is sent to anyone \
             but Criteo. Press Enter after each step; Ctrl-C quits.",
        );
        let config = match &arguments.key_file {
            // A user with a key file has been through the portal.
            Some(path) => read_key(path).await?,
            None => self.portal(arguments).await?,
        };
        let mut config = config;
        let currency = match &arguments.currency {
            Some(currency) => Some(currency.clone()),
            None if is_retail_media(arguments) => None,
            None => Some(self.valid("currency", "Currency of all money in reports, such as EUR:").await?),
        };
        let mut arguments = arguments.clone();
        if arguments.start_date.is_none() {
            let question = "First day of reports, such as 2026-01-01 (Enter: as far back as Criteo keeps them):";
            arguments.start_date = Some(self.valid("start_date", question).await?).filter(|day| !day.is_empty());
        }
        add(&mut config, &arguments, currency.as_deref());
        let mut file = arguments.config.clone();
        while file.exists() && !arguments.force {
            let response = ask(terminal, &format!("{} already exists. Another name:", file.display())).await?;
            file = if response.is_empty() { file } else { path_of(&response) };
        }
        Ok((file, config))
    }

    async fn portal(&self, arguments: &SetupArguments) -> Result<Map<String, Value>> {
        let terminal = self.terminal;
        let is_retail_media = is_retail_media(arguments);
        let (mut permissions, included, optional) = if is_retail_media {
            use Permission::{RetailMediaAccounts, RetailMediaAudiences, RetailMediaBalances, RetailMediaCampaigns};
            (
                vec![RetailMediaAccounts, RetailMediaCampaigns, Permission::RetailMediaAnalytics],
                "Accounts, campaigns and reports",
                [(RetailMediaBalances, "balances"), (RetailMediaAudiences, "audiences and their segments")],
            )
        } else {
            (
                vec![Permission::Campaigns, Permission::Creatives, Permission::Analytics],
                "Campaigns, ads and reports",
                [
                    (Permission::Audiences, "audiences and their segments"),
                    (Permission::Recommendations, "product sets and boosts"),
                ],
            )
        };
        for (permission, what) in optional {
            if ask(terminal, &format!("{included} are included. Also {what}? (y/N)")).await?.starts_with(['y', 'Y']) {
                permissions.push(permission);
            }
        }
        let labels: Vec<_> =
            permissions.iter().map(|permission| permission.label().trim_end_matches(": Read")).collect();
        let mut key = None;
        for (index, (title, text)) in STEPS.iter().enumerate() {
            terminal.heading(&format!("{}. {title}", index + 1));
            let text = text.replace("PERMISSIONS", &labels.join(", "));
            terminal.paragraph(&if is_retail_media { text.replace(SERVICE, "\"Retail Media\"") } else { text });
            match *title {
                "Create a key" => key = Some(self.key().await?),
                "Ask for consent" => {
                    let link = ask(terminal, "The link (Enter to skip):").await?;
                    if link.is_empty() {
                        terminal.paragraph("docs/credentials.md has a message to send with it.");
                    } else {
                        terminal.paragraph("A message for the person who grants consent:");
                        terminal.line(&format!("\n{}", CONSENT.replace("LINK", &link)));
                    }
                    terminal.paragraph(
                        "Consent may take a while. To continue later, press Ctrl-C and run: source-criteo setup \
                         --key-file FILE.",
                    );
                    ask(terminal, "Press Enter when consent is granted:").await?;
                }
                _ => {
                    ask(terminal, "Press Enter when done:").await?;
                }
            }
        }
        Ok(key.unwrap_or_default())
    }

    async fn key(&self) -> Result<Map<String, Value>> {
        loop {
            let path = ask(self.terminal, "Path of the key file:").await?;
            match read_key(&path_of(&path)).await {
                Ok(key) => return Ok(key),
                Err(error) => self.terminal.paragraph(&error.to_string()),
            }
        }
    }

    /// Asks for a setting until it is valid; an optional one may be empty.
    async fn valid(&self, setting: &str, question: &str) -> Result<String> {
        let schema = &SPEC["connectionSpecification"];
        let is_required = setting == "currency"
            || schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == setting));
        loop {
            let response = ask(self.terminal, question).await?;
            let response = if setting == "currency" { response.to_uppercase() } else { response };
            let settings = Map::from_iter([(setting.to_owned(), Value::from(response.as_str()))]);
            match report_options(settings) {
                _ if response.is_empty() && !is_required => return Ok(response),
                Ok(_) => return Ok(response),
                Err(error) => self.terminal.paragraph(&error.to_string()),
            }
        }
    }
}

async fn ask(terminal: Terminal, question: &str) -> Result<String> {
    terminal.question(question);
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    let line = line.await.ok().and_then(std::result::Result::ok).flatten();
    line.map(|line| line.trim().to_owned()).ok_or_else(|| Error::config("Standard input ended before setup finished."))
}
