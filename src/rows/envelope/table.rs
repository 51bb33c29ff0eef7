//! Rows as lists of values: makes an object of each list.

use serde_json::Value;

use crate::rows::envelope::{MAX_NAME_LEN, MAX_ROW_LEN, RowSink, too_long};
use crate::support::scan;

const MAX_COLUMNS: usize = 1000;
const MAX_LISTS: usize = 100;

/// Rows as lists of values, before or after the column names.
pub(super) struct Table<'de> {
    pub(super) document: &'de str,
    pub(super) columns: Option<&'de str>,
    /// Lists of rows, with their brackets.
    pub(super) lists: Vec<&'de str>,
}

impl Table<'_> {
    pub(super) fn each(&self, sink: &mut impl RowSink) -> serde_json::Result<()> {
        if self.lists.is_empty() {
            return Ok(());
        }
        let columns = self.columns.ok_or_else(|| error("lists of values without column names"))?;
        let labels = labels(columns)?;
        let mut row = String::new();
        for list in &self.lists {
            scan::items(list, &mut |values| {
                row_of(values, &labels, &mut row)?;
                sink.row(&mut serde_json::Deserializer::from_str(&row)).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    }

    /// Registers the list with these first and last items.
    pub(super) fn add(&mut self, first: &str, last: &str) -> Option<()> {
        let start = first.as_ptr().addr().checked_sub(self.document.as_ptr().addr())?;
        let end = last.as_ptr().addr().checked_sub(self.document.as_ptr().addr())? + last.len();
        let open = self.document.get(..start)?.trim_end().len().checked_sub(1)?;
        let rest = self.document.get(end..)?;
        let close = end + rest.len() - rest.trim_start().len();
        self.lists.push(self.document.get(open..=close)?);
        (self.lists.len() <= MAX_LISTS).then_some(())
    }
}

fn error(what: &str) -> serde_json::Error {
    serde::de::Error::custom(what)
}

/// Each column as the start of an object's member.
fn labels(columns: &str) -> serde_json::Result<Vec<String>> {
    let mut labels = Vec::new();
    scan::items(columns, &mut |column| {
        let name = match scan::member(column, |name| name.eq_ignore_ascii_case("name")) {
            Some(name) => scan::text(name, MAX_NAME_LEN),
            None => scan::text(column, MAX_NAME_LEN).filter(|_| column.starts_with('"')),
        };
        let name = name.ok_or("a column without a name")?;
        labels.push(format!("{}:", Value::from(name)));
        if labels.len() > MAX_COLUMNS { Err(format!("more than {MAX_COLUMNS} columns")) } else { Ok(()) }
    })?;
    Ok(labels)
}

fn row_of(values: &str, labels: &[String], row: &mut String) -> std::result::Result<(), String> {
    const UNEVEN: &str = "a row has more or fewer values than there are columns";
    if !values.starts_with('[') {
        return Err("a row that is not a list of values".to_owned());
    }
    row.clear();
    row.push('{');
    let mut left = labels.iter();
    let written = scan::items(values, &mut |value| {
        let label = left.next().ok_or(UNEVEN)?;
        row.push_str(if row.len() == 1 { "" } else { "," });
        row.push_str(label);
        row.push_str(value);
        if row.len() > MAX_ROW_LEN { Err(too_long()) } else { Ok(()) }
    });
    written.map_err(|error| error.to_string())?;
    row.push('}');
    if left.next().is_some() { Err(UNEVEN.to_owned()) } else { Ok(()) }
}
