//! The command line.

mod complete;
#[cfg(feature = "demo")]
pub mod demo;
pub mod help;
pub mod synonyms;

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

pub use crate::cli::complete::script;
#[cfg(feature = "demo")]
use crate::cli::demo::DemoCommand;
use crate::model::calendar::{Grain, period_end};
use crate::model::product::Product;
#[cfg(feature = "files")]
use crate::output::sink::pipe::PipeFormat;
#[cfg(feature = "files")]
use crate::output::table::folder::FileFormat;
use crate::support::table::Format;

/// Read Criteo Marketing Solutions and write Airbyte messages, one JSON object per line. Without a command, run as a
/// Singer tap.
#[derive(Debug, Parser)]
#[command(name = "source-criteo", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Log every request.
    #[arg(long, global = true)]
    pub debug: bool,
    /// Command to run; without one, run as a Singer tap.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the Singer tap.
    #[command(flatten)]
    pub tap: TapArguments,
}

/// Options of the Singer tap, which has no subcommands.
#[derive(Debug, Args)]
#[command(next_help_heading = "As a Singer tap, without a command")]
pub struct TapArguments {
    /// Configuration file (JSON); repeat to merge, later files win. ENV reads the `TAP_CRITEO_…` variables.
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Print the catalog.
    #[arg(long)]
    pub discover: bool,
    /// Singer catalog with the streams to sync; without it, the default selection.
    #[arg(long, value_name = "FILE", alias = "properties")]
    pub catalog: Option<PathBuf>,
    /// State saved by an earlier sync.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Test the sync without writing records: check the credentials, then read up to the first record of each stream, or
    /// print the schemas only.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub test: Option<TestKind>,
    /// Also write a page about the sync to this HTML file: which days are proven, spend, requests, warnings.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print name, capabilities and settings.
    #[arg(long)]
    pub about: bool,
    /// Output format of --about.
    #[arg(long, default_value = "text")]
    pub format: AboutFormat,
}

/// What `--test` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestKind {
    /// Check the credentials, then read each stream up to its first record.
    #[value(alias = "records")]
    All,
    /// Print schemas only.
    Schema,
}

/// Output format of `--about`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AboutFormat {
    /// Plain text.
    Text,
    /// JSON.
    Json,
    /// Markdown.
    Markdown,
}

/// The API products, by their setting.
const PRODUCTS: [&str; 2] = [Product::MarketingSolutions.setting(), Product::RetailMedia.setting()];

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the specification of the settings.
    Spec,
    /// Test every step from the credentials to the permissions.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// Exit with status 1 if the check fails, also where stdout is no terminal.
        #[arg(long)]
        exit_code: bool,
        /// Print protocol messages, also at a terminal.
        #[arg(long)]
        json: bool,
    },
    /// Print the streams with their schemas, as a catalog.
    Discover(ConfigFile),
    /// Create a configuration, with a walkthrough of Criteo's portal.
    Setup(SetupArguments),
    /// List the streams with description, permission and history.
    Streams {
        /// The configuration, if there is one.
        #[command(flatten)]
        config: MaybeConfigFile,
        /// API product, instead of the configuration's.
        #[arg(long, value_parser = PRODUCTS, conflicts_with = "config")]
        product: Option<String>,
        /// Output format.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Describe a stream, metric or dimension, or find it by words.
    Explain {
        /// Its name in any spelling, or words such as spend or orders; without it, a list.
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::names))]
        words: Vec<String>,
        /// The configuration, if there is one.
        #[command(flatten)]
        config: MaybeConfigFile,
        /// API product, instead of the configuration's.
        #[arg(long, value_parser = PRODUCTS, conflicts_with = "config")]
        product: Option<String>,
    },
    /// Print a script that completes commands, streams and metrics.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page (roff).
    Man {
        /// Command to print the page for, such as `demo read`; without it, the page of the program.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write the pages of all commands to this folder instead.
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        all: Option<PathBuf>,
    },
    /// Print the help of a command, or a page of the documentation.
    Help {
        /// A command or a page, then the page's section; without it, the list of both.
        #[arg(value_name = "COMMAND|PAGE", add = ArgValueCompleter::new(complete::topics))]
        words: Vec<String>,
    },
    /// Show the first rows of a stream, and cost per day of reports.
    Preview {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// What to show.
        #[command(flatten)]
        what: PreviewArguments,
    },
    /// Sync streams and write their records to stdout.
    Read {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// What to read.
        #[command(flatten)]
        input: ReadInput,
    },
    /// Sync streams into files; the next run adds what is new.
    #[cfg(feature = "files")]
    Export {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// What to export, and where.
        #[command(flatten)]
        what: ExportArguments,
    },
    /// Show what a saved state says.
    State {
        /// What to do.
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Take a tour of a simulated account, or run a command in it.
    #[cfg(feature = "demo")]
    Demo {
        /// API product to simulate; by default `marketing_solutions`.
        // Global, so that it may follow the command. Commands with an argument of this name keep theirs, with its value.
        #[arg(long, value_parser = PRODUCTS, global = true)]
        product: Option<String>,
        /// The command to run; without one, a tour.
        #[command(subcommand)]
        command: Option<DemoCommand>,
    },
}

/// What to do with a saved state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Show up to which day each stream and advertiser is read, and which days are not settled.
    Show {
        /// State file, or the folder of an export; - reads standard input. By default state.json or criteo.
        file: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The configuration file, which these commands require.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file (JSON); - reads standard input.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = CONFIG_VARIABLE,
        hide_env_values = true,
        default_value = DEFAULT_CONFIG
    )]
    pub config: PathBuf,
}

/// The configuration file of commands that also work without one.
#[derive(Debug, Args)]
pub struct MaybeConfigFile {
    /// Configuration file (JSON), for custom reports and the API version; by default criteo.json, if it exists.
    #[arg(long, short, value_name = "FILE", env = CONFIG_VARIABLE, hide_env_values = true)]
    pub config: Option<PathBuf>,
}

/// Environment variable with the path of the configuration.
pub const CONFIG_VARIABLE: &str = "CRITEO_CONFIG";
/// The configuration that `setup` writes and other commands read, if none is named.
pub const DEFAULT_CONFIG: &str = "criteo.json";

/// What `setup` would otherwise ask for. Secrets come from the key file only, never from the command line.
#[derive(Debug, Clone, Args)]
pub struct SetupArguments {
    /// Key file downloaded from partners.criteo.com.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where to write the configuration.
    #[arg(long, value_name = "FILE", default_value = "criteo.json")]
    pub config: PathBuf,
    /// API product that the key's app belongs to.
    #[arg(long, value_parser = PRODUCTS, default_value = PRODUCTS[0])]
    pub product: String,
    /// Currency of all money in reports; Retail Media needs none.
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
    /// Time zone of the days in reports, such as Europe/Paris; use the one of the Criteo account.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// First day of reports.
    #[arg(long, value_name = "DAY")]
    pub start_date: Option<String>,
    /// Ids of the advertisers (in Retail Media: accounts) to read, separated by commas; without it, all that granted consent.
    #[arg(long, value_name = "IDS", value_delimiter = ',', visible_alias = "accounts", aliases = ["advertiser-ids", "account-ids"])]
    pub advertisers: Vec<String>,
    /// Also write a catalog of the streams the app can read to this file.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Overwrite existing files.
    #[arg(long)]
    pub force: bool,
    /// Root of a simulated API, for tests.
    #[arg(long, value_name = "URL", hide = true)]
    pub api_base_url: Option<String>,
}

/// The streams to read, and the state to start from.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("selection").required(true)))]
pub struct ReadInput {
    /// Configured catalog (JSON).
    #[arg(long, value_name = "FILE", group = "selection")]
    pub catalog: Option<PathBuf>,
    /// Streams to read instead of a catalog, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', group = "selection",
          add = ArgValueCompleter::new(complete::streams))]
    pub streams: Vec<String>,
    /// State saved by an earlier sync (JSON); the file must exist.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// State file: resume from it if it exists, and keep it up to date during the sync.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    pub state_file: Option<PathBuf>,
    /// The days to read.
    #[command(flatten)]
    pub days: Days,
    /// Write the rows of one stream without protocol messages; logs go to stderr.
    #[cfg(feature = "files")]
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with_all = ["dry_run", "json"])]
    pub format: Option<PipeFormat>,
    /// Also write a page about the sync to this HTML file: which days are proven, spend, requests, warnings.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub report: Option<PathBuf>,
    /// Print protocol messages, also at a terminal.
    #[arg(long)]
    pub json: bool,
    /// Show what a sync would request; requests only the token and the list of advertisers.
    #[arg(long)]
    pub dry_run: bool,
}

/// Days that override those of the configuration.
#[derive(Debug, Clone, Args)]
pub struct Days {
    /// First day of reports, such as 2026-10-31; may be earlier than the saved cursor.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub since: Option<NaiveDate>,
    /// Last day of reports, such as 2026-10-31.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub until: Option<NaiveDate>,
}

impl Days {
    /// As names and values.
    pub(crate) fn options(&self) -> [(&'static str, String); 2] {
        let text = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
        [("--since", text(self.since)), ("--until", text(self.until))]
    }
}

/// What to export, and where.
#[cfg(feature = "files")]
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Folder of the files, created if missing; by default criteo, or criteo-demo with demo.
    pub folder: Option<PathBuf>,
    /// Streams to export, separated by commas; without it, all that the app can read, except for log files.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', add = ArgValueCompleter::new(complete::streams))]
    pub streams: Vec<String>,
    /// The days to read.
    #[command(flatten)]
    pub days: Days,
    /// Format of the files; by default that of earlier exports to the folder, or Parquet.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// Also write a page about the sync to this HTML file: which days are proven, spend, requests, warnings.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Delete the files and states of the exported streams first, after a successful check, and read them from the start.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub reset: bool,
}

/// Parses a day given on the command line.
fn day(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| {
        let parts: Vec<u32> = text.split(['-', '/', '.']).filter_map(|part| part.parse().ok()).collect();
        let written = |year: u32, month: u32, day: u32| NaiveDate::from_ymd_opt(year.try_into().ok()?, month, day);
        let readings = match parts[..] {
            [year, month, day] if year > 31 => vec![written(year, month, day)],
            [day, month, year] if day == month => vec![written(year, month, day)],
            // Half of the world writes the month first.
            [one, other, year] => vec![written(year, other, one), written(year, one, other)],
            _ => Vec::new(),
        };
        let readings: Vec<_> = readings.into_iter().flatten().map(|day| day.to_string()).collect();
        let month = match parts[..] {
            [year, month, day] if year > 31 && (1..=31).contains(&day) => written(year, month, 1),
            _ => None,
        };
        if let Some(month) = month.filter(|_| readings.is_empty()) {
            let last = period_end(month, Grain::Month);
            format!("there is no such day\n\n  tip: {} ends on {last}", month.format("%B %Y"))
        } else if readings.is_empty() {
            "expected a day such as 2026-10-01".to_owned()
        } else {
            format!("{}?", readings.join(" or "))
        }
    })
}

/// The stream to preview, and how to show it.
#[derive(Debug, Args)]
pub struct PreviewArguments {
    /// Stream to show.
    #[arg(add = ArgValueCompleter::new(complete::streams))]
    pub stream: String,
    /// Number of rows.
    #[arg(long, default_value_t = 10)]
    pub rows: usize,
    /// Columns to show, in this order, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// First day; default: two weeks ago.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub since: Option<NaiveDate>,
    /// Last day, such as 2026-10-31; default: today.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub until: Option<NaiveDate>,
}

impl PreviewArguments {
    /// The days to show.
    #[must_use]
    pub fn days(&self) -> Days {
        Days { since: self.since, until: self.until }
    }
}

impl Command {
    /// The command that runs: in a demo, the one it wraps.
    #[must_use]
    pub fn effective(&self) -> &Self {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo { command: Some(DemoCommand::Real(inner)), .. } => inner,
            other => other,
        }
    }

    /// Whether `--json` asks for protocol messages at a terminal, too.
    #[must_use]
    pub fn wants_messages(&self) -> bool {
        matches!(self, Self::Check { json: true, .. } | Self::Read { input: ReadInput { json: true, .. }, .. })
    }

    /// Whether the command is interactive: it reports problems on stderr as text instead of on stdout as messages.
    #[must_use]
    pub fn is_human_facing(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Streams { .. }
            | Self::Explain { .. }
            | Self::Preview { .. }
            | Self::Completions { .. }
            | Self::Help { .. }
            | Self::State { .. }
            | Self::Man { .. } => true,
            #[cfg(feature = "demo")]
            Self::Demo { command, .. } => command.as_ref().is_none_or(DemoCommand::is_human_facing),
            #[cfg(feature = "files")]
            Self::Export { .. } => true,
            Self::Spec | Self::Check { .. } | Self::Discover(_) | Self::Read { .. } => false,
        }
    }
}
