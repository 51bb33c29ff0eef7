//! Finds a secret in any encoding, whole or cut off by the end of a text.

use crate::support::redact::SHORTEST;
use crate::support::redact::escapes::{is_mark, units};

/// How often an escape may be escaped again.
const DEPTH: u32 = 3; // guard: spellings-of-secrets
/// Maximum length of an escape, including nested escapes.
pub(super) const MAX_ESCAPE_LEN: usize = 24;

/// The end of the longest match of `form` that starts at `start`, in any escaping. A form is a secret as it is, in
/// base64 or in hex. A match that the end of the text cuts off counts if [`SHORTEST`] bytes match.
pub(super) fn end_of_match(text: &[u8], start: usize, form: &[u8]) -> Option<usize> {
    let (first, wanted) = (text.get(start)?, form.first()?);
    if !is_mark(*first) && !spells(*first, *wanted) {
        return None;
    }
    // `ends[n]`: the positions in the text up to which the first n bytes of the form may reach.
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
