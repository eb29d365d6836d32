//! `viraldb metrics`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;

use super::Context;
use viraldb::ops::backup;
use viraldb::{Result, web};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the backups [default: backups next to the SQLite file, or ./backups]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    backups: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let folder = self.backups.unwrap_or_else(|| backup::default_folder(db.url()));
        context.output.raw(&web::metrics(&db, &folder)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
