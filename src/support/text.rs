//! Text for messages: quotes of others, made safe to print, and lists.

use crate::support::redact;

/// Maximum length of third-party text in our messages, in characters.
const MAX_QUOTE_LEN: usize = 300;

/// Third-party text, shortened and on one line. Secrets are masked before shortening, since a partial secret would not
/// be recognized.
pub(crate) fn excerpt(text: &str) -> String {
    redact::clean_start(text, MAX_QUOTE_LEN).chars().map(redact::harmless).collect()
}

/// Joins the first few and counts the rest.
pub(crate) fn list_of(texts: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let count = texts.len();
    let shown: Vec<_> = texts.take(SHOWN).collect();
    match count.saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A count with its noun, in the plural unless it is one.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
