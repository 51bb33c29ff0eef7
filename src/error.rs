//! The error type: a kind for programs, a message for users.

use chrono::Weekday;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can fix a failure; maps one to one to Airbyte's `failure_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user: configuration, credentials, permissions, catalog or state.
    Config,
    /// No action needed, a later retry may succeed: rate limits, outages, the network.
    Transient,
    /// The developers or the operator: the connector or its machine failed.
    System,
}

impl Kind {
    /// Airbyte's name of this kind (`AirbyteErrorTraceMessage.failure_type`).
    #[must_use]
    pub fn failure_type(self) -> &'static str {
        match self {
            Kind::Config => "config_error",
            Kind::Transient => "transient_error",
            Kind::System => "system_error",
        }
    }
}

/// What went wrong, and what the user can do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Who can fix it.
    pub kind: Kind,
    /// What happened, the likely cause, what to do; without jargon or secrets.
    pub message: String,
    /// Technical detail for the log: status, endpoint, Criteo's text.
    pub detail: Option<String>,
    /// The connector's own classification, where it decides what happens next.
    pub cause: Option<Cause>,
    /// Criteo's error code (`errors[].code`) in lower case. Only for messages; decisions depend on `cause`.
    pub code: Option<Box<str>>,
    /// Criteo's own text, shortened and without secrets.
    pub words: Option<Box<str>>,
}

/// What an error means for the request that failed. These are the connector's own codes, so that no code of Criteo's
/// can be confused with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The app lacks a permission.
    PermissionMissing,
    /// Status 403 for an unknown reason.
    Forbidden,
    /// An advertiser in the request has not granted the app consent.
    ConsentMissing,
    /// None of the advertisers has a campaign to report on.
    NoCampaign,
    /// Criteo rejects the request as invalid (status 400 and similar).
    Rejected,
    /// The date range is longer, or reaches further back, than Criteo serves.
    InvalidTimespan,
    /// The path does not exist (status 404 or 410).
    NotFound,
    /// The request is too long (status 413 or 414).
    RequestTooLong,
    /// A 200 response with errors instead of data.
    ErrorsInResponse,
    /// The response exceeds the memory budget.
    ResponseTooLarge,
    /// Other responses use up the memory budget.
    Exhausted,
    /// The response was late or stalled more than once.
    TooSlow,
    /// Every attempt failed.
    GaveUp,
    /// The run makes no progress.
    Stalled,
    /// The run's retry budget is used up.
    RetriesUsedUp,
    /// Criteo refuses the credentials.
    CredentialsRefused,
    /// A response announces more rows than it holds, and there are no pages to request.
    MoreAnnounced,
    /// A window that cannot be split further has too many rows.
    TooMuch,
    /// Rows arrived that were not requested.
    OutsideRequest,
    /// Rows share a key and cannot be added up.
    RepeatedKey,
    /// The run ended early.
    Interrupted,
    /// Weeks begin on this day, but the request was planned for another.
    WeekStart(Weekday),
}

impl Error {
    /// An error that the user can fix.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// An error that may go away by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, message)
    }

    /// An error of the connector or its machine.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Kind::System, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, cause: None, code: None, words: None }
    }

    /// Adds technical detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Whether Criteo understood the request and refused it, for whatever reason. With several advertisers or days,
    /// only one of them may be the cause.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.cause,
            Some(
                Cause::Rejected
                    | Cause::Forbidden
                    | Cause::NotFound
                    | Cause::PermissionMissing
                    | Cause::ConsentMissing
                    | Cause::NoCampaign
                    | Cause::InvalidTimespan
                    | Cause::ErrorsInResponse
            )
        )
    }

    /// The error of a request after others of the same object or list have succeeded: a refusal says nothing about the
    /// account then.
    #[must_use]
    pub fn after_success(self) -> Self {
        if self.is_refusal() { Self { kind: Kind::Transient, cause: None, ..self } } else { self }
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Appends what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{} {hint}", self.message);
        self
    }

    /// Prepends where the error happened.
    #[must_use]
    pub fn in_context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}
