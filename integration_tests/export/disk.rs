//! Exports to a disk that fills up, and to folders that cannot be written.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use criteo_sandbox::Options;
use serde_json::json;

use super::{assert_truth, let_days_pass};
use crate::harness::Bench;

const STREAMS: [&str; 4] = ["campaign_statistics_daily", "ad_statistics_daily", "transactions", "ads"];
/// KiB per block of a small disk.
const BLOCK: u32 = 4;

/// The run on a small disk, then the undisturbed one.
struct Runs {
    code: i32,
    stderr: String,
    last: i32,
    last_stderr: String,
}

/// Copies `out` to a disk of its own, exports there after `trouble`, repairs the disk and exports again.
fn exports_on_a_disk(bench: &Bench, trouble: &str, repair: &str) -> Runs {
    bench.file("config.json", &bench.config);
    for folder in ["disk", "out"] {
        std::fs::create_dir_all(bench.directory.join(folder)).unwrap();
    }
    let script = format!(
        "mount -t tmpfs -o size=64m none disk && cp -a out disk/ && used=$(df --output=used disk | tail -1) || exit 9
        {{ {trouble}; }} || exit 9
        \"$@\" >1.txt 2>&1; echo $? >1.code
        {{ {repair}; }} || exit 9
        \"$@\" >2.txt 2>&1; echo $? >2.code
        rm -rf out && cp -a disk/out . || exit 9"
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(bench.program().get_program());
    command.args(["export", "disk/out", "--config", "config.json", "--format", "jsonl", "--streams"]);
    command.arg(STREAMS.join(",")).current_dir(&bench.directory);
    assert_eq!(command.status().unwrap().code(), Some(0));
    let text = |name: &str| std::fs::read_to_string(bench.directory.join(name)).unwrap();
    let code = |name: &str| text(name).trim().parse().unwrap();
    Runs { code: code("1.code"), stderr: text("1.txt"), last: code("2.code"), last_stderr: text("2.txt") }
}

fn bench() -> Bench {
    let mut bench = Bench::new(Options { row_cap: 150, ads: 2, advertisers: 2, ..Options::default() }, 40);
    bench.config["verify_totals"] = json!(false);
    bench
}

/// A first run and a later one that each find this many free blocks; returns whether one of them failed.
fn fill(blocks: u32) -> bool {
    let mut bench = bench();
    let mut has_failed = false;
    for run in ["first", "later"] {
        let free = blocks * BLOCK;
        let runs = exports_on_a_disk(
            &bench,
            &format!("mount -o remount,size=$((used + {free} + 4))k disk"),
            "mount -o remount,size=64m disk",
        );
        assert!([0, 1].contains(&runs.code), "{run}, {blocks}: {}", runs.stderr);
        if runs.code == 1 {
            has_failed = true;
            let errors: BTreeSet<_> = runs.stderr.lines().filter(|line| line.contains("No space left")).collect();
            assert!(errors.iter().any(|line| line.contains("disk/out")), "{run}, {blocks}: {}", runs.stderr);
            let is_error = |line: &&str| line.contains("ERROR") || line.starts_with("Cannot");
            println!("{run}, {blocks}: {errors:?}");
            // At most one for each table that was merged, and for the run.
            assert!(runs.stderr.lines().filter(is_error).count() <= STREAMS.len() + 2, "{}", runs.stderr);
        }
        assert_eq!(runs.last, 0, "{run}, {blocks}: {}", runs.last_stderr);
        assert_truth(&bench, &STREAMS);
        assert_no_leftovers(&bench);
        let_days_pass(&mut bench, 9);
    }
    has_failed
}

/// Nothing but tables and states is left.
fn assert_no_leftovers(bench: &Bench) {
    let hidden = bench.directory.join("out/.source-criteo");
    assert_eq!(std::fs::read_dir(hidden.join("staged")).unwrap().count(), 0);
    let names: BTreeSet<_> =
        std::fs::read_dir(&hidden).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["export.json", "files.json", "lock", "staged", "state.json", "tables"].map(str::to_owned))
    );
}

#[test]
fn a_full_disk_loses_nothing() {
    for blocks in [0, 12, 60] {
        assert!(fill(blocks), "{blocks} blocks are enough");
    }
}

/// `FULL_DISKS` sizes, from none to the most.
#[test]
#[ignore = "slow: scripts/test runs it"]
fn disks_of_many_sizes_lose_nothing() {
    const MOST: u32 = 160;
    let sizes: u32 = std::env::var("FULL_DISKS").map_or(20, |sizes| sizes.parse().unwrap());
    let failed = (0..sizes).filter(|size| fill(size * MOST / sizes)).count();
    println!("{failed} of {sizes} disks were full");
    assert!(failed > 0);
}

#[test]
fn a_read_only_folder_is_reported_before_anything_is_read() {
    let mut bench = bench();
    for _ in 0..2 {
        let runs = exports_on_a_disk(&bench, "mount -o remount,ro disk", "mount -o remount,rw disk");
        assert_eq!((runs.code, runs.stderr.matches("Cannot export to disk/out: ").count()), (1, 1), "{}", runs.stderr);
        assert!(runs.stderr.contains("Read-only file system"), "{}", runs.stderr);
        assert_eq!(runs.last, 0, "{}", runs.last_stderr);
        assert_truth(&bench, &STREAMS);
        let_days_pass(&mut bench, 9);
    }
}

#[test]
fn a_read_only_table_does_not_stop_the_others() {
    let mut bench = bench();
    assert_eq!(exports_on_a_disk(&bench, "true", "true").last, 0);
    let_days_pass(&mut bench, 9);
    let table = PathBuf::from("disk/out/.source-criteo/tables/campaign_statistics_daily");
    let table = table.display();
    let runs = exports_on_a_disk(
        &bench,
        &format!("mount --bind {table} {table} && mount -o remount,ro,bind {table}"),
        &format!("umount {table}"),
    );
    assert_eq!(runs.code, 1, "{}", runs.stderr);
    let merged = |name: &str| !runs.stderr.lines().any(|line| line.contains("ERROR") && line.contains(name));
    assert!(!merged("campaign_statistics_daily") && merged("ad_statistics_daily"), "{}", runs.stderr);
    assert!(runs.stderr.contains("campaign_statistics_daily/2026-"), "{}", runs.stderr);
    assert_eq!(runs.last, 0, "{}", runs.last_stderr);
    assert_truth(&bench, &STREAMS);
    assert_no_leftovers(&bench);
}
