//! Color: when it is used, and which color a status word has.

use std::io;

use anstream::ColorChoice;
use clap::ValueEnum;
use comfy_table::Color;

/// When to use color. The words are those of ripgrep and cargo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set; always if CLICOLOR_FORCE is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    /// Applies this choice to the whole program.
    pub(super) fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }

    /// Returns the choice in a command line that clap could not parse.
    pub(super) fn asked_for() -> Self {
        let args: Vec<String> = std::env::args().skip(1).take_while(|arg| arg != "--").collect();
        let after = args
            .iter()
            .zip(args.iter().skip(1))
            .filter(|(name, _)| *name == "--color")
            .map(|(_, word)| &**word);
        let joined = args.iter().filter_map(|arg| arg.strip_prefix("--color="));
        joined.chain(after).find_map(|word| Self::from_str(word, false).ok()).unwrap_or_default()
    }
}

/// Returns true if output on stdout is colored.
pub(super) fn on_stdout() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Returns true if output on stderr is colored.
pub(super) fn on_stderr() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Columns whose words have a color.
const COLUMNS: &[&str] = &[
    "status",
    "processed",
    "state",
    "severity",
    "action",
    "download_status",
    "transformation_status",
    "publication_status",
];

/// Returns the color of a cell, if its column contains colored words and this word has a color.
pub(super) fn of_cell(column: &str, word: &str) -> Option<Color> {
    if COLUMNS.contains(&column) { of_word(word) } else { None }
}

/// Returns the color of a status or a severity: red for failures, yellow for anything that is waiting, green for
/// success, and blue for work in progress.
pub(super) fn of_word(word: &str) -> Option<Color> {
    Some(match word {
        "failed" | "lost" | "error" | "rejected" | "reject" | "modified" | "missing" | "damaged" => {
            Color::Red
        }
        "retrying" | "attempt_failed" | "attempt_lost" | "attempt_canceled" | "warning" | "review"
        | "hold" | "scheduled" | "pending_review" => Color::Yellow,
        "completed" | "uploaded" | "published" | "approved" | "approve" | "downloaded" | "transformed"
        | "applied" => Color::Green,
        "processing" | "running" | "started" | "downloading" | "publishing" | "info" => Color::Blue,
        _ => return None,
    })
}

/// Returns a word in the color of its status, if output on stdout is colored.
pub(super) fn painted(word: &str) -> String {
    let code = match of_word(word).filter(|_| on_stdout()) {
        Some(Color::Red) => 31,
        Some(Color::Yellow) => 33,
        Some(Color::Green) => 32,
        Some(Color::Blue) => 34,
        _ => return word.to_owned(),
    };
    format!("\u{1b}[{code}m{word}\u{1b}[0m")
}
