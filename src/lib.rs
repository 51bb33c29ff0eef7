//! source-criteo: reads all data from the Criteo advertising API.
//!
//! ```text
//! config ──parse──> Config ───────────────┐
//! catalog ─select─> [Selected]  ──────────┤
//! state ───parse──> Cursors ──────────────┤
//!                                         v
//!         Track::start                    pure: the next window of a group of advertisers; today is an argument
//!                                         v
//!         api::Client::fetch(call)        slot -> budget -> memory -> token -> attempt, until the body passes `check`
//!                                         v
//!         rows::check, Totals::differing  complete, below the row limit, equal to Criteo's totals; otherwise split
//!                                         v
//!         Output::slice                   a separate thread: rows -> project::Plan -> lines, then the state
//! ```
//!
//! Each effect has one owner: [`protocol::output`] stdout, [`api`] the network, [`clock`] the time.

pub mod api;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod outside;
mod panic;
#[cfg(test)]
mod properties;
pub mod protocol;
pub mod redact;
mod scan;
pub mod signals;
pub mod stop;
pub mod streams;
pub mod suggest;
pub mod table;
mod telemetry;
pub mod terminal;
pub mod watchdog;
