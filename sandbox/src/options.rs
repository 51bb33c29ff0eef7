//! What can be set about a sandbox.

use std::time::Duration;

use chrono::NaiveDate;
use clap::ValueEnum;
use serde::Deserialize;

use crate::unknowns::Unknowns;

/// The JSON of a statistics report, which Criteo does not document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// `{"Rows":[…],"Total":{…}}`, as Estuary's source and the taps of reservoir-data and uptilab2 read it.
    #[default]
    Rows,
    /// `[…]`, as OWOX reports it for API 2026-01.
    Array,
}

/// How numbers are written in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Numbers {
    /// `"2534"`, as in the fixtures of the taps.
    #[default]
    Quoted,
    /// `2534`, as in the fixtures of Estuary's source.
    Bare,
}

/// The spelling of the members of a row of statistics, which is not stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Casing {
    /// `AdsetId`, as in the request.
    #[default]
    Pascal,
    /// `adsetId`, as OWOX reports it.
    Camel,
}

/// The JSON of placements, which Criteo does not document either, and of transactions, of which its page has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Wrapping {
    /// `{"data":[{"attributes":{"rows":[…]}}]}`, as OWOX reports it.
    Rows,
    /// `{"data":[{"attributes":{…}},…]}`, one entry a row, as OWOX reports it for transactions.
    #[default]
    Each,
}

/// What has become of an app on its way to the data. What Criteo answers to one that is not ready is not documented, so these
/// are guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppState {
    /// It can call.
    #[default]
    Active,
    /// It is not activated: it gets a token, which is refused.
    NotActivated,
    /// It is of the service Retail Media: the paths of Marketing Solutions are closed to it.
    RetailMedia,
    /// Its key has been deleted.
    KeyDeleted,
}

/// A permission that an app can have.
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
}

/// A sandbox's world and manners.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many advertisers there are that have something.
    pub advertisers: u32,
    /// How many there are besides that have nothing at all.
    pub empty_advertisers: u32,
    /// Campaigns of each advertiser.
    pub campaigns: u32,
    /// Ad sets of each campaign.
    pub ad_sets: u32,
    /// Ads of each ad set.
    pub ads: u32,
    /// How many of their ads the advertisers but the first show; all when it is `None`.
    pub quiet_ads: Option<u32>,
    /// Audiences of each advertiser.
    pub audiences: u32,
    /// Of a hundred days, on how many an ad is shown.
    pub activity: u32,
    /// The day that the world takes for today, in UTC; facts end with it.
    pub today: NaiveDate,
    /// The app's key.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// A valid refresh token, for apps of the type "authorization code"; each use replaces it.
    pub refresh_token: Option<String>,
    /// How long a token lives.
    pub token_life: Duration,
    /// How many calls a token is good for, whatever its announced life.
    pub token_calls: Option<u32>,
    /// Ids of advertisers that have not given their consent.
    pub without_consent: Vec<String>,
    /// Ids of advertisers that the portfolio lists and reports refuse nevertheless.
    pub refused_in_reports: Vec<String>,
    /// Permissions that the app lacks.
    pub without_permission: Vec<Permission>,
    /// What has become of the app.
    pub app: AppState,
    /// Pairs of a dimension and a metric that Criteo does not serve together; its documents do not say which there are.
    pub refused_pairs: Vec<(String, String)>,
    /// Metrics of statistics that Criteo has taken away.
    pub retired_metrics: Vec<String>,
    /// How many rows a report has at most; the rest is left out without a sign.
    pub row_cap: usize,
    /// How many objects a page holds at the most, whatever was asked for.
    pub page_limit: usize,
    /// Ids of objects that have vanished.
    pub deleted_ids: Vec<String>,
    /// How many audiences and segments have come newly, in front of the others.
    pub inserted: u32,
    /// For how many days numbers go on growing after a day is over.
    pub restatement_days: u32,
    /// How long the links to log files are valid.
    pub link_life: Duration,
    /// The status of an answer to wrong credentials; both 400 and 401 have been reported.
    pub refusal_status: u16,
    /// How many rows a report of placements has at most.
    pub placement_cap: usize,
    /// Calls a minute but to reports; Criteo's own limit is 250.
    pub rate_limit: usize,
    /// Calls a minute to reports; Criteo's own limit is 40.
    pub report_limit: usize,
    /// Calls a minute to anything, in place of the two limits above.
    pub pooled_limit: Option<usize>,
    /// How many times faster a minute passes for the limits.
    pub time_scale: f64,
    /// Whether answers are compressed for those who accept it.
    pub gzip: bool,
    /// How many rows reports of statistics have an advertiser and day, serialised once (see `prepared.rs`), in place of those
    /// that follow from the world's facts.
    pub prepared_rows: Option<u32>,
    /// How long every answer takes.
    pub latency: Duration,
    /// The JSON of statistics.
    pub shape: Shape,
    /// The JSON of placements and transactions.
    pub wrapping: Wrapping,
    /// The spelling of members in statistics.
    pub casing: Casing,
    /// Numbers in statistics.
    pub numbers: Numbers,
    /// What nobody knows about Criteo; a switch that is set goes before the four options above.
    pub unknowns: Unknowns,
}

impl Options {
    /// The limits of Criteo's documents: 250 calls a minute and 40 to reports; for apps of the type "authorization code"
    /// 10 for each account that has given its consent, in one pool.
    #[must_use]
    pub fn with_documented_limits(mut self) -> Self {
        let accounts = (self.advertisers + self.empty_advertisers) as usize;
        (self.rate_limit, self.report_limit) = (250, 40);
        self.pooled_limit =
            self.refresh_token.is_some().then(|| 10 * accounts.saturating_sub(self.without_consent.len()));
        self
    }

    /// How long a minute of the call budgets takes.
    pub(crate) fn minute(&self) -> Duration {
        Duration::from_mins(1).div_f64(self.time_scale.max(0.001))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
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
