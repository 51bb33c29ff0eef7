//! The saved states: their one form, how they are read, and how they are written.

pub mod cursor;
pub(crate) mod resume;
pub mod saved;
pub(crate) mod updated;
