//! Keeps secrets out of everything that is written.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use data_encoding::BASE64;

use serde_json::Value;

use crate::config::SPEC;

/// Shorter values are not masked: they would tear holes into ordinary words.
const SHORTEST: usize = 6;

static GLOBAL: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// The one that knows the secrets of this process; others' words are cleaned by it before they are shortened.
#[must_use]
pub fn global() -> Redactor {
    GLOBAL.clone()
}

/// Knows the secrets of a run and masks them in text, as they are and percent-encoded.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Arc<RwLock<Vec<Masked>>>);

struct Masked(String);

impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Redactor {
    /// Makes a secret known.
    pub fn add(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut url = reqwest::Url::parse("a:/").ok();
        let encoded = url.as_mut().and_then(|url| {
            url.query_pairs_mut().append_key_only(secret);
            url.query().map(str::to_owned)
        });
        let base64 = BASE64.encode(secret.as_bytes()).trim_end_matches('=').to_owned();
        let small = encoded.as_deref().map(with_small_escapes);
        let spellings = [Some(secret.to_owned()), encoded, small, serde_json::to_string(secret).ok(), Some(base64)];
        for spelling in spellings.into_iter().flatten() {
            let spelling = spelling.trim_matches('"').to_owned();
            if !secrets.iter().any(|known| known.0 == spelling) {
                secrets.push(Masked(spelling));
            }
        }
        // Longer ones first: a shorter one may be a part of them.
        secrets.sort_by_key(|known| std::cmp::Reverse(known.0.len()));
    }

    /// Makes the secrets of a configuration known, also of one that is not valid: the texts under every key that the
    /// specification marks as secret.
    pub fn add_secrets_of(&self, config: &str) {
        let config: Value = serde_json::from_str(config.trim_start_matches('\u{feff}')).unwrap_or_default();
        let properties = SPEC["connectionSpecification"]["properties"].as_object();
        for (name, _) in properties.into_iter().flatten().filter(|(_, property)| property["airbyte_secret"] == true) {
            if let Some(secret) = config[name].as_str() {
                self.add(secret);
                self.add(secret.trim());
            }
        }
    }

    /// The text with every known secret masked.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(&secret.0) { text.replace(&secret.0, "***") } else { text }
        })
    }
}

/// `%2B` → `%2b`, as some servers write it.
fn with_small_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(part.floor_char_boundary(2));
        format!("{text}%{}{rest}", code.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_every_spelling() {
        let redactor = Redactor::default();
        redactor.add("a+b/c=\"d");
        redactor.add("short");
        let text =
            r#"plain a+b/c="d encoded a%2Bb%2Fc%3D%22d a%2bb%2fc%3d%22d escaped a+b/c=\"d base64 YStiL2M9ImQ= short"#;
        assert_eq!(redactor.clean(text), "plain *** encoded *** *** escaped *** base64 ***= short");
        redactor.add("ends with \\");
        assert_eq!(redactor.clean(r#"{"a":"ends with \\"}"#), r#"{"a":"***"}"#);
        assert_eq!(format!("{redactor:?}").matches("a+b").count(), 0);
    }
}
