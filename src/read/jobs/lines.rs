//! A file with a JSON object per line, in pieces of any size.
//!
//! Criteo announces the number of rows, so that a file that was cut is requested again. Rows that were written are skipped
//! then, if those of the new file are the same. Otherwise all rows are written again.

use std::hash::{DefaultHasher, Hasher as _};

use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::read::jobs::Status;
use crate::rows::envelope::MAX_ROW_LEN;

/// What is known of a file while it is read.
#[derive(Default)]
pub(super) struct Lines {
    /// Rows of this attempt.
    pub row: u64,
    /// Rows of all attempts that were written.
    pub written: u64,
    /// Rows to write, as a JSON list without its end.
    portion: String,
    size: u64,
    checksum: md5::Context,
    /// The rows of this attempt, and those that were written.
    hash: DefaultHasher,
    hash_of_written: u64,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// The checksum of the last file that differed from the announced one.
    differing: Option<md5::Digest>,
}

impl Lines {
    /// Starts the file again.
    pub(super) fn rewind(&mut self) {
        (self.row, self.size) = (0, 0);
        (self.checksum, self.hash) = (md5::Context::new(), DefaultHasher::new());
        self.line.clear();
        self.portion.clear();
    }

    /// The length of the rows to write, in bytes.
    pub(super) fn waiting(&self) -> usize {
        self.portion.len()
    }

    /// The rows to write, which count as written from now on.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.portion.is_empty() {
            return None;
        }
        (self.written, self.hash_of_written) = (self.row, self.hash.finish());
        Some(std::mem::take(&mut self.portion) + "]")
    }

    /// Takes bytes up to the end of a line, and returns how many.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let end = memchr::memchr(b'\n', bytes);
        let used = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(&bytes[..end.unwrap_or(used)]);
        if self.line.len() > MAX_ROW_LEN {
            return Err(Error::system(format!(
                "Criteo sent a product larger than {} MiB in a catalog. It was not written.",
                MAX_ROW_LEN / 1024 / 1024
            )));
        }
        self.checksum.consume(&bytes[..used]);
        self.size += used as u64;
        if end.is_some() {
            self.take_line()?;
        }
        Ok(used)
    }

    fn take_line(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line).unwrap_or("?").trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let is_object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
            if !is_object {
                return Err(Error::transient(format!(
                    "Line {} of a catalog is not a JSON object: the file is corrupt or truncated.",
                    self.row + 1
                )));
            }
            self.row += 1;
            self.hash.write(text.as_bytes());
            if self.row > self.written {
                self.portion.push(if self.portion.is_empty() { '[' } else { ',' });
                self.portion.push_str(text);
            }
            // guard: changed-file
            if self.row == self.written && self.hash.finish() != self.hash_of_written {
                self.written = 0;
                return Err(Error::transient(
                    "The file of a catalog has changed since some of its rows were written. All rows are written again.",
                ));
            }
        }
        // The buffer is used again.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    /// Takes the last line, which may lack its end.
    pub(super) fn end(&mut self) -> Result<()> {
        self.take_line()
    }

    /// Compares the file with what Criteo announced. Returns a warning if size or checksum differ although the file seems
    /// complete: they may be those of the compressed file.
    ///
    /// # Errors
    /// If rows are missing, or may be.
    pub(super) fn compare(&mut self, announced: &Status) -> Result<Option<String>> {
        // guard: row-count
        if let Some(rows) = announced.rows.filter(|rows| *rows != self.row) {
            return Err(Error::transient(format!(
                "The file of a catalog has {} products, but Criteo announced {rows}.",
                self.row
            )));
        }
        if self.row < self.written {
            let written = std::mem::take(&mut self.written);
            return Err(Error::transient(format!(
                "The file of a catalog has {} products, but {written} were written before. All rows are written again.",
                self.row
            )));
        }
        let digest = self.checksum.clone().finalize();
        let is_other_size = announced.size.is_some_and(|size| size != self.size);
        let is_other_sum =
            announced.checksum.as_ref().is_some_and(|sum| !sum.eq_ignore_ascii_case(&format!("{digest:x}")));
        let what = match (is_other_size, is_other_sum) {
            (true, true) => "size and checksum",
            (true, false) => "size",
            (false, true) => "checksum",
            (false, false) => return Ok(None),
        };
        // Compression would make it smaller.
        let is_cut = announced.size.is_some_and(|size| size > self.size);
        if announced.rows.is_none() && is_cut
            || announced.rows.is_none() && self.differing.replace(digest) != Some(digest)
        {
            return Err(Error::transient(format!(
                "The {what} of a catalog's file differ from those that Criteo announced, and it announced no number of \
                 products."
            )));
        }
        let proof =
            if announced.rows.is_some() { "The number of products agrees" } else { "A second file was the same" };
        Ok(Some(format!(
            "The {what} of a catalog's file differ from those that Criteo announced, which may be of the compressed file. \
             {proof}."
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::error::Kind;
    use crate::read::jobs::lines::*;

    fn feed(lines: &mut Lines, file: &str, size: usize) -> Result<()> {
        for mut piece in file.as_bytes().chunks(size) {
            while !piece.is_empty() {
                let used = lines.feed(piece)?;
                piece = &piece[used..];
            }
        }
        lines.end()
    }

    fn announced(rows: Option<u64>) -> Status {
        Status { rows, ..Status::default() }
    }

    /// The rows of a file, however its bytes arrive.
    fn rows_of(file: &str, rows: Option<u64>, size: usize) -> Result<Vec<Value>> {
        let mut lines = Lines::default();
        feed(&mut lines, file, size)?;
        lines.compare(&announced(rows))?;
        Ok(serde_json::from_str(&lines.take().unwrap_or("[]".to_owned())).unwrap())
    }

    #[test]
    fn lines_are_rows_in_pieces_of_any_size() {
        let file = "\u{feff}{\"id\":\"é\"}\r\n\n{\"id\":\"2\\n\"}\n{\"id\":3}";
        for size in 1..=file.len() {
            let rows = rows_of(file, Some(3), size).unwrap();
            assert_eq!(rows, [json!({"id": "é"}), json!({"id": "2\n"}), json!({"id": 3})], "pieces of {size} bytes");
        }
        assert_eq!(rows_of("", None, 1).unwrap(), [json!(null); 0]);
    }

    #[test]
    fn a_file_that_is_cut_is_an_error_that_is_tried_again() {
        let file = "{\"id\":\"1\"}\n{\"id\":\"2\"}\n";
        for end in 0..file.len() - 1 {
            // A cut at the end of a row shows in the number of rows only.
            let error = rows_of(&file[..end], Some(2), 7).unwrap_err();
            assert_eq!(error.kind, Kind::Transient, "{end}: {error}");
        }
        assert_eq!(rows_of("[]\n", None, 3).unwrap_err().kind, Kind::Transient);
        assert_eq!(rows_of("{\"a\":\"\u{0}\"}\n", None, 3).unwrap_err().kind, Kind::Transient);
    }

    #[test]
    fn written_rows_are_skipped_if_they_are_the_same() {
        let mut lines = Lines::default();
        assert!(feed(&mut lines, "{\"id\":1}\n{\"id\":2}\n{\"id\":", 5).is_err());
        assert_eq!(lines.take().unwrap(), "[{\"id\":1},{\"id\":2}]");
        lines.rewind();
        feed(&mut lines, "{\"id\":1}\n{\"id\":2}\n{\"id\":3}", 9).unwrap();
        assert_eq!(lines.take().unwrap(), "[{\"id\":3}]");
        assert!(lines.compare(&announced(Some(3))).unwrap().is_none());
        // A line end is no difference.
        lines.rewind();
        feed(&mut lines, "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n", 9).unwrap();
        assert!(lines.take().is_none());
        lines.rewind();
        let changed = "{\"id\":1}\n{\"id\":4}\n{\"id\":3}\n";
        assert!(feed(&mut lines, changed, 9).is_err());
        lines.rewind();
        feed(&mut lines, changed, 9).unwrap();
        assert_eq!(lines.take().unwrap(), "[{\"id\":1},{\"id\":4},{\"id\":3}]");
        lines.rewind();
        feed(&mut lines, "{\"id\":1}\n", 9).unwrap();
        assert!(lines.compare(&announced(None)).is_err(), "fewer rows than were written");
    }

    #[test]
    fn size_and_checksum_are_compared() {
        let differing = Status { size: Some(7), checksum: Some("AB".to_owned()), ..announced(Some(1)) };
        let mut lines = Lines::default();
        feed(&mut lines, "{\"id\":1}\n", 9).unwrap();
        assert!(lines.compare(&differing).unwrap().unwrap().contains("size and checksum"));
        let sum = format!("{:X}", md5::compute("{\"id\":1}\n"));
        let equal = Status { size: Some(9), checksum: Some(sum), ..announced(Some(1)) };
        assert!(lines.compare(&equal).unwrap().is_none());
        // Without a number of rows, only the same file twice is believed.
        let unproved = Status { rows: None, ..differing };
        assert!(lines.compare(&unproved).is_err());
        assert!(lines.compare(&unproved).unwrap().unwrap().contains("A second file was the same"));
    }
}
