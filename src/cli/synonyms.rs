//! Suggestions for values that have another name than the valid one. clap itself suggests values of a similar spelling.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Names of the same thing; at most one of each group is a value of an option.
const SAME: &[&[&str]] = &[
    &["xlsx", "xls", "xlsm", "excel", "workbook", "spreadsheet", "sheet"],
    &["parquet", "pq", "pqt"],
    &["arrow", "feather", "ipc"],
    &["csv", "tsv", "comma"],
    &["jsonl", "ndjson", "jsonlines", "json"],
    &["json", "jsonl", "ndjson", "jsonlines"],
    &["markdown", "md"],
    &["text", "txt", "plain", "table"],
    &["table", "text", "txt", "plain"],
    &["marketing_solutions", "marketing", "ms", "advertising"],
    &["retail_media", "retail", "rm", "retailer"],
    &["powershell", "pwsh", "ps"],
    &["bash", "sh"],
    &["all", "everything", "full"],
    &["schema", "schemas"],
];

/// The formats that only `export` writes.
const FILES: [&str; 2] = ["parquet", "xlsx"];

/// The valid value that an invalid one stands for.
fn meant<'a>(invalid: &str, valid: &'a [String]) -> Option<&'a String> {
    let invalid = invalid.to_lowercase();
    let groups = SAME.iter().filter(|group| group.contains(&invalid.as_str()));
    let mut names = groups.flat_map(|group| group.iter());
    names.find_map(|name| valid.iter().find(|value| value == name))
}

/// Adds a suggestion to the error of an invalid value, if there is none.
#[must_use]
pub fn suggest(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidValue || error.get(ContextKind::SuggestedValue).is_some() {
        return error;
    }
    let (Some(ContextValue::String(invalid)), Some(ContextValue::Strings(valid))) =
        (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue))
    else {
        return error;
    };
    // Other commands have fewer formats than `export`.
    let is_format = cfg!(feature = "files") && valid.iter().any(|value| value == "csv");
    let of_export = FILES.iter().find(|format| is_format && meant(invalid, &[(**format).to_owned()]).is_some());
    let (kind, value) = match (meant(invalid, valid), of_export) {
        (Some(value), _) => (ContextKind::SuggestedValue, ContextValue::String(value.clone())),
        (None, Some(format)) => {
            let tip = format!("`source-criteo export --format {format}` writes such files");
            (ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]))
        }
        (None, None) => return error,
    };
    error.insert(kind, value);
    error
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, Parser as _};

    use crate::cli::Cli;
    use crate::cli::synonyms::*;

    fn told(line: &str) -> String {
        suggest(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string()
    }

    #[test]
    fn other_names_of_a_value_lead_to_it() {
        for (line, value) in [
            ("export --format xls", "xlsx"),
            ("export --format Excel", "xlsx"),
            ("export --format pq", "parquet"),
            ("export --format feather", "arrow"),
            ("export --format ndjson", "jsonl"),
            ("read --streams a --format json", "jsonl"),
            ("preview campaigns --format ndjson", "json"),
            ("preview campaigns --format text", "table"),
            ("streams --format md", "markdown"),
            ("streams --product rm", "retail_media"),
            ("demo --product marketing", "marketing_solutions"),
            ("setup --product retail", "retail_media"),
            ("completions pwsh", "powershell"),
            ("--about --format txt", "text"),
        ] {
            let told = told(&format!("source-criteo {line}"));
            assert!(told.contains(&format!("a similar value exists: '{value}'")), "{line}: {told}");
        }
        for line in ["read --streams a --format excel", "preview campaigns --format xlsx"] {
            let told = told(&format!("source-criteo {line}"));
            assert!(told.contains("`source-criteo export --format xlsx`"), "{line}: {told}");
        }
        assert!(!told("source-criteo export --format zzz").contains("tip:"));
    }

    /// The values of every option that has a list of them.
    fn values(command: &clap::Command, all: &mut BTreeSet<String>) {
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            all.extend(argument.get_possible_values().iter().map(|value| value.get_name().to_owned()));
        }
        command.get_subcommands().for_each(|inner| values(inner, all));
    }

    #[test]
    fn every_listed_value_has_other_names_or_needs_none() {
        let mut all = BTreeSet::new();
        values(&Cli::command(), &mut all);
        for value in ["true", "false", "elvish", "fish", "zsh"] {
            all.remove(value);
        }
        assert!(all.len() > 10, "{all:?}");
        let known: BTreeSet<_> = SAME.iter().map(|group| group[0].to_owned()).collect();
        assert_eq!(known, all);
    }
}
