//! The options of Retail Media's world.

use std::time::Duration;

/// Data and behavior of a sandbox's Retail Media.
#[derive(Debug, Clone)]
pub struct RetailMediaOptions {
    /// Number of demand accounts with data; every second one belongs to a seller, the others to a brand.
    pub accounts: u32,
    /// Number of additional demand accounts without any data.
    pub empty_accounts: u32,
    /// Number of supply accounts, of retailers.
    pub supply_accounts: u32,
    /// Number of retailers.
    pub retailers: u32,
    /// Campaigns per demand account; every third one is preferred, the others are auctions.
    pub campaigns: u32,
    /// Line items per campaign.
    pub line_items: u32,
    /// Brands per demand account.
    pub brands: u32,
    /// Promoted products per line item.
    pub products: u32,
    /// Products of a catalog per retailer.
    pub catalog_products: u32,
    /// Creatives per demand account.
    pub creatives: u32,
    /// Balances per demand account.
    pub balances: u32,
    /// Audiences per demand account.
    pub audiences: u32,
    /// Audience segments per demand account.
    pub segments: u32,
    /// Categories per retailer.
    pub categories: u32,
    /// Facts per line item or placement and day.
    pub facts: u32,
    /// Percentage of days on which a line item is active.
    pub activity: u32,
    /// Unusual strings and many nulls in objects and reports.
    pub hostile: bool,
    /// Whether the app lacks access to private markets: child accounts and fees are refused.
    pub without_private_market: bool,
    /// Whether the app may create catalog exports and request bids, which needs `RetailMedia_Campaign_Manage`.
    pub with_manage: bool,
    /// Maximum objects per page, whatever was requested.
    pub page_limit: usize,
    /// Days for which sales still grow after a day.
    pub restatement_days: u32,
    /// Number of times that a job is pending when its status is requested.
    pub pending_polls: u32,
    /// Minimum time from the creation of a job to its success.
    pub job_time: Duration,
    /// Lifetime of a job.
    pub job_life: Duration,
    /// Number of jobs that fail, from the next one on.
    pub failing_jobs: u32,
    /// Number of jobs that expire before their output is requested, from the next one on.
    pub expiring_jobs: u32,
}

impl Default for RetailMediaOptions {
    fn default() -> Self {
        Self {
            accounts: 3,
            empty_accounts: 0,
            supply_accounts: 1,
            retailers: 12,
            campaigns: 4,
            line_items: 3,
            brands: 3,
            products: 5,
            catalog_products: 6,
            creatives: 4,
            balances: 2,
            audiences: 3,
            segments: 4,
            categories: 30,
            facts: 3,
            activity: 90,
            hostile: false,
            without_private_market: false,
            with_manage: false,
            page_limit: usize::MAX,
            restatement_days: 5,
            pending_polls: 0,
            job_time: Duration::ZERO,
            job_life: Duration::from_hours(1),
            failing_jobs: 0,
            expiring_jobs: 0,
        }
    }
}

impl RetailMediaOptions {
    /// Number of accounts of every kind.
    pub(crate) fn all_accounts(&self) -> u32 {
        self.accounts + self.empty_accounts + self.supply_accounts
    }
}
