//! Tracks against a simulated account: every row is written once, even if responses are truncated, lost, late or
//! refused.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::model::calendar::period_end;
use crate::read::track::*;

/// A row: period, advertiser, ad set.
type Row = (NaiveDate, usize, usize);

fn limits(row_cap: u64) -> Limits {
    Limits { row_cap, most_days: u32::MAX, environments: &[] }
}

fn day(offset: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 1, 2).unwrap() + Days::new(offset)
}

/// An account whose days have a few rows for each ad set of each advertiser.
struct ReportTally {
    grain: Grain,
    cap: usize,
    rows: Vec<Row>,
}

impl ReportTally {
    fn new(grain: Grain, cap: usize, range: Window, busy: &[(usize, u64)]) -> Self {
        let mut rows = Vec::new();
        let mut start = range.start;
        while start <= range.end {
            for (advertiser, (ad_sets, every)) in busy.iter().enumerate() {
                let number = u64::from(start.to_epoch_days().unsigned_abs());
                let is_active = number % every == 0;
                // Ad sets come and go.
                let runs = |ad_set: &usize| (number + *ad_set as u64) % 11 < 8;
                rows.extend((0..*ad_sets).filter(runs).filter(|_| is_active).map(|ad_set| (start, advertiser, ad_set)));
            }
            start = period_end(start, grain) + Days::new(1);
        }
        Self { grain, cap, rows }
    }

    fn rows(&self, slice: &Slice) -> Vec<Row> {
        let advertisers: BTreeSet<usize> = slice.advertisers.iter().map(|id| id.0.parse().unwrap()).collect();
        let is_wanted = |(period, advertiser, ad_set): &&Row| {
            (slice.window.start..=slice.window.end).contains(period)
                && advertisers.contains(advertiser)
                && slice.part.as_ref().is_none_or(|part| part.ad_sets.contains(&ad_set.to_string()))
        };
        self.rows.iter().filter(is_wanted).copied().collect()
    }
}

/// What was written, the number of calls, and the cursors.
#[derive(Default)]
struct Outcome {
    written: BTreeMap<Row, u32>,
    cursors: BTreeMap<String, NaiveDate>,
    holes: BTreeMap<String, Vec<Window>>,
    failed: usize,
    calls: usize,
}

impl Outcome {
    fn note(&mut self, track: &Track) {
        let Some(covered) = track.covered() else { return };
        for id in track.advertisers().iter() {
            self.cursors.insert(id.0.clone(), covered.end);
            self.holes.insert(id.0.clone(), track.holes().to_vec());
        }
    }
}

/// Reads an account; `choices` decide which slice under way gets its response next, and which response is refused.
fn read(account: &ReportTally, range: Window, advertisers: usize, choices: &[u8]) -> Outcome {
    let ids: Advertisers = (0..advertisers).map(|number| AdvertiserId(number.to_string())).collect();
    let mut tracks = vec![Track::new(ids, range, account.grain, limits(account.cap as u64), Density::new(None, 100))];
    let mut outcome = Outcome::default();
    let mut under_way: Vec<Slice> = Vec::new();
    let mut choices = choices.iter().cycle();
    let mut next_id = 0;
    loop {
        while let Some((index, halves)) =
            tracks.iter().enumerate().find_map(|(index, track)| Some((index, track.divided()?)))
        {
            tracks.splice(index..=index, halves);
        }
        for track in &mut tracks {
            while let Some(slice) = track.start(next_id) {
                next_id += 1;
                under_way.push(slice);
            }
        }
        if under_way.is_empty() {
            break;
        }
        let choice = usize::from(*choices.next().unwrap());
        let slice = under_way.swap_remove(choice % under_way.len());
        outcome.calls += 1;
        assert!(outcome.calls < 20_000, "the read never ends");
        let Some(index) = tracks.iter().position(|track| track.has(slice.id)) else { continue };
        let rows = account.rows(&slice);
        if rows.len() < account.cap {
            for row in &rows {
                *outcome.written.entry(*row).or_default() += 1;
            }
            tracks[index].done(slice.id, rows.len() as u64, rows.len() * 100);
            outcome.note(&tracks[index]);
            continue;
        }
        // As by totals that are right, too low, or unknown.
        let all = rows.len() as u64;
        let expected = [None, Some((all, rows.len() * 100)), Some((all / 3, 100))][choice % 3];
        match tracks[index].split_cut(slice.id, expected) {
            SplitOutcome::Smaller => {}
            SplitOutcome::NeedsAdSets => {
                // The advertiser's ad sets from that day on, sometimes of that day alone.
                let end = if choice % 2 == 0 { range.end } else { slice.window.end };
                let later = Slice { window: Window { end, ..slice.window }, ..slice.clone() };
                let ad_sets: BTreeSet<String> =
                    account.rows(&later).iter().map(|(_, _, ad_set)| ad_set.to_string()).collect();
                let ad_sets: Vec<_> = ad_sets.into_iter().collect();
                if !tracks[index].split_by_ad_sets(slice.id, later.window, &ad_sets, false) {
                    tracks[index].stop_waiting_for_ad_sets();
                    tracks[index].give_up(slice.id);
                    outcome.note(&tracks[index]);
                    outcome.failed += 1;
                }
            }
            SplitOutcome::Unsplittable => {
                tracks[index].give_up(slice.id);
                outcome.note(&tracks[index]);
                outcome.failed += 1;
            }
        }
    }
    assert!(tracks.iter().all(Track::is_done));
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_row_is_written_once_for_any_split_and_order(
        periods in 1u64..120, cap in 4usize..60, grain in prop::sample::select(vec![Grain::Day, Grain::Week(chrono::Weekday::Mon)]),
        busy in prop::collection::vec((0usize..80, 1u64..9), 1..6), choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let range = Window { start: day(0), end: day(periods * if grain == Grain::Week(chrono::Weekday::Mon) { 7 } else { 1 } - 1) };
        let account = ReportTally::new(grain, cap, range, &busy);
        let outcome = read(&account, range, busy.len(), &choices);
        prop_assert_eq!(outcome.failed, 0);
        prop_assert!(outcome.written.values().all(|times| *times == 1), "a row was written twice");
        prop_assert_eq!(outcome.written.len(), account.rows.len());
        prop_assert_eq!(outcome.cursors.len(), busy.len());
        prop_assert!(outcome.cursors.values().all(|cursor| *cursor == range.end));
    }

    #[test]
    fn the_cursor_never_passes_an_unwritten_row(
        periods in 2u64..60, cap in 4usize..30, stop in 1usize..60,
        busy in prop::collection::vec((0usize..40, 1u64..5), 1..4), choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        // One advertiser has an unreadable period: it is a hole, and everything else is read.
        let range = Window { start: day(0), end: day(periods - 1) };
        let mut account = ReportTally::new(Grain::Day, cap, range, &busy);
        let bad = day(stop as u64 % periods);
        account.rows.extend(std::iter::repeat_n((bad, 0, 0), cap));
        let outcome = read(&account, range, busy.len(), &choices);
        prop_assert_eq!(outcome.failed, 1);
        // The cursor does not pass a hole at the end, unless some ad sets of that day were read.
        let cursor = outcome.cursors.get("0").copied();
        let is_before_hole = bad == range.end && cursor == (bad > range.start).then(|| days_before(bad, 1));
        prop_assert!(is_before_hole || cursor == Some(range.end), "{:?}", cursor);
        for (period, advertiser, ad_set) in &account.rows {
            let name = advertiser.to_string();
            let is_hole = outcome.holes.get(&name).is_some_and(|holes| holes.iter().any(|hole| hole.start == *period));
            prop_assert!(!is_hole || (*advertiser, *period) == (0, bad));
            if outcome.cursors.get(&name).is_some_and(|cursor| cursor >= period) && !is_hole {
                prop_assert_eq!(outcome.written.get(&(*period, *advertiser, *ad_set)), Some(&1));
            }
        }
    }
}

#[test]
fn dense_days_take_few_requests() {
    // 300 rows per day of one advertiser, in windows of at most 1,000: three days per window.
    let range = Window { start: day(0), end: day(199) };
    let account = ReportTally::new(Grain::Day, 1_000, range, &[(300, 1)]);
    let least = account.rows.len().div_ceil(999);
    for (choice, most) in [(0, 24), (1, 23)] {
        let calls = read(&account, range, 1, &[choice]).calls;
        assert!(calls <= 2 * least + most, "{calls} of {least}");
    }
}

#[test]
fn two_years_with_little_data_take_few_requests() {
    let range = Window { start: day(0), end: day(729) };
    let account = ReportTally::new(Grain::Day, 100_000, range, &[(50, 1), (20, 2)]);
    assert_eq!(read(&account, range, 2, &[0]).calls, 7);
}

#[test]
fn unreadable_days_are_holes_and_the_cursor_stops_before_a_final_one() {
    let range = Window { start: day(0), end: day(9) };
    let ids: Advertisers = Arc::new([AdvertiserId("1".into())]);
    let mut track =
        Track::new(ids, range, Grain::Day, Limits { most_days: 1, ..limits(100) }, Density::new(Some(1.0), 100));
    for id in 0..10 {
        let slice = track.start(id).unwrap();
        match slice.window.start {
            bad if bad == day(4) || bad == day(9) => track.give_up(id),
            _ => track.done(id, 1, 1),
        }
    }
    assert!(track.is_done());
    assert_eq!(track.covered(), Some(Window { start: day(0), end: day(8) }));
    assert_eq!(track.holes(), [day(4), day(9)].map(|day| Window { start: day, end: day }));
}

#[test]
fn a_differing_period_is_read_once_more() {
    let range = Window { start: day(0), end: day(9) };
    let ids: Advertisers = Arc::new([AdvertiserId("1".into())]);
    let mut track = Track::new(ids, range, Grain::Day, limits(100), Density::new(None, 100));
    let mut reads = Vec::new();
    for id in 1.. {
        let Some(slice) = track.start(id) else { break };
        if slice.window.end >= day(4) && slice.window.start <= day(4) {
            reads.push((slice.window.days(), slice.reads));
            if reads.len() < 3 {
                // The second call returns that it has been read twice.
                assert_eq!(track.reread(id, 1, day(4), day(4)), reads.len() == 1);
                continue;
            }
        }
        track.done(id, 1, 1);
    }
    assert!(track.is_done());
    assert_eq!(reads, [(10, 0), (1, 1), (1, 2)]);
}

#[test]
fn an_undocumented_cap_is_learned() {
    let range = Window { start: day(0), end: day(99) };
    let ids: Advertisers = Arc::new([AdvertiserId("1".into())]);
    let mut track = Track::new(ids, range, Grain::Day, limits(100_000), Density::new(Some(10.0), 100));
    let slice = track.start(1).unwrap();
    assert_eq!(slice.window.days(), 100);
    assert!(track.reread(1, 200, day(0), day(99)), "all days differ: in halves");
    let left = track.start(2).unwrap();
    assert!(track.reread(2, 200, left.window.start, left.window.end));
    assert_eq!(track.limits.row_cap, 100_000, "a window and its half may well have the same rows");
    let id = (3..99).find(|id| track.start(*id).is_some_and(|slice| slice.window.start > left.window.end)).unwrap();
    assert!(track.reread(id, 200, day(50), day(99)));
    assert_eq!(track.limits.row_cap, 200);
}
