//! From arguments to an exit code.

use std::process::ExitCode;

use clap::Parser;
use source_criteo::cli::Cli;
use source_criteo::commands::{self, Ending};
use source_criteo::protocol::reader;
use source_criteo::redact;
use source_criteo::signals;
use source_criteo::stop::StopSender;

#[expect(clippy::print_stderr, reason = "without an output thread there is no other channel")]
fn main() -> ExitCode {
    // A core dump would hold the secrets. Where it cannot be forbidden there is nobody to tell yet. PR_SET_DUMPABLE would
    // forbid more, but also `--config <(…)`: a user's own /proc/self/fd is closed to such a process.
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0); // guard: core-dumps
    let (stop, stopped) = StopSender::new();
    // Without handlers a signal still ends the process, only less gently.
    signals::listen(&stop).ok(); // guard: signal-handlers
    if let Some(stop) = reader::trouble() {
        return signals::end_by(&stop);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A mistake shows what was typed, which a script may have from anywhere.
        Err(words) if words.use_stderr() => {
            eprint!("{}", redact::lines(&words.to_string()));
            return u8::try_from(words.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
        // The help or the version; a disk may be full.
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
