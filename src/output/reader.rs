//! Checks that stdout has a reader, before Criteo is called or a file is written.

use std::path::Path;

use crate::support::stop::Stop;

/// Why output cannot arrive, as far as the system can tell (Linux).
#[must_use]
pub fn trouble() -> Option<Stop> {
    let stdout = Path::new("/proc/self/fd/1");
    if is_pipe(stdout) && is_without_reader(stdout) {
        return Some(Stop::ReaderGone);
    }
    is_closed(stdout).then(|| {
        Stop::OutputFailed("standard output is closed (to discard the output, redirect it: >/dev/null)".to_owned())
    })
}

/// If stdout is closed at startup, the standard library opens /dev/null for reading and writing instead. A shell opens
/// it for writing only.
fn is_closed(stdout: &Path) -> bool {
    let leads_nowhere = std::fs::read_link(stdout).is_ok_and(|target| target == Path::new("/dev/null"));
    let is_readable = || {
        let info = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
        let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        // O_RDWR
        flags.is_some_and(|flags| flags & 0o3 == 0o2)
    };
    leads_nowhere && is_readable()
}

#[cfg(unix)]
fn is_pipe(stdout: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(stdout).is_ok_and(|found| found.file_type().is_fifo())
}

/// Opening a pipe without a reader for non-blocking writes fails with `ENXIO`.
#[cfg(unix)]
fn is_without_reader(stdout: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt as _;
    /// `O_NONBLOCK` of Linux.
    const WITHOUT_WAITING: i32 = 0o4000;
    /// `ENXIO` of Linux.
    const NO_SUCH_DEVICE: i32 = 6;
    let opened = std::fs::OpenOptions::new().write(true).custom_flags(WITHOUT_WAITING).open(stdout);
    opened.is_err_and(|error| error.raw_os_error() == Some(NO_SUCH_DEVICE))
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn is_without_reader(_: &Path) -> bool {
    false
}
