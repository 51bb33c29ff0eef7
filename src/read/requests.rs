//! Builds requests in the API's formats.

use chrono::NaiveDate;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::http::{Call, CallClass, Memory};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::endpoint::Endpoint;
use crate::products::report::Report;
use crate::products::{Entity, Placeholder, QueryParam, Request};
use crate::read::track::RowSubset;

/// The request for objects. `value` fills the placeholders of path and query; `limit_and_offset` is for paginated
/// lists.
#[must_use]
pub fn objects<'a>(
    entity: Entity,
    value: &dyn Fn(Placeholder) -> Option<&'a str>,
    advertisers: &[AdvertiserId],
    limit_and_offset: Option<(u32, u64)>,
) -> Call {
    let parameters = entity.query.iter().filter_map(|parameter| match parameter {
        QueryParam::Fixed(name, value) => Some((*name, (*value).to_owned())),
        QueryParam::Of(name, variable) => Some((*name, value(*variable)?.to_owned())),
    });
    let mut query: Vec<_> = parameters.collect();
    if let Some((limit, offset)) = limit_and_offset {
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
        let variable = Placeholder::ALL.iter().find(|variable| segment == format!("{{{}}}", variable.name()));
        variable.and_then(|variable| value(*variable)).unwrap_or(segment).to_owned()
    };
    Call {
        method: if body.is_some() { Method::POST } else { Method::GET },
        path: entity.path.split('/').map(place).collect(),
        query,
        body: body.map(|body| body.to_string()),
        class: CallClass::Other,
        expected_bytes: 0,
        memory: Memory::Answers,
        is_divisible: entity.request.is_search(),
        is_suspect: false,
    }
}

/// The request for a report window, or for a subset of its rows.
///
/// The format is always set, since Criteo's documentation is inconsistent about the default. The end day is included.
/// Everything else differs by endpoint: advertisers are a comma-separated string, a list or a parameter, and the query
/// is flat, in a list or in an object.
#[must_use]
pub fn report(
    report: &Report,
    metrics: &[String],
    advertisers: &[AdvertiserId],
    window: Window,
    part: Option<&RowSubset>,
) -> Call {
    if let Endpoint::Marketplace(what) = report.endpoint {
        return marketplace(report, what, advertisers, window);
    }
    let ids = ids(advertisers);
    let ad_sets = part.map_or(&report.filters.ad_set_ids[..], |part| &part.ad_sets);
    let mut query = Map::new();
    let mut put = |name: &str, value: Value| {
        query.insert(name.to_owned(), value);
    };
    put("startDate", window.start.to_string().into());
    put("endDate", window.end.to_string().into());
    put("timezone", report.timezone.name().into());
    put("format", "json".into());
    if report.endpoint != Endpoint::Transactions {
        put("dimensions", report.dimensions.clone().into());
        put("metrics", metrics.into());
    }
    if report.endpoint == Endpoint::AdLevel {
        put("advertiserIds", ids.into());
    } else {
        put("advertiserIds", ids.join(",").into());
        put("currency", report.currency.to_string().into());
    }
    let filters = &report.filters;
    match report.endpoint {
        Endpoint::Statistics => {
            for (name, values) in
                [("adSetIds", ad_sets), ("adSetNames", &filters.ad_set_names), ("adSetStatus", &filters.ad_set_status)]
            {
                if !values.is_empty() {
                    put(name, values.into());
                }
            }
        }
        Endpoint::Placements => {
            if !ad_sets.is_empty() {
                put("adsetIds", ad_sets.join(",").into());
            }
            let environment = part.and_then(|part| part.environment).or(filters.environment.as_deref());
            for (name, value) in
                [("disclosed", filters.disclosed.map(Value::from)), ("environment", environment.map(Value::from))]
            {
                if let Some(value) = value {
                    put(name, value);
                }
            }
        }
        Endpoint::AdLevel if !ad_sets.is_empty() => put("adsetIds", ad_sets.into()),
        Endpoint::Transactions => {
            if let Some(event_type) = &filters.event_type {
                put("eventType", event_type.as_str().into());
            }
        }
        Endpoint::AdLevel | Endpoint::Marketplace(_) => {}
    }
    let query = Value::Object(query);
    let (path, body): (&[&str], Value) = match report.endpoint {
        Endpoint::Placements => (&["placements", "report"], json!({"data": [{"type": "Report", "attributes": query}]})),
        Endpoint::Transactions => {
            (&["transactions", "report"], json!({"data": [{"type": "Report", "attributes": query}]}))
        }
        Endpoint::AdLevel => (
            &["marketing-solutions", "statistics-adlevel", "report"],
            json!({"data": {"type": "AdLevelReportQuery", "attributes": query}}),
        ),
        Endpoint::Statistics | Endpoint::Marketplace(_) => (&["statistics", "report"], query),
    };
    Call {
        method: Method::POST,
        path: path.iter().map(|&segment| segment.to_owned()).collect(),
        query: Vec::new(),
        body: Some(body.to_string()),
        class: CallClass::Report,
        expected_bytes: 0,
        memory: Memory::Answers,
        is_divisible: true,
        is_suspect: false,
    }
}

/// The request for the log files of one advertiser and day.
#[must_use]
pub fn log_files(advertiser: &AdvertiserId, day: NaiveDate, with_products: bool) -> Call {
    let path = ["log-level", "advertisers", &advertiser.0, "report"];
    let query = json!({"startDate": day, "endDate": day, "shouldDisplayProductIds": with_products});
    Call {
        method: Method::POST,
        path: path.map(str::to_owned).to_vec(),
        query: Vec::new(),
        body: Some(query.to_string()),
        class: CallClass::Report,
        expected_bytes: 0,
        memory: Memory::Answers,
        is_divisible: false,
        is_suspect: false,
    }
}

/// Marketplace statistics: sales of any seller, and of the same seller.
fn marketplace(report: &Report, what: &str, advertisers: &[AdvertiserId], window: Window) -> Call {
    let path = ["marketing-solutions", "marketplace-performance-outcomes", "stats", what];
    let query = [
        ("advertiserId", advertisers.first().map(|id| id.0.clone()).unwrap_or_default()),
        ("startDate", window.start.to_string()),
        ("endDate", window.end.to_string()),
        ("intervalSize", report.dimensions.join("")),
        ("clickAttributionPolicy", "Both".to_owned()),
        ("timeZoneId", report.timezone.name().to_owned()),
    ];
    Call {
        method: Method::GET,
        path: path.map(str::to_owned).to_vec(),
        query: query.to_vec(),
        body: None,
        class: CallClass::Report,
        expected_bytes: 0,
        memory: Memory::Answers,
        is_divisible: true,
        is_suspect: false,
    }
}

fn ids(advertisers: &[AdvertiserId]) -> Vec<&str> {
    advertisers.iter().map(|advertiser| advertiser.0.as_str()).collect()
}
