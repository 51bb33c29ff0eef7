//! The text file that partners.criteo.com downloads once, when a key is made.

/// What a key file holds.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    pub client_id: String,
    pub client_secret: String,
}

/// Finds both parts, however they are written: Criteo does not document the form of the file. Known are names with a value
/// behind them on the same line or on the next one.
pub(super) fn parse(text: &str) -> Option<Key> {
    Some(Key { client_id: value(text, "id")?, client_secret: value(text, "secret")? })
}

fn value(text: &str, part: &str) -> Option<String> {
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().map(|line| line.trim_start_matches(['{', ' ', '\t', '"']));
    while let Some(line) = lines.next() {
        let rest = ["client_", "client ", "client-", "client"].iter().find_map(|name| {
            let label = format!("{name}{part}");
            let is_label = line.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(&label));
            is_label.then(|| &line[label.len()..])
        });
        if let Some(rest) = rest {
            let cleaned = |text: &str| {
                // A secret may end with a sign of equality, so only its front is freed from them.
                let text = text.trim_start_matches([' ', '\t', ':', '=', '"', '\'']);
                text.trim_end().trim_end_matches(['}', ',', '"', '\'', ' ']).to_owned()
            };
            let found = Some(cleaned(rest)).filter(|value| !value.is_empty());
            return found.or_else(|| lines.map(cleaned).find(|value| !value.is_empty()));
        }
    }
    None
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
            "Your key\n\nClient Id\nabc\n\nClient Secret\na+b/c=\n",
            "clientSecret\ta+b/c=\nclientId\tabc",
        ] {
            let key = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((key.client_id.as_str(), key.client_secret.as_str()), ("abc", "a+b/c="), "{text}");
        }
        for text in ["", "client_id: abc", "client_id:\nclient_secret:\n"] {
            assert!(parse(text).is_none_or(|key| key.client_secret.is_empty() || text.contains('\n')), "{text}");
        }
    }
}
