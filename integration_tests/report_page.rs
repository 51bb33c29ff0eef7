//! `--report`: the numbers on the page are the truth, what is missing shows as such, and nothing on it is markup or a secret.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::NaiveDate;
use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::{Bench, Transcript};
use crate::holes::{OF_DATA, OF_TOTALS, fault, rises};
use crate::streams::{assert_report, preset};

const REPORT: &str = "campaign_statistics_daily";

/// Reads with a page, and returns both.
fn read(bench: &Bench, streams: &str, more: &[&str]) -> (Transcript, String) {
    bench.file("config.json", &bench.config);
    let arguments = ["read", "--config", "config.json", "--streams", streams, "--report", "page.html"];
    let transcript = bench.run(&[&arguments[..], more].concat());
    (transcript, page(bench))
}

fn page(bench: &Bench) -> String {
    std::fs::read_to_string(bench.directory.join("page.html")).unwrap()
}

/// A number of a row in billionths, from its digits: a double has too few.
fn billionths(row: &str, column: &str) -> i128 {
    let (_, value) = row.split_once(&format!("\"{column}\":")).unwrap();
    let text = value.split([',', '}']).next().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(!text.contains('e') && fraction.len() <= 9, "{text}");
    format!("{whole}{fraction:0<9}").parse().unwrap()
}

/// As the page shows a number.
fn shown(billionths: i128, decimals: u32) -> String {
    let unit = 10_i128.pow(9 - decimals);
    let rounded = (billionths + unit / 2) / unit;
    let one = 10_i128.pow(decimals);
    let whole = (rounded / one).to_string();
    let groups: Vec<_> = whole.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    let fraction = format!("{:0width$}", rounded % one, width = decimals as usize);
    if decimals == 0 { groups.join(",") } else { format!("{}.{fraction}", groups.join(",")) }
}

/// Sums of cost, clicks and revenue by the value of a column.
fn sums<'a>(rows: impl Iterator<Item = &'a str>, by: &str) -> BTreeMap<String, [i128; 3]> {
    let mut sums: BTreeMap<String, [i128; 3]> = BTreeMap::new();
    for row in rows {
        let parsed: Value = serde_json::from_str(row).unwrap();
        let data = if parsed["record"].is_null() { &parsed } else { &parsed["record"]["data"] };
        let sum = sums.entry(data[by].as_str().unwrap().to_owned()).or_default();
        for (index, column) in ["advertiser_cost", "clicks", "revenue_generated_client_attribution"].iter().enumerate()
        {
            sum[index] += billionths(row, column);
        }
    }
    sums
}

/// The texts of the cells of the table row that begins with this text, without markup.
fn cells(page: &str, begins: &str) -> Vec<String> {
    let row = page.split("<tr>").find(|row| text(row).trim_start().starts_with(begins));
    let row = row.unwrap_or_else(|| panic!("no row {begins}")).split("</tr>").next().unwrap();
    row.split("<td").skip(1).map(|cell| text(cell.split_once('>').unwrap().1)).collect()
}

/// The text of some markup.
fn text(markup: &str) -> String {
    let text: String = markup.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    let characters = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    characters.iter().fold(text, |text, (escaped, plain)| text.replace(escaped, plain))
}

#[test]
fn the_numbers_on_the_page_are_the_truth() {
    let bench = Bench::new(Options::default(), 14);
    let (transcript, page) = read(&bench, &format!("{REPORT},ad_set_statistics_daily,advertisers"), &[]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert_report(&bench, &transcript, REPORT, &preset(REPORT));
    let of_report = format!("\"stream\":\"{REPORT}\",\"emitted_at\"");
    let truth = || transcript.stdout.lines().filter(|line| line.contains(&of_report));
    for (day, [cost, clicks, revenue]) in sums(truth(), "day") {
        let found = cells(&page, &day);
        assert_eq!(found[..3], [shown(cost, 2), shown(clicks, 0), shown(revenue, 2)], "{day}");
        // In hundredths, rounded.
        assert_eq!(found[3].replace('.', ""), format!("{:03}", (revenue * 100 + cost / 2) / cost), "{day}");
        assert!(page.contains(&format!("<title>{day}: {} EUR</title>", shown(cost, 2))), "{day}");
    }
    let total = sums(truth(), "currency")["EUR"];
    assert_eq!(
        cells(&page, "All campaigns")[..2],
        [shown(total[0], 2), shown(total[1], 0)],
        "two reports are added up"
    );
    let names = sums(truth(), "campaign_name").into_iter().filter(|(name, _)| name != "Same name");
    for (name, [cost, ..]) in names {
        assert_eq!(cells(&page, &name)[0], shown(cost, 2), "{name}");
    }
    let rows = transcript.records(REPORT).len();
    assert_eq!(cells(&page, REPORT)[1], rows.to_string());
    let proof = transcript.logs("INFO").iter().find_map(|log| {
        let (_, proof) = log.split_once("windows; ").or_else(|| log.split_once("s; "))?;
        let (count, _) = proof.split_once(" settled days agree with Criteo's totals")?;
        Some(count.to_owned())
    });
    let proof = proof.unwrap();
    let wanted = format!("{proof} settled days agree with Criteo's totals in 2 reports.");
    assert!(text(&page).contains(&wanted), "{wanted}");
    assert!(page.contains("Complete: 3 streams read in full"));
    assert_eq!(page.matches(": agrees</title>").count() % 12, 0, "a cell per settled day");
    assert!(page.contains("<title>Sun 2026-11-01: settling</title>") && !page.contains(": missing</title>"));
}

#[test]
fn a_day_that_differs_and_a_hole_show_as_such() {
    let bench = Bench::new(Options::default(), 60);
    let differing = json!({"path": "/statistics/", "text": OF_TOTALS, "window": "2026-09-02"});
    fault(&bench, differing, json!({"mutate": {"/Rows/0/Displays": "7777777"}}));
    let unreadable = json!({"path": "/statistics/", "covers": "2026-10-20", "text": OF_DATA});
    fault(&bench, unreadable, json!({"status": 500, "body": "{}"}));
    let (transcript, page) = read(&bench, REPORT, &[]);
    assert_eq!(transcript.code, Some(1));
    assert!(page.contains("Incomplete: 1 of 1 stream not read in full"));
    assert!(page.contains("<title>Tue 2026-10-20: missing</title>"));
    assert!(page.contains("<title>Wed 2026-09-02: differs (displays "), "the sums that differ are shown");
    assert!(text(&page.replace("<title>", "")).contains("Criteo's total 7777777)"));
    assert!(page.contains("1 day is missing.") && page.contains("<title>Mon 2026-10-19: agrees</title>"));
    // Errors are there in full.
    let error = transcript.errors()[0]["message"].as_str().unwrap().to_owned();
    let notes = text(page.split("id=\"notes\"").nth(1).unwrap());
    assert!(notes.contains(&error), "{error}\n{notes}");
}

#[test]
fn days_without_totals_are_not_comparable() {
    let bench = Bench::new(Options { advertisers: 1, ..Options::default() }, 14);
    fault(&bench, json!({"path": "/statistics/", "text": OF_TOTALS}), json!({"status": 500, "body": "{}"}));
    let (transcript, page) = read(&bench, REPORT, &[]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(page.contains("No day was compared with Criteo&#39;s totals."));
    assert!(page.contains("<title>Tue 2026-10-20: not comparable</title>") && !page.contains(": agrees</title>"));
}

#[test]
fn nothing_on_the_page_is_markup_or_a_secret() {
    let client_secret = "a\"b+c/d=e\\f <g>".to_owned();
    let options = Options { client_secret: client_secret.clone(), ..Options::default() };
    let mut bench = Bench::new(options, 5);
    bench.config["advertiser_ids"] = json!([1001, 1002]);
    let name = "</title></style><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;";
    let path = json!({"path": "/statistics/", "text": OF_DATA});
    fault(&bench, path, json!({"mutate": {"/Rows/0/Campaign": name, "/Rows/0/Advertiser": name}}));
    // Criteo quotes the secret in an error.
    let error = json!({"errors": [{"type": "validation", "code": "odd", "detail": format!("<b>{client_secret}</b>")}]});
    fault(&bench, json!({"path": "/campaigns/"}), json!({"status": 400, "body": error.to_string()}));
    let (transcript, page) = read(&bench, &format!("{REPORT},campaigns"), &[]);
    assert_eq!(transcript.code, Some(1), "{:?}", transcript.errors());
    assert!(page.contains("***") && page.contains("id=\"notes\""));
    assert!(
        page.contains("&#60;script&#62;alert(1)&#60;/script&#62;") || page.contains("&lt;script&gt;"),
        "the name is missing"
    );
    for markup in ["<script", "<img", "</style><", "src=", "http:", "https:", "url("] {
        let settings = page.split("id=\"settings\"").next().unwrap();
        let is_text = markup == "src=" && settings.contains("&#60;img src=x");
        assert!(is_text || !settings.contains(markup), "{markup}");
    }
    for secret in [client_secret.as_str(), "a&#34;b+c/d=e", "a\\\"b+c/d=e", "c/d=e", "a%22b%2Bc%2Fd", "YSJiK2MvZD1l"] {
        assert!(!page.contains(secret), "{secret}");
    }
    let settings = text(page.split("id=\"settings\"").nth(1).unwrap());
    assert!(settings.contains("client_secret***") || settings.contains("client_secret\n***"), "{settings}");
    assert!(settings.contains("1001") && settings.contains("EUR"));
}

#[test]
fn an_interrupted_sync_leaves_a_page_that_says_so() {
    let options = Options { latency: Duration::from_millis(300), ..Options::default() };
    let bench = Bench::new(options, 400);
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--streams", REPORT, "--report", "page.html"]);
    let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"STATE\"") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let page = page(&bench);
    assert!(page.contains("Interrupted by signal 15: this sync did not finish"));
    assert!(page.contains(": missing</title>") && page.contains(": agrees</title>"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_before_the_sync() {
    let bench = Bench::new(Options::default(), 3);
    bench.file("config.json", &bench.config);
    std::fs::create_dir(bench.directory.join("folder")).unwrap();
    for path in ["missing/page.html", "folder", "/dev/null"] {
        let arguments = ["read", "--config", "config.json", "--streams", REPORT, "--report", path];
        let transcript = bench.run(&arguments);
        assert_eq!(transcript.code, Some(1), "{path}");
        let message = transcript.errors()[0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("The report {path} cannot be written: ")), "{message}");
        assert_eq!(transcript.errors()[0]["failure_type"], "config_error");
    }
    assert!(bench.sandbox.requests().is_empty());
}

#[test]
fn a_page_that_cannot_be_written_in_the_end_is_a_warning() {
    let bench = Bench::new(Options { latency: Duration::from_millis(200), ..Options::default() }, 3);
    bench.file("config.json", &bench.config);
    let folder = bench.directory.join("pages");
    std::fs::create_dir(&folder).unwrap();
    let mut program = bench.program();
    program.args(["read", "--config", "config.json", "--streams", REPORT, "--report", "pages/page.html"]);
    let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"STARTED\"") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    let warning = text.lines().find(|line| line.contains("The report pages/page.html cannot be written: ")).unwrap();
    assert!(warning.contains("\"WARN\"") && text.contains("\"COMPLETE\""), "{text}");
}

#[test]
fn years_of_days_stay_a_small_page_that_names_what_it_omits() {
    let options = Options { advertisers: 1, campaigns: 1, ad_sets: 1, ads: 1, ..Options::default() };
    let bench = Bench::new(options, 1_200);
    let (transcript, page) = read(&bench, REPORT, &[]);
    assert_eq!(transcript.code, Some(0), "{:?}", transcript.errors());
    assert!(page.len() < 400_000, "{}", page.len());
    let text = text(&page);
    let days = sums(transcript.stdout.lines().filter(|line| line.contains("\"RECORD\"")), "day").len();
    let earlier = format!("{} earlier days are in the charts and sums, but not in this table.", days - 400);
    assert!(text.contains(&earlier), "{earlier}");
    assert!(text.contains("Spend, EUR, by week") && text.contains(" are not shown; the worst of them is: "), "{text}");
}

#[test]
fn a_later_export_shows_what_was_restated() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 40);
    let export = |bench: &Bench| {
        bench.file("config.json", &bench.config);
        let mut program = bench.program();
        program.args([
            "export",
            "out",
            "-c",
            "config.json",
            "--streams",
            REPORT,
            "--format",
            "jsonl",
            "--report",
            "page.html",
        ]);
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut rows = String::new();
        for entry in std::fs::read_dir(bench.directory.join("out").join(REPORT)).unwrap() {
            rows += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
        }
        sums(rows.lines(), "day")
    };
    let before = export(&bench);
    assert!(page(&bench).contains("Nothing: no earlier sync had read any of these days."));
    rises(&mut bench, 3);
    let after = export(&bench);
    let page = page(&bench);
    let mut changed = 0;
    for (day, old) in &before {
        if after[day] == *old {
            continue;
        }
        changed += 1;
        let restated = page.split("id=\"restated\"").nth(1).unwrap();
        let found = cells(restated, day);
        assert_eq!(found[..2], [shown(old[0], 2), shown(after[day][0], 2)], "{day}");
        let revenue = after[day][2] - old[2];
        assert_eq!(found[4].replace('+', ""), shown(revenue, 2), "{day}");
    }
    assert!(changed > 3, "{changed}");
    assert!(
        page.contains(&format!(">{changed} of ")) && page.contains(" had and that this sync read again have changed.")
    );
}

#[test]
fn a_tap_with_a_state_says_which_days_it_read_again() {
    let mut bench = Bench::new(Options::default(), 20);
    bench.file("config.json", &bench.config);
    let tap = |bench: &Bench, arguments: &[&str]| {
        let output = bench.program().args(["--config", "config.json"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut catalog: Value = serde_json::from_str(&tap(&bench, &["--discover"])).unwrap();
    catalog["streams"].as_array_mut().unwrap().retain(|stream| stream["tap_stream_id"] == REPORT);
    bench.file("catalog.json", &catalog);
    let first = tap(&bench, &["--catalog", "catalog.json", "--report", "page.html"]);
    let state = first.lines().rev().find(|line| line.contains("\"STATE\"")).unwrap();
    let state: Value = serde_json::from_str(state).unwrap();
    bench.file("state.json", &state["value"]);
    rises(&mut bench, 2);
    bench.file("config.json", &bench.config);
    tap(&bench, &["--catalog", "catalog.json", "--report", "page.html", "--state", "state.json"]);
    let again = text(page(&bench).split("Days read again").nth(1).unwrap());
    let start: NaiveDate = bench.config["start_date"].as_str().unwrap().parse().unwrap();
    assert!(again.contains(&format!("{start} to 2026-10-31, 3 advertisers")), "{again}");
}

#[test]
fn hundreds_of_advertisers_stay_a_small_page() {
    let bench = Bench::new(Options { advertisers: 300, campaigns: 1, ad_sets: 1, ads: 1, ..Options::default() }, 60);
    // Each of these misses other days.
    for advertiser in 1001..1031 {
        let day = NaiveDate::from_ymd_opt(2026, 10, advertiser - 1000).unwrap();
        let matches =
            json!({"path": "/statistics/", "covers": day, "advertiser": advertiser.to_string(), "text": OF_DATA});
        fault(&bench, matches, json!({"status": 400, "body": crate::holes::problem("odd")}));
    }
    let (_, page) = read(&bench, REPORT, &[]);
    assert!(page.len() < 600_000, "{}", page.len());
    assert!(
        page.contains("The page shows the worst advertisers one by one and "),
        "the page does not say what it omits"
    );
    assert!(page.matches("class=\"who wrap\"").count() <= 12);
}
