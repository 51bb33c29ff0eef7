//! Finds streams, dimensions and metrics by words, ranked.

use std::cmp::Reverse;

use serde_json::Value;

use crate::products::marketing::metrics::{self, fold};
use crate::products::vocabulary::Vocabulary;
use crate::products::{self, Stream, about};

/// Words of the field and the names that they stand for, the best first.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("spend", &["AdvertiserCost", "Cost"]),
    ("spending", &["AdvertiserCost", "Cost"]),
    ("cost", &["AdvertiserCost", "Cost"]),
    ("costs", &["AdvertiserCost", "Cost"]),
    ("budget", &["budget", "spend_limit"]),
    ("revenue", &["RevenueGenerated", "OmnichannelRevenue", "AdvertiserValue", "OrderValue"]),
    ("turnover", &["RevenueGenerated"]),
    ("value", &["AdvertiserValue", "RevenueGenerated", "OrderValue"]),
    ("roas", &["Roas", "ReturnOnAdvertisingSpending", "ReturnOnAdvertiserSpending"]),
    ("roi", &["Roas", "ReturnOnAdvertisingSpending"]),
    ("acos", &["ECos", "Cos"]),
    ("impression", &["Displays", "ViewableDisplays"]),
    ("impressions", &["Displays", "ViewableDisplays"]),
    ("views", &["Displays", "ViewableDisplays"]),
    ("order", &["Sales", "transactions", "CostPerOrder"]),
    ("orders", &["Sales", "transactions", "CostPerOrder"]),
    ("conversion", &["Sales", "ConversionRate"]),
    ("conversions", &["Sales", "ConversionRate"]),
    ("purchases", &["Sales", "transactions"]),
    ("ctr", &["ClickThroughRate"]),
    ("cpc", &["Cpc", "ECpc"]),
    ("cpm", &["ECpm"]),
    ("cpa", &["CostPerOrder"]),
    ("cpo", &["CostPerOrder"]),
    ("cvr", &["ConversionRate"]),
    ("aov", &["AverageCart"]),
    ("basket", &["AverageCart"]),
    ("adgroup", &["ad_sets", "AdsetId"]),
    ("publisher", &["placements_daily", "placement"]),
    ("website", &["placements_daily", "placement"]),
    ("seller", &["mpo_sellers", "mpo_seller_statistics"]),
    ("logs", &["log_level_events"]),
];

/// What a hit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Stream,
    Dimension,
    Metric,
}

/// Something that the words describe.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub what: What,
    pub name: String,
    pub about: String,
    /// Higher is better; [`EXACT`] if the name is one that a word stands for.
    pub score: u32,
}

/// The score of a name that a word stands for.
pub(crate) const EXACT: u32 = 100;
/// Statistics streams have the columns of this one.
const COMMON: &str = "campaign_statistics_daily";

/// How well a word fits a name, other names of the same thing, and a description.
fn score(word: &str, names: &[&str], about: &str) -> u32 {
    let targets = SYNONYMS.iter().find(|(synonym, _)| *synonym == word).map_or(&[][..], |(_, targets)| targets);
    let targets: Vec<String> = targets.iter().map(|target| fold(target)).collect();
    let names: Vec<String> = names.iter().map(|name| fold(name)).collect();
    let word = fold(word);
    let by_target = targets.iter().zip(0..).filter_map(|(target, rank)| {
        let best = names.iter().filter_map(|name| match name.find(target.as_str()) {
            Some(0) if name.len() == target.len() && rank == 0 => Some(EXACT),
            Some(0) => Some(80),
            Some(_) => Some(60),
            None => None,
        });
        best.max().map(|best| best - rank * 5)
    });
    let by_word = names.iter().filter_map(|name| match name.find(&word) {
        Some(0) if name.len() == word.len() => Some(EXACT - 1),
        Some(0) => Some(70),
        Some(_) => Some(50),
        None => None,
    });
    let is_word = |other: &str| fold(other) == word;
    let by_about = about.split(|letter: char| !letter.is_alphanumeric()).any(is_word).then_some(20);
    by_target.chain(by_word).chain(by_about).max().unwrap_or(0)
}

/// Everything that all of the words describe, the best first.
pub(crate) fn find(streams: &[Stream], vocabulary: Vocabulary, words: &str) -> Vec<Hit> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let common = streams.iter().find(|stream| stream.name == COMMON);
    let is_common = |column: &str| common.is_some_and(|stream| stream.schema["properties"].get(column).is_some());
    let mut hits = Vec::new();
    let mut consider = |what, name: &str, others: &[&str], about: &str, described: &str, bonus| {
        let names: Vec<&str> = std::iter::once(name).chain(others.iter().copied()).collect();
        let scores: Vec<u32> = words.iter().map(|word| score(word, &names, described)).collect();
        if let Some(least) = scores.into_iter().min().filter(|least| *least > 0) {
            hits.push(Hit { what, name: name.to_owned(), about: about.to_owned(), score: least + bonus });
        }
    };
    for stream in streams {
        let about = about::of(&stream.name);
        let columns = stream.schema["properties"].as_object().into_iter().flatten();
        let described = columns.map(|(name, property)| {
            let text = property["description"].as_str().unwrap_or_default();
            format!("{} {text}", name.replace('_', " "))
        });
        // Reports share their metrics, which are hits of their own.
        let is_object = matches!(stream.source, crate::products::Source::Entity(_));
        let described: String = if is_object { described.collect::<Vec<_>>().join(" ") } else { String::new() };
        let text = format!("{} {} {described}", about.group, about.text);
        consider(What::Stream, &stream.name, &[], about.text, &text, 0);
    }
    for dimension in vocabulary.dimensions {
        let column = metrics::column_name(dimension.name);
        consider(What::Dimension, dimension.name, &[&column], dimension.about, dimension.about, 0);
    }
    for metric in vocabulary.metrics {
        let column = metrics::column_name(metric.name);
        let about = metric.meaning().map_or(metric.unit.words(), |meaning| meaning.text);
        consider(What::Metric, metric.name, &[&column], about, about, if is_common(&column) { 6 } else { 0 });
    }
    hits.sort_by_key(|hit| (Reverse(hit.score), hit.name.len()));
    hits
}

/// The streams with a column.
pub(crate) fn streams_with<'a>(streams: &'a [Stream], column: &str) -> Vec<&'a str> {
    let has = |stream: &&Stream| stream.schema["properties"].get(column).is_some_and(Value::is_object);
    streams.iter().filter(has).map(|stream| stream.name.as_str()).collect()
}

/// The first API version with a name, if it is newer than the default.
pub(crate) fn since(name: &str) -> Option<&'static str> {
    products::since_of(&metrics::column_name(name))
}

#[cfg(test)]
mod tests {
    use crate::commands::search::*;
    use crate::model::product::Product;
    use crate::products::report::ReportOptions;

    fn found(words: &str) -> Vec<Hit> {
        find(&products::streams(&ReportOptions::default()), Vocabulary::of(Product::MarketingSolutions), words)
    }

    #[test]
    fn words_of_the_field_find_what_criteo_calls_otherwise() {
        let streams = products::streams(&ReportOptions::default());
        for (words, best) in [
            ("spend", "AdvertiserCost"),
            ("cost", "AdvertiserCost"),
            ("impressions", "Displays"),
            ("ctr", "ClickThroughRate"),
            ("cost per order", "CostPerOrder"),
            ("revenue", "RevenueGenerated"),
            ("roas", "Roas"),
            ("orders", "Sales"),
            ("contact list", "contact_list_statistics"),
        ] {
            let hits = found(words);
            assert!(hits[0].name.starts_with(best), "{words}: {:?}", &hits[..hits.len().min(3)]);
        }
        assert!(found("no such word").is_empty());
        assert!(streams_with(&streams, "advertiser_cost").contains(&"campaign_statistics_daily"));
    }

    #[test]
    fn synonyms_name_what_exists() {
        for (synonym, targets) in SYNONYMS {
            assert!(found(synonym).first().is_some_and(|hit| hit.score >= 60), "{synonym}: {targets:?}");
        }
    }
}
