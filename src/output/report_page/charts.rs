//! Charts as shapes of SVG, in units that the page stretches: ten per day, and a hundred from the axis to the top.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::model::calendar::{Grain, Window};
use crate::output::report_page::amount::{Amount, short};
use crate::output::report_page::watch::Numbers;

/// Units per day.
const STEP: u32 = 10;
/// The narrowest and the widest day, in pixels.
const WIDEST: u32 = 46;

/// A chart by day.
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

/// The chart of an amount per day.
pub(crate) fn bars(
    title: &str,
    by_day: &BTreeMap<NaiveDate, Numbers>,
    total: String,
    of: impl Fn(&Numbers) -> Amount,
    text: impl Fn(Amount) -> String,
) -> Chart {
    let values = by_day.iter().map(|(day, numbers)| {
        let amount = of(numbers);
        (*day, (Some(amount.as_f64()), text(amount)))
    });
    chart(title, total, &values.collect(), false)
}

/// The chart of a ratio per day.
pub(crate) fn line(
    title: &str,
    by_day: &BTreeMap<NaiveDate, Numbers>,
    total: String,
    of: impl Fn(&Numbers) -> Option<f64>,
) -> Chart {
    let values = by_day.iter().map(|(day, numbers)| {
        let value = of(numbers);
        (*day, (value, value.map_or_else(|| "no spend".to_owned(), |value| format!("{value:.2}"))))
    });
    chart(title, total, &values.collect(), true)
}

fn chart(title: &str, total: String, values: &BTreeMap<NaiveDate, (Option<f64>, String)>, is_line: bool) -> Chart {
    let top = nice(values.values().filter_map(|(value, _)| *value).fold(0.0, f64::max));
    let (first, last) = match (values.keys().next(), values.keys().next_back()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => (NaiveDate::MIN, NaiveDate::MIN),
    };
    let days: Vec<_> = Window { start: first, end: last }.singles(Grain::Day).map(|window| window.start).collect();
    let (mut bars, mut line, mut dots, mut x) = (Vec::new(), String::new(), String::new(), 0);
    let mut is_drawing = false;
    for day in &days {
        let found = values.get(day);
        if let Some((Some(value), text)) = found {
            let height = 100.0 * (value / top).clamp(0.0, 1.0);
            let y = format!("{:.1}", 100.0 - height);
            bars.push(Bar { x: x + 1, y: y.clone(), height: format!("{height:.1}"), title: format!("{day}: {text}") });
            if is_line {
                let center = x + STEP / 2;
                line += &format!("{}{center} {y}", if is_drawing { "L" } else { "M" });
                dots += &format!("M{center} {y}h0");
            }
        }
        is_drawing = matches!(found, Some((Some(_), _)));
        x += STEP;
    }
    let shown = |day: &NaiveDate| day.format("%-d %b %Y").to_string();
    let ends = match days.len() {
        0 | 1 => days.iter().map(shown).collect(),
        count if count < 5 => vec![shown(&first), shown(&last)],
        count => [days.first(), days.get(count / 2), days.last()].into_iter().flatten().map(shown).collect(),
    };
    let most = values.iter().filter_map(|(day, (value, text))| Some((day, value.as_ref()?, text)));
    let most = most.max_by(|one, other| one.1.total_cmp(other.1));
    let count = u32::try_from(days.len()).unwrap_or(1);
    Chart {
        title: title.to_owned(),
        text: most.map_or_else(String::new, |(day, _, text)| {
            format!("{title} by day from {first} to {last}: in all {total}, the most on {day}: {text}")
        }),
        total,
        labels: [short(top), short(top / 2.0), "0".to_owned()],
        width: x.max(STEP),
        widest: (count * WIDEST).max(8 * WIDEST),
        bars,
        line,
        dots,
        days: ends,
    }
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
        let cost = bars("Spend", &by_day, "150".to_owned(), |numbers| numbers.cost, |amount| amount.text(2));
        let places: Vec<_> = cost.bars.iter().map(|bar| (bar.x, bar.y.as_str(), bar.title.as_str())).collect();
        assert_eq!(
            places,
            [(1, "50.0", "2026-10-01: 50.00"), (11, "100.0", "2026-10-02: 0.00"), (31, "0.0", "2026-10-04: 100.00")]
        );
        assert_eq!((cost.width, cost.labels[0].as_str()), (40, "100"));
        let roas = line("ROAS", &by_day, "1.33".to_owned(), |numbers| numbers.roas());
        assert_eq!(roas.line, "M5 0.0M35 50.0", "a day without spend interrupts the line");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (7.3, 8.0), (12.0, 15.0), (100.0, 100.0), (101.0, 150.0), (0.031, 0.04)] {
            assert!((nice(value) - top).abs() < 1e-9, "{value}");
        }
    }
}
