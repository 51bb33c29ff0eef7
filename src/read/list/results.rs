//! Sums up the lists of a stream's parents: which were read, which Criteo refused, and which failed alone.

use crate::error::{Cause, Error, Result};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::products::fan_out::FanOut;
use crate::read::list::parents::ParentKey;
use crate::read::list::walk::scope_of;
use crate::read::list::{MAX_IN_A_ROW, MAX_REFUSED, may_concern_one_request};
use crate::read::pages::List;

pub(super) struct FanOutResult {
    pub(super) list: List,
    pub(super) total: usize,
    accepted: usize,
    vanished: Vec<Error>,
    /// Descriptions of parents whose objects could not be read, with the errors.
    failed: Vec<(String, Error)>,
    in_a_row: usize,
}

impl FanOutResult {
    pub(super) fn new(total: usize, missing: List) -> Self {
        Self { list: missing, total, accepted: 0, vanished: Vec::new(), failed: Vec::new(), in_a_row: 0 }
    }

    /// Adds the list of one parent. Returns whether the parent is done; `false` means that it failed alone.
    ///
    /// # Errors
    /// When the failure concerns all parents, or too many failed.
    pub(super) fn add(&mut self, each: &FanOut, parent: &ParentKey, result: Result<List>) -> Result<bool> {
        let error = match result {
            Ok(list) => {
                // A part of it may have failed.
                let is_done = list.failure.is_none();
                self.list.add(list);
                self.accepted += 1;
                self.in_a_row = 0;
                return Ok(is_done);
            }
            Err(error) => error,
        };
        let advertiser = scope_of(parent).map(|id| AdvertiserId(id.clone()));
        match (error.cause, advertiser) {
            _ if !each.has_parents() => return Err(error),
            // Objects may be deleted at any time, but advertisers were listed a moment ago.
            (Some(Cause::NotFound), _) if !each.is_of_scope() => {
                self.vanished.push(error);
                return Ok(true);
            }
            (Some(Cause::ConsentMissing), Some(advertiser)) => {
                self.list.lost.insert(advertiser, error);
            }
            (_, Some(advertiser)) if each.is_of_scope() && error.is_refusal() => {
                self.list.lost.insert(advertiser, error);
            }
            _ if may_concern_one_request(&error) => {
                self.in_a_row += 1;
                let is_hopeless = self.accepted == 0 && self.failed.len() + 1 >= MAX_REFUSED.min(self.total);
                if is_hopeless || self.in_a_row >= MAX_IN_A_ROW {
                    return Err(error);
                }
                self.failed.push((describe(parent), error));
                return Ok(false);
            }
            _ => return Err(error),
        }
        match self.list.lost.values().next() {
            Some(first) if self.accepted == 0 && self.list.lost.len() >= MAX_REFUSED.min(self.total) => {
                Err(first.clone())
            }
            _ => Ok(false),
        }
    }

    pub(super) fn conclude(mut self) -> Result<List> {
        if !self.vanished.is_empty() {
            if self.vanished.len() == self.total && self.total > 2 {
                return Err(self.vanished.swap_remove(0));
            }
            let (gone, total) = (self.vanished.len(), self.total);
            // Either the few parents were all deleted, or the endpoint is gone.
            self.list.is_uncertain |= gone == total;
            tracing::warn!(
                "{gone} of {total} parents returned 404: they have no such list, or were deleted during the \
                 sync."
            );
        }
        if let Some((_, error)) = self.failed.first() {
            let parents: Vec<_> = self.failed.iter().take(20).map(|(parent, _)| parent.as_str()).collect();
            let more = if self.failed.len() > parents.len() { " and others" } else { "" };
            let context = format!(
                "{} of {} lists could not be read ({}{more}); the others were",
                self.failed.len(),
                self.total,
                parents.join("; ")
            );
            // The cause concerns one list, not the endpoint.
            let error = Error { cause: None, ..error.clone() }.in_context(&context);
            self.list.failure.get_or_insert(error);
        }
        if let Some(first) = self.list.lost.values().next() {
            let ids: Vec<_> = self.list.lost.keys().cloned().collect();
            tracing::warn!(
                "Criteo refuses to list objects of {}; the others were read.{}",
                format_ids(&ids),
                message_of(first)
            );
        }
        Ok(self.list)
    }
}

/// Criteo's own message, to append to a sentence.
pub(super) fn message_of(error: &Error) -> String {
    match &error.words {
        Some(words) => format!(" Criteo says: {words}"),
        None => format!(" {}", error.detail.as_deref().unwrap_or_default()).trim_end().to_owned(),
    }
}

fn describe(parent: &ParentKey) -> String {
    let parts: Vec<_> = parent.iter().map(|(variable, id)| format!("{} {id}", variable.name())).collect();
    parts.join(", ")
}
