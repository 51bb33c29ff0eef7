//! What people get besides the data: views for `DuckDB`, and the next steps.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use arrow_schema::{DataType, Field, Schema};

use crate::output::table::finish::WORKBOOK;
use crate::output::table::folder::{FileFormat, Folder, Tables};
use crate::output::table::store::ParquetFile;
use crate::output::table::{DECIMAL, JSON, in_file};
use crate::support::text::counted;

const VIEWS: &str = "views.sql";

impl Folder {
    /// Writes the views for `DuckDB`, if it needs any to read the files.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(super) fn write_views(&self, tables: &Tables) -> io::Result<()> {
        let path = self.root.join(VIEWS);
        let root = fs::canonicalize(&self.root).map_err(|error| in_file(&self.root, error))?;
        let mut text = "-- Views of the exported tables, for DuckDB: duckdb -init views.sql\n".to_owned();
        for (name, files) in tables {
            let select = match self.format {
                FileFormat::Csv => self.select_csv(&root, files)?,
                FileFormat::Jsonl => self.select_json(&root, files)?,
                _ => format!("FROM read_parquet({}, union_by_name = true)", self.listed(&root, files)),
            };
            text += &format!("CREATE OR REPLACE VIEW \"{name}\" AS {select};\n");
        }
        let written = self.store.write_file(&path, |mut file| file.write_all(text.as_bytes()).map(|()| true));
        written.map_err(|error| in_file(&path, error))
    }

    /// Reads CSV files with their types: ids stay strings. Files with other columns are read separately.
    fn select_csv(&self, root: &Path, files: &[PathBuf]) -> io::Result<String> {
        let mut kinds: Vec<(String, Vec<PathBuf>)> = Vec::new();
        for file in files {
            let columns = sql_columns(&ParquetFile::open(file)?.schema());
            match kinds.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, files)) => files.push(file.clone()),
                None => kinds.push((columns, vec![file.clone()])),
            }
        }
        let reads = kinds.iter().map(|(columns, files)| {
            format!(
                "FROM read_csv({}, auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', \
                 columns = {{{columns}}})",
                self.listed(root, files)
            )
        });
        Ok(reads.collect::<Vec<_>>().join(" UNION ALL BY NAME "))
    }

    /// Reads lines of JSON with the types of all their columns.
    fn select_json(&self, root: &Path, files: &[PathBuf]) -> io::Result<String> {
        let mut columns: Vec<String> = Vec::new();
        for file in files {
            for field in ParquetFile::open(file)?.schema().fields() {
                let is_json = field.metadata().contains_key(JSON);
                let column = if is_json { format!("{}: 'JSON'", sql_text(field.name())) } else { sql_column(field) };
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
        }
        Ok(format!(
            "FROM read_json({}, format = 'newline_delimited', columns = {{{}}})",
            self.listed(root, files),
            columns.join(", ")
        ))
    }

    /// The files for people, as a list in SQL.
    fn listed(&self, root: &Path, files: &[PathBuf]) -> String {
        let quoted = files.iter().map(|file| {
            let shown = self.store.rendered(file).unwrap_or_else(|| file.clone());
            let path = root.join(shown.strip_prefix(&self.root).unwrap_or(&shown)).display().to_string();
            // DuckDB takes each path for a pattern, and a backslash for a separator in patterns.
            sql_text(&if path.contains('\\') { path } else { literal(&path) })
        });
        format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
    }

    /// What to do with the files, as lines of text.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let root = self.root.display().to_string();
        let shown = printable(&root);
        let tables = self.tables().unwrap_or_default();
        let Some((name, files)) =
            tables.iter().max_by_key(|(name, files)| (name == "campaign_statistics_daily", files.len()))
        else {
            return vec![format!("{shown} has no files yet: no rows were read.")];
        };
        let is_single = files.iter().any(|file| file.parent() == Some(&self.store.folder));
        let extension = self.format.extension();
        let pattern = if is_single { format!("{name}.{extension}") } else { format!("{name}/*.{extension}") };
        let mut lines = vec![format!("{} in {shown}, as {extension}.", counted(tables.len() as u64, "table"))];
        let views = || {
            let script = shell_word(&format!("{}/{VIEWS}", plain_start(&root)));
            format!("DuckDB: duckdb -init {script} -c 'FROM {name} LIMIT 10'")
        };
        let polars = |function: &str| {
            let path = format!("{}/{pattern}", literal(&self.local_root()));
            format!("Python: import polars; polars.{function}({})", python_text(&path))
        };
        match self.format {
            FileFormat::Parquet => lines.extend([views(), polars("read_parquet")]),
            FileFormat::Csv => {
                lines.push(views());
                lines.push("Excel: export to another folder with --format xlsx, which keeps ids as text.".to_owned());
            }
            FileFormat::Xlsx => lines.push(format!("Excel: open {shown}/{WORKBOOK}.")),
            FileFormat::Arrow => lines.push(polars("read_ipc")),
            FileFormat::Jsonl => lines.push(views()),
        }
        lines
    }

    /// The folder's path so that polars does not take it for a home directory or a URL.
    fn local_root(&self) -> String {
        let root = self.root.display().to_string();
        match fs::canonicalize(&self.root) {
            Ok(absolute) if root.contains(':') => absolute.display().to_string(),
            _ => plain_start(&root),
        }
    }
}

/// The path with a start that is neither an option nor a home directory.
fn plain_start(path: &str) -> String {
    if path.starts_with(['-', '~']) { format!("./{path}") } else { path.to_owned() }
}

/// A pattern that matches only this path.
fn literal(path: &str) -> String {
    path.chars().map(|letter| if "*?[".contains(letter) { format!("[{letter}]") } else { letter.to_string() }).collect()
}

/// Text on one line.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() })
        .collect()
}

/// The columns with their types, as members of a struct in SQL.
fn sql_columns(schema: &Schema) -> String {
    schema.fields().iter().map(|field| sql_column(field)).collect::<Vec<_>>().join(", ")
}

fn sql_column(field: &Field) -> String {
    let (digits, scale) = DECIMAL;
    let kind = match field.data_type() {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(..) => format!("DECIMAL({digits},{scale})"),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        _ => "VARCHAR".to_owned(),
    };
    format!("{}: '{kind}'", sql_text(field.name()))
}

/// A string in SQL.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A string in Python.
fn python_text(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\\' | '\'' => format!("\\{letter}"),
        control if control.is_ascii_control() => format!("\\x{:02x}", u32::from(control)),
        other => other.to_string(),
    };
    format!("'{}'", text.chars().map(letter).collect::<String>())
}

/// A word of a command line: quoted if a shell would change it.
fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.contains(|letter: char| letter.is_ascii_control()) {
        let quoted = python_text(word);
        return format!("${quoted}");
    }
    if !word.contains('\'') {
        return format!("'{word}'");
    }
    if !word.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use crate::output::table::guide::shell_word;

    #[test]
    fn words_of_a_command_line_are_quoted() {
        for (word, quoted) in [
            ("criteo/views.sql", "criteo/views.sql"),
            ("my files", "'my files'"),
            ("Ana's", "\"Ana's\""),
            ("Ana's $1", r"'Ana'\''s $1'"),
            ("a\"b", "'a\"b'"),
            ("", "''"),
            ("a\nb's", r"$'a\x0ab\'s'"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
