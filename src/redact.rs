//! Keeps secrets out of everything that is written. The secrets are those of the process, so that words can be cleaned
//! wherever they are shortened: a part of a secret would not be known again.

use std::sync::{PoisonError, RwLock};

use crate::config::SPEC;
use crate::scan;
use data_encoding::BASE64;

/// Shorter values are not masked: they would tear holes into ordinary words.
const SHORTEST: usize = 6;

/// No secret is longer, and no more of it is known again.
const LONGEST: usize = 64 * 1024;

static SECRETS: RwLock<Secrets> = RwLock::new(Secrets(Vec::new()));

/// Every spelling of every secret, longer ones first: a shorter one may be a part of them.
struct Secrets(Vec<String>);

/// Makes a secret known.
pub fn add(secret: &str) {
    SECRETS.write().unwrap_or_else(PoisonError::into_inner).add(secret);
}

/// Makes the secrets of a configuration known, also of one that is not valid: the texts under every key that the
/// specification marks as secret.
pub fn add_secrets_of(config: &str) {
    let properties = &SPEC["connectionSpecification"]["properties"];
    // What is no JSON holds no secret behind its mistake that anybody would take for one.
    let _ = scan::members(config.trim_start_matches('\u{feff}'), &mut |name, raw| {
        let is_secret = properties[name]["airbyte_secret"] == true;
        if let Some(secret) = scan::text(raw, LONGEST).filter(|_| is_secret && raw.starts_with('"')) {
            add(&secret);
            add(secret.trim());
        }
        Ok(())
    });
}

/// The text with every known secret masked: as it is, as in JSON, percent-encoded, and as base64.
#[must_use]
pub fn clean(text: &str) -> String {
    SECRETS.read().unwrap_or_else(PoisonError::into_inner).clean(text)
}

impl Secrets {
    fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut url = reqwest::Url::parse("a:/").ok();
        let encoded = url.as_mut().and_then(|url| {
            url.query_pairs_mut().append_key_only(secret);
            url.query().map(str::to_owned)
        });
        let small = encoded.as_deref().map(with_small_escapes);
        let base64 = BASE64.encode(secret.as_bytes()).trim_end_matches('=').to_owned();
        let spellings = [Some(secret.to_owned()), encoded, small, serde_json::to_string(secret).ok(), Some(base64)];
        self.0.extend(spellings.into_iter().flatten().map(|spelling| spelling.trim_matches('"').to_owned()));
        self.0.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        self.0.dedup();
    }

    fn clean(&self, text: &str) -> String {
        self.0.iter().fold(
            text.to_owned(),
            |text, secret| {
                if text.contains(secret) { text.replace(secret, "***") } else { text }
            },
        )
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
        let mut secrets = Secrets(Vec::new());
        secrets.add("a+b/c=\"d");
        secrets.add("short");
        let text =
            r#"plain a+b/c="d encoded a%2Bb%2Fc%3D%22d a%2bb%2fc%3d%22d escaped a+b/c=\"d base64 YStiL2M9ImQ= short"#;
        assert_eq!(secrets.clean(text), "plain *** encoded *** *** escaped *** base64 ***= short");
        secrets.add("ends with \\");
        assert_eq!(secrets.clean(r#"{"a":"ends with \\"}"#), r#"{"a":"***"}"#);
    }
}
