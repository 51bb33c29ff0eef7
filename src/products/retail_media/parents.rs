//! What child streams send one request for. Three deep at most: accounts, their campaigns, and the line items of these.

use crate::products::Placeholder;
use crate::products::Placeholder::{
    AccountId, BalanceId, CampaignId, LineItemId, ParentAccountId, RetailerId, SegmentId,
};
use crate::products::fan_out::{DEFAULT, FanOut, ParentSource, ParentStream};

/// One request per account.
pub(super) static ACCOUNT: FanOut = FanOut { source: ParentSource::Scope, values: &[(AccountId, "id")], ..DEFAULT };

/// One job per account.
pub(super) static CATALOG: FanOut =
    FanOut { source: ParentSource::Scope, values: &[(AccountId, "id")], is_costly: true, ..DEFAULT };

const SUPPLY: FanOut = FanOut {
    source: ParentSource::ScopeAmongObjects,
    streams: &[ParentStream { name: "rm_accounts", if_refused: None }],
    filter: Some(("type", "supply")),
    values: &[(ParentAccountId, "id")],
    ..DEFAULT
};

/// One request per account of a retailer.
pub(super) static SUPPLY_ACCOUNT: FanOut = SUPPLY;

const fn objects(streams: &'static [ParentStream], values: &'static [(Placeholder, &str)]) -> FanOut {
    FanOut { source: ParentSource::Objects, streams, values, ..DEFAULT }
}

/// One request per retailer, however many accounts it has.
pub(super) static RETAILER: FanOut =
    objects(&[ParentStream { name: "rm_retailers", if_refused: None }], &[(RetailerId, "id")]);

/// One request per balance.
pub(super) static BALANCE: FanOut =
    objects(&[ParentStream { name: "rm_balances", if_refused: None }], &[(BalanceId, "id"), (AccountId, "accountId")]);

/// One request per campaign.
pub(super) static CAMPAIGN: FanOut = objects(
    &[ParentStream { name: "rm_campaigns", if_refused: None }],
    &[(CampaignId, "id"), (AccountId, "accountId")],
);

const LINE_ITEM_VALUES: &[(Placeholder, &str)] = &[(LineItemId, "id"), (AccountId, "accountId")];

/// One request per line item of any kind.
pub(super) static LINE_ITEM: FanOut = FanOut {
    is_costly: true,
    ..objects(&[ParentStream { name: "rm_line_items", if_refused: None }], LINE_ITEM_VALUES)
};

/// One request per auction line item.
pub(super) static AUCTION_LINE_ITEM: FanOut = FanOut {
    is_costly: true,
    ..objects(&[ParentStream { name: "rm_auction_line_items", if_refused: None }], LINE_ITEM_VALUES)
};

/// One request per preferred line item.
pub(super) static PREFERRED_LINE_ITEM: FanOut = FanOut {
    is_costly: true,
    ..objects(&[ParentStream { name: "rm_preferred_line_items", if_refused: None }], LINE_ITEM_VALUES)
};

/// Jobs per account of a retailer, one per month.
pub(super) static BILLING: FanOut = FanOut { is_costly: true, ..SUPPLY };

/// One request per audience segment that is a contact list.
pub(super) static CONTACT_LIST: FanOut = FanOut {
    filter: Some(("type", "ContactList")),
    ..objects(
        &[ParentStream { name: "rm_audience_segments", if_refused: None }],
        &[(SegmentId, "id"), (AccountId, "accountId")],
    )
};
