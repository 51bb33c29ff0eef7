//! The commands, one file each.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod discover;
mod explain;
#[cfg(feature = "files")]
mod export;
mod help;
mod input;
mod man;
mod preview;
mod read;
mod refresh_token;
mod report;
mod search;
mod setup;
mod spec;
mod state;
mod streams;
mod tap;

use std::cell::{OnceCell, RefCell};
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::cli::{self, Cli, Command, ConfigFile, Days, MaybeConfigFile, StateCommand, TapArguments};
use crate::commands::refresh_token::Origin;
use crate::config::{Config, secrets};
use crate::error::{Cause, Error, Result};
use crate::model::product::Product;
use crate::output::Output;
use crate::output::sink::Sink;
use crate::output::sink::console::Console;
#[cfg(feature = "files")]
use crate::output::sink::pipe::Pipe;
use crate::output::sink::singer::SingerSink;
use crate::products;
use crate::products::report::ReportOptions;
use crate::protocol::{airbyte, singer};
use crate::read::ReadUntil;
use crate::support::stop::{Stop, StopSender};
use crate::support::terminal::Terminal;
use crate::support::{files, panic};
use crate::telemetry;

/// Time for writing the last lines when the run stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest file, in MiB. The state of 20,000 advertisers in all streams is about 10 MiB.
fn largest(what: &str) -> u64 {
    match what {
        "state" => 16,
        "catalog" => 8,
        "key" => 1,
        _ => 2,
    }
}

const MIB: u64 = 1024 * 1024;

/// Time for the writer of a named pipe, which is usually already running.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

const WITHOUT_STATE: &str = "Check the path. For a first sync, omit --state, or use --state-file, which creates the \
                             file and keeps it up to date.";

struct Session {
    output: Output,
    /// Whether stdout carries Airbyte messages.
    is_airbyte: bool,
    origin: RefCell<Origin>,
    /// The product and the configuration of a demo, instead of the user's.
    supplied: OnceCell<(Product, String)>,
}

/// How the run ended.
#[derive(Debug)]
pub enum Ending {
    /// Normally, with this exit code.
    Exit(ExitCode),
    /// Stopped by a signal or a failure.
    Stopped(Stop),
}

/// Runs a command until it is done or `stop` fires.
///
/// # Errors
/// If the system cannot create a thread or an event loop.
pub fn run(cli: Cli, stop: &StopSender, stopped: watch::Receiver<Option<Stop>>) -> anyhow::Result<Ending> {
    panic::listen();
    let log = singer::Log::from_environment(cli.debug);
    let (sink, level) = match cli.command.as_ref().map(Command::effective) {
        #[cfg(feature = "files")]
        Some(Command::Read { input: crate::cli::ReadInput { format: Some(format), .. }, .. }) => {
            let level = log.level();
            (Sink::Pipe(Box::new(Pipe::new(log, *format))), level)
        }
        Some(command) if command.is_human_facing() || (Terminal::stdout().is_some() && !command.wants_messages()) => {
            let level = log.level();
            (Sink::Console(Console::new(log)), level)
        }
        Some(_) => (Sink::Airbyte, telemetry::airbyte_level(cli.debug)),
        None => {
            let level = log.level();
            (Sink::Singer(Box::new(SingerSink::new(log))), level)
        }
    };
    let is_airbyte = matches!(sink, Sink::Airbyte);
    let output = Output::start(sink, stop.clone()).context("cannot start the output thread")?;
    telemetry::start(&output, level);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    let session = Session {
        output: output.clone(),
        is_airbyte,
        origin: RefCell::new(Origin::Elsewhere("a source that cannot be written")),
        supplied: OnceCell::new(),
    };
    let run = || {
        runtime.block_on(async {
            let mut stopped = stopped;
            tokio::select! {
                biased;
                // The sender lives as long as this function, so waiting cannot fail.
                _ = stopped.wait_for(Option::is_some) => None,
                result = session.run(cli.command, &cli.tap) => Some(result),
            }
        })
    };
    // Nothing the run borrowed is used after a panic.
    // guard: panics
    let code = std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Some(Err(panic::error())));
    // A sandbox task or a name lookup may still be running; its result is not needed.
    runtime.shutdown_background();
    let code = code.map(|result| match result {
        Ok(code) => code,
        Err(error) => {
            let is_stalled = error.cause == Some(Cause::Stalled);
            output.failed(error);
            if is_stalled {
                // The writer thread may be what hangs: accept no more rows, and do not wait for it.
                stop.send(Stop::Stalled);
            }
            ExitCode::FAILURE
        }
    });
    let is_written = output.finish(stop, FINISH_TIMEOUT);
    Ok(match (stop.reason(), code) {
        (Some(stop), _) => Ending::Stopped(stop),
        (None, _) if !is_written => Ending::Exit(ExitCode::FAILURE),
        (None, code) => Ending::Exit(code.unwrap_or(ExitCode::FAILURE)),
    })
}

impl Session {
    async fn run(&self, command: Option<Command>, tap: &TapArguments) -> Result<ExitCode> {
        match command {
            Some(command) => Box::pin(self.command(command)).await,
            None => self.tap(tap).await,
        }
    }

    async fn command(&self, command: Command) -> Result<ExitCode> {
        match command {
            Command::Spec => Ok(self.spec()),
            Command::Check { config, exit_code, .. } => self.check(self.config_of(&config).await, exit_code).await,
            Command::Discover(file) => Ok(self.discover(&self.config_of(&file).await?)),
            Command::Setup(arguments) => Box::pin(self.setup(arguments)).await,
            Command::Streams { config, product, format } => {
                self.streams(&self.report_options(&config, product.as_deref()).await?, format)
            }
            Command::Explain { words, config, product } => {
                self.explain(&self.report_options(&config, product.as_deref()).await?, &words.join(" "))
            }
            Command::Preview { config, what } => {
                let config = self.config_of(&config).await?;
                self.preview(config, &what).await
            }
            Command::Completions { shell } => Ok(self.print(&cli::script(shell)?)),
            Command::Man { command, all } => self.manual(&command, all.as_deref()),
            Command::Help { words } => self.help(&words),
            Command::State { command: StateCommand::Show { file, json } } => {
                self.show_state(file.as_deref(), json).await
            }
            Command::Read { config, input } => {
                let config = self.config_of(&config).await?;
                let configured_start = config.read.start_date;
                let config = within(config, &input.days)?;
                let catalog = match &input.catalog {
                    Some(path) => input::once(airbyte::parse_catalog(&read_file(path, "catalog").await?)?),
                    None if input.streams.is_empty() => input::all(&products::streams(&config.reports)),
                    None => input::named(&input.streams, &products::streams(&config.reports))?,
                };
                #[cfg(feature = "files")]
                if input.format.is_some() && catalog.len() != 1 {
                    return Err(Error::config(format!(
                        "--format writes the rows of one stream, and {} are selected. Name one with --streams, or use \
                         `source-criteo export` for files of several.",
                        catalog.len()
                    )));
                }
                self.report_to(input.report.as_deref(), &config, "source-criteo read", &input.days.options())?;
                #[cfg(feature = "files")]
                let is_shown = !self.is_airbyte && input.format.is_none();
                #[cfg(not(feature = "files"))]
                let is_shown = !self.is_airbyte;
                if is_shown && !input.dry_run && input.state_file.is_some() {
                    return Err(Error::config(
                        "At a terminal, records are counted and not printed, so a state file would skip them later. \
                         Write them to a file or pipe (`> records.jsonl`), or leave --state-file out.",
                    ));
                }
                let states = match &input.state_file {
                    Some(path) if input.dry_run => input::kept_states(path).await?,
                    Some(path) => {
                        let file = input::state_file(path)?;
                        let states = file.states().clone();
                        self.output.persist_states(file);
                        states
                    }
                    None => input::states(input.state.as_deref(), WITHOUT_STATE).await?,
                };
                if input.state_file.is_some() && !is_shown {
                    let names = catalog.iter().map(|configured| configured.name.clone());
                    warn_of_skipped_days(&input.days, configured_start, names, &states);
                }
                if is_shown && !input.dry_run {
                    self.output.next_step(self.in_demo(read::NEXT_STEP));
                }
                if input.dry_run {
                    self.dry_run(&config, &catalog, &states).await
                } else {
                    self.read(&config, &catalog, &states, ReadUntil::All).await
                }
            }
            #[cfg(feature = "files")]
            Command::Export { config, what } => {
                let config = self.config_of(&config).await?;
                let folder = match config.product() {
                    _ if !self.is_demo() => "criteo",
                    Product::MarketingSolutions => "criteo-demo",
                    Product::RetailMedia => "criteo-demo-retail-media",
                };
                self.export(config, &what, folder).await
            }
            #[cfg(feature = "demo")]
            Command::Demo { product, command } => {
                let product = product.and_then(|product| Product::of_setting(&product)).unwrap_or_default();
                Box::pin(self.demo(product, command)).await
            }
        }
    }

    fn is_demo(&self) -> bool {
        self.supplied.get().is_some()
    }

    /// Advice with commands that run in the demo, too.
    fn in_demo(&self, advice: &str) -> String {
        match self.supplied.get().map(|(product, _)| product) {
            None => advice.to_owned(),
            Some(Product::MarketingSolutions) => advice.replace("`source-criteo ", "`source-criteo demo "),
            Some(product) => {
                advice.replace("`source-criteo ", &format!("`source-criteo demo --product {} ", product.setting()))
            }
        }
    }

    fn print(&self, text: &str) -> ExitCode {
        self.output.document(text.trim_end().to_owned());
        ExitCode::SUCCESS
    }

    /// What the reports of a configuration are; the defaults where there is none.
    async fn report_options(&self, file: &MaybeConfigFile, product: Option<&str>) -> Result<ReportOptions> {
        if let Some(product) = product.and_then(Product::of_setting).filter(|_| !self.is_demo()) {
            return Ok(ReportOptions { product, ..ReportOptions::default() });
        }
        let default = Path::new(cli::DEFAULT_CONFIG);
        match &file.config {
            Some(path) => Ok(self.config(path).await?.reports),
            None if default.exists() => match self.config(default).await {
                Ok(config) => Ok(config.reports),
                // The user did not name it, and the command works without it.
                Err(error) => {
                    tracing::warn!("{} is ignored: {error}", cli::DEFAULT_CONFIG);
                    Ok(ReportOptions::default())
                }
            },
            None => Ok(ReportOptions::default()),
        }
    }

    /// The configuration that the user named, or the one that `setup` writes.
    async fn config_of(&self, file: &ConfigFile) -> Result<Config> {
        let path = &file.config;
        if path == Path::new(cli::DEFAULT_CONFIG) && !path.exists() {
            return Err(Error::config(format!(
                "There is no configuration {}. Run `source-criteo setup` to create one, or name one with --config or \
                 {}.",
                cli::DEFAULT_CONFIG,
                cli::CONFIG_VARIABLE
            )));
        }
        self.config(path).await
    }

    async fn config(&self, path: &Path) -> Result<Config> {
        if let Some((_, text)) = self.supplied.get() {
            return parse_config(text);
        }
        *self.origin.borrow_mut() = Origin::of(path);
        parse_config(&read_file(path, "configuration").await?)
    }
}

/// Warns that a first run with `--since` sets the start of all later ones.
fn warn_of_skipped_days(
    days: &Days,
    configured_start: Option<chrono::NaiveDate>,
    mut streams: impl Iterator<Item = String>,
    states: &crate::state::saved::States,
) {
    if let Some(since) = days.since
        && configured_start.is_none_or(|start| start < since)
        && streams.any(|name| !states.contains_key(&name))
    {
        tracing::warn!(
            "The state will start at {since}. Later runs resume from there; to read earlier days, pass an earlier \
             `--since`."
        );
    }
}

/// Applies `--since` and `--until`.
fn within(mut config: Config, days: &Days) -> Result<Config> {
    config.read.start_date = days.since.or(config.read.start_date);
    config.read.again_from = days.since;
    config.read.end_date = days.until.or(config.read.end_date);
    let today = config.test.clock.today(config.reports.timezone);
    if let Some(until) = days.until.filter(|until| *until > today) {
        tracing::warn!("The last day, {until}, is in the future. Today is {today}: later days are not read yet.");
    }
    match (config.read.start_date, config.read.end_date) {
        (Some(start), Some(end)) if end < start => {
            Err(Error::config(format!("The last day, {end}, is before the first, {start}.")))
        }
        _ => Ok(config),
    }
}

/// Parses a configuration, registers its secrets for masking and logs its warnings.
fn parse_config(text: &str) -> Result<Config> {
    secrets::mask_secrets_of(text);
    let config = Config::parse(text)?;
    log_warnings(&config.warnings);
    Ok(config)
}

fn log_warnings(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

async fn read_file(path: &Path, what: &str) -> Result<String> {
    text_of(read_bytes(path, what).await?, path, what)
}

fn text_of(bytes: Vec<u8>, path: &Path, what: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::config(format!(
            "The {what} file {} is not UTF-8 text (first invalid byte: {at}). Save it as UTF-8.",
            path.display()
        ))
    })
}

/// Reads a file or, for `-`, standard input. Either may block forever, so a thread reads and signals still work.
async fn read_bytes(path: &Path, what: &str) -> Result<Vec<u8>> {
    if let Some(kind) = input::no_file(path) {
        return Err(Error::config(format!("The {what} file {} is {kind}. Name a file.", path.display())));
    }
    let source = path.to_owned();
    let largest = largest(what) * MIB;
    let mut read = tokio::task::spawn_blocking(move || {
        let file: Box<dyn Read> =
            if source == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(source)?) };
        let mut bytes = Vec::new();
        file.take(largest + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let read = if input::is_named_pipe(path) {
        tokio::time::timeout(PIPE_TIMEOUT, &mut read).await.map_err(|_| {
            Error::config(format!(
                "The {what} file {} is a named pipe (FIFO) whose writer did not finish within {} seconds. Start the \
                 writer, or name a file.",
                path.display(),
                PIPE_TIMEOUT.as_secs()
            ))
        })?
    } else {
        read.await
    };
    match read.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into())) {
        Ok(bytes) if bytes.len() as u64 > largest => Err(too_large(path, what)),
        Ok(bytes) => Ok(files::settled(bytes)),
        Err(error) => Err(Error::config(format!(
            "The {what} file {} cannot be read: {error}. Check the path and its permissions.",
            shown(path)
        ))),
    }
}

/// A path for a message. The content itself may have been passed instead, and may hold secrets.
fn shown(path: &Path) -> String {
    if is_content(&path.to_string_lossy()) { "(content instead of a path)".into() } else { path.display().to_string() }
}

fn too_large(path: &Path, what: &str) -> Error {
    Error::config(format!(
        "The {what} file {} is larger than {} MiB, which is too large for a {what}. Check the path.",
        path.display(),
        largest(what)
    ))
}

fn is_content(path: &str) -> bool {
    let folded = path.to_lowercase();
    path.contains(['{', '\n']) || ["secret:", "secret=", "secret ", "_secret"].iter().any(|part| folded.contains(part))
}
