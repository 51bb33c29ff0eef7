//! Streams of objects: read whole, page by page, and for many of them once for each of their parents.
//!
//! Objects that others hang on (ad sets, creatives, segments, product sets, marketplace advertisers) are read once a run,
//! whether their own stream is selected or not. Children of many parents are asked for at once, and a state tells up to
//! which parent everything is written, so that a run that is interrupted goes on from there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::stream::{self, StreamExt as _};
use serde::de::{Deserialize as _, Deserializer};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::rows::{Envelope, RowSink, Shape};
use super::{InFlight, Run, Selected, cursor, names, rows};
use crate::api::{
    ANSWER_TOO_LARGE, Body, CONSENT_MISSING, NOT_FOUND, PERMISSION_MISSING, REQUEST_TOO_LONG, SPACE_MIB, wire,
};
use crate::config::AdvertiserId;
use crate::error::{Error, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::StreamId;
use crate::streams::report::{Endpoint, Report};
use crate::streams::{Each, Entity, Permission, Variable, catalog};

/// Parents whose children are asked for at once.
const AT_ONCE: usize = 8;
/// A state is written when so many more parents are done.
const PARENTS_A_STATE: usize = 50;
/// A list that changes while its pages are read is read anew, at most so many times in all.
const MOST_WALKS: u32 = 3;
/// The version of the states of objects.
const VERSION: u64 = 1;

/// The values for the placeholders of a path and a query.
type Place = BTreeMap<Variable, String>;

/// What the children of an object need to know of it.
#[derive(Debug)]
struct Reference {
    id: String,
    advertiser_id: Option<String>,
    dataset_id: Option<String>,
    kind: Option<String>,
    country: Option<String>,
}

impl Reference {
    fn of(object: &Value) -> Self {
        let attributes = if object["attributes"].is_object() { &object["attributes"] } else { object };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self {
            id: text(&object["id"]).unwrap_or_else(|| object.to_string()),
            advertiser_id: text(&attributes["advertiserId"]),
            dataset_id: text(&attributes["datasetId"]),
            kind: text(&attributes["type"]),
            country: text(&attributes["inMarket"]["country"]),
        }
    }
}

/// What a list of objects gave.
#[derive(Debug, Default)]
struct List {
    references: Vec<Reference>,
    /// The latest `updatedAt`.
    latest: Option<DateTime<Utc>>,
}

impl List {
    fn add(&mut self, other: Self) {
        self.references.extend(other.references);
        self.latest = self.latest.max(other.latest);
    }
}

/// The lists that others hang on, by the name of their stream; read when somebody first needs them.
pub(super) struct Parents(HashMap<&'static str, OnceCell<Result<Arc<List>>>>);

impl Default for Parents {
    fn default() -> Self {
        Self(catalog::PARENTS.iter().map(|(name, _)| (*name, OnceCell::new())).collect())
    }
}

/// The `updated_at` that an incremental stream of objects has come to; rows before it are not written again.
///
/// # Errors
/// `config_error` for a state that is none.
pub(super) fn floor(selected: &Selected, state: &Value) -> Result<Option<DateTime<Utc>>> {
    if selected.sync_mode != SyncMode::Incremental || selected.stream.cursor() != Some("updated_at") {
        return Ok(None);
    }
    match state {
        Value::Null => Ok(None),
        Value::Object(object) if object.is_empty() || cursor::is_no_cursor(object) => Ok(None),
        state => {
            let known = state["version"] == VERSION;
            let floor = state["updated_at"].as_str().filter(|_| known).and_then(|text| text.parse().ok());
            floor.map(Some).ok_or_else(|| cursor::corrupt("it has no version 1 and updated_at"))
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
        let latest = if catalog::is_parent(&selected.stream.name) {
            // Children may have caused it to be read already.
            self.list(&selected.stream.name).await?.latest
        } else {
            self.read_lists(id, selected, entity, state).await?
        };
        let is_incremental = selected.sync_mode == SyncMode::Incremental && selected.stream.cursor().is_some();
        let state = match latest.max(floor).filter(|_| is_incremental) {
            Some(latest) => {
                json!({"version": VERSION, "updated_at": latest.to_rfc3339_opts(SecondsFormat::AutoSi, true)})
            }
            None => cursor::no_cursor(),
        };
        self.output.state(id, state);
        Ok(())
    }

    /// The advertisers of a report: for marketplaces only those that are one.
    pub(super) async fn report_advertisers(&self, report: &Report) -> Result<Vec<AdvertiserId>> {
        if !matches!(report.endpoint, Endpoint::Marketplace(_)) {
            return Ok(self.advertisers.to_vec());
        }
        let places = self.places(Each::MarketplaceAdvertiser).await?;
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
            let mut list = List::default();
            let places = self.places(entity.each).await?;
            let mut lists =
                stream::iter(&places).map(async |place| self.walk(id, entity, place).await).buffer_unordered(AT_ONCE);
            let mut refusals = Vec::new();
            while let Some(next) = lists.next().await {
                match next {
                    Ok(next) => list.add(next),
                    Err(error) if is_lost(&error) => refusals.push(error),
                    Err(error) => return Err(error),
                }
            }
            match refusals.pop() {
                Some(error) if refusals.len() + 1 == places.len() => Err(error),
                _ => Ok(Arc::new(list)),
            }
        };
        // Boxed, since product sets hang on ad sets and creatives, which are lists themselves.
        cell.get_or_init(|| Box::pin(read())).await.clone()
    }

    /// Reads the lists of all parents of a stream; returns the latest `updatedAt`.
    async fn read_lists(
        &self,
        id: StreamId,
        selected: &Selected,
        entity: Entity,
        state: &Value,
    ) -> Result<Option<DateTime<Utc>>> {
        let name = &selected.stream.name;
        let mut places = self.places(entity.each).await?;
        let total = places.len();
        let resume = Resume::new(selected.sync_id, state);
        places.retain(|place| !resume.is_done(place));
        if places.len() < total {
            tracing::info!("{name}: {} of {total} parents were read before the interruption.", total - places.len());
        }
        let (mut done, mut prefix, mut saved) = (vec![false; places.len()], 0, 0);
        let (mut vanished, mut lost, mut latest) = (Vec::new(), BTreeSet::new(), None);
        let mut lists = stream::iter(places.iter().enumerate())
            .map(async |(index, place)| (index, self.walk(Some(id), entity, place).await))
            .buffer_unordered(AT_ONCE);
        while let Some((index, list)) = lists.next().await {
            match list {
                Ok(read) => latest = latest.max(read.latest),
                Err(error) if error.code.as_deref() == Some(NOT_FOUND) && entity.each != Each::Nothing => {
                    vanished.push(error);
                }
                Err(error) if is_lost(&error) => {
                    lost.extend(places[index].get(&Variable::AdvertiserId).cloned().map(AdvertiserId));
                }
                Err(error) => return Err(error),
            }
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
        if !vanished.is_empty() {
            // Where nobody has it, it is the endpoint that is missing.
            if vanished.len() == total && total > 2 {
                return Err(vanished.swap_remove(0));
            }
            tracing::info!("{name}: {} of {total} parents have none, or have vanished meanwhile.", vanished.len());
        }
        if !lost.is_empty() {
            let ids: Vec<_> = lost.iter().cloned().collect();
            tracing::warn!("{name}: Criteo refuses to list objects of {}; the others were read.", names(&ids));
        }
        self.lost_error(&lost).map_or(Ok(latest), Err)
    }

    /// Everything that the lists of a stream hang on, in a fixed order.
    async fn places(&self, each: Each) -> Result<Vec<Place>> {
        let place = |variable, id: &str| Place::from([(variable, id.to_owned())]);
        let of_advertisers = || self.advertisers.iter().map(|id| place(Variable::AdvertiserId, &id.0));
        let of_list = async |name: &str| self.list(name).await.map_err(|error| needed(name, error));
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
                let creatives = self.list("creatives").await.or_else(|error| match error.code.as_deref() {
                    Some(PERMISSION_MISSING) => {
                        self.warn_once(format!(
                            "Only the datasets of ad sets are known, not those of creatives. {error}"
                        ));
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
        Ok(places)
    }

    /// Walks one list to its end, and writes its rows to a stream where that is selected. Searches name the advertisers:
    /// what is too long for one request or answer is asked for in halves of them.
    async fn walk(&self, id: Option<StreamId>, entity: Entity, place: &Place) -> Result<List> {
        if !entity.request.is_search() {
            return self.walk_pages(id, entity, place, &[]).await;
        }
        let mut list = List::default();
        let mut todo = vec![self.advertisers];
        while let Some(advertisers) = todo.pop() {
            match self.walk_pages(id, entity, place, advertisers).await {
                Ok(part) => list.add(part),
                Err(error) => match error.code.as_deref() {
                    Some(ANSWER_TOO_LARGE | REQUEST_TOO_LONG) if advertisers.len() > 1 => {
                        let (left, right) = advertisers.split_at(advertisers.len() / 2);
                        todo.extend([right, left]);
                    }
                    _ => return Err(error),
                },
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
                match walk.take(&page, body.text()?, limit)? {
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
                }
                break;
            }
            if walks >= MOST_WALKS {
                tracing::warn!(
                    "The list at {} has changed each of the {walks} times that it was read; an object may be missing. The \
                     next sync reads it again.",
                    entity.path
                );
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
        let (body, page) = self.client.fetch(&call, check).await.map_err(|error| match error.code.as_deref() {
            Some(ANSWER_TOO_LARGE) => Error::config(format!(
                "All objects at once have more than {SPACE_MIB} MiB, and this endpoint has no pages. Read fewer advertisers \
                 at once (advertiser_ids)."
            ))
            .with_code(error.code),
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

fn is_lost(error: &Error) -> bool {
    error.code.as_deref() == Some(CONSENT_MISSING)
}

/// The error of a stream whose parents cannot be read; a permission that is missing is theirs.
fn needed(name: &str, error: Error) -> Error {
    let permission = match error.code.as_deref() {
        Some(PERMISSION_MISSING) => catalog::permission_of(name).map(Permission::label),
        _ => None,
    };
    let needs = permission.map(|label| format!(", which needs the permission \"{label}\"")).unwrap_or_default();
    let error = error.in_context(&format!("This stream is read for each object of {name}{needs}"));
    Error { code: None, ..error }
}

/// The rows of a page, looked at before they are written.
#[derive(Default)]
struct Page {
    envelope: Envelope,
    list: List,
    count: u64,
    first: Option<String>,
    last: Option<String>,
}

impl RowSink for Page {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let object = Value::deserialize(row)?;
        let reference = Reference::of(&object);
        let updated = object["attributes"]["updatedAt"].as_str().and_then(|text| text.parse().ok());
        self.list.latest = self.list.latest.max(updated);
        self.first.get_or_insert_with(|| reference.id.clone());
        self.last = Some(reference.id.clone());
        self.list.references.push(reference);
        self.count += 1;
        Ok(())
    }
}

/// A walk over the pages of a list. Every page begins with the last object of the one before: where it does not, the list has
/// changed meanwhile, and objects may have been passed over.
#[derive(Debug, Default)]
struct Walk {
    /// How many objects have come.
    count: u64,
    last: Option<String>,
    text: Option<u64>,
    /// How many objects the last page had.
    served: u64,
    /// Behind the end, where a page that holds nothing new may hide others.
    probe: Option<u64>,
    total: Option<u64>,
    has_shifted: bool,
}

/// What to do with a page.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// There is something new on it.
    Rows,
    /// Nothing new, but the list may go on.
    Nothing,
    /// The list is at its end.
    End,
}

impl Walk {
    fn offset(&self) -> u64 {
        self.probe.unwrap_or(self.count.saturating_sub(1))
    }

    fn take(&mut self, page: &Page, text: &str, limit: u32) -> Result<Step> {
        self.total = page.envelope.total_items.or(self.total);
        let is_overlapping = self.probe.is_none() && self.last.is_some();
        let has_met = is_overlapping && page.first == self.last;
        self.has_shifted |= is_overlapping && !has_met;
        let new = page.count - u64::from(has_met);
        if new > 0 {
            let text = fingerprint(text);
            if self.text.replace(text) == Some(text) {
                return Err(Error::system(format!(
                    "Criteo sent the same page of objects twice, behind {} objects. The stream stops here instead of going \
                     round for ever; the next sync tries again.",
                    self.count
                )));
            }
            self.count = self.probe.take().unwrap_or(self.count).max(self.count) + new;
            self.served = page.count;
            self.last.clone_from(&page.last);
            return Ok(Step::Rows);
        }
        // Servers may serve one object a page, or leave out all objects of a page that may not be seen.
        let is_unsure = self.probe.is_none() && self.count > 0 && self.served <= 1;
        let next = self.probe.map_or(self.count, |probe| probe + u64::from(limit));
        if is_unsure || self.total.is_some_and(|total| total > next) {
            self.probe = Some(next);
            return Ok(Step::Nothing);
        }
        Ok(Step::End)
    }
}

fn fingerprint(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A full refresh that was interrupted goes on only within the sync that it belongs to.
struct Resume {
    sync_id: Option<i64>,
    after: Option<String>,
}

impl Resume {
    fn new(sync_id: Option<i64>, state: &Value) -> Self {
        let is_same = sync_id.is_some() && state["sync_id"].as_i64() == sync_id && state["version"] == VERSION;
        Self { sync_id, after: state["after"].as_str().filter(|_| is_same).map(str::to_owned) }
    }

    fn is_done(&self, place: &Place) -> bool {
        self.after.as_ref().is_some_and(|after| key(place) <= *after)
    }

    fn state_after(&self, place: &Place) -> Option<Value> {
        self.sync_id.map(|sync_id| json!({"version": VERSION, "sync_id": sync_id, "after": key(place)}))
    }
}

/// Tells a place from the others of its stream; sorts as the places do.
fn key(place: &Place) -> String {
    place.values().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with its own idea of pages.
    fn walk(serve: impl Fn(u64, u64) -> (Vec<u64>, Option<u64>)) -> Result<(Vec<u64>, bool, usize)> {
        let mut walk = Walk::default();
        let (mut seen, mut calls) = (Vec::new(), 0);
        loop {
            let (ids, total) = serve(walk.offset(), calls);
            calls += 1;
            let text =
                json!({"data": ids.iter().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()}).to_string();
            let mut page = Page::default();
            page.envelope = rows::check_into(&text, Shape::Plain, &mut page)?;
            page.envelope.total_items = total;
            match walk.take(&page, &text, 3)? {
                Step::Rows => seen.extend(ids),
                Step::Nothing => {}
                Step::End => break,
            }
        }
        seen.dedup();
        Ok((seen, walk.has_shifted, usize::try_from(calls).unwrap()))
    }

    fn list(count: u64, offset: u64, limit: usize) -> Vec<u64> {
        (0..count).skip(usize::try_from(offset).unwrap()).take(limit).collect()
    }

    #[test]
    fn lists_are_walked_to_their_end_whatever_the_server_does() {
        for count in 0..20 {
            let all: Vec<u64> = (0..count).collect();
            for limit in 1..5 {
                for total in [None, Some(count), Some(0), Some(1)] {
                    let (seen, has_shifted, _) = walk(|offset, _| (list(count, offset, limit), total)).unwrap();
                    assert_eq!((seen, has_shifted), (all.clone(), false), "{count} objects, {limit} a page");
                }
            }
            // Short pages in the middle.
            let short = |offset: u64, call: u64| (list(count, offset, 2 + usize::try_from(call % 2).unwrap()), None);
            assert_eq!(walk(short).unwrap().0, all);
        }
        assert_eq!(walk(|_, _| (Vec::new(), None)).unwrap().2, 1, "an empty list takes one call");
        assert_eq!(walk(|offset, _| (list(9, offset, 3), None)).unwrap().2, 5);
    }

    #[test]
    fn a_page_without_anything_to_see_hides_nothing_where_there_is_a_total() {
        let hidden = |offset: u64, _| {
            let page = (0..12).skip(usize::try_from(offset).unwrap()).take(3).filter(|id| !(3..8).contains(id));
            (page.collect(), Some(12))
        };
        let (seen, ..) = walk(hidden).unwrap();
        assert_eq!(seen.iter().max(), Some(&11));
        assert!((8..12).all(|id| seen.contains(&id)), "{seen:?}");
    }

    #[test]
    fn a_list_that_shifts_is_noticed() {
        let shrinking = |offset: u64, call: u64| {
            let first = u64::from(call >= 2);
            ((first..10).skip(usize::try_from(offset).unwrap()).take(3).collect(), None)
        };
        assert!(walk(shrinking).unwrap().1);
        let growing = |offset: u64, call: u64| {
            let first = u64::from(call < 2);
            ((first..10).skip(usize::try_from(offset).unwrap()).take(3).collect(), None)
        };
        assert!(walk(growing).unwrap().1);
    }

    #[test]
    fn the_same_page_for_ever_is_an_error() {
        assert!(walk(|_, _| (vec![1, 2, 3], None)).is_err());
        assert!(walk(|_, _| (vec![1, 2, 3], Some(100))).is_err());
    }
}
