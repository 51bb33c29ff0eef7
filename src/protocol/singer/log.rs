//! A tap's log on stderr, as text or in the structured form that Meltano parses.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tracing::Level;

use crate::support::{clock, redact};

/// Environment variables with the level, as in the Singer SDK; the first one that is set counts.
const LEVELS: [&str; 2] = ["TAP_CRITEO_LOGLEVEL", "LOGLEVEL"];
/// Environment variable with the path of a Python `logging` configuration, which Meltano writes for taps that support
/// structured logs.
const SETTINGS: &str = "SINGER_SDK_LOG_CONFIG";
/// The formatter that selects the structured form.
const STRUCTURED: &str = "StructuredFormatter";
/// Maximum line length in characters. Meltano reads at most 64 KiB per line during discovery.
const MAX_LEN: usize = 12 * 1024;

/// The log on stderr.
#[derive(Debug)]
pub struct Log {
    is_structured: bool,
    level: Level,
}

/// A metric that Singer tools collect.
#[derive(Debug)]
pub enum Metric<'a> {
    /// Records written.
    RecordCount(u64),
    /// Duration of a stream, and whether it was complete.
    SyncDuration(Duration, bool),
    /// Duration of an HTTP call: path, and status if there was a response.
    HttpRequestDuration(&'a str, Option<u16>, Duration),
}

impl Log {
    /// Reads `SINGER_SDK_LOG_CONFIG`; plain text without it, or if its file is not JSON. `TAP_CRITEO_LOGLEVEL` and
    /// `LOGLEVEL` override its level.
    #[must_use]
    pub fn from_environment(is_debug: bool) -> Self {
        let text = std::env::var_os(SETTINGS).and_then(|path| std::fs::read_to_string(path).ok());
        let settings: Value = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let set = LEVELS.iter().find_map(|name| std::env::var(name).ok().filter(|level| !level.is_empty()));
        Self::from_settings(&settings, set.as_deref().and_then(level), is_debug)
    }

    fn from_settings(settings: &Value, set: Option<Level>, is_debug: bool) -> Self {
        let formatters = settings["formatters"].as_object().into_iter().flatten().map(|(_, formatter)| formatter);
        let mut classes = formatters.flat_map(|formatter| [&formatter["()"], &formatter["class"]]);
        Self {
            is_structured: classes.any(|class| class.as_str().is_some_and(|class| class.ends_with(STRUCTURED))),
            level: match set.or_else(|| settings["root"]["level"].as_str().and_then(level)) {
                _ if is_debug => Level::DEBUG,
                level => level.unwrap_or(Level::INFO),
            },
        }
    }

    /// The least severe level that is logged.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Writes a line about a stream or the run.
    pub fn line(&self, level: Level, stream: Option<&str>, text: &str) {
        if level > self.level {
            return;
        }
        let text: String = redact::line(text).chars().take(MAX_LEN).collect();
        // The structured form has the name twice, since Meltano's console shows the message alone.
        let name = stream.map(|stream| format!("{stream}: ")).unwrap_or_default();
        let text = format!("{}{text}", redact::line(&name));
        let line = if self.is_structured {
            let mut line = structured(level, stream);
            line.insert("message".into(), json!(text));
            Value::Object(line).to_string()
        } else {
            format!("{} {text}", if level == Level::WARN { "WARNING" } else { level.as_str() })
        };
        write(&line);
    }

    /// Writes a metric, at the debug level: the summary at INFO has the counts, and Meltano does not read metrics.
    pub fn metric(&self, stream: Option<&str>, metric: &Metric<'_>) {
        let level = Level::DEBUG;
        if level > self.level {
            return;
        }
        let point = metric.point(stream);
        write(&if self.is_structured {
            let mut line = structured(level, stream);
            line.insert("message".into(), json!("METRIC"));
            line.insert("metric_info".into(), point);
            Value::Object(line).to_string()
        } else {
            redact::line(&format!("{level} METRIC: {point}"))
        });
    }
}

impl Metric<'_> {
    /// The metric in the Singer SDK's format.
    fn point(&self, stream: Option<&str>) -> Value {
        let (kind, metric, value, mut tags) = match self {
            Self::RecordCount(count) => ("counter", "record_count", json!(count), Map::new()),
            Self::SyncDuration(duration, is_complete) => {
                let status = if *is_complete { "succeeded" } else { "failed" };
                let tags = Map::from_iter([("status".to_owned(), json!(status))]);
                ("timer", "sync_duration", json!(duration.as_secs_f64()), tags)
            }
            Self::HttpRequestDuration(endpoint, code, duration) => {
                let status = if *code == Some(200) { "succeeded" } else { "failed" };
                let mut tags =
                    Map::from_iter([("endpoint".to_owned(), json!(endpoint)), ("status".to_owned(), json!(status))]);
                if let Some(code) = code {
                    tags.insert("http_status_code".into(), json!(code));
                }
                ("timer", "http_request_duration", json!(duration.as_secs_f64()), tags)
            }
        };
        if let Some(stream) = stream {
            tags.insert("stream".into(), json!(stream));
        }
        json!({"type": kind, "metric": metric, "value": value, "tags": tags})
    }
}

/// The fields that Meltano requires in every line. Neither `event` nor `level` may occur anywhere else in it.
fn structured(level: Level, stream: Option<&str>) -> Map<String, Value> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
    let seconds = clock::now_millis() as f64 / 1000.0;
    let name = if level == Level::WARN { "warning".to_owned() } else { level.as_str().to_ascii_lowercase() };
    let mut line = Map::new();
    line.insert("level".into(), json!(name));
    line.insert("pid".into(), json!(std::process::id()));
    line.insert("logger_name".into(), json!("tap_criteo"));
    line.insert("ts".into(), json!(seconds));
    line.insert("thread_name".into(), json!("main"));
    line.insert("app_name".into(), json!("tap-criteo"));
    if let Some(stream) = stream {
        line.insert("stream_name".into(), json!(stream));
    }
    line
}

fn level(name: &str) -> Option<Level> {
    match name.to_ascii_uppercase().as_str() {
        "DEBUG" | "NOTSET" => Some(Level::DEBUG),
        "INFO" => Some(Level::INFO),
        "WARNING" | "WARN" => Some(Level::WARN),
        "ERROR" | "CRITICAL" | "FATAL" => Some(Level::ERROR),
        _ => None,
    }
}

fn write(line: &str) {
    // There is no channel left to report that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use crate::protocol::singer::log::*;

    #[test]
    fn python_logging_settings_select_format_and_level() {
        let of = |settings: &Value| {
            let log = Log::from_settings(settings, None, false);
            (log.is_structured, log.level)
        };
        let meltano = json!({
            "version": 1,
            "formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}},
            "root": {"level": "WARNING", "handlers": ["default"]},
        });
        assert_eq!(of(&meltano), (true, Level::WARN));
        assert_eq!(Log::from_settings(&meltano, None, true).level, Level::DEBUG);
        assert_eq!(Log::from_settings(&meltano, Some(Level::ERROR), false).level, Level::ERROR);
        let plain = json!({"formatters": {"console": {"format": "%(message)s"}}, "root": {"level": "debug"}});
        assert_eq!(of(&plain), (false, Level::DEBUG));
        assert_eq!(of(&Value::Null), (false, Level::INFO));
    }
}
