//! The only door to Criteo: connections, token, call budget, retries.
//!
//! Knows nothing of streams and protocols. A [`Call`] goes in; the whole body of an answer that has passed the
//! caller's check comes out, or an [`Error`] that tells people what to do. Every attempt pays its call budget and
//! takes the token anew.

mod auth;
mod environment;
mod link;
mod pace;
mod problem;
mod retry;
mod space;
mod transport;
pub mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

pub use auth::{Auth, RefreshTokens, Turn};
pub(crate) use pace::idle;
pub use pace::{CallClass, OnWait};
pub use problem::{AllTold, Told, criteo_errors};
pub(crate) use problem::{MISSING_PATH, quote};
pub use retry::Patience;
pub use space::{Memory, SPACE_MIB};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use transport::heed;
pub use transport::{Body, Download};

use crate::config::Config;
use crate::error::{Cause, Error, Result};
use crate::scan;
use crate::watchdog;
use auth::Discarded;
use pace::Pace;
use retry::{Attempts, Failure, Quota, Wait};
use transport::{Answer, HEAD_TIMEOUT, Transport};

/// How often a call may meet a refused token; its own renewals are fewer.
const MOST_REFUSALS: u32 = 3;

/// No text of an answer is longer, in bytes: parsers copy those that have escapes.
const LONGEST_STRING: usize = 4 * 1024 * 1024;

/// A request to the API, below the version segment.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET` or `POST`; both only read.
    pub method: Method,
    /// The segments of the path below the version.
    pub path: Vec<String>,
    /// The query, name by name.
    pub query: Vec<(&'static str, String)>,
    /// The JSON body of a `POST`.
    pub body: Option<String>,
    /// Which budget pays for it.
    pub class: CallClass,
    /// How large the answer will probably be, in bytes; so much memory is reserved for it.
    pub expected_bytes: usize,
    /// Which part of the memory that is.
    pub memory: Memory,
    /// Whether whoever sends it can ask for less: then it is given up after the second answer that is too slow.
    pub is_divisible: bool,
    /// Whether a larger request that holds this one has failed already: then it gets fewer attempts.
    pub is_suspect: bool,
}

impl Call {
    /// The path, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.path.join("/")
    }
}

/// Something that was answered, or was not.
#[derive(Debug)]
pub struct Answered {
    /// The path below the version.
    pub endpoint: String,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
    /// How many calls of its class Criteo says are left in this minute.
    pub calls_left: Option<usize>,
}

/// Who is told of every answer.
pub type OnAnswer = Box<dyn Fn(Answered) + Send + Sync>;

/// The connection to Criteo that everything of a run shares.
pub struct Client {
    transport: Transport,
    auth: Auth,
    pace: Pace,
    quota: Quota,
    root: reqwest::Url,
    is_loopback: bool,
    on_answer: OnAnswer,
}

impl Client {
    /// Prepares a client; nothing is sent yet. Long waits for the call budget are told to `on_wait`, answers to `on_answer`.
    ///
    /// # Errors
    /// `system_error` when no TLS roots can be loaded.
    pub fn new(
        config: &Config,
        patience: Patience,
        auth: Auth,
        on_wait: OnWait,
        on_answer: OnAnswer,
    ) -> Result<Arc<Self>> {
        let mut root = config.api_base_url.clone();
        if let Ok(mut path) = root.path_segments_mut() {
            path.pop_if_empty().push(&config.api_version.0);
        }
        let pace = Pace::new(config.credentials.refresh_token.is_some(), config.calls_at_once, on_wait);
        let is_loopback = config.is_loopback();
        Ok(Arc::new(Self {
            transport: Transport::new(is_loopback)?,
            auth,
            pace,
            quota: Quota::new(patience, config.backoff_percent),
            root,
            is_loopback,
            on_answer,
        }))
    }

    /// Makes sure that the credentials work.
    ///
    /// # Errors
    /// Whatever the token endpoint says, in words for people.
    pub async fn authenticate(&self) -> Result<()> {
        self.auth.token(&self.transport, &self.quota).await.map(|_| ())
    }

    /// How far Criteo's clock is ahead of this machine's, where the last token has shown that they differ by more than two
    /// minutes.
    #[must_use]
    pub fn server_clock(&self) -> Option<TimeDelta> {
        self.auth.clock_difference()
    }

    /// What is to be said of clocks that differ.
    #[must_use]
    pub fn clock_warning(&self) -> Option<String> {
        self.auth.clock_warning()
    }

    /// Whether another version of the API answers a call; asked once.
    pub async fn is_answered_by(&self, version: &str, call: &Call) -> bool {
        let mut root = self.root.clone();
        if let Ok(mut path) = root.path_segments_mut() {
            path.pop().push(version);
        }
        let ask = async {
            let space = self.admit(call, call.expected_bytes).await;
            let token = self.auth.token(&self.transport, &self.quota).await?;
            let sent = self.transport.send(request(root, call, &token)?, space, HEAD_TIMEOUT).await;
            Ok::<_, Error>(sent.is_ok_and(|answer| answer.status == 200))
        };
        ask.await.unwrap_or(false)
    }

    /// Sends a call until its answer passes `check`, within the limits of the retry policy. The check sees the whole
    /// body, so that an answer that was cut or carries errors in a 200 is tried again before anything is emitted.
    ///
    /// # Errors
    /// What Criteo said or what the network did, in words for people.
    pub async fn fetch<T>(&self, call: &Call, check: impl Fn(&str) -> Result<T>) -> Result<(Body, T)> {
        let mut attempts = Attempts::new(call.is_divisible, call.is_suspect);
        let (mut refusals, mut renewals) = (0, 0);
        let mut expected_bytes = call.expected_bytes;
        let task = watchdog::task(call.place());
        loop {
            task.waits_for("a place among the calls under way");
            let place = self.pace.place(call.class).await;
            task.waits_for("memory for its answer");
            let space = self.admit(call, expected_bytes).await;
            // Only now, since the waits before may outlive a token. It is had without memory that others hold.
            task.waits_for("the token");
            let token = self.auth.token(&self.transport, &self.quota).await?;
            tracing::debug!("{} {} {}", call.method, call.place(), call.body.as_deref().unwrap_or_default());
            task.waits_for("the answer");
            let sent = Instant::now();
            let answer = self.transport.send(request(self.root.clone(), call, &token)?, space, HEAD_TIMEOUT).await;
            (self.on_answer)(Answered {
                endpoint: call.place(),
                status: answer.as_ref().ok().map(|answer| answer.status),
                duration: sent.elapsed(),
                calls_left: answer.as_ref().ok().and_then(|answer| answer.rate_limit.remaining),
            });
            let failure = match answer {
                Ok(answer) => {
                    self.pace.learn(call.class, &answer.rate_limit);
                    match judge(call, answer, &check) {
                        Ok(result) => {
                            token.served();
                            attempts.succeeded(&self.quota);
                            return Ok(result);
                        }
                        Err(Failure::Unauthorized(error)) => {
                            // Criteo may end a token early. One new token, one more try; it costs no attempt. A token
                            // that another call has given up since is no news.
                            refusals += 1;
                            task.waits_for("the token");
                            let discarded = self.auth.discard(&token).await;
                            renewals += u32::from(discarded == Discarded::ByThis);
                            // guard: renew-refused-token
                            if discarded == Discarded::InVain || renewals > 1 || refusals > MOST_REFUSALS {
                                return Err(error);
                            }
                            continue;
                        }
                        Err(failure) => failure,
                    }
                }
                Err(Failure::Final(error)) if error.cause == Some(Cause::NoRoom) => {
                    expected_bytes = self.transport.larger(call.memory, expected_bytes);
                    continue;
                }
                Err(failure) => failure,
            };
            let is_for_everybody = matches!(failure, Failure::Passing { wait: Wait::Everybody(_), .. });
            let wait = attempts.after(failure, &self.quota)?;
            tracing::info!("Trying {} again in {:.1} s: {}", call.place(), wait.as_secs_f64(), attempts.last_message());
            // During an outage those that wait keep their places, so that others do not run into it, too.
            if is_for_everybody {
                drop(place);
                self.pace.pause(call.class, wait).await;
            } else {
                pace::sleep(wait).await;
            }
        }
    }

    /// Waits for the call budget and for memory; nobody holds memory while waiting for the budget.
    async fn admit(&self, call: &Call, expected_bytes: usize) -> space::Share {
        loop {
            self.pace.wait(call.class).await;
            let space = self.transport.reserve(call.memory, expected_bytes).await;
            if self.pace.take(call.class) {
                return space;
            }
        }
    }

    /// Begins to download a compressed file behind a signed link of Criteo's. The token is not sent: the link is the key.
    ///
    /// # Errors
    /// `system_error` for a link that must not be followed; `transient_error` for one that has ended and for what the network
    /// does.
    pub async fn download(&self, url: &str) -> Result<Download> {
        let url = link::checked(url, &self.root, self.is_loopback)?;
        let must_be_public = !self.is_loopback && url.host_str() != self.root.host_str();
        self.transport.download(url, must_be_public).await
    }

    /// A text of the connector's own as a body, within the memory of all bodies.
    pub async fn body(&self, text: String) -> Body {
        let task = watchdog::task("A part of what was read".to_owned());
        task.waits_for("memory");
        Body::of(self.transport.reserve(Memory::Answers, text.len()).await, text)
    }

    /// Waits before something is tried for the n-th time.
    pub async fn pause(&self, attempt: u32) {
        pace::sleep(self.quota.backoff(Duration::from_secs(1), attempt)).await;
    }

    /// Tells how many accounts the app may read: the budget of apps of users grows with them.
    pub fn learn_accounts(&self, accounts: usize) {
        self.pace.learn_accounts(accounts);
    }
}

/// The request for a call below `root`.
fn request(mut url: reqwest::Url, call: &Call, token: &auth::Token) -> Result<reqwest::Request> {
    if let Some(segment) = call.path.iter().find(|segment| !is_plain(segment)) {
        return Err(Error::system(format!(
            "Criteo has sent the id \"{}\", which cannot be part of a path, so nothing was asked for it.",
            quote(segment)
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
        .map_err(|_| Error::system("Criteo sent a token that cannot be a header."))?;
    request.headers_mut().insert(reqwest::header::AUTHORIZATION, authorization);
    if let Some(body) = &call.body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    Ok(request)
}

/// Whether a segment of a path stays one: parsers of URLs drop control characters, and take dots for a way up. Everything
/// else is escaped.
fn is_plain(segment: &str) -> bool {
    !segment.chars().any(char::is_control) && !segment.trim().chars().all(|letter| letter == '.')
}

/// Whether an answer is what was asked for.
fn judge<T>(
    call: &Call,
    answer: Answer,
    check: &impl Fn(&str) -> Result<T>,
) -> std::result::Result<(Body, T), Failure> {
    if answer.status != 200 {
        return Err(problem::failure(call, &answer));
    }
    let text = answer.body.text().map_err(Failure::passing)?;
    if !text.trim_start().starts_with(['{', '[']) {
        return Err(Failure::passing(problem::no_json(&answer, text)));
    }
    if scan::has_string_beyond(text, LONGEST_STRING) {
        return Err(Failure::Final(Error::system(format!(
            "Criteo sent an answer with a text that is larger than {} MiB, which nothing of Criteo's is known to be. Nothing of \
             it was written.",
            LONGEST_STRING / 1024 / 1024
        ))));
    }
    let checked = check(text).map_err(|error| match error.kind {
        crate::error::Kind::Transient => Failure::passing(error),
        _ => Failure::Final(error),
    })?;
    Ok((answer.body, checked))
}
