//! Balances, their history and the campaigns that draw on them.

use serde_json::{Value, json};

use crate::retail_media::accounts::{nameless, resource};
use crate::retail_media::ids::{Kind, retailer_id};
use crate::world::World;

/// Which model of a balance a version or operation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BalanceModel {
    /// Since 2026-07.
    Current,
    /// Before 2026-07, and of a balance by account in every version.
    Old,
}

impl World {
    pub(crate) fn balances_of(&self, account: u32) -> Vec<u32> {
        let all = self.several(account, self.options.retail_media.balances);
        all.filter(|balance| !self.is_gone(&Kind::Balance.id(*balance))).collect()
    }

    pub(crate) fn account_of_balance(&self, balance: u32) -> u32 {
        balance / self.options.retail_media.balances.max(1)
    }

    pub(crate) fn balance(&self, number: u32, model: BalanceModel) -> Value {
        let account = self.account_of_balance(number);
        let spend = self.one_of(number, 100, &["onsite", "offsite", "offsiteAwareness", "lockout"]);
        let old_spend = if spend == "lockout" { "Onsite".to_owned() } else { pascal(spend) };
        let deposited = self.amount(number, 101, 50_000);
        let used = f64::from(u32::try_from(self.below(number, 102, 100)).unwrap_or(0));
        let mut attributes = json!({
            "name": self.name(number, "Balance"),
            "balanceType": self.one_of(number, 103, &["capped", "uncapped"]),
            "privateMarketBillingType": self.one_of(number, 104, &["notApplicable", "billByRetailer", "billByCriteo"]),
            "deposited": deposited,
            "spent": used,
            "remaining": deposited,
            "startDate": self.day(number, 105),
            "endDate": self.perhaps(number, 106, self.day(number, 107)),
            "memo": self.perhaps(number, 108, self.name(number, "Memo")),
            "status": self.one_of(number, 109, &["active", "active", "scheduled", "ended"]),
            "createdAt": self.moment(number, 110),
            "updatedAt": self.moment(number, 112),
        });
        let order = self.perhaps(number, 114, format!("PO-{}", number + 1));
        let more = match model {
            BalanceModel::Current => json!({
                "spendType": spend,
                "criteoPoNumber": order,
                "retailerPoNumber": self.perhaps(number, 115, format!("R-{}", number + 1)),
                "retailerId": self.perhaps(number, 116,
                    self.retailers_of(account).first().map(|retailer| retailer_id(*retailer).to_string())),
            }),
            BalanceModel::Old => json!({
                "spendType": old_spend,
                "poNumber": order,
            }),
        };
        attributes = self.fitted_balance(number, attributes);
        for (name, value) in more.as_object().into_iter().flatten() {
            attributes[name] = value.clone();
        }
        resource("Balance", &Kind::Balance.id(number), attributes)
    }

    /// Changes of a balance, some of them of one kind and time.
    pub(crate) fn balance_history(&self, number: u32, version: &str) -> Vec<Value> {
        let count = 3 + u32::try_from(self.below(number, 120, 4)).unwrap_or(0);
        (0..count).map(|change| self.balance_change(number, change, version)).collect()
    }

    fn balance_change(&self, balance: u32, change: u32, version: &str) -> Value {
        let number = balance * 10 + change;
        let mut kinds = vec!["balanceAdded", "balanceRemoved", "endDate", "balanceName", "valueAdd"];
        if version >= "2026-07" {
            kinds.push("retailerPoNumber");
        }
        // The third change has the kind and the time of the second one.
        let told = if change == 2 { number - 1 } else { number };
        let kind = if change == 0 { "balanceCreated" } else { self.one_of(told, 121, &kinds) };
        let attributes = json!({
            "changeType": if version >= "2026-07" { kind.to_owned() } else { pascal(kind) },
            "dateOfModification": self.moment(told, 122),
            "modifiedByUser": self.name(number, "User"),
            "memo": self.perhaps(number, 124, self.name(number, "Memo")),
            "changeDetails": self.fitted_change(number, kind, json!({
                "changeValue": self.perhaps(number, 125, self.amount(number, 126, 1_000).to_string()),
                "currentValue": self.perhaps(number, 127, self.amount(number, 128, 5_000).to_string()),
                "previousValue": self.perhaps(number, 129, self.amount(number, 130, 5_000).to_string()),
            })),
        });
        if version >= "2026-07" { nameless("BalanceHistory", attributes) } else { attributes }
    }

    pub(crate) fn campaigns_of_balance(&self, balance: u32) -> Vec<u32> {
        let campaigns = self.visible_campaigns(self.account_of_balance(balance)).into_iter();
        campaigns.filter(|campaign| (campaign + balance).is_multiple_of(2)).collect()
    }

    /// The balances that a campaign draws on.
    pub(crate) fn balances_of_campaign(&self, campaign: u32) -> Vec<String> {
        let balances = self.balances_of(self.account_of_campaign(campaign)).into_iter();
        balances
            .filter(|balance| (campaign + balance).is_multiple_of(2))
            .map(|balance| Kind::Balance.id(balance))
            .collect()
    }
}

fn pascal(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
