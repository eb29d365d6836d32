//! `viraldb secrets`

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::secret_input::{secret, without_newline};
use super::values::{find_channel, read, user};
use super::{Context, Format};
use viraldb::config::{clear_sealed, set_sealed};
use viraldb::private::bounded;
use viraldb::private::files::is_of_database;
use viraldb::secrets::{self, FernetKey, Key, Keyring, Place, Progress, Resealed, Status};
use viraldb::{DatabaseUrl, DbConnection, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Keys come from VIRALDB_KEY or the file that VIRALDB_KEY_FILE names.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it
    Keygen {
        /// Write it to a new file that only you may read instead
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// What is sealed, and under which keys
    Status,
    /// Seal every value anew under the first key; run it again if it was stopped
    Rotate {
        /// Values in each transaction
        #[arg(long, value_name = "N", default_value_t = secrets::BATCH, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        batch: u32,
    },
    /// Open every sealed value and name those that do not open; exit 4 if there are any
    Verify,
    /// Seal a secret, read from standard input; one newline at its end is cut
    Set {
        #[command(flatten)]
        place: At,
        /// Read it from this file instead
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        /// A secret by mistake, which the error of an unknown argument would show
        #[arg(hide = true)]
        stray: Option<String>,
    },
    /// Say under which key a secret is sealed and whether it opens
    Get {
        #[command(flatten)]
        place: At,
        /// Print the secret
        #[arg(long)]
        reveal: bool,
    },
    /// Take a secret away
    Clear {
        #[command(flatten)]
        place: At,
    },
    /// Seal anew what the Python applications sealed as Fernet tokens
    ImportFernet {
        /// File that holds their key; - is standard input
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
        /// Their salt: text, or hex:… or base64:…
        #[arg(long, value_name = "SALT")]
        salt: String,
        /// Only count what opens
        #[arg(long)]
        dry_run: bool,
    },
}

/// The place of a secret.
#[derive(Debug, clap::Args)]
struct At {
    /// Of this channel: its id, or YouTube's
    #[arg(long, value_name = "ID", required_unless_present = "setting", requires = "of_channel")]
    channel: Option<String>,
    /// Its API credentials
    #[arg(long, group = "of_channel", requires = "channel")]
    credentials: bool,
    /// The secret of its repository
    #[arg(long, group = "of_channel", requires = "channel")]
    github_key: bool,
    /// The setting with this key
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

const KEYS: &[&str] = &["key", "seals", "given", "values", "first used", "retired"];
const COLUMNS: &[&str] = &["column", "sealed", "not sealed", "empty"];

/// What `verify` exits with when a value does not open, and `rotate` when one is left.
const FAILED: u8 = 4;

impl Args {
    pub(super) const fn is_import(&self) -> bool {
        matches!(self.command, Command::ImportFernet { .. })
    }

    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        match self.command {
            Command::Keygen { out } => keygen(context, out.as_deref())?,
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
                return report(context, "sealed anew", &resealed?);
            }
            Command::Verify => return verify(context),
            Command::Set { place, from_file, stray } => {
                if stray.is_some() {
                    let reason =
                        "is no argument, which every user of the machine can see; give it on standard input";
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
                            set_sealed(c, &keyring, config.registry(), key, &secret, &user)?
                        }
                        place => secrets::set(c, &keyring, place, &secret)?,
                    };
                    Ok((place, key))
                })?;
                let said = json!({ "place": place.to_string(), "key": key });
                context.done(&format!("set {place}, sealed with key {key}"), &said)?;
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
                    _ => context.done(&format!("{place} is {sealed}, and opens"), &said)?,
                }
            }
            Command::Clear { place } => {
                let user = user()?;
                // It needs no key; with one, the history tells which secret it was.
                let keyring = Keyring::from_env().ok();
                let (place, cleared) = context.database()?.write(|c| {
                    let place = place.find(c)?;
                    let cleared = match &place {
                        Place::Setting(key) => clear_sealed(c, keyring.as_ref(), key, &user)?,
                        place => secrets::clear(c, place)?,
                    };
                    Ok((place, cleared))
                })?;
                let text = if cleared { "cleared" } else { "nothing in" };
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
                let resealed =
                    secrets::import_fernet(&db, &keyring, &key, dry_run, &mut |at| advance(&bar, at));
                bar.finish_and_clear();
                return report(
                    context,
                    if dry_run { "would be sealed anew" } else { "sealed anew" },
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
        return context.output.deliver("nobody has the key; run the command again");
    };
    if let Ok(DatabaseUrl::File(database)) = context.url().and_then(|url| url.parse())
        && is_of_database(&database, path)
    {
        let what = format!("--out {}", path.display());
        return Err(Error::invalid(what, "is a file of the database itself"));
    }
    key.write_new(path)?;
    let (id, file) = (key.id(), path.display().to_string());
    context.done(&format!("wrote key {id} to {file}"), &json!({ "id": id, "file": file }))
}

fn show(context: &mut Context, status: &Status) -> Result<()> {
    if context.output.format != Format::Table {
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
    // For people and as JSON Lines each is printed as it is found, however many there are.
    let mut failures = Vec::new();
    let verified = secrets::verify(&db, &keyring, &mut |failure| match context.output.format {
        Format::Table => context.output.text(&format!("{}\n", line(&failure))),
        Format::Jsonl => context.output.object(&failure),
        Format::Json | Format::Csv => {
            failures.push(failure);
            Ok(())
        }
    })?;
    match context.output.format {
        Format::Table => context.say(&format!("{} open, {} do not\n", verified.opened, verified.failed))?,
        Format::Jsonl => {}
        Format::Csv => context.output.rows(&failures, &[])?,
        Format::Json => context
            .output
            .object(&json!({ "opened": verified.opened, "failed": verified.failed, "failures": failures }))?,
    }
    Ok(if verified.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn line(failure: &secrets::Failure) -> String {
    let secrets::Failure { table, column, row, reason, .. } = failure;
    super::output::visible(&format!("{table}.{column} of {row} {reason}"))
}

/// What was sealed anew, and what could not be; exit 4 if there is any of these.
fn report(context: &mut Context, verb: &str, resealed: &Resealed) -> Result<ExitCode> {
    let Resealed { resealed: count, failed, failures, left, .. } = resealed;
    let mut text = format!("{count} {verb}");
    if *failed > 0 {
        text += &format!(", {failed} left as they are, which do not open");
    }
    if *left > 0 {
        text += &format!(", {left} written by others meanwhile: run it again");
    }
    context.done(&text, resealed)?;
    if context.output.format == Format::Table {
        for failure in failures {
            context.output.text(&format!("  {}\n", line(failure)))?;
        }
        if *failed > failures.len() as u64 {
            context.output.text("  and more: `viraldb secrets verify` names them all\n")?;
        }
    }
    Ok(if *failed == 0 && *left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Progress by values, on a terminal only.
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
