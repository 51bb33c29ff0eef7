//! The access token: fetched once, shared by all calls, renewed before it expires.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::config::{Config, secrets};
use crate::error::{Cause, Error, Result};
use crate::http::memory::TOKEN_MIB;
use crate::http::retry::{Failure, RetryBudget, RetryState};
use crate::http::transport::{self, Response, Transport};
use crate::http::{rate_limit, response};
use crate::support::clock::Clock;
use crate::support::files::Kept;
use crate::support::text::excerpt;
use crate::support::{redact, scan};

/// The token endpoint's responses are shorter, with or without a token.
const MAX_RESPONSE_LEN: usize = 64 * 1024;
/// How much of its error description is read, in bytes.
const MAX_WORDS_LEN: usize = 2048;
/// A token's lifetime when Criteo does not state one (developers.criteo.com, Authentication).
const USUAL_LIFE: Duration = Duration::from_mins(15);
/// A token is renewed this long before it expires, or at half its lifetime if that is shorter.
const MARGIN: Duration = Duration::from_mins(1);

/// Time limit for the token endpoint to start responding. It has nothing to compute.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for its whole response. All calls wait for the token.
const MAX_TRANSFER_TIME: Duration = Duration::from_mins(1);

/// How long a failed token request, retries included, fails every other call too.
const FAILED_FOR: Duration = Duration::from_mins(1);

/// How long to wait for another program that uses the refresh token. Its own attempts take less.
const MAX_TURN_WAIT: Duration = Duration::from_mins(2);
/// How often to check whether that program is done.
const POLL: Duration = Duration::from_millis(100);

/// A key whose file is younger may not be active yet. Criteo does not publish the delay; this is a third party's
/// figure.
const ACTIVATION_TIME: TimeDelta = TimeDelta::minutes(15);

/// Smaller clock differences are ignored.
const SLACK: TimeDelta = TimeDelta::minutes(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// This call discarded it.
    ByThis,
    /// Another call had already discarded it.
    ByAnother,
    /// It replaced a refused token and was never accepted: another one would be refused, too.
    Useless,
}

#[derive(Clone)]
pub(crate) struct Token {
    value: SecretString,
    renew_at: Instant,
    /// Whether it replaces one that the API refused.
    is_replacement: bool,
    /// Whether the API accepted it at least once.
    has_served: Arc<AtomicBool>,
}

impl Token {
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.value.expose_secret())
    }

    pub(crate) fn served(&self) {
        self.has_served.store(true, Ordering::Relaxed);
    }

    /// Whether it replaced a refused token and was never accepted itself, so that another one would not help.
    fn is_useless(&self) -> bool {
        self.is_replacement && !self.has_served.load(Ordering::Relaxed)
    }
}

/// Storage for an app's refresh token. Criteo may replace the token at every use and invalidate the old one.
pub trait RefreshTokens: Send + Sync {
    /// Acquires the exclusive right to use the token; `None` while another program has it.
    fn begin(&self) -> Option<Turn>;

    /// Stores the token that replaced the one just used.
    fn keep(&self, token: &str);
}

/// The exclusive right to use a refresh token, released on drop.
#[derive(Default)]
pub struct Turn {
    /// The stored token, if another program may have replaced it.
    pub token: Option<SecretString>,
    /// The lock that other programs wait for.
    pub lock: Option<Kept>,
}

/// This machine's time and Criteo's at the same moment.
#[derive(Debug, Clone, Copy)]
struct Times {
    local: DateTime<Utc>,
    server: DateTime<Utc>,
}

/// Fetches tokens and holds the current one. The lock is held during a renewal, so that many calls with an expired
/// token cause one renewal.
pub struct Auth {
    endpoint: Url,
    client_id: String,
    client_secret: SecretString,
    key: Key,
    refresh_tokens: Box<dyn RefreshTokens>,
    clock: Clock,
    /// Clock readings from the first token response.
    times: OnceLock<Option<Times>>,
    state: Mutex<State>,
}

struct State {
    token: Option<Token>,
    /// Whether the API refused the previous token.
    was_refused: bool,
    /// The last failure and its time. Calls within [`FAILED_FOR`] get the same error.
    failed: Option<(Instant, Error)>,
    refresh_token: Option<SecretString>,
}

/// Facts that may explain why Criteo refuses a key.
#[derive(Debug, Clone)]
struct Key {
    /// Age of its file, if known.
    age: Option<TimeDelta>,
    has_refresh_token: bool,
    /// Visible mistakes in the credentials.
    flaws: Vec<String>,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    refresh_token: Option<SecretString>,
}

impl Auth {
    /// Prepares the token endpoint of `config`; `refresh_tokens` stores its refresh token, if there is one.
    #[must_use]
    pub fn new(config: &Config, refresh_tokens: Box<dyn RefreshTokens>) -> Self {
        let mut endpoint = config.api_base_url.clone();
        if let Ok(mut path) = endpoint.path_segments_mut() {
            path.pop_if_empty().extend(["oauth2", "token"]);
        }
        let credentials = &config.credentials;
        Self {
            endpoint,
            client_id: credentials.client_id.clone(),
            client_secret: credentials.client_secret.clone(),
            key: Key {
                age: credentials.key_created_at.map(|created| config.test.clock.now() - created),
                has_refresh_token: credentials.refresh_token.is_some(),
                flaws: secrets::flaws(credentials),
            },
            refresh_tokens,
            clock: config.test.clock,
            times: OnceLock::new(),
            state: Mutex::new(State {
                token: None,
                was_refused: false,
                failed: None,
                refresh_token: credentials.refresh_token.clone(),
            }),
        }
    }

    /// A token that does not expire soon.
    pub(crate) async fn token(&self, transport: &Transport, budget: &RetryBudget) -> Result<Token> {
        let mut state = self.state.lock().await;
        if let Some((_, error)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_FOR) {
            return Err(error.clone());
        }
        if let Some(token) = state.token.as_ref().filter(|token| token.renew_at > Instant::now()) {
            return Ok(token.clone());
        }
        // Held until the new token is stored, so that no other program uses up the refresh token in between.
        let _turn = if state.refresh_token.is_some() { Some(self.turn(&mut state).await?) } else { None };
        let mut attempts = RetryState::default();
        let (grant, date) = loop {
            let form = self.form(state.refresh_token.as_ref());
            let space = transport.reserve_for_token().await;
            let asked = timeout(MAX_TRANSFER_TIME, transport.send(self.request(&form), space, HEAD_TIMEOUT)).await;
            let response = asked.unwrap_or_else(|_| Err(too_slow())).map_err(|failure| match failure {
                Failure::Permanent(error) if error.cause == Some(Cause::ResponseTooLarge) => {
                    no_token(&format!("more than {TOKEN_MIB} MiB"), self.endpoint.host_str().unwrap_or_default())
                }
                failure => failure,
            });
            let failure = match response.and_then(|response| Ok((grant(&response, &self.key)?, response.date))) {
                Ok(granted) => break granted,
                Err(failure) => failure,
            };
            let wait = attempts.after(failure, budget).inspect_err(|error| {
                state.failed = Some((Instant::now(), error.clone()));
            })?;
            tracing::info!("Requesting a token again in {:.1} s: {}", wait.as_secs_f64(), attempts.last_message());
            rate_limit::sleep(wait).await;
        };
        // Stored first: a run that is killed from here on keeps the new token.
        let current = state.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
        let is_new = |token: &SecretString| current.as_deref().is_some_and(|current| current != token.expose_secret());
        if let Some(rotated) = grant.refresh_token.filter(is_new) {
            redact::add(rotated.expose_secret());
            self.refresh_tokens.keep(rotated.expose_secret());
            state.refresh_token = Some(rotated);
        }
        redact::add(grant.access_token.expose_secret());
        self.times.get_or_init(|| Some(Times { local: self.clock.now(), server: date? }));
        let life = life(&grant.expires_in);
        let token = Token {
            value: grant.access_token,
            renew_at: Instant::now() + life - MARGIN.min(life / 2),
            is_replacement: std::mem::take(&mut state.was_refused),
            has_served: Arc::default(),
        };
        state.token = Some(token.clone());
        Ok(token)
    }

    /// Waits for exclusive use of the refresh token, and picks up a token that another program stored in the meantime.
    async fn turn(&self, state: &mut State) -> Result<Turn> {
        let asked = Instant::now();
        loop {
            if let Some(mut turn) = self.refresh_tokens.begin() {
                if let Some(token) = turn.token.take() {
                    redact::add(token.expose_secret());
                    state.refresh_token = Some(token);
                }
                return Ok(turn);
            }
            if asked.elapsed() > MAX_TURN_WAIT {
                return Err(Error::transient(
                    "Another run with this configuration has been requesting a token for two minutes. Two concurrent \
                     runs could use up each other's refresh token, so this one stopped. Look for a run that hangs, \
                     then try again.",
                ));
            }
            rate_limit::sleep(POLL).await;
        }
    }

    /// How far Criteo's clock is ahead of this machine's, if they differ by more than [`SLACK`].
    pub(crate) fn clock_difference(&self) -> Option<TimeDelta> {
        self.differing_times().map(|times| times.server - times.local)
    }

    pub(crate) fn clock_warning(&self) -> Option<String> {
        let Times { local, server } = self.differing_times()?;
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        Some(format!(
            "This machine's clock says {}, but Criteo's says {}. Criteo's clock decides which day is today. Set this \
             machine's clock.",
            text(local),
            text(server)
        ))
    }

    fn differing_times(&self) -> Option<Times> {
        let times = (*self.times.get()?)?;
        ((times.server - times.local).abs() > SLACK).then_some(times)
    }

    /// Drops a token that the API refused, so that the next call requests another.
    pub(crate) async fn discard(&self, refused: &Token) -> Discarded {
        if refused.is_useless() {
            return Discarded::Useless;
        }
        let mut state = self.state.lock().await;
        let is_current = state.token.as_ref().is_some_and(|t| t.value.expose_secret() == refused.value.expose_secret());
        if is_current {
            state.token = None;
            state.was_refused = true;
            return Discarded::ByThis;
        }
        Discarded::ByAnother
    }

    /// The grant's form. Secrets contain `+` and `/`, so every value is percent-encoded.
    fn form(&self, refresh_token: Option<&SecretString>) -> String {
        let mut fields = vec![
            ("grant_type", if refresh_token.is_some() { "refresh_token" } else { "client_credentials" }),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
        ];
        if let Some(token) = refresh_token {
            fields.push(("refresh_token", token.expose_secret()));
        }
        // URL query pairs are encoded as `application/x-www-form-urlencoded`.
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().extend_pairs(fields);
        url.query().unwrap_or_default().to_owned() // guard: encode-secrets
    }

    fn request(&self, form: &str) -> reqwest::Request {
        let mut request = reqwest::Request::new(Method::POST, self.endpoint.clone());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        *request.body_mut() = Some(form.to_owned().into());
        request
    }
}

fn too_slow() -> Failure {
    let seconds = MAX_TRANSFER_TIME.as_secs();
    transport::slow(&format!("The token endpoint did not send its full response within {seconds} s."))
}

fn life(expires_in: &Value) -> Duration {
    let seconds = expires_in.as_u64().or_else(|| expires_in.as_str().and_then(|text| text.parse().ok()));
    seconds.filter(|seconds| *seconds > 0).map_or(USUAL_LIFE, |seconds| Duration::from_secs(seconds.min(86_400)))
}

fn no_token(size: &str, host: &str) -> Failure {
    Failure::retryable(Error::transient(format!(
        "The token endpoint sent {size} instead of a token. A proxy or a captive portal may sit between this machine \
         and Criteo. Open {host} in a browser on the same network to see it."
    )))
}

fn grant(response: &Response, key: &Key) -> std::result::Result<Grant, Failure> {
    let text = response.body.text().map_err(Failure::retryable)?;
    match response.status {
        _ if text.len() > MAX_RESPONSE_LEN => Err(no_token(&format!("{} bytes", text.len()), &response.host)),
        200 => serde_json::from_str(text).map_err(|_| {
            Failure::retryable(Error::transient(format!(
                "The token endpoint sent {} instead of a token. A proxy or a captive portal may sit between this \
                 machine and Criteo. Open {} in a browser on the same network to see it.",
                response.content_type(),
                response.host
            )))
        }),
        // OAuth errors only: a proxy's pages are handled below.
        400 | 401 if let Some(refused) = Refused::of(text) => Err(Failure::Permanent(refusal(&refused, key))),
        400 | 401 => Err(Failure::retryable(response::no_json(response, text))),
        403 => Err(Failure::Permanent(Error::config(format!(
            "Criteo's token endpoint rejects this machine (status 403). A proxy or firewall may block it, or Criteo \
             may allow only known IP addresses. Response: {}",
            excerpt(text)
        )))),
        _ => Err(response::classify("the token endpoint", response)),
    }
}

#[derive(Default)]
struct Refused {
    code: Option<String>,
    words: Option<String>,
}

impl Refused {
    /// Reads a response, or the start of a long one; `None` if it is not an OAuth error, for example a proxy's page.
    fn of(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        let mut refused = Self::default();
        let word = |raw: &str| scan::text(raw, MAX_WORDS_LEN).filter(|_| raw.starts_with('"'));
        let mut of_errors = None;
        let walk = scan::members(text, &mut |name, raw| {
            match name {
                "error" => refused.code = word(raw),
                "error_description" => refused.words = word(raw),
                "errors" => {
                    let mut first = None;
                    // A malformed list has no first error.
                    let _ = scan::items(raw, &mut |error| {
                        first.get_or_insert(error);
                        Ok(())
                    });
                    of_errors = first.and_then(|error| scan::member(error, |name| name == "code")).and_then(word);
                }
                _ => {}
            }
            Ok(())
        });
        refused.code = refused.code.or(of_errors);
        (walk.is_ok() || refused.code.is_some()).then_some(refused)
    }
}

/// Explains an OAuth error: `{"error":"invalid_client","error_description":"…"}`. The wording for a deleted key is not
/// documented, so several are recognized.
fn refusal(refused: &Refused, key: &Key) -> Error {
    let code = excerpt(refused.code.as_deref().unwrap_or("no reason"));
    let words = excerpt(refused.words.as_deref().unwrap_or_default());
    let said = if words.is_empty() { code.clone() } else { format!("{code}: {words}") };
    let is_unknown = ["not exist", "not found", "unknown", "deleted", "revoked", "disabled"];
    let is_unknown = is_unknown.iter().any(|part| words.to_lowercase().contains(part));
    let message = match (code.as_str(), key.age) {
        _ if !key.flaws.is_empty() => format!(
            "Criteo refused the credentials ({said}). Likely cause: {}. Copy the value again from the key file \
             downloaded from partners.criteo.com.",
            key.flaws.join("; ")
        ),
        ("invalid_grant", _) if key.has_refresh_token => format!(
            "Criteo refused the refresh token ({said}). It was probably used up: Criteo may replace a refresh token at \
             each use, and an earlier run or another program received the new one. It also expires when the user who \
             granted it withdraws consent or changes role. Have the user open the consent link again, put the new \
             refresh token into the configuration, and use it in no other program."
        ),
        ("unauthorized_client" | "invalid_grant", _) => format!(
            "Criteo does not let this app request a token this way ({said}). The app is probably of the other type: an \
             \"Authorization code\" app needs a refresh_token in the configuration; a \"Client credentials\" app must \
             not have one. Check the app's type on partners.criteo.com."
        ),
        (_, Some(age)) if age >= TimeDelta::zero() && age < ACTIVATION_TIME => format!(
            "Criteo refused the credentials ({said}), and their key file is only {} old. A new key may take a few \
             minutes to become active: try again later. If it is still refused, compare it with the app's keys on \
             partners.criteo.com, or create another.",
            match age.num_minutes() + 1 {
                1 => "1 minute".to_owned(),
                minutes => format!("{minutes} minutes"),
            }
        ),
        _ if is_unknown => format!(
            "Criteo has no key with this client_id ({said}). The key was probably deleted, or client_id is mistyped. \
             Check the app's keys on partners.criteo.com; if it is missing, create a new key and use the downloaded \
             file."
        ),
        _ => format!(
            "Criteo refused the credentials ({said}). client_id and client_secret are probably not from the same key, \
             or the key was deleted. Compare both with the key file downloaded from partners.criteo.com; if it is \
             lost, create a new key and use that."
        ),
    };
    Error::config(message).because(Cause::CredentialsRefused)
}
