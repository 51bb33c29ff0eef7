//! `check`: does the configuration work? The answer is a message, so the exit code is 0 either way, unless it is asked for.

use std::process::ExitCode;

use super::Session;
use crate::api::Patience;
use crate::config::Config;
use crate::engine::ladder::{Climb, Hold, Ladder, Rung, Step};
use crate::error::{Error, Kind, Result};
use crate::protocol::airbyte;
use crate::terminal::Terminal;

impl Session {
    /// Tries every step to the data; whoever watches sees each at once.
    pub(super) async fn check(&self, config: Result<Config>, with_exit_code: bool) -> Result<ExitCode> {
        let outcome = verdict(&self.climb(config).await?);
        if let Err(error) = &outcome
            && error.kind == Kind::System
        {
            // Not the user's fault and not Criteo's: the protocol wants a trace and no status.
            return Err(error.clone());
        }
        self.output.message(airbyte::connection_status(&outcome));
        Ok(if with_exit_code && outcome.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The rungs of a configuration, told one by one: to people at a terminal, else to the log.
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
        // The status has them.
        Hold::Broken(_) | Hold::Untried => {}
    }
}

/// What the rungs come to, in one text: all problems, or what there is to know.
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
