//! source-criteo: reads all data from the Criteo advertising API.
//!
//! ```text
//! config ──parse──> Config ───────────────┐
//! catalog ─select─> [SelectedStream]──────────┤
//! state ───parse──> Cursors ──────────────┤
//!                                         v
//!         Track::start                    pure: the next window of a group of advertisers; today is an argument
//!                                         v
//!         crate::http::Client::fetch(call)        slot -> budget -> memory -> token -> attempt, until the body passes `check`
//!                                         v
//!         rows::envelope, Totals::differing  complete, below the row limit, equal to Criteo's totals; otherwise split
//!                                         v
//!         Output::write_rows              a separate thread: rows -> project::Projection -> lines, then the state
//! ```
//!
//! Each effect has one owner: [`output`] stdout, [`http`] the network, [`support::clock`] the time.

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
