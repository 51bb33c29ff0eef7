//! One attempt at one request: send it and receive the full response within time and memory limits.
//!
//! Redirects are never followed: a 307 on the token call would send the secret to another host. HTTP/1.1 only, since
//! Criteo warns of HTTP/2 connections that hang. The body is decompressed here, so that its size is limited before it
//! is in memory, and all bodies in memory share one budget.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Utc};
use flate2::write::MultiGzDecoder;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderValue,
    LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Cause, Error, Result};
use crate::http::environment::{bundled_roots, refuse_missing_roots, refuse_unknown_proxies};
use crate::http::link::{self, Names, PrivateAddress};
use crate::http::memory::{Exhausted, Memory, MemoryBudgets, Reservation};
use crate::http::rate_limit::RateLimit;
use crate::http::response;
use crate::http::retry::{Failure, Wait};
use crate::support::{clock, watchdog};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Criteo computes reports while we wait: the first byte may take minutes.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
const BODY_TIMEOUT: Duration = Duration::from_mins(10);
/// A body must grow by [`MIN_PROGRESS`] bytes in this time: a slow drip defeats a plain read timeout.
const PROGRESS_WINDOW: Duration = Duration::from_secs(30);
const MIN_PROGRESS: usize = 1024; // guard: slow-bodies
/// Idle connections are closed after this time, since persistent connections to Criteo may hang.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const MIB: usize = 1024 * 1024;
/// How much of an unsuccessful response is read; the rest is dropped.
const MAX_WORDS_LEN: usize = 64 * 1024;
/// Initial capacity of a body. Untouched pages cost nothing, and an allocation above 32 MiB goes back to the system
/// when it is freed, while the C library would keep a smaller one.
const FIRST_CAPACITY: usize = 33 * MIB;
/// Compressed bytes are decoded in pieces of this size, so that one piece cannot exceed the reservation by much:
/// deflate expands by a factor of at most 1032.
const PIECE: usize = 1024;

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

    /// Starts a download without any authorization header. A host that `must_be_public` must not have a private
    /// address.
    pub(crate) async fn download(&self, url: reqwest::Url, must_be_public: bool) -> Result<Download> {
        let host = url.host_str().unwrap_or_default().to_owned();
        if must_be_public {
            self.names.must_be_public(&host);
        }
        let mut request = reqwest::Request::new(reqwest::Method::GET, url);
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        watchdog::moved();
        let failed = |failure| match failure {
            Failure::Permanent(error) | Failure::Unauthorized(error) | Failure::Retryable { error, .. } => error,
        };
        let response = match timeout(HEAD_TIMEOUT, self.http.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failed(network_failure(&host, error))),
            Err(_) => return Err(Error::transient(format!("{host} did not start sending a file."))),
        };
        if response.status().is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            return Err(Error::system(format!(
                "{host} redirects the download of a log file to {}. Redirects are not followed.",
                target.map_or_else(|| "an unnamed location".to_owned(), response::target)
            )));
        }
        if response.status().as_u16() != 200 {
            let status = response.status().as_u16();
            let error = Error::transient(format!(
                "{host} refused the log file (status {status}); the signed link may have expired."
            ));
            let is_gone = matches!(status, 403 | 404 | 410);
            return Err(if is_gone { error.because(Cause::NotFound) } else { error });
        }
        let decoder = MultiGzDecoder::new(Vec::new());
        let checkpoint = Instant::now() + PROGRESS_WINDOW;
        Ok(Download { response, decoder, rest: Vec::new(), host, is_complete: false, progress: 0, checkpoint })
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
        watchdog::moved();
        let head = timeout(head_timeout, self.http.execute(request)).await;
        let mut response = match head {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(network_failure(&host, error)),
            Err(_) => {
                return Err(slow(&format!("{host} did not start responding within {} s.", head_timeout.as_secs())));
            }
        };
        watchdog::moved();
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
        let is_gzip = match text(CONTENT_ENCODING).as_deref() {
            None | Some("" | "identity") => false,
            Some("gzip" | "x-gzip") => true,
            Some(other) => {
                let message =
                    format!("{} sent a response with encoding {other}, which was not requested.", result.host);
                return Err(Failure::retryable(Error::transient(message)));
            }
        };
        // Only the start of an error response is needed.
        let most = if result.status == 200 { usize::MAX } else { MAX_WORDS_LEN };
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

/// A download in progress; only one chunk is in memory.
pub struct Download {
    response: reqwest::Response,
    decoder: MultiGzDecoder<Vec<u8>>,
    rest: Vec<u8>,
    host: String,
    is_complete: bool,
    /// Bytes received since the last checkpoint.
    progress: usize,
    checkpoint: Instant,
}

/// Compressed bytes decoded in one step; deflate expands them at most a thousandfold.
const FILE_PIECE: usize = 4096;

impl Download {
    /// The storage's version of the file: its `ETag`, or else when it was modified and its length.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let header = |name| self.response.headers().get(name).and_then(|value| value.to_str().ok());
        header(ETAG).map(str::to_owned).or_else(|| {
            let parts = [header(LAST_MODIFIED), header(CONTENT_LENGTH)];
            parts.iter().any(Option::is_some).then(|| parts.map(Option::unwrap_or_default).join(" "))
        })
    }

    /// Restarts the progress window: the caller, not the server, caused the delay.
    pub fn has_waited(&mut self) {
        (self.progress, self.checkpoint) = (0, Instant::now() + PROGRESS_WINDOW);
    }

    /// The next decompressed bytes; `None` after the last ones.
    ///
    /// # Errors
    /// `transient_error` if the connection breaks or stalls, or if the file is corrupt.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if !self.rest.is_empty() {
                let rest = self.rest.split_off(self.rest.len().min(FILE_PIECE));
                let piece = std::mem::replace(&mut self.rest, rest);
                self.decoder.write_all(&piece).map_err(|_| broken_file(&self.host))?;
                let bytes = std::mem::take(self.decoder.get_mut());
                if !bytes.is_empty() {
                    return Ok(Some(bytes));
                }
                continue;
            }
            if self.is_complete {
                return Ok(None);
            }
            match timeout_at(self.checkpoint, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    watchdog::moved();
                    self.progress += chunk.len();
                    self.rest.extend_from_slice(&chunk);
                    if self.progress >= MIN_PROGRESS {
                        self.has_waited();
                    }
                }
                Ok(Ok(None)) => {
                    self.is_complete = true;
                    // Fails if the gzip trailer is missing.
                    self.decoder.try_finish().map_err(|_| broken_file(&self.host))?;
                    let bytes = std::mem::take(self.decoder.get_mut());
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(Err(_)) => return Err(broken_file(&self.host)),
                Err(_) => {
                    return Err(Error::transient(format!("{} stopped sending in the middle of a file.", self.host)));
                }
            }
        }
    }
}

fn broken_file(host: &str) -> Error {
    Error::transient(format!("A file from {host} is corrupt or truncated."))
}

async fn receive(
    response: &mut reqwest::Response,
    is_gzip: bool,
    space: &mut Reservation,
    host: &str,
    most: usize,
) -> std::result::Result<Vec<u8>, Failure> {
    let mut deadline = Instant::now() + BODY_TIMEOUT;
    let mut decoder = is_gzip.then(|| MultiGzDecoder::new(Vec::with_capacity(FIRST_CAPACITY)));
    let mut plain = Vec::with_capacity(if is_gzip { 0 } else { FIRST_CAPACITY });
    let (mut progress, mut checkpoint) = (0, Instant::now() + PROGRESS_WINDOW);
    loop {
        let chunk = match timeout_at(checkpoint.min(deadline), response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(network_failure(host, error)),
            Err(_) if progress >= MIN_PROGRESS && Instant::now() < deadline => {
                (progress, checkpoint) = (0, Instant::now() + PROGRESS_WINDOW);
                continue;
            }
            Err(_) => {
                return Err(slow(&format!(
                    "{host} stopped in the middle of a response, or sends it too slowly: {progress} bytes in the last \
                     half minute."
                )));
            }
        };
        watchdog::moved();
        progress += chunk.len();
        for piece in chunk.chunks(PIECE) {
            let length = match &mut decoder {
                None => {
                    plain.extend_from_slice(piece);
                    plain.len()
                }
                Some(decoder) => {
                    decoder.write_all(piece).map_err(|_| broken_gzip(host))?;
                    decoder.get_ref().len()
                }
            };
            if length > most {
                return Ok(decoder.map_or(plain, |mut decoder| std::mem::take(decoder.get_mut())));
            }
            // guard: memory-bound
            while length > space.mib() * MIB {
                if space.mib() >= space.most_mib() {
                    return Err(no_memory(
                        Cause::ResponseTooLarge,
                        &format!("A response is larger than {} MiB.", space.most_mib()),
                    ));
                }
                // The reader of stdout holds the memory; this wait is not the server's fault.
                let asked = Instant::now();
                space
                    .grow()
                    .await
                    .map_err(|Exhausted| no_memory(Cause::Exhausted, "Other responses use up the memory."))?;
                deadline += asked.elapsed();
                checkpoint += asked.elapsed();
            }
        }
    }
    match decoder {
        None => Ok(plain),
        Some(decoder) => decoder.finish().map_err(|_| broken_gzip(host)),
    }
}

fn no_memory(cause: Cause, message: &str) -> Failure {
    Failure::Permanent(Error::transient(message).because(cause))
}

fn broken_gzip(host: &str) -> Failure {
    Failure::retryable(Error::transient(format!("{host} sent a corrupt or truncated gzip response.")))
}

pub(crate) fn slow(message: &str) -> Failure {
    let wait = Wait::Backoff(Duration::from_secs(1));
    Failure::Retryable { error: Error::transient(message), wait, is_slow: true }
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn rate_limit(headers: &HeaderMap) -> RateLimit {
    RateLimit {
        limit: number(headers, "x-ratelimit-limit"),
        remaining: number(headers, "x-ratelimit-remaining"),
        until_reset: until_reset(headers),
    }
}

/// Any header values must be handled without panicking.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse_headers(headers: &HeaderMap) {
    let limiter = crate::http::rate_limit::RateLimiter::new(false, 8, Box::new(|_| {}));
    limiter.update_from(crate::http::rate_limit::CallClass::Report, &rate_limit(headers));
    assert!(retry_after(headers).is_none_or(|wait| !wait.is_zero()));
}

/// Time until `x-ratelimit-reset` (epoch seconds).
fn until_reset(headers: &HeaderMap) -> Option<Duration> {
    let reset = number::<i64>(headers, "x-ratelimit-reset")?.saturating_sub(server_now(headers));
    u64::try_from(reset).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// `Retry-After`: seconds, or an instant by the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number::<i64>(headers, RETRY_AFTER.as_str()).or_else(|| {
        let instant = headers.get(RETRY_AFTER)?.to_str().ok()?;
        Some(DateTime::parse_from_rfc2822(instant).ok()?.timestamp().saturating_sub(server_now(headers)))
    });
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Plausible years of a `Date`. A clock that was never set says 1970, before the API existed.
const YEARS: std::ops::Range<i32> = 2020..2100;

/// The instant of a `Date` header, if it is plausible.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?.to_utc();
    YEARS.contains(&date.year()).then_some(date)
}

/// Epoch seconds by the server's `Date`, since our clock may be wrong.
fn server_now(headers: &HeaderMap) -> i64 {
    date(headers).map_or_else(clock::now_epoch_seconds, |date| date.timestamp())
}

fn network_failure(host: &str, error: reqwest::Error) -> Failure {
    if is_private(&error) {
        return Failure::Permanent(link::private_name(host));
    }
    // Drops the URL: errors must not contain queries.
    let error = error.without_url();
    let detail = chain(&error);
    let words = detail.to_lowercase();
    let hint = [
        (
            "unknownissuer",
            "its certificate is from an unknown authority. Behind a proxy that intercepts TLS, set SSL_CERT_FILE to \
             the proxy's certificate",
        ),
        ("not valid for name", "its certificate is for another host"),
        ("certificate expired", "its certificate expired; check this machine's clock"),
        ("protocolversion", "it supports no safe TLS version (1.2 or later)"),
        (
            "proxy authorization required",
            "the proxy requires a login; set HTTPS_PROXY to http://user:password@host:port",
        ),
        ("dns error", "its name cannot be resolved; check this machine's DNS"),
        ("connection refused", "the connection was refused; check proxy and firewall"),
        ("unreachable", "there is no route to it; check network and firewall"),
        ("tunnel error", "the proxy blocks the connection"),
    ]
    .into_iter()
    .find_map(|(mark, hint)| words.contains(mark).then_some(hint));
    let message = match hint {
        Some(hint) => format!("Cannot reach {host}: {hint}."),
        None if error.is_timeout() || error.is_connect() => {
            format!("Cannot connect to {host}; check network, proxy and firewall.")
        }
        None => format!("The connection to {host} broke before the response was complete."),
    };
    Failure::retryable(Error::transient(message).with_detail(detail))
}

/// Whether a link's host resolves to a private address.
fn is_private(error: &reqwest::Error) -> bool {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source()).any(<dyn std::error::Error>::is::<PrivateAddress>)
}

/// The full chain of causes: the outermost one only says that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::http::transport::*;

    fn headers(retry_after: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Fri, 31 Jul 2026 12:00:00 GMT"));
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        headers
    }

    #[test]
    fn an_implausible_date_is_ignored() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_str(text).unwrap());
            date(&headers).map(|date| date.to_rfc3339())
        };
        assert_eq!(of("Fri, 31 Jul 2026 12:00:00 GMT").as_deref(), Some("2026-07-31T12:00:00+00:00"));
        for text in [
            "",
            "soon",
            "2026-07-31T12:00:00Z",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Fri, 31 Jul 2026",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_server_time() {
        for (text, seconds) in [
            ("3", Some(3)),
            ("Fri, 31 Jul 2026 12:00:07 GMT", Some(7)),
            ("Fri, 31 Jul 2026 11:59:00 GMT", None),
            ("0", None),
            ("-1", None),
            ("abc", None),
        ] {
            assert_eq!(retry_after(&headers(text)), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
