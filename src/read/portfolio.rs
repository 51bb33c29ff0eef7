//! The advertisers to read, and the errors about those without consent.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::config::Config;
use crate::error::{Cause, Error, Result};
use crate::http::{Call, Client, MISSING_PATH};
use crate::model::ids::{AdvertiserId, format_ids, numeric_id};
use crate::output::AdvertiserNames;
use crate::read::ReadContext;
use crate::rows::envelope::{RowSink, Shape};
use crate::support::scan;
use crate::support::text::excerpt;

/// Who may grant consent (developers.criteo.com, Authorization requests).
const CONSENTERS: &str = "an administrator, business manager or technical manager";
/// Per sync ([`too_many`] repeats it): each has a cursor in the state of each stream.
const MAX_ADVERTISERS: usize = 20_000;
/// The API may list more than are read.
const MAX_CONSENTING: usize = 200_000;
/// In messages.
const MAX_NAMED: usize = 20;
/// Longer names are left out.
const MAX_NAME_LEN: usize = 400;
/// Including quotation marks.
const MAX_ID_LEN: usize = 66;

/// The advertisers to read.
#[derive(Debug)]
pub struct Portfolio {
    /// With consent and, if any are listed, listed.
    pub advertisers: Vec<AdvertiserId>,
    /// Listed in the configuration but without consent.
    pub missing: Vec<AdvertiserId>,
    /// All with consent, listed or not.
    pub consenting: Vec<AdvertiserId>,
    /// Names by number, where Criteo sends them.
    pub names: AdvertiserNames,
}

impl Portfolio {
    /// Advertisers with their names, for messages.
    #[must_use]
    pub fn named(&self, advertisers: &[AdvertiserId]) -> String {
        let named = |id: &AdvertiserId| match self.names.get(&numeric_id(&id.0)) {
            Some(name) => format!("{} ({id})", excerpt(name)),
            None => id.to_string(),
        };
        let shown: Vec<_> = advertisers.iter().take(MAX_NAMED).map(named).collect();
        format!("{}{}", shown.join(", "), if advertisers.len() > MAX_NAMED { " and others" } else { "" })
    }

    /// The error that names listed advertisers without consent.
    #[must_use]
    pub fn missing_error(&self) -> Option<Error> {
        (!self.missing.is_empty()).then(|| {
            let error = without_consent(&self.missing);
            Error { message: format!("{} The app can read {}.", error.message, format_ids(&self.consenting)), ..error }
        })
    }
}

fn without_consent(advertisers: &[AdvertiserId]) -> Error {
    Error::config(format!(
        "advertiser_ids lists advertisers that have not granted this app consent: {}. Ask someone who may grant it for \
         each ({CONSENTERS}) to open the app's consent link from partners.criteo.com and tick the advertiser, or \
         remove it from the list. Set skip_inaccessible_advertisers to sync the others without an error.",
        format_ids(advertisers),
    ))
}

/// Lists the advertisers with consent and chooses those to read. Every request names them: Criteo refuses reports
/// without advertisers, although its documentation says that none means all.
///
/// # Errors
/// If the call fails or no advertiser has granted consent.
pub async fn portfolio(client: &Client, config: &Config) -> Result<Portfolio> {
    let (consenting, names) = consenting(client).await?;
    if consenting.is_empty() {
        return Err(Error::config(
            "The credentials work, but no advertiser has granted this app consent. On partners.criteo.com, open the \
             app, press \"Generate new URL\", and ask an administrator, business manager or technical manager of the \
             Criteo account to open that link, tick the advertisers and approve. If that has been done, an older \
             consent may be in the way: ask them to revoke it on consent.criteo.com first.",
        )
        .because(Cause::ConsentMissing));
    }
    client.learn_accounts(consenting.len());
    if config.read.scope_ids.is_empty() && consenting.len() > MAX_ADVERTISERS {
        return Err(too_many(&consenting.len().to_string()));
    }
    if config.read.scope_ids.is_empty() {
        return Ok(Portfolio { advertisers: consenting.clone(), missing: Vec::new(), consenting, names });
    }
    let known: HashSet<_> = consenting.iter().collect();
    let listed = distinct(config.read.scope_ids.iter().cloned());
    let (advertisers, missing) = listed.into_iter().partition(|id| known.contains(id));
    Ok(Portfolio { advertisers, missing, consenting, names })
}

fn distinct(advertisers: impl Iterator<Item = AdvertiserId>) -> Vec<AdvertiserId> {
    let mut known = HashSet::new();
    advertisers.filter(|id| known.insert(id.clone())).collect()
}

pub(crate) fn list_of_advertisers() -> Call {
    Call::shared(&["advertisers", "me"])
}

#[derive(Default)]
struct Ids {
    ids: Vec<AdvertiserId>,
    names: AdvertiserNames,
    /// Why the response is not a usable list of advertisers.
    flaw: Option<Error>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

/// The name, which only messages need: any other shape is ignored.
#[derive(Deserialize)]
struct Attributes {
    #[serde(alias = "AdvertiserName", alias = "advertiser_name", alias = "name", rename = "advertiserName")]
    name: String,
}

impl RowSink for Ids {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        let listed = Listed::deserialize(row)?;
        let raw = listed.id.map_or("null", RawValue::get);
        if self.flaw.is_some() {
            return Ok(());
        }
        match scan::text(raw, MAX_ID_LEN).filter(|_| raw.len() <= MAX_ID_LEN) {
            Some(id) if self.ids.len() < MAX_CONSENTING => {
                let attributes = listed.attributes.map(RawValue::get).filter(|raw| raw.len() <= MAX_NAME_LEN);
                if let Some(Ok(Attributes { name })) = attributes.map(serde_json::from_str) {
                    self.names.insert(numeric_id(&id), name.into());
                }
                self.ids.push(AdvertiserId(id));
            }
            Some(_) => self.flaw = Some(too_many(&format!("more than {MAX_CONSENTING}"))),
            None => self.flaw = Some(crate::rows::envelope::unknown_shape("an advertiser without an id")),
        }
        Ok(())
    }
}

fn too_many(advertisers: &str) -> Error {
    Error::config(format!(
        "The app can read {advertisers} advertisers, but one sync reads at most 20,000. List the ones to read in \
         advertiser_ids, and use several connections for more."
    ))
}

async fn consenting(client: &Client) -> Result<(Vec<AdvertiserId>, AdvertiserNames)> {
    let check = |body: &str| {
        let mut ids = Ids::default();
        let envelope = crate::rows::envelope::check_into(body, Shape::Plain, &mut ids)?;
        envelope.must_be_whole(envelope.rows.unwrap_or(0), "objects at advertisers/me")?;
        ids.flaw.map_or_else(|| Ok((distinct(ids.ids.into_iter()), ids.names)), Err)
    };
    let response = client.fetch(&list_of_advertisers(), check).await.map_err(|error| match error.cause {
        // Every app that authenticates has this path.
        Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
        _ => error,
    });
    Ok(response?.1)
}

impl ReadContext<'_> {
    /// Requested once, after Criteo has refused an advertiser.
    pub(super) async fn still_consenting(&self) -> Result<BTreeSet<AdvertiserId>> {
        let ask = async || Ok(consenting(self.client).await?.0.into_iter().collect());
        self.consenting.get_or_try_init(ask).await.cloned()
    }

    /// Whether an inaccessible advertiser is an error.
    pub(super) fn is_listed(&self) -> bool {
        !self.config.read.scope_ids.is_empty() && !self.config.read.skip_inaccessible
    }

    /// The error for advertisers refused during the run: listed ones, or if none is left. Others were skipped with a
    /// warning.
    pub(super) fn lost_error(&self, lost: &BTreeSet<AdvertiserId>) -> Option<Error> {
        let is_listed = self.is_listed();
        let lost: Vec<_> = lost.iter().cloned().collect();
        match lost.is_empty() {
            false if is_listed => Some(without_consent(&lost)),
            false if lost.len() == self.advertisers.len() => Some(Error::config(format!(
                "Criteo refuses all advertisers of the portfolio: {}. Ask someone who may grant consent for each \
                 ({CONSENTERS}) to open the app's consent link from partners.criteo.com again.",
                format_ids(&lost)
            ))),
            _ => None,
        }
    }
}
