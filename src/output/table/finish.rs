//! What an export writes after its tables: missing files in other formats, the workbook, and the views for `DuckDB`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow_ipc::writer::FileWriter;

use crate::output::table::folder::{FileFormat, Folder, Tables};
use crate::output::table::render::{write_csv, write_csv_header, write_json_lines};
use crate::output::table::store::ParquetFile;
use crate::output::table::{in_file, other, xlsx};
use crate::support::files;
use crate::support::text::grouped;

/// The file with the sheets of all tables.
pub(super) const WORKBOOK: &str = "criteo.xlsx";

impl Folder {
    /// Writes what covers all tables: missing files, the workbook, and the views for `DuckDB`. What it cannot read or
    /// write concerns only its own table; returns why.
    pub(crate) fn finish(&mut self) -> Vec<io::Error> {
        let all = match self.tables() {
            Ok(tables) => tables,
            Err(error) => return vec![error],
        };
        let (tables, mut problems) = self.readable(&all);
        match self.format {
            FileFormat::Xlsx => {
                let (tables, too_large) = sheets(tables, &all);
                problems.extend(too_large);
                match self.write_workbook(&tables) {
                    Ok(()) if self.lacks_workbook => self.restored.push(WORKBOOK.to_owned()),
                    Ok(()) => {}
                    Err(error) => problems.push(error),
                }
            }
            // Its views need not read the files.
            FileFormat::Parquet => problems.extend(self.write_views(&all).err()),
            FileFormat::Csv | FileFormat::Arrow | FileFormat::Jsonl => {
                problems.extend(self.render_missing(&tables));
                if self.format != FileFormat::Arrow {
                    problems.extend(self.write_views(&tables).err());
                }
            }
        }
        problems
    }

    /// Writes the files of tables that are missing in the other format.
    fn render_missing(&mut self, tables: &Tables) -> Vec<io::Error> {
        let mut problems = Vec::new();
        for path in tables.iter().flat_map(|(_, files)| files) {
            let Some(rendered) = self.store.rendered(path).filter(|rendered| !rendered.exists()) else { continue };
            match self.render(path) {
                Ok(()) => {
                    let name = rendered.strip_prefix(&self.root).unwrap_or(&rendered);
                    self.restored.push(name.display().to_string());
                }
                Err(error) => {
                    let is_of_file = error.kind() == io::ErrorKind::InvalidData;
                    problems.push(error);
                    if !is_of_file {
                        // Such as a full disk: the others would fail, too.
                        break;
                    }
                }
            }
        }
        problems
    }

    /// The tables whose files can be read, and why others cannot, unless that was reported before.
    fn readable(&self, tables: &Tables) -> (Tables, Vec<io::Error>) {
        let (mut readable, mut problems) = (Tables::new(), Vec::new());
        for (name, files) in tables {
            let mut errors: Vec<_> = files.iter().filter_map(|file| ParquetFile::open(file).err()).collect();
            if errors.is_empty() {
                readable.push((name.clone(), files.clone()));
            } else if !self.unmerged.contains(name) {
                problems.append(&mut errors);
            }
        }
        (readable, problems)
    }

    fn write_workbook(&self, tables: &Tables) -> io::Result<()> {
        let path = self.root.join(WORKBOOK);
        let new = self.store.scratch.join("new.xlsx");
        let placed = xlsx::write(&new, &self.store.scratch, tables)
            .and_then(|()| File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &path));
        placed.map_err(|error| {
            // Frees space on a full disk.
            let _ = fs::remove_file(&new);
            in_file(&path, error)
        })?;
        files::sync_folder_of(&path);
        Ok(())
    }

    /// Writes a Parquet file in the other format, or removes that file if the Parquet file is gone.
    pub(super) fn render(&self, path: &Path) -> io::Result<()> {
        let Some(target) = self.store.rendered(path) else { return Ok(()) };
        if !path.exists() {
            return self.store.write_file(&target, |_| Ok(false)).map_err(|error| in_file(&target, error));
        }
        let parquet = ParquetFile::open(path)?;
        let schema = parquet.schema();
        let batches = parquet.batches()?;
        let written = self.store.write_file(&target, |file| {
            let mut file = BufWriter::new(file);
            match self.format {
                FileFormat::Csv => {
                    write_csv_header(&mut file, &schema)?;
                    for batch in batches {
                        write_csv(&mut file, &batch?)?;
                    }
                }
                FileFormat::Arrow => {
                    let mut writer = FileWriter::try_new(&mut file, &schema).map_err(other)?;
                    for batch in batches {
                        writer.write(&batch?).map_err(other)?;
                    }
                    writer.finish().map_err(other)?;
                }
                FileFormat::Jsonl | FileFormat::Parquet | FileFormat::Xlsx => {
                    for batch in batches {
                        write_json_lines(&mut file, &batch?)?;
                    }
                }
            }
            file.flush()?;
            Ok(true)
        });
        written.map_err(|error| in_file(&target, error))
    }
}

pub(super) fn count_rows(files: &[PathBuf]) -> io::Result<u64> {
    files.iter().map(|file| ParquetFile::open(file).map(|file| file.count_rows())).sum()
}

/// The tables that fit a sheet, and the error that names the others of `all`.
fn sheets(tables: Tables, all: &Tables) -> (Tables, Option<io::Error>) {
    let unreadable = all.iter().map(|(name, _)| name).filter(|name| tables.iter().all(|(other, _)| other != *name));
    let unreadable: Vec<_> = unreadable.map(|name| format!("{name} (damaged)")).collect();
    let (mut fitting, mut too_large) = (Tables::new(), Vec::new());
    for (name, files) in tables {
        match count_rows(&files) {
            Ok(rows) if rows > xlsx::MAX_ROWS => too_large.push(format!("{name} ({})", grouped(rows))),
            _ => fitting.push((name, files)),
        }
    }
    let advice = if too_large.is_empty() {
        String::new()
    } else {
        format!(
            ". A sheet of Excel holds {} rows. Export larger tables to another folder with --format csv or parquet, or \
             only later days to another folder with --since",
            grouped(xlsx::MAX_ROWS)
        )
    };
    too_large.extend(unreadable);
    let error = (!too_large.is_empty())
        .then(|| io::Error::other(format!("the workbook lacks {}{advice}", too_large.join(", "))));
    (fitting, error)
}
