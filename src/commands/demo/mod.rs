//! `demo`: runs a command against the built-in sandbox, which supplies the configuration; without a command, a tour.
//! `retail_media` is the tour of the other product.

mod retail_media;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use criteo_sandbox::{Options, Sandbox};
use serde_json::{Map, Value, json};

use crate::cli::demo::DemoCommand;
use crate::commands::check::verdict;
use crate::commands::preview::{chart, money, whole};
use crate::commands::{Session, input, parse_config};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::RetryProfile;
use crate::model::product::Product;
use crate::products;
use crate::read::ReadUntil;
use crate::state::saved::States;
use crate::support::table::Table;
use crate::support::terminal::{Color, Terminal, WIDEST, wrapped};

/// Days of history.
const DAYS: u64 = 90;
/// Days of the tour, up to yesterday.
const TOUR: u64 = 7;
const REPORT: &str = "campaign_statistics_daily";
/// The page about the tour's sync.
const PAGE: &str = "criteo-demo.html";
const INTRODUCTION: &str = "A simulated Criteo account with three advertisers, on this machine.";
const STEPS: &[(&str, &str)] = &[
    ("demo export", "files for Excel, Python and DuckDB"),
    ("demo report", "a page about a sync of everything"),
    ("demo streams", "everything that can be read"),
    ("demo explain roas", "what a number means"),
    ("demo read | head", "messages for Airbyte"),
    ("demo --product retail_media", "the other product, Retail Media"),
    ("setup", "your own account"),
];

/// The sums of a campaign.
#[derive(Debug, Default)]
struct Sums {
    names: [String; 2],
    cost: f64,
    clicks: f64,
    revenue: f64,
}

impl Session {
    pub(crate) async fn demo(&self, product: Product, command: Option<DemoCommand>) -> Result<ExitCode> {
        let options = match product {
            Product::MarketingSolutions => Options::plausible(),
            Product::RetailMedia => retail_media::world(),
        };
        let today = options.today;
        let mut config = json!({
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "start_date": today - Days::new(DAYS),
            "now": today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12),
        });
        match product {
            Product::MarketingSolutions => {
                config["currency"] = json!("EUR");
                config["custom_reports"] = json!([{
                    "name": "devices",
                    "dimensions": ["Campaign", "Device", "Day"],
                    "metrics": ["Displays", "Clicks", "AdvertiserCost"],
                }]);
            }
            Product::RetailMedia => config["product"] = json!(product.setting()),
        }
        let sandbox = Sandbox::start(options)
            .map_err(|error| Error::system(format!("The sandbox cannot start on this machine: {error}.")))?;
        config["api_base_url"] = json!(sandbox.url());
        let (_, text) = self.supplied.get_or_init(|| (product, config.to_string()));
        match (command, product) {
            // Boxed, since this is what the command awaits.
            (Some(DemoCommand::Real(command)), _) => Box::pin(self.command(*command)).await,
            (Some(DemoCommand::Report(file)), _) => {
                let config = parse_config(text)?;
                self.report_to(Some(&file), &config, "source-criteo demo report", &[])?;
                let catalog = input::all(&products::streams(&config.reports));
                self.read(&config, &catalog, &States::new(), ReadUntil::All).await
            }
            (None, Product::MarketingSolutions) => Box::pin(self.tour(parse_config(text)?, today)).await,
            (None, Product::RetailMedia) => self.retail_media_tour(&parse_config(text)?).await,
        }
    }

    /// The introduction, and the steps of the check.
    async fn demo_check(&self, config: &Config, introduction: &str) -> Result<()> {
        // Where the steps of the check are shown.
        if let Some(terminal) = Terminal::stderr() {
            terminal.line(introduction);
        } else {
            tracing::info!("{introduction}");
        }
        verdict(&self.run_checks(Ok(config)).await?).map(|_| ())
    }

    /// The check, last week's spend, a sync that is compared with Criteo's totals, and what to do next.
    async fn tour(&self, mut config: Config, today: NaiveDate) -> Result<ExitCode> {
        self.demo_check(&config, INTRODUCTION).await?;
        let (first, last) = (today - Days::new(TOUR), today - Days::new(1));
        let all = config.read.clone();
        (config.read.start_date, config.read.end_date) = (Some(first), Some(last));
        // The sync below compares the same days.
        config.read.verify_totals = false;
        let client = self.client(&config, RetryProfile::Check)?;
        let (selected, rows) = self.first_rows(&client, &config, REPORT, usize::MAX).await?;
        if let Some(error) = rows.error {
            return Err(error);
        }
        let (terminal, currency) = (Terminal::stdout(), config.reports.currency.to_string());
        let by_campaign = by_campaign(&rows.records, &currency, terminal);
        self.print(&format!(
            "\n{}\n\n{by_campaign}",
            heading(&format!("Spend by campaign, {first} to {last}"), terminal)
        ));
        if let Some(growth) = selected.iter().find_map(|selected| selected.stream.growth()) {
            self.print(&format!(
                "\n{}",
                wrapped(&growth, terminal.map_or(usize::MAX, |terminal| terminal.width().min(WIDEST))).join("\n")
            ));
        }
        if let Some(chart) = chart(&rows.days, &currency, terminal) {
            self.print(&format!("\n{}\n\n{chart}", heading("Spend by day", terminal)));
        }
        let title = format!("A sync of {DAYS} days, compared with Criteo's totals");
        self.print(&format!("\n{}", heading(&title, terminal)));
        self.output.next_step(format!("\n{}\n\n{}", heading("Next", terminal), next_steps(STEPS)));
        let streams = ["campaigns", REPORT].map(str::to_owned);
        config.read = all;
        if let Err(error) = self.report_to(Some(Path::new(PAGE)), &config, "source-criteo demo", &[]) {
            // A tour in a folder that is not writable has no page.
            tracing::warn!("{error}");
        }
        let catalog = input::named(&streams, &products::streams(&config.reports))?;
        self.read(&config, &catalog, &States::new(), ReadUntil::All).await
    }
}

/// A table of the campaigns of these rows, by spend.
fn by_campaign(records: &[Map<String, Value>], currency: &str, terminal: Option<Terminal>) -> String {
    let mut campaigns: BTreeMap<String, Sums> = BTreeMap::new();
    for record in records {
        let text = |column: &str| record.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |column: &str| record.get(column).and_then(Value::as_f64).unwrap_or(0.0);
        let sums = campaigns.entry(text("campaign_id")).or_default();
        sums.names = [text("advertiser_name"), text("campaign_name")];
        sums.cost += number("advertiser_cost");
        sums.clicks += number("clicks");
        sums.revenue += number("revenue_generated_client_attribution");
    }
    let mut campaigns: Vec<_> = campaigns.into_values().collect();
    campaigns.sort_by(|one, other| other.cost.total_cmp(&one.cost));
    let cost = format!("cost in {currency}");
    let mut table = Table::new(["advertiser", "campaign", cost.as_str(), "clicks", "ROAS"]);
    for Sums { names: [advertiser, campaign], cost, clicks, revenue } in campaigns {
        let roas = if cost > 0.0 { format!("{:.1}", revenue / cost) } else { String::new() };
        table.push([advertiser, campaign, money(cost), whole(clicks), roas].map(Value::from).to_vec());
    }
    table.aligned_with_right(&[2, 3, 4], terminal.map(Terminal::width))
}

/// The program as the user called it, if that is short enough to type again: `cargo run` starts it by a path.
fn program() -> String {
    let called = std::env::args().next().filter(|path| path.contains('/') && !path.starts_with('/'));
    called.unwrap_or_else(|| "source-criteo".to_owned())
}

/// A heading of the tour.
fn heading(text: &str, terminal: Option<Terminal>) -> String {
    terminal.map_or_else(|| text.to_owned(), |of| of.paint(text, Color::Green))
}

/// Commands to try, with what they do.
fn next_steps(steps: &[(&str, &str)]) -> String {
    let program = program();
    let column = steps.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = steps.iter().map(|(command, about)| format!("  {program} {command:column$}  {about}"));
    lines.collect::<Vec<_>>().join("\n")
}
