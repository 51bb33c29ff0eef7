//! Finds the ad sets of a report, so that a period too large for one response can be requested per ad set.

use std::collections::BTreeSet;

use serde::de::Deserializer;

use crate::error::Result;
use crate::products::report::{ENVIRONMENTS, Report};
use crate::products::schema::ColumnType;
use crate::read::judge::text_of;
use crate::rows::envelope::{self, RowSink, Shape};
use crate::rows::fields::{self, Fields, Layout, unwrapped};

const COLUMNS: [&str; 2] = ["ad_set_id", "environment"];

#[derive(Default)]
pub(crate) struct AdSets {
    pub ids: BTreeSet<String>,
    /// Some rows belong to no ad set, so requests per ad set would miss them.
    pub has_others: bool,
    /// Some rows have an unknown environment, so requests per known environment would miss them.
    pub has_unknown_environments: bool,
}

struct Finding {
    layout: Layout,
    row: [Option<String>; COLUMNS.len()],
    found: AdSets,
}

impl Fields for Finding {
    const WANTS_UNKNOWN: bool = false;

    fn layout(&mut self) -> &mut Layout {
        &mut self.layout
    }

    fn value<E>(&mut self, column: usize, raw: &str) -> std::result::Result<(), E> {
        let value = || text_of(unwrapped(raw, ColumnType::Text)).into_owned();
        self.row[column].get_or_insert_with(value);
        Ok(())
    }

    fn unknown(&mut self, _: String, _: &str) {}
}

impl RowSink for Finding {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        fields::read(row, self)?;
        let [id, environment] = std::mem::take(&mut self.row);
        let id = id.unwrap_or_default();
        self.found.has_others |= id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit());
        self.found.has_unknown_environments |= environment.is_some_and(|name| !ENVIRONMENTS.contains(&&*name));
        self.found.ids.insert(id);
        Ok(())
    }
}

/// Reads the ad sets of a response.
///
/// # Errors
/// Same as [`envelope::check`].
pub(crate) fn ad_sets(body: &str, list: &Report) -> Result<AdSets> {
    let layout = Layout::new(COLUMNS, Some(list));
    let mut finding = Finding { layout, row: Default::default(), found: AdSets::default() };
    let envelope = envelope::check_into(body, Shape::Report, &mut finding)?;
    // A truncated list of ad sets would lose rows.
    finding.found.has_others |= envelope.is_short() || envelope.rows.unwrap_or(0) >= list.row_cap;
    Ok(finding.found)
}

#[cfg(test)]
mod tests {
    use crate::read::ad_sets::*;
    use serde_json::json;

    #[test]
    fn ad_sets_are_found_in_every_envelope_and_spelling() {
        let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
        let config = crate::config::Config::parse(&config.to_string()).unwrap();
        let list = Report::preset(&["AdsetId", "Day"], &["Clicks"], &config.reports).ad_sets();
        for body in [
            r#"[{"AdsetId":"7","Adset":"a"},{"AdsetId":8}]"#,
            r#"{"rows":[{"ADSETID":"7"},{"adSetId":{"value":"8"}}]}"#,
            r#"{"data":[{"Attributes":{"AdsetId":"7"}},{"Attributes":{"ad_set_id":"\u0038"}}]}"#,
            r#"{"columns":["adsetId","environment"],"data":[["7","Web"],["8","Ios"]]}"#,
        ] {
            let found = ad_sets(body, &list).unwrap();
            assert_eq!(found.ids, BTreeSet::from(["7".to_owned(), "8".to_owned()]), "{body}");
            assert!(!found.has_others && !found.has_unknown_environments, "{body}");
        }
        for (body, has_others, has_unknown) in [
            (r#"[{"AdsetId":null}]"#, true, false),
            ("[{}]", true, false),
            (r#"[{"AdsetId":"7","Environment":"Tv"}]"#, false, true),
        ] {
            let found = ad_sets(body, &list).unwrap();
            assert_eq!((found.has_others, found.has_unknown_environments), (has_others, has_unknown), "{body}");
        }
    }
}
