//! The help: commands in groups, examples, and clap's messages for a command line that it cannot parse.

use clap::builder::{StyledStr, Styles};
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;

use super::color::When;
use super::{Cli, GLOBAL, completions, examples, masks, output};
use viraldb::private::quote::{short, visible};

/// The groups of the top help, in order.
const GROUPS: &[(&str, &[&str])] = &[
    ("Getting started", &["init", "ingest", "status", "report", "serve"]),
    (
        "Pipeline",
        &[
            "videos",
            "runs",
            "clips",
            "scripts",
            "shorts",
            "reviews",
            "jobs",
            "schedules",
            "channels",
            "source-videos",
            "presets",
            "music",
            "trends",
            "stats",
        ],
    ),
    ("Settings", &["config", "secrets"]),
    (
        "Operations",
        &[
            "doctor", "metrics", "backup", "restore", "prune", "optimize", "export", "transfer", "takeover",
            "migrate", "schema", "errors",
        ],
    ),
    ("Other", &["completions", "man", "help"]),
];

/// Returns the command line as clap knows it, with grouped commands and examples.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build(); // adds the command `help`, and fills the global options in
    let template = template(&command);
    examples::add(command).help_template(template)
}

/// Returns the command line without the commands `help`, which need no man pages.
pub(super) fn without_help_commands() -> clap::Command {
    fn without(command: clap::Command) -> clap::Command {
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.into_iter().fold(command.disable_help_subcommand(true), |command, name| {
            command.mut_subcommand(name, without)
        })
    }
    examples::add(without(Cli::command()))
}

/// Returns clap's help template with the commands in groups instead of one list.
fn template(command: &clap::Command) -> StyledStr {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let width = command.get_subcommands().map(|sub| sub.get_name().len()).max().unwrap_or_default();
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (heading, names) in GROUPS {
        text += &format!("\n{header}{heading}:{header:#}\n");
        for sub in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            text += &format!("  {literal}{:width$}{literal:#}  {about}\n", sub.get_name());
        }
    }
    text += &format!("\n{header}{GLOBAL}:{header:#}\n{{options}}{{after-help}}");
    text.into()
}

/// Parses the command line. If clap cannot parse it, or the user asked for help, prints clap's message and ends the program.
pub(crate) fn parse() -> Cli {
    // A completion script runs the program with this variable, and the program ends here.
    CompleteEnv::with_factory(command).var(completions::VARIABLE).complete();
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|mut error| {
        When::asked_for().apply();
        for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
            if let Some(ContextValue::String(given)) = error.get(kind) {
                let given = visible(&short(given));
                error.insert(kind, ContextValue::String(given));
            }
        }
        let said = error.render().to_string();
        let shown = masks::without_passwords(&said);
        if shown == said {
            error.exit();
        }
        output::lines(&shown);
        std::process::exit(error.exit_code())
    })
}

#[cfg(test)]
mod tests {
    use super::{GROUPS, command};

    #[test]
    fn arguments_do_not_contradict_each_other() {
        command().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group_of_the_top_help() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        grouped.retain(|name| cfg!(feature = "web") || !["report", "serve", "metrics"].contains(name));
        let command = command();
        let mut commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }
}
