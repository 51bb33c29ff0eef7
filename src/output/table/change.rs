//! What staged files change in a table.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;

use chrono::{Datelike as _, Months, NaiveDate};

use crate::model::ids::numeric_id;
use crate::output::table::rows::ReplacedDays;
use crate::output::table::staged::{CoverageNote, StagedFile};
use crate::output::table::store::Store;
use crate::output::table::{Layout, Merge, Partition};

/// A response in a staged file.
pub(super) struct StagedSlice {
    pub file: usize,
    pub batches: Range<usize>,
    pub rows: u64,
    days: Option<(NaiveDate, NaiveDate)>,
    partitions: BTreeSet<NaiveDate>,
    /// The read that it belongs to.
    read: Option<u64>,
    advertisers: BTreeSet<u64>,
}

/// Days and advertisers whose earlier rows are replaced.
struct Replaced {
    since: NaiveDate,
    until: NaiveDate,
    advertisers: BTreeSet<u64>,
    /// Rows of slices before this one are replaced.
    before: usize,
}

/// The staged rows of a table, and what they replace.
pub(super) struct Change {
    pub layout: Layout,
    pub files: Vec<StagedFile>,
    pub slices: Vec<StagedSlice>,
    replaced: Vec<Replaced>,
    /// Advertisers and countries whose objects were all read.
    pub scope: Option<BTreeSet<String>>,
}

impl Replaced {
    fn new(note: &CoverageNote, before: usize) -> Self {
        Self { since: note.since, until: note.until, advertisers: advertisers_of(note), before }
    }

    fn overlaps(&self, slice: &StagedSlice) -> bool {
        slice.days.is_some_and(|(first, last)| self.since <= last && first <= self.until)
            && !self.advertisers.is_disjoint(&slice.advertisers)
    }
}

fn advertisers_of(note: &CoverageNote) -> BTreeSet<u64> {
    note.advertisers.iter().map(|id| numeric_id(id)).collect()
}

impl Change {
    /// `None` without staged files.
    ///
    /// # Errors
    /// If a row has no day that leads to a partition, which the check of responses prevents.
    pub(super) fn new(files: Vec<StagedFile>) -> io::Result<Option<Self>> {
        let Some(layout) = files.first().map(|file| file.notes.layout.clone()) else { return Ok(None) };
        let (mut slices, mut replaced) = (Vec::new(), Vec::new());
        let mut first_of_read: HashMap<u64, usize> = HashMap::new();
        let mut complete = BTreeSet::new();
        for (file, staged) in files.iter().enumerate() {
            for note in &staged.notes.slices {
                let coverage = note.coverage.as_ref().filter(|_| layout.merge == Merge::Days);
                if let Some(coverage) = coverage {
                    let first = *first_of_read.entry(coverage.read).or_insert(slices.len());
                    if coverage.is_complete {
                        complete.insert(coverage.read);
                        replaced.push(Replaced::new(coverage, first));
                    }
                }
                let (first, count) = note.batches;
                slices.push(StagedSlice {
                    file,
                    batches: first..first + count,
                    rows: note.rows,
                    days: note.days,
                    partitions: note.partitions.clone(),
                    read: coverage.map(|coverage| coverage.read),
                    advertisers: coverage.map(advertisers_of).unwrap_or_default(),
                });
            }
        }
        // Parts of a read that did not end replace nothing: its days are read again.
        slices.iter_mut().filter(|slice| slice.read.is_some_and(|read| !complete.contains(&read))).for_each(|slice| {
            (slice.batches, slice.rows) = (0..0, 0);
        });
        let scope = files.last().and_then(|file| file.notes.scope.as_ref());
        let scope = scope.map(|scope| scope.iter().cloned().collect());
        let lacks_day = |slice: &StagedSlice| slice.rows > 0 && slice.partitions.is_empty();
        if layout.partition != Partition::None && slices.iter().any(lacks_day) {
            return Err(io::Error::other("rows have no day"));
        }
        Ok(Some(Self { layout, files, slices, replaced, scope }))
    }

    /// The partitions that staged rows are in or that lose rows.
    pub(super) fn partitions(&self, store: &Store) -> BTreeSet<Option<NaiveDate>> {
        let partition = self.layout.partition;
        if partition == Partition::None {
            return BTreeSet::from([None]);
        }
        let filled =
            self.slices.iter().filter(|slice| slice.rows > 0).flat_map(|slice| slice.partitions.iter().copied());
        let emptied = self.replaced.iter().flat_map(|replaced| partition.starts(replaced.since, replaced.until));
        // A killed merge may have removed only the Parquet file.
        let exists = |start: &NaiveDate| {
            let path = store.path(&self.layout, Some(*start));
            path.exists() || store.rendered(&path).is_some_and(|rendered| rendered.exists()) // guard: emptied-months
        };
        filled.chain(emptied.filter(exists)).map(Some).collect()
    }

    /// The staged responses with rows of a partition, in order, and whether all of their rows are in it.
    pub(super) fn slices_in(&self, start: Option<NaiveDate>) -> Vec<(usize, bool)> {
        let all = self.slices.iter().enumerate().filter(|(_, slice)| slice.rows > 0);
        all.filter_map(|(index, slice)| match start {
            None => Some((index, true)),
            Some(start) => slice.partitions.contains(&start).then_some((index, slice.partitions.len() == 1)),
        })
        .collect()
    }

    /// The days by advertiser that the read replaced.
    pub(super) fn replaced(&self) -> ReplacedDays {
        by_advertiser(self.replaced.iter())
    }

    /// The days by advertiser of a slice that later slices replaced.
    pub(super) fn replaced_later(&self, index: usize) -> ReplacedDays {
        let slice = &self.slices[index];
        by_advertiser(self.replaced.iter().filter(|later| later.before > index && later.overlaps(slice)))
    }
}

fn by_advertiser<'a>(replaced: impl Iterator<Item = &'a Replaced>) -> ReplacedDays {
    let mut all = ReplacedDays::new();
    for replaced in replaced {
        for advertiser in &replaced.advertisers {
            all.entry(*advertiser).or_default().push((replaced.since, replaced.until));
        }
    }
    for days in all.values_mut() {
        days.sort_unstable();
        days.dedup_by(|next, last| {
            let joins = last.1.succ_opt().is_none_or(|after| next.0 <= after);
            if joins {
                last.1 = last.1.max(next.1);
            }
            joins
        });
    }
    all
}

impl Partition {
    /// The first day of the partition with this day.
    pub(super) fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Months => day.with_day(1).unwrap_or(day),
            Self::None | Self::Days => day,
        }
    }

    /// The first days of all partitions between two days.
    fn starts(self, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let next = move |start: &NaiveDate| {
            let later = match self {
                Self::Months => start.checked_add_months(Months::new(1)),
                Self::None | Self::Days => start.succ_opt(),
            };
            later.filter(|later| *later <= last)
        };
        std::iter::successors(Some(self.start(first)), next)
    }

    /// The name of the partition that begins on this day.
    pub(super) fn name(self, start: NaiveDate) -> String {
        match self {
            Self::Months => start.format("%Y-%m").to_string(),
            Self::None | Self::Days => start.to_string(),
        }
    }
}
