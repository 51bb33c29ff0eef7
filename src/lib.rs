//! source-criteo: reads all data from the Criteo advertising API.
//!
//! ```text
//! config ──parse──> Config ───────────────┐
//! catalog ─select─> [Selected]  ──────────┤
//! state ───parse──> Cursors ──────────────┤
//!                                         v
//!         Track::start                    pure: the next window of a group of advertisers; today is an argument
//!                                         v
//!         crate::http::Client::fetch(call)        slot -> budget -> memory -> token -> attempt, until the body passes `check`
//!                                         v
//!         rows::check, Totals::differing  complete, below the row limit, equal to Criteo's totals; otherwise split
//!                                         v
//!         Output::slice                   a separate thread: rows -> project::Plan -> lines, then the state
//! ```
//!
//! Each effect has one owner: [`protocol::output`] stdout, [`api`] the network, [`clock`] the time.

pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod http;
pub mod model;
pub mod output;
pub mod products;
pub mod protocol;
pub mod read;
pub mod rows;
pub mod state;
pub mod support;
pub(crate) mod telemetry;
pub mod testing;
