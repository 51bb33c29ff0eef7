//! What `--help`, `help` and the manual pages say beyond the arguments: groups of commands, examples, pages of the
//! documentation.

use clap::CommandFactory as _;
use clap::builder::Styles;

use crate::cli::Cli;

/// The commands in the order of the help.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Get started", &["demo", "setup", "check"]),
    ("Explore", &["streams", "explain", "preview"]),
    ("Sync", &["export", "read", "state"]),
    ("For platforms", &["spec", "discover"]),
    ("Help", &["help", "completions", "man"]),
];

/// Examples of each command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "source-criteo demo",
            "source-criteo setup",
            "source-criteo preview campaign_statistics_daily",
            "source-criteo export criteo",
        ],
    ),
    ("setup", &["source-criteo setup", "source-criteo setup --key-file key.txt --currency EUR"]),
    ("check", &["source-criteo check", "source-criteo check -c brand.json --exit-code"]),
    ("demo", &["source-criteo demo", "source-criteo demo preview campaign_statistics_daily"]),
    ("demo spec", &["source-criteo demo spec"]),
    ("demo check", &["source-criteo demo check"]),
    ("demo discover", &["source-criteo demo discover"]),
    ("demo preview", &["source-criteo demo preview campaign_statistics_daily --rows 5"]),
    ("demo streams", &["source-criteo demo streams"]),
    ("demo explain", &["source-criteo demo explain spend"]),
    ("demo export", &["source-criteo demo export criteo-demo --format csv"]),
    ("demo read", &["source-criteo demo read | head", "source-criteo demo read --streams campaigns > records.jsonl"]),
    ("demo report", &["source-criteo demo report report.html"]),
    ("streams", &["source-criteo streams", "source-criteo streams --format csv > streams.csv"]),
    ("explain", &["source-criteo explain spend", "source-criteo explain campaign_statistics_daily"]),
    (
        "preview",
        &[
            "source-criteo preview campaign_statistics_daily",
            "source-criteo preview ad_statistics_daily --since 2026-10-01 --columns day,ad_name,clicks,advertiser_cost",
            "source-criteo preview campaigns --rows 100 --format csv > campaigns.csv",
        ],
    ),
    (
        "export",
        &[
            "source-criteo export criteo",
            "source-criteo export criteo --streams campaigns,campaign_statistics_daily --format csv",
        ],
    ),
    (
        "read",
        &[
            "source-criteo read --streams campaign_statistics_daily --dry-run",
            "source-criteo read --streams campaigns,campaign_statistics_daily --state-file state.json > records.jsonl",
            "source-criteo read --streams campaign_statistics_daily --since 2026-10-01 --json",
        ],
    ),
    ("state", &["source-criteo state show state.json"]),
    ("state show", &["source-criteo state show state.json", "source-criteo state show criteo --json"]),
    ("spec", &["source-criteo spec"]),
    ("discover", &["source-criteo discover > catalog.json"]),
    ("help", &["source-criteo help read", "source-criteo help credentials", "source-criteo help credentials key"]),
    (
        "completions",
        &[
            "source-criteo completions bash > ~/.local/share/bash-completion/completions/source-criteo",
            "source-criteo completions fish > ~/.config/fish/completions/source-criteo.fish",
        ],
    ),
    ("man", &["source-criteo man read | man -l -", "source-criteo man --all man1"]),
];

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

macro_rules! page {
    ($name:literal, $about:literal) => {
        Page { name: $name, about: $about, text: include_str!(concat!("../../docs/", $name, ".md")) }
    };
}

/// The pages that the program carries, about 210 KB.
pub const PAGES: &[Page] = &[
    page!("credentials", "Get access to Criteo; what each step of check means"),
    page!("install", "Install and update the program"),
    page!("configuration", "Every setting and its default"),
    page!("streams", "All streams with keys, cursors and permissions"),
    page!("reports", "Currency, time zone, attribution, reports of your own"),
    page!("metrics", "Every dimension and metric"),
    page!("retail-media", "Retail Media instead of Marketing Solutions"),
    page!("entities", "How tables join"),
    page!("export", "Files for spreadsheets and databases"),
    page!("report-page", "The page about a sync that --report writes"),
    page!("state", "What the next sync reads again"),
    page!("completeness", "How rows are kept from being lost or doubled"),
    page!("troubleshooting", "A number that differs, missing days, slow syncs"),
    page!("errors", "Every error message and what to do"),
    page!("scaling", "Request limits and many advertisers"),
    page!("performance", "Speed and memory, compared with other connectors"),
    page!("commands", "All commands and their options"),
    page!("airbyte", "The connector in Airbyte"),
    page!("meltano", "The tap in Meltano"),
];

/// A page by its name, or by the name or address of its file, and the section that follows a `#`.
#[must_use]
pub fn page_of(name: &str) -> Option<(&'static Page, Option<&str>)> {
    let (name, section) = name.split_once('#').map_or((name, None), |(name, section)| (name, Some(section)));
    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    let name = name.strip_suffix(".md").unwrap_or(name);
    let page = PAGES.iter().find(|page| page.name.eq_ignore_ascii_case(name))?;
    Some((page, section.filter(|section| !section.is_empty())))
}

/// How to open what a page links; `None` for a section of a page that is shown as a whole.
#[must_use]
pub fn how_to_open_from(page: &Page, is_whole: bool, url: &str) -> Option<String> {
    match url.strip_prefix('#') {
        Some(_) if is_whole => None,
        Some(section) => Some(format!("`source-criteo help {} {section}`", page.name)),
        None => Some(how_to_open(url)),
    }
}

/// How to open a page that another one links: with the program, or in its source.
#[must_use]
pub fn how_to_open(url: &str) -> String {
    let (file, section) = url.split_once('#').map_or((url, None), |(file, section)| (file, Some(section)));
    let name = file.trim_end_matches(".md");
    if PAGES.iter().any(|page| page.name == name) {
        return format!("`source-criteo help {name}{}`", section.map(|of| format!(" {of}")).unwrap_or_default());
    }
    match file.strip_prefix("../") {
        Some(file) => format!("{file} in the program's source"),
        None => format!("docs/{file} in the program's source"),
    }
}

/// The examples of a command, by its words after the program's name.
#[must_use]
pub fn examples(path: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(known, _)| *known == path).map_or(&[], |(_, lines)| lines)
}

fn with_examples(command: clap::Command, path: &str) -> clap::Command {
    let lines: Vec<_> = examples(path).iter().map(|line| format!("  {line}")).collect();
    let header = *Styles::styled().get_header();
    let text = format!("{header}Examples:{header:#}\n{}", lines.join("\n"));
    let command = if lines.is_empty() { command } else { command.after_help(text) };
    command.mut_subcommands(|inner| {
        let name = inner.get_name().to_owned();
        with_examples(inner, format!("{path} {name}").trim_start())
    })
}

/// The command line with examples, for manual pages, completions and the help of one command.
#[must_use]
pub fn with_all() -> clap::Command {
    with_examples(Cli::command(), "")
}

/// The command line with examples, and the commands of the program in groups, for parsing and `--help`.
#[must_use]
pub fn in_groups() -> clap::Command {
    let program = with_all();
    let styles = Styles::styled();
    let (header, literal) = (*styles.get_header(), *styles.get_literal());
    let mut list = String::new();
    for (group, names) in GROUPS {
        let commands = names.iter().filter_map(|name| program.find_subcommand(name));
        let lines = commands.map(|command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            format!("  {literal}{:<12}{literal:#} {about}\n", command.get_name())
        });
        list += &format!("{header}{group}:{header:#}\n{}\n", lines.collect::<String>());
    }
    // clap has no groups of commands, so its own list is hidden.
    program
        .mut_subcommands(|inner| inner.hide(true))
        .override_usage("source-criteo [OPTIONS] <COMMAND>\n       source-criteo --config <FILE> [OPTIONS]")
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}"
        ))
}

#[cfg(test)]
mod tests {
    use crate::cli::help::*;
    use crate::support::markdown;

    fn walk(command: &clap::Command, path: &str, see: &mut dyn FnMut(&clap::Command, &str)) {
        see(command, path);
        for inner in command.get_subcommands() {
            walk(inner, format!("{path} {}", inner.get_name()).trim_start(), see);
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        walk(&Cli::command(), "", &mut |_, path| {
            assert!(!examples(path).is_empty(), "{path}");
            for line in examples(path) {
                let words = line.split([">", "|"].map(|mark| mark.chars().next().unwrap())).next().unwrap();
                let parsed = in_groups().try_get_matches_from(words.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        });
    }

    #[test]
    fn every_command_is_in_a_group_and_fits_80_columns() {
        let program = Cli::command();
        let grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).collect();
        for command in program.get_subcommands() {
            assert!(grouped.contains(&&command.get_name()), "{}", command.get_name());
            let about = command.get_about().unwrap().to_string();
            assert!(about.len() <= 65, "{about}");
        }
    }

    /// Pages for people who change the program, which it does not carry.
    const OF_THE_SOURCE: &[&str] = &["../CHANGELOG.md", "fault-matrix.md"];

    #[test]
    fn every_link_between_pages_leads_to_a_page_and_a_section() {
        let mut links = 0;
        for page in PAGES {
            let on_one_line = markdown::rendered(page.text, 100_000, None, &|url| how_to_open_from(page, true, url));
            for (words, url) in markdown::links(page.text) {
                links += 1;
                let (file, section) = url.split_once('#').unwrap_or((&url, ""));
                let Some(target) = PAGES.iter().find(|target| file == format!("{}.md", target.name)) else {
                    assert!(OF_THE_SOURCE.contains(&file), "{}: {words}: {url}", page.name);
                    continue;
                };
                let opens = how_to_open(&url);
                assert!(opens.starts_with(&format!("`source-criteo help {}", target.name)), "{opens}");
                assert!(on_one_line.contains(&opens), "{}: {words}: {opens}", page.name);
                assert_eq!(page_of(&url).map(|(page, _)| page.name), Some(target.name));
                let is_there = section.is_empty() || markdown::section(target.text, section).is_some();
                assert!(is_there, "{}: {words}: {url}", page.name);
                // Names of files say nothing to a reader of the help.
                assert!(!words.contains(".md") || markdown::is_document(&words), "{}: {words}", page.name);
            }
            let rendered = markdown::rendered(page.text, 100, None, &|url| how_to_open_from(page, true, url));
            let is_file = |word: &&str| {
                word.contains(".md")
                    && !word.contains('/')
                    && PAGES.iter().any(|page| word.contains(&format!("{}.md", page.name)))
            };
            let named: Vec<_> = rendered.split_whitespace().filter(is_file).collect();
            assert!(named.is_empty(), "{}: {named:?}", page.name);
        }
        assert!(links > 100, "{links}");
    }

    #[test]
    fn the_pages_in_the_program_stay_small() {
        let size: usize = PAGES.iter().map(|page| page.text.len()).sum();
        assert!(size <= 250_000, "{size}");
    }
}
