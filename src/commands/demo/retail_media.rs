//! The tour of Retail Media: the check, what campaigns have left to spend, a sync of objects, and what to do next.

use std::collections::BTreeMap;
use std::process::ExitCode;

use criteo_sandbox::{Options, Product, RetailMediaOptions};
use serde_json::{Map, Value};

use crate::commands::demo::{heading, next_steps};
use crate::commands::preview::money;
use crate::commands::{Session, input};
use crate::config::Config;
use crate::error::Result;
use crate::http::RetryProfile;
use crate::products;
use crate::read::ReadUntil;
use crate::state::saved::States;
use crate::support::table::Table;
use crate::support::terminal::Terminal;

const INTRODUCTION: &str = "A simulated retailer with two brands and a seller that advertise with it, on this machine.";
/// What the tour syncs.
const STREAMS: &[&str] = &["rm_accounts", "rm_campaigns", "rm_line_items", "rm_balances"];
const STEPS: &[(&str, &str)] = &[
    ("demo --product retail_media export", "files for Excel, Python and DuckDB"),
    ("demo --product retail_media streams", "everything that can be read"),
    ("demo --product retail_media preview rm_line_items", "the first rows of a stream"),
    ("demo --product retail_media read | head", "messages for Airbyte"),
    ("demo", "the other product, Marketing Solutions"),
    ("setup --product retail_media", "your own account"),
];

/// The simulated account.
pub(super) fn world() -> Options {
    let retail_media = RetailMediaOptions { retailers: 4, categories: 12, ..RetailMediaOptions::default() };
    Options { product: Product::RetailMedia, retail_media, ..Options::plausible() }
}

impl Session {
    pub(super) async fn retail_media_tour(&self, config: &Config) -> Result<ExitCode> {
        self.demo_check(config, INTRODUCTION).await?;
        let client = self.client(config, RetryProfile::Check)?;
        let (_, accounts) = self.first_rows(&client, config, "rm_accounts", usize::MAX).await?;
        let (_, campaigns) = self.first_rows(&client, config, "rm_campaigns", usize::MAX).await?;
        if let Some(error) = accounts.error.or(campaigns.error) {
            return Err(error);
        }
        let terminal = Terminal::stdout();
        let budgets = budgets(&accounts.records, &campaigns.records, terminal);
        self.print(&format!("\n{}\n\n{budgets}", heading("Budgets by campaign", terminal)));
        self.print(&format!("\n{}", heading("A sync of accounts, campaigns, line items and balances", terminal)));
        self.output.next_step(format!("\n{}\n\n{}", heading("Next", terminal), next_steps(STEPS)));
        let names: Vec<_> = STREAMS.iter().map(|&name| name.to_owned()).collect();
        let catalog = input::named(&names, &products::streams(&config.reports))?;
        self.read(config, &catalog, &States::new(), ReadUntil::All).await
    }
}

/// A table of campaigns with their budgets, in each account's currency.
fn budgets(accounts: &[Map<String, Value>], campaigns: &[Map<String, Value>], terminal: Option<Terminal>) -> String {
    let text = |record: &Map<String, Value>, column: &str| {
        record.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let known: BTreeMap<String, &Map<String, Value>> =
        accounts.iter().map(|account| (text(account, "id"), account)).collect();
    let mut table = Table::new(["account", "campaign", "status", "budget", "spent", "left", "currency"]);
    for campaign in campaigns {
        let account = known.get(&text(campaign, "account_id"));
        let of_account = |column: &str| account.map(|account| text(account, column)).unwrap_or_default();
        // Without a budget, spend has no limit.
        let amount = |column: &str| campaign.get(column).and_then(Value::as_f64).map_or_else(String::new, money);
        table.push(
            [
                of_account("name"),
                text(campaign, "name"),
                text(campaign, "status"),
                amount("budget"),
                amount("budget_spent"),
                amount("budget_remaining"),
                of_account("currency"),
            ]
            .map(Value::from)
            .to_vec(),
        );
    }
    table.aligned_with_right(&[3, 4, 5], terminal.map(Terminal::width))
}
