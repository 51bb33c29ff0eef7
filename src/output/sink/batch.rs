//! Records in files that a target loads: `BATCH`, as the Singer SDK writes it.
//!
//! Targets do not delete the files, so every run removes files older than a day.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::output::stream::StreamSetup;
use crate::output::table::Dialect;
use crate::output::table::arrow_file::ArrowFile;
use crate::output::table::columns::Columns;
use crate::protocol::singer::settings::{BatchFormat, Batches};
use crate::support::clock;

/// Part of all our file names, after the user's prefix.
const MARK: &str = "tap-criteo-batch-";
/// Age at which a file is removed: by then, the target loaded it or never will.
const MAX_LIFE_TIME: Duration = Duration::from_hours(24);
/// Maximum time that records wait to share a file, since their state waits with them.
const MAX_WAIT_TIME: Duration = Duration::from_secs(20);
const BUFFER: usize = 256 * 1024;

/// Creates the folder, and removes old files of earlier runs.
///
/// # Errors
/// If the folder cannot be created or read.
pub fn prepare(batches: &Batches) -> io::Result<()> {
    std::fs::create_dir_all(&batches.folder)?;
    let mark = format!("{}{MARK}", batches.prefix);
    for entry in std::fs::read_dir(&batches.folder)?.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&mark));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if is_ours && age.is_some_and(|age| age > MAX_LIFE_TIME) {
            // Fails if another run removed it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The batch files of one stream.
pub struct BatchFiles {
    batches: Batches,
    stream: String,
    /// Bytes not yet written to the open file.
    pub buffer: Vec<u8>,
    /// Rows not yet written to the open file, in the format `arrow`.
    columns: Option<Columns>,
    open: Option<(Sink, Named)>,
    records: u64,
    number: u64,
    /// Complete files that no message has named yet.
    manifest: Vec<Named>,
    named: Vec<Named>,
    since: Option<Instant>,
    /// Whether records were lost: nothing may be handed over after that.
    is_broken: bool,
}

#[derive(Debug)]
struct Named {
    path: PathBuf,
    url: String,
}

enum Sink {
    Plain(File),
    Gzip(Box<GzEncoder<File>>),
    Arrow(Box<ArrowFile>),
}

impl BatchFiles {
    /// The files of a stream; the first is created with the first record.
    #[must_use]
    pub(crate) fn new(batches: Batches, setup: &StreamSetup) -> Self {
        Self {
            columns: if batches.format == BatchFormat::Arrow { Columns::of(setup, Dialect::Singer) } else { None },
            batches,
            stream: setup.name.clone(),
            buffer: Vec::new(),
            open: None,
            records: 0,
            number: 0,
            manifest: Vec::new(),
            named: Vec::new(),
            since: None,
            is_broken: false,
        }
    }

    /// Records that the buffer contains one more complete record.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end_record(&mut self) -> io::Result<()> {
        let is_large = self.is_large();
        self.since.get_or_insert_with(Instant::now);
        self.records += 1;
        let mut written = if is_large { self.write() } else { Ok(()) };
        if written.is_ok() && self.records >= self.batches.size {
            written = self.end_file();
        }
        if written.is_err() {
            self.discard();
        }
        written
    }

    /// The columns, in the format `arrow`.
    pub(crate) fn columns(&mut self) -> Option<&mut Columns> {
        self.columns.as_mut()
    }

    /// Warnings about values that are not stored as Criteo sent them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.columns.as_ref().map(Columns::warnings).unwrap_or_default()
    }

    /// Collects the record that was written last; returns whether there are enough to write.
    fn is_large(&mut self) -> bool {
        if let Some(columns) = &mut self.columns {
            columns.append();
            return columns.is_full();
        }
        self.buffer.len() >= BUFFER
    }

    /// Drops all unnamed files after records were lost, which also frees space on a full disk.
    fn discard(&mut self) {
        self.is_broken = true;
        let open = self.open.take().map(|(_, file)| file);
        remove(open.into_iter().chain(self.manifest.drain(..)));
    }

    /// Removes the files of the last message, which could not be written.
    pub fn withdraw(&mut self) {
        remove(self.named.drain(..));
    }

    /// Whether no records are waiting.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Whether there are enough records to hand over, or they waited long enough.
    #[must_use]
    pub fn are_due(&self) -> bool {
        !self.manifest.is_empty() || self.since.is_some_and(|since| since.elapsed() >= MAX_WAIT_TIME)
    }

    /// Closes the files and returns the message that hands them over, if there are any.
    ///
    /// # Errors
    /// If the last file cannot be written.
    pub fn hand_over(&mut self) -> io::Result<Option<Value>> {
        if !self.is_broken {
            self.end_file().inspect_err(|_| self.discard())?;
        }
        if self.is_broken {
            return Err(io::Error::other("records were lost"));
        }
        self.since = None;
        if self.manifest.is_empty() {
            return Ok(None);
        }
        let encoding = match (self.batches.format, self.batches.is_compressed) {
            (BatchFormat::Arrow, _) => json!({"format": "arrow"}),
            (BatchFormat::Jsonl, true) => json!({"format": "jsonl", "compression": "gzip"}),
            (BatchFormat::Jsonl, false) => json!({"format": "jsonl", "compression": "none"}),
        };
        self.named = std::mem::take(&mut self.manifest);
        Ok(Some(json!({
            "type": "BATCH",
            "stream": self.stream,
            "encoding": encoding,
            "manifest": self.named.iter().map(|file| &file.url).collect::<Vec<_>>(),
        })))
    }

    fn write(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(self.create()?);
        }
        match &mut self.open {
            Some((Sink::Plain(file), _)) => file.write_all(&self.buffer)?,
            Some((Sink::Gzip(encoder), _)) => encoder.write_all(&self.buffer)?,
            Some((Sink::Arrow(file), _)) => {
                if let Some(columns) = &mut self.columns {
                    file.write(columns)?;
                }
            }
            None => {}
        }
        self.buffer.clear();
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        self.write()?;
        self.records = 0;
        if let Some((sink, file)) = self.open.take() {
            self.manifest.push(file);
            match sink {
                Sink::Plain(_) => {}
                Sink::Gzip(encoder) => drop(encoder.finish()?),
                Sink::Arrow(mut file) => file.finish()?,
            }
        }
        Ok(())
    }

    /// Creates the next file, readable only by its owner.
    fn create(&mut self) -> io::Result<(Sink, Named)> {
        self.number += 1;
        let Batches { folder, prefix, format, is_compressed, .. } = &self.batches;
        let extension = match (format, is_compressed) {
            (BatchFormat::Arrow, _) => "arrow",
            (BatchFormat::Jsonl, true) => "jsonl.gz",
            (BatchFormat::Jsonl, false) => "jsonl",
        };
        let name = format!(
            "{prefix}{MARK}{}-{}-{}-{}.{extension}",
            clock::now_millis(),
            std::process::id(),
            self.stream,
            self.number,
        );
        let path = folder.join(name);
        // As the Singer SDK writes it: its readers take what follows `file://` for a path, without decoding.
        let url = format!("file://{}", path.display());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Some(columns) = &self.columns {
            return Ok((Sink::Arrow(Box::new(ArrowFile::create(file, columns)?)), Named { path, url }));
        }
        let sink = if *is_compressed {
            Sink::Gzip(Box::new(GzEncoder::new(file, Compression::fast())))
        } else {
            Sink::Plain(file)
        };
        Ok((sink, Named { path, url }))
    }
}

fn remove(files: impl Iterator<Item = Named>) {
    for file in files {
        // Fails if another program removed it.
        let _ = std::fs::remove_file(file.path);
    }
}
