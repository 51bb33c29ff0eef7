//! Catalogs of products: one job per account, with a file of any size.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::{Cause, Error, Kind, Result};
use crate::http::Call;
use crate::model::ids::AdvertiserId;
use crate::output::StreamId;
use crate::products::{self, Entity, Job, Placeholder};
use crate::read::jobs::lines::Lines;
use crate::read::jobs::{Finished, Unread};
use crate::read::list::parents::ParentKey;
use crate::read::list::walk::scope_of;
use crate::read::pages::List;
use crate::read::{InFlight, ReadContext, requests};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::support::scan;
use crate::support::text::excerpt;

/// Requests of a file without a new row.
const MAX_ATTEMPTS: u32 = 6;
/// Requests of a file at all.
const MAX_DOWNLOADS: u32 = 60;
/// Bytes per portion of rows.
const PORTION: usize = 1024 * 1024;
/// Of ids.
const MAX_ID_LEN: usize = 256;

impl ReadContext<'_> {
    /// Reads the catalog of one account.
    pub(in crate::read) async fn read_catalog(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        parent: &ParentKey,
    ) -> Result<List> {
        let list = List::default();
        let (Some(id), Some(account)) = (id, scope_of(parent)) else { return Ok(list) };
        let Some(create) = self.creation(entity, parent, account).await? else { return Ok(list) };
        let mut lines = Lines::default();
        let read = async |job| self.read_products(id, &job, account, &mut lines).await;
        self.read_job(Job::Catalog, &create, read).await?;
        Ok(list)
    }

    /// The request that creates a catalog; `None` if the account sells nothing.
    async fn creation(&self, entity: Entity, parent: &ParentKey, account: &str) -> Result<Option<Call>> {
        let call = requests::objects(entity, &|variable| parent.get(&variable).map(String::as_str), &[], None);
        let account = AdvertiserId(account.to_owned());
        let is_of_sellers =
            self.kinds.and_then(|kinds| kinds.get(&account)).is_some_and(|kind| kind.ends_with("seller"));
        if !is_of_sellers {
            return Ok(Some(requests::catalog(call, None)));
        }
        let Some(sellers) = products::entity_of("rm_account_sellers") else { return Ok(None) };
        let search = requests::objects(sellers, &|_| None, std::slice::from_ref(&account), None);
        let (_, sellers) = self
            .client
            .fetch(&search, |body| {
                let mut sellers = Sellers { account: &account.0, rows: 0, pairs: Vec::new() };
                let envelope = envelope::check_into(body, Shape::Plain, &mut sellers)?;
                envelope.must_be_whole(sellers.rows, "accounts with sellers")?;
                Ok(sellers.pairs)
            })
            .await?;
        Ok((!sellers.is_empty()).then(|| requests::catalog(call, Some(&sellers))))
    }

    /// Writes the rows of a job's file; a broken transfer is repeated.
    async fn read_products(
        &self,
        id: StreamId,
        job: &Finished,
        account: &str,
        lines: &mut Lines,
    ) -> Result<(), Unread> {
        let mut constants = vec![
            (Placeholder::AccountId.name(), account.to_owned()),
            // Products of brands have none.
            ("seller_id", String::new()),
        ];
        constants.extend(job.status.currency.clone().map(|currency| ("currency", currency)));
        let (mut attempts, mut downloads, mut most_written) = (0, 0, 0);
        loop {
            lines.rewind();
            let error = match self.receive_products(id, job, &constants, lines).await {
                Ok(warning) => {
                    if let Some(warning) = &warning {
                        self.warn_once(warning);
                    }
                    return Ok(());
                }
                Err(error) if error.cause == Some(Cause::NotFound) => return Err(Unread::Expired(error)),
                Err(error) => error.after_success(),
            };
            downloads += 1;
            // A file that is different each time is never complete, although its rows are written again.
            attempts = if lines.written > most_written { 1 } else { attempts + 1 };
            most_written = lines.written.max(most_written);
            let is_last = attempts >= MAX_ATTEMPTS || downloads >= MAX_DOWNLOADS;
            if is_last || error.kind != Kind::Transient || error.cause.is_some() {
                return Err(Unread::Failed(error));
            }
            tracing::info!(
                "Requesting the file of catalog {} again after row {}: {error}",
                excerpt(&job.id),
                lines.written
            );
            self.client.pause(attempts).await;
        }
    }

    /// Receives a file to its end, writes new rows, and returns a warning if it differs from what Criteo announced.
    async fn receive_products(
        &self,
        id: StreamId,
        job: &Finished,
        constants: &[(&'static str, String)],
        lines: &mut Lines,
    ) -> Result<Option<String>> {
        // Never fails: the semaphore is not closed.
        let _place = self.files.acquire().await.ok();
        match self.client.open(&requests::job(Job::Catalog, &job.id, "output")).await? {
            Some(mut download) => {
                while let Some(bytes) = download.next().await? {
                    let mut bytes = &bytes[..];
                    while !bytes.is_empty() {
                        let used = lines.feed(bytes)?;
                        bytes = &bytes[used..];
                        if lines.waiting() >= PORTION {
                            self.write_products(id, constants, lines).await?;
                            download.has_waited();
                        }
                    }
                }
            }
            // Criteo documents 204 for a catalog that has expired.
            None if job.status.rows != Some(0) => {
                let error = Error::transient(format!("Criteo sent no file for catalog {}.", excerpt(&job.id)));
                return Err(error.because(Cause::NotFound));
            }
            None => {}
        }
        lines.end()?;
        self.write_products(id, constants, lines).await?;
        lines.compare(&job.status)
    }

    async fn write_products(
        &self,
        id: StreamId,
        constants: &[(&'static str, String)],
        lines: &mut Lines,
    ) -> Result<()> {
        if let Some(text) = lines.take() {
            let body = self.client.body(text).await;
            let mut in_flight = InFlight::default();
            in_flight.push(self.output.write_rows(id, body, constants.to_vec(), None, None));
            in_flight.wait_all().await?;
        }
        Ok(())
    }
}

/// The sellers of an account, as a catalog names them.
struct Sellers<'a> {
    account: &'a str,
    rows: u64,
    pairs: Vec<Value>,
}

#[derive(Deserialize)]
struct OfAccount<'a> {
    #[serde(borrow)]
    attributes: &'a RawValue,
}

impl RowSink for Sellers<'_> {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.rows += 1;
        let attributes = OfAccount::deserialize(row)?.attributes.get();
        let member = |object: &str, wanted: &str| {
            let raw = scan::member(object, |name| name.eq_ignore_ascii_case(wanted))?;
            scan::text(raw, MAX_ID_LEN)
        };
        if member(attributes, "accountId").is_some_and(|account| account != self.account) {
            return Ok(());
        }
        let sellers = scan::member(attributes, |name| name.eq_ignore_ascii_case("sellers")).unwrap_or("null");
        if sellers.trim() != "null" && !sellers.trim_start().starts_with('[') {
            return Err(D::Error::custom("the sellers of an account are not a list"));
        }
        let items = scan::items(sellers, &mut |seller| {
            let ids = member(seller, "retailerId").zip(member(seller, "sellerId"));
            self.pairs.extend(ids.map(|(retailer, seller)| json!({"retailerId": retailer, "sellerId": seller})));
            Ok(())
        });
        items.map_err(D::Error::custom)
    }
}
