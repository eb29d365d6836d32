//! Environment variables, and the `.env` file that supplies those that are not set.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::{Error, Result, bounded};

/// The contents of the `.env` file that [`ENV_FILE`] names, or else of the nearest one, in the current folder or above it.
///
/// An empty variable counts as unset, both in the file and in the environment.
#[derive(Clone, Default)]
pub(crate) struct DotEnv {
    /// The file, relative to the current folder.
    pub(crate) file: PathBuf,
    /// The variables in the file. Their values may be secrets.
    pub(crate) values: BTreeMap<String, String>,
    /// Whether the file has a line that cannot be parsed. Such a line may belong to another program.
    pub(crate) has_bad_line: bool,
    /// Why a file that was found could not be read, if the command continues without it.
    pub(crate) unread: Option<String>,
}

impl DotEnv {
    /// Reads the file that [`ENV_FILE`] names, or else the nearest `.env`. Returns an empty value if there is no file.
    ///
    /// # Errors
    /// `Invalid` if the file was found by searching and belongs to another user, who could redirect viraldb to another
    /// database or other keys.
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
                // Some people keep their Python environment in a folder called `.env`.
                Ok(found) if found.is_dir() => {}
                // Reading a pipe blocks forever if nothing ever writes to it.
                Ok(_) => {
                    let why =
                        format!("not a regular file; to read it anyway, set {ENV_FILE}={}", file.display());
                    return Err(Error::io(file, io::Error::new(io::ErrorKind::Unsupported, why)));
                }
                Err(error) if is_none(&error) => {}
                Err(error) => return Err(Error::io(file, error)),
            }
            folder.push("..");
        }
        Ok(Self::default())
    }

    /// Reads the file like [`read`](Self::read), for callers that can do without it.
    ///
    /// If a file that was found cannot be read, viraldb logs a warning and ignores it. A file that [`ENV_FILE`] names must
    /// be readable.
    ///
    /// # Errors
    /// `Invalid` if the file was found by searching and belongs to another user.
    pub(crate) fn read_if_possible() -> Result<Self> {
        static LOGGED: Once = Once::new();
        match Self::read() {
            Err(error @ Error::Io { .. }) if variable(ENV_FILE)?.is_none() => {
                LOGGED.call_once(|| tracing::warn!("ignoring the .env file: {error}"));
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
            read_trusted(
                &file,
                &format!("select it with {ENV_FILE}, or set {ENV_FILE}=/dev/null to use no .env file"),
            )?
        };
        // Some editors begin a file with a byte-order mark.
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

    /// Returns the error for a file that sets none of these variables but has a line that cannot be parsed.
    ///
    /// That line may have been meant to set one of them.
    pub(crate) fn lacks(&self, names: &[&str]) -> Error {
        let reason = format!(
            "does not set {} and has a line that cannot be parsed; put values with spaces in quotes",
            names.join(" or ")
        );
        Error::invalid(self.file.display().to_string(), reason)
    }

    /// Resolves a path in the file relative to the folder of the file, which may be above the current folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

/// Returns true if the error says that the file does not exist.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The variable with the path of the `.env` file to read, even if another user owns the file.
pub(crate) const ENV_FILE: &str = "VIRALDB_ENV_FILE";

/// Reads a file that was found by searching and not named explicitly.
///
/// Like a repository that git trusts, the file must belong to the current user, to root, or to the user who ran sudo.
/// `how` tells how to use the file anyway; it ends the error message.
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
                "belongs to another user (uid {owner}), who could redirect viraldb to another database or other keys; \
                 change its owner with chown, or {how}"
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

/// Returns a variable of the process environment, or `None` if it is unset or blank.
///
/// # Errors
/// `Invalid` if the value is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::invalid(name, "in the environment is not valid UTF-8"))
        }
    }
}

/// Returns the environment variables whose names begin with `prefix`.
///
/// # Errors
/// `Invalid` if one of the values is not UTF-8.
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
