//! Walks the pages of a list of objects to the end, however the server pages.
//!
//! Each page starts with the last object of the previous one; if not, the list has changed and objects may be missing.
//! The list ends where no new objects come: limits, short pages and totals are unreliable. [`crate::read::counts`] has an
//! exception.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use serde::de::{Deserialize as _, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Cause, Error, Result};
use crate::model::ids::AdvertiserId;
use crate::products;
use crate::products::marketing::metrics::fold;
use crate::rows::envelope::{self, Envelope, MAX_ROW_LEN, RowSink, Shape, too_long};
use crate::support::scan;

/// Pages without new objects that are skipped because a total announces more.
const MAX_PROBES: u32 = 3;

/// Per response: something is kept of each.
pub(crate) const MAX_OBJECTS: u64 = 100_000;
/// Of ids and instants.
const MAX_ID_LEN: usize = 256;

/// What child streams need of an object.
#[derive(Debug)]
pub(crate) struct ParentRef {
    pub id: String,
    /// The advertiser or account.
    pub scope_id: Option<String>,
    /// The values of other members, by path.
    others: Box<[(&'static str, String)]>,
}

impl ParentRef {
    /// The value of a member that a fan-out names.
    pub(crate) fn member(&self, path: &str) -> Option<&str> {
        match path {
            "id" => Some(&self.id),
            "advertiserId" | "accountId" => self.scope_id.as_deref(),
            _ => self.others.iter().find(|(other, _)| *other == path).map(|(_, value)| value.as_str()),
        }
    }
}

/// The members read of an object or its attributes.
#[derive(Default)]
struct RawFields<'a, 'de> {
    id: Option<&'de str>,
    scope_id: Option<&'de str>,
    updated_at: Option<&'de str>,
    attributes: Option<&'de str>,
    /// Paths of other members.
    paths: &'a [&'static str],
    /// The members with which these paths start.
    others: Vec<Option<&'de str>>,
    /// A hash of all members.
    hash: DefaultHasher,
}

impl<'a, 'de> RawFields<'a, 'de> {
    fn of(paths: &'a [&'static str]) -> Self {
        Self { paths, others: vec![None; paths.len()], ..Self::default() }
    }

    fn note(&mut self, name: &str, raw: &'de str) {
        let place = match name {
            "id" => &mut self.id,
            "advertiserId" | "accountId" => &mut self.scope_id,
            "updatedAt" => &mut self.updated_at,
            "attributes" => &mut self.attributes,
            _ => {
                for (path, place) in self.paths.iter().zip(&mut self.others) {
                    if path.split('.').next() == Some(name) {
                        *place = Some(raw);
                    }
                }
                return;
            }
        };
        *place = Some(raw);
    }

    fn inside(&self) -> Option<Self> {
        let attributes = self.attributes.filter(|raw| raw.starts_with('{'))?;
        let mut inside = Self::of(self.paths);
        let walk = scan::members(attributes, &mut |name, raw| {
            inside.note(name, raw);
            Ok(())
        });
        walk.ok().map(|()| inside)
    }

    fn reference(&self, inside: Option<&Self>) -> ParentRef {
        let attributes = inside.unwrap_or(self);
        // Unusable values are skipped here and judged when the row becomes a record.
        let text =
            |raw: Option<&str>| raw.filter(|raw| raw.len() <= MAX_ID_LEN).and_then(|raw| scan::text(raw, MAX_ID_LEN));
        let others = attributes.paths.iter().zip(&attributes.others);
        let others = others.filter_map(|(path, raw)| Some((*path, text(raw.and_then(|raw| nested(raw, path)))?)));
        ParentRef {
            id: text(self.id).unwrap_or_default(),
            scope_id: text(attributes.scope_id),
            others: others.collect(),
        }
    }
}

/// The value at a path, from the value of its first member.
fn nested<'a>(raw: &'a str, path: &str) -> Option<&'a str> {
    path.split('.').skip(1).try_fold(raw, |raw, name| scan::member(raw, |member| member == name))
}

impl<'de> Visitor<'de> for RawFields<'_, 'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut length = 0;
        while let Some(name) = map.next_key_seed(scan::Name)? {
            let raw: &'de RawValue = map.next_value()?;
            length += raw.get().len();
            if length > MAX_ROW_LEN {
                return Err(A::Error::custom(too_long()));
            }
            (&*name, raw.get()).hash(&mut self.hash);
            self.note(&name, raw.get());
        }
        Ok(self)
    }
}

#[derive(Debug, Default)]
pub(crate) struct List {
    pub references: Vec<ParentRef>,
    /// The latest `updatedAt` of each advertiser.
    pub latest: BTreeMap<String, DateTime<Utc>>,
    pub lost: BTreeMap<AdvertiserId, Error>,
    /// The first error of an unread part.
    pub failure: Option<Error>,
    /// Whether the list changed during every attempt, so that objects may be missing.
    pub is_uncertain: bool,
}

impl List {
    pub(crate) fn add(&mut self, other: Self) {
        self.references.extend(other.references);
        for (advertiser, latest) in other.latest {
            self.note_change(advertiser, latest);
        }
        self.lost.extend(other.lost);
        self.failure = self.failure.take().or(other.failure);
        self.is_uncertain |= other.is_uncertain;
    }

    fn note_change(&mut self, advertiser: String, instant: DateTime<Utc>) {
        let latest = self.latest.entry(advertiser).or_insert(instant);
        *latest = instant.max(*latest);
    }

    /// Sets the advertiser or account of objects that do not name theirs.
    pub(crate) fn belongs_to(&mut self, scope: Option<&String>) {
        for reference in &mut self.references {
            reference.scope_id = reference.scope_id.take().or_else(|| scope.cloned());
        }
    }

    /// Whether all objects of all advertisers were certainly read.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.failure.is_none() && !self.is_uncertain
    }
}

/// The rows of a page, inspected before they are written.
#[derive(Default)]
pub(crate) struct Page {
    pub envelope: Envelope,
    pub list: List,
    pub count: u64,
    /// Empty if the request names none.
    requested: HashSet<String>,
    /// Indexes of objects of other advertisers.
    pub unrequested: HashSet<u64>,
    /// Paths of the members that child streams need.
    paths: Vec<&'static str>,
    /// What distinguishes each object.
    pub ids: Vec<u64>,
}

impl Page {
    pub(crate) fn of(requested: HashSet<String>) -> Self {
        Self { requested, paths: products::parent_members().into_iter().collect(), ..Self::default() }
    }

    /// Fails with `Cause::ResponseTooLarge` if there are too many objects.
    pub(crate) fn check_size(&self) -> Result<()> {
        if self.count <= MAX_OBJECTS {
            return Ok(());
        }
        let message = format!("Criteo sent {} objects in one response, which is too many.", self.count);
        Err(Error::config(message).because(Cause::ResponseTooLarge))
    }
}

impl RowSink for Page {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        self.count += 1;
        if self.count > MAX_OBJECTS {
            return row.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        let object = row.deserialize_map(RawFields::of(&self.paths))?;
        let inside = object.inside();
        let reference = object.reference(inside.as_ref());
        let updated = inside.and_then(|inside| inside.updated_at).and_then(|raw| scan::text(raw, MAX_ID_LEN));
        let updated = updated.and_then(|text| text.parse().ok());
        let advertiser = reference.scope_id.as_ref();
        let is_unrequested = advertiser.is_some_and(|id| !self.requested.is_empty() && !self.requested.contains(id));
        if let (Some(updated), Some(advertiser), false) = (updated, &reference.scope_id, is_unrequested) {
            self.list.note_change(advertiser.clone(), updated);
        }
        // Objects without an id are distinguished by all their members.
        self.ids.push(if reference.id.is_empty() { object.hash.finish() } else { fingerprint(&reference.id) });
        if is_unrequested {
            self.unrequested.insert(self.count - 1);
        } else {
            self.list.references.push(reference);
        }
        Ok(())
    }
}

/// Builds a JSON list of the objects to keep, unchanged or rewritten.
pub(crate) struct Filtered<F> {
    keep: F,
    at: u64,
    text: String,
}

impl<F: for<'a> FnMut(u64, &'a str) -> Result<Option<Cow<'a, str>>, String>> Filtered<F> {
    /// `keep` gets the index of an object in the response and the object.
    pub(crate) fn new(keep: F) -> Self {
        Self { keep, at: 0, text: "[".to_owned() }
    }

    pub(crate) fn text(self) -> String {
        self.text + "]"
    }
}

/// Keeps an object as it is.
type KeepAll = for<'a> fn(u64, &'a str) -> Result<Option<Cow<'a, str>>, String>;

impl Filtered<KeepAll> {
    /// An empty list, to append responses to.
    pub(crate) fn list() -> Self {
        Self::new(|_, object| Ok(Some(Cow::Borrowed(object))))
    }

    /// Adds the objects of a response, with or without the first one.
    ///
    /// # Errors
    /// If the list is longer than `most` bytes afterwards.
    pub(crate) fn append(&mut self, response: &str, is_without_first: bool, most: usize) -> Result<()> {
        let mut page =
            Filtered::new(move |at, object| Ok((at > 0 || !is_without_first).then_some(Cow::Borrowed(object))));
        envelope::check_into(response, Shape::Plain, &mut page)?;
        let page = page.text.get(1..).unwrap_or_default();
        self.text.push_str(if self.text.len() > 1 && !page.is_empty() { "," } else { "" });
        self.text.push_str(page);
        if self.text.len() > most {
            return Err(Error::system(format!(
                "A list is larger than {} MiB, too large to number its rows. None of them was written.",
                most / 1024 / 1024
            )));
        }
        Ok(())
    }
}

impl<F: for<'a> FnMut(u64, &'a str) -> Result<Option<Cow<'a, str>>, String>> RowSink for Filtered<F> {
    const IS_RAW: bool = true;

    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> Result<(), D::Error> {
        let row = <&RawValue>::deserialize(row)?;
        if let Some(object) = (self.keep)(self.at, row.get()).map_err(D::Error::custom)? {
            self.text.push_str(if self.text.len() > 1 { "," } else { "" });
            self.text.push_str(&object);
        }
        self.at += 1;
        Ok(())
    }
}

/// Returns an object that is not among the known ones, with its `unknown` members set to null; a number above zero
/// stays, since it is real data.
///
/// # Errors
/// If the id cannot be read: it might be a known one.
pub(crate) fn unknown_object<'a>(
    object: &'a str,
    known: &HashSet<&str>,
    unknown: &[&str],
) -> Result<Option<Cow<'a, str>>, String> {
    let id = scan::member(object, |name| name == "id").filter(|raw| raw.len() <= MAX_ID_LEN);
    let id =
        id.and_then(|raw| scan::text(raw, MAX_ID_LEN)).filter(|id| !id.is_empty()).ok_or("an object without an id")?;
    if known.contains(id.as_str()) {
        return Ok(None);
    }
    without(object, unknown).map(|text| Some(Cow::Owned(text))).map_err(|error| error.to_string())
}

/// The JSON of an object with its unknown members set to null, also in its attributes.
fn without(object: &str, unknown: &[&str]) -> serde_json::Result<String> {
    let mut text = "{".to_owned();
    scan::members(object, &mut |name, raw| {
        text.push_str(if text.len() > 1 { "," } else { "" });
        text.push_str(&Value::from(name).to_string());
        text.push(':');
        let number = scan::text(raw, MAX_ID_LEN).and_then(|text| text.parse::<f64>().ok());
        let is_positive = number.is_some_and(|number| number > 0.0);
        match fold(&scan::short(name, MAX_ID_LEN)).as_str() {
            name if unknown.contains(&name) && !is_positive => text.push_str("null"),
            "attributes" if raw.starts_with('{') => {
                text.push_str(&without(raw, unknown).map_err(|error| error.to_string())?);
            }
            _ => text.push_str(raw),
        }
        Ok(())
    })?;
    Ok(text + "}")
}

/// The state of a walk.
#[derive(Debug, Default)]
pub(crate) struct PageWalker {
    pub count: u64,
    last: Option<u64>,
    seen: HashSet<u64>,
    /// Objects on the last page.
    served: u64,
    /// The offset after the end: pages without new objects may precede others.
    probe: Option<u64>,
    empty_probes: u32,
    pub total: Option<u64>,
    /// Whether the last page announces another.
    pub has_more: bool,
    /// Whether the list has changed between two pages.
    pub has_shifted: bool,
    /// Whether the last page starts with the last object of the page before.
    pub has_met: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageVerdict {
    Rows,
    /// New objects, and there are no others.
    Last,
    /// No new objects, but the list may continue.
    Nothing,
    End,
}

impl PageWalker {
    /// Whether no page has come yet.
    pub(crate) fn is_at_start(&self) -> bool {
        self.count == 0 && self.probe.is_none()
    }

    pub(crate) fn offset(&self) -> u64 {
        self.probe.unwrap_or(self.count.saturating_sub(1)) // guard: served-rows
    }

    /// Fails if no object of a full page is new: the server repeats itself.
    pub(crate) fn take(&mut self, page: &Page, limit: u32) -> Result<PageVerdict> {
        self.total = page.envelope.total_items.or(self.total);
        self.has_more = page.envelope.has_more;
        let is_overlapping = self.probe.is_none() && self.last.is_some();
        let has_met = is_overlapping && page.ids.first() == self.last.as_ref();
        self.has_met = has_met;
        self.has_shifted |= is_overlapping && !has_met;
        let new = page.count - u64::from(has_met);
        if new > 0 {
            let known = self.seen.len();
            // An object of an earlier page has moved, so another may have taken its place there.
            self.has_shifted |= page.ids.iter().skip(usize::from(has_met)).any(|id| self.seen.contains(id));
            self.seen.extend(&page.ids);
            if self.seen.len() == known && page.count < self.served {
                // The end of a list from which objects were removed meanwhile.
                self.has_shifted = true;
                return Ok(PageVerdict::End);
            }
            if self.seen.len() == known {
                return Err(Error::system(format!(
                    "Criteo returned a page with no new objects after {} objects. Stopping instead of paging forever; \
                     the next sync tries again.",
                    self.count
                )));
            }
            self.empty_probes = 0;
            self.count = self.probe.take().unwrap_or(self.count).max(self.count) + new;
            self.served = page.count;
            self.last = page.ids.last().copied();
            return Ok(PageVerdict::Rows);
        }
        // Servers may return one object per page, or hide all objects of a page.
        let is_unsure = self.probe.is_none() && self.count > 0 && self.served <= 1;
        let next = self.probe.map_or(self.count, |probe| probe + u64::from(limit));
        let is_announced = self.has_more || self.total.is_some_and(|total| total > next);
        let is_more_announced = is_announced && self.empty_probes < MAX_PROBES;
        if is_unsure || is_more_announced {
            self.empty_probes += 1;
            self.probe = Some(next);
            return Ok(PageVerdict::Nothing);
        }
        Ok(PageVerdict::End)
    }
}

pub(crate) fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use crate::read::pages::*;
    use crate::rows::envelope::{self, Shape};
    use serde_json::json;

    /// Walks the pages that `serve` returns for an offset and a call number.
    fn walk(serve: impl Fn(u64, u64) -> (Vec<u64>, Option<u64>)) -> Result<(Vec<u64>, bool, usize)> {
        let mut walk = PageWalker::default();
        let (mut seen, mut calls) = (Vec::new(), 0);
        loop {
            let (ids, total) = serve(walk.offset(), calls);
            calls += 1;
            let text =
                json!({"data": ids.iter().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()}).to_string();
            let mut page = Page::default();
            page.envelope = envelope::check_into(&text, Shape::Plain, &mut page)?;
            page.envelope.total_items = total;
            match walk.take(&page, 3)? {
                PageVerdict::Rows | PageVerdict::Last => seen.extend(ids),
                PageVerdict::Nothing => {}
                PageVerdict::End => break,
            }
        }
        seen.dedup();
        Ok((seen, walk.has_shifted, usize::try_from(calls).unwrap()))
    }

    fn list(count: u64, offset: u64, limit: usize) -> Vec<u64> {
        (0..count).skip(usize::try_from(offset).unwrap()).take(limit).collect()
    }

    #[test]
    fn lists_are_read_to_the_end_whatever_the_server_does() {
        for count in 0..20 {
            let all: Vec<u64> = (0..count).collect();
            for limit in 1..5 {
                for total in [None, Some(count), Some(0), Some(1), Some(1_000_000)] {
                    let (seen, has_shifted, _) = walk(|offset, _| (list(count, offset, limit), total)).unwrap();
                    assert_eq!((seen, has_shifted), (all.clone(), false), "{count} objects, {limit} per page");
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
    fn values_of_parents_are_read_from_attributes() {
        let attributes = json!({"type": "ContactList", "advertiserId": 7, "inMarket": {"country": "FR"}});
        let body = json!({"data": [
            {"id": "1", "type": "AudienceSegment", "attributes": attributes},
            {"id": "2", "datasetId": "3", "type": null},
        ]});
        let mut page = Page::of(HashSet::new());
        envelope::check_into(&body.to_string(), Shape::Plain, &mut page).unwrap();
        let paths = ["id", "advertiserId", "type", "datasetId", "inMarket.country"];
        let values: Vec<_> = page.list.references.iter().map(|object| paths.map(|path| object.member(path))).collect();
        assert_eq!(values[0], [Some("1"), Some("7"), Some("ContactList"), None, Some("FR")]);
        assert_eq!(values[1], [Some("2"), None, None, Some("3"), None]);
    }

    #[test]
    fn an_empty_page_hides_nothing_if_there_is_a_total() {
        let hidden = |offset: u64, _| {
            let page = (0..12).skip(usize::try_from(offset).unwrap()).take(3).filter(|id| !(3..8).contains(id));
            (page.collect(), Some(12))
        };
        let (seen, ..) = walk(hidden).unwrap();
        assert_eq!(seen.iter().max(), Some(&11));
        assert!((8..12).all(|id| seen.contains(&id)), "{seen:?}");
    }

    #[test]
    fn a_list_that_changes_while_read_is_detected() {
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
    fn a_repeating_page_is_an_error() {
        assert!(walk(|_, _| (vec![1, 2, 3], None)).is_err());
        assert!(walk(|_, _| (vec![1, 2, 3], Some(100))).is_err());
        // In another order each time.
        assert!(walk(|_, call| (if call % 2 == 0 { vec![1, 2, 3] } else { vec![3, 1, 2] }, None)).is_err());
    }

    /// Two objects that change places between two pages: the border stays as it was, and one of them never comes.
    #[test]
    fn an_object_that_moves_between_pages_is_noticed() {
        let all: Vec<u64> = (0..9).collect();
        let (seen, has_shifted, _) = walk(|offset, call| {
            let mut list = all.clone();
            if call == 1 {
                list.swap(0, 3);
            }
            let page = list.into_iter().skip(usize::try_from(offset).unwrap()).take(3).collect();
            (page, Some(9))
        })
        .unwrap();
        assert!(!seen.contains(&3) && has_shifted, "{seen:?}");
    }
}
