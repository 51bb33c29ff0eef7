//! Ids and codes.

use std::fmt;

use crate::support::redact;

/// An advertiser's id in Criteo's spelling: digits, with leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertiserId(pub String);

/// A currency code (ISO 4217): three capital letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(pub String);

/// The version segment of API paths, such as `2026-07`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersion(pub String);

/// Safe to print: an id from Criteo may contain any characters.
impl fmt::Display for AdvertiserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.chars().map(redact::harmless).collect::<String>())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn format_ids(advertisers: &[AdvertiserId]) -> String {
    let names: Vec<_> = advertisers.iter().take(20).map(ToString::to_string).collect();
    format!("{}{}", names.join(", "), if advertisers.len() > 20 { " and others" } else { "" })
}

/// Criteo's ids are digits; others are hashed.
pub(crate) fn numeric_id(id: &str) -> u64 {
    id.parse().unwrap_or_else(|_| id.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into())))
}
