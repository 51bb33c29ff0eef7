//! The advertisers or accounts to read, and the errors about those without consent.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::config::Config;
use crate::error::{Cause, Error, Result};
use crate::http::{Call, Client, MISSING_PATH};
use crate::model::ids::{AdvertiserId, format_ids, numeric_id};
use crate::model::product::{Product, Scope};
use crate::output::AdvertiserNames;
use crate::read::ReadContext;
use crate::read::numbered::NumberedWalker;
use crate::read::pages::{PageVerdict, fingerprint};
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
/// Names are looked for in attributes up to this length.
const MAX_ATTRIBUTES_LEN: usize = 4_000;
/// Accounts per page.
const PAGE: u32 = 500;
/// The page size that every list accepts (Criteo's default).
const SMALL_PAGE: u32 = 25;
/// Most reads of a list that changes while its pages are read.
const MAX_WALKS: u32 = 3;
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
    /// Their kinds: of accounts, type and subtype.
    pub kinds: BTreeMap<AdvertiserId, String>,
    scope: Scope,
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

    /// How many there are of each kind, in words; empty if they have none.
    #[must_use]
    pub fn count_of_kinds(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for kind in self.kinds.values().filter(|kind| !kind.is_empty()) {
            *counts.entry(kind).or_default() += 1;
        }
        let counts: Vec<_> = counts.into_iter().map(|(kind, count)| format!("{count} {}", excerpt(kind))).collect();
        counts.join(", ")
    }

    /// The error that names listed advertisers without consent.
    #[must_use]
    pub fn missing_error(&self) -> Option<Error> {
        (!self.missing.is_empty()).then(|| {
            let error = without_consent(&self.missing, self.scope);
            Error { message: format!("{} The app can read {}.", error.message, format_ids(&self.consenting)), ..error }
        })
    }
}

fn without_consent(advertisers: &[AdvertiserId], scope: Scope) -> Error {
    let Scope { one, many, setting, skip_setting, .. } = scope;
    Error::config(format!(
        "{setting} lists {many} that have not granted this app consent: {}. Ask someone who may grant it for \
         each ({CONSENTERS}) to open the app's consent link from partners.criteo.com and tick the {one}, or \
         remove it from the list. Set {skip_setting} to sync the others without an error.",
        format_ids(advertisers),
    ))
}

/// Lists the advertisers with consent and chooses those to read. Every request names them: Criteo refuses reports
/// without advertisers, although its documentation says that none means all.
///
/// # Errors
/// If the call fails or no advertiser has granted consent.
pub async fn portfolio(client: &Client, config: &Config) -> Result<Portfolio> {
    let scope = config.product().scope();
    let Consenting { ids: consenting, names, kinds } = consenting(client, config).await?;
    if consenting.is_empty() {
        let Scope { one, many, .. } = scope;
        return Err(Error::config(format!(
            "The credentials work, but no {one} has granted this app consent. On partners.criteo.com, open the \
             app, press \"Generate new URL\", and ask an administrator, business manager or technical manager of the \
             Criteo account to open that link, tick the {many} and approve. If that has been done, an older \
             consent may be in the way: ask them to revoke it on consent.criteo.com first."
        ))
        .because(Cause::ConsentMissing));
    }
    client.learn_accounts(consenting.len());
    if config.read.scope_ids.is_empty() && consenting.len() > MAX_ADVERTISERS {
        return Err(too_many(&consenting.len().to_string(), scope));
    }
    if config.read.scope_ids.is_empty() {
        return Ok(Portfolio { advertisers: consenting.clone(), missing: Vec::new(), consenting, names, kinds, scope });
    }
    let known: HashSet<_> = consenting.iter().collect();
    let listed = distinct(config.read.scope_ids.iter().cloned());
    let (advertisers, missing) = listed.into_iter().partition(|id| known.contains(id));
    Ok(Portfolio { advertisers, missing, consenting, names, kinds, scope })
}

fn distinct(advertisers: impl Iterator<Item = AdvertiserId>) -> Vec<AdvertiserId> {
    let mut known = HashSet::new();
    advertisers.filter(|id| known.insert(id.clone())).collect()
}

/// The request for those with consent; of numbered pages, the first.
pub(crate) fn list_of_scope(product: Product) -> Call {
    page_of_scope(product, (PAGE, 0))
}

fn page_of_scope(product: Product, (size, number): (u32, u64)) -> Call {
    let call = Call::shared(product.scope().path);
    match product {
        Product::MarketingSolutions => call,
        Product::RetailMedia => {
            Call { query: vec![("pageSize", size.to_string()), ("pageIndex", number.to_string())], ..call }
        }
    }
}

#[derive(Default)]
struct Consenting {
    ids: Vec<AdvertiserId>,
    names: AdvertiserNames,
    kinds: BTreeMap<AdvertiserId, String>,
}

struct Ids {
    scope: Scope,
    ids: Vec<AdvertiserId>,
    names: AdvertiserNames,
    kinds: Vec<String>,
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

/// Type and subtype of an account, in lower case.
fn kind(attributes: &str) -> String {
    let word = |wanted: &str| {
        let raw = scan::member(attributes, |name| name.eq_ignore_ascii_case(wanted))?;
        scan::text(raw, MAX_ID_LEN).map(|word| word.to_lowercase())
    };
    let words: Vec<_> = [word("type"), word("subtype")].into_iter().flatten().collect();
    words.join(" ")
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
                let attributes = listed.attributes.map_or("{}", RawValue::get);
                if attributes.len() <= MAX_ATTRIBUTES_LEN
                    && let Ok(Attributes { name }) = serde_json::from_str(attributes)
                    && name.len() <= MAX_NAME_LEN
                {
                    self.names.insert(numeric_id(&id), name.into());
                }
                self.ids.push(AdvertiserId(id));
                self.kinds.push(kind(attributes));
            }
            Some(_) => self.flaw = Some(too_many(&format!("more than {MAX_CONSENTING}"), self.scope)),
            None => {
                let what = format!("an {} without an id", self.scope.one);
                self.flaw = Some(crate::rows::envelope::unknown_shape(&what));
            }
        }
        Ok(())
    }
}

fn too_many(count: &str, scope: Scope) -> Error {
    let Scope { many, setting, .. } = scope;
    Error::config(format!(
        "The app can read {count} {many}, but one sync reads at most 20,000. List the ones to read in \
         {setting}, and use several connections for more."
    ))
}

async fn consenting(client: &Client, config: &Config) -> Result<Consenting> {
    let product = config.product();
    let mut size = PAGE;
    for walks in 1..=MAX_WALKS {
        let mut walk = NumberedWalker::new(size);
        let mut all: BTreeMap<AdvertiserId, String> = BTreeMap::new();
        let mut names = AdvertiserNames::default();
        let mut ids = Vec::new();
        loop {
            let (page, total, has_more) = match page_of(client, product, walk.next()).await {
                Err(error)
                    if error.cause == Some(Cause::Rejected) && size > SMALL_PAGE && product == Product::RetailMedia =>
                {
                    size = SMALL_PAGE;
                    (walk, ids) = (NumberedWalker::new(size), Vec::new());
                    continue;
                }
                response => response?,
            };
            let known: Vec<_> = page.ids.iter().map(|id| fingerprint(&id.0)).collect();
            ids.extend(page.ids.iter().cloned());
            names.extend(page.names);
            all.extend(page.ids.into_iter().zip(page.kinds));
            let is_whole = product == Product::MarketingSolutions;
            if is_whole || matches!(walk.take(&known, total, has_more)?, PageVerdict::End | PageVerdict::Last) {
                break;
            }
        }
        if walk.has_changed && walks < MAX_WALKS {
            continue;
        }
        return Ok(Consenting { ids: distinct(ids.into_iter()), names, kinds: all });
    }
    Ok(Consenting::default())
}

/// One page of those with consent, the total that it announces, and whether it announces another.
async fn page_of(client: &Client, product: Product, place: (u32, u64)) -> Result<(Ids, Option<u64>, bool)> {
    let scope = product.scope();
    let check = |body: &str| {
        let mut ids = Ids { scope, ids: Vec::new(), names: AdvertiserNames::default(), kinds: Vec::new(), flaw: None };
        let envelope = crate::rows::envelope::check_into(body, Shape::Plain, &mut ids)?;
        if product == Product::MarketingSolutions {
            envelope.must_be_whole(envelope.rows.unwrap_or(0), &format!("objects at {}", scope.path.join("/")))?;
        }
        match ids.flaw.take() {
            Some(flaw) => Err(flaw),
            None => Ok((ids, envelope.total_items, envelope.has_more)),
        }
    };
    let response = client.fetch(&page_of_scope(product, place), check).await.map_err(|error| match error.cause {
        // Every app that authenticates has this path.
        Some(Cause::NotFound) => error.with_hint(MISSING_PATH),
        _ => error,
    });
    Ok(response?.1)
}

impl ReadContext<'_> {
    /// Requested once, after Criteo has refused an advertiser.
    pub(super) async fn still_consenting(&self) -> Result<BTreeSet<AdvertiserId>> {
        let ask = async || Ok(consenting(self.client, self.config).await?.ids.into_iter().collect());
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
            false if is_listed => Some(without_consent(&lost, self.config.product().scope())),
            false if lost.len() == self.advertisers.len() => Some(Error::config(format!(
                "Criteo refuses all {} of the portfolio: {}. Ask someone who may grant consent for each \
                 ({CONSENTERS}) to open the app's consent link from partners.criteo.com again.",
                self.config.product().scope().many,
                format_ids(&lost)
            ))),
            _ => None,
        }
    }
}
