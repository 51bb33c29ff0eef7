//! Tests of Retail Media without a network.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Days;
use serde_json::{Map, Value, json};

use super::jobs::Jobs;
use super::{RETAIL_MEDIA_UNKNOWNS, answer, foreign, route};
use crate::options::{Options, Product};
use crate::retail_media::ids::{Kind, retailer_id};
use crate::wire::{Reply, Request};
use crate::world::World;

/// A client of a world.
struct Client {
    world: World,
    jobs: Jobs,
}

impl Client {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { product: Product::RetailMedia, ..Options::default() };
        change(&mut options);
        Self { world: World::new(options), jobs: Jobs::default() }
    }

    fn send(&self, method: &str, url: &str, attributes: Option<Value>) -> Reply {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let body = attributes.map(|attributes| json!({"data": {"type": "Request", "attributes": attributes}}));
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: parameters.iter().cloned().collect(),
            parameters,
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
            ..Request::default()
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        answer(&self.world, &parts, &request, &self.jobs)
            .unwrap_or_else(|problem| problem.reply(&self.world.options.unknowns))
    }

    fn get(&self, url: &str) -> (u16, Value) {
        let reply = self.send("GET", &format!("/2026-07/retail-media/{url}"), None);
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    fn post(&self, url: &str, attributes: Value) -> (u16, Value) {
        let reply = self.send("POST", &format!("/2026-07/retail-media/{url}"), Some(attributes));
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// The id and final status of a job, and its file.
    fn job(&self, create: &str, places: &str, attributes: Value) -> (String, Value, String) {
        let (status, created) = self.post(create, attributes);
        assert!(status < 300, "{created}");
        let id = created["data"]["id"].as_str().unwrap().to_owned();
        let (_, status) = self.get(&format!("{places}/{id}/status"));
        let output = self.send("GET", &format!("/2026-07/retail-media/{places}/{id}/output"), None);
        (id, status["data"]["attributes"].clone(), String::from_utf8_lossy(&output.body).into_owned())
    }
}

impl Client {
    /// The file of a job that is pending once.
    fn job_polled(&self, create: &str, places: &str, attributes: Value) -> String {
        let created = self.post(create, attributes).1;
        let Some(id) = created["data"]["id"].as_str() else { return created.to_string() };
        for _ in 0..2 {
            let _ = self.get(&format!("{places}/{id}/status"));
        }
        let output = self.send("GET", &format!("/2026-07/retail-media/{places}/{id}/output"), None);
        String::from_utf8_lossy(&output.body).into_owned()
    }
}

fn account(number: u32) -> String {
    Kind::Account.id(number)
}

fn report(dimensions: &[&str], metrics: &[&str]) -> Value {
    json!({"startDate": "2026-10-01", "endDate": "2026-10-14", "format": "json", "dimensions": dimensions, "metrics": metrics,
        "filters": {"accountIds": [account(0), account(1)]}})
}

#[test]
fn pages_of_every_kind_add_up_to_the_truth() {
    let client = Client::new(|options| {
        options.retail_media.campaigns = 7;
        options.retail_media.audiences = 9;
        options.retail_media.hostile = true;
    });
    let truth = |stream: &str| -> Vec<Value> {
        let rows = client.world.stream(stream, "2026-07").unwrap();
        rows.into_iter()
            .filter(|row| row["attributes"]["accountId"] == account(0))
            .map(|row| row["id"].clone())
            .collect()
    };
    for (stream, method, path) in [
        ("rm_campaigns", "GET", "campaigns"),
        ("rm_line_items", "GET", "line-items"),
        ("rm_account_brands", "GET", "brands"),
    ] {
        let mut ids = Vec::new();
        for index in 0.. {
            let url = format!("/2026-07/retail-media/accounts/{}/{path}?pageSize=2&pageIndex={index}", account(0));
            let page: Value = serde_json::from_slice(&client.send(method, &url, None).body).unwrap();
            let rows = page["data"].as_array().unwrap();
            if rows.is_empty() {
                break;
            }
            ids.extend(rows.iter().map(|row| row["id"].clone()));
        }
        assert_eq!(ids, truth(stream), "{stream}");
    }
    for (stream, method, path) in [
        ("rm_balances", "GET", "balances"),
        ("rm_audiences", "POST", "audiences/search"),
        ("rm_retailers", "POST", "retailers/search"),
    ] {
        let mut ids = Vec::new();
        loop {
            let url = format!("/2026-07/retail-media/accounts/{}/{path}?limit=4&offset={}", account(0), ids.len());
            let body = (method == "POST").then(|| json!({}));
            let page: Value = serde_json::from_slice(&client.send(method, &url, body).body).unwrap();
            let rows = page["data"].as_array().unwrap();
            if rows.is_empty() {
                break;
            }
            ids.extend(rows.iter().map(|row| row["id"].clone()));
        }
        assert_eq!(ids, truth(stream), "{stream}");
        assert!(!ids.is_empty());
    }
}

#[test]
fn limits_of_pages_are_exact() {
    let client = Client::new(|_| ());
    let id = account(0);
    for (url, most) in [
        (format!("accounts/{id}/retailers/search"), 10),
        (format!("accounts/{id}/audiences/search"), 500),
        (format!("retailers/{}/categories/search", retailer_id(0)), 500),
        ("accounts/fees/search".to_owned(), 500),
    ] {
        assert_eq!(client.post(&format!("{url}?limit={most}"), json!({})).0, 200, "{url}");
        assert_eq!(client.post(&format!("{url}?limit={}", most + 1), json!({})).0, 400, "{url}");
    }
    for (url, most) in
        [(format!("accounts/{id}/keywords/in-review-report"), 50), (format!("accounts/{id}/balances"), 500)]
    {
        assert_eq!(client.get(&format!("{url}?limit={most}")).0, 200, "{url}");
        assert_eq!(client.get(&format!("{url}?limit={}", most + 1)).0, 400, "{url}");
        assert_eq!(client.get(&format!("{url}?limit=0")).0, 400, "{url}");
    }
    let few = client.get(&format!("accounts?limitToId={id}&limitToId={}", account(2))).1;
    assert_eq!(few["data"].as_array().unwrap().len(), 2, "repeated parameters");
}

#[test]
fn versions_differ_as_documented() {
    let client = Client::new(|_| ());
    let get = |version: &str, path: &str| client.send("GET", &format!("/{version}/retail-media/{path}"), None).status;
    let keywords = format!("line-items/{}/keywords", Kind::LineItem.id(0));
    assert_eq!((get("2026-07", &keywords), get("2027-01", &keywords)), (200, 404));
    let post = |version: &str| {
        let body = report(&["date"], &["clicks"]);
        client.send("POST", &format!("/{version}/retail-media/reports/performance"), Some(body)).status
    };
    assert_eq!((post("2026-01"), post("2026-07"), post("2027-01")), (404, 200, 200));
    let url = format!("/2026-01/retail-media/accounts/{}/balances?pageSize=1", account(0));
    let old: Value = serde_json::from_slice(&client.send("GET", &url, None).body).unwrap();
    assert_eq!(
        (old["metadata"]["totalPages"].clone(), old["data"][0]["attributes"].get("criteoPoNumber")),
        (json!(2), None)
    );
}

#[test]
fn accounts_without_consent_are_refused() {
    let client = Client::new(|options| {
        options.without_consent = vec![account(1)];
        options.retail_media.without_private_market = true;
    });
    let listed = client.get("accounts").1;
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    assert_eq!(client.get(&format!("accounts/{}/campaigns", account(1))).0, 403);
    let line_item = client.world.line_items_of(client.world.campaigns_of(1).start).start;
    assert_eq!(client.get(&format!("line-items/{}", Kind::LineItem.id(line_item))).0, 403);
    assert_eq!(client.post("reports/performance", report(&["date"], &["clicks"])).0, 403);
    assert_eq!(client.post("accounts/fees/search", json!({})).0, 403);
    let supply = account(client.world.supply_accounts().start);
    let children = format!("account-management/accounts/{supply}/private-market-child-accounts");
    assert_eq!(client.get(&children).0, 403);
    let of_supply = json!({"startDate": "2026-10-01", "endDate": "2026-10-02", "dimensions": ["date"], "metrics": ["pageViews"],
        "supplyAccountIds": [account(0)]});
    assert_eq!(client.post("reports/fillrate", of_supply).0, 403, "a demand account has no fill rate");
}

/// Sums of a metric by the values of a dimension, in millionths.
fn sums(rows: &[Map<String, Value>], by: &str, metric: &str) -> BTreeMap<String, i128> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let (whole, part) = row[metric].as_str().map(|text| text.split_once('.').unwrap_or((text, ""))).unwrap();
        *sums.entry(row[by].to_string()).or_default() += format!("{whole}{part:0<6}").parse::<i128>().unwrap();
    }
    sums
}

#[test]
fn reports_add_up_over_any_dimensions() {
    let client = Client::new(|options| options.retail_media.hostile = true);
    let rows = |dimensions: &[&str]| {
        client
            .world
            .report_truth("rm_performance", &report(dimensions, &["clicks", "spend", "attributedSales"]))
            .unwrap()
    };
    let (coarse, fine) =
        (rows(&["date"]), rows(&["date", "lineItemId", "keyword", "productId", "environment", "hour"]));
    assert!(fine.len() > 100 && coarse.len() == 14, "{} {}", fine.len(), coarse.len());
    for metric in ["clicks", "spend", "attributedSales"] {
        assert_eq!(sums(&coarse, "date", metric), sums(&fine, "date", metric), "{metric}");
    }
    let sales = client.world.report_truth(
        "rm_attributed_transactions",
        &json!({"startDate": "2026-10-01", "endDate": "2026-10-14", "dimensions": ["purchasedDate", "purchasedProductId"],
            "metrics": ["attributedSales"], "filters": {"accountIds": [account(0), account(1)]}}),
    );
    let sold: i128 = sums(&sales.unwrap(), "purchasedDate", "attributedSales").values().sum();
    assert_eq!(
        sold,
        sums(&coarse, "date", "attributedSales").values().sum::<i128>(),
        "both reports have the same sales"
    );
    assert!(sold > 0);
}

#[test]
fn sales_grow_for_five_days() {
    let sales_of = |age: u64, metric: &str| {
        let client =
            Client::new(|options| options.today = "2026-10-14".parse::<chrono::NaiveDate>().unwrap() + Days::new(age));
        let rows = client.world.report_truth("rm_performance", &report(&["date"], &[metric])).unwrap();
        sums(&rows, "date", metric)["\"2026-10-14\""]
    };
    assert!(sales_of(0, "attributedSales") < sales_of(4, "attributedSales"));
    assert!(sales_of(4, "attributedSales") < sales_of(5, "attributedSales"));
    assert_eq!(sales_of(5, "attributedSales"), sales_of(30, "attributedSales"));
    assert_eq!(sales_of(0, "spend"), sales_of(30, "spend"));
}

#[test]
fn a_report_is_created_polled_and_fetched() {
    let client = Client::new(|options| options.retail_media.pending_polls = 1);
    let (_, created) = client.post("reports/performance", report(&["date", "accountId"], &["clicks", "spend"]));
    let id = created["data"]["id"].as_str().unwrap();
    assert_eq!(created["data"]["attributes"]["status"], "pending");
    let status = || client.get(&format!("reports/{id}/status")).1["data"]["attributes"].clone();
    let output = || client.send("GET", &format!("/2026-07/retail-media/reports/{id}/output"), None);
    assert_eq!((status()["status"].clone(), output().status), (json!("pending"), 404));
    let success = status();
    let file = output();
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(&file.body).unwrap();
    assert_eq!(success["status"], "success");
    assert_eq!(
        (success["rowCount"].clone(), success["fileSizeBytes"].clone()),
        (json!(rows.len()), json!(file.body.len()))
    );
    assert_eq!(success["md5CheckSum"], format!("{:x}", md5::compute(&file.body)));
    assert!(rows.len() == 28 && rows[0]["clicks"].is_number(), "{rows:?}");
    let again = client.post("reports/performance", report(&["date", "accountId"], &["clicks", "spend"])).1;
    assert_eq!(
        (again["data"]["id"].as_str(), again["data"]["attributes"]["status"].clone()),
        (Some(id), json!("success"))
    );
    let other = client.post("reports/performance", report(&["date", "accountId"], &["clicks"])).1;
    assert_ne!(other["data"]["id"].as_str(), Some(id));
    assert_eq!(client.get("catalogs/1/status").0, 404);
}

#[test]
fn jobs_fail_expire_and_are_cut() {
    let client = Client::new(|options| {
        options.row_cap = 10;
        options.retail_media.failing_jobs = 1;
        options.retail_media.expiring_jobs = 1;
        options.unknowns.set("rm_cap_message", "message").unwrap();
    });
    let ask = || client.job("reports/performance", "reports", report(&["date", "lineItemId"], &["clicks"]));
    let (failed, expired, cut) = (ask(), ask(), ask());
    assert_eq!(failed.1["status"], "failure");
    assert_eq!(expired.1["status"], "expired");
    let gone = client.send("GET", &format!("/2026-07/retail-media/reports/{}/output", expired.0), None);
    assert_eq!(gone.status, 410);
    assert_eq!((cut.1["rowCount"].clone(), cut.1["message"].is_string()), (json!(10), true));
    let (_, billing, _) = Client::new(|options| options.retail_media.failing_jobs = 1).job(
        "billing/partner-report",
        "billing/partner-report",
        json!({"startDate": "2026-10-01", "endDate": "2026-10-02", "accountIds": [account(3)]}),
    );
    assert_eq!(billing["status"], "failed");
}

#[test]
fn invalid_reports_are_refused() {
    let client = Client::new(|_| ());
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut asked = report(&["date"], &["clicks"]);
        change(&mut asked);
        let (status, body) = client.post("reports/performance", asked);
        (status, body["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    };
    let code = |code: &str| (400, code.to_owned());
    assert_eq!(refused(&|asked| asked["filters"]["campaignIds"] = json!([Kind::Campaign.id(0)])), code("invalid"));
    assert_eq!(refused(&|asked| asked["filters"] = json!({})), code("invalid"));
    assert_eq!(refused(&|asked| asked["startDate"] = json!("2026-09-01")), code("invalid-timespan"));
    assert_eq!(refused(&|asked| asked["dimensions"] = json!(["day"])), code("invalid"));
    assert_eq!(refused(&|asked| asked["clickAttributionWindow"] = json!("7D")), code("invalid"));
    let six: Vec<String> = (0..6).map(account).collect();
    assert_eq!(refused(&|asked| asked["filters"]["accountIds"] = json!(six)), code("exceeded-ids-cap"));
    let empty = refused(&|asked| (asked["dimensions"], asked["metrics"]) = (json!([]), json!([])));
    assert_eq!(empty, code("required-field"));
    let old = refused(&|asked| (asked["startDate"], asked["endDate"]) = (json!("2023-10-31"), json!("2023-11-02")));
    assert_eq!(old, code("invalid-timespan"));
}

#[test]
fn every_format_has_the_same_rows() {
    let client = Client::new(|options| options.retail_media.hostile = true);
    let file = |format: &str| {
        let mut asked = report(&["date", "keyword"], &["clicks"]);
        asked["format"] = json!(format);
        client.job("reports/performance", "reports", asked).2
    };
    let rows: Vec<Value> = serde_json::from_str(&file("json")).unwrap();
    let lines: Vec<Value> = file("json-newline").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, lines);
    let compact: Value = serde_json::from_str(&file("json-compact")).unwrap();
    assert_eq!(compact["data"].as_array().unwrap().len(), rows.len());
    assert_eq!(compact["data"][0][2], rows[0]["clicks"]);
    assert!(file("csv").starts_with("date,keyword,clicks\r\n"));
}

#[test]
fn catalogs_hold_every_product_once() {
    let client = Client::new(|options| options.retail_media.hostile = true);
    let brand = client.job(&format!("accounts/{}/catalogs", account(0)), "catalogs", json!({}));
    let pairs: Vec<Value> = client.world.sellers(1, true)["attributes"]["sellers"].as_array().unwrap().clone();
    let pairs: Vec<Value> = pairs
        .iter()
        .map(|pair| json!({"retailerId": pair["retailerId"].to_string(), "sellerId": pair["sellerId"]}))
        .collect();
    let url = format!("accounts/{}/catalogs/sellers", account(1));
    let seller = client.job(&url, "catalogs", json!({"sellers": pairs}));
    let truth = client.world.stream("rm_catalog_products", "2026-07").unwrap();
    for (number, job) in [(0, brand), (1, seller)] {
        let keys: BTreeSet<String> = job
            .2
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                format!("{} {} {}", row["retailerId"], row["id"], row["sellerId"])
            })
            .collect();
        let expected = truth.iter().filter(|row| row["attributes"]["accountId"] == account(number)).count();
        assert_eq!((keys.len(), job.2.lines().count()), (expected, expected));
        assert_eq!(job.1["rowCount"], expected);
    }
    assert_eq!(client.post(&url, json!({})).0, 400);
    let exports = client.post(&format!("accounts/{}/brand-catalog-export", account(0)), json!({}));
    assert_eq!(exports.0, 403, "needs the permission to manage campaigns");
}

/// A small account in which every switch matters.
fn client_with(settings: &[(&str, &str)]) -> Client {
    Client::new(|options| {
        options.retail_media.line_items = 6;
        options.retail_media.products = 510;
        options.retail_media.brands = 110;
        options.without_consent = vec![account(1)];
        options.row_cap = 1_500;
        options.retail_media.pending_polls = 1;
        for (name, value) in settings {
            options.unknowns.set(name, value).unwrap();
        }
    })
}

/// Responses that together show every switch.
fn shown(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut client = client_with(settings);
    let mut shown = BTreeMap::new();
    let mut note = |name: &str, reply: Reply| {
        let text = format!("{} {:?} {}", reply.status, reply.headers, String::from_utf8_lossy(&reply.body));
        shown.insert(name.to_owned(), text);
    };
    let get = |url: &str| client.send("GET", &format!("/2026-07/retail-media/{url}"), None);
    let post = |url: &str, body: Value| client.send("POST", &format!("/2026-07/retail-media/{url}"), Some(body));
    let id = account(0);
    note("brands", get(&format!("accounts/{id}/brands?pageSize=108&pageIndex=1")));
    note("many brands", get(&format!("accounts/{id}/brands?pageSize=105")));
    note("line items", get(&format!("accounts/{id}/line-items?pageSize=50")));
    note("balances", get(&format!("accounts/{id}/balances?limit=1")));
    note("refused", get(&format!("accounts/{}/brands", account(1))));
    note("products", get(&format!("line-items/{}/products?limit=600", Kind::LineItem.id(0))));
    let mut ask = |name: &str, url: &str, body: Value| {
        let created = post(url, body);
        note(&format!("{name} created"), created.clone());
        let created: Value = serde_json::from_slice(&created.body).unwrap_or_default();
        let Some(id) = created["data"]["id"].as_str() else { return };
        let places = if url.starts_with("reports") {
            "reports"
        } else if url.starts_with("billing") {
            "billing/partner-report"
        } else {
            "catalogs"
        };
        note(&format!("{name} early"), get(&format!("{places}/{id}/output")));
        let _ = get(&format!("{places}/{id}/status"));
        note(&format!("{name} status"), get(&format!("{places}/{id}/status")));
        note(&format!("{name} output"), get(&format!("{places}/{id}/output")));
    };
    let of = |ids: &[u32], start: &str, end: &str, dimensions: &[&str], format: &str| {
        let ids: Vec<String> = ids.iter().map(|number| account(*number)).collect();
        json!({"startDate": start, "endDate": end, "dimensions": dimensions, "metrics": ["clicks", "attributedSales"],
            "format": format, "filters": {"accountIds": ids}})
    };
    let (first, last) = ("2026-10-01", "2026-10-02");
    let report = "reports/performance";
    for format in ["json", "json-compact", "csv"] {
        ask(format, report, of(&[0], first, last, &["date", "hour", "keyword", "productId"], format));
    }
    ask("again", report, of(&[0], first, last, &["date", "hour", "keyword", "productId"], "json"));
    ask("cut", report, of(&[0], first, "2026-10-31", &["date", "hour", "lineItemId"], "json"));
    ask("two accounts", report, of(&[0, 1], first, last, &["accountId"], "json"));
    ask("two currencies", report, of(&[0, 2], first, last, &["accountId"], "json"));
    ask("long", report, of(&[0], "2026-09-01", "2026-10-20", &["accountId"], "json"));
    ask("floor", report, of(&[0], "2023-11-02", "2023-11-04", &["date"], "json"));
    ask("below the floor", report, of(&[0], "2023-10-30", "2023-11-04", &["date"], "json"));
    ask("times", report, of(&[0], "2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z", &["date"], "json"));
    let mut without = of(&[0], first, "2026-10-20", &["accountId"], "json");
    (without["clickAttributionWindow"], without["viewAttributionWindow"]) = (json!("none"), json!("none"));
    ask("no windows", report, without);
    let missed = json!({"startDate": first, "endDate": last, "dimensions": ["date"], "metrics": ["missedClicks"], "format": "json",
        "filters": {"accountIds": [id]}});
    ask("missed", "reports/missed-opportunities", missed);
    let supply = account(client.world.supply_accounts().start);
    for count in [2, 6] {
        let fill = json!({"startDate": first, "endDate": last, "dimensions": ["date"], "metrics": ["pageViews"],
            "supplyAccountIds": vec![supply.clone(); count]});
        ask(&format!("fill rate {count}"), "reports/fillrate", fill);
    }
    for bill in [&supply, &id] {
        let day = json!({"startDate": first, "endDate": last, "accountIds": [bill]});
        ask(&format!("billing of {bill}"), "billing/partner-report", day);
    }
    let url = format!("accounts/{id}/catalogs");
    ask("catalog", &url, json!({}));
    ask("empty catalog", &url, json!({"brandIdFilter": ["1"]}));
    let sync = |dimensions: &[&str], end: &str| json!({"accountId": id, "startDate": first, "endDate": end, "dimensions": dimensions, "metrics": ["clicks"]});
    note("sync", post("reports/sync/campaigns", sync(&["date"], last)));
    note("sync rows", post("reports/sync/campaigns", sync(&["date", "hour", "lineItemId"], "2026-10-31")));
    let mut long = sync(&["date"], last);
    long["startDate"] = json!("2026-08-20");
    note("sync days", post("reports/sync/campaigns", long));
    let real = json!({"startDate": "2026-10-30", "dimensions": ["date"], "metrics": ["clicks"], "accountIds": [id]});
    note("real time", post("reports/sync/real-time-performance", real));
    // A cached file has the numbers of the first request, even if the account's activity has changed.
    let asked = of(&[0], first, last, &["date"], "json");
    let _ = post(report, asked.clone());
    client.world.options.retail_media.facts += 1;
    let again = client.job_polled(report, "reports", asked);
    shown.insert("cached".to_owned(), again);
    client.world.options.retail_media.expiring_jobs = 1;
    shown.insert("expired".to_owned(), client.job_polled(&url, "catalogs", json!({})));
    let of_rate = |path: &[&str]| route(path, &client.world.options).is_report.to_string();
    shown.insert("poll".to_owned(), of_rate(&["retail-media", "reports", "1", "status"]));
    shown.insert("sync pool".to_owned(), of_rate(&["retail-media", "reports", "sync", "campaigns"]));
    let other = Options { product: Product::MarketingSolutions, ..client.world.options.clone() };
    let other = foreign(&other, &["2026-07", "retail-media", "me"]);
    shown.insert("other".to_owned(), other.map(|reply| reply.is_ok().to_string()).unwrap_or_default());
    shown
}

#[test]
fn every_switch_value_has_an_effect() {
    let usual = shown(&[]);
    assert_eq!(shown(&[]), usual, "responses do not vary by themselves");
    let mut idle = Vec::new();
    for unknown in RETAIL_MEDIA_UNKNOWNS {
        let mut seen = vec![usual.clone()];
        for value in &unknown.values[1..] {
            // An omitted window means the word `none` only where that word means something else than the campaign's.
            let beside: &[(&str, &str)] =
                if unknown.name == "rm_windows_default" { &[("rm_window_none", "no_attribution")] } else { &[] };
            if !beside.is_empty() {
                seen = vec![shown(beside)];
            }
            let reported = shown(&[beside, &[(unknown.name, *value)]].concat());
            if seen.contains(&reported) {
                idle.push(format!("{}={value}", unknown.name));
            }
            seen.push(reported);
        }
    }
    assert_eq!(idle, Vec::<String>::new(), "these have no effect");
}
