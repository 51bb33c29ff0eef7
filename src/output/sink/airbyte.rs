//! Airbyte: one JSON message per line on stdout, logs and errors included.

use serde_json::Value;
use tracing::Level;

use crate::error::{Error, Result};
use crate::output::sink::RecordTarget;
use crate::output::stream::StreamOutput;
use crate::output::writer::Lines;
use crate::protocol::airbyte::{self, Status};
use crate::support::{clock, redact};

/// Writes a message that has text of others in it.
fn masked(out: &mut Lines, mut message: Value) {
    redact::clean_message(&mut message);
    out.message(&message);
}

pub(super) fn log(out: &mut Lines, level: Level, stream: Option<&str>, text: &str) {
    masked(
        out,
        match stream {
            Some(stream) => airbyte::log(level, &format!("{stream}: {text}")),
            None => airbyte::log(level, text),
        },
    );
}

pub(super) fn report_error(out: &mut Lines, stream: Option<&str>, error: &Error) {
    masked(out, airbyte::error(error, stream));
}

pub(super) fn report_check(out: &mut Lines, outcome: &Result<String>) {
    masked(out, airbyte::connection_status(outcome));
}

pub(super) fn report_config(out: &mut Lines, config: &Value) {
    out.message(&airbyte::control(config));
}

pub(super) fn estimate(out: &mut Lines, stream: &str, rows: u64) {
    out.message(&airbyte::estimate(stream, rows));
}

pub(super) fn status(out: &mut Lines, stream: &str, status: Status) {
    out.message(&airbyte::stream_status(stream, status));
}

pub(super) fn report_rate_limit(out: &mut Lines, stream: &str, reset: i64) {
    out.message(&airbyte::rate_limited(stream, reset));
}

pub(super) fn state(out: &mut Lines, stream: &StreamOutput, state: &Value) {
    out.message(&airbyte::state(&stream.setup.name, state, stream.records_since_state));
    out.ends_with_state = true;
}

pub(super) fn record_target<'a>(out: &'a mut Lines, stream: &str) -> RecordTarget<'a> {
    RecordTarget::Airbyte { out, prefix: airbyte::record_prefix(stream, clock::now_millis()) }
}
