//! Files for package indexes and hubs, generated from the connector and compared here.

use std::path::Path;

use serde_json::{Value, json};
use source_criteo::config::Config;
use source_criteo::products;
use source_criteo::protocol::singer::about;

use crate::samples::repository;

/// The plugin definition in Meltano Hub's format.
const DEFINITION: &str = "meltano/tap-criteo.yml";

/// Settings in the Hub's format; objects become dotted settings.
fn settings(prefix: &str, properties: &Value, all: &mut Vec<Value>) {
    for (name, property) in properties.as_object().unwrap() {
        let name = format!("{prefix}{name}");
        if property["properties"].is_object() {
            settings(&format!("{name}."), &property["properties"], all);
            continue;
        }
        let kind = match (property["type"].as_str().unwrap(), property["enum"].is_array()) {
            (_, true) => "options",
            ("string", _) if ["start_date", "end_date"].contains(&name.as_str()) => "date_iso8601",
            (kind, _) => kind,
        };
        let mut setting = json!({
            "name": name, "label": property["title"], "kind": kind, "description": property["description"],
        });
        if let Some(options) = property["enum"].as_array() {
            let options =
                options.iter().map(|option| json!({"label": option.to_string().trim_matches('"'), "value": option}));
            setting["options"] = options.collect();
        }
        if property["secret"] == true {
            setting["sensitive"] = json!(true);
        }
        if !property["default"].is_null() {
            setting["value"] = property["default"].clone();
        }
        all.push(setting);
    }
}

/// YAML in block style; scalars are JSON, which is valid YAML.
fn yaml(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(object) if !object.is_empty() => {
            let lines = object.iter().map(|(key, value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{pad}{key}:\n{}", yaml(value, indent + 2)),
                scalar => format!("{pad}{key}: {scalar}\n"),
            });
            lines.collect()
        }
        Value::Array(items) => {
            let lines = items.iter().map(|item| match item {
                Value::Object(_) => format!("{pad}- {}", yaml(item, indent + 2).trim_start()),
                Value::Array(_) => format!("{pad}- {item}\n"),
                scalar => format!("{pad}- {scalar}\n"),
            });
            lines.collect()
        }
        scalar => format!("{pad}{scalar}\n"),
    }
}

/// `UPDATE_DOCS=1 cargo test hub_definition` rewrites it.
#[test]
fn the_meltano_hub_definition_matches_about() {
    let about = about::json();
    let mut all = Vec::new();
    settings("", &about["settings"]["properties"], &mut all);
    // Meltano selects everything, whatever the catalog says.
    let marketing = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR"});
    let retail_media = json!({"client_id": "id", "client_secret": "secret", "product": "retail_media"});
    let of = |config: Value| products::streams(&Config::parse(&config.to_string()).unwrap().reports);
    let streams: Vec<_> = [marketing, retail_media].into_iter().flat_map(of).collect();
    let others = streams.iter().filter(|stream| !stream.is_selected_by_default());
    let select: Vec<_> =
        std::iter::once("*.*".to_owned()).chain(others.map(|stream| format!("!{}.*", stream.name))).collect();
    let definition = json!({
        "name": "tap-criteo",
        "namespace": "tap_criteo",
        "label": "Criteo",
        "description": about["description"],
        "domain_url": "https://developers.criteo.com/marketing-solutions/docs",
        "variant": "source-criteo",
        // The package is on no index, so its name could be taken.
        "pip_url": "${TAP_CRITEO_WHEEL}",
        "executable": "tap-criteo",
        "maintenance_status": "active",
        "keywords": ["api", "advertising"],
        "capabilities": about["capabilities"],
        "select": select,
        "settings_group_validation": [["client_id", "client_secret", "currency"], ["client_id", "client_secret", "product"]],
        "settings": all,
    });
    let text = format!("# Generated: UPDATE_DOCS=1 cargo test hub_definition\n{}", yaml(&definition, 0));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFINITION);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "{DEFINITION} is stale");
}

/// The sample Meltano project matches the plugin.
#[test]
fn the_sample_project_has_every_setting_and_capability() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs/meltano/meltano.yml");
    let project = std::fs::read_to_string(path).unwrap();
    let extractor = project.split("  loaders:").next().unwrap();
    let about = about::json();
    let known: Vec<_> = extractor.lines().filter_map(|line| line.trim().strip_prefix("- {name: ")).collect();
    let known: Vec<_> = known.iter().map(|line| line.split(',').next().unwrap()).collect();
    let wanted: Vec<_> = about["settings"]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(known, wanted);
    let capabilities = about["capabilities"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let capabilities = format!("capabilities: [{}]", capabilities.collect::<Vec<_>>().join(", "));
    assert!(extractor.contains(&capabilities), "{capabilities}");
}

/// The version is defined in Cargo.toml; other files must match. The wheel reads it (`dynamic`).
#[test]
fn all_released_packages_have_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let first_with = |path: &str, start: &str| {
        let text = repository(path);
        let line = text.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap_or_default();
        line[start.len().min(line.len())..].trim().trim_matches(['"', '\\', ' ']).to_owned()
    };
    assert_eq!(first_with("metadata.yaml", "dockerImageTag:"), version);
    assert_eq!(first_with("CHANGELOG.md", "## ").split(' ').next(), Some(version));
    assert!(repository("pyproject.toml").contains("dynamic = [\"version\"]"));
    let labels = repository("Dockerfile");
    assert!(labels.contains(&format!("io.airbyte.version={version}")), "{labels}");
    let name = first_with("metadata.yaml", "dockerRepository:");
    assert!(labels.contains(&format!("io.airbyte.name={name}")), "{labels}");
}

#[test]
fn tests_excluded_from_the_quick_run_exist() {
    let here = std::env::current_exe().unwrap();
    let listed = std::process::Command::new(here).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests: Vec<_> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let profiles = repository(".config/nextest.toml");
    let left_out: Vec<_> =
        profiles.lines().filter_map(|line| line.trim().strip_prefix("test(=")?.split(')').next()).collect();
    assert!(left_out.len() > 10, "{profiles}");
    for name in left_out {
        assert!(tests.contains(&name), "there is no test {name}");
    }
}
