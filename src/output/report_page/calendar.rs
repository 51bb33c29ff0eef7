//! Calendars of a report's days, as places of cells: a block per month, a cell per day.

use chrono::{Datelike as _, NaiveDate};

use crate::model::calendar::{Grain, Window, period_end};
use crate::model::ids::numeric_id;
use crate::output::report_page::days::{Calendar, Group, MAX_GROUPS, STATUSES, Status};
use crate::output::report_page::names::Names;
use crate::support::text::{counted, grouped};

/// Width and height of a cell with its gap.
const CELL: usize = 15;
const GAP: usize = 2;
/// Cells on the page, which bounds its size.
const MAX_CELLS: usize = 12_000;
/// Cells that are shown without unfolding their report.
const MAX_UNFOLDED: usize = 4_000;
/// Periods of one calendar, the latest ones.
const MAX_PERIODS: usize = 400;
/// Weeks per line of a year's block.
const WEEKS: usize = 13;
/// Advertisers in the title of a cell.
const MAX_WORDS: usize = 3;

impl Status {
    /// All, in the order of the legend.
    pub(crate) const LEGEND: [Self; STATUSES] =
        [Self::Agrees, Self::Settling, Self::NotComparable, Self::Differs, Self::Missing, Self::NotRequested];

    /// The symbol on the page.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::NotRequested => "n",
            Self::Agrees => "a",
            Self::Settling => "s",
            Self::NotComparable => "u",
            Self::Differs => "d",
            Self::Missing => "m",
        }
    }

    /// In one or two words.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotRequested => "not in this sync",
            Self::Agrees => "agrees",
            Self::Settling => "settling",
            Self::NotComparable => "not comparable",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }

    /// In a sentence.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::NotRequested => "Not requested in this sync, or older than Criteo keeps.",
            Self::Agrees => "Clicks, displays and cost equal Criteo's own totals.",
            Self::Settling => "Less than three days old: Criteo still changes its numbers.",
            Self::NotComparable => "Read, but unproven: Criteo has no totals that its rows must equal.",
            Self::Differs => "Read, but its sums differ from Criteo's totals.",
            Self::Missing => "Not read. The next sync requests it again.",
        }
    }
}

/// The calendars of one report.
pub(crate) struct Report {
    pub name: String,
    /// Whether it is unfolded: if something is wrong, or if there is room.
    pub is_open: bool,
    pub summary: String,
    pub calendars: Vec<Row>,
    /// What is not shown.
    pub omitted: Vec<String>,
}

/// The calendar of advertisers whose days look the same.
pub(crate) struct Row {
    pub advertisers: String,
    pub counts: String,
    pub blocks: Vec<Block>,
}

/// A month of days, or a year of longer periods.
pub(crate) struct Block {
    pub label: String,
    /// For readers who do not see it.
    pub text: String,
    pub width: usize,
    pub height: usize,
    pub cells: Vec<Cell>,
}

/// A cell of a calendar.
pub(crate) struct Cell {
    pub symbol: &'static str,
    pub x: usize,
    pub y: usize,
    pub title: String,
}

/// The calendars of a report on a page with this many of them.
pub(crate) fn report(name: &str, calendar: &Calendar, names: &Names, reports: usize) -> Report {
    let grain = calendar.grain.unwrap_or(Grain::Day);
    let skipped = calendar.periods.len().saturating_sub(MAX_PERIODS);
    let periods = &calendar.periods[skipped..];
    let most = (MAX_CELLS / reports.max(1) / periods.len().max(1)).clamp(1, MAX_GROUPS);
    let is_all = calendar.others.0 == 0 && calendar.groups.len() <= most;
    let shown = if is_all { calendar.groups.len() } else { (most - 1).min(calendar.groups.len()) };
    let (groups, others) = calendar.groups.split_at(shown);
    let view = View { calendar, grain, periods, skipped, names };
    let mut calendars: Vec<_> = groups.iter().map(|group| view.row(group)).collect();
    let mut omitted = Vec::new();
    let (advertisers, cells) = calendar.others(others);
    if advertisers > 0 {
        let all = counted(advertisers as u64, "other advertiser");
        calendars.push(Row {
            advertisers: format!("{all} together"),
            counts: "the worst of each day".to_owned(),
            blocks: view.blocks(&cells, &[]),
        });
        omitted.push(format!("The page shows the worst advertisers one by one and {all} together."));
    }
    if skipped > 0 {
        let worst = calendar.worst_of_first(skipped);
        omitted.push(format!(
            "{} before {} are not shown; the worst of them is: {}.",
            counted(skipped as u64, &grain.dimension().to_lowercase()),
            periods.first().map(ToString::to_string).unwrap_or_default(),
            worst.label()
        ));
    }
    if calendar.is_coarse {
        omitted.push(
            "Too many days differ to show them one by one: windows of requests with such days are shown as a whole."
                .to_owned(),
        );
    }
    let cells = calendars.iter().flat_map(|row| &row.blocks).map(|block| block.cells.len()).sum::<usize>();
    let is_wrong = |status: &Status| calendar.with(*status).next().is_some();
    Report {
        name: name.to_owned(),
        is_open: cells * reports <= MAX_UNFOLDED || [Status::Differs, Status::Missing].iter().any(is_wrong),
        summary: summary(calendar),
        calendars,
        omitted,
    }
}

/// How many periods agree, and what is wrong with others.
pub(crate) fn summary(calendar: &Calendar) -> String {
    let period = calendar.grain.unwrap_or(Grain::Day).dimension().to_lowercase();
    let compared: Vec<_> = calendar.compared().collect();
    let agreeing = compared.iter().filter(|(_, agrees)| *agrees).count();
    let count = |status: Status| calendar.with(status).count() as u64;
    let (missing, incomparable) = (count(Status::Missing), count(Status::NotComparable));
    let mut parts = Vec::new();
    if !compared.is_empty() {
        let all = counted(compared.len() as u64, &format!("settled {period}"));
        let verb = if compared.len() == 1 { "agrees" } else { "agree" };
        parts.push(format!("{} of {all} {verb}", grouped(agreeing as u64)));
    }
    if missing > 0 {
        parts.push(format!("{} missing", counted(missing, &period)));
    }
    match (incomparable, compared.is_empty()) {
        (0, _) => {}
        (_, true) => parts.push("not comparable".to_owned()),
        (count, false) => parts.push(format!("{} not comparable", grouped(count))),
    }
    if parts.is_empty() { "nothing settled yet".to_owned() } else { parts.join(", ") }
}

struct View<'a> {
    calendar: &'a Calendar,
    grain: Grain,
    periods: &'a [NaiveDate],
    skipped: usize,
    names: &'a Names,
}

impl View<'_> {
    fn row(&self, group: &Group) -> Row {
        let counts = Status::LEGEND.iter().filter(|status| **status != Status::NotRequested);
        let counts = counts.filter_map(|status| match group.counts[*status as usize] {
            0 => None,
            count => Some(format!("{} {}", grouped(count as u64), status.label())),
        });
        Row {
            advertisers: self.names.list(&group.advertisers),
            counts: counts.collect::<Vec<_>>().join(", "),
            blocks: self.blocks(&group.cells, &group.advertisers),
        }
    }

    fn blocks(&self, cells: &[Status], advertisers: &[crate::model::ids::AdvertiserId]) -> Vec<Block> {
        let mut blocks: Vec<(i32, Block, [usize; STATUSES])> = Vec::new();
        for (period, status) in self.periods.iter().zip(cells.iter().skip(self.skipped)) {
            let key = match self.grain {
                Grain::Day => period.year() * 12 + i32::try_from(period.month0()).unwrap_or(0),
                _ => period.year(),
            };
            if blocks.last().is_none_or(|(last, ..)| *last != key) {
                blocks.push((key, self.block(*period), [0; STATUSES]));
            }
            let Some((_, block, counts)) = blocks.last_mut() else { continue };
            counts[*status as usize] += 1;
            let (column, line) = self.place(*period, block.cells.len());
            block.width = block.width.max((column + 1) * CELL - GAP);
            block.height = block.height.max((line + 1) * CELL - GAP);
            block.cells.push(Cell {
                symbol: status.symbol(),
                x: column * CELL,
                y: line * CELL,
                title: self.title(*period, *status, advertisers),
            });
        }
        let finished = blocks.into_iter().filter(|(.., counts)| counts[1..].iter().any(|count| *count > 0));
        finished
            .map(|(_, mut block, counts)| {
                let above = block.cells.iter().map(|cell| cell.y).min().unwrap_or(0);
                block.cells.iter_mut().for_each(|cell| cell.y -= above);
                block.height -= above;
                let counts = Status::LEGEND.iter().map(|status| (counts[*status as usize], status.label()));
                let counts = counts.filter(|(count, _)| *count > 0).map(|(count, label)| format!("{count} {label}"));
                block.text = format!("{}: {}", block.label, counts.collect::<Vec<_>>().join(", "));
                block
            })
            .collect()
    }

    fn block(&self, period: NaiveDate) -> Block {
        let label =
            if self.grain == Grain::Day { period.format("%b %Y").to_string() } else { period.year().to_string() };
        let width = if self.grain == Grain::Day { 7 * CELL - GAP } else { 0 };
        Block { label, text: String::new(), width, height: 0, cells: Vec::new() }
    }

    /// Column and line of a period in its block.
    fn place(&self, period: NaiveDate, index: usize) -> (usize, usize) {
        match self.grain {
            Grain::Day => {
                let before = period.with_day(1).unwrap_or(period).weekday().num_days_from_monday() as usize;
                let place = before + period.day0() as usize;
                (place % 7, place / 7)
            }
            Grain::Month => (period.month0() as usize, 0),
            Grain::Week(_) | Grain::Year => (index % WEEKS, index / WEEKS),
        }
    }

    fn title(&self, period: NaiveDate, status: Status, advertisers: &[crate::model::ids::AdvertiserId]) -> String {
        let when = match self.grain {
            Grain::Day => period.format("%a %Y-%m-%d").to_string(),
            grain => Window { start: period, end: period_end(period, grain) }.to_string(),
        };
        let words = advertisers.iter().take(MAX_WORDS).filter_map(|id| {
            let words = self.calendar.words.get(&(numeric_id(&id.0), period))?;
            Some(if advertisers.len() > 1 { format!("{id} {words}") } else { words.clone() })
        });
        let words: Vec<_> = words.filter(|_| status == Status::Differs).collect();
        let more = if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) };
        format!("{when}: {}{more}", status.label())
    }
}
