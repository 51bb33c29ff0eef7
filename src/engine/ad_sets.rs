//! The ad sets that a report has rows of: what a period that is too much for one answer is asked for by.

use std::collections::BTreeSet;

use serde::de::{Deserialize as _, Deserializer};
use serde_json::Value;

use super::rows::{self, RowSink};
use crate::error::Result;
use crate::streams::metrics::fold;
use crate::streams::report::{ENVIRONMENTS, Report};

/// The ad sets of a report.
#[derive(Default)]
pub(super) struct AdSets {
    pub ids: BTreeSet<String>,
    /// Set when not every row belongs to an ad set, so that requests for ad sets would miss some.
    pub has_others: bool,
    /// Set when requests for the known environments would miss some.
    pub has_unknown_environments: bool,
}

impl RowSink for AdSets {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let row = Value::deserialize(row)?;
        let row = if row["attributes"].is_object() { &row["attributes"] } else { &row };
        let text = |wanted: &str| {
            let value = row.as_object().into_iter().flatten().find(|(name, _)| fold(name) == wanted).map(|(_, v)| v);
            value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let id = text("adsetid").unwrap_or_default();
        self.has_others |= id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit());
        self.has_unknown_environments |= text("environment").is_some_and(|name| !ENVIRONMENTS.contains(&&*name));
        self.ids.insert(id);
        Ok(())
    }
}

/// The ad sets in an answer.
///
/// # Errors
/// As [`rows::check`].
pub(super) fn ad_sets(body: &str, list: &Report) -> Result<AdSets> {
    let mut found = AdSets::default();
    let envelope = rows::check_into(body, list.shape(), &mut found)?;
    // A list that is cut itself would lose rows.
    found.has_others |= envelope.is_short() || envelope.rows.unwrap_or(0) >= list.row_cap;
    Ok(found)
}
