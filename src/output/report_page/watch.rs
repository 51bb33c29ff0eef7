//! Names and sums of the rows of a stream, taken from their cells as these are written.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use chrono::NaiveDate;
use serde::de::Deserializer;

use crate::output::report_page::amount::Amount;
use crate::rows::project::{Cells, Projection};

/// Streams whose rows are summed, the preferred ones first. Others are summed only if none of these is read.
const SUMMED: [&str; 6] = [
    "campaign_statistics_daily",
    "ad_set_statistics_daily",
    "ad_statistics_daily",
    "device_statistics_daily",
    "objective_statistics_daily",
    "mpo_campaign_statistics",
];
/// The columns of cost, the preferred one first.
pub(crate) const COST: [&str; 2] = ["advertiser_cost", "cost"];
/// The columns of revenue, the preferred one first: Criteo's own pages show sales under the advertiser's attribution rule.
pub(crate) const REVENUE: [&str; 4] =
    ["revenue_generated_client_attribution", "revenue_generated_pc30d", "revenue_generated_all_pc30d", "revenue"];
/// More campaigns are summed together.
const MAX_CAMPAIGNS: usize = 20_000;

/// A column that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Day,
    AdvertiserId,
    AdvertiserName,
    CampaignId,
    CampaignName,
    Cost,
    Clicks,
    Revenue,
}

const ROLES: usize = Role::Revenue as usize + 1;

/// Sums of cost, clicks and revenue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub cost: Amount,
    pub clicks: Amount,
    pub revenue: Amount,
}

impl Numbers {
    pub(crate) fn add(&mut self, other: Self) {
        self.cost = self.cost + other.cost;
        self.clicks = self.clicks + other.clicks;
        self.revenue = self.revenue + other.revenue;
    }

    /// Revenue per unit of cost.
    pub(crate) fn roas(self) -> Option<f64> {
        (self.cost > Amount::default()).then(|| self.revenue.as_f64() / self.cost.as_f64())
    }
}

/// Sums by day and by campaign.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub by_day: BTreeMap<NaiveDate, Numbers>,
    /// By the ids of the advertiser and the campaign; with the name.
    pub by_campaign: HashMap<(String, String), (String, Numbers)>,
    pub total: Numbers,
    /// Rows of campaigns beyond [`MAX_CAMPAIGNS`].
    pub other_campaigns: Numbers,
    /// The columns of cost and revenue.
    pub cost: String,
    pub revenue: Option<String>,
    pub has_clicks: bool,
}

/// What is collected of a stream's rows.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The role of each column.
    roles: Vec<Option<Role>>,
    values: [Range<usize>; ROLES],
    /// Advertisers by id.
    pub names: HashMap<String, String>,
    /// Set for one stream only: rows of two streams must not be added up.
    pub sums: Option<Sums>,
}

impl Watch {
    /// Watches the selected columns of a stream.
    pub(crate) fn new(stream: &str, plan: &Projection) -> Self {
        let columns: Vec<(usize, &str)> = plan.selected_columns().map(|(index, name, _)| (index, name)).collect();
        let first = |names: &[&str]| {
            let found = names.iter().find_map(|name| columns.iter().find(|(_, column)| column == name));
            found.map(|(index, name)| (*index, (*name).to_owned()))
        };
        let cost = first(&COST);
        let revenue = first(&REVENUE);
        let id: &[&str] = if stream == "advertisers" { &["id"] } else { &["advertiser_id"] };
        let mut roles = vec![None; columns.iter().map(|(index, _)| index + 1).max().unwrap_or(0)];
        for (role, column) in [
            (Role::Day, first(&["day"])),
            (Role::AdvertiserId, first(id)),
            (Role::AdvertiserName, first(&["advertiser_name"])),
            (Role::CampaignId, first(&["campaign_id"])),
            (Role::CampaignName, first(&["campaign_name"])),
            (Role::Cost, cost.clone()),
            (Role::Clicks, first(&["clicks"])),
            (Role::Revenue, revenue.clone()),
        ] {
            if let Some((index, _)) = column {
                roles[index] = Some(role);
            }
        }
        let is_summed = roles.contains(&Some(Role::Day)) && roles.contains(&Some(Role::CampaignId));
        let sums = cost.filter(|_| is_summed).map(|(_, cost)| Sums {
            cost,
            revenue: revenue.map(|(_, revenue)| revenue),
            has_clicks: roles.contains(&Some(Role::Clicks)),
            ..Sums::default()
        });
        Self { roles, values: std::array::from_fn(|_| 0..0), names: HashMap::new(), sums }
    }

    /// The preference of this stream for sums, the lowest first; `None` if it cannot be summed.
    pub(crate) fn rank(&self, stream: &str) -> Option<usize> {
        self.sums.as_ref().map(|_| SUMMED.iter().position(|name| *name == stream).unwrap_or(SUMMED.len()))
    }

    fn begin_row(&mut self) {
        self.values.fill(0..0);
    }

    fn note(&mut self, column: usize, value: Range<usize>) {
        if let Some(Some(role)) = self.roles.get(column) {
            self.values[*role as usize] = value;
        }
    }

    /// Adds the row whose cells lie in this buffer.
    fn end_row(&mut self, buffer: &[u8]) {
        let value = |role: Role| buffer.get(self.values[role as usize].clone()).unwrap_or_default();
        let id = plain(value(Role::AdvertiserId));
        if !id.is_empty() && !value(Role::AdvertiserName).is_empty() && !self.names.contains_key(&id) {
            self.names.insert(id.clone(), plain(value(Role::AdvertiserName)));
        }
        let Some(sums) = &mut self.sums else { return };
        let amount = |role: Role| Amount::parse(value(role)).unwrap_or_default();
        let row = Numbers { cost: amount(Role::Cost), clicks: amount(Role::Clicks), revenue: amount(Role::Revenue) };
        let Some(day) = day(value(Role::Day)) else { return };
        sums.total.add(row);
        sums.by_day.entry(day).or_default().add(row);
        let key = (id, plain(value(Role::CampaignId)));
        if sums.by_campaign.len() >= MAX_CAMPAIGNS && !sums.by_campaign.contains_key(&key) {
            sums.other_campaigns.add(row);
        } else {
            let name = || plain(value(Role::CampaignName));
            sums.by_campaign.entry(key).or_insert_with(|| (name(), Numbers::default())).1.add(row);
        }
    }
}

/// The text of a JSON string.
fn plain(value: &[u8]) -> String {
    serde_json::from_slice(value).unwrap_or_default()
}

/// The day of a JSON string that starts with it.
fn day(value: &[u8]) -> Option<NaiveDate> {
    std::str::from_utf8(value.get(1..11)?).ok()?.parse().ok()
}

/// Writes a row, and watches it if it is new.
///
/// # Errors
/// Those of [`Projection::write_row`].
pub(crate) fn write_row<'de, D: Deserializer<'de>, C: Cells>(
    plan: &mut Projection,
    row: D,
    cells: &mut C,
    watch: Option<&mut Watch>,
) -> Result<bool, D::Error> {
    let Some(watch) = watch else { return plan.write_row(row, cells) };
    let mut watched = Watched { cells, watch };
    let is_new = plan.write_row(row, &mut watched)?;
    if is_new {
        watched.watch.end_row(watched.cells.buffer());
    }
    Ok(is_new)
}

/// Cells whose places are noted.
struct Watched<'a, C> {
    cells: &'a mut C,
    watch: &'a mut Watch,
}

impl<C: Cells> Cells for Watched<'_, C> {
    fn begin_row(&mut self) {
        self.watch.begin_row();
        self.cells.begin_row();
    }

    fn begin_cell(&mut self, label: &[u8]) -> &mut Vec<u8> {
        self.cells.begin_cell(label)
    }

    fn end_cell(&mut self, column: usize, value: Range<usize>) {
        self.watch.note(column, value.clone());
        self.cells.end_cell(column, value);
    }

    fn end_row(&mut self) {
        self.cells.end_row();
    }

    fn buffer(&self) -> &[u8] {
        self.cells.buffer()
    }
}
