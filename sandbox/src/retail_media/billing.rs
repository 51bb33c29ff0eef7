//! Partner billing, as a job: what a retailer bills per line item. Columns and limits are those of Criteo's guide, which names
//! some columns only.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::manners::{NUMBER, written};
use crate::options::Options;
use crate::problem::Problem;
use crate::retail_media::ids::{Kind, Side};
use crate::retail_media::jobs::{Family, Make, Order, Output};
use crate::retail_media::query::{Limits, Query};
use crate::retail_media::routes::Asked;
use crate::retail_media::table::Row;
use crate::retail_media::vocabulary::Report;
use crate::statistics::{date, known_members, optional_list, optional_word, required};
use crate::wire::Reply;
use crate::world::World;

/// Greatest number of days of a bill.
const MAX_DAYS: i64 = 31;
const NUMBERS: &[&str] =
    &["WorkingMediaSpend", "CreditSpend", "ValueAddSpend", "BillableClicks", "BillableImpressions", "SspFee"];

impl World {
    /// The rows of a bill, by line item.
    pub(crate) fn billing_rows(&self, asked: &Value, limits: Limits) -> Result<Vec<Row>, Problem> {
        known_members(asked, &["startDate", "endDate", "accountIds", "retailerIds", "format"])?;
        let day = |name: &'static str| date(asked[name].as_str().ok_or_else(|| required(name))?);
        let (start, end) = (day("startDate")?, day("endDate")?);
        if end < start {
            return Err(Problem::validation("start-after-end-date", "The start lies after the end", ""));
        }
        let days = (end - start).num_days() + 1;
        if limits == Limits::Documented && (days > MAX_DAYS || start < self.retail_media_served_from(false)) {
            let detail = format!("{days} days from {start}");
            return Err(Problem::validation("invalid-timespan", "The timespan is not valid", detail));
        }
        let accounts = optional_list(asked, "accountIds")?;
        let asked_retailers = asked["retailerIds"].as_array().into_iter().flatten();
        let mut retailers: Vec<String> = asked_retailers.map(ToString::to_string).collect();
        if accounts.is_empty() && retailers.is_empty() {
            return Err(required("accountIds"));
        }
        let mut of_demand = Vec::new();
        for id in &accounts {
            let account = Kind::Account.number(id).filter(|account| self.has_consent(*account));
            let account = account.ok_or_else(|| self.refused(id))?;
            if self.side(account) == Side::Supply {
                let own = self.retailers_of(account).into_iter();
                retailers.extend(own.map(|number| super::ids::retailer_id(number).to_string()));
            } else if self.options.unknowns.get("rm_billing_accounts") == "supply" && limits == Limits::Documented {
                return Err(Problem::validation("invalid", "Only supply accounts have bills", id));
            } else {
                of_demand.push(account);
            }
        }
        // A retailer's bill has the accounts of others.
        let open = Self::new(Options { without_consent: Vec::new(), ..self.options.clone() });
        let mut rows = Vec::new();
        for account in 0..self.options.retail_media.accounts {
            let query = json!({
                "startDate": asked["startDate"], "endDate": asked["endDate"], "metrics": ["spend", "clicks", "impressions"],
                "dimensions": ["retailerId", "retailerName", "campaignId", "campaignName", "campaignType", "buyType",
                    "lineItemId", "lineItemName"],
                "filters": {"accountIds": [Kind::Account.id(account)]},
                "clickAttributionWindow": "7D", "viewAttributionWindow": "none",
            });
            let query = Query::parse(&open, Report::Performance, &query, Limits::Without)?;
            let of_retailers = open
                .retail_rows(&query)
                .into_iter()
                .filter(|row| of_demand.contains(&account) || retailers.iter().any(|id| row["retailerId"] == **id));
            rows.extend(of_retailers.map(|row| self.billed(account, &row)));
        }
        Ok(rows)
    }

    fn refused(&self, id: &str) -> Problem {
        match self.options.unknowns.get("rm_refused_object") {
            "404" => Problem::not_found(id),
            _ => Problem::forbidden("insufficient-accounts-permissions", "The account is not accessible"),
        }
    }

    fn billed(&self, account: u32, row: &Row) -> Row {
        // Accounts that advertise with many retailers.
        let is_network = account % 3 == 2;
        let of_private_market = |value: Value| if is_network { Value::Null } else { value };
        let balance = self.several(account, self.options.retail_media.balances).next();
        let spend = row["spend"].as_str().and_then(|spend| spend.parse::<f64>().ok()).unwrap_or(0.0);
        let billed = json!({
            "AccountName": self.account_name(account),
            "AccountId": Kind::Account.id(account),
            "IsUnbillable": if account.is_multiple_of(2) { "No" } else { "Yes" },
            "AccountCategory": match (is_network, self.side(account)) {
                (true, _) => "Network Demand",
                (_, Side::Seller) => "Private Market Demand - Seller",
                _ => "Private Market Demand - Brand",
            },
            "RetailerName": row["retailerName"],
            "AccountService": of_private_market(json!("Self-Service")),
            "BudgetModel": "Retailer",
            "AccountCurrencyCode": Self::currency_of(account),
            "Origin": Value::Null,
            "OriginId": self.perhaps(account, 820, 7),
            "BalanceId": balance.map(|balance| Kind::Balance.id(balance)),
            "BalanceName": of_private_market(json!(balance.map(|balance| self.name(balance, "Balance")))),
            "PurchaseOrder": of_private_market(self.perhaps(account, 821, "PO-1")),
            "BalanceStartDate": of_private_market(json!("2026-01-01T00:00:00.0Z")),
            "PrivateMarketPaymentOption": of_private_market(json!("BillByRetailer")),
            "CampaignId": row["campaignId"],
            "CampaignName": row["campaignName"],
            "CampaignType": row["campaignType"],
            "BuyType": row["buyType"],
            "LineItemId": row["lineItemId"],
            "LineItemName": row["lineItemName"],
            "WorkingMediaSpend": row["spend"],
            "CreditSpend": "0",
            "ValueAddSpend": format!("{:.2}", spend / 50.0),
            "BillableClicks": row["clicks"],
            "BillableImpressions": row["impressions"],
            "SspFee": format!("{:.2}", spend / 10.0),
        });
        billed.as_object().cloned().unwrap_or_default()
    }
}

impl Asked<'_> {
    pub(crate) fn billing(&self) -> Result<Reply, Problem> {
        let attributes = self.report_attributes()?;
        let format = optional_word(&attributes, "format", &["json", "csv"])?.unwrap_or("json").to_owned();
        // Refuses what is invalid now, not when the file is made.
        self.world.billing_rows(&attributes, Limits::Documented)?;
        let key = format!("{} {} {attributes}", self.version, self.request.path);
        let end = attributes["endDate"].as_str().and_then(|end| end.parse().ok());
        let make: Make = Arc::new(move |world| {
            let rows = world.billing_rows(&attributes, Limits::Without).unwrap_or_default();
            let style = world.options.unknowns.get("rm_billing_columns");
            let rows: Vec<Row> = rows.into_iter().map(|row| named(row, style)).collect();
            let columns: Vec<String> = rows.first().map(|row| row.keys().cloned().collect()).unwrap_or_default();
            let rows = world.spelled_rows(rows);
            let body = match format.as_str() {
                "csv" => world.file(rows.clone(), &columns, "csv"),
                _ => written(&json!(rows)),
            };
            Output { rows: rows.len(), is_cut: false, body: body.into_bytes() }
        });
        Ok(self.create(Order { family: Family::Billing, key, end, currency: Value::Null, make }))
    }
}

/// A row with marked numbers and names in the style that the switch selects.
fn named(row: Row, style: &str) -> Row {
    let spelled = |name: &str| match style {
        "camel" => name[..1].to_ascii_lowercase() + &name[1..],
        "spaced" => {
            let mut words = String::new();
            for letter in name.chars() {
                words.push_str(if letter.is_ascii_uppercase() && !words.is_empty() { " " } else { "" });
                words.push(letter);
            }
            words
        }
        _ => name.to_owned(),
    };
    let mark = |(column, value): (String, Value)| {
        let value = match value.as_str() {
            Some(text) if NUMBERS.contains(&column.as_str()) => json!(format!("{NUMBER}{text}")),
            _ => value,
        };
        (spelled(&column), value)
    };
    row.into_iter().map(mark).collect()
}
