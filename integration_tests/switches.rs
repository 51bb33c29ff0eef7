//! The switches of the sandbox: documented, effective, and without influence on the truth.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use criteo_sandbox::{Options, RETAIL_MEDIA_UNKNOWNS, Sandbox, UNKNOWNS, Unknowns};
use serde_json::{Value, json};

use crate::documents::generated;
use crate::harness::{DEADLINE, http, token};

/// `UPDATE_DOCS=1 cargo test documented_switches` rewrites the table.
#[test]
fn the_documented_switches_match_the_sandbox() {
    for (mark, unknowns) in [("unknowns", UNKNOWNS), ("unknowns of Retail Media", RETAIL_MEDIA_UNKNOWNS)] {
        let mut table = "| switch | values | about | source |\n| --- | --- | --- | --- |\n".to_owned();
        for unknown in unknowns {
            let values: Vec<_> = unknown.values.iter().map(|value| format!("`{value}`")).collect();
            table +=
                &format!("| `{}` | {} | {} | {} |\n", unknown.name, values.join(", "), unknown.about, unknown.source);
        }
        generated("docs/sandbox-unknowns.md", mark, &table);
    }
}

#[test]
fn switches_reject_unknown_values() {
    let mut unknowns = Unknowns::default();
    assert_eq!(unknowns.get("hour_spelling"), "us_datetime");
    assert!(unknowns.set("week_begin", "sunday").unwrap_err().contains("week_begin"));
    assert!(unknowns.set("week_start", "Sunday").unwrap_err().contains("monday, sunday, saturday"));
    assert!(unknowns.set_text("week_start").is_err());
    unknowns.set_text("week_start=sunday").unwrap();
    assert_eq!(unknowns.get("week_start"), "sunday");
    let all = || UNKNOWNS.iter().chain(RETAIL_MEDIA_UNKNOWNS);
    let mut names: Vec<_> = all().map(|unknown| unknown.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all().count(), "duplicate name");
    assert!(all().all(|unknown| unknown.values.len() > 1 && !unknown.source.is_empty()));
}

/// A world in which every switch has an effect.
fn doubtful_world() -> Sandbox {
    let options = Options {
        refused_in_reports: vec!["1002".into()],
        empty_advertisers: 1,
        row_cap: 1_300,
        page_limit: 100,
        ..Options::default()
    };
    Sandbox::start(options).unwrap()
}

/// Status, `Date` to the hour, and raw body.
fn raw(method: &str, url: &str, token: Option<&str>, body: &Value) -> (String, String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&response[..end]).into_owned();
    // The system time advances during the test.
    let reported = |date: &str| {
        let instant = chrono::DateTime::parse_from_rfc2822(date).unwrap();
        let apart = std::time::SystemTime::from(instant).elapsed().unwrap_or_else(|error| error.duration());
        if apart.as_secs() < 3600 { "now".to_owned() } else { date[..19].to_owned() }
    };
    let date = head.lines().find_map(|line| line.strip_prefix("Date: ")).map(reported);
    (head[9..12].to_owned(), date.unwrap_or_default(), response[end + 4..].to_vec())
}

/// Responses to requests that together cover every switch, by request name.
fn responses(sandbox: &Sandbox, token: &str) -> BTreeMap<String, String> {
    let fetch = |method: &str, path: &str, body: &Value| {
        raw(method, &format!("{}/2027-01/{path}", sandbox.url()), Some(token), body)
    };
    let mut requests: Vec<(String, &str, String, Value)> = Vec::new();
    let mut ask = |name: &str, method: &'static str, path: &str, body: Value| {
        requests.push((name.to_owned(), method, path.to_owned(), body));
    };
    let statistics = |ids: &str, start: &str, end: &str, dimensions: &[&str], currency: &str| {
        json!({"advertiserIds": ids, "startDate": start, "endDate": end, "dimensions": dimensions, "metrics": ["Clicks",
            "AdvertiserCost"], "currency": currency, "format": "json"})
    };
    let report = "statistics/report";
    let coupons = ["AdvertiserId", "CouponId", "Day"];
    for (name, query) in [
        ("day", statistics("1001", "2026-10-01", "2026-10-03", &coupons, "EUR")),
        ("hour", statistics("1001,1003", "2026-10-01", "2026-10-01", &["AdvertiserId", "AdId", "Hour"], "EUR")),
        ("week", statistics("1001", "2026-09-28", "2026-10-11", &["CampaignId", "Week"], "EUR")),
        ("month", statistics("1001", "2026-10-01", "2026-10-31", &["CampaignId", "Month"], "JPY")),
        ("year", statistics("1001", "2026-10-01", "2026-10-02", &["CampaignId", "Year"], "EUR")),
        ("long", statistics("1004", "2025-10-01", "2026-10-31", &["CampaignId"], "EUR")),
        ("of months", statistics("1004", "2026-06-01", "2026-10-31", &["CampaignId"], "EUR")),
        ("cut", statistics("1001,1003", "2026-09-25", "2026-10-31", &["AdId", "Hour"], "EUR")),
        ("totals", statistics("1001", "2026-10-01", "2026-10-02", &["AdvertiserId", "Day"], "EUR")),
        ("refused", statistics("1001,1002", "2026-10-01", "2026-10-01", &["CampaignId"], "EUR")),
        ("empty", statistics("1004", "2026-10-01", "2026-10-01", &["CampaignId"], "EUR")),
        ("half empty", statistics("1001,1004", "2026-10-01", "2026-10-01", &["CampaignId"], "EUR")),
        ("floor", statistics("1001", "2024-11-01", "2024-11-04", &["CampaignId", "Day"], "EUR")),
        ("below the floor", statistics("1001", "2024-10-30", "2024-11-02", &["CampaignId", "Day"], "EUR")),
        ("hourly floor", statistics("1001", "2026-07-01", "2026-07-01", &["CampaignId", "Hour"], "EUR")),
    ] {
        ask(name, "POST", report, query);
    }
    let mut of_auckland = statistics("1001", "2024-11-01", "2024-11-02", &["CampaignId", "Day"], "EUR");
    of_auckland["timezone"] = json!("Pacific/Auckland");
    ask("floor of Auckland", "POST", report, of_auckland);
    let wrapped = |start: &str, end: &str, placements: bool, zone: &str| {
        let mut attributes = json!({"advertiserIds": "1001,1003", "startDate": start, "endDate": end, "currency": "EUR",
            "timezone": zone});
        if placements {
            attributes["dimensions"] = json!(["AdvertiserId", "AdsetId"]);
            attributes["metrics"] = json!(["Clicks", "Cost"]);
        }
        json!({"data": [{"type": "Report", "attributes": attributes}]})
    };
    for zone in ["UTC", "Pacific/Auckland"] {
        for day in ["2026-08-01", "2026-08-03", "2026-08-05"] {
            ask(&format!("placements {zone} {day}"), "POST", "placements/report", wrapped(day, day, true, zone));
        }
        for day in ["2024-10-31", "2024-11-01", "2024-11-03"] {
            ask(&format!("transactions {zone} {day}"), "POST", "transactions/report", wrapped(day, day, false, zone));
        }
    }
    ask("transactions", "POST", "transactions/report", wrapped("2026-10-01", "2026-10-02", false, "UTC"));
    let ad_level = json!({"data": {"attributes": {"advertiserIds": ["1001"], "startDate": "2026-10-01", "endDate": "2026-10-02",
        "dimensions": ["AdvertiserId", "AdsetId"], "metrics": ["Clicks", "Spend"]}}});
    ask("ad level", "POST", "marketing-solutions/statistics-adlevel/report", ad_level);
    let marketplace = "marketing-solutions/marketplace-performance-outcomes";
    let query = "startDate=2026-10-01&endDate=2026-10-02&clickAttributionPolicy=Both&advertiserId=1001";
    ask("marketplace", "GET", &format!("{marketplace}/stats/campaigns?{query}"), Value::Null);
    ask("budgets", "GET", &format!("{marketplace}/budgets?withSpend=true"), Value::Null);
    ask("all budgets", "GET", &format!("{marketplace}/budgets"), Value::Null);
    ask("finished budgets", "GET", &format!("{marketplace}/budgets?endAfterDate=2000-01-01"), Value::Null);
    ask("application", "GET", "marketing-solutions/me", Value::Null);
    ask("ads", "GET", "marketing-solutions/advertisers/1001/creatives?limit=100", Value::Null);
    ask("campaigns", "POST", "marketing-solutions/campaigns/search", json!({}));
    let audiences = json!({"data": {"type": "AudienceSearch", "attributes": {}}});
    ask("audiences", "POST", "marketing-solutions/audiences/search?limit=1", audiences);
    let reported = |(name, method, path, body): (String, &str, String, Value)| {
        let (status, date, body) = fetch(method, &path, &body);
        (name, format!("{status} {date} {}", String::from_utf8_lossy(&body)))
    };
    let mut responses: BTreeMap<_, _> = requests.into_iter().map(reported).collect();
    // Log file links contain their expiry, so only names and contents are compared.
    for day in ["2026-09-30", "2026-10-01", "2026-10-02", "2026-10-03", "2026-10-05", "2026-10-31"] {
        let query = json!({"startDate": day, "endDate": day});
        let (status, _, listed) = fetch("POST", "log-level/advertisers/1001/report", &query);
        let listed: Value = serde_json::from_slice(&listed).unwrap_or_default();
        let files = listed["data"][0]["attributes"]["files"].as_array().cloned().unwrap_or_default();
        let content = |file: &Value| {
            let (_, _, body) = raw("GET", file["url"].as_str().unwrap(), None, &Value::Null);
            format!("{} {body:?}", file["fileName"])
        };
        responses.insert(format!("log files {day}"), files.iter().map(content).fold(status, |all, file| all + &file));
    }
    responses
}

/// Switches that need another one to have an effect.
fn beside(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "span_refusal" => &[("longest_span", "4")],
        "young_log_files" => &[("log_files_a_day", "two")],
        _ => &[],
    }
}

#[test]
#[ignore = "slow: scripts/test runs it"]
fn every_switch_value_has_an_effect() {
    let sandbox = doubtful_world();
    let token = token(&sandbox.url());
    let with = |settings: &[(&str, &str)]| {
        let mut unknowns = Unknowns::default();
        for (name, value) in settings {
            unknowns.set(name, value).unwrap();
        }
        sandbox.change(|options| options.unknowns = unknowns);
        responses(&sandbox, &token)
    };
    let mut idle = Vec::new();
    let usual = with(&[]);
    for unknown in UNKNOWNS {
        let beside = beside(unknown.name);
        let mut seen = vec![if beside.is_empty() { usual.clone() } else { with(beside) }];
        for value in &unknown.values[1..] {
            let reported = with(&[beside, &[(unknown.name, *value)]].concat());
            if seen.contains(&reported) {
                idle.push(format!("{}={value}", unknown.name));
            }
            seen.push(reported);
        }
    }
    assert_eq!(idle, Vec::<String>::new(), "these have no effect");
    assert_eq!(
        with(&[("hour_spelling", "us_datetime"), ("row_order", "sorted")]),
        usual,
        "responses do not vary by themselves"
    );
}

#[test]
fn the_truth_is_independent_of_the_switches() {
    let sandbox = doubtful_world();
    let days =
        json!({"advertiserIds": "1001,1003", "startDate": "2026-10-01", "endDate": "2026-10-04", "currency": "EUR"});
    let with = |more: Value| {
        let mut query = days.clone();
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        query
    };
    let wrapped = |query: Value| json!({"data": [{"type": "Report", "attributes": query}]});
    let queries = [
        (
            "statistics",
            with(json!({"dimensions": ["AdvertiserId", "CouponId", "Day", "Week", "Hour"],
            "metrics": ["Clicks", "AdvertiserCost"], "format": "json"})),
        ),
        ("placements", wrapped(with(json!({"dimensions": ["AdvertiserId"], "metrics": ["Clicks", "Cost"]})))),
        ("transactions", wrapped(days.clone())),
        ("campaigns", json!({"startDate": "2026-10-01", "endDate": "2026-10-02", "clickAttributionPolicy": "Both"})),
        ("log_level", json!({"name": "1001_2026-10-02.csv.gz"})),
    ];
    let truth = || queries.clone().map(|(report, query)| sandbox.world().report_truth(report, &query).unwrap());
    let usual = truth();
    assert_eq!(usual[0][0]["Hour"].as_str().unwrap().len(), "2026-10-01T00:00:00".len());
    for unknown in UNKNOWNS {
        let of_the_world =
            ["week_start", "money_rounding", "with_spend", "budget_spend", "transactions_window", "log_header"];
        let is_of_world = of_the_world.contains(&unknown.name);
        for value in unknown.values.iter().filter(|_| !is_of_world) {
            sandbox.change(|options| options.unknowns.set(unknown.name, value).unwrap());
            assert_eq!(truth(), usual, "{}={value}", unknown.name);
        }
        sandbox.change(|options| options.unknowns = Unknowns::default());
    }
}

/// Rows of statistics with these switches, as objects.
fn rows_with(settings: &[(&str, &str)], query: &Value) -> Vec<Value> {
    let mut options = Options::default();
    for (name, value) in settings {
        options.unknowns.set(name, value).unwrap();
    }
    let response: Value = serde_json::from_slice(&Sandbox::start(options).unwrap().statistics(query)).unwrap();
    response["Rows"].as_array().cloned().unwrap_or_default()
}

fn by_day(dimensions: &[&str]) -> Value {
    json!({"advertiserIds": "1001", "startDate": "2026-10-05", "endDate": "2026-10-18", "dimensions": dimensions,
        "metrics": ["Clicks", "AdvertiserCost"], "currency": "EUR", "format": "json", "timezone": "Europe/Paris"})
}

#[test]
fn spelling_switches_produce_the_named_format() {
    for (dimension, value, expected) in [
        ("day", "iso", "2026-10-05"),
        ("day", "iso_datetime", "2026-10-05T00:00:00"),
        ("day", "iso_utc_instant", "2026-10-04T22:00:00Z"),
        ("day", "us", "10/05/2026"),
        ("day", "us_datetime", "10/05/2026 00:00:00"),
        ("day", "slash", "2026/10/5"),
        ("week", "iso_week", "2026-W41"),
        ("month", "year_month", "2026-10"),
        ("year", "year", "2026"),
    ] {
        let name = format!("{}{}", dimension[..1].to_uppercase(), &dimension[1..]);
        let rows = rows_with(&[(&format!("{dimension}_spelling"), value)], &by_day(&[&name]));
        assert_eq!(rows[0][&name], expected, "{value}");
    }
    let weeks = |start: &str| {
        let rows = rows_with(&[("week_start", start)], &by_day(&["Week"]));
        rows.iter().map(|row| row["Week"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(weeks("monday"), ["2026-10-05", "2026-10-12"]);
    assert_eq!(weeks("sunday"), ["2026-10-04", "2026-10-11", "2026-10-18"]);
    assert_eq!(weeks("saturday"), ["2026-10-03", "2026-10-10", "2026-10-17"]);
    let hour = rows_with(&[], &by_day(&["Hour"]))[0]["Hour"].as_str().unwrap().to_owned();
    assert!(hour.starts_with("10/05/2026 ") && hour.len() == 19, "{hour}");
    let snake = rows_with(&[("statistics_names", "snake")], &by_day(&["AdsetId"]));
    assert!(snake[0]["adset_id"].is_string() && snake[0]["advertiser_cost"].is_string(), "{}", snake[0]);
}

#[test]
fn split_rows_add_up_to_the_truth() {
    let query = by_day(&["AdvertiserId", "Day"]);
    let sums = |rows: &[Value]| {
        let mut sums: BTreeMap<String, (i64, i128)> = BTreeMap::new();
        for row in rows {
            let sum = sums.entry(row["Day"].to_string()).or_default();
            // Money in hundredths of a cent.
            let (whole, fraction) =
                row["AdvertiserCost"].as_str().map(|cost| cost.split_once('.').unwrap_or((cost, ""))).unwrap();
            sum.0 += row["Clicks"].as_str().unwrap().parse::<i64>().unwrap();
            sum.1 += format!("{whole}{fraction:0<6}").parse::<i128>().unwrap();
        }
        sums
    };
    let (usual, split, twins) = (
        rows_with(&[], &query),
        rows_with(&[("repeated_keys", "split")], &query),
        rows_with(&[("repeated_keys", "identical")], &query),
    );
    assert!(split.len() > usual.len() && split.len() == twins.len());
    assert_eq!(sums(&split), sums(&usual));
    assert_ne!(sums(&twins), sums(&usual));
    let rounded = rows_with(&[("money_rounding", "whole_units")], &query);
    assert!(rounded.iter().all(|row| !row["AdvertiserCost"].as_str().unwrap().contains('.')));
}

#[test]
fn switches_can_be_set_by_control_port_and_command_line() {
    let sandbox = doubtful_world();
    let url = format!("{}/unknowns", sandbox.control_url());
    let (status, _) = http("POST", &url, None, Some(&json!({"week_start": "sunday", "day_spelling": "slash"})));
    assert_eq!((status, sandbox.world().unknown("week_start")), (200, "sunday"));
    let (status, response) = http("POST", &url, None, Some(&json!({"week_start": "saturday", "day_spelling": "dots"})));
    assert_eq!((status, sandbox.world().unknown("week_start")), (400, "sunday"), "all or none");
    assert!(response["error"].as_str().unwrap().contains("day_spelling"));
    let (_, all) = http("GET", &url, None, None);
    let count = UNKNOWNS.len() + RETAIL_MEDIA_UNKNOWNS.len();
    assert_eq!((all.as_object().unwrap().len(), &all["day_spelling"]), (count, &json!("slash")));
}

#[test]
fn the_first_available_day_is_exposed() {
    let sandbox = doubtful_world();
    let first = |switch: &str, value: &str, report: &str, zone: &str| {
        let mut unknowns = Unknowns::default();
        unknowns.set(switch, value).unwrap();
        sandbox.change(|options| options.unknowns = unknowns);
        sandbox.world().served_from(report, zone).unwrap().to_string()
    };
    assert_eq!(first("placements_floor", "documented", "placements", "UTC"), "2026-08-03");
    assert_eq!(first("placements_floor", "documented", "placements", "Pacific/Auckland"), "2026-08-04");
    assert_eq!(first("placements_floor", "documented_by_utc", "placements", "Pacific/Auckland"), "2026-08-03");
    assert_eq!(first("placements_floor", "calendar_months", "placements", "UTC"), "2026-08-01");
    assert_eq!(first("placements_floor", "three_days_later", "placements", "UTC"), "2026-08-06");
    assert_eq!(first("hourly_floor", "30_days", "hourly", "UTC"), "2026-10-02");
    assert_eq!(first("statistics_floor", "one_day_later", "statistics", "UTC"), "2024-11-02");
    assert_eq!(sandbox.world().served_from("statistics", "Mars/Olympus"), None);
}
