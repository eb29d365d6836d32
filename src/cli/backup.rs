//! `viraldb backup`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueHint};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::Context;
use super::secret_input::secret;
use super::values::by_setting;
use viraldb::ops::backup::{self, Create, Drill, Keep, Listed, Progress, Prune, Seal, Unseal};
use viraldb::private::quote::counted;
use viraldb::{Database, DatabaseUrl, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Back up the database while other programs use it
    ///
    /// viraldb checks the backup before it gets its name.
    Create(Making),
    /// List the backups of a folder, newest first
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Read backups completely and check them; exit code 4 means that one is damaged
    Verify {
        /// Backups to check [default: all of the folder]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        opening: Opening,
    },
    /// Delete old backups; the newest intact one always stays
    Prune {
        #[arg(long, value_name = "N", help = by_setting(
            "Keep the newest N backups; 0 if only another number is given", "backup_keep"
        ))]
        keep: Option<usize>,
        /// Keep the newest backup of each of the last D days with one
        #[arg(long, value_name = "D", default_value_t)]
        daily: usize,
        /// Keep the newest backup of each of the last W weeks with one
        #[arg(long, value_name = "W", default_value_t)]
        weekly: usize,
        /// Keep the newest backup of each of the last M months with one
        #[arg(long, value_name = "M", default_value_t)]
        monthly: usize,
        /// Print which backups would be deleted, and delete nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        folder: Folder,
    },
    /// Restore the newest backup into a temporary database and compare its row counts
    Drill {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        opening: Opening,
        #[command(flatten)]
        programs: Programs,
    },
}

/// Where and how to make a backup.
#[derive(Debug, Default, clap::Args)]
struct Making {
    /// Folder, or new file that ends in .zst [default: backups next to the SQLite file, or ./backups]
    #[arg(short, long, alias = "to", value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    output: Option<PathBuf>,
    /// Encrypt the backup for an age recipient, age1…; may be repeated
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "passphrase_file")]
    recipient: Vec<String>,
    /// Encrypt the backup with the passphrase in this file; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Programs {
    /// Folder of pg_dump and pg_restore, if they are not found
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) pg_bin: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Opening {
    /// File with the age identity that decrypts the backup; unencrypted backups are then refused
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// File with the passphrase that decrypts the backup; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    /// Accept unencrypted backups although an identity or a passphrase is given
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
    /// Folder of the backups [default: backups next to the SQLite file, or ./backups]
    #[arg(long = "in", value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

impl Folder {
    fn get(&self, context: &Context) -> Result<PathBuf> {
        match &self.folder {
            Some(folder) if !folder.is_dir() => Err(Error::invalid(
                folder.display().to_string(),
                "is not a folder; name the folder of the backups",
            )),
            Some(folder) => Ok(folder.clone()),
            None => Ok(backup::default_folder(&context.url()?.parse::<DatabaseUrl>()?)),
        }
    }
}

const SHOWN: [&str; 7] = ["file", "database", "created_at", "bytes", "content_bytes", "rows", "state"];
/// Exit code if a backup is damaged.
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
                let options = Prune { keep: Keep { newest, daily, weekly, monthly }, dry_run };
                prune(context, &backup::prune(&folder, &options)?, dry_run)
            }
            Command::Drill { folder, opening, programs } => {
                let (url, folder) = (context.url()?, folder.get(context)?);
                let options = Drill { folder: Some(folder), unseal: opening.get()?, pg_bin: programs.pg_bin };
                let bar = progress(context);
                let drilled = backup::drill(&url, &options, &mut |at| advance(&bar, at));
                bar.finish_and_clear();
                let drilled = drilled?;
                context.done(
                    &format!(
                        "restored {} in {:.1} s: {}, {}; all row counts match the backup",
                        drilled.file.display(),
                        drilled.seconds,
                        counted(drilled.rows, "row"),
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
    // Without arguments, `backup drill` finds only an unencrypted backup in the default folder.
    let hint = match making.output.is_none() && seal.is_none() {
        true => "next: viraldb backup drill    or copy the backup to another machine",
        false => "next: copy the backup to another machine",
    };
    let options = Create { to: making.output, seal, pg_bin: making.programs.pg_bin };
    let bar = progress(context);
    let made = backup::create(&url, &options, &mut |at| advance(&bar, at));
    bar.finish_and_clear();
    let (file, manifest) = made?;
    let mut text = format!(
        "{} · {} of {} · {} from {}",
        file.display(),
        counted(manifest.all_rows(), "row"),
        counted(manifest.rows.len(), "table"),
        HumanBytes(manifest.bytes),
        HumanBytes(manifest.content_bytes)
    );
    if manifest.orphans > 0 {
        text += &format!(
            "\nrows with missing parents, in the database and in the backup: {}; `viraldb doctor` names them",
            manifest.orphans
        );
    }
    let done = json!({ "file": file, "manifest": manifest });
    match context.output.is_for_people() {
        true => context.say(&format!("{text}\n{hint}\n"))?,
        false => context.output.object(&done)?,
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
        return Err(Error::invalid(
            "backup verify",
            "found no backups; make one with `viraldb backup create`",
        ));
    }
    let (bar, mut bad) = (progress(context), 0);
    let mut rows = Vec::new();
    for file in files {
        let verified = backup::verify(&file, unseal.as_ref(), &mut |at| advance(&bar, at));
        let (whole, state) = match verified {
            Ok(verified) => (true, format!("intact, compared with its {}", verified.compared_with)),
            Err(error) => (false, error.to_string()),
        };
        bad += u32::from(!whole);
        rows.push(Checked { file, whole, state });
    }
    bar.finish_and_clear();
    if context.output.is_for_people() {
        for Checked { file, whole, state } in &rows {
            let name = file.display().to_string();
            // An error begins with the name of the backup, or with that of its manifest.
            let said = state.strip_prefix(&name).filter(|rest| rest.starts_with([':', ' '])).unwrap_or(state);
            let said = said.trim_start_matches([':', ' ']);
            let line = format!("{name}  {said}\n");
            // `--quiet` still prints damaged backups.
            if *whole { context.say(&line)? } else { context.output.text(&line)? }
        }
    } else {
        context.output.rows(&rows, &[])?;
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Checked {
    file: PathBuf,
    whole: bool,
    state: String,
}

fn prune(context: &mut Context, removed: &[Listed], dry_run: bool) -> Result<ExitCode> {
    if !context.output.is_for_people() {
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

/// Returns the number of backups to keep, from the settings.
fn configured(context: &Context) -> Result<usize> {
    let db = Database::connect(&context.url()?)
        .map_err(|error| Error::invalid("backup_keep", format!("cannot be read: {error}; give --keep N")))?;
    context.config(&db)?.get("backup_keep")
}

/// Returns a progress bar that counts bytes. It is hidden when stderr is not a terminal.
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
