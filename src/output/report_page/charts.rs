//! Charts as shapes of SVG, in units that the page stretches: ten per bar, and a hundred from the axis to the top.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};

use crate::model::calendar::{Grain, Window};
use crate::output::report_page::amount::{Amount, short};
use crate::output::report_page::watch::Numbers;

/// Units per bar.
const STEP: u32 = 10;
/// The widest bar, in pixels.
const WIDEST: u32 = 46;

/// Charts of more days are by week, and those of more weeks by month.
const MAX_DAYS: u32 = 120;
const MAX_WEEKS: u32 = 120;

/// A chart by day, week or month.
pub(crate) struct Chart {
    pub title: String,
    pub total: String,
    /// For readers who do not see it.
    pub text: String,
    /// The labels of the axis, from the top.
    pub labels: [String; 3],
    pub width: u32,
    /// The widest that it may be drawn, in pixels.
    pub widest: u32,
    pub bars: Vec<Bar>,
    /// The path of a line instead of bars.
    pub line: String,
    /// The path of its points.
    pub dots: String,
    /// The first, the middle and the last day.
    pub days: Vec<String>,
}

/// A bar, or the place of a point.
pub(crate) struct Bar {
    pub x: u32,
    pub y: String,
    pub height: String,
    pub title: String,
}

/// The sums of each period from the first to the last day.
pub(crate) struct Periods {
    grain: Grain,
    all: Vec<(Window, Option<Numbers>)>,
}

impl Periods {
    pub(crate) fn of(by_day: &BTreeMap<NaiveDate, Numbers>) -> Self {
        let (Some(start), Some(end)) = (by_day.keys().next(), by_day.keys().next_back()) else {
            return Self { grain: Grain::Day, all: Vec::new() };
        };
        let days = Window { start: *start, end: *end };
        let grain = match days.days() {
            count if count <= MAX_DAYS => Grain::Day,
            count if count <= MAX_WEEKS * 7 => Grain::Week(Weekday::Mon),
            _ => Grain::Month,
        };
        let sum = |window: Window| {
            let mut numbers = by_day.range(window.start..=window.end).map(|(_, numbers)| *numbers);
            let first = numbers.next()?;
            Some(numbers.fold(first, |mut sum, numbers| {
                sum.add(numbers);
                sum
            }))
        };
        Self { grain, all: days.singles(grain).map(|window| (window, sum(window))).collect() }
    }

    /// The chart of an amount.
    pub(crate) fn bars(
        &self,
        title: &str,
        total: String,
        of: impl Fn(&Numbers) -> Amount,
        text: impl Fn(Amount) -> String,
    ) -> Chart {
        self.chart(title, total, false, |numbers| {
            let amount = of(numbers);
            (Some(amount.as_f64()), text(amount))
        })
    }

    /// The chart of a ratio.
    pub(crate) fn line(&self, title: &str, total: String, of: impl Fn(&Numbers) -> Option<f64>) -> Chart {
        self.chart(title, total, true, |numbers| {
            let value = of(numbers);
            (value, value.map_or_else(|| "no spend".to_owned(), |value| format!("{value:.2}")))
        })
    }

    fn chart(
        &self,
        title: &str,
        total: String,
        is_line: bool,
        of: impl Fn(&Numbers) -> (Option<f64>, String),
    ) -> Chart {
        let values: Vec<_> = self.all.iter().map(|(window, numbers)| (*window, numbers.as_ref().map(&of))).collect();
        let top = nice(values.iter().filter_map(|(_, found)| found.as_ref()?.0).fold(0.0, f64::max));
        let name = |window: Window| {
            if window.start == window.end { window.start.to_string() } else { window.to_string() }
        };
        let (mut bars, mut line, mut dots, mut x) = (Vec::new(), String::new(), String::new(), 0);
        let mut is_drawing = false;
        let mut most: Option<(f64, String)> = None;
        for (window, found) in &values {
            if let Some((Some(value), text)) = found {
                let height = 100.0 * (value / top).clamp(0.0, 1.0);
                let y = format!("{:.1}", 100.0 - height);
                let title = format!("{}: {text}", name(*window));
                if most.as_ref().is_none_or(|(most, _)| value > most) {
                    most = Some((*value, title.clone()));
                }
                bars.push(Bar { x: x + 1, y: y.clone(), height: format!("{height:.1}"), title });
                if is_line {
                    let center = x + STEP / 2;
                    line += &format!("{}{center} {y}", if is_drawing { "L" } else { "M" });
                    dots += &format!("M{center} {y}h0");
                }
            }
            is_drawing = matches!(found, Some((Some(_), _)));
            x += STEP;
        }
        let period = self.grain.dimension().to_lowercase();
        let title = if self.grain == Grain::Day { title.to_owned() } else { format!("{title}, by {period}") };
        let count = u32::try_from(values.len()).unwrap_or(1);
        let text = match (most, values.first(), values.last()) {
            (Some((_, most)), Some((first, _)), Some((last, _))) => {
                format!("{title} from {} to {}: in all {total}; the most on {most}", first.start, last.end)
            }
            _ => String::new(),
        };
        Chart {
            title,
            text,
            total,
            labels: [short(top), short(top / 2.0), "0".to_owned()],
            width: x.max(STEP),
            widest: (count * WIDEST).max(8 * WIDEST),
            bars,
            line,
            dots,
            days: axis(&self.all),
        }
    }
}

/// The first, the middle and the last day, if there is room for all of them.
fn axis(periods: &[(Window, Option<Numbers>)]) -> Vec<String> {
    let (Some((first, _)), Some((last, _))) = (periods.first(), periods.last()) else { return Vec::new() };
    let middle = periods.get(periods.len() / 2).filter(|_| periods.len() > 4).map(|(window, _)| window.start);
    let mut days: Vec<_> = [Some(first.start), middle, Some(last.end)].into_iter().flatten().collect();
    days.dedup();
    days.iter().map(|day| day.format("%-d %b %Y").to_string()).collect()
}

/// The next number of the form 1, 2, 2.5 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use crate::output::report_page::charts::*;

    #[test]
    fn bars_stand_on_their_days_and_gaps_stay_empty() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        let numbers =
            |cost: i128, revenue: i128| Numbers { cost: Amount(cost), revenue: Amount(revenue), ..Numbers::default() };
        let one = 1_000_000_000;
        let by_day =
            [(day(1), numbers(50 * one, 100 * one)), (day(2), numbers(0, 0)), (day(4), numbers(100 * one, 100 * one))]
                .into();
        let periods = Periods::of(&by_day);
        let cost = periods.bars("Spend", "150".to_owned(), |numbers| numbers.cost, |amount| amount.text(2));
        let places: Vec<_> = cost.bars.iter().map(|bar| (bar.x, bar.y.as_str(), bar.title.as_str())).collect();
        assert_eq!(
            places,
            [(1, "50.0", "2026-10-01: 50.00"), (11, "100.0", "2026-10-02: 0.00"), (31, "0.0", "2026-10-04: 100.00")]
        );
        assert_eq!((cost.width, cost.labels[0].as_str()), (40, "100"));
        let roas = periods.line("ROAS", "1.33".to_owned(), |numbers| numbers.roas());
        assert_eq!(roas.line, "M5 0.0M35 50.0", "a day without spend interrupts the line");
    }

    #[test]
    fn years_of_days_are_charted_by_week_or_month() {
        let one = 1_000_000_000;
        let start = NaiveDate::from_ymd_opt(2023, 10, 4).unwrap();
        let charted = |days: usize| {
            let numbers = Numbers { cost: Amount(one), ..Numbers::default() };
            let by_day = start.iter_days().take(days).map(|day| (day, numbers)).collect();
            let text = |amount: Amount| amount.text(0);
            Periods::of(&by_day).bars("Spend", days.to_string(), |numbers| numbers.cost, text)
        };
        let weeks = charted(365);
        assert_eq!((weeks.bars.len(), weeks.title.as_str()), (53, "Spend, by week"));
        assert_eq!(weeks.bars[0].title, "2023-10-04 to 2023-10-08: 5");
        assert_eq!(weeks.bars[1].title, "2023-10-09 to 2023-10-15: 7");
        let months = charted(1_096);
        assert_eq!((months.bars.len(), months.title.as_str()), (37, "Spend, by month"));
        assert_eq!(months.bars[1].title, "2023-11-01 to 2023-11-30: 30");
        assert_eq!(months.days, ["4 Oct 2023", "1 Apr 2025", "3 Oct 2026"]);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (7.3, 8.0), (12.0, 15.0), (100.0, 100.0), (101.0, 150.0), (0.031, 0.04)] {
            assert!((nice(value) - top).abs() < 1e-9, "{value}");
        }
    }
}
