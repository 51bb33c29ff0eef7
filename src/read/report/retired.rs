//! Metrics that Criteo has removed.
//!
//! A built-in report drops a metric only if Criteo twice refuses it alone: being named in an error proves nothing. The
//! state remembers it.

use chrono::Days;
use serde_json::Value;

use crate::error::{Cause, Error};
use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::report::Report;
use crate::read::{ReadContext, requests};
use crate::rows::envelope;
use crate::state::cursor;

const REFUSALS: u32 = 2;

#[derive(Default)]
pub(crate) struct Retired {
    pub names: Vec<String>,
    /// Named in errors but still served.
    pub acquitted: Vec<String>,
}

impl Retired {
    /// The metric that the error names, unless the totals check needs it or it was tried.
    pub(crate) fn suspect(&self, report: &Report, error: &Error) -> Option<String> {
        let is_possible =
            |name: &&String| !report.endpoint.totals.contains(&name.as_str()) && !self.acquitted.contains(name);
        let is_ours = !report.is_custom && error.cause == Some(Cause::Rejected);
        report.metrics.iter().filter(|_| is_ours).filter(is_possible).find(|name| is_about(error, name)).cloned()
    }
}

pub(crate) fn is_about(error: &Error, name: &str) -> bool {
    let words = error.words.as_deref().unwrap_or_default();
    words.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case(name))
}

impl ReadContext<'_> {
    pub(crate) fn retired_metrics(&self, name: &str, report: &mut Report, state: &Value) -> Retired {
        let mut names = cursor::retired_metrics(state);
        names.retain(|name| !report.is_custom && report.metrics.contains(name));
        if !names.is_empty() {
            let list = names.join(", ");
            self.warn_once_for(
                name,
                &format!(
                    "An earlier sync found that Criteo has removed {list}; reading the report without it. Reset \
                 the stream to try again."
                ),
            );
            report.metrics.retain(|metric| !names.contains(metric));
        }
        Retired { names, ..Retired::default() }
    }

    /// Whether Criteo refuses a request for this metric alone.
    pub(crate) async fn is_retired(&self, report: &Report, metric: &str, advertisers: &[AdvertiserId]) -> bool {
        let day = self.clock.today(report.timezone) - Days::new(1);
        let metrics = [metric.to_owned()];
        for _ in 0..REFUSALS {
            let advertisers = &advertisers[..advertisers.len().min(1)];
            let call = requests::report(report, &metrics, advertisers, Window { start: day, end: day }, None);
            match self.client.fetch(&call, |body| envelope::check(body).map(|_| ())).await {
                Err(error) if error.cause == Some(Cause::Rejected) && is_about(&error, metric) => {}
                _ => return false,
            }
        }
        true
    }
}
