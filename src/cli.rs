//! The command line, as Airbyte's platforms and people use it.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::table::Format;

/// Reads everything the Criteo advertising API offers, and writes it as Airbyte protocol messages, one JSON object a
/// line.
#[derive(Debug, Parser)]
#[command(name = "source-criteo", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Log more.
    #[arg(long, global = true)]
    pub debug: bool,
    /// What to do; without it this is a Singer tap.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of a Singer tap.
    #[command(flatten)]
    pub tap: TapArguments,
}

/// How Singer taps are called: without a verb, in any combination.
#[derive(Debug, Args)]
#[command(next_help_heading = "As a Singer tap, without a command")]
pub struct TapArguments {
    /// The configuration, a JSON file; later ones win, and ENV stands for the variables `TAP_CRITEO_…`.
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Print the catalog.
    #[arg(long)]
    pub discover: bool,
    /// What to read, a Singer catalog; everything without it.
    #[arg(long, value_name = "FILE", alias = "properties")]
    pub catalog: Option<PathBuf>,
    /// The state of the last run.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Try what would be read, without writing anything: up to the first record of each stream, or only the schemas.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub test: Option<TestKind>,
    /// Print what the tap is, can do and can be told.
    #[arg(long)]
    pub about: bool,
    /// How to print that.
    #[arg(long, default_value = "text")]
    pub format: AboutFormat,
}

/// What `--test` tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestKind {
    /// Every stream up to its first record.
    #[value(alias = "records")]
    All,
    /// Nothing; the schemas are printed.
    Schema,
}

/// How `--about` is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AboutFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For web pages.
    Markdown,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what can be configured.
    Spec,
    /// Try the configuration: credentials, consent, advertisers, permissions, custom reports.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// Exit with 1 when it does not work; else the answer on stdout alone tells.
        #[arg(long)]
        exit_code: bool,
    },
    /// Print the streams with their schemas.
    Discover(ConfigFile),
    /// Make a configuration, step by step through Criteo's developer portal.
    Setup(SetupArguments),
    /// Show the streams: key, cursor, permission, history.
    Streams {
        /// The configuration, for custom reports and what depends on it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what is known of a stream, a metric or a dimension.
    Explain {
        /// Its name, as Criteo or the connector spells it.
        name: String,
        /// The configuration, for custom reports.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print a script that completes the commands of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man {
        /// The command whose page it is; left out, the page of the program.
        command: Option<String>,
    },
    /// Show the first rows of a stream, and the days of a report.
    Preview {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// What to show.
        #[command(flatten)]
        what: PreviewArguments,
    },
    /// Read the streams of a catalog.
    Read {
        /// The configuration.
        #[command(flatten)]
        config: ConfigFile,
        /// What to read.
        #[command(flatten)]
        input: ReadInput,
    },
    /// Run one of the commands above against the built-in sandbox; nothing to configure.
    #[cfg(feature = "demo")]
    Demo {
        /// What to do.
        #[command(subcommand)]
        command: DemoCommand,
    },
}

/// Which configuration to use.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration, a JSON file; - reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// What `setup` need not ask for. Secrets come from the key file, never from here.
#[derive(Debug, Clone, Args)]
pub struct SetupArguments {
    /// The text file that partners.criteo.com downloads with a new key.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where to write the configuration.
    #[arg(long, value_name = "FILE", default_value = "criteo.json")]
    pub config: PathBuf,
    /// The currency of all money in reports.
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
    /// The first day of reports.
    #[arg(long, value_name = "DAY")]
    pub start_date: Option<String>,
    /// The advertisers to read; all that have given their consent without it.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub advertiser_ids: Vec<String>,
    /// Where to write a catalog of the streams that the app can read.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Replace a configuration that is there.
    #[arg(long)]
    pub force: bool,
    /// The root of a simulated API, for trying.
    #[arg(long, value_name = "URL", hide = true)]
    pub api_base_url: Option<String>,
}

/// What to read, and from where on.
#[derive(Debug, Args)]
pub struct ReadInput {
    /// The configured catalog, a JSON file.
    #[arg(long, value_name = "FILE", required_unless_present = "streams")]
    pub catalog: Option<PathBuf>,
    /// The streams to read, in place of a catalog: their names with commas between them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "catalog")]
    pub streams: Vec<String>,
    /// The state of the last sync, a JSON file that must be there.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// A file with the state: read if it is there, and written as the read goes on.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    pub state_file: Option<PathBuf>,
    /// The days to read.
    #[command(flatten)]
    pub days: Days,
    /// Say what would be asked for, and ask for nothing but the token and the advertisers.
    #[arg(long)]
    pub dry_run: bool,
}

/// Days in place of those of the configuration.
#[derive(Debug, Clone, Args)]
pub struct Days {
    /// The first day of reports, as 2026-10-31; read again where a state is further on.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub since: Option<NaiveDate>,
    /// The last day of reports, as 2026-10-31.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub until: Option<NaiveDate>,
}

/// A day that is named by hand.
fn day(text: &str) -> Result<NaiveDate, &'static str> {
    let is_written_so = text.len() == 10 && text.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
    let mistake = if is_written_so { "there is no such day in the calendar" } else { "a day is written as 2026-10-31" };
    text.parse().map_err(|_| mistake)
}

/// What to show of a stream.
#[derive(Debug, Args)]
pub struct PreviewArguments {
    /// The stream.
    pub stream: String,
    /// How many rows.
    #[arg(long, default_value_t = 10)]
    pub rows: usize,
    /// How to write them.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which days of a report; without them the last two weeks.
    #[command(flatten)]
    pub days: Days,
}

/// The verbs of the demo; without a catalog it reads every stream.
#[cfg(feature = "demo")]
#[derive(Debug, Subcommand)]
pub enum DemoCommand {
    /// Print what can be configured.
    Spec,
    /// Try the configuration of the sandbox.
    Check,
    /// Print the streams with their schemas.
    Discover,
    /// Show the first rows of a stream, and the days of a report.
    Preview {
        /// What to show.
        #[command(flatten)]
        what: PreviewArguments,
    },
    /// Read the streams of a catalog, or all.
    Read {
        /// The configured catalog, a JSON file.
        #[arg(long, value_name = "FILE")]
        catalog: Option<PathBuf>,
        /// The state of the last sync, a JSON file.
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
}

impl Command {
    /// Whether it talks to people: what it has to say goes to stderr in words, not to stdout as messages.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Streams { .. }
            | Self::Explain { .. }
            | Self::Preview { .. }
            | Self::Completions { .. }
            | Self::Man { .. } => true,
            #[cfg(feature = "demo")]
            Self::Demo { command } => matches!(command, DemoCommand::Preview { .. }),
            Self::Spec | Self::Check { .. } | Self::Discover(_) | Self::Read { .. } => false,
        }
    }
}
