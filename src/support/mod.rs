//! What is not about Criteo: files, terminals, signals, redaction, JSON without a tree.

pub mod clock;
pub mod files;
pub mod markdown;
pub(crate) mod panic;
pub mod redact;
pub(crate) mod scan;
pub mod signals;
pub mod stop;
pub mod suggest;
pub mod table;
pub mod terminal;
pub(crate) mod text;
pub mod watchdog;
