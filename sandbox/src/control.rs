//! The control port, for tests in other languages.
//!
//! | request | effect |
//! | --- | --- |
//! | `POST /faults` | adds a fault or a list of them |
//! | `DELETE /faults` | removes all faults |
//! | `POST /options` | changes `today`, `without_consent`, `without_permission`, `deleted_ids`, `inserted`, `row_cap`, `page_limit`, `rm_page_limit`, `rate_limit`, `report_limit`, `latency_ms` |
//! | `POST /unknowns` | sets switches: `{"week_start": "sunday", …}` |
//! | `GET /unknowns` | the value of each switch |
//! | `POST /revoke` | revokes all tokens |
//! | `GET /log` | the requests so far, secrets hashed |
//! | `GET /peak` | the peak load |
//! | `GET /truth?stream=…&version=…` | the objects of a stream |
//! | `POST /truth` | the rows of `{"report":"statistics","query":{…}}`, without a cap |
//! | `POST /truth` | the response to any `{"method":"GET","path":"/2026-07/…","body":{…}}`, without cap, faults and limits |

use std::time::Duration;

use serde_json::{Value, json};

use crate::options::Options;
use crate::retail_media::RETAIL_MEDIA_UNKNOWNS;
use crate::server::Shared;
use crate::unknowns::UNKNOWNS;
use crate::wire::{Reply, Request};

pub(crate) fn answer(shared: &Shared, request: &Request) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let done = |result: Result<Value, String>| match result {
        Ok(value) => Reply::json(200, &value),
        Err(error) => Reply::json(400, &json!({"error": error})),
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/faults") => {
            let faults = match body {
                Value::Array(faults) => faults,
                single => vec![single],
            };
            done(faults.into_iter().try_for_each(|fault| shared.add_fault(fault)).map(|()| json!({})))
        }
        ("DELETE", "/faults") => {
            shared.clear_faults();
            done(Ok(json!({})))
        }
        ("POST", "/options") => {
            let mut result = Ok(());
            shared.change(|options| result = change(options, &body));
            done(result.map(|()| json!({})))
        }
        ("POST", "/unknowns") => {
            let mut result = Ok(());
            shared.change(|options| result = set_unknowns(options, &body));
            done(result.map(|()| json!({})))
        }
        ("GET", "/unknowns") => {
            let unknowns = shared.world().options.unknowns;
            let values = UNKNOWNS
                .iter()
                .chain(RETAIL_MEDIA_UNKNOWNS)
                .map(|unknown| (unknown.name.to_owned(), json!(unknowns.get(unknown.name))));
            done(Ok(Value::Object(values.collect())))
        }
        ("POST", "/revoke") => {
            shared.revoke_tokens();
            done(Ok(json!({})))
        }
        ("GET", "/log") => {
            let log = shared.log();
            let entry = |logged: &crate::server::Logged| {
                json!({"line": logged.line, "headers": logged.headers, "body": logged.body, "status": logged.status,
                    "at_ms": u64::try_from(logged.at.as_millis()).unwrap_or(u64::MAX)})
            };
            done(Ok(log.iter().map(entry).collect()))
        }
        ("GET", "/peak") => {
            let peak = shared.peak();
            done(Ok(json!({"concurrency": peak.concurrency, "reports_a_minute": peak.reports_a_minute,
                "others_a_minute": peak.others_a_minute})))
        }
        ("GET", "/truth") => {
            let text =
                |name: &str, default: &str| request.query.get(name).cloned().unwrap_or_else(|| default.to_owned());
            let (stream, version) = (text("stream", ""), text("version", "2026-07"));
            let objects = shared.world().objects(&stream, &version);
            let objects = objects.or_else(|| shared.world().retail_media_stream(&stream, &version));
            done(objects.map(Value::Array).ok_or_else(|| "there is no such stream".to_owned()))
        }
        ("POST", "/truth") if body["path"].is_string() => {
            let (path, query) =
                body["path"].as_str().map(|path| path.split_once('?').unwrap_or((path, ""))).unwrap_or_default();
            let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let asked = Request {
                method: body["method"].as_str().unwrap_or("GET").to_owned(),
                path: path.to_owned(),
                query: parameters.iter().cloned().collect(),
                parameters,
                body: body["body"].to_string().into_bytes(),
                ..Request::default()
            };
            shared.truth(&asked)
        }
        ("POST", "/truth") => {
            let rows = shared.world().report_truth(body["report"].as_str().unwrap_or_default(), &body["query"]);
            done(rows.map(|rows| json!(rows)))
        }
        _ => Reply::json(404, &json!({"error": "no such control"})),
    }
}

/// All or none.
fn set_unknowns(options: &mut Options, changes: &Value) -> Result<(), String> {
    let mut unknowns = options.unknowns.clone();
    for (name, value) in changes.as_object().ok_or("an object is wanted")? {
        unknowns.set(name, value.as_str().ok_or_else(|| format!("{name}: expected a string"))?)?;
    }
    options.unknowns = unknowns;
    Ok(())
}

fn change(options: &mut Options, change: &Value) -> Result<(), String> {
    let parse = |name: &str, value: &Value| -> Result<usize, String> {
        value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| format!("{name}: expected a number"))
    };
    let texts = |value: &Value| -> Result<Vec<String>, String> {
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())
    };
    if !change.is_object() {
        return Err("expected an object".to_owned());
    }
    for (name, value) in change.as_object().into_iter().flatten() {
        match name.as_str() {
            "today" => {
                options.today = value.as_str().and_then(|day| day.parse().ok()).ok_or("today: expected a day")?;
            }
            "without_consent" => options.without_consent = texts(value)?,
            "deleted_ids" => options.deleted_ids = texts(value)?,
            "without_permission" => {
                options.without_permission =
                    serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
            }
            "inserted" => options.inserted = u32::try_from(parse(name, value)?).unwrap_or(u32::MAX),
            "row_cap" => options.row_cap = parse(name, value)?,
            "page_limit" => options.page_limit = parse(name, value)?,
            "rm_page_limit" => options.retail_media.page_limit = parse(name, value)?,
            "rate_limit" => options.rate_limit = parse(name, value)?,
            "report_limit" => options.report_limit = parse(name, value)?,
            "latency_ms" => options.latency = Duration::from_millis(parse(name, value)? as u64),
            other => return Err(format!("{other} cannot be changed")),
        }
    }
    Ok(())
}
