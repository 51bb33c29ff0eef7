//! Catalogs of products: jobs whose file has a JSON object per line, of any size.
//!
//! A job is created, asked for its status until it ends, and its file is fetched. Criteo announces the number of rows, so that a
//! file that was cut is requested again. Rows that were written are skipped then, because the file of a job does not change. A
//! file that has expired needs a new job, whose rows are all written.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::{Cause, Error, Kind, Result};
use crate::http::{Body, Call};
use crate::model::ids::AdvertiserId;
use crate::output::StreamId;
use crate::products::{self, Entity, Placeholder};
use crate::read::list::parents::ParentKey;
use crate::read::list::walk::scope_of;
use crate::read::pages::List;
use crate::read::{InFlight, ReadContext, requests};
use crate::rows::envelope::{self, MAX_ROW_LEN, RowSink, Shape};
use crate::support::scan;
use crate::support::text::excerpt;

/// The jobs' path.
const JOBS: &[&str] = &["retail-media", "catalogs"];
/// Seconds before the first status requests; later ones wait as long as the last of these.
const WAITS: &[u64] = &[1, 2, 4, 8, 15, 30];
/// Status requests of a job: an hour.
const MAX_POLLS: usize = 124;
/// Jobs for one catalog, if the earlier ones have expired.
const MAX_JOBS: u32 = 3;
/// Requests of a file without a new row.
const MAX_ATTEMPTS: u32 = 6;
/// Bytes per portion of rows.
const PORTION: usize = 1024 * 1024;
/// Of a status, in bytes.
const MAX_STATUS_LEN: usize = 64 * 1024;
/// Of ids.
const MAX_ID_LEN: usize = 256;

/// What Criteo says about a job.
#[derive(Debug, Default)]
struct Job {
    id: String,
    word: String,
    rows: Option<u64>,
    size: Option<u64>,
    checksum: Option<String>,
    currency: Option<String>,
    message: Option<String>,
}

impl Job {
    fn parse(body: &str) -> Result<Self> {
        envelope::check(body)?;
        if body.len() > MAX_STATUS_LEN {
            return Err(envelope::unknown_shape("the status of a job is too long"));
        }
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let (data, attributes) = (&body["data"], &body["data"]["attributes"]);
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let of = |name: &str| text(&attributes[name]);
        let id = text(&data["id"]).or_else(|| of("id")).filter(|id| !id.is_empty());
        Ok(Self {
            id: id.ok_or_else(|| envelope::unknown_shape("a job without an id"))?,
            word: of("status").unwrap_or_default().to_lowercase(),
            rows: of("rowCount").and_then(|count| count.parse().ok()),
            size: of("fileSizeBytes").and_then(|size| size.parse().ok()),
            checksum: of("md5Checksum").or_else(|| of("md5CheckSum")),
            currency: of("currency"),
            message: of("message").or_else(|| of("errorMessage")),
        })
    }
}

/// What is known of a file while it is read.
struct Reading<'a> {
    job: &'a Job,
    constants: Vec<(&'static str, String)>,
    /// Rows of this attempt, and of all attempts those that were written.
    row: u64,
    written: u64,
    size: u64,
    checksum: md5::Context,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    portion: String,
}

impl<'a> Reading<'a> {
    fn new(job: &'a Job, account: &str) -> Self {
        let mut constants = vec![(Placeholder::AccountId.name(), account.to_owned())];
        constants.extend(job.currency.clone().map(|currency| ("currency", currency)));
        Self {
            job,
            constants,
            row: 0,
            written: 0,
            size: 0,
            checksum: md5::Context::new(),
            line: Vec::new(),
            portion: String::new(),
        }
    }

    /// Starts the file again.
    fn rewind(&mut self) {
        (self.row, self.size) = (0, 0);
        self.checksum = md5::Context::new();
        self.line.clear();
        self.portion.clear();
    }

    /// Takes bytes up to the end of a line, and returns how many.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let end = memchr::memchr(b'\n', bytes);
        let used = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(&bytes[..end.unwrap_or(used)]);
        if self.line.len() > MAX_ROW_LEN {
            return Err(Error::system(format!(
                "Criteo sent a product larger than {} MiB in a catalog. It was not written.",
                MAX_ROW_LEN / 1024 / 1024
            )));
        }
        self.checksum.consume(&bytes[..used]);
        self.size += used as u64;
        if end.is_some() {
            self.take_line()?;
        }
        Ok(used)
    }

    fn take_line(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line).unwrap_or("?").trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let is_object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
            if !is_object {
                return Err(Error::transient(format!(
                    "Line {} of a catalog is no JSON object: the file is corrupt or truncated.",
                    self.row + 1
                )));
            }
            self.row += 1;
            if self.row > self.written {
                self.portion.push(if self.portion.is_empty() { '[' } else { ',' });
                self.portion.push_str(text);
            }
        }
        // The buffer is used again.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    /// Takes the last line, which may lack its end, and compares the file with what Criteo announced.
    fn end(&mut self) -> Result<()> {
        self.take_line()?;
        match self.job.rows {
            Some(rows) if rows != self.row => Err(Error::transient(format!(
                "The file of catalog {} has {} products, but Criteo announced {rows}.",
                excerpt(&self.job.id),
                self.row
            ))),
            _ => Ok(()),
        }
    }

    /// A warning if size or checksum differ.
    fn difference(&self) -> Option<String> {
        let checksum = format!("{:x}", self.checksum.clone().finalize());
        let is_other_size = self.job.size.is_some_and(|size| size != self.size);
        let is_other_sum = self.job.checksum.as_ref().is_some_and(|sum| !sum.eq_ignore_ascii_case(&checksum));
        let what = match (is_other_size, is_other_sum) {
            (true, true) => "size and checksum",
            (true, false) => "size",
            (false, true) => "checksum",
            (false, false) => return None,
        };
        Some(format!(
            "The {what} of a catalog's file differ from those that Criteo announced, which may be of the compressed file. The \
             number of products agrees."
        ))
    }
}

/// Why a file was not read.
enum Unread {
    /// Another job may have it.
    Expired(Error),
    Failed(Error),
}

impl ReadContext<'_> {
    /// Reads the catalog of one account.
    pub(super) async fn read_catalog(&self, id: Option<StreamId>, entity: Entity, parent: &ParentKey) -> Result<List> {
        let list = List::default();
        let (Some(id), Some(account)) = (id, scope_of(parent)) else { return Ok(list) };
        let Some(create) = self.creation(entity, parent, account).await? else { return Ok(list) };
        let mut jobs = 1;
        loop {
            let unread = match self.finished_job(&create).await {
                Ok(job) => match self.read_products(id, &job, account).await {
                    Ok(()) => return Ok(list),
                    Err(unread) => unread,
                },
                Err(unread) => unread,
            };
            match unread {
                Unread::Expired(error) if jobs < MAX_JOBS => {
                    tracing::info!("Requesting the catalog of account {account} again: {error}");
                    jobs += 1;
                }
                Unread::Expired(error) | Unread::Failed(error) => {
                    // What a job says tells nothing about the account or the API version.
                    let is_of_job = error.cause == Some(Cause::NotFound);
                    return Err(if is_of_job { Error { kind: Kind::Transient, cause: None, ..error } } else { error });
                }
            }
        }
    }

    /// The request that creates a catalog; `None` if the account sells nothing.
    async fn creation(&self, entity: Entity, parent: &ParentKey, account: &str) -> Result<Option<Call>> {
        let call = requests::objects(entity, &|variable| parent.get(&variable).map(String::as_str), &[], None);
        let account = AdvertiserId(account.to_owned());
        let is_of_sellers =
            self.kinds.and_then(|kinds| kinds.get(&account)).is_some_and(|kind| kind.ends_with("seller"));
        if !is_of_sellers {
            return Ok(Some(call));
        }
        let Some(sellers) = products::entity_of("rm_account_sellers") else { return Ok(None) };
        let search = requests::objects(sellers, &|_| None, std::slice::from_ref(&account), None);
        let (_, sellers) = self
            .client
            .fetch(&search, |body| {
                let mut sellers = Sellers::default();
                envelope::check_into(body, Shape::Plain, &mut sellers)?;
                Ok(sellers.0)
            })
            .await?;
        Ok((!sellers.is_empty()).then(|| requests::seller_catalog(call, &sellers)))
    }

    /// Creates a job and waits until its file is there.
    async fn finished_job(&self, create: &Call) -> std::result::Result<Job, Unread> {
        let ask = async |call: &Call| self.client.fetch(call, Job::parse).await.map(|(_, job)| job);
        let mut job = ask(create).await.map_err(Unread::Failed)?;
        let status = requests::job(JOBS, &job.id, "status");
        for poll in 0..MAX_POLLS {
            match job.word.as_str() {
                "success" => return Ok(job),
                "" | "unknown" | "pending" => {}
                "expired" => return Err(Unread::Expired(ended(&job))),
                _ => return Err(Unread::Failed(ended(&job))),
            }
            let wait = WAITS.get(poll).or(WAITS.last()).copied().unwrap_or(1);
            self.client.wait_for_job(Duration::from_secs(wait)).await;
            job = ask(&status).await.map_err(|error| match error.cause {
                Some(Cause::NotFound) => Unread::Expired(error),
                _ => Unread::Failed(error),
            })?;
        }
        Err(Unread::Failed(Error::transient(format!(
            "Catalog {} was not ready after an hour. The next sync requests it again.",
            excerpt(&job.id)
        ))))
    }

    /// Writes the rows of a job's file; a broken transfer is repeated.
    async fn read_products(&self, id: StreamId, job: &Job, account: &str) -> std::result::Result<(), Unread> {
        let mut reading = Reading::new(job, account);
        let (mut attempts, mut written) = (1, 0);
        while let Err(error) = self.receive_products(id, &mut reading).await {
            if error.cause == Some(Cause::NotFound) {
                return Err(Unread::Expired(error));
            }
            attempts = if reading.written > written { 1 } else { attempts + 1 };
            if attempts > MAX_ATTEMPTS || error.kind != Kind::Transient {
                return Err(Unread::Failed(error));
            }
            written = reading.written;
            tracing::info!("Requesting the file of catalog {} again after row {written}: {error}", excerpt(&job.id));
            self.client.pause(attempts).await;
            reading.rewind();
        }
        if let Some(warning) = reading.difference() {
            self.warn_once(&warning);
        }
        Ok(())
    }

    async fn receive_products(&self, id: StreamId, reading: &mut Reading<'_>) -> Result<()> {
        if let Some(mut download) = self.client.open(&requests::job(JOBS, &reading.job.id, "output")).await? {
            while let Some(bytes) = download.next().await? {
                let mut bytes = &bytes[..];
                while !bytes.is_empty() {
                    let used = reading.feed(bytes)?;
                    bytes = &bytes[used..];
                    if reading.portion.len() >= PORTION {
                        self.write_products(id, reading).await?;
                        download.has_waited();
                    }
                }
            }
        }
        let result = reading.end();
        self.write_products(id, reading).await?;
        result
    }

    async fn write_products(&self, id: StreamId, reading: &mut Reading<'_>) -> Result<()> {
        if reading.portion.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut reading.portion) + "]";
        let body: Body = self.client.body(text).await;
        let mut in_flight = InFlight::default();
        in_flight.push(self.output.write_rows(id, body, reading.constants.clone(), None, None));
        in_flight.wait_all().await?;
        reading.written = reading.row;
        Ok(())
    }
}

/// The error for a job without a file.
fn ended(job: &Job) -> Error {
    let said = job.message.as_deref().map(|message| format!(" Criteo says: {}", excerpt(message))).unwrap_or_default();
    Error::transient(format!(
        "Criteo's job for a catalog ended with the status \"{}\" instead of a file.{said}",
        excerpt(&job.word)
    ))
}

/// The sellers of an account, as a catalog names them.
#[derive(Default)]
struct Sellers(Vec<Value>);

#[derive(Deserialize)]
struct OfAccount<'a> {
    #[serde(borrow)]
    attributes: &'a RawValue,
}

impl RowSink for Sellers {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let attributes = OfAccount::deserialize(row)?.attributes.get();
        let member = |object: &str, wanted: &str| {
            let raw = scan::member(object, |name| name.eq_ignore_ascii_case(wanted))?;
            scan::text(raw, MAX_ID_LEN)
        };
        let sellers = scan::member(attributes, |name| name.eq_ignore_ascii_case("sellers")).unwrap_or("null");
        // A list that is something else has no sellers.
        let _ = scan::items(sellers, &mut |seller| {
            let ids = member(seller, "retailerId").zip(member(seller, "sellerId"));
            self.0.extend(ids.map(|(retailer, seller)| json!({"retailerId": retailer, "sellerId": seller})));
            Ok(())
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::read::list::catalog::*;

    /// The rows of a file, however its bytes arrive.
    fn rows_of(file: &str, announced: Option<u64>, size: usize) -> Result<Vec<Value>> {
        let job = Job { rows: announced, ..Job::default() };
        let mut reading = Reading::new(&job, "1");
        for piece in file.as_bytes().chunks(size) {
            let mut piece = piece;
            while !piece.is_empty() {
                let used = reading.feed(piece)?;
                piece = &piece[used..];
            }
        }
        reading.end()?;
        let text = if reading.portion.is_empty() { "[]".to_owned() } else { reading.portion + "]" };
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn lines_are_rows_in_pieces_of_any_size() {
        let file = "\u{feff}{\"id\":\"é\"}\r\n\n{\"id\":\"2\\n\"}\n{\"id\":3}";
        for size in 1..file.len() + 1 {
            let rows = rows_of(file, Some(3), size).unwrap();
            assert_eq!(rows, [json!({"id": "é"}), json!({"id": "2\n"}), json!({"id": 3})], "pieces of {size} bytes");
        }
        assert_eq!(rows_of("", None, 1).unwrap(), [json!(null); 0]);
    }

    #[test]
    fn a_file_that_is_cut_is_an_error_that_is_tried_again() {
        let file = "{\"id\":\"1\"}\n{\"id\":\"2\"}\n";
        for end in 0..file.len() - 1 {
            // A cut at the end of a row shows in the number of rows only.
            let error = rows_of(&file[..end], Some(2), 7).unwrap_err();
            assert_eq!(error.kind, Kind::Transient, "{end}: {error}");
        }
        assert_eq!(rows_of("[]\n", None, 3).unwrap_err().kind, Kind::Transient);
    }

    #[test]
    fn a_job_is_understood_in_every_spelling() {
        let job = Job::parse(
            "{\"data\":{\"id\":357957813719011328,\"attributes\":{\"status\":\"Success\",\"rowCount\":\"7\",\
             \"md5CheckSum\":\"A\",\"fileSizeBytes\":9}}}",
        );
        let job = job.unwrap();
        assert_eq!((job.id.as_str(), job.word.as_str()), ("357957813719011328", "success"));
        assert_eq!((job.rows, job.size, job.checksum.as_deref()), (Some(7), Some(9), Some("A")));
        assert!(Job::parse("{\"data\":{\"attributes\":{\"status\":\"pending\"}}}").is_err());
    }
}
