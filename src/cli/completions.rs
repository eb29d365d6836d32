//! `viraldb completions`

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Context};
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "viraldb", &mut script);
        let script = String::from_utf8(script).map_err(Error::other)?;
        context.output.raw(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
