//! Numbered objects and their ids, so that nothing is stored and every object is found by its id.

use std::ops::Range;

use crate::world::World;

/// Kinds of objects with 64-bit ids, each a range of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Account,
    Brand,
    Campaign,
    LineItem,
    Creative,
    Balance,
    Audience,
    Segment,
}

/// Distance of two ids, as if other objects had been created in between.
const STEP: u64 = 1_024;
/// First id of retailers, which are small numbers.
const FIRST_RETAILER: u32 = 3_101;
/// First id of creative templates, which are small numbers.
const FIRST_TEMPLATE: u32 = 5_001;
/// Templates per retailer.
pub(crate) const TEMPLATES: u32 = 3;
/// Sellers per retailer and account of a seller.
pub(crate) const SELLERS: u32 = 2;
/// Brands that only one retailer knows.
pub(crate) const RETAILER_BRANDS: u32 = 4;
/// Numbers of brands that only a retailer knows.
const FIRST_RETAILER_BRAND: u32 = 1_000_000;

impl Kind {
    /// Larger than 2^53, so that a double cannot hold it.
    fn first(self) -> u64 {
        619_284_442_499_084_289 + (self as u64) * 1_000_000_000_000_000
    }

    pub(crate) fn id(self, number: u32) -> String {
        (self.first() + u64::from(number) * STEP).to_string()
    }

    /// The number of an id of this kind, whether or not the object exists.
    pub(crate) fn number(self, id: &str) -> Option<u32> {
        let distance = id.parse::<u64>().ok()?.checked_sub(self.first())?;
        if distance % STEP == 0 { u32::try_from(distance / STEP).ok() } else { None }
    }
}

/// The id of a retailer.
pub(crate) fn retailer_id(number: u32) -> u32 {
    FIRST_RETAILER + number
}

/// The id of a creative template.
pub(crate) fn template_id(number: u32) -> u32 {
    FIRST_TEMPLATE + number
}

/// The id of the n-th category of a retailer.
pub(crate) fn category_id(retailer: u32, number: u32) -> u32 {
    (retailer + 1) * 100_000 + number + 1
}

/// The id of a seller at a retailer.
pub(crate) fn seller_id(account: u32, retailer: u32, number: u32) -> String {
    format!("seller-{}-{}-{}", account + 1, retailer_id(retailer), number + 1)
}

/// Side of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Of a brand.
    Brand,
    /// Of a seller.
    Seller,
    /// Of a retailer.
    Supply,
}

impl World {
    /// What an account is; demand accounts come first.
    pub(crate) fn side(&self, account: u32) -> Side {
        let options = &self.options.retail_media;
        if account >= options.accounts + options.empty_accounts {
            Side::Supply
        } else if account % 2 == 1 {
            Side::Seller
        } else {
            Side::Brand
        }
    }

    /// Whether an account has campaigns and all that belongs to them.
    pub(crate) fn is_advertising(&self, account: u32) -> bool {
        account < self.options.retail_media.accounts
    }

    /// The numbers of all accounts with consent.
    pub(crate) fn retail_accounts(&self) -> Vec<u32> {
        (0..self.options.retail_media.all_accounts()).filter(|account| self.has_consent(*account)).collect()
    }

    pub(crate) fn has_consent(&self, account: u32) -> bool {
        account < self.options.retail_media.all_accounts()
            && !self.options.without_consent.contains(&Kind::Account.id(account))
    }

    /// The numbers of supply accounts.
    pub(crate) fn supply_accounts(&self) -> Range<u32> {
        let options = &self.options.retail_media;
        options.accounts + options.empty_accounts..options.all_accounts()
    }

    /// The retailers of an account; supply accounts share them.
    pub(crate) fn retailers_of(&self, account: u32) -> Vec<u32> {
        let options = &self.options.retail_media;
        let all = 0..options.retailers;
        let few: Vec<u32> = match self.side(account) {
            Side::Supply => {
                let first = account - self.supply_accounts().start;
                all.filter(|retailer| retailer % options.supply_accounts == first).collect()
            }
            _ if account == 0 => all.collect(),
            _ => all.filter(|retailer| (retailer + account) % 3 != 2).collect(),
        };
        if few.is_empty() && options.retailers > 0 { vec![account % options.retailers] } else { few }
    }

    /// The supply account of a retailer.
    pub(crate) fn supply_account_of(&self, retailer: u32) -> Option<u32> {
        let supply = self.supply_accounts();
        if supply.is_empty() { None } else { Some(supply.start + retailer % (supply.end - supply.start)) }
    }

    pub(crate) fn campaigns_of(&self, account: u32) -> Range<u32> {
        self.several(account, self.options.retail_media.campaigns)
    }

    pub(crate) fn line_items_of(&self, campaign: u32) -> Range<u32> {
        let count = self.options.retail_media.line_items;
        campaign * count..(campaign + 1) * count
    }

    /// Numbers of objects of which every advertising account has the same count.
    pub(crate) fn several(&self, account: u32, count: u32) -> Range<u32> {
        if self.is_advertising(account) { account * count..(account + 1) * count } else { 0..0 }
    }

    pub(crate) fn account_of_campaign(&self, campaign: u32) -> u32 {
        campaign / self.options.retail_media.campaigns.max(1)
    }

    pub(crate) fn campaign_of(&self, line_item: u32) -> u32 {
        line_item / self.options.retail_media.line_items.max(1)
    }

    /// Preferred deals, not auctions.
    pub(crate) fn is_preferred(campaign: u32) -> bool {
        campaign % 3 == 2
    }

    /// The retailer of a line item, one of its account's.
    pub(crate) fn retailer_of(&self, line_item: u32) -> u32 {
        let retailers = self.retailers_of(self.account_of_campaign(self.campaign_of(line_item)));
        retailers.get(line_item as usize % retailers.len().max(1)).copied().unwrap_or(0)
    }

    /// The brand that a line item promotes, one of its account's.
    pub(crate) fn brand_of(&self, line_item: u32) -> u32 {
        let brands = self.options.retail_media.brands.max(1);
        self.account_of_campaign(self.campaign_of(line_item)) * brands + line_item % brands
    }

    /// Whether an object has been deleted.
    pub(crate) fn is_gone(&self, id: &str) -> bool {
        self.options.deleted_ids.iter().any(|deleted| deleted == id)
    }

    /// The brands of a retailer: those of advertising accounts, then its own.
    pub(crate) fn brands_of_retailer(&self, retailer: u32) -> Vec<u32> {
        let options = &self.options.retail_media;
        let common = (0..options.accounts * options.brands).filter(|brand| (brand + retailer) % 4 != 3);
        common.chain((0..RETAILER_BRANDS).map(|n| FIRST_RETAILER_BRAND + retailer * RETAILER_BRANDS + n)).collect()
    }

    /// The retailers of a brand.
    pub(crate) fn retailers_of_brand(&self, brand: u32) -> Vec<u32> {
        match brand.checked_sub(FIRST_RETAILER_BRAND) {
            Some(own) => vec![own / RETAILER_BRANDS],
            None => (0..self.options.retail_media.retailers).filter(|retailer| (brand + retailer) % 4 != 3).collect(),
        }
    }

    /// Whether only one retailer knows a brand.
    pub(crate) fn is_of_retailer(brand: u32) -> bool {
        brand >= FIRST_RETAILER_BRAND
    }

    /// The number of a retailer with this id.
    pub(crate) fn retailer_number(&self, id: &str) -> Option<u32> {
        let number = id.parse::<u32>().ok()?.checked_sub(FIRST_RETAILER)?;
        (number < self.options.retail_media.retailers).then_some(number)
    }
}
