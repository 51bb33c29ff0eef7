//! Strings, nulls and times of Retail Media's objects: plausible by default, unusual with the option `hostile`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

use crate::world::World;

impl World {
    pub(crate) fn is_hostile(&self) -> bool {
        self.options.retail_media.hostile
    }

    /// Sometimes `null`: rarely, or for every third object of a hostile world.
    pub(crate) fn perhaps(&self, number: u32, salt: u64, value: impl Into<Value>) -> Value {
        let every = if self.is_hostile() { 3 } else { 12 };
        if self.random(&[u64::from(number), salt, 78]).is_multiple_of(every) { Value::Null } else { value.into() }
    }

    /// A name or description, of at most 255 characters.
    pub(crate) fn name(&self, number: u32, plain: &str) -> String {
        if !self.is_hostile() {
            return format!("{plain} {}", number + 1);
        }
        match number % 7 {
            0 => format!("{plain} {}", number + 1),
            1 => "première ligne\nзаголовок\t№ 2".to_owned(),
            2 => "a \"quote\", a \\ and a \u{2028} separator".to_owned(),
            3 => String::new(),
            4 => "🛒 سلة التسوق".to_owned(),
            5 => "=1+1,'; DROP TABLE <b>&amp;".to_owned(),
            _ => format!("{plain} {} …", "long ".repeat(20)),
        }
    }

    /// A random number below `count`.
    pub(crate) fn below(&self, number: u32, salt: u64, count: u64) -> u64 {
        self.random(&[u64::from(number), salt, 79]) % count.max(1)
    }

    /// One of several words.
    pub(crate) fn one_of<'a>(&self, number: u32, salt: u64, words: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(number, salt, words.len() as u64)).unwrap_or(0);
        words.get(index).copied().unwrap_or_default()
    }

    /// An amount of money of at most `most` whole units.
    pub(crate) fn amount(&self, number: u32, salt: u64, most: u32) -> f64 {
        if self.is_hostile() && self.below(number, salt, 5) == 0 {
            return 123_456_789_012.34;
        }
        let cents = u32::try_from(self.below(number, salt, u64::from(most) * 100)).unwrap_or(0);
        f64::from(cents) / 100.0
    }

    /// A time in the last two years, which does not move with the sandbox's today.
    pub(crate) fn moment(&self, number: u32, salt: u64) -> String {
        let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap_or_default();
        let day = first + Days::new(self.below(number, salt, 500));
        let seconds = TimeDelta::seconds(i64::try_from(self.below(number, salt + 1, 86_400)).unwrap_or(0));
        spelled(day.and_time(NaiveTime::MIN).and_utc() + seconds, self.is_hostile(), number)
    }

    /// A day in 2025 or 2026.
    pub(crate) fn day(&self, number: u32, salt: u64) -> String {
        let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap_or_default();
        (first + Days::new(self.below(number, salt, 700))).to_string()
    }
}

/// A date-time; hostile ones have fractions and offsets.
fn spelled(moment: DateTime<Utc>, is_hostile: bool, number: u32) -> String {
    let format = match number % 3 {
        1 if is_hostile => "%Y-%m-%dT%H:%M:%S.123Z",
        2 if is_hostile => "%Y-%m-%dT%H:%M:%S+00:00",
        _ => "%Y-%m-%dT%H:%M:%SZ",
    };
    moment.format(format).to_string()
}
