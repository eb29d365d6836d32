//! `viraldb completions`

use std::process::ExitCode;

use clap_complete::Shell;
use clap_complete::env::{EnvCompleter, Shells};

use super::Context;
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Shell to print the script for
    shell: Shell,
}

/// The variable by which a script asks viraldb for completions.
pub(crate) const VARIABLE: &str = "_VIRALDB_COMPLETE";

/// The name of the command, in scripts and man pages.
const NAME: &str = "viraldb";

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let shell = self.shell.to_string();
        let shells = Shells::builtins();
        let completer: &dyn EnvCompleter = shells
            .completer(&shell)
            .ok_or_else(|| Error::invalid(shell.as_str(), "has no completion script"))?;
        let mut script = Vec::new();
        completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script).map_err(Error::other)?;
        context.output.raw(&String::from_utf8(script).map_err(Error::other)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
