//! The numbers of a plausible world: one set of amounts per fact, from which every metric follows, so that rates, costs
//! and returns fit together over any dimensions.

use chrono::{Datelike as _, NaiveDate};

use crate::facts::{FACTS_A_DAY, Fact};
use crate::statistics::rate;
use crate::world::World;

const MILLION: i128 = 1_000_000;
/// A hundredth, in millionths.
const CENT: i128 = 10_000;

/// Shares of the average day in thousandths, from Monday.
const WEEKDAYS: [i128; 7] = [1_040, 1_000, 980, 970, 960, 930, 1_120];
/// Shares of the average day in thousandths, in the middle of each month.
const MONTHS: [i128; 12] = [950, 850, 900, 950, 980, 1_000, 920, 860, 1_000, 1_080, 1_350, 1_250];
/// Shares of the hours of a day.
const HOURS: [u64; 24] = [8, 5, 3, 2, 2, 3, 8, 16, 26, 34, 38, 40, 42, 40, 38, 38, 40, 44, 50, 58, 64, 60, 42, 20];

/// Shares of a dimension's values, by its salt.
const SHARES: [(u64, &[u64]); 7] = [
    (1, &[0, 45, 35, 20]),
    (2, &[85, 9, 6]),
    (4, &[78, 14, 8]),
    (6, &[30, 61, 9]),
    (8, &[82, 18]),
    (11, &[70, 18, 12]),
    (12, &[40, 30, 20, 10]),
];

/// What is counted or paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Displays,
    Clicks,
    Cost,
    Sales,
    Revenue,
}

/// Thousandths of a base. Sales and revenue are first reduced to those of an attribution.
#[derive(Debug, Clone, Copy)]
struct Part {
    base: Base,
    thousandths: i128,
    attributed: i128,
}

/// How a metric follows from the amounts of its facts: a sum, or a quotient of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Formula {
    of: Part,
    by: Option<Part>,
}

/// Metrics that are sums, by the start of their name.
const SUMS: &[(&str, Base, i128)] = &[
    ("AdvertiserCost", Base::Cost, 1_000),
    ("AllInMediaCost", Base::Cost, 1_000),
    ("NetMediaCost", Base::Cost, 900),
    ("PlatformFee", Base::Cost, 70),
    ("RetailerMargin", Base::Cost, 30),
    ("AdvertiserAllValue", Base::Revenue, 330),
    ("AdvertiserValue", Base::Revenue, 300),
    ("Revenue", Base::Revenue, 1_000),
    ("OmnichannelRevenue", Base::Revenue, 1_250),
    ("OrderValue", Base::Revenue, 1_000),
    ("PostInstallOrderValue", Base::Revenue, 1_000),
    ("amount", Base::Revenue, 1_000),
    ("Sales", Base::Sales, 1_000),
    ("OmnichannelSales", Base::Sales, 1_250),
    ("PostInstallSales", Base::Sales, 1_000),
    ("InvalidClicks", Base::Clicks, 8),
    ("Clicks", Base::Clicks, 1_000),
    ("QualifiedVisits", Base::Clicks, 480),
    ("VisitsPV1D", Base::Clicks, 300),
    ("VisitsAllPv1d", Base::Clicks, 330),
    ("Visits", Base::Clicks, 850),
    ("AppInstalls", Base::Clicks, 12),
    ("ViewableDisplays", Base::Displays, 650),
    ("NonViewableDisplays", Base::Displays, 250),
    ("UntrackableDisplays", Base::Displays, 100),
    ("InvalidDisplays", Base::Displays, 12),
    ("PotentialDisplays", Base::Displays, 2_600),
    ("PotentialUsers", Base::Displays, 900),
    ("ExposedUsers", Base::Displays, 280),
    ("Audience", Base::Displays, 280),
    ("VideoStarted", Base::Displays, 60),
    ("VideoFirstQuartile", Base::Displays, 45),
    ("VideoMidpoint", Base::Displays, 36),
    ("VideoThirdQuartile", Base::Displays, 30),
    ("VideoCompleted", Base::Displays, 26),
    ("VideoAvoc", Base::Displays, 15),
    ("Displays", Base::Displays, 1_000),
];

/// A sum, with thousandths of it.
type Share = (Base, i128);

/// Metrics that are quotients, by the start of their name, with thousandths of both bases.
const QUOTIENTS: &[(&str, Share, Share)] = &[
    ("ClickThroughRate", (Base::Clicks, 1_000), (Base::Displays, 1_000)),
    ("Ctr", (Base::Clicks, 1_000), (Base::Displays, 1_000)),
    ("ECpc", (Base::Cost, 1_000), (Base::Clicks, 1_000)),
    ("Cpc", (Base::Cost, 1_000), (Base::Clicks, 1_000)),
    ("ECpm", (Base::Cost, 1_000_000), (Base::Displays, 1_000)),
    ("Cpm", (Base::Cost, 1_000_000), (Base::Displays, 1_000)),
    ("ConversionRate", (Base::Sales, 1_000), (Base::Clicks, 1_000)),
    ("PostInstallConversionRate", (Base::Sales, 1_000), (Base::Clicks, 1_000)),
    ("Cvr", (Base::Sales, 1_000), (Base::Clicks, 1_000)),
    ("CostOfAdvertiserValueAll", (Base::Cost, 1_000), (Base::Revenue, 330)),
    ("CostOfAdvertiserValue", (Base::Cost, 1_000), (Base::Revenue, 300)),
    ("ECos", (Base::Cost, 1_000), (Base::Revenue, 1_000)),
    ("CostOfSale", (Base::Cost, 1_000), (Base::Revenue, 1_000)),
    ("PostInstallCostOfSale", (Base::Cost, 1_000), (Base::Revenue, 1_000)),
    ("CostPerOrder", (Base::Cost, 1_000), (Base::Sales, 1_000)),
    ("PostInstallCostPerOrder", (Base::Cost, 1_000), (Base::Sales, 1_000)),
    ("Cpo", (Base::Cost, 1_000), (Base::Sales, 1_000)),
    ("CostPerInstall", (Base::Cost, 1_000), (Base::Clicks, 12)),
    ("CostPerVisitPV1D", (Base::Cost, 1_000), (Base::Clicks, 300)),
    ("CostPerVisit", (Base::Cost, 1_000), (Base::Clicks, 850)),
    ("CostPerQualifiedVisit", (Base::Cost, 1_000), (Base::Clicks, 480)),
    ("Cos", (Base::Cost, 1_000), (Base::Revenue, 1_000)),
    ("AverageCart", (Base::Revenue, 1_000), (Base::Sales, 1_000)),
    ("OmnichannelRoas", (Base::Revenue, 1_250), (Base::Cost, 1_000)),
    ("PostInstallRoas", (Base::Revenue, 1_000), (Base::Cost, 1_000)),
    ("Roas", (Base::Revenue, 1_000), (Base::Cost, 1_000)),
    ("ReturnOn", (Base::Revenue, 1_000), (Base::Cost, 1_000)),
    ("InstallRate", (Base::Clicks, 12), (Base::Clicks, 1_000)),
    ("BounceRate", (Base::Clicks, 370), (Base::Clicks, 850)),
    ("VideoStartRate", (Base::Displays, 60), (Base::Displays, 65)),
    ("VideoCompletionRate", (Base::Displays, 26), (Base::Displays, 60)),
    ("VideoAverageViewRate", (Base::Displays, 36), (Base::Displays, 60)),
    ("VideoCpcv", (Base::Cost, 60), (Base::Displays, 26)),
    ("VideoCpv", (Base::Cost, 60), (Base::Displays, 60)),
    ("OverallCompetitionWin", (Base::Displays, 1_000), (Base::Displays, 2_600)),
    ("Reach", (Base::Displays, 280), (Base::Displays, 900)),
    ("Frequency", (Base::Displays, 1_000), (Base::Displays, 280)),
];

/// Thousandths of the sales within 30 days of a click that an attribution counts, by a part of a metric's name.
const ATTRIBUTIONS: &[(&str, i128)] = &[
    ("Offline", 120),
    ("PostInstall", 150),
    ("Pi", 150),
    ("ClientAttribution", 900),
    ("Pc30dPv24h", 1_250),
    ("Pc30Pv24", 1_250),
    ("Pc7dPv24", 1_120),
    ("Pv24h", 250),
    ("Pv1d", 250),
    ("Pc1d", 620),
    ("Pc7d", 870),
    ("Lc", 800),
];

impl Formula {
    /// How a metric is computed, by its name in any report.
    pub(crate) fn of(name: &str) -> Self {
        let share = ATTRIBUTIONS.iter().find(|(part, _)| name.contains(part)).map_or(1_000, |(_, share)| *share);
        // With sales of products that were not advertised.
        let attributed = if name.contains("All") { share * 11 / 10 } else { share };
        let part = |(base, thousandths)| Part { base, thousandths, attributed };
        if let Some((_, of, by)) = QUOTIENTS.iter().find(|(start, ..)| name.starts_with(start)) {
            return Self { of: part(*of), by: Some(part(*by)) };
        }
        let sum = SUMS.iter().find(|(start, ..)| name.starts_with(start));
        Self { of: part(sum.map_or((Base::Displays, 1_000), |(_, base, share)| (*base, *share))), by: None }
    }
}

/// The amounts of a fact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amounts {
    displays: i128,
    clicks: i128,
    /// In millionths of the currency.
    cost: i128,
    /// Expected orders, in millionths.
    orders: i128,
    /// The value of one, in millionths of the currency.
    order: i128,
    /// Below a million: decides whether a fraction of an order is one.
    chance: i128,
}

impl Amounts {
    fn sales(&self, thousandths: i128) -> i128 {
        (self.orders * thousandths / 1_000 + self.chance) / MILLION
    }

    /// Money and counts in millionths.
    fn part(&self, part: Part) -> i128 {
        let Part { base, thousandths, attributed } = part;
        match base {
            Base::Displays => self.displays * thousandths / 1_000 * MILLION,
            Base::Clicks => self.clicks * thousandths / 1_000 * MILLION,
            Base::Cost => cents(self.cost * thousandths / 1_000),
            Base::Sales => self.sales(attributed * thousandths / 1_000) * MILLION,
            Base::Revenue => cents(self.sales(attributed) * self.order * thousandths / 1_000),
        }
    }

    /// The two sums of a metric in millionths: of a quotient both halves, otherwise the value and one.
    pub(crate) fn value(&self, formula: Formula) -> [i128; 2] {
        // Parts of parts of counts would round to zero in small facts.
        let exact = |part: Part| match part.base {
            Base::Displays => self.displays * part.thousandths * 1_000,
            Base::Clicks => self.clicks * part.thousandths * 1_000,
            _ => self.part(part),
        };
        match formula.by {
            Some(by) => [exact(formula.of), exact(by)],
            None => [self.part(formula.of), MILLION],
        }
    }

    /// The cost of one of the fact's clicks or displays, in millionths.
    pub(crate) fn cost_of_event(&self, is_click: bool) -> i128 {
        self.cost / if is_click { self.clicks } else { self.displays }.max(1)
    }
}

/// Money without fractions of a hundredth.
fn cents(millionths: i128) -> i128 {
    (millionths + CENT / 2) / CENT * CENT
}

/// Hundredths as a number.
fn hundredths(hundredths: i128) -> f64 {
    i32::try_from(hundredths).map_or(0.0, f64::from) / 100.0
}

/// A share of the average day in thousandths, for the weekday and the season.
fn share_of_day(day: NaiveDate) -> i128 {
    let weekday = WEEKDAYS[day.weekday().num_days_from_monday() as usize];
    // Between the middles of two months.
    let (month, of_month) = (day.month0() as usize, i128::from(day.day0()));
    let (from, to, days) = if of_month < 15 {
        ((month + 11) % 12, month, of_month + 15)
    } else {
        (month, (month + 1) % 12, of_month - 15)
    };
    weekday * (MONTHS[from] * (30 - days) + MONTHS[to] * days) / 30_000
}

/// The index of a share that a random number falls into.
fn weighted(random: u64, shares: &[u64]) -> u64 {
    let mut rest = random % shares.iter().sum::<u64>().max(1);
    let index = shares.iter().position(|share| {
        let is_here = rest < *share;
        rest = rest.saturating_sub(*share);
        is_here
    });
    index.and_then(|index| u64::try_from(index).ok()).unwrap_or(0)
}

impl World {
    /// An integer in `from..to` that depends on these parts.
    fn between(&self, from: i128, to: i128, parts: &[u64]) -> i128 {
        from + i128::from(self.random(parts)) % (to - from).max(1)
    }

    /// What a campaign spends on the average day, in whole units.
    pub(crate) fn daily_spend(&self, campaign: u32) -> i128 {
        self.between(900, 2_600, &[u64::from(campaign), 301])
    }

    /// The amounts of a fact in this currency.
    pub(crate) fn amounts(&self, fact: &Fact, currency: &str) -> Amounts {
        let day = fact.instant.date_naive();
        let number = self.campaign_number(fact.path);
        let (campaign, is_retargeting) = (u64::from(number), self.is_retargeting(number));
        let ordinal = u64::from(day.to_epoch_days().unsigned_abs());
        let noise = |salt| self.between(800, 1_200, &[fact.key, salt]);
        // A campaign's spend of the day, its ads' shares of it, and the shares of their facts.
        let spend = self.daily_spend(number) * MILLION * share_of_day(day) / 1_000
            * self.between(880, 1_120, &[campaign, ordinal, 302])
            / 1_000;
        let ads = i128::from(self.options.ad_sets * self.options.ads) * i128::from(FACTS_A_DAY);
        let of_ad = self.between(700, 1_300, &[u64::from(self.ad_number(fact.path)), 303]);
        let cost = spend * of_ad / 1_000 * noise(304) / 1_000 / ads;
        let (clicks_per_million, orders_per_million) = if is_retargeting {
            (self.between(8_500, 13_000, &[campaign, 306]), self.between(22_000, 32_000, &[campaign, 307]))
        } else {
            (self.between(3_200, 6_000, &[campaign, 306]), self.between(10_000, 15_000, &[campaign, 307]))
        };
        let clicks = cost * 1_000 / self.cost_per_click(number) * noise(308) / 1_000;
        // Criteo credits sales to a day for weeks; the other numbers of a day are final.
        let age = i128::from((self.options.today - day).num_days().max(0));
        let whole = i128::from(self.options.restatement_days);
        let known = if whole == 0 { 1_000 } else { 700 + 300 * age.min(whole) / whole };
        let order = Self::average_order(fact.path.advertiser);
        // Dearer goods are bought more rarely.
        let orders = clicks * orders_per_million / MILLION * 8_000 / order * known / 1_000;
        let chance = |salt| self.between(0, MILLION, &[fact.key, salt]);
        let whole_clicks = (clicks + chance(309)) / MILLION;
        let in_currency = |millionths: i128| cents(millionths * rate(currency) / 100);
        Amounts {
            displays: ((clicks * MILLION / clicks_per_million + chance(310)) / MILLION).max(whole_clicks),
            clicks: whole_clicks,
            cost: in_currency(cost),
            orders,
            order: in_currency(order * CENT * noise(311) / 1_000),
            chance: chance(312),
        }
    }

    /// A campaign's maximum cost per click: somewhat more than it pays.
    pub(crate) fn bid(&self, campaign: u32) -> f64 {
        if self.options.hostile { 0.35 } else { hundredths(self.cost_per_click(campaign) * 12 / 100) }
    }

    /// The daily budget of an ad set: its share of the campaign's spend, with room for busy days.
    pub(crate) fn budget(&self, ad_set: u32) -> f64 {
        if self.options.hostile {
            return 123_456_789_012.34;
        }
        let share = self.daily_spend(ad_set / self.options.ad_sets) * 16 / 10 / i128::from(self.options.ad_sets);
        hundredths((share / 10).max(1) * 1_000)
    }

    /// The monthly limit of a campaign's spend.
    pub(crate) fn spend_limit(&self, campaign: u32) -> f64 {
        if self.options.hostile { 1234.5 } else { hundredths(self.daily_spend(campaign) * 45 / 1_000 * 100_000) }
    }

    /// The number of products in a set.
    pub(crate) fn product_count(&self, number: u32) -> i64 {
        let count = if self.options.hostile { 4_711 } else { self.between(40, 2_400, &[u64::from(number), 314]) };
        i64::try_from(count).unwrap_or(0)
    }

    /// What a campaign pays per click on average, in thousandths.
    fn cost_per_click(&self, campaign: u32) -> i128 {
        let (from, to) = if self.is_retargeting(campaign) { (360, 560) } else { (240, 400) };
        self.between(from, to, &[u64::from(campaign), 305])
    }

    /// The value of one order, in millionths: from small to large ones.
    pub(crate) fn order_value(&self, fact: &Fact, currency: &str) -> i128 {
        let share = self.between(350, 1_650, &[fact.key, 313]);
        cents(Self::average_order(fact.path.advertiser) * CENT * share / 1_000 * rate(currency) / 100)
    }

    /// A value of a dimension, in shares that accounts have.
    pub(crate) fn plausible_choice(&self, fact: &Fact, dimension: u64, count: u64) -> u64 {
        let random = self.random(&[fact.key, dimension]);
        let retargeting = u64::from(self.is_retargeting(self.campaign_number(fact.path)));
        match dimension {
            // The objective and the goal are the campaign's.
            3 | 7 => retargeting,
            // Desktops have Windows, other devices Android or iOS.
            5 if self.plausible_choice(fact, 6, 3) == 0 => 2,
            5 => weighted(random, &[64, 36]),
            // Social platforms only have social ads.
            9 if self.plausible_choice(fact, 8, 2) == 0 => 0,
            9 => 1 + weighted(random, &[75, 25]),
            _ => match SHARES.iter().find(|(salt, _)| *salt == dimension) {
                Some((_, shares)) => weighted(random, shares) % count,
                None => random % count,
            },
        }
    }

    /// An hour of the day; people shop in the evening.
    pub(crate) fn plausible_hour(key: u64) -> u64 {
        weighted(key, &HOURS)
    }
}
