//! The access token: got once, shared by all calls, renewed before it ends.

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

use super::retry::{Attempts, Failure, Quota};
use super::space::TOKEN_MIB;
use super::transport::{Answer, Transport};
use super::{pace, problem, transport};
use crate::clock::Clock;
use crate::config::{Config, secrets};
use crate::error::{Cause, Error, Result};
use crate::files::Kept;
use crate::redact;
use crate::scan;

/// No answer with a token, and none with a reason why there is none, is longer.
const LONGEST_ANSWER: usize = 64 * 1024;
/// So much of its words is looked at.
const LONGEST_WORDS: usize = 2048;
/// How long a token lives when Criteo does not say (developers.criteo.com, Authentication).
const USUAL_LIFE: Duration = Duration::from_mins(15);
/// How long before its end a token is renewed, or half its life if that is shorter.
const MARGIN: Duration = Duration::from_mins(1);

/// How long the token endpoint may take to begin its answer: it has nothing to make.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to send all of it: everybody waits for the token.
const LONGEST_TRANSFER: Duration = Duration::from_mins(1);

/// How long a failure to get a token, behind all its attempts, counts for everybody.
const FAILED_FOR: Duration = Duration::from_mins(1);

/// How long another program may use the refresh token before this one gives up: its own attempts take less.
const TURN: Duration = Duration::from_mins(2);
/// How often it is asked whether that program has ended.
const GLANCE: Duration = Duration::from_millis(100);

/// A key whose file is younger may be too new for Criteo. Nobody has published how long that takes; a third party says this.
const KEY_YOUTH: TimeDelta = TimeDelta::minutes(15);

/// Clocks that differ by less agree.
const SLACK: TimeDelta = TimeDelta::minutes(2);

/// What becomes of a token that the API has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discarded {
    /// This call gave it up.
    ByThis,
    /// Another call had given it up already.
    ByAnother,
    /// It came after a refusal and has served nobody: another one would be refused, too.
    InVain,
}

/// An access token.
#[derive(Clone)]
pub(super) struct Token {
    value: SecretString,
    renew_at: Instant,
    /// Whether it replaces one that the API refused.
    is_replacement: bool,
    /// Whether the API has accepted it.
    has_served: Arc<AtomicBool>,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.value.expose_secret())
    }

    /// Notes that the API has accepted it.
    pub(super) fn served(&self) {
        self.has_served.store(true, Ordering::Relaxed);
    }

    /// Whether another one would help no more than this one, which came after a refusal and has served nobody.
    fn is_in_vain(&self) -> bool {
        self.is_replacement && !self.has_served.load(Ordering::Relaxed)
    }
}

/// Where the refresh token of an app is kept. Criteo may replace it at every use, and the old one may then be worth nothing.
pub trait RefreshTokens: Send + Sync {
    /// Takes the turn of using the token; `None` while another program has it.
    fn begin(&self) -> Option<Turn>;

    /// Keeps the token that has replaced the one that was used.
    fn keep(&self, token: &str);
}

/// The turn of using a refresh token. It ends when it is dropped.
#[derive(Default)]
pub struct Turn {
    /// The token that is kept now, where another program may have replaced it since.
    pub token: Option<SecretString>,
    /// Others wait for this.
    pub lock: Option<Kept>,
}

/// The time of this machine and Criteo's, at the same moment.
#[derive(Debug, Clone, Copy)]
struct Times {
    here: DateTime<Utc>,
    there: DateTime<Utc>,
}

/// Gets tokens and keeps the current one. The lock is held across a renewal, so that many calls that find the token
/// used up cause one renewal.
pub struct Auth {
    endpoint: Url,
    client_id: String,
    client_secret: SecretString,
    key: Key,
    refresh_tokens: Box<dyn RefreshTokens>,
    clock: Clock,
    /// What the first token came with.
    times: OnceLock<Option<Times>>,
    state: Mutex<State>,
}

struct State {
    token: Option<Token>,
    /// Whether the API refused the token before.
    was_refused: bool,
    /// The last failure to get one, and when: it serves everybody who asks in the next minute, too.
    failed: Option<(Instant, Error)>,
    refresh_token: Option<SecretString>,
}

/// What may explain why Criteo does not accept a key.
#[derive(Debug, Clone)]
struct Key {
    /// How long its file has existed, where that is known.
    age: Option<TimeDelta>,
    has_refresh_token: bool,
    /// What can be seen to be wrong with the credentials.
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
    /// Prepares the token endpoint of `config`. The refresh token, where there is one, is kept by `refresh_tokens`.
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
                age: credentials.key_created_at.map(|created| config.clock.now() - created),
                has_refresh_token: credentials.refresh_token.is_some(),
                flaws: secrets::flaws(credentials),
            },
            refresh_tokens,
            clock: config.clock,
            times: OnceLock::new(),
            state: Mutex::new(State {
                token: None,
                was_refused: false,
                failed: None,
                refresh_token: credentials.refresh_token.clone(),
            }),
        }
    }

    /// A token that is good for a while yet.
    pub(super) async fn token(&self, transport: &Transport, quota: &Quota) -> Result<Token> {
        let mut state = self.state.lock().await;
        if let Some((_, error)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_FOR) {
            return Err(error.clone());
        }
        if let Some(token) = state.token.as_ref().filter(|token| token.renew_at > Instant::now()) {
            return Ok(token.clone());
        }
        // Nobody else may use the token up between this moment and the one in which the new one is kept.
        let _turn = if state.refresh_token.is_some() { Some(self.turn(&mut state).await?) } else { None };
        let mut attempts = Attempts::default();
        let (grant, date) = loop {
            let form = self.form(state.refresh_token.as_ref());
            let space = transport.reserve_for_token().await;
            let asked = timeout(LONGEST_TRANSFER, transport.send(self.request(&form), space, PATIENCE)).await;
            let answer = asked.unwrap_or_else(|_| Err(too_slow())).map_err(|failure| match failure {
                Failure::Final(error) if error.cause == Some(Cause::AnswerTooLarge) => {
                    no_token(&format!("more than {TOKEN_MIB} MiB"), self.endpoint.host_str().unwrap_or_default())
                }
                failure => failure,
            });
            let failure = match answer.and_then(|answer| Ok((grant(&answer, &self.key)?, answer.date))) {
                Ok(granted) => break granted,
                Err(failure) => failure,
            };
            let wait = attempts.after(failure, quota).inspect_err(|error| {
                state.failed = Some((Instant::now(), error.clone()));
            })?;
            tracing::info!("Asking for a token again in {:.1} s: {}", wait.as_secs_f64(), attempts.last_message());
            pace::sleep(wait).await;
        };
        // Before anything else: a run that is killed from here on has the new token.
        let current = state.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
        let is_new = |token: &SecretString| current.as_deref().is_some_and(|current| current != token.expose_secret());
        if let Some(rotated) = grant.refresh_token.filter(is_new) {
            redact::add(rotated.expose_secret());
            self.refresh_tokens.keep(rotated.expose_secret());
            state.refresh_token = Some(rotated);
        }
        redact::add(grant.access_token.expose_secret());
        self.times.get_or_init(|| Some(Times { here: self.clock.now(), there: date? }));
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

    /// Waits for the turn of using the refresh token, and learns what has become of the token meanwhile.
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
            if asked.elapsed() > TURN {
                return Err(Error::transient(
                    "Another run has been asking for a token with this configuration for two minutes. Two at once might use up \
                     each other's refresh token, so this one has ended; look for a run that hangs, and try again.",
                ));
            }
            pace::sleep(GLANCE).await;
        }
    }

    /// How far Criteo's clock is ahead of this machine's, where they differ by more than two minutes.
    pub(super) fn clock_difference(&self) -> Option<TimeDelta> {
        self.differing_times().map(|times| times.there - times.here)
    }

    /// What is to be said of clocks that differ.
    pub(super) fn clock_warning(&self) -> Option<String> {
        let Times { here, there } = self.differing_times()?;
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        Some(format!(
            "The clock of this machine says {}, and Criteo's says {}. Criteo's counts: it decides which day is today. Set the \
             clock of this machine.",
            text(here),
            text(there)
        ))
    }

    fn differing_times(&self) -> Option<Times> {
        let times = (*self.times.get()?)?;
        ((times.there - times.here).abs() > SLACK).then_some(times)
    }

    /// Forgets a token that the API has refused, so that the next call asks for another.
    pub(super) async fn discard(&self, refused: &Token) -> Discarded {
        if refused.is_in_vain() {
            return Discarded::InVain;
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

    /// The form of the grant. Secrets contain `+` and `/`, so everything is percent-encoded.
    fn form(&self, refresh_token: Option<&SecretString>) -> String {
        let mut fields = vec![
            ("grant_type", if refresh_token.is_some() { "refresh_token" } else { "client_credentials" }),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
        ];
        if let Some(token) = refresh_token {
            fields.push(("refresh_token", token.expose_secret()));
        }
        // A URL's query pairs are encoded as `application/x-www-form-urlencoded` wants it.
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
    let seconds = LONGEST_TRANSFER.as_secs();
    transport::slow(&format!("The token endpoint has not sent its whole answer within {seconds} s."))
}

fn life(expires_in: &Value) -> Duration {
    let seconds = expires_in.as_u64().or_else(|| expires_in.as_str().and_then(|text| text.parse().ok()));
    seconds.filter(|seconds| *seconds > 0).map_or(USUAL_LIFE, |seconds| Duration::from_secs(seconds.min(86_400)))
}

fn no_token(size: &str, host: &str) -> Failure {
    Failure::passing(Error::transient(format!(
        "The token endpoint answered with {size}, which is no token. A proxy or a captive portal may stand between this machine and \
         Criteo; open {host} in a browser on the same network to see it."
    )))
}

fn grant(answer: &Answer, key: &Key) -> std::result::Result<Grant, Failure> {
    let text = answer.body.text().map_err(Failure::passing)?;
    match answer.status {
        _ if text.len() > LONGEST_ANSWER => Err(no_token(&format!("{} bytes", text.len()), &answer.host)),
        200 => serde_json::from_str(text).map_err(|_| {
            Failure::passing(Error::transient(format!(
                "The token endpoint answered {} instead of a token. A proxy or a captive portal may stand between this \
                 machine and Criteo; open {} in a browser on the same network to see it.",
                answer.content_type(),
                answer.host
            )))
        }),
        // Not the words of a proxy.
        400 | 401 if let Some(refused) = Refused::of(text) => Err(Failure::Final(refusal(&refused, key))),
        400 | 401 => Err(Failure::passing(problem::no_json(answer, text))),
        403 => Err(Failure::Final(Error::config(format!(
            "Criteo's token endpoint refuses to talk to this machine (status 403). A proxy or firewall may stand in between, or \
             Criteo lets only known addresses in. It answers: {}",
            problem::quote(text)
        )))),
        _ => Err(problem::failure_of("the token endpoint", answer)),
    }
}

/// What the token endpoint says of a refusal.
#[derive(Default)]
struct Refused {
    code: Option<String>,
    words: Option<String>,
}

impl Refused {
    /// Reads an answer, or the beginning of a long one; `None` where it is nothing of the token endpoint's, such as the words of a
    /// proxy.
    fn of(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        let mut refused = Self::default();
        let word = |raw: &str| scan::text(raw, LONGEST_WORDS).filter(|_| raw.starts_with('"'));
        let mut of_errors = None;
        let walk = scan::members(text, &mut |name, raw| {
            match name {
                "error" => refused.code = word(raw),
                "error_description" => refused.words = word(raw),
                "errors" => {
                    let mut first = None;
                    // A list that cannot be walked over has no first error.
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

/// The token endpoint speaks OAuth: `{"error":"invalid_client","error_description":"…"}`. Which words it has for a key that
/// was deleted is not documented, so several are understood.
fn refusal(refused: &Refused, key: &Key) -> Error {
    let code = problem::quote(refused.code.as_deref().unwrap_or("no reason"));
    let words = problem::quote(refused.words.as_deref().unwrap_or_default());
    let said = if words.is_empty() { code.clone() } else { format!("{code}: {words}") };
    let is_unknown = ["not exist", "not found", "unknown", "deleted", "revoked", "disabled"];
    let is_unknown = is_unknown.iter().any(|part| words.to_lowercase().contains(part));
    let message = match (code.as_str(), key.age) {
        _ if !key.flaws.is_empty() => format!(
            "Criteo refused the credentials ({said}). Most likely it is what can be seen: {}. Copy the value again from the key \
             file that partners.criteo.com downloaded.",
            key.flaws.join("; ")
        ),
        ("invalid_grant", _) if key.has_refresh_token => format!(
            "Criteo refused the refresh token ({said}). Most likely it has been used up: Criteo may replace a refresh token \
             at each use, and an earlier run or another program with the same token has got the new one. It may also end when \
             the user who gave it withdraws the consent or changes role. Have the user open the consent link again, put the \
             new refresh token into the configuration, and let no other program use it."
        ),
        ("unauthorized_client" | "invalid_grant", _) => format!(
            "Criteo does not let this app ask for a token this way ({said}). Probably it is of the other type: an app of the \
             type \"Authorization code\" needs a refresh_token in the configuration; one of the type \"Client credentials\" \
             must have none. Check the type of the app on partners.criteo.com."
        ),
        (_, Some(age)) if age >= TimeDelta::zero() && age < KEY_YOUTH => format!(
            "Criteo refused the credentials ({said}), and the file of their key is only {} old. A new key may take some minutes \
             until it works, though Criteo does not say so: try again later. If it is refused then, too, compare it with the \
             keys of the app on partners.criteo.com, or create another.",
            match age.num_minutes() + 1 {
                1 => "1 minute".to_owned(),
                minutes => format!("{minutes} minutes"),
            }
        ),
        _ if is_unknown => format!(
            "Criteo has no key with this client_id ({said}). Probably the key was deleted, or client_id is mistyped. Look at \
             the keys of the app on partners.criteo.com; if it is not there, create a new key and use the file that it \
             downloads."
        ),
        _ => format!(
            "Criteo refused the credentials ({said}). Probably client_id and client_secret are not from the same key, or the \
             key was deleted. Compare both with the key file that partners.criteo.com downloaded; if it is lost, create a new \
             key there and use that."
        ),
    };
    Error::config(message).because(Cause::CredentialsRefused)
}
