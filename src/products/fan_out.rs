//! What child streams send one request for, as data: nothing else knows a kind of parent by its name.

use crate::products::Placeholder;

/// What a stream sends one request for.
#[derive(Debug)]
pub struct FanOut {
    /// Where the parents come from.
    pub source: ParentSource,
    /// The streams whose objects are the parents, in the order of their requests.
    pub streams: &'static [ParentStream],
    /// A member and its value, in any case: only objects with both are parents.
    pub filter: Option<(&'static str, &'static str)>,
    /// The placeholders that a parent fills, and the members of its object that have the values. Objects that lack one
    /// of them are skipped. `id` is a member of the object itself, all others are members of its attributes, if it has
    /// attributes; a dot separates the names of nested objects.
    pub values: &'static [(Placeholder, &'static str)],
    /// Whether there are usually thousands of parents, or a job for each.
    pub is_costly: bool,
}

/// Where parents come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentSource {
    /// There are no parents: a single request.
    Nothing,
    /// The advertisers or accounts of the sync.
    Scope,
    /// The advertisers or accounts of the sync that are among the objects of the parent streams.
    ScopeAmongObjects,
    /// The configured countries, for each advertiser; if there are none, the objects of the parent streams.
    Countries,
    /// The objects of the parent streams.
    Objects,
}

/// A stream whose objects are parents.
#[derive(Debug)]
pub struct ParentStream {
    /// The name.
    pub name: &'static str,
    /// The warning if Criteo refuses to list its objects; without one, the child stream fails.
    pub if_refused: Option<&'static str>,
}

impl FanOut {
    /// Whether the requests are for parents.
    #[must_use]
    pub fn has_parents(&self) -> bool {
        self.source != ParentSource::Nothing
    }

    /// Whether the parents are advertisers or accounts.
    #[must_use]
    pub fn is_of_scope(&self) -> bool {
        matches!(self.source, ParentSource::Scope | ParentSource::ScopeAmongObjects)
    }
}

/// A single request.
pub static NOTHING: FanOut = DEFAULT;

pub(crate) const DEFAULT: FanOut =
    FanOut { source: ParentSource::Nothing, streams: &[], filter: None, values: &[], is_costly: false };

/// One request per advertiser.
pub static ADVERTISER: FanOut =
    FanOut { source: ParentSource::Scope, values: &[(Placeholder::AdvertiserId, "id")], ..DEFAULT };

/// One request per ad set.
pub static AD_SET: FanOut = FanOut {
    source: ParentSource::Objects,
    streams: &[ParentStream { name: "ad_sets", if_refused: None }],
    values: &[(Placeholder::AdSetId, "id"), (Placeholder::AdvertiserId, "advertiserId")],
    ..DEFAULT
};

/// One request per dataset of an ad set or a creative.
pub static DATASET: FanOut = FanOut {
    source: ParentSource::Objects,
    streams: &[
        ParentStream { name: "ad_sets", if_refused: None },
        ParentStream {
            name: "creatives",
            if_refused: Some("Only datasets of ad sets are read, not those of creatives."),
        },
    ],
    values: &[(Placeholder::DatasetId, "datasetId")],
    ..DEFAULT
};

/// One request per audience segment that is a contact list.
pub static CONTACT_LIST: FanOut = FanOut {
    source: ParentSource::Objects,
    streams: &[ParentStream { name: "audience_segments", if_refused: None }],
    filter: Some(("type", "ContactList")),
    values: &[(Placeholder::SegmentId, "id")],
    ..DEFAULT
};

/// One request per advertiser and country, where countries come from the configuration or its audience segments.
pub static COUNTRY: FanOut = FanOut {
    source: ParentSource::Countries,
    streams: &[ParentStream { name: "audience_segments", if_refused: None }],
    values: &[(Placeholder::AdvertiserId, "advertiserId"), (Placeholder::Country, "inMarket.country")],
    ..DEFAULT
};

/// One request per product set.
pub static PRODUCT_SET: FanOut = FanOut {
    source: ParentSource::Objects,
    streams: &[ParentStream { name: "product_sets", if_refused: None }],
    values: &[(Placeholder::ProductSetId, "id")],
    ..DEFAULT
};

/// One request per marketplace advertiser.
pub static MARKETPLACE_ADVERTISER: FanOut = FanOut {
    source: ParentSource::ScopeAmongObjects,
    streams: &[ParentStream { name: "mpo_advertisers", if_refused: None }],
    values: &[(Placeholder::AdvertiserId, "id")],
    ..DEFAULT
};
