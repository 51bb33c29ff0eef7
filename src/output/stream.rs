//! The writer's state of one stream.

use std::time::Instant;

use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Level;

use crate::output::AdvertiserNames;
use crate::output::report_page::watch::Watch;
use crate::output::sink::StreamFiles;
use crate::output::tally::ReportTally;
use crate::products::Stream;
use crate::rows::project::Projection;
use crate::support::text::{counted, excerpt, grouped};

const MAX_FIELDS: usize = 20;
const MAX_NAMED: usize = 5;

pub(crate) struct StreamSetup {
    pub name: String,
    /// The cursor column.
    pub cursor: Option<String>,
    pub schema: Value,
    pub plan: Projection,
    /// Whether every sync reads it completely.
    pub is_whole: bool,
    pub stream: Stream,
}

pub(crate) struct StreamOutput {
    pub setup: StreamSetup,
    pub records: u64,
    pub records_since_state: u64,
    pub first_state: Option<Value>,
    pub last_state: Option<Value>,
    pub has_failed: bool,
    /// Whether it ended with an error.
    pub has_problem: bool,
    pub progress: Progress,
    pub opened: Option<Instant>,
    /// Singer's version of a full read, after which the target removes older records.
    pub version: Option<i64>,
    /// Files, if records go there instead of stdout.
    pub files: Option<StreamFiles>,
    /// A state that waits until the batch files before it were handed over.
    pub pending_state: Option<Value>,
    /// Finished and remaining windows of a report.
    pub windows: (u64, usize),
    pub tally: Option<ReportTally>,
    /// Names and sums of its rows, for the page about the run.
    pub watch: Option<Box<Watch>>,
    /// Notified of the first record.
    pub on_first_record: Option<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    Announced,
    Open,
    Running,
    Closed,
}

impl StreamOutput {
    pub(crate) fn new(setup: StreamSetup) -> Self {
        Self {
            setup,
            records: 0,
            records_since_state: 0,
            first_state: None,
            last_state: None,
            has_failed: false,
            has_problem: false,
            progress: Progress::Announced,
            opened: None,
            version: None,
            files: None,
            pending_state: None,
            windows: (0, 0),
            tally: None,
            watch: None,
            on_first_record: None,
        }
    }

    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.progress, Progress::Open | Progress::Running)
    }

    /// Whether days are to be read again, or unproven, or differ from Criteo's totals.
    pub(crate) fn has_gaps(&self) -> bool {
        self.tally
            .as_ref()
            .is_some_and(|tally| !tally.holes.is_empty() || !tally.accepted.is_empty() || tally.differs())
    }

    /// `lists_misfits`: whether each record lists its values that do not fit.
    pub(crate) fn closing_logs(&self, names: &AdvertiserNames, lists_misfits: bool) -> Vec<(Level, String)> {
        let mut logs = vec![(Level::INFO, self.summary_line(names))];
        let never_named = self.setup.plan.never_named();
        if self.records > 0 && !never_named.is_empty() {
            let list = never_named.join(", ");
            let text = format!(
                "No row contained {list}, so these columns are null. If the account has sales, Criteo may have \
                 renamed or removed them: update the connector."
            );
            logs.push((Level::WARN, text));
        }
        if let Some(repeated) = self.setup.plan.repeated.filter(|repeated| *repeated > 0) {
            let text = format!("Criteo sent {} more than once; each is written once.", counted(repeated, "object"));
            logs.push((Level::WARN, text));
        }
        for (counts, more, what, then) in [
            (
                &self.setup.plan.unknown_fields,
                self.setup.plan.more_unknown,
                "fields unknown to this version of the connector",
                "Update it to read them",
            ),
            (
                &self.setup.plan.misfit_columns,
                0,
                "values that do not fit their columns",
                if lists_misfits { "They are null, and each record lists them" } else { "They are null" },
            ),
        ] {
            if !counts.is_empty() {
                let fields = counts.iter().take(MAX_FIELDS);
                let list: Vec<_> =
                    fields.map(|(field, rows)| format!("{} ({})", excerpt(field), counted(*rows, "row"))).collect();
                let more = match counts.len() - list.len() {
                    0 => String::new(),
                    unnamed if more == 0 => format!(" and {unnamed} more"),
                    _ => " and more".to_owned(),
                };
                logs.push((Level::WARN, format!("Criteo sent {what}: {}{more}. {then}.", list.join(", "))));
            }
        }
        logs
    }

    /// A stream's records, windows and time, its rows by advertiser if known, and days without rows.
    fn summary_line(&self, names: &AdvertiserNames) -> String {
        let mut text = counted(self.records, "record");
        let Some(tally) = &self.tally else { return text + "." };
        text += &format!(" in {}", counted(tally.windows, "window"));
        if !tally.read.is_empty() {
            text += &format!(", {}", tally.read);
        }
        if tally.splits > 0 {
            text += &format!(
                ", {} hit a limit and {} split",
                counted(tally.splits, "response"),
                if tally.splits == 1 { "was" } else { "were" }
            );
        }
        if let Some(opened) = self.opened {
            text += &format!(", {:.1} s", opened.elapsed().as_secs_f64());
        }
        if let Some(proof) = tally.proof() {
            text += &format!("; {proof}");
        }
        text += &self.by_advertiser(names).map(|text| format!("; {text}")).unwrap_or_default();
        for note in self.notes() {
            text += &format!("; {note}");
        }
        text + "."
    }

    /// The rows by advertiser, where known.
    pub(crate) fn by_advertiser(&self, names: &AdvertiserNames) -> Option<String> {
        let tally = self.tally.as_ref()?;
        if !tally.is_complete_by_advertiser || tally.rows_by_advertiser.is_empty() {
            return None;
        }
        let mut rows: Vec<_> = tally.rows_by_advertiser.iter().collect();
        rows.sort_by_key(|(advertiser, rows)| (std::cmp::Reverse(**rows), **advertiser));
        let (most, others) = rows.split_at(rows.len().min(MAX_NAMED));
        let most = most.iter().map(|(advertiser, rows)| {
            let name = names.get(*advertiser).map(|name| format!("{} ", excerpt(name))).unwrap_or_default();
            format!("{name}({advertiser}) {}", grouped(**rows))
        });
        let mut text = format!("by advertiser: {}", most.collect::<Vec<_>>().join(", "));
        if !others.is_empty() {
            let rows: u64 = others.iter().map(|(_, rows)| **rows).sum();
            text += &format!(" and {} {}", counted(others.len() as u64, "other"), grouped(rows));
        }
        Some(text)
    }

    /// Days without rows between days with rows, and days that are read again.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Some(tally) = &self.tally else { return Vec::new() };
        let mut notes = Vec::new();
        let gaps = tally.gaps();
        if !gaps.is_empty() {
            let (some, more) = gaps.split_at(gaps.len().min(MAX_NAMED));
            let some = some.iter().map(|gap| match gap.days() {
                1 => gap.start.to_string(),
                _ => format!("{} to {}", gap.start, gap.end),
            });
            let more = if more.is_empty() { "" } else { " and other days" };
            notes.push(format!("no rows on {}{more}, between days with rows", some.collect::<Vec<_>>().join(", ")));
        }
        for (what, days) in [("to be read again", &tally.holes), ("not read again", &tally.accepted)] {
            if !days.is_empty() {
                let (some, more) = days.split_at(days.len().min(MAX_NAMED));
                let more = if more.is_empty() { "" } else { " and others" };
                notes.push(format!("{what}: {}{more}", some.join(", ")));
            }
        }
        notes
    }
}
