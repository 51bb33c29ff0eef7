//! Seeded advertisers and their objects, numbered so that nothing is stored.

use crate::options::Options;

/// The advertisers, campaigns, ad sets and ads of a sandbox.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) options: Options,
}

/// The position of an ad, counted from 0 on every level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdPath {
    pub advertiser: u32,
    pub campaign: u32,
    pub ad_set: u32,
    pub ad: u32,
}

impl World {
    /// A world with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The value of a switch in `UNKNOWNS`.
    #[must_use]
    pub fn unknown(&self, name: &str) -> &'static str {
        self.options.unknowns.get(name)
    }

    /// The ids of all advertisers, with or without consent.
    #[must_use]
    pub fn advertiser_ids(&self) -> Vec<String> {
        (0..self.options.advertisers + self.options.empty_advertisers).map(advertiser_id).collect()
    }

    /// The ids of advertisers with consent.
    #[must_use]
    pub fn consenting_ids(&self) -> Vec<String> {
        let mut ids = self.advertiser_ids();
        ids.retain(|id| !self.options.without_consent.contains(id));
        ids
    }

    pub(crate) fn campaign_number(&self, path: AdPath) -> u32 {
        path.advertiser * self.options.campaigns + path.campaign
    }

    pub(crate) fn ad_set_number(&self, path: AdPath) -> u32 {
        self.campaign_number(path) * self.options.ad_sets + path.ad_set
    }

    pub(crate) fn ad_number(&self, path: AdPath) -> u32 {
        self.ad_set_number(path) * self.options.ads + path.ad
    }

    /// The position of the ad with this number.
    pub(crate) fn ad_path(&self, number: u32) -> AdPath {
        let options = &self.options;
        let (ad_set_number, ad) = (number / options.ads, number % options.ads);
        let (campaign_number, ad_set) = (ad_set_number / options.ad_sets, ad_set_number % options.ad_sets);
        let (advertiser, campaign) = (campaign_number / options.campaigns, campaign_number % options.campaigns);
        AdPath { advertiser, campaign, ad_set, ad }
    }

    pub(crate) fn ads_of_advertiser(&self) -> u32 {
        self.options.campaigns * self.options.ad_sets * self.options.ads
    }

    /// A number that depends only on the seed and these parts.
    pub(crate) fn random(&self, parts: &[u64]) -> u64 {
        parts.iter().fold(self.options.seed, |hash, part| mix(hash ^ mix(*part)))
    }
}

/// The finalizer of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The id of an advertiser.
pub(crate) fn advertiser_id(number: u32) -> String {
    (1001 + number).to_string()
}

/// An ad set's status, as in the statistics filter.
pub(crate) fn ad_set_status(number: u32) -> &'static str {
    ["Active", "NotRunning", "Dead"][number as usize % 3]
}

/// The id of a campaign.
pub(crate) fn campaign_id(number: u32) -> String {
    (200_001 + number).to_string()
}

/// The id of an ad set.
pub(crate) fn ad_set_id(number: u32) -> String {
    (300_001 + number).to_string()
}

/// The id of an ad.
pub(crate) fn ad_id(number: u32) -> String {
    (900_000_000_000_000_001 + u64::from(number)).to_string()
}
