//! Questions at the terminal: yes or no, a line, an item of a list, several items, a path.

use std::path::PathBuf;

use dialoguer::console::Term;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Completion, Confirm, FuzzySelect, Input, MultiSelect};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};
use crate::support::redact;

/// Rows of a list that are shown at the same time.
const MAX_ROWS: usize = 12;

/// Asks a yes-or-no question; Enter chooses `default`.
pub(crate) async fn confirm(question: impl Into<String>, default: bool) -> Result<bool> {
    let question = question.into();
    ask(move |theme, term| Confirm::with_theme(theme).with_prompt(question).default(default).interact_on(term)).await
}

/// Waits for Enter.
pub(crate) async fn pause(text: impl Into<String>) -> Result<()> {
    let text = text.into();
    let pressed = ask(move |theme, term| {
        Input::<String>::with_theme(theme).with_prompt(text).allow_empty(true).report(false).interact_on(term)
    });
    pressed.await.map(|_| ())
}

/// Asks for a line, which may be empty, until `is_valid` returns no message.
pub(crate) async fn line<V>(question: &'static str, is_valid: V) -> Result<String>
where
    V: Fn(&str) -> std::result::Result<(), String> + Send + 'static,
{
    let typed = ask(move |theme, term| {
        let input = Input::<String>::with_theme(theme).with_prompt(question).allow_empty(true);
        input.validate_with(move |text: &String| is_valid(text.trim())).interact_text_on(term)
    });
    Ok(typed.await?.trim().to_owned())
}

/// Asks for a long line, such as a link, which is not repeated afterwards.
pub(crate) async fn long_line(question: &'static str) -> Result<String> {
    let typed = ask(move |theme, term| {
        Input::<String>::with_theme(theme).with_prompt(question).allow_empty(true).report(false).interact_on(term)
    });
    Ok(typed.await?.trim().to_owned())
}

/// Asks for the path of a file; Tab completes it.
pub(crate) async fn path(question: impl Into<String>) -> Result<PathBuf> {
    let question = question.into();
    let typed = ask(move |theme, term| {
        let input = Input::<String>::with_theme(theme).with_prompt(question);
        input.completion_with(&Paths).interact_text_on(term)
    });
    Ok(path_of(typed.await?.trim()))
}

/// Asks for one item of a list, which typing narrows down. Without a default, Enter chooses nothing.
pub(crate) async fn choose(question: &'static str, items: Vec<String>, default: Option<usize>) -> Result<usize> {
    ask(move |theme, term| {
        let list = FuzzySelect::with_theme(theme).with_prompt(question).items(&items).max_length(MAX_ROWS);
        let list = if let Some(default) = default { list.default(default) } else { list };
        list.interact_on(term)
    })
    .await
}

/// Asks which items of a list to keep; all are marked at first.
pub(crate) async fn choose_several(question: String, items: Vec<String>) -> Result<Vec<usize>> {
    ask(move |theme, term| {
        let items = items.into_iter().map(|item| (item, true));
        let list = MultiSelect::with_theme(theme).with_prompt(question).items_checked(items);
        // The prompt would be repeated with the names of all chosen items.
        list.max_length(MAX_ROWS).report(false).interact_on(term)
    })
    .await
}

/// Asks on a thread of its own, so that signals still work.
async fn ask<T: Send + 'static>(
    question: impl FnOnce(&ColorfulTheme, &Term) -> dialoguer::Result<T> + Send + 'static,
) -> Result<T> {
    let _before = Before::of_terminal();
    let asked = tokio::task::spawn_blocking(move || question(&ColorfulTheme::default(), &Term::stderr()));
    match asked.await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(dialoguer::Error::IO(error))) if error.kind() == std::io::ErrorKind::Interrupted => {
            // Ctrl-C was typed and has become a signal, which ends the program like any other.
            std::future::pending().await
        }
        _ => Err(Error::config("Standard input ended before setup finished.")),
    }
}

/// The terminal as it was before a question. Questions hide the cursor and read key by key; a signal ends the program
/// in the middle of one.
struct Before(Option<Termios>);

impl Before {
    fn of_terminal() -> Self {
        Self(tcgetattr(std::io::stderr()).ok())
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // If the terminal is gone, there is nothing to restore.
            let _ = tcsetattr(std::io::stderr(), OptionalActions::Now, before);
            let _ = Term::stderr().show_cursor();
        }
    }
}

/// A path as users type it: quoted, or starting with `~/`.
pub(crate) fn path_of(response: &str) -> PathBuf {
    let response = response.trim_matches(['"', '\'']);
    match (response.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(response),
    }
}

/// Completes paths like a shell: to the longest start that all matching names share.
struct Paths;

impl Completion for Paths {
    fn get(&self, input: &str) -> Option<String> {
        let (folder, start) = input.split_at(input.rfind('/').map_or(0, |slash| slash + 1));
        let place = if folder.is_empty() { PathBuf::from(".") } else { path_of(folder) };
        let mut names = std::fs::read_dir(place).ok()?.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_wanted = name.starts_with(start) && (!name.starts_with('.') || start.starts_with('.'));
            // Terminals obey control characters, which file names may contain.
            let is_harmless = !name.chars().any(redact::is_obeyed);
            (is_wanted && is_harmless).then(|| if entry.path().is_dir() { name + "/" } else { name })
        });
        let first = names.next()?;
        let common = names.fold(first, |common, name| {
            let letters = common.chars().zip(name.chars()).take_while(|(one, other)| one == other);
            letters.map(|(letter, _)| letter).collect()
        });
        (common.len() > start.len()).then(|| format!("{folder}{common}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::setup::prompts::*;

    #[test]
    fn paths_are_completed_to_what_all_matches_share() {
        let folder = std::env::temp_dir().join(format!("source-criteo-paths-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        for name in ["criteo-key.txt", "criteo-notes.txt", "été.txt", "bad\u{1b}[2J.txt", ".hidden", "keys/mine.txt"]
        {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let root = folder.display();
        let completed = |start: &str| {
            let completed = Paths.get(&format!("{root}/{start}"));
            completed.map(|path| path.strip_prefix(&format!("{root}/")).unwrap().to_owned())
        };
        for (start, wanted) in [
            ("cri", Some("criteo-")),
            ("criteo-k", Some("criteo-key.txt")),
            ("criteo-key.txt", None),
            ("k", Some("keys/")),
            ("keys/", Some("keys/mine.txt")),
            ("é", Some("été.txt")),
            ("bad", None),
            (".h", Some(".hidden")),
            ("missing/", None),
            ("", None),
        ] {
            assert_eq!(completed(start).as_deref(), wanted, "{start}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn quotes_and_the_home_folder_are_understood() {
        assert_eq!(path_of("'a b.txt'"), PathBuf::from("a b.txt"));
        let home = std::env::home_dir().unwrap();
        assert_eq!(path_of("~/key.txt"), home.join("key.txt"));
    }
}
