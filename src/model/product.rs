//! The two API products. A Criteo app belongs to one of them, and so does a configuration.

use std::fmt;

/// A product of Criteo's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Product {
    /// For advertisers and agencies.
    #[default]
    MarketingSolutions,
    /// For retailers, and for brands and sellers that advertise with them.
    RetailMedia,
}

/// The oldest version of the Retail Media API that is read: earlier ones have other lists of balances and other reports.
pub const FIRST_RETAIL_MEDIA_VERSION: &str = "2026-07";

impl Product {
    /// All products.
    pub const ALL: [Self; 2] = [Self::MarketingSolutions, Self::RetailMedia];

    /// The value of the setting `product`.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::MarketingSolutions => "marketing_solutions",
            Self::RetailMedia => "retail_media",
        }
    }

    /// The product of a value of the setting `product`.
    #[must_use]
    pub fn of_setting(setting: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.setting() == setting)
    }

    /// The first segment of API paths, after the version.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Self::MarketingSolutions => "marketing-solutions",
            Self::RetailMedia => "retail-media",
        }
    }

    /// The other product.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::MarketingSolutions => Self::RetailMedia,
            Self::RetailMedia => Self::MarketingSolutions,
        }
    }

    /// Whether this product is read in an API version. Undated versions of Retail Media have no list of accounts.
    #[must_use]
    pub fn has_version(self, version: &str) -> bool {
        self == Self::MarketingSolutions || version.starts_with("20") && version >= FIRST_RETAIL_MEDIA_VERSION
    }

    /// What consent is given to.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::MarketingSolutions => Scope {
                one: "advertiser",
                many: "advertisers",
                setting: "advertiser_ids",
                skip_setting: "skip_inaccessible_advertisers",
                path: &["advertisers", "me"],
                member: "advertiserId",
                column: "advertiser_id",
            },
            Self::RetailMedia => Scope {
                one: "account",
                many: "accounts",
                setting: "account_ids",
                skip_setting: "skip_inaccessible_accounts",
                path: &["retail-media", "accounts"],
                member: "accountId",
                column: "account_id",
            },
        }
    }
}

/// The name, as Criteo writes it.
impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MarketingSolutions => "Marketing Solutions",
            Self::RetailMedia => "Retail Media",
        })
    }
}

/// What consent is given to: advertisers, or accounts in Retail Media.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// One of them.
    pub one: &'static str,
    /// Several of them.
    pub many: &'static str,
    /// The setting that lists those to read.
    pub setting: &'static str,
    /// The setting that skips listed ones without consent.
    pub skip_setting: &'static str,
    /// The path of the list of those with consent.
    pub path: &'static [&'static str],
    /// The member of objects that has the id.
    pub member: &'static str,
    /// The column that has the id.
    pub column: &'static str,
}
