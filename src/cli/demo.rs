//! The command line of `demo`: the commands that read a configuration, with one that the sandbox supplies.

use std::cell::Cell;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, FromArgMatches, Subcommand, value_parser};

use crate::cli::Command;

/// The value of `--config` in a demo, where it is hidden.
const SUPPLIED: &str = "(built-in)";
/// The command that only the demo has, and its argument.
const REPORT: &str = "report";
const FILE: &str = "file";
/// The argument that all commands of the demo have.
const PRODUCT: &str = "product";

thread_local! {
    /// Whether the commands of a demo are being built. They contain `demo` again, which must not have any.
    static IS_NESTED: Cell<bool> = const { Cell::new(false) };
}

/// A command that runs against the sandbox.
#[derive(Debug)]
pub enum DemoCommand {
    /// One of the real commands.
    Real(Box<Command>),
    /// A sync of all streams, of which only a page is written to this file.
    Report(PathBuf),
}

impl DemoCommand {
    pub(crate) fn is_human_facing(&self) -> bool {
        match self {
            Self::Real(command) => command.is_human_facing(),
            Self::Report(_) => true,
        }
    }
}

impl FromArgMatches for DemoCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((REPORT, of_report)) => {
                Ok(Self::Report(of_report.get_one::<PathBuf>(FILE).cloned().unwrap_or_default()))
            }
            _ => Command::from_arg_matches(matches).map(|command| Self::Real(Box::new(command))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for DemoCommand {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        if IS_NESTED.replace(true) {
            return command;
        }
        let all = Command::augment_subcommands(clap::Command::new("demo"));
        IS_NESTED.set(false);
        let of_demo = all.get_subcommands().filter(|inner| {
            let name = inner.get_name();
            name == "spec" || (name != "setup" && has(inner, "config"))
        });
        of_demo.cloned().fold(command, |command, inner| command.subcommand(supplied(inner))).subcommand(report())
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Self::augment_subcommands(clap::Command::new("demo")).find_subcommand(name).is_some()
    }
}

fn report() -> clap::Command {
    let file = Arg::new(FILE).value_name("FILE").help("HTML file").default_value("report.html");
    clap::Command::new(REPORT)
        .about("Sync all streams, and write a page about the sync: which days are proven, spend, requests, warnings")
        .arg(file.value_parser(value_parser!(PathBuf)))
}

/// Whether a command has this argument.
fn has(command: &clap::Command, argument: &str) -> bool {
    command.get_arguments().any(|known| known.get_id() == argument)
}

/// The command with the sandbox's configuration, and without what the sandbox makes unnecessary.
fn supplied(command: clap::Command) -> clap::Command {
    let command = if has(&command, "config") {
        command.mut_arg("config", |argument| {
            argument
                .hide(true)
                .required(false)
                .env(Resettable::Reset)
                .default_value(SUPPLIED)
                .value_parser(only_supplied)
        })
    } else {
        command
    };
    let command = if has(&command, PRODUCT) {
        command.mut_arg(PRODUCT, |argument| argument.help("API product to simulate; by default `marketing_solutions`"))
    } else {
        command
    };
    // Without a selection, all streams are read.
    if command.get_name() == "read" { command.mut_group("selection", |group| group.required(false)) } else { command }
}

fn only_supplied(text: &str) -> Result<PathBuf, &'static str> {
    if text == SUPPLIED {
        Ok(text.into())
    } else {
        Err("the demo has its own configuration; run the command without demo to use yours")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, Parser as _};

    use crate::cli::Cli;
    use crate::cli::demo::*;

    #[test]
    fn the_demo_takes_every_flag_of_the_real_commands() {
        let program = Cli::command();
        let demo = program.find_subcommand("demo").unwrap();
        let arguments = |command: &clap::Command| -> BTreeSet<String> {
            command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
        };
        let names: Vec<_> = demo.get_subcommands().map(clap::Command::get_name).collect();
        for name in ["spec", "check", "discover", "streams", "explain", "preview", "read"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert_eq!(names.contains(&"export"), cfg!(feature = "files"));
        for name in ["demo", "setup", "completions", "man", "help"] {
            assert!(!names.contains(&name), "{names:?}");
        }
        for inner in demo.get_subcommands().filter(|inner| inner.get_name() != REPORT) {
            let real = program.find_subcommand(inner.get_name()).unwrap();
            assert_eq!(arguments(inner), arguments(real), "{}", inner.get_name());
        }
    }

    #[test]
    fn the_product_may_stand_before_and_after_any_command() {
        let program = Cli::command();
        let demo = program.find_subcommand("demo").unwrap();
        let product_of = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Some(Command::Demo { product, .. }) => product,
            other => panic!("{line}: {other:?}"),
        };
        for name in demo.get_subcommands().map(clap::Command::get_name) {
            let more = if name == "preview" { " rm_campaigns" } else { "" };
            for line in [
                format!("source-criteo demo --product retail_media {name}{more}"),
                format!("source-criteo demo {name}{more} --product retail_media"),
            ] {
                assert_eq!(product_of(&line).as_deref(), Some("retail_media"), "{line}");
            }
            assert_eq!(product_of(&format!("source-criteo demo {name}{more}")), None);
            let wrong = format!("source-criteo demo {name}{more} --product retail");
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err());
        }
    }

    #[test]
    fn the_configuration_of_the_demo_is_its_own() {
        for line in [
            "demo",
            "demo report",
            "demo report page.html",
            "demo read",
            "demo read --streams campaigns --since 2026-10-01",
            "demo streams",
            "demo --product retail_media",
            "demo --product retail_media read --streams rm_campaigns",
        ] {
            let parsed = Cli::try_parse_from(format!("source-criteo {line}").split(' '));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in ["demo read --config criteo.json", "demo check -c criteo.json", "demo setup", "demo demo", "read"] {
            let parsed = Cli::try_parse_from(format!("source-criteo {line}").split(' '));
            assert!(parsed.is_err(), "{line}");
        }
        let help = Cli::try_parse_from(["source-criteo", "demo", "preview", "--help"]).unwrap_err().to_string();
        assert!(!help.contains("--config") && help.contains("--columns"), "{help}");
    }
}
