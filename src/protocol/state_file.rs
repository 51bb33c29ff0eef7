//! The states of a run in a file, for those who read by hand: read at its start, written as it goes on.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::saved::{Saved, States};
use crate::error::{Error, Result};
use crate::files::Kept;

/// The file is written at most this often, and at the end.
const PAUSE: Duration = Duration::from_secs(1);

/// A file with the last state of each stream, as Airbyte's platform would store them. It belongs to one run at a time.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    file: Kept,
    states: States,
    /// When it was written last.
    written: Option<Instant>,
    is_stale: bool,
}

impl StateFile {
    /// Takes the file for this run, makes it if it is missing, and reads the states in it. It is written at once: who cannot
    /// write it should know before anything is read.
    ///
    /// # Errors
    /// [`Kind::Config`](crate::error::Kind::Config) when the file cannot be written or has no states;
    /// [`Kind::Transient`](crate::error::Kind::Transient) while another run has it.
    pub fn open(path: PathBuf, parse: impl FnOnce(Vec<u8>) -> Result<States>) -> Result<Self> {
        let mut file = Kept::open_or_make(&path).map_err(|error| match error {
            TryLockError::WouldBlock => Error::transient(format!(
                "Another run is using the state file {}. Two at once would lose each other's states, so this one has read \
                 nothing. Wait for the other to end, or give each run a file of its own.",
                path.display()
            )),
            TryLockError::Error(error) => cannot_be_written(&path, &error),
        })?;
        if !file.is_locked() {
            tracing::warn!(
                "The file system of {} has no locks. Make sure that no other run uses this state file at the same time: two \
                 would lose each other's states.",
                path.display()
            );
        }
        let states = parse(file.read().map_err(|error| cannot_be_written(&path, &error))?)?;
        let mut file = Self { path, file, states, written: None, is_stale: true };
        file.save()?;
        Ok(file)
    }

    /// The states that it holds.
    #[must_use]
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Takes in the state of a stream, all of whose records have been written.
    pub(super) fn keep(&mut self, stream: &str, state: &Value) -> Result<()> {
        self.states.insert(stream.to_owned(), Saved::from(state));
        self.is_stale = true;
        if self.written.is_none_or(|written| written.elapsed() >= PAUSE) { self.save() } else { Ok(()) }
    }

    /// Writes what has not been written yet.
    pub(super) fn save(&mut self) -> Result<()> {
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
        "The state file {} cannot be written: {error}. Choose another place, or mend that.",
        path.display()
    ))
}
