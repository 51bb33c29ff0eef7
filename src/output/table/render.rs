//! Batches as text: CSV and lines of JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use chrono::{DateTime, SecondsFormat};
use csv::{Terminator, WriterBuilder};
use serde_json::Value;

use crate::output::table::columns::day_of_number;
use crate::output::table::{DECIMAL, JSON, other};
use crate::support::table::defused;

/// Writes the header of a CSV file (RFC 4180).
///
/// # Errors
/// That of the writer.
pub(crate) fn write_csv_header(out: impl Write, schema: &Schema) -> io::Result<()> {
    let mut writer = csv_writer(out);
    writer.write_record(schema.fields().iter().map(|field| defused(field.name()).into_owned())).map_err(other)?;
    writer.flush()
}

/// Writes the rows of a batch as CSV. Strings that a spreadsheet would run as formulas get an apostrophe in front.
///
/// # Errors
/// That of the writer.
pub(crate) fn write_csv(out: impl Write, batch: &RecordBatch) -> io::Result<()> {
    let mut writer = csv_writer(out);
    for row in 0..batch.num_rows() {
        for column in batch.columns() {
            let text = text_of(column, row);
            let text = if column.data_type() == &DataType::Utf8 { defused(&text) } else { Cow::Borrowed(&*text) };
            writer.write_field(text.as_bytes()).map_err(other)?;
        }
        writer.write_record(None::<&[u8]>).map_err(other)?;
    }
    writer.flush()
}

fn csv_writer<W: Write>(out: W) -> csv::Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out)
}

/// Writes the rows of a batch as lines of JSON, without null values.
///
/// # Errors
/// That of the writer.
pub(super) fn write_json_lines(out: &mut impl Write, batch: &RecordBatch) -> io::Result<()> {
    let schema = batch.schema();
    for row in 0..batch.num_rows() {
        let mut separator = "{";
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if column.is_null(row) {
                continue;
            }
            write!(out, "{separator}{}:", Value::from(field.name().as_str()))?;
            separator = ",";
            let text = text_of(column, row);
            match column.data_type() {
                DataType::Utf8 if field.metadata().contains_key(JSON) => out.write_all(text.as_bytes())?,
                DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) => serde_json::to_writer(&mut *out, &text)?,
                _ => out.write_all(text.as_bytes())?,
            }
        }
        out.write_all(if separator == "{" { b"{}\n" } else { b"}\n" })?;
    }
    Ok(())
}

/// The text of a value; empty for null.
fn text_of(column: &ArrayRef, row: usize) -> Cow<'_, str> {
    if column.is_null(row) {
        return "".into();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).to_string().into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string().into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string().into(),
        DataType::Decimal128(..) => decimal_text(column.as_primitive::<Decimal128Type>().value(row)).into(),
        DataType::Date32 => {
            let day = day_of_number(column.as_primitive::<Date32Type>().value(row));
            day.map(|day| day.to_string()).unwrap_or_default().into()
        }
        DataType::Timestamp(_, zone) => {
            let instant = DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row));
            let text = instant.unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true);
            if zone.is_some() { text.into() } else { text.trim_end_matches('Z').to_owned().into() }
        }
        _ => "".into(),
    }
}

/// A decimal without trailing zeros.
pub(super) fn decimal_text(value: i128) -> String {
    let scale = usize::from(DECIMAL.1.unsigned_abs());
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let (sign, fraction) = (if value < 0 { "-" } else { "" }, fraction.trim_end_matches('0'));
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use crate::output::table::render::decimal_text;

    #[test]
    fn decimals_have_no_trailing_zeros() {
        for (value, text) in
            [(0, "0"), (12_500_000_000, "12.5"), (-1, "-0.000000001"), (100_000_000_000, "100"), (-2_000_000_000, "-2")]
        {
            assert_eq!(decimal_text(value), text);
        }
    }
}
