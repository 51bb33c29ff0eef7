//! One attempt at one request: send it and receive the full response within time and memory limits.
//!
//! Redirects are never followed: a 307 on the token call would send the secret to another host. HTTP/1.1 only, since
//! Criteo warns of HTTP/2 connections that hang. The body is decompressed here, so that its size is limited before it
//! is in memory, and all bodies in memory share one budget.

mod download;
mod failure;
mod headers;
mod receive;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::http::environment::{bundled_roots, refuse_missing_roots, refuse_unknown_proxies};
use crate::http::link::Names;
use crate::http::memory::{Memory, MemoryBudgets, Reservation};
use crate::http::rate_limit::RateLimit;
use crate::http::retry::Failure;
pub use crate::http::transport::download::Download;
pub(crate) use crate::http::transport::download::{Content, Opened};
pub(crate) use crate::http::transport::failure::slow;
use crate::http::transport::failure::{chain, network_failure};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use crate::http::transport::headers::parse_headers;
use crate::http::transport::headers::{date, rate_limit, retry_after};
use crate::http::transport::receive::receive;
use crate::support::watchdog;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Criteo computes reports while we wait: the first byte may take minutes.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// A body must grow by [`MIN_PROGRESS`] bytes in this time: a slow drip defeats a plain read timeout.
const PROGRESS_WINDOW: Duration = Duration::from_secs(30);
const MIN_PROGRESS: usize = 1024; // guard: slow-bodies
/// Idle connections are closed after this time, since persistent connections to Criteo may hang.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const MIB: usize = 1024 * 1024;
/// How much of an unsuccessful response is read; the rest is dropped.
const MAX_WORDS_LEN: usize = 64 * 1024;

pub(crate) struct Transport {
    http: reqwest::Client,
    names: Names,
    spaces: MemoryBudgets,
}

pub(crate) struct Response {
    pub status: u16,
    pub host: String,
    pub location: Option<String>,
    pub rate_limit: RateLimit,
    /// The wait that the server requests.
    pub retry_after: Option<Duration>,
    /// The server's time (`Date`).
    pub date: Option<DateTime<Utc>>,
    pub body: Body,
    content_type: Option<String>,
}

/// A full body in memory. Its share of the budget is released on drop.
pub struct Body {
    text: Option<String>,
    space: Reservation,
}

impl Body {
    /// A string whose memory is already reserved.
    pub(crate) fn of(space: Reservation, text: String) -> Self {
        Self { text: Some(text), space }
    }

    /// Replaces the string by one of about the same length, under the same reservation.
    #[must_use]
    pub fn replaced(self, text: String) -> Self {
        Self { text: Some(text), ..self }
    }

    /// The string without a byte order mark.
    ///
    /// # Errors
    /// `transient_error` if it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        let text = self.text.as_deref().map(|text| text.trim_start_matches('\u{feff}'));
        text.ok_or_else(|| Error::transient("Criteo sent a response that is not UTF-8 text."))
    }
}

impl Response {
    /// The content type, or a phrase that says there is none.
    pub(crate) fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or("something without a content type")
    }
}

impl Transport {
    /// Prepares connections. Loopback connections use no proxy, since they carry secrets in clear text.
    pub(crate) fn new(is_loopback: bool) -> Result<Self> {
        if !is_loopback {
            refuse_unknown_proxies()?; // guard: unknown-proxies
            refuse_missing_roots()?;
        }
        // Fails only if a provider is already installed, which works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let names = Names::default();
        let builder = || {
            let builder = reqwest::Client::builder().dns_resolver(Arc::new(names.clone()));
            if is_loopback { builder.no_proxy() } else { builder }
                .user_agent(concat!("source-criteo/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers.clone())
                // guard: redirects
                .redirect(reqwest::redirect::Policy::none())
                .http1_only()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT)
        };
        // Small container images have no CA bundle: fall back to Mozilla's, which is compiled in.
        let http = builder().build().or_else(|_| builder().tls_certs_only(bundled_roots()).build());
        let http = http.map_err(|error| {
            let detail = chain(&error);
            Error::system("The connector cannot set up TLS.").with_detail(detail)
        })?;
        Ok(Self { http, names, spaces: MemoryBudgets::new() })
    }

    /// Waits for the memory that a response is expected to need.
    pub(crate) async fn reserve(&self, memory: Memory, bytes: usize) -> Reservation {
        self.spaces.of(memory).reserve(bytes.div_ceil(MIB)).await
    }

    /// Memory for the token endpoint's response, which nothing else uses.
    pub(crate) async fn reserve_for_token(&self) -> Reservation {
        self.spaces.of_token().reserve(1).await
    }

    /// The larger reservation for a response that outgrew `bytes` while others held the rest.
    pub(crate) fn larger(&self, memory: Memory, bytes: usize) -> usize {
        (2 * bytes).max(self.spaces.of(memory).mib() * MIB / 4)
    }

    /// Sends a request and receives the full response into `space`, whatever its status. The response must start within
    /// `head_timeout`.
    pub(crate) async fn send(
        &self,
        request: reqwest::Request,
        space: Reservation,
        head_timeout: Duration,
    ) -> std::result::Result<Response, Failure> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let response = self.head(request, head_timeout).await?;
        self.receive(response, space, host).await
    }

    /// Sends a request and waits for the start of its response.
    async fn head(
        &self,
        request: reqwest::Request,
        head_timeout: Duration,
    ) -> std::result::Result<reqwest::Response, Failure> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        watchdog::moved();
        let response = match timeout(head_timeout, self.http.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(network_failure(&host, error)),
            Err(_) => {
                return Err(slow(&format!("{host} did not start responding within {} s.", head_timeout.as_secs())));
            }
        };
        watchdog::moved();
        Ok(response)
    }

    /// Receives the body of a response.
    async fn receive(
        &self,
        mut response: reqwest::Response,
        space: Reservation,
        host: String,
    ) -> std::result::Result<Response, Failure> {
        let is_gzip = is_gzip(&response, &host)?;
        let text =
            |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        let mut result = Response {
            status: response.status().as_u16(),
            location: text(LOCATION),
            rate_limit: rate_limit(response.headers()),
            retry_after: retry_after(response.headers()),
            date: date(response.headers()),
            content_type: text(CONTENT_TYPE),
            body: Body { text: None, space },
            host,
        };
        // Only the start of an error response is needed.
        let most = if matches!(result.status, 200 | 201) { usize::MAX } else { MAX_WORDS_LEN };
        let mut bytes = receive(&mut response, is_gzip, &mut result.body.space, &result.host, most).await?;
        if bytes.len() > most {
            // Do not cut within a UTF-8 character.
            let is_within = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
            let within =
                bytes.get(..=most).map_or(0, |start| start.iter().rev().take_while(|byte| is_within(byte)).count());
            bytes.truncate(most - within.min(most));
        }
        result.body.space.settle();
        result.body.text = String::from_utf8(bytes).ok();
        Ok(result)
    }
}

/// Whether a response is compressed.
fn is_gzip(response: &reqwest::Response, host: &str) -> std::result::Result<bool, Failure> {
    match response.headers().get(CONTENT_ENCODING).map(HeaderValue::to_str) {
        None | Some(Ok("" | "identity")) => Ok(false),
        Some(Ok("gzip" | "x-gzip")) => Ok(true),
        Some(other) => {
            let other = other.unwrap_or("an unreadable name");
            let message = format!("{host} sent a response with encoding {other}, which was not requested.");
            Err(Failure::retryable(Error::transient(message)))
        }
    }
}
