//! `state show`: what a saved state says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::commands::{Session, input};
use crate::error::{Error, Result};
use crate::model::ids::AdvertiserId;
use crate::output::state_file::{OF_EXPORT, STATE_OF_EXPORT};
use crate::protocol::{airbyte, singer};
use crate::state::reading::Reading;
use crate::state::saved::States;
use crate::support::scan;
use crate::support::table::{Table, pretty_json};
use crate::support::terminal::{Terminal, WIDEST, wrapped};
use crate::support::text::counted;

/// The state file and the folder of an export in the examples, which are looked for if none is named.
const USUAL: [&str; 2] = ["state.json", "criteo"];
/// The most advertisers of a line, and lines of unsettled days of a stream.
const MAX_IDS: usize = 5;
const MAX_HOLES: usize = 20;
const NO_CURSOR: &str = "none: a sync reads all";

/// The state of one stream.
struct Entry {
    stream: String,
    version: Option<u64>,
    reading: Result<Reading>,
}

impl Session {
    pub(crate) async fn show_state(&self, file: Option<&Path>, as_json: bool) -> Result<ExitCode> {
        let path = match file {
            Some(path) => file_of(path).unwrap_or_else(|| path.to_owned()),
            None => usual()?,
        };
        let text = input::state_text(&path, "`read --state-file` and `export` write one.").await?;
        let name = path.display().to_string();
        let (form, states) = parse(&text).map_err(|error| error.in_context(&name))?;
        if states.is_empty() {
            return Err(Error::config(format!(
                "The state {name} is empty. A sync with it is a first sync, which reads everything."
            )));
        }
        let entries: Vec<Entry> = states
            .into_iter()
            .map(|(stream, saved)| {
                let value = saved.value();
                let version = value.as_ref().ok().and_then(|value| value["version"].as_u64());
                Entry { stream, version, reading: value.and_then(|value| Reading::of(&value)) }
            })
            .collect();
        if as_json {
            let streams: Vec<_> = entries.iter().map(document).collect();
            self.print(&pretty_json(&json!({"file": name, "form": form, "streams": streams})));
        } else {
            let streams = counted(entries.len() as u64, "stream");
            self.print(&format!("{name}: {form} state of {streams}\n\n{}", tables(&entries, Terminal::stdout())));
        }
        failure(&entries).map_or(Ok(ExitCode::SUCCESS), Err)
    }
}

/// The error of the streams whose state cannot be read.
fn failure(entries: &[Entry]) -> Option<Error> {
    let failed: Vec<_> =
        entries.iter().filter_map(|entry| Some((&entry.stream, entry.reading.as_ref().err()?))).collect();
    match failed[..] {
        [] => None,
        [(stream, error)] => Some(error.clone().in_context(stream)),
        [(_, first), ..] => {
            let list: Vec<_> = failed.iter().map(|(stream, error)| format!("- {stream}: {error}")).collect();
            let message = format!("The states of {} streams cannot be read.\n{}", failed.len(), list.join("\n"));
            Some(Error { message, ..first.clone() })
        }
    }
}

/// The state file of an exported folder.
fn file_of(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(OF_EXPORT).join(STATE_OF_EXPORT)).filter(|path| path.is_file())
}

/// The state to show if the user names none.
fn usual() -> Result<PathBuf> {
    let [file, folder] = USUAL;
    match (Path::new(file).is_file().then(|| PathBuf::from(file)), file_of(Path::new(folder))) {
        (Some(path), None) | (None, Some(path)) => Ok(path),
        (Some(_), Some(_)) => Err(Error::config(format!(
            "Both the file {file} and the folder {folder} have a state. Name one: `source-criteo state show {file}`."
        ))),
        (None, None) => Err(Error::config(format!(
            "There is no state here: neither a file {file} nor the folder {folder} of an export. Name a file or a \
             folder."
        ))),
    }
}

/// The states in a file, and the platform whose form it has.
fn parse(text: &str) -> Result<(&'static str, States)> {
    let inside = text.trim_start_matches('\u{feff}');
    let is_singer = |name: &str| ["bookmarks", "singer_state", "value", "currently_syncing"].contains(&name);
    if scan::member(inside, is_singer).is_some() {
        Ok(("Singer", singer::state::State::parse(text)?.streams()))
    } else {
        Ok(("Airbyte", airbyte::parse_state(text)?))
    }
}

/// The cursors of a state: a day or an instant, and the advertisers that were read up to it.
fn cursors(reading: &Reading) -> Vec<(String, Vec<AdvertiserId>)> {
    match reading {
        Reading::Days(cursors) => cursors.by_day().into_iter().map(|(day, of)| (day.to_string(), of)).collect(),
        Reading::Instants(instants) => {
            let text = |instant: &chrono::DateTime<chrono::Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            let ids = |of: &Vec<String>| of.iter().cloned().map(AdvertiserId).collect();
            instants.iter().map(|(instant, of)| (text(instant), ids(of))).collect()
        }
        Reading::Nothing | Reading::Whole | Reading::Interrupted(_) => Vec::new(),
    }
}

/// The state of a stream as JSON.
fn document(entry: &Entry) -> Value {
    let mut document = json!({"stream": entry.stream, "version": entry.version});
    let reading = match &entry.reading {
        Ok(reading) => reading,
        Err(error) => {
            document["error"] = json!(error.message);
            return document;
        }
    };
    let ids = |of: Vec<AdvertiserId>| of.into_iter().map(|id| id.0).collect::<Vec<_>>();
    document["kind"] = json!(match reading {
        Reading::Nothing => "empty",
        Reading::Whole => "complete",
        Reading::Interrupted(_) => "interrupted",
        Reading::Days(_) => "days",
        Reading::Instants(_) => "instants",
    });
    let cursors = cursors(reading).into_iter();
    document["cursors"] = cursors.map(|(to, of)| json!({"complete_up_to": to, "advertisers": ids(of)})).collect();
    match reading {
        Reading::Days(cursors) => {
            let fingerprint = cursors.fingerprint();
            document["fingerprint"] = json!(format!("{}|{}", fingerprint.keys, fingerprint.values));
            let holes = cursors.all_holes().into_iter().map(|(hole, of)| {
                json!({"from": hole.window.start, "to": hole.window.end, "why": hole.why, "syncs": hole.tries,
                    "is_read_again": hole.why.is_asked_again(), "advertisers": ids(of)})
            });
            document["not_settled"] = holes.collect();
        }
        Reading::Interrupted(after) => document["interrupted_after"] = json!(after),
        Reading::Nothing | Reading::Whole | Reading::Instants(_) => {}
    }
    document
}

/// The cursors, the days before them that are not settled, and what the next sync reads.
fn tables(entries: &[Entry], terminal: Option<Terminal>) -> String {
    let width = terminal.map(Terminal::width);
    let mut complete = Table::new(["stream", "advertisers", "complete up to", "version"]);
    let mut unsettled = Table::new(["stream", "advertisers", "days", "next sync"]);
    let (mut has_days, mut has_holes) = (false, false);
    for Entry { stream, version, reading } in entries {
        let mut push = |advertisers: String, to: &str| {
            complete.push(vec![stream.as_str().into(), advertisers.into(), to.into(), json!(version)]);
        };
        match reading {
            Err(_) => push(String::new(), "unknown; see the error below"),
            Ok(Reading::Nothing | Reading::Whole) => push(String::new(), NO_CURSOR),
            Ok(Reading::Interrupted(after)) => push(String::new(), &format!("interrupted after {after}")),
            Ok(reading) => {
                let cursors = cursors(reading);
                if cursors.is_empty() {
                    push(String::new(), NO_CURSOR);
                }
                for (to, advertisers) in cursors {
                    push(ids(&advertisers), &to);
                }
            }
        }
        let Ok(Reading::Days(cursors)) = reading else { continue };
        has_days = true;
        let holes = cursors.all_holes();
        for (hole, advertisers) in holes.iter().take(MAX_HOLES) {
            has_holes = true;
            let next = if hole.why.is_asked_again() { "requests them again" } else { "skips them" };
            unsettled.push(vec![
                stream.as_str().into(),
                ids(advertisers).into(),
                hole.window.to_string().into(),
                format!("{next} ({})", hole.why).into(),
            ]);
        }
        if let Some(more) = holes.len().checked_sub(MAX_HOLES).filter(|more| *more > 0) {
            let more = format!("{more} more; --json lists all");
            unsettled.push(vec![stream.as_str().into(), Value::Null, more.into(), Value::Null]);
        }
    }
    let mut parts = vec![complete.aligned(width)];
    if has_holes {
        parts.push(format!("Days before these that are not settled:\n\n{}", unsettled.aligned(width)));
    }
    if has_days {
        let note = "Reports: the next sync also reads the last days up to these again, as many as the lookback has, because \
                    Criteo still changes them. `source-criteo help state` explains it.";
        parts.push(wrapped(note, width.unwrap_or(WIDEST).min(WIDEST)).join("\n"));
    }
    parts.join("\n\n")
}

/// The first ids of a list, and how many more there are.
fn ids(advertisers: &[AdvertiserId]) -> String {
    let first: Vec<_> = advertisers.iter().take(MAX_IDS).map(ToString::to_string).collect();
    let more = advertisers.len().saturating_sub(MAX_IDS);
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}
