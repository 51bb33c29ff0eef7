//! `state show`: what a saved state says, in the forms of both protocols, and with files that are none.

use std::io::Write as _;
use std::process::Stdio;

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;

const REPORT: &str = "campaign_statistics_daily";

fn bench() -> Bench {
    let options = Options { advertisers: 2, campaigns: 1, ad_sets: 1, ads: 1, audiences: 3, ..Options::default() };
    let bench = Bench::new(options, 10);
    bench.file("criteo.json", &bench.config);
    bench
}

/// Exit code, stdout and stderr of `state show`.
fn show(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = bench.program().args(["state", "show"]).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The streams of `state show --json`, without the file's name.
fn streams(bench: &Bench, file: &str) -> (Value, Value) {
    let (code, stdout, stderr) = show(bench, &[file, "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    (shown["form"].clone(), shown["streams"].clone())
}

#[test]
fn states_of_both_protocols_and_of_an_export_say_the_same() {
    let bench = bench();
    let names = format!("audiences,campaigns,{REPORT}");
    let read = bench.run(&["read", "--streams", &names, "--state-file", "state.json"]);
    assert_eq!(read.code, Some(0), "{:?}", read.errors());
    let (form, kept) = streams(&bench, "state.json");
    assert_eq!(form, "Airbyte");
    let of = |name: &str| kept.as_array().unwrap().iter().find(|stream| stream["stream"] == name).unwrap().clone();
    assert_eq!(of(REPORT)["cursors"], json!([{"complete_up_to": "2026-10-31", "advertisers": ["1001", "1002"]}]));
    assert_eq!((&of(REPORT)["version"], &of(REPORT)["kind"]), (&json!(2), &json!("days")));
    assert!(of(REPORT)["fingerprint"].as_str().unwrap().starts_with("EUR|UTC|"), "{kept}");
    assert_eq!(of("audiences")["kind"], "instants");
    assert!(of("audiences")["cursors"][0]["complete_up_to"].as_str().unwrap().contains('T'), "{kept}");
    // Airbyte's forms: the list that a platform keeps, and one message.
    bench.file("final.json", &read.final_state());
    let of_platform = streams(&bench, "final.json").1;
    let without_campaigns = |all: &Value| {
        let others = all.as_array().unwrap().iter().filter(|stream| stream["stream"] != "campaigns");
        others.cloned().collect::<Vec<_>>()
    };
    // A full refresh leaves the platform nothing to keep.
    assert_eq!(
        (without_campaigns(&of_platform), of_platform[2]["kind"].as_str()),
        (without_campaigns(&kept), Some("empty"))
    );
    let saved = read.final_state();
    let is_of_report = |state: &&Value| state["stream"]["stream_descriptor"]["name"] == REPORT;
    let message = saved.as_array().unwrap().iter().find(is_of_report).unwrap();
    bench.file("message.json", &json!({"type": "STATE", "state": message}));
    assert_eq!(streams(&bench, "message.json").1, json!([of(REPORT)]));
    // Singer's message and its value.
    let tap = bench.program().args(["--config", "criteo.json"]).output().unwrap();
    let tap = String::from_utf8(tap.stdout).unwrap();
    let last = tap.lines().last().unwrap();
    std::fs::write(bench.directory.join("message.json"), last).unwrap();
    let (form, of_tap) = streams(&bench, "message.json");
    assert_eq!(form, "Singer");
    assert!(of_tap.as_array().unwrap().contains(&of(REPORT)), "{of_tap}");
    bench.file("value.json", &serde_json::from_str::<Value>(last).unwrap()["value"]);
    assert_eq!(streams(&bench, "value.json"), (form, of_tap));
    // An exported folder.
    if cfg!(feature = "files") {
        let export = bench.program().args(["export", "criteo", "--streams", &names]).output().unwrap();
        assert_eq!(export.status.code(), Some(0), "{}", String::from_utf8_lossy(&export.stderr));
        let (_, exported) = streams(&bench, "criteo");
        assert!(exported.as_array().unwrap().contains(&of(REPORT)), "{exported}");
        let (code, _, stderr) = show(&bench, &[]);
        assert!(code == Some(1) && stderr.contains("Both the file state.json and the folder criteo"), "{stderr}");
        std::fs::remove_file(bench.directory.join("state.json")).unwrap();
        assert!(show(&bench, &[]).1.contains(REPORT));
    }
}

/// A state with every kind of stream and day.
fn state() -> Value {
    let stream = |name: &str, state: Value| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}});
    json!([
        stream(
            "audiences",
            json!({"version": 2, "groups": [{"updated_at": "2026-10-30T05:06:07Z", "scope": ["1001", "1002"]}]})
        ),
        stream("campaigns", json!({"__ab_no_cursor_state_message": true})),
        stream(
            "creatives",
            json!({"version": 1, "sync_id": 7, "scope": "5f", "since": "2026-10-31T05:06:07Z", "after": "1001"})
        ),
        stream(
            REPORT,
            json!({"version": 2, "fingerprint": "EUR|UTC|AdvertiserId,CampaignId,Day|01355c4ec635bbef",
            "groups": [{"cursor": "2026-10-31", "scope": ["1001", "1003", "1004", "1005", "1006", "1007", "1008"]},
                {"cursor": "2026-10-10", "scope": ["1002"]}],
            "holes": [{"from": "2026-10-03", "to": "2026-10-05", "scope": ["1002"], "why": "unread", "tries": 1},
                {"from": "2026-10-07", "to": "2026-10-07", "scope": ["1001", "1003"], "why": "unproven", "tries": 3}]})
        ),
        stream(
            "log_level_events",
            json!({"version": 2, "fingerprint": "log level|false", "groups": [{"cursor": "2026-10-29", "scope": ["1001"]}]})
        ),
        stream("product_sets", json!({"version": 1, "after": null})),
    ])
}

#[test]
fn a_state_is_shown_with_the_days_that_are_not_settled() {
    let bench = bench();
    bench.file("state.json", &state());
    insta::assert_snapshot!("state_show", crate::people::screens(&bench, "state show state.json"));
    let (code, piped, _) = show(&bench, &["state.json"]);
    assert!(code == Some(0) && piped.contains("2026-10-03 to 2026-10-05"), "{piped}");
    let (_, json, _) = show(&bench, &["state.json", "--json"]);
    insta::assert_snapshot!("state_show_json", json);
    let mut program = bench.program();
    program.args(["state", "show", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    child.stdin.take().unwrap().write_all(state().to_string().as_bytes()).unwrap();
    let read = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(read.lines().skip(1).collect::<Vec<_>>(), piped.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn files_that_are_no_state_are_rejected() {
    let bench = bench();
    let deep = "[".repeat(100_000);
    let nested = format!("[{{\"stream\":{{\"stream_descriptor\":{{\"name\":\"a\"}},\"stream_state\":{deep}");
    let newer = json!({"bookmarks": {"campaigns": {"version": 1, "after": null},
        REPORT: {"version": 3, "fingerprint": "EUR|UTC|Day|01", "groups": []}}});
    let other = json!({"bookmarks": {"orders": {"replication_key_value": "2026-10-31"}, "users": 7}});
    let mut text = String::new();
    for (what, content) in [
        ("nothing", String::new()),
        ("an empty list", "[]".to_owned()),
        ("half a file", "[{\"type\":".to_owned()),
        ("a configuration", bench.config.to_string()),
        ("a number", "7".to_owned()),
        ("deep nesting", deep.clone()),
        ("deep nesting in a state", nested),
        ("a newer version", newer.to_string()),
        ("the state of another tap", other.to_string()),
        ("too large", " ".repeat(17 << 20)),
    ] {
        std::fs::write(bench.directory.join("state.json"), content).unwrap();
        let (code, stdout, stderr) = show(&bench, &["state.json"]);
        assert_eq!(code, Some(1), "{what}: {stderr}");
        text += &format!("── {what} ──\n{stdout}{stderr}");
    }
    std::fs::remove_file(bench.directory.join("state.json")).unwrap();
    for file in ["missing.json", "."] {
        text += &show(&bench, &[file]).2;
    }
    text += &show(&bench, &[]).2;
    insta::assert_snapshot!("state_show_rejected", text);
}

#[test]
fn states_cannot_control_the_terminal() {
    let bench = bench();
    let hostile = "1\u{1b}[2J\u{9b}A\u{202e}\r\n2";
    let bookmark = json!({"version": 2, "fingerprint": format!("{hostile}|{hostile}"),
        "groups": [{"cursor": "2026-10-31", "scope": [hostile]}],
        "holes": [{"from": "2026-10-03", "to": "2026-10-03", "scope": [hostile], "why": "unread", "tries": 1}]});
    bench.file("state.json", &json!({"bookmarks": {hostile: bookmark, "a": {"version": 1, "after": hostile}}}));
    for arguments in ["state show state.json", "state show state.json --json"] {
        let seen = bench.on_terminal(100, arguments, &[("NO_COLOR", "1"), ("TERM", "dumb")]);
        let obeyed = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
        assert!(!seen.contains(obeyed) && seen.ends_with("exit 0\n"), "{seen:?}");
    }
    let (_, shown) = streams(&bench, "state.json");
    assert_eq!(shown[0]["cursors"][0]["advertisers"][0], hostile, "{shown}");
}

#[test]
fn a_state_of_many_advertisers_is_summed_up() {
    let bench = bench();
    let scope: Vec<_> = (0..20_000).map(|id| id.to_string()).collect();
    let holes: Vec<_> = scope[..100]
        .iter()
        .map(|id| json!({"from": "2026-10-03", "to": "2026-10-03", "scope": [id], "why": "unread", "tries": id.parse::<u32>().unwrap() + 1}))
        .collect();
    bench.file(
        "state.json",
        &json!({"bookmarks": {REPORT: {"version": 2, "fingerprint": "EUR|UTC|Day|01",
        "groups": [{"cursor": "2026-10-31", "scope": scope}], "holes": holes}}}),
    );
    let (code, shown, _) = show(&bench, &["state.json"]);
    assert!(
        code == Some(0) && shown.contains("and 19995 more") && shown.contains("80 more; --json lists all"),
        "{shown}"
    );
    assert!(shown.lines().count() < 40, "{shown}");
    let (_, all) = streams(&bench, "state.json");
    assert_eq!(all[0]["cursors"][0]["advertisers"].as_array().unwrap().len(), 20_000);
    assert_eq!(all[0]["not_settled"].as_array().unwrap().len(), 100);
}
