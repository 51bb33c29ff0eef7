//! Sums of an exported table per day.

use std::collections::BTreeMap;
use std::io;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use chrono::NaiveDate;

use crate::output::report_page::amount::Amount;
use crate::output::report_page::watch::{COST, Numbers, REVENUE};
use crate::output::table::columns::day_of_number;
use crate::output::table::folder::Folder;
use crate::output::table::store::ParquetFile;

impl Folder {
    /// Sums cost, clicks and revenue of the days from `first` on. Files of earlier months are not read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn daily_sums(&self, table: &str, first: NaiveDate) -> io::Result<BTreeMap<NaiveDate, Numbers>> {
        let mut sums: BTreeMap<NaiveDate, Numbers> = BTreeMap::new();
        let month = first.format("%Y-%m").to_string();
        for path in self.store.files(table)? {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if name != table && name.len() == month.len() && name < month.as_str() {
                continue;
            }
            for batch in ParquetFile::open(&path)?.batches()? {
                add(&batch?, first, &mut sums);
            }
        }
        Ok(sums)
    }
}

fn add(batch: &RecordBatch, first: NaiveDate, sums: &mut BTreeMap<NaiveDate, Numbers>) {
    let Some(days) = batch.column_by_name("day").and_then(|days| days.as_primitive_opt::<Date32Type>()) else {
        return;
    };
    let column = |names: &[&str]| names.iter().find_map(|name| batch.column_by_name(name));
    let (cost, clicks, revenue) = (column(&COST), column(&["clicks"]), column(&REVENUE));
    for row in 0..batch.num_rows() {
        let day = days.is_valid(row).then(|| day_of_number(days.value(row))).flatten();
        let Some(day) = day.filter(|day| *day >= first) else { continue };
        let value =
            |column: Option<&arrow_array::ArrayRef>| column.map(|column| amount(column, row)).unwrap_or_default();
        sums.entry(day).or_default().add(Numbers { cost: value(cost), clicks: value(clicks), revenue: value(revenue) });
    }
}

/// A number of a column; decimal columns have the digits of [`Amount`].
fn amount(column: &arrow_array::ArrayRef, row: usize) -> Amount {
    if column.is_null(row) {
        return Amount::default();
    }
    match column.data_type() {
        DataType::Decimal128(..) => Amount(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Int64 => Amount::of_whole(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Amount::of_f64(column.as_primitive::<Float64Type>().value(row)).unwrap_or_default(),
        _ => Amount::default(),
    }
}
