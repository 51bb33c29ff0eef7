//! Holds the table of layers in `docs/architecture.md`: a module uses only modules of its own layer and of those below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The layers, the highest one first.
fn layers() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md")).unwrap();
    let (_, table) = page.split_once("| layer | what it is |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source uses, outside of comments and tests.
fn used(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = source.lines().map(|line| line.split("//").next().unwrap());
    let code: Vec<_> = code.collect();
    let code = code.join("\n");
    let mut used: Vec<_> = code
        .split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').map(name).collect(),
            None => vec![name(rest)],
        })
        .collect();
    used.sort();
    used.dedup();
    used
}

fn name(path: &str) -> String {
    path.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn modules_use_only_lower_layers() {
    let layers = layers();
    let height: BTreeMap<_, _> =
        layers.iter().rev().enumerate().map(|(height, name)| (name.as_str(), height)).collect();
    let mut found = Vec::new();
    files(Path::new(SOURCES), &mut found);
    let (mut problems, mut arrows) = (Vec::new(), 0);
    for path in found.iter().filter(|path| !path.ends_with("tests.rs")) {
        let inside = path.strip_prefix(SOURCES).unwrap();
        let own = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["main", "lib", "testing"].contains(&own) {
            continue;
        }
        let Some(own_height) = height.get(own) else {
            problems.push(format!("{own} is no layer of docs/architecture.md"));
            continue;
        };
        for used in used(&std::fs::read_to_string(path).unwrap()) {
            match height.get(used.as_str()) {
                Some(height) if height <= own_height => arrows += usize::from(height < own_height),
                _ => problems.push(format!("{} uses {used}", inside.display())),
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(arrows > 100, "{arrows} arrows: the sources are not read as expected");
}
