//! Streams as data: what there is to read, with key, cursor, schema and how to ask for it.
//!
//! [`catalog`] is the table, [`report`] turns a report into a stream, [`metrics`] is the vocabulary of reports.
//! Nothing here knows HTTP or a protocol.

pub mod catalog;
pub mod metrics;
pub mod report;
pub mod schema;

use serde_json::Value;

use report::Report;

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
}

impl Permission {
    /// The words of Criteo's developer portal.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "no permission",
            Self::Campaigns => "Campaigns: Read",
            Self::Audiences => "Audiences: Read",
            Self::Analytics => "Analytics: Read",
        }
    }
}

/// How to ask for the rows of a stream of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `GET path`: everything in one answer.
    Get,
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

/// A stream of objects: where they are found.
#[derive(Debug, Clone, Copy)]
pub struct Entity {
    /// The path below the version segment.
    pub path: &'static str,
    /// How to ask.
    pub request: Request,
}

/// Where the rows of a stream come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Objects, read whole at every sync.
    Entity(Entity),
    /// A report, read window by window.
    Report(Report),
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
    /// Whether requests name the advertisers to read.
    #[must_use]
    pub fn is_by_advertiser(&self) -> bool {
        !matches!(self.source, Source::Entity(Entity { request: Request::Get, .. }))
    }

    /// The cursor column of a stream that can be read incrementally.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.source {
            Source::Entity(_) => None,
            Source::Report(report) => Some(report.cursor_column()),
        }
    }
}
