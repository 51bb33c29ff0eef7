//! The saved states of streams, as they came.
//!
//! A state of ten thousand advertisers is small as a text and large as a tree, and a platform hands over those of all streams at
//! once. So each stays a text until its stream is read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cursor::corrupt;
use crate::error::Result;
use crate::scan;

/// No state of a stream has more values: twenty thousand advertisers, each with a cursor and a hole of its own, have fewer.
const MOST_VALUES: usize = 300_000;

/// The state of a stream; none at all is `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved(Box<str>);

/// The saved states by the name of their stream.
pub type States = BTreeMap<String, Saved>;

impl Saved {
    /// A state that is JSON.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its values.
    ///
    /// # Errors
    /// `config_error` where there are more than any state of this connector has.
    pub fn value(&self) -> Result<Value> {
        scan::tree(&self.0, MOST_VALUES)
            .map_err(|_| corrupt(&format!("it is no JSON, or has more than {MOST_VALUES} values")))
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
