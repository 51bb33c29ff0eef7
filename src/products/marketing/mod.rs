//! Makes the streams of a configuration from the [`table`]. A new stream needs a line there and a file in `schemas/`.

pub mod about;
pub mod metrics;
mod table;

use serde_json::Value;

use crate::products::definition::Kind;
use crate::products::endpoint::Interval;
use crate::products::marketing::table::NOT_IN_PREVIEW;
pub(crate) use crate::products::marketing::table::STREAMS;
use crate::products::report::{Report, ReportOptions, RowColumn};
use crate::products::schema::ColumnType;
use crate::products::{Permission, Source, Stream};

/// All streams of this configuration, in reading order.
#[must_use]
pub fn streams(options: &ReportOptions) -> Vec<Stream> {
    let ready_made = STREAMS.iter().filter(|def| def.is_in(&options.api_version, NOT_IN_PREVIEW)).map(|def| {
        let mut schema = def.schema();
        let (primary_key, source) = match &def.kind {
            Kind::Entity { entity, primary_key } => {
                (primary_key.iter().map(|&key| key.to_owned()).collect(), Source::Entity(*entity))
            }
            Kind::Report { dimensions, metrics } => {
                let report = Report::preset(dimensions, metrics, options);
                (report.primary_key(), Source::Report(report))
            }
            Kind::FixedReport(small) => {
                let mut report = Report::fixed(small.endpoint, small.dimensions, small.metrics, options);
                let mut key: Vec<_> = small.primary_key.iter().map(|&key| key.to_owned()).collect();
                if small.endpoint.is_marketplace {
                    key.push(report.cursor_column().to_owned());
                    name_period(&mut schema, options.mpo_interval);
                }
                let columns = schema["properties"].as_object().into_iter().flatten();
                let columns = columns.map(|(name, property)| RowColumn {
                    name: name.clone(),
                    column_type: ColumnType::of_property(property),
                    is_key: key.contains(name),
                });
                report.fixed_columns = columns.collect();
                (key, Source::Report(report))
            }
            Kind::LogLevel => {
                let key = ["advertiser_id", "file_name", "line_number"];
                (key.map(str::to_owned).to_vec(), Source::LogLevel)
            }
        };
        def.stream(schema, primary_key, source)
    });
    let custom = options.custom_reports.iter().map(|custom| {
        let report = Report::custom(custom, options);
        Stream {
            name: format!("custom_{}", custom.name),
            schema: report.schema(),
            primary_key: report.primary_key(),
            permission: Permission::Analytics,
            source: Source::Report(report),
        }
    });
    ready_made.chain(custom).collect()
}

/// Renames the period column of the schema file, `day`, to match the interval.
fn name_period(schema: &mut Value, interval: Interval) {
    let Some(properties) = schema["properties"].as_object_mut() else { return };
    let column_type = if interval.name == "Hour" { ColumnType::DateTime } else { ColumnType::Date };
    let about = format!("Start of the {}.", interval.name.to_lowercase());
    let renamed = std::mem::take(properties).into_iter().map(|(name, property)| match name.as_str() {
        "day" if interval.column != "day" => (interval.column.to_owned(), column_type.property(true, &about)),
        _ => (name, property),
    });
    *properties = renamed.collect();
}

#[cfg(test)]
mod tests {
    use crate::config::report_options;
    use crate::products::endpoint::STATISTICS;
    use crate::products::marketing::*;
    use crate::products::{Placeholder, QueryParam, entity_of};
    use serde_json::json;

    fn options() -> ReportOptions {
        let settings = json!({"currency": "EUR", "custom_reports": [
            {"name": "hours", "dimensions": ["Hour", "Campaign"], "metrics": ["Clicks"], "timezone": "Europe/Paris"},
            {"name": "months", "dimensions": ["Month", "Category"], "metrics": ["Clicks", "NewlyInvented"]},
        ]});
        report_options(settings.as_object().unwrap().clone()).unwrap().0
    }

    /// `UPDATE_SCHEMAS=1 cargo test schema_files` rewrites the schema files of the built-in reports.
    #[test]
    fn report_schema_files_match_the_metrics_table() {
        for stream in streams(&options()) {
            let Source::Report(report) = &stream.source else { continue };
            if stream.name.starts_with("custom_") || *report.endpoint != STATISTICS {
                continue;
            }
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                let path = format!("{}/schemas/{}.json", env!("CARGO_MANIFEST_DIR"), stream.name);
                let text = serde_json::to_string_pretty(&report.schema()).unwrap() + "\n";
                std::fs::write(path, text).unwrap();
            } else {
                assert_eq!(stream.schema, report.schema(), "schemas/{}.json is stale", stream.name);
            }
        }
    }

    #[test]
    fn every_field_is_described_and_every_key_is_a_field() {
        for stream in streams(&options()) {
            let properties = stream.schema["properties"].as_object().unwrap();
            for (name, property) in properties {
                assert!(property["description"].as_str().is_some_and(|d| d.len() > 5), "{}.{name}", stream.name);
                assert!(name.len() <= 63, "{}.{name} is longer than PostgreSQL allows", stream.name);
            }
            for key in &stream.primary_key {
                assert!(properties[key]["type"].is_string(), "{}.{key} is a key and must not be null", stream.name);
            }
            assert!(stream.cursor().is_none_or(|cursor| properties.contains_key(cursor)));
        }
    }

    #[test]
    fn parents_are_streams_that_fill_every_placeholder() {
        for def in STREAMS {
            let Kind::Entity { entity, .. } = &def.kind else { continue };
            let is_in_path = |variable: &&Placeholder| entity.path.contains(&format!("{{{}}}", variable.name()));
            let of_query = entity.query.iter().filter_map(|parameter| match parameter {
                QueryParam::Of(_, variable) => Some(variable),
                QueryParam::Fixed(..) => None,
            });
            let needed = Placeholder::ALL.iter().filter(is_in_path).chain(of_query).chain(entity.columns);
            for variable in needed {
                let is_filled = entity.each.values.iter().any(|(filled, _)| filled == variable);
                assert!(is_filled, "{}: nothing fills {}", def.name, variable.name());
            }
            for parent in entity.each.streams {
                assert!(entity_of(parent.name).is_some(), "{}: {} is no stream of objects", def.name, parent.name);
            }
        }
    }

    #[test]
    fn keys_consist_of_ids_period_and_currency() {
        let streams = streams(&options());
        let key = |name: &str| streams.iter().find(|stream| stream.name == name).unwrap().primary_key.join(" ");
        assert_eq!(key("ad_statistics_daily"), "advertiser_id campaign_id ad_set_id ad_id day currency");
        assert_eq!(key("custom_hours"), "advertiser_id hour campaign_id day currency");
        assert_eq!(key("custom_months"), "advertiser_id month category_id currency row_number");
    }
}
