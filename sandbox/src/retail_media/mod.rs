//! Retail Media: its world, its objects and its jobs.

mod accounts;
mod balances;
mod campaigns;
mod creatives;
mod details;
mod ids;
pub(crate) mod jobs;
mod options;
mod paging;
mod routes;
mod searches;
mod texts;
mod truth;
mod unknowns;

pub use options::RetailMediaOptions;
pub(crate) use routes::{answer, foreign, route};
pub use unknowns::RETAIL_MEDIA_UNKNOWNS;
