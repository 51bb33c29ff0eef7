//! Turns panics into a protocol error message, with the location and without values.

use std::sync::{Mutex, PoisonError};

use crate::error::Error;

static PLACE: Mutex<String> = Mutex::new(String::new());

/// Records panic locations from now on, instead of printing messages that may contain values.
pub(crate) fn listen() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
    }));
}

pub(crate) fn error() -> Error {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Error::system(format!(
        "The connector hit an internal error (at {place}) and stopped. Everything written so far is valid; the next \
         sync resumes from the last state. Please report it with this message."
    ))
}

/// Panics if the environment requests it, in debug builds only.
#[cfg(debug_assertions)]
#[track_caller]
pub(crate) fn point(name: &str) {
    assert!(std::env::var("SOURCE_CRITEO_PANIC").as_deref() != Ok(name), "requested");
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
