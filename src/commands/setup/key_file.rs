//! The text file that partners.criteo.com downloads once, when a key is made.

use serde_json::Value;

/// What a key file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub client_id: String,
    pub client_secret: String,
}

/// What the labels of the parts begin with.
const LABELS: [&str; 4] = ["client_", "client ", "client-", "client"];

/// Finds both parts, however they are written: Criteo does not document the form of the file. Known are JSON, and names with a
/// value behind them on the same line or on the next one.
pub(super) fn parse(text: &str) -> Option<Key> {
    let text = text.trim_start_matches('\u{feff}');
    if let Ok(Value::Object(object)) = serde_json::from_str(text) {
        let part = |part: &str| {
            let is_it = |name: &str| LABELS.iter().any(|label| name.eq_ignore_ascii_case(&format!("{label}{part}")));
            object.iter().find(|(name, _)| is_it(name)).and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        return Some(Key { client_id: part("id")?, client_secret: part("secret")? });
    }
    Some(Key { client_id: value(text, "id")?, client_secret: value(text, "secret")? })
}

/// What stands behind the label of a part, on its line or on the next one that is not empty.
fn value(text: &str, part: &str) -> Option<String> {
    let mut lines = text.lines();
    let rest = lines.by_ref().find_map(|line| behind_label(line, part))?;
    let found = Some(cleaned(rest)).filter(|value| !value.is_empty());
    let next = || lines.map(str::trim).find(|line| !line.is_empty()).filter(|line| !is_label(line)).map(cleaned);
    // Neither part has blanks or brackets, so these are words about it.
    found.or_else(next).filter(|value| !value.is_empty() && !value.contains([' ', '\t', '(', ')']))
}

fn is_label(line: &str) -> bool {
    behind_label(line, "id").is_some() || behind_label(line, "secret").is_some()
}

/// The rest of a line behind the label of a part; what stands in front of the label does not matter.
fn behind_label<'a>(line: &'a str, part: &str) -> Option<&'a str> {
    LABELS.iter().find_map(|label| {
        let label = format!("{label}{part}");
        let start = line.to_ascii_lowercase().find(&label)?;
        let rest = &line[start + label.len()..];
        // `client_identity` is another word.
        (!rest.starts_with(|letter: char| letter.is_alphanumeric())).then_some(rest)
    })
}

fn cleaned(text: &str) -> String {
    // A secret may end with a sign of equality, so only its front is freed from them.
    let text = text.trim_start_matches([' ', '\t', ':', '=', '"', '\'']);
    text.trim_end().trim_end_matches([',', '"', '\'', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_found_however_they_are_written() {
        for text in [
            "client_id: abc\nclient_secret: a+b/c=\n",
            "\u{feff}Client ID = abc\r\nClient Secret = a+b/c=\r\n",
            "{\n  \"client_id\": \"abc\",\n  \"client_secret\": \"a+b/c=\"\n}",
            r#"{"clientId":"abc","clientSecret":"a+b/c="}"#,
            "Your key\n\nClient Id\nabc\n\nClient Secret\na+b/c=\n",
            "Your Client ID: abc\nYour Client Secret: a+b/c=",
            "clientSecret\ta+b/c=\nclientId\tabc",
        ] {
            let key = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((key.client_id.as_str(), key.client_secret.as_str()), ("abc", "a+b/c="), "{text}");
        }
    }

    #[test]
    fn a_label_is_no_value() {
        for text in [
            "",
            "client_id: abc",
            "client_id:\nclient_secret:\n",
            "client_id:\nclient_secret: a+b/c=",
            "client_id (public)\nabc\nclient_secret a+b/c=",
            "{\"client_id\": 7, \"client_secret\": \"x\"}",
            "client_identity: abc\nclient_secrets: x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
