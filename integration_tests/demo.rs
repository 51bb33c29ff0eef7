//! The demo: a world that looks like real accounts, a tour of it, and the commands in it.

use criteo_sandbox::{Options, World};
use serde_json::{Map, Value, json};

use crate::harness::Bench;

/// The rows of a report in the demo's world.
fn rows(dimensions: &[&str], metrics: &[&str], currency: &str) -> Vec<Map<String, Value>> {
    let query = json!({"advertiserIds": "1001,1002,1003", "startDate": "2026-08-03", "endDate": "2026-10-31",
        "dimensions": dimensions, "metrics": metrics, "currency": currency, "format": "json"});
    World::new(Options::plausible()).report_truth("statistics", &query).unwrap()
}

fn number(row: &Map<String, Value>, metric: &str) -> f64 {
    row[metric].as_str().unwrap().parse().unwrap()
}

/// Fails for strings that real accounts rarely have, anywhere in a document.
fn assert_readable(value: &Value) {
    match value {
        Value::String(text) => {
            let is_odd = |letter: char| letter.is_control() || letter == '\u{2028}' || letter == '\\';
            assert!(!text.contains(is_odd) && text.len() < 100, "{text:?}");
        }
        Value::Array(values) => values.iter().for_each(assert_readable),
        Value::Object(members) => members.values().for_each(assert_readable),
        _ => {}
    }
}

#[test]
fn campaigns_of_the_demo_have_plausible_numbers() {
    let metrics = [
        "Displays",
        "Clicks",
        "AdvertiserCost",
        "SalesPc30d",
        "RevenueGeneratedPc30d",
        "ClickThroughRate",
        "RoasPc30d",
    ];
    let days = rows(&["AdvertiserId", "CampaignId", "Day"], &metrics, "EUR");
    assert_eq!(days.len(), 90 * 9);
    for day in &days {
        let (displays, clicks, cost) = (number(day, "Displays"), number(day, "Clicks"), number(day, "AdvertiserCost"));
        let (sales, revenue) = (number(day, "SalesPc30d"), number(day, "RevenueGeneratedPc30d"));
        assert!((100.0..10_000.0).contains(&cost), "{day:?}");
        assert!((0.001..0.03).contains(&(clicks / displays)), "{day:?}");
        assert!((0.002..0.1).contains(&(sales / clicks)), "{day:?}");
        assert!((0.5..20.0).contains(&(revenue / cost)), "{day:?}");
        // Ratios follow from the sums.
        assert!((number(day, "ClickThroughRate") - clicks / displays).abs() < 1e-5, "{day:?}");
        assert!((number(day, "RoasPc30d") - revenue / cost).abs() < 1e-5, "{day:?}");
        assert_readable(&Value::Object(day.clone()));
    }
    for currency in ["EUR", "USD"] {
        for row in rows(&["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"], &["AdvertiserCost"], currency) {
            let cost = row["AdvertiserCost"].as_str().unwrap();
            assert!(cost.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 2), "{cost}");
        }
    }
}

#[test]
fn spend_in_the_demo_follows_the_week_and_the_season() {
    let spend = |dimension: &str, value: &dyn Fn(&str) -> bool| -> f64 {
        let rows = rows(&["AdvertiserId", dimension], &["AdvertiserCost"], "EUR");
        let of = rows.iter().filter(|row| value(row[dimension].as_str().unwrap()));
        of.map(|row| number(row, "AdvertiserCost")).sum()
    };
    let is_on = |weekday: &'static str| {
        move |day: &str| day.parse::<chrono::NaiveDate>().unwrap().format("%a").to_string() == weekday
    };
    // Twelve Sundays and thirteen Saturdays.
    assert!(spend("Day", &is_on("Sun")) / 12.0 > spend("Day", &is_on("Sat")) / 13.0 * 1.1);
    assert!(spend("Month", &|month| month == "2026-10-01") > spend("Month", &|month| month == "2026-09-01") * 1.05);
}

#[test]
fn sums_of_the_demo_are_equal_over_any_dimensions() {
    let metrics = ["Displays", "Clicks", "AdvertiserCost", "SalesPc7d", "RevenueGeneratedAllPc30d", "ViewableDisplays"];
    let sums = |dimensions: &[&str], currency: &str| {
        let rows = rows(dimensions, &metrics, currency);
        // In hundredths, which are whole numbers; as text, so that they compare exactly.
        metrics.map(|metric| rows.iter().map(|row| (number(row, metric) * 100.0).round()).sum::<f64>().to_string())
    };
    for currency in ["EUR", "USD", "CHF"] {
        let total = sums(&["AdvertiserId"], currency);
        assert!(total.iter().all(|sum| sum != "0"));
        for dimensions in
            [&["AdvertiserId", "Device", "Os", "Day"][..], &["AdId", "Hour"], &["Category", "Coupon", "Channel"]]
        {
            assert_eq!(sums(dimensions, currency), total, "{dimensions:?} in {currency}");
        }
    }
}

#[test]
fn objects_of_the_demo_have_names_and_amounts_of_real_accounts() {
    let world = World::new(Options::plausible());
    for name in
        ["advertisers", "campaigns", "ad_sets", "ads", "audiences", "coupons", "audience_segments", "product_sets"]
    {
        let objects = world.stream(name, "2026-07").unwrap();
        assert!(!objects.is_empty(), "{name}");
        objects.iter().for_each(assert_readable);
    }
    let ad_sets = world.stream("ad_sets", "2026-07").unwrap();
    let names: std::collections::BTreeSet<_> = ad_sets.iter().map(|of| of["attributes"]["name"].to_string()).collect();
    assert_eq!(names.len(), ad_sets.len());
    for ad_set in ad_sets {
        let (budget, bid) =
            (&ad_set["attributes"]["budget"]["budgetAmount"], &ad_set["attributes"]["bidding"]["bidAmount"]);
        assert!((100.0..10_000.0).contains(&budget.as_f64().unwrap()), "{budget}");
        assert!((0.2..1.0).contains(&bid.as_f64().unwrap()), "{bid}");
    }
    let query = json!({"data": [{"attributes": {"advertiserIds": "1001,1002,1003", "startDate": "2026-10-01", "endDate": "2026-10-31",
        "currency": "EUR", "format": "json"}}]});
    let orders = world.report_truth("transactions", &query).unwrap();
    assert!(
        !orders.is_empty() && orders.iter().all(|order| (10.0..500.0).contains(&number(order, "amount"))),
        "{orders:?}"
    );
}

#[test]
fn the_demo_shows_spend_a_proven_sync_and_what_to_do_next() {
    let bench = Bench::new(Options::default(), 1);
    let output = bench.program().arg("demo").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    let parts = [
        "Spend by campaign",
        "the revenue and ROAS of the last 30 days still grow.",
        "Spend by day",
        "88 of 88 settled days agree",
        "\nReport: ",
        "criteo-demo.html",
        "\nNext\n",
    ];
    let places: Vec<_> =
        parts.iter().map(|part| shown.find(part).unwrap_or_else(|| panic!("{part}: {shown}"))).collect();
    assert!(places.is_sorted() && !shown.contains('\u{1b}'), "{shown}");
    let page = std::fs::read_to_string(bench.directory.join("criteo-demo.html")).unwrap();
    assert!(page.contains("88 of 88") && page.contains("Demo Shoes"), "{page}");
    assert!(page.contains("the revenue and ROAS of the last 30 days still grow."), "{page}");
    // The page and the summary have the same figures.
    let summary = shown.lines().find(|line| line.starts_with("2 streams: ")).unwrap_or_else(|| panic!("{shown}"));
    let mut figures = summary.trim_end_matches('.').split(", ").skip(1);
    let (requests, duration) = (figures.next().unwrap(), figures.next().unwrap());
    let tile = |label: &str, value: &str| format!("<dt>{label}</dt><dd>{value}<");
    let tiles = [tile("Requests", requests.split(' ').next().unwrap()), tile("Duration", duration)];
    assert!(tiles.iter().all(|tile| page.contains(tile)), "{tiles:?}: {page}");
    // The table shows what the simulated Criteo has: last week's cost by campaign.
    let query = json!({"advertiserIds": "1001,1002,1003", "startDate": "2026-10-25", "endDate": "2026-10-31",
        "dimensions": ["AdvertiserId", "Campaign"], "metrics": ["AdvertiserCost"], "currency": "EUR", "format": "json"});
    for row in World::new(Options::plausible()).report_truth("statistics", &query).unwrap() {
        let name = row["Campaign"].as_str().unwrap();
        let line = shown.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {shown}"));
        let cost = format!("{:.2}", number(&row, "AdvertiserCost"));
        assert!(line.replace(',', "").contains(&cost), "{cost}: {line}");
    }
    // The commands it suggests exist.
    for line in shown.lines().skip_while(|line| *line != "Next").filter(|line| line.contains("source-criteo ")) {
        let words = line.trim().split("  ").next().unwrap().split('|').next().unwrap();
        let help = bench.program().args(words.split_whitespace().skip(1)).arg("--help").output().unwrap();
        assert_eq!(help.status.code(), Some(0), "{line}");
    }
}

#[test]
fn commands_of_the_demo_take_the_flags_of_the_real_ones() {
    let bench = Bench::new(Options::default(), 1);
    // A configuration of the user's is not the demo's.
    std::fs::write(bench.directory.join("criteo.json"), "{").unwrap();
    let run = |line: &str| {
        let mut program = bench.program();
        program.env("CRITEO_CONFIG", "missing.json").args(line.split(' '));
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let records = |text: &str, name: &str| {
        let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.filter(|message| message["record"]["stream"] == name).count()
    };
    let campaigns = run("demo read --streams campaigns");
    assert_eq!(records(&campaigns, "campaigns"), campaigns.matches("\"RECORD\"").count());
    assert_eq!(records(&campaigns, "campaigns"), 9);
    let report = "campaign_statistics_daily";
    let days =
        run(&format!("demo read --streams {report} --since 2026-10-01 --until 2026-10-07 --state-file state.json"));
    assert_eq!(records(&days, report), 7 * 9);
    assert!(std::fs::read_to_string(bench.directory.join("state.json")).unwrap().contains(report));
    assert_eq!(records(&run(&format!("demo read --streams {report} --dry-run")), report), 0);
    assert!(run("demo streams --format csv").contains("custom_devices"));
    assert!(run("demo explain custom_devices").contains("Device"));
    assert!(run("demo check --exit-code").contains("SUCCEEDED"));
    assert_eq!(run("demo preview campaigns --rows 2 --columns id,name --format csv").lines().count(), 3);
    assert!(!run("demo report").contains("RECORD"));
    let page = std::fs::read_to_string(bench.directory.join("report.html")).unwrap();
    assert!(page.contains("Complete: ") && page.contains("Spend, clicks and ROAS"));
    #[cfg(feature = "files")]
    assert_eq!(run("demo read --streams campaigns --format csv").lines().count(), 10);
}
