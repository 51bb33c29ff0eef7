//! Parses Criteo's names of metrics.

use crate::products::marketing::metrics::meanings::{Page, Scope};

/// The column of an API name: an underscore before each capital after a small letter or digit, all in lower case. A
/// digit and a final `D` or `H` stay together.
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

/// A name without underscores and case, to compare spellings: `AdsetId`, `adSetId` and `ad_set_id` are equal.
#[must_use]
pub fn fold(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

/// An attribution window, written at the end of a metric's name.
#[derive(Debug)]
pub(crate) struct Window {
    suffix: &'static str,
    /// What a sale is credited to.
    pub(crate) words: &'static str,
    /// The longest time from click or view to sale, in days.
    days: u32,
    /// The page that describes it; `None` if derived from the name.
    pub(crate) source: Option<Page>,
}

const fn described(suffix: &'static str, words: &'static str, days: u32) -> Window {
    Window { suffix, words, days, source: Some(Page::AttributionModels) }
}

const fn derived(suffix: &'static str, words: &'static str, days: u32) -> Window {
    Window { suffix, words, days, source: None }
}

/// Longer suffixes first.
const WINDOWS: &[Window] = &[
    described("ClientAttribution", "clicks and views under the advertiser's own attribution rule", 30),
    described("Pc30d", "clicks in the previous 30 days", 30),
    described("Pc30", "clicks in the previous 30 days", 30),
    described("Pc7d", "clicks in the previous 7 days", 7),
    described("Pc1d", "clicks in the previous 24 hours", 1),
    described("Pv24h", "views in the previous 24 hours", 1),
    described("Pv24", "views in the previous 24 hours", 1),
    described("Pv1d", "views in the previous 24 hours", 1),
    described("PV1D", "views in the previous 24 hours", 1),
    derived("Lc", "the last click", 30),
    derived("Pc", "clicks", 30),
    derived("Pv", "views", 30),
    derived("Pi", "app installs", 30),
];

/// The parts of a metric's name: `OmnichannelSalesAllPc30d` is the measure `Sales`, two scopes and a window.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) measure: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) windows: Vec<&'static Window>,
}

impl Parts {
    pub(crate) fn of(metric: &str) -> Self {
        let (stem, windows) = windows(metric);
        let mut measure = stem.to_owned();
        let mut scopes = Vec::new();
        for scope in Scope::EVERY {
            if let Some(position) = scope.position(&measure) {
                measure.replace_range(position..position + scope.word().len(), "");
                scopes.push(scope);
            }
        }
        Self { measure, scopes, windows }
    }

    /// What a sale is credited to.
    pub(crate) fn attribution(&self) -> Option<String> {
        let words: Vec<_> = self.windows.iter().map(|window| window.words).collect();
        (!words.is_empty()).then(|| words.join(" and "))
    }

    pub(crate) fn attribution_days(&self) -> Option<u32> {
        self.windows.iter().map(|window| window.days).max()
    }

    /// Whether it counts what happens after an app install, which names express in several ways.
    pub(crate) fn is_post_install(&self) -> bool {
        self.windows.iter().any(|window| window.suffix == "Pi")
    }
}

fn windows(metric: &str) -> (&str, Vec<&'static Window>) {
    let mut rest = metric;
    let mut windows = Vec::new();
    while let Some((shorter, window)) =
        WINDOWS.iter().find_map(|window| Some((rest.strip_suffix(window.suffix)?, window)))
    {
        windows.insert(0, window);
        rest = shorter;
    }
    if rest.is_empty() { (metric, Vec::new()) } else { (rest, windows) }
}
