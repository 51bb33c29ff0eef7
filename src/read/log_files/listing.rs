//! The list of a day's files. Their names are parts of keys, so they must be unique and must not change.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{Cause, Error, Result};
use crate::model::ids::AdvertiserId;
use crate::read::{ReadContext, requests};
use crate::rows::envelope::{self, RowSink, Shape};
use crate::support::scan;
use crate::support::text::excerpt;

/// Per advertiser and day; all names and links are in memory at the same time.
const MAX_FILES: usize = 10_000;
const MAX_NAME_LEN: usize = 1024;
const MAX_LINK_LEN: usize = 8 * 1024;
const MAX_LIST_LEN: usize = 8 * 1024 * 1024;

pub(super) struct LogFile {
    pub(super) name: String,
    pub(super) url: String,
    /// Whether the name has a suffix, since another file has the same.
    is_marked: bool,
}

impl ReadContext<'_> {
    pub(super) async fn log_files(&self, advertiser: &AdvertiserId, day: NaiveDate) -> Result<Vec<LogFile>> {
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
