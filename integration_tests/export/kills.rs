//! Kills exports at random moments.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use criteo_sandbox::Options;
use serde_json::json;

use super::{assert_truth, export, let_days_pass, listing};
use crate::harness::{Bench, pause};

/// Kills exports at random moments; the next undisturbed run leads to the truth, and nothing is left over.
fn kill(times: u32, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    let options = || Options { row_cap: 150, ads: 2, ..Options::default() };
    let streams = ["campaign_statistics_daily", "ad_statistics_daily", "transactions", "ads"];
    let mut killed = 0;
    while killed < times {
        let mut bench = Bench::new(options(), 60);
        bench.config["verify_totals"] = json!(false);
        for _ in 0..5 {
            bench.file("config.json", &bench.config);
            let mut program = bench.program();
            program.args([
                "export",
                "out",
                "--config",
                "config.json",
                "--format",
                "jsonl",
                "--streams",
                &streams.join(","),
            ]);
            let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            pause(Duration::from_millis(random.u64(5..400)));
            let signal = if random.bool() { "-KILL" } else { "-TERM" };
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            killed += u32::from(child.wait().unwrap().signal().is_some());
            if random.u8(..3) == 0 {
                let days = random.u64(1..9);
                let_days_pass(&mut bench, days);
            }
        }
        let last = export(&bench, &streams, &[]);
        assert_eq!(last.code, Some(0), "{}", last.stderr);
        assert_truth(&bench, &streams);
        let left: Vec<_> = listing(&bench.directory.join("out")).into_keys().collect();
        let is_known = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_of_kind = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
            ["lock", "state.json", "export.json", "files.json", "views.sql"].contains(&&*name)
                || is_of_kind("jsonl")
                || (is_of_kind("parquet") && path.to_string_lossy().contains(".source-criteo/tables"))
        };
        assert!(left.iter().all(is_known), "{left:?}");
    }
    println!("{killed} kills");
}

#[test]
fn killed_exports_are_completed_by_the_next_one() {
    kill(10, 20_261_129);
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn many_killed_exports_are_completed_by_the_next_one() {
    let times = std::env::var("KILLS").map_or(50, |times| times.parse().unwrap());
    let seed = std::env::var("KILLS_SEED").map_or(1, |seed| seed.parse().unwrap());
    kill(times, seed);
}
