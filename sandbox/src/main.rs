//! Runs a sandbox until it is interrupted.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{NaiveDate, Utc};
use clap::Parser;
use criteo_sandbox::{Casing, Numbers, Options, Sandbox, Shape, Unknowns, Wrapping};

/// A simulated Criteo advertising API on loopback.
#[derive(Debug, Parser)]
#[command(name = "criteo-sandbox", version)]
struct Cli {
    /// The port of the API on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8085)]
    port: u16,
    /// The port of the control on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8086)]
    control_port: u16,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many advertisers there are.
    #[arg(long, default_value_t = 3)]
    advertisers: u32,
    /// How many there are besides that have nothing at all.
    #[arg(long, default_value_t = 0)]
    empty_advertisers: u32,
    /// Campaigns of each advertiser.
    #[arg(long, default_value_t = 2)]
    campaigns: u32,
    /// Ad sets of each campaign.
    #[arg(long, default_value_t = 2)]
    ad_sets: u32,
    /// Of a hundred days, on how many an ad is shown.
    #[arg(long, default_value_t = 90)]
    activity: u32,
    /// Ads of each ad set.
    #[arg(long, default_value_t = 3)]
    ads: u32,
    /// The day that the world takes for today; today if it is not given.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// The most rows of a report.
    #[arg(long, default_value_t = 100_000)]
    row_cap: usize,
    /// Calls a minute but to reports; Criteo's own limit is 250.
    #[arg(long, default_value_t = 100_000)]
    rate_limit: usize,
    /// Calls a minute to reports; Criteo's own limit is 40.
    #[arg(long, default_value_t = 100_000)]
    report_limit: usize,
    /// The limits of Criteo's documents, in place of the two above.
    #[arg(long)]
    documented_limits: bool,
    /// How many times faster a minute passes for these limits.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// The JSON of placements and transactions.
    #[arg(long, value_enum, default_value_t)]
    wrapping: Wrapping,
    /// The JSON of reports.
    #[arg(long, value_enum, default_value_t)]
    shape: Shape,
    /// The spelling of members in statistics.
    #[arg(long, value_enum, default_value_t)]
    casing: Casing,
    /// Numbers in reports.
    #[arg(long, value_enum, default_value_t)]
    numbers: Numbers,
    /// Rows of a report of statistics an advertiser and day, serialised once: for measuring clients.
    #[arg(long)]
    prepared_rows: Option<u32>,
    /// What nobody knows about Criteo, as NAME=VALUE; may be given more than once.
    #[arg(long = "unknown", value_name = "NAME=VALUE")]
    unknowns: Vec<String>,
    /// Answers are not compressed, whatever the client accepts.
    #[arg(long)]
    no_gzip: bool,
    /// Milliseconds that every answer takes.
    #[arg(long, default_value_t = 0)]
    latency: u64,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut unknowns = Unknowns::default();
    if let Err(error) = cli.unknowns.iter().try_for_each(|text| unknowns.set_text(text)) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let options = Options {
        seed: cli.seed,
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
