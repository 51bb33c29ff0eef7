//! Jobs at Criteo: created, asked for their status until they end, and their file fetched.
//!
//! A job holds no connection and no memory while it runs, and requests for its status count like those for objects, not
//! like reports. `catalog` and `billing` read the files of the two kinds, `lines` is a file with an object per line.

mod billing;
mod catalog;
mod lines;

use std::time::Duration;

use serde_json::Value;

use crate::error::{Cause, Error, Kind, Result};
use crate::http::Call;
use crate::products::Job;
use crate::read::{ReadContext, requests};
use crate::rows::envelope;
use crate::support::scan;
use crate::support::text::excerpt;

/// Lists read at the same time, if each is a job: most of their time, they wait.
pub(super) const CONCURRENT_JOBS: usize = 32;
/// Files received at the same time.
pub(super) const CONCURRENT_FILES: usize = 4;
/// Seconds before the first status requests; later ones wait as long as the last of these.
const WAITS: &[u64] = &[1, 2, 4, 8, 15, 30];
/// Status requests of a job: an hour.
const MAX_POLLS: usize = 124;
/// Jobs for one file, if the earlier ones have expired.
const MAX_JOBS: u32 = 3;
/// Values in a status.
const MAX_STATUS_VALUES: usize = 1000;

/// What Criteo says about a job.
#[derive(Debug, Default)]
struct Status {
    id: Option<String>,
    /// In lower case.
    word: String,
    rows: Option<u64>,
    size: Option<u64>,
    checksum: Option<String>,
    currency: Option<String>,
    message: Option<String>,
}

impl Status {
    fn parse(body: &str) -> Result<Self> {
        envelope::check(body)?;
        let body = scan::tree(body, MAX_STATUS_VALUES)
            .map_err(|_| envelope::unknown_shape("the status of a job is too long"))?;
        let (data, attributes) = (&body["data"], &body["data"]["attributes"]);
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let of = |name: &str| text(&attributes[name]);
        Ok(Self {
            id: text(&data["id"]).or_else(|| of("id")).filter(|id| !id.is_empty()),
            word: of("status").unwrap_or_default().to_lowercase(),
            rows: of("rowCount").and_then(|count| count.parse().ok()),
            size: of("fileSizeBytes").and_then(|size| size.parse().ok()),
            // Criteo spells it in two ways.
            checksum: of("md5Checksum").or_else(|| of("md5CheckSum")),
            currency: of("currency"),
            message: of("message").or_else(|| of("errorMessage")),
        })
    }
}

/// A job whose file is there.
#[derive(Debug, Default)]
struct Finished {
    id: String,
    status: Status,
}

/// Why there is no file.
enum Unread {
    /// Another job may have it.
    Expired(Error),
    Failed(Error),
}

impl ReadContext<'_> {
    /// Creates jobs until the file of one is read; `read` reads it.
    async fn read_job<T>(
        &self,
        kind: Job,
        create: &Call,
        mut read: impl AsyncFnMut(Finished) -> Result<T, Unread>,
    ) -> Result<T> {
        let mut jobs = 1;
        loop {
            let unread = match self.finished_job(kind, create).await {
                Ok(job) => match read(job).await {
                    Ok(result) => return Ok(result),
                    Err(unread) => unread,
                },
                Err(unread) => unread,
            };
            match unread {
                Unread::Expired(error) if jobs < MAX_JOBS => {
                    tracing::info!("Requesting a {} again: {error}", kind.name());
                    jobs += 1;
                }
                // What became of a job says nothing about the account or the API version.
                Unread::Expired(error) => return Err(Error { kind: Kind::Transient, cause: None, ..error }),
                Unread::Failed(error) => return Err(error),
            }
        }
    }

    /// Creates a job and waits until its file is there.
    async fn finished_job(&self, kind: Job, create: &Call) -> Result<Finished, Unread> {
        let ask = async |call: &Call| self.client.fetch(call, Status::parse).await.map(|(_, status)| status);
        let mut status = ask(create).await.map_err(Unread::Failed)?;
        let Some(id) = status.id.clone() else {
            return Err(Unread::Failed(envelope::unknown_shape("a job without an id")));
        };
        let poll = requests::job(kind, &id, "status");
        for wait in WAITS.iter().chain(std::iter::repeat(&30)).take(MAX_POLLS) {
            match status.word.as_str() {
                "success" => {
                    if let Some(message) = &status.message {
                        tracing::warn!("Criteo says of a {}: {}", kind.name(), excerpt(message));
                    }
                    return Ok(Finished { id, status });
                }
                // `unknown` is one of Criteo's words, without a meaning.
                "" | "unknown" | "pending" => {}
                "expired" => return Err(Unread::Expired(ended(kind, &status))),
                _ => return Err(Unread::Failed(ended(kind, &status))),
            }
            self.client.wait_for_job(Duration::from_secs(*wait)).await;
            status = ask(&poll).await.map_err(|error| match error.cause {
                Some(Cause::NotFound) => Unread::Expired(error),
                _ => Unread::Failed(error.after_success()),
            })?;
            // guard: job-id
            if let Some(other) = status.id.as_ref().filter(|other| **other != id) {
                return Err(Unread::Failed(Error::system(format!(
                    "Criteo sent the status of job {} when job {} was requested. No rows of either were written.",
                    excerpt(other),
                    excerpt(&id)
                ))));
            }
        }
        Err(Unread::Failed(Error::transient(format!(
            "Criteo did not complete a {} within an hour. The next sync requests it again.",
            kind.name()
        ))))
    }
}

/// The error for a job that has ended without a file.
fn ended(kind: Job, status: &Status) -> Error {
    let said = status.message.as_ref().map(|message| format!(" Criteo says: {}", excerpt(message)));
    Error::transient(format!(
        "Criteo ended the job for a {} with the status \"{}\" instead of a file.{}",
        kind.name(),
        excerpt(&status.word),
        said.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use crate::read::jobs::*;

    #[test]
    fn a_status_is_understood_in_every_spelling() {
        let status = Status::parse(
            "{\"data\":{\"id\":357957813719011328,\"attributes\":{\"status\":\"Success\",\"rowCount\":\"7\",\
             \"md5CheckSum\":\"A\",\"fileSizeBytes\":9}}}",
        );
        let status = status.unwrap();
        assert_eq!((status.id.as_deref(), status.word.as_str()), (Some("357957813719011328"), "success"));
        assert_eq!((status.rows, status.size, status.checksum.as_deref()), (Some(7), Some(9), Some("A")));
        let bare = Status::parse("{\"data\":{\"attributes\":{\"status\":null}}}").unwrap();
        assert_eq!((bare.id, bare.word.as_str()), (None, ""));
        let long = format!("{{\"data\":{{\"id\":\"1\",\"attributes\":[{}1]}}}}", "1,".repeat(2000));
        assert!(Status::parse(&long).is_err());
        assert!(Status::parse("{\"errors\":[{\"code\":\"x\"}]}").is_err());
    }
}
