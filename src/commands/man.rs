//! `man`: a manual page of the program or of a command.

use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, roman};

use crate::cli::help;
use crate::commands::Session;
use crate::error::{Error, Result};

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Success. A failed check exits 0 too, unless stdout is a terminal or --exit-code is set."),
    ("1", "Failure, or a stream is incomplete."),
    ("2", "Invalid arguments."),
    ("128+n", "The process ended by signal n, as shells report it."),
];

impl Session {
    pub(crate) fn manual(&self, words: &[String], all: Option<&Path>) -> Result<ExitCode> {
        let mut program = help::with_all();
        program.build();
        let Some(folder) = all else {
            let page = page(command_of(&program, words)?, &words.join(" "))?;
            return Ok(self.print(&String::from_utf8_lossy(&page)));
        };
        let cannot = |error: std::io::Error| {
            Error::config(format!(
                "The manual pages cannot be written to {}: {error}. Name a folder that you may write to.",
                folder.display()
            ))
        };
        std::fs::create_dir_all(folder).map_err(cannot)?;
        for (name, page) in pages(&program, "")? {
            std::fs::write(folder.join(name), page).map_err(cannot)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The command that these words name.
pub(crate) fn command_of<'a>(program: &'a Command, words: &[String]) -> Result<&'a Command> {
    words.iter().try_fold(program, |command, word| {
        command
            .find_subcommand(word)
            .ok_or_else(|| Error::config(format!("Unknown command {}. `--help` lists the commands.", words.join(" "))))
    })
}

/// The pages of a command and the commands below it, with file names.
fn pages(command: &Command, path: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let dashed = if path.is_empty() { String::new() } else { format!("-{}", path.replace(' ', "-")) };
    let mut all = vec![(format!("source-criteo{dashed}.1"), page(command, path)?)];
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" || path.is_empty()) {
        all.extend(pages(inner, format!("{path} {}", inner.get_name()).trim_start())?);
    }
    Ok(all)
}

fn page(command: &Command, path: &str) -> Result<Vec<u8>> {
    let name = format!("source-criteo {path}").trim_end().replace(' ', "-");
    let man = Man::new(command.clone()).title(name).manual("source-criteo");
    let mut out = Vec::new();
    let mut rest = Roff::new();
    if !help::examples(path).is_empty() {
        rest.control("SH", ["EXAMPLES"]);
        for line in help::examples(path) {
            rest.control("PP", []).control("nf", []).text([roman(*line)]).control("fi", []);
        }
    }
    rest.control("SH", ["EXIT STATUS"]);
    for (code, text) in EXIT_STATUS {
        rest.control("TP", []).text([Inline::Bold(code.to_owned())]).text([roman(text)]);
    }
    let rendered = (|| {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut out)?;
        }
        rest.to_writer(&mut out)?;
        if path.is_empty() { man.render_version_section(&mut out) } else { Ok(()) }
    })();
    rendered.map_err(|error| Error::system(format!("The manual page cannot be rendered: {error}.")))?;
    Ok(out)
}
