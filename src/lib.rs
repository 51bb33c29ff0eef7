//! source-criteo: reads all data from the Criteo advertising API.
//!
//! `docs/architecture.md` shows how a sync passes through the modules, and which of them may use which.
//!
//! Each effect has one owner: [`output`] stdout, [`http`] the network, [`support::clock`] the time.

pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod http;
pub mod model;
#[cfg_attr(not(feature = "files"), expect(dead_code, unreachable_code, reason = "only files need it"))]
pub mod output;
pub mod products;
pub mod protocol;
pub mod read;
pub mod rows;
pub mod state;
pub mod support;
pub(crate) mod telemetry;
pub mod testing;
