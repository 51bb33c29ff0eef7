//! What people get besides the data: views for `DuckDB`, and the next steps.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use arrow_schema::{DataType, Schema};

use crate::output::table::finish::WORKBOOK;
use crate::output::table::folder::{FileFormat, Folder, Tables};
use crate::output::table::store::ParquetFile;
use crate::output::table::{DECIMAL, in_file};
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

    /// The files for people, as a list in SQL. Not a pattern: the folder's name may have letters that mean something in
    /// one.
    fn listed(&self, root: &Path, files: &[PathBuf]) -> String {
        let quoted = files.iter().map(|file| {
            let shown = self.store.rendered(file).unwrap_or_else(|| file.clone());
            sql_text(&root.join(shown.strip_prefix(&self.root).unwrap_or(&shown)).display().to_string())
        });
        format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
    }

    /// What to do with the files, as lines of text.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let root = self.root.display().to_string();
        let tables = self.tables().unwrap_or_default();
        let Some((name, files)) =
            tables.iter().max_by_key(|(name, files)| (name == "campaign_statistics_daily", files.len()))
        else {
            return vec![format!("{root} has no files yet: no rows were read.")];
        };
        let is_single = files.iter().any(|file| file.parent() == Some(&self.store.folder));
        let extension = self.format.extension();
        let pattern = if is_single { format!("{name}.{extension}") } else { format!("{name}/*.{extension}") };
        let path = format!("{root}/{pattern}");
        let mut lines = vec![format!("{} in {root}, as {extension}.", counted(tables.len() as u64, "table"))];
        let views = || {
            let script = shell_word(&format!("{root}/{VIEWS}"));
            format!("DuckDB: duckdb -init {script} -c 'FROM {name} LIMIT 10'")
        };
        match self.format {
            FileFormat::Parquet => {
                lines.push(views());
                lines.push(format!("Python: import polars; polars.read_parquet({})", python_text(&path)));
            }
            FileFormat::Csv => {
                lines.push(views());
                lines.push("Excel: export to another folder with --format xlsx, which keeps ids as text.".to_owned());
            }
            FileFormat::Xlsx => lines.push(format!("Excel: open {root}/{WORKBOOK}.")),
            FileFormat::Arrow => {
                lines.push(format!("Python: import polars; polars.read_ipc({})", python_text(&path)));
            }
            FileFormat::Jsonl => {
                let query = format!("FROM {} LIMIT 10", sql_text(&path));
                lines.push(format!("DuckDB: duckdb -c {}", shell_word(&query)));
            }
        }
        lines
    }
}

/// The columns with their types, as members of a struct in SQL.
fn sql_columns(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| {
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
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// A string in SQL.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A string in Python.
fn python_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A word of a command line: quoted if a shell would change it.
fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
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
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
