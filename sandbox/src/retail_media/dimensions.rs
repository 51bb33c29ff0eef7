//! The value of every dimension of a fact.

use chrono::{Days, NaiveDateTime, Timelike};
use serde_json::{Value, json};

use crate::retail_media::facts::{PLACEMENTS, RetailFact, Subject};
use crate::retail_media::ids::{Kind, SELLERS, category_id, retailer_id, seller_id, template_id};
use crate::retail_media::query::Query;
use crate::retail_media::vocabulary::canonical;
use crate::world::World;

impl World {
    /// The local time of a fact in its query's zone.
    pub(crate) fn local(&self, fact: &RetailFact, query: &Query) -> NaiveDateTime {
        let zone = match (query.zone, fact.subject) {
            (Some(zone), _) => zone,
            (None, Subject::LineItem(line_item)) => {
                let account = self.account_of_campaign(self.campaign_of(line_item));
                Self::zone_of(account).parse().unwrap_or(chrono_tz::UTC)
            }
            (None, Subject::Placement(_)) => chrono_tz::UTC,
        };
        fact.instant.with_timezone(&zone).naive_local()
    }

    /// A dimension's value: a string or `null`.
    pub(crate) fn dimension(&self, fact: &RetailFact, name: &str, query: &Query) -> Value {
        let name = canonical(query.report, name);
        let local = self.local(fact, query);
        let day = |days: u32| self.spell_day((local - Days::new(u64::from(days))).date());
        let lag = || self.sale(fact).map_or(0, |sale| sale.lag);
        match name {
            "date" => json!(day(0)),
            "hour" => self.spell_hour(local),
            "advertisedDate" => json!(day(lag())),
            "advertisedHour" => {
                let hour = u32::try_from(self.fact_choice(fact, "advertised hour", 24)).unwrap_or(0);
                self.spell_hour(local.date().and_hms_opt(hour, 0, 0).unwrap_or(local) - Days::new(u64::from(lag())))
            }
            "daysDifference" => json!(lag().to_string()),
            _ => match fact.subject {
                Subject::LineItem(line_item) => {
                    self.of_line_item(fact, line_item, name).unwrap_or_else(|| self.of_fact(fact, name))
                }
                Subject::Placement(placement) => {
                    self.of_retailer(fact, placement / PLACEMENTS, name).unwrap_or_else(|| self.of_fact(fact, name))
                }
            },
        }
    }

    fn spell_day(&self, day: chrono::NaiveDate) -> String {
        match self.options.unknowns.get("rm_days") {
            "iso_datetime" => format!("{day}T00:00:00"),
            _ => day.to_string(),
        }
    }

    fn spell_hour(&self, local: NaiveDateTime) -> Value {
        json!(match self.options.unknowns.get("rm_hours") {
            "padded" => format!("{:02}", local.hour()),
            "datetime" => local.format("%Y-%m-%dT%H:00:00").to_string(),
            _ => local.hour().to_string(),
        })
    }

    fn of_line_item(&self, fact: &RetailFact, line_item: u32, name: &str) -> Option<Value> {
        let campaign = self.campaign_of(line_item);
        let account = self.account_of_campaign(campaign);
        let retailer = self.retailer_of(line_item);
        let brand = self.brand_of(line_item);
        let is_preferred = Self::is_preferred(campaign);
        let (auction, deal) = ("auction", "preferredDeals");
        let product = |purpose: &str| {
            let numbers = self.promoted_numbers(line_item);
            let index = usize::try_from(self.fact_choice(fact, purpose, numbers.len() as u64)).unwrap_or(0);
            let is_hidden = is_preferred && self.options.unknowns.get("rm_product_fields") == "empty";
            numbers.get(index).copied().filter(|_| !is_hidden)
        };
        let advertised = || product("product");
        let purchased = || match self.fact_choice(fact, "same product", 2) {
            0 => advertised(),
            _ => product("purchased product"),
        };
        let creative = if is_preferred { self.creative_of(account, line_item) } else { None };
        let text = |value: Option<String>| value.map_or(Value::Null, Value::from);
        let product_name = |number: Option<u32>| text(number.map(|number| self.name(number, "Product")));
        let category = |number: Option<u32>| text(number.map(|number| self.name(number % 5, "Category")));
        let code = |number: Option<u32>, digits: &str| {
            let known = number.filter(|number| number % 3 != 0);
            text(known.map(|number| format!("{digits}{:06}", number + 1)))
        };
        let seller = |purpose: &str| {
            let pairs = self.seller_pairs(account);
            let index = usize::try_from(self.fact_choice(fact, purpose, pairs.len() as u64)).unwrap_or(0);
            pairs.get(index).copied()
        };
        let seller_text = |purpose: &str| text(seller(purpose).map(|(retailer, n)| seller_id(account, retailer, n)));
        let seller_name =
            |purpose: &str| text(seller(purpose).map(|(retailer, n)| self.name(retailer * SELLERS + n, "Seller")));
        let keywords = || {
            let words = self.keywords_of(line_item);
            let index = usize::try_from(self.fact_choice(fact, "keyword", words.len() as u64 + 1)).unwrap_or(0);
            words.get(index).cloned().filter(|_| !is_preferred)
        };
        Some(match name {
            "accountId" => json!(Kind::Account.id(account)),
            "accountName" => json!(self.account_name(account)),
            "accountTypeName" | "advertiserType" => json!(if account % 2 == 1 { "seller" } else { "brand" }),
            "parentAccount" => json!(self.name(account, "Parent")),
            "campaignId" => json!(Kind::Campaign.id(campaign)),
            "campaignName" => json!(self.campaign_name_of(campaign)),
            "campaignType" => json!(if is_preferred { "onSiteDisplays" } else { "sponsoredProducts" }),
            "campaignStartDate" if !self.is_hostile() => json!(self.campaign_flight(campaign).start()),
            "campaignEndDate" if !self.is_hostile() => json!(self.campaign_flight(campaign).end()),
            "lineItemStartDate" if !self.is_hostile() => json!(self.line_item_flight(line_item).start()),
            "lineItemEndDate" if !self.is_hostile() => json!(self.line_item_flight(line_item).end()),
            "campaignStartDate" => json!(self.day(campaign, 600)),
            "campaignEndDate" => self.perhaps(campaign, 601, self.day(campaign, 602)),
            "lineItemId" => json!(Kind::LineItem.id(line_item)),
            "lineItemName" => json!(self.line_item_name(line_item)),
            "lineItemStartDate" => json!(self.day(line_item, 235)),
            "lineItemEndDate" => self.perhaps(line_item, 236, self.day(line_item, 237)),
            "lineItemStatus" => json!(self.line_item_status(line_item)),
            "bidStrategy" => text((!is_preferred).then(|| self.bid_strategy(line_item).to_owned())),
            "buyType" => json!(if is_preferred { deal } else { auction }),
            "brandId" => json!(Kind::Brand.id(brand)),
            "brandName" => json!(self.name(brand, "Brand")),
            "productId" => text(advertised().map(|number| self.product_id(retailer, number))),
            "productName" => product_name(advertised()),
            "productCategory" => category(advertised()),
            "productGtin" => code(advertised(), "4006381"),
            "productMpn" => code(advertised(), "MPN-"),
            "purchasedProductId" => text(purchased().map(|number| self.product_id(retailer, number))),
            "purchasedProductName" => product_name(purchased()),
            "purchasedProductCategory" => category(purchased()),
            "purchasedProductGtin" => code(purchased(), "4006381"),
            "purchasedProductMpn" => code(purchased(), "MPN-"),
            "keyword" => text(keywords()),
            "searchTerm" => text(keywords().map(|word| format!("{word} {}", self.fact_choice(fact, "term", 3) + 1))),
            "searchTermType" => text(keywords().map(|_| self.word(fact, name, &["searched", "entered"]))),
            "searchTermTargeting" => text(keywords().map(|_| self.word(fact, name, &["automatic", "manual"]))),
            "targetedKeywordType" => json!(self.word(fact, name, &["generic", "branded", "conquesting", "unknown"])),
            "creativeId" => text(creative.map(|creative| Kind::Creative.id(creative))),
            "creativeName" => text(creative.map(|creative| self.creative_name(creative))),
            "creativeType" => text(creative.map(|creative| self.creative_format(creative).to_owned())),
            "creativeTemplateId" => text(creative.map(|creative| template_id(self.template_of(creative)).to_string())),
            "creativeTemplateName" => text(creative.map(|creative| self.template_name(self.template_of(creative)))),
            "advertisedEngagement" => {
                json!(if self.sale(fact).is_some_and(|sale| sale.is_view) { "view" } else { "click" })
            }
            "advertisedToPurchasedProductRelationship" => {
                let words = ["sameSku", "sameCategory", "sameBrand", "campaign"];
                json!(words[self.sale(fact).map_or(0, |sale| sale.level as usize) % 4])
            }
            "attributionWindow" => {
                let (click, view) = self.campaign_windows(campaign);
                json!(format!("{}D", if self.sale(fact).is_some_and(|sale| sale.is_view) { view } else { click }))
            }
            "saleSellerId" => seller_text("sale"),
            "saleSellerName" => seller_name("sale"),
            "activitySellerId" => seller_text("activity"),
            "activitySellerName" => seller_name("activity"),
            _ => return self.of_retailer(fact, retailer, name),
        })
    }

    fn of_retailer(&self, fact: &RetailFact, retailer: u32, name: &str) -> Option<Value> {
        let placement = match fact.subject {
            Subject::Placement(placement) => placement,
            Subject::LineItem(_) => {
                retailer * PLACEMENTS
                    + u32::try_from(self.fact_choice(fact, "placement", u64::from(PLACEMENTS))).unwrap_or(0)
            }
        };
        let category = u32::try_from(self.fact_choice(fact, "category", 5)).unwrap_or(0);
        Some(match name {
            "retailerId" => json!(retailer_id(retailer).to_string()),
            "retailerName" => json!(self.retailer_name(retailer)),
            "placementId" => json!(format!("placement-{}", placement + 1)),
            "placementName" => json!(self.name(placement, "Placement")),
            "retailerCategoryId" | "servedCategoryId" | "taxonomy1Id" => {
                json!(category_id(retailer, category).to_string())
            }
            "servedCategory" if category == 0 => Value::Null,
            "retailerCategoryName" | "pageCategory" | "servedCategory" | "taxonomy1Name" => {
                json!(self.name(category, "Category"))
            }
            "taxonomyBreadcrumb" => {
                json!(format!("{} > {}", self.name(category, "Category"), self.name(category + 5, "Category")))
            }
            "taxonomy2Id" => json!(category_id(retailer, category + 5).to_string()),
            "taxonomy2Name" => json!(self.name(category + 5, "Category")),
            name if name.starts_with("taxonomy") => Value::Null,
            _ => return None,
        })
    }

    fn of_fact(&self, fact: &RetailFact, name: &str) -> Value {
        let words: &[&str] = match name {
            "salesChannel" => &["online", "online", "offline"],
            "mediaType" => &["display", "display", "video", "unknown"],
            "budgetModel" => &["CriteoBudget", "RetailerBudget"],
            "activationPlatform" => &["CommerceMax", "PrivateMarket"],
            "environment" => &["web", "mobile", "app"],
            "pageType" => &["search", "home", "productDetail", "category"],
            "adServerType" => &["criteo", "gam"],
            "campaignType" => &["sponsoredProducts", "onSiteDisplays"],
            "soldBy" => &["directSold", "indirectSold", "privateMarket", "authorizedBuyer"],
            "skuRelation" => &["sameSku", "sameParentSku", "sameCategory", "sameBrand", "sameSeller"],
            "activityType" => &["click", "view"],
            "attributionSettings" => &["7D/none", "14D/1D", "30D/none"],
            _ => &["one", "two"],
        };
        json!(self.word(fact, name, words))
    }

    fn word(&self, fact: &RetailFact, name: &str, words: &[&str]) -> String {
        let index = usize::try_from(self.fact_choice(fact, name, words.len() as u64)).unwrap_or(0);
        words.get(index).copied().unwrap_or_default().to_owned()
    }
}
