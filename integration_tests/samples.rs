//! What people copy: the sample files and the commands of the README are run as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use criteo_sandbox::Options;
use serde_json::{Value, json};
use source_criteo::config::Config;
use source_criteo::streams::endpoint::Endpoint;
use source_criteo::streams::metrics::{self, Unit};
use source_criteo::streams::{Source, catalog};

use crate::harness::Bench;

pub fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sample(name: &str) -> Value {
    serde_json::from_str(&repository(&format!("sample_configs/{name}"))).unwrap()
}

#[test]
fn every_sample_configuration_is_accepted() {
    let mut bench = Bench::new(Options::default(), 1);
    let options = Options::default();
    for name in ["config.json", "config_custom_reports.json", "config_sandbox.json"] {
        let config = sample(name);
        bench.config = config.clone();
        assert!(bench.discover().len() >= 7, "{name}");
        if name == "config_sandbox.json" {
            assert_eq!(config["client_id"], options.client_id);
            assert_eq!(config["client_secret"], options.client_secret);
        }
    }
}

/// A configured catalog of every stream, short enough to be copied by hand.
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

/// `UPDATE_SAMPLES=1 cargo test sample_catalogs` writes the catalogs anew.
#[test]
fn the_sample_catalogs_and_the_sample_state_name_what_discover_names() {
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
        let days: BTreeSet<_> =
            transcript.records("campaign_statistics_daily").iter().map(|record| record["day"].to_string()).collect();
        let first = days.first().unwrap();
        assert_eq!(first, if sync_mode == "incremental" { "\"2026-10-02\"" } else { "\"2026-09-02\"" });
    }
}

/// Every command in a `console` block that calls the program runs, with the program built for this test; but for `setup` that
/// asks somebody, which has tests of its own.
#[test]
fn the_commands_of_the_documents_run() {
    let documents = ["README.md", "docs/credentials.md"].map(repository);
    let blocks = documents.iter().flat_map(|text| text.split("```console\n").skip(1));
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let commands: Vec<_> = lines.filter_map(|line| line.strip_prefix("$ ")).collect();
    let bench = Bench::new(Options::default(), 1);
    assert!(commands.len() >= 5, "{commands:?}");
    let key = format!("client_id: {}\nclient_secret: {}\n", bench.config["client_id"], bench.config["client_secret"]);
    std::fs::write(bench.directory.join("key.txt"), key).unwrap();
    let program = env!("CARGO_BIN_EXE_source-criteo");
    let port = bench.config["api_base_url"].as_str().unwrap();
    let mut run = 0;
    for command in commands {
        if command == "source-criteo setup" {
            continue;
        }
        let command = command
            .replace("criteo setup", &format!("criteo setup --force --api-base-url {port}"))
            .replace("cargo run --quiet -- ", "source-criteo ")
            .replace("source-criteo ", &format!("{program} "))
            .replace("sample_configs/config_sandbox.json", "config.json");
        if !command.starts_with(program) {
            continue;
        }
        let mut config = sample("config_sandbox.json");
        config["api_base_url"] = json!(port);
        config["now"] = bench.config["now"].clone();
        config["start_date"] = bench.config["start_date"].clone();
        bench.file("config.json", &config);
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs");
        let link = bench.directory.join("sample_configs");
        if !link.exists() {
            std::os::unix::fs::symlink(samples, link).unwrap();
        }
        let output = Command::new("sh").args(["-c", &command]).current_dir(&bench.directory).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let is_silent = command.ends_with("--test") || command.contains(" setup ");
        assert!(!output.stdout.is_empty() || is_silent, "{command}");
        run += 1;
    }
    assert!(run >= 4, "{run} commands");
}

/// Compares what stands between two marks of a document with what it must be, or writes it.
pub fn generated(document: &str, mark: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let whole = std::fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = whole.split_once(&start).unwrap();
    let (known, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{start}{text}{end}{after}")).unwrap();
    } else {
        assert_eq!(known, text, "{document} is stale");
    }
}

/// The tables of dimensions and metrics. `UPDATE_DOCS=1 cargo test table_of` writes them anew.
#[test]
fn the_table_of_metrics_says_what_is_known() {
    let mut table = "| dimension | column | comes with | about |\n| --- | --- | --- | --- |\n".to_owned();
    for dimension in metrics::DIMENSIONS {
        let (name, column) = (dimension.name, metrics::column_name(dimension.name));
        table += &format!("| {name} | `{column}` | {} | {} |\n", dimension.pair.unwrap_or_default(), dimension.about);
    }
    generated("docs/metrics.md", "dimensions", &table);
    let mut table = "| metric | column | type | unit | credited to | additive | since |\n\
                     | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for metric in metrics::metrics() {
        let unit = match metric.unit {
            Unit::Count => "count",
            Unit::Money => "money",
            Unit::Euro => "euros",
            Unit::Ratio => "ratio",
            Unit::Text => "",
        };
        table += &format!(
            "| {} | `{}` | {} | {unit} | {} | {} | {} |\n",
            metric.name,
            metrics::column_name(metric.name),
            format!("{:?}", metric.column_type()).to_lowercase(),
            metric.attribution().unwrap_or_default(),
            if metric.additive { "yes" } else { "no" },
            metrics::since(metric.name),
        );
    }
    generated("docs/metrics.md", "metrics", &table);
}

/// The table of streams as the declarations say it. `UPDATE_DOCS=1 cargo test table_of_streams` writes it anew.
#[test]
fn the_table_of_streams_says_what_is_declared() {
    let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "api_version": "2027-01"});
    let mut table = "| stream | key | cursor | sync modes | endpoint | permission | history | since |\n\
                     | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for stream in catalog::streams(&Config::parse(&config.to_string()).unwrap()) {
        let since = match &stream.source {
            Source::Entity(entity) => entity.since.unwrap_or_default(),
            Source::Report(report) if report.endpoint == Endpoint::AdLevel => "2027-01",
            Source::Report(_) | Source::LogLevel => "",
        };
        let (endpoint, history) = (stream.endpoint(), stream.history());
        let modes = if stream.cursor().is_some() { "full refresh, incremental" } else { "full refresh" };
        let keys: Vec<_> = stream.primary_key.iter().map(|key| format!("`{key}`")).collect();
        let cursor = stream.cursor().map(|cursor| format!("`{cursor}`")).unwrap_or_default();
        table += &format!(
            "| `{}` | {} | {cursor} | {modes} | `{endpoint}` | {} | {history} | {since} |\n",
            stream.name,
            keys.join(", "),
            stream.permission.label(),
        );
    }
    generated("docs/streams.md", "streams", &table);
}
