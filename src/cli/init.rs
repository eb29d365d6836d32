//! `viraldb init`

use std::process::ExitCode;

use serde::Serialize;

use super::Context;
use super::migrate::{Before, with_backup};
use viraldb::compilation::DiscoveredVideo;
use viraldb::config::complete_default_configs;
use viraldb::ops::backup;
use viraldb::{Database, Engine, Result, ingest, ops};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also load a small sample of real data: trending videos of two days
    #[arg(long)]
    sample: bool,
    #[command(flatten)]
    before: Before,
}

/// The sample, which is part of the program.
const SAMPLE: &[u8] = include_bytes!("../../sample/us_youtube_trending.csv");

#[derive(Serialize)]
struct Done<'a> {
    database: &'a str,
    engine: Engine,
    version: &'a str,
    schema: &'a str,
    tables: usize,
    migrations_applied: Vec<&'static str>,
    sample: Option<&'a ingest::Report>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let url = context.url()?;
        let backup = self.before.back_up(context, &url, backup::is_due_before_run)?;
        let migrations_applied = with_backup(viraldb::db::migrate::run(&url), backup.as_deref())?;
        let db = Database::open(&url)?;
        complete_default_configs(&db)?;
        let sample = if self.sample {
            let options =
                ingest::Options { format: Some(ingest::Format::YoutubeTrending), ..Default::default() };
            Some(ingest::ingest(&db, "sample", SAMPLE, &options, &mut |_| Ok(()))?)
        } else {
            None
        };
        let status = ops::status(&db)?;
        let done = Done {
            database: &status.database,
            engine: status.engine,
            version: &status.version,
            schema: &status.schema,
            tables: status.tables.len(),
            migrations_applied,
            sample: sample.as_ref(),
        };
        if !context.output.is_for_people() {
            context.output.object(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        if context.quiet {
            return Ok(ExitCode::SUCCESS);
        }
        let (is_new, is_old) = (
            done.migrations_applied.len() == db.history()?.entries.len(),
            done.migrations_applied.is_empty(),
        );
        let verb = match (is_new, is_old) {
            (true, _) => "created",
            (_, true) => "nothing to do for",
            _ => "migrated",
        };
        context.output.text(&format!(
            "{verb} {} ({} {}, {} tables, schema {})\n",
            done.database, done.engine, done.version, done.tables, done.schema
        ))?;
        if let Some(sample) = &sample {
            context.output.text(&super::ingest::line(sample))?;
            let niche = status
                .pending_videos
                .iter()
                .max_by_key(|niche| niche.pending)
                .map(|niche| niche.niche.clone());
            if let Some(niche) = niche {
                let best = db.read(|c| DiscoveredVideo::pending(c, &niche, 3))?;
                context.output.text(&format!("the best pending videos of {niche}:\n"))?;
                context.output.rows(&best, &["video_id", "view_velocity", "view_count", "title"])?;
                hint(context, &format!("viraldb videos pending {niche}"))?;
            }
        } else {
            hint(context, "viraldb ingest FILE…")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn hint(context: &mut Context, command: &str) -> Result<()> {
    context.output.text(&format!("next: {command}    or see what the database holds: viraldb status\n"))
}
