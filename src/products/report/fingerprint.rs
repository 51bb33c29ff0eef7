//! What a state depends on.

use crate::products::report::Report;

/// What a state depends on, in two parts with different consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Currency, time zone and dimensions: after a change, old rows would remain next to new ones with different keys.
    pub keys: String,
    /// A hash of metrics and filters: after a change, rows already synced keep their old columns.
    pub values: String,
}

impl Report {
    /// What a state depends on. Another currency, time zone or dimension changes the keys of rows; other metrics or
    /// filters change only values.
    #[must_use]
    pub fn fingerprint(&self, selected_metrics: &[String]) -> Fingerprint {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.join(",")
        };
        let values = [
            sorted(selected_metrics),
            sorted(&self.filters.ad_set_ids),
            sorted(&self.filters.ad_set_names),
            sorted(&self.filters.ad_set_status),
            format!(
                "{:?} {:?} {:?}",
                self.filters.disclosed.filter(|is| !is),
                self.filters.environment,
                self.filters.event_type
            ),
        ];
        let currency = if self.asks_for_currency() { self.currency.to_string() } else { String::new() };
        let numbered = if self.numbers_rows { "|row_number" } else { "" };
        Fingerprint {
            // Without a requested currency, money is in the advertiser's currency.
            keys: format!("{currency}|{}|{}{numbered}", self.timezone, sorted(&self.dimensions)),
            values: format!("{:016x}", fnv1a(values.join("|").as_bytes())),
        }
    }
}

/// The FNV-1a hash: small, and stable across machines and releases.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
