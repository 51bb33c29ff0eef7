//! Plan, fetch, emit, checkpoint: what makes streams out of calls.
//!
//! The engine decides what is asked and when a state is legal. It knows neither HTTP nor the bytes on stdout: calls go
//! through [`Client`], whole checked bodies go to [`Output`], which writes their rows and then the state they lead to.
//! The next body is fetched while the last one is written; the memory budget of the bodies keeps the two together.

mod coerce;
pub mod cursor;
mod entity;
pub mod project;
mod report;
pub mod rows;
pub mod slice;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::api::{Call, CallClass, Client, PERMISSION_MISSING};
use crate::config::{AdvertiserId, Config};
use crate::error::{Error, Result};
use crate::protocol::airbyte::SyncMode;
use crate::protocol::output::{Output, StreamId};
use crate::streams::{Source, Stream};
use project::Plan;

/// A stream that the catalog selects.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The stream.
    pub stream: Stream,
    /// How to read it; a stream without a cursor is read whole in either mode.
    pub sync_mode: SyncMode,
    /// The columns wanted; `None` wants all.
    pub columns: Option<HashSet<String>>,
}

impl Selected {
    fn wants(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(column))
    }
}

/// The advertisers to read.
#[derive(Debug)]
pub struct Portfolio {
    /// Those that may be read.
    pub advertisers: Vec<AdvertiserId>,
    /// Those that the configuration lists and that have not given their consent.
    pub missing: Vec<AdvertiserId>,
    /// How many have given their consent, whether they are to be read or not.
    pub consenting: usize,
}

impl Portfolio {
    /// The error that names the advertisers which are listed and cannot be read.
    #[must_use]
    pub fn missing_error(&self) -> Option<Error> {
        if self.missing.is_empty() {
            return None;
        }
        let join = |ids: &[AdvertiserId]| ids.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(Error::config(format!(
            "advertiser_ids lists advertisers that have not given this app their consent: {}. Have an administrator of each \
             open the app's consent link from partners.criteo.com and tick the advertiser, or take it off the list. The \
             app can read {}{}.",
            join(&self.missing),
            if self.advertisers.is_empty() { "none of the listed ones".to_owned() } else { join(&self.advertisers) },
            if self.advertisers.len() > 20 { " and others" } else { "" },
        )))
    }
}

/// Asks which advertisers have given their consent, and chooses those to read. They are then sent with every request:
/// Criteo refuses a report without advertisers, although its documents say that none means all.
///
/// # Errors
/// What the call says, or that nobody has given consent.
pub async fn portfolio(client: &Client, config: &Config) -> Result<Portfolio> {
    let call = Call {
        method: Method::GET,
        path: "advertisers/me".into(),
        query: Vec::new(),
        body: None,
        class: CallClass::Other,
    };
    let (_, consenting) = client
        .fetch(&call, |body| {
            rows::check(body)?;
            let document: Value = serde_json::from_str(body).unwrap_or_default();
            let advertisers = document["data"].as_array().ok_or_else(|| rows::unknown_shape("it has no list"))?;
            let ids = advertisers.iter().map(|advertiser| match &advertiser["id"] {
                Value::String(id) => Ok(AdvertiserId(id.clone())),
                Value::Number(id) => Ok(AdvertiserId(id.to_string())),
                _ => Err(rows::unknown_shape("an advertiser has no id")),
            });
            ids.collect::<Result<Vec<_>>>()
        })
        .await?;
    if consenting.is_empty() {
        return Err(Error::config(
            "The credentials work, but no advertiser has given this app its consent. On partners.criteo.com open the app, \
             press \"Generate new URL\", and have an administrator of the Criteo account open that link, tick the \
             advertisers and approve.",
        ));
    }
    let count = consenting.len();
    if config.advertiser_ids.is_empty() {
        return Ok(Portfolio { advertisers: consenting, missing: Vec::new(), consenting: count });
    }
    let known: HashSet<_> = consenting.into_iter().collect();
    let (advertisers, missing) = config.advertiser_ids.iter().cloned().partition(|id| known.contains(id));
    Ok(Portfolio { advertisers, missing, consenting: count })
}

/// Everything that reading a stream needs.
struct Run<'a> {
    client: &'a Client,
    output: &'a Output,
    config: &'a Config,
    advertisers: &'a [AdvertiserId],
}

/// Reads the selected streams one after the other; a stream that fails does not stop the others. Returns how many are
/// incomplete.
pub async fn read(
    client: &Arc<Client>,
    output: &Output,
    config: &Config,
    selected: &[Selected],
    states: &BTreeMap<String, Value>,
) -> usize {
    for selected in selected {
        output.announce(&selected.stream.name, Plan::new(&selected.stream, &|column| selected.wants(column)));
    }
    let portfolio = portfolio(client, config).await;
    let mut incomplete = 0;
    for (id, selected) in selected.iter().enumerate() {
        let stream = &selected.stream;
        output.open(id);
        let result = match &portfolio {
            Ok(portfolio) => {
                let run = Run { client, output, config, advertisers: &portfolio.advertisers };
                run.read(id, selected, states.get(&stream.name).unwrap_or(&Value::Null)).await.and_then(|()| {
                    // Whatever could be read has been written; what is missing is said by every stream that lacks it.
                    let missing = portfolio.missing_error().filter(|_| stream.is_by_advertiser());
                    missing.map_or(Ok(()), Err)
                })
            }
            Err(error) => Err(error.clone()),
        };
        incomplete += usize::from(result.is_err());
        output.close(id, result.err());
    }
    incomplete
}

impl Run<'_> {
    async fn read(&self, id: StreamId, selected: &Selected, state: &Value) -> Result<()> {
        if self.advertisers.is_empty() && selected.stream.is_by_advertiser() {
            return Ok(());
        }
        let permission = selected.stream.permission;
        let result = match &selected.stream.source {
            Source::Entity(entity) => self.read_entity(id, *entity).await,
            Source::Report(report) => self.read_report(id, selected, report, state).await,
        };
        result.map_err(|error| match error.code.as_deref() {
            Some(PERMISSION_MISSING) => {
                error.in_context(&format!("This stream needs the permission \"{}\"", permission.label()))
            }
            _ => error,
        })
    }
}

/// Slices that are on their way to stdout; their outcome is known when they have been written.
#[derive(Default)]
struct InFlight(VecDeque<oneshot::Receiver<Result<()>>>);

impl InFlight {
    fn push(&mut self, slice: oneshot::Receiver<Result<()>>) {
        self.0.push_back(slice);
    }

    /// Fails as soon as it is known that a slice could not be written.
    fn check(&mut self) -> Result<()> {
        while let Some(slice) = self.0.front_mut() {
            match slice.try_recv() {
                Ok(result) => result?,
                Err(oneshot::error::TryRecvError::Empty) => break,
                Err(oneshot::error::TryRecvError::Closed) => return Err(output_gone()),
            }
            self.0.pop_front();
        }
        Ok(())
    }

    /// Waits until everything has been written.
    async fn settle(self) -> Result<()> {
        for slice in self.0 {
            slice.await.map_err(|_| output_gone())??;
        }
        Ok(())
    }
}

/// Logs Criteo's warnings, in its words.
fn warn(warnings: &[Value]) {
    for warning in warnings {
        let text = |name: &str| warning[name].as_str().unwrap_or_default();
        tracing::warn!("Criteo warns: {} {} [{}]", text("title"), text("detail"), text("code"));
    }
}

fn output_gone() -> Error {
    Error::system("The thread that writes the output has ended.")
}
