//! Who may use the dashboard: users with passwords, and programs with a token.

use std::collections::HashMap;
use std::path::Path;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::bounded;
use crate::secrets::{Secret, check_owner};
use crate::{Error, Result};

/// Minimum length of a token in characters. Shorter ones could be guessed.
const TOKEN: usize = 20;
/// Minimum length of a password in characters.
const PASSWORD: usize = 12;
/// Maximum length of a user's name and of a password, in bytes.
const LONGEST: usize = 1024;

/// Who may use the dashboard.
pub(super) struct Access {
    users: Option<Users>,
    /// The hash of the token. Someone who reads the memory cannot use a hash.
    token: Option<[u8; 32]>,
}

/// What a visitor types to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Nothing: everyone may use the dashboard.
    Nobody,
    /// The token.
    Token,
    /// Name and password.
    Users,
}

struct Users {
    hashes: HashMap<String, String>,
    /// The hash that is checked for an unknown user, so that the answer takes as long as for a known one.
    decoy: String,
}

impl Access {
    pub fn new(auth_file: Option<&Path>, token_file: Option<&Path>) -> Result<Self> {
        Ok(Self { users: auth_file.map(Users::read).transpose()?, token: token_file.map(token).transpose()? })
    }

    pub fn names(&self) -> Names {
        match (&self.users, &self.token) {
            (Some(_), _) => Names::Users,
            (None, Some(_)) => Names::Token,
            (None, None) => Names::Nobody,
        }
    }

    /// Returns true if this is the token. The time does not depend on how much of it is right.
    pub fn is_token(&self, text: &str) -> bool {
        self.token.is_some_and(|token| token.ct_eq(&digest(text)).into())
    }

    /// Returns true if this is the password of the user, or without users the token. Checking a password takes tens of
    /// milliseconds, also that of an unknown user.
    pub fn check(&self, user: &str, password: &str) -> bool {
        match &self.users {
            Some(_) if user.len() > LONGEST || password.len() > LONGEST => false,
            Some(users) => users.check(user, password),
            None => self.is_token(password),
        }
    }
}

impl Users {
    /// Reads lines of the form `NAME:HASH`. Empty lines and lines that begin with `#` are skipped.
    fn read(path: &Path) -> Result<Self> {
        let text = private(path, "password hashes")?;
        let mut hashes = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line may contain a password by mistake, so report only its number.
            let refused =
                |why: &str| Err(Error::invalid(format!("{}, line {}", path.display(), number + 1), why));
            let Some((name, hash)) = line.split_once(':') else {
                return refused(
                    "is not of the form NAME:HASH; print such a line with `viraldb serve --hash-password NAME`",
                );
            };
            if !PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2")) {
                return refused(
                    "has no argon2 hash after the name; print one with `viraldb serve --hash-password NAME`",
                );
            }
            if hashes.insert(name.to_owned(), hash.to_owned()).is_some() {
                return refused("has the same name as an earlier line");
            }
        }
        let Some(decoy) = hashes.values().next().cloned() else {
            let why = "contains no users; print a line for one with `viraldb serve --hash-password NAME`";
            return Err(Error::invalid(path.display().to_string(), why));
        };
        Ok(Self { hashes, decoy })
    }

    fn check(&self, name: &str, password: &str) -> bool {
        let known = self.hashes.get(name);
        let is_right = PasswordHash::new(known.unwrap_or(&self.decoy))
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        is_right && known.is_some()
    }
}

/// Reads a token from a file.
fn token(path: &Path) -> Result<[u8; 32]> {
    let text = private(path, "a token")?;
    let token = text.trim();
    if token.chars().count() < TOKEN || token.contains(char::is_whitespace) {
        let why =
            format!("needs one token of at least {TOKEN} characters; make one with `openssl rand -hex 32`");
        return Err(Error::invalid(path.display().to_string(), why));
    }
    Ok(digest(token))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Reads a file that other users must not have access to.
fn private(path: &Path, contains: &str) -> Result<Zeroizing<String>> {
    let file = bounded::open(path)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::invalid(path.display().to_string(), "is a folder, not a file"));
    }
    check_owner(path, &file, contains)?;
    bounded::text(file, path, bounded::BY_HAND).map(Zeroizing::new)
}

/// Returns the line for a user in the file of [`ServeOptions::auth_file`](super::ServeOptions::auth_file): the name and the
/// argon2id hash of the password.
///
/// ```
/// let line = viraldb::web::hash_password("ana", &"correct horse battery".to_owned().into())?;
/// assert!(line.starts_with("ana:$argon2id$"));
/// # Ok::<(), viraldb::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) if the name is empty or contains a colon or a control character, or if the password has
/// less than 12 characters.
pub fn hash_password(user: &str, password: &Secret) -> Result<String> {
    if user.trim() != user || user.is_empty() || user.starts_with('#') || user.len() > LONGEST {
        return Err(Error::invalid("the name", "must not be empty, begin with # or have spaces around it"));
    }
    if user.contains(|c: char| c == ':' || c.is_control()) {
        return Err(Error::invalid("the name", "must not contain a colon or a control character"));
    }
    if password.reveal().chars().count() < PASSWORD || password.reveal().len() > LONGEST {
        return Err(Error::invalid("the password", format!("must have {PASSWORD} to {LONGEST} characters")));
    }
    let hash = Argon2::default().hash_password(password.reveal().as_bytes());
    Ok(format!("{user}:{}", hash.map_err(Error::other)?))
}
