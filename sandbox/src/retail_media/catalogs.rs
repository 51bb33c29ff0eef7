//! Catalogs of products, as jobs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::problem::Problem;
use crate::retail_media::ids::{Kind, Side, retailer_id, seller_id};
use crate::retail_media::jobs::{Family, Make, Order, Output};
use crate::retail_media::routes::Asked;
use crate::statistics::{optional_list, optional_word, required};
use crate::wire::Reply;
use crate::world::World;

/// A retailer, and for accounts of sellers one of its sellers.
type Place = (u32, Option<u32>);

impl World {
    /// Where an account's products are sold.
    fn places(&self, account: u32) -> Vec<Place> {
        match self.side(account) {
            Side::Seller => self.seller_pairs(account).into_iter().map(|(retailer, n)| (retailer, Some(n))).collect(),
            _ => self.retailers_of(account).into_iter().map(|retailer| (retailer, None)).collect(),
        }
    }

    /// The products of a catalog: all that an account may promote, or those of some brands.
    fn catalog(&self, account: u32, places: &[Place], brands: &[String]) -> Vec<Value> {
        let has_products = self.is_advertising(account) || self.side(account) == Side::Supply;
        let count = if has_products { self.options.retail_media.catalog_products } else { 0 };
        let products =
            places.iter().flat_map(|place| (0..count).map(|number| self.catalog_product(account, *place, number)));
        products.filter(|product| brands.is_empty() || brands.iter().any(|id| product["brandId"] == **id)).collect()
    }

    fn catalog_product(&self, account: u32, place: Place, number: u32) -> Value {
        let (retailer, seller) = place;
        let salt = retailer * 10_000 + number;
        let brands = self.options.retail_media.brands.max(1);
        let brand = (account % self.options.retail_media.accounts.max(1)) * brands + number % brands;
        let mut product = json!({
            "id": self.product_id(retailer, number),
            "name": self.name(number, "Product"),
            "category": self.perhaps(salt, 800, self.name(number % 5, "Category")),
            "brandId": Kind::Brand.id(brand),
            "brandName": self.name(brand, "Brand"),
            "retailerId": retailer_id(retailer).to_string(),
            "retailerName": self.retailer_name(retailer),
            "price": self.perhaps(salt, 801, self.amount(salt, 802, 200)),
            "isInStock": !salt.is_multiple_of(5),
            "minBid": self.perhaps(salt, 803, self.amount(salt, 804, 2)),
            "gtin": self.perhaps(salt, 805, format!("4006381{:06}", number + 1)),
            "mpn": self.perhaps(salt, 806, format!("MPN-{:06}", number + 1)),
            "imageUrl": self.perhaps(salt, 807, "https://cdn.example/p.png?a=1&b=%20"),
            "updatedAt": self.moment(salt, 808),
        });
        if let Some(seller) = seller {
            product["sellerId"] = json!(seller_id(account, retailer, seller));
            product["sellerName"] = json!(self.name(retailer * 2 + seller, "Seller"));
        }
        if self.options.unknowns.get("rm_catalog_fields") == "more" {
            product["description"] = self.perhaps(salt, 810, self.name(number, "Description"));
            product["googleCategory"] = json!("Food > Snacks");
        }
        if self.options.unknowns.get("rm_catalog_fields") == "fewer"
            && let Some(members) = product.as_object_mut()
        {
            members.retain(|name, _| !["gtin", "mpn", "imageUrl", "minBid"].contains(&name.as_str()));
        }
        product
    }

    /// The truth of catalogs: every product of every account with consent, with its account's id.
    pub(crate) fn catalog_products(&self) -> Vec<Value> {
        let accounts = self.retail_accounts().into_iter();
        let rows = accounts.flat_map(|account| {
            self.catalog(account, &self.places(account), &[]).into_iter().map(move |mut product| {
                product["accountId"] = json!(Kind::Account.id(account));
                json!({"attributes": product})
            })
        });
        rows.collect()
    }
}

/// A file with one JSON object per line.
fn lines(products: &[Value]) -> Output {
    let body: String = products.iter().map(|product| product.to_string() + "\n").collect();
    Output { rows: products.len(), is_cut: false, body: body.into_bytes() }
}

impl Asked<'_> {
    pub(crate) fn catalog(&self, id: &str) -> Result<Reply, Problem> {
        let account = self.account(id)?;
        self.typed()?;
        let attributes = self.attributes(&["format", "brandIdFilter"])?;
        optional_word(&attributes, "format", &["json-newline", "unknown"])?;
        if self.world.side(account) == Side::Seller {
            return Err(Problem::validation("invalid", "Accounts of sellers have catalogs by seller", id));
        }
        let brands = optional_list(&attributes, "brandIdFilter")?;
        let make: Make = Arc::new(move |world| lines(&world.catalog(account, &world.places(account), &brands)));
        Ok(self.ordered(Family::Catalog, account, make))
    }

    pub(crate) fn brand_export(&self, id: &str) -> Result<Reply, Problem> {
        self.manage()?;
        let account = self.account(id)?;
        let attributes = self.attributes(&["includeFields", "modifiedAfter", "brandIdFilter", "retailerIdFilter"])?;
        let brands = optional_list(&attributes, "brandIdFilter")?;
        let make: Make = Arc::new(move |world| lines(&world.catalog(account, &world.places(account), &brands)));
        Ok(self.ordered(Family::Export, account, make))
    }

    pub(crate) fn seller_catalog(&self, id: &str, is_export: bool) -> Result<Reply, Problem> {
        if is_export {
            self.manage()?;
        } else {
            self.typed()?;
        }
        let account = self.account(id)?;
        let attributes = self.attributes(&["sellers", "includeFields", "modifiedAfter"])?;
        let asked = attributes["sellers"].as_array().cloned().unwrap_or_default();
        if asked.is_empty() && !is_export {
            return Err(required("sellers"));
        }
        if self.world.side(account) != Side::Seller {
            return Err(Problem::validation("invalid", "Only accounts of sellers have catalogs by seller", id));
        }
        let is_asked = move |(retailer, seller): &Place| {
            let seller = seller_id(account, *retailer, seller.unwrap_or(0));
            let retailer = retailer_id(*retailer).to_string();
            asked.is_empty() || asked.iter().any(|pair| pair["retailerId"] == *retailer && pair["sellerId"] == *seller)
        };
        let make: Make = Arc::new(move |world| {
            let mut places = world.places(account);
            places.retain(&is_asked);
            lines(&world.catalog(account, &places, &[]))
        });
        let family = if is_export { Family::Export } else { Family::Catalog };
        Ok(self.ordered(family, account, make))
    }

    /// Refuses a body of a catalog without `type`.
    fn typed(&self) -> Result<(), Problem> {
        let body: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
        if body["data"]["type"].is_string() { Ok(()) } else { Err(required("type")) }
    }

    fn ordered(&self, family: Family, account: u32, make: Make) -> Reply {
        let currency = json!(World::currency_of(account));
        self.create(Order { family, key: String::new(), end: None, currency, make })
    }
}
