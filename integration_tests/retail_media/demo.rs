//! `demo --product retail_media`: every command of the demo, against a simulated retailer.

use serde_json::Value;

use crate::harness::Bench;
use crate::retail_media::{bench, options};

fn run(bench: &Bench, line: &str) -> String {
    let mut program = bench.program();
    program.env("CRITEO_CONFIG", "missing.json").args(["demo", "--product", "retail_media"]);
    let output = program.args(line.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tour_shows_budgets_a_sync_and_what_to_do_next() {
    let bench = bench(options());
    let shown = run(&bench, "");
    let parts = ["Budgets by campaign", "Brand account 1", "Auction campaign 1", "rm_line_items", "\nNext\n"];
    let places: Vec<_> =
        parts.iter().map(|part| shown.find(part).unwrap_or_else(|| panic!("{part}: {shown}"))).collect();
    assert!(places.is_sorted() && !shown.contains('\u{1b}'), "{shown}");
    // The commands it suggests exist.
    let mut suggested = 0;
    for line in shown.lines().skip_while(|line| *line != "Next").filter(|line| line.contains("source-criteo ")) {
        let words = line.trim().split("  ").next().unwrap().split('|').next().unwrap();
        let help = bench.program().args(words.split_whitespace().skip(1)).arg("--help").output().unwrap();
        assert_eq!(help.status.code(), Some(0), "{line}");
        suggested += 1;
    }
    assert!(suggested >= 5, "{shown}");
}

#[test]
fn commands_of_the_demo_read_retail_media() {
    let bench = bench(options());
    let records = |text: &str, name: &str| {
        let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.filter(|message| message["record"]["stream"] == name).count()
    };
    assert_eq!(records(&run(&bench, "read --streams rm_campaigns"), "rm_campaigns"), 12);
    assert!(records(&run(&bench, "read --streams rm_catalog_products"), "rm_catalog_products") > 20);
    assert!(run(&bench, "check --exit-code").contains("SUCCEEDED"));
    assert!(run(&bench, "discover").contains("rm_partner_billing"));
    assert!(run(&bench, "streams --format csv").contains("rm_catalog_products"));
    assert!(run(&bench, "explain rm_line_items").contains("rm_line_items"));
    // What another product's reports have is not explained as this one's.
    let mut explain = bench.program();
    let output = explain.args(["demo", "explain", "roas", "--product", "retail_media"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("but Marketing Solutions has"), "{said}");
    let explained = run(&bench, "explain");
    assert!(!explained.contains("Metrics") && explained.contains("rm_balances"), "{explained}");
    for line in ["streams --format csv", "explain budget", "read --streams rm_campaigns --dry-run"] {
        let mut program = bench.program();
        let after = program.arg("demo").args(line.split(' ')).args(["--product", "retail_media"]).output().unwrap();
        assert_eq!(after.status.code(), Some(0), "{line}");
        let steady = |text: &str| text.lines().filter(|line| !line.contains("emitted_at")).count();
        assert_eq!(steady(&String::from_utf8(after.stdout).unwrap()), steady(&run(&bench, line)), "{line}");
    }
    assert_eq!(run(&bench, "preview rm_campaigns --rows 2 --columns id,name --format csv").lines().count(), 3);
    assert!(!run(&bench, "report").contains("RECORD"));
    let page = std::fs::read_to_string(bench.directory.join("report.html")).unwrap();
    assert!(page.contains("rm_campaigns"), "{page}");
    #[cfg(feature = "files")]
    {
        let mut program = bench.program();
        let words = ["demo", "export", "--format", "csv", "--product", "retail_media"];
        assert_eq!(program.args(words).output().unwrap().status.code(), Some(0));
        let campaigns =
            std::fs::read_to_string(bench.directory.join("criteo-demo-retail-media/rm_campaigns.csv")).unwrap();
        assert_eq!(campaigns.lines().count(), 13);
        assert!(!bench.directory.join("criteo-demo-retail-media/rm_keywords.csv").exists());
    }
}
