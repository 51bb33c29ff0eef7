//! The command line.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

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
    /// Test the sync without writing records: read up to the first record of each stream, or print the schemas only.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub test: Option<TestKind>,
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
    /// Read each stream up to its first record.
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
    /// Test the configuration: credentials, consent, advertisers, permissions, custom reports.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// Exit with status 1 if the check fails; by default only the message on stdout says so.
        #[arg(long)]
        exit_code: bool,
    },
    /// Print the streams with their schemas.
    Discover(ConfigFile),
    /// Create a configuration step by step, with a walkthrough of Criteo's developer portal.
    Setup(SetupArguments),
    /// List the streams with key, cursor, permission and history.
    Streams {
        /// Configuration file; adds custom reports and applies the API version.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// API product, instead of the configuration's.
        #[arg(long, value_parser = PRODUCTS, conflicts_with = "config")]
        product: Option<String>,
        /// Output format.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Describe a stream, metric or dimension.
    Explain {
        /// Its name, in Criteo's or the connector's spelling.
        name: String,
        /// Configuration file; adds custom reports.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// API product, instead of the configuration's.
        #[arg(long, value_parser = PRODUCTS, conflicts_with = "config")]
        product: Option<String>,
    },
    /// Print a shell completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff).
    Man {
        /// Command to print the page for; without it, the page of the program.
        command: Option<String>,
    },
    /// Show the first rows of a stream; for reports, also cost and clicks per day.
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
    /// Sync streams into files in a folder; the next run adds what is new.
    #[cfg(feature = "files")]
    Export {
        /// Configuration file (JSON); - reads standard input.
        #[arg(
            long,
            short,
            value_name = "FILE",
            env = "CRITEO_CONFIG",
            hide_env_values = true,
            default_value = "criteo.json"
        )]
        config: PathBuf,
        /// What to export, and where.
        #[command(flatten)]
        what: ExportArguments,
    },
    /// Run a command against the built-in sandbox; needs no configuration.
    #[cfg(feature = "demo")]
    Demo {
        /// API product.
        #[arg(long, value_parser = PRODUCTS, default_value = PRODUCTS[0])]
        product: String,
        /// The command to run.
        #[command(subcommand)]
        command: DemoCommand,
    },
}

/// The configuration file, which these commands require.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file (JSON); - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

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
    /// First day of reports.
    #[arg(long, value_name = "DAY")]
    pub start_date: Option<String>,
    /// Advertisers to read, separated by commas; without it, all that granted consent.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub advertiser_ids: Vec<String>,
    /// Accounts to read in Retail Media, separated by commas; without it, all that granted consent.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub account_ids: Vec<String>,
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
    #[arg(long, value_name = "NAMES", value_delimiter = ',', group = "selection")]
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
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "dry_run")]
    pub format: Option<PipeFormat>,
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

/// What to export, and where.
#[cfg(feature = "files")]
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Folder of the files, created if missing; by default `criteo`, or `criteo-demo` with `demo`.
    pub folder: Option<PathBuf>,
    /// Streams to export, separated by commas; without it, all that the app can read, except for log files.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub streams: Vec<String>,
    /// The days to read.
    #[command(flatten)]
    pub days: Days,
    /// Format of the files.
    #[arg(long, value_enum, default_value_t)]
    pub format: FileFormat,
    /// Delete the files and states of the exported streams first, after a successful check, and read them from the start.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub reset: bool,
}

/// Parses a day given on the command line.
fn day(text: &str) -> Result<NaiveDate, &'static str> {
    let is_written_so = text.len() == 10 && text.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
    let mistake = if is_written_so { "not a calendar date" } else { "expected a day such as 2026-10-31" };
    text.parse().map_err(|_| mistake)
}

/// The stream to preview, and how to show it.
#[derive(Debug, Args)]
pub struct PreviewArguments {
    /// Stream to show.
    pub stream: String,
    /// Number of rows.
    #[arg(long, default_value_t = 10)]
    pub rows: usize,
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

/// The subcommands of `demo`; without a catalog, `read` reads every stream.
#[cfg(feature = "demo")]
#[derive(Debug, Subcommand)]
pub enum DemoCommand {
    /// Print the specification of the settings.
    Spec,
    /// Test the configuration of the sandbox.
    Check,
    /// Print the streams with their schemas.
    Discover,
    /// Show the first rows of a stream; for reports, also cost and clicks per day.
    Preview {
        /// What to show.
        #[command(flatten)]
        what: PreviewArguments,
    },
    /// Sync streams into files in a folder; the next run adds what is new.
    #[cfg(feature = "files")]
    Export {
        /// What to export, and where.
        #[command(flatten)]
        what: ExportArguments,
    },
    /// Sync streams and write their records to stdout; without a catalog, all streams.
    Read {
        /// Configured catalog (JSON).
        #[arg(long, value_name = "FILE")]
        catalog: Option<PathBuf>,
        /// State saved by an earlier sync (JSON).
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
}

impl Command {
    /// Whether the command is interactive: it reports problems on stderr as text instead of on stdout as messages.
    #[must_use]
    pub fn is_human_facing(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Streams { .. }
            | Self::Explain { .. }
            | Self::Preview { .. }
            | Self::Completions { .. }
            | Self::Man { .. } => true,
            #[cfg(feature = "demo")]
            Self::Demo { command, .. } => command.is_human_facing(),
            #[cfg(feature = "files")]
            Self::Export { .. } => true,
            Self::Spec | Self::Check { .. } | Self::Discover(_) | Self::Read { .. } => false,
        }
    }
}

#[cfg(feature = "demo")]
impl DemoCommand {
    fn is_human_facing(&self) -> bool {
        match self {
            Self::Preview { .. } => true,
            #[cfg(feature = "files")]
            Self::Export { .. } => true,
            Self::Spec | Self::Check | Self::Discover | Self::Read { .. } => false,
        }
    }
}
