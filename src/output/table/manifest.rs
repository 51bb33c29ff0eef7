//! What a folder must be before an export writes to it: one of its own, without links, of the same account and format.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::state_file::OF_EXPORT;
use crate::output::table::in_file;
use crate::support::files;

/// The name of the manifest in the part of the folder that is not for people.
pub(super) const MANIFEST: &str = "export.json";
const VERSION: u32 = 1;

/// The format of exported files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Parquet, compressed with zstd: for databases, Python, Spark and warehouses.
    #[default]
    Parquet,
    /// CSV with a header (RFC 4180).
    Csv,
    /// One Excel workbook with a sheet per stream.
    Xlsx,
    /// Arrow IPC files.
    Arrow,
    /// One JSON object per line.
    Jsonl,
}

impl FileFormat {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Arrow => "arrow",
            Self::Jsonl => "jsonl",
        }
    }
}

/// What all runs of a folder have in common: rows of others would not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    pub(super) format: FileFormat,
    currency: String,
    timezone: String,
    /// Whether the rows are of a simulated account.
    #[serde(default)]
    is_simulated: bool,
}

impl Manifest {
    /// The manifest of a run.
    #[must_use]
    pub fn new(format: FileFormat, currency: String, timezone: String, is_simulated: bool) -> Self {
        Self { version: VERSION, format, currency, timezone, is_simulated }
    }
}

/// Folders within folders: `.source-criteo/tables/<table>`.
const MAX_DEPTH: u32 = 3;

/// Refuses links in the folder. Files are written next to their tables and renamed, which replaces a link to a file and
/// fails for one to a folder elsewhere.
pub(super) fn refuse_links(root: &Path) -> Result<()> {
    let link = link_in(root, 0).map_err(|error| cannot_be_written(root, &error))?;
    match link {
        Some(link) => Err(Error::config(format!(
            "{} is a link, and an export writes only within its folder. Replace the link with what it leads to. The \
             folder itself may be a link.",
            link.display()
        ))),
        None => Ok(()),
    }
}

fn link_in(folder: &Path, depth: u32) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // What else is wrong with the folder is reported elsewhere.
        Err(_) if depth == 0 => return Ok(None),
        Err(error) => return Err(in_file(folder, error)),
    };
    for entry in entries {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if depth == 0 && name != OF_EXPORT && name.to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_symlink() {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir()
            && depth < MAX_DEPTH
            && let Some(link) = link_in(&entry.path(), depth + 1)?
        {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

pub(super) fn refuse_foreign(root: &Path, hidden: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && root.is_symlink() => {
            return Err(Error::config(format!(
                "{} is a link to a folder that does not exist. Create that folder, or name another one.",
                root.display()
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::config(format!("{} is not a folder. Name a folder to export to.", root.display())));
        }
        Err(error) => return Err(cannot_be_written(root, &error)),
    };
    if hidden.join(MANIFEST).exists() {
        return Ok(());
    }
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.into_iter().find(|name| !name.starts_with('.')) {
        Some(name) => Err(Error::config(format!(
            "{} has files that are not from an export, such as {name}. Name an empty folder, or one that does not \
             exist yet.",
            root.display()
        ))),
        None => Ok(()),
    }
}

/// The format of the folder's files; `None` before the first export.
#[must_use]
pub fn format_of(root: &Path) -> Option<FileFormat> {
    let text = fs::read_to_string(root.join(OF_EXPORT).join(MANIFEST)).ok()?;
    let found: Value = serde_json::from_str(&text).ok()?;
    serde_json::from_value(found["format"].clone()).ok()
}

pub(super) fn check_manifest(root: &Path, path: &Path, manifest: &Manifest) -> Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = serde_json::to_string(manifest).unwrap_or_default() + "\n";
            return files::write(path, &text).map_err(|error| cannot_be_written(root, &error));
        }
        Err(error) => return Err(cannot_be_written(root, &error)),
    };
    let found: Value = serde_json::from_str(&text).unwrap_or_default();
    if found["version"].as_u64().is_some_and(|version| version > u64::from(VERSION)) {
        return Err(Error::config(format!(
            "{} was written by a newer version of source-criteo. Update this one, or export to another folder.",
            root.display()
        )));
    }
    let Ok(found) = serde_json::from_value::<Manifest>(found) else {
        return Err(Error::config(format!(
            "{} is damaged. Export to another folder, or delete {} to start again.",
            path.display(),
            root.display()
        )));
    };
    for (what, then, now) in [
        ("the format", found.format.extension(), manifest.format.extension()),
        ("the currency", &*found.currency, &*manifest.currency),
        ("the time zone", &*found.timezone, &*manifest.timezone),
    ] {
        if then != now {
            return Err(Error::config(format!(
                "{} was exported with {what} {then}, and this run has {now}: their rows would not fit together. Export \
                 to another folder, or use {then}.",
                root.display()
            )));
        }
    }
    if found.is_simulated != manifest.is_simulated {
        let [of, now] = [found.is_simulated, manifest.is_simulated].map(account);
        return Err(Error::config(format!(
            "{} has rows of {of}, and this run reads {now}. Export to another folder.",
            root.display()
        )));
    }
    Ok(())
}

fn account(is_simulated: bool) -> &'static str {
    if is_simulated { "a simulated account" } else { "a Criteo account" }
}

pub(super) fn cannot_be_written(root: &Path, error: &io::Error) -> Error {
    Error::config(format!("Cannot export to {}: {error}. Fix this, or export to another folder.", root.display()))
}
