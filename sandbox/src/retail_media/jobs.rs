//! Jobs: reports, catalogs and billing, each created, polled and fetched.

use crate::problem::Problem;
use crate::retail_media::routes::Asked;
use crate::wire::Reply;

/// The jobs of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Jobs {}

impl Asked<'_> {
    /// The response to a request that concerns a job; `None` for any other.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "jobs follow")]
    pub(crate) fn job(&self, path: &[&str]) -> Option<Result<Reply, Problem>> {
        matches!(path, ["reports" | "catalogs" | "billing", ..]).then(|| Err(Problem::not_found("jobs")))
    }
}
