//! `viraldb report`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use indicatif::HumanBytes;

use super::Context;
use super::complete::channels;
use super::duration::duration;
use super::values::channel_id;
use viraldb::Result;
use viraldb::web::{self, ReportOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File to write; - writes to standard output
    #[arg(short, long, value_name = "FILE", default_value = "report.html", value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// Length of the period, which ends now, such as 30d or 24h
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    since: Duration,
    /// Only the jobs, statistics and publications of this channel, by its id or YouTube's
    #[arg(long, value_name = "ID", add = channels())]
    channel: Option<String>,
    /// Only the videos and runs of this niche
    #[arg(long, value_name = "NICHE")]
    niche: Option<String>,
    /// Folder of the backups [default: backups next to the SQLite file, or ./backups]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    backups: Option<PathBuf>,
}

/// The report that was written, for programs.
#[derive(serde::Serialize)]
struct Written {
    file: PathBuf,
    bytes: u64,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let options = ReportOptions {
            since: self.since,
            channel: channel_id(&context.database()?, self.channel.as_deref())?,
            niche: self.niche,
            backups: self.backups,
            config: context.config.clone(),
        };
        let url = context.url()?;
        if self.output.as_os_str() == "-" {
            context.output.raw(&web::report(&url, &options)?)?;
        } else {
            let bytes = web::write_report(&url, &options, &self.output)?;
            let text = format!("wrote {} ({})", self.output.display(), HumanBytes(bytes));
            context.done(&text, &Written { file: self.output, bytes })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
