//! What becomes of a fault of the connector's own: an error message of the protocol, with the place and without values.

use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// Where the last panic happened.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Notes the place of panics from now on, in place of words on stderr that may hold values.
pub(crate) fn listen() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
    }));
}

/// The error for the panic that has just been caught.
pub(crate) fn error() -> Error {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Error::system(format!(
        "The connector has met a fault of its own (at {place}) and stops here. What was written is right; the next sync goes \
         on from the last state. Please report it with this message."
    ))
}

/// Panics where the environment asks for it, in builds for tests only.
#[cfg(debug_assertions)]
#[track_caller]
pub(crate) fn point(name: &str) {
    assert!(std::env::var("SOURCE_CRITEO_PANIC").as_deref() != Ok(name), "asked for");
}

/// Nothing, in builds for people.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
