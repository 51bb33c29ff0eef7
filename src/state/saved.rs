//! The saved states of streams, unparsed.
//!
//! The state of ten thousand advertisers is small as a string and large as a tree, and a platform passes those of all
//! streams together. So each stays a string until its stream is read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::state::corrupt;
use crate::support::scan;

/// The most values of a state: twenty thousand advertisers, each with a cursor and a hole, have fewer.
const MAX_VALUES: usize = 300_000;

/// The state of a stream; without one, `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved(Box<str>);

/// The saved states by the name of their stream.
pub type States = BTreeMap<String, Saved>;

impl Saved {
    /// Keeps a state, which must be JSON.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The state as JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The parsed state.
    ///
    /// # Errors
    /// `config_error` if it has more values than any state of this connector.
    pub fn value(&self) -> Result<Value> {
        scan::tree(&self.0, MAX_VALUES)
            .map_err(|_| corrupt(&format!("it is not JSON or has more than {MAX_VALUES} values")))
    }
}

impl Default for Saved {
    fn default() -> Self {
        Self::of("null")
    }
}

impl From<&Value> for Saved {
    fn from(state: &Value) -> Self {
        Self(state.to_string().into())
    }
}
