//! Retail Media: its world, its objects and its jobs.

mod accounts;
mod balances;
mod billing;
mod campaigns;
mod catalogs;
mod creatives;
mod details;
mod dimensions;
mod facts;
mod filters;
mod formats;
mod ids;
pub(crate) mod jobs;
mod options;
mod paging;
mod plausible;
mod query;
mod routes;
mod scope;
mod searches;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod truth;
mod unknowns;
mod vocabulary;

pub use options::RetailMediaOptions;
pub(crate) use routes::{answer, foreign, route};
pub use unknowns::RETAIL_MEDIA_UNKNOWNS;
