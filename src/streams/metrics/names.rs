//! The grammar of Criteo's names.

use super::meanings::{Page, Scope};

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

/// What ends the name of a metric that is credited to clicks and views.
#[derive(Debug)]
pub(super) struct Window {
    suffix: &'static str,
    /// What a sale is credited to.
    pub(super) words: &'static str,
    /// The days that it may take.
    days: u32,
    /// The page of Criteo's that says so; `None` where the words are derived from the name.
    pub(super) source: Option<Page>,
}

const fn described(suffix: &'static str, words: &'static str, days: u32) -> Window {
    Window { suffix, words, days, source: Some(Page::AttributionModels) }
}

const fn derived(suffix: &'static str, words: &'static str, days: u32) -> Window {
    Window { suffix, words, days, source: None }
}

/// The longer suffixes first.
const WINDOWS: &[Window] = &[
    described("ClientAttribution", "the clicks and views that the advertiser's own rule names", 30),
    described("Pc30d", "clicks of the 30 days before", 30),
    described("Pc30", "clicks of the 30 days before", 30),
    described("Pc7d", "clicks of the 7 days before", 7),
    described("Pc1d", "clicks of the 24 hours before", 1),
    described("Pv24h", "views of the 24 hours before", 1),
    described("Pv24", "views of the 24 hours before", 1),
    described("Pv1d", "views of the 24 hours before", 1),
    described("PV1D", "views of the 24 hours before", 1),
    derived("Lc", "the last click", 30),
    derived("Pc", "clicks", 30),
    derived("Pv", "views", 30),
    derived("Pi", "app installs", 30),
];

/// A metric's name taken apart: `OmnichannelSalesAllPc30d` is the measure `Sales`, two scopes and a window.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) measure: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) windows: Vec<&'static Window>,
}

impl Parts {
    pub(super) fn of(metric: &str) -> Self {
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

    /// What the name says about the time that a sale may lie after the click or view it is credited to.
    pub(super) fn attribution(&self) -> Option<String> {
        let words: Vec<_> = self.windows.iter().map(|window| window.words).collect();
        (!words.is_empty()).then(|| words.join(" and "))
    }

    /// The widest attribution window, in days.
    pub(super) fn attribution_days(&self) -> Option<u32> {
        self.windows.iter().map(|window| window.days).max()
    }

    /// Whether it counts what happens after an app install, which names write in several ways.
    pub(super) fn is_post_install(&self) -> bool {
        self.windows.iter().any(|window| window.suffix == "Pi")
    }
}

/// Takes the attribution windows off the end of a name.
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
