//! Errors in Criteo's envelope (developers.criteo.com, API error types).

use serde_json::json;

use crate::unknowns::Unknowns;
use crate::wire::Reply;

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub status: u16,
    pub kind: &'static str,
    pub code: &'static str,
    pub title: String,
    pub detail: String,
}

impl Problem {
    pub(crate) fn validation(code: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status: 400, kind: "validation", code, title: title.into(), detail: detail.into() }
    }

    pub(crate) fn unauthorized(code: &'static str) -> Self {
        Self::plain(401, "authorization", code, "The authorization header is invalid")
    }

    pub(crate) fn forbidden(code: &'static str, title: &str) -> Self {
        Self::plain(403, "access-control", code, title)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::plain(404, "validation", "not-found", "Resource not found") }
    }

    pub(crate) fn gone() -> Self {
        Self::plain(410, "deprecation", "endpoint-deprecated", "This version of the API has been decommissioned")
    }

    pub(crate) fn too_many_calls() -> Self {
        Self::plain(429, "quota", "quota-exceeded", "Too many requests")
    }

    pub(crate) fn internal() -> Self {
        Self::plain(500, "unknown", "internal-error", "An internal error has happened")
    }

    pub(crate) fn gateway_timeout() -> Self {
        Self::plain(504, "availability", "gateway-timeout", "The request has taken too long")
    }

    fn plain(status: u16, kind: &'static str, code: &'static str, title: &str) -> Self {
        Self { status, kind, code, title: title.to_owned(), detail: String::new() }
    }

    pub(crate) fn reply(&self, unknowns: &Unknowns) -> Reply {
        match unknowns.get("error_body") {
            "message" => return Reply::json(self.status, &json!({"message": self.title})),
            "plain_text" => {
                let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
                return Reply {
                    headers,
                    body: self.title.clone().into_bytes(),
                    ..Reply::json(self.status, &json!(null))
                };
            }
            _ => {}
        }
        let is_upper = unknowns.get("error_codes") == "upper";
        let code = if is_upper { self.code.to_ascii_uppercase() } else { self.code.to_owned() };
        let trace = format!("{:016x}", self.title.len() * 7919 + usize::from(self.status));
        let mut error = json!({
            "traceId": trace, "type": self.kind, "code": code, "instance": "/", "title": self.title,
            "detail": self.detail,
        });
        if code.is_empty() {
            error.as_object_mut().map(|members| members.remove("code"));
        }
        Reply::json(self.status, &json!({"errors": [error], "warnings": []}))
    }
}
