//! `check`: tests a configuration. The result is a message, so a failed check exits 0 too, unless `--exit-code` is set;
//! at a terminal it is text, and a failed check exits 1.

use std::process::ExitCode;

use crate::check::{Check, CheckReport, Step, StepOutcome, StepResult};
use crate::commands::Session;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::http::RetryProfile;
use crate::support::terminal::{Color, Terminal};

impl Session {
    /// Runs every step and shows each as soon as it is done.
    pub(crate) async fn check(&self, config: Result<Config>, with_exit_code: bool) -> Result<ExitCode> {
        let outcome = verdict(&self.run_checks(config.as_ref().map_err(Error::clone)).await?);
        if let Err(error) = &outcome
            && error.kind == Kind::System
        {
            // Neither the configuration nor Criteo is at fault: the protocol expects a trace instead of a status.
            return Err(error.clone());
        }
        let has_failed = outcome.is_err();
        self.output.checked(outcome);
        Ok(if (with_exit_code || !self.is_airbyte) && has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Runs the steps of the check, reported one by one: at a terminal as text, else in the log.
    pub(crate) async fn run_checks(&self, config: Result<&Config>) -> Result<CheckReport> {
        self.check_quietly(config, &mut report).await
    }

    /// Runs the steps of the check; the caller decides what to show of them.
    pub(crate) async fn check_quietly(
        &self,
        config: Result<&Config>,
        on_result: &mut dyn FnMut(&StepResult),
    ) -> Result<CheckReport> {
        let check = Check::new(on_result);
        match config {
            Ok(config) => match self.client(config, RetryProfile::Check) {
                Ok(client) => Ok(check.run_checks(&client, &self.output, config).await),
                Err(error) if error.kind == Kind::System => Err(error),
                Err(error) => Ok(check.without_client(error)),
            },
            Err(error) if error.kind == Kind::System => Err(error),
            Err(error) => Ok(check.without_config(error)),
        }
    }
}

/// Reports the result of a step: at a terminal as text, else in the log.
pub(crate) fn report(result: &StepResult) {
    match Terminal::stderr() {
        Some(terminal) => show(terminal, result),
        None => log(result),
    }
}

/// Passed steps whose text is worth knowing afterwards.
const SUMMED_UP: [Step; 4] = [Step::Configuration, Step::App, Step::Advertisers, Step::FirstSync];

fn log(result: &StepResult) {
    match &result.outcome {
        StepOutcome::Passed(text) => tracing::info!("{}: {}{text}", result.step.name(), result.detail),
        StepOutcome::Warning(text) => tracing::warn!("{}: {text}", result.step.name()),
        // Part of the final status.
        StepOutcome::Failed(_) | StepOutcome::Skipped => {}
    }
}

/// The result of the check as one text: all problems, or what is worth knowing.
pub(crate) fn verdict(report: &CheckReport) -> Result<String> {
    let broken: Vec<(Step, &Error)> = report
        .results
        .iter()
        .filter_map(|result| match &result.outcome {
            StepOutcome::Failed(error) => Some((result.step, error)),
            _ => None,
        })
        .collect();
    match broken[..] {
        [] => {
            let said = report.results.iter().filter_map(|result| match &result.outcome {
                StepOutcome::Warning(text) => Some(text.as_str()),
                StepOutcome::Passed(text) if SUMMED_UP.contains(&result.step) => Some(text.as_str()),
                _ => None,
            });
            Ok(std::iter::once("The credentials work.").chain(said).collect::<Vec<_>>().join(" "))
        }
        [(_, error)] => Err(error.clone()),
        [(_, first), ..] => {
            let list: Vec<_> = broken.iter().map(|(step, error)| format!("- {}: {error}", step.name())).collect();
            let message = format!("There are {} problems.\n{}", broken.len(), list.join("\n"));
            Err(Error { message, ..first.clone() })
        }
    }
}

/// Writes one step of the check: a mark, its name and its result.
fn show(terminal: Terminal, result: &StepResult) {
    let (mark, color, text) = match &result.outcome {
        StepOutcome::Passed(text) => ("✓", Color::Green, result.detail.clone() + text),
        StepOutcome::Warning(text) => ("!", Color::Yellow, text.clone()),
        StepOutcome::Failed(error) => {
            let help = format!("{error}\nHelp: `source-criteo help credentials {}`", result.step.name());
            ("✗", Color::Red, help)
        }
        StepOutcome::Skipped => ("·", Color::Gray, "skipped".to_owned()),
    };
    let column = Step::ALL.iter().map(|step| step.name().len()).max().unwrap_or(0);
    terminal.entry(mark, color, result.step.name(), column, &text);
}
