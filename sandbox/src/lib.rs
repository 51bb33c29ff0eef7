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
mod entities;
mod facts;
mod options;
mod problem;
mod server;
mod statistics;
mod vocabulary;
mod world;

pub use options::{Numbers, Options, Permission, Shape};
pub use server::{Request, Sandbox};
pub use statistics::Query;
pub use world::World;
