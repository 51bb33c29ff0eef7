//! Singer: records, schemas and one state of all streams on stdout, logs and metrics on stderr.

use serde_json::Value;
use tracing::Level;

use crate::http::CallStats;
use crate::output::sink::batch::BatchFiles;
use crate::output::sink::{RecordTarget, StreamFiles};
use crate::output::stream::StreamOutput;
use crate::output::writer::Lines;
use crate::protocol::singer::log::{Log, Metric};
use crate::protocol::singer::{self, Settings, State};
use crate::support::clock;

/// Singer has no message for a new refresh token.
pub(super) const CANNOT_STORE_TOKEN: &str = "Criteo rotated the refresh token, and Singer cannot store the new one. The old one may stop working: use an app of type \
     \"Client credentials\".";

/// What the sink of a tap knows.
#[derive(Debug)]
pub struct SingerSink {
    /// The state of all streams.
    pub(crate) all: State,
    pub(crate) log: Log,
    pub(crate) settings: Settings,
}

impl SingerSink {
    /// A sink that logs to `log`; state and settings follow once they have been read.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { all: State::default(), log, settings: Settings::default() }
    }

    pub(super) fn prepare_stream(&self, stream: &mut StreamOutput) {
        match &self.settings.batches {
            Some(batches) => {
                stream.files = Some(StreamFiles::Batches(Box::new(BatchFiles::new(batches.clone(), &stream.setup))));
            }
            None if self.settings.activates_versions && stream.setup.is_whole => {
                stream.version = Some(clock::now_millis());
            }
            None => {}
        }
    }

    pub(super) fn state(&mut self, out: &mut Lines, stream: &StreamOutput, state: &Value) {
        self.all.set(&stream.setup.name, state, stream.setup.cursor.as_deref());
        out.message(&self.all.message());
        out.ends_with_state = true;
    }

    /// Activates the version of a completely written stream, unless it covers less than the last time: then missing
    /// records may still exist.
    pub(super) fn finish_snapshot(
        &mut self,
        out: &mut Lines,
        stream: &StreamOutput,
        scope: &[String],
    ) -> Option<String> {
        let version = stream.version?;
        if self.all.widen(&stream.setup.name, scope) {
            out.message(&singer::activate_version(&stream.setup.name, version));
            return None;
        }
        Some(
            "Not sending ACTIVATE_VERSION: this sync covered fewer advertisers or countries than the last one."
                .to_owned(),
        )
    }

    pub(super) fn count_response(&self, stats: &CallStats) {
        let CallStats { endpoint, status, duration, .. } = stats;
        self.log.metric(None, &Metric::HttpRequestDuration(endpoint, *status, *duration));
    }

    pub(super) fn report_metrics(&self, stream: &StreamOutput, is_complete: bool) {
        let took = stream.opened.map(|opened| opened.elapsed()).unwrap_or_default();
        self.log.metric(Some(&stream.setup.name), &Metric::RecordCount(stream.records));
        self.log.metric(Some(&stream.setup.name), &Metric::SyncDuration(took, is_complete));
    }

    /// Targets keep the last state only if it is the last message.
    pub(super) fn finish(&self, out: &mut Lines) {
        if !out.ends_with_state {
            out.message(&self.all.message());
        }
    }

    /// Meltano shows only the last line that a failed tap printed.
    pub(super) fn sum_up_failures(&self, failures: &[String]) {
        let Some(first) = failures.first() else { return };
        let count = match failures.len() {
            1 => "1 stream is".to_owned(),
            count => format!("{count} streams are"),
        };
        self.log.line(Level::ERROR, None, &format!("{count} incomplete. {first}"));
    }
}

pub(super) fn record_target<'a>(out: &'a mut Lines, stream: &StreamOutput) -> RecordTarget<'a> {
    let prefix = singer::record_prefix(&stream.setup.name);
    RecordTarget::Singer { out, prefix, suffix: singer::record_suffix(stream.version) }
}
