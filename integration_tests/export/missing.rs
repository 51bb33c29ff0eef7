//! Files that were deleted from a folder: the state claims their days, so they are read again.

use criteo_sandbox::Options;

use super::{assert_truth, export, let_days_pass, rows};
use crate::harness::Bench;
use crate::streams::truth_of;

const STREAMS: [&str; 3] = ["campaign_statistics_daily", "transactions", "log_level_events"];

/// The warnings about missing files.
fn warnings(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("are no longer in the folder")).collect()
}

#[test]
fn months_and_days_that_were_deleted_are_read_again() {
    let mut bench = Bench::new(Options { ads: 1, advertisers: 1, ..Options::default() }, 75);
    let deleted = [(STREAMS[0], "2026-09"), (STREAMS[1], "2026-09"), (STREAMS[2], "2026-10-20")];
    let first = export(&bench, &STREAMS, &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let log_files = rows(&bench, STREAMS[2]);
    let_days_pass(&mut bench, 1);
    let tables = bench.directory.join("out/.source-criteo/tables");
    let august = tables.join(STREAMS[0]).join("2026-08.parquet");
    let before = std::fs::metadata(&august).unwrap().modified().unwrap();
    for (stream, file) in deleted {
        std::fs::remove_file(tables.join(stream).join(format!("{file}.parquet"))).unwrap();
    }
    // A run of another stream names them; theirs reads them.
    let other = export(&bench, &["campaigns"], &[]);
    let named = warnings(&other.stderr);
    assert_eq!((other.code, named.len()), (Some(0), deleted.len()), "{}", other.stderr);
    let second = export(&bench, &STREAMS, &[]);
    assert_eq!((second.code, warnings(&second.stderr).len()), (Some(0), 0), "{}", second.stderr);
    for (stream, file) in deleted {
        let words = format!("{stream} are no longer in the folder: {file}. ");
        assert!(named.iter().any(|line| line.contains(&words)), "{words}: {named:?}");
        assert!(tables.join(stream).join(format!("{file}.parquet")).exists());
    }
    // It says what it has read: the month that is gone, and the lookback.
    let read = second.stderr.lines().find(|line| line.contains(STREAMS[0]) && line.contains("in the table")).unwrap();
    assert!(read.contains("read 2026-09-01 to 2026-09-30 and 2026-10-02 to 2026-11-02"), "{read}");
    assert!(!second.stderr.contains("no rows on 2026-10"), "{}", second.stderr);
    assert_truth(&bench, &STREAMS[..2]);
    let now = rows(&bench, STREAMS[2]);
    assert!(log_files.iter().all(|row| now.contains(row)));
    // Only the month that is gone was read again.
    assert_eq!(std::fs::metadata(&august).unwrap().modified().unwrap(), before);
    let third = export(&bench, &STREAMS, &[]);
    assert_eq!((third.code, warnings(&third.stderr).len()), (Some(0), 0), "{}", third.stderr);
}

#[test]
fn files_that_are_written_again_are_named() {
    for (format, file) in [("csv", "campaign_statistics_daily/2026-09.csv"), ("xlsx", "criteo.xlsx")] {
        let bench = Bench::new(Options { ads: 1, ..Options::default() }, 60);
        let run = || export(&bench, &STREAMS[..1], &["--format", format]);
        let words = format!("These files were missing and are written again from the rows of earlier runs: {file}.");
        for _ in 0..2 {
            let kept = run();
            assert!(kept.code == Some(0) && !kept.stdout.contains("were missing"), "{}", kept.stdout);
        }
        std::fs::remove_file(bench.directory.join("out").join(file)).unwrap();
        let restored = run();
        assert!(restored.code == Some(0) && restored.stdout.contains(&words), "{format}: {}", restored.stdout);
        assert!(bench.directory.join("out").join(file).exists());
    }
}

#[test]
fn a_folder_that_was_emptied_is_filled_again() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 100);
    let streams = ["campaign_statistics_daily", "ads"];
    let run = |bench: &Bench| export(bench, &streams, &["--format", "parquet"]);
    let first = run(&bench);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let_days_pass(&mut bench, 3);
    let empty = || {
        for entry in std::fs::read_dir(bench.directory.join("out")).unwrap().map(Result::unwrap) {
            match entry.file_name().to_string_lossy().starts_with('.') {
                true => {}
                false if entry.path().is_dir() => std::fs::remove_dir_all(entry.path()).unwrap(),
                false => std::fs::remove_file(entry.path()).unwrap(),
            }
        }
    };
    // A run of other streams names them, and forgets nothing.
    empty();
    let others = export(&bench, &streams[1..], &["--format", "parquet"]);
    assert_eq!(others.code, Some(0), "{}", others.stderr);
    let [warning] = warnings(&others.stderr)[..] else { panic!("{}", others.stderr) };
    let second = run(&bench);
    assert_eq!((second.code, warnings(&second.stderr).len()), (Some(0), 0), "{}", second.stderr);
    assert!(warning.contains("2026-07, 2026-08, 2026-09, 2026-10"), "{warning}");
    // The first month is read from the first day of the first run.
    let state = std::fs::read_to_string(bench.directory.join("out/.source-criteo/state.json")).unwrap();
    assert!(!state.contains("2026-07-01") && !second.stderr.contains("stay missing"), "{state} {}", second.stderr);
    let discovered = bench.discover();
    for stream in streams {
        let truth = truth_of(&bench, stream, &discovered[stream]).len();
        assert!(second.stderr.contains(&format!("{stream}: {truth} rows in the table")), "{truth}: {}", second.stderr);
    }
}

/// Outside of the lookback, where no run reads it.
#[test]
fn a_damaged_month_is_named_and_stops_nothing_else() {
    for (format, tables) in
        [("parquet", "out"), ("csv", "out/.source-criteo/tables"), ("xlsx", "out/.source-criteo/tables")]
    {
        let bench = Bench::new(Options { ads: 1, advertisers: 1, ..Options::default() }, 75);
        let streams = ["campaign_statistics_daily", "mpo_campaign_statistics", "ads"];
        let run = || export(&bench, &streams, &["--format", format]);
        assert_eq!(run().code, Some(0));
        let month = bench.directory.join(tables).join(streams[0]).join("2026-08.parquet");
        let whole = std::fs::read(&month).unwrap();
        std::fs::write(&month, &whole[..whole.len() / 2]).unwrap();
        let damaged = run();
        assert_eq!(damaged.code, Some(1), "{}", damaged.stderr);
        let errors: Vec<_> = damaged.stderr.lines().filter(|line| line.starts_with("ERROR")).collect();
        assert!(
            errors[0].contains("2026-08.parquet is damaged") && errors[0].contains("Delete it and run"),
            "{errors:?}"
        );
        assert_eq!(errors.len(), 1 + usize::from(format == "xlsx"), "{errors:?}");
        assert!(!damaged.stderr.contains("cannot be written") && !damaged.stderr.contains("Cannot write"));
        for stream in &streams[1..] {
            assert!(damaged.stderr.contains(&format!("{stream}: ")), "{stream}: {}", damaged.stderr);
        }
        assert!(damaged.stdout.contains("DuckDB: ") || damaged.stdout.contains("Excel: "), "{}", damaged.stdout);
        std::fs::remove_file(&month).unwrap();
        let next = run();
        assert_eq!((next.code, warnings(&next.stderr).len()), (Some(0), 1), "{}", next.stderr);
        let truth = truth_of(&bench, streams[0], &bench.discover()[streams[0]]).len();
        assert!(next.stderr.contains(&format!("{}: {truth} rows in the table", streams[0])), "{}", next.stderr);
    }
}

#[test]
fn files_deleted_after_an_interrupted_run_are_read_again() {
    let mut bench = Bench::new(Options { ads: 1, advertisers: 2, ..Options::default() }, 100);
    let stream = ["campaign_statistics_daily"];
    assert_eq!(export(&bench, &stream, &[]).code, Some(0));
    let_days_pass(&mut bench, 1);
    // The rows of the next run stay staged.
    let folder = bench.directory.join("out/.source-criteo/tables/campaign_statistics_daily");
    std::fs::write(folder.join("2026-10.parquet"), "PAR1").unwrap();
    let broken = export(&bench, &stream, &[]);
    assert_eq!(broken.code, Some(1), "{}", broken.stderr);
    let before = rows(&bench, stream[0]).len();
    for month in ["2026-08", "2026-10"] {
        std::fs::remove_file(folder.join(format!("{month}.parquet"))).unwrap();
    }
    let next = export(&bench, &stream, &[]);
    assert_eq!((next.code, warnings(&next.stderr).len()), (Some(0), 1), "{}", next.stderr);
    assert!(rows(&bench, stream[0]).len() >= before);
    assert_truth(&bench, &stream);
}
