//! The only access to Criteo: connections, token, call budget, retries.
//!
//! Knows nothing of streams and protocols. A [`Call`] goes in; the full body of a response that passed the caller's
//! check comes out, or an [`Error`] that says what to do. Every attempt takes one call from the budget and gets the
//! current token.

mod attempts;
mod environment;
mod link;
mod memory;
mod rate_limit;
mod response;
mod retry;
mod token;
mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use crate::config::Config;
use crate::error::{Cause, Error, Kind, Result};
use crate::http::attempts::Attempt;
use crate::http::memory::Reservation;
pub use crate::http::memory::{MEMORY_MIB, Memory};
use crate::http::rate_limit::RateLimiter;
pub use crate::http::rate_limit::{CallClass, OnWait};
pub(crate) use crate::http::response::MISSING_PATH;
pub use crate::http::retry::RetryProfile;
use crate::http::retry::{Failure, RetryBudget};
pub use crate::http::token::{Auth, RefreshTokens, Turn};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use crate::http::transport::parse_headers;
pub use crate::http::transport::{Body, Download};
use crate::http::transport::{Content, HEAD_TIMEOUT, Opened, Response, Transport};
use crate::support::text::excerpt;
use crate::support::{scan, watchdog};

/// Maximum length of a string in a response, in bytes: parsers copy strings that have escapes.
const MAX_STRING_LEN: usize = 4 * 1024 * 1024;

/// An API request, relative to the version segment.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET` or `POST`; both are read-only.
    pub method: Method,
    /// Path segments after the version.
    pub path: Vec<String>,
    /// Query parameters.
    pub query: Vec<(&'static str, String)>,
    /// JSON body of a `POST`.
    pub body: Option<String>,
    /// The rate limit that it counts against.
    pub class: CallClass,
    /// Expected response size in bytes; this much memory is reserved for it.
    pub expected_bytes: usize,
    /// The memory budget to reserve from.
    pub memory: Memory,
    /// Whether the caller can split it: then it fails after the second slow response.
    pub is_divisible: bool,
    /// Whether a larger request that contains this one already failed: then it gets fewer attempts.
    pub is_suspect: bool,
}

impl Call {
    /// A `GET` whose small response others wait for, so that its memory is set apart.
    pub(crate) fn shared(path: &[&str]) -> Self {
        Self {
            method: Method::GET,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            body: None,
            class: CallClass::Other,
            expected_bytes: 0,
            memory: Memory::Shared,
            is_divisible: false,
            is_suspect: false,
        }
    }

    /// The path, as shown in messages.
    #[must_use]
    pub fn display_path(&self) -> String {
        self.path.join("/")
    }
}

/// The outcome of one HTTP call, for statistics.
#[derive(Debug)]
pub struct CallStats {
    /// Path after the version.
    pub endpoint: String,
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Time until the response was complete, or the call failed.
    pub duration: Duration,
    /// Time before it for the call budget, and for the retry of a failed attempt.
    pub waited: Duration,
    /// Calls of this class left in the current minute, as Criteo reports it.
    pub calls_left: Option<usize>,
}

/// Callback for every finished HTTP call.
pub type OnResponse = Box<dyn Fn(CallStats) + Send + Sync>;

/// The connection to Criteo, shared by the whole run.
pub struct Client {
    transport: Transport,
    auth: Auth,
    limiter: RateLimiter,
    budget: RetryBudget,
    root: reqwest::Url,
    is_loopback: bool,
    on_response: OnResponse,
}

impl Client {
    /// Prepares a client without sending anything. `on_wait` gets long waits for the call budget, `on_response` every
    /// finished call.
    ///
    /// # Errors
    /// `system_error` if no TLS roots can be loaded.
    pub fn new(
        config: &Config,
        profile: RetryProfile,
        auth: Auth,
        on_wait: OnWait,
        on_response: OnResponse,
    ) -> Result<Arc<Self>> {
        let mut root = config.api_base_url.clone();
        if let Ok(mut path) = root.path_segments_mut() {
            path.pop_if_empty().push(&config.reports.api_version.0);
        }
        let limiter = RateLimiter::new(config.credentials.refresh_token.is_some(), config.test.calls_at_once, on_wait);
        let is_loopback = config.is_loopback();
        Ok(Arc::new(Self {
            transport: Transport::new(is_loopback)?,
            auth,
            limiter,
            budget: RetryBudget::new(profile, config.test.backoff_percent),
            root,
            is_loopback,
            on_response,
        }))
    }

    /// Checks that the credentials work.
    ///
    /// # Errors
    /// The token endpoint's error, explained.
    pub async fn authenticate(&self) -> Result<()> {
        self.auth.token(&self.transport, &self.budget).await.map(|_| ())
    }

    /// How far Criteo's clock is ahead of this machine's, if the last token showed a difference of more than two
    /// minutes.
    #[must_use]
    pub fn server_clock(&self) -> Option<TimeDelta> {
        self.auth.clock_difference()
    }

    /// A warning about clocks that differ.
    #[must_use]
    pub fn clock_warning(&self) -> Option<String> {
        self.auth.clock_warning()
    }

    /// Whether another API version serves a call. Tries once.
    pub async fn is_served_by(&self, version: &str, call: &Call) -> bool {
        let mut root = self.root.clone();
        if let Ok(mut path) = root.path_segments_mut() {
            path.pop().push(version);
        }
        let ask = async {
            let (space, _) = self.admit(call, call.expected_bytes).await;
            let token = self.auth.token(&self.transport, &self.budget).await?;
            let sent = self.transport.send(request(root, call, &token)?, space, HEAD_TIMEOUT).await;
            Ok::<_, Error>(sent.is_ok_and(|response| response.status == 200))
        };
        ask.await.unwrap_or(false)
    }

    /// Sends a call until its response passes `check`, within the retry limits. The check sees the full body, so that a
    /// truncated response, or a 200 with errors, is retried before anything is emitted.
    ///
    /// # Errors
    /// Criteo's error or the network failure, explained.
    pub async fn fetch<T>(&self, call: &Call, check: impl Fn(&str) -> Result<T>) -> Result<(Body, T)> {
        let attempt = async |request, space| match self.transport.send(request, space, HEAD_TIMEOUT).await {
            Ok(response) => Attempt {
                status: Some(response.status),
                rate_limit: response.rate_limit,
                result: judge(call, response, &check),
            },
            Err(failure) => Attempt::failed(failure),
        };
        self.attempts(call, attempt).await
    }

    /// Sends a call whose response may be of any size until it begins, within the retry limits. It is received a piece at a
    /// time; `None` if it has no content.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn open(&self, call: &Call) -> Result<Option<Box<Download>>> {
        let attempt = async |mut request: reqwest::Request, space| {
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
            match self.transport.open(request, space).await {
                Ok(Opened { status, rate_limit, content }) => {
                    let result = match content {
                        Content::File(download) => Ok(Some(download)),
                        Content::Nothing => Ok(None),
                        Content::Other(response) => Err(response::failure(call, &response)),
                    };
                    Attempt { status: Some(status), rate_limit, result }
                }
                Err(failure) => Attempt::failed(failure),
            }
        };
        self.attempts(call, attempt).await
    }

    /// Waits before a job is asked for its status again.
    pub async fn wait_for_job(&self, wait: Duration) {
        crate::http::rate_limit::sleep(self.budget.scaled(wait)).await;
    }

    /// Waits for the call budget, then for memory; also returns how long the former took. Calls that wait for the
    /// budget hold no memory.
    async fn admit(&self, call: &Call, expected_bytes: usize) -> (Reservation, Duration) {
        let mut limited = Duration::ZERO;
        loop {
            let began = Instant::now();
            self.limiter.wait(call.class).await;
            limited += began.elapsed();
            let space = self.transport.reserve(call.memory, expected_bytes).await;
            if self.limiter.take(call.class) {
                return (space, limited);
            }
        }
    }

    /// Starts downloading a compressed file from a signed link. The token is not sent, since the link is the key.
    ///
    /// # Errors
    /// `system_error` for a forbidden link; `transient_error` for an expired one and for network failures.
    pub async fn download(&self, url: &str) -> Result<Download> {
        let url = link::checked(url, &self.root, self.is_loopback)?;
        let must_be_public = !self.is_loopback && url.host_str() != self.root.host_str();
        self.transport.download(url, must_be_public).await
    }

    /// Wraps a string of the connector's own as a body that counts against the memory budget.
    pub async fn body(&self, text: String) -> Body {
        let task = watchdog::task("A part of the rows read".to_owned());
        task.waits_for("memory");
        Body::of(self.transport.reserve(Memory::Rows, text.len()).await, text)
    }

    /// Waits before retry number `attempt`, outside of the client's own retries.
    pub async fn pause(&self, attempt: u32) {
        crate::http::rate_limit::sleep(self.budget.backoff(Duration::from_secs(1), attempt)).await;
    }

    /// Sets how many accounts the app may read: the budget of "authorization code" apps grows with them.
    pub fn learn_accounts(&self, accounts: usize) {
        self.limiter.learn_accounts(accounts);
    }
}

/// The HTTP request for a call, relative to `root`.
fn request(mut url: reqwest::Url, call: &Call, token: &crate::http::token::Token) -> Result<reqwest::Request> {
    if let Some(segment) = call.path.iter().find(|segment| !is_plain(segment)) {
        return Err(Error::system(format!(
            "Criteo sent the id \"{}\", which cannot be part of a path, so no request was sent for it.",
            excerpt(segment)
        ))
        .because(Cause::Rejected));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(&call.path);
    }
    for (name, value) in &call.query {
        url.query_pairs_mut().append_pair(name, value);
    }
    let mut request = reqwest::Request::new(call.method.clone(), url);
    let authorization = HeaderValue::from_str(&token.authorization())
        .map_err(|_| Error::system("Criteo sent a token that is not a valid header value."))?;
    request.headers_mut().insert(reqwest::header::AUTHORIZATION, authorization);
    if let Some(body) = &call.body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    Ok(request)
}

/// Whether a path segment stays a single segment: URL parsers drop control characters and treat dots as parent folders.
/// Everything else is escaped.
fn is_plain(segment: &str) -> bool {
    !segment.chars().any(char::is_control) && !segment.trim().chars().all(|letter| letter == '.')
}

/// Checks a response's status and body.
fn judge<T>(
    call: &Call,
    response: Response,
    check: &impl Fn(&str) -> Result<T>,
) -> std::result::Result<(Body, T), Failure> {
    // A job that was created may respond with 201.
    if !matches!(response.status, 200 | 201) {
        return Err(response::failure(call, &response));
    }
    let text = response.body.text().map_err(Failure::retryable)?;
    if !text.trim_start().starts_with(['{', '[']) {
        return Err(Failure::retryable(crate::http::response::no_json(&response, text)));
    }
    if scan::has_string_beyond(text, MAX_STRING_LEN) {
        return Err(Failure::Permanent(Error::system(format!(
            "Criteo sent a response with a string larger than {} MiB. No field of the API is known to be that large. \
             Nothing of the response was written.",
            MAX_STRING_LEN / 1024 / 1024
        ))));
    }
    let checked = check(text).map_err(|error| match error.kind {
        Kind::Transient => Failure::retryable(error),
        _ => Failure::Permanent(error),
    })?;
    Ok((response.body, checked))
}
