//! The books of a run, on paper.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::engine::project::Plan;
use crate::streams::catalog;
use serde_json::json;

/// A place to write to that the test can look into.
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

#[test]
fn a_run_that_waits_says_that_it_lives_and_repeats_its_states() {
    let paper = Paper::default();
    let (stop, _stopped) = StopSender::new();
    let mut writer = Writer::new(Protocol::Airbyte, Box::new(paper.clone()), stop);
    let types = || {
        let text = String::from_utf8(std::mem::take(&mut *paper.0.lock().unwrap())).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
    let streams = catalog::streams(&Config::parse(&config.to_string()).unwrap());
    for stream in &streams[..2] {
        writer.announce(Announcement {
            name: stream.name.clone(),
            cursor: None,
            schema: Value::Null,
            plan: Plan::new(stream, &|_| true),
            is_whole: false,
        });
    }
    writer.still_alive(Instant::now());
    assert!(types().is_empty(), "nothing has begun");
    writer.open(0);
    writer.state(0, json!({"version": 1}));
    assert_eq!(types(), ["TRACE", "STATE"]);
    writer.still_alive(Instant::now() + LONGEST_SILENCE);
    assert_eq!(types(), ["LOG"]);
    writer.still_alive(Instant::now() + LONGEST_STATELESS);
    assert_eq!(types(), ["LOG", "STATE"]);
    writer.waiting(Duration::from_secs(20));
    assert_eq!(types(), ["TRACE", "LOG", "STATE"]);
    writer.close(0, None);
    types();
    writer.still_alive(Instant::now() + LONGEST_STATELESS);
    assert!(types().is_empty(), "everything is closed");
}
