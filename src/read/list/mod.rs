//! Reads streams of objects in full, page by page; child streams once per parent.
//!
//! Parent objects (ad sets, creatives, segments, product sets, marketplace advertisers) are read once per run, whether
//! their own stream is selected or not. Children of several parents are read at the same time. The state records up to
//! which parent everything is written, so that an interrupted run resumes there.
//!
//! `parents` finds the parents, `walk` reads the list of one, and `results` sums up what was read.

pub(super) mod parents;
mod results;
pub(super) mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _};

use crate::error::{Cause, Error, Kind, Result};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::model::product::Scope;
use crate::output::StreamId;
use crate::products::fan_out::MARKETPLACE_ADVERTISER;
use crate::products::report::Report;
use crate::products::{self, Entity, Request};
use crate::protocol::airbyte::SyncMode;
use crate::read::jobs::CONCURRENT_JOBS;
use crate::read::list::parents::{ParentKey, ParentKeys};
use crate::read::list::results::{FanOutResult, message_of};
use crate::read::pages::List;
use crate::read::{ReadContext, SelectedStream};
use crate::state;
use crate::state::resume::Resume;
use crate::state::saved::Saved;
use crate::state::updated::{self, CLOCK_SLACK, UpdatedCursors};

const CONCURRENT_LISTS: usize = 8;
/// Parents per saved state.
const PARENTS_PER_STATE: usize = 50;
/// Refusals without a success after which the rest counts as refused.
pub(super) const MAX_REFUSED: usize = 3;
/// After this many failed lists in a row, the others are not tried.
const MAX_IN_A_ROW: usize = 8;

/// Unique within the stream; sorts as parents do.
fn key(parent: &ParentKey) -> String {
    parent.values().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Whether an error may concern one request only.
pub(super) fn may_concern_one_request(error: &Error) -> bool {
    let is_passing = error.kind == Kind::Transient && error.cause != Some(Cause::RetriesUsedUp);
    is_passing
        || error.is_refusal()
        || matches!(error.cause, Some(Cause::ResponseTooLarge | Cause::TooSlow | Cause::MoreAnnounced))
}

/// The instants that the saved state of an incremental stream of objects has, and those that lie in the future; nothing for
/// other streams.
///
/// # Errors
/// As [`updated::parse`].
pub(super) fn updated_cursors(
    selected: &SelectedStream,
    state: &Saved,
    now: DateTime<Utc>,
) -> Result<(UpdatedCursors, Vec<DateTime<Utc>>)> {
    if selected.sync_mode != SyncMode::Incremental || selected.stream.cursor() != Some("updated_at") {
        return Ok((UpdatedCursors::new(), Vec::new()));
    }
    updated::parse(&state.value()?, now)
}

impl ReadContext<'_> {
    pub(super) async fn read_entity(
        &self,
        id: StreamId,
        selected: &SelectedStream,
        entity: Entity,
        state: &Saved,
    ) -> Result<()> {
        let name = &selected.stream.name;
        let (mut cursors, future) = updated_cursors(selected, state, self.clock.now())?;
        if let Some(latest) = future.iter().max() {
            tracing::warn!(
                "The saved cursor {latest} is in the future because the clock of an earlier sync was wrong. \
                 All objects of these advertisers are written again."
            );
        }
        // The next sync reads objects that change while pages are read.
        let latest_certain = self.clock.now() - CLOCK_SLACK;
        let list = if products::is_parent(name) {
            // A child stream may have read it already.
            self.list(name).await?
        } else {
            Arc::new(self.read_lists(id, selected, entity, state).await?)
        };
        let error = list.failure.clone().or_else(|| self.refused_error(&list.lost));
        let is_incremental = selected.sync_mode == SyncMode::Incremental && selected.stream.cursor().is_some();
        if is_incremental {
            if !list.is_uncertain {
                for (advertiser, latest) in &list.latest {
                    let instant = cursors.entry(advertiser.clone()).or_insert(DateTime::UNIX_EPOCH);
                    *instant = (*latest).min(latest_certain).max(*instant);
                }
            }
            self.output.state(id, updated::to_value(&cursors));
        }
        if let Some(error) = error {
            return Err(error);
        }
        // Objects missing from the list were deleted, unless the list was incomplete.
        if list.is_whole() && !self.has_missing {
            self.output.finish_snapshot(id, self.scope());
        }
        // A stream that lacks listed advertisers ends as incomplete.
        let lacks_some = self.has_missing && !self.config.read.skip_inaccessible && selected.stream.is_by_advertiser();
        if !is_incremental && !lacks_some {
            self.output.state(id, state::complete());
        }
        Ok(())
    }

    /// The error for advertisers whose objects Criteo refuses to list, if the user configured them. Others were skipped
    /// with a warning.
    pub(super) fn refused_error(&self, lost: &BTreeMap<AdvertiserId, Error>) -> Option<Error> {
        let is_of_consent = |error: &Error| error.cause == Some(Cause::ConsentMissing);
        let without_consent = lost.iter().filter(|(_, error)| is_of_consent(error)).map(|(id, _)| id.clone()).collect();
        let others: Vec<_> = lost.iter().filter(|(_, error)| !is_of_consent(error)).collect();
        let ids: Vec<_> = others.iter().map(|(id, _)| (*id).clone()).collect();
        let Scope { setting, skip_setting, .. } = self.config.product().scope();
        self.lost_error(&without_consent).or_else(|| {
            let (_, error) = others.first().filter(|_| self.is_listed())?;
            Some(Error::config(format!(
                "Criteo refuses this stream for some of the {setting}: {}. The others were read.{} Remove them \
                 from the list, or set {skip_setting} to sync the others without an error.",
                format_ids(&ids),
                message_of(error)
            )))
        })
    }

    /// Advertisers and countries of this sync: with fewer, existing objects are missing from lists.
    fn scope(&self) -> Vec<String> {
        self.advertisers.iter().map(|id| &id.0).chain(&self.config.read.countries).cloned().collect()
    }

    /// The advertisers of a report; for marketplace reports only marketplace advertisers.
    pub(super) async fn report_advertisers(&self, report: &Report) -> Result<Vec<AdvertiserId>> {
        if !report.endpoint.is_marketplace {
            return Ok(self.advertisers.to_vec());
        }
        let parents = self.parents_of(&MARKETPLACE_ADVERTISER).await?.keys;
        Ok(parents.into_iter().flat_map(BTreeMap::into_values).map(AdvertiserId).collect())
    }

    async fn read_lists(&self, id: StreamId, selected: &SelectedStream, entity: Entity, state: &Saved) -> Result<List> {
        let ParentKeys { keys: mut parents, missing } = self.parents_of(entity.each).await?;
        // A state also marks earlier parents missing from this list as done.
        let are_all_known = missing.is_whole();
        let mut results = FanOutResult::new(parents.len(), missing);
        let resume = Resume::new(selected.sync_id, &self.scope(), self.clock.now(), &state.value()?);
        parents.retain(|parent| !resume.is_done(&key(parent)));
        if parents.len() < results.total {
            let done = results.total - parents.len();
            tracing::info!("{done} of {} parents were read before the interruption.", results.total);
        }
        let (mut done, mut prefix, mut saved) = (vec![false; parents.len()], 0, 0);
        let most = if matches!(entity.request, Request::Job(_)) { CONCURRENT_JOBS } else { CONCURRENT_LISTS };
        let mut lists = stream::iter(parents.iter().enumerate())
            .map(async |(index, parent)| (index, self.walk(Some(id), entity, parent).await))
            .buffer_unordered(most);
        while let Some((index, result)) = lists.next().await {
            // A failed parent is never saved as done.
            done[index] = results.add(entity.each, &parents[index], result)?;
            // This stream has no children, so its references are dropped.
            results.list.references.clear();
            while done.get(prefix) == Some(&true) {
                prefix += 1;
            }
            if are_all_known
                && prefix >= saved + PARENTS_PER_STATE
                && let Some(state) = parents.get(prefix - 1).and_then(|parent| resume.state_after(&key(parent)))
            {
                saved = prefix;
                self.output.state(id, state);
            }
        }
        drop(lists);
        results.conclude()
    }
}
