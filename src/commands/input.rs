//! The input of a sync: streams, catalogs and states.

use std::collections::HashSet;
use std::path::Path;

use crate::commands::{MIB, largest, read_file, text_of, too_large};
use crate::error::{Error, Result};
use crate::output::state_file::StateFile;
use crate::products::Stream;
use crate::products::marketing::metrics::fold;
use crate::protocol::airbyte::{self, ConfiguredStream, SyncMode};
use crate::state::saved::States;

pub(crate) fn named(names: &[String], streams: &[Stream]) -> Result<Vec<ConfiguredStream>> {
    let mut seen = HashSet::new();
    let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let names = names.map(|name| meant(name, streams)).filter(|name| seen.insert(*name));
    let configured: Vec<_> = names.map(|name| ConfiguredStream::new(name, Ok(SyncMode::Incremental), None)).collect();
    if configured.is_empty() {
        return Err(Error::config("--streams is empty. `source-criteo streams` lists the streams."));
    }
    Ok(configured)
}

/// All of these streams.
pub(crate) fn all(streams: &[Stream]) -> Vec<ConfiguredStream> {
    streams.iter().map(|stream| ConfiguredStream::new(&stream.name, Ok(SyncMode::Incremental), None)).collect()
}

/// The stream whose name matches in any spelling; else the name as given.
pub(crate) fn meant<'a>(name: &'a str, streams: &'a [Stream]) -> &'a str {
    if streams.iter().any(|stream| stream.name == name) {
        return name;
    }
    let wanted = fold(name);
    let mut same = streams.iter().filter(|stream| fold(&stream.name) == wanted);
    match (same.next(), same.next()) {
        (Some(stream), None) => &stream.name,
        _ => name,
    }
}

pub(crate) async fn states(path: Option<&Path>, absent: &str) -> Result<States> {
    match path {
        Some(path) => airbyte::parse_state(&state_text(path, absent).await?),
        None => Ok(States::new()),
    }
}

/// Reads a state file without opening it for writing.
pub(crate) async fn kept_states(path: &Path) -> Result<States> {
    if is_missing(path)? {
        return Ok(States::new());
    }
    airbyte::parse_state(&read_file(path, "state").await?)
}

/// Opens a state file, and creates it if missing.
pub(crate) fn state_file(path: &Path) -> Result<StateFile> {
    is_missing(path)?;
    StateFile::open(path.to_owned(), |bytes| airbyte::parse_state(&text_of(bytes, path, "state")?))
}

/// Whether a state file is yet to be created; rejects anything but a regular file.
fn is_missing(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(Error::config(format!(
            "The state file {} is {}, which cannot be replaced when the state is saved. Name a file.",
            path.display(),
            kind(&found)
        ))),
        Ok(found) if found.len() > largest("state") * MIB => Err(too_large(path, "state")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        _ => Ok(false),
    }
}

/// Reads a state file; `absent` is the hint for a missing one.
pub(crate) async fn state_text(path: &Path, absent: &str) -> Result<String> {
    match std::fs::metadata(path) {
        // Devices are read: /dev/null means no state.
        Ok(found) if !found.is_file() && kind(&found) != DEVICE && !is_open(path) => Err(Error::config(format!(
            "The state file {} is {}. Name a file with the state of the last sync.",
            path.display(),
            kind(&found)
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path != Path::new("-") => {
            Err(Error::config(format!("The state file {} does not exist. {absent}", path.display())))
        }
        _ => read_file(path, "state").await,
    }
}

/// Whether the shell opened the path, such as `<(command)`, so that a writer exists.
fn is_open(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/proc"].iter().any(|folder| path.starts_with(folder)) && !path.is_dir()
}

/// The kind of a path that cannot be read from.
pub(crate) fn no_file(path: &Path) -> Option<&'static str> {
    std::fs::metadata(path).ok().map(|found| kind(&found)).filter(|kind| [FOLDER, SOCKET].contains(kind))
}

/// Whether a path is a named pipe on disk, which may never get a writer.
pub(crate) fn is_named_pipe(path: &Path) -> bool {
    !is_open(path) && std::fs::metadata(path).is_ok_and(|found| kind(&found) == FIFO)
}

const DEVICE: &str = "a device";
const FIFO: &str = "a named pipe (FIFO)";
const FOLDER: &str = "a folder";
const SOCKET: &str = "a socket";

fn kind(found: &std::fs::Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if found.file_type().is_fifo() {
            return FIFO;
        }
        if found.file_type().is_socket() {
            return SOCKET;
        }
    }
    if found.is_dir() { FOLDER } else { DEVICE }
}

/// Merges entries of one stream, with a warning: sync mode of the first, columns of all.
pub(crate) fn once(catalog: Vec<ConfiguredStream>) -> Vec<ConfiguredStream> {
    let mut kept: Vec<ConfiguredStream> = Vec::with_capacity(catalog.len());
    let mut doubles = Vec::new();
    for configured in catalog {
        let Some(first) = kept.iter_mut().find(|first| first.name == configured.name) else {
            kept.push(configured);
            continue;
        };
        first.columns = match (first.columns.take(), configured.columns) {
            (Some(mut columns), Some(more)) => {
                columns.extend(more);
                Some(columns)
            }
            // An entry without a list selects all columns.
            _ => None,
        };
        if !doubles.contains(&configured.name) {
            doubles.push(configured.name);
        }
    }
    if !doubles.is_empty() {
        tracing::warn!(
            "The catalog has more than one entry for {}. The stream is read once, in the sync mode of the first \
             selected entry and with the columns of all entries.",
            doubles.join(", ")
        );
    }
    kept
}
