//! Tables for terminals, documents and other programs.

use std::borrow::Cow;

use clap::ValueEnum;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;

use crate::error::{Error, Result};
use crate::support::redact::{harmless, is_obeyed};

/// Output format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A Markdown table.
    Markdown,
}

/// Columns of names up to this width are not wrapped.
const WIDEST_NAME: usize = 32;
/// No column is narrower, unless its content is.
const NARROWEST: u16 = 6;

/// A line below the header, and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Rows of values under column names.
#[derive(Debug, Default)]
pub struct Table {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row with one value per column.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Renders the table. `width` is the terminal's, if there is one: an aligned table then wraps its cells, and no
    /// format contains terminal control characters.
    ///
    /// # Errors
    /// If a value cannot be written as CSV, which does not happen for valid strings.
    pub fn render(&self, format: Format, width: Option<usize>) -> Result<String> {
        Ok(match format {
            Format::Table => self.aligned(width),
            Format::Json => {
                self.objects().map(|object| shown_json(&Value::Object(object))).collect::<Vec<_>>().join("\n")
            }
            Format::Csv => {
                let broken = |error: String| Error::system(format!("Cannot write the table as CSV: {error}."));
                let mut writer = csv::Writer::from_writer(Vec::new());
                let value = if width.is_some() { cell } else { text };
                let names =
                    self.names.iter().map(|name| defused(&value(&Value::from(name.as_str()))).into_owned()).collect();
                let rows = self.rows.iter().map(|row| row.iter().map(|of| defused(&value(of)).into_owned()).collect());
                for row in std::iter::once::<Vec<String>>(names).chain(rows) {
                    writer.write_record(row).map_err(|error| broken(error.to_string()))?;
                }
                let bytes = writer.into_inner().map_err(|error| broken(error.to_string()))?;
                String::from_utf8_lossy(&bytes).trim_end().to_owned()
            }
            Format::Markdown => {
                let line = |cells: Vec<String>| {
                    format!("| {} |", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
                };
                let rules = (0..self.names.len()).map(|column| if self.is_right(column) { "---:" } else { "---" });
                let head = [
                    line(self.names.iter().map(|name| shown(name)).collect()),
                    line(rules.map(str::to_owned).collect()),
                ];
                let rows = self.rows.iter().map(|row| line(row.iter().map(cell).collect()));
                head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
            }
        })
    }

    fn objects(&self) -> impl Iterator<Item = Map<String, Value>> {
        self.rows.iter().map(|row| self.names.iter().cloned().zip(row.iter().cloned()).collect())
    }

    /// Whether a column has only numbers, which are right-aligned.
    fn is_right(&self, column: usize) -> bool {
        let values = || self.rows.iter().filter_map(|row| row.get(column)).filter(|value| !value.is_null());
        values().next().is_some() && values().all(Value::is_number)
    }

    /// The table with aligned columns; cells are wrapped to the width.
    #[must_use]
    pub fn aligned(&self, width: Option<usize>) -> String {
        self.aligned_with_right(&[], width)
    }

    /// The same, with these columns aligned to the right, as columns of numbers are.
    #[must_use]
    pub fn aligned_with_right(&self, right: &[usize], width: Option<usize>) -> String {
        let mut table = bare();
        table.set_header(self.names.iter().map(|name| shown(name)));
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        if let Some(width) = width {
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        let natural = table.column_max_content_widths();
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index + 1 == self.names.len() { 0 } else { 2 }));
            let is_right = self.is_right(index) || right.contains(&index);
            if is_right {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let wide = natural.get(index).copied().unwrap_or_default();
            if is_right || (index == 0 && usize::from(wide) <= WIDEST_NAME) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(wide.min(NARROWEST))));
            }
        }
        table.trim_fmt()
    }

    /// The columns, by index, that fit in a terminal of this width without wrapping: the first ones and the last ones.
    #[must_use]
    pub fn fitting(&self, width: usize) -> (usize, usize) {
        let natural: Vec<usize> = (0..self.names.len()).map(|column| self.natural_width(column) + 2).collect();
        let count = natural.len();
        if natural.iter().sum::<usize>() <= width + 2 {
            return (count, 0);
        }
        // The mark between them takes three columns.
        let (mut first, mut last, mut used) = (0, 0, 3);
        while first + last < count {
            // Three columns from the start for each one from the end.
            let takes_first = first < 3 * (last + 1);
            let next = if takes_first { natural[first] } else { natural[count - 1 - last] };
            if used + next > width + 2 && first > 0 {
                break;
            }
            used += next;
            if takes_first { first += 1 } else { last += 1 }
        }
        (first, last)
    }

    fn natural_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|value| cell(value).width());
        cells.fold(self.names.get(column).map_or(0, |name| shown(name).width()), usize::max)
    }

    /// The same table with `…` instead of the columns between the first and the last ones, and the names of those.
    #[must_use]
    pub fn elided(&self, first: usize, last: usize) -> (Self, Vec<String>) {
        let count = self.names.len();
        if first + last >= count {
            return (Self { names: self.names.clone(), rows: self.rows.clone() }, Vec::new());
        }
        let end = count - last;
        let names = [&self.names[..first], &["…".to_owned()], &self.names[end..]].concat();
        let row = |row: &Vec<Value>| [&row[..first], &[Value::from("…")], &row[end..]].concat();
        (Self { names, rows: self.rows.iter().map(row).collect() }, self.names[first..end].to_vec())
    }
}

/// A table with a line below its header and two spaces between columns.
fn bare() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(STYLE);
    table
}

/// A value on one line, without terminal control characters.
fn cell(value: &Value) -> String {
    shown(&text(value))
}

fn shown(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// A value as JSON with terminal control characters escaped, which does not change it.
fn shown_json(value: &Value) -> String {
    escaped(&value.to_string())
}

/// The same on several lines.
#[must_use]
pub fn pretty_json(value: &Value) -> String {
    // The only line breaks of JSON are those between values.
    format!("{value:#}").lines().map(escaped).collect::<Vec<_>>().join("\n")
}

fn escaped(json: &str) -> String {
    let escaped =
        |letter: char| if is_obeyed(letter) { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() };
    json.chars().map(escaped).collect()
}

/// Prefixes an apostrophe to strings that spreadsheets would run as a formula (OWASP, CSV injection). Numbers never are.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    let first = text.trim_start_matches(' ').chars().next();
    let may_be_formula = first.is_some_and(|first| "=+-@\t\r\n＝＋－＠".contains(first));
    let is_number = || text.parse::<f64>().is_ok_and(f64::is_finite);
    if may_be_formula && !is_number() { format!("'{text}").into() } else { text.into() }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::support::table::*;
    use serde_json::json;

    fn table() -> Table {
        let mut table = Table::new(["name", "clicks", "cost"]);
        table.push(vec![json!("Frühling \u{1b}[31m|"), json!(5), json!(1.5)]);
        table.push(vec![json!("東京"), json!(12_345), Value::Null]);
        table
    }

    #[test]
    fn tables_are_aligned_by_display_width() {
        let text = table().render(Format::Table, None).unwrap();
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
        let narrow = table().render(Format::Table, Some(24)).unwrap();
        assert_eq!(narrow, text, "names and numbers are kept whole");
    }

    #[test]
    fn columns_that_do_not_fit_are_elided_in_the_middle() {
        let mut table = Table::new(["one", "two", "three", "four", "five"]);
        table.push(vec![json!("11111"), json!("22222"), json!("33333"), json!("44444"), json!("55555")]);
        assert_eq!(
            (table.fitting(80), table.fitting(33), table.fitting(32), table.fitting(1)),
            ((5, 0), (5, 0), (3, 1), (1, 0))
        );
        let (shown, left_out) = table.elided(3, 1);
        assert_eq!(left_out, ["four"]);
        assert_eq!(shown.aligned(Some(40)).lines().last(), Some("11111  22222  33333  …  55555"));
    }

    #[test]
    fn other_formats_keep_every_value() {
        assert_eq!(
            table().render(Format::Csv, None).unwrap(),
            "name,clicks,cost\nFrühling \u{1b}[31m|,5,1.5\n東京,12345,"
        );
        let mut formulas = Table::new(["@name", "x"]);
        for value in [
            json!("=1+1"),
            json!("-5"),
            json!(-5),
            json!("+1.5e3"),
            json!("@SUM(A1)"),
            json!(" =1"),
            json!("-a"),
            json!("\t=1"),
        ] {
            formulas.push(vec![value, json!("a-b")]);
        }
        assert_eq!(
            formulas.render(Format::Csv, None).unwrap(),
            "'@name,x\n'=1+1,a-b\n-5,a-b\n-5,a-b\n+1.5e3,a-b\n'@SUM(A1),a-b\n' =1,a-b\n'-a,a-b\n'\t=1,a-b"
        );
        let lines = table().render(Format::Json, None).unwrap();
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last, json!({"name": "東京", "clicks": 12345, "cost": null}));
        let markdown = table().render(Format::Markdown, Some(10)).unwrap();
        assert_eq!(markdown.lines().nth(1), Some("| --- | ---: | ---: |"));
        assert!(markdown.contains("\\|"));
    }

    #[test]
    fn no_format_emits_terminal_control_characters() {
        let hostile = "a\u{1b}[2Jb\nc\rd\u{9b}2Je\u{202e}f\u{2028}";
        let mut table = Table::new(["name", hostile]);
        table.push(vec![json!(hostile), json!({ "a": hostile })]);
        for format in [Format::Table, Format::Json, Format::Csv, Format::Markdown] {
            let text = table.render(format, Some(200)).unwrap();
            let obeyed = text.chars().find(|letter| *letter != '\n' && is_obeyed(*letter));
            assert_eq!((obeyed, text.lines().count() <= 3), (None, true), "{format:?}: {text:?}");
        }
        let line: Value = serde_json::from_str(&table.render(Format::Json, Some(200)).unwrap()).unwrap();
        assert_eq!(line["name"], hostile);
    }
}
