//! `viraldb secrets`

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueHint};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::complete::channels;
use super::secret_input::{secret, without_newline};
use super::values::{find_channel, read, user};
use super::{Context, Format};
use viraldb::config::{SealedSetting, clear_sealed, set_sealed};
use viraldb::private::bounded;
use viraldb::private::files::is_of_database;
use viraldb::secrets::{self, FernetImport, FernetKey, Key, Keyring, Place, Progress, Resealed, Status};
use viraldb::{DatabaseUrl, DbConnection, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Keys come from VIRALDB_KEY, or from the file that VIRALDB_KEY_FILE names.
#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a key and print it
    Keygen {
        /// Write the key to a new file that only you may read
        #[arg(short, long, alias = "out", value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Show which values are encrypted, and with which keys
    Status,
    /// Encrypt every value again with the first key
    ///
    /// If rotate is interrupted, run it again to continue.
    Rotate {
        /// Values per transaction
        #[arg(long, value_name = "N", default_value_t = secrets::BATCH, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        batch: u32,
    },
    /// Decrypt every value; exit code 4 means that some cannot be decrypted
    Verify,
    /// Store a secret encrypted; it is read from standard input
    Set {
        #[command(flatten)]
        place: At,
        /// Read the secret from this file instead of standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        from_file: Option<PathBuf>,
        /// Catches a secret that was given as an argument; the error of an unknown argument would print it
        #[arg(hide = true)]
        stray: Option<String>,
    },
    /// Show the key of a secret and whether it can be decrypted
    Get {
        #[command(flatten)]
        place: At,
        /// Print the secret
        #[arg(long)]
        reveal: bool,
    },
    /// Remove a secret
    Clear {
        #[command(flatten)]
        place: At,
    },
    /// Encrypt again what the Python applications stored as Fernet tokens
    ImportFernet {
        /// File with the key of the applications; - reads standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        key_file: PathBuf,
        /// Salt of the applications: text, hex:… or base64:…
        #[arg(long, value_name = "SALT")]
        salt: String,
        /// Count the tokens that can be decrypted, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// Which secret.
#[derive(Debug, clap::Args)]
struct At {
    /// A secret of this channel, by its id or YouTube's
    #[arg(long, value_name = "ID", add = channels(), required_unless_present = "setting", requires = "of_channel")]
    channel: Option<String>,
    /// The API credentials of the channel
    #[arg(long, group = "of_channel", requires = "channel")]
    credentials: bool,
    /// The secret of the channel's GitHub repository
    #[arg(long, group = "of_channel", requires = "channel")]
    github_key: bool,
    /// A secret setting, by its key
    #[arg(long, value_name = "KEY", conflicts_with_all = ["channel", "of_channel"])]
    setting: Option<String>,
}

impl At {
    fn find(self, c: &mut DbConnection) -> Result<Place> {
        match (self.channel, self.setting) {
            (Some(channel), _) => {
                let id = find_channel(c, &channel)?.id;
                Ok(if self.github_key { Place::ChannelGithubKey(id) } else { Place::ChannelCredentials(id) })
            }
            (None, setting) => Ok(Place::Setting(setting.unwrap_or_default())),
        }
    }
}

const KEYS: &[&str] = &["key", "encrypts", "given", "values", "first used", "retired"];
const COLUMNS: &[&str] = &["column", "encrypted", "unencrypted", "empty"];

/// Exit code of `verify` if a value cannot be decrypted, and of `rotate` if a value is left.
const FAILED: u8 = 4;

impl Args {
    pub(super) const fn is_import(&self) -> bool {
        matches!(self.command, Command::ImportFernet { .. })
    }

    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        match self.command {
            Command::Keygen { output } => keygen(context, output.as_deref())?,
            Command::Status => {
                let keyring = Keyring::from_env()?;
                let status = context.database()?.read(|c| secrets::status(c, &keyring))?;
                show(context, &status)?;
            }
            Command::Rotate { batch } => {
                let keyring = Keyring::from_env()?;
                let db = context.database()?;
                let bar = progress(context);
                let resealed = secrets::rotate(&db, &keyring, batch, &mut |at| advance(&bar, at));
                bar.finish_and_clear();
                return report(context, "encrypted again", &resealed?);
            }
            Command::Verify => return verify(context),
            Command::Set { place, from_file, stray } => {
                if stray.is_some() {
                    let reason =
                        "must not be an argument, because other users can see it; give it on standard input";
                    return Err(Error::invalid("a secret", reason));
                }
                let keyring = Keyring::from_env()?;
                let db = context.database()?;
                let config = context.config(&db)?;
                let (secret, user) = (secret(from_file.as_deref())?, user()?);
                let (place, key) = db.write(|c| {
                    let place = place.find(c)?;
                    let key = match &place {
                        Place::Setting(key) => {
                            let setting = SealedSetting { key, secret: &secret, by: &user };
                            set_sealed(c, &keyring, config.registry(), setting)?
                        }
                        place => secrets::set(c, &keyring, place, &secret)?,
                    };
                    Ok((place, key))
                })?;
                let said = json!({ "place": place.to_string(), "key": key });
                context.done(&format!("set {place}, encrypted with key {key}"), &said)?;
            }
            Command::Get { place, reveal } => {
                let keyring = Keyring::from_env()?;
                let (place, sealed, secret) = context.database()?.read(|c| {
                    let place = place.find(c)?;
                    let sealed = secrets::stored(c, &place)?;
                    let secret = secrets::get(c, &keyring, &place)?;
                    Ok((place, sealed, secret))
                })?;
                let mut said = json!({ "place": place.to_string(), "state": sealed });
                if reveal {
                    said["secret"] = secret.reveal().into();
                }
                match (reveal, context.output.format) {
                    (true, Format::Table) => context.output.raw(&format!("{}\n", secret.reveal()))?,
                    _ => context.done(&format!("{place} is {sealed}, and can be decrypted"), &said)?,
                }
            }
            Command::Clear { place } => {
                let user = user()?;
                // The key is optional: with it, the history records which secret it was.
                let keyring = Keyring::from_env().ok();
                let (place, cleared) = context.database()?.write(|c| {
                    let place = place.find(c)?;
                    let cleared = match &place {
                        Place::Setting(key) => clear_sealed(c, keyring.as_ref(), key, &user)?,
                        place => secrets::clear(c, place)?,
                    };
                    Ok((place, cleared))
                })?;
                let text = if cleared { "removed" } else { "nothing stored in" };
                let said = json!({ "place": place.to_string(), "cleared": cleared });
                context.done(&format!("{text} {place}"), &said)?;
            }
            Command::ImportFernet { key_file, salt, dry_run } => {
                let keyring = Keyring::from_env()?;
                let db = context.database()?;
                let key = FernetKey::derive(
                    &without_newline(read(&key_file, bounded::BY_HAND)?),
                    &secrets::fernet_salt(&salt)?,
                );
                let bar = progress(context);
                let import = FernetImport::new(&key).dry_run(dry_run);
                let resealed = secrets::import_fernet(&db, &keyring, &import, &mut |at| advance(&bar, at));
                bar.finish_and_clear();
                return report(
                    context,
                    if dry_run { "would be encrypted again" } else { "encrypted again" },
                    &resealed?,
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn keygen(context: &mut Context, out: Option<&Path>) -> Result<()> {
    let key = Key::generate()?;
    let Some(path) = out else {
        let text = key.to_text();
        match context.output.format {
            Format::Table => context.output.raw(&format!("{}\n", text.reveal()))?,
            _ => context.output.object(&json!({ "id": key.id(), "key": text.reveal() }))?,
        }
        return context.output.deliver("the key is lost; run the command again");
    };
    if let Ok(DatabaseUrl::File(database)) = context.url().and_then(|url| url.parse())
        && is_of_database(&database, path)
    {
        let what = format!("--output {}", path.display());
        return Err(Error::invalid(what, "is a file of the database itself"));
    }
    key.write_new(path)?;
    let (id, file) = (key.id(), path.display().to_string());
    context.done(&format!("wrote key {id} to {file}"), &json!({ "id": id, "file": file }))
}

fn show(context: &mut Context, status: &Status) -> Result<()> {
    if !context.output.is_for_people() {
        return context.output.object(status);
    }
    let yes = |is: bool| if is { "yes" } else { "" }.to_owned();
    let at = |time: &Option<viraldb::Timestamp>| time.map(|at| at.to_string()).unwrap_or_default();
    let keys = status.keys.iter().map(|key| {
        let values = key.values.to_string();
        vec![
            key.key.to_string(),
            yes(key.seals),
            yes(key.given),
            values,
            at(&key.first_used_at),
            at(&key.retired_at),
        ]
    });
    context.output.table(KEYS, keys)?;
    context.output.text("\n")?;
    let columns = status.columns.iter().map(|column| {
        let counts = [column.sealed.values().sum(), column.not_sealed, column.empty];
        let name = format!("{}.{}", column.table, column.column);
        std::iter::once(name).chain(counts.map(|count| count.to_string())).collect()
    });
    context.output.table(COLUMNS, columns)
}

fn verify(context: &mut Context) -> Result<ExitCode> {
    let keyring = Keyring::from_env()?;
    let db = context.database()?;
    // A table and JSON Lines print each failure at once, so memory does not grow with their number.
    let mut failures = Vec::new();
    let (is_for_people, is_document) = (context.output.is_for_people(), context.output.is_document());
    let verified = secrets::verify(&db, &keyring, &mut |failure| match context.output.format {
        Format::Table if is_for_people => context.output.text(&format!("{}\n", line(&failure))),
        Format::Jsonl => context.output.object(&failure),
        Format::Table | Format::Json | Format::Csv => {
            failures.push(failure);
            Ok(())
        }
    })?;
    match context.output.format {
        Format::Table if is_for_people => {
            context.say(&format!("{} can be decrypted, {} cannot\n", verified.opened, verified.failed))?
        }
        Format::Jsonl => {}
        Format::Json if is_document => context
            .output
            .object(&json!({ "opened": verified.opened, "failed": verified.failed, "failures": failures }))?,
        Format::Table | Format::Json | Format::Csv => {
            context.list(&failures, &[], "every value can be decrypted")?
        }
    }
    Ok(if verified.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn line(failure: &secrets::Failure) -> String {
    let secrets::Failure { place, reason, .. } = failure;
    super::output::visible(&format!("{} of {} {reason}", place.column(), place.row_key()))
}

/// Prints how many values were encrypted again, and which values could not be. Returns exit code 4 if any could not be.
fn report(context: &mut Context, verb: &str, resealed: &Resealed) -> Result<ExitCode> {
    let Resealed { resealed: count, failed, failures, left, .. } = resealed;
    let mut text = format!("{count} {verb}");
    if *failed > 0 {
        text += &format!(", {failed} unchanged because they cannot be decrypted");
    }
    if *left > 0 {
        text += &format!(", {left} left because another program changed them; run the command again");
    }
    context.done(&text, resealed)?;
    if context.output.is_for_people() {
        for failure in failures {
            context.output.text(&format!("  {}\n", line(failure)))?;
        }
        if *failed > failures.len() as u64 {
            context.output.text("  and more; `viraldb secrets verify` lists all of them\n")?;
        }
    }
    Ok(if *failed == 0 && *left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Returns a progress bar that counts values. It is hidden when stderr is not a terminal.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg} left  {per_sec}  {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn advance(bar: &ProgressBar, at: Progress) {
    bar.set_length(at.done + at.left);
    bar.set_position(at.done);
    bar.set_message(at.left.to_string());
}
