//! The vocabulary of `/statistics/report`: all dimensions and metrics with type, meaning, unit, attribution window and
//! whether values may be summed.
//!
//! The names are Criteo's enum (`OpenAPI` document of 2026-07, which 2026-01 and 2027-01 share). Criteo edits that
//! enum in place on all live versions, so it is never a closed list: unknown words pass with a warning.

mod edits;
mod meanings;
mod names;
mod table;

pub use edits::{retired, since, until};
pub use meanings::{Meaning, Page, Scope, glossary};
pub use names::{fold, snake_case};

use std::collections::HashSet;

use chrono::Weekday;

use self::names::Parts;
use super::schema::ColumnType;

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of events or things.
    Count,
    /// A number of people. One person may be in many rows.
    People,
    /// Money in the currency of the report.
    Money,
    /// Money in euros, whatever the currency of the report.
    Euro,
    /// What people write in percent, as a decimal.
    Percentage,
    /// Any other quotient without a unit.
    Ratio,
    /// A word.
    Text,
}

impl Unit {
    /// One word for a table; empty for texts.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::People => "people",
            Self::Money => "money",
            Self::Euro => "euros",
            Self::Percentage => "percentage",
            Self::Ratio => "ratio",
            Self::Text => "",
        }
    }

    /// The unit in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Count => "a count",
            Self::People => "a number of people",
            Self::Money => "money in the currency of the row",
            Self::Euro => "money in euros, whatever the currency of the row",
            Self::Percentage => "a percentage",
            Self::Ratio => "a ratio",
            Self::Text => "a text",
        }
    }

    /// How values are written, where that can be mistaken.
    #[must_use]
    pub fn scale(self) -> Option<&'static str> {
        match self {
            Self::Percentage => Some("as a decimal (0.05 is 5 %)"),
            Self::Ratio => Some("as a plain quotient (4 is four to one)"),
            _ => None,
        }
    }
}

/// One metric of the statistics report.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Criteo's name.
    pub name: &'static str,
    /// What its values are.
    pub unit: Unit,
    /// Whether values of several rows may be summed.
    pub additive: bool,
}

impl Metric {
    /// Only clicks and displays are certain to be whole: a fraction in another count would be lost otherwise.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match (self.name, self.unit) {
            ("Clicks" | "Displays", _) => ColumnType::Integer,
            (_, Unit::Text) => ColumnType::Text,
            _ => ColumnType::Number,
        }
    }

    /// What Criteo says that it counts; `None` where no page is known that describes it.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        meanings::meaning(self.name, &Parts::of(self.name))
    }

    /// What words such as `All` in its name add.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        Parts::of(self.name).scopes
    }

    /// What the name says about the time that a sale may lie after the click or view it is credited to.
    #[must_use]
    pub fn attribution(&self) -> Option<String> {
        Parts::of(self.name).attribution()
    }

    /// For how many days after a click or view Criteo may still credit something to it, derived from the name; `None` for
    /// numbers that are credited to nothing.
    #[must_use]
    pub fn attribution_days(&self) -> Option<u32> {
        Parts::of(self.name).attribution_days()
    }

    /// Whether rows may be summed, in a sentence.
    #[must_use]
    pub fn sums(&self) -> &'static str {
        if self.additive { "may be summed over rows" } else { "must not be summed over rows" }
    }

    /// Where each thing that is said of it comes from: a page of Criteo's, or `None` where it is derived.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, Option<Page>)> {
        let (meaning, parts) = (self.meaning(), Parts::of(self.name));
        let mut facts = match meaning {
            Some(meaning) => vec![("meaning and unit", Some(meaning.source))],
            None => vec![("unit", None)],
        };
        if self.unit.scale().is_some() {
            let is_described = meaning.is_some() && self.unit == Unit::Percentage;
            facts.push(("scale", is_described.then_some(Page::StatisticsMetrics)));
        }
        for scope in &parts.scopes {
            facts.extend(scope.meanings().iter().map(|meaning| (scope.word(), Some(meaning.source))));
        }
        if let Some(first) = parts.windows.first() {
            let is_described = parts.windows.iter().all(|window| window.source.is_some());
            facts.push(("credited to", first.source.filter(|_| is_described)));
        }
        facts.push(("sums", None));
        facts
    }

    /// A sentence for the field's description, with the API's name in it.
    #[must_use]
    pub fn description(&self) -> String {
        let mut text = format!("Criteo's metric {}: ", self.name);
        if let Some(meaning) = self.meaning() {
            text += &format!("{}; ", meaning.text);
        }
        for scope in self.scopes() {
            text += &format!("{}; ", scope.text());
        }
        text += self.unit.words();
        if let Some(scale) = self.unit.scale() {
            text += &format!(" {scale}");
        }
        if let Some(window) = self.attribution() {
            text += &format!(", credited to {window}");
        }
        text += &format!("; {}.", self.sums());
        let mut pages: Vec<_> = self.facts().into_iter().filter_map(|(_, source)| source.map(Page::cited)).collect();
        let mut seen = HashSet::new();
        pages.retain(|page| seen.insert(page.clone()));
        if pages.is_empty() {
            text + " Derived from the name."
        } else {
            format!("{text} Sources: {}; the rest is derived from the name.", pages.join("; "))
        }
    }
}

/// One dimension of the statistics report.
#[derive(Debug, Clone, Copy)]
pub struct Dimension {
    /// Criteo's name.
    pub name: &'static str,
    /// The column's name, where the general rule does not give it.
    pub alias: Option<&'static str>,
    /// The type of the column.
    pub column_type: ColumnType,
    /// The dimension that Criteo answers along with this one: the name of an id, the id of a name.
    pub pair: Option<&'static str>,
    /// What it says about a row.
    pub about: &'static str,
}

impl Dimension {
    /// Whether this is the name half of a pair of id and name.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.alias.is_some_and(|alias| alias.ends_with("_name"))
    }
}

const fn id(name: &'static str, alias: Option<&'static str>, pair: &'static str, about: &'static str) -> Dimension {
    Dimension { name, alias, column_type: ColumnType::Text, pair: Some(pair), about }
}

const fn name(name: &'static str, alias: &'static str, pair: &'static str, about: &'static str) -> Dimension {
    Dimension { name, alias: Some(alias), column_type: ColumnType::Text, pair: Some(pair), about }
}

const fn period(name: &'static str, column_type: ColumnType, about: &'static str) -> Dimension {
    Dimension { name, alias: None, column_type, pair: None, about }
}

const fn text(name: &'static str, about: &'static str) -> Dimension {
    Dimension { name, alias: None, column_type: ColumnType::Text, pair: None, about }
}

/// The 26 dimensions. The aliases make reports join with the entity streams.
pub const DIMENSIONS: &[Dimension] = &[
    id("AdsetId", Some("ad_set_id"), "Adset", "Id of the ad set"),
    name("Adset", "ad_set_name", "AdsetId", "Name of the ad set"),
    id("AdvertiserId", None, "Advertiser", "Id of the advertiser"),
    name("Advertiser", "advertiser_name", "AdvertiserId", "Name of the advertiser"),
    id("CategoryId", None, "Category", "Id of the product category"),
    name("Category", "category_name", "CategoryId", "Name of the product category"),
    period("Hour", ColumnType::DateTime, "The hour, in UTC"),
    period("Day", ColumnType::Date, "The day, in the time zone of the row"),
    period("Week", ColumnType::Date, "First day of the week"),
    period("Month", ColumnType::Date, "First day of the month"),
    period("Year", ColumnType::Date, "First day of the year"),
    text("Os", "Operating system"),
    text("Device", "Kind of device"),
    id("CampaignId", None, "Campaign", "Id of the campaign"),
    name("Campaign", "campaign_name", "CampaignId", "Name of the campaign"),
    id("AdId", None, "Ad", "Id of the ad"),
    name("Ad", "ad_name", "AdId", "Name of the ad"),
    id("CouponId", None, "Coupon", "Id of the coupon"),
    name("Coupon", "coupon_name", "CouponId", "Name of the coupon"),
    id("MarketingObjectiveId", None, "MarketingObjective", "Id of the marketing objective"),
    name("MarketingObjective", "marketing_objective_name", "MarketingObjectiveId", "Name of the marketing objective"),
    id("ChannelId", None, "Channel", "Id of the channel"),
    name("Channel", "channel_name", "ChannelId", "Name of the channel"),
    text("Goal", "Goal of the campaign"),
    text("AdChannel", "Channel of the ad"),
    text("SocialPlatform", "Social platform"),
];

/// The period that a request may not cut, and whose start is the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// One day; also that of reports by the hour, which are asked for in whole days.
    Day,
    /// Seven days from this weekday on: Monday, unless Criteo's answers show another.
    Week(Weekday),
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Grain {
    /// The grain of a period dimension; `None` for hours.
    #[must_use]
    pub fn of_dimension(name: &str) -> Option<Self> {
        match name {
            "Day" => Some(Self::Day),
            "Week" => Some(Self::Week(Weekday::Mon)),
            "Month" => Some(Self::Month),
            "Year" => Some(Self::Year),
            _ => None,
        }
    }

    /// The period dimension of the grain.
    #[must_use]
    pub fn dimension(self) -> &'static str {
        match self {
            Self::Day => "Day",
            Self::Week(_) => "Week",
            Self::Month => "Month",
            Self::Year => "Year",
        }
    }

    /// The most days that a period has.
    #[must_use]
    pub fn longest_days(self) -> u32 {
        match self {
            Self::Day => 1,
            Self::Week(_) => 7,
            Self::Month => 31,
            Self::Year => 366,
        }
    }

    /// Whether a period is longer than a day, so that a request may not cut it.
    #[must_use]
    pub fn is_long(self) -> bool {
        self != Self::Day
    }
}

/// Looks a dimension up by Criteo's name.
#[must_use]
pub fn dimension(name: &str) -> Option<&'static Dimension> {
    DIMENSIONS.iter().find(|dimension| dimension.name == name)
}

/// Looks a metric up by Criteo's name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    table::METRICS.iter().find(|metric| metric.name == name)
}

/// The known dimension that a word means in whatever spelling: `adSetId`, `ad_set_id`, `ADSETID`, or the column.
#[must_use]
pub fn dimension_of_word(word: &str) -> Option<&'static Dimension> {
    let wanted = fold(word);
    DIMENSIONS.iter().find(|of| fold(of.name) == wanted || of.alias.is_some_and(|alias| fold(alias) == wanted))
}

/// The known metric that a word means in whatever spelling.
#[must_use]
pub fn metric_of_word(word: &str) -> Option<&'static Metric> {
    let wanted = fold(word);
    table::METRICS.iter().find(|metric| fold(metric.name) == wanted)
}

/// Every metric, in the order of Criteo's enum.
#[must_use]
pub fn metrics() -> &'static [Metric] {
    table::METRICS
}

/// Whether this version of the connector knows the dimension.
#[must_use]
pub fn is_dimension(name: &str) -> bool {
    dimension(name).is_some()
}

/// Whether this version of the connector knows the metric.
#[must_use]
pub fn is_metric(name: &str) -> bool {
    metric(name).is_some()
}

/// The column that a dimension or metric becomes.
#[must_use]
pub fn column_name(api_name: &str) -> String {
    match dimension(api_name).and_then(|dimension| dimension.alias) {
        Some(alias) => alias.to_owned(),
        None => snake_case(api_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn every_name_becomes_the_column_in_the_golden_file() {
        let mut names = String::new();
        for api_name in DIMENSIONS.iter().map(|d| d.name).chain(metrics().iter().map(|m| m.name)) {
            writeln!(names, "{api_name} {}", column_name(api_name)).unwrap();
        }
        insta::assert_snapshot!("column_names", names);
    }

    #[test]
    fn columns_are_distinct_even_to_databases_that_fold_case() {
        let folded: HashSet<_> = DIMENSIONS
            .iter()
            .map(|d| column_name(d.name))
            .chain(metrics().iter().map(|m| column_name(m.name)))
            .map(|column| fold(&column))
            .collect();
        assert_eq!(folded.len(), 26 + 227);
    }

    #[test]
    fn every_metric_is_described_as_in_the_golden_file() {
        let descriptions: Vec<_> = metrics().iter().map(Metric::description).collect();
        insta::assert_snapshot!("descriptions", descriptions.join("\n"));
    }

    #[test]
    fn pairs_point_at_each_other() {
        for dimension in DIMENSIONS {
            if let Some(pair) = dimension.pair.and_then(super::dimension) {
                assert_eq!(pair.pair, Some(dimension.name));
                assert_ne!(pair.is_name(), dimension.is_name());
            }
        }
    }

    #[test]
    fn the_attribution_is_read_from_the_name() {
        let window = |name: &str| metric(name).unwrap().attribution();
        assert_eq!(window("Clicks"), None);
        assert_eq!(window("SalesAllPc30d").unwrap(), "clicks of the 30 days before");
        assert_eq!(
            window("RevenueGeneratedPc30dPv24h").unwrap(),
            "clicks of the 30 days before and views of the 24 hours before"
        );
        assert_eq!(
            window("SalesClientAttribution").unwrap(),
            "the clicks and views that the advertiser's own rule names"
        );
        assert_eq!(window("SalesLc").unwrap(), "the last click");
        assert_eq!(window("VisitsPV1D").unwrap(), "views of the 24 hours before");
    }
}
