//! The parents of a stream, by its fan-out, and the lists of their objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use crate::error::{Cause, Error, Result};
use crate::products::fan_out::{FanOut, ParentSource, ParentStream};
use crate::products::{self, Permission, Placeholder};
use crate::read::ReadContext;
use crate::read::list::CONCURRENT_LISTS;
use crate::read::list::results::FanOutResult;
use crate::read::pages::{List, ParentRef};
use crate::support::watchdog;
use crate::telemetry::stream_span;

/// Values for the placeholders in a path and query: one parent of a list.
pub(in crate::read) type ParentKey = BTreeMap<Placeholder, String>;

#[derive(Default)]
pub(super) struct ParentKeys {
    pub(super) keys: Vec<ParentKey>,
    /// What was missing from their list; has no references.
    pub(super) missing: List,
}

/// Lists of parent objects by stream name, read on first use.
pub(crate) struct Parents(HashMap<&'static str, OnceCell<Result<Arc<List>>>>);

impl Default for Parents {
    fn default() -> Self {
        Self(products::parent_streams().map(|parent| (parent.name, OnceCell::new())).collect())
    }
}

impl ReadContext<'_> {
    /// The list of a parent stream, read once per run.
    pub(super) async fn list(&self, name: &str) -> Result<Arc<List>> {
        let (Some(cell), Some(entity)) = (self.parents.0.get(name), products::entity_of(name)) else {
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

    /// All parents of a stream, in a fixed order.
    pub(super) async fn parents_of(&self, each: &FanOut) -> Result<ParentKeys> {
        let countries = &self.config.read.countries;
        let scope = each.values.iter().map(|(variable, _)| *variable).find(|variable| variable.is_scope());
        let scope = scope.unwrap_or(Placeholder::AdvertiserId);
        let of_advertisers = || self.advertisers.iter().map(move |id| ParentKey::from([(scope, id.0.clone())]));
        let mut parents = match each.source {
            ParentSource::Nothing => ParentKeys { keys: vec![ParentKey::new()], ..ParentKeys::default() },
            ParentSource::Scope => ParentKeys { keys: of_advertisers().collect(), ..ParentKeys::default() },
            ParentSource::ScopeAmongObjects => {
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
        if each.source == ParentSource::Objects {
            // An object that several accounts list is one parent.
            let mut known = HashSet::new();
            let own = |parent: &ParentKey| -> Vec<(Placeholder, String)> {
                let own = parent.iter().filter(|(variable, _)| !variable.is_scope());
                own.map(|(variable, id)| (*variable, id.clone())).collect()
            };
            parents.keys.retain(|parent| known.insert(own(parent)));
        } else {
            parents.keys.dedup();
        }
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
}

/// The parent that an object is, unless the filter excludes it or a value is missing.
fn parent_key(each: &FanOut, object: &ParentRef) -> Option<ParentKey> {
    if each
        .filter
        .is_some_and(|(member, value)| !object.member(member).is_some_and(|is| is.eq_ignore_ascii_case(value)))
    {
        return None;
    }
    let values = each.values.iter();
    values.map(|(variable, member)| Some((*variable, object.member(member)?.to_owned()))).collect()
}

/// The error of a stream whose parents cannot be read.
fn needed(name: &str, error: Error) -> Error {
    let permission = match error.cause {
        Some(Cause::PermissionMissing) => products::permission_of(name).map(Permission::label),
        _ => None,
    };
    let needs = permission.map(|label| format!(", which needs the permission \"{label}\"")).unwrap_or_default();
    let error = error.in_context(&format!("This stream is read for each object of {name}{needs}"));
    Error { cause: None, ..error }
}
