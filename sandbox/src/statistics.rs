//! `POST /{version}/statistics/report`.

use std::collections::{BTreeMap, HashMap};

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, Metric, Sum};
use crate::manners::{NUMBER, Report, Table, rounded};
use crate::options::{Numbers, Options};
use crate::problem::Problem;
use crate::vocabulary::{Dimension, Measure, dimension, measure};
use crate::world::{World, ad_id, ad_set_id, ad_set_status, advertiser_id, campaign_id};

/// A report's history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// The switch for its exact first day.
    pub floor: &'static str,
    pub days: u64,
    pub months: u32,
}

impl Kept {
    const STATISTICS: Self = Self { floor: "statistics_floor", days: 730, months: 24 };
    pub(crate) const TRANSACTIONS: Self = Self { floor: "transactions_floor", ..Self::STATISTICS };
    pub(crate) const PLACEMENTS: Self = Self { floor: "placements_floor", days: 90, months: 3 };
    pub(crate) const LOG_FILES: Self = Self { floor: "log_files_floor", days: 30, months: 1 };
}

/// Allowed members of the query, as in Criteo's schema.
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
    /// The full result of a query without a cap: the truth of `statistics`, `placements`, `transactions` or `ad_level`.
    ///
    /// # Errors
    /// Criteo's error for an invalid query.
    pub fn report_truth(&self, report: &str, query: &Value) -> Result<Vec<Map<String, Value>>, String> {
        if let Some(report) = report.strip_prefix("rm_") {
            return self.retail_media_report(report, query);
        }
        let quoted = self.canonical();
        let rows = match report {
            "statistics" => Query::parse(&quoted, query).map(|query| quoted.rows(&query)),
            "placements" => quoted.placements(query),
            "transactions" => quoted.transactions(query),
            "ad_level" => quoted.ad_level(query),
            "log_level" => quoted.log_rows(query["name"].as_str().unwrap_or_default()).ok_or_else(|| required("name")),
            what @ ("campaigns" | "sellers" | "seller-campaigns") => {
                quoted.marketplace_rows(what, query).map(|(rows, _)| rows)
            }
            other => return Err(format!("there is no report {other}")),
        };
        rows.map_err(|problem| format!("{problem:?}"))
    }

    pub(crate) fn report(&self, query: &Value) -> Result<Value, Problem> {
        let mut query = Query::parse(self, query)?;
        self.refuse_totals(&query)?;
        let advertisers = query.advertisers.len();
        self.step_outside(&mut query);
        let cap = self.options.unknowns.get("silent_cap").parse().unwrap_or(usize::MAX);
        let additive = query.metrics.iter().filter(|(name, measure)| is_additive(name, *measure));
        Ok(self.tell(Table {
            report: Report::Statistics,
            rows: self.marking().rows(&query),
            timezone: query.timezone,
            advertisers,
            currency: Some(&query.currency),
            additive: additive.map(|(name, _)| name.as_str()).collect(),
            cap: self.options.row_cap.min(cap),
        }))
    }

    /// This world with marked numbers, to be formatted later.
    pub(crate) fn marking(&self) -> Self {
        Self::new(Options { numbers: Numbers::Bare, ..self.options.clone() })
    }

    /// This world in the truth's format.
    pub(crate) fn canonical(&self) -> Self {
        let unknowns = self.options.unknowns.of_the_world();
        Self::new(Options { numbers: Numbers::Quoted, unknowns, ..self.options.clone() })
    }

    fn refuse_totals(&self, query: &Query) -> Result<(), Problem> {
        let is_total = |dimension: &Dimension| *dimension == Dimension::Advertiser || dimension.is_period();
        if !query.dimensions.iter().all(is_total) {
            return Ok(());
        }
        match self.options.unknowns.get("totals_request") {
            "400" => Err(Problem::validation("invalid", "Dimensions cannot be combined", "dimensions")),
            "403" => Err(Problem::forbidden("permission-denied", "The report is not available")),
            "500" => Err(Problem::internal()),
            _ => Ok(()),
        }
    }

    /// Adds unrequested rows, where rows can show it.
    fn step_outside(&self, query: &mut Query) {
        let has = |dimension| query.dimensions.contains(&dimension);
        match self.options.unknowns.get("rows_outside") {
            "day_after" if has(Dimension::Day) || has(Dimension::Hour) => query.end = query.end + Days::new(1),
            _ if has(Dimension::Advertiser) => query.advertisers = self.with_others(&query.advertisers),
            _ => {}
        }
    }

    /// These advertisers and those that `rows_outside` adds.
    pub(crate) fn with_others(&self, asked: &[u32]) -> Vec<u32> {
        let most = match self.options.unknowns.get("rows_outside") {
            "other_advertiser" => 1,
            "filter_ignored" => usize::MAX,
            _ => 0,
        };
        let others = self.consenting_numbers().into_iter().filter(|number| !asked.contains(number)).take(most);
        asked.iter().copied().chain(others).collect()
    }

    fn rows(&self, query: &Query) -> Vec<Map<String, Value>> {
        let period = Period { start: query.start, end: query.end, timezone: query.timezone };
        let facts = period.facts(self, &query.advertisers);
        let metrics: Vec<_> = query.metrics.iter().map(|(name, measure)| Metric::new(name, *measure)).collect();
        let mut groups: HashMap<Vec<i64>, (Fact, Vec<Sum>)> = HashMap::new();
        for fact in facts {
            let day = fact.instant.with_timezone(&query.timezone).date_naive();
            if !self.passes(query, &fact) {
                continue;
            }
            let group: Vec<_> = query.dimensions.iter().map(|d| self.code(*d, &fact, day)).collect();
            let (_, sums) = groups.entry(group).or_insert_with(|| (fact, vec![Sum::default(); metrics.len()]));
            self.add(&fact, &metrics, &query.currency, sums);
        }
        let ordered: BTreeMap<_, _> = groups.into_iter().collect();
        ordered.into_values().map(|(fact, sums)| self.row(query, &fact, &sums)).collect()
    }

    fn passes(&self, query: &Query, fact: &Fact) -> bool {
        let number = self.ad_set_number(fact.path);
        (query.ad_set_ids.is_empty() || query.ad_set_ids.contains(&ad_set_id(number)))
            && (query.ad_set_names.is_empty() || query.ad_set_names.contains(&self.ad_set_name(number)))
            && (query.ad_set_status.is_empty()
                || query.ad_set_status.iter().any(|status| status == ad_set_status(number)))
    }

    /// A number for a dimension's value, with the same equality and order.
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
            Dimension::Week => i64::from((day - Days::new(self.days_into_week(day))).to_epoch_days()),
            Dimension::Month => i64::from(day.year()) * 12 + i64::from(day.month0()),
            Dimension::Year => i64::from(day.year()),
            Dimension::Os => choice(5, 3),
            Dimension::Device => choice(6, 3),
            Dimension::Goal => choice(7, 2),
            Dimension::AdChannel => choice(8, 2),
            Dimension::SocialPlatform => choice(9, 3),
        }
    }

    fn row(&self, query: &Query, fact: &Fact, sums: &[Sum]) -> Map<String, Value> {
        let mut row = Map::new();
        for dimension in &query.dimensions {
            for (member, value) in dimension.members().iter().zip(self.texts(query, *dimension, fact)) {
                row.insert((*member).to_owned(), value);
            }
        }
        for ((name, measure), sum) in query.metrics.iter().zip(sums) {
            let value = match measure {
                Measure::Word => json!("Clicks"),
                Measure::Count(_) => self.number(sum.value.to_string()),
                Measure::Money => self.money(sum.value, &query.currency),
                Measure::Ratio => self.number(sum.ratio()),
            };
            row.insert(name.clone(), value);
        }
        row.insert("Currency".to_owned(), json!(query.currency));
        row
    }

    pub(crate) fn number(&self, text: String) -> Value {
        match self.options.numbers {
            Numbers::Quoted => Value::from(text),
            Numbers::Bare => Value::from(format!("{NUMBER}{text}")),
        }
    }

    /// Money in millionths.
    pub(crate) fn money(&self, millionths: i128, currency: &str) -> Value {
        let precision = self.options.unknowns.get("money_rounding");
        self.number(decimal(rounded(millionths, currency, precision)))
    }

    /// Days since the start of the week.
    fn days_into_week(&self, day: NaiveDate) -> u64 {
        let first = match self.options.unknowns.get("week_start") {
            _ if self.options.unknowns.get("week_spelling") == "iso_week" => Weekday::Mon,
            "sunday" => Weekday::Sun,
            "saturday" => Weekday::Sat,
            _ => Weekday::Mon,
        };
        u64::from(day.weekday().days_since(first))
    }

    /// Values of a dimension's members.
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
                id_and_name(advertiser_id(advertiser), self.advertiser_name(advertiser))
            }
            Dimension::Campaign => {
                let number = self.campaign_number(fact.path);
                id_and_name(campaign_id(number), self.campaign_name(number))
            }
            Dimension::AdSet => {
                let number = self.ad_set_number(fact.path);
                id_and_name(ad_set_id(number), self.ad_set_name(number))
            }
            Dimension::Ad => {
                let number = self.ad_number(fact.path);
                id_and_name(ad_id(number), self.ad_name(number))
            }
            Dimension::Category if code == 0 => vec![json!("-1"), json!("Unknown")],
            // Two rows with one id, named in one and unknown in the other, as Criteo sends them.
            Dimension::Category if code == 4 => vec![json!("73"), json!("Unknown")],
            Dimension::Category => id_and_name(format!("{}", 70 + code), self.category_name(index)),
            Dimension::Coupon if code == 0 => vec![Value::Null, Value::Null],
            Dimension::Coupon => id_and_name(format!("{}", 40 + code), self.coupon_name(index)),
            Dimension::Objective => id_and_name(code.to_string(), ["Acquisition", "Retention"][index % 2].to_owned()),
            Dimension::Channel => id_and_name(code.to_string(), self.channel_name(index)),
            Dimension::Hour => vec![json!(local.format("%Y-%m-%dT%H:00:00").to_string())],
            Dimension::Day => vec![json!(day.to_string())],
            Dimension::Week => {
                vec![json!((day - Days::new(self.days_into_week(day))).to_string())]
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

/// Whether sums over rows are meaningful; people are counted once across rows.
fn is_additive(metric: &str, measure: Measure) -> bool {
    let is_of_people = ["Audience", "Reach", "ExposedUsers", "PotentialUsers"].contains(&metric);
    matches!(measure, Measure::Count(_) | Measure::Money) && !is_of_people
}

/// Hundredths of the currency per unit of the world's currency.
pub(crate) fn rate(currency: &str) -> i128 {
    match currency {
        "EUR" => 100,
        "USD" => 110,
        "JPY" => 16_000,
        _ => 150,
    }
}

/// Millionths as a decimal number without trailing zeros.
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
        let is_hourly = list(query, "dimensions")?.iter().any(|name| name == "Hour");
        let kept = if is_hourly { world.kept_by_hour() } else { Kept::STATISTICS };
        let Period { start, end, timezone } = Period::parse(world, query, kept)?;
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
            match world.refused_advertiser() {
                Some(problem) => return Err(problem),
                None => continue,
            }
        };
        let number = u32::try_from(position).unwrap_or(0);
        if !advertisers.contains(&number) {
            advertisers.push(number);
        }
    }
    world.refuse_empty(&advertisers)?;
    if ids.trim().is_empty() {
        return Err(Problem::validation(
            "required-field",
            "At least one advertiser id must be provided",
            "advertiserIds",
        ));
    }
    Ok(advertisers)
}

impl World {
    /// First available day of `statistics`, `hourly`, `placements`, `transactions`, `ad_level` or `log_level`; `None`
    /// for an unknown name or zone.
    #[must_use]
    pub fn served_from(&self, report: &str, timezone: &str) -> Option<NaiveDate> {
        let kept = match report {
            "statistics" => Kept::STATISTICS,
            "hourly" => self.kept_by_hour(),
            "placements" => Kept::PLACEMENTS,
            "transactions" | "ad_level" => Kept::TRANSACTIONS,
            "log_level" => Kept::LOG_FILES,
            _ => return None,
        };
        Some(self.first_day(kept, timezone.parse().ok()?))
    }

    fn kept_by_hour(&self) -> Kept {
        match self.options.unknowns.get("hourly_floor") {
            "90_days" => Kept { days: 90, months: 3, ..Kept::STATISTICS },
            "30_days" => Kept { days: 30, months: 1, ..Kept::STATISTICS },
            _ => Kept::STATISTICS,
        }
    }

    fn first_day(&self, kept: Kept, timezone: Tz) -> NaiveDate {
        let midday = self.options.today.and_hms_opt(12, 0, 0).unwrap_or_default().and_utc();
        let today = midday.with_timezone(&timezone).date_naive();
        let documented = today - Days::new(kept.days);
        match self.options.unknowns.get(kept.floor) {
            "one_day_later" => documented + Days::new(1),
            "three_days_later" => documented + Days::new(3),
            "calendar_months" => today - Months::new(kept.months),
            "documented_by_utc" => self.options.today - Days::new(kept.days),
            _ => documented,
        }
    }

    fn refuse_span(&self, days: i64) -> Result<(), Problem> {
        if self.options.unknowns.get("longest_span").parse().is_ok_and(|most: i64| days > most) {
            let detail = format!("{days} days are too many");
            return Err(match self.options.unknowns.get("span_refusal") {
                "invalid" => Problem::validation("invalid", "The query is not valid", detail),
                "gateway_timeout" => Problem::gateway_timeout(),
                _ => Problem::validation("invalid-timespan", "The timespan is not valid", detail),
            });
        }
        Ok(())
    }

    fn refused_advertiser(&self) -> Option<Problem> {
        let title = "You do not have the rights to report on these advertisers";
        Some(match self.options.unknowns.get("refused_advertiser") {
            "no_campaign" => Problem::forbidden("no-campaign-found", "No campaign found"),
            "forbidden" => Problem::forbidden("", title),
            "not_found" => Problem::not_found("advertiser"),
            "invalid" => Problem::validation("invalid", title, "advertiserIds"),
            "error_in_200" => {
                Problem { status: 200, ..Problem::forbidden("insufficient-advertisers-permissions", title) }
            }
            "skipped" => return None,
            _ => Problem::forbidden("insufficient-advertisers-permissions", title),
        })
    }

    fn refuse_empty(&self, advertisers: &[u32]) -> Result<(), Problem> {
        let is_empty = |number: &u32| *number >= self.options.advertisers;
        let is_refused = match self.options.unknowns.get("empty_advertiser") {
            "refused_alone" => !advertisers.is_empty() && advertisers.iter().all(is_empty),
            "refused" => advertisers.iter().any(is_empty),
            _ => false,
        };
        if is_refused { Err(Problem::forbidden("no-campaign-found", "No campaign found")) } else { Ok(()) }
    }
}

/// A query's days in its zone, within Criteo's history; also checks the format.
pub(crate) struct Period {
    pub start: NaiveDate,
    pub end: NaiveDate,
    pub timezone: Tz,
}

impl Period {
    pub(crate) fn parse(world: &World, query: &Value, kept: Kept) -> Result<Self, Problem> {
        let text = |name: &'static str| query[name].as_str().ok_or_else(|| required(name));
        let format = query["format"].as_str().unwrap_or("json");
        if format != "json" {
            return Err(Problem::validation("invalid", "This sandbox supports only json", format));
        }
        let zone = query["timezone"].as_str().unwrap_or("UTC");
        let timezone: Tz = zone.parse().map_err(|_| Problem::validation("invalid", "Time zone is not valid", zone))?;
        let (start, end) = (date(text("startDate")?)?, date(text("endDate")?)?);
        if end < start {
            return Err(Problem::validation("start-after-end-date", "The start lies after the end", ""));
        }
        world.refuse_span((end - start).num_days() + 1)?;
        let first = world.first_day(kept, timezone);
        if start >= first {
            return Ok(Self { start, end, timezone });
        }
        let detail = format!("{start} lies before {first}");
        match world.options.unknowns.get("below_floor") {
            "empty" => Ok(Self { start: first, end, timezone }),
            "invalid" => Err(Problem::validation("invalid", "The query is not valid", detail)),
            "not_found" => Err(Problem::not_found("report")),
            _ => Err(Problem::validation("invalid-timespan", "The timespan is not valid", detail)),
        }
    }

    /// Facts of these days in the zone.
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

/// Whether an object has only these members.
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

/// A list that may be missing or null, but no other type.
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

/// Time and zone are ignored.
pub(crate) fn date(text: &str) -> Result<NaiveDate, Problem> {
    let day = text.split('T').next().unwrap_or(text);
    day.parse().map_err(|_| Problem::validation("invalid-date-format", "The date format is not valid", text))
}
