//! Rows of a report: facts summed over the requested dimensions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Days;
use serde_json::{Map, Value, json};

use crate::retail_media::facts::RetailFact;
use crate::retail_media::query::{Limits, Query};
use crate::retail_media::vocabulary::{Measure, Report, measure};
use crate::statistics::decimal;
use crate::world::World;

/// A row, with numbers as strings of digits.
pub(crate) type Row = Map<String, Value>;

/// Sums of one group.
#[derive(Default)]
struct Group {
    values: Vec<Value>,
    /// Numerator and denominator of every metric.
    sums: Vec<(i128, i128)>,
    distinct: Vec<BTreeSet<String>>,
    hours: Vec<Option<u64>>,
}

impl World {
    /// The truth of a report: `performance`, `revenue`, … and the attributes of a request, without its limits and cap.
    ///
    /// # Errors
    /// Criteo's error for an invalid request.
    pub fn retail_media_report(&self, report: &str, attributes: &Value) -> Result<Vec<Map<String, Value>>, String> {
        let world = self.canonical();
        if report == "partner_billing" {
            return world.billing_rows(attributes, Limits::Without).map_err(|problem| format!("{problem:?}"));
        }
        let report = Report::of_name(report).ok_or_else(|| format!("there is no report {report}"))?;
        let query = Query::parse(&world, report, attributes, Limits::Without);
        query.map(|query| world.retail_rows(&query)).map_err(|problem| format!("{problem:?}"))
    }

    /// The rows of a query, in the order of their keys.
    pub(crate) fn retail_rows(&self, query: &Query) -> Vec<Row> {
        let facts = self.retail_facts(&query.subjects, query.start - Days::new(1), query.end + Days::new(1));
        let measures: Vec<Measure> = query.metrics.iter().map(|metric| measure(metric)).collect();
        let mut groups: BTreeMap<Vec<Option<String>>, Group> = BTreeMap::new();
        for fact in facts.iter().filter(|fact| query.passes(self, fact)) {
            let values: Vec<Value> = query.dimensions.iter().map(|name| self.dimension(fact, name, query)).collect();
            let key = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
            let group = groups.entry(key).or_insert_with(|| Group {
                values,
                sums: vec![(0, 0); measures.len()],
                distinct: vec![BTreeSet::new(); measures.len()],
                hours: vec![None; measures.len()],
            });
            for (index, measure) in measures.iter().enumerate() {
                self.add_measure(group, index, *measure, fact, query);
            }
        }
        groups.into_values().map(|group| row(query, &measures, group)).collect()
    }

    fn add_measure(&self, group: &mut Group, index: usize, measure: Measure, fact: &RetailFact, query: &Query) {
        let metric = &query.metrics[index];
        let sum = &mut group.sums[index];
        match measure {
            Measure::Count | Measure::Money => sum.0 += self.base(fact, metric, query),
            Measure::Ratio(numerator, denominator, factor) => {
                sum.0 += self.part(fact, numerator, query) * factor;
                sum.1 += self.part(fact, denominator, query);
            }
            Measure::People => sum.0 += self.base(fact, "impressions", query),
            Measure::Distinct(dimension) => {
                let value = self.dimension(fact, dimension, query);
                group.distinct[index].extend(value.as_str().map(str::to_owned));
            }
            Measure::Hour => {
                let hour = self.fact_choice(fact, "capout hour", 48);
                let earlier = group.hours[index].map_or(hour, |known| known.min(hour));
                group.hours[index] = if hour < 24 { Some(earlier) } else { group.hours[index] };
            }
            Measure::Flag => sum.0 += i128::from(self.fact_choice(fact, metric, 4) == 0),
        }
    }

    /// A part of a ratio; people are fewer than impressions.
    fn part(&self, fact: &RetailFact, name: &str, query: &Query) -> i128 {
        match name {
            "uniqueVisitors" => self.base(fact, "impressions", query) * 4 / 5,
            name => self.base(fact, name, query),
        }
    }
}

fn row(query: &Query, measures: &[Measure], group: Group) -> Row {
    let mut row: Row = query.dimensions.iter().cloned().zip(group.values).collect();
    for (index, (metric, measure)) in query.metrics.iter().zip(measures).enumerate() {
        let (sum, other) = group.sums[index];
        let value = match measure {
            Measure::Count | Measure::Money => json!(decimal(sum)),
            // Ratios of nothing are zero.
            Measure::Ratio(..) if other == 0 => json!("0"),
            Measure::Ratio(..) => json!(decimal(sum * 1_000_000 / other)),
            Measure::People => json!((sum * 4 / 5_000_000).to_string()),
            Measure::Distinct(_) => json!(group.distinct[index].len().to_string()),
            Measure::Hour => group.hours[index].map_or(Value::Null, |hour| json!(hour.to_string())),
            Measure::Flag => json!(sum > 0),
        };
        row.insert(metric.clone(), value);
    }
    row
}
