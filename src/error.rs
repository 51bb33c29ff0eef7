//! The one error type: a kind for machines, a paragraph for people.

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
    /// Criteo's error code (`errors[].code`), where Criteo gave one.
    pub code: Option<String>,
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
        Self { kind, message: message.into(), detail: None, code: None }
    }

    /// Adds the technical detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds Criteo's error code.
    #[must_use]
    pub fn with_code(mut self, code: Option<String>) -> Self {
        self.code = code;
        self
    }

    /// Says where the error happened, in front of what happened.
    #[must_use]
    pub fn in_context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}
