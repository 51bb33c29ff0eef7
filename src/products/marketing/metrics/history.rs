//! Changes to Criteo's list of metrics since its publication. Each applied to all live versions together (history of
//! the `OpenAPI` documents).

use crate::products::marketing::metrics::{fold, metric_of_word};

/// When Criteo published the list.
const PUBLISHED: &str = "2025-10-02";

const ADDED: &[(&str, &[&str])] = &[
    (
        "2026-01-29",
        &[
            "CacClientAttribution",
            "CacLc30d",
            "CacPc1d",
            "CacPc30Pv24h",
            "CacPc30d",
            "CacPc7d",
            "CacPc7dPv24h",
            "CacPv14d",
            "CacPv24h",
            "CacPv30d",
            "CacPv7d",
        ],
    ),
    (
        "2026-07-27",
        &[
            "AllInMediaCost",
            "Cos",
            "NetMediaCost",
            "PlatformFeeEuro",
            "PotentialUsers",
            "RetailerMarginEuro",
            "VisitsAllPv1d",
        ],
    ),
];

/// When Criteo added a metric to the list.
#[must_use]
pub fn since(metric: &str) -> &'static str {
    ADDED.iter().find(|(_, names)| names.contains(&metric)).map_or(PUBLISHED, |(day, _)| day)
}

/// When Criteo removed a metric from the list, for any spelling; `None` for others.
#[must_use]
pub fn until(metric: &str) -> Option<&'static str> {
    match fold(metric) {
        metric if metric.starts_with("cac") => Some("2026-07-27"),
        metric if metric.ends_with("pc7dpv24h") => Some("2026-01-29"),
        _ => None,
    }
}

/// Criteo's spelling of a removed metric.
#[must_use]
pub fn retired(word: &str) -> Option<String> {
    let wanted = fold(word);
    let added = ADDED.iter().flat_map(|(_, names)| *names).find(|name| fold(name) == wanted);
    // Renamed metrics are listed without their last letter.
    let renamed = || Some(format!("{}h", metric_of_word(wanted.strip_suffix('h')?)?.name));
    until(word)?;
    added.map(|&name| name.to_owned()).or_else(renamed)
}

#[cfg(test)]
mod tests {
    use crate::products::marketing::metrics::history::*;
    use crate::products::marketing::metrics::metrics;

    #[test]
    fn the_current_list_has_no_removed_metric() {
        assert_eq!(metrics().iter().find(|metric| until(metric.name).is_some()).map(|metric| metric.name), None);
        let added_last = metrics().iter().filter(|metric| since(metric.name) == "2026-07-27").count();
        assert_eq!(added_last, 7);
        assert_eq!(until("SalesPc7dPv24h"), Some("2026-01-29"));
        assert_eq!((since("CacPc30d"), until("CacPc30d")), ("2026-01-29", Some("2026-07-27")));
        assert_eq!((until("cacpc30d"), until("SALES_PC7D_PV24H")), (Some("2026-07-27"), Some("2026-01-29")));
        let spelled = ["cac_pc30d", "salesPc7dPv24H", "clicks"].map(retired);
        assert_eq!(spelled, [Some("CacPc30d".to_owned()), Some("SalesPc7dPv24h".to_owned()), None]);
    }
}
