//! `setup`: from nothing to a configuration that works, step by step through Criteo's developer portal.

mod key_file;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::check::verdict;
use super::{Session, parse_config, read_file};
use crate::cli::SetupArguments;
use crate::config::SPEC;
use crate::error::{Error, Result};
use crate::files;
use crate::protocol::airbyte;
use crate::redact;
use crate::streams::{Permission, catalog};
use crate::terminal::{Colour, Terminal};

/// What to do on the portal; what is asked behind a step belongs to it.
const STEPS: &[(&str, &str)] = &[
    (
        "Create an app",
        "Log in to https://partners.criteo.com, and press \"Create a new app\" (or the + beside \"My Apps\"). Any name will do; \
         one that says what it is for helps whoever gives consent.",
    ),
    ("Choose how it logs in", "Choose \"Client credentials\"."),
    (
        "Choose the service",
        "Choose \"C-Growth and marketing solutions\" (older accounts: \"Marketing Solutions\"), and save.",
    ),
    (
        "Grant permissions",
        "Under \"Authorization\" grant Read, and nothing else, for: PERMISSIONS. Save. They are frozen with the next step.",
    ),
    ("Activate it", "Press \"Activate app\", and confirm."),
    (
        "Create a key",
        "Press \"Create new key\". A text file with client_id and client_secret is downloaded, once: keep it in a safe place.",
    ),
    (
        "Ask for consent",
        "Press \"Generate new URL\", and copy the link. It works once, for 30 days, and an administrator of the Criteo account \
         must open it.",
    ),
];

/// What to send to the administrator; `docs/credentials.md` has it, too, as a test wants it.
const CONSENT: &str = include_str!("setup/consent.txt");

impl Session {
    pub(super) async fn setup(&self, arguments: SetupArguments) -> Result<ExitCode> {
        let terminal = Terminal::of_people().filter(Terminal::is_answered);
        let (file, config) = match terminal {
            Some(terminal) => Guide { terminal }.ask(&arguments).await?,
            None => unattended(&arguments).await?,
        };
        if file.exists() && !arguments.force {
            return Err(Error::config(format!(
                "{} exists already. Choose another file with --config, or replace it with --force.",
                file.display()
            )));
        }
        let text = format!("{:#}\n", Value::Object(config));
        let parsed = parse_config(&text)?;
        files::write(&file, &text).map_err(|error| cannot_write(&file, &error))?;
        say(terminal, &format!("{} is written; only you can read it.", file.display()));
        let mut climb = self.climb(Ok(parsed)).await?;
        while let (Some(terminal), Err(_)) = (terminal, verdict(&climb)) {
            if ask(terminal, "Enter to try again, q to leave it at that:").await?.starts_with('q') {
                break;
            }
            climb = self.climb(parse_config(&text)).await?;
        }
        if let Err(error) = verdict(&climb) {
            if terminal.is_none() {
                tracing::error!("{error}");
            }
            say(terminal, &format!("Mend that, and try again: source-criteo check --config {}", file.display()));
            return Ok(ExitCode::FAILURE);
        }
        let wanted = match (&arguments.catalog, terminal) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(terminal)) => {
                let answer =
                    ask(terminal, "Write a catalog of the streams this app can read? File, or Enter for none:").await?;
                Some(PathBuf::from(answer)).filter(|path| !path.as_os_str().is_empty())
            }
            (None, None) => None,
        };
        let next = match wanted {
            Some(path) => {
                let streams = catalog::streams(&parse_config(&text)?);
                let streams: Vec<_> = streams
                    .into_iter()
                    .filter(|stream| stream.is_selected_by_default() && !climb.lacking.contains(&stream.permission))
                    .collect();
                let catalog = format!("{:#}\n", airbyte::configured_catalog(&streams));
                files::write(&path, &catalog).map_err(|error| cannot_write(&path, &error))?;
                format!("read --config {} --catalog {}", file.display(), path.display())
            }
            None => format!("discover --config {}", file.display()),
        };
        say(terminal, &format!("Ready. Next: source-criteo {next}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// What happens, at the terminal or in the log.
fn say(terminal: Option<Terminal>, text: &str) {
    if let Some(terminal) = terminal {
        terminal.paragraph(text);
    } else {
        tracing::info!("{text}");
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("{} cannot be written: {error}. Choose another place.", path.display()))
}

/// Everything from the command line: what is missing is told at once.
async fn unattended(arguments: &SetupArguments) -> Result<(PathBuf, Map<String, Value>)> {
    let missing: Vec<_> = [("--key-file", arguments.key_file.is_some()), ("--currency", arguments.currency.is_some())]
        .into_iter()
        .filter_map(|(flag, is_there)| (!is_there).then_some(flag))
        .collect();
    let (Some(key_file), Some(currency)) = (&arguments.key_file, &arguments.currency) else {
        return Err(Error::config(format!(
            "Without a terminal setup needs {}. The key file is what partners.criteo.com downloads when you press \"Create new \
             key\"; docs/credentials.md leads there.",
            missing.join(" and ")
        )));
    };
    let mut config = read_key(key_file).await?;
    add(&mut config, arguments, currency);
    Ok((arguments.config.clone(), config))
}

/// What does not depend on how it was asked for.
fn add(config: &mut Map<String, Value>, arguments: &SetupArguments, currency: &str) {
    config.insert("currency".to_owned(), json!(currency.trim().to_uppercase()));
    if !arguments.advertiser_ids.is_empty() {
        config.insert("advertiser_ids".to_owned(), json!(arguments.advertiser_ids));
    }
    for (name, value) in [("start_date", &arguments.start_date), ("api_base_url", &arguments.api_base_url)] {
        if let Some(value) = value {
            config.insert(name.to_owned(), json!(value));
        }
    }
}

/// The key of a file, and when it was made: the file is as old as the key.
async fn read_key(path: &Path) -> Result<Map<String, Value>> {
    let text = read_file(path, "key").await?;
    let key = key_file::parse(&text).ok_or_else(|| {
        Error::config(format!(
            "{} holds no client_id and client_secret. It must be the text file that partners.criteo.com downloads when you \
             press \"Create new key\".",
            path.display()
        ))
    })?;
    redact::add(&key.client_secret);
    let modified = std::fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let created = DateTime::<Utc>::from(modified).to_rfc3339_opts(SecondsFormat::Secs, true);
    let entries = [("client_id", key.client_id), ("client_secret", key.client_secret), ("key_created_at", created)];
    Ok(entries.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}

/// Somebody at a terminal.
struct Guide {
    terminal: Terminal,
}

impl Guide {
    async fn ask(&self, arguments: &SetupArguments) -> Result<(PathBuf, Map<String, Value>)> {
        let terminal = self.terminal;
        terminal.paragraph(
            "This leads through Criteo's developer portal to a configuration that works. Nothing is sent to anybody but Criteo. \
             Press Enter behind each step; Ctrl-C ends it at any time.",
        );
        let config = match &arguments.key_file {
            // Who has a key has been through the portal.
            Some(path) => read_key(path).await?,
            None => self.portal().await?,
        };
        let mut config = config;
        let currency = match &arguments.currency {
            Some(currency) => currency.clone(),
            None => self.valid("currency", "Currency of all money in reports, such as EUR:").await?,
        };
        let mut arguments = arguments.clone();
        if arguments.start_date.is_none() {
            let question = "First day of reports, such as 2026-01-01 (Enter: as far back as Criteo has them):";
            arguments.start_date = Some(self.valid("start_date", question).await?).filter(|day| !day.is_empty());
        }
        add(&mut config, &arguments, &currency);
        let mut file = arguments.config.clone();
        while file.exists() && !arguments.force {
            let answer = ask(terminal, &format!("{} exists already. Another name:", file.display())).await?;
            file = if answer.is_empty() { file } else { PathBuf::from(answer) };
        }
        Ok((file, config))
    }

    /// The steps on the portal, and the key that comes of them.
    async fn portal(&self) -> Result<Map<String, Value>> {
        let terminal = self.terminal;
        let mut permissions = vec![Permission::Campaigns, Permission::Creatives, Permission::Analytics];
        for (permission, what) in [
            (Permission::Audiences, "audiences and their segments"),
            (Permission::Recommendations, "product sets and boosts"),
        ] {
            if ask(terminal, &format!("Campaigns, ads and reports are read. Also {what}? (y/N)"))
                .await?
                .starts_with(['y', 'Y'])
            {
                permissions.push(permission);
            }
        }
        let labels: Vec<_> =
            permissions.iter().map(|permission| permission.label().trim_end_matches(": Read")).collect();
        let mut key = None;
        for (index, (title, text)) in STEPS.iter().enumerate() {
            terminal.line(&terminal.paint(&format!("\n{}. {title}", index + 1), Colour::Green));
            terminal.paragraph(&text.replace("PERMISSIONS", &labels.join(", ")));
            match *title {
                "Create a key" => key = Some(self.key().await?),
                "Ask for consent" => {
                    let link = ask(terminal, "The link (Enter to go on without):").await?;
                    if link.is_empty() {
                        terminal.paragraph("docs/credentials.md has a text to send along with it.");
                    } else {
                        terminal.paragraph("A text to send to the administrator:");
                        terminal.line(&format!("\n{}", CONSENT.replace("LINK", &link)));
                    }
                    ask(terminal, "Enter when consent is given:").await?;
                }
                _ => {
                    ask(terminal, "Enter when that is done:").await?;
                }
            }
        }
        Ok(key.unwrap_or_default())
    }

    /// Asks for the key file until there is one.
    async fn key(&self) -> Result<Map<String, Value>> {
        loop {
            let path = ask(self.terminal, "Where is that file?").await?;
            match read_key(Path::new(path.trim_matches(['"', '\'']))).await {
                Ok(key) => return Ok(key),
                Err(error) => self.terminal.paragraph(&error.to_string()),
            }
        }
    }

    /// Asks for a setting until it is valid; an optional one may be left out.
    async fn valid(&self, setting: &str, question: &str) -> Result<String> {
        let schema = &SPEC["connectionSpecification"];
        let is_required = schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == setting));
        loop {
            let answer = ask(self.terminal, question).await?;
            let answer = if setting == "currency" { answer.to_uppercase() } else { answer };
            let config = json!({"client_id": "x", "client_secret": "x", "currency": "EUR", setting: answer});
            match parse_config(&config.to_string()) {
                _ if answer.is_empty() && !is_required => return Ok(answer),
                Ok(_) => return Ok(answer),
                Err(error) => self.terminal.paragraph(&error.to_string()),
            }
        }
    }
}

/// Asks a question; the answer without white space around it.
async fn ask(terminal: Terminal, question: &str) -> Result<String> {
    terminal.question(question);
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    let line = line.await.ok().and_then(std::result::Result::ok).flatten();
    line.map(|line| line.trim().to_owned()).ok_or_else(|| Error::config("The input has ended before setup was done."))
}
