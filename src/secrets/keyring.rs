//! Keys, and where they come from.

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

/// A key: 256 random bits, wiped from memory when dropped. It prints as its id.
///
/// As text, in files and in the environment, it is 44 characters of base64.
pub struct Key {
    id: KeyId,
    // In a box, so that moving the key leaves no copy behind.
    bytes: Box<Zeroizing<[u8; Self::LENGTH]>>,
}

impl Key {
    const LENGTH: usize = 32;

    /// A new key, from the randomness of the operating system.
    pub fn generate() -> Result<Self> {
        Self::filled(|bytes| {
            getrandom::fill(bytes).map_err(|error| Error::io("the system's randomness", error.into()))
        })
    }

    fn filled(fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Self> {
        let mut bytes = Box::new(Zeroizing::new([0; Self::LENGTH]));
        fill(&mut **bytes)?;
        let hash = Sha256::new_with_prefix(b"viraldb key id 1\0").chain_update(**bytes).finalize();
        let id = hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        Ok(Self { id: KeyId(id), bytes })
    }

    /// What the database and errors name it by.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }

    /// The key as text.
    pub fn to_text(&self) -> Secret {
        Base64::encode_string(&**self.bytes).into()
    }

    /// Writes the key to a new file that only its owner may read.
    ///
    /// # Errors
    /// `Io` if the file is there already, or cannot be made.
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

    fn from_str(text: &str) -> Result<Self> {
        Self::filled(|bytes| match Base64::decode(text, bytes) {
            Ok(decoded) if decoded.len() == Self::LENGTH => Ok(()),
            _ => Err(Error::invalid(
                "a key",
                "is 44 characters of base64, as `viraldb secrets keygen` prints it; this is none",
            )),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// Keys in order: the first seals, all open.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// A keyring of these keys; one that is given twice counts once.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut all: Vec<Key> = Vec::new();
        for key in keys {
            if all.iter().all(|known| known.id != key.id) {
                all.push(key);
            }
        }
        Self(all)
    }

    /// The keys of `VIRALDB_KEY`, separated by commas or white space, or of the file that `VIRALDB_KEY_FILE`
    /// names, one a line, where `#` begins a comment. Each is taken from the environment, or if it has neither,
    /// from a `.env` file here or above. Without them the keyring is empty.
    ///
    /// # Errors
    /// `Invalid` if both are set, for what is no key, and on Unix for a file that others may read or own.
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
                check_owner(&dotenv.file, &bounded::open(&dotenv.file)?)?;
            }
            // A line that cannot be read may have been meant to be one of them.
            if keys.is_none() && file.is_none() && dotenv.has_bad_line {
                return Err(dotenv.lacks(&[VARIABLE, FILE_VARIABLE]));
            }
        }
        match (keys, file) {
            (Some(_), Some(_)) => {
                Err(Error::invalid(VARIABLE, format!("is set, and {FILE_VARIABLE} as well; set one of them")))
            }
            (Some(keys), None) => Self::parse(VARIABLE, keys.split([',', ' ', '\t', '\r', '\n'])),
            (None, Some(path)) => Self::from_file(&path)
                .map_err(|error| Error::invalid(FILE_VARIABLE, format!("cannot be used: {error}"))),
            (None, None) => Ok(Self::default()),
        }
    }

    /// The keys of a file, as `VIRALDB_KEY_FILE` names one.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = bounded::open(path)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::invalid(path.display().to_string(), "is a folder, and no file of keys"));
        }
        check_owner(path, &file)?;
        let mut text = Zeroizing::new(String::with_capacity(4096)); // as a rule not moved, which would leave a copy
        let most = bounded::BY_HAND;
        (&file).take(most + 1).read_to_string(&mut text).map_err(|error| Error::io(path, error))?;
        if text.len() as u64 > most {
            return Err(Error::invalid(
                path.display().to_string(),
                "is longer than 1 MiB, and no file of keys",
            ));
        }
        // Some editors begin a file with a mark of its encoding.
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let keyring = Self::parse(&path.display().to_string(), lines)?;
        if keyring.0.is_empty() {
            return Err(Error::invalid(path.display().to_string(), "holds no key"));
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

    /// The key that seals.
    pub fn first(&self) -> Option<&Key> {
        self.0.first()
    }

    /// The key with this id.
    pub fn get(&self, id: KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids of all keys, in order.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(Key::id).collect()
    }

    /// [`ids`](Self::ids) as an error names them.
    pub(super) fn shown_ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.to_string()).collect()
    }
}

fn of_environment(name: &str) -> Result<Option<Zeroizing<String>>> {
    match std::env::var(name).map(Zeroizing::new) {
        Ok(value) if !value.trim().is_empty() => Ok(Some(value)),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid(name, "is not UTF-8")),
    }
}

/// Refuses a file of keys that others may read, or that somebody else could exchange.
#[cfg(unix)]
fn check_owner(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    let (mode, name) = (metadata.mode() & 0o7777, path.display());
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        let reason = format!(
            "holds keys and belongs to user {}; make it yours: chown $(id -u) {name}",
            metadata.uid()
        );
        return Err(Error::invalid(name.to_string(), reason));
    }
    if mode & 0o077 != 0 {
        let reason =
            format!("holds keys and has mode {mode:04o}, which lets others at them: chmod 600 {name}");
        return Err(Error::invalid(name.to_string(), reason));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &File) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
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
    fn an_id_has_one_form() {
        for wrong in ["", "1", "00000000000000001", "000000000000000A", "+000000000000001"] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }
}
