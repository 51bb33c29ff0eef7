//! Builds requests in the API's formats.

use chrono::NaiveDate;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::http::{Call, CallClass, Memory};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::endpoint::{BodyForm, Filter, ScopeForm};
use crate::products::report::Report;
use crate::products::{Entity, Job, Placeholder, QueryParam, Request};
use crate::read::track::RowSubset;

/// The request for objects. `value` fills the placeholders of path and query; `limit_and_offset` is for paginated
/// lists, or size and number of a page.
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
    if let Some((size, place)) = limit_and_offset {
        let names = match entity.request {
            Request::NumberedPages { .. } => ["pageSize", "pageIndex"],
            _ => ["limit", "offset"],
        };
        query.extend([(names[0], size.to_string()), (names[1], place.to_string())]);
    }
    let of_type = |resource: &str, attributes: Map<String, Value>| {
        Some(json!({"data": {"type": resource, "attributes": attributes}}))
    };
    let body = match entity.request {
        Request::Get
        | Request::PagedGet { .. }
        | Request::NumberedPages { .. }
        | Request::BarePost
        | Request::Job(_) => None,
        Request::AccountSearch { resource, flags, .. } => {
            let mut attributes = Map::from_iter([("accountIds".to_owned(), json!(ids(advertisers)))]);
            attributes.extend(flags.iter().map(|flag| ((*flag).to_owned(), Value::from(true))));
            of_type(resource, attributes)
        }
        Request::Post { resource, numbers, .. } => {
            // A number keeps its digits, whatever its size.
            let number = |variable| serde_json::from_str::<serde_json::Number>(value(variable)?).ok();
            let numbers = numbers.iter().filter_map(|(name, variable)| {
                Some(((*name).to_owned(), Value::from(vec![Value::Number(number(*variable)?)])))
            });
            of_type(resource, numbers.collect())
        }
        Request::Search => Some(json!({"filters": {"advertiserIds": ids(advertisers)}})),
        Request::PagedSearch { resource, .. } => {
            of_type(resource, Map::from_iter([("advertiserIds".to_owned(), json!(ids(advertisers)))]))
        }
    };
    let place = |segment: &str| {
        let variable = Placeholder::ALL.iter().find(|variable| segment == format!("{{{}}}", variable.name()));
        variable.and_then(|variable| value(*variable)).unwrap_or(segment).to_owned()
    };
    Call {
        method: if entity.request.is_post() { Method::POST } else { Method::GET },
        path: entity.path.split('/').map(place).collect(),
        query,
        body: body.map(|body| body.to_string()),
        class: CallClass::Other,
        expected_bytes: 0,
        memory: Memory::Rows,
        is_divisible: entity.request.is_search(),
        is_suspect: false,
    }
}

/// The request for a report window, or for a subset of its rows.
///
/// The format is always set, since Criteo's documentation is inconsistent about the default. The end day is included.
/// Everything else is a fact of the endpoint.
#[must_use]
pub fn report(
    report: &Report,
    metrics: &[String],
    advertisers: &[AdvertiserId],
    window: Window,
    part: Option<&RowSubset>,
) -> Call {
    let endpoint = report.endpoint;
    let body = match endpoint.body {
        BodyForm::Flat => Some(query(report, metrics, advertisers, window, part)),
        BodyForm::InList(kind) => {
            Some(json!({"data": [{"type": kind, "attributes": query(report, metrics, advertisers, window, part)}]}))
        }
        BodyForm::InObject(kind) => {
            Some(json!({"data": {"type": kind, "attributes": query(report, metrics, advertisers, window, part)}}))
        }
        BodyForm::Parameters => None,
    };
    Call {
        method: if body.is_some() { Method::POST } else { Method::GET },
        path: endpoint.path.split('/').map(str::to_owned).collect(),
        query: if body.is_some() { Vec::new() } else { parameters(report, advertisers, window) },
        body: body.map(|body| body.to_string()),
        class: CallClass::Report,
        expected_bytes: 0,
        memory: Memory::Rows,
        is_divisible: true,
        is_suspect: false,
    }
}

fn query(
    report: &Report,
    metrics: &[String],
    advertisers: &[AdvertiserId],
    window: Window,
    part: Option<&RowSubset>,
) -> Value {
    let endpoint = report.endpoint;
    let mut query = Map::new();
    let mut put = |name: &str, value: Value| {
        query.insert(name.to_owned(), value);
    };
    put("startDate", window.start.to_string().into());
    put("endDate", window.end.to_string().into());
    put("timezone", report.timezone.name().into());
    put("format", "json".into());
    if endpoint.selects_columns {
        put("dimensions", report.dimensions.clone().into());
        put("metrics", metrics.into());
    }
    let ids = ids(advertisers);
    put(
        "advertiserIds",
        match endpoint.scope {
            ScopeForm::Text => ids.join(",").into(),
            ScopeForm::List => ids.into(),
        },
    );
    if endpoint.has_currency {
        put("currency", report.currency.to_string().into());
    }
    let filters = &report.filters;
    let ad_sets = part.map_or(&filters.ad_set_ids[..], |part| &part.ad_sets);
    let list = |values: &[String]| (!values.is_empty()).then(|| Value::from(values));
    let environment = part.and_then(|part| part.environment).or(filters.environment.as_deref());
    for filter in endpoint.filters {
        let (name, value) = match *filter {
            Filter::AdSets(name) => (name, list(ad_sets)),
            Filter::AdSetsText(name) => (name, (!ad_sets.is_empty()).then(|| ad_sets.join(",").into())),
            Filter::AdSetNames(name) => (name, list(&filters.ad_set_names)),
            Filter::AdSetStatus(name) => (name, list(&filters.ad_set_status)),
            Filter::Disclosed(name) => (name, filters.disclosed.map(Value::from)),
            Filter::Environment(name) => (name, environment.map(Value::from)),
            Filter::EventType(name) => (name, filters.event_type.as_deref().map(Value::from)),
        };
        if let Some(value) = value {
            put(name, value);
        }
    }
    Value::Object(query)
}

/// The request that creates a catalog: of an account of brands, or of these sellers. `call` has the path of the former.
#[must_use]
pub fn catalog(call: Call, sellers: Option<&[Value]>) -> Call {
    let mut path = call.path;
    path.extend(sellers.map(|_| "sellers".to_owned()));
    let data = match sellers {
        None => json!({"type": "CatalogRequest", "attributes": {"format": "json-newline"}}),
        Some(sellers) => json!({"type": "SellerCatalogRequest", "attributes": {"sellers": sellers}}),
    };
    Call { path, body: Some(json!({"data": data}).to_string()), ..call }
}

/// The request that creates a bill of one account for a month.
#[must_use]
pub fn billing(entity: Entity, account: &str, month: Window) -> Call {
    let attributes = json!({"accountIds": [account], "startDate": month.start, "endDate": month.end, "format": "json"});
    let body = json!({"data": {"type": "PartnerBillingReportRequest", "attributes": attributes}});
    Call { body: Some(body.to_string()), ..objects(entity, &|_| None, &[], None) }
}

/// The request for a part of a job, its status or its output.
#[must_use]
pub fn job(kind: Job, id: &str, part: &str) -> Call {
    Call { memory: Memory::Rows, ..Call::shared(&[kind.path(), &[id, part]].concat()) }
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
        memory: Memory::Rows,
        is_divisible: false,
        is_suspect: false,
    }
}

/// The query as parameters: sales of any seller, and of the same seller.
fn parameters(report: &Report, advertisers: &[AdvertiserId], window: Window) -> Vec<(&'static str, String)> {
    vec![
        ("advertiserId", advertisers.first().map(|id| id.0.clone()).unwrap_or_default()),
        ("startDate", window.start.to_string()),
        ("endDate", window.end.to_string()),
        ("intervalSize", report.dimensions.join("")),
        ("clickAttributionPolicy", "Both".to_owned()),
        ("timeZoneId", report.timezone.name().to_owned()),
    ]
}

fn ids(advertisers: &[AdvertiserId]) -> Vec<&str> {
    advertisers.iter().map(|advertiser| advertiser.0.as_str()).collect()
}
