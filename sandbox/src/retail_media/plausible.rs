//! Money and days that fit together: what line items cost adds up to their campaign and its balances, and nothing ends
//! before it starts. A hostile world has neither.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::retail_media::ids::Kind;
use crate::world::World;

/// The day by which objects are running or over. Objects do not change when the sandbox's today moves.
const NOW: Option<NaiveDate> = NaiveDate::from_ymd_opt(2026, 11, 1);
/// Cents of a daily budget, at most.
const MOST_PER_DAY: u64 = 9_000;

/// A budget in cents, if there is one, and what of it is spent.
#[derive(Debug, Clone, Copy, Default)]
struct Money {
    budget: Option<u64>,
    spent: u64,
}

/// When something runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    start: NaiveDate,
    end: Option<NaiveDate>,
}

impl Flight {
    pub(crate) fn start(self) -> String {
        self.start.to_string()
    }

    pub(crate) fn end(self) -> Option<String> {
        self.end.map(|end| end.to_string())
    }
}

fn amount(cents: u64) -> f64 {
    f64::from(u32::try_from(cents).unwrap_or(u32::MAX)) / 100.0
}

fn midnight(day: impl std::fmt::Display) -> String {
    format!("{day}T00:00:00Z")
}

impl Money {
    fn remaining(self) -> Option<u64> {
        self.budget.map(|budget| budget - self.spent)
    }

    fn write_to(self, attributes: &mut Value) {
        attributes["budget"] = json!(self.budget.map(amount));
        attributes["budgetSpent"] = json!(amount(self.spent));
        attributes["budgetRemaining"] = json!(self.remaining().map(amount));
    }
}

impl World {
    /// When a line item runs, as its status says.
    pub(crate) fn line_item_flight(&self, line_item: u32) -> Flight {
        let now = NOW.unwrap_or_default();
        let (before, length) = (20 + self.below(line_item, 900, 60), 30 + self.below(line_item, 901, 90));
        let (start, end) = match self.line_item_status(line_item) {
            "scheduled" | "draft" => {
                let start = now + Days::new(3 + self.below(line_item, 902, 40));
                (start, start + Days::new(length))
            }
            "ended" | "archived" => {
                let end = now - Days::new(1 + self.below(line_item, 903, 100));
                (end - Days::new(length), end)
            }
            _ => (now - Days::new(before), now + Days::new(length)),
        };
        let is_endless = end >= now && self.below(line_item, 904, 4) == 0;
        Flight { start, end: (!is_endless).then_some(end) }
    }

    fn line_item_money(&self, line_item: u32) -> Money {
        let flight = self.line_item_flight(line_item);
        let days = flight.end.map_or(90, |end| u64::try_from((end - flight.start).num_days()).unwrap_or(1));
        let budget = days * (1_000 + self.below(line_item, 905, MOST_PER_DAY - 1_000));
        let spent = match self.line_item_status(line_item) {
            "scheduled" | "draft" => 0,
            "budgetHit" => budget,
            "ended" | "archived" => budget * (80 + self.below(line_item, 906, 20)) / 100,
            _ => budget * (10 + self.below(line_item, 906, 70)) / 100,
        };
        // What hits its budget has one.
        let is_open = flight.end.is_none() && spent < budget && self.below(line_item, 907, 2) == 0;
        Money { budget: (!is_open).then_some(budget), spent }
    }

    fn campaign_money(&self, campaign: u32) -> Money {
        let all = self.line_items_of(campaign).map(|line_item| self.line_item_money(line_item));
        let none = Money { budget: Some(0), spent: 0 };
        all.fold(none, |sum, money| Money {
            budget: sum.budget.zip(money.budget).map(|(one, other)| one + other),
            spent: sum.spent + money.spent,
        })
    }

    /// From the start of its first line item to the end of its last one.
    pub(crate) fn campaign_flight(&self, campaign: u32) -> Flight {
        let flights: Vec<_> = self.line_items_of(campaign).map(|line_item| self.line_item_flight(line_item)).collect();
        Flight {
            start: flights.iter().map(|flight| flight.start).min().or(NOW).unwrap_or_default(),
            end: flights
                .iter()
                .map(|flight| flight.end)
                .collect::<Option<Vec<_>>>()
                .and_then(|ends| ends.into_iter().max()),
        }
    }

    fn campaign_status(&self, campaign: u32) -> &'static str {
        let statuses: Vec<_> = self.line_items_of(campaign).map(|line_item| self.line_item_status(line_item)).collect();
        let are_all = |words: &[&str]| statuses.iter().all(|status| words.contains(status));
        match () {
            () if statuses.contains(&"active") => "active",
            () if are_all(&["ended", "archived"]) => "ended",
            () if are_all(&["scheduled", "draft"]) && statuses.contains(&"scheduled") => "scheduled",
            () => "inactive",
        }
    }

    /// Days on which something that runs from this day was created and last changed.
    fn written(&self, attributes: &mut Value, number: u32, start: NaiveDate) {
        let now = NOW.unwrap_or_default();
        let created = start.min(now) - Days::new(2 + self.below(number, 908, 20));
        let age = u64::try_from((now - created).num_days()).unwrap_or(1);
        attributes["createdAt"] = json!(midnight(created));
        attributes["updatedAt"] = json!(midnight(created + Days::new(self.below(number, 909, age))));
    }

    /// A campaign with money and days that fit.
    pub(crate) fn fitted_campaign(&self, campaign: u32, mut attributes: Value) -> Value {
        if self.is_hostile() {
            return attributes;
        }
        let (money, flight) = (self.campaign_money(campaign), self.campaign_flight(campaign));
        money.write_to(&mut attributes);
        let daily = money.budget.unwrap_or(money.spent).div_ceil(60).max(100);
        attributes["dailyPacing"] = self.perhaps(campaign, 210, amount(daily));
        attributes["monthlyPacing"] = self.perhaps(campaign, 212, amount(daily * 30));
        attributes["status"] = json!(self.campaign_status(campaign));
        attributes["startDate"] = json!(midnight(flight.start));
        attributes["endDate"] = json!(flight.end.map(midnight));
        self.written(&mut attributes, campaign, flight.start);
        attributes
    }

    /// A line item of any kind with money and days that fit.
    pub(crate) fn fitted_line_item(&self, line_item: u32, mut attributes: Value) -> Value {
        if self.is_hostile() {
            return attributes;
        }
        let (money, flight) = (self.line_item_money(line_item), self.line_item_flight(line_item));
        money.write_to(&mut attributes);
        let is_auction = attributes.get("maxBid").is_some();
        if is_auction {
            let daily = money.budget.unwrap_or(money.spent).div_ceil(60).max(100);
            let bid = 20 + self.below(line_item, 267, 80);
            attributes["dailyPacing"] = self.perhaps(line_item, 259, amount(daily));
            attributes["monthlyPacing"] = self.perhaps(line_item, 261, amount(daily * 30));
            attributes["targetBid"] = self.perhaps(line_item, 266, amount(bid));
            attributes["maxBid"] = self.perhaps(line_item, 264, amount(bid * 2));
        }
        let spelled = |day: NaiveDate| if is_auction { midnight(day) } else { day.to_string() };
        attributes["startDate"] = json!(spelled(flight.start));
        attributes["endDate"] = json!(flight.end.map(spelled));
        self.written(&mut attributes, line_item, flight.start);
        attributes
    }

    /// What the campaigns of a balance have spent of it: each spends evenly on its balances.
    fn spent_of_balance(&self, balance: u32) -> u64 {
        let campaigns = self.campaigns_of(self.account_of_balance(balance));
        let shares = campaigns.map(|campaign| {
            let id = Kind::Balance.id(balance);
            let balances = self.balances_of_campaign(campaign);
            let Some(place) = balances.iter().position(|known| *known == id) else { return 0 };
            let (spent, count) = (self.campaign_money(campaign).spent, balances.len() as u64);
            spent / count + u64::from((place as u64) < spent % count)
        });
        shares.sum()
    }

    /// A balance with money and days that fit.
    pub(crate) fn fitted_balance(&self, balance: u32, mut attributes: Value) -> Value {
        if self.is_hostile() {
            return attributes;
        }
        let now = NOW.unwrap_or_default();
        let spent = self.spent_of_balance(balance);
        // Whole thousands.
        let deposited = (spent + 100_000 * (1 + self.below(balance, 910, 20))).div_ceil(100_000) * 100_000;
        attributes["deposited"] = json!(amount(deposited));
        attributes["spent"] = json!(amount(spent));
        attributes["remaining"] = json!(amount(deposited - spent));
        attributes["status"] = json!("active");
        let start = now - Days::new(250 + self.below(balance, 105, 100));
        attributes["startDate"] = json!(start.to_string());
        attributes["endDate"] = self.perhaps(balance, 106, (now + Days::new(60)).to_string());
        self.written(&mut attributes, balance, start);
        attributes
    }

    /// A change of a balance whose values follow from each other; only changes of money have any.
    pub(crate) fn fitted_change(&self, number: u32, kind: &str, mut details: Value) -> Value {
        if self.is_hostile() {
            return details;
        }
        let change = 100 * (1 + self.below(number, 126, 50));
        let before = 10_000 + 100 * self.below(number, 130, 300);
        let (before, after) = match kind {
            "balanceCreated" => (0, change),
            "balanceAdded" | "valueAdd" => (before, before + change),
            "balanceRemoved" => (before, before - change),
            _ => {
                for member in ["changeValue", "currentValue", "previousValue"] {
                    details[member] = Value::Null;
                }
                return details;
            }
        };
        details["changeValue"] = json!(change.to_string());
        details["currentValue"] = json!(after.to_string());
        details["previousValue"] = json!(before.to_string());
        details
    }
}

#[cfg(test)]
mod tests {
    use crate::options::Options;
    use crate::retail_media::balances::BalanceModel;
    use crate::retail_media::plausible::*;

    fn cents(value: &Value) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "small amounts")]
        value.as_f64().map(|amount| (amount * 100.0).round() as i64)
    }

    fn assert_fits(object: &Value) -> (Option<i64>, i64) {
        let of = &object["attributes"];
        let (budget, spent, left) =
            (cents(&of["budget"]), cents(&of["budgetSpent"]).unwrap(), cents(&of["budgetRemaining"]));
        assert_eq!(budget.map(|budget| budget - spent), left, "{object}");
        assert!(spent >= 0 && left.is_none_or(|left| left >= 0), "{object}");
        let day = |name: &str| of[name].as_str().map(|text| text[..10].parse::<NaiveDate>().unwrap());
        assert!(day("endDate").is_none_or(|end| day("startDate").unwrap() < end), "{object}");
        assert!(day("createdAt") <= day("updatedAt") && day("createdAt") < day("startDate"), "{object}");
        let (now, end) = (NOW.unwrap(), day("endDate"));
        match of["status"].as_str() {
            Some("active") => assert!(day("startDate").unwrap() < now && end.is_none_or(|end| end > now), "{object}"),
            Some("scheduled") => assert!(day("startDate").unwrap() > now && spent == 0, "{object}"),
            Some("ended") => assert!(end.unwrap() < now, "{object}"),
            _ => {}
        }
        (budget, spent)
    }

    #[test]
    fn money_adds_up_and_nothing_ends_before_it_starts() {
        let mut options = Options::plausible();
        options.retail_media.campaigns = 20;
        let world = World::new(options);
        for account in 0..world.options.retail_media.accounts {
            let mut spent_by_campaigns = 0;
            for campaign in world.campaigns_of(account) {
                let (budget, spent) = assert_fits(&world.campaign_of_account(campaign));
                let of_line_items: Vec<_> = world
                    .line_items_of(campaign)
                    .map(|line_item| assert_fits(&world.common_line_item(line_item)))
                    .collect();
                assert_eq!(of_line_items.iter().map(|(budget, _)| *budget).sum::<Option<i64>>(), budget);
                assert_eq!(of_line_items.iter().map(|(_, spent)| *spent).sum::<i64>(), spent);
                spent_by_campaigns += spent;
            }
            let mut spent_of_balances = 0;
            for balance in world.balances_of(account) {
                let object = world.balance(balance, BalanceModel::Current);
                let of = &object["attributes"];
                let (deposited, spent) = (cents(&of["deposited"]).unwrap(), cents(&of["spent"]).unwrap());
                assert_eq!(Some(deposited - spent), cents(&of["remaining"]));
                spent_of_balances += spent;
            }
            assert_eq!(spent_of_balances, spent_by_campaigns);
        }
    }

    #[test]
    fn line_items_are_the_same_in_every_list() {
        let world = World::new(Options::plausible());
        for campaign in world.campaigns_of(0) {
            for line_item in world.line_items_of(campaign) {
                let common = world.common_line_item(line_item);
                let own = if World::is_preferred(campaign) {
                    world.preferred_line_item(line_item)
                } else {
                    world.auction_line_item(line_item)
                };
                for member in ["budget", "budgetSpent", "budgetRemaining", "createdAt", "updatedAt"] {
                    assert_eq!(common["attributes"][member], own["attributes"][member], "{member}");
                }
                assert_fits(&own);
            }
        }
    }
}
