//! What an export says, and what it does without being asked.

use std::process::{Command, Stdio};
use std::time::Duration;

use criteo_sandbox::{Options, Permission};
use serde_json::json;

use super::{REPORTS, assert_truth, export, let_days_pass, plain_export, rows};
use crate::harness::{Bench, wait_until};

/// The lines of a log with this mark.
fn lines<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(mark)).collect()
}

#[test]
fn the_configuration_is_found_without_an_option() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let export = |environment: Option<(&str, &str)>| {
        let mut program = bench.program();
        program.args(["export", "out", "--streams", "campaigns"]).envs(environment);
        program.output().unwrap()
    };
    let missing = export(None);
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("criteo.json") && said.contains("source-criteo setup"), "{said}");
    let secret = export(Some(("CRITEO_CONFIG", r#"{"client_secret":"s3cret-of-the-test"}"#)));
    assert_eq!(secret.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&secret.stderr).contains("s3cret"));
    bench.file("other.json", &bench.config);
    assert!(export(Some(("CRITEO_CONFIG", "other.json"))).status.success());
    bench.file("criteo.json", &bench.config);
    let found = export(None);
    assert!(found.status.success());
    assert!(String::from_utf8(found.stdout).unwrap().contains("DuckDB: duckdb -init out/views.sql"));
}

#[test]
fn a_folder_keeps_its_format() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let campaigns = ["--streams", "campaigns"];
    assert_eq!(export(&bench, &["campaigns"], &["--format", "csv"]).code, Some(0));
    let file = bench.directory.join("out/campaigns.csv");
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    let later = plain_export(&bench, &campaigns);
    assert_eq!(later.code, Some(0), "{}", later.stderr);
    assert!(std::fs::metadata(&file).unwrap().modified().unwrap() > before);
    assert!(!bench.directory.join("out/campaigns.parquet").exists());
    std::fs::remove_dir_all(bench.directory.join("out")).unwrap();
    assert_eq!(plain_export(&bench, &campaigns).code, Some(0));
    assert!(bench.directory.join("out/campaigns.parquet").exists());
}

#[test]
fn a_misspelled_stream_stops_the_export_before_it_starts() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let run = export(&bench, &["campaigns", "campaign_statistic_daily", "adds"], &[]);
    assert_eq!(run.code, Some(1));
    for words in ["Unknown stream campaign_statistic_daily. Did you mean campaign_statistics_daily", "adds"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert!(bench.sandbox.requests().is_empty() && !bench.directory.join("out").exists());
}

#[test]
fn an_advertiser_without_consent_does_not_stop_the_others() {
    let mut bench = Bench::new(Options { ads: 1, without_consent: vec!["1002".into()], ..Options::default() }, 5);
    bench.config["advertiser_ids"] = json!(["1001", "1002"]);
    for _ in 0..2 {
        let run = plain_export(&bench, &["--format", "jsonl"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert_eq!(lines(&run.stderr, "ERROR"), [""; 0]);
        let warnings = lines(&run.stderr, "have not granted this app consent: 1002");
        assert!(warnings.len() == 1 && warnings[0].starts_with("WARNING"), "{}", run.stderr);
    }
    for stream in ["ads", REPORTS[0]] {
        let rows = rows(&bench, stream);
        assert!(!rows.is_empty() && rows.iter().all(|row| row["advertiser_id"] == "1001"), "{stream}");
    }
    // Without any advertiser, there is nothing to export.
    bench.config["advertiser_ids"] = json!(["1002"]);
    let run = plain_export(&bench, &["--format", "jsonl"]);
    assert!(run.code == Some(1) && run.stderr.contains("ERROR"), "{}", run.stderr);
}

#[test]
fn a_lost_permission_is_reported_with_its_tables() {
    let bench = Bench::new(Options { ads: 1, advertisers: 1, ..Options::default() }, 5);
    let run = || plain_export(&bench, &["--format", "jsonl"]);
    bench.sandbox.change(|options| options.without_permission = vec![Permission::Recommendations]);
    // A permission that the app never had.
    let first = run();
    assert_eq!((first.code, lines(&first.stderr, "no longer updated").len()), (Some(0), 0), "{}", first.stderr);
    bench.sandbox.change(|options| options.without_permission = vec![Permission::Audiences]);
    let second = run();
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let [warning] = lines(&second.stderr, "no longer updated")[..] else { panic!("{}", second.stderr) };
    assert!(warning.starts_with("WARNING") && warning.contains("\"Audiences: Read\""), "{warning}");
    assert!(warning.contains("audiences") && !warning.contains("campaigns"), "{warning}");
    bench.sandbox.change(|options| options.without_permission.clear());
    assert_eq!(run().code, Some(0));
}

#[test]
fn rows_of_advertisers_without_consent_stay_and_are_named() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    let streams = ["advertisers", "campaigns", "ads"];
    assert_eq!(export(&bench, &streams, &[]).code, Some(0));
    let all = rows(&bench, "advertisers").len();
    bench.sandbox.change(|options| options.without_consent = vec!["1002".into()]);
    let run = export(&bench, &streams, &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let [warning] = lines(&run.stderr, "no longer grant consent")[..] else { panic!("{}", run.stderr) };
    let names = warning.split_once("--streams ").unwrap().1.split_once(" --reset").unwrap().0;
    assert!(warning.contains(": 1002. ") && names.split(',').count() == 2, "{warning}");
    assert!(names.contains("campaigns") && names.contains("ads"), "{warning}");
    for stream in &streams[1..] {
        assert!(rows(&bench, stream).iter().any(|row| row["advertiser_id"] == "1002"), "{stream}");
    }
    // The list of those that the app may read is as Criteo sends it.
    let listed = rows(&bench, "advertisers");
    assert!(listed.len() == all - 1 && listed.iter().all(|row| row["id"] != "1002"), "{listed:?}");
    let reset = export(&bench, &streams[1..], &["--reset"]);
    assert!(reset.code == Some(0) && lines(&reset.stderr, "no longer grant").is_empty(), "{}", reset.stderr);
    assert!(rows(&bench, "ads").iter().all(|row| row["advertiser_id"] != "1002"));
    // Others than those that the user names are left alone on purpose.
    bench.config["advertiser_ids"] = json!(["1001"]);
    let narrow = export(&bench, &streams, &[]);
    assert!(narrow.code == Some(0) && lines(&narrow.stderr, "no longer grant").is_empty(), "{}", narrow.stderr);
}

#[test]
fn a_table_whose_report_is_gone_is_named() {
    let mut bench = Bench::new(Options { ads: 1, advertisers: 1, ..Options::default() }, 5);
    bench.config["custom_reports"] =
        json!([{"name": "mine", "dimensions": ["CampaignId", "Day"], "metrics": ["Clicks"]}]);
    assert_eq!(plain_export(&bench, &["--format", "jsonl"]).code, Some(0));
    bench.config["custom_reports"] = json!([]);
    let run = plain_export(&bench, &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warnings = lines(&run.stderr, "no longer updated");
    assert!(warnings.len() == 1 && warnings[0].contains("custom_mine"), "{}", run.stderr);
}

#[test]
fn days_between_an_earlier_read_and_the_history_are_reported() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 60);
    let run = |more: &[&str]| export(&bench, &REPORTS[..1], more);
    let first = run(&["--since", "2026-10-20"]);
    assert!(first.stderr.contains("The state will start at 2026-10-20"), "{}", first.stderr);
    let gap = run(&["--since", "2026-10-01", "--until", "2026-10-05"]);
    assert_eq!(gap.code, Some(0), "{}", gap.stderr);
    let warnings = lines(&gap.stderr, "2026-10-06 to 2026-10-19");
    assert!(warnings.len() == 1 && warnings[0].starts_with("WARNING"), "{}", gap.stderr);
    assert!(warnings[0].contains(REPORTS[0]) && warnings[0].contains("--since 2026-10-06 --until 2026-10-19"));
    let early = run(&["--since", "2026-09-20"]);
    assert!(lines(&early.stderr, "WARNING").is_empty(), "{}", early.stderr);
    assert!(early.stderr.contains("starts earlier from now on, on 2026-09-20"), "{}", early.stderr);
    bench.config["start_date"] = json!("2026-09-20");
    assert_truth(&bench, &REPORTS[..1]);
}

#[test]
fn an_interrupted_export_reports_it_once() {
    let bench = Bench::new(Options { latency: Duration::from_millis(300), ..Options::default() }, 30);
    bench.file("config.json", &bench.config);
    let mut program = bench.program();
    program.args(["export", "out", "--config", "config.json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    wait_until(|| bench.report_requests().len() > 6);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let [error] = lines(&text, "ERROR")[..] else { panic!("{text}") };
    assert!(error.contains("interrupted") && error.contains("Run the same command again"), "{error}");
    assert!(lines(&text, ": 0 records").is_empty(), "{text}");
}

#[test]
fn the_next_steps_work_in_any_folder() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    bench.file("config.json", &bench.config);
    let run = |program: &str, code: &str| {
        let output = Command::new(program).args(["-c", code]).current_dir(&bench.directory).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let any = ["my \"files\" of Ana's", "a[1]b*?", "~x", "-x", "new\nline's", "back\\slash", "C:"];
    let formats = ["parquet", "csv", "jsonl", "arrow", "xlsx"];
    let folders = any.iter().map(|folder| (*folder, "parquet")).chain(formats.map(|format| (any[0], format)));
    for (folder, format) in folders {
        let folder = format!("{folder}.{format}");
        let mut program = bench.program();
        program.args([
            "export",
            "--config",
            "config.json",
            "--streams",
            "campaigns",
            "--format",
            format,
            "--",
            &folder,
        ]);
        let output = program.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let steps = |name: &str| text.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
        let (duckdb, python) = (steps("DuckDB: "), steps("Python: "));
        assert_eq!(duckdb.len(), usize::from(["parquet", "csv", "jsonl"].contains(&format)), "{text}");
        assert_eq!(python.len(), usize::from(["parquet", "arrow"].contains(&format)), "{text}");
        for line in duckdb {
            // DuckDB's file, as the shell passes it.
            let (is_there, path) = run("bash", &format!("duckdb() {{ test -f \"$2\" && echo \"$2\"; }}; {line}"));
            assert!(is_there && !path.starts_with(['-', '~']), "{line}: {path}");
        }
        for line in python {
            // Python's patterns are those of polars.
            let path = line.split_once('(').unwrap().1.trim_end_matches(')');
            let (_, found) = run("python3", &format!("import glob; print(glob.glob({path}))"));
            assert!(found.contains(&format!("campaigns.{format}")) && !found.starts_with("['~"), "{line}: {found}");
        }
        assert!(format != "xlsx" || text.contains(&format!("{folder}/criteo.xlsx")), "{text}");
        assert!(text.lines().all(|line| line.contains(": ") || line.contains(" in ")), "{text}");
    }
    let views = std::fs::read_to_string(bench.directory.join("a[1]b*?.parquet/views.sql")).unwrap();
    assert!(views.contains("/a[[]1]b[*][?].parquet/campaigns.parquet'"), "{views}");
}

#[test]
fn the_last_lines_say_what_was_exported_and_proved() {
    let mut bench = Bench::new(Options { ads: 1, ..Options::default() }, 60);
    assert_eq!(export(&bench, &["ads", REPORTS[0]], &[]).code, Some(0));
    let_days_pass(&mut bench, 2);
    let run = export(&bench, &["ads", REPORTS[0]], &[]);
    let report = rows(&bench, REPORTS[0]).len();
    let [line] = lines(&run.stderr, "rows in the table")
        .into_iter()
        .filter(|line| line.contains(REPORTS[0]))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{}", run.stderr)
    };
    assert!(line.contains(&format!("{report} rows in the table")), "{line}");
    assert!(line.contains("read 2026-10-02 to 2026-11-03"), "{line}");
    assert!(line.contains("settled days agree with Criteo's totals"), "{line}");
    let objects = format!("ads: {} rows in the table", rows(&bench, "ads").len());
    assert!(run.stderr.contains(&objects), "{}", run.stderr);
}

#[test]
fn the_check_is_shown_on_the_first_export_or_if_something_fails() {
    let refused_pairs = vec![("Category".into(), "Reach".into())];
    let mut bench = Bench::new(Options { ads: 1, advertisers: 1, refused_pairs, ..Options::default() }, 5);
    let shown = |text: &str| lines(text, "network: ").len();
    let first = plain_export(&bench, &[]);
    assert_eq!((first.code, shown(&first.stderr)), (Some(0), 1), "{}", first.stderr);
    let second = plain_export(&bench, &[]);
    assert_eq!((second.code, shown(&second.stderr)), (Some(0), 0), "{}", second.stderr);
    bench.config["custom_reports"] =
        json!([{"name": "reach", "dimensions": ["Category", "Day"], "metrics": ["Clicks", "Reach"]}]);
    let failed = plain_export(&bench, &[]);
    assert_eq!((failed.code, shown(&failed.stderr)), (Some(1), 1), "{}", failed.stderr);
    // The other streams were exported.
    assert!(failed.stderr.contains("custom_reach") && failed.stderr.contains("campaigns: "), "{}", failed.stderr);
}

#[test]
fn views_of_csv_files_have_types() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    assert_eq!(export(&bench, &REPORTS[..1], &["--format", "csv"]).code, Some(0));
    let views = std::fs::read_to_string(bench.directory.join("out/views.sql")).unwrap();
    for column in
        ["'advertiser_id': 'VARCHAR'", "'day': 'DATE'", "'advertiser_cost': 'DECIMAL(38,9)'", "'clicks': 'BIGINT'"]
    {
        assert!(views.contains(column), "{views}");
    }
    let file = files_with(&bench, "csv");
    assert!(file.iter().all(|path| views.contains(path)), "{views}");
}

/// The paths of the first report's files.
fn files_with(bench: &Bench, extension: &str) -> Vec<String> {
    let folder = bench.directory.join("out").join(REPORTS[0]).canonicalize().unwrap();
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == extension)).collect();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn sheets_have_widths_and_formats() {
    let bench = Bench::new(Options { ads: 1, ..Options::default() }, 5);
    assert_eq!(export(&bench, &["ad_set_statistics_hourly"], &["--format", "xlsx"]).code, Some(0));
    let part = |name: &str| {
        let code = format!("import zipfile; print(zipfile.ZipFile('out/criteo.xlsx').read('xl/{name}').decode())");
        let output = Command::new("python3").args(["-c", &code]).current_dir(&bench.directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let styles = part("styles.xml");
    for format in ["#,##0.00", "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd\""] {
        assert!(styles.contains(format) || format == "#,##0.00" && styles.contains("numFmtId=\"4\""), "{styles}");
    }
    let sheet = part("worksheets/sheet1.xml");
    let rows = sheet.matches("<row ").count();
    assert!(rows > 10 && sheet.contains("<autoFilter ref=\"A1:") && sheet.contains(&format!("{rows}\"")), "{sheet}");
    // Ids are text, and every number has a format.
    let cells: Vec<&str> = sheet.split("<c r=\"").skip(1).map(|cell| cell.split('>').next().unwrap()).collect();
    let of_row = |row: &str| cells.iter().filter(|cell| cell.split('"').next().unwrap().ends_with(row)).count();
    assert!(of_row("2") > 10 && cells.iter().any(|cell| cell.starts_with("A2\"") && cell.contains("t=\"inlineStr\"")));
    assert!(cells.iter().all(|cell| cell.contains("t=\"inlineStr\"") || cell.contains(" s=\"")), "{cells:?}");
    // Names of advertisers are longer than the header's cell.
    let widths = sheet.split("width=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
    let widths: Vec<_> = widths.collect();
    assert!(widths.len() > 5 && widths.iter().any(|width| *width > 18.0), "{widths:?}");
}

#[test]
fn a_token_that_cannot_be_saved_is_reported_without_singer() {
    let bench = Bench::new(Options { refresh_token: Some("first-refresh-token".into()), ..Options::default() }, 3);
    let mut program = bench.program();
    let config = bench.file("config.json", &bench.config);
    program.args(["export", "out", "--config", "-", "--streams", "campaigns"]);
    let output = program.stdin(std::fs::File::open(config).unwrap()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("rotated the refresh token") && !text.contains("Singer"), "{text}");
}
