//! Renders Markdown as plain text for a terminal.

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde_json::Value;

use crate::support::table::Table;
use crate::support::terminal::{Color, Terminal, wrapped};

const INDENT: &str = "    ";

/// The lines of a heading with their offsets and levels, outside of code.
fn heading_lines(text: &str) -> Vec<(usize, HeadingLevel, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, HeadingLevel, String)> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => open = Some((range.start, level, String::new())),
            Event::Text(words) | Event::Code(words) => {
                if let Some((_, _, title)) = &mut open {
                    title.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

fn folded(title: &str) -> String {
    title.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// The headings below the title of a page.
#[must_use]
pub fn headings(text: &str) -> Vec<String> {
    heading_lines(text)
        .into_iter()
        .filter(|(_, level, _)| *level > HeadingLevel::H1)
        .map(|(_, _, title)| title)
        .collect()
}

/// The section with this heading in any spelling, or whose heading begins with it or contains it.
#[must_use]
pub fn section<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let (lines, wanted) = (heading_lines(text), folded(wanted));
    let exact = lines.iter().position(|(_, _, title)| folded(title) == wanted);
    let starts = || lines.iter().position(|(_, _, title)| folded(title).starts_with(&wanted));
    let contains = || lines.iter().position(|(_, _, title)| folded(title).contains(&wanted));
    let at = exact.or_else(starts).or_else(contains)?;
    let (start, level, _) = &lines[at];
    let end = lines[at + 1..].iter().find(|(_, other, _)| other <= level).map_or(text.len(), |(start, _, _)| *start);
    text.get(*start..end)
}

/// The links of a page to others of the same documentation, with their words.
#[must_use]
pub fn links(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => open = Some((String::new(), dest_url.to_string())),
            Event::Text(words) | Event::Code(words) => {
                if let Some((title, _)) = &mut open {
                    title.push_str(&words);
                }
            }
            Event::End(TagEnd::Link) => found.extend(open.take().filter(|(_, url)| is_page(url))),
            _ => {}
        }
    }
    found
}

/// Whether a text ends like the name of a document.
pub(crate) fn is_document(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "md")
}

/// Whether a link leads to a page of the same documentation.
fn is_page(url: &str) -> bool {
    !url.contains("://") && url.split('#').next().is_some_and(is_document)
}

/// The text as plain lines of at most `width` columns, but for code. `how_to_open` says how a reader opens what a link
/// within the documentation leads to; `None` if it is in this text.
#[must_use]
pub fn rendered(
    text: &str,
    width: usize,
    terminal: Option<Terminal>,
    how_to_open: &dyn Fn(&str) -> Option<String>,
) -> String {
    let mut page = Page { out: String::new(), inline: String::new(), lists: Vec::new(), quotes: 0, width, terminal };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut link = None;
    let mut is_code = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Text(words) if is_code => {
                let lines = words.lines().map(|line| format!("{INDENT}{line}\n"));
                page.out.extend(lines);
            }
            Event::Text(words) | Event::Code(words) => page.inline.push_str(&words),
            Event::SoftBreak | Event::HardBreak => page.inline.push(' '),
            Event::Start(Tag::Image { .. }) => page.inline.push_str("Picture: "),
            Event::Start(Tag::Link { dest_url, .. }) => link = Some((page.inline.len(), dest_url.to_string())),
            Event::End(TagEnd::Link) => {
                let Some((start, url)) = link.take() else { continue };
                if is_page(&url) || url.starts_with('#') {
                    let Some(opens) = how_to_open(&url) else { continue };
                    if page.inline.get(start..).is_some_and(is_document) {
                        page.inline.truncate(start);
                        page.inline += &opens;
                    } else {
                        page.inline += &format!(" ({opens})");
                    }
                } else if url.contains("://") {
                    if url.ends_with(page.inline.get(start..).unwrap_or_default()) {
                        page.inline.truncate(start);
                        page.inline += &url;
                    } else {
                        page.inline += &format!(" ({url})");
                    }
                }
            }
            Event::End(TagEnd::Heading(_)) => page.heading(),
            Event::End(TagEnd::Paragraph) => page.paragraph(true),
            Event::Start(Tag::BlockQuote(_)) => page.quotes += 1,
            Event::End(TagEnd::BlockQuote(_)) => page.quotes -= 1,
            Event::Start(Tag::List(first)) => {
                page.paragraph(false);
                page.lists.push(first);
            }
            Event::End(TagEnd::List(_)) => {
                page.lists.pop();
                if page.lists.is_empty() {
                    page.out.push('\n');
                }
            }
            Event::Start(Tag::Item) => page.start_item(),
            Event::End(TagEnd::Item) => page.paragraph(false),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => {
                page.paragraph(false);
                is_code = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                is_code = false;
                page.out.push('\n');
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::End(TagEnd::TableCell) => {
                let cell = std::mem::take(&mut page.inline);
                rows.last_mut().map(|row| row.push(cell)).unwrap_or_default();
            }
            Event::End(TagEnd::Table) => page.table(&std::mem::take(&mut rows)),
            _ => {}
        }
    }
    page.out.trim_end().to_owned()
}

struct Page {
    out: String,
    inline: String,
    /// The next number of each open list, if it is numbered.
    lists: Vec<Option<u64>>,
    quotes: usize,
    width: usize,
    terminal: Option<Terminal>,
}

impl Page {
    fn heading(&mut self) {
        let title = std::mem::take(&mut self.inline);
        let title = self.terminal.map_or_else(|| title.clone(), |terminal| terminal.paint(&title, Color::Green));
        self.out += &format!("{title}\n\n");
    }

    fn start_item(&mut self) {
        self.paragraph(false);
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        };
        self.inline = mark;
    }

    /// Writes what was collected, with an empty line after it if it stands alone.
    fn paragraph(&mut self, stands_alone: bool) {
        let text = std::mem::take(&mut self.inline);
        if text.trim().is_empty() {
            return;
        }
        let depth = self.lists.len();
        let outer = "  ".repeat(depth.saturating_sub(1)) + &"> ".repeat(self.quotes);
        let hanging = if depth > 0 { "  " } else { "" };
        let lines = wrapped(&text, self.width.saturating_sub(outer.len() + hanging.len()));
        for (index, line) in lines.iter().enumerate() {
            let hanging = if index == 0 && line.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
                ""
            } else {
                hanging
            };
            self.out += &format!("{outer}{hanging}{line}\n");
        }
        if stands_alone && depth == 0 {
            self.out.push('\n');
        }
    }

    fn table(&mut self, rows: &[Vec<String>]) {
        let Some((names, rows)) = rows.split_first() else { return };
        let mut table = Table::new(names);
        for row in rows {
            table.push(row.iter().map(|cell| Value::from(cell.as_str())).collect());
        }
        self.out += &table.aligned(Some(self.width));
        self.out += "\n\n";
    }
}

#[cfg(test)]
mod tests {
    use crate::support::markdown::*;

    const TEXT: &str = "# Title\n\nA [link](https://a.example/b) and a [page](b.md#c).\nMore of it.\n\n## One part\n\n\
                        1. first\n2. second, which is a good deal longer than the first\n   - inner\n\n### Inner\n\n```console\n$ do it\n```\n\n\
                        ## Another\n\n> quoted\n\n| a | b |\n| --- | --- |\n| `x` | long text in a cell that needs lines |\n";

    #[test]
    fn markdown_becomes_plain_text() {
        insta::assert_snapshot!(rendered(TEXT, 40, None, &|url| Some(url.to_owned())));
    }

    #[test]
    fn sections_are_found_by_their_headings() {
        assert_eq!(headings(TEXT), ["One part", "Inner", "Another"]);
        assert!(section(TEXT, "one-part").unwrap().contains("$ do it"));
        assert!(!section(TEXT, "one part").unwrap().contains("quoted"));
        assert!(section(TEXT, "ano").unwrap().starts_with("## Another"));
        assert_eq!(section(TEXT, "missing"), None);
        assert_eq!(links(TEXT), [("page".to_owned(), "b.md#c".to_owned())]);
        let open = |url: &str| url.strip_prefix('b').map(|rest| format!("`help b{rest}`"));
        assert_eq!(rendered("See [b.md](b.md#c).", 80, None, &open), "See `help b.md#c`.");
        assert_eq!(rendered("See [the page](b.md).", 80, None, &open), "See the page (`help b.md`).");
        assert_eq!(rendered("See [below](#c).", 80, None, &open), "See below.");
    }
}
