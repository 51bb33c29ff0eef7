//! How the process dies when it is told to: of the signal itself, so that whoever sent it sees its doing.

use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::redact;
use crate::stop::{Stop, StopSender};

/// Tells `stop` of the first signal; a second one ends the process at once.
///
/// # Errors
/// When the system takes no handler.
pub fn listen(stop: &StopSender) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    if !ignores(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let stop = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if stop.is_stopping() {
                end_by_signal(signal);
            }
            stop.send(Stop::Signal(signal));
        }
    })?;
    Ok(())
}

/// Ends the process the way that fits the reason.
#[must_use]
pub fn end_by(stop: &Stop) -> ExitCode {
    match stop {
        Stop::Signal(signal) => end_by_signal(*signal),
        // What every program does whose reader has gone, such as `| head -1`.
        Stop::ReaderGone => end_by_signal(SIGPIPE),
        // It has been told as an error of the run.
        Stop::Panicked | Stop::Stalled => ExitCode::FAILURE,
        Stop::OutputFailed(error) => {
            complain(&format!("The output cannot be written: {error}."));
            ExitCode::FAILURE
        }
    }
}

/// Raises the signal with its default disposition. The first process of a container is immune to signals, and exits with
/// the number that a shell would show.
fn end_by_signal(signal: i32) -> ! {
    if std::process::id() != 1 {
        // It does not return, unless the system refuses; then the exit below serves.
        let _ = emulate_default_handler(signal);
    }
    #[expect(clippy::exit, reason = "the one place that ends the process, after everything was written")]
    std::process::exit(128 + signal)
}

/// Whether the process was started to outlive its terminal, as by `nohup`.
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Says something to people; stdout is not theirs.
#[expect(clippy::print_stderr, reason = "the protocol's channel is broken when this is called")]
fn complain(text: &str) {
    eprintln!("{}", redact::line(text));
}
