//! Keys and keyrings, and how they are loaded.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyId, Secret};
use crate::db::files::private;
use crate::environment::DotEnv;
use crate::{Error, Result, bounded};

const VARIABLE: &str = "VIRALDB_KEY";
const FILE_VARIABLE: &str = "VIRALDB_KEY_FILE";

/// An encryption key of 256 random bits.
///
/// It is wiped from memory when dropped, and its `Debug` output is only its id. In files and in the environment it is 44
/// characters of base64.
pub struct Key {
    id: KeyId,
    // Boxed, so that moving the key does not leave a copy of the bytes in memory.
    bytes: Box<Zeroizing<[u8; Self::LENGTH]>>,
}

impl Key {
    const LENGTH: usize = 32;

    /// Generates a new key with the random number generator of the operating system.
    ///
    /// # Errors
    /// `Io` if the operating system provides no random bytes.
    pub fn generate() -> Result<Self> {
        Self::filled(|bytes| {
            getrandom::fill(bytes)
                .map_err(|error| Error::io("the system's random number generator", error.into()))
        })
    }

    fn filled(fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Self> {
        let mut bytes = Box::new(Zeroizing::new([0; Self::LENGTH]));
        fill(&mut **bytes)?;
        let hash = Sha256::new_with_prefix(b"viraldb key id 1\0").chain_update(**bytes).finalize();
        let id = hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        Ok(Self { id: KeyId(id), bytes })
    }

    /// Returns the id that identifies the key in the database and in errors.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }

    /// Returns the key as text.
    pub fn to_text(&self) -> Secret {
        Base64::encode_string(&**self.bytes).into()
    }

    /// Writes the key to a new file that only the owner can read.
    ///
    /// # Errors
    /// `Io` if the file already exists or cannot be created.
    pub fn write_new(&self, path: &Path) -> Result<()> {
        private()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| {
                writeln!(file, "{}", self.to_text().reveal())?;
                file.sync_all()
            })
            .map_err(|error| Error::io(path, error))
    }
}

impl FromStr for Key {
    type Err = Error;

    /// Parses a key in the form that [`Key::to_text`] returns.
    ///
    /// # Errors
    /// `Invalid` if the text is not 32 bytes in base64.
    fn from_str(text: &str) -> Result<Self> {
        Self::filled(|bytes| match Base64::decode(text, bytes) {
            Ok(decoded) if decoded.len() == Self::LENGTH => Ok(()),
            _ => Err(Error::invalid(
                "a key",
                "must be 44 characters of base64, as printed by `viraldb secrets keygen`",
            )),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// An ordered list of keys: the first one encrypts, all of them decrypt.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Creates a keyring from these keys. Duplicates are ignored.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut all: Vec<Key> = Vec::new();
        for key in keys {
            if all.iter().all(|known| known.id != key.id) {
                all.push(key);
            }
        }
        Self(all)
    }

    /// Loads the keyring from `VIRALDB_KEY` or from the file that `VIRALDB_KEY_FILE` names.
    ///
    /// `VIRALDB_KEY` contains keys separated by commas or whitespace. The file contains one key per line; `#` begins a
    /// comment. If the environment has neither variable, they are read from the nearest `.env` file in the current folder or
    /// above it. If neither is set, the keyring is empty.
    ///
    /// # Errors
    /// `Invalid` if both variables are set or a key is invalid, and on Unix if a file with keys belongs to another user or
    /// other users have access to it.
    pub fn from_env() -> Result<Self> {
        let (mut keys, mut file) =
            (of_environment(VARIABLE)?, of_environment(FILE_VARIABLE)?.map(|path| PathBuf::from(&*path)));
        if keys.is_none()
            && file.is_none()
            && let mut dotenv = DotEnv::read()?
        {
            keys = dotenv.values.remove(VARIABLE).map(Zeroizing::new);
            file = dotenv.values.get(FILE_VARIABLE).map(|path| dotenv.resolve(Path::new(path)));
            if keys.is_some() {
                check_owner(&dotenv.file, &bounded::open(&dotenv.file)?, "keys")?;
            }
            // A line that cannot be parsed may have been meant to set one of the variables.
            if keys.is_none() && file.is_none() && dotenv.has_bad_line {
                return Err(dotenv.lacks(&[VARIABLE, FILE_VARIABLE]));
            }
        }
        match (keys, file) {
            (Some(_), Some(_)) => Err(Error::invalid(
                VARIABLE,
                format!("and {FILE_VARIABLE} are both set; set only one of them"),
            )),
            (Some(keys), None) => Self::parse(VARIABLE, keys.split([',', ' ', '\t', '\r', '\n'])),
            (None, Some(path)) => Self::from_file(&path)
                .map_err(|error| Error::invalid(FILE_VARIABLE, format!("cannot be used: {error}"))),
            (None, None) => Ok(Self::default()),
        }
    }

    /// Loads the keyring from a file in the format of `VIRALDB_KEY_FILE`.
    ///
    /// # Errors
    /// `Invalid` if the file contains no key or an invalid one, and on Unix if it belongs to another user or other users have
    /// access to it. `Io` if it cannot be read.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = bounded::open(path)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::invalid(path.display().to_string(), "is a folder, not a key file"));
        }
        check_owner(path, &file, "keys")?;
        // With this capacity the text is rarely reallocated, which would leave a copy of the keys in memory.
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let most = bounded::BY_HAND;
        (&file).take(most + 1).read_to_string(&mut text).map_err(|error| Error::io(path, error))?;
        if text.len() as u64 > most {
            return Err(Error::invalid(
                path.display().to_string(),
                "is larger than 1 MiB, which is too large for a key file",
            ));
        }
        // Some editors begin a file with a byte-order mark.
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let keyring = Self::parse(&path.display().to_string(), lines)?;
        if keyring.0.is_empty() {
            return Err(Error::invalid(path.display().to_string(), "contains no key"));
        }
        Ok(keyring)
    }

    fn parse<'a>(from: &str, texts: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut keys = Vec::new();
        for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
            let number = keys.len() + 1;
            keys.push(text.parse().map_err(|error| match error {
                Error::Invalid { what, reason } => {
                    Error::invalid(format!("{from}, key {number}:"), format!("{what} {reason}"))
                }
                other => other,
            })?);
        }
        Ok(Self::new(keys))
    }

    /// Returns the key that encrypts, if the keyring is not empty.
    pub fn first(&self) -> Option<&Key> {
        self.0.first()
    }

    /// Returns the key with this id.
    pub fn get(&self, id: KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Returns the ids of all keys, in order.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(Key::id).collect()
    }

    /// Returns the [`ids`](Self::ids) as text, for errors.
    pub(super) fn shown_ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.to_string()).collect()
    }
}

fn of_environment(name: &str) -> Result<Option<Zeroizing<String>>> {
    match std::env::var(name).map(Zeroizing::new) {
        Ok(value) if !value.trim().is_empty() => Ok(Some(value)),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid(name, "is not valid UTF-8")),
    }
}

/// Rejects a file with secrets that other users can read or replace. `contains` names the secrets in errors, such as `keys`.
#[cfg(unix)]
pub(crate) fn check_owner(path: &Path, file: &File, contains: &str) -> Result<()> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    let (mode, name) = (metadata.mode() & 0o7777, path.display());
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        let reason = format!(
            "contains {contains} but belongs to user {}; change its owner with `chown $(id -u) {name}`",
            metadata.uid()
        );
        return Err(Error::invalid(name.to_string(), reason));
    }
    if mode & 0o077 != 0 {
        let reason = format!(
            "contains {contains} but its mode {mode:04o} gives other users access; run `chmod 600 {name}`"
        );
        return Err(Error::invalid(name.to_string(), reason));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_owner(_: &Path, _: &File, _: &str) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_conversion_to_text_and_back() {
        let key = Key::generate().unwrap();
        let text = key.to_text();
        let again: Key = text.reveal().parse().unwrap();
        assert_eq!((again.bytes(), again.id()), (key.bytes(), key.id()));
        assert_eq!(format!("{key:?}"), key.id().to_string());
        assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
        assert_ne!(Key::generate().unwrap().id(), key.id());
        for wrong in [
            "",
            "AAAA",
            &text.reveal()[..43],
            &format!("{}=", text.reveal()),
            &text.reveal().to_lowercase().replace('=', "_"),
        ] {
            let said = wrong.parse::<Key>().unwrap_err().to_string();
            assert!(said.contains("44 characters") && (wrong.is_empty() || !said.contains(wrong)), "{said}");
        }
    }

    #[test]
    fn key_ids_are_parsed_in_their_canonical_form_only() {
        for wrong in ["", "1", "00000000000000001", "000000000000000A", "+000000000000001"] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }
}
