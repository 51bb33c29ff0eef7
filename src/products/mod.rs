//! Streams as data: their keys, cursors, schemas and requests.
//!
//! [`marketing`] and [`retail_media`] are the tables of streams, one per API product, [`definition`] is a line in them, [`fan_out`] has the parents of child streams, [`report`] turns a report into a stream, [`request`] has the kinds of requests for objects, and
//! [`marketing::metrics`] has the dimensions and metrics of reports. This module does not depend on HTTP or on a protocol.

pub mod about;
pub mod definition;
pub mod endpoint;
pub mod fan_out;
pub mod marketing;
pub mod report;
pub mod request;
pub mod retail_media;
pub mod schema;
pub mod vocabulary;

use serde_json::Value;

use crate::model::product::Product;
pub use crate::products::definition::{entity_of, is_parent, permission_of, since_of, streams};
pub(crate) use crate::products::definition::{parent_members, parent_streams};
use crate::products::endpoint::SETTLING_DAYS;
use crate::products::fan_out::FanOut;
use crate::products::marketing::metrics;
use crate::products::report::Report;
pub use crate::products::request::{Job, Request};

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
    /// Scope `RetailMedia_Accounts_Read`.
    RetailMediaAccounts,
    /// Scope `RetailMedia_Analytics_Read`.
    RetailMediaAnalytics,
    /// Scope `RetailMedia_Audience_Read`.
    RetailMediaAudiences,
    /// Scope `RetailMedia_Balance_Read`.
    RetailMediaBalances,
    /// Scope `RetailMedia_Billing_Read`.
    RetailMediaBilling,
    /// Scope `RetailMedia_Campaign_Read`.
    RetailMediaCampaigns,
}

impl Permission {
    /// All permissions that can be granted to an app of this product.
    #[must_use]
    pub fn of(product: Product) -> &'static [Self] {
        match product {
            Product::MarketingSolutions => {
                &[Self::Campaigns, Self::Audiences, Self::Analytics, Self::Creatives, Self::Recommendations]
            }
            Product::RetailMedia => &[
                Self::RetailMediaAccounts,
                Self::RetailMediaCampaigns,
                Self::RetailMediaBalances,
                Self::RetailMediaAudiences,
                Self::RetailMediaBilling,
                Self::RetailMediaAnalytics,
            ],
        }
    }

    /// The label in Criteo's developer portal. Those of Retail Media are not documented, so they are the names of scopes.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Campaigns => "Campaigns: Read",
            Self::Audiences => "Audiences: Read",
            Self::Analytics => "Analytics: Read",
            Self::Creatives => "Creatives: Read",
            Self::Recommendations => "Recommendations: Read",
            Self::RetailMediaAccounts => "RetailMedia_Accounts_Read",
            Self::RetailMediaAnalytics => "RetailMedia_Analytics_Read",
            Self::RetailMediaAudiences => "RetailMedia_Audience_Read",
            Self::RetailMediaBalances => "RetailMedia_Balance_Read",
            Self::RetailMediaBilling => "RetailMedia_Billing_Read",
            Self::RetailMediaCampaigns => "RetailMedia_Campaign_Read",
        }
    }
}

/// A placeholder in a path or query. The column that it fills has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// `account_id`.
    AccountId,
    /// `parent_account_id`, an account with child accounts.
    ParentAccountId,
    /// `retailer_id`.
    RetailerId,
    /// `balance_id`.
    BalanceId,
    /// `campaign_id`.
    CampaignId,
    /// `line_item_id`.
    LineItemId,
}

impl Placeholder {
    /// Every placeholder.
    pub const ALL: &[Self] = &[
        Self::AdvertiserId,
        Self::AdSetId,
        Self::Country,
        Self::DatasetId,
        Self::ProductSetId,
        Self::SegmentId,
        Self::AccountId,
        Self::ParentAccountId,
        Self::RetailerId,
        Self::BalanceId,
        Self::CampaignId,
        Self::LineItemId,
    ];

    /// Whether consent is given to what it stands for.
    #[must_use]
    pub fn is_scope(self) -> bool {
        matches!(self, Self::AdvertiserId | Self::AccountId | Self::ParentAccountId)
    }

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
            Self::AccountId => "account_id",
            Self::ParentAccountId => "parent_account_id",
            Self::RetailerId => "retailer_id",
            Self::BalanceId => "balance_id",
            Self::CampaignId => "campaign_id",
            Self::LineItemId => "line_item_id",
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

/// How objects become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf {
    /// Each object is a row.
    Objects,
    /// Each object is a row, with other names for members of the object itself.
    Renamed(&'static [(&'static str, &'static str)]),
    /// Each entry of these lists in an object is a row.
    Lists(&'static [ListOfRows]),
    /// Each entry of a map in an object is a row.
    Map {
        /// The member with the map.
        member: &'static str,
        /// The row's member with the key of the entry.
        key: &'static str,
        /// A list of keys in the object, and the row's member with the place in it, from 1.
        order: (&'static str, &'static str),
    },
    /// Each object is a row. Members that are none of these columns are in an object, the column `other_columns`; spaces,
    /// underscores and case of their names do not matter.
    Open(&'static [&'static str]),
}

/// A list in an object whose entries are rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListOfRows {
    /// The member with the list.
    pub member: &'static str,
    /// Whether an object without the member is an error; otherwise it has no rows.
    pub is_required: bool,
    /// The row's member with the entry, if entries are strings.
    pub text: Option<&'static str>,
    /// Members of all rows, and their values.
    pub constants: &'static [(&'static str, &'static str)],
    /// Members of the object that its rows repeat.
    pub repeated: &'static [&'static str],
    /// Members of the entries with other names in rows.
    pub renamed: &'static [(&'static str, &'static str)],
}

/// The endpoint of an object stream.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of an endpoint, declared by name in a table")]
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
    /// The first API version without this endpoint; `None` if every version since `since` has it.
    pub until: Option<&'static str>,
    /// How objects become rows.
    pub rows: RowsOf,
    /// Whether the response may be the object itself, without an envelope.
    pub is_bare: bool,
    /// Whether key columns of strings may have no value, which is `""` then.
    pub has_empty_keys: bool,
    /// Whether objects have no id, so that rows with one key are numbered in `row_number`.
    pub is_numbered: bool,
    /// Whether Criteo gives access to chosen apps only.
    pub is_limited: bool,
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
                format!("{} {}", if entity.request.is_post() { "POST" } else { "GET" }, entity.path)
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

    /// How long its sales still grow, in a sentence; `None` for objects.
    #[must_use]
    pub fn growth(&self) -> Option<String> {
        let Source::Report(report) = &self.source else { return None };
        let days = report.lookback_days(&report.selected_metrics(&|_| true));
        (days > SETTLING_DAYS).then(|| {
            format!(
                "Criteo credits a sale to clicks and views of up to {days} days before, so the revenue and ROAS of the \
                 last {days} days still grow."
            )
        })
    }

    /// Whether a Singer tap reads it by default: what an app with the minimum useful permissions (Campaigns, Creatives,
    /// Analytics) can read, without log files, which are large, and what needs a request per line item. Access to
    /// some objects is limited.
    #[must_use]
    pub fn is_selected_by_default(&self) -> bool {
        self.is_usual() && !matches!(self.permission, Permission::Audiences | Permission::Recommendations)
    }

    /// Whether it is read without being named, if the app may read it: not log files, what needs a request per line item or
    /// a job per account, nor what chosen apps may read only.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        match &self.source {
            Source::Entity(entity) => !entity.is_limited && !entity.each.is_costly,
            Source::Report(_) => true,
            Source::LogLevel => false,
        }
    }

    /// Whether Criteo gives access to chosen apps only.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        matches!(&self.source, Source::Entity(entity) if entity.is_limited)
    }

    /// Whether the sync reads every object: in full refresh mode, and always for objects without `updated_at`.
    #[must_use]
    pub fn is_read_whole(&self, is_incremental: bool) -> bool {
        matches!(self.source, Source::Entity(_)) && !(is_incremental && self.cursor().is_some())
    }

    /// Whether requests are limited to the advertisers or accounts to read.
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
            Source::Entity(entity) => entity.each.has_parents() && !is_parent(&self.name),
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
