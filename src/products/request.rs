//! The kinds of requests for objects.

use crate::products::Placeholder;

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
    /// `GET path?pageIndex=…&pageSize=…`.
    NumberedPages {
        /// Rows per page; Criteo may return fewer.
        size: u32,
    },
    /// `POST path` with `{"data":{"type":…,"attributes":{"accountIds":[…]}}}`, and with `limit` and `offset` if it has pages.
    AccountSearch {
        /// The `type` of the search resource.
        resource: &'static str,
        /// Rows per page, if there are pages.
        limit: Option<u32>,
        /// Accounts per request.
        most: usize,
        /// Attributes that are set to `true`.
        flags: &'static [&'static str],
    },
    /// `POST path` with `{"data":{"type":…,"attributes":{…}}}`, and with `limit` and `offset` if it has pages.
    Post {
        /// The `type` of the search resource.
        resource: &'static str,
        /// Rows per page, if there are pages.
        limit: Option<u32>,
        /// Attributes that are lists of one number, the value of a placeholder.
        numbers: &'static [(&'static str, Placeholder)],
    },
    /// `POST path` without a body: everything in one response.
    BarePost,
    /// `POST path` creates a job.
    Job(Job),
}

impl Request {
    /// Whether the request lists the advertisers or accounts.
    #[must_use]
    pub fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::PagedSearch { .. } | Self::AccountSearch { .. })
    }

    /// Whether the method is `POST`.
    #[must_use]
    pub fn is_post(self) -> bool {
        !matches!(self, Self::Get | Self::PagedGet { .. } | Self::NumberedPages { .. })
    }

    /// The most advertisers or accounts that one search may list.
    #[must_use]
    pub fn most_listed(self) -> usize {
        if let Self::AccountSearch { most, .. } = self { most } else { usize::MAX }
    }

    /// The page size, if the endpoint has pages.
    #[must_use]
    pub fn limit(self) -> Option<u32> {
        match self {
            Self::PagedGet { limit } | Self::PagedSearch { limit, .. } => Some(limit),
            Self::NumberedPages { size } => Some(size),
            Self::AccountSearch { limit, .. } | Self::Post { limit, .. } => limit,
            Self::Get | Self::Search | Self::BarePost | Self::Job(_) => None,
        }
    }
}

/// A kind of job: it is created, asked for its status until it ends, and its file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// The products of an account, one per line. `POST path/sellers` creates it for accounts of sellers.
    Catalog,
    /// A retailer's bill for a month, as a JSON document.
    Billing,
}

impl Job {
    /// The path of these jobs, without the id of one.
    #[must_use]
    pub fn path(self) -> &'static [&'static str] {
        match self {
            Self::Catalog => &["retail-media", "catalogs"],
            Self::Billing => &["retail-media", "billing", "partner-report"],
        }
    }

    /// What it makes, in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Billing => "billing report",
        }
    }
}
