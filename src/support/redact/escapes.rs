//! Decodes percent, HTML and JSON escapes, which may be escaped again.

/// Maximum length of an HTML escape's name or number.
const MAX_ENTITY_LEN: usize = 8;
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

pub(super) fn is_mark(byte: u8) -> bool {
    matches!(byte, b'%' | b'&' | b'\\')
}

/// A decoded byte or character, and the end of its encoding.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Unit {
    bytes: [u8; 4],
    length: usize,
    pub(super) end: usize,
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

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn is(&self, byte: u8) -> bool {
        self.bytes() == [byte]
    }
}

/// The possible decodings at a position: the byte itself, or an escape, whose characters may be escaped in turn.
pub(super) fn units(text: &[u8], at: usize, depth: u32) -> Vec<Unit> {
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
