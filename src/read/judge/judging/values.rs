//! The values of a row, by the roles of their columns.

use chrono::Datelike as _;

use crate::model::ids::numeric_id;
use crate::products::schema::ColumnType;
use crate::read::judge::hash::hash;
use crate::read::judge::judging::{Judging, MAX_NAMED, Role, unreadable};
use crate::read::judge::text_of;
use crate::read::sums::is_plausible;
use crate::rows::coerce::{Outcome, coerce, day_of, instant_of};
use crate::rows::fields::{Fields, Layout, unwrapped};
use crate::support::text::excerpt;

impl Judging<'_> {
    fn advertiser(&mut self, index: usize, raw: &str) {
        if self.parts[index].last == raw {
            self.advertiser = self.last_advertiser;
            return;
        }
        let text = text_of(raw);
        self.advertiser = (!text.is_empty()).then(|| numeric_id(&text));
        // guard: advertiser-of-rows
        if !text.is_empty() && !self.advertisers.is_empty() && !self.advertisers.contains(&*text) {
            self.outside.get_or_insert_with(|| format!("a row of advertiser {}", excerpt(&text)));
        }
        self.last_advertiser = self.advertiser;
        raw.clone_into(&mut self.parts[index].last);
    }

    fn period(&mut self, index: usize, raw: &str) {
        let part = &self.parts[index];
        if part.last == raw {
            self.key = self.key.wrapping_add(part.last_hash);
            self.day = if part.role == Role::Period { self.last_day } else { self.day };
            return;
        }
        let text = text_of(raw);
        let text = text.trim();
        let Some(day) = day_of(text, part.reading) else {
            if !text.is_empty() || part.role == Role::Hour {
                self.unreadable.get_or_insert_with(|| unreadable(&part.name, raw));
            }
            return;
        };
        // guard: window-of-rows
        if day < self.first_day || day > self.expected.window.end {
            self.outside_window.get_or_insert_with(|| format!("a row whose {} is {}", part.name, excerpt(text)));
        }
        let found = if part.reading.column_type == ColumnType::Date {
            hash(index, &day.num_days_from_ce().to_le_bytes())
        } else {
            let instant = instant_of(text).map_or(0, |instant| instant.timestamp());
            hash(index, &instant.to_le_bytes())
        };
        if part.role == Role::Period {
            if day != self.expected.window.start {
                self.weekdays |= 1 << day.weekday().num_days_from_monday();
            }
            self.day = Some(day);
            self.last_day = self.day;
        }
        self.key = self.key.wrapping_add(found);
        let part = &mut self.parts[index];
        part.last_hash = found;
        raw.clone_into(&mut part.last);
    }

    /// An invalid event date counts as outside the window.
    fn event(&mut self, index: usize, raw: &str) {
        self.events += 1;
        let part = &self.parts[index];
        if part.last == raw {
            return;
        }
        let day = day_of(text_of(raw).trim(), part.reading);
        self.outside_by_event |= day.is_none_or(|day| day < self.first_day || day > self.expected.window.end);
        raw.clone_into(&mut self.parts[index].last);
    }

    fn currency(&mut self, index: usize, raw: &str) {
        if self.parts[index].last == raw {
            self.key = self.key.wrapping_add(self.parts[index].last_hash);
            return;
        }
        let text = text_of(raw);
        let upper = text.to_uppercase();
        let asked = self.expected.report.currency.to_string();
        if upper != text && self.notes.len() < MAX_NAMED {
            self.notes.insert(format!(
                "Criteo spells the currency {}; records have {}.",
                excerpt(&text),
                excerpt(&upper)
            ));
        }
        // A row without a currency has the requested one.
        let is_asked = upper.is_empty() || upper == asked;
        // guard: currency-of-rows
        if !is_asked && self.expected.report.asks_for_currency() {
            self.outside.get_or_insert_with(|| format!("a row in {} (requested: {asked})", excerpt(&upper)));
        }
        let found = if is_asked || !self.parts[index].is_key { 0 } else { hash(index, upper.as_bytes()) };
        self.key = self.key.wrapping_add(found);
        let part = &mut self.parts[index];
        part.last_hash = found;
        raw.clone_into(&mut part.last);
    }

    fn total(&mut self, index: usize, metric: usize, raw: &str) {
        let reading = self.parts[index].reading;
        self.scratch.clear();
        match coerce(raw, reading, &mut self.scratch) {
            Outcome::Null => {}
            Outcome::Misfit => self.is_unsummed = true,
            Outcome::Written => {
                let text = str::from_utf8(&self.scratch).unwrap_or_default();
                match text.parse::<f64>() {
                    Ok(value) if is_plausible(metric, value) => {
                        self.sum.values[metric] = value;
                        self.precision.learn(metric, text, value);
                    }
                    _ => self.is_unsummed = true,
                }
            }
        }
    }

    /// Null, empty and missing count as the same value.
    fn key_part(&mut self, index: usize, raw: &str) {
        let part = &self.parts[index];
        if part.reading.column_type == ColumnType::Text {
            let text = text_of(raw);
            if !text.is_empty() {
                self.key = self.key.wrapping_add(hash(index, text.as_bytes()));
            }
            return;
        }
        self.scratch.clear();
        match coerce(raw, part.reading, &mut self.scratch) {
            Outcome::Written => self.key = self.key.wrapping_add(hash(index, &self.scratch)),
            Outcome::Null | Outcome::Misfit => {
                self.unreadable.get_or_insert_with(|| unreadable(&part.name, raw));
            }
        }
    }
}

impl Fields for Judging<'_> {
    const WANTS_UNKNOWN: bool = false;

    fn layout(&mut self) -> &mut Layout {
        &mut self.layout
    }

    fn value<E>(&mut self, column: usize, raw: &str) -> std::result::Result<(), E> {
        let part = &mut self.parts[column];
        if part.row == self.row {
            return Ok(());
        }
        part.row = self.row;
        let role = part.role;
        if role == Role::Other {
            return Ok(());
        }
        let raw = unwrapped(raw, part.reading.column_type);
        match role {
            Role::Advertiser => self.advertiser(column, raw),
            Role::Period | Role::Hour => self.period(column, raw),
            Role::Event => self.event(column, raw),
            Role::Currency => self.currency(column, raw),
            Role::Total(metric) => self.total(column, metric, raw),
            Role::Key => self.key_part(column, raw),
            Role::Other => {}
        }
        Ok(())
    }

    fn unknown(&mut self, _: String, _: &str) {}
}
