//! Masks secrets in all output, and removes terminal control characters. The secrets are global to the process, so that
//! text can be cleaned wherever it is shortened: a partial secret would not be recognized afterwards.
//!
//! A secret is found in any encoding that servers, proxies and programs apply: each byte may be percent-, HTML- or
//! JSON-escaped, and an escape may be escaped again. Its base64 and hex forms are found in the same way.

use std::sync::{PoisonError, RwLock};

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use serde_json::Value;

/// Shorter values are not masked: they would match parts of ordinary words.
const SHORTEST: usize = 6;
const MASK: &str = "***";
/// How often an escape may be escaped again.
const DEPTH: u32 = 3; // guard: spellings-of-secrets
/// Maximum length of an HTML escape's name or number.
const MAX_ENTITY_LEN: usize = 8;
/// Maximum length of an escape, including nested escapes.
const MAX_ESCAPE_LEN: usize = 24;
/// HTML entity names of characters that occur in secrets.
const ENTITIES: [(&str, char); 35] = [
    ("amp", '&'),
    ("quot", '"'),
    ("apos", '\''),
    ("lt", '<'),
    ("gt", '>'),
    ("plus", '+'),
    ("sol", '/'),
    ("equals", '='),
    ("bsol", '\\'),
    ("colon", ':'),
    ("semi", ';'),
    ("comma", ','),
    ("period", '.'),
    ("excl", '!'),
    ("quest", '?'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("ast", '*'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lowbar", '_'),
    ("commat", '@'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("verbar", '|'),
    ("vert", '|'),
    ("lbrack", '['),
    ("lsqb", '['),
    ("rbrack", ']'),
    ("rsqb", ']'),
    ("lcub", '{'),
    ("rcub", '}'),
    ("grave", '`'),
    ("hat", '^'),
];

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

/// The end of the longest encoding of `form` that starts at `start`. One that the end of the text cuts off counts once
/// [`SHORTEST`] bytes match.
fn end_of_match(text: &[u8], start: usize, form: &[u8]) -> Option<usize> {
    let (first, wanted) = (text.get(start)?, form.first()?);
    if !is_mark(*first) && !spells(*first, *wanted) {
        return None;
    }
    // By number of matched bytes of the form: where such an encoding may end.
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); form.len() + 1];
    ends[0].push(start);
    for count in 0..form.len() {
        let mut here = std::mem::take(&mut ends[count]);
        let mut at = 0;
        while let Some(end) = here.get(at).copied() {
            at += 1;
            let rest = &text[end..];
            // A secret may contain line breaks and invisible characters.
            here.extend(unseen(rest).filter(|_| count > 0).map(|length| end + length));
            let is_cut = rest.first().is_none_or(|first| is_mark(*first) && rest.len() <= MAX_ESCAPE_LEN);
            if is_cut && count >= SHORTEST {
                return Some(text.len());
            }
            for unit in units(text, end, DEPTH) {
                let spelled = unit.bytes();
                let is_it = form
                    .get(count..count + spelled.len())
                    .is_some_and(|wanted| spelled.iter().zip(wanted).all(|(byte, wanted)| spells(*byte, *wanted)));
                if is_it && !ends[count + spelled.len()].contains(&unit.end) {
                    ends[count + spelled.len()].push(unit.end);
                }
            }
        }
    }
    ends.pop()?.into_iter().max()
}

/// The length of an invisible character at the start: a line break, a control character, or one without width.
fn unseen(text: &[u8]) -> Option<usize> {
    match text {
        [byte, ..] if byte.is_ascii_control() => Some(1),
        // U+00AD, U+0080 to U+009F
        [0xc2, 0xad | 0x80..=0x9f, ..] => Some(2),
        // U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF
        [0xe2, 0x80, 0x8b..=0x8f | 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa0..=0xaf, ..] | [0xef, 0xbb, 0xbf, ..] => Some(3),
        _ => None,
    }
}

/// Whether a byte matches another: some servers change case, and forms write `+` for a space.
fn spells(byte: u8, wanted: u8) -> bool {
    byte.eq_ignore_ascii_case(&wanted) || (byte == b'+' && wanted == b' ')
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'%' | b'&' | b'\\')
}

/// A decoded byte or character, and the end of its encoding.
#[derive(Clone, Copy, PartialEq)]
struct Unit {
    bytes: [u8; 4],
    length: usize,
    end: usize,
}

impl Unit {
    fn byte(byte: u8, end: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1, end }
    }

    fn character(character: char, end: usize) -> Self {
        let mut bytes = [0; 4];
        let length = character.encode_utf8(&mut bytes).len();
        Self { bytes, length, end }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn is(&self, byte: u8) -> bool {
        self.bytes() == [byte]
    }
}

/// The possible decodings at a position: the byte itself, or an escape, whose characters may be escaped in turn.
fn units(text: &[u8], at: usize, depth: u32) -> Vec<Unit> {
    let Some(first) = text.get(at) else { return Vec::new() };
    if depth == 0 || !is_mark(*first) {
        return vec![Unit::byte(*first, at + 1)];
    }
    let mut found = units(text, at, depth - 1);
    for mark in found.clone() {
        let escaped = match mark.bytes() {
            b"%" => hex(text, mark.end, 2)
                .and_then(|code| u8::try_from(code).ok())
                .map(|byte| Unit::byte(byte, mark.end + 2))
                .into_iter()
                .collect(),
            b"&" => entities(text, mark.end, depth - 1),
            b"\\" => backslashed(text, mark.end, depth - 1),
            _ => Vec::new(),
        };
        for unit in escaped {
            if !found.contains(&unit) {
                found.push(unit);
            }
        }
    }
    found
}

/// What may follow an ampersand: a name or a number, and an optional semicolon.
fn entities(text: &[u8], at: usize, depth: u32) -> Vec<Unit> {
    let mut found = Vec::new();
    for sign in units(text, at, depth).iter().filter(|sign| sign.is(b'#')) {
        let is_hex = text.get(sign.end).is_some_and(|byte| matches!(byte, b'x' | b'X'));
        let start = sign.end + usize::from(is_hex);
        let digits = word(text, start, if is_hex { u8::is_ascii_hexdigit } else { u8::is_ascii_digit });
        let code = u32::from_str_radix(digits, if is_hex { 16 } else { 10 }).ok().and_then(char::from_u32);
        found.extend(code.map(|code| Unit::character(code, start + digits.len())));
    }
    let name = word(text, at, u8::is_ascii_alphabetic);
    // Without a semicolon, more letters may follow.
    let named = ENTITIES
        .iter()
        .filter(|(entity, _)| name.get(..entity.len()).is_some_and(|start| start.eq_ignore_ascii_case(entity)));
    found.extend(named.map(|(entity, meaning)| Unit::character(*meaning, at + entity.len())));
    for unit in found.clone() {
        let ends = units(text, unit.end, depth).into_iter().filter(|end| end.is(b';'));
        found.extend(ends.map(|end| Unit { end: end.end, ..unit }));
    }
    found
}

/// What may follow a backslash, in JSON and in languages with similar escapes.
fn backslashed(text: &[u8], at: usize, depth: u32) -> Vec<Unit> {
    let mut found = Vec::new();
    for sign in units(text, at, depth) {
        let code = |length| hex(text, sign.end, length).map(|code| (code, sign.end + length));
        match sign.bytes() {
            [byte @ (b'"' | b'\'' | b'/' | b'\\')] => found.push(Unit::byte(*byte, sign.end)),
            b"n" => found.push(Unit::byte(b'\n', sign.end)),
            b"r" => found.push(Unit::byte(b'\r', sign.end)),
            b"t" => found.push(Unit::byte(b'\t', sign.end)),
            b"x" => found.extend(code(2).and_then(|(code, end)| Some(Unit::byte(u8::try_from(code).ok()?, end)))),
            b"u" => {
                let Some((code, end)) = code(4) else { continue };
                match char::from_u32(code) {
                    Some(character) => found.push(Unit::character(character, end)),
                    None => found.extend(low_half(text, code, end, depth)),
                }
            }
            _ => {}
        }
    }
    found
}

/// Decodes a surrogate pair whose first half was read.
fn low_half(text: &[u8], high: u32, at: usize, depth: u32) -> Option<Unit> {
    let slash = units(text, at, depth).into_iter().find(|unit| unit.is(b'\\') && text.get(unit.end) == Some(&b'u'))?;
    let low = u16::try_from(hex(text, slash.end + 1, 4)?).ok()?;
    let pair = [u16::try_from(high).ok()?, low];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some(Unit::character(character, slash.end + 5))
}

fn hex(text: &[u8], at: usize, length: usize) -> Option<u32> {
    let digits = text.get(at..at + length).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The run of ASCII characters of one kind at a position.
fn word(text: &[u8], at: usize, is_part: fn(&u8) -> bool) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().take(MAX_ENTITY_LEN).take_while(|byte| is_part(byte)).count();
    std::str::from_utf8(&rest[..length]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::support::redact::*;
    use data_encoding::{BASE64, BASE64URL};
    use proptest::prelude::*;
    use serde_json::json;

    fn knowing(secret: &str) -> Secrets {
        let mut secrets = Secrets(Vec::new());
        secrets.add(secret);
        secrets
    }

    fn percent(text: &str) -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    }

    fn html(text: &str) -> String {
        text.chars()
            .map(|letter| match letter {
                '&' => "&amp;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\'' => "&#39;".to_owned(),
                '+' => "&#x2B;".to_owned(),
                other => other.to_string(),
            })
            .collect()
    }

    fn json_escaped(text: &str) -> String {
        json!(text).to_string().trim_matches('"').replace('/', "\\/").replace('+', "\\u002B")
    }

    fn all_unicode(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    }

    /// The encodings that servers, proxies and programs apply to a secret, with the number of leading characters that
    /// are not part of it.
    fn spellings(secret: &str) -> Vec<(String, usize)> {
        let basic = format!("client:{secret}");
        let own = [
            secret.to_owned(),
            percent(secret),
            percent(secret).to_lowercase(),
            percent(&percent(secret)),
            percent(&html(secret)),
            percent(secret).replace("%20", "+"),
            html(secret),
            html(&html(secret)),
            html(&json_escaped(secret)),
            json_escaped(secret),
            json_escaped(&json_escaped(secret)),
            json_escaped(&percent(secret)),
            json_escaped(&html(&percent(secret))),
            all_unicode(secret),
            secret.chars().map(|letter| format!("&#{};", u32::from(letter))).collect::<Vec<_>>().concat(),
            BASE64.encode(secret.as_bytes()),
            BASE64URL.encode(secret.as_bytes()),
            data_encoding::HEXUPPER.encode(secret.as_bytes()),
            data_encoding::HEXLOWER.encode(secret.as_bytes()),
        ];
        let after = [
            (BASE64.encode(basic.as_bytes()), 9),
            (BASE64URL.encode(format!("x{basic}yz").as_bytes()), 10),
            (percent(&BASE64.encode(basic.as_bytes())), 9),
            (json_escaped(&BASE64.encode(basic.as_bytes())), 9),
        ];
        own.into_iter().map(|own| (own, 0)).chain(after).collect()
    }

    /// Whether more than six consecutive characters of a secret are visible.
    fn is_told(reported: &str, spelling: &str, start: usize) -> bool {
        let letters: Vec<char> = spelling.chars().skip(start).collect();
        letters.windows(7).any(|part| reported.contains(&part.iter().collect::<String>()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_spelling_of_a_secret_leaks_at_any_cut(
            secret in "[A-Za-z0-9+/=&\"' \\\\%é😀-]{12,40}",
            before in "[ .:=\"]{0,3}",
            after in "[ .;\"]{0,3}",
            cut in 0..400_usize,
        ) {
            let secrets = knowing(&secret);
            for (spelling, start) in spellings(&secret) {
                let text = format!("{before}{spelling}{after}");
                for reported in [secrets.clean(&text, usize::MAX), secrets.clean(&text, cut)] {
                    prop_assert!(!is_told(&reported, &spelling, start), "{spelling}: {reported}");
                }
                // Truncated by a third party: its first bytes alone are not recognizable as a secret.
                let reported = secrets.clean(&text[..text.floor_char_boundary(cut)], usize::MAX);
                let few = before.len() + start + SHORTEST * MAX_ESCAPE_LEN;
                prop_assert!(!is_told(&reported, &spelling, start) || reported.len() <= few, "{spelling}: {reported}");
            }
        }

        #[test]
        fn other_text_is_unchanged(text in "\\PC{0,200}") {
            prop_assert_eq!(knowing("kV8+q/Zr=&7\"x'").clean(&text, usize::MAX), text);
        }
    }

    #[test]
    fn secrets_are_masked_in_every_spelling() {
        let mut secrets = Secrets(Vec::new());
        secrets.add("a+b/c=\"d");
        secrets.add("short");
        let text =
            r#"plain a+b/c="d encoded a%2Bb%2Fc%3D%22d a%2bb%2fc%3d%22d escaped a+b/c=\"d base64 YStiL2M9ImQ= short"#;
        assert_eq!(secrets.clean(text, usize::MAX), "plain *** encoded *** *** escaped *** base64 ***= short");
        secrets.add("ends with \\");
        assert!(secrets.clean(r#"{"a":"ends with \\"}"#, usize::MAX).starts_with(r#"{"a":"***"#));
    }

    #[test]
    fn overlapping_and_truncated_secrets_are_fully_masked() {
        let mut secrets = knowing("abcdef-ghijkl");
        secrets.add("ghijkl-mnopqr");
        assert_eq!(secrets.clean("x abcdef-ghijkl-mnopqr y", usize::MAX), "x *** y");
        assert_eq!(secrets.clean("x abcdef-g", usize::MAX), "x ***");
        assert_eq!(secrets.clean("x ghijkl%2Dmno%7", usize::MAX), "x ***");
        assert_eq!(secrets.clean("xyz abcdef-ghijkl", 5), "xyz *");
    }

    #[test]
    fn secrets_are_masked_across_invisible_characters() {
        let secrets = knowing("abcdef-ghijkl+mno");
        // An escape near the end of a text may be a truncated one.
        let more = "so on, ".repeat(20);
        for sign in
            ["\n", "\r\n", "\t", "\0", "\u{1b}", "\u{85}", "\u{ad}", "\u{200b}", "\u{202e}", "\u{2060}", "\u{feff}"]
        {
            assert_eq!(
                secrets.clean(&format!("x abcdef-g{sign}hijkl{sign}%2Bmno and {more}"), usize::MAX),
                format!("x *** and {more}"),
                "{sign:?}"
            );
        }
        let mime = "YWJjZGVm\r\nLWdoaWprbCtt\r\nbm8=";
        assert_eq!(secrets.clean(&format!("x {mime} y"), usize::MAX), "x ***= y");
        assert_eq!(secrets.clean("x\nabcdef ghijkl+mno\ny", usize::MAX), "x\nabcdef ghijkl+mno\ny");
    }

    #[test]
    fn control_characters_are_removed_for_terminals_and_logs() {
        let hostile = "a\u{1b}[2Jb\rc\nd\u{9b}31me\u{202e}f\u{2028}g\u{7f}h\u{2067}i";
        assert_eq!(line(hostile), "a [2Jb c d 31me f g h i");
        assert_eq!(lines("a\nb\u{85}c"), "a\nb c");
        assert_eq!(line("é 東京 😀 \u{200d}"), "é 東京 😀 \u{200d}");
    }

    #[test]
    fn a_message_stays_valid_for_any_secret() {
        add("\",\"level\":\"");
        let mut message = json!({"type": "LOG", "log": {"level": "INFO", "message": "x \",\"level\":\" y\u{9b}"}});
        clean_message(&mut message);
        assert_eq!(message["log"], json!({"level": "INFO", "message": "x *** y "}));
    }
}
