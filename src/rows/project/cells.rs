//! Where the cells of a row go: a JSON object, or one value per column.
//!
//! A cell is the JSON text of one value. The values of a row lie one after another in a buffer, so that keys can be
//! compared by their bytes.

use std::borrow::Cow;
use std::ops::Range;

/// Receives the cells of rows.
pub trait Cells {
    /// Starts a row.
    fn begin_row(&mut self);

    /// Starts a cell with this label (`"name":`), and returns the buffer to which its value is appended.
    fn begin_cell(&mut self, label: &[u8]) -> &mut Vec<u8>;

    /// Ends the cell of a column; `value` is where its value lies in the buffer.
    fn end_cell(&mut self, column: usize, value: Range<usize>);

    /// Ends the row.
    fn end_row(&mut self);

    /// The buffer with the values.
    fn buffer(&self) -> &[u8];
}

/// Rows as JSON objects, appended to a buffer.
#[derive(Debug)]
pub struct JsonObject<'a>(pub &'a mut Vec<u8>);

impl Cells for JsonObject<'_> {
    fn begin_row(&mut self) {
        self.0.push(b'{');
    }

    fn begin_cell(&mut self, label: &[u8]) -> &mut Vec<u8> {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.extend_from_slice(label);
        self.0
    }

    fn end_cell(&mut self, _: usize, _: Range<usize>) {}

    fn end_row(&mut self) {
        self.0.push(b'}');
    }

    fn buffer(&self) -> &[u8] {
        self.0
    }
}

/// The cells of one row by column.
#[derive(Debug, Default)]
pub struct RowCells {
    buffer: Vec<u8>,
    cells: Vec<Range<usize>>,
}

impl RowCells {
    /// Bytes of all values of the current row.
    #[must_use]
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// The values of the current row, one after another. They come from strings, so this copies nothing.
    #[must_use]
    pub fn row(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.buffer)
    }

    /// The value of one column of the current row, if it has it.
    #[must_use]
    pub fn cell(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.buffer.get(self.cells.get(column)?.clone())?).ok()
    }

    /// The value of a column in [`Self::row`]; `None` if the row has none, or if it is `null`.
    #[must_use]
    pub fn get<'a>(&self, row: &'a str, column: usize) -> Option<&'a str> {
        let value = row.get(self.cells.get(column)?.clone())?;
        (!value.is_empty() && value != "null").then_some(value)
    }
}

impl Cells for RowCells {
    fn begin_row(&mut self) {
        self.buffer.clear();
        self.cells.fill(0..0);
    }

    fn begin_cell(&mut self, _: &[u8]) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn end_cell(&mut self, column: usize, value: Range<usize>) {
        if self.cells.len() <= column {
            self.cells.resize(column + 1, 0..0);
        }
        self.cells[column] = value;
    }

    fn end_row(&mut self) {}

    fn buffer(&self) -> &[u8] {
        &self.buffer
    }
}
