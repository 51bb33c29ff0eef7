//! Tests of the writer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Config;
use crate::http::CallStats;
use crate::output::event::Event;
use crate::output::sink::Sink;
use crate::output::stream::StreamSetup;
use crate::output::writer::{MAX_SILENCE_TIME, MAX_STATELESS_TIME, Writer};
use crate::products;
use crate::rows::project::Projection;
use crate::support::stop::StopSender;

/// An output that the test can inspect.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer() -> (Writer, Paper) {
    let paper = Paper::default();
    let (stop, _stopped) = StopSender::new();
    let mut writer = Writer::new(Sink::Airbyte, Box::new(paper.clone()), stop, None);
    let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
    let streams = products::streams(&Config::parse(&config.to_string()).unwrap().reports);
    for stream in &streams[..2] {
        writer.announce(StreamSetup {
            name: stream.name.clone(),
            cursor: None,
            schema: Value::Null,
            plan: Projection::new(stream, &|_| true),
            is_whole: false,
            stream: stream.clone(),
        });
    }
    (writer, paper)
}

impl Paper {
    fn messages(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_waiting_run_sends_heartbeats_and_repeats_its_states() {
    let (mut writer, paper) = writer();
    let types = || -> Vec<String> {
        paper.messages().iter().map(|message| message["type"].as_str().unwrap().to_owned()).collect()
    };
    writer.still_alive(Instant::now());
    assert!(types().is_empty(), "no stream has started");
    writer.handle(Event::Started { stream: 0 });
    writer.state(0, json!({"version": 1}));
    assert_eq!(types(), ["TRACE", "STATE"]);
    writer.still_alive(Instant::now() + MAX_SILENCE_TIME);
    assert_eq!(types(), ["LOG"]);
    writer.still_alive(Instant::now() + MAX_STATELESS_TIME);
    assert_eq!(types(), ["LOG", "STATE"]);
    writer.wait_for_limit(Duration::from_secs(20));
    assert_eq!(types(), ["TRACE", "LOG", "STATE"]);
    writer.close(0, None);
    types();
    writer.still_alive(Instant::now() + MAX_STATELESS_TIME);
    assert!(types().is_empty(), "everything is closed");
}

#[test]
fn progress_is_logged_every_minute_without_a_terminal() {
    let (mut writer, paper) = writer();
    writer.handle(Event::Started { stream: 0 });
    writer.handle(Event::Progress { stream: 0, done: 3, ahead: 9 });
    let stats = CallStats {
        endpoint: "statistics/report".into(),
        status: Some(200),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
        calls_left: Some(37),
    };
    writer.handle(Event::Response { stream: None, stats });
    writer.show_progress();
    writer.flush();
    assert_eq!(paper.messages().len(), 1, "only the status");
    writer.summary.last_log = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
    writer.show_progress();
    writer.show_progress();
    writer.flush();
    let messages = paper.messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    let text = message["log"]["message"].as_str().unwrap();
    assert!(text.starts_with("So far: 0 of 2 streams, 3 of 12 windows, 37 requests left this minute"), "{text}");
}
