//! Every read operation of Retail Media but for reports, by method and path.

use serde_json::{Value, json};

use crate::manners::written;
use crate::options::{Options, Permission, Product};
use crate::problem::Problem;
use crate::retail_media::balances::BalanceModel;
use crate::retail_media::ids::{Kind, Side};
use crate::retail_media::jobs::Jobs;
use crate::retail_media::paging::{Counters, Limits};
use crate::routes::Route;
use crate::wire::{Reply, Request};
use crate::world::World;

/// A request, and what its response depends on.
pub(crate) struct Asked<'a> {
    pub world: &'a World,
    pub version: &'a str,
    pub request: &'a Request,
    pub jobs: &'a Jobs,
}

/// Rate limit and permission of a path after the version.
pub(crate) fn route(path: &[&str], options: &Options) -> Route {
    let is_report = match path {
        [_, "reports", "sync", kind] => {
            *kind == "real-time-performance" || options.unknowns.get("rm_sync_pool") == "reports"
        }
        [_, "reports" | "catalogs" | "billing", .., "status" | "output"] => {
            options.unknowns.get("rm_poll_pool") == "reports"
        }
        [_, "reports", _] => true,
        _ => false,
    };
    let permission = match path {
        [_, "me"] => None,
        [_, "accounts" | "account-management"] | [_, "account-management", ..] => Some(Permission::RetailMediaAccounts),
        [_, "accounts", "fees" | "sellers", ..] | [_, "brands", ..] => Some(Permission::RetailMediaAccounts),
        [_, "reports", ..] => Some(Permission::RetailMediaAnalytics),
        [_, "billing", ..] => Some(Permission::RetailMediaBilling),
        [_, "balances", ..] | [_, "accounts", _, "balances", ..] => Some(Permission::RetailMediaBalances),
        [_, "accounts", _, "audiences" | "audience-segments", ..] => Some(Permission::RetailMediaAudiences),
        _ => Some(Permission::RetailMediaCampaigns),
    };
    Route { is_report, permission }
}

/// The response to an app of the other service, where it is not a refusal.
pub(crate) fn foreign(options: &Options, path: &[&str]) -> Option<Result<Reply, Problem>> {
    let is_foreign = options.service() != Product::RetailMedia && path.get(1) == Some(&"retail-media");
    if !is_foreign {
        return None;
    }
    match options.unknowns.get("rm_other_service") {
        "404" => Some(Err(Problem::not_found(path.join("/")))),
        "empty_data" => Some(Ok(Reply::json(200, &json!({"data": [], "errors": [], "warnings": []})))),
        _ => None,
    }
}

/// Responds to a request that passed the checks of version, rate limit, token and permission.
pub(crate) fn answer(world: &World, path: &[&str], request: &Request, jobs: &Jobs) -> Result<Reply, Problem> {
    let [version, _, rest @ ..] = path else { return Err(Problem::not_found("no version")) };
    let asked = Asked { world, version, request, jobs };
    if let Some(reply) = asked.job(rest) {
        return reply;
    }
    let value = match request.method.as_str() {
        "GET" => asked.get(rest)?,
        "POST" => asked.post(rest)?,
        _ => return Err(Problem::not_found("method")),
    };
    Ok(Reply { body: written(&value).into_bytes(), ..Reply::json(200, &Value::Null) })
}

const OF_500: Limits = Limits::new(25, 500);

impl Asked<'_> {
    pub(crate) fn switch(&self, name: &str) -> &'static str {
        self.world.options.unknowns.get(name)
    }

    fn get(&self, path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        Ok(match path {
            ["me"] => item(json!({"type": "Application", "attributes": application()})),
            ["account-management", "accounts", id, "private-market-child-accounts"] => {
                let supply = self.private_market(id)?;
                let limits = Limits { least: 1, ..Limits::new(25, i32::MAX as usize) };
                self.offsets(&world.child_accounts(supply), limits, Counters::Metadata, |child| child)?
            }
            ["accounts"] => {
                let accounts = self.limited(world.retail_accounts(), Kind::Account, &["limitToId"]);
                self.pages(&accounts, |account| world.retail_account(account))?
            }
            ["accounts", id, rest @ ..] => self.get_of_account(self.account(id)?, rest, path)?,
            ["balances", id] if self.is_new() => item(world.balance(self.balance(id)?, BalanceModel::Current)),
            ["balances", id, "history"] => self.balance_history(self.balance(id)?)?,
            ["balances", id, "campaigns"] => {
                let campaigns = world.campaigns_of_balance(self.balance(id)?);
                let campaigns = self.limited(campaigns, Kind::Campaign, &["limitToId"]);
                self.pages(
                    &campaigns,
                    |campaign| json!({"id": Kind::Campaign.id(campaign), "type": "Campaign", "attributes": {}}),
                )?
            }
            ["campaigns", id] => item(world.campaign_of_account(self.campaign(id)?)),
            ["campaigns", id, rest @ ..] => self.get_of_campaign(self.campaign(id)?, rest, path)?,
            ["auction-line-items", id] => item(world.auction_line_item(self.line_item(id, Some(false))?)),
            ["preferred-line-items", id] => item(world.preferred_line_item(self.line_item(id, Some(true))?)),
            ["preferred-line-items", id, "targeting", kind] => {
                let line_item = self.line_item(id, Some(true))?;
                item(match *kind {
                    "add-to-basket" => world.basket_targets(line_item),
                    "audiences" => world.audience_targets(line_item),
                    "stores" => world.store_targets(line_item),
                    _ => return Err(Problem::not_found(path.join("/"))),
                })
            }
            ["line-items", id] => item(world.common_line_item(self.line_item(id, None)?)),
            ["line-items", id, rest @ ..] => self.get_of_line_item(id, rest, path)?,
            ["categories"] => self.all_categories()?,
            ["categories", id] => self.category(id)?,
            ["retailers", id, "templates"] => list(world.templates(self.retailer(id)?)),
            ["retailers", id, "templates", template] => {
                let templates = world.templates(self.retailer(id)?);
                let found = templates.into_iter().find(|known| known["id"] == **template);
                item(found.ok_or_else(|| Problem::not_found(path.join("/")))?)
            }
            ["retailers", id, "pages"] => json!({"pageTypes": world.page_types(self.retailer(id)?)}),
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    fn get_of_account(&self, account: u32, rest: &[&str], path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        Ok(match rest {
            ["balances"] if self.is_new() => {
                if self.values("limit-to-id").len() > 50 {
                    return Err(Problem::validation("exceeded-ids-cap", "At most 50 ids are allowed", "limit-to-id"));
                }
                let balances = self.limited(world.balances_of(account), Kind::Balance, &["limit-to-id"]);
                self.offsets(&balances, OF_500, Counters::Metadata, |balance| {
                    world.balance(balance, BalanceModel::Current)
                })?
            }
            ["balances"] => {
                let balances = self.limited(world.balances_of(account), Kind::Balance, &["limitToId"]);
                self.pages(&balances, |balance| world.balance(balance, BalanceModel::Old))?
            }
            ["balances", id] => item(world.balance(self.balance(id)?, BalanceModel::Old)),
            ["brands"] => {
                let brands = world.several(account, world.options.retail_media.brands);
                let brands = brands.filter(|brand| !world.is_gone(&Kind::Brand.id(*brand))).collect();
                self.pages(&self.limited(brands, Kind::Brand, &["limitToId"]), |brand| world.account_brand(brand))?
            }
            ["campaigns"] => {
                let campaigns = self.limited(world.visible_campaigns(account), Kind::Campaign, &["limitToId"]);
                self.pages(&campaigns, |campaign| world.campaign_of_account(campaign))?
            }
            ["line-items"] => self.line_items_of_account(account)?,
            ["creatives"] => {
                list(world.creatives_of(account).into_iter().map(|number| world.older_creative(number)).collect())
            }
            ["creatives", id] => {
                let found = Kind::Creative.number(id).filter(|number| world.creatives_of(account).contains(number));
                item(world.retail_creative(found.ok_or_else(|| Problem::not_found(path.join("/")))?))
            }
            ["keywords", "in-review-report"] => {
                let line_items = self.line_items(account, Some(false)).into_iter();
                let line_items: Vec<u32> = line_items.filter(|line_item| World::is_in_review(*line_item)).collect();
                self.offsets(&line_items, Limits::new(25, 50), Counters::Meta, |line_item| {
                    world.keywords_in_review(line_item)
                })?
            }
            ["audience-segments", id, "contact-list"] => {
                let segments = world.several(account, world.options.retail_media.segments);
                let found = Kind::Segment.number(id).filter(|number| segments.contains(number) && !world.is_gone(id));
                let found = found.filter(|number| World::is_contact_list(*number));
                item(world.contacts(found.ok_or_else(|| Problem::not_found(path.join("/")))?))
            }
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    fn get_of_campaign(&self, campaign: u32, rest: &[&str], path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        let line_items = || world.visible_line_items(campaign);
        let is_preferred = World::is_preferred(campaign);
        Ok(match rest {
            ["auction-line-items"] => {
                let line_items = if is_preferred { Vec::new() } else { line_items() };
                let line_items = self.limited(line_items, Kind::LineItem, &["limitToIds"]);
                self.offsets(&line_items, OF_500, Counters::Metadata, |number| world.auction_line_item(number))?
            }
            ["preferred-line-items"] => {
                let line_items = if is_preferred { line_items() } else { Vec::new() };
                let line_items = self.limited(line_items, Kind::LineItem, &["limitToId"]);
                self.pages(&line_items, |number| world.preferred_line_item(number))?
            }
            ["campaign-budget-overrides"] => item(world.budget_overrides(campaign, false)),
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    fn get_of_line_item(&self, id: &str, rest: &[&str], path: &[&str]) -> Result<Value, Problem> {
        let world = self.world;
        Ok(match rest {
            ["keywords"] if self.version < "2027-01" => item(world.keywords(self.line_item(id, Some(false))?)),
            ["keywords", "recommended"] => item(world.recommended_keywords(self.line_item(id, Some(false))?)),
            ["bid-multipliers"] => item(world.bid_multipliers(self.line_item(id, Some(false))?)),
            ["products"] => {
                let line_item = self.line_item(id, None)?;
                let fields = self.request.query.get("fields").map_or("status", String::as_str);
                let products =
                    world.promoted_products(line_item, &fields.split(',').map(str::trim).collect::<Vec<_>>());
                let limits = Limits { least: 0, usual: 500, most: i32::MAX as usize };
                let most = if self.switch("rm_products_page") == "cut_at_500" { 500 } else { usize::MAX };
                let mut page = self.offsets(&products, limits, Counters::Bare, |product| product)?;
                if let Some(rows) = page["data"].as_array_mut() {
                    rows.truncate(most);
                    page["meta"]["responseCount"] = json!(page["data"].as_array().map_or(0, Vec::len));
                }
                page
            }
            ["line-item-budget-overrides"] => item(world.budget_overrides(self.line_item(id, None)?, true)),
            _ => return Err(Problem::not_found(path.join("/"))),
        })
    }

    pub(crate) fn is_new(&self) -> bool {
        self.version >= "2026-07"
    }

    /// The objects whose id one of these parameters has; all without any.
    fn limited(&self, all: Vec<u32>, kind: Kind, parameters: &[&str]) -> Vec<u32> {
        let asked: Vec<&str> = parameters.iter().flat_map(|name| self.values(name)).collect();
        all.into_iter().filter(|number| asked.is_empty() || asked.contains(&kind.id(*number).as_str())).collect()
    }

    fn line_items(&self, account: u32, preferred: Option<bool>) -> Vec<u32> {
        let campaigns = self.world.visible_campaigns(account).into_iter();
        let campaigns = campaigns.filter(|campaign| preferred.is_none_or(|is| is == World::is_preferred(*campaign)));
        campaigns.flat_map(|campaign| self.world.visible_line_items(campaign)).collect()
    }

    fn line_items_of_account(&self, account: u32) -> Result<Value, Problem> {
        let preferred = match self.request.query.get("limitToType").map(String::as_str) {
            None | Some("Unknown") => None,
            Some("Auction") => Some(false),
            Some("Preferred") => Some(true),
            Some(other) => return Err(Problem::validation("invalid", "Unknown type", other)),
        };
        let campaigns = self.values("limitToCampaignId");
        let mut line_items = self.limited(self.line_items(account, preferred), Kind::LineItem, &["limitToId"]);
        line_items.retain(|line_item| {
            campaigns.is_empty() || campaigns.contains(&Kind::Campaign.id(self.world.campaign_of(*line_item)).as_str())
        });
        self.pages(&line_items, |line_item| self.world.common_line_item(line_item))
    }

    fn balance_history(&self, balance: u32) -> Result<Value, Problem> {
        let mut changes = self.world.balance_history(balance, self.version);
        if let Some(kinds) = self.request.query.get("limitToChangeTypes") {
            let kinds: Vec<&str> = kinds.split(',').map(str::trim).collect();
            changes.retain(|change| {
                let kind = change["attributes"]["changeType"].as_str().or(change["changeType"].as_str());
                kind.is_some_and(|kind| kinds.contains(&kind))
            });
        }
        if self.is_new() {
            return self.offsets(&changes, OF_500, Counters::Metadata, |change| change);
        }
        let page = self.offsets(&changes, Limits::new(25, 100), Counters::Meta, |change| change)?;
        Ok(json!({"data": page["data"], "meta": page["meta"]}))
    }

    /// The account of an id, if its owner has consented.
    pub(crate) fn account(&self, id: &str) -> Result<u32, Problem> {
        let found = Kind::Account.number(id).filter(|number| *number < self.world.options.retail_media.all_accounts());
        match found {
            Some(account) if self.world.has_consent(account) && !self.world.is_gone(id) => Ok(account),
            _ => Err(self.refused("account", id)),
        }
    }

    /// A refusal of an object without consent, or of one that does not exist.
    fn refused(&self, what: &str, id: &str) -> Problem {
        match self.switch("rm_refused_object") {
            "404" => Problem::not_found(format!("{what} {id}")),
            _ => Problem::forbidden(
                "insufficient-accounts-permissions",
                "You do not have the rights to access this account",
            ),
        }
    }

    /// A supply account, if the app has access to private markets.
    fn private_market(&self, id: &str) -> Result<u32, Problem> {
        let account = self.account(id)?;
        if self.world.options.retail_media.without_private_market || self.world.side(account) != Side::Supply {
            return Err(Problem::forbidden(
                "private-market",
                "This feature is of private markets, with limited access",
            ));
        }
        Ok(account)
    }

    fn campaign(&self, id: &str) -> Result<u32, Problem> {
        let options = &self.world.options.retail_media;
        let found = Kind::Campaign.number(id).filter(|number| *number < options.accounts * options.campaigns);
        let campaign =
            found.filter(|_| !self.world.is_gone(id)).ok_or_else(|| Problem::not_found(format!("campaign {id}")))?;
        self.owned(campaign, self.world.account_of_campaign(campaign), "campaign", id)
    }

    fn balance(&self, id: &str) -> Result<u32, Problem> {
        let options = &self.world.options.retail_media;
        let found = Kind::Balance.number(id).filter(|number| *number < options.accounts * options.balances);
        let balance =
            found.filter(|_| !self.world.is_gone(id)).ok_or_else(|| Problem::not_found(format!("balance {id}")))?;
        self.owned(balance, self.world.account_of_balance(balance), "balance", id)
    }

    /// A line item of any kind, of auctions or of preferred deals.
    fn line_item(&self, id: &str, preferred: Option<bool>) -> Result<u32, Problem> {
        let options = &self.world.options.retail_media;
        let most = options.accounts * options.campaigns * options.line_items;
        let is_there = |number: &u32| {
            let campaign = self.world.campaign_of(*number);
            *number < most
                && preferred.is_none_or(|is| is == World::is_preferred(campaign))
                && !self.world.is_gone(id)
                && !self.world.is_gone(&Kind::Campaign.id(campaign))
        };
        let line_item = Kind::LineItem.number(id).filter(is_there);
        let line_item = line_item.ok_or_else(|| Problem::not_found(format!("line item {id}")))?;
        let account = self.world.account_of_campaign(self.world.campaign_of(line_item));
        self.owned(line_item, account, "line item", id)
    }

    fn owned(&self, number: u32, account: u32, what: &str, id: &str) -> Result<u32, Problem> {
        if self.world.has_consent(account) { Ok(number) } else { Err(self.refused(what, id)) }
    }

    pub(crate) fn retailer(&self, id: &str) -> Result<u32, Problem> {
        self.world.retailer_number(id).ok_or_else(|| Problem::not_found(format!("retailer {id}")))
    }
}

fn application() -> Value {
    let mut application = crate::routes::application();
    application["criteoService"] = json!("RetailMedia");
    application
}

#[expect(clippy::needless_pass_by_value, reason = "callers build the list inline")]
pub(crate) fn list(objects: Vec<Value>) -> Value {
    json!({"data": objects, "errors": [], "warnings": []})
}

#[expect(clippy::needless_pass_by_value, reason = "callers build the object inline")]
pub(crate) fn item(object: Value) -> Value {
    json!({"data": object, "errors": [], "warnings": []})
}
