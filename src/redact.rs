//! Keeps secrets out of everything that is written.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::config::SPEC;

/// Shorter values are not masked: they would tear holes into ordinary words.
const SHORTEST: usize = 6;

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
        let encoded = |text: &str| {
            let mut url = reqwest::Url::parse("a:/").ok()?;
            url.query_pairs_mut().append_key_only(text);
            url.query().map(str::to_owned)
        };
        let spellings = [Some(secret.to_owned()), encoded(secret), serde_json::to_string(secret).ok()];
        for spelling in spellings.into_iter().flatten() {
            let spelling = spelling.trim_matches('"').to_owned();
            if !secrets.iter().any(|known| known.0 == spelling) {
                secrets.push(Masked(spelling));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_every_spelling() {
        let redactor = Redactor::default();
        redactor.add("a+b/c=\"d");
        redactor.add("short");
        let text = r#"plain a+b/c="d encoded a%2Bb%2Fc%3D%22d escaped a+b/c=\"d short"#;
        assert_eq!(redactor.clean(text), "plain *** encoded *** escaped *** short");
        assert_eq!(format!("{redactor:?}").matches("a+b").count(), 0);
    }
}
