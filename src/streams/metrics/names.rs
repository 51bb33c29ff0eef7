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

/// What ends the name of a metric that is credited to clicks and views: the words for it, and the days it may take.
const WINDOWS: &[(&str, &str, u32)] = &[
    ("ClientAttribution", "the clicks and views that the advertiser's own rule names", 30),
    ("Pc30d", "clicks of the 30 days before", 30),
    ("Pc30", "clicks of the 30 days before", 30),
    ("Pc7d", "clicks of the 7 days before", 7),
    ("Pc1d", "clicks of the day before", 1),
    ("Pv24h", "views of the 24 hours before", 1),
    ("Pv24", "views of the 24 hours before", 1),
    ("Pv1d", "views of the day before", 1),
    ("PV1D", "views of the day before", 1),
    ("Lc", "the last click", 30),
    ("Pc", "clicks", 30),
    ("Pv", "views", 30),
    ("Pi", "app installs", 30),
];

fn windows(metric: &str) -> Vec<(&'static str, u32)> {
    let mut rest = metric;
    let mut windows = Vec::new();
    while let Some((shorter, window)) =
        WINDOWS.iter().find_map(|(suffix, words, days)| Some((rest.strip_suffix(suffix)?, (*words, *days))))
    {
        windows.insert(0, window);
        rest = shorter;
    }
    if rest.is_empty() { Vec::new() } else { windows }
}

/// Reads the attribution window off the end of a metric's name.
pub(super) fn attribution(metric: &str) -> Option<String> {
    let words: Vec<_> = windows(metric).into_iter().map(|(words, _)| words).collect();
    (!words.is_empty()).then(|| words.join(" and "))
}

/// The widest attribution window at the end of a metric's name, in days.
pub(super) fn attribution_days(metric: &str) -> Option<u32> {
    windows(metric).into_iter().map(|(_, days)| days).max()
}
