//! The reports other than `/statistics/report`: placements, transactions, log level, ad level.
//!
//! Their JSON is not documented. Placements and transactions support both formats that users have reported.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, Metric, Sum};
use crate::faults::gzip;
use crate::manners::{Report, Table};
use crate::options::Options;
use crate::problem::Problem;
use crate::statistics::{
    Kept, Period, advertisers_of, currency, decimal, known_members, list, optional_list, optional_word, rate, required,
    unknown,
};
use crate::vocabulary::Measure;
use crate::world::{World, ad_id, ad_set_id, advertiser_id, campaign_id};

/// Allowed members of the queries, as in the schemas.
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
/// Maximum advertisers of an ad-level query.
const MAX_AD_LEVEL_ADVERTISERS: usize = 5;

/// An order follows its event within this many days.
const MAX_DAYS_TO_ORDER: u64 = 20;

/// A dimension of a small report: its name, and its value for a fact.
type Dimension = (&'static str, fn(&World, &Fact) -> Value);

const PLACEMENT_DIMENSIONS: &[Dimension] = &[
    ("AdsetId", |world, fact| json!(ad_set_id(world.ad_set_number(fact.path)))),
    ("AdvertiserId", |_, fact| json!(advertiser_id(fact.path.advertiser))),
    ("Placement", |world, fact| json!(world.placement(pick(world, fact, 12, 4)))),
    ("Environment", |world, fact| json!(["Web", "Android", "Ios"][pick(world, fact, 11, 3)])),
    ("AdsetName", |world, fact| json!(world.ad_set_name(world.ad_set_number(fact.path)))),
    ("AdvertiserName", |world, fact| json!(world.advertiser_name(fact.path.advertiser))),
    ("CampaignId", |world, fact| json!(campaign_id(world.campaign_number(fact.path)))),
    ("CampaignName", |world, fact| json!(world.campaign_name(world.campaign_number(fact.path)))),
    ("AdChannel", |world, fact| json!(["Display", "Social"][pick(world, fact, 8, 2)])),
    ("SocialPlatform", |world, fact| json!(["", "Facebook", "Pinterest"][pick(world, fact, 9, 3)])),
    ("CategoryId", |world, fact| json!((70 + pick(world, fact, 1, 4)).to_string())),
    ("CategoryName", |world, fact| json!(world.category_name(pick(world, fact, 1, 4)))),
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
    ("AdvertiserName", |world, fact| json!(world.advertiser_name(fact.path.advertiser))),
    ("AdsetId", |world, fact| json!(ad_set_id(world.ad_set_number(fact.path)))),
    ("AdsetName", |world, fact| json!(world.ad_set_name(world.ad_set_number(fact.path)))),
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
        totals: Vec<Sum>,
    }
    let money = currency.unwrap_or("EUR");
    let sources: Vec<_> = metrics.iter().map(|(_, source, measure)| Metric::new(source, *measure)).collect();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for fact in facts {
        let row: Map<String, Value> =
            dimensions.iter().map(|(name, value)| ((*name).to_owned(), value(world, &fact))).collect();
        let key = Value::Object(row.clone()).to_string();
        let group = groups.entry(key).or_insert_with(|| Group { row, totals: vec![Sum::default(); metrics.len()] });
        world.add(&fact, &sources, money, &mut group.totals);
    }
    let rows = groups.into_values().map(|Group { mut row, totals }| {
        for (total, (name, _, measure)) in totals.into_iter().zip(metrics) {
            let value = match measure {
                Measure::Count(_) => world.number(total.value.to_string()),
                Measure::Money => world.money(total.value, money),
                Measure::Ratio => world.number(total.ratio()),
                Measure::Word => json!(world.wording(name)),
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
    /// `POST /{version}/placements/report`: without a time dimension.
    pub(crate) fn placements(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = wrapped(query)?;
        known_members(attributes, PLACEMENT_MEMBERS)?;
        let period = Period::parse(self, attributes, Kept::PLACEMENTS)?;
        let environment = optional_word(attributes, "environment", &["Web", "Android", "Ios"])?;
        let advertisers =
            advertisers_of(self, attributes["advertiserIds"].as_str().ok_or_else(|| required("advertiserIds"))?)?;
        let currency = &currency(attributes)?;
        let dimensions = chosen(PLACEMENT_DIMENSIONS, |(name, _)| name, &list(attributes, "dimensions")?, "dimension")?;
        let metrics = chosen(PLACEMENT_METRICS, |(name, ..)| name, &list(attributes, "metrics")?, "metric")?;
        let has_both = self.options.unknowns.get("placements_default") == "both";
        let is_disclosed = attributes["disclosed"].as_bool().or((!has_both).then_some(true));
        let ids = |name: &str| -> Vec<&str> {
            attributes[name].as_str().map(|ids| ids.split(',').collect()).unwrap_or_default()
        };
        let (campaigns, ad_sets) = (ids("campaignIds"), ids("adsetIds"));
        // Today's numbers appear only on the next day.
        let mut facts = period.facts(self, &advertisers);
        facts.retain(|fact| {
            let value = |index: usize| PLACEMENT_DIMENSIONS[index].1(self, fact);
            let is_in = |ids: &[&str], index: usize| ids.is_empty() || ids.iter().any(|id| value(index) == **id);
            fact.instant.date_naive() < self.options.today
                && is_in(&campaigns, 6)
                && is_in(&ad_sets, 0)
                && environment.is_none_or(|wanted| value(3) == wanted)
                && attributes["placement"].as_str().is_none_or(|wanted| value(2) == wanted)
                && is_disclosed.is_none_or(|wanted| wanted == (self.choice(fact, 15, 5) > 0))
        });
        Ok(sums(self, facts, &dimensions, &metrics, Some(currency)))
    }

    /// `POST /{version}/transactions/report`: one row per event.
    pub(crate) fn transactions(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = wrapped(query)?;
        known_members(attributes, TRANSACTION_MEMBERS)?;
        let mut period = Period::parse(self, attributes, Kept::TRANSACTIONS)?;
        if self.options.unknowns.get("rows_outside") == "day_after" {
            period.end = period.end + Days::new(1);
        }
        let event_type = optional_word(attributes, "eventType", &["Click", "Display"])?;
        let advertisers =
            advertisers_of(self, attributes["advertiserIds"].as_str().ok_or_else(|| required("advertiserIds"))?)?;
        let currency = &currency(attributes)?;
        let event_of = |fact: &Fact| fact.instant - Days::new(self.choice(fact, 18, MAX_DAYS_TO_ORDER));
        let advertisers = self.with_others(&advertisers);
        let mut facts = if self.options.unknowns.get("transactions_window") == "event" {
            let later = Period { end: period.end + Days::new(MAX_DAYS_TO_ORDER), ..period };
            let is_in = |day: NaiveDate| (period.start..=period.end).contains(&day);
            let mut facts = later.facts(self, &advertisers);
            facts.retain(|fact| is_in(event_of(fact).with_timezone(&period.timezone).date_naive()));
            facts
        } else {
            period.facts(self, &advertisers)
        };
        facts.sort_by_key(|fact| fact.instant);
        let local =
            |instant: DateTime<Utc>| instant.with_timezone(&period.timezone).format("%m/%d/%Y %H:%M:%S").to_string();
        let event = |fact: &Fact| ["Click", "Display"][pick(self, fact, 16, 2)];
        facts.retain(|fact| pick(self, fact, 13, 3) == 0 && event_type.is_none_or(|wanted| event(fact) == wanted));
        let rows = facts.iter().map(|fact| {
            let flag = |salt, yes: &str, no: &str| json!(if pick(self, fact, salt, 2) == 0 { yes } else { no });
            let row = json!({
                "advertiserId": advertiser_id(fact.path.advertiser),
                "advertiserName": self.advertiser_name(fact.path.advertiser),
                "adsetName": self.ad_set_name(self.ad_set_number(fact.path)),
                // An order may have both a click and a display, and may repeat.
                "transactionId": format!("order-{:06}", self.choice(fact, 17, 5_000)),
                "transactionDate": local(fact.instant),
                "eventType": event(fact),
                "eventDate": local(event_of(fact)),
                "attributedTransaction": flag(19, "True", "False"),
                "crossDeviceTransaction": flag(20, "Yes", "No"),
                "currency": currency,
                "amount": self.money(self.order_amount(fact, currency), currency),
            });
            row.as_object().cloned().unwrap_or_default()
        });
        Ok(rows.collect())
    }

    /// `POST /{version}/marketing-solutions/statistics-adlevel/report`
    pub(crate) fn ad_level(&self, query: &Value) -> Result<Vec<Map<String, Value>>, Problem> {
        let attributes = &query["data"]["attributes"];
        known_members(attributes, AD_LEVEL_MEMBERS)?;
        let period = Period::parse(self, attributes, Kept::TRANSACTIONS)?;
        let ids = list(attributes, "advertiserIds")?;
        if ids.is_empty() || ids.len() > MAX_AD_LEVEL_ADVERTISERS {
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

    /// `POST /{version}/log-level/advertisers/{id}/report`: links to files, one per day.
    pub(crate) fn log_files(
        &self,
        advertiser: &str,
        query: &Value,
        base: &str,
        valid_until: &str,
    ) -> Result<Value, Problem> {
        known_members(query, &["startDate", "endDate", "shouldDisplayProductIds"])?;
        let Period { start, end, .. } = Period::parse(self, query, Kept::LOG_FILES)?;
        let [_] = advertisers_of(self, advertiser)?[..] else { return Err(Problem::not_found(advertiser)) };
        let mut files = Vec::new();
        let mut day = start;
        let yesterday = self.options.today - Days::new(1);
        let unknowns = &self.options.unknowns;
        let parts: &[&str] = if unknowns.get("log_files_a_day") == "one" { &[""] } else { &["_1", "_2"] };
        while day <= end.min(yesterday) {
            let is_late = day == yesterday && unknowns.get("young_log_files") == "late";
            for part in &parts[..parts.len() - usize::from(is_late)] {
                let blob = format!("{advertiser}_{day}{part}.csv.gz");
                let is_shared = unknowns.get("log_files_a_day") == "two_of_one_name";
                let name = if is_shared { format!("{advertiser}_{day}.csv.gz") } else { blob.clone() };
                let url = format!("{base}/files/{blob}?until={valid_until}&sig=a%2Bb%2F%3D");
                files.push(json!({"fileName": name, "url": url}));
            }
            day = day + Days::new(1);
        }
        let attributes = json!({"advertiserId": advertiser, "files": files, "tokenValidUntil": valid_until});
        Ok(json!({"data": [{"type": "TransparencyReport", "attributes": attributes}], "errors": [], "warnings": []}))
    }

    /// The constant rows of a log file; one half if the name ends in `_1` or `_2`.
    pub(crate) fn log_rows(&self, name: &str) -> Option<Vec<Map<String, Value>>> {
        let (advertiser, day) = name.strip_suffix(".csv.gz")?.split_once('_')?;
        let (day, part) = day.split_once('_').map_or((day, None), |(day, part)| (day, Some(part)));
        let advertisers = advertisers_of(self, advertiser).ok()?;
        let day: NaiveDate = day.parse().ok()?;
        let settled = Self::new(Options { restatement_days: 0, ..self.options.clone() });
        let facts = settled.facts(&advertisers, day, day).into_iter().enumerate();
        let facts = facts.filter(|(index, _)| part.is_none_or(|part| (index % 2 == 0) == (part == "1")));
        Some(facts.map(|(_, fact)| settled.log_row(&fact)).collect())
    }

    fn log_row(&self, fact: &Fact) -> Map<String, Value> {
        let is_click = pick(self, fact, 16, 2) == 0;
        let cost = self.cost_of_event(fact, is_click, "EUR");
        let header = self.options.unknowns.get("log_header");
        let mut row = if header == "older" {
            json!({
                "event_time": fact.instant.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "event_type": if is_click { "click" } else { "display" },
                "advertiser_id": advertiser_id(fact.path.advertiser),
                "ad_set_id": ad_set_id(self.ad_set_number(fact.path)),
                "ad_id": ad_id(self.ad_number(fact.path)),
                "environment": "Web",
                "domain": "news, \"daily\"\nsecond line",
                "cost_eur": decimal(cost),
                "user_agent": "",
            })
        } else {
            let costs = |is_of: bool| {
                let costs = ("EUR".to_owned(), decimal(cost), decimal(cost * rate("USD") / 100));
                if is_of { costs } else { Default::default() }
            };
            let ((display_currency, display, display_usd), (click_currency, click, click_usd)) =
                (costs(!is_click), costs(is_click));
            let timestamp = match self.options.unknowns.get("log_times") {
                "spaced" => fact.instant.format("%Y-%m-%d %H:%M:%S").to_string(),
                "epoch" => fact.instant.timestamp().to_string(),
                _ => fact.instant.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            };
            let is_app = pick(self, fact, 21, 3) == 0;
            json!({
                "DAY": fact.instant.date_naive().to_string(),
                "HOUR": fact.instant.format("%H").to_string(),
                "TIMESTAMP": timestamp,
                "EVENT_TYPE": if is_click { "click" } else { "display" },
                "ADSET_ID": ad_set_id(self.ad_set_number(fact.path)),
                "ADSET_NAME": self.ad_set_name(self.ad_set_number(fact.path)),
                "AD_FORMAT": "300x250",
                "BANNER_ID": ad_id(self.ad_number(fact.path)),
                "CATEGORY_ID": (70 + pick(self, fact, 1, 4)).to_string(),
                "CATEGORY_NAME": self.category_in_log(pick(self, fact, 1, 4)),
                "REFERRER": if is_app { "" } else { "news.example" },
                "ENVIRONMENT": if is_app { "App" } else { "Web" },
                "DEVICE_FAMILY": (["Desktop", "Smartphone", "Tablet"][pick(self, fact, 6, 3)]),
                "OS_FAMILY": (["Android", "iOS", "Windows"][pick(self, fact, 5, 3)]),
                "APP_ID": if is_app { "app.example" } else { "" },
                "APP_NAME": if is_app { "Game" } else { "" },
                "VIEWABILITY": (["Viewable", "NonViewable", ""][pick(self, fact, 22, 3)]),
                "DISPLAY_COST_CURRENCY": display_currency,
                "DISPLAY_COST": display,
                "DISPLAY_COST_USD": display_usd,
                "CLICK_COST_CURRENCY": click_currency,
                "CLICK_COST": click,
                "CLICK_COST_USD": click_usd,
            })
        };
        if header == "unknown_columns" {
            row["AUCTION_TYPE"] = json!("first price");
            row["DEAL_ID"] = json!("");
        }
        row.as_object().cloned().unwrap_or_default()
    }

    /// The compressed content of a log file.
    pub(crate) fn log_file(&self, name: &str) -> Option<Vec<u8>> {
        let rows = self.log_rows(name)?;
        let quoted = |text: &str| {
            let is_plain = !text.contains([',', '"', '\n']);
            if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
        };
        // The columns of any fact: even a day without events has a header.
        let model = Fact { path: self.ad_path(0), instant: DateTime::UNIX_EPOCH, key: 0 };
        let mut text = self.log_row(&model).keys().cloned().collect::<Vec<_>>().join(",") + "\n";
        for row in rows {
            let values = row.values().map(|value| quoted(value.as_str().unwrap_or_default()));
            text += &(values.collect::<Vec<_>>().join(",") + "\n");
        }
        let once = gzip(text.as_bytes());
        Some(if self.options.unknowns.get("log_compression") == "twice" { gzip(&once) } else { once })
    }

    /// The response of one of these reports.
    pub(crate) fn small_report(&self, report: Report, query: &Value) -> Result<Value, Problem> {
        let world = self.marking();
        let (rows, cap) = match report {
            Report::Placements => (world.placements(query)?, self.options.placement_cap),
            Report::Transactions => (world.transactions(query)?, usize::MAX),
            _ => (world.ad_level(query)?, usize::MAX),
        };
        let attributes = if report == Report::AdLevel { &query["data"]["attributes"] } else { wrapped(query)? };
        let advertisers = match &attributes["advertiserIds"] {
            Value::Array(ids) => ids.len(),
            ids => ids.as_str().map_or(0, |ids| ids.split(',').count()),
        };
        let is_sum = |measure: &Measure| matches!(measure, Measure::Count(_) | Measure::Money);
        // Separately, since a name in both would be split twice.
        let metrics = if report == Report::AdLevel { AD_LEVEL_METRICS } else { PLACEMENT_METRICS };
        let additive = metrics.iter().filter(|(_, _, measure)| is_sum(measure));
        Ok(self.tell(Table {
            report,
            rows,
            timezone: attributes["timezone"].as_str().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC),
            advertisers,
            currency: None,
            additive: additive.map(|(name, ..)| *name).collect(),
            cap: cap.min(self.options.row_cap),
        }))
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
