//! Passes log events to the one owner of stdout, with the stream that they belong to.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Span, Subscriber};

use crate::output::Output;

/// Passes this crate's events, up to a level, to the output.
struct LogSubscriber {
    output: Output,
    level: Level,
    /// The streams of all spans; the id of a span is its index plus one.
    streams: Mutex<Vec<String>>,
}

thread_local! {
    /// The entered spans. All streams are read on one thread.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// A span whose log lines belong to a stream, whatever their level.
pub(crate) fn stream_span(name: &str) -> Span {
    tracing::error_span!("stream", name)
}

/// The stream that the current task reads.
pub(crate) fn current_stream() -> Option<String> {
    tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<LogSubscriber>()?.current_stream())
}

impl LogSubscriber {
    fn streams(&self) -> MutexGuard<'_, Vec<String>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current_stream(&self) -> Option<String> {
        let id = ENTERED.with_borrow(|entered| entered.last().cloned())?;
        let index = usize::try_from(id.into_u64() - 1).ok()?;
        self.streams().get(index).cloned()
    }
}

/// The log level of an Airbyte source: INFO, unless `LOG_LEVEL`, which Airbyte sets, or `--debug` changes it.
pub(crate) fn airbyte_level(is_debug: bool) -> Level {
    match std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()) {
        _ if is_debug => Level::DEBUG,
        Some(level) => level,
        None => Level::INFO,
    }
}

/// Sends log events, up to `level`, to `output` from now on.
pub(crate) fn start(output: &Output, level: Level) {
    // Fails only if a test in the same process already did it.
    let _ = tracing::subscriber::set_global_default(LogSubscriber {
        output: output.clone(),
        level,
        streams: Mutex::default(),
    });
}

impl Subscriber for LogSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("source_criteo")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.output.log(*event.metadata().level(), self.current_stream(), text.0);
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut name = Text(String::new());
        span.record(&mut name);
        let mut streams = self.streams();
        streams.push(name.0);
        Id::from_u64(streams.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.clone()));
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

/// The message of an event, or the name of a span.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            value.clone_into(&mut self.0);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
