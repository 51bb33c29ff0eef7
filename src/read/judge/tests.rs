use chrono::Weekday;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error::Cause;
use crate::products::{self, Source, Stream};
use crate::read::judge::rehearsal::Rehearsal;
use crate::read::judge::*;
use crate::rows::project::Projection;

fn stream_of(name: &str, more: &Value) -> (Stream, Report) {
    let mut config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "custom_reports": [
        {"name": "days", "dimensions": ["Day", "Os"], "metrics": ["Clicks", "AdvertiserCost"]},
        {"name": "ratios", "dimensions": ["Day", "Os"], "metrics": ["Clicks", "ClickThroughRate"]},
        {"name": "hours", "dimensions": ["Hour", "CampaignId"], "metrics": ["Clicks"]},
        {"name": "weeks", "dimensions": ["Week"], "metrics": ["Clicks"]},
        {"name": "months", "dimensions": ["Month"], "metrics": ["Clicks"]},
        {"name": "years", "dimensions": ["Year"], "metrics": ["Clicks"]},
        {"name": "categories", "dimensions": ["Day", "CategoryId"], "metrics": ["Clicks"]},
    ]});
    for (name, value) in more.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    let config = Config::parse(&config.to_string()).unwrap();
    let stream = products::streams(&config.reports).into_iter().find(|stream| stream.name == name).unwrap();
    let Source::Report(report) = stream.source.clone() else { panic!("{name} is not a report") };
    (stream, report)
}

fn window(start: &str, end: &str) -> Window {
    Window { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

/// Validates a response for October 2026, and rehearses writing it if valid.
struct Asked {
    stream: Stream,
    report: Report,
    window: Window,
    advertisers: Vec<AdvertiserId>,
    is_compared: bool,
}

impl Asked {
    fn of(name: &str) -> Self {
        Self::with(name, &Value::Null)
    }

    fn with(name: &str, more: &Value) -> Self {
        let (stream, report) = stream_of(name, more);
        let advertisers = vec![AdvertiserId("7".into()), AdvertiserId("8".into())];
        Self { stream, report, window: window("2026-10-05", "2026-10-25"), advertisers, is_compared: false }
    }

    fn one(mut self) -> Self {
        self.advertisers.truncate(1);
        self
    }

    fn compared(self) -> Self {
        Self { is_compared: true, ..self }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            report: &self.report,
            metrics: &self.report.metrics,
            window: self.window,
            advertisers: &self.advertisers,
            is_compared: self.is_compared,
        }
    }

    fn judge(&self, body: &str) -> Result<Judged> {
        let judged = judge(body, &self.expected());
        if judged.is_ok() {
            rehearse(body, &self.expected(), &self.stream).unwrap();
        }
        judged
    }

    fn error(&self, body: &str) -> Error {
        match self.judge(body) {
            Err(error) => error,
            Ok(judged) => panic!("{body} was accepted as {judged:?}"),
        }
    }

    /// The records written for a response.
    fn records(&self, body: &str) -> Vec<Value> {
        let judged = self.judge(body).unwrap();
        let mut sink = Kept(Rehearsal { plan: Projection::new(&self.stream, &|_| true), line: Vec::new() }, Vec::new());
        sink.0.plan.start_slice(&constants(&self.report, self.window, &self.advertisers));
        envelope::check_into(judged.merged.as_ref().map_or(body, |merged| &merged.body), Shape::Report, &mut sink)
            .unwrap();
        sink.1
    }
}

struct Kept(Rehearsal, Vec<Value>);

impl RowSink for Kept {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.0.row(row)?;
        self.1.push(serde_json::from_slice(&self.0.line).unwrap());
        Ok(())
    }
}

fn row(day: &str) -> String {
    format!(r#"[{{"AdvertiserId":"7","Day":"{day}","Os":"iOS","Clicks":"1","AdvertiserCost":"0.5"}}]"#)
}

#[test]
fn only_requested_days_and_advertisers_are_accepted() {
    let asked = Asked::of("custom_days");
    for day in ["2026-10-05", "2026-10-25", "2026/10/25", "10/25/2026", "10/25/2026 00:00:00", "2026-10-25T23:59:59Z"] {
        assert_eq!(asked.judge(&row(day)).unwrap().rows, 1, "{day}");
    }
    for day in ["2026-10-04", "2026-10-26", "2025-10-05", "2026-10-26T01:00:00Z", "2026-10-25T23:00:00-02:00"] {
        let error = asked.error(&row(day));
        assert_eq!(error.cause, Some(Cause::OutsideRequest), "{day}");
        assert!(error.message.contains(day) && error.message.contains("2026-10-05 to 2026-10-25"), "{}", error.message);
    }
    let error = asked.error(&row("2026-10-05").replace("\"7\"", "\"9\""));
    assert_eq!(error.cause, Some(Cause::OutsideRequest));
    assert!(error.message.contains("advertiser 9"), "{}", error.message);
    let nobody = row("2026-10-05").replace("\"7\"", "null");
    assert_eq!(asked.error(&nobody).cause, Some(Cause::OutsideRequest));
    assert_eq!(Asked::of("custom_days").one().judge(&nobody).unwrap().sums.rows().count(), 1);
}

#[test]
fn instants_are_converted_to_the_reports_time_zone() {
    let new_york = Asked::with("custom_days", &json!({"timezone": "America/New_York"}));
    let records = new_york.records(&row("2026-10-10T02:00:00Z"));
    assert_eq!(records[0]["day"], "2026-10-09");
    assert_eq!(new_york.records(&row("2026-10-10T02:00:00"))[0]["day"], "2026-10-10");
    assert_eq!(new_york.error(&row("2026-10-05T02:00:00Z")).cause, Some(Cause::OutsideRequest));
    let sums = new_york.judge(&row("2026-10-10T02:00:00Z")).unwrap().sums;
    assert_eq!(sums.rows().collect::<Vec<_>>(), [(7, "2026-10-09".parse().unwrap(), 1)]);
}

#[test]
fn hours_are_read_in_us_format() {
    let asked = Asked::of("custom_hours");
    let row = |hour: &str, day: &str| {
        format!(r#"[{{"AdvertiserId":"7","CampaignId":"1","Hour":"{hour}","Day":"{day}","Clicks":"1"}}]"#)
    };
    for hour in ["10/09/2026 05:00:00", "2026-10-09T05:00:00", "2026-10-09 05:00", "10/9/2026 5:00:00 AM"] {
        let records = asked.records(&row(hour, "10/09/2026"));
        assert_eq!(
            (&records[0]["hour"], &records[0]["day"]),
            (&json!("2026-10-09T05:00:00Z"), &json!("2026-10-09")),
            "{hour}"
        );
    }
    assert_eq!(asked.error(&row("10/26/2026 00:00:00", "2026-10-25")).cause, Some(Cause::OutsideRequest));
    let error = asked.error(&row("noon", "2026-10-09"));
    assert!(error.message.contains("hour") && error.message.contains("noon"), "{}", error.message);
}

#[test]
fn periods_are_read_in_every_format() {
    for (name, column, start, end, spellings) in [
        ("custom_weeks", "week", "2026-11-09", "2026-11-22", &["2026-W46", "11/09/2026", "2026-11-09T00:00:00"][..]),
        ("custom_months", "month", "2026-11-01", "2026-11-30", &["2026-11", "11/01/2026", "2026/11/1"]),
        ("custom_years", "year", "2026-01-01", "2026-12-31", &["2026", "01/01/2026", "2026-01-01"]),
    ] {
        let asked = Asked { window: window(start, end), ..Asked::of(name) };
        for spelling in spellings {
            let body = format!(r#"[{{"AdvertiserId":"7","{column}":"{spelling}","Clicks":"1"}}]"#);
            assert_eq!(asked.records(&body)[0][column], start, "{spelling}");
        }
        let body = format!(r#"[{{"AdvertiserId":"7","{column}":"someday","Clicks":"1"}}]"#);
        let error = asked.error(&body);
        assert!(error.message.contains(column) && error.message.contains("someday"), "{}", error.message);
    }
    // Rows of a window that starts within a month are labeled with the first day of that month.
    let asked = Asked { window: window("2026-11-10", "2026-11-30"), ..Asked::of("custom_months") };
    let month = |month: &str| format!(r#"[{{"AdvertiserId":"7","Month":"{month}","Clicks":"1"}}]"#);
    assert_eq!(asked.judge(&month("2026-11-01")).unwrap().rows, 1);
    assert_eq!(asked.error(&month("2026-10-01")).cause, Some(Cause::OutsideRequest));
}

#[test]
fn another_week_start_is_distinguished_from_unrequested_rows() {
    let asked = Asked { window: window("2026-11-09", "2026-11-22"), ..Asked::of("custom_weeks") };
    let weeks = |days: &[&str]| {
        let rows = days.iter().map(|day| format!(r#"{{"AdvertiserId":"7","Week":"{day}","Clicks":"1"}}"#));
        format!("[{}]", rows.collect::<Vec<_>>().join(","))
    };
    for days in
        [&["2026-11-08", "2026-11-15", "2026-11-22"][..], &["2026-11-15"], &["2026-11-09", "2026-11-15", "2026-11-22"]]
    {
        assert_eq!(asked.error(&weeks(days)).cause, Some(Cause::WeekStart(Weekday::Sun)), "{days:?}");
    }
    assert_eq!(asked.judge(&weeks(&["2026-11-09", "2026-11-16"])).unwrap().rows, 2);
    assert_eq!(asked.error(&weeks(&["2026-11-02"])).cause, Some(Cause::OutsideRequest));
    assert_eq!(asked.error(&weeks(&["2026-11-08", "2026-11-17"])).cause, Some(Cause::OutsideRequest));
}

#[test]
fn a_key_missing_in_every_row_is_a_changed_format() {
    let asked = Asked::of("campaign_statistics_daily");
    let error = asked.error(r#"[{"AdvertiserId":"7","Campagne":"1","Day":"2026-10-05","Clicks":"1"}]"#);
    assert_eq!(error.kind, crate::error::Kind::System);
    assert!(error.message.contains("campaign_id") && error.message.contains("Campagne"), "{}", error.message);
    // A null value does not make a column missing.
    let body = r#"[{"AdvertiserId":"7","CampaignId":null,"Day":"2026-10-05","Clicks":"1"}]"#;
    assert_eq!(asked.judge(body).unwrap().rows, 1);
    let without_advertiser = r#"[{"CampaignId":"1","Day":"2026-10-05","Clicks":"1"}]"#;
    assert!(asked.error(without_advertiser).message.contains("advertiser_id"));
    assert_eq!(Asked::of("campaign_statistics_daily").one().judge(without_advertiser).unwrap().rows, 1);
}

#[test]
fn rows_with_the_same_key_are_summed_exactly() {
    let asked = Asked::of("custom_days");
    let body = r#"{"Rows":[
        {"AdvertiserId":"7","Day":"2026-10-05","Os":"","Clicks":"1","AdvertiserCost":"0.10"},
        {"AdvertiserId":"8","Day":"2026-10-05","Os":"iOS","Clicks":"9","AdvertiserCost":"9"},
        {"AdvertiserId":7,"Day":"10/05/2026","Os":null,"Clicks":2,"AdvertiserCost":0.20},
        {"AdvertiserId":"7","Day":"2026-10-05","Clicks":"4E0","AdvertiserCost":null,"Currency":"eur"}
    ]}"#;
    let judged = asked.judge(body).unwrap();
    let merged = judged.merged.unwrap();
    assert_eq!((judged.rows, merged.rows, merged.dropped), (4, 2, 0));
    let mut records = asked.records(body);
    records.sort_by_key(|record| record["advertiser_id"].to_string());
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["clicks"], 7);
    assert_eq!(records[0]["advertiser_cost"], 0.3);
    assert!(asked.judge(body).unwrap().merged.unwrap().body.contains(r#""advertiser_cost":0.30"#));
    assert_eq!((&records[0]["os"], &records[0]["currency"]), (&json!(""), &json!("EUR")));
    assert_eq!(records[1]["clicks"], 9);
}

#[test]
fn rows_that_cannot_be_summed_fail_the_stream_and_name_their_key() {
    let asked = Asked::of("custom_ratios");
    let rows = |left: &str, right: &str| {
        let row = |rest: &str| format!(r#"{{"AdvertiserId":"7","Day":"2026-10-05","Os":"iOS",{rest}}}"#);
        format!("[{},{}]", row(left), row(right))
    };
    let error =
        asked.error(&rows(r#""Clicks":"1","ClickThroughRate":"0.1""#, r#""Clicks":"2","ClickThroughRate":"0.2""#));
    assert_eq!(error.cause, Some(Cause::RepeatedKey));
    for part in ["2 rows", "day 2026-10-05", "os iOS", "ClickThroughRate", "row_number"] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    // Equal rows are deduplicated, unless the totals check follows.
    let twins = rows(r#""Clicks":"1","ClickThroughRate":"0.1""#, r#""Clicks":"1","ClickThroughRate":"0.1""#);
    let merged = asked.judge(&twins).unwrap().merged.unwrap();
    assert_eq!((merged.rows, merged.dropped), (0, 1));
    assert_eq!(asked.records(&twins).len(), 1);
    assert_eq!(Asked::of("custom_ratios").compared().error(&twins).cause, Some(Cause::RepeatedKey));
    let unlike =
        rows(r#""Clicks":"1","ClickThroughRate":"0.1","New":1"#, r#""Clicks":"1","ClickThroughRate":"0.1","New":2"#);
    assert_eq!(asked.error(&unlike).cause, Some(Cause::RepeatedKey));
    // Additive rows are summed if the totals check verifies the result.
    let days = rows(r#""Clicks":"1","AdvertiserCost":"0.5""#, r#""Clicks":"1","AdvertiserCost":"0.5""#);
    let merged = Asked::of("custom_days").compared().judge(&days).unwrap().merged.unwrap();
    assert_eq!((merged.rows, merged.dropped), (1, 0));
    let misfit = rows(r#""Clicks":"1","AdvertiserCost":"0.5""#, r#""Clicks":"N/A","AdvertiserCost":"0.5""#);
    assert_eq!(Asked::of("custom_days").error(&misfit).cause, Some(Cause::RepeatedKey));
    // Names are not part of the key and must match.
    let asked = Asked::of("campaign_statistics_daily").compared();
    let names = r#"[{"AdvertiserId":"7","CampaignId":"1","Campaign":"a","Day":"2026-10-05","Clicks":"1"},
        {"AdvertiserId":"7","CampaignId":"1","Campaign":"b","Day":"2026-10-05","Clicks":"1"}]"#;
    let error = asked.error(names);
    assert_eq!((error.cause, error.kind), (Some(Cause::RepeatedKey), crate::error::Kind::System));
}

#[test]
fn numbered_rows_may_share_a_key() {
    let asked = Asked::of("custom_categories");
    let body = r#"[{"AdvertiserId":"7","Day":"2026-10-05","CategoryId":"1","Clicks":"1"},
        {"AdvertiserId":"7","Day":"2026-10-05","CategoryId":"1","Clicks":"1"}]"#;
    assert!(asked.judge(body).unwrap().merged.is_none());
    let numbers: Vec<_> = asked.records(body).iter().map(|record| record["row_number"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
    // Any custom report can number its rows.
    let (_, mut report) = stream_of("custom_ratios", &Value::Null);
    report.numbers_rows = true;
    assert!(report.needs_row_number() && report.primary_key().contains(&"row_number".to_owned()));
    let asked = Asked { report, ..Asked::of("custom_ratios") };
    let body = r#"[{"AdvertiserId":"7","Day":"2026-10-05","Os":"a","Clicks":"1","ClickThroughRate":"0.1"},
        {"AdvertiserId":"7","Day":"2026-10-05","Os":"a","Clicks":"2","ClickThroughRate":"0.2"}]"#;
    assert!(judge(body, &asked.expected()).unwrap().merged.is_none());
}

#[test]
fn currencies_are_reported_and_written_in_upper_case() {
    let asked = Asked::of("custom_days");
    let with = |currency: &str| row("2026-10-05").replace("\"Os\"", &format!("\"Currency\":\"{currency}\",\"Os\""));
    assert!(asked.judge(&with("EUR")).unwrap().notes.is_empty());
    let notes = asked.judge(&with("eur")).unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert_eq!(asked.records(&with("eur"))[0]["currency"], "EUR");
    let another = asked.judge(&with("usd")).unwrap_err();
    assert_eq!(another.cause, Some(Cause::OutsideRequest));
    assert!(another.message.contains("USD") && another.message.contains("EUR"), "{another:?}");
}

#[test]
fn rows_that_cannot_be_summed_are_counted() {
    let asked = Asked::of("custom_days").compared();
    let body = row("2026-10-05").replace("\"1\"", "\"N/A\"");
    assert_eq!(asked.judge(&body).unwrap().unsummed, 1);
    assert_eq!(asked.judge(&row("2026-10-05")).unwrap().unsummed, 0);
    // Too large for the columns of a table.
    for (number, unsummed) in [("9".repeat(18), 0), ("9".repeat(19), 1)] {
        let body = row("2026-10-05").replace("\"1\"", &format!("\"{number}\""));
        assert_eq!(asked.judge(&body).unwrap().unsummed, unsummed, "{number}");
    }
}

#[test]
fn marketplace_columns_are_accepted_in_both_spellings() {
    let asked = Asked { window: window("2026-10-05", "2026-10-05"), ..Asked::of("mpo_seller_statistics").one() };
    for (any, units) in [("", "saleUnits"), ("AnySeller", "saleUnits"), ("AnySeller", "salesUnits")] {
        let columns = [
            "sellerId",
            "day",
            "impressions",
            "clicks",
            &format!("{units}{any}"),
            &format!("{units}SameSeller"),
            &format!("revenue{any}"),
            "revenueSameSeller",
        ]
        .map(str::to_owned);
        let body =
            json!({"columns": columns, "data": [["s", "2026-10-05", 1, 2, 3, 4, 5.5, 6.5]], "rows": 1}).to_string();
        let record = asked.records(&body).remove(0);
        let found = ["sale_units", "sale_units_same_seller", "revenue", "revenue_same_seller"]
            .map(|name| record[name].to_string());
        assert_eq!(found, ["3", "4", "5.5", "6.5"], "{body}");
    }
}

#[test]
fn marketplace_hours_are_read_in_every_format() {
    let asked = Asked::with("mpo_campaign_statistics", &json!({"mpo_interval": "Hour"})).one();
    for hour in ["2026-10-09T05:00:00", "2026-10-09 05:00:00", "10/09/2026 05:00:00", "2026-10-09T05:00:00Z"] {
        let body = json!({"columns": ["campaignId", "hour", "clicks"], "data": [["1", hour, 1]]}).to_string();
        assert_eq!(asked.records(&body)[0]["hour"], "2026-10-09T05:00:00Z", "{hour}");
    }
}

#[test]
fn reports_without_a_time_column_take_the_requested_day() {
    let day = window("2026-10-09", "2026-10-09");
    let asked = Asked { window: day, ..Asked::of("placements_daily").compared() };
    let body = r#"{"data":[{"attributes":{"rows":[{"advertiserId":"7","campaignId":"1","adsetId":"2","environment":"Web",
        "placement":"a","clicks":1,"displays":"2","cost":0.5}]}}]}"#;
    let sums = asked.judge(body).unwrap().sums;
    assert_eq!(sums.rows().collect::<Vec<_>>(), [(7, day.start, 1)]);
    assert_eq!(asked.records(body)[0]["day"], "2026-10-09");
}

/// A row in a random spelling, with the expected values.
fn spelled() -> impl Strategy<Value = (Value, u64, u32, u64)> {
    (7u64..9, 5u32..26, 0u64..1000, 0usize..8, 0usize..3, any::<bool>(), 0usize..3).prop_map(
        |(advertiser, day, clicks, spelling, case, is_wrapped, number)| {
            let text = match spelling {
                0 => format!("2026-10-{day:02}"),
                1 => format!("2026-10-{day:02}T00:00:00"),
                2 => format!("2026/10/{day}"),
                3 => format!("10/{day:02}/2026"),
                4 => format!("10/{day:02}/2026 00:00:00"),
                5 => format!("2026-10-{day:02}T00:00:00Z"),
                6 => format!("2026-10-{day:02} 03:04:05.678"),
                _ => format!(" 10/{day}/2026 1:00:00 PM"),
            };
            let clicks_text = match number {
                0 => json!(clicks),
                1 => json!(clicks.to_string()),
                _ => json!(format!("{clicks}.0e0")),
            };
            let id = if number == 0 { json!(advertiser) } else { json!(advertiser.to_string()) };
            let wrap = |value: Value| if is_wrapped { json!({"Value": value}) } else { value };
            let name = |name: &str| match case {
                0 => name.to_owned(),
                1 => name.to_lowercase(),
                _ => name.to_uppercase(),
            };
            let members: Map<String, Value> = [
                (name("AdvertiserId"), wrap(id)),
                (name("Day"), wrap(json!(text))),
                (name("Os"), json!(format!("{clicks}"))),
                (name("Clicks"), wrap(clicks_text)),
            ]
            .into_iter()
            .collect();
            let row = if spelling == 1 { json!({"Attributes": members}) } else { Value::Object(members) };
            (row, advertiser, day, clicks)
        },
    )
}

proptest! {
    #[test]
    fn every_written_row_was_counted(rows in prop::collection::vec(spelled(), 1..30), envelope in 0usize..4) {
        let list: Vec<Value> = rows.iter().map(|(row, ..)| row.clone()).collect();
        let body = match envelope {
            0 => json!(list),
            1 => json!({"Rows": list}),
            2 => json!({"DATA": list}),
            _ => json!({"data": [{"attributes": {"Rows": list}}]}),
        }.to_string();
        let asked = Asked::of("custom_days").compared();
        let judged = asked.judge(&body).unwrap();
        prop_assert_eq!(judged.unsummed, 0);
        prop_assert_eq!(judged.rows, rows.len() as u64);
        let records = asked.records(&body);
        let mut wanted = std::collections::HashMap::<_, (f64, u32)>::new();
        for (_, advertiser, day, clicks) in &rows {
            let sum = wanted.entry((*advertiser, NaiveDate::from_ymd_opt(2026, 10, *day).unwrap())).or_default();
            sum.0 += u32::try_from(*clicks).map(f64::from).unwrap();
            sum.1 += 1;
        }
        let found: std::collections::HashMap<_, _> =
            judged.sums.by_key.iter().map(|(key, sum)| (*key, (sum.values[1], sum.rows))).collect();
        prop_assert_eq!(&found, &wanted);
        // The records have the same sums.
        let mut written = std::collections::HashMap::<_, f64>::new();
        for record in &records {
            let key = (record["advertiser_id"].as_str().unwrap().parse::<u64>().unwrap(), record["day"].as_str().unwrap().parse::<NaiveDate>().unwrap());
            *written.entry(key).or_default() += record["clicks"].as_f64().unwrap();
        }
        let wanted: std::collections::HashMap<_, _> = wanted.into_iter().map(|(key, (clicks, _))| (key, clicks)).collect();
        prop_assert_eq!(written, wanted);
    }
}
