//! The states of a run in a file, for those who read by hand: read at its start, written as it goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::saved::{Saved, States};
use crate::error::{Error, Result};
use crate::files;

/// The file is written at most this often, and at the end.
const PAUSE: Duration = Duration::from_secs(1);

/// A file with the last state of each stream, as Airbyte's platform would store them.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    states: States,
    /// When it was written last.
    written: Option<Instant>,
    is_stale: bool,
}

impl StateFile {
    /// A file that holds these states. It is written at once: who cannot write it should know before anything is read.
    ///
    /// # Errors
    /// [`Kind::Config`](crate::error::Kind::Config) when the system does not let it be written.
    pub fn new(path: PathBuf, states: States) -> Result<Self> {
        let mut file = Self { path, states, written: None, is_stale: true };
        file.save()?;
        Ok(file)
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
        files::write(&self.path, &text).map_err(|error| {
            Error::config(format!(
                "The state file {} cannot be written: {error}. Choose another place, or mend that.",
                self.path.display()
            ))
        })
    }
}
