//! Errors in Criteo's envelope (developers.criteo.com, API error types).

use serde_json::json;

use crate::wire::Reply;

/// An error answer.
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

    fn plain(status: u16, kind: &'static str, code: &'static str, title: &str) -> Self {
        Self { status, kind, code, title: title.to_owned(), detail: String::new() }
    }

    pub(crate) fn reply(&self) -> Reply {
        let trace = format!("{:016x}", self.title.len() * 7919 + usize::from(self.status));
        let error = json!({
            "traceId": trace, "type": self.kind, "code": self.code, "instance": "/", "title": self.title,
            "detail": self.detail,
        });
        Reply::json(self.status, &json!({"errors": [error], "warnings": []}))
    }
}
