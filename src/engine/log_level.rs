//! The stream of log files: gzip CSV behind signed links, read day by day and chunk by chunk.
//!
//! A file can be of any size, so it is not held as a whole: its rows become small slices as they come. When a connection
//! breaks, or a link ends, the file is asked for anew and the rows that have been written are passed over: the same file has
//! the same rows. A state comes behind the last file of a day.

use chrono::{Days, NaiveDate};
use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value, json};

use super::cursor::Cursors;
use super::rows;
use super::slice::Range;
use super::{InFlight, Run, Selected};
use crate::api::{CONSENT_MISSING, wire};
use crate::config::AdvertiserId;
use crate::error::{Error, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::StreamId;
use crate::streams::report::Fingerprint;

/// How far back Criteo keeps log files, in days, from yesterday on.
const HISTORY_DAYS: u32 = 30;
/// Rows are handed over in portions of about so many bytes.
const PORTION: usize = 1024 * 1024;
/// How often a file is asked for anew.
const MOST_ATTEMPTS: u32 = 6;
/// The columns of a record that the file's columns do not fill.
const OWN_COLUMNS: &[&str] = &["advertiser_id", "file_name", "line_number", "day", "other_columns"];

/// A file that Criteo offers.
struct LogFile {
    name: String,
    url: String,
}

impl Run<'_> {
    pub(super) async fn read_log_level(&self, id: StreamId, selected: &Selected, state: &Value) -> Result<()> {
        let name = &selected.stream.name;
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let fingerprint =
            Fingerprint { keys: "log level".to_owned(), values: self.config.log_level_product_ids.to_string() };
        let saved = if is_incremental { state } else { &Value::Null };
        let (mut cursors, warning) = Cursors::parse(saved, fingerprint)?;
        if let Some(warning) = warning {
            tracing::warn!("{name}: {warning}");
        }
        let today = self.clock.today(chrono_tz::Tz::UTC);
        let range = Range::new(self.config.start_date, self.config.end_date, today, HISTORY_DAYS, HISTORY_DAYS);
        if range.is_clamped {
            self.warn_once(format!("Criteo keeps log files for 30 days, so their first day is {}.", range.start));
        }
        let columns: Vec<&str> =
            selected.stream.schema["properties"].as_object().into_iter().flatten().map(|(c, _)| c.as_str()).collect();
        for (cursor, advertisers) in cursors.groups(self.advertisers) {
            // Files do not change, so nothing is read twice.
            let mut day = cursor.map_or(range.start, |cursor| (cursor + Days::new(1)).max(range.start));
            while day <= range.complete_until {
                let mut done = Vec::new();
                for advertiser in &advertisers {
                    match self.read_day(id, advertiser, day, &columns).await {
                        Err(error) if error.code.as_deref() == Some(CONSENT_MISSING) => {
                            self.warn_once(format!("{name}: Criteo refuses the log files of {advertiser}."));
                            self.lost.borrow_mut().insert(advertiser.clone());
                        }
                        Err(error) => return Err(error),
                        Ok(()) => done.push(advertiser.clone()),
                    }
                }
                cursors.advance(&done, day);
                if is_incremental {
                    self.output.state(id, cursors.to_value());
                }
                day = day + Days::new(1);
            }
        }
        let lost = self.lost.borrow().clone();
        if let Some(error) = self.lost_error(&lost) {
            return Err(error);
        }
        self.output.state(id, if is_incremental { cursors.to_value() } else { super::cursor::no_cursor() });
        Ok(())
    }

    async fn read_day(&self, id: StreamId, advertiser: &AdvertiserId, day: NaiveDate, columns: &[&str]) -> Result<()> {
        for file in self.log_files(advertiser, day).await? {
            let mut reading = Reading::new(advertiser, day, &file.name, columns);
            let mut url = file.url;
            let mut attempts = 1;
            while let Err(error) = self.read_file(id, &url, &mut reading).await {
                attempts += 1;
                if attempts > MOST_ATTEMPTS {
                    return Err(error);
                }
                tracing::info!("Asking for the log file {} anew behind row {}: {error}", file.name, reading.written);
                self.client.pause(attempts).await;
                // The link may have come to its end: there is a new one in a new list.
                let files = self.log_files(advertiser, day).await?;
                url = files.into_iter().find(|of| of.name == file.name).map(|of| of.url).ok_or(error)?;
                reading.rewind();
            }
        }
        Ok(())
    }

    async fn log_files(&self, advertiser: &AdvertiserId, day: NaiveDate) -> Result<Vec<LogFile>> {
        let call = wire::log_files(advertiser, day, self.config.log_level_product_ids);
        let check = |body: &str| {
            rows::check(body)?;
            let answer: Value = serde_json::from_str(body).unwrap_or_default();
            let mut files = Vec::new();
            for element in answer["data"].as_array().into_iter().flatten() {
                let list = element["attributes"]["files"].as_array();
                for file in list.ok_or_else(|| rows::unknown_shape("it has no list of files"))? {
                    match (file["fileName"].as_str(), file["url"].as_str()) {
                        (Some(name), Some(url)) => files.push(LogFile { name: name.to_owned(), url: url.to_owned() }),
                        _ => return Err(rows::unknown_shape("a file has no name or no link")),
                    }
                }
            }
            Ok(files)
        };
        Ok(self.client.fetch(&call, check).await?.1)
    }

    /// Reads a file to its end, and writes what has not been written yet.
    async fn read_file(&self, id: StreamId, url: &str, reading: &mut Reading<'_>) -> Result<()> {
        let mut download = self.client.download(url).await?;
        while let Some(bytes) = download.next().await? {
            reading.feed(&bytes)?;
            if reading.portion.len() >= PORTION {
                self.write_portion(id, reading).await?;
            }
        }
        reading.end()?;
        self.write_portion(id, reading).await
    }

    async fn write_portion(&self, id: StreamId, reading: &mut Reading<'_>) -> Result<()> {
        let Some(text) = reading.take() else { return Ok(()) };
        let body = self.client.body(text).await;
        let mut in_flight = InFlight::default();
        in_flight.push(self.output.slice(id, body, Vec::new(), None));
        in_flight.settle().await?;
        reading.written = reading.row;
        Ok(())
    }
}

/// A file on its way from bytes to rows of JSON.
struct Reading<'a> {
    constants: [(&'static str, Value); 3],
    columns: &'a [&'a str],
    csv: Reader,
    header: Vec<String>,
    /// The fields of the record that is being read, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    count: usize,
    /// Rows read so far in this pass, and rows written in all.
    row: u64,
    written: u64,
    portion: String,
}

impl<'a> Reading<'a> {
    fn new(advertiser: &AdvertiserId, day: NaiveDate, file: &str, columns: &'a [&'a str]) -> Self {
        Self {
            constants: [("advertiser_id", json!(advertiser.0)), ("file_name", json!(file)), ("day", json!(day))],
            columns,
            csv: Reader::new(),
            header: Vec::new(),
            fields: vec![0; 64 * 1024],
            ends: vec![0; 256],
            length: 0,
            count: 0,
            row: 0,
            written: 0,
            portion: String::new(),
        }
    }

    /// Begins at the first byte again; what has been written is passed over.
    fn rewind(&mut self) {
        self.csv = Reader::new();
        self.header.clear();
        (self.length, self.count, self.row) = (0, 0, 0);
        self.portion.clear();
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        // An empty input would mean the end of the file.
        while !bytes.is_empty() {
            let read = self.step(bytes)?;
            bytes = &bytes[read..];
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        while self.step(&[])? > 0 || self.length > 0 {}
        Ok(())
    }

    /// Reads up to one record; returns how many bytes were used.
    fn step(&mut self, bytes: &[u8]) -> Result<usize> {
        let (result, read, written, ended) =
            self.csv.read_record(bytes, &mut self.fields[self.length..], &mut self.ends[self.count..]);
        self.length += written;
        self.count += ended;
        match result {
            ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
            ReadRecordResult::Record => {
                self.record()?;
                (self.length, self.count) = (0, 0);
            }
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::End => (self.length, self.count) = (0, 0),
        }
        Ok(read)
    }

    fn record(&mut self) -> Result<()> {
        let mut start = 0;
        let mut values = Vec::with_capacity(self.count);
        for end in &self.ends[..self.count] {
            values.push(String::from_utf8_lossy(&self.fields[start..*end]).into_owned());
            start = *end;
        }
        if self.header.is_empty() {
            self.header = values;
            if let Some(first) = self.header.first_mut() {
                *first = first.trim_start_matches('\u{feff}').to_owned();
            }
            return Ok(());
        }
        if values.len() != self.header.len() {
            return Err(Error::transient(format!(
                "A log file has a row of {} values under {} columns.",
                values.len(),
                self.header.len()
            )));
        }
        self.row += 1;
        if self.row <= self.written {
            return Ok(());
        }
        let mut row: Map<String, Value> =
            self.constants.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        row.insert("line_number".to_owned(), self.row.into());
        let mut others = Map::new();
        for (name, value) in self.header.iter().zip(values) {
            let folded = crate::streams::metrics::fold(name);
            let is_own = OWN_COLUMNS.iter().any(|own| crate::streams::metrics::fold(own) == folded);
            match self.columns.iter().find(|column| crate::streams::metrics::fold(column) == folded && !is_own) {
                Some(column) => row.insert((*column).to_owned(), value.into()),
                None if folded == "advertiserid" => None,
                None => others.insert(name.clone(), value.into()),
            };
        }
        if !others.is_empty() {
            row.insert("other_columns".to_owned(), Value::Object(others));
        }
        self.portion.push(if self.portion.is_empty() { '[' } else { ',' });
        self.portion += &Value::Object(row).to_string();
        Ok(())
    }

    /// The rows that have come together, as a list.
    fn take(&mut self) -> Option<String> {
        (!self.portion.is_empty()).then(|| std::mem::take(&mut self.portion) + "]")
    }
}
