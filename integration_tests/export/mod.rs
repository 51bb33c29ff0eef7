//! `export`: the folder holds the truth after every run, whatever happened to the runs before.

mod disk;
mod folder;
mod kills;
mod links;
mod missing;
mod pipe;
mod retail_media;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::Days;
use criteo_sandbox::Options;
use serde_json::{Map, Value, json};

use crate::harness::{Bench, wait_until};
use crate::streams::truth_of;
use crate::truth::{ByKey, by_key};

const REPORTS: [&str; 5] = [
    "campaign_statistics_daily",
    "ad_set_statistics_hourly",
    "ad_statistics_daily",
    "transactions",
    "mpo_campaign_statistics",
];
const OBJECTS: [&str; 3] = ["campaigns", "ads", "ad_sets"];

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn export(bench: &Bench, streams: &[&str], more: &[&str]) -> Run {
    let format: &[&str] = if more.contains(&"--format") { &[] } else { &["--format", "jsonl"] };
    plain_export(bench, &[&["--streams", &streams.join(",")], more, format].concat())
}

/// An export with these options only.
fn plain_export(bench: &Bench, more: &[&str]) -> Run {
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    let output = program.args(["export", "out", "--config", "config.json"]).args(more).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let secret = bench.config["client_secret"].as_str().unwrap();
    assert!(!stderr.contains(secret) && !stdout.contains(secret));
    Run { code: output.status.code(), stdout, stderr }
}

/// Moves the clocks of sandbox and program.
fn let_days_pass(bench: &mut Bench, days: u64) {
    let later = bench.today() + Days::new(days);
    bench.sandbox.change(|options| options.today = later);
    bench.config["now"] = json!(format!("{later}T12:00:00Z"));
}

/// The files of a stream, by name.
fn files(bench: &Bench, stream: &str) -> BTreeMap<String, PathBuf> {
    let root = bench.directory.join("out");
    let single = root.join(format!("{stream}.jsonl"));
    let folder = std::fs::read_dir(root.join(stream)).into_iter().flatten().map(|entry| entry.unwrap().path());
    let all = folder.chain(single.exists().then_some(single));
    all.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path)).collect()
}

fn rows(bench: &Bench, stream: &str) -> Vec<Map<String, Value>> {
    let texts = files(bench, stream).into_values().map(|path| std::fs::read_to_string(path).unwrap());
    let texts: Vec<_> = texts.collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rows as a file has them: without null values, numbers with nine decimals, JSON members as JSON.
fn comparable(rows: &[Map<String, Value>], stream: &Value) -> ByKey {
    let plain = rows.iter().map(|row| {
        let value = |name: &String, value: &Value| match value {
            Value::Number(number) => json!(format!("{:.9}", number.as_f64().unwrap())),
            Value::String(text) => {
                let kinds = stream["json_schema"]["properties"][name]["type"].to_string();
                let is_json = kinds.contains("object") || kinds.contains("array");
                if is_json { serde_json::from_str(text).unwrap() } else { value.clone() }
            }
            other => other.clone(),
        };
        let members = row.iter().filter(|(_, value)| !value.is_null());
        members.map(|(name, of)| (name.clone(), value(name, of))).collect::<Map<_, _>>()
    });
    let plain: Vec<_> = plain.collect();
    let by_key = by_key(&plain, stream);
    assert_eq!(by_key.len(), plain.len(), "a key is there twice");
    by_key
}

#[track_caller]
fn assert_truth(bench: &Bench, streams: &[&str]) {
    let discovered = bench.discover();
    for name in streams {
        let stream = &discovered[*name];
        let truth = truth_of(bench, name, stream);
        assert!(!truth.is_empty(), "{name}");
        assert_eq!(comparable(&rows(bench, name), stream), comparable(&truth, stream), "{name}");
    }
}

#[test]
fn a_later_export_merges_what_it_reads_again() {
    let mut bench = Bench::new(Options { ads: 2, ..Options::default() }, 70);
    let streams = [&REPORTS[..], &OBJECTS].concat();
    let first = export(&bench, &streams, &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_truth(&bench, &streams);
    let campaign = files(&bench, "campaign_statistics_daily");
    assert_eq!(
        campaign.keys().collect::<Vec<_>>(),
        ["2026-08.jsonl", "2026-09.jsonl", "2026-10.jsonl", "2026-11.jsonl"]
    );
    let old = std::fs::metadata(&campaign["2026-08.jsonl"]).unwrap().modified().unwrap();

    let_days_pass(&mut bench, 12);
    let gone = rows(&bench, "ads")[0]["id"].as_str().unwrap().to_owned();
    bench.sandbox.change(|options| options.deleted_ids.push(gone.clone()));
    let second = export(&bench, &streams, &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_truth(&bench, &streams);
    assert!(rows(&bench, "ads").iter().all(|row| row["id"] != gone), "a deleted object is still there");
    let new = std::fs::metadata(&campaign["2026-08.jsonl"]).unwrap().modified().unwrap();
    assert_eq!(old, new, "a month that was not read again was written again");
}

#[test]
fn a_narrow_export_leaves_other_days_and_advertisers_alone() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 70);
    assert_eq!(export(&bench, &REPORTS[..1], &[]).code, Some(0));
    bench.config["advertiser_ids"] = json!(["1002"]);
    let narrow = export(&bench, &REPORTS[..1], &["--since", "2026-09-10", "--until", "2026-09-12"]);
    assert_eq!(narrow.code, Some(0), "{}", narrow.stderr);
    bench.config["advertiser_ids"] = json!([]);
    assert_truth(&bench, &REPORTS[..1]);
}

#[test]
fn a_day_read_in_parts_is_replaced_whole_or_not_at_all() {
    let mut bench = Bench::new(Options { row_cap: 40, ad_sets: 6, ads: 8, advertisers: 1, ..Options::default() }, 3);
    let stream = ["ad_statistics_daily"];
    let first = export(&bench, &stream, &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_truth(&bench, &stream);
    let before = comparable(&rows(&bench, stream[0]), &bench.discover()[stream[0]]);

    let_days_pass(&mut bench, 1);
    // The part with one of the ad sets fails for good.
    let ad_set = rows(&bench, stream[0])[0]["ad_set_id"].clone();
    let of_one = json!({"match": {"text": ad_set}, "do": {"status": 500}, "times": null});
    bench.sandbox.add_fault(of_one).unwrap();
    let broken = export(&bench, &stream, &[]);
    assert_eq!(broken.code, Some(1), "{}", broken.stderr);
    let discovered = bench.discover();
    let after = comparable(&rows(&bench, stream[0]), &discovered[stream[0]]);
    for key in before.keys() {
        assert!(after.contains_key(key), "the row {key} has disappeared");
    }
    bench.sandbox.clear_faults();
    let whole = export(&bench, &stream, &[]);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    assert_truth(&bench, &stream);
}

/// A 403 that Criteo documents for an advertiser or ad sets without a campaign.
fn no_campaign(text: &Value) -> Value {
    let body =
        json!({"errors": [{"type": "access-control", "code": "no-campaign-found", "title": "No campaign found"}]});
    json!({"match": {"path": "statistics/report", "text": text}, "do": {"status": 403, "body": body.to_string()},
        "times": null})
}

#[test]
fn a_part_without_a_campaign_does_not_cost_the_other_parts() {
    let options = Options { row_cap: 40, ad_sets: 6, ads: 8, advertisers: 1, ..Options::default() };
    let mut bench = Bench::new(options, 2);
    bench.config["verify_totals"] = json!(false);
    let stream = ["ad_statistics_daily"];
    assert_eq!(export(&bench, &stream, &[]).code, Some(0));
    let before = rows(&bench, stream[0]);
    for ad_set in before.iter().map(|row| row["ad_set_id"].clone()).collect::<std::collections::HashSet<_>>() {
        bench.sandbox.add_fault(no_campaign(&ad_set)).unwrap();
        let run = export(&bench, &stream, &["--reset"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        bench.sandbox.clear_faults();
        let days = |rows: &[Map<String, Value>]| {
            rows.iter().map(|row| row["day"].to_string()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(days(&rows(&bench, stream[0])), days(&before), "days without {ad_set}");
    }
}

#[test]
fn days_that_become_empty_disappear() {
    let mut bench = Bench::new(Options { ads: 1, advertisers: 2, ..Options::default() }, 10);
    bench.config["verify_totals"] = json!(false);
    assert_eq!(export(&bench, &REPORTS[..1], &[]).code, Some(0));
    // A run that was killed in the middle of removing a month.
    std::fs::remove_file(bench.directory.join("out/.source-criteo/tables/campaign_statistics_daily/2026-10.parquet"))
        .unwrap();
    let advertiser = rows(&bench, REPORTS[0])[0]["advertiser_id"].clone();
    bench.sandbox.add_fault(no_campaign(&json!("advertiserIds"))).unwrap();
    let run = export(&bench, &REPORTS[..1], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(rows(&bench, REPORTS[0]).is_empty(), "{:?}", files(&bench, REPORTS[0]));
    bench.sandbox.clear_faults();
    bench.sandbox.add_fault(no_campaign(&advertiser)).unwrap();
    assert_eq!(export(&bench, &REPORTS[..1], &["--reset"]).code, Some(0));
    let rows = rows(&bench, REPORTS[0]);
    assert!(!rows.is_empty() && rows.iter().all(|row| row["advertiser_id"] != advertiser));
}

#[test]
fn objects_of_advertisers_that_are_not_read_stay() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    assert_eq!(export(&bench, &OBJECTS, &[]).code, Some(0));
    bench.config["advertiser_ids"] = json!(["1001"]);
    let gone = rows(&bench, "ads").into_iter().find(|row| row["advertiser_id"] == "1001").unwrap();
    bench.sandbox.change(|options| options.deleted_ids.push(gone["id"].as_str().unwrap().to_owned()));
    let narrow = export(&bench, &OBJECTS, &[]);
    assert_eq!(narrow.code, Some(0), "{}", narrow.stderr);
    assert_truth(&bench, &OBJECTS);
    // Objects by country: those of countries that are not read stay, too.
    let countries = ["in_market_brands"];
    bench.config["advertiser_ids"] = json!([]);
    bench.config["countries"] = json!(["FR", "DE"]);
    assert_eq!(export(&bench, &countries, &[]).code, Some(0));
    let all = rows(&bench, countries[0]).len();
    bench.config["countries"] = json!(["FR"]);
    assert_eq!(export(&bench, &countries, &[]).code, Some(0));
    assert_eq!(rows(&bench, countries[0]).len(), all);
}

#[test]
fn a_reset_removes_nothing_but_the_files_of_its_streams() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    assert_eq!(export(&bench, &["campaigns", "ads"], &["--format", "parquet"]).code, Some(0));
    let foreign = bench.directory.join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("x.parquet"), "mine").unwrap();
    for streams in [".", "../foreign", foreign.to_str().unwrap()] {
        let run = export(&bench, &[streams], &["--format", "parquet", "--reset"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
    }
    assert!(foreign.join("x.parquet").exists() && bench.directory.join("out/campaigns.parquet").exists());
    std::fs::write(bench.directory.join("out/ads.parquet"), "mine").unwrap();
    let run = export(&bench, &["ads"], &["--format", "parquet", "--reset"]);
    assert!(run.code == Some(1) && run.stderr.contains("ads.parquet"), "{}", run.stderr);
    assert!(bench.directory.join("out/ads.parquet").exists());
}

#[test]
fn copies_of_files_are_refused_and_damaged_files_can_be_reset() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let streams = ["campaigns", "campaign_statistics_daily"];
    assert_eq!(export(&bench, &streams, &["--format", "parquet"]).code, Some(0));
    let out = bench.directory.join("out");
    let month = std::fs::read_dir(out.join(streams[1])).unwrap().next().unwrap().unwrap().path();
    let copies = [
        month.with_file_name("2026-10 (copy).parquet"),
        out.join("campaigns (1).parquet"),
        out.join("mine/2026-10.parquet"),
        out.join("ads/2026-10.parquet"),
    ];
    for copy in copies {
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&month, &copy).unwrap();
        let run = export(&bench, &streams, &["--format", "parquet"]);
        let name = copy.file_name().unwrap().to_str().unwrap();
        assert!(run.code == Some(1) && run.stderr.contains(name), "{}", run.stderr);
        std::fs::remove_file(&copy).unwrap();
    }
    let whole = std::fs::read(&month).unwrap();
    for damaged in [&whole[..whole.len() / 2], &[], &[0; 100]] {
        std::fs::write(&month, damaged).unwrap();
        let run = export(&bench, &streams[1..], &["--format", "parquet", "--reset"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(std::fs::read(&month).unwrap() == whole, "the file is as before");
    }
}

#[test]
fn a_reset_starts_again_where_the_key_has_changed() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 20);
    let report = |dimensions: &[&str]| json!([{"name": "mine", "dimensions": dimensions, "metrics": ["Clicks"]}]);
    bench.config["custom_reports"] = report(&["CampaignId", "Day"]);
    assert_eq!(export(&bench, &["custom_mine"], &[]).code, Some(0));
    let before = rows(&bench, "custom_mine").len();
    bench.config["custom_reports"] = report(&["AdvertiserId", "Day"]);
    let refused = export(&bench, &["custom_mine"], &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert_eq!(rows(&bench, "custom_mine").len(), before);
    let reset = export(&bench, &["custom_mine"], &["--reset"]);
    assert_eq!(reset.code, Some(0), "{}", reset.stderr);
    assert!(rows(&bench, "custom_mine").iter().all(|row| !row.contains_key("campaign_id")));
}

#[test]
fn a_file_of_another_program_is_not_replaced() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    assert_eq!(export(&bench, &["campaigns", "ads"], &["--format", "parquet"]).code, Some(0));
    let file = bench.directory.join("out/ads.parquet");
    std::fs::write(&file, "mine").unwrap();
    let run = export(&bench, &["campaigns", "ads"], &["--format", "parquet"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("ads.parquet"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    // It stays so, while other streams are exported.
    let again = export(&bench, &["campaigns", "ads"], &["--format", "parquet"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("campaigns: "), "{}", again.stderr);
    // Nothing was lost: without that file, the rows that were read are merged.
    std::fs::remove_file(&file).unwrap();
    let next = export(&bench, &["campaigns"], &["--format", "parquet"]);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    assert!(file.exists());
}

#[test]
fn a_folder_that_does_not_fit_is_refused_before_anything_is_written() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let out = bench.directory.join("out");
    let refused = |bench: &Bench, more: &[&str], words: &str| {
        let before = listing(&out);
        let run = export(bench, &REPORTS[..1], more);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        assert_eq!(listing(&out), before);
    };
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("budget.xlsx"), "mine").unwrap();
    refused(&bench, &[], "files that are not from an export, such as budget.xlsx");
    std::fs::remove_dir_all(&out).unwrap();
    std::fs::write(&out, "a file").unwrap();
    refused(&bench, &[], "is not a folder");
    std::fs::remove_file(&out).unwrap();

    assert_eq!(export(&bench, &REPORTS[..1], &[]).code, Some(0));
    refused(&bench, &["--format", "csv"], "with the format jsonl, and this run has csv");
    bench.config["currency"] = json!("USD");
    refused(&bench, &[], "with the currency EUR, and this run has USD");
    bench.config["currency"] = json!("EUR");
    bench.config["timezone"] = json!("Europe/Paris");
    refused(&bench, &[], "with the time zone UTC, and this run has Europe/Paris");
    bench.config["timezone"] = json!("UTC");
    let manifest = out.join(".source-criteo/export.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"version\":1", "\"version\":2")).unwrap();
    refused(&bench, &[], "written by a newer version");
    std::fs::write(&manifest, &text).unwrap();
    assert_eq!(export(&bench, &REPORTS[..1], &[]).code, Some(0));
}

/// All files with their content.
fn listing(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    if path.is_file() {
        found.insert(path.to_owned(), std::fs::read(path).unwrap());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        found.extend(listing(&entry.unwrap().path()));
    }
    found
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let bench = Bench::new(Options { latency: Duration::from_millis(400), ..Options::default() }, 30);
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    program.args(["export", "out", "--config", "config.json", "--streams", "campaigns,ads,campaign_statistics_daily"]);
    let mut first = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| bench.directory.join("out/.source-criteo/export.json").exists());
    let second = export(&bench, &["campaigns"], &["--format", "parquet"]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("Another run is exporting to out."), "{}", second.stderr);
    assert!(first.wait().unwrap().success());
}
