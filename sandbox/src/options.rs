//! The options of a sandbox.

use std::time::Duration;

use chrono::NaiveDate;
use clap::ValueEnum;
use serde::Deserialize;

use crate::retail_media::RetailMediaOptions;
use crate::unknowns::Unknowns;

/// JSON format of a statistics report, which Criteo does not document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// `{"Rows":[…],"Total":{…}}`, as in Estuary's source and the taps of reservoir-data and uptilab2.
    #[default]
    Rows,
    /// `[…]`, as OWOX reports it for API 2026-01.
    Array,
}

/// Format of numbers in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Numbers {
    /// `"2534"`, as in the taps' fixtures.
    #[default]
    Quoted,
    /// `2534`, as in Estuary's fixtures.
    Bare,
}

/// Case of the members of a statistics row, which varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Casing {
    /// `AdsetId`, as in the request.
    #[default]
    Pascal,
    /// `adsetId`, as OWOX reports it.
    Camel,
}

/// JSON format of placements, which is not documented, and of transactions, with one documented example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Wrapping {
    /// `{"data":[{"attributes":{"rows":[…]}}]}`, as OWOX reports it.
    Rows,
    /// `{"data":[{"attributes":{…}},…]}`, one entry per row, as OWOX reports it for transactions.
    #[default]
    Each,
}

/// Setup state of an app. Criteo does not document its responses to incomplete apps, so these are guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppState {
    /// Ready.
    #[default]
    Active,
    /// Not activated: its tokens are refused.
    NotActivated,
    /// A Retail Media app, without access to Marketing Solutions.
    RetailMedia,
    /// Its key was deleted.
    KeyDeleted,
}

/// Criteo's service that an app belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Product {
    /// For advertisers.
    #[default]
    #[value(name = "marketing_solutions")]
    MarketingSolutions,
    /// For retailers and the brands that advertise with them.
    #[value(name = "retail_media")]
    RetailMedia,
}

/// A permission of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// `MarketingSolutions_Campaign_Read`
    Campaigns,
    /// `MarketingSolutions_Audience_Read`
    Audiences,
    /// `MarketingSolutions_Analytics_Read`
    Analytics,
    /// `MarketingSolutions_Creative_Read`
    Creatives,
    /// `MarketingSolutions_Reco_Read`
    Recommendations,
    /// `RetailMedia_Accounts_Read`
    RetailMediaAccounts,
    /// `RetailMedia_Analytics_Read`
    RetailMediaAnalytics,
    /// `RetailMedia_Audience_Read`
    RetailMediaAudiences,
    /// `RetailMedia_Balance_Read`
    RetailMediaBalances,
    /// `RetailMedia_Billing_Read`
    RetailMediaBilling,
    /// `RetailMedia_Campaign_Read`
    RetailMediaCampaigns,
}

/// Data and behavior of a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of all random data.
    pub seed: u64,
    /// Whether data is made to find mistakes: every kind of character, nulls, and money of eighteen digits. Otherwise it
    /// looks like that of real accounts.
    pub hostile: bool,
    /// Number of advertisers with data.
    pub advertisers: u32,
    /// Number of additional advertisers without any data.
    pub empty_advertisers: u32,
    /// Campaigns per advertiser.
    pub campaigns: u32,
    /// Ad sets per campaign.
    pub ad_sets: u32,
    /// Ads per ad set.
    pub ads: u32,
    /// Number of ads shown by all advertisers except the first; `None` for all.
    pub quiet_ads: Option<u32>,
    /// Audiences per advertiser.
    pub audiences: u32,
    /// Percentage of days on which an ad is shown.
    pub activity: u32,
    /// The simulated current day in UTC, the last one with facts.
    pub today: NaiveDate,
    /// The app's client id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// A valid refresh token for apps of the type "authorization code"; each use replaces it.
    pub refresh_token: Option<String>,
    /// Lifetime of a token.
    pub token_life: Duration,
    /// Maximum requests per token, whatever its lifetime.
    pub token_calls: Option<u32>,
    /// Ids of advertisers without consent.
    pub without_consent: Vec<String>,
    /// Ids of advertisers that the portfolio lists but reports refuse.
    pub refused_in_reports: Vec<String>,
    /// Permissions that the app lacks.
    pub without_permission: Vec<Permission>,
    /// Setup state of the app.
    pub app: AppState,
    /// Service that the app belongs to; `AppState::RetailMedia` means Retail Media, too.
    pub product: Product,
    /// The world of Retail Media.
    pub retail_media: RetailMediaOptions,
    /// Incompatible pairs of a dimension and a metric, which Criteo does not document.
    pub refused_pairs: Vec<(String, String)>,
    /// Statistics metrics that Criteo has removed.
    pub retired_metrics: Vec<String>,
    /// Maximum rows of a report; the rest is silently omitted.
    pub row_cap: usize,
    /// Maximum objects per page, whatever was requested.
    pub page_limit: usize,
    /// Ids of deleted objects.
    pub deleted_ids: Vec<String>,
    /// Number of new audiences and segments, before the others.
    pub inserted: u32,
    /// Days for which numbers still grow after a day.
    pub restatement_days: u32,
    /// Lifetime of log file links.
    pub link_life: Duration,
    /// Status for wrong credentials; both 400 and 401 have been reported.
    pub refusal_status: u16,
    /// Maximum rows of a placements report.
    pub placement_cap: usize,
    /// Requests per minute except reports; Criteo's limit is 250.
    pub rate_limit: usize,
    /// Report requests per minute; Criteo's limit is 40.
    pub report_limit: usize,
    /// Requests per minute of any kind, instead of the two limits above.
    pub pooled_limit: Option<usize>,
    /// How many times faster a minute passes for the limits.
    pub time_scale: f64,
    /// Whether responses are compressed for clients that accept it.
    pub gzip: bool,
    /// Rows of statistics per advertiser and day, serialized once (see `prepared.rs`), instead of rows from facts.
    pub prepared_rows: Option<u32>,
    /// Delay of every response.
    pub latency: Duration,
    /// JSON format of statistics.
    pub shape: Shape,
    /// JSON format of placements and transactions.
    pub wrapping: Wrapping,
    /// Case of member names in statistics.
    pub casing: Casing,
    /// Format of numbers in statistics.
    pub numbers: Numbers,
    /// Open questions; an explicit switch overrides the four options above.
    pub unknowns: Unknowns,
}

impl Options {
    /// Criteo's documented limits: 250 requests and 40 reports per minute; for apps of the type "authorization code",
    /// 10 per account with consent, in one pool.
    #[must_use]
    pub fn with_documented_limits(mut self) -> Self {
        let accounts = match self.service() {
            Product::MarketingSolutions => self.advertisers + self.empty_advertisers,
            Product::RetailMedia => self.retail_media.all_accounts(),
        } as usize;
        (self.rate_limit, self.report_limit) = (250, 40);
        self.pooled_limit =
            self.refresh_token.is_some().then(|| 10 * accounts.saturating_sub(self.without_consent.len()));
        self
    }

    /// A small world that looks like real accounts, for demonstrations.
    #[must_use]
    pub fn plausible() -> Self {
        Self { hostile: false, campaigns: 3, ads: 2, audiences: 12, activity: 100, ..Self::default() }
    }

    /// The service that the app belongs to.
    pub(crate) fn service(&self) -> Product {
        if self.app == AppState::RetailMedia { Product::RetailMedia } else { self.product }
    }

    /// Duration of a rate limit minute.
    pub(crate) fn minute(&self) -> Duration {
        Duration::from_mins(1).div_f64(self.time_scale.max(0.001))
    }
}

/// A hostile world, for tests.
impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            hostile: true,
            advertisers: 3,
            empty_advertisers: 0,
            campaigns: 2,
            ad_sets: 2,
            ads: 3,
            quiet_ads: None,
            audiences: 80,
            activity: 90,
            today: NaiveDate::from_ymd_opt(2026, 11, 1).unwrap_or_default(),
            client_id: "sandbox-client".into(),
            client_secret: "sandbox+secret/with=signs".into(),
            refresh_token: None,
            token_life: Duration::from_mins(15),
            token_calls: None,
            without_consent: Vec::new(),
            refused_in_reports: Vec::new(),
            without_permission: Vec::new(),
            app: AppState::default(),
            product: Product::default(),
            retail_media: RetailMediaOptions::default(),
            refused_pairs: Vec::new(),
            retired_metrics: Vec::new(),
            row_cap: 100_000,
            placement_cap: 20_000,
            page_limit: 100,
            deleted_ids: Vec::new(),
            inserted: 0,
            restatement_days: 30,
            link_life: Duration::from_hours(1),
            refusal_status: 401,
            rate_limit: 100_000,
            report_limit: 100_000,
            pooled_limit: None,
            time_scale: 1.0,
            gzip: true,
            prepared_rows: None,
            wrapping: Wrapping::default(),
            latency: Duration::ZERO,
            shape: Shape::default(),
            casing: Casing::default(),
            numbers: Numbers::default(),
            unknowns: Unknowns::default(),
        }
    }
}
