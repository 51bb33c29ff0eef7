//! Synchronous reports, which describe their columns.

use serde_json::{Value, json};

use crate::manners::written;
use crate::problem::Problem;
use crate::retail_media::formats::marked;
use crate::retail_media::query::{Limits, Query};
use crate::retail_media::routes::Asked;
use crate::retail_media::vocabulary::{Measure, Report, measure};
use crate::wire::Reply;
use crate::world::World;

impl Asked<'_> {
    pub(crate) fn synchronous(&self, report: Report) -> Result<Reply, Problem> {
        let world = self.world;
        let query = Query::parse(world, report, &self.report_attributes()?, Limits::Documented)?;
        let rows = match report {
            Report::RealTime if self.switch("rm_real_time") == "empty" => Vec::new(),
            _ => world.retail_rows(&query),
        };
        let mut rows = world.spelled_rows(marked(rows, &query.metrics));
        rows.truncate(world.options.row_cap.min(self.switch("rm_sync_cap").parse().unwrap_or(usize::MAX)));
        let count = rows.len();
        let names = [query.dimensions.as_slice(), &query.metrics].concat();
        let attributes = match self.switch("rm_sync_shape") {
            "rows_of_cells" => {
                let cells = |row: crate::retail_media::table::Row| {
                    names.iter().map(|name| row.get(name).cloned().unwrap_or_default()).collect::<Vec<_>>()
                };
                json!(rows.into_iter().map(cells).collect::<Vec<_>>())
            }
            "row_objects" => json!(rows),
            _ => json!([rows]),
        };
        let columns: Vec<Value> = names.iter().map(|name| Self::column(&query, name)).collect();
        let mut meta = json!({"columns": columns, "rows": count});
        if report == Report::RealTime {
            meta["dataCompleteThrough"] = json!({"dateTime": format!("{} 12:00:00", world.options.today), "timezone": query.zone.map(chrono_tz::Tz::name)});
        }
        let response = json!({"data": {"type": "SyncReport", "attributes": attributes}, "meta": meta, "errors": [], "warnings": []});
        Ok(Reply { body: written(&response).into_bytes(), ..Reply::json(200, &Value::Null) })
    }

    fn column(query: &Query, name: &str) -> Value {
        let is_metric = query.metrics.iter().any(|metric| metric == name);
        let is_property = name.ends_with("Name");
        let is_interval = name.ends_with("Date") || name.ends_with("Hour") || ["date", "hour"].contains(&name);
        let (role, kind) = match (is_metric, measure(name)) {
            (true, Measure::Money) => ("Metric", "Money"),
            (true, _) => ("Metric", "Number"),
            _ if is_interval => ("Interval", if name.to_lowercase().ends_with("date") { "Date" } else { "Number" }),
            _ if is_property => ("Property", "String"),
            _ => ("Dimension", "String"),
        };
        let currency = (kind == "Money").then(|| World::currency_of(query.account));
        let zone = is_interval.then(|| query.zone.map(chrono_tz::Tz::name)).flatten();
        json!({"name": name, "role": role, "type": kind, "currency": currency, "timezone": zone, "duration": Value::Null,
            "title": name, "description": Value::Null, "deprecated": false})
    }
}
