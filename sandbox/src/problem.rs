//! Errors in Criteo's envelope (developers.criteo.com, API error types).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

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
        let title = "The authorization header is invalid".to_owned();
        Self { status: 401, kind: "authorization", code, title, detail: String::new() }
    }

    pub(crate) fn forbidden(code: &'static str, title: &str) -> Self {
        Self { status: 403, kind: "access-control", code, title: title.to_owned(), detail: String::new() }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        let title = "Resource not found".to_owned();
        Self { status: 404, kind: "validation", code: "not-found", title, detail: detail.into() }
    }

    pub(crate) fn gone() -> Self {
        let title = "This version of the API has been decommissioned".to_owned();
        Self { status: 410, kind: "deprecation", code: "endpoint-deprecated", title, detail: String::new() }
    }

    pub(crate) fn too_many_calls() -> Self {
        let title = "Too many requests".to_owned();
        Self { status: 429, kind: "quota", code: "quota-exceeded", title, detail: String::new() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let trace = format!("{:016x}", self.title.len() * 7919 + usize::from(self.status));
        let body = json!({"errors": [{
            "traceId": trace, "type": self.kind, "code": self.code, "instance": "/", "title": self.title,
            "detail": self.detail,
        }], "warnings": []});
        (StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST), Json(body)).into_response()
    }
}
