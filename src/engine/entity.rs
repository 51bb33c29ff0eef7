//! Streams of objects: read whole, page by page, and for many of them once for each of their parents.
//!
//! Objects that others hang on (ad sets, creatives, segments, product sets, marketplace advertisers) are read once a run,
//! whether their own stream is selected or not. Children of many parents are asked for at once, and a state tells up to
//! which parent everything is written, so that a run that is interrupted goes on from there.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::pages::{List, Page, Step, Walk};
use super::resume::{Resume, is_of_full_refresh};
use super::rows::Shape;
use super::{InFlight, Run, Selected, cursor, names, rows};
use crate::api::{Body, SPACE_MIB, wire};
use crate::config::AdvertiserId;
use crate::error::{Cause, Error, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::StreamId;
use crate::streams::endpoint::Endpoint;
use crate::streams::report::Report;
use crate::streams::{Each, Entity, Permission, Variable, catalog};

/// Parents whose children are asked for at once.
const AT_ONCE: usize = 8;
/// A state is written when so many more parents are done.
const PARENTS_A_STATE: usize = 50;
/// A list that changes while its pages are read is read anew, at most so many times in all.
const MOST_WALKS: u32 = 3;
/// The version of the states of objects.
pub(super) const VERSION: u64 = 1;

/// The values for the placeholders of a path and a query.
pub(super) type Place = BTreeMap<Variable, String>;

/// Everything that the lists of a stream hang on.
struct Places {
    places: Vec<Place>,
    /// Whether these are certainly all.
    is_certain: bool,
}

/// What the lists of all parents of a stream gave.
struct Gathered {
    list: List,
    total: usize,
    vanished: Vec<Error>,
}

impl Gathered {
    fn new(total: usize, is_certain: bool) -> Self {
        let list = List { is_uncertain: !is_certain, ..List::default() };
        Self { list, total, vanished: Vec::new() }
    }

    /// Takes the list of one parent; some failures are the parent's alone.
    fn add(&mut self, each: Each, place: &Place, result: Result<List>) -> Result<()> {
        match result {
            Ok(list) => self.list.add(list),
            Err(error) => match (error.cause, place.get(&Variable::AdvertiserId)) {
                (Some(Cause::NotFound), _) if each != Each::Nothing => self.vanished.push(error),
                (Some(Cause::ConsentMissing), Some(advertiser)) => {
                    self.list.lost.insert(AdvertiserId(advertiser.clone()));
                }
                _ => return Err(error),
            },
        }
        Ok(())
    }

    /// Tells what is missing.
    fn conclude(mut self, name: &str, each: Each) -> Result<List> {
        if !self.vanished.is_empty() {
            // Advertisers were listed a moment ago: where none of them has it, it is the endpoint that is missing.
            let is_listed = matches!(each, Each::Advertiser | Each::MarketplaceAdvertiser);
            if self.vanished.len() == self.total && (is_listed || self.total > 2) {
                return Err(self.vanished.swap_remove(0));
            }
            let (gone, total) = (self.vanished.len(), self.total);
            // All of a few may have vanished, or the endpoint has.
            self.list.is_uncertain |= gone == total;
            tracing::warn!("{name}: {gone} of {total} parents have none, or have vanished meanwhile.");
        }
        if !self.list.lost.is_empty() {
            let ids: Vec<_> = self.list.lost.iter().cloned().collect();
            tracing::warn!("{name}: Criteo refuses to list objects of {}; the others were read.", names(&ids));
        }
        Ok(self.list)
    }
}

/// The lists that others hang on, by the name of their stream; read when somebody first needs them.
pub(super) struct Parents(HashMap<&'static str, OnceCell<Result<Arc<List>>>>);

impl Default for Parents {
    fn default() -> Self {
        Self(catalog::PARENTS.iter().map(|name| (*name, OnceCell::new())).collect())
    }
}

/// What an incremental stream of objects has come to.
pub(super) struct Floor {
    /// Rows that were changed before are not written again,
    pub instant: DateTime<Utc>,
    /// if they belong to these advertisers.
    pub advertisers: Vec<String>,
}

/// Reads the state of an incremental stream of objects.
///
/// # Errors
/// `config_error` for a state that is none.
pub(super) fn floor(selected: &Selected, state: &Value) -> Result<Option<Floor>> {
    if selected.sync_mode != SyncMode::Incremental || selected.stream.cursor() != Some("updated_at") {
        return Ok(None);
    }
    match state {
        Value::Null => Ok(None),
        Value::Object(object) if object.is_empty() || cursor::is_no_cursor(object) || is_of_full_refresh(object) => {
            Ok(None)
        }
        state => {
            let instant = state["updated_at"].as_str().filter(|_| state["version"] == VERSION);
            let instant = instant.and_then(|text| text.parse().ok());
            let advertisers = serde_json::from_value(state["advertisers"].clone()).ok();
            match (instant, advertisers) {
                (Some(instant), Some(advertisers)) => Ok(Some(Floor { instant, advertisers })),
                _ => Err(cursor::corrupt("it has no version 1 with updated_at and advertisers")),
            }
        }
    }
}

impl Run<'_> {
    pub(super) async fn read_entity(
        &self,
        id: StreamId,
        selected: &Selected,
        entity: Entity,
        state: &Value,
    ) -> Result<()> {
        let floor = floor(selected, state)?;
        let name = &selected.stream.name;
        // Objects that change while pages are read come with the next sync.
        let latest_certain = self.clock.now() - TimeDelta::minutes(5);
        let list = if catalog::is_parent(name) {
            // Children may have caused it to be read already.
            self.list(name).await?
        } else {
            Arc::new(self.read_lists(id, selected, entity, state).await?)
        };
        if let Some(error) = self.lost_error(&list.lost) {
            return Err(error);
        }
        let known = floor.as_ref().map(|floor| floor.instant);
        let latest = list.latest.filter(|_| !list.is_uncertain).map(|latest| latest.min(latest_certain)).max(known);
        let is_incremental = selected.sync_mode == SyncMode::Incremental && selected.stream.cursor().is_some();
        let state = match latest.filter(|_| is_incremental) {
            Some(latest) => {
                let known = floor.map(|floor| floor.advertisers).unwrap_or_default();
                let advertisers: BTreeSet<_> = self.advertisers.iter().map(|id| id.0.clone()).chain(known).collect();
                let latest = latest.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                json!({"version": VERSION, "updated_at": latest, "advertisers": advertisers})
            }
            None => cursor::no_cursor(),
        };
        // What no longer comes is gone, unless somebody has only lost sight of it.
        if list.lost.is_empty() && !list.is_uncertain && !self.has_missing {
            self.output.whole(id, self.scope());
        }
        self.output.state(id, state);
        Ok(())
    }

    /// What objects are read for: with less of it, some are missing that still exist.
    fn scope(&self) -> Vec<String> {
        self.advertisers.iter().map(|id| &id.0).chain(&self.config.countries).cloned().collect()
    }

    /// The advertisers of a report: for marketplaces only those that are one.
    pub(super) async fn report_advertisers(&self, report: &Report) -> Result<Vec<AdvertiserId>> {
        if !matches!(report.endpoint, Endpoint::Marketplace(_)) {
            return Ok(self.advertisers.to_vec());
        }
        let places = self.places(Each::MarketplaceAdvertiser).await?.places;
        Ok(places.into_iter().flat_map(BTreeMap::into_values).map(AdvertiserId).collect())
    }

    /// The list of a stream that others hang on.
    async fn list(&self, name: &str) -> Result<Arc<List>> {
        let (Some(cell), Some(entity)) = (self.parents.0.get(name), catalog::entity_of(name)) else {
            return Err(Error::system(format!("{name} is no stream that others hang on.")));
        };
        let read = async || {
            let id = self.ids.get(name).copied();
            if let Some(id) = id {
                self.output.open(id);
            }
            let Places { places, is_certain } = self.places(entity.each).await?;
            let mut gathered = Gathered::new(places.len(), is_certain);
            let mut lists = stream::iter(&places)
                .map(async |place| (place, self.walk(id, entity, place).await))
                .buffer_unordered(AT_ONCE);
            while let Some((place, result)) = lists.next().await {
                gathered.add(entity.each, place, result)?;
            }
            drop(lists);
            gathered.conclude(name, entity.each).map(Arc::new)
        };
        // Boxed, since product sets hang on ad sets and creatives, which are lists themselves.
        cell.get_or_init(|| Box::pin(read())).await.clone()
    }

    /// Reads the lists of all parents of a stream.
    async fn read_lists(&self, id: StreamId, selected: &Selected, entity: Entity, state: &Value) -> Result<List> {
        let name = &selected.stream.name;
        let Places { mut places, is_certain } = self.places(entity.each).await?;
        let mut gathered = Gathered::new(places.len(), is_certain);
        let resume = Resume::new(selected.sync_id, &self.scope(), self.clock.now(), state);
        places.retain(|place| !resume.is_done(place));
        if places.len() < gathered.total {
            let done = gathered.total - places.len();
            tracing::info!("{name}: {done} of {} parents were read before the interruption.", gathered.total);
        }
        let (mut done, mut prefix, mut saved) = (vec![false; places.len()], 0, 0);
        let mut lists = stream::iter(places.iter().enumerate())
            .map(async |(index, place)| (index, self.walk(Some(id), entity, place).await))
            .buffer_unordered(AT_ONCE);
        while let Some((index, result)) = lists.next().await {
            gathered.add(entity.each, &places[index], result)?;
            // What children would need of these objects is needed by nobody.
            gathered.list.references.clear();
            done[index] = true;
            while done.get(prefix) == Some(&true) {
                prefix += 1;
            }
            if prefix >= saved + PARENTS_A_STATE
                && let Some(state) = places.get(prefix - 1).and_then(|place| resume.state_after(place))
            {
                saved = prefix;
                self.output.state(id, state);
            }
        }
        drop(lists);
        gathered.conclude(name, entity.each)
    }

    /// Everything that the lists of a stream hang on, in a fixed order.
    async fn places(&self, each: Each) -> Result<Places> {
        let is_certain = Cell::new(true);
        let place = |variable, id: &str| Place::from([(variable, id.to_owned())]);
        let of_advertisers = || self.advertisers.iter().map(|id| place(Variable::AdvertiserId, &id.0));
        let of_list = async |name: &str| {
            let list = self.list(name).await.map_err(|error| needed(name, error))?;
            is_certain.set(is_certain.get() && list.lost.is_empty() && !list.is_uncertain);
            if list.references.iter().any(|reference| reference.id.is_empty()) {
                return Err(Error::system(format!(
                    "Criteo has sent objects of {name} without an id; update the connector."
                )));
            }
            Ok(list)
        };
        let mut places: Vec<Place> = match each {
            Each::Nothing => vec![Place::new()],
            Each::Advertiser => of_advertisers().collect(),
            Each::AdSet => {
                let ad_sets = of_list("ad_sets").await?;
                let pairs =
                    ad_sets.references.iter().filter_map(|ad_set| Some((ad_set, ad_set.advertiser_id.clone()?)));
                pairs
                    .map(|(ad_set, advertiser)| {
                        let mut place = place(Variable::AdSetId, &ad_set.id);
                        place.insert(Variable::AdvertiserId, advertiser);
                        place
                    })
                    .collect()
            }
            Each::Dataset => {
                let ad_sets = of_list("ad_sets").await?;
                let creatives = self.list("creatives").await.or_else(|error| match error.cause {
                    Some(Cause::PermissionMissing | Cause::Forbidden | Cause::NotFound) => {
                        self.warn_once(format!(
                            "Only the datasets of ad sets are known, not those of creatives. {error}"
                        ));
                        is_certain.set(false);
                        Ok(Arc::default())
                    }
                    _ => Err(needed("creatives", error)),
                })?;
                let ids =
                    ad_sets.references.iter().chain(&creatives.references).filter_map(|of| of.dataset_id.as_ref());
                let ids: BTreeSet<_> = ids.collect();
                ids.into_iter().map(|id| place(Variable::DatasetId, id)).collect()
            }
            Each::ContactList => {
                let segments = of_list("audience_segments").await?;
                let lists = segments.references.iter().filter(|of| of.kind.as_deref() == Some("ContactList"));
                lists.map(|segment| place(Variable::SegmentId, &segment.id)).collect()
            }
            Each::Country => {
                let countries: BTreeSet<(String, String)> = if self.config.countries.is_empty() {
                    let segments = of_list("audience_segments").await?;
                    let pairs =
                        segments.references.iter().filter_map(|of| of.advertiser_id.clone().zip(of.country.clone()));
                    pairs.collect()
                } else {
                    let countries = &self.config.countries;
                    self.advertisers.iter().flat_map(|id| countries.iter().map(|c| (id.0.clone(), c.clone()))).collect()
                };
                countries
                    .into_iter()
                    .map(|(advertiser, country)| {
                        Place::from([(Variable::AdvertiserId, advertiser), (Variable::Country, country)])
                    })
                    .collect()
            }
            Each::ProductSet => {
                let sets = of_list("product_sets").await?;
                sets.references.iter().map(|set| place(Variable::ProductSetId, &set.id)).collect()
            }
            Each::MarketplaceAdvertiser => {
                let advertisers = of_list("mpo_advertisers").await?;
                let known: BTreeSet<_> = advertisers.references.iter().map(|of| of.id.as_str()).collect();
                of_advertisers().filter(|place| place.values().all(|id| known.contains(id.as_str()))).collect()
            }
        };
        places.sort();
        places.dedup();
        Ok(Places { places, is_certain: is_certain.get() })
    }

    /// Walks one list to its end, and writes its rows to a stream where that is selected. Searches name the advertisers:
    /// what is too long for one request or answer is asked for in halves of them.
    async fn walk(&self, id: Option<StreamId>, entity: Entity, place: &Place) -> Result<List> {
        if !entity.request.is_search() {
            return self.walk_pages(id, entity, place, &[]).await;
        }
        let mut list = List::default();
        let mut todo = vec![self.advertisers.to_vec()];
        while let Some(advertisers) = todo.pop() {
            let error = match self.walk_pages(id, entity, place, &advertisers).await {
                Ok(part) => {
                    list.add(part);
                    continue;
                }
                Err(error) => error,
            };
            match error.cause {
                Some(Cause::AnswerTooLarge | Cause::RequestTooLong) if advertisers.len() > 1 => {
                    let (left, right) = advertisers.split_at(advertisers.len() / 2);
                    todo.extend([right.to_vec(), left.to_vec()]);
                }
                Some(Cause::ConsentMissing) => {
                    // Criteo does not say whom it refuses.
                    let consenting = self.still_consenting().await?;
                    let (left, gone): (Vec<_>, Vec<_>) =
                        advertisers.into_iter().partition(|id| consenting.contains(id));
                    if gone.is_empty() || left.is_empty() {
                        return Err(error);
                    }
                    list.lost.extend(gone);
                    todo.push(left);
                }
                _ => return Err(error),
            }
        }
        Ok(list)
    }

    async fn walk_pages(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        place: &Place,
        advertisers: &[AdvertiserId],
    ) -> Result<List> {
        let mut list = List::default();
        let mut in_flight = InFlight::default();
        let Some(limit) = entity.request.limit() else {
            let (body, page) = self.page(entity, place, advertisers, 0).await?;
            // An answer without pages that announces more than it holds has lost something.
            if let Some(total) = page.envelope.total_items.filter(|total| *total > page.count) {
                return Err(Error::system(format!(
                    "Criteo says that there are {total} objects and sent {}, at an endpoint that has no pages. Update the \
                     connector; nothing was dropped in silence.",
                    page.count
                )));
            }
            self.write(id, entity, place, body, &mut in_flight);
            list.add(page.list);
            in_flight.settle().await?;
            return Ok(list);
        };
        let mut walks = 0;
        loop {
            walks += 1;
            let mut walk = Walk::default();
            loop {
                let (body, page) = self.page(entity, place, advertisers, walk.offset()).await?;
                match walk.take(&page, limit)? {
                    Step::End => break,
                    Step::Nothing => {}
                    Step::Rows => {
                        in_flight.check()?;
                        self.write(id, entity, place, body, &mut in_flight);
                        list.add(page.list);
                    }
                }
            }
            if !walk.has_shifted {
                if let Some(total) = walk.total.filter(|total| *total > walk.count) {
                    tracing::warn!(
                        "Criteo says that there are {total} objects at {}, and sent {}.",
                        entity.path,
                        walk.count
                    );
                    list.is_uncertain = true;
                }
                break;
            }
            if walks >= MOST_WALKS {
                tracing::warn!(
                    "The list at {} has changed each of the {walks} times that it was read; an object may be missing. The \
                     next sync reads it again.",
                    entity.path
                );
                list.is_uncertain = true;
                break;
            }
        }
        in_flight.settle().await?;
        Ok(list)
    }

    async fn page(
        &self,
        entity: Entity,
        place: &Place,
        advertisers: &[AdvertiserId],
        offset: u64,
    ) -> Result<(Body, Page)> {
        let call = wire::objects(entity, &|variable| place.get(&variable).map(String::as_str), advertisers, offset);
        let check = |body: &str| {
            let mut page = Page::default();
            page.envelope = rows::check_into(body, Shape::Plain, &mut page)?;
            Ok(page)
        };
        let (body, page) = self.client.fetch(&call, check).await.map_err(|error| match error.cause {
            Some(Cause::AnswerTooLarge) => Error::config(format!(
                "All objects at once have more than {SPACE_MIB} MiB, and this endpoint has no pages. Read fewer advertisers \
                 at once (advertiser_ids)."
            ))
            .because(Cause::AnswerTooLarge),
            _ => error,
        })?;
        self.pass_on(&page.envelope.warnings);
        Ok((body, page))
    }

    fn write(&self, id: Option<StreamId>, entity: Entity, place: &Place, body: Body, in_flight: &mut InFlight) {
        if let Some(id) = id {
            let columns = entity.columns.iter();
            let constants =
                columns.filter_map(|variable| Some((variable.name(), place.get(variable)?.clone()))).collect();
            in_flight.push(self.output.slice(id, body, constants, None));
        }
    }
}

/// The error of a stream whose parents cannot be read; a permission that is missing is theirs.
fn needed(name: &str, error: Error) -> Error {
    let permission = match error.cause {
        Some(Cause::PermissionMissing | Cause::Forbidden) => catalog::permission_of(name).map(Permission::label),
        _ => None,
    };
    let needs = permission.map(|label| format!(", which needs the permission \"{label}\"")).unwrap_or_default();
    let error = error.in_context(&format!("This stream is read for each object of {name}{needs}"));
    Error { cause: None, ..error }
}
