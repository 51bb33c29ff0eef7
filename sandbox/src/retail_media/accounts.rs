//! Accounts and what belongs to them directly.

use serde_json::{Value, json};

use crate::retail_media::ids::{Kind, SELLERS, Side, TEMPLATES, category_id, retailer_id, seller_id, template_id};
use crate::world::World;

/// A JSON:API resource.
#[expect(clippy::needless_pass_by_value, reason = "callers build the attributes inline")]
pub(crate) fn resource(kind: &str, id: &str, attributes: Value) -> Value {
    json!({"id": id, "type": kind, "attributes": attributes})
}

/// A JSON:API resource without an id.
#[expect(clippy::needless_pass_by_value, reason = "callers build the attributes inline")]
pub(crate) fn nameless(kind: &str, attributes: Value) -> Value {
    json!({"type": kind, "attributes": attributes})
}

impl World {
    pub(crate) fn retail_account(&self, number: u32) -> Value {
        let side = self.side(number);
        resource(
            "RetailMediaAccount",
            &Kind::Account.id(number),
            json!({
                "name": self.account_name(number),
                "type": if side == Side::Supply { "supply" } else { "demand" },
                "subtype": match side {
                    Side::Brand => json!("brand"),
                    Side::Seller => json!("seller"),
                    Side::Supply => Value::Null,
                },
                "countries": self.countries(number),
                "currency": self.currency_of(number),
                "timeZone": self.zone_of(number),
                "parentAccountLabel": self.name(number, "Parent"),
                "companyName": self.perhaps(number, 1, self.name(number + 1, "Company")),
                "onBehalfCompanyName": self.perhaps(number, 2, self.name(number + 2, "Agency")),
            }),
        )
    }

    pub(crate) fn account_name(&self, number: u32) -> String {
        let plain = match self.side(number) {
            Side::Brand => "Brand account",
            Side::Seller => "Seller account",
            Side::Supply => "Retailer account",
        };
        self.name(number, plain)
    }

    /// Accounts of one sandbox differ in currency.
    pub(crate) fn currency_of(&self, account: u32) -> &'static str {
        ["EUR", "EUR", "USD", "EUR", "GBP"][account as usize % 5]
    }

    pub(crate) fn zone_of(&self, account: u32) -> &'static str {
        ["Europe/Paris", "Europe/Paris", "America/New_York", "Europe/Berlin", "Europe/London"][account as usize % 5]
    }

    fn countries(&self, account: u32) -> Vec<&'static str> {
        [vec!["FR"], vec!["FR", "DE"], vec!["US"], vec!["DE"], vec!["GB"]][account as usize % 5].clone()
    }

    pub(crate) fn account_brand(&self, number: u32) -> Value {
        resource("RetailMediaBrand", &Kind::Brand.id(number), json!({"name": self.name(number, "Brand")}))
    }

    /// The demand accounts of a supply account's private market, with or without consent.
    pub(crate) fn child_accounts(&self, supply: u32) -> Vec<Value> {
        let supplies = self.supply_accounts();
        let (first, count) = (supply - supplies.start, supplies.end - supplies.start);
        let children = (0..supplies.start).filter(|child| child % count == first);
        children.map(|child| self.child_account(child)).filter(|child| !self.is_deleted_object(child)).collect()
    }

    pub(crate) fn is_deleted_object(&self, object: &Value) -> bool {
        object["id"].as_str().is_some_and(|id| self.is_gone(id))
    }

    fn child_account(&self, number: u32) -> Value {
        resource(
            "PrivateMarketAccount",
            &Kind::Account.id(number),
            json!({
                "name": self.perhaps(number, 3, self.account_name(number)),
                "type": "Demand",
                "subType": if self.side(number) == Side::Seller { "Seller" } else { "Brand" },
                "countryIds": self.countries(number),
                "currencyId": self.currency_of(number),
                "timeZone": self.perhaps(number, 4, self.zone_of(number)),
                "companyName": self.perhaps(number, 1, self.name(number + 1, "Company")),
                "onBehalfCompanyName": self.perhaps(number, 2, self.name(number + 2, "Agency")),
            }),
        )
    }

    /// Fees of a demand account.
    pub(crate) fn fees(&self, account: u32) -> Value {
        let rate = |salt| f64::from(u32::try_from(self.below(account, salt, 101)).unwrap_or(0)) / 100.0;
        nameless(
            "AccountFees",
            json!({
                "accountId": Kind::Account.id(account),
                "fees": self.perhaps(account, 5, json!({
                    "demandManaged": self.perhaps(account, 6, json!({"rate": rate(7)})),
                    "managedService": self.perhaps(account, 8, json!({
                        "rate": rate(9), "onsiteSponsoredProductsEnabled": true, "onsiteDisplayEnabled": account % 2 == 0,
                    })),
                })),
            }),
        )
    }

    /// Sellers of an account; their names are details.
    pub(crate) fn sellers(&self, account: u32, has_details: bool) -> Value {
        let name = |retailer: u32, number: u32| match has_details {
            true => self.perhaps(retailer, 10 + u64::from(number), self.name(retailer * SELLERS + number, "Seller")),
            false => Value::Null,
        };
        let sellers: Vec<Value> = self
            .seller_pairs(account)
            .into_iter()
            .map(|(retailer, number)| {
                json!({"retailerId": retailer_id(retailer), "sellerId": seller_id(account, retailer, number),
                    "name": name(retailer, number)})
            })
            .collect();
        let is_null = sellers.is_empty() && self.is_hostile();
        let sellers = if is_null { Value::Null } else { json!(sellers) };
        nameless("AccountSellers", json!({"accountId": Kind::Account.id(account), "sellers": sellers}))
    }

    /// Retailer and number of every seller of an account.
    pub(crate) fn seller_pairs(&self, account: u32) -> Vec<(u32, u32)> {
        if self.side(account) != Side::Seller {
            return Vec::new();
        }
        let retailers = self.retailers_of(account).into_iter().take(3);
        retailers.flat_map(|retailer| (0..SELLERS).map(move |number| (retailer, number))).collect()
    }

    pub(crate) fn retailer_name(&self, retailer: u32) -> String {
        self.name(retailer, "Retailer")
    }

    pub(crate) fn retailer(&self, number: u32, version: &str) -> Value {
        let combination = |salt: u64| {
            json!({
                "pageType": self.one_of(number, salt, &["search", "home", "searchbar", "productDetail", "aiAssistant"]),
                "pageEnvironmentType": self.one_of(number, salt + 1, &["web", "mobile", "app", "lockout", "ios"]),
            })
        };
        let availability = |kind: &str, buy: &str, salt: u64| {
            let budgets = if version >= "2026-07" {
                ("budgetModelAvailabilities", json!(["criteoBudget", "retailerBudget"]))
            } else {
                ("isAvailable", json!(true))
            };
            let mut availability = json!({"campaignType": kind, "buyType": buy});
            availability[budgets.0] = budgets.1;
            let is_assistant = |of: &Value| version < "2026-07" && of["pageType"] == "aiAssistant";
            let valid: Vec<_> =
                [combination(salt), combination(salt + 2)].into_iter().filter(|of| !is_assistant(of)).collect();
            availability["validCombinations"] = self.perhaps(number, salt + 4, json!(valid));
            availability
        };
        resource(
            "RetailerResult",
            &retailer_id(number).to_string(),
            json!({
                "name": self.perhaps(number, 20, self.retailer_name(number)),
                "campaignAvailabilities": self.perhaps(number, 21, json!([
                    availability("sponsoredProducts", "auction", 30),
                    availability("onsiteDisplay", "preferredDeals", 40),
                ])),
            }),
        )
    }

    pub(crate) fn retailer_brand(&self, brand: u32) -> Value {
        let id = Kind::Brand.id(brand);
        let retailers: Vec<u32> = self.retailers_of_brand(brand).into_iter().map(retailer_id).collect();
        resource(
            "BrandIdSearchResult",
            &id,
            json!({"id": id, "name": self.name(brand, "Brand"), "retailerIds": retailers,
                "brandType": if Self::is_of_retailer(brand) { "retailer" } else { "uc" }}),
        )
    }

    pub(crate) fn page_types(&self, retailer: u32) -> Vec<&'static str> {
        let all = ["search", "home", "browse", "checkout", "category", "productDetail", "searchbar", "categoryMenu"];
        all.into_iter().filter(|page| self.below(retailer, page.len() as u64 + 50, 4) > 0).collect()
    }

    /// A category; the first ones have no parent.
    pub(crate) fn category(&self, retailer: u32, number: u32) -> Value {
        let parent = if number < 5 { "0".to_owned() } else { category_id(retailer, number % 5).to_string() };
        let name = self.name(number, "Category");
        let text = if number < 5 { name.clone() } else { format!("{}|{name}", self.name(number % 5, "Category")) };
        let id = category_id(retailer, number).to_string();
        resource("RetailMediaCategory", &id, json!({"name": name, "parentId": parent, "text": text}))
    }

    pub(crate) fn categories(&self, retailer: u32) -> Vec<Value> {
        (0..self.options.retail_media.categories).map(|number| self.category(retailer, number)).collect()
    }

    /// The creative templates of a retailer, with variables that depend on others.
    pub(crate) fn templates(&self, retailer: u32) -> Vec<Value> {
        (retailer * TEMPLATES..(retailer + 1) * TEMPLATES).map(|number| self.template(number)).collect()
    }

    fn template(&self, number: u32) -> Value {
        let id = template_id(number).to_string();
        let text = |id: &str| json!({"id": id, "required": false, "type": "Text", "textVariableSpecification": {"maxChars": self.perhaps(number, 60, 80)}});
        let choice = |id: &str, dependent: Vec<Value>| {
            json!({"id": id, "required": true, "type": "Choice", "choiceVariableSpecification": {
                "minSelected": self.perhaps(number, 61, 1), "maxSelected": self.perhaps(number, 62, 1),
                "options": [{"id": "one", "dependentVariables": dependent}, {"id": "two", "dependentVariables": []}],
            }})
        };
        let files = json!({"id": "logo", "required": true, "type": "Files", "filesVariablesSpecification": {
            "extensions": ["Jpeg", "Png"], "maxBytes": self.perhaps(number, 63, 1_000_000), "maxFile": 1, "minFiles": self.perhaps(number, 64, 1)}});
        resource(
            "RetailMediaCreativeTemplate",
            &id,
            json!({
                "id": id,
                "name": self.template_name(number),
                "creativeFormat": self.one_of(number, 65, &["Showcase", "Butterfly", "CUSTOM", "CommerceVideoSpotlight"]),
                "allCollectionsMandatory": number % 2 == 0,
                "displayableSkusMax": self.perhaps(number, 66, 8),
                "skuCollectionMin": 0, "skuCollectionMax": self.perhaps(number, 67, 3),
                "skuPerCollectionMin": 1, "skuPerCollectionMax": self.perhaps(number, 68, 12),
                "createdAt": self.moment(number, 69), "updatedAt": self.moment(number, 71),
                "sections": [{
                    "title": self.perhaps(number, 73, "Layout"), "description": self.perhaps(number, 74, self.name(number, "Section")),
                    "templateVariables": [text("headline"), files, choice("layout", vec![choice("colors", vec![text("color")])])],
                }],
            }),
        )
    }

    pub(crate) fn template_name(&self, number: u32) -> String {
        self.name(number, "Template")
    }
}
