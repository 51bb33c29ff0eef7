//! Counts that save the request after the last object of a list.
//!
//! Lists with offsets in Retail Media have a `count` beside their objects. Whether it is that of the page or of the list is not
//! documented, so it ends no list by itself. A page that has fewer objects than are known of its list shows what its count is:
//! if it is that of the list, later lists at the same path end with a first page that holds as many objects, in one response.
//! They must also be fewer than the default page has, so that no limit of the server can have cut the page, and no other page
//! may be announced. Where any of this differs, the list is read until nothing new comes.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::read::numbered::DEFAULT_PAGE;
use crate::read::pages::{Page, PageVerdict, PageWalker};

/// What is known of the counts at each path: whether they are those of lists.
#[derive(Debug, Default)]
pub(crate) struct Counts(HashMap<&'static str, bool>);

impl Counts {
    /// Takes a page of a walk; ends with the first page where counts prove that it is the last.
    ///
    /// # Errors
    /// As [`PageWalker::take`].
    pub(crate) fn take(
        &mut self,
        walk: &mut PageWalker,
        page: &Page,
        limit: u32,
        path: &'static str,
    ) -> Result<PageVerdict> {
        let is_first = walk.is_at_start();
        let verdict = walk.take(page, limit)?;
        self.learn(path, page, walk.count);
        let is_last = is_first && verdict == PageVerdict::Rows && self.is_whole(path, page, limit);
        Ok(if is_last { PageVerdict::Last } else { verdict })
    }

    /// Learns from a page after which `walked` objects of its list are known.
    fn learn(&mut self, path: &'static str, page: &Page, walked: u64) {
        let Some(count) = page.envelope.total_items.or(page.envelope.count) else { return };
        // On a first page, both meanings may be the same.
        if walked > page.count {
            let known = self.0.entry(path).or_insert(true);
            *known &= count >= walked;
        }
    }

    /// Whether the first page of a list holds all of it.
    fn is_whole(&self, path: &'static str, page: &Page, limit: u32) -> bool {
        let is_short = page.count < u64::from((limit / 2).min(DEFAULT_PAGE));
        let distinct: HashSet<_> = page.ids.iter().collect();
        self.0.get(path) == Some(&true)
            && is_short
            && !page.envelope.has_more
            && page.envelope.total_items.or(page.envelope.count) == Some(page.count)
            && distinct.len() as u64 == page.count
    }
}

#[cfg(test)]
mod tests {
    use crate::read::counts::*;

    /// The calls for several lists of one path, with what `counted` says of a page and its list.
    fn calls(lists: &[u64], limit: usize, counted: impl Fn(u64, u64) -> Option<u64>) -> Vec<u64> {
        let mut counts = Counts::default();
        let walk = |total: &u64| {
            let (mut walk, mut seen, mut calls) = (PageWalker::default(), 0, 0);
            loop {
                let start = usize::try_from(walk.offset()).unwrap();
                let ids: Vec<_> = (0..*total).skip(start).take(limit).collect();
                calls += 1;
                let mut page = Page::of(HashSet::new());
                (page.count, page.ids) = (ids.len() as u64, ids);
                page.envelope.count = counted(page.count, *total);
                let verdict = counts.take(&mut walk, &page, 500, "path").unwrap();
                seen += if matches!(verdict, PageVerdict::Rows | PageVerdict::Last) { page.count } else { 0 };
                if matches!(verdict, PageVerdict::End | PageVerdict::Last) {
                    break;
                }
            }
            assert!(seen >= *total, "{seen} of {total}");
            calls
        };
        lists.iter().map(walk).collect()
    }

    #[test]
    fn counts_end_lists_after_a_page_has_shown_what_they_count() {
        assert_eq!(calls(&[3, 3, 1, 24, 25, 0], 500, |_, list| Some(list)), [2, 1, 1, 1, 2, 1]);
        // Counts of pages, none, and counts that are too small prove nothing.
        for counted in [|page: u64, _: u64| Some(page), |_, _| None, |_, list: u64| Some(list / 2)] {
            assert_eq!(calls(&[3, 3, 3], 500, counted), [2, 2, 2]);
        }
        // A server that sends seven objects at most, with either count.
        assert!(calls(&[20, 20, 7, 3], 7, |page, _| Some(page)).iter().all(|calls| *calls > 1));
        assert_eq!(calls(&[20, 20, 7, 3], 7, |_, list| Some(list))[2..], [1, 1]);
    }
}
