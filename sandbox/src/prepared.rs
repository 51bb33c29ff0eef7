//! Statistics without computation, to benchmark clients: rows are serialized once, and each day of a report is a copy
//! with its own date.
//!
//! Rows of a day are numbered and their values follow from the number, so that sums are known and totals match.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Days;
use serde_json::{Map, Value, json};

use crate::manners::bare_numbers;
use crate::options::Shape;
use crate::problem::Problem;
use crate::statistics::{Query, decimal};
use crate::vocabulary::{Dimension, Measure};
use crate::wire::Reply;
use crate::world::{World, ad_id, ad_set_id, advertiser_id, campaign_id};

/// Placeholder for a day, of the same length.
const NO_DAY: &str = "????-??-??";

/// The rows of one advertiser and day, each with a trailing comma.
#[derive(Debug)]
struct Block {
    text: Vec<u8>,
    /// End position of each row.
    ends: Vec<usize>,
    /// Positions of the days.
    days: Vec<usize>,
}

/// Cached blocks by query.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    blocks: Mutex<HashMap<String, Arc<Block>>>,
}

impl Prepared {
    /// The response of a report with `rows` rows per advertiser and day, or one if no finer dimension is requested.
    pub(crate) fn report(&self, world: &World, rows: u32, body: &[u8]) -> Result<Reply, Problem> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| Problem::validation("invalid", "The body is not valid JSON", ""))?;
        let query = Query::parse(world, &body)?;
        let known = [Dimension::Advertiser, Dimension::Campaign, Dimension::AdSet, Dimension::Ad, Dimension::Day];
        if query.has_filters() || !query.dimensions.iter().all(|dimension| known.contains(dimension)) {
            return Err(Problem::validation(
                "invalid",
                "Prepared rows are by advertiser, campaign, ad set, ad and day",
                "",
            ));
        }
        let blocks: Vec<_> = query.advertisers.iter().map(|number| self.block(world, &query, *number, rows)).collect();
        let length: usize = blocks.iter().map(|block| block.text.len()).sum();
        let days = usize::try_from((query.end - query.start).num_days() + 1).unwrap_or(1);
        let (before, behind) = match world.options.shape {
            Shape::Rows => ("{\"Rows\":[", format!("],\"Total\":{}}}", json!({"Currency": query.currency}))),
            Shape::Array => ("[", "]".to_owned()),
        };
        let mut text = Vec::with_capacity(length * days + behind.len() + before.len());
        text.extend_from_slice(before.as_bytes());
        let mut left = world.options.row_cap;
        for day in (0u64..).map(|index| query.start + Days::new(index)).take_while(|day| *day <= query.end) {
            let day = day.to_string();
            for block in &blocks {
                left -= block.write(day.as_bytes(), left, &mut text);
            }
        }
        text.pop_if(|last| *last == b',');
        text.extend_from_slice(behind.as_bytes());
        Ok(Reply { body: text, ..Reply::json(200, &Value::Null) })
    }

    fn block(&self, world: &World, query: &Query, advertiser: u32, rows: u32) -> Arc<Block> {
        let name = format!("{advertiser} {rows} {:?} {:?} {}", query.dimensions, query.metrics, query.currency);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(blocks.entry(name).or_insert_with(|| Arc::new(Block::new(world, query, advertiser, rows))))
    }
}

impl Block {
    fn new(world: &World, query: &Query, advertiser: u32, rows: u32) -> Self {
        let is_total = query.dimensions.iter().all(|d| matches!(d, Dimension::Advertiser | Dimension::Day));
        let mut block = Self { text: Vec::new(), ends: Vec::new(), days: Vec::new() };
        for number in 0..if is_total { 1 } else { rows } {
            let numbers = if is_total { 0..rows } else { number..number + 1 };
            let mut row = Map::new();
            for (name, value) in query.dimensions.iter().flat_map(|d| members(world, *d, query, advertiser, number)) {
                row.insert(name.to_owned(), value);
            }
            for (name, measure) in &query.metrics {
                let start: u32 = name.bytes().map(u32::from).sum();
                let value = |number: u32| i128::from(number.wrapping_mul(7_919).wrapping_add(start));
                let sum = |most: i128| numbers.clone().map(|number| value(number) % most).sum::<i128>();
                let value = match measure {
                    Measure::Count(most) => world.number(sum(i128::from(*most)).to_string()),
                    Measure::Money => world.number(decimal(sum(90_000_000))),
                    Measure::Ratio => world.number("0.5".to_owned()),
                    Measure::Word => json!("Clicks"),
                };
                row.insert(name.clone(), value);
            }
            row.insert("Currency".to_owned(), json!(query.currency));
            let text = bare_numbers(&Value::Object(row).to_string());
            block.days.extend(text.match_indices(NO_DAY).map(|(at, _)| block.text.len() + at));
            block.text.extend_from_slice(text.as_bytes());
            block.text.push(b',');
            block.ends.push(block.text.len());
        }
        block
    }

    /// Appends the first `most` rows with this day; returns their number.
    fn write(&self, day: &[u8], most: usize, text: &mut Vec<u8>) -> usize {
        let rows = most.min(self.ends.len());
        let length = rows.checked_sub(1).map_or(0, |last| self.ends[last]);
        let start = text.len();
        text.extend_from_slice(&self.text[..length]);
        for at in self.days.iter().take_while(|at| **at < length) {
            text[start + at..start + at + day.len()].copy_from_slice(day);
        }
        rows
    }
}

/// A dimension's members in this row: ten ads per ad set, ten ad sets per campaign.
fn members(
    world: &World,
    dimension: Dimension,
    query: &Query,
    advertiser: u32,
    row: u32,
) -> Vec<(&'static str, Value)> {
    let has = |dimension| query.dimensions.contains(&dimension);
    let number = match dimension {
        Dimension::Campaign if has(Dimension::Ad) => row / 100,
        Dimension::AdSet if has(Dimension::Ad) => row / 10,
        Dimension::Campaign if has(Dimension::AdSet) => row / 10,
        _ => row,
    };
    let texts = match dimension {
        Dimension::Advertiser => vec![advertiser_id(advertiser), world.advertiser_name(advertiser)],
        Dimension::Campaign => vec![campaign_id(number), world.campaign_name(number)],
        Dimension::AdSet => vec![ad_set_id(number), world.ad_set_name(number)],
        Dimension::Ad => vec![ad_id(number), world.ad_name(number)],
        _ => vec![NO_DAY.to_owned()],
    };
    dimension.members().iter().copied().zip(texts.into_iter().map(Value::from)).collect()
}
