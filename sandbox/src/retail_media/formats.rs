//! The file of a report, in any of four formats and the shapes that the switches select.

use serde_json::{Value, json};

use crate::manners::{NUMBER, written};
use crate::retail_media::table::Row;
use crate::world::World;

/// Columns whose strings are numbers.
pub(crate) fn marked(rows: Vec<Row>, metrics: &[String]) -> Vec<Row> {
    let mark = |(name, value): (String, Value)| match value.as_str() {
        Some(text) if metrics.contains(&name) => (name, json!(format!("{NUMBER}{text}"))),
        _ => (name, value),
    };
    rows.into_iter().map(|row| row.into_iter().map(mark).collect()).collect()
}

impl World {
    /// Orders rows and spells their numbers and missing values.
    pub(crate) fn spelled_rows(&self, rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        let unknowns = &self.options.unknowns;
        match unknowns.get("rm_row_order") {
            "reverse" => rows.reverse(),
            "shuffled" => {
                let mut numbered: Vec<_> = (0u64..).map(|index| self.random(&[index, 98])).zip(rows).collect();
                numbered.sort_by_key(|(random, _)| *random);
                rows = numbered.into_iter().map(|(_, row)| row).collect();
            }
            _ => {}
        }
        for row in &mut rows {
            match unknowns.get("rm_missing") {
                "absent" => row.retain(|_, value| !value.is_null()),
                "empty" => row.values_mut().filter(|value| value.is_null()).for_each(|value| *value = json!("")),
                "unknown" => {
                    row.values_mut().filter(|value| value.is_null()).for_each(|value| *value = json!("Unknown"));
                }
                _ => {}
            }
            if unknowns.get("rm_numbers") == "quoted" {
                for value in row.values_mut() {
                    let number = value.as_str().and_then(|text| text.strip_prefix(NUMBER)).map(str::to_owned);
                    if let Some(number) = number {
                        *value = json!(number);
                    }
                }
            }
        }
        rows
    }

    /// The text of a file with these columns.
    pub(crate) fn file(&self, rows: Vec<Row>, columns: &[String], format: &str) -> String {
        let unknowns = &self.options.unknowns;
        match format {
            "json-compact" => self.compact(&rows, columns),
            "json-newline" => rows.into_iter().map(|row| written(&Value::Object(row)) + "\n").collect(),
            "csv" => csv(&rows, columns, unknowns.get("rm_csv")),
            _ => written(&match unknowns.get("rm_json_shape") {
                "data" => json!({"data": rows}),
                "data_attributes" => {
                    json!({"data": rows.into_iter().map(|row| json!({"attributes": row})).collect::<Vec<_>>()})
                }
                _ => json!(rows),
            }),
        }
    }

    fn compact(&self, rows: &[Row], columns: &[String]) -> String {
        let cells: Vec<Vec<Value>> = rows
            .iter()
            .map(|row| columns.iter().map(|column| row.get(column).cloned().unwrap_or(Value::Null)).collect())
            .collect();
        written(&match self.options.unknowns.get("rm_compact_shape") {
            "columns_data_rows" => json!({"columns": columns, "data": cells, "rows": rows.len()}),
            "column_objects" => {
                let columns: Vec<Value> = columns.iter().map(|name| json!({"name": name})).collect();
                json!({"columns": columns, "data": cells})
            }
            _ => json!({"columns": columns, "data": cells}),
        })
    }
}

fn csv(rows: &[Row], columns: &[String], style: &str) -> String {
    let separator = if style == "semicolon" { ";" } else { "," };
    let mut text = if style == "byte_order_mark" { "\u{feff}".to_owned() } else { String::new() };
    let quoted = |value: &str| {
        if value.contains(['"', ',', ';', '\n', '\r']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.to_owned()
        }
    };
    let mut line = |cells: Vec<String>| text += &(cells.join(separator) + "\r\n");
    line(columns.iter().map(|column| quoted(column)).collect());
    for row in rows {
        let cell = |column: &String| match row.get(column) {
            Some(Value::String(text)) => quoted(text.trim_start_matches(NUMBER)),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        line(columns.iter().map(cell).collect());
    }
    text
}
