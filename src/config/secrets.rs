//! Visible flaws of credentials: traces of copying, forms and templates. Messages name the flaw, never the value.

use std::borrow::Cow;
use std::fmt;

use secrecy::ExposeSecret;

use crate::config::{Credentials, SPEC};
use crate::support::{redact, scan};

const QUOTES: [(char, char); 8] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('‹', '›')];

/// Without blanks and punctuation.
const PLACEHOLDERS: [&str; 12] = [
    "clientid",
    "clientsecret",
    "refreshtoken",
    "apikey",
    "apisecret",
    "secret",
    "changeme",
    "placeholder",
    "todo",
    "redacted",
    "hidden",
    "masked",
];

/// Labels that are copied along with a value, without blanks and punctuation.
const LABELS: [&str; 8] =
    ["clientid", "clientsecret", "refreshtoken", "apikey", "apisecret", "secret", "granttype", "token"];

/// The visible flaws of the credentials, each as a sentence without its period.
#[must_use]
pub fn flaws(credentials: &Credentials) -> Vec<String> {
    let secret = credentials.client_secret.expose_secret();
    let refresh_token = credentials.refresh_token.as_ref().map(ExposeSecret::expose_secret);
    [
        ("client_id", Some(credentials.client_id.as_str())),
        ("client_secret", Some(secret)),
        ("refresh_token", refresh_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name} {}", flaw(value?)?)))
    .collect()
}

/// A visible flaw of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A line break or an invisible character.
    Invisible,
    /// Quotes around the value.
    Quoted,
    /// Stars instead of the value.
    Masked,
    /// A placeholder from an example.
    Placeholder,
    /// The value with its label.
    Labelled,
    /// HTML escapes, such as `&amp;`.
    Html,
    /// Percent escapes, such as `%2B`.
    Percent,
}

impl Flaw {
    /// Whether there is no real value at all.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Masked | Self::Placeholder)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invisible => {
                "contains a line break or an invisible character, often copied from a web page or an email"
            }
            Self::Quoted => "is wrapped in extra quotes",
            Self::Masked => "is masked with stars or dots",
            Self::Placeholder => "is a placeholder from an example",
            Self::Labelled => "starts with its own label",
            Self::Html => "contains HTML escapes, such as &amp;",
            Self::Percent => "contains percent escapes, such as %2B",
        })
    }
}

/// The first flaw of a value.
#[must_use]
pub fn flaw(value: &str) -> Option<Flaw> {
    [
        (Flaw::Invisible, value.chars().any(is_invisible)),
        (Flaw::Quoted, unquoted(value).is_some()),
        (Flaw::Masked, value.chars().filter(|letter| ['*', '•', '●'].contains(letter)).count() >= 3),
        (Flaw::Placeholder, is_placeholder(value)),
        (Flaw::Labelled, is_labelled(value)),
        (Flaw::Html, has_entity(value)),
        (Flaw::Percent, has_percent_escape(value)),
    ]
    .into_iter()
    .find_map(|(flaw, is_there)| is_there.then_some(flaw))
}

/// The value without invisible characters and enclosing quotes.
#[must_use]
pub fn cleaned(value: &str) -> Cow<'_, str> {
    if flaw(value).is_none() && value.trim().len() == value.len() {
        return Cow::Borrowed(value);
    }
    let mut text: String = value.chars().filter(|letter| !is_invisible(*letter)).collect();
    text = text.trim().to_owned();
    while let Some(inner) = unquoted(&text) {
        text = inner.trim().to_owned();
    }
    Cow::Owned(text)
}

fn unquoted(value: &str) -> Option<&str> {
    QUOTES
        .iter()
        .find_map(|(start, end)| value.strip_prefix(*start)?.strip_suffix(*end))
        .filter(|inner| !inner.is_empty())
}

fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{a0}' | '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}' | '\u{3000}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fffd}')
}

fn is_placeholder(value: &str) -> bool {
    let is_template = [("<", ">"), ("${", "}"), ("{{", "}}"), ("[", "]"), ("%(", ")s")]
        .iter()
        .any(|(start, end)| value.starts_with(start) && value.ends_with(end));
    let bare: String = value.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
    let is_crossed_out = bare.len() >= 3 && bare.chars().all(|letter| letter == 'x');
    let rest = ["your", "my", "the", "insert", "enter", "criteo"]
        .iter()
        .fold(bare.as_str(), |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    // For example "the client_secret of your key file".
    let is_sentence = value.split_whitespace().count() > 4;
    is_template || is_crossed_out || is_sentence || PLACEHOLDERS.contains(&rest.strip_suffix("here").unwrap_or(rest))
}

fn is_labelled(value: &str) -> bool {
    let Some((name, rest)) = value.split_once([':', '=']) else { return false };
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let is_label = LABELS.iter().any(|label| bare == *label || bare == format!("criteo{label}"));
    // A secret may end with equals signs.
    is_label && !rest.trim_matches('=').is_empty()
}

fn has_entity(value: &str) -> bool {
    value.split('&').skip(1).any(|part| {
        part.split_once(';').is_some_and(|(name, _)| {
            let number = name.strip_prefix('#').map(|number| number.strip_prefix(['x', 'X']).unwrap_or(number));
            ["amp", "quot", "apos", "lt", "gt", "nbsp", "plus", "equals", "sol"].contains(&name)
                || number.is_some_and(|number| {
                    !number.is_empty() && number.len() < 6 && number.chars().all(|digit| digit.is_ascii_hexdigit())
                })
        })
    })
}

fn has_percent_escape(value: &str) -> bool {
    value.split('%').skip(1).any(|part| {
        let code: String = part.chars().take(2).collect::<String>().to_uppercase();
        // Escapes of characters that occur in Criteo's secrets and that URLs must escape, and of an escaped percent
        // sign.
        ["2B", "2F", "3D", "25", "20", "26", "22", "0A", "0D", "3A", "40"].contains(&code.as_str())
    })
}

/// Registers a configuration's secrets, even if it is invalid: the strings under every key that the specification marks
/// as secret.
pub(crate) fn mask_secrets_of(config: &str) {
    let properties = &SPEC["connectionSpecification"]["properties"];
    // After a JSON syntax error, nothing is recognizable as a secret.
    let _ = scan::members(config.trim_start_matches('\u{feff}'), &mut |name, raw| {
        let is_secret = properties[name]["airbyte_secret"] == true;
        if let Some(secret) = scan::text(raw, redact::MAX_LEN).filter(|_| is_secret && raw.starts_with('"')) {
            redact::add(&secret);
            redact::add(secret.trim());
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use crate::config::secrets::*;

    #[test]
    fn each_secret_flaw_has_its_own_description() {
        for (value, part) in [
            ("\"abcdef\"", "quotes"),
            ("“abcdef”", "quotes"),
            ("abc\u{200b}def", "invisible character"),
            ("\u{feff}abcdef", "invisible character"),
            ("abc\ndef", "line break"),
            ("********", "stars"),
            ("••••••", "stars"),
            ("ab12****", "stars"),
            ("<client_secret>", "placeholder"),
            ("your_client_secret", "placeholder"),
            ("YOUR-CLIENT-ID-HERE", "placeholder"),
            ("xxxxxx", "placeholder"),
            ("the client_secret of your key file", "placeholder"),
            ("${CRITEO_SECRET}", "placeholder"),
            ("client_secret: abcdef", "its own label"),
            ("API Secret=abcdef", "its own label"),
            ("a&amp;bcdef", "HTML"),
            ("a&#43;bcdef", "HTML"),
            ("a%2Bb%2Fc%3D", "percent"),
        ] {
            let said = flaw(value).map(|flaw| flaw.to_string()).unwrap_or_default();
            assert!(said.contains(part), "{value}: {said}");
        }
    }

    #[test]
    fn a_secret_generated_by_criteo_has_no_flaw() {
        for value in [
            "abc",
            "none",
            "x",
            "a+b/c=&d%\"é\\ end",
            "sandbox+secret/with=signs",
            "secret-of-mine==",
            "0f8fad5bd9cb469fa16570867728950e",
            "token-of-mine",
            "\"",
        ] {
            assert_eq!(flaw(value), None, "{value}");
            assert_eq!(cleaned(value), value);
        }
    }

    #[test]
    fn characters_around_a_value_are_removed() {
        for value in ["\"a+b/c=\"", " '“a+b/c=”' ", "\u{feff}a+b\u{200b}/c=\u{a0}\r\n", "a+b/c="] {
            assert_eq!(cleaned(value), "a+b/c=", "{value:?}");
        }
    }
}
