//! Values that shells complete, and the script that asks for them.

use std::ffi::OsStr;

use clap_complete::Shell;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;

use crate::cli::help;
use crate::error::{Error, Result};
use crate::model::product::Product;
use crate::products::marketing::metrics;
use crate::products::report::ReportOptions;
use crate::products::{self, about};

/// Environment variable by which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";

/// The names that start with what was typed, with their descriptions.
fn starting<'a>(typed: &OsStr, names: impl Iterator<Item = (String, &'a str)>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_lowercase();
    let fits = names.filter(|(name, _)| name.to_lowercase().starts_with(&typed));
    fits.map(|(name, about)| {
        let help = (!about.is_empty()).then(|| about.to_owned().into());
        CompletionCandidate::new(name).help(help)
    })
    .collect()
}

/// Streams without custom reports: a configuration is not read for each key press.
pub(super) fn streams(typed: &OsStr) -> Vec<CompletionCandidate> {
    let of_product = |product| products::streams(&ReportOptions { product, ..ReportOptions::default() });
    starting(
        typed,
        Product::ALL.into_iter().flat_map(of_product).map(|stream| {
            let about = about::of(&stream.name).text;
            (stream.name, about)
        }),
    )
}

/// Streams, dimensions and metrics.
pub(super) fn names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let dimensions = metrics::DIMENSIONS.iter().map(|dimension| (dimension.name.to_owned(), dimension.about));
    let metrics = metrics::metrics().iter().map(|metric| (metric.name.to_owned(), metric.unit.words()));
    let mut found = streams(typed);
    found.extend(starting(typed, dimensions.chain(metrics)));
    found
}

/// Commands and pages of the documentation.
pub(super) fn topics(typed: &OsStr) -> Vec<CompletionCandidate> {
    let pages = help::PAGES.iter().map(|page| (page.name.to_owned(), page.about));
    let commands = help::GROUPS.iter().flat_map(|(_, names)| names.iter().map(|name| ((*name).to_owned(), "")));
    starting(typed, pages.chain(commands))
}

/// The script that registers the program with a shell.
///
/// # Errors
/// If it cannot be rendered.
pub fn script(shell: Shell) -> Result<String> {
    let (shells, mut script) = (Shells::builtins(), Vec::new());
    let broken = |error: String| Error::system(format!("The completion script cannot be rendered: {error}."));
    let completer = shells.completer(&shell.to_string()).ok_or_else(|| broken(format!("{shell} is unknown")))?;
    let written =
        completer.write_registration(VARIABLE, "source-criteo", "source-criteo", "source-criteo", &mut script);
    written.map_err(|error| broken(error.to_string()))?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}
