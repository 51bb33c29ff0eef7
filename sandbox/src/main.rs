//! Runs a sandbox until interrupted.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{NaiveDate, Utc};
use clap::Parser;
use criteo_sandbox::{Casing, Numbers, Options, Product, RetailMediaOptions, Sandbox, Shape, Unknowns, Wrapping};

/// A simulated Criteo advertising API on loopback.
#[derive(Debug, Parser)]
#[command(name = "criteo-sandbox", version)]
struct Cli {
    /// API port on 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = 8085)]
    port: u16,
    /// Control port on 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = 8086)]
    control_port: u16,
    /// Seed of all random data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The service that the app belongs to.
    #[arg(long, value_enum, default_value_t)]
    product: Product,
    /// Retail Media: demand accounts.
    #[arg(long, default_value_t = 3)]
    accounts: u32,
    /// Retail Media: supply accounts.
    #[arg(long, default_value_t = 1)]
    supply_accounts: u32,
    /// Retail Media: retailers.
    #[arg(long, default_value_t = 12)]
    retailers: u32,
    /// Retail Media: line items per campaign.
    #[arg(long, default_value_t = 3)]
    line_items: u32,
    /// Retail Media: an app without access to private markets.
    #[arg(long)]
    without_private_market: bool,
    /// Number of advertisers.
    #[arg(long, default_value_t = 3)]
    advertisers: u32,
    /// Number of additional advertisers without any data.
    #[arg(long, default_value_t = 0)]
    empty_advertisers: u32,
    /// Campaigns per advertiser.
    #[arg(long, default_value_t = 2)]
    campaigns: u32,
    /// Ad sets per campaign.
    #[arg(long, default_value_t = 2)]
    ad_sets: u32,
    /// Percentage of days on which an ad is shown.
    #[arg(long, default_value_t = 90)]
    activity: u32,
    /// Ads per ad set.
    #[arg(long, default_value_t = 3)]
    ads: u32,
    /// The simulated current day; default: today.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// Maximum rows per report.
    #[arg(long, default_value_t = 100_000)]
    row_cap: usize,
    /// Requests per minute except reports; Criteo's limit is 250.
    #[arg(long, default_value_t = 100_000)]
    rate_limit: usize,
    /// Report requests per minute; Criteo's limit is 40.
    #[arg(long, default_value_t = 100_000)]
    report_limit: usize,
    /// Criteo's documented limits instead of the two above.
    #[arg(long)]
    documented_limits: bool,
    /// How many times faster a minute passes for these limits.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// JSON format of placements and transactions.
    #[arg(long, value_enum, default_value_t)]
    wrapping: Wrapping,
    /// JSON format of reports.
    #[arg(long, value_enum, default_value_t)]
    shape: Shape,
    /// Case of member names in statistics.
    #[arg(long, value_enum, default_value_t)]
    casing: Casing,
    /// Format of numbers in reports.
    #[arg(long, value_enum, default_value_t)]
    numbers: Numbers,
    /// Rows of statistics per advertiser and day, serialized once, to benchmark clients.
    #[arg(long)]
    prepared_rows: Option<u32>,
    /// An open question about Criteo's API, as NAME=VALUE; repeatable.
    #[arg(long = "unknown", value_name = "NAME=VALUE")]
    unknowns: Vec<String>,
    /// Never compress responses.
    #[arg(long)]
    no_gzip: bool,
    /// Delay of every response in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency: u64,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut unknowns = Unknowns::default();
    if let Err(error) = cli.unknowns.iter().try_for_each(|text| unknowns.set_text(text)) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let options = Options {
        seed: cli.seed,
        product: cli.product,
        retail_media: RetailMediaOptions {
            accounts: cli.accounts,
            supply_accounts: cli.supply_accounts,
            retailers: cli.retailers,
            line_items: cli.line_items,
            without_private_market: cli.without_private_market,
            ..RetailMediaOptions::default()
        },
        advertisers: cli.advertisers,
        empty_advertisers: cli.empty_advertisers,
        campaigns: cli.campaigns,
        ad_sets: cli.ad_sets,
        ads: cli.ads,
        activity: cli.activity,
        today: cli.today.unwrap_or_else(|| Utc::now().date_naive()),
        row_cap: cli.row_cap,
        rate_limit: cli.rate_limit,
        report_limit: cli.report_limit,
        time_scale: cli.time_scale,
        wrapping: cli.wrapping,
        shape: cli.shape,
        casing: cli.casing,
        numbers: cli.numbers,
        unknowns,
        prepared_rows: cli.prepared_rows,
        gzip: !cli.no_gzip,
        latency: Duration::from_millis(cli.latency),
        ..Options::default()
    };
    let options = if cli.documented_limits { options.with_documented_limits() } else { options };
    let (client_id, client_secret) = (options.client_id.clone(), options.client_secret.clone());
    match Sandbox::start_on(cli.port, cli.control_port, options) {
        Ok(sandbox) => {
            println!("The sandbox listens at {}; client_id {client_id}, client_secret {client_secret}", sandbox.url());
            println!("Its control listens at {}", sandbox.control_url());
            sandbox.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("The sandbox cannot start: {error}. Is port {} or {} taken?", cli.port, cli.control_port);
            ExitCode::FAILURE
        }
    }
}
