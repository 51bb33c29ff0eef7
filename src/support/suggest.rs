//! Suggestions for mistyped names.

/// Minimum Jaro-Winkler similarity of a suggestion.
const LEAST: f64 = 0.75;
const MOST: usize = 3;

/// Minimum similarity of a typo and the intended word.
const NEARLY: f64 = 0.92;

/// The probably intended word, for words that may be valid in another context.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(word, known), known));
    alike
        .filter(|(likeness, _)| *likeness >= NEARLY)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word)
}

/// ` Did you mean …?` with the most similar words, or an empty string.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let folded = word.to_lowercase();
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(&folded, &known.to_lowercase()), known));
    let mut alike: Vec<_> = alike.filter(|(likeness, _)| *likeness >= LEAST).collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    let words: Vec<_> = alike.iter().take(MOST).map(|(_, word)| *word).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => format!(" Did you mean {last}?"),
        Some((last, others)) => format!(" Did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::support::suggest::*;

    #[test]
    fn the_best_suggestions_come_first() {
        let known = ["campaigns", "campaign_statistics_daily", "ad_sets", "transactions"];
        assert!(did_you_mean("campains", known).starts_with(" Did you mean campaigns or "));
        assert_eq!(did_you_mean("AdSets", known), " Did you mean ad_sets?");
        assert_eq!(did_you_mean("zzz", known), "");
        assert_eq!(closest("campaings", known), Some("campaigns"));
        assert_eq!(closest("stream_maps", ["start_date", "timezone"]), None);
    }
}
