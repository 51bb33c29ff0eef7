//! Measures a response in memory with each conversion of `lib.rs`; prints one JSON line each.
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml --target-dir target --bin bare -- ANSWER CONFIG STREAM [PASS]
//! ```
//!
//! A part of a name selects matching conversions, for profiling.

use anyhow::{Context as _, Result, ensure};
use cpu_time::ProcessTime;
use source_criteo_benches::{PASSES, is_whole, stream};

/// Only the fastest run counts, to exclude noise.
const RUNS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [answer, config, name, rest @ ..] = &arguments[..] else {
        anyhow::bail!("usage: bare ANSWER CONFIG STREAM [PASS]")
    };
    let body = std::fs::read_to_string(answer).context(answer.clone())?;
    ensure!(is_whole(&body), "{answer} is not JSON");
    let stream = stream(&std::fs::read_to_string(config).context(config.clone())?, name)?;
    for pass in PASSES.iter().filter(|pass| rest.first().is_none_or(|part| pass.name.contains(part.as_str()))) {
        let mut best = f64::INFINITY;
        let mut rows = 0;
        for _ in 0..RUNS {
            let started = ProcessTime::now();
            rows = (pass.run)(&stream, &body)?;
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("{}", serde_json::json!({"name": pass.name, "bytes": body.len(), "rows": rows, "cpu_seconds": best}));
    }
    Ok(())
}
