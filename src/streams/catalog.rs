//! The table of streams. Adding a stream means a line here and a file in `schemas/`.

use serde_json::Value;

use super::report::Report;
use super::{Entity, Permission, Request, Source, Stream};
use crate::config::Config;

/// A line of the table.
struct StreamDef {
    name: &'static str,
    schema: &'static str,
    permission: Permission,
    kind: Kind,
}

enum Kind {
    Entity { entity: Entity, primary_key: &'static [&'static str] },
    Report { dimensions: &'static [&'static str], metrics: &'static [&'static str] },
}

/// The metrics of every ready-made report: sums only, so that they can be added up over any rows.
const PRESET_METRICS: &[&str] = &[
    "Displays",
    "Clicks",
    "AdvertiserCost",
    "Visits",
    "SalesClientAttribution",
    "SalesPc30d",
    "SalesPc7d",
    "SalesPc1d",
    "SalesPv24h",
    "SalesPc30dPv24h",
    "RevenueGeneratedClientAttribution",
    "RevenueGeneratedPc30d",
    "RevenueGeneratedPc7d",
    "RevenueGeneratedPc1d",
    "RevenueGeneratedPv24h",
    "RevenueGeneratedPc30dPv24h",
    "SalesAllClientAttribution",
    "SalesAllPc30d",
    "RevenueGeneratedAllClientAttribution",
    "RevenueGeneratedAllPc30d",
];

const fn entity(
    name: &'static str,
    schema: &'static str,
    permission: Permission,
    path: &'static str,
    request: Request,
) -> StreamDef {
    StreamDef {
        name,
        schema,
        permission,
        kind: Kind::Entity { entity: Entity { path, request }, primary_key: &["id"] },
    }
}

const fn report(name: &'static str, schema: &'static str, dimensions: &'static [&'static str]) -> StreamDef {
    let kind = Kind::Report { dimensions, metrics: PRESET_METRICS };
    StreamDef { name, schema, permission: Permission::Analytics, kind }
}

macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../../schemas/", $name, ".json"))
    };
}

static STREAMS: &[StreamDef] = &[
    entity("advertisers", schema!("advertisers"), Permission::None, "advertisers/me", Request::Get),
    entity(
        "campaigns",
        schema!("campaigns"),
        Permission::Campaigns,
        "marketing-solutions/campaigns/search",
        Request::Search,
    ),
    entity("ad_sets", schema!("ad_sets"), Permission::Campaigns, "marketing-solutions/ad-sets/search", Request::Search),
    entity(
        "audiences",
        schema!("audiences"),
        Permission::Audiences,
        "marketing-solutions/audiences/search",
        Request::PagedSearch { resource: "AudienceSearch", limit: 100 },
    ),
    report("campaign_statistics_daily", schema!("campaign_statistics_daily"), &["AdvertiserId", "CampaignId", "Day"]),
    report(
        "ad_set_statistics_daily",
        schema!("ad_set_statistics_daily"),
        &["AdvertiserId", "CampaignId", "AdsetId", "Day"],
    ),
    report(
        "ad_statistics_daily",
        schema!("ad_statistics_daily"),
        &["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"],
    ),
];

/// Every stream that this configuration gives, in the order in which they are read.
#[must_use]
pub fn streams(config: &Config) -> Vec<Stream> {
    let ready_made = STREAMS.iter().map(|def| {
        let (primary_key, source) = match &def.kind {
            Kind::Entity { entity, primary_key } => {
                (primary_key.iter().map(|&key| key.to_owned()).collect(), Source::Entity(*entity))
            }
            Kind::Report { dimensions, metrics } => {
                let report = Report::preset(dimensions, metrics, config);
                (report.primary_key(), Source::Report(report))
            }
        };
        Stream {
            name: def.name.to_owned(),
            schema: serde_json::from_str(def.schema).unwrap_or(Value::Null),
            primary_key,
            permission: def.permission,
            source,
        }
    });
    let custom = config.custom_reports.iter().map(|custom| {
        let report = Report::custom(custom, config);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "custom_reports": [
            {"name": "hours", "dimensions": ["Hour", "Campaign"], "metrics": ["Clicks"], "timezone": "Europe/Paris"},
            {"name": "months", "dimensions": ["Month", "Category"], "metrics": ["Clicks", "NewlyInvented"]},
        ]});
        Config::from_value(config).unwrap()
    }

    /// `UPDATE_SCHEMAS=1 cargo test schema_files` writes the files of the ready-made reports anew.
    #[test]
    fn schema_files_of_reports_say_what_the_table_of_metrics_says() {
        for stream in streams(&config()) {
            let Source::Report(report) = &stream.source else { continue };
            if stream.name.starts_with("custom_") {
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
    fn every_field_has_a_description_and_every_key_is_a_field() {
        for stream in streams(&config()) {
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
    fn keys_hold_ids_the_period_and_the_currency() {
        let streams = streams(&config());
        let key = |name: &str| streams.iter().find(|stream| stream.name == name).unwrap().primary_key.join(" ");
        assert_eq!(key("ad_statistics_daily"), "advertiser_id campaign_id ad_set_id ad_id day currency");
        assert_eq!(key("custom_hours"), "advertiser_id hour campaign_id day currency");
        assert_eq!(key("custom_months"), "advertiser_id month category_id currency row_number");
    }
}
