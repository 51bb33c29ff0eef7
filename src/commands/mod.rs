//! The verbs: thin, one file each.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod discover;
mod read;
mod setup;
mod spec;
mod tap;

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::sync::watch;

use crate::cli::{Cli, Command, TapArguments};
use crate::config::Config;
use crate::engine::Extent;
use crate::error::{Error, Result};
use crate::panic;
use crate::protocol::output::Output;
use crate::protocol::{Protocol, airbyte, singer};
use crate::redact;
use crate::stop::{Stop, StopSender};
use crate::telemetry;

/// How long the last lines may take once the run is to stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// No configuration, catalog or state is larger: the state of ten thousand advertisers in all streams has 8 MiB.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// What every verb needs.
struct Session {
    output: Output,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// By itself, with this exit code.
    Exit(ExitCode),
    /// Because it was stopped.
    Stopped(Stop),
}

/// Runs a command to its end, or until `stop` says so.
///
/// # Errors
/// When the system gives no thread or no event loop.
pub fn run(cli: Cli, stop: &StopSender, stopped: watch::Receiver<Option<Stop>>) -> anyhow::Result<Ending> {
    panic::listen();
    let (protocol, level) = if cli.command.as_ref().is_some_and(|command| !command.is_for_people()) {
        (Protocol::Airbyte, telemetry::level(cli.debug))
    } else {
        let log = singer::Log::from_environment(cli.debug);
        let level = log.level();
        let tap = singer::Tap { state: singer::State::default(), log, settings: singer::Settings::default() };
        (Protocol::Singer(Box::new(tap)), level)
    };
    let output = Output::start(protocol, stop.clone()).context("the system gives no thread for the output")?;
    telemetry::start(&output, level);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the system gives no event loop")?;
    let session = Session { output: output.clone() };
    let run = || {
        runtime.block_on(async {
            let mut stopped = stopped;
            tokio::select! {
                biased;
                // The sender lives as long as this function, so waiting fails never.
                _ = stopped.wait_for(Option::is_some) => None,
                result = session.run(cli.command, &cli.tap) => Some(result),
            }
        })
    };
    // Nothing of the run is used any more behind a panic.
    let code = std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Some(Err(panic::error())));
    // A task of the sandbox or a name look-up may still be under way; nobody needs it.
    runtime.shutdown_background();
    let code = code.map(|result| match result {
        Ok(code) => code,
        Err(error) => {
            output.message(airbyte::error(&error, None));
            ExitCode::FAILURE
        }
    });
    let is_written = output.finish(stop, PATIENCE);
    Ok(match (stop.reason(), code) {
        (Some(stop), _) => Ending::Stopped(stop),
        (None, _) if !is_written => Ending::Exit(ExitCode::FAILURE),
        (None, code) => Ending::Exit(code.unwrap_or(ExitCode::FAILURE)),
    })
}

impl Session {
    async fn run(&self, command: Option<Command>, tap: &TapArguments) -> Result<ExitCode> {
        match command {
            Some(command) => self.command(command).await,
            None => self.tap(tap).await,
        }
    }

    async fn command(&self, command: Command) -> Result<ExitCode> {
        match command {
            Command::Spec => Ok(self.spec()),
            Command::Check { config, exit_code } => self.check(self.config(&config.config).await, exit_code).await,
            Command::Discover(file) => Ok(self.discover(&self.config(&file.config).await?)),
            Command::Setup(arguments) => self.setup(arguments).await,
            Command::Read { config, input } => {
                let config = self.config(&config.config).await?;
                let catalog = airbyte::parse_catalog(&read_file(&input.catalog, "catalog").await?)?;
                let states = read_states(input.state.as_deref()).await?;
                if input.dry_run {
                    self.dry_run(&config, &catalog, &states).await
                } else {
                    self.read(&config, &catalog, &states, Extent::All).await
                }
            }
            #[cfg(feature = "demo")]
            Command::Demo { command } => self.demo(command).await,
        }
    }

    async fn config(&self, path: &Path) -> Result<Config> {
        parse_config(&read_file(path, "configuration").await?)
    }
}

/// Parses a configuration, makes its secrets known to those who mask them, and logs its warnings.
fn parse_config(text: &str) -> Result<Config> {
    redact::add_secrets_of(text);
    let config = Config::parse(text)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// Reads the saved states of streams; without a file there are none.
async fn read_states(path: Option<&Path>) -> Result<BTreeMap<String, Value>> {
    match path {
        Some(path) => airbyte::parse_state(&read_file(path, "state").await?),
        None => Ok(BTreeMap::new()),
    }
}

/// Reads a file of the user's, or standard input for `-`; either may block for ever, so signals are obeyed meanwhile.
async fn read_file(path: &Path, what: &str) -> Result<String> {
    let source = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let file: Box<dyn Read> =
            if source == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(source)?) };
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    match read.await.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into())) {
        Ok(bytes) if bytes.len() as u64 > LARGEST_FILE => Err(Error::config(format!(
            "The {what} file {} is larger than {} MiB, so it is something else. Check the path.",
            path.display(),
            LARGEST_FILE / 1024 / 1024
        ))),
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::config(format!(
                "The {what} file {} is not UTF-8 text (the first mistake is at byte {at}). Save it as UTF-8.",
                path.display()
            ))
        }),
        Err(error) => Err(Error::config(format!(
            "The {what} file {} cannot be read: {error}. Check the path, and that this user may read it.",
            // Some give the text itself, which may hold secrets.
            if path.to_string_lossy().starts_with('{') {
                "(a text, not a path)".into()
            } else {
                path.display().to_string()
            }
        ))),
    }
}
