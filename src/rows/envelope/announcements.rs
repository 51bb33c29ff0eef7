//! Whether a response announces more rows than it holds: a link, a token or a flag for another page, or a row count.

use crate::products::marketing::metrics::fold;
use crate::rows::decimal::Decimal;
use crate::rows::envelope::MAX_NAME_LEN;
use crate::support::scan;

/// Members that announce another page, as [`fold`] spells them.
pub(super) const NEXT: &[&str] = &[
    "next",
    "nextpage",
    "nextlink",
    "nextpagetoken",
    "nexttoken",
    "nextcursor",
    "continuationtoken",
    "hasmore",
    "hasnext",
    "hasnextpage",
];
/// Links that do not announce another page.
const OTHER_LINKS: &[&str] =
    &["self", "first", "last", "prev", "previous", "current", "related", "describedby", "about", "help"];

pub(super) fn folded(name: &str) -> String {
    fold(&scan::short(name, MAX_NAME_LEN))
}

/// Whether a member announces another page.
pub(super) fn is_next(name: &str, raw: &str) -> bool {
    NEXT.contains(&folded(name).as_str()) && !is_nothing(raw)
}

/// Links may be an object or a list.
pub(super) fn links_lead_on(links: &str) -> bool {
    let mut leads_on = object_leads_on(links, true);
    // Cannot fail: the string is part of a valid document.
    let _ = scan::items(links, &mut |link| {
        let relation = scan::member(link, |name| name.eq_ignore_ascii_case("rel"));
        leads_on |= match relation.and_then(|raw| scan::text(raw, MAX_NAME_LEN)) {
            Some(relation) => relation.eq_ignore_ascii_case("next") && !is_nothing(link),
            None => object_leads_on(link, false),
        };
        Ok(())
    });
    leads_on
}

/// Among links, unknown members count, too.
pub(super) fn object_leads_on(object: &str, is_of_links: bool) -> bool {
    let mut leads_on = false;
    // Cannot fail: the string is part of a valid document.
    let _ = scan::members(object, &mut |name, raw| {
        let is_known = || OTHER_LINKS.contains(&folded(name).as_str());
        leads_on |= is_next(name, raw) || is_of_links && !is_known() && !is_nothing(raw);
        Ok(())
    });
    leads_on
}

/// Whether a value or link is empty.
fn is_nothing(raw: &str) -> bool {
    const WORDS: &[&str] = &["", "null", "false", "no", "0"];
    let is_empty = |open, close| {
        raw.strip_prefix(open).and_then(|raw| raw.strip_suffix(close)).is_some_and(|inside| inside.trim().is_empty())
    };
    let word = raw.trim_matches('"');
    WORDS.iter().any(|nothing| word.eq_ignore_ascii_case(nothing))
        || is_empty('{', '}')
        || is_empty('[', ']')
        || scan::member(raw, |name| name.eq_ignore_ascii_case("href")).is_some_and(is_nothing)
}

/// A row count may be a string or have decimals.
pub(super) fn count(text: &str) -> Option<u64> {
    Decimal::parse(text.trim())?.whole()?.parse().ok()
}

/// Whether a member has the number of objects on all pages.
pub(super) fn is_total(name: &str) -> bool {
    matches!(folded(name).as_str(), "totalitems" | "totalitemsacrossallpages")
}

pub(super) fn announced(raw: &str) -> Option<u64> {
    count(&scan::text(raw, MAX_NAME_LEN)?)
}
