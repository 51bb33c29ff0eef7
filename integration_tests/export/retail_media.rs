//! Exports of Retail Media into Parquet, read here by another code than the program's.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use chrono::SecondsFormat;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use super::{comparable, let_days_pass, plain_export};
use crate::harness::Bench;
use crate::retail_media::{LEFT_OUT, bench, options, truth_of};

fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(..) => {
            serde_json::from_str(&column.as_primitive::<Decimal128Type>().value_as_string(row)).unwrap()
        }
        DataType::Date32 => json!(column.as_primitive::<Date32Type>().value_as_date(row).unwrap()),
        DataType::Timestamp(..) => {
            let moment = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row).unwrap();
            json!(moment.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        other => panic!("{other} is no type of an export"),
    }
}

/// The rows of a Parquet file.
fn rows(path: &Path) -> Vec<Map<String, Value>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader.map(Result::unwrap) {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let cells = schema.fields().iter().zip(batch.columns());
            rows.push(cells.map(|(field, column)| (field.name().clone(), cell(column, row))).collect());
        }
    }
    rows
}

/// The tables of the folder.
fn tables(bench: &Bench) -> BTreeSet<String> {
    let files = std::fs::read_dir(bench.directory.join("out")).unwrap().map(|file| file.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    tables.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[track_caller]
fn assert_truth(bench: &Bench) {
    let discovered = bench.discover();
    let usual: BTreeSet<_> = discovered.keys().filter(|name| !LEFT_OUT.contains(&name.as_str())).cloned().collect();
    assert_eq!(tables(bench), usual);
    for name in usual {
        let stream = &discovered[&name];
        let found = rows(&bench.directory.join(format!("out/{name}.parquet")));
        assert_eq!(comparable(&found, stream), comparable(&truth_of(bench, &name, stream), stream), "{name}");
    }
}

#[test]
fn a_retail_media_export_into_parquet_is_the_truth_twelve_days_apart() {
    let mut bench = bench(options());
    let first = plain_export(&bench, &["--format", "parquet"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_truth(&bench);

    let_days_pass(&mut bench, 12);
    let campaigns = bench.sandbox.world().retail_media_stream("rm_campaigns", "2026-07").unwrap();
    let gone = campaigns[0]["id"].as_str().unwrap().to_owned();
    bench.sandbox.change(|options| options.deleted_ids.push(gone.clone()));
    let second = plain_export(&bench, &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_truth(&bench);
    let left = rows(&bench.directory.join("out/rm_campaigns.parquet"));
    assert!(left.iter().all(|row| row["id"] != gone) && left.len() + 1 == campaigns.len());
}

/// Named streams are exported, too: a job and what needs a request per line item.
#[test]
fn streams_that_are_costly_are_exported_by_name() {
    let bench = bench(options());
    let names = ["rm_catalog_products", "rm_partner_billing", "rm_promoted_products"];
    let run = plain_export(&bench, &["--format", "parquet", "--streams", &names.join(",")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let discovered = bench.discover();
    for name in names {
        let found = rows(&bench.directory.join(format!("out/{name}.parquet")));
        let truth = truth_of(&bench, name, &discovered[name]);
        assert_eq!(comparable(&found, &discovered[name]), comparable(&truth, &discovered[name]), "{name}");
    }
}

/// A bill names the accounts of others, which the app cannot read.
#[test]
fn accounts_of_bills_are_not_taken_for_withdrawn_ones() {
    let bench = bench(options());
    let accounts = bench.sandbox.world().retail_media_stream("rm_accounts", "2026-07").unwrap();
    let demand = accounts.iter().filter(|account| account["attributes"]["type"] != "supply");
    let billed: Vec<_> = demand.map(|account| account["id"].as_str().unwrap().to_owned()).collect();
    bench.sandbox.change(|options| options.without_consent.clone_from(&billed));
    for run in 0..2 {
        let run_again = plain_export(&bench, &["--format", "parquet", "--streams", "rm_partner_billing"]);
        assert_eq!(run_again.code, Some(0), "{run}: {}", run_again.stderr);
        assert!(!run_again.stderr.contains("Previously exported"), "{run}: {}", run_again.stderr);
    }
    let found = rows(&bench.directory.join("out/rm_partner_billing.parquet"));
    assert!(found.iter().any(|row| billed.iter().any(|id| row["account_id"] == **id)), "bills name others");
}
