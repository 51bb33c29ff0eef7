//! Merges staged files into the files of a table. Doing it twice gives the same files.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;

use crate::output::table::change::Change;
use crate::output::table::rows::{Scope, bytes_of_text, keys_of, merged_schema, outside, with_schema, within};
use crate::output::table::staged::{Reader, StagedFile};
use crate::output::table::store::{OldFile, Store, open_old, properties};
use crate::output::table::{Merge, Partition, in_file, other, scope_of};
use crate::support::watchdog;

/// A group of rows ends after this many bytes of text, so that a reader with the whole group in memory needs little.
const ROW_GROUP_TEXT: usize = 64 * 1024 * 1024;
/// How many keys are in memory: a partition with more rows is merged in several passes. Few in unit tests.
const MAX_KEYS: u64 = if cfg!(test) { 10 } else { 1_000_000 };

/// What a merge did.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The files that have changed, whether or not they still exist.
    pub changed: Vec<PathBuf>,
    /// Advertisers that a read of all objects did not cover, and whose rows stay.
    pub absent: BTreeSet<String>,
}

/// Called before the file of a partition is removed.
type Removing<'a> = dyn FnMut(&str) -> io::Result<()> + 'a;

impl Store {
    /// Merges staged files. `removing` is called with the name of each partition that loses its last row.
    ///
    /// # Errors
    /// If a file cannot be read or written. The old files are as they were, and the staged ones still there.
    pub(super) fn merge(&self, staged: Vec<StagedFile>, removing: &mut Removing) -> io::Result<Merged> {
        let mut merged = Merged::default();
        let Some(change) = Change::new(staged)? else { return Ok(merged) };
        for start in change.partitions(self) {
            let path = self.path(&change.layout, start);
            merged.absent.extend(self.merge_partition(&change, start, &path, removing)?);
            merged.changed.push(path);
        }
        Ok(merged)
    }

    fn merge_partition(
        &self,
        change: &Change,
        start: Option<NaiveDate>,
        path: &Path,
        removing: &mut Removing,
    ) -> io::Result<BTreeSet<String>> {
        let layout = &change.layout;
        let mut absent = BTreeSet::new();
        let Some(new) = change.files.first().map(|file| Arc::clone(&file.schema)) else { return Ok(absent) };
        let old = open_old(path, &layout.name)?;
        let schema = match &old {
            Some(old) => merged_schema(&new, &old.schema).map_err(|error| in_file(path, error))?,
            None => new,
        };
        let old_scope = old.as_ref().map(|old| old.scope.clone()).unwrap_or_default();
        let scope = change.scope.clone().unwrap_or_default();
        let is_narrower = !scope.is_superset(&old_scope);
        let kept_scope: BTreeSet<_> = if is_narrower { scope.union(&old_scope).cloned().collect() } else { scope };
        let written = self.write_file(path, |file| {
            let properties = properties(&layout.name, &kept_scope);
            let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(other)?;
            let mut out = Rows { writer, schema, rows: 0, groups: 0, text: 0 };
            if layout.merge == Merge::Days {
                merge_days(change, start, old, &mut out)?;
            } else {
                let passes = rows_of(change, start) / MAX_KEYS + 1;
                drop(old);
                for pass in 0..passes {
                    let old = open_old(path, &layout.name)?;
                    absent.extend(merge_keys(change, start, old, is_narrower, (pass, passes), &mut out)?);
                }
            }
            let is_kept = out.rows > 0 || layout.partition == Partition::None;
            if let Some(start) = start.filter(|_| !is_kept) {
                removing(&layout.partition.name(start))?;
            }
            out.writer.into_inner().map_err(other).map(|_: File| is_kept)
        });
        written.map_err(|error| in_file(path, error)).map(|()| absent)
    }
}

/// The file that is being written.
struct Rows {
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    rows: usize,
    /// The finished groups of rows.
    groups: usize,
    /// Bytes of text in the group under way.
    text: usize,
}

impl Rows {
    fn write(&mut self, batch: &RecordBatch, keep: &BooleanArray) -> io::Result<()> {
        watchdog::moved();
        let kept = match keep.true_count() {
            0 => return Ok(()),
            all if all == batch.num_rows() => batch.clone(),
            _ => filter_record_batch(batch, keep).map_err(other)?,
        };
        self.rows += kept.num_rows();
        self.text += bytes_of_text(&kept);
        self.writer.write(&with_schema(&kept, &self.schema)?).map_err(other)?;
        if self.text >= ROW_GROUP_TEXT {
            self.writer.flush().map_err(other)?;
        }
        let groups = self.writer.flushed_row_groups().len();
        if groups > self.groups {
            (self.groups, self.text) = (groups, 0);
        }
        Ok(())
    }
}

/// Keeps the old rows of other days and advertisers, then adds the staged ones.
fn merge_days(change: &Change, start: Option<NaiveDate>, old: Option<OldFile>, out: &mut Rows) -> io::Result<()> {
    let replaced = change.replaced();
    for batch in old.into_iter().flat_map(|old| old.batches) {
        let batch = batch?;
        out.write(&batch, &outside(&batch, &change.layout, &replaced))?;
    }
    let mut staged = StagedBatches::default();
    for (index, is_inside) in change.slices_in(start) {
        let later = change.replaced_later(index);
        for number in change.slices[index].batches.clone() {
            let batch = staged.read(change, index, number)?;
            let keep = outside(&batch, &change.layout, &later);
            let keep = match start.filter(|_| !is_inside) {
                None => keep,
                Some(start) => within(&batch, &change.layout, start, &keep),
            };
            out.write(&batch, &keep)?;
        }
    }
    Ok(())
}

/// Writes the staged rows, of several with one key the latest, then the old rows that they do not replace. Returns the
/// advertisers that were not read, of which old rows stay.
fn merge_keys(
    change: &Change,
    start: Option<NaiveDate>,
    old: Option<OldFile>,
    is_narrower: bool,
    (pass, passes): (u64, u64),
    out: &mut Rows,
) -> io::Result<BTreeSet<String>> {
    let layout = &change.layout;
    let mut absent = BTreeSet::new();
    let mut written = HashSet::new();
    let is_of_pass = |key: &(u64, u64)| key.0 % passes == pass;
    let mut staged = StagedBatches::default();
    for (index, is_inside) in change.slices_in(start).into_iter().rev() {
        for number in change.slices[index].batches.clone().rev() {
            let batch = staged.read(change, index, number)?;
            let all = BooleanArray::from(vec![true; batch.num_rows()]);
            let here = match start.filter(|_| !is_inside) {
                None => all,
                Some(start) => within(&batch, layout, start, &all),
            };
            let mut keep = vec![false; batch.num_rows()];
            for (row, key) in keys_of(&batch, layout).into_iter().enumerate().rev() {
                keep[row] = here.value(row) && is_of_pass(&key) && written.insert(key);
            }
            out.write(&batch, &BooleanArray::from(keep))?;
        }
    }
    let scope = change.scope.as_ref().filter(|_| layout.merge == Merge::All).map(Scope::new);
    for batch in old.into_iter().flat_map(|old| old.batches) {
        let batch = batch?;
        let is_by_advertiser = scope_of(&batch).is_some() && !layout.is_whole;
        let others = match &scope {
            // All objects in the scope were read: the old ones are replaced or gone.
            Some(scope) if is_by_advertiser => {
                absent.extend(scope.absent(&batch));
                scope.others(&batch)
            }
            Some(_) if layout.is_whole || !is_narrower => continue,
            _ => BooleanArray::from(vec![true; batch.num_rows()]),
        };
        let keys = keys_of(&batch, layout);
        let is_kept = |(row, key): (usize, &(u64, u64))| others.value(row) && is_of_pass(key) && !written.contains(key);
        out.write(&batch, &keys.iter().enumerate().map(|row| Some(is_kept(row))).collect())?;
    }
    Ok(absent)
}

/// The number of staged rows in a partition, or a few more.
fn rows_of(change: &Change, start: Option<NaiveDate>) -> u64 {
    change.slices_in(start).into_iter().map(|(index, _)| change.slices[index].rows).sum()
}

/// The staged file that is being read.
#[derive(Default)]
struct StagedBatches {
    open: Option<(usize, Reader)>,
}

impl StagedBatches {
    fn read(&mut self, change: &Change, slice: usize, number: usize) -> io::Result<RecordBatch> {
        let file = change.slices[slice].file;
        let (_, reader) = match self.open.take() {
            Some(open) if open.0 == file => self.open.insert(open),
            _ => self.open.insert((file, change.files[file].open()?)),
        };
        reader.set_index(number).map_err(other)?;
        reader.next().ok_or_else(|| io::Error::other("a staged file lacks a batch"))?.map_err(other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::output::table::columns::BATCH_BYTES;
    use crate::output::table::rows::bytes_of_text;
    use crate::output::table::staged::{Staged, files_of};
    use crate::output::table::store::{ParquetFile, Store};
    use crate::output::table::{Dialect, Table};
    use crate::products;
    use crate::products::report::ReportOptions;
    use crate::rows::project::Projection;

    /// Many more keys than fit in memory, each of them twice in the staged files and once in the old one.
    #[test]
    fn a_partition_with_many_keys_is_merged_in_passes() {
        let folder = std::env::temp_dir().join(format!("source-criteo-merge-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let store = Store { folder: folder.clone(), scratch: folder.clone(), rendered: None };
        let streams = products::streams(&ReportOptions::default());
        let stream = streams.iter().find(|stream| stream.name == "transactions").unwrap();
        for amounts in [vec![1], vec![2, 3]] {
            let mut plan = Projection::new(stream, &|_| true);
            let table = Table::new(stream, &plan, Dialect::Files);
            let mut staged = Staged::new(folder.join("staged"), table);
            for amount in amounts {
                plan.start_slice(&[]);
                for order in 0..100 {
                    let row = json!({"advertiserId": "1", "transactionId": order.to_string(), "amount": amount,
                        "transactionDate": "10/05/2026 10:00:00", "eventType": "Click"});
                    let row = row.to_string();
                    let mut row = serde_json::Deserializer::from_str(&row);
                    assert!(plan.write_row(&mut row, staged.columns().cells()).unwrap());
                    staged.end_row().unwrap();
                }
                staged.end_slice(None).unwrap();
                staged.finish_file(None).unwrap();
            }
            let files = files_of(&folder.join("staged")).unwrap();
            for path in store.merge(files, &mut |_| Ok(())).unwrap().changed {
                assert!(path.ends_with("transactions/2026-10.parquet"));
            }
        }
        let file = ParquetFile::open(&folder.join("transactions/2026-10.parquet")).unwrap();
        let batches = file.batches().unwrap();
        let mut lines = Vec::new();
        for batch in batches {
            crate::output::table::render::write_json_lines(&mut lines, &batch.unwrap()).unwrap();
        }
        let rows: Vec<Value> =
            String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut orders: Vec<_> = rows.iter().map(|row| row["transaction_id"].to_string()).collect();
        orders.sort();
        orders.dedup();
        assert_eq!((rows.len(), orders.len()), (100, 100));
        assert!(rows.iter().all(|row| row["amount"] == 3), "the latest row of a key stays");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// Strings of 64 KiB, in more rows than one batch may have of them.
    #[test]
    fn files_with_long_strings_are_read_in_small_batches() {
        let folder = std::env::temp_dir().join(format!("source-criteo-strings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let store = Store { folder: folder.clone(), scratch: folder.clone(), rendered: None };
        let streams = products::streams(&ReportOptions::default());
        let stream = streams.iter().find(|stream| stream.name == "campaigns").unwrap();
        let mut plan = Projection::new(stream, &|_| true);
        let mut staged = Staged::new(folder.join("staged"), Table::new(stream, &plan, Dialect::Files));
        plan.start_slice(&[]);
        // Dictionaries make a file of equal strings small.
        let name = "x".repeat(64 * 1024);
        for id in 0..1500 {
            let row = json!({"id": id.to_string(), "name": name}).to_string();
            let mut row = serde_json::Deserializer::from_str(&row);
            assert!(plan.write_row(&mut row, staged.columns().cells()).unwrap());
            staged.end_row().unwrap();
        }
        staged.end_slice(None).unwrap();
        staged.finish_file(None).unwrap();
        store.merge(files_of(&folder.join("staged")).unwrap(), &mut |_| Ok(())).unwrap();
        let path = folder.join("campaigns.parquet");
        assert!(std::fs::metadata(&path).unwrap().len() < 1024 * 1024);
        let (mut rows, mut most) = (0, 0);
        for batch in ParquetFile::open(&path).unwrap().batches().unwrap() {
            let batch = batch.unwrap();
            rows += batch.num_rows();
            most = most.max(bytes_of_text(&batch));
        }
        assert_eq!(rows, 1500);
        assert!(most <= 2 * BATCH_BYTES, "{most} bytes in a batch");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
