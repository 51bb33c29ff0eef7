//! The stream of log files: gzip CSV behind signed links, read day by day in chunks.
//!
//! Files can be of any size, so rows are passed on in small slices. When a connection breaks or a link expires, the
//! file is requested again and written rows are skipped if the storage reports the same version. Criteo may add files
//! to recent days, so these are listed and read again by every sync, with the same keys, and count as read only some
//! days later. An unreadable day becomes a hole.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use csv_core::{ReadRecordResult, ReaderBuilder};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::{Cause, Error, Kind, Result};
use crate::model::calendar::{Grain, Range, Resume, Window, days_after, days_before};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::output::StreamId;
use crate::output::tally::ReportTally;
use crate::products::marketing::metrics::fold;
use crate::products::report::Fingerprint;
use crate::protocol::airbyte::SyncMode;
use crate::read::first_day::{FirstDays, first_served, is_near, is_served};
use crate::read::list::{MAX_REFUSED, may_concern_one_request};
use crate::read::plan::tell_lost_holes;
use crate::read::{InFlight, ReadContext, SelectedStream, requests};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::state;
use crate::state::cursor::{Cursors, Why};
use crate::state::saved::Saved;
use crate::support::scan;
use crate::support::text::excerpt;

/// How many days Criteo keeps log files, ending yesterday.
const HISTORY_DAYS: u32 = 30;
/// Younger days may still get files, so they do not count as read.
const SETTLING_DAYS: u32 = 3;
/// Bytes per portion of rows.
const PORTION: usize = 1024 * 1024;
/// Requests of a file without a new row.
const MAX_ATTEMPTS: u32 = 6;
/// Consecutive unlisted days before an advertiser is given up.
const MAX_FAILURES: u32 = 4;
/// Searches for the first served day.
const MAX_FIRST_DAYS: usize = 3;
/// A stray quotation mark would merge all later rows into one.
const MAX_ROW_LEN: usize = 4 * 1024 * 1024;
/// A file without line breaks is not a log file.
const MAX_HEADER_LEN: usize = 1024 * 1024;
const MAX_COLUMNS: usize = 5000;
/// Per advertiser and day; all names and links are in memory at the same time.
const MAX_FILES: usize = 10_000;
const MAX_NAME_LEN: usize = 1024;
const MAX_LINK_LEN: usize = 8 * 1024;
const MAX_LIST_LEN: usize = 8 * 1024 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Columns that this connector fills, never the file.
const OWN_COLUMNS: &[&str] = &["advertiser_id", "file_name", "line_number", "day", "other_columns"];

struct LogFile {
    name: String,
    url: String,
    /// Whether the name has a suffix, since another file has the same.
    is_marked: bool,
}

struct Reader<'a> {
    run: &'a ReadContext<'a>,
    id: StreamId,
    name: &'a str,
    columns: Vec<&'a str>,
    range: Range,
    settled: NaiveDate,
    is_incremental: bool,
    cursors: Cursors,
    progress: Progress,
}

impl ReadContext<'_> {
    pub(crate) async fn read_log_level(&self, id: StreamId, selected: &SelectedStream, state: &Saved) -> Result<()> {
        let name = &selected.stream.name;
        let is_incremental = selected.sync_mode == SyncMode::Incremental;
        let fingerprint =
            Fingerprint { keys: "log level".to_owned(), values: self.config.read.log_level_product_ids.to_string() };
        let today = self.clock.today(chrono_tz::Tz::UTC);
        let settled = days_before(today, SETTLING_DAYS);
        let saved = if is_incremental { state.value()? } else { Value::Null };
        let (mut cursors, warning) = Cursors::parse(&saved, fingerprint)?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        let future = cursors.groups(self.advertisers).into_iter().filter_map(|(cursor, _)| cursor).max();
        if let Some(future) = future.filter(|future| *future > settled) {
            let why = if future < today { "which cannot be complete yet" } else { "which is in the future" };
            tracing::warn!(
                "The saved cursor is {future}, {why}: the clock of an earlier sync was wrong. Files after \
                 {settled} are read again."
            );
        }
        cursors.not_after(settled);
        let config = self.config;
        let mut range = Range::new(config.read.start_date, config.read.end_date, today, HISTORY_DAYS, HISTORY_DAYS);
        range.again_from = config.read.again_from;
        if range.is_clamped {
            self.warn_once(&format!("Criteo keeps log files for 30 days, so the first day is {}.", range.start));
        }
        tell_lost_holes(&mut cursors, range.oldest);
        let columns = selected.stream.schema["properties"].as_object();
        let columns: Vec<&str> = columns.into_iter().flatten().map(|(column, _)| column.as_str()).collect();
        let progress = Progress::default();
        let mut reader = Reader { run: self, id, name, columns, range, settled, is_incremental, cursors, progress };
        let result = reader.read().await;
        let mut tally = ReportTally::default();
        tally.windows = reader.progress.accepted;
        tally.holes = reader.cursors.hole_texts(self.advertisers);
        self.output.tally(id, tally);
        result
    }
}

impl Reader<'_> {
    async fn read(&mut self) -> Result<()> {
        let run = self.run;
        let mut starts = BTreeMap::new();
        for (cursor, advertisers) in self.cursors.groups(run.advertisers) {
            // Settled days do not change, so the default lookback is zero.
            let resume = self.range.resume(cursor, run.config.read.lookback_days.unwrap_or(0), Grain::Day);
            tell_gaps(cursor, &advertisers, resume);
            let days = Window { start: resume.start, end: self.range.end };
            for advertiser in &advertisers {
                if cursor.is_some() {
                    starts.insert(advertiser.clone(), resume.start);
                }
                self.read_days(advertiser, days, resume.left_out.is_none()).await?;
            }
        }
        for (window, advertisers) in self.cursors.holes_before(&starts) {
            let days = self.range.hole(window, Grain::Day);
            for advertiser in &advertisers {
                self.read_days(advertiser, days, false).await?;
            }
        }
        for ((lost, cursor), advertisers) in &self.progress.no_longer_kept {
            tell_lost(*lost, *cursor, advertisers);
        }
        if let Some(first) = self.progress.first_days.of_all(run.advertisers.iter()) {
            run.warn_once_for(self.name, &crate::read::first_day_warning("30 days", first));
            tell_lost_holes(&mut self.cursors, first);
        } else {
            self.progress.first_days.warnings().for_each(|warning| run.warn_once_for(self.name, &warning));
        }
        let state = if self.is_incremental { self.cursors.to_value() } else { state::complete() };
        run.output.state(self.id, state);
        let unread = self.progress.unread.take();
        let unread = unread.map(|(days, error)| crate::read::unread_error(days, error, self.is_incremental));
        let errors = [self.progress.failure.take(), unread, run.refused_error(&self.progress.lost)];
        let mut errors = errors.into_iter().flatten();
        let first = errors.next();
        errors.for_each(|error| tracing::warn!("{error}"));
        first.map_or(Ok(()), Err)
    }

    /// Reads days of an advertiser in order. `moves_cursor` is false if unread days lie between the cursor and the
    /// first day.
    async fn read_days(&mut self, advertiser: &AdvertiserId, days: Window, moves_cursor: bool) -> Result<()> {
        let mut failures_in_a_row = 0;
        let mut own_first_day = None;
        let last = days.end.min(self.range.complete_until);
        for day in days.start.iter_days().take_while(|day| *day <= last) {
            if own_first_day.is_some_and(|first_day| day < first_day) {
                continue;
            }
            let mut outcome = self.run.read_day(self.id, advertiser, day, &self.columns).await;
            if let Err(Unread::List(error)) = &outcome
                && self.may_lie_before_first_day(advertiser, day, error)
            {
                let is_of_days = error.cause == Some(Cause::InvalidTimespan);
                let hint = self.progress.latest_first_day;
                self.progress.first_days_searched += usize::from(hint.is_none());
                let window = Window { start: day, end: self.range.complete_until };
                match self.run.first_served(advertiser, window, hint, is_of_days).await {
                    Ok(Some(first_day)) if first_day > day => {
                        if is_of_days {
                            self.begin_at(advertiser, first_day);
                        } else {
                            tracing::warn!(
                                "Criteo refuses the log files of {advertiser} before {first_day}, so reading starts on \
                                 that day. {error}"
                            );
                        }
                        (own_first_day, self.progress.latest_first_day) = (Some(first_day), Some(first_day));
                        continue;
                    }
                    Ok(Some(_)) => outcome = self.run.read_day(self.id, advertiser, day, &self.columns).await,
                    Ok(None) => {}
                    // The next search would fail the same way.
                    Err(_) => self.progress.first_days_searched = MAX_FIRST_DAYS,
                }
            }
            let hole = match outcome {
                Ok(()) => None,
                Err(Unread::Files(error)) => Some((error, true)),
                Err(Unread::List(error)) => {
                    failures_in_a_row += 1;
                    let has_read = self.progress.served_from.contains_key(advertiser);
                    if failures_in_a_row > MAX_FAILURES || !is_about_days(&error, has_read) {
                        return self.progress.refuse(advertiser, error, self.run.advertisers.len());
                    }
                    Some((error, false))
                }
            };
            if hole.as_ref().is_none_or(|(_, is_listed)| *is_listed) {
                failures_in_a_row = 0;
                self.progress.accepts(advertiser, day);
            }
            self.note(advertiser, day, hole.map(|(error, _)| error), moves_cursor);
        }
        Ok(())
    }

    /// Whether Criteo may no longer keep the files of this day.
    fn may_lie_before_first_day(&self, advertiser: &AdvertiserId, day: NaiveDate, error: &Error) -> bool {
        let served = match error.cause {
            Some(Cause::InvalidTimespan) => self.progress.served_from.get(advertiser),
            // Unusual words for a day that others are served are not about the day.
            _ => self.progress.served_from.values().min(),
        };
        let is_earliest = served.is_none_or(|served| day < *served);
        let is_near_first_day = is_near(day, self.range.oldest);
        is_earliest
            && self.progress.first_days_searched < MAX_FIRST_DAYS
            && match error.cause {
                // Days after a cursor were served recently.
                Some(Cause::InvalidTimespan) => is_near_first_day || self.cursors.cursor(advertiser).is_none(),
                Some(Cause::Rejected | Cause::NotFound | Cause::Forbidden | Cause::ErrorsInResponse) => {
                    is_near_first_day
                }
                _ => false,
            }
    }

    /// Notes the first day of an advertiser and warns about unread earlier days.
    fn begin_at(&mut self, advertiser: &AdvertiserId, first_day: NaiveDate) {
        let of = std::slice::from_ref(advertiser);
        self.progress.first_days.add(first_day, of);
        let Some(cursor) = self.cursors.cursor(advertiser) else { return };
        let lost = Window { start: days_after(cursor, 1).max(self.range.oldest), end: days_before(first_day, 1) };
        if lost.start <= lost.end {
            self.progress.no_longer_kept.entry((lost, cursor)).or_default().push(advertiser.clone());
        }
    }

    fn note(&mut self, advertiser: &AdvertiserId, day: NaiveDate, hole: Option<Error>, moves_cursor: bool) {
        let window = Window { start: day, end: day };
        let before = self.cursors.clone();
        let of = std::slice::from_ref(advertiser);
        if moves_cursor && day <= self.settled {
            self.cursors.advance(of, day);
        }
        // Days after the cursor are not holes: the next sync reads them anyway.
        if self.cursors.cursor(advertiser).is_some_and(|cursor| day <= cursor) {
            let holes: &[_] = if hole.is_some() { &[(window, Why::Unread)] } else { &[] };
            self.cursors.settle(of, window, holes);
        }
        if let Some(error) = hole {
            self.progress
                .unread
                .get_or_insert((Vec::new(), error))
                .0
                .push((Window { start: day, end: day }, advertiser.to_string()));
        }
        if self.is_incremental && !self.cursors.says_the_same(&before) {
            self.run.output.state(self.id, self.cursors.to_value());
        }
    }
}

/// Warns about days between the cursor and the first day to read.
fn tell_gaps(cursor: Option<NaiveDate>, advertisers: &[AdvertiserId], resume: Resume) {
    let Some(cursor) = cursor else { return };
    if let Some(lost) = resume.lost {
        tell_lost(lost, cursor, advertisers);
    }
    if let Some(left_out) = resume.left_out {
        tracing::warn!(
            "Days from {} on are skipped because this sync starts on {}. The cursor does not move, so a \
             sync without a later start reads them.",
            left_out.start,
            resume.start
        );
    }
}

/// Warns about unread days that Criteo no longer keeps.
fn tell_lost(lost: Window, cursor: NaiveDate, advertisers: &[AdvertiserId]) {
    tracing::warn!(
        "The log files for {lost} of advertisers {} are missing: Criteo no longer keeps them, and the last \
         sync ended with {cursor}.",
        format_ids(advertisers)
    );
}

/// Whether an error concerns the days and not the advertiser. `has_read`: the advertiser has been served.
fn is_about_days(error: &Error, has_read: bool) -> bool {
    match error.cause {
        Some(Cause::ConsentMissing | Cause::PermissionMissing) => false,
        Some(Cause::InvalidTimespan) => true,
        _ => may_concern_one_request(error) && (has_read || !error.is_refusal()),
    }
}

impl ReadContext<'_> {
    /// The first day of a window whose files are listed; `None` if even the last is not.
    async fn first_served(
        &self,
        advertiser: &AdvertiserId,
        window: Window,
        hint: Option<NaiveDate>,
        is_first_refused: bool,
    ) -> Result<Option<NaiveDate>> {
        let days: Vec<_> = window.singles(Grain::Day).map(|day| day.start).collect();
        let hint = hint.and_then(|hint| days.iter().position(|day| *day == hint));
        let is_served = async |index: usize| is_served(self.log_files(advertiser, days[index]).await);
        Ok(first_served(days.len(), hint, is_first_refused, is_served).await?.map(|index| days[index]))
    }

    async fn read_day(
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

    async fn log_files(&self, advertiser: &AdvertiserId, day: NaiveDate) -> Result<Vec<LogFile>> {
        let call = requests::log_files(advertiser, day, self.config.read.log_level_product_ids);
        let check = |body: &str| {
            let mut list = FileList::default();
            let envelope = envelope::check_into(body, Shape::Plain, &mut list)?;
            if let Some(flaw) = list.flaw {
                return Err(flaw);
            }
            // The total may count elements or the files in them.
            let held = envelope.rows.unwrap_or(0).max(list.files.len() as u64);
            envelope.must_be_whole(held, "log files for this day")?;
            Ok(distinct(list.files))
        };
        match self.client.fetch(&call, check).await {
            Ok((_, files)) => {
                if let Some(file) = files.iter().find(|file| file.is_marked) {
                    self.warn_once(&format!(
                        "Several log files of advertiser {advertiser} on {day} have the same name, so file_name \
                         carries a suffix: {}. If an earlier sync read only one of them, its rows may exist under both \
                         names; delete the rows of this day before it is read again.",
                        excerpt(&file.name)
                    ));
                }
                Ok(files)
            }
            // An advertiser without campaigns has no files.
            Err(error) if error.cause == Some(Cause::NoCampaign) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
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

#[derive(Default)]
struct FileList {
    files: Vec<LogFile>,
    bytes: usize,
    /// Why the response is not a list of files.
    flaw: Option<Error>,
}

impl FileList {
    fn take(&mut self, attributes: Option<&str>) -> Result<()> {
        let files = attributes.and_then(|raw| scan::member(raw, |name| name == "files"));
        let files =
            files.filter(|raw| raw.starts_with('[')).ok_or_else(|| envelope::unknown_shape("no list of files"))?;
        let walk = scan::items(files, &mut |file| {
            let text = |wanted: &str, most: usize| {
                let raw = scan::member(file, |name| name == wanted)?;
                scan::text(raw, most).filter(|_| raw.starts_with('"') && raw.len() <= most)
            };
            let (name, url) = text("fileName", MAX_NAME_LEN)
                .zip(text("url", MAX_LINK_LEN))
                .ok_or("a file whose name or link is missing or too long")?;
            self.bytes += name.len() + url.len();
            self.files.push(LogFile { name, url, is_marked: false });
            if self.files.len() > MAX_FILES || self.bytes > MAX_LIST_LEN {
                return Err(format!("more than {MAX_FILES} files for one day, or links that are too long"));
            }
            Ok(())
        });
        walk.map_err(|error| envelope::unknown_shape(&error.to_string()))
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

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

enum Unread {
    /// The files of the day cannot be listed.
    List(Error),
    /// Listed files cannot be downloaded.
    Files(Error),
}

#[derive(Default)]
struct Progress {
    /// Number of listed days.
    accepted: u64,
    /// The first listed day of each advertiser.
    served_from: BTreeMap<AdvertiserId, NaiveDate>,
    /// First days later than expected.
    first_days: FirstDays,
    /// The last first day found, a hint for other advertisers.
    latest_first_day: Option<NaiveDate>,
    first_days_searched: usize,
    /// Days after a cursor that are older than the first day, with the cursor.
    no_longer_kept: BTreeMap<(Window, NaiveDate), Vec<AdvertiserId>>,
    lost: BTreeMap<AdvertiserId, Error>,
    /// Unread days with their advertisers, and the first error.
    unread: Option<(Vec<(Window, String)>, Error)>,
    failure: Option<Error>,
}

impl Progress {
    fn accepts(&mut self, advertiser: &AdvertiserId, day: NaiveDate) {
        self.accepted += 1;
        let served = self.served_from.entry(advertiser.clone()).or_insert(day);
        *served = day.min(*served);
    }

    /// Skips an advertiser, or fails if the error concerns more than this one.
    fn refuse(&mut self, advertiser: &AdvertiserId, error: Error, total: usize) -> Result<()> {
        // Refused days say nothing about the advertiser.
        if error.is_refusal() && error.cause != Some(Cause::InvalidTimespan) {
            tracing::warn!("Criteo refuses the log files of {advertiser}; reading the others. {error}");
            self.lost.insert(advertiser.clone(), error.clone());
        } else if may_concern_one_request(&error) {
            tracing::warn!("The log files of {advertiser} are not available; reading the others. {error}");
            self.failure.get_or_insert(error.clone().in_context(&format!("Log files of {advertiser}")));
        } else {
            return Err(error);
        }
        // If the first few are all refused, skip the rest.
        if self.accepted == 0 && self.lost.len() >= MAX_REFUSED.min(total) { Err(error) } else { Ok(()) }
    }
}

/// Merges duplicates and makes names unique. Of files with one name in different places, the one whose place ends with
/// the name keeps it (or else the first by place); the others get a suffix hashed from their place. Suffixes depend
/// neither on the order nor on other files, and places exclude the signature.
fn distinct(files: Vec<LogFile>) -> Vec<LogFile> {
    let mut by_name: BTreeMap<String, BTreeMap<String, LogFile>> = BTreeMap::new();
    for file in files {
        by_name.entry(file.name.clone()).or_default().entry(place(&file.url)).or_insert(file);
    }
    let marked = |(name, places): (String, BTreeMap<String, LogFile>)| {
        let namesake = places.keys().find(|place| place.rsplit('/').next() == Some(&*name));
        let plain = namesake.or_else(|| places.keys().next()).cloned();
        places.into_iter().map(move |(place, file)| {
            let is_marked = Some(&place) != plain.as_ref();
            let name = if is_marked { format!("{name} ({})", mark(&place)) } else { name.clone() };
            LogFile { name, is_marked, ..file }
        })
    };
    by_name.into_iter().flat_map(marked).collect()
}

/// The path of a link, without the host, which may change.
fn place(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or(rest, |(_, path)| path));
    path.to_owned()
}

/// FNV-1a. Part of keys, so it must never change.
fn mark(place: &str) -> String {
    let hash = place.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// Parses a file into rows of JSON.
struct Reading<'a> {
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
    row: u64,
    written: u64,
    /// The storage's version of the file.
    version: Option<String>,
    portion: String,
}

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

    /// Restarts at the first byte; rows already written are skipped.
    fn rewind(&mut self) {
        self.csv = None;
        self.header.clear();
        self.head.clear();
        (self.length, self.count, self.row) = (0, 0, 0);
        self.portion.clear();
    }

    /// A file that has changed, or may have, is written again in full: rows with the same number replace each other.
    fn is_same(&mut self, version: Option<String>) {
        // guard: replaced-log-file
        if version.is_none() || self.version != version {
            self.written = 0;
        }
        self.version = version;
    }

    /// Takes nonempty bytes up to the end of a record and returns how many.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
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

    fn end(&mut self) -> Result<()> {
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

    fn take(&mut self) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use crate::read::log_files::{rows_of as read, *};

    #[test]
    fn files_are_read_across_any_chunk_boundary() {
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
    fn long_rows_are_read_and_uneven_ones_are_reported() {
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
