//! What the writer knows of one stream.

use std::io;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Level;

use crate::engine::project::Plan;
use crate::protocol::singer::batch::BatchFiles;

/// What is announced of a stream.
pub(in crate::protocol) struct Announcement {
    pub name: String,
    /// The column that the state counts in.
    pub cursor: Option<String>,
    /// Singer's `SCHEMA`.
    pub schema: Value,
    pub plan: Plan,
    /// Whether it is read whole, whatever the state.
    pub is_whole: bool,
}

/// One stream of this run.
pub(super) struct Book {
    pub stream: Announcement,
    pub records: u64,
    pub records_since_state: u64,
    pub first_state: Option<Value>,
    pub last_state: Option<Value>,
    pub has_failed: bool,
    pub progress: Progress,
    pub opened: Option<Instant>,
    /// Singer's number of a full read that ends with the removal of what it did not bring.
    pub version: Option<i64>,
    /// Where records go instead of stdout.
    pub files: Option<BatchFiles>,
    /// A state that waits for the records before it, which are in files that were not handed over.
    pub pending_state: Option<Value>,
    /// Who wants to know of the first record.
    pub on_first_record: Option<oneshot::Sender<()>>,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    Announced,
    Open,
    /// With records.
    Running,
    Closed,
}

impl Book {
    pub(super) fn new(stream: Announcement) -> Self {
        Self {
            stream,
            records: 0,
            records_since_state: 0,
            first_state: None,
            last_state: None,
            has_failed: false,
            progress: Progress::Announced,
            opened: None,
            version: None,
            files: None,
            pending_state: None,
            on_first_record: None,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.progress, Progress::Open | Progress::Running)
    }

    /// Ends the files of a stream; the message that hands them over, if there are any.
    pub(super) fn hand_over(&mut self) -> io::Result<Option<Value>> {
        self.files.as_mut().map_or(Ok(None), BatchFiles::hand_over)
    }

    /// What people are told when the stream ends.
    pub(super) fn closing_words(&self) -> Vec<(Level, String)> {
        let name = &self.stream.name;
        let mut logs = vec![(Level::INFO, format!("{name}: {} records.", self.records))];
        let never_named = self.stream.plan.never_named();
        if self.records > 0 && !never_named.is_empty() {
            let list = never_named.join(", ");
            let text = format!(
                "{name}: Criteo has not sent {list} in any row, so they are null. If that is not for want of sales, the API may \
                 have renamed or dropped them: update the connector."
            );
            logs.push((Level::WARN, text));
        }
        for (counts, what, then) in [
            (
                &self.stream.plan.unknown_fields,
                "fields that this version of the connector does not know",
                "Update it to get them",
            ),
            (
                &self.stream.plan.misfit_columns,
                "values that do not fit their columns",
                "They are null, and the records say so",
            ),
        ] {
            if !counts.is_empty() {
                let list: Vec<_> = counts.iter().map(|(field, rows)| format!("{field} ({rows} rows)")).collect();
                logs.push((Level::WARN, format!("{name}: Criteo sent {what}: {}. {then}.", list.join(", "))));
            }
        }
        logs
    }
}
