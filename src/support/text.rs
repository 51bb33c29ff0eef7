//! Text from outside, made safe to print.

use crate::support::redact;

/// Maximum length of third-party text in our messages, in characters.
const MAX_QUOTE_LEN: usize = 300;

/// Third-party text, shortened and on one line. Secrets are masked before shortening, since a partial secret would not
/// be recognized.
pub(crate) fn excerpt(text: &str) -> String {
    redact::clean_start(text, MAX_QUOTE_LEN).chars().map(redact::harmless).collect()
}
