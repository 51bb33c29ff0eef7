//! `check`: tests a configuration. The result is a message, so a failed check exits 0 too, unless `--exit-code` is set.

use std::process::ExitCode;

use super::Session;
use crate::api::Patience;
use crate::config::Config;
use crate::engine::ladder::{Climb, Hold, Ladder, Rung, Step};
use crate::error::{Error, Kind, Result};
use crate::protocol::airbyte;
use crate::terminal::Terminal;

impl Session {
    /// Runs every step and shows each as soon as it is done.
    pub(super) async fn check(&self, config: Result<Config>, with_exit_code: bool) -> Result<ExitCode> {
        let outcome = verdict(&self.climb(config).await?);
        if let Err(error) = &outcome
            && error.kind == Kind::System
        {
            // Neither the configuration nor Criteo is at fault: the protocol expects a trace instead of a status.
            return Err(error.clone());
        }
        self.output.message(airbyte::connection_status(&outcome));
        Ok(if with_exit_code && outcome.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Runs the steps of the check, reported one by one: at a terminal as text, else in the log.
    pub(super) async fn climb(&self, config: Result<Config>) -> Result<Climb> {
        let terminal = Terminal::of_people();
        let mut tell = |rung: &Rung| match &terminal {
            Some(terminal) => terminal.rung(rung),
            None => log(rung),
        };
        let ladder = Ladder::new(&mut tell);
        match config {
            Ok(config) => match self.client(&config, Patience::Check) {
                Ok(client) => Ok(ladder.climb(&client, &self.output, &config).await),
                Err(error) if error.kind == Kind::System => Err(error),
                Err(error) => Ok(ladder.without_client(error)),
            },
            Err(error) if error.kind == Kind::System => Err(error),
            Err(error) => Ok(ladder.without_config(error)),
        }
    }
}

fn log(rung: &Rung) {
    match &rung.hold {
        Hold::Fine(text) => tracing::info!("{}: {text}", rung.step.name()),
        Hold::Note(text) => tracing::warn!("{}: {text}", rung.step.name()),
        // Part of the final status.
        Hold::Broken(_) | Hold::Untried => {}
    }
}

/// The result of the check as one text: all problems, or what is worth knowing.
pub(super) fn verdict(climb: &Climb) -> Result<String> {
    let broken: Vec<(Step, &Error)> = climb
        .rungs
        .iter()
        .filter_map(|rung| match &rung.hold {
            Hold::Broken(error) => Some((rung.step, error)),
            _ => None,
        })
        .collect();
    match broken[..] {
        [] => {
            let said = climb.rungs.iter().filter_map(|rung| match &rung.hold {
                Hold::Note(text) => Some(text.as_str()),
                Hold::Fine(text) if [Step::App, Step::Advertisers, Step::FirstSync].contains(&rung.step) => {
                    Some(text.as_str())
                }
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
