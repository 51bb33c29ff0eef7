//! `explain`: describes a stream, metric or dimension.

use std::process::ExitCode;

use serde_json::Value;

use crate::commands::Session;
use crate::error::{Error, Result};
use crate::products::marketing::metrics::{self, Dimension, Metric, Page, fold};
use crate::products::report::ReportOptions;
use crate::products::{self, Stream};
use crate::support::suggest;
use crate::support::table::{Format, Table};
use crate::support::terminal::{Terminal, wrapped};

const WIDTH: usize = 90;

impl Session {
    pub(crate) fn explain(&self, options: &ReportOptions, name: &str) -> Result<ExitCode> {
        let streams = products::streams(options);
        let width = Terminal::stdout().map(Terminal::width);
        let wanted = fold(name);
        let is_it = |other: &str| fold(other) == wanted || fold(&metrics::column_name(other)) == wanted;
        let mut texts = Vec::new();
        if let Some(stream) = streams.iter().find(|stream| fold(&stream.name) == wanted) {
            texts.push(of_stream(stream, width)?);
        }
        texts.extend(metrics::DIMENSIONS.iter().filter(|dimension| is_it(dimension.name)).map(of_dimension));
        texts.extend(metrics::metrics().iter().filter(|metric| is_it(metric.name)).map(of_metric));
        if texts.is_empty()
            && let Some(since) = products::since_of(&metrics::column_name(name))
        {
            return Err(Error::config(format!(
                "{name} needs api_version {since} or later. Set it in a configuration file and pass that file with \
                 --config."
            )));
        }
        if texts.is_empty() {
            let known = streams.iter().map(|stream| stream.name.as_str());
            let known = known.chain(metrics::DIMENSIONS.iter().map(|dimension| dimension.name));
            let known: Vec<_> = known.chain(metrics::metrics().iter().map(|metric| metric.name)).collect();
            return Err(Error::config(format!(
                "Unknown stream, metric or dimension {name}.{} Run `source-criteo streams` for streams; docs/metrics.md lists \
                 dimensions and metrics.",
                suggest::did_you_mean(name, known)
            )));
        }
        Ok(self.print(&texts.join("\n\n")))
    }
}

fn lines(title: &str, facts: &[(&str, String)]) -> String {
    let column = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 4;
    let facts = facts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| {
        let text = wrapped(text, WIDTH - column).join(&format!("\n{:column$}", ""));
        format!("  {name:<width$}{text}", width = column - 2)
    });
    std::iter::once(title.to_owned()).chain(facts).collect::<Vec<_>>().join("\n")
}

fn of_metric(metric: &Metric) -> String {
    let days = metric.attribution_days().map(settling).unwrap_or_default();
    let mut facts = vec![
        ("column", metrics::column_name(metric.name)),
        ("meaning", metric.meaning().map(|meaning| meaning.text.to_owned()).unwrap_or_default()),
    ];
    facts.extend(metric.scopes().iter().map(|scope| (scope.word(), scope.text())));
    facts.extend([
        ("unit", metric.unit.words().to_owned()),
        ("scale", metric.unit.scale().unwrap_or_default().to_owned()),
        ("credited to", metric.attribution().unwrap_or_default()),
        ("final", days),
        ("sums", metric.sums().to_owned()),
        ("listed since", metrics::since(metric.name).to_owned()),
    ]);
    facts.extend(sources(metric).into_iter().enumerate().map(|(index, source)| match index {
        0 => ("source", source),
        _ => ("", source),
    }));
    lines(&format!("{} is a metric of statistics", metric.name), &facts)
}

fn settling(days: u32) -> String {
    format!("after {days} day{}", if days == 1 { "" } else { "s" })
}

/// One line per page of Criteo's with the facts it states, and a last line for derived facts.
fn sources(metric: &Metric) -> Vec<String> {
    let mut sources: Vec<(Option<Page>, Vec<&str>)> = Vec::new();
    for (fact, source) in metric.facts() {
        match sources.iter_mut().find(|(known, _)| *known == source) {
            Some((_, facts)) => facts.push(fact),
            None => sources.push((source, vec![fact])),
        }
    }
    sources.sort_by_key(|(source, _)| source.is_none());
    let line = |(source, facts): (Option<Page>, Vec<&str>)| {
        let page = source.map_or("derived; not documented by Criteo".to_owned(), Page::cited);
        format!("{}: {page}", facts.join(", "))
    };
    sources.into_iter().map(line).collect()
}

fn of_dimension(dimension: &Dimension) -> String {
    lines(
        &format!("{} is a dimension of statistics", dimension.name),
        &[
            ("column", metrics::column_name(dimension.name)),
            ("about", dimension.about.to_owned()),
            ("comes with", dimension.pair.unwrap_or_default().to_owned()),
        ],
    )
}

fn of_stream(stream: &Stream, width: Option<usize>) -> Result<String> {
    let text = lines(
        &format!("{} is a stream", stream.name),
        &[
            ("endpoint", stream.endpoint()),
            ("permission", stream.permission.label().to_owned()),
            ("key", stream.primary_key.join(", ")),
            ("cursor", stream.cursor().unwrap_or("none: full refresh only").to_owned()),
            ("history", stream.history()),
        ],
    );
    let mut columns = Table::new(["column", "type", "about"]);
    for (name, property) in stream.schema["properties"].as_object().into_iter().flatten() {
        let types = match &property["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
            single => single.as_str().unwrap_or_default().to_owned(),
        };
        let kind = property["format"].as_str().map_or(types, str::to_owned);
        let about = property["description"].as_str().unwrap_or_default();
        columns.push([name.as_str(), &kind, about].map(Value::from).to_vec());
    }
    Ok(format!("{text}\n\n{}", columns.render(Format::Table, width)?))
}
