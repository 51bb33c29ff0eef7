//! Walks numbered pages of a list to the end. Unlike offsets, they cannot overlap.
//!
//! Criteo documents no largest page size. A server that sends fewer objects than requested may count pages by either size, so
//! the second page is requested with the size of the first, which is right for both. The list ends where no new objects come;
//! or with its first page, if the objects on it are as many as the list has in all (`totalItemsAcrossAllPages`), no next page
//! is announced, and they are fewer than Criteo's default page has, so that no limit of the server can have cut them.
//! If the announced total changes between pages, an object may have moved to a page that was read, so the list is walked again.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::read::pages::PageVerdict;

/// Pages without new objects that are skipped because a total announces more.
const MAX_PROBES: u32 = 3;

/// The default page size of most lists.
pub(crate) const DEFAULT_PAGE: u32 = 25;

/// The state of a walk.
#[derive(Debug)]
pub(crate) struct NumberedWalker {
    size: u32,
    number: u64,
    seen: HashSet<u64>,
    probes: u32,
    /// The total that the last page announced.
    pub total: Option<u64>,
    /// Whether the list has changed between two pages.
    pub has_changed: bool,
    /// Whether the last page announced another one.
    pub has_more: bool,
}

impl NumberedWalker {
    pub(crate) fn new(size: u32) -> Self {
        Self { size, number: 0, seen: HashSet::new(), probes: 0, total: None, has_changed: false, has_more: false }
    }

    /// Size and number of the next page.
    pub(crate) fn next(&self) -> (u32, u64) {
        (self.size, self.number)
    }

    /// How many objects have come.
    pub(crate) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Takes what distinguishes the objects of a page, the total that it announces, and whether it announces another.
    ///
    /// # Errors
    /// If no object of a full page is new: the server repeats itself.
    pub(crate) fn take(&mut self, ids: &[u64], total: Option<u64>, has_more: bool) -> Result<PageVerdict> {
        self.has_changed |= self.total.zip(total).is_some_and(|(before, now)| before != now);
        self.total = total.or(self.total);
        self.has_more = has_more;
        let is_first = self.number == 0;
        let is_full = ids.len() >= self.size as usize;
        let known = self.count();
        self.seen.extend(ids);
        self.number += 1;
        if self.count() > known {
            self.probes = 0;
            let is_short = ids.len() < self.size.min(DEFAULT_PAGE) as usize;
            if is_first && is_short && !has_more && total == Some(self.count()) && ids.len() as u64 == self.count() {
                return Ok(PageVerdict::Last);
            }
            if is_first && !is_full {
                self.size = u32::try_from(ids.len()).unwrap_or(self.size);
            }
            return Ok(PageVerdict::Rows);
        }
        let is_announced = self.total.is_some_and(|total| total > self.count());
        if is_full && (is_announced || self.total.is_none()) {
            return Err(Error::system(format!(
                "Criteo returned a page with no new objects after {} objects. Stopping instead of paging forever; \
                 the next sync tries again.",
                self.count()
            )));
        }
        if (is_announced || has_more) && self.probes < MAX_PROBES {
            self.probes += 1;
            return Ok(PageVerdict::Nothing);
        }
        Ok(PageVerdict::End)
    }
}

#[cfg(test)]
mod tests {
    use crate::read::numbered::*;

    /// Walks the pages that `serve` returns for a size, a number and a call.
    fn walk(size: u32, serve: impl Fn(usize, usize, u64) -> (Vec<u64>, Option<u64>)) -> Result<(Vec<u64>, bool, u64)> {
        let mut walk = NumberedWalker::new(size);
        let (mut seen, mut calls) = (Vec::new(), 0);
        loop {
            let (size, number) = walk.next();
            let (ids, total) = serve(size as usize, usize::try_from(number).unwrap(), calls);
            calls += 1;
            match walk.take(&ids, total, false)? {
                PageVerdict::Rows => seen.extend(ids),
                PageVerdict::Last => {
                    seen.extend(ids);
                    break;
                }
                PageVerdict::Nothing => {}
                PageVerdict::End => break,
            }
        }
        seen.sort_unstable();
        seen.dedup();
        Ok((seen, walk.has_changed, calls))
    }

    fn page(list: &[u64], size: usize, number: usize) -> Vec<u64> {
        list.iter().copied().skip(size * number).take(size).collect()
    }

    #[test]
    fn lists_are_read_to_the_end_whatever_size_the_server_sends() {
        for count in 0..24u64 {
            let all: Vec<_> = (0..count).collect();
            for largest in 1..8 {
                for total in [None, Some(count), Some(0)] {
                    // Pages counted by the size that is sent.
                    let own = |size: usize, number, _| (page(&all, size.min(largest), number), total);
                    assert_eq!(walk(5, own).unwrap().0, all, "{count} objects, at most {largest} per page");
                    // Pages counted by the size that was requested.
                    let requested =
                        |size: usize, number, _| (page(&all, size, number).into_iter().take(largest).collect(), total);
                    assert_eq!(walk(5, requested).unwrap().0, all, "{count} objects, cut to {largest}");
                }
            }
        }
        let none = |_: usize, _: usize, _: u64| (Vec::new(), Some(0));
        assert_eq!(walk(5, none).unwrap().2, 1, "an empty list takes one call");
    }

    #[test]
    fn a_short_first_page_ends_a_list_if_the_total_agrees() {
        let all: Vec<_> = (0..30).collect();
        let calls = |count: usize, total| {
            let serve = |size: usize, number, _| (page(&all[..count], size, number), total);
            let (seen, _, calls) = walk(500, serve).unwrap();
            assert_eq!(seen, all[..count]);
            calls
        };
        assert_eq!(calls(24, Some(24)), 1);
        for (count, total) in [(24, None), (24, Some(25)), (24, Some(23)), (25, Some(25)), (30, Some(30))] {
            assert!(calls(count, total) > 1, "{count} {total:?}");
        }
        // Another page is announced, or an object is there twice.
        let mut walk = NumberedWalker::new(500);
        assert_eq!(walk.take(&[1, 2], Some(2), true).unwrap(), PageVerdict::Rows);
        let mut walk = NumberedWalker::new(500);
        assert_eq!(walk.take(&[1, 1], Some(1), false).unwrap(), PageVerdict::Rows);
    }

    #[test]
    fn an_empty_page_hides_nothing_if_there_is_a_total() {
        let all: Vec<_> = (0..12).collect();
        let hidden =
            |size: usize, number, _| (if number == 1 { Vec::new() } else { page(&all, size, number) }, Some(12));
        assert_eq!(walk(3, hidden).unwrap().0.len(), 9);
    }

    #[test]
    fn a_total_that_changes_shows_that_the_list_has_changed() {
        let shrinking = |size: usize, number: usize, call: u64| {
            let all: Vec<_> = (u64::from(call > 0)..10).collect();
            (page(&all, size, number), Some(all.len() as u64))
        };
        let (seen, has_changed, _) = walk(3, shrinking).unwrap();
        assert!(has_changed && !seen.contains(&3), "{seen:?}");
    }

    #[test]
    fn a_server_that_ignores_the_number_is_an_error() {
        for total in [None, Some(100)] {
            assert!(walk(3, |_, _, _| (vec![1, 2, 3], total)).is_err());
        }
        // The last page again, after the end.
        assert_eq!(walk(3, |_, _, _| (vec![1, 2, 3], Some(3))).unwrap().0, [1, 2, 3]);
    }
}
