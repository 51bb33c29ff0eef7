//! The truth of reports: small facts that add up over any choice of dimensions.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::facts::metric_key;
use crate::retail_media::query::{Query, Window};
use crate::world::World;

/// Placements per retailer.
pub(crate) const PLACEMENTS: u32 = 3;
const MILLION: i128 = 1_000_000;

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    LineItem(u32),
    /// Counted over all retailers.
    Placement(u32),
}

/// Activity of one subject in one hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetailFact {
    pub subject: Subject,
    pub instant: DateTime<Utc>,
    pub key: u64,
}

/// The sale of a fact, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    pub units: i128,
    /// In millionths.
    pub price: i128,
    /// Days from the ad to the sale.
    pub lag: u32,
    pub is_view: bool,
    /// From the same product (0) to the same campaign (3).
    pub level: u32,
}

impl World {
    /// The facts of subjects from `start` to `end`, days in UTC.
    pub(crate) fn retail_facts(&self, subjects: &[Subject], start: NaiveDate, end: NaiveDate) -> Vec<RetailFact> {
        let options = &self.options.retail_media;
        let end = end.min(self.options.today);
        let mut facts = Vec::new();
        for subject in subjects {
            let (kind, number) = match subject {
                Subject::LineItem(number) => (501, *number),
                Subject::Placement(number) => (502, *number),
            };
            let mut day = start;
            while day <= end {
                let ordinal = u64::from(day.to_epoch_days().unsigned_abs());
                let key = self.random(&[kind, u64::from(number), ordinal]);
                if key % 100 < u64::from(options.activity) {
                    for index in 0..options.facts {
                        let key = self.random(&[key, u64::from(index)]);
                        let hour = TimeDelta::hours(i64::try_from(key % 24).unwrap_or(0));
                        let instant = day.and_time(NaiveTime::MIN).and_utc() + hour;
                        facts.push(RetailFact { subject: *subject, instant, key });
                    }
                }
                day = day + Days::new(1);
            }
        }
        facts
    }

    /// A number below `count` that depends only on the fact and a name.
    pub(crate) fn fact_choice(&self, fact: &RetailFact, name: &str, count: u64) -> u64 {
        self.random(&[fact.key, metric_key(name)]) % count.max(1)
    }

    pub(crate) fn sale(&self, fact: &RetailFact) -> Option<Sale> {
        if self.fact_choice(fact, "has sale", 10) >= 5 {
            return None;
        }
        let small = |name: &str, count: u64| u32::try_from(self.fact_choice(fact, name, count)).unwrap_or(0);
        Some(Sale {
            units: i128::from(1 + small("units", 3)),
            // From 1.00 to 60.00.
            price: i128::from(100 + small("price", 5_900)) * 10_000,
            // Most sales follow within two days.
            lag: if small("is late", 3) == 0 { small("lag", 30) } else { small("early lag", 3) },
            is_view: small("is view", 4) == 0,
            level: small("level", 4),
        })
    }

    /// The sale of a fact, if the query's windows and match levels attribute it.
    pub(crate) fn credited(&self, fact: &RetailFact, query: &Query) -> Option<Sale> {
        let sale = self.sale(fact)?;
        let Subject::LineItem(line_item) = fact.subject else { return None };
        let own = self.campaign_windows(self.campaign_of(line_item));
        let (window, own, level) =
            if sale.is_view { (query.view, own.1, query.view_level) } else { (query.click, own.0, query.click_level) };
        let is_by_campaign = self.options.unknowns.get("rm_window_none") == "campaign";
        let days = match window {
            Window::Days(days) => days,
            Window::None if !is_by_campaign => 0,
            Window::LeftOut if self.options.unknowns.get("rm_windows_default") == "none" && !is_by_campaign => 0,
            _ => own,
        };
        (sale.lag < days && sale.level <= level).then_some(sale)
    }

    /// A base metric of a fact in millionths.
    pub(crate) fn base(&self, fact: &RetailFact, metric: &str, query: &Query) -> i128 {
        let impressions = || i128::from(60 + self.fact_choice(fact, "impressions", 600));
        let count = |name: &str, most: i128| {
            i128::from(self.fact_choice(fact, name, u64::try_from(most.max(0)).unwrap_or(0) + 1))
        };
        let clicks = || count("clicks", impressions() / 30);
        // Whole hundredths of a cent, from 0.20 to 1.19 per click.
        let spend = || clicks() * (2_000 + count("price of a click", 9_900)) * 100;
        let sale = || self.credited(fact, query);
        let is_auction = match fact.subject {
            Subject::LineItem(line_item) => !Self::is_preferred(self.campaign_of(line_item)),
            Subject::Placement(_) => true,
        };
        match metric {
            "impressions" | "placementImpressions" => impressions() * MILLION,
            "productImpressions" => impressions() * 4 * MILLION,
            "availablePlacements" => impressions() * 2 * MILLION,
            "clicks" | "productClicks" => clicks() * MILLION,
            "placementClicks" => count("placementClicks", clicks()) * MILLION,
            "spend" | "totalSpend" | "revenue" | "workingMedia" => spend(),
            "netRevenue" => spend() * 9 / 10,
            "openAuctionRevenue" => {
                if is_auction {
                    spend()
                } else {
                    0
                }
            }
            "preferredDealsRevenue" => {
                if is_auction {
                    0
                } else {
                    spend()
                }
            }
            "attributedOrders" | "transactions" => self.grown(fact, i128::from(sale().is_some()) * MILLION, true),
            "attributedUnits" | "units" => self.grown(fact, sale().map_or(0, |sale| sale.units) * MILLION, true),
            "attributedSales" | "sales" => self.grown(fact, sale().map_or(0, |sale| sale.units * sale.price), false),
            "newToBrandAttributedSales" if self.fact_choice(fact, "is new", 3) == 0 => {
                self.grown(fact, sale().map_or(0, |sale| sale.units * sale.price), false)
            }
            "newToBrandAttributedUnits" if self.fact_choice(fact, "is new", 3) == 0 => {
                self.grown(fact, sale().map_or(0, |sale| sale.units) * MILLION, true)
            }
            "newToBrandAttributedSales" | "newToBrandAttributedUnits" => 0,
            "assistedUnits" => self.grown(fact, count("assistedUnits", 2) * MILLION, true),
            "assistedSales" => {
                self.grown(fact, count("assistedUnits", 2) * count("assistedPrice", 4_000) * 10_000, false)
            }
            "videosStarted" => count("videosStarted", 80) * MILLION,
            "missedSpend" | "missedSales" | "placementImpressionsRevenue" | "productClicksRevenue" => {
                count(metric, 200_000) * 100
            }
            _ => count(metric, 40) * MILLION,
        }
    }

    /// Sales grow for days: a third of each is attributed over time.
    fn grown(&self, fact: &RetailFact, value: i128, is_count: bool) -> i128 {
        let whole = i128::from(self.options.retail_media.restatement_days);
        let age = i128::from((self.options.today - fact.instant.date_naive()).num_days().max(0));
        if whole == 0 || age >= whole {
            return value;
        }
        let grown = value * (2 * whole + age) / (3 * whole);
        let step = if is_count { MILLION } else { 100 };
        grown - grown % step
    }
}
