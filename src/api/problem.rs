//! What an answer that is no success means, and what people can do about it.
//!
//! Criteo's envelope is `{"errors":[{"traceId","type","code","title","detail",…}],"warnings":[…]}`; everything in it
//! is optional, and older gateways spell `traceIdentifier` (developers.criteo.com, API error types).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::Call;
use super::retry::{Failure, Wait};
use super::transport::Answer;
use crate::error::Error;
use crate::redact;

/// The code of the error that says that the app lacks a permission.
pub const PERMISSION_MISSING: &str = "permission-missing";
/// The code of the error that says that something is forbidden, for reasons that are not known.
pub const FORBIDDEN: &str = "forbidden";
/// The code of the error that says that an advertiser has not given its consent.
pub const CONSENT_MISSING: &str = "consent-missing";
/// The code of the error that says that Criteo does not accept a request as it is.
pub const REJECTED: &str = "rejected";
/// Criteo's code for a span of days that is longer than it serves.
pub const INVALID_TIMESPAN: &str = "invalid-timespan";
/// The code of the error that says that there is nothing at a path.
pub const NOT_FOUND: &str = "not-found";
/// The code of the error that says that the request itself is too long.
pub const REQUEST_TOO_LONG: &str = "request-too-long";
/// How long all calls wait for a used up budget when the server does not say.
const UNTOLD_WAIT: Duration = Duration::from_secs(3);
/// The most characters of somebody else's words in a message of ours.
const LONGEST_QUOTE: usize = 300;

/// Of a long text only its start is cleaned, which is more than is told.
const LONGEST_CLEANED: usize = 16 * 1024;

/// Criteo's own words about what went wrong.
#[derive(Debug, Default)]
struct Problem {
    code: Option<String>,
    words: String,
}

impl Problem {
    fn of(text: &str) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        Self::of_errors(body["errors"].as_array().map_or(&[], Vec::as_slice))
    }

    fn of_errors(errors: &[Value]) -> Self {
        let mut words = String::new();
        for error in errors.iter().take(3) {
            let text = |name: &str| error[name].as_str().filter(|text| !text.is_empty());
            // Writing to a String cannot fail.
            let _ = write!(words, "{}", text("title").or(text("code")).unwrap_or("an error without words"));
            if let Some(detail) = text("detail") {
                let _ = write!(words, ": {detail}");
            }
            if let Some(code) = text("code") {
                let _ = write!(words, " [{code}]");
            }
            if let Some(trace) = text("traceId").or(text("traceIdentifier")) {
                let _ = write!(words, " (Criteo's trace id {trace})");
            }
            words.push_str(". ");
        }
        let code = errors.first().and_then(|error| error["code"].as_str()).map(str::to_owned);
        Self { code, words: quote(words.trim_end()) }
    }

    fn said(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!(" Criteo says: {}", self.words) }
    }
}

/// The errors of an answer as one error; for a 200 that carries some.
#[must_use]
pub fn criteo_errors(errors: &[Value]) -> Error {
    let problem = Problem::of_errors(errors);
    let is_ours = errors.iter().any(|error| {
        matches!(error["type"].as_str(), Some("access-control" | "access_control" | "authorization" | "validation"))
    });
    let message = format!("Criteo answered with errors instead of data.{}", problem.said());
    let error = if is_ours { Error::config(message) } else { Error::transient(message) };
    let is_about_advertisers = is_about_advertisers(problem.code.as_deref());
    error.with_code(if is_about_advertisers { Some(CONSENT_MISSING.to_owned()) } else { problem.code })
}

/// Judges an answer of the API by its status.
pub(super) fn failure(call: &Call, answer: &Answer) -> Failure {
    failure_of(&call.place(), answer)
}

/// Judges an answer by its status; `place` is what was asked.
pub(super) fn failure_of(place: &str, answer: &Answer) -> Failure {
    let text = answer.body.text().unwrap_or_default();
    let problem = Problem::of(text);
    let said = problem.said();
    let detail = format!("status {} from {place}", answer.status);
    let config = |message: String| Error::config(message).with_code(problem.code.clone()).with_detail(detail.clone());
    let transient = |message: String| Error::transient(message).with_detail(detail.clone());
    match answer.status {
        401 => Failure::Unauthorized(config(format!(
            "Criteo gave a token and then refused it. Probably the app is not activated, or its key was deleted a moment \
             ago. Look at the app on partners.criteo.com.{said}"
        ))),
        403 if is_about_advertisers(problem.code.as_deref()) => Failure::Final(
            config(format!(
            "At least one of these advertisers has not given the app its consent, or has withdrawn it. Have an \
             administrator of the advertiser open the app's consent link from partners.criteo.com and tick the advertiser, \
             or take it out of advertiser_ids.{said}"
        ))
        .with_code(Some(CONSENT_MISSING.to_owned()))),
        403 if problem.code.as_deref() == Some("permission-denied") => Failure::Final(
            config(format!(
                "The app is not allowed to read this. Probably it lacks the permission, and permissions are frozen once an \
                 app is activated: create an app that has it, or leave the stream out.{said}"
            ))
            .with_code(Some(PERMISSION_MISSING.to_owned())),
        ),
        403 => Failure::Final(
            config(format!(
                "Criteo refuses this request (status 403).{said} If these words do not explain it, look on \
                 partners.criteo.com whether the app is activated and has the permission that the stream needs."
            ))
            .with_code(Some(FORBIDDEN.to_owned())),
        ),
        404 | 410 => Failure::Final(
            config(format!(
                "{place} does not exist in this version of the API. Criteo keeps a version for about a year: update the \
                 connector, or choose a newer api_version.{said}"
            ))
            .with_code(Some(NOT_FOUND.to_owned())),
        ),
        429 => {
            let wait = answer.rate_limit.until_reset.max(answer.retry_after).unwrap_or(UNTOLD_WAIT);
            let error = transient(format!("Criteo's limit of calls a minute is used up.{said}"));
            Failure::Passing { error, wait: Wait::Everybody(wait), is_slow: false }
        }
        408 | 425 | 500 | 502 | 503 | 504 => {
            let wait = answer.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo cannot answer at the moment (status {}).{said}", answer.status));
            Failure::Passing { error, wait, is_slow: false }
        }
        413 | 414 => Failure::Final(
            config(format!("Criteo says that the request is too long (status {}).{said}", answer.status))
                .with_code(Some(REQUEST_TOO_LONG.to_owned())),
        ),
        300..=399 => Failure::Final(config(format!(
            "{host} wants to redirect the request to {target}. Redirects are not followed, since they would carry \
             credentials to another host. A proxy or a captive portal may stand in between.",
            host = answer.host,
            target = quote(answer.location.as_deref().unwrap_or("an unnamed place"))
        ))),
        400..=499 => {
            let error = config(format!("Criteo rejected the request (status {}).{said}", answer.status));
            let is_timespan = problem.code.as_deref() == Some(INVALID_TIMESPAN);
            let code = if is_timespan { INVALID_TIMESPAN } else { REJECTED };
            Failure::Final(error.with_code(Some(code.to_owned())))
        }
        status => Failure::Final(transient(format!(
            "{} answered with status {status} and {}, which is no answer of the Criteo API.{said}",
            answer.host,
            answer.content_type()
        ))),
    }
}

/// The error for a success that is no JSON: maintenance pages and captive portals answer so.
pub(super) fn no_json(answer: &Answer, text: &str) -> Error {
    let start: String = quote(text).chars().take(80).collect();
    let begins = if text.is_empty() { "an empty text".to_owned() } else { format!("\"{start}\"") };
    Error::transient(format!(
        "{} answered with {} in place of JSON ({} bytes, beginning with {begins}). Criteo may be under maintenance, or a proxy \
         or captive portal stands in between.",
        answer.host,
        answer.content_type(),
        text.len(),
    ))
}

/// Criteo spells it with and without the `s`.
fn is_about_advertisers(code: Option<&str>) -> bool {
    matches!(code, Some("insufficient-advertisers-permissions" | "insufficient-advertiser-permissions"))
}

/// Somebody else's words, short and on one line. Secrets are masked first, since a part of one would not be known again.
pub(crate) fn quote(text: &str) -> String {
    let start = &text[..text.floor_char_boundary(LONGEST_CLEANED)];
    redact::clean(start)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_QUOTE)
        .collect()
}
