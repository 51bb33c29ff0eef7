//! Runs the documented commands, and compares documented tables and messages with the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use criteo_sandbox::Options;
use serde_json::{Value, json};
use source_criteo::config::Config;
use source_criteo::products::endpoint::AD_LEVEL;
use source_criteo::products::marketing::metrics;
use source_criteo::products::marketing::metrics::Page;
use source_criteo::products::{self, Source, Stream, about};

use crate::harness::Bench;
use crate::samples::{repository, sample};

/// Every user document by path.
fn documents() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "analytics/README.md".to_owned()];
    paths.extend(files("docs").into_iter().filter(|path| Path::new(path).extension().is_some_and(|kind| kind == "md")));
    paths.into_iter().map(|path| (path.clone(), repository(&path))).collect()
}

/// The files directly in a folder of the repository.
fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// A document's code blocks in a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    let blocks = text.split(start.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// Whether another test runs the command, perhaps split into arguments.
fn is_run_elsewhere(command: &str) -> bool {
    let words: Vec<_> = command.split_whitespace().collect();
    let pieces = words[1..].iter().map(|word| match *word {
        "meltano/tap-criteo.yml" => "reference".to_owned(),
        "dev:tap-criteo-to-target-postgres" => "STATE_ID".to_owned(),
        word => format!("\"{word}\""),
    });
    let call = format!("meltano({}", pieces.collect::<Vec<_>>().join(", "));
    match words[0] {
        "meltano" => repository("integration_tests/judges/meltano.py").contains(&call),
        // Tests that rewrite the files they compare.
        "UPDATE_DOCS=1" | "UPDATE_SAMPLES=1" => words[1..3] == ["cargo", "test"],
        // `scripts/test` runs the others.
        script if script.starts_with("scripts/") => Path::new(env!("CARGO_MANIFEST_DIR")).join(script).is_file(),
        "cargo" => words[1..3] == ["build", "--release"],
        // Takes eight minutes.
        "python3" if words[1] == "benches/sharing.py" => true,
        "python3" => repository("scripts/test").contains(&format!("python3 {}", words[1])),
        _ => false,
    }
}

/// Runs every command of the program in a `console` block, except the interactive `setup`, which has its own tests.
/// Other commands must run elsewhere in the tests.
#[test]
fn documented_commands_run() {
    let bench = Bench::new(Options::default(), 1);
    let key = format!("client_id: {}\nclient_secret: {}\n", bench.config["client_id"], bench.config["client_secret"]);
    std::fs::write(bench.directory.join("key.txt"), key).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs");
    std::os::unix::fs::symlink(samples, bench.directory.join("sample_configs")).unwrap();
    let address = bench.config["api_base_url"].as_str().unwrap();
    let mut config = sample("config_sandbox.json");
    config["api_base_url"] = json!(address);
    config["now"] = bench.config["now"].clone();
    config["start_date"] = bench.config["start_date"].clone();
    let program = env!("CARGO_BIN_EXE_source-criteo");
    let mut run = BTreeSet::new();
    // Judges run the commands of the dbt package's page and of the page on exports.
    let is_judged = |document: &str| document.starts_with("analytics/") || document == "docs/export.md";
    for (document, text) in documents().into_iter().filter(|(document, _)| !is_judged(document)) {
        let lines = blocks(&text, "console").into_iter().flat_map(str::lines);
        for command in lines.filter_map(|line| line.strip_prefix("$ ")) {
            if command == "source-criteo setup" || !run.insert(command.to_owned()) {
                continue;
            }
            let call = command
                .replace("criteo setup", &format!("criteo setup --force --api-base-url {address}"))
                .replace("cargo run --quiet -- ", "source-criteo ")
                .replace("source-criteo ", &format!("{program} "))
                .replace("sample_configs/config_sandbox.json", "config.json");
            if !call.starts_with(program) {
                assert!(is_run_elsewhere(command), "{document}: no test runs {command}");
                continue;
            }
            bench.file("config.json", &config);
            bench.file("criteo.json", &config);
            let output = Command::new("sh").args(["-c", &call]).current_dir(&bench.directory).output().unwrap();
            let reported = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{document}: {command}: {reported}");
            let is_silent = command.ends_with("--test") || command.contains(" setup ") || command.contains(" > ");
            assert!(!output.stdout.is_empty() || is_silent, "{document}: {command}");
        }
    }
    assert!(run.len() >= 20, "{run:?}");
}

#[test]
fn documented_json_is_valid() {
    let mut read = 0;
    for (document, text) in documents() {
        for block in blocks(&text, "json") {
            let parsed: Result<Value, _> = serde_json::from_str(block);
            assert!(parsed.is_ok(), "{document}: {:?} in {block}", parsed.err());
            read += 1;
        }
    }
    assert!(read > 0);
}

#[test]
fn links_in_documents_resolve() {
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    let anchors = |text: &str| -> BTreeSet<String> {
        let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut followed = 0;
    for (document, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root.join(&document),
                path => root.join(&document).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{document}: {link} does not exist");
            if !heading.is_empty() {
                let known = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(known.contains(heading), "{document}: {link} has no such heading: {known:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 10);
}

/// The strings after `start` in the sources, with `…` for placeholders.
fn messages_after(sources: &str, start: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for rest in sources.split(start).skip(1).map(str::trim_start) {
        let (is_format, rest) = rest.strip_prefix("format!(").map_or((false, rest), |rest| (true, rest.trim_start()));
        let Some(literal) = rest.strip_prefix('"') else { continue };
        let text = text_of_literal(literal);
        let text = if is_format { without_placeholders(&text) } else { text };
        // Some consist only of placeholders.
        messages.extend(text.contains(char::is_alphabetic).then_some(text));
    }
    messages
}

/// The string of a literal that starts here.
fn text_of_literal(literal: &str) -> String {
    let mut text = String::new();
    let mut letters = literal.chars().peekable();
    while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
        match letter {
            '\\' => match letters.next() {
                Some('\n') => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => {}
            },
            letter => text.push(letter),
        }
    }
    text
}

fn without_placeholders(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        out.push('…');
        rest = after.split_once('}').map_or("", |(_, after)| after).to_owned();
    }
    (out + &rest).replace('\u{1}', "{").replace('\u{2}', "}")
}

/// The program's sources without tests.
fn sources() -> String {
    fn walk(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(path).unwrap();
                text.push_str(source.split("#[cfg(test)]\nmod tests {").next().unwrap());
            }
        }
    }
    let mut text = String::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    text
}

#[test]
fn the_error_reference_matches_the_messages_in_the_source() {
    let (reference, sources) = (repository("docs/errors.md"), sources());
    let reported: BTreeSet<_> = reference.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    let mut missing = Vec::new();
    for kind in ["Error::config(", "Error::transient(", "Error::system("] {
        let messages = messages_after(&sources, kind);
        assert!(messages.len() > 10, "{kind} {messages:?}");
        missing.extend(messages.into_iter().filter(|message| !reported.contains(message.as_str())));
    }
    assert!(missing.is_empty(), "docs/errors.md lacks:\n> {}", missing.join("\n> "));
    // Joins continued string literals.
    let mut joined = String::new();
    for (index, part) in sources.split("\\\n").enumerate() {
        joined += if index == 0 { part } else { part.trim_start() };
    }
    let joined = joined.replace("\\\"", "\"");
    let formatted = joined.replace("{{", "{").replace("}}", "}");
    for message in reported {
        // The name of the stream comes from the log.
        let message = message.strip_prefix("…: ").unwrap_or(message);
        for piece in message.split('…').map(str::trim).filter(|piece| piece.len() > 3) {
            let is_there = joined.contains(piece) || formatted.contains(piece);
            assert!(is_there, "docs/errors.md quotes text that the program does not print: {piece}");
        }
    }
}

/// Compares the text between two marks of a document, or rewrites it.
pub fn generated(document: &str, mark: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let whole = std::fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = whole.split_once(&start).unwrap();
    let (known, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{start}{text}{end}{after}")).unwrap();
    } else {
        assert_eq!(known, text, "{document} is stale");
    }
}

/// `UPDATE_DOCS=1 cargo test metrics_tables` rewrites the tables of dimensions and metrics.
#[test]
fn the_metrics_tables_match_the_source() {
    let mut table = "| dimension | column | comes with | about |\n| --- | --- | --- | --- |\n".to_owned();
    for dimension in metrics::DIMENSIONS {
        let (name, column) = (dimension.name, metrics::column_name(dimension.name));
        table += &format!("| {name} | `{column}` | {} | {} |\n", dimension.pair.unwrap_or_default(), dimension.about);
    }
    generated("docs/metrics.md", "dimensions", &table);
    let mut table = "| metric | column | type | unit | credited to | additive | since | described in |\n\
                     | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for metric in metrics::metrics() {
        table += &format!(
            "| {} | `{}` | {} | {} | {} | {} | {} | {} |\n",
            metric.name,
            metrics::column_name(metric.name),
            format!("{:?}", metric.column_type()).to_lowercase(),
            metric.unit.label(),
            metric.attribution().unwrap_or_default(),
            if metric.additive { "yes" } else { "no" },
            metrics::since(metric.name),
            metric.meaning().map(|meaning| meaning.source.title()).unwrap_or_default(),
        );
    }
    generated("docs/metrics.md", "metrics", &table);
    let mut table = "| names | meaning | described in |\n| --- | --- | --- |\n".to_owned();
    for (words, meaning) in metrics::glossary() {
        table += &format!("| {words} | {} | {} |\n", meaning.text, meaning.source.title());
    }
    generated("docs/metrics.md", "meanings", &table);
    let pages: Vec<_> = Page::EVERY.into_iter().map(|page| format!("- {}", page.cited())).collect();
    generated("docs/metrics.md", "sources", &(pages.join("\n") + "\n"));
}

/// `UPDATE_DOCS=1 cargo test streams_table` rewrites the tables of streams.
#[test]
fn the_streams_table_matches_the_source() {
    generated("docs/streams.md", "streams", &tables_of(&all_streams(), "##"));
    generated("docs/streams.md", "retail media streams", &tables_of(&retail_media_streams(), "###"));
}

/// A table for each group of streams, below a heading of this level.
fn tables_of(streams: &[Stream], level: &str) -> String {
    let mut text = String::new();
    for group in about::groups() {
        let of_group: Vec<_> = streams.iter().filter(|stream| about::of(&stream.name).group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        text += &format!(
            "\n{level} {group}\n\n| stream | key | cursor | sync modes | endpoint | permission | history | since |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        );
        text.extend(of_group.into_iter().map(row_of));
    }
    let listed = streams.iter().filter(|stream| text.contains(&format!("| `{}` |", stream.name)));
    assert_eq!(listed.count(), streams.len());
    text + "\n"
}

/// The line of a stream in the tables of streams.
fn row_of(stream: &Stream) -> String {
    let since = match &stream.source {
        Source::Entity(entity) => match entity.until {
            Some(until) => format!("until {until}"),
            None => entity.since.unwrap_or_default().to_owned(),
        },
        Source::Report(report) if *report.endpoint == AD_LEVEL => "2027-01".to_owned(),
        Source::Report(_) | Source::LogLevel => String::new(),
    };
    let (endpoint, history) = (stream.endpoint(), stream.history());
    let modes = if stream.cursor().is_some() { "full refresh, incremental" } else { "full refresh" };
    let keys: Vec<_> = stream.primary_key.iter().map(|key| format!("`{key}`")).collect();
    let cursor = stream.cursor().map(|cursor| format!("`{cursor}`")).unwrap_or_default();
    format!(
        "| `{}` | {} | {cursor} | {modes} | `{endpoint}` | {} | {history} | {since} |\n",
        stream.name,
        keys.join(", "),
        stream.permission.label(),
    )
}

/// The streams of Retail Media in the version that has all of them.
fn retail_media_streams() -> Vec<Stream> {
    let config = json!({"client_id": "id", "client_secret": "secret", "product": "retail_media"});
    products::streams(&Config::parse(&config.to_string()).unwrap().reports)
}

/// The streams of a configuration without custom reports.
pub fn all_streams() -> Vec<Stream> {
    let config = json!({"client_id": "id", "client_secret": "secret", "currency": "EUR", "api_version": "2027-01"});
    products::streams(&Config::parse(&config.to_string()).unwrap().reports)
}

/// Words that `docs/style.md` does not allow.
const NOT_ALLOWED: [&str; 17] = [
    "anew",
    "mend",
    "mended",
    "whoever",
    "somebody",
    "nobody",
    "passed over",
    "told",
    "tells",
    "in place of",
    "goes on",
    "rung",
    "rungs",
    "ladder",
    "ledger",
    "at once",
    "so many",
];

/// The comments and strings of a source, without its tests and without quoted code.
fn prose_of_source(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut prose = String::new();
    for line in source.lines() {
        let (code, comment) = line.split_once("// ").or_else(|| line.split_once("/// ")).unwrap_or((line, ""));
        prose += comment;
        prose.push(' ');
        // Every second piece between quotes is inside a string; a line without any may continue one.
        let pieces: Vec<_> = code.split('"').collect();
        let is_text = pieces.len() == 1 && !code.contains(['(', ')', '{', '}', ';', '=']);
        prose += &if is_text {
            code.to_owned()
        } else {
            pieces.into_iter().skip(1).step_by(2).collect::<Vec<_>>().join(" ")
        };
        prose.push('\n');
    }
    prose
}

fn without_code(text: &str) -> String {
    text.split("```").step_by(2).map(|part| part.split('`').step_by(2).collect::<String>()).collect()
}

#[test]
fn prose_uses_the_words_of_the_style_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [root.to_owned(), root.join("docs")].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let pages = pages.map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("style.md"));
    let mut texts: Vec<(String, String)> = pages
        .map(|path| (path.display().to_string(), without_code(&std::fs::read_to_string(&path).unwrap())))
        .collect();
    texts.push(("src".to_owned(), without_code(&prose_of_source(&sources()))));
    for help in std::fs::read_dir(root.join("integration_tests/snapshots")).unwrap() {
        let path = help.unwrap().path();
        if path.to_string_lossy().contains("help") {
            texts.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(texts.len() > 15 && texts.iter().all(|(_, text)| text.len() > 100), "not every text was found");
    let mut found = Vec::new();
    for (place, text) in texts {
        for line in text.lines() {
            let words: Vec<_> =
                line.to_lowercase().split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect();
            let line_of_words = format!(" {} ", words.join(" "));
            found.extend(
                NOT_ALLOWED
                    .iter()
                    .filter(|word| line_of_words.contains(&format!(" {word} ")))
                    .map(|word| format!("{place}: {word}: {}", line.trim())),
            );
        }
    }
    assert!(found.is_empty(), "docs/style.md has other words for these:\n{}", found.join("\n"));
}
