//! Advertisers by name, where rows have named them.

use std::collections::HashMap;

use crate::model::ids::AdvertiserId;
use crate::support::text::grouped;

/// Advertisers that a calendar names.
const MAX_NAMED: usize = 6;

/// The names of advertisers by id.
#[derive(Debug, Default)]
pub(crate) struct Names(pub HashMap<String, String>);

impl Names {
    /// An advertiser with its id.
    pub(crate) fn of(&self, id: &str) -> String {
        match self.0.get(id).map(|name| name.trim()).filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_owned(),
        }
    }

    /// The first few, and how many there are.
    pub(crate) fn list(&self, ids: &[AdvertiserId]) -> String {
        let named: Vec<_> = ids.iter().take(MAX_NAMED).map(|id| self.of(&id.0)).collect();
        let more = ids.len() - named.len();
        let text = named.join(", ");
        if more > 0 { format!("{text} and {} more", grouped(more as u64)) } else { text }
    }
}
