//! The page as the template shows it: words, numbers as text, places of shapes.

use std::collections::BTreeMap;

use askama::Template;

use crate::model::calendar::Window;
use crate::output::AdvertiserNames;
use crate::output::report_page::amount::Amount;
use crate::output::report_page::calendar::{self, Report};
use crate::output::report_page::charts::{Chart, Periods};
use crate::output::report_page::days::{Calendar, Status, StreamDays};
use crate::output::report_page::names::Names;
use crate::output::report_page::verdict::{DayCounts, Tile, Verdict, tiles, verdict};
use crate::output::report_page::watch::{Numbers, Sums};
use crate::output::report_page::{About, Note, ReportPage};
use crate::output::stream::StreamOutput;
use crate::output::summary::{Calls, Summary, duration};
use crate::support::redact;
use crate::support::stop::Stop;
use crate::support::text::{counted, grouped};

/// Campaigns on the page.
const MAX_CAMPAIGNS: usize = 15;
/// Days in the table.
const MAX_DAYS: usize = 400;
/// The page.
#[derive(Template)]
#[template(path = "report/page.html")]
pub(crate) struct Page<'a> {
    about: &'a About,
    version: &'static str,
    verdict: Verdict,
    tiles: Vec<Tile>,
    legend: Vec<Status>,
    reports: Vec<Report>,
    money: Option<Money>,
    restated: RestatedView,
    streams: Vec<StreamRow>,
    total: StreamRow,
    notes: &'a [Note],
    omitted_notes: u64,
}

/// Spend, clicks and ROAS of one stream.
struct Money {
    stream: String,
    intro: String,
    /// How long revenue and ROAS still grow; empty without them.
    growth: String,
    charts: Vec<Chart>,
    campaigns: Vec<Campaign>,
    has_clicks: bool,
    has_revenue: bool,
    omitted: String,
    /// The latest [`MAX_DAYS`].
    days: Vec<(String, Figures)>,
    omitted_days: usize,
    total: Figures,
}

struct Campaign {
    name: String,
    advertiser: String,
    figures: Figures,
    /// The length of its bar, of a thousand.
    width: String,
}

/// Numbers as text.
struct Figures {
    cost: String,
    clicks: String,
    revenue: String,
    roas: String,
}

struct RestatedView {
    intro: String,
    days: Vec<RestatedDay>,
    total: Option<RestatedDay>,
    omitted: usize,
    lines: Vec<(String, String)>,
}

struct RestatedDay {
    day: String,
    before: String,
    after: String,
    cost: String,
    clicks: String,
    revenue: String,
}

struct StreamRow {
    name: String,
    is_complete: bool,
    rows: String,
    proof: String,
    requests: String,
    problems: String,
    waited: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(
        page: &'a ReportPage,
        streams: &[StreamOutput],
        summary: &Summary,
        known: &AdvertiserNames,
        failures: &[String],
        stop: Option<&Stop>,
    ) -> Self {
        let names = names(streams, known);
        let calendars: BTreeMap<usize, Calendar> = page.days.iter().map(|(id, days)| (*id, days.calendar())).collect();
        let shown = calendars.values().filter(|calendar| !calendar.periods.is_empty()).count();
        let name_of = |id: &usize| streams.get(*id).map(|stream| stream.setup.name.as_str()).unwrap_or_default();
        let reports = calendars.iter().filter(|(_, calendar)| !calendar.periods.is_empty());
        let reports = reports.map(|(id, calendar)| calendar::report(name_of(id), calendar, &names, shown)).collect();
        let days = DayCounts::new(calendars.values());
        let currency = &page.about.currency;
        let money = page.summed.as_ref().and_then(|(_, id, name)| {
            let sums = streams.get(*id)?.watch.as_ref()?.sums.as_ref()?;
            let growth = streams.get(*id)?.setup.stream.growth();
            (!sums.by_day.is_empty()).then(|| Money::new(name, sums, currency, &names, growth.as_deref()))
        });
        Self {
            about: &page.about,
            version: env!("CARGO_PKG_VERSION"),
            verdict: verdict(page, streams, failures, stop, &days),
            tiles: tiles(summary, streams, &days),
            legend: Status::LEGEND.to_vec(),
            reports,
            money,
            restated: RestatedView::new(page, streams),
            streams: stream_rows(summary, streams, failures, &calendars),
            total: StreamRow {
                name: "All".to_owned(),
                is_complete: true,
                rows: grouped(streams.iter().map(|stream| stream.records).sum()),
                proof: String::new(),
                ..call_row(summary.all_calls())
            },
            notes: &page.notes.list,
            omitted_notes: page.notes.omitted,
        }
    }
}

/// Advertisers as their list or rows of any stream name them.
fn names(streams: &[StreamOutput], known: &AdvertiserNames) -> Names {
    let mut names = Names(known.iter().map(|(id, name)| (id.to_string(), redact::line(name))).collect());
    for watch in streams.iter().filter_map(|stream| stream.watch.as_ref()) {
        names.0.extend(watch.names.iter().map(|(id, name)| (id.clone(), redact::line(name))));
    }
    names
}

fn call_row(calls: Calls) -> StreamRow {
    let problems =
        [(calls.refused, "over the limit"), (calls.failed, "failed")].into_iter().filter(|(count, _)| *count > 0);
    let problems: Vec<_> = problems.map(|(count, what)| format!("{} {what}", grouped(count))).collect();
    StreamRow {
        name: String::new(),
        is_complete: true,
        rows: String::new(),
        proof: String::new(),
        requests: grouped(calls.count),
        problems: if problems.is_empty() { "0".to_owned() } else { problems.join(", ") },
        waited: duration(calls.waited),
    }
}

fn stream_rows(
    summary: &Summary,
    streams: &[StreamOutput],
    failures: &[String],
    calendars: &BTreeMap<usize, Calendar>,
) -> Vec<StreamRow> {
    let has_failed = |name: &str| failures.iter().any(|failure| failure.starts_with(&format!("{name}: ")));
    let row = |(id, stream): (usize, &StreamOutput)| {
        let name = &stream.setup.name;
        let calls = summary.calls_of(Some(name.as_str()));
        let calendar = calendars.get(&id).filter(|calendar| !calendar.periods.is_empty());
        StreamRow {
            name: name.clone(),
            is_complete: !has_failed(name),
            rows: grouped(stream.records),
            proof: calendar.map(calendar::summary).unwrap_or_default(),
            ..call_row(calls)
        }
    };
    let mut rows: Vec<_> = streams.iter().enumerate().map(row).collect();
    let is_known = |name: &str| streams.iter().any(|stream| stream.setup.name == name);
    let rejected = failures.iter().filter_map(|failure| failure.split_once(": ")).map(|(name, _)| name);
    for name in rejected.filter(|name| !is_known(name)) {
        rows.push(StreamRow {
            name: redact::line(name),
            is_complete: false,
            rows: "0".to_owned(),
            ..call_row(Calls::default())
        });
    }
    let shared = summary.calls_of(None);
    if shared.count > 0 {
        rows.push(StreamRow { name: "for all streams".to_owned(), ..call_row(shared) });
    }
    rows
}

impl Figures {
    fn new(numbers: Numbers, decimals: usize) -> Self {
        Self {
            cost: numbers.cost.text(decimals),
            clicks: numbers.clicks.text(0),
            revenue: numbers.revenue.text(decimals),
            roas: numbers.roas().map_or_else(|| "–".to_owned(), |roas| format!("{roas:.2}")),
        }
    }
}

/// Two decimals, unless all amounts are whole.
fn decimals<'a>(mut all: impl Iterator<Item = &'a Numbers>) -> usize {
    let is_whole = |amount: Amount| amount.0 % 1_000_000_000 == 0;
    if all.all(|numbers| is_whole(numbers.cost) && is_whole(numbers.revenue)) { 0 } else { 2 }
}

impl Money {
    fn new(stream: &str, sums: &Sums, currency: &str, names: &Names, growth: Option<&str>) -> Self {
        let decimals = decimals(sums.by_day.values());
        let total = Figures::new(sums.total, decimals);
        let money = |amount: Amount| format!("{} {currency}", amount.text(decimals));
        let periods = Periods::of(&sums.by_day);
        let spend = format!("Spend, {currency}");
        let mut charts = vec![periods.bars(&spend, total.cost.clone(), |numbers| numbers.cost, money)];
        if sums.has_clicks {
            let text = |amount: Amount| counted(u64::try_from(amount.0 / 1_000_000_000).unwrap_or(0), "click");
            charts.push(periods.bars("Clicks", total.clicks.clone(), |numbers| numbers.clicks, text));
        }
        let mut intro = format!("Sums of the {stream} rows that this sync read; spend is {}", sums.cost);
        if let Some(revenue) = &sums.revenue {
            charts.push(periods.line("ROAS", total.roas.clone(), |numbers| numbers.roas()));
            intro += &format!(", and ROAS is {revenue} divided by it");
        }
        let mut campaigns: Vec<_> = sums.by_campaign.iter().collect();
        campaigns.sort_by(|(one_id, (_, one)), (other_id, (_, other))| {
            other.cost.cmp(&one.cost).then_with(|| one_id.cmp(other_id))
        });
        let (shown, others) = campaigns.split_at(campaigns.len().min(MAX_CAMPAIGNS));
        let most = shown.first().map_or(0.0, |(_, (_, numbers))| numbers.cost.as_f64());
        let campaign = |((advertiser, id), (name, numbers)): &(&(String, String), &(String, Numbers))| Campaign {
            name: match redact::line(name) {
                name if name.trim().is_empty() => format!("Campaign {id}"),
                name => name,
            },
            advertiser: names.of(advertiser),
            figures: Figures::new(*numbers, decimals),
            width: format!("{:.1}", if most > 0.0 { 1000.0 * numbers.cost.as_f64() / most } else { 0.0 }.max(0.0)),
        };
        let omitted_days = sums.by_day.len().saturating_sub(MAX_DAYS);
        let days = sums.by_day.iter().skip(omitted_days);
        let mut rest = sums.other_campaigns;
        for (_, (_, numbers)) in others {
            rest.add(*numbers);
        }
        let has_more = sums.other_campaigns != Numbers::default();
        let count = counted(others.len() as u64, "other campaign");
        Self {
            stream: stream.to_owned(),
            intro: intro + ".",
            growth: growth.filter(|_| sums.revenue.is_some()).unwrap_or_default().to_owned(),
            charts,
            campaigns: shown.iter().map(campaign).collect(),
            has_clicks: sums.has_clicks,
            has_revenue: sums.revenue.is_some(),
            omitted: match (others.is_empty(), has_more) {
                (true, _) => String::new(),
                (false, is_more) => {
                    format!("{}{count} together: {}.", if is_more { "More than " } else { "" }, money(rest.cost))
                }
            },
            days: days.map(|(day, numbers)| (day.to_string(), Figures::new(*numbers, decimals))).collect(),
            omitted_days,
            total,
        }
    }
}

impl RestatedView {
    fn new(page: &ReportPage, streams: &[StreamOutput]) -> Self {
        let again = page.days.iter().filter_map(|(id, days): (&usize, &StreamDays)| {
            let (window, advertisers): (Window, usize) = days.read_again()?;
            let name = streams.get(*id)?.setup.name.clone();
            Some((name, format!("{window}, {}", counted(advertisers as u64, "advertiser"))))
        });
        let mut view = Self { intro: String::new(), days: Vec::new(), total: None, omitted: 0, lines: again.collect() };
        let name = page.summed.as_ref().map(|(_, _, name)| name.as_str()).unwrap_or_default();
        if let Some(changes) = page.restated.changes() {
            let changed = changes.days.len() + changes.omitted;
            let decimals = decimals(changes.days.iter().flat_map(|day| [&day.before, &day.after]));
            let row = |day: String, before: Numbers, after: Numbers| RestatedDay {
                day,
                before: before.cost.text(decimals),
                after: after.cost.text(decimals),
                cost: (after.cost - before.cost).change(decimals),
                clicks: (after.clicks - before.clicks).change(0),
                revenue: (after.revenue - before.revenue).change(decimals),
            };
            view.intro = format!(
                "{} of {} that {name} had and that this sync read again have changed.",
                grouped(changed as u64),
                counted(changes.read_again as u64, "day")
            );
            view.omitted = changes.omitted;
            if changed > 0 {
                view.total = Some(row("All days read again".to_owned(), changes.before, changes.after));
            }
            view.days = changes.days.iter().map(|day| row(day.day.to_string(), day.before, day.after)).collect();
        } else if view.lines.is_empty() {
            "Nothing: no earlier sync had read any of these days.".clone_into(&mut view.intro);
        } else {
            "Criteo changes its numbers for weeks, so these days were read again. The earlier values are not known \
             here: an export to a folder compares them."
                .clone_into(&mut view.intro);
        }
        view
    }
}
