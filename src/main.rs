//! From arguments to an exit code.

use std::process::ExitCode;

use clap::Parser;
use source_criteo::cli::Cli;
use source_criteo::commands::{self, Ending};
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
    let cli = Cli::parse();
    match commands::run(cli, &stop, stopped) {
        Ok(Ending::Exit(code)) => code,
        Ok(Ending::Stopped(stop)) => signals::end_by(&stop),
        Err(error) => {
            eprintln!("source-criteo cannot start: {error:#}");
            ExitCode::FAILURE
        }
    }
}
