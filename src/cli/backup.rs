//! `viraldb backup`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::secret_input::secret;
use super::values::by_setting;
use super::{Context, Format};
use viraldb::ops::backup::{self, Create, Keep, Listed, Progress, Seal, Unseal};
use viraldb::{Database, DatabaseUrl, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Back up the database while others use it; what is written is checked before it gets its name
    Create(Making),
    /// List the backups of a folder, newest first
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Read backups to their end and say whether they are whole; exit 4 if one is not
    Verify {
        /// Backups; all of the folder if none is named
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        opening: Opening,
    },
    /// Remove old backups; the newest that is whole always stays
    Prune {
        #[arg(long, value_name = "N", help = by_setting(
            "Keep the newest N; 0 if only another number is given", "backup_keep"
        ))]
        keep: Option<usize>,
        /// Keep the newest of each of the last D days that have one
        #[arg(long, value_name = "D", default_value_t)]
        daily: usize,
        /// Keep the newest of each of the last W weeks that have one
        #[arg(long, value_name = "W", default_value_t)]
        weekly: usize,
        /// Keep the newest of each of the last M months that have one
        #[arg(long, value_name = "M", default_value_t)]
        monthly: usize,
        /// Only say which would go
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        folder: Folder,
    },
    /// Restore the newest backup into a scratch place, compare its counts, and say how long that took
    Drill {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        opening: Opening,
        #[command(flatten)]
        programs: Programs,
    },
}

/// Where and how a backup is made.
#[derive(Debug, Default, clap::Args)]
struct Making {
    /// A folder, or a new file that ends in .zst [default: backups beside the SQLite file, or here]
    #[arg(long, value_name = "DIR|FILE")]
    to: Option<PathBuf>,
    /// Seal it for an age recipient, age1…; may be given again
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "passphrase_file")]
    recipient: Vec<String>,
    /// Seal it with the passphrase in this file; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Programs {
    /// Folder of pg_dump and pg_restore, if they are not found
    #[arg(long, value_name = "DIR")]
    pub(super) pg_bin: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Opening {
    /// File of the age identity that opens a sealed backup; a backup that is not encrypted is refused then
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// File of the passphrase that opens a sealed backup; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Accept a backup that is not encrypted although an identity or a passphrase is given
    #[arg(long)]
    allow_unencrypted: bool,
}

impl Opening {
    pub(super) fn get(&self) -> Result<Option<Unseal>> {
        let unseal = match (&self.identity, &self.passphrase_file) {
            (Some(file), _) => Unseal::identity(file),
            (None, Some(file)) => Unseal::passphrase(secret(Some(file))?),
            (None, None) => return Ok(None),
        };
        Ok(Some(if self.allow_unencrypted { unseal.allow_unencrypted() } else { unseal }))
    }
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// Folder of the backups [default: backups beside the SQLite file, or here]
    #[arg(long = "in", value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Folder {
    fn get(&self, context: &Context) -> Result<PathBuf> {
        match &self.folder {
            Some(folder) if !folder.is_dir() => {
                Err(Error::invalid(folder.display().to_string(), "is no folder; name that of the backups"))
            }
            Some(folder) => Ok(folder.clone()),
            None => Ok(backup::default_folder(&context.url()?.parse::<DatabaseUrl>()?)),
        }
    }
}

const SHOWN: [&str; 7] = ["file", "database", "created_at", "bytes", "content_bytes", "rows", "state"];
/// A backup is not whole.
const FAILED: u8 = 4;

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        match self.command {
            Command::Create(making) => create(context, making),
            Command::List { folder } => {
                let backups = backup::list(&folder.get(context)?)?;
                context.list(&backups, &SHOWN, "no backups")?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Verify { files, folder, opening } => verify(context, files, &folder, &opening),
            Command::Prune { keep, daily, weekly, monthly, dry_run, folder } => {
                let folder = folder.get(context)?;
                let newest = match keep {
                    Some(keep) => keep,
                    None if [daily, weekly, monthly].iter().any(|count| *count > 0) => 0,
                    None => configured(context)?,
                };
                let keep = Keep { newest, daily, weekly, monthly };
                prune(context, &backup::prune(&folder, &keep, dry_run)?, dry_run)
            }
            Command::Drill { folder, opening, programs } => {
                let (url, folder, unseal) = (context.url()?, folder.get(context)?, opening.get()?);
                let bar = progress(context);
                let drilled =
                    backup::drill(&url, &folder, unseal.as_ref(), programs.pg_bin.as_deref(), &mut |at| {
                        advance(&bar, at)
                    });
                bar.finish_and_clear();
                let drilled = drilled?;
                context.done(
                    &format!(
                        "restored {} in {:.1} s: {} rows, {}, all as they were backed up",
                        drilled.file.display(),
                        drilled.seconds,
                        drilled.rows,
                        HumanBytes(drilled.content_bytes)
                    ),
                    &drilled,
                )?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn create(context: &mut Context, making: Making) -> Result<ExitCode> {
    let url = context.url()?;
    let seal = match &making.passphrase_file {
        Some(file) => Some(Seal::Passphrase(secret(Some(file))?)),
        None if making.recipient.is_empty() => None,
        None => Some(Seal::Recipients(making.recipient)),
    };
    let options = Create { to: making.to, seal, pg_bin: making.programs.pg_bin };
    let bar = progress(context);
    let made = backup::create(&url, &options, &mut |at| advance(&bar, at));
    bar.finish_and_clear();
    let (file, manifest) = made?;
    let rows = manifest.all_rows();
    let mut text = format!(
        "{} · {} rows of {} tables · {} from {}",
        file.display(),
        rows,
        manifest.rows.len(),
        HumanBytes(manifest.bytes),
        HumanBytes(manifest.content_bytes)
    );
    if manifest.orphans > 0 {
        text += &format!(
            "\nrows that refer to others which are not there, in the database as in the backup: {}; viraldb doctor names them",
            manifest.orphans
        );
    }
    let done = json!({ "file": file, "manifest": manifest });
    match context.output.format {
        Format::Table => {
            context.say(&format!("{text}\nnext: viraldb backup drill    or keep a copy elsewhere\n"))?
        }
        _ => context.output.object(&done)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(
    context: &mut Context,
    files: Vec<PathBuf>,
    folder: &Folder,
    opening: &Opening,
) -> Result<ExitCode> {
    let files = match files.is_empty() {
        true => backup::list(&folder.get(context)?)?.into_iter().map(|backup| backup.file).collect(),
        false => files,
    };
    let unseal = opening.get()?;
    unseal.as_ref().map_or(Ok(()), Unseal::require_usable)?;
    if files.is_empty() {
        return Err(Error::invalid("backup verify", "finds no backups; `viraldb backup create` makes one"));
    }
    let (bar, mut bad) = (progress(context), 0);
    let mut rows = Vec::new();
    for file in files {
        let verified = backup::verify(&file, unseal.as_ref(), &mut |at| advance(&bar, at));
        let (whole, state) = match verified {
            Ok(verified) => (true, format!("whole, by its {}", verified.compared_with)),
            Err(error) => (false, error.to_string()),
        };
        bad += u32::from(!whole);
        rows.push(State { file, whole, state });
    }
    bar.finish_and_clear();
    if context.output.format == Format::Table {
        for State { file, whole, state } in &rows {
            let name = file.display().to_string();
            let said = state.strip_prefix(&name).unwrap_or(state).trim_start_matches([':', ' ']);
            let line = format!("{name}  {said}\n");
            // That one is not whole is what a quiet one asks for, too.
            if *whole { context.say(&line)? } else { context.output.text(&line)? }
        }
    } else {
        context.output.rows(&rows, &[])?;
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct State {
    file: PathBuf,
    whole: bool,
    state: String,
}

fn prune(context: &mut Context, removed: &[Listed], dry_run: bool) -> Result<ExitCode> {
    if context.output.format != Format::Table {
        context.output.rows(removed, &[])?;
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    for backup in removed {
        context.say(&format!("{verb} {}\n", backup.file.display()))?;
    }
    if removed.is_empty() {
        context.say("nothing to remove\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How many backups the settings keep.
fn configured(context: &Context) -> Result<usize> {
    let db = Database::connect(&context.url()?)
        .map_err(|error| Error::invalid("backup_keep", format!("cannot be read: {error}; give --keep N")))?;
    context.config(&db)?.get("backup_keep")
}

/// Progress by bytes, on a terminal only.
pub(super) fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg}  {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(super) fn advance(bar: &ProgressBar, at: Progress) {
    bar.set_message(at.step.as_str());
    bar.set_length(at.total.max(at.done));
    bar.set_position(at.done);
}
