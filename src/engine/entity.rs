//! Streams of objects: read whole, page by page.

use reqwest::Method;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{InFlight, Run, cursor, rows, warn};
use crate::api::{ANSWER_TOO_LARGE, Call, CallClass, SPACE_MIB, wire};
use crate::error::{Error, Result};
use crate::protocol::output::StreamId;
use crate::streams::{Entity, Request};

impl Run<'_> {
    pub(super) async fn read_entity(&self, id: StreamId, entity: Entity) -> Result<()> {
        let mut in_flight = InFlight::default();
        let mut offset = 0;
        let mut last_page = None;
        loop {
            let call = self.entity_call(entity, offset);
            let answer = self.client.fetch(&call, rows::check).await.map_err(|error| match error.code.as_deref() {
                Some(ANSWER_TOO_LARGE) => Error::config(format!(
                    "All objects at once have more than {SPACE_MIB} MiB, and this endpoint has no pages. Read fewer \
                     advertisers at once (advertiser_ids)."
                )),
                _ => error,
            });
            let (body, envelope) = answer?;
            warn(&envelope.warnings);
            let served = envelope.rows.unwrap_or(0);
            let Request::PagedSearch { .. } = entity.request else {
                // An answer without pages that announces more than it holds has lost something.
                if let Some(total) = envelope.total_items.filter(|total| *total > served) {
                    return Err(Error::system(format!(
                        "Criteo says that there are {total} objects and sent {served}, at an endpoint that has no pages. \
                         Update the connector; nothing was dropped in silence."
                    )));
                }
                in_flight.push(self.output.slice(id, body, None));
                break;
            };
            // Only an empty page is the end: pages may be short in the middle, and totals wrong.
            if served == 0 {
                if let Some(total) = envelope.total_items.filter(|total| *total > offset) {
                    return Err(Error::transient(format!(
                        "Criteo says that there are {total} objects and sent none behind the first {offset}. The next sync \
                         tries again."
                    )));
                }
                break;
            }
            let page = fingerprint(body.text()?);
            if last_page.replace(page) == Some(page) {
                return Err(Error::system(format!(
                    "Criteo sent the same page of objects twice, at offset {offset}. The stream stops here instead of going \
                     round for ever; the next sync tries again."
                )));
            }
            offset += served;
            in_flight.check()?;
            in_flight.push(self.output.slice(id, body, None));
        }
        in_flight.settle().await?;
        self.output.state(id, cursor::no_cursor());
        Ok(())
    }

    fn entity_call(&self, entity: Entity, offset: u64) -> Call {
        let (method, query, body) = match entity.request {
            Request::Get => (Method::GET, Vec::new(), None),
            Request::Search => (Method::POST, Vec::new(), Some(wire::search(self.advertisers))),
            Request::PagedSearch { resource, limit } => (
                Method::POST,
                vec![("limit", limit.to_string()), ("offset", offset.to_string())],
                Some(wire::search_resource(resource, self.advertisers)),
            ),
        };
        Call { method, path: entity.path.to_owned(), query, body, class: CallClass::Other, expected_bytes: 0 }
    }
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
