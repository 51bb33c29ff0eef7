//! `read --format`: rows of one stream on stdout.

use criteo_sandbox::Options;
use serde_json::{Map, Value};

use crate::harness::Bench;
use crate::streams::preset;
use crate::truth::{self, by_key};

#[test]
fn a_pipe_carries_the_rows_of_one_stream() {
    let bench = Bench::new(Options::default(), 20);
    bench.file("config.json", &bench.config);
    let read = |more: &[&str]| {
        let mut program = bench.program();
        program.args(["read", "--config", "config.json"]).args(more);
        program.output().unwrap()
    };
    let name = "campaign_statistics_daily";
    let stream = bench.discover()[name].clone();
    let truth = truth::report(&bench, &preset(name), &stream);
    let lines = read(&["--streams", name, "--format", "jsonl", "--state-file", "state.json"]);
    assert!(lines.status.success());
    let text = String::from_utf8(lines.stdout).unwrap();
    let records: Vec<Map<String, Value>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(by_key(&records, &stream), by_key(&truth, &stream));
    assert!(bench.directory.join("state.json").exists());

    let csv = read(&["--streams", name, "--format", "csv"]);
    let text = String::from_utf8(csv.stdout).unwrap();
    assert_eq!(text.matches("\r\n").count(), truth.len() + 1);
    assert!(text.starts_with("advertiser_id,advertiser_name,"), "{}", &text[..80]);

    let arrow = read(&["--streams", name, "--format", "arrow"]);
    assert!(arrow.status.success() && arrow.stdout.starts_with(&[0xFF; 4]) && arrow.stdout.ends_with(&[0; 4]));
    let several = read(&["--streams", "campaigns,ads", "--format", "csv"]);
    assert_eq!((several.status.code(), several.stdout.len()), (Some(1), 0));
    assert!(
        String::from_utf8_lossy(&several.stderr).contains("--format writes the rows of one stream, and 2 are selected")
    );
}
