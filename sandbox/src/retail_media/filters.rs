//! Members of a report's request: which are allowed, filters of values, attribution.

use serde_json::Value;

use crate::problem::Problem;
use crate::retail_media::query::Window;
use crate::retail_media::vocabulary::Report;
use crate::statistics::{optional_list, optional_word, required, unknown};
use crate::world::World;

/// Filters of values: member, dimension, whether it is a list, words.
const FILTERS: &[(&str, &str, &[&str])] = &[
    ("activationPlatforms", "activationPlatform", &["CommerceMax", "PrivateMarket"]),
    ("budgetModels", "budgetModel", &["CriteoBudget", "RetailerBudget"]),
    ("buyTypes", "buyType", &["auction", "preferredDeals", "sponsorship"]),
    ("buyType", "buyType", &["auction", "preferredDeals", "sponsorship"]),
    ("campaignTypes", "campaignType", &["all", "sponsoredProducts", "onSiteDisplays"]),
    ("campaignType", "campaignType", &["all", "sponsoredProducts", "onSiteDisplays"]),
    ("mediaTypes", "mediaType", &["unknown", "video", "display", "all"]),
    ("mediaType", "mediaType", &["unknown", "video", "display", "all"]),
    ("salesChannels", "salesChannel", &["online", "offline", "all"]),
    ("salesChannel", "salesChannel", &["online", "offline", "all"]),
    ("searchTermTargetings", "searchTermTargeting", &["unknown", "automatic", "manual"]),
    ("searchTermTypes", "searchTermType", &["unknown", "searched", "entered"]),
    ("targetedKeywordTypes", "targetedKeywordType", &["unknown", "generic", "branded", "conquesting"]),
    ("soldBy", "soldBy", &["directSold", "indirectSold", "privateMarket", "authorizedBuyer"]),
    ("advertiserTypes", "advertiserType", &["retailer", "brand", "seller"]),
    ("skuRelations", "skuRelation", &["sameSku", "sameParentSku", "sameCategory", "sameBrand", "sameSeller"]),
    ("adServerType", "adServerType", &["all", "gam", "criteo"]),
];

impl Report {
    /// Allowed members of the request's attributes.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(crate) fn members(self) -> &'static [&'static str] {
        match self {
            Self::Performance | Self::Transactions => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "format",
                "timezone",
                "filters",
                "clickAttributionWindow",
                "viewAttributionWindow",
                "clickMatchLevel",
                "viewMatchLevel",
            ],
            Self::MissedOpportunities => &["startDate", "endDate", "dimensions", "metrics", "format", "filters"],
            Self::Revenue => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "format",
                "timezone",
                "clickAttributionWindow",
                "id",
                "ids",
                "viewAttributionWindow",
                "clickMatchLevel",
                "viewMatchLevel",
                "accountIds",
                "campaignIds",
                "lineItemIds",
                "retailerIds",
                "campaignType",
                "mediaType",
                "salesChannel",
                "soldBy",
                "buyType",
                "revenueType",
                "activationPlatforms",
                "budgetModels",
                "advertiserTypes",
                "skuRelations",
                "targetedKeywordTypes",
                "reportType",
            ],
            Self::FillRate => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "format",
                "timezone",
                "supplyAccountIds",
                "adServerType",
            ],
            Self::Unfilled => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "format",
                "timezone",
                "supplyAccountIds",
                "adServerType",
                "campaignType",
            ],
            Self::SyncCampaigns | Self::SyncLineItems => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "timezone",
                "accountId",
                "campaignIds",
                "lineItemIds",
                "campaignType",
                "salesChannel",
                "reportType",
                "clickAttributionWindow",
                "viewAttributionWindow",
            ],
            Self::SyncTransactions => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "timezone",
                "accountId",
                "campaignIds",
                "lineItemIds",
                "campaignType",
                "salesChannel",
                "mediaType",
                "clickAttributionWindow",
                "viewAttributionWindow",
            ],
            Self::RealTime => &[
                "startDate",
                "endDate",
                "dimensions",
                "metrics",
                "timezone",
                "accountIds",
                "campaignIds",
                "lineItemIds",
                "retailerIds",
            ],
        }
    }

    pub(crate) fn value_filters(self) -> &'static [&'static str] {
        match self {
            Self::Performance => &[
                "activationPlatforms",
                "budgetModels",
                "buyTypes",
                "campaignTypes",
                "mediaTypes",
                "salesChannels",
                "searchTermTargetings",
                "searchTermTypes",
                "targetedKeywordTypes",
            ],
            Self::Transactions => &["mediaTypes"],
            _ => &[],
        }
    }

    /// Dimensions and metrics of a request with neither.
    pub(crate) fn preset(self, kind: &str) -> Option<&'static [&'static str]> {
        match (self, kind) {
            (Self::MissedOpportunities | Self::Performance | Self::Transactions | Self::RealTime, _) => None,
            (Self::SyncTransactions, _) => Some(&["purchasedDate", "campaignId", "lineItemId", "keyword"]),
            (Self::Revenue, "environment") => Some(&["date", "environment"]),
            (Self::Revenue, "pageType") => Some(&["date", "pageTypeName"]),
            (Self::Revenue, "productCategory") => Some(&["date", "pageCategory"]),
            (Self::Revenue, "brand") => Some(&["date", "brandId", "brandName"]),
            (Self::Revenue, _) => Some(&["date", "accountId", "accountName"]),
            (_, "pageType") => Some(&["date", "campaignId", "pageTypeName"]),
            (_, "productCategory") => Some(&["date", "campaignId", "advProductCategory"]),
            (_, "product") => Some(&["date", "campaignId", "advProductId"]),
            (_, "environment") => Some(&["date", "campaignId", "environment"]),
            (_, "servedCategory") => Some(&["date", "campaignId", "servedCategory"]),
            _ => Some(&["date", "campaignId", "campaignName"]),
        }
    }
}

/// Windows and match levels of clicks and views.
pub(crate) type Attribution = ((Window, Window), (u32, u32));

pub(crate) fn attribution(world: &World, report: Report, asked: &Value) -> Result<Attribution, Problem> {
    let of_views = ["none", "1D", "7D", "14D", "30D"];
    let read_window = |name: &'static str, words: &[&str]| {
        Ok(match optional_word(asked, name, words)? {
            None => Window::LeftOut,
            Some("none") => Window::None,
            Some(value) => Window::Days(value.trim_end_matches('D').parse().unwrap_or(0)),
        })
    };
    let click = read_window("clickAttributionWindow", &["none", "7D", "14D", "30D"])?;
    let view = read_window("viewAttributionWindow", &of_views)?;
    let level_words = ["sameSku", "sameCategory", "sameBrand", "campaign"];
    let level = |name: &'static str| {
        let value = optional_word(asked, name, &level_words)?.unwrap_or("campaign");
        Ok(level_words.iter().position(|known| *known == value).and_then(|at| u32::try_from(at).ok()).unwrap_or(3))
    };
    let invalid = |title: &str| Err(Problem::validation("invalid", title, "attribution windows"));
    if (click == Window::LeftOut) != (view == Window::LeftOut) {
        return invalid("Give both attribution windows or neither");
    }
    if let (Window::Days(click), Window::Days(view)) = (click, view)
        && view > click
    {
        return invalid("The window of views is longer than that of clicks");
    }
    let is_new = matches!(report, Report::Performance | Report::Transactions);
    let is_refused = is_new && world.options.unknowns.get("rm_windows_left_out") == "refused";
    if is_refused && click == Window::LeftOut {
        return Err(required("clickAttributionWindow"));
    }
    Ok(((click, view), (level("clickMatchLevel")?, level("viewMatchLevel")?)))
}

pub(crate) fn value_filters(report: Report, asked: &Value) -> Result<Vec<(&'static str, Vec<String>)>, Problem> {
    let nested = &asked["filters"];
    let mut filters = Vec::new();
    for (member, dimension, words) in FILTERS {
        let value = if report.value_filters().contains(member) { &nested[*member] } else { &asked[*member] };
        let chosen: Vec<String> = match value {
            Value::Null => continue,
            Value::String(word) => vec![word.clone()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(required(member)),
        };
        if let Some(word) = chosen.iter().find(|word| !words.contains(&word.as_str())) {
            return Err(unknown("filter", word));
        }
        if !chosen.is_empty() && !chosen.iter().any(|word| word == "all") {
            filters.push((*dimension, chosen));
        }
    }
    match asked["revenueType"].as_str() {
        None => {}
        Some("auction") => filters.push(("buyType", vec!["auction".to_owned()])),
        Some("preferred") => filters.push(("buyType", vec!["preferredDeals".to_owned()])),
        Some(word) => return Err(unknown("filter", word)),
    }
    if let ids @ [_, ..] = optional_list(asked, "retailerIds")?.as_slice() {
        filters.push(("retailerId", ids.to_vec()));
    }
    Ok(filters)
}
