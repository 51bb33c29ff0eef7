//! The bodies of requests, in Criteo's words.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Call, CallClass};
use crate::config::AdvertiserId;
use crate::engine::slice::Window;
use crate::streams::report::Report;

/// `{"filters":{"advertiserIds":[…]}}`
#[must_use]
pub fn search(advertisers: &[AdvertiserId]) -> String {
    json!({"filters": {"advertiserIds": ids(advertisers)}}).to_string()
}

/// `{"data":{"type":…,"attributes":{"advertiserIds":[…]}}}`
#[must_use]
pub fn search_resource(resource: &str, advertisers: &[AdvertiserId]) -> String {
    json!({"data": {"type": resource, "attributes": {"advertiserIds": ids(advertisers)}}}).to_string()
}

/// The request for a window of a report; `ad_sets` restricts it further.
///
/// The body of `/statistics/report` is flat: the advertisers are one comma string, the end day is included, and the format
/// is always said, since Criteo's documents disagree about the default.
#[must_use]
pub fn report(
    report: &Report,
    metrics: &[String],
    advertisers: &[AdvertiserId],
    window: Window,
    ad_sets: Option<&[String]>,
) -> Call {
    let mut query = Map::new();
    query.insert("advertiserIds".into(), ids(advertisers).join(",").into());
    query.insert("startDate".into(), window.start.to_string().into());
    query.insert("endDate".into(), window.end.to_string().into());
    query.insert("dimensions".into(), report.dimensions.clone().into());
    query.insert("metrics".into(), metrics.into());
    query.insert("currency".into(), report.currency.to_string().into());
    query.insert("timezone".into(), report.timezone.name().into());
    query.insert("format".into(), "json".into());
    for (name, values) in [
        ("adSetIds", ad_sets.unwrap_or(&report.filters.ad_set_ids)),
        ("adSetNames", &report.filters.ad_set_names),
        ("adSetStatus", &report.filters.ad_set_status),
    ] {
        if !values.is_empty() {
            query.insert(name.into(), values.into());
        }
    }
    Call {
        method: Method::POST,
        path: "statistics/report".into(),
        query: Vec::new(),
        body: Some(Value::Object(query).to_string()),
        class: CallClass::Report,
        expected_bytes: 0,
    }
}

fn ids(advertisers: &[AdvertiserId]) -> Vec<&str> {
    advertisers.iter().map(|advertiser| advertiser.0.as_str()).collect()
}
