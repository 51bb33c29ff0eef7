//! Collects cells in typed columns, without JSON in between.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use crate::output::stream::StreamSetup;
use crate::output::table::{DECIMAL, Dialect, Table};
use crate::rows::coerce::iso_day;
use crate::rows::decimal::Decimal;
use crate::rows::project::RowCells;

/// Rows of one batch: large enough for columns, small enough for the memory of many streams.
pub(super) const BATCH_ROWS: usize = 8192;
/// Bytes of text in one batch, in case rows are long.
pub(super) const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Days from 0001-01-01 to 1970-01-01.
const EPOCH: i32 = 719_163;
/// Digits that any 64-bit integer has room for.
const SHORT: usize = 19;
/// Powers of ten up to that of the scale.
const POWERS: [u64; 10] = {
    let mut powers = [1; 10];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The typed columns of a table, and the row that is being filled.
#[derive(Debug)]
pub(crate) struct Columns {
    cells: RowCells,
    columns: Vec<Column>,
    schema: SchemaRef,
    rows: usize,
    bytes: usize,
    /// Rows per column whose value was rounded.
    rounded: BTreeMap<String, u64>,
    /// Rows per column whose value does not fit.
    too_large: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Column {
    cell: usize,
    name: String,
    builder: Builder,
}

#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Decimal(Decimal128Builder),
    Double(Float64Builder),
    Day(Date32Builder),
    Instant(TimestampMicrosecondBuilder),
}

/// What became of a value.
#[derive(Debug, PartialEq, Eq)]
enum Fit {
    Exact,
    Rounded,
    /// `null` was stored.
    TooLarge,
}

impl Columns {
    /// The columns of a stream.
    #[expect(clippy::unnecessary_wraps, reason = "a build without files has none")]
    pub(crate) fn of(setup: &StreamSetup, dialect: Dialect) -> Option<Self> {
        Some(Self::new(&Table::new(&setup.stream, &setup.plan, dialect)))
    }

    /// The row that is being filled.
    pub(crate) fn cells(&mut self) -> &mut RowCells {
        &mut self.cells
    }

    pub(crate) fn new(table: &Table) -> Self {
        let fields = table.cells.iter().zip(table.schema.fields());
        let columns = fields.map(|(cell, field)| Column {
            cell: *cell,
            name: field.name().clone(),
            builder: Builder::new(field.data_type()),
        });
        Self {
            cells: RowCells::default(),
            columns: columns.collect(),
            schema: Arc::clone(&table.schema),
            rows: 0,
            bytes: 0,
            rounded: BTreeMap::new(),
            too_large: BTreeMap::new(),
        }
    }

    /// Appends the row in [`Self::cells`].
    pub(crate) fn append(&mut self) {
        let row = self.cells.row();
        // A search of the whole row costs less than one of each cell.
        let has_escapes = memchr::memchr(b'\\', row.as_bytes()).is_some();
        for column in &mut self.columns {
            let cell = self.cells.get(&row, column.cell);
            let counts = match column.builder.append(cell, has_escapes) {
                Fit::Exact => continue,
                Fit::Rounded => &mut self.rounded,
                Fit::TooLarge => &mut self.too_large,
            };
            match counts.get_mut(&column.name) {
                Some(count) => *count += 1,
                None => drop(counts.insert(column.name.clone(), 1)),
            }
        }
        self.rows += 1;
        self.bytes += self.cells.size();
    }

    /// The day of a column of the row in [`Self::cells`]; of an instant, the day in this zone.
    pub(super) fn day(&self, column: usize, zone: Option<Tz>) -> Option<NaiveDate> {
        let text = text_of(self.cells.cell(self.columns.get(column)?.cell)?)?;
        if text.ends_with('Z') { day_of_micros(micros_of(text)?, zone) } else { iso_day(text.get(..10)?) }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the rows should become a batch.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The collected rows as a batch; the columns are empty again.
    ///
    /// # Errors
    /// Never, as long as builders and schema agree.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let arrays = self.columns.iter_mut().map(|column| column.builder.finish()).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }

    /// Warnings about values that are not stored as Criteo sent them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let (digits, scale) = DECIMAL;
        [
            (&self.rounded, format!("more than {scale} decimals, and were rounded")),
            (
                &self.too_large,
                format!("too many digits for a 64-bit integer or a decimal with {digits} digits, and are null"),
            ),
        ]
        .into_iter()
        .filter(|(counts, _)| !counts.is_empty())
        .map(|(counts, what)| {
            let list: Vec<_> = counts.iter().map(|(name, rows)| format!("{name} ({rows} rows)")).collect();
            format!("Some values have {what}: {}.", list.join(", "))
        })
        .collect()
    }
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int64 => Self::Integer(Int64Builder::new()),
            DataType::Decimal128(..) => Self::Decimal(Decimal128Builder::new().with_data_type(data_type.clone())),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Date32 => Self::Day(Date32Builder::new()),
            DataType::Timestamp(..) => {
                Self::Instant(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a cell: the JSON text of a value of the column's type.
    fn append(&mut self, cell: Option<&str>, has_escapes: bool) -> Fit {
        let Some(cell) = cell else {
            self.append_null();
            return Fit::Exact;
        };
        match self {
            Self::Text(builder) => {
                builder.append_value(string_of(cell, has_escapes));
                Fit::Exact
            }
            Self::Boolean(builder) => {
                builder.append_value(cell == "true");
                Fit::Exact
            }
            Self::Integer(builder) => {
                let value = cell.parse().ok();
                builder.append_option(value);
                if value.is_some() { Fit::Exact } else { Fit::TooLarge }
            }
            Self::Decimal(builder) => {
                let value = decimal(cell.as_bytes());
                builder.append_option(value.map(|(value, _)| value));
                match value {
                    None => Fit::TooLarge,
                    Some((_, true)) => Fit::Rounded,
                    Some(_) => Fit::Exact,
                }
            }
            Self::Double(builder) => {
                builder.append_option(cell.parse().ok());
                Fit::Exact
            }
            Self::Day(builder) => {
                let day = text_of(cell).and_then(iso_day);
                builder.append_option(day.map(|day| day.num_days_from_ce() - EPOCH));
                if day.is_some() { Fit::Exact } else { Fit::TooLarge }
            }
            Self::Instant(builder) => {
                let micros = text_of(cell).and_then(micros_of);
                builder.append_option(micros);
                if micros.is_some() { Fit::Exact } else { Fit::TooLarge }
            }
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Day(builder) => builder.append_null(),
            Self::Instant(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Day(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The text between the quotes of a string without escapes.
fn text_of(cell: &str) -> Option<&str> {
    cell.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a cell: that of a string, or the JSON of an object or a list.
fn string_of(cell: &str, may_have_escapes: bool) -> Cow<'_, str> {
    if may_have_escapes && cell.starts_with('"') && memchr::memchr(b'\\', cell.as_bytes()).is_some() {
        return serde_json::from_str::<String>(cell).unwrap_or_default().into();
    }
    text_of(cell).unwrap_or(cell).into()
}

/// Microseconds since 1970 of `2026-07-01T05:00:00Z` or, for a local time, `2026-07-01T05:00:00`.
fn micros_of(text: &str) -> Option<i64> {
    let instant = match text.strip_suffix('Z') {
        Some(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
        None => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc(),
    };
    Some(instant.timestamp_micros())
}

/// The day of an instant in a zone, or else in UTC.
pub(super) fn day_of_micros(micros: i64, zone: Option<Tz>) -> Option<NaiveDate> {
    let instant = DateTime::from_timestamp_micros(micros)?;
    Some(zone.map_or_else(|| instant.date_naive(), |zone| instant.with_timezone(&zone).date_naive()))
}

/// The day with this number, counted from 1970-01-01.
pub(super) fn day_of_number(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH)?)
}

/// A number times ten to the power of the scale, and whether it was rounded (half away from zero). `None` if it has too
/// many digits.
fn decimal(number: &[u8]) -> Option<(i128, bool)> {
    short_decimal(number).map_or_else(|| long_decimal(number), |value| Some((value, false)))
}

/// The same for `[-]digits[.digits]` with as many digits as fit 64 bits, as nearly all numbers have, and without
/// rounding.
fn short_decimal(number: &[u8]) -> Option<i128> {
    let (is_negative, digits) = number.strip_prefix(b"-").map_or((false, number), |digits| (true, digits));
    if digits.len() > SHORT {
        return None;
    }
    let (mut value, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |point| digits.len() - point - 1);
    let power = POWERS.get(usize::from(DECIMAL.1.unsigned_abs()).checked_sub(fraction)?)?;
    let value = i128::from(value) * i128::from(*power);
    Some(if is_negative { -value } else { value })
}

/// The same for any number.
fn long_decimal(number: &[u8]) -> Option<(i128, bool)> {
    let scale = usize::from(DECIMAL.1.unsigned_abs());
    let (is_negative, digits) = number.strip_prefix(b"-").map_or((false, number), |digits| (true, digits));
    let (mut value, mut fraction, mut is_after_point, mut is_rounded) = (0_i128, 0, false, false);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'.' => is_after_point = true,
            b'0'..=b'9' if fraction == scale => {
                let rest = &digits[at..];
                if rest.iter().any(|digit| !digit.is_ascii_digit()) {
                    return with_exponent(number);
                }
                value += i128::from(*byte >= b'5');
                is_rounded = rest.iter().any(|digit| *digit != b'0');
                break;
            }
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                fraction += usize::from(is_after_point);
            }
            _ => return with_exponent(number),
        }
    }
    for _ in fraction..scale {
        value = value.checked_mul(10)?;
    }
    fits(value).then_some((if is_negative { -value } else { value }, is_rounded))
}

fn fits(value: i128) -> bool {
    value < 10_i128.pow(u32::from(DECIMAL.0))
}

fn with_exponent(number: &[u8]) -> Option<(i128, bool)> {
    let plain = Decimal::parse(std::str::from_utf8(number).ok()?)?.to_string();
    long_decimal(plain.as_bytes())
}

#[cfg(test)]
mod tests {
    use crate::output::table::columns::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_keep_nine_digits() {
        for (number, value) in [
            ("0", Some((0, false))),
            ("12.5", Some((12_500_000_000, false))),
            ("-12.50", Some((-12_500_000_000, false))),
            ("204098802311007.97", Some((204_098_802_311_007_970_000_000, false))),
            ("0.30000000000000004", Some((300_000_000, true))),
            ("0.0000000005", Some((1, true))),
            ("-0.0000000005", Some((-1, true))),
            ("0.1230000000000", Some((123_000_000, false))),
            ("7.5e-3", Some((7_500_000, false))),
            ("1.5E+2", Some((150_000_000_000, false))),
            ("1.2345678901234e2", Some((123_456_789_012, true))),
            ("99999999999999999999999999999", Some((99_999_999_999_999_999_999_999_999_999_000_000_000, false))),
            ("100000000000000000000000000000", None),
            ("1e300", None),
        ] {
            assert_eq!(decimal(number.as_bytes()), value, "{number}");
        }
    }

    proptest! {
        #[test]
        fn decimals_equal_their_digits(whole in 0_u64.., fraction in 0_u32..1_000_000_000) {
            let (value, is_rounded) = decimal(format!("{whole}.{fraction:09}").as_bytes()).unwrap();
            prop_assert_eq!((value, is_rounded), (i128::from(whole) * 1_000_000_000 + i128::from(fraction), false));
        }
    }

    proptest! {
        #[test]
        fn short_decimals_are_those_of_any_length(
            number in prop_oneof!["-?[0-9]{0,22}(\\.[0-9]{0,12})?", "[-0-9.eE+]{0,24}", "-?[0-9]{1,9}\\.[0-9]{9}"]
        ) {
            prop_assert_eq!(decimal(number.as_bytes()), long_decimal(number.as_bytes()), "{}", number);
        }

        #[test]
        fn cells_are_read_as_json(text in any::<String>()) {
            let cell = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string_of(&cell, true), text.as_str());
            if !cell.contains('\\') {
                prop_assert_eq!(string_of(&cell, false), text.as_str());
            }
        }
    }

    #[test]
    fn times_are_microseconds() {
        assert_eq!(micros_of("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(micros_of("1970-01-01T00:00:01.500Z"), Some(1_500_000));
        assert_eq!(micros_of("1969-12-31T23:59:59"), Some(-1_000_000));
        assert_eq!(micros_of("tomorrow"), None);
    }
}
