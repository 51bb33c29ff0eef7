//! Names the days that could not be read.

use chrono::Days;

use crate::error::Error;
use crate::model::calendar::Window;
use crate::support::text::list_of;

/// The error for unread windows, based on the first one's error.
pub(super) fn unread_error(windows: Vec<(Window, String)>, error: Error, is_incremental: bool) -> Error {
    let joined = joined(windows).into_iter();
    let shown = list_of(joined.map(|(window, advertisers)| format!("{window} of {advertisers}")));
    let again = if is_incremental { " The next sync requests these days again." } else { "" };
    Error { message: format!("Not read: {shown}. All other days were read.{again} {}", error.message), ..error }
}

/// Merges adjoining windows of the same advertisers, sorted by day.
fn joined(mut windows: Vec<(Window, String)>) -> Vec<(Window, String)> {
    windows.sort_by(|(one, of_one), (other, of_other)| (of_one, one.start).cmp(&(of_other, other.start)));
    windows.dedup_by(|(next, of_next), (window, of_window)| {
        let is_next = of_next == of_window && next.start <= window.end + Days::new(1);
        window.end = if is_next { window.end.max(next.end) } else { window.end };
        is_next
    });
    windows.sort_by_key(|(window, _)| window.start);
    windows
}
