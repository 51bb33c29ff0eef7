//! A report's request: its scope, window, dimensions, metrics and filters.

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde_json::Value;

use crate::problem::Problem;
use crate::retail_media::facts::{RetailFact, Subject};
use crate::retail_media::filters::{attribution, value_filters};
use crate::retail_media::scope::Scope;
use crate::retail_media::vocabulary::Report;
use crate::statistics::{known_members, optional_list, optional_word, required, unknown};
use crate::world::World;

/// Days of history, and of real-time reports.
const HISTORY: u64 = 1_095;
const REAL_TIME: u64 = 7;
/// Greatest number of days of a request, whatever its scope.
const MAX_DAYS: i64 = 100;

/// An attribution window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    LeftOut,
    /// The word `none`.
    None,
    Days(u32),
}

/// Whether the limits of requests hold; the truth has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    Documented,
    Without,
}

/// A valid request.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub report: Report,
    pub subjects: Vec<Subject>,
    pub dimensions: Vec<String>,
    pub metrics: Vec<String>,
    pub start: NaiveDate,
    pub end: NaiveDate,
    /// `None` for each account's own zone.
    pub zone: Option<Tz>,
    pub click: Window,
    pub view: Window,
    pub click_level: u32,
    pub view_level: u32,
    /// Dimensions and their allowed values.
    filters: Vec<(&'static str, Vec<String>)>,
    pub format: String,
    /// The account whose currency money has.
    pub account: u32,
}

impl Query {
    pub(crate) fn parse(world: &World, report: Report, asked: &Value, limits: Limits) -> Result<Self, Problem> {
        known_members(asked, report.members())?;
        let (start, end) = window(world, report, asked)?;
        let zone = match (report, asked["timezone"].as_str()) {
            (Report::MissedOpportunities, _) if world.options.unknowns.get("rm_missed_zone") == "account" => None,
            (_, zone) => {
                let zone = zone.unwrap_or("UTC");
                Some(zone.parse().map_err(|_| Problem::validation("invalid", "Time zone is not valid", zone))?)
            }
        };
        let (dimensions, metrics) = columns(report, asked)?;
        let ((click, view), (click_level, view_level)) = attribution(world, report, asked)?;
        let filters = value_filters(report, asked)?;
        let formats = ["json", "json-compact", "json-newline", "csv"];
        let format = optional_word(asked, "format", &formats)?.unwrap_or(report.usual_format()).to_owned();
        let scope = Scope::parse(world, report, asked, limits)?;
        let mut query = Self {
            report,
            subjects: scope.subjects,
            dimensions,
            metrics,
            start,
            end,
            zone,
            click,
            view,
            click_level,
            view_level,
            filters,
            format,
            account: scope.accounts.first().copied().unwrap_or(0),
        };
        if limits == Limits::Documented {
            query.refuse_window(world, scope.is_by_account)?;
            query.refuse_products(world)?;
            let mut currencies: Vec<_> = scope.accounts.iter().map(|account| World::currency_of(*account)).collect();
            currencies.dedup();
            if currencies.len() > 1 && world.options.unknowns.get("rm_mixed_currencies") == "refused" {
                return Err(Problem::validation("invalid", "The accounts differ in currency", "accountIds"));
            }
        }
        Ok(query)
    }

    /// Whether a fact is in the window and passes all filters.
    pub(crate) fn passes(&self, world: &World, fact: &RetailFact) -> bool {
        let day = world.local(fact, self).date();
        (self.start..=self.end).contains(&day)
            && self.filters.iter().all(|(dimension, words)| {
                let value = world.dimension(fact, dimension, self);
                words.iter().any(|word| value == **word || (word == "unknown" && value.is_null()))
            })
            && (!self.report.is_of_transactions() || world.credited(fact, self).is_some())
    }

    fn refuse_window(&mut self, world: &World, is_by_account: bool) -> Result<(), Problem> {
        let days = (self.end - self.start).num_days() + 1;
        let is_short = is_by_account && world.options.unknowns.get("rm_longest_span") == "31";
        let most = if is_short { 31 } else { MAX_DAYS };
        let sync = world.options.unknowns.get("rm_sync_days").parse().unwrap_or(MAX_DAYS);
        let most = if self.report.is_synchronous() { sync } else { most };
        if days > most {
            let detail = format!("{days} days are more than {most}");
            return Err(Problem::validation("invalid-timespan", "The timespan is not valid", detail));
        }
        let first = world.retail_media_served_from(self.report == Report::RealTime);
        if self.start >= first {
            return Ok(());
        }
        if world.options.unknowns.get("rm_below_floor") == "empty" {
            self.start = first;
            return Ok(());
        }
        let detail = format!("{} lies before {first}", self.start);
        Err(Problem::validation("invalid-timespan", "The timespan is not valid", detail))
    }

    /// Reports by product are refused for scopes with preferred campaigns, if the switch says so.
    fn refuse_products(&self, world: &World) -> Result<(), Problem> {
        let is_by_product = self.dimensions.iter().any(|name| name.contains("roduct"));
        let is_preferred = |subject: &Subject| match subject {
            Subject::LineItem(line_item) => World::is_preferred(world.campaign_of(*line_item)),
            Subject::Placement(_) => false,
        };
        let is_refused = world.options.unknowns.get("rm_product_fields") == "refused"
            && self.report == Report::Performance
            && is_by_product
            && self.subjects.iter().any(is_preferred);
        if !is_refused {
            return Ok(());
        }
        Err(Problem::validation("invalid", "Product fields are not available for onsite display", "dimensions"))
    }
}

impl World {
    /// First available day of reports of Retail Media.
    #[must_use]
    pub fn retail_media_served_from(&self, is_real_time: bool) -> NaiveDate {
        let days = if is_real_time { REAL_TIME } else { HISTORY };
        let documented = self.options.today - Days::new(days);
        match self.options.unknowns.get("rm_floor") {
            "three_days_later" if !is_real_time => documented + Days::new(3),
            _ => documented,
        }
    }
}
/// First and last day.
fn window(world: &World, report: Report, asked: &Value) -> Result<(NaiveDate, NaiveDate), Problem> {
    let day = |name: &'static str| {
        let text = asked[name].as_str().ok_or_else(|| required(name))?;
        let is_refused = match world.options.unknowns.get("rm_dates") {
            "days" => text.len() != 10,
            "date_times" => text.len() == 10,
            _ => false,
        };
        if is_refused {
            return Err(Problem::validation("invalid-date-format", "The date format is not valid", text));
        }
        crate::statistics::date(text)
    };
    let start = day("startDate")?;
    let is_open = report == Report::RealTime && asked["endDate"].is_null();
    let end = if is_open { world.options.today } else { day("endDate")? };
    if end < start {
        return Err(Problem::validation("start-after-end-date", "The start lies after the end", ""));
    }
    Ok((start, end))
}

/// Dimensions and metrics, both known.
fn columns(report: Report, asked: &Value) -> Result<(Vec<String>, Vec<String>), Problem> {
    let is_required = !(report == Report::Revenue || report.is_synchronous());
    if is_required && asked["dimensions"].is_null() {
        return Err(required("dimensions"));
    }
    if is_required && asked["metrics"].is_null() {
        return Err(required("metrics"));
    }
    let (mut dimensions, mut metrics) = (optional_list(asked, "dimensions")?, optional_list(asked, "metrics")?);
    if let Some(name) = dimensions.iter().find(|name| !report.dimensions().contains(&name.as_str())) {
        return Err(unknown("dimension", name));
    }
    if let Some(name) = metrics.iter().find(|name| !report.metrics().contains(&name.as_str())) {
        return Err(unknown("metric", name));
    }
    let is_whole = report == Report::RealTime || report.is_of_placements();
    if is_whole && (dimensions.is_empty() || metrics.is_empty()) {
        return Err(required("dimensions"));
    }
    if dimensions.is_empty() && metrics.is_empty() {
        let kind = asked["reportType"].as_str().unwrap_or_default();
        let preset = report.preset(kind).ok_or_else(|| required("dimensions"))?;
        dimensions = preset.iter().map(|name| (*name).to_owned()).collect();
        metrics = report.metrics().into_iter().take(8).map(str::to_owned).collect();
    }
    for names in [&mut dimensions, &mut metrics] {
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
    }
    Ok((dimensions, metrics))
}
