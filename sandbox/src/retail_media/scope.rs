//! What a report is about: line items or placements of accounts, campaigns or line items.

use serde_json::Value;

use crate::problem::Problem;
use crate::retail_media::facts::{PLACEMENTS, Subject};
use crate::retail_media::ids::{Kind, Side};
use crate::retail_media::query::Limits;
use crate::retail_media::vocabulary::Report;
use crate::statistics::{known_members, optional_list, required};
use crate::world::World;

/// What a report is about.
pub(crate) struct Scope {
    pub subjects: Vec<Subject>,
    pub accounts: Vec<u32>,
    pub is_by_account: bool,
}

impl Scope {
    pub(crate) fn parse(world: &World, report: Report, asked: &Value, limits: Limits) -> Result<Self, Problem> {
        let scope = match report {
            Report::Performance | Report::Transactions | Report::MissedOpportunities => {
                if asked["filters"].is_null() {
                    return Err(required("filters"));
                }
                let members = [&["accountIds", "campaignIds", "lineItemIds"], report.value_filters()].concat();
                known_members(&asked["filters"], &members)?;
                Self::one_of_three(world, &asked["filters"], limits)?
            }
            Report::RealTime => Self::one_of_three(world, asked, limits)?,
            Report::SyncCampaigns | Report::SyncLineItems | Report::SyncTransactions => {
                let id = asked["accountId"].as_str().ok_or_else(|| required("accountId"))?;
                let accounts = world.accounts_of(&[id.to_owned()], Side::Brand)?;
                Self { subjects: line_items(world, &accounts), accounts, is_by_account: true }
            }
            Report::Revenue => Self::supply(world, asked, limits)?,
            Report::FillRate | Report::Unfilled => {
                let ids = optional_list(asked, "supplyAccountIds")?;
                let accounts = Self::supply_accounts(world, &ids, limits)?;
                let retailers = accounts.iter().flat_map(|account| world.retailers_of(*account));
                let placements = retailers.flat_map(|retailer| retailer * PLACEMENTS..(retailer + 1) * PLACEMENTS);
                Self { subjects: placements.map(Subject::Placement).collect(), accounts, is_by_account: false }
            }
        };
        if matches!(report, Report::Revenue | Report::SyncCampaigns | Report::SyncLineItems | Report::SyncTransactions)
        {
            return scope.narrowed(world, asked);
        }
        Ok(scope)
    }

    /// Exactly one of three lists of ids.
    fn one_of_three(world: &World, filters: &Value, limits: Limits) -> Result<Self, Problem> {
        let lists = [
            optional_list(filters, "accountIds")?,
            optional_list(filters, "campaignIds")?,
            optional_list(filters, "lineItemIds")?,
        ];
        if lists.iter().filter(|ids| !ids.is_empty()).count() != 1 {
            let title = "Exactly one of accountIds, campaignIds and lineItemIds must be provided";
            return Err(Problem::validation("invalid", title, "filters"));
        }
        let [accounts, campaigns, own] = &lists;
        let is_over = accounts.len() > 5 || campaigns.len() > 50 || own.len() > 50;
        if is_over && limits == Limits::Documented {
            return Err(Problem::validation("exceeded-ids-cap", "Too many ids", "filters"));
        }
        let options = &world.options.retail_media;
        let of_campaigns = |ids: &[String], kind: Kind| -> Result<Self, Problem> {
            let mut subjects = Vec::new();
            let mut accounts = Vec::new();
            for id in ids {
                let all = options.accounts * options.campaigns;
                let number = kind.number(id).filter(|number| match kind {
                    Kind::Campaign => *number < all,
                    _ => *number < all * options.line_items,
                });
                let account = number.map(|number| match kind {
                    Kind::Campaign => world.account_of_campaign(number),
                    _ => world.account_of_campaign(world.campaign_of(number)),
                });
                let (Some(number), Some(account)) = (number, account.filter(|account| world.is_reported(*account)))
                else {
                    match world.refused_scope() {
                        Some(problem) => return Err(problem),
                        None => continue,
                    }
                };
                accounts.push(account);
                match kind {
                    Kind::Campaign => subjects.extend(world.line_items_of(number).map(Subject::LineItem)),
                    _ => subjects.push(Subject::LineItem(number)),
                }
            }
            Ok(Self { subjects, accounts, is_by_account: false })
        };
        if !accounts.is_empty() {
            let accounts = world.accounts_of(accounts, Side::Brand)?;
            return Ok(Self { subjects: line_items(world, &accounts), accounts, is_by_account: true });
        }
        let mut scope = if campaigns.is_empty() {
            of_campaigns(own, Kind::LineItem)
        } else {
            of_campaigns(campaigns, Kind::Campaign)
        }?;
        scope.subjects.sort_unstable();
        scope.subjects.dedup();
        Ok(scope)
    }

    fn supply(world: &World, asked: &Value, limits: Limits) -> Result<Self, Problem> {
        let mut ids = optional_list(asked, "ids")?;
        if let Some(id) = asked["id"].as_str() {
            if !ids.is_empty() {
                return Err(Problem::validation("invalid", "Give either id or ids", "ids"));
            }
            ids.push(id.to_owned());
        }
        let accounts = Self::supply_accounts(world, &ids, limits)?;
        let is_asked = |line_item: &u32| {
            world.supply_account_of(world.retailer_of(*line_item)).is_some_and(|supply| accounts.contains(&supply))
        };
        let options = &world.options.retail_media;
        let all = 0..options.accounts * options.campaigns * options.line_items;
        Ok(Self { subjects: all.filter(is_asked).map(Subject::LineItem).collect(), accounts, is_by_account: false })
    }

    fn supply_accounts(world: &World, ids: &[String], limits: Limits) -> Result<Vec<u32>, Problem> {
        if ids.is_empty() {
            return Err(required("supplyAccountIds"));
        }
        let most = world.options.unknowns.get("rm_supply_ids").parse().unwrap_or(usize::MAX);
        if limits == Limits::Documented && ids.len() > most {
            return Err(Problem::validation("exceeded-ids-cap", "Too many ids", "supplyAccountIds"));
        }
        world.accounts_of(ids, Side::Supply)
    }

    /// Only the requested accounts, campaigns and line items.
    fn narrowed(mut self, world: &World, asked: &Value) -> Result<Self, Problem> {
        let (accounts, campaigns, line_items) = (
            optional_list(asked, "accountIds")?,
            optional_list(asked, "campaignIds")?,
            optional_list(asked, "lineItemIds")?,
        );
        self.subjects.retain(|subject| {
            let Subject::LineItem(line_item) = subject else { return true };
            let campaign = world.campaign_of(*line_item);
            let account = Kind::Account.id(world.account_of_campaign(campaign));
            (accounts.is_empty() || accounts.contains(&account))
                && (campaigns.is_empty() || campaigns.contains(&Kind::Campaign.id(campaign)))
                && (line_items.is_empty() || line_items.contains(&Kind::LineItem.id(*line_item)))
        });
        Ok(self)
    }
}

/// All line items of accounts, deleted ones included.
fn line_items(world: &World, accounts: &[u32]) -> Vec<Subject> {
    let campaigns = accounts.iter().flat_map(|account| world.campaigns_of(*account));
    campaigns.flat_map(|campaign| world.line_items_of(campaign)).map(Subject::LineItem).collect()
}

impl World {
    /// Whether reports of an account are allowed.
    fn is_reported(&self, account: u32) -> bool {
        self.has_consent(account) && !self.options.refused_in_reports.contains(&Kind::Account.id(account))
    }

    /// Accounts by id, of the side that a report is for.
    pub(crate) fn accounts_of(&self, ids: &[String], side: Side) -> Result<Vec<u32>, Problem> {
        let mut accounts = Vec::new();
        for id in ids {
            let is_allowed = |account: &u32| {
                self.is_reported(*account) && (self.side(*account) == Side::Supply) == (side == Side::Supply)
            };
            match Kind::Account.number(id).filter(is_allowed) {
                Some(account) if !accounts.contains(&account) => accounts.push(account),
                Some(_) => {}
                None => {
                    if let Some(problem) = self.refused_scope() {
                        return Err(problem);
                    }
                }
            }
        }
        Ok(accounts)
    }

    /// The response to a report of something without consent; `None` if it is left out.
    fn refused_scope(&self) -> Option<Problem> {
        let title = "You do not have the rights to report on these accounts";
        Some(match self.options.unknowns.get("rm_refused_account") {
            "left_out" => return None,
            "400" => Problem::validation("invalid", title, "accountIds"),
            "404" => Problem::not_found("account"),
            _ => Problem::forbidden("insufficient-accounts-permissions", title),
        })
    }
}
