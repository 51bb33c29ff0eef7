//! The grammar of Criteo's names.

/// Criteo's name as a column: an underscore before a capital that follows a small letter or a digit, then small
/// letters throughout; a digit followed by a final `D` or `H` belongs together.
///
/// `SalesAllPc30dPv24h` → `sales_all_pc30d_pv24h`, `ECosPc30d` → `ecos_pc30d`, `VisitsPV1D` → `visits_pv1d`.
#[must_use]
pub fn snake_case(api_name: &str) -> String {
    let mut column = String::with_capacity(api_name.len() + 8);
    let mut before = None::<char>;
    let mut letters = api_name.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_uppercase()
            && let Some(before) = before
        {
            let is_unit = before.is_ascii_digit() && matches!(letter, 'D' | 'H') && letters.peek().is_none();
            if (before.is_ascii_lowercase() || before.is_ascii_digit()) && !is_unit {
                column.push('_');
            }
        }
        column.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    column
}

/// What is left of a name when spelling does not count: `AdsetId`, `adSetId` and `ad_set_id` are one.
#[must_use]
pub fn fold(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Reads the attribution window off the end of a metric's name.
pub(super) fn attribution(metric: &str) -> Option<String> {
    const WINDOWS: &[(&str, &str)] = &[
        ("ClientAttribution", "the clicks and views that the advertiser's own rule names"),
        ("Pc30d", "clicks of the 30 days before"),
        ("Pc30", "clicks of the 30 days before"),
        ("Pc7d", "clicks of the 7 days before"),
        ("Pc1d", "clicks of the day before"),
        ("Pv24h", "views of the 24 hours before"),
        ("Pv24", "views of the 24 hours before"),
        ("Pv1d", "views of the day before"),
        ("PV1D", "views of the day before"),
        ("Lc", "the last click"),
        ("Pc", "clicks"),
        ("Pv", "views"),
        ("Pi", "app installs"),
    ];
    let mut rest = metric;
    let mut windows = Vec::new();
    while let Some((shorter, words)) =
        WINDOWS.iter().find_map(|(suffix, words)| Some((rest.strip_suffix(suffix)?, words)))
    {
        windows.insert(0, *words);
        rest = shorter;
    }
    (!windows.is_empty() && !rest.is_empty()).then(|| windows.join(" and "))
}
