//! A simulated Criteo advertising API on loopback, with seeded data and a known truth.
//!
//! Written from Criteo's documentation alone. It shares no code or table with the connector, so that both can disagree:
//! it rejects what Criteo rejects, silently truncates reports at the cap, and supports all reported response formats.
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
mod retail_media;
mod routes;
mod server;
mod statistics;
mod unknowns;
mod vocabulary;
mod wire;
mod world;

pub use options::{AppState, Casing, Numbers, Options, Permission, Product, Shape, Wrapping};
pub use retail_media::{RETAIL_MEDIA_UNKNOWNS, RetailMediaOptions};
pub use server::{Logged, Peak, Sandbox};
pub use unknowns::{UNKNOWNS, Unknown, Unknowns};
pub use world::World;
