//! What people see of a run: the table at its end, and hints about errors.

use serde_json::Value;

use crate::error::{Cause, Error, Kind};
use crate::output::AdvertiserNames;
use crate::output::stream::{Progress, StreamOutput};
use crate::support::table::Table;
use crate::support::terminal::{Color, Terminal};
use crate::support::text::counted;

/// What an error's message does not say: where to read on.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    Some(match (error.cause, error.kind) {
        (Some(Cause::CredentialsRefused), _) => "`source-criteo help credentials key` has the steps for a new key.",
        (Some(Cause::PermissionMissing | Cause::Forbidden), _) => {
            "`source-criteo help credentials permissions` says which permission each stream needs."
        }
        (Some(Cause::ConsentMissing), _) => {
            "`source-criteo help credentials consent` has the steps, and a message to send."
        }
        (Some(Cause::NoCampaign | Cause::Rejected | Cause::InvalidTimespan), _) => {
            "`source-criteo help errors` explains what Criteo refuses."
        }
        (Some(_), Kind::Config) => "`source-criteo check` tests every step of the setup.",
        (Some(_), Kind::Transient) => "Run the command again later: it resumes where it stopped if it keeps a state.",
        _ => return None,
    })
}

/// The streams with their rows and what is proven about them, one per line.
pub(crate) fn table(
    streams: &[StreamOutput],
    failures: &[String],
    names: &AdvertiserNames,
    terminal: Option<Terminal>,
) -> String {
    let mut table = Table::new(["  stream", "rows", "checked"]);
    for stream in streams {
        let mark = match (stream.has_problem, stream.has_gaps()) {
            (true, _) => "✗",
            (false, true) => "!",
            (false, false) => "✓",
        };
        let name = format!("{mark} {}", stream.setup.name);
        let rows = counted(stream.records, "row");
        table.push([name, rows, verdict(stream, names)].map(Value::from).to_vec());
    }
    let is_known = |failure: &&String| streams.iter().any(|s| failure.starts_with(&format!("{}: ", s.setup.name)));
    for failure in failures.iter().filter(|failure| !is_known(failure)) {
        let name = failure.split(": ").next().unwrap_or_default();
        table.push(
            [format!("✗ {name}"), String::new(), "not read; see the error above".to_owned()].map(Value::from).to_vec(),
        );
    }
    let text = table.aligned_with_right(&[1], terminal.map(Terminal::width));
    let Some(terminal) = terminal.filter(|terminal| terminal.has_colors()) else { return text };
    let painted = text.lines().map(|line| {
        let marks = [("✓", Color::Green), ("!", Color::Yellow), ("✗", Color::Red)];
        let found = marks.iter().find(|(mark, _)| line.starts_with(&format!("{mark} ")));
        found.map_or_else(|| line.to_owned(), |(mark, color)| line.replacen(mark, &terminal.paint(mark, *color), 1))
    });
    painted.collect::<Vec<_>>().join("\n")
}

fn verdict(stream: &StreamOutput, names: &AdvertiserNames) -> String {
    let mut parts = Vec::new();
    if stream.has_problem {
        parts.push("incomplete; see the error above".to_owned());
    } else if stream.progress != Progress::Closed {
        parts.push("not finished".to_owned());
    }
    if let Some(tally) = &stream.tally {
        parts.extend(
            tally.proof().or_else(|| (stream.records > 0).then(|| "not compared with Criteo's totals".to_owned())),
        );
        parts.extend(stream.notes());
        parts.extend(stream.by_advertiser(names));
    }
    parts.join("; ")
}
