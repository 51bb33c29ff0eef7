//! Reads one list: its pages, or halves of its advertisers if Criteo refuses or cannot send all of them.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::{Cause, Error, Result};
use crate::http::{Body, Call, MEMORY_MIB};
use crate::model::ids::{AdvertiserId, format_ids};
use crate::model::product::Product;
use crate::output::StreamId;
use crate::products::{Entity, Job, Request, Rest, RowsOf};
use crate::read::list::parents::ParentKey;
use crate::read::list::{MAX_IN_A_ROW, MAX_REFUSED, may_concern_one_request};
use crate::read::numbered::NumberedWalker;
use crate::read::pages::{self, Filtered, List, MAX_OBJECTS, Page, PageVerdict, PageWalker};
use crate::read::{InFlight, ReadContext, requests};
use crate::rows::envelope::{self, Shape};
use crate::rows::unfold;

/// Most reads of a list that changes while its pages are read.
const MAX_WALKS: u32 = 3;
/// Longest response to filter, in bytes: the copy needs memory too.
const MAX_FILTERED_LEN: usize = 24 * 1024 * 1024;
/// Page size that every list accepts (Criteo's default).
const SMALL_PAGE: u32 = 50;
/// The default of numbered pages.
const SMALL_NUMBERED_PAGE: u32 = 25;

impl ReadContext<'_> {
    /// Reads one list, and writes its rows if a stream is given. If a search for advertisers is too large, each half of
    /// them is requested separately.
    pub(super) async fn walk(&self, id: Option<StreamId>, entity: Entity, parent: &ParentKey) -> Result<List> {
        if !entity.request.is_search() {
            let mut list = match entity.request {
                Request::NumberedPages { size } => self.walk_numbered(id, entity, parent, size).await,
                Request::Job(Job::Catalog) => self.read_catalog(id, entity, parent).await,
                Request::Job(Job::Billing) => self.read_billing(id, entity, parent).await,
                _ => self.walk_pages(id, entity, parent, &[]).await,
            }?;
            list.belongs_to(scope_of(parent));
            return Ok(list);
        }
        let mut list = List::default();
        let mut todo: Vec<_> =
            self.advertisers.chunks(entity.request.most_listed()).rev().map(<[AdvertiserId]>::to_vec).collect();
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
            self.write(id, entity, parent, body, &mut in_flight).await?;
            list.add(page.list);
            if let Some(rest) = entity.rest {
                let body = self.rest(entity, rest, parent, &list).await.map_err(Error::after_success)?;
                self.write(id, entity, parent, body, &mut in_flight).await?;
            }
            in_flight.wait_all().await?;
            return Ok(list);
        };
        let mut walks = 0;
        loop {
            walks += 1;
            let mut walk = PageWalker::default();
            let mut unnumbered = Filtered::list();
            loop {
                let response = self.page(entity, parent, advertisers, Some((limit, walk.offset()))).await;
                let (body, page) = match response {
                    // Criteo does not document the page size limit of every list.
                    Err(error) if error.cause == Some(Cause::Rejected) && limit > SMALL_PAGE => {
                        limit = SMALL_PAGE;
                        continue;
                    }
                    Err(error) if walk.count > 0 => return Err(error.after_success()),
                    response => response?,
                };
                let verdict = if self.config.product() == Product::RetailMedia {
                    self.counts.borrow_mut().take(&mut walk, &page, limit, entity.path)?
                } else {
                    walk.take(&page, limit)?
                };
                match verdict {
                    PageVerdict::End => break,
                    PageVerdict::Nothing => {}
                    PageVerdict::Rows | PageVerdict::Last => {
                        in_flight.check()?;
                        if entity.is_numbered {
                            // Rows are numbered when all of them are there, and pages overlap by one.
                            unnumbered.append(body.text()?, walk.has_met, MAX_FILTERED_LEN)?;
                        } else {
                            self.write(id, entity, parent, body, &mut in_flight).await?;
                        }
                        list.add(page.list);
                        if verdict == PageVerdict::Last {
                            break;
                        }
                    }
                }
            }
            if entity.is_numbered && (!walk.has_shifted || walks >= MAX_WALKS) {
                let body = self.client.body(unnumbered.text()).await;
                self.write(id, entity, parent, body, &mut in_flight).await?;
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

    /// Reads the numbered pages of a list.
    async fn walk_numbered(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        parent: &ParentKey,
        mut size: u32,
    ) -> Result<List> {
        let mut list = List::default();
        let mut in_flight = InFlight::default();
        for walks in 1..=MAX_WALKS {
            let mut walk = NumberedWalker::new(size);
            loop {
                let response = self.page(entity, parent, &[], Some(walk.next())).await;
                let (body, page) = match response {
                    // Criteo does not document the largest page.
                    Err(error) if error.cause == Some(Cause::Rejected) && size > SMALL_NUMBERED_PAGE => {
                        size = SMALL_NUMBERED_PAGE;
                        walk = NumberedWalker::new(size);
                        continue;
                    }
                    Err(error) if walk.count() > 0 => return Err(error.after_success()),
                    response => response?,
                };
                let verdict = walk.take(&page.ids, page.envelope.total_items, page.envelope.has_more)?;
                match verdict {
                    PageVerdict::End => break,
                    PageVerdict::Nothing => {}
                    PageVerdict::Rows | PageVerdict::Last => {
                        in_flight.check()?;
                        self.write(id, entity, parent, body, &mut in_flight).await?;
                        list.add(page.list);
                        if verdict == PageVerdict::Last {
                            break;
                        }
                    }
                }
            }
            let lacking = walk.total.filter(|total| *total > walk.count());
            // A page may have come without its objects.
            let is_first_lack = lacking.is_some() && walks == 1;
            // guard: changed-total
            if !walk.has_changed && !is_first_lack {
                if let Some(total) = lacking {
                    tracing::warn!("Criteo announced {total} objects at {}, but sent {}.", entity.path, walk.count());
                    list.is_uncertain = true;
                }
                if walk.has_more {
                    tracing::warn!(
                        "Criteo announced another page at {} after {} objects, but sent none.",
                        entity.path,
                        walk.count()
                    );
                    list.is_uncertain = true;
                }
                break;
            }
            if walks == MAX_WALKS {
                tracing::warn!(
                    "The list at {} changed during each of {walks} reads; an object may be missing. The next sync \
                     reads it again.",
                    entity.path
                );
                list.is_uncertain = true;
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
    pub(in crate::read) async fn part(
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
        envelope::check_into(body.text()?, shape_of(entity), &mut filtered)?;
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
        let is_suspect =
            !advertisers.is_empty() && advertisers.len() < self.advertisers.len().min(entity.request.most_listed());
        let call = Call { is_suspect, ..call };
        let mut requested_ids: HashSet<_> = advertisers.iter().map(|id| id.0.clone()).collect();
        // An account of a retailer may list objects of the accounts that advertise with it.
        if entity.each.is_of_scope() && self.config.product() == Product::MarketingSolutions {
            requested_ids.extend(scope_of(parent).cloned());
        }
        let check = |body: &str| {
            let mut page = Page::of(requested_ids.clone());
            page.envelope = envelope::check_into(body, shape_of(entity), &mut page)?;
            page.check_size()?;
            Ok(page)
        };
        let (body, page) = self.client.fetch(&call, check).await.map_err(|error| match error.cause {
            Some(Cause::ResponseTooLarge) => Error::config(format!(
                "The response has more than {MAX_OBJECTS} objects or {MEMORY_MIB} MiB, and this endpoint has no pages. \
                 Sync fewer {} ({}).",
                self.config.product().scope().many,
                self.config.product().scope().setting
            ))
            .because(Cause::ResponseTooLarge),
            _ => error,
        })?;
        self.pass_on(&page.envelope.warnings);
        if page.unrequested.is_empty() {
            return Ok((body, page));
        }
        self.warn_once(&format!(
            "Criteo sent objects of {} that were not requested at {} ({} in one response); they are skipped.",
            self.config.product().scope().many,
            entity.path,
            page.unrequested.len()
        ));
        let unrequested = &page.unrequested;
        let own =
            self.part(entity, body, |at, object| Ok((!unrequested.contains(&at)).then_some(Cow::Borrowed(object))));
        Ok((own.await?, page))
    }

    async fn write(
        &self,
        id: Option<StreamId>,
        entity: Entity,
        parent: &ParentKey,
        body: Body,
        in_flight: &mut InFlight,
    ) -> Result<()> {
        if let Some(id) = id {
            let body = match entity.rows {
                RowsOf::Objects => body,
                how => self.part(entity, body, |_, object| unfold::rows(object, how)).await?,
            };
            let columns = entity.columns.iter();
            let constants =
                columns.filter_map(|variable| Some((variable.name(), parent.get(variable)?.clone()))).collect();
            in_flight.push(self.output.write_rows(id, body, constants, None, None));
        }
        Ok(())
    }
}

fn shape_of(entity: Entity) -> Shape {
    if entity.is_bare { Shape::Bare } else { Shape::Plain }
}

/// The advertiser or account of a parent.
pub(in crate::read) fn scope_of(parent: &ParentKey) -> Option<&String> {
    parent.iter().find(|(variable, _)| variable.is_scope()).map(|(_, id)| id)
}
