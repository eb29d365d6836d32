//! The environment, and the `.env` file that stands in for what it lacks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::{Error, Result, bounded};

/// What a `.env` file says, that of the nearest folder that has one, from the current one up.
///
/// A variable that is empty counts as absent, here and in the environment.
#[derive(Clone, Default)]
pub(crate) struct DotEnv {
    /// The file, relative to the current folder.
    pub(crate) file: PathBuf,
    /// Its variables. Their values may be secrets.
    pub(crate) values: BTreeMap<String, String>,
    /// Whether it has a line that cannot be read, which may be another program's.
    pub(crate) has_bad_line: bool,
    /// Why a file that was found could not be read, where the command goes on without it.
    pub(crate) unread: Option<String>,
}

impl DotEnv {
    /// Reads the file that [`ENV_FILE`] names, or else the nearest one. Empty if there is none.
    ///
    /// # Errors
    /// `Invalid` for a file that was found and belongs to another user: it could name another database and other keys.
    pub(crate) fn read() -> Result<Self> {
        if let Some(named) = variable(ENV_FILE)? {
            return Self::of(named.into(), true);
        }
        let here = std::env::current_dir().map_err(|error| Error::io(".", error))?;
        let mut folder = PathBuf::new();
        for _ in here.ancestors() {
            let file = folder.join(".env");
            match std::fs::metadata(&file) {
                Ok(found) if found.is_file() => return Self::of(file, false),
                // Some keep their Python environment in a folder of this name.
                Ok(found) if found.is_dir() => {}
                // Nobody may ever write to it, and then nothing would go on.
                Ok(_) => {
                    let why =
                        format!("a pipe or a device is read if it is named: {ENV_FILE}={}", file.display());
                    return Err(Error::io(file, io::Error::new(io::ErrorKind::Unsupported, why)));
                }
                Err(error) if is_none(&error) => {}
                Err(error) => return Err(Error::io(file, error)),
            }
            folder.push("..");
        }
        Ok(Self::default())
    }

    /// [`read`](Self::read) for what does without: a file that was found and cannot be read is logged, and counts as
    /// none. One that [`ENV_FILE`] names has to be readable.
    ///
    /// # Errors
    /// `Invalid` for a file of another user.
    pub(crate) fn read_if_possible() -> Result<Self> {
        static LOGGED: Once = Once::new();
        match Self::read() {
            Err(error @ Error::Io { .. }) if variable(ENV_FILE)?.is_none() => {
                LOGGED.call_once(|| tracing::warn!("nothing of .env counts: {error}"));
                Ok(Self { unread: Some(error.to_string()), ..Self::default() })
            }
            read => read,
        }
    }

    fn of(file: PathBuf, is_named: bool) -> Result<Self> {
        // A line may contain a secret, so report only that it cannot be read.
        let unreadable =
            |error| Error::invalid(file.display().to_string(), format!("cannot be read: {error}"));
        let mut found = Self { file: file.clone(), ..Self::default() };
        let text = if is_named {
            bounded::file(&file, bounded::BY_HAND)?
        } else {
            read_trusted(&file, &format!("name it with {ENV_FILE}, or set {ENV_FILE}=/dev/null to use none"))?
        };
        // Some editors begin a file with a mark of its encoding.
        for line in dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()) {
            match line {
                Ok((_, value)) if value.trim().is_empty() => {}
                Ok((name, value)) => drop(found.values.entry(name).or_insert(value)),
                Err(dotenvy::Error::LineParse(..)) => found.has_bad_line = true,
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(found)
    }

    /// The error of a file that has none of these names, but a line that cannot be read and may have been meant to be
    /// one of them.
    pub(crate) fn lacks(&self, names: &[&str]) -> Error {
        let reason = format!(
            "names no {} and has a line that cannot be read; put values with spaces in quotes",
            names.join(" or ")
        );
        Error::invalid(self.file.display().to_string(), reason)
    }

    /// A path in it counts from its own folder, which may be one above the current one.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

/// Whether there is no such file.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names the `.env` file to read, even if another user owns it.
pub(crate) const ENV_FILE: &str = "VIRALDB_ENV_FILE";

/// Reads a file that was found and not named. It must belong to the user, to root, or to whoever called sudo, like a
/// repository that git works in. `how` tells how to use it nevertheless.
pub(crate) fn read_trusted(path: &Path, how: &str) -> Result<String> {
    let failed = |error| Error::io(path, error);
    let file = bounded::open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let link = path.symlink_metadata().map_err(failed)?;
        let owners = [link.uid(), file.metadata().map_err(failed)?.uid()];
        if let Some(owner) = owners.into_iter().find(|owner| !is_trusted(*owner)) {
            let reason = format!(
                "belongs to another user (uid {owner}), who could name another database and other keys; \
                 make it yours with chown, or {how}"
            );
            return Err(Error::invalid(path.display().to_string(), reason));
        }
    }
    bounded::text(file, path, bounded::BY_HAND)
}

#[cfg(unix)]
fn is_trusted(owner: u32) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let caller = || std::env::var("SUDO_UID").ok()?.parse().ok();
    owner == 0 || owner == user || (user == 0 && caller() == Some(owner))
}

/// A variable of the environment itself.
///
/// # Errors
/// `Invalid` if it is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::invalid(name, "of the environment is not UTF-8"))
        }
    }
}

/// The variables whose names begin so.
///
/// # Errors
/// `Invalid` if the value of one is not UTF-8.
pub(crate) fn variables(prefix: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with(prefix)) {
        if let Some(value) = variable(&name)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}
