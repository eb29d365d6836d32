//! `viraldb man`

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Context, help};
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write a page for each command to: viraldb.1, viraldb-init.1 and so on
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    output: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let command = help::without_help_commands();
        match self.output {
            Some(folder) => {
                let failed = |error| Error::io(&folder, error);
                std::fs::create_dir_all(&folder).map_err(failed)?;
                clap_mangen::generate_to(command, &folder).map_err(failed)?;
                context.say(&format!("wrote the man pages to {}\n", folder.display()))?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page).map_err(Error::other)?;
                context.output.bytes(&page)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
