//! `docs/api-assumptions.md` covers every parameter the connector sends and every typed column.

use std::collections::{BTreeMap, BTreeSet};

use criteo_sandbox::Options;
use serde_json::{Value, json};

use crate::harness::Bench;

/// A documented endpoint.
#[derive(Default)]
struct Section {
    streams: BTreeSet<String>,
    parameters: BTreeSet<String>,
    columns: BTreeSet<String>,
}

/// The strings between backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The page's sections by method and endpoint.
fn sections(page: &str) -> BTreeMap<String, Section> {
    let mut sections = BTreeMap::new();
    for part in page.split("\n## ").skip(1) {
        let mut section = Section::default();
        let mut is_column = false;
        for line in part.lines() {
            if let Some(streams) = line.strip_prefix("Streams: ") {
                section.streams.extend(quoted(streams));
            } else if let Some(row) = line.strip_prefix("| ") {
                let first = row.split(" | ").next().unwrap();
                is_column |= first == "column";
                let names = if is_column { &mut section.columns } else { &mut section.parameters };
                names.extend(quoted(first));
            }
        }
        sections.insert(quoted(part).next().unwrap(), section);
    }
    sections
}

/// Names of a body's members that are not objects.
fn members(body: &Value, names: &mut BTreeSet<String>) {
    match body {
        Value::Object(object) => {
            for (name, value) in object {
                if value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object)) {
                    members(value, names);
                } else {
                    names.insert(name.clone());
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| members(value, names)),
        _ => {}
    }
}

/// A path without its version, and with `{}` instead of ids.
fn endpoint(path: &str) -> String {
    let parts = path.split('/').skip_while(|part| part.is_empty() || part.starts_with("20"));
    // Ids are numbers, or UUIDs.
    let is_id = |part: &str| part.starts_with(|first: char| first.is_ascii_digit()) || part.len() == 36;
    parts.map(|part| if is_id(part) { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// All parameters sent when syncing every stream with every option, by method and endpoint.
fn sent() -> BTreeMap<String, BTreeSet<String>> {
    let mut bench = Bench::new(Options::default(), 10);
    let every_option = json!({
        "api_version": "2027-01", "placements_disclosed": true, "placements_environment": "Web",
        "transactions_event_type": "Click", "mpo_interval": "Day", "log_level_product_ids": true,
        "custom_reports": [{"name": "filtered", "dimensions": ["Day", "AdsetId"], "metrics": ["Clicks"],
            "ad_set_ids": ["1"], "ad_set_names": ["one"], "ad_set_status": ["Active"]}],
    });
    bench.config.as_object_mut().unwrap().extend(every_option.as_object().unwrap().clone());
    let names: Vec<_> = bench.discover().into_keys().collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.read(&bench.catalog(&names, "incremental"), None);
    let retail_media = crate::retail_media::bench(crate::retail_media::options());
    let names: Vec<_> = retail_media.discover().into_keys().collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    retail_media.read(&retail_media.catalog(&names, "full_refresh"), None);
    let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in bench.sandbox.requests().into_iter().chain(retail_media.sandbox.requests()) {
        let mut words = request.line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Signed file links are Criteo's, not the connector's.
        if path.starts_with("/files/") {
            continue;
        }
        let names = sent.entry(format!("{method} {}", endpoint(path))).or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        names.extend(pairs.map(|(name, _)| name.to_owned()));
        members(&request.body, names);
    }
    sent
}

/// Streams with a file in `schemas/`, and their columns.
fn typed() -> BTreeMap<String, BTreeSet<String>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| {
            let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let columns = schema["properties"].as_object().unwrap().keys().cloned().collect();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), columns)
        })
        .collect()
}

#[test]
fn every_parameter_and_column_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api-assumptions.md")).unwrap();
    let sections = sections(&page);
    let mut missing = Vec::new();
    let typed = typed();
    for (stream, columns) in &typed {
        let section = sections.values().find(|section| section.streams.contains(stream));
        let section = section.unwrap_or_else(|| panic!("no section of docs/api-assumptions.md names {stream}"));
        missing.extend(columns.difference(&section.columns).map(|column| format!("column {column} of {stream}")));
    }
    // Removed columns must leave the page as well.
    for (endpoint, section) in &sections {
        let known: BTreeSet<_> = section.streams.iter().filter_map(|stream| typed.get(stream)).flatten().collect();
        let gone = section.columns.iter().filter(|column| !known.contains(column));
        missing.extend(gone.map(|column| format!("{column}, which no stream of {endpoint} has")));
    }
    let sent = sent();
    for (endpoint, parameters) in &sent {
        let Some(section) = sections.get(endpoint) else { panic!("docs/api-assumptions.md lacks {endpoint}") };
        let unknown = parameters.difference(&section.parameters);
        missing.extend(unknown.map(|parameter| format!("parameter {parameter} of {endpoint}")));
    }
    assert_eq!(missing, Vec::<String>::new());
    let parameters: usize = sent.values().map(BTreeSet::len).sum();
    assert!(sent.len() > 25 && parameters > 60, "{} endpoints, {parameters} parameters", sent.len());
}
