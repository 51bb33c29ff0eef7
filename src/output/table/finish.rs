//! What an export writes after its tables: missing files in other formats, the workbook, and the views for `DuckDB`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;

use crate::output::table::folder::{FileFormat, Folder, Tables};
use crate::output::table::render::{write_csv, write_csv_header, write_json_lines};
use crate::output::table::store::ParquetFile;
use crate::output::table::{in_file, other, xlsx};
use crate::support::text::grouped;
use crate::support::{files, watchdog};

/// The file with the sheets of all tables.
pub(super) const WORKBOOK: &str = "criteo.xlsx";

impl Folder {
    /// Writes what covers all tables: missing files, the workbook, and the views for `DuckDB`.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let tables = self.tables()?;
        match self.format {
            FileFormat::Xlsx => {
                let path = self.root.join(WORKBOOK);
                let new = self.store.scratch.join("new.xlsx");
                let (tables, too_large) = sheets(tables)?;
                let placed = xlsx::write(&new, &self.store.scratch, &tables)
                    .and_then(|()| File::open(&new)?.sync_all())
                    .and_then(|()| fs::rename(&new, &path));
                placed.map_err(|error| {
                    // Frees space on a full disk.
                    let _ = fs::remove_file(&new);
                    in_file(&path, error)
                })?;
                files::sync_folder_of(&path);
                too_large.map_or(Ok(()), Err)
            }
            FileFormat::Parquet => self.write_views(&tables),
            FileFormat::Csv | FileFormat::Arrow | FileFormat::Jsonl => {
                for path in tables.iter().flat_map(|(_, files)| files) {
                    if self.store.rendered(path).is_some_and(|rendered| !rendered.exists()) {
                        self.render(path)?;
                    }
                }
                if self.format == FileFormat::Csv { self.write_views(&tables) } else { Ok(()) }
            }
        }
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
                        write_csv(&mut file, &next(batch)?)?;
                    }
                }
                FileFormat::Arrow => {
                    let mut writer = FileWriter::try_new(&mut file, &schema).map_err(other)?;
                    for batch in batches {
                        writer.write(&next(batch)?).map_err(other)?;
                    }
                    writer.finish().map_err(other)?;
                }
                FileFormat::Jsonl | FileFormat::Parquet | FileFormat::Xlsx => {
                    for batch in batches {
                        write_json_lines(&mut file, &next(batch)?)?;
                    }
                }
            }
            file.flush()?;
            Ok(true)
        });
        written.map_err(|error| in_file(&target, error))
    }
}

/// A batch that was read, which is progress.
fn next(batch: std::result::Result<RecordBatch, ArrowError>) -> io::Result<RecordBatch> {
    watchdog::moved();
    batch.map_err(other)
}

pub(super) fn count_rows(files: &[PathBuf]) -> io::Result<u64> {
    files.iter().map(|file| ParquetFile::open(file).map(|file| file.count_rows())).sum()
}

/// The tables that fit a sheet, and the error that names the others.
fn sheets(tables: Tables) -> io::Result<(Tables, Option<io::Error>)> {
    let (mut fitting, mut too_large) = (Tables::new(), Vec::new());
    for (name, files) in tables {
        let rows = count_rows(&files)?;
        if rows > xlsx::MAX_ROWS {
            too_large.push(format!("{name} ({})", grouped(rows)));
        } else {
            fitting.push((name, files));
        }
    }
    let error = (!too_large.is_empty()).then(|| {
        io::Error::other(format!(
            "the workbook lacks {}: a sheet of Excel holds {} rows. Export them to another folder with --format csv \
             or parquet, or only later days to another folder with --since",
            too_large.join(", "),
            grouped(xlsx::MAX_ROWS)
        ))
    });
    Ok((fitting, error))
}
