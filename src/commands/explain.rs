//! `explain`: describes a stream, metric or dimension.

use std::process::ExitCode;

use serde_json::Value;

use crate::commands::search::{self, EXACT, Hit, What};
use crate::commands::{Session, streams};
use crate::error::{Error, Result};
use crate::model::product::Product;
use crate::products::marketing::metrics::{self, Dimension, Metric, Page, fold};
use crate::products::report::ReportOptions;
use crate::products::vocabulary::Vocabulary;
use crate::products::{self, Stream, about};
use crate::support::suggest;
use crate::support::table::Table;
use crate::support::terminal::{Color, Terminal, wrapped};

/// Width of the text without a terminal, and the most in one.
const WIDTH: usize = 90;
/// Hits of a search.
const MOST: usize = 15;

impl Session {
    pub(crate) fn explain(&self, options: &ReportOptions, name: &str) -> Result<ExitCode> {
        let all = products::streams(options);
        let terminal = Terminal::stdout();
        let vocabulary = Vocabulary::of(options.product);
        let page =
            Layout { vocabulary, terminal, width: terminal.map_or(WIDTH, |terminal| terminal.width().min(WIDTH)) };
        if name.is_empty() {
            return Ok(self.print(&page.list(&all)));
        }
        let mut texts = page.named(&all, name);
        if texts.is_empty() {
            let formula = vocabulary.formula(&fold(name));
            texts.extend(formula.map(|formula| format!("{} in a table: {}", formula.title, formula.text)));
            let hits = search::find(&all, vocabulary, name);
            if let Some(hit) = hits.first().filter(|hit| hit.score >= EXACT) {
                texts.extend(page.named(&all, &hit.name));
            }
            texts.extend(page.found(name, &hits));
        }
        if texts.is_empty()
            && let Some(since) = search::since(name)
        {
            return Err(Error::config(format!(
                "{name} needs api_version {since} or later. Set it in a configuration file and pass that file with \
                 --config."
            )));
        }
        if texts.is_empty()
            && let Some(other) = other_product_with(options, name)
        {
            return Err(Error::config(format!(
                "{} has no stream, metric or dimension {name}, but {other} has. Add `--product {}`.",
                options.product,
                other.setting()
            )));
        }
        if texts.is_empty() {
            let known = all.iter().map(|stream| stream.name.as_str());
            let known = known.chain(vocabulary.dimensions.iter().map(|dimension| dimension.name));
            let known: Vec<_> = known.chain(vocabulary.metrics.iter().map(|metric| metric.name)).collect();
            return Err(Error::config(format!(
                "Unknown stream, metric or dimension {name}.{} `source-criteo explain` lists them.",
                suggest::did_you_mean(name, known)
            )));
        }
        let text = texts.join("\n\n");
        Ok(self.print(&terminal.map_or_else(|| text.clone(), |terminal| terminal.linked(&text))))
    }
}

/// The other product, if it has something with this name.
fn other_product_with(options: &ReportOptions, name: &str) -> Option<Product> {
    let other = options.product.other();
    let streams = products::streams(&ReportOptions { product: other, ..ReportOptions::default() });
    let vocabulary = Vocabulary::of(other);
    let is_known = search::find(&streams, vocabulary, name).iter().any(|hit| hit.score >= EXACT - 1)
        || vocabulary.formula(&fold(name)).is_some();
    is_known.then_some(other)
}

struct Layout {
    vocabulary: Vocabulary,
    terminal: Option<Terminal>,
    /// Of the text; tables are as wide as the terminal.
    width: usize,
}

impl Layout {
    fn heading(&self, text: &str) -> String {
        self.terminal.map_or_else(|| text.to_owned(), |terminal| terminal.paint(text, Color::Green))
    }

    /// What has this name, in any spelling.
    fn named(&self, streams: &[Stream], name: &str) -> Vec<String> {
        let wanted = fold(name);
        let is_it = |other: &str| fold(other) == wanted || fold(&metrics::column_name(other)) == wanted;
        let of_streams = streams.iter().filter(|stream| fold(&stream.name) == wanted).map(|stream| self.stream(stream));
        let dimensions = self.vocabulary.dimensions.iter().filter(|dimension| is_it(dimension.name));
        let of_metrics = self.vocabulary.metrics.iter().filter(|metric| is_it(metric.name));
        let of_dimensions = dimensions.map(|dimension| self.lines(&of_dimension(dimension)));
        let of_metrics = of_metrics.map(|metric| self.lines(&of_metric(metric, streams)));
        of_streams.chain(of_dimensions).chain(of_metrics).collect()
    }

    /// What a search found, as a table.
    fn found(&self, words: &str, hits: &[Hit]) -> Option<String> {
        if hits.is_empty() {
            return None;
        }
        let mut table = Table::new(["name", "is a", "column", "about"]);
        for hit in hits.iter().take(MOST) {
            let (what, column) = match hit.what {
                What::Stream => ("stream", String::new()),
                What::Dimension => ("dimension", metrics::column_name(&hit.name)),
                What::Metric => ("metric", metrics::column_name(&hit.name)),
            };
            table.push([hit.name.as_str(), what, &column, &hit.about].map(Value::from).to_vec());
        }
        let count = hits.len();
        let title = if count > MOST {
            format!("Found for \"{words}\", the best {MOST} of {count}")
        } else {
            format!("Found for \"{words}\"")
        };
        let hint = "`source-criteo explain NAME` describes one of them.";
        let table = table.aligned(self.terminal.map(Terminal::width));
        Some(format!("{}\n\n{table}\n\n{hint}", self.heading(&title)))
    }

    /// Everything that can be explained, in groups.
    fn list(&self, all: &[Stream]) -> String {
        let of_streams = streams::grouped(all, self.terminal, &["stream", "about"]);
        let paragraph = |text: &str| wrapped(text, self.width).join("\n");
        if self.vocabulary.metrics.is_empty() {
            let hint = "`source-criteo explain NAME` describes one; words such as budget or balance find it.";
            return format!("{of_streams}\n{}", paragraph(hint));
        }
        let names = self.vocabulary.dimensions.iter().map(|dimension| dimension.name);
        let dimensions = names.collect::<Vec<_>>().join(", ");
        let measures = metrics::glossary().into_iter().map(|(words, _)| words).collect::<Vec<_>>().join(", ");
        format!(
            "{of_streams}\n{}\n{}\n\n{}\n{}\n\n{}",
            self.heading("Dimensions of statistics"),
            paragraph(&dimensions),
            self.heading("Metrics of statistics, each in several attribution windows"),
            paragraph(&measures),
            paragraph(
                "`source-criteo explain NAME` describes one; words such as spend, roas or orders find it. \
                 `source-criteo help metrics` has all metrics."
            )
        )
    }

    fn lines(&self, (title, facts): &(String, Vec<(&str, String)>)) -> String {
        let column = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 4;
        let facts = facts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| {
            let text = wrapped(text, self.width.saturating_sub(column)).join(&format!("\n{:column$}", ""));
            format!("  {name:<width$}{text}", width = column - 2)
        });
        std::iter::once(title.clone()).chain(facts).collect::<Vec<_>>().join("\n")
    }

    fn stream(&self, stream: &Stream) -> String {
        let text = self.lines(&of_stream(stream));
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
        format!("{text}\n\n{}", columns.aligned(self.terminal.map(Terminal::width)))
    }
}

type Facts = (String, Vec<(&'static str, String)>);

fn of_metric(metric: &Metric, streams: &[Stream]) -> Facts {
    let column = metrics::column_name(metric.name);
    let in_streams = search::streams_with(streams, &column);
    let days = metric.attribution_days().map(settling).unwrap_or_default();
    let mut facts = vec![
        ("column", column),
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
        ("in streams", if in_streams.is_empty() { "reports of your own".to_owned() } else { in_streams.join(", ") }),
    ]);
    facts.extend(sources(metric).into_iter().enumerate().map(|(index, source)| match index {
        0 => ("source", source),
        _ => ("", source),
    }));
    (format!("{} is a metric of statistics", metric.name), facts)
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

fn of_dimension(dimension: &Dimension) -> Facts {
    (
        format!("{} is a dimension of statistics", dimension.name),
        vec![
            ("column", metrics::column_name(dimension.name)),
            ("about", dimension.about.to_owned()),
            ("comes with", dimension.pair.unwrap_or_default().to_owned()),
        ],
    )
}

fn of_stream(stream: &Stream) -> Facts {
    (
        format!("{} is a stream", stream.name),
        vec![
            ("about", about::of(&stream.name).text.to_owned()),
            ("endpoint", stream.endpoint()),
            ("permission", stream.permission.label().to_owned()),
            ("key", stream.primary_key.join(", ")),
            ("cursor", stream.cursor().unwrap_or("none: full refresh only").to_owned()),
            ("history", stream.history()),
        ],
    )
}
