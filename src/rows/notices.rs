//! What a response reports besides its rows: errors and warnings, in Criteo's envelope or without one.
//!
//! The envelope is `{"errors":[{"traceId","type","code","title","detail",…}],"warnings":[…]}`; every member is optional, and older
//! gateways spell `traceIdentifier` (developers.criteo.com, API error types).

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use crate::error::{Cause, Error};
use crate::support::scan;
use crate::support::text::excerpt;

/// Criteo's code for a date range that is too long or too far back.
pub(crate) const INVALID_TIMESPAN: &str = "invalid-timespan";
/// Criteo's warning code for a truncated response.
const ROW_LIMIT: &str = "row-limit-exceeded";
/// Maximum length of a problem's strings, in bytes: longer than any quote, so that secrets are recognized before
/// shortening.
const MAX_TOLD_LEN: usize = 2048;
/// Maximum length of the JSON keys that matter.
const MAX_NAME_LEN: usize = 40;
/// Keys of error bodies other than Criteo's envelope, in the order shown.
const WORDS: [&str; 5] = ["error", "message", "title", "error_description", "detail"];
/// Keys of a problem, and whether they are only shown to the user.
const MEMBERS: [(&str, bool); 6] =
    [("code", false), ("type", false), ("title", true), ("detail", true), ("traceId", true), ("traceIdentifier", true)];
/// Maximum number of problems kept per response.
const MAX_TOLD: usize = 20;

/// An error or warning from Criteo, with its strings shortened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Criteo's code.
    pub code: String,
    /// Short description.
    pub title: String,
    /// Long description.
    pub detail: String,
    kind: String,
    trace_id: String,
}

impl Notice {
    /// Reads one problem: an object or a bare string. If it is not kept, only the fields that affect the outcome are
    /// read.
    fn of(raw: &str, is_kept: bool) -> Self {
        let mut notice = Self::default();
        if let Some(title) = scan::text(raw, MAX_TOLD_LEN) {
            return Self { title, ..notice };
        }
        let mut note = |name: &str, raw: &str| {
            let Some((known, is_human_facing)) = MEMBERS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))
            else {
                return;
            };
            if *is_human_facing && !is_kept {
                return;
            }
            let text = scan::text(raw, MAX_TOLD_LEN).unwrap_or_default();
            match *known {
                "code" => notice.code = text,
                "title" => notice.title = text,
                "detail" => notice.detail = text,
                "type" => notice.kind = text,
                _ if *known == "traceId" || notice.trace_id.is_empty() => notice.trace_id = text,
                _ => {}
            }
        };
        // An unreadable problem stays empty.
        let _ = scan::members(raw, &mut |name, raw| {
            note(name, raw);
            Ok(())
        });
        notice
    }

    /// Whether it reports omitted rows.
    #[must_use]
    pub fn is_row_limit(&self) -> bool {
        let text = if self.code.is_empty() { &self.title } else { &self.code };
        text.len() == ROW_LIMIT.len() && text.to_ascii_lowercase().replace(['_', ' '], "-") == ROW_LIMIT
    }

    /// Whether a retry is pointless.
    fn is_final(&self) -> bool {
        if self.kind.is_empty() {
            return false;
        }
        matches!(self.kind.to_lowercase().replace('_', "-").as_str(), "access-control" | "authorization" | "validation")
    }
}

/// A response's `errors` or `warnings`: the first few, and the total count.
#[derive(Debug, Default)]
pub struct Notices {
    /// The first [`MAX_TOLD`] problems.
    pub first: Vec<Notice>,
    /// Total count.
    pub count: u64,
    /// Whether any of them reports omitted rows.
    pub is_row_limit: bool,
    is_final: bool,
}

impl Notices {
    /// Adds such a member's value: a list, or a single problem instead of one.
    pub(crate) fn add(&mut self, raw: &str) {
        match raw {
            "null" | "false" | "\"\"" => {}
            list if list.starts_with('[') => {
                // Only an error body may be truncated here.
                let _ = scan::items(list, &mut |item| {
                    self.note(item);
                    Ok(())
                });
            }
            object if object.starts_with('{') && object[1..].trim_start() == "}" => {}
            single => self.note(single),
        }
    }

    fn note(&mut self, raw: &str) {
        let is_kept = self.first.len() < MAX_TOLD;
        let notice = Notice::of(raw, is_kept);
        self.count += 1;
        self.is_row_limit |= notice.is_row_limit();
        self.is_final |= notice.is_final();
        if is_kept {
            self.first.push(notice);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Problem {
    pub(crate) code: Option<String>,
    words: String,
}

impl Problem {
    /// Reads Criteo's envelope. `{"message": …}`, OAuth errors and plain text also occur. A truncated envelope is read
    /// as far as it goes.
    pub(crate) fn of(text: &str) -> Self {
        let text = text.trim();
        if !text.starts_with('{') {
            let is_text = !text.starts_with(['<', '[']) && serde_json::from_str::<IgnoredAny>(text).is_err();
            return Self { code: None, words: if is_text { excerpt(text) } else { String::new() } };
        }
        let mut words: [Option<String>; WORDS.len()] = Default::default();
        let (mut errors, mut code) = (Notices::default(), None);
        // The text may be truncated within the list.
        let _ = scan::items_of(text, &|name| name.eq_ignore_ascii_case("errors"), &mut |error| {
            errors.note(error);
            Ok(())
        });
        if errors.count > 0 {
            return Self::of_errors(&errors);
        }
        let _ = scan::members(text, &mut |name, raw| {
            match scan::short(name, MAX_NAME_LEN).to_ascii_lowercase().as_str() {
                "code" => code = scan::text(raw, MAX_TOLD_LEN).filter(|_| raw.starts_with('"')),
                name => {
                    let place = WORDS.iter().position(|known| *known == name).and_then(|at| words.get_mut(at));
                    if let Some(place) = place.filter(|_| raw.starts_with('"')) {
                        *place = scan::text(raw, MAX_TOLD_LEN);
                    }
                }
            }
            Ok(())
        });
        let words: Vec<_> = words.into_iter().flatten().filter(|words| !words.is_empty()).collect();
        Self { code: code.map(|code: String| code.to_lowercase()), words: excerpt(&words.join(": ")) }
    }

    fn of_errors(errors: &Notices) -> Self {
        let mut words = String::new();
        for Notice { code, title, detail, trace_id, .. } in errors.first.iter().take(3) {
            let name = if title.is_empty() { code } else { title };
            let _ = write!(words, "{}", if name.is_empty() { "an error without a description" } else { name });
            for (text, before, after) in
                [(detail, ": ", ""), (code, " [", "]"), (trace_id, " (Criteo's trace id ", ")")]
            {
                if !text.is_empty() {
                    let _ = write!(words, "{before}{text}{after}");
                }
            }
            words.push_str(". ");
        }
        let code = errors.first.first().map(|error| error.code.to_lowercase()).filter(|code| !code.is_empty());
        Self { code, words: excerpt(words.trim_end()) }
    }

    pub(crate) fn said(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!(" Criteo says: {}", self.words) }
    }

    /// Whether it is about advertisers without consent. Criteo spells the code with and without the `s`. The code for
    /// accounts is assumed, by the one for advertisers.
    pub(crate) fn is_about_advertisers(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some(
                "insufficient-advertisers-permissions"
                    | "insufficient-advertiser-permissions"
                    | "insufficient-accounts-permissions"
                    | "insufficient-account-permissions"
            )
        )
    }

    /// Whether there is no campaign to report on. Criteo documents a 403 for this, but neither code nor text.
    pub(crate) fn is_about_no_campaign(&self) -> bool {
        let text = format!("{} {}", self.code.as_deref().unwrap_or_default(), self.words.to_lowercase());
        ["no-campaign", "no campaign", "campaign-not-found", "campaigns-not-found"]
            .iter()
            .any(|part| text.contains(part))
    }

    pub(crate) fn describe(self, error: Error) -> Error {
        Error { words: (!self.words.is_empty()).then(|| self.words.into()), code: self.code.map(Into::into), ..error }
    }
}

/// Combines a 200 response's errors into one error.
#[must_use]
pub fn criteo_errors(errors: &Notices) -> Error {
    let problem = Problem::of_errors(errors);
    let is_final = errors.is_final;
    let more = match errors.count {
        0..=3 => String::new(),
        count => format!(" There are {} more.", count - 3),
    };
    let message = format!("Criteo sent errors instead of data.{}{more}", problem.said());
    let cause = match problem.code.as_deref() {
        _ if problem.is_about_advertisers() => Cause::ConsentMissing,
        _ if problem.is_about_no_campaign() => Cause::NoCampaign,
        Some(INVALID_TIMESPAN) => Cause::InvalidTimespan,
        _ => Cause::ErrorsInResponse,
    };
    let error = if is_final { Error::config(message) } else { Error::transient(message) };
    problem.describe(error.because(cause))
}
