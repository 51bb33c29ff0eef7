//! Pictures in `docs/pictures/` that are drawn from the declarations. `UPDATE_DOCS=1 cargo test pictures` draws them again.

mod entities;
mod lookback;
mod svg;

use std::path::Path;

use chrono::{Days, NaiveDate};
use source_criteo::model::calendar::{Grain, Range};
use source_criteo::products::endpoint::SETTLING_DAYS;
use source_criteo::products::marketing::metrics;
use source_criteo::products::{Source, Stream};

use self::entities::Entity;
use self::lookback::{Growth, Sync};
use crate::documents::{all_streams, generated};

/// Compares a picture, or draws it again.
fn drawn(name: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, picture).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), picture, "docs/pictures/{name} is stale");
    }
}

/// What the names of a family of streams begin with; their ids belong to objects of the same family.
fn family(stream: &Stream) -> &str {
    ["mpo_", "rm_"].into_iter().find(|family| stream.name.starts_with(family)).unwrap_or_default()
}

fn is_object(stream: &Stream) -> bool {
    matches!(stream.source, Source::Entity(_))
}

/// Relations derived from column names: `campaign_id` refers to `campaigns`, in marketplaces to `mpo_campaigns`.
fn entity(stream: &Stream, streams: &[Stream]) -> Entity {
    let find = |name: &str| streams.iter().filter(|stream| is_object(stream)).find(|stream| stream.name == name);
    let columns = stream.schema["properties"].as_object().unwrap();
    let owners = columns.keys().filter_map(|column| {
        let singular = column.strip_suffix("_id")?;
        let owner = find(&format!("{}{singular}s", family(stream))).or_else(|| find(&format!("{singular}s")))?;
        let is_other = owner.name != stream.name && owner.primary_key == ["id"];
        is_other.then(|| (column.clone(), owner.name.clone()))
    });
    Entity { name: stream.name.clone(), key: stream.primary_key.clone(), joins: owners.collect() }
}

/// The joins in words, for readers without pictures.
fn table(entities: &[Entity]) -> String {
    let mut table = "| stream | column and the stream whose `id` it holds |\n| --- | --- |\n".to_owned();
    for entity in entities.iter().filter(|entity| !entity.joins.is_empty()) {
        let joins: Vec<_> = entity.joins.iter().map(|(column, owner)| format!("`{column}`: `{owner}`")).collect();
        table += &format!("| `{}` | {} |\n", entity.name, joins.join(", "));
    }
    format!("\n{table}\n")
}

#[test]
fn the_entity_diagrams_match_the_schemas() {
    let streams = all_streams();
    let entities = |is_shown: &dyn Fn(&Stream) -> bool| -> Vec<_> {
        streams.iter().filter(|stream| is_shown(stream)).map(|stream| entity(stream, &streams)).collect()
    };
    let objects = entities(&|stream| is_object(stream) && family(stream).is_empty());
    let marketplaces = entities(&|stream| is_object(stream) && family(stream) == "mpo_");
    let reports = entities(&|stream| !is_object(stream) && family(stream) != "rm_");
    assert!(objects.len() > 10 && marketplaces.len() > 4 && reports.len() > 10);
    drawn("objects.svg", &entities::objects("The objects of an advertiser, and the columns that join them", &objects));
    drawn("marketplaces.svg", &entities::objects("The objects of marketplaces", &marketplaces));
    let is_named =
        |stream: &&Stream| reports.iter().flat_map(|report| &report.joins).any(|(_, owner)| *owner == stream.name);
    let owners: Vec<_> = streams.iter().filter(is_named).map(|stream| stream.name.clone()).collect();
    drawn("reports.svg", &entities::reports("Reports, and the objects that their rows name", &reports, &owners));
    generated("docs/entities.md", "objects", &table(&[objects, marketplaces].concat()));
    generated("docs/entities.md", "reports", &table(&reports));
}

#[test]
fn the_picture_of_the_lookback_matches_the_declarations() {
    let day_of = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
    let (day, axis) = (day_of(10, 1), [day_of(9, 1), day_of(11, 4)]);
    let growths = ["SalesPc30d", "SalesPc7d", "SalesPc1d", "Clicks"].map(|name| {
        let metric = metrics::metric(name).unwrap();
        let days = metric.attribution_days().unwrap_or(SETTLING_DAYS - 1);
        let credited_to = metric.attribution().unwrap_or_else(|| "considered final after two days".to_owned());
        Growth { column: metrics::column_name(name), credited_to, days: days.into() }
    });
    let streams = all_streams();
    let stream = streams.iter().find(|stream| stream.name == "campaign_statistics_daily").unwrap();
    let Source::Report(report) = &stream.source else { panic!("not a report") };
    let days = report.lookback_days(&report.metrics);
    let runs = [day, day_of(10, 2), day_of(10, 3), day_of(10, 10), day_of(10, 20), day_of(10, 31), day_of(11, 1)];
    let syncs = runs.map(|run| {
        let range = Range::new(None, None, run, report.history_days, report.history_days);
        Sync { day: run, first: range.resume(Some(run - Days::new(1)), days, Grain::Day).start }
    });
    // What docs/state.md and docs/reports.md say.
    assert!(syncs[5].first == day && syncs[6].first == day + Days::new(1), "the lookback has changed");
    let title = "How the sales of October 1 grow until October 31, and which days each sync reads";
    drawn("lookback.svg", &lookback::lookback(title, day, axis, &growths, &syncs));
}
