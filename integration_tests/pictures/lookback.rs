//! How the numbers of one day grow, and which days each sync reads.

use chrono::{Days, NaiveDate};

use super::svg::Picture;

/// A metric, and for how many days its numbers may grow.
pub struct Growth {
    pub column: String,
    pub credited_to: String,
    pub days: u64,
}

/// A sync: the day it runs, and the first day it reads.
pub struct Sync {
    pub day: NaiveDate,
    pub first: NaiveDate,
}

const LEFT: i32 = 250;
const DAY: i32 = 14;

/// `day` is the day whose numbers are shown; `first` and `last` bound the axis.
pub fn lookback(
    title: &str,
    day: NaiveDate,
    [first, last]: [NaiveDate; 2],
    growths: &[Growth],
    syncs: &[Sync],
) -> String {
    let mut picture = Picture::new(title);
    let x_of = |day: NaiveDate| LEFT + DAY * i32::try_from((day - first).num_days()).unwrap();
    let right = x_of(last) + DAY;
    let name = |day: NaiveDate| day.format("%b %-d").to_string();
    let mut y = 34;
    picture.text("title", 20, y, &format!("What Criteo reports for {}, by the day of the report", name(day)));
    y += 18;
    for growth in growths {
        let (bottom, tall) = (y + 46, 36.0);
        picture.text("name", 20, bottom - 16, &growth.column);
        picture.text("muted small", 20, bottom - 1, &growth.credited_to);
        let end = day + Days::new(growth.days);
        let mut path = format!("M{} {bottom}", x_of(day));
        for (index, day) in (0u32..).zip(day.iter_days().take_while(|day| *day <= last)) {
            // An example of how late sales arrive: most in the first days. Only the end is known.
            let part = (f64::from(index) / f64::from(u32::try_from(growth.days).unwrap())).min(1.0);
            let share = 0.3 + 0.7 * (1.0 - (-3.0 * part).exp()) / (1.0 - f64::exp(-3.0));
            path += &format!(" V{:.0} H{}", f64::from(bottom) - tall * share, x_of(day) + DAY);
        }
        picture.path("area", &format!("{path} V{bottom} Z"));
        picture.path("grid", &format!("M{LEFT} {bottom} H{right}"));
        let is_late = (last - end).num_days() < 12;
        let (text, x) = (format!("grows until {}", name(end)), x_of(end) + DAY);
        picture.path("mark", &format!("M{x} {} V{bottom}", y + 4));
        if is_late {
            picture.text_before("small", x_of(day) - 8, bottom - 8, &text);
        } else {
            picture.text("small", x + 8, bottom - 14, &text);
        }
        y = bottom + 4;
    }
    y += 36;
    picture.text("title", 20, y, "Which days each sync reads");
    y += 14;
    let top = y;
    for sync in syncs {
        picture.text("name", 20, y + 15, &format!("sync on {}", name(sync.day)));
        let reads = format!("{} to {}", name(sync.first), name(sync.day));
        picture.text_before("muted small", LEFT - 12, y + 15, &reads);
        picture.rect("again", [x_of(sync.first), y + 3, x_of(sync.day) - x_of(sync.first), 16]);
        picture.rect("today", [x_of(sync.day), y + 3, DAY, 16]);
        y += 23;
    }
    // The day through both parts.
    picture.path("mark", &format!("M{} {top} V{y} M{} {top} V{y}", x_of(day), x_of(day) + DAY));
    y += 6;
    picture.path("grid", &format!("M{LEFT} {y} H{right}"));
    for (day, index) in first.iter_days().take_while(|day| *day <= last).zip(0..) {
        if index % 5 == 0 {
            picture.path("grid", &format!("M{} {y} V{}", x_of(day), y + 5));
            picture.text_at("muted small", x_of(day) + DAY / 2, y + 18, &name(day));
        }
    }
    y += 44;
    let mut x = LEFT;
    for (class, text) in [("again", "read again"), ("today", "partial: the day of the sync")] {
        picture.rect(class, [x, y - 11, DAY, 12]);
        picture.text("small", x + 20, y, text);
        x += 130;
    }
    picture.path("mark", &format!("M{} {} V{}", x + 100, y - 11, y + 1));
    picture.text("small", x + 112, y, &name(day));
    picture.finish(right + 20, y + 20)
}
