//! Dimensions and metrics of `/statistics/report`, with type, meaning, unit, attribution window and whether values can
//! be summed.
//!
//! The names are Criteo's enum (`OpenAPI` document of 2026-07; 2026-01 and 2027-01 have the same). Criteo edits that
//! enum in place on all live versions, so unknown words are accepted with a warning.

mod formulas;
mod history;
mod meanings;
mod names;
mod table;

use std::collections::HashSet;

pub(crate) use crate::products::marketing::metrics::formulas::FORMULAS;
pub use crate::products::marketing::metrics::history::{retired, since, until};
pub use crate::products::marketing::metrics::meanings::{Meaning, Page, Scope, glossary};
use crate::products::marketing::metrics::names::Parts;
pub use crate::products::marketing::metrics::names::{fold, snake_case};
use crate::products::schema::ColumnType;

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Number of events or things.
    Count,
    /// Number of people, who may each be in many rows.
    People,
    /// Money in the report's currency.
    Money,
    /// Money in euros, regardless of the report's currency.
    Euro,
    /// A percentage, sent as a decimal.
    Percentage,
    /// Any other quotient without a unit.
    Ratio,
    /// A string.
    Text,
}

impl Unit {
    /// One word for tables; empty for strings.
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
            Self::Money => "money in the row's currency",
            Self::Euro => "money in euros, regardless of the row's currency",
            Self::Percentage => "a percentage",
            Self::Ratio => "a ratio",
            Self::Text => "a string",
        }
    }

    /// How values are written, where that is ambiguous.
    #[must_use]
    pub fn scale(self) -> Option<&'static str> {
        match self {
            Self::Percentage => Some("as a decimal (0.05 is 5%)"),
            Self::Ratio => Some("as a plain number (4 is four to one)"),
            _ => None,
        }
    }
}

/// A metric of the statistics report.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Criteo's name.
    pub name: &'static str,
    /// The unit of its values.
    pub unit: Unit,
    /// Whether values can be summed over rows.
    pub additive: bool,
}

impl Metric {
    /// Whether values are quotients, such as a rate or the cost of an order.
    #[must_use]
    pub fn is_ratio(&self) -> bool {
        matches!(self.unit, Unit::Percentage | Unit::Ratio) || (self.unit == Unit::Money && !self.additive)
    }

    /// Only clicks and displays are certain to be integers; other counts might have fractions.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match (self.name, self.unit) {
            ("Clicks" | "Displays", _) => ColumnType::Integer,
            (_, Unit::Text) => ColumnType::Text,
            _ => ColumnType::Number,
        }
    }

    /// What it counts according to Criteo; `None` if no page is known to describe it.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        meanings::meaning(self.name, &Parts::of(self.name))
    }

    /// The scopes in its name, such as `All`.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        Parts::of(self.name).scopes
    }

    /// The attribution windows in its name: how long after a click or view a sale is credited to it.
    #[must_use]
    pub fn attribution(&self) -> Option<String> {
        Parts::of(self.name).attribution()
    }

    /// Days after a click or view in which Criteo may still credit something to it, derived from the name; `None` for
    /// metrics without attribution.
    #[must_use]
    pub fn attribution_days(&self) -> Option<u32> {
        Parts::of(self.name).attribution_days()
    }

    /// Whether rows can be summed, in a sentence.
    #[must_use]
    pub fn sums(&self) -> &'static str {
        if self.additive { "may be summed over rows" } else { "must not be summed over rows" }
    }

    /// The source of each fact: a page of Criteo's, or `None` if derived.
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

    /// The description of the column.
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

/// A dimension of the statistics report.
#[derive(Debug, Clone, Copy)]
pub struct Dimension {
    /// Criteo's name.
    pub name: &'static str,
    /// The column name, where it differs from the general rule.
    pub alias: Option<&'static str>,
    /// The column type.
    pub column_type: ColumnType,
    /// The dimension that Criteo returns together with this one: the name of an id, or the id of a name.
    pub pair: Option<&'static str>,
    /// What it describes.
    pub about: &'static str,
}

impl Dimension {
    /// Whether this is the name of an id.
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

/// The 26 dimensions. With the aliases, reports join with the object streams.
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
    text("Device", "Device type"),
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

/// Finds a dimension by Criteo's name.
#[must_use]
pub fn dimension(name: &str) -> Option<&'static Dimension> {
    DIMENSIONS.iter().find(|dimension| dimension.name == name)
}

/// Finds a metric by Criteo's name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    table::METRICS.iter().find(|metric| metric.name == name)
}

/// Finds a dimension in any spelling: `adSetId`, `ad_set_id`, `ADSETID`, or the column.
#[must_use]
pub fn dimension_of_word(word: &str) -> Option<&'static Dimension> {
    let wanted = fold(word);
    DIMENSIONS.iter().find(|of| fold(of.name) == wanted || of.alias.is_some_and(|alias| fold(alias) == wanted))
}

/// Finds a metric in any spelling.
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

/// The column of a dimension or metric.
#[must_use]
pub fn column_name(api_name: &str) -> String {
    match dimension(api_name).and_then(|dimension| dimension.alias) {
        Some(alias) => alias.to_owned(),
        None => snake_case(api_name),
    }
}

#[cfg(test)]
mod tests {
    use crate::products::marketing::metrics::*;
    use std::fmt::Write as _;

    #[test]
    fn column_names_match_the_golden_file() {
        let mut names = String::new();
        for api_name in DIMENSIONS.iter().map(|d| d.name).chain(metrics().iter().map(|m| m.name)) {
            writeln!(names, "{api_name} {}", column_name(api_name)).unwrap();
        }
        insta::assert_snapshot!("column_names", names);
    }

    #[test]
    fn columns_are_distinct_ignoring_case() {
        let folded: HashSet<_> = DIMENSIONS
            .iter()
            .map(|d| column_name(d.name))
            .chain(metrics().iter().map(|m| column_name(m.name)))
            .map(|column| fold(&column))
            .collect();
        assert_eq!(folded.len(), 26 + 227);
    }

    #[test]
    fn metric_descriptions_match_the_golden_file() {
        let descriptions: Vec<_> = metrics().iter().map(Metric::description).collect();
        insta::assert_snapshot!("descriptions", descriptions.join("\n"));
    }

    #[test]
    fn paired_metrics_reference_each_other() {
        for dimension in DIMENSIONS {
            if let Some(pair) = dimension.pair.and_then(crate::products::marketing::metrics::dimension) {
                assert_eq!(pair.pair, Some(dimension.name));
                assert_ne!(pair.is_name(), dimension.is_name());
            }
        }
    }

    #[test]
    fn the_attribution_is_derived_from_the_name() {
        let window = |name: &str| metric(name).unwrap().attribution();
        assert_eq!(window("Clicks"), None);
        assert_eq!(window("SalesAllPc30d").unwrap(), "clicks in the previous 30 days");
        assert_eq!(
            window("RevenueGeneratedPc30dPv24h").unwrap(),
            "clicks in the previous 30 days and views in the previous 24 hours"
        );
        assert_eq!(
            window("SalesClientAttribution").unwrap(),
            "clicks and views under the advertiser's own attribution rule"
        );
        assert_eq!(window("SalesLc").unwrap(), "the last click");
        assert_eq!(window("VisitsPV1D").unwrap(), "views in the previous 24 hours");
    }
}
