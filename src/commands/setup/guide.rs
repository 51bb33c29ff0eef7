//! The questions of `setup` at a terminal.

use std::path::PathBuf;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::cli::SetupArguments;
use crate::commands::Session;
use crate::commands::setup::account::Account;
use crate::commands::setup::{add, key_file, places, product_of, prompts};
use crate::config::{Config, report_options};
use crate::error::Result;
use crate::model::product::{Product, Scope};
use crate::products::Permission;
use crate::support::terminal::Terminal;

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

/// Sent to the person who grants consent. A test compares it with `docs/credentials.md`.
const CONSENT: &str = include_str!("consent.txt");

/// The questions, with what the command line has decided.
pub(crate) struct Guide<'a> {
    session: &'a Session,
    terminal: Terminal,
    arguments: &'a SetupArguments,
}

/// What the user has chosen.
pub(crate) struct Made {
    pub file: PathBuf,
    pub config: Map<String, Value>,
    pub has_chosen_advertisers: bool,
}

impl<'a> Guide<'a> {
    pub(crate) fn new(session: &'a Session, terminal: Terminal, arguments: &'a SetupArguments) -> Self {
        Self { session, terminal, arguments }
    }

    /// Asks everything that the command line leaves open.
    pub(crate) async fn ask(&self) -> Result<Made> {
        let terminal = self.terminal;
        terminal.paragraph(
            "This walks you through Criteo's developer portal to a working configuration. Nothing is sent to anyone \
             but Criteo. Ctrl-C quits.",
        );
        let mut config = match &self.arguments.key_file {
            // A user with a key file has been through the portal.
            Some(path) => {
                let key = key_file::read(path).await?;
                self.protect(path).await?;
                key
            }
            None => self.portal().await?,
        };
        let mut arguments = self.arguments.clone();
        let account = self.account(&config).await;
        let is_retail_media = product_of(&arguments) == Product::RetailMedia;
        let currency = match &arguments.currency {
            Some(currency) => Some(currency.clone()),
            None if is_retail_media => None,
            None => Some(currency(account.as_ref().and_then(|account| account.currency.as_deref())).await?),
        };
        // Objects of Retail Media have no days to choose.
        if arguments.timezone.is_none() && !is_retail_media {
            arguments.timezone = Some(self.zone(account.as_ref().and_then(|account| account.zone)).await?);
        }
        if arguments.start_date.is_none() && !is_retail_media {
            let question = "First day of reports, such as 2026-01-01 (Enter: as far back as Criteo keeps them)";
            let day = prompts::line(question, |day| is_valid("start_date", day)).await?;
            arguments.start_date = Some(day).filter(|day| !day.is_empty());
        }
        let chosen = self.advertisers(account.as_ref()).await?;
        let has_chosen_advertisers = account.is_some();
        arguments.advertisers.extend(chosen.unwrap_or_default());
        add(&mut config, &arguments, currency.as_deref());
        let mut file = arguments.config.clone();
        while file.exists() && !arguments.force {
            file = prompts::path(format!("{} already exists. Another name", file.display())).await?;
        }
        Ok(Made { file, config, has_chosen_advertisers })
    }

    /// What Criteo knows about the account, if the key already works.
    async fn account(&self, key: &Map<String, Value>) -> Option<Account> {
        let mut config = key.clone();
        // Names and zones need no currency, but a configuration does.
        let currency = self.arguments.currency.as_deref().unwrap_or("EUR");
        let product = product_of(self.arguments);
        add(&mut config, self.arguments, (product == Product::MarketingSolutions).then_some(currency));
        config.remove(product.scope().setting);
        let config = Config::parse(&Value::Object(config).to_string()).ok()?;
        self.session.account(&config).await
    }

    /// Asks for the time zone; Criteo's comes first, then the machine's.
    async fn zone(&self, of_account: Option<Tz>) -> Result<String> {
        self.terminal.paragraph(
            "Days in reports start at midnight in a time zone. Choose the one of the Criteo account, so that days \
             match Criteo's pages.",
        );
        let zones = places::zones(of_account.or_else(places::zone_of_machine).unwrap_or(Tz::UTC));
        let names = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let chosen = prompts::choose("Time zone (type to search)", names, Some(0)).await?;
        Ok(zones[chosen].to_owned())
    }

    /// Asks which advertisers to read; `None` stands for all, including those that grant consent later.
    pub(crate) async fn advertisers(&self, account: Option<&Account>) -> Result<Option<Vec<String>>> {
        let Some(account) = account.filter(|account| account.advertisers.len() > 1) else { return Ok(None) };
        if !self.arguments.advertisers.is_empty() {
            return Ok(None);
        }
        let advertisers = &account.advertisers;
        let product = product_of(self.arguments);
        let Scope { one, many, .. } = product.scope();
        let title = match product {
            Product::MarketingSolutions => "Advertisers",
            Product::RetailMedia => "Accounts",
        };
        // Longer lines would wrap, which garbles the list.
        let width = self.terminal.width().saturating_sub(8).max(20);
        let names: Vec<_> = advertisers
            .iter()
            .map(|advertiser| cut(&format!("{} ({})", advertiser.name, advertiser.id), width))
            .collect();
        loop {
            let question = format!("{title} to read (Space marks, a marks all or none, Enter continues)");
            let chosen = prompts::choose_several(question, names.clone()).await?;
            if chosen.len() == advertisers.len() {
                self.terminal.paragraph(&format!("All {many}, including those that grant consent later."));
                return Ok(None);
            }
            if chosen.is_empty() {
                self.terminal.paragraph(&format!("Choose at least one {one}."));
                continue;
            }
            let chosen: Vec<_> = chosen.into_iter().filter_map(|index| advertisers.get(index)).collect();
            let listed: Vec<_> = chosen.iter().map(|advertiser| advertiser.name.as_str()).collect();
            self.terminal.paragraph(&format!("{title}: {}.", listed.join(", ")));
            return Ok(Some(chosen.into_iter().map(|advertiser| advertiser.id.clone()).collect()));
        }
    }

    async fn portal(&self) -> Result<Map<String, Value>> {
        let terminal = self.terminal;
        let product = product_of(self.arguments);
        let (mut permissions, included, optional) = match product {
            Product::MarketingSolutions => (
                vec![Permission::Campaigns, Permission::Creatives, Permission::Analytics],
                "Campaigns, ads and reports",
                [
                    (Permission::Audiences, "audiences and their segments"),
                    (Permission::Recommendations, "product sets and boosts"),
                ],
            ),
            Product::RetailMedia => (
                vec![Permission::RetailMediaAccounts, Permission::RetailMediaCampaigns],
                "Accounts and campaigns",
                [
                    (Permission::RetailMediaBalances, "balances"),
                    (Permission::RetailMediaAudiences, "audiences and their segments"),
                ],
            ),
        };
        for (permission, what) in optional {
            let question = format!("{included} are included. Also {what}?");
            if prompts::confirm(question, false).await? {
                permissions.push(permission);
            }
        }
        let labels: Vec<_> =
            permissions.iter().map(|permission| permission.label().trim_end_matches(": Read")).collect();
        let mut key = None;
        for (index, (title, text)) in STEPS.iter().enumerate() {
            terminal.heading(&format!("{}. {title}", index + 1));
            let text = text.replace("PERMISSIONS", &labels.join(", "));
            terminal.paragraph(&match product {
                Product::MarketingSolutions => text,
                Product::RetailMedia => text.replace(SERVICE, "\"Retail Media\""),
            });
            match *title {
                "Create a key" => key = Some(self.key().await?),
                "Ask for consent" => self.consent().await?,
                _ => prompts::pause("Press Enter when done").await?,
            }
        }
        Ok(key.unwrap_or_default())
    }

    async fn consent(&self) -> Result<()> {
        let link = prompts::long_line("The link (Enter to skip)").await?;
        if link.is_empty() {
            self.terminal.paragraph("`source-criteo help credentials message` has a message to send with it.");
        } else {
            self.terminal.paragraph("A message for the person who grants consent:");
            self.terminal.line(&format!("\n{}", CONSENT.replace("LINK", &link)));
        }
        self.terminal.paragraph(
            "Consent may take a while. To continue later, press Ctrl-C and run: source-criteo setup --key-file FILE.",
        );
        prompts::pause("Press Enter when consent is granted").await
    }

    async fn key(&self) -> Result<Map<String, Value>> {
        loop {
            let path = prompts::path("Path of the key file (Tab completes)").await?;
            match key_file::read(&path).await {
                Ok(key) => {
                    self.protect(&path).await?;
                    return Ok(key);
                }
                Err(error) => self.terminal.paragraph(&error.to_string()),
            }
        }
    }

    /// Offers to close a key file that other users can open.
    async fn protect(&self, path: &std::path::Path) -> Result<()> {
        let Some(mode) = key_file::mode_if_shared(path) else { return Ok(()) };
        let question = format!("{} Make it yours only (chmod 600)?", key_file::shared(path, mode));
        if prompts::confirm(question, true).await?
            && let Err(error) = key_file::make_private(path)
        {
            self.terminal.paragraph(&error.to_string());
        }
        Ok(())
    }
}

/// Asks for the currency. A default exists only if Criteo names the account's: a wrong one would go unnoticed.
async fn currency(of_account: Option<&str>) -> Result<String> {
    let currencies = places::currencies(of_account);
    let names = currencies.iter().map(|(code, name)| format!("{code}  {name}")).collect();
    let default = currencies.iter().position(|(code, _)| Some(*code) == of_account);
    let chosen = prompts::choose("Currency of all money in reports (type to search)", names, default).await?;
    Ok(currencies[chosen].0.to_owned())
}

/// Whether a setting is empty or valid; else the problem.
fn is_valid(setting: &str, value: &str) -> std::result::Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    let settings = Map::from_iter([(setting.to_owned(), json!(value))]);
    report_options(settings).map(|_| ()).map_err(|error| error.to_string().replace('\n', " "))
}

/// The start of a text, in terminal columns.
fn cut(text: &str, width: usize) -> String {
    let mut used = 0;
    let letters = text.chars().take_while(|letter| {
        used += unicode_width::UnicodeWidthChar::width(*letter).unwrap_or(0);
        used <= width
    });
    letters.collect()
}
