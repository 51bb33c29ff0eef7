//! The reports besides `/statistics/report`: placements, transactions, log level, ad level.
//!
//! Their JSON is not documented. Placements and transactions come in the two shapes that users have reported.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::{DateTime, Days, NaiveDate, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, metric_key};
use crate::options::{Options, Wrapping};
use crate::problem::Problem;
use crate::statistics::{
    Period, advertisers_of, currency, decimal, known_members, list, optional_list, optional_word, rate, required,
    unknown,
};
use crate::vocabulary::Measure;
use crate::world::{World, ad_id, ad_set_id, ad_set_name, advertiser_id, advertiser_name, campaign_id, campaign_name};

/// How long Criteo keeps placements (three months), transactions (two years) and log files.
const PLACEMENT_DAYS: u64 = 90;
const TRANSACTION_DAYS: u64 = 730;
const LOG_DAYS: u64 = 30;
/// The header of a log file that was recorded in 2023.
const LOG_HEADER: [&str; 23] = [
    "DAY",
    "HOUR",
    "TIMESTAMP",
    "EVENT_TYPE",
    "ADSET_ID",
    "ADSET_NAME",
    "AD_FORMAT",
    "BANNER_ID",
    "CATEGORY_ID",
    "CATEGORY_NAME",
    "REFERRER",
    "ENVIRONMENT",
    "DEVICE_FAMILY",
    "OS_FAMILY",
    "APP_ID",
    "APP_NAME",
    "VIEWABILITY",
    "DISPLAY_COST_CURRENCY",
    "DISPLAY_COST",
    "DISPLAY_COST_USD",
    "CLICK_COST_CURRENCY",
    "CLICK_COST",
    "CLICK_COST_USD",
];
/// What the queries may say; the schemas have no more.
const PLACEMENT_MEMBERS: &[&str] = &[
    "advertiserIds",
    "adsetIds",
    "campaignIds",
    "currency",
    "dimensions",
    "disclosed",
    "endDate",
    "environment",
    "format",
    "metrics",
    "placement",
    "startDate",
    "timezone",
];
const TRANSACTION_MEMBERS: &[&str] =
    &["advertiserIds", "currency", "endDate", "eventType", "format", "startDate", "timezone"];
const AD_LEVEL_MEMBERS: &[&str] =
    &["advertiserIds", "adsetIds", "dimensions", "endDate", "format", "metrics", "startDate", "timezone"];
/// The most advertisers in an ad-level query.
const MOST_AD_LEVEL_ADVERTISERS: usize = 5;

/// A dimension of a small report: its name, and the value of a fact.
type Dimension = (&'static str, fn(&World, &Fact) -> Value);

const PLACEMENT_DIMENSIONS: &[Dimension] = &[
    ("AdsetId", |world, fact| json!(ad_set_id(world.ad_set_number(fact.path)))),
    ("AdvertiserId", |_, fact| json!(advertiser_id(fact.path.advertiser))),
    ("Placement", |world, fact| {
        json!(["news.example", "сайт.example", "app: Game \"X\"", ""][pick(world, fact, 12, 4)])
    }),
    ("Environment", |world, fact| json!(["Web", "Android", "Ios"][pick(world, fact, 11, 3)])),
    ("AdsetName", |world, fact| json!(ad_set_name(world.ad_set_number(fact.path)))),
    ("AdvertiserName", |_, fact| json!(advertiser_name(fact.path.advertiser))),
    ("CampaignId", |world, fact| json!(campaign_id(world.campaign_number(fact.path)))),
    ("CampaignName", |world, fact| json!(campaign_name(world.campaign_number(fact.path)))),
    ("AdChannel", |world, fact| json!(["Display", "Social"][pick(world, fact, 8, 2)])),
    ("SocialPlatform", |world, fact| json!(["", "Facebook", "Pinterest"][pick(world, fact, 9, 3)])),
    ("CategoryId", |world, fact| json!((70 + pick(world, fact, 1, 4)).to_string())),
    ("CategoryName", |world, fact| json!(format!("Category {}", pick(world, fact, 1, 4)))),
];

const PLACEMENT_METRICS: &[(&str, &str, Measure)] = &[
    ("Clicks", "Clicks", Measure::Count(120)),
    ("Displays", "Displays", Measure::Count(5_000)),
    ("Cost", "AdvertiserCost", Measure::Money),
    ("SalesPc30d", "SalesPc30d", Measure::Count(9)),
    ("RevenuePc30d", "RevenueGeneratedPc30d", Measure::Money),
    ("CosPc30d", "CosPc30d", Measure::Ratio),
    ("RoasPc30d", "RoasPc30d", Measure::Ratio),
    ("CpoPc30d", "CpoPc30d", Measure::Ratio),
    ("CvrPc30d", "CvrPc30d", Measure::Ratio),
    ("SalesPv1d", "SalesPv24h", Measure::Count(9)),
    ("RevenuePv1d", "RevenueGeneratedPv24h", Measure::Money),
    ("CosPv1d", "CosPv1d", Measure::Ratio),
    ("RoasPv1d", "RoasPv1d", Measure::Ratio),
    ("CpoPv1d", "CpoPv1d", Measure::Ratio),
    ("CvrPv1d", "CvrPv1d", Measure::Ratio),
];

const AD_LEVEL_DIMENSIONS: &[Dimension] = &[
    ("AdvertiserId", |_, fact| json!(advertiser_id(fact.path.advertiser))),
    ("AdvertiserName", |_, fact| json!(advertiser_name(fact.path.advertiser))),
    ("AdsetId", |world, fact| json!(ad_set_id(world.ad_set_number(fact.path)))),
    ("AdsetName", |world, fact| json!(ad_set_name(world.ad_set_number(fact.path)))),
    ("MediaChannel", |_, _| json!("Chat")),
    ("Platform", |world, fact| json!(["Web", "App"][pick(world, fact, 14, 2)])),
    ("AdGroupName", |_, fact| json!(format!("Group {}", fact.path.ad % 2))),
    ("ProductId", |_, fact| json!(format!("sku-{:05}", fact.path.ad))),
    ("AdId", |world, fact| json!(ad_id(world.ad_number(fact.path)))),
];

const AD_LEVEL_METRICS: &[(&str, &str, Measure)] = &[
    ("Impressions", "Displays", Measure::Count(5_000)),
    ("Clicks", "Clicks", Measure::Count(120)),
    ("Spend", "AdvertiserCost", Measure::Money),
    ("Ctr", "Ctr", Measure::Ratio),
    ("Cpc", "Cpc", Measure::Ratio),
    ("Cpm", "Cpm", Measure::Ratio),
    ("AdGroupContextHint", "", Measure::Word),
    ("AdGroupDescription", "", Measure::Word),
    ("ProductName", "", Measure::Word),
    ("AdTitle", "", Measure::Word),
    ("AdCopy", "", Measure::Word),
];

fn pick(world: &World, fact: &Fact, salt: u64, count: u64) -> usize {
    usize::try_from(world.choice(fact, salt, count)).unwrap_or(0)
}

/// `{"data":[{"type":"Report","attributes":{…}}]}`
fn wrapped(query: &Value) -> Result<&Value, Problem> {
    Some(&query["data"][0]["attributes"]).filter(|attributes| attributes.is_object()).ok_or_else(|| required("data"))
}

fn sums(
    world: &World,
    facts: Vec<Fact>,
    dimensions: &[Dimension],
    metrics: &[(&str, &str, Measure)],
    currency: Option<&str>,
) -> Vec<Map<String, Value>> {
    struct Group {
        row: Map<String, Value>,
        totals: Vec<i128>,
        facts: i128,
    }
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for fact in facts {
        let row: Map<String, Value> =
            dimensions.iter().map(|(name, value)| ((*name).to_owned(), value(world, &fact))).collect();
        let key = Value::Object(row.clone()).to_string();
        let group = groups.entry(key).or_insert_with(|| Group { row, totals: vec![0; metrics.len()], facts: 0 });
        group.facts += 1;
        for (total, (_, source, measure)) in group.totals.iter_mut().zip(metrics) {
            *total += world.value(&fact, metric_key(source), *measure);
        }
    }
    let rate = currency.map_or(100, rate);
    let rows = groups.into_values().map(|Group { mut row, totals, facts }| {
        for (total, (name, _, measure)) in totals.into_iter().zip(metrics) {
            let value = match measure {
                Measure::Count(_) => world.number(total.to_string()),
                Measure::Money => world.number(decimal(total * rate / 100)),
                Measure::Ratio => world.number(decimal(total / (facts * 100))),
                Measure::Word => json!(format!("{name}, with \"words\"")),
            };
            row.insert((*name).to_owned(), value);
        }
        if let Some(currency) = currency {
            row.insert("Currency".to_owned(), json!(currency));
        }
        row
    });
    rows.collect()
}

impl World {
    /// `POST /{version}/placements/report`: no dimension of time.
    pub(crate) fn placements(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = wrapped(query)?;
        known_members(attributes, PLACEMENT_MEMBERS)?;
        let period = Period::parse(self, attributes, PLACEMENT_DAYS)?;
        let environment = optional_word(attributes, "environment", &["Web", "Android", "Ios"])?;
        let advertisers =
            advertisers_of(self, attributes["advertiserIds"].as_str().ok_or_else(|| required("advertiserIds"))?)?;
        let currency = &currency(attributes)?;
        let dimensions = chosen(PLACEMENT_DIMENSIONS, |(name, _)| name, &list(attributes, "dimensions")?, "dimension")?;
        let metrics = chosen(PLACEMENT_METRICS, |(name, ..)| name, &list(attributes, "metrics")?, "metric")?;
        let is_disclosed = attributes["disclosed"].as_bool().unwrap_or(true);
        let ids = |name: &str| -> Vec<&str> {
            attributes[name].as_str().map(|ids| ids.split(',').collect()).unwrap_or_default()
        };
        let (campaigns, ad_sets) = (ids("campaignIds"), ids("adsetIds"));
        // Today's numbers appear on the next day only.
        let mut facts = period.facts(self, &advertisers);
        facts.retain(|fact| {
            let value = |index: usize| PLACEMENT_DIMENSIONS[index].1(self, fact);
            let is_in = |ids: &[&str], index: usize| ids.is_empty() || ids.iter().any(|id| value(index) == **id);
            fact.instant.date_naive() < self.options.today
                && is_in(&campaigns, 6)
                && is_in(&ad_sets, 0)
                && environment.is_none_or(|wanted| value(3) == wanted)
                && attributes["placement"].as_str().is_none_or(|wanted| value(2) == wanted)
                && is_disclosed == (self.choice(fact, 15, 5) > 0)
        });
        Ok(sums(self, facts, &dimensions, &metrics, Some(currency)))
    }

    /// `POST /{version}/transactions/report`: a row an event.
    pub(crate) fn transactions(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = wrapped(query)?;
        known_members(attributes, TRANSACTION_MEMBERS)?;
        let period = Period::parse(self, attributes, TRANSACTION_DAYS)?;
        let event_type = optional_word(attributes, "eventType", &["Click", "Display"])?;
        let advertisers =
            advertisers_of(self, attributes["advertiserIds"].as_str().ok_or_else(|| required("advertiserIds"))?)?;
        let currency = &currency(attributes)?;
        let mut facts = period.facts(self, &advertisers);
        facts.sort_by_key(|fact| fact.instant);
        let local =
            |instant: DateTime<Utc>| instant.with_timezone(&period.timezone).format("%m/%d/%Y %H:%M:%S").to_string();
        let event = |fact: &Fact| ["Click", "Display"][pick(self, fact, 16, 2)];
        facts.retain(|fact| pick(self, fact, 13, 3) == 0 && event_type.is_none_or(|wanted| event(fact) == wanted));
        let rows = facts.iter().map(|fact| {
            let amount = self.value(fact, metric_key("amount"), Measure::Money) * rate(currency) / 100;
            let flag = |salt, yes: &str, no: &str| json!(if pick(self, fact, salt, 2) == 0 { yes } else { no });
            let row = json!({
                "advertiserId": advertiser_id(fact.path.advertiser),
                "advertiserName": advertiser_name(fact.path.advertiser),
                "adsetName": ad_set_name(self.ad_set_number(fact.path)),
                // An order may be both a click and a display, and may come twice.
                "transactionId": format!("order-{:06}", self.choice(fact, 17, 5_000)),
                "transactionDate": local(fact.instant),
                "eventType": event(fact),
                "eventDate": local(fact.instant - Days::new(self.choice(fact, 18, 20))),
                "attributedTransaction": flag(19, "True", "False"),
                "crossDeviceTransaction": flag(20, "Yes", "No"),
                "currency": currency,
                "amount": decimal(amount),
            });
            row.as_object().cloned().unwrap_or_default()
        });
        Ok(rows.collect())
    }

    /// `POST /{version}/marketing-solutions/statistics-adlevel/report`
    pub(crate) fn ad_level(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = &query["data"]["attributes"];
        known_members(attributes, AD_LEVEL_MEMBERS)?;
        let period = Period::parse(self, attributes, TRANSACTION_DAYS)?;
        let ids = list(attributes, "advertiserIds")?;
        if ids.is_empty() || ids.len() > MOST_AD_LEVEL_ADVERTISERS {
            return Err(Problem::validation("exceeded-ids-cap", "From one to five advertisers", "advertiserIds"));
        }
        let advertisers = advertisers_of(self, &ids.join(","))?;
        let names = list(attributes, "dimensions")?;
        let ad_sets = optional_list(attributes, "adsetIds")?;
        let is_fine = names.iter().any(|name| ["AdGroupName", "ProductId", "AdId"].contains(&name.as_str()));
        if is_fine && ad_sets.is_empty() && !names.iter().any(|name| name == "AdsetId") {
            return Err(Problem::validation("invalid", "These dimensions need AdsetId or adsetIds", "dimensions"));
        }
        let dimensions = chosen(AD_LEVEL_DIMENSIONS, |(name, _)| name, &names, "dimension")?;
        let metrics = chosen(AD_LEVEL_METRICS, |(name, ..)| name, &list(attributes, "metrics")?, "metric")?;
        let mut facts = period.facts(self, &advertisers);
        facts.retain(|fact| ad_sets.is_empty() || ad_sets.contains(&ad_set_id(self.ad_set_number(fact.path))));
        Ok(sums(self, facts, &dimensions, &metrics, None))
    }

    /// `POST /{version}/log-level/advertisers/{id}/report`: links to files, one a day.
    pub(crate) fn log_files(
        &self,
        advertiser: &str,
        query: &Value,
        base: &str,
        valid_until: &str,
    ) -> Result<Value, Problem> {
        known_members(query, &["startDate", "endDate", "shouldDisplayProductIds"])?;
        let Period { start, end, .. } = Period::parse(self, query, LOG_DAYS)?;
        let [_] = advertisers_of(self, advertiser)?[..] else { return Err(Problem::not_found(advertiser)) };
        let mut files = Vec::new();
        let mut day = start;
        while day <= end.min(self.options.today - Days::new(1)) {
            let name = format!("{advertiser}_{day}.csv.gz");
            files.push(
                json!({"fileName": name, "url": format!("{base}/files/{name}?until={valid_until}&sig=a%2Bb%2F%3D")}),
            );
            day = day + Days::new(1);
        }
        let attributes = json!({"advertiserId": advertiser, "files": files, "tokenValidUntil": valid_until});
        Ok(json!({"data": [{"type": "TransparencyReport", "attributes": attributes}], "errors": [], "warnings": []}))
    }

    /// The rows of a log file, which never change.
    pub(crate) fn log_rows(&self, name: &str) -> Option<Vec<Map<String, Value>>> {
        let (advertiser, day) = name.strip_suffix(".csv.gz")?.split_once('_')?;
        let advertisers = advertisers_of(self, advertiser).ok()?;
        let day: NaiveDate = day.parse().ok()?;
        let settled = Self::new(Options { restatement_days: 0, ..self.options.clone() });
        let rows = settled.facts(&advertisers, day, day).into_iter().map(|fact| {
            let cost = decimal(settled.value(&fact, metric_key("AdvertiserCost"), Measure::Money));
            let is_click = pick(self, &fact, 16, 2) == 0;
            let (display_cost, click_cost) = if is_click { ("", &cost[..]) } else { (&cost[..], "") };
            let row = json!({
                "DAY": day,
                "HOUR": fact.instant.format("%H").to_string(),
                "TIMESTAMP": fact.instant.format("%Y-%m-%d %H:%M:%S").to_string(),
                "EVENT_TYPE": if is_click { "click" } else { "display" },
                "ADSET_ID": ad_set_id(self.ad_set_number(fact.path)),
                "ADSET_NAME": ad_set_name(self.ad_set_number(fact.path)),
                "AD_FORMAT": "banner",
                "BANNER_ID": ad_id(self.ad_number(fact.path)),
                "CATEGORY_ID": "",
                "CATEGORY_NAME": "",
                "REFERRER": "news, \"daily\"\nsecond line",
                "ENVIRONMENT": "Web",
                "DEVICE_FAMILY": "Desktop",
                "OS_FAMILY": "Linux",
                "APP_ID": "",
                "APP_NAME": "",
                "VIEWABILITY": "1",
                "DISPLAY_COST_CURRENCY": "EUR",
                "DISPLAY_COST": display_cost,
                "DISPLAY_COST_USD": display_cost,
                "CLICK_COST_CURRENCY": "EUR",
                "CLICK_COST": click_cost,
                "CLICK_COST_USD": click_cost,
            });
            row.as_object().cloned().unwrap_or_default()
        });
        Some(rows.collect())
    }

    /// The content of a log file, compressed.
    pub(crate) fn log_file(&self, name: &str) -> Option<Vec<u8>> {
        let rows = self.log_rows(name)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        writeln!(encoder, "{}", LOG_HEADER.join(",")).ok()?;
        for row in rows {
            let quoted = |value: &Value| {
                let text = value.as_str().unwrap_or_default();
                let is_plain = !text.contains([',', '"', '\n']);
                if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
            };
            let values = LOG_HEADER.iter().map(|column| quoted(&row[*column]));
            writeln!(encoder, "{}", values.collect::<Vec<_>>().join(",")).ok()?;
        }
        encoder.finish().ok()
    }

    /// Rows in the shape that the sandbox was told to answer.
    pub(crate) fn wrap(&self, mut rows: Vec<Map<String, Value>>, cap: usize) -> Value {
        rows.truncate(cap);
        match self.options.wrapping {
            Wrapping::Rows => {
                json!({"data": [{"type": "Report", "attributes": {"rows": rows}}], "errors": [], "warnings": []})
            }
            Wrapping::Each => {
                let data: Vec<_> = rows.into_iter().map(|row| json!({"type": "Report", "attributes": row})).collect();
                json!({"data": data, "errors": [], "warnings": []})
            }
        }
    }
}

fn chosen<T: Copy>(
    table: &[T],
    name_of: fn(&T) -> &&'static str,
    names: &[String],
    what: &str,
) -> Result<Vec<T>, Problem> {
    if names.is_empty() {
        return Err(Problem::validation("required-field", "A list must not be empty", what));
    }
    let find = |name: &String| table.iter().find(|entry| *name_of(entry) == name.as_str());
    names.iter().map(|name| find(name).copied().ok_or_else(|| unknown(what, name))).collect()
}
