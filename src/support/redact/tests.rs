use data_encoding::{BASE64, BASE64URL};
use proptest::prelude::*;
use serde_json::json;

use crate::support::redact::search::MAX_ESCAPE_LEN;
use crate::support::redact::*;

fn knowing(secret: &str) -> Secrets {
    let mut secrets = Secrets(Vec::new());
    secrets.add(secret);
    secrets
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
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
    for sign in ["\n", "\r\n", "\t", "\0", "\u{1b}", "\u{85}", "\u{ad}", "\u{200b}", "\u{202e}", "\u{2060}", "\u{feff}"]
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
