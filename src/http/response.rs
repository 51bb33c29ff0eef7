//! Explains unsuccessful responses and what the user can do about them.
//!
//! Criteo's envelope is `{"errors":[{"traceId","type","code","title","detail",…}],"warnings":[…]}`. All of it is
//! optional, and older gateways use `traceIdentifier` (developers.criteo.com, API error types).

use std::time::Duration;

use crate::error::{Cause, Error, Kind};
use crate::http::Call;
use crate::http::retry::{Failure, Wait};
use crate::http::transport::Response;
use crate::model::product::{Product, Scope};
use crate::rows::notices::{INVALID_TIMESPAN, Problem};
use crate::support::text::excerpt;

/// The hint for a missing API path.
pub(crate) const MISSING_PATH: &str = "Criteo keeps an API version for about a year: update the connector, or choose a \
                                       newer api_version.";
/// How long all calls wait after a 429 without a reset time.
const UNTOLD_WAIT: Duration = Duration::from_secs(3);

/// Classifies an API response by its status.
pub(crate) fn failure(call: &Call, response: &Response) -> Failure {
    classify(&call.display_path(), response)
}

/// Classifies a response by its status; `place` is the requested path.
pub(crate) fn classify(place: &str, response: &Response) -> Failure {
    let text = response.body.text().unwrap_or_default();
    let problem = Problem::of(text);
    let said = problem.said();
    let detail = format!("status {} from {place}", response.status);
    let (is_about_advertisers, is_about_no_campaign) = (problem.is_about_advertisers(), problem.is_about_no_campaign());
    let is_retail_media = place.contains(Product::RetailMedia.segment());
    let product = if is_retail_media { Product::RetailMedia } else { Product::MarketingSolutions };
    let Scope { one, many, setting, .. } = product.scope();
    let code = problem.code.clone();
    let described = problem.describe(Error::config(String::new()).with_detail(detail));
    let config = |message: String| Error { message, ..described.clone() };
    let transient = |message: String| Error { message, kind: Kind::Transient, ..described.clone() };
    match response.status {
        401 => Failure::Unauthorized(config(format!(
            "Criteo issued a token and then refused it. The app is probably not activated, or its key was deleted a \
             few minutes ago. Check the app on partners.criteo.com.{said}"
        ))),
        403 if is_about_advertisers => Failure::Permanent(
            config(format!(
                "At least one of these {many} has not granted the app consent, or has withdrawn it. Have an \
             administrator, business manager or technical manager of the {one} open the app's consent link from \
             partners.criteo.com and select the {one}, or remove it from {setting}.{said}"
            ))
            .because(Cause::ConsentMissing),
        ),
        403 if code.as_deref() == Some("permission-denied") => Failure::Permanent(
            config(format!(
                "The app is not allowed to read this. It probably lacks the permission, and permissions are frozen \
                 once an app is activated: create an app with the permission, or deselect the stream.{said}"
            ))
            .because(Cause::PermissionMissing),
        ),
        // The text decides only if the code is unknown. A single deleted campaign is a different case.
        403 | 404 if is_about_no_campaign && place.ends_with("report") => Failure::Permanent(
            config(format!("Criteo found no campaign to report on.{said}")).because(Cause::NoCampaign),
        ),
        403 => Failure::Permanent(
            config(format!(
                "Criteo refused this request (status 403).{said} The connector does not know this error code. If the \
                 text does not explain it, contact Criteo's support with the trace id."
            ))
            .because(Cause::Forbidden),
        ),
        410 => Failure::Permanent(
            config(format!("Criteo no longer serves {place} in this API version (status 410).{said}"))
                .because(Cause::NotFound),
        ),
        404 => Failure::Permanent(
            config(format!("Criteo found nothing at {place} (status {}).{said}", response.status))
                .because(Cause::NotFound),
        ),
        429 => {
            let wait = response.rate_limit.until_reset.max(response.retry_after).unwrap_or(UNTOLD_WAIT);
            let error = transient(format!("Criteo's rate limit is used up.{said}"));
            Failure::Retryable { error, wait: Wait::RateLimited(wait), is_slow: false } // guard: server-wait
        }
        504 => {
            let wait = response.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo did not complete its response in time (status 504).{said}"));
            Failure::Retryable { error, wait, is_slow: true }
        }
        408 | 425 | 500 | 502 | 503 => {
            let wait = response.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo is temporarily unavailable (status {}).{said}", response.status));
            Failure::Retryable { error, wait, is_slow: false }
        }
        413 | 414 => Failure::Permanent(
            config(format!("Criteo says that the request is too long (status {}).{said}", response.status))
                .because(Cause::RequestTooLong),
        ),
        300..=399 => Failure::Permanent(config(format!(
            "{host} redirects the request to {target}. Redirects are not followed, since they would send credentials \
             to another host. A proxy or a captive portal may be the cause.",
            host = response.host,
            target = target(response.location.as_deref().unwrap_or("an unnamed location"))
        ))),
        400..=499 => {
            let error = config(format!("Criteo rejected the request (status {}).{said}", response.status));
            let is_timespan = code.as_deref() == Some(INVALID_TIMESPAN);
            Failure::Permanent(error.because(if is_timespan { Cause::InvalidTimespan } else { Cause::Rejected }))
        }
        status => Failure::Permanent(transient(format!(
            "{} responded with status {status} and {}, which is not a Criteo API response.{said}",
            response.host,
            response.content_type()
        ))),
    }
}

/// The error for a successful response that is not JSON, such as a maintenance page or a captive portal.
pub(crate) fn no_json(response: &Response, text: &str) -> Error {
    let start: String = excerpt(text).chars().take(80).collect();
    let begins = if text.is_empty() { "an empty body".to_owned() } else { format!("\"{start}\"") };
    Error::transient(format!(
        "{} sent {} instead of JSON ({} bytes, beginning with {begins}). Criteo may be under maintenance, or a proxy \
         or captive portal intercepts the request.",
        response.host,
        response.content_type(),
        text.len(),
    ))
}

/// A redirect's target without parts that may be secret: the query, and user info before the host.
pub(crate) fn target(location: &str) -> String {
    let place = location.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("//") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or_default();
            excerpt(&format!("{scheme}//{host}{}", path.map(|path| format!("/{path}")).unwrap_or_default()))
        }
        None => excerpt(place),
    }
}
