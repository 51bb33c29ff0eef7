//! Explains unsuccessful responses and what the user can do about them.
//!
//! Criteo's envelope is `{"errors":[{"traceId","type","code","title","detail",…}],"warnings":[…]}`. All of it is
//! optional, and older gateways use `traceIdentifier` (developers.criteo.com, API error types).

use std::fmt::Write as _;
use std::time::Duration;

use serde::de::IgnoredAny;

use super::Call;
use super::retry::{Failure, Wait};
use super::transport::Answer;
use crate::error::{Cause, Error, Kind};
use crate::redact;
use crate::scan;

/// Criteo's code for a date range that is too long or too far back.
const INVALID_TIMESPAN: &str = "invalid-timespan";
/// The hint for a missing API path.
pub(crate) const MISSING_PATH: &str = "Criteo keeps an API version for about a year: update the connector, or choose a \
                                       newer api_version.";
/// How long all calls wait after a 429 without a reset time.
const UNTOLD_WAIT: Duration = Duration::from_secs(3);
/// Maximum length of third-party text in our messages, in characters.
const LONGEST_QUOTE: usize = 300;

/// Criteo's warning code for a truncated response.
const ROW_LIMIT: &str = "row-limit-exceeded";
/// Maximum length of a problem's strings, in bytes: longer than any quote, so that secrets are recognized before
/// shortening.
const LONGEST_TOLD: usize = 2048;
/// Maximum length of the JSON keys that matter.
const LONGEST_NAME: usize = 40;
/// Keys of error bodies other than Criteo's envelope, in the order shown.
const WORDS: [&str; 5] = ["error", "message", "title", "error_description", "detail"];
/// Keys of a problem, and whether they are only shown to the user.
const MEMBERS: [(&str, bool); 6] =
    [("code", false), ("type", false), ("title", true), ("detail", true), ("traceId", true), ("traceIdentifier", true)];
/// Maximum number of problems kept per response.
const MOST_TOLD: usize = 20;

/// An error or warning from Criteo, with its strings shortened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// Criteo's code.
    pub code: String,
    /// Short description.
    pub title: String,
    /// Long description.
    pub detail: String,
    kind: String,
    trace_id: String,
}

impl Told {
    /// Reads one problem: an object or a bare string. If it is not kept, only the fields that affect the outcome are
    /// read.
    fn of(raw: &str, is_kept: bool) -> Self {
        let mut told = Self::default();
        if let Some(title) = scan::text(raw, LONGEST_TOLD) {
            return Self { title, ..told };
        }
        let mut note = |name: &str, raw: &str| {
            let Some((known, is_for_people)) = MEMBERS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))
            else {
                return;
            };
            if *is_for_people && !is_kept {
                return;
            }
            let text = scan::text(raw, LONGEST_TOLD).unwrap_or_default();
            match *known {
                "code" => told.code = text,
                "title" => told.title = text,
                "detail" => told.detail = text,
                "type" => told.kind = text,
                _ if *known == "traceId" || told.trace_id.is_empty() => told.trace_id = text,
                _ => {}
            }
        };
        // An unreadable problem stays empty.
        let _ = scan::members(raw, &mut |name, raw| {
            note(name, raw);
            Ok(())
        });
        told
    }

    /// Whether it reports omitted rows.
    #[must_use]
    pub fn is_row_limit(&self) -> bool {
        let text = if self.code.is_empty() { &self.title } else { &self.code };
        text.len() == ROW_LIMIT.len() && text.to_ascii_lowercase().replace(['_', ' '], "-") == ROW_LIMIT
    }

    /// Whether a retry is pointless.
    fn is_final(&self) -> bool {
        if self.kind.is_empty() {
            return false;
        }
        matches!(self.kind.to_lowercase().replace('_', "-").as_str(), "access-control" | "authorization" | "validation")
    }
}

/// A response's `errors` or `warnings`: the first few, and the total count.
#[derive(Debug, Default)]
pub struct AllTold {
    /// The first [`MOST_TOLD`] problems.
    pub first: Vec<Told>,
    /// Total count.
    pub count: u64,
    /// Whether any of them reports omitted rows.
    pub is_row_limit: bool,
    is_final: bool,
}

impl AllTold {
    /// Adds such a member's value: a list, or a single problem instead of one.
    pub(crate) fn add(&mut self, raw: &str) {
        match raw {
            "null" | "false" | "\"\"" => {}
            list if list.starts_with('[') => {
                // Only an error body may be truncated here.
                let _ = scan::items(list, &mut |item| {
                    self.note(item);
                    Ok(())
                });
            }
            object if object.starts_with('{') && object[1..].trim_start() == "}" => {}
            single => self.note(single),
        }
    }

    fn note(&mut self, raw: &str) {
        let is_kept = self.first.len() < MOST_TOLD;
        let told = Told::of(raw, is_kept);
        self.count += 1;
        self.is_row_limit |= told.is_row_limit();
        self.is_final |= told.is_final();
        if is_kept {
            self.first.push(told);
        }
    }
}

#[derive(Debug, Default)]
struct Problem {
    code: Option<String>,
    words: String,
}

impl Problem {
    /// Reads Criteo's envelope. `{"message": …}`, OAuth errors and plain text also occur. A truncated envelope is read
    /// as far as it goes.
    fn of(text: &str) -> Self {
        let text = text.trim();
        if !text.starts_with('{') {
            let is_text = !text.starts_with(['<', '[']) && serde_json::from_str::<IgnoredAny>(text).is_err();
            return Self { code: None, words: if is_text { quote(text) } else { String::new() } };
        }
        let mut words: [Option<String>; WORDS.len()] = Default::default();
        let (mut errors, mut code) = (AllTold::default(), None);
        // The text may be truncated within the list.
        let _ = scan::items_of(text, &|name| name.eq_ignore_ascii_case("errors"), &mut |error| {
            errors.note(error);
            Ok(())
        });
        if errors.count > 0 {
            return Self::of_errors(&errors);
        }
        let _ = scan::members(text, &mut |name, raw| {
            match scan::short(name, LONGEST_NAME).to_ascii_lowercase().as_str() {
                "code" => code = scan::text(raw, LONGEST_TOLD).filter(|_| raw.starts_with('"')),
                name => {
                    let place = WORDS.iter().position(|known| *known == name).and_then(|at| words.get_mut(at));
                    if let Some(place) = place.filter(|_| raw.starts_with('"')) {
                        *place = scan::text(raw, LONGEST_TOLD);
                    }
                }
            }
            Ok(())
        });
        let words: Vec<_> = words.into_iter().flatten().filter(|words| !words.is_empty()).collect();
        Self { code: code.map(|code: String| code.to_lowercase()), words: quote(&words.join(": ")) }
    }

    fn of_errors(errors: &AllTold) -> Self {
        let mut words = String::new();
        for Told { code, title, detail, trace_id, .. } in errors.first.iter().take(3) {
            let name = if title.is_empty() { code } else { title };
            let _ = write!(words, "{}", if name.is_empty() { "an error without a description" } else { name });
            for (text, before, behind) in
                [(detail, ": ", ""), (code, " [", "]"), (trace_id, " (Criteo's trace id ", ")")]
            {
                if !text.is_empty() {
                    let _ = write!(words, "{before}{text}{behind}");
                }
            }
            words.push_str(". ");
        }
        let code = errors.first.first().map(|error| error.code.to_lowercase()).filter(|code| !code.is_empty());
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

    /// Whether there is no campaign to report on. Criteo documents a 403 for this, but neither code nor text.
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

/// Combines a 200 response's errors into one error.
#[must_use]
pub fn criteo_errors(errors: &AllTold) -> Error {
    let problem = Problem::of_errors(errors);
    let is_final = errors.is_final;
    let more = match errors.count {
        0..=3 => String::new(),
        count => format!(" There are {} more.", count - 3),
    };
    let message = format!("Criteo sent errors instead of data.{}{more}", problem.said());
    let cause = match problem.code.as_deref() {
        _ if problem.is_about_advertisers() => Cause::ConsentMissing,
        _ if problem.is_about_no_campaign() => Cause::NoCampaign,
        Some(INVALID_TIMESPAN) => Cause::InvalidTimespan,
        _ => Cause::ErrorsInAnswer,
    };
    let error = if is_final { Error::config(message) } else { Error::transient(message) };
    problem.describe(error.because(cause))
}

/// Classifies an API response by its status.
pub(super) fn failure(call: &Call, answer: &Answer) -> Failure {
    failure_of(&call.place(), answer)
}

/// Classifies a response by its status; `place` is the requested path.
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
            "Criteo issued a token and then refused it. The app is probably not activated, or its key was deleted a \
             few minutes ago. Check the app on partners.criteo.com.{said}"
        ))),
        403 if is_about_advertisers => Failure::Final(
            config(format!(
                "At least one of these advertisers has not granted the app consent, or has withdrawn it. Have an \
             administrator, business manager or technical manager of the advertiser open the app's consent link from \
             partners.criteo.com and select the advertiser, or remove it from advertiser_ids.{said}"
            ))
            .because(Cause::ConsentMissing),
        ),
        403 if code.as_deref() == Some("permission-denied") => Failure::Final(
            config(format!(
                "The app is not allowed to read this. It probably lacks the permission, and permissions are frozen \
                 once an app is activated: create an app with the permission, or deselect the stream.{said}"
            ))
            .because(Cause::PermissionMissing),
        ),
        // The text decides only if the code is unknown. A single deleted campaign is a different case.
        403 | 404 if is_about_no_campaign && place.ends_with("report") => {
            Failure::Final(config(format!("Criteo found no campaign to report on.{said}")).because(Cause::NoCampaign))
        }
        403 => Failure::Final(
            config(format!(
                "Criteo refused this request (status 403).{said} The connector does not know this error code. If the \
                 text does not explain it, contact Criteo's support with the trace id."
            ))
            .because(Cause::Forbidden),
        ),
        410 => Failure::Final(
            config(format!("Criteo no longer serves {place} in this API version (status 410).{said}"))
                .because(Cause::NotFound),
        ),
        404 => Failure::Final(
            config(format!("Criteo found nothing at {place} (status {}).{said}", answer.status))
                .because(Cause::NotFound),
        ),
        429 => {
            let wait = answer.rate_limit.until_reset.max(answer.retry_after).unwrap_or(UNTOLD_WAIT);
            let error = transient(format!("Criteo's rate limit is used up.{said}"));
            Failure::Passing { error, wait: Wait::Everybody(wait), is_slow: false } // guard: server-wait
        }
        504 => {
            let wait = answer.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo did not complete its response in time (status 504).{said}"));
            Failure::Passing { error, wait, is_slow: true }
        }
        408 | 425 | 500 | 502 | 503 => {
            let wait = answer.retry_after.map_or(Wait::Backoff(Duration::from_secs(2)), Wait::Server);
            let error = transient(format!("Criteo is temporarily unavailable (status {}).{said}", answer.status));
            Failure::Passing { error, wait, is_slow: false }
        }
        413 | 414 => Failure::Final(
            config(format!("Criteo says that the request is too long (status {}).{said}", answer.status))
                .because(Cause::RequestTooLong),
        ),
        300..=399 => Failure::Final(config(format!(
            "{host} redirects the request to {target}. Redirects are not followed, since they would send credentials \
             to another host. A proxy or a captive portal may be the cause.",
            host = answer.host,
            target = target(answer.location.as_deref().unwrap_or("an unnamed location"))
        ))),
        400..=499 => {
            let error = config(format!("Criteo rejected the request (status {}).{said}", answer.status));
            let is_timespan = code.as_deref() == Some(INVALID_TIMESPAN);
            Failure::Final(error.because(if is_timespan { Cause::InvalidTimespan } else { Cause::Rejected }))
        }
        status => Failure::Final(transient(format!(
            "{} responded with status {status} and {}, which is not a Criteo API response.{said}",
            answer.host,
            answer.content_type()
        ))),
    }
}

/// The error for a successful response that is not JSON, such as a maintenance page or a captive portal.
pub(super) fn no_json(answer: &Answer, text: &str) -> Error {
    let start: String = quote(text).chars().take(80).collect();
    let begins = if text.is_empty() { "an empty body".to_owned() } else { format!("\"{start}\"") };
    Error::transient(format!(
        "{} sent {} instead of JSON ({} bytes, beginning with {begins}). Criteo may be under maintenance, or a proxy \
         or captive portal intercepts the request.",
        answer.host,
        answer.content_type(),
        text.len(),
    ))
}

/// A redirect's target without parts that may be secret: the query, and user info before the host.
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

/// Third-party text, shortened and on one line. Secrets are masked before shortening, since a partial secret would not
/// be recognized.
pub(crate) fn quote(text: &str) -> String {
    redact::clean_start(text, LONGEST_QUOTE).chars().map(redact::harmless).collect()
}
