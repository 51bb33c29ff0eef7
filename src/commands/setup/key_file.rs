//! Reads the key file that partners.criteo.com downloads once, when a key is created.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::commands::read_bytes;
use crate::config::secrets;
use crate::error::{Error, Result};
use crate::support::clock::Clock;
use crate::support::{redact, scan};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub client_id: String,
    pub client_secret: String,
}

const MAX_VALUES: usize = 1000;

/// Labels of the key's parts, without blanks, `_` and `-`. Criteo's pages say "API Key" and "API Secret", other sources
/// "Client ID" and "Client Secret"; no sample file is public.
const ID: [&str; 3] = ["clientid", "apikey", "apiclientid"];
const SECRET: [&str; 4] = ["clientsecret", "apisecret", "apikeysecret", "apiclientsecret"];

const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The age of an older key explains no failure.
const YOUNG: Duration = Duration::from_mins(15);

/// Reads the key file. A file younger than [`YOUNG`] also dates the key: both are created together.
pub(crate) async fn read(path: &Path) -> Result<Map<String, Value>> {
    let bytes = read_bytes(path, "key").await?;
    let key = decode(&bytes).as_deref().and_then(parse).ok_or_else(|| {
        Error::config(format!(
            "{} contains neither client_id and client_secret nor an API Key and an API Secret. Use the text file that \
             partners.criteo.com downloads when you press \"Create new key\".",
            path.display()
        ))
    })?;
    redact::add(&key.client_secret);
    for (name, value) in [("client_id", &key.client_id), ("client_secret", &key.client_secret)] {
        if let Some(flaw) = secrets::flaw(value).filter(|flaw| flaw.is_fatal()) {
            return Err(Error::config(format!(
                "The key in {} cannot be used: its {name} {flaw}. Use the original file from partners.criteo.com.",
                path.display()
            )));
        }
    }
    let mut config = Map::new();
    config.insert("client_id".to_owned(), json!(key.client_id));
    config.insert("client_secret".to_owned(), json!(key.client_secret));
    let age =
        std::fs::metadata(path).and_then(|data| data.modified()).ok().and_then(|modified| modified.elapsed().ok());
    if let Some(age) = age.filter(|age| *age < YOUNG) {
        let created = Clock::default().now() - age;
        config.insert("key_created_at".to_owned(), json!(created.to_rfc3339_opts(SecondsFormat::Secs, true)));
    }
    Ok(config)
}

/// The permissions of a file that other users can open.
pub(crate) fn mode_if_shared(path: &Path) -> Option<u32> {
    let data = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mode = data.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Says that other users can open the key file.
pub(crate) fn shared(path: &Path, mode: u32) -> String {
    format!("Other users of this machine can open {} (mode {mode:03o}).", path.display())
}

/// Makes a file readable and writable only by its owner.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| {
        Error::config(format!("The permissions of {} cannot be changed: {error}. Ask its owner.", path.display()))
    })
}

/// Decodes UTF-8 and UTF-16, the latter also without a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let is_wide = |first: usize| bytes.len() >= 4 && bytes[first] == 0 && bytes[first + 2] == 0;
    match bytes {
        [0xff, 0xfe, rest @ ..] => decode_wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => decode_wide(rest, u16::from_be_bytes),
        _ if is_wide(1) => decode_wide(bytes, u16::from_le_bytes),
        _ if is_wide(0) => decode_wide(bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

fn decode_wide(bytes: &[u8], number: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    String::from_utf16(&pairs.iter().map(|pair| number(*pair)).collect::<Vec<_>>()).ok()
}

/// Finds both parts. The format is undocumented: accepts JSON, tables with a header, and labels followed by a value on
/// the same or next line.
pub(crate) fn parse(text: &str) -> Option<Key> {
    let text = text.trim_start_matches('\u{feff}');
    if let Ok(document) = scan::tree(text, MAX_VALUES) {
        return of_json(&document);
    }
    of_table(text).or_else(|| Some(Key { client_id: value(text, &ID)?, client_secret: value(text, &SECRET)? }))
}

fn of_json(document: &Value) -> Option<Key> {
    match document {
        Value::Object(object) => {
            let part = |labels: &[&str]| {
                let (_, value) = object.iter().find(|(name, _)| labels.contains(&bare(name).as_str()))?;
                Some(secrets::cleaned(value.as_str()?).into_owned())
            };
            let key = part(&ID).zip(part(&SECRET));
            key.map(|(client_id, client_secret)| Key { client_id, client_secret })
                .or_else(|| object.values().find_map(of_json))
        }
        Value::Array(items) => items.iter().find_map(of_json),
        _ => None,
    }
}

fn of_table(text: &str) -> Option<Key> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    SEPARATORS.iter().find_map(|separator| {
        let mut lines = lines.clone();
        let (id, secret) = lines.find_map(|line| {
            let names: Vec<_> = cells(line, *separator).iter().map(|name| bare(name)).collect();
            let column = |labels: &[&str]| names.iter().position(|name| labels.contains(&name.as_str()));
            column(&ID).zip(column(&SECRET))
        })?;
        let values = cells(lines.next()?, *separator);
        let part = |column: usize| values.get(column).filter(|value| !value.is_empty()).cloned();
        Some(Key { client_id: part(id)?, client_secret: part(secret)? })
    })
}

/// The cells of a line; separators in quotes do not count.
fn cells(line: &str, separator: char) -> Vec<String> {
    let mut is_quoted = false;
    let cells = line.split(|letter: char| {
        is_quoted ^= letter == '"';
        letter == separator && !is_quoted
    });
    cells.map(|cell| secrets::cleaned(cell).into_owned()).collect()
}

fn bare(label: &str) -> String {
    label.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// The value after a label, on the same line or the next one with text.
fn value(text: &str, labels: &[&str]) -> Option<String> {
    let mut lines = text.lines();
    let rest = lines.by_ref().find_map(|line| after_label(line, labels))?;
    let found = Some(cleaned(rest)).filter(|value| !value.is_empty());
    let next = || lines.map(str::trim).find(|line| !line.is_empty()).filter(|line| !is_label(line)).map(cleaned);
    // Neither part contains blanks or brackets, so such text is a remark.
    found.or_else(next).filter(|value| !value.is_empty() && !value.contains([' ', '\t', '(', ')']))
}

fn is_label(line: &str) -> bool {
    after_label(line, &ID).is_some() || after_label(line, &SECRET).is_some()
}

fn after_label<'a>(line: &'a str, labels: &[&str]) -> Option<&'a str> {
    labels.iter().find_map(|label| {
        line.char_indices().find_map(|(start, _)| {
            let rest = without(&line[start..], label)?;
            // `client_identity` and "API key secret" are different labels.
            let is_word = rest.starts_with(|letter: char| letter.is_alphanumeric())
                || bare(rest.split([':', '=', ',']).next().unwrap_or_default()) == "secret";
            (!is_word).then_some(rest)
        })
    })
}

/// The text after `label`, matched in any case and with blanks, `_` or `-` in it.
fn without<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let mut letters = text.char_indices();
    for wanted in label.chars() {
        let is_first = letters.offset() == 0;
        let (_, letter) = letters.find(|(_, letter)| is_first || ![' ', '_', '-'].contains(letter))?;
        if !letter.eq_ignore_ascii_case(&wanted) {
            return None;
        }
    }
    text.get(letters.offset()..)
}

fn cleaned(text: &str) -> String {
    // A secret may end with equals signs, so only leading ones are removed.
    let text = text.trim_start_matches([' ', '\t', ':', '=', ',', ';', '"', '\'', '|', '`']);
    let text = text.trim_end().trim_end_matches([',', ';', '"', '\'', '`', ' ']);
    secrets::cleaned(text).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::commands::setup::key_file::*;

    #[test]
    fn id_and_secret_are_found_in_every_format() {
        for text in [
            "client_id: abc\nclient_secret: a+b/c=\n",
            "\u{feff}Client ID = abc\r\nClient Secret = a+b/c=\r\n",
            "{\n  \"client_id\": \"abc\",\n  \"client_secret\": \"a+b/c=\"\n}",
            r#"{"clientId":"abc","clientSecret":"a+b/c="}"#,
            r#"[{"name": "mine", "credentials": {"API Key": "abc", "API Secret": "a+b/c="}}]"#,
            "Your key\n\nClient Id\nabc\n\nClient Secret\na+b/c=\n",
            "Your Client ID: abc\nYour Client Secret: a+b/c=",
            "clientSecret\ta+b/c=\nclientId\tabc",
            "API Key: abc\nAPI Secret: a+b/c=\n",
            "API Key\nabc\nAPI Secret\na+b/c=\n",
            "api_key=abc\napi_secret=a+b/c=\n",
            "application_id: 7\nApi-Key: 'abc'\nApi-Secret: 'a+b/c='\n",
            "export CRITEO_CLIENT_ID=\"abc\"\nexport CRITEO_CLIENT_SECRET=\"a+b/c=\"\n",
            "client_id,client_secret\nabc,a+b/c=\n",
            "name;API Key;API Secret\r\n\"my; app\";\"abc\";\"a+b/c=\"\r\n",
            "client_id,abc\nclient_secret,a+b/c=\n",
            "\"client_id\",\"abc\"\n\"client_secret\",\"a+b/c=\"\n",
            "API Key: “abc”\nAPI Secret: a+b\u{200b}/c=\u{a0}\n",
            "API Key Secret: a+b/c=\nAPI Key: abc\n",
        ] {
            let key = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((key.client_id.as_str(), key.client_secret.as_str()), ("abc", "a+b/c="), "{text}");
        }
    }

    #[test]
    fn every_common_text_encoding_is_read() {
        let text = "API Key: abc\r\nAPI Secret: a+b/c=\r\n";
        let wide = |mark: bool, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let mark = mark.then_some(0xfeff);
            mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
        };
        let files =
            [text.as_bytes().to_vec(), [b"\xef\xbb\xbf", text.as_bytes()].concat(), wide(true, u16::to_le_bytes)];
        let files = files.into_iter().chain([
            wide(true, u16::to_be_bytes),
            wide(false, u16::to_le_bytes),
            wide(false, u16::to_be_bytes),
        ]);
        for file in files {
            let key = decode(&file).as_deref().and_then(parse);
            assert_eq!(key.map(|key| key.client_secret).as_deref(), Some("a+b/c="), "{file:?}");
        }
        assert_eq!(decode(b"abc\xff\xfe"), None);
    }

    #[test]
    fn a_label_is_not_a_value() {
        for text in [
            "",
            "client_id: abc",
            "client_id:\nclient_secret:\n",
            "client_id:\nclient_secret: a+b/c=",
            "client_id (public)\nabc\nclient_secret a+b/c=",
            "client_id,client_secret\n",
            "{\"client_id\": 7, \"client_secret\": \"x\"}",
            "client_identity: abc\nclient_secrets: x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
