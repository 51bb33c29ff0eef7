//! A simulated Criteo advertising API on loopback, with a seeded world and a ground truth.
//!
//! Written from Criteo's documentation alone. It shares no code and no table with the connector, so that it can
//! contradict it: it rejects what Criteo rejects, cuts reports at the cap without a sign as Criteo does, and answers
//! in either of the shapes that have been reported for reports.
//!
//! ```no_run
//! let sandbox = criteo_sandbox::Sandbox::start(criteo_sandbox::Options::default())?;
//! println!("{}", sandbox.url());
//! # Ok::<(), std::io::Error>(())
//! ```

mod access;
mod children;
mod control;
mod facts;
mod faults;
mod manners;
mod marketplace;
mod objects;
mod options;
mod prepared;
mod problem;
mod reports;
mod routes;
mod server;
mod statistics;
mod unknowns;
mod vocabulary;
mod wire;
mod world;

pub use options::{AppState, Casing, Numbers, Options, Permission, Shape, Wrapping};
pub use server::{Logged, Peak, Sandbox};
pub use unknowns::{UNKNOWNS, Unknown, Unknowns};
pub use world::World;
