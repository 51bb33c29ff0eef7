//! `help`: the help of a command, or a page of the documentation as plain text.

use std::process::ExitCode;

use crate::cli::help::{self, Page};
use crate::commands::Session;
use crate::commands::man::command_of;
use crate::error::{Error, Result};
use crate::support::terminal::{Terminal, WIDEST};
use crate::support::{markdown, suggest};

/// Width without a terminal.
const WIDTH: usize = 100;

impl Session {
    pub(crate) fn help(&self, words: &[String]) -> Result<ExitCode> {
        let terminal = Terminal::stdout();
        let Some((name, more)) = words.split_first() else { return Ok(self.print(&overview(terminal))) };
        let Some((page, anchor)) = help::page_of(name) else { return self.help_of_command(words, terminal) };
        // A command with the name of a page, such as `state show`.
        if !more.is_empty() && is_command(words) {
            return self.help_of_command(words, terminal);
        }
        let section = anchor.into_iter().chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let is_whole = section.is_empty();
        let text = if is_whole { page.text } else { section_of(page, &section)? };
        let width = terminal.map_or(WIDTH, Terminal::width).min(WIDEST);
        let how_to_open = |url: &str| help::how_to_open_from(page, is_whole, url);
        let text = markdown::rendered(text, width, terminal, &how_to_open);
        Ok(self.print(&terminal.map_or_else(|| text.clone(), |terminal| terminal.linked(&text))))
    }

    fn help_of_command(&self, words: &[String], terminal: Option<Terminal>) -> Result<ExitCode> {
        let mut program = help::with_all();
        program.build();
        let Ok(command) = command_of(&program, words) else {
            let pages = help::PAGES.iter().map(|page| page.name);
            let known = program.get_subcommands().map(clap::Command::get_name).chain(pages);
            let word = words.first().map(String::as_str).unwrap_or_default();
            return Err(Error::config(format!(
                "Unknown command or page {}.{} `source-criteo help` lists them.",
                words.join(" "),
                suggest::did_you_mean(word, known)
            )));
        };
        let text = command.clone().render_long_help();
        let has_colors = terminal.is_some_and(Terminal::has_colors);
        Ok(self.print(&if has_colors { text.ansi().to_string() } else { text.to_string() }))
    }
}

fn is_command(words: &[String]) -> bool {
    command_of(&help::with_all(), words).is_ok()
}

/// The help of the program, with the pages of the documentation.
fn overview(terminal: Option<Terminal>) -> String {
    let text = help::in_groups().render_help();
    let has_colors = terminal.is_some_and(Terminal::has_colors);
    let text = if has_colors { text.ansi().to_string() } else { text.to_string() };
    let pages = help::PAGES.iter().map(|page| format!("  {:<15} {}", page.name, page.about));
    let heading = "Pages, for `source-criteo help PAGE`:".to_owned();
    format!("{}\n\n{}", text.trim_end(), std::iter::once(heading).chain(pages).collect::<Vec<_>>().join("\n"))
}

fn section_of(page: &Page, wanted: &str) -> Result<&'static str> {
    markdown::section(page.text, wanted).ok_or_else(|| {
        let known = markdown::headings(page.text);
        Error::config(format!(
            "The page {} has no section {wanted}.{} Its sections: {}.",
            page.name,
            suggest::did_you_mean(wanted, known.iter().map(String::as_str)),
            known.join(", ")
        ))
    })
}
