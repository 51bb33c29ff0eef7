//! The states of a run in a file, for `read --state-file`: read at the start, updated during the run.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::state::saved::{Saved, States};
use crate::support::files::Kept;

/// The subfolder of an exported folder with everything but the exported files.
pub(crate) const OF_EXPORT: &str = ".source-criteo";
/// The state file in it.
pub(crate) const STATE_OF_EXPORT: &str = "state.json";

/// Minimum time between two writes, except for the last.
const PAUSE: Duration = Duration::from_secs(1);

/// A file with each stream's last state, as Airbyte's platform would store it. One run at a time may use it.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    file: Kept,
    states: States,
    written: Option<Instant>,
    is_stale: bool,
}

impl StateFile {
    /// Locks the file for this run, creates it if it is missing, and reads its states. It is written immediately, so
    /// that a file that is not writable is reported before anything is read.
    ///
    /// # Errors
    /// [`Kind::Config`](crate::error::Kind::Config) if the file is not writable or has no states;
    /// [`Kind::Transient`](crate::error::Kind::Transient) while another run uses it.
    pub fn open(path: PathBuf, parse: impl FnOnce(Vec<u8>) -> Result<States>) -> Result<Self> {
        let mut file = Kept::open_or_make(&path).map_err(|error| match error {
            TryLockError::WouldBlock => Error::transient(format!(
                "Another run is using the state file {}. Concurrent runs would overwrite each other's states, so this \
                 one has not read anything. Wait for the other run to end, or give each run its own file.",
                path.display()
            )),
            TryLockError::Error(error) => cannot_be_written(&path, &error),
        })?;
        if !file.is_locked() {
            tracing::warn!(
                "The file system of {} does not support locks. Make sure that no other run uses this state file at the \
                 same time: they would overwrite each other's states.",
                path.display()
            );
        }
        let states = parse(file.read().map_err(|error| cannot_be_written(&path, &error))?)?;
        let mut file = Self { path, file, states, written: None, is_stale: true };
        file.save()?;
        Ok(file)
    }

    /// The stored states.
    #[must_use]
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Stores the state of a stream whose records were all written.
    pub(crate) fn keep(&mut self, stream: &str, state: &Value) -> Result<()> {
        self.states.insert(stream.to_owned(), Saved::from(state));
        self.is_stale = true;
        if self.written.is_none_or(|written| written.elapsed() >= PAUSE) { self.save() } else { Ok(()) }
    }

    /// Removes the state of a stream.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn forget(&mut self, stream: &str) -> Result<()> {
        self.states.remove(stream);
        self.is_stale = true;
        self.save()
    }

    /// Writes the file if it is out of date.
    pub(crate) fn save(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.is_stale) {
            return Ok(());
        }
        self.written = Some(Instant::now());
        let entries = self.states.iter().map(|(stream, state)| {
            let name = json!({"name": stream});
            let state = state.text();
            format!(r#"{{"type":"STREAM","stream":{{"stream_descriptor":{name},"stream_state":{state}}}}}"#)
        });
        let text = format!("[{}]\n", entries.collect::<Vec<_>>().join(","));
        self.file.write(&text).map_err(|error| cannot_be_written(&self.path, &error))
    }
}

fn cannot_be_written(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!(
        "The state file {} cannot be written: {error}. Fix this or choose another path.",
        path.display()
    ))
}
