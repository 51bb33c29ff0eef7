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
use crate::error::{Cause, Error, Kind};
use crate::redact;

/// Criteo's code for a span of days that is longer, or reaches further back, than it serves.
const INVALID_TIMESPAN: &str = "invalid-timespan";
/// What to do where a path of the API is missing.
pub(crate) const MISSING_PATH: &str = "Criteo keeps a version of the API for about a year: update the connector, or choose a \
                                       newer api_version.";
/// How long all calls wait for a used up budget when the server does not say.
const UNTOLD_WAIT: Duration = Duration::from_secs(3);
/// The most characters of somebody else's words in a message of ours.
const LONGEST_QUOTE: usize = 300;

/// Criteo's own words about what went wrong.
#[derive(Debug, Default)]
struct Problem {
    code: Option<String>,
    words: String,
}

impl Problem {
    /// Reads Criteo's envelope; `{"message": …}`, OAuth's words and plain text have been seen as well.
    fn of(text: &str) -> Self {
        let body = match serde_json::from_str::<Value>(text) {
            Ok(body) => body,
            Err(_) if text.trim_start().starts_with(['<', '{', '[']) => return Self::default(),
            Err(_) => return Self { code: None, words: quote(text.trim()) },
        };
        if let Some(errors) = member(&body, "errors").and_then(Value::as_array) {
            return Self::of_errors(errors);
        }
        let words: Vec<_> = ["error", "message", "title", "error_description", "detail"]
            .iter()
            .filter_map(|name| member(&body, name)?.as_str())
            .filter(|words| !words.is_empty())
            .collect();
        let code = member(&body, "code").and_then(Value::as_str).map(str::to_lowercase);
        Self { code, words: quote(&words.join(": ")) }
    }

    fn of_errors(errors: &[Value]) -> Self {
        let mut words = String::new();
        for error in errors.iter().take(3) {
            let text = |name: &str| member(error, name)?.as_str().filter(|text| !text.is_empty());
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
        let code = errors.first().and_then(|error| member(error, "code")?.as_str()).map(str::to_lowercase);
        Self { code, words: quote(words.trim_end()) }
    }

    fn said(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!(" Criteo says: {}", self.words) }
    }

    /// Whether it is about advertisers without consent. Criteo spells the code with and without the `s`.
    fn is_about_advertisers(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("insufficient-advertisers-permissions" | "insufficient-advertiser-permissions")
        )
    }

    /// Whether it says that there is no campaign to report on: Criteo documents a 403 for that, but neither code nor words.
    fn is_about_no_campaign(&self) -> bool {
        let text = format!("{} {}", self.code.as_deref().unwrap_or_default(), self.words.to_lowercase());
        ["no-campaign", "no campaign", "campaign-not-found", "campaigns-not-found"]
            .iter()
            .any(|part| text.contains(part))
    }

    fn describe(self, error: Error) -> Error {
        Error { words: (!self.words.is_empty()).then(|| self.words.into()), code: self.code.map(Into::into), ..error }
    }
}

/// A member of an object, in any case.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object.as_object()?.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

/// The errors of an answer as one error; for a 200 that carries some.
#[must_use]
pub fn criteo_errors(errors: &[Value]) -> Error {
    let problem = Problem::of_errors(errors);
    let is_final = errors.iter().any(|error| {
        let kind = member(error, "type").and_then(Value::as_str).unwrap_or_default().to_lowercase().replace('_', "-");
        matches!(kind.as_str(), "access-control" | "authorization" | "validation")
    });
    let message = format!("Criteo answered with errors instead of data.{}", problem.said());
    let cause = match problem.code.as_deref() {
        _ if problem.is_about_advertisers() => Cause::ConsentMissing,
        _ if problem.is_about_no_campaign() => Cause::NoCampaign,
        Some(INVALID_TIMESPAN) => Cause::InvalidTimespan,
        _ => Cause::ErrorsInAnswer,
    };
    let error = if is_final { Error::config(message) } else { Error::transient(message) };
    problem.describe(error.because(cause))
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
    let (is_about_advertisers, is_about_no_campaign) = (problem.is_about_advertisers(), problem.is_about_no_campaign());
    let code = problem.code.clone();
    let described = problem.describe(Error::config(String::new()).with_detail(detail));
    let config = |message: String| Error { message, ..described.clone() };
    let transient = |message: String| Error { message, kind: Kind::Transient, ..described.clone() };
    match answer.status {
        401 => Failure::Unauthorized(config(format!(
            "Criteo gave a token and then refused it. Probably the app is not activated, or its key was deleted some \
             minutes ago. Look at the app on partners.criteo.com.{said}"
        ))),
        // A single campaign that is gone is something else.
        403 | 404 if is_about_no_campaign && place.ends_with("report") => Failure::Final(
            config(format!("Criteo found no campaign to report on.{said}")).because(Cause::NoCampaign),
        ),
        403 if is_about_advertisers => Failure::Final(
            config(format!(
            "At least one of these advertisers has not given the app its consent, or has withdrawn it. Have \
             somebody who may give it (an administrator, business manager or technical manager) open the app's consent link \
             from partners.criteo.com and tick the advertiser, or take it out of advertiser_ids.{said}"
        ))
        .because(Cause::ConsentMissing)),
        403 if code.as_deref() == Some("permission-denied") => Failure::Final(
            config(format!(
                "The app is not allowed to read this. Probably it lacks the permission, and permissions are frozen once an \
                 app is activated: create an app that has it, or leave the stream out.{said}"
            ))
            .because(Cause::PermissionMissing),
        ),
        403 => Failure::Final(
            config(format!(
                "Criteo refuses this request (status 403).{said} The code is none that the connector knows; if the \
                 words do not explain it, ask Criteo's support and name the trace id."
            ))
            .because(Cause::Forbidden),
        ),
        410 => Failure::Final(
            config(format!("Criteo no longer serves {place} in this version of the API (status 410).{said}"))
                .because(Cause::NotFound),
        ),
        404 => Failure::Final(
            config(format!("Criteo has nothing at {place} (status {}).{said}", answer.status))
            .because(Cause::NotFound),
        ),
        429 => {
            let wait = answer.rate_limit.until_reset.max(answer.retry_after).unwrap_or(UNTOLD_WAIT);
            let error = transient(format!("Criteo's limit of calls a minute is used up.{said}"));
            Failure::Passing { error, wait: Wait::Everybody(wait), is_slow: false } // guard: server-wait
        }
        504 => {
            let wait = answer.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo did not make its answer in time (status 504).{said}"));
            Failure::Passing { error, wait, is_slow: true }
        }
        408 | 425 | 500 | 502 | 503 => {
            let wait = answer.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo cannot answer at the moment (status {}).{said}", answer.status));
            Failure::Passing { error, wait, is_slow: false }
        }
        413 | 414 => Failure::Final(
            config(format!("Criteo says that the request is too long (status {}).{said}", answer.status))
                .because(Cause::RequestTooLong),
        ),
        300..=399 => Failure::Final(config(format!(
            "{host} wants to redirect the request to {target}. Redirects are not followed, since they would carry \
             credentials to another host. A proxy or a captive portal may stand in between.",
            host = answer.host,
            target = target(answer.location.as_deref().unwrap_or("an unnamed place"))
        ))),
        400..=499 => {
            let error = config(format!("Criteo rejected the request (status {}).{said}", answer.status));
            let is_timespan = code.as_deref() == Some(INVALID_TIMESPAN);
            Failure::Final(error.because(if is_timespan { Cause::InvalidTimespan } else { Cause::Rejected }))
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

/// Where a redirect leads, without what may be a key: a query, and a user in front of the host.
pub(super) fn target(location: &str) -> String {
    let place = location.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("//") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or_default();
            quote(&format!("{scheme}//{host}{}", path.map(|path| format!("/{path}")).unwrap_or_default()))
        }
        None => quote(place),
    }
}

/// Somebody else's words, short and on one line. Secrets are masked first, since a part of one would not be known again.
pub(crate) fn quote(text: &str) -> String {
    redact::clean_start(text, LONGEST_QUOTE).chars().map(redact::harmless).collect()
}
