//! The stream of log files: gzip CSV behind signed links, read day by day and chunk by chunk.
//!
//! A file can be of any size, so it is not held as a whole: its rows become small slices as they come. When a connection
//! breaks, or a link ends, the file is asked for anew and the rows that have been written are passed over, as long as the
//! storage says that it is the same file. A day counts as read when it is some days old: until then Criteo may still add
//! files, so younger days are listed and read again by every sync. Their rows have the same keys each time.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::cursor::Cursors;
use super::entity::{MOST_REFUSED, is_of_one, is_refusal};
use super::rows::{self, RowSink, Shape};
use super::saved::Saved;
use super::slice::{Range, days_after, days_before};
use super::{InFlight, Run, Selected};
use crate::api::{quote, wire};
use crate::config::AdvertiserId;
use crate::error::{Cause, Error, Kind, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::StreamId;
use crate::scan;
use crate::streams::metrics::fold;
use crate::streams::report::Fingerprint;

/// How far back Criteo keeps log files, in days, from yesterday on.
const HISTORY_DAYS: u32 = 30;
/// How old a day must be to count as read: younger ones may still get files.
const SETTLING_DAYS: u32 = 3;
/// Rows are handed over in portions of about so many bytes.
const PORTION: usize = 1024 * 1024;
/// How often a file is asked for anew without a row more than before.
const MOST_ATTEMPTS: u32 = 6;
/// No row of a file is longer; a quotation mark too many would make one of all that follows.
const LONGEST_ROW: usize = 4 * 1024 * 1024;
/// No header is longer; what has no line breaks is no log file.
const LONGEST_HEADER: usize = 1024 * 1024;
/// No file has more columns.
const MOST_COLUMNS: usize = 5000;
/// The most files that an advertiser has on a day, and the longest names and links: all are in memory at once.
const MOST_FILES: usize = 10_000;
const LONGEST_NAME: usize = 1024;
const LONGEST_LINK: usize = 8 * 1024;
const LONGEST_LIST: usize = 8 * 1024 * 1024;
/// What a compressed file begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The columns of a record that the file's columns do not fill.
const OWN_COLUMNS: &[&str] = &["advertiser_id", "file_name", "line_number", "day", "other_columns"];

/// A file that Criteo offers.
struct LogFile {
    name: String,
    url: String,
}

impl Run<'_> {
    pub(super) async fn read_log_level(&self, id: StreamId, selected: &Selected, state: &Saved) -> Result<()> {
        let name = &selected.stream.name;
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let fingerprint =
            Fingerprint { keys: "log level".to_owned(), values: self.config.log_level_product_ids.to_string() };
        let today = self.clock.today(chrono_tz::Tz::UTC);
        let settled = days_before(today, SETTLING_DAYS);
        let saved = if is_incremental { state.value()? } else { Value::Null };
        let (mut cursors, warning) = Cursors::parse(&saved, fingerprint)?;
        if let Some(warning) = warning {
            tracing::warn!("{name}: {warning}");
        }
        let future = cursors.groups(self.advertisers).into_iter().filter_map(|(cursor, _)| cursor).max();
        if let Some(future) = future.filter(|future| *future > settled) {
            let why = if future < today { "which no sync can have known yet" } else { "which is still to come" };
            tracing::warn!(
                "{name}: the saved state says that files were read up to {future}, {why}: the clock of an earlier sync was \
                 wrong. The files behind {settled} are read again."
            );
        }
        cursors.not_after(settled);
        let range = Range::new(self.config.start_date, self.config.end_date, today, HISTORY_DAYS, HISTORY_DAYS);
        if range.is_clamped {
            self.warn_once(format!("Criteo keeps log files for 30 days, so their first day is {}.", range.start));
        }
        let columns = selected.stream.schema["properties"].as_object();
        let columns: Vec<&str> = columns.into_iter().flatten().map(|(column, _)| column.as_str()).collect();
        let mut progress = Progress::default();
        for (cursor, advertisers) in cursors.groups(self.advertisers) {
            let days = self.days(name, cursor, range);
            for advertiser in &advertisers {
                let mut is_unbroken = days.is_adjoining;
                for day in days.first.iter_days().take_while(|day| *day <= range.complete_until) {
                    match self.read_day(id, advertiser, day, &columns).await {
                        Ok(()) => progress.accepted += 1,
                        Err(Unread::Day(error)) => {
                            progress.accepted += 1;
                            is_unbroken = false;
                            progress.failure.get_or_insert(error);
                        }
                        Err(Unread::Advertiser(error)) => {
                            if day <= range.oldest && error.cause == Some(Cause::InvalidTimespan) {
                                tracing::warn!("{name}: Criteo no longer has the log files of {day}.");
                                continue;
                            }
                            progress.refuse(name, advertiser, error, self.advertisers.len())?;
                            break;
                        }
                    }
                    if is_unbroken
                        && day <= settled
                        && cursors.advance(std::slice::from_ref(advertiser), day)
                        && is_incremental
                    {
                        self.output.state(id, cursors.to_value());
                    }
                }
            }
        }
        self.output.state(id, if is_incremental { cursors.to_value() } else { super::cursor::no_cursor() });
        progress.failure.or_else(|| self.refused_error(&progress.lost)).map_or(Ok(()), Err)
    }

    /// The days to read behind a cursor.
    fn days(&self, name: &str, cursor: Option<NaiveDate>, range: Range) -> LogDays {
        let Some(cursor) = cursor else { return LogDays { first: range.start, is_adjoining: true } };
        // Files of days that have settled do not change, so they are not read twice unless the user wants it.
        let again = self.config.lookback_days.unwrap_or(0);
        let next = days_after(cursor, 1);
        let first = days_before(next, again);
        if next < range.oldest {
            tracing::warn!("{name}: the files from {next} on are older than Criteo keeps them, and are missing.");
        }
        let first = first.max(range.start);
        let is_adjoining = first <= next || range.start == range.oldest;
        if !is_adjoining {
            tracing::warn!(
                "{name}: the days from {next} on are left out, since the read begins at {first}. The saved state stays \
                 where it is, so that a sync without a later start reads them."
            );
        }
        LogDays { first, is_adjoining }
    }

    /// Reads the files of a day.
    async fn read_day(
        &self,
        id: StreamId,
        advertiser: &AdvertiserId,
        day: NaiveDate,
        columns: &[&str],
    ) -> std::result::Result<(), Unread> {
        let mut failure = None;
        for file in self.log_files(advertiser, day).await.map_err(Unread::Advertiser)? {
            let name = quote(&file.name);
            if let Err(error) = self.read_whole(id, advertiser, day, file, columns).await {
                let error = error.in_context(&format!("Log file {name} of {day}, advertiser {advertiser}"));
                match error.cause {
                    Some(Cause::RetriesUsedUp) => return Err(Unread::Advertiser(error)),
                    // What went wrong with a link says nothing of a permission or a version.
                    _ => failure.get_or_insert(Error { cause: None, ..error }),
                };
            }
        }
        failure.map_or(Ok(()), |error| Err(Unread::Day(error)))
    }

    /// Reads a file, from new links where it must be.
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
            if attempts > MOST_ATTEMPTS || error.kind != Kind::Transient {
                return Err(error);
            }
            // A link that does not work the moment it was made never will, unless it has worked before.
            let is_gone = error.cause == Some(Cause::NotFound);
            if is_gone && is_link_new && reading.written == written {
                return Err(error.with_hint("A new link did not help, so the file is gone, or was never there."));
            }
            (written, is_link_new) = (reading.written, is_gone);
            tracing::info!("Asking for the log file {} anew behind row {written}: {error}", quote(&file.name));
            self.client.pause(attempts).await;
            // The link may have come to its end: there is a new one in a new list.
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

    async fn log_files(&self, advertiser: &AdvertiserId, day: NaiveDate) -> Result<Vec<LogFile>> {
        let call = wire::log_files(advertiser, day, self.config.log_level_product_ids);
        let check = |body: &str| {
            let mut list = FileList::default();
            rows::check_into(body, Shape::Plain, &mut list)?;
            list.flaw.map_or_else(|| Ok(distinct(list.files)), Err)
        };
        Ok(self.client.fetch(&call, check).await?.1)
    }

    /// Reads a file to its end, and writes what has not been written yet.
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
        in_flight.push(self.output.slice(id, body, Vec::new(), None));
        in_flight.settle().await?;
        reading.written = reading.row;
        Ok(())
    }
}

/// The files that an answer lists.
#[derive(Default)]
struct FileList {
    files: Vec<LogFile>,
    bytes: usize,
    /// Why it is no list of files.
    flaw: Option<Error>,
}

impl FileList {
    /// The files of an element of the list.
    fn take(&mut self, attributes: Option<&str>) -> Result<()> {
        let files = attributes.and_then(|raw| scan::member(raw, |name| name == "files"));
        let files =
            files.filter(|raw| raw.starts_with('[')).ok_or_else(|| rows::unknown_shape("it has no list of files"))?;
        let walk = scan::items(files, &mut |file| {
            let text = |wanted: &str, most: usize| {
                let raw = scan::member(file, |name| name == wanted)?;
                scan::text(raw, most).filter(|_| raw.starts_with('"') && raw.len() <= most)
            };
            let (name, url) = text("fileName", LONGEST_NAME)
                .zip(text("url", LONGEST_LINK))
                .ok_or("a file has no name or no link, or one that is too long")?;
            self.bytes += name.len() + url.len();
            self.files.push(LogFile { name, url });
            if self.files.len() > MOST_FILES || self.bytes > LONGEST_LIST {
                return Err(format!("it lists more than {MOST_FILES} files of one day, or their links are too long"));
            }
            Ok(())
        });
        walk.map_err(|error| rows::unknown_shape(&error.to_string()))
    }
}

impl RowSink for FileList {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let element = Element::deserialize(row)?;
        if self.flaw.is_none() {
            self.flaw = self.take(element.attributes.map(RawValue::get)).err();
        }
        Ok(())
    }
}

/// An element of the list of files.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

/// The days of a read.
struct LogDays {
    first: NaiveDate,
    /// Whether nothing lies between the cursor and the first day that could still be read.
    is_adjoining: bool,
}

/// What a day could not be read for.
enum Unread {
    /// Criteo does not list the files of this advertiser.
    Advertiser(Error),
    /// Files of this day cannot be had; other days can.
    Day(Error),
}

/// What has come of the advertisers so far.
#[derive(Default)]
struct Progress {
    /// Days that could be listed.
    accepted: usize,
    lost: BTreeMap<AdvertiserId, Error>,
    failure: Option<Error>,
}

impl Progress {
    /// Notes that an advertiser cannot be read: one does not hold the others.
    ///
    /// # Errors
    /// When the failure is not the advertiser's alone.
    fn refuse(&mut self, name: &str, advertiser: &AdvertiserId, error: Error, total: usize) -> Result<()> {
        if is_refusal(&error) {
            tracing::warn!("{name}: Criteo refuses the log files of {advertiser}; the others are read. {error}");
            self.lost.insert(advertiser.clone(), error.clone());
        } else if is_of_one(&error) {
            tracing::warn!("{name}: the log files of {advertiser} cannot be had; the others are read. {error}");
            self.failure.get_or_insert(error.clone().in_context(&format!("Log files of {advertiser}")));
        } else {
            return Err(error);
        }
        // Where nobody is accepted, the rest need not be asked.
        if self.accepted == 0 && self.lost.len() >= MOST_REFUSED.min(total) { Err(error) } else { Ok(()) }
    }
}

/// Files that a list names twice are one; others of the same name, which lie in other places, get a number behind their name.
/// They are numbered in the order of their places, which is the same in every list; signatures are not.
fn distinct(files: Vec<LogFile>) -> Vec<LogFile> {
    let mut by_name: BTreeMap<String, BTreeMap<String, LogFile>> = BTreeMap::new();
    let mut order = Vec::new();
    for file in files {
        let place = file.url.split(['?', '#']).next().unwrap_or_default().to_owned();
        order.push((file.name.clone(), place.clone()));
        by_name.entry(file.name.clone()).or_default().entry(place).or_insert(file);
    }
    for (name, places) in &mut by_name {
        for (index, file) in places.values_mut().enumerate().skip(1) {
            file.name = format!("{name} ({})", index + 1);
        }
    }
    let mut take = |(name, place): (String, String)| by_name.get_mut(&name)?.remove(&place);
    order.into_iter().filter_map(&mut take).collect()
}

/// A file on its way from bytes to rows of JSON.
struct Reading<'a> {
    constants: Map<String, Value>,
    columns: &'a [&'a str],
    /// `None` until the header tells how values are separated.
    csv: Option<Reader>,
    header: Vec<Destination>,
    /// What has come of the header.
    head: Vec<u8>,
    /// The fields of the record that is being read, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    count: usize,
    /// Rows read so far in this pass, and rows written in all.
    row: u64,
    written: u64,
    /// What the storage calls this version of the file.
    version: Option<String>,
    portion: String,
}

/// Where the values of a column of the file go.
enum Destination {
    Column(String),
    Other(String),
    Nowhere,
}

impl<'a> Reading<'a> {
    fn new(advertiser: &AdvertiserId, day: NaiveDate, file: &str, columns: &'a [&'a str]) -> Self {
        let constants = [("advertiser_id", json!(advertiser.0)), ("file_name", json!(file)), ("day", json!(day))];
        Self {
            constants: constants.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            columns,
            csv: None,
            header: Vec::new(),
            head: Vec::new(),
            fields: vec![0; 64 * 1024],
            ends: vec![0; 256],
            length: 0,
            count: 0,
            row: 0,
            written: 0,
            version: None,
            portion: String::new(),
        }
    }

    /// Begins at the first byte again; what has been written is passed over.
    fn rewind(&mut self) {
        self.csv = None;
        self.header.clear();
        self.head.clear();
        (self.length, self.count, self.row) = (0, 0, 0);
        self.portion.clear();
    }

    /// If the file is another than last time, all of it is written: rows with the same number replace each other.
    fn is_same(&mut self, version: Option<String>) {
        if self.version.is_some() && self.version != version {
            self.written = 0;
        }
        self.version = version;
    }

    /// Takes bytes up to the end of a record; returns how many. They must not be empty.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.csv.is_some() {
            return self.step(bytes);
        }
        // The header is needed whole, to see how values are separated.
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        if self.head.len() + end > LONGEST_HEADER {
            return Err(Error::system(format!(
                "A log file begins with a line of more than {} MiB in place of a header with the names of its columns. Nothing of \
                 it was written.",
                LONGEST_HEADER / 1024 / 1024
            )));
        }
        self.head.extend_from_slice(&bytes[..end]);
        if self.head.starts_with(GZIP) {
            return Err(Error::system(
                "The log file is compressed twice: what comes out of it is gzip again. Nothing of it was written; update the \
                 connector.",
            ));
        }
        if bytes[..end].ends_with(b"\n") {
            self.begin()?;
        }
        Ok(end)
    }

    fn begin(&mut self) -> Result<()> {
        let head = std::mem::take(&mut self.head);
        let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&head);
        let parts = |separator: u8| head.split(|byte| *byte == separator).count();
        let separator = if parts(b';') > parts(b',') { b';' } else { b',' };
        self.csv = Some(ReaderBuilder::new().delimiter(separator).build());
        let mut rest = head;
        while !rest.is_empty() {
            let used = self.step(rest)?;
            rest = &rest[used..];
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.csv.is_none() && !self.head.is_empty() {
            self.begin()?;
        }
        if self.csv.is_some() {
            // An empty input means the end; a last row without an end of its line comes out now.
            while self.length > 0 || self.count > 0 {
                self.step(&[])?;
            }
        }
        Ok(())
    }

    /// Reads up to one record; returns how many bytes were used.
    fn step(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(csv) = &mut self.csv else { return Ok(0) };
        let (result, read, written, ended) =
            csv.read_record(bytes, &mut self.fields[self.length..], &mut self.ends[self.count..]);
        self.length += written;
        self.count += ended;
        match result {
            ReadRecordResult::OutputFull if self.fields.len() >= LONGEST_ROW => {
                return Err(Error::system(format!(
                    "A log file has a row of more than {} MiB; a quotation mark may be missing.",
                    LONGEST_ROW / 1024 / 1024
                )));
            }
            ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
            ReadRecordResult::OutputEndsFull if self.ends.len() > MOST_COLUMNS => {
                return Err(match self.header.len() {
                    0 => Error::system(format!(
                        "A log file has more than {MOST_COLUMNS} columns. Nothing of it was written; update the connector."
                    )),
                    columns => uneven(&format!("more than {}", self.ends.len()), columns),
                });
            }
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
        let fields = self.ends[..self.count].iter().map(|end| {
            let value = String::from_utf8_lossy(&self.fields[start..*end]).into_owned();
            start = *end;
            value
        });
        let values: Vec<String> = fields.collect();
        if self.header.is_empty() {
            if values.len() < 2 {
                return Err(Error::system(
                    "A log file has a single column, so nobody knows how its values are separated.",
                ));
            }
            self.header = values.into_iter().map(|name| destination(name, self.columns)).collect();
            return Ok(());
        }
        if values.len() != self.header.len() {
            return Err(uneven(&values.len().to_string(), self.header.len()));
        }
        self.row += 1;
        if self.row <= self.written {
            return Ok(());
        }
        let mut row = self.constants.clone();
        row.insert("line_number".to_owned(), self.row.into());
        let mut others = Map::new();
        for (destination, value) in self.header.iter().zip(values) {
            match destination {
                Destination::Column(column) => row.insert(column.clone(), value.into()),
                Destination::Other(name) => others.insert(name.clone(), value.into()),
                Destination::Nowhere => None,
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

fn uneven(values: &str, columns: usize) -> Error {
    Error::system(format!(
        "A log file has a row of {values} values under {columns} columns. Nothing of it was dropped: the file ends here."
    ))
}

fn destination(name: String, columns: &[&str]) -> Destination {
    let folded = fold(&name);
    let is_own = OWN_COLUMNS.iter().any(|own| fold(own) == folded);
    match columns.iter().find(|column| fold(column) == folded && !is_own) {
        Some(column) => Destination::Column((*column).to_owned()),
        // It is the advertiser whose file it is.
        None if folded == "advertiserid" => Destination::Nowhere,
        None => Destination::Other(name),
    }
}

/// The rows of a file that comes in these pieces.
#[cfg(any(test, fuzzing))]
pub(crate) fn rows_of(pieces: &[&[u8]]) -> Result<Vec<Value>> {
    const COLUMNS: &[&str] = &["advertiser_id", "file_name", "line_number", "day", "event_type", "other_columns"];
    let mut reading = Reading::new(&AdvertiserId("7".into()), NaiveDate::default(), "f", COLUMNS);
    for piece in pieces {
        let mut bytes = *piece;
        while !bytes.is_empty() {
            let used = reading.feed(bytes)?;
            bytes = &bytes[used..];
        }
    }
    reading.end()?;
    let text = reading.take().unwrap_or_else(|| "[]".to_owned());
    serde_json::from_str(&text).map_err(|error| Error::system(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::rows_of as read;
    use super::*;

    #[test]
    fn files_are_read_wherever_they_are_cut() {
        let file = "\u{feff}Event_Type,advertiser_id,Extra\r\nclick,7,\"a, \"\"b\"\"\nc\"\r\n\r\ndisplay,7,\n\"\",7,é";
        let whole = read(&[file.as_bytes()]).unwrap();
        assert_eq!(whole.len(), 3);
        assert_eq!((&whole[0]["event_type"], &whole[0]["line_number"]), (&json!("click"), &json!(1)));
        assert_eq!(whole[0]["other_columns"], json!({"Extra": "a, \"b\"\nc"}));
        assert_eq!(whole[2]["other_columns"], json!({"Extra": "é"}));
        for cut in 1..file.len() {
            let (left, right) = file.as_bytes().split_at(cut);
            assert_eq!(read(&[left, right]).unwrap(), whole, "cut at {cut}");
        }
        assert_eq!(read(&[file.replace(',', ";").replace("a; ", "a, ").as_bytes()]).unwrap(), whole);
    }

    #[test]
    fn long_rows_fit_and_uneven_ones_are_told() {
        let long = "x".repeat(300_000);
        let many = (0..1000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&[format!("event_type,b\n{long},2\n").as_bytes()]).unwrap()[0]["event_type"], json!(long));
        assert_eq!(read(&[format!("{many}\n{many}\n").as_bytes()]).unwrap().len(), 1);
        assert!(read(&[b"a,b\n1,2,3\n"]).is_err());
        assert!(read(&[b"a\n1\n"]).is_err());
        for pieces in [&[&b"\x1f\x8b\x08,"[..]][..], &[&b"\x1f"[..], b"\x8b\x08\n"]] {
            assert!(read(pieces).unwrap_err().message.contains("compressed twice"));
        }
        assert!(read(&[b""]).unwrap().is_empty());
        assert!(read(&[b"a,b\n"]).unwrap().is_empty());
        assert!(read(&[b"a,b"]).unwrap().is_empty());
    }
}
