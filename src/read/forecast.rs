//! What a sync would request, and how long that takes.

use crate::config::Config;
use crate::error::Result;
use crate::http::Client;
use crate::output::Output;
use crate::products::Source;
use crate::products::fan_out::ParentSource;
use crate::read::{Portfolio, ReadContext, SelectedStream, portfolio};
use crate::state::saved::{Saved, States};
use crate::support::text::counted;
use crate::telemetry::stream_span;

/// What a read of one stream would request.
#[derive(Debug)]
pub struct Expected {
    /// The stream.
    pub stream: String,
    /// The requests, or why it cannot be read.
    pub text: Result<String>,
    /// The number of rows, if the last sync has saved it.
    pub rows: Option<u64>,
}

/// What a read would request.
#[derive(Debug)]
pub struct DryRun {
    /// By stream.
    pub streams: Vec<Expected>,
    /// Requests and minutes of all streams.
    pub total: String,
}

impl DryRun {
    /// Whether every stream can be read.
    #[must_use]
    pub fn can_be_read(&self) -> bool {
        self.streams.iter().all(|stream| stream.text.is_ok())
    }
}

/// What a read would request. Requests only the advertisers.
///
/// # Errors
/// If the advertisers cannot be listed.
pub async fn dry_run(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[SelectedStream],
    states: &States,
) -> Result<DryRun> {
    let portfolio = portfolio(client, config).await?;
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    if let Some(error) = portfolio.missing_error() {
        tracing::warn!("{error}");
    }
    let run = ReadContext::new(client, output, config, &portfolio, selected);
    let (mut reports, mut streams) = (0, Vec::new());
    let nothing = Saved::default();
    for selected in selected {
        let stream = &selected.stream;
        let _span = stream_span(&stream.name).entered();
        let state = states.get(&stream.name).unwrap_or(&nothing);
        let mut rows = None;
        let text = match &stream.source {
            Source::Entity(entity) => Ok(match entity.each.source {
                ParentSource::Nothing | ParentSource::Scope => {
                    "1 request or more; the number of pages is unknown before reading.".to_owned()
                }
                _ => "One request or more per parent object.".to_owned(),
            }),
            Source::LogLevel => Ok("One request or more per day and advertiser.".to_owned()),
            Source::Report(report) => run.plan(selected, report, state, run.advertisers).map(|plan| {
                let forecast = plan.forecast();
                reports += forecast.requests;
                rows = forecast.rows;
                forecast.text
            }),
        };
        streams.push(Expected { stream: stream.name.clone(), text, rows });
    }
    let per_minute = reports_per_minute(config, &portfolio);
    let total = format!("Total: {}, not counting a few for the totals check.", estimated_time(reports, per_minute));
    Ok(DryRun { streams, total })
}

/// How many report requests, and how long they take at Criteo's limit.
pub(crate) fn estimated_time(requests: usize, per_minute: usize) -> String {
    let requests = requests as u64;
    let minutes = counted(requests.div_ceil(per_minute.max(1) as u64), "minute");
    format!(
        "about {}, about {minutes} at Criteo's limit of {per_minute} per minute",
        counted(requests, "report request")
    )
}

/// From developers.criteo.com, Rate limits.
pub(crate) fn reports_per_minute(config: &Config, portfolio: &Portfolio) -> usize {
    if config.credentials.refresh_token.is_some() { 10 * portfolio.consenting.len() } else { 40 }
}
