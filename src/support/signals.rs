//! Ends the process by re-raising the signal it received, so that the parent sees the right exit status.

use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::support::redact;
use crate::support::stop::{Stop, StopSender};

/// Passes the first signal to `stop`; a second one ends the process immediately.
///
/// # Errors
/// If no handler can be installed.
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

/// Ends the process in a way that fits the reason.
#[must_use]
pub fn end_by(stop: &Stop) -> ExitCode {
    match stop {
        Stop::Signal(signal) => end_by_signal(*signal),
        // As other programs do when their reader is gone, such as `| head -1`.
        Stop::ReaderGone => end_by_signal(SIGPIPE),
        // Already reported as an error of the run.
        Stop::Panicked | Stop::Stalled | Stop::Reported => ExitCode::FAILURE,
        Stop::OutputFailed(error) => {
            complain(&format!("Cannot write the output: {error}."));
            ExitCode::FAILURE
        }
    }
}

/// Raises the signal with its default action. Process 1 of a container is immune to it, and exits with the status that
/// a shell would report.
fn end_by_signal(signal: i32) -> ! {
    if std::process::id() != 1 {
        // Returns only if the system refuses; then the exit below applies.
        let _ = emulate_default_handler(signal);
    }
    #[expect(clippy::exit, reason = "the one place that ends the process, after everything was written")]
    std::process::exit(128 + signal)
}

/// Whether the signal is ignored, as under `nohup`.
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Prints to stderr, since stdout carries the protocol.
#[expect(clippy::print_stderr, reason = "the protocol's channel is broken when this is called")]
fn complain(text: &str) {
    eprintln!("{}", redact::line(text));
}
