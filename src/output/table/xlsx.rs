//! Tables as a workbook, one sheet each.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::DataType;
use rust_xlsxwriter::{Format, Workbook, Worksheet};

use crate::output::table::other;
use crate::output::table::render::decimal_text;
use crate::output::table::store::{ParquetFile, create_new};

/// The most rows of a sheet, without its header (Excel specifications and limits).
pub(super) const MAX_ROWS: u64 = 1_048_575;
/// The most characters of a cell.
const MAX_TEXT: usize = 32_767;
/// The most characters of a sheet's name.
const MAX_NAME: usize = 31;
/// Widths of columns, in characters.
const MIN_WIDTH: usize = 9;
const MAX_WIDTH: usize = 40;
const DAY_WIDTH: usize = 11;
const INSTANT_WIDTH: usize = 20;
const NUMBER_WIDTH: usize = 14;
/// The day number of 1970-01-01 in a sheet.
const EPOCH: f64 = 25_569.0;
const MICROS_PER_DAY: f64 = 86_400_000_000.0;

struct Formats {
    header: Format,
    /// Excel shows the separators of its own language.
    integer: Format,
    money: Format,
    day: Format,
    instant: Format,
}

/// Writes a workbook with the rows of these tables.
///
/// # Errors
/// If a file cannot be read or written. Each table has at most [`MAX_ROWS`].
pub(super) fn write(path: &Path, scratch: &Path, tables: &[(String, Vec<PathBuf>)]) -> io::Result<()> {
    let formats = Formats {
        header: Format::new().set_bold(),
        integer: Format::new().set_num_format("#,##0"),
        money: Format::new().set_num_format("#,##0.00"),
        day: Format::new().set_num_format("yyyy-mm-dd"),
        instant: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
    };
    let mut workbook = Workbook::new();
    workbook.set_tempdir(scratch).map_err(other)?;
    let mut names = HashSet::new();
    for (table, files) in tables {
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(other)?;
        sheet.set_name(sheet_name(table, &mut names)).map_err(other)?;
        sheet.set_freeze_panes(1, 0).map_err(other)?;
        write_table(sheet, files, &formats)?;
    }
    workbook.save_to_writer(create_new(path)?).map_err(other)
}

fn write_table(sheet: &mut Worksheet, files: &[PathBuf], formats: &Formats) -> io::Result<()> {
    let mut columns: Vec<String> = Vec::new();
    for file in files {
        for field in ParquetFile::open(file)?.schema().fields() {
            if !columns.contains(field.name()) {
                columns.push(field.name().clone());
            }
        }
    }
    // The rows of a constant memory sheet follow its widths, so those are of the newest rows.
    let newest = match files.last() {
        Some(file) => ParquetFile::open(file)?.batches()?.next().transpose()?,
        None => None,
    };
    for (column, name) in (0_u16..).zip(&columns) {
        let values = newest.as_ref().and_then(|batch| batch.column_by_name(name)).map_or(0, width);
        let width = u16::try_from(values.max(name.len() + 1).clamp(MIN_WIDTH, MAX_WIDTH)).unwrap_or_default();
        sheet.set_column_width(column, f64::from(width)).map_err(other)?;
        sheet.write_string_with_format(0, column, name, &formats.header).map_err(other)?;
    }
    let mut row = 0_u32;
    let last_column = u16::try_from(columns.len()).unwrap_or_default().checked_sub(1);
    for file in files {
        for batch in ParquetFile::open(file)?.batches()? {
            let batch = batch?;
            for index in 0..batch.num_rows() {
                row += 1;
                for (column, name) in (0_u16..).zip(&columns) {
                    if let Some(array) = batch.column_by_name(name) {
                        write_cell(sheet, row, column, array, index, formats)?;
                    }
                }
            }
        }
    }
    if let Some(last_column) = last_column {
        sheet.autofilter(0, 0, row, last_column).map_err(other)?;
    }
    Ok(())
}

/// The characters that the values need.
fn width(values: &ArrayRef) -> usize {
    match values.data_type() {
        DataType::Date32 => DAY_WIDTH,
        DataType::Timestamp(..) => INSTANT_WIDTH,
        DataType::Utf8 => {
            let lengths = values.as_string::<i32>().iter().flatten().map(|text| text.chars().count());
            lengths.max().unwrap_or(0) + 1
        }
        DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => NUMBER_WIDTH,
        _ => 0,
    }
}

fn write_cell(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    array: &ArrayRef,
    index: usize,
    formats: &Formats,
) -> io::Result<()> {
    if array.is_null(index) {
        return Ok(());
    }
    let written = match array.data_type() {
        DataType::Boolean => sheet.write_boolean(row, column, array.as_boolean().value(index)),
        DataType::Int64 => {
            #[expect(clippy::cast_precision_loss, reason = "Excel has doubles")]
            let value = array.as_primitive::<Int64Type>().value(index) as f64;
            number(sheet, row, column, value, Some(&formats.integer))
        }
        DataType::Float64 => number(sheet, row, column, array.as_primitive::<Float64Type>().value(index), None),
        DataType::Decimal128(..) => {
            let value = decimal_text(array.as_primitive::<Decimal128Type>().value(index));
            number(sheet, row, column, value.parse().unwrap_or_default(), Some(&formats.money))
        }
        DataType::Date32 => {
            let days = f64::from(array.as_primitive::<Date32Type>().value(index));
            number(sheet, row, column, days + EPOCH, Some(&formats.day))
        }
        DataType::Timestamp(..) => {
            #[expect(clippy::cast_precision_loss, reason = "Excel has doubles")]
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(index) as f64;
            number(sheet, row, column, micros / MICROS_PER_DAY + EPOCH, Some(&formats.instant))
        }
        _ => {
            let text = array.as_string::<i32>().value(index);
            let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(end, _)| end);
            sheet.write_string(row, column, &text[..end])
        }
    };
    written.map(drop).map_err(other)
}

fn number<'a>(
    sheet: &'a mut Worksheet,
    row: u32,
    column: u16,
    value: f64,
    format: Option<&Format>,
) -> Result<&'a mut Worksheet, rust_xlsxwriter::XlsxError> {
    match format {
        Some(format) => sheet.write_number_with_format(row, column, value, format),
        None => sheet.write_number(row, column, value),
    }
}

/// The table's name, cut to the length of a sheet's and numbered if it is taken.
fn sheet_name(table: &str, names: &mut HashSet<String>) -> String {
    let cut = |length: usize| table.chars().take(length).collect::<String>();
    let mut name = cut(MAX_NAME);
    let mut number = 2;
    while !names.insert(name.to_lowercase()) {
        let suffix = format!("~{number}");
        name = cut(MAX_NAME - suffix.len()) + &suffix;
        number += 1;
    }
    name
}
