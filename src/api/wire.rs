//! The bodies of requests, in Criteo's words.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Call, CallClass};
use crate::config::AdvertiserId;
use crate::engine::slice::Window;
use crate::streams::report::Report;
use crate::streams::{Entity, Parameter, Request, Variable};

/// The request for objects: `value` knows the placeholders of path and query.
#[must_use]
pub fn objects<'a>(
    entity: Entity,
    value: &dyn Fn(Variable) -> Option<&'a str>,
    advertisers: &[AdvertiserId],
    offset: u64,
) -> Call {
    let parameters = entity.query.iter().filter_map(|parameter| match parameter {
        Parameter::Fixed(name, value) => Some((*name, (*value).to_owned())),
        Parameter::Of(name, variable) => Some((*name, value(*variable)?.to_owned())),
    });
    let mut query: Vec<_> = parameters.collect();
    if let Some(limit) = entity.request.limit() {
        query.extend([("limit", limit.to_string()), ("offset", offset.to_string())]);
    }
    let body = match entity.request {
        Request::Get | Request::PagedGet { .. } => None,
        Request::Search => Some(json!({"filters": {"advertiserIds": ids(advertisers)}})),
        Request::PagedSearch { resource, .. } => {
            Some(json!({"data": {"type": resource, "attributes": {"advertiserIds": ids(advertisers)}}}))
        }
    };
    let place = |segment: &str| {
        let variable = Variable::ALL.iter().find(|variable| segment == format!("{{{}}}", variable.name()));
        variable.and_then(|variable| value(*variable)).unwrap_or(segment).to_owned()
    };
    Call {
        method: if body.is_some() { Method::POST } else { Method::GET },
        path: entity.path.split('/').map(place).collect(),
        query,
        body: body.map(|body| body.to_string()),
        class: CallClass::Other,
        expected_bytes: 0,
    }
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
        path: vec!["statistics".into(), "report".into()],
        query: Vec::new(),
        body: Some(Value::Object(query).to_string()),
        class: CallClass::Report,
        expected_bytes: 0,
    }
}

fn ids(advertisers: &[AdvertiserId]) -> Vec<&str> {
    advertisers.iter().map(|advertiser| advertiser.0.as_str()).collect()
}
