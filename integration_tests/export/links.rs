//! Links in a folder: an export writes only within it.

use std::os::unix::fs::symlink;

use criteo_sandbox::Options;

use super::{export, listing};
use crate::harness::Bench;

#[test]
fn links_in_a_folder_are_refused_before_anything_is_written() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let streams = ["campaigns", "campaign_statistics_daily"];
    let run = || export(&bench, &streams, &["--format", "parquet"]);
    assert_eq!(run().code, Some(0));
    let (out, elsewhere) = (bench.directory.join("out"), bench.directory.join("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    for name in ["campaigns.parquet", "campaign_statistics_daily", ".source-criteo/state.json", ".source-criteo/staged"]
    {
        let (there, moved) = (out.join(name), elsewhere.join("moved"));
        std::fs::rename(&there, &moved).unwrap();
        for target in [&moved, &elsewhere.join("nothing")] {
            symlink(target, &there).unwrap();
            let (before, requests) = (listing(&bench.directory), bench.sandbox.requests().len());
            let refused = run();
            assert_eq!(refused.code, Some(1), "{}", refused.stderr);
            assert!(refused.stderr.contains(&format!("out/{name} is a link")), "{}", refused.stderr);
            assert_eq!(listing(&bench.directory), before);
            assert_eq!(bench.sandbox.requests().len(), requests);
            std::fs::remove_file(&there).unwrap();
        }
        std::fs::rename(&moved, &there).unwrap();
    }
    // A file that is written before it takes the place of another.
    let precious = elsewhere.join("precious");
    std::fs::write(&precious, "mine").unwrap();
    symlink(&precious, out.join(".source-criteo/new")).unwrap();
    let refused = run();
    assert!(refused.code == Some(1) && refused.stderr.contains(".source-criteo/new is a link"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    std::fs::remove_file(out.join(".source-criteo/new")).unwrap();
    assert_eq!(run().code, Some(0));
}

#[test]
fn the_folder_itself_may_be_a_link() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let target = bench.directory.join("target");
    symlink(&target, bench.directory.join("out")).unwrap();
    let missing = export(&bench, &["campaigns"], &[]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("out is a link to a folder that does not exist"), "{}", missing.stderr);
    assert!(bench.sandbox.requests().is_empty() && !target.exists());
    std::fs::create_dir(&target).unwrap();
    let run = export(&bench, &["campaigns"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(target.join("campaigns.jsonl").exists());
}
