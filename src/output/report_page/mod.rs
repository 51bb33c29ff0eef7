//! A page about one run, as an HTML file: what was read, which days are proven, and what was spent.
//!
//! It collects facts while the run is written, and is written itself when the run ends, however that happens.

pub(crate) mod amount;
mod calendar;
mod charts;
mod days;
mod names;
mod restated;
mod verdict;
mod view;
pub(crate) mod watch;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use askama::Template as _;
use chrono::{DateTime, Utc};
use tracing::Level;

use crate::error::{Error, Result};
use crate::output::facts::Fact;
use crate::output::report_page::days::StreamDays;
use crate::output::report_page::restated::Restated;
use crate::output::report_page::view::Page;
use crate::output::report_page::watch::Watch;
use crate::output::sink::Sink;
use crate::output::stream::StreamOutput;
use crate::output::summary::Summary;
use crate::output::{AdvertiserNames, Coverage, StreamId};
use crate::support::stop::Stop;
use crate::support::{files, redact};

/// Different warnings and errors on the page.
const MAX_NOTES: usize = 1000;

/// What a run is, for the head of its page.
#[derive(Debug, Clone)]
pub struct About {
    /// The command, in words.
    pub command: String,
    /// When it started, by the run's clock.
    pub started: DateTime<Utc>,
    /// The currency of money.
    pub currency: String,
    /// The time zone of days.
    pub timezone: String,
    /// Names and values of settings, without secrets.
    pub settings: Vec<(String, String)>,
}

/// The page about a run, and where it goes.
#[derive(Debug)]
pub struct ReportPage {
    path: PathBuf,
    about: About,
    days: BTreeMap<StreamId, StreamDays>,
    notes: Notes,
    /// The stream whose rows are summed: its preference, index and name.
    summed: Option<(usize, StreamId, String)>,
    watched: StreamId,
    restated: Restated,
}

/// Warnings and errors, each once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub list: Vec<Note>,
    known: HashMap<(bool, String, String), usize>,
    /// Different ones beyond [`MAX_NOTES`].
    pub omitted: u64,
}

/// A warning or an error.
#[derive(Debug)]
pub(crate) struct Note {
    pub is_error: bool,
    pub stream: String,
    pub text: String,
    pub count: u64,
}

impl ReportPage {
    /// A page that will be written to this file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(path: &Path, about: About) -> Result<Self> {
        files::try_beside(path).map_err(|error| cannot_be_written(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            about,
            days: BTreeMap::new(),
            notes: Notes::default(),
            summed: None,
            watched: 0,
            restated: Restated::default(),
        })
    }

    /// Watches the rows of a stream. Streams are numbered in the order of these calls.
    pub(crate) fn watch(&mut self, stream: &mut StreamOutput) {
        let id = self.watched;
        self.watched += 1;
        let watch = Watch::new(&stream.setup.name, &stream.setup.plan);
        if let Some(rank) = watch.rank(&stream.setup.name)
            && self.summed.as_ref().is_none_or(|(best, ..)| rank < *best)
        {
            self.summed = Some((rank, id, stream.setup.name.clone()));
        }
        stream.watch = Some(Box::new(watch));
    }

    /// Adds what a report reads.
    pub(crate) fn fact(&mut self, stream: StreamId, fact: Fact) {
        self.days.entry(stream).or_default().add(fact);
    }

    /// Adds the days of a response that was written.
    pub(crate) fn covered(&mut self, stream: StreamId, coverage: &Coverage) {
        self.days.entry(stream).or_default().covered(coverage);
    }

    /// Adds a warning or an error.
    pub(crate) fn note(&mut self, level: Level, stream: Option<&str>, text: &str) {
        let key = (level == Level::ERROR, stream.unwrap_or_default().to_owned(), redact::line(text));
        let Notes { list, known, omitted } = &mut self.notes;
        if let Some(note) = known.get(&key).and_then(|index| list.get_mut(*index)) {
            note.count += 1;
        } else if list.len() < MAX_NOTES {
            known.insert(key.clone(), list.len());
            let (is_error, stream, text) = key;
            list.push(Note { is_error, stream, text, count: 1 });
        } else {
            *omitted += 1;
        }
    }

    /// Keeps the sums of a table before new rows are merged into it.
    pub(crate) fn before_merge(&mut self, stream: &str, sink: &Sink) {
        if let Some((_, id, name)) = self.summed.as_ref().filter(|(_, _, name)| name == stream) {
            let days: Vec<_> = self.days.get(id).into_iter().flat_map(StreamDays::written).collect();
            self.restated.before(name, &days, sink);
        }
    }

    /// Compares the sums of a table with those before the merge.
    pub(crate) fn after_merge(&mut self, stream: &str, sink: &Sink) {
        if let Some((_, _, name)) = self.summed.as_ref().filter(|(_, _, name)| name == stream) {
            self.restated.after(name, sink);
        }
    }

    /// Writes the page, and returns where.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(
        &self,
        streams: &[StreamOutput],
        summary: &Summary,
        names: &AdvertiserNames,
        failures: &[String],
        stop: Option<&Stop>,
    ) -> Result<String> {
        let page = Page::new(self, streams, summary, names, failures, stop);
        let text = page.render().map_err(|error| Error::system(format!("The report cannot be rendered: {error}.")))?;
        files::write(&self.path, &redact::clean(&text)).map_err(|error| cannot_be_written(&self.path, &error))?;
        Ok(self.path.display().to_string())
    }
}

fn cannot_be_written(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("The report {} cannot be written: {error}. Fix this or name another file.", path.display()))
}
