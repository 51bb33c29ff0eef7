//! Parses the arguments, runs the command, exits.

use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap_complete::CompleteEnv;
use source_criteo::cli::{Cli, help, synonyms};
use source_criteo::commands::{self, Ending};
use source_criteo::output::reader;
use source_criteo::support::stop::StopSender;
use source_criteo::support::{redact, signals, terminal};

#[expect(clippy::print_stderr, reason = "without an output thread there is no other channel")]
fn main() -> ExitCode {
    // A core dump would contain secrets. Failure is ignored: there is no channel to report it yet. PR_SET_DUMPABLE is
    // stricter, but breaks `--config <(…)`: it closes /proc/self/fd to its own user.
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0); // guard: core-dumps
    // Ends here if a shell asks for completions.
    CompleteEnv::with_factory(help::with_all).complete();
    let (stop, stopped) = StopSender::new();
    // Without handlers, a signal still ends the process, just less gracefully.
    signals::listen(&stop).ok(); // guard: signal-handlers
    if let Some(stop) = reader::trouble() {
        return signals::end_by(&stop);
    }
    let matches = help::in_groups().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // The error quotes the arguments, which may contain secrets.
        Err(words) if words.use_stderr() => {
            let words = synonyms::suggest(words);
            eprint!("{}", terminal::mistake(&words.to_string()));
            return u8::try_from(words.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
        // Help or version; writing may fail on a full disk.
        Err(words) if words.print().is_err() => return ExitCode::FAILURE,
        Err(words) => return u8::try_from(words.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    };
    match commands::run(cli, &stop, stopped) {
        Ok(Ending::Exit(code)) => code,
        Ok(Ending::Stopped(stop)) => signals::end_by(&stop),
        Err(error) => {
            eprintln!("{}", redact::line(&format!("source-criteo cannot start: {error:#}")));
            ExitCode::FAILURE
        }
    }
}
