//! Batches and version messages.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use criteo_sandbox::Options;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use super::{Run, catalog_with, tap, tap_streams};
use crate::harness::Bench;
use crate::truth::by_key;

/// The records in a message's files.
fn records(message: &Value, is_compressed: bool) -> Vec<Map<String, Value>> {
    let files = message["manifest"].as_array().unwrap().iter();
    let texts = files.map(|url| {
        let bytes = std::fs::read(url.as_str().unwrap().strip_prefix("file://").unwrap()).unwrap();
        let mut text = String::new();
        let mut plain: Box<dyn std::io::Read> =
            if is_compressed { Box::new(GzDecoder::new(&bytes[..])) } else { Box::new(&bytes[..]) };
        plain.read_to_string(&mut text).unwrap();
        text
    });
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn batches_of(run: &Run, stream: &str, is_compressed: bool) -> Vec<Map<String, Value>> {
    let messages = run.messages.iter().filter(|message| message["type"] == "BATCH" && message["stream"] == stream);
    messages.flat_map(|message| records(message, is_compressed)).collect()
}

#[test]
fn batches_hold_the_records_and_states_follow() {
    let mut bench = Bench::new(Options::default(), 60);
    let names = ["campaigns", "campaign_statistics_daily", "ad_statistics_daily", "ad_set_category_bids"];
    let plain = tap_streams(&bench, &names, &[]);
    let folder = bench.directory.join("files");
    std::fs::create_dir(&folder).unwrap();
    // Files of an old run, of a recent one, and of another program.
    let old =
        ["p-tap-criteo-batch-1-1-campaigns-1.jsonl.gz", "p-tap-criteo-batch-2-1-campaigns-1.jsonl.gz", "p-mine.gz"];
    for (name, days) in old.iter().zip([2, 0, 2]) {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
    }
    for (compression, size) in [(Some("gzip"), Some(500)), (None, None)] {
        bench.config["batch_config"] = json!({
            "encoding": {"format": "jsonl"},
            "storage": {"root": format!("file://{}", folder.display()), "prefix": "p-"},
        });
        if let Some(compression) = compression {
            bench.config["batch_config"]["encoding"]["compression"] = json!(compression);
        }
        if let Some(size) = size {
            bench.config["batch_config"]["batch_size"] = json!(size);
        }
        let run = tap(&bench, &["--catalog", "catalog.json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for name in names {
            assert!(run.records(name).is_empty(), "{name} has records on stdout");
            let found = batches_of(&run, name, compression.is_some());
            assert_eq!(found.len(), plain.records(name).len(), "{name}");
            let stream = bench.discover()[name].clone();
            assert_eq!(by_key(found.iter(), &stream), by_key(plain.records(name), &stream), "{name}");
        }
        assert_eq!(run.last_state(), plain.last_state());
        let least = usize::try_from(size.unwrap_or(10_000)).unwrap();
        let sizes = run.messages.iter().filter(|m| m["type"] == "BATCH" && m["stream"] == "ad_statistics_daily");
        let sizes: Vec<_> = sizes.map(|message| records(message, compression.is_some()).len()).collect();
        // A stream's last file has the rest.
        assert!(sizes[..sizes.len() - 1].iter().all(|size| *size >= least), "{sizes:?} and {least}");
        let largest = run.messages.iter().filter_map(|m| m["manifest"].as_array()).map(Vec::len).max().unwrap();
        assert_eq!(largest > 1, size.is_some(), "{largest} files per message");
        assert_records_precede_states(&run, "ad_statistics_daily", compression.is_some());
    }
    let is_there = old.map(|name| folder.join(name).exists());
    assert_eq!(is_there, [false, true, true]);
}

/// All days up to a state's cursor must be delivered before the state.
fn assert_records_precede_states(run: &Run, name: &str, is_compressed: bool) {
    let all = batches_of(run, name, is_compressed);
    let (mut seen, mut states) = (Vec::new(), 0);
    for message in &run.messages {
        if message["type"] == "BATCH" && message["stream"] == name {
            seen.extend(records(message, is_compressed));
        } else if let Some(cursor) = message["value"]["bookmarks"][name]["replication_key_value"].as_str() {
            let upto = |records: &[Map<String, Value>]| {
                records.iter().filter(|record| record["day"].as_str().unwrap() <= cursor).count()
            };
            assert_eq!(upto(&seen), upto(&all), "a state of {cursor} before its records");
            states += 1;
        }
    }
    assert!(states > 0);
}

/// The disk fills up within a file, whose records are lost: no state may cover them.
#[test]
fn a_full_disk_leaves_no_state_ahead_of_delivered_batches() {
    for kib in [24, 40, 64, 96] {
        let mut bench = Bench::new(Options { row_cap: 100, ..Options::default() }, 60);
        let folder = bench.directory.join("files");
        std::fs::create_dir(&folder).unwrap();
        bench.config["batch_config"] = json!({
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": format!("file://{}", folder.display())},
            "batch_size": 120,
        });
        bench.file("config.json", &bench.config);
        let name = "ad_statistics_daily";
        bench.file("catalog.json", &catalog_with(&bench, |stream, _| stream == name));
        let inner = format!(
            "mount -t tmpfs -o size={kib}k none files || exit 9; \"$@\" > out.json 2> err.txt; code=$?; \
             mkdir kept; cp --recursive files/. kept/; exit $code"
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &inner, "sh"]);
        command.arg(bench.program().get_program()).args(["--config", "config.json", "--catalog", "catalog.json"]);
        let status = command.current_dir(&bench.directory).status().unwrap();
        assert_eq!(status.code(), Some(1), "{kib} KiB");
        let text = std::fs::read_to_string(bench.directory.join("out.json")).unwrap();
        let text = text.replace("/files/", "/kept/");
        let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let handed =
            messages.iter().filter(|message| message["type"] == "BATCH").flat_map(|message| records(message, true));
        let last_day = handed.map(|record| record["day"].as_str().unwrap().to_owned()).max().unwrap_or_default();
        let bookmark = &messages.last().unwrap()["value"]["bookmarks"][name];
        let cursor = bookmark["replication_key_value"].as_str().unwrap_or_default();
        assert!(cursor <= last_day.as_str(), "{kib} KiB: a state of {cursor}, and records up to {last_day}");
    }
}

#[test]
fn an_unwritable_batch_folder_is_reported_before_any_request() {
    let mut bench = Bench::new(Options::default(), 2);
    bench.config["batch_config"] =
        json!({"encoding": {"format": "jsonl"}, "storage": {"root": "/proc/no-such-folder"}});
    let tried = tap(&bench, &["--test"]);
    assert_eq!(tried.code, Some(0), "a test writes nothing: {}", tried.stderr);
    let calls = bench.sandbox.requests().len();
    let run = tap(&bench, &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("batch_config.storage.root is not writable"), "{}", run.stderr);
    assert_eq!(bench.sandbox.requests().len(), calls);
}

#[test]
fn versions_are_activated_after_all_objects_are_read() {
    let mut bench = Bench::new(Options::default(), 3);
    bench.config["emit_activate_version_messages"] = json!(true);
    let names = ["campaigns", "ads", "audiences", "campaign_statistics_daily"];
    let run = tap_streams(&bench, &names, &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for (name, is_whole) in names.into_iter().zip([true, true, false, false]) {
        let messages = run.messages.iter().filter(|message| message["stream"] == name && message["type"] != "SCHEMA");
        let messages: Vec<_> = messages.collect();
        let version = &messages[0]["version"];
        assert_eq!(version.is_i64(), is_whole, "{name}: {}", messages[0]);
        let ends = messages.iter().filter(|message| message["type"] == "ACTIVATE_VERSION").count();
        assert_eq!((ends == 1, messages.last().unwrap()["type"] == "ACTIVATE_VERSION"), (is_whole, is_whole), "{name}");
        assert!(messages.iter().all(|message| message["version"] == *version));
    }
    // A full refresh by the user's choice.
    let mut catalog = catalog_with(&bench, |stream, _| ["audiences", "campaign_statistics_daily"].contains(&stream));
    for stream in catalog["streams"].as_array_mut().unwrap() {
        stream["metadata"][0]["metadata"]["replication-method"] = json!("FULL_TABLE");
    }
    bench.file("catalog.json", &catalog);
    let run = tap(&bench, &["--catalog", "catalog.json"]);
    let activated: Vec<_> = run.messages.iter().filter(|message| message["type"] == "ACTIVATE_VERSION").collect();
    assert_eq!(activated.len(), 1, "Criteo forgets old rows of reports, so they must not be removed: {activated:?}");
    assert_eq!(activated[0]["stream"], "audiences");
}

fn activated(run: &Run) -> Vec<&str> {
    let messages = run.messages.iter().filter(|message| message["type"] == "ACTIVATE_VERSION");
    messages.map(|message| message["stream"].as_str().unwrap()).collect()
}

/// A bench whose tap activates versions.
fn activating(options: Options) -> Bench {
    let mut bench = Bench::new(options, 1);
    bench.config["emit_activate_version_messages"] = json!(true);
    bench
}

#[test]
fn no_version_is_activated_if_a_stream_fails_or_a_listed_advertiser_is_missing() {
    let mut bench = activating(Options { campaigns: 3, ..Options::default() });
    let fault = json!({"match": {"path": "/campaigns/search"}, "times": null, "do": {"status": 404, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let failed = tap_streams(&bench, &["campaigns"], &[]);
    assert_eq!((failed.code, activated(&failed).len()), (Some(1), 0));
    bench.config["advertiser_ids"] = json!(["1001", "9999"]);
    bench.config["skip_inaccessible_advertisers"] = json!(true);
    let partial = tap_streams(&bench, &["ad_sets"], &[]);
    assert_eq!((partial.code, activated(&partial).len()), (Some(0), 0), "{}", partial.stderr);
    assert!(!partial.records("ad_sets").is_empty());
}

#[test]
fn no_version_is_activated_if_parents_are_missing_or_lists_are_short() {
    // An advertiser withdraws consent after the list of advertisers was read.
    let bench = activating(Options::default());
    bench.withdraw_consent_after_the_portfolio("1003");
    let lost = tap_streams(&bench, &["ad_sets", "ad_set_category_bids", "application"], &[]);
    assert_eq!((lost.code, activated(&lost)), (Some(0), vec!["application"]), "{}", lost.stderr);

    // Criteo announces more objects than it sends.
    let bench = activating(Options::default());
    let fault = json!({"match": {"path": "/ads"}, "times": null, "do": {"mutate": {"/metadata": {"totalItems": 500}}}});
    bench.sandbox.add_fault(fault).unwrap();
    let short = tap_streams(&bench, &["ads"], &[]);
    assert!(short.stderr.contains("Criteo announced 500 objects"), "{}", short.stderr);
    assert!(activated(&short).is_empty());

    // All of a few parents return 404.
    let bench = activating(Options { advertisers: 1, campaigns: 1, ad_sets: 2, ..Options::default() });
    let fault = json!({"match": {"path": "/category-bids"}, "times": null, "do": {"status": 404, "body": "{}"}});
    bench.sandbox.add_fault(fault).unwrap();
    let gone = tap_streams(&bench, &["ad_set_category_bids"], &[]);
    assert_eq!((gone.code, activated(&gone).len()), (Some(0), 0), "{}", gone.stderr);
}

#[test]
fn no_version_is_activated_if_fewer_advertisers_are_read() {
    let bench = activating(Options::default());
    let first = tap_streams(&bench, &["ad_sets"], &[]);
    assert_eq!(activated(&first), ["ad_sets"]);
    bench.file("state.json", first.last_state());
    bench.sandbox.change(|options| options.without_consent = vec!["1003".to_owned()]);
    for _ in 0..2 {
        let fewer = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
        assert_eq!((fewer.code, activated(&fewer).len()), (Some(0), 0));
        assert!(fewer.stderr.contains("WARNING ad_sets: Not sending ACTIVATE_VERSION"), "{}", fewer.stderr);
        bench.file("state.json", fewer.last_state());
    }
    bench.sandbox.change(|options| options.without_consent.clear());
    let again = tap(&bench, &["--catalog", "catalog.json", "--state", "state.json"]);
    assert_eq!(activated(&again), ["ad_sets"]);
}
