//! Tables for terminals, documents and other programs.

use std::borrow::Cow;

use clap::ValueEnum;
use serde_json::{Map, Value};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

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

/// Maximum cell width in terminal columns, unless the terminal has room for all.
const WIDEST_CELL: usize = 32;

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

    /// Renders the table. `width` is the terminal's, if there is one: an aligned table then drops columns that do not
    /// fit and names them below, and no format contains terminal control characters.
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

    fn aligned(&self, width: Option<usize>) -> String {
        let cells: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let names: Vec<String> = self.names.iter().map(|name| shown(name)).collect();
        let natural: Vec<usize> = names
            .iter()
            .enumerate()
            .map(|(column, name)| {
                cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).fold(name.width(), usize::max)
            })
            .collect();
        // Long cells are truncated before whole columns are dropped.
        let has_room = width.is_none_or(|width| natural.iter().map(|width| width + 2).sum::<usize>() <= width + 2);
        let widths: Vec<usize> =
            natural.iter().map(|&width| if has_room { width } else { width.min(WIDEST_CELL) }).collect();
        let mut used = 0;
        let shown = widths.iter().take_while(|&&cell| {
            used += cell + 2;
            width.is_none_or(|width| used <= width + 2)
        });
        let shown = shown.count().max(1);
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).take(shown).enumerate().map(|(column, (cell, &width))| {
                let cell = cut(cell, width);
                let space = " ".repeat(width.saturating_sub(cell.width()));
                if self.is_right(column) { space + &cell } else { cell + &space }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut lines = vec![line(&names), line(&rule)];
        lines.extend(cells.iter().map(|cells| line(cells)));
        if shown < names.len() {
            let rest = &names[shown..];
            let (some, more) = rest.split_at(rest.len().min(4));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            lines.push(format!("… and the columns {}{more}", some.join(", ")));
        }
        lines.join("\n")
    }
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
    let escaped =
        |letter: char| if is_obeyed(letter) { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() };
    value.to_string().chars().map(escaped).collect()
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

/// Truncates a string to `width` terminal columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let start = text.chars().take_while(|letter| {
        used += letter.width().unwrap_or(0);
        used < width
    });
    start.chain(['…']).collect()
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
        assert!(narrow.lines().all(|line| line.starts_with('…') || line.width() <= 24), "{narrow}");
        assert!(narrow.ends_with("… and the columns cost"), "{narrow}");
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
