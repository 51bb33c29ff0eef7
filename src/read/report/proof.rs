//! Compares the rows of a report with Criteo's totals.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::error::Error;
use crate::model::calendar::{Grain, Window, period_end, period_start};
use crate::model::ids::{AdvertiserId, numeric_id};
use crate::products::endpoint::TOTAL_METRICS;
use crate::products::report::Report;
use crate::read::report::{ReportReader, Response, is_settled_since};
use crate::read::sums::Sums;
use crate::read::totals::{Differences, Totals, is_settled};
use crate::read::track::{LAST_READ, MIN_CAP, Slice};
use crate::support::text::list_of;

/// After this many differing periods, a run reads no more of them again.
const MAX_DIFFERING: usize = 3;

#[derive(Default)]
pub(crate) struct TotalsCheck {
    /// Written although their sums differ.
    differing: BTreeMap<AdvertiserId, BTreeSet<NaiveDate>>,
    /// Windows that could not be compared, and the first error.
    without_totals: Option<(Vec<Window>, Error)>,
    /// Not, or not completely, compared.
    uncompared: BTreeMap<AdvertiserId, BTreeSet<Window>>,
}

impl TotalsCheck {
    pub(crate) fn add_differing(&mut self, differences: &Differences) {
        for (day, advertiser) in &differences.periods {
            self.differing.entry(advertiser.clone()).or_default().insert(*day);
        }
    }

    /// Records a slice without totals; days after `settled` need none.
    pub(crate) fn lacks_totals(&mut self, slice: &Slice, settled: NaiveDate, error: Error) {
        self.without_totals.get_or_insert((Vec::new(), error)).0.push(slice.window);
        let window = Window { end: slice.window.end.min(settled), ..slice.window };
        if window.start <= window.end {
            for advertiser in slice.advertisers.iter() {
                self.uncompared.entry(advertiser.clone()).or_default().insert(window);
            }
        }
    }

    /// Records periods with rows that could not be summed.
    pub(crate) fn lacks_sums(&mut self, slice: &Slice, periods: &BTreeSet<(u64, NaiveDate)>, grain: Grain) {
        for advertiser in slice.advertisers.iter() {
            let of = numeric_id(&advertiser.0);
            let days = periods.range((of, NaiveDate::MIN)..=(of, NaiveDate::MAX)).map(|(_, day)| *day);
            for start in days {
                let window = Window { start, end: period_end(start, grain) };
                self.uncompared.entry(advertiser.clone()).or_default().insert(window);
            }
        }
    }

    pub(crate) fn uncompared_of(&self, advertiser: &AdvertiserId) -> impl Iterator<Item = Window> {
        self.uncompared.get(advertiser).into_iter().flatten().copied()
    }

    /// The periods of a slice that were not, or not completely, compared for an advertiser: by this response or an
    /// earlier part of it.
    pub(crate) fn uncompared_in(&self, slice: &Slice, grain: Grain) -> BTreeSet<(u64, NaiveDate)> {
        let first = Window { start: period_start(slice.window.start, grain), ..slice.window };
        let periods: Vec<_> = first.singles(grain).map(|period| period.start).collect();
        let of_advertiser = |advertiser: &AdvertiserId| {
            let is_in = |start: &NaiveDate| {
                self.uncompared_of(advertiser).any(|window| window.start <= *start && *start <= window.end)
            };
            periods.iter().copied().filter(is_in).map(|start| (numeric_id(&advertiser.0), start)).collect::<Vec<_>>()
        };
        slice.advertisers.iter().flat_map(of_advertiser).collect()
    }

    pub(crate) fn differing_of(&self, advertiser: &AdvertiserId, grain: Grain) -> impl Iterator<Item = Window> {
        let days = self.differing.get(advertiser).into_iter().flatten().copied();
        days.map(move |start| Window { start, end: period_end(start, grain) })
    }

    fn is_given_up(&self) -> bool {
        self.differing.values().map(BTreeSet::len).sum::<usize>() >= MAX_DIFFERING
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Comparison<'a> {
    report: &'a Report,
    today: NaiveDate,
    compared: [bool; TOTAL_METRICS.len()],
    pub is_summed: bool,
    pub wants_totals: bool,
    is_given_up: bool,
}

impl Comparison<'_> {
    pub(crate) fn differing(&self, totals: &Totals, sums: &Sums, slice: &Slice) -> Differences {
        let mut found = totals.differing(sums, slice.window, &slice.advertisers, self.compared);
        found.periods.retain(|(day, _)| is_settled(*day, self.report.grain, self.today));
        found
    }

    /// The rows and bytes that the whole window of a truncated response probably has, by Criteo's totals.
    pub(crate) fn expected(
        &self,
        totals: Option<&Totals>,
        sums: &Sums,
        slice: &Slice,
        (rows, bytes): (u64, usize),
    ) -> Option<(u64, usize)> {
        let share = totals?.share_of(sums, slice.window, &slice.advertisers, self.compared)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate, saturating"
        )]
        let expected = ((rows as f64 / share) as u64, (bytes as f64 / share) as usize);
        Some(expected)
    }

    /// Handles differing sums: long windows and periods read only once are read again; periods that lack rows are split
    /// by advertisers or ad sets.
    pub(crate) fn read_again(&self, slice: &Slice, rows: u64, differences: &Differences) -> Option<Response> {
        if differences.is_empty() || self.is_given_up || slice.reads >= LAST_READ {
            return None;
        }
        if !slice.is_reread() || slice.window.halves(self.report.grain).is_some() {
            return Some(Response::Differs { rows, differences: differences.clone() });
        }
        let is_divisible = slice.advertisers.len() > 1 || self.report.can_filter_ad_sets();
        (differences.is_short && rows >= MIN_CAP && is_divisible).then_some(Response::Short)
    }
}

impl<'a> ReportReader<'a> {
    pub(crate) fn comparison(&self, slice: &Slice) -> Comparison<'a> {
        let report = self.report;
        let today = self.range.today;
        let compared = report.compared_totals(&self.metrics);
        let is_provable = report.is_provable() || (report.is_provable_in_parts() && slice.part.is_some());
        let is_summed = self.run.config.read.verify_totals && is_provable && compared.contains(&true);
        Comparison {
            report,
            today,
            compared,
            is_summed,
            wants_totals: is_summed && is_settled_since(slice, report.grain, today),
            is_given_up: self.totals_check.is_given_up(),
        }
    }

    /// Sums the parts of a window and compares them once the last is there; returns what differs.
    pub(crate) fn compare_parts(
        &mut self,
        index: usize,
        slice: &Slice,
        totals: Option<&Totals>,
        sums: &Sums,
    ) -> Option<Differences> {
        let advertiser = slice.advertisers.first()?;
        let key = (advertiser.clone(), slice.window.start);
        self.parts.entry(key.clone()).or_default().add(sums);
        let track = &self.tracks[index];
        if track.is_window_done(slice.window)
            && let Some(sums) = self.parts.remove(&key)
            && let Some(totals) = totals
            && !track.holes().contains(&slice.window)
        {
            let differences = self.comparison(slice).differing(totals, &sums, slice);
            self.totals_check.add_differing(&differences);
            let uncompared = self.totals_check.uncompared_in(slice, self.report.grain);
            self.tally_comparison(slice, &differences, &uncompared);
            return Some(differences);
        }
        None
    }

    /// Counts the settled periods of a slice that was compared with totals. Periods with rows that could not be summed do
    /// not agree.
    pub(crate) fn tally_comparison(
        &mut self,
        slice: &Slice,
        differences: &Differences,
        uncompared: &BTreeSet<(u64, NaiveDate)>,
    ) {
        let (grain, today) = (self.report.grain, self.range.today);
        let first = Window { start: period_start(slice.window.start, grain), ..slice.window };
        for period in first.singles(grain).filter(|period| is_settled(period.start, grain, today)) {
            let agrees = !differences.periods.iter().any(|(day, _)| *day == period.start)
                && !uncompared.iter().any(|(_, day)| *day == period.start);
            self.tally.compare(period.start, agrees);
        }
    }

    /// Reports uncompared windows; fails for periods that the next sync reads again.
    pub(crate) fn conclude_totals_check(&mut self) -> Option<Error> {
        if let Some((windows, error)) = &self.totals_check.without_totals {
            tracing::warn!(
                "Criteo's totals for {} are not available, so the rows of these days are written without the \
                 totals check and count as unproven. {error}",
                list_of(windows.iter().map(ToString::to_string))
            );
        }
        let (mut again, mut accepted) = (Vec::new(), Vec::new());
        let differing = self
            .totals_check
            .differing
            .iter()
            .flat_map(|(advertiser, days)| days.iter().map(move |day| (day, advertiser)));
        let differing: BTreeSet<_> = differing.collect();
        for (day, advertiser) in differing {
            let text = format!("{day} of {advertiser}");
            let is_final = !self.is_incremental || self.cursors.is_unproven(advertiser, *day);
            if is_final { accepted.push(text) } else { again.push(text) }
        }
        let differ = "Clicks, displays or cost do not match Criteo's own totals on these days";
        if !accepted.is_empty() {
            tracing::warn!(
                "{differ}: {}. The rows were written as received; the days count as unproven.{}",
                list_of(accepted.into_iter()),
                if self.is_incremental { " They differed in three syncs and are not requested again." } else { "" }
            );
        }
        (!again.is_empty()).then(|| {
            Error::transient(format!(
                "{differ}: {}. The rows were written as received, and the next sync reads these days again. After \
                 three syncs they count as unproven. Set verify_totals to false to skip the totals check.",
                list_of(again.into_iter())
            ))
        })
    }
}
