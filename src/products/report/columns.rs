//! The columns of a report: names, types, key and JSON schema.

use serde_json::{Map, Value, json};

use crate::products::marketing::metrics;
use crate::products::report::Report;
use crate::products::schema::ColumnType;

/// A column, as the rows are read.
#[derive(Debug, Clone)]
pub struct RowColumn {
    /// The name.
    pub name: String,
    /// The type of its values.
    pub column_type: ColumnType,
    /// Whether it is part of the primary key.
    pub is_key: bool,
}

struct Column {
    name: String,
    column_type: ColumnType,
    description: String,
    is_key: bool,
}

impl Report {
    /// Whether rows that share a key are numbered: if the user wants it, or with categories, which Criteo names in one
    /// row and calls "Unknown" in another.
    #[must_use]
    pub fn needs_row_number(&self) -> bool {
        self.numbers_rows || self.dimensions.iter().any(|name| name == "CategoryId")
    }

    /// The columns of its rows.
    #[must_use]
    pub fn row_columns(&self) -> Vec<RowColumn> {
        if !self.fixed_columns.is_empty() {
            return self.fixed_columns.to_vec();
        }
        let columns = self.columns().into_iter();
        columns.map(|Column { name, column_type, is_key, .. }| RowColumn { name, column_type, is_key }).collect()
    }

    /// The requested dimensions as ids, the period and the currency, plus `row_number` if rows are numbered.
    #[must_use]
    pub fn primary_key(&self) -> Vec<String> {
        self.columns().into_iter().filter(|column| column.is_key).map(|column| column.name).collect()
    }

    /// The JSON schema of a row.
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: Map<_, _> = self
            .columns()
            .into_iter()
            .map(|column| {
                let property = column.column_type.property(column.is_key, &column.description);
                (column.name, property)
            })
            .collect();
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": properties})
    }

    /// The metrics whose columns are among `selected`.
    #[must_use]
    pub fn selected_metrics(&self, selected: &dyn Fn(&str) -> bool) -> Vec<String> {
        let wanted: Vec<_> =
            self.metrics.iter().filter(|name| selected(&metrics::column_name(name))).cloned().collect();
        let is_needed = wanted.is_empty() && !self.endpoint.allows_no_metrics;
        if is_needed { self.metrics.iter().take(1).cloned().collect() } else { wanted }
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        let mut push = |name: String, column_type, description: String, is_key| match columns
            .iter_mut()
            .find(|column| column.name == name)
        {
            Some(column) => column.is_key |= is_key,
            None => columns.push(Column { name, column_type, description, is_key }),
        };
        for requested in &self.dimensions {
            let Some(dimension) = metrics::dimension(requested) else {
                let about = format!("Criteo's dimension {requested}, which is newer than this connector.");
                push(metrics::column_name(requested), ColumnType::Text, about, true);
                continue;
            };
            // Criteo returns both the id and the name, whichever is requested.
            for half in [Some(dimension), dimension.pair.and_then(metrics::dimension)].into_iter().flatten() {
                let about = format!("{} (Criteo's dimension {}).", half.about, half.name);
                push(metrics::column_name(half.name), half.column_type, about, !half.is_name());
            }
        }
        for requested in &self.metrics {
            let (column_type, about) = match metrics::metric(requested) {
                Some(metric) => (metric.column_type(), metric.description()),
                None => {
                    (ColumnType::Number, format!("Criteo's metric {requested}, which is newer than this connector."))
                }
            };
            push(metrics::column_name(requested), column_type, about, false);
        }
        push("currency".into(), ColumnType::Text, "Currency of all money in the row (ISO 4217).".into(), true);
        push("timezone".into(), ColumnType::Text, "Time zone of the row's periods.".into(), false);
        if self.needs_row_number() {
            let about = "Distinguishes rows that Criteo sends with the same key, such as a category named in one row \
                         and unknown in another; 1 for the first."
                .to_owned();
            push("row_number".into(), ColumnType::Integer, about, true);
        }
        columns
    }
}
