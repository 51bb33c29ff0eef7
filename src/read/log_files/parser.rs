//! Turns the bytes of a file (CSV), in pieces of any size, into rows of JSON.

use chrono::NaiveDate;
use csv_core::{ReadRecordResult, ReaderBuilder};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::ids::AdvertiserId;
use crate::products::marketing::metrics::fold;

/// A stray quotation mark would merge all later rows into one.
const MAX_ROW_LEN: usize = 4 * 1024 * 1024;
/// A file without line breaks is not a log file.
const MAX_HEADER_LEN: usize = 1024 * 1024;
const MAX_COLUMNS: usize = 5000;
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Columns that this connector fills, never the file.
const OWN_COLUMNS: &[&str] = &["advertiser_id", "file_name", "line_number", "day", "other_columns"];

/// Parses a file into rows of JSON.
pub(super) struct Reading<'a> {
    constants: Map<String, Value>,
    columns: &'a [&'a str],
    /// `None` until the header shows the delimiter.
    csv: Option<csv_core::Reader>,
    header: Vec<Destination>,
    head: Vec<u8>,
    /// The fields of the current record, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    count: usize,
    /// Rows read in this pass, and rows written in all passes.
    pub(super) row: u64,
    pub(super) written: u64,
    /// The storage's version of the file.
    version: Option<String>,
    pub(super) portion: String,
}

enum Destination {
    Column(String),
    Other(String),
    Nowhere,
}

impl<'a> Reading<'a> {
    pub(super) fn new(advertiser: &AdvertiserId, day: NaiveDate, file: &str, columns: &'a [&'a str]) -> Self {
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

    /// Restarts at the first byte; rows already written are skipped.
    pub(super) fn rewind(&mut self) {
        self.csv = None;
        self.header.clear();
        self.head.clear();
        (self.length, self.count, self.row) = (0, 0, 0);
        self.portion.clear();
    }

    /// A file that has changed, or may have, is written again in full: rows with the same number replace each other.
    pub(super) fn is_same(&mut self, version: Option<String>) {
        // guard: replaced-log-file
        if version.is_none() || self.version != version {
            self.written = 0;
        }
        self.version = version;
    }

    /// Takes nonempty bytes up to the end of a record and returns how many.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.csv.is_some() {
            return self.step(bytes);
        }
        // The whole header is needed to detect the delimiter.
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        if self.head.len() + end > MAX_HEADER_LEN {
            return Err(Error::system(format!(
                "The first line of a log file is longer than {} MiB, so it is not a header. No rows of the file were \
                 written.",
                MAX_HEADER_LEN / 1024 / 1024
            )));
        }
        self.head.extend_from_slice(&bytes[..end]);
        if self.head.starts_with(GZIP) {
            return Err(Error::system(
                "The log file is compressed twice (gzip within gzip). No rows of it were written. Update the \
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

    pub(super) fn end(&mut self) -> Result<()> {
        if self.csv.is_none() && !self.head.is_empty() {
            self.begin()?;
        }
        if self.csv.is_some() {
            // Empty input flushes a last row without a line break.
            while self.length > 0 || self.count > 0 {
                self.step(&[])?;
            }
        }
        Ok(())
    }

    /// Reads up to one record and returns how many bytes were used.
    fn step(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(csv) = &mut self.csv else { return Ok(0) };
        let (result, read, written, ended) =
            csv.read_record(bytes, &mut self.fields[self.length..], &mut self.ends[self.count..]);
        self.length += written;
        self.count += ended;
        match result {
            ReadRecordResult::OutputFull if self.fields.len() >= MAX_ROW_LEN => {
                return Err(Error::system(format!(
                    "A log file has a row of more than {} MiB; a closing quotation mark may be missing.",
                    MAX_ROW_LEN / 1024 / 1024
                )));
            }
            ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
            ReadRecordResult::OutputEndsFull if self.ends.len() > MAX_COLUMNS => {
                return Err(match self.header.len() {
                    0 => Error::system(format!(
                        "A log file has more than {MAX_COLUMNS} columns. No rows of it were written. Update the \
                         connector."
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
                return Err(Error::system("A log file has a single column, so its delimiter is unknown."));
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

    pub(super) fn take(&mut self) -> Option<String> {
        (!self.portion.is_empty()).then(|| std::mem::take(&mut self.portion) + "]")
    }
}

fn uneven(values: &str, columns: usize) -> Error {
    Error::system(format!(
        "A log file has a row of {values} values under {columns} columns. No rows were dropped; reading stops at that \
         row."
    ))
}

fn destination(name: String, columns: &[&str]) -> Destination {
    let folded = fold(&name);
    let is_own = OWN_COLUMNS.iter().any(|own| fold(own) == folded);
    match columns.iter().find(|column| fold(column) == folded && !is_own) {
        Some(column) => Destination::Column((*column).to_owned()),
        // Already in `advertiser_id`.
        None if folded == "advertiserid" => Destination::Nowhere,
        None => Destination::Other(name),
    }
}

/// The rows of a file that arrives in these pieces.
#[cfg(any(test, feature = "fuzzing"))]
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
