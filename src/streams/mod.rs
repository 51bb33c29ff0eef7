//! Streams as data: what there is to read, with key, cursor, schema and how to ask for it.
//!
//! [`catalog`] is the table, [`report`] turns a report into a stream, [`metrics`] is the vocabulary of reports.
//! Nothing here knows HTTP or a protocol.

pub mod catalog;
pub mod endpoint;
pub mod metrics;
pub mod report;
pub mod schema;

use serde_json::Value;

use endpoint::Endpoint;
use report::Report;

/// What stands behind a history that no document of Criteo's has.
pub const ASSUMED: &str = " (assumed)";

/// A read permission of a Criteo app. Permissions are frozen once the app is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Every app may ask.
    None,
    /// "Campaigns: Read" (scope `MarketingSolutions_Campaign_Read`).
    Campaigns,
    /// "Audiences: Read" (scope `MarketingSolutions_Audience_Read`).
    Audiences,
    /// "Analytics: Read" (scope `MarketingSolutions_Analytics_Read`).
    Analytics,
    /// "Creatives: Read" (scope `MarketingSolutions_Creative_Read`).
    Creatives,
    /// "Recommendations: Read" (scope `MarketingSolutions_Reco_Read`).
    Recommendations,
}

impl Permission {
    /// All that an app can have.
    pub const ALL: [Self; 5] =
        [Self::Campaigns, Self::Audiences, Self::Analytics, Self::Creatives, Self::Recommendations];

    /// The words of Criteo's developer portal.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "no permission",
            Self::Campaigns => "Campaigns: Read",
            Self::Audiences => "Audiences: Read",
            Self::Analytics => "Analytics: Read",
            Self::Creatives => "Creatives: Read",
            Self::Recommendations => "Recommendations: Read",
        }
    }
}

/// How to ask for the rows of a stream of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `GET path`: everything in one answer.
    Get,
    /// `GET path?limit=…&offset=…`
    PagedGet {
        /// Rows to ask for at once; Criteo may serve fewer.
        limit: u32,
    },
    /// `POST path` with `{"filters":{"advertiserIds":[…]}}`: everything in one answer.
    Search,
    /// `POST path?limit=…&offset=…` with `{"data":{"type":…,"attributes":{"advertiserIds":[…]}}}`.
    PagedSearch {
        /// The `type` of the search resource.
        resource: &'static str,
        /// Rows to ask for at once; Criteo may serve fewer.
        limit: u32,
    },
}

impl Request {
    /// Whether the request names the advertisers.
    #[must_use]
    pub fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::PagedSearch { .. })
    }

    /// The size of a page, where there are pages.
    #[must_use]
    pub fn limit(self) -> Option<u32> {
        match self {
            Self::PagedGet { limit } | Self::PagedSearch { limit, .. } => Some(limit),
            Self::Get | Self::Search => None,
        }
    }
}

/// What a stream of objects is asked for once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// Once.
    Nothing,
    /// For each advertiser.
    Advertiser,
    /// For each ad set.
    AdSet,
    /// For each dataset of an ad set or a creative.
    Dataset,
    /// For each audience segment that is a contact list.
    ContactList,
    /// For each advertiser and each country of its audience segments, or of the configuration.
    Country,
    /// For each product set.
    ProductSet,
    /// For each advertiser of the marketplace.
    MarketplaceAdvertiser,
}

/// A placeholder of a path or a query; its name is also that of the column that it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// `advertiser_id`
    AdvertiserId,
    /// `ad_set_id`
    AdSetId,
    /// `country`, two letters
    Country,
    /// `dataset_id`
    DatasetId,
    /// `product_set_id`
    ProductSetId,
    /// `segment_id`
    SegmentId,
}

impl Variable {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::AdvertiserId, Self::AdSetId, Self::Country, Self::DatasetId, Self::ProductSetId, Self::SegmentId];

    /// Its name between braces in a path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdvertiserId => "advertiser_id",
            Self::AdSetId => "ad_set_id",
            Self::Country => "country",
            Self::DatasetId => "dataset_id",
            Self::ProductSetId => "product_set_id",
            Self::SegmentId => "segment_id",
        }
    }
}

/// A part of a query.
#[derive(Debug, Clone, Copy)]
pub enum Parameter {
    /// Always the same value.
    Fixed(&'static str, &'static str),
    /// The value of a placeholder.
    Of(&'static str, Variable),
}

/// A second request for a list, for objects that the first leaves out.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// The query in place of the first one.
    pub query: &'static [Parameter],
    /// Members of these objects that the answer does not tell, folded.
    pub unknown: &'static [&'static str],
}

/// A stream of objects: where they are found.
#[derive(Debug, Clone, Copy)]
pub struct Entity {
    /// The path below the version segment, with placeholders such as `{ad_set_id}`.
    pub path: &'static str,
    /// The query, besides pages.
    pub query: &'static [Parameter],
    /// How to ask.
    pub request: Request,
    /// How often to ask.
    pub each: Each,
    /// Placeholders whose values the rows do not carry themselves; they become columns.
    pub columns: &'static [Variable],
    /// The first version of the API that has it; `None` where all that Criteo still serves have.
    pub since: Option<&'static str>,
    /// What is asked for besides.
    pub rest: Option<Rest>,
    /// Whether rows tell when they were changed last (`updated_at`).
    pub has_updates: bool,
}

/// Where the rows of a stream come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Objects, read whole at every sync.
    Entity(Entity),
    /// A report, read window by window.
    Report(Report),
    /// Criteo's log files, read day by day.
    LogLevel,
}

/// One stream, ready to be discovered and read.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The name, the same in both protocols.
    pub name: String,
    /// The JSON schema of a record (draft 7).
    pub schema: Value,
    /// The columns that tell records apart.
    pub primary_key: Vec<String>,
    /// The permission that the app needs.
    pub permission: Permission,
    /// Where the rows come from.
    pub source: Source,
}

impl Stream {
    /// Method and path of its requests, with placeholders.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.source {
            Source::Entity(entity) => {
                format!("{} {}", if entity.request.is_search() { "POST" } else { "GET" }, entity.path)
            }
            Source::Report(report) => match report.endpoint {
                Endpoint::Statistics => "POST statistics/report".to_owned(),
                Endpoint::Placements => "POST placements/report".to_owned(),
                Endpoint::Transactions => "POST transactions/report".to_owned(),
                Endpoint::AdLevel => "POST marketing-solutions/statistics-adlevel/report".to_owned(),
                Endpoint::Marketplace(what) => {
                    format!("GET marketing-solutions/marketplace-performance-outcomes/stats/{what}")
                }
            },
            Source::LogLevel => "POST log-level/advertisers/{advertiser_id}/report".to_owned(),
        }
    }

    /// How far back Criteo keeps it, in words, and whether that is only assumed; empty for objects.
    #[must_use]
    pub fn history(&self) -> String {
        match &self.source {
            Source::Entity(_) => String::new(),
            Source::Report(report) if report.is_history_assumed() => report.history() + ASSUMED,
            Source::Report(report) => report.history(),
            Source::LogLevel => "30 days".to_owned(),
        }
    }

    /// Whether a Singer tap reads it without being told to: what an app with the least permissions that make sense
    /// (Campaigns, Creatives, Analytics) can read, apart from log files, which are large.
    #[must_use]
    pub fn is_selected_by_default(&self) -> bool {
        !matches!(self.permission, Permission::Audiences | Permission::Recommendations)
            && !matches!(self.source, Source::LogLevel)
    }

    /// Whether every read brings all that there is: objects that do not tell when they were changed.
    #[must_use]
    pub fn is_read_whole(&self, is_incremental: bool) -> bool {
        matches!(self.source, Source::Entity(_)) && !(is_incremental && self.cursor().is_some())
    }

    /// Whether only the advertisers to read are asked for.
    #[must_use]
    pub fn is_by_advertiser(&self) -> bool {
        match &self.source {
            Source::Entity(entity) => entity.request.is_search() || entity.each != Each::Nothing,
            Source::Report(_) | Source::LogLevel => true,
        }
    }

    /// Whether a read that was interrupted can go on from its last state.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match &self.source {
            Source::Entity(entity) => entity.each != Each::Nothing && !catalog::is_parent(&self.name),
            Source::Report(_) | Source::LogLevel => true,
        }
    }

    /// The cursor column of a stream that can be read incrementally.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.source {
            Source::Entity(entity) => entity.has_updates.then_some("updated_at"),
            Source::Report(report) => Some(report.cursor_column()),
            Source::LogLevel => Some("day"),
        }
    }
}
