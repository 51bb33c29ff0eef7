//! The download of a file of any size, a piece at a time: from a signed link, or as the response to a request.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, LAST_MODIFIED, LOCATION};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Cause, Error, Result};
use crate::http::memory::Reservation;
use crate::http::rate_limit::RateLimit;
use crate::http::response;
use crate::http::retry::Failure;
use crate::http::transport::failure::network_failure;
use crate::http::transport::headers::rate_limit;
use crate::http::transport::{HEAD_TIMEOUT, MIN_PROGRESS, PROGRESS_WINDOW, Response, Transport, is_gzip};
use crate::support::watchdog;

impl Transport {
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
        Ok(Download::new(response, true, host))
    }

    /// Sends a request whose successful response may be of any size; any other is received into `space`.
    pub(crate) async fn open(
        &self,
        request: reqwest::Request,
        space: Reservation,
    ) -> std::result::Result<Opened, Failure> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let response = self.head(request, HEAD_TIMEOUT).await?;
        let (status, rate_limit) = (response.status().as_u16(), rate_limit(response.headers()));
        let content = match status {
            200 => {
                let is_gzip = is_gzip(&response, &host)?;
                Content::File(Box::new(Download::new(response, is_gzip, host)))
            }
            204 => Content::Nothing,
            _ => Content::Other(Box::new(self.receive(response, space, host).await?)),
        };
        Ok(Opened { status, rate_limit, content })
    }
}

/// The response to a request for a file.
pub(crate) struct Opened {
    pub status: u16,
    pub rate_limit: RateLimit,
    pub content: Content,
}

/// What the response to a request for a file holds.
pub(crate) enum Content {
    File(Box<Download>),
    /// Status 204.
    Nothing,
    /// An unsuccessful response.
    Other(Box<Response>),
}

/// A download in progress; only one chunk is in memory.
pub struct Download {
    response: reqwest::Response,
    /// `None` if the file is not compressed.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
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
    fn new(response: reqwest::Response, is_gzip: bool, host: String) -> Self {
        let decoder = is_gzip.then(|| MultiGzDecoder::new(Vec::new()));
        let checkpoint = Instant::now() + PROGRESS_WINDOW;
        Self { response, decoder, rest: Vec::new(), host, is_complete: false, progress: 0, checkpoint }
    }

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
                let Some(decoder) = &mut self.decoder else { return Ok(Some(piece)) };
                decoder.write_all(&piece).map_err(|_| broken_file(&self.host))?;
                let bytes = std::mem::take(decoder.get_mut());
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
                    let Some(decoder) = &mut self.decoder else { continue };
                    // Fails if the gzip trailer is missing.
                    decoder.try_finish().map_err(|_| broken_file(&self.host))?;
                    let bytes = std::mem::take(decoder.get_mut());
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
