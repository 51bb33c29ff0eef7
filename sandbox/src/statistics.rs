//! `POST /{version}/statistics/report`.

use std::collections::{BTreeMap, HashMap};

use chrono::{Datelike, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, metric_key};
use crate::options::{Casing, Numbers, Options, Shape};
use crate::problem::Problem;
use crate::vocabulary::{Dimension, Measure, dimension, measure};
use crate::world::{
    World, ad_id, ad_set_id, ad_set_name, ad_set_status, advertiser_id, advertiser_name, campaign_id, campaign_name,
};

/// How long Criteo keeps statistics.
const HISTORY_DAYS: u64 = 730;
/// What the query may say; Criteo's schema has no more.
const MEMBERS: &[&str] = &[
    "advertiserIds",
    "startDate",
    "endDate",
    "dimensions",
    "metrics",
    "currency",
    "format",
    "timezone",
    "adSetIds",
    "adSetNames",
    "adSetStatus",
];

/// A valid query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub advertisers: Vec<u32>,
    pub start: NaiveDate,
    pub end: NaiveDate,
    pub dimensions: Vec<Dimension>,
    pub metrics: Vec<(String, Measure)>,
    pub currency: String,
    timezone: Tz,
    ad_set_ids: Vec<String>,
    ad_set_names: Vec<String>,
    ad_set_status: Vec<String>,
}

impl World {
    /// The whole answer to a query, without a cap: the truth of `statistics`, `placements`, `transactions` or
    /// `ad_level`.
    ///
    /// # Errors
    /// What Criteo would answer to a query that it rejects.
    pub fn report_truth(&self, report: &str, query: &Value) -> Result<Vec<Map<String, Value>>, String> {
        let quoted = Self::new(Options { numbers: Numbers::Quoted, ..self.options.clone() });
        let rows = match report {
            "statistics" => Query::parse(self, query).map(|query| quoted.rows(&query)),
            "placements" => quoted.placements(query),
            "transactions" => quoted.transactions(query),
            "ad_level" => quoted.ad_level(query),
            "log_level" => quoted.log_rows(query["name"].as_str().unwrap_or_default()).ok_or_else(|| required("name")),
            what @ ("campaigns" | "sellers" | "seller-campaigns") => quoted.marketplace_rows(what, query),
            other => return Err(format!("there is no report {other}")),
        };
        rows.map_err(|problem| format!("{problem:?}"))
    }

    pub(crate) fn report(&self, query: &Value) -> Result<Value, Problem> {
        let query = Query::parse(self, query)?;
        let mut rows = self.rows(&query);
        rows.truncate(self.options.row_cap);
        if self.options.casing == Casing::Camel {
            rows = rows
                .into_iter()
                .map(|row| row.into_iter().map(|(name, value)| (camel(&name), value)).collect())
                .collect();
        }
        Ok(match self.options.shape {
            Shape::Rows => json!({"Rows": rows, "Total": {"Currency": query.currency}}),
            Shape::Array => json!(rows),
        })
    }

    fn rows(&self, query: &Query) -> Vec<Map<String, Value>> {
        let period = Period { start: query.start, end: query.end, timezone: query.timezone };
        let facts = period.facts(self, &query.advertisers);
        let keys: Vec<_> = query.metrics.iter().map(|(name, _)| metric_key(name)).collect();
        let mut groups: HashMap<Vec<i64>, (Fact, Vec<[i128; 2]>)> = HashMap::new();
        for fact in facts {
            let day = fact.instant.with_timezone(&query.timezone).date_naive();
            if !self.passes(query, &fact) {
                continue;
            }
            let group: Vec<_> = query.dimensions.iter().map(|d| self.code(*d, &fact, day)).collect();
            let (_, sums) = groups.entry(group).or_insert_with(|| (fact, vec![[0, 0]; keys.len()]));
            for ((sum, key), (_, measure)) in sums.iter_mut().zip(&keys).zip(&query.metrics) {
                sum[0] += self.value(&fact, *key, *measure);
                sum[1] += 1;
            }
        }
        let ordered: BTreeMap<_, _> = groups.into_iter().collect();
        ordered.into_values().map(|(fact, sums)| self.row(query, &fact, &sums)).collect()
    }

    fn passes(&self, query: &Query, fact: &Fact) -> bool {
        let number = self.ad_set_number(fact.path);
        (query.ad_set_ids.is_empty() || query.ad_set_ids.contains(&ad_set_id(number)))
            && (query.ad_set_names.is_empty() || query.ad_set_names.contains(&ad_set_name(number)))
            && (query.ad_set_status.is_empty()
                || query.ad_set_status.iter().any(|status| status == ad_set_status(number)))
    }

    /// A number for the value of a dimension: equal numbers are the same value, and they sort like it.
    fn code(&self, dimension: Dimension, fact: &Fact, day: NaiveDate) -> i64 {
        let choice = |salt, count| i64::try_from(self.choice(fact, salt, count)).unwrap_or(0);
        match dimension {
            Dimension::Advertiser => i64::from(fact.path.advertiser),
            Dimension::Campaign => i64::from(self.campaign_number(fact.path)),
            Dimension::AdSet => i64::from(self.ad_set_number(fact.path)),
            Dimension::Ad => i64::from(self.ad_number(fact.path)),
            Dimension::Category => choice(1, 5),
            Dimension::Coupon => choice(2, 3),
            Dimension::Objective => choice(3, 2),
            Dimension::Channel => choice(4, 3),
            Dimension::Hour => fact.instant.timestamp() / 3600,
            Dimension::Day => i64::from(day.to_epoch_days()),
            Dimension::Week => i64::from(day.to_epoch_days()) - i64::from(day.weekday().num_days_from_monday()),
            Dimension::Month => i64::from(day.year()) * 12 + i64::from(day.month0()),
            Dimension::Year => i64::from(day.year()),
            Dimension::Os => choice(5, 3),
            Dimension::Device => choice(6, 3),
            Dimension::Goal => choice(7, 2),
            Dimension::AdChannel => choice(8, 2),
            Dimension::SocialPlatform => choice(9, 3),
        }
    }

    fn row(&self, query: &Query, fact: &Fact, sums: &[[i128; 2]]) -> Map<String, Value> {
        let mut row = Map::new();
        for dimension in &query.dimensions {
            for (member, value) in dimension.members().iter().zip(self.texts(query, *dimension, fact)) {
                row.insert((*member).to_owned(), value);
            }
        }
        for ((name, measure), [sum, facts]) in query.metrics.iter().zip(sums) {
            let value = match measure {
                Measure::Word => json!("Clicks"),
                Measure::Count(_) => self.number(sum.to_string()),
                Measure::Money => self.number(decimal(sum * rate(&query.currency) / 100)),
                Measure::Ratio => self.number(decimal(sum / (facts * 100))),
            };
            row.insert(name.clone(), value);
        }
        row.insert("Currency".to_owned(), json!(query.currency));
        row
    }

    pub(crate) fn number(&self, text: String) -> Value {
        match self.options.numbers {
            Numbers::Quoted => Value::from(text),
            // A mark that `bare_numbers` takes away together with the quotes: no double would keep all digits.
            Numbers::Bare => Value::from(format!("#{text}")),
        }
    }

    /// The values of a dimension's members.
    fn texts(&self, query: &Query, dimension: Dimension, fact: &Fact) -> Vec<Value> {
        let local = fact.instant.with_timezone(&query.timezone);
        let day = local.date_naive();
        let code = self.code(dimension, fact, day);
        let index = usize::try_from(code).unwrap_or(0);
        let word = |words: &[&str]| vec![json!(words[index % words.len()])];
        let id_and_name = |id: String, name: String| vec![json!(id), json!(name)];
        match dimension {
            Dimension::Advertiser => {
                let advertiser = fact.path.advertiser;
                id_and_name(advertiser_id(advertiser), advertiser_name(advertiser))
            }
            Dimension::Campaign => {
                let number = self.campaign_number(fact.path);
                id_and_name(campaign_id(number), campaign_name(number))
            }
            Dimension::AdSet => {
                let number = self.ad_set_number(fact.path);
                id_and_name(ad_set_id(number), ad_set_name(number))
            }
            Dimension::Ad => {
                let number = self.ad_number(fact.path);
                id_and_name(ad_id(number), format!("Ad {}", number + 1))
            }
            Dimension::Category if code == 0 => vec![json!("-1"), json!("Unknown")],
            // Twins, as Criteo sends them: one id, named in one row and unknown in the other.
            Dimension::Category if code == 4 => vec![json!("73"), json!("Unknown")],
            Dimension::Category => id_and_name(format!("{}", 70 + code), format!("Category {code}")),
            Dimension::Coupon if code == 0 => vec![Value::Null, Value::Null],
            Dimension::Coupon => id_and_name(format!("{}", 40 + code), format!("Coupon {code}")),
            Dimension::Objective => id_and_name(code.to_string(), ["Acquisition", "Retention"][index % 2].to_owned()),
            Dimension::Channel => id_and_name(code.to_string(), format!("Channel {code}")),
            Dimension::Hour => vec![json!(local.format("%Y-%m-%dT%H:00:00").to_string())],
            Dimension::Day => vec![json!(day.to_string())],
            Dimension::Week => {
                let monday = day - Days::new(u64::from(day.weekday().num_days_from_monday()));
                vec![json!(monday.to_string())]
            }
            Dimension::Month => vec![json!(day.format("%Y-%m-01").to_string())],
            Dimension::Year => vec![json!(day.format("%Y-01-01").to_string())],
            Dimension::Os => word(&["Android", "iOS", "Windows"]),
            Dimension::Device => word(&["Desktop", "Smartphone", "Tablet"]),
            Dimension::Goal => word(&["Acquisition", "Retention"]),
            Dimension::AdChannel => word(&["Display", "Social"]),
            Dimension::SocialPlatform => word(&["", "Facebook", "Pinterest"]),
        }
    }
}

fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Takes the quotes off marked numbers.
pub(crate) fn bare_numbers(body: &str) -> String {
    let mut pieces = body.split("\"#");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (number, rest) = piece.split_once('"').unwrap_or((piece, ""));
        text.push_str(number);
        text.push_str(rest);
    }
    text
}

/// Hundredths of the currency for one unit of the world's own money.
pub(crate) fn rate(currency: &str) -> i128 {
    match currency {
        "EUR" => 100,
        "USD" => 110,
        "JPY" => 16_000,
        _ => 150,
    }
}

/// Millionths as a decimal number without needless zeros.
pub(crate) fn decimal(millionths: i128) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Query {
    pub(crate) fn has_filters(&self) -> bool {
        [&self.ad_set_ids, &self.ad_set_names, &self.ad_set_status].iter().any(|filter| !filter.is_empty())
    }

    pub(crate) fn parse(world: &World, query: &Value) -> Result<Self, Problem> {
        known_members(query, MEMBERS)?;
        let text = |name: &'static str| query[name].as_str().ok_or_else(|| required(name));
        text("format")?;
        let currency = currency(query)?;
        let Period { start, end, timezone } = Period::parse(world, query, HISTORY_DAYS)?;
        let mut dimensions = Vec::new();
        for name in list(query, "dimensions")? {
            let dimension = dimension(&name).ok_or_else(|| unknown("dimension", &name))?;
            if !dimensions.contains(&dimension) {
                dimensions.push(dimension);
            }
        }
        if dimensions.is_empty() {
            return Err(required("dimensions"));
        }
        let metrics = list(query, "metrics")?
            .into_iter()
            .map(|name| {
                let is_retired = world.options.retired_metrics.contains(&name);
                let measure = measure(&name).filter(|_| !is_retired);
                measure.map(|measure| (name.clone(), measure)).ok_or_else(|| unknown("metric", &name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let asked = list(query, "dimensions")?;
        let is_asked = |(dimension, metric): &&(String, String)| {
            asked.contains(dimension) && metrics.iter().any(|(name, _)| name == metric)
        };
        if let Some((dimension, metric)) = world.options.refused_pairs.iter().find(is_asked) {
            let detail = format!("{metric} is not available by {dimension}");
            return Err(Problem::validation("invalid", "Dimensions and metrics cannot be combined", detail));
        }
        Ok(Self {
            advertisers: advertisers_of(world, text("advertiserIds")?)?,
            start,
            end,
            dimensions,
            metrics,
            currency,
            timezone,
            ad_set_ids: optional_list(query, "adSetIds")?,
            ad_set_names: optional_list(query, "adSetNames")?,
            ad_set_status: statuses(query)?,
        })
    }
}

pub(crate) fn advertisers_of(world: &World, ids: &str) -> Result<Vec<u32>, Problem> {
    let known = world.advertiser_ids();
    let consenting = world.consenting_ids();
    let mut advertisers = Vec::new();
    for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let is_refused =
            !consenting.iter().any(|known| known == id) || world.options.refused_in_reports.iter().any(|r| r == id);
        let position = known.iter().position(|known| known == id).filter(|_| !is_refused);
        let Some(position) = position else {
            let title = "You do not have the rights to report on these advertisers";
            return Err(Problem::forbidden("insufficient-advertisers-permissions", title));
        };
        let number = u32::try_from(position).unwrap_or(0);
        if !advertisers.contains(&number) {
            advertisers.push(number);
        }
    }
    if advertisers.is_empty() {
        return Err(Problem::validation(
            "required-field",
            "At least one advertiser id must be provided",
            "advertiserIds",
        ));
    }
    Ok(advertisers)
}

/// Days of a query, in its zone, checked against what Criteo keeps; the format is checked along with them.
pub(crate) struct Period {
    pub start: NaiveDate,
    pub end: NaiveDate,
    pub timezone: Tz,
}

impl Period {
    pub(crate) fn parse(world: &World, query: &Value, history_days: u64) -> Result<Self, Problem> {
        let text = |name: &'static str| query[name].as_str().ok_or_else(|| required(name));
        let format = query["format"].as_str().unwrap_or("json");
        if format != "json" {
            return Err(Problem::validation("invalid", "This sandbox answers json only", format));
        }
        let zone = query["timezone"].as_str().unwrap_or("UTC");
        let timezone: Tz = zone.parse().map_err(|_| Problem::validation("invalid", "Time zone is not valid", zone))?;
        let (start, end) = (date(text("startDate")?)?, date(text("endDate")?)?);
        if end < start {
            return Err(Problem::validation("start-after-end-date", "The start lies after the end", ""));
        }
        let midday = world.options.today.and_hms_opt(12, 0, 0).unwrap_or_default().and_local_timezone(Utc);
        let today = midday.single().unwrap_or_default().with_timezone(&timezone).date_naive();
        if start + Days::new(history_days) < today {
            let detail = format!("{start} lies more than {history_days} days back");
            return Err(Problem::validation("invalid-timespan", "The timespan is not valid", detail));
        }
        Ok(Self { start, end, timezone })
    }

    /// The facts of these days, as the zone counts them.
    pub(crate) fn facts(&self, world: &World, advertisers: &[u32]) -> Vec<Fact> {
        let mut facts = world.facts(advertisers, self.start - Days::new(1), self.end + Days::new(1));
        facts.retain(|fact| (self.start..=self.end).contains(&fact.instant.with_timezone(&self.timezone).date_naive()));
        facts
    }
}

pub(crate) fn currency(query: &Value) -> Result<String, Problem> {
    let currency = query["currency"].as_str().ok_or_else(|| required("currency"))?;
    if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Problem::validation("invalid", "Currency is not supported", currency));
    }
    Ok(currency.to_owned())
}

/// Whether an object has nothing but these members.
pub(crate) fn known_members(object: &Value, members: &[&str]) -> Result<(), Problem> {
    let Some(object) = object.as_object() else {
        return Err(Problem::validation("invalid", "An object is wanted", ""));
    };
    match object.keys().find(|member| !members.contains(&member.as_str())) {
        Some(member) => Err(Problem::validation("invalid", "Unknown member", member)),
        None => Ok(()),
    }
}

/// One of these words, or nothing.
pub(crate) fn optional_word<'a>(
    query: &'a Value,
    name: &'static str,
    words: &[&str],
) -> Result<Option<&'a str>, Problem> {
    match &query[name] {
        Value::Null => Ok(None),
        Value::String(word) if words.contains(&word.as_str()) => Ok(Some(word)),
        _ => Err(Problem::validation("invalid", "The value is not one of those allowed", name)),
    }
}

fn statuses(query: &Value) -> Result<Vec<String>, Problem> {
    let statuses = optional_list(query, "adSetStatus")?;
    match statuses.iter().find(|status| !["Active", "NotRunning", "Dead"].contains(&status.as_str())) {
        Some(status) => Err(unknown("ad set status", status)),
        None => Ok(statuses),
    }
}

/// A list that may be left out or null, but not be of another type.
pub(crate) fn optional_list(query: &Value, name: &'static str) -> Result<Vec<String>, Problem> {
    if query[name].is_null() { Ok(Vec::new()) } else { list(query, name) }
}

pub(crate) fn list(query: &Value, name: &'static str) -> Result<Vec<String>, Problem> {
    let items = query[name].as_array().ok_or_else(|| required(name))?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| required(name))).collect()
}

pub(crate) fn required(name: &'static str) -> Problem {
    Problem::validation("required-field", "A required field is missing or of another type", name)
}

pub(crate) fn unknown(what: &str, name: &str) -> Problem {
    Problem::validation("invalid", format!("Unknown {what}"), format!("{name} is not a valid {what}"))
}

/// The time and zone part is ignored.
pub(crate) fn date(text: &str) -> Result<NaiveDate, Problem> {
    let day = text.split('T').next().unwrap_or(text);
    day.parse().map_err(|_| Problem::validation("invalid-date-format", "The date format is not valid", text))
}
