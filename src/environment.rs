//! The environment, and the `.env` file that stands in for what it lacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
}

impl DotEnv {
    /// Reads it; empty if there is no such file.
    pub(crate) fn read() -> Result<Self> {
        let here = std::env::current_dir().map_err(|error| Error::io(".", error))?;
        let mut folder = PathBuf::new();
        for _ in here.ancestors() {
            let file = folder.join(".env");
            if file.is_file() {
                return Self::of(file);
            }
            folder.push("..");
        }
        Ok(Self::default())
    }

    fn of(file: PathBuf) -> Result<Self> {
        // A line may hold a secret, so only its place is told.
        let unreadable =
            |error| Error::invalid(file.display().to_string(), format!("cannot be read: {error}"));
        let mut found = Self { file: file.clone(), ..Self::default() };
        let text = bounded::file(&file, bounded::BY_HAND)?;
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

/// A variable of the environment itself.
///
/// # Errors
/// `Invalid` if it is not UTF-8.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
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
