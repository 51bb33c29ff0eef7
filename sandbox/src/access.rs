//! Tokens and the two rate limits.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::options::{AppState, Options};
use crate::problem::Problem;

#[derive(Debug)]
struct Token {
    end: Instant,
    /// Remaining requests.
    calls: Option<u32>,
}

/// Valid tokens, and requests counted against the limits.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: HashMap<String, Token>,
    refresh_token: Option<String>,
    issued: u64,
    reports: VecDeque<Instant>,
    others: VecDeque<Instant>,
}

/// The remainder of a rate limit.
pub(crate) struct Budget {
    pub limit: usize,
    pub remaining: usize,
    /// Until the oldest request is a minute old.
    pub reset: Duration,
}

impl Access {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            tokens: HashMap::new(),
            refresh_token: options.refresh_token.clone(),
            issued: 0,
            reports: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    /// `POST /oauth2/token`. Errors have OAuth's format, not Criteo's envelope.
    pub(crate) fn grant(&mut self, options: &Options, form: &HashMap<String, String>) -> Result<Value, (u16, Value)> {
        let field = |name: &str| form.get(name).map(String::as_str);
        let refuse =
            |code: &str, text: &str| Err((options.refusal_status, json!({"error": code, "error_description": text})));
        if options.app == AppState::KeyDeleted {
            return refuse("invalid_client", "The client does not exist");
        }
        if field("client_id") != Some(&options.client_id) || field("client_secret") != Some(&options.client_secret) {
            return refuse("invalid_client", "Client authentication failed");
        }
        self.issued += 1;
        match (field("grant_type"), &self.refresh_token) {
            (Some("client_credentials"), None) => {}
            (Some("refresh_token"), Some(valid)) if field("refresh_token") == Some(valid) => {
                self.refresh_token = Some(format!("rotated-refresh-token-{}", self.issued));
            }
            (Some("refresh_token"), _) => return refuse("invalid_grant", "The refresh token is not valid"),
            _ => return refuse("unauthorized_client", "The app may not use this grant"),
        }
        let token = format!("sandbox-token-{}-{}", options.seed, self.issued);
        let end = Instant::now() + options.token_life;
        self.tokens.insert(token.clone(), Token { end, calls: options.token_calls });
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": options.token_life.as_secs(),
            "refresh_token": self.refresh_token,
        }))
    }

    /// Revokes all tokens.
    pub(crate) fn revoke(&mut self) {
        self.tokens.clear();
    }

    pub(crate) fn authorize(&mut self, header: Option<&str>) -> Result<(), Problem> {
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err(Problem::unauthorized("authorization-token-missing"));
        };
        let Some(token) = self.tokens.get_mut(token) else {
            return Err(Problem::unauthorized("authorization-token-invalid"));
        };
        if token.end <= Instant::now() || token.calls == Some(0) {
            return Err(Problem::unauthorized("authorization-token-expired"));
        }
        token.calls = token.calls.map(|calls| calls - 1);
        Ok(())
    }

    /// Counts a request in a rolling minute, shortened by the time scale; `false` if the limit is used up.
    pub(crate) fn pay(&mut self, is_report: bool, options: &Options) -> (Budget, bool) {
        let minute = options.minute();
        let now = Instant::now();
        let (limit, calls) = match options.pooled_limit {
            Some(limit) => (limit, &mut self.others),
            None if is_report => (options.report_limit, &mut self.reports),
            None => (options.rate_limit, &mut self.others),
        };
        while calls.front().is_some_and(|call| now.duration_since(*call) >= minute) {
            calls.pop_front();
        }
        let is_paid = calls.len() < limit;
        if is_paid {
            calls.push_back(now);
        }
        let reset = calls.front().map_or(Duration::ZERO, |oldest| minute.saturating_sub(now.duration_since(*oldest)));
        (Budget { limit, remaining: limit - calls.len().min(limit), reset }, is_paid)
    }
}
