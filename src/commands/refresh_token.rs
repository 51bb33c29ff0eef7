//! Stores a rotated refresh token in the configuration file, and reports it to the platform.
//!
//! The file is locked from before the old token is sent until the new one is written, and the token sent is the one in
//! the file at that time. So when two runs share a configuration, the second uses the token that the first received.
//! The new token is flushed to disk before anything else happens. If the run is killed while the response is in transit
//! or during the write, the new token is lost; the error message for a used token says what to do then.

use std::fs::{OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::{Config, ConfigDocument};
use crate::error::{Error, Result};
use crate::http::{RefreshTokens, Turn};
use crate::output::Output;
use crate::support::files::{self, Kept};
use crate::support::terminal::Terminal;

#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A single file.
    File(PathBuf),
    /// A source that cannot store a token, described for a message.
    Elsewhere(&'static str),
}

impl Origin {
    pub(crate) fn of(path: &Path) -> Self {
        if path == Path::new("-") { Self::Elsewhere("standard input") } else { Self::File(path.to_owned()) }
    }
}

pub(crate) struct Keeper {
    file: Option<TokenFile>,
    output: Output,
    document: ConfigDocument,
    /// Whether stdout carries Airbyte messages; a CONTROL message then reports the token.
    is_airbyte: bool,
}

impl Keeper {
    /// Warns immediately, before the old token is used, if a new token could not be stored.
    pub(crate) fn new(config: &Config, origin: &Origin, output: Output, is_airbyte: bool) -> Self {
        // A platform stores the token of the CONTROL message; a user at a terminal does not.
        let has_platform = is_airbyte && Terminal::stderr().is_none();
        let has_token = config.credentials.refresh_token.is_some();
        let file = match has_token.then(|| TokenFile::of(origin, &config.credentials.client_id)) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(reason)) => {
                if !has_platform {
                    tracing::warn!(
                        "Criteo may rotate the refresh token when it is used, and the new one cannot be saved: \
                         {reason}. The next sync may then fail. Pass the configuration as a single writable file, or \
                         use an app of the type \"Client credentials\"."
                    );
                }
                None
            }
        };
        Self { file, output, document: config.document.clone(), is_airbyte }
    }
}

impl RefreshTokens for Keeper {
    fn begin(&self) -> Option<Turn> {
        let Some(file) = &self.file else { return Some(Turn::default()) };
        let lock = match Kept::open(&file.path) {
            // Some file systems have no locks, and the sync needs the token anyway.
            Ok(lock) => Some(lock),
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(error)) => {
                tracing::debug!("The configuration cannot be locked: {error}.");
                None
            }
        };
        Some(Turn { token: file.token().map(SecretString::from), lock })
    }

    fn keep(&self, token: &str) {
        let written = self.file.as_ref().map(|file| (file, file.replace(token)));
        if self.is_airbyte || !matches!(written, Some((_, Ok(())))) {
            self.output.config_changed(self.document.with_refresh_token(token));
        }
        match written {
            Some((file, Ok(()))) => {
                tracing::info!("Criteo rotated the refresh token; the new one is saved in {}.", file.path.display());
            }
            Some((file, Err(error))) => tracing::error!(
                "Criteo rotated the refresh token, and the new one cannot be written to {}: {error}",
                file.path.display()
            ),
            // Platforms store it; at a terminal the user has to.
            None if !self.is_airbyte => {}
            None => {
                if let Some(terminal) = Terminal::stderr().filter(|_| self.is_airbyte) {
                    terminal.paragraph(
                        "Criteo rotated the refresh token. The CONTROL message on stdout has the new one: put it into \
                         the configuration, since the old one may stop working.",
                    );
                }
            }
        }
    }
}

struct TokenFile {
    /// The real path, with symbolic links resolved.
    path: PathBuf,
    client_id: String,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    refresh_token: &'a RawValue,
    client_id: Value,
}

impl TokenFile {
    /// Opens the file, or says why it cannot store a token.
    fn of(origin: &Origin, client_id: &str) -> std::result::Result<Self, String> {
        let path = match origin {
            Origin::File(path) => path,
            Origin::Elsewhere(what) => return Err(format!("the configuration comes from {what}")),
        };
        let shown = path.display();
        let data = path.metadata().map_err(|error| format!("{shown} cannot be inspected ({error})"))?;
        if !data.is_file() {
            return Err(format!("{shown} is not a regular file"));
        }
        let real = path.canonicalize().map_err(|error| format!("{shown} cannot be resolved ({error})"))?;
        if data.permissions().readonly() || OpenOptions::new().write(true).open(&real).is_err() {
            return Err(format!("{shown} is not writable"));
        }
        let file = Self { path: real, client_id: client_id.to_owned() };
        if file.token().is_none() {
            return Err(format!("{shown} does not contain the refresh_token"));
        }
        Ok(file)
    }

    /// The token now in the file, if the file is still for the same app.
    fn token(&self) -> Option<String> {
        let text = read(&self.path).ok()?;
        let members: Members<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
        let token: String = serde_json::from_str(members.refresh_token.get()).ok()?;
        let client_id = match members.client_id {
            Value::String(id) => id,
            other => other.to_string(),
        };
        (client_id.trim() == self.client_id && !token.trim().is_empty()).then(|| token.trim().to_owned())
    }

    /// Replaces the token and leaves the rest of the file unchanged.
    fn replace(&self, token: &str) -> Result<()> {
        let reported = |what: &str| Error::system(format!("{what}. Have the user open the consent link again."));
        let text = read(&self.path).map_err(|error| reported(&error.to_string()))?;
        let new = with_token(&text, token).ok_or_else(|| reported("it no longer has a refresh_token"))?;
        files::replace(&self.path, &new).map_err(|error| reported(&error.to_string()))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    String::from_utf8(files::settled(std::fs::read(path)?)).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

/// The configuration text with another refresh token, all other bytes unchanged.
fn with_token(text: &str, token: &str) -> Option<String> {
    let document = text.trim_start_matches('\u{feff}');
    let mark = text.len() - document.len();
    let members: Members<'_> = serde_json::from_str(document).ok()?;
    let old = members.refresh_token.get();
    // `old` borrows from `document`.
    let start = mark + (old.as_ptr() as usize).checked_sub(document.as_ptr() as usize)?;
    let (before, after) = (text.get(..start)?, text.get(start + old.len()..)?);
    Some(format!("{before}{}{after}", serde_json::to_string(token).ok()?))
}

#[cfg(test)]
mod tests {
    use crate::commands::refresh_token::*;

    #[test]
    fn only_the_top_level_token_is_replaced() {
        let text = "\u{feff}{ \"a\": {\"refresh_token\": \"x\"},\r\n\t\"refresh_token\" :  \"o\\u006cd\" , \"client_id\": 1 }\n";
        let new = with_token(text, "n\"ew").unwrap();
        assert_eq!(new, text.replace("\"o\\u006cd\"", "\"n\\\"ew\""));
        for text in ["{}", "[]", "", "{\"a\": {\"refresh_token\": \"x\"}}", "{\"refresh_token\": \"x\""] {
            assert_eq!(with_token(text, "new"), None, "{text}");
        }
    }
}
