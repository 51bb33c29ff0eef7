//! Masks secrets in all output, and removes terminal control characters. The secrets are global to the process, so that
//! text can be cleaned wherever it is shortened: a partial secret would not be recognized afterwards.
//!
//! A secret is found in any encoding that servers, proxies and programs apply: each byte may be percent-, HTML- or
//! JSON-escaped, and an escape may be escaped again. Its base64 and hex forms are found in the same way.

mod escapes;
mod search;
#[cfg(test)]
mod tests;

use std::sync::{PoisonError, RwLock};

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use serde_json::Value;

use crate::support::redact::search::end_of_match;

/// Shorter values are not masked: they would match parts of ordinary words.
const SHORTEST: usize = 6;
const MASK: &str = "***";

/// Maximum length of a secret; the rest is not recognized.
pub(crate) const MAX_LEN: usize = 64 * 1024;

static SECRETS: RwLock<Secrets> = RwLock::new(Secrets(Vec::new()));

/// The forms of all secrets, each found in every encoding.
struct Secrets(Vec<Vec<u8>>);

/// Registers a secret.
pub fn add(secret: &str) {
    SECRETS.write().unwrap_or_else(PoisonError::into_inner).add(secret);
}

/// Masks every known secret, in any encoding.
#[must_use]
pub fn clean(text: &str) -> String {
    clean_start(text, usize::MAX)
}

/// The first `characters` of [`clean`]'s result; no more of the text is processed than that needs.
#[must_use]
pub fn clean_start(text: &str, characters: usize) -> String {
    SECRETS.read().unwrap_or_else(PoisonError::into_inner).clean(text, characters)
}

/// Third-party text as one line of a log or terminal: without secrets, line breaks and control characters.
#[must_use]
pub fn line(text: &str) -> String {
    clean(text).chars().map(harmless).collect()
}

/// As [`line()`], but keeps line breaks.
#[must_use]
pub fn lines(text: &str) -> String {
    clean(text).chars().map(|letter| if letter == '\n' { letter } else { harmless(letter) }).collect()
}

/// Masks secrets and control characters in every string of a message. Unlike masking its text, this keeps the JSON
/// valid.
pub fn clean_message(message: &mut Value) {
    match message {
        Value::String(text) => *text = lines(text),
        Value::Array(items) => items.iter_mut().for_each(clean_message),
        Value::Object(members) => members.values_mut().for_each(clean_message),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces a control character by a space.
#[must_use]
pub fn harmless(letter: char) -> char {
    if is_obeyed(letter) { ' ' } else { letter }
}

/// Whether terminals or logs interpret a character instead of showing it: control characters (C0, DEL, C1), line and
/// paragraph separators, and bidirectional formatting.
#[must_use]
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control() // guard: control-characters
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

impl Secrets {
    fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut forms = vec![secret.as_bytes().to_vec(), HEXLOWER.encode(secret.as_bytes()).into_bytes()];
        let mut url = reqwest::Url::parse("a:/").ok();
        let encoded = url.as_mut().and_then(|url| {
            url.query_pairs_mut().append_key_only(secret);
            url.query().map(str::to_owned)
        });
        // HTTP basic authentication has the base64 of the encoded secret after a user name.
        for text in std::iter::once(secret).chain(encoded.as_deref().filter(|encoded| *encoded != secret)) {
            forms.extend((0..3).flat_map(|offset| base64(text.as_bytes(), offset)));
        }
        self.0.extend(forms.into_iter().filter(|form| form.len() >= SHORTEST));
        self.0.sort_unstable();
        self.0.dedup();
    }

    fn clean(&self, text: &str, characters: usize) -> String {
        let mut clean = String::new();
        let mut count = 0;
        // End of the secret being masked.
        let mut masked_until = 0;
        for (at, letter) in text.char_indices() {
            let end = self.0.iter().filter_map(|form| end_of_match(text.as_bytes(), at, form)).max().unwrap_or(0); // guard: mask-secrets
            let part = if end > masked_until && at >= masked_until {
                MASK
            } else if at < masked_until.max(end) {
                ""
            } else {
                &text[at..at + letter.len_utf8()]
            };
            masked_until = masked_until.max(end);
            for letter in part.chars() {
                if count == characters {
                    return clean;
                }
                clean.push(letter);
                count += 1;
            }
        }
        clean
    }
}

/// The base64 of a text that follows `offset` other bytes (modulo 3), in both alphabets: the part that does not depend
/// on its surroundings, and the same with the last character if nothing follows.
fn base64(text: &[u8], offset: usize) -> Vec<Vec<u8>> {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(text.iter().copied()).collect();
    let encoded = BASE64_NOPAD.encode(&padded).into_bytes();
    let start = (offset * 8).div_ceil(6);
    let for_urls = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    [padded.len() * 8 / 6, encoded.len()]
        .into_iter()
        .filter_map(|end| encoded.get(start..end))
        .flat_map(|known| [known.to_vec(), known.iter().map(for_urls).collect()])
        .collect()
}
