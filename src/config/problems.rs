//! Collects the problems of a configuration, to report them together.

use std::fmt::Write as _;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::error::Error;
use crate::support::text::excerpt;

/// Problems by JSON path (`custom_reports[0].metrics`), at most one per path, in the order found.
#[derive(Debug, Default)]
pub struct Problems {
    first: Vec<(String, String)>,
    more: usize,
}

const MAX_REPORTED: usize = 50;

impl Problems {
    /// Validates a document. The messages say what is allowed, and never print a value.
    pub(crate) fn of_schema(document: &Value, schema: &Value) -> Self {
        let mut problems = Self::default();
        let validator = match jsonschema::draft7::new(schema) {
            Ok(validator) => validator,
            Err(error) => {
                problems.push("(specification)", format!("does not compile: {error}"));
                return problems;
            }
        };
        for error in validator.iter_errors(document) {
            let pointer = error.instance_path().to_string();
            let node = schema_node(schema, &pointer);
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    let property = property.as_str().unwrap_or_default();
                    let description = node["properties"][property]["description"].as_str().unwrap_or_default();
                    problems.push(&join(&path_of(&pointer), property), format!("is missing. {description}"));
                }
                ValidationErrorKind::Type { kind } => {
                    problems.push(&path_of(&pointer), format!("must be {}.", type_name(kind)));
                }
                _ => problems.push(&path_of(&pointer), format!("must be {}.", allowed(node))),
            }
        }
        problems
    }

    /// Adds a problem, unless the path already has one: the first is the most basic.
    pub fn push(&mut self, path: &str, problem: impl Into<String>) {
        if self.first.iter().any(|(known, _)| known == path) {
            return;
        }
        if self.first.len() < MAX_REPORTED {
            self.first.push((short(path), problem.into()));
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn extend(&mut self, others: Self) {
        for (path, problem) in others.first {
            self.push(&path, problem);
        }
        self.more += others.more;
    }

    /// Whether there are no problems.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// One error that lists all problems.
    #[must_use]
    pub fn into_error(self) -> Error {
        let mut text = match self.first.len() + self.more {
            1 => "The configuration has a problem.".to_owned(),
            count => format!("The configuration has {count} problems."),
        };
        for (path, problem) in self.first {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n- {path} {problem}");
        }
        if self.more > 0 {
            let _ = write!(text, "\n- and {} more", self.more);
        }
        Error::config(text)
    }
}

/// A path may contain long names from the user's file.
fn short(path: &str) -> String {
    if path.len() > 200 { excerpt(path) } else { path.to_owned() }
}

fn schema_node<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    pointer.split('/').skip(1).fold(schema, |node, step| {
        if step.bytes().all(|byte| byte.is_ascii_digit()) { &node["items"] } else { &node["properties"][step] }
    })
}

/// `/custom_reports/0/name` → `custom_reports[0].name`.
fn path_of(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, step| {
        if step.bytes().all(|byte| byte.is_ascii_digit()) { format!("{path}[{step}]") } else { join(&path, step) }
    })
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

fn type_name(kind: &TypeKind) -> String {
    let name = |kind: &str| match kind {
        "string" => "a string in quotes".to_owned(),
        "integer" => "a whole number".to_owned(),
        "array" => "a list".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => format!("a JSON {other}"),
    };
    match kind {
        TypeKind::Single(single) => name(&single.to_string()),
        TypeKind::Multiple(_) => "of another type".to_owned(),
    }
}

/// What the schema allows; its `pattern_descriptor` comes first.
fn allowed(node: &Value) -> String {
    if let Some(descriptor) = node["pattern_descriptor"].as_str() {
        return descriptor.to_owned();
    }
    if let Some(values) = node["enum"].as_array() {
        let names: Vec<_> =
            values.iter().map(|value| value.as_str().map_or(value.to_string(), str::to_owned)).collect();
        return format!("one of: {}", names.join(", "));
    }
    match (node["minimum"].as_i64(), node["maximum"].as_i64()) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("{least} or more"),
        _ if node["type"] == "array" => "a list with at least one entry".to_owned(),
        _ => "a non-empty string".to_owned(),
    }
}
