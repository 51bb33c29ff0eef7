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

/// Logs what a read would request. Requests only the advertisers.
///
/// # Errors
/// If the advertisers cannot be listed.
pub async fn dry_run(
    client: &Client,
    output: &Output,
    config: &Config,
    selected: &[SelectedStream],
    states: &States,
) -> Result<bool> {
    let portfolio = portfolio(client, config).await?;
    if let Some(warning) = client.clock_warning() {
        tracing::warn!("{warning}");
    }
    if let Some(error) = portfolio.missing_error() {
        tracing::warn!("{error}");
    }
    let run = ReadContext::new(client, output, config, Some(&portfolio), selected);
    let (mut reports, mut can_be_read) = (0, true);
    let nothing = Saved::default();
    for selected in selected {
        let stream = &selected.stream;
        let _span = stream_span(&stream.name).entered();
        let state = states.get(&stream.name).unwrap_or(&nothing);
        match &stream.source {
            Source::Entity(entity) => tracing::info!(
                "{}",
                match entity.each.source {
                    ParentSource::Nothing | ParentSource::Scope =>
                        "1 request or more; the number of pages is unknown before reading.",
                    _ => "One request or more per parent object.",
                }
            ),
            Source::LogLevel => tracing::info!("One request or more per day and advertiser."),
            Source::Report(report) => match run.plan(selected, report, state, run.advertisers) {
                Ok(plan) => {
                    let forecast = plan.forecast();
                    tracing::info!("{}", forecast.text);
                    reports += forecast.requests;
                    if let Some(rows) = forecast.rows {
                        output.estimate(&stream.name, rows);
                    }
                }
                Err(error) => {
                    can_be_read = false;
                    tracing::error!("{error}");
                }
            },
        }
    }
    let per_minute = reports_per_minute(config, &portfolio);
    tracing::info!("Total: {}, not counting a few for the totals check.", estimated_time(reports, per_minute));
    Ok(can_be_read)
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
