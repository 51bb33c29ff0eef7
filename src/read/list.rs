//! Reads streams of objects in full, page by page; child streams once per parent.
//!
//! Parent objects (ad sets, creatives, segments, product sets, marketplace advertisers) are read once per run, whether
//! their own stream is selected or not. Children of several parents are read at the same time. The state records up to
//! which parent everything is written, so that an interrupted run resumes there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use crate::error::{Cause, Error, Kind, Result};
use crate::http::{Body, Call, MEMORY_MIB};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::output::StreamId;
use crate::products::fan_out::{FanOut, MARKETPLACE_ADVERTISER, ParentSource, ParentStream};
use crate::products::report::Report;
use crate::products::{Entity, Permission, Placeholder, Rest, marketing};
use crate::protocol::airbyte::SyncMode;
use crate::read::pages::{self, Filtered, List, MAX_OBJECTS, Page, PageVerdict, PageWalker, ParentRef};
use crate::read::{InFlight, ReadContext, SelectedStream, requests};
use crate::rows::envelope::{self, Shape};
use crate::state;
use crate::state::resume::Resume;
use crate::state::saved::Saved;
use crate::state::updated::{self, CLOCK_SLACK, UpdatedCursors};
use crate::support::watchdog;
use crate::telemetry::stream_span;

const CONCURRENT_LISTS: usize = 8;
/// Parents per saved state.
const PARENTS_PER_STATE: usize = 50;
/// Most reads of a list that changes while its pages are read.
const MAX_WALKS: u32 = 3;
/// Refusals without a success after which the rest counts as refused.
pub(crate) const MAX_REFUSED: usize = 3;
/// After this many failed lists in a row, the others are not tried.
const MAX_IN_A_ROW: usize = 8;
/// Longest response to filter, in bytes: the copy needs memory too.
const MAX_FILTERED_LEN: usize = 24 * 1024 * 1024;
/// Page size that every list accepts (Criteo's default).
const SMALL_PAGE: u32 = 50;

/// Values for the placeholders in a path and query: one parent of a list.
pub(crate) type ParentKey = BTreeMap<Placeholder, String>;

#[derive(Default)]
struct ParentKeys {
    keys: Vec<ParentKey>,
    /// What was missing from their list; has no references.
    missing: List,
}

struct FanOutResult {
    list: List,
    total: usize,
    accepted: usize,
    vanished: Vec<Error>,
    /// Descriptions of parents whose objects could not be read, with the errors.
    failed: Vec<(String, Error)>,
    in_a_row: usize,
}

impl FanOutResult {
    fn new(total: usize, missing: List) -> Self {
        Self { list: missing, total, accepted: 0, vanished: Vec::new(), failed: Vec::new(), in_a_row: 0 }
    }

    /// Adds the list of one parent. Returns whether the parent is done; `false` means that it failed alone.
    ///
    /// # Errors
    /// When the failure concerns all parents, or too many failed.
    fn add(&mut self, each: &FanOut, parent: &ParentKey, result: Result<List>) -> Result<bool> {
        let error = match result {
            Ok(list) => {
                self.list.add(list);
                self.accepted += 1;
                self.in_a_row = 0;
                return Ok(true);
            }
            Err(error) => error,
        };
        let advertiser = parent.get(&Placeholder::AdvertiserId).map(|id| AdvertiserId(id.clone()));
        match (error.cause, advertiser) {
            _ if !each.has_parents() => return Err(error),
            // Objects may be deleted at any time, but advertisers were listed a moment ago.
            (Some(Cause::NotFound), _) if !each.is_of_advertisers() => {
                self.vanished.push(error);
                return Ok(true);
            }
            (Some(Cause::ConsentMissing), Some(advertiser)) => {
                self.list.lost.insert(advertiser, error);
            }
            (_, Some(advertiser)) if each.is_of_advertisers() && error.is_refusal() => {
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

    fn conclude(mut self) -> Result<List> {
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
fn message_of(error: &Error) -> String {
    match &error.words {
        Some(words) => format!(" Criteo says: {words}"),
        None => format!(" {}", error.detail.as_deref().unwrap_or_default()).trim_end().to_owned(),
    }
}

/// Unique within the stream; sorts as parents do.
fn key(parent: &ParentKey) -> String {
    parent.values().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn describe(parent: &ParentKey) -> String {
    let parts: Vec<_> = parent.iter().map(|(variable, id)| format!("{} {id}", variable.name())).collect();
    parts.join(", ")
}

/// The parent that an object is, unless the filter excludes it or a value is missing.
fn parent_key(each: &FanOut, object: &ParentRef) -> Option<ParentKey> {
    if each.filter.is_some_and(|(member, value)| object.member(member) != Some(value)) {
        return None;
    }
    let values = each.values.iter();
    values.map(|(variable, member)| Some((*variable, object.member(member)?.to_owned()))).collect()
}

/// Whether an error may concern one request only.
pub(crate) fn may_concern_one_request(error: &Error) -> bool {
    let is_passing = error.kind == Kind::Transient && error.cause != Some(Cause::RetriesUsedUp);
    is_passing
        || error.is_refusal()
        || matches!(error.cause, Some(Cause::ResponseTooLarge | Cause::TooSlow | Cause::MoreAnnounced))
}

/// Lists of parent objects by stream name, read on first use.
pub(crate) struct Parents(HashMap<&'static str, OnceCell<Result<Arc<List>>>>);

impl Default for Parents {
    fn default() -> Self {
        Self(marketing::parent_streams().map(|parent| (parent.name, OnceCell::new())).collect())
    }
}

/// The instants that the saved state of an incremental stream of objects has, and those that lie in the future; nothing for
/// other streams.
///
/// # Errors
/// As [`updated::parse`].
pub(crate) fn updated_cursors(
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
    pub(crate) async fn read_entity(
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
        let list = if marketing::is_parent(name) {
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
        if !is_incremental {
            self.output.state(id, state::complete());
        }
        Ok(())
    }

    /// The error for advertisers whose objects Criteo refuses to list, if the user configured them. Others were skipped
    /// with a warning.
    pub(crate) fn refused_error(&self, lost: &BTreeMap<AdvertiserId, Error>) -> Option<Error> {
        let is_of_consent = |error: &Error| error.cause == Some(Cause::ConsentMissing);
        let without_consent = lost.iter().filter(|(_, error)| is_of_consent(error)).map(|(id, _)| id.clone()).collect();
        let others: Vec<_> = lost.iter().filter(|(_, error)| !is_of_consent(error)).collect();
        let ids: Vec<_> = others.iter().map(|(id, _)| (*id).clone()).collect();
        self.lost_error(&without_consent).or_else(|| {
            let (_, error) = others.first().filter(|_| self.is_listed())?;
            Some(Error::config(format!(
                "Criteo refuses this stream for some of the advertiser_ids: {}. The others were read.{} Remove them \
                 from the list, or set skip_inaccessible_advertisers to sync the others without an error.",
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
    pub(crate) async fn report_advertisers(&self, report: &Report) -> Result<Vec<AdvertiserId>> {
        if !report.endpoint.is_marketplace {
            return Ok(self.advertisers.to_vec());
        }
        let parents = self.parents_of(&MARKETPLACE_ADVERTISER).await?.keys;
        Ok(parents.into_iter().flat_map(BTreeMap::into_values).map(AdvertiserId).collect())
    }

    /// The list of a parent stream, read once per run.
    async fn list(&self, name: &str) -> Result<Arc<List>> {
        let (Some(cell), Some(entity)) = (self.parents.0.get(name), marketing::entity_of(name)) else {
            return Err(Error::system(format!("{name} is not a parent stream.")));
        };
        let read = async || {
            let id = self.ids.get(name).copied();
            if let Some(id) = id {
                self.output.open(id);
            }
            let ParentKeys { keys: parents, missing } = self.parents_of(entity.each).await?;
            let mut results = FanOutResult::new(parents.len(), missing);
            let mut lists = stream::iter(&parents)
                .map(async |parent| (parent, self.walk(id, entity, parent).await))
                .buffer_unordered(CONCURRENT_LISTS);
            while let Some((parent, result)) = lists.next().await {
                results.add(entity.each, parent, result)?;
            }
            drop(lists);
            results.conclude().map(Arc::new)
        };
        // Boxed because of recursion: product sets have ad sets and creatives as parents.
        let task = watchdog::task(format!("A stream that is read for each object of {name}"));
        task.waits_for("their list");
        cell.get_or_init(|| Box::pin(read().instrument(stream_span(name)))).await.clone()
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
        let mut lists = stream::iter(parents.iter().enumerate())
            .map(async |(index, parent)| (index, self.walk(Some(id), entity, parent).await))
            .buffer_unordered(CONCURRENT_LISTS);
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

    /// All parents of a stream, in a fixed order.
    async fn parents_of(&self, each: &FanOut) -> Result<ParentKeys> {
        let countries = &self.config.read.countries;
        let of_advertisers =
            || self.advertisers.iter().map(|id| ParentKey::from([(Placeholder::AdvertiserId, id.0.clone())]));
        let mut parents = match each.source {
            ParentSource::Nothing => ParentKeys { keys: vec![ParentKey::new()], ..ParentKeys::default() },
            ParentSource::Advertisers => ParentKeys { keys: of_advertisers().collect(), ..ParentKeys::default() },
            ParentSource::MarketplaceAdvertisers => {
                let mut parents = self.parent_objects(each).await?;
                let known: BTreeSet<_> = of_advertisers().collect();
                parents.keys.retain(|parent| known.contains(parent));
                parents
            }
            ParentSource::Countries if !countries.is_empty() => {
                let in_country = |mut parent: ParentKey, country: &String| {
                    parent.insert(Placeholder::Country, country.clone());
                    parent
                };
                let keys = countries.iter().flat_map(|of| of_advertisers().map(move |parent| in_country(parent, of)));
                ParentKeys { keys: keys.collect(), ..ParentKeys::default() }
            }
            ParentSource::Countries | ParentSource::Objects => self.parent_objects(each).await?,
        };
        parents.keys.sort();
        parents.keys.dedup();
        Ok(parents)
    }

    /// The parents among the objects of other streams.
    async fn parent_objects(&self, each: &FanOut) -> Result<ParentKeys> {
        let mut parents = ParentKeys::default();
        for ParentStream { name, if_refused } in each.streams {
            let list = self.list(name).await;
            if let (Err(error), Some(warning)) = (&list, if_refused)
                && error.is_refusal()
            {
                self.warn_once(&format!("{warning} {error}"));
                parents.missing.is_uncertain = true;
                continue;
            }
            let list = list.map_err(|error| needed(name, error))?;
            parents.missing.add(List {
                lost: list.lost.clone(),
                failure: list.failure.clone().map(|error| needed(name, error)),
                is_uncertain: list.is_uncertain,
                ..List::default()
            });
            if list.references.iter().any(|reference| reference.id.is_empty()) {
                return Err(Error::system(format!(
                    "Criteo sent objects of {name} without an id. Update the connector."
                )));
            }
            parents.keys.extend(list.references.iter().filter_map(|object| parent_key(each, object)));
        }
        Ok(parents)
    }

    /// Reads one list, and writes its rows if a stream is given. If a search for advertisers is too large, each half of
    /// them is requested separately.
    async fn walk(&self, id: Option<StreamId>, entity: Entity, parent: &ParentKey) -> Result<List> {
        if !entity.request.is_search() {
            return self.walk_pages(id, entity, parent, &[]).await;
        }
        let mut list = List::default();
        let mut todo = vec![self.advertisers.to_vec()];
        // Groups of advertisers postponed until Criteo accepts any request.
        let (mut waiting, mut has_accepted) = (Vec::new(), false);
        // Advertisers whose objects could not be read. Isolating one takes log2(count) halvings.
        let (mut failed, mut failures_in_a_row) = (Vec::new(), 0);
        let most_in_a_row = MAX_IN_A_ROW.max(self.advertisers.len().max(1).ilog2() as usize + 2);
        while let Some(advertisers) = todo.pop().or_else(|| waiting.pop().filter(|_| has_accepted)) {
            let error = match self.walk_pages(id, entity, parent, &advertisers).await {
                Ok(part) => {
                    list.add(part);
                    has_accepted = true;
                    failures_in_a_row = 0;
                    continue;
                }
                Err(error) => error,
            };
            match (error.cause, &advertisers[..]) {
                (Some(Cause::ConsentMissing), _) => {
                    // Criteo does not say which advertisers it refuses.
                    let consenting = self.still_consenting().await?;
                    let (left, gone): (Vec<_>, Vec<_>) =
                        advertisers.iter().cloned().partition(|id| consenting.contains(id));
                    if gone.is_empty() {
                        Self::isolate(&advertisers, error, &mut list, &mut todo);
                    } else {
                        list.lost.extend(gone.into_iter().map(|id| (id, error.clone())));
                        todo.extend((!left.is_empty()).then_some(left));
                    }
                }
                (_, [_, _, ..]) if error.is_refusal() && !has_accepted && list.lost.len() >= MAX_REFUSED => {
                    waiting.push(advertisers);
                }
                (Some(Cause::ResponseTooLarge | Cause::RequestTooLong | Cause::TooSlow), [_, _, ..]) => {
                    Self::isolate(&advertisers, error, &mut list, &mut todo);
                }
                _ if error.is_refusal() => Self::isolate(&advertisers, error, &mut list, &mut todo),
                // A single advertiser may cause the failure for all.
                (_, several) if may_concern_one_request(&error) && failures_in_a_row < most_in_a_row => {
                    failures_in_a_row += 1;
                    match several {
                        [advertiser] => failed.push((advertiser.clone(), error)),
                        _ => Self::isolate(&advertisers, error, &mut list, &mut todo),
                    }
                }
                _ => return Err(error),
            }
        }
        let first = failed.first().map(|(_, error)| error.clone());
        match list.lost.values().next().or(first.as_ref()) {
            Some(error) if !has_accepted => return Err(error.clone()),
            _ => {}
        }
        if let Some(first) = first {
            let ids: Vec<_> = failed.into_iter().map(|(id, _)| id).collect();
            let context = format!("Objects of {} could not be read; those of the others were", format_ids(&ids));
            // The cause concerns one request, not the endpoint.
            list.failure.get_or_insert(Error { cause: None, ..first }.in_context(&context));
        }
        Ok(list)
    }

    /// Schedules each half of the advertisers; a single one is recorded as lost.
    fn isolate(advertisers: &[AdvertiserId], error: Error, list: &mut List, todo: &mut Vec<Vec<AdvertiserId>>) {
        if let [advertiser] = advertisers {
            list.lost.insert(advertiser.clone(), error);
        } else {
            let (left, right) = advertisers.split_at(advertisers.len() / 2);
            todo.extend([right.to_vec(), left.to_vec()]);
        }
    }

    async fn walk_pages(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        parent: &ParentKey,
        advertisers: &[AdvertiserId],
    ) -> Result<List> {
        let mut list = List::default();
        let mut in_flight = InFlight::default();
        let Some(mut limit) = entity.request.limit() else {
            let (body, page) = self.page(entity, parent, advertisers, None).await?;
            // Without pages, announced objects that did not arrive are lost.
            page.envelope.must_be_whole(page.count, &format!("objects at {}", entity.path))?;
            self.write(id, entity, parent, body, &mut in_flight);
            list.add(page.list);
            if let Some(rest) = entity.rest {
                // The first request succeeded, so this cannot be a refusal.
                let as_failure = |error: Error| {
                    if error.is_refusal() { Error { kind: Kind::Transient, cause: None, ..error } } else { error }
                };
                let body = self.rest(entity, rest, parent, &list).await.map_err(as_failure)?;
                self.write(id, entity, parent, body, &mut in_flight);
            }
            in_flight.wait_all().await?;
            return Ok(list);
        };
        let mut walks = 0;
        loop {
            walks += 1;
            let mut walk = PageWalker::default();
            loop {
                let response = self.page(entity, parent, advertisers, Some((limit, walk.offset()))).await;
                let (body, page) = match response {
                    // Criteo does not document the page size limit of every list.
                    Err(error) if error.cause == Some(Cause::Rejected) && limit > SMALL_PAGE => {
                        limit = SMALL_PAGE;
                        continue;
                    }
                    response => response?,
                };
                match walk.take(&page, limit)? {
                    PageVerdict::End => break,
                    PageVerdict::Nothing => {}
                    PageVerdict::Rows => {
                        in_flight.check()?;
                        self.write(id, entity, parent, body, &mut in_flight);
                        list.add(page.list);
                    }
                }
            }
            if !walk.has_shifted {
                if let Some(total) = walk.total.filter(|total| *total > walk.count) {
                    tracing::warn!("Criteo announced {total} objects at {}, but sent {}.", entity.path, walk.count);
                    list.is_uncertain = true;
                }
                if walk.has_more {
                    tracing::warn!(
                        "Criteo announced another page at {} after {} objects, but sent none.",
                        entity.path,
                        walk.count
                    );
                    list.is_uncertain = true;
                }
                break;
            }
            if walks >= MAX_WALKS {
                tracing::warn!(
                    "The list at {} changed during each of {walks} reads; an object may be missing. The next sync \
                     reads it again.",
                    entity.path
                );
                list.is_uncertain = true;
                break;
            }
        }
        in_flight.wait_all().await?;
        Ok(list)
    }

    /// Requests the objects that a list omits; their unknown fields are null.
    async fn rest(&self, entity: Entity, rest: Rest, parent: &ParentKey, list: &List) -> Result<Body> {
        let entity = Entity { query: rest.query, ..entity };
        let (body, page) = self.page(entity, parent, &[], None).await?;
        page.envelope.must_be_whole(page.count, &format!("objects at {}", entity.path))?;
        let known: HashSet<_> = list.references.iter().map(|of| of.id.as_str()).collect();
        self.part(entity, body, |_, object| pages::unknown_object(object, &known, rest.unknown)).await
    }

    /// A new body with the objects of a response that `keep` keeps or rewrites.
    async fn part(
        &self,
        entity: Entity,
        body: Body,
        keep: impl for<'a> FnMut(u64, &'a str) -> Result<Option<Cow<'a, str>>, String>,
    ) -> Result<Body> {
        if body.text()?.len() > MAX_FILTERED_LEN {
            return Err(Error::system(format!(
                "Criteo sent a response larger than {} MiB at {}, too large to filter. No objects of it were written.",
                MAX_FILTERED_LEN / 1024 / 1024,
                entity.path
            )));
        }
        let mut filtered = Filtered::new(keep);
        envelope::check_into(body.text()?, Shape::Plain, &mut filtered)?;
        let text = filtered.text();
        drop(body);
        Ok(self.client.body(text).await)
    }

    async fn page(
        &self,
        entity: Entity,
        parent: &ParentKey,
        advertisers: &[AdvertiserId],
        limit_and_offset: Option<(u32, u64)>,
    ) -> Result<(Body, Page)> {
        let value = |variable| parent.get(&variable).map(String::as_str);
        let call = requests::objects(entity, &value, advertisers, limit_and_offset);
        // Fewer advertisers are requested only after a request for all of them failed.
        let is_suspect = !advertisers.is_empty() && advertisers.len() < self.advertisers.len();
        let call = Call { is_suspect, ..call };
        let mut requested_ids: HashSet<_> = advertisers.iter().map(|id| id.0.clone()).collect();
        if entity.each.is_of_advertisers() {
            requested_ids.extend(parent.get(&Placeholder::AdvertiserId).cloned());
        }
        let check = |body: &str| {
            let mut page = Page::of(requested_ids.clone());
            page.envelope = envelope::check_into(body, Shape::Plain, &mut page)?;
            page.check_size()?;
            Ok(page)
        };
        let (body, page) = self.client.fetch(&call, check).await.map_err(|error| match error.cause {
            Some(Cause::ResponseTooLarge) => Error::config(format!(
                "The response has more than {MAX_OBJECTS} objects or {MEMORY_MIB} MiB, and this endpoint has no pages. \
                 Sync fewer advertisers (advertiser_ids)."
            ))
            .because(Cause::ResponseTooLarge),
            _ => error,
        })?;
        self.pass_on(&page.envelope.warnings);
        if page.unrequested.is_empty() {
            return Ok((body, page));
        }
        self.warn_once(&format!(
            "Criteo sent objects of advertisers that were not requested at {} ({} in one response); they are skipped.",
            entity.path,
            page.unrequested.len()
        ));
        let unrequested = &page.unrequested;
        let own =
            self.part(entity, body, |at, object| Ok((!unrequested.contains(&at)).then_some(Cow::Borrowed(object))));
        Ok((own.await?, page))
    }

    fn write(&self, id: Option<StreamId>, entity: Entity, parent: &ParentKey, body: Body, in_flight: &mut InFlight) {
        if let Some(id) = id {
            let columns = entity.columns.iter();
            let constants =
                columns.filter_map(|variable| Some((variable.name(), parent.get(variable)?.clone()))).collect();
            in_flight.push(self.output.write_rows(id, body, constants, None));
        }
    }
}

/// The error of a stream whose parents cannot be read.
fn needed(name: &str, error: Error) -> Error {
    let permission = match error.cause {
        Some(Cause::PermissionMissing) => marketing::permission_of(name).map(Permission::label),
        _ => None,
    };
    let needs = permission.map(|label| format!(", which needs the permission \"{label}\"")).unwrap_or_default();
    let error = error.in_context(&format!("This stream is read for each object of {name}{needs}"));
    Error { cause: None, ..error }
}
