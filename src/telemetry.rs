//! Turns log events into the protocol's LOG messages, written by the one owner of stdout.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::Output;
use crate::protocol::airbyte;

/// Passes this crate's events, up to a level, to the output.
struct LogMessages {
    output: Output,
    level: Level,
}

/// The log level of an Airbyte source: INFO, unless `LOG_LEVEL`, which Airbyte sets, or `--debug` changes it.
pub(crate) fn level(is_debug: bool) -> Level {
    match std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()) {
        _ if is_debug => Level::DEBUG,
        Some(level) => level,
        None => Level::INFO,
    }
}

/// Sends log events, up to `level`, to `output` from now on.
pub(crate) fn start(output: &Output, level: Level) {
    // Fails only if a test in the same process already did it.
    let _ = tracing::subscriber::set_global_default(LogMessages { output: output.clone(), level });
}

impl Subscriber for LogMessages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("source_criteo")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.output.message(airbyte::log(*event.metadata().level(), &text.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
