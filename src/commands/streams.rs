//! `streams`: lists the streams, at a terminal in groups.

use std::process::ExitCode;

use serde_json::Value;

use crate::commands::Session;
use crate::error::Result;
use crate::products::report::ReportOptions;
use crate::products::{self, ASSUMED, Permission, Stream, about};
use crate::support::table::{Format, Table};
use crate::support::terminal::{Color, Terminal};

impl Session {
    pub(crate) fn streams(&self, options: &ReportOptions, format: Format) -> Result<ExitCode> {
        let streams = products::streams(options);
        let terminal = Terminal::stdout();
        let text = if format == Format::Table {
            grouped(&streams, terminal, &["stream", "about", "permission", "history"])
        } else {
            let mut table = Table::new(COLUMNS);
            for stream in &streams {
                table.push(COLUMNS.iter().map(|column| Value::from(value(stream, column))).collect());
            }
            table.render(format, terminal.map(Terminal::width))?
        };
        Ok(self.print(&text))
    }
}

const COLUMNS: [&str; 7] = ["stream", "permission", "history", "cursor", "key", "group", "about"];

fn value(stream: &Stream, column: &str) -> String {
    let about = about::of(&stream.name);
    match column {
        "stream" => stream.name.clone(),
        "about" => about.text.to_owned(),
        "group" => about.group.to_owned(),
        "permission" if stream.permission == Permission::None => "none needed".to_owned(),
        "permission" => stream.permission.label().to_owned(),
        "history" => stream.history().replace(ASSUMED, "?"),
        "cursor" => stream.cursor().unwrap_or_default().to_owned(),
        _ => stream.primary_key.join(", "),
    }
}

/// The streams under the headings of their groups, as one table so that columns line up.
pub(crate) fn grouped(streams: &[Stream], terminal: Option<Terminal>, columns: &[&str]) -> String {
    let mut table = Table::new(columns.iter().copied());
    let mut starts = Vec::new();
    for group in about::groups() {
        let of_group: Vec<_> = streams.iter().filter(|stream| about::of(&stream.name).group == group).collect();
        if let Some(first) = of_group.first() {
            starts.push((first.name.clone(), group));
        }
        for stream in of_group {
            table.push(columns.iter().map(|column| Value::from(value(stream, column))).collect());
        }
    }
    let mut text = String::new();
    for line in table.aligned(terminal.map(Terminal::width)).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if let Some((_, group)) = starts.iter().find(|(first, _)| first == name) {
            let group = terminal.map_or_else(|| (*group).to_owned(), |terminal| terminal.paint(group, Color::Green));
            text += &format!("\n{group}\n");
        }
        text += &format!("{line}\n");
    }
    text
}
