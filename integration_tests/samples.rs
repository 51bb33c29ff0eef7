//! The sample files run unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;

pub fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

pub fn sample(name: &str) -> Value {
    serde_json::from_str(&repository(&format!("sample_configs/{name}"))).unwrap()
}

#[test]
fn every_sample_configuration_is_accepted() {
    let mut bench = Bench::new(Options::default(), 1);
    let options = Options::default();
    for name in ["config.json", "config_custom_reports.json", "config_retail_media.json", "config_sandbox.json"] {
        let config = sample(name);
        bench.config = config.clone();
        assert!(bench.discover().len() >= 7, "{name}");
        if name == "config_sandbox.json" {
            assert_eq!(config["client_id"], options.client_id);
            assert_eq!(config["client_secret"], options.client_secret);
        }
    }
}

/// A minimal configured catalog of every stream.
fn catalog_of(discovered: &BTreeMap<String, Value>, sync_mode: &str) -> Value {
    let streams = discovered.values().map(|stream| {
        let has_cursor = stream["source_defined_cursor"] == true;
        let is_incremental = sync_mode == "incremental" && has_cursor;
        let mut entry = json!({
            "stream": {"name": stream["name"], "json_schema": {}, "supported_sync_modes": stream["supported_sync_modes"]},
            "sync_mode": if is_incremental { "incremental" } else { "full_refresh" },
            "destination_sync_mode": if is_incremental { "append_dedup" } else { "overwrite" },
        });
        if is_incremental {
            entry["primary_key"] = stream["source_defined_primary_key"].clone();
            entry["cursor_field"] = stream["default_cursor_field"].clone();
        }
        entry
    });
    json!({"streams": streams.collect::<Vec<_>>()})
}

/// `UPDATE_SAMPLES=1 cargo test sample_catalogs` rewrites the catalogs.
#[test]
fn sample_catalogs_and_state_match_discover() {
    let bench = Bench::new(Options::default(), 60);
    let discovered = bench.discover();
    for sync_mode in ["full_refresh", "incremental"] {
        let name = format!("configured_catalog_{sync_mode}.json");
        let catalog = catalog_of(&discovered, sync_mode);
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            let path = format!("{}/sample_configs/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, serde_json::to_string_pretty(&catalog).unwrap() + "\n").unwrap();
        }
        assert_eq!(sample(&name), catalog, "sample_configs/{name} is stale");
        bench.file("config.json", &bench.config);
        bench.file("catalog.json", &catalog);
        bench.file("state.json", &sample("state.json"));
        let arguments = ["read", "--config", "config.json", "--catalog", "catalog.json", "--state", "state.json"];
        let transcript = bench.run(&arguments);
        assert_eq!(transcript.code, Some(0));
        let has_changed = transcript.logs("WARN").iter().any(|log| log.contains("changed since the last sync"));
        assert!(!has_changed, "sample_configs/state.json has other metrics: {:?}", transcript.logs("WARN"));
        let days: BTreeSet<_> =
            transcript.records("campaign_statistics_daily").iter().map(|record| record["day"].to_string()).collect();
        let first = days.first().unwrap();
        assert_eq!(first, if sync_mode == "incremental" { "\"2026-10-02\"" } else { "\"2026-09-02\"" });
    }
}
