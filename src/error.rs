//! The one error type: a kind for machines, a paragraph for people.

use chrono::Weekday;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can mend a failure. Maps one to one to Airbyte's `failure_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user can: configuration, credentials, permissions, catalog or state.
    Config,
    /// Time can: rate limits, outages, the network.
    Transient,
    /// Only we can: the connector or its machine broke.
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

/// What went wrong, told so that the reader knows what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Who can mend it.
    pub kind: Kind,
    /// What happened, why probably, what to do: a paragraph without jargon and without secrets.
    pub message: String,
    /// Technical detail for whoever reads the log: status, endpoint, Criteo's words.
    pub detail: Option<String>,
    /// What the connector itself makes of it, where that decides what happens next.
    pub cause: Option<Cause>,
    /// Criteo's error code (`errors[].code`) in lower case, where Criteo gave one. Only for messages and for Criteo's own
    /// words: what the connector decides by is `cause`.
    pub code: Option<Box<str>>,
    /// Criteo's own words, shortened and without secrets, where it gave any.
    pub words: Option<Box<str>>,
}

/// What an error means for the request that met it. Criteo's codes are text and say little; these are the connector's own,
/// so that no code of Criteo's can be taken for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The app lacks a permission.
    PermissionMissing,
    /// Status 403, for reasons that are not known.
    Forbidden,
    /// An advertiser of the request has not given the app its consent.
    ConsentMissing,
    /// None of the advertisers has a campaign, so there is nothing to report.
    NoCampaign,
    /// Criteo does not accept the request as it is (status 400 and its like).
    Rejected,
    /// The span of days is longer, or reaches further back, than Criteo serves.
    InvalidTimespan,
    /// There is nothing at a path (status 404 or 410).
    NotFound,
    /// The request itself is too long (status 413 or 414).
    RequestTooLong,
    /// A success that carries errors in place of data.
    ErrorsInAnswer,
    /// The answer does not fit into the memory of answers.
    AnswerTooLarge,
    /// Other answers hold the memory.
    NoRoom,
    /// The answer did not come in time, or stalled, more than once.
    TooSlow,
    /// Every attempt failed.
    GaveUp,
    /// Nothing moves any more.
    Stalled,
    /// The retries of the whole run are used up.
    RetriesUsedUp,
    /// Criteo does not accept the credentials.
    CredentialsRefused,
    /// An answer says that there is more than it holds, and there are no pages to ask for.
    MoreAnnounced,
    /// A slice that cannot be made any smaller has too many rows.
    TooMuch,
    /// Rows have come that were not asked for.
    OutsideRequest,
    /// Rows share a key and cannot be added up.
    RepeatedKey,
    /// Weeks begin on this day, and the request was planned for another.
    WeekStart(Weekday),
}

impl Error {
    /// An error that the user can mend.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// An error that goes away by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, message)
    }

    /// An error of the connector or the machine it runs on.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Kind::System, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, cause: None, code: None, words: None }
    }

    /// Adds the technical detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Whether Criteo has understood the request and refuses it, in whatever words: for a list of advertisers or days it may be
    /// about one of them.
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
                    | Cause::ErrorsInAnswer
            )
        )
    }

    /// Says what it means for the request.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Says what to do, behind what happened.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{} {hint}", self.message);
        self
    }

    /// Says where the error happened, in front of what happened.
    #[must_use]
    pub fn in_context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}
