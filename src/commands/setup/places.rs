//! The lists that `setup` offers: currencies and time zones.

use chrono_tz::Tz;
use iso_currency::Currency;

/// The currencies that Criteo converts to (developers.criteo.com, Campaign Statistics, Currencies), without those that
/// no longer exist.
const CURRENCIES: [&str; 110] = [
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AZN", "BAM", "BDT", "BGN", "BHD", "BND", "BOB", "BRL", "BSD",
    "BTN", "BWP", "CAD", "CHF", "CLP", "CNY", "COP", "CRC", "CZK", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "GBP",
    "GEL", "GHS", "GIP", "GTQ", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "ISK", "JMD", "JOD", "JPY",
    "KES", "KGS", "KHR", "KRW", "KWD", "KZT", "LAK", "LBP", "LKR", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT",
    "MOP", "MUR", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PHP", "PKR",
    "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SEK", "SGD", "SZL", "THB", "TJS", "TND", "TRY", "TTD",
    "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VND", "XAF", "XOF", "XPF", "YER", "ZAR", "ZMW",
];

/// Codes and names of the currencies; the account's own comes first.
pub(crate) fn currencies(first: Option<&str>) -> Vec<(&'static str, String)> {
    let name = |code: &str| Currency::from_code(code).map(|currency| currency.name().to_owned());
    let all = CURRENCIES.iter().filter_map(|code| Some((*code, name(code)?)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(code, _)| Some(*code) != first);
    all
}

/// Names of the time zones: `first`, UTC and all others that the configuration accepts.
pub(crate) fn zones(first: Tz) -> Vec<&'static str> {
    let others = chrono_tz::TZ_VARIANTS.iter().filter(|zone| **zone != Tz::UTC && **zone != first);
    let others = others.map(|zone| zone.name()).filter(|name| name.contains('/') && !name.starts_with("Etc/"));
    let utc = Some(Tz::UTC.name()).filter(|_| first != Tz::UTC);
    std::iter::once(first.name()).chain(utc).chain(others).collect()
}

/// The time zone of this machine, from `TZ` or the system.
pub(crate) fn zone_of_machine() -> Option<Tz> {
    let set = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    let name = set.or_else(|| iana_time_zone::get_timezone().ok())?;
    zone_named(name.trim_start_matches(':'))
}

/// A time zone that the configuration accepts.
pub(crate) fn zone_named(name: &str) -> Option<Tz> {
    let zone: Tz = name.parse().ok()?;
    match zone.name() {
        "UTC" | "UCT" | "Zulu" | "Universal" | "GMT" => Some(Tz::UTC),
        name if name.starts_with("Etc/") => ["Etc/UTC", "Etc/GMT", "Etc/UCT"].contains(&name).then_some(Tz::UTC),
        name => name.contains('/').then_some(zone),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::setup::places::*;

    #[test]
    fn every_listed_currency_has_a_name_and_the_first_is_the_accounts() {
        let listed = currencies(Some("SEK"));
        assert_eq!(listed.len(), CURRENCIES.len());
        assert_eq!(listed[0].0, "SEK");
        assert!(listed[0].1.starts_with("Swedish krona"), "{listed:?}");
        assert_eq!(currencies(None)[0].0, "AED");
    }

    #[test]
    fn zones_are_listed_once_and_are_valid_settings() {
        let listed = zones(Tz::Asia__Tokyo);
        assert_eq!(listed[..2], ["Asia/Tokyo", "UTC"]);
        let distinct: std::collections::BTreeSet<_> = listed.iter().collect();
        assert_eq!(distinct.len(), listed.len());
        let schema = &crate::config::SPEC["connectionSpecification"]["properties"]["timezone"];
        let validator = jsonschema::validator_for(schema).unwrap();
        for zone in listed {
            assert!(validator.is_valid(&serde_json::json!(zone)), "{zone}");
            assert!(zone_named(zone).is_some(), "{zone}");
        }
    }

    #[test]
    fn names_of_utc_are_utc_and_offsets_are_not_offered() {
        assert_eq!(zone_named("Etc/UTC"), Some(Tz::UTC));
        assert_eq!(zone_named("Etc/GMT+5"), None);
        assert_eq!(zone_named("EST5EDT"), None);
        assert_eq!(zone_named("Nowhere/Land"), None);
    }
}
