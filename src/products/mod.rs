//! Streams as data: their keys, cursors, schemas and requests.
//!
//! [`marketing`] is the table of streams, [`fan_out`] has the parents of child streams, [`report`] turns a report into a stream, and
//! [`marketing::metrics`] has the dimensions and metrics of reports. This module does not depend on HTTP or on a protocol.

pub mod endpoint;
pub mod fan_out;
pub mod marketing;
pub mod report;
pub mod schema;

use serde_json::Value;

use crate::products::fan_out::FanOut;
use crate::products::marketing::metrics;
use crate::products::report::Report;

/// Marks a history that Criteo does not document.
pub(crate) const ASSUMED: &str = " (assumed)";

/// A read permission of a Criteo app. Activating the app freezes its permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Available to every app.
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
    /// All permissions that can be granted.
    pub const ALL: [Self; 5] =
        [Self::Campaigns, Self::Audiences, Self::Analytics, Self::Creatives, Self::Recommendations];

    /// The label in Criteo's developer portal.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Campaigns => "Campaigns: Read",
            Self::Audiences => "Audiences: Read",
            Self::Analytics => "Analytics: Read",
            Self::Creatives => "Creatives: Read",
            Self::Recommendations => "Recommendations: Read",
        }
    }
}

/// How to request the objects of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `GET path`: everything in one response.
    Get,
    /// `GET path?limit=…&offset=…`.
    PagedGet {
        /// Rows per page; Criteo may return fewer.
        limit: u32,
    },
    /// `POST path` with `{"filters":{"advertiserIds":[…]}}`: everything in one response.
    Search,
    /// `POST path?limit=…&offset=…` with `{"data":{"type":…,"attributes":{"advertiserIds":[…]}}}`.
    PagedSearch {
        /// The `type` of the search resource.
        resource: &'static str,
        /// Rows per page; Criteo may return fewer.
        limit: u32,
    },
}

impl Request {
    /// Whether the request lists the advertisers.
    #[must_use]
    pub fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::PagedSearch { .. })
    }

    /// The page size, if the endpoint has pages.
    #[must_use]
    pub fn limit(self) -> Option<u32> {
        match self {
            Self::PagedGet { limit } | Self::PagedSearch { limit, .. } => Some(limit),
            Self::Get | Self::Search => None,
        }
    }
}

/// A placeholder in a path or query. The column that it fills has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// `advertiser_id`.
    AdvertiserId,
    /// `ad_set_id`.
    AdSetId,
    /// `country`, two letters.
    Country,
    /// `dataset_id`.
    DatasetId,
    /// `product_set_id`.
    ProductSetId,
    /// `segment_id`.
    SegmentId,
}

impl Placeholder {
    /// Every placeholder.
    pub const ALL: &[Self] =
        &[Self::AdvertiserId, Self::AdSetId, Self::Country, Self::DatasetId, Self::ProductSetId, Self::SegmentId];

    /// The name, which stands in braces in a path.
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

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub enum QueryParam {
    /// A constant value.
    Fixed(&'static str, &'static str),
    /// The value of a placeholder.
    Of(&'static str, Placeholder),
}

/// A second request for objects that the first one omits.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// The query, instead of the first request's.
    pub query: &'static [QueryParam],
    /// Members that the response lacks for these objects, case-folded.
    pub unknown: &'static [&'static str],
}

/// The endpoint of an object stream.
#[derive(Debug, Clone, Copy)]
pub struct Entity {
    /// The path after the API version, with placeholders such as `{ad_set_id}`.
    pub path: &'static str,
    /// Query parameters, without those for paging.
    pub query: &'static [QueryParam],
    /// The kind of request.
    pub request: Request,
    /// What to send one request for.
    pub each: &'static FanOut,
    /// Placeholders added as columns, since the rows lack their values.
    pub columns: &'static [Placeholder],
    /// The first API version with this endpoint; `None` if every supported version has it.
    pub since: Option<&'static str>,
    /// A second request, if one is needed.
    pub rest: Option<Rest>,
    /// Whether rows have `updated_at`, the time of the last change.
    pub has_updates: bool,
}

/// The source of a stream's rows.
#[derive(Debug, Clone)]
pub enum Source {
    /// Objects; every sync reads all of them.
    Entity(Entity),
    /// A report, read window by window.
    Report(Report),
    /// Criteo's log files, read per day.
    LogLevel,
}

/// A stream, ready for discovery and reading.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The name, in both protocols.
    pub name: String,
    /// The JSON schema of a record (draft 7).
    pub schema: Value,
    /// The columns that identify a record.
    pub primary_key: Vec<String>,
    /// The permission the app needs.
    pub permission: Permission,
    /// The source of the rows.
    pub source: Source,
}

impl Stream {
    /// Method and path of the requests, with placeholders.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.source {
            Source::Entity(entity) => {
                format!("{} {}", if entity.request.is_search() { "POST" } else { "GET" }, entity.path)
            }
            Source::Report(report) => report.endpoint.operation(),
            Source::LogLevel => "POST log-level/advertisers/{advertiser_id}/report".to_owned(),
        }
    }

    /// The history that Criteo keeps, in words, with a mark if it is assumed; empty for objects.
    #[must_use]
    pub fn history(&self) -> String {
        match &self.source {
            Source::Entity(_) => String::new(),
            Source::Report(report) if report.is_history_assumed() => report.history() + ASSUMED,
            Source::Report(report) => report.history(),
            Source::LogLevel => "30 days".to_owned(),
        }
    }

    /// Whether a Singer tap reads it by default: what an app with the minimum useful permissions (Campaigns, Creatives,
    /// Analytics) can read, without log files, which are large.
    #[must_use]
    pub fn is_selected_by_default(&self) -> bool {
        !matches!(self.permission, Permission::Audiences | Permission::Recommendations)
            && !matches!(self.source, Source::LogLevel)
    }

    /// Whether the sync reads every object: in full refresh mode, and always for objects without `updated_at`.
    #[must_use]
    pub fn is_read_whole(&self, is_incremental: bool) -> bool {
        matches!(self.source, Source::Entity(_)) && !(is_incremental && self.cursor().is_some())
    }

    /// Whether requests are limited to the advertisers to read.
    #[must_use]
    pub fn is_by_advertiser(&self) -> bool {
        match &self.source {
            Source::Entity(entity) => entity.request.is_search() || entity.each.has_parents(),
            Source::Report(_) | Source::LogLevel => true,
        }
    }

    /// Whether an interrupted read can resume from its last state.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match &self.source {
            Source::Entity(entity) => entity.each.has_parents() && !crate::products::marketing::is_parent(&self.name),
            Source::Report(_) | Source::LogLevel => true,
        }
    }

    /// Whether a column is a quotient, which needs no exact digits.
    #[must_use]
    pub fn is_ratio(&self, column: &str) -> bool {
        let Source::Report(report) = &self.source else { return false };
        let is_metric = |name: &&String| metrics::column_name(name) == column;
        let metric = report.metrics.iter().find(is_metric).and_then(|name| metrics::metric(name));
        report.endpoint.ratios.contains(&column) || metric.is_some_and(metrics::Metric::is_ratio)
    }

    /// The cursor column, if the stream can be read incrementally.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.source {
            Source::Entity(entity) => entity.has_updates.then_some("updated_at"),
            Source::Report(report) => Some(report.cursor_column()),
            Source::LogLevel => Some("day"),
        }
    }
}
