//! Downloads the files of a day and writes their rows. A broken download is repeated, with a new link if necessary.

use chrono::NaiveDate;

use crate::error::{Cause, Error, Kind, Result};
use crate::model::ids::AdvertiserId;
use crate::output::StreamId;
use crate::read::log_files::listing::LogFile;
use crate::read::log_files::parser::Reading;
use crate::read::{InFlight, ReadContext};
use crate::support::text::excerpt;

/// Bytes per portion of rows.
const PORTION: usize = 1024 * 1024;
/// Requests of a file without a new row.
const MAX_ATTEMPTS: u32 = 6;

/// Why a day was not read.
pub(super) enum Unread {
    /// The files of the day cannot be listed.
    List(Error),
    /// Listed files cannot be downloaded.
    Files(Error),
}

impl ReadContext<'_> {
    pub(super) async fn read_day(
        &self,
        id: StreamId,
        advertiser: &AdvertiserId,
        day: NaiveDate,
        columns: &[&str],
    ) -> std::result::Result<(), Unread> {
        let mut failure = None;
        for file in self.log_files(advertiser, day).await.map_err(Unread::List)? {
            let name = excerpt(&file.name);
            if let Err(error) = self.read_whole(id, advertiser, day, file, columns).await {
                let error = error.in_context(&format!("Log file {name} of {day}, advertiser {advertiser}"));
                match error.cause {
                    Some(Cause::RetriesUsedUp) => return Err(Unread::List(error)),
                    // A failed link says nothing about permissions or API versions.
                    _ => failure.get_or_insert(Error { cause: None, ..error }),
                };
            }
        }
        failure.map_or(Ok(()), |error| Err(Unread::Files(error)))
    }

    async fn read_whole(
        &self,
        id: StreamId,
        advertiser: &AdvertiserId,
        day: NaiveDate,
        file: LogFile,
        columns: &[&str],
    ) -> Result<()> {
        let mut reading = Reading::new(advertiser, day, &file.name, columns);
        let mut url = file.url;
        let (mut attempts, mut written, mut is_link_new) = (1, 0, false);
        while let Err(error) = self.read_file(id, &url, &mut reading).await {
            attempts = if reading.written > written { 1 } else { attempts + 1 };
            if attempts > MAX_ATTEMPTS || error.kind != Kind::Transient {
                return Err(error);
            }
            // A fresh link that fails immediately will never work.
            let is_gone = error.cause == Some(Cause::NotFound);
            if is_gone && is_link_new && reading.written == written {
                return Err(error.with_hint("A new link did not help, so the file was deleted or never existed."));
            }
            (written, is_link_new) = (reading.written, is_gone);
            tracing::info!("Requesting the log file {} again after row {written}: {error}", excerpt(&file.name));
            self.client.pause(attempts).await;
            // The link may have expired; a new list has a new one.
            let files = self.log_files(advertiser, day).await?;
            url = files
                .into_iter()
                .find(|of| of.name == file.name)
                .map(|of| of.url)
                .ok_or_else(|| error.with_hint("Criteo no longer lists the file."))?;
            reading.rewind();
        }
        Ok(())
    }

    /// Reads a file to its end and writes new rows.
    async fn read_file(&self, id: StreamId, url: &str, reading: &mut Reading<'_>) -> Result<()> {
        let mut download = self.client.download(url).await?;
        reading.is_same(download.version());
        while let Some(bytes) = download.next().await? {
            let mut bytes = &bytes[..];
            while !bytes.is_empty() {
                let used = reading.feed(bytes)?;
                bytes = &bytes[used..];
                if reading.portion.len() >= PORTION {
                    self.write_portion(id, reading).await?;
                    download.has_waited();
                }
            }
        }
        reading.end()?;
        self.write_portion(id, reading).await
    }

    async fn write_portion(&self, id: StreamId, reading: &mut Reading<'_>) -> Result<()> {
        let Some(text) = reading.take() else { return Ok(()) };
        let body = self.client.body(text).await;
        let mut in_flight = InFlight::default();
        in_flight.push(self.output.write_rows(id, body, Vec::new(), None, None));
        in_flight.wait_all().await?;
        reading.written = reading.row;
        Ok(())
    }
}
